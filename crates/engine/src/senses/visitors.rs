//! What visitors did, 32 bytes each, in a table that every worker shares and that never grows.
//!
//! Its words are plain loads and stores of atomics: where two workers write of one visitor in the same instant, one of
//! the two is lost. That bends a statistic and harms nobody; nothing here decides alone. A bucket has four places. A
//! newcomer takes a free one or that of whom has cost least; those that did what browsers do keep theirs for a while, so
//! a flood of addresses that were never seen before displaces only its like.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use portcullis_types::Tick;

use super::Known;

/// Visitors that a node remembers at most.
pub(crate) const VISITORS: usize = 1 << 20;
const WAYS: usize = 4;
const BUCKET_BYTES: usize = 128;

/// Requests a second, assets not counted, that no person sustains.
pub(crate) const MACHINE_PER_SECOND: u64 = 20;
/// So many seconds' worth of that may come at once: a page that asks much of an API when it opens.
const MACHINE_BURST_SECONDS: u64 = 10;
/// An asset so long after a document belongs to it.
const ASSET_AFTER: Duration = Duration::from_secs(30);
/// Documents asked for faster than this are not read.
const READING: Duration = Duration::from_millis(500);
/// Different documents that count as evidence.
const PAGES: u32 = 3;
/// So many failed logins or payments, each that worked halving them, take all evidence away.
pub(crate) const FAILURES_DOUBTED: u8 = 8;
/// After so long, whoever comes from there is somebody else.
const FORGOTTEN: Duration = Duration::from_secs(6 * 3600);
/// Whoever did several kinds of things that browsers do keeps its place so long against newcomers.
const KEPT: Duration = Duration::from_secs(600);
/// The same for one kind, which is easier to feign.
const KEPT_BRIEFLY: Duration = Duration::from_secs(60);
/// What one request weighs beside its cost when the cheapest is sought, in microseconds.
const REQUEST_US: u64 = 1000;

const _: () = assert!(size_of::<Bucket>() == BUCKET_BYTES);

/// The table.
#[derive(Debug)]
pub(crate) struct Visitors {
    buckets: Box<[Bucket]>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Bucket([Entry; WAYS]);

#[derive(Debug, Default)]
struct Entry {
    /// Tag and first sight; 0 for nobody.
    who: AtomicU64,
    /// When its next request is due at [`MACHINE_PER_SECOND`], and when it was last seen.
    pace: AtomicU64,
    /// Decayed cost and requests, and when they were decayed.
    spent: AtomicU64,
    /// Evidence, failures and pages.
    deeds: AtomicU64,
}

/// A visitor's bucket, with what stood there when we looked: the look-up starts early and the memory answers meanwhile.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    bucket: &'a Bucket,
    tag: u32,
    found: [u64; WAYS],
}

/// What a request tells about its visitor.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Visit {
    /// A browser asks for a document.
    pub(crate) navigation: bool,
    /// It is a file that pages need.
    pub(crate) asset: bool,
    /// It says that it comes from a page of this site.
    pub(crate) own_referer: bool,
    /// Which page.
    pub(crate) page: u32,
}

/// What a visit found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Met {
    /// The evidence before this request: a request never vouches for itself.
    pub(crate) evidence: u8,
    /// The first document in about a minute.
    pub(crate) opens: bool,
}

impl Visitors {
    /// Room for `visitors`; all memory is taken here.
    pub(crate) fn new(visitors: usize) -> Self {
        let buckets = (visitors / WAYS).max(1);
        Self { buckets: (0..buckets).map(|_| Bucket::default()).collect() }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.buckets.len() * BUCKET_BYTES
    }

    /// Where that visitor is, or would be.
    pub(crate) fn look(&self, visitor: u64) -> Option<Place<'_>> {
        let count = u64::try_from(self.buckets.len()).ok()?;
        let bucket = self.buckets.get(usize::try_from(((visitor >> 32) * count) >> 32).ok()?)?;
        let found = std::array::from_fn(|way| bucket.0.get(way).map_or(0, |entry| entry.who.load(Relaxed)));
        Some(Place { bucket, tag: tag(visitor), found })
    }

    /// What is known of that visitor.
    pub(crate) fn known(&self, visitor: u64, now: Tick) -> Known {
        let Some(entry) = self.look(visitor).and_then(|place| place.entry(now)) else { return Known::default() };
        let spent = Spent::read(entry).decayed(now);
        let deeds = Deeds::read(entry, tag(visitor));
        let (_, first) = split(entry.who.load(Relaxed));
        Known {
            evidence: deeds.evidence(),
            age: Duration::from_nanos(
                u64::from(seconds(now).wrapping_sub(first).cast_signed().max(0).unsigned_abs()) << SECOND,
            ),
            requests: spent.requests / REQUEST_PARTS,
            cost_us: u64::from(spent.cost) * COST_UNIT_US,
            failures: deeds.failures,
            navigations: deeds.navigations,
        }
    }

    /// Charges what a request cost, and notes whether it worked where that is known.
    pub(crate) fn charge(&self, visitor: u64, cost_us: u64, worked: Option<bool>, now: Tick) {
        let Some(entry) = self.look(visitor).and_then(|place| place.entry(now)) else { return };
        let mut spent = Spent::read(entry).decayed(now);
        // A part of a unit counts as a whole one.
        let cost = u32::try_from(cost_us.div_ceil(COST_UNIT_US)).unwrap_or(MOST_COST);
        spent.cost = spent.cost.saturating_add(cost).min(MOST_COST);
        spent.write(entry);
        if let Some(worked) = worked {
            let mut deeds = Deeds::read(entry, tag(visitor));
            deeds.failures = if worked { deeds.failures / 2 } else { deeds.failures.saturating_add(1) };
            deeds.write(entry, tag(visitor));
        }
    }

    /// The visitor sent back a cookie that it was given.
    pub(crate) fn cookie_came_back(&self, visitor: u64) {
        self.amend(visitor, |deeds| deeds.marks |= COOKIE);
    }

    /// The document that the visitor asked for just now was not shown to it: nobody has read it.
    pub(crate) fn shown_nothing(&self, visitor: u64) {
        self.amend(visitor, |deeds| {
            deeds.navigations = deeds.navigations.saturating_sub(1);
            // Which of them it was is not kept; whoever read more than are needed has shown it before.
            if deeds.pages.count_ones() <= PAGES {
                deeds.pages = 0;
                deeds.marks &= !READ_ON;
            }
        });
    }

    /// Changes what is known of a visitor that is remembered.
    fn amend(&self, visitor: u64, change: impl FnOnce(&mut Deeds)) {
        let Some(place) = self.look(visitor) else { return };
        if let Some(entry) = place.held() {
            let mut deeds = Deeds::read(entry, place.tag);
            change(&mut deeds);
            deeds.write(entry, place.tag);
        }
    }

    /// Visitors that are remembered. It walks the whole table.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.buckets.iter().flat_map(|bucket| &bucket.0).filter(|entry| entry.who.load(Relaxed) != 0).count()
    }
}

impl<'a> Place<'a> {
    /// One more request. `crowded` says whether several people may hide behind this visitor; then its pace tells nothing.
    pub(crate) fn visit(&self, visit: Visit, now: Tick, crowded: impl FnOnce() -> bool) -> Met {
        let Some(entry) = self.entry(now).or_else(|| self.settle(now)) else { return Met::default() };
        let (due, _) = split(entry.pace.load(Relaxed));
        let (due, too_fast) = if visit.asset { (due, false) } else { paced(due, now) };
        entry.pace.store(join(due, beats(now)), Relaxed);
        let mut spent = Spent::read(entry).decayed(now);
        spent.requests = spent.requests.saturating_add(REQUEST_PARTS).min(MOST_REQUESTS);
        spent.write(entry);
        let before = Deeds::read(entry, self.tag);
        if too_fast && !crowded() {
            Deeds { marks: 0, pages: 0, ..before }.write(entry, self.tag);
            return Met::default();
        }
        let after = before.after(visit, now);
        if after != before {
            after.write(entry, self.tag);
        }
        let lately = before.navigated / GLANCES_APART == after.navigated / GLANCES_APART;
        Met { evidence: before.evidence(), opens: visit.navigation && (before.navigations == 0 || !lately) }
    }

    /// The visitor's entry, unless it is too old to be the same visitor's.
    fn entry(&self, now: Tick) -> Option<&'a Entry> {
        self.held().filter(|entry| idle(entry, now) < FORGOTTEN)
    }

    fn held(&self) -> Option<&'a Entry> {
        let way = self.found.iter().position(|who| *who != 0 && split(*who).0 == self.tag)?;
        self.bucket.0.get(way)
    }

    /// Makes room for a visitor that is not there. None if all that are there have shown more.
    fn settle(&self, now: Tick) -> Option<&'a Entry> {
        let forgotten = self.held().zip(self.found.iter().find(|who| split(**who).0 == self.tag));
        let empty = || self.bucket.0.iter().zip(&self.found).find(|(_, who)| **who == 0);
        let cheapest = || {
            let entries = self.bucket.0.iter().zip(&self.found);
            entries
                .filter_map(|place| Some((worth(place.0, now)?, place)))
                .min_by_key(|(worth, _)| *worth)
                .map(|(_, place)| place)
        };
        let (entry, before) = forgotten.or_else(empty).or_else(cheapest)?;
        entry.who.compare_exchange(*before, join(self.tag, seconds(now)), Relaxed, Relaxed).ok()?;
        entry.pace.store(join(beats(now), beats(now)), Relaxed);
        Spent { cost: 0, requests: 0, at: steps(now) }.write(entry);
        Deeds::default().write(entry, self.tag);
        Some(entry)
    }
}

/// What is lost with an entry; none if it may not be displaced.
fn worth(entry: &Entry, now: Tick) -> Option<u64> {
    let (tag, _) = split(entry.who.load(Relaxed));
    let kept = match Deeds::read(entry, tag).evidence() {
        0 => Duration::ZERO,
        1 => KEPT_BRIEFLY,
        _ => KEPT,
    };
    if idle(entry, now) < kept {
        return None;
    }
    let spent = Spent::read(entry).decayed(now);
    Some(u64::from(spent.cost) * COST_UNIT_US + u64::from(spent.requests) * REQUEST_US / u64::from(REQUEST_PARTS))
}

fn idle(entry: &Entry, now: Tick) -> Duration {
    let (_, last) = split(entry.pace.load(Relaxed));
    // A worker whose clock is a little ahead may have written: then nobody has been idle.
    let beats = beats(now).wrapping_sub(last).cast_signed().max(0);
    Duration::from_nanos(u64::from(beats.unsigned_abs()) << BEAT)
}

const fn tag(visitor: u64) -> u32 {
    // Never 0: with a first sight of 0 that would mark a free place.
    split(visitor).1 | 1
}

/// A beat is 2^24 ns, 17 ms; the number of beats wraps after more than two years.
const BEAT: u32 = 24;
/// A second, nearly: 2^30 ns.
const SECOND: u32 = 30;
/// What was spent is decayed by steps of 2^32 ns, 4.3 s, of which sixteen are a half-life.
const STEP: u32 = 32;
/// Documents are timed by 2^28 ns, 0.27 s.
const GLANCE: u32 = 28;
/// About a minute.
const GLANCES_APART: u16 = 256;

#[expect(clippy::cast_possible_truncation, reason = "time in these words wraps; see each of them")]
const fn clock(now: Tick, unit: u32) -> u32 {
    (now.0 >> unit) as u32
}
const fn beats(now: Tick) -> u32 {
    clock(now, BEAT)
}
const fn seconds(now: Tick) -> u32 {
    clock(now, SECOND)
}
const fn steps(now: Tick) -> u32 {
    clock(now, STEP) & STEPS
}
#[expect(clippy::cast_possible_truncation, reason = "it wraps after five hours")]
const fn glances(now: Tick) -> u16 {
    clock(now, GLANCE) as u16
}

const MACHINE_BEATS: u32 = (1_000_000_000 / MACHINE_PER_SECOND).div_ceil(1 << BEAT) as u32;
const MACHINE_BURST_BEATS: u32 = ((MACHINE_BURST_SECONDS * 1_000_000_000) >> BEAT) as u32;

/// When the next request is due, and whether this visitor is faster than people.
fn paced(due: u32, now: Tick) -> (u32, bool) {
    let now = beats(now);
    let ahead = due.wrapping_sub(now).cast_signed().max(0).unsigned_abs() + MACHINE_BEATS;
    (now.wrapping_add(ahead.min(MACHINE_BURST_BEATS + MACHINE_BEATS)), ahead > MACHINE_BURST_BEATS)
}

/// A unit of cost is 16 µs.
const COST_UNIT_US: u64 = 16;
const MOST_COST: u32 = (1 << 28) - 1;
/// Requests are kept in eighths, so that decay does not round few of them away.
const REQUEST_PARTS: u32 = 8;
const MOST_REQUESTS: u32 = (1 << 16) - 1;
const STEPS: u32 = (1 << 20) - 1;
const STEPS_PER_HALF: u32 = 16;

/// 2^(-n/16) in parts of 65536.
const DECAY: [u64; STEPS_PER_HALF as usize] =
    [65536, 62757, 60097, 57549, 55109, 52773, 50535, 48393, 46341, 44376, 42495, 40693, 38968, 37316, 35734, 34219];

struct Spent {
    cost: u32,
    requests: u32,
    at: u32,
}

impl Spent {
    #[expect(clippy::cast_possible_truncation, reason = "28, 16 and 20 bits")]
    fn read(entry: &Entry) -> Self {
        let word = entry.spent.load(Relaxed);
        Self { cost: (word >> 36) as u32, requests: (word >> 20) as u32 & MOST_REQUESTS, at: word as u32 & STEPS }
    }

    fn write(&self, entry: &Entry) {
        let word = u64::from(self.cost) << 36 | u64::from(self.requests) << 20 | u64::from(self.at);
        entry.spent.store(word, Relaxed);
    }

    fn decayed(self, now: Tick) -> Self {
        let passed = steps(now).wrapping_sub(self.at) & STEPS;
        // Half of the circle lies in the past; the other half is a worker whose clock is ahead.
        if passed == 0 || passed > STEPS / 2 {
            return self;
        }
        let (halves, rest) = (passed / STEPS_PER_HALF, passed % STEPS_PER_HALF);
        let factor = DECAY.get(rest as usize).copied().unwrap_or(0);
        let fade = |value: u32| u32::try_from(((u64::from(value) * factor) >> 16) >> halves.min(63)).unwrap_or(value);
        Self { cost: fade(self.cost), requests: fade(self.requests), at: steps(now) }
    }
}

/// Kinds of evidence.
const ASSET: u8 = 1;
const REFERER: u8 = 2;
const COOKIE: u8 = 4;
const READ_ON: u8 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Deeds {
    marks: u8,
    failures: u8,
    navigations: u8,
    /// One bit for each of sixteen classes of pages.
    pages: u16,
    /// When a document was last asked for.
    navigated: u16,
}

impl Deeds {
    /// The lowest byte is of the tag: what a worker writes late, of a visitor that was displaced, speaks for nobody.
    fn read(entry: &Entry, tag: u32) -> Self {
        let [owner, marks, failures, navigations, pages @ .., late, early] = entry.deeds.load(Relaxed).to_le_bytes();
        if owner != owner_of(tag) {
            return Self::default();
        }
        Self {
            marks,
            failures,
            navigations,
            pages: u16::from_le_bytes(pages),
            navigated: u16::from_le_bytes([late, early]),
        }
    }

    fn write(self, entry: &Entry, tag: u32) {
        let [[p, q], [late, early]] = [self.pages.to_le_bytes(), self.navigated.to_le_bytes()];
        let bytes = [owner_of(tag), self.marks, self.failures, self.navigations, p, q, late, early];
        entry.deeds.store(u64::from_le_bytes(bytes), Relaxed);
    }

    fn evidence(self) -> u8 {
        if self.failures >= FAILURES_DOUBTED { 0 } else { self.marks.count_ones().min(2) as u8 }
    }

    fn after(mut self, visit: Visit, now: Tick) -> Self {
        let since = Duration::from_nanos(u64::from(glances(now).wrapping_sub(self.navigated)) << GLANCE);
        if self.navigations > 0 {
            if visit.asset && since <= ASSET_AFTER {
                self.marks |= ASSET;
            }
            if visit.own_referer {
                self.marks |= REFERER;
            }
        }
        if visit.navigation {
            if self.navigations == 0 || since >= READING {
                self.pages |= 1 << (visit.page % 16);
                if self.pages.count_ones() >= PAGES {
                    self.marks |= READ_ON;
                }
            }
            self.navigations = self.navigations.saturating_add(1);
            self.navigated = glances(now);
        }
        self
    }
}

const fn owner_of(tag: u32) -> u8 {
    tag.to_le_bytes()[1]
}

const fn join(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
const fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts threads to prove that workers can share the table")]
mod tests {
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    const PAGE: Visit = Visit { navigation: true, asset: false, own_referer: false, page: 1 };
    const IMAGE: Visit = Visit { navigation: false, asset: true, own_referer: true, page: 9 };
    const CALL: Visit = Visit { navigation: false, asset: false, own_referer: false, page: 3 };

    fn visit(visitors: &Visitors, visitor: u64, visit: Visit, now: Tick) -> u8 {
        visitors.look(visitor).expect("a bucket").visit(visit, now, || false).evidence
    }

    fn at(millis: u64) -> Tick {
        Tick::from_millis(1_000_000 + millis)
    }

    /// A visitor that is spread over the table, as hashes are.
    fn spread(number: u64) -> u64 {
        let mixed = (number ^ number >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ mixed >> 32
    }

    /// What a browser does first.
    fn browse(visitors: &Visitors, visitor: u64, millis: u64) {
        visit(visitors, visitor, PAGE, at(millis));
        visit(visitors, visitor, IMAGE, at(millis + 80));
    }

    #[test]
    fn evidence_comes_from_deeds_and_never_from_the_first_request() {
        let visitors = Visitors::new(1024);
        let one = spread(1);
        assert_eq!(visit(&visitors, one, Visit { own_referer: true, ..PAGE }, at(0)), 0);
        assert_eq!(visitors.known(one, at(1)).evidence, 0, "a referer that came with the first request is a claim");
        assert_eq!(visit(&visitors, one, IMAGE, at(100)), 0, "a request never vouches for itself");
        assert_eq!(visit(&visitors, one, IMAGE, at(110)), 2, "an asset after a document, from our own page");
        let known = visitors.known(one, at(60_000));
        assert_eq!((known.evidence, known.navigations), (2, 1));
        assert!((58..=61).contains(&known.age.as_secs()), "{known:?}");

        let late = spread(2);
        visit(&visitors, late, PAGE, at(0));
        visit(&visitors, late, Visit { own_referer: false, ..IMAGE }, at(40_000));
        assert_eq!(visitors.known(late, at(40_001)).evidence, 0, "that asset belongs to no document");

        let reader = spread(3);
        for page in 0..3 {
            visit(&visitors, reader, Visit { page, ..PAGE }, at(u64::from(page) * 5000));
        }
        assert_eq!(visitors.known(reader, at(20_000)).evidence, 1, "three documents, read");
        visitors.cookie_came_back(reader);
        assert_eq!(visitors.known(reader, at(20_000)).evidence, 2);

        let refused = spread(6);
        for page in 0..30 {
            let now = at(u64::from(page) * 5000);
            visit(&visitors, refused, Visit { page: page % 15, own_referer: true, ..PAGE }, now);
            visitors.shown_nothing(refused);
        }
        let known = visitors.known(refused, at(150_000));
        assert_eq!((known.evidence, known.navigations), (0, 0), "whoever is shown nothing has read nothing");
        for _ in 0..2 {
            visitors.shown_nothing(reader);
        }
        assert_eq!(visitors.known(reader, at(20_000)).evidence, 1, "three documents may be the one that was not shown");

        let crawler = spread(4);
        for page in 0..16 {
            visit(&visitors, crawler, Visit { page, ..PAGE }, at(u64::from(page) * 60));
        }
        assert_eq!(visitors.known(crawler, at(2000)).evidence, 0, "faster than anybody reads");
        assert_eq!(visitors.known(spread(5), at(0)), Known::default());
    }

    #[test]
    fn whoever_is_faster_than_people_is_no_person() {
        let visitors = Visitors::new(1024);
        let [machine, person, crowd] = [spread(1), spread(2), spread(3)];
        for visitor in [machine, person, crowd] {
            browse(&visitors, visitor, 0);
            assert_eq!(visitors.known(visitor, at(100)).evidence, 2);
        }
        for request in 0..3000 {
            let now = at(100 + request * 20);
            visit(&visitors, machine, CALL, now);
            visit(&visitors, person, if request % 5 == 0 { CALL } else { IMAGE }, now);
            visitors.look(crowd).expect("a bucket").visit(CALL, now, || true);
        }
        assert_eq!(visitors.known(machine, at(60_200)).evidence, 0, "50 requests a second for a minute");
        assert_eq!(visitors.known(person, at(60_200)).evidence, 2, "10 a second, and assets as many as they like");
        assert_eq!(visitors.known(crowd, at(60_200)).evidence, 2, "many people behind one stack");
        browse(&visitors, machine, 600_000);
        assert_eq!(visitors.known(machine, at(600_200)).evidence, 2, "it may begin again");
    }

    #[test]
    fn costs_and_failures_are_charged_and_fade() {
        let visitors = Visitors::new(1024);
        let one = spread(1);
        browse(&visitors, one, 0);
        visitors.charge(one, 800_000, None, at(100));
        let known = visitors.known(one, at(200));
        assert_eq!((known.requests, known.cost_us), (2, 800_000));
        let later = visitors.known(one, at(69_000));
        assert!((350_000..=450_000).contains(&later.cost_us), "half after about a minute: {later:?}");
        assert!(visitors.known(one, at(900_000)).cost_us < 200);
        (0..FAILURES_DOUBTED).for_each(|_| visitors.charge(one, 0, Some(false), at(300)));
        assert_eq!(visitors.known(one, at(301)).evidence, 0, "people give up before");
        visitors.charge(one, 0, Some(true), at(400));
        let known = visitors.known(one, at(401));
        assert_eq!((known.evidence, known.failures), (2, FAILURES_DOUBTED / 2));
        assert_eq!(visitors.known(one, at(7 * 3_600_000)), Known::default(), "somebody else by now");
        assert_eq!(visit(&visitors, one, PAGE, at(7 * 3_600_000)), 0);
        visitors.charge(spread(9), 5, None, at(0));
    }

    #[test]
    fn a_flood_of_new_addresses_displaces_none_that_did_what_browsers_do() {
        let visitors = Visitors::new(1 << 13);
        let (bytes, people) = (visitors.bytes(), 1000);
        (0..people).for_each(|person| browse(&visitors, spread(person), 0));
        let before: Vec<u64> =
            (0..people).filter(|person| visitors.known(spread(*person), at(200)).evidence == 2).collect();
        assert!(before.len() > 990, "{}", before.len());
        for stranger in 0..300_000 {
            visit(&visitors, spread(1 << 40 | stranger), CALL, at(1000 + stranger / 20));
        }
        let kept = before.iter().filter(|person| visitors.known(spread(**person), at(60_000)).evidence == 2).count();
        assert_eq!(kept, before.len());
        assert_eq!(visitors.bytes(), bytes);
        assert_eq!(visitors.count(), 1 << 13, "and the table is full");
        // Among strangers those go first that cost least.
        let dear = spread(1 << 41);
        visit(&visitors, dear, CALL, at(60_000));
        visitors.charge(dear, 30_000_000, None, at(60_000));
        for stranger in 0..200_000 {
            visit(&visitors, spread(1 << 42 | stranger), CALL, at(60_000 + stranger / 20));
        }
        assert!(visitors.known(dear, at(70_000)).cost_us > 20_000_000);
    }

    #[test]
    fn keys_that_fall_into_one_bucket_stay_there() {
        let visitors = Visitors::new(1 << 12);
        let neighbour = spread(77);
        browse(&visitors, neighbour, 0);
        // Whoever knew the secret could choose visitors of one bucket: the others notice nothing.
        for low in 0..100_000 {
            visit(&visitors, low << 1, CALL, at(low / 100));
        }
        assert_eq!(visitors.count(), WAYS + 1);
        assert_eq!(visitors.known(neighbour, at(2000)).evidence, 2);
    }

    #[test]
    fn workers_share_it_and_little_is_lost() {
        let visitors = Visitors::new(1 << 12);
        thread::scope(|scope| {
            for worker in 0..4u64 {
                let visitors = &visitors;
                scope.spawn(move || {
                    for round in 0..20_000u64 {
                        let visitor = spread(round % 500);
                        visit(visitors, visitor, if round % 3 == 0 { PAGE } else { IMAGE }, at(round / 10));
                        visitors.charge(visitor, 100 * worker, (round % 7 == 0).then_some(true), at(round / 10));
                    }
                });
            }
        });
        let known: Vec<Known> = (0..500).map(|number| visitors.known(spread(number), at(2000))).collect();
        assert!(known.iter().filter(|known| known.evidence == 2).count() > 490);
        // Two workers may place the same newcomer twice; never more than there are workers.
        assert!((500..=2000).contains(&visitors.count()), "{}", visitors.count());
    }

    proptest! {
        #[test]
        fn whatever_comes_the_table_stays_sound(
            steps in proptest::collection::vec((0u64..40, 0u8..6, 0u64..5_000, any::<u64>()), 1..400)
        ) {
            let visitors = Visitors::new(16);
            let mut now = Tick(1);
            for (number, what, millis, cost) in steps {
                now = Tick(now.0 + millis * 1_000_000);
                // Clocks of workers differ a little.
                let here = Tick(now.0.saturating_sub(cost % 50_000_000));
                let visitor = spread(number);
                match what {
                    0 => _ = visit(&visitors, visitor, Visit { page: cost as u32, ..PAGE }, here),
                    1 => _ = visit(&visitors, visitor, IMAGE, here),
                    2 => _ = visit(&visitors, visitor, CALL, here),
                    3 => visitors.charge(visitor, cost, Some(cost % 2 == 0), here),
                    4 => visitors.cookie_came_back(visitor),
                    _ => now = Tick(now.0 + (cost >> 16)),
                }
                let known = visitors.known(visitor, here);
                prop_assert!(known.evidence <= 2);
                prop_assert!(known.cost_us <= u64::from(MOST_COST) * COST_UNIT_US);
                prop_assert!(visitors.count() <= 16);
            }
        }

        #[test]
        fn what_is_spent_only_fades(cost in 0..MOST_COST, requests in 0..MOST_REQUESTS, from in any::<u64>(), passed in 0..1u64 << 50) {
            let before = Spent { cost, requests, at: steps(Tick(from >> 1)) };
            let after = before.decayed(Tick((from >> 1) + passed));
            prop_assert!(after.cost <= cost && after.requests <= requests);
        }
    }
}
