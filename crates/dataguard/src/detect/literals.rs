//! Where literals stand, in any case of their letters: by three bytes that are rare in ordinary text.
//!
//! Each literal is known by three of its bytes, one after the other. A table says which three are worth a comparison, so that
//! text which holds none of them costs the same few instructions a byte, however many literals there are.

/// Bytes that are looked at together.
const GRAM: usize = 3;

/// Places of the table are 2 to this power: 16 KiB, which stay in the nearest cache.
const BITS: u32 = 14;

/// How far from its beginning the three bytes of a literal may stand.
const NEAR: usize = 64;

/// Each byte of three in the form in which capital and small letters are the same. Some other bytes become one as well: who
/// compares is not misled.
const FOLD: u64 = 0x2020_2020_2020_2020;

/// Literals to look for.
#[derive(Debug)]
pub(super) struct Literals {
    literals: Vec<Box<[u8]>>,
    /// Ascending by the bytes.
    grams: Vec<Gram>,
    /// By the hash of three bytes: 0 where no literal is known by them.
    maybe: Box<[u8; 1 << BITS]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Gram {
    bytes: u32,
    literal: usize,
    /// Where they stand in it.
    at: usize,
}

impl Literals {
    /// Of these. One of less than three bytes is never found.
    pub(super) fn new(literals: Vec<Box<[u8]>>) -> Self {
        let mut grams: Vec<Gram> = literals
            .iter()
            .enumerate()
            .filter_map(|(literal, bytes)| {
                let (at, bytes) = rarest(bytes)?;
                Some(Gram { bytes, literal, at })
            })
            .collect();
        grams.sort_unstable();
        let mut maybe = Box::new([0; 1 << BITS]);
        for gram in &grams {
            maybe[place(gram.bytes)] = 1;
        }
        Self { literals, grams, maybe }
    }

    pub(super) fn len(&self) -> usize {
        self.literals.len()
    }

    /// Tells each literal, by its number, of which the three bytes stand between `from` and `to`, with its beginning and its
    /// end. Each is told once, wherever the text is cut.
    pub(super) fn find(&self, text: &[u8], from: usize, to: usize, tell: &mut dyn FnMut(usize, usize, usize)) {
        if self.grams.is_empty() {
            return;
        }
        let mut at = from;
        // Eight places at once, with the two bytes behind the last.
        while at + 8 <= to
            && let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk::<12>)
            && let (Some(low), Some(high)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>())
        {
            let (low, high) = (u64::from_le_bytes(*low) | FOLD, u64::from_le_bytes(*high) | FOLD);
            let any = [low, low >> 8, low >> 16, low >> 24, high, high >> 8, high >> 16, high >> 24];
            if any.into_iter().fold(0, |any, bytes| any | self.worth(bytes)) != 0 {
                for (at, bytes) in (at..).zip(any) {
                    if self.worth(bytes) != 0 {
                        self.compare(text, at, tell);
                    }
                }
            }
            at += 8;
        }
        (at..to).for_each(|at| self.compare(text, at, tell));
    }

    #[inline]
    const fn worth(&self, bytes: u64) -> u8 {
        #[expect(clippy::cast_possible_truncation, reason = "the three lowest bytes are meant")]
        let bytes = bytes as u32;
        self.maybe[place(bytes)]
    }

    /// Which literals have the three bytes at `at`, and whether they stand there.
    fn compare(&self, text: &[u8], at: usize, tell: &mut dyn FnMut(usize, usize, usize)) {
        let Some([one, two, three]) = text.get(at..).and_then(<[u8]>::first_chunk::<GRAM>) else { return };
        let bytes = folded([*one, *two, *three]);
        let first = self.grams.partition_point(|gram| gram.bytes < bytes);
        for gram in self.grams.get(first..).unwrap_or_default().iter().take_while(|gram| gram.bytes == bytes) {
            let Some((literal, start)) = self.literals.get(gram.literal).zip(at.checked_sub(gram.at)) else { continue };
            let end = start + literal.len();
            if text.get(start..end).is_some_and(|part| part.eq_ignore_ascii_case(literal)) {
                tell(gram.literal, start, end);
            }
        }
    }
}

/// Where the table speaks of the three lowest bytes.
#[inline]
const fn place(bytes: u32) -> usize {
    ((bytes << 8).wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize
}

const fn folded([one, two, three]: [u8; GRAM]) -> u32 {
    u32::from_le_bytes([one | 0x20, two | 0x20, three | 0x20, 0])
}

/// The three bytes of a literal that are rarest in text, and where they stand in it.
fn rarest(literal: &[u8]) -> Option<(usize, u32)> {
    let places = literal.windows(GRAM).take(NEAR).enumerate();
    let (at, bytes) = places.min_by_key(|(_, bytes)| bytes.iter().map(|byte| commonness(*byte)).sum::<usize>())?;
    let &[one, two, three] = bytes else { return None };
    Some((at, folded([one, two, three])))
}

/// How often a byte comes up in pages, about.
fn commonness(byte: u8) -> usize {
    const LETTERS: &[u8] = b" etaoinsrhldcumfpgwybv";
    match LETTERS.iter().position(|letter| *letter == byte.to_ascii_lowercase()) {
        Some(place) => 8 + LETTERS.len() - place,
        None if byte.is_ascii_digit() || b"\"<>/=:;,.-".contains(&byte) => 16,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What a search without any cleverness finds, wherever the text is cut.
        #[test]
        fn it_finds_what_a_plain_search_finds(
            literals in prop::collection::vec("[aBc_@ ]{3,9}", 1..8),
            text in "[AbC_@` ]{0,200}",
            places in prop::collection::vec((any::<usize>(), any::<usize>()), 0..6),
            cut in any::<usize>(),
        ) {
            let mut text = text.into_bytes();
            for (literal, at) in places {
                let at = at % (text.len() + 1);
                text.splice(at..at, literals[literal % literals.len()].bytes());
            }
            let known: Vec<Box<[u8]>> = literals.iter().map(|literal| literal.as_bytes().into()).collect();
            let mut expected = Vec::new();
            for (number, literal) in known.iter().enumerate() {
                let all = text.windows(literal.len()).enumerate();
                let there = all.filter(|(_, part)| part.eq_ignore_ascii_case(literal));
                expected.extend(there.map(|(start, part)| (number, start, start + part.len())));
            }
            let mut found = Vec::new();
            let finder = Literals::new(known);
            let cut = cut % (text.len() + 1);
            for (from, to) in [(0, cut), (cut, text.len())] {
                finder.find(&text, from, to, &mut |number, start, end| found.push((number, start, end)));
            }
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
