//! What may be used once and was: random ids in fixed memory that all workers share.
//!
//! Two generations. An id is marked in the younger one and looked for in both; after [`GENERATION`] seconds the younger
//! becomes the older and the older is forgotten, so each id is kept for at least as long as a token that bears it is
//! good. Where a bucket is full the generation ends early: the oldest ids are forgotten first, and a token that was
//! used long ago could be used again, which is worth one pass. It never locks, never grows, and never calls an unused
//! id used but with a chance of 32 in 2^32.
//!
//! Two workers that mark in the instant of a change of generation may lose a mark: worth one pass, too.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Seconds of a generation. No token that is used once lives longer.
pub(crate) const GENERATION: u64 = 900;
/// Marks of one bucket: a cache line.
const WAYS: usize = 16;
/// Buckets of a generation: 262,144 marks, 1 MiB. About 200 passes a second before a generation ends early.
const BUCKETS: usize = 1 << 14;
const _: () = assert!(BUCKETS.is_power_of_two());

/// The marks.
#[derive(Debug)]
pub(crate) struct Spent {
    generations: [Box<[[AtomicU32; WAYS]]>; 2],
    /// When the younger generation began, in unix seconds, and in the lowest bit which one it is.
    turn: AtomicU64,
}

impl Spent {
    pub(crate) fn new() -> Self {
        let generation = || (0..BUCKETS).map(|_| Default::default()).collect();
        Self { generations: [generation(), generation()], turn: AtomicU64::new(0) }
    }

    pub(crate) const fn bytes(&self) -> usize {
        2 * BUCKETS * size_of::<[AtomicU32; WAYS]>()
    }

    /// Whether that id was marked.
    pub(crate) fn is_spent(&self, id: u64) -> bool {
        let (at, mark) = place(id);
        self.generations.iter().any(|marks| marks[at].iter().any(|cell| cell.load(Ordering::Relaxed) == mark))
    }

    /// Marks that id at `now` (unix seconds). Of all who try, one succeeds.
    pub(crate) fn spend(&self, id: u64, now: u64) -> bool {
        let turn = self.turn.load(Ordering::Relaxed);
        if now >= (turn >> 1) + GENERATION {
            self.turn_over(turn, now);
        }
        if self.is_spent(id) {
            return false;
        }
        let (at, mark) = place(id);
        // Twice: a full bucket ends the generation, and the next one is empty.
        for _ in 0..2 {
            let turn = self.turn.load(Ordering::Relaxed);
            for cell in &self.generations[usize::from(turn & 1 == 1)][at] {
                match cell.compare_exchange(0, mark, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return true,
                    // Another worker was quicker with the same id.
                    Err(held) if held == mark => return false,
                    Err(_) => {}
                }
            }
            self.turn_over(turn, now);
        }
        true
    }

    /// Forgets the older generation and begins a new one in its place; one worker does it.
    fn turn_over(&self, turn: u64, now: u64) {
        let older = usize::from(turn & 1 == 0);
        let next = now << 1 | u64::from(turn & 1 == 0);
        if self.turn.compare_exchange(turn, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            for cell in self.generations[older].iter().flatten() {
                cell.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// Ids are random under the node's own key, so no client chooses a bucket.
fn place(id: u64) -> (usize, u32) {
    let bytes = id.to_le_bytes();
    let low = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let high = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    (low as usize % BUCKETS, high.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_spent_once() {
        let spent = Spent::new();
        assert!(!spent.is_spent(7 << 32));
        assert!(spent.spend(7 << 32, 1_000));
        assert!(!spent.spend(7 << 32, 1_000));
        assert!(spent.spend(8 << 32, 1_000), "another id in the same bucket");
        assert!(spent.is_spent(7 << 32) && spent.is_spent(8 << 32));
    }

    #[test]
    fn it_is_remembered_for_a_generation_and_forgotten_after_two() {
        let spent = Spent::new();
        assert!(spent.spend(7 << 32, 10_000));
        assert!(spent.spend(8 << 32, 10_000 + GENERATION), "turns over");
        assert!(!spent.spend(7 << 32, 10_001 + GENERATION), "still known");
        assert!(spent.spend(9 << 32, 10_000 + 2 * GENERATION));
        assert!(spent.spend(7 << 32, 10_001 + 2 * GENERATION), "forgotten");
    }

    #[test]
    fn a_full_bucket_drops_the_oldest_generation_and_nothing_else() {
        let spent = Spent::new();
        let ids = |from: u64, to: u64| (from..to).map(|id| id << 32);
        let ways = WAYS as u64;
        assert!(ids(1, 1 + ways).all(|id| spent.spend(id, 5_000)));
        assert!(ids(1, 1 + ways).all(|id| !spent.spend(id, 5_001)));
        assert!(spent.spend(100 << 32, 5_002), "one more than the bucket holds");
        assert!(ids(1, 1 + ways).all(|id| !spent.spend(id, 5_003)), "the generation before is still looked at");
        assert!(ids(200, 200 + ways).all(|id| spent.spend(id, 5_004)));
        assert!(spent.spend(1 << 32, 5_005), "the oldest were forgotten");
        assert!(!spent.spend(100 << 32, 5_005));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a race needs threads; none of them waits")]
    fn of_many_threads_one_succeeds() {
        let spent = Spent::new();
        let won: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (1..2_000u64).filter(|id| spent.spend(id << 32 | id, 100)).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(won, 1_999);
    }
}
