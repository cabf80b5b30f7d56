//! What happened, in order, in sentences.
//!
//! Never longer than a person can read: each weight has its own room, and what did not fit is counted by its kind.

use std::collections::BTreeMap;

use portcullis_ledger::{Event, Lost};
use serde::Serialize;

use crate::evidence::{Evidence, plain};
use crate::moment;
use crate::statement::spaced;

/// How much an entry matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// What people did, and what harmed.
    First,
    /// What the gate did.
    Second,
    /// What it says besides.
    Third,
}

/// Entries of each weight.
const ROOM: [usize; 3] = [2_000, 1_000, 500];

/// The entries, in the order of the ledger.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Timeline {
    /// Those there was room for.
    pub entries: Vec<Entry>,
    /// How many more there were, by kind.
    pub omitted: BTreeMap<String, u64>,
    #[serde(skip)]
    used: [usize; 3],
}

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The same for a person.
    pub time: String,
    /// `posture`, `canary`, `note`, …
    pub kind: String,
    /// What it concerns, if anything.
    pub platform: String,
    /// What happened.
    pub words: String,
    pub weight: Weight,
    pub evidence: Evidence,
}

impl Timeline {
    /// One more.
    pub(crate) fn add(&mut self, weight: Weight, at: u64, index: u64, kind: &str, platform: &str, words: &str) {
        let used = &mut self.used[weight as usize];
        if *used >= ROOM[weight as usize] {
            *self.omitted.entry(kind.to_owned()).or_default() += 1;
            return;
        }
        *used += 1;
        self.entries.push(Entry {
            at,
            time: moment::speak(at),
            kind: kind.to_owned(),
            platform: plain(platform),
            words: plain(words),
            weight,
            evidence: Evidence::of(index),
        });
    }

    /// What a record has to say in a timeline: weight, kind, platform, words. Figures have nothing.
    #[must_use]
    pub fn entry(event: &Event) -> Option<(Weight, &'static str, String, String)> {
        use Weight::{First, Second, Third};
        let entry = |weight, kind, platform: &str, words: String| Some((weight, kind, platform.to_owned(), words));
        match event {
            Event::Start(it) => entry(Second, "start", "", format!("The gate began ({}).", it.version)),
            Event::Stop(it) => entry(Second, "stop", "", format!("The gate ended ({}).", it.why)),
            Event::Lost(it) => entry(First, "lost", "", lost(it)?),
            Event::Act(it) if it.what == "posture" => entry(First, "posture", &it.platform, it.words.clone()),
            Event::Act(it) => entry(Second, "act", &it.platform, it.words.clone()),
            Event::Measure(it) => {
                let what = if it.on { "began" } else { "ended" };
                let words = format!("The measure {} ({}, {}) {what}, by {}.", it.id, it.what, it.action, it.by);
                entry(Second, "measure", &it.platform, words)
            }
            Event::Disclosure(it) => entry(
                First,
                "budget",
                &it.path,
                format!(
                    "The budget of {} {} for one {} was reached by {} through {}: {} were asked for, {} left ({}).",
                    spaced(it.allowed),
                    it.what,
                    it.whose,
                    it.path,
                    it.through,
                    spaced(it.reached),
                    spaced(it.left),
                    it.action
                ),
            ),
            Event::Canary(it) => {
                let what = if it.left { "left" } else { "was stopped" };
                let drill =
                    if it.drill.is_empty() { String::new() } else { format!(" This was our drill {}.", it.drill) };
                let words =
                    format!("Canary {} {what} ({}) by {} through {}.{drill}", it.canary, it.way, it.path, it.through);
                entry(if it.drill.is_empty() { First } else { Third }, "canary", &it.path, words)
            }
            Event::Finding(it) if it.is_hearsay() => entry(Second, "hearsay", &it.platform, format!("{}.", it.words)),
            Event::Finding(it) => {
                let right = match (it.authorised.is_empty(), it.drill.is_empty()) {
                    (_, false) => format!(" This was our drill {}.", it.drill),
                    (false, true) => format!(" Authorised by {}.", it.authorised),
                    (true, true) => " Nothing authorised it.".to_owned(),
                };
                let weight = if it.drill.is_empty() { First } else { Third };
                let words = it.words.trim_end_matches('.');
                entry(weight, "finding", &it.platform, format!("{words}.{right}"))
            }
            Event::Alarm(it) => {
                entry(First, "alarm", &it.platform, format!("{} ({} times)", it.words, spaced(it.count)))
            }
            Event::Drill(it) => {
                let seen = if it.seen && it.missed == 0 { "seen" } else { "MISSED" };
                let words = format!(
                    "Drill {} on {}: {seen}, {} of {} missed. {}",
                    it.what,
                    it.path,
                    spaced(it.missed),
                    spaced(it.tried),
                    it.words
                );
                entry(if it.seen && it.missed == 0 { Third } else { First }, "drill", &it.path, words)
            }
            Event::Change(it) => entry(First, "change", "", format!("{} changed {}: {}", it.by, it.what, it.words)),
            Event::Deploy(it) => {
                let by = if it.by.is_empty() { String::new() } else { format!(", handed over by {}", it.by) };
                let (signer, files) = (&it.signer, spaced(it.files));
                let words = format!("{signer} signed a manifest of {files} files{by}: {}", it.words);
                entry(First, "deploy", &it.platform, words)
            }
            Event::Login(it) if !it.good && it.place == "control" => {
                entry(Third, "login", "", format!("{} asked at the control socket, and may not.", it.who))
            }
            Event::Login(it) => {
                let how = if it.good { "signed in to" } else { "failed to sign in to" };
                entry(if it.good { Second } else { Third }, "login", "", format!("{} {how} the {}.", it.who, it.place))
            }
            Event::Witnessed(it) if !it.good => {
                entry(Third, "witness", "", format!("The witness {} did not sign: {}", it.witness, it.words))
            }
            Event::Stamped(it) if !it.good => entry(
                Third,
                "stamp",
                "",
                format!("{} did not stamp the ledger with a time: {}", it.authority, it.words),
            ),
            _ => None,
        }
    }
}

/// What could not be kept; nothing where no more is known than that a process ended without a word.
fn lost(it: &Lost) -> Option<String> {
    let requests = it.requests.saturating_add(it.rows);
    let many = |count: u64, what: &str| match count {
        1 => format!("one {what}"),
        count => format!("{} {what}s", spaced(count)),
    };
    let what = match (it.records, requests) {
        (0, 0) => return None,
        (1, 0) => "One record".to_owned(),
        (records, 0) => many(records, "record"),
        (0, requests) => format!("Details of {}", many(requests, "request")),
        (records, requests) => format!("{} and details of {}", many(records, "record"), many(requests, "request")),
    };
    let (from, until, why) = (moment::speak(it.from), moment::speak(it.until), &it.why);
    Some(format!("{what} could not be kept between {from} and {until} ({why})."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_where_something_was_lost() {
        let told = |records, requests, rows| {
            let lost = Lost { records, requests, rows, why: "killed".to_owned(), ..Lost::default() };
            Timeline::entry(&Event::Lost(lost)).map(|(_, _, _, words)| words)
        };
        let when = "could not be kept between 1970-01-01 00:00:00 UTC and 1970-01-01 00:00:00 UTC (killed).";
        let table = [
            ((0, 0, 0), None),
            ((1_200, 0, 0), Some("1,200 records")),
            ((0, 3, 4), Some("Details of 7 requests")),
            ((1, 0, 0), Some("One record")),
            ((2, 1, 0), Some("2 records and details of one request")),
        ];
        for ((records, requests, rows), expected) in table {
            let expected = expected.map(|what| format!("{what} {when}"));
            assert_eq!(told(records, requests, rows), expected);
        }
    }
}
