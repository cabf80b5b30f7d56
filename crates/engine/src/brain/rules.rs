//! The life of a rule: proposed, tested against ordinary days, watched without effect, enforced, relaxed, withdrawn.
//!
//! It never reads a clock and never touches a request: it says what the shards should match, and reads what came of it.

mod rule;

use std::collections::VecDeque;
use std::time::Duration;

use portcullis_types::Tick;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

pub(crate) use self::rule::Rule;
use self::rule::{Phase, Totals};
use super::act::Act;
use super::miner::{self, Ground, Pattern, matches};
use super::orders::{Action, LITERALS, Literal, LiveRule, RuleId};
use super::posture::Posture;
use super::status::RuleStatus;
use super::trial::{self, BackTest, Judged, Norms, Shown, Verdict};
use super::words::{self, Gallery};
use crate::senses::Known;
use crate::senses::harvest::{OutcomeRow, Portrait, Row, RuleTally};
use crate::senses::sight::{Attribute, Business, OVERDRAWN};
use crate::settings::Settings;

/// What one platform looks like at one step, every 100 ms.
#[derive(Clone, Copy)]
pub(crate) struct Situation<'a> {
    /// Monotonic.
    pub(crate) now: Tick,
    /// Unix milliseconds.
    pub(crate) wall: u64,
    /// The platform's name.
    pub(crate) platform: &'a str,
    /// As it stands.
    pub(crate) posture: Posture,
    /// Whether the channel of the rate speaks now, of more than clients that break the protocol.
    pub(crate) rate: bool,
    /// Whether the platform is under stress now, of more than them.
    pub(crate) stress: bool,
    /// Whether logins, payments or codes go wrong now.
    pub(crate) business: bool,
    /// Requests per second that an ordinary time would have.
    pub(crate) expected_rate: f64,
    /// Microseconds of the platform per second that an ordinary time would cost.
    pub(crate) expected_cost: f64,
    /// Queueing delay of the platform now, in milliseconds; told in the words.
    pub(crate) queue_ms: f64,
    /// Rows that came since the last step.
    pub(crate) fresh: &'a [Row],
    /// Requests that `fresh` stands for.
    pub(crate) fresh_seen: u64,
    /// Outcomes since the last step.
    pub(crate) outcomes: &'a [OutcomeRow],
    /// What the live rules did since the last step, over all shards; found by id.
    pub(crate) tallies: &'a [RuleTally],
    /// Rows of ordinary days, frozen.
    pub(crate) baseline: &'a [Row],
    /// Rows of protected cohorts on ordinary days.
    pub(crate) protected: &'a [Row],
    /// Outcomes of ordinary days, frozen.
    pub(crate) baseline_outcomes: &'a [OutcomeRow],
    /// Readable examples.
    pub(crate) portraits: &'a [Portrait],
    /// What is known of a visitor.
    pub(crate) known: &'a dyn Fn(u64) -> Known,
    /// Which parts are switched on, and whether rules may act at all.
    pub(crate) settings: &'a Settings,
}

/// What came of one step.
#[derive(Debug, Default)]
pub(crate) struct RulesOutcome {
    /// For the shards, in the order of matching.
    pub(crate) live: Vec<LiveRule>,
    /// For the journal.
    pub(crate) acts: Vec<Act>,
    /// Share of the excess that the tested and unvetoed rules explain together.
    pub(crate) explained: f32,
    /// The channel of contrast speaks: what came has a pattern that ordinary traffic has not.
    pub(crate) contrast: bool,
    /// A pattern was found, and people are behind it.
    pub(crate) vetoed: bool,
    /// Requests per second that match rules in force, over the last second.
    pub(crate) matched_rate: f64,
    /// The same as ordinary traffic would match them.
    pub(crate) matched_expected: f64,
    /// Rules that act, however little.
    pub(crate) in_force: usize,
}

/// Rules of one platform in shadow or in force at once. More would be one attack told in pieces.
pub(crate) const LIVE: usize = 4;
/// Rules that are remembered.
const DORMANT: usize = 48;
/// For how long, in milliseconds of the wall clock.
const DORMANT_MS: u64 = 7 * 86_400_000;
/// For how long an undone pattern is not proposed again, in milliseconds.
const UNDONE_MS: u64 = 3_600_000;
/// A rule is in shadow for this long, or for so many matches.
const SHADOW: Duration = Duration::from_millis(300);
const SHADOW_MATCHES: u64 = 500;
/// So long it waits for visitors that are too young to be judged.
const WAIT: Duration = Duration::from_secs(2);
/// A rule in shadow that nothing presses to enforce is dropped after this.
const IDLE: Duration = Duration::from_secs(30);
/// A rule that hardly matches any more is relaxed after this; each time that it comes back adds as much.
const QUIET: Duration = Duration::from_secs(18);
const QUIET_AT_MOST: Duration = Duration::from_secs(54);
/// How long each step of relaxing lasts, and what share is still acted upon: 1, 10, 50, 100 in a hundred are admitted.
const RELAX_STEP: Duration = Duration::from_secs(5);
const RELAX: [u8; 4] = [99, 90, 50, 0];
/// Of the visitors that match, so many in a thousand get the next milder action.
const HOLD_OUT: u16 = 20;
/// Once so many requests of them were seen the answer is known, and what is held out leaks: from then on it is asked
/// again in one step of so many only. Fewer visitors for good would be none or one of a small botnet, which is much.
const HELD_OUT_ENOUGH: u64 = 30;
const HELD_OUT_AGAIN: u64 = 20;
/// A pattern that failed is not tried again for this; each failure doubles it.
const FAILED: Duration = Duration::from_secs(15);
const FAILED_AT_MOST: Duration = Duration::from_secs(3600);
/// Fewer actions within a second do not tell what a challenge reaches.
const OUT_OF_REACH: u64 = 20;
/// A rule that stops nothing for so long is no answer.
const TOOTHLESS: Duration = Duration::from_secs(2);
/// Nanoseconds of a step.
const STEP: u64 = 100_000_000;
/// Steps by which it is told that one pattern has ended and another begun.
const TURN: usize = 3;
/// More of the challenged than this pass: people are behind it.
const PASSED: f64 = 0.05;
/// Rules that together explain so much of the excess are the attack.
const EXPLAINED: f64 = 0.6;
/// A clean rule in force that explains so much is one too, beside whatever else is going on.
const EXPLAINED_IN_FORCE: f64 = 0.2;
/// Less than this beside ordinary traffic, by requests or by cost, is not worth a rule.
const MATTERS: f64 = 0.3;
/// Nor are fewer requests per second, and less of the platform's time: 5 % of one worker.
const LEAST_RATE: f64 = 10.0;
const LEAST_COST: f64 = 50_000.0;
/// Nor is a rule that matched fewer requests while it was only watched.
const LEAST_MATCHES: u64 = 20;
/// Nor are fewer failures within a minute beyond the usual; nor is a rule of outcomes with fewer matches.
const LEAST_OUTCOMES: f64 = 15.0;
const LEAST_OUTCOME_MATCHES: u64 = 3;
/// A rule that matches less than this of ordinary traffic's volume is not either.
const MATCHES: f64 = 0.1;
/// A clean rule that explains so much is enforced even where the rest stays unexplained and the platform does not suffer.
const TELLING: f64 = 0.25;
/// Steps of 100 ms that the window holds, and rows of each.
const SLICES: usize = 25;
/// Of them, those that go to the miner; the older ones serve to judge visitors that have had the time to show themselves.
const MINED_SLICES: usize = 10;
const SLICE: usize = 1024;
/// Rows that go to the miner.
const WINDOW: u64 = 8192;
/// Fewer examples than this are no contrast.
const LITTLE: usize = 50;
/// A dormant rule looks for so many rows in so many steps.
const SURGE: usize = 5;
const SURGE_ROWS: u32 = 4;
/// Outcomes that are kept, and for how long.
const OUTCOMES: usize = 4096;
const OUTCOMES_FOR: Duration = Duration::from_secs(60);

/// The rules of one platform, live and dormant.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    seed: u64,
    live: Vec<Rule>,
    dormant: Vec<Dormant>,
    /// Patterns that an operator took back, until when in Unix milliseconds.
    undone: Vec<(Pattern, u64)>,
    /// Patterns that failed, until when, and how often.
    failed: Vec<(Pattern, Tick, u32)>,
    slices: VecDeque<Slice>,
    outcomes: VecDeque<(Tick, OutcomeRow)>,
    norms: Norms,
    gallery: Gallery,
    pressed: Option<Tick>,
    vetoed: Option<Tick>,
    explained: f64,
}

/// The requests of one step.
#[derive(Debug)]
struct Slice {
    rows: Vec<Row>,
    seen: u64,
}

/// A rule that was withdrawn and comes back when its pattern does.
#[derive(Debug, Clone)]
struct Dormant {
    id: RuleId,
    pattern: Pattern,
    action: Action,
    business: bool,
    returns: u32,
    peak: f64,
    matched: u64,
    held_out: u64,
    until: u64,
    why: String,
    /// Rows and requests of the last steps that matched.
    surge: VecDeque<(u32, f64)>,
    /// Not before this, where there was no room.
    not_before: Tick,
}

/// What outlives the process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SavedRules {
    rules: Vec<SavedRule>,
    undone: Vec<(Vec<(u8, u32)>, u64)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SavedRule {
    id: u32,
    pattern: Vec<(u8, u32)>,
    action: u8,
    business: bool,
    pinned: bool,
    enforced: bool,
    returns: u32,
    peak: f64,
    matched: u64,
    until: u64,
    why: String,
}

impl Rules {
    /// `seed` spreads the moments of relaxing, so that nobody outside can tell when one comes.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// One step, every 100 ms, in every posture. `next` is the counter of rule ids of the node.
    pub(crate) fn step(&mut self, situation: &Situation<'_>, next: &mut u32) -> RulesOutcome {
        let mut acts = Vec::new();
        self.look(situation);
        self.count(situation);
        self.rearm(situation, &mut acts);
        self.watch(situation, &mut acts);
        self.advance(situation, &mut acts);
        self.relax(situation, &mut acts);
        if situation.settings.switches.mining {
            self.find(situation, next, &mut acts);
            self.find_in_outcomes(situation, next, &mut acts);
        }
        self.forget(situation);
        self.outcome(situation, acts)
    }

    /// Keeps a rule whatever its figures say.
    pub(crate) fn pin(&mut self, rule: RuleId, platform: &str, now: Tick) -> Option<Act> {
        if let Some(at) = self.dormant.iter().position(|dormant| dormant.id == rule) {
            let dormant = self.dormant.remove(at);
            self.live.push(Rule::from_dormant(&dormant, BackTest::default(), now));
        }
        let rule = self.live.iter_mut().find(|live| live.id == rule)?;
        rule.pinned = true;
        if rule.phase != Phase::Enforced {
            rule.enforce(rule.action.max(Action::Deprioritise), now);
        }
        Some(words::pinned(rule, &self.gallery, platform, now))
    }

    /// Ends a rule at once; its pattern is not proposed again for an hour.
    pub(crate) fn undo(&mut self, rule: RuleId, platform: &str, now: Tick, wall: u64) -> Option<Act> {
        let pattern = if let Some(at) = self.live.iter().position(|live| live.id == rule) {
            self.live.remove(at).pattern
        } else {
            let at = self.dormant.iter().position(|dormant| dormant.id == rule)?;
            self.dormant.remove(at).pattern
        };
        let act = words::undone(rule, &pattern, &self.gallery, platform, now);
        self.undone.push((pattern, wall.saturating_add(UNDONE_MS)));
        Some(act)
    }

    /// Whether one of that name is known here, live or dormant.
    pub(crate) fn has(&self, rule: RuleId) -> bool {
        self.live.iter().any(|live| live.id == rule) || self.dormant.iter().any(|dormant| dormant.id == rule)
    }

    /// For `status`, the live ones first.
    pub(crate) fn status(&self) -> Vec<RuleStatus> {
        let live = self.live.iter().map(|rule| RuleStatus {
            id: rule.id.to_string(),
            phase: rule.phase.name().to_owned(),
            action: rule.action.name().to_owned(),
            share: rule.share(),
            pattern: self.gallery.pattern(&rule.pattern),
            literals: self.gallery.literals(&rule.pattern),
            pinned: rule.pinned,
            matched: rule.total.matched,
            why: rule.why.clone(),
            grounds: words::grounds(rule),
            undo: words::undo(rule.id),
        });
        let dormant = self.dormant.iter().map(|rule| RuleStatus {
            id: rule.id.to_string(),
            phase: "dormant".to_owned(),
            action: rule.action.name().to_owned(),
            share: 0,
            pattern: self.gallery.pattern(&rule.pattern),
            literals: self.gallery.literals(&rule.pattern),
            pinned: false,
            matched: rule.matched,
            why: rule.why.clone(),
            grounds: Vec::new(),
            undo: words::undo(rule.id),
        });
        live.chain(dormant).collect()
    }

    /// What outlives the process.
    pub(crate) fn save(&self, wall: u64) -> SavedRules {
        let live = self.live.iter().filter(|rule| rule.phase != Phase::Shadow).map(|rule| SavedRule {
            id: rule.id.0,
            pattern: to_numbers(&rule.pattern),
            action: rule.action as u8,
            business: rule.business,
            pinned: rule.pinned,
            enforced: rule.phase == Phase::Enforced,
            returns: rule.returns,
            peak: rule.peak,
            matched: rule.total.matched,
            until: wall.saturating_add(DORMANT_MS),
            why: rule.why.clone(),
        });
        let dormant = self.dormant.iter().map(|rule| SavedRule {
            id: rule.id.0,
            pattern: to_numbers(&rule.pattern),
            action: rule.action as u8,
            business: rule.business,
            pinned: false,
            enforced: false,
            returns: rule.returns,
            peak: rule.peak,
            matched: rule.matched,
            until: rule.until,
            why: rule.why.clone(),
        });
        let undone = self.undone.iter().map(|(pattern, until)| (to_numbers(pattern), *until)).collect();
        SavedRules { rules: live.chain(dormant).collect(), undone }
    }

    /// Takes up what an earlier process knew. What was in force a moment ago (`still`, by the clock of this process) is in force
    /// again. What was live before comes back as dormant, and at once when its pattern is there; what an operator pinned
    /// comes back as it was.
    pub(crate) fn restore(&mut self, saved: &SavedRules, wall: u64, still: Option<Tick>) {
        for saved in saved.rules.iter().filter(|saved| saved.until > wall).take(DORMANT) {
            let (Some(pattern), Some(action)) =
                (from_numbers(&saved.pattern), Action::ALL.get(usize::from(saved.action)))
            else {
                continue;
            };
            let dormant = Dormant {
                id: RuleId(saved.id),
                pattern,
                action: *action,
                business: saved.business,
                returns: saved.returns,
                peak: saved.peak,
                matched: saved.matched,
                held_out: 0,
                until: saved.until,
                why: saved.why.clone(),
                surge: VecDeque::new(),
                not_before: Tick::ZERO,
            };
            if saved.pinned || (saved.enforced && still.is_some()) {
                // It is tested against ordinary days in the first step.
                let mut rule = Rule::from_dormant(&dormant, BackTest::default(), still.unwrap_or(Tick::ZERO));
                rule.pinned = saved.pinned;
                self.live.push(rule);
            } else {
                self.dormant.push(dormant);
            }
        }
        let undone = saved.undone.iter().filter(|(_, until)| *until > wall);
        self.undone.extend(undone.filter_map(|(pattern, until)| Some((from_numbers(pattern)?, *until))));
    }

    /// Takes in what came since the last step.
    fn look(&mut self, situation: &Situation<'_>) {
        let now = situation.now;
        self.gallery.hang(situation.portraits);
        if situation.posture == Posture::Normal && !pressed(situation) {
            self.norms.learn(situation.fresh, situation.known, now);
        } else {
            self.norms.freeze();
        }
        if pressed(situation) {
            self.pressed = Some(now);
        }
        for rule in self.live.iter_mut().filter(|rule| rule.test.rows == 0 && !rule.business) {
            rule.test = BackTest::of(&rule.pattern, situation.baseline, situation.protected);
        }
        if self.slices.len() >= SLICES {
            self.slices.pop_front();
        }
        let step = situation.fresh.len().div_ceil(SLICE).max(1);
        let rows: Vec<Row> = situation.fresh.iter().step_by(step).copied().collect();
        self.slices.push_back(Slice { rows, seen: situation.fresh_seen });
        for outcome in situation.outcomes {
            if self.outcomes.len() >= OUTCOMES {
                self.outcomes.pop_front();
            }
            if outcome.business != Business::Nothing {
                self.outcomes.push_back((now, *outcome));
            }
        }
        while self.outcomes.front().is_some_and(|(at, _)| now.since(*at) > OUTCOMES_FOR) {
            self.outcomes.pop_front();
        }
    }

    /// Adds up what the shards counted.
    fn count(&mut self, situation: &Situation<'_>) {
        for rule in &mut self.live {
            let mut step = Totals::default();
            for tally in situation.tallies.iter().filter(|tally| tally.id == rule.id.0) {
                step.add(tally);
            }
            rule.total.add_totals(&step);
            rule.acted.add_totals(&step);
            rule.held_out += step.held_out;
            if rule.recent.len() >= 10 {
                rule.recent.pop_front();
            }
            rule.recent.push_back(step);
            let rate = rule.rate();
            rule.peak = rule.peak.max(rate);
            rule.step = step;
            if rate > rule.calm_rate(situation) {
                rule.last_busy = situation.now;
            }
        }
    }

    /// Brings back what was withdrawn, as soon as its pattern surges: an attack that comes in pulses meets its rule.
    fn rearm(&mut self, situation: &Situation<'_>, acts: &mut Vec<Act>) {
        if !may_enforce(situation) {
            return;
        }
        let weight = situation.fresh_seen as f64 / situation.fresh.len().max(1) as f64;
        let mut at = 0;
        while let Some(dormant) = self.dormant.get_mut(at) {
            at += 1;
            let rows = situation.fresh.iter().filter(|row| matches(&dormant.pattern, row)).count() as u32;
            if dormant.surge.len() >= SURGE {
                dormant.surge.pop_front();
            }
            dormant.surge.push_back((rows, f64::from(rows) * weight));
            let (rows, requests) = dormant.surge.iter().fold((0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            if rows < SURGE_ROWS
                || requests < 0.1 * dormant.peak * SURGE as f64 / 10.0
                || dormant.not_before > situation.now
            {
                continue;
            }
            let test = self.norms.test(&dormant.pattern, situation);
            let ordinary =
                if test.rows == 0 { 0.0 } else { test.share() } * situation.expected_rate * SURGE as f64 / 10.0;
            let least = if dormant.business { 0.0 } else { MATCHES * situation.expected_rate * SURGE as f64 / 10.0 };
            if requests < (4.0 * ordinary).max(least) {
                continue;
            }
            at -= 1;
            let mut dormant = self.dormant.remove(at);
            let ceiling =
                if dormant.business { test.protected.eq(&0).then_some(dormant.action) } else { test.ceiling() };
            let Some(ceiling) = ceiling else { continue };
            if !self.make_room(situation, acts) {
                dormant.not_before = situation.now.after(Duration::from_secs(1));
                self.dormant.insert(at, dormant);
                at += 1;
                continue;
            }
            dormant.returns += 1;
            let mut rule = Rule::from_dormant(&dormant, test, situation.now);
            rule.ceiling = ceiling;
            rule.action = rule.action.min(ceiling);
            rule.judged.normal = self.norms.share(&rule.pattern, Shown::Some);
            rule.queue_before = situation.queue_ms;
            rule.stress_before = situation.stress;
            acts.push(words::rearmed(&rule, &self.gallery, situation, requests));
            self.live.push(rule);
        }
    }

    /// Looks at what the rules do, and takes back, narrows or hardens them.
    fn watch(&mut self, situation: &Situation<'_>, acts: &mut Vec<Act>) {
        let now = situation.now;
        let mut at = 0;
        while at < self.live.len() {
            match self.finding(at, situation) {
                Finding::Fine => at += 1,
                Finding::Wrong(reason) => {
                    let rule = self.live.remove(at);
                    acts.push(words::taken_back(&rule, &self.gallery, situation, &reason));
                    self.fail(rule.pattern, now);
                }
                Finding::Narrow => {
                    let narrowed = self.live.get(at).and_then(|rule| with_no_token(&rule.pattern));
                    if let (Some(rule), Some(pattern)) = (self.live.get_mut(at), narrowed) {
                        rule.pattern = pattern;
                        rule.test = self.norms.test(&rule.pattern, situation);
                        acts.push(words::narrowed(rule, &self.gallery, situation));
                    }
                    at += 1;
                }
                Finding::Harder(action, reason) => {
                    let action = self.fit(at, action, situation, acts);
                    if let Some(rule) = self.live.get_mut(at)
                        && action > rule.action
                    {
                        rule.action = action;
                        rule.since = now;
                        rule.queue_before = situation.queue_ms;
                        acts.push(words::harder(rule, &self.gallery, situation, reason));
                    }
                    at += 1;
                }
            }
        }
        for rule in &mut self.live {
            if rule.phase == Phase::Enforced && !rule.watched && now.since(rule.since) >= Duration::from_secs(1) {
                rule.watched = true;
                acts.push(words::watched(rule, &self.gallery, situation));
            }
        }
    }

    /// What the figures of one rule say.
    fn finding(&mut self, at: usize, situation: &Situation<'_>) -> Finding {
        let now = situation.now;
        let settings = situation.settings;
        let whole_second = is_whole_second(now);
        let rule = &self.live[at];
        let touches = !matches!(rule.phase, Phase::Shadow | Phase::Waiting);
        let shown = if rule.action == Action::Deprioritise { Shown::Some } else { Shown::Much };
        let judged = (whole_second && touches && settings.switches.veto && !rule.business)
            .then(|| self.judge(&rule.pattern, shown, situation));
        let rule = &mut self.live[at];
        if rule.pinned {
            return Finding::Fine;
        }
        if rule.step.protected > 0 {
            return match with_no_token(&rule.pattern) {
                Some(_) => Finding::Narrow,
                None => Finding::Wrong("a visitor who has shown who they are matched it".to_owned()),
            };
        }
        if rule.phase == Phase::Shadow {
            return Finding::Fine;
        }
        if let Some(judged) = judged {
            if judged.of > 0 {
                rule.judged = judged;
            }
            if judged.verdict == Verdict::People {
                self.vetoed = Some(now);
                return Finding::Wrong(words::people(&judged));
            }
        }
        let done = &rule.acted;
        if done.challenged >= 30 && done.passed >= 3 && done.passed as f64 > PASSED * done.challenged as f64 {
            return Finding::Wrong(format!("{} of {} challenges were passed", done.passed, done.challenged));
        }
        // Who is refused shows little; who only waits behind shows whether people are among them.
        if settings.switches.veto
            && rule.action == Action::Deprioritise
            && done.human >= 20
            && done.human as f64 > 0.3 * rule.judged.normal.max(0.2) * done.matched as f64
        {
            self.vetoed = Some(now);
            return Finding::Wrong(format!(
                "{} of the {} requests that matched came from visitors that behave like people",
                done.human, done.matched
            ));
        }
        if rule.phase != Phase::Enforced {
            return Finding::Fine;
        }
        let age = now.since(rule.since);
        let proven = rule.judged.verdict == Verdict::Clean;
        let unmoved = situation.stress
            && rule.presses(situation)
            && rule.stress_before
            && situation.queue_ms > 0.7 * rule.queue_before;
        match rule.action {
            Action::Deprioritise
                if proven && rule.ceiling >= Action::Challenge && rule.rate() > rule.calm_rate(situation) =>
            {
                Finding::Harder(Action::Challenge, "its visitors have had the time to show that they are people")
            }
            Action::Challenge if proven && rule.ceiling >= Action::Refuse => {
                if rule.is_out_of_reach(now) {
                    Finding::Harder(
                        Action::Refuse,
                        "what matches is no navigation, so that a challenge does not reach it",
                    )
                } else if unmoved && age >= Duration::from_secs(2) {
                    Finding::Harder(Action::Refuse, "the platform is not relieved")
                } else {
                    Finding::Fine
                }
            }
            Action::Refuse
                if proven
                    && unmoved
                    && rule.ceiling >= Action::Close
                    && age >= Duration::from_secs(5)
                    && rule.rate() > 10.0 * situation.expected_rate.max(10.0) =>
            {
                Finding::Harder(Action::Close, "the platform is not relieved")
            }
            _ if unmoved
                && age >= Duration::from_secs(8)
                && rule.action >= Action::Refuse
                && rule.useless(situation) =>
            {
                Finding::Wrong("it brought no relief".to_owned())
            }
            _ => Finding::Fine,
        }
    }

    /// Moves rules out of the shadow.
    fn advance(&mut self, situation: &Situation<'_>, acts: &mut Vec<Act>) {
        let now = situation.now;
        // What explains little of the excess waits for more, unless the platform already suffers.
        let told: f64 = self.live.iter().map(|rule| rule.explains).sum();
        let grave = told >= EXPLAINED || situation.stress || situation.business;
        let may = may_enforce(situation) && self.pressed.is_some_and(|at| now.since(at) <= Duration::from_secs(2));
        let mut at = 0;
        while let Some(rule) = self.live.get(at) {
            let age = now.since(rule.proposed);
            let seen = rule.total.matched >= SHADOW_MATCHES || age >= SHADOW;
            if !matches!(rule.phase, Phase::Shadow | Phase::Waiting) || !seen {
                at += 1;
                continue;
            }
            let mut judged = self.verdict(at, situation);
            if judged.verdict == Verdict::Young && self.live.iter().any(|other| other.went_over_to(rule)) {
                // Who sends it has been judged under another name.
                judged.verdict = Verdict::Clean;
            }
            let (phase, action, ceiling) = (rule.phase, rule.action, rule.ceiling);
            if let Some(rule) = self.live.get_mut(at) {
                rule.judged = judged;
            }
            if judged.verdict == Verdict::People {
                self.vetoed = Some(now);
                let rule = self.live.remove(at);
                acts.push(words::vetoed(&rule, &self.gallery, situation));
                self.fail(rule.pattern, now);
                continue;
            }
            let telling =
                judged.verdict == Verdict::Clean && self.live.get(at).is_some_and(|rule| rule.explains >= TELLING);
            if !may || !(grave || telling) {
                if age > IDLE && !situation.settings.watch_only {
                    let rule = self.live.remove(at);
                    self.fail(rule.pattern, now);
                } else {
                    at += 1;
                }
                continue;
            }
            let wanted = match judged.verdict {
                Verdict::Clean if self.gallery.is_navigation(&self.asked_for(at)) => Action::Challenge,
                Verdict::Clean => Action::Refuse,
                _ => Action::Deprioritise,
            };
            let wanted = self.fit(at, wanted.min(ceiling), situation, acts);
            let waiting = judged.verdict == Verdict::Young && age < WAIT;
            let matters = self.live.get(at).is_some_and(|rule| rule.matters(situation));
            if !matters {
                // It stays in the shadow for a while; what it was proposed for may have been a moment's.
                if age >= WAIT {
                    let rule = self.live.remove(at);
                    self.fail(rule.pattern, now);
                } else {
                    at += 1;
                }
                continue;
            }
            if let Some(rule) = self.live.get_mut(at) {
                if waiting && phase == Phase::Shadow {
                    rule.phase = Phase::Waiting;
                    rule.action = Action::Deprioritise;
                    rule.since = now;
                    acts.push(words::waiting(rule, &self.gallery, situation));
                } else if !waiting {
                    rule.queue_before = situation.queue_ms;
                    rule.stress_before = situation.stress;
                    rule.enforce(wanted.max(if phase == Phase::Waiting { action } else { wanted }), now);
                    let act = words::enforced(rule, &self.gallery, situation);
                    rule.why.clone_from(&act.words);
                    acts.push(act);
                }
            }
            at += 1;
        }
    }

    /// Lets go of rules that hardly match any more, step by step, and takes hold again when they do.
    fn relax(&mut self, situation: &Situation<'_>, acts: &mut Vec<Act>) {
        let now = situation.now;
        let mut at = 0;
        while let Some(rule) = self.live.get_mut(at) {
            let quiet = now.since(rule.last_busy);
            let need = rule.patience(self.seed);
            let next = match rule.phase {
                _ if rule.pinned => None,
                Phase::Enforced if quiet >= need && (!situation.stress || quiet >= need * 2) => Some(0),
                Phase::Waiting if quiet >= need => Some(RELAX.len()),
                Phase::Relaxing(_) if quiet.is_zero() => {
                    rule.returns += 1;
                    rule.phase = Phase::Enforced;
                    rule.since = now;
                    acts.push(words::resumed(rule, &self.gallery, situation));
                    None
                }
                Phase::Relaxing(step) if now.since(rule.since) >= RELAX_STEP => Some(step + 1),
                _ => None,
            };
            match next {
                Some(step) if step < RELAX.len() => {
                    rule.phase = Phase::Relaxing(step);
                    rule.since = now;
                    acts.push(words::relaxed(rule, &self.gallery, situation));
                    at += 1;
                }
                Some(_) => self.withdraw(at, "what it matched has ended", situation, acts),
                None => at += 1,
            }
        }
    }

    /// Looks for new patterns in what no rule explains yet.
    fn find(&mut self, situation: &Situation<'_>, next: &mut u32, acts: &mut Vec<Act>) {
        let now = situation.now;
        let hot = self.pressed.is_some_and(|at| now.since(at) <= Duration::from_secs(1));
        if !hot || !(situation.rate || situation.stress) {
            self.explained = 0.0;
            return;
        }
        let (rows, weight) = self.window(MINED_SLICES);
        let seconds = self.slices.len().min(MINED_SLICES) as f64 / 10.0;
        let (people, window): (Vec<Row>, Vec<Row>) =
            rows.iter().partition(|row| (situation.known)(row.visitor).evidence > 0 && !is_overdrawn(row));
        if situation.baseline.len() < LITTLE && people.len() < LITTLE {
            return;
        }
        let normal = self.norms.share(&Pattern::new(), Shown::Some).clamp(0.05, 0.95);
        // People bring newcomers with them; a crowd's newcomers are not out of the ordinary.
        let expected = (situation.expected_rate * seconds / weight * (1.0 - normal))
            .max(people.len() as f64 * (1.0 - normal) / normal);
        let people_cost: f64 = people.iter().map(|row| f64::from(row.cost_us)).sum();
        let expected_cost =
            (situation.expected_cost * seconds / weight * (1.0 - normal)).max(people_cost * (1.0 - normal) / normal);
        self.explained = self.explained_by_rules(&window, expected, expected_cost, situation);
        let left: Vec<Row> = window.iter().filter(|row| !self.is_spoken_for(row, now)).copied().collect();
        // What is left must matter: beside ordinary traffic, and beside what rules explain already.
        let cost: f64 = window.iter().map(|row| f64::from(row.cost_us)).sum();
        let (ordinary, ordinary_cost) =
            (situation.expected_rate * seconds / weight, situation.expected_cost * seconds / weight);
        let ground = Ground {
            baseline: situation.baseline,
            window: &left,
            people: &people,
            expected,
            expected_cost,
            least: (MATTERS * ordinary).max(LEAST_RATE * seconds / weight).max(0.15 * (window.len() as f64 - expected)),
            least_cost: (MATTERS * ordinary_cost).max(LEAST_COST * seconds / weight).max(0.15 * (cost - expected_cost)),
        };
        for candidate in miner::mine(&ground) {
            self.propose(&candidate.pattern, candidate.explains, None, &rows, situation, next, acts);
        }
    }

    /// Looks for what failing logins, declined payments and sent codes have in common.
    fn find_in_outcomes(&mut self, situation: &Situation<'_>, next: &mut u32, acts: &mut Vec<Act>) {
        let whole_second = is_whole_second(situation.now);
        if !situation.business || !situation.settings.switches.business || !whole_second {
            return;
        }
        let bad = |business: Business| matches!(business, Business::Failed | Business::CodeSent);
        let rows = |good: bool| -> Vec<Row> {
            self.outcomes.iter().filter(|(_, one)| bad(one.business) != good).map(|(_, one)| one.row).collect()
        };
        let (failing, done) = (rows(false), rows(true));
        let baseline: Vec<Row> = situation.baseline_outcomes.iter().map(|one| one.row).collect();
        if baseline.len() < LITTLE && done.len() < LITTLE {
            return;
        }
        let failed_before = situation.baseline_outcomes.iter().filter(|one| bad(one.business)).count() as f64;
        let usual = failed_before / (baseline.len() as f64 - failed_before).max(1.0);
        let expected = usual.min(4.0) * done.len() as f64;
        let left: Vec<Row> = failing.iter().filter(|row| !self.is_spoken_for(row, situation.now)).copied().collect();
        let ground = Ground {
            baseline: &baseline,
            window: &left,
            people: &done,
            expected,
            expected_cost: f64::INFINITY,
            least: expected.max(0.3 * (failing.len() as f64 - expected)).max(LEAST_OUTCOMES),
            least_cost: f64::INFINITY,
        };
        for candidate in miner::mine(&ground) {
            let Some(pattern) = with_endpoint(&candidate.pattern, &left) else { continue };
            let test = BackTest::of(&pattern, &baseline, situation.protected);
            self.propose(&pattern, candidate.explains, Some(test), &failing, situation, next, acts);
        }
    }

    /// Tests a pattern and puts it into shadow.
    #[expect(clippy::too_many_arguments, reason = "two finders, one way in")]
    fn propose(
        &mut self,
        pattern: &Pattern,
        explains: f64,
        outcomes: Option<BackTest>,
        rows: &[Row],
        situation: &Situation<'_>,
        next: &mut u32,
        acts: &mut Vec<Act>,
    ) {
        let now = situation.now;
        let mut pattern = pattern.clone();
        let vouched = |pattern: &Pattern| {
            rows.iter()
                .filter(|row| row.attributes.get(Attribute::Token) != 0 && !is_overdrawn(row) && matches(pattern, row))
                .count() as u32
        };
        let test = |pattern: &Pattern| {
            let mut test = self.norms.test(pattern, situation);
            test.protected += vouched(pattern);
            test
        };
        let mut tested = test(&pattern);
        if tested.protected > 0
            && let Some(narrower) = with_no_token(&pattern)
        {
            pattern = narrower;
            tested = test(&pattern);
        }
        let outcomes = outcomes.map(|outcomes| outcomes.or(tested.at(&pattern, situation.baseline)));
        let ceiling = match outcomes {
            None => tested.ceiling(),
            Some(outcomes) if tested.protected == 0 => outcomes.ceiling_of_outcomes(),
            Some(_) => None,
        };
        let Some(ceiling) = ceiling else { return };
        let known = self.live.iter().any(|rule| rule.pattern == pattern);
        let failed = self.failed.iter().any(|(failed, until, _)| *failed == pattern && *until > now);
        let needless = known || failed || self.is_no_better(&pattern, ceiling, rows, now);
        if needless || self.is_undone(&pattern, rows) || !self.make_room(situation, acts) {
            return;
        }
        let dormant = self.dormant.iter().position(|dormant| dormant.pattern == pattern);
        let dormant = dormant.map(|at| self.dormant.remove(at));
        let id = dormant.as_ref().map_or_else(
            || {
                *next += 1;
                RuleId(*next)
            },
            |dormant| dormant.id,
        );
        let mut rule = Rule::new(id, pattern, now);
        rule.ceiling = ceiling;
        rule.business = outcomes.is_some();
        rule.test = outcomes.unwrap_or(tested);
        rule.explains = explains;
        rule.returns = dormant.map_or(0, |dormant| dormant.returns);
        rule.queue_before = situation.queue_ms;
        rule.times = self.times(situation);
        acts.push(words::proposed(&rule, &self.gallery, situation));
        self.live.push(rule);
    }

    /// How many times as many requests came over half a second as are expected.
    fn times(&self, situation: &Situation<'_>) -> f64 {
        let seen: u64 = self.slices.iter().rev().take(5).map(|slice| slice.seen).sum();
        seen as f64 * 2.0 / situation.expected_rate.max(1.0)
    }

    /// Whether people are behind a rule in shadow.
    fn verdict(&self, at: usize, situation: &Situation<'_>) -> Judged {
        let rule = &self.live[at];
        if !situation.settings.switches.veto {
            return Judged {
                verdict: Verdict::Clean,
                people: 0,
                of: 0,
                normal: self.norms.share(&rule.pattern, Shown::Some),
            };
        }
        if rule.business {
            self.judge_outcomes(&rule.pattern, situation)
        } else {
            self.judge(&rule.pattern, Shown::Some, situation)
        }
    }

    fn judge(&self, pattern: &Pattern, shown: Shown, situation: &Situation<'_>) -> Judged {
        let (seen, kept) = self.slices.iter().fold((0, 0), |sum, one| (sum.0 + one.seen, sum.1 + one.rows.len()));
        let weight = seen as f64 / kept.max(1) as f64;
        let rows = self.slices.iter().flat_map(|slice| &slice.rows);
        if pattern.iter().any(|literal| literal.attribute == Attribute::Token && literal.value == OVERDRAWN) {
            // Whatever its holders have shown, one person is not so many.
            let of = rows.filter(|row| matches(pattern, row)).count() as u32;
            return trial::compare(0, of, self.norms.share(pattern, shown));
        }
        let seconds = self.slices.len() as f64 / 10.0;
        trial::judge(pattern, rows, situation.known, shown, self.norms.share(pattern, shown), seconds, weight)
    }

    /// The same by what came of it: who logs in and pays is a person.
    fn judge_outcomes(&self, pattern: &Pattern, situation: &Situation<'_>) -> Judged {
        let done = |one: &OutcomeRow| one.business == Business::Done;
        let before = situation.baseline_outcomes;
        let normal = before.iter().filter(|one| done(one)).count() as f64 / before.len().max(1) as f64;
        let normal = if before.len() < LITTLE { 0.6 } else { normal };
        let matched = self.outcomes.iter().filter(|(_, one)| matches(pattern, &one.row));
        let (people, of) = matched.fold((0, 0), |(people, of), (_, one)| (people + u32::from(done(one)), of + 1));
        trial::compare(people, of, normal)
    }

    /// Rows of the last steps, each of which stands for as many requests.
    fn window(&self, slices: usize) -> (Vec<Row>, f64) {
        let last = || self.slices.iter().rev().take(slices).rev();
        let seen: u64 = last().map(|slice| slice.seen).sum();
        let weight = seen.div_ceil(WINDOW).max(1);
        let mut rows = Vec::new();
        for slice in last() {
            let take = (slice.seen / weight) as usize;
            let have = slice.rows.len();
            rows.extend((0..take).filter_map(|at| slice.rows.get(at * have / take.max(1))).copied());
        }
        (rows, weight as f64)
    }

    /// Of the excess, the share that rules explain which have passed their tests.
    fn explained_by_rules(&self, window: &[Row], expected: f64, expected_cost: f64, situation: &Situation<'_>) -> f64 {
        let proven: Vec<&Rule> = self
            .live
            .iter()
            .filter(|rule| rule.judged.verdict == Verdict::Clean && situation.now.since(rule.proposed) >= SHADOW)
            .collect();
        let (mut rows, mut cost, mut cost_of_all) = (0.0, 0.0, 0.0);
        for row in window {
            cost_of_all += f64::from(row.cost_us);
            if proven.iter().any(|rule| matches(&rule.pattern, row)) {
                rows += 1.0;
                cost += f64::from(row.cost_us);
            }
        }
        let usual: f64 = proven.iter().map(|rule| rule.test.share()).sum();
        let share = |matched: f64, all: f64, expected: f64| {
            if all > 1.2 * expected { (matched - usual * expected) / (all - expected) } else { 0.0 }
        };
        let by_rows = share(rows, window.len() as f64, expected);
        let by_cost = share(cost, cost_of_all, expected_cost);
        by_rows.max(by_cost).clamp(0.0, 1.0)
    }

    /// A rule matches it already, or an operator said that nothing like it shall be matched. Once a second, what a rule
    /// matches that does not stop it is up for a better one.
    fn is_spoken_for(&self, row: &Row, now: Tick) -> bool {
        let again = is_whole_second(now);
        self.live.iter().any(|rule| matches(&rule.pattern, row) && !(again && rule.is_toothless(now)))
            || self.undone.iter().any(|(pattern, _)| matches(pattern, row))
    }

    /// A rule matches most of it already and may do as much against it.
    fn is_no_better(&self, pattern: &Pattern, ceiling: Action, rows: &[Row], now: Tick) -> bool {
        let matched = || rows.iter().filter(|row| matches(pattern, row));
        self.live
            .iter()
            .filter(|rule| rule.is_toothless(now) && rule.ceiling >= ceiling)
            .any(|rule| matched().filter(|row| matches(&rule.pattern, row)).count() * 2 > matched().count())
    }

    /// Whether it is what an operator took back, under whatever name.
    fn is_undone(&self, pattern: &Pattern, rows: &[Row]) -> bool {
        self.undone.iter().any(|(undone, _)| {
            let (mut all, mut same) = (0, 0);
            for row in rows.iter().filter(|row| matches(pattern, row)) {
                all += 1;
                same += u32::from(matches(undone, row));
            }
            undone == pattern || same * 2 > all
        })
    }

    /// Method and `Accept` of what a rule matches, the newest first.
    fn asked_for(&self, at: usize) -> SmallVec<[(u32, u32); 16]> {
        let Some(rule) = self.live.get(at) else { return SmallVec::new() };
        let rows = self.slices.iter().rev().flat_map(|slice| &slice.rows);
        rows.filter(|row| matches(&rule.pattern, row))
            .take(16)
            .map(|row| (row.attributes.get(Attribute::Method), row.attributes.get(Attribute::Accept)))
            .collect()
    }

    /// The hardest action up to the wanted one with which all rules together stay within the caps. Where they do not, the
    /// rule that touches most of the ordinary traffic gives way.
    fn fit(&mut self, at: usize, wanted: Action, situation: &Situation<'_>, acts: &mut Vec<Act>) -> Action {
        let mut wanted = wanted;
        while wanted > Action::Deprioritise {
            let actions: Vec<Action> = self
                .live
                .iter()
                .enumerate()
                .map(|(other, rule)| if other == at { wanted } else { rule.acting() })
                .collect();
            let (mut refused, mut challenged) = (0_u32, 0_u32);
            // Refusing what nobody was behind on ordinary days either takes from the wider share.
            let touched = |(rule, action): (&Rule, &Action)| {
                if rule.test.deserted { Action::Challenge.min(*action) } else { *action }
            };
            for row in situation.baseline {
                let hit =
                    self.live.iter().zip(&actions).filter(|(rule, _)| !rule.business && matches(&rule.pattern, row));
                match hit.map(touched).max() {
                    Some(Action::Refuse | Action::Close) => refused += 1,
                    Some(Action::Challenge) => challenged += 1,
                    _ => {}
                }
            }
            let rows = situation.baseline.len().max(1) as f64;
            let within = f64::from(refused) / rows <= trial::REFUSED
                && f64::from(refused + challenged) / rows <= trial::CHALLENGED;
            if within {
                break;
            }
            let worst = (0..self.live.len())
                .filter(|other| actions.get(*other).is_some_and(|action| *action > Action::Deprioritise))
                .filter(|other| *other == at || !self.live[*other].pinned)
                .max_by_key(|other| self.live[*other].test.hits);
            match worst {
                Some(worst) if worst != at => {
                    let rule = &mut self.live[worst];
                    rule.action = Action::Deprioritise;
                    rule.ceiling = Action::Deprioritise;
                    acts.push(words::capped(rule, &self.gallery, situation));
                }
                _ => wanted = wanted.milder().unwrap_or(Action::Deprioritise),
            }
        }
        wanted
    }

    /// Whether there is room for one more; rules that have nothing to do give way.
    fn make_room(&mut self, situation: &Situation<'_>, acts: &mut Vec<Act>) -> bool {
        while self.live.len() >= LIVE {
            let idle = (0..self.live.len())
                .filter(|at| {
                    let rule = &self.live[*at];
                    let idle = situation.now.since(rule.last_busy) >= Duration::from_secs(2);
                    !rule.pinned && (idle || matches!(rule.phase, Phase::Relaxing(_)))
                })
                .min_by_key(|at| self.live[*at].last_busy);
            let Some(idle) = idle else { return false };
            self.withdraw(idle, "another pattern needs its place", situation, acts);
        }
        true
    }

    /// Out of force, but remembered.
    fn withdraw(&mut self, at: usize, reason: &str, situation: &Situation<'_>, acts: &mut Vec<Act>) {
        let rule = self.live.remove(at);
        if rule.phase == Phase::Shadow {
            return;
        }
        if rule.action == Action::Deprioritise {
            // It never proved itself; the next time it is looked at anew.
            acts.push(words::ended(&rule, &self.gallery, situation, reason));
            return;
        }
        acts.push(words::withdrawn(&rule, &self.gallery, situation, reason));
        if self.dormant.len() >= DORMANT {
            self.dormant.remove(0);
        }
        self.dormant.push(Dormant {
            id: rule.id,
            pattern: rule.pattern,
            action: rule.action,
            business: rule.business,
            returns: rule.returns,
            peak: rule.peak,
            matched: rule.total.matched,
            held_out: rule.held_out,
            until: situation.wall.saturating_add(DORMANT_MS),
            why: rule.why,
            surge: VecDeque::new(),
            not_before: situation.now.after(Duration::from_secs(1)),
        });
    }

    /// Remembers that a pattern was wrong.
    fn fail(&mut self, pattern: Pattern, now: Tick) {
        let strikes =
            self.failed.iter().find(|(failed, ..)| *failed == pattern).map_or(0, |(_, _, strikes)| strikes + 1);
        self.failed.retain(|(failed, ..)| *failed != pattern);
        let pause = (FAILED * 2_u32.saturating_pow(strikes.min(10))).min(FAILED_AT_MOST);
        if self.failed.len() >= DORMANT {
            self.failed.remove(0);
        }
        self.failed.push((pattern, now.after(pause), strikes));
    }

    /// What time has made void.
    fn forget(&mut self, situation: &Situation<'_>) {
        self.dormant.retain(|dormant| dormant.until > situation.wall);
        self.undone.retain(|(_, until)| *until > situation.wall);
        self.failed.retain(|(_, until, _)| situation.now.since(*until) < FAILED_AT_MOST);
    }

    fn outcome(&mut self, situation: &Situation<'_>, acts: Vec<Act>) -> RulesOutcome {
        let now = situation.now;
        let mut order: Vec<&Rule> = self.live.iter().collect();
        // The first that matches decides: what acts hardest comes first, what only looks comes last, but before what
        // stops nothing and is about to be replaced by it.
        order.sort_by_key(|rule| {
            let late = if rule.is_toothless(now) { 2 } else { u8::from(rule.phase == Phase::Shadow) };
            (late, std::cmp::Reverse(rule.share()), std::cmp::Reverse(rule.action), rule.id)
        });
        let live: Vec<LiveRule> = order.iter().map(|rule| rule.live(self.seed, situation)).collect();
        let acting = || self.live.iter().filter(|rule| rule.phase != Phase::Shadow);
        let strong = acting().any(|rule| rule.action > Action::Deprioritise && rule.presses(situation));
        let clean = self.live.iter().any(|rule| rule.judged.verdict == Verdict::Clean);
        let contrast = situation.settings.switches.contrast
            && (self.explained >= EXPLAINED || strong || (clean && self.explained >= EXPLAINED_IN_FORCE));
        RulesOutcome {
            live,
            acts,
            explained: self.explained as f32,
            contrast,
            vetoed: self.vetoed.is_some_and(|at| now.since(at) <= Duration::from_secs(5)),
            matched_rate: acting().map(Rule::rate).sum(),
            matched_expected: acting().map(|rule| rule.expected(situation)).sum(),
            in_force: acting().count(),
        }
    }
}

/// What the figures of a rule say.
enum Finding {
    Fine,
    Wrong(String),
    /// Only those who have no token.
    Narrow,
    Harder(Action, &'static str),
}

/// The first step of a second.
const fn is_whole_second(now: Tick) -> bool {
    now.0 % 1_000_000_000 < STEP
}

/// Something is wrong that a rule could mend.
fn pressed(situation: &Situation<'_>) -> bool {
    situation.rate || situation.stress || situation.business
}

/// Its token asked for more than one person does.
fn is_overdrawn(row: &Row) -> bool {
    row.attributes.get(Attribute::Token) == OVERDRAWN
}

fn may_enforce(situation: &Situation<'_>) -> bool {
    !situation.settings.watch_only && situation.settings.switches.contrast && situation.settings.switches.mining
}

/// The pattern for those only who have no token; none where it says so already or is full.
fn with_no_token(pattern: &Pattern) -> Option<Pattern> {
    let asks = pattern.iter().any(|literal| literal.attribute == Attribute::Token);
    (!asks && pattern.len() < LITERALS).then(|| with(pattern, Literal { attribute: Attribute::Token, value: 0 }))
}

/// The pattern on the endpoint that most of its rows asked for: what fails at a login is no reason to stop reading.
fn with_endpoint(pattern: &Pattern, rows: &[Row]) -> Option<Pattern> {
    if pattern.iter().any(|literal| literal.attribute == Attribute::Endpoint) {
        return Some(pattern.clone());
    }
    let matched = rows.iter().filter(|row| matches(pattern, row));
    let mut endpoints: Vec<u32> = matched.map(|row| row.attributes.get(Attribute::Endpoint)).collect();
    endpoints.sort_unstable();
    let most = endpoints.chunk_by(|one, other| one == other).max_by_key(|run| run.len())?;
    let value = *most.first()?;
    (pattern.len() < LITERALS).then(|| with(pattern, Literal { attribute: Attribute::Endpoint, value }))
}

fn with(pattern: &Pattern, literal: Literal) -> Pattern {
    let mut pattern = pattern.clone();
    pattern.push(literal);
    pattern.sort_unstable();
    pattern
}

fn to_numbers(pattern: &Pattern) -> Vec<(u8, u32)> {
    pattern.iter().map(|literal| (literal.attribute as u8, literal.value)).collect()
}

fn from_numbers(numbers: &[(u8, u32)]) -> Option<Pattern> {
    let pattern: Option<Pattern> = numbers
        .iter()
        .map(|(attribute, value)| {
            let attribute = *Attribute::ALL.get(usize::from(*attribute))?;
            Some(Literal { attribute, value: *value })
        })
        .collect();
    pattern.filter(|pattern| !pattern.is_empty() && pattern.len() <= LITERALS)
}

#[cfg(test)]
mod tests;
