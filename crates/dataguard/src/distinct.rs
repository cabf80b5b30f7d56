//! How many different values there were, without the values: keyed hashes in a set, and a sketch where they are very many.
//!
//! The sketch is `HyperLogLog` (Flajolet et al., 2007) with linear counting for few; its error is about 3 %.

use smallvec::SmallVec;

/// Values up to which the count is exact and what was seen is known again, where nothing else is said.
pub const EXACT: usize = 2048;

/// The same where there are very many counts at once, each of which is small.
pub const SMALL: usize = 128;

/// Values up to which they are a plain list.
const LISTED: usize = 32;

/// Stands for a sketch where the number of hashes would be.
const SKETCHED: u32 = u32::MAX;

/// Registers of the sketch.
const REGISTERS: usize = 1 << BITS;
const BITS: u32 = 10;

/// A number of different values, exact up to `MOST`: 16 bytes for each of them at most, and one KiB beyond.
#[derive(Debug, Clone, Default)]
pub struct Distinct<const MOST: usize = EXACT>(Kept);

#[derive(Debug, Clone)]
enum Kept {
    /// In the order in which they came.
    List(SmallVec<[u64; 4]>),
    Set(Set),
    Sketch(Box<Sketch>),
}

impl Default for Kept {
    fn default() -> Self {
        Self::List(SmallVec::new())
    }
}

impl<const MOST: usize> Distinct<MOST> {
    /// Adds a value's hash; false where it was there already. Beyond `MOST` values nobody knows, and each may be new.
    pub fn add(&mut self, hash: u64) -> bool {
        match &mut self.0 {
            Kept::List(list) => {
                if list.contains(&hash) {
                    return false;
                }
                list.push(hash);
                if list.len() > LISTED {
                    self.0 = Kept::Set(Set::of(list));
                }
                true
            }
            Kept::Set(set) => {
                if !set.add(hash) {
                    return false;
                }
                if set.count > MOST {
                    self.0 = Kept::Sketch(Sketch::of(set.iter()));
                }
                true
            }
            Kept::Sketch(sketch) => {
                sketch.add(hash);
                true
            }
        }
    }

    /// Whether it is there for certain.
    #[must_use]
    pub fn knows(&self, hash: u64) -> bool {
        match &self.0 {
            Kept::List(list) => list.contains(&hash),
            Kept::Set(set) => set.place(hash).is_some_and(|at| set.slots.get(at) == Some(&hash)),
            Kept::Sketch(_) => false,
        }
    }

    /// Adds all that another one has.
    pub fn merge(&mut self, other: &Self) {
        match &other.0 {
            Kept::List(list) => list.iter().for_each(|hash| _ = self.add(*hash)),
            Kept::Set(set) => set.iter().for_each(|hash| _ = self.add(hash)),
            Kept::Sketch(theirs) => match &mut self.0 {
                Kept::Sketch(ours) => ours.merge(theirs),
                kept => {
                    let mut both = theirs.clone();
                    match kept {
                        Kept::List(list) => list.iter().for_each(|hash| both.add(*hash)),
                        Kept::Set(set) => set.iter().for_each(|hash| both.add(hash)),
                        Kept::Sketch(_) => {}
                    }
                    *kept = Kept::Sketch(both);
                }
            },
        }
    }

    /// How many there were: exactly up to `MOST`.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.0 {
            Kept::List(list) => list.len() as u64,
            Kept::Set(set) => set.count as u64,
            Kept::Sketch(sketch) => sketch.estimate(),
        }
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Kept::List(list) if list.is_empty())
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0 = Kept::default();
    }

    /// What it knows, as [`Distinct::read`] takes it: hashes, or the sketch.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut list = |count: usize, hashes: &mut dyn Iterator<Item = u64>| {
            out.extend_from_slice(&(count as u32).to_le_bytes());
            hashes.for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
        };
        match &self.0 {
            Kept::List(all) => list(all.len(), &mut all.iter().copied()),
            Kept::Set(set) => list(set.count, &mut set.iter()),
            Kept::Sketch(sketch) => {
                out.extend_from_slice(&SKETCHED.to_le_bytes());
                out.extend_from_slice(&sketch.registers);
            }
        }
    }

    /// What [`Distinct::write`] wrote, taken off the front; nothing where it is something else.
    #[must_use]
    pub fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (count, mut rest) = bytes.split_first_chunk::<4>()?;
        let count = u32::from_le_bytes(*count);
        let mut distinct = Self::default();
        if count == SKETCHED {
            let (registers, tail) = rest.split_first_chunk::<REGISTERS>()?;
            let mut sketch = Sketch::of(std::iter::empty());
            registers.iter().enumerate().for_each(|(index, rank)| sketch.raise(index, *rank));
            (distinct.0, rest) = (Kept::Sketch(sketch), tail);
        } else {
            let count = usize::try_from(count).ok().filter(|count| *count <= MOST)?;
            for _ in 0..count {
                let (hash, tail) = rest.split_first_chunk::<8>()?;
                distinct.add(u64::from_le_bytes(*hash));
                rest = tail;
            }
        }
        *bytes = rest;
        Some(distinct)
    }

    /// Bytes that it holds beside itself.
    #[must_use]
    pub fn held(&self) -> usize {
        match &self.0 {
            Kept::List(list) if list.spilled() => list.capacity() * size_of::<u64>(),
            Kept::List(_) => 0,
            Kept::Set(set) => set.slots.len() * size_of::<u64>(),
            Kept::Sketch(_) => size_of::<Sketch>(),
        }
    }
}

/// Hashes in open addressing. They are keyed, so that nobody can choose ones that collide.
#[derive(Debug, Clone)]
struct Set {
    /// A power of two, at most three quarters full; 0 is an empty slot.
    slots: Box<[u64]>,
    count: usize,
}

impl Set {
    fn of(hashes: &[u64]) -> Self {
        let mut set = Self { slots: vec![0; (hashes.len() * 2).next_power_of_two()].into_boxed_slice(), count: 0 };
        hashes.iter().for_each(|hash| _ = set.add(*hash));
        set
    }

    /// Where a hash stands, or would stand.
    fn place(&self, hash: u64) -> Option<usize> {
        let first = usize::try_from(hash & u64::from(u32::MAX)).unwrap_or_default();
        let mask = self.slots.len() - 1;
        (0..self.slots.len()).map(|on| (first + on) & mask).find(|at| {
            let slot = self.slots.get(*at).copied().unwrap_or_default();
            slot == hash || slot == 0
        })
    }

    fn add(&mut self, hash: u64) -> bool {
        let Some(slot) = self.place(hash).and_then(|at| self.slots.get_mut(at)) else { return false };
        if *slot == hash {
            return false;
        }
        *slot = hash;
        self.count += 1;
        if self.count * 4 > self.slots.len() * 3 {
            let all: Vec<u64> = self.iter().collect();
            *self = Self::of(&all);
        }
        true
    }

    fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.slots.iter().copied().filter(|hash| *hash != 0)
    }
}

#[derive(Debug, Clone)]
struct Sketch {
    registers: [u8; REGISTERS],
    /// Registers that nothing has raised.
    empty: u32,
    /// Of 2 to the power of minus each register.
    sum: f64,
}

impl Sketch {
    fn of(hashes: impl Iterator<Item = u64>) -> Box<Self> {
        let mut sketch = Box::new(Self { registers: [0; REGISTERS], empty: 1 << BITS, sum: f64::from(1 << BITS) });
        hashes.for_each(|hash| sketch.add(hash));
        sketch
    }

    fn add(&mut self, hash: u64) {
        let index = usize::try_from(hash >> (64 - BITS)).unwrap_or_default();
        let rank = u8::try_from((hash << BITS | 1 << (BITS - 1)).leading_zeros() + 1).unwrap_or(u8::MAX);
        self.raise(index, rank);
    }

    fn merge(&mut self, other: &Self) {
        other.registers.iter().enumerate().for_each(|(index, rank)| self.raise(index, *rank));
    }

    fn raise(&mut self, index: usize, rank: u8) {
        let Some(register) = self.registers.get_mut(index).filter(|register| **register < rank) else { return };
        self.empty -= u32::from(*register == 0);
        self.sum += share(rank) - share(*register);
        *register = rank;
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
    fn estimate(&self) -> u64 {
        let size = f64::from(1 << BITS);
        let raw = (0.7213 / (1.0 + 1.079 / size)) * size * size / self.sum;
        let few = raw <= 2.5 * size && self.empty > 0;
        let count = if few { size * libm::log(size / f64::from(self.empty)) } else { raw };
        libm::round(count) as u64
    }
}

/// 2 to the power of minus a register: exact, as are sums of them, for all ranks that come up.
fn share(rank: u8) -> f64 {
    f64::from_bits((1023 - u64::from(rank.min(63))) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{HashKey, Kind};

    fn hashes(from: u32, to: u32) -> impl Iterator<Item = u64> {
        (from..to).map(|number| HashKey([1, 2]).of(Kind::Field, &number.to_le_bytes()))
    }

    #[test]
    fn few_are_counted_exactly_and_many_within_a_tenth() {
        for (count, exact) in
            [(1u32, true), (33, true), (1000, true), (2048, true), (2049, false), (5000, false), (200_000, false)]
        {
            let mut distinct = <Distinct>::default();
            for _ in 0..2 {
                hashes(0, count).for_each(|hash| {
                    distinct.add(hash);
                });
            }
            let (told, count) = (distinct.count(), u64::from(count));
            let off = told.abs_diff(count);
            assert!(off * 10 <= count && (!exact || off == 0), "{count} told as {told}");
        }
    }

    #[test]
    fn what_is_written_reads_back_and_goes_on() {
        for count in [0, 1, 32, 33, 2048, 2049, 50_000] {
            let mut distinct = <Distinct>::default();
            hashes(0, count).for_each(|hash| _ = distinct.add(hash));
            let mut bytes = Vec::new();
            distinct.write(&mut bytes);
            bytes.extend_from_slice(b"rest");
            let mut rest = &bytes[..];
            let mut again = <Distinct>::read(&mut rest).expect("it reads back");
            assert_eq!((again.count(), rest), (distinct.count(), &b"rest"[..]), "{count}");
            hashes(0, count + 100).for_each(|hash| assert_eq!(again.add(hash), distinct.add(hash)));
            assert_eq!(again.count(), distinct.count(), "{count}");
            assert!(<Distinct>::read(&mut &bytes[..bytes.len() - 5]).is_none_or(|part| part.count() == 0), "{count}");
        }
        assert!(Distinct::<SMALL>::read(&mut &[0xff, 0, 0, 0][..]).is_none(), "more than it may have");
    }

    #[test]
    fn what_is_merged_counts_once() {
        for (ours, theirs, both) in [
            (20, 10, 25),
            (50, 80, 110),
            (1500, 1500, 2800),
            (10, 3000, 3005),
            (100, 3000, 3050),
            (3000, 10, 3010),
            (4000, 3000, 5000),
        ] {
            let (mut one, mut other) = (<Distinct>::default(), <Distinct>::default());
            hashes(0, ours).for_each(|hash| {
                one.add(hash);
            });
            let from = ours + theirs - both;
            hashes(ours - from, both).for_each(|hash| {
                other.add(hash);
            });
            one.merge(&other);
            let off = one.count().abs_diff(u64::from(both));
            assert!(off * 10 <= u64::from(both), "{both} told as {}", one.count());
        }
    }

    #[test]
    fn a_small_one_is_exact_for_few_and_stays_small() {
        let mut distinct = Distinct::<SMALL>::default();
        hashes(0, 128).for_each(|hash| assert!(distinct.add(hash)));
        assert_eq!(distinct.count(), 128);
        hashes(128, 50_000).for_each(|hash| _ = distinct.add(hash));
        assert!(distinct.held() < 2048 && distinct.count().abs_diff(50_000) < 5000, "{}", distinct.count());
    }

    #[test]
    fn what_was_added_is_known_again_and_nothing_else() {
        let mut distinct = <Distinct>::default();
        for (at, hash) in hashes(0, 2048).enumerate() {
            assert!(!distinct.knows(hash) && distinct.add(hash) && distinct.knows(hash) && !distinct.add(hash), "{at}");
        }
        assert!(hashes(0, 2048).all(|hash| distinct.knows(hash)));
        assert!(!hashes(2048, 9000).any(|hash| distinct.knows(hash)));
        // Among very many, what is not known for certain counts as new.
        hashes(2048, 9000).for_each(|hash| assert!(distinct.add(hash)));
        assert!(!hashes(0, 9000).any(|hash| distinct.knows(hash)));
    }
}
