//! Flags of `portcullis console`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::DEFAULT_CONFIG;
use super::remote::Remote;
use super::top::Reach;

/// What is asked of `console`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Console {
    #[command(subcommand)]
    pub(crate) ask: AskConsole,
}

/// Verbs of `console`.
#[derive(Debug, Subcommand)]
pub(crate) enum AskConsole {
    /// Print a link that works once, within the hour: it makes an account, or gives one a new password.
    ///
    /// It writes where accounts are kept and asks no gate, so it is for whoever may write there; with `--url` for owners, and then it takes
    /// `--name`.
    Link(NewLink),
    /// Send a test to an `[[alert]]` of the running gate; exit 1 if it did not arrive.
    Alert(TestAlert),
}

/// Flags of `console alert`.
#[derive(Debug, Args)]
pub(crate) struct TestAlert {
    /// Its name in the configuration.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) at: Reach,
}

/// Flags of `console link`.
#[derive(Debug, Args)]
pub(crate) struct NewLink {
    /// The configuration file, which says where accounts are kept.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "url")]
    pub(crate) config: PathBuf,
    /// For whom; whoever opens the link chooses a name where nothing is said.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What a new account may do; one that is there keeps what it may.
    #[arg(long, value_enum, default_value = "owner")]
    pub(crate) role: Role,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// Look.
    Viewer,
    /// Act on measures, postures, events and incidents.
    Operator,
    /// Change the configuration, people and tokens, too.
    Owner,
}
