//! Looking for canaries in bytes that come in pieces: frames of a database, cells, messages.
//!
//! Every [`STEP`]th place of the stream is looked at, by the eight bytes that stand there. Each literal is known by the eight
//! bytes at as many places of its own, one after the other, so that one of them is met wherever it stands. What is met
//! is compared. A thousand canaries take about a megabyte.

use std::fmt;

use smallvec::SmallVec;

use super::{Canaries, CanaryId};

/// Bytes that are looked at together.
const GRAM: usize = 8;

/// The furthest that two looks are apart; less where a literal is short.
const STEP: usize = 9;

/// How far from the beginning of a literal the bytes may stand that it is known by: who reads a window of a stream has so much
/// of what was before.
const NEAR: usize = 64;

/// Bits of the table that says which bytes are not worth a search: 128 KiB.
const BITS: u32 = 20;

/// Looks for canaries, in any case of their letters.
pub struct Matcher {
    /// In lower case.
    literals: Vec<(CanaryId, Box<[u8]>)>,
    /// Ascending by the bytes.
    grams: Vec<Gram>,
    maybe: Box<[u64]>,
    step: usize,
    longest: usize,
}

/// Eight bytes of a literal, in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Gram {
    bytes: u64,
    literal: u32,
    /// Where they stand in it.
    at: u32,
}

/// The last bytes of a stream: what has begun in them may end in those that follow.
#[derive(Debug, Clone, Default)]
pub struct Trail(SmallVec<[u8; 64]>);

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Matcher of {} literals", self.literals.len())
    }
}

impl Matcher {
    /// For these canaries. A literal of less than eight bytes is not looked for; no canary has one.
    #[must_use]
    pub fn new(canaries: &Canaries) -> Self {
        let literals: Vec<(CanaryId, Box<[u8]>)> = canaries
            .literals()
            .filter(|(_, literal)| literal.len() >= GRAM)
            .map(|(id, literal)| (id, literal.to_ascii_lowercase().into_boxed_slice()))
            .collect();
        let shortest = literals.iter().map(|(_, literal)| literal.len()).min().unwrap_or(GRAM);
        let longest = literals.iter().map(|(_, literal)| literal.len()).max().unwrap_or_default();
        let step = (shortest + 1 - GRAM).clamp(1, STEP);
        let grams = chosen(&literals, step);
        let mut maybe = vec![0_u64; 1 << (BITS - 6)].into_boxed_slice();
        for gram in &grams {
            let (word, bit) = place(gram.bytes);
            if let Some(word) = maybe.get_mut(word) {
                *word |= bit;
            }
        }
        Self { literals, grams, maybe, step, longest }
    }

    /// More bytes of the stream that `trail` stands in. Canaries that end in them are told, in the order of their ends.
    pub fn feed(&self, trail: &mut Trail, bytes: &[u8], seen: &mut dyn FnMut(CanaryId)) {
        if self.literals.is_empty() || bytes.is_empty() {
            return;
        }
        let behind = self.longest - 1;
        let mut met: SmallVec<[(usize, u32); 4]> = SmallVec::new();
        // What began before: in what is left of the stream and as much of these bytes as it could reach into.
        let before = trail.0.len();
        if before > 0 {
            trail.0.extend_from_slice(bytes.get(..behind).unwrap_or(bytes));
            self.find(&trail.0, (0, trail.0.len()), 0, &mut |start, end, literal| {
                if start < before && end > before {
                    met.push((end, literal));
                }
            });
            trail.0.truncate(before);
        }
        self.find(bytes, (0, bytes.len()), 0, &mut |_, end, literal| met.push((before + end, literal)));
        met.sort_unstable();
        met.iter().filter_map(|(_, literal)| self.literal(*literal)).for_each(|(id, _)| seen(*id));

        if let Some(last) = bytes.len().checked_sub(behind).and_then(|from| bytes.get(from..)) {
            trail.0.clear();
            trail.0.extend_from_slice(last);
        } else {
            let over = (before + bytes.len()).saturating_sub(behind);
            trail.0.drain(..over.min(before));
            trail.0.extend_from_slice(bytes);
        }
    }

    /// What stands in a window of a stream that begins at `base`, and is known by bytes between two places of the window. Each
    /// canary is told once with its beginning and end, however the stream is divided, if the window goes on behind them and
    /// holds some of what was before.
    pub(crate) fn within(
        &self,
        window: &[u8],
        places: (usize, usize),
        base: u64,
        seen: &mut dyn FnMut(CanaryId, usize, usize),
    ) {
        self.find(window, places, base, &mut |start, end, literal| {
            if let Some((id, _)) = self.literal(literal) {
                seen(*id, start, end);
            }
        });
    }

    /// Every place where a literal stands whole.
    fn find(&self, bytes: &[u8], (from, to): (usize, usize), base: u64, tell: &mut dyn FnMut(usize, usize, u32)) {
        // The places that are looked at are those of the stream, not of the piece.
        let step = self.step as u64;
        let before = (base + from as u64) % step;
        let mut at = from + usize::try_from((step - before) % step).unwrap_or_default();
        while at < to
            && let Some(window) = bytes.get(at..).and_then(<[u8]>::first_chunk::<GRAM>)
        {
            let gram = lower(u64::from_le_bytes(*window));
            let (word, bit) = place(gram);
            if self.maybe.get(word).is_some_and(|word| word & bit != 0) {
                self.compare(bytes, at, gram, tell);
            }
            at += self.step;
        }
    }

    /// The literals that have these bytes: whether one of them stands there.
    #[cold]
    fn compare(&self, bytes: &[u8], at: usize, gram: u64, tell: &mut dyn FnMut(usize, usize, u32)) {
        let first = self.grams.partition_point(|known| known.bytes < gram);
        let alike = self.grams.get(first..).unwrap_or_default().iter().take_while(|known| known.bytes == gram);
        for known in alike {
            let Some((_, literal)) = self.literal(known.literal) else { continue };
            let Some(start) = at.checked_sub(known.at as usize) else { continue };
            let end = start + literal.len();
            if bytes.get(start..end).is_some_and(|part| part.eq_ignore_ascii_case(literal)) {
                tell(start, end, known.literal);
            }
        }
    }

    fn literal(&self, number: u32) -> Option<&(CanaryId, Box<[u8]>)> {
        self.literals.get(usize::try_from(number).ok()?)
    }
}

/// For each literal the bytes at `step` places, one after the other, where they are rarest among all literals: canaries of one
/// domain end alike, and members of one name begin alike.
fn chosen(literals: &[(CanaryId, Box<[u8]>)], step: usize) -> Vec<Gram> {
    let mut all: Vec<u64> = literals.iter().flat_map(|(_, literal)| grams(literal)).collect();
    all.sort_unstable();
    let shared = |gram: u64| {
        let first = all.partition_point(|known| *known < gram);
        all.get(first..).unwrap_or_default().partition_point(|known| *known == gram)
    };
    let mut chosen = Vec::with_capacity(literals.len() * step);
    for (number, (_, literal)) in (0_u32..).zip(literals) {
        let own: Vec<(u64, usize)> = grams(literal).map(|gram| (gram, shared(gram))).collect();
        let windows = own.windows(step).take(NEAR).enumerate();
        let best = windows.min_by_key(|(_, window)| window.iter().map(|(_, shared)| *shared).max());
        let Some((from, window)) = best else { continue };
        chosen.extend(
            (from..).zip(window).filter_map(|(at, (bytes, _))| {
                Some(Gram { bytes: *bytes, literal: number, at: u32::try_from(at).ok()? })
            }),
        );
    }
    chosen.sort_unstable();
    chosen
}

/// The eight bytes at each place of a literal.
fn grams(literal: &[u8]) -> impl Iterator<Item = u64> + '_ {
    literal.windows(GRAM).filter_map(<[u8]>::first_chunk::<GRAM>).map(|gram| u64::from_le_bytes(*gram))
}

/// Where the table speaks of these bytes.
fn place(gram: u64) -> (usize, u64) {
    let hash = gram.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS);
    (usize::try_from(hash >> 6).unwrap_or_default(), 1 << (hash & 63))
}

/// ASCII letters in lower case, eight at once; other bytes as they are.
const fn lower(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let seven = bytes & (0x7f * EACH);
    let from_a = seven + (0x80 - b'A' as u64) * EACH;
    let beyond_z = seven + (0x7f - b'Z' as u64) * EACH;
    let upper = (from_a ^ beyond_z) & !bytes & (0x80 * EACH);
    bytes | upper >> 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn letters_are_lowered_and_nothing_else() {
        for byte in 0..=u8::MAX {
            let all = u64::from_le_bytes([byte, b'A', byte, b'Z', b'@', b'[', byte, 0xC1]);
            let expected = u64::from_le_bytes([
                byte.to_ascii_lowercase(),
                b'a',
                byte.to_ascii_lowercase(),
                b'z',
                b'@',
                b'[',
                byte.to_ascii_lowercase(),
                0xC1,
            ]);
            assert_eq!(lower(all), expected, "{byte:#x}");
        }
    }

    /// A matcher of literals of the test's own.
    fn matcher(literals: &[&[u8]]) -> Matcher {
        let literals = (1..).zip(literals).map(|(number, literal)| (CanaryId(number), literal.to_vec())).collect();
        Matcher::new(&Canaries { entries: Vec::new(), literals })
    }

    #[test]
    fn literals_that_overlap_or_lie_in_one_another_are_each_seen() {
        let matcher = matcher(&[b"aaaaaaaaaa", b"margaret.holloway@a.org", b"holloway@a.org", b"HOLLOWAY@A.ORGAN"]);
        let mut seen = Vec::new();
        matcher.feed(&mut Trail::default(), b"x margaret.Holloway@a.organ aaaaaaaaaaaa", &mut |id| seen.push(id.0));
        seen.sort_unstable();
        assert_eq!(seen, [1, 1, 1, 2, 3, 4]);
    }

    proptest! {
        /// What a search without any cleverness finds, whatever the literals, the text and its cuts.
        #[test]
        fn it_finds_what_a_plain_search_finds(
            literals in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'B'), Just(0_u8)], 8..30), 1..6),
            text in proptest::collection::vec(prop_oneof![Just(b'A'), Just(b'b'), Just(0_u8)], 0..200),
            places in proptest::collection::vec((any::<usize>(), any::<usize>()), 0..6),
            cuts in proptest::collection::vec(any::<usize>(), 0..8),
        ) {
            let mut text = text;
            for (literal, at) in places {
                let literal = &literals[literal % literals.len()];
                let at = at % (text.len() + 1);
                text.splice(at..at, literal.iter().copied());
            }
            let mut expected = Vec::new();
            for end in 1..=text.len() {
                for (number, literal) in (1..).zip(&literals) {
                    let part = end.checked_sub(literal.len()).map(|start| &text[start..end]);
                    if part.is_some_and(|part| part.eq_ignore_ascii_case(literal)) {
                        expected.push(number);
                    }
                }
            }
            let slices: Vec<&[u8]> = literals.iter().map(Vec::as_slice).collect();
            let matcher = matcher(&slices);
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).chain([text.len()]).collect();
            ends.sort_unstable();
            let (mut seen, mut trail, mut from) = (Vec::new(), Trail::default(), 0);
            for end in ends {
                matcher.feed(&mut trail, &text[from..end], &mut |id| seen.push(id.0));
                from = end;
            }
            prop_assert_eq!(seen, expected);
        }
    }
}
