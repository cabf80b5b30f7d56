//! What the console shows of traffic on record.

use std::collections::BTreeSet;
use std::path::Path;

use portcullis_control::model::{Clause, Decisions, Explained, ExplainedStep, History, Points, Sign, Stance, Stretch};
use portcullis_control::{Fault, Span, Wish};
use portcullis_engine::{ChannelStatus, PlatformStatus, Status};
use portcullis_ledger::Event;
use portcullis_proxy::journal::{self, Place, Step};
use portcullis_store::rollups;

use crate::requests::find;
use crate::world::plain;

/// A line of time by column, from the beginning of its first point on; `holding` as for measures.
pub(crate) fn drawn(
    found: rollups::History,
    span: &Span<'_>,
    step: u64,
    holding: BTreeSet<(String, String)>,
) -> History {
    let mut points = Points::default();
    for point in &found.points {
        let tally = &point.tally;
        points.at.push(point.at.saturating_sub(span.from) / step);
        points.requests.push(tally.requests);
        points.served.push(tally.served);
        points.delayed.push(tally.delayed);
        points.challenged.push(tally.challenged);
        points.roomed.push(tally.roomed);
        points.refused.push(tally.refused());
        points.failed.push(tally.failed);
        points.p95.push(tally.micros()[1] as f64 / 1_000.0);
    }
    History {
        platform: span.platform.map(str::to_owned),
        from: span.from,
        until: span.until,
        step,
        missing: found.missing,
        postures: found.postures.into_iter().map(|(at, posture)| Stance { at, posture }).collect(),
        measures: stretches(found.measures, holding),
        more_measures: found.more_measures,
        points,
    }
}

/// Measures while they were in force. A rule outlives a process that is replaced and is told of again when it ends: where it holds
/// now, nothing was cut. `holding` names platforms and measures.
pub(super) fn stretches(found: Vec<rollups::Stretch>, mut holding: BTreeSet<(String, String)>) -> Vec<Stretch> {
    let told = |it: rollups::Stretch| {
        let rollups::Stretch { platform, id, kind, action, by, from, until, cut } = it;
        let lasts = holding.remove(&(platform.clone(), id.clone())) && cut;
        let (until, cut) = if lasts { (None, false) } else { (until, cut) };
        Stretch { id, kind, action, platform, by, from, until, cut }
    };
    // The last of each name is the one that may hold.
    let mut all: Vec<Stretch> = found.into_iter().rev().map(told).collect();
    all.reverse();
    all
}

/// Rules that hold somebody now, by platform.
pub(super) fn holding(defence: &Status) -> BTreeSet<(String, String)> {
    let acting = |phase: &str| matches!(phase, "enforced" | "relaxing");
    let of = |platform: &PlatformStatus| {
        let rules = platform.rules.iter().filter(|rule| acting(&rule.phase));
        rules.map(|rule| (platform.name.clone(), rule.id.clone())).collect::<Vec<_>>()
    };
    defence.platforms.iter().flat_map(of).collect()
}

/// Decisions about single requests.
pub(super) fn decisions(
    log: Option<&Path>,
    span: &Span<'_>,
    wish: &Wish,
    cursor: Option<&str>,
    most: usize,
) -> Result<Decisions, Fault> {
    let place = match cursor.map(|cursor| (cursor, Place::parse(cursor))) {
        Some((cursor, None)) => return Err(Fault::Unknown(format!("`{cursor}` is no cursor of an answer before"))),
        Some((_, place)) => place,
        None => None,
    };
    let none = || Fault::Unable("no decision log is kept: declare `path` in `[log]`".to_owned());
    let log = log.ok_or_else(none)?;
    let found = find::decisions(log, span, wish, place, find::bounds(most));
    found.map_err(|error| Fault::Unable(format!("cannot read {}: {}", log.display(), plain(&error))))
}

/// What was found out about a request, a rule or a reason.
pub(super) fn explained(of: &str, steps: Vec<Step>) -> Explained {
    let words = journal::printed(&steps);
    let step = |Step { part, said, words }| {
        let said = said.into_iter().map(Clause::from).collect();
        ExplainedStep { part: part.names().0.to_owned(), words, said }
    };
    Explained { of: of.to_owned(), words, steps: steps.into_iter().map(step).collect() }
}

/// What speaks for a reading.
pub(super) fn sign(it: ChannelStatus) -> Sign {
    let clauses = it.clauses.into_iter().map(Clause::from).collect();
    Sign { name: it.name, level: it.level, figures: it.figures, clauses }
}

/// What a record comes to, as values; nothing of what people wrote, and of what only its words tell.
pub(super) fn said(event: &Event) -> Option<Clause> {
    match event {
        Event::Act(act) => {
            let fact = |name: &str| act.facts.get(name).map_or("", String::as_str);
            let code = match (act.what.as_str(), fact("limited"), fact("to")) {
                ("admission", "true", _) => "admission-on",
                ("admission", ..) => "admission-off",
                ("posture", _, "automatic") => "posture-let-go",
                (what, ..) => what,
            };
            let mut said = Clause::new(code).name("platform", &act.platform);
            if !act.rule.is_empty() {
                said = said.name("rule", &act.rule);
            }
            for name in ["from", "to", "action"].into_iter().filter(|name| !fact(name).is_empty()) {
                said = said.name(name, fact(name));
            }
            let figures = ["lasted_seconds", "explains", "matched", "share"].into_iter();
            let figures = figures.filter_map(|name| Some((name, fact(name).parse::<f64>().ok()?)));
            Some(figures.fold(said, |said, (name, figure)| said.number(name, figure)))
        }
        Event::Start(it) => Some(Clause::new("start").name("version", &it.version)),
        Event::Login(it) => Some(
            Clause::new(if it.good { "login" } else { "login-failed" }).name("who", &it.who).name("place", &it.place),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_ledger::{Act, Measure};

    use super::*;

    #[test]
    fn a_measure_is_told_once_by_the_act_that_switched_it() {
        let facts = [("action", "refuse"), ("matched", "1200"), ("pattern", "no token")];
        let act = Act {
            what: "rule-enforced".to_owned(),
            platform: "public".to_owned(),
            rule: "r-1".to_owned(),
            facts: facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Act::default()
        };
        let told = crate::console::happening(&Event::Act(act)).expect("it is told");
        let expected = Clause::new("rule-enforced").name("platform", "public").name("rule", "r-1");
        assert_eq!(told.said, Some(expected.name("action", "refuse").number("matched", 1_200.0)));
        let measure = Measure { id: "r-1".to_owned(), on: true, ..Measure::default() };
        assert_eq!(crate::console::happening(&Event::Measure(measure)), None);
    }

    #[test]
    fn what_holds_now_was_not_cut_by_a_restart() {
        let stretch = |id: &str, from, until| rollups::Stretch {
            platform: "public".to_owned(),
            id: id.to_owned(),
            from,
            until: Some(until),
            cut: true,
            ..rollups::Stretch::default()
        };
        let rule = |id: &str, phase: &str| portcullis_engine::RuleStatus {
            id: id.to_owned(),
            phase: phase.to_owned(),
            ..portcullis_engine::RuleStatus::default()
        };
        let rules = vec![rule("r-1", "enforced"), rule("r-2", "dormant")];
        let platform = PlatformStatus { name: "public".to_owned(), rules, ..PlatformStatus::default() };
        let holding = holding(&Status { platforms: vec![platform], ..Status::default() });
        let told = stretches(vec![stretch("r-1", 1, 2), stretch("r-2", 3, 5), stretch("r-1", 4, 5)], holding);
        let told: Vec<_> = told.iter().map(|it| (it.id.as_str(), it.until, it.cut)).collect();
        assert_eq!(told, [("r-1", Some(2), true), ("r-2", Some(5), true), ("r-1", None, false)]);
    }

    #[test]
    fn what_an_act_comes_to_depends_on_its_facts() {
        let act = |what: &str, name: &str, value: &str| {
            let facts = [(name.to_owned(), value.to_owned())].into();
            Event::Act(Act { what: what.to_owned(), facts, ..Act::default() })
        };
        for (event, code) in [
            (act("admission", "limited", "true"), "admission-on"),
            (act("admission", "limited", "false"), "admission-off"),
            (act("posture", "to", "attack"), "posture"),
            (act("posture", "to", "automatic"), "posture-let-go"),
        ] {
            assert_eq!(said(&event).expect("it is an act").code, code);
        }
    }
}
