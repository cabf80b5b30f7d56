//! A rehearsal in a process of its own, for the console of a gate that runs.
//!
//! Somebody's scenario may ask for any number of visitors, so it shares neither memory nor priority with the gate: the process has
//! little of either, ends with its parent, and is the first to go when the machine has no memory left. Nobody types its verb.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use portcullis_control::model::{Assault, Cohort, Expectation, Found, Measured, PlayedAct, Seconds};
use portcullis_simulator::{FIGURES, Moment, Report, Scenario, rehearse, render_text};
use rustix::process::{Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};

use crate::configuration::Read;

/// The verb under which the binary plays.
pub(crate) const VERB: &str = "rehearse-apart";

/// Memory that it may have: a scenario of those that come with the gate needs a tenth.
const MEMORY_BYTES: u64 = 512 * 1024 * 1024;
/// Seconds of CPU that it may take.
pub(crate) const CPU_SECONDS: u64 = 120;
/// Seconds that a scenario played here may last in its own time.
const LASTS_SECONDS: f64 = 3_600.0;
/// What it is sent: a scenario, a name, a number.
const ASKED_BYTES: u64 = 1024 * 1024;
/// Points of the line of time, acts and problems that are told.
const POINTS: usize = 480;
const ACTS: usize = 200;
const PROBLEMS: usize = 20;

/// What is played.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) config: PathBuf,
    pub(crate) text: String,
    pub(crate) seed: u64,
}

/// What came of it, or why it could not be played.
pub(crate) type Answer = Result<Found, String>;

/// Reads what to play, plays it, writes what came of it.
///
/// # Errors
/// The system refuses to confine it, or the streams fail.
pub(crate) fn serve() -> io::Result<()> {
    confine()?;
    let mut sent = Vec::new();
    io::stdin().lock().take(ASKED_BYTES).read_to_end(&mut sent)?;
    let asked: Asked = serde_json::from_slice(&sent)?;
    let answer = serde_json::to_vec(&play(&asked))?;
    io::stdout().lock().write_all(&answer)
}

fn confine() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // Both are wishes: without them it is still bounded.
    let _ = rustix::process::setpriority_process(None, 19);
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let limits =
        [(Resource::Data, MEMORY_BYTES), (Resource::Cpu, CPU_SECONDS), (Resource::Core, 0), (Resource::Fsize, 0)];
    for (resource, most) in limits {
        rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

fn play(asked: &Asked) -> Answer {
    let policy = Read::file(&asked.config)?.settle_quietly()?;
    let scenario = Scenario::parse(&asked.text, Some(&policy)).map_err(|problems| {
        let lines: Vec<String> = problems.iter().take(PROBLEMS).map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    if scenario.longest() > LASTS_SECONDS {
        return Err(format!(
            "it lasts longer than {} minutes: play it with `portcullis rehearse`",
            LASTS_SECONDS / 60.0
        ));
    }
    Ok(found(rehearse(&scenario, asked.seed)))
}

/// For programs, and bounded.
fn found(report: Report) -> Found {
    let text = render_text(&report);
    let about = |name: &str| {
        let name = name.strip_suffix(" at least").unwrap_or(name);
        FIGURES.iter().find(|(known, ..)| *known == name).map_or("", |(.., about)| about).to_owned()
    };
    let expected =
        |name: &str| report.expectations.iter().any(|it| it.name.strip_suffix(" at least").unwrap_or(&it.name) == name);
    let figures = report.figures.iter().filter(|it| !expected(&it.name)).filter_map(|it| {
        Some(Measured { name: it.name.clone(), about: about(&it.name), value: it.value?, unit: it.unit.to_owned() })
    });
    let expectations = report.expectations.iter().map(|it| Expectation {
        name: it.name.clone(),
        about: about(&it.name),
        value: it.value,
        limit: it.limit,
        unit: it.unit.to_owned(),
        passed: it.passed,
    });
    let attacks = report.attacks.iter().map(|it| Assault { name: it.name.clone(), from: it.from, until: it.until });
    let cohorts = report.cohorts.iter().map(|it| Cohort {
        name: it.name.clone(),
        protected: it.protected,
        sessions: it.sessions,
        refused: it.refused,
        challenged: it.challenged,
        failed: it.failed,
        delayed: it.delayed,
        unserved: it.unserved,
    });
    let acts = report.acts.iter().take(ACTS);
    let acts = acts.map(|act| PlayedAct { at: (act.at_nanos / 1_000_000) as f64 / 1_000.0, words: act.words.clone() });
    Found {
        expectations: expectations.collect(),
        figures: figures.collect(),
        attacks: attacks.collect(),
        timeline: seconds(&report.timeline),
        cohorts: cohorts.collect(),
        acts: acts.collect(),
        more_acts: report.acts.len().saturating_sub(ACTS) as u64,
        passed: report.passed,
        seed: report.seed,
        log_hash: report.log_hash,
        scenario: report.scenario,
        title: report.title,
        text,
    }
}

/// As many points as can be drawn: what falls into one is added up, and of what cannot be the gravest stands.
fn seconds(moments: &[Moment]) -> Seconds {
    let mut seconds = Seconds::default();
    for chunk in moments.chunks(moments.len().div_ceil(POINTS).max(1)) {
        let Some(last) = chunk.last() else { continue };
        let sum = |of: fn(&Moment) -> u32| chunk.iter().map(|moment| u64::from(of(moment))).sum();
        seconds.second.push(last.second);
        seconds.legitimate.push(sum(|it| it.legitimate));
        seconds.legitimate_refused.push(sum(|it| it.legitimate_refused));
        seconds.attack.push(sum(|it| it.attack));
        seconds.attack_passed.push(sum(|it| it.attack_passed));
        seconds.p99_ms.push(chunk.iter().map(|it| it.p99_ms).fold(0.0, f64::max));
        let gravest = chunk.iter().map(|it| it.posture).max_by_key(|posture| gravity(posture));
        seconds.posture.push(gravest.unwrap_or("normal").to_owned());
    }
    seconds
}

fn gravity(posture: &str) -> usize {
    ["normal", "recovery", "elevated", "overload", "attack"].iter().position(|it| *it == posture).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use portcullis_simulator::render_json;
    use serde_json::{Value, json};

    use super::*;

    const LEAST: &str = "name = \"least\"\ntitle = \"A flood\"\nlasts = \"40s\"\n[[population]]\nname = \"people\"\n\
        rate = 20\n[[attack]]\nname = \"flood\"\nkind = \"flood\"\nat = \"20s\"\nlasts = \"10s\"\ntimes = 4\n\
        [[expect]]\nfigure = \"refused_protected\"\nat_most = 0\n[[expect]]\nfigure = \"connections_free\"\nat_least = \"10%\"\n";

    fn config() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("gate.toml");
        let text = "[[listener]]\nname = \"http\"\nbind = \"127.0.0.1:1\"\n[[platform]]\nname = \"site\"\n\
            hosts = [\"example.org\"]\nupstreams = [\"http://127.0.0.1:8080\"]\n";
        std::fs::write(&path, text).expect("written");
        (home, path)
    }

    #[test]
    fn it_is_what_the_verb_says() {
        let (_home, config) = config();
        let policy = Read::file(&config).expect("read").settle_quietly().expect("in order");
        let report = rehearse(&Scenario::parse(LEAST, Some(&policy)).expect("sound"), 7);
        let said: Value = serde_json::from_str(&render_json(&report)).expect("JSON");
        let found = play(&Asked { config, text: LEAST.to_owned(), seed: 7 }).expect("played");
        assert_eq!(found.text, render_text(&report));
        // What crosses an API may differ in the last digit of a number, and in nothing else.
        assert_eq!(crate::rehearse::machine(&found), render_json(&report));
        let told = serde_json::to_value(&found).expect("JSON");
        for key in ["scenario", "seed", "passed", "log_hash"] {
            assert_eq!(told[key], said[key], "{key}");
        }
        for (own, other) in found.expectations.iter().zip(said["expectations"].as_array().expect("a list")) {
            let near = |own: Option<f64>, other: &Value| format!("{own:.6?}") == format!("{:.6?}", other.as_f64());
            assert!(near(own.value, &other["value"]) && near(Some(own.limit), &other["limit"]), "{own:?} {other}");
            assert_eq!(
                (&json!(own.name), &json!(own.unit), &json!(own.passed)),
                (&other["name"], &other["unit"], &other["passed"])
            );
            assert!(!own.about.is_empty(), "{} is said", own.name);
        }
        assert_eq!(found.expectations.len(), 2);
        let timeline = &found.timeline;
        assert!(timeline.attack.iter().sum::<u64>() > 0 && timeline.second.len() == timeline.posture.len());
        assert!(found.figures.iter().all(|it| !it.name.starts_with("connections_free")), "said above");
    }

    #[test]
    fn what_cannot_be_played_is_said() {
        let (_home, config) = config();
        let play = |text: &str| play(&Asked { config: config.clone(), text: text.to_owned(), seed: 1 });
        assert!(play("name = 1").expect_err("no scenario").contains("line 1"));
        let long = LEAST.replace("40s", "61m");
        assert!(play(&long).expect_err("too long").contains("60 minutes"));
        let elsewhere = LEAST.replace("rate = 20\n", "rate = 20\nplatform = \"other\"\n");
        assert!(play(&elsewhere).expect_err("no platform").contains("there is no platform `other`"));
        let nowhere = super::play(&Asked { config: "nowhere.toml".into(), text: LEAST.to_owned(), seed: 1 });
        assert!(nowhere.expect_err("no configuration").contains("nowhere.toml"));
    }

    #[test]
    fn many_seconds_become_few_points() {
        let moment = |second| Moment {
            second,
            legitimate: 2,
            posture: if second == 5 { "attack" } else { "normal" },
            ..Moment::default()
        };
        let seconds = seconds(&(1..=1000).map(moment).collect::<Vec<_>>());
        assert!(seconds.second.len() <= POINTS && seconds.second.last() == Some(&1000));
        assert_eq!(seconds.legitimate.iter().sum::<u64>(), 2000, "nothing is lost");
        assert_eq!(seconds.posture.iter().filter(|it| *it == "attack").count(), 1);
        assert!(super::seconds(&[]).second.is_empty());
    }
}
