//! What the console asks of personal data: databases and their statements, the register of copies, canaries, budgets.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use portcullis_control::model::{
    CanaryBook, CanaryLine, DatabaseRole, GuardedDatabase, HandedIn, LastDrill, NewAssurance, NewConfiguration,
    NewIncident, PathGap, RegisteredCopy, RegisteredPath, WaitingStatement,
};
use portcullis_control::{Decision, Fault};
use portcullis_ledger::{Assurance, Copy, Custody, Event, Record, Report, Retention};
use portcullis_proxy::control::Operator;
use portcullis_store::{Passage, read_classes};
use serde_json::{Value, json};

use super::{Counter, FRESH, said};
use crate::args::incident::Records;
use crate::evidence::digest;
use crate::incident::{Opened, Word, live};
use crate::world::plain;
use crate::{Failure, canary, data, moment};

/// Gaps of a path that are told.
const GAPS: usize = 5;
/// Names that are told apart, of canaries and of drills.
const NAMES: usize = 10_000;

/// Databases with what waits for a person, as `portcullis pg diff` has it.
pub(super) fn databases(operator: &dyn Operator) -> Result<Vec<GuardedDatabase>, Fault> {
    let status = operator.status();
    let known = status.get("databases").and_then(Value::as_array).into_iter().flatten();
    known.map(|database| shown(operator, database)).collect()
}

fn shown(operator: &dyn Operator, database: &Value) -> Result<GuardedDatabase, Fault> {
    let text = |key: &str| database.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |key: &str| database.get(key).and_then(Value::as_u64).unwrap_or_default();
    let name = text("name");
    let (_, mut book) = operator.database(&json!({"do": "diff", "database": name}), None).map_err(Fault::Refused)?;
    let broken = |error: serde_json::Error| Fault::Unable(format!("the book of {name} cannot be shown: {error}"));
    let mut taken = |key: &str| book.get_mut(key).map(Value::take).unwrap_or_default();
    let roles: Vec<DatabaseRole> = serde_json::from_value(taken("roles")).map_err(broken)?;
    let mut waiting: Vec<WaitingStatement> = serde_json::from_value(taken("statements")).map_err(broken)?;
    // The book has seconds.
    waiting.iter_mut().for_each(|one| one.first = one.first.saturating_mul(1_000));
    Ok(GuardedDatabase {
        mode: text("mode"),
        sessions: number("sessions"),
        statements: number("statements"),
        refused: number("refused"),
        rows: number("rows"),
        total: taken("total").as_u64().unwrap_or_default(),
        roles,
        waiting,
        name,
    })
}

/// The book as `portcullis pg show` and `pg diff` have it.
pub(super) fn statements(
    operator: &dyn Operator,
    database: &str,
    role: Option<&str>,
    waiting: bool,
) -> Result<Value, Fault> {
    let what = if waiting { "diff" } else { "show" };
    let asked = json!({"do": what, "database": database, "role": role});
    operator.database(&asked, None).map(|(_, book)| book).map_err(Fault::Unknown)
}

/// What `portcullis pg` asks of the gate, in a person's name.
pub(super) fn decide(operator: &dyn Operator, decision: &Decision, by: &str) -> Result<String, Fault> {
    let asked = match decision {
        Decision::Approve { database, role, key, mark } => {
            json!({"do": "approve", "database": database, "role": role, "key": key, "mark": mark, "by": by})
        }
        Decision::Stage { database, role, stage, despite } => {
            json!({"do": "stage", "database": database, "role": role, "stage": stage, "despite": despite, "by": by})
        }
    };
    operator.database(&asked, None).map(|(words, _)| words).map_err(Fault::Refused)
}

/// The configuration with a budget in it.
pub(super) fn budget(counter: &Counter, place: &str, records: u64) -> Result<NewConfiguration, Fault> {
    let budget = data::NewBudget::of(&counter.config, place, Some(records));
    let data::NewBudget { texts: [before, text], words, .. } =
        budget.map_err(|failure| Fault::Refused(said(failure)))?;
    Ok(NewConfiguration { base: digest(before.as_bytes()), text, why: words })
}

/// Opens an incident on somebody's word.
pub(super) fn open(counter: &Counter, wanted: &NewIncident, by: &str) -> Result<String, Fault> {
    // What the gate knows is ahead of what the ledger has signed.
    if let Some(open) = counter.keeper()?.incidents().iter().find(|incident| incident.closed.is_none()) {
        let (id, since) = (&open.id, moment::speak(open.since));
        return Err(Fault::Refused(format!("incident {id} is open since {since}, and whatever happens belongs to it")));
    }
    let refused = |failure: Failure| Fault::Refused(said(failure));
    let opened = Opened::recent(&Records { config: counter.config.clone(), ledger: None, json: true });
    let now = moment::now();
    let since = wanted.since.unwrap_or(now);
    let word = Word { because: &wanted.because, platforms: &wanted.platforms, since, by };
    let (incident, event) = opened.and_then(|opened| opened.beginning(&word, now)).map_err(refused)?;
    counter.operator.told(event).map_err(Fault::Refused)?;
    Ok(format!("Incident {incident} is open."))
}

/// That a report was handed in.
pub(super) fn handed(incident: String, by: String, sent: HandedIn, now: u64) -> Result<Report, Fault> {
    let HandedIn { form, to, at, sha256, receipt } = sent;
    let at = at.unwrap_or(now);
    if at > now {
        return Err(Fault::Refused(format!("{} has not come yet", moment::speak(at))));
    }
    Ok(Report { incident, form, to, by, at, sha256, receipt })
}

/// What somebody states of a copy in the register, for the time of an incident where they name no other.
pub(super) fn attested<'a>(
    (incident, since): (String, u64),
    mut copies: impl Iterator<Item = &'a str>,
    by: String,
    sent: NewAssurance,
    now: u64,
) -> Result<Assurance, Fault> {
    let NewAssurance { copy, intact, words, from, until } = sent;
    if !copies.any(|known| known == copy) {
        return Err(Fault::Refused(format!("the register has no copy `{copy}` ([[copies]])")));
    }
    let (from, until) = (from.unwrap_or(since), until.unwrap_or(now));
    if until > now || from > until {
        return Err(Fault::Refused(
            "nobody can answer for a time that has not come, or that ends before it begins".to_owned(),
        ));
    }
    Ok(Assurance { incident, copy, by, intact, words, from, until })
}

// ---------------------------------------------------------------------------------------------------------------------
// What the ledger has of copies, canaries and drills.

/// Since when copies and ways are in the register, which canaries were seen, how the last drills went.
#[derive(Debug, Default)]
pub(super) struct Traces {
    copies: BTreeMap<String, u64>,
    paths: BTreeMap<(String, String), (Custody, u64)>,
    drills: BTreeMap<(String, String), LastDrill>,
    seen: BTreeMap<String, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    times: u64,
    last: u64,
    path: String,
}

impl Traces {
    fn record(&mut self, record: &Record) {
        let at = record.unix_millis;
        match &record.event {
            Some(Event::Copies(copies)) => self.register(&copies.copies, at),
            Some(Event::Drill(drill)) => {
                let key = (drill.path.clone(), drill.what.clone());
                if self.drills.len() >= NAMES && !self.drills.contains_key(&key) {
                    return;
                }
                let (what, path, words) = (drill.what.clone(), drill.path.clone(), drill.words.clone());
                self.drills.insert(key, LastDrill { at, what, path, seen: drill.seen && drill.missed == 0, words });
            }
            Some(Event::Canary(canary)) if canary.drill.is_empty() => {
                if self.seen.len() >= NAMES && !self.seen.contains_key(&canary.canary) {
                    return;
                }
                let seen = self.seen.entry(canary.canary.clone()).or_default();
                seen.times += 1;
                (seen.last, seen.path) = (at, canary.path.clone());
            }
            _ => {}
        }
    }

    /// What goes from the register is forgotten; what comes again is there since then.
    fn register(&mut self, copies: &[Copy], at: u64) {
        let known = std::mem::take(&mut self.copies);
        let ways = std::mem::take(&mut self.paths);
        for copy in copies {
            self.copies.insert(copy.name.clone(), known.get(&copy.name).copied().unwrap_or(at));
            for path in &copy.paths {
                let key = (copy.name.clone(), path.name.clone());
                let since = ways.get(&key).filter(|(custody, _)| *custody == path.custody).map_or(at, |(_, at)| *at);
                self.paths.insert(key, (path.custody, since));
            }
        }
    }
}

impl Counter {
    fn traces(&self) -> Result<Arc<Traces>, Fault> {
        let directory = self.directory()?;
        let mut kept = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, traces)) = kept.as_ref()
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(traces));
        }
        let mut traces = Traces::default();
        let wanted = |class| matches!(class, Retention::Acts | Retention::Personal);
        read_classes(directory, wanted, |passage| {
            if let Passage::Record(record) = passage {
                traces.record(record);
            }
        })
        .map_err(|error| Fault::Unable(plain(&error)))?;
        let traces = Arc::new(traces);
        *kept = Some((Instant::now(), Arc::clone(&traces)));
        Ok(traces)
    }
}

/// Each copy with each way to it.
pub(super) fn register(counter: &Counter) -> Result<Vec<RegisteredCopy>, Fault> {
    let recorded = counter.keeper.as_ref().and_then(|keeper| keeper.copies());
    let copies = recorded.unwrap_or_else(|| live::copies(&counter.policy)).copies;
    // Without evidence nobody knows since when, or how much of the time.
    let traces = counter.traces().unwrap_or_default();
    Ok(copies.iter().map(|copy| registered(counter, &traces, copy)).collect())
}

fn registered(counter: &Counter, traces: &Traces, copy: &Copy) -> RegisteredCopy {
    let path = |path: &portcullis_ledger::Path| {
        let watched = counter.keeper.as_ref().filter(|_| path.custody == Custody::Guarded && !path.sensors.is_empty());
        let stretch = watched.map(|keeper| keeper.coverage(&path.sensors)).unwrap_or_default();
        let gaps = stretch.gaps.iter().take(GAPS).map(|gap| PathGap {
            sensor: gap.sensor.clone(),
            cause: gap.cause.clone(),
            from: gap.from,
            until: gap.until,
        });
        let drills = traces.drills.values().filter(|drill| drill.path == path.name);
        RegisteredPath {
            name: path.name.clone(),
            words: path.words.clone(),
            custody: custody(path.custody).to_owned(),
            sensors: path.sensors.iter().map(ToString::to_string).collect(),
            since: traces.paths.get(&(copy.name.clone(), path.name.clone())).map(|(_, since)| *since),
            covered: (stretch.of_millis > 0).then(|| stretch.covered_millis as f64 / stretch.of_millis as f64),
            gaps: gaps.collect(),
            drill: drills.max_by_key(|drill| drill.at).cloned(),
        }
    };
    RegisteredCopy {
        name: copy.name.clone(),
        what: copy.what.clone(),
        holder: copy.holder.clone(),
        categories: copy.categories.clone(),
        people: copy.people,
        since: traces.copies.get(&copy.name).copied(),
        paths: copy.paths.iter().map(path).collect(),
    }
}

const fn custody(custody: Custody) -> &'static str {
    match custody {
        Custody::Guarded => "guarded",
        Custody::Attested => "attested",
        Custody::Unguarded => "unguarded",
    }
}

/// The canaries as `portcullis canary list` has them, with what was seen of them.
pub(super) fn canaries(counter: &Counter) -> Result<CanaryBook, Fault> {
    let unread = |failure: Failure| Fault::Unable(said(failure));
    let (entries, declared) = canary::all(&counter.policy, &counter.config).map_err(unread)?;
    let traces = counter.traces().unwrap_or_default();
    let line = |entry: &portcullis_dataguard::canary::Entry| {
        let line = canary::line(entry);
        let seen = traces.seen.get(&line.id);
        CanaryLine {
            seen: seen.map_or(0, |seen| seen.times),
            last_seen: seen.map(|seen| seen.last),
            last_path: seen.map(|seen| seen.path.clone()),
            ..line
        }
    };
    let drills = traces.drills.values().filter(|drill| drill.what.starts_with("canary"));
    Ok(CanaryBook { canaries: entries.iter().map(line).collect(), declared, drills: drills.cloned().collect() })
}

#[cfg(test)]
mod tests {
    use portcullis_ledger::{Canary, Drill, Path};

    use super::*;

    fn told(traces: &mut Traces, at: u64, event: Event) {
        traces.record(&Record { index: at, sensor: "gate".into(), seq: 0, unix_millis: at, event: Some(event) });
    }

    fn members(custody: Custody) -> Vec<Copy> {
        let path = Path { name: "http/public".to_owned(), custody, ..Path::default() };
        vec![Copy { name: "members".to_owned(), paths: vec![path], ..Copy::default() }]
    }

    #[test]
    fn somebody_answers_for_a_copy_that_there_is_and_a_time_that_was() {
        let table = [
            ("mailing", None, None, Ok((100, 500))),
            ("mailing", Some(50), Some(60), Ok((50, 60))),
            ("malling", None, None, Err("the register has no copy `malling`")),
            ("mailing", None, Some(501), Err("has not come")),
            ("mailing", Some(70), Some(60), Err("ends before it begins")),
        ];
        for (copy, from, until, expected) in table {
            let sent = NewAssurance { copy: copy.into(), intact: true, words: "Their log.".into(), from, until };
            let said = attested(
                ("2026-11-23-1".to_owned(), 100),
                ["members", "mailing"].into_iter(),
                "Ane".to_owned(),
                sent,
                500,
            );
            match (said, expected) {
                (Ok(said), Ok(span)) => {
                    assert_eq!((said.incident.as_str(), said.from, said.until), ("2026-11-23-1", span.0, span.1));
                }
                (Err(Fault::Refused(why)), Err(part)) => assert!(why.contains(part), "{why}"),
                other => panic!("{copy}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_way_is_there_since_it_is_kept_so() {
        let mut traces = Traces::default();
        let since = |traces: &Traces| {
            let path = traces.paths.get(&("members".to_owned(), "http/public".to_owned()));
            (traces.copies.get("members").copied(), path.map(|(_, since)| *since))
        };
        for (at, copies, expected) in [
            (1, members(Custody::Guarded), (Some(1), Some(1))),
            (2, members(Custody::Guarded), (Some(1), Some(1))),
            (3, members(Custody::Unguarded), (Some(1), Some(3))),
            (4, Vec::new(), (None, None)),
            (5, members(Custody::Unguarded), (Some(5), Some(5))),
        ] {
            traces.register(&copies, at);
            assert_eq!(since(&traces), expected, "at {at}");
        }
    }

    #[test]
    fn a_canary_in_a_drill_was_not_seen_and_the_last_drill_counts() {
        let mut traces = Traces::default();
        let canary = |drill: &str| {
            Event::Canary(Canary {
                canary: "c-1".to_owned(),
                path: "http/public".to_owned(),
                through: "/list".to_owned(),
                left: true,
                way: "answer".to_owned(),
                reference: String::new(),
                client: None,
                drill: drill.to_owned(),
            })
        };
        told(&mut traces, 1, canary("d-1"));
        assert!(traces.seen.is_empty(), "a drill");
        told(&mut traces, 2, canary(""));
        told(&mut traces, 3, canary(""));
        let seen = traces.seen.get("c-1").expect("it was seen");
        assert_eq!((seen.times, seen.last, seen.path.as_str()), (2, 3, "http/public"));
        let drill = |missed| {
            Event::Drill(Drill {
                id: "d".to_owned(),
                what: "canary-http".to_owned(),
                path: "http/public".to_owned(),
                seen: true,
                tried: 3,
                missed,
                millis: 1,
                by: "schedule".to_owned(),
                words: String::new(),
            })
        };
        told(&mut traces, 4, drill(0));
        told(&mut traces, 5, drill(1));
        let last: Vec<_> = traces.drills.values().map(|drill| (drill.at, drill.seen)).collect();
        assert_eq!(last, [(5, false)]);
    }

    #[test]
    fn what_was_handed_in_was_not_handed_in_later() {
        let sent = |at| HandedIn { form: "uk-ico".to_owned(), to: "ICO".to_owned(), at, ..HandedIn::default() };
        let at = |at| handed("i".to_owned(), "Ane".to_owned(), sent(at), 7).map(|report| report.at);
        assert_eq!((at(None), at(Some(3))), (Ok(7), Ok(3)));
        assert!(matches!(at(Some(8)), Err(Fault::Refused(_))));
    }
}
