//! The same for machines: STIX 2.1 with the incident core extension, MISP, OCSF, Timesketch, CACAO.
//!
//! Never says more than the report: the values are those that stand for its sentences, and where a sentence is missing the value
//! is missing too. Names are the same each time, so that who imports twice has it once.

use std::collections::BTreeSet;

use portcullis_types::Date;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::assessment::{Claim, Outcome, Verdict};
use crate::moment::rfc3339;
use crate::report::Report;
use crate::words::{Confidence, Likelihood};

/// Extensions of STIX (github.com/oasis-open/cti-stix-common-objects, Incident Extension Suite).
const STIX_INCIDENT: &str = "extension-definition--ef765651-680c-498d-9894-99799f2fa126";
const STIX_IMPACT: &str = "extension-definition--7cc33dd6-f6a1-489b-98ea-522d351d71b9";
/// Who defined them, by the same suite.
const STIX_AUTHOR: &str = "identity--f431f809-377b-45e0-aa1c-6a4751cae5ff";

/// A bundle of STIX 2.1: the incident with the incident core extension, an impact for each claim, who reports.
#[must_use]
pub fn stix(report: &Report) -> Value {
    let id = |kind: &str, what: &str| format!("{kind}--{}", uuid(&report.incident.id, &format!("{kind} {what}")));
    let (created, modified) =
        (rfc3339(report.incident.since), rfc3339(report.written_millis.max(report.incident.since)));
    let us = id("identity", "reporter");
    let common = |kind: &str, what: &str| {
        let mut map = Map::new();
        map.insert("type".to_owned(), kind.into());
        map.insert("spec_version".to_owned(), "2.1".into());
        map.insert("id".to_owned(), id(kind, what).into());
        map.insert("created".to_owned(), created.clone().into());
        map.insert("modified".to_owned(), modified.clone().into());
        map
    };
    let mut objects = Vec::new();
    let mut identity = common("identity", "reporter");
    let name = if report.organisation.name.is_empty() { "not configured" } else { &report.organisation.name };
    identity.insert("name".to_owned(), name.into());
    identity.insert("identity_class".to_owned(), "organization".into());
    objects.push(Value::Object(identity));
    for (definition, name, kind) in
        [(STIX_INCIDENT, "Incident Core Extension", "property-extension"), (STIX_IMPACT, "Impact Extension", "new-sdo")]
    {
        objects.push(json!({
            "type": "extension-definition", "spec_version": "2.1", "id": definition, "created_by_ref": STIX_AUTHOR,
            "created": "2023-10-01T00:00:00.000Z", "modified": "2023-10-01T00:00:00.000Z", "name": name, "version": "2.0",
            "schema": "https://github.com/oasis-open/cti-stix-common-objects/tree/main/extension-definition-specifications/incident-core",
            "extension_types": [kind],
        }));
    }
    objects.push(json!({
        "type": "identity", "spec_version": "2.1", "id": STIX_AUTHOR, "created": "2023-10-01T00:00:00.000Z",
        "modified": "2023-10-01T00:00:00.000Z", "name": "OASIS CTI TC", "identity_class": "organization",
    }));
    let mut impacts = Vec::new();
    for verdict in &report.assessment.headlines {
        let Some((category, extension)) = impact(report, verdict) else { continue };
        let mut object = common("impact", category);
        object.insert("created_by_ref".to_owned(), us.clone().into());
        object.insert("impact_category".to_owned(), category.into());
        object.insert(
            "description".to_owned(),
            format!("{} {}", verdict.sentence, verdict.confidence_sentence).trim().into(),
        );
        object.insert("start_time".to_owned(), created.clone().into());
        // The draft has the category as an extension of its own; STIX 2.1 itself knows extensions by their definitions only, so
        // it stands within that.
        let extension = json!({ STIX_IMPACT: { "extension_type": "new-sdo", category: extension } });
        object.insert("extensions".to_owned(), extension);
        if verdict.claim == Claim::Confidentiality && matches!(verdict.outcome, Outcome::Bounded) {
            // That nobody was affected is said as 0 and not by leaving it out; and only where it was judged.
            object.insert("impacted_entity_counts".to_owned(), json!({ "individual": 0 }));
        }
        impacts.push(object.get("id").cloned().unwrap_or_default());
        objects.push(Value::Object(object));
    }
    let mut incident = common("incident", "incident");
    incident.insert("created_by_ref".to_owned(), us.into());
    incident.insert("name".to_owned(), format!("Incident {}", report.incident.id).into());
    incident.insert("description".to_owned(), report.incident.words.clone().into());
    incident.insert(
        "external_references".to_owned(),
        json!([{ "source_name": "portcullis", "external_id": report.incident.id }]),
    );
    let mut core = json!({
        "extension_type": "property-extension",
        "determination": determination(report),
        "investigation_status": if report.open { "open" } else { "closed" },
        "detection_methods": ["automated-tool"],
        "incident_types": incident_types(report),
    });
    if let Some(core) = core.as_object_mut()
        && !impacts.is_empty()
    {
        core.insert("impact_refs".to_owned(), impacts.into());
    }
    incident.insert("extensions".to_owned(), json!({ STIX_INCIDENT: core }));
    objects.push(Value::Object(incident));
    json!({ "type": "bundle", "id": id("bundle", "bundle"), "objects": objects })
}

/// Whether it came to something: blocked by what was in place, or not, or not known.
fn determination(report: &Report) -> &'static str {
    let outcomes: Vec<Outcome> = report.assessment.headlines.iter().map(|verdict| verdict.outcome).collect();
    let of = |place: usize| outcomes.get(place).copied().unwrap_or(Outcome::CannotSay);
    match (of(0), of(1), of(2)) {
        (Outcome::Refused, ..) | (_, Outcome::Refused, _) => "successful-attempt",
        (Outcome::CannotSay | Outcome::NotRegistered, ..) | (_, Outcome::CannotSay | Outcome::NotRegistered, _) => {
            "suspected"
        }
        _ => "blocked",
    }
}

fn incident_types(report: &Report) -> Vec<&'static str> {
    let mut types = vec!["unattributed"];
    if report.value("suspect") > 0 || report.value("held") > 0 {
        types.push("denial-of-service");
    }
    if report.alarms.iter().any(|(what, ..)| what.contains("stuffing")) {
        types.push("attempted-login");
    }
    types
}

fn impact(report: &Report, verdict: &Verdict) -> Option<(&'static str, Value)> {
    let clean = matches!(verdict.outcome, Outcome::Bounded | Outcome::Attested | Outcome::NoSign);
    match verdict.claim {
        Claim::Confidentiality if clean => {
            Some(("confidentiality", json!({ "information_type": "personal-information", "loss_type": "none" })))
        }
        Claim::Confidentiality if verdict.outcome == Outcome::Refused => Some((
            "confidentiality",
            json!({ "information_type": "personal-information", "loss_type": "suspected-loss" }),
        )),
        Claim::Integrity if clean => Some(("integrity", json!({ "information_type": "system", "alteration": "none" }))),
        Claim::Integrity if verdict.outcome == Outcome::Refused => {
            Some(("integrity", json!({ "information_type": "system", "alteration": "potential-modification" })))
        }
        Claim::Availability if verdict.outcome != Outcome::CannotSay => {
            // Of what people asked for, the share that did not come at once.
            let (people, touched) = (report.value("people"), report.value("people_touched") + report.value("failed"));
            let share = (touched.min(people) * 100).checked_div(people).unwrap_or(0);
            Some(("availability", json!({ "availability_impact": share })))
        }
        _ => None,
    }
}

/// An event of MISP, with words of the taxonomy of estimative language.
#[must_use]
pub fn misp(report: &Report) -> Value {
    let id = |what: &str| uuid(&report.incident.id, &format!("misp {what}"));
    let stamp = (report.written_millis / 1000).to_string();
    let mut tags = vec![json!({ "name": "tlp:amber" })];
    if let Some(verdict) = report.assessment.headline(Claim::Confidentiality) {
        if let Some(likelihood) = verdict.likelihood {
            let word = match likelihood {
                Likelihood::RemoteChance => "almost-no-chance",
                Likelihood::HighlyUnlikely => "very-unlikely",
                Likelihood::Unlikely => "unlikely",
                Likelihood::RealisticPossibility => "roughly-even-chance",
            };
            tags.push(json!({ "name": format!("estimative-language:likelihood-probability=\"{word}\"") }));
        }
        if verdict.confidence != Confidence::None {
            let word = verdict.confidence.word();
            tags.push(json!({ "name": format!("estimative-language:confidence-in-analytic-judgment=\"{word}\"") }));
        }
    }
    let attribute = |what: String, value: String, comment: String| {
        json!({
            "uuid": id(&what), "type": "text", "category": "Other", "value": value, "comment": comment, "to_ids": false,
            "distribution": "5", "timestamp": stamp, "disable_correlation": true,
        })
    };
    let mut attributes: Vec<Value> = Vec::new();
    for verdict in &report.assessment.headlines {
        let text = format!("{} {}", verdict.sentence, verdict.confidence_sentence);
        attributes.push(attribute(
            format!("verdict {}", verdict.claim.word()),
            text.trim().to_owned(),
            verdict.claim.word().to_owned(),
        ));
    }
    for figure in report.figures.iter().filter(|figure| figure.value > 0) {
        let value = format!("{} {}", figure.value, figure.words);
        attributes.push(attribute(format!("figure {}", figure.key), value, figure.evidence.words()));
    }
    for (number, said) in report.rules.list.iter().take(50).enumerate() {
        attributes.push(attribute(format!("rule {number}"), said.words.clone(), "not attribution".to_owned()));
    }
    json!({ "Event": {
        "uuid": id("event"),
        "info": format!("Incident {}: {}", report.incident.id, report.incident.words),
        "date": Date::of_millis(report.incident.since).to_string(),
        "timestamp": stamp,
        "threat_level_id": "4",
        "analysis": if report.open { "1" } else { "2" },
        "distribution": "0",
        "published": false,
        "Orgc": { "uuid": id("organisation"), "name": if report.organisation.name.is_empty() { "not configured" } else { &report.organisation.name } },
        "Tag": tags,
        "Attribute": attributes,
    } })
}

/// Lines of OCSF 1.5: an incident finding, and a detection finding for each thing that rang.
#[must_use]
pub fn ocsf(report: &Report) -> String {
    let metadata = json!({
        "version": "1.5.0",
        "product": { "name": "Portcullis", "vendor_name": "Portcullis", "version": env!("CARGO_PKG_VERSION") },
    });
    let since = report.incident.since;
    let confidentiality = report.assessment.headline(Claim::Confidentiality);
    let confidence = match confidentiality.map(|verdict| verdict.confidence) {
        Some(Confidence::High) => 3,
        Some(Confidence::Moderate) => 2,
        Some(Confidence::Low) => 1,
        _ => 0,
    };
    let breach = |outcome: Option<Outcome>| outcome == Some(Outcome::Refused);
    let mut lines = vec![json!({
        "activity_id": if report.open { 2 } else { 3 },
        "category_uid": 2, "class_uid": 2005, "type_uid": if report.open { 200_502 } else { 200_503 },
        "time": report.written_millis, "start_time": since, "end_time": report.until_millis,
        "severity_id": if breach(confidentiality.map(|verdict| verdict.outcome)) { 4 } else { 3 },
        "status_id": if report.open { 2 } else { 5 },
        "confidence_id": confidence,
        // The class asks for one who has it in hand.
        "assignee_group": { "name": "operators on duty" },
        "is_suspected_breach": breach(confidentiality.map(|verdict| verdict.outcome)),
        "desc": report.incident.words,
        "comment": confidentiality.map_or("", |verdict| verdict.sentence.as_str()),
        "finding_info_list": [{ "uid": report.incident.id, "title": format!("Incident {}", report.incident.id), "created_time": since, "first_seen_time": since, "last_seen_time": report.until_millis }],
        "metadata": metadata,
    })];
    let mut found = |uid: String, title: &str, words: String, at: u64, severity: u8| {
        lines.push(json!({
            "activity_id": 1, "category_uid": 2, "class_uid": 2004, "type_uid": 200_401, "time": at, "severity_id": severity,
            "status_id": 1, "message": words, "is_alert": true,
            "finding_info": { "uid": format!("{}-{uid}", report.incident.id), "title": title, "desc": words, "created_time": at },
            "metadata": metadata,
        }));
    };
    for hit in &report.canaries.list {
        let words = format!("Canary {} by {} through {}", hit.canary, hit.path, hit.through);
        found(
            format!("canary-{}", hit.evidence.first().unwrap_or(0)),
            "Canary seen",
            words,
            hit.at,
            if hit.left { 5 } else { 4 },
        );
    }
    for breach in &report.breaches.list {
        let words = format!(
            "{} {} by {} through {}, {} allowed, {} left",
            breach.reached, breach.what, breach.path, breach.through, breach.allowed, breach.left
        );
        found(format!("budget-{}", breach.evidence.first().unwrap_or(0)), "Budget reached", words, breach.at, 4);
    }
    for finding in &report.findings.list {
        found(
            format!("finding-{}", finding.evidence.first().unwrap_or(0)),
            "Change without authority",
            finding.words.clone(),
            finding.at,
            4,
        );
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The timeline as Timesketch takes it: one JSON object a line with `message`, `datetime` and `timestamp_desc`.
#[must_use]
pub fn timesketch(report: &Report) -> String {
    let line = |entry: &crate::timeline::Entry| {
        let value = json!({
            "message": entry.words, "datetime": rfc3339(entry.at), "timestamp_desc": entry.kind, "platform": entry.platform,
            "record": entry.evidence.first(), "incident": report.incident.id,
        });
        format!("{value}\n")
    };
    report.timeline.entries.iter().map(line).collect()
}

/// A playbook of CACAO 2.0: what was done in this incident, in order, for whoever meets the like.
#[must_use]
pub fn cacao(report: &Report) -> Value {
    let id = |kind: &str, what: &str| format!("{kind}--{}", uuid(&report.incident.id, &format!("cacao {kind} {what}")));
    let (start, end, agent) = (id("start", ""), id("end", ""), id("individual", "operator"));
    let mut steps: Vec<(String, String, String, &str)> = Vec::new();
    for measure in report.measures.iter().take(30) {
        steps.push((
            id("action", &format!("measure {} {}", measure.id, measure.from)),
            format!("{}: {} on {}", measure.what, measure.action, measure.platform),
            format!("The gate's own measure {} ({}); watch it with `portcullis rules`, take it back with `portcullis rules undo`.", measure.id, measure.by),
            "restrict-access",
        ));
    }
    for (number, paper) in report.decisions.iter().chain(&report.told).chain(&report.reports).take(30).enumerate() {
        let what =
            if paper.words.is_empty() { format!("Report {} to {}", paper.form, paper.to) } else { paper.words.clone() };
        let activity = if paper.kind == "decision" { "identify-steps" } else { "deliver-content" };
        steps.push((
            id("action", &format!("paper {number}")),
            format!("{} ({})", paper.kind, paper.by),
            what,
            activity,
        ));
    }
    steps.push((
        id("action", "export"),
        "Assess and report".to_owned(),
        "portcullis incident show last; portcullis incident export last DIR".to_owned(),
        "compose-content",
    ));
    // A playbook of a declared type says what it does, each of it in a step.
    let activities: BTreeSet<&str> = steps.iter().map(|step| step.3).collect();
    let mut workflow = Map::new();
    let first = steps.first().map_or(&end, |step| &step.0);
    workflow.insert(start.clone(), json!({ "type": "start", "on_completion": first }));
    for (place, (step, name, command, activity)) in steps.iter().enumerate() {
        let next = steps.get(place + 1).map_or(&end, |step| &step.0);
        workflow.insert(
            step.clone(),
            json!({
                "type": "action", "name": name, "on_completion": next, "agent": agent,
                "commands": [{ "type": "manual", "command": command, "playbook_activity": activity }],
            }),
        );
    }
    workflow.insert(end, json!({ "type": "end" }));
    json!({
        "type": "playbook", "spec_version": "cacao-2.0", "id": id("playbook", ""),
        "name": format!("What was done in incident {}", report.incident.id),
        "description": report.incident.words,
        "playbook_types": ["mitigation", "notification"],
        "playbook_activities": activities,
        "created_by": id("identity", "reporter"),
        "created": rfc3339(report.incident.since), "modified": rfc3339(report.written_millis.max(report.incident.since)),
        "revoked": false,
        "workflow_start": start,
        "workflow": workflow,
        "agent_definitions": { agent: { "type": "individual", "name": "the operator on duty" } },
    })
}

/// A name in the form of a random UUID (version 4, RFC 9562) that is the same for the same thing.
fn uuid(incident: &str, what: &str) -> String {
    let hash = Sha256::digest(format!("portcullis incident {incident}\n{what}").as_bytes());
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(hash.get(..16).unwrap_or(&[0; 16]));
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, until: usize| hex.get(from..until).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}
