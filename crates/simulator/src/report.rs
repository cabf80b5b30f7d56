//! What a rehearsal found, as values, as text, as JSON and as a page.

use std::fmt::Write as _;

use portcullis_engine::Act;
use serde::Serialize;

use crate::ledger::Ledger;
use crate::page;
use crate::scenario::{Scenario, Wish};

/// What one rehearsal found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// What it is about, in a sentence.
    pub title: String,
    /// The seed that it was played with.
    pub seed: u64,
    /// Whether every expectation holds.
    pub passed: bool,
    /// What was expected, and what came.
    pub expectations: Vec<Expectation>,
    /// Everything that was measured, whether expected or not.
    pub figures: Vec<Figure>,
    /// What was done to it, and when.
    pub attacks: Vec<Span>,
    /// Second by second.
    pub timeline: Vec<Moment>,
    /// What legitimate visitors met, by cohort.
    pub cohorts: Vec<Cohort>,
    /// What the gate did and why, in order.
    pub acts: Vec<Act>,
    /// SHA-256 over every decision and act in order, in hexadecimal.
    pub log_hash: String,
}

/// An attack's time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Span {
    /// The attack's name.
    pub name: String,
    /// Seconds since the world began.
    pub from: f64,
    /// Seconds since the world began.
    pub until: f64,
}

/// One expectation and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expectation {
    /// The figure's name.
    pub name: String,
    /// What was measured; nothing where it never happened.
    pub value: Option<f64>,
    /// What it must not pass, or must reach.
    pub limit: f64,
    /// Of both.
    pub unit: &'static str,
    /// Whether it holds.
    pub passed: bool,
}

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// Its name, as scenario files use it.
    pub name: String,
    /// What was measured; nothing where it never happened.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: &'static str,
}

/// One second of the world.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Moment {
    /// Seconds since the world began.
    pub second: u32,
    /// Requests of legitimate visitors.
    pub legitimate: u32,
    /// Of those, refused by the gate.
    pub legitimate_refused: u32,
    /// Requests of attackers.
    pub attack: u32,
    /// Of those, what reached a platform.
    pub attack_passed: u32,
    /// The slowest hundredth of legitimate requests took so long, in milliseconds.
    pub p99_ms: f64,
    /// How busy the platforms' workers were, of 1.
    pub busy: f64,
    /// The gravest posture of any platform.
    pub posture: &'static str,
    /// Rules in force.
    pub rules: u32,
}

/// What the sessions of one cohort met.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cohort {
    /// Its name.
    pub name: String,
    /// Whether nothing may ever refuse them.
    pub protected: bool,
    /// Sessions.
    pub sessions: u64,
    /// Sessions of which a request was refused.
    pub refused: u64,
    /// Sessions that met a challenge.
    pub challenged: u64,
    /// Of those, the ones that did not get past it.
    pub failed: u64,
    /// Sessions of which a request waited for more than two seconds.
    pub delayed: u64,
    /// Sessions that went away without what they came for.
    pub unserved: u64,
}

impl Report {
    /// What the ledger of a world that has ended says.
    pub(crate) fn of(scenario: &Scenario, seed: u64, attacks: Vec<Span>, mut ledger: Ledger) -> Self {
        let figures = ledger.figures();
        let value = |name: &str| figures.iter().find(|figure| figure.name == name).and_then(|figure| figure.value);
        let expectations: Vec<Expectation> =
            scenario.wishes().iter().flat_map(|wish| judge(wish, value(&wish.figure))).collect();
        Self {
            scenario: scenario.name().to_owned(),
            title: scenario.title().to_owned(),
            seed,
            passed: expectations.iter().all(|expectation| expectation.passed),
            expectations,
            figures,
            attacks,
            cohorts: ledger.cohorts(),
            log_hash: ledger.seal(),
            timeline: ledger.timeline,
            acts: ledger.acts,
        }
    }

    /// Whether every expectation holds.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.passed
    }
}

/// What a wish expects of a single run: the hard limits, or where there are none, what holds for nearly all of them.
fn judge(wish: &Wish, value: Option<f64>) -> Vec<Expectation> {
    let expectation =
        |name: String, limit: f64, passed: bool| Expectation { name, value, limit, unit: wish.unit, passed };
    let most = wish.at_most.or(wish.p95).or(wish.median.filter(|_| wish.at_least.is_none()));
    let below = most.map(|limit| expectation(wish.figure.clone(), limit, value.is_some_and(|value| value <= limit)));
    let above = wish.at_least.map(|limit| {
        expectation(format!("{} at least", wish.figure), limit, value.is_some_and(|value| value >= limit))
    });
    below.into_iter().chain(above).collect()
}

/// The report for a terminal.
#[must_use]
pub fn render_text(report: &Report) -> String {
    let verdict = if report.passed { "holds" } else { "DOES NOT HOLD" };
    let mut text = format!("{} (seed {}): {verdict}\n{}\n\n", report.scenario, report.seed, report.title);
    for attack in &report.attacks {
        let [from, until] = [attack.from, attack.until].map(|seconds| clock(crate::scenario::whole(seconds * 1e9)));
        let _ = writeln!(text, "  attack {} from {from} until {until}", attack.name);
    }
    for expectation in &report.expectations {
        let mark = if expectation.passed { "pass" } else { "FAIL" };
        let value = measured(expectation.value, expectation.unit);
        let limit = measured(Some(expectation.limit), expectation.unit);
        let _ = writeln!(text, "  {mark}  {:<24} {value:>12}   limit {limit}", expectation.name);
    }
    text.push_str("\nAlso measured\n");
    let expected = |name: &str| report.expectations.iter().any(|expectation| expectation.name == name);
    for figure in report.figures.iter().filter(|figure| figure.value.is_some() && !expected(&figure.name)) {
        let _ = writeln!(text, "        {:<24} {:>12}", figure.name, measured(figure.value, figure.unit));
    }
    text.push_str("\nLegitimate sessions       all  refused  challenged  not passed  over 2 s  unserved\n");
    for cohort in &report.cohorts {
        let Cohort { name, protected, sessions, refused, challenged, failed, delayed, unserved } = cohort;
        let name = format!("{name}{}", if *protected { " *" } else { "" });
        let _ = writeln!(
            text,
            "  {name:<22} {sessions:>6} {refused:>8} {challenged:>11} {failed:>11} {delayed:>9} {unserved:>9}"
        );
    }
    text.push_str("  * may never be refused\n");
    if !report.acts.is_empty() {
        text.push_str("\nWhat the gate did\n");
    }
    let hidden = report.acts.len().saturating_sub(FIRST_ACTS + LAST_ACTS);
    for (position, act) in report.acts.iter().enumerate() {
        if hidden > 0 && position == FIRST_ACTS {
            let _ = writeln!(text, "  … {hidden} more …");
        }
        if position < FIRST_ACTS || position >= FIRST_ACTS + hidden {
            let _ = writeln!(text, "  {:>9}  {}", clock(act.at_nanos), act.words);
        }
    }
    let _ = writeln!(text, "\nlog hash {}", report.log_hash);
    text
}

/// Of a long list a person reads the beginning and the end; the page has more.
const FIRST_ACTS: usize = 24;
const LAST_ACTS: usize = 16;
/// Even a page has an end.
pub(crate) const ACTS_DRAWN: usize = 400;

/// A value with its unit.
pub(crate) fn measured(value: Option<f64>, unit: &str) -> String {
    let Some(value) = value else { return "never".to_owned() };
    let digits = if value.fract() == 0.0 {
        0
    } else if value < 10.0 {
        3
    } else {
        1
    };
    let space = if matches!(unit, "" | "%" | "x" | "/s") { "" } else { " " };
    format!("{value:.digits$}{space}{unit}")
}

/// Minutes, seconds and thousandths since the world began.
pub(crate) fn clock(nanos: u64) -> String {
    let millis = nanos / 1_000_000;
    format!("{}:{:02}.{:03}", millis / 60_000, millis / 1000 % 60, millis % 1000)
}

/// One JSON object: scenario, seed, passed, expectations, `log_hash`.
#[must_use]
pub fn render_json(report: &Report) -> String {
    #[derive(Serialize)]
    struct Object<'a> {
        scenario: &'a str,
        seed: u64,
        passed: bool,
        expectations: &'a [Expectation],
        log_hash: &'a str,
    }
    let object = Object {
        scenario: &report.scenario,
        seed: report.seed,
        passed: report.passed,
        expectations: &report.expectations,
        log_hash: &report.log_hash,
    };
    serde_json::to_string_pretty(&object).unwrap_or_default()
}

/// One page that needs nothing else, with the timeline drawn.
#[must_use]
pub fn render_html(report: &Report) -> String {
    page::render(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_with_their_units() {
        let table = [
            (Some(1000.0), "ms", "1000 ms"),
            (Some(0.25), "%", "0.250%"),
            (Some(16.121), "x", "16.1x"),
            (Some(3.0), "", "3"),
            (None, "s", "never"),
        ];
        for (value, unit, words) in table {
            assert_eq!(measured(value, unit), words);
        }
        assert_eq!(clock(247_412_000_000), "4:07.412");
    }

    #[test]
    fn one_run_is_held_to_the_hard_limit_else_to_that_of_nearly_all() {
        let wish =
            |at_most, at_least, p95, median| Wish { figure: "f".to_owned(), unit: "", at_most, at_least, p95, median };
        let judged =
            |wish: &Wish, value| judge(wish, value).iter().map(|one| (one.limit, one.passed)).collect::<Vec<_>>();
        assert_eq!(judged(&wish(Some(5.0), None, Some(4.0), Some(3.0)), Some(4.5)), [(5.0, true)]);
        assert_eq!(judged(&wish(None, None, Some(4.0), Some(3.0)), Some(4.5)), [(4.0, false)]);
        assert_eq!(judged(&wish(None, Some(2.0), None, None), Some(1.0)), [(2.0, false)]);
        assert_eq!(judged(&wish(Some(5.0), Some(2.0), None, None), Some(3.0)), [(5.0, true), (2.0, true)]);
        assert_eq!(
            judged(&wish(Some(5.0), Some(0.0), None, None), None),
            [(5.0, false), (0.0, false)],
            "never is not good"
        );
    }
}
