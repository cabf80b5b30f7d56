//! The data plane: what stands between visitors and platforms.
//!
//! This crate owns sockets and tasks and makes no choice of its own: the bytes are read by `wire`, the decisions are
//! the engine's, the policy comes checked from `config`. Start at [`Gate`]; the life of a request is `http/request.rs`,
//! on one screen. It never imports another shell.

pub mod admin;
pub mod challenge;
mod chronicle;
pub mod control;
mod coordinator;
pub mod guard;
mod http;
pub mod inspectors;
pub mod journal;
mod later;
mod lessons;
pub mod metrics;
pub mod pages;
mod panics;
pub mod parser;
mod postgres;
mod probe;
pub mod rulebook;
pub mod sockets;
mod state;
mod statements;
mod stream;
pub mod systemd;
pub mod tls;
mod watch;
mod worker;

pub use self::later::at_next_start;
pub use state::{declaration, settings, site};

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use portcullis_config::Policy;
use portcullis_config::policy::Listener;
use portcullis_ledger::Recorder;
use portcullis_types::Tick;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};

use crate::admin::{AdminThread, Report};
use crate::chronicle::Chronicle;
use crate::control::{Claim, ControlSocket, Operator, Reloaded, TakeoverHandle};
use crate::coordinator::{Beginning, Coordinator};
use crate::journal::{Change, Journal};
use crate::lessons::Lessons;
use crate::metrics::Registry;
pub use crate::postgres::traffic::OwnSession;
use crate::probe::Probes;
use crate::probe::pass::Passes;
pub use crate::probe::{Planted, Reports, Scripts};
use crate::sockets::{Inherited, Named};
use crate::state::Snapshot;
use crate::tls::UpstreamSide;
use crate::worker::{Command, NewPolicy, unix_millis};

/// How often files that the policy was read from are looked at: address lists, certificates, keys.
const FILE_WATCH: Duration = Duration::from_secs(2);

/// How long a worker may take to adopt a policy before the reload is called done without it.
const ADOPTION: Duration = Duration::from_secs(5);

/// How long after a take-over the gate does not probe itself.
const PREDECESSOR: Duration = Duration::from_secs(3);

/// A worker that has not looked at its deadlines for so long is stuck, and systemd's watchdog may know it.
const STUCK: Duration = Duration::from_secs(5);

/// What a gate needs to begin.
pub struct Setup {
    /// What the operator declared.
    pub policy: Policy,
    /// Reads the configuration again; the error is what the operator reads.
    pub reload: Box<dyn Fn() -> Result<Policy, String> + Send + Sync>,
    /// Is told of each policy that a reload has put in force.
    pub adopted: Adopted,
    /// Sockets from systemd.
    pub inherited: Inherited,
    /// Of this program.
    pub version: &'static str,
    /// Whether a running gate hands its sockets over.
    pub takeover: bool,
    /// Who keeps the evidence, if anybody.
    pub recorder: Option<Arc<dyn Recorder>>,
    /// Which signed manifest names a content, by its SHA-256.
    pub approves: Option<Approves>,
    /// Who listens to what browsers report, if anybody.
    pub hears: Option<Hears>,
    /// What is counted beside the gate, for its metrics.
    pub counts: Option<Counts>,
}

/// Takes over what of a policy is not the gate's own.
pub type Adopted = Box<dyn Fn(&Policy) + Send + Sync>;

/// Tells which signed manifest names a content, by its SHA-256.
pub type Approves = Arc<dyn Fn(&[u8; 32]) -> Option<String> + Send + Sync>;

/// Takes what a browser reported of a page of that platform, with a hash that tells networks apart. It must not wait, and says
/// whether it had room.
pub type Hears = Arc<dyn Fn(&str, &portcullis_wire::report::Report, u64) -> bool + Send + Sync>;

/// Tells what is counted beside the gate, as it stands. It must not wait.
pub type Counts = Arc<dyn Fn() -> Vec<metrics::Series> + Send + Sync>;

/// Why a gate did not start.
#[derive(Debug)]
pub enum StartError {
    /// A listener could not be opened.
    Socket(sockets::StartError),
    /// Anything else, in words.
    Other(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) => error.fmt(f),
            Self::Other(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for StartError {}

impl From<sockets::StartError> for StartError {
    fn from(error: sockets::StartError) -> Self {
        Self::Socket(error)
    }
}

fn other(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |error| StartError::Other(format!("{what}: {error}"))
}

/// What all threads of one gate share.
pub(crate) struct Process {
    pub(crate) epoch: Instant,
    pub(crate) node: Arc<portcullis_engine::Node>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) chronicle: Arc<Chronicle>,
    pub(crate) scripts: http::scripts::Scripts,
    pub(crate) reports: http::reports::Reports,
    pub(crate) coordinator: Arc<Coordinator>,
    pub(crate) probes: Probes,
    pub(crate) passes: Passes,
    /// What left, to whom.
    pub(crate) books: guard::Books,
    lessons: Lessons,
    secret: [u64; 2],
    upstream_tls: UpstreamSide,
    reload: Box<dyn Fn() -> Result<Policy, String> + Send + Sync>,
    adopted: Adopted,
    current: Mutex<Current>,
    draining: AtomicBool,
    /// When each worker last said that it is not stuck.
    beats: Vec<AtomicU64>,
    /// Somebody else accepts now: drain and go.
    handed_over: Notify,
}

struct Current {
    snapshot: Arc<Snapshot>,
    /// Duplicates of the listening sockets, for a take-over. They keep their sockets listening, so they go when draining
    /// begins.
    sockets: Vec<Named>,
    workers: Vec<mpsc::UnboundedSender<Command>>,
}

/// A running gate.
pub struct Gate {
    process: Arc<Process>,
    workers: Vec<JoinHandle<()>>,
    admin: AdminThread,
    admin_address: SocketAddr,
    addresses: Vec<(String, SocketAddr)>,
}

impl Gate {
    /// Opens every socket, starts the workers, and returns when all of them accept.
    ///
    /// # Errors
    /// With the first thing that cannot be had; nothing is left running.
    pub fn start(setup: Setup) -> Result<Self, StartError> {
        let Setup { policy, reload, adopted, mut inherited, version, takeover, recorder, approves, hears, counts } =
            setup;
        let mut predecessor: Option<TakeoverHandle> = None;
        if takeover {
            let (sockets, handle) =
                control::take_over(&policy.server.control).map_err(other("the running gate does not hand over"))?;
            inherited = sockets;
            predecessor = Some(handle);
        }
        take_descriptors();
        let (count, drain) = (policy.server.workers, policy.server.drain);
        let opened = sockets::open(&policy, count, &mut inherited)?;
        let admin_socket = sockets::open_admin(&policy, &mut inherited)?;
        let admin_address = admin_socket.local_addr().map_err(other("the admin listener"))?;
        for left in inherited.left() {
            tracing::warn!(address = %left, "an inherited socket is declared nowhere and is closed");
        }
        let path = policy.server.control.clone();
        let control = match takeover {
            false => Some(ControlSocket::open(&path, Claim::Unheld).map_err(other("the control socket"))?),
            // A running gate keeps its path until nothing can go wrong here any more.
            true => None,
        };

        let state = state::directory(&policy);
        let (secret, master) = coordinator::secrets(state.as_deref()).map_err(other("the secrets of the node"))?;
        let node = Arc::new(portcullis_engine::Node::with_keys(&policy.limits, secret, master));
        let registry = Registry::new(count, version);
        let journal = Journal::open(&policy.log, &policy.server.name).map_err(other("the decision log"))?;
        registry.watch(Arc::clone(&node), journal.counters());
        counts.into_iter().for_each(|counts| registry.watch_beside(metrics::Beside(counts)));
        registry.process.generation.set(1);
        let upstream_tls = UpstreamSide::new();
        let chronicle = Arc::new(Chronicle::new(recorder));
        let snapshot = Snapshot::compile(policy, None, &registry, &node, (&upstream_tls, &chronicle))
            .map_err(StartError::Other)?;

        let addresses = opened.iter().map(|open| (listener_name(&snapshot, open.listener), open.local)).collect();
        let mut doors: Vec<Vec<(usize, Vec<std::net::TcpListener>)>> = (0..count).map(|_| Vec::new()).collect();
        let admin_duplicate = admin_socket.try_clone().map_err(other("the admin listener"))?.into();
        let bind = snapshot.policy.admin.listen;
        let mut duplicates = vec![Named { name: sockets::ADMIN.to_owned(), bind, socket: admin_duplicate }];
        for open in opened {
            duplicates.extend(open.named(&snapshot.policy).map_err(other("a listening socket"))?);
            deal(open, &mut doors);
        }
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::unbounded_channel()).unzip();
        let epoch = Instant::now();
        let coordinator = Coordinator::start(Beginning {
            settings: settings(&snapshot.policy),
            site: site(&snapshot.policy),
            generation: snapshot.generation,
            node: Arc::clone(&node),
            seed: secret[1].rotate_left(23),
            epoch,
            journal: Arc::clone(&journal),
            chronicle: Arc::clone(&chronicle),
            state: state.clone(),
        })
        .map_err(other("the brain's thread"))?;
        registry.watch_brain(Arc::clone(&coordinator));
        let probes = Probes::new().map_err(other("the mark of the gate's own probes"))?;
        let began = unix_millis().saturating_mul(1_000_000).saturating_sub(epoch.elapsed().as_nanos() as u64);
        let books = guard::Books::new(secret, began, Arc::clone(&chronicle));
        let lessons = Lessons::new(state);
        lessons.take_back(&books, Tick(0));
        let process = Arc::new(Process {
            epoch,
            coordinator,
            probes,
            passes: Passes::default(),
            books,
            lessons,
            node,
            registry,
            journal,
            chronicle,
            scripts: http::scripts::Scripts::new(approves),
            reports: http::reports::Reports::new(hears),
            secret,
            upstream_tls,
            reload,
            adopted,
            current: Mutex::new(Current { snapshot: Arc::clone(&snapshot), sockets: duplicates, workers: senders }),
            draining: AtomicBool::new(false),
            beats: (0..count).map(|_| AtomicU64::new(0)).collect(),
            handed_over: Notify::new(),
        });
        lessons::keep(Arc::downgrade(&process)).map_err(other("a thread for what is learned"))?;

        let (started, starts) = std_mpsc::channel();
        let mut workers = Vec::with_capacity(count);
        for ((number, sockets), commands) in doors.into_iter().enumerate().zip(receivers) {
            let (process, snapshot, started) = (Arc::clone(&process), Arc::clone(&snapshot), started.clone());
            let thread = std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || worker::run(number, process, snapshot, sockets, commands, &started))
                .map_err(other("a worker thread"))?;
            workers.push(thread);
        }
        for _ in 0..count {
            starts
                .recv()
                .map_err(|_| StartError::Other("a worker ended before it began".to_owned()))?
                .map_err(other("a worker"))?;
        }
        let report: Arc<dyn Report> = Arc::clone(&process) as _;
        let operator: Arc<dyn Operator> = Arc::clone(&process) as _;
        let control = match control {
            Some(control) => control,
            None => ControlSocket::open(&path, Claim::FromPredecessor).map_err(other("the control socket"))?,
        };
        let admin = admin::start(admin_socket, control, report, operator).map_err(other("the admin thread"))?;
        process.registry.watch_probes(Arc::downgrade(&process));
        if predecessor.is_some() {
            // The process before may still take what comes in these moments.
            process.probes.rest(PREDECESSOR);
        }
        admin.runtime().spawn(probe::run(Arc::clone(&process)));
        admin.runtime().spawn(probe::visit(Arc::clone(&process)));
        admin.runtime().spawn(chronicle::run(Arc::clone(&process)));
        let waits = if predecessor.is_some() { drain } else { Duration::ZERO };
        admin.runtime().spawn(postgres::reconcile::run(Arc::clone(&process), waits));
        if let Some(predecessor) = predecessor {
            predecessor.ready().map_err(other("the running gate does not let go"))?;
        }
        Ok(Self { process, workers, admin, admin_address, addresses })
    }

    /// Every listener with the address that it has in truth.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        self.addresses.clone()
    }

    /// Says of a session of a database that it is the gate's own, though it does not pass the relay: reconciliation counts it, and its
    /// rows, as the gate's. Takes the database's name, the role and our end of the connection.
    pub fn own_sessions(&self) -> impl Fn(&str, &str, SocketAddr) -> Option<OwnSession> + Send + Sync + use<> {
        let process = Arc::clone(&self.process);
        move |database, role, from| {
            let databases = process.lock().snapshot.databases.clone();
            let database = databases.iter().find(|known| known.name() == database)?;
            Some(database.own_session(role, from))
        }
    }

    /// What operators ask of it, for whoever speaks with them.
    #[must_use]
    pub fn operator(&self) -> Arc<dyn Operator> {
        Arc::clone(&self.process) as _
    }

    /// Puts changed scripts of the gate's own before whoever looks whether scripts are what they were.
    #[must_use]
    pub fn scripts(&self) -> Scripts {
        Scripts { process: Arc::clone(&self.process), runtime: self.admin.runtime().clone() }
    }

    /// Sends reports of the gate's own, as visitors' browsers do.
    #[must_use]
    pub fn reports(&self) -> Reports {
        Reports { process: Arc::clone(&self.process), runtime: self.admin.runtime().clone() }
    }

    /// Draws a pass for a visit of this process's own from outside, to that page of that host: the field that it must bring. It is let
    /// past what the gate does by itself against strangers, once, within half a minute. None where the host is no platform's.
    pub fn passes(&self) -> impl Fn(&str, &str) -> Option<(&'static str, String)> + Send + Sync + use<> {
        let process = Arc::clone(&self.process);
        move |host, target| {
            process.snapshot().router.platform(host.as_bytes())?;
            Some((probe::pass::FIELD, process.passes.draw(host, target, process.now())?))
        }
    }

    /// Where metrics and health are served.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin_address
    }

    /// Reads the configuration again and puts it in force.
    ///
    /// # Errors
    /// What the operator reads; the policy in force stays.
    pub fn reload(&self) -> Result<String, String> {
        self.process.reload().map(|reloaded| reloaded.message)
    }

    /// Begins to drain: no new connections, requests under way are finished within `server.drain`.
    pub fn shutdown(&self) {
        self.process.drain();
    }

    /// Waits until everything has drained; [`Gate::shutdown`] must have been called, here or elsewhere.
    pub fn wait(self) {
        for worker in self.workers {
            if worker.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
        self.process.coordinator.stop();
        self.process.lessons.save(&self.process.books, self.process.now());
        self.process.chronicle.flush();
        self.process.journal.close();
        self.admin.stop();
    }

    /// Serves until SIGTERM or SIGINT, or until a new process has taken over; SIGHUP reloads, and so does a change of
    /// an address list, a certificate or a key.
    ///
    /// # Errors
    /// The system does not let us listen to signals.
    pub fn serve_until_signal(self, signals: Signals) -> io::Result<()> {
        let Signals { runtime, streams } = signals;
        systemd::ready();
        let process = Arc::clone(&self.process);
        warn_of_descriptors(process.lock().snapshot.policy.limits.connections);
        self.admin.runtime().spawn(systemd::watchdog(move || process.is_alive()));
        if runtime.block_on(self.watch_signals(streams)) == End::Signal {
            // After a take-over the unit goes on, in another process.
            systemd::stopping(self.process.lock().snapshot.policy.server.drain);
        }
        self.process.drain();
        self.wait();
        Ok(())
    }

    async fn watch_signals(&self, [mut terminate, mut interrupt, mut hangup]: [Signal; 3]) -> End {
        let mut look = tokio::time::interval(FILE_WATCH);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut known = self.process.file_times();
        loop {
            tokio::select! {
                _ = terminate.recv() => return End::Signal,
                _ = interrupt.recv() => return End::Signal,
                () = self.process.handed_over.notified() => return End::TakenOver,
                _ = hangup.recv() => {
                    self.process.reload_and_say("SIGHUP");
                    known = self.process.file_times();
                }
                _ = look.tick() => {
                    let now = self.process.file_times();
                    if now != known {
                        self.process.reload_and_say("a file changed");
                        known = self.process.file_times();
                    }
                }
            }
        }
    }
}

/// The signals that a gate obeys. Listened to before anybody can know that it serves: one that came in between would end the
/// process on the spot.
#[derive(Debug)]
pub struct Signals {
    runtime: Runtime,
    /// SIGTERM, SIGINT, SIGHUP.
    streams: [Signal; 3],
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system does not let us listen to signals.
    pub fn listen() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let streams = {
            let _inside = runtime.enter();
            [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?]
        };
        Ok(Self { runtime, streams })
    }
}

/// Why a gate stops serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Signal,
    TakenOver,
}

impl Process {
    /// A worker says that it is not stuck.
    pub(crate) fn beat(&self, worker: usize, now: Tick) {
        if let Some(beat) = self.beats.get(worker) {
            beat.store(now.0, Ordering::Relaxed);
        }
    }

    /// The time, as all of it is told here.
    pub(crate) fn now(&self) -> Tick {
        Tick(u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Whether every worker has said so lately.
    fn is_alive(&self) -> bool {
        let oldest = self.epoch.elapsed().saturating_sub(STUCK).as_nanos();
        self.beats.iter().all(|beat| u128::from(beat.load(Ordering::Relaxed)) >= oldest)
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Twenty-four bits for a worker, of the process's secret: nobody can tell them in advance.
    pub(crate) fn seed(&self, worker: usize) -> u64 {
        let mixed = (self.secret[0] ^ (worker as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(17);
        mixed.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 40
    }

    fn reload(&self) -> Result<Reloaded, String> {
        systemd::reloading();
        let outcome = self.replace_policy();
        systemd::ready();
        let counters = &self.registry.process;
        if let Ok(reloaded) = &outcome {
            (self.adopted)(&self.snapshot().policy);
            let by = "gate".to_owned();
            self.chronicle.change("policy", &Change { by, uid: None, words: reloaded.message.clone() });
            counters.reloads_ok.add()
        } else {
            counters.reloads_failed.add()
        }
        outcome
    }

    fn replace_policy(&self) -> Result<Reloaded, String> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("the gate is draining and takes no new policy".to_owned());
        }
        let policy = (self.reload)()?;
        let mut current = self.lock();
        let snapshot = Snapshot::compile(
            policy,
            Some(&current.snapshot),
            &self.registry,
            &self.node,
            (&self.upstream_tls, &self.chronicle),
        )?;
        let changes = sockets::diff(&current.snapshot.policy, &snapshot.policy);
        let count = current.workers.len();
        let mut doors: Vec<Vec<(usize, Vec<std::net::TcpListener>)>> = (0..count).map(|_| Vec::new()).collect();
        let mut duplicates = Vec::new();
        for index in &changes.opened {
            let open = sockets::open_one(&snapshot.policy, *index, count, &mut Inherited::none())
                .map_err(|error| error.to_string())?;
            duplicates.extend(open.named(&snapshot.policy).map_err(|error| format!("a listening socket: {error}"))?);
            deal(open, &mut doors);
        }
        self.journal.reconfigure(&snapshot.policy.log).map_err(|error| format!("the decision log: {error}"))?;
        self.node.set_limits(&snapshot.policy.limits);
        self.coordinator.replace(settings(&snapshot.policy), site(&snapshot.policy), snapshot.generation);

        let later = at_next_start(&current.snapshot.policy, &snapshot.policy);
        let mut remarks: String = later.iter().map(|words| format!("; {words}")).collect();
        let (done, adopted) = std_mpsc::channel();
        for (sender, opened) in current.workers.iter().zip(doors) {
            let new =
                NewPolicy { snapshot: Arc::clone(&snapshot), kept: changes.kept.clone(), opened, done: done.clone() };
            let _ = sender.send(Command::Policy(Box::new(new)));
        }
        let deadline = Instant::now() + ADOPTION;
        let waited = (0..count)
            .filter(|_| adopted.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok())
            .count();
        if waited < count {
            remarks.push_str("; not every worker has adopted it yet");
        }
        let listens = |bind| snapshot.policy.doors().any(|(_, known)| known == bind);
        current.sockets.retain(|named| named.name == sockets::ADMIN || listens(named.bind));
        current.sockets.extend(duplicates);
        let generation = snapshot.generation;
        current.snapshot = snapshot;
        self.registry.process.generation.set(generation);
        self.probes.changed.notify_one();
        Ok(Reloaded { message: format!("policy {generation} is in force{remarks}"), generation })
    }

    /// The policy in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock().snapshot)
    }

    /// Answers that were read along.
    fn answers(&self) -> u64 {
        self.books.counts.answers.load(Ordering::Relaxed)
    }

    /// The address that a listener has in truth.
    pub(crate) fn address(&self, listener: &Listener) -> Option<SocketAddr> {
        let current = self.lock();
        let named = current.sockets.iter().find(|named| named.name == listener.name && named.bind == listener.bind)?;
        rustix::net::getsockname(&named.socket).ok().and_then(|name| SocketAddr::try_from(name).ok())
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn reload_and_say(&self, why: &str) {
        match self.reload() {
            Ok(reloaded) => tracing::info!(why, "{}", reloaded.message),
            Err(problems) => tracing::error!(why, "the policy in force stays:\n{problems}"),
        }
    }

    fn drain(&self) {
        if !self.draining.swap(true, Ordering::Relaxed) {
            let mut current = self.lock();
            current.sockets.clear();
            for worker in &current.workers {
                let _ = worker.send(Command::Drain);
            }
        }
    }

    /// The files that a policy depends on, with when each was changed.
    fn file_times(&self) -> Vec<(PathBuf, Option<SystemTime>)> {
        let snapshot = Arc::clone(&self.lock().snapshot);
        let lists = snapshot.policy.lists.iter().filter_map(|list| list.file.clone());
        let vouched = snapshot.policy.vouched.iter().filter_map(|vouched| vouched.file.clone());
        let databases = snapshot.policy.databases.iter().filter_map(|database| database.tls.certificate());
        let certificates =
            snapshot.policy.certificates.iter().chain(databases).flat_map(|pair| [pair.cert.clone(), pair.key.clone()]);
        lists
            .chain(vouched)
            .chain(certificates)
            .map(|path| {
                let changed = std::fs::metadata(&path).and_then(|facts| facts.modified()).ok();
                (path, changed)
            })
            .collect()
    }
}

impl Report for Process {
    fn metrics(&self) -> String {
        self.registry.render()
    }

    fn ready(&self) -> bool {
        !self.draining.load(Ordering::Relaxed)
    }
}

impl Operator for Process {
    fn reload(&self) -> Result<Reloaded, String> {
        Self::reload(self)
    }

    fn changed(&self, change: &Change) -> Result<Reloaded, String> {
        let reloaded = Self::reload(self)?;
        self.journal.record_change(change, unix_millis());
        self.chronicle.change("configuration", change);
        Ok(reloaded)
    }

    fn command(&self, command: portcullis_engine::Command, by: &str) -> Result<String, String> {
        self.coordinator.command(command, by)
    }

    fn database(&self, args: &serde_json::Value, uid: Option<u32>) -> Result<(String, serde_json::Value), String> {
        let databases = self.lock().snapshot.databases.clone();
        let known: Vec<_> = databases.iter().map(|database| (database.name(), &*database.statements)).collect();
        let (said, shown, written) = statements::asked(&known, args)?;
        if let Some(words) = written {
            let by = args.get("by").and_then(serde_json::Value::as_str).unwrap_or("an operator").to_owned();
            let change = Change { by, uid, words };
            self.journal.record_change(&change, unix_millis());
            self.chronicle.change("statements", &change);
        }
        Ok((said, shown))
    }

    fn told(&self, event: portcullis_ledger::Event) -> Result<String, String> {
        if !self.chronicle.listens() {
            return Err("no evidence is kept here".to_owned());
        }
        self.chronicle.tell(&portcullis_ledger::Sensor::Borrowed("gate"), event);
        Ok("It is on record.".to_owned())
    }

    fn refused(&self, refused: control::Refused) {
        tracing::warn!(by = refused.by, "the control socket: {}", refused.words);
        self.chronicle.refused(refused);
    }

    fn status(&self) -> serde_json::Value {
        let defence = match self.coordinator.status() {
            Ok(status) => serde_json::to_value(status).unwrap_or_default(),
            Err(why) => serde_json::json!({ "error": why }),
        };
        let current = self.lock();
        let policy = &current.snapshot.policy;
        let origins = policy.platforms.iter().flat_map(|platform| {
            platform.upstreams.iter().map(|upstream| {
                let healthy = self.registry.upstream(&upstream.url).healthy();
                serde_json::json!({ "platform": platform.name, "url": upstream.url, "healthy": healthy })
            })
        });
        serde_json::json!({
            "origins": origins.collect::<Vec<_>>(),
            "node": policy.server.name,
            "generation": current.snapshot.generation,
            "draining": self.draining.load(Ordering::Relaxed),
            "connections": self.node.connections(),
            "workers": current.workers.len(),
            "listeners": policy.listeners.iter().map(|listener| &listener.name).collect::<Vec<_>>(),
            "databases": current.snapshot.databases.iter().map(|database| database.status()).collect::<Vec<_>>(),
            "platforms": policy.platforms.iter().map(|platform| &platform.name).collect::<Vec<_>>(),
            "defence": defence,
            "inspection": journal::lock(&self.probes.standing).value(),
            "leaving": self.books.value(&current.snapshot.guards, self.now()),
        })
    }

    fn sockets(&self) -> io::Result<Vec<Named>> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(io::Error::other("the gate is draining"));
        }
        // The new process reads what was learned when it has the sockets.
        self.coordinator.save();
        self.lessons.save(&self.books, self.now());
        let databases = self.lock().snapshot.databases.clone();
        for database in databases {
            if let Err(error) = database.statements.save() {
                tracing::error!("the book of `{}` could not be written: {error}", database.name());
            }
            database.statements.save_usual();
            database.statements.save_left();
        }
        let duplicate =
            |known: &Named| Ok(Named { name: known.name.clone(), bind: known.bind, socket: known.socket.try_clone()? });
        self.lock().sockets.iter().map(duplicate).collect()
    }

    fn rest(&self, span: Duration) -> bool {
        self.probes.rest(span)
    }

    fn handed_over(&self, successor: Option<u32>) {
        self.coordinator.retire();
        self.lessons.retire();
        self.lock().snapshot.databases.iter().for_each(|database| database.statements.retire());
        if let Some(successor) = successor {
            systemd::main_process(successor);
        }
        self.drain();
        self.handed_over.notify_one();
    }
}

/// Gives each worker its sockets.
fn deal(open: sockets::ListenerSockets, doors: &mut [Vec<(usize, Vec<std::net::TcpListener>)>]) {
    for (own, sockets) in doors.iter_mut().zip(open.sockets) {
        own.push((open.listener, sockets));
    }
}

fn listener_name(snapshot: &Snapshot, index: usize) -> String {
    snapshot.policy.doors().nth(index).map_or_else(String::new, |(name, _)| name.to_owned())
}

/// Takes as many descriptors as the system grants.
fn take_descriptors() {
    let granted = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: granted.maximum, ..granted }) {
        tracing::debug!(%error, "the limit of descriptors stays as it is");
    }
}

/// Says so when there are fewer descriptors than the policy may come to need: one for each visitor and one for each
/// upstream connection on their behalf.
fn warn_of_descriptors(connections: u64) {
    let need = connections.saturating_mul(2).saturating_add(1024);
    if let Some(have) = getrlimit(Resource::Nofile).current.filter(|have| *have < need) {
        tracing::warn!(
            have,
            need,
            "fewer descriptors than `limits.connections` may need: raise LimitNOFILE, or accepting may rest"
        );
    }
}
