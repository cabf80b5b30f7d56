//! Before anything is said that rests on what watches, what watches is tried: an inert probe through the real path, by the running gate.
//!
//! It changes no record and writes none: the gate does, and what is said is read afterwards. Where nothing could be tried, or not all of
//! it was seen, that is said on the page, and the judgement bears less.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_config::Policy;
use portcullis_incident::Tried;
use portcullis_sensors::{Drilled, Question};

use crate::waf::promote::who;
use crate::world::plain;

/// What was tried within so long is not tried again.
const FRESH: Duration = Duration::from_secs(600);
/// What all of it may take.
const WITHIN: Duration = Duration::from_secs(120);
/// How long the ledger may take to sign what came of it.
const SIGNED: Duration = Duration::from_secs(5);

/// Has the running gate try what was not tried lately, and waits until the ledger has it.
pub(super) fn before(policy: Option<&Policy>, ledger: &Path) -> Tried {
    let Some(policy) = policy else {
        return Tried::not("Nothing was tried before this was written: no configuration says which gate could");
    };
    let socket = portcullis_sensors::socket(&policy.server.control);
    let question =
        Question::Due { fresh: FRESH.as_secs(), within: WITHIN.as_secs(), by: format!("a claim, for {}", who()) };
    let answer = match portcullis_sensors::ask(&socket, &question) {
        Ok(answer) => answer,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Tried::not("Nothing was tried before this was written: no gate with sensors runs");
        }
        Err(error) => {
            let why = plain(&error);
            return Tried::not(&format!("Nothing was tried before this was written: the gate does not answer ({why})"));
        }
    };
    let Ok(drilled) = serde_json::from_value::<Drilled>(answer.value) else {
        return Tried::not(&format!("Nothing was tried before this was written: {}", answer.words));
    };
    if !drilled.tried.is_empty() {
        signed(ledger);
    }
    words(&drilled)
}

/// What came of it.
fn words(drilled: &Drilled) -> Tried {
    let Drilled { tried, fresh, late } = drilled;
    let missed: Vec<&str> = tried.iter().filter(|drill| !drill.seen).map(|drill| drill.path.as_str()).collect();
    let mut said = match (tried.len(), fresh.len()) {
        (0, 0) => "Nothing is declared that could be tried before this was written (`probe`, `[[integrity.outside]]`, `[[integrity.canary]]`)".to_owned(),
        (0, fresh) => format!("{} tried within the ten minutes before this was written", ways(fresh)),
        (tried, 0) => format!("{} tried right before this was written", ways(tried)),
        (tried, fresh) => format!("{} tried right before this was written, and {fresh} within the ten minutes before", ways(tried)),
    };
    if !tried.is_empty() {
        match &missed[..] {
            [] => said.push_str("; each was seen"),
            missed => said.push_str(&format!("; NOT SEEN: {}", missed.join(", "))),
        }
    }
    if !late.is_empty() {
        said.push_str(&format!("; within {} s there was no time for {}", WITHIN.as_secs(), late.join(", ")));
    }
    Tried { words: said, sound: missed.is_empty() && late.is_empty() }
}

fn ways(count: usize) -> String {
    if count == 1 { "one way was".to_owned() } else { format!("{count} ways were") }
}

/// Waits until the ledger has signed twice: what was recorded before the first of them is under the second.
fn signed(ledger: &Path) {
    let checkpoint = || fs::read(ledger.join("checkpoint")).unwrap_or_default();
    let (begun, mut known, mut times) = (Instant::now(), checkpoint(), 0);
    while times < 2 && begun.elapsed() < SIGNED {
        thread::sleep(Duration::from_millis(50));
        let now = checkpoint();
        if now != known {
            (known, times) = (now, times + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_ledger::Drill;

    use super::*;

    #[test]
    fn what_was_tried_is_said_and_what_was_not_seen_counts() {
        let drill = |path: &str, seen: bool| Drill { path: path.to_owned(), seen, ..Drill::default() };
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (files, pages) = (drill("files/public", true), drill("pages/public", true));
        let table = [
            (
                vec![files.clone(), pages.clone()],
                vec![],
                vec![],
                true,
                "2 ways were tried right before this was written; each was seen",
            ),
            (vec![], of(&["files/public"]), vec![], true, "one way was tried within the ten minutes"),
            (vec![files.clone(), drill("pages/public", false)], vec![], vec![], false, "NOT SEEN: pages/public"),
            (vec![files], vec![], of(&["http/public canary-http"]), false, "no time for http/public canary-http"),
            (vec![], vec![], vec![], true, "Nothing is declared"),
        ];
        for (tried, fresh, late, sound, expected) in table {
            let came = words(&Drilled { tried, fresh, late });
            assert_eq!((came.sound, came.words.contains(expected)), (sound, true), "{}", came.words);
        }
    }
}
