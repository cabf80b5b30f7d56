//! Regular expressions: PCRE's syntax as `ModSecurity` 3 compiles it, matched in linear time.
//!
//! A pattern matches bytes, `.` matches newlines, `^` and `$` match at lines' beginnings and ends, classes are of ASCII. What
//! cannot be matched in linear time is refused with its place ([`Refused`]), never approximated.
//!
//! # Memory
//!
//! Each expression holds its program, bounded by [`PROGRAM_BYTES`] (28 kB at the mean of the Core Rule Set's), and a pool of
//! scratch space, one for each thread that searches at the same time. Scratch space holds automata that are built as they are
//! needed, one forward and one backward, to [`LAZY_DFA_BYTES`] each; beyond that they are thrown away and built anew. Programs
//! within the bound leave room for the smallest automaton, so that none has to be simulated state by state. Clones share all.

mod parse;
mod required;

use std::ops::Range;
use std::sync::Arc;

use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input, meta};
use regex_syntax::hir::Hir;

pub use self::parse::Refused;
use self::parse::{Circumflex, LAST_GROUP};
pub use self::required::Required;

/// Largest program that a pattern may compile to, in bytes. The largest of the Core Rule Set has about a quarter of it.
pub const PROGRAM_BYTES: usize = 1 << 20;
/// Most that one lazily built automaton keeps, in bytes.
pub const LAZY_DFA_BYTES: usize = 2 << 20;
/// Slots of the groups 0 to 9, two each.
const SLOTS: usize = 2 * (LAST_GROUP as usize + 1);

/// What a pattern is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Upper and lower case of ASCII are alike, as selectors have it.
    pub ignore_case: bool,
    /// What matched is asked for: groups 1 to 9 are remembered. Without, programs are smaller, and a few patterns are not refused
    /// whose matches are PCRE's while the places of these are not.
    pub groups: bool,
}

impl Default for Options {
    /// As `@rx` has it.
    fn default() -> Self {
        Self { ignore_case: false, groups: true }
    }
}

/// A compiled expression. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Regex {
    program: meta::Regex,
    /// What it was compiled from; none where that was let go of.
    source: Option<Arc<Hir>>,
    circumflex: Circumflex,
}

/// Where a match and its groups are, 0 to 9; 0 is the match.
#[derive(Debug, Clone, Default)]
pub struct Captures([Option<NonMaxUsize>; SLOTS]);

impl Captures {
    /// Where a group matched; nothing if it did not.
    #[must_use]
    pub fn get(&self, group: usize) -> Option<Range<usize>> {
        let start = self.0.get(group.checked_mul(2)?)?.as_ref()?.get();
        let end = self.0.get(group * 2 + 1)?.as_ref()?.get();
        Some(start..end)
    }

    /// The groups that matched, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        (0..SLOTS / 2).filter_map(|group| Some((group, self.get(group)?)))
    }
}

impl Regex {
    /// Compiles a pattern as `@rx` does.
    ///
    /// # Errors
    ///
    /// What cannot be matched in linear time, what PCRE refuses, what its releases read differently, and programs larger than
    /// [`PROGRAM_BYTES`].
    pub fn compile(pattern: &str) -> Result<Self, Refused> {
        Self::compile_with(pattern, Options::default())
    }

    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// As [`Regex::compile`].
    pub fn compile_with(pattern: &str, options: Options) -> Result<Self, Refused> {
        let parsed = parse::parse(pattern, options.ignore_case, options.groups)?;
        let hir = Arc::new(parsed.hir);
        let config = meta::Config::new()
            .utf8_empty(false)
            .nfa_size_limit(Some(PROGRAM_BYTES))
            .hybrid_cache_capacity(LAZY_DFA_BYTES);
        let program = meta::Builder::new().configure(config).build_from_hir(&hir).map_err(|_| Refused {
            at: 0..pattern.len(),
            reason: format!(
                "its program is larger than {PROGRAM_BYTES} bytes, since counted repetitions are written out"
            ),
        })?;
        Ok(Self { program, source: Some(hir), circumflex: parsed.circumflex })
    }

    /// Whether `value` contains a match.
    #[must_use]
    pub fn is_match(&self, value: &[u8]) -> bool {
        if self.circumflex == Circumflex::DropEmptyAtEnd && value.last() == Some(&b'\n') {
            return self.find(value).is_some();
        }
        self.program.is_match(value)
    }

    /// Where the first match in `value` is.
    #[must_use]
    pub fn find(&self, value: &[u8]) -> Option<Range<usize>> {
        self.find_from(value, 0)
    }

    /// Where the first match that begins at `start` or later is.
    #[must_use]
    pub fn find_from(&self, value: &[u8], start: usize) -> Option<Range<usize>> {
        let found = self.program.search(&input(value, start)?)?;
        self.stands(value, found.range())
    }

    /// The first match in `value` with its groups; false and nothing in `captures` if there is none.
    pub fn captures(&self, value: &[u8], captures: &mut Captures) -> bool {
        self.captures_from(value, 0, captures)
    }

    /// The same for the first match that begins at `start` or later.
    pub fn captures_from(&self, value: &[u8], start: usize, captures: &mut Captures) -> bool {
        *captures = Captures::default();
        let Some(input) = input(value, start) else { return false };
        // One of the library's engines is out of bounds where there are more slots than the expression has groups for.
        let slots = self.program.group_info().slot_len().min(SLOTS);
        self.program.search_slots(&input, captures.0.get_mut(..slots).unwrap_or_default());
        let stands = captures.get(0).and_then(|found| self.stands(value, found)).is_some();
        if !stands {
            *captures = Captures::default();
        }
        stands
    }

    /// The matches one after the other, as `@rxGlobal` walks them. After an empty one the search goes on at the next byte; PCRE
    /// would first look for one that is not empty at the same place.
    pub fn captures_each(&self, value: &[u8], mut each: impl FnMut(&Captures)) {
        let mut captures = Captures::default();
        let mut start = 0;
        while self.captures_from(value, start, &mut captures) {
            let Some(found) = captures.get(0) else { return };
            each(&captures);
            start = if found.is_empty() { found.end + 1 } else { found.end };
        }
    }

    /// What every match contains; nothing is known where the source was let go of.
    #[must_use]
    pub fn required(&self) -> Required {
        self.source.as_deref().map(required::of).unwrap_or_default()
    }

    /// The same without what it was compiled from, which [`Regex::required`] alone needs.
    #[must_use]
    pub fn without_source(mut self) -> Self {
        self.source = None;
        self
    }

    /// Memory of the program, in bytes, without scratch space.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.program.memory_usage()
    }

    /// Drops the empty match at the end of a value which ends in a newline that `^` would have found.
    fn stands(&self, value: &[u8], found: Range<usize>) -> Option<Range<usize>> {
        let dropped =
            self.circumflex == Circumflex::DropEmptyAtEnd && found.start == value.len() && value.last() == Some(&b'\n');
        (!dropped).then_some(found)
    }
}

/// What is searched from `start` on; nothing if that is beyond the end.
fn input(value: &[u8], start: usize) -> Option<Input<'_>> {
    (start <= value.len()).then(|| Input::new(value).anchored(Anchored::No).range(start..))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a value.
    fn found(pattern: &str, value: &[u8]) -> Option<Range<usize>> {
        Regex::compile(pattern).unwrap_or_else(|refused| panic!("{pattern}: {refused:?}")).find(value)
    }

    #[test]
    fn a_long_match_of_few_groups_is_captured() {
        let value = [b"ab".repeat(200_000), b"c".to_vec()].concat();
        let mut captures = Captures::default();
        for pattern in ["(?:a|b|ab)+?c", "(a|b|ab)+?c"] {
            let regex = Regex::compile(pattern).unwrap_or_else(|refused| panic!("{pattern}: {refused:?}"));
            assert!(regex.captures(&value, &mut captures), "{pattern}");
            assert_eq!(captures.get(0), Some(0..value.len()), "{pattern}");
        }
        assert!(captures.get(1).is_some());
    }

    #[test]
    fn bytes_and_lines() {
        type Case = (&'static str, &'static [u8], Option<Range<usize>>);
        let cases: &[Case] = &[
            ("a.c", b"a\nc", Some(0..3)),
            ("(?-s)a.c", b"a\nc", None),
            (r"a\Nc", b"a\nc", None),
            ("^b", b"a\nb", Some(2..3)),
            ("(?-m)^b", b"a\nb", None),
            (r"\Ab", b"a\nb", None),
            ("a$", b"a\nb", Some(0..1)),
            (r"a\z", b"a\n", None),
            // Where PCRE differs from most: no line begins behind the newline that ends the value.
            ("^$", b"", Some(0..0)),
            ("^$", b"\n", Some(0..0)),
            ("^$", b"a\n", None),
            ("^$", b"a\n\n", Some(2..2)),
            ("^$", b"a\n\nb", Some(2..2)),
            (r"^\w*$", b"?\n", None),
            (r"^\w*$", b"?\nb\n", Some(2..3)),
            ("(?:^|a?)$", b"?\n", Some(1..1)),
            ("é", "é".as_bytes(), Some(0..2)),
            ("é+", "éé".as_bytes(), Some(0..2)),
            ("[é]", b"\xa9", Some(0..1)),
            (r"\xbc\x{3E}", b"\xbc>", Some(0..2)),
            (r"\w", b"\xe9", None),
            (r"(?i)\xe9", b"\xc9", None),
            (r"\x4g", b"\x04g", Some(0..2)),
            (r"\12\0\101\o{101}", b"\n\0AA", Some(0..4)),
            (r"\cA\c[\e", b"\x01\x1b\x1b", Some(0..3)),
            (r"\h\H\v\V", b"\xa0a\x85a", Some(0..4)),
            (r"[\h\v]+", b"\t \xa0\x0b\x85", Some(0..5)),
            (r"[[:alpha:][:^space:]_-]+", b"a-_1", Some(0..4)),
            ("[[:upper:]]", b"a", None),
            ("(?i)[[:upper:]]", b"a", Some(0..1)),
            ("(?i)[[:^upper:]]", b"a", None),
            ("(?i)[^a]", b"A", None),
            ("(?i)[x-z]", b"Y", Some(0..1)),
            ("[]a]+", b"]a", Some(0..2)),
            ("[^]a]", b"]a", None),
            ("[a-c-e]+", b"c-e", Some(0..3)),
            (r"[\d-]+", b"1-", Some(0..2)),
            (r"[+--]", b",", Some(0..1)),
            (r"[\b\n]", b"\x08", Some(0..1)),
            (r"[[a]", b"[", Some(0..1)),
            (r"[\18]+", b"\x018", Some(0..2)),
            (r"\Qa.b\E.", b"a.bc", Some(0..4)),
            (r"\Qab+\E+", b"ab++", Some(0..4)),
            (r"a\Eb", b"ab", Some(0..2)),
            ("a{,", b"a{,", Some(0..3)),
            ("a{}", b"a{}", Some(0..3)),
            ("a{x}", b"a{x}", Some(0..4)),
            ("{", b"{", Some(0..1)),
            ("]}", b"]}", Some(0..2)),
            ("a{2}", b"aaa", Some(0..2)),
            ("a{1,}?", b"aaa", Some(0..1)),
            ("(?U)a+", b"aaa", Some(0..1)),
            ("(?U)a+?", b"aaa", Some(0..3)),
            ("a(?i)b|c", b"C", Some(0..1)),
            ("(?:a(?i)b|c)d", b"cD", None),
            ("((?i)a)b", b"Ab", Some(0..2)),
            ("((?i)a)b", b"aB", None),
            ("(?i-i:a)", b"A", None),
            ("(?^i:a.)", b"A\n", None),
            ("(?x) a b # c\n c", b"abc", Some(0..3)),
            (r"(?x)a\ [ ]", b"a  ", Some(0..3)),
            ("a(?#comment)+", b"aa", Some(0..2)),
            ("(?<n>a)(?P<m>b)(?'o'c)", b"abc", Some(0..3)),
            ("|a", b"a", Some(0..0)),
            ("", b"ab", Some(0..2)),
            (r"\b", b" a", Some(1..1)),
            (r"\Bb", b"ab", Some(1..2)),
            ("[^\\x00-\\xff]|a", b"a", Some(0..1)),
        ];
        for (pattern, value, expected) in cases {
            assert_eq!(&found(pattern, value), expected, "{pattern} on {value:?}");
        }
    }

    #[test]
    fn refuses_with_the_place() {
        let cases: &[(&str, Range<usize>)] = &[
            ("a(?=b)", 1..4),
            ("a(?!b)", 1..4),
            ("(?<=a)b", 0..4),
            ("(?<!a)b", 0..4),
            ("(?>a)", 0..3),
            ("a++", 1..3),
            ("a?+", 1..3),
            ("a{1,2}+", 1..7),
            (r"(a)\1", 3..5),
            (r"(a)\8", 3..5),
            (r"\g{1}", 0..2),
            (r"\k<n>", 0..2),
            ("(?1)", 0..3),
            ("(?R)", 0..3),
            ("(?-1)", 0..3),
            ("(?P=n)", 0..3),
            ("(?&n)", 0..3),
            ("(?|a|b)", 0..3),
            ("(?(1)a|b)", 0..3),
            ("(*UTF8)a", 0..2),
            ("a(*FAIL)", 1..3),
            ("(?C1)", 0..3),
            (r"a\Z", 1..3),
            (r"a\R", 1..3),
            (r"a\Kb", 1..3),
            (r"\Ga", 0..2),
            (r"\pL", 0..2),
            (r"\X", 0..2),
            (r"\i", 0..2),
            (r"[\N]", 1..3),
            ("(?-m)a$", 6..7),
            ("[a", 0..2),
            ("[z-a]", 1..4),
            (r"[\d-z]", 1..4),
            (r"[a-\d]", 1..5),
            ("[[.a.]]", 1..6),
            ("[[:nope:]]", 1..9),
            ("[:alpha:]", 0..2),
            ("(a", 0..1),
            ("a)", 1..2),
            ("*a", 0..1),
            ("a|+", 2..3),
            ("{2}", 0..3),
            ("a**", 1..3),
            ("a{2}{3}", 1..7),
            ("^*", 1..2),
            ("a{3,2}", 1..6),
            ("a{,3}", 1..5),
            ("a{1, 2}", 1..7),
            ("a{1001}", 1..7),
            (r"\x{100}", 0..6),
            (r"\x{", 0..3),
            (r"\777", 0..4),
            ("a\\", 1..2),
            ("a\0", 1..2),
            ("(?y)", 0..3),
            ("(?xx)a", 0..3),
            ("é(?=b)", 2..5),
            (r"[é-\d]", 1..6),
            ("a?^", 0..3),
            ("(?:a^)*", 0..7),
            (r"(?:\b|a)*", 0..9),
            (r"(?:a??b?)+", 0..10),
            (r"(a|b*)+", 0..7),
        ];
        for (pattern, at) in cases {
            match Regex::compile(pattern) {
                Ok(_) => panic!("{pattern} was compiled"),
                Err(refused) => assert_eq!(refused.at, *at, "{pattern}: {}", refused.reason),
            }
        }
    }

    #[test]
    fn bounds_hold() {
        let deep = format!("{}a{}", "(".repeat(251), ")".repeat(251));
        assert!(Regex::compile(&deep).is_err_and(|refused| refused.reason.contains("250")));
        assert!(Regex::compile(&format!("{}a{}", "(".repeat(250), ")".repeat(250))).is_ok());
        assert!(Regex::compile(&"a".repeat(1 << 17)).is_err());
        let large = Regex::compile("(?:(?:[a-z]{1000}){1000}){1000}");
        assert!(large.is_err_and(|refused| refused.reason.contains("larger than")));
    }

    #[test]
    fn the_largest_program_leaves_room_for_its_automaton() {
        // A class of many ranges, repeated, makes the most states of few bytes.
        let pattern = |count: usize| "[acegikmoqsuwy]".repeat(count);
        let largest = (1..).find(|&step| Regex::compile(&pattern(step * 200)).is_err()).unwrap() * 200 - 200;
        let nfa = regex_automata::nfa::thompson::Compiler::new()
            .configure(regex_automata::nfa::thompson::Config::new().utf8(false))
            .build_from_hir(Regex::compile(&pattern(largest)).unwrap().source.as_deref().unwrap())
            .unwrap();
        let config = regex_automata::hybrid::dfa::Config::new();
        let needed = config.get_minimum_cache_capacity(&nfa).unwrap();
        assert!(needed <= LAZY_DFA_BYTES, "{needed} for {largest}");
    }

    #[test]
    fn groups_beyond_the_ninth_are_not_remembered() {
        let regex = Regex::compile("(a)(b)?(c)(d)(e)(f)(g)(h)(i)(j)").unwrap();
        let mut captures = Captures::default();
        assert!(regex.captures(b"xacdefghij", &mut captures));
        let groups: Vec<usize> = captures.iter().map(|(group, _)| group).collect();
        assert_eq!(groups, [0, 1, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!((captures.get(0), captures.get(3), captures.get(10)), (Some(1..10), Some(2..3), None));
        assert!(!regex.captures(b"none", &mut captures) && captures.get(0).is_none());
    }

    #[test]
    fn options() {
        let selector = Regex::compile_with("^TX:(a)", Options { ignore_case: true, groups: false }).unwrap();
        let mut captures = Captures::default();
        assert!(selector.captures(b"tx:A", &mut captures));
        assert_eq!(captures.iter().count(), 1);
        let plain = Regex::compile_with(r"^(?:\b|-)*$", Options { ignore_case: false, groups: false }).unwrap();
        assert!(plain.is_match(b"--") && !plain.is_match(b"-a"));
    }

    #[test]
    fn walks_all_matches() {
        let all = |pattern: &str, value: &[u8]| {
            let mut found = Vec::new();
            Regex::compile(pattern).unwrap().captures_each(value, |captures| found.extend(captures.get(0)));
            found
        };
        assert_eq!(all("a.", b"abxac"), [0..2, 3..5]);
        assert_eq!(all("a*", b"baa"), [0..0, 1..3, 3..3]);
        assert_eq!(all("^", b"\na\n"), [0..0, 1..1]);
        assert!(all("x", b"").is_empty());
    }

    #[test]
    fn requirements() {
        let all = |pattern: &str| -> Vec<Vec<String>> {
            let required = Regex::compile(pattern).unwrap().required();
            let text = |any: &Vec<Box<[u8]>>| any.iter().map(|literal| literal.escape_ascii().to_string()).collect();
            required.all.iter().map(text).collect()
        };
        assert_eq!(all("abc"), [["abc"]]);
        assert_eq!(all("(?i)ABC"), [["abc"]]);
        assert_eq!(all(r"ab\s*\("), [vec!["ab"], vec!["("]]);
        assert_eq!(all("foo.*bar"), [["bar"], ["foo"]]);
        assert_eq!(all("foo|bar"), [["bar", "foo"]]);
        assert_eq!(all("(?:foo.*x|bar.*yz)+"), [vec!["bar", "foo"], vec!["x", "yz"]]);
        assert_eq!(all("x[ab]y"), [["xay", "xby"]]);
        assert_eq!(all("ab?c"), [["abc", "ac"]]);
        assert_eq!(all("(?:abc)+d"), [["abcd"]]);
        assert_eq!(all("a*"), Vec::<Vec<String>>::new());
        assert_eq!(all("foo|.*"), Vec::<Vec<String>>::new());
        assert_eq!(Regex::compile("a{3,}b?").unwrap().required().least, 3);
    }
}
