//! What the gate tells the evidence: every request and act, each change, what left by which path, and how its own guards stand.
//!
//! It never waits: whoever keeps the records has queues of its own. Where nobody keeps any, nothing is gathered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_dataguard::tally;
use portcullis_dataguard::{Kind, Unread};
use portcullis_ledger::{
    Act, Alarm, Beat, Canary, Change, Disclosure, Drill, Egress, Event, Finding, Login, Measure, Recorder, Request,
    Sensor, State, Statements,
};
use portcullis_types::Reason;

use crate::Process;
use crate::control::Refused;
use crate::journal::{self, lock};
use crate::worker::unix_millis;

/// How often sensors say how they stand.
const PULSE: Duration = Duration::from_secs(1);
/// How often what was counted is told, in pulses.
const TOLD_EVERY: u64 = 10;
/// Paths by route or role that are told apart. What comes beyond is told under [`OTHER`].
const MOST_FLOWS: usize = 4096;
/// Records of one kind that are told one by one between two tellings; what comes beyond is told as one, with its number.
const MOST_TOLD: usize = 64;
/// Reasons of one role that are counted apart.
const MOST_REASONS: usize = 64;
/// Stands for what has no place of its own.
const OTHER: &str = "other";

/// Whose records they are.
const GATE: Sensor = Sensor::Borrowed("gate");
const BRAIN: Sensor = Sensor::Borrowed("brain");
const PROBER: Sensor = Sensor::Borrowed("prober");

/// What all threads of a gate tell through.
pub(crate) struct Chronicle {
    recorder: Option<Arc<dyn Recorder>>,
    flows: Mutex<BTreeMap<(String, String), Arc<Flow>>>,
    /// Since when what was counted has not been told.
    since: AtomicU64,
    /// Disclosures and alarms since then.
    crowd: Mutex<Crowd>,
    /// Platforms of which it was told that our own visits are let past our own measures, and have been since.
    past: Mutex<BTreeSet<String>>,
}

/// What is told at most so often, by what is alike.
#[derive(Default)]
struct Crowd {
    disclosures: usize,
    canaries: usize,
    refused: usize,
    beyond: BTreeMap<(String, String, &'static str), Disclosure>,
    alarms: BTreeMap<(&'static str, String, String), (u64, String)>,
}

/// What leaves by one path through one route or role. All workers count in it.
#[derive(Default)]
pub(crate) struct Flow {
    answers: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
    unread: [AtomicU64; Unread::ALL.len()],
    values: [AtomicU64; Kind::COUNT],
    records: AtomicU64,
    declared: AtomicU64,
    ran: AtomicU64,
    cut: AtomicU64,
    /// Statements that were refused, and that would have been.
    reasons: Mutex<[BTreeMap<&'static str, u64>; 2]>,
}

impl Flow {
    /// An answer left.
    pub(crate) fn answered(&self, bytes: u64) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Of an answer that left, so much was not looked at.
    pub(crate) fn unread(&self, why: Unread, bytes: u64) {
        self.unread.get(why as usize).into_iter().for_each(|counter| add(counter, bytes));
    }

    /// What was found in an answer that left.
    pub(crate) fn found(&self, values: &[(Kind, u64)], records: u64, exported: bool) {
        for (kind, count) in values {
            self.values.get(*kind as usize).into_iter().for_each(|counter| add(counter, *count));
        }
        add(&self.records, records);
        add(&self.declared, if exported { records } else { 0 });
    }

    /// A statement ran.
    pub(crate) fn ran(&self, rows: u64, bytes: u64) {
        self.ran.fetch_add(1, Ordering::Relaxed);
        self.answers.fetch_add(u64::from(rows > 0), Ordering::Relaxed);
        add(&self.rows, rows);
        add(&self.bytes, bytes);
    }

    /// A statement was refused, or would have been.
    pub(crate) fn refused(&self, reason: Reason, observed: bool) {
        let mut reasons = lock(&self.reasons);
        let [acted, only] = &mut *reasons;
        let counts = if observed { only } else { acted };
        let code =
            if counts.len() < MOST_REASONS || counts.contains_key(reason.code()) { reason.code() } else { OTHER };
        *counts.entry(code).or_default() += 1;
    }

    /// A session was cut.
    pub(crate) fn cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted since the last time, and nothing if nothing was.
    fn take(&self, (path, through): &(String, String), from: u64, until: u64) -> Vec<Event> {
        let took = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        let named = |pairs: Vec<(&'static str, u64)>| -> BTreeMap<String, u64> {
            pairs.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect()
        };
        let (path, through) = (path.clone(), through.clone());
        let mut records =
            named(Kind::ALL.iter().zip(&self.values).map(|(kind, count)| (kind.name(), took(count))).collect());
        let members = took(&self.records);
        if members > 0 {
            records.insert("record".to_owned(), members);
        }
        let egress = Egress {
            answers: took(&self.answers),
            rows: took(&self.rows),
            bytes: took(&self.bytes),
            uninspected: named(
                Unread::ALL.iter().zip(&self.unread).map(|(unread, count)| (unread.name(), took(count))).collect(),
            ),
            records,
            declared: took(&self.declared),
            ..Egress::default()
        };
        let [refused, observed] = std::mem::take(&mut *lock(&self.reasons));
        let text = |counts: BTreeMap<&'static str, u64>| {
            counts.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect::<BTreeMap<_, _>>()
        };
        let statements = Statements {
            ran: took(&self.ran),
            refused: text(refused),
            observed: text(observed),
            cut: took(&self.cut),
            ..Statements::default()
        };
        let mut events = Vec::new();
        if let Some(database) = path.strip_prefix("database/").filter(|_| statements != Statements::default()) {
            let (database, role) = (database.to_owned(), through.clone());
            events.push(Event::Statements(Statements { database, role, from, until, ..statements }));
        }
        if egress != Egress::default() {
            events.push(Event::Egress(Egress { path, through, from, until, ..egress }));
        }
        events
    }
}

/// Something that should not leave did, or was about to.
pub(crate) struct Leak<'a> {
    /// A path of the register, and the route or role.
    pub(crate) path: &'a str,
    pub(crate) through: &'a str,
    pub(crate) what: &'static str,
    pub(crate) whose: &'a str,
    pub(crate) allowed: u64,
    pub(crate) left: u64,
    pub(crate) action: &'static str,
    pub(crate) reference: &'a str,
    pub(crate) client: Option<IpAddr>,
}

impl Chronicle {
    pub(crate) fn new(recorder: Option<Arc<dyn Recorder>>) -> Self {
        Self {
            recorder,
            flows: Mutex::default(),
            since: AtomicU64::new(unix_millis()),
            crowd: Mutex::default(),
            past: Mutex::default(),
        }
    }

    /// Whether anybody keeps what is told.
    pub(crate) fn listens(&self) -> bool {
        self.recorder.is_some()
    }

    /// Where what leaves by that path is counted.
    pub(crate) fn flow(&self, path: &str, through: &str) -> Arc<Flow> {
        let mut flows = lock(&self.flows);
        let mut key = (path.to_owned(), through.to_owned());
        if flows.len() >= MOST_FLOWS && !flows.contains_key(&key) {
            key = (path.split('/').next().unwrap_or_default().to_owned(), OTHER.to_owned());
        }
        Arc::clone(flows.entry(key).or_default())
    }

    /// One decision about one request.
    pub(crate) fn request(&self, request: &Request<'_>) {
        self.recorder.iter().for_each(|recorder| recorder.request(request));
    }

    /// An act of the brain, or of its operator.
    pub(crate) fn act(&self, act: &portcullis_engine::Act) {
        if !self.listens() {
            return;
        }
        self.measure(act);
        self.tell(
            &BRAIN,
            Event::Act(Act {
                what: act.kind.clone(),
                platform: act.platform.clone(),
                rule: act.rule.clone().unwrap_or_default(),
                by: act.by.clone(),
                words: act.words.clone(),
                facts: act.facts.iter().cloned().collect(),
                undo: act.undo.clone(),
            }),
        );
    }

    /// The measure that an act switches on or off.
    fn measure(&self, act: &portcullis_engine::Act) {
        let fact =
            |name: &str| act.facts.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
        let Some(on) = switches(&act.kind, fact("limited")) else { return };
        let platform = &act.platform;
        let (id, what, action) = match &act.rule {
            Some(rule) => (rule.clone(), "rule", fact("action").to_owned()),
            None if act.kind == "admission" => (format!("admission/{platform}"), "admission", "wait".to_owned()),
            None => (format!("room/{platform}"), "room", "wait".to_owned()),
        };
        let (platform, by) = (platform.clone(), act.by.clone());
        if on && fact("business") == "true" {
            self.alarm("credential-stuffing", &platform, "", act.words.clone());
        }
        self.tell(&BRAIN, Event::Measure(Measure { id, platform, what: what.to_owned(), on, action, by }));
    }

    /// A change that an operator made.
    pub(crate) fn change(&self, what: &str, change: &journal::Change) {
        let (by, words) = (change.by.clone(), change.words.clone());
        self.tell(&GATE, Event::Change(Change { what: what.to_owned(), by, words, ..Change::default() }));
    }

    /// A visit of our own from outside was let past what would hold a stranger: told once for each time in which a platform is not calm.
    pub(crate) fn let_past(&self, platform: &str, calm: bool) {
        let mut past = lock(&self.past);
        if calm {
            past.remove(platform);
        } else if !past.contains(platform) {
            past.insert(platform.to_owned());
            drop(past);
            let words = format!(
                "Visits of the gate's own to {platform}, which look at its pages, are let past what holds strangers. What strangers get is \
                 what the service probes say."
            );
            let (platform, by) = (platform.to_owned(), "gate".to_owned());
            self.tell(&GATE, Event::Act(Act { what: "own-visits".to_owned(), platform, by, words, ..Act::default() }));
        }
    }

    /// Somebody on this machine asked for what they may not have, or for what could not be.
    pub(crate) fn refused(&self, refused: Refused) {
        let mut crowd = lock(&self.crowd);
        crowd.refused += 1;
        if crowd.refused > MOST_TOLD {
            return;
        }
        drop(crowd);
        let Refused { by, stranger, words } = refused;
        self.tell(
            &GATE,
            match stranger {
                true => Event::Login(Login { place: "control".to_owned(), who: by, client: None, good: false }),
                false => Event::Act(Act { what: "refused".to_owned(), by, words, ..Act::default() }),
            },
        );
    }

    /// More left, or was about to, than may.
    pub(crate) fn leaked(&self, leak: &Leak<'_>) {
        if !self.listens() {
            return;
        }
        let told = Disclosure {
            path: leak.path.to_owned(),
            through: leak.through.to_owned(),
            what: leak.what.to_owned(),
            whose: leak.whose.to_owned(),
            allowed: leak.allowed,
            reached: leak.allowed.saturating_add(1).max(leak.left),
            left: leak.left,
            action: leak.action.to_owned(),
            reference: leak.reference.to_owned(),
            client: leak.client,
            more: 0,
        };
        let mut crowd = lock(&self.crowd);
        crowd.disclosures += 1;
        if crowd.disclosures <= MOST_TOLD {
            drop(crowd);
            return self.tell(&path_sensor(leak.path), Event::Disclosure(told));
        }
        let key = (leak.path.to_owned(), leak.through.to_owned(), leak.what);
        let full = crowd.beyond.len() >= MOST_TOLD;
        // Of some other route, where there is no room: how often is known then, not where.
        let known = match crowd.beyond.contains_key(&key) || !full {
            true => crowd.beyond.entry(key).or_insert_with(|| Disclosure { left: 0, more: 0, ..told.clone() }),
            false => match crowd.beyond.values_mut().next() {
                Some(known) => known,
                None => return,
            },
        };
        known.more += 1;
        known.left += told.left;
        known.reached = known.reached.max(told.reached);
    }

    /// A canary was seen.
    pub(crate) fn canary(&self, canary: Canary) {
        let told = {
            let mut crowd = lock(&self.crowd);
            crowd.canaries += 1;
            crowd.canaries <= MOST_TOLD
        };
        // Beyond them it is known that the place leaks; more of the same would fill the disk for whoever asks again and again.
        if told {
            self.tell(&path_sensor(&canary.path), Event::Canary(canary));
        } else {
            self.alarm(
                "canaries",
                &canary.path,
                &canary.through,
                "more canaries were seen than are told one by one".to_owned(),
            );
        }
    }

    /// Something that concerns an incident; alike ones are told together.
    pub(crate) fn alarm(&self, what: &'static str, platform: &str, through: &str, words: String) {
        if !self.listens() {
            return;
        }
        let mut crowd = lock(&self.crowd);
        let full = crowd.alarms.len() >= MOST_TOLD;
        let key = (what, platform.to_owned(), through.to_owned());
        let key =
            if full && !crowd.alarms.contains_key(&key) { (what, platform.to_owned(), OTHER.to_owned()) } else { key };
        let (count, last) = crowd.alarms.entry(key).or_default();
        *count += 1;
        *last = words;
    }

    /// Something past the gate was found.
    pub(crate) fn finding(&self, database: &str, what: &'static str, words: &str) {
        self.tell(
            &path_sensor(&format!("database/{database}")),
            Event::Finding(Finding {
                what: what.to_owned(),
                platform: database.to_owned(),
                subject: database.to_owned(),
                words: words.to_owned(),
                ..Finding::default()
            }),
        );
    }

    /// A round of the gate's own attacks on itself is over.
    pub(crate) fn probed(&self, why: &str, tried: usize, alarms: &[crate::probe::Line], millis: u64) {
        let missed = alarms.len() as u64;
        let words = match alarms.first() {
            None => "every inert attack was found".to_owned(),
            Some(line) => format!("{missed} not found, the first on {} {}: {}", line.platform, line.route, line.why),
        };
        self.tell(
            &PROBER,
            Event::Drill(Drill {
                id: format!("inspection-{}", unix_millis()),
                what: "self-test".to_owned(),
                path: "http".to_owned(),
                seen: missed == 0,
                tried: tried as u64,
                missed,
                millis,
                by: why.to_owned(),
                words,
            }),
        );
    }

    /// A record of a sensor of the gate's own.
    pub(crate) fn tell(&self, sensor: &Sensor, event: Event) {
        if let Some(recorder) = &self.recorder {
            recorder.record(sensor, event);
        }
    }

    /// Tells what was counted since the last time.
    pub(crate) fn flush(&self) {
        let until = unix_millis();
        let from = self.since.swap(until, Ordering::Relaxed).min(until);
        let told: Vec<((String, String), Vec<Event>)> = {
            let mut flows = lock(&self.flows);
            let told = flows.iter().map(|(key, flow)| (key.clone(), flow.take(key, from, until))).collect();
            // What nobody counts in any more is gone.
            flows.retain(|_, flow| Arc::strong_count(flow) > 1);
            told
        };
        for ((path, _), events) in told {
            let sensor = path_sensor(&path);
            events.into_iter().for_each(|event| self.tell(&sensor, event));
        }
        let Crowd { beyond, alarms, refused, .. } = std::mem::take(&mut *lock(&self.crowd));
        if refused > MOST_TOLD {
            let words = format!("{} more were refused at the control socket", refused - MOST_TOLD);
            self.tell(
                &GATE,
                Event::Act(Act { what: "refused".to_owned(), by: OTHER.to_owned(), words, ..Act::default() }),
            );
        }
        for (_, disclosure) in beyond {
            self.tell(&path_sensor(&disclosure.path), Event::Disclosure(disclosure));
        }
        for ((what, platform, through), (count, words)) in alarms {
            self.tell(&GATE, Event::Alarm(Alarm { what: what.to_owned(), platform, through, words, count }));
        }
    }

    fn pulse(&self, sensor: Sensor, blind: Option<(State, String)>, (seen, dropped): (u64, u64)) {
        let (state, why) = blind.unwrap_or_default();
        if let Some(recorder) = &self.recorder {
            recorder.pulse(Beat { sensor, state, why, seen, dropped, ..Beat::default() });
        }
    }
}

/// Tells each second how the gate's guards stand, and what they counted each ten, until its runtime ends.
pub(crate) async fn run(process: Arc<Process>) {
    if !process.chronicle.listens() {
        return;
    }
    let mut every = tokio::time::interval(PULSE);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut round = 0_u64;
    loop {
        every.tick().await;
        pulses(&process);
        round += 1;
        if round.is_multiple_of(TOLD_EVERY) {
            process.chronicle.flush();
        }
    }
}

fn pulses(process: &Process) {
    let chronicle = &process.chronicle;
    let log = process.journal.counters();
    let stuck = (!process.is_alive()).then(|| (State::Blind, "a worker is stuck".to_owned()));
    chronicle.pulse(GATE, stuck.clone(), (process.registry.requests(), log.dropped() + log.failed()));
    let silent = process.coordinator.is_silent(process.now());
    let silent = silent.then(|| (State::Down, "the brain has been silent".to_owned()));
    chronicle.pulse(BRAIN, silent, (0, 0));
    let snapshot = process.snapshot();
    let alarms: BTreeMap<String, (usize, String)> = {
        let standing = lock(&process.probes.standing);
        let mut alarms: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for line in standing.lines.iter().filter(|line| line.state.is_alarm()) {
            alarms.entry(line.platform.clone()).or_insert_with(|| (0, line.why.clone())).0 += 1;
        }
        alarms
    };
    for (number, platform) in snapshot.policy.platforms.iter().enumerate() {
        let guarded = (0..platform.routes.len()).any(|route| snapshot.guards.of((number, route)).is_some());
        let blind = match alarms.get(&platform.name) {
            _ if stuck.is_some() => stuck.clone(),
            Some((count, why)) => Some((State::Blind, format!("{count} of its own attacks were not found: {why}"))),
            None if !guarded => {
                Some((State::Blind, "nothing that leaves is looked at: `leaving.action` is off".to_owned()))
            }
            None => None,
        };
        chronicle.pulse(http(&platform.name), blind, (process.answers(), 0));
        let watched = process.scripts.standing(&platform.name);
        let blind = match guarded {
            true => stuck.clone().or_else(|| watched.blind.map(|why| (State::Blind, why))),
            false => Some((State::Blind, "nothing that leaves is looked at".to_owned())),
        };
        chronicle.pulse(scripts(&platform.name), blind, (watched.seen, watched.dropped));
    }
    for database in &snapshot.databases {
        let blind = stuck.clone().or_else(|| database.blind().map(|why| (State::Blind, why)));
        chronicle.pulse(path_sensor(&format!("database/{}", database.name())), blind, (database.seen(), 0));
    }
}

/// The sensor of the scripts that a platform's visitors are given.
pub(crate) fn scripts(platform: &str) -> Sensor {
    Sensor::Owned(format!("scripts/{platform}"))
}

/// The sensor of a platform.
pub(crate) fn http(platform: &str) -> Sensor {
    Sensor::Owned(format!("http/{platform}"))
}

fn path_sensor(path: &str) -> Sensor {
    Sensor::Owned(path.to_owned())
}

/// Whether an act switches a measure on that visitors can feel, or off; none where it does neither.
fn switches(kind: &str, limited: &str) -> Option<bool> {
    match kind {
        "rule-enforced" | "rule-waiting" | "rule-rearmed" | "rule-resumed" | "rule-pinned" | "room-opened" => {
            Some(true)
        }
        "rule-reverted" | "rule-withdrawn" | "rule-undone" | "room-closed" => Some(false),
        "admission" => Some(limited == "true"),
        _ => None,
    }
}

/// What there was too much of, and whose budget it was, of an alarm about what leaves.
pub(crate) fn named(alarm: &tally::Alarm) -> Option<(&'static str, &'static str, u64)> {
    match alarm {
        tally::Alarm::Response { most } => Some(("records", "answer", *most)),
        tally::Alarm::Budget { who, most, .. } => Some(("records", who.name(), *most)),
        tally::Alarm::Secret(_) => Some(("secret", "answer", 0)),
        tally::Alarm::Canary(_) | tally::Alarm::Fault(..) => None,
    }
}

fn add(counter: &AtomicU64, more: u64) {
    if more > 0 {
        counter.fetch_add(more, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps in memory what it is told.
    #[derive(Default)]
    struct Kept(Mutex<Vec<(Sensor, Event)>>);

    impl Recorder for Kept {
        fn record(&self, sensor: &Sensor, event: Event) {
            lock(&self.0).push((sensor.clone(), event));
        }

        fn pulse(&self, _: Beat) {}

        fn request(&self, _: &Request<'_>) {}
    }

    fn chronicle() -> (Chronicle, Arc<Kept>) {
        let kept = Arc::new(Kept::default());
        (Chronicle::new(Some(Arc::clone(&kept) as _)), kept)
    }

    fn took(kept: &Kept) -> Vec<(Sensor, Event)> {
        std::mem::take(&mut *lock(&kept.0))
    }

    fn act(kind: &str, rule: Option<&str>, facts: &[(&str, &str)]) -> portcullis_engine::Act {
        portcullis_engine::Act {
            at_nanos: 1,
            kind: kind.to_owned(),
            platform: "public".to_owned(),
            rule: rule.map(str::to_owned),
            by: "gate".to_owned(),
            words: "words".to_owned(),
            facts: facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            undo: String::new(),
        }
    }

    #[test]
    fn an_act_that_visitors_feel_switches_a_measure() {
        let cases = [
            ("rule-proposed", Some("r-1"), "", None),
            ("rule-enforced", Some("r-1"), "", Some(("r-1", true))),
            ("rule-reverted", Some("r-1"), "", Some(("r-1", false))),
            ("rule-undone", Some("r-1"), "", Some(("r-1", false))),
            ("admission", None, "true", Some(("admission/public", true))),
            ("admission", None, "false", Some(("admission/public", false))),
            ("room-opened", None, "", Some(("room/public", true))),
            ("room-closed", None, "", Some(("room/public", false))),
            ("posture", None, "", None),
        ];
        for (kind, rule, limited, expected) in cases {
            let (chronicle, kept) = chronicle();
            chronicle.act(&act(kind, rule, &[("limited", limited)]));
            let told = took(&kept);
            let measure = told.iter().find_map(|(_, event)| match event {
                Event::Measure(measure) => Some((measure.id.as_str(), measure.on)),
                _ => None,
            });
            assert_eq!(measure, expected, "{kind}");
            assert!(matches!(told.last(), Some((_, Event::Act(told))) if told.what == kind), "{kind} is told itself");
        }
    }

    #[test]
    fn a_rule_about_logins_that_fail_is_an_alarm() {
        let (chronicle, kept) = chronicle();
        chronicle.act(&act("rule-enforced", Some("r-1"), &[("business", "true")]));
        chronicle.act(&act("rule-enforced", Some("r-2"), &[("business", "false")]));
        took(&kept);
        chronicle.flush();
        let told = took(&kept);
        assert!(
            matches!(&told[..], [(_, Event::Alarm(alarm))] if alarm.what == "credential-stuffing" && alarm.count == 1)
        );
    }

    #[test]
    fn what_left_is_told_once() {
        let (chronicle, kept) = chronicle();
        let flow = chronicle.flow("http/public", "/members/**");
        flow.answered(500);
        flow.found(&[(Kind::Email, 3)], 2, false);
        flow.unread(Unread::Size, 7);
        let role = chronicle.flow("database/members", "app");
        role.ran(10, 900);
        role.refused(Reason::StatementForbidden, false);
        chronicle.flush();
        let told = took(&kept);
        let egress = told.iter().find_map(|(sensor, event)| match event {
            Event::Egress(egress) if sensor == "http/public" => Some(egress),
            _ => None,
        });
        let egress = egress.expect("told");
        assert_eq!((egress.answers, egress.bytes, egress.records["email"], egress.records["record"]), (1, 500, 3, 2));
        assert_eq!((egress.uninspected["size"], egress.through.as_str()), (7, "/members/**"));
        let statements = told.iter().find_map(|(_, event)| match event {
            Event::Statements(statements) => Some(statements),
            _ => None,
        });
        let statements = statements.expect("told");
        assert_eq!((statements.ran, statements.refused["statement-forbidden"]), (1, 1));
        assert_eq!((statements.database.as_str(), statements.role.as_str()), ("members", "app"));
        chronicle.flush();
        assert!(took(&kept).is_empty(), "nothing happened since");
    }

    #[test]
    fn a_flood_of_leaks_is_told_as_one_with_its_number() {
        let (chronicle, kept) = chronicle();
        let leak = Leak {
            path: "http/public",
            through: "/members/**",
            what: "records",
            whose: "session",
            allowed: 20,
            left: 2,
            action: "block",
            reference: "0000000000007",
            client: None,
        };
        let most = MOST_TOLD as u64;
        (0..most + 1_000).for_each(|_| chronicle.leaked(&leak));
        chronicle.flush();
        let told: Vec<Disclosure> = took(&kept)
            .into_iter()
            .filter_map(|(_, event)| if let Event::Disclosure(told) = event { Some(told) } else { None })
            .collect();
        assert_eq!(told.len(), MOST_TOLD + 1);
        assert_eq!(told.iter().map(|told| told.left).sum::<u64>(), 2 * (most + 1_000), "none is lost");
        assert_eq!(told.last().map(|told| told.more), Some(1_000));
    }

    #[test]
    fn places_are_bounded() {
        let (chronicle, _) = chronicle();
        let flows: Vec<Arc<Flow>> =
            (0..MOST_FLOWS + 10).map(|role| chronicle.flow("database/members", &role.to_string())).collect();
        assert!(lock(&chronicle.flows).len() <= MOST_FLOWS + 1);
        assert!(Arc::ptr_eq(&flows[MOST_FLOWS], &flows[MOST_FLOWS + 9]), "beyond them, one for all");
    }
}
