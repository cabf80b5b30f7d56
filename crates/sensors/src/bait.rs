//! Leaks that we make ourselves: a canary that was planted for it is fetched as a thief would, through the gate's own door, and whoever
//! guards the way must tell.
//!
//! The record that the guard makes of it is marked as the drill's while it passes to the evidence; so nobody takes it for a theft, and
//! nobody else's theft for a drill: the way, the address that asked and the moment must all be the drill's own. What is found of the
//! gate's own scripts bears its drill already, and is only waited for.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use portcullis_config::integrity::{Bait, Outside};
use portcullis_ledger::{Beat, Event, Recorder, Request, Sensor};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

use crate::drill::Scripts;
use crate::lock;
use crate::outside::Fetcher;

/// Until the guard must have told.
const TOLD: Duration = Duration::from_secs(5);
/// What the leak itself may take.
const LEAK: Duration = Duration::from_secs(20);
/// What a thief takes at most, in bytes; the canary is within.
const TAKEN: usize = 1 << 20;
/// The longest password file.
const PASSWORD: u64 = 4096;

/// Stands before the evidence, and knows what a drill is to be seen by when it passes.
pub struct Lookout {
    inner: Arc<dyn Recorder>,
    armed: Mutex<Vec<Armed>>,
}

struct Armed {
    /// `http/public`, `database/members`, `scripts/public`.
    path: String,
    drill: String,
    /// When, and what it was told of.
    seen: Sender<(Instant, String)>,
}

impl Lookout {
    /// Before `inner`, which keeps everything.
    #[must_use]
    pub fn new(inner: Arc<dyn Recorder>) -> Arc<Self> {
        Arc::new(Self { inner, armed: Mutex::new(Vec::new()) })
    }

    /// Leaks by one way and waits until it was told. When, and in which words.
    pub(crate) fn drill(&self, bait: &Bait, way: Way, id: &str) -> Result<(Duration, &'static str), String> {
        let (seen, told) = mpsc::channel();
        let begun = Instant::now();
        lock(&self.armed).push(Armed { path: bait.way.clone(), drill: id.to_owned(), seen });
        // Whatever became of the leak (it may have been stopped), what counts is whether it was told.
        let leaked = leak(bait, way);
        let outcome = told.recv_timeout(TOLD);
        lock(&self.armed).retain(|armed| armed.drill != id);
        match (outcome, leaked) {
            (Ok((at, _)), _) => Ok((at.duration_since(begun), "as the canary that it was")),
            (Err(_), Ok(())) => Err("the canary left, and nobody told".to_owned()),
            (Err(_), Err(why)) => Err(format!("nobody told of a canary; the leak itself came to nothing: {why}")),
        }
    }
}

impl Lookout {
    /// Has scripts leave that change, and waits until each was told. How many there were, and when the last was told.
    pub(crate) fn scripts(&self, scripts: &dyn Scripts, platform: &str, id: &str) -> Result<(u64, Duration), String> {
        let (seen, told) = mpsc::channel();
        let begun = Instant::now();
        lock(&self.armed).push(Armed { path: format!("scripts/{platform}"), drill: id.to_owned(), seen });
        let left = scripts.change(platform, id);
        let mut missing = left.clone().unwrap_or_default();
        let (count, mut last, until) = (missing.len() as u64, Duration::ZERO, Instant::now() + TOLD);
        while !missing.is_empty() {
            let Ok((at, subject)) = told.recv_timeout(until.saturating_duration_since(Instant::now())) else { break };
            missing.retain(|changed| changed.subject != subject);
            last = last.max(at.duration_since(begun));
        }
        lock(&self.armed).retain(|armed| armed.drill != id);
        left?;
        match missing.first() {
            None => Ok((count, last)),
            Some(first) => {
                Err(format!("{} of {count} scripts left changed and untold, the first {}", missing.len(), first.words))
            }
        }
    }
}

impl Recorder for Lookout {
    fn record(&self, sensor: &Sensor, event: Event) {
        let event = match event {
            Event::Canary(mut canary) if canary.client.is_some_and(|client| client.is_loopback()) => {
                let armed = lock(&self.armed);
                if let Some(armed) = armed.iter().find(|armed| armed.path == canary.path) {
                    canary.drill.clone_from(&armed.drill);
                    // Whoever waits may have given up.
                    let _ = armed.seen.send((Instant::now(), String::new()));
                }
                drop(armed);
                Event::Canary(canary)
            }
            Event::Finding(finding) if finding.what == "script-changed" && !finding.drill.is_empty() => {
                let armed = lock(&self.armed);
                let is = |armed: &&Armed| *sensor == *armed.path && finding.drill == armed.drill;
                if let Some(armed) = armed.iter().find(is).filter(|_| finding.authorised.is_empty()) {
                    let _ = armed.seen.send((Instant::now(), finding.subject.clone()));
                }
                drop(armed);
                Event::Finding(finding)
            }
            event => event,
        };
        self.inner.record(sensor, event);
    }

    fn pulse(&self, beat: Beat) {
        self.inner.pulse(beat);
    }

    fn request(&self, request: &Request<'_>) {
        self.inner.request(request);
    }
}

/// How it leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Http,
    Sql,
    Copy,
}

impl Way {
    /// The ways of a bait.
    pub(crate) const fn of(bait: &Bait) -> &'static [Self] {
        if bait.page.is_some() { &[Self::Http] } else { &[Self::Sql, Self::Copy] }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "canary-http",
            Self::Sql => "canary-sql",
            Self::Copy => "canary-copy",
        }
    }
}

fn leak(bait: &Bait, way: Way) -> Result<(), String> {
    let door = match bait.door.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), bait.door.port()),
        _ => bait.door,
    };
    if let Some(page) = &bait.page {
        let outside = Outside {
            authority: bait.host.clone(),
            host: bait.host.clone(),
            tls: bait.tls,
            connect: Some(door),
            timeout: LEAK,
            ..Outside::default()
        };
        return Fetcher::new(&outside, None)?.get(page).map(drop);
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        tokio::time::timeout(LEAK, take(bait, way, door)).await.unwrap_or_else(|_| Err("it took too long".to_owned()))
    })
}

async fn take(bait: &Bait, way: Way, door: SocketAddr) -> Result<(), String> {
    let mut config = Config::new();
    config.host(door.ip().to_string()).port(door.port()).ssl_mode(SslMode::Disable);
    config.user(&bait.role).dbname(&bait.inside).application_name("portcullis drill");
    if let Some(file) = &bait.password_file {
        let failed = |error: std::io::Error| format!("{}: {error}", file.display());
        if fs::metadata(file).map_err(failed)?.len() > PASSWORD {
            return Err(format!("{} is no file with a password", file.display()));
        }
        config.password(fs::read_to_string(file).map_err(failed)?.trim_end_matches(['\r', '\n']));
    }
    let words = |error: tokio_postgres::Error| {
        error.as_db_error().map_or_else(|| error.to_string(), |it| it.message().to_owned())
    };
    let (client, connection) = config.connect(NoTls).await.map_err(words)?;
    let driven = tokio::spawn(connection);
    let taken = match way {
        Way::Copy => {
            let stream = client.copy_out(&format!("copy ({}) to stdout", bait.statement)).await.map_err(words)?;
            let (mut stream, mut taken) = (pin!(stream), 0);
            loop {
                match stream.try_next().await {
                    Ok(Some(piece)) if taken + piece.len() <= TAKEN => taken += piece.len(),
                    Ok(_) => break Ok(()),
                    Err(error) => break Err(words(error)),
                }
            }
        }
        Way::Http | Way::Sql => client.simple_query(&bait.statement).await.map(drop).map_err(words),
    };
    driven.abort();
    taken
}
