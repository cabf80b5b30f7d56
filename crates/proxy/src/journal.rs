//! The decision log: one line of JSON for each decision, rotated and bounded on disk.
//!
//! It never makes a request wait for the disk, never grows without bound, and never loses a record silently: what the
//! queue or the disk could not take is counted exactly, and the next record that is written says how many (`lost`).
//!
//! Workers append lines to lanes in memory; one thread empties the lanes every [`DRAIN_EVERY`] and writes. Lines of one
//! worker are in order; lines of different workers may be apart by that time. [`find`] and [`explain`] read it back.

mod database;
pub mod evidence;
mod explain;
mod file;
mod find;
mod record;
mod search;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use portcullis_config::policy::DecisionLog;

pub(crate) use self::database::DatabaseRecord;
pub use self::evidence::Evidence;
pub use self::explain::{Part, Step, explain, explain_acts, harmless, in_english, meaning, printed, time};
use self::file::Files;
pub use self::find::{ACTS, each_found, find, find_acts};
pub use self::record::{Change, LINE_BYTES, Record, Source, Verdict};
pub use self::search::{Bounds, Decided, Place, Searched, Wanted, search};

/// How often the lanes are emptied: a record is in the kernel's hands, safe from `kill -9`, after this time.
pub const DRAIN_EVERY: Duration = Duration::from_millis(25);
/// Queues in memory. Threads share them in turn; with one a worker, nobody waits.
const LANES: usize = 16;
/// Bytes that wait in one lane. Beyond it, records are dropped and counted.
const LANE_BYTES: usize = 2 * 1024 * 1024;
/// Records that wait in one lane. Beyond it, records are dropped and counted.
const LANE_RECORDS: u64 = 16_384;
/// At this fill the writer is woken before its time.
const LANE_WAKE: usize = LANE_BYTES / 4;
/// A lane that stayed empty keeps no more memory than this.
const LANE_REST: usize = 256 * 1024;

const _: () = assert!(LINE_BYTES < LANE_REST && LANE_WAKE < LANE_BYTES);

/// The open log.
pub struct Journal {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    wake: OnceLock<Thread>,
}

/// What became of the records: written, dropped because the queue was full, failed because the disk was.
#[derive(Debug, Default)]
pub struct LogCounters {
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl LogCounters {
    /// Records that are on disk.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Records that were dropped because the queue was full, or the log closed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Records that the disk did not take.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

struct Shared {
    node: String,
    counters: Arc<LogCounters>,
    lanes: [Mutex<Lane>; LANES],
    /// Records lost that no written record has told about yet.
    lost: AtomicU64,
    enabled: AtomicBool,
    sample: AtomicU32,
    /// Where the writer is to write from now on; `Some(None)` means nowhere.
    next: Mutex<Option<Option<Files>>>,
    closing: AtomicBool,
}

/// Lines that wait.
#[derive(Default)]
struct Lane {
    lines: Vec<u8>,
    records: u64,
    /// Losses that these lines tell of, by position. If such a line is lost itself, they must be told again.
    told: Vec<(u64, u64)>,
    closed: bool,
}

impl Journal {
    /// Opens the log and starts its writer. `node` is named in each record.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or the thread cannot be started.
    pub fn open(log: &DecisionLog, node: &str) -> io::Result<Arc<Self>> {
        let files = open_files(log)?;
        let shared = Arc::new(Shared {
            node: node.to_owned(),
            counters: Arc::default(),
            lanes: Default::default(),
            lost: AtomicU64::new(0),
            enabled: AtomicBool::new(files.is_some()),
            sample: AtomicU32::new(log.sample),
            next: Mutex::new(Some(files)),
            closing: AtomicBool::new(false),
        });
        let writer = thread::Builder::new().name("decision-log".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || write_until_closed(&shared)
        })?;
        let wake = OnceLock::from(writer.thread().clone());
        Ok(Arc::new(Self { shared, writer: Mutex::new(Some(writer)), wake }))
    }

    /// Whether a decision is to be recorded: refusals and failures always, of a worker's served requests one in
    /// `log.sample`. `number` counts that worker's served requests.
    #[must_use]
    pub fn wants(&self, served: bool, number: u64) -> bool {
        if !self.shared.enabled.load(Ordering::Relaxed) {
            return false;
        }
        let sample = u64::from(self.shared.sample.load(Ordering::Relaxed));
        !served || (sample > 0 && number.is_multiple_of(sample))
    }

    /// Queues a record. It never waits for the disk.
    pub fn record(&self, record: &Record<'_>) {
        self.line(|out, node, lost| record.write(out, node, lost));
    }

    fn line(&self, write: impl FnOnce(&mut Vec<u8>, &str, u64)) {
        if !self.shared.enabled.load(Ordering::Relaxed) {
            return;
        }
        let mut lane = self.shared.lane();
        if lane.closed || lane.records >= LANE_RECORDS || lane.lines.len() + LINE_BYTES > LANE_BYTES {
            self.shared.counters.dropped.fetch_add(1, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let before = lane.lines.len();
        let lost = match self.shared.lost.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.shared.lost.swap(0, Ordering::Relaxed),
        };
        write(&mut lane.lines, &self.shared.node, lost);
        if lost > 0 {
            let position = lane.records;
            lane.told.push((position, lost));
        }
        lane.records += 1;
        let full = before < LANE_WAKE && lane.lines.len() >= LANE_WAKE;
        drop(lane);
        if full {
            self.wake();
        }
    }

    /// Queues the record of an act of the brain or of its operator.
    pub fn record_act(&self, act: &portcullis_engine::Act, unix_millis: u64) {
        self.line(|out, node, lost| record::write_act(out, act, unix_millis, node, lost));
    }

    /// Queues the record of a round of the gate's own probes: apart from those of visitors, by its kind.
    pub(crate) fn record_probes(&self, why: &str, asked: usize, alarms: &[crate::probe::Line], unix_millis: u64) {
        self.line(|out, node, lost| record::write_probes(out, (why, asked, alarms), unix_millis, node, lost));
    }

    /// Queues a record about a session of a database.
    pub(crate) fn record_database(&self, record: &DatabaseRecord<'_>) {
        self.line(|out, node, lost| record.write(out, node, lost));
    }

    /// Queues the record of a change that an operator made to the configuration.
    pub fn record_change(&self, change: &Change, unix_millis: u64) {
        self.line(|out, node, lost| record::write_change(out, change, unix_millis, node, lost));
    }

    /// What became of the records so far.
    #[must_use]
    pub fn counters(&self) -> Arc<LogCounters> {
        Arc::clone(&self.shared.counters)
    }

    /// Holds to another declaration from now on. The new file is opened here, so that a reload can be refused.
    ///
    /// # Errors
    /// When the file cannot be opened for appending; the log then goes on as it was.
    pub fn reconfigure(&self, log: &DecisionLog) -> io::Result<()> {
        let files = open_files(log)?;
        self.shared.sample.store(log.sample, Ordering::Relaxed);
        self.shared.enabled.store(files.is_some(), Ordering::Relaxed);
        *lock(&self.shared.next) = Some(files);
        Ok(())
    }

    /// Writes what waits and stops the writer. What is recorded afterwards is dropped and counted.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.wake();
        if let Some(writer) = lock(&self.writer).take() {
            // A writer that panicked has nothing more to say; its losses show in the counters.
            let _ = writer.join();
        }
    }

    fn wake(&self) {
        if let Some(writer) = self.wake.get() {
            writer.unpark();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("counters", &self.shared.counters).finish_non_exhaustive()
    }
}

impl Shared {
    /// The lane of this thread.
    fn lane(&self) -> MutexGuard<'_, Lane> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % LANES));
        let [first, ..] = &self.lanes;
        lock(self.lanes.get(MINE.get()).unwrap_or(first))
    }
}

fn open_files(log: &DecisionLog) -> io::Result<Option<Files>> {
    log.path.as_ref().map(|path| Files::open(path, log.file_bytes, log.files)).transpose()
}

/// For what is whole after every statement under its lock (a lane, what the brain told), so that a panic elsewhere does not
/// spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_until_closed(shared: &Shared) {
    let mut files: Option<Files> = None;
    let mut batch = Lane::default();
    loop {
        let closing = shared.closing.load(Ordering::Acquire);
        // What waits was recorded under the old declaration, so it goes to the old file first.
        let next = lock(&shared.next).take();
        if files.is_some() {
            drain(shared, &mut files, &mut batch, closing && next.is_none());
        }
        if let Some(next) = next {
            files = next;
            drain(shared, &mut files, &mut batch, closing);
        }
        if closing {
            return drain(shared, &mut files, &mut batch, true);
        }
        thread::park_timeout(DRAIN_EVERY);
    }
}

/// Empties every lane into the file. The lanes are locked only while their memory is exchanged.
fn drain(shared: &Shared, files: &mut Option<Files>, batch: &mut Lane, close: bool) {
    let mut idle = true;
    for lane in &shared.lanes {
        {
            let mut lane = lock(lane);
            lane.closed = close;
            if lane.records == 0 {
                lane.lines.shrink_to(LANE_REST);
                continue;
            }
            std::mem::swap(&mut lane.lines, &mut batch.lines);
            batch.records = std::mem::take(&mut lane.records);
            batch.told = std::mem::take(&mut lane.told);
        }
        idle = false;
        let written = files.as_mut().map_or(0, |files| files.write(&batch.lines));
        batch.lines.clear();
        shared.counters.written.fetch_add(written, Ordering::Relaxed);
        let failed = batch.records.saturating_sub(written);
        if failed > 0 {
            let untold: u64 = batch.told.iter().filter(|(at, _)| *at >= written).map(|(_, lost)| lost).sum();
            shared.counters.failed.fetch_add(failed, Ordering::Relaxed);
            shared.lost.fetch_add(failed + untold, Ordering::Relaxed);
        }
    }
    if idle {
        batch.lines.shrink_to(LANE_REST);
    }
}

#[cfg(test)]
mod tests;
