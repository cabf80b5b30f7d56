//! One worker's notes between two harvests.

use std::mem;
use std::time::Duration;

use portcullis_types::Tick;

use crate::brain::orders::LiveRule;
use crate::senses::harvest::{Harvest, PlatformHarvest};
use crate::senses::sight::{Outcome, Seen, Sight};

/// What became of a request that a rule matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// The rule is in shadow, or relaxed for this visitor: nothing.
    Noted,
    /// Acted upon.
    Acted,
    /// Acted upon by a challenge.
    Challenged,
    /// Let through or given the milder action, to learn what the rule changes.
    HeldOut,
}

/// Counts and samples what one worker sees, in memory that was taken before.
#[derive(Debug)]
pub struct Recorder {
    current: Harvest,
}

impl Recorder {
    /// For platforms with that many routes each. `seed` decides which requests become rows.
    #[must_use]
    pub fn new(routes: &[usize], _seed: u64, now: Tick) -> Self {
        let platforms = routes.iter().map(|_| PlatformHarvest::default()).collect();
        Self { current: Harvest { from: now, to: now, platforms, portraits: Vec::new() } }
    }

    /// Other platforms or routes after a reload. What was noted since the last harvest is dropped.
    pub fn reshape(&mut self, routes: &[usize], now: Tick) {
        *self = Self::new(routes, 0, now);
    }

    /// A request came. One in `sample` becomes a row.
    pub fn arrived(&mut self, _seen: &Seen, _sight: &Sight<'_>, _sample: u32, _cost_us: u32) {}

    /// It was put into the queue.
    pub fn queued(&mut self, _seen: &Seen) {}

    /// It was admitted after `waited`.
    pub fn admitted(&mut self, _seen: &Seen, _waited: Duration) {}

    /// Admission refused it or sent it to the waiting room.
    pub fn shed(&mut self, _seen: &Seen) {}

    /// The rule at `position` of the platform's orders matched it.
    pub fn matched(&mut self, _seen: &Seen, _position: usize, _rule: &LiveRule, _became: Matched, _cost_us: u32) {}

    /// A challenge that the rule at `position` gave was passed.
    pub fn passed(&mut self, _seen: &Seen, _position: usize) {}

    /// It ended.
    pub fn completed(&mut self, _seen: &Seen, _outcome: &Outcome, _cost_us: u32) {}

    /// A client broke the protocol.
    pub fn abused(&mut self, _platform: Option<usize>) {}

    /// What was noted since the last time.
    pub fn take(&mut self, now: Tick) -> Harvest {
        let next = Harvest { from: now, to: now, ..Harvest::default() };
        let mut taken = mem::replace(&mut self.current, next);
        taken.to = now;
        taken
    }

    /// Gives a harvest's memory back.
    pub fn recycle(&mut self, _harvest: Harvest) {}
}
