//! Alerts: who is told when something is wrong, and that they were.
//!
//! What is worth a message and when it goes is decided without a clock or a socket (`worth.rs`, `plan.rs`); each channel has a sender of
//! its own, so that one that does not answer delays no other, and none delays the gate.

mod http;
mod plan;
mod sender;
mod smtp;
mod words;
mod worth;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::RecvError;

pub use self::plan::{Level, Quiet};
use self::plan::{Message, Plan};
use self::sender::Sender;
pub(crate) use self::sender::Standing;
pub(crate) use self::words::moment;
use crate::api::App;
use crate::model::Happening;
use crate::{advice, server};

/// How often it is looked which reports are due: composing one verifies the whole ledger.
const CLOCKS_EVERY: u64 = 10 * 60_000;

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// How it is told.
    pub way: Way,
    /// From what on.
    pub min: Level,
    /// When it is left in peace, but for pages.
    pub quiet: Option<Quiet>,
    /// What begins within so many milliseconds is told in one message.
    pub group: u64,
    /// Where nobody has said within so many milliseconds that they know, this channel is told; by its place in the list.
    pub next: Option<(u64, usize)>,
    /// Whose certificates are believed, in PEM, instead of the system's authorities.
    pub ca: Option<Vec<u8>>,
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// JSON, signed as Standard Webhooks has it.
    Webhook {
        /// Where to.
        url: String,
        /// What it is signed with.
        secret: Vec<u8>,
    },
    /// A message by SMTP.
    Email(Mail),
    /// A topic of ntfy.
    Ntfy {
        /// With the topic at its end.
        url: String,
        /// An access token, where one is asked for.
        token: Option<String>,
    },
    /// An incoming webhook of Slack, or of what takes the same.
    Slack(String),
    /// A workflow of Teams that takes an adaptive card.
    Teams(String),
    /// An incoming webhook of Mattermost.
    Mattermost(String),
}

/// Where letters go, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The server's host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is kept from others' eyes.
    pub security: Security,
    /// Name and password, where it asks for them.
    pub login: Option<(String, String)>,
    /// From.
    pub from: String,
    /// To.
    pub to: Vec<String>,
}

/// How a conversation with a mail server is kept from others' eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// It begins in the open and is turned (RFC 3207); a server that cannot is told nothing.
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// Not at all: for a server on this machine.
    None,
}

/// Those who are told, and how that stands.
pub(crate) struct Alerts {
    plan: Mutex<Plan>,
    senders: Mutex<Vec<Sender>>,
    danish: AtomicBool,
}

impl Alerts {
    /// Nobody is told before [`run`].
    pub(crate) fn new(channels: Vec<Channel>, url: &str, language: &str) -> Self {
        let plan = Mutex::new(Plan::new(&channels, url));
        Self { plan, senders: Mutex::default(), danish: AtomicBool::new(language == "da") }
    }

    /// Others are told from now on: what is still wrong they are told anew. What waits for the ones before is still sent.
    fn adopt(&self, (channels, language): (&[Channel], &str), url: &str, told: &Arc<dyn Fn(String) + Send + Sync>) {
        let senders = channels.iter().map(|channel| Sender::begin(channel, Arc::clone(told))).collect();
        self.danish.store(language == "da", Ordering::Relaxed);
        *self.plan() = Plan::new(channels, url);
        *self.senders() = senders;
    }

    /// Each channel, and how it stands.
    pub(crate) fn standing(&self) -> Vec<Standing> {
        self.senders().iter().map(Sender::standing).collect()
    }

    /// What is going on that somebody was or will be told.
    pub(crate) fn open(&self) -> Vec<crate::model::Trouble> {
        self.plan().open(|trouble| words::title(trouble, self.danish.load(Ordering::Relaxed)))
    }

    /// Somebody knows: nobody else is woken for what is open now.
    pub(crate) fn acknowledge(&self, by: &str) -> usize {
        self.plan().acknowledge(by)
    }

    /// Sends something that says that it is a test. None where there is no such channel, false where too much waits for it.
    pub(crate) fn test(&self, name: &str, by: &str, now: u64) -> Option<bool> {
        let channel = self.senders().iter().position(|sender| sender.standing().name == name)?;
        let message = self.plan().test(channel, by, now);
        Some(self.send(&message))
    }

    fn send(&self, message: &Message) -> bool {
        let text = words::text(message, self.danish.load(Ordering::Relaxed));
        self.senders().get(message.channel).is_some_and(|sender| sender.put(message.clone(), text))
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn senders(&self) -> MutexGuard<'_, Vec<Sender>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at everything that is told to screens, and tells whoever is to be woken.
pub(crate) async fn run(app: Arc<App>) {
    let alerts = &app.alerts;
    // What was sent is put on record beside the ledger's own thread: it may wait for a disk.
    let desk = Arc::clone(&app.desk);
    let told: Arc<dyn Fn(String) + Send + Sync> = Arc::new(move |words| {
        let desk = Arc::clone(&desk);
        drop(tokio::task::spawn_blocking(move || desk.changed(&words, "gate")));
    });
    let mut settings = app.current.get();
    alerts.adopt((&settings.alerts, &settings.language), &settings.url, &told);
    let (_, mut frames) = app.live.follow(Some(u64::MAX));
    let mut clocks_at = 0;
    loop {
        let frame = match frames.recv().await {
            Ok(frame) => frame,
            // How everything stands comes within a second.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let now = app.current.get();
        if (&now.alerts, &now.language) != (&settings.alerts, &settings.language) {
            alerts.adopt((&now.alerts, &now.language), &now.url, &told);
        }
        settings = now;
        if settings.alerts.is_empty() {
            continue;
        }
        let at = server::now();
        if frame.kind == "happening" {
            let happened = serde_json::from_str::<Happening>(&frame.data);
            happened.iter().filter_map(worth::happening).for_each(|trouble| alerts.plan().happened(trouble, at));
            continue;
        }
        let Some(now) = app.live.now() else { continue };
        if let Some(incident) = now.incident.as_ref().filter(|_| at.saturating_sub(clocks_at) >= CLOCKS_EVERY) {
            clocks_at = at;
            let id = incident.id.clone();
            let drafts = app.ask(move |desk| desk.forms(&id)).await.unwrap_or_default();
            alerts.plan().clocks(worth::clocks(&drafts, at));
        } else if now.incident.is_none() {
            alerts.plan().clocks(Vec::new());
        }
        let messages = {
            let mut plan = alerts.plan();
            plan.tick(worth::standing(&now, advice::hurt_enough), at)
        };
        for message in messages {
            alerts.send(&message);
        }
    }
}
