//! How long answers took, in classes of an eighth of a doubling: what is known of times whose sum over any span is wanted.

use std::collections::BTreeMap;
use std::io;

use super::block::{broken, number, varint};

/// Classes in each doubling of a time.
const STEPS: usize = 8;
const DOUBLINGS: usize = 32;

/// How many answers fell into which class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Times(BTreeMap<u16, u64>);

impl Times {
    /// One more answer.
    pub(crate) fn add(&mut self, micros: u32) {
        *self.0.entry(class(micros)).or_default() += 1;
    }

    /// All that others have.
    pub(crate) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(class, count)| *self.0.entry(*class).or_default() += count);
    }

    /// Microseconds within which half, 95 and 99 of a hundred were, to within an eighth; 0 where there was none.
    pub(crate) fn within(&self) -> [u64; 3] {
        within(self.0.values().sum(), self.0.iter().map(|(class, count)| (*class, *count)))
    }

    /// Class after class, as a file has it.
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() * 3);
        for (class, count) in &self.0 {
            varint(&mut out, u64::from(*class));
            varint(&mut out, *count);
        }
        out
    }

    /// What [`Times::pack`] wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn unpack(mut packed: &[u8]) -> io::Result<Self> {
        let mut times = Self::default();
        while !packed.is_empty() {
            let class =
                u16::try_from(number(&mut packed)?).ok().filter(|class| usize::from(*class) < STEPS * DOUBLINGS);
            let class = class.ok_or_else(|| broken("a class of times that there is not"))?;
            *times.0.entry(class).or_default() += number(&mut packed)?;
        }
        Ok(times)
    }
}

fn within(all: u64, classes: impl Iterator<Item = (u16, u64)> + Clone) -> [u64; 3] {
    [50, 95, 99].map(|percent| {
        let wanted = (all.saturating_mul(percent)).div_ceil(100).max(1);
        let mut seen = 0_u64;
        let found = classes.clone().find_map(|(class, count)| {
            seen = seen.saturating_add(count);
            (seen >= wanted).then(|| upper(class))
        });
        found.unwrap_or(0)
    })
}

fn class(micros: u32) -> u16 {
    let micros = u64::from(micros).max(1);
    let doubling = micros.ilog2() as usize;
    let within = if doubling >= 3 { (micros >> (doubling - 3)) & 7 } else { (micros << (3 - doubling)) & 7 };
    u16::try_from((doubling * STEPS + within as usize).min(STEPS * DOUBLINGS - 1)).unwrap_or(u16::MAX)
}

fn upper(class: u16) -> u64 {
    let (doubling, within) = (u64::from(class) / STEPS as u64, u64::from(class) % STEPS as u64);
    (1_u64 << doubling.min(40)) * (9 + within) / 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(all: &[u32]) -> Times {
        let mut times = Times::default();
        all.iter().for_each(|micros| times.add(*micros));
        times
    }

    proptest! {
        #[test]
        fn parts_come_to_what_the_whole_does(all in proptest::collection::vec(1_u32..4_000_000_000, 0..60), cut in 0_usize..60) {
            let (one, other) = all.split_at(cut.min(all.len()));
            let mut both = Times::unpack(&times(one).pack()).expect("reads back");
            both.merge(&times(other));
            prop_assert_eq!(&both, &times(&all));
            let mut sorted = all.clone();
            sorted.sort_unstable();
            for (told, percent) in both.within().into_iter().zip([50_usize, 95, 99]) {
                let Some(real) = sorted.get((sorted.len() * percent).div_ceil(100).max(1) - 1) else { continue };
                let real = u64::from(*real);
                prop_assert!(told >= real && told <= real + real / 8 + 2, "{} told as {}", real, told);
            }
        }

        #[test]
        fn what_is_broken_is_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Times::unpack(&bytes).map(|times| times.within());
        }
    }
}
