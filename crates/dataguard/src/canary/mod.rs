//! Canaries: members that do not exist, and ids and keys that open nothing. Whoever sees one has seen what nobody should.
//!
//! No value of one is kept anywhere: all follow from a key and a number (HMAC, RFC 2104), so that the registry may be read by
//! anybody and tells nothing. A [`Registry`] is what the operator has planted; [`Canaries`] is what is looked for.

mod derive;
mod matcher;
mod registry;

use std::fmt;

pub use derive::{CanaryKey, Member, Values, hmac_sha256, sha256};
pub use matcher::{Matcher, Trail};
pub use registry::{Entry, EntryKind, Registry, RegistryError};

/// A canary's number in its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CanaryId(pub u32);

impl fmt::Display for CanaryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c-{}", self.0)
    }
}

/// The canaries that are looked for: those of a registry that are not retired.
#[derive(Debug, Clone, Default)]
pub struct Canaries {
    entries: Vec<Entry>,
    literals: Vec<(CanaryId, Vec<u8>)>,
}

impl Canaries {
    /// Those that a registry holds, with the values that follow from the key.
    #[must_use]
    pub fn new(registry: &Registry, key: &CanaryKey) -> Self {
        let entries: Vec<Entry> = registry.entries().iter().filter(|entry| entry.retired.is_none()).cloned().collect();
        let literals = entries.iter().flat_map(|entry| {
            let literals = key.values(entry).literals();
            literals.into_iter().map(|literal| (entry.id, literal))
        });
        Self { literals: literals.collect(), entries }
    }

    /// What is looked for, in any case of its letters, and whose it is.
    pub fn literals(&self) -> impl Iterator<Item = (CanaryId, &[u8])> {
        self.literals.iter().map(|(id, literal)| (*id, literal.as_slice()))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a canary may be seen there: `members:/staff/list` for a page, `pg:backup` for a role of the database.
    #[must_use]
    pub fn is_at_home(&self, id: CanaryId, place: &str) -> bool {
        let entry = self.entries.binary_search_by_key(&id, |entry| entry.id).ok().and_then(|at| self.entries.get(at));
        entry.is_some_and(|entry| entry.homes.iter().any(|home| holds(home, place)))
    }
}

/// `members:/staff/**` holds `members:/staff` and all below it; anything else holds itself.
fn holds(home: &str, place: &str) -> bool {
    match home.strip_suffix("/**") {
        Some(top) => place.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        None => home == place,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn planted(count: u32) -> (Registry, CanaryKey) {
        let mut registry = Registry::default();
        for _ in 0..count {
            registry.add(
                EntryKind::Member { domain: "post.example.org".to_owned() },
                vec!["pg:backup".to_owned()],
                "2026-11-22",
            );
        }
        (registry, CanaryKey::new([7; 32]))
    }

    #[test]
    fn each_of_a_thousand_is_seen_and_nobody_else() {
        let (registry, key) = planted(1000);
        let canaries = Canaries::new(&registry, &key);
        let matcher = Matcher::new(&canaries);
        for entry in registry.entries() {
            let Values::Member(member) = key.values(entry) else { panic!("a member") };
            for shown in [member.email.to_uppercase().into_bytes(), member.uuid.into_bytes()] {
                let mut seen = Vec::new();
                let mut trail = Trail::default();
                shown.chunks(3).for_each(|piece| matcher.feed(&mut trail, piece, &mut |id| seen.push(id)));
                assert_eq!(seen, [entry.id], "{}", String::from_utf8_lossy(&shown));
            }
        }
        let mut seen = Vec::new();
        matcher.feed(&mut Trail::default(), b"jane.doe@post.example.org 07700 900123", &mut |id| seen.push(id));
        assert_eq!(seen, []);
    }

    #[test]
    fn a_retired_one_is_not_looked_for_and_its_number_is_never_given_again() {
        let (mut registry, key) = planted(2);
        assert!(registry.retire(CanaryId(2), "2026-12-01"));
        assert_eq!(Canaries::new(&registry, &key).len(), 1);
        let next = registry.add(EntryKind::Id, Vec::new(), "2026-12-02");
        assert_eq!(next, CanaryId(3));
    }

    #[test]
    fn a_home_is_a_place_and_what_lies_below_it() {
        let table = [
            ("members:/staff/**", "members:/staff", true),
            ("members:/staff/**", "members:/staff/list", true),
            ("members:/staff/**", "members:/staffing", false),
            ("members:/staff/**", "public:/staff", false),
            ("members:/**", "members:/anything", true),
            ("pg:backup", "pg:backup", true),
            ("pg:backup", "pg:backup2", false),
        ];
        for (home, place, expected) in table {
            assert_eq!(holds(home, place), expected, "{home} {place}");
        }
    }

    proptest! {
        #[test]
        fn what_is_seen_does_not_depend_on_how_it_comes(cuts in prop::collection::vec(0usize..200, 0..20)) {
            let (registry, key) = planted(5);
            let canaries = Canaries::new(&registry, &key);
            let matcher = Matcher::new(&canaries);
            let mut text = Vec::new();
            for (_, literal) in canaries.literals() {
                text.extend_from_slice(literal);
                text.push(b',');
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let (mut seen, mut whole, mut trail) = (Vec::new(), Vec::new(), Trail::default());
            for pair in cuts.windows(2) {
                matcher.feed(&mut trail, &text[pair[0]..pair[1]], &mut |id| seen.push(id));
            }
            matcher.feed(&mut Trail::default(), &text, &mut |id| whole.push(id));
            prop_assert_eq!(&seen, &whole);
            prop_assert_eq!(whole.len(), canaries.literals().count());
        }
    }
}
