//! Enumeration: somebody asks for one id after the other to see what there is.
//!
//! It never decides by one sign alone: many different ids, and either that they follow one another, or that most of them are
//! nobody's or not theirs to see. The same is asked of everybody on a route who looks alike on the wire, so that many addresses
//! that take a few ids each are seen together.

use std::collections::BTreeMap;

use portcullis_types::Tick;

use crate::distinct::{Distinct, SMALL};

/// An id in what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    /// A number: ids that follow one another can be told.
    Number(u64),
    /// A hash of something else: only how many there are can be told.
    Other(u64),
}

impl Id {
    /// The last id in a path or a query: digits by themselves, or a long word of hexadecimal digits.
    #[must_use]
    pub fn of(target: &[u8], hash: impl Fn(&[u8]) -> u64) -> Option<Self> {
        let mut last = None;
        for part in target.split(|byte| matches!(byte, b'/' | b'?' | b'&' | b'=' | b'.' | b';')) {
            if (1..=18).contains(&part.len()) && part.iter().all(u8::is_ascii_digit) {
                last = Some(Self::Number(part.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))));
            } else if part.len() >= 16
                && part.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
                && part.iter().any(u8::is_ascii_digit)
            {
                last = Some(Self::Other(hash(part)));
            }
        }
        last
    }
}

/// What is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Different ids of one principal in an hour, from which on it is looked at how they follow one another.
    pub ids: u64,
    /// The same for all that look alike.
    pub ids_alike: u64,
    /// Of a hundred steps from one id to the next, so many are short ones.
    pub short_steps: u64,
    /// Of a hundred answers, so many were that there is nothing, or nothing for them.
    pub misses: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { ids: 50, ids_alike: 400, short_steps: 70, misses: 50 }
    }
}

/// Whoever is looked at, and how many of them at once.
const ENTRIES: usize = 16_384;
/// Ids that are held to see how close they lie.
const HELD: usize = 256;
/// A step that is a short one.
const SHORT: u64 = 3;
/// An entry begins anew after so long.
const HOUR: u64 = 3600 * 1_000_000_000;

/// Why somebody is taken to enumerate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enumeration {
    /// Different ids in the hour.
    pub ids: u64,
    /// The longest run of ids that follow one another.
    pub run: u32,
    /// Of a hundred steps, the short ones.
    pub short_steps: u64,
    /// Of a hundred answers, 403 and 404.
    pub misses: u64,
    /// They are many that look alike, and not one.
    pub alike: bool,
}

/// Who asked for which ids.
#[derive(Debug, Default)]
pub struct Sequences {
    entries: BTreeMap<u64, Sequence>,
}

#[derive(Debug, Default)]
struct Sequence {
    began: Tick,
    last_at: Tick,
    ids: Distinct<SMALL>,
    asked: u64,
    missed: u64,
    last: Option<u64>,
    run: u32,
    longest: u32,
    steps: u64,
    /// Steps by size: 1 to 3, to 15, to 255, to 4095, longer or back.
    gaps: [u64; 5],
    held: Vec<u64>,
    /// Ids when it was told last.
    told: u64,
}

impl Sequences {
    /// Somebody asked for an id and got an answer. What is too much of it is told, and told again when it has doubled.
    pub fn note(
        &mut self,
        key: u64,
        id: Id,
        status: u16,
        alike: bool,
        bounds: &Bounds,
        now: Tick,
    ) -> Option<Enumeration> {
        if self.entries.len() >= ENTRIES && !self.entries.contains_key(&key) {
            let mut quiet: Vec<Tick> = self.entries.values().map(|entry| entry.last_at).collect();
            let (_, bound, _) = quiet.select_nth_unstable(ENTRIES / 8);
            let bound = *bound;
            self.entries.retain(|_, entry| entry.last_at > bound);
        }
        let entry = self.entries.entry(key).or_insert_with(|| Sequence { began: now, ..Sequence::default() });
        if now.0.saturating_sub(entry.began.0) > HOUR {
            *entry = Sequence { began: now, ..Sequence::default() };
        }
        entry.take(id, status, now);
        let told = entry.judge(alike, bounds).filter(|told| told.ids >= entry.told * 2)?;
        entry.told = told.ids;
        Some(told)
    }

    /// Whether somebody is taken to enumerate, without asking anything more.
    #[must_use]
    pub fn known(&self, key: u64, alike: bool, bounds: &Bounds, now: Tick) -> Option<Enumeration> {
        let entry = self.entries.get(&key)?;
        if now.0.saturating_sub(entry.began.0) > HOUR { None } else { entry.judge(alike, bounds) }
    }
}

impl Sequence {
    fn take(&mut self, id: Id, status: u16, now: Tick) {
        self.last_at = now;
        self.asked += 1;
        self.missed += u64::from(matches!(status, 401 | 403 | 404 | 410));
        let (number, hash) = match id {
            // Spread over all bits, as the count of different ones needs.
            Id::Number(number) => (Some(number), mix(number)),
            Id::Other(hash) => (None, hash),
        };
        let fresh = self.ids.add(hash);
        let Some(number) = number else { return };
        if let Some(last) = self.last.replace(number).filter(|last| *last != number) {
            let step = number.abs_diff(last);
            self.steps += 1;
            let size = match step {
                0..=SHORT => 0,
                4..=15 => 1,
                16..=255 => 2,
                256..=4095 => 3,
                _ => 4,
            };
            self.gaps[size] += 1;
            self.run = if step <= SHORT { self.run + 1 } else { 0 };
            self.longest = self.longest.max(self.run);
        }
        if fresh {
            if self.held.len() < HELD {
                self.held.push(number);
            } else {
                let at = usize::try_from(hash % HELD as u64).unwrap_or_default();
                self.held[at] = number;
            }
        }
    }

    fn judge(&self, alike: bool, bounds: &Bounds) -> Option<Enumeration> {
        let ids = self.ids.count();
        if ids < if alike { bounds.ids_alike } else { bounds.ids } {
            return None;
        }
        let misses = self.missed * 100 / self.asked.max(1);
        // Many at once come in no order: what tells then is how close the ids lie, and that each is asked for once.
        let short_steps = if alike {
            let once = ids * 100 / self.asked.max(1) >= 80;
            if once { self.closeness() } else { 0 }
        } else {
            self.gaps[0] * 100 / self.steps.max(1)
        };
        // A long run tells by itself: other ids in between would only hide it.
        let run = !alike && u64::from(self.longest) >= bounds.ids;
        let told = run || short_steps >= bounds.short_steps || misses >= bounds.misses;
        told.then_some(Enumeration { ids, run: self.longest, short_steps, misses, alike })
    }

    /// Of a hundred gaps between the ids that are held, in their order, those that are as short as if none were left out,
    /// allowing for those that are not held.
    fn closeness(&self) -> u64 {
        let mut held = self.held.clone();
        held.sort_unstable();
        held.dedup();
        let thinned = (self.ids.count() / held.len().max(1) as u64).max(1);
        let gaps = held.len().saturating_sub(1).max(1) as u64;
        let short = held.windows(2).filter(|pair| pair[1] - pair[0] <= SHORT * thinned * 2).count();
        short as u64 * 100 / gaps
    }
}

/// The finaliser of `SplitMix64`: neighbours become strangers.
const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn last(ids: impl Iterator<Item = (u64, u16)>, alike: bool) -> Option<Enumeration> {
        let mut sequences = Sequences::default();
        let ids = ids.enumerate();
        let bounds = Bounds::default();
        let told = ids.map(|(at, (id, status))| {
            let now = Tick(at as u64 * SECOND);
            sequences.note(1, Id::Number(id), status, alike, &bounds, now);
            sequences.known(1, alike, &bounds, now)
        });
        told.last().flatten()
    }

    #[test]
    fn one_after_the_other_is_told_from_here_and_there() {
        let told = last((1000..1100).map(|id| (id, 200)), false).expect("a run");
        assert!(told.run >= 99 && told.short_steps == 100 && !told.alike, "{told:?}");
        assert!(last((0..100).map(|id| (mix(id) % 1_000_000, 404)), false).is_some_and(|told| told.misses == 100));
        assert_eq!(last((0..100).map(|id| (mix(id) % 1_000_000, 200)), false), None, "pages as people find them");
        assert_eq!(last((0..1000).map(|id| (id % 20, 200)), false), None, "few ids, over and over");
        assert_eq!(last((1000..1030).map(|id| (id, 200)), false), None, "a few in a row");
        let hidden = (0..200).map(|at| (mix(at) % 1_000_000, 200)).chain((5000..5060).map(|id| (id, 200)));
        assert!(last(hidden, false).is_some_and(|told| told.run >= 50), "a run behind other ids");
    }

    #[test]
    fn many_who_look_alike_are_seen_together() {
        // A thousand addresses take one id each, in no order.
        let mut ids: Vec<u64> = (5000..6000).collect();
        ids.sort_by_key(|id| mix(*id));
        assert!(last(ids.iter().map(|id| (*id, 200)), true).is_some_and(|told| told.alike), "low and slow");
        // Many people read what is popular: the same ids over and over.
        assert_eq!(last((0..3000).map(|at| (5000 + mix(at) % 500, 200)), true), None, "a crowd");
        // Or each his own, far apart.
        assert_eq!(last((0..3000).map(|at| (mix(at) % 100_000_000, 200)), true), None, "members");
    }

    #[test]
    fn an_hour_later_it_begins_anew() {
        let mut sequences = Sequences::default();
        let mut note =
            |id: u64, at: u64| sequences.note(1, Id::Number(id), 200, false, &Bounds::default(), Tick(at * SECOND));
        let told: Vec<u64> = (0..110).filter_map(|id| note(id, id)).map(|told| told.ids).collect();
        assert_eq!(told, [50, 100], "told once, and again when it has doubled");
        assert_eq!(note(110, 8000), None);
    }

    #[test]
    fn ids_stand_in_paths_and_queries() {
        let of = |target: &str| Id::of(target.as_bytes(), |part| part.len() as u64);
        assert_eq!(of("/members/42"), Some(Id::Number(42)));
        assert_eq!(of("/members/42.json?fields=all"), Some(Id::Number(42)));
        assert_eq!(of("/list?page=3&id=007"), Some(Id::Number(7)));
        assert_eq!(of("/m/1b4e28ba-2fa1-11d2-883f-0016d3cca427"), Some(Id::Other(36)));
        assert_eq!(of("/about/us"), None);
        assert_eq!(of("/defacedfacade-beadedcafe"), None, "a word");
    }
}
