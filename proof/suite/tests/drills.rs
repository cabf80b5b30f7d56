//! A member list, pulled in four ways through everything that stands in front of it: the demo's own drill. And the drills that the
//! demo's sensors have to see.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use portcullis_suite::postgres::programs;
use portcullis_suite::{Gate, Running, eventually, place, run};
use rustix::process::Signal;

/// Its database, its platforms and the gate have to start.
const STARTED: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn a_member_list_leaves_by_no_way_beyond_its_budget_and_what_left_is_on_record() {
    let Some(_) = programs("leak drills") else { return };
    let ports = ["--http", "0", "--https", "0", "--admin", "0", "--console", "0", "--database", "0"];
    let flags = [&["demo", "--supporters", "3", "--drill"][..], &ports].concat();
    let output = run(Gate::binary(), &flags, Duration::from_secs(120));
    let said = format!("{}{}", output.stdout, output.stderr);
    // Its code is 1 where more left than may, or less is on record than left.
    assert!(output.success, "{said}");
    for way in ["Page by page", "through a staff account", "Through an injection", "By COPY"] {
        assert!(said.contains(way), "{way}: {said}");
    }
    assert!(said.contains("refused all 5 statements") && said.contains("(53400)"), "{said}");
    assert!(said.contains("Each was stopped at its budget"), "{said}");
}

#[test]
fn each_drill_of_the_demo_is_seen() {
    let Some(_) = programs("drills of the demo") else { return };
    let ports = ["--http", "0", "--https", "0", "--admin", "0", "--console", "0", "--database", "0"];
    let mut command = Command::new(Gate::binary());
    command.args(["demo", "--supporters", "1"]).args(ports);
    let mut demo = Running::start(command, &place("drills-demo").join("demo.log"));
    let config = || {
        let said = demo.output();
        said.lines().find_map(|line| line.trim().strip_prefix("Configuration")).map(|path| path.trim().to_owned())
    };
    assert!(eventually(STARTED, || config().is_some()), "{}", demo.output());
    let config = config().expect("its place");
    let sensors = Path::new(&config).with_file_name("control.sensors");
    assert!(eventually(STARTED, || sensors.exists()), "{}", demo.output());
    let output = run(Gate::binary(), &["drill", "--config", &config], PATIENCE);
    let said = format!("{}{}\n{}", output.stdout, output.stderr, demo.output());
    assert!(output.success && !output.stdout.contains("MISSED"), "{said}");
    for sensor in ["schema/members", "origin/members", "scripts/public", "scripts/join", "scripts/members"] {
        assert!(output.stdout.contains(&format!("seen: {sensor} saw the drill")), "{sensor}: {said}");
    }
    // Its servers end with it.
    demo.signal(Signal::TERM);
    assert!(demo.wait(PATIENCE).is_some(), "{}", demo.output());
}
