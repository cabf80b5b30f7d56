//! A gate with all that belongs to one that stands: its evidence, the incidents that it opens, the sensors beside its traffic. The
//! demo's is no other than that of `run`.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use portcullis_config::Policy;
use portcullis_control::{Console, Current, Live};
use portcullis_ledger::Recorder;
use portcullis_proxy::sockets::Inherited;
use portcullis_proxy::{Counts, Gate, Setup, Signals, StartError};
use portcullis_sensors::{Lookout, Planted, Sensors, Ties};
use portcullis_store::Store;
use portcullis_wire::report::Report;

use crate::configuration::Read;
use crate::console::{self, InForce, Stage};
use crate::evidence;
use crate::incident::live::Keeper;
use crate::moment;

/// A gate that stands.
pub(crate) struct Standing {
    pub(crate) gate: Gate,
    store: Option<Arc<Store>>,
    /// Empty where nothing could be watched.
    _sensors: Arc<OnceLock<Sensors>>,
    /// Pages and an API for people, where they are wanted.
    console: Option<Console>,
}

impl Standing {
    /// Puts what `config` was read as in force.
    ///
    /// # Errors
    /// With the first thing that the gate cannot have. One that cannot keep evidence or watch files still serves, and says so.
    pub(crate) fn begin(
        config: &Path,
        policy: Policy,
        inherited: Inherited,
        takeover: bool,
        stage: Option<Stage>,
    ) -> Result<Self, StartError> {
        let store = evidence::begin(&policy, takeover);
        let sensors = Arc::new(OnceLock::<Sensors>::new());
        let (reloaded, approving, hearing) = (Arc::clone(&sensors), Arc::clone(&sensors), Arc::clone(&sensors));
        let live = Live::new(moment::now());
        let keeper = store.clone().map(|store| Keeper::begin(store, &policy, Arc::clone(&live)));
        let (register, asked, counted) = (keeper.clone(), keeper.clone(), store.clone());
        // Drills know their own canaries when they pass.
        let lookout = keeper.map(|keeper| Lookout::new(keeper));
        let path = config.to_owned();
        let in_force: InForce = Arc::new(Mutex::new(Arc::new(policy.clone())));
        let (followed, current) = (Arc::clone(&in_force), Arc::new(OnceLock::<Current>::new()));
        let following = Arc::clone(&current);
        let setup = Setup {
            policy: policy.clone(),
            reload: Box::new(move || {
                let policy = Read::file(&path)?.settle_quietly()?;
                register.iter().for_each(|keeper| keeper.register(&policy));
                reloaded.get().map_or(Ok(()), |sensors| sensors.adopt(&policy))?;
                Ok(policy)
            }),
            adopted: Box::new(move |policy| {
                let settings = console::settings(policy, false);
                following.get().zip(settings).into_iter().for_each(|(current, settings)| current.adopt(settings));
                *followed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy.clone());
            }),
            inherited,
            version: env!("CARGO_PKG_VERSION"),
            takeover,
            recorder: lookout.clone().map(|lookout| lookout as Arc<dyn Recorder>),
            approves: Some(Arc::new(move |content: &[u8; 32]| approving.get()?.approves(content))),
            hears: Some(Arc::new(move |platform: &str, report: &Report, network: u64| {
                hearing.get().is_some_and(|sensors| sensors.hears(platform, report, network))
            })),
            counts: counted.map(|store| Arc::new(move || evidence::counts(&store)) as Counts),
        };
        let gate = Gate::start(setup)?;
        let sessions = gate.own_sessions();
        let told = move |database: &str, role: &str, from| {
            Some(Box::new(Told(sessions(database, role, from)?)) as Box<dyn portcullis_sensors::OwnSession>)
        };
        let ties = Ties {
            sessions: Arc::new(told),
            scripts: Arc::new(Scripts(gate.scripts())),
            reports: Arc::new(Reports(gate.reports())),
            passes: Arc::new(gate.passes()),
        };
        match Sensors::start(config, &policy, lookout, ties) {
            Ok(begun) => drop(sensors.set(begun)),
            Err(why) => tracing::error!(why, "nothing is watched beside traffic"),
        }
        let console =
            console::begin(config.to_owned(), &policy, gate.operator(), asked, (live, in_force, takeover), stage);
        console.iter().for_each(|console| drop(current.set(console.current())));
        Ok(Self { gate, store, _sensors: sensors, console })
    }

    /// The console, if there is one.
    pub(crate) const fn console(&self) -> Option<&Console> {
        self.console.as_ref()
    }

    /// Serves until it is told to end.
    ///
    /// # Errors
    /// When signals cannot be waited for.
    pub(crate) fn serve_until_signal(self, signals: Signals) -> io::Result<()> {
        let served = self.gate.serve_until_signal(signals);
        self.store.iter().for_each(|store| evidence::end(store));
        served
    }

    /// Ends by `end`, and its evidence with it.
    pub(crate) fn end<T>(self, end: impl FnOnce(Gate) -> T) -> T {
        let ended = end(self.gate);
        self.store.iter().for_each(|store| evidence::end(store));
        ended
    }
}

/// A sensor's session with a database, as the gate has it in its books.
struct Told(portcullis_proxy::OwnSession);

impl portcullis_sensors::OwnSession for Told {
    fn serves(&self, process: u32) {
        self.0.serves(process);
    }

    fn rows(&self, count: u64) {
        self.0.rows(count);
    }
}

/// What drills the sensor of the scripts that visitors are given.
struct Scripts(portcullis_proxy::Scripts);

impl portcullis_sensors::Scripts for Scripts {
    fn platforms(&self) -> Vec<String> {
        self.0.platforms()
    }

    fn change(&self, platform: &str, drill: &str) -> Result<Vec<Planted>, String> {
        self.0.change(platform, drill).map(planted)
    }
}

/// What drills those who listen to browsers.
struct Reports(portcullis_proxy::Reports);

impl portcullis_sensors::Reports for Reports {
    fn send(&self, platform: &str, mark: &str) -> Result<Vec<Planted>, String> {
        self.0.send(platform, mark).map(planted)
    }
}

fn planted(all: Vec<portcullis_proxy::Planted>) -> Vec<Planted> {
    all.into_iter().map(|it| Planted { subject: it.subject, words: it.words }).collect()
}
