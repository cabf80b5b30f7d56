//! Where records wait in memory for the thread that writes, and how those are counted for which there was no room.
//!
//! Threads share lanes in turn, so that nobody waits for another. A lane is locked only while something is put in or all of it
//! is taken out.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_ledger::leaf::is_sensor;
use portcullis_ledger::{Event, Lost, Sensor};

use crate::log::{Appended, EVENT_BYTES, SENSORS};

/// Lanes in memory.
const LANES: usize = 16;
/// Bytes that wait in one at most. Beyond it, records are lost and counted.
const LANE_BYTES: usize = 2 * 1024 * 1024;
/// Records that wait in one at most.
const LANE_RECORDS: usize = 16_384;

/// All lanes, and what was lost.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: [Mutex<Lane>; LANES],
    lost: Mutex<BTreeMap<Sensor, Missing>>,
    /// The disk does not take anything at the moment: what is lost now is lost for that.
    pub(crate) failing: AtomicBool,
    /// It is full.
    pub(crate) full: AtomicBool,
    /// Records that were lost so far, and requests of which nothing is known.
    pub(crate) lost_records: AtomicU64,
    pub(crate) lost_requests: AtomicU64,
}

#[derive(Debug, Default)]
struct Lane {
    records: Vec<Appended>,
    bytes: usize,
    closed: bool,
}

/// What of one sensor nobody kept.
#[derive(Debug, Clone, Default)]
struct Missing {
    records: u64,
    requests: u64,
    rows: u64,
    from: u64,
    why: &'static str,
}

/// What nobody kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Missed {
    /// A record.
    Record,
    /// So many requests, of which nothing else is known.
    Requests(u64),
    /// So many requests, which are in the figures.
    Rows(u64),
}

impl Lanes {
    /// Puts a record in the lane of this thread, or counts it as lost.
    pub(crate) fn put(&self, sensor: &Sensor, event: &Event, unix_millis: u64) {
        let class = event.retention();
        let Some(event) = serde_json::to_vec(event).ok().filter(|event| event.len() <= EVENT_BYTES) else {
            return self.miss(sensor, Missed::Record, unix_millis, Some("too-large"));
        };
        let taken = {
            let mut lane = lock(self.lane());
            let room = !lane.closed && lane.records.len() < LANE_RECORDS && lane.bytes + event.len() <= LANE_BYTES;
            if room {
                lane.bytes += event.len();
                let sensor = if is_sensor(sensor) { sensor.clone() } else { Sensor::Borrowed("unnamed") };
                lane.records.push(Appended { sensor, unix_millis, class, event });
            }
            room
        };
        if !taken {
            self.miss(sensor, Missed::Record, unix_millis, None);
        }
    }

    /// Counts what nobody kept.
    pub(crate) fn miss(&self, sensor: &Sensor, what: Missed, unix_millis: u64, why: Option<&'static str>) {
        let why =
            why.unwrap_or_else(|| match (self.failing.load(Ordering::Relaxed), self.full.load(Ordering::Relaxed)) {
                (true, true) => "disk-full",
                (true, false) => "disk-failed",
                (false, _) => "queue-full",
            });
        let mut lost = lock(&self.lost);
        let sensor = if is_sensor(sensor) && (lost.contains_key(sensor) || lost.len() < SENSORS) {
            sensor.clone()
        } else {
            Sensor::Borrowed("unnamed")
        };
        let missing = lost.entry(sensor).or_insert_with(|| Missing { from: unix_millis, why, ..Missing::default() });
        match what {
            Missed::Record => {
                missing.records += 1;
                self.lost_records.fetch_add(1, Ordering::Relaxed);
            }
            Missed::Requests(count) => {
                missing.requests += count;
                self.lost_requests.fetch_add(count, Ordering::Relaxed);
            }
            Missed::Rows(count) => missing.rows += count,
        }
    }

    /// Everything that waits, in front of it what was lost since the last time.
    pub(crate) fn take(&self, unix_millis: u64, close: bool, out: &mut Vec<Appended>) {
        let lost = std::mem::take(&mut *lock(&self.lost));
        for (sensor, missing) in lost {
            let Missing { records, requests, rows, from, why } = missing;
            let event = Event::Lost(Lost { records, requests, rows, from, until: unix_millis, why: why.to_owned() });
            let class = event.retention();
            let event = serde_json::to_vec(&event).unwrap_or_default();
            out.push(Appended { sensor, unix_millis, class, event });
        }
        for lane in &self.lanes {
            let mut lane = lock(lane);
            out.append(&mut lane.records);
            lane.bytes = 0;
            lane.closed = close;
        }
    }

    fn lane(&self) -> &Mutex<Lane> {
        let [first, ..] = &self.lanes;
        self.lanes.get(turn(LANES)).unwrap_or(first)
    }
}

/// The number that this thread has among so many.
pub(crate) fn turn(of: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed)));
    MINE.get() % of
}

/// For what is whole after every statement under its lock, so that a panic elsewhere does not spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
