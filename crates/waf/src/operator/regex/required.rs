//! What every match of a pattern contains: the literals that a prefilter looks for before the pattern itself is tried.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};
use smallvec::SmallVec;

use crate::bytes::ByteSet;

/// What every value that a pattern matches contains.
///
/// Literals are in lower case whether the pattern minds case or not: they are looked for in the value in lower case (ASCII).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Required {
    /// Of each of these sets at least one literal, the rarest set first. Empty if nothing is known.
    pub all: Vec<Vec<Box<[u8]>>>,
    /// The least length of a match, in bytes.
    pub least: usize,
}

impl Required {
    /// Whether a value could match, tried the simple way: a reference for prefilters, and for values that meet none.
    #[must_use]
    pub fn allows(&self, value: &[u8]) -> bool {
        let lower = value.to_ascii_lowercase();
        value.len() >= self.least
            && self.all.iter().all(|any| any.iter().any(|literal| memchr::memmem::find(&lower, literal).is_some()))
    }
}

/// Most sets in the answer.
const MOST_SETS: usize = 8;
/// Most literals in a set.
const MOST_LITERALS: usize = 1024;
/// Most literals that come of joining two sets.
const MOST_JOINED: usize = 256;
/// Longest literal; a longer one is cut.
const LONGEST: usize = 24;
/// Most bytes of a class that is written out.
const MOST_IN_CLASS: u32 = 16;
/// Copies of a repeated expression that are looked at.
const MOST_COPIES: u32 = 4;

/// A string, in lower case.
type Text = SmallVec<[u8; LONGEST]>;

/// Strings, sorted, each once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Set(Vec<Text>);

impl FromIterator<Text> for Set {
    fn from_iter<I: IntoIterator<Item = Text>>(texts: I) -> Self {
        let mut texts: Vec<Text> = texts.into_iter().collect();
        texts.sort_unstable();
        texts.dedup();
        Self(texts)
    }
}

impl Set {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn contains(&self, text: &[u8]) -> bool {
        self.0.binary_search_by(|known| known.as_slice().cmp(text)).is_ok()
    }
}

/// What is known of a part of a pattern. All strings are in lower case, and none is longer than [`LONGEST`].
#[derive(Clone)]
struct Known {
    /// All that it can match, if that is few.
    exact: Option<Set>,
    /// One of these begins each match.
    prefix: Set,
    /// One of these ends each match.
    suffix: Set,
    /// Of each of these, one is in each match.
    required: Vec<Set>,
}

/// What every match of an expression contains.
pub(super) fn of(hir: &Hir) -> Required {
    let mut all: Vec<Set> = Vec::new();
    for candidate in best_first(known(hir).candidates()) {
        if all.len() == MOST_SETS {
            break;
        }
        let candidate = without_longer(candidate);
        if !all.iter().any(|chosen| implies(chosen, &candidate)) {
            all.push(candidate);
        }
    }
    Required {
        all: all.into_iter().map(|set| set.0.iter().map(|text| text.as_slice().into()).collect()).collect(),
        least: hir.properties().minimum_len().unwrap_or(0),
    }
}

/// The rarest set first.
fn best_first(mut sets: Vec<Set>) -> Vec<Set> {
    sets.sort_by_cached_key(|set| (std::cmp::Reverse(rarity(set)), set.len()));
    sets
}

fn known(hir: &Hir) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::exactly(one(&[])),
        HirKind::Literal(literal) => Known::literal(&literal.0.to_ascii_lowercase()),
        HirKind::Class(Class::Bytes(class)) => {
            let mut bytes = ByteSet::EMPTY;
            for byte in class.ranges().iter().flat_map(|range| range.start()..=range.end()) {
                bytes.insert(byte.to_ascii_lowercase());
            }
            if bytes.len() > MOST_IN_CLASS {
                return Known::anything();
            }
            Known::exactly(bytes.iter().map(|byte| Text::from_slice(&[byte])).collect())
        }
        // Patterns are of bytes.
        HirKind::Class(Class::Unicode(_)) => Known::anything(),
        HirKind::Capture(capture) => known(&capture.sub),
        HirKind::Repetition(repeated) => known_repetition(repeated),
        HirKind::Concat(items) => {
            items.iter().map(known).reduce(Known::then).unwrap_or_else(|| Known::exactly(one(&[])))
        }
        HirKind::Alternation(branches) => Known::any_of(branches.iter().map(known).collect()),
    }
}

fn known_repetition(repeated: &Repetition) -> Known {
    if repeated.max == Some(0) {
        return Known::exactly(one(&[]));
    }
    let sub = known(&repeated.sub);
    if repeated.min == 0 {
        return match (&sub.exact, repeated.max) {
            (Some(exact), Some(1)) if exact.len() < MOST_JOINED => {
                Known::exactly(exact.0.iter().cloned().chain([Text::new()]).collect())
            }
            _ => Known::anything(),
        };
    }
    let copies = repeated.min.min(MOST_COPIES);
    let mut whole = (1..copies).fold(sub.clone(), |whole, _| whole.then(sub.clone()));
    if repeated.max != Some(copies) {
        // The last of more copies ends as each does.
        whole = whole.then(Known { exact: None, prefix: one(&[]), suffix: one(&[]), required: Vec::new() });
        if repeated.min == 1 {
            whole.suffix = sub.ends();
        }
    }
    whole
}

fn one(literal: &[u8]) -> Set {
    Set(vec![Text::from_slice(literal)])
}

impl Known {
    fn exactly(exact: Set) -> Self {
        Self { exact: Some(exact), prefix: Set(Vec::new()), suffix: Set(Vec::new()), required: Vec::new() }
    }

    fn anything() -> Self {
        Self { exact: None, prefix: one(&[]), suffix: one(&[]), required: Vec::new() }
    }

    fn literal(literal: &[u8]) -> Self {
        if literal.len() <= LONGEST {
            return Self::exactly(one(literal));
        }
        let (start, _) = literal.split_at(LONGEST);
        let (_, end) = literal.split_at(literal.len() - LONGEST);
        Self { exact: None, prefix: one(start), suffix: one(end), required: vec![one(start), one(end)] }
    }

    fn begins(&self) -> Set {
        self.exact.as_ref().unwrap_or(&self.prefix).clone()
    }

    fn ends(&self) -> Set {
        self.exact.as_ref().unwrap_or(&self.suffix).clone()
    }

    /// The one after the other.
    fn then(self, next: Self) -> Self {
        if let (Some(left), Some(right)) = (&self.exact, &next.exact)
            && let Some(joined) = join(left, right)
            && joined.0.iter().all(|literal| literal.len() <= LONGEST)
        {
            return Self::exactly(joined);
        }
        let (begins, ends) = (next.begins(), self.ends());
        let mut required = Vec::new();
        match join(&ends, &begins) {
            Some(seam) => required.push(cut(seam, false)),
            None => required.extend([ends.clone(), begins.clone()]),
        }
        let prefix = match &self.exact {
            Some(exact) => cut(join(exact, &begins).unwrap_or_else(|| exact.clone()), false),
            None => self.prefix,
        };
        let suffix = match &next.exact {
            Some(exact) => cut(join(&ends, exact).unwrap_or_else(|| exact.clone()), true),
            None => next.suffix,
        };
        required.retain(is_useful);
        required.extend(self.required);
        required.extend(next.required);
        if required.len() > 4 * MOST_SETS {
            required = best_first(required);
            required.dedup();
            required.truncate(2 * MOST_SETS);
        }
        Self { exact: None, prefix, suffix, required }
    }

    /// The one or the other.
    fn any_of(branches: Vec<Self>) -> Self {
        let total: usize = branches.iter().map(|branch| branch.exact.as_ref().map_or(MOST_LITERALS, Set::len)).sum();
        if total <= MOST_LITERALS && branches.iter().all(|branch| branch.exact.is_some()) {
            return Self::exactly(
                branches.into_iter().filter_map(|branch| branch.exact).flat_map(|set| set.0).collect(),
            );
        }
        let union = |sets: Vec<Set>| {
            if sets.iter().any(|set| set.contains(&[])) {
                return one(&[]);
            }
            let set: Set = sets.into_iter().flat_map(|set| set.0).collect();
            if set.len() > MOST_LITERALS { one(&[]) } else { set }
        };
        let prefix = union(branches.iter().map(Self::begins).collect());
        let suffix = union(branches.iter().map(Self::ends).collect());
        // Of each branch its best set, then of each its second best, and so on.
        let sets: Vec<Vec<Set>> = branches.into_iter().map(|branch| best_first(branch.candidates())).collect();
        let most = sets.iter().map(Vec::len).max().unwrap_or(0).min(MOST_SETS / 2);
        let required = (0..most)
            .filter_map(|rank| {
                let chosen: Option<Vec<&Set>> =
                    sets.iter().map(|candidates| candidates.get(rank).or(candidates.last())).collect();
                shortened(chosen?.into_iter().flat_map(|set| set.0.iter().cloned()).collect())
            })
            .collect();
        Self { exact: None, prefix, suffix, required }
    }

    /// Every set of which a match contains one.
    fn candidates(self) -> Vec<Set> {
        let mut all = self.required;
        match self.exact {
            Some(exact) => all.push(exact),
            None => all.extend([self.prefix, self.suffix]),
        }
        all.retain(is_useful);
        all.into_iter().filter_map(shortened).collect()
    }
}

/// Every string of the one followed by every string of the other, if these are not too many.
fn join(left: &Set, right: &Set) -> Option<Set> {
    if left.len() * right.len() > MOST_JOINED {
        return None;
    }
    let joined = |start: &Text, end: &Text| start.iter().chain(end.iter()).copied().collect::<Text>();
    Some(left.0.iter().flat_map(|start| right.0.iter().map(move |end| joined(start, end))).collect())
}

/// Strings cut to the longest that is kept, from their beginning or their end.
fn cut(set: Set, keep_end: bool) -> Set {
    if set.0.iter().all(|literal| literal.len() <= LONGEST) {
        return set;
    }
    let shorter = |literal: &Text| {
        let over = literal.len().saturating_sub(LONGEST);
        let range = if keep_end { over..literal.len() } else { 0..literal.len() - over };
        Text::from_slice(literal.get(range).unwrap_or_default())
    };
    set.0.iter().map(shorter).collect()
}

fn is_useful(set: &Set) -> bool {
    set.len() > 0 && !set.contains(&[])
}

/// Whether a string of the set begins at `from` or later in `literal`. None of the set may begin another one of it, so that only
/// the one that sorts right before the text could.
fn has_part(set: &Set, literal: &[u8], from: usize) -> bool {
    (from..literal.len()).any(|at| {
        let text = literal.get(at..).unwrap_or_default();
        let before = set.0.partition_point(|known| known.as_slice() <= text);
        before.checked_sub(1).and_then(|at| set.0.get(at)).is_some_and(|known| text.starts_with(known))
    })
}

/// The set without the strings that contain another one of it.
fn without_longer(mut set: Set) -> Set {
    let mut last = Text::new();
    set.0.retain(|literal| {
        let longer = !last.is_empty() && literal.starts_with(&last);
        if !longer {
            last = literal.clone();
        }
        !longer
    });
    set.0.iter().filter(|literal| !has_part(&set, literal, 1)).cloned().collect()
}

/// The set with shorter strings if they are too many; nothing if that does not help.
fn shortened(mut set: Set) -> Option<Set> {
    let mut longest = 8;
    while set.len() > MOST_LITERALS && longest > 1 {
        set = set.0.iter().map(|literal| Text::from_slice(literal.get(..longest).unwrap_or(literal))).collect();
        longest /= 2;
    }
    (set.len() <= MOST_LITERALS).then_some(set)
}

/// Whether a value that contains one of `left` always contains one of `right`.
fn implies(left: &Set, right: &Set) -> bool {
    left.0.iter().all(|literal| has_part(right, literal, 0))
}

/// How rare it is that one of the strings occurs, about in bits.
fn rarity(set: &Set) -> u32 {
    let rarest = set.0.iter().map(|literal| literal.iter().map(|&byte| bits(byte)).sum::<u32>()).min().unwrap_or(0);
    rarest.saturating_sub(set.len().checked_ilog2().unwrap_or(0) * 2)
}

/// How rare a byte is in requests, about in bits.
const fn bits(byte: u8) -> u32 {
    match byte {
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 4,
        b'a'..=b'z' | b'0'..=b'9' | b' ' | b'/' | b'.' | b'-' | b'=' => 5,
        b'_' | b'&' | b'%' | b':' | b',' | b'"' | b'+' | b';' | b'(' | b')' => 6,
        _ => 8,
    }
}
