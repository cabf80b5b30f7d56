//! Requests counted together: by platform, route and audience, over ten seconds. From these figures a report is made, so they
//! are exact but for times (within an eighth) and the number of visitors (within three in a hundred).

use std::collections::BTreeMap;
use std::hash::Hasher;

use portcullis_dataguard::distinct::Distinct;
use portcullis_ledger::{Traffic, Verdict};
use siphasher::sip::SipHasher13;

use super::row::Row;
use super::tally::Tally;

/// Milliseconds that are told together.
pub(crate) const INTERVAL: u64 = 10_000;
/// A request that comes to its end so long after an interval is counted in the next one that is open.
const GRACE: u64 = 2_000;
/// Routes and audiences that are told apart in one interval.
const MOST: usize = 16_384;
/// Visitors up to which their number is exact.
const EXACT: usize = 512;

/// What came in the intervals that are not told yet.
pub(crate) struct Counting {
    /// For the hashes of visitors.
    keys: (u64, u64),
    open: BTreeMap<u64, BTreeMap<Box<[u8]>, Group>>,
    /// Where a row's place is written to be looked up.
    place: Vec<u8>,
    /// Where the last that was told ended.
    told: u64,
}

/// Requests of one place.
#[derive(Default)]
struct Group {
    /// Platform, route, class, audience.
    place: [String; 4],
    tally: Tally,
    /// Requests of each second.
    seconds: [u64; (INTERVAL / 1000) as usize],
    visitors: Distinct<EXACT>,
    /// Visitors that were refused, challenged or delayed.
    touched: Distinct<EXACT>,
}

impl Counting {
    /// `told` is where the last interval ended that was told before.
    pub(crate) fn new(keys: (u64, u64), told: u64) -> Self {
        Self { keys, open: BTreeMap::new(), place: Vec::new(), told }
    }

    /// Where the last that was told ended.
    pub(crate) const fn told(&self) -> u64 {
        self.told
    }

    /// Counts a request.
    pub(crate) fn add(&mut self, row: &Row<'_>) {
        // What has been told is not told again: whoever is late counts in the next.
        let from = (row.unix_millis - row.unix_millis % INTERVAL).max(self.told);
        let places = self.open.entry(from).or_default();
        let [platform, route, class, audience, ..] = row.names;
        self.place.clear();
        for name in [platform, route, class, audience] {
            self.place.extend_from_slice(name);
            self.place.push(0);
        }
        let group = if places.contains_key(&self.place[..]) {
            places.get_mut(&self.place[..])
        } else {
            let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
            let (key, route) = match places.len() < MOST {
                true => (&self.place[..], text(route)),
                false => (&b"other"[..], "other".to_owned()),
            };
            let place = [text(platform), route, text(class), text(audience)];
            Some(places.entry(key.into()).or_insert_with(|| Group { place, ..Group::default() }))
        };
        let Some(group) = group else { return };
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        hasher.write(&row.client);
        let visitor = hasher.finish().max(1);
        group.tally.add(row);
        let second = usize::try_from(row.unix_millis.saturating_sub(from) / 1000).unwrap_or(0);
        let last = group.seconds.len() - 1;
        if let Some(second) = group.seconds.get_mut(second.min(last)) {
            *second += 1;
        }
        group.visitors.add(visitor);
        if row.waited > 0 || !matches!(row.verdict(), Verdict::Served | Verdict::Failed) {
            group.touched.add(visitor);
        }
    }

    /// What is over by now; all of it at the `end`.
    pub(crate) fn over(&mut self, now: u64, end: bool) -> Vec<Traffic> {
        let mut told = Vec::new();
        while let Some((from, _)) = self.open.first_key_value() {
            let (from, until) = (*from, from - from % INTERVAL + INTERVAL);
            if !end && until + GRACE > now {
                break;
            }
            let Some((_, places)) = self.open.pop_first() else { break };
            told.extend(places.into_values().map(|group| group.told(from, until)));
            self.told = self.told.max(until);
        }
        told
    }
}

impl Group {
    fn told(self, from: u64, until: u64) -> Traffic {
        let [platform, route, class, audience] = self.place;
        let micros = self.tally.micros();
        Traffic {
            platform,
            route,
            class,
            audience,
            from: from - from % INTERVAL,
            until,
            requests: self.tally.requests,
            served: self.tally.served,
            failed: self.tally.failed,
            challenged: self.tally.challenged,
            roomed: self.tally.roomed,
            delayed: self.tally.delayed,
            bytes_in: self.tally.bytes_in,
            bytes_out: self.tally.bytes_out,
            peak: self.seconds.into_iter().max().unwrap_or(0),
            micros,
            visitors: [self.visitors.count(), self.touched.count()],
            refused: self.tally.refused.into_iter().map(|(reason, count)| (reason.into(), count)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::{rows, tests::served, write};
    use super::*;
    use portcullis_ledger::Request;

    fn counting(requests: &[Request<'_>]) -> Counting {
        let mut bytes = Vec::new();
        requests.iter().for_each(|request| write(request, &mut bytes));
        let mut counting = Counting::new((1, 2), 0);
        rows(&bytes).for_each(|row| counting.add(&row));
        counting
    }

    #[test]
    fn every_request_is_in_one_figure() {
        let refused = |millis, reason| Request {
            verdict: Verdict::Refused,
            reason,
            audience: "fresh",
            ..served(millis, "public", "203.0.113.9")
        };
        let mut counting = counting(&[
            served(20_000, "public", "192.0.2.1"),
            served(20_999, "public", "192.0.2.1"),
            Request { waited_micros: 5, micros: 40_000, ..served(29_999, "public", "192.0.2.2") },
            refused(21_000, "rule-refused"),
            refused(21_001, "rule-refused"),
            refused(21_002, "rate-limited"),
            Request { verdict: Verdict::Challenged, ..refused(21_003, "challenge") },
            Request { verdict: Verdict::Failed, ..served(30_000, "public", "192.0.2.1") },
        ]);
        assert!(counting.over(31_999, false).is_empty(), "somebody may be late");
        let told = counting.over(32_000, false);
        assert_eq!(told.len(), 2, "two audiences");
        let [fresh, human] = &told[..] else { panic!("two") };
        assert_eq!((fresh.requests, fresh.challenged, fresh.refused["rule-refused"]), (4, 1, 2));
        assert_eq!((fresh.refused["rate-limited"], fresh.visitors), (1, [1, 1]));
        assert_eq!((human.requests, human.served, human.delayed, human.peak), (3, 3, 1, 2));
        assert_eq!((human.from, human.until, human.visitors), (20_000, 30_000, [2, 1]));
        assert!((2_000..=2_250).contains(&human.micros[0]) && (40_000..=45_000).contains(&human.micros[2]));
        let rest = counting.over(0, true);
        assert_eq!((rest.len(), rest[0].failed, rest[0].from), (1, 1, 30_000));
    }

    #[test]
    fn who_is_late_counts_in_the_next_and_nothing_is_told_twice() {
        let mut counting = counting(&[served(20_000, "public", "192.0.2.1")]);
        assert_eq!(counting.over(40_000, false).len(), 1);
        let mut bytes = Vec::new();
        write(&served(29_000, "public", "192.0.2.1"), &mut bytes);
        rows(&bytes).for_each(|row| counting.add(&row));
        let told = counting.over(60_000, false);
        assert_eq!((told[0].from, told[0].requests), (30_000, 1));
    }
}
