//! What to do next, and what that would cost, from how everything stands. It only ever proposes: a person does it, or nobody.

use crate::model::{Advice, Clause, Measure, Now, Platform};

/// Of a hundred requests of people who are known, so many held make it worth a look.
const HURT_PERCENT: u64 = 1;
/// And at least so many of them.
const HURT: u64 = 5;
/// Pieces of advice at once: more is a list, not advice.
const MOST: usize = 3;

/// The most urgent first; never empty.
pub(crate) fn advise(now: &Now) -> Vec<Advice> {
    let platforms = || now.platforms.iter();
    let mut all: Vec<Advice> = platforms().filter_map(origin).collect();
    all.extend(platforms().filter_map(hurt));
    all.extend(now.blind.iter().map(|(sensor, why)| blind(sensor, why)));
    all.extend(platforms().filter_map(held));
    if let Some(incident) = &now.incident {
        let calm = platforms().all(|platform| platform.posture == "normal");
        let advice = |kind: &str, words: String, cost: &str| Advice {
            kind: kind.to_owned(),
            about: incident.id.clone(),
            words,
            cost: cost.to_owned(),
            said: Some(Clause::new(kind).name("incident", &incident.id)),
            price: Some(Clause::new(if kind == "close" { "another-incident" } else { "costs-nobody" })),
        };
        all.push(if calm {
            let words = format!("Read the report of incident {} and close it, if it is over.", incident.id);
            advice("close", words, "It costs visitors nothing. Whatever comes afterwards is another incident.")
        } else {
            let words =
                format!("Look which clocks of incident {} run: some reports are due within a day.", incident.id);
            advice("report", words, "It costs visitors nothing.")
        });
    }
    if !now.evidence {
        all.push(Advice {
            kind: "look".to_owned(),
            about: "evidence".to_owned(),
            words: "Declare `[evidence]`: without it nobody can say afterwards what happened.".to_owned(),
            cost: "About 12 bytes of disk for each request.".to_owned(),
            said: Some(Clause::new("no-evidence-kept")),
            price: Some(Clause::new("disk")),
        });
    }
    all.truncate(MOST);
    if all.is_empty() {
        let fighting = platforms().any(|platform| platform.posture != "normal");
        let (code, words) = if fighting {
            ("holding", "Nothing. The gate is holding, and takes its measures back by itself as soon as it can.")
        } else {
            ("calm", "Nothing. All is calm.")
        };
        let said = Some(Clause::new(code));
        all.push(Advice { kind: "nothing".to_owned(), words: words.to_owned(), said, ..Advice::default() });
    }
    all
}

/// A server is out.
fn origin(platform: &Platform) -> Option<Advice> {
    let out: Vec<&str> =
        platform.origins.iter().filter(|it| it.healthy == Some(false)).map(|it| it.url.as_str()).collect();
    let all = out.len() == platform.origins.len();
    (!out.is_empty()).then(|| Advice {
        kind: "origin".to_owned(),
        about: platform.name.clone(),
        words: format!("See to {}: it does not answer the gate.", out.join(", ")),
        cost: if all {
            format!("Until then nobody is served on {}. No measure of the gate can help.", platform.name)
        } else {
            "Until then the others carry its share.".to_owned()
        },
        said: Some(Clause::new("origin-out").name("origins", &out.join(", "))),
        price: Some(Clause::new(if all { "nobody-served" } else { "others-carry" }).name("platform", &platform.name)),
    })
}

/// Of the requests of people who are known, so many were held, of so many: where that is worth a look.
pub(crate) fn hurt_enough(platform: &Platform) -> Option<(u64, u64)> {
    let known = || platform.people.iter().filter(|audience| audience.known);
    let requests: u64 = known().map(|audience| audience.requests).sum();
    let touched: u64 = known().map(|audience| audience.refused + audience.held).sum();
    (touched >= HURT && touched * 100 >= requests * HURT_PERCENT).then_some((touched, requests))
}

/// People who are known are held: by which measure, most likely?
fn hurt(platform: &Platform) -> Option<Advice> {
    let (touched, requests) = hurt_enough(platform)?;
    let acting = |measure: &&Measure| measure.phase == "enforced" && measure.undo && !measure.pinned;
    let widest = platform.measures.iter().filter(acting).max_by_key(|measure| measure.matched);
    let who = format!("{touched} of {requests} requests of people who are known");
    let said = |code: &str| {
        let said = Clause::new(code).name("platform", &platform.name);
        said.number("touched", touched as f64).number("requests", requests as f64)
    };
    Some(match widest {
        Some(measure) => Advice {
            kind: "undo".to_owned(),
            about: measure.id.clone(),
            words: format!(
                "{who} on {} were held in ten seconds. Look at {}; undo it if they are who it holds.",
                platform.name, measure.id
            ),
            cost: format!(
                "What it holds would come through: {} requests so far. Nothing like it is proposed again for an hour.",
                measure.matched
            ),
            said: Some(said("hurt-by-rule").name("rule", &measure.id)),
            price: Some(Clause::new("comes-through").number("matched", measure.matched as f64)),
        },
        None => Advice {
            kind: "look".to_owned(),
            about: platform.name.clone(),
            words: format!(
                "{who} on {} were held in ten seconds, and by no rule: {} carries no more.",
                platform.name, platform.name
            ),
            cost: "To hold fewer, the platform needs more room: another server, or fewer costly pages.".to_owned(),
            said: Some(said("hurt-by-room")),
            price: Some(Clause::new("more-room")),
        },
    })
}

fn blind(sensor: &str, why: &str) -> Advice {
    Advice {
        kind: "drill".to_owned(),
        about: sensor.to_owned(),
        words: format!("See why {sensor} does not see: {why}"),
        cost: "Until then nothing can be said of what it watches. A drill harms nothing.".to_owned(),
        said: Some(Clause::new("blind").name("sensor", sensor).name("why", why)),
        price: Some(Clause::new("unwatched")),
    }
}

/// A posture that nobody will end by itself.
fn held(platform: &Platform) -> Option<Advice> {
    platform.held.then(|| Advice {
        kind: "hold".to_owned(),
        about: platform.name.clone(),
        words: format!(
            "{} is held in {} by a person. Let the gate decide again as soon as that will do.",
            platform.name, platform.posture
        ),
        cost: "None: if it is needed, the gate takes it within a second.".to_owned(),
        said: Some(Clause::new("held-posture").name("platform", &platform.name).name("posture", &platform.posture)),
        price: Some(Clause::new("taken-within")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Audience, IncidentLine, Origin};

    fn platform(change: impl FnOnce(&mut Platform)) -> Now {
        let mut platform = Platform { name: "public".to_owned(), posture: "attack".to_owned(), ..Platform::default() };
        change(&mut platform);
        Now { platforms: vec![platform], evidence: true, ..Now::default() }
    }

    fn members(requests: u64, refused: u64) -> Audience {
        Audience { name: "history".to_owned(), known: true, requests, refused, ..Audience::default() }
    }

    fn rule(id: &str, matched: u64) -> Measure {
        let (phase, id) = ("enforced".to_owned(), id.to_owned());
        Measure { id, phase, matched, undo: true, ..Measure::default() }
    }

    #[test]
    fn what_is_most_urgent_comes_first() {
        type Case = (&'static str, Now, &'static [(&'static str, &'static str)]);
        let table: [Case; 8] = [
            ("calm", platform(|it| it.posture = "normal".to_owned()), &[("nothing", "")]),
            ("an attack that is held", platform(|it| it.people = vec![members(1_000, 0)]), &[("nothing", "")]),
            (
                "a server is out",
                platform(|it| it.origins = vec![Origin { url: "http://a".to_owned(), healthy: Some(false) }]),
                &[("origin", "public")],
            ),
            (
                "members are held by a rule",
                platform(|it| {
                    it.people = vec![members(1_000, 40)];
                    it.measures = vec![rule("r-1", 10), rule("r-2", 900)];
                }),
                &[("undo", "r-2")],
            ),
            (
                "a few of very many are not worth a look",
                platform(|it| it.people = vec![members(10_000, 40)]),
                &[("nothing", "")],
            ),
            (
                "strangers alone are held",
                platform(|it| it.people = vec![Audience { known: false, ..members(1_000, 900) }]),
                &[("nothing", "")],
            ),
            (
                "members are held and there is no room",
                platform(|it| it.people = vec![members(1_000, 40)]),
                &[("look", "public")],
            ),
            ("a posture is held", platform(|it| it.held = true), &[("hold", "public")]),
        ];
        for (case, now, expected) in table {
            let got = advise(&now);
            assert!(got.iter().all(|it| it.said.is_some() && it.price.is_some() != it.cost.is_empty()), "{case}");
            let got: Vec<_> = got.iter().map(|it| (it.kind.as_str(), it.about.as_str())).collect();
            assert_eq!(got, expected, "{case}");
        }
    }

    #[test]
    fn an_incident_is_closed_when_it_is_over_and_reported_before() {
        let mut now = platform(|_| {});
        now.incident = Some(IncidentLine { id: "2026-05-17-1".to_owned(), ..IncidentLine::default() });
        assert_eq!(advise(&now)[0].kind, "report");
        now.platforms[0].posture = "normal".to_owned();
        assert_eq!(advise(&now)[0].kind, "close");
    }

    #[test]
    fn never_more_than_can_be_read_at_two_in_the_morning() {
        let mut now = platform(|it| it.held = true);
        now.blind = (0..20).map(|number| (format!("files/{number}"), "no heartbeat".to_owned())).collect();
        assert_eq!(advise(&now).len(), MOST);
    }
}
