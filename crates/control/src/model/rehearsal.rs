//! Rehearsals: a scenario played against the configuration, and what came of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A scenario that comes with the gate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScenarioLine {
    /// To play it.
    pub name: String,
    /// What it is about, in a sentence.
    pub title: String,
    /// As it is written, to be changed and played as one's own.
    pub text: String,
}

/// What to play: a scenario by its name, or one's own as a text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// One that comes with the gate.
    #[serde(default)]
    #[schema(max_length = 64)]
    pub name: Option<String>,
    /// Or a scenario file, at most 64 KiB. It lasts an hour at most.
    #[serde(default)]
    #[schema(max_length = 65536)]
    pub text: Option<String>,
    /// Decides everything left to chance; 1 without.
    #[serde(default)]
    pub seed: Option<u64>,
}

/// A rehearsal, without what it found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RehearsalLine {
    /// To look at it, and to stop it.
    pub id: String,
    /// The scenario's name; empty where it is somebody's own and not read yet.
    pub scenario: String,
    /// The seed that it is played with.
    pub seed: u64,
    /// Who asked for it.
    pub by: String,
    /// When it began.
    pub begun: u64,
    /// When it ended; none while it is played.
    pub ended: Option<u64>,
    /// `playing`, `holds`, `fails` (an expectation is not met), `stopped`, `wrong` (it could not be played).
    pub state: String,
    /// Why it could not be played or was stopped.
    pub words: String,
}

/// A rehearsal, with what it found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rehearsal {
    /// Which, and how it stands.
    pub line: RehearsalLine,
    /// What it found; none before it is over.
    pub found: Option<Found>,
}

/// What a rehearsal found, as `portcullis rehearse --json` has it, and second by second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Found {
    /// The scenario's name.
    pub scenario: String,
    /// What it is about, in a sentence.
    pub title: String,
    /// The seed that it was played with.
    pub seed: u64,
    /// Whether every expectation is met.
    pub passed: bool,
    /// What was expected, and what came.
    pub expectations: Vec<Expectation>,
    /// Everything else that was measured.
    pub figures: Vec<Measured>,
    /// Attacks, in seconds since the world began.
    pub attacks: Vec<Assault>,
    /// Second by second, by column.
    pub timeline: Seconds,
    /// What legitimate visitors met.
    pub cohorts: Vec<Cohort>,
    /// What the gate did, the first of it.
    pub acts: Vec<PlayedAct>,
    /// So many more.
    pub more_acts: u64,
    /// SHA-256 over every decision and act in order: the same configuration, scenario and seed have the same.
    pub log_hash: String,
    /// All of it for a terminal, as `portcullis rehearse` prints it.
    #[serde(default)]
    pub text: String,
}

/// One expectation, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Expectation {
    /// The figure's name; with ` at least` behind it where the limit is one from below.
    pub name: String,
    /// What the figure is.
    pub about: String,
    /// What was measured; none where it never happened.
    pub value: Option<f64>,
    /// What it must not pass, or must reach.
    pub limit: f64,
    /// Of both.
    pub unit: String,
    /// Whether it is met.
    pub passed: bool,
}

/// One figure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// What it is.
    pub about: String,
    /// What was measured.
    pub value: f64,
    /// Its unit.
    pub unit: String,
}

/// An attack's time, in seconds since the world began.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Assault {
    /// Its name.
    pub name: String,
    /// From.
    pub from: f64,
    /// Until.
    pub until: f64,
}

/// Points of a rehearsal, by column; all as long as `second`. Counts are of the whole point, the rest is its gravest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Seconds {
    /// End of each point, in seconds since the world began.
    pub second: Vec<u32>,
    /// Requests of legitimate visitors.
    pub legitimate: Vec<u64>,
    /// Of those, refused by the gate.
    pub legitimate_refused: Vec<u64>,
    /// Requests of attackers.
    pub attack: Vec<u64>,
    /// Of those, what reached a platform.
    pub attack_passed: Vec<u64>,
    /// The slowest hundredth of legitimate requests took so long, in milliseconds.
    pub p99_ms: Vec<f64>,
    /// The gravest posture of any platform.
    pub posture: Vec<String>,
}

/// What the sessions of one cohort met.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cohort {
    /// Its name, as the scenario has it.
    pub name: String,
    /// Whether nothing may ever refuse them.
    pub protected: bool,
    /// Sessions.
    pub sessions: u64,
    /// Sessions of which a request was refused.
    pub refused: u64,
    /// Sessions that met a challenge.
    pub challenged: u64,
    /// Of those, the ones that did not get past it.
    pub failed: u64,
    /// Sessions of which a request waited for more than two seconds.
    pub delayed: u64,
    /// Sessions that went away without what they came for.
    pub unserved: u64,
}

/// What the gate did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlayedAct {
    /// Seconds since the world began.
    pub at: f64,
    /// The whole of it.
    pub words: String,
}
