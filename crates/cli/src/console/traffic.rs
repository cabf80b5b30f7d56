//! What the console shows of traffic on record.

use std::path::Path;

use portcullis_control::model::{Clause, Decisions, Sign, Stretch};
use portcullis_control::{Fault, Span, Wish};
use portcullis_engine::ChannelStatus;
use portcullis_ledger::Event;
use portcullis_proxy::journal::Place;
use portcullis_store::rollups;

use crate::requests::find;
use crate::world::plain;

/// A measure while it was in force.
pub(super) fn stretch(it: rollups::Stretch) -> Stretch {
    let rollups::Stretch { platform, id, kind, action, by, from, until, cut } = it;
    Stretch { id, kind, action, platform, by, from, until, cut }
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
