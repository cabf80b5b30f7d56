//! What the console asks of the gate that it belongs to. The binary connects them.

use std::net::IpAddr;

use portcullis_engine::Command;
use portcullis_types::Prefix;

use crate::model::{
    Build, Busiest, CanaryBook, Checked, Configuration, Decisions, DeclaredTable, Differing, Draft, Drafted, Drilled,
    Edits, Explained, GuardedDatabase, HandedIn, History, IncidentLine, NewAssurance, NewConfiguration, NewIncident,
    Now, Page, Play, RegisteredCopy, Rehearsal, RehearsalLine, RuleChange, Rules, ScenarioLine, Tried, Tuning, Version,
    Wanted,
};

/// A gate, as its console sees it. Calls may block: they run on threads that may.
pub trait Desk: Send + Sync + 'static {
    /// How everything stands; without advice, which is the console's own.
    fn now(&self) -> Now;

    /// What was answered over time.
    ///
    /// # Errors
    /// Nothing is kept, or it cannot be read.
    fn history(&self, span: &Span<'_>, step: u64) -> Result<History, Fault>;

    /// Of what there was most. `by` is one of [`BUSIEST`].
    ///
    /// # Errors
    /// Nothing is kept, or it cannot be read.
    fn busiest(&self, span: &Span<'_>, by: &str, only: Option<&str>, most: usize) -> Result<Busiest, Fault>;

    /// Decisions about single requests, the newest first; `cursor` goes on behind an answer before.
    ///
    /// # Errors
    /// Nothing is kept, or it cannot be read; there is no such cursor.
    fn requests(&self, span: &Span<'_>, wish: &Wish, cursor: Option<&str>, most: usize) -> Result<Decisions, Fault>;

    /// Why a request was refused, by its reference; what a rule is; what a reason means.
    ///
    /// # Errors
    /// There is nothing by that name.
    fn explain(&self, of: &str) -> Result<Explained, Fault>;

    /// Does what a person asks of the brain. It is in the journal on return, under that person's name.
    ///
    /// # Errors
    /// The gate refuses.
    fn command(&self, command: Command, by: &str) -> Result<String, Fault>;

    /// Every incident, the newest first.
    ///
    /// # Errors
    /// Nothing is kept, or it cannot be read.
    fn incidents(&self) -> Result<Vec<IncidentLine>, Fault>;

    /// What can be said of one, in a form: for programs it is JSON.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be read.
    fn incident(&self, id: &str, form: Form) -> Result<Vec<u8>, Fault>;

    /// The forms of authorities for one, filled in as far as they can be.
    ///
    /// # Errors
    /// As [`Desk::incident`].
    fn forms(&self, id: &str) -> Result<Vec<Draft>, Fault>;

    /// Puts what a person did in an incident on record.
    ///
    /// # Errors
    /// There is none of that name, or nothing is kept.
    fn add(&self, id: &str, deed: Deed, by: &str) -> Result<String, Fault>;

    /// Opens an incident that the gate cannot see.
    ///
    /// # Errors
    /// One is open already, a platform is not known, or nothing is kept.
    fn open(&self, incident: &NewIncident, by: &str) -> Result<String, Fault>;

    /// Everything about one that is handed to others, as `portcullis incident export` writes it: a tar.
    ///
    /// # Errors
    /// As [`Desk::incident`].
    fn export(&self, id: &str) -> Result<Vec<u8>, Fault>;

    /// How the sensors beside traffic stand, as `portcullis sensors --json` has it.
    ///
    /// # Errors
    /// Nothing is watched.
    fn integrity(&self) -> Result<serde_json::Value, Fault>;

    /// Tries the sensors with something inert: all of them, or those whose name begins so.
    ///
    /// # Errors
    /// Nothing is watched, or nothing of that name.
    fn drill(&self, only: Option<&str>, by: &str) -> Result<Drilled, Fault>;

    /// What left and which budgets are proposed, as `portcullis data report --json` has it.
    fn leaving(&self) -> serde_json::Value;

    /// Databases behind the gate with what waits for a person, as `portcullis pg diff` has it.
    ///
    /// # Errors
    /// The gate refuses.
    fn databases(&self) -> Result<Vec<GuardedDatabase>, Fault>;

    /// The book of one database, as `portcullis pg show --json` has it: of one role or of all, the whole of it or what waits.
    ///
    /// # Errors
    /// There is no such database.
    fn statements(&self, database: &str, role: Option<&str>, waiting: bool) -> Result<serde_json::Value, Fault>;

    /// Does what a person decides about the statements of a role, as `portcullis pg` does.
    ///
    /// # Errors
    /// The gate refuses: what waits is not what was shown any more, or a role is not ready for that stage.
    fn decide(&self, decision: &Decision, by: &str) -> Result<String, Fault>;

    /// The register of copies of personal data, with how each way to them is watched.
    ///
    /// # Errors
    /// It cannot be read.
    fn register(&self) -> Result<Vec<RegisteredCopy>, Fault>;

    /// The canaries, as `portcullis canary list` has them, with what was seen of them.
    ///
    /// # Errors
    /// They cannot be read.
    fn canaries(&self) -> Result<CanaryBook, Fault>;

    /// The configuration with a budget in it, as `portcullis data approve` writes it. Nothing is changed by it.
    ///
    /// # Errors
    /// There is no such route, or the file cannot be edited.
    fn budget(&self, place: &str, records: u64) -> Result<NewConfiguration, Fault>;

    /// The configuration as it was written; what is secret in it is masked, unless it is asked for.
    ///
    /// # Errors
    /// It cannot be read.
    fn configuration(&self, secrets: bool) -> Result<Configuration, Fault>;

    /// Everything that is wrong with a configuration, as `portcullis check` has it, how it differs from the file, and what it would
    /// change. What is secret is masked, unless it is asked for.
    ///
    /// # Errors
    /// The file that it is held against cannot be read.
    fn check(&self, text: &str, secrets: bool) -> Result<Checked, Fault>;

    /// Every table and key that the configuration may have.
    fn keys(&self) -> Vec<DeclaredTable>;

    /// A configuration with changes by keys in it, or what is wrong with them. Nothing is changed by it. What is secret in the file is
    /// masked, unless it is asked for.
    ///
    /// # Errors
    /// The text is no TOML, there are too many changes ([`Fault::Unfit`]), or the file cannot be read.
    fn draft(&self, edits: &Edits, secrets: bool) -> Result<Drafted, Fault>;

    /// Writes a configuration in place of the one that it was made from and puts it in force; the earlier one is kept.
    ///
    /// # Errors
    /// Somebody has changed the file meanwhile ([`Fault::Stale`]), something is wrong with it, it cannot be written or the gate refuses
    /// it. Then the file is as it was, and so is what is in force.
    fn change(&self, new: &NewConfiguration, by: &str) -> Result<String, Fault>;

    /// Earlier configurations, the newest first.
    ///
    /// # Errors
    /// They cannot be read.
    fn versions(&self) -> Result<Vec<Version>, Fault>;

    /// One of them as it was written.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be read.
    fn version(&self, id: &str) -> Result<String, Fault>;

    /// Reads the configuration again and puts it in force.
    ///
    /// # Errors
    /// With what is wrong with it; the policy in force stays.
    fn reload(&self, by: &str) -> Result<String, Fault>;

    /// All that the gate says of itself, as `portcullis status --json` has it.
    fn status(&self) -> serde_json::Value;

    /// The program that runs.
    fn build(&self) -> Build;

    /// The configuration in force as it is understood; what is secret in it is masked, unless it is asked for.
    fn effective(&self, secrets: bool) -> String;

    /// Takes what is there as what should be there.
    ///
    /// # Errors
    /// Nothing is watched, or not that.
    fn baseline(&self, only: Option<&str>, by: &str) -> Result<String, Fault>;

    /// Puts a signed manifest in force.
    ///
    /// # Errors
    /// Nothing is watched, or its signatures are not enough.
    fn deploy(&self, manifest: String, by: &str) -> Result<String, Fault>;

    /// What differs from manifest or baseline.
    ///
    /// # Errors
    /// Nothing is watched, or not that.
    fn differing(&self, only: Option<&str>) -> Result<Differing, Fault>;

    /// Records of the ledger.
    ///
    /// # Errors
    /// Nothing is kept, or it cannot be read.
    fn records(&self, leaves: &Leaves) -> Result<Page, Fault>;

    /// The latest checkpoint of the ledger.
    ///
    /// # Errors
    /// As [`Desk::records`].
    fn checkpoint(&self) -> Result<String, Fault>;

    /// Whose signature the ledger's checkpoints bear.
    ///
    /// # Errors
    /// As [`Desk::records`].
    fn ledger_key(&self) -> Result<String, Fault>;

    /// The proof of a record.
    ///
    /// # Errors
    /// There is none of that number yet, or as [`Desk::records`].
    fn proof(&self, leaf: u64) -> Result<String, Fault>;

    /// What can be played here: attacks on the demo's own sample platforms, on loopback. A gate that runs has none.
    fn plays(&self) -> Vec<Play> {
        Vec::new()
    }

    /// Plays one.
    ///
    /// # Errors
    /// There is none of that name, or another is being played.
    fn play(&self, name: &str) -> Result<String, Fault> {
        Err(Fault::Unknown(format!("only the demo plays attacks, and there is no `{name}` here")))
    }

    /// What inspection found since a moment in Unix milliseconds, at most so many rules and families of a route, and how each route is
    /// inspected.
    ///
    /// # Errors
    /// Nothing is written down, or it cannot be read.
    fn rules(&self, since: u64, most: usize) -> Result<Rules, Fault> {
        let _ = (since, most);
        Err(Fault::Unable("nothing is inspected here".to_owned()))
    }

    /// The least that would have let recorded requests pass, or the one of a reference.
    ///
    /// # Errors
    /// There is none of that reference, somebody else asks for as much, or nothing can be read.
    fn exclusions(&self, since: u64, reference: Option<&str>) -> Result<Tuning, Fault> {
        let _ = (since, reference);
        Err(Fault::Unable("nothing is inspected here".to_owned()))
    }

    /// What a change of inspection would do to what is on record. `secrets` are shown in the lines that differ.
    ///
    /// # Errors
    /// It makes no sense ([`Fault::Unfit`]), somebody else asks for as much, or nothing can be read.
    fn try_rule(&self, change: &RuleChange, since: u64, secrets: bool) -> Result<Tried, Fault> {
        let _ = (change, since, secrets);
        Err(Fault::Unable("nothing is inspected here".to_owned()))
    }

    /// The configuration with such a change in it, to be put in force by [`Desk::change`].
    ///
    /// # Errors
    /// It makes no sense ([`Fault::Unfit`]), or the file cannot be read.
    fn edit_rule(&self, change: &RuleChange) -> Result<NewConfiguration, Fault> {
        let _ = change;
        Err(Fault::Unable("nothing is inspected here".to_owned()))
    }

    /// Scenarios that come with the gate.
    fn scenarios(&self) -> Vec<ScenarioLine> {
        Vec::new()
    }

    /// Begins to play a scenario against the configuration, apart from what serves visitors.
    ///
    /// # Errors
    /// There is none of that name, it is too large, or another is being played.
    fn rehearse(&self, wanted: &Wanted, by: &str) -> Result<RehearsalLine, Fault> {
        let _ = (wanted, by);
        Err(Fault::Unable("nothing is rehearsed here".to_owned()))
    }

    /// The last rehearsals, the newest first.
    fn rehearsals(&self) -> Vec<RehearsalLine> {
        Vec::new()
    }

    /// One of them.
    ///
    /// # Errors
    /// There is none of that name, or not any more.
    fn rehearsal(&self, id: &str) -> Result<Rehearsal, Fault> {
        Err(Fault::Unknown(format!("there is no rehearsal `{id}`")))
    }

    /// Stops one that is being played.
    ///
    /// # Errors
    /// It is not being played.
    fn stop(&self, id: &str, by: &str) -> Result<String, Fault> {
        let _ = by;
        Err(Fault::Unknown(format!("there is no rehearsal `{id}`")))
    }

    /// Somebody signed in, or tried to.
    fn login(&self, who: &str, from: Option<IpAddr>, good: bool);

    /// Something about the console itself was changed: an account, a key, a token.
    fn changed(&self, words: &str, by: &str);
}

/// What a person decides about the statements of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// They may run, as far as they were seen to reach.
    Approve {
        /// On which database.
        database: String,
        /// Whose.
        role: String,
        /// One of them, by its number; all that were learned and wait without.
        key: Option<String>,
        /// Stands for what was shown.
        mark: String,
    },
    /// It is treated otherwise from now on.
    Stage {
        /// On which database.
        database: String,
        /// Which.
        role: String,
        /// `observe`, `learn`, `enforce`.
        stage: String,
        /// Even where not all is approved.
        despite: bool,
    },
}

/// What can be ranked.
pub const BUSIEST: [&str; 11] =
    ["network", "address", "country", "platform", "route", "class", "audience", "print", "reason", "verdict", "status"];

/// What becomes of a request.
pub const VERDICTS: [&str; 5] = ["served", "refused", "failed", "challenged", "roomed"];

/// Which decisions are wanted beside platform and time; what is not said is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Of this route, as it is declared.
    pub route: Option<String>,
    /// From this network, or address.
    pub client: Option<Prefix>,
    /// One of [`VERDICTS`].
    pub verdict: Option<String>,
    /// For this reason.
    pub reason: Option<String>,
    /// With this status.
    pub status: Option<u16>,
    /// By a client of this TLS print.
    pub print: Option<String>,
    /// With this in method, host, path, detail or reference.
    pub text: Option<String>,
}

/// A stretch of time on one platform or all of them, in Unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    /// The platform; all of them without.
    pub platform: Option<&'a str>,
    /// From.
    pub from: u64,
    /// Until.
    pub until: u64,
}

/// Which records of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaves {
    /// From this one on.
    pub from: u64,
    /// How many at most.
    pub most: usize,
    /// Of this sensor alone.
    pub sensor: Option<String>,
    /// Of this kind alone.
    pub kind: Option<String>,
    /// From then on, in Unix milliseconds.
    pub since: Option<u64>,
    /// Before then.
    pub until: Option<u64>,
}

/// What a report is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For programs.
    Json,
    /// A page that stands by itself.
    Html,
    /// To print and to sign.
    Pdf,
    /// What the press is told, as Markdown.
    Statement,
}

/// What a person does in an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Something to remember.
    Note(String),
    /// Something that was decided.
    Decision(String),
    /// Somebody was told: whom, what.
    Told(String, String),
    /// A report was handed in.
    Handed(HandedIn),
    /// Somebody answers for a copy.
    Attested(NewAssurance),
    /// It is over.
    Close(String),
}

/// Why something was not done, in words for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is nothing by that name.
    Unknown(String),
    /// It is understood, and refused.
    Refused(String),
    /// It cannot be had now.
    Unable(String),
    /// What it is about has changed meanwhile.
    Stale(String),
    /// It makes no sense as it is.
    Unfit(String),
}
