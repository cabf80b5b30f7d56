//! What is asked of `ledger` and `witness`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::remote::Remote;
use crate::moment::Moment;

/// What is asked of `ledger`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Ledger {
    #[command(subcommand)]
    pub(crate) ask: AskLedger,
}

/// Verbs of `ledger`.
#[derive(Debug, Subcommand)]
pub(crate) enum AskLedger {
    /// Say whether a ledger is what it was, for somebody who trusts nobody.
    ///
    /// It reads the directory and nothing else. Exits 0 only when every leaf is in the signed tree, every event that is kept is
    /// the one that its leaf commits to, and no number is missing; else it names the first leaf that is wrong. What was erased,
    /// what was lost and told, and when nobody watched is said too.
    Verify(Verify),
    /// Print the records of a time.
    Show(ShowLedger),
    /// Print the proof of one record (C2SP tlog-proof), which stands alone.
    Prove(Prove),
    /// Say what a proof shows.
    Check(CheckProof),
    /// Print the key that a ledger's signatures are checked by.
    Key(LedgerPlace),
}

/// A ledger's directory.
#[derive(Debug, Args)]
pub(crate) struct LedgerDirectory {
    /// The directory.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

/// A ledger's directory, or a gate elsewhere that has one.
#[derive(Debug, Args)]
pub(crate) struct LedgerPlace {
    /// The directory; of a gate elsewhere it is its own.
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Whom to believe.
#[derive(Debug, Args)]
pub(crate) struct Believed {
    /// The ledger's key, as `portcullis ledger key` printed it when it began.
    #[arg(long, value_name = "KEY", required_unless_present = "witness")]
    pub(crate) key: Option<String>,
    /// A witness's key, as it printed it; more than once for several.
    #[arg(long, value_name = "KEY")]
    pub(crate) witness: Vec<String>,
    /// How many of the witnesses must have signed; all of them without.
    #[arg(long, value_name = "N")]
    pub(crate) quorum: Option<usize>,
}

/// A ledger to verify.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) place: LedgerDirectory,
    #[command(flatten)]
    pub(crate) believed: Believed,
    /// A signed checkpoint that was kept elsewhere: the ledger must continue it.
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// Certificates (PEM) of whom to believe about time: a signature that leads to one of them must be under each time stamp.
    #[arg(long, value_name = "FILE")]
    pub(crate) tsa_ca: Option<PathBuf>,
    /// One JSON object, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Records to print.
#[derive(Debug, Args)]
pub(crate) struct ShowLedger {
    #[command(flatten)]
    pub(crate) place: LedgerPlace,
    /// From when on: RFC 3339, `HH:MM` today (UTC), or `+2h` from now.
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub(crate) from: Option<Moment>,
    /// Until when.
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub(crate) until: Option<Moment>,
    /// Only this sensor's.
    #[arg(long, value_name = "SENSOR")]
    pub(crate) sensor: Option<String>,
    /// Only of this kind: `act`, `traffic`, `beats`.
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A record to prove.
#[derive(Debug, Args)]
#[command(allow_missing_positional = true)]
pub(crate) struct Prove {
    #[command(flatten)]
    pub(crate) place: LedgerPlace,
    /// The record's leaf, as `ledger show` numbers it.
    #[arg(value_name = "INDEX")]
    pub(crate) index: u64,
}

/// A proof to check.
#[derive(Debug, Args)]
pub(crate) struct CheckProof {
    /// The proof, in a file.
    #[arg(value_name = "FILE")]
    pub(crate) proof: PathBuf,
    #[command(flatten)]
    pub(crate) believed: Believed,
}

/// Flags of `witness`.
#[derive(Debug, Args)]
pub(crate) struct Witness {
    /// Where it listens.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Where it keeps its key and what it signed last.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: PathBuf,
    /// The key of a ledger that it signs for; more than once for several.
    #[arg(long, value_name = "KEY", required = true)]
    pub(crate) log: Vec<String>,
    /// Its name, when its key is made.
    #[arg(long, value_name = "NAME", default_value = "witness")]
    pub(crate) name: String,
}
