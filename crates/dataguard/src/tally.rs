//! What one answer holds, as numbers; and what of it is too much.
//!
//! It never keeps a value: a finding becomes a hash, the hash a count. What is too much is said once for each reason, before
//! the bytes that hold it have gone on.

use std::fmt;

use smallvec::SmallVec;

use crate::canary::CanaryId;
use crate::detect::{Findings, Found, HashKey, Kind, Kinds};
use crate::distinct::Distinct;
use crate::ledger::{Span, Who};

/// What an answer of a route may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// The kinds of which each different value stands for one member's record. A record has one value of each kind, so that
    /// the kind with the most values counts.
    pub record: Kinds,
    /// Records in one answer at most.
    pub records: Option<u64>,
}

/// Something that should not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// A canary, away from its home.
    Canary(CanaryId),
    /// More records than one answer may hold.
    Response {
        /// So many.
        most: u64,
    },
    /// More records than somebody may have over a while.
    Budget {
        /// Whose budget.
        who: Who,
        /// Over what.
        span: Span,
        /// So many.
        most: u64,
        /// It only counts.
        observed: bool,
    },
    /// A key, token or password, by whose it is.
    Secret(&'static str),
    /// What a program or a database says when it fails.
    Fault(Kind, &'static str),
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Canary(id) => write!(f, "canary {id}"),
            Self::Response { most } => write!(f, "more than {most} records in one answer"),
            Self::Budget { who, span, most, .. } => {
                write!(f, "more than {most} records of one {} over a {}", who.name(), span.name())
            }
            Self::Secret(name) => write!(f, "secret: {name}"),
            Self::Fault(kind, name) => write!(f, "{}: {name}", kind.name()),
        }
    }
}

/// The books that outlive an answer.
pub trait Books {
    /// A record that this answer did not hold yet is about to leave. What it is too much for is the answer.
    fn record(&mut self, kind: Kind, record: u64) -> Option<Alarm>;
    /// Whether a canary may be seen here.
    fn is_home(&self, canary: CanaryId) -> bool;
}

/// Alarms that are kept of one answer.
const ALARMS: usize = 16;

/// What one answer holds.
#[derive(Debug, Default)]
pub struct Tally {
    kinds: [Distinct; Kind::COUNT],
    alarms: SmallVec<[Alarm; 2]>,
    canaries: u32,
}

impl Tally {
    /// Different values of a kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.kinds.get(kind as usize).map_or(0, Distinct::count)
    }

    /// Members' records, as the measure has it.
    #[must_use]
    pub fn records(&self, measure: &Measure) -> u64 {
        Kind::ALL.iter().filter(|kind| measure.record.has(**kind)).map(|kind| self.count(*kind)).max().unwrap_or(0)
    }

    /// Whether nothing was found at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alarms.is_empty() && self.canaries == 0 && self.kinds.iter().all(Distinct::is_empty)
    }

    /// What should not leave, in the order in which it was met.
    #[must_use]
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// Canaries that were met, those at home too.
    #[must_use]
    pub const fn canaries(&self) -> u32 {
        self.canaries
    }

    fn alarm(&mut self, alarm: Alarm) {
        if self.alarms.len() < ALARMS && !self.alarms.contains(&alarm) {
            self.alarms.push(alarm);
        }
    }
}

/// Someone who counts, for as long as one piece of an answer is read.
pub struct Counting<'a> {
    /// What the answer holds so far.
    pub tally: &'a mut Tally,
    /// What it may hold.
    pub measure: &'a Measure,
    /// The key of the hashes.
    pub key: &'a HashKey,
    /// What outlives it.
    pub books: &'a mut dyn Books,
}

impl Findings for Counting<'_> {
    fn found(&mut self, found: &Found<'_>) {
        let hash = self.key.of(found.kind, found.value);
        let Some(values) = self.tally.kinds.get_mut(found.kind as usize) else { return };
        let fresh = values.add(hash);
        let count = values.count();
        match found.kind {
            Kind::Secret => self.tally.alarm(Alarm::Secret(known(found.name))),
            Kind::StackTrace | Kind::SqlError => self.tally.alarm(Alarm::Fault(found.kind, known(found.name))),
            kind if fresh && self.measure.record.has(kind) => {
                if let Some(most) = self.measure.records.filter(|most| count > *most) {
                    self.tally.alarm(Alarm::Response { most });
                }
                if let Some(alarm) = self.books.record(kind, hash) {
                    self.tally.alarm(alarm);
                }
            }
            _ => {}
        }
    }

    fn canary(&mut self, id: CanaryId, _at: (u64, u64)) {
        self.tally.canaries += 1;
        if !self.books.is_home(id) {
            self.tally.alarm(Alarm::Canary(id));
        }
    }
}

/// The names of vendors and programs are constants of this crate.
fn known(name: &str) -> &'static str {
    crate::detect::names().find(|known| *known == name).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::{Canaries, CanaryKey, EntryKind, Registry};
    use crate::detect::Detector;

    #[derive(Default)]
    struct Few {
        left: u64,
        seen: Vec<u64>,
    }

    impl Books for Few {
        fn record(&mut self, _kind: Kind, record: u64) -> Option<Alarm> {
            self.seen.push(record);
            self.left = self.left.checked_sub(1)?;
            (self.left == 0).then_some(Alarm::Budget { who: Who::Session, span: Span::Hour, most: 3, observed: false })
        }

        fn is_home(&self, canary: CanaryId) -> bool {
            canary == CanaryId(1)
        }
    }

    #[test]
    fn values_are_counted_once_and_what_is_too_much_is_told_once() {
        let mut registry = Registry::default();
        registry.add(EntryKind::Key { prefix: "live_".to_owned() }, Vec::new(), "");
        registry.add(EntryKind::Key { prefix: "live_".to_owned() }, Vec::new(), "");
        let canaries = Canaries::new(&registry, &CanaryKey::new([1; 32]));
        let detector = Detector::new(Kinds::all(), &[], &canaries);
        let keys: Vec<String> =
            canaries.literals().map(|(_, literal)| String::from_utf8_lossy(literal).into_owned()).collect();
        let text =
            format!("a@x.org b@x.org A@x.org c@x.org SW1A 1AA d@x.org {} {} ORA-00933 {}", keys[0], keys[1], keys[1]);
        let (mut tally, mut books) = (Tally::default(), Few { left: 4, seen: Vec::new() });
        let measure = Measure { record: [Kind::Email].into_iter().collect(), records: Some(2) };
        let mut counting = Counting { tally: &mut tally, measure: &measure, key: &HashKey([1, 2]), books: &mut books };
        detector.look(text.as_bytes(), &mut counting);
        assert_eq!((tally.count(Kind::Email), tally.count(Kind::Postcode), tally.records(&measure)), (4, 1, 4));
        assert_eq!((books.seen.len(), tally.canaries()), (4, 3));
        let told: Vec<String> = tally.alarms().iter().map(ToString::to_string).collect();
        let expected = [
            "canary c-2",
            "sql-error: oracle",
            "more than 2 records in one answer",
            "more than 3 records of one session over a hour",
        ];
        assert_eq!(told, expected);
    }
}
