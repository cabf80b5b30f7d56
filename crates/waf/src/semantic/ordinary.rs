//! What people send is not blocked: `specs/waf-semantic/ordinary.toml`.

use super::*;

/// Where short values may stand, and where people write at length.
const ALL: &[Place] = &[Place::Query, Place::Form, Place::Json, Place::Cookie, Place::Header, Place::Xml];
const LONG: &[Place] = &[Place::Form, Place::Json, Place::Xml];

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its cases")]
fn what_people_write_passes() {
    let detector = Detector::new(Settings::default());
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../specs/waf-semantic/ordinary.toml");
    let file: toml::Table = std::fs::read_to_string(path).expect("the values").parse().expect("TOML");
    let (mut values, mut blocked) = (0, Vec::new());
    for group in file["ordinary"].as_array().expect("groups") {
        let kind = group["kind"].as_str().expect("a kind");
        let long = group.get("long").is_some();
        for value in group["values"].as_array().expect("values") {
            let value = value.as_str().expect("text");
            values += 1;
            let mut findings = Findings::new();
            for place in if long { LONG } else { ALL } {
                findings.clear();
                detector.value(*place, b"text", value.as_bytes(), &mut findings);
                if detector.blocks(&findings) {
                    blocked.push(format!("{kind}, {}: {value:?}: {:?}", place.as_str(), findings.list()));
                    break;
                }
            }
            let form: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            findings.clear();
            detector.form(format!("text={form}").as_bytes(), &mut findings);
            if detector.blocks(&findings) && !blocked.last().is_some_and(|last| last.contains(&format!("{value:?}"))) {
                blocked.push(format!("{kind}, a form: {value:?}: {:?}", findings.list()));
            }
        }
    }
    assert!(values >= 300, "{values}");
    assert!(blocked.is_empty(), "{} of {values}:\n{}", blocked.len(), blocked.join("\n"));
}
