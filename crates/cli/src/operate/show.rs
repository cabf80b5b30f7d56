//! How the gate stands, for a person at a terminal: short tables, plain sentences.
//!
//! Everything that came from a visitor was escaped by the engine before it got here; it is escaped again.

use std::fmt::Write;

use portcullis_engine::{EventStatus, PlatformStatus, RuleStatus, Status};
use serde_json::Value;

use crate::moment::speak;

/// The whole of it.
pub(super) fn status(whole: &Value, defence: &Status, now: u64) -> String {
    let text = |key: &str| whole.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    let number = |key: &str| whole.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut page = format!(
        "Node {}: policy {}, {} workers, {} connections{}\n",
        clean(&text("node")),
        number("generation"),
        number("workers"),
        number("connections"),
        if whole.get("draining") == Some(&Value::Bool(true)) { ", draining" } else { "" },
    );
    for platform in &defence.platforms {
        page.push('\n');
        one(&mut page, platform);
    }
    if !defence.events.is_empty() {
        let _ = write!(page, "\nAnnounced\n{}", events(&defence.events, now));
    }
    if let Some(inspection) = whole.get("inspection") {
        page.push('\n');
        probes(&mut page, inspection, now);
    }
    if let Some(leaving) = whole.get("leaving") {
        page.push('\n');
        page.push_str(&crate::data::shown(leaving));
    }
    for database in whole.get("databases").and_then(Value::as_array).into_iter().flatten() {
        page.push('\n');
        page.push_str(&crate::pg::standing(database, now));
    }
    page
}

/// What the gate's own probes came to: alarms one by one, all else in one line for each way of inspecting.
fn probes(page: &mut String, inspection: &Value, now: u64) {
    let families = inspection.get("families").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if families.is_empty() {
        page.push_str("Inspection: nothing is inspected\n");
        return;
    }
    let ago = |since: u64| span(std::time::Duration::from_millis(now.saturating_sub(since)).as_secs_f64());
    let _ = match inspection.get("probed").and_then(Value::as_u64) {
        Some(probed) => writeln!(page, "Inspection: probed {} ago", ago(probed)),
        None => writeln!(page, "Inspection: not probed yet"),
    };
    let text = |line: &Value, key: &str| clean(line.get(key).and_then(Value::as_str).unwrap_or_default());
    let family = |line: &Value| match text(line, "family") {
        family if family.is_empty() => "(rules run)".to_owned(),
        family => family,
    };
    let mut groups: Vec<Probed> = Vec::new();
    for line in families {
        let key = [text(line, "platform"), text(line, "route"), text(line, "by")];
        if line.get("alarm") == Some(&Value::Bool(true)) {
            let since = line
                .get("since")
                .and_then(Value::as_u64)
                .map_or_else(String::new, |since| format!(" since {} ({} ago)", speak(since), ago(since)));
            let [platform, route, by] = &key;
            let (state, why) = (text(line, "state"), text(line, "why"));
            let _ = writeln!(page, "  ALARM {platform}{route}: {} by {by}: {state}{since}: {why}", family(line));
        }
        let routes = line.get("routes").and_then(Value::as_u64).unwrap_or(1);
        let entry = (text(line, "state"), family(line));
        match groups.iter_mut().find(|known| known.key == key) {
            Some(known) => known.states.push(entry),
            None => groups.push(Probed { key, routes, states: vec![entry] }),
        }
    }
    for Probed { key: [platform, route, by], routes, states } in groups {
        let more = if routes > 1 { format!(" and {} like it", routes - 1) } else { String::new() };
        let _ = writeln!(page, "  {platform}{route}{more}, {by}:");
        let mut names: Vec<&str> = states.iter().map(|(state, _)| state.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let of: Vec<&str> =
                states.iter().filter(|(state, _)| state == name).map(|(_, family)| family.as_str()).collect();
            let _ = writeln!(page, "    {name:<14} {}", of.join(", "));
        }
    }
}

/// The families of one way of inspecting.
struct Probed {
    /// Platform, route, and by what.
    key: [String; 3],
    routes: u64,
    /// State and family of each.
    states: Vec<(String, String)>,
}

fn one(page: &mut String, platform: &PlatformStatus) {
    let _ = writeln!(page, "{}: {}", clean(&platform.name), posture(platform));
    if !platform.why.is_empty() {
        let _ = writeln!(page, "  Why        {}", clean(&platform.why));
    }
    let baseline = &platform.baseline;
    let expected = match (baseline.ready, &baseline.pinned_by) {
        (false, _) => "not enough is known yet to expect anything".to_owned(),
        (true, None) => format!("{:.1} expected", baseline.expected_rps),
        (true, Some(event)) => format!("{:.1} expected, pinned for {}", baseline.expected_rps, clean(event)),
    };
    let frozen = if platform.frozen { "; learning has stopped" } else { "" };
    let _ = writeln!(page, "  Requests   {:.1} a second, {expected}{frozen}", baseline.actual_rps);
    for channel in platform.channels.iter().filter(|channel| !matches!(channel.level.as_str(), "quiet" | "off")) {
        let _ =
            writeln!(page, "  {:<10} {}: {}", capital(&channel.name), clean(&channel.level), clean(&channel.figures));
    }
    if let Some(limits) = limits(platform) {
        let _ = writeln!(page, "  Admission  {limits}");
    }
    let live: Vec<&RuleStatus> = platform.rules.iter().filter(|rule| is_live(rule)).collect();
    for rule in &live {
        let _ = writeln!(page, "  Rule       {}", line(rule));
    }
    let dormant = platform.rules.len() - live.len();
    if dormant > 0 {
        let _ = writeln!(page, "  Rules      {dormant} not in force: portcullis rules list");
    }
}

/// Postures alone.
pub(super) fn postures(platforms: &[PlatformStatus]) -> String {
    let mut page = String::new();
    for platform in platforms {
        let _ = writeln!(page, "{}: {}", clean(&platform.name), posture(platform));
        if !platform.why.is_empty() {
            let _ = writeln!(page, "  {}", clean(&platform.why));
        }
    }
    page
}

/// Rules with their patterns.
pub(super) fn rules(defence: &Status) -> String {
    let mut page = String::new();
    for platform in &defence.platforms {
        for rule in &platform.rules {
            let _ = writeln!(page, "{} {}", clean(&platform.name), line(rule));
            if !rule.why.is_empty() {
                let _ = writeln!(page, "  {}", clean(&rule.why));
            }
            if is_live(rule) && !rule.undo.is_empty() {
                let _ = writeln!(page, "  Undo: {}", clean(&rule.undo));
            }
        }
    }
    if page.is_empty() { "There are no rules, and none are remembered.\n".to_owned() } else { page }
}

/// Events, past ones left out by the gate.
pub(super) fn events(events: &[EventStatus], now: u64) -> String {
    if events.is_empty() {
        return "Nothing is announced.\n".to_owned();
    }
    let mut page = String::new();
    for event in events {
        let platform = event.platform.as_deref().map_or_else(|| "all platforms".to_owned(), clean);
        let running = if event.from <= now && now < event.until { ", now" } else { "" };
        let (from, until) = (speak(event.from), speak(event.until));
        let _ = writeln!(page, "  {}: from {from} until {until}, {platform}{running}", clean(&event.name));
    }
    page
}

fn posture(platform: &PlatformStatus) -> String {
    let held = if platform.forced { ", held by an operator (portcullis posture … auto lets go)" } else { "" };
    format!("{} for {}{held}", clean(&platform.posture), span(platform.since_seconds))
}

fn line(rule: &RuleStatus) -> String {
    let share = if rule.share < 100 && is_live(rule) { format!(" on {} %", rule.share) } else { String::new() };
    let pinned = if rule.pinned { ", pinned" } else { "" };
    format!(
        "{} {}: {}{share} where {} ({} matched{pinned})",
        clean(&rule.id),
        clean(&rule.phase),
        clean(&rule.action),
        clean(&rule.pattern),
        rule.matched
    )
}

fn is_live(rule: &RuleStatus) -> bool {
    !matches!(rule.phase.as_str(), "dormant" | "undone" | "withdrawn")
}

fn limits(platform: &PlatformStatus) -> Option<String> {
    let admission = &platform.admission;
    let mut parts: Vec<String> = admission.whole.iter().map(|whole| format!("{whole} at once")).collect();
    parts.extend(admission.classes.iter().map(|(class, limit)| format!("{} {limit}", clean(class))));
    if admission.cut > 0 {
        parts.push(format!("priorities below {} do not enter the queue", admission.cut));
    }
    if admission.room_open {
        parts.push("the waiting room is open".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// `42 s`, `5 min`, `3 h 20 min`, `2 d 4 h`.
fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{} min", whole / 60),
        3_600..86_400 => format!("{} h {} min", whole / 3_600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86_400, whole / 3_600 % 24),
    }
}

fn capital(word: &str) -> String {
    let mut letters = clean(word).chars().collect::<Vec<_>>();
    if let Some(first) = letters.first_mut() {
        first.make_ascii_uppercase();
    }
    letters.into_iter().collect()
}

/// Nothing that a terminal would obey.
fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{FFFD}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use portcullis_engine::{AdmissionStatus, BaselineStatus, ChannelStatus};
    use serde_json::json;

    use super::*;

    fn under_attack() -> Status {
        let rule = |id: &str, phase: &str, share| RuleStatus {
            id: id.to_owned(),
            phase: phase.to_owned(),
            action: "challenge".to_owned(),
            share,
            pattern: "TLS a1c9 & no token".to_owned(),
            matched: 4_112,
            why: "97 % of the excess".to_owned(),
            undo: format!("portcullis rules undo {id}"),
            ..RuleStatus::default()
        };
        let channel = |name: &str, level: &str| ChannelStatus {
            name: name.to_owned(),
            level: level.to_owned(),
            figures: "6.1 times the expected".to_owned(),
            ..ChannelStatus::default()
        };
        let platform = PlatformStatus {
            name: "public".to_owned(),
            posture: "attack".to_owned(),
            since_seconds: 75.0,
            why: "A rule explains 97 % of the excess.".to_owned(),
            frozen: true,
            channels: vec![channel("rate", "strong"), channel("protocol", "quiet")],
            baseline: BaselineStatus {
                ready: true,
                expected_rps: 20.0,
                actual_rps: 122.0,
                ..BaselineStatus::default()
            },
            rules: vec![rule("r-81", "relaxing", 50), rule("r-7", "dormant", 0)],
            admission: AdmissionStatus {
                whole: Some(40),
                classes: vec![("search".to_owned(), 8)],
                cut: 64,
                room_open: false,
            },
            ..PlatformStatus::default()
        };
        let event = EventStatus { name: "debate\u{1b}[2J".to_owned(), platform: None, from: 0, until: 3_600_000 };
        Status { platforms: vec![platform], events: vec![event], bytes: 0 }
    }

    #[test]
    fn an_attack_reads_as_sentences() {
        let whole = json!({"node": "gate-1", "generation": 3, "workers": 2, "connections": 310, "draining": false});
        let expected = "\
Node gate-1: policy 3, 2 workers, 310 connections

public: attack for 1 min
  Why        A rule explains 97 % of the excess.
  Requests   122.0 a second, 20.0 expected; learning has stopped
  Rate       strong: 6.1 times the expected
  Admission  40 at once, search 8, priorities below 64 do not enter the queue
  Rule       r-81 relaxing: challenge on 50 % where TLS a1c9 & no token (4112 matched)
  Rules      1 not in force: portcullis rules list

Announced
  debate\u{FFFD}[2J: from 1970-01-01 00:00:00 UTC until 1970-01-01 01:00:00 UTC, all platforms, now
";
        assert_eq!(status(&whole, &under_attack(), 1_000), expected);
        let rules = rules(&under_attack());
        assert!(rules.contains("Undo: portcullis rules undo r-81") && !rules.contains("undo r-7"), "{rules}");
        assert!(postures(&under_attack().platforms).starts_with("public: attack for 1 min\n"));
    }

    #[test]
    fn calm_is_short() {
        let platform =
            PlatformStatus { name: "public".to_owned(), posture: "normal".to_owned(), ..PlatformStatus::default() };
        let calm = Status { platforms: vec![platform], ..Status::default() };
        assert_eq!(rules(&calm), "There are no rules, and none are remembered.\n");
        assert_eq!(events(&calm.events, 0), "Nothing is announced.\n");
        assert_eq!(postures(&calm.platforms), "public: normal for 0 s\n");
        assert_eq!([59.0, 60.0, 3_660.0, 90_000.0].map(span), ["59 s", "1 min", "1 h 1 min", "1 d 1 h"]);
    }
}
