//! Flags of verbs that can be asked of a gate elsewhere.

use std::path::PathBuf;

use clap::Args;

/// A gate elsewhere, by its console's API. A configuration beside it says `conflicts_with = "url"`: they are two gates.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "A gate elsewhere")]
pub(crate) struct Remote {
    /// The console of a gate elsewhere, such as `https://console.example.org:9181`, instead of the control socket. It takes a token,
    /// and what is done is done in the name of whoever made that. Without, `PORTCULLIS_URL` is taken, unless `--config` or another
    /// place is named.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Whose certificates are believed, in PEM, instead of the system's authorities.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// A file with a token of the console. Without, `PORTCULLIS_TOKEN` is taken.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}
