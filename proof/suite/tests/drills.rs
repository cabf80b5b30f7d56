//! A member list, pulled in four ways through everything that stands in front of it: the demo's own drill.

use std::time::Duration;

use portcullis_suite::postgres::programs;
use portcullis_suite::{Gate, run};

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
