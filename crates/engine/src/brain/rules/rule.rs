//! One rule: what it is, what its figures say, and what the shards are told of it.

use std::collections::VecDeque;
use std::time::Duration;

use portcullis_types::Tick;

use super::{
    Dormant, HELD_OUT_AGAIN, HELD_OUT_ENOUGH, HOLD_OUT, LEAST_COST, LEAST_MATCHES, LEAST_OUTCOME_MATCHES, MATCHES,
    OUT_OF_REACH, QUIET, QUIET_AT_MOST, RELAX, STEP, Situation, TOOTHLESS, TURN,
};
use crate::brain::miner::Pattern;
use crate::brain::orders::{Action, LiveRule, RuleId};
use crate::brain::trial::{BackTest, Judged, Verdict};
use crate::senses::harvest::RuleTally;

/// A rule that shards match.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) pattern: Pattern,
    pub(crate) phase: Phase,
    pub(crate) action: Action,
    /// The hardest action that the back-test allows.
    pub(crate) ceiling: Action,
    /// It was found among outcomes.
    pub(crate) business: bool,
    pub(crate) test: BackTest,
    pub(crate) judged: Judged,
    pub(crate) explains: f64,
    /// How many times as many requests there were as expected.
    pub(crate) times: f64,
    pub(crate) proposed: Tick,
    /// Since when it has this phase and action.
    pub(crate) since: Tick,
    pub(crate) total: Totals,
    /// Since it was enforced.
    pub(crate) acted: Totals,
    /// Requests that were held out since it was first enforced.
    pub(super) held_out: u64,
    /// Of the last step.
    pub(super) step: Totals,
    /// Of the last ten steps.
    pub(super) recent: VecDeque<Totals>,
    pub(super) peak: f64,
    pub(super) last_busy: Tick,
    /// How often it came back.
    pub(super) returns: u32,
    pub(super) watched: bool,
    pub(super) pinned: bool,
    pub(crate) queue_before: f64,
    pub(super) stress_before: bool,
    pub(super) why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It is matched and nothing is done.
    Shadow,
    /// Its visitors are too young to be judged: they are put behind until they are not.
    Waiting,
    Enforced,
    /// Position in [`RELAX`].
    Relaxing(usize),
}

/// Sums of [`RuleTally`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) matched: u64,
    pub(crate) protected: u64,
    pub(crate) human: u64,
    pub(crate) acted: u64,
    pub(crate) held_out: u64,
    pub(crate) challenged: u64,
    pub(crate) passed: u64,
    pub(crate) cost_us: u64,
}

impl Rule {
    pub(super) fn new(id: RuleId, pattern: Pattern, now: Tick) -> Self {
        Self {
            id,
            pattern,
            phase: Phase::Shadow,
            action: Action::Deprioritise,
            ceiling: Action::Deprioritise,
            business: false,
            test: BackTest::default(),
            judged: Judged { verdict: Verdict::Young, people: 0, of: 0, normal: 0.0 },
            explains: 0.0,
            times: 0.0,
            proposed: now,
            since: now,
            total: Totals::default(),
            acted: Totals::default(),
            held_out: 0,
            step: Totals::default(),
            recent: VecDeque::with_capacity(10),
            peak: 0.0,
            last_busy: now,
            returns: 0,
            watched: false,
            pinned: false,
            queue_before: 0.0,
            stress_before: false,
            why: String::new(),
        }
    }

    /// In force at once.
    pub(super) fn from_dormant(dormant: &Dormant, test: BackTest, now: Tick) -> Self {
        let mut rule = Self::new(dormant.id, dormant.pattern.clone(), now);
        rule.test = test;
        rule.business = dormant.business;
        rule.ceiling = dormant.action;
        rule.peak = dormant.peak;
        rule.returns = dormant.returns;
        rule.total.matched = dormant.matched;
        rule.held_out = dormant.held_out;
        rule.why.clone_from(&dormant.why);
        rule.judged.verdict = Verdict::Clean;
        rule.enforce(dormant.action, now);
        rule
    }

    pub(super) fn enforce(&mut self, action: Action, now: Tick) {
        self.phase = Phase::Enforced;
        self.action = action;
        self.since = now;
        self.acted = Totals::default();
        self.watched = false;
    }

    /// Matches per second, over the last second.
    pub(crate) fn rate(&self) -> f64 {
        per_second(self.recent.iter().map(|step| step.matched))
    }

    /// The most matches per second there were.
    pub(crate) const fn peak(&self) -> f64 {
        self.peak
    }

    /// Matches per second that ordinary traffic would have.
    pub(super) fn expected(&self, situation: &Situation<'_>) -> f64 {
        if self.business || self.test.rows == 0 { 0.0 } else { self.test.share() * situation.expected_rate }
    }

    /// Below this it hardly matches any more.
    pub(super) fn calm_rate(&self, situation: &Situation<'_>) -> f64 {
        // Ordinary visitors come by chance: without a margin for that, what they send by themselves would hold it in force.
        let expected = self.expected(situation);
        (2.0 * expected + 3.0 * expected.sqrt()).max(0.05 * self.peak).max(0.5)
    }

    /// How long it must hardly match before it is relaxed.
    pub(super) fn patience(&self, seed: u64) -> Duration {
        let quiet = (QUIET * (1 + self.returns)).min(QUIET_AT_MOST);
        quiet + quiet * ((self.spread(seed) % 8) as u32) / 100
    }

    /// Differs from rule to rule, so that nobody outside can tell its moments.
    pub(super) fn spread(&self, seed: u64) -> u64 {
        let spread = seed ^ u64::from(self.id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        spread ^ spread >> 31
    }

    /// Whether it matches enough since it was proposed, by requests or by cost.
    pub(super) fn matters(&self, situation: &Situation<'_>) -> bool {
        let seconds = situation.now.since(self.proposed).as_secs_f64().max(0.1);
        let (rate, cost) = (self.total.matched as f64 / seconds, self.total.cost_us as f64 / seconds);
        let least = MATCHES * situation.expected_rate;
        let much = rate >= least.max(1.0) || (cost >= LEAST_COST && cost >= MATCHES * situation.expected_cost);
        let least = if self.business { LEAST_OUTCOME_MATCHES } else { LEAST_MATCHES };
        (self.business || much) && self.total.matched >= least
    }

    /// Whether what it matches now is an attack, and not the trickle that any pattern has.
    pub(super) fn presses(&self, situation: &Situation<'_>) -> bool {
        let cost = per_second(self.recent.iter().map(|step| step.cost_us));
        let much = self.rate() >= (MATCHES * situation.expected_rate).max(1.0);
        let costly = cost >= (MATCHES * situation.expected_cost).max(LEAST_COST);
        self.rate() > self.calm_rate(situation) && (self.business || much || costly)
    }

    /// Most of what it matched over the last second was nothing that a challenge reaches. What it matched before does not
    /// count: the same tool may go on with something else.
    pub(super) fn is_out_of_reach(&self, now: Tick) -> bool {
        let steps = (now.since(self.since).as_nanos() as u64 / STEP) as usize;
        let recent = self.recent.iter().rev().take(steps);
        let (acted, challenged) = recent.fold((0, 0), |sum, step| (sum.0 + step.acted, sum.1 + step.challenged));
        acted >= OUT_OF_REACH && challenged * 2 < acted
    }

    /// It goes on putting behind what asks again, and may do no more: no answer to a flood that the platform can carry, nor
    /// to one that it cannot.
    pub(super) fn is_toothless(&self, now: Tick) -> bool {
        let stops = match self.action {
            Action::Deprioritise => false,
            Action::Challenge => !self.is_out_of_reach(now),
            _ => true,
        };
        self.phase == Phase::Enforced && !stops && now.since(self.since) >= TOOTHLESS
    }

    /// It matched at least half as much, and all of a sudden it does not: whoever sent that goes on as `other`.
    pub(super) fn went_over_to(&self, other: &Self) -> bool {
        let settled =
            self.phase == Phase::Enforced && self.action > Action::Deprioritise && self.recent.len() > 2 * TURN;
        let newest = self.recent.len().saturating_sub(TURN);
        let before = per_second(self.recent.iter().take(TURN).map(|step| step.matched));
        let now = per_second(self.recent.iter().skip(newest).map(|step| step.matched));
        let others = per_second(other.recent.iter().rev().take(TURN).map(|step| step.matched));
        settled && before >= 0.5 * self.peak && now <= 0.1 * before && (0.5 * before..=2.0 * before).contains(&others)
    }

    /// It goes on matching, and what it takes away is next to nothing.
    pub(super) fn useless(&self, situation: &Situation<'_>) -> bool {
        self.rate() > self.calm_rate(situation) && self.rate() < 0.05 * situation.expected_rate
    }

    /// Of the matches, so many in a hundred are acted upon.
    pub(crate) fn share(&self) -> u8 {
        match self.phase {
            Phase::Shadow => 0,
            Phase::Waiting | Phase::Enforced => 100,
            Phase::Relaxing(step) => RELAX.get(step).copied().unwrap_or(0),
        }
    }

    /// What it does now; putting behind is what a rule in shadow does not even do, and touches nobody's access.
    pub(super) fn acting(&self) -> Action {
        if self.share() == 0 { Action::Deprioritise } else { self.action }
    }

    pub(super) fn live(&self, seed: u64, situation: &Situation<'_>) -> LiveRule {
        let settings = situation.settings;
        let holds_out = settings.switches.hold_out && self.phase == Phase::Enforced && self.action.milder().is_some();
        let step = situation.now.0 / STEP;
        let again = (step ^ self.spread(seed)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        LiveRule {
            id: self.id,
            literals: self.pattern.clone(),
            action: self.action,
            share: if settings.watch_only { 0 } else { self.share() },
            hold_out: match holds_out {
                true if self.held_out < HELD_OUT_ENOUGH || again.is_multiple_of(HELD_OUT_AGAIN) => HOLD_OUT,
                _ => 0,
            },
        }
    }
}

impl Phase {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Waiting | Self::Enforced => "enforced",
            Self::Relaxing(_) => "relaxing",
        }
    }
}

impl Totals {
    pub(super) fn add(&mut self, tally: &RuleTally) {
        self.matched += u64::from(tally.matched);
        self.protected += u64::from(tally.protected);
        self.human += u64::from(tally.human);
        self.acted += u64::from(tally.acted);
        self.held_out += u64::from(tally.held_out);
        self.challenged += u64::from(tally.challenged);
        self.passed += u64::from(tally.passed);
        self.cost_us += tally.cost_us;
    }

    pub(super) fn add_totals(&mut self, more: &Self) {
        self.matched += more.matched;
        self.protected += more.protected;
        self.human += more.human;
        self.acted += more.acted;
        self.held_out += more.held_out;
        self.challenged += more.challenged;
        self.passed += more.passed;
        self.cost_us += more.cost_us;
    }
}

/// The sum of steps of 100 ms, by second.
fn per_second(steps: impl ExactSizeIterator<Item = u64>) -> f64 {
    let seconds = steps.len().max(1) as f64 / 10.0;
    steps.sum::<u64>() as f64 / seconds
}
