//! Classes of bytes: those that nothing here tells apart.
//!
//! Which bytes a value has decides which transformations could change it and which rules could match it. Only a few dozen sets of
//! bytes are ever asked about, so that the bytes fall into a few dozen classes, and what a value has is one word.
//! (The Core Rule Set: 56.)

use crate::bytes::ByteSet;

/// A set of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Classes(u64);

/// Which class each byte is of.
#[derive(Debug)]
pub(crate) struct Classing {
    /// The bit of its class.
    of: Box<[u64; 256]>,
    /// Of each class, the bit of those that the first sets do not tell apart.
    coarse: Box<[u64; Self::MOST]>,
}

impl Classes {
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Each of them, below [`Classing::MOST`].
    pub(crate) fn numbers(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let number = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (number < Classing::MOST).then_some(number)
        })
    }
}

impl Classing {
    /// Classes there are at most. Where sets tell more apart, the last class holds what is left, so that a value seems to have
    /// bytes that it has not: more is looked at then, never less.
    pub(crate) const MOST: usize = 64;

    /// Classes by which each of these sets can be told; [`Classing::coarse`] keeps to the first ones.
    pub(crate) fn new(first: &[ByteSet], more: &[ByteSet]) -> Self {
        let number = |kinds: &mut Vec<Vec<bool>>, kind: Vec<bool>| {
            kinds.iter().position(|known| *known == kind).unwrap_or_else(|| {
                kinds.push(kind);
                kinds.len() - 1
            })
        };
        let (mut kinds, mut firsts) = (Vec::new(), Vec::new());
        let (mut of, mut coarse) = (Box::new([0u64; 256]), Box::new([0; Self::MOST]));
        for (byte, bit) in (0u8..=255).zip(of.iter_mut()) {
            let has = |sets: &[ByteSet]| -> Vec<bool> { sets.iter().map(|set| set.has(byte)).collect() };
            let class = number(&mut kinds, [has(first), has(more)].concat()).min(Self::MOST - 1);
            *bit = 1 << class;
            coarse[class] |= 1 << number(&mut firsts, has(first)).min(63);
        }
        Self { of, coarse }
    }

    /// What the first sets tell of these classes: less than all, so that more values are alike.
    pub(crate) fn coarse(&self, classes: Classes) -> u64 {
        classes.numbers().fold(0, |coarse, class| coarse | self.coarse[class])
    }

    /// The classes of the bytes of a value.
    pub(crate) fn of(&self, value: &[u8]) -> Classes {
        Classes(value.iter().fold(0, |classes, byte| classes | self.of[usize::from(*byte)]))
    }

    /// The classes of a set's bytes.
    pub(crate) fn of_set(&self, set: &ByteSet) -> Classes {
        set.iter().fold(Classes::default(), |classes, byte| classes.union(self.of(&[byte])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_set_has_its_classes_have() {
        let sets: Vec<ByteSet> = (0u8..40).map(|nth| ByteSet::range(nth * 4, 255 - nth)).collect();
        let mut many = sets.clone();
        many.extend((0u8..=200).map(|byte| ByteSet::EMPTY.with(byte)));
        for sets in [sets, many] {
            let classing = Classing::new(&sets, &[]);
            for set in &sets {
                for byte in 0u8..=255 {
                    let shared = classing.of(&[byte]).intersects(classing.of_set(set));
                    assert!(shared || !set.has(byte), "{byte} is in it");
                    // Up to so many classes nothing else is.
                    assert!(shared == set.has(byte) || sets.len() > Classing::MOST, "{byte}");
                }
            }
        }
        assert_eq!(Classing::new(&[], &[]).of(b"").numbers().count(), 0);
    }

    #[test]
    fn what_only_later_sets_tell_apart_is_alike_in_the_coarse() {
        let letters = ByteSet::range(b'a', b'z');
        let classing = Classing::new(&[letters], &[ByteSet::literal(b"x1")]);
        let coarse = |value: &[u8]| classing.coarse(classing.of(value));
        assert_ne!(classing.of(b"x"), classing.of(b"y"));
        assert_eq!((coarse(b"x"), coarse(b"1")), (coarse(b"y"), coarse(b"2")));
        assert_ne!(coarse(b"x"), coarse(b"1"));
        assert_eq!(coarse(b"x1"), coarse(b"x") | coarse(b"1"));
    }
}
