//! `@pm` and `@pmFromFile`: whether one of many phrases occurs, upper and lower case of ASCII alike.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

/// A set of phrases. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Phrases {
    automaton: Option<AhoCorasick>,
}

/// The phrases need more states than the automaton can number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooMany;

impl Phrases {
    /// Compiles a set. Empty phrases are left out; a set without phrases matches nothing.
    ///
    /// # Errors
    ///
    /// More than 2^31 bytes of phrases.
    pub fn compile<P: AsRef<[u8]>>(phrases: &[P]) -> Result<Self, TooMany> {
        if phrases.iter().all(|phrase| phrase.as_ref().is_empty()) {
            return Ok(Self { automaton: None });
        }
        // A table of all states would take ten times the memory, and what phrases are looked for in is seldom long.
        AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(phrases.iter().map(AsRef::as_ref).filter(|phrase| !phrase.is_empty()))
            .map(|automaton| Self { automaton: Some(automaton) })
            .map_err(|_| TooMany)
    }

    /// Whether a phrase occurs in `value`.
    #[must_use]
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.find(value).is_some()
    }

    /// Where the phrase is that ends first; of those that end there, the longest.
    #[must_use]
    pub fn find(&self, value: &[u8]) -> Option<Range<usize>> {
        self.automaton.as_ref()?.find(value).map(|found| found.range())
    }

    /// Memory of the automaton, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.automaton.as_ref().map_or(0, AhoCorasick::memory_usage)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_what_ends_first() {
        let phrases = Phrases::compile(&["abcd", "BC", ""]).unwrap();
        assert_eq!(phrases.find(b"xABCDx"), Some(2..4));
        assert_eq!(phrases.find(b"ab"), None);
        assert!(!Phrases::compile::<&str>(&[]).unwrap().is_match(b"anything"));
        assert!(!Phrases::compile(&[""]).unwrap().is_match(b""));
    }

    proptest! {
        #[test]
        fn agrees_with_looking_for_each(
            phrases in prop::collection::vec("[abAB\\x80-\\xff]{0,3}", 0..6),
            value in "[abABc\\x80-\\xff]{0,12}",
        ) {
            let found = Phrases::compile(&phrases).unwrap().find(value.as_bytes());
            let lower = value.to_ascii_lowercase();
            let naive = phrases
                .iter()
                .filter(|phrase| !phrase.is_empty())
                .filter_map(|phrase| {
                    let phrase = phrase.to_ascii_lowercase();
                    let start = lower.find(&phrase)?;
                    Some((start + phrase.len(), start))
                })
                .min();
            prop_assert_eq!(found.map(|range| (range.end, range.start)), naive);
        }
    }
}
