//! Regular expressions: PCRE's syntax as `ModSecurity` 3 compiles it, matched in linear time.
//!
//! A pattern matches bytes, `.` matches newlines, `^` and `$` match at lines' beginnings and ends, classes are of ASCII. What
//! cannot be matched in linear time is refused with its place ([`Refused`]), never approximated.
//!
//! # Memory
//!
//! Each expression holds its program (28 kB at the median of the Core Rule Set's) and a pool of scratch space, one for each
//! thread that searches at the same time; scratch space grows as it is used, to [`LAZY_DFA_BYTES`] for each of two lazy
//! automata, and is thrown away and built anew beyond that. Expressions whose smallest automaton needs more than that would be
//! simulated slowly, so these get what they need.

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

/// Largest program that a pattern may compile to, in bytes. The largest of the Core Rule Set has 3 % of it.
pub const PROGRAM_BYTES: usize = 16 << 20;
/// Most that one lazily built automaton keeps, in bytes.
pub const LAZY_DFA_BYTES: usize = 1 << 20;
/// Slots of the groups 0 to 9, two each.
const SLOTS: usize = 2 * (LAST_GROUP as usize + 1);

/// What a pattern is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Upper and lower case of ASCII are alike, as selectors have it.
    pub ignore_case: bool,
    /// Groups 1 to 9 are remembered. Without, programs are smaller and [`Captures`] has the whole match only.
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
    hir: Arc<Hir>,
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
        let too_large = || Refused {
            at: 0..pattern.len(),
            reason: format!(
                "its program is larger than {PROGRAM_BYTES} bytes, since counted repetitions are written out"
            ),
        };
        let build = |lazy_bytes| {
            let config = meta::Config::new()
                .utf8_empty(false)
                .nfa_size_limit(Some(PROGRAM_BYTES))
                .hybrid_cache_capacity(lazy_bytes);
            meta::Builder::new().configure(config).build_from_hir(&hir)
        };
        let program = build(LAZY_DFA_BYTES).map_err(|_| too_large())?;
        Ok(Self { program, hir, circumflex: parsed.circumflex })
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
        self.program.search_slots(&input, &mut captures.0);
        let stands = captures.get(0).and_then(|found| self.stands(value, found)).is_some();
        if !stands {
            *captures = Captures::default();
        }
        stands
    }

    /// The matches one after the other, as `@rxGlobal` walks them: after an empty one, one that is not empty at the same place
    /// if there is one, else on from the next byte.
    pub fn captures_each(&self, value: &[u8], mut each: impl FnMut(&Captures)) {
        let mut captures = Captures::default();
        let mut start = 0;
        while self.captures_from(value, start, &mut captures) {
            let Some(found) = captures.get(0) else { return };
            each(&captures);
            start = if found.is_empty() { found.end + 1 } else { found.end };
        }
    }

    /// What every match contains.
    #[must_use]
    pub fn required(&self) -> Required {
        required::of(&self.hir)
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
