//! The Core Rule Set against its own regression cases, and beside the verdicts of other engines.
//!
//! `make crs` runs both and ends with `passed N of M`, of the regression cases. What differs and is not signed off in
//! `specs/` fails the run, and so does what is signed off and passes, and a rule set that is broken on purpose and is not
//! told from one that works. Cases about the server in front of the rules go through the real listener; with `--listener`
//! all of them do.

mod albedo;
mod canary;
mod case;
#[cfg(test)]
mod decisions;
mod listener;
mod play;
mod regression;
mod request;
mod rules;
mod signed;
mod verdicts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use case::Case;
use clap::Parser;
use listener::Listener;
use rules::Mode;
use signed::Signed;

/// What is asked for.
#[derive(Debug, Parser)]
#[command(name = "crs", about = "Runs the Core Rule Set's regression cases through the engine.")]
struct Arguments {
    /// Only cases whose name begins so, as in `920100-1`.
    #[arg(long, default_value = "")]
    only: String,
    /// How many differences to print of each run.
    #[arg(long, default_value_t = 50)]
    show: usize,
    /// Sends every case through the real listener, and compares nothing else.
    #[arg(long)]
    listener: bool,
    /// Prints the requests of the cases that are run, and runs nothing.
    #[arg(long)]
    requests: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(directory) = data() else {
        say(
            "note: skipped: the Core Rule Set is not here; put its rules and tests into ../shared/crs, or name the directory \
             that has crs/ in it in PORTCULLIS_SHARED",
        );
        return ExitCode::SUCCESS;
    };
    match run(&arguments, &directory) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            say(&format!("crs: {why}"));
            ExitCode::FAILURE
        }
    }
}

/// The directory of the Core Rule Set, if it is there.
fn data() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("PORTCULLIS_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    Some(shared.join("crs")).filter(|directory| directory.join("rules").is_dir())
}

fn run(arguments: &Arguments, directory: &Path) -> Result<bool, String> {
    let mut cases = case::read_all(&directory.join("tests/regression/tests"))?;
    cases.retain(|case| case.name.starts_with(&arguments.only));
    if arguments.requests {
        for case in &cases {
            let bytes = request::build(&case.input)?;
            say(&format!("== {}\n{}", case.name, String::from_utf8_lossy(&bytes)));
        }
        return Ok(true);
    }
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../specs");
    let mut signed = signed::read(&specs.join("crs-exclusions.toml"))?;
    let mut good = true;
    let mut judged = BTreeMap::new();
    let (outside, inside): (Vec<&Case>, Vec<&Case>) =
        cases.iter().partition(|case| arguments.listener || case.asks_the_front());
    let at_the_gate = signed::read(&specs.join("crs-listener.toml"))?;
    signed.extend(at_the_gate.into_iter().filter(|(name, _)| outside.iter().any(|case| case.name == *name)));
    if !arguments.listener {
        good &= verdicts(arguments, directory, &specs, &cases)?;
        if arguments.only.is_empty() {
            good &= canaries(directory, &specs, &cases)?;
        }
    }
    if !outside.is_empty() {
        let listener = Listener::start(directory, Mode::Cases, &outside)?;
        let mut answers = listener.play(&outside)?;
        let refused = answers.values().filter(|answer| answer.front.is_some()).count();
        say(&format!("through the listener: {} cases, {refused} refused before any rule", outside.len()));
        for case in outside {
            let answer = answers.remove(&case.name).unwrap_or_default();
            judged.insert(case.name.clone(), regression::judge_answer(case, &answer));
        }
    }
    if !inside.is_empty() {
        let program = rules::load(directory, Mode::Cases)?;
        for case in inside {
            judged.insert(case.name.clone(), regression::judge(case, &program));
        }
    }
    let in_order = cases.iter().map(|case| (case.name.clone(), judged.remove(&case.name).unwrap_or_default()));
    let tally = Tally::of(in_order, &signed, arguments.show);
    say(&format!("regression cases{}", tally.signed()));
    say(&format!("passed {} of {}", tally.passed, tally.all));
    Ok(good && tally.good())
}

/// Blocking mode at each level, beside other engines.
fn verdicts(arguments: &Arguments, directory: &Path, specs: &Path, cases: &[Case]) -> Result<bool, String> {
    let signed = signed::read(&specs.join("crs-verdicts.toml"))?;
    let mut good = true;
    for level in 1..=4 {
        let program = rules::load(directory, Mode::Blocking(level))?;
        let expected = verdicts::read(&directory.join(format!("verdicts/blocking-pl{level}.jsonl")))?;
        let judged = cases.iter().filter_map(|case| Some((case, expected.get(&case.name)?)));
        let judged = judged
            .map(|(case, verdict)| (format!("pl{level}/{}", case.name), verdicts::judge(case, verdict, &program)));
        let tally = Tally::of(judged, &signed, arguments.show);
        say(&format!("verdicts at paranoia level {level}: {} of {} agree{}", tally.passed, tally.all, tally.signed()));
        good &= tally.good();
    }
    Ok(good)
}

/// Rule sets that are broken on purpose.
fn canaries(directory: &Path, specs: &Path, cases: &[Case]) -> Result<bool, String> {
    let list = canary::read(&specs.join("crs-canaries.toml"))?;
    let mut failed = 0;
    for canary in &list {
        match canary.judge(directory, cases)? {
            None => failed += 1,
            Some(why) => say(&format!("  the canary lives: {}: {why}", canary.name)),
        }
    }
    say(&format!("canaries: {failed} of {} rule sets that are broken on purpose fail", list.len()));
    Ok(failed == list.len() && failed > 0)
}

/// What a run came to.
struct Tally {
    all: usize,
    passed: usize,
    signed_off: usize,
    /// Signed off and passing: the list should shrink.
    stale: usize,
}

impl Tally {
    fn of(judged: impl Iterator<Item = (String, Option<String>)>, signed: &Signed, show: usize) -> Self {
        let mut tally = Self { all: 0, passed: 0, signed_off: 0, stale: 0 };
        let mut shown = 0;
        let mut tell = |text: String| {
            shown += 1;
            if shown <= show {
                say(&text);
            }
        };
        for (name, complaint) in judged {
            tally.all += 1;
            match (complaint, signed.contains_key(&name)) {
                (None, false) => tally.passed += 1,
                (None, true) => {
                    tally.passed += 1;
                    tally.stale += 1;
                    tell(format!("  {name}: signed off, and passes"));
                }
                (Some(_), true) => tally.signed_off += 1,
                (Some(why), false) => tell(format!("  {name}: {why}")),
            }
        }
        tally
    }

    fn signed(&self) -> String {
        format!(", {} signed off", self.signed_off)
    }

    fn good(&self) -> bool {
        self.all > 0 && self.stale == 0 && self.passed + self.signed_off == self.all
    }
}

#[expect(clippy::print_stdout, reason = "this is a program that reports")]
fn say(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_good_when_all_pass_or_are_signed_off_and_none_of_those_passes() {
        let judged = |complaints: &[Option<&str>]| {
            let named = complaints.iter().enumerate().map(|(index, why)| (index.to_string(), why.map(str::to_owned)));
            named.collect::<Vec<_>>().into_iter()
        };
        let signed = Signed::from([("1".to_owned(), "because".to_owned())]);
        assert!(Tally::of(judged(&[None, Some("x")]), &signed, 0).good());
        assert!(!Tally::of(judged(&[Some("x"), Some("x")]), &signed, 0).good(), "a failure");
        assert!(!Tally::of(judged(&[None, None]), &signed, 0).good(), "signed off and passing");
        assert!(!Tally::of(judged(&[]), &signed, 0).good(), "nothing was judged");
    }
}
