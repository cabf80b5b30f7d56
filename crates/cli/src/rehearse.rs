//! `portcullis rehearse`: a scenario played against the real engine in a simulated world.
//!
//! It reads the file and shows the report; the world is `portcullis_simulator`.

pub(crate) mod apart;

use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_control::model::{Expectation, Found, Rehearsal, RehearsalLine, Wanted};
use portcullis_simulator::{Scenario, rehearse, render_html, render_json, render_text};
use serde::Serialize;

use crate::args::{DEFAULT_CONFIG, Rehearse, Seed};
use crate::remote::{Far, segment};
use crate::world::{plain, read_bounded};
use crate::{Done, Failure, configuration, talk};

/// How often a gate elsewhere is asked whether it is over.
const LOOK: Duration = Duration::from_millis(500);
/// It ends one after four minutes.
const PATIENCE: Duration = Duration::from_secs(300);
/// A scenario file is never larger.
const SCENARIO_BYTES: u64 = 4 * 1024 * 1024;

/// Plays the scenario; fails when one of its expectations does not hold.
pub(crate) fn run(flags: &Rehearse) -> Done {
    // A scenario is played here unless somebody says otherwise: it needs no gate.
    let far = if flags.far.url.is_some() { Far::of(&flags.far, Path::new(DEFAULT_CONFIG), None)? } else { None };
    if let Some(far) = far {
        return elsewhere(&far, flags);
    }
    let scenario = scenario(&flags.scenario, flags.config.as_deref())?;
    let report = rehearse(&scenario, seed(flags)?);
    if let Some(page) = &flags.html {
        let written = std::fs::write(page, render_html(&report));
        written.map_err(|error| Failure::because(format!("cannot write {}: {}", page.display(), plain(&error))))?;
    }
    talk::answer(&if flags.json { render_json(&report) } else { render_text(&report) })?;
    // The report says which expectation failed; the exit code is for whoever does not read it.
    if report.passed() { Ok(()) } else { Err(Failure::Said) }
}

fn seed(flags: &Rehearse) -> Result<u64, Failure> {
    match flags.seed {
        Seed::Fixed(seed) => Ok(seed),
        Seed::Random => {
            let seed = draw().ok_or_else(|| Failure::because("the operating system has no randomness"))?;
            talk::say(&format!("seed {seed}; --seed {seed} plays it again"));
            Ok(seed)
        }
    }
}

/// Has a gate elsewhere play it against its configuration, and waits for what it finds.
fn elsewhere(far: &Far, flags: &Rehearse) -> Done {
    if flags.html.is_some() {
        return Err(Failure::because("a gate elsewhere draws no page: leave out --html, or play it here"));
    }
    let wanted = Wanted { name: None, text: Some(written(&flags.scenario)?), seed: Some(seed(flags)?) };
    let begun: RehearsalLine = far.post("/api/v1/rehearsals", &wanted)?;
    let (path, asked) = (format!("/api/v1/rehearsals/{}", segment(&begun.id)), Instant::now());
    let Rehearsal { line, found } = loop {
        let told: Rehearsal = far.get(&path)?;
        if told.line.ended.is_some() {
            break told;
        }
        if asked.elapsed() > PATIENCE {
            return Err(Failure::because(format!("{} is being played still: the console shows its end", begun.id)));
        }
        std::thread::sleep(LOOK);
    };
    let name = flags.scenario.display();
    let found = found.ok_or_else(|| Failure::because(format!("{name}: {}", line.words)))?;
    talk::answer(if flags.json { machine(&found) } else { found.text }.as_str())?;
    if found.passed { Ok(()) } else { Err(Failure::Said) }
}

/// What is printed for programs, of what a gate elsewhere found.
fn machine(found: &Found) -> String {
    #[derive(Serialize)]
    struct Expected<'a> {
        name: &'a str,
        value: Option<f64>,
        limit: f64,
        unit: &'a str,
        passed: bool,
    }
    #[derive(Serialize)]
    struct Object<'a> {
        scenario: &'a str,
        seed: u64,
        passed: bool,
        expectations: Vec<Expected<'a>>,
        log_hash: &'a str,
    }
    fn expected(it: &Expectation) -> Expected<'_> {
        let Expectation { name, value, limit, unit, passed, .. } = it;
        Expected { name, value: *value, limit: *limit, unit, passed: *passed }
    }
    let object = Object {
        scenario: &found.scenario,
        seed: found.seed,
        passed: found.passed,
        expectations: found.expectations.iter().map(expected).collect(),
        log_hash: &found.log_hash,
    };
    serde_json::to_string_pretty(&object).unwrap_or_default()
}

fn written(path: &Path) -> Result<String, Failure> {
    let name = path.display();
    let bytes = read_bounded(path, SCENARIO_BYTES)
        .map_err(|error| Failure::because(format!("cannot read {name}: {}", plain(&error))))?;
    String::from_utf8(bytes).map_err(|_| Failure::because(format!("{name} is not UTF-8 text")))
}

fn scenario(path: &Path, config: Option<&Path>) -> Result<Scenario, Failure> {
    let policy = config.map(configuration::policy).transpose()?;
    let (name, text) = (path.display(), written(path)?);
    Scenario::parse(&text, policy.as_ref()).map_err(|problems| {
        for problem in &problems {
            talk::say(&format!("{name}: {problem}"));
        }
        let count = problems.len();
        Failure::because(format!("{name} has {count} problem{}", if count == 1 { "" } else { "s" }))
    })
}

/// A seed that fits into the numbers that JSON programs can hold.
fn draw() -> Option<u64> {
    let mut bytes = [0; 8];
    rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes) >> 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_of_a_file_are_counted() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "name = 1").expect("written");
        let Err(Failure::Because(why)) = scenario(file.path(), None) else { panic!("not a scenario") };
        assert!(why.contains("problem"), "{why}");
        let Err(Failure::Because(why)) = scenario(Path::new("nowhere.toml"), None) else { panic!("no file") };
        assert!(why.starts_with("cannot read nowhere.toml"), "{why}");
    }

    #[test]
    fn seeds_differ_and_fit() {
        let (one, other) = (draw().expect("randomness"), draw().expect("randomness"));
        assert!(one != other && one < 1 << 52 && other < 1 << 52);
    }
}
