//! The regression cases: what each expects of the log and the status, judged as go-ftw judges.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_types::Limits;
use portcullis_wire::h1::{HeadBounds, Scan};
use portcullis_wire::http::RequestHead;
use portcullis_wire::recording;
use regex_automata::meta::Regex;

use crate::case::{Case, Output};
use crate::play::{Played, play};
use portcullis_waf::seclang::Program;

/// Why a case failed; none where it passed.
pub(crate) fn judge(case: &Case, program: &Arc<Program>) -> Option<String> {
    try_judge(case, program).err()
}

fn try_judge(case: &Case, program: &Arc<Program>) -> Result<(), String> {
    let bytes = crate::request::build(&case.input)?;
    let output = &case.output;
    // What asks for a status or an error asks the server in front of the rules: ours reads the head first, and what it
    // refuses reaches no rule. What asks for rules alone is put to them whatever the server would say.
    if (output.status.is_some() || output.expect_error)
        && let Some(status) = front(&bytes)
    {
        return check(output, status, &Played::default());
    }
    let recording = recording::read(&bytes).ok_or("the request has no first line")?;
    let played = play(&recording, program);
    check(output, played.status, &played)
}

/// What the gate answers to a head that it refuses.
fn front(bytes: &[u8]) -> Option<u16> {
    let limits = Limits::default();
    let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    let bounds = HeadBounds {
        head_bytes: size(limits.head_bytes),
        header_count: size(limits.header_count),
        uri_bytes: size(limits.uri_bytes),
    };
    let read = match portcullis_wire::h1::scan(bytes, 0, bounds.head_bytes) {
        Ok(Scan::Complete(end)) => {
            portcullis_wire::h1::request(&bytes[..end], &bounds, &mut RequestHead::default()).map(drop)
        }
        Ok(Scan::Incomplete(_)) => return Some(400),
        Err(refused) => Err(refused),
    };
    read.err().map(|refused| refused.reason.status())
}

fn check(output: &Output, status: u16, played: &Played) -> Result<(), String> {
    if output.expect_error {
        return if status >= 400 { Ok(()) } else { Err(format!("an error was expected, not status {status}")) };
    }
    let mut complaints = Vec::new();
    if let Some(expected) = output.status
        && expected != status
    {
        complaints.push(format!("status {status}, not {expected}"));
    }
    let log = &output.log;
    let found: BTreeSet<u32> = played.rules.iter().copied().collect();
    let missing: Vec<u32> = log.expect_ids.iter().copied().filter(|id| !found.contains(id)).collect();
    if !missing.is_empty() {
        complaints.push(format!("missing {missing:?}"));
    }
    let spurious: Vec<u32> = log.no_expect_ids.iter().copied().filter(|id| found.contains(id)).collect();
    if !spurious.is_empty() {
        complaints.push(format!("unexpected {spurious:?}"));
    }
    for (pattern, wanted) in [(&log.match_regex, true), (&log.no_match_regex, false)] {
        let Some(pattern) = pattern else { continue };
        let regex = Regex::new(pattern).map_err(|error| format!("{pattern}: {error}"))?;
        let matching = played.log.iter().find(|line| regex.is_match(line.as_bytes()));
        match (matching, wanted) {
            (None, true) => complaints.push(format!("no line of the log matches {pattern}; it has {:#?}", played.log)),
            (Some(line), false) => complaints.push(format!("a line of the log matches {pattern}: {line}")),
            _ => {}
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) }
}
