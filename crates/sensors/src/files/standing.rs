//! What may be and what is: the entries in force, those of the release before while a deploy is under way, and what deviates
//! from both.
//!
//! It never looks at a disk or a clock: what was seen, and when, is handed in.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::manifest::{Entries, Entry};

/// Deviations that are remembered one by one. Beyond it each is told as new whenever it is seen, within [`TOLD`].
const OPEN: usize = 100_000;
/// Findings in one minute; what is beyond is counted and told together.
const TOLD: u32 = 200;
/// A path that keeps changing is told again after so long, in milliseconds.
const AGAIN: u64 = 60_000;
const MINUTE: u64 = 60_000;

/// What is compared with what.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// What is in force; none before there is a baseline or a deploy.
    now: Option<Entries>,
    /// What was in force before, and until when it may still be seen.
    before: Option<(Entries, u64)>,
    open: BTreeMap<Box<[u8]>, Open>,
    minute: u64,
    told: u32,
    /// Findings since the minute began that were not told.
    untold: u64,
}

#[derive(Debug)]
struct Open {
    /// What it was when it was told.
    told: Option<Entry>,
    at: u64,
}

/// What to make of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// As it may be, or known already.
    Quiet,
    /// As it may be again.
    Restored,
    /// Not as it may be, and not told before.
    Wrong { what: What, before: Option<Entry> },
}

/// How it deviates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Changed,
    Added,
    Removed,
}

impl What {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Changed => "file-changed",
            Self::Added => "file-added",
            Self::Removed => "file-removed",
        }
    }
}

impl Standing {
    /// Puts entries in force; what was in force before may still be seen until `until`.
    pub(crate) fn adopt(&mut self, entries: Entries, until: Option<u64>) {
        let before = self.now.replace(entries);
        self.before = before.zip(until);
        self.open.clear();
    }

    /// What is in force.
    pub(crate) const fn in_force(&self) -> Option<&Entries> {
        self.now.as_ref()
    }

    /// Ends the time in which the release before may be seen, once it is over. True where it ended now.
    pub(crate) fn settle(&mut self, now: u64) -> bool {
        let over = self.before.as_ref().is_some_and(|(_, until)| *until <= now);
        if over {
            self.before = None;
        }
        over
    }

    /// A deploy is under way.
    pub(crate) const fn is_moving(&self) -> bool {
        self.before.is_some()
    }

    /// Whether a deploy is about to change what stands at `path`.
    pub(crate) fn awaits(&self, path: &[u8]) -> bool {
        self.before
            .as_ref()
            .is_some_and(|(before, _)| before.get(path) != self.now.as_ref().and_then(|now| now.get(path)))
    }

    /// Judges what was seen at `path`. Nothing is judged before something is in force.
    pub(crate) fn judge(&mut self, path: &[u8], seen: Option<Entry>, now: u64) -> Judged {
        let Some(entries) = &self.now else { return Judged::Quiet };
        let should = entries.get(path).copied();
        let earlier = self.before.as_ref().map(|(entries, _)| entries.get(path).copied());
        if seen == should || earlier == Some(seen) {
            return if self.open.remove(path).is_some() { Judged::Restored } else { Judged::Quiet };
        }
        match self.open.get_mut(path) {
            Some(open) if open.told == seen || now < open.at.saturating_add(AGAIN) => return Judged::Quiet,
            Some(open) => *open = Open { told: seen, at: now },
            None => {
                if self.open.len() < OPEN {
                    self.open.insert(path.into(), Open { told: seen, at: now });
                }
            }
        }
        let what = match (should, seen) {
            (Some(_), None) => What::Removed,
            (None, _) => What::Added,
            _ => What::Changed,
        };
        Judged::Wrong { what, before: should }
    }

    /// Whether one more finding may be told in this minute.
    pub(crate) const fn may_tell(&mut self) -> bool {
        let may = self.told < TOLD;
        if may {
            self.told += 1;
        } else {
            self.untold += 1;
        }
        may
    }

    /// At the turn of a minute, what was not told in the one before.
    pub(crate) fn turn(&mut self, now: u64) -> Option<u64> {
        if now < self.minute.saturating_add(MINUTE) {
            return None;
        }
        (self.minute, self.told) = (now, 0);
        Some(std::mem::take(&mut self.untold)).filter(|count| *count > 0)
    }

    /// How many deviate now.
    pub(crate) fn deviating(&self) -> usize {
        self.open.len()
    }

    /// Some of those that deviate, for people.
    pub(crate) fn some(&self, most: usize) -> impl Iterator<Item = &[u8]> {
        self.open.keys().take(most).map(|path| &**path)
    }

    /// Every path in force that is `path` or below it, and every one that deviates there.
    pub(crate) fn below(&self, path: &[u8]) -> Vec<Box<[u8]>> {
        let inside = |key: &[u8]| {
            key == path || path.is_empty() || key.strip_prefix(path).is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        // Between `a` and `a/b` others may stand (`a-c`), never outside of what begins with `a`.
        let from = || (Bound::Included(path), Bound::Unbounded);
        let force = self.now.iter().flat_map(|entries| entries.range::<[u8], _>(from())).map(|(key, _)| key);
        let open = self.open.range::<[u8], _>(from()).map(|(key, _)| key);
        let of = |keys: &mut dyn Iterator<Item = &Box<[u8]>>| -> Vec<Box<[u8]>> {
            keys.take_while(|key| key.starts_with(path)).filter(|key| inside(key)).cloned().collect()
        };
        let mut paths = of(&mut force.into_iter());
        paths.extend(of(&mut open.into_iter()));
        paths.sort();
        paths.dedup();
        paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;

    fn file(of: u8) -> Entry {
        Entry { what: manifest::What::File, mode: 0o644, size: 1, sha256: [of; 32] }
    }

    fn entries(of: &[(&str, u8)]) -> Entries {
        of.iter().map(|(path, byte)| (path.as_bytes().into(), file(*byte))).collect()
    }

    fn standing() -> Standing {
        let mut standing = Standing::default();
        standing.adopt(entries(&[("a", 1), ("a-c", 1), ("a/b", 2), ("d", 3)]), None);
        standing
    }

    #[test]
    fn each_deviation_is_told_once_and_its_end_too() {
        let mut standing = standing();
        assert_eq!(standing.judge(b"a/b", Some(file(2)), 0), Judged::Quiet);
        let wrong = |what, before| Judged::Wrong { what, before };
        assert_eq!(standing.judge(b"a/b", Some(file(9)), 0), wrong(What::Changed, Some(file(2))));
        assert_eq!(standing.judge(b"a/b", Some(file(9)), 1), Judged::Quiet, "told already");
        assert_eq!(standing.judge(b"a/b", Some(file(8)), 2), Judged::Quiet, "again, within the minute");
        assert_eq!(standing.judge(b"a/b", Some(file(8)), AGAIN), wrong(What::Changed, Some(file(2))));
        assert_eq!(standing.judge(b"a/b", Some(file(2)), AGAIN), Judged::Restored);
        assert_eq!(standing.judge(b"a/b", Some(file(2)), AGAIN), Judged::Quiet);
        assert_eq!(standing.judge(b"new", Some(file(1)), 0), wrong(What::Added, None));
        assert_eq!(standing.judge(b"new", None, 0), Judged::Restored);
        assert_eq!(standing.judge(b"d", None, 0), wrong(What::Removed, Some(file(3))));
        let harder = Entry { mode: 0o666, ..file(1) };
        assert_eq!(standing.judge(b"a", Some(harder), 0), wrong(What::Changed, Some(file(1))), "its mode alone");
        assert_eq!(standing.deviating(), 2);
        assert_eq!(Standing::default().judge(b"a", None, 0), Judged::Quiet, "nothing is in force");
    }

    #[test]
    fn while_a_deploy_is_under_way_both_releases_may_be_seen_and_nothing_else() {
        let mut standing = standing();
        standing.adopt(entries(&[("a", 1), ("a/b", 7), ("e", 5)]), Some(100));
        for (path, seen) in
            [("a/b", Some(2)), ("a/b", Some(7)), ("d", Some(3)), ("d", None), ("e", None), ("e", Some(5))]
        {
            assert_eq!(standing.judge(path.as_bytes(), seen.map(file), 0), Judged::Quiet, "{path} {seen:?}");
        }
        assert!(matches!(standing.judge(b"a/b", Some(file(6)), 0), Judged::Wrong { .. }));
        assert!(matches!(standing.judge(b"a", None, 0), Judged::Wrong { .. }), "the deploy does not touch it");
        assert!(matches!(standing.judge(b"f", Some(file(1)), 0), Judged::Wrong { .. }), "in neither");
        assert!(standing.awaits(b"a/b") && standing.awaits(b"d") && standing.awaits(b"e") && !standing.awaits(b"a"));
        assert!(!standing.settle(99) && standing.settle(100) && !standing.settle(101));
        assert!(
            matches!(standing.judge(b"d", Some(file(3)), 100), Judged::Wrong { what: What::Added, .. }),
            "left behind"
        );
        assert!(matches!(standing.judge(b"e", None, 100), Judged::Wrong { what: What::Removed, .. }));
    }

    #[test]
    fn what_is_below_a_path_is_found_among_its_neighbours() {
        let mut standing = standing();
        standing.judge(b"a/new", Some(file(1)), 0);
        let names = |path: &[u8]| {
            standing.below(path).iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(b"a"), ["a", "a/b", "a/new"]);
        assert_eq!(names(b"a/b"), ["a/b"]);
        assert_eq!(names(b""), ["a", "a-c", "a/b", "a/new", "d"]);
        assert!(names(b"b").is_empty());
    }

    #[test]
    fn what_is_beyond_a_minutes_worth_is_counted() {
        let mut standing = standing();
        assert_eq!(standing.turn(MINUTE), None);
        let told = (0..TOLD + 7).filter(|_| standing.may_tell()).count();
        assert_eq!(told, TOLD as usize);
        assert_eq!(standing.turn(MINUTE + 1), None);
        assert_eq!(standing.turn(2 * MINUTE), Some(7));
        assert_eq!(standing.turn(3 * MINUTE), None);
    }
}
