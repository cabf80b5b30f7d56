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
    page
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
