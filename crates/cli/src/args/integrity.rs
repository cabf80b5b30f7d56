//! Verbs about integrity: manifests, baselines, what differs, how sensors stand, drills.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::remote::Remote;
use super::{DEFAULT_CONFIG, Gate};

/// What is asked of `manifest`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Manifest {
    #[command(subcommand)]
    pub(crate) ask: AskManifest,
}

/// Verbs of `manifest`.
#[derive(Debug, Subcommand)]
pub(crate) enum AskManifest {
    /// Make a key that signs manifests, and print its public part.
    Key(NewKey),
    /// Sign what is in a directory, or add a signature to a manifest.
    ///
    /// The manifest goes to stdout, or replaces FILE of --out. It has the names, modes, sizes and SHA-256 of everything in the
    /// directory but for what the configuration leaves out; run it where the release is built.
    Sign(Sign),
    /// Say who signed a manifest, and whether that is enough.
    Verify(VerifyManifest),
    /// Hand a signed manifest to the running gate: its files may be so from now on.
    Deploy(DeployManifest),
}

/// A key to be made.
#[derive(Debug, Args)]
pub(crate) struct NewKey {
    /// Whose it is: one word.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Where the private part goes; it must not be there yet.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// What is signed, and by whom.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// A directory, or a manifest that bears somebody else's signature already.
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// The directory's name in the configuration (`name` in `[[integrity.files]]`).
    #[arg(long, value_name = "NAME")]
    pub(crate) platform: Option<String>,
    /// The file with the private part of the key.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// What is said of the release, in one line.
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub(crate) says: String,
    /// What is left out, as `ignore` in the configuration has it.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) ignore: Vec<String>,
    /// Where the manifest goes.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// A manifest to be looked at.
#[derive(Debug, Args)]
pub(crate) struct VerifyManifest {
    /// The manifest.
    #[arg(value_name = "MANIFEST")]
    pub(crate) manifest: PathBuf,
    /// Public keys, instead of those of the configuration.
    #[arg(long, value_name = "KEY", conflicts_with = "config")]
    pub(crate) by: Vec<String>,
    /// Compare this directory with it, too.
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
}

/// A manifest to be put in force.
#[derive(Debug, Args)]
pub(crate) struct DeployManifest {
    /// The manifest.
    #[arg(value_name = "MANIFEST")]
    pub(crate) manifest: PathBuf,
    #[command(flatten)]
    pub(crate) gate: Gate,
}

/// A baseline to be taken.
#[derive(Debug, Args)]
pub(crate) struct Baseline {
    /// Who says that what is there is right; it goes on record. With `--url` it is whoever the token belongs to.
    #[arg(long, value_name = "NAME")]
    pub(crate) by: String,
    /// Only this directory.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Option<String>,
    #[command(flatten)]
    pub(crate) gate: Gate,
}

/// What is compared.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// Only this directory.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Option<String>,
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "url")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// What is tried.
#[derive(Debug, Args)]
pub(crate) struct Drill {
    /// Only sensors and paths of that name, or whose name begins so: `files`, `files/public`.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Option<String>,
    /// Who asks for it; it goes on record. With `--url` it is whoever the token belongs to.
    #[arg(long, value_name = "NAME", default_value = "operator")]
    pub(crate) by: String,
    #[command(flatten)]
    pub(crate) gate: Gate,
}
