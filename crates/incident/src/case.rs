//! Everything that the ledger has on one incident, gathered in one pass over its records.
//!
//! Never judges; that is the assessment's. Memory is bounded whatever the ledger holds: names are counted up to a limit and
//! then together, lists are kept up to a limit and then counted, and what was left out is told.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use portcullis_ledger::{Copies, Custody, Event, Record, Sensor};
use serde::Serialize;

use crate::attribution::Sources;
use crate::coverage::Watch;
use crate::docket::Incident;
use crate::effect::Effect;
use crate::evidence::{Evidence, plain};
use crate::moment::{DAY, HOUR};
use crate::timeline::{Timeline, Weight};

/// Entries of each list: findings, canaries, budgets, notes. Further ones are counted.
const LISTED: usize = 500;
/// Names that are told apart: paths, roles, witnesses, drills. Further ones are counted as one, `others`.
const NAMES: usize = 1_024;
/// How long before the first sign is looked at, for what is ordinary.
pub(crate) const BEFORE: u64 = HOUR;
/// How far back drills count.
pub(crate) const DRILLS_BACK: u64 = 30 * DAY;

/// What is known of one incident.
#[derive(Debug, Clone)]
pub struct Case {
    /// Which.
    pub incident: Incident,
    /// From the first sign to the end, or to the last beat of the ledger.
    pub from: u64,
    /// Its end.
    pub until: u64,
    /// What the ledger says about itself.
    pub books: Books,
    /// Who was watching.
    pub watch: Watch,
    /// The register in force at the end.
    pub copies: Option<(Copies, Evidence)>,
    /// Paths that were in the register at any time of the incident and are not at its end.
    pub dropped_paths: BTreeSet<String>,
    /// What left, by path.
    pub left: BTreeMap<String, Left>,
    /// Budgets that were reached.
    pub breaches: Listed<Breach>,
    /// Canaries that were seen.
    pub canaries: Listed<Hit>,
    /// What was not as it should be, and nothing made right.
    pub findings: Listed<Found>,
    /// What was authorised.
    pub authorised: Listed<Found>,
    /// What others say alone, and anybody can say: it is shown, and judges nothing.
    pub hearsay: Listed<Found>,
    /// Everything else that rang.
    pub alarms: BTreeMap<(String, String), Tally>,
    /// What roles ran, by database and role.
    pub statements: BTreeMap<(String, String), Ran>,
    /// Drills by path and kind.
    pub drills: BTreeMap<(String, String), Drills>,
    /// What people state about copies.
    pub assurances: Listed<Assured>,
    /// Logins that failed and that did not.
    pub logins: [Tally; 2],
    /// What it did to people.
    pub effect: Effect,
    /// What happened, in order.
    pub timeline: Timeline,
    /// Notes, decisions, who was told, reports handed in.
    pub papers: Listed<Paper>,
    /// What people answered to what forms ask: the last answer to each.
    pub answers: BTreeMap<String, (String, Evidence)>,
    /// Rules that the gate put in force, in its own words.
    pub rules: Listed<Said>,
    /// Where refused requests came from, where somebody counted them.
    pub sources: Option<Sources>,
}

/// At most so many, and how many there were.
#[derive(Debug, Clone, Serialize)]
pub struct Listed<T> {
    /// The first of them.
    pub list: Vec<T>,
    /// All of them.
    pub count: u64,
    /// Records of all of them.
    pub evidence: Evidence,
}

/// What the ledger says about itself.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Books {
    /// Records that were read.
    pub records: u64,
    /// The first and the last position.
    pub first: Option<u64>,
    /// The last position.
    pub last: Option<u64>,
    /// Positions that are missing within the incident, and whose records are erased.
    pub missing: u64,
    /// Records within the incident whose erasable part is gone.
    pub erased: Tally,
    /// Losses within the incident that were told: records.
    pub lost: Tally,
    /// Losses within the incident that were told: requests that are known by number only.
    pub lost_requests: Tally,
    /// Losses within the incident that nobody told of: numbers missing in a sensor's sequence.
    pub untold: Tally,
    /// How often a record was older than the one before it, by more than a second.
    pub back: Tally,
    /// Who signed the tree last, when and how much of it.
    pub witnesses: BTreeMap<String, (u64, u64, Evidence)>,
    /// Witnesses that could not be asked, or refused.
    pub unwitnessed: Tally,
    /// Binary and configuration that ran, by the processes that began.
    pub starts: Listed<Said>,
}

/// A number and what it rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// By which records.
    pub evidence: Evidence,
}

impl Tally {
    fn add(&mut self, count: u64, index: u64) {
        self.count = self.count.saturating_add(count);
        self.evidence.add(index);
    }
}

/// What left by one path.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Left {
    /// Answers, or statements that returned something.
    pub answers: u64,
    /// Rows of a database.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Bytes that nobody looked at, by cause.
    pub uninspected: BTreeMap<String, u64>,
    /// Records by kind, summed over intervals of ten seconds: the same record in two of them counts twice.
    pub records: BTreeMap<String, u64>,
    /// Of them, by declared exports.
    pub declared: u64,
    /// Rests on.
    pub evidence: Evidence,
}

/// A budget that was reached.
#[derive(Debug, Clone, Serialize)]
pub struct Breach {
    pub at: u64,
    pub path: String,
    pub through: String,
    pub what: String,
    pub whose: String,
    pub allowed: u64,
    pub reached: u64,
    pub left: u64,
    pub action: String,
    pub evidence: Evidence,
}

/// A canary that was seen.
#[derive(Debug, Clone, Serialize)]
pub struct Hit {
    pub at: u64,
    pub canary: String,
    pub path: String,
    pub through: String,
    pub left: bool,
    pub way: String,
    pub evidence: Evidence,
}

/// A finding of a sensor.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    pub at: u64,
    pub what: String,
    pub platform: String,
    pub subject: String,
    pub before: String,
    pub after: String,
    pub authorised: String,
    pub words: String,
    pub evidence: Evidence,
}

/// What a role ran.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ran {
    pub ran: u64,
    pub refused: BTreeMap<String, u64>,
    pub observed: BTreeMap<String, u64>,
    pub cut: u64,
    pub evidence: Evidence,
}

/// Drills of one kind on one path.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Drills {
    /// Attempts in the last thirty days.
    pub tried: u64,
    /// Of these, not seen.
    pub missed: u64,
    /// Attempts since the last that was not seen.
    pub clean: u64,
    /// The last one: when.
    pub last: u64,
    /// The last one: it was seen.
    pub last_seen: bool,
    /// The last of them that failed, if any did within the incident or a day before.
    pub failed_at: Option<u64>,
    /// The slowest until it was seen, in milliseconds.
    pub slowest_millis: u64,
    pub evidence: Evidence,
}

/// What a person states about a copy.
#[derive(Debug, Clone, Serialize)]
pub struct Assured {
    pub at: u64,
    pub copy: String,
    pub by: String,
    pub intact: bool,
    pub words: String,
    pub from: u64,
    pub until: u64,
    pub evidence: Evidence,
}

/// What a person did about the incident.
#[derive(Debug, Clone, Serialize)]
pub struct Paper {
    /// `note`, `decision`, `told`, `report`.
    pub kind: &'static str,
    pub at: u64,
    pub by: String,
    /// Whom, of what was told and handed in.
    pub to: String,
    pub words: String,
    /// Of a report: the form, the hash of what was handed in, and what came back.
    pub form: String,
    pub sha256: String,
    pub receipt: String,
    pub evidence: Evidence,
}

/// A sentence of the record.
#[derive(Debug, Clone, Serialize)]
pub struct Said {
    pub at: u64,
    pub words: String,
    pub evidence: Evidence,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { list: Vec::new(), count: 0, evidence: Evidence::default() }
    }
}

impl<T> Listed<T> {
    fn push(&mut self, index: u64, item: T) {
        self.count += 1;
        self.evidence.add(index);
        if self.list.len() < LISTED {
            self.list.push(item);
        }
    }
}

/// A case that is being gathered.
#[derive(Debug, Clone)]
pub struct Gathering {
    case: Case,
    last_at: u64,
    seqs: BTreeMap<Sensor, u64>,
    last_record: u64,
}

impl Gathering {
    /// Begins, for an incident that a docket found in the same records.
    #[must_use]
    pub fn new(incident: &Incident) -> Self {
        let until = incident.closed.as_ref().map_or(u64::MAX, |closed| closed.at);
        let case = Case {
            from: incident.since,
            until,
            effect: Effect::new(incident, until),
            incident: incident.clone(),
            books: Books::default(),
            watch: Watch::default(),
            copies: None,
            dropped_paths: BTreeSet::new(),
            left: BTreeMap::new(),
            breaches: Listed::default(),
            canaries: Listed::default(),
            findings: Listed::default(),
            authorised: Listed::default(),
            hearsay: Listed::default(),
            alarms: BTreeMap::new(),
            statements: BTreeMap::new(),
            drills: BTreeMap::new(),
            assurances: Listed::default(),
            logins: [Tally::default(), Tally::default()],
            timeline: Timeline::default(),
            papers: Listed::default(),
            answers: BTreeMap::new(),
            rules: Listed::default(),
            sources: None,
        };
        Self { case, last_at: 0, seqs: BTreeMap::new(), last_record: 0 }
    }

    /// Whether the event of a record of this kind, at this place and time, can be of account. Figures of long before cannot, and
    /// need not be read; behind the first sign all can, whatever a clock said that jumped.
    #[must_use]
    pub fn wants(&self, kind: &str, index: u64, unix_millis: u64) -> bool {
        let figures = matches!(kind, "traffic" | "egress" | "statements" | "probe");
        let began = self.case.incident.evidence.first().is_none_or(|first| index >= first);
        !figures || began || unix_millis.saturating_add(BEFORE) >= self.case.from
    }

    /// Takes a record in, in the order of the ledger.
    pub fn record(&mut self, record: &Record) {
        self.keep_books(record);
        let Some(event) = &record.event else { return };
        let (at, index) = (record.unix_millis, record.index);
        let within = (self.case.from..=self.case.until).contains(&at);
        self.case.effect.record(event, at, index);
        self.case.always(event, at, index);
        if within {
            self.case.within(event, at, index);
        }
    }

    /// All records have been read. The incident's time ends where the last beat was, unless a person ended it.
    #[must_use]
    pub fn finish(mut self) -> Case {
        if self.case.until == u64::MAX {
            let known = self.case.watch.last_beat().unwrap_or(self.last_record);
            let waves = self.case.incident.waves.last().map_or(0, crate::docket::Surge::end);
            self.case.until = known.max(waves).max(self.case.from);
        }
        self.case.effect.finish(self.case.until);
        self.case
    }

    fn keep_books(&mut self, record: &Record) {
        let books = &mut self.case.books;
        let (at, index) = (record.unix_millis, record.index);
        let within = at >= self.case.from && at <= self.case.until;
        books.records += 1;
        books.first.get_or_insert(index);
        if let Some(last) = books.last
            && within
        {
            books.missing += index.saturating_sub(last + 1);
        }
        books.last = Some(index);
        if at.saturating_add(1000) < self.last_at && within {
            books.back.add(1, index);
        }
        self.last_at = at;
        self.last_record = self.last_record.max(at);
        if within && record.event.is_none() {
            books.erased.add(1, index);
        }
        let room = self.seqs.len() < NAMES;
        match self.seqs.get_mut(&record.sensor) {
            Some(seq) => {
                // A sensor that begins anew begins at 0.
                if record.seq > *seq + 1 && within {
                    books.untold.add(record.seq - *seq - 1, index);
                }
                *seq = record.seq;
            }
            None if room => {
                self.seqs.insert(record.sensor.clone(), record.seq);
            }
            None => {}
        }
    }
}

impl Case {
    /// Whether a time belongs to the incident.
    #[must_use]
    pub fn overlaps(&self, from: u64, until: u64) -> bool {
        until > self.from && from < self.until
    }

    /// What counts whenever it was recorded.
    fn always(&mut self, event: &Event, at: u64, index: u64) {
        match event {
            Event::Beats { beats } => self.watch.beats(at, index, beats),
            Event::Copies(copies) if at <= self.until => self.register(copies, at, index),
            Event::Drill(drill) if at.saturating_add(DRILLS_BACK) >= self.from && at <= self.until => {
                let Some(drills) = named(&mut self.drills, (plain(&drill.path), plain(&drill.what))) else { return };
                drills.tried += drill.tried.max(1);
                drills.missed += drill.missed;
                drills.last_seen = drill.seen && drill.missed == 0;
                drills.clean = if drills.last_seen { drills.clean + drill.tried.max(1) } else { 0 };
                drills.last = at;
                if !drills.last_seen && at.saturating_add(DAY) >= self.from {
                    drills.failed_at = Some(at);
                }
                drills.slowest_millis = drills.slowest_millis.max(drill.millis);
                drills.evidence.add(index);
            }
            Event::Witnessed(seen) if at <= self.until => {
                if seen.good {
                    let known = self.books.witnesses.len() < NAMES || self.books.witnesses.contains_key(&seen.witness);
                    if known {
                        self.books.witnesses.insert(plain(&seen.witness), (at, seen.size, Evidence::of(index)));
                    }
                } else if at >= self.from {
                    self.books.unwitnessed.add(1, index);
                }
            }
            Event::Lost(lost) if self.overlaps(lost.from, lost.until.max(lost.from + 1)) => {
                if lost.records > 0 {
                    self.books.lost.add(lost.records, index);
                }
                if lost.requests > 0 {
                    self.books.lost_requests.add(lost.requests, index);
                }
            }
            Event::Egress(egress) if self.overlaps(egress.from, egress.until) => self.outflow(egress, index),
            Event::Start(start) => {
                let short = |hash: &str| plain(hash).chars().take(16).collect::<String>();
                let words = format!(
                    "{} began: version {}, binary {}, configuration {}.",
                    plain(&start.node),
                    plain(&start.version),
                    short(&start.binary),
                    short(&start.configuration)
                );
                self.books.starts.push(index, Said { at, words, evidence: Evidence::of(index) });
            }
            Event::Assurance(said) if said.incident.is_empty() || said.incident == self.incident.id => {
                self.assurances.push(
                    index,
                    Assured {
                        at,
                        copy: plain(&said.copy),
                        by: plain(&said.by),
                        intact: said.intact,
                        words: plain(&said.words),
                        from: said.from,
                        until: said.until,
                        evidence: Evidence::of(index),
                    },
                );
            }
            Event::Note(note) if note.incident == self.incident.id => {
                for (field, answer) in note.answers.iter().take(LISTED) {
                    if self.answers.len() < 4 * LISTED || self.answers.contains_key(field) {
                        self.answers.insert(plain(field), (plain(answer), Evidence::of(index)));
                    }
                }
                self.paper("note", at, index, &note.by, "", &note.words);
            }
            Event::Decision(decision) if decision.incident == self.incident.id => {
                self.paper("decision", at, index, &decision.by, "", &decision.words);
            }
            Event::Told(told) if told.incident == self.incident.id => {
                self.paper("told", at, index, &told.by, &told.whom, &told.words);
            }
            Event::Report(report) if report.incident == self.incident.id => {
                self.paper("report", report.at, index, &report.by, &report.to, "");
                if let Some(paper) = self.papers.list.last_mut().filter(|paper| paper.kind == "report") {
                    paper.form = plain(&report.form);
                    paper.sha256 = plain(&report.sha256);
                    paper.receipt = plain(&report.receipt);
                }
            }
            _ => {}
        }
    }

    /// What counts where it was recorded within the incident.
    fn within(&mut self, event: &Event, at: u64, index: u64) {
        if let Some((weight, kind, platform, words)) = Timeline::entry(event) {
            self.timeline.add(weight, at, index, kind, &platform, &words);
        }
        let evidence = Evidence::of(index);
        match event {
            Event::Disclosure(leak) => self.breaches.push(
                index,
                Breach {
                    at,
                    path: plain(&leak.path),
                    through: plain(&leak.through),
                    what: plain(&leak.what),
                    whose: plain(&leak.whose),
                    allowed: leak.allowed,
                    reached: leak.reached,
                    left: leak.left,
                    action: plain(&leak.action),
                    evidence,
                },
            ),
            Event::Canary(seen) if seen.drill.is_empty() => self.canaries.push(
                index,
                Hit {
                    at,
                    canary: plain(&seen.canary),
                    path: plain(&seen.path),
                    through: plain(&seen.through),
                    left: seen.left,
                    way: plain(&seen.way),
                    evidence,
                },
            ),
            Event::Finding(found) if found.drill.is_empty() => {
                let list = match found.authorised.is_empty() {
                    _ if found.is_hearsay() => &mut self.hearsay,
                    true => &mut self.findings,
                    false => &mut self.authorised,
                };
                list.push(
                    index,
                    Found {
                        at,
                        what: plain(&found.what),
                        platform: plain(&found.platform),
                        subject: plain(&found.subject),
                        before: plain(&found.before),
                        after: plain(&found.after),
                        authorised: plain(&found.authorised),
                        words: plain(&found.words),
                        evidence,
                    },
                );
            }
            Event::Alarm(alarm) => {
                if let Some(tally) = named(&mut self.alarms, (plain(&alarm.what), plain(&alarm.platform))) {
                    tally.add(alarm.count, index);
                }
            }
            Event::Statements(ran) => {
                let Some(of) = named(&mut self.statements, (plain(&ran.database), plain(&ran.role))) else { return };
                of.ran += ran.ran;
                add_all(&mut of.refused, &ran.refused);
                add_all(&mut of.observed, &ran.observed);
                of.cut += ran.cut;
                of.evidence.add(index);
            }
            Event::Login(login) => self.logins[usize::from(login.good)].add(1, index),
            Event::Act(act) if act.what == "rule-enforced" => {
                self.rules.push(index, Said { at, words: plain(&act.words), evidence });
            }
            _ => {}
        }
    }

    fn outflow(&mut self, egress: &portcullis_ledger::Egress, index: u64) {
        let path = match self.left.contains_key(&egress.path) {
            true => Cow::Borrowed(egress.path.as_str()),
            false if self.left.len() < NAMES => plain(&egress.path).into(),
            false => return,
        };
        let Some(left) = entry(&mut self.left, &path) else { return };
        left.answers += egress.answers;
        left.rows += egress.rows;
        left.bytes += egress.bytes;
        add_all(&mut left.uninspected, &egress.uninspected);
        add_all(&mut left.records, &egress.records);
        left.declared += egress.declared;
        left.evidence.add(index);
    }

    /// The register changed. What goes from it while the incident lasts does not go from the incident.
    fn register(&mut self, copies: &Copies, at: u64, index: u64) {
        let names = |copies: &Copies| -> BTreeSet<String> {
            copies.copies.iter().flat_map(|copy| &copy.paths).map(|path| plain(&path.name)).collect()
        };
        if let Some((before, _)) = &self.copies
            && at >= self.from
        {
            let now = names(copies);
            self.dropped_paths.extend(names(before).into_iter().filter(|name| !now.contains(name)));
        }
        self.copies = Some((copies.clone(), Evidence::of(index)));
    }

    fn paper(&mut self, kind: &'static str, at: u64, index: u64, by: &str, to: &str, words: &str) {
        let said = if to.is_empty() { plain(words) } else { format!("{}: {}", plain(to), plain(words)) };
        self.timeline.add(Weight::First, at, index, kind, "", &format!("{}: {said}", plain(by)));
        self.papers.push(
            index,
            Paper {
                kind,
                at,
                by: plain(by),
                to: plain(to),
                words: plain(words),
                form: String::new(),
                sha256: String::new(),
                receipt: String::new(),
                evidence: Evidence::of(index),
            },
        );
    }

    /// Whether a path of that name is in the register, and how it is watched.
    #[must_use]
    pub fn custody(&self, path: &str) -> Option<Custody> {
        let (copies, _) = self.copies.as_ref()?;
        let mut paths = copies.copies.iter().flat_map(|copy| &copy.paths);
        paths.find(|known| known.name == path).map(|known| known.custody)
    }
}

/// What is under a name, which is copied only where it is new. It is always there.
pub(crate) fn entry<'a, V: Default>(map: &'a mut BTreeMap<String, V>, name: &str) -> Option<&'a mut V> {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), V::default());
    }
    map.get_mut(name)
}

fn named<V: Default>(map: &mut BTreeMap<(String, String), V>, key: (String, String)) -> Option<&mut V> {
    let key = if map.len() >= NAMES && !map.contains_key(&key) { ("others".to_owned(), String::new()) } else { key };
    Some(map.entry(key).or_default())
}

pub(crate) fn add_all(sums: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (name, count) in more {
        if let Some(sum) = sums.get_mut(name) {
            *sum = sum.saturating_add(*count);
        } else if sums.len() < NAMES {
            sums.insert(plain(name), *count);
        } else {
            *sums.entry("others".to_owned()).or_default() += count;
        }
    }
}
