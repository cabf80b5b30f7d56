//! What brings messages to one channel: a bounded queue, a deadline for each try, and a few tries with longer and longer waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::plan::{Message, What, name};
use super::smtp::Letter;
use super::words::Text;
use super::{Channel, Way, http, smtp};
use crate::fetch::connector;
use crate::server;

/// Messages that wait; beyond it the new one is given up and counted.
const WAITING: usize = 32;
/// One try.
const TRY: Duration = Duration::from_secs(20);
/// Tries of one message: over about five minutes.
const TRIES: u32 = 7;
/// Wait before the second try; each doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// How a channel stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) min: &'static str,
    pub(crate) waiting: u64,
    pub(crate) sent: u64,
    pub(crate) last_sent: Option<u64>,
    pub(crate) given_up: u64,
    pub(crate) last_error: Option<(u64, String)>,
}

pub(super) struct Sender {
    queue: mpsc::Sender<(Message, Text)>,
    standing: Arc<Mutex<Standing>>,
}

/// Puts on record who was told what.
type Record = Arc<dyn Fn(String) + Send + Sync>;

impl Sender {
    /// Begins on the runtime that this is called on, and ends with it.
    pub(super) fn begin(channel: &Channel, record: Record) -> Self {
        let kind = match channel.way {
            Way::Webhook { .. } => "webhook",
            Way::Email(_) => "email",
            Way::Ntfy { .. } => "ntfy",
            Way::Slack(_) => "slack",
            Way::Teams(_) => "teams",
            Way::Mattermost(_) => "mattermost",
        };
        let standing = Standing { name: channel.name.clone(), kind, min: name(channel.min), ..Standing::default() };
        let standing = Arc::new(Mutex::new(standing));
        let (queue, waiting) = mpsc::channel(WAITING);
        tokio::spawn(deliver(channel.clone(), waiting, Arc::clone(&standing), record));
        Self { queue, standing }
    }

    /// Never waits. False where there is no room.
    pub(super) fn put(&self, message: Message, text: Text) -> bool {
        let put = self.queue.try_send((message, text)).is_ok();
        if !put {
            let mut standing = lock(&self.standing);
            standing.given_up += 1;
            standing.last_error = Some((server::now(), "too many messages wait already".to_owned()));
        }
        put
    }

    pub(super) fn standing(&self) -> Standing {
        let waiting = (WAITING - self.queue.capacity()) as u64;
        Standing { waiting, ..lock(&self.standing).clone() }
    }
}

fn lock(standing: &Mutex<Standing>) -> MutexGuard<'_, Standing> {
    standing.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn deliver(
    channel: Channel,
    mut waiting: Receiver<(Message, Text)>,
    standing: Arc<Mutex<Standing>>,
    record: Record,
) {
    let tls = connector(channel.ca.as_deref());
    while let Some((message, text)) = waiting.recv().await {
        let mut tries = 0;
        let done = loop {
            let tried = match &tls {
                Ok(tls) => timeout(TRY, once(&channel.way, &message, &text, tls)).await,
                Err(why) => Ok(Err(why.clone())),
            };
            let why = match tried {
                Ok(Ok(())) => break Ok(()),
                Ok(Err(why)) => why,
                Err(_) => format!("no answer within {} seconds", TRY.as_secs()),
            };
            lock(&standing).last_error = Some((server::now(), why.clone()));
            tries += 1;
            // Whoever tests sees at once whether it arrives.
            if tries >= TRIES || matches!(message.what, What::Test(_)) {
                break Err(why);
            }
            sleep(wait(tries, share())).await;
        };
        let mut standing = lock(&standing);
        match done {
            Ok(()) => {
                standing.sent += 1;
                standing.last_sent = Some(server::now());
                record(format!("{} was told: {}", channel.name, text.title));
            }
            Err(why) => {
                standing.given_up += 1;
                tracing::warn!(channel = channel.name, why, "an alert could not be sent");
                record(format!("{} could not be told ({why}): {}", channel.name, text.title));
            }
        }
    }
}

/// Before the next try: twice as long each time, and between half and all of that, so that many gates do not come at once.
fn wait(tries: u32, share: f64) -> Duration {
    FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(16)).mul_f64(0.5 + share.clamp(0.0, 1.0) / 2.0)
}

/// A number from 0 to 1. Without randomness, the wait is the shortest.
fn share() -> f64 {
    let mut bytes = [0; 4];
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

async fn once(way: &Way, message: &Message, text: &Text, tls: &TlsConnector) -> Result<(), String> {
    if let Way::Email(mail) = way {
        let named = |number| format!("portcullis-{}-{number}", message.group);
        let answers = (message.number > 1).then(|| named(1));
        let letter =
            Letter { subject: &text.title, body: &text.body, id: named(message.number), answers, at: message.at };
        return smtp::send(mail, tls, &letter).await;
    }
    match http::post(way, message, text, server::now()) {
        Some(post) => http::send(&post, tls).await,
        None => Err("the address has no topic".to_owned()),
    }
}

#[cfg(test)]
mod tests;
