//! What goes in: one enum for all that the evidence is made of, as JSON of a stable shape.
//!
//! A record says what was seen or done, in figures and names that whoever reads it later can count again. It holds no more of
//! a person than it needs to, and what it holds is in the part that can be erased. Times are milliseconds since 1970 (UTC);
//! an interval includes its beginning and excludes its end.

mod figures;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Whoever a record is from: `gate`, `http/public`, `database/members`, `files/public`. At most 64 bytes of `a-z0-9-./`.
pub type Sensor = Cow<'static, str>;

/// Whatever keeps records. The gate, the sensors and the verbs hand over; it never makes them wait for a disk.
pub trait Recorder: Send + Sync {
    /// Keeps a record. What there is no room for is counted, and told by the next record of this sensor.
    fn record(&self, sensor: &Sensor, event: Event);

    /// Takes note of how a sensor stands, which its owner says each second; the recorder counts `seq`. Whoever has said
    /// nothing for three seconds is told to be down.
    fn pulse(&self, beat: Beat);

    /// Keeps one decision about one request. It costs its caller less than a microsecond.
    fn request(&self, request: &Request<'_>);
}

/// A record where it stands in the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The leaf's position in the tree, from 0.
    pub index: u64,
    /// Whose record it is.
    pub sensor: Sensor,
    /// One more than the sensor's record before; a gap is a loss that nobody told of.
    pub seq: u64,
    /// When it was made.
    pub unix_millis: u64,
    /// What it says; none where it was erased.
    pub event: Option<Event>,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// A process of the gate began to record.
    Start(Start),
    /// It ended as it was told to.
    Stop(Stop),
    /// Each second: who was watching. Silence is evidence only between two of these.
    Beats {
        /// One for each sensor.
        beats: Vec<Beat>,
    },
    /// What could not be kept, told as soon as something can be kept again.
    Lost(Lost),
    /// What visitors asked and what they got, on one route, by one audience, over ten seconds.
    Traffic(Traffic),
    /// A platform's posture changed, or any other act of the gate or its operator.
    Act(Act),
    /// A measure of ours that a visitor can feel began or ended.
    Measure(Measure),
    /// The gate asked a platform as a visitor would, over ten seconds.
    Probe(Probe),
    /// What left by one path, over ten seconds.
    Egress(Egress),
    /// More left, or was about to leave, than a budget allows.
    Disclosure(Disclosure),
    /// A member who does not exist was seen leaving.
    Canary(Canary),
    /// What a role ran on a database, over ten seconds.
    Statements(Statements),
    /// Something is not as it was signed, or as it was before.
    Finding(Finding),
    /// Something that concerns an incident and is none of the others: credential stuffing, a way past the gate.
    Alarm(Alarm),
    /// A leak or a change that we made ourselves, to see whether it is seen.
    Drill(Drill),
    /// Configuration, rules, register or keys changed.
    Change(Change),
    /// A manifest was signed: these files may be so from now on.
    Deploy(Deploy),
    /// Somebody signed in to what administers the gate, or tried to.
    Login(Login),
    /// Which copies of personal data there are, and which paths lead to them; at each start and each change.
    Copies(Copies),
    /// What a person states about a copy or a path that nothing measures.
    Assurance(Assurance),
    /// A witness on another host has seen the tree.
    Witnessed(Witnessed),
    /// An authority has stamped the tree with a time, or did not.
    Stamped(Stamped),
    /// An incident began.
    Opened(Opened),
    /// A further wave of one began or ended.
    Wave(Wave),
    /// A person ended one.
    Closed(Closed),
    /// A person's words about one.
    Note(Note),
    /// What a person decided in one.
    Decision(Decision),
    /// Who was told.
    Told(Told),
    /// A report was handed in.
    Report(Report),
}

/// How long the erasable part of a record is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retention {
    /// Beats and figures that name nobody.
    Figures,
    /// What the gate, its sensors and its operators did.
    Acts,
    /// What names a person or an address.
    Personal,
    /// What an incident rests on.
    Incident,
}

impl Event {
    /// Reads one as it is kept. Figures, which nearly all records are, are read as the gate writes them, all else as serde reads.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(json: &[u8]) -> serde_json::Result<Self> {
        figures::read(json).map_or_else(|| serde_json::from_slice(json), Ok)
    }

    /// The kind of one as it is kept, where that stands first, as the gate writes it; empty where it does not.
    #[must_use]
    pub fn kind_of(json: &[u8]) -> &str {
        let rest = json.strip_prefix(br#"{"kind":""#).unwrap_or_default();
        let kind = rest.split(|byte| *byte == b'"').next().unwrap_or_default();
        str::from_utf8(kind).unwrap_or_default()
    }

    /// How long its erasable part is kept.
    #[must_use]
    pub const fn retention(&self) -> Retention {
        match self {
            Self::Beats { .. } | Self::Traffic(_) | Self::Probe(_) | Self::Egress(_) | Self::Statements(_) => {
                Retention::Figures
            }
            Self::Disclosure(_) | Self::Canary(_) | Self::Login(_) | Self::Alarm(_) => Retention::Personal,
            Self::Opened(_)
            | Self::Wave(_)
            | Self::Closed(_)
            | Self::Note(_)
            | Self::Decision(_)
            | Self::Told(_)
            | Self::Report(_)
            | Self::Assurance(_) => Retention::Incident,
            _ => Retention::Acts,
        }
    }
}

/// Whether a sensor sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It sees what it is there to see.
    #[default]
    Up,
    /// It runs and does not see all of it, for the reason given.
    Blind,
    /// It does not run.
    Down,
}

/// A sensor in one second.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Beat {
    /// Whose.
    pub sensor: Sensor,
    /// One more than in the second before; a sensor that began anew begins at 0.
    pub seq: u64,
    /// Whether it sees.
    #[serde(default)]
    pub state: State,
    /// Requests, statements, files: what it looked at since it began.
    pub seen: u64,
    /// What it should have looked at and did not, since it began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// Why it is blind or down.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A process began.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Start {
    /// Of the binary.
    pub version: String,
    /// SHA-256 of the binary, in hexadecimal.
    pub binary: String,
    /// SHA-256 of the configuration as it is in force.
    pub configuration: String,
    /// The node's name.
    pub node: String,
}

/// A process ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stop {
    /// `told`, `taken-over`.
    pub why: String,
}

/// What could not be kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lost {
    /// How many records, exactly.
    pub records: u64,
    /// Of how many requests nothing but their number is known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub requests: u64,
    /// How many requests are in the figures and could not be kept one by one, exactly.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rows: u64,
    /// When the first was lost.
    pub from: u64,
    /// When something could be kept again.
    pub until: u64,
    /// `disk-full`, `disk-failed`, `queue-full`, `killed`.
    pub why: String,
}

/// What visitors asked and got.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// The platform's name.
    pub platform: String,
    /// The route's pattern.
    pub route: String,
    /// `page`, `payment`, …
    pub class: String,
    /// `suspect`, `fresh`, `human`, `passed`, `history`, `crawler`, `partner`, `staff`: what the gate knew of them.
    pub audience: String,
    /// The interval.
    pub from: u64,
    /// Its end.
    pub until: u64,
    /// Requests that came.
    pub requests: u64,
    /// Those that were served.
    pub served: u64,
    /// Those that the platform failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Those that were refused, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, u64>,
    /// Those that were answered by a challenge.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub challenged: u64,
    /// Those that were sent to the waiting room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub roomed: u64,
    /// Those that waited for admission before they were served.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delayed: u64,
    /// Bytes that came in.
    pub bytes_in: u64,
    /// Bytes that went out.
    pub bytes_out: u64,
    /// Requests in the busiest second.
    pub peak: u64,
    /// Of those served, microseconds until half, 95 and 99 of a hundred were.
    #[serde(default)]
    pub micros: [u64; 3],
    /// Different visitors, about (±3 %): all, and those refused, challenged or delayed.
    #[serde(default)]
    pub visitors: [u64; 2],
}

/// What the gate or its operator did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Act {
    /// `posture`, `rule-enforced`, `rule-undone`, …
    pub what: String,
    /// The platform's name.
    pub platform: String,
    /// `r-81`, where it is about a rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// `gate` where it acted by itself, or who.
    pub by: String,
    /// The whole of it in sentences.
    pub words: String,
    /// The same as values; of a posture `from` and `to`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// What to type to undo it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub undo: String,
}

/// A measure that a visitor can feel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measure {
    /// Names it from its beginning to its end: `r-81`, `admission/public`, `room/public`.
    pub id: String,
    /// The platform's name.
    pub platform: String,
    /// `rule`, `admission`, `room`.
    pub what: String,
    /// It began, or it ended.
    pub on: bool,
    /// `slow`, `challenge`, `refuse`, …
    pub action: String,
    /// Who did it: `gate` or a name.
    pub by: String,
}

/// What the gate itself got from a platform, through its own listeners.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Probe {
    /// The platform's name.
    pub platform: String,
    /// What was asked for.
    pub path: String,
    /// The interval.
    pub from: u64,
    /// Its end.
    pub until: u64,
    /// How often it was asked for.
    pub asked: u64,
    /// How often it came, whole and right.
    pub good: u64,
    /// Microseconds that the middle one and the slowest took.
    pub micros: [u64; 2],
}

/// What left by one path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Egress {
    /// A path of the register: `http/public`, `database/members`.
    pub path: String,
    /// The route, or the role.
    pub through: String,
    /// The interval.
    pub from: u64,
    /// Its end.
    pub until: u64,
    /// Answers, or statements that returned something.
    pub answers: u64,
    /// Rows of a database.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Bytes that nobody looked at, by cause.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub uninspected: BTreeMap<String, u64>,
    /// Distinct values or records, by kind (`email`, `nhs-number`, `member`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub records: BTreeMap<String, u64>,
    /// Those of them that a declared export accounts for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub declared: u64,
}

/// A budget was reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Disclosure {
    /// A path of the register.
    pub path: String,
    /// The route, or the role.
    pub through: String,
    /// What there was too much of: `email`, `rows`, `ids`.
    pub what: String,
    /// Whose budget: `session`, `account`, `cluster`, `prefix`, `platform`, `role`, …
    pub whose: String,
    /// What is allowed.
    pub allowed: u64,
    /// What would have left, as far as it was counted.
    pub reached: u64,
    /// What did leave.
    pub left: u64,
    /// `observe`, `mask`, `truncate`, `block`, `step-up`, `cut`.
    pub action: String,
    /// It stands for so many that were not told one by one; `left` is of all of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
    /// The reference of the request or session.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// The address that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
}

/// A canary was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Canary {
    /// Its name in the register of canaries.
    pub canary: String,
    /// A path of the register of copies.
    pub path: String,
    /// The route, or the role.
    pub through: String,
    /// It left; false where it was stopped before.
    pub left: bool,
    /// `answer`, `sql`, `copy`, `sign-in` (somebody used its credentials), `mail`, …
    pub way: String,
    /// The reference of the request or session.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// The address that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// The drill that it was seen in, where it was one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub drill: String,
}

/// What a role ran.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statements {
    /// The database's name in the configuration.
    pub database: String,
    /// The role.
    pub role: String,
    /// The interval.
    pub from: u64,
    /// Its end.
    pub until: u64,
    /// Statements that went on.
    pub ran: u64,
    /// Statements that were refused, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, u64>,
    /// Statements that would have been refused, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub observed: BTreeMap<String, u64>,
    /// Sessions that were cut.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: u64,
}

/// Something is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Finding {
    /// `file-changed`, `file-added`, `file-removed`, `page-changed`, `script-added`, `certificate-changed`, `dns-changed`,
    /// `schema-changed`, `origin-reachable`, `statement-bypass`, `configuration-changed`, `browser-report`, …
    pub what: String,
    /// The platform or database that it is about.
    pub platform: String,
    /// A file's path, a page's address, a table.
    pub subject: String,
    /// What it was: a digest, or words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub before: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub after: String,
    /// What makes it right: a manifest's digest, a logged act. Empty where nothing does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub authorised: String,
    /// What happened, in a sentence.
    pub words: String,
    /// Milliseconds between the change, where that is known, and this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_millis: Option<u64>,
    /// The drill that it was found in, where it was one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub drill: String,
}

/// What a [`Finding`] is called that rests on what others say alone.
pub const HEARSAY: &str = "browser-report";

impl Finding {
    /// Whether it rests on what others say alone: anybody can say it, so it opens no incident and changes no sentence.
    #[must_use]
    pub fn is_hearsay(&self) -> bool {
        self.what == HEARSAY
    }
}

/// Something that concerns an incident.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Alarm {
    /// `credential-stuffing`, `enumeration`, `injection`, …
    pub what: String,
    /// The platform or database.
    pub platform: String,
    /// The route or role.
    pub through: String,
    /// What happened, in a sentence.
    pub words: String,
    /// How often, since the last such record.
    pub count: u64,
}

/// A drill.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Drill {
    /// Names it: `d-20261122-0914-http`.
    pub id: String,
    /// `canary-http`, `canary-sql`, `canary-copy`, `changed-page`, `changed-script`, `planted-file`, `self-test`.
    pub what: String,
    /// The path or sensor that it tried.
    pub path: String,
    /// It was seen.
    pub seen: bool,
    /// How often it was tried in this drill.
    pub tried: u64,
    /// How often it was not seen.
    pub missed: u64,
    /// Milliseconds until it was seen.
    pub millis: u64,
    /// Who asked for it: `schedule`, or a name.
    pub by: String,
    /// What happened, in a sentence.
    pub words: String,
}

/// Something about the gate itself changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Change {
    /// `configuration`, `rules`, `exclusions`, `statements`, `budgets`, `canaries`, `keys`.
    pub what: String,
    /// Who.
    pub by: String,
    /// Digest before.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub before: String,
    /// Digest after.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub after: String,
    /// In words.
    pub words: String,
}

/// Files may be so from now on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Deploy {
    /// The platform.
    pub platform: String,
    /// SHA-256 of the manifest.
    pub manifest: String,
    /// Whose signature it bears.
    pub signer: String,
    /// Who handed it to the gate; empty where it was dropped into a directory.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// How many files it names.
    pub files: u64,
    /// What the signer says of it.
    pub words: String,
}

/// Somebody signed in to what administers the gate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Login {
    /// `console`, `control`.
    pub place: String,
    /// Who.
    pub who: String,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// It was let in.
    pub good: bool,
}

/// The register: every copy of personal data, and every path to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Copies {
    /// All of them.
    pub copies: Vec<Copy>,
}

/// A copy of personal data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Copy {
    /// Its name: `members-database`, `mailing-provider`.
    pub name: String,
    /// `web`, `database`, `side-copy`, `processor`, `credentials`.
    pub what: String,
    /// Who holds it.
    pub holder: String,
    /// What is in it, in the words of the ICO's form: `basic-identifiers`, `political-opinions`, …
    pub categories: Vec<String>,
    /// How many people it is about, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<u64>,
    /// Ways to it.
    pub paths: Vec<Path>,
}

/// A way to a copy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Path {
    /// `http/public`, `database/members`, `backup-bucket`.
    pub name: String,
    /// What it is, in a few words.
    pub words: String,
    /// How it is watched.
    pub custody: Custody,
    /// Sensors that must all be up for it to be covered; they beat under these names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensors: Vec<Sensor>,
}

/// How a path is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Custody {
    /// A guard stands in it.
    Guarded,
    /// Nothing measures it; a person states how it stands.
    Attested,
    /// Nobody does.
    #[default]
    Unguarded,
}

/// What a person states about a copy that nothing measures.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Assurance {
    /// The incident, where it is about one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub incident: String,
    /// The copy's name.
    pub copy: String,
    /// Who states it.
    pub by: String,
    /// That it is as it was.
    pub intact: bool,
    /// What they rest it on.
    pub words: String,
    /// From when on it holds.
    pub from: u64,
    /// Until when.
    pub until: u64,
}

/// A witness has seen the tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Witnessed {
    /// Its name.
    pub witness: String,
    /// The size of the tree that it signed.
    pub size: u64,
    /// It did; false where it could not be asked, or refused.
    pub good: bool,
    /// In words, where it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
}

/// A time-stamping authority was asked to stamp a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stamped {
    /// Its name in the configuration.
    pub authority: String,
    /// The size of the tree that it was shown.
    pub size: u64,
    /// It stamped it; false where it could not be asked, refused, or answered something else.
    pub good: bool,
    /// When, by its clock.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub time: u64,
    /// The nonce of the question, which the stamp has: 64 bits in hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub nonce: String,
    /// SHA-256 of the stamp as it is kept, in hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// In words, where it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
}

/// An incident began.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Opened {
    /// `2026-11-22-1`.
    pub incident: String,
    /// Since when, by the first record that belongs to it.
    pub since: u64,
    /// The platforms that it concerns so far.
    pub platforms: Vec<String>,
    /// What it was opened from: one of [`Opened::CAUSES`], or a name of a person.
    pub cause: String,
    /// What happened, in a sentence.
    pub words: String,
}

impl Opened {
    /// What the gate opens one from. Any other cause is a person's name.
    pub const CAUSES: [&str; 6] = ["posture", "disclosure", "canary", "finding", "alarm", "login"];

    /// Whether a person opened it.
    #[must_use]
    pub fn is_a_persons(&self) -> bool {
        !Self::CAUSES.contains(&self.cause.as_str())
    }
}

/// A wave of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wave {
    /// The incident.
    pub incident: String,
    /// From 1.
    pub number: u32,
    /// The platforms.
    pub platforms: Vec<String>,
    /// When it began.
    pub from: u64,
    /// When it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// An incident ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Closed {
    /// Which.
    pub incident: String,
    /// Who ended it.
    pub by: String,
    /// Why they think that it is over.
    pub words: String,
}

/// A person's words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Note {
    /// The incident.
    pub incident: String,
    /// Who.
    pub by: String,
    /// What.
    pub words: String,
    /// Answers to what a form asks and nothing measures: its field, and this.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, String>,
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// The incident.
    pub incident: String,
    /// Who.
    pub by: String,
    /// What, and why.
    pub words: String,
}

/// Who was told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Told {
    /// The incident.
    pub incident: String,
    /// Who told.
    pub by: String,
    /// Whom: `members`, `board`, `press`, a name.
    pub whom: String,
    /// How, and what.
    pub words: String,
}

/// A report was handed in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// The incident.
    pub incident: String,
    /// The form: `uk-ico`, `uk-ncsc`, `eu-nis2-early-warning`, …
    pub form: String,
    /// To whom.
    pub to: String,
    /// Who handed it in.
    pub by: String,
    /// When, as they say.
    pub at: u64,
    /// SHA-256 of what was handed in.
    pub sha256: String,
    /// What the recipient gave in return.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub receipt: String,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Verdict {
    /// It was served.
    #[default]
    Served,
    /// It was refused.
    Refused,
    /// Its platform, or the gate, failed: an answer with a status of 500 or more is no service.
    Failed,
    /// It was answered by a challenge.
    Challenged,
    /// It was sent to the waiting room.
    Roomed,
}

/// One decision about one request, as it is kept in segments: wide enough for every question of an incident, and no more of
/// a visitor than an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// When it came.
    pub unix_millis: u64,
    /// The platform's name.
    pub platform: &'a str,
    /// The route's pattern.
    pub route: &'a str,
    /// `page`, `payment`, …
    pub class: &'static str,
    /// What the gate knew of the visitor.
    pub audience: &'static str,
    /// The address that asked.
    pub client: IpAddr,
    /// The fingerprint of its TLS.
    pub ja4: &'a str,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, where it was not served; else empty.
    pub reason: &'static str,
    /// The status that it got.
    pub status: u16,
    /// Bytes that came in.
    pub bytes_in: u64,
    /// Bytes that went out.
    pub bytes_out: u64,
    /// From its head to the end of its answer.
    pub micros: u64,
    /// Of these, in the queue of admission.
    pub waited_micros: u64,
}

const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_where_it_stands_is_what_serde_reads() {
        let reads = |json: &str| {
            assert_eq!(Event::read(json.as_bytes()).ok(), serde_json::from_str(json).ok(), "{json}");
            Event::read(json.as_bytes()).is_ok()
        };
        let refused = BTreeMap::from([("rate-limited".to_owned(), 3)]);
        let beat = Beat { sensor: "http/public".into(), seq: 4, seen: 9, ..Beat::default() };
        let events = [
            Event::Traffic(Traffic {
                route: "/**".into(),
                requests: 9,
                refused: refused.clone(),
                ..Traffic::default()
            }),
            Event::Egress(Egress { path: "http/public".into(), answers: 7, ..Egress::default() }),
            Event::Statements(Statements { role: "web".into(), refused, ..Statements::default() }),
            Event::Probe(Probe { good: 1, micros: [5, 6], ..Probe::default() }),
            Event::Beats { beats: vec![beat] },
            Event::Act(Act { what: "posture".into(), ..Act::default() }),
            Event::Stamped(Stamped { authority: "one".into(), good: true, ..Stamped::default() }),
        ];
        for event in events {
            let json = serde_json::to_string(&event).expect("JSON");
            assert!(reads(&json));
            // Cut anywhere it is none, and in another order it is the same.
            assert!(!reads(&json[..json.len() - 1]));
            let mut fields: serde_json::Map<_, _> = serde_json::from_str(&json).expect("an object");
            let kind = fields.remove("kind").expect("a kind");
            assert_eq!(kind, Event::kind_of(json.as_bytes()));
            fields.insert("kind".to_owned(), kind);
            assert!(reads(&serde_json::Value::Object(fields).to_string()));
        }
        for json in
            [r#"{"kind":"traffic"}"#, r#"{"kind":"beats","beats":[{}]}"#, r#"{"kind":"#, "", "[]", r#"{"kind":"x"}"#]
        {
            assert!(!reads(json), "{json}");
        }
    }

    #[test]
    fn a_record_is_json_that_names_its_kind_and_reads_back() {
        let refused = BTreeMap::from([("rate-limited".to_owned(), 3)]);
        let event = Event::Traffic(Traffic {
            platform: "public".to_owned(),
            requests: 4,
            served: 1,
            refused,
            ..Traffic::default()
        });
        let text = serde_json::to_string(&event).expect("JSON");
        assert!(text.starts_with(r#"{"kind":"traffic","platform":"public","#), "{text}");
        assert!(!text.contains("challenged"), "what did not happen takes no room: {text}");
        assert_eq!(serde_json::from_str::<Event>(&text).expect("reads back"), event);
        assert_eq!(event.retention(), Retention::Figures);
        let beats = Event::Beats { beats: vec![Beat { sensor: "http/public".into(), seq: 7, ..Beat::default() }] };
        assert_eq!(
            serde_json::to_string(&beats).expect("JSON"),
            r#"{"kind":"beats","beats":[{"sensor":"http/public","seq":7,"state":"up","seen":0}]}"#
        );
    }
}
