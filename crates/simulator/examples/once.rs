//! Plays one scenario once and prints the report: `once FILE [SEED]`.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example reads a file and prints")]

use portcullis_simulator::{Scenario, rehearse, render_text};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_default();
    let seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    match Scenario::parse(&text, None) {
        Ok(scenario) => println!("{}", render_text(&rehearse(&scenario, seed))),
        Err(problems) => problems.iter().for_each(|problem| println!("{file}: {problem}")),
    }
}
