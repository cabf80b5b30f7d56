//! How often each value came: counted in rows that are sorted and added up, so that fifteen million addresses which came once each
//! need no table of all of them.
//!
//! It knows values as bytes; of which column they are and which requests count is decided elsewhere.

use std::collections::HashMap;
use std::thread;

/// Values that wait to be added up, before it is done for the first time.
const WAITING: usize = 1 << 20;

/// Counts by value.
#[derive(Debug, Default)]
pub(super) struct Counts {
    short: Row<u64>,
    wide: Row<u128>,
    /// Names and fingerprints.
    long: HashMap<Box<[u8]>, u64>,
}

/// Values of one kind, as numbers that sort as their bytes do.
#[derive(Debug)]
struct Row<K> {
    counts: Vec<(K, u64)>,
    /// How many there were when they were added up the last time.
    settled: usize,
}

impl<K> Default for Row<K> {
    fn default() -> Self {
        Self { counts: Vec::new(), settled: 0 }
    }
}

impl Counts {
    /// Counts a value so many times.
    pub(super) fn add(&mut self, value: &[u8], count: u64) {
        if let Some(short) = short(value) {
            self.short.counts.push((short, count));
        } else if let Ok(wide) = value.try_into() {
            self.wide.counts.push((u128::from_be_bytes(wide), count));
        } else if let Some(known) = self.long.get_mut(value) {
            *known += count;
        } else {
            self.long.insert(value.into(), count);
        }
    }

    /// Adds up what was counted of the same values, once there is as much again as was left the last time.
    pub(super) fn settle_much(&mut self) {
        self.short.settle_beyond(WAITING);
        self.wide.settle_beyond(WAITING);
    }

    /// Adds it all up.
    pub(super) fn settle(&mut self) {
        self.short.settle_beyond(0);
        self.wide.settle_beyond(0);
    }
}

/// The most frequent values of all that were counted and settled, the most frequent first, equals in the order of their bytes.
pub(super) fn most(counted: Vec<Counts>, most: usize, threads: usize) -> Vec<(Box<[u8]>, u64)> {
    let (mut short, mut wide, mut long) = (Vec::new(), Vec::new(), HashMap::<Box<[u8]>, u64>::new());
    for counts in counted {
        short.push(counts.short.counts);
        wide.push(counts.wide.counts);
        counts.long.into_iter().for_each(|(value, count)| *long.entry(value).or_default() += count);
    }
    let mut values: Vec<(Box<[u8]>, u64)> = first(&short, most, threads)
        .into_iter()
        .map(|(value, count)| (bytes(value), count))
        .chain(first(&wide, most, threads).into_iter().map(|(value, count)| (Box::from(value.to_be_bytes()), count)))
        .chain(long)
        .collect();
    values.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    values.truncate(most);
    values
}

impl<K: Ord + Copy> Row<K> {
    fn settle_beyond(&mut self, waiting: usize) {
        if self.counts.len() > (self.settled * 2).max(waiting) || waiting == 0 {
            self.counts.sort_unstable_by_key(|(value, _)| *value);
            add_up(&mut self.counts);
            self.settled = self.counts.len();
        }
    }
}

/// Adds up neighbours of one value.
fn add_up<K: PartialEq>(counts: &mut Vec<(K, u64)>) {
    counts.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 += if same { next.1 } else { 0 };
        same
    });
}

/// The most frequent of sorted rows: each thread adds up a range of the values.
fn first<K: Ord + Copy + Send + Sync>(rows: &[Vec<(K, u64)>], most: usize, threads: usize) -> Vec<(K, u64)> {
    let Some(longest) = rows.iter().max_by_key(|row| row.len()) else { return Vec::new() };
    let bounds: Vec<K> =
        (1..threads).filter_map(|nth| longest.get(longest.len() * nth / threads).map(|(value, _)| *value)).collect();
    let from = |row: &[(K, u64)], bound: Option<usize>, end: usize| {
        let bound = bound.and_then(|bound| bounds.get(bound));
        bound.map_or(end, |bound| row.partition_point(|(value, _)| value < bound))
    };
    let range = |nth: usize| {
        let mut all: Vec<(K, u64)> = Vec::new();
        for row in rows {
            let range = from(row, nth.checked_sub(1), 0)..from(row, Some(nth), row.len());
            all.extend_from_slice(row.get(range).unwrap_or_default());
        }
        // What is sorted in parts is merged.
        all.sort_by_key(|(value, _)| *value);
        add_up(&mut all);
        best(&mut all, most);
        all
    };
    let mut all: Vec<(K, u64)> = thread::scope(|scope| {
        let ranges: Vec<_> = (0..=bounds.len()).map(|nth| scope.spawn(move || range(nth))).collect();
        ranges.into_iter().flat_map(|range| range.join().unwrap_or_default()).collect()
    });
    best(&mut all, most);
    all
}

/// Leaves the most frequent, in no order.
fn best<K: Ord + Copy>(counts: &mut Vec<(K, u64)>, most: usize) {
    if counts.len() > most {
        counts.select_nth_unstable_by(most, |one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
        counts.truncate(most);
    }
}

/// A value of up to seven bytes as a number: its bytes, the first of them foremost, and behind them how many.
fn short(value: &[u8]) -> Option<u64> {
    let mut bytes = [0; 8];
    let [places @ .., length] = &mut bytes;
    places.get_mut(..value.len())?.copy_from_slice(value);
    *length = value.len() as u8;
    Some(u64::from_be_bytes(bytes))
}

fn bytes(short: u64) -> Box<[u8]> {
    let [bytes @ .., length] = short.to_be_bytes();
    bytes.get(..usize::from(length)).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What a table of all of them comes to.
    fn counted(hours: &[Vec<(Vec<u8>, u64)>], most: usize) -> Vec<(Box<[u8]>, u64)> {
        let mut all: BTreeMap<Box<[u8]>, u64> = BTreeMap::new();
        hours.iter().flatten().for_each(|(value, count)| *all.entry(value.as_slice().into()).or_default() += count);
        let mut all: Vec<_> = all.into_iter().collect();
        // A map is in the order of its values, and this keeps that of equals.
        all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        all.truncate(most);
        all
    }

    #[test]
    fn values_of_every_length_are_told_apart_and_sort_as_their_bytes_do() {
        let values: Vec<&[u8]> = vec![b"", b"\0", b"\0\0", b"\0\0\0\0\0\0\0", b"\0\x01", b"a", b"ab", b"abcdefg", b"b"];
        for pair in values.windows(2) {
            assert!(short(pair[0]) < short(pair[1]), "{pair:?}");
        }
        assert!(values.iter().all(|value| *bytes(short(value).expect("short")) == **value));
        assert_eq!(short(b"abcdefgh"), None);
    }

    #[test]
    fn much_is_added_up_on_the_way() {
        let mut counts = Counts::default();
        for nth in 0..2 * WAITING as u32 {
            counts.add(&(nth % 1_000).to_be_bytes(), 1);
            counts.settle_much();
            assert!(counts.short.counts.len() <= WAITING + 1);
        }
        counts.settle();
        let all = most(vec![counts], usize::MAX, 2);
        assert_eq!((all.len(), all.iter().map(|(_, count)| count).sum::<u64>()), (1_000, 2 * WAITING as u64));
    }

    proptest! {
        #[test]
        fn they_are_those_that_a_table_counts(
            hours in vec(vec((prop_oneof![vec(0_u8..3, 0..5), vec(0_u8..2, 16), vec(0_u8..2, 8..12)], 1_u64..4), 0..60), 0..5),
            of in prop_oneof![Just(usize::MAX), 0_usize..20],
            threads in 1_usize..4,
        ) {
            let settled = hours.iter().map(|hour| {
                let mut counts = Counts::default();
                hour.iter().for_each(|(value, count)| counts.add(value, *count));
                counts.settle();
                counts
            });
            prop_assert_eq!(most(settled.collect(), of, threads), counted(&hours, of));
        }
    }
}
