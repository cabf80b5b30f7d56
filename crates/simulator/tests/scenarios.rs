//! Every scenario is read; a world is the same twice; and what a scenario expects, it can also miss.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "reads cases from specs/, tells the seed of the day"
)]

use std::path::PathBuf;

use portcullis_simulator::{Scenario, rehearse, render_json};

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../specs/scenarios"))
}

fn scenario(name: &str) -> Scenario {
    let text = std::fs::read_to_string(directory().join(format!("{name}.toml"))).expect(name);
    Scenario::parse(&text, None).unwrap_or_else(|problems| panic!("{name}: {problems:?}"))
}

fn names() -> Vec<String> {
    let entries = std::fs::read_dir(directory()).expect("specs/scenarios");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut names: Vec<String> =
        paths.filter_map(|path| Some(path.file_name()?.to_str()?.strip_suffix(".toml")?.to_owned())).collect();
    names.sort();
    names
}

/// A world of a few seconds, so that tests stay quick where nothing is optimised.
const SMALL: &str = r#"
name = "small"
title = "a small world"
lasts = "40s"

[[platform]]
name = "public"
workers = 8

[[population]]
name = "supporters"
rate = [20, 30]
think = "2s"

[[population]]
name = "tor"
kind = "tor"
rate = 3

[[population]]
name = "partner"
kind = "partner"
rate = 3

[[attack]]
name = "flood"
kind = "flood"
at = "20s"
lasts = "8s"
times = [3, 4]

[[attack]]
name = "mimic"
kind = "mimic"
at = "22s"
lasts = "8s"
times = [1, 2]

[[attack]]
name = "resets"
kind = "rapid-reset"
at = "24s"
lasts = "3s"
rate = 1
"#;

#[test]
fn every_scenario_is_read_and_named_as_its_file() {
    let names = names();
    assert_eq!(names.len(), 29, "28 and the month: {names:?}");
    for name in names {
        let scenario = scenario(&name);
        assert_eq!(scenario.name(), name);
        assert!(!scenario.wishes().is_empty(), "{name} expects something");
    }
}

#[test]
fn the_same_seed_gives_the_same_log_and_another_seed_another() {
    let small = Scenario::parse(SMALL, None).expect("sound");
    let hashes = [1, 1, 2].map(|seed| rehearse(&small, seed).log_hash);
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
    assert_eq!(hashes[0].len(), 64);
}

#[test]
fn the_object_has_exactly_the_keys_that_are_promised() {
    let small =
        Scenario::parse(&format!("{SMALL}\n[[expect]]\nfigure = \"rules\"\nat_most = 100\n"), None).expect("sound");
    let object: serde_json::Value = serde_json::from_str(&render_json(&rehearse(&small, 1))).expect("JSON");
    let keys = |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&object), ["expectations", "log_hash", "passed", "scenario", "seed"]);
    assert_eq!(keys(&object["expectations"][0]), ["limit", "name", "passed", "unit", "value"]);
}

/// Three minutes of calm, then half a minute of a plain flood: enough to see whether each part does its own.
const FLOOD: &str = r#"
name = "flood"
title = "a plain flood"
lasts = "4m"

[[platform]]
name = "public"
workers = [10, 14]

[[population]]
name = "supporters"
rate = [60, 90]

[[population]]
name = "staff"
kind = "staff"
rate = 2

[[attack]]
name = "flood"
kind = "flood"
at = "3m"
lasts = "20s"
times = [10, 14]
sources = 400

[[expect]]
figure = "armed"
at_most = "1s"

[[expect]]
figure = "admission"
at_most = "1s"

[[expect]]
figure = "rule"
at_most = "2s"

[[expect]]
figure = "refused_protected"
at_most = 0
"#;

/// The same people, and many more of them, but nobody who attacks.
const TWIN: &str = r#"
name = "crowd"
title = "the benign twin of the flood"
lasts = "4m"

[[platform]]
name = "public"
workers = [30, 40]

[[population]]
name = "supporters"
rate = [60, 90]

[[population]]
name = "viewers"
rate = 10
returning = 0.1
linked = 0.9
crowd = { at = "3m", ramp = "10s", hold = "30s", decay = "10s", times = [15, 20] }

[[expect]]
figure = "blocking_rules"
at_most = 0

[[expect]]
figure = "attack_postures"
at_most = 0

[[expect]]
figure = "refused"
at_most = "0.1%"
"#;

/// A seed that nobody knew before; it is printed, so that a failure can be played again.
fn seed_of_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let seed = u64::from(since.subsec_nanos()) ^ since.as_secs() << 20;
    println!("seed {seed}");
    seed
}

fn misses(text: &str, seed: u64, off: &[&str]) -> Vec<String> {
    let scenario = Scenario::parse(text, None).expect("sound").without(off);
    let report = rehearse(&scenario, seed);
    report.expectations.iter().filter(|expectation| !expectation.passed).map(|one| format!("{one:?}")).collect()
}

#[test]
fn a_flood_is_met_its_benign_twin_is_not_and_without_the_parts_the_flood_is_missed() {
    let seed = seed_of_now();
    assert_eq!(misses(FLOOD, seed, &[]), Vec::<String>::new(), "the attack, seed {seed}");
    assert_eq!(misses(TWIN, seed, &[]), Vec::<String>::new(), "the twin, seed {seed}");
    let without = |off: &[&str]| misses(FLOOD, seed, off).concat();
    assert!(without(&["mining"]).contains("\"rule\""), "no rule without mining, seed {seed}");
    assert!(without(&["admission"]).contains("\"admission\""), "nothing is bounded without admission, seed {seed}");
    let deaf = without(&["rate", "stress", "protocol", "business"]);
    assert!(deaf.contains("\"armed\""), "nothing arms without the channels, seed {seed}: {deaf}");
}

#[test]
fn the_guide_is_right() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/scenarios.md");
    let guide = std::fs::read_to_string(path).expect(path);
    let mut examples = 0;
    for block in guide.split("```toml\n").skip(1) {
        let example = block.split("```").next().unwrap_or_default();
        if let Err(problems) = Scenario::parse(example, None) {
            panic!("{problems:?} in\n{example}");
        }
        examples += 1;
    }
    assert_eq!(examples, 5);
    for (name, unit, words) in portcullis_simulator::FIGURES {
        assert!(guide.contains(&format!("| `{name}` | {unit} | {words} |")), "{name} is not in the guide as it is");
    }
    for kind in ["one-shot", "made-you-reset", "enumeration", "slow-read"] {
        assert!(guide.contains(kind), "{kind}");
    }
}
