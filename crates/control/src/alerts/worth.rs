//! What is worth a message, and to whom.

use super::plan::{Kind, Level, Trouble};
use crate::model::{Draft, Happening, Now, Platform};

/// So long before a report is due it is told, and again when it is really close.
const DUE_SOON: u64 = 6 * HOUR;
const DUE_NOW: u64 = HOUR;
const HOUR: u64 = 3_600_000;

/// What is so as long as it lasts.
pub(super) fn standing(now: &Now, hurt: fn(&Platform) -> Option<(u64, u64)>) -> Vec<Trouble> {
    let mut all = Vec::new();
    for platform in &now.platforms {
        let mut add =
            |kind, level, words: String| all.push(Trouble { kind, about: platform.name.clone(), level, words });
        match platform.posture.as_str() {
            "attack" => add(Kind::Attack, Level::Page, platform.why.clone()),
            "overload" => add(Kind::Overload, Level::Page, platform.why.clone()),
            _ => {}
        }
        if let Some((touched, requests)) = hurt(platform) {
            add(Kind::Hurt, Level::Warning, format!("{touched} / {requests}"));
        }
        let out = platform.origins.iter().filter(|origin| origin.healthy == Some(false)).map(|it| it.url.as_str());
        let out: Vec<&str> = out.collect();
        if !out.is_empty() {
            let level = if out.len() == platform.origins.len() { Level::Page } else { Level::Warning };
            add(Kind::Origin, level, out.join(", "));
        }
        if platform.held {
            add(Kind::Held, Level::Notice, platform.posture.clone());
        }
    }
    for (sensor, why) in &now.blind {
        all.push(Trouble { kind: Kind::Blind, about: sensor.clone(), level: Level::Warning, words: why.clone() });
    }
    if let Some(incident) = &now.incident {
        let (about, words) = (incident.id.clone(), incident.words.clone());
        all.push(Trouble { kind: Kind::Incident, about, level: Level::Warning, words });
    }
    all
}

/// What happened at a moment, if it is worth it. Drills and what somebody authorised have kinds of their own, and are not.
pub(super) fn happening(happening: &Happening) -> Option<Trouble> {
    let (kind, level) = match happening.kind.as_str() {
        "canary" => (Kind::Canary, Level::Page),
        "budget" => (Kind::Budget, Level::Warning),
        "finding" => (Kind::Finding, Level::Warning),
        "alarm" => (Kind::Alarm, Level::Warning),
        "lost" => (Kind::Lost, Level::Page),
        _ => return None,
    };
    let about = happening.platform.clone().unwrap_or_default();
    Some(Trouble { kind, about, level, words: happening.words.clone() })
}

/// Reports that are due soon.
pub(super) fn clocks(drafts: &[Draft], now: u64) -> Vec<Trouble> {
    let due = |draft: &Draft| {
        let left = draft.due?.checked_sub(now)?;
        let level = match left {
            0..=DUE_NOW => Level::Page,
            it if it <= DUE_SOON => Level::Warning,
            _ => return None,
        };
        let words = super::words::moment(draft.due?);
        Some(Trouble { kind: Kind::Clock, about: draft.title.clone(), level, words })
    };
    drafts.iter().filter_map(due).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IncidentLine, Origin};

    fn platform(change: impl FnOnce(&mut Platform)) -> Now {
        let mut platform = Platform { name: "public".to_owned(), posture: "normal".to_owned(), ..Platform::default() };
        change(&mut platform);
        Now { platforms: vec![platform], ..Now::default() }
    }

    #[test]
    fn each_trouble_has_its_worth_and_calm_has_none() {
        let origin = |healthy| Origin { url: "http://a".to_owned(), healthy: Some(healthy) };
        let mut blind = platform(|_| {});
        blind.blind.insert("files/public".to_owned(), "no heartbeat".to_owned());
        let mut incident = platform(|_| {});
        incident.incident = Some(IncidentLine { id: "2026-05-17-1".to_owned(), ..IncidentLine::default() });
        let table = [
            ("calm", platform(|_| {}), vec![]),
            ("looked at closely", platform(|it| it.posture = "elevated".to_owned()), vec![]),
            ("an attack", platform(|it| it.posture = "attack".to_owned()), vec![(Kind::Attack, Level::Page)]),
            ("too much", platform(|it| it.posture = "overload".to_owned()), vec![(Kind::Overload, Level::Page)]),
            (
                "one server is out",
                platform(|it| it.origins = vec![origin(true), origin(false)]),
                vec![(Kind::Origin, Level::Warning)],
            ),
            ("all are out", platform(|it| it.origins = vec![origin(false)]), vec![(Kind::Origin, Level::Page)]),
            ("all answer", platform(|it| it.origins = vec![origin(true)]), vec![]),
            ("held", platform(|it| it.held = true), vec![(Kind::Held, Level::Notice)]),
            ("blind", blind, vec![(Kind::Blind, Level::Warning)]),
            ("an incident", incident, vec![(Kind::Incident, Level::Warning)]),
        ];
        for (case, now, expected) in table {
            let got: Vec<_> = standing(&now, |_| None).iter().map(|it| (it.kind, it.level)).collect();
            assert_eq!(got, expected, "{case}");
        }
        let hurt = standing(&platform(|_| {}), |_| Some((40, 1_000)));
        assert_eq!((hurt[0].kind, hurt[0].words.as_str()), (Kind::Hurt, "40 / 1000"));
    }

    #[test]
    fn drills_wake_nobody() {
        for (kind, expected) in [
            ("canary", Some(Level::Page)),
            ("lost", Some(Level::Page)),
            ("finding", Some(Level::Warning)),
            ("drill", None),
            ("authorised", None),
            ("login", None),
            ("posture", None),
        ] {
            let happened = Happening { kind: kind.to_owned(), ..Happening::default() };
            assert_eq!(happening(&happened).map(|trouble| trouble.level), expected, "{kind}");
        }
    }

    #[test]
    fn a_report_is_told_when_it_is_due_soon() {
        let draft = |due| Draft { title: "Article 33".to_owned(), due, ..Draft::default() };
        let now = 100 * HOUR;
        for (due, expected) in [
            (None, None),
            (Some(now + 7 * HOUR), None),
            (Some(now + 5 * HOUR), Some(Level::Warning)),
            (Some(now + HOUR / 2), Some(Level::Page)),
            (Some(now - 1), None),
        ] {
            let got = clocks(&[draft(due)], now);
            assert_eq!(got.first().map(|trouble| trouble.level), expected, "{due:?}");
        }
    }
}
