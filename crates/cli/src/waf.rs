//! What is made of recorded findings: why one was refused (`explain`), what to leave out (`tune`), what would have been refused
//! and whom it would have hit (`waf report`), and the step from observing to refusing and back (`waf promote`, `waf observe`).
//!
//! Everything that is said about a record was tried on the rules as they are configured, or is said not to have been.

pub(crate) mod promote;
pub(crate) mod recorded;
pub(crate) mod report;
mod trial;
pub(crate) mod tune;
pub(crate) mod weigh;

use std::path::{Path, PathBuf};

use portcullis_config::Policy;

use crate::args::{AskWaf, Records};
use crate::verbs::logged;
use crate::world::plain;
use crate::{Done, Failure, configuration, moment};

pub(crate) use promote::who;
pub(crate) use tune::{narrowest, run as tune};

/// Asks of `waf`.
pub(crate) fn run(ask: &AskWaf) -> Done {
    match ask {
        AskWaf::Report(flags) => report::run(flags),
        AskWaf::Promote(change) => promote::run(change, true),
        AskWaf::Observe(change) => promote::run(change, false),
    }
}

/// The configuration, and the log that is read.
fn open(flags: &Records) -> Result<(Policy, PathBuf, recorded::Book), Failure> {
    let policy = configuration::policy(&flags.config)?;
    let log = flags.log.clone().map_or_else(|| logged(&policy), Ok)?;
    let now = moment::now();
    // Nobody asks for records of the future.
    let since = flags.since.map(|since| since.resolve_back(now));
    let book = recorded::read(&log, since).map_err(|error| unreadable(&log, &error))?;
    Ok((policy, log, book))
}

/// Since when a gate elsewhere is asked: all that it has, where nothing is said.
fn beginning(flags: &Records) -> u64 {
    flags.since.map_or(0, |since| since.resolve_back(moment::now()))
}

fn unreadable(log: &Path, error: &std::io::Error) -> Failure {
    Failure::because(format!("cannot read {}: {}", log.display(), plain(error)))
}
