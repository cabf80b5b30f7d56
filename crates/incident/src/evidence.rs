//! What a figure rests on: the positions of records in the ledger, so that each can be shown to be in the tree.
//!
//! Never holds what a record says. Where a sum rests on more records than can be listed, the first, the last and the number
//! of them are kept, and what of them is listed says so.

use std::collections::VecDeque;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeStruct as _};

/// Positions listed from each end. A sum over an hour of one route rests on 360 records; a proof of each would say no more than
/// the proofs of these and the tree's consistency do.
const LISTED: usize = 8;
/// Characters of a name or sentence that came from a record.
const WORDS: usize = 600;

/// Records that something rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How many.
    pub records: u64,
    head: Vec<u64>,
    tail: VecDeque<u64>,
}

impl Evidence {
    /// One record.
    #[must_use]
    pub fn of(index: u64) -> Self {
        let mut evidence = Self::default();
        evidence.add(index);
        evidence
    }

    /// One more. Positions come in the order of the ledger; the same one twice counts once.
    pub fn add(&mut self, index: u64) {
        if self.last() == Some(index) {
            return;
        }
        self.records += 1;
        if self.head.len() < LISTED {
            self.head.push(index);
            return;
        }
        if self.tail.len() == LISTED {
            self.tail.pop_front();
        }
        self.tail.push_back(index);
    }

    /// What others rest on too.
    pub fn merge(&mut self, other: &Self) {
        let records = self.records + other.records;
        let mut all: Vec<u64> = self.indices().chain(other.indices()).collect();
        all.sort_unstable();
        all.dedup();
        *self = Self::default();
        for index in &all {
            self.add(*index);
        }
        self.records = if self.whole() && records as usize <= 2 * LISTED { all.len() as u64 } else { records };
    }

    /// All positions, or the first and the last of them.
    pub fn indices(&self) -> impl Iterator<Item = u64> + '_ {
        self.head.iter().chain(&self.tail).copied()
    }

    /// The first.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.head.first().copied()
    }

    /// The last.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.tail.back().or(self.head.last()).copied()
    }

    /// Whether every position is listed.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.records as usize == self.head.len() + self.tail.len()
    }

    /// In a few words: `records 4, 7 and 9`, `360 records from 12 to 911`.
    #[must_use]
    pub fn words(&self) -> String {
        match (self.records, self.first(), self.last()) {
            (0, ..) | (_, None, _) | (_, _, None) => "no record".to_owned(),
            (1, Some(first), _) => format!("record {first}"),
            (records, ..) if records <= 4 && self.whole() => {
                let listed: Vec<String> = self.indices().map(|index| index.to_string()).collect();
                format!("records {}", listed.join(", "))
            }
            (records, Some(first), Some(last)) => format!("{records} records from {first} to {last}"),
        }
    }
}

impl Serialize for Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("Evidence", 6)?;
        map.serialize_field("records", &self.records)?;
        map.serialize_field("first", &self.first())?;
        map.serialize_field("last", &self.last())?;
        map.serialize_field("indices", &self.indices().collect::<Vec<_>>())?;
        map.serialize_field("whole", &self.whole())?;
        map.serialize_field("words", &self.words())?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Evidence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// All else follows from these.
        #[derive(Deserialize)]
        struct Listed {
            records: u64,
            indices: Vec<u64>,
        }

        let Listed { records, indices: mut head } = Listed::deserialize(deserializer)?;
        if head.len() > 2 * LISTED || (head.len() as u64) > records {
            return Err(D::Error::custom("more records are listed than there are, or than are ever listed"));
        }
        let tail = head.split_off(head.len().min(LISTED)).into();
        Ok(Self { records, head, tail })
    }
}

/// A name or a sentence from a record, which somebody hostile may have chosen: on one line, of bounded length, without anything
/// that moves a terminal or turns the direction of writing. Every format escapes it besides.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut out: String = text.chars().take(WORDS).map(|c| if is_hostile(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(WORDS).is_some() {
        out.push('…');
    }
    out
}

/// Whether it moves a terminal, turns the direction of writing, or is not seen.
pub(crate) fn is_hostile(c: char) -> bool {
    // Line and paragraph separators, marks and overrides of direction, what has no width, and tags that nobody sees.
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{e0000}'..='\u{e007f}' | '\u{61c}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_records_are_listed_and_many_by_their_ends() {
        let mut few = Evidence::default();
        [3, 3, 5].into_iter().for_each(|index| few.add(index));
        assert_eq!((few.records, few.whole(), few.words().as_str()), (2, true, "records 3, 5"));
        let mut many = Evidence::default();
        (10..1010).for_each(|index| many.add(index));
        assert_eq!((many.records, many.first(), many.last(), many.whole()), (1000, Some(10), Some(1009), false));
        assert_eq!(many.indices().count(), 2 * LISTED);
        for evidence in [&few, &many, &Evidence::default()] {
            let text = serde_json::to_string(evidence).expect("JSON");
            assert_eq!(serde_json::from_str::<Evidence>(&text).expect("the same"), *evidence, "{text}");
        }
        assert!(serde_json::from_str::<Evidence>(r#"{"records":1,"indices":[3,4]}"#).is_err());
        few.merge(&many);
        assert_eq!((few.records, few.first(), few.last()), (1002, Some(3), Some(1009)));
        let mut same = Evidence::of(3);
        same.merge(&Evidence::of(3));
        assert_eq!(same.records, 1);
    }

    #[test]
    fn hostile_words_lose_what_moves_a_terminal() {
        assert_eq!(plain("a\u{1b}[2J\nb\u{202e}c"), "a\u{fffd}[2J\u{fffd}b\u{fffd}c");
        assert_eq!(plain(&"x".repeat(5000)).chars().count(), WORDS + 1);
        assert_eq!(plain("Rødgrød <b>"), "Rødgrød <b>", "each format escapes by itself");
    }
}
