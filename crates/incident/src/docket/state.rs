//! A docket between two readings: what was folded, as bytes.
//!
//! The records stay the truth. Bytes of another form, of another program or under other thresholds are refused, and whoever kept
//! them folds anew; up to which record they were folded is for that one to know.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Docket, Incident, Thresholds};

/// The form of the bytes.
const FORM: u32 = 1;
/// Whose fold it was: another one may make other incidents of the same records.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// What must be the same for the rest to be read.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    form: u32,
    program: Cow<'a, str>,
    thresholds: Thresholds,
}

#[derive(Serialize, Deserialize)]
struct State<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    incidents: Cow<'a, [Incident]>,
    /// Of each incident what no report has.
    marks: Vec<Marks>,
    hot: Cow<'a, BTreeSet<String>>,
    wary: Cow<'a, BTreeMap<String, u64>>,
    failed_logins: Cow<'a, VecDeque<u64>>,
    unplaced: Cow<'a, BTreeMap<String, u64>>,
}

/// Whether the incident is on record, and the last sign of each of its waves.
#[derive(Serialize, Deserialize)]
struct Marks {
    confirmed: bool,
    last: Vec<u64>,
}

impl Docket {
    /// All of it, to go on from later.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let marks = |incident: &Incident| Marks {
            confirmed: incident.confirmed,
            last: incident.waves.iter().map(|wave| wave.last).collect(),
        };
        let state = State {
            head: Head { form: FORM, program: PROGRAM.into(), thresholds: self.thresholds },
            incidents: Cow::Borrowed(&self.incidents),
            marks: self.incidents.iter().map(marks).collect(),
            hot: Cow::Borrowed(&self.hot),
            wary: Cow::Borrowed(&self.wary),
            failed_logins: Cow::Borrowed(&self.failed_logins),
            unplaced: Cow::Borrowed(&self.unplaced),
        };
        // Names and numbers always are JSON; nothing is what no reading takes.
        serde_json::to_vec(&state).unwrap_or_default()
    }

    /// Goes on from what was saved, under these thresholds.
    ///
    /// # Errors
    /// Why it cannot: it is damaged, or the records make something else of it today.
    pub fn restore(saved: &[u8], thresholds: Thresholds) -> Result<Self, String> {
        let unread = |error: serde_json::Error| format!("it cannot be read: {error}");
        let head: Head<'_> = serde_json::from_slice(saved).map_err(unread)?;
        if head.form != FORM {
            return Err(format!("its form is {} and not {FORM}", head.form));
        }
        if head.program != PROGRAM {
            return Err("another version of the program made it".to_owned());
        }
        if head.thresholds != thresholds {
            return Err("it was made under another configuration".to_owned());
        }
        let State { incidents, marks, hot, wary, failed_logins, unplaced, .. } =
            serde_json::from_slice(saved).map_err(unread)?;
        let mut incidents = incidents.into_owned();
        if incidents.len() != marks.len() {
            return Err("it contradicts itself".to_owned());
        }
        for (incident, marks) in incidents.iter_mut().zip(marks) {
            if incident.waves.len() != marks.last.len() {
                return Err("it contradicts itself".to_owned());
            }
            incident.confirmed = marks.confirmed;
            incident.waves.iter_mut().zip(marks.last).for_each(|(wave, last)| wave.last = last);
        }
        Ok(Self {
            thresholds,
            incidents,
            hot: hot.into_owned(),
            wary: wary.into_owned(),
            failed_logins: failed_logins.into_owned(),
            unplaced: unplaced.into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use portcullis_ledger::{Alarm, Closed, Event, Login, Opened, Record, Start, Wave};
    use proptest::prelude::*;

    use super::super::tests::{NOON, posture, record};
    use super::*;
    use crate::moment::{DAY, HOUR, MINUTE};

    const POSTURES: [&str; 5] = ["normal", "elevated", "attack", "overload", "recovery"];

    /// Whatever changes a docket, for a few platforms and days; none is a record that was erased.
    fn events() -> impl Strategy<Value = Option<Event>> {
        let platform = prop::sample::select(vec!["public", "members"]);
        let id = (0_u64..2, 1_u32..4).prop_map(|(day, number)| format!("2019-11-{}-{number}", 12 + day));
        let posture = (platform.clone(), prop::sample::select(&POSTURES[..]), prop::sample::select(&POSTURES[..]))
            .prop_map(|(platform, from, to)| posture(platform, from, to));
        let opened = (id.clone(), platform.clone(), any::<bool>()).prop_map(|(incident, platform, person)| {
            Event::Opened(Opened {
                incident,
                since: NOON - MINUTE,
                platforms: vec![platform.to_owned()],
                cause: if person { "ada" } else { "posture" }.to_owned(),
                words: "Said so.".to_owned(),
            })
        });
        let wave = (id.clone(), 1_u32..4, any::<bool>()).prop_map(|(incident, number, over)| {
            Event::Wave(Wave {
                incident,
                number,
                platforms: Vec::new(),
                from: NOON,
                until: over.then_some(NOON + HOUR),
            })
        });
        let closed = id.prop_map(|incident| Event::Closed(Closed { incident, ..Closed::default() }));
        let alarm = platform
            .prop_map(|platform| Event::Alarm(Alarm { platform: platform.to_owned(), count: 3, ..Alarm::default() }));
        prop_oneof![
            6 => posture.prop_map(Some),
            3 => Just(Some(Event::Login(Login::default()))),
            2 => alarm.prop_map(Some),
            1 => opened.prop_map(Some),
            1 => wave.prop_map(Some),
            1 => closed.prop_map(Some),
            1 => Just(Some(Event::Start(Start::default()))),
            2 => Just(Some(Event::Beats { beats: Vec::new() })),
            1 => Just(None),
        ]
    }

    /// Records as a gate writes them, what it tells of incidents behind what it told it from; its clock may jump.
    fn records() -> impl Strategy<Value = Vec<Record>> {
        let steps = prop_oneof![Just(0), 1..MINUTE, MINUTE..HOUR, Just(DAY)];
        let back = prop_oneof![9 => Just(0), 1 => 0..2 * HOUR];
        proptest::collection::vec((steps, back, events()), 0..40).prop_map(|all| {
            let (mut docket, mut at, mut records) = (Docket::new(thresholds()), NOON, Vec::new());
            for (step, back, event) in all {
                at = (at + step).saturating_sub(back);
                let mut waiting = vec![Record { event, ..record(0, at, Event::Beats { beats: Vec::new() }) }];
                while let Some(mut next) = waiting.pop() {
                    next.index = records.len() as u64;
                    waiting.extend(docket.record(&next).into_iter().map(|event| record(0, at, event)));
                    records.push(next);
                }
            }
            records
        })
    }

    fn thresholds() -> Thresholds {
        Thresholds { failed_logins: 3, ..Thresholds::default() }
    }

    proptest! {
        #[test]
        fn wherever_it_is_saved_it_goes_on_to_what_all_records_make(records in records()) {
            let mut whole = Docket::new(thresholds());
            for (k, next) in records.iter().enumerate() {
                let mut again = Docket::restore(&whole.save(), thresholds()).expect("it was just saved");
                prop_assert_eq!(&again, &whole);
                let rest: Vec<Event> = records[k..].iter().flat_map(|record| again.record(record)).collect();
                let mut all = whole.clone();
                let told: Vec<Event> = records[k..].iter().flat_map(|record| all.record(record)).collect();
                prop_assert_eq!(rest, told);
                prop_assert_eq!(again, all);
                whole.record(next);
            }
        }
    }

    #[test]
    fn what_another_program_saved_or_nobody_is_refused() {
        let mut docket = Docket::new(thresholds());
        docket.record(&record(7, NOON, posture("public", "normal", "attack")));
        let saved = String::from_utf8(docket.save()).expect("JSON");
        let changed = |from: &str, to: &str| {
            assert!(saved.contains(from), "{saved}");
            saved.replacen(from, to, 1)
        };
        let program = format!("\"program\":\"{PROGRAM}\"");
        let table = [
            (changed("\"form\":1", "\"form\":2"), "form"),
            (changed(&program, "\"program\":\"0.0.1-other\""), "version"),
            (changed("\"failed_logins\":3", "\"failed_logins\":4"), "configuration"),
            (changed("\"marks\":[{", "\"marks\":[{\"confirmed\":true,\"last\":[]},{"), "contradicts"),
            (changed("\"last\":[", "\"last\":[1,"), "contradicts"),
            (saved[..saved.len() - 1].to_owned(), "cannot be read"),
            (String::new(), "cannot be read"),
        ];
        for (bytes, why) in table {
            let refused = Docket::restore(bytes.as_bytes(), thresholds()).expect_err(&bytes);
            assert!(refused.contains(why), "{refused}: {bytes}");
        }
        assert_eq!(Docket::restore(saved.as_bytes(), thresholds()), Ok(docket));
    }

    #[test]
    fn what_is_no_longer_kept_is_let_go_unless_it_is_open() {
        let closed = |id: &str| Event::Closed(Closed { incident: id.to_owned(), ..Closed::default() });
        let mut docket = Docket::new(thresholds());
        let events = [
            (NOON, posture("public", "normal", "attack")),
            (NOON + HOUR, closed("2019-11-12-1")),
            (NOON + DAY, posture("public", "normal", "attack")),
            (NOON + DAY + HOUR, closed("2019-11-13-1")),
            (NOON + 2 * DAY, posture("public", "normal", "attack")),
        ];
        events.into_iter().zip(0..).for_each(|((at, event), index)| drop(docket.record(&record(index, at, event))));
        docket.erase(NOON + DAY);
        let ids = |docket: &Docket| docket.incidents().iter().map(|incident| incident.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&docket), ["2019-11-13-1", "2019-11-14-1"]);
        docket.erase(u64::MAX);
        assert_eq!(ids(&docket), ["2019-11-14-1"]);
    }
}
