//! Rates per key in fixed memory: GCRA cells in a set-associative table that all workers share.
//!
//! It never locks, never grows, and never refuses a key because the table is full.
//!
//! A cell is a fingerprint of (rule, key) and the tick at which its next request is due (the theoretical arrival time
//! of ITU-T I.371). A key whose due tick has passed is in the same state as one that was never seen, so displacing it
//! loses nothing. Under a flood of new keys a bucket may hold only keys that are still owed time; then the one due
//! first is displaced, counted, and starts afresh: the error is towards service, at most one burst per displacement.
//! Two keys share a cell with a chance of about 7 in 2^42. A worker that loses a race for a cell in the instant of its
//! displacement may charge one request to the new key: at most one burst of the new key's own rule, never more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_types::Tick;

/// Cells of a bucket. With the claim word, seven pairs of words fill two cache lines of 64 bytes.
const WAYS: usize = 7;
/// Bytes of one bucket.
const BUCKET_BYTES: usize = 128;
/// How often a worker tries to place a new key against others who place theirs in the same bucket. Each failure means
/// that another worker succeeded, so this is reached only by a worker that is being starved; its request is admitted.
const PLACE_ATTEMPTS: usize = 64;
/// Workers read their clocks at different moments; a due tick this far beyond what a rule can owe is still believed.
const CLOCK_SKEW: u64 = 10_000_000_000;
/// The longest interval between two requests that a rule can ask for: about 31 years.
const LONGEST_INTERVAL: f64 = 1e18;

const FINGERPRINT: u64 = (1 << 48) - 1;
const SLOT_BITS: u32 = 3;
const FREE: u64 = (1 << SLOT_BITS) - 1;

const _: () = assert!(size_of::<Bucket>() == BUCKET_BYTES);
const _: () = assert!((WAYS as u64) <= FREE, "a slot number must differ from FREE");

/// One declared rate: an interval between requests, and how far a key may run ahead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gcra {
    interval: u64,
    tolerance: u64,
}

impl Gcra {
    /// `burst` requests at once after a pause, then `per_second`.
    pub(crate) fn new(per_second: f64, burst: u32) -> Self {
        let interval = 1e9 / per_second;
        // A rate of zero or less, or not a number, is refused by the configuration; here it means the slowest one.
        let interval = if interval.is_finite() && interval > 0.0 { interval } else { LONGEST_INTERVAL };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=1e18 just here")]
        let interval = interval.round().clamp(1.0, LONGEST_INTERVAL) as u64;
        Self { interval, tolerance: interval.saturating_mul(u64::from(burst.saturating_sub(1))) }
    }

    /// The same for a request that weighs so many eighths of an ordinary one.
    pub(crate) const fn weighing(self, eighths: u64) -> Self {
        Self { interval: self.interval.saturating_mul(eighths) / 8, ..self }
    }

    /// The due tick after one more request at `now`, or how long to wait for it.
    fn next(self, due: u64, now: u64) -> Result<u64, Duration> {
        let owed = due.saturating_sub(now);
        if owed > self.tolerance.saturating_add(self.interval).saturating_add(CLOCK_SKEW) {
            // More than this rule can ever owe: left by a rule that was slower before a reload.
            return Ok(now.saturating_add(self.interval));
        }
        if owed > self.tolerance {
            return Err(Duration::from_nanos(owed - self.tolerance));
        }
        Ok(due.max(now).saturating_add(self.interval))
    }
}

/// The cells of every rate and key of this node.
#[derive(Debug)]
pub(crate) struct RateTable {
    buckets: Box<[Bucket]>,
    keys: AtomicU64,
    displaced: AtomicU64,
}

impl RateTable {
    /// Room for at least `keys` keys; all memory is taken here.
    pub(crate) fn new(keys: u64) -> Self {
        let ways = u64::try_from(WAYS).unwrap_or(u64::MAX);
        let buckets = keys.div_ceil(ways).clamp(1, u64::from(u32::MAX));
        Self {
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            keys: AtomicU64::new(0),
            displaced: AtomicU64::new(0),
        }
    }

    /// Whether one more request of `hash` would pass; charges nothing.
    pub(crate) fn peek(&self, hash: u64, gcra: Gcra, now: Tick) -> Result<(), Duration> {
        let bucket = self.bucket(hash);
        let Some(cell) = bucket.and_then(|bucket| bucket.find(fingerprint(hash))) else { return Ok(()) };
        gcra.next(cell.due.load(Ordering::Relaxed), now.0).map(|_| ())
    }

    /// Charges one request to `hash`, or says how long it must wait.
    pub(crate) fn charge(&self, hash: u64, gcra: Gcra, now: Tick) -> Result<(), Duration> {
        let Some(bucket) = self.bucket(hash) else { return Ok(()) };
        let fingerprint = fingerprint(hash);
        let cell = match bucket.find(fingerprint) {
            Some(cell) => cell,
            None => match self.place(bucket, fingerprint, now) {
                Some(cell) => cell,
                None => return Ok(()),
            },
        };
        let mut due = cell.due.load(Ordering::Relaxed);
        loop {
            let next = gcra.next(due, now.0)?;
            match cell.due.compare_exchange_weak(due, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => due = other,
            }
        }
    }

    /// Gives back what `charge` took, because another rate refused the same request after all.
    pub(crate) fn refund(&self, hash: u64, gcra: Gcra) {
        if let Some(cell) = self.bucket(hash).and_then(|bucket| bucket.find(fingerprint(hash))) {
            // An underflow means that the cell was displaced meanwhile: then nothing is owed to this key.
            let _ = cell.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| due.checked_sub(gcra.interval));
        }
    }

    /// Keys that the table holds, those whose time has passed included.
    pub(crate) fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// Keys that were displaced while they still owed time.
    pub(crate) fn displaced(&self) -> u64 {
        self.displaced.load(Ordering::Relaxed)
    }

    /// Memory of the table.
    pub(crate) const fn bytes(&self) -> usize {
        self.buckets.len() * BUCKET_BYTES
    }

    fn bucket(&self, hash: u64) -> Option<&Bucket> {
        let count = u64::try_from(self.buckets.len()).ok()?;
        // The high half of the hash, scaled to the number of buckets, without a division.
        self.buckets.get(usize::try_from(((hash >> 32) * count) >> 32).ok()?)
    }

    /// Makes room for a key that the bucket does not hold.
    fn place<'a>(&self, bucket: &'a Bucket, fingerprint: u64, now: Tick) -> Option<Cell<'a>> {
        for _ in 0..PLACE_ATTEMPTS {
            match bucket.try_place(fingerprint, now.0) {
                Placed::Found(cell) => return Some(cell),
                Placed::New { cell, was_empty, still_owed } => {
                    if was_empty {
                        self.keys.fetch_add(1, Ordering::Relaxed);
                    }
                    if still_owed {
                        self.displaced.fetch_add(1, Ordering::Relaxed);
                    }
                    return Some(cell);
                }
                Placed::Again => {}
            }
        }
        self.displaced.fetch_add(1, Ordering::Relaxed);
        None
    }
}

const fn fingerprint(hash: u64) -> u64 {
    // Never zero, which marks an empty cell.
    (hash & FINGERPRINT) | 1
}

/// Seven cells, and the claim by which a key is placed without a lock.
///
/// The claim is `sequence << 51 | fingerprint << 3 | slot`; the slot is `FREE` when nobody is placing. Who wants to
/// place a key reads the claim, finds that no cell has the key, and exchanges the claim for its own: that fails if
/// anybody placed anything since, so a key is never placed twice. From then on every worker that comes by can finish
/// the placing, so nobody waits for a worker that the kernel has put to sleep. The tag of a cell is the claim that
/// placed it without the slot; since the sequence makes it unique, a late helper cannot undo what came after.
#[derive(Debug)]
#[repr(align(128))]
struct Bucket {
    claim: AtomicU64,
    tags: [AtomicU64; WAYS],
    due: [AtomicU64; WAYS],
}

impl Default for Bucket {
    fn default() -> Self {
        Self { claim: AtomicU64::new(FREE), tags: Default::default(), due: Default::default() }
    }
}

/// A cell that holds the wanted key.
struct Cell<'a> {
    due: &'a AtomicU64,
}

enum Placed<'a> {
    Found(Cell<'a>),
    New { cell: Cell<'a>, was_empty: bool, still_owed: bool },
    Again,
}

enum Survey<'a> {
    Busy(u64),
    Found(Cell<'a>),
    Missing { claim: u64, slot: usize },
}

/// The claim that follows `claim`, for that key and slot.
fn next_claim(claim: u64, fingerprint: u64, slot: usize) -> u64 {
    let sequence = (claim >> (48 + SLOT_BITS)).wrapping_add(1);
    sequence << (48 + SLOT_BITS) | fingerprint << SLOT_BITS | u64::try_from(slot).unwrap_or(FREE)
}

impl Bucket {
    fn find(&self, fingerprint: u64) -> Option<Cell<'_>> {
        let mut cells = self.tags.iter().zip(&self.due);
        cells.find(|(tag, _)| tag.load(Ordering::Acquire) & FINGERPRINT == fingerprint).map(|(_, due)| Cell { due })
    }

    fn try_place(&self, fingerprint: u64, now: u64) -> Placed<'_> {
        match self.survey(fingerprint) {
            Survey::Busy(claim) => {
                self.finish(claim);
                Placed::Again
            }
            Survey::Found(cell) => Placed::Found(cell),
            Survey::Missing { claim, slot } => self.place_at(slot, fingerprint, claim, now),
        }
    }

    /// Looks for the key, and for the cell that would make room for it: the one due first.
    fn survey(&self, fingerprint: u64) -> Survey<'_> {
        let claim = self.claim.load(Ordering::Acquire);
        if claim & FREE != FREE {
            return Survey::Busy(claim);
        }
        if let Some(cell) = self.find(fingerprint) {
            return Survey::Found(cell);
        }
        let slot = (0..WAYS).min_by_key(|slot| self.due.get(*slot).map(|due| due.load(Ordering::Relaxed)));
        Survey::Missing { claim, slot: slot.unwrap_or(0) }
    }

    /// Puts the key there, unless anybody placed anything since `claim` was read.
    fn place_at(&self, slot: usize, fingerprint: u64, claim: u64, now: u64) -> Placed<'_> {
        let (Some(due), Some(tag)) = (self.due.get(slot), self.tags.get(slot)) else { return Placed::Again };
        let was_empty = tag.load(Ordering::Acquire) == 0;
        let mine = next_claim(claim, fingerprint, slot);
        if self.claim.compare_exchange(claim, mine, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return Placed::Again;
        }
        let owed = due.load(Ordering::Relaxed);
        let still_owed = owed > now;
        if still_owed {
            // Fails only if somebody charged the cell in this instant; then the new key starts with that debt.
            let _ = due.compare_exchange(owed, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
        self.finish(mine);
        Placed::New { cell: Cell { due }, was_empty, still_owed }
    }

    /// Brings a claim to its end, whoever made it.
    fn finish(&self, claim: u64) {
        let tag = claim >> SLOT_BITS;
        let slot = usize::try_from(claim & FREE).ok().and_then(|slot| self.tags.get(slot));
        if let Some(slot) = slot {
            let before = slot.load(Ordering::Acquire);
            if before != tag && self.claim.load(Ordering::Acquire) == claim {
                let _ = slot.compare_exchange(before, tag, Ordering::AcqRel, Ordering::Relaxed);
            }
        }
        let _ = self.claim.compare_exchange(claim, claim | FREE, Ordering::AcqRel, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start threads to prove that limits hold over workers")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    /// A leaky bucket in floating point, as a textbook has it.
    struct Naive {
        level: f64,
        last: u64,
        per_second: f64,
        burst: f64,
    }

    impl Naive {
        #[expect(clippy::cast_precision_loss, reason = "test times are far below 2^53")]
        fn room(&mut self, now: u64) -> f64 {
            self.level = (self.level - (now - self.last) as f64 / 1e9 * self.per_second).max(0.0);
            self.last = now;
            self.burst - self.level - 1.0
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_model(
            per_second in prop_oneof![0.01..2.0, 1.0..1000.0, 1000.0..50_000.0],
            burst in 1u32..50,
            gaps in prop::collection::vec((0.0f64..3.0, 1usize..20), 1..80),
        ) {
            let table = RateTable::new(1);
            let gcra = Gcra::new(per_second, burst);
            // An interval is a whole number of nanoseconds; this is the rate that it stands for.
            let interval = u32::try_from(gcra.interval).map_or(1e9 / per_second, f64::from);
            prop_assert!((interval - 1e9 / per_second).abs() <= 0.5);
            let mut naive = Naive { level: 0.0, last: 0, per_second: 1e9 / interval, burst: f64::from(burst) };
            let mut now = 0u64;
            for (gap, requests) in gaps {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
                let step = (gap * 1e9 / per_second) as u64;
                now += step;
                for _ in 0..requests {
                    let room = naive.room(now);
                    let passed = table.charge(1 << 40, gcra, Tick(now));
                    // On the edge itself nanoseconds round; a millionth of a request either way may differ.
                    if room > 1e-4 { prop_assert!(passed.is_ok(), "room {room}"); }
                    if room < -1e-4 { prop_assert!(passed.is_err(), "room {room}"); }
                    match passed {
                        Ok(()) => naive.level += 1.0,
                        Err(wait) => {
                            let then = Tick(now).after(wait);
                            prop_assert!(table.peek(1 << 40, gcra, then).is_ok(), "the promised wait is enough");
                            prop_assert!(table.peek(1 << 40, gcra, Tick(then.0 - 1)).is_err(), "and no longer than needed");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn burst_then_sustained() {
        let table = RateTable::new(1024);
        let gcra = Gcra::new(5.0, 20);
        let passed = |from: u64, until: u64| {
            (from..until).filter(|millis| table.charge(7, gcra, Tick::from_millis(*millis)).is_ok()).count()
        };
        assert_eq!((0..100).filter(|_| table.charge(7, gcra, Tick::ZERO).is_ok()).count(), 20, "the burst");
        assert_eq!(passed(1, 10_001), 50, "then five a second");
        assert_eq!(table.keys(), 1);
        assert_eq!((0..100).filter(|_| table.charge(8, gcra, Tick::ZERO).is_ok()).count(), 20, "another key");
    }

    #[test]
    fn a_refund_returns_exactly_what_was_charged() {
        let table = RateTable::new(1024);
        let gcra = Gcra::new(1.0, 2);
        for _ in 0..10 {
            assert!(table.charge(7, gcra, Tick::from_millis(5)).is_ok());
            table.refund(7, gcra);
        }
        table.refund(99, gcra);
        assert_eq!((0..9).filter(|_| table.charge(7, gcra, Tick::from_millis(5)).is_ok()).count(), 2);
    }

    #[test]
    fn a_full_bucket_displaces_the_one_due_first_and_counts_it() {
        let table = RateTable::new(1);
        let gcra = Gcra::new(1.0, 1);
        let key = |number: u64| number << 1;
        for number in 1..=7 {
            assert!(table.charge(key(number), gcra, Tick::from_millis(number)).is_ok());
        }
        assert_eq!((table.keys(), table.displaced()), (7, 0));
        assert!(table.charge(key(8), gcra, Tick::from_millis(8)).is_ok());
        assert_eq!((table.keys(), table.displaced()), (7, 1));
        assert!(table.peek(key(1), gcra, Tick::from_millis(9)).is_ok(), "the first starts afresh");
        for number in 2..=8 {
            assert!(table.peek(key(number), gcra, Tick::from_millis(9)).is_err(), "{number} is still held");
        }
        // A key whose time has passed is displaced without loss.
        assert!(table.charge(key(9), gcra, Tick::from_millis(5000)).is_ok());
        assert_eq!(table.displaced(), 1);
    }

    #[test]
    fn what_a_slower_rule_left_does_not_lock_a_key_out() {
        let table = RateTable::new(1);
        assert!(table.charge(2, Gcra::new(1.0 / 3600.0, 1), Tick::ZERO).is_ok());
        assert!(table.charge(2, Gcra::new(100.0, 1), Tick::from_millis(1)).is_ok());
    }

    #[test]
    fn nonsense_rates_are_the_slowest_and_never_panic() {
        for per_second in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, f64::MAX] {
            for burst in [0, 1, u32::MAX] {
                let table = RateTable::new(1);
                for now in [0, 1, u64::MAX] {
                    let _ = table.charge(2, Gcra::new(per_second, burst), Tick(now));
                }
            }
        }
    }

    #[test]
    fn the_burst_is_exact_over_workers_that_race_for_new_keys() {
        const WORKERS: usize = 4;
        const KEYS: u64 = 400;
        let table = Arc::new(RateTable::new(4096));
        let gcra = Gcra::new(0.001, 10);
        let passed: Arc<Vec<AtomicUsize>> = Arc::new((0..KEYS).map(|_| AtomicUsize::new(0)).collect());
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                let (table, passed) = (Arc::clone(&table), Arc::clone(&passed));
                scope.spawn(move || {
                    for (number, passed) in (0u64..).zip(passed.iter()) {
                        for _ in 0..10 {
                            // Few buckets, many keys each: placing collides, but no bucket overflows.
                            let hash = (number % 80) << 55 | (number + 1) << 1;
                            if table.charge(hash, gcra, Tick(1)).is_ok() {
                                passed.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
        });
        for (number, passed) in passed.iter().enumerate() {
            assert_eq!(passed.load(Ordering::Relaxed), 10, "key {number}");
        }
        assert_eq!((table.keys(), table.displaced()), (KEYS, 0));
    }
    #[test]
    fn of_two_workers_that_miss_a_key_at_once_only_one_places_it() {
        let bucket = Bucket::default();
        let (Survey::Missing { claim, slot }, Survey::Missing { claim: late, .. }) =
            (bucket.survey(9), bucket.survey(9))
        else {
            panic!("an empty bucket holds nothing");
        };
        assert!(matches!(bucket.place_at(slot, 9, claim, 0), Placed::New { .. }));
        assert!(matches!(bucket.place_at(slot + 1, 9, late, 0), Placed::Again), "it must look again");
        assert!(matches!(bucket.survey(9), Survey::Found(_)));
        assert_eq!(bucket.tags.iter().filter(|tag| tag.load(Ordering::SeqCst) != 0).count(), 1);
    }

    #[test]
    fn a_worker_that_sleeps_in_the_middle_keeps_nobody_waiting_and_undoes_nothing() {
        let bucket = Bucket::default();
        let asleep = next_claim(bucket.claim.load(Ordering::SeqCst), 9, 3);
        bucket.claim.store(asleep, Ordering::SeqCst);
        assert!(matches!(bucket.try_place(11, 0), Placed::Again), "it finishes the other's work first");
        assert!(matches!(bucket.try_place(9, 0), Placed::Found(_)));
        let Survey::Missing { claim, .. } = bucket.survey(11) else { panic!("not there yet") };
        assert!(matches!(bucket.place_at(3, 11, claim, 0), Placed::New { .. }), "the key is displaced meanwhile");
        bucket.finish(asleep);
        assert!(matches!(bucket.survey(11), Survey::Found(_)), "the late helper changed nothing");
        assert!(matches!(bucket.survey(9), Survey::Missing { .. }));
    }

    #[test]
    fn workers_that_displace_one_another_leave_every_bucket_whole() {
        let table = Arc::new(RateTable::new(14));
        let gcra = Gcra::new(1000.0, 3);
        thread::scope(|scope| {
            for worker in 0..4u64 {
                let table = Arc::clone(&table);
                scope.spawn(move || {
                    let mut state = worker + 1;
                    for round in 0..40_000u64 {
                        // Two buckets, and twice as many keys as they hold.
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let key = state >> 59;
                        let hash = (key & 1) << 63 | (key + 1) << 1;
                        if table.charge(hash, gcra, Tick(round * 1000)).is_ok() && round % 5 == 0 {
                            table.refund(hash, gcra);
                        }
                    }
                });
            }
        });
        assert!(table.displaced() > 0, "keys were displaced");
        assert_eq!(table.keys(), 14);
        for bucket in &table.buckets {
            assert_eq!(bucket.claim.load(Ordering::SeqCst) & FREE, FREE, "no claim is left open");
            let mut keys: Vec<u64> = bucket.tags.iter().map(|tag| tag.load(Ordering::SeqCst) & FINGERPRINT).collect();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), WAYS, "no key is there twice");
        }
    }
}
