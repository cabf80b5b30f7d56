//! The regression cases: what each expects of the log and the status, judged as go-ftw judges.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_wire::recording;
use regex_automata::meta::Regex;

use crate::case::{Case, Output};
use crate::listener::Answered;
use crate::play::{Played, play};
use portcullis_waf::seclang::Program;

/// Why a case failed in the engine; none where it passed.
pub(crate) fn judge(case: &Case, program: &Arc<Program>) -> Option<String> {
    let try_judge = || {
        let bytes = crate::request::build(&case.input)?;
        let recording = recording::read(&bytes).ok_or("the request has no first line")?;
        let played = play(&recording, program);
        check(&case.output, &played, Some(&played.log))
    };
    try_judge().err()
}

/// Why a case failed at the gate; none where it passed. What asks for the words of a log is judged by the rules alone.
pub(crate) fn judge_answer(case: &Case, answered: &Answered) -> Option<String> {
    let complaint = check(&case.output, &answered.played, None).err()?;
    Some(match &answered.front {
        Some(reason) => format!("{complaint} (refused before any rule: {reason})"),
        None => complaint,
    })
}

fn check(output: &Output, played: &Played, lines: Option<&[String]>) -> Result<(), String> {
    let status = played.status;
    if output.expect_error {
        let closed = status == 0;
        return if closed || status >= 400 {
            Ok(())
        } else {
            Err(format!("an error was expected, not status {status}"))
        };
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
        let (Some(pattern), Some(lines)) = (pattern, lines) else { continue };
        let regex = Regex::new(pattern).map_err(|error| format!("{pattern}: {error}"))?;
        let matching = lines.iter().find(|line| regex.is_match(line.as_bytes()));
        match (matching, wanted) {
            (None, true) => complaints.push(format!("no line of the log matches {pattern}; it has {lines:#?}")),
            (Some(line), false) => complaints.push(format!("a line of the log matches {pattern}: {line}")),
            _ => {}
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) }
}
