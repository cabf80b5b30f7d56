//! What people felt: who was refused, challenged or delayed by our own measures, when it was slow, and when all was well again.
//!
//! Never mixes what a platform failed with what we refused. It counts what was recorded while a wave or a measure lasted, by
//! route and audience; visitors are told apart within ten seconds only, so their number over a longer time is between two.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use portcullis_ledger::{Event, Measure, Probe, Traffic};
use serde::Serialize;

use crate::case::{BEFORE, Tally, add_all, entry};
use crate::docket::Incident;
use crate::evidence::{Evidence, plain};
use crate::moment;

/// Routes by audience that are told apart; further ones are counted together, under `others`.
const ROUTES: usize = 4_096;
/// Measures that are listed; further ones are counted.
const MEASURES: usize = 2_000;
/// Stretches of slow answers of one platform; further ones lengthen the last.
const STRETCHES: usize = 500;
/// Points of a chart; time is taken together in pairs when there are more.
const POINTS: usize = 480;
/// Platforms that have a chart.
const PLATFORMS: usize = 64;
/// Probes that say what is ordinary.
const ORDINARY: usize = 720;
/// Ten seconds, which is how long an interval of traffic is.
const INTERVAL: u64 = 10_000;
/// Who is known to be a person, or vouched for. `fresh` may be anybody, `suspect` matches a rule.
const PEOPLE: &[&str] = &["human", "passed", "history", "partner", "staff", "crawler"];

/// What it did to people.
#[derive(Debug, Clone, Serialize)]
pub struct Effect {
    /// By platform.
    pub platforms: BTreeMap<String, Flow>,
    /// By platform, route and audience, in that order.
    pub routes: BTreeMap<(String, String, String), Harm>,
    /// What was on, and when.
    pub measures: Vec<InForce>,
    /// Measures beyond those listed.
    pub more_measures: u64,
    /// What [`Effect::routes`] is made of in the end.
    #[serde(skip)]
    harms: Harms,
    #[serde(skip)]
    waves: Vec<(u64, u64)>,
    #[serde(skip)]
    from: u64,
    #[serde(skip)]
    until: u64,
    #[serde(skip)]
    on: BTreeMap<String, usize>,
    #[serde(skip)]
    last_off: u64,
}

/// What a platform got and gave, while it lasted.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Flow {
    pub requests: u64,
    pub served: u64,
    pub failed: u64,
    pub refused: u64,
    pub challenged: u64,
    pub roomed: u64,
    pub delayed: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// The most requests that ended up in one interval of ten seconds.
    pub busiest: Tally,
    /// Its beginning.
    pub busiest_at: u64,
    pub evidence: Evidence,
    /// Probes asked and answered well.
    pub probes: [u64; 2],
    pub probe_evidence: Evidence,
    /// What the middle probe took before, in microseconds.
    pub ordinary_micros: Option<u64>,
    /// The slowest middle probe, in microseconds.
    pub worst_micros: u64,
    /// When answers were slow or did not come.
    pub slow: Vec<Slow>,
    /// From the first slow answer or the first measure.
    pub slowed_from: Option<u64>,
    /// When neither a measure was on nor a probe slow any more; none where that has not come.
    pub restored: Option<u64>,
    pub series: Series,
    #[serde(skip)]
    interval: (u64, u64, Evidence),
    #[serde(skip)]
    before: VecDeque<u64>,
    #[serde(skip)]
    last_probe: u64,
}

/// A stretch of slow answers.
#[derive(Debug, Clone, Serialize)]
pub struct Slow {
    pub from: u64,
    pub until: u64,
    pub worst_micros: u64,
    /// Probes that did not come back whole.
    pub missing: u64,
    pub evidence: Evidence,
}

/// What one audience felt on one route.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Harm {
    pub class: String,
    pub requests: u64,
    pub served: u64,
    pub failed: u64,
    pub refused: BTreeMap<String, u64>,
    pub challenged: u64,
    pub roomed: u64,
    pub delayed: u64,
    /// Visitors that felt it: at least, and at most.
    pub visitors: [u64; 2],
    /// The worst 95th percentile of an interval, in microseconds.
    pub worst_p95_micros: u64,
    pub evidence: Evidence,
}

impl Harm {
    /// Everything that was not served at once, by a measure of ours.
    #[must_use]
    pub fn touched(&self) -> u64 {
        self.refused.values().sum::<u64>() + self.challenged + self.roomed + self.delayed
    }

    fn add(&mut self, felt: &Felt<'_>) {
        let Felt { counts: [requests, served, failed, challenged, roomed, delayed], refused, .. } = *felt;
        self.requests += requests;
        self.served += served;
        self.failed += failed;
        self.challenged += challenged;
        self.roomed += roomed;
        self.delayed += delayed;
        add_all(&mut self.refused, refused);
        self.visitors[0] = self.visitors[0].max(felt.visitors[0]);
        self.visitors[1] += felt.visitors[1];
        self.worst_p95_micros = self.worst_p95_micros.max(felt.p95_micros);
    }
}

/// What is added to a harm: an interval, or what came together elsewhere.
struct Felt<'a> {
    /// Requests, and those that were served, failed, challenged, roomed and delayed.
    counts: [u64; 6],
    refused: &'a BTreeMap<String, u64>,
    visitors: [u64; 2],
    p95_micros: u64,
}

impl<'a> Felt<'a> {
    fn within(it: &'a Traffic) -> Self {
        let counts = [it.requests, it.served, it.failed, it.challenged, it.roomed, it.delayed];
        Self { counts, refused: &it.refused, visitors: [it.visitors[1]; 2], p95_micros: it.micros[1] }
    }

    fn so_far(it: &'a Harm) -> Self {
        let counts = [it.requests, it.served, it.failed, it.challenged, it.roomed, it.delayed];
        Self { counts, refused: &it.refused, visitors: it.visitors, p95_micros: it.worst_p95_micros }
    }
}

/// A measure, from its beginning to its end.
#[derive(Debug, Clone, Serialize)]
pub struct InForce {
    pub id: String,
    pub platform: String,
    pub what: String,
    pub action: String,
    pub by: String,
    pub from: u64,
    pub until: Option<u64>,
    pub evidence: Evidence,
}

/// Requests over time, for a chart.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Series {
    /// The beginning of the first point.
    pub from: u64,
    /// Milliseconds of a point.
    pub step: u64,
    pub points: Vec<Point>,
}

/// One point of it.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Point {
    pub requests: u64,
    pub served: u64,
    /// Refused, challenged or sent to the waiting room.
    pub held: u64,
    pub failed: u64,
    /// The slowest middle probe.
    pub probe_micros: u64,
}

/// Whether these are people who have shown that they are, or whom the organisation vouches for.
#[must_use]
pub fn is_known(audience: &str) -> bool {
    PEOPLE.contains(&audience)
}

impl Effect {
    pub(crate) fn new(incident: &Incident, until: u64) -> Self {
        let waves = incident.waves.iter().map(|wave| (wave.from, wave.until.unwrap_or(until))).collect();
        Self {
            platforms: BTreeMap::new(),
            routes: BTreeMap::new(),
            measures: Vec::new(),
            more_measures: 0,
            harms: Harms::default(),
            waves,
            from: incident.since,
            until,
            on: BTreeMap::new(),
            last_off: 0,
        }
    }

    pub(crate) fn record(&mut self, event: &Event, at: u64, index: u64) {
        match event {
            Event::Traffic(traffic) if traffic.until.saturating_add(BEFORE) > self.from => self.traffic(traffic, index),
            Event::Measure(measure) if at <= self.until => self.measure(measure, at, index),
            Event::Probe(probe) if probe.until.saturating_add(BEFORE) > self.from && probe.from < self.until => {
                self.probe(probe, index);
            }
            // What was on is not on after a new beginning; it is told again where it is.
            Event::Start(_) => {
                let open: Vec<usize> = std::mem::take(&mut self.on).into_values().collect();
                for measure in open {
                    if let Some(measure) = self.measures.get_mut(measure) {
                        measure.until.get_or_insert(at);
                    }
                }
            }
            _ => {}
        }
    }

    /// The incident's time is known: what never ended is open, and what was before it is dropped.
    pub(crate) fn finish(&mut self, until: u64) {
        let from = self.from;
        self.routes.extend(std::mem::take(&mut self.harms).all);
        self.measures.retain(|measure| measure.until.is_none_or(|end| end > from));
        for (name, flow) in &mut self.platforms {
            flow.close_interval();
            flow.series.begin();
            let own: Vec<&InForce> = self.measures.iter().filter(|measure| measure.platform == *name).collect();
            let firsts = own.iter().map(|measure| measure.from.max(from)).chain(flow.slow.iter().map(|slow| slow.from));
            flow.slowed_from = firsts.min();
            let open = own.iter().any(|measure| measure.until.is_none())
                || flow.slow.last().is_some_and(|slow| slow.until >= flow.last_probe);
            let ends = own.iter().filter_map(|measure| measure.until).chain(flow.slow.iter().map(|slow| slow.until));
            flow.restored = ends.max().filter(|end| !open && *end <= until);
        }
    }

    /// Harm to those who are known to be people or are vouched for, summed; and the records it rests on.
    #[must_use]
    pub fn people(&self) -> Harm {
        self.of(is_known)
    }

    /// The same, of an audience.
    #[must_use]
    pub fn of(&self, which: impl Fn(&str) -> bool) -> Harm {
        let mut all = Harm::default();
        for (_, harm) in self.routes.iter().filter(|((_, _, audience), _)| which(audience)) {
            all.add(&Felt::so_far(harm));
            all.evidence.merge(&harm.evidence);
        }
        all
    }

    /// All platforms together.
    #[must_use]
    pub fn whole(&self) -> Flow {
        let mut all = Flow::default();
        for flow in self.platforms.values() {
            all.requests += flow.requests;
            all.served += flow.served;
            all.failed += flow.failed;
            all.refused += flow.refused;
            all.challenged += flow.challenged;
            all.roomed += flow.roomed;
            all.delayed += flow.delayed;
            all.bytes_in += flow.bytes_in;
            all.bytes_out += flow.bytes_out;
            all.evidence.merge(&flow.evidence);
            all.probes[0] += flow.probes[0];
            all.probes[1] += flow.probes[1];
            all.probe_evidence.merge(&flow.probe_evidence);
            if flow.busiest.count > all.busiest.count {
                all.busiest = flow.busiest.clone();
                all.busiest_at = flow.busiest_at;
            }
        }
        all
    }

    fn counts(&self, from: u64, until: u64) -> bool {
        // Waves follow one another, so the last that began before the end is the one.
        let begun = self.waves.partition_point(|wave| wave.0 < until);
        let in_wave = begun.checked_sub(1).and_then(|last| self.waves.get(last)).is_some_and(|wave| from <= wave.1);
        in_wave || from < self.until && until > self.from && (!self.on.is_empty() || self.last_off > from)
    }

    fn platform(&mut self, name: &str) -> Option<&mut Flow> {
        let name = match self.platforms.contains_key(name) {
            true => Cow::Borrowed(name),
            false if self.platforms.len() < PLATFORMS => plain(name).into(),
            false => "others".into(),
        };
        entry(&mut self.platforms, &name)
    }

    fn traffic(&mut self, it: &Traffic, index: u64) {
        let counts = self.counts(it.from, it.until);
        let (from, end) = (self.from, self.until);
        let refused: u64 = it.refused.values().sum();
        let Some(flow) = self.platform(&it.platform) else { return };
        if it.from < end {
            flow.series.add(from.saturating_sub(BEFORE / 4), it.from, |point| {
                point.requests += it.requests;
                point.served += it.served;
                point.held += refused + it.challenged + it.roomed;
                point.failed += it.failed;
            });
        }
        if !counts {
            return;
        }
        flow.requests += it.requests;
        flow.served += it.served;
        flow.failed += it.failed;
        flow.refused += refused;
        flow.challenged += it.challenged;
        flow.roomed += it.roomed;
        flow.delayed += it.delayed;
        flow.bytes_in += it.bytes_in;
        flow.bytes_out += it.bytes_out;
        flow.evidence.add(index);
        if flow.interval.0 != it.from / INTERVAL {
            flow.close_interval();
            flow.interval.0 = it.from / INTERVAL;
        }
        flow.interval.1 += it.requests;
        flow.interval.2.add(index);
        let Some(harm) = self.harms.of(&it.platform, &it.route, &it.audience) else { return };
        if harm.class.is_empty() {
            harm.class = plain(&it.class);
        }
        harm.add(&Felt::within(it));
        harm.evidence.add(index);
    }

    fn measure(&mut self, it: &Measure, at: u64, index: u64) {
        if it.on {
            if self.on.contains_key(&it.id) {
                return;
            }
            if self.measures.len() >= MEASURES {
                self.more_measures += 1;
                return;
            }
            self.on.insert(it.id.clone(), self.measures.len());
            self.measures.push(InForce {
                id: plain(&it.id),
                platform: plain(&it.platform),
                what: plain(&it.what),
                action: plain(&it.action),
                by: plain(&it.by),
                from: at,
                until: None,
                evidence: Evidence::of(index),
            });
        } else if let Some(measure) = self.on.remove(&it.id).and_then(|at| self.measures.get_mut(at)) {
            measure.until = Some(at);
            measure.evidence.add(index);
            self.last_off = self.last_off.max(at);
        }
    }

    fn probe(&mut self, it: &Probe, index: u64) {
        let from = self.from;
        let Some(flow) = self.platform(&it.platform) else { return };
        if it.until <= from {
            if it.good > 0 {
                flow.before.push_back(it.micros[0]);
            }
            if flow.before.len() > ORDINARY {
                flow.before.pop_front();
            }
            return;
        }
        if flow.ordinary_micros.is_none() && !flow.before.is_empty() {
            let mut all: Vec<u64> = flow.before.drain(..).collect();
            all.sort_unstable();
            flow.ordinary_micros = all.get(all.len() / 2).copied();
        }
        flow.probes[0] += it.asked;
        flow.probes[1] += it.good;
        flow.probe_evidence.add(index);
        flow.last_probe = it.until;
        flow.worst_micros = flow.worst_micros.max(it.micros[0]);
        flow.series.add(from.saturating_sub(BEFORE / 4), it.from, |point| {
            point.probe_micros = point.probe_micros.max(it.micros[0]);
        });
        // Twice what is ordinary and 100 ms more is what a person notices; without a measure of it, one second.
        let slow = flow.ordinary_micros.map_or(1_000_000, |ordinary| 2 * ordinary + 100_000);
        let missing = it.asked.saturating_sub(it.good);
        if missing == 0 && it.micros[0] <= slow {
            return;
        }
        let full = flow.slow.len() >= STRETCHES;
        match flow.slow.last_mut() {
            Some(last) if it.from <= last.until + INTERVAL || full => {
                last.until = it.until;
                last.worst_micros = last.worst_micros.max(it.micros[0]);
                last.missing += missing;
                last.evidence.add(index);
            }
            _ => flow.slow.push(Slow {
                from: it.from,
                until: it.until,
                worst_micros: it.micros[0],
                missing,
                evidence: Evidence::of(index),
            }),
        }
    }
}

/// What was felt, while it is counted: found by names that are borrowed, since nearly every record asks for one that is known.
#[derive(Debug, Clone, Default)]
struct Harms {
    all: Vec<((String, String, String), Harm)>,
    /// By platform, route and audience: the place in `all`.
    places: BTreeMap<String, BTreeMap<String, BTreeMap<String, usize>>>,
}

impl Harms {
    fn of(&mut self, platform: &str, route: &str, audience: &str) -> Option<&mut Harm> {
        let known = self.place(platform, route, audience);
        let place = known.unwrap_or_else(|| self.add(plain(platform), plain(route), plain(audience)));
        self.all.get_mut(place).map(|(_, harm)| harm)
    }

    fn add(&mut self, platform: String, route: String, audience: String) -> usize {
        let full = self.all.len() >= ROUTES && self.place(&platform, &route, &audience).is_none();
        let route = if full { "others".to_owned() } else { route };
        self.place(&platform, &route, &audience).unwrap_or_else(|| {
            let of_platform = self.places.entry(platform.clone()).or_default();
            of_platform.entry(route.clone()).or_default().insert(audience.clone(), self.all.len());
            self.all.push(((platform, route, audience), Harm::default()));
            self.all.len() - 1
        })
    }

    fn place(&self, platform: &str, route: &str, audience: &str) -> Option<usize> {
        self.places.get(platform)?.get(route)?.get(audience).copied()
    }
}

impl Flow {
    fn close_interval(&mut self) {
        let (at, requests, evidence) = std::mem::take(&mut self.interval);
        if requests > self.busiest.count {
            self.busiest = Tally { count: requests, evidence };
            self.busiest_at = at * INTERVAL;
        }
    }

    /// Requests a second in the busiest ten.
    #[must_use]
    pub fn peak_per_second(&self) -> u64 {
        self.busiest.count / 10
    }
}

impl Series {
    fn add(&mut self, begin: u64, at: u64, change: impl FnOnce(&mut Point)) {
        if self.step == 0 {
            (self.from, self.step) = (begin / INTERVAL * INTERVAL, INTERVAL);
        }
        let Some(since) = at.checked_sub(self.from) else { return };
        while since / self.step >= POINTS as u64 {
            self.points = self
                .points
                .chunks(2)
                .map(|pair| pair.iter().copied().reduce(Point::with).unwrap_or_default())
                .collect();
            self.step *= 2;
        }
        let place = usize::try_from(since / self.step).unwrap_or(0);
        if self.points.len() <= place {
            self.points.resize(place + 1, Point::default());
        }
        if let Some(point) = self.points.get_mut(place) {
            change(point);
        }
    }

    /// It begins with the first record: before it nothing was counted, which is not the same as nothing.
    fn begin(&mut self) {
        let before = self.points.iter().take_while(|point| point.requests == 0 && point.probe_micros == 0).count();
        self.points.drain(..before);
        self.from += before as u64 * self.step;
    }

    /// The same in at most `rows`, for a table: its time and its sums.
    #[must_use]
    pub fn rows(&self, rows: usize) -> Vec<(String, Point)> {
        let each = self.points.len().div_ceil(rows.max(1)).max(1);
        let chunks = self.points.chunks(each).enumerate();
        chunks
            .map(|(number, points)| {
                let at = self.from + number as u64 * each as u64 * self.step;
                (moment::speak(at), points.iter().copied().reduce(Point::with).unwrap_or_default())
            })
            .collect()
    }
}

impl Point {
    fn with(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            served: self.served + other.served,
            held: self.held + other.held,
            failed: self.failed + other.failed,
            probe_micros: self.probe_micros.max(other.probe_micros),
        }
    }
}
