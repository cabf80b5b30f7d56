//! How many people are behind an address: bitmaps of the stacks and tokens that were seen there, in fixed memory.
//!
//! Only what vouches for itself counts: stacks of visitors that did what browsers do, and history tokens. So nobody
//! makes a crowd of one machine by changing its headers, and a flood never reaches this table.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use portcullis_types::Tick;

/// Addresses that a node remembers at most.
pub(crate) const CROWDS: usize = 1 << 17;
const WAYS: usize = 4;
/// So many different stacks behind an address are several people.
const STACKS: u32 = 3;
/// So many different tokens behind an address are several people.
const TOKENS: u32 = 2;
/// What was seen counts for one to two generations of 2^42 ns, 73 minutes.
const GENERATION: u32 = 42;

#[derive(Debug)]
pub(crate) struct Crowds {
    buckets: Box<[[Entry; WAYS]]>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Tag and generation; 0 for nobody.
    who: AtomicU64,
    /// A bit for each of 32 classes of stacks: this generation above, the one before below.
    stacks: AtomicU64,
    /// The same for tokens.
    tokens: AtomicU64,
}

impl Crowds {
    /// Room for `addresses`; all memory is taken here.
    pub(crate) fn new(addresses: usize) -> Self {
        Self { buckets: (0..(addresses / WAYS).max(1)).map(|_| Default::default()).collect() }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.buckets.len() * size_of::<[Entry; WAYS]>()
    }

    /// Notes a stack behind an address, and a token if it is not 0. Both numbers are hashes.
    pub(crate) fn note(&self, address: u64, stack: u64, token: u64, now: Tick) {
        let (tag, generation) = (tag(address), generation(now));
        let Some(entry) = self.entry(address, tag).or_else(|| self.settle(address, tag, generation)) else { return };
        let before = entry.who.load(Relaxed) as u32;
        if before != generation {
            let follows = generation.wrapping_sub(before) == 1;
            for word in [&entry.stacks, &entry.tokens] {
                word.store(if follows { word.load(Relaxed) >> 32 } else { 0 }, Relaxed);
            }
            entry.who.store(u64::from(tag) << 32 | u64::from(generation), Relaxed);
        }
        set(&entry.stacks, stack);
        if token != 0 {
            set(&entry.tokens, token);
        }
    }

    /// Whether several people are there.
    pub(crate) fn is_crowd(&self, address: u64, now: Tick) -> bool {
        let Some(entry) = self.entry(address, tag(address)) else { return false };
        let seen = |word: &AtomicU64| {
            let word = word.load(Relaxed);
            (word >> 32 | word & 0xffff_ffff).count_ones()
        };
        let age = generation(now).wrapping_sub(entry.who.load(Relaxed) as u32);
        age <= 1 && (seen(&entry.stacks) >= STACKS || seen(&entry.tokens) >= TOKENS)
    }

    fn bucket(&self, address: u64) -> Option<&[Entry; WAYS]> {
        let count = u64::try_from(self.buckets.len()).ok()?;
        self.buckets.get(usize::try_from(((address >> 32) * count) >> 32).ok()?)
    }

    fn entry(&self, address: u64, tag: u32) -> Option<&Entry> {
        self.bucket(address)?.iter().find(|entry| (entry.who.load(Relaxed) >> 32) as u32 == tag)
    }

    /// Takes a free place, or that of whom was not seen for longest.
    fn settle(&self, address: u64, tag: u32, generation: u32) -> Option<&Entry> {
        let age = |entry: &&Entry| match entry.who.load(Relaxed) {
            0 => u32::MAX,
            who => generation.wrapping_sub(who as u32),
        };
        let entry = self.bucket(address)?.iter().max_by_key(age)?;
        entry.stacks.store(0, Relaxed);
        entry.tokens.store(0, Relaxed);
        entry.who.store(u64::from(tag) << 32 | u64::from(generation), Relaxed);
        Some(entry)
    }
}

fn set(word: &AtomicU64, hash: u64) {
    let bit = 1 << (32 + (hash & 31));
    let before = word.load(Relaxed);
    if before & bit == 0 {
        word.store(before | bit, Relaxed);
    }
}

const fn tag(address: u64) -> u32 {
    address as u32 | 1
}

const fn generation(now: Tick) -> u32 {
    (now.0 >> GENERATION) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn several_stacks_or_tokens_are_a_crowd_and_one_is_not() {
        let crowds = Crowds::new(1024);
        let (home, campus, office) = (11 << 32 | 3, 12 << 32 | 5, 13 << 32 | 7);
        (0..100).for_each(|_| crowds.note(home, 5, 77, Tick::ZERO));
        assert!(!crowds.is_crowd(home, Tick::ZERO));
        (0..2).for_each(|stack| crowds.note(campus, stack, 0, Tick::ZERO));
        assert!(!crowds.is_crowd(campus, Tick::ZERO), "a person has two browsers");
        crowds.note(campus, 2, 0, Tick::ZERO);
        assert!(crowds.is_crowd(campus, Tick::ZERO));
        (1..3).for_each(|token| crowds.note(office, 5, token, Tick::ZERO));
        assert!(crowds.is_crowd(office, Tick::ZERO));
        assert!(!crowds.is_crowd(14 << 32 | 9, Tick::ZERO));
    }

    #[test]
    fn a_crowd_disperses() {
        let crowds = Crowds::new(1024);
        let generations = |count: u64| Tick(count << GENERATION);
        (0..8).for_each(|stack| crowds.note(1 << 32, stack, 0, generations(5)));
        assert!(crowds.is_crowd(1 << 32, generations(6)));
        crowds.note(1 << 32, 0, 0, generations(6));
        assert!(crowds.is_crowd(1 << 32, generations(6)), "those of the last generation count");
        crowds.note(1 << 32, 0, 0, generations(7));
        assert!(!crowds.is_crowd(1 << 32, generations(7)), "one is left");
        (0..8).for_each(|stack| crowds.note(2 << 32 | 4, stack, 0, generations(5)));
        assert!(!crowds.is_crowd(2 << 32 | 4, generations(7)), "nobody came since");
    }

    proptest! {
        #[test]
        fn it_never_grows(notes in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()), 0..300)) {
            let crowds = Crowds::new(16);
            let bytes = crowds.bytes();
            for (address, stack, token, now) in notes {
                crowds.note(address, stack, token, Tick(now));
                let _ = crowds.is_crowd(address, Tick(now));
            }
            prop_assert_eq!(crowds.bytes(), bytes);
        }
    }
}
