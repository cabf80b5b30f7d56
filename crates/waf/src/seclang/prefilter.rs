//! Which rules could match a value at all, found in one pass over its bytes.
//!
//! For each rule it is known what every value that it matches must contain: some literal of each of a few sets. A window of
//! each literal, the one that is met most seldom, stands in a table that a few kilobytes of bits guard, so that they stay in the
//! processor's nearest caches; where a window is met, the literal is compared. Literals of one byte are looked up in the classes
//! of bytes that the value has. What is left is verified; what is not left cannot match. Upper and lower case are not told apart.
//!
//! An automaton over the same windows takes 13 MiB for the Core Rule Set and a miss of the cache for many bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::classes::{Classes, Classing};
use crate::bytes::ByteSet;

/// Sets of literals that one rule is held to. A third rules out one value more in fifteen, and costs more than it saves.
const SETS: usize = 2;
/// Longer literals are known by a window of them. Longer windows would make a larger automaton and tell little more.
const WINDOW: usize = 4;

/// A set of rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rules(Vec<u64>);

impl Rules {
    pub(crate) fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    pub(crate) fn all(count: usize) -> Self {
        Self(vec![u64::MAX; count.div_ceil(64)])
    }

    pub(crate) fn insert(&mut self, rule: usize) {
        if let Some(word) = self.0.get_mut(rule / 64) {
            *word |= 1 << (rule % 64);
        }
    }

    pub(crate) fn has(&self, rule: usize) -> bool {
        self.0.get(rule / 64).is_some_and(|word| word >> (rule % 64) & 1 == 1)
    }

    pub(crate) fn remove_all(&mut self, others: &Self) {
        for (word, other) in self.0.iter_mut().zip(&others.0) {
            *word &= !other;
        }
    }

    pub(crate) fn insert_all(&mut self, others: &Self) {
        for (word, other) in self.0.iter_mut().zip(&others.0) {
            *word |= other;
        }
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.0
    }
}

/// Of one rule: what each value that it matches contains, as sets of which one member must be there. No set: anything.
pub(crate) type Needs = Vec<Vec<Vec<u8>>>;

/// The literals of all rules.
#[derive(Debug)]
pub(crate) struct Prefilter {
    words: usize,
    /// Windows of two, three and four bytes. Each has bits that keep other windows from being looked up at all.
    pairs: Windows<1024>,
    threes: Windows<1024>,
    fours: Windows<4096>,
    literals: Vec<Literal>,
    /// Literals one after the other, in lower case.
    texts: Vec<u8>,
    /// What literals satisfy, one after the other: a word of the work, and its bits.
    satisfies: Vec<(u32, u64)>,
    /// Classes of bytes that satisfy a set by themselves.
    telling: Classes,
    /// Of each class, the rules whose sets it satisfies: [`SETS`] times `words` words, or none.
    single: Vec<Box<[u64]>>,
    /// Rules that have no such set, so that it is satisfied by anything.
    base: Box<[u64]>,
}

/// A literal, and what it satisfies.
#[derive(Debug, Clone, Copy)]
struct Literal {
    /// The bytes beside its window, as [`beside`] has them, and which of them are the literal's.
    beside: u64,
    mask: u64,
    /// Where it stands in [`Prefilter::texts`].
    start: u32,
    length: u32,
    /// Where its window ends.
    end: u32,
    satisfies: (u32, u32),
}

/// Windows of one length, in a table with open places; `WORDS` words of bits stand before it.
#[derive(Debug)]
struct Windows<const WORDS: usize> {
    bits: Box<[u64; WORDS]>,
    /// The window, its first literal in [`Prefilter::literals`], and how many there are. None: the place is open.
    places: Vec<(u32, u32, u32)>,
}

/// A prime near 2^32 divided by the golden ratio: neighbouring windows land far apart (Knuth, volume 3, 6.4).
const SPREAD: u32 = 0x9E37_79B1;

impl<const WORDS: usize> Windows<WORDS> {
    /// Takes literals, each with its window, and puts them behind the others.
    fn new(mut windows: Vec<(u32, Literal)>, literals: &mut Vec<Literal>) -> Self {
        windows.sort_by_key(|(window, _)| *window);
        // A quarter full at most, so that a search ends at once.
        let places = (windows.len() * 4).next_power_of_two().max(4);
        let mut new = Self { bits: Box::new([0; WORDS]), places: vec![(0, 0, 0); places] };
        for (window, literal) in windows {
            let (word, bit) = Self::bit(window);
            if let Some(word) = new.bits.get_mut(word) {
                *word |= 1 << bit;
            }
            let at = new.search(window);
            if let Some(place) = new.places.get_mut(at) {
                if place.2 == 0 {
                    *place = (window, u32::try_from(literals.len()).unwrap_or(u32::MAX), 0);
                }
                place.2 += 1;
            }
            literals.push(literal);
        }
        new
    }

    const fn bit(window: u32) -> (usize, u32) {
        let hash = window.wrapping_mul(SPREAD);
        let shift = WORDS.trailing_zeros();
        ((hash >> (32 - shift)) as usize, hash >> (26 - shift) & 63)
    }

    /// 1 where there may be such a window.
    fn may_have(&self, window: u32) -> u64 {
        let (word, bit) = Self::bit(window);
        self.bits.get(word).map_or(0, |word| word >> bit & 1)
    }

    /// Where a window is, or would be.
    fn search(&self, window: u32) -> usize {
        // The upper bits of the product are those that all bytes of the window tell in.
        let mut at = (window.wrapping_mul(SPREAD) >> (32 - self.places.len().trailing_zeros())) as usize;
        loop {
            at &= self.places.len() - 1;
            match self.places.get(at) {
                Some((known, _, count)) if *count > 0 && *known != window => at += 1,
                _ => return at,
            }
        }
    }

    /// Where the literals with this window are.
    fn find(&self, window: u32) -> Range<usize> {
        let (_, first, count) = self.places.get(self.search(window)).copied().unwrap_or_default();
        first as usize..(first + count) as usize
    }

    fn memory(&self) -> usize {
        WORDS * 8 + self.places.len() * 12
    }
}

/// Room to work in, and what was met in the value that is scanned.
#[derive(Debug, Default)]
pub(crate) struct Room {
    work: Vec<u64>,
    met: Vec<Met>,
    /// Of this scan: what others met is forgotten.
    turn: u32,
}

/// A window and what is beside it: to look it up again would find the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Met {
    around: u64,
    window: u32,
    turn: u32,
}

/// Bytes before the last of a window that [`beside`] and the window have.
const AROUND: usize = 2 * WINDOW - 1;
/// Values as long as this may be made of what the tables know, over and over: what was met is remembered.
const LONG: usize = 1024;
/// Windows that are remembered.
const MOST_MET: usize = 1024;

impl Room {
    fn begin(&mut self, bytes: usize) {
        self.work.clear();
        if bytes < LONG {
            return;
        }
        self.turn = self.turn.wrapping_add(1);
        if self.turn <= 1 {
            self.turn = 1;
            self.met.clear();
            self.met.resize(MOST_MET, Met::default());
        }
    }

    /// Memory that it holds, in bytes.
    pub(crate) const fn memory(&self) -> usize {
        self.work.capacity() * 8 + self.met.capacity() * size_of::<Met>()
    }
}

impl Met {
    fn place(&self) -> usize {
        let mixed = (self.around ^ u64::from(self.window) << 17).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        usize::try_from(mixed >> 54).unwrap_or(0) % MOST_MET
    }
}

impl Prefilter {
    pub(crate) fn new(needs: &[Needs], classes: &Classing) -> Self {
        let words = needs.len().div_ceil(64).max(1);
        let mut base = vec![0u64; SETS * words].into_boxed_slice();
        // In their order, so that the same rules always make the same tables.
        let mut known = BTreeMap::<Vec<u8>, BTreeMap<u32, u64>>::new();
        let mut single: Vec<Box<[u64]>> = vec![Box::default(); Classing::MOST];
        let mut telling = Classes::default();
        for (rule, needs) in needs.iter().enumerate() {
            let sets = rarest(needs);
            for slot in 0..SETS {
                let (word, bit) = (slot * words + rule / 64, 1u64 << (rule % 64));
                let Some(set) = sets.get(slot) else {
                    base[word] |= bit;
                    continue;
                };
                for literal in *set {
                    if let [byte] = literal.as_slice() {
                        for byte in [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()] {
                            let class = classes.of(&[byte]);
                            telling = telling.union(class);
                            for number in class.numbers() {
                                let rules = &mut single[number];
                                if rules.is_empty() {
                                    *rules = vec![0; SETS * words].into();
                                }
                                rules[word] |= bit;
                            }
                        }
                        continue;
                    }
                    let satisfied = known.entry(literal.to_ascii_lowercase()).or_default();
                    *satisfied.entry(u32::try_from(word).unwrap_or(u32::MAX)).or_default() |= bit;
                }
            }
        }
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let (mut literals, mut texts, mut satisfies) = (Vec::new(), Vec::new(), Vec::new());
        let mut windows: [Vec<(u32, Literal)>; 3] = Default::default();
        let mut crowds = BTreeMap::new();
        for (text, satisfied) in known {
            let end = window(&text, &mut crowds);
            let literal = Literal {
                beside: beside(&text, end),
                mask: mask(&text, end),
                start: place(texts.len()),
                length: place(text.len()),
                end: place(end),
                satisfies: (place(satisfies.len()), place(satisfies.len() + satisfied.len())),
            };
            windows[text.len().min(WINDOW) - 2].push((ending(&text, end), literal));
            texts.extend_from_slice(&text);
            satisfies.extend(satisfied);
        }
        let [pairs, threes, fours] = windows;
        let pairs = Windows::new(pairs, &mut literals);
        let threes = Windows::new(threes, &mut literals);
        let fours = Windows::new(fours, &mut literals);
        Self { words, pairs, threes, fours, literals, texts, satisfies, telling, single, base }
    }

    /// How many words [`Prefilter::scan`] writes.
    pub(crate) const fn words(&self) -> usize {
        self.words
    }

    /// Writes the rules that could match `value`, which has bytes of the classes `classes`.
    pub(crate) fn scan(&self, value: &[u8], classes: Classes, room: &mut Room, out: &mut Vec<u64>) {
        room.begin(value.len());
        let Room { work, met: known, turn } = room;
        work.extend_from_slice(&self.base);
        for class in classes.common(self.telling).numbers() {
            for (word, rules) in work.iter_mut().zip(self.single.get(class).into_iter().flatten()) {
                *word |= rules;
            }
        }
        let mut window = 0u32;
        for (nth, block) in value.chunks(64).enumerate() {
            // Without a branch in it: most bytes end no window that is known.
            let mut windows = [0u32; 64];
            let mut met = 0u64;
            for (place, (byte, kept)) in block.iter().zip(&mut windows).enumerate() {
                window = window << 8 | u32::from(byte.to_ascii_lowercase());
                *kept = window;
                let four = self.fours.may_have(window);
                let three = self.threes.may_have(window & 0xFF_FFFF);
                let two = self.pairs.may_have(window & 0xFFFF);
                met |= (four | three | two) << place;
            }
            while met != 0 {
                let place = met.trailing_zeros() as usize;
                met &= met - 1;
                let (window, at) = (windows[place & 63], nth * 64 + place);
                let around = beside(value, at + 1);
                if value.len() < LONG {
                    self.ends(window, around, value, at, work);
                    continue;
                }
                let this = Met { around, window, turn: *turn };
                let Some(known) = known.get_mut(this.place()) else { continue };
                // Near the beginning zeros stand for what is not there, and would be told of a value that has some.
                if *known != this && self.ends(window, around, value, at, work) && at >= AROUND {
                    *known = this;
                }
            }
        }
        let (first, rest) = work.split_at(self.words);
        let start = out.len();
        out.extend_from_slice(first);
        for set in rest.chunks(self.words) {
            for (word, set) in out.iter_mut().skip(start).zip(set) {
                *word &= set;
            }
        }
    }

    /// A window ends at `at` that may be known, with `around` beside it. False where it takes more of the value to tell what
    /// that satisfies.
    #[inline(never)]
    fn ends(&self, window: u32, around: u64, value: &[u8], at: usize, work: &mut [u64]) -> bool {
        let mut told = true;
        if self.fours.may_have(window) != 0 {
            for literal in self.literals.get(self.fours.find(window)).unwrap_or_default() {
                if (around ^ literal.beside) & literal.mask != 0 {
                    continue;
                }
                let (start, length) = ((at + 1).checked_sub(literal.end as usize), literal.length as usize);
                let text = self.texts.get(literal.start as usize..literal.start as usize + length).unwrap_or_default();
                // What is beside the window is zero where the value ends, which a literal may have there.
                let there = start.and_then(|start| value.get(start..start + length));
                if there.is_some_and(|there| there.eq_ignore_ascii_case(text)) {
                    self.satisfy(literal, work);
                } else {
                    told = false;
                }
            }
        }
        let window = window & 0xFF_FFFF;
        if self.threes.may_have(window) != 0 && at >= 2 {
            let found = self.literals.get(self.threes.find(window)).unwrap_or_default();
            found.iter().for_each(|literal| self.satisfy(literal, work));
        }
        let window = window & 0xFFFF;
        if self.pairs.may_have(window) != 0 && at >= 1 {
            let found = self.literals.get(self.pairs.find(window)).unwrap_or_default();
            found.iter().for_each(|literal| self.satisfy(literal, work));
        }
        told
    }

    fn satisfy(&self, literal: &Literal, work: &mut [u64]) {
        let (from, to) = literal.satisfies;
        for (word, bits) in self.satisfies.get(from as usize..to as usize).unwrap_or_default() {
            if let Some(word) = work.get_mut(*word as usize) {
                *word |= bits;
            }
        }
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.pairs.memory()
            + self.threes.memory()
            + self.fours.memory()
            + self.literals.len() * size_of::<Literal>()
            + self.texts.len()
            + self.satisfies.len() * size_of::<(u32, u64)>()
            + self.single.iter().map(|rules| rules.len() * 8).sum::<usize>()
    }
}

/// The sets that one rule is held to: those that are met most seldom.
fn rarest(needs: &Needs) -> Vec<&Vec<Vec<u8>>> {
    let mut sets: Vec<&Vec<Vec<u8>>> =
        needs.iter().filter(|set| !set.is_empty() && set.iter().all(|literal| !literal.is_empty())).collect();
    sets.sort_by_cached_key(|set| commonness(set));
    sets.truncate(SETS);
    // What nearly every value satisfies costs more than it saves.
    let worth = sets.iter().take_while(|set| commonness(set) < COMMON).count();
    sets.truncate(worth);
    sets
}

/// The single bytes in each set by which some rule is held, for [`Classing`].
pub(crate) fn singles(needs: &[Needs]) -> impl Iterator<Item = ByteSet> + '_ {
    needs.iter().flat_map(rarest).map(|set| {
        set.iter().fold(ByteSet::EMPTY, |bytes, literal| match literal.as_slice() {
            [byte] => bytes.with(byte.to_ascii_lowercase()).with(byte.to_ascii_uppercase()),
            _ => bytes,
        })
    })
}

/// How often a set is satisfied by what is sent every day, roughly: the sum over its members, each as often as its bytes.
fn commonness(set: &[Vec<u8>]) -> u64 {
    let often = |literal: &Vec<u8>| ONCE >> literal.iter().map(|byte| rarity(*byte)).sum::<u32>().min(40);
    set.iter().map(often).sum()
}

/// At each byte.
const ONCE: u64 = 1 << 40;
/// Once in eight bytes.
const COMMON: u64 = ONCE >> 3;

/// Rarer windows than this, in bits, are not worth a crowd.
const RARE: u32 = 21;

/// Where the window of a literal ends that is met most seldom, and that few others have: whoever knows the rules could otherwise
/// write what hundreds of them must be compared with, at each byte.
fn window(literal: &[u8], crowds: &mut BTreeMap<u32, u32>) -> usize {
    let length = WINDOW.min(literal.len());
    let worth = |end: &usize| -> u32 {
        let rare: u32 = literal.get(end - length..*end).unwrap_or_default().iter().map(|byte| rarity(*byte)).sum();
        let others = crowds.get(&ending(literal, *end)).copied().unwrap_or(0);
        (rare.min(RARE) * 2 + 64).saturating_sub(others * 3).max(rare)
    };
    let end = (length..=literal.len()).max_by_key(worth).unwrap_or(length);
    *crowds.entry(ending(literal, end)).or_default() += 1;
    end
}

/// The window that ends there, or as much of it as there is.
fn ending(text: &[u8], end: usize) -> u32 {
    let last = text.get(end.saturating_sub(WINDOW)..end).unwrap_or_default();
    last.iter().fold(0, |window, byte| window << 8 | u32::from(byte.to_ascii_lowercase()))
}

/// The four bytes before a window that ends at `end`, and the four behind it, in lower case; zero where the text has none.
fn beside(text: &[u8], end: usize) -> u64 {
    let before = end.saturating_sub(WINDOW);
    let mut bytes = [0; 8];
    let (left, right) = bytes.split_at_mut(4);
    match (text.get(before.wrapping_sub(4)..before), text.get(end..end + 4)) {
        (Some(four), Some(others)) => {
            left.copy_from_slice(four);
            right.copy_from_slice(others);
        }
        _ => {
            let four = text.get(before.saturating_sub(4)..before).unwrap_or_default();
            left.iter_mut().rev().zip(four.iter().rev()).for_each(|(to, byte)| *to = *byte);
            right.iter_mut().zip(text.get(end..).unwrap_or_default()).for_each(|(to, byte)| *to = *byte);
        }
    }
    lowercase(u64::from_le_bytes(bytes))
}

/// Eight bytes in lower case: a letter is what neither sum carries differently into its highest bit.
const fn lowercase(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = bytes & (EACH * 0x7f);
    let from_a = low + EACH * (0x80 - b'A' as u64);
    let beyond_z = low + EACH * (0x7f - b'Z' as u64);
    let upper = !bytes & (from_a ^ beyond_z) & (EACH * 0x80);
    bytes | (upper >> 2)
}

/// Which of those bytes a text has.
fn mask(text: &[u8], end: usize) -> u64 {
    let before = end.saturating_sub(WINDOW).min(4);
    let behind = (text.len() - end).min(4);
    (0..8).filter(|byte| (4 - before..4 + behind).contains(byte)).fold(0, |mask, byte| mask | 0xff << (8 * byte))
}

/// Roughly, in bits: how seldom a byte stands in what browsers and people send.
const fn rarity(byte: u8) -> u32 {
    match byte.to_ascii_lowercase() {
        b' ' | b'e' | b'a' | b't' | b'o' | b'i' | b'n' | b's' | b'r' => 4,
        b'l' | b'd' | b'c' | b'u' | b'm' | b'p' | b'h' | b'/' | b'.' | b'-' | b'=' | b'0'..=b'9' => 5,
        b'g' | b'b' | b'f' | b'y' | b'w' | b'v' | b'k' | b'x' | b'_' | b',' | b';' | b'+' | b':' | b'%' | b'&' => 6,
        b'j' | b'q' | b'z' | b'(' | b')' | b'"' | b'\'' | b'?' | b'*' => 7,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefilter(needs: &[Needs]) -> (Prefilter, Classing) {
        let classes = Classing::new(&[], &singles(needs).collect::<Vec<_>>());
        (Prefilter::new(needs, &classes), classes)
    }

    fn could(filter: &(Prefilter, Classing), rule: usize, value: &[u8]) -> bool {
        could_in(filter, rule, value, &mut Room::default())
    }

    fn could_in((filter, classes): &(Prefilter, Classing), rule: usize, value: &[u8], room: &mut Room) -> bool {
        let mut out = Vec::new();
        filter.scan(value, classes.of(value), room, &mut out);
        out[rule / 64] >> (rule % 64) & 1 == 1
    }

    fn needs(sets: &[&[&str]]) -> Needs {
        sets.iter().map(|set| set.iter().map(|literal| literal.as_bytes().to_vec()).collect()).collect()
    }

    #[test]
    fn eight_bytes_become_small_as_one_does() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                let mut bytes = *b"aZ\xffA@[`\0";
                bytes[place] = byte;
                let small = bytes.map(|byte| byte.to_ascii_lowercase());
                assert_eq!(lowercase(u64::from_le_bytes(bytes)).to_le_bytes(), small, "{byte} at {place}");
            }
        }
    }

    #[test]
    fn a_rule_is_left_where_each_of_its_sets_has_a_member() {
        let rules =
            [needs(&[]), needs(&[&["union"], &["select", "insert"]]), needs(&[&["<"]]), needs(&[&["z", "script"]])];
        let filter = prefilter(&rules);
        let table: &[(&[u8], [bool; 4])] = &[
            (b"", [true, false, false, false]),
            (b"credit union", [true, false, false, false]),
            (b"UNION all SeLeCt", [true, true, false, false]),
            (b"<", [true, false, true, false]),
            (b"Z", [true, false, false, true]),
            (b"javaSCRIPT:", [true, false, false, true]),
            // A window that begins before the value does.
            (b"cript", [true, false, false, false]),
        ];
        for (value, expected) in table {
            for (rule, expected) in expected.iter().enumerate() {
                assert_eq!(could(&filter, rule, value), *expected, "{rule} {}", String::from_utf8_lossy(value));
            }
        }
    }

    proptest! {
        #[test]
        fn what_contains_what_it_needs_is_never_ruled_out(
            sets in prop::collection::vec(prop::collection::vec("[a-d<\0]{1,16}", 1..4), 0..5),
            picks in prop::collection::vec(0..4usize, 5),
            fill in "[a-dA-D<> \0]{0,12}",
        ) {
            let mut value = fill.clone().into_bytes();
            for (set, pick) in sets.iter().zip(picks) {
                value.extend_from_slice(set[pick % set.len()].to_uppercase().as_bytes());
                value.extend_from_slice(fill.as_bytes());
            }
            let rules = [sets.iter().map(|set| set.iter().map(|literal| literal.clone().into_bytes()).collect()).collect()];
            let filter = prefilter(&rules);
            prop_assert!(could(&filter, 0, &value));
            // Long, behind the same over and over, and in room that has met it before.
            let mut room = Room::default();
            for times in [LONG, 2 * LONG] {
                let long = [fill.repeat(times / fill.len().max(1)).into_bytes(), vec![b'a'; times], value.clone()].concat();
                prop_assert!(could_in(&filter, 0, &long, &mut room));
                let long = value.repeat(times / value.len().max(1) + 1);
                prop_assert!(could_in(&filter, 0, &long, &mut room));
            }
        }
    }
}
