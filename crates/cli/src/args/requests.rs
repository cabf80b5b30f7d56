//! Flags of `portcullis requests`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use portcullis_types::Prefix;

use super::incident::Records;
use super::remote::Remote;
use super::{DEFAULT_CONFIG, duration, since};
use crate::moment::Moment;

/// What is asked of `requests`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Requests {
    #[command(subcommand)]
    pub(crate) ask: AskRequests,
}

/// Verbs of `requests`.
#[derive(Debug, Subcommand)]
pub(crate) enum AskRequests {
    /// Say of what there was most: networks, routes, fingerprints, reasons.
    ///
    /// It counts every request on record. An address is personal data: networks are told (/24 of IPv4, /56 of IPv6) unless
    /// `--by address` asks for more. Countries are told where the configuration names a file that has them.
    Top(TopOf),
    /// Say what the gate answered, second by second or minute by minute.
    ///
    /// It reads the roll-ups: seconds are kept for `seconds` days, minutes for `figures` days (`[evidence]`).
    History(HistoryOf),
    /// Look for decisions about single requests, the newest first.
    ///
    /// It reads the decision log: all that was not served is in it, and of what was served a sample. Each that has a reference
    /// can be explained (`portcullis explain`).
    Find(FindOf),
}

/// Which requests.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// From when on: RFC 3339, `HH:MM` today (UTC), or `24h` for the last day.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = since)]
    pub(crate) since: Moment,
    /// Until when; now where nothing is said.
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub(crate) until: Option<Moment>,
    /// Those of this platform alone.
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    #[command(flatten)]
    pub(crate) of: Records,
}

/// Flags of `top`.
#[derive(Debug, Args)]
pub(crate) struct TopOf {
    /// By what they are counted.
    #[arg(long, value_enum)]
    pub(crate) by: By,
    /// Those alone that this became of.
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub(crate) only: Option<Became>,
    /// How many lines at most.
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) most: u32,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// By what requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// The network that they came from.
    Network,
    /// The address: personal data.
    Address,
    /// The country that the network is in, by the file of `[geography]`.
    Country,
    /// The platform that they were for.
    Platform,
    /// The route.
    Route,
    /// What the route is for.
    Class,
    /// What the gate knew of the visitor.
    Audience,
    /// The fingerprint of its TLS (JA4).
    Print,
    /// Why they were not served.
    Reason,
    /// What became of them.
    Verdict,
    /// The status that they got.
    Status,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Became {
    /// It was served.
    Served,
    /// It was refused.
    Refused,
    /// Its platform, or the gate, failed.
    Failed,
    /// It was answered by a challenge.
    Challenged,
    /// It was sent to the waiting room.
    Roomed,
}

/// Flags of `history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryOf {
    /// How long each line is: whole seconds, such as 1s, or minutes, such as 1m.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub(crate) step: Duration,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Flags of `find`.
#[derive(Debug, Args)]
pub(crate) struct FindOf {
    /// From when on: RFC 3339, `HH:MM` today (UTC), or `24h` for the last day.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = since)]
    pub(crate) since: Moment,
    /// Until when; now where nothing is said.
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub(crate) until: Option<Moment>,
    /// Those of this platform alone.
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// Those of this route, as it is declared.
    #[arg(long, value_name = "ROUTE")]
    pub(crate) route: Option<String>,
    /// Those from an address, or a network such as 203.0.113.0/24.
    #[arg(long, value_name = "NETWORK", value_parser = Prefix::parse)]
    pub(crate) client: Option<Prefix>,
    /// Those alone that this became of.
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub(crate) only: Option<Became>,
    /// Those for this reason, by its code.
    #[arg(long, value_name = "REASON")]
    pub(crate) reason: Option<String>,
    /// Those with this status; 0 where the connection was closed.
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<u16>,
    /// Those of this TLS print (JA4).
    #[arg(long, value_name = "PRINT")]
    pub(crate) print: Option<String>,
    /// Those with this in method, host, path, detail or reference.
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// How many at most.
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) most: u32,
    /// The configuration file, which names the decision log.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "url")]
    pub(crate) config: PathBuf,
    /// The decision log itself, instead of a configuration file.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) log: Option<PathBuf>,
    /// One JSON object, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) far: Remote,
}
