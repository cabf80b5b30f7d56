//! Blocking mode, beside what two independent engines agreed upon: verdict, rules and score of each case.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use portcullis_waf::seclang::Program;
use portcullis_wire::recording;
use serde::Deserialize;

use crate::case::Case;
use crate::play::play;

/// What they agreed upon.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verdict {
    case: String,
    blocked: bool,
    /// The inbound score, where it reached the threshold.
    score: Option<i64>,
    /// Rules that detect, of requests and of responses.
    rules: BTreeSet<u32>,
}

/// The verdicts of one paranoia level, by case.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, Verdict>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let parse =
        |line: &str| serde_json::from_str::<Verdict>(line).map_err(|error| format!("{}: {error}", path.display()));
    text.lines().map(parse).map(|read| read.map(|verdict| (verdict.case.clone(), verdict))).collect()
}

/// How a case differs; none where it agrees.
pub(crate) fn judge(case: &Case, expected: &Verdict, program: &Arc<Program>) -> Option<String> {
    let bytes = match crate::request::build(&case.input) {
        Ok(bytes) => bytes,
        Err(why) => return Some(why),
    };
    let Some(recording) = recording::read(&bytes) else { return Some("the request has no first line".to_owned()) };
    let played = play(&recording, program);
    let rules: BTreeSet<u32> = played.rules.iter().copied().filter(|rule| detects(*rule)).collect();
    let score = played.blocking_score();
    let mut complaints = Vec::new();
    if played.blocked != expected.blocked {
        complaints.push(format!("{}, not {}", word(played.blocked), word(expected.blocked)));
    }
    let list = |rules: Vec<&u32>| rules.into_iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let missing: Vec<_> = expected.rules.difference(&rules).collect();
    if !missing.is_empty() {
        complaints.push(format!("without {}", list(missing)));
    }
    let further: Vec<_> = rules.difference(&expected.rules).collect();
    if !further.is_empty() {
        complaints.push(format!("with {}", list(further)));
    }
    if score != expected.score {
        complaints.push(format!("score {score:?}, not {:?}", expected.score));
    }
    (!complaints.is_empty()).then(|| complaints.join("; "))
}

fn word(blocked: bool) -> &'static str {
    if blocked { "blocked" } else { "passed" }
}

/// Set-up, evaluation and correlation are rules that count what the others find.
fn detects(rule: u32) -> bool {
    matches!(rule, 911_000..949_000 | 950_000..959_000)
}
