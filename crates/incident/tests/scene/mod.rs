//! A ledger as it would be after two waves a day apart, and ways to spoil it.
#![allow(dead_code)]

use std::collections::BTreeMap;

use portcullis_incident::{Case, Docket, Gathering, Ledger, Thresholds};
use portcullis_ledger::{
    Act, Alarm, Assurance, Beat, Copies, Copy, Custody, Drill, Egress, Event, Measure, Path, Probe, Record, Sensor,
    Start, State, Statements, Traffic, Witnessed,
};

/// 2019-11-11 12:00 UTC.
pub(crate) const NOON: u64 = 1_573_473_600_000;
pub(crate) const MINUTE: u64 = 60_000;
pub(crate) const HOUR: u64 = 60 * MINUTE;
/// The gate runs from an hour before the first wave to an hour after the second, twenty minutes long each, three hours apart.
pub(crate) const BEGIN: u64 = NOON - HOUR;
pub(crate) const SECOND: u64 = NOON + 3 * HOUR;
pub(crate) const END: u64 = NOON + 5 * HOUR;

pub(crate) const SENSORS: [&str; 5] = ["gate", "http/public", "database/members", "files/public", "schema/members"];

/// Records in the order of time. `change` sees each before it has its place, and may drop or alter it.
pub(crate) fn records(extra: Vec<(u64, Event)>, mut change: impl FnMut(u64, &mut Event) -> bool) -> Vec<Record> {
    let mut all: Vec<(u64, Event)> =
        vec![(BEGIN, Event::Start(Start { node: "gate-1".into(), ..Start::default() })), (BEGIN, copies())];
    for path in ["http/public", "http/members", "database/members", "files/public", "schema/members"] {
        let drill = Drill {
            id: "d-1".into(),
            what: "canary-http".into(),
            path: path.into(),
            seen: true,
            tried: 400,
            ..Drill::default()
        };
        all.push((BEGIN + MINUTE, Event::Drill(drill)));
    }
    let assured = |copy: &str| Assurance {
        copy: copy.into(),
        by: "the data officer".into(),
        intact: true,
        words: "its log was read".into(),
        from: BEGIN,
        until: END,
        ..Assurance::default()
    };
    all.push((END - MINUTE, Event::Assurance(assured("mailing"))));
    all.push((END - MINUTE, Event::Assurance(assured("backup"))));
    all.push((END - MINUTE, Event::Assurance(assured("staff-logins"))));
    for (wave, platform) in [(NOON, "public"), (SECOND, "members")] {
        all.push((wave, posture(platform, "normal", "attack")));
        let measure = |on| {
            Event::Measure(Measure {
                id: format!("r-{wave}"),
                platform: platform.into(),
                what: "rule".into(),
                on,
                action: "challenge".into(),
                by: "gate".into(),
            })
        };
        all.push((wave + 2000, measure(true)));
        all.push((wave + 20 * MINUTE, posture(platform, "attack", "normal")));
        all.push((wave + 22 * MINUTE, measure(false)));
    }
    all.push((
        SECOND + MINUTE,
        Event::Alarm(Alarm {
            what: "credential-stuffing".into(),
            platform: "members".into(),
            through: "/login".into(),
            words: "Many logins failed.".into(),
            count: 900,
        }),
    ));
    let refused = BTreeMap::from([("statement-unknown".to_owned(), 40)]);
    all.push((
        SECOND + 2 * MINUTE,
        Event::Statements(Statements {
            database: "members".into(),
            role: "app".into(),
            from: SECOND,
            until: SECOND + 10_000,
            ran: 900,
            refused,
            ..Statements::default()
        }),
    ));
    all.push((
        END - 30_000,
        Event::Witnessed(Witnessed { witness: "second-host".into(), size: 10, good: true, ..Witnessed::default() }),
    ));
    for number in 0..(END - BEGIN) / 10_000 {
        let (from, until) = (BEGIN + number * 10_000, BEGIN + (number + 1) * 10_000);
        let hot = |platform: &str| {
            (platform == "public" && (NOON..NOON + 20 * MINUTE).contains(&from))
                || (platform == "members" && (SECOND..SECOND + 20 * MINUTE).contains(&from))
        };
        for platform in ["public", "members"] {
            all.push((until, traffic(platform, "human", from, until, 100, 99, if hot(platform) { 1 } else { 0 })));
            if hot(platform) {
                all.push((until, traffic(platform, "suspect", from, until, 50_000, 0, 50_000)));
            }
            all.push((
                until,
                Event::Egress(Egress {
                    path: format!("http/{platform}"),
                    through: "/**".into(),
                    from,
                    until,
                    answers: 99,
                    bytes: 500_000,
                    ..Egress::default()
                }),
            ));
            let micros = if hot(platform) { 900_000 } else { 40_000 };
            all.push((
                until,
                Event::Probe(Probe {
                    platform: platform.into(),
                    path: "/".into(),
                    from,
                    until,
                    asked: 2,
                    good: 2,
                    micros: [micros, micros],
                }),
            ));
        }
    }
    for second in 0..=(END - BEGIN) / 1000 {
        let beat = |name: &&'static str| Beat {
            sensor: Sensor::Borrowed(name),
            seq: second,
            state: State::Up,
            seen: second,
            ..Beat::default()
        };
        all.push((BEGIN + second * 1000, Event::Beats { beats: SENSORS.iter().map(beat).collect() }));
    }
    all.extend(extra);
    all.sort_by_key(|(at, _)| *at);
    let mut records = Vec::new();
    for (at, mut event) in all {
        if change(at, &mut event) {
            let index = records.len() as u64;
            records.push(Record { index, sensor: "gate".into(), seq: index, unix_millis: at, event: Some(event) });
        }
    }
    records
}

pub(crate) fn posture(platform: &str, from: &str, to: &str) -> Event {
    Event::Act(Act {
        what: "posture".into(),
        platform: platform.into(),
        by: "gate".into(),
        words: format!("{platform} is {to}, after {from}."),
        facts: BTreeMap::from([("from".to_owned(), from.to_owned()), ("to".to_owned(), to.to_owned())]),
        ..Act::default()
    })
}

pub(crate) fn traffic(
    platform: &str,
    audience: &str,
    from: u64,
    until: u64,
    requests: u64,
    served: u64,
    refused: u64,
) -> Event {
    Event::Traffic(Traffic {
        platform: platform.into(),
        route: "/**".into(),
        class: "page".into(),
        audience: audience.into(),
        from,
        until,
        requests,
        served,
        refused: if refused > 0 { BTreeMap::from([("rule".to_owned(), refused)]) } else { BTreeMap::new() },
        challenged: requests - served - refused,
        bytes_in: requests * 500,
        bytes_out: served * 9000,
        peak: requests / 10,
        visitors: [requests / 4, refused / 4 + 1],
        ..Traffic::default()
    })
}

/// Every path guarded or attested.
pub(crate) fn register() -> Vec<Copy> {
    let copy = |name: &str, what: &str, path: &str, custody: Custody, sensors: &[&'static str]| Copy {
        name: name.into(),
        what: what.into(),
        holder: "the party".into(),
        categories: vec!["basic-identifiers".into(), "political-opinions".into()],
        people: Some(500_000),
        paths: vec![Path {
            name: path.into(),
            words: "the usual way".into(),
            custody,
            sensors: sensors.iter().map(|name| Sensor::Borrowed(name)).collect(),
        }],
    };
    vec![
        copy("site", "web", "http/public", Custody::Guarded, &["http/public"]),
        copy("members-site", "web", "http/members", Custody::Guarded, &["gate"]),
        copy("members", "database", "database/members", Custody::Guarded, &["database/members"]),
        copy("backup", "side-copy", "backup-bucket", Custody::Attested, &[]),
        copy("mailing", "processor", "mailing-provider", Custody::Attested, &[]),
        copy("staff-logins", "credentials", "password-store", Custody::Attested, &[]),
    ]
}

fn copies() -> Event {
    Event::Copies(Copies { copies: register() })
}

pub(crate) fn sound() -> Ledger {
    Ledger { verified: Some(true), size: 10, quorum: 1, ..Ledger::default() }
}

pub(crate) fn case(records: &[Record]) -> Case {
    let mut docket = Docket::new(Thresholds::default());
    for record in records {
        docket.record(record);
    }
    let mut gathering = Gathering::new(docket.find("last").expect("an incident"));
    records.iter().for_each(|record| gathering.record(record));
    gathering.finish()
}
