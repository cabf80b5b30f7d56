//! The demo's dice: whoever has the same seed sees the same supporters and the same members.
//!
//! Never used for a secret; those come from the operating system (`secret`).

use std::time::Duration;

use portcullis_sensors::manifest::hex;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to decide who reads which page.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The dice of `seed`; `stream` tells several apart that share it.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut chance = Self(seed ^ stream.wrapping_mul(0xA076_1D64_78BD_642F));
        chance.next();
        chance
    }

    /// Sixty-four bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`; zero when there is none.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    /// True `percent` times in a hundred.
    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of several; `None` of nothing.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    /// How long a person takes over something: often a little less than `usual`, sometimes much more, never beyond
    /// four times it.
    pub(crate) fn pause(&mut self, usual: Duration) -> Duration {
        let share = (self.below(1_000_000) as f64 + 1.0) / 1_000_001.0;
        usual.mul_f64((0.2 - share.ln() * 0.8).clamp(0.2, 4.0))
    }
}

/// A word that nobody can guess, in hex: session identifiers, tokens, keys.
pub(crate) fn secret() -> Option<String> {
    let mut bytes = [0_u8; 16];
    rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_everything_and_streams_differ() {
        let draw = |seed, stream| {
            let mut chance = Chance::new(seed, stream);
            (0..8).map(|_| chance.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }

    #[test]
    fn pauses_are_bounded() {
        let mut chance = Chance::new(7, 0);
        let usual = Duration::from_secs(1);
        for _ in 0..10_000 {
            let pause = chance.pause(usual);
            assert!(pause >= usual / 5 && pause <= usual * 4, "{pause:?}");
        }
    }

    #[test]
    fn secrets_differ() {
        let (one, other) = (secret().expect("randomness"), secret().expect("randomness"));
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }
}
