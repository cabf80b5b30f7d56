//! The running gate opens incidents by itself: what it records is folded as it comes, on a thread of its own.
//!
//! Whoever records never waits for it: where the fold is behind, records pass it by and are counted, and the next reading of the
//! ledger finds what it missed.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_config::Policy;
use portcullis_control::Live;
use portcullis_incident::{Docket, Incident, Thresholds};
use portcullis_ledger::{Beat, Copies, Copy, Custody, Event, Path as Way, Record, Recorder, Request, Sensor, Traffic};
use portcullis_store::{Passage, Store};

use crate::console;
use crate::evidence::GATE;
use crate::moment;

/// Records that wait for the fold. Those that open an incident are told in batches by those who make them.
const WAITING: usize = 4_096;
/// How often those who look are shown the incidents.
const SHOWN_EVERY: Duration = Duration::from_secs(1);
/// How long figures of ten seconds say how it is: they are told a moment after their end.
const FIGURES_HOLD: u64 = 15_000;

/// Keeps records in a store, and watches what they come to.
pub(crate) struct Keeper {
    store: Arc<Store>,
    fold: SyncSender<(u64, Event)>,
    passed_by: AtomicU64,
    register: Mutex<Option<Copies>>,
    /// As they stood a moment ago, for whoever looks.
    incidents: Mutex<Vec<Incident>>,
    live: Arc<Live>,
}

impl Keeper {
    /// Begins: the register is recorded, and what the ledger had before is read on the thread.
    pub(crate) fn begin(store: Arc<Store>, policy: &Policy, live: Arc<Live>) -> Arc<Self> {
        let (fold, records) = sync_channel::<(u64, Event)>(WAITING);
        let keeper = Arc::new(Self {
            store: Arc::clone(&store),
            fold,
            passed_by: AtomicU64::new(0),
            register: Mutex::default(),
            incidents: Mutex::default(),
            live,
        });
        keeper.register(policy);
        let directory = policy.evidence.directory.clone();
        let thresholds = thresholds(policy);
        let shown = Arc::downgrade(&keeper);
        let body = move || {
            let mut docket = directory.map_or_else(|| Docket::new(thresholds), |it| before(&it, thresholds));
            let mut told_at: Option<Instant> = None;
            loop {
                if told_at.is_none_or(|at| at.elapsed() >= SHOWN_EVERY) {
                    told_at = Some(Instant::now());
                    let Some(keeper) = shown.upgrade() else { return };
                    docket.incidents().clone_into(&mut lock(&keeper.incidents));
                }
                let told = match records.recv_timeout(Duration::from_secs(1)) {
                    Ok((at, event)) => {
                        docket.record(&Record { index: 0, sensor: GATE, seq: 0, unix_millis: at, event: Some(event) })
                    }
                    Err(RecvTimeoutError::Timeout) => docket.tick(moment::now()),
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                for event in told {
                    if let Event::Opened(opened) = &event {
                        tracing::warn!(incident = opened.incident, "an incident began: {}", opened.words);
                    }
                    if let (Some(keeper), Some(happening)) = (shown.upgrade(), console::happening(&event)) {
                        keeper.live.tell(&happening);
                    }
                    store.record(&GATE, event.clone());
                    // The fold knows from now on that it is on record.
                    docket.record(&Record {
                        index: 0,
                        sensor: GATE,
                        seq: 0,
                        unix_millis: moment::now(),
                        event: Some(event),
                    });
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

    /// Records the register of copies where it is not the one before.
    pub(crate) fn register(&self, policy: &Policy) {
        let copies = Copies { copies: policy.copies.iter().map(copy).collect() };
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

/// What the ledger had before this process.
fn before(directory: &Path, thresholds: Thresholds) -> Docket {
    let mut docket = Docket::new(thresholds);
    let read = portcullis_store::read_classes(directory, Docket::wants, |passage| match passage {
        Passage::Record(record) => drop(docket.record(record)),
        Passage::Until(unix_millis) => drop(docket.tick(unix_millis)),
    });
    match read {
        Ok(()) => {}
        // A new ledger has no checkpoint yet.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(%error, "what was on record before cannot be read: an open incident may be opened again")
        }
    }
    docket
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

/// Whether the fold looks at it at all; figures come each second and open nothing.
const fn concerns(event: &Event) -> bool {
    !matches!(
        event,
        Event::Beats { .. }
            | Event::Traffic(_)
            | Event::Probe(_)
            | Event::Egress(_)
            | Event::Statements(_)
            | Event::Copies(_)
    )
}

impl Recorder for Keeper {
    fn record(&self, sensor: &Sensor, event: Event) {
        if concerns(&event)
            && let Err(TrySendError::Full(_)) = self.fold.try_send((moment::now(), event.clone()))
            && self.passed_by.fetch_add(1, Ordering::Relaxed) == 0
        {
            tracing::warn!("more happens than is folded into incidents; the ledger has all of it");
        }
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
