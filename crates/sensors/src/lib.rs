//! What is watched beside traffic: files, pages, certificates, names, schemas, ways past the gate, the configuration.
//!
//! Each sensor says each second whether it sees, states what it can never see, and is tried by drills through its real path. It
//! refuses no visitor and changes nothing; what it finds goes on record. Start at [`Sensors`]; `files.rs` is the largest.

mod bait;
mod browsers;
mod clerk;
mod configuration;
mod control;
mod drill;
pub mod files;
mod learned;
mod lookout;
pub mod manifest;
mod names;
mod origin;
pub mod outside;
mod schema;
mod sense;
pub mod signed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis_config::integrity::Origin;
use portcullis_config::policy::{Certificate, Database};
use portcullis_config::{Integrity, Policy};
use portcullis_ledger::Recorder;
use portcullis_wire::report::Report;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

pub use self::clerk::{in_force, judge};
pub use self::control::{Answer, Question, ask, socket};
pub use self::drill::{Drilled, Planted, Reports, Scripts};
pub use self::lookout::Lookout;
pub use self::outside::Passes;
pub use self::schema::{OwnSession, OwnSessions};
pub use self::sense::{Sight, Told};
use crate::browsers::{Awaited, Ear, Heard};
use crate::clerk::Clerk;
use crate::configuration::Watched;
use crate::drill::Trial;
use crate::outside::Visitor;
use crate::sense::{Board, Sense, Unkept};

/// Between two beats.
const BEAT: Duration = Duration::from_secs(1);
/// Before the first drill by schedule after a start: sensors have looked once by then.
const FIRST_DRILL: Duration = Duration::from_secs(60);
/// Until what a drill by schedule did not see is tried again: a page may have been learned by then.
const AGAIN: Duration = Duration::from_secs(300);

/// The sensors of a running gate. They end when this goes.
pub struct Sensors {
    shared: Arc<Shared>,
}

/// What the threads share; they hold it only while they work.
struct Shared {
    recorder: Arc<dyn Recorder>,
    lookout: Option<Arc<Lookout>>,
    ties: Ties,
    set: Mutex<Arc<Set>>,
    configuration: Arc<Mutex<Watched>>,
    path: PathBuf,
    /// The minute in which somebody was refused last, and how many were.
    refused: Mutex<(u64, u32)>,
}

/// What sensors have of the gate that they watch beside.
#[derive(Clone)]
pub struct Ties {
    /// Who says that a session with a database is the gate's own.
    pub sessions: OwnSessions,
    /// What drills the sensors in traffic.
    pub scripts: Arc<dyn Scripts>,
    /// What drills those who listen to browsers.
    pub reports: Arc<dyn Reports>,
    /// Who draws a pass for a visit from outside.
    pub passes: Passes,
}

/// Sensors as one policy declares them.
pub(crate) struct Set {
    declared: Integrity,
    databases: Vec<Database>,
    recorder: Arc<dyn Recorder>,
    lookout: Option<Arc<Lookout>>,
    scripts: Arc<dyn Scripts>,
    reports: Arc<dyn Reports>,
    board: Arc<Board>,
    /// The configuration's own.
    watcher: Sense,
    files: BTreeMap<String, Sender<files::Ask>>,
    outside: BTreeMap<String, Sender<outside::Ask>>,
    schemas: BTreeMap<String, Sender<schema::Ask>>,
    /// Where what browsers report goes.
    ear: SyncSender<Heard>,
    /// Reports of our own that are under way there.
    awaited: Arc<Mutex<Option<Awaited>>>,
    /// Their threads end when these go; so do all others.
    origins: Vec<(Origin, Sender<origin::Ask>)>,
    names: BTreeMap<String, Sender<names::Ask>>,
    /// The files of the configuration, as they are in force.
    configuration: Arc<Mutex<Watched>>,
    clerk: Arc<Clerk>,
    /// SHA-256 of the certificates of the configuration.
    own: Arc<Mutex<Vec<String>>>,
    /// When what was tried last; one drill at a time.
    drilling: Mutex<BTreeMap<String, Instant>>,
}

impl Sensors {
    /// Begins to watch what the policy declares, and the file at `path` that it was read from. Without a recorder what is found is told in the log alone.
    ///
    /// # Errors
    /// In words: a key that is none, a directory for what is in force that cannot be had, a thread.
    pub fn start(path: &Path, policy: &Policy, lookout: Option<Arc<Lookout>>, ties: Ties) -> Result<Self, String> {
        let kept = lookout.clone().map(|lookout| lookout as Arc<dyn Recorder>);
        let recorder = kept.unwrap_or_else(|| Arc::new(Unkept));
        let configuration = Arc::new(Mutex::new(Watched::new(configuration::files(path, policy))));
        let set = Set::begin(policy, &recorder, lookout.clone(), &ties, &configuration)?;
        let shared = Arc::new(Shared {
            recorder,
            lookout,
            ties,
            set: Mutex::new(set),
            configuration,
            path: path.to_owned(),
            refused: Mutex::default(),
        });
        let thread = |name: &str, body: fn(&Weak<Shared>)| {
            let shared = Arc::downgrade(&shared);
            let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || body(&shared));
            spawned.map(drop).map_err(|error| format!("a thread for the sensors: {error}"))
        };
        thread("sensors-beat", |shared| {
            while let Some(it) = shared.upgrade() {
                it.set().board.beat(&*it.recorder);
                drop(it);
                thread::sleep(BEAT);
            }
        })?;
        thread("sensors-own", |shared| {
            low_priority();
            while let Some(it) = shared.upgrade() {
                let set = it.set();
                lock(&it.configuration).look(&set.watcher);
                drop((it, set));
                thread::sleep(BEAT);
            }
        })?;
        thread("sensors-clerk", |shared| {
            low_priority();
            let (begun, mut last, mut missed) = (Instant::now(), None::<Instant>, false);
            while let Some(it) = shared.upgrade() {
                let set = it.set();
                drop(it);
                set.clerk.look(&set);
                let every = set.declared.drill;
                let wait = if missed { AGAIN.min(every) } else { every };
                if last.map_or(begun.elapsed() >= FIRST_DRILL, |last| last.elapsed() >= wait) {
                    // What was seen a moment ago is not tried again for what was not.
                    let fresh = if missed { every } else { Duration::ZERO };
                    let drilled = set.drill(&Trial { fresh, ..Trial::of_all("schedule") });
                    missed = drilled.tried.iter().any(|drill| !drill.seen);
                    last = Some(Instant::now());
                }
                drop(set);
                thread::sleep(BEAT);
            }
        })?;
        control::open(&socket(&policy.server.control), &shared)?;
        Ok(Self { shared })
    }

    /// Which manifest in force names a file of this SHA-256: what visitors are given may be compared with it.
    #[must_use]
    pub fn approves(&self, sha256: &[u8; 32]) -> Option<String> {
        self.shared.set().clerk.approves(sha256)
    }

    /// Takes what a visitor's browser reported of a page of that platform. `network` tells senders apart. Never waits: what there is
    /// no room for is dropped, and counted by whoever asks.
    #[must_use]
    pub fn hears(&self, platform: &str, report: &Report, network: u64) -> bool {
        let heard = Heard { platform: platform.to_owned(), report: report.clone(), network };
        self.shared.set().ear.try_send(heard).is_ok()
    }

    /// Watches what another policy declares, and takes the files that it was read from as they are in force. Where it declares the
    /// same, nothing begins anew.
    ///
    /// # Errors
    /// As [`Sensors::start`]; what was watched before still is.
    pub fn adopt(&self, policy: &Policy) -> Result<(), String> {
        let set = self.shared.set();
        *lock(&self.shared.configuration) = Watched::new(configuration::files(&self.shared.path, policy));
        *lock(&set.own) = certificates(policy);
        if set.declared != policy.integrity || set.databases != watched(policy) {
            let Shared { recorder, ties, configuration, .. } = &*self.shared;
            let set = Set::begin(policy, recorder, self.shared.lookout.clone(), ties, configuration)?;
            *self.shared.lock() = set;
        }
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Arc<Set>> {
        lock(&self.set)
    }

    pub(crate) fn set(&self) -> Arc<Set> {
        Arc::clone(&self.lock())
    }
}

impl Set {
    fn begin(
        policy: &Policy,
        recorder: &Arc<dyn Recorder>,
        lookout: Option<Arc<Lookout>>,
        ties: &Ties,
        configuration: &Arc<Mutex<Watched>>,
    ) -> Result<Arc<Self>, String> {
        let declared = &policy.integrity;
        let board = Arc::new(Board::default());
        let clerk = Arc::new(Clerk::new(declared, recorder)?);
        let own = Arc::new(Mutex::new(certificates(policy)));
        let sense = |name: String, blind_to| board.sense(name, blind_to, recorder);
        let mut files = BTreeMap::new();
        for directory in &declared.files {
            let eye = sense(format!("files/{}", directory.name), files::BLIND_TO);
            let in_force = clerk.manifest(&directory.name);
            let (ask, asked) = mpsc::channel();
            let declared = directory.clone();
            spawn(&format!("files-{}", directory.name), move || files::run(&declared, in_force, eye, &asked))?;
            files.insert(directory.name.clone(), ask);
        }
        let mut outside = BTreeMap::new();
        for address in &declared.outside {
            let pages = sense(format!("pages/{}", address.name), outside::PAGES_BLIND_TO);
            let certificate =
                address.tls.then(|| sense(format!("certificate/{}", address.name), outside::CERTIFICATE_BLIND_TO));
            let know = (Arc::clone(&clerk), Arc::clone(&own), &ties.passes);
            let visitor = Visitor::new(address, declared.state.as_ref(), know, (pages, certificate))?;
            let (ask, asked) = mpsc::channel();
            spawn(&format!("pages-{}", address.name), move || outside::run(visitor, &asked))?;
            outside.insert(address.name.clone(), ask);
        }
        let ears = declared.browsers.iter().map(|of| Ear {
            platform: of.platform.clone(),
            sense: sense(format!("browsers/{}", of.platform), browsers::BLIND_TO),
            visitors: declared
                .outside
                .iter()
                .filter(|address| address.platform == of.platform)
                .filter_map(|address| Some((address.clone(), outside.get(&address.name)?.clone())))
                .collect(),
        });
        let (ears, (ear, heard)): (Vec<Ear>, _) = (ears.collect(), mpsc::sync_channel(browsers::WAITING));
        let awaited = Arc::new(Mutex::default());
        if !ears.is_empty() {
            let awaited = Arc::clone(&awaited);
            spawn("browsers", move || browsers::run(ears, &heard, &awaited))?;
        }
        let mut origins = Vec::new();
        for way in &declared.origins {
            let eye = sense(format!("origin/{}", way.platform), origin::BLIND_TO);
            let (ask, asked) = mpsc::channel();
            let tried = way.clone();
            spawn(&format!("origin-{}", way.platform), move || origin::run(&tried, &eye, &asked))?;
            origins.push((way.clone(), ask));
        }
        let mut names = BTreeMap::new();
        for of in &declared.names {
            let name = format!("names/{}", of.names.first().map_or("", String::as_str));
            let eye = sense(name.clone(), names::BLIND_TO);
            let (ask, asked) = mpsc::channel();
            let (of, state) = (of.clone(), declared.state.clone());
            spawn("names", move || names::run(&of, state, &eye, &asked))?;
            names.insert(name, ask);
        }
        let mut schemas = BTreeMap::new();
        let databases = watched(policy);
        for database in &databases {
            let Some(of) = database.schema.clone() else { continue };
            let eye = sense(format!("schema/{}", database.name), schema::BLIND_TO);
            let (ask, asked) = mpsc::channel();
            let (database, state, sessions) = (database.clone(), declared.state.clone(), Arc::clone(&ties.sessions));
            schemas.insert(database.name.clone(), ask);
            spawn(&format!("schema-{}", database.name), move || {
                schema::run(&database, &of, &sessions, state, &eye, &asked);
            })?;
        }
        let watcher = sense("configuration".to_owned(), configuration::BLIND_TO);
        Ok(Arc::new(Self {
            declared: declared.clone(),
            databases,
            recorder: Arc::clone(recorder),
            lookout,
            scripts: Arc::clone(&ties.scripts),
            reports: Arc::clone(&ties.reports),
            board,
            watcher,
            files,
            outside,
            schemas,
            ear,
            awaited,
            origins,
            names,
            configuration: Arc::clone(configuration),
            clerk,
            own,
            drilling: Mutex::default(),
        }))
    }

    /// How each sensor stands, those in the traffic included.
    pub(crate) fn sights(&self) -> Vec<Sight> {
        let mut all = self.board.sights();
        let others = self.lookout.as_ref().map(|lookout| lookout.sights(&all));
        all.extend(others.unwrap_or_default());
        all.sort_by(|one, other| one.sensor.cmp(&other.sensor));
        all
    }
}

/// Databases whose schema is looked at.
fn watched(policy: &Policy) -> Vec<Database> {
    policy.databases.iter().filter(|database| database.schema.is_some()).cloned().collect()
}

/// SHA-256 of the certificates that the gate shows to visitors.
fn certificates(policy: &Policy) -> Vec<String> {
    let leaf = |certificate: &Certificate| {
        let leaf = CertificateDer::pem_slice_iter(&certificate.cert_pem).next()?.ok()?;
        Some(manifest::hex(&Sha256::digest(&leaf)))
    };
    policy.certificates.iter().filter_map(leaf).collect()
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), String> {
    // The kernel keeps fifteen letters.
    let short = name.chars().take(15).collect();
    let spawned = thread::Builder::new().name(short).spawn(body);
    spawned.map(drop).map_err(|error| format!("a thread for {name}: {error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sensors give way to whatever serves visitors.
pub(crate) fn low_priority() {
    // Of this thread alone, as Linux has it. Without it the sensors work all the same.
    let _ = rustix::process::setpriority_process(None, 10);
}

pub(crate) fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
