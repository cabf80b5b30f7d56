//! How a sensor stands, said each second; and what it found, put on record.
//!
//! A sensor that has not come round says nothing, whoever else lives: its thread must come by.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_ledger::{Beat, Event, Recorder, Request, Sensor, State};
use serde::{Deserialize, Serialize};

use crate::unix_millis;

/// A sensor that has not come round for so long is down.
const STUCK: Duration = Duration::from_secs(30);

/// Findings that are kept to be shown.
const LATEST: usize = 20;

/// All sensors of a process.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<BTreeMap<Sensor, Standing>>);

#[derive(Debug)]
struct Standing {
    state: State,
    why: String,
    words: String,
    blind_to: &'static str,
    seen: u64,
    dropped: u64,
    told: Latest,
    alive: Instant,
    /// The last drills that were not seen, by what was tried.
    missed: BTreeMap<String, String>,
}

/// How a sensor stands, for people and for `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// Its name.
    pub sensor: String,
    /// Whether it sees.
    pub state: State,
    /// Why it does not.
    pub why: String,
    /// How it sees, and what it has found.
    pub words: String,
    /// What it can never see.
    pub blind_to: String,
    /// What it looked at.
    pub seen: u64,
    /// What it should have and did not.
    pub dropped: u64,
    /// What it told.
    pub findings: u64,
    /// The last that it told, the newest at the end.
    pub latest: Vec<Told>,
}

/// Something that a sensor found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub unix_millis: u64,
    /// `file-changed`, …
    pub what: String,
    /// In a sentence.
    pub words: String,
    /// The drill that it was found in, where it was one.
    pub drill: String,
}

/// How much a sensor has told, and the last of it.
#[derive(Debug, Default)]
pub(crate) struct Latest {
    count: u64,
    told: VecDeque<Told>,
}

impl Latest {
    pub(crate) fn push(&mut self, what: &str, words: &str, drill: &str) {
        let (what, words, drill) = (what.to_owned(), words.to_owned(), drill.to_owned());
        self.count += 1;
        if self.told.len() == LATEST {
            self.told.pop_front();
        }
        self.told.push_back(Told { unix_millis: unix_millis(), what, words, drill });
    }

    /// How much, and the last, the newest at the end.
    pub(crate) fn shown(&self) -> (u64, Vec<Told>) {
        (self.count, self.told.iter().cloned().collect())
    }
}

/// One sensor's own end.
#[derive(Clone)]
pub(crate) struct Sense {
    name: Sensor,
    board: Arc<Board>,
    recorder: Arc<dyn Recorder>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Sensor, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place on the board.
    pub(crate) fn sense(self: &Arc<Self>, name: String, blind_to: &'static str, recorder: &Arc<dyn Recorder>) -> Sense {
        let standing = Standing {
            state: State::Blind,
            why: "it has only begun".to_owned(),
            words: String::new(),
            blind_to,
            seen: 0,
            dropped: 0,
            told: Latest::default(),
            alive: Instant::now(),
            missed: BTreeMap::new(),
        };
        let name: Sensor = name.into();
        self.lock().insert(name.clone(), standing);
        Sense { name, board: Arc::clone(self), recorder: Arc::clone(recorder) }
    }

    /// Says how each stands.
    pub(crate) fn beat(&self, recorder: &dyn Recorder) {
        for (sensor, standing) in &*self.lock() {
            let (state, why) = standing.now();
            let (seen, dropped) = (standing.seen, standing.dropped);
            recorder.pulse(Beat { sensor: sensor.clone(), seq: 0, state, seen, dropped, why: why.to_owned() });
        }
    }

    /// A sensor was tried, and did not see: it is blind until it does.
    pub(crate) fn tried(&self, sensor: &str, what: &str, missed: Option<&str>) {
        let mut board = self.lock();
        let Some(standing) = board.get_mut(sensor) else { return };
        match missed {
            Some(words) => drop(standing.missed.insert(what.to_owned(), words.to_owned())),
            None => drop(standing.missed.remove(what)),
        }
    }

    /// How each stands.
    pub(crate) fn sights(&self) -> Vec<Sight> {
        let sight = |(sensor, standing): (&Sensor, &Standing)| {
            let (state, why) = standing.now();
            let (findings, latest) = standing.told.shown();
            Sight {
                sensor: sensor.to_string(),
                state,
                why: why.to_owned(),
                words: standing.words.clone(),
                blind_to: standing.blind_to.to_owned(),
                seen: standing.seen,
                dropped: standing.dropped,
                findings,
                latest,
            }
        };
        self.lock().iter().map(sight).collect()
    }
}

impl Standing {
    fn now(&self) -> (State, &str) {
        if self.alive.elapsed() > STUCK {
            return (State::Down, "it has not come round for 30 s");
        }
        match (self.state, self.missed.values().next()) {
            (State::Up, Some(missed)) => (State::Blind, missed),
            _ => (self.state, &self.why),
        }
    }
}

impl Sense {
    fn with(&self, change: impl FnOnce(&mut Standing)) {
        if let Some(standing) = self.board.lock().get_mut(&self.name) {
            change(standing);
        }
    }

    pub(crate) fn alive(&self) {
        self.with(|standing| standing.alive = Instant::now());
    }

    pub(crate) fn up(&self) {
        self.stands(State::Up, "");
    }

    pub(crate) fn blind(&self, why: &str) {
        self.stands(State::Blind, why);
    }

    pub(crate) fn down(&self, why: &str) {
        self.stands(State::Down, why);
    }

    fn stands(&self, state: State, why: &str) {
        self.with(|standing| {
            if standing.state != state || standing.why != why {
                match state {
                    State::Up => tracing::info!(sensor = %self.name, "sees"),
                    _ => tracing::warn!(sensor = %self.name, why, "does not see"),
                }
                standing.state = state;
                why.clone_into(&mut standing.why);
            }
            standing.alive = Instant::now();
        });
    }

    pub(crate) fn words(&self, words: String) {
        self.with(|standing| standing.words = words);
    }

    pub(crate) fn seen(&self, count: u64) {
        self.with(|standing| standing.seen = standing.seen.saturating_add(count));
    }

    pub(crate) fn dropped(&self, count: u64) {
        self.with(|standing| standing.dropped = standing.dropped.saturating_add(count));
    }

    /// Puts something on record, and tells whoever reads the log of the gate.
    pub(crate) fn record(&self, event: Event) {
        if let Event::Finding(finding) = &event {
            self.with(|standing| standing.told.push(&finding.what, &finding.words, &finding.drill));
            if finding.drill.is_empty() {
                tracing::warn!(sensor = %self.name, what = finding.what, "{}", finding.words);
            }
        }
        self.recorder.record(&self.name, event);
    }
}

/// Where nobody keeps the evidence: what is found is in the gate's own log, and shown while it runs.
pub(crate) struct Unkept;

impl Recorder for Unkept {
    fn record(&self, _: &Sensor, _: Event) {}

    fn pulse(&self, _: Beat) {}

    fn request(&self, _: &Request<'_>) {}
}
