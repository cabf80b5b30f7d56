//! What a rehearsal found, as values, as text, as JSON and as a page.

use std::fmt::Write as _;

use portcullis_engine::Act;
use serde::Serialize;

use crate::ledger::Ledger;
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
    /// Second by second.
    pub timeline: Vec<Moment>,
    /// What legitimate visitors met, by cohort.
    pub cohorts: Vec<Cohort>,
    /// What the gate did and why, in order.
    pub acts: Vec<Act>,
    /// SHA-256 over every decision and act in order, in hexadecimal.
    pub log_hash: String,
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
}

impl Report {
    /// What the ledger of a world that has ended says.
    pub(crate) fn of(scenario: &Scenario, seed: u64, mut ledger: Ledger) -> Self {
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
    let mut text = format!("{}: {} (seed {})\n", report.scenario, report.title, report.seed);
    for expectation in &report.expectations {
        let mark = if expectation.passed { "pass" } else { "FAIL" };
        let _ = writeln!(
            text,
            "  {mark}  {} {:?} limit {} {}",
            expectation.name, expectation.value, expectation.limit, expectation.unit
        );
    }
    text
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
    format!("<!doctype html><meta charset=utf-8><title>{}</title>", report.scenario)
}
