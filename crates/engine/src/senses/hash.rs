//! Hashing what clients chose, fast, under keys that nobody outside has.
//!
//! A text is taken in by NH (Black et al., UMAC, CRYPTO 1999): two different texts of one length meet with a chance of
//! 2^-64, whoever chose them, as long as the keys are secret and no value is shown to them. What comes out is folded by
//! multilinear hashing (Lemire and Kaser, 2014), which meets with a chance of 2^-32 for each 32 bits and keeps texts of
//! different length apart. Both bounds are proven, which SipHash's is not, and sixteen bytes cost one multiplication.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Of a text, so many bytes and its length are told apart.
pub(crate) const TEXT_BYTES: usize = 256;
const BLOCK: usize = 16;
/// Words that are folded: four halves of the sum, and the length.
const FOLDED: usize = 5;

/// The keys of one node.
#[derive(Debug)]
pub(crate) struct Keys {
    blocks: [[u64; 2]; TEXT_BYTES / BLOCK],
    fold: [[u64; FOLDED + 1]; 2],
}

impl Keys {
    /// Drawn from the secret by SipHash.
    pub(crate) fn new(secret: [u64; 2]) -> Self {
        let mut number = 0u64;
        let mut next = || {
            let mut hasher = SipHasher13::new_with_keys(secret[0], secret[1]);
            hasher.write(b"senses");
            hasher.write_u64(number);
            number += 1;
            hasher.finish()
        };
        Self {
            blocks: std::array::from_fn(|_| [next(), next()]),
            fold: std::array::from_fn(|_| std::array::from_fn(|_| next())),
        }
    }

    /// Thirty-two bits, never 0: that means that there is nothing.
    pub(crate) fn short(&self, text: &[u8]) -> u32 {
        let (sum, length) = self.sum(text);
        fold(&self.fold[0], sum, length).max(1)
    }

    /// Sixty-four bits: what tests of the sums that all of these share can tell apart.
    #[cfg(test)]
    pub(crate) fn long(&self, text: &[u8]) -> u64 {
        let (sum, length) = self.sum(text);
        self.wide(sum, length)
    }

    /// Sixty-four bits of numbers.
    pub(crate) fn numbers(&self, numbers: [u64; 4]) -> u64 {
        let [a, b, c, d] = numbers;
        let sum = product(self.blocks[0], a, b).wrapping_add(product(self.blocks[1], c, d));
        self.wide(sum, u32::MAX)
    }

    fn wide(&self, sum: u128, length: u32) -> u64 {
        let [high, low] = &self.fold;
        u64::from(fold(high, sum, length)) << 32 | u64::from(fold(low, sum, length))
    }

    fn sum(&self, text: &[u8]) -> (u128, u32) {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let text = text.get(..TEXT_BYTES).unwrap_or(text);
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        let mut sum = 0u128;
        let mut keys = self.blocks.iter();
        for (block, key) in blocks.iter().zip(&mut keys) {
            let (a, b) = halves(u128::from_le_bytes(*block));
            sum = sum.wrapping_add(product(*key, a, b));
        }
        if let (false, Some(key)) = (rest.is_empty(), keys.next()) {
            let (a, b) = last(text);
            sum = sum.wrapping_add(product(*key, a, b));
        }
        (sum, length)
    }
}

fn product([k, l]: [u64; 2], a: u64, b: u64) -> u128 {
    u128::from(a.wrapping_add(k)) * u128::from(b.wrapping_add(l))
}

fn fold(keys: &[u64; FOLDED + 1], sum: u128, length: u32) -> u32 {
    let (low, high) = halves(sum);
    let words = [low & 0xffff_ffff, low >> 32, high & 0xffff_ffff, high >> 32, u64::from(length)];
    let [start, keys @ ..] = keys;
    let sum = words.iter().zip(keys).fold(*start, |sum, (word, key)| sum.wrapping_add(word.wrapping_mul(*key)));
    (sum >> 32) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
const fn halves(wide: u128) -> (u64, u64) {
    (wide as u64, (wide >> 64) as u64)
}

/// The last bytes of a text: for its length, they tell all that the whole blocks before them do not. They may overlap.
fn last(text: &[u8]) -> (u64, u64) {
    if let Some(block) = text.last_chunk::<BLOCK>() {
        return halves(u128::from_le_bytes(*block));
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)));
    }
    match text {
        [a, b, c] => (u64::from(u32::from_le_bytes([*a, *b, *c, 0])), 0),
        [a, b] => (u64::from(u16::from_le_bytes([*a, *b])), 0),
        [a] => (u64::from(*a), 0),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_and_the_length_count() {
        let keys = Keys::new([1, 2]);
        for length in 0..=TEXT_BYTES {
            let text: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
            let whole = keys.long(&text);
            for at in 0..length {
                let mut other = text.clone();
                other[at] ^= 0x20;
                assert_ne!(keys.long(&other), whole, "byte {at} of {length}");
                assert_ne!(keys.short(&other), keys.short(&text), "byte {at} of {length}");
            }
            assert_ne!(keys.long(&[&text[..], b"\0"].concat()), whole, "{length}");
        }
    }

    #[test]
    fn counted_texts_do_not_meet() {
        let keys = Keys::new([3, 4]);
        let hashes: BTreeSet<u64> = (0..200_000).map(|at| keys.long(format!("/page/{at}").as_bytes())).collect();
        assert_eq!(hashes.len(), 200_000);
        // Of 200,000 values of 32 bits, 4.7 pairs are expected to meet.
        let short: BTreeSet<u32> = (0..200_000).map(|at| keys.short(format!("/page/{at}").as_bytes())).collect();
        assert!(short.len() > 200_000 - 20, "{}", short.len());
        // Buckets and tags are taken from either half: each must be spread evenly.
        for shift in [0, 32, 52] {
            let mut bins = [0u32; 256];
            hashes.iter().for_each(|hash| bins[(hash >> shift) as usize & 255] += 1);
            let expected = 200_000.0 / 256.0;
            let apart = |count: &u32| f64::from(*count) - expected;
            let chi: f64 = bins.iter().map(|count| apart(count) * apart(count) / expected).sum();
            assert!(chi < 400.0, "{chi} at {shift}");
        }
    }

    proptest! {
        #[test]
        fn another_secret_is_another_hash(text in proptest::collection::vec(any::<u8>(), 0..300), secret in any::<[u64; 2]>()) {
            let (one, same) = (Keys::new(secret), Keys::new(secret));
            let other = Keys::new([secret[0] ^ 1, secret[1]]);
            prop_assert_eq!(one.long(&text), same.long(&text));
            prop_assert_ne!(one.long(&text), other.long(&text));
        }

        #[test]
        fn different_texts_differ(one in proptest::collection::vec(any::<u8>(), 0..64), other in proptest::collection::vec(any::<u8>(), 0..64)) {
            let keys = Keys::new([5, 6]);
            prop_assert_eq!(one == other, keys.long(&one) == keys.long(&other));
        }
    }
}
