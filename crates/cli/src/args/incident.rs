//! Flags of `portcullis incident`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::remote::Remote;
use super::{DEFAULT_CONFIG, since};
use crate::moment::Moment;

/// What is asked of `incident`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Incident {
    #[command(subcommand)]
    pub(crate) ask: AskIncident,
}

/// Verbs of `incident`.
#[derive(Debug, Subcommand)]
pub(crate) enum AskIncident {
    /// List the incidents of a ledger.
    List(Listed),
    /// Say what happened, what was harmed, what was not, and how sure that is.
    Show(Shown),
    /// Print the statement to the press: each sentence with its grade and what it rests on, and what must not be said.
    Statement(Shown),
    /// Write everything to a directory that verifies offline: report, forms, statement, notices, machine forms, proofs.
    Export(Export),
    /// Open an incident that the gate does not see: somebody telephoned, a letter came.
    ///
    /// Whatever the gate sees from then on belongs to it, until a person closes it. While one is open there is no other.
    Open(Open),
    /// Add words to an incident, or answer what a form asks and nothing measures.
    Note(Note),
    /// Write down what was decided, and why.
    Decide(Words),
    /// Write down who was told, and how.
    Told(Told),
    /// Write down that a report was handed in: to whom, when, its hash, the receipt.
    Report(Handed),
    /// State how a copy of personal data stood that nothing measures.
    Attest(Attest),
    /// End an incident. Only a person does.
    Close(Words),
}

/// Which ledger.
#[derive(Debug, Args)]
pub(crate) struct Records {
    /// The configuration file, which names the evidence, the organisation and the control socket.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "url")]
    pub(crate) config: PathBuf,
    /// The directory of the evidence itself, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// One JSON object, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which incidents.
#[derive(Debug, Args)]
pub(crate) struct Listed {
    #[command(flatten)]
    pub(crate) of: Records,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Which incident.
#[derive(Debug, Args)]
pub(crate) struct Shown {
    /// Its name, such as 2026-11-22-1, or last.
    #[arg(value_name = "INCIDENT", default_value = "last")]
    pub(crate) incident: String,
    /// Do not have the gate try its sensors first, which takes two minutes at most. What is said says so, and bears less.
    #[arg(long)]
    pub(crate) no_drill: bool,
    #[command(flatten)]
    pub(crate) of: Records,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Flags of `export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Its name, such as 2026-11-22-1, or last.
    #[arg(value_name = "INCIDENT")]
    pub(crate) incident: String,
    /// Where to: a directory that does not exist yet, or is empty.
    #[arg(value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// A directory with forms (TOML) instead of those that are built in.
    #[arg(long, value_name = "DIR")]
    pub(crate) forms: Option<PathBuf>,
    /// Do not have the gate try its sensors first, which takes two minutes at most. What is said says so, and bears less.
    #[arg(long)]
    pub(crate) no_drill: bool,
    #[command(flatten)]
    pub(crate) of: Records,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Flags of `open`.
#[derive(Debug, Args)]
pub(crate) struct Open {
    /// What happened, and how you know.
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: String,
    /// A platform or database that it concerns; may be given again.
    #[arg(long, value_name = "NAME")]
    pub(crate) platform: Vec<String>,
    /// Since when, where it did not begin now: RFC 3339, `HH:MM` today (UTC), or `2h` ago.
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<Moment>,
    #[command(flatten)]
    pub(crate) of: Records,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Words about an incident.
#[derive(Debug, Args)]
pub(crate) struct Words {
    /// Its name, such as 2026-11-22-1, or last.
    #[arg(value_name = "INCIDENT")]
    pub(crate) incident: String,
    /// What is written down.
    #[arg(value_name = "WORDS")]
    pub(crate) words: String,
    #[command(flatten)]
    pub(crate) of: Records,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Flags of `note`.
#[derive(Debug, Args)]
pub(crate) struct Note {
    /// Its name, such as 2026-11-22-1, or last.
    #[arg(value_name = "INCIDENT")]
    pub(crate) incident: String,
    /// What is written down.
    #[arg(value_name = "WORDS", default_value = "")]
    pub(crate) words: String,
    /// An answer to what a form asks; may be given again.
    #[arg(long = "answer", value_name = "FIELD=TEXT")]
    pub(crate) answers: Vec<String>,
    #[command(flatten)]
    pub(crate) of: Records,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Flags of `told`.
#[derive(Debug, Args)]
pub(crate) struct Told {
    /// Its name, such as 2026-11-22-1, or last.
    #[arg(value_name = "INCIDENT")]
    pub(crate) incident: String,
    /// Whom: members, board, press, a name.
    #[arg(value_name = "WHOM")]
    pub(crate) whom: String,
    /// How, and what.
    #[arg(value_name = "WORDS")]
    pub(crate) words: String,
    #[command(flatten)]
    pub(crate) of: Records,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Flags of `report`.
#[derive(Debug, Args)]
pub(crate) struct Handed {
    /// Its name, such as 2026-11-22-1, or last.
    #[arg(value_name = "INCIDENT")]
    pub(crate) incident: String,
    /// The form, such as uk-ico or eu-nis2-early-warning.
    #[arg(value_name = "FORM")]
    pub(crate) form: String,
    /// To whom it was handed in.
    #[arg(long, value_name = "WHOM")]
    pub(crate) to: String,
    /// What was handed in; its hash is recorded.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// When it was handed in; now where nothing is said.
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub(crate) at: Option<Moment>,
    /// What the recipient gave in return: a reference, a number.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) receipt: String,
    #[command(flatten)]
    pub(crate) of: Records,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Flags of `attest`.
#[derive(Debug, Args)]
pub(crate) struct Attest {
    /// The copy's name in the register.
    #[arg(value_name = "COPY")]
    pub(crate) copy: String,
    /// What the statement rests on.
    #[arg(value_name = "WORDS")]
    pub(crate) words: String,
    /// The incident that it is about, where it is about one: it then covers its time.
    #[arg(long, value_name = "INCIDENT")]
    pub(crate) incident: Option<String>,
    /// From when on it holds.
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub(crate) from: Option<Moment>,
    /// Until when; now where nothing is said.
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub(crate) until: Option<Moment>,
    /// State that it is not as it was.
    #[arg(long)]
    pub(crate) not_intact: bool,
    #[command(flatten)]
    pub(crate) of: Records,
    #[command(flatten)]
    pub(crate) far: Remote,
}
