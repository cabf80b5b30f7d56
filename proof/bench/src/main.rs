//! `make bench`: Portcullis beside Debian's nginx, haproxy and pgbouncer, and its rules beside libmodsecurity, on the same work
//! and the same machine.
//!
//! Never judges a machine that is too noisy, never leaves loopback, and no test fails because of it. One proxy core
//! serves, another loads and answers; contenders alternate within each round, so that what disturbs one disturbs all;
//! what counts is CPU time per request, which survives a shared machine better than throughput does.

mod contender;
mod database;
mod figure;
mod inspection;
mod leaving;
mod load;
mod machine;
mod report;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::figure::Plan;
use crate::report::Report;

/// What went wrong, in words.
type Fallible<T> = Result<T, Box<dyn Error>>;

/// Portcullis beside nginx and haproxy: CPU time per request and memory per idle connection.
#[derive(Debug, Parser)]
struct Arguments {
    /// The binary under test.
    #[arg(long, default_value = "target/release/portcullis")]
    gate: PathBuf,
    /// Our rule engine as the bench drives it; beside the gate where it is not named.
    #[arg(long)]
    engine: Option<PathBuf>,
    /// Only figures whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Rounds; each measures every contender once, in turning order.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=101))]
    rounds: u32,
    /// Seconds of load in each measurement.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Where figures are written, one JSON line each; a figure measured again replaces its line.
    #[arg(long, default_value = "target/bench.jsonl")]
    output: PathBuf,
    /// List the figures and their goals, measure nothing.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Fallible<()> {
    let mut report = Report::new(&arguments.output)?;
    if arguments.list {
        return report.list(figure::ALL);
    }
    let machine = machine::Machine::prepare()?;
    let engine = arguments.engine.clone().unwrap_or_else(|| arguments.gate.with_file_name("waf-engine"));
    let (rounds, seconds) = (arguments.rounds, arguments.seconds);
    let plan = Plan { machine, gate: arguments.gate.clone(), engine, rounds, seconds };
    report.title(&plan)?;
    for figure in figure::ALL {
        if arguments.only.as_deref().is_none_or(|only| figure.name.contains(only)) {
            // One figure that cannot be had leaves the others standing.
            match figure.measure(&plan) {
                Ok(result) => report.add(figure, &result)?,
                Err(error) => report.lost(figure, error.as_ref())?,
            }
        }
    }
    report.finish()
}
