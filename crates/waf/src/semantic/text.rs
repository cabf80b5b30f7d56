//! Small readers of bytes that several lexers need.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::scan::in_word;
use super::steps;
use crate::bytes::find_pair;

/// The byte at a position; 0 beyond the end.
pub(super) fn at(text: &[u8], position: usize) -> u8 {
    steps::add(1);
    text.get(position).copied().unwrap_or(0)
}

/// The text from a position on; empty beyond the end.
pub(super) fn from(text: &[u8], position: usize) -> &[u8] {
    text.get(position..).unwrap_or_default()
}

/// A part of a text; empty where it has no such part.
pub(super) fn part(text: &[u8], start: usize, end: usize) -> &[u8] {
    text.get(start..end.min(text.len())).unwrap_or_default()
}

/// The first position from `position` on that is no white space as HTML, SQL and shells know it. A lexer skips from signs and
/// words, which are none, so that white space is looked at by its neighbours only and all stays linear.
pub(super) fn skip_space(text: &[u8], mut position: usize) -> usize {
    let start = position;
    while text.get(position).is_some_and(|byte| is_space(*byte)) {
        position += 1;
    }
    steps::add(position - start);
    position
}

/// The last position before `position` that is no white space, as the position behind it.
pub(super) fn skip_space_back(text: &[u8], mut position: usize) -> usize {
    while position > 0 && is_space(at(text, position - 1)) {
        position -= 1;
    }
    position
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C)
}

/// The word that begins at a position.
pub(super) fn word(text: &[u8], position: usize) -> &[u8] {
    let rest = from(text, position);
    let length = rest.iter().take_while(|byte| in_word(**byte)).count();
    steps::add(length);
    part(rest, 0, length)
}

/// Whether the text begins so, in upper or lower case.
pub(super) fn begins(text: &[u8], prefix: &[u8]) -> bool {
    steps::add(1);
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Where a string in lower case stands in a text in upper and lower case; both short.
pub(super) fn find(text: &[u8], lower: &[u8]) -> Option<usize> {
    let (first, _) = lower.split_first()?;
    let upper = first.to_ascii_uppercase();
    let found = memchr::memchr2_iter(*first, upper, text).find(|position| begins(from(text, *position), lower));
    // Sixteen bytes at a time are as much work as one that is looked at alone.
    steps::add(found.unwrap_or(text.len()) / 16 + 1);
    found
}

/// Whether two bytes stand side by side in a text.
pub(super) fn has_pair(text: &[u8], first: u8, second: u8) -> bool {
    find_pair(text, [first, second]).is_some()
}

/// Whether one of these, all in lower case, stands in a text.
pub(super) fn any(text: &[u8], lower: &[&[u8]]) -> bool {
    lower.iter().any(|lower| find(text, lower).is_some())
}

/// Many strings that are looked for in one pass over a text, in upper and lower case alike.
pub(super) struct Names {
    names: &'static [&'static [u8]],
    automaton: OnceLock<Option<AhoCorasick>>,
}

impl Names {
    /// All in lower case.
    pub(super) const fn new(names: &'static [&'static [u8]]) -> Self {
        Self { names, automaton: OnceLock::new() }
    }

    /// Whether one of them stands in a text.
    pub(super) fn in_text(&self, text: &[u8]) -> bool {
        steps::add(text.len());
        let build = || {
            let kind = Some(AhoCorasickKind::DFA);
            // Texts that are made to meet a prefilter's rare bytes everywhere would pay for it.
            AhoCorasick::builder().ascii_case_insensitive(true).kind(kind).prefilter(false).build(self.names).ok()
        };
        match self.automaton.get_or_init(build) {
            Some(automaton) => automaton.is_match(text),
            // Too many for an automaton, which these are not.
            None => any(text, self.names),
        }
    }
}

/// Whether a byte may stand in a name of XML.
pub(super) fn in_name(byte: u8) -> bool {
    in_word(byte) || matches!(byte, b':' | b'-' | b'.' | 0x80..)
}
