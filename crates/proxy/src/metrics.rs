//! What the gate counts, and how Prometheus reads it.
//!
//! It never makes one worker wait for another: each worker alone writes its own block, by plain loads and stores, and
//! a reader sums the blocks. Names that come from the configuration are interned and bounded, so that a thousand
//! reloads cannot grow it; nothing that a client sends becomes a label.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use portcullis_dataguard::{Kind, Unread};
use portcullis_engine::{Node, Posture};
use portcullis_types::{Reason, RouteClass};

use crate::Process as Gate;
use crate::coordinator::{Coordinator, Figures};
use crate::journal::LogCounters;
use crate::parser;
use crate::postgres::counters::{Databases, SERIES};
use crate::postgres::reconcile::{self, Coverage};
use crate::postgres::traffic::Traffic;
use crate::probe::State;

/// Platforms with series of their own; further names share the series `other`.
pub const PLATFORMS: usize = 1024;
/// Listeners with series of their own.
pub const LISTENERS: usize = 256;
/// Upstreams with series of their own.
pub const UPSTREAMS: usize = 4096;
/// Databases with series of their own.
const DATABASES: usize = 256;
/// Families of routes with series of their own.
const PROBED: usize = 4096;
/// The name that stands for what has none of its own.
const OTHER: &str = "other";

/// Upper bounds of the histogram's buckets in nanoseconds, and as Prometheus writes them in seconds.
const BUCKETS: [(u64, &str); 13] = [
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5"),
    (10_000_000_000, "10"),
];

/// Status classes as labels; the first is for connections that ended without a response.
const STATUSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// HTTP/2 frame types by their number (RFC 9113 section 6); the last is for any other.
const FRAMES: [&str; 11] = [
    "data",
    "headers",
    "priority",
    "rst_stream",
    "settings",
    "push_promise",
    "ping",
    "goaway",
    "window_update",
    "continuation",
    "unknown",
];

const REASONS: usize = Reason::ALL.len();
const CLASSES: usize = RouteClass::ALL.len();

/// Where a platform or a listener is counted. It stays the same over reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot(u16);

impl Slot {
    /// For what has no name, and for names beyond the bound.
    pub const OTHER: Self = Self(0);

    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Every counter of the process.
#[derive(Debug)]
pub struct Registry {
    version: String,
    workers: Box<[Arc<Worker>]>,
    platforms: Names,
    listeners: Names,
    upstreams: Mutex<BTreeMap<String, Arc<Upstream>>>,
    databases: Mutex<BTreeMap<String, Arc<Databases>>>,
    coverage: Mutex<BTreeMap<String, Arc<Coverage>>>,
    traffic: Mutex<BTreeMap<String, Arc<Traffic>>>,
    parser: Arc<parser::Counters>,
    node: OnceLock<Arc<Node>>,
    log: OnceLock<Arc<LogCounters>>,
    brain: OnceLock<Arc<Coordinator>>,
    gate: OnceLock<Weak<Gate>>,
    beside: OnceLock<Beside>,
    /// What happens too rarely for a block per worker.
    pub process: Process,
}

/// What something beside the data plane counts: those of one name behind each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// `portcullis_…`, a counter where it ends in `_total` and else a gauge.
    pub name: &'static str,
    /// What it counts, in a sentence.
    pub help: &'static str,
    /// What tells it from others of its name.
    pub label: Option<(&'static str, &'static str)>,
    /// How many.
    pub value: u64,
}

/// Who is asked for them.
pub(crate) struct Beside(pub(crate) crate::Counts);

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Beside")
    }
}

/// Rare events of the process.
#[derive(Debug, Default)]
pub struct Process {
    /// Panics that ended one request or connection.
    pub panics: Counter,
    /// Challenges that were passed.
    pub challenges_passed: Counter,
    /// Requests that were sent to a second upstream.
    pub retries: Counter,
    /// Times that accepting paused because the node held all the connections it may.
    pub accept_pauses: Counter,
    /// Reloads that took effect.
    pub reloads_ok: Counter,
    /// Reloads that were refused; the running policy stayed.
    pub reloads_failed: Counter,
    /// Number of the policy in force, from 1.
    pub generation: Gauge,
}

impl Registry {
    /// A block for each of `workers`; `version` goes into `portcullis_build_info`.
    #[must_use]
    pub fn new(workers: usize, version: &str) -> Arc<Self> {
        Arc::new(Self {
            version: version.to_owned(),
            workers: (0..workers).map(|_| Arc::default()).collect(),
            platforms: Names::new(PLATFORMS),
            listeners: Names::new(LISTENERS),
            upstreams: Mutex::default(),
            databases: Mutex::default(),
            coverage: Mutex::default(),
            traffic: Mutex::default(),
            parser: Arc::default(),
            node: OnceLock::new(),
            log: OnceLock::new(),
            brain: OnceLock::new(),
            gate: OnceLock::new(),
            beside: OnceLock::new(),
            process: Process::default(),
        })
    }

    /// Also renders what the engine and the decision log count. The first call holds.
    pub fn watch(&self, node: Arc<Node>, log: Arc<LogCounters>) {
        let _ = self.node.set(node);
        let _ = self.log.set(log);
    }

    /// Renders what the brain says of itself from now on.
    pub(crate) fn watch_brain(&self, brain: Arc<Coordinator>) {
        let _ = self.brain.set(brain);
    }

    /// Renders how the gate's own probes stand from now on.
    pub(crate) fn watch_probes(&self, gate: Weak<Gate>) {
        let _ = self.gate.set(gate);
    }

    /// Renders what is counted beside the data plane from now on.
    pub(crate) fn watch_beside(&self, beside: Beside) {
        let _ = self.beside.set(beside);
    }

    /// The block of that worker. A number beyond the workers gets a block that nobody renders.
    #[must_use]
    pub fn worker(&self, number: usize) -> Arc<Worker> {
        self.workers.get(number).map_or_else(Arc::default, Arc::clone)
    }

    /// Where a platform of that name is counted, now and after every reload.
    #[must_use]
    pub fn platform(&self, name: &str) -> Slot {
        self.platforms.slot(name)
    }

    /// Where a listener of that name is counted.
    #[must_use]
    pub fn listener(&self, name: &str) -> Slot {
        self.listeners.slot(name)
    }

    /// The counters of the upstream with that URL, shared by the workers and kept over reloads.
    #[must_use]
    pub fn upstream(&self, url: &str) -> Arc<Upstream> {
        let mut upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        let url = if upstreams.len() < UPSTREAMS || upstreams.contains_key(url) { url } else { OTHER };
        Arc::clone(upstreams.entry(url.to_owned()).or_default())
    }

    /// The counters of the database of that name, kept over reloads.
    #[must_use]
    pub(crate) fn database(&self, name: &str) -> Arc<Databases> {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        let name = if databases.len() < DATABASES || databases.contains_key(name) { name } else { OTHER };
        let workers = self.workers.len();
        Arc::clone(databases.entry(name.to_owned()).or_insert_with(|| Arc::new(Databases::new(workers))))
    }

    /// How much of what reaches that database is known, kept over reloads.
    pub(crate) fn coverage(&self, name: &str) -> Arc<Coverage> {
        let mut coverage = self.coverage.lock().unwrap_or_else(PoisonError::into_inner);
        if coverage.len() >= DATABASES && !coverage.contains_key(name) {
            // Looked at all the same, and shown by `portcullis status` alone.
            return Arc::default();
        }
        Arc::clone(coverage.entry(name.to_owned()).or_default())
    }

    /// What the gate does with that server, whatever databases are declared of it.
    pub(crate) fn traffic(&self, server: &str) -> Arc<Traffic> {
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        // A policy declares them, and who is not declared any more has no sessions to come.
        traffic.retain(|_, traffic| Arc::strong_count(traffic) > 1);
        Arc::clone(traffic.entry(server.to_owned()).or_default())
    }

    /// What became of the texts that parsers were asked about.
    pub(crate) fn parser(&self) -> Arc<parser::Counters> {
        Arc::clone(&self.parser)
    }

    /// Requests that have ended.
    pub(crate) fn requests(&self) -> u64 {
        self.sum(|worker| worker.ended.get())
    }

    /// Everything in Prometheus' text format (0.0.4).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Text(String::with_capacity(16 * 1024));
        self.render_connections(&mut text);
        self.render_requests(&mut text);
        self.render_upstreams(&mut text);
        self.render_databases(&mut text);
        self.render_process(&mut text);
        self.render_brain(&mut text);
        self.render_probes(&mut text);
        self.render_leaving(&mut text);
        self.render_reports(&mut text);
        self.render_beside(&mut text);
        text.0
    }

    fn render_connections(&self, text: &mut Text) {
        let listeners = self.listeners.all();
        text.head("portcullis_connections_open", "gauge", "Client connections held now.");
        for (slot, name) in &listeners {
            // What ended is read before what began, so that the difference is never negative.
            let closed = self.sum(|worker| worker.closed.get(*slot).map_or(0, Count::get));
            let opened = self.sum(|worker| worker.opened.get(*slot).map_or(0, Count::get));
            text.line("portcullis_connections_open", &[("listener", name)], opened.saturating_sub(closed));
        }
        text.head("portcullis_connections_total", "counter", "Client connections accepted.");
        for (slot, name) in &listeners {
            let total = self.sum(|worker| worker.opened.get(*slot).map_or(0, Count::get));
            text.line("portcullis_connections_total", &[("listener", name)], total);
        }
        let help = "Client connections refused, at accept or before a request was read.";
        self.render_reasons(text, "portcullis_connections_refused_total", help, |worker| &worker.connections_refused);
        text.head("portcullis_h2_frames_total", "counter", "HTTP/2 frames received, by type.");
        for (number, kind) in FRAMES.iter().enumerate() {
            let total = self.sum(|worker| worker.frames.get(number).map_or(0, Count::get));
            text.line("portcullis_h2_frames_total", &[("kind", kind)], total);
        }
    }

    fn render_requests(&self, text: &mut Text) {
        let platforms = self.platforms.all();
        text.head("portcullis_requests_total", "counter", "Requests answered, by whom and how.");
        for (slot, platform) in &platforms {
            for (class, status, total) in self.outcomes(*slot) {
                let labels = [("platform", platform.as_ref()), ("class", class.name()), ("status", status)];
                text.line("portcullis_requests_total", &labels, total);
            }
        }
        text.head("portcullis_requests_in_flight", "gauge", "Requests under way.");
        let ended = self.sum(|worker| worker.ended.get());
        let began = self.sum(|worker| worker.began.get());
        text.line("portcullis_requests_in_flight", &[], began.saturating_sub(ended));
        let help = "Requests and connections refused or failed, by reason.";
        self.render_reasons(text, "portcullis_refused_total", help, |worker| &worker.refused);
        let help = "What measures in observe mode would have refused.";
        self.render_reasons(text, "portcullis_observed_total", help, |worker| &worker.observed);
        text.head(
            "portcullis_request_seconds",
            "histogram",
            "From the end of the request head to the end of the response.",
        );
        for (slot, platform) in &platforms {
            self.render_histogram(text, *slot, platform);
        }
        text.head("portcullis_bytes_total", "counter", "Bytes of requests and responses, heads included.");
        let (bytes_in, bytes_out) =
            (self.sum(|worker| worker.bytes_in.get()), self.sum(|worker| worker.bytes_out.get()));
        text.line("portcullis_bytes_total", &[("direction", "in")], bytes_in);
        text.line("portcullis_bytes_total", &[("direction", "out")], bytes_out);
    }

    fn render_histogram(&self, text: &mut Text, slot: usize, platform: &str) {
        let of = |read: &dyn Fn(&PlatformCounts) -> u64| self.sum(|worker| worker.platform(slot).map_or(0, read));
        let mut below = 0;
        for (number, (_, bound)) in BUCKETS.iter().enumerate() {
            below += of(&|counts| counts.buckets.get(number).map_or(0, Count::get));
            text.line("portcullis_request_seconds_bucket", &[("platform", platform), ("le", bound)], below);
        }
        let all = below + of(&|counts| counts.buckets.last().map_or(0, Count::get));
        text.line("portcullis_request_seconds_bucket", &[("platform", platform), ("le", "+Inf")], all);
        let nanos = of(&|counts| counts.nanos.get());
        let sum = format_args!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
        text.line("portcullis_request_seconds_sum", &[("platform", platform)], sum);
        text.line("portcullis_request_seconds_count", &[("platform", platform)], all);
    }

    fn render_upstreams(&self, text: &mut Text) {
        let upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner).clone();
        text.head("portcullis_upstream_requests_total", "counter", "Requests sent to an upstream, by result.");
        for (url, upstream) in &upstreams {
            for (result, counter) in [("ok", &upstream.ok), ("failed", &upstream.failed)] {
                let labels = [("upstream", url.as_str()), ("result", result)];
                text.line("portcullis_upstream_requests_total", &labels, counter.get());
            }
        }
        text.head("portcullis_upstream_connections_total", "counter", "Connections made to an upstream.");
        for (url, upstream) in &upstreams {
            text.line("portcullis_upstream_connections_total", &[("upstream", url)], upstream.connections.get());
        }
        text.head("portcullis_upstream_healthy", "gauge", "1 while an upstream takes requests, 0 while it is out.");
        for (url, upstream) in &upstreams {
            if let Some(healthy) = upstream.healthy() {
                text.line("portcullis_upstream_healthy", &[("upstream", url)], u8::from(healthy));
            }
        }
        text.head("portcullis_upstream_ejections_total", "counter", "Times that an upstream was ejected for failing.");
        for (url, upstream) in &upstreams {
            text.line("portcullis_upstream_ejections_total", &[("upstream", url)], upstream.ejections.get());
        }
    }

    fn render_databases(&self, text: &mut Text) {
        let databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if databases.is_empty() {
            return;
        }
        for (name, kind, help, read) in SERIES {
            text.head(name, kind, help);
            for (database, counts) in &databases {
                text.line(name, &[("database", database)], read(counts));
            }
        }
        let coverage = self.coverage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, kind, help, read) in reconcile::SERIES {
            text.head(name, kind, help);
            for (database, coverage) in &coverage {
                text.line(name, &[("database", database)], read(coverage));
            }
        }
        let parser = &self.parser;
        for (name, help, count) in [
            ("portcullis_parser_answered_total", "Texts of statements that a parser described.", &parser.answered),
            ("portcullis_parser_failed_total", "Texts on which a parser ended, fell silent or failed.", &parser.failed),
            ("portcullis_parser_started_total", "Parsers started.", &parser.started),
        ] {
            text.head(name, "counter", help);
            text.line(name, &[], count.load(Ordering::Relaxed));
        }
    }

    fn render_brain(&self, text: &mut Text) {
        let Some(brain) = self.brain.get() else { return };
        let Figures { acts, status, judged, missed, restarts } = brain.told();
        text.head("portcullis_posture", "gauge", "1 for the posture in which a platform stands.");
        for platform in &status.platforms {
            for posture in Posture::ALL {
                let labels = [("platform", platform.name.as_str()), ("posture", posture.name())];
                text.line("portcullis_posture", &labels, u8::from(posture.name() == platform.posture));
            }
        }
        text.head("portcullis_rules", "gauge", "Rules of the brain by phase.");
        for platform in &status.platforms {
            let mut phases: BTreeMap<&str, u64> = BTreeMap::new();
            platform.rules.iter().for_each(|rule| *phases.entry(&rule.phase).or_default() += 1);
            for (phase, count) in phases {
                text.line("portcullis_rules", &[("platform", platform.name.as_str()), ("phase", phase)], count);
            }
        }
        text.head("portcullis_expected_requests_per_second", "gauge", "What the baseline expects now.");
        for platform in &status.platforms {
            let value = format_args!("{:.3}", platform.baseline.expected_rps);
            text.line("portcullis_expected_requests_per_second", &[("platform", &platform.name)], value);
        }
        text.head("portcullis_acts_total", "counter", "Acts of the brain and of its operator, by kind.");
        for (kind, count) in &acts {
            text.line("portcullis_acts_total", &[("kind", kind)], count);
        }
        let judged = format_args!("{:.6}", judged.as_secs_f64());
        text.one("portcullis_brain_seconds", "gauge", "How long one of the last judgements took.", judged);
        text.one(
            "portcullis_harvests_missed_total",
            "counter",
            "Times that the brain had no room for what a worker saw.",
            missed,
        );
        text.one(
            "portcullis_brain_restarts_total",
            "counter",
            "Times that the brain failed and was begun anew.",
            restarts,
        );
    }

    fn render_probes(&self, text: &mut Text) {
        let Some(gate) = self.gate.get().and_then(Weak::upgrade) else { return };
        let standing = crate::journal::lock(&gate.probes.standing);
        let help = "1 where the gate's own probe of a family came out as declared, 0 where it is an alarm; absent before it was asked.";
        text.head("portcullis_probe_ok", "gauge", help);
        let asked = |line: &&crate::probe::Line| !matches!(line.state, State::Unknown | State::Unprobed);
        for line in standing.lines.iter().filter(asked).take(PROBED) {
            let labels = [
                ("platform", line.platform.as_str()),
                ("route", line.route.as_str()),
                ("by", line.by.name()),
                ("family", line.family.as_str()),
            ];
            text.line("portcullis_probe_ok", &labels, u8::from(!line.state.is_alarm()));
        }
        text.one("portcullis_probe_alarms", "gauge", "Families whose probe is an alarm.", standing.alarms());
        text.one("portcullis_probe_rounds_total", "counter", "Rounds of the gate's own probes.", standing.rounds);
        text.one("portcullis_probes_total", "counter", "Probes that the gate sent to itself.", standing.asked);
    }

    fn render_leaving(&self, text: &mut Text) {
        let Some(gate) = self.gate.get().and_then(Weak::upgrade) else { return };
        let counts = &gate.books.counts;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let help = "Answers that were looked at for what may not leave.";
        text.one("portcullis_data_answers_total", "counter", help, read(&counts.answers));
        text.one("portcullis_data_text_bytes_total", "counter", "Bytes of text in them.", read(&counts.text));
        let help = "Bytes of answers, as they travel, that were not looked at, by reason.";
        text.head("portcullis_data_unread_bytes_total", "counter", help);
        for (unread, counter) in Unread::ALL.iter().zip(&counts.unread) {
            text.line("portcullis_data_unread_bytes_total", &[("reason", unread.name())], read(counter));
        }
        let help = "Different values in answers, summed over answers, by kind.";
        text.head("portcullis_data_values_total", "counter", help);
        for (kind, counter) in Kind::ALL.iter().zip(&counts.values).filter(|(_, counter)| read(counter) > 0) {
            text.line("portcullis_data_values_total", &[("kind", kind.name())], read(counter));
        }
        let help = "Members' records in answers, summed over answers.";
        text.one("portcullis_data_records_total", "counter", help, read(&counts.records));
        let help = "Of those, what left as a declared export.";
        text.one("portcullis_data_exported_total", "counter", help, read(&counts.exported));
        let help = "Canaries that were seen away from their homes: each is an alarm of the highest class.";
        text.one("portcullis_canary_alarms_total", "counter", help, read(&counts.canaries));
        let help = "Requests of those who ask for one id after the other.";
        text.one("portcullis_enumerations_total", "counter", help, read(&counts.enumerations));
    }

    fn render_reports(&self, text: &mut Text) {
        let Some(gate) = self.gate.get().and_then(Weak::upgrade) else { return };
        let help =
            "What became of what browsers reported: reports that were heard, messages and reports that were not.";
        text.head("portcullis_browser_reports_total", "counter", help);
        for (outcome, count) in gate.reports.counts.all() {
            text.line("portcullis_browser_reports_total", &[("outcome", outcome)], count);
        }
    }

    fn render_process(&self, text: &mut Text) {
        let process = &self.process;
        text.one("portcullis_retries_total", "counter", "Requests sent again.", process.retries.get());
        if let Some(log) = self.log.get() {
            text.one("portcullis_log_written_total", "counter", "Records written to the decision log.", log.written());
            text.one(
                "portcullis_log_dropped_total",
                "counter",
                "Records dropped because the queue was full.",
                log.dropped(),
            );
            text.one(
                "portcullis_log_failed_total",
                "counter",
                "Records dropped because the disk failed.",
                log.failed(),
            );
        }
        text.one(
            "portcullis_panics_total",
            "counter",
            "Panics, each of which ended one request.",
            process.panics.get(),
        );
        let help = "Challenges that visitors passed.";
        text.one("portcullis_challenges_passed_total", "counter", help, process.challenges_passed.get());
        let help = "Number of the policy in force.";
        text.one("portcullis_config_generation", "gauge", help, process.generation.get());
        text.head("portcullis_config_reloads_total", "counter", "Reloads, by result.");
        text.line("portcullis_config_reloads_total", &[("result", "ok")], process.reloads_ok.get());
        text.line("portcullis_config_reloads_total", &[("result", "failed")], process.reloads_failed.get());
        let help = "Times that accepting paused because all connections were taken.";
        text.one("portcullis_accept_pauses_total", "counter", help, process.accept_pauses.get());
        if let Some(node) = self.node.get() {
            text.one("portcullis_rate_keys", "gauge", "Keys that the rate table holds.", node.rate_keys());
            let help = "Rate keys that started afresh because more came than the table holds.";
            text.one("portcullis_rate_keys_displaced_total", "counter", help, node.rate_keys_displaced());
            let help = "Connections let in without being counted against their address.";
            text.one("portcullis_connections_uncounted_total", "counter", help, node.connections_uncounted());
            let help = "Memory of the engine's tables, notes and queues.";
            text.one("portcullis_engine_bytes", "gauge", help, node.bytes());
            let help = "Upgraded connections held now.";
            text.one("portcullis_upgrades_open", "gauge", help, node.upgrades());
        }
        text.head("portcullis_build_info", "gauge", "Which build this is.");
        text.line("portcullis_build_info", &[("version", &self.version)], 1);
    }

    fn render_beside(&self, text: &mut Text) {
        let mut described = "";
        for Series { name, help, label, value } in self.beside.get().map(|beside| beside.0()).unwrap_or_default() {
            if described != name {
                text.head(name, if name.ends_with("_total") { "counter" } else { "gauge" }, help);
                described = name;
            }
            text.line(name, label.as_slice(), value);
        }
    }

    fn render_reasons(&self, text: &mut Text, name: &str, help: &str, counts: fn(&Worker) -> &[Count; REASONS]) {
        text.head(name, "counter", help);
        for reason in Reason::ALL {
            let total = self.sum(|worker| counts(worker).get(reason.index()).map_or(0, Count::get));
            if total > 0 {
                text.line(name, &[("reason", reason.code())], total);
            }
        }
    }

    fn outcomes(&self, slot: usize) -> impl Iterator<Item = (RouteClass, &'static str, u64)> + '_ {
        let cells =
            RouteClass::ALL.into_iter().flat_map(|class| (0..STATUSES.len()).map(move |status| (class, status)));
        cells.filter_map(move |(class, status)| {
            let of = |counts: &PlatformCounts| counts.outcome(class, status).map_or(0, Count::get);
            let total = self.sum(|worker| worker.platform(slot).map_or(0, of));
            (total > 0).then_some((class, *STATUSES.get(status)?, total))
        })
    }

    fn sum(&self, read: impl Fn(&Worker) -> u64) -> u64 {
        self.workers.iter().map(|worker| read(worker)).sum()
    }
}

/// One worker's counters. Only that worker writes them; if another did, counts would be lost, nothing worse.
#[derive(Debug)]
#[repr(align(128))] // Two cache lines, which processors fetch together: no worker's block shares one with another's.
pub struct Worker {
    began: Count,
    ended: Count,
    bytes_in: Count,
    bytes_out: Count,
    refused: [Count; REASONS],
    observed: [Count; REASONS],
    connections_refused: [Count; REASONS],
    frames: [Count; FRAMES.len()],
    opened: Box<[Count]>,
    closed: Box<[Count]>,
    platforms: Box<[OnceLock<Box<PlatformCounts>>]>,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            began: Count::default(),
            ended: Count::default(),
            bytes_in: Count::default(),
            bytes_out: Count::default(),
            refused: counts(),
            observed: counts(),
            connections_refused: counts(),
            frames: counts(),
            opened: (0..=LISTENERS).map(|_| Count::default()).collect(),
            closed: (0..=LISTENERS).map(|_| Count::default()).collect(),
            platforms: (0..=PLATFORMS).map(|_| OnceLock::new()).collect(),
        }
    }
}

impl Worker {
    /// A client connection was accepted on that listener.
    pub fn connection_opened(&self, listener: Slot) {
        add(self.opened.get(listener.index()), 1);
    }

    /// A connection that `connection_opened` counted has ended.
    pub fn connection_closed(&self, listener: Slot) {
        add(self.closed.get(listener.index()), 1);
    }

    /// A connection was refused before any request was read. It counts among all refusals, too.
    pub fn connection_refused(&self, reason: Reason) {
        add(self.connections_refused.get(reason.index()), 1);
        self.refused(reason);
    }

    /// A request head was read.
    pub fn request_began(&self) {
        self.began.add(1);
    }

    /// A request that `request_began` counted is over, whatever became of it.
    pub fn request_ended(&self) {
        self.ended.add(1);
    }

    /// What became of a request; `status` 0 when the client got none.
    pub fn request(&self, platform: Slot, class: RouteClass, status: u16, nanos: u64, bytes_in: u64, bytes_out: u64) {
        self.bytes_in.add(bytes_in);
        self.bytes_out.add(bytes_out);
        let Some(slot) = self.platforms.get(platform.index()) else { return };
        let counts = slot.get_or_init(Box::default);
        let status = usize::from(status / 100);
        add(counts.outcome(class, if status < STATUSES.len() { status } else { 0 }), 1);
        counts.nanos.add(nanos);
        let bucket = BUCKETS.iter().position(|(bound, _)| nanos <= *bound).unwrap_or(BUCKETS.len());
        add(counts.buckets.get(bucket), 1);
    }

    /// A request or a connection was refused, or failed, for that reason.
    pub fn refused(&self, reason: Reason) {
        add(self.refused.get(reason.index()), 1);
    }

    /// A measure in observe mode would have refused.
    pub fn observed(&self, reason: Reason) {
        add(self.observed.get(reason.index()), 1);
    }

    /// So many HTTP/2 frames of that type (its number on the wire) came in.
    pub fn h2_frames(&self, kind: u8, count: u64) {
        add(self.frames.get(usize::from(kind).min(FRAMES.len() - 1)), count);
    }

    fn platform(&self, slot: usize) -> Option<&PlatformCounts> {
        self.platforms.get(slot)?.get().map(|counts| &**counts)
    }
}

/// One platform's counters of one worker; made when its first request comes.
#[derive(Debug)]
struct PlatformCounts {
    outcomes: [Count; CLASSES * STATUSES.len()],
    buckets: [Count; BUCKETS.len() + 1],
    nanos: Count,
}

impl Default for PlatformCounts {
    fn default() -> Self {
        Self { outcomes: counts(), buckets: counts(), nanos: Count::default() }
    }
}

impl PlatformCounts {
    fn outcome(&self, class: RouteClass, status: usize) -> Option<&Count> {
        self.outcomes.get(class.index() * STATUSES.len() + status)
    }
}

/// What happened with one upstream; any worker writes it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Upstream {
    /// Requests that it answered.
    pub ok: Counter,
    /// Requests that it failed.
    pub failed: Counter,
    /// Connections made to it.
    pub connections: Counter,
    /// Times that it was ejected.
    pub ejections: Counter,
    health: AtomicU8,
}

impl Upstream {
    const UNKNOWN: u8 = 0;
    const OUT: u8 = 1;
    const HEALTHY: u8 = 2;

    /// Whether it takes requests now.
    pub fn set_healthy(&self, healthy: bool) {
        self.health.store(if healthy { Self::HEALTHY } else { Self::OUT }, Ordering::Relaxed);
    }

    /// No platform uses it any more: its health is no longer shown.
    pub fn retire(&self) {
        self.health.store(Self::UNKNOWN, Ordering::Relaxed);
    }

    pub(crate) fn healthy(&self) -> Option<bool> {
        match self.health.load(Ordering::Relaxed) {
            Self::UNKNOWN => None,
            health => Some(health == Self::HEALTHY),
        }
    }
}

/// A counter that any thread may raise.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that any thread may set.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter with one writer: a load and a store cost a fraction of an atomic addition.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn counts<const N: usize>() -> [Count; N] {
    std::array::from_fn(|_| Count::default())
}

fn add(count: Option<&Count>, more: u64) {
    if let Some(count) = count {
        count.add(more);
    }
}

/// Names that were met, each with its slot; slot 0 is for those beyond the bound.
#[derive(Debug)]
struct Names {
    bound: usize,
    names: Mutex<Vec<Arc<str>>>,
}

impl Names {
    fn new(bound: usize) -> Self {
        Self { bound, names: Mutex::new(vec![OTHER.into()]) }
    }

    fn slot(&self, name: &str) -> Slot {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let place = names.iter().position(|known| **known == *name).or_else(|| {
            (names.len() <= self.bound).then(|| {
                names.push(name.into());
                names.len() - 1
            })
        });
        place.and_then(|place| u16::try_from(place).ok()).map_or(Slot::OTHER, Slot)
    }

    /// Every name with its place.
    fn all(&self) -> Vec<(usize, Arc<str>)> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().enumerate().collect()
    }
}

/// Prometheus' text format, growing.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl fmt::Display) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.0.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            self.0.push(if position == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            for character in text.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use portcullis_types::Limits;

    use super::*;

    fn lines<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
        text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name)).collect()
    }

    #[test]
    fn workers_are_summed() {
        let registry = Registry::new(3, "1.2.3");
        let (public, http) = (registry.platform("public"), registry.listener("http"));
        for number in 0..3u64 {
            let worker = registry.worker(usize::try_from(number).expect("small"));
            for _ in 0..=number {
                worker.connection_opened(http);
                worker.request_began();
                worker.request(public, RouteClass::Search, 200, 3_000_000, 10, 100);
            }
            worker.request_ended();
            worker.connection_closed(http);
            worker.request(public, RouteClass::Page, 404, 20_000_000_000, 0, 0);
            worker.request(Slot::OTHER, RouteClass::Page, 0, 0, 0, 0);
            worker.refused(Reason::RateLimited);
            worker.connection_refused(Reason::DeniedAddress);
            worker.observed(Reason::ConcurrencyLimit);
            worker.h2_frames(3, 2);
            worker.h2_frames(200, 1);
        }
        let text = registry.render();
        for (name, expected) in [
            ("portcullis_connections_open", &["{listener=\"other\"} 0", "{listener=\"http\"} 3"][..]),
            ("portcullis_connections_total", &["{listener=\"other\"} 0", "{listener=\"http\"} 6"]),
            ("portcullis_connections_refused_total", &["{reason=\"denied-address\"} 3"]),
            ("portcullis_refused_total", &["{reason=\"denied-address\"} 3", "{reason=\"rate-limited\"} 3"]),
            ("portcullis_observed_total", &["{reason=\"concurrency-limit\"} 3"]),
            ("portcullis_requests_in_flight", &[" 3"]),
            (
                "portcullis_requests_total",
                &[
                    "{platform=\"other\",class=\"page\",status=\"none\"} 3",
                    "{platform=\"public\",class=\"page\",status=\"4xx\"} 3",
                    "{platform=\"public\",class=\"search\",status=\"2xx\"} 6",
                ],
            ),
            (
                "portcullis_request_seconds_sum",
                &["{platform=\"other\"} 0.000000000", "{platform=\"public\"} 60.018000000"],
            ),
            ("portcullis_request_seconds_count", &["{platform=\"other\"} 3", "{platform=\"public\"} 9"]),
            ("portcullis_bytes_total", &["{direction=\"in\"} 60", "{direction=\"out\"} 600"]),
            ("portcullis_build_info", &["{version=\"1.2.3\"} 1"]),
        ] {
            let expected: Vec<String> = expected.iter().map(|rest| format!("{name}{rest}")).collect();
            assert_eq!(lines(&text, name), expected);
        }
        let buckets: Vec<&str> = lines(&text, "portcullis_request_seconds_bucket")
            .into_iter()
            .filter_map(|line| line.strip_prefix("portcullis_request_seconds_bucket{platform=\"public\",le="))
            .collect();
        assert_eq!(buckets[..4], ["\"0.001\"} 0", "\"0.0025\"} 0", "\"0.005\"} 6", "\"0.01\"} 6"]);
        assert_eq!(buckets[buckets.len() - 2..], ["\"10\"} 6", "\"+Inf\"} 9"]);
        let frames = lines(&text, "portcullis_h2_frames_total");
        assert!(frames.contains(&"portcullis_h2_frames_total{kind=\"rst_stream\"} 6"));
        assert!(frames.contains(&"portcullis_h2_frames_total{kind=\"unknown\"} 3"));
    }

    #[test]
    fn every_line_is_in_the_text_format_and_every_metric_is_described_once() {
        let registry = Registry::new(1, "1.2.3");
        let journal = LogCounters::default();
        registry.watch(Arc::new(Node::new(&Limits::DEFAULT, [1, 2])), Arc::new(journal));
        registry.worker(0).request(registry.platform("a\"b\\c\nd"), RouteClass::Page, 200, 1, 1, 1);
        registry.upstream("http://10.0.0.5:8080").ok.add();
        registry.watch_beside(Beside(Arc::new(|| {
            let stamps = |result: &'static str, value: u64| Series {
                name: "portcullis_stamps_total",
                help: "Stamps, by result.",
                label: Some(("result", result)),
                value,
            };
            let size = Series { name: "portcullis_size", help: "How large it is.", label: None, value: 7 };
            vec![stamps("ok", 3), stamps("failed", 1), size]
        })));
        let text = registry.render();
        assert_eq!(
            lines(&text, "portcullis_stamps_total").last(),
            Some(&"portcullis_stamps_total{result=\"failed\"} 1")
        );
        assert_eq!(lines(&text, "portcullis_size"), ["portcullis_size 7"]);
        assert!(text.contains("platform=\"a\\\"b\\\\c\\nd\""), "labels are escaped");
        let mut described = BTreeSet::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a name and help");
                assert!(described.insert(name.to_owned()), "{name} is described twice");
                assert!(help.ends_with('.'), "{line}");
                name.clone_into(&mut current);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a name and a kind");
                assert_eq!(name, current);
                assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a series and its value");
                let name = series.split('{').next().expect("a name");
                let suffixes = ["", "_bucket", "_sum", "_count"];
                assert!(suffixes.iter().any(|suffix| name == format!("{current}{suffix}")), "{line} under {current}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        // The contract with whoever reads them.
        for name in "connections_open connections_total connections_refused_total requests_total requests_in_flight \
                     refused_total observed_total request_seconds bytes_total upstream_requests_total \
                     upstream_connections_total upstream_healthy upstream_ejections_total retries_total log_written_total \
                     log_dropped_total log_failed_total panics_total config_generation config_reloads_total \
                     accept_pauses_total rate_keys build_info h2_frames_total"
            .split_whitespace()
        {
            assert!(described.contains(&format!("portcullis_{name}")), "{name} is missing");
        }
    }

    #[test]
    fn names_keep_their_slot_and_are_bounded() {
        let registry = Registry::new(1, "1.2.3");
        let first = registry.platform("platform 0");
        for number in 0..PLATFORMS {
            assert_ne!(registry.platform(&format!("platform {number}")), Slot::OTHER);
        }
        assert_eq!(registry.platform("one too many"), Slot::OTHER);
        assert_eq!(registry.platform("platform 0"), first);
        for number in 0..UPSTREAMS + 10 {
            registry.upstream(&format!("http://10.0.0.5:{number}")).connections.add();
        }
        assert_eq!(registry.upstream(OTHER).connections.get(), 10);
        registry.worker(0).request(registry.platform("one too many"), RouteClass::Page, 200, 1, 1, 1);
        assert!(
            registry.render().contains("portcullis_requests_total{platform=\"other\",class=\"page\",status=\"2xx\"} 1")
        );
    }

    #[test]
    fn health_is_shown_while_it_is_known() {
        let registry = Registry::new(1, "1.2.3");
        let upstream = registry.upstream("http://10.0.0.5:8080");
        let shown = || lines(&registry.render(), "portcullis_upstream_healthy").first().map(|line| (*line).to_owned());
        assert_eq!(shown(), None);
        upstream.set_healthy(true);
        assert!(shown().is_some_and(|line| line.ends_with("{upstream=\"http://10.0.0.5:8080\"} 1")));
        upstream.set_healthy(false);
        assert!(shown().is_some_and(|line| line.ends_with(" 0")));
        upstream.retire();
        assert_eq!(shown(), None);
    }
}
