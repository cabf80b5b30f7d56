//! Every request: told in a microsecond, counted together for the ledger, and kept column by column for whoever asks later.
//!
//! Threads put rows in lanes; one thread takes them out, counts them and writes them. What there is no room for is counted.

pub(crate) mod block;
mod ranking;
pub(crate) mod row;
mod segment;
mod tally;
pub(crate) mod times;
mod traffic;

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_ledger::{Event, Request, Sensor};

pub use self::block::Column;
use self::block::Keys;
use self::row::{ROW_BYTES, rows};
pub(crate) use self::segment::{HOUR, replay};
pub use self::segment::{Query, Top, networks, pack_hours, top};
use self::segment::{Segments, hours, since};
pub use self::tally::Tally;
use self::traffic::{Counting, INTERVAL};
use crate::disk::{Directory, Disk as _};
use crate::lanes::{Missed, lock, turn};
use crate::log::replace;
use crate::rollups;
use crate::writer::{GATE, Shared, now, random};

/// How often lanes are emptied.
const DRAIN_EVERY: Duration = Duration::from_millis(50);
/// How often what came is written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked for what is to be packed or erased.
const TIDY_EVERY: Duration = Duration::from_secs(30);
const LANES: usize = 16;
/// Bytes that wait in one lane: 25,000 requests and more.
const LANE_BYTES: usize = 4 << 20;
/// Bytes that are held while another process still writes.
const HELD_BYTES: usize = 64 << 20;
/// Where the end of the last interval is kept that the ledger has.
const TOLD: &str = "requests/told";

/// How long single requests are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Milliseconds; for ever where there is nothing.
    pub millis: Option<u64>,
    /// Bytes on the disk; beyond them the oldest hours go first, but never the one that is written.
    pub bytes: u64,
}

/// Rows that wait in memory.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    lanes: [Mutex<Lane>; LANES],
}

#[derive(Debug, Default)]
struct Lane {
    rows: Vec<u8>,
    /// Requests for which there was no room.
    lost: u64,
}

impl Waiting {
    /// Puts a request in the lane of this thread.
    pub(crate) fn put(&self, request: &Request<'_>) {
        let [first, ..] = &self.lanes;
        let mut lane = lock(self.lanes.get(turn(LANES)).unwrap_or(first));
        if lane.rows.len() + ROW_BYTES > LANE_BYTES {
            lane.lost += 1;
            return;
        }
        row::write(request, &mut lane.rows);
    }

    fn take(&self, mut each: impl FnMut(&[u8])) -> u64 {
        let (mut lost, mut batch) = (0, Vec::new());
        for lane in &self.lanes {
            {
                let mut lane = lock(lane);
                lost += std::mem::take(&mut lane.lost);
                std::mem::swap(&mut lane.rows, &mut batch);
            }
            each(&batch);
            batch.clear();
        }
        lost
    }
}

/// The thread that counts and writes.
///
/// `rolled` is how long roll-ups of seconds are kept.
pub(crate) fn start(
    shared: Arc<Shared>,
    disk: Directory,
    keep: Keep,
    rolled: Option<u64>,
) -> io::Result<thread::JoinHandle<()>> {
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    let [one, other] = [&bytes[..8], &bytes[8..]].map(|half| half.try_into().map_or(7, u64::from_le_bytes));
    thread::Builder::new().name("requests".to_owned()).spawn(move || {
        let held = hold(&shared);
        let told = disk.read(TOLD).ok().and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok()).unwrap_or(0);
        let mut counting = Counting::new((one, other), told);
        // What a process before wrote and did not live to tell.
        if told > 0
            && let Err(error) = since(&disk, told, |row| counting.add(row))
        {
            tracing::warn!(%error, "requests that were written before cannot be counted again");
        }
        // Whatever lies there now was not told to this process.
        let oldest = rolled.map_or(0, |rolled| now().saturating_sub(rolled) / HOUR);
        if shared.owns.load(Ordering::Acquire) {
            shared.rollups.begin(hours(&disk, oldest).unwrap_or_default());
        }
        let segments = Segments::new(disk.clone(), Keys(one, other));
        let rolling = rollups::Batch::default();
        let mut writing = Writing { shared, disk, counting, rolling, segments, keep, keys: (one, other), sick: false };
        writing.take(&held);
        writing.run();
    })
}

/// Requests of the time in which another process still writes the directory.
fn hold(shared: &Shared) -> Vec<u8> {
    let (mut held, mut missed) = (Vec::new(), 0_u64);
    while !shared.owns.load(Ordering::Acquire) && !shared.closing.load(Ordering::Acquire) {
        let mut beyond = 0;
        missed += shared.requests.take(|batch| {
            if held.len() + batch.len() <= HELD_BYTES {
                held.extend_from_slice(batch);
            } else {
                beyond += rows(batch).count() as u64;
            }
        });
        missed += beyond;
        thread::park_timeout(DRAIN_EVERY);
    }
    if missed > 0 {
        shared.lanes.miss(&GATE, Missed::Requests(missed), now(), Some("queue-full"));
    }
    held
}

struct Writing {
    shared: Arc<Shared>,
    disk: Directory,
    counting: Counting,
    /// What is handed to the roll-ups next.
    rolling: rollups::Batch,
    segments: Segments<Directory>,
    keep: Keep,
    keys: (u64, u64),
    sick: bool,
}

impl Writing {
    fn run(mut self) {
        let (mut wrote, mut tidied) = (Instant::now(), Instant::now());
        loop {
            let closing = self.shared.closing.load(Ordering::Acquire);
            self.drain();
            if wrote.elapsed() >= WRITE_EVERY || closing {
                wrote = Instant::now();
                let written = self.segments.flush();
                self.note(written);
                self.roll();
                self.tell(closing);
            }
            if closing {
                return;
            }
            if tidied.elapsed() >= TIDY_EVERY {
                tidied = Instant::now();
                self.tidy();
            }
            thread::park_timeout(DRAIN_EVERY);
        }
    }

    fn drain(&mut self) {
        let shared = Arc::clone(&self.shared);
        let missed = shared.requests.take(|batch| self.take(batch));
        if missed > 0 {
            shared.lanes.miss(&GATE, Missed::Requests(missed), now(), Some("queue-full"));
        }
    }

    fn take(&mut self, batch: &[u8]) {
        for row in rows(batch) {
            self.counting.add(&row);
            self.rolling.add(&row);
            let added = self.segments.add(&row);
            if added.is_err() {
                self.note(added);
            }
        }
    }

    /// Hands over what was counted, and where the files of requests have come to.
    fn roll(&mut self) {
        let mut batch = std::mem::take(&mut self.rolling);
        self.segments.reached().for_each(|(hour, rows, whole)| batch.reach(hour, rows, whole));
        let missing = self.shared.rollups.hand(batch);
        self.shared.counters.rollups_unwritten.fetch_add(missing, Ordering::Relaxed);
    }

    /// Takes note of how writing went. The figures of what was not written are in the ledger all the same.
    fn note(&mut self, written: Result<(), (io::Error, u64)>) {
        match written {
            Ok(()) => self.sick = false,
            Err((error, rows)) => {
                self.shared.counters.requests_unwritten.fetch_add(rows, Ordering::Relaxed);
                let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                let why = if full { "disk-full" } else { "disk-failed" };
                self.shared.lanes.miss(&GATE, Missed::Rows(rows), now(), Some(why));
                if !std::mem::replace(&mut self.sick, true) {
                    tracing::error!(%error, "requests cannot be written; they are still counted together");
                }
            }
        }
    }

    fn tell(&mut self, closing: bool) {
        let over = self.counting.over(now(), closing);
        if over.is_empty() {
            return;
        }
        (*lock(&self.shared.figures)).clone_from(&over);
        for traffic in over {
            let sensor = match traffic.platform.as_str() {
                "" => GATE,
                platform => Sensor::Owned(format!("http/{platform}")),
            };
            self.shared.lanes.put(&sensor, &Event::Traffic(traffic), now());
        }
        let told = self.counting.told().to_string();
        if let Err(error) = replace(&self.disk, TOLD, told.as_bytes()) {
            tracing::debug!(%error, "where the last interval ended is not on the disk");
        }
    }

    fn tidy(&mut self) {
        // The hour that is written is not packed: who comes late would write behind what is gone.
        let over = now().min(self.segments.until());
        let sealed = pack_hours(&self.disk, self.keys, over, 1).map(|_| ());
        let old = self.keep.millis.map_or(0, |keep| now().saturating_sub(keep));
        let erased = self.segments.erase(old, self.keep.bytes, |path| {
            std::fs::metadata(self.disk.root().join(path)).map_or(0, |facts| facts.len())
        });
        if let Err(error) = sealed.and(erased.map(|_| ())) {
            tracing::warn!(%error, "hours of requests could not be packed or erased");
        }
    }
}

/// Milliseconds that requests are counted together over.
pub const TOGETHER: u64 = INTERVAL;
