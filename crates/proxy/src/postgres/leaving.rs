//! What rows hold, looked at before they leave: canaries in every row, recognised values in those that are sensitive.
//!
//! It never keeps a value: a canary is its number, a value is a keyed hash, and what is counted is how many differ.

use std::sync::Arc;

use portcullis_dataguard::canary::{CanaryId, Trail};
use portcullis_dataguard::detect::{Found, HashKey, Scanner};
use portcullis_dataguard::distinct::Distinct;
use portcullis_dataguard::{Detector, detect};
use portcullis_pgguard::session::Outflow;
use portcullis_pgguard::session::cells::{Cells, Piece};

use crate::state::Snapshot;

/// What values of a row are told apart by.
const BETWEEN: &[u8] = b"\0";

/// One session's look at what leaves.
pub(super) struct Leaving {
    /// The canaries are those of the policy under which the session began.
    snapshot: Arc<Snapshot>,
    /// Where the session's role stands among homes of canaries.
    place: String,
    trail: Trail,
    values: Option<Box<Values>>,
}

struct Values {
    detector: Arc<Detector>,
    cells: Cells,
    scanner: Scanner,
    distinct: Distinct,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// Canaries away from their home, as often as they stand there.
    pub(super) canaries: Vec<CanaryId>,
    /// Values that the session had not been given before.
    pub(super) values: u64,
}

impl Leaving {
    /// For a session of `role`; values are recognised where a budget counts them.
    pub(super) fn new(snapshot: Arc<Snapshot>, role: &str, detector: Option<&Arc<Detector>>) -> Self {
        let values = detector.map(|detector| {
            Box::new(Values {
                detector: Arc::clone(detector),
                cells: Cells::default(),
                scanner: Scanner::default(),
                distinct: Distinct::default(),
            })
        });
        Self { snapshot, place: format!("pg:{role}"), trail: Trail::default(), values }
    }

    /// Looks at rows that are about to leave.
    pub(super) fn look(&mut self, outflow: &Outflow<'_>, key: &HashKey) -> Seen {
        let mut seen = Seen::default();
        let guards = &self.snapshot.guards;
        if let Some(matcher) = &guards.matcher {
            matcher.feed(&mut self.trail, outflow.messages, &mut |id| {
                if !guards.canaries.is_at_home(id, &self.place) {
                    seen.canaries.push(id);
                }
            });
        }
        if let Some(values) = self.values.as_deref_mut().filter(|_| outflow.sensitive) {
            seen.values = values.look(outflow.messages, key);
        }
        seen
    }
}

impl Values {
    /// How many values there are in rows that were not in those before.
    fn look(&mut self, messages: &[u8], key: &HashKey) -> u64 {
        let Self { detector, cells, scanner, distinct } = self;
        let before = distinct.count();
        let mut findings = Hashes { key, distinct };
        cells.feed(messages, &mut |piece| match piece {
            Piece::Bytes(bytes) => scanner.text(detector, bytes, &mut findings),
            // Nothing is recognised across what stands in no value.
            Piece::End => scanner.text(detector, BETWEEN, &mut findings),
            // A row is a document: what is behind is looked at now, before it leaves.
            Piece::Row => scanner.end(detector, &mut findings),
        });
        self.distinct.count().saturating_sub(before)
    }
}

struct Hashes<'a> {
    key: &'a HashKey,
    distinct: &'a mut Distinct,
}

impl detect::Findings for Hashes<'_> {
    fn found(&mut self, found: &Found<'_>) {
        self.distinct.add(self.key.of(found.kind, found.value));
    }

    // The detector of a database is made without canaries: they are looked for in every row, and it sees only some.
    fn canary(&mut self, _: CanaryId, _: (u64, u64)) {}
}

#[cfg(test)]
mod tests {
    use portcullis_dataguard::{Canaries, Kind};

    use super::*;

    fn values() -> Values {
        let detector = Detector::new([Kind::Email].into_iter().collect(), &[], &Canaries::default());
        Values {
            detector: Arc::new(detector),
            cells: Cells::default(),
            scanner: Scanner::default(),
            distinct: Distinct::default(),
        }
    }

    fn row(value: &str) -> Vec<u8> {
        row_of(&[value])
    }

    fn row_of(values: &[&str]) -> Vec<u8> {
        let number = |number: usize| u32::try_from(number).expect("short").to_be_bytes();
        let body: Vec<u8> =
            values.iter().flat_map(|value| [&number(value.len())[..], value.as_bytes()].concat()).collect();
        [b"D", &number(body.len() + 6)[..], &[0, u8::try_from(values.len()).expect("few")], &body].concat()
    }

    #[test]
    fn nothing_is_recognised_across_two_values() {
        let key = HashKey([1, 2]);
        assert_eq!(values().look(&row_of(&["anna.berg@", "example.org"]), &key), 0);
        assert_eq!(values().look(&row_of(&["anna", "berg@example.org", "x"]), &key), 1);
        assert_eq!(values().look(&row_of(&["a@example.org", "b@example.org", "", "c@example.org"]), &key), 3);
    }

    #[test]
    fn different_values_are_counted_once_however_rows_are_cut() {
        let key = HashKey([1, 2]);
        let people = ["anna.berg@example.org", "bert.holm@example.org", "anna.berg@example.org", "nobody"];
        let rows: Vec<u8> = people.iter().flat_map(|value| row(value)).collect();
        for cut in 0..rows.len() {
            let mut values = values();
            let (front, back) = rows.split_at(cut);
            assert_eq!(values.look(front, &key) + values.look(back, &key), 2, "cut at {cut}");
            assert_eq!(values.look(&rows, &key), 0, "the session has them already");
        }
        // A thousand in one row of JSON are a thousand.
        let all: Vec<String> = (0..1000).map(|number| format!("\"member{number}@example.org\"")).collect();
        let counted = values().look(&row(&format!("[{}]", all.join(","))), &key);
        assert!((900..=1100).contains(&counted), "{counted}");
    }
}
