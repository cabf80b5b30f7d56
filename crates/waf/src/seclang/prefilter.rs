//! Which rules could match a value at all, found in one pass over its bytes.
//!
//! For each rule it is known what every value that it matches must contain: some literal of each of a few sets. A window of
//! each literal, the one that is met most seldom, stands in a table that a few kilobytes of bits guard, so that they stay in the
//! processor's nearest cache; where a window is met, the literal is compared. Literals of one byte are looked up in the set of
//! bytes that the value has. What is left is verified; what is not left cannot match. Upper and lower case are not told apart.
//!
//! An automaton over the same windows takes 13 MiB for the Core Rule Set and a miss of the cache for many bytes.

use std::collections::BTreeMap;

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
    /// Windows of two, three and four bytes, each in a table that a few kilobytes of bits keep the others out of.
    grams: [Grams; 3],
    literals: Vec<Literal>,
    /// Bytes that satisfy a set by themselves.
    telling: ByteSet,
    /// Of each byte, the rules whose sets it satisfies: [`SETS`] times `words` words, or none.
    single: Vec<Option<Box<[u64]>>>,
    /// Rules that have no such set, so that it is satisfied by anything.
    base: Box<[u64]>,
}

/// A literal, and what it satisfies.
#[derive(Debug)]
struct Literal {
    /// In lower case.
    text: Box<[u8]>,
    /// Where its window ends.
    end: u32,
    /// Rules, and which of their sets.
    satisfies: Vec<(u8, u16)>,
}

/// Windows of one length.
#[derive(Debug, Default)]
struct Grams {
    /// A bit for each hash of a window.
    bits: Vec<u64>,
    /// Windows in their order, each with its first literal in `literals`.
    windows: Vec<(u32, u32)>,
    literals: Vec<u32>,
}

/// Bits of a hash: 8 KiB for each length.
const HASH: u32 = 16;

const fn hash(window: u32) -> usize {
    (window.wrapping_mul(0x9E37_79B1) >> (32 - HASH)) as usize
}

impl Grams {
    fn new(mut windows: Vec<(u32, u32)>) -> Self {
        windows.sort_unstable();
        let mut grams = Self { bits: vec![0; 1 << (HASH - 6)], ..Self::default() };
        for (window, literal) in windows {
            if let Some(word) = grams.bits.get_mut(hash(window) / 64) {
                *word |= 1 << (hash(window) % 64);
            }
            if grams.windows.last().is_none_or(|(last, _)| *last != window) {
                grams.windows.push((window, u32::try_from(grams.literals.len()).unwrap_or(u32::MAX)));
            }
            grams.literals.push(literal);
        }
        grams
    }

    fn may_have(&self, window: u32) -> bool {
        self.bits.get(hash(window) / 64).is_some_and(|word| word >> (hash(window) % 64) & 1 == 1)
    }

    /// Literals with this window.
    fn find(&self, window: u32) -> &[u32] {
        let Ok(at) = self.windows.binary_search_by_key(&window, |(known, _)| *known) else { return &[] };
        let start = self.windows.get(at).map_or(0, |(_, start)| *start as usize);
        let end = self.windows.get(at + 1).map_or(self.literals.len(), |(_, end)| *end as usize);
        self.literals.get(start..end).unwrap_or_default()
    }
}

impl Prefilter {
    pub(crate) fn new(needs: &[Needs]) -> Self {
        let words = needs.len().div_ceil(64).max(1);
        let mut base = vec![0u64; SETS * words].into_boxed_slice();
        let mut literals: Vec<Literal> = Vec::new();
        let mut known = BTreeMap::<Vec<u8>, usize>::new();
        let mut single: Vec<Option<Box<[u64]>>> = vec![None; 256];
        let mut telling = ByteSet::default();
        for (rule, needs) in needs.iter().enumerate() {
            let mut sets: Vec<&Vec<Vec<u8>>> =
                needs.iter().filter(|set| !set.is_empty() && set.iter().all(|literal| !literal.is_empty())).collect();
            sets.sort_by_cached_key(|set| commonness(set));
            sets.truncate(SETS);
            for slot in 0..SETS {
                let Some(set) = sets.get(slot) else {
                    base[slot * words + rule / 64] |= 1 << (rule % 64);
                    continue;
                };
                for literal in *set {
                    if let [byte] = literal.as_slice() {
                        for byte in [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()] {
                            telling.insert(byte);
                            let rules = single[usize::from(byte)]
                                .get_or_insert_with(|| vec![0; SETS * words].into_boxed_slice());
                            rules[slot * words + rule / 64] |= 1 << (rule % 64);
                        }
                        continue;
                    }
                    let text = literal.to_ascii_lowercase();
                    let at = *known.entry(text).or_insert_with_key(|text| {
                        let end = u32::try_from(window(text)).unwrap_or(u32::MAX);
                        literals.push(Literal { text: text.clone().into(), end, satisfies: Vec::new() });
                        literals.len() - 1
                    });
                    let entry = (u8::try_from(slot).unwrap_or(0), u16::try_from(rule).unwrap_or(u16::MAX));
                    if let Some(literal) = literals.get_mut(at).filter(|literal| !literal.satisfies.contains(&entry)) {
                        literal.satisfies.push(entry);
                    }
                }
            }
        }
        let grams = [2, 3, WINDOW].map(|length| {
            let fits = |literal: &&Literal| literal.text.len().min(WINDOW) == length;
            let numbered = (0u32..).zip(&literals).filter(|(_, literal)| fits(literal));
            Grams::new(numbered.map(|(number, literal)| (literal.window(), number)).collect())
        });
        Self { words, grams, literals, telling, single, base }
    }

    /// How many words [`Prefilter::scan`] writes.
    pub(crate) const fn words(&self) -> usize {
        self.words
    }

    /// Writes the rules that could match `value`, which has the bytes `bytes`. `work` is room to count in.
    pub(crate) fn scan(&self, value: &[u8], bytes: &ByteSet, work: &mut Vec<u64>, out: &mut Vec<u64>) {
        work.clear();
        work.extend_from_slice(&self.base);
        for byte in bytes.common(self.telling).iter() {
            if let Some(Some(rules)) = self.single.get(usize::from(byte)) {
                for (word, rules) in work.iter_mut().zip(rules.iter()) {
                    *word |= rules;
                }
            }
        }
        let [two, three, four] = &self.grams;
        let mut window = 0u32;
        for (at, byte) in value.iter().enumerate() {
            window = window << 8 | u32::from(byte.to_ascii_lowercase());
            if at >= 3 && four.may_have(window) {
                self.found(four.find(window), value, at, work);
            }
            if at >= 2 && three.may_have(window & 0xFF_FFFF) {
                self.found(three.find(window & 0xFF_FFFF), value, at, work);
            }
            if at >= 1 && two.may_have(window & 0xFFFF) {
                self.found(two.find(window & 0xFFFF), value, at, work);
            }
        }
        let (first, rest) = work.split_at(self.words);
        out.extend_from_slice(first);
        let start = out.len() - self.words;
        for set in rest.chunks(self.words) {
            for (word, set) in out.iter_mut().skip(start).zip(set) {
                *word &= set;
            }
        }
    }

    /// A window of these literals ends at `at`.
    fn found(&self, numbers: &[u32], value: &[u8], at: usize, work: &mut [u64]) {
        for number in numbers {
            let Some(literal) = self.literals.get(*number as usize) else { continue };
            let end = literal.end as usize;
            let Some(start) = (at + 1).checked_sub(end) else { continue };
            let there = value.get(start..start + literal.text.len());
            if there.is_none_or(|there| !there.eq_ignore_ascii_case(&literal.text)) {
                continue;
            }
            for (slot, rule) in &literal.satisfies {
                let (slot, rule) = (usize::from(*slot), usize::from(*rule));
                if let Some(word) = work.get_mut(slot * self.words + rule / 64) {
                    *word |= 1 << (rule % 64);
                }
            }
        }
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let grams =
            self.grams.iter().map(|grams| grams.bits.len() * 8 + grams.windows.len() * 8 + grams.literals.len() * 4);
        let literals =
            self.literals.iter().map(|literal| size_of::<Literal>() + literal.text.len() + literal.satisfies.len() * 4);
        grams.sum::<usize>()
            + literals.sum::<usize>()
            + self.single.iter().flatten().map(|rules| rules.len() * 8).sum::<usize>()
    }
}

impl Literal {
    /// The bytes of its window, the last the lowest.
    fn window(&self) -> u32 {
        let end = self.end as usize;
        let window = self.text.get(end.saturating_sub(WINDOW)..end).unwrap_or_default();
        window.iter().fold(0, |window, byte| window << 8 | u32::from(*byte))
    }
}

/// How often a set is satisfied by what is sent every day, roughly: the sum over its members, each as often as its bytes.
fn commonness(set: &[Vec<u8>]) -> u64 {
    let often = |literal: &Vec<u8>| ONCE >> literal.iter().map(|byte| rarity(*byte)).sum::<u32>().min(40);
    set.iter().map(often).sum()
}

/// At each byte.
const ONCE: u64 = 1 << 40;

/// Where the window of a literal ends that is met most seldom.
fn window(literal: &[u8]) -> usize {
    let length = WINDOW.min(literal.len());
    let told = |end: &usize| -> u32 {
        literal.get(end - length..*end).unwrap_or_default().iter().map(|byte| rarity(*byte)).sum()
    };
    (length..=literal.len()).max_by_key(told).unwrap_or(length)
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

    fn could(filter: &Prefilter, rule: usize, value: &[u8]) -> bool {
        let (mut work, mut out) = (Vec::new(), Vec::new());
        filter.scan(value, &ByteSet::of(value), &mut work, &mut out);
        out[rule / 64] >> (rule % 64) & 1 == 1
    }

    fn needs(sets: &[&[&str]]) -> Needs {
        sets.iter().map(|set| set.iter().map(|literal| literal.as_bytes().to_vec()).collect()).collect()
    }

    #[test]
    fn a_rule_is_left_where_each_of_its_sets_has_a_member() {
        let rules =
            [needs(&[]), needs(&[&["union"], &["select", "insert"]]), needs(&[&["<"]]), needs(&[&["z", "script"]])];
        let filter = Prefilter::new(&rules);
        let table: &[(&[u8], [bool; 4])] = &[
            (b"", [true, false, false, false]),
            (b"credit union", [true, false, false, false]),
            (b"UNION all SeLeCt", [true, true, false, false]),
            (b"<", [true, false, true, false]),
            (b"Z", [true, false, false, true]),
            (b"javaSCRIPT:", [true, false, false, true]),
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
            sets in prop::collection::vec(prop::collection::vec("[a-d<]{1,9}", 1..4), 0..5),
            picks in prop::collection::vec(0..4usize, 5),
            fill in "[a-dA-D<> ]{0,12}",
        ) {
            let mut value = fill.clone().into_bytes();
            for (set, pick) in sets.iter().zip(picks) {
                value.extend_from_slice(set[pick % set.len()].to_uppercase().as_bytes());
                value.extend_from_slice(fill.as_bytes());
            }
            let rules = [sets.iter().map(|set| set.iter().map(|literal| literal.clone().into_bytes()).collect()).collect()];
            let filter = Prefilter::new(&rules);
            prop_assert!(could(&filter, 0, &value));
        }
    }
}
