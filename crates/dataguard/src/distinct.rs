//! How many different values there were, without the values: keyed hashes in a small set, and a sketch beyond it.
//!
//! The sketch is `HyperLogLog` (Flajolet et al., 2007) with linear counting for few; its error is about 3 %.

use smallvec::SmallVec;

/// Values up to which the count is exact.
pub const EXACT: usize = 128;

/// Registers of the sketch.
const REGISTERS: usize = 1 << BITS;
const BITS: u32 = 10;

/// A number of different values.
#[derive(Debug, Clone, Default)]
pub struct Distinct {
    /// Ascending.
    few: SmallVec<[u64; 4]>,
    many: Option<Box<[u8; REGISTERS]>>,
}

impl Distinct {
    /// Adds a value's hash; true where it changes what is known, which for few values means that it is new.
    pub fn add(&mut self, hash: u64) -> bool {
        match &mut self.many {
            Some(registers) => raise(registers, hash),
            None => match self.few.binary_search(&hash) {
                Ok(_) => false,
                Err(at) => {
                    self.few.insert(at, hash);
                    if self.few.len() > EXACT {
                        self.spill();
                    }
                    true
                }
            },
        }
    }

    /// Whether adding it would change nothing: for few values, whether it is there.
    #[must_use]
    pub fn knows(&self, hash: u64) -> bool {
        match &self.many {
            None => self.few.binary_search(&hash).is_ok(),
            Some(registers) => {
                let (index, rank) = register(hash);
                registers.get(index).is_some_and(|register| *register >= rank)
            }
        }
    }

    /// Adds all that another one has.
    pub fn merge(&mut self, other: &Self) {
        match &other.many {
            None => other.few.iter().for_each(|hash| {
                self.add(*hash);
            }),
            Some(theirs) => {
                self.spill();
                if let Some(ours) = &mut self.many {
                    ours.iter_mut().zip(theirs.iter()).for_each(|(ours, theirs)| *ours = (*ours).max(*theirs));
                }
            }
        }
    }

    /// How many there were: exactly up to [`EXACT`].
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.many {
            None => self.few.len() as u64,
            Some(registers) => estimate(registers),
        }
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.many.is_none() && self.few.is_empty()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.few.clear();
        self.many = None;
    }

    /// Bytes that it holds beside itself.
    #[must_use]
    pub fn held(&self) -> usize {
        let few = if self.few.spilled() { self.few.capacity() * 8 } else { 0 };
        few + if self.many.is_some() { REGISTERS } else { 0 }
    }

    fn spill(&mut self) {
        if self.many.is_none() {
            let mut registers = Box::new([0; REGISTERS]);
            for hash in std::mem::take(&mut self.few) {
                raise(&mut registers, hash);
            }
            self.many = Some(registers);
        }
    }
}

/// Which register a hash is for, and what it raises it to.
fn register(hash: u64) -> (usize, u8) {
    let index = usize::try_from(hash >> (64 - BITS)).unwrap_or_default();
    (index, u8::try_from((hash << BITS | 1 << (BITS - 1)).leading_zeros() + 1).unwrap_or(u8::MAX))
}

fn raise(registers: &mut [u8; REGISTERS], hash: u64) -> bool {
    let (index, rank) = register(hash);
    match registers.get_mut(index) {
        Some(register) if *register < rank => {
            *register = rank;
            true
        }
        _ => false,
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    let size = REGISTERS as f64;
    let sum: f64 = registers.iter().map(|rank| 1.0 / (1u64 << (*rank).min(63)) as f64).sum();
    let raw = (0.7213 / (1.0 + 1.079 / size)) * size * size / sum;
    let empty = registers.iter().filter(|rank| **rank == 0).count();
    let count = if raw <= 2.5 * size && empty > 0 { size * libm::log(size / empty as f64) } else { raw };
    libm::round(count) as u64
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
        for (count, exact) in [(1u32, true), (128, true), (129, false), (1000, false), (5000, false), (200_000, false)]
        {
            let mut distinct = Distinct::default();
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
    fn what_is_merged_counts_once() {
        for (ours, theirs, both) in [(50, 80, 110), (100, 300, 380), (3000, 10, 3010)] {
            let (mut one, mut other) = (Distinct::default(), Distinct::default());
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
}
