//! The life of a rule: proposed, tested against ordinary days, watched without effect, enforced, relaxed, withdrawn.
//!
//! It never reads a clock and never touches a request: it says what the shards should match, and reads what came of it.

use portcullis_types::Tick;
use serde::{Deserialize, Serialize};

use super::act::Act;
use super::orders::{LiveRule, RuleId};
use super::posture::Posture;
use super::status::RuleStatus;
use crate::senses::Known;
use crate::senses::harvest::{OutcomeRow, Portrait, Row, RuleTally};
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
    /// Whether the channel of the rate speaks now.
    pub(crate) rate: bool,
    /// Whether the platform is under stress now.
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
    /// Whether `live` is another than at the last step.
    pub(crate) changed: bool,
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

/// The rules of one platform, live and dormant.
#[derive(Debug, Default)]
pub(crate) struct Rules {}

/// What outlives the process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SavedRules {}

impl Rules {
    /// `seed` decides whom the hold-outs fall on.
    pub(crate) fn new(seed: u64) -> Self {
        let _ = seed;
        Self::default()
    }

    /// One step. `next` is the counter of rule ids of the node.
    pub(crate) fn step(&mut self, situation: &Situation<'_>, next: &mut u32) -> RulesOutcome {
        let _ = (situation, next);
        RulesOutcome::default()
    }

    /// Keeps a rule whatever its figures say.
    pub(crate) fn pin(&mut self, rule: RuleId, platform: &str, now: Tick) -> Option<Act> {
        let _ = (rule, platform, now);
        None
    }

    /// Ends a rule at once; its pattern is not proposed again for an hour.
    pub(crate) fn undo(&mut self, rule: RuleId, platform: &str, now: Tick, wall: u64) -> Option<Act> {
        let _ = (rule, platform, now, wall);
        None
    }

    /// Whether one of that name is known here, live or dormant.
    pub(crate) fn has(&self, rule: RuleId) -> bool {
        let _ = rule;
        false
    }

    /// For `status`, the live ones first.
    pub(crate) fn status(&self) -> Vec<RuleStatus> {
        Vec::new()
    }

    /// What outlives the process.
    pub(crate) fn save(&self, wall: u64) -> SavedRules {
        let _ = wall;
        SavedRules::default()
    }

    /// Takes up what an earlier process knew; live rules come back as dormant ones.
    pub(crate) fn restore(&mut self, saved: &SavedRules, wall: u64) {
        let _ = (saved, wall);
    }
}
