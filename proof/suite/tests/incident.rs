//! What is exported of an incident, read by what others read such files with.

#[path = "../../../crates/incident/tests/scene/mod.rs"]
mod scene;
#[path = "../../../crates/incident/tests/scene/ledger.rs"]
mod written;

use std::time::Duration;

use portcullis_ledger::{Canary, Event, Finding};
use portcullis_suite::{Gate, Python, place, run};

#[test]
fn stix2_validator_pymisp_and_the_models_of_ocsf_take_what_is_exported() {
    let Some(python) = Python::new("incident") else { return };
    let place = place("incident-readers");
    let canary = Canary {
        canary: "c-1".into(),
        path: "http/public".into(),
        left: true,
        way: "answer".into(),
        ..Canary::default()
    };
    let found = Finding {
        what: "file-changed".into(),
        platform: "public".into(),
        words: "A file changed.".into(),
        ..Finding::default()
    };
    let harmed = vec![(scene::SECOND, Event::Canary(canary)), (scene::SECOND, Event::Finding(found))];
    for (name, extra, alarms) in [("blocked", Vec::new(), 0), ("harmed", harmed, 2)] {
        let (evidence, out) = (place.join(format!("{name}-ledger")), place.join(format!("{name}-out")));
        written::ledger(&evidence, extra);
        let arguments = [
            "incident",
            "export",
            "last",
            &*out.to_string_lossy(),
            "--ledger",
            &*evidence.to_string_lossy(),
            "--config",
            "/nonexistent",
        ]
        .map(str::to_owned);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let exported = run(Gate::binary(), &arguments, Duration::from_secs(120));
        assert!(exported.success, "{}", exported.stderr);
        let read = python.run("incident_readers.py", &[&out.to_string_lossy()], Duration::from_secs(120));
        assert!(read.success, "{name}: {}", read.stderr);
        let counted: serde_json::Value = serde_json::from_str(read.stdout.trim()).expect("what was counted");
        assert_eq!(counted["ocsf"], alarms, "{name}: {counted}");
        assert!(counted["stix"].as_u64() >= Some(7) && counted["misp"].as_u64() >= Some(10), "{counted}");
    }
}
