//! What may leave, compiled: for each route what is looked for and what is too much; and the books that all workers share.
//!
//! It never keeps a value: keys, principals and records are keyed hashes.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_config::policy::{Mode, Platform, Route};
use portcullis_config::{Beyond, InspectionMode, Leaving, LeavingAction, Policy};
use portcullis_dataguard::canary::{CanaryId, CanaryKey, Matcher, Registry};
use portcullis_dataguard::decode::Bounds;
use portcullis_dataguard::detect::{HashKey, Kinds};
use portcullis_dataguard::ledger::{Budget, Learned, Ledger, Lesson, Noted, Proposal, Span, Who};
use portcullis_dataguard::sequence::{self, Enumeration, Id, Sequences};
use portcullis_dataguard::tally::{Alarm, Measure};
use portcullis_dataguard::{Canaries, Detector, Kind, Unread};
use portcullis_ledger::Canary;
use portcullis_types::Tick;
use serde_json::{Value, json};

use crate::chronicle::Chronicle;

/// Routes whose principals' hours are learned.
const LEARNED: usize = 1024;
/// Principals of all routes whose hour is under way; each holds two KiB at most.
const OPEN: usize = 32_768;
/// Principals whose books are written down together.
const TOGETHER: usize = 512;
/// How what was learned is written down.
const FORM: u64 = 1;
/// Alarms about canaries that are kept to be shown.
const SHOWN: usize = 32;

/// The canaries of a registry and a key.
///
/// # Errors
/// What is wrong with them, in words.
pub fn canaries(registry: &[u8], key: &[u8]) -> Result<Canaries, String> {
    let text = std::str::from_utf8(registry).map_err(|_| "the registry is not text".to_owned())?;
    let registry = Registry::parse(text).map_err(|error| error.to_string())?;
    let key = CanaryKey::parse(key).ok_or("the key is not 64 hexadecimal digits")?;
    Ok(Canaries::new(&registry, &key))
}

/// The guards of a policy.
pub(crate) struct Guards {
    routes: Vec<Vec<Arc<Guard>>>,
    /// Looks for canaries in requests, where there are any.
    pub(crate) matcher: Option<Matcher>,
    pub(crate) canaries: Arc<Canaries>,
}

/// What may leave by one route.
pub(crate) struct Guard {
    pub(crate) detector: Arc<Detector>,
    pub(crate) measure: Measure,
    pub(crate) bounds: Bounds,
    pub(crate) budgets: Vec<Budget>,
    pub(crate) leaving: Leaving,
    pub(crate) canaries: Arc<Canaries>,
    pub(crate) canary_blocks: bool,
    /// `platform`, with which a place of a canary begins.
    pub(crate) platform: String,
    pub(crate) path: String,
    /// Both, as a number.
    place: u64,
}

impl Guards {
    /// Compiles a policy.
    ///
    /// # Errors
    /// What is wrong with its canaries: nothing, where the configuration was checked.
    pub(crate) fn compile(policy: &Policy) -> Result<Self, String> {
        let files = policy.data.canaries.as_ref();
        let known = files.map(|files| canaries(&files.registry_text, &files.key_text)).transpose()?;
        let canaries = Arc::new(known.unwrap_or_default());
        let blocks = files.is_some_and(|files| !files.observed);
        type Wanted = (Kinds, Vec<String>);
        let mut detectors: Vec<(Wanted, Arc<Detector>)> = Vec::new();
        let mut guard = |platform: &Platform, route: &Route| {
            let key = (kinds(&route.leaving), route.leaving.record_fields.clone());
            let detector = match detectors.iter().find(|(known, _)| *known == key) {
                Some((_, detector)) => Arc::clone(detector),
                None => {
                    let detector = Arc::new(Detector::new(key.0, &key.1, &canaries));
                    detectors.push((key, Arc::clone(&detector)));
                    detector
                }
            };
            Arc::new(Guard::new(platform, route, detector, &canaries, blocks))
        };
        let routes = policy
            .platforms
            .iter()
            .map(|platform| platform.routes.iter().map(|route| guard(platform, route)).collect())
            .collect();
        let matcher = (!canaries.is_empty()).then(|| Matcher::new(&canaries));
        Ok(Self { routes, matcher, canaries })
    }

    /// That of a route, where anything is looked for.
    pub(crate) fn of(&self, (platform, route): (usize, usize)) -> Option<&Arc<Guard>> {
        self.routes.get(platform)?.get(route).filter(|guard| guard.leaving.action != LeavingAction::Off)
    }
}

fn kinds(leaving: &Leaving) -> Kinds {
    let wanted = |kind: &Kind| match kind {
        Kind::Secret => leaving.secrets != InspectionMode::Off,
        Kind::StackTrace | Kind::SqlError => leaving.faults != InspectionMode::Off,
        Kind::Field => !leaving.record_fields.is_empty(),
        _ => true,
    };
    let named = leaving.record_fields.iter().map(|_| Kind::Field);
    leaving.detect.iter().copied().chain(leaving.record.iter().copied()).chain(named).filter(wanted).collect()
}

impl Guard {
    fn new(
        platform: &Platform,
        route: &Route,
        detector: Arc<Detector>,
        canaries: &Arc<Canaries>,
        canary_blocks: bool,
    ) -> Self {
        let leaving = route.leaving.clone();
        let fields = leaving.record_fields.iter().map(|_| Kind::Field);
        Self {
            detector,
            measure: Measure {
                record: leaving.record.iter().copied().chain(fields).collect(),
                records: leaving.records,
            },
            bounds: Bounds { text: leaving.inspect, ratio: leaving.ratio, nesting: leaving.nesting },
            budgets: route.budgets.clone(),
            canaries: Arc::clone(canaries),
            canary_blocks,
            platform: platform.name.clone(),
            path: route.path.to_string(),
            place: place(&platform.name, &route.path.to_string()),
            leaving,
        }
    }

    /// Whether anything may be done about an answer, so that some of it is held back while it is looked at.
    pub(crate) fn acts(&self) -> bool {
        self.leaving.action.acts()
            || self.stops_canaries()
            || self.leaving.secrets == InspectionMode::Enforce
            || self.leaving.faults == InspectionMode::Enforce
            || self.leaving.unread == Beyond::Refuse
    }

    /// Whether the platform is asked for what can be read, and for the whole of it.
    pub(crate) fn narrows(&self) -> bool {
        self.leaving.action.acts() || self.leaving.unread == Beyond::Refuse || self.stops_canaries()
    }

    fn stops_canaries(&self) -> bool {
        self.canary_blocks && !self.canaries.is_empty()
    }

    /// Whether the platform is asked for plain text, in which values can be overwritten.
    pub(crate) fn wants_plain(&self) -> bool {
        self.leaving.action == LeavingAction::Mask
    }

    /// Whether what leaves is always written down.
    pub(crate) fn is_accounted(&self) -> bool {
        !self.budgets.is_empty() || self.leaving.action.acts() || !self.leaving.export.is_empty()
    }
}

/// Who takes what leaves, each as a keyed hash: as [`Who`] numbers them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Principals(pub(crate) [u64; Who::ALL.len()]);

impl Principals {
    /// The platform has said whose an answer is.
    pub(crate) fn name_account(&mut self, account: Option<u64>) {
        if let Some((place, account)) = self.0.get_mut(Who::Account as usize).zip(account) {
            *place = account;
        }
    }

    pub(crate) fn of(&self, who: Who) -> u64 {
        self.0.get(who as usize).copied().unwrap_or_default()
    }
}

/// What all workers share.
pub(crate) struct Books {
    key: HashKey,
    /// Nanoseconds since 1970 when ticks began: what left must be known after a restart, when they begin again.
    epoch: u64,
    pages: Mutex<Pages>,
    pub(crate) counts: Counts,
    chronicle: Arc<Chronicle>,
}

/// Books that one worker at a time has open.
#[derive(Default)]
struct Pages {
    ledger: Ledger,
    sequences: Sequences,
    learned: BTreeMap<u64, Known>,
    /// Hours in it that are under way.
    hours: usize,
    alarms: VecDeque<Value>,
}

impl Pages {
    /// Hours that were over have been closed.
    fn count(&mut self) {
        self.hours = self.learned.values().map(|known| known.learned.open()).sum();
    }
}

/// What was learned of a route.
struct Known {
    platform: String,
    path: String,
    learned: Learned,
}

/// What was looked at, and what was not.
#[derive(Default)]
pub(crate) struct Counts {
    /// Answers that were looked at.
    pub(crate) answers: AtomicU64,
    /// Bytes of text in them.
    pub(crate) text: AtomicU64,
    /// Bytes, as they travel, that were not looked at, by reason.
    pub(crate) unread: [AtomicU64; Unread::ALL.len()],
    /// Different values that left, by kind, summed over answers.
    pub(crate) values: [AtomicU64; Kind::COUNT],
    /// Records that left, and those of them that were exported as declared.
    pub(crate) records: AtomicU64,
    pub(crate) exported: AtomicU64,
    /// Canaries that were seen away from home.
    pub(crate) canaries: AtomicU64,
    /// Principals that were taken to enumerate.
    pub(crate) enumerations: AtomicU64,
}

impl Counts {
    pub(crate) fn add(counter: &AtomicU64, more: u64) {
        if more > 0 {
            counter.fetch_add(more, Ordering::Relaxed);
        }
    }
}

/// Where a canary was seen, and by whom.
pub(crate) struct Sight<'a> {
    pub(crate) canary: CanaryId,
    pub(crate) platform: &'a str,
    /// A path of the register of copies: `http/public`, `database/members`.
    pub(crate) place: &'a str,
    pub(crate) path: &'a str,
    /// How it was seen, and whether it left.
    pub(crate) way: &'static str,
    pub(crate) left: bool,
    pub(crate) client: IpAddr,
    pub(crate) reference: &'a str,
    /// It came in a request.
    pub(crate) asked: bool,
    pub(crate) unix_millis: u64,
}

impl Books {
    pub(crate) fn new(secret: [u64; 2], epoch: u64, chronicle: Arc<Chronicle>) -> Self {
        let key = HashKey([secret[0].rotate_left(29) ^ 0x6c65_6176_696e_6721, secret[1].rotate_left(11)]);
        Self { key, epoch, pages: Mutex::default(), counts: Counts::default(), chronicle }
    }

    /// A tick as the ledger has it, which outlives the process.
    const fn lasting(&self, now: Tick) -> Tick {
        Tick(self.epoch.saturating_add(now.0))
    }

    pub(crate) const fn key(&self) -> &HashKey {
        &self.key
    }

    /// A hash of something that names somebody or a place.
    pub(crate) fn name(&self, parts: &[&[u8]]) -> u64 {
        let mut text = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_le_bytes());
            text.extend_from_slice(part);
        }
        self.key.of(Kind::Field, &text)
    }

    fn open(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record is about to leave by a route: what it is too much for.
    pub(crate) fn record(
        &self,
        guard: &Guard,
        principals: &Principals,
        (kind, record): (Kind, u64),
        taking: Taking,
        now: Tick,
    ) -> Option<Alarm> {
        let Taking { allowance, calm } = taking;
        let mut pages = self.open();
        let Pages { ledger, learned, hours, .. } = &mut *pages;
        let mut alarm = None;
        for budget in &guard.budgets {
            let Budget { who, span, records, mode } = *budget;
            let key = self.budget(guard.place, [who as u8, span as u8, kind as u8], principals.of(who));
            let most = records.saturating_mul(if allowance == Allowance::Twice { 2 } else { 1 });
            let observed = mode == Mode::Observe || allowance == Allowance::Export || !guard.leaving.action.acts();
            // Where nothing is stopped, what goes beyond leaves, and is noted as having left.
            let noted = ledger.note(key, record, span, Some(most).filter(|_| !observed), self.lasting(now));
            let beyond = match noted {
                Noted::Beyond(_) => true,
                Noted::Within(count) => observed && count > most,
            };
            if beyond && alarm.is_none_or(|alarm| is_milder(alarm, observed)) {
                alarm = Some(Alarm::Budget { who, span, most: records, observed });
            }
        }
        if calm && alarm.is_none() && allowance == Allowance::Once {
            learn((learned, hours), guard, principals.of(Who::Session), record ^ kind as u64, now);
        }
        alarm
    }

    /// The key of a budget's window.
    fn budget(&self, place: u64, [who, span, kind]: [u8; 3], principal: u64) -> u64 {
        let mut text = [0; 19];
        let parts = place.to_le_bytes().into_iter().chain(principal.to_le_bytes()).chain([who, span, kind]);
        text.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        self.key.of(Kind::Field, &text)
    }

    /// How often what left was noted.
    pub(crate) fn noted(&self) -> u64 {
        self.open().ledger.noted()
    }

    /// What left to whom, to be kept over a restart: keyed hashes and nothing else.
    pub(crate) fn spent(&self, now: Tick) -> Vec<u8> {
        let (mut out, mut after) = (Vec::new(), None);
        loop {
            // Part by part: whoever serves a visitor meanwhile waits for none of them long.
            after = self.open().ledger.write(after, TOGETHER, self.lasting(now), &mut out);
            if after.is_none() {
                return out;
            }
        }
    }

    /// Takes back what left to whom before.
    ///
    /// # Errors
    /// Why it cannot be read; then nothing is taken back.
    pub(crate) fn restore_spent(&self, bytes: &[u8], now: Tick) -> Result<(), String> {
        let now = self.lasting(now);
        self.open().ledger.read(bytes, now).map_err(str::to_owned)
    }

    /// What was learned, to be kept over a restart, if anything.
    pub(crate) fn lessons(&self, now: Tick) -> Option<Vec<u8>> {
        let mut pages = self.open();
        if pages.learned.is_empty() {
            return None;
        }
        let routes: Vec<Value> = pages
            .learned
            .values_mut()
            .map(|known| {
                let Lesson { hours, most, span } = known.learned.lesson(now);
                json!({
                    "platform": known.platform,
                    "route": known.path,
                    "hours": hours,
                    "most": most,
                    "seconds": span.as_secs(),
                })
            })
            .collect();
        pages.count();
        Some(json!({ "form": FORM, "routes": routes }).to_string().into_bytes())
    }

    /// Takes back what was learned before.
    ///
    /// # Errors
    /// Why it cannot be read; then nothing is taken back.
    pub(crate) fn restore(&self, bytes: &[u8]) -> Result<(), String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if value["form"].as_u64() != Some(FORM) {
            return Err(format!("it is not of form {FORM}"));
        }
        let routes = value["routes"].as_array().ok_or("it has no routes")?;
        let known = |route: &Value| {
            let (platform, path) = (route["platform"].as_str()?.to_owned(), route["route"].as_str()?.to_owned());
            let mut hours = [0; 24];
            let counts = route["hours"].as_array()?.iter().map(|count| u32::try_from(count.as_u64()?).ok());
            for (hour, count) in hours.iter_mut().zip(counts) {
                *hour = count?;
            }
            let span = Duration::from_secs(route["seconds"].as_u64()?);
            let lesson = Lesson { hours, most: route["most"].as_u64()?, span };
            Some((place(&platform, &path), Known { platform, path, learned: Learned::of(&lesson) }))
        };
        let learned: Option<BTreeMap<u64, Known>> = routes.iter().take(LEARNED).map(known).collect();
        let learned = learned.ok_or("a route of it cannot be read")?;
        let mut pages = self.open();
        pages.learned = learned;
        pages.count();
        Ok(())
    }

    /// Somebody asked for an id: whether they ask for one after the other.
    pub(crate) fn asked(
        &self,
        guard: &Guard,
        principals: &Principals,
        id: Id,
        status: u16,
        now: Tick,
    ) -> Option<Enumeration> {
        let bounds = sequence::Bounds::default();
        let mut pages = self.open();
        let own = self.sequence(guard, Who::Session, principals);
        let alike = self.sequence(guard, Who::Cluster, principals);
        let one = pages.sequences.note(own, id, status, false, &bounds, now);
        let many = pages.sequences.note(alike, id, status, true, &bounds, now);
        let told = one.or(many);
        Counts::add(&self.counts.enumerations, u64::from(told.is_some()));
        told
    }

    /// Whether somebody is taken to ask for one id after the other already.
    pub(crate) fn enumerates(&self, guard: &Guard, principals: &Principals, now: Tick) -> Option<Enumeration> {
        let key = self.sequence(guard, Who::Session, principals);
        self.open().sequences.known(key, false, &sequence::Bounds::default(), now)
    }

    fn sequence(&self, guard: &Guard, who: Who, principals: &Principals) -> u64 {
        let place = [guard.platform.as_bytes(), guard.path.as_bytes()];
        self.name(&[place[0], place[1], b"ids", &[who as u8], &principals.of(who).to_le_bytes()])
    }

    /// A canary was seen away from its home: an alarm of the highest class.
    pub(crate) fn alarm(&self, sight: &Sight<'_>) {
        Counts::add(&self.counts.canaries, 1);
        tracing::error!(
            canary = %sight.canary,
            platform = sight.platform,
            path = sight.path,
            client = %sight.client,
            reference = sight.reference,
            asked = sight.asked,
            "a canary was seen: somebody reads what nobody should",
        );
        self.chronicle.canary(Canary {
            canary: sight.canary.to_string(),
            path: sight.place.to_owned(),
            through: sight.path.to_owned(),
            left: sight.left,
            way: sight.way.to_owned(),
            reference: sight.reference.to_owned(),
            client: Some(sight.client),
            drill: String::new(),
        });
        let mut pages = self.open();
        if pages.alarms.len() >= SHOWN {
            pages.alarms.pop_front();
        }
        pages.alarms.push_back(json!({
            "canary": sight.canary.to_string(),
            "platform": sight.platform,
            "path": sight.path,
            "client": sight.client.to_string(),
            "reference": sight.reference,
            "asked": sight.asked,
            "unix_millis": sight.unix_millis,
        }));
    }

    /// What `portcullis status` and `portcullis data` show.
    pub(crate) fn value(&self, guards: &Guards, now: Tick) -> Value {
        let counts = &self.counts;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let named = |names: Vec<(&'static str, u64)>| -> Value {
            names
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(name, count)| (name.to_owned(), Value::from(count)))
                .collect()
        };
        let unread = Unread::ALL.iter().zip(&counts.unread).map(|(unread, count)| (unread.name(), read(count)));
        let values = Kind::ALL.iter().zip(&counts.values).map(|(kind, count)| (kind.name(), read(count)));
        let mut pages = self.open();
        let (entries, displaced) = pages.ledger.size();
        let proposals: Vec<Value> = pages
            .learned
            .values_mut()
            .filter_map(|known| Some(proposal(&known.platform, &known.path, known.learned.proposal(now)?)))
            .collect();
        pages.count();
        json!({
            "answers": read(&counts.answers),
            "text_bytes": read(&counts.text),
            "unread_bytes": named(unread.collect()),
            "values": named(values.collect()),
            "records": read(&counts.records),
            "exported": read(&counts.exported),
            "canaries": guards.canaries.len(),
            "canary_alarms": read(&counts.canaries),
            "enumerations": read(&counts.enumerations),
            "alarms": pages.alarms,
            "ledger": { "entries": entries, "displaced": displaced },
            "proposals": proposals,
        })
    }
}

/// Under what something is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taking {
    pub(crate) allowance: Allowance,
    /// Nothing out of the ordinary is going on: what is usual can be learned.
    pub(crate) calm: bool,
}

/// What somebody's budgets are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    Once,
    /// A challenge was passed for it.
    Twice,
    /// A declared export: counted, never stopped.
    Export,
}

/// An alarm that only counts gives way to one that acts.
fn is_milder(alarm: Alarm, observed: bool) -> bool {
    matches!(alarm, Alarm::Budget { observed: true, .. }) && !observed
}

fn learn(
    (routes, hours): (&mut BTreeMap<u64, Known>, &mut usize),
    guard: &Guard,
    principal: u64,
    record: u64,
    now: Tick,
) {
    if routes.len() >= LEARNED && !routes.contains_key(&guard.place) {
        return;
    }
    let known = routes.entry(guard.place).or_insert_with(|| Known {
        platform: guard.platform.clone(),
        path: guard.path.clone(),
        learned: Learned::default(),
    });
    let before = known.learned.open();
    known.learned.note(principal, record, *hours >= OPEN, now);
    *hours = (*hours + known.learned.open()).saturating_sub(before);
}

/// A route as a number. Who declares routes is no enemy: no key is needed.
fn place(platform: &str, path: &str) -> u64 {
    HashKey([0; 2]).of(Kind::Field, format!("{platform}\0{path}").as_bytes())
}

fn proposal(platform: &str, route: &str, proposal: Proposal) -> Value {
    json!({
        "platform": platform,
        "route": route,
        "over": Span::Hour.name(),
        "records": proposal.records,
        "usual": proposal.usual,
        "most": proposal.most,
        "hours": proposal.hours,
        "seconds": proposal.span.as_secs(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        let canaries = Arc::new(Canaries::default());
        Guard {
            detector: Arc::new(Detector::new(Kinds::default(), &[], &canaries)),
            measure: Measure { record: [Kind::Email].into_iter().collect(), records: None },
            bounds: Bounds::default(),
            budgets: vec![Budget { who: Who::Session, span: Span::Hour, records: 3, mode: Mode::Enforce }],
            leaving: Leaving { action: LeavingAction::Block, ..Leaving::default() },
            canaries,
            canary_blocks: true,
            platform: "members".to_owned(),
            path: "/list".to_owned(),
            place: place("members", "/list"),
        }
    }

    #[test]
    fn what_is_usual_is_learned_in_calm_only_and_never_of_what_is_too_much() {
        let (books, guard, hour) = (Books::new([1, 2], 0, Arc::new(Chronicle::new(None))), guard(), Span::Hour.nanos());
        let take = |who: u64, record: u64, calm: bool, allowance: Allowance| {
            let principals = Principals([who; Who::ALL.len()]);
            books.record(&guard, &principals, (Kind::Email, record << 32 | 1), Taking { allowance, calm }, Tick(hour))
        };
        // While something is going on, and by a declared export, nothing is learned.
        (0..3).for_each(|record| assert!(take(1, record, false, Allowance::Once).is_none()));
        assert!(take(2, 0, true, Allowance::Export).is_none());
        let most = |books: &Books| {
            let lessons: Value = serde_json::from_slice(&books.lessons(Tick(3 * hour))?).ok()?;
            lessons["routes"][0]["most"].as_u64()
        };
        assert_eq!(most(&books), None);
        // What is beyond the budget is an alarm and nothing that is usual.
        let alarms: Vec<bool> = (0..9).map(|record| take(3, record, true, Allowance::Once).is_some()).collect();
        assert_eq!(alarms, [false, false, false, true, true, true, true, true, true]);
        assert_eq!(most(&books), Some(3));
    }

    #[test]
    fn a_restart_is_no_fresh_budget() {
        let (guard, hour) = (guard(), Span::Hour.nanos());
        let (secret, chronicle, began) = ([1, 2], Arc::new(Chronicle::new(None)), 1_000 * Span::Day.nanos());
        let take = |books: &Books, record: u64, now: u64| {
            let principals = Principals([7; Who::ALL.len()]);
            let taking = Taking { allowance: Allowance::Once, calm: false };
            let record = (record + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            books.record(&guard, &principals, (Kind::Email, record), taking, Tick(now)).is_none()
        };
        let books = Books::new(secret, began, Arc::clone(&chronicle));
        assert!(take(&books, 0, hour) && take(&books, 1, hour), "two of three");
        assert_eq!(books.noted(), 2);
        let spent = books.spent(Tick(hour));
        // A minute later another process begins, and its ticks with it.
        let again = || {
            let books = Books::new(secret, began + hour + Span::Minute.nanos(), Arc::clone(&chronicle));
            books.restore_spent(&spent, Tick(0)).expect("it reads back");
            books
        };
        let books = again();
        assert!(take(&books, 0, 1) && take(&books, 2, 2), "what was seen costs nothing, and one is left");
        assert!(!take(&books, 3, 3) && !take(&books, 4, 4), "and no more");
        assert!(take(&books, 5, 2 * hour), "until the hour is over");
        assert!(again().restore_spent(&spent[1..], Tick(0)).is_err());
    }
}
