//! A table of bounded weight that keeps what is used.
//!
//! Its keys are hashes under a secret already, so that nobody outside can make two of them alike or fill one place.

use std::collections::HashMap;
use std::mem;

use rustc_hash::FxBuildHasher;

/// What is used moves to the young half; when that is full, it becomes the old half and the old one goes.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    young: HashMap<u128, (T, usize), FxBuildHasher>,
    old: HashMap<u128, (T, usize), FxBuildHasher>,
    /// Weight of the young half, and what it may be.
    weight: usize,
    most: usize,
}

impl<T> Cache<T> {
    /// Holds at most `most` of weight.
    pub(crate) fn new(most: usize) -> Self {
        let empty = || HashMap::with_hasher(FxBuildHasher);
        Self { young: empty(), old: empty(), weight: 0, most: most / 2 }
    }

    pub(crate) fn get(&mut self, key: u128) -> Option<&T> {
        if let Some((value, weight)) = self.old.remove(&key) {
            self.insert(key, value, weight);
        }
        self.young.get(&key).map(|(value, _)| value)
    }

    pub(crate) fn insert(&mut self, key: u128, value: T, weight: usize) {
        if self.weight.saturating_add(weight) > self.most {
            self.old = mem::replace(&mut self.young, HashMap::with_hasher(FxBuildHasher));
            self.weight = 0;
        }
        self.old.remove(&key);
        let before = self.young.insert(key, (value, weight));
        self.weight = self.weight.saturating_add(weight).saturating_sub(before.map_or(0, |(_, weight)| weight));
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.weight = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_is_used_and_stays_within_its_weight() {
        let mut cache = Cache::new(20);
        cache.insert(0, "kept", 1);
        for key in 1..1000_u128 {
            assert_eq!(cache.get(0), Some(&"kept"), "{key}");
            cache.insert(key, "passing", 1);
            assert!(cache.young.len() + cache.old.len() <= 20);
        }
        assert_eq!(cache.get(1), None);
        assert_eq!(cache.get(999), Some(&"passing"));
        cache.clear();
        assert_eq!(cache.get(0), None);
    }

    #[test]
    fn replacing_weighs_once() {
        let mut cache = Cache::new(8);
        (0..100).for_each(|_| cache.insert(1, (), 2));
        assert_eq!(cache.weight, 2);
    }
}
