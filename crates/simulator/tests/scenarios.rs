//! Every scenario is read; a world is the same twice; and what a scenario expects, it can also miss.
#![expect(clippy::disallowed_methods, reason = "reads cases from specs/")]

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
