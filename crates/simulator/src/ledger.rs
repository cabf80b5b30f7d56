//! What is measured, as it happens; `Ledger::figures` makes the figures of it.

use std::collections::BTreeMap;

use portcullis_engine::{Act, Action, AdmissionOrders, Attribute, Orders, Posture};
use portcullis_types::Tick;
use sha2::{Digest, Sha256};

use crate::figures::FIGURES;
use crate::report::{Cohort, Figure, Moment};

const SECOND: u64 = 1_000_000_000;
/// Attack traffic is counted in pieces of this length.
const PIECE: u64 = 100_000_000;
/// A posture that rises again this soon after it fell flapped.
const FLAP: u64 = 60 * SECOND;
/// How long after the last attack a session still counts as one that met it.
const AFTER: u64 = 60 * SECOND;

/// When attacks run, the preludes left out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from: Tick,
    pub(crate) until: Tick,
    pub(crate) on: u64,
    pub(crate) off: u64,
    pub(crate) inseparable: bool,
    pub(crate) platform: usize,
    pub(crate) prelude: bool,
}

impl Window {
    /// Whether it attacks at that time.
    pub(crate) fn active(&self, now: Tick) -> bool {
        now >= self.from
            && now < self.until
            && (self.off == 0 || (now.0 - self.from.0) % (self.on + self.off) < self.on)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Piece {
    sent: u32,
    passed: u32,
    asked: u64,
    got: u64,
}

#[derive(Debug)]
struct RuleLife {
    acted: Tick,
    blocking: bool,
    only_network: bool,
    live: bool,
    share: u8,
    /// First harm to somebody protected, and when it stopped acting.
    harm: Option<Tick>,
    stopped: Option<Tick>,
}

/// What one session met.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Met {
    pub(crate) refused: bool,
    pub(crate) challenged: bool,
    pub(crate) passed: bool,
    pub(crate) delayed: bool,
    /// It went away without what it came for.
    pub(crate) unserved: bool,
}

/// Everything that is measured.
pub(crate) struct Ledger {
    windows: Vec<Window>,
    hash: Sha256,
    buffer: Vec<u8>,
    pieces: Vec<Piece>,
    first_attack: Option<Tick>,
    calm: Vec<f32>,
    calm_waits: Vec<f32>,
    onset: Vec<f32>,
    attack: Vec<f32>,
    second: Vec<f32>,
    moment: Moment,
    pub(crate) timeline: Vec<Moment>,
    pub(crate) acts: Vec<Act>,
    postures: Vec<Posture>,
    fell: Vec<Option<Tick>>,
    armed: Option<Tick>,
    admission: Option<Tick>,
    rules: BTreeMap<u32, RuleLife>,
    live_most: usize,
    flaps: u64,
    entered_attack: u64,
    entered_overload: u64,
    false_attacks: u64,
    calm_alarms: u64,
    relaxed: Option<Tick>,
    normal: Option<Tick>,
    rule_actions: Vec<Tick>,
    /// When a rule first stopped a request of the attack.
    rule_met: Option<Tick>,
    cohorts: Vec<Cohort>,
    memory: usize,
    pub(crate) stolen: BTreeMap<u64, u64>,
    pub(crate) abusers: u64,
    pub(crate) abusers_closed: u64,
    pub(crate) streams_wasted: u64,
    pub(crate) connections_free: f64,
    /// Calm is what lies between these two.
    calm_between: (Tick, Tick),
    /// Seconds that one moment of the timeline stands for.
    step: u32,
}

impl Ledger {
    /// `calm` says from when until when nothing happens at all; `step` is the length of a moment of the timeline.
    pub(crate) fn new(windows: Vec<Window>, platforms: usize, calm: (Tick, Tick), step: u32) -> Self {
        Self {
            windows,
            hash: Sha256::new(),
            buffer: Vec::with_capacity(8192),
            pieces: Vec::new(),
            first_attack: None,
            calm: Vec::new(),
            calm_waits: Vec::new(),
            onset: Vec::new(),
            attack: Vec::new(),
            second: Vec::new(),
            moment: Moment { posture: Posture::Normal.name(), ..Moment::default() },
            timeline: Vec::new(),
            acts: Vec::new(),
            postures: vec![Posture::Normal; platforms],
            fell: vec![None; platforms],
            armed: None,
            admission: None,
            rules: BTreeMap::new(),
            live_most: 0,
            flaps: 0,
            entered_attack: 0,
            entered_overload: 0,
            false_attacks: 0,
            calm_alarms: 0,
            relaxed: None,
            normal: None,
            rule_actions: Vec::new(),
            rule_met: None,
            cohorts: Vec::new(),
            memory: 0,
            stolen: BTreeMap::new(),
            abusers: 0,
            abusers_closed: 0,
            streams_wasted: 0,
            connections_free: 1.0,
            calm_between: calm,
            step,
        }
    }

    /// Something was decided; all of it goes into the hash.
    pub(crate) fn decided(&mut self, now: Tick, who: u64, what: u8, detail: u64) {
        self.buffer.extend_from_slice(&now.0.to_le_bytes());
        self.buffer.extend_from_slice(&who.to_le_bytes());
        self.buffer.push(what);
        self.buffer.extend_from_slice(&detail.to_le_bytes());
        if self.buffer.len() > 8000 {
            self.hash.update(&self.buffer);
            self.buffer.clear();
        }
    }

    pub(crate) fn cohort(&mut self, name: String, protected: bool) -> usize {
        if let Some(known) = self.cohorts.iter().position(|cohort| cohort.name == name) {
            return known;
        }
        self.cohorts.push(Cohort { name, protected, ..Cohort::default() });
        self.cohorts.len() - 1
    }

    /// A legitimate session is over.
    pub(crate) fn session(&mut self, cohort: usize, from: Tick, until: Tick, met: Met) {
        // Those that were over before anything happened would only make the shares look better.
        let attacks = || self.windows.iter().filter(|window| !window.prelude);
        let begins = attacks().map(|window| window.from.0).min().unwrap_or(self.calm_between.0.0);
        let ends = attacks().map(|window| window.until.0 + AFTER).max().unwrap_or(u64::MAX);
        if until.0 < begins || from.0 > ends {
            return;
        }
        if let Some(cohort) = self.cohorts.get_mut(cohort) {
            cohort.sessions += 1;
            cohort.refused += u64::from(met.refused);
            cohort.challenged += u64::from(met.challenged);
            cohort.failed += u64::from(met.challenged && !met.passed);
            cohort.delayed += u64::from(met.delayed);
            cohort.unserved += u64::from(met.unserved);
        }
    }

    pub(crate) fn legitimate_sent(&mut self) {
        self.moment.legitimate += 1;
    }

    pub(crate) fn legitimate_refused(&mut self) {
        self.moment.legitimate_refused += 1;
    }

    /// A rule acted on somebody who is protected.
    pub(crate) fn harmed(&mut self, rule: u32, now: Tick) {
        if let Some(life) = self.rules.get_mut(&rule) {
            life.harm.get_or_insert(now);
        }
    }

    /// A legitimate request was served: how long it took, and how much of that it waited in the gate.
    pub(crate) fn legitimate_served(&mut self, sent: Tick, now: Tick, waited: u64) {
        let millis = milliseconds(now.0 - sent.0);
        self.second.push(millis);
        let (from, until) = self.calm_between;
        if sent >= from && now < until {
            self.calm.push(millis);
            self.calm_waits.push(milliseconds(waited));
        }
        let real = || self.windows.iter().filter(|window| !window.prelude);
        let Some(begins) = real().map(|window| window.from).min() else { return };
        let ends = real().map(|window| window.until).max().unwrap_or(begins);
        if sent >= begins && sent.0 < begins.0 + 3 * SECOND {
            self.onset.push(millis);
        } else if sent >= begins && sent < ends {
            self.attack.push(millis);
        }
    }

    /// An attacker sent something that would cost so many nanoseconds.
    pub(crate) fn attack_sent(&mut self, now: Tick, cost: u64) {
        self.first_attack.get_or_insert(now);
        self.moment.attack += 1;
        let piece = self.piece(now);
        piece.sent += 1;
        piece.asked += cost;
    }

    /// An attacker begins with something that is no request.
    pub(crate) fn attack_begun(&mut self, now: Tick) {
        self.first_attack.get_or_insert(now);
    }

    /// What an attacker sent then reached a platform.
    pub(crate) fn attack_passed(&mut self, sent: Tick, cost: u64) {
        self.moment.attack_passed += 1;
        let piece = self.piece(sent);
        piece.passed += 1;
        piece.got += cost;
    }

    /// A rule stopped what an attacker sent. One that was made for something else may be there from the start.
    pub(crate) fn attack_stopped(&mut self, now: Tick) {
        self.rule_met.get_or_insert(now);
    }

    fn piece(&mut self, at: Tick) -> &mut Piece {
        let from = self.first_attack.unwrap_or(at).0;
        let index = usize::try_from(at.0.saturating_sub(from) / PIECE).unwrap_or(0);
        if self.pieces.len() <= index {
            self.pieces.resize(index + 1, Piece::default());
        }
        &mut self.pieces[index]
    }

    /// Admission did something: it queued or refused.
    pub(crate) fn admission_acted(&mut self, now: Tick) {
        if self.first_attack.is_some() {
            self.admission.get_or_insert(now);
        }
    }

    /// What the brain says was done.
    pub(crate) fn told(&mut self, acts: Vec<Act>) {
        for act in acts {
            self.buffer.extend_from_slice(&act.at_nanos.to_le_bytes());
            for text in [&act.kind, &act.platform, &act.words] {
                self.buffer.extend_from_slice(text.as_bytes());
                self.buffer.push(0);
            }
            self.acts.push(act);
        }
    }

    /// The orders in force, after each tick.
    pub(crate) fn ordered(&mut self, now: Tick, orders: &Orders) {
        let attacking = self.windows.iter().any(|window| window.active(now));
        for (position, platform) in orders.platforms.iter().enumerate() {
            if self.first_attack.is_some() {
                let aimed = self.windows.iter().any(|window| window.platform == position && !window.prelude);
                if aimed && platform.posture != Posture::Normal {
                    self.armed.get_or_insert(now);
                }
                if platform.admission != AdmissionOrders::default() {
                    self.admission.get_or_insert(now);
                }
            }
            self.posture(now, position, platform.posture, attacking);
        }
        self.live(now, orders);
        if self.ended(now) && self.postures.iter().all(|posture| *posture == Posture::Normal) {
            self.normal.get_or_insert(now);
        }
    }

    fn ended(&self, now: Tick) -> bool {
        let mut real = self.windows.iter().filter(|window| !window.prelude).peekable();
        real.peek().is_some() && real.all(|window| now >= window.until)
    }

    fn posture(&mut self, now: Tick, position: usize, posture: Posture, attacking: bool) {
        let Some(before) = self.postures.get_mut(position) else { return };
        let before = std::mem::replace(before, posture);
        if before == posture {
            return;
        }
        if gravity(posture) < gravity(before) {
            self.fell[position] = self.first_attack.and(Some(now));
        } else if self.fell[position].is_some_and(|fell| now.0 - fell.0 < FLAP) {
            self.flaps += 1;
        }
        self.calm_alarms += u64::from(before == Posture::Normal && !attacking);
        match posture {
            Posture::Attack => {
                self.entered_attack += 1;
                self.false_attacks += u64::from(!attacking);
            }
            Posture::Overload => self.entered_overload += 1,
            _ => {}
        }
    }

    fn live(&mut self, now: Tick, orders: &Orders) {
        for life in self.rules.values_mut() {
            life.live = false;
        }
        let ended = self.ended(now);
        let mut live = 0;
        for rule in orders.platforms.iter().flat_map(|platform| &platform.rules).filter(|rule| rule.share > 0) {
            live += 1;
            let blocking = rule.action >= Action::Challenge;
            let new = RuleLife {
                acted: now,
                blocking,
                only_network: rule.literals.iter().all(|literal| literal.attribute == Attribute::Network),
                live: true,
                share: rule.share,
                harm: None,
                stopped: None,
            };
            let life = self.rules.entry(rule.id.0).or_insert_with(|| {
                self.rule_actions.push(now);
                new
            });
            if life.stopped.is_some() {
                self.rule_actions.push(now);
                life.stopped = None;
            }
            if ended && rule.share < life.share {
                self.relaxed.get_or_insert(now);
            }
            (life.live, life.share) = (true, rule.share);
            life.blocking |= blocking;
        }
        for life in self.rules.values_mut().filter(|life| !life.live && life.stopped.is_none()) {
            life.stopped = Some(now);
            if ended {
                self.relaxed.get_or_insert(now);
            }
        }
        if ended && live == 0 {
            self.relaxed.get_or_insert(now);
        }
        self.live_most = self.live_most.max(live);
        self.moment.rules = u32::try_from(live).unwrap_or(u32::MAX);
    }

    /// A second is over.
    pub(crate) fn second(&mut self, second: u32, busy: f64, memory: usize) {
        self.memory = self.memory.max(memory);
        self.moment.busy = self.moment.busy.max(busy);
        if !second.is_multiple_of(self.step) {
            return;
        }
        let gravest = self.postures.iter().copied().max_by_key(|posture| gravity(*posture)).unwrap_or_default();
        let mut latencies = std::mem::take(&mut self.second);
        let moment = Moment {
            second,
            p99_ms: quantile(&mut latencies, 0.99).unwrap_or(0.0),
            posture: gravest.name(),
            ..std::mem::take(&mut self.moment)
        };
        self.moment.rules = moment.rules;
        self.timeline.push(moment);
        latencies.clear();
        self.second = latencies;
    }

    /// The cohorts that anybody belonged to.
    pub(crate) fn cohorts(&self) -> Vec<Cohort> {
        self.cohorts.iter().filter(|cohort| cohort.sessions > 0).cloned().collect()
    }

    /// The hash of everything that was decided and told.
    pub(crate) fn seal(&mut self) -> String {
        self.hash.update(&self.buffer);
        self.buffer.clear();
        let hash = self.hash.clone().finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// All figures, in the order of [`FIGURES`].
    pub(crate) fn figures(&mut self) -> Vec<Figure> {
        FIGURES
            .iter()
            .map(|(name, unit, _)| Figure { name: (*name).to_owned(), value: self.value(name), unit })
            .collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a rehearsal are far below 2^53")]
    fn value(&mut self, name: &str) -> Option<f64> {
        let start = self.first_attack;
        let real = || self.windows.iter().filter(|window| !window.prelude);
        let end = real().map(|window| window.until).max();
        let since_start = |tick: Option<Tick>| Some(f64::from(milliseconds(tick?.0.saturating_sub(start?.0))));
        let since_end = |tick: Option<Tick>| Some(f64::from(milliseconds(tick?.0.saturating_sub(end?.0))) / 1000.0);
        let sum = |part: fn(&Cohort) -> u64| self.cohorts.iter().map(part).sum::<u64>() as f64;
        let sessions = sum(|cohort| cohort.sessions).max(1.0);
        match name {
            "armed" => since_start(self.armed),
            "admission" => since_start(self.admission),
            "rule" => {
                let acted = self.rule_actions.iter().copied().find(|at| Some(*at) >= start);
                since_start(acted.into_iter().chain(self.rule_met).min())
            }
            "rearmed" => self.rearmed(),
            "mitigated" => self.mitigated().map(|piece| piece as f64 * PIECE as f64 / 1e6),
            "leak_requests" => self.leak(|piece| (u64::from(piece.passed), u64::from(piece.sent))),
            "leak_origin" => self.leak(|piece| (piece.got, piece.asked)),
            "refused" => Some(100.0 * sum(|cohort| cohort.refused) / sessions),
            "refused_protected" => Some(sum(|cohort| if cohort.protected { cohort.refused } else { 0 })),
            "challenged" => Some(100.0 * sum(|cohort| cohort.challenged) / sessions),
            "challenge_failed" => Some(100.0 * sum(|cohort| cohort.failed) / sessions),
            "delayed" => Some(100.0 * sum(|cohort| cohort.delayed) / sessions),
            "unserved" => Some(100.0 * sum(|cohort| cohort.unserved) / sessions),
            "calm_added" => quantile(&mut self.calm_waits, 0.99),
            "calm_p50" => quantile(&mut self.calm, 0.5),
            "calm_p99" => quantile(&mut self.calm, 0.99),
            "attack_p50" => quantile(&mut self.attack, 0.5),
            "attack_p99" => quantile(&mut self.attack, 0.99),
            "p99_ratio" => Some(quantile(&mut self.attack, 0.99)? / quantile(&mut self.calm, 0.99)?),
            "p99_onset" => quantile(&mut self.onset, 0.99),
            "rules" => Some(self.rules.len() as f64),
            "blocking_rules" => Some(self.rules.values().filter(|life| life.blocking).count() as f64),
            "live_rules" => Some(self.live_most as f64),
            "address_rules" => Some(self.rules.values().filter(|life| life.only_network).count() as f64),
            "flaps" => Some(self.flaps as f64),
            "revert" => Some(self.revert()),
            "relax" if self.rules.is_empty() => Some(0.0),
            "relax" => since_end(self.relaxed),
            "normal" => since_end(self.normal),
            "attack_postures" => Some(self.entered_attack as f64),
            "overload_postures" => Some(self.entered_overload as f64),
            "false_attacks" => Some(self.false_attacks as f64),
            "calm_alarms" => Some(self.calm_alarms as f64),
            "memory" => Some(self.memory as f64 / 1_048_576.0),
            "token_rate" => {
                let seconds = (end?.0.saturating_sub(start?.0) as f64 / 1e9).max(1.0);
                Some(self.stolen.values().copied().max().unwrap_or(0) as f64 / seconds)
            }
            "abusers_closed" => (self.abusers > 0).then(|| 100.0 * self.abusers_closed as f64 / self.abusers as f64),
            "streams_wasted" => (self.abusers > 0).then_some(self.streams_wasted as f64),
            "connections_free" => Some(100.0 * self.connections_free),
            _ => None,
        }
    }

    /// Whether nearly nothing of it is like what visitors send.
    fn separable(&self) -> bool {
        self.windows.iter().filter(|window| !window.prelude).all(|window| !window.inseparable)
    }

    /// The first piece from which on at most 5 % leak in each of three seconds. Pieces in which nothing was sent pass.
    fn mitigated(&self) -> Option<usize> {
        let separable = self.separable();
        let sound = |from: usize| {
            (0..3).all(|second| {
                let pieces = self.pieces.iter().skip(from + 10 * second).take(10);
                let (passed, sent) = pieces.fold((0, 0), |(passed, sent), piece| {
                    if separable {
                        (passed + u64::from(piece.passed), sent + u64::from(piece.sent))
                    } else {
                        (passed + piece.got, sent + piece.asked)
                    }
                });
                passed * 20 <= sent
            })
        };
        let sent = |from: &usize| self.pieces.get(*from).is_some_and(|piece| piece.sent > 0);
        (0..self.pieces.len().saturating_sub(30)).filter(sent).find(|from| sound(*from))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a rehearsal are far below 2^53")]
    fn leak(&self, part: fn(&Piece) -> (u64, u64)) -> Option<f64> {
        let pieces = self.pieces.iter().skip(self.mitigated()?).map(part);
        let (passed, sent) = pieces.fold((0, 0), |(passed, sent), (more, of)| (passed + more, sent + of));
        Some(100.0 * passed as f64 / sent.max(1) as f64)
    }

    /// The longest time from a later pulse to a rule that acts.
    fn rearmed(&self) -> Option<f64> {
        let window = self.windows.iter().find(|window| window.off > 0)?;
        let mut worst = None;
        let mut pulse = window.from.0 + window.on + window.off;
        while pulse < window.until.0 {
            // A rule that still acts from the last pulse needs no time at all.
            let still = self
                .rules
                .values()
                .any(|life| life.acted.0 < pulse && life.stopped.is_none_or(|stopped| stopped.0 > pulse));
            let acted = self.rule_actions.iter().find(|at| at.0 >= pulse && at.0 < pulse + window.on);
            let time = if still { 0.0 } else { f64::from(milliseconds(acted.map_or(window.on, |at| at.0 - pulse))) };
            worst = Some(worst.map_or(time, |worst: f64| worst.max(time)));
            pulse += window.on + window.off;
        }
        worst
    }

    fn revert(&self) -> f64 {
        let last = self.timeline.last().map_or(0, |moment| u64::from(moment.second) * SECOND);
        let harm =
            |life: &RuleLife| Some(milliseconds(life.stopped.map_or(last, |at| at.0).saturating_sub(life.harm?.0)));
        f64::from(self.rules.values().filter_map(harm).fold(0.0, f32::max))
    }
}

const fn gravity(posture: Posture) -> u8 {
    match posture {
        Posture::Normal => 0,
        Posture::Recovery => 1,
        Posture::Elevated => 2,
        Posture::Overload => 3,
        Posture::Attack => 4,
    }
}

#[expect(clippy::cast_precision_loss, reason = "latencies need no more than single precision")]
fn milliseconds(nanos: u64) -> f32 {
    (nanos / 1000) as f32 / 1000.0
}

/// The value below which that share lies.
fn quantile(values: &mut [f32], share: f64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 values")]
    let rank = crate::scenario::whole(share * values.len().saturating_sub(1) as f64 + 0.5);
    let rank = usize::try_from(rank).unwrap_or(0);
    if values.is_empty() {
        return None;
    }
    let (_, value, _) = values.select_nth_unstable_by(rank, f32::total_cmp);
    Some(f64::from(*value))
}
