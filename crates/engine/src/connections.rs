//! How many connections an address holds, over all workers, in fixed memory.
//!
//! It never locks, never grows, and never refuses an address because the table is full: what does not fit is admitted
//! and counted as uncounted.
//!
//! A slot is one word: a fingerprint of 40 bits and a count of 24. A slot with a count of zero is free for any address.
//! Two workers that meet an address for the first time in the same instant may give it two slots of its bucket; the
//! limit is held against their sum, so it is never exceeded. Two addresses share a slot with a chance of about 8 in
//! 2^40.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::node::Node;

/// Slots of a bucket: one cache line.
const WAYS: usize = 8;
/// Slots per connection that the node may hold: with every one from another address, two buckets in ten thousand overflow.
const SLOTS_PER_CONNECTION: u64 = 4;
/// How often a worker tries to count against others in the same bucket before it admits without counting.
const COUNT_ATTEMPTS: usize = 64;

const COUNT_BITS: u32 = 24;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// The right to hold a connection; dropping it ends the count.
#[derive(Debug)]
pub struct ConnectionPermit {
    node: Arc<Node>,
    place: Option<Place>,
}

impl ConnectionPermit {
    pub(crate) fn new(node: Arc<Node>, place: Option<Place>) -> Self {
        node.connection_opened();
        Self { node, place }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.node.connection_closed();
        if let Some(place) = self.place {
            self.node.addresses().release(place);
        }
    }
}

/// Where a connection was counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    bucket: usize,
    slot: usize,
}

/// What became of a connection that asked to be counted.
#[derive(Debug)]
pub(crate) enum Counted {
    Held(Place),
    /// The bucket is full of other addresses; it is let in.
    NoRoom,
    /// The address holds as many as it may.
    Full,
}

/// The counts of every address that holds a connection.
#[derive(Debug)]
pub(crate) struct AddressTable {
    buckets: Box<[Bucket]>,
    uncounted: AtomicU64,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket([AtomicU64; WAYS]);

impl AddressTable {
    /// Room for `connections` from as many addresses; all memory is taken here.
    pub(crate) fn new(connections: u64) -> Self {
        let ways = u64::try_from(WAYS).unwrap_or(u64::MAX);
        let buckets = connections.saturating_mul(SLOTS_PER_CONNECTION).div_ceil(ways).clamp(1, u64::from(u32::MAX));
        Self { buckets: (0..buckets).map(|_| Bucket::default()).collect(), uncounted: AtomicU64::new(0) }
    }

    /// Counts one more connection of the address with that hash, unless it already holds `limit`.
    pub(crate) fn count(&self, hash: u64, limit: u64) -> Counted {
        let count = u64::try_from(self.buckets.len()).unwrap_or(u64::MAX);
        let index = usize::try_from(((hash >> 32) * count) >> 32).unwrap_or(usize::MAX);
        let Some(bucket) = self.buckets.get(index) else { return self.no_room() };
        // Never zero, which is what an empty slot has.
        let fingerprint = (hash & (u64::MAX >> COUNT_BITS)) | 1;
        for _ in 0..COUNT_ATTEMPTS {
            if bucket.held(fingerprint) >= limit {
                return Counted::Full;
            }
            let Some((slot, word, before)) = bucket.slot_for(fingerprint) else { return self.no_room() };
            match bucket.take(word, before, fingerprint, limit) {
                Taken::Held => return Counted::Held(Place { bucket: index, slot }),
                Taken::Full => return Counted::Full,
                Taken::Again => {}
            }
        }
        self.no_room()
    }

    fn release(&self, place: Place) {
        // A slot with a count above zero is never given to another address, so this is still ours.
        if let Some(word) = self.buckets.get(place.bucket).and_then(|bucket| bucket.0.get(place.slot)) {
            word.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Connections that were admitted without being counted against their address.
    pub(crate) fn uncounted(&self) -> u64 {
        self.uncounted.load(Ordering::Relaxed)
    }

    /// Memory of the table.
    pub(crate) const fn bytes(&self) -> usize {
        self.buckets.len() * size_of::<Bucket>()
    }

    fn no_room(&self) -> Counted {
        self.uncounted.fetch_add(1, Ordering::Relaxed);
        Counted::NoRoom
    }
}

enum Taken {
    Held,
    Full,
    /// Another worker changed the slot.
    Again,
}

impl Bucket {
    /// Counts one more in a slot that held `before` when it was looked at.
    fn take(&self, word: &AtomicU64, before: u64, fingerprint: u64, limit: u64) -> Taken {
        let after = fingerprint << COUNT_BITS | ((before & COUNT) + 1);
        if word.compare_exchange(before, after, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return Taken::Again;
        }
        // Another worker may have counted the same address elsewhere in the bucket between the two looks.
        if self.held(fingerprint) > limit {
            word.fetch_sub(1, Ordering::SeqCst);
            return Taken::Full;
        }
        Taken::Held
    }

    /// Connections of that address in this bucket.
    fn held(&self, fingerprint: u64) -> u64 {
        let words = self.0.iter().map(|word| word.load(Ordering::SeqCst));
        words.filter(|word| word >> COUNT_BITS == fingerprint).map(|word| word & COUNT).sum()
    }

    /// The slot that the address has and that can count further, else a free one.
    fn slot_for(&self, fingerprint: u64) -> Option<(usize, &AtomicU64, u64)> {
        let slots = || self.0.iter().enumerate().map(|(slot, word)| (slot, word, word.load(Ordering::SeqCst)));
        slots()
            .find(|(_, _, value)| value >> COUNT_BITS == fingerprint && value & COUNT < COUNT)
            .or_else(|| slots().find(|(_, _, value)| value & COUNT == 0))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start threads to prove that limits hold over workers")]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    fn hold(table: &AddressTable, hash: u64, limit: u64) -> Option<Place> {
        match table.count(hash, limit) {
            Counted::Held(place) => Some(place),
            Counted::Full => None,
            Counted::NoRoom => panic!("there is room"),
        }
    }

    #[test]
    fn counts_hold_and_end() {
        let table = AddressTable::new(16);
        let places: Vec<_> = (0..3).filter_map(|_| hold(&table, 42, 3)).collect();
        assert_eq!(places.len(), 3);
        assert!(hold(&table, 42, 3).is_none());
        assert!(hold(&table, 44, 3).is_some(), "another address");
        table.release(places[0]);
        assert!(hold(&table, 42, 3).is_some());
        assert!(hold(&table, 42, 3).is_none());
        assert!(hold(&table, 42, 0).is_none());
    }

    #[test]
    fn a_full_bucket_faults_towards_service_and_counts_it() {
        let table = AddressTable::new(1);
        let places: Vec<_> = (0..8).map(|address| hold(&table, address << 1, 1).expect("room")).collect();
        assert!(matches!(table.count(100, 1), Counted::NoRoom));
        assert_eq!(table.uncounted(), 1);
        table.release(places[5]);
        assert!(matches!(table.count(100, 1), Counted::Held(_)));
        assert!(matches!(table.count(100, 1), Counted::Full));
    }

    #[test]
    fn two_workers_that_take_different_slots_still_share_the_limit() {
        let bucket = Bucket::default();
        let [first, second, ..] = &bucket.0;
        assert!(matches!(bucket.take(first, 0, 9, 1), Taken::Held));
        assert!(matches!(bucket.take(second, 0, 9, 1), Taken::Full), "it had looked before the first was counted");
        assert!(matches!(bucket.take(first, 0, 11, 1), Taken::Again), "the slot is taken");
        assert_eq!(bucket.held(9), 1);
    }

    #[test]
    fn the_limit_is_never_exceeded_over_workers() {
        const LIMIT: u64 = 3;
        let table = AddressTable::new(64);
        let held: Vec<AtomicUsize> = (0..4).map(|_| AtomicUsize::new(0)).collect();
        let served = AtomicUsize::new(0);
        thread::scope(|scope| {
            for worker in 0..4usize {
                let (table, held, served) = (&table, &held, &served);
                scope.spawn(move || {
                    for round in 0..20_000usize {
                        let address = (round + worker) % held.len();
                        let Some(mine) = held.get(address) else { continue };
                        if let Some(place) = hold(table, u64::try_from(address).expect("small") << 1, LIMIT) {
                            let now = mine.fetch_add(1, Ordering::SeqCst) + 1;
                            assert!(now <= usize::try_from(LIMIT).expect("small"), "{now} at once");
                            served.fetch_add(1, Ordering::Relaxed);
                            mine.fetch_sub(1, Ordering::SeqCst);
                            table.release(place);
                        }
                    }
                });
            }
        });
        assert!(served.load(Ordering::Relaxed) > 0);
        let left: u64 =
            table.buckets.iter().flat_map(|bucket| &bucket.0).map(|word| word.load(Ordering::SeqCst) & COUNT).sum();
        assert_eq!(left, 0, "everything was given back");
    }
}
