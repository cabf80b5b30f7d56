//! Who is watching, each second: what sensors say of themselves, and that they are down when they say nothing.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_ledger::{Beat, Sensor, State};

use crate::lanes::lock;

/// Sensors that beat, at most.
const BEATING: usize = 256;

/// What a sensor holds, and tells through it that it is there and what it saw. It is down from when its owner lets go of it.
#[derive(Debug)]
pub struct Pulse {
    heart: Arc<Heart>,
}

#[derive(Debug)]
struct Heart {
    sensor: Sensor,
    began: Instant,
    /// It is down when nothing was heard of it for so long.
    within: Duration,
    /// Milliseconds since it began when something was heard.
    heard: AtomicU64,
    seen: AtomicU64,
    dropped: AtomicU64,
    state: AtomicU8,
    why: Mutex<String>,
    seq: AtomicU64,
}

impl Pulse {
    /// It looked at so many more.
    pub fn saw(&self, count: u64) {
        self.heart.seen.fetch_add(count, Ordering::Relaxed);
        self.alive();
    }

    /// It should have looked at so many more and did not.
    pub fn dropped(&self, count: u64) {
        self.heart.dropped.fetch_add(count, Ordering::Relaxed);
        self.alive();
    }

    /// The totals of one that counts by itself.
    pub fn total(&self, seen: u64, dropped: u64) {
        self.heart.seen.store(seen, Ordering::Relaxed);
        self.heart.dropped.store(dropped, Ordering::Relaxed);
        self.alive();
    }

    /// Whether it sees, and if not, why.
    pub fn set(&self, state: State, why: &str) {
        why.clone_into(&mut lock(&self.heart.why));
        self.heart.state.store(state as u8, Ordering::Relaxed);
        self.alive();
    }

    /// It is there.
    pub fn alive(&self) {
        let heard = self.heart.began.elapsed().as_millis() as u64;
        self.heart.heard.store(heard, Ordering::Relaxed);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        "its owner let go of it".clone_into(&mut lock(&self.heart.why));
        self.heart.state.store(State::Down as u8, Ordering::Relaxed);
        self.heart.heard.store(u64::MAX, Ordering::Relaxed);
    }
}

/// All that beat.
#[derive(Debug, Default)]
pub(crate) struct Beats(Mutex<Vec<Arc<Heart>>>);

impl Beats {
    /// One more, or one anew. None where there are too many, or nobody may be called so.
    pub(crate) fn add(&self, sensor: Sensor, within: Duration) -> Option<Pulse> {
        let mut hearts = lock(&self.0);
        hearts.retain(|heart| heart.sensor != sensor);
        if hearts.len() >= BEATING || !portcullis_ledger::leaf::is_sensor(&sensor) {
            return None;
        }
        let heart = Arc::new(Heart {
            sensor,
            began: Instant::now(),
            within,
            heard: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            state: AtomicU8::new(State::Up as u8),
            why: Mutex::default(),
            seq: AtomicU64::new(0),
        });
        hearts.push(Arc::clone(&heart));
        Some(Pulse { heart })
    }

    /// One of each.
    pub(crate) fn all(&self) -> Vec<Beat> {
        lock(&self.0).iter().map(|heart| heart.beat()).collect()
    }
}

impl Heart {
    fn beat(&self) -> Beat {
        let mut state = match self.state.load(Ordering::Relaxed) {
            code if code == State::Up as u8 => State::Up,
            code if code == State::Blind as u8 => State::Blind,
            _ => State::Down,
        };
        let mut why = if state == State::Up { String::new() } else { lock(&self.why).clone() };
        let now = self.began.elapsed().as_millis() as u64;
        let silent = now.saturating_sub(self.heard.load(Ordering::Relaxed));
        if silent > self.within.as_millis() as u64 {
            state = State::Down;
            why = format!("nothing was heard of it for {} s", silent / 1000);
        }
        Beat {
            sensor: self.sensor.clone(),
            seq: self.seq.fetch_add(1, Ordering::Relaxed),
            state,
            seen: self.seen.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            why,
        }
    }
}
