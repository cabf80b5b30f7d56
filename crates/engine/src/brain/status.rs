//! What the brain knows of itself, as values. Whoever shows it finds the words.

use serde::{Deserialize, Serialize};

use super::clause::Clause;

/// Everything that an operator may want to see.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// By position of the platform.
    pub platforms: Vec<PlatformStatus>,
    /// Announced events, past ones left out.
    pub events: Vec<EventStatus>,
    /// Memory of the brain, in bytes.
    pub bytes: usize,
}

/// How one platform stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlatformStatus {
    /// Its name.
    pub name: String,
    /// Its posture's name.
    pub posture: String,
    /// For how long, in seconds.
    pub since_seconds: f64,
    /// Why, in a sentence.
    pub why: String,
    /// The same as values; none where a sentence says more than there are values for.
    #[serde(default)]
    pub causes: Vec<Clause>,
    /// Whether an operator holds it there.
    pub forced: bool,
    /// Whether the baselines have stopped learning.
    pub frozen: bool,
    /// Channels, in the order R, S, C, P, B.
    pub channels: Vec<ChannelStatus>,
    /// What is expected here.
    pub baseline: BaselineStatus,
    /// Rules, dormant ones included.
    pub rules: Vec<RuleStatus>,
    /// What admission holds to.
    pub admission: AdmissionStatus,
}

/// How one channel stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// `rate`, `stress`, `contrast`, `protocol`, `business`.
    pub name: String,
    /// `quiet`, `weak` (arms) or `strong` (alerts), or `off`.
    pub level: String,
    /// Figures, in a sentence.
    pub figures: String,
    /// The same as values.
    #[serde(default)]
    pub clauses: Vec<Clause>,
}

/// What is expected of one platform.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BaselineStatus {
    /// Whether enough is known to expect anything.
    pub ready: bool,
    /// Requests per second expected now.
    pub expected_rps: f64,
    /// Requests per second over the last second.
    pub actual_rps: f64,
    /// The platform's own time for a request without load, in milliseconds.
    pub no_load_ms: f64,
    /// Requests kept as examples of normal traffic.
    pub rows: usize,
    /// Of people who have shown who they are.
    pub protected_rows: usize,
    /// Of the 168 hours of a week, how many are known.
    pub hours_known: usize,
    /// The announced event that pins it, if there is one.
    pub pinned_by: Option<String>,
}

/// How one rule stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// `r-81`.
    pub id: String,
    /// `shadow`, `enforced`, `relaxing`, `dormant`, `undone`.
    pub phase: String,
    /// What becomes of a match.
    pub action: String,
    /// Of the matches, so many in a hundred are acted upon.
    pub share: u8,
    /// The pattern in words.
    pub pattern: String,
    /// The same as values: all of them at once.
    #[serde(default)]
    pub literals: Vec<Clause>,
    /// An operator keeps it.
    pub pinned: bool,
    /// Requests that matched since it was proposed.
    pub matched: u64,
    /// Why, as it was told when it was enforced.
    pub why: String,
    /// What stands behind it, as values and as it is by now; nothing of one that sleeps.
    #[serde(default)]
    pub grounds: Vec<Clause>,
    /// What to type to undo it.
    pub undo: String,
}

/// What admission holds to; nothing where there is no bound.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AdmissionStatus {
    /// Requests at once for the whole platform.
    pub whole: Option<u32>,
    /// The same for classes that have a bound, by name.
    pub classes: Vec<(String, u32)>,
    /// The lowest priority that may enter the queue.
    pub cut: u8,
    /// Whether the waiting room is open.
    pub room_open: bool,
}

/// One announced event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EventStatus {
    /// Its name.
    pub name: String,
    /// The platform it concerns; none for all.
    pub platform: Option<String>,
    /// From, in Unix milliseconds.
    pub from: u64,
    /// Until, in Unix milliseconds.
    pub until: u64,
}
