//! A seeded world around the real engine, and access logs played through it.
//!
//! It never reads a clock nor the system's randomness: the same seed gives the same log on any machine. Start at
//! `world.rs`: what happens next, one thing after another. `people.rs` and `attack.rs` are those who send, `gate.rs` calls
//! the engine as the gate does, `origin.rs` is what stands behind it, `ledger.rs` measures.

mod agenda;
mod attack;
mod browsers;
mod figures;
mod gate;
mod ledger;
mod origin;
mod page;
mod people;
mod random;
pub mod replay;
mod report;
mod scenario;
mod site;
mod world;

pub use figures::FIGURES;
pub use report::{Cohort, Expectation, Figure, Moment, Report, Span, render_html, render_json, render_text};
pub use scenario::{Problem, Scenario, Wish};

/// Plays a scenario once. The same scenario and seed give the same report, on any machine.
#[must_use]
pub fn rehearse(scenario: &Scenario, seed: u64) -> Report {
    let mut world = world::World::new(scenario, seed);
    world.run();
    let attacks = world.attacks();
    Report::of(scenario, seed, attacks, world.ledger)
}
