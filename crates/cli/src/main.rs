//! The `portcullis` binary: flags, wiring, and what is said to the person at the terminal.
//!
//! It decides nothing about traffic; that is the engine's and the proxy's. Answers go to stdout, talk to stderr.

mod args;
mod canary;
mod configuration;
mod console;
mod data;
mod demo;
mod diagnose;
mod evidence;
mod geography;
mod incident;
mod inspect;
mod install;
mod integrity;
mod ledger;
mod manual;
mod moment;
mod operate;
#[cfg(test)]
mod parity;
mod pg;
mod rehearse;
mod remote;
mod replay;
mod requests;
mod rulebook;
mod stamps;
mod standing;
mod talk;
mod top;
mod verbs;
mod waf;
mod witness;
mod world;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Verb};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why a verb did not do what was asked; the exit code is 1.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Said in one line, after `error:`.
    Because(String),
    /// Everything has been said already.
    Said,
}

impl Failure {
    /// From anything that can be put in a line.
    pub(crate) fn because(why: impl Into<String>) -> Self {
        Self::Because(why.into())
    }
}

/// What a verb comes to.
pub(crate) type Done = Result<(), Failure>;

fn main() -> ExitCode {
    // The gate starts itself as its parser of statements. Nobody types that, and nothing else shall run before it is confined.
    if std::env::args_os().nth(1).is_some_and(|verb| verb == portcullis_proxy::parser::VERB) {
        return if portcullis_grammar::serve().is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) };
    }
    if std::env::args_os().nth(1).is_some_and(|verb| verb == rehearse::apart::VERB) {
        return if rehearse::apart::serve().is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) };
    }
    match act(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Because(why)) => {
            talk::error(&why);
            ExitCode::from(1)
        }
        Err(Failure::Said) => ExitCode::from(1),
    }
}

/// Does what was typed.
fn act(verb: Verb) -> Done {
    match verb {
        Verb::Run(flags) => verbs::run(&flags),
        Verb::Check(flags) => configuration::check(&flags),
        Verb::Show(flags) => verbs::show(&flags),
        Verb::Reload(flags) => verbs::reload(&flags),
        Verb::Status(flags) => operate::status(&flags),
        Verb::Rules(flags) => operate::rules(&flags.ask),
        Verb::Posture(flags) => operate::posture(&flags),
        Verb::Event(flags) => operate::event(&flags.ask),
        Verb::Rehearse(flags) => rehearse::run(&flags),
        Verb::Replay(flags) => replay::run(&flags),
        Verb::Inspect(flags) => inspect::run(&flags),
        Verb::Tune(flags) => waf::tune(&flags),
        Verb::Waf(flags) => waf::run(&flags.ask),
        Verb::Canary(flags) => canary::run(&flags.ask),
        Verb::Data(flags) => data::run(&flags.ask),
        Verb::Pg(flags) => pg::run(&flags.ask),
        Verb::Manifest(flags) => integrity::manifest(&flags.ask),
        Verb::Baseline(flags) => integrity::baseline(&flags),
        Verb::Diff(flags) => integrity::diff(&flags),
        Verb::Sensors(gate) => integrity::sensors(&gate),
        Verb::Drill(flags) => integrity::drill(&flags),
        Verb::Incident(flags) => incident::run(&flags.ask),
        Verb::Requests(flags) => requests::run(&flags.ask),
        Verb::Console(flags) => console::run(&flags.ask),
        Verb::Top(flags) => top::run(&flags),
        Verb::Ledger(flags) => ledger::run(&flags.ask),
        Verb::Witness(flags) => witness::run(&flags),
        Verb::Explain(flags) => verbs::explain(&flags),
        Verb::Demo(flags) => flags.distinct().map_or_else(|error| error.exit(), |()| demo::run(&flags)),
        Verb::Version(flags) => verbs::version(&flags),
        Verb::Completions(flags) => manual::completions(flags.shell),
        Verb::Man => manual::man(),
    }
}
