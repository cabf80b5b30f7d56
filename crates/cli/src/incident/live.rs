//! The running gate opens incidents by itself: what is on record is folded as it comes, on a thread of its own.
//!
//! Whoever records never waits for it: where the fold is behind, records pass it by, are counted, and are read from the ledger a
//! moment later.

use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_config::Policy;
use portcullis_control::Live;
use portcullis_incident::{Incident, Stretch, Thresholds, Watch};
use portcullis_ledger::{Beat, Copies, Copy, Custody, Event, Path as Way, Recorder, Request, Sensor, Traffic};
use portcullis_store::{Store, Written};

use super::folding::{Folding, NAME};
use crate::console;
use crate::evidence::{self, GATE};
use crate::moment;

/// Batches of records that wait for the fold.
const WAITING: usize = 256;
/// How often those who look are shown the incidents.
const SHOWN_EVERY: Duration = Duration::from_secs(1);
/// A checkpoint is signed each second.
const SETTLED: Duration = Duration::from_secs(5);
/// How far back it is told who watched.
const DAY: u64 = 86_400_000;
/// How long figures of ten seconds say how it is: they are told a moment after their end.
const FIGURES_HOLD: u64 = 15_000;

/// Keeps records in a store, and watches what they come to.
pub(crate) struct Keeper {
    store: Arc<Store>,
    register: Mutex<Option<Copies>>,
    /// As they stood a moment ago, for whoever looks.
    incidents: Mutex<Vec<Incident>>,
    live: Arc<Live>,
    /// When this began, and who has watched since.
    watch: Mutex<(u64, Watch)>,
}

impl Keeper {
    /// Begins: the register is recorded, and what the ledger had before is read on the thread.
    pub(crate) fn begin(store: Arc<Store>, policy: &Policy, live: Arc<Live>) -> Arc<Self> {
        let written = store.follow(WAITING);
        let (register, incidents) = (Mutex::default(), Mutex::default());
        let watch = Mutex::new((moment::now(), Watch::default()));
        let keeper = Arc::new(Self { store, register, incidents, live, watch });
        keeper.register(policy);
        let Some(directory) = policy.evidence.directory.clone() else { return keeper };
        let [.., days] = policy.evidence.days;
        let (thresholds, kept) = (thresholds(policy), evidence::kept_for(days));
        // The thread ends with the ledger, or with whoever keeps this.
        let keeping = Arc::downgrade(&keeper);
        let body = move || {
            let mut fold = Folding::begin(directory, thresholds, kept);
            let mut shown: Option<Instant> = None;
            loop {
                {
                    let Some(keeper) = keeping.upgrade() else { return };
                    if shown.is_none_or(|at| at.elapsed() >= SHOWN_EVERY) {
                        shown = Some(Instant::now());
                        fold.docket().incidents().clone_into(&mut lock(&keeper.incidents));
                    }
                }
                let written = match written.recv_timeout(Duration::from_secs(1)) {
                    Ok(written) => Some(written),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                let Some(keeper) = keeping.upgrade() else { return };
                let published = keeper.store.counters().published.load(Ordering::Relaxed);
                written.iter().for_each(|written| keeper.watched(written));
                for event in written.map(|written| fold.hear(written, published)).into_iter().flatten() {
                    if let Event::Opened(opened) = &event {
                        tracing::warn!(incident = opened.incident, "an incident began: {}", opened.words);
                    }
                    keeper.record(&GATE, event);
                }
                if let Some(kept) = fold.kept_at(published) {
                    keeper.store.keep(NAME, kept);
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("incidents".to_owned()).spawn(body) {
            tracing::error!(%error, "no incident is opened by itself");
        }
        keeper
    }

    /// The incidents, as they stood a moment ago.
    pub(crate) fn incidents(&self) -> Vec<Incident> {
        lock(&self.incidents).clone()
    }

    /// What became of requests in the last ten seconds that are told, if that is not long ago.
    pub(crate) fn figures(&self) -> Vec<Traffic> {
        let mut figures = self.store.figures();
        let now = moment::now();
        figures.retain(|traffic| now.saturating_sub(traffic.until) < FIGURES_HOLD);
        figures
    }

    /// Waits until whoever reads the ledger finds what was recorded before: for as long as a disk that works could need.
    pub(crate) fn settle(&self) {
        if !self.store.settle(SETTLED) {
            tracing::warn!("the ledger's disk is behind: what was recorded last may be missing in what is read now");
        }
    }

    /// How much of the last day, or of the time since this began, all of these sensors watched.
    pub(crate) fn coverage(&self, sensors: &[Sensor]) -> Stretch {
        let watch = lock(&self.watch);
        let (began, watch) = &*watch;
        let until = watch.last_beat().unwrap_or(*began);
        watch.stretch(sensors, until.saturating_sub(DAY).max(*began), until.max(*began))
    }

    /// The register as it was recorded last.
    pub(crate) fn copies(&self) -> Option<Copies> {
        lock(&self.register).clone()
    }

    fn watched(&self, written: &Written) {
        for (index, record) in (written.first..).zip(&written.records) {
            if Event::kind_of(&record.event) == "beats"
                && let Ok(Event::Beats { beats }) = Event::read(&record.event)
            {
                lock(&self.watch).1.beats(record.unix_millis, index, &beats);
            }
        }
    }

    /// Records the register of copies where it is not the one before.
    pub(crate) fn register(&self, policy: &Policy) {
        let copies = copies(policy);
        let mut known = lock(&self.register);
        if policy.copies.is_empty() && known.is_none() || known.as_ref() == Some(&copies) {
            return;
        }
        self.store.record(&GATE, Event::Copies(copies.clone()));
        *known = Some(copies);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From when on something is an incident, as the configuration has it.
pub(crate) fn thresholds(policy: &Policy) -> Thresholds {
    let pause_millis = u64::try_from(policy.evidence.calm.as_millis()).unwrap_or(u64::MAX);
    Thresholds { pause_millis, ..Thresholds::default() }
}

/// The register as the configuration has it.
pub(crate) fn copies(policy: &Policy) -> Copies {
    Copies { copies: policy.copies.iter().map(copy).collect() }
}

fn copy(copy: &portcullis_config::Copy) -> Copy {
    let way = |way: &portcullis_config::Way| Way {
        name: way.name.clone(),
        words: way.words.clone(),
        custody: match way.custody.as_str() {
            "guarded" => Custody::Guarded,
            "attested" => Custody::Attested,
            _ => Custody::Unguarded,
        },
        sensors: way.sensors.iter().map(|sensor| Sensor::Owned(sensor.clone())).collect(),
    };
    Copy {
        name: copy.name.clone(),
        what: copy.what.clone(),
        holder: copy.holder.clone(),
        categories: copy.categories.clone(),
        people: (copy.people > 0).then_some(copy.people),
        paths: copy.paths.iter().map(way).collect(),
    }
}

impl Recorder for Keeper {
    fn record(&self, sensor: &Sensor, event: Event) {
        if let Some(happening) = console::happening(&event) {
            self.live.tell(&happening);
        }
        self.store.record(sensor, event);
    }

    fn pulse(&self, beat: Beat) {
        self.store.pulse(beat);
    }

    fn request(&self, request: &Request<'_>) {
        self.store.request(request);
    }
}
