//! Each database's server, looked at again and again: what came past the gate is told once, in the log with a reference, counted, and
//! shown by `portcullis status` for as long as it holds. What could not be looked at is said, never passed over.
//!
//! A look that fails costs nobody a session: it is told, and the next one is made when it is due.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_config::policy::Reconcile;
use portcullis_pgguard::coverage::{Balance, Known, Origin, Session, Whence, open_lines, strangers};
use portcullis_types::{Prefix, Reference};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::Database;
use super::catalogue::{Catalogue, Failure};
use crate::Process;
use crate::chronicle::Chronicle;
use crate::journal::{DatabaseRecord, Journal, lock};
use crate::worker::unix_millis;

/// How often it is looked whether a look is due.
const TURN: Duration = Duration::from_millis(250);
/// The longest that a look may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// Between the two looks at sessions that must both show a stranger.
const TWICE: Duration = Duration::from_millis(300);
/// References of findings are drawn as those of a worker are, of a number that no worker has.
const REFERENCES: usize = 1 << 30;
/// Findings that are told of one look; what is beyond is counted.
const TOLD: usize = 100;
/// Findings that are over or have no end, kept to be shown.
const SHOWN: usize = 32;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Check {
    /// Who is connected, and how many were.
    Sessions,
    /// Whom the server lets in.
    Access,
    /// How many rows were read.
    Rows,
    /// What shows sensitive rows.
    Views,
}

impl Check {
    const ALL: [Self; 4] = [Self::Sessions, Self::Access, Self::Rows, Self::Views];

    const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Access => "access",
            Self::Rows => "rows",
            Self::Views => "views",
        }
    }

    /// What the evidence calls what it finds.
    const fn told(self) -> &'static str {
        match self {
            Self::Sessions => "session-bypass",
            Self::Access => "access-bypass",
            Self::Rows => "rows-unseen",
            Self::Views => "view-unseen",
        }
    }
}

/// How the coverage of one database stands, over all policies.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    /// A look is under way.
    busy: AtomicBool,
    standing: Mutex<Standing>,
    findings: AtomicU64,
    rows_unseen: AtomicU64,
    sessions_unseen: AtomicU64,
    /// In milliseconds since 1970; 0 never.
    checked: AtomicU64,
    /// How many of the checks could not be made when it was last tried.
    unchecked: AtomicU64,
}

#[derive(Debug, Default)]
struct Standing {
    due: Option<Instant>,
    /// Why the last look came to nothing.
    failed: Option<String>,
    /// What each check came to: nothing, or why it could not be made.
    checks: BTreeMap<Check, Option<String>>,
    /// What holds now, by what it is.
    open: BTreeMap<String, Finding>,
    past: VecDeque<Finding>,
    sessions: Balance,
    rows: BTreeMap<Box<str>, Balance>,
    forgot: String,
    rows_seen: u64,
    showing: (usize, usize),
}

#[derive(Debug, Clone)]
struct Finding {
    check: Check,
    reference: Reference,
    words: String,
    since: u64,
}

/// Looks at every database that asks for it, until the gate drains. After a take-over it waits: the sessions of the process before
/// are nobody else's, and this one does not know them.
pub(crate) async fn run(process: Arc<Process>, waits: Duration) {
    let begin = Instant::now() + waits;
    let references = Arc::new(AtomicU64::new(process.seed(REFERENCES) << 40));
    while !process.is_draining() {
        let snapshot = process.snapshot();
        for database in &snapshot.databases {
            let Some(declared) = &database.declared.reconcile else { continue };
            let coverage = &database.coverage;
            let now = Instant::now();
            let due = lock(&coverage.standing).due.is_none_or(|due| due <= now);
            if now < begin || !due || coverage.busy.swap(true, Ordering::AcqRel) {
                continue;
            }
            lock(&coverage.standing).due = Some(now + declared.interval);
            let look = Arc::new(Look {
                database: Arc::clone(database),
                declared: declared.clone(),
                journal: Arc::clone(&process.journal),
                chronicle: Arc::clone(&process.chronicle),
                references: Arc::clone(&references),
            });
            tokio::spawn(go(look));
        }
        sleep(TURN).await;
    }
}

struct Look {
    database: Arc<Database>,
    declared: Reconcile,
    journal: Arc<Journal>,
    chronicle: Arc<Chronicle>,
    references: Arc<AtomicU64>,
}

/// Looks, and says how that went. A panic of ours is a look that failed.
async fn go(look: Arc<Look>) {
    let looking = Arc::clone(&look);
    let done = tokio::spawn(async move { timeout(DEADLINE, looking.look()).await }).await;
    let failed = match done {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(why))) => Some(why),
        Ok(Err(_)) => Some(format!("it took longer than {} s", DEADLINE.as_secs())),
        Err(_) => Some("the gate's own part failed".to_owned()),
    };
    let coverage = &look.database.coverage;
    let mut standing = lock(&coverage.standing);
    if let Some(why) = &failed {
        look.database.statements.doubt_lineage();
        if standing.failed.as_ref() != Some(why) {
            tracing::warn!(database = look.database.name(), why, "the server's own books could not be read");
        }
        standing.checks.clear();
    }
    let unmade = Check::ALL.iter().filter(|check| !matches!(standing.checks.get(check), Some(None))).count();
    coverage.unchecked.store(unmade as u64, Ordering::Relaxed);
    if failed.is_none() {
        coverage.checked.store(unix_millis(), Ordering::Relaxed);
    }
    standing.failed = failed;
    drop(standing);
    coverage.busy.store(false, Ordering::Release);
}

impl Look {
    async fn look(&self) -> Result<(), Failure> {
        let connect = Catalogue::connect(&self.database, &self.declared);
        let catalogue = timeout(self.database.declared.connect_timeout, connect)
            .await
            .map_err(|_| "the server does not answer in time".to_owned())??;
        let known = self.known();
        self.made(Check::Sessions, self.sessions(&catalogue, &known).await);
        self.made(Check::Access, self.access(&catalogue, &known).await);
        self.made(Check::Rows, self.rows(&catalogue).await);
        let views = self.views(&catalogue).await;
        if views.is_err() {
            self.database.statements.doubt_lineage();
        }
        self.made(Check::Views, views);
        Ok(())
    }

    fn made(&self, check: Check, outcome: Result<(), Failure>) {
        lock(&self.database.coverage.standing).checks.insert(check, outcome.err());
    }

    fn known(&self) -> Vec<Known> {
        let known = |session: &portcullis_config::policy::KnownSession| Known {
            role: session.role.as_deref().map(Into::into),
            whence: session.network.map_or(Whence::Socket, Whence::Network),
        };
        self.declared.known.iter().map(known).collect()
    }

    /// Who is connected beside the gate, and how many were and have gone.
    async fn sessions(&self, catalogue: &Catalogue, known: &[Known]) -> Result<(), Failure> {
        let traffic = &self.database.traffic;
        let (mut sessions, mut whole) = catalogue.sessions().await?;
        let mut found = names(strangers(&sessions, &traffic.own(), known));
        if !found.is_empty() {
            // A session of ours whose process we have not heard of yet is heard of by then.
            sleep(TWICE).await;
            (sessions, whole) = catalogue.sessions().await?;
            let again = names(strangers(&sessions, &traffic.own(), known));
            found.retain(|name| again.contains(name));
        }
        traffic.settle(&sessions.iter().map(|session| session.process).collect());
        let named = |session: &&Session| found.contains(&name(session));
        let listed: BTreeMap<String, String> =
            sessions.iter().filter(named).map(|session| (name(session), session.to_string())).collect();
        let fresh = self.hold(Check::Sessions, listed);
        let begun = match catalogue.begun().await {
            Ok(begun) => begun,
            Err(why) => return Err(format!("who is connected is known; who was and has gone is not: {why}")),
        };
        let beyond = {
            let balance = &mut lock(&self.database.coverage.standing).sessions;
            // The server counts a session before it answers it: those of the look before, and the one that asks.
            let certain = balance.before() + 1;
            balance.weigh(begun, traffic.begun(), certain)
        };
        // Those that were met have been told. Declared ones are counted with the others and cannot be told from them.
        let gone = beyond.saturating_sub(fresh);
        self.database.coverage.sessions_unseen.fetch_add(beyond, Ordering::Relaxed);
        if gone > 0 && known.is_empty() {
            self.tell(Check::Sessions, &format!("{gone} sessions that did not come through the gate began and ended"));
        }
        if whole { Ok(()) } else { Err("the server has more sessions than are looked at".to_owned()) }
    }

    /// Which rules let in more than the gate.
    async fn access(&self, catalogue: &Catalogue, known: &[Known]) -> Result<(), Failure> {
        let lines = catalogue.lines().await?;
        let gate: Vec<Prefix> =
            catalogue.facts.gate.map(|address: IpAddr| Prefix::new(address, 128)).into_iter().collect();
        let open = open_lines(&lines, &gate, known);
        let words = |words: &dyn Display| words.to_string();
        self.hold(Check::Access, open.into_iter().map(|line| (format!("line {}", words(line)), words(line))).collect());
        Ok(())
    }

    /// Which roles read rows that the gate has not seen.
    async fn rows(&self, catalogue: &Catalogue) -> Result<(), Failure> {
        let (counted, forgot) = catalogue.rows().await?;
        let traffic = &self.database.traffic;
        let mut told = Vec::new();
        {
            let mut standing = lock(&self.database.coverage.standing);
            if standing.forgot != forgot {
                // Counts that were dropped in between are nobody's.
                standing.rows.clear();
                standing.forgot = forgot;
            }
            let mut seen = 0_u64;
            for (role, server) in &counted {
                let Some(ours) = traffic.rows(role) else { continue };
                seen = seen.saturating_add(ours);
                let balance = standing.rows.entry(role.clone()).or_default();
                // A statement through the gate is in the server's count before the gate has its end; a portal that stays open is
                // by the next look.
                let certain = balance.before();
                let beyond = balance.weigh(*server, ours, certain);
                if beyond > 0 {
                    told.push((role.clone(), beyond));
                }
            }
            standing.rows.retain(|role, _| counted.contains_key(role));
            standing.rows_seen = seen;
        }
        for (role, beyond) in told {
            self.database.coverage.rows_unseen.fetch_add(beyond, Ordering::Relaxed);
            self.tell(Check::Rows, &format!("{beyond} rows that {role} read or changed did not pass the gate"));
        }
        Ok(())
    }

    /// What shows the rows of declared relations.
    async fn views(&self, catalogue: &Catalogue) -> Result<(), Failure> {
        let statements = &self.database.statements;
        let (declared, sensitive) = statements.relations();
        if declared.is_empty() {
            return Ok(());
        }
        let lineage = catalogue.lineage(&self.declared.inside, &declared, &sensitive).await?;
        lock(&self.database.coverage.standing).showing = lineage.counts();
        statements.set_lineage(lineage);
        Ok(())
    }

    /// What holds now of one check, by name: what is new is told. Returns how many are.
    fn hold(&self, check: Check, now: BTreeMap<String, String>) -> u64 {
        let mut fresh = Vec::new();
        {
            let mut standing = lock(&self.database.coverage.standing);
            let over: Vec<String> = standing
                .open
                .iter()
                .filter(|(name, finding)| finding.check == check && !now.contains_key(*name))
                .map(|(name, _)| name.clone())
                .collect();
            for name in over {
                if let Some(finding) = standing.open.remove(&name) {
                    standing.keep(finding);
                }
            }
            for (name, words) in now {
                if let Entry::Vacant(place) = standing.open.entry(name) {
                    fresh.push(place.insert(self.finding(check, &words)).clone());
                }
            }
        }
        self.record(&fresh);
        fresh.len() as u64
    }

    /// Tells what was found once and has no end.
    fn tell(&self, check: Check, words: &str) {
        let finding = self.finding(check, words);
        self.record(std::slice::from_ref(&finding));
        lock(&self.database.coverage.standing).keep(finding);
    }

    fn finding(&self, check: Check, words: &str) -> Finding {
        let reference = Reference(self.references.fetch_add(1, Ordering::Relaxed));
        Finding { check, reference, words: words.to_owned(), since: unix_millis() }
    }

    fn record(&self, findings: &[Finding]) {
        let coverage = &self.database.coverage;
        coverage.findings.fetch_add(findings.len() as u64, Ordering::Relaxed);
        for Finding { check, reference, words, since } in findings.iter().take(TOLD) {
            tracing::warn!(database = self.database.name(), %reference, check = check.name(), "{words}");
            self.chronicle.finding(self.database.name(), check.told(), words);
            self.journal.record_database(&DatabaseRecord {
                unix_millis: *since,
                event: "finding",
                reference: Some(*reference),
                database: self.database.name(),
                detail: Some(words),
                ..DatabaseRecord::default()
            });
        }
        if let Some(more) = findings.len().checked_sub(TOLD).filter(|more| *more > 0) {
            tracing::warn!(database = self.database.name(), more, "more of the same was found");
        }
    }
}

/// Names a session among all that the server ever has.
fn name(session: &Session) -> String {
    let origin = if session.origin == Origin::Socket { "socket" } else { "network" };
    format!("session {} {} {origin}", session.process, session.begun)
}

fn names(sessions: Vec<&Session>) -> BTreeSet<String> {
    sessions.into_iter().map(name).collect()
}

impl Standing {
    fn keep(&mut self, finding: Finding) {
        if self.past.len() >= SHOWN {
            self.past.pop_front();
        }
        self.past.push_back(finding);
    }
}

/// Name, kind, help and value of a series.
type Series = (&'static str, &'static str, &'static str, fn(&Coverage) -> u64);

/// What is counted of the coverage of a database.
pub(crate) const SERIES: [Series; 5] = [
    ("portcullis_database_findings_total", "counter", "Ways past the gate that were found.", |of| read(&of.findings)),
    (
        "portcullis_database_sessions_unseen_total",
        "counter",
        "Sessions that the server counted and the gate did not.",
        |of| read(&of.sessions_unseen),
    ),
    ("portcullis_database_rows_unseen_total", "counter", "Rows that the server counted and the gate did not.", |of| {
        read(&of.rows_unseen)
    }),
    ("portcullis_database_unchecked", "gauge", "Checks that could not be made at the last look, of four.", |of| {
        read(&of.unchecked)
    }),
    ("portcullis_database_checked_seconds", "gauge", "When the server's own books were read last; 0 never.", |of| {
        read(&of.checked) / 1000
    }),
];

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Coverage {
    /// Another policy is in force: what it declares is looked at now.
    pub(super) fn look_soon(&self) {
        lock(&self.standing).due = None;
    }

    /// What hides part of what happens from the gate, if anything does.
    pub(super) fn blind(&self) -> Option<String> {
        let standing = lock(&self.standing);
        if let Some(why) = &standing.failed {
            return Some(format!("the server's own books could not be read: {why}"));
        }
        standing.open.values().find(|finding| finding.check != Check::Access).map(|finding| finding.words.clone())
    }

    /// For `portcullis status`. Without a declaration nothing is checked, and that is what it says.
    pub(super) fn value(&self, declared: Option<&Reconcile>) -> Value {
        let Some(declared) = declared else { return json!({ "declared": false }) };
        let standing = lock(&self.standing);
        let shown = |finding: &Finding| {
            json!({
                "check": finding.check.name(),
                "reference": finding.reference.to_string(),
                "words": finding.words,
                "since": finding.since,
            })
        };
        let checks: serde_json::Map<String, Value> = Check::ALL
            .iter()
            .map(|check| {
                let came_to = match standing.checks.get(check) {
                    Some(None) => "checked".to_owned(),
                    Some(Some(why)) => format!("not checked: {why}"),
                    None => "not checked yet".to_owned(),
                };
                (check.name().to_owned(), came_to.into())
            })
            .collect();
        let unseen = read(&self.rows_unseen);
        let all = standing.rows_seen.saturating_add(unseen);
        json!({
            "declared": true,
            "interval_seconds": declared.interval.as_secs_f64(),
            "checked": match read(&self.checked) { 0 => Value::Null, at => at.into() },
            "failed": standing.failed,
            "checks": checks,
            "open": standing.open.values().take(TOLD).map(shown).collect::<Vec<_>>(),
            "past": standing.past.iter().map(shown).collect::<Vec<_>>(),
            "findings": read(&self.findings),
            "sessions_unseen": read(&self.sessions_unseen),
            "rows_seen": standing.rows_seen,
            "rows_unseen": unseen,
            "rows_share": if all == 0 { Value::Null } else { (standing.rows_seen as f64 / all as f64).into() },
            "relations_showing": standing.showing.0,
            "functions_naming": standing.showing.1,
        })
    }
}
