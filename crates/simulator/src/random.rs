//! Chance, from a seed.
//!
//! The same numbers on every machine: it uses nothing but integers and the four operations and the root that IEEE 754
//! rounds exactly; logarithm and exponential are those of a library that computes with nothing else.

/// A generator (xoshiro256**), seeded by splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Random([u64; 4]);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = seed;
        Self([(); 4].map(|()| splitmix(&mut state)))
    }

    /// Another generator, so that what one part of the world draws does not move the draws of another.
    pub(crate) fn fork(&self, purpose: u64) -> Self {
        let [a, b, c, d] = self.0;
        Self::new(a ^ b.rotate_left(16) ^ c.rotate_left(32) ^ d.rotate_left(48) ^ purpose.wrapping_mul(GOLDEN))
    }

    pub(crate) fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`; 0 for 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A position in a table of `length`.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// From 0 up to and without 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept, exactly")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// Time until the next of events that come by themselves, `mean` apart.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.unit())
    }

    /// Around `median`, skewed as service times are.
    pub(crate) fn skewed(&mut self, median: f64, spread: f64) -> f64 {
        // Twelve uniforms: a normal distribution for all that matters here, with bounded tails.
        let normal = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        median * libm::exp(spread * normal)
    }

    /// A position, by weight; the first where all weigh nothing.
    pub(crate) fn weighted(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let mut left = self.unit() * weights.clone().sum::<f64>();
        for (position, weight) in weights.enumerate() {
            if left < weight {
                return position;
            }
            left -= weight;
        }
        0
    }
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The next number of splitmix64.
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(GOLDEN);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_the_same_for_the_same_seed_and_spread_as_they_should() {
        let (mut one, mut same, mut other) = (Random::new(7), Random::new(7), Random::new(8));
        assert_eq!([(); 9].map(|()| one.next()), [(); 9].map(|()| same.next()));
        assert_ne!(one.next(), other.next());
        let mean = (0..100_000).map(|_| one.exponential(3.0)).sum::<f64>() / 100_000.0;
        assert!((mean - 3.0).abs() < 0.05, "{mean}");
        let mut skewed: Vec<f64> = (0..10_001).map(|_| one.skewed(20.0, 0.5)).collect();
        skewed.sort_by(f64::total_cmp);
        assert!((skewed[5000] - 20.0).abs() < 0.6, "{}", skewed[5000]);
        let picks = (0..10_000).filter(|_| one.weighted([1.0, 3.0].into_iter()) == 1).count();
        assert!((7_300..7_700).contains(&picks), "{picks}");
        assert_eq!((one.below(0), one.index(1)), (0, 0));
    }

    #[test]
    fn the_first_numbers_are_those_of_every_machine() {
        let mut random = Random::new(1);
        let first = [(); 3].map(|()| random.next());
        assert_eq!(first, [0xB3F2_AF6D_0FC7_10C5, 0x853B_5596_4736_4CEA, 0x92F8_9756_082A_4514], "{first:x?}");
    }
}
