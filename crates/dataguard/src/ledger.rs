//! What left, to whom: different records over a minute, an hour and a day, for each principal on each route.
//!
//! It never keeps a value nor a name: keys and records are keyed hashes. It never forgets within a window what it has room
//! for; where it has none, the oldest go first and are counted as displaced.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_types::Tick;

use crate::distinct::{Distinct, SMALL};

pub use portcullis_types::{Budget, Span, Who};

/// Entries of the ledger: principals times budgets.
pub const ENTRIES: usize = 65_536;
/// What they may hold in memory, about.
pub const BYTES: usize = 48 << 20;

/// A window is made of so many parts; one more than that is looked at, so that it is never shorter than its span.
const PARTS: usize = 4;

/// What left, to whom.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<u64, Window>,
    held: usize,
    displaced: u64,
    noted: u64,
}

/// What a written part begins with.
const FORM: &[u8; 8] = b"spent 1\n";

/// What came of noting a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// So many different ones are within the window now, it among them.
    Within(u64),
    /// It is one more than the budget has: this was not noted.
    Beyond(u64),
}

impl Ledger {
    /// Notes that a record is about to leave, unless it is more than `most`. `key` stands for principal, route, kind and span.
    pub fn note(&mut self, key: u64, record: u64, span: Span, most: Option<u64>, now: Tick) -> Noted {
        if self.entries.len() >= ENTRIES || self.held > BYTES {
            self.make_room();
        }
        let fresh = !self.entries.contains_key(&key);
        let window = self.entries.entry(key).or_default();
        let before = if fresh { 0 } else { window.held() };
        window.turn(span, now);
        let noted = window.note(record, most, now);
        let after = window.held();
        self.held = (self.held + after).saturating_sub(before);
        self.noted += u64::from(matches!(noted, Noted::Within(_)));
        noted
    }

    /// How often something was noted: where it has not grown, nothing has changed.
    #[must_use]
    pub const fn noted(&self) -> u64 {
        self.noted
    }

    /// Writes what left to some principals, those behind `after`, as [`Ledger::read`] takes it: keyed hashes, as they are held. Who
    /// took nothing for longer than a window is left out. Where there are more, the last that was written comes back.
    pub fn write(&self, after: Option<u64>, most: usize, now: Tick, out: &mut Vec<u8>) -> Option<u64> {
        use std::ops::Bound;
        if after.is_none() {
            out.extend_from_slice(FORM);
        }
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut entries = self.entries.range((from, Bound::Unbounded));
        let mut last = None;
        for (key, window) in entries.by_ref().take(most) {
            last = Some(*key);
            if now.0.saturating_sub(window.last.0) > Span::Day.nanos() / PARTS as u64 * (PARTS as u64 + 1) {
                continue;
            }
            for number in [*key, window.number, window.last.0] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            window.parts.iter().for_each(|part| part.write(out));
        }
        entries.next().and(last)
    }

    /// Takes back what all parts say that were written, in place of what is known. Ticks must have gone on meanwhile. What is of
    /// the future, by a clock that was set back since, is left out: nobody would be given back what they took there.
    ///
    /// # Errors
    /// It is not what was written; then nothing is taken.
    pub fn read(&mut self, bytes: &[u8], now: Tick) -> Result<(), &'static str> {
        let mut rest = bytes.strip_prefix(FORM).ok_or("it is of another form")?;
        let mut read = Self::default();
        while !rest.is_empty() {
            let mut number = || -> Option<u64> {
                let (number, tail) = rest.split_first_chunk::<8>()?;
                rest = tail;
                Some(u64::from_le_bytes(*number))
            };
            let (key, number, last) =
                number().and_then(|key| Some((key, number()?, number()?))).ok_or("it ends early")?;
            let mut window = Window { last: Tick(last), number, ..Window::default() };
            for part in &mut window.parts {
                *part = Distinct::read(&mut rest).ok_or("a count in it cannot be read")?;
            }
            let Window { parts, all, .. } = &mut window;
            parts.iter().for_each(|part| all.merge(part));
            if last.saturating_sub(now.0) > Span::Minute.nanos() {
                continue;
            }
            if read.entries.len() >= ENTRIES || read.held > BYTES {
                return Err("it has more than there is room for");
            }
            read.held += window.held();
            read.entries.insert(key, window);
        }
        *self = Self { displaced: self.displaced, ..read };
        Ok(())
    }

    /// How many different records are within a window.
    #[must_use]
    pub fn count(&self, key: u64, span: Span, now: Tick) -> u64 {
        let Some(window) = self.entries.get(&key) else { return 0 };
        let mut window = window.clone();
        window.turn(span, now);
        window.all.count()
    }

    /// Entries, and those that had to go before their time.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        (self.entries.len(), self.displaced)
    }

    /// Lets the eighth go that has been quiet longest.
    fn make_room(&mut self) {
        let mut quiet: Vec<Tick> = self.entries.values().map(|window| window.last).collect();
        let eighth = quiet.len() / 8;
        let (_, bound, _) = quiet.select_nth_unstable(eighth);
        let bound = *bound;
        let before = self.entries.len();
        self.entries.retain(|_, window| window.last > bound);
        self.displaced += (before - self.entries.len()) as u64;
        self.held = self.entries.values().map(Window::held).sum();
    }
}

/// Records of one principal over one span.
#[derive(Debug, Clone, Default)]
struct Window {
    parts: [Distinct; PARTS + 1],
    all: Distinct,
    /// The number of the part that is under way, counted from the beginning of time.
    number: u64,
    last: Tick,
}

impl Window {
    /// Lets go of the parts that are over.
    fn turn(&mut self, span: Span, now: Tick) {
        let number = now.0 / (span.nanos() / PARTS as u64);
        let passed = number.saturating_sub(self.number);
        if passed == 0 {
            return;
        }
        let gone = usize::try_from(passed).unwrap_or(usize::MAX).min(self.parts.len());
        let mut changed = false;
        for back in 0..gone {
            let at = usize::try_from(number.wrapping_sub(back as u64) % self.parts.len() as u64).unwrap_or_default();
            if let Some(part) = self.parts.get_mut(at) {
                changed |= !part.is_empty();
                part.clear();
            }
        }
        self.number = number;
        if changed {
            self.all.clear();
            let Self { parts, all, .. } = self;
            parts.iter().for_each(|part| all.merge(part));
        }
    }

    fn note(&mut self, record: u64, most: Option<u64>, now: Tick) -> Noted {
        self.last = now;
        let count = self.all.count();
        if let Some(most) = most
            && count >= most
            && !self.all.knows(record)
        {
            return Noted::Beyond(count);
        }
        self.all.add(record);
        let at = usize::try_from(self.number % self.parts.len() as u64).unwrap_or_default();
        if let Some(part) = self.parts.get_mut(at) {
            part.add(record);
        }
        Noted::Within(self.all.count())
    }

    fn held(&self) -> usize {
        size_of::<Self>() + self.all.held() + self.parts.iter().map(Distinct::held).sum::<usize>()
    }
}

/// What ordinary principals take in an hour, for one route: from it a budget is proposed.
#[derive(Debug, Clone, Default)]
pub struct Learned {
    /// Principals' hours by the most records that they had in them: 1, 2, 3 to 4, 5 to 8, …
    hours: [u32; 24],
    most: u64,
    /// Hours under way: principal to hour and records.
    open: BTreeMap<u64, (u64, Distinct<SMALL>)>,
    /// Since when, and how long before that.
    since: Option<Tick>,
    before: Duration,
}

/// What was learned, as it outlives a restart. Hours that are under way do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lesson {
    /// Principals' hours by the most records that they had in them: 1, 2, 3 to 4, 5 to 8, …
    pub hours: [u32; 24],
    /// The most records that a principal had in an hour.
    pub most: u64,
    /// How long was learned.
    pub span: Duration,
}

/// Principals of one route whose hour is under way.
const OPEN: usize = 4096;
/// Hours of principals that a proposal needs.
pub const ENOUGH: u32 = 200;

/// A budget that would have stopped nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposal {
    /// Records an hour.
    pub records: u64,
    /// What 999 of 1,000 hours of a principal stayed within.
    pub usual: u64,
    /// The most that one had.
    pub most: u64,
    /// Hours of principals that were looked at.
    pub hours: u32,
    /// How long was learned.
    pub span: Duration,
}

impl Learned {
    /// What was learned before.
    #[must_use]
    pub fn of(lesson: &Lesson) -> Self {
        Self { hours: lesson.hours, most: lesson.most, before: lesson.span, ..Self::default() }
    }

    /// What is to be kept.
    pub fn lesson(&mut self, now: Tick) -> Lesson {
        self.close(now.0 / Span::Hour.nanos());
        Lesson { hours: self.hours, most: self.most, span: self.span(now) }
    }

    fn span(&self, now: Tick) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Principals whose hour is under way.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// A record left, while nothing out of the ordinary was going on. `full` where nobody's hour may begin that is not under
    /// way already.
    pub fn note(&mut self, principal: u64, record: u64, full: bool, now: Tick) {
        self.since.get_or_insert(now);
        let hour = now.0 / Span::Hour.nanos();
        if (full || self.open.len() >= OPEN) && !self.open.contains_key(&principal) {
            self.close(hour);
            if full || self.open.len() >= OPEN {
                return;
            }
        }
        let (begun, records) = self.open.entry(principal).or_default();
        let over = (*begun != hour && !records.is_empty()).then(|| records.count());
        if over.is_some() {
            records.clear();
        }
        *begun = hour;
        records.add(record);
        if let Some(count) = over {
            self.hour(count);
        }
    }

    /// Takes in all hours that are over.
    pub fn close(&mut self, hour: u64) {
        let over: Vec<u64> =
            self.open.values().filter(|(begun, _)| *begun < hour).map(|(_, records)| records.count()).collect();
        self.open.retain(|_, (begun, _)| *begun >= hour);
        over.into_iter().for_each(|count| self.hour(count));
    }

    fn hour(&mut self, count: u64) {
        let bucket = usize::try_from(count.max(1).next_power_of_two().trailing_zeros()).unwrap_or_default();
        if let Some(hours) = self.hours.get_mut(bucket) {
            *hours = hours.saturating_add(1);
        }
        self.most = self.most.max(count);
    }

    /// What is proposed, once there is enough to go by: twice what 999 of 1,000 stayed within.
    #[must_use]
    pub fn proposal(&mut self, now: Tick) -> Option<Proposal> {
        self.close(now.0 / Span::Hour.nanos());
        let hours: u32 = self.hours.iter().fold(0, |sum, count| sum.saturating_add(*count));
        if hours < ENOUGH {
            return None;
        }
        let beyond = hours / 1000;
        let (mut left, mut usual) = (hours, 1);
        for (bucket, count) in self.hours.iter().enumerate() {
            left -= count;
            usual = 1 << bucket;
            if left <= beyond {
                break;
            }
        }
        let usual = usual.min(self.most);
        Some(Proposal { records: (usual * 2).max(10), usual, most: self.most, hours, span: self.span(now) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_budget_is_what_leaves_at_most_and_comes_back_with_time() {
        let mut ledger = Ledger::default();
        let mut note =
            |record: u64, second: u64| ledger.note(7, record << 40, Span::Minute, Some(3), Tick(second * SECOND));
        assert_eq!(note(1, 1000), Noted::Within(1));
        assert_eq!(note(2, 1000), Noted::Within(2));
        assert_eq!(note(2, 1001), Noted::Within(2));
        assert_eq!(note(3, 1002), Noted::Within(3));
        assert_eq!(note(4, 1003), Noted::Beyond(3));
        assert_eq!(note(1, 1004), Noted::Within(3), "what was seen already costs nothing");
        assert_eq!(note(4, 1059), Noted::Beyond(3), "a window is no shorter than its span");
        assert_eq!(note(4, 1080), Noted::Within(1), "and not much longer");
        assert_eq!(ledger.count(7, Span::Minute, Tick(2000 * SECOND)), 0);
    }

    #[test]
    fn within_any_minute_no_more_than_the_budget_leaves() {
        let mut ledger = Ledger::default();
        let mut left: Vec<u64> = Vec::new();
        for second in 0..600 {
            let record = (second + 1u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            if let Noted::Within(_) = ledger.note(1, record, Span::Minute, Some(10), Tick(second * SECOND)) {
                left.push(second);
            }
        }
        assert!(left.len() >= 70, "{}", left.len());
        assert!(left.windows(11).all(|window| window[10] - window[0] >= 60), "{left:?}");
    }

    /// All that is written, in parts of so many.
    fn written(ledger: &Ledger, most: usize, now: Tick) -> Vec<u8> {
        let (mut out, mut after) = (Vec::new(), None);
        loop {
            after = ledger.write(after, most, now, &mut out);
            if after.is_none() {
                return out;
            }
        }
    }

    #[test]
    fn what_left_counts_after_a_restart() {
        let hash = |record: u64| (record + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let at = |second: u64| Tick((1_000_000 + second) * SECOND);
        for span in Span::ALL {
            let mut ledger = Ledger::default();
            for record in 0..80 {
                assert!(matches!(ledger.note(7, hash(record), span, Some(100), at(0)), Noted::Within(_)));
            }
            (0..40).for_each(|key| _ = ledger.note(100 + key, hash(key), span, None, at(0)));
            let bytes = written(&ledger, 7, at(1));
            assert_eq!(bytes, written(&ledger, 1_000, at(1)), "in parts or at once");
            let mut again = Ledger::default();
            again.read(&bytes, at(10)).expect("it reads back");
            assert_eq!((again.size().0, again.count(7, span, at(10))), (41, 80));
            assert_eq!(again.note(7, hash(3), span, Some(100), at(10)), Noted::Within(80), "what left is known again");
            let left = (80..200)
                .filter(|record| matches!(again.note(7, hash(*record), span, Some(100), at(11)), Noted::Within(_)));
            assert_eq!(left.count(), 20, "the rest of the budget and no more");
            let over = span.nanos() / SECOND * 2;
            assert_eq!(again.count(7, span, at(over)), 0, "and it comes back with time");
            for cut in [0, 3, 8 + 1, bytes.len() / 2, bytes.len() - 1] {
                assert!(again.read(&bytes[..cut], at(10)).is_err(), "{cut}");
            }
            assert_eq!(again.count(7, span, at(11)), 100, "what cannot be read changes nothing");
            again.read(&bytes, Tick(500_000 * SECOND)).expect("it reads back");
            assert_eq!(again.size().0, 0, "a clock that was set back");
        }
    }

    #[test]
    fn it_holds_what_it_may_and_says_what_went() {
        let mut ledger = Ledger::default();
        for key in 0..ENTRIES as u64 + 10 {
            ledger.note(key, key, Span::Day, None, Tick(key));
        }
        let (entries, displaced) = ledger.size();
        assert!(entries <= ENTRIES && displaced > 0, "{entries} {displaced}");
        assert_eq!(ledger.count(ENTRIES as u64 + 9, Span::Day, Tick(0)), 1, "the last one is there");
    }

    #[test]
    fn what_is_proposed_is_above_what_was_usual() {
        let mut learned = Learned::default();
        let hour = Span::Hour.nanos();
        for principal in 0..500u64 {
            for record in 0..=principal % 12 {
                learned.note(
                    principal,
                    ((principal << 32) | (record + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15),
                    false,
                    Tick(hour),
                );
            }
        }
        assert_eq!(learned.proposal(Tick(hour)), None, "the hour is not over");
        let proposal = learned.proposal(Tick(3 * hour)).expect("enough");
        assert_eq!((proposal.hours, proposal.most, proposal.usual, proposal.records), (500, 12, 12, 24));
        let lesson = learned.lesson(Tick(3 * hour));
        let again = Learned::of(&lesson).proposal(Tick(0)).expect("enough");
        assert_eq!(again, proposal, "it outlives a restart");
    }
}
