//! One platform: what came, what is ordinary, how it stands, and what shall hold.

use std::sync::Arc;

use portcullis_types::{RouteClass, Tick};

use super::act::Act;
use super::baseline::Latency;
use super::channels::{Alarm, Channels, Interval, Ordinary, Signals, TroubleKind};
use super::clause::{self, Clause};
use super::events::Events;
use super::memory::{Packed, PlatformMemory};
use super::orders::{AdmissionOrders, PlatformOrders};
use super::posture::{Cause, Evidence, Posture, Stance};
use super::rules::{Rules, Situation};
use super::sample::Sample;
use super::status::{AdmissionStatus, BaselineStatus, ChannelStatus, PlatformStatus};
use super::{SitePlatform, SiteRoute};
use crate::admission::control::{self, Controller, Strain};
use crate::admission::flow::Flow;
use crate::node::Node;
use crate::senses::harvest::{CLASSES, OutcomeRow, PlatformHarvest, Portrait, ROWS, RouteTally, Row};
use crate::senses::sight::{Attribute, Attributes, Business};
use crate::settings::Settings;
use crate::trust::Trust;

/// Fewer rows than that prove nothing: with no match among them, 95 % sure is 0.1 %.
pub(crate) const ROWS_READY: usize = 3_000;
/// Rows and outcomes that are kept of ordinary days.
const ROWS_MOST: usize = 32_768;
const ROWS_LEAST: usize = 8_192;
/// Rows of all platforms together, as long as each has the least.
const ROWS_OF_NODE: usize = 65_536;
const PROTECTED: usize = 4_096;
const OUTCOMES: usize = 4_096;
/// Rows that are taken in from all shards in one tick.
const CAME: usize = 4 * ROWS;
/// So many rows per second are enough while nothing is out of the ordinary.
const ROWS_PER_SECOND: f64 = 200.0;
/// Seconds after which a change that comes with nothing else is what is ordinary.
const USED_TO: f64 = 600.0;
/// What speaks against it counts so many times; were it to begin anew, one wild tick in ten minutes would put it off for ever.
const DOUBT: f64 = 10.0;

/// Adds what another shard saw.
fn merge(sum: &mut PlatformHarvest, harvest: &PlatformHarvest) {
    for (known, tally) in sum.classes.iter_mut().zip(&harvest.classes) {
        known.arrived = known.arrived.saturating_add(tally.arrived);
        known.admitted = known.admitted.saturating_add(tally.admitted);
        known.queued = known.queued.saturating_add(tally.queued);
        known.queued_us = known.queued_us.saturating_add(tally.queued_us);
        known.shed = known.shed.saturating_add(tally.shed);
        if tally.completed > 0 {
            let fastest = if known.completed == 0 { u32::MAX } else { known.fastest_us };
            known.fastest_us = fastest.min(tally.fastest_us);
        }
        known.completed = known.completed.saturating_add(tally.completed);
        known.failed = known.failed.saturating_add(tally.failed);
        known.origin_us = known.origin_us.saturating_add(tally.origin_us);
        known.bytes = known.bytes.saturating_add(tally.bytes);
    }
    for (known, tally) in sum.routes.iter_mut().zip(&harvest.routes) {
        known.arrived = known.arrived.saturating_add(tally.arrived);
        known.origin_us = known.origin_us.saturating_add(tally.origin_us);
        known.missing = known.missing.saturating_add(tally.missing);
        known.done = known.done.saturating_add(tally.done);
        known.failed = known.failed.saturating_add(tally.failed);
        known.sent = known.sent.saturating_add(tally.sent);
    }
    sum.rows.extend(harvest.rows.iter().take(CAME.saturating_sub(sum.rows.len())));
    sum.rows_seen = sum.rows_seen.saturating_add(harvest.rows_seen);
    sum.outcomes.extend(harvest.outcomes.iter().take(CAME.saturating_sub(sum.outcomes.len())));
    sum.abuse = sum.abuse.saturating_add(harvest.abuse);
    for tally in harvest.rules.iter().filter(|tally| tally.id != 0) {
        match sum.rules.iter_mut().find(|known| known.id == tally.id) {
            Some(known) => {
                known.matched += tally.matched;
                known.protected += tally.protected;
                known.human += tally.human;
                known.acted += tally.acted;
                known.held_out += tally.held_out;
                known.challenged += tally.challenged;
                known.passed += tally.passed;
                known.cost_us += tally.cost_us;
            }
            None => sum.rules.push(*tally),
        }
    }
}

/// Begins anew, in the same memory.
fn clear(sum: &mut PlatformHarvest) {
    sum.classes = Default::default();
    sum.routes.fill(RouteTally::default());
    sum.rows.clear();
    sum.outcomes.clear();
    sum.rules.clear();
    (sum.rows_seen, sum.outcomes_seen, sum.abuse) = (0, 0, 0);
}

/// What a tick of one platform rests on besides itself.
pub(crate) struct Around<'a> {
    pub(crate) now: Tick,
    pub(crate) wall: u64,
    /// Since the tick before, in seconds.
    pub(crate) seconds: f64,
    pub(crate) settings: &'a Settings,
    pub(crate) node: &'a Node,
    pub(crate) events: &'a Events,
    pub(crate) portraits: &'a [Portrait],
}

/// What is known of one platform.
#[derive(Debug)]
pub(crate) struct Platform {
    pub(crate) site: SitePlatform,
    /// What came since the last tick, over all shards.
    came: PlatformHarvest,
    pub(crate) rules: Rules,
    pub(crate) orders: PlatformOrders,
    ordinary: Ordinary,
    channels: Channels,
    controller: Controller,
    flow: Arc<Flow>,
    pub(crate) stance: Stance,
    why: String,
    /// The same as values.
    causes: Vec<Clause>,
    rows: Sample<Row>,
    protected: Sample<Row>,
    outcomes: Sample<OutcomeRow>,
    contrast: Alarm,
    /// What is told of the contrast; none before the first look.
    told: Option<Clause>,
    frozen: bool,
    pinned_by: Option<String>,
    /// Seconds for which nothing but the rate has been out of the ordinary.
    grown_for: f64,
    /// Seconds for which nothing but the platform's own time has been.
    slow_for: f64,
    wall: u64,
}

impl Platform {
    pub(crate) fn new(site: SitePlatform, node: &Node, places: usize, now: Tick, seed: u64) -> Self {
        let came =
            PlatformHarvest { routes: vec![RouteTally::default(); site.routes.len()], ..PlatformHarvest::default() };
        Self {
            came,
            rules: Rules::new(seed),
            orders: PlatformOrders { sample: 1, ..PlatformOrders::default() },
            ordinary: Ordinary::default(),
            channels: Channels::new(),
            controller: Controller::new(),
            flow: node.flow(&site.name),
            stance: Stance::new(now),
            why: Clause::new("ordinary").words(),
            causes: vec![Clause::new("ordinary")],
            rows: Sample::new(places, CLASSES, seed ^ 1),
            protected: Sample::new(PROTECTED, CLASSES, seed ^ 2),
            outcomes: Sample::new(OUTCOMES, 2, seed ^ 3),
            contrast: Alarm::Quiet,
            told: None,
            frozen: false,
            pinned_by: None,
            grown_for: 0.0,
            slow_for: 0.0,
            wall: 0,
            site,
        }
    }

    /// How many rows each of so many platforms keeps.
    pub(crate) fn places(platforms: usize) -> usize {
        (ROWS_OF_NODE / platforms.max(1)).clamp(ROWS_LEAST, ROWS_MOST)
    }

    /// Goes on at another position or with other routes. What is known of routes is kept by path.
    pub(crate) fn reshape(
        &mut self,
        site: SitePlatform,
        places: usize,
        positions: (usize, usize),
        now: Tick,
        seed: u64,
    ) {
        let moves = Moves::new(positions, self.site.routes.iter().map(|route| route.path.as_str()), &site.routes);
        if !moves.is_nothing() {
            self.move_rows(&moves);
            self.ordinary.routes = moves.routes(&self.ordinary.routes);
            // Rules name endpoints by position. What they stood against is found again within a second.
            self.rules = Rules::new(seed);
            self.stance = Stance::new(now);
            self.channels = Channels::new();
        }
        self.rows.resize(places);
        self.came =
            PlatformHarvest { routes: vec![RouteTally::default(); site.routes.len()], ..PlatformHarvest::default() };
        self.orders = PlatformOrders { posture: self.stance.posture(), ..PlatformOrders::default() };
        self.site = site;
    }

    fn move_rows(&mut self, moves: &Moves) {
        self.rows.change(|row| moves.apply(row));
        self.protected.change(|row| moves.apply(row));
        self.outcomes.change(|outcome| moves.apply(&mut outcome.row));
    }

    /// Takes in what a shard saw.
    pub(crate) fn absorb(&mut self, harvest: &PlatformHarvest) {
        merge(&mut self.came, harvest);
    }

    /// Judges what came; what shall hold is then in `orders`.
    pub(crate) fn tick(&mut self, around: &Around<'_>, last_rule: &mut u32, acts: &mut Vec<Act>) {
        let Around { now, wall, seconds, settings, .. } = *around;
        self.wall = wall;
        let interval =
            Interval { seconds, wall, classes: &self.came.classes, routes: &self.came.routes, abuse: self.came.abuse };
        let event = around.events.is_running(&self.site.name, wall);
        let strain = self.controller.strain();
        let signals = self.channels.step(&interval, &self.ordinary, &strain, &settings.switches, event);
        let mut evidence = Evidence { signals, contrast: false, in_force: 0, matched_rate: 0.0, matched_expected: 0.0 };
        // First without contrast: suspicion alone lets the rules look closer in this very tick.
        if self.stance.posture() == Posture::Normal {
            self.move_to(&evidence, around, acts);
        }

        let is_ready = self.is_ready();
        let known = |visitor| around.node.senses().known(visitor, now);
        let found = self.rules.step(
            &Situation {
                now,
                wall,
                platform: &self.site.name,
                posture: self.stance.posture(),
                rate: signals.rate > Alarm::Quiet && !signals.is_only_abuse,
                stress: signals.stress > Alarm::Quiet && !signals.is_only_abuse,
                business: signals.business > Alarm::Quiet,
                expected_rate: signals.expected_rps,
                expected_cost: self.ordinary.cost.value(),
                queue_ms: signals.queue_ms,
                fresh: &self.came.rows,
                fresh_seen: self.came.rows_seen,
                outcomes: &self.came.outcomes,
                tallies: &self.came.rules,
                baseline: if is_ready { self.rows.items() } else { &[] },
                protected: self.protected.items(),
                baseline_outcomes: self.outcomes.items(),
                portraits: around.portraits,
                known: &known,
                settings,
            },
            last_rule,
        );
        evidence.contrast = settings.switches.contrast && found.contrast;
        evidence.in_force = found.in_force;
        (evidence.matched_rate, evidence.matched_expected) = (found.matched_rate, found.matched_expected);
        self.contrast = match (evidence.contrast, found.vetoed) {
            (true, _) => Alarm::Strong,
            (false, true) => Alarm::Weak,
            (false, false) => Alarm::Quiet,
        };
        self.told = Some(contrast_clause(is_ready, found.vetoed, found.explained, found.matched_rate, found.in_force));
        acts.extend(found.acts);
        self.move_to(&evidence, around, acts);

        let sample = self.sample_rate(&signals);
        self.learn(around, &signals);
        let admission = self.admit(around, acts);
        self.orders = PlatformOrders { posture: self.stance.posture(), sample, rules: found.live, admission };
        clear(&mut self.came);
    }

    /// What admission shall hold to. The controller works in every posture and learns even where it is switched off.
    fn admit(&mut self, around: &Around<'_>, acts: &mut Vec<Act>) -> AdmissionOrders {
        let switches = &around.settings.switches;
        let limited = self.controller.strain().limited && switches.admission;
        let mut orders = self.controller.step(&self.came, &self.flow, self.stance.posture(), around.now, around.wall);
        if !switches.admission {
            orders = AdmissionOrders::default();
        }
        orders.shelters = switches.room && orders.whole != u32::MAX;
        if !switches.room {
            orders.room = None;
        }
        let before = &self.orders.admission;
        let strain = self.controller.strain();
        let Strain { slowdown, failing, no_load_ms, shed, drain_ms, .. } = strain;
        let name = &self.site.name;
        let bounds = strain.limited && switches.admission;
        let mut tell = |kind: &str, words: String| {
            let facts = [
                ("limited", bounds.to_string()),
                ("whole", bound_words(orders.whole)),
                ("slowdown", format!("{slowdown:.1}")),
                ("failing", format!("{failing:.3}")),
                ("no_load_ms", format!("{no_load_ms:.1}")),
                ("shed_per_second", shed.to_string()),
                ("drain_ms", format!("{drain_ms:.0}")),
            ];
            acts.push(Act {
                at_nanos: around.now.0,
                kind: kind.to_owned(),
                platform: name.clone(),
                rule: None,
                by: "gate".to_owned(),
                words,
                facts: facts.map(|(name, value)| (name.to_owned(), value)).into(),
                undo: String::new(),
            });
        };
        match (limited, bounds) {
            (false, true) => {
                let failing = failing * 100.0;
                let words = format!(
                    "{name} gets at most {} requests at once, the most important first. Why: it takes {slowdown:.1} times \
                     as long as without load ({no_load_ms:.0} ms), and {failing:.0} % of its answers fail.",
                    orders.whole
                );
                tell("admission", words);
            }
            (true, false) => {
                tell("admission", format!("{name} gets every request at once again: it is under no stress."))
            }
            _ => {}
        }
        match (before.room.is_some(), orders.room.is_some()) {
            (false, true) => {
                let words = format!(
                    "The waiting room of {name} is open. Why: it is full, and in the last second {shed} visitors were turned away."
                );
                tell("room-opened", words);
            }
            (true, false) => {
                tell("room-closed", format!("The waiting room of {name} is closed: nobody waits any more."))
            }
            _ => {}
        }
        orders
    }

    fn is_ready(&self) -> bool {
        self.ordinary.is_warm() && self.rows.items().len() >= ROWS_READY
    }

    /// One request in so many becomes a row.
    fn sample_rate(&self, signals: &Signals) -> u32 {
        if self.stance.posture() != Posture::Normal || !self.is_ready() {
            return 1;
        }
        let wanted = signals.expected_rps.max(signals.actual_rps / 2.0) / ROWS_PER_SECOND;
        // Powers of two, so that noise does not make new orders.
        (wanted.clamp(1.0, 16.0) as u32).next_power_of_two()
    }

    fn move_to(&mut self, evidence: &Evidence, around: &Around<'_>, acts: &mut Vec<Act>) {
        let before = self.stance.posture();
        let lasted = around.now.since(self.stance.since());
        let Some(cause) = self.stance.step(evidence, around.now) else { return };
        let posture = self.stance.posture();
        let mut facts = vec![
            ("from".to_owned(), before.name().to_owned()),
            ("to".to_owned(), posture.name().to_owned()),
            ("lasted_seconds".to_owned(), format!("{:.1}", lasted.as_secs_f64())),
        ];
        let causes = match cause {
            Cause::Quiet(seconds) => vec![Clause::new("quiet").number("seconds", seconds as f64)],
            _ => causes(&evidence.signals, &self.site.routes),
        };
        self.why = clause::words(&causes);
        self.causes = causes;
        if let (Cause::Contrast, Some(told)) = (cause, &self.told) {
            self.why += &format!("; {}", told.words());
            self.causes.push(told.clone());
        }
        if !matches!(cause, Cause::Quiet(_)) {
            facts.extend(facts_of(&evidence.signals));
        }
        if matches!(posture, Posture::Attack | Posture::Overload) {
            self.distrust_newcomers();
        }
        let name = &self.site.name;
        acts.push(Act {
            at_nanos: around.now.0,
            kind: "posture".to_owned(),
            platform: name.clone(),
            rule: None,
            by: "gate".to_owned(),
            words: format!(
                "{name} went from {before} (for {:.1} s) to {posture}. Why: {}.",
                lasted.as_secs_f64(),
                self.why
            ),
            facts,
            undo: format!("portcullis posture {} --platform {name}", before.name()),
        });
    }

    fn distrust_newcomers(&mut self) {
        self.rows.distrust();
        self.outcomes.distrust();
    }

    /// An operator holds it in a posture, or lets it go.
    pub(crate) fn force(&mut self, posture: Option<Posture>, now: Tick) -> Act {
        let before = self.stance.posture();
        self.stance.force(posture, now);
        let name = &self.site.name;
        let words = match posture {
            Some(posture) => format!("An operator holds {name} in {posture}; it was {before}."),
            None => format!("An operator lets {name} move again by itself, from {before}."),
        };
        let held = Clause::new("held");
        (self.why, self.causes) =
            if posture.is_some() { (held.words(), vec![held]) } else { (words.clone(), Vec::new()) };
        Act {
            at_nanos: now.0,
            kind: "posture".to_owned(),
            platform: name.clone(),
            rule: None,
            by: "operator".to_owned(),
            words,
            facts: vec![
                ("from".to_owned(), before.name().to_owned()),
                ("to".to_owned(), posture.map_or("automatic", Posture::name).to_owned()),
            ],
            undo: match posture {
                Some(_) => format!("portcullis posture auto --platform {name}"),
                None => format!("portcullis posture {} --platform {name}", before.name()),
            },
        }
    }

    /// Learns from calm ticks, and from no others.
    fn learn(&mut self, around: &Around<'_>, signals: &Signals) {
        let Around { now, wall, seconds, settings, .. } = *around;
        let clamped = settings.switches.freeze;
        let posture = self.stance.posture();
        let is_calm = posture == Posture::Normal && signals.loudest() == Alarm::Quiet;
        // Of the first minute nothing is known that could be kept from being poisoned.
        let is_cold = !self.ordinary.is_warm() && signals.loudest() < Alarm::Strong;
        // What was announced pins what is known; while nothing is known there is nothing to pin.
        let pinned = around.events.pinning(&self.site.name, wall).filter(|_| self.is_ready());
        self.pinned_by = pinned.map(|event| event.name.clone());
        self.frozen = clamped && (!(is_calm || is_cold) || self.pinned_by.is_some());
        if self.frozen {
            return self.get_used_to(signals, posture, seconds);
        }
        (self.grown_for, self.slow_for) = (0.0, 0.0);
        let interval =
            Interval { seconds, wall, classes: &self.came.classes, routes: &self.came.routes, abuse: self.came.abuse };
        self.ordinary.learn(&interval, clamped);
        let routes = &self.site.routes;
        let describe = |row: &Row| (class_of(routes, row).index(), row.visitor);
        self.rows.offer(now, seconds, &self.came.rows, describe);
        self.rows.mature(now, seconds);
        self.protected.mature(now, seconds);
        for row in self.came.rows.iter().filter(|row| is_protected(row)) {
            self.protected.take_at_once(now, *row, class_of(routes, row).index(), row.visitor);
        }
        self.outcomes.offer(now, seconds, &self.came.outcomes, |outcome| {
            (usize::from(outcome.business != Business::Done), outcome.row.visitor)
        });
        self.outcomes.mature(now, seconds);
    }

    /// A platform that has more visitors, or has become slow, and where for a long time nothing else is out of the ordinary:
    /// that is what is ordinary from now on.
    fn get_used_to(&mut self, signals: &Signals, posture: Posture, seconds: f64) {
        let alone = signals.protocol.max(signals.business).max(self.contrast) == Alarm::Quiet
            && posture != Posture::Attack
            && self.pinned_by.is_none();
        let lasting =
            |since: f64, holds: bool| if holds { since + seconds } else { (since - DOUBT * seconds).max(0.0) };
        self.grown_for = lasting(self.grown_for, alone && signals.stress == Alarm::Quiet);
        self.slow_for = lasting(self.slow_for, alone && signals.rate == Alarm::Quiet && !signals.held);
        if self.grown_for >= USED_TO {
            self.ordinary.creep(&self.channels.actual_over_ten(), seconds);
        }
        if self.slow_for >= USED_TO {
            self.ordinary.learn_latency(&self.came.classes, seconds);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes()
            + self.protected.bytes()
            + self.outcomes.bytes()
            + self.came.rows.capacity() * size_of::<Row>()
            + self.came.outcomes.capacity() * size_of::<OutcomeRow>()
            + size_of::<Self>()
    }

    pub(crate) fn status(&self, now: Tick, settings: &Settings) -> PlatformStatus {
        let signals = self.channels.signals();
        let channel = |name: &str, on: bool, alarm: Alarm, clauses: Vec<Clause>| ChannelStatus {
            name: name.to_owned(),
            level: if on { alarm.name() } else { "off" }.to_owned(),
            figures: clause::words(&clauses),
            clauses,
        };
        let switches = &settings.switches;
        let routes = &self.site.routes;
        let channels = vec![
            channel("rate", switches.rate, signals.rate, rate_clauses(signals)),
            channel("stress", switches.stress, signals.stress, stress_clauses(signals)),
            channel("contrast", switches.contrast, self.contrast, self.told.iter().cloned().collect()),
            channel("protocol", switches.protocol, signals.protocol, vec![protocol_clause(signals)]),
            channel("business", switches.business, signals.business, vec![business_clause(signals, routes)]),
        ];
        let bound = |limit: u32| (limit != u32::MAX).then_some(limit);
        let AdmissionOrders { whole, cut, room, .. } = self.orders.admission;
        let classes = control::bounded(&self.orders.admission);
        PlatformStatus {
            name: self.site.name.clone(),
            posture: self.stance.posture().name().to_owned(),
            since_seconds: now.since(self.stance.since()).as_secs_f64(),
            why: self.why.clone(),
            causes: self.causes.clone(),
            forced: self.stance.is_forced(),
            frozen: self.frozen,
            channels,
            baseline: BaselineStatus {
                ready: self.is_ready(),
                expected_rps: self.ordinary.whole.rate(self.wall),
                actual_rps: self.channels.actual().iter().sum(),
                no_load_ms: self.ordinary.no_load_us() / 1000.0,
                rows: self.rows.items().len(),
                protected_rows: self.protected.items().len(),
                hours_known: self.ordinary.whole.hours_known(),
                pinned_by: self.pinned_by.clone(),
            },
            rules: self.rules.status(),
            admission: AdmissionStatus {
                whole: bound(whole),
                classes: classes.map(|(class, limit)| (class.name().to_owned(), limit)).collect(),
                cut,
                room_open: room.is_some(),
            },
        }
    }

    pub(crate) fn save(&self, position: usize, wall: u64) -> PlatformMemory {
        PlatformMemory {
            name: self.site.name.clone(),
            position: u32::try_from(position).unwrap_or(u32::MAX),
            routes: self.site.routes.iter().map(|route| route.path.clone()).collect(),
            ordinary: self.ordinary.clone(),
            rows: Packed::rows(self.rows.items()),
            protected: Packed::rows(self.protected.items()),
            outcomes: Packed::outcomes(self.outcomes.items()),
            age: self.rows.age(),
            rules: self.rules.save(wall),
            stance: self.stance.save(),
            borne: self.controller.save(),
        }
    }

    /// Takes back what was saved. Rows and rules only where they were hashed under the same secret; posture, rules in force
    /// and limits as they were only where that was a moment ago.
    pub(crate) fn restore(
        &mut self,
        saved: PlatformMemory,
        position: usize,
        (same_secret, is_of_now): (bool, bool),
        now: Tick,
        wall: u64,
    ) {
        let positions = (saved.position as usize, position);
        let moves = Moves::new(positions, saved.routes.iter().map(String::as_str), &self.site.routes);
        self.ordinary = saved.ordinary;
        self.ordinary.routes = moves.routes(&self.ordinary.routes);
        self.ordinary.wake(wall);
        let no_load = |latency: &Latency| latency.is_known().then_some(latency.mean_us());
        self.controller.recall(&saved.borne, self.ordinary.latency.each_ref().map(no_load), is_of_now);
        self.stance.restore(saved.stance, is_of_now, now);
        if self.stance.posture() != Posture::Normal {
            let before = Clause::new("before");
            (self.why, self.causes) = (before.words(), vec![before]);
        }
        if !same_secret {
            return;
        }
        let routes = &self.site.routes;
        for mut row in saved.rows.unpack_rows(ROWS_MOST) {
            moves.apply(&mut row);
            self.rows.take_at_once(now, row, class_of(routes, &row).index(), row.visitor);
        }
        for mut row in saved.protected.unpack_rows(PROTECTED) {
            moves.apply(&mut row);
            self.protected.take_at_once(now, row, class_of(routes, &row).index(), row.visitor);
        }
        for mut outcome in saved.outcomes.unpack_outcomes(OUTCOMES) {
            moves.apply(&mut outcome.row);
            let stratum = usize::from(outcome.business != Business::Done);
            self.outcomes.take_at_once(now, outcome, stratum, outcome.row.visitor);
        }
        self.rows.restore_age(saved.age);
        self.protected.restore_age(saved.age);
        self.outcomes.restore_age(saved.age);
        if moves.is_nothing() {
            self.rules.restore(&saved.rules, wall, is_of_now.then_some(now));
        }
    }
}

/// Where routes went, so that rows go on naming the right ones.
#[derive(Debug)]
struct Moves {
    platform: (usize, usize),
    /// By the position before.
    routes: Vec<Option<usize>>,
}

impl Moves {
    fn new<'a>(platform: (usize, usize), before: impl Iterator<Item = &'a str>, after: &[SiteRoute]) -> Self {
        let routes = before.map(|path| after.iter().position(|route| route.path == path)).collect();
        Self { platform, routes }
    }

    fn is_nothing(&self) -> bool {
        self.platform.0 == self.platform.1
            && self.routes.iter().enumerate().all(|(before, after)| *after == Some(before))
    }

    fn routes<T: Copy + Default>(&self, before: &[T]) -> Vec<T> {
        let most = self.routes.iter().flatten().max().map_or(0, |most| most + 1);
        let mut moved = vec![T::default(); most];
        for (value, after) in before.iter().zip(&self.routes) {
            if let Some(place) = after.and_then(|after| moved.get_mut(after)) {
                *place = *value;
            }
        }
        moved
    }

    fn apply(&self, row: &mut Row) {
        let Some(route) = route_of(row) else { return };
        let moved = self.routes.get(route).copied().flatten();
        let endpoint = moved.map_or(0, |route| {
            let half = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
            Attributes::endpoint(half(self.platform.1), half(route))
        });
        if let Some(value) = row.attributes.0.get_mut(Attribute::Endpoint.index()) {
            *value = endpoint;
        }
    }
}

/// The position of a row's route.
fn route_of(row: &Row) -> Option<usize> {
    let endpoint = row.attributes.get(Attribute::Endpoint).checked_sub(1)?;
    Some((endpoint & 0xffff) as usize)
}

fn class_of(routes: &[SiteRoute], row: &Row) -> RouteClass {
    route_of(row).and_then(|route| routes.get(route)).map_or(RouteClass::Page, |route| route.class)
}

fn is_protected(row: &Row) -> bool {
    let token = row.attributes.get(Attribute::Token) as usize;
    Trust::ALL.get(token).is_some_and(|trust| trust.is_protected())
}

/// What the channels say, in one sentence without its full stop.
/// What speaks for a posture; with rules, what they explain comes last.
fn causes(signals: &Signals, routes: &[SiteRoute]) -> Vec<Clause> {
    let mut parts = Vec::new();
    if signals.rate > Alarm::Quiet {
        parts.extend(rate_clauses(signals));
    }
    if signals.stress > Alarm::Quiet {
        parts.extend(stress_clauses(signals));
    }
    if signals.protocol > Alarm::Quiet {
        parts.push(protocol_clause(signals));
    }
    if signals.business > Alarm::Quiet {
        parts.push(business_clause(signals, routes));
    }
    if parts.is_empty() { vec![Clause::new("silent")] } else { parts }
}

fn rate_clauses(signals: &Signals) -> Vec<Clause> {
    let beyond = |code: &str, actual: f64, expected: f64| {
        let times = actual / expected.max(0.1);
        Clause::new(code).number("times", times).number("actual", actual).number("expected", expected)
    };
    let mut clauses = vec![beyond("rate", signals.actual_rps, signals.expected_rps)];
    if let Some((class, expected, actual)) = signals.class {
        clauses.push(beyond("class", actual, expected).name("class", class.name()));
    }
    if let Some((expected, actual)) = signals.bytes {
        clauses.push(Clause::new("bytes").number("actual", actual).number("expected", expected));
    }
    clauses
}

fn stress_clauses(signals: &Signals) -> Vec<Clause> {
    let mut clauses = vec![Clause::new("queue").number("ms", signals.queue_ms).number("limit", 20.0)];
    if signals.failed_share > 0.0 {
        clauses.push(Clause::new("failing").number("share", signals.failed_share));
    }
    if signals.stalled {
        clauses.push(Clause::new("stalled"));
    }
    if signals.held {
        clauses.push(Clause::new("waiting"));
    }
    clauses
}

fn protocol_clause(signals: &Signals) -> Clause {
    Clause::new("abuse").number("clients", signals.abuse_rps)
}

fn business_clause(signals: &Signals, routes: &[SiteRoute]) -> Clause {
    let Some(trouble) = signals.trouble else { return Clause::new("business-usual") };
    let code = match trouble.kind {
        TroubleKind::Failures => "failures",
        TroubleKind::Missing => "missing",
        TroubleKind::Codes => "codes",
    };
    let path = routes.get(trouble.route).map_or("?", |route| route.path.as_str());
    Clause::new(code).number("now", trouble.now).number("usual", trouble.usual).name("path", path)
}

fn bound_words(bound: u32) -> String {
    if bound == u32::MAX { "none".to_owned() } else { bound.to_string() }
}

fn contrast_clause(is_ready: bool, vetoed: bool, explained: f32, matched: f64, in_force: usize) -> Clause {
    if !is_ready {
        return Clause::new("unready");
    }
    if in_force > 0 || explained > 0.0 {
        let share = f64::from(explained.clamp(0.0, 1.0));
        return Clause::new("explained").number("share", share).number("matched", matched.max(0.0) + 0.0);
    }
    Clause::new(if vetoed { "people-behind" } else { "no-pattern" })
}

fn facts_of(signals: &Signals) -> Vec<(String, String)> {
    let mut facts = vec![
        ("rate".to_owned(), signals.rate.name().to_owned()),
        ("stress".to_owned(), signals.stress.name().to_owned()),
        ("protocol".to_owned(), signals.protocol.name().to_owned()),
        ("business".to_owned(), signals.business.name().to_owned()),
        ("expected_rps".to_owned(), format!("{:.1}", signals.expected_rps)),
        ("actual_rps".to_owned(), format!("{:.1}", signals.actual_rps)),
        ("queue_ms".to_owned(), format!("{:.1}", signals.queue_ms)),
        ("failed_share".to_owned(), format!("{:.3}", signals.failed_share)),
    ];
    if let Some((class, expected, actual)) = signals.class {
        facts.push((format!("expected_rps_{class}"), format!("{expected:.1}")));
        facts.push((format!("actual_rps_{class}"), format!("{actual:.1}")));
    }
    if let Some((expected, actual)) = signals.bytes {
        facts.push(("expected_bytes_per_second".to_owned(), format!("{expected:.0}")));
        facts.push(("actual_bytes_per_second".to_owned(), format!("{actual:.0}")));
    }
    facts
}
