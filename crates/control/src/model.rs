//! What the API says, version 1: one type for each thing that a screen shows. Names stay; what is added is optional to read.
//!
//! Times are Unix milliseconds, UTC. Rates are per second over the last whole second.

mod clause;
mod configuration;
mod data;
mod record;
mod rehearsal;
mod requests;
mod rules;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::clause::Clause;
pub use self::configuration::{
    Configuration, DeclaredKey, DeclaredTable, Drafted, Edit, Edits, Effect, Entry, Given, Line, Misfit,
    NewConfiguration, Restore, TableName, Text, Version, WrittenKey, WrittenTable,
};
pub use self::data::{
    ApproveStatements, CanaryBook, CanaryLine, DatabaseRole, GuardedDatabase, HandedIn, LastDrill, NewAssurance,
    NewBudget, NewIncident, PathGap, RegisteredCopy, RegisteredPath, RoleStage, WaitingStatement,
};
pub use self::record::{Build, Differing, Drilled, NewBaseline, Page, SignedManifest};
pub use self::rehearsal::{
    Assault, Cohort, Expectation, Found, Measured, PlayedAct, Rehearsal, RehearsalLine, ScenarioLine, Seconds, Wanted,
};
pub use self::requests::{DecisionLine, Decisions};
pub use self::rules::{
    ApplyRule, Finding, OwnRule, Reached, Release, RouteFindings, RuleChange, Rules, Tried, TriedRoute, TryRule,
    Tuning, Untried,
};

/// Everything on the first screen. It comes once a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Now {
    /// When it was so.
    pub at: u64,
    /// The node's name.
    pub node: String,
    /// Of the program.
    pub version: String,
    /// Counts the policies that this process has had in force.
    pub generation: u64,
    /// It takes no new connections.
    pub draining: bool,
    /// Client connections held.
    pub connections: u64,
    /// By declaration.
    pub platforms: Vec<Platform>,
    /// Announced events that are not over.
    pub events: Vec<Announced>,
    /// The incident that is open.
    pub incident: Option<IncidentLine>,
    /// Sensors that do not see, by name, with why.
    pub blind: BTreeMap<String, String>,
    /// Sensors that see.
    pub watching: u64,
    /// Whether evidence is kept: without it there are no rates, no history and nobody who is hurt.
    pub evidence: bool,
    /// What to do next, the most urgent first; never empty.
    pub advice: Vec<Advice>,
}

/// How one platform stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Platform {
    /// Its name.
    pub name: String,
    /// `normal`, `elevated`, `attack`, `overload`, `recovery`.
    pub posture: String,
    /// Since when.
    pub since: u64,
    /// Why, in a sentence.
    pub why: String,
    /// The same as values; none where the sentence says more than there are values for.
    #[serde(default)]
    pub causes: Vec<Clause>,
    /// An operator holds it there.
    pub held: bool,
    /// What it is taken for: `calm`, `crowd` (more people than usual, and nothing speaks of an attack), `attack`, `strain` (the platform
    /// suffers and nobody is to blame yet), `unknown` (too little is known of what is normal).
    pub reading: String,
    /// What speaks for it.
    pub signs: Vec<Sign>,
    /// Requests per second that are expected now; none before enough is known.
    pub expected: Option<f64>,
    /// Over the last whole second; none where no evidence is kept.
    pub rates: Option<Rates>,
    /// Milliseconds in which 50, 95 and 99 of a hundred served requests were answered in that second.
    pub millis: Option<[f64; 3]>,
    /// What stands behind the gate.
    pub origins: Vec<Origin>,
    /// What holds somebody or could.
    pub measures: Vec<Measure>,
    /// Who was served and who was not over the last ten seconds, by what the gate knew of them.
    pub people: Vec<Audience>,
}

/// One kind of sign.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sign {
    /// `rate`, `stress`, `contrast`, `protocol`, `business`.
    pub name: String,
    /// `quiet`, `weak`, `strong`, `off`.
    pub level: String,
    /// Figures, in a sentence.
    pub figures: String,
    /// The same as values.
    #[serde(default)]
    pub clauses: Vec<Clause>,
}

/// What became of requests, per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rates {
    /// That came.
    pub requests: f64,
    /// Answered by the platform.
    pub served: f64,
    /// Of those, that waited first.
    pub delayed: f64,
    /// Answered by a challenge.
    pub challenged: f64,
    /// Sent to the waiting room.
    pub roomed: f64,
    /// Refused.
    pub refused: f64,
    /// That the platform failed.
    pub failed: f64,
}

/// A server behind the gate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Origin {
    /// Its URL.
    pub url: String,
    /// Whether it takes requests; none where nobody has looked.
    pub healthy: Option<bool>,
}

/// What holds somebody or could.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Measure {
    /// `r-81`; `admission/PLATFORM`, `room/PLATFORM` for what is not a rule.
    pub id: String,
    /// `rule`, `admission`, `room`.
    pub kind: String,
    /// `shadow`, `enforced`, `relaxing`, `dormant`, `undone`; `on` for what is not a rule.
    pub phase: String,
    /// What becomes of a match: `wait`, `challenge`, `refuse`, …
    pub action: String,
    /// Of the matches, so many in a hundred are acted upon.
    pub share: u8,
    /// What it looks for, in words.
    pub pattern: String,
    /// The same as values: all of them at once.
    #[serde(default)]
    pub literals: Vec<Clause>,
    /// Why, as it was told when it was enforced: the excess that it explains, and whom it would have hit on an ordinary day.
    pub why: String,
    /// What stands behind it, as values and as it is by now; none where that is not known any more.
    #[serde(default)]
    pub grounds: Vec<Clause>,
    /// Requests that matched since it was proposed.
    pub matched: u64,
    /// An operator keeps it.
    pub pinned: bool,
    /// Whether it can be undone here.
    pub undo: bool,
}

/// Visitors by what the gate knew of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Audience {
    /// `suspect`, `fresh`, `human`, `passed`, `history`, `crawler`, `partner`, `staff`.
    pub name: String,
    /// Whether these are people who have shown that they are, or whom the organisation vouches for.
    pub known: bool,
    /// Requests of theirs.
    pub requests: u64,
    /// Of those, refused.
    pub refused: u64,
    /// Of those, answered by a challenge or the waiting room.
    pub held: u64,
    /// Of those, that waited before they were served.
    pub delayed: u64,
    /// Different visitors, about: all, and those touched.
    pub visitors: [u64; 2],
}

/// A crowd that is expected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Announced {
    /// Its name.
    pub name: String,
    /// The platform it concerns; none for all.
    pub platform: Option<String>,
    /// From.
    pub from: u64,
    /// Until.
    pub until: u64,
}

/// An incident in a line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentLine {
    /// `2026-05-17-1`.
    pub id: String,
    /// What it is, in a sentence.
    pub words: String,
    /// Since when.
    pub since: u64,
    /// When it was closed; none while it is open.
    pub closed: Option<u64>,
    /// Who closed it.
    pub closed_by: Option<String>,
    /// How many waves there were.
    pub waves: u64,
    /// What was attacked.
    pub platforms: Vec<String>,
}

/// What to do, and what that would cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Advice {
    /// `nothing`, `undo`, `look`, `hold`, `drill`, `close`, `report`, `origin`: what a screen shows a button for.
    pub kind: String,
    /// What it is about: a measure, a platform, an incident, a sensor.
    pub about: String,
    /// What to do.
    pub words: String,
    /// What it costs, and whom.
    pub cost: String,
    /// What to do, as values.
    #[serde(default)]
    pub said: Option<Clause>,
    /// What it costs, as values.
    #[serde(default)]
    pub price: Option<Clause>,
}

/// Something that happened, as the live stream tells it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Happening {
    /// When.
    pub at: u64,
    /// `posture`, `rule-enforced`, `login`, `finding`, `incident`, …
    pub kind: String,
    /// The platform, where it is about one.
    pub platform: Option<String>,
    /// Who did it: `gate`, or a person.
    pub by: String,
    /// The whole of it.
    pub words: String,
    /// What it comes to, as values, where there are any: less than the words say.
    #[serde(default)]
    pub said: Option<Clause>,
}

/// A line of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// The platform; none for all.
    pub platform: Option<String>,
    /// Beginning of the first point.
    pub from: u64,
    /// End of the last.
    pub until: u64,
    /// Milliseconds of one point.
    pub step: u64,
    /// Requests in it of which nothing is known any more.
    pub missing: u64,
    /// From when on which posture stood.
    pub postures: Vec<Stance>,
    /// What was in force meanwhile on the platform, or on any: the newest five hundred, the oldest of them first.
    pub measures: Vec<Stretch>,
    /// How many more measures there were, all older than those.
    pub more_measures: u64,
    /// One list for each figure, all as long as `at`, so that a day by the second is small. Seconds without a request are left out.
    pub points: Points,
}

/// From when on a posture stood.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stance {
    /// From when on.
    pub at: u64,
    /// Which.
    pub posture: String,
}

/// A measure while it was in force, as the record has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stretch {
    /// `r-81`, `admission/PLATFORM`, `room/PLATFORM`.
    pub id: String,
    /// `rule`, `admission`, `room`.
    pub kind: String,
    /// What became of who it held: `wait`, `challenge`, `refuse`, …
    pub action: String,
    /// The platform.
    pub platform: String,
    /// Who began it: `gate`, or a person.
    pub by: String,
    /// From when on.
    pub from: u64,
    /// Until when; none while it lasts.
    pub until: Option<u64>,
    /// Nobody ended it: the gate began anew then.
    pub cut: bool,
}

/// Points of a line of time, by column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Points {
    /// When each begins, in steps after `from`.
    pub at: Vec<u64>,
    /// Requests that came.
    pub requests: Vec<u64>,
    /// Answered by the platform.
    pub served: Vec<u64>,
    /// That waited first.
    pub delayed: Vec<u64>,
    /// Answered by a challenge.
    pub challenged: Vec<u64>,
    /// Sent to the waiting room.
    pub roomed: Vec<u64>,
    /// Refused.
    pub refused: Vec<u64>,
    /// That the platform failed.
    pub failed: Vec<u64>,
    /// Milliseconds in which 95 of a hundred were served.
    pub p95: Vec<f64>,
}

/// Of what there was most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Busiest {
    /// By what.
    pub by: String,
    /// From.
    pub from: u64,
    /// Until.
    pub until: u64,
    /// All requests.
    pub requests: u64,
    /// Each count may be more by so many.
    pub short: u64,
    /// The most frequent first.
    pub values: Vec<Counted>,
}

/// A value and how often it came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Counted {
    /// The value.
    pub value: String,
    /// Requests.
    pub requests: u64,
}

/// Why something was decided.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explained {
    /// The reference, rule or reason that was asked for.
    pub of: String,
    /// In words.
    pub words: String,
    /// The same step by step: what happened and why, then the way through the gate.
    #[serde(default)]
    pub steps: Vec<ExplainedStep>,
}

/// A step of what happened to a request, of what was done about a rule, or of what a reason means.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedStep {
    /// What it is about: `outcome`, `reason`, `hint`, `listener`, `visitor`, `trust`, `route`, `posture`, `measures`, `observed`, `found`,
    /// `exclusion`, `statement`, `origin`, `left`, `when`, `act`, …
    pub part: String,
    /// In words.
    pub words: String,
    /// The same as values. What somebody else wrote stands in names alone, bounded and without control characters.
    #[serde(default)]
    pub said: Vec<Clause>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// In words.
    pub words: String,
}

/// What went wrong, as RFC 9457 has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says which.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What to do about it.
    pub detail: String,
}

/// Who is signed in, and what may be done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Who; none when nobody is.
    pub person: Option<Person>,
    /// Goes back in `X-Portcullis-Csrf` with whatever changes something.
    pub csrf: Option<String>,
    /// Nobody has an account yet: the link that the gate has printed makes the first.
    pub fresh: bool,
    /// Ways to sign in: `password`, `passkey`, `oidc`.
    pub ways: Vec<String>,
    /// What the organisation's provider is called, for `oidc`.
    pub provider: Option<String>,
    /// The organisation's name.
    pub organisation: String,
    /// How everything stands, where that was asked for by whoever may know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Now>,
}

/// Who is told when something is wrong, and what they were told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alerts {
    /// By declaration.
    pub channels: Vec<AlertChannel>,
    /// What is going on.
    pub open: Vec<Trouble>,
}

/// One that is told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertChannel {
    /// Its name.
    pub name: String,
    /// `webhook`, `email`, `ntfy`, `slack`, `teams`, `mattermost`.
    pub kind: String,
    /// From what on: `notice`, `warning`, `page`.
    pub min: String,
    /// Messages that wait.
    pub waiting: u64,
    /// Messages that arrived, since the gate began.
    pub sent: u64,
    /// When the last one did.
    pub last_sent: Option<u64>,
    /// Messages that were given up after several tries.
    pub given_up: u64,
    /// Why the last try failed that did.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<u64>,
}

/// Something that somebody was or will be told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trouble {
    /// What it is, in the organisation's language.
    pub title: String,
    /// A platform, a sensor, an incident, a report.
    pub about: String,
    /// `notice`, `warning`, `page`.
    pub level: String,
    /// Details.
    pub words: String,
    /// Since when.
    pub since: u64,
    /// Who has said that they know.
    pub acknowledged: Option<String>,
}

/// Somebody with an account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Person {
    /// By which acts are signed.
    pub name: String,
    /// What may be done.
    pub role: Role,
    /// A second factor is set up.
    pub totp: bool,
    /// How many passkeys there are.
    pub passkeys: u64,
    /// When this person last signed in.
    pub seen: Option<u64>,
    /// The organisation's provider vouches for them, and says the role.
    pub federated: bool,
}

/// What somebody may do; each may what the one before may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    #[default]
    Viewer,
    /// Act on measures, postures, events and incidents.
    Operator,
    /// Change the configuration, people and keys.
    Owner,
}

impl Role {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

/// What somebody proposed that takes a second person.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Proposal {
    /// To approve or refuse it.
    pub id: String,
    /// Of which kind, as `console.approvals` has it.
    pub act: String,
    /// What would be done.
    pub words: String,
    /// Who proposed it: a person, or a token of theirs.
    pub by: String,
    /// The person behind it, who cannot approve it.
    #[serde(default)]
    pub person: String,
    /// Who may approve it.
    #[serde(default)]
    pub least: Role,
    /// When.
    pub made: u64,
    /// When it is forgotten.
    pub until: u64,
    /// Of a change of the configuration, the lines that differ.
    #[serde(default)]
    pub diff: Vec<Line>,
}

/// A name and a password, and the code of the second factor once it is set up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignIn {
    /// Whose.
    pub name: String,
    /// At least twelve characters.
    pub password: String,
    /// Six digits (RFC 6238).
    #[serde(default)]
    pub code: Option<String>,
}

/// What a one-time link makes: an account, or a new password for one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Welcome {
    /// What stands behind `#` in the link.
    pub link: String,
    /// By which acts are to be signed; a link for somebody has it already.
    #[serde(default)]
    pub name: Option<String>,
    /// At least twelve characters.
    pub password: String,
}

/// A second factor that waits for its first code.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Enrolment {
    /// For an authenticator (`otpauth://`).
    pub url: String,
    /// The same, to type, in base32.
    pub secret: String,
}

/// A code of the second factor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Code {
    /// Six digits.
    pub code: String,
}

/// One of somebody's own sessions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OwnSession {
    /// To end it. It opens nothing.
    pub id: String,
    /// When it began.
    pub made: u64,
    /// When it was last used, to the minute.
    pub seen: u64,
    /// From which address it began.
    pub from: Option<String>,
    /// How: `password`, `passkey`, `link`, `oidc`.
    pub way: String,
    /// It is the one that asks.
    pub here: bool,
}

/// A failed try to sign in under somebody's name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FailedTry {
    /// When.
    pub at: u64,
    /// From which address.
    pub from: Option<String>,
    /// How: `password`, `passkey`, `oidc`.
    pub way: String,
}

/// A passkey, as it is known here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Passkey {
    /// To revoke it.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// It may be on several devices of its owner, kept alike by their maker; else it is on one.
    pub synced: bool,
    /// When it was made.
    pub made: u64,
    /// When it last let somebody in.
    pub used: Option<u64>,
}

/// A passkey that a device has made: `RegistrationResponseJSON` of WebAuthn, as `toJSON()` of the credential has it. What else stands
/// there is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PasskeyMade {
    /// In base64url, as all bytes here.
    pub id: String,
    /// What the device says.
    pub response: PasskeyMadeResponse,
    /// What to call it; `Passkey 1` and so on without.
    #[serde(default)]
    pub name: Option<String>,
}

/// What a device says of a passkey that it has made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PasskeyMadeResponse {
    /// What the browser says.
    #[serde(rename = "clientDataJSON")]
    pub client_data_json: String,
    /// What the device says.
    #[serde(rename = "attestationObject")]
    pub attestation_object: String,
}

/// A passkey that signed: `AuthenticationResponseJSON` of WebAuthn, as `toJSON()` of the credential has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PasskeyUsed {
    /// Which, in base64url, as all bytes here.
    pub id: String,
    /// What the device says.
    pub response: PasskeyUsedResponse,
}

/// What a device says that was asked who is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PasskeyUsedResponse {
    /// What the browser says.
    #[serde(rename = "clientDataJSON")]
    pub client_data_json: String,
    /// What the device says.
    #[serde(rename = "authenticatorData")]
    pub authenticator_data: String,
    /// Of both.
    pub signature: String,
    /// Whose the passkey is.
    #[serde(rename = "userHandle", default)]
    pub user_handle: Option<String>,
}

/// Where a browser is to go, so that the organisation's provider says who is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OidcAway {
    /// A page of the provider.
    pub url: String,
}

/// What the provider has sent a browser back with: what stands behind `?` in the address.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OidcReturn {
    /// As it was sent away with.
    pub state: String,
    /// Good for a token, once.
    #[serde(default)]
    pub code: Option<String>,
    /// Why there is no code.
    #[serde(default)]
    pub error: Option<String>,
    /// The provider, as it names itself (RFC 9207).
    #[serde(default)]
    pub iss: Option<String>,
}

/// Whom to invite.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Invite {
    /// By which acts are to be signed.
    pub name: String,
    /// What may be done.
    pub role: Role,
}

/// A link that works once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// To be opened in a browser.
    pub url: String,
    /// Until when.
    pub until: u64,
}

/// What a program may do in somebody's name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// To revoke it.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// Who made it.
    pub by: String,
    /// What may be done.
    pub role: Role,
    /// Parts of the API that it opens; all of them if empty.
    pub scopes: Vec<String>,
    /// When it was made.
    pub made: u64,
    /// When it ends.
    pub until: u64,
    /// When it was last used.
    pub used: Option<u64>,
}

/// A token to make.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// Not more than who makes it may.
    pub role: Role,
    /// `now`, `traffic`, `measures`, `incidents`, `integrity`, `data`, `settings`; all of them if empty.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Days until it ends: 1 to 366.
    pub days: u32,
}

/// A token, shown once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MadeToken {
    /// What is known of it afterwards.
    pub token: Token,
    /// To be sent as `Authorization: Bearer`.
    pub secret: String,
}

/// Where a platform is to be held.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// `normal`, `elevated`, `attack`, `overload`, `recovery`; `auto` lets the gate decide.
    pub posture: String,
}

/// Words of a person about an incident.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Words {
    /// What is to be on record.
    pub words: String,
    /// Whom it was told, for `told`.
    #[serde(default)]
    pub whom: Option<String>,
}

/// A form for an authority, filled in as far as it can be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Draft {
    /// The form.
    pub id: String,
    /// What it is.
    pub title: String,
    /// By when it is due; none where there is no deadline, or it has not begun.
    pub due: Option<u64>,
    /// What only a person knows: the question, and how it is answered.
    pub missing: Vec<String>,
    /// The draft, in Markdown.
    pub markdown: String,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Checked {
    /// All of it; with no `error` among them it could be put in force.
    pub problems: Vec<Wrong>,
    /// SHA-256, in hexadecimal, of the file that it was held against.
    pub digest: String,
    /// Lines that differ from the file, with three around them; at most 2,000.
    pub diff: Vec<Line>,
    /// There are more lines than that.
    pub cut: bool,
    /// Lines that come.
    pub more: u64,
    /// Lines that go.
    pub less: u64,
    /// What would be different from what is in force now; nothing is told while there is an `error`.
    pub effect: Vec<Effect>,
    /// What of it takes effect at the next start only.
    pub later: Vec<String>,
    /// What is in it, in a line, as `portcullis check` says it; empty while there is an `error`.
    #[serde(default)]
    pub extent: String,
    /// Where the file is on the gate's machine.
    #[serde(default)]
    pub file: String,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Wrong {
    /// `error` or `warning`.
    pub severity: String,
    /// Stable name of this kind of problem.
    pub code: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// Where, from 1.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    /// A few words about the place.
    pub label: String,
    /// What to write instead, or where to look.
    pub hints: Vec<String>,
    /// Which bytes of the text it is about: the first, and the one behind the last.
    #[serde(default)]
    pub span: [u64; 2],
    /// Another place that matters.
    #[serde(default)]
    pub second: Option<Place>,
    /// The table that it is about, from the top; empty where it is about none, and for problems beyond the first two hundred.
    #[serde(default)]
    pub at: Vec<TableName>,
    /// The key in that table; empty where it is about the table.
    #[serde(default)]
    pub key: String,
}

/// A place in a configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// Which bytes of the text: the first, and the one behind the last.
    pub span: [u64; 2],
    /// Why it matters.
    pub label: String,
}

/// An attack that the demo can play on itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Play {
    /// Its name.
    pub name: String,
    /// What it does, in a sentence.
    pub about: String,
}
