//! The running store: takes records from every thread, and writes them with one of its own.
//!
//! The disk may fail for as long as it likes: records wait in memory, then are counted, and the first that can be written
//! again says how many and why. Whoever records never learns of it and never waits.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis_ledger::note::SignerKey;
use portcullis_ledger::{Beat, Event, Lost, Recorder, Request, Sensor, Traffic, Witnessed};

use crate::beats::Beats;
use crate::disk::{Directory, Disk};
use crate::folds::Fold;
use crate::lanes::{Lanes, lock};
use crate::log::{Appended, DAY_MILLIS, Ledger, Opening, Retain};
use crate::requests::{self, Waiting};
use crate::rollups;
use crate::seal::seal;
use crate::stamp::{self, Authority};
use crate::witness::Asked;

/// How often records are appended and synced: what is on record is safe from `kill -9` after this time.
pub const COMMIT_EVERY: Duration = Duration::from_millis(50);
/// How often a checkpoint is signed, and sensors beat.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// How often events that are kept long enough are looked for.
const ERASE_EVERY: Duration = Duration::from_secs(600);
/// How far the clock may stray in that time before it is not believed.
const CLOCK_MILLIS: u64 = 60_000;
/// How often witnesses are shown the latest checkpoint, and how often it is recorded that they go on signing.
const WITNESS_EVERY: Duration = Duration::from_millis(500);
const WITNESSED_EVERY: Duration = Duration::from_secs(60);
/// Records that are appended at once at most.
const BATCH: usize = 8_192;
/// Whose the store's own records are.
pub(crate) const GATE: Sensor = Sensor::Borrowed("gate");

/// What a store needs.
#[derive(Debug)]
pub struct Settings {
    /// Where it lies.
    pub directory: Directory,
    /// By which it signs; its name is the log's origin.
    pub key: SignerKey,
    /// How long events are kept.
    pub retain: Retain,
    /// How long single requests are.
    pub requests: requests::Keep,
    /// How long roll-ups are.
    pub rollups: rollups::Keep,
    /// Who is asked to cosign, each second.
    pub witnesses: Vec<Asked>,
    /// How many of them are enough.
    pub quorum: usize,
    /// Who is asked to stamp checkpoints with a time.
    pub authorities: Vec<Authority>,
    /// Whether to wait for another process that writes there now, as a new gate does that takes over.
    pub wait: bool,
}

impl Settings {
    /// Everything is kept for ever, nobody is asked, and nobody is waited for.
    #[must_use]
    pub fn new(directory: Directory, key: SignerKey) -> Self {
        Self {
            directory,
            key,
            retain: Retain::default(),
            requests: requests::Keep { millis: None, bytes: u64::MAX },
            rollups: rollups::Keep::default(),
            witnesses: Vec::new(),
            quorum: 0,
            authorities: Vec::new(),
            wait: false,
        }
    }
}

/// The open store.
pub struct Store {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    writer: Thread,
}

pub(crate) struct Shared {
    pub(crate) lanes: Lanes,
    pub(crate) beats: Beats,
    pub(crate) counters: Counters,
    /// Nothing more is taken.
    pub(crate) closing: AtomicBool,
    /// All but the ledger have ended.
    pub(crate) ending: AtomicBool,
    /// Requests that wait.
    pub(crate) requests: Waiting,
    /// What was counted of them, for the roll-ups.
    pub(crate) rollups: rollups::Handed,
    /// The directory is this process's to write.
    pub(crate) owns: AtomicBool,
    /// The last figures of requests that were told.
    pub(crate) figures: Mutex<Vec<Traffic>>,
    /// Who is told of what is durable.
    follower: Mutex<Option<SyncSender<Written>>>,
}

/// Records that are on the disk, in the order of their leaves.
#[derive(Debug)]
pub struct Written {
    /// The index of the first.
    pub first: u64,
    /// They, with what they say as it lies there.
    pub records: Vec<Appended>,
}

/// What became of what was recorded.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records in the ledger.
    pub written: AtomicU64,
    /// Faults of the disk.
    pub faults: AtomicU64,
    /// Leaves under the latest checkpoint.
    pub published: AtomicU64,
    /// Rounds of writing that were begun, and the last of them that ended with a checkpoint: what was recorded before it began is
    /// under that.
    rounds: [AtomicU64; 2],
    /// Requests that are counted in the ledger's figures and could not be written one by one.
    pub requests_unwritten: AtomicU64,
    /// Checkpoints that an authority stamped with a time.
    pub stamped: AtomicU64,
    /// How often one was asked and gave none.
    pub unstamped: AtomicU64,
    /// Requests that are counted in the ledger's figures and missing in the roll-ups.
    pub rollups_unwritten: AtomicU64,
    /// Times that the roll-ups could not be written.
    pub rollup_faults: AtomicU64,
    /// Records for which whoever follows had no room: they are read from the disk instead.
    pub passed_by: AtomicU64,
}

impl Store {
    /// Opens the directory and starts to write.
    ///
    /// # Errors
    /// When the directory cannot be opened, or holds a log that this key did not sign, or contradicts itself; or another
    /// process writes it and there is no waiting.
    pub fn open(settings: Settings) -> Result<Arc<Self>, Opening> {
        let Settings { directory, key, retain, requests, rollups, witnesses, quorum, authorities, wait } = settings;
        let lock = match directory.lock() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && wait => None,
            lock => Some(lock?),
        };
        let ledger = match &lock {
            Some(_) => Some(Ledger::open(directory.clone(), key.clone(), random)?),
            None => None,
        };
        let shared = Arc::new(Shared {
            lanes: Lanes::default(),
            beats: Beats::default(),
            counters: Counters::default(),
            closing: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            requests: Waiting::default(),
            rollups: rollups::Handed::default(),
            owns: AtomicBool::new(lock.is_some()),
            figures: Mutex::default(),
            follower: Mutex::default(),
        });
        let witnessing = (!witnesses.is_empty())
            .then(|| {
                let (shared, directory) = (Arc::clone(&shared), directory.clone());
                let run = move || witness_until_closed(&shared, &directory, witnesses, quorum);
                thread::Builder::new().name("witnesses".to_owned()).spawn(run)
            })
            .transpose()?;
        let stamping = (!authorities.is_empty())
            .then(|| {
                let (shared, directory) = (Arc::clone(&shared), directory.clone());
                let run = move || stamp::ask_until_closed(&shared, &directory, authorities, quorum > 0);
                thread::Builder::new().name("stamps".to_owned()).spawn(run)
            })
            .transpose()?;
        let requests = requests::start(Arc::clone(&shared), directory.clone(), requests, rollups.seconds)?;
        let rolling = rollups::start(Arc::clone(&shared), directory.clone(), rollups)?;
        let writer = Writer {
            shared: Arc::clone(&shared),
            directory,
            key,
            retain,
            lock,
            ledger,
            batch: Vec::new(),
            expected: None,
            sick: false,
            erased: Instant::now(),
            erased_at: now(),
        };
        let handle = thread::Builder::new().name("ledger".to_owned()).spawn(move || writer.run())?;
        let writer = handle.thread().clone();
        let threads = [requests, rolling].into_iter().chain(witnessing).chain(stamping).chain([handle]).collect();
        Ok(Arc::new(Self { shared, threads: Mutex::new(threads), writer }))
    }

    /// What became of what was recorded.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// The figures of requests that were told last: of the ten seconds before, where something came.
    #[must_use]
    pub fn figures(&self) -> Vec<Traffic> {
        lock(&self.shared.figures).clone()
    }

    /// Records, and requests of which nothing else is known, that there was no room for: the ledger's next records tell of them.
    #[must_use]
    pub fn lost(&self) -> [u64; 2] {
        let lanes = &self.shared.lanes;
        [&lanes.lost_records, &lanes.lost_requests].map(|lost| lost.load(Ordering::Relaxed))
    }

    /// Waits until all that was recorded before is under a checkpoint, where whoever reads the directory finds it; at most so long,
    /// because a disk may take nothing. Whether it is.
    pub fn settle(&self, patience: Duration) -> bool {
        let (asked, [begun, ended]) = (Instant::now(), &self.shared.counters.rounds);
        let before = begun.load(Ordering::Acquire);
        while ended.load(Ordering::Acquire) <= before {
            if asked.elapsed() >= patience {
                return false;
            }
            thread::sleep(COMMIT_EVERY);
        }
        true
    }

    /// What is written from about now on, as soon as it is durable, in the order of the leaves. Nobody waits for whoever follows:
    /// beyond so many batches the next ones are left out, which their indices show, and can be read from the disk a checkpoint
    /// later. One follows at a time. It ends with the ledger.
    pub fn follow(&self, batches: usize) -> Receiver<Written> {
        let (sender, receiver) = sync_channel(batches);
        *lock(&self.shared.follower) = Some(sender);
        receiver
    }

    /// Keeps what was folded from the records beside the roll-ups, in place of what was before: see [`recall`](crate::recall).
    pub fn keep(&self, name: &'static str, fold: Fold) {
        self.shared.rollups.keep(name, fold);
    }

    /// Writes what waits, signs a last checkpoint, and ends. What is recorded afterwards is lost.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        // The ledger ends last: what the others say at their end is in it.
        for thread in lock(&self.threads).drain(..) {
            if thread.thread().id() == self.writer.id() {
                self.shared.ending.store(true, Ordering::Release);
            }
            thread.thread().unpark();
            // One that panicked has nothing more to say; the gap in its beats does.
            let _ = thread.join();
            // The first has handed over all that it counted.
            self.shared.rollups.end();
        }
    }
}

impl Recorder for Store {
    fn record(&self, sensor: &Sensor, event: Event) {
        let now = now();
        self.shared.rollups.hear(&event, now);
        self.shared.lanes.put(sensor, &event, now);
    }

    fn pulse(&self, beat: Beat) {
        self.shared.beats.hear(beat);
    }

    fn request(&self, request: &Request<'_>) {
        self.shared.requests.put(request);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("counters", &self.shared.counters).finish_non_exhaustive()
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// The operating system's randomness.
///
/// # Errors
/// When it has none.
pub fn random(bytes: &mut [u8]) -> io::Result<()> {
    use std::io::Read;
    File::open("/dev/urandom")?.read_exact(bytes)
}

struct Writer {
    shared: Arc<Shared>,
    directory: Directory,
    key: SignerKey,
    retain: Retain,
    lock: Option<File>,
    ledger: Option<Ledger<Directory>>,
    /// What was taken from the lanes and is not durable yet.
    batch: Vec<Appended>,
    /// The size that the ledger has if a batch that failed is in it after all, and the length of that.
    expected: Option<(u64, usize)>,
    sick: bool,
    erased: Instant,
    erased_at: u64,
}

impl Writer {
    fn run(mut self) {
        let (mut second, mut begun) = (Instant::now(), false);
        loop {
            let closing = self.shared.ending.load(Ordering::Acquire);
            if !begun && (!self.shared.lanes.failing.load(Ordering::Relaxed) || second.elapsed() >= CHECKPOINT_EVERY) {
                begun = self.begin();
            }
            if second.elapsed() >= CHECKPOINT_EVERY || closing {
                second = Instant::now();
                let round = self.shared.counters.rounds[0].fetch_add(1, Ordering::AcqRel) + 1;
                let beats = self.shared.beats.all();
                if !beats.is_empty() && !closing {
                    self.shared.lanes.put(&GATE, &Event::Beats { beats }, now());
                }
                self.heal();
                self.commit(closing);
                if self.checkpoint() {
                    self.shared.counters.rounds[1].store(round, Ordering::Release);
                }
                self.tidy();
            } else {
                self.commit(false);
            }
            if closing {
                lock(&self.shared.follower).take();
                return;
            }
            thread::park_timeout(COMMIT_EVERY);
        }
    }

    /// Whether the ledger is open; a directory that another process holds is waited for.
    fn begin(&mut self) -> bool {
        if self.lock.is_none() {
            match self.directory.lock() {
                Ok(lock) => {
                    self.lock = Some(lock);
                    self.shared.owns.store(true, Ordering::Release);
                }
                Err(_) => return false,
            }
        }
        if self.ledger.is_none() {
            match Ledger::open(self.directory.clone(), self.key.clone(), random) {
                Ok(ledger) => self.ledger = Some(ledger),
                Err(error) => {
                    tracing::error!("the ledger cannot be opened: {error}");
                    self.fail(&io::Error::other(error.to_string()));
                    return false;
                }
            }
        }
        let Some(ledger) = &self.ledger else { return false };
        self.shared.lanes.failing.store(false, Ordering::Relaxed);
        self.shared.counters.published.store(ledger.published().unwrap_or(0), Ordering::Relaxed);
        // Whoever ended without a word may have had something in hand: at most what one commit takes.
        let (from, until) = (ledger.last_millis(), now());
        if ledger.size() > 0 && !ledger.stopped() {
            let lost = Lost { from, until, why: "killed".to_owned(), ..Lost::default() };
            self.shared.lanes.put(&GATE, &Event::Lost(lost), until);
        }
        true
    }

    fn commit(&mut self, closing: bool) {
        if self.ledger.is_none() || self.sick {
            return;
        }
        loop {
            if self.batch.is_empty() {
                self.shared.lanes.take(now(), closing, &mut self.batch);
            }
            if self.batch.is_empty() {
                return;
            }
            let count = self.batch.len().min(BATCH);
            let Some(ledger) = &mut self.ledger else { return };
            let before = ledger.size();
            match self.batch.get(..count).map_or(Ok(()), |some| ledger.append(some)) {
                Ok(()) => self.wrote(before, count),
                Err(error) => {
                    self.expected = Some((before, count));
                    return self.fail(&error);
                }
            }
            if self.batch.is_empty() {
                return;
            }
        }
    }

    /// So many of the batch are durable, the first of them as that leaf.
    fn wrote(&mut self, first: u64, count: usize) {
        let records: Vec<Appended> = self.batch.drain(..count.min(self.batch.len())).collect();
        self.shared.counters.written.fetch_add(count as u64, Ordering::Relaxed);
        let follower = lock(&self.shared.follower);
        if let Some(follower) = &*follower
            && let Err(TrySendError::Full(_)) = follower.try_send(Written { first, records })
        {
            self.shared.counters.passed_by.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Whether all that is written is under one.
    fn checkpoint(&mut self) -> bool {
        if self.sick {
            return false;
        }
        let Some(ledger) = &mut self.ledger else { return false };
        match ledger.checkpoint() {
            Ok(size) => self.shared.counters.published.store(size, Ordering::Relaxed),
            Err(error) => self.fail(&error),
        }
        !self.sick
    }

    fn fail(&mut self, error: &io::Error) {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        self.shared.lanes.full.store(full, Ordering::Relaxed);
        self.shared.lanes.failing.store(true, Ordering::Relaxed);
        self.shared.counters.faults.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(&mut self.sick, self.ledger.is_some()) {
            tracing::error!("the ledger's disk does not take records, the gate goes on: {error}");
        }
    }

    /// After a fault, the directory is read anew: it says what the disk has of the batch that failed.
    fn heal(&mut self) {
        if !self.sick {
            return;
        }
        let Some(ledger) = &mut self.ledger else { return };
        match ledger.reopen() {
            Ok(()) => {
                self.sick = false;
                self.shared.lanes.failing.store(false, Ordering::Relaxed);
                tracing::info!("the ledger's disk takes records again");
                if let Some((before, count)) = self.expected.take()
                    && ledger.size() >= before + count as u64
                {
                    self.wrote(before, count);
                }
            }
            Err(error) => {
                self.shared.counters.faults.fetch_add(1, Ordering::Relaxed);
                tracing::debug!("the ledger cannot be opened again: {error}");
            }
        }
    }

    /// Compresses segments that grow no more, and removes what was kept long enough.
    fn tidy(&mut self) {
        let Some(ledger) = &mut self.ledger else { return };
        for path in ledger.take_sealable() {
            if let Err(error) = seal(ledger.disk(), &path) {
                tracing::warn!("{path} stays as it is: {error}");
            }
        }
        if self.erased.elapsed() >= ERASE_EVERY {
            // A clock that jumped would erase what is not old: it must have gone on as time does since the last look.
            let (steady, wall) = (self.erased.elapsed().as_millis() as u64, now().saturating_sub(self.erased_at));
            (self.erased, self.erased_at) = (Instant::now(), now());
            if wall.abs_diff(steady) > CLOCK_MILLIS {
                return tracing::warn!("the clock jumped: nothing is erased for now");
            }
            match erase(ledger.disk(), &self.retain, now()) {
                Ok(0) => {}
                Ok(days) => tracing::info!("events of {days} days were kept long enough and are erased"),
                Err(error) => tracing::warn!("events that were kept long enough are still there: {error}"),
            }
        }
    }
}

/// Shows each new checkpoint to the witnesses. What they say is recorded when it changes, and each minute.
fn witness_until_closed(shared: &Shared, directory: &Directory, mut witnesses: Vec<Asked>, quorum: usize) {
    let mut told: Vec<Option<(bool, Instant)>> = vec![None; witnesses.len()];
    let mut asked = 0;
    while !shared.closing.load(Ordering::Acquire) {
        let begun = Instant::now();
        let size = shared.counters.published.load(Ordering::Relaxed);
        if size > asked {
            match crate::witness::ask_all(directory, &mut witnesses, quorum) {
                Ok((size, answers)) => {
                    asked = size;
                    for ((witness, told), answer) in witnesses.iter().zip(&mut told).zip(answers) {
                        let good = answer.is_ok();
                        if told.is_some_and(|(before, at)| before == good && at.elapsed() < WITNESSED_EVERY) {
                            continue;
                        }
                        *told = Some((good, Instant::now()));
                        let words = answer.err().unwrap_or_default();
                        let witness = witness.key.name().to_owned();
                        shared.lanes.put(&GATE, &Event::Witnessed(Witnessed { witness, size, good, words }), now());
                    }
                }
                Err(error) => tracing::warn!("witnesses cannot be shown the ledger: {error}"),
            }
        }
        thread::sleep(WITNESS_EVERY.saturating_sub(begun.elapsed()).max(COMMIT_EVERY));
    }
}

/// Removes the partitions of which every event was kept long enough; says how many. The tree stays as it is.
///
/// # Errors
/// When the disk fails.
pub fn erase(disk: &impl Disk, retain: &Retain, unix_millis: u64) -> io::Result<usize> {
    let mut erased = 0;
    for class in portcullis_ledger::Retention::ALL {
        let Some(Some(keep)) = retain.millis.get(usize::from(class.code())) else { continue };
        let Some(until) = unix_millis.checked_sub(*keep) else { continue };
        let last = crate::log::date(until / DAY_MILLIS);
        let directory = format!("events/{}", class.name());
        for day in disk.list(&directory)? {
            // ISO dates sort as the days do. The day that the limit falls in is not over.
            if day < last {
                disk.remove(&format!("{directory}/{day}"))?;
                erased += 1;
            }
        }
    }
    Ok(erased)
}
