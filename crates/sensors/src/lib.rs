//! What is watched beside traffic: files, pages, certificates, names, schemas, ways past the gate, the configuration.
//!
//! Each sensor says each second whether it sees, states what it can never see, and is tried by drills through its real path. It
//! refuses no visitor and changes nothing; what it finds goes on record. Start at [`Sensors`]; `files.rs` is the largest.

mod clerk;
mod control;
mod date;
mod drill;
pub mod files;
pub mod manifest;
mod sense;
pub mod signed;

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis_config::{Integrity, Policy};
use portcullis_ledger::Recorder;

pub use self::clerk::{in_force, judge};
pub use self::control::{Answer, Question, ask, socket};
pub use self::sense::{Sight, Told};
use crate::clerk::Clerk;
use crate::sense::{Board, Unkept};

/// Between two beats.
const BEAT: Duration = Duration::from_secs(1);
/// Before the first drill by schedule after a start: sensors have looked once by then.
const FIRST_DRILL: Duration = Duration::from_secs(60);

/// The sensors of a running gate. They end when this goes.
pub struct Sensors {
    shared: Arc<Shared>,
}

/// What the threads share; they hold it only while they work.
struct Shared {
    recorder: Arc<dyn Recorder>,
    set: Mutex<Arc<Set>>,
}

/// Sensors as one policy declares them.
pub(crate) struct Set {
    declared: Integrity,
    recorder: Arc<dyn Recorder>,
    board: Arc<Board>,
    files: BTreeMap<String, Sender<files::Ask>>,
    clerk: Clerk,
    /// One drill at a time.
    drilling: Mutex<()>,
}

impl Sensors {
    /// Begins to watch what the policy declares. Without a recorder what is found is told in the log alone.
    ///
    /// # Errors
    /// In words: a key that is none, a directory for what is in force that cannot be had, a thread.
    pub fn start(policy: &Policy, recorder: Option<Arc<dyn Recorder>>) -> Result<Self, String> {
        let recorder = recorder.unwrap_or_else(|| Arc::new(Unkept));
        let set = Set::begin(&policy.integrity, &recorder)?;
        let shared = Arc::new(Shared { recorder, set: Mutex::new(set) });
        let thread = |name: &str, body: fn(&Weak<Shared>)| {
            let shared = Arc::downgrade(&shared);
            let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || body(&shared));
            spawned.map(drop).map_err(|error| format!("a thread for the sensors: {error}"))
        };
        thread("sensors-beat", |shared| {
            while let Some(it) = shared.upgrade() {
                it.set().board.beat(&*it.recorder);
                drop(it);
                thread::sleep(BEAT);
            }
        })?;
        thread("sensors-clerk", |shared| {
            low_priority();
            let mut drilled: Option<Instant> = None;
            let begun = Instant::now();
            while let Some(it) = shared.upgrade() {
                let set = it.set();
                drop(it);
                set.clerk.look(&set);
                let due =
                    drilled.map_or(begun.elapsed() >= FIRST_DRILL, |drilled| drilled.elapsed() >= set.declared.drill);
                if due && !set.declared.is_empty() {
                    drilled = Some(Instant::now());
                    set.drill(None, "schedule");
                }
                drop(set);
                thread::sleep(BEAT);
            }
        })?;
        control::open(&socket(&policy.server.control), &shared)?;
        Ok(Self { shared })
    }

    /// Which manifest in force names a file of this SHA-256: what visitors are given may be compared with it.
    #[must_use]
    pub fn approves(&self, sha256: &[u8; 32]) -> Option<String> {
        self.shared.set().clerk.approves(sha256)
    }

    /// Watches what another policy declares. Where that is the same, nothing happens.
    ///
    /// # Errors
    /// As [`Sensors::start`]; what was watched before still is.
    pub fn adopt(&self, policy: &Policy) -> Result<(), String> {
        if self.shared.set().declared == policy.integrity {
            return Ok(());
        }
        let set = Set::begin(&policy.integrity, &self.shared.recorder)?;
        *self.shared.lock() = set;
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Arc<Set>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self) -> Arc<Set> {
        Arc::clone(&self.lock())
    }
}

impl Set {
    fn begin(declared: &Integrity, recorder: &Arc<dyn Recorder>) -> Result<Arc<Self>, String> {
        let board = Arc::new(Board::default());
        let clerk = Clerk::new(declared, recorder)?;
        let mut files = BTreeMap::new();
        for directory in &declared.files {
            let sense = board.sense(format!("files/{}", directory.name), files::BLIND_TO, recorder);
            let in_force = clerk.manifest(&directory.name);
            let (ask, asked) = mpsc::channel();
            let declared = directory.clone();
            thread::Builder::new()
                .name(format!("files-{}", directory.name).chars().take(15).collect())
                .spawn(move || files::run(&declared, in_force, sense, &asked))
                .map_err(|error| format!("a thread for {}: {error}", directory.name))?;
            files.insert(directory.name.clone(), ask);
        }
        let (declared, recorder) = (declared.clone(), Arc::clone(recorder));
        Ok(Arc::new(Self { declared, recorder, board, files, clerk, drilling: Mutex::new(()) }))
    }

    /// How each sensor stands.
    pub(crate) fn sights(&self) -> Vec<Sight> {
        self.board.sights()
    }
}

/// Sensors give way to whatever serves visitors.
pub(crate) fn low_priority() {
    // Of this thread alone, as Linux has it. Without it the sensors work all the same.
    let _ = rustix::process::setpriority_process(None, 10);
}

pub(crate) fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
