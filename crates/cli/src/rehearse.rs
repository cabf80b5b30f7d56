//! `portcullis rehearse`: a scenario played against the real engine in a simulated world.
//!
//! It reads the file and shows the report; the world is `portcullis_simulator`.

pub(crate) mod apart;

use std::path::Path;

use portcullis_simulator::{Scenario, rehearse, render_html, render_json, render_text};

use crate::args::{Rehearse, Seed};
use crate::world::{plain, read_bounded};
use crate::{Done, Failure, configuration, talk};

/// A scenario file is never larger.
const SCENARIO_BYTES: u64 = 4 * 1024 * 1024;

/// Plays the scenario; fails when one of its expectations does not hold.
pub(crate) fn run(flags: &Rehearse) -> Done {
    let scenario = scenario(&flags.scenario, flags.config.as_deref())?;
    let seed = match flags.seed {
        Seed::Fixed(seed) => seed,
        Seed::Random => {
            let seed = draw().ok_or_else(|| Failure::because("the operating system has no randomness"))?;
            talk::say(&format!("seed {seed}; --seed {seed} plays it again"));
            seed
        }
    };
    let report = rehearse(&scenario, seed);
    if let Some(page) = &flags.html {
        let written = std::fs::write(page, render_html(&report));
        written.map_err(|error| Failure::because(format!("cannot write {}: {}", page.display(), plain(&error))))?;
    }
    talk::answer(&if flags.json { render_json(&report) } else { render_text(&report) })?;
    // The report says which expectation failed; the exit code is for whoever does not read it.
    if report.passed() { Ok(()) } else { Err(Failure::Said) }
}

fn scenario(path: &Path, config: Option<&Path>) -> Result<Scenario, Failure> {
    let policy = config.map(configuration::policy).transpose()?;
    let name = path.display();
    let bytes = read_bounded(path, SCENARIO_BYTES)
        .map_err(|error| Failure::because(format!("cannot read {name}: {}", plain(&error))))?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::because(format!("{name} is not UTF-8 text")))?;
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
