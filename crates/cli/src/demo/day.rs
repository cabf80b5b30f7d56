//! Waves that are further apart than anybody waits for: what was played a minute apart, on record as it would be a day apart.
//!
//! The play is real: its gate, its visitors, its records. Those are written once more, by the writer of every ledger and under a key
//! of their own, with everything from a calm moment between the waves on so much later. In between stands what a gate that nobody
//! visits says each second: that its sensors see what they saw in that moment. No other record is made up, none is left out, and a
//! record at that place says that this time was not waited for.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::time::Duration;

use portcullis_ledger::note::Algorithm;
use portcullis_ledger::{Beat, Change, Event, Record, Sensor};
use portcullis_store::disk::Directory;
use portcullis_store::{Appended, Ledger, key, random};
use serde_json::Value;

use crate::Failure;
use crate::evidence::GATE;

/// Waves that are no further apart than this are waited for.
pub(super) const WAITED: Duration = Duration::from_secs(600);
/// Records that are written at once, and signed: a ledger takes only so many before.
const BATCH: usize = 1_024;
/// What is told of an interval is told at its end: so much before the moment it may have begun.
const TOLD: u64 = 60_000;

/// The moment that is taken apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apart {
    /// Calm, between the waves.
    pub(super) at: u64,
    /// How much later what follows is: whole intervals of the evidence.
    pub(super) millis: u64,
}

impl Apart {
    /// Writes what `from` has on record to `to`, which is not there yet.
    ///
    /// # Errors
    /// When it cannot be read or written, or a record of it was lost: nothing is written over a gap.
    pub(super) fn write(&self, from: &Path, to: &Path) -> Result<(), Failure> {
        let unread = |error: io::Error| Failure::because(format!("the evidence cannot be read: {error}"));
        let mut out = Writing::begin(to)?;
        let mut next = BTreeMap::<Sensor, u64>::new();
        let (mut last, mut quiet) = (None, false);
        for record in portcullis_store::read(from).map_err(unread)? {
            let Record { sensor, seq, unix_millis, event, .. } = record.map_err(unread)?;
            let expected = next.insert(sensor.clone(), seq + 1);
            let Some(event) = event.filter(|_| expected.is_none_or(|expected| expected == seq)) else {
                return Err(Failure::because(format!("record {seq} of {sensor} is missing, and is not written over")));
            };
            if unix_millis < self.at {
                out.put(sensor, unix_millis, &event)?;
                if let Event::Beats { beats } = event {
                    last = Some((unix_millis, beats));
                }
                continue;
            }
            if !std::mem::replace(&mut quiet, true) {
                let (at, beats) = last.take().ok_or_else(|| Failure::because("no sensor had beaten by then"))?;
                self.pass(at, &beats, &mut out)?;
            }
            out.put(sensor, unix_millis + self.millis, &self.later(event).map_err(broken)?)?;
        }
        out.end()
    }

    /// The time that nobody waited for: says so, and beats each second.
    fn pass(&self, at: u64, beats: &[Beat], out: &mut Writing) -> Result<(), Failure> {
        let words = format!(
            "The next {} hours were not waited for: what follows was played right after this, and is on record so much later. Each second \
             between says what the sensors said in this one; nobody visited.",
            self.millis as f64 / 3_600_000.0
        );
        let change = Change { what: "the time".to_owned(), by: "the demo".to_owned(), words, ..Change::default() };
        out.put(GATE, at, &Event::Change(change))?;
        for second in 1..=self.millis / 1000 {
            let beats = beats.iter().map(|beat| Beat { seq: beat.seq + second, ..beat.clone() }).collect();
            out.put(GATE, at + second * 1000, &Event::Beats { beats })?;
        }
        Ok(())
    }

    /// What is told of a time after the moment, so much later.
    fn later(&self, event: Event) -> serde_json::Result<Event> {
        if let Event::Beats { mut beats } = event {
            beats.iter_mut().for_each(|beat| beat.seq += self.millis / 1000);
            return Ok(Event::Beats { beats });
        }
        let mut value = serde_json::to_value(event)?;
        for name in ["from", "until", "since"] {
            if let Some(time) = value.get_mut(name)
                && let Some(millis) = time.as_u64().filter(|millis| *millis + TOLD >= self.at)
            {
                *time = Value::from(millis + self.millis);
            }
        }
        serde_json::from_value(value)
    }
}

/// A ledger under way.
struct Writing {
    ledger: Ledger<Directory>,
    batch: Vec<Appended>,
}

impl Writing {
    fn begin(to: &Path) -> Result<Self, Failure> {
        let home = Directory::create(to).map_err(unwritten)?;
        let key = key(to, "demo-played/evidence", Algorithm::Ed25519).map_err(unwritten)?;
        Ok(Self { ledger: Ledger::open(home, key, random).map_err(unwritten)?, batch: Vec::new() })
    }

    fn put(&mut self, sensor: Sensor, unix_millis: u64, event: &Event) -> Result<(), Failure> {
        let text = serde_json::to_vec(event).map_err(broken)?;
        self.batch.push(Appended { sensor, unix_millis, class: event.retention(), event: text });
        if self.batch.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.ledger.append(&self.batch).map_err(unwritten)?;
        self.batch.clear();
        self.ledger.checkpoint().map(drop).map_err(unwritten)
    }

    fn end(mut self) -> Result<(), Failure> {
        self.flush()
    }
}

fn unwritten(error: impl Display) -> Failure {
    Failure::because(format!("the record of the waves apart cannot be written: {error}"))
}

fn broken(error: serde_json::Error) -> Failure {
    Failure::because(format!("a record is none: {error}"))
}

#[cfg(test)]
mod tests {
    use portcullis_incident::{Docket, Thresholds};
    use portcullis_ledger::checkpoint::Trust;
    use portcullis_ledger::{Act, State, Traffic};
    use portcullis_store::verify::verify;

    use super::*;

    const BEGIN: u64 = 1_573_473_600_000;
    const DAY: u64 = 86_400_000;
    const SECONDS: u64 = 240;

    fn posture(to: &str) -> Event {
        let facts = [("to".to_owned(), to.to_owned())].into();
        let platform = "public".to_owned();
        Event::Act(Act { what: "posture".to_owned(), platform, by: "gate".to_owned(), facts, ..Act::default() })
    }

    /// Four minutes with two waves, a beat each second and traffic each ten.
    fn played(home: &Path, mut change: impl FnMut(u64, &Event) -> bool) -> u64 {
        let mut out = Writing::begin(home).expect("a ledger");
        let mut requests = 0;
        for second in 0..SECONDS {
            let at = BEGIN + second * 1000;
            let mut put = |event: Event| {
                if change(second, &event) {
                    out.put(GATE, at, &event).expect("written");
                }
            };
            // As long as those of a gate with twenty sensors: a day of them is more than a ledger takes at once.
            let (state, why) = (State::Blind, "x".repeat(1_000));
            let beat = Beat { sensor: "gate".into(), seq: second, state, why, ..Beat::default() };
            put(Event::Beats { beats: vec![beat] });
            match second {
                30 | 150 => put(posture("attack")),
                50 | 170 => put(posture("normal")),
                _ => {}
            }
            if second % 10 == 5 && second > 10 {
                requests += second;
                // Told five seconds after its end.
                let (from, until) = (at - 15_000, at - 5_000);
                put(Event::Traffic(Traffic { from, until, requests: second, served: second, ..Traffic::default() }));
            }
        }
        out.end().expect("written");
        requests
    }

    #[test]
    fn two_waves_are_a_day_apart_with_every_figure_and_no_second_without_a_beat() {
        let place = tempfile::tempdir().expect("a place");
        let (from, to) = (place.path().join("played"), place.path().join("apart"));
        let requests = played(&from, |_, _| true);
        let apart = Apart { at: BEGIN + 100_500, millis: DAY };
        apart.write(&from, &to).expect("written");
        let log = key(&to, "demo-played/evidence", Algorithm::Ed25519).expect("its key").public().clone();
        let report = verify(Directory::at(&to), &Trust { log: Some(log), witnesses: Vec::new(), quorum: 0 }, &[]);
        let report = report.expect("read");
        assert!(report.holds() && report.clock_went_back == 0, "{:?}", report.faults.first);

        let records: Vec<Record> =
            portcullis_store::read(&to).expect("a ledger").collect::<Result<_, _>>().expect("records");
        let mut docket = Docket::new(Thresholds { pause_millis: 20_000, ..Thresholds::default() });
        records.iter().for_each(|record| drop(docket.record(record)));
        let [incident] = docket.incidents() else { panic!("{:#?}", docket.incidents()) };
        let waves: Vec<u64> = incident.waves.iter().map(|wave| wave.from - BEGIN).collect();
        assert_eq!(waves, [30_000, 150_000 + DAY]);

        let told = records.iter().filter_map(|record| match &record.event {
            Some(Event::Traffic(traffic)) => Some((traffic.requests, traffic.from)),
            _ => None,
        });
        let told: Vec<(u64, u64)> = told.collect();
        assert_eq!(told.iter().map(|(requests, _)| requests).sum::<u64>(), requests, "none more and none less");
        let second = told.iter().find(|(requests, _)| *requests == 155).map(|(_, from)| from - BEGIN);
        assert_eq!(second, Some(140_000 + DAY), "told of the time that it is now of");
        assert!(told.iter().all(|(_, from)| !(BEGIN + 110_000..BEGIN + 80_000 + DAY).contains(from)), "nobody visited");

        let beats: Vec<(u64, u64)> = records
            .iter()
            .filter_map(|record| match &record.event {
                Some(Event::Beats { beats }) => Some((record.unix_millis, beats[0].seq)),
                _ => None,
            })
            .collect();
        assert_eq!(beats.len() as u64, SECONDS + DAY / 1000);
        assert!(beats.windows(2).all(|pair| pair[1].0 - pair[0].0 == 1000 && pair[1].1 - pair[0].1 == 1));
        let said = |record: &Record| matches!(&record.event, Some(Event::Change(it)) if it.words.contains("24 hours were not waited"));
        assert_eq!(records.iter().filter(|record| said(record)).count(), 1, "and the record says so");
    }

    #[test]
    fn a_beat_that_was_not_there_stays_a_gap() {
        let place = tempfile::tempdir().expect("a place");
        let (from, to) = (place.path().join("played"), place.path().join("apart"));
        played(&from, |second, event| !(matches!(event, Event::Beats { .. }) && (60..70).contains(&second)));
        Apart { at: BEGIN + 100_500, millis: 600_000 }.write(&from, &to).expect("written");
        let beats = portcullis_store::read(&to)
            .expect("a ledger")
            .map_while(Result::ok)
            .filter_map(|record| matches!(record.event, Some(Event::Beats { .. })).then_some(record.unix_millis));
        let beats: Vec<u64> = beats.collect();
        let gaps: Vec<u64> = beats.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 1000).collect();
        assert_eq!(gaps, [11_000]);
    }
}
