//! A fair sample of ordinary days, which nobody can fill with what they want to be ordinary.
//!
//! Three bounds keep it honest. Each visitor holds few places. What comes in waits first, and is thrown away when an
//! attack turns out to have begun. And places change hands slowly: a day of anything replaces at most a third.

use std::collections::VecDeque;

use portcullis_types::Tick;

/// Places of one visitor in one stratum.
const PER_VISITOR: u8 = 24;
/// Counters of places by visitor; two that share one share its places.
const HELD: usize = 1 << 16;
/// Those that wait.
const WAITING: usize = 4096;
/// Of the places, one in so many is set aside for each stratum, so that rare classes are never crowded out.
const SET_ASIDE: usize = 36;
/// One of a kind that has fewer is taken in every so many seconds, however slowly places change hands otherwise.
const RARE: f64 = 10.0;
/// How long newcomers wait, in seconds, at least and at most; in between a quarter of the sample's age.
const WAIT: (f64, f64) = (5.0, 900.0);
/// In so many seconds the sample is renewed once, at least and at most; in between half its age.
const RENEWAL: (f64, f64) = (600.0, 3.0 * 86_400.0);

/// A bounded sample of `T`, by strata.
#[derive(Debug)]
pub(crate) struct Sample<T> {
    capacity: usize,
    items: Vec<T>,
    /// By position of the item: whose it is, and its counter.
    owners: Vec<(u8, u16)>,
    /// Positions of items by stratum; the last one is common to all.
    strata: Vec<Vec<u32>>,
    held: Vec<u8>,
    waiting: VecDeque<Newcomer<T>>,
    /// Newcomers that may still be taken in, and places that may still change hands.
    pace: f64,
    turnover: f64,
    /// The same for kinds that have fewer places than are set aside for them.
    rare: f64,
    /// Seconds of learning.
    age: f64,
    chance: Chance,
}

#[derive(Debug)]
struct Newcomer<T> {
    at: Tick,
    item: T,
    stratum: u8,
    counter: u16,
}

impl<T: Copy> Sample<T> {
    pub(crate) fn new(capacity: usize, strata: usize, seed: u64) -> Self {
        Self {
            capacity,
            items: Vec::new(),
            owners: Vec::new(),
            strata: vec![Vec::new(); strata + 1],
            held: vec![0; HELD],
            waiting: VecDeque::new(),
            pace: 0.0,
            turnover: 0.0,
            rare: 0.0,
            age: 0.0,
            chance: Chance(seed),
        }
    }

    pub(crate) fn items(&self) -> &[T] {
        &self.items
    }

    pub(crate) fn is_full(&self) -> bool {
        self.items.len() >= self.capacity
    }

    pub(crate) const fn age(&self) -> f64 {
        self.age
    }

    pub(crate) fn bytes(&self) -> usize {
        self.items.capacity() * (size_of::<T>() + size_of::<(u8, u16)>() + size_of::<u32>())
            + self.waiting.capacity() * size_of::<Newcomer<T>>()
            + self.held.capacity()
    }

    /// Fewer places, or more, from now on.
    pub(crate) fn resize(&mut self, capacity: usize) {
        if capacity < self.items.len() {
            let kept: Vec<_> = (0..capacity)
                .filter_map(|_| {
                    let position = self.chance.below(self.items.len());
                    let (stratum, counter) = *self.owners.get(position)?;
                    self.owners.swap_remove(position);
                    Some((self.items.swap_remove(position), stratum, counter))
                })
                .collect();
            let strata = self.strata.len();
            (self.items, self.owners) = (Vec::new(), Vec::new());
            (self.strata, self.held) = (vec![Vec::new(); strata], vec![0; HELD]);
            self.capacity = capacity;
            kept.into_iter().for_each(|(item, stratum, counter)| self.put(item, stratum, counter));
        }
        self.capacity = capacity;
    }

    /// Offers what came in one tick of `seconds`; a fair part of it waits to be taken in.
    pub(crate) fn offer(&mut self, now: Tick, seconds: f64, came: &[T], mut describe: impl FnMut(&T) -> (usize, u64)) {
        let most = WAITING as f64 / self.wait();
        self.pace = (self.pace + most * seconds).min(most.max(1.0));
        let room = (self.pace as usize).min(WAITING.saturating_sub(self.waiting.len()));
        let step = (came.len() as f64 / room.max(1) as f64).max(1.0);
        let mut next = self.chance.share() * step;
        for (position, item) in came.iter().enumerate() {
            if (position as f64) + 1.0 <= next || self.pace < 1.0 {
                continue;
            }
            next += step;
            let (stratum, visitor) = describe(item);
            let (stratum, counter) = self.place(stratum, visitor);
            if self.held.get(usize::from(counter)).is_none_or(|held| *held >= PER_VISITOR) {
                continue;
            }
            self.pace -= 1.0;
            self.waiting.push_back(Newcomer { at: now, item: *item, stratum, counter });
        }
    }

    /// Takes in those who have waited long enough, after `seconds` of ordinary traffic.
    pub(crate) fn mature(&mut self, now: Tick, seconds: f64) {
        self.age += seconds;
        let renewal = (self.age / 2.0).clamp(RENEWAL.0, RENEWAL.1);
        self.turnover = (self.turnover + self.capacity as f64 * seconds / renewal).min(self.capacity as f64 / 8.0);
        self.rare = (self.rare + seconds / RARE).min(10.0);
        let wait = self.wait();
        while self.waiting.front().is_some_and(|newcomer| now.since(newcomer.at).as_secs_f64() >= wait) {
            let Some(newcomer) = self.waiting.pop_front() else { break };
            self.take_in(newcomer);
        }
    }

    /// Rewrites every item, those that wait included.
    pub(crate) fn change(&mut self, mut change: impl FnMut(&mut T)) {
        self.items.iter_mut().for_each(&mut change);
        self.waiting.iter_mut().for_each(|newcomer| change(&mut newcomer.item));
    }

    /// An attack has begun: nobody who waits is to be trusted.
    pub(crate) fn distrust(&mut self) {
        self.waiting.clear();
    }

    /// Takes an item in without waiting: one that was kept over a restart, or whose owner cannot be forged.
    pub(crate) fn take_at_once(&mut self, now: Tick, item: T, stratum: usize, visitor: u64) {
        let (stratum, counter) = self.place(stratum, visitor);
        self.take_in(Newcomer { at: now, item, stratum, counter });
    }

    pub(crate) const fn restore_age(&mut self, age: f64) {
        self.age = age;
    }

    fn place(&self, stratum: usize, visitor: u64) -> (u8, u16) {
        let stratum = stratum.min(self.strata.len().saturating_sub(2));
        (stratum as u8, (mix(visitor ^ stratum as u64) % HELD as u64) as u16)
    }

    fn wait(&self) -> f64 {
        (self.age / 4.0).clamp(WAIT.0, WAIT.1)
    }

    fn take_in(&mut self, newcomer: Newcomer<T>) {
        let Newcomer { item, stratum, counter, .. } = newcomer;
        if self.held.get(usize::from(counter)).is_none_or(|held| *held >= PER_VISITOR) {
            return;
        }
        if !self.is_full() {
            return self.put(item, stratum, counter);
        }
        let common = self.strata.len() - 1;
        let set_aside = self.capacity / SET_ASIDE;
        let own = usize::from(stratum);
        let owned = self.strata.get(own).map_or(0, Vec::len);
        let shared = self.strata.get(common).map_or(0, Vec::len);
        let is_rare = owned < set_aside && shared > 0;
        let allowance = if is_rare { &mut self.rare } else { &mut self.turnover };
        if *allowance < 1.0 {
            return;
        }
        *allowance -= 1.0;
        if is_rare {
            // Its kind has not all the places that are set aside for it: it gets one of the common ones for good.
            let at = self.chance.below(shared);
            let Some(position) = self.strata.get_mut(common).map(|common| common.swap_remove(at)) else { return };
            if let Some(own) = self.strata.get_mut(own) {
                own.push(position);
            }
            return self.replace(position as usize, item, counter);
        }
        let among_own = shared == 0 || self.chance.share() * (self.capacity as f64) < set_aside as f64;
        let list = self.strata.get(if among_own { own } else { common });
        let position = list.and_then(|list| list.get(self.chance.below(list.len())).copied());
        if let Some(position) = position {
            self.replace(position as usize, item, counter);
        }
    }

    /// Puts it where its stratum has places set aside, else among the common ones.
    fn put(&mut self, item: T, stratum: u8, counter: u16) {
        let set_aside = self.capacity / SET_ASIDE;
        let common = self.strata.len() - 1;
        let full = self.strata.get(usize::from(stratum)).is_none_or(|own| own.len() >= set_aside);
        let list = if full { common } else { usize::from(stratum) };
        let Ok(position) = u32::try_from(self.items.len()) else { return };
        if let Some(list) = self.strata.get_mut(list) {
            list.push(position);
            self.items.push(item);
            self.owners.push((stratum, counter));
            if let Some(held) = self.held.get_mut(usize::from(counter)) {
                *held = held.saturating_add(1);
            }
        }
    }

    fn replace(&mut self, position: usize, item: T, counter: u16) {
        let (Some(old), Some(owner)) = (self.items.get_mut(position), self.owners.get_mut(position)) else { return };
        *old = item;
        let before = std::mem::replace(&mut owner.1, counter);
        for (counter, gained) in [(before, false), (counter, true)] {
            if let Some(held) = self.held.get_mut(usize::from(counter)) {
                *held = if gained { held.saturating_add(1) } else { held.saturating_sub(1) };
            }
        }
    }
}

/// Chance that anybody with the same seed has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// At least 0, less than 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// At least 0, less than `bound`; 0 for 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.share() * bound as f64) as usize
    }
}

/// Splitmix64.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `seconds` of so many items per second, of visitors as `visitor` says.
    fn feed(sample: &mut Sample<u64>, at: &mut u64, seconds: u32, per_second: u64, visitor: impl Fn(u64) -> u64) {
        for second in 0..seconds {
            *at += 1000;
            let came: Vec<u64> = (0..per_second).map(|item| visitor(u64::from(second) * per_second + item)).collect();
            sample.offer(Tick::from_millis(*at), 1.0, &came, |item| (0, *item));
            sample.mature(Tick::from_millis(*at), 1.0);
        }
    }

    fn share(sample: &Sample<u64>, of: impl Fn(u64) -> bool) -> f64 {
        let matching = sample.items().iter().filter(|item| of(**item)).count();
        matching as f64 / sample.items().len().max(1) as f64
    }

    const EVIL: u64 = 1 << 50;

    #[test]
    fn it_fills_within_minutes_and_knows_everybody() {
        let (mut sample, mut at) = (Sample::new(8192, 2, 1), 0);
        feed(&mut sample, &mut at, 240, 60, |item| item % 3000);
        assert!(sample.items().len() > 6000, "{}", sample.items().len());
        feed(&mut sample, &mut at, 600, 60, |item| item % 3000);
        assert!(sample.items().len() <= 8192 && sample.items().len() > 8000);
    }

    #[test]
    fn one_visitor_holds_few_places() {
        let (mut sample, mut at) = (Sample::new(8192, 2, 2), 0);
        feed(&mut sample, &mut at, 600, 100, |item| if item % 2 == 0 { EVIL } else { item % 5000 });
        let held = sample.items().iter().filter(|item| **item == EVIL).count();
        assert!(held <= usize::from(PER_VISITOR), "{held}");
    }

    #[test]
    fn what_came_just_before_an_attack_is_not_in_it() {
        let (mut sample, mut at) = (Sample::new(8192, 2, 3), 0);
        feed(&mut sample, &mut at, 3600, 60, |item| item % 9000);
        feed(&mut sample, &mut at, 120, 60, |item| EVIL + item);
        assert_eq!(share(&sample, |item| item >= EVIL), 0.0, "all of it waits");
        sample.distrust();
        feed(&mut sample, &mut at, 1800, 60, |item| item % 9000);
        assert_eq!(share(&sample, |item| item >= EVIL), 0.0, "and was thrown away");
    }

    #[test]
    fn a_day_of_anything_replaces_at_most_a_third() {
        let (mut sample, mut at) = (Sample::new(4096, 2, 4), 0);
        feed(&mut sample, &mut at, 6000, 20, |item| item % 9000);
        sample.restore_age(30.0 * 86_400.0);
        feed(&mut sample, &mut at, 86_400, 2, |item| EVIL + item);
        let evil = share(&sample, |item| item >= EVIL);
        assert!(evil > 0.2 && evil < 0.34, "{evil}");
    }

    #[test]
    fn rare_strata_keep_their_places() {
        let (mut sample, mut at) = (Sample::<(usize, u64)>::new(4096, 9, 5), 0);
        for second in 0..7200u64 {
            at += 1000;
            let mut came: Vec<_> = (0..40).map(|item| (4, second * 40 + item)).collect();
            if second % 20 == 0 {
                came.push((1, second));
            }
            sample.offer(Tick::from_millis(at), 1.0, &came, |(stratum, visitor)| (*stratum, *visitor));
            sample.mature(Tick::from_millis(at), 1.0);
        }
        let rare = sample.items().iter().filter(|(stratum, _)| *stratum == 1).count();
        assert!(rare >= 40, "{rare} of 360 that came");
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_it_may(
            capacity in 1usize..300,
            ticks in prop::collection::vec((0u64..200, 0usize..4), 1..80),
            smaller in 1usize..300,
        ) {
            let mut sample = Sample::<u64>::new(capacity, 3, 6);
            let mut at = 0;
            for (count, stratum) in ticks {
                at += 7000;
                let came: Vec<u64> = (0..count).map(|item| at + item).collect();
                sample.offer(Tick::from_millis(at), 7.0, &came, |item| (stratum, *item));
                sample.mature(Tick::from_millis(at), 7.0);
                prop_assert!(sample.items().len() <= capacity);
                prop_assert_eq!(sample.owners.len(), sample.items.len());
                prop_assert_eq!(sample.strata.iter().map(Vec::len).sum::<usize>(), sample.items.len());
                prop_assert_eq!(sample.held.iter().map(|held| usize::from(*held)).sum::<usize>(), sample.items.len());
            }
            sample.resize(smaller);
            prop_assert!(sample.items().len() <= smaller.max(capacity.min(smaller)));
            prop_assert_eq!(sample.strata.iter().map(Vec::len).sum::<usize>(), sample.items.len());
        }
    }
}
