//! What values were found to match, kept from one request to the next.
//!
//! Browsers send the same fields with each request: their own names, the types that they take, the site's cookies. What the
//! rules of a phase find in a value depends on the value, its place and its name, and on nothing else that changes, so that it
//! is found once. Whether a rule runs at all, and whom an exclusion leaves out, is asked each time.

use std::hash::Hasher;

use rustc_hash::FxHasher;
use smallvec::SmallVec;

use crate::seclang::places::Place;

/// Values that are remembered, two for each number that their bytes come to.
const ENTRIES: usize = 512;
/// Longer ones, with their names, are not: hardly any comes twice.
const LONGEST: usize = 256;

/// Rules of the prefilter that match a value, each with a way that makes what it matches.
pub(super) type Hits = SmallVec<[(u16, u16); 2]>;

#[derive(Debug, Default)]
pub(super) struct Seen {
    entries: Vec<Entry>,
    /// Which of the two goes when both are taken.
    turn: bool,
}

#[derive(Debug, Default)]
struct Entry {
    place: Option<Place>,
    /// The name, so many bytes of it, and the value.
    name: usize,
    bytes: Vec<u8>,
    hits: Hits,
}

impl Seen {
    /// What was found in that value of that place and name.
    pub(super) fn find(&self, place: Place, name: &[u8], value: &[u8]) -> Option<&Hits> {
        let (first, second) = self.entries.get(set(place, name, value)..)?.split_first()?;
        let is = |entry: &&Entry| {
            entry.place == Some(place)
                && entry.name == name.len()
                && entry.bytes.split_at_checked(name.len()) == Some((name, value))
        };
        Some(first).filter(is).or_else(|| second.first().filter(is)).map(|entry| &entry.hits)
    }

    /// Remembers it.
    pub(super) fn keep(&mut self, place: Place, name: &[u8], value: &[u8], hits: Hits) {
        if name.len() + value.len() > LONGEST {
            return;
        }
        if self.entries.is_empty() {
            self.entries.resize_with(ENTRIES, Entry::default);
        }
        self.turn = !self.turn;
        let at = set(place, name, value);
        let open = |at: usize| self.entries.get(at).is_some_and(|entry| entry.place.is_none());
        let at = if open(at) || !open(at + 1) && self.turn { at } else { at + 1 };
        let Some(entry) = self.entries.get_mut(at) else { return };
        entry.place = Some(place);
        entry.name = name.len();
        entry.bytes.clear();
        entry.bytes.extend_from_slice(name);
        entry.bytes.extend_from_slice(value);
        entry.hits = hits;
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}

/// Where the two entries stand that a value may have. Whoever makes many that meet there puts others out, and finds nothing.
fn set(place: Place, name: &[u8], value: &[u8]) -> usize {
    let mut hasher = FxHasher::default();
    hasher.write_usize(place.index());
    hasher.write(name);
    hasher.write(value);
    let hash = usize::try_from(hasher.finish() >> 32).unwrap_or(0);
    hash % (ENTRIES / 2) * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_by_its_place_name_and_bytes() {
        let mut seen = Seen::default();
        assert_eq!(seen.find(Place::GET, b"q", b"x"), None);
        seen.keep(Place::GET, b"q", b"x", Hits::from_slice(&[(3, 1)]));
        assert_eq!(seen.find(Place::GET, b"q", b"x").map(|hits| hits.to_vec()), Some(vec![(3, 1)]));
        for (place, name, value) in [
            (Place::POST, &b"q"[..], &b"x"[..]),
            (Place::GET, b"", b"qx"),
            (Place::GET, b"qx", b""),
            (Place::GET, b"q", b"y"),
        ] {
            assert_eq!(seen.find(place, name, value), None, "{name:?} {value:?}");
        }
        seen.keep(Place::GET, b"", &[b'a'; LONGEST + 1], Hits::new());
        assert_eq!(seen.find(Place::GET, b"", &[b'a'; LONGEST + 1]), None);
        seen.clear();
        assert_eq!(seen.find(Place::GET, b"q", b"x"), None);
    }

    #[test]
    fn it_stays_as_large_as_it_is() {
        let mut seen = Seen::default();
        for number in 0..10 * ENTRIES {
            let value = number.to_string();
            seen.keep(Place::GET, b"", value.as_bytes(), Hits::from_slice(&[(u16::try_from(number).unwrap(), 0)]));
            assert!(seen.find(Place::GET, b"", value.as_bytes()).is_some(), "{number}");
        }
        assert_eq!(seen.entries.len(), ENTRIES);
        let kept = (0..10 * ENTRIES).filter(|number| {
            let found = seen.find(Place::GET, b"", number.to_string().as_bytes());
            assert!(found.is_none_or(|hits| usize::from(hits[0].0) == *number), "{number}");
            found.is_some()
        });
        let kept = kept.count();
        assert!(kept > ENTRIES / 2 && kept <= ENTRIES, "{kept}");
    }
}
