//! Flags of `portcullis top`.

use std::path::PathBuf;

use clap::Args;

use super::DEFAULT_CONFIG;

/// Flags of `top`.
#[derive(Debug, Args)]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) at: Reach,
    /// Print how everything stands once, and end.
    #[arg(long)]
    pub(crate) once: bool,
}

/// Which console, and what opens it.
#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// The configuration file, which says where the console is and where its accounts are kept.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    /// The console of a gate elsewhere, such as `https://console.example.org:9181`. It takes a token.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub(crate) url: Option<String>,
    /// Whose certificates are believed, in PEM, instead of the system's authorities.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// A file with a token of the console. Without, `PORTCULLIS_TOKEN` is taken; and without that a token of an hour is made where the
    /// accounts are kept, and revoked at the end.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}
