//! Which incidents there are: records in, incidents out.
//!
//! Never looks at what an incident did to anybody; that is the case's (`case.rs`). An incident opens by itself, gathers whatever
//! follows on any platform, has waves where there were pauses, and ends when a person says so. Folding the same records again
//! gives the same incidents under the same names: what the gate recorded of them confirms, and where it is all that was kept, it
//! stands for them.

mod state;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use portcullis_ledger::{Event, Opened, Record, Retention, Wave};
use portcullis_types::Date;
use serde::{Deserialize, Serialize};

use crate::evidence::{Evidence, plain};
use crate::moment::MINUTE;
use crate::statement::spaced;

/// Incidents that are told apart; what would open more belongs to the last.
const INCIDENTS: usize = 1000;
/// Waves of one incident; what would be a further one lengthens the last.
const WAVES: usize = 10_000;
/// Platforms and databases that an incident names.
const PLATFORMS: usize = 256;

/// From when on something is an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Calm that ends a wave, in milliseconds.
    pub pause_millis: u64,
    /// Failed logins to what administers the gate that open one …
    pub failed_logins: u32,
    /// … within so many milliseconds.
    pub failed_within_millis: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { pause_millis: 15 * MINUTE, failed_logins: 10, failed_within_millis: 10 * MINUTE }
    }
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// `2026-11-22-1`: the day it began, and a number.
    pub id: String,
    /// The first sign of it.
    pub since: u64,
    /// `posture`, `disclosure`, `canary`, `finding`, `alarm`, `login`, or a person's name.
    pub cause: String,
    /// What happened first, in a sentence.
    pub words: String,
    /// What it concerns.
    pub platforms: BTreeSet<String>,
    /// Its waves.
    pub waves: Vec<Surge>,
    /// Who ended it, when they did, and why.
    pub closed: Option<Ended>,
    /// The record that it was opened from.
    pub evidence: Evidence,
    #[serde(skip)]
    confirmed: bool,
}

/// A wave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Surge {
    /// From 1.
    pub number: u32,
    /// Its beginning.
    pub from: u64,
    /// The last sign of it, once there has been calm; none while it lasts.
    pub until: Option<u64>,
    /// What it concerns.
    pub platforms: BTreeSet<String>,
    /// The first and the last records that belong to it.
    pub evidence: Evidence,
    #[serde(skip)]
    last: u64,
}

impl Surge {
    /// Its end, or the last sign of it so far.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.until.unwrap_or(self.last)
    }
}

/// The end of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Who ended it.
    pub by: String,
    /// When.
    pub at: u64,
    /// Why they think that it is over.
    pub words: String,
    /// Their record.
    pub evidence: Evidence,
}

/// All incidents of a ledger.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Docket {
    thresholds: Thresholds,
    incidents: Vec<Incident>,
    hot: BTreeSet<String>,
    /// Since when a platform is suspected of being attacked.
    wary: BTreeMap<String, u64>,
    failed_logins: VecDeque<u64>,
    unplaced: BTreeMap<String, u64>,
}

/// What a record gives cause to.
struct Sign<'a> {
    cause: &'static str,
    since: u64,
    platform: &'a str,
    words: String,
}

impl Docket {
    /// None yet.
    #[must_use]
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, ..Self::default() }
    }

    /// Takes a record in, in the order of the ledger. What is to be recorded comes back: an incident that began, a wave that began
    /// or ended. Whoever reads a ledger afterwards lets it drop.
    pub fn record(&mut self, record: &Record) -> Vec<Event> {
        let now = record.unix_millis;
        let mut events = self.tick(now);
        match record.event.as_ref() {
            Some(Event::Opened(opened)) => self.confirm(opened, record.index),
            Some(Event::Wave(wave)) => self.adopt(wave, record.index),
            // A gate that begins anew begins in calm, whatever the one before did not live to say.
            Some(Event::Start(_)) => self.forget(),
            Some(Event::Closed(closed)) => {
                let ended = Ended {
                    by: plain(&closed.by),
                    at: now,
                    words: plain(&closed.words),
                    evidence: Evidence::of(record.index),
                };
                if let Some(incident) = self.incidents.iter_mut().rev().find(|incident| incident.id == closed.incident)
                {
                    if let Some(last) = incident.waves.last_mut().filter(|wave| wave.until.is_none()) {
                        last.until = Some(last.last);
                    }
                    incident.closed.get_or_insert(ended);
                    self.forget();
                }
            }
            Some(event) => {
                if let Some(sign) = self.sign(event, now) {
                    events.extend(self.belongs(&sign, now, record.index));
                }
            }
            None => {}
        }
        events
    }

    /// Whether records of this class can open an incident or change one. All others tell it the time, and need not be read.
    #[must_use]
    pub fn wants(class: Retention) -> bool {
        class != Retention::Figures
    }

    /// Lets time pass: a wave ends after calm.
    pub fn tick(&mut self, unix_millis: u64) -> Vec<Event> {
        let (pause, calm) = (self.thresholds.pause_millis, self.hot.is_empty());
        let Some(incident) = self.incidents.last_mut().filter(|incident| incident.closed.is_none()) else {
            return Vec::new();
        };
        let Some(wave) = incident.waves.last_mut().filter(|wave| wave.until.is_none()) else { return Vec::new() };
        if !calm {
            wave.last = wave.last.max(unix_millis);
            return Vec::new();
        }
        if unix_millis.saturating_sub(wave.last) < pause {
            return Vec::new();
        }
        wave.until = Some(wave.last);
        vec![Event::Wave(told(&incident.id, wave))]
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn incidents(&self) -> &[Incident] {
        &self.incidents
    }

    /// The one with that name; `last` is the last.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Incident> {
        if id == "last" {
            return self.incidents.last();
        }
        self.incidents.iter().rev().find(|incident| incident.id == id)
    }

    /// The one that no person has ended: there is one at most, and whatever happens belongs to it.
    #[must_use]
    pub fn open(&self) -> Option<&Incident> {
        self.incidents.last().filter(|incident| incident.closed.is_none())
    }

    /// The name of the next one that begins then: `2026-11-22-1`.
    #[must_use]
    pub fn next_id(&self, since: u64) -> String {
        let day = Date::of_millis(since).to_string();
        let same_day = self.incidents.iter().filter(|incident| incident.id.starts_with(&day)).count();
        format!("{day}-{}", same_day + 1)
    }

    /// What there was no room for, by what it was.
    #[must_use]
    pub fn unplaced(&self) -> &BTreeMap<String, u64> {
        &self.unplaced
    }

    /// Lets go of incidents that were ended before then: what they rest on is no longer kept.
    pub fn erase(&mut self, before: u64) {
        self.incidents.retain(|incident| incident.closed.as_ref().is_none_or(|closed| closed.at >= before));
    }

    /// A gate that begins anew begins in calm.
    fn forget(&mut self) {
        self.hot.clear();
        self.wary.clear();
    }

    /// What opens an incident, or belongs to the one that is open. A drill of ours never does.
    fn sign<'a>(&mut self, event: &'a Event, now: u64) -> Option<Sign<'a>> {
        let sign = |cause, since: u64, platform, words: &str| {
            Some(Sign { cause, since: since.min(now), platform, words: plain(words) })
        };
        match event {
            Event::Act(act) if act.what == "posture" => {
                let to = act.facts.get("to").map(String::as_str).unwrap_or_default();
                match to {
                    "attack" | "overload" => {
                        self.hot.insert(act.platform.clone());
                        // It began when it was first suspected: measures may have begun by then.
                        let wary = self.wary.remove(&act.platform);
                        let wary = wary.filter(|since| now.saturating_sub(*since) <= self.thresholds.pause_millis);
                        return sign("posture", wary.unwrap_or(now), &act.platform, &act.words);
                    }
                    "elevated" => drop(self.wary.insert(act.platform.clone(), now)),
                    _ => drop(self.wary.remove(&act.platform)),
                }
                // The end of an attack is the last sign of its wave; recovery only watches whether it comes back.
                if !self.hot.remove(&act.platform) {
                    return None;
                }
                sign("posture", now, &act.platform, &act.words)
            }
            Event::Disclosure(leak) => sign(
                "disclosure",
                now,
                place(&leak.path),
                &format!(
                    "{} left by {} through {}: {} allowed, {} reached.",
                    leak.what,
                    leak.path,
                    leak.through,
                    spaced(leak.allowed),
                    spaced(leak.reached)
                ),
            ),
            Event::Canary(canary) if canary.drill.is_empty() => {
                let what = if canary.left { "left" } else { "was stopped" };
                let words = format!("Canary {} {what} by {} through {}.", canary.canary, canary.path, canary.through);
                sign("canary", now, place(&canary.path), &words)
            }
            Event::Finding(finding)
                if finding.drill.is_empty() && finding.authorised.is_empty() && !finding.is_hearsay() =>
            {
                let since = now.saturating_sub(finding.after_millis.unwrap_or(0));
                sign("finding", since, &finding.platform, &finding.words)
            }
            Event::Alarm(alarm) if alarm.count > 0 => sign("alarm", now, &alarm.platform, &alarm.words),
            Event::Login(login) if !login.good => {
                let within = self.thresholds.failed_within_millis;
                self.failed_logins.push_back(now);
                while self.failed_logins.front().is_some_and(|at| now.saturating_sub(*at) > within)
                    || self.failed_logins.len() > self.thresholds.failed_logins.max(1) as usize
                {
                    self.failed_logins.pop_front();
                }
                let since = *self.failed_logins.front()?;
                if self.failed_logins.len() < self.thresholds.failed_logins.max(1) as usize {
                    return None;
                }
                sign(
                    "login",
                    since,
                    "gate",
                    &format!("{} logins to the {} failed in a row.", self.failed_logins.len(), login.place),
                )
            }
            _ => None,
        }
    }

    fn belongs(&mut self, sign: &Sign<'_>, now: u64, index: u64) -> Vec<Event> {
        let mut events = Vec::new();
        let open = self.incidents.last().is_some_and(|incident| incident.closed.is_none());
        if !open && self.incidents.len() >= INCIDENTS {
            *self.unplaced.entry("incident".to_owned()).or_default() += 1;
            return events;
        }
        if !open {
            let incident = Incident {
                id: self.next_id(sign.since),
                since: sign.since,
                cause: sign.cause.to_owned(),
                words: sign.words.clone(),
                platforms: BTreeSet::from([plain(sign.platform)]),
                waves: Vec::new(),
                closed: None,
                evidence: Evidence::of(index),
                confirmed: false,
            };
            events.push(Event::Opened(Opened {
                incident: incident.id.clone(),
                since: incident.since,
                platforms: incident.platforms.iter().cloned().collect(),
                cause: incident.cause.clone(),
                words: incident.words.clone(),
            }));
            self.incidents.push(incident);
        }
        let Some(incident) = self.incidents.last_mut() else { return events };
        if incident.platforms.len() < PLATFORMS {
            incident.platforms.insert(plain(sign.platform));
        }
        let full = incident.waves.len() >= WAVES;
        match incident.waves.last_mut() {
            Some(wave) if wave.until.is_none() || full => {
                wave.last = wave.last.max(now);
                if full && wave.until.is_some() {
                    *self.unplaced.entry("wave".to_owned()).or_default() += 1;
                    wave.until = Some(wave.last);
                }
                if wave.platforms.len() < PLATFORMS {
                    wave.platforms.insert(plain(sign.platform));
                }
                wave.evidence.add(index);
            }
            _ => {
                let wave = Surge {
                    number: u32::try_from(incident.waves.len() + 1).unwrap_or(u32::MAX),
                    from: sign.since,
                    until: None,
                    platforms: BTreeSet::from([plain(sign.platform)]),
                    evidence: Evidence::of(index),
                    last: now,
                };
                events.push(Event::Wave(told(&incident.id, &wave)));
                incident.waves.push(wave);
            }
        }
        events
    }

    /// The gate recorded that an incident began, or a person opened one.
    fn confirm(&mut self, opened: &Opened, index: u64) {
        let known = self.incidents.iter().rposition(|incident| incident.id == opened.incident);
        let unconfirmed = || {
            self.incidents.len().checked_sub(1).filter(|last| {
                self.incidents.get(*last).is_some_and(|incident| !incident.confirmed && incident.closed.is_none())
            })
        };
        // A person who opens one while another is opened means that.
        let persons = || (opened.is_a_persons() && self.open().is_some()).then(|| self.incidents.len() - 1);
        let found = known.or_else(unconfirmed);
        if let Some(incident) = found.or_else(persons).and_then(|at| self.incidents.get_mut(at)) {
            if found.is_some() {
                incident.id = plain(&opened.incident);
            }
            incident.since = incident.since.min(opened.since);
            incident.platforms.extend(opened.platforms.iter().take(PLATFORMS).map(|platform| plain(platform)));
            incident.evidence.add(index);
            incident.confirmed = true;
            return;
        }
        if self.incidents.len() >= INCIDENTS {
            *self.unplaced.entry("incident".to_owned()).or_default() += 1;
            return;
        }
        self.incidents.push(Incident {
            id: plain(&opened.incident),
            since: opened.since,
            cause: plain(&opened.cause),
            words: plain(&opened.words),
            platforms: opened.platforms.iter().take(PLATFORMS).map(|platform| plain(platform)).collect(),
            waves: Vec::new(),
            closed: None,
            evidence: Evidence::of(index),
            confirmed: true,
        });
    }

    /// The gate recorded a wave. It is ours already, unless what it was seen by is no longer kept.
    fn adopt(&mut self, wave: &Wave, index: u64) {
        let Some(incident) = self.incidents.iter_mut().rev().find(|incident| incident.id == wave.incident) else {
            return;
        };
        let room = incident.waves.len() < WAVES;
        match incident.waves.iter_mut().find(|own| own.number == wave.number) {
            Some(own) => {
                if let (None, Some(until)) = (own.until, wave.until) {
                    own.until = Some(until.max(own.from));
                }
            }
            None if room => incident.waves.push(Surge {
                number: wave.number,
                from: wave.from,
                until: wave.until,
                platforms: wave.platforms.iter().take(PLATFORMS).map(|platform| plain(platform)).collect(),
                evidence: Evidence::of(index),
                last: wave.until.unwrap_or(wave.from),
            }),
            None => *self.unplaced.entry("wave".to_owned()).or_default() += 1,
        }
    }
}

fn told(incident: &str, wave: &Surge) -> Wave {
    Wave {
        incident: incident.to_owned(),
        number: wave.number,
        platforms: wave.platforms.iter().cloned().collect(),
        from: wave.from,
        until: wave.until,
    }
}

/// The platform or database of a path: `http/public` is about `public`.
pub(crate) fn place(path: &str) -> &str {
    path.split_once('/').map_or(path, |(_, rest)| rest)
}

#[cfg(test)]
pub(crate) mod tests {
    use portcullis_ledger::{Act, Canary, Closed, Egress, Finding, Login, Probe, Statements, Traffic};

    use super::*;
    use crate::moment::{DAY, HOUR};

    pub(crate) const NOON: u64 = 1_573_560_000_000; // 2019-11-12 12:00

    pub(crate) fn record(index: u64, at: u64, event: Event) -> Record {
        Record { index, sensor: "gate".into(), seq: index, unix_millis: at, event: Some(event) }
    }

    pub(crate) fn posture(platform: &str, from: &str, to: &str) -> Event {
        Event::Act(Act {
            what: "posture".to_owned(),
            platform: platform.to_owned(),
            by: "gate".to_owned(),
            words: format!("{platform} is {to}, after {from}."),
            facts: BTreeMap::from([("from".to_owned(), from.to_owned()), ("to".to_owned(), to.to_owned())]),
            ..Act::default()
        })
    }

    fn fold(events: &[(u64, Event)]) -> (Docket, Vec<Event>) {
        let mut docket = Docket::new(Thresholds::default());
        let mut out = Vec::new();
        for (index, (at, event)) in events.iter().enumerate() {
            out.extend(docket.record(&record(index as u64, *at, event.clone())));
        }
        (docket, out)
    }

    #[test]
    fn a_second_wave_a_day_later_on_another_platform_is_the_same_incident() {
        let events = [
            (NOON, posture("public", "normal", "elevated")),
            (NOON + 900, posture("public", "elevated", "attack")),
            (NOON + 40 * MINUTE, posture("public", "attack", "recovery")),
            (NOON + 50 * MINUTE, posture("public", "recovery", "normal")),
            (NOON + DAY, posture("members", "elevated", "overload")),
            (NOON + DAY + HOUR, posture("members", "overload", "normal")),
        ];
        let (docket, told) = fold(&events);
        let [incident] = docket.incidents() else { panic!("{:?}", docket.incidents()) };
        assert_eq!(incident.id, "2019-11-12-1");
        assert_eq!(incident.platforms, BTreeSet::from(["members".to_owned(), "public".to_owned()]));
        let waves: Vec<_> =
            incident.waves.iter().map(|wave| (wave.from - NOON, wave.until.map(|at| at - NOON))).collect();
        assert_eq!(waves, [(0, Some(40 * MINUTE)), (DAY, None)]);
        assert_eq!(told.len(), 4, "opened, wave 1 began, wave 1 ended, wave 2 began: {told:?}");
        let mut docket = docket;
        assert_eq!(docket.tick(NOON + DAY + 80 * MINUTE).len(), 1, "calm ended the second");
        assert_eq!(docket.incidents()[0].waves[1].until, Some(NOON + DAY + HOUR));
    }

    #[test]
    fn a_person_ends_an_incident_and_what_follows_is_another() {
        let closed = Closed { incident: "2019-11-12-1".to_owned(), by: "duty".to_owned(), words: String::new() };
        let (docket, _) = fold(&[
            (NOON, posture("public", "normal", "attack")),
            (NOON + HOUR, Event::Closed(closed)),
            (NOON + 2 * HOUR, posture("public", "normal", "attack")),
        ]);
        let ids: Vec<&str> = docket.incidents().iter().map(|incident| incident.id.as_str()).collect();
        assert_eq!(ids, ["2019-11-12-1", "2019-11-12-2"]);
        assert_eq!(docket.find("last").map(|incident| incident.id.as_str()), Some("2019-11-12-2"));
    }

    #[test]
    fn what_was_recorded_of_an_incident_confirms_it_and_stands_for_it_where_the_rest_is_gone() {
        let mut events =
            vec![(NOON, posture("public", "normal", "attack")), (NOON + MINUTE, posture("public", "attack", "normal"))];
        let (_, told) = fold(&events);
        events.extend(told.iter().map(|event| (NOON + 2 * MINUTE, event.clone())));
        let (docket, again) = fold(&events);
        assert_eq!((docket.incidents().len(), docket.incidents()[0].waves.len(), again.len()), (1, 1, 2));
        let (docket, again) = fold(&events[2..]);
        assert_eq!((docket.incidents().len(), docket.incidents()[0].waves.len(), again.len()), (1, 1, 0));
        assert_eq!(docket.incidents()[0].since, NOON);
    }

    #[test]
    fn a_person_opens_one_and_what_follows_belongs_to_it() {
        let opened = |id: &str, platforms: &[&str]| {
            Event::Opened(Opened {
                incident: id.to_owned(),
                since: NOON,
                platforms: platforms.iter().map(|name| (*name).to_owned()).collect(),
                cause: "ada".to_owned(),
                words: "The host telephoned.".to_owned(),
            })
        };
        let closed = Closed { incident: "2019-11-12-1".to_owned(), by: "ada".to_owned(), words: String::new() };
        let events = [
            (NOON + MINUTE, opened("2019-11-12-1", &["public"])),
            (NOON + HOUR, posture("members", "normal", "attack")),
            (NOON + HOUR, opened("2019-11-12-2", &["shop"])),
            (NOON + 2 * HOUR, posture("members", "attack", "normal")),
            (NOON + 3 * HOUR, Event::Closed(closed)),
        ];
        let (docket, told) = fold(&events);
        let [incident] = docket.incidents() else { panic!("{:?}", docket.incidents()) };
        assert_eq!((incident.id.as_str(), incident.cause.as_str(), incident.since), ("2019-11-12-1", "ada", NOON));
        assert_eq!(incident.platforms.iter().map(String::as_str).collect::<Vec<_>>(), ["members", "public", "shop"]);
        let waves = told.iter().all(|event| matches!(event, Event::Wave(_)));
        assert!(waves && incident.waves.len() == 1, "a wave, and no other incident: {told:?}");
        assert_eq!((docket.open(), docket.next_id(NOON)), (None, "2019-11-12-2".to_owned()));
        assert_eq!(fold(&events[..1]).0.incidents()[0].waves.len(), 0, "nothing was seen yet");
    }

    #[test]
    fn drills_and_what_was_authorised_open_nothing() {
        let canary = |drill: &str| {
            Event::Canary(Canary { path: "http/public".to_owned(), drill: drill.to_owned(), ..Canary::default() })
        };
        let finding = |authorised: &str| {
            Event::Finding(Finding {
                platform: "public".to_owned(),
                authorised: authorised.to_owned(),
                ..Finding::default()
            })
        };
        let table = [
            (canary("d-1"), 0),
            (canary(""), 1),
            (finding("sha256:aa"), 0),
            (finding(""), 1),
            (Event::Finding(Finding { what: portcullis_ledger::HEARSAY.to_owned(), ..Finding::default() }), 0),
            (posture("public", "normal", "elevated"), 0),
            (posture("public", "normal", "overload"), 1),
            (Event::Beats { beats: Vec::new() }, 0),
            (Event::Traffic(Traffic { requests: 9, ..Traffic::default() }), 0),
            (Event::Egress(Egress { answers: 9, ..Egress::default() }), 0),
            (Event::Statements(Statements { cut: 9, ..Statements::default() }), 0),
            (Event::Probe(Probe { asked: 9, ..Probe::default() }), 0),
        ];
        for (event, incidents) in table {
            let (docket, _) = fold(&[(NOON, event.clone())]);
            assert_eq!(docket.incidents().len(), incidents, "{event:?}");
            assert!(incidents == 0 || Docket::wants(event.retention()), "{event:?} would not be read");
        }
    }

    #[test]
    fn logins_that_fail_open_one_from_the_tenth_on() {
        let failed = || Event::Login(Login { place: "console".to_owned(), ..Login::default() });
        let events: Vec<_> = (0..10).map(|second| (NOON + second * 1000, failed())).collect();
        assert_eq!(fold(&events[..9]).0.incidents().len(), 0);
        let (docket, _) = fold(&events);
        assert_eq!(docket.incidents().len(), 1);
        assert_eq!(docket.incidents()[0].since, NOON);
        let slow: Vec<_> = (0..10).map(|hour| (NOON + hour * HOUR, failed())).collect();
        assert_eq!(fold(&slow).0.incidents().len(), 0, "somebody who mistypes now and then");
    }
}
