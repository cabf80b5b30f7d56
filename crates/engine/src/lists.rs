//! Which lists hold an address: all prefixes of all lists, flattened into one sorted table per address family.
//!
//! A look-up is one binary search and never walks a list.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_types::{ListAction, Mode, Prefix};

use crate::declared::List;

/// What the lists say about one address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Verdict {
    /// An enforced allow list holds it: deny lists and rates do not apply.
    pub(crate) allowed: bool,
    /// The first enforced deny list that holds it.
    pub(crate) denied: Option<Arc<str>>,
    /// Deny lists in observe mode that hold it.
    pub(crate) observed: Box<[Arc<str>]>,
}

/// Every list, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    prefixes: Prefixes,
    /// One for each set of lists that some address is in; the first is the empty set.
    verdicts: Vec<Verdict>,
}

impl Lists {
    pub(crate) fn compile(lists: &[List]) -> Self {
        let each = lists.iter().enumerate();
        let prefixes = Prefixes::compile(each.flat_map(|(at, list)| list.prefixes.iter().map(move |p| (at, *p))));
        let verdicts = prefixes.sets.iter().map(|set| verdict(set, lists)).collect();
        Self { prefixes, verdicts }
    }

    /// What the lists say about `address`; `None` when no list holds it.
    pub(crate) fn verdict(&self, address: IpAddr) -> Option<&Verdict> {
        let set = self.prefixes.find(address);
        if set == 0 { None } else { self.verdicts.get(set) }
    }
}

/// Which of several owners' prefixes hold an address.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    /// Owners by number of the set; the first is the empty set.
    sets: Vec<Vec<usize>>,
}

impl Prefixes {
    pub(crate) fn compile(prefixes: impl Iterator<Item = (usize, Prefix)>) -> Self {
        let mut v4: Vec<(u32, u32, usize)> = Vec::new();
        let mut v6: Vec<(u128, u128, usize)> = Vec::new();
        for (owner, prefix) in prefixes {
            match prefix.network() {
                IpAddr::V4(first) => v4.push((first.to_bits(), last_v4(prefix, first.to_bits()), owner)),
                IpAddr::V6(first) => v6.push((first.to_bits(), last_v6(prefix, first.to_bits()), owner)),
            }
        }
        let mut sets = Sets::default();
        let (v4, v6) = (Ranges::flatten(v4, &mut sets), Ranges::flatten(v6, &mut sets));
        Self { v4, v6, sets: sets.members }
    }

    /// The owners of that address, in order.
    pub(crate) fn owners(&self, address: IpAddr) -> &[usize] {
        self.sets.get(self.find(address)).map_or(&[], Vec::as_slice)
    }

    fn find(&self, address: IpAddr) -> usize {
        let set = match address {
            IpAddr::V4(v4) => self.v4.find(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.find(v6.to_bits()),
        };
        usize::try_from(set).unwrap_or(0)
    }
}

fn last_v4(prefix: Prefix, first: u32) -> u32 {
    first | u32::MAX.checked_shr(u32::from(prefix.length())).unwrap_or(0)
}

fn last_v6(prefix: Prefix, first: u128) -> u128 {
    first | u128::MAX.checked_shr(u32::from(prefix.length())).unwrap_or(0)
}

fn verdict(set: &[usize], lists: &[List]) -> Verdict {
    let of = |action, mode| {
        let lists = set.iter().filter_map(|list| lists.get(*list));
        lists.filter(move |list| list.action == action && list.mode == mode).map(|list| words(&list.name))
    };
    Verdict {
        allowed: of(ListAction::Allow, Mode::Enforce).next().is_some(),
        denied: of(ListAction::Deny, Mode::Enforce).next(),
        observed: of(ListAction::Deny, Mode::Observe).collect(),
    }
}

fn words(list: &str) -> Arc<str> {
    format!("list {list}").into()
}

/// Sets of lists by number; 0 is the empty set.
struct Sets {
    members: Vec<Vec<usize>>,
    numbers: BTreeMap<Vec<usize>, u32>,
}

impl Default for Sets {
    fn default() -> Self {
        Self { members: vec![Vec::new()], numbers: BTreeMap::from([(Vec::new(), 0)]) }
    }
}

impl Sets {
    /// The number of that set with one more list.
    fn with(&mut self, set: u32, list: usize) -> u32 {
        let mut members = usize::try_from(set).ok().and_then(|set| self.members.get(set)).cloned().unwrap_or_default();
        if let Err(place) = members.binary_search(&list) {
            members.insert(place, list);
        }
        let next = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(members.clone()).or_insert(next);
        if number == next {
            self.members.push(members);
        }
        number
    }
}

/// Where a set of lists begins to hold, in order of address; it holds until the next begins.
#[derive(Debug, Default)]
struct Ranges<A> {
    starts: Box<[A]>,
    sets: Box<[u32]>,
    /// The span from the first start to the last in equal steps of `1 << shift` addresses: how many starts lie before
    /// each step. It narrows the search to the few starts of one step, as long as they are spread at all.
    steps: Box<[usize]>,
    shift: u32,
}

/// Steps of a table, at most: 512 KiB.
const MOST_STEPS: usize = 1 << 16;

impl<A: Address> Ranges<A> {
    /// Prefixes either nest or do not touch, so one pass with a stack of the enclosing ones is enough.
    fn flatten(mut prefixes: Vec<(A, A, usize)>, sets: &mut Sets) -> Self {
        prefixes.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
        let mut flat: Vec<(A, u32)> = Vec::new();
        let mut enclosing: Vec<(A, u32)> = Vec::new();
        for (first, last, list) in prefixes {
            while let Some((end, _)) = enclosing.pop_if(|(end, _)| *end < first) {
                leave(&mut flat, end, &enclosing);
            }
            let set = sets.with(enclosing.last().map_or(0, |(_, set)| *set), list);
            begin(&mut flat, first, set);
            enclosing.push((last, set));
        }
        while let Some((end, _)) = enclosing.pop() {
            leave(&mut flat, end, &enclosing);
        }
        flat.dedup_by_key(|(_, set)| *set);
        let (starts, sets): (Vec<A>, Vec<u32>) = flat.into_iter().unzip();
        let (Some(first), Some(last)) = (starts.first().copied(), starts.last().copied()) else {
            return Self { starts: Box::default(), sets: Box::default(), steps: Box::default(), shift: 0 };
        };
        let most = starts.len().next_power_of_two().min(MOST_STEPS);
        let shift = (0..A::BITS).find(|shift| last.steps_from(first, *shift) < most).unwrap_or(A::BITS - 1);
        let mut steps = vec![0; last.steps_from(first, shift) + 2];
        for start in &starts {
            if let Some(after) = steps.get_mut(start.steps_from(first, shift) + 1) {
                *after += 1;
            }
        }
        let mut before = 0;
        for step in &mut steps {
            before += *step;
            *step = before;
        }
        Self { starts: starts.into(), sets: sets.into(), steps: steps.into(), shift }
    }

    fn find(&self, address: A) -> u32 {
        let Some(first) = self.starts.first().filter(|first| **first <= address) else { return 0 };
        let step = address.steps_from(*first, self.shift).min(self.steps.len().saturating_sub(2));
        let (Some(from), Some(to)) = (self.steps.get(step), self.steps.get(step + 1)) else { return 0 };
        let near = self.starts.get(*from..*to).unwrap_or_default();
        let after = from + near.partition_point(|start| *start <= address);
        after.checked_sub(1).and_then(|at| self.sets.get(at)).copied().unwrap_or(0)
    }
}

/// Behind the end of a prefix, what encloses it holds again.
fn leave<A: Address>(flat: &mut Vec<(A, u32)>, end: A, enclosing: &[(A, u32)]) {
    if let Some(next) = end.next() {
        begin(flat, next, enclosing.last().map_or(0, |(_, set)| *set));
    }
}

/// The last word about one address counts.
fn begin<A: Address>(flat: &mut Vec<(A, u32)>, first: A, set: u32) {
    match flat.last_mut() {
        Some((at, known)) if *at == first => *known = set,
        _ => flat.push((first, set)),
    }
}

trait Address: Copy + Ord {
    const BITS: u32;

    fn next(self) -> Option<Self>;

    /// Whole steps of `1 << shift` addresses from `first`, which is not beyond `self`.
    fn steps_from(self, first: Self, shift: u32) -> usize;
}

macro_rules! address {
    ($bits:ty) => {
        impl Address for $bits {
            const BITS: u32 = <$bits>::BITS;

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn steps_from(self, first: Self, shift: u32) -> usize {
                usize::try_from(self.saturating_sub(first) >> shift).unwrap_or(usize::MAX)
            }
        }
    };
}

address!(u32);
address!(u128);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(name: &str, action: ListAction, mode: Mode, prefixes: &[&str]) -> List {
        let prefixes = prefixes.iter().map(|text| Prefix::parse(text).expect(text)).collect();
        List { name: name.to_owned(), action, mode, prefixes }
    }

    #[test]
    fn nested_lists_all_have_their_say() {
        let lists = Lists::compile(&[
            list("office", ListAction::Allow, Mode::Enforce, &["192.0.2.128/25", "2001:db8:1::/48"]),
            list("scanners", ListAction::Deny, Mode::Enforce, &["192.0.2.0/24", "192.0.2.7", "2001:db8::/32"]),
            list("maybe", ListAction::Deny, Mode::Observe, &["192.0.0.0/8", "192.0.2.7", "255.255.255.255", "::/0"]),
            list("trial", ListAction::Allow, Mode::Observe, &["203.0.113.0/24"]),
        ]);
        let table: &[(&str, &str)] = &[
            ("192.0.2.1", "denied list scanners, observed list maybe"),
            ("192.0.2.7", "denied list scanners, observed list maybe"),
            ("192.0.2.8", "denied list scanners, observed list maybe"),
            ("192.0.2.200", "allowed, denied list scanners, observed list maybe"),
            ("192.0.3.0", "observed list maybe"),
            ("193.0.0.0", ""),
            ("191.255.255.255", ""),
            ("0.0.0.0", ""),
            ("255.255.255.254", ""),
            ("255.255.255.255", "observed list maybe"),
            ("203.0.113.5", ""),
            ("2001:db8::1", "denied list scanners, observed list maybe"),
            ("2001:db8:1::1", "allowed, denied list scanners, observed list maybe"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "observed list maybe"),
        ];
        for (address, expected) in table {
            let verdict = lists.verdict(address.parse().expect(address)).cloned().unwrap_or_default();
            let allowed = verdict.allowed.then(|| "allowed".to_owned());
            let denied = verdict.denied.map(|list| format!("denied {list}"));
            let observed = verdict.observed.iter().map(|list| format!("observed {list}"));
            let words: Vec<String> = allowed.into_iter().chain(denied).chain(observed).collect();
            assert_eq!(words.join(", "), *expected, "{address}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_asking_every_prefix(
            prefixes in prop::collection::vec((any::<u32>(), 0u8..=32, 0usize..3), 0..60),
            addresses in prop::collection::vec(any::<u32>(), 1..60),
            wide in any::<bool>(),
        ) {
            // The same shapes in both families: an IPv6 address whose upper bits carry the IPv4 one.
            let ip = |bits: u32| if wide { IpAddr::V6((u128::from(bits) << 96).into()) } else { IpAddr::V4(bits.into()) };
            let mut lists: Vec<List> = (0..3).map(|at| list(&at.to_string(), ListAction::Deny, Mode::Observe, &[])).collect();
            let mut probes = addresses;
            for (bits, length, at) in prefixes {
                lists[at].prefixes.push(Prefix::new(ip(bits), length));
                probes.extend([bits, bits.wrapping_add(1), bits.wrapping_sub(1)]);
            }
            let compiled = Lists::compile(&lists);
            for address in probes.into_iter().map(ip) {
                let expected: Vec<String> = lists.iter()
                    .filter(|list| list.prefixes.iter().any(|prefix| prefix.contains(address)))
                    .map(|list| format!("list {}", list.name)).collect();
                let found = compiled.verdict(address).cloned().unwrap_or_default();
                prop_assert_eq!(found.observed.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
            }
        }
    }
}
