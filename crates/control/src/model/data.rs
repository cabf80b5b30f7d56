//! What is said of personal data: guarded databases with what waits for a person, the register of copies, canaries, budgets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A database behind the gate, with what applications run on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GuardedDatabase {
    /// Its name.
    pub name: String,
    /// `observe` or `enforce`: whether anything is refused at all.
    pub mode: String,
    /// Sessions that are open.
    pub sessions: u64,
    /// Statements that passed since the gate began.
    pub statements: u64,
    /// Of all that came, refused.
    pub refused: u64,
    /// Rows that left.
    pub rows: u64,
    /// How each role is treated.
    pub roles: Vec<DatabaseRole>,
    /// What waits for a person: what was never approved, and what reaches further by now.
    pub waiting: Vec<WaitingStatement>,
    /// How many wait; `waiting` has the first 500.
    pub total: u64,
}

/// How the statements of a role are treated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatabaseRole {
    /// The role; `*` is every role without a line of its own.
    pub role: String,
    /// `observe`, `learn`, `enforce`.
    pub stage: String,
    /// Statements that are approved.
    pub approved: u64,
    /// Statements that were learned, and are not approved or reach further by now.
    pub waiting: u64,
    /// Statements that came while the role was held to what is approved, and are not.
    pub refused: u64,
    /// Stands for what was learned and waits, to approve all of it; none where nothing does.
    #[serde(default)]
    pub mark: Option<String>,
}

/// A statement that waits for a person. It has no constant: `?` stands in their place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WaitingStatement {
    /// Its number.
    pub key: String,
    /// Stands for this statement as it waits now, to approve it.
    #[serde(default)]
    pub mark: Option<String>,
    /// Whose.
    pub role: String,
    /// From which network; `*` is from everywhere.
    pub client: String,
    /// Its form.
    pub form: String,
    /// What it does that the form leaves out.
    pub facts: Vec<String>,
    /// How far it was seen to reach.
    pub seen: Vec<String>,
    /// How far it may reach; none where it was never approved.
    pub approved: Option<Vec<String>>,
    /// What goes beyond that, in words.
    #[serde(default)]
    pub further: Option<String>,
    /// It came while the role was held to what is approved.
    pub refused: bool,
    /// When it was first seen.
    pub first: u64,
}

/// What of a role to approve. It is done only while that is what was shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApproveStatements {
    /// Whose statements.
    #[schema(max_length = 128)]
    pub role: String,
    /// One statement, by its number; all that were learned and wait without.
    #[serde(default)]
    #[schema(max_length = 16)]
    pub key: Option<String>,
    /// As it was shown beside the role or the statement.
    #[schema(max_length = 16)]
    pub mark: String,
}

/// How a role is to be treated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RoleStage {
    /// Which; `*` is every role without a stage of its own.
    #[schema(max_length = 128)]
    pub role: String,
    /// `observe`, `learn`, `enforce`.
    pub stage: String,
    /// Even where nothing was learned, or not all that was learned is approved.
    #[serde(default)]
    pub despite: bool,
}

/// A copy of personal data, as the register has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RegisteredCopy {
    /// Its name.
    pub name: String,
    /// `web`, `database`, `side-copy`, `processor`, `credentials`.
    pub what: String,
    /// Who holds it.
    pub holder: String,
    /// What is in it, in the words of the ICO's form.
    pub categories: Vec<String>,
    /// How many people it is about, where that is known.
    pub people: Option<u64>,
    /// Since when the ledger has it in the register; none where it has not yet.
    pub since: Option<u64>,
    /// Ways to it.
    pub paths: Vec<RegisteredPath>,
}

/// A way to a copy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RegisteredPath {
    /// `http/public`, `database/members`, or a name of its own.
    pub name: String,
    /// What it is.
    pub words: String,
    /// `guarded`, `attested`, `unguarded`.
    pub custody: String,
    /// Who must watch for it to be covered.
    pub sensors: Vec<String>,
    /// Since when it is kept so; none where the ledger does not have it yet.
    pub since: Option<u64>,
    /// Of the time since the gate began, a day at most, all of them watched so much of it: 0 to 1. None where nobody is to watch.
    pub covered: Option<f64>,
    /// Why it was not watched, the longest first.
    pub gaps: Vec<PathGap>,
    /// Its last drill.
    pub drill: Option<LastDrill>,
}

/// Why a way was not watched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PathGap {
    /// Which sensor was missing.
    pub sensor: String,
    /// `no heartbeat`, `restarted`, `clock`, `dropped`, or what the sensor said.
    pub cause: String,
    /// From.
    pub from: u64,
    /// Until.
    pub until: u64,
}

/// A try of what watches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LastDrill {
    /// When.
    pub at: u64,
    /// `canary-http`, `canary-sql`, `canary-copy`, …
    pub what: String,
    /// The path or sensor that it tried.
    pub path: String,
    /// It was seen.
    pub seen: bool,
    /// What happened, in a sentence.
    pub words: String,
}

/// The canaries, and how they are tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CanaryBook {
    /// Every one, with those that are retired.
    pub canaries: Vec<CanaryLine>,
    /// The configuration names them: they are looked for.
    pub declared: bool,
    /// The last drill of each way.
    pub drills: Vec<LastDrill>,
}

/// One that does not exist and nobody should see. Its value is nowhere here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CanaryLine {
    /// `c-1`.
    pub id: String,
    /// `member`, `id`, `key`.
    pub kind: String,
    /// The domain of a member's mail; empty for others.
    pub domain: String,
    /// Where it may be seen: `PLATFORM:/path/**`, or `pg:ROLE`.
    pub homes: Vec<String>,
    /// The day it was made.
    pub planted: String,
    /// The day from which it is not looked for any more.
    pub retired: Option<String>,
    /// How often it was seen where it may not be; drills are not counted.
    pub seen: u64,
    /// When it was seen last.
    pub last_seen: Option<u64>,
    /// By which path of the register it was seen last.
    pub last_path: Option<String>,
}

/// A budget to put in force: of the records that may leave by a route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewBudget {
    /// `PLATFORM/ROUTE`, as the configuration writes its path.
    #[schema(max_length = 512)]
    pub place: String,
    /// Records an hour for each session, 1 or more.
    #[schema(minimum = 1)]
    pub records: u64,
    /// `digest` of the configuration that it was tried on; any without.
    #[serde(default)]
    #[schema(max_length = 64)]
    pub base: Option<String>,
}

/// An incident that a person opens, because the gate cannot see it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewIncident {
    /// What happened, and how you know.
    #[schema(max_length = 3000)]
    pub because: String,
    /// Platforms and databases that it concerns.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub platforms: Vec<String>,
    /// Since when; now without.
    #[serde(default)]
    pub since: Option<u64>,
}

/// What somebody states of a copy that no sensor watches, for the time of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAssurance {
    /// The copy's name in the register.
    #[schema(max_length = 200)]
    pub copy: String,
    /// That it is as it was.
    pub intact: bool,
    /// What that rests on.
    #[schema(max_length = 3000)]
    pub words: String,
    /// From when on it holds; the incident's beginning without.
    #[serde(default)]
    pub from: Option<u64>,
    /// Until when; now without.
    #[serde(default)]
    pub until: Option<u64>,
}

/// A report that was handed in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HandedIn {
    /// Which form, by its name among the drafts.
    #[schema(max_length = 128)]
    pub form: String,
    /// To whom.
    #[schema(max_length = 200)]
    pub to: String,
    /// When; now without.
    #[serde(default)]
    pub at: Option<u64>,
    /// SHA-256 of what was handed in, in 64 hexadecimal digits: whoever has the file can show that it is the one.
    #[schema(min_length = 64, max_length = 64)]
    pub sha256: String,
    /// The number that it was given there.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub receipt: String,
}
