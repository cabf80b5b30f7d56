//! Sets of bytes: what a value contains, what would change it, what a pattern can start with.

use std::fmt;

/// A set of byte values, 256 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// No byte.
    pub const EMPTY: Self = Self([0; 4]);
    /// Every byte.
    pub const FULL: Self = Self([u64::MAX; 4]);

    /// The bytes that `bytes` contains.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut set = Self::EMPTY;
        for &byte in bytes {
            set.insert(byte);
        }
        set
    }

    /// The bytes of a literal, for constants.
    #[must_use]
    pub const fn literal(bytes: &[u8]) -> Self {
        let mut set = Self::EMPTY;
        let mut at = 0;
        while at < bytes.len() {
            set = set.with(bytes[at]);
            at += 1;
        }
        set
    }

    /// The bytes from `first` to `last`, both of them too.
    #[must_use]
    pub const fn range(first: u8, last: u8) -> Self {
        let mut set = Self::EMPTY;
        let mut byte = first as u16;
        while byte <= last as u16 {
            set = set.with(byte as u8);
            byte += 1;
        }
        set
    }

    /// This set and `byte`.
    #[must_use]
    pub const fn with(mut self, byte: u8) -> Self {
        self.0[(byte >> 6) as usize] |= 1 << (byte & 63);
        self
    }

    /// Puts `byte` in.
    pub const fn insert(&mut self, byte: u8) {
        self.0[(byte >> 6) as usize] |= 1 << (byte & 63);
    }

    /// Whether `byte` is in it.
    #[must_use]
    pub const fn has(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] >> (byte & 63) & 1 == 1
    }

    /// Whether the two have a byte in common.
    #[must_use]
    pub const fn intersects(&self, other: &Self) -> bool {
        (self.0[0] & other.0[0]) | (self.0[1] & other.0[1]) | (self.0[2] & other.0[2]) | (self.0[3] & other.0[3]) != 0
    }

    /// Whether every byte of `other` is in this one.
    #[must_use]
    pub const fn contains(&self, other: &Self) -> bool {
        (!self.0[0] & other.0[0]) | (!self.0[1] & other.0[1]) | (!self.0[2] & other.0[2]) | (!self.0[3] & other.0[3])
            == 0
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self([self.0[0] | other.0[0], self.0[1] | other.0[1], self.0[2] | other.0[2], self.0[3] | other.0[3]])
    }

    /// What is not in it.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self([!self.0[0], !self.0[1], !self.0[2], !self.0[3]])
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0[0] | self.0[1] | self.0[2] | self.0[3] == 0
    }

    /// How many are in it.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.0[0].count_ones() + self.0[1].count_ones() + self.0[2].count_ones() + self.0[3].count_ones()
    }

    /// What is in both.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self([self.0[0] & other.0[0], self.0[1] & other.0[1], self.0[2] & other.0[2], self.0[3] & other.0[3]])
    }

    /// Each of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0u8..4).zip(self.0).flat_map(|(nth, word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = u8::try_from(left.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                left &= left - 1;
                Some(nth * 64 + bit)
            })
        })
    }
}

impl fmt::Debug for ByteSet {
    /// As ranges of hexadecimal values, since most sets are a few runs.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = out.debug_list();
        let mut run: Option<(u8, u8)> = None;
        for byte in self.iter() {
            match &mut run {
                Some((_, last)) if *last + 1 == byte => *last = byte,
                _ => {
                    if let Some((first, last)) = run {
                        list.entry(&format_args!("{first:02x}-{last:02x}"));
                    }
                    run = Some((byte, byte));
                }
            }
        }
        if let Some((first, last)) = run {
            list.entry(&format_args!("{first:02x}-{last:02x}"));
        }
        list.finish()
    }
}

/// How far two bytes are looked for one by one.
const NEAR: usize = 32;

/// Where two bytes stand next to one another. Where they are near, and are looked for again and again, to prepare a search would
/// cost more than it saves.
pub(crate) fn find_pair(text: &[u8], pair: [u8; 2]) -> Option<usize> {
    let near = text.get(..NEAR).unwrap_or(text);
    near.windows(2).position(|two| two == pair).or_else(|| {
        let far = NEAR - 1;
        Some(far + memchr::memmem::find(text.get(far..)?, &pair)?)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edges() {
        assert_eq!(ByteSet::FULL.len(), 256);
        assert_eq!(ByteSet::range(0, 255), ByteSet::FULL);
        assert_eq!(ByteSet::range(255, 255), ByteSet::of(&[255]));
        assert!(ByteSet::EMPTY.is_empty());
        assert_eq!(format!("{:?}", ByteSet::literal(b"abcz")), "[61-63, 7a-7a]");
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_list(left: Vec<u8>, right: Vec<u8>) {
            let naive: std::collections::BTreeSet<u8> = left.iter().copied().collect();
            let set = ByteSet::of(&left);
            let other = ByteSet::of(&right);
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), naive.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.len() as usize, naive.len());
            prop_assert_eq!(set.intersects(&other), right.iter().any(|byte| naive.contains(byte)));
            prop_assert_eq!(set.contains(&other), right.iter().all(|byte| naive.contains(byte)));
            for byte in 0..=255u8 {
                prop_assert_eq!(set.union(other).has(byte), naive.contains(&byte) || right.contains(&byte));
                prop_assert_eq!(set.common(other).has(byte), naive.contains(&byte) && right.contains(&byte));
                prop_assert_eq!(set.complement().has(byte), !naive.contains(&byte));
            }
        }
    }

    #[test]
    fn two_bytes_are_found_near_and_far() {
        for before in 0..3 * NEAR {
            let text = [vec![b'*'; before], b"*/ */".to_vec()].concat();
            assert_eq!(find_pair(&text, *b"*/"), Some(before), "{before}");
            assert_eq!(find_pair(&text[..before + 1], *b"*/"), None, "{before}");
        }
        assert_eq!(find_pair(b"", *b"*/"), None);
    }
}
