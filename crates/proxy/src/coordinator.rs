//! The brain's own thread: what every worker saw goes in each 100 ms, what shall hold from now on comes out.
//!
//! It never holds up a request: workers hand over without waiting and read the orders from an atomic pointer. When it
//! fails, it is begun anew with what was saved; while it is silent, its rules expire and admission goes on as it was.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use portcullis_engine::{Act, Brain, Command, Harvest, Node, Orders, Settings, Site, Status as DefenceStatus};
use portcullis_types::Tick;

use crate::chronicle::Chronicle;
use crate::journal::{Journal, lock};
use crate::panics;
use crate::worker::unix_millis;

/// How often the brain judges, and workers hand over what they saw.
pub(crate) const BEAT: Duration = Duration::from_millis(100);
/// Orders of a brain that has been silent for so long are those of another time: its rules expire.
pub(crate) const SILENT: Duration = Duration::from_secs(5);
/// Harvests and questions that wait for the brain; what comes beyond is seen again with the next harvest, or refused.
const WAITING: usize = 256;
/// How long whoever asks waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often what was learned is written down.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// What was learned is read back up to this size.
const STATE_BYTES: u64 = 256 * 1024 * 1024;
/// Secrets of the node and of its tokens.
const SECRET_BYTES: usize = 48;
const KEYS: &str = "keys";
const BRAIN: &str = "brain";

/// What workers, the control socket and the metrics know of the brain.
pub(crate) struct Coordinator {
    sender: SyncSender<Message>,
    edict: ArcSwap<Edict>,
    /// When it last judged.
    beat: AtomicU64,
    /// Harvests that it had no room for.
    missed: AtomicU64,
    /// Times that it was begun anew.
    restarts: AtomicU64,
    /// What was learned is another process's to write down.
    retired: AtomicBool,
    /// Acts by kind, and how everything stood a second ago.
    told: Mutex<Told>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Orders, and the generation of the policy whose platforms they speak of by position.
#[derive(Debug, Default)]
pub(crate) struct Edict {
    pub(crate) generation: u64,
    pub(crate) orders: Arc<Orders>,
}

#[derive(Default)]
struct Told {
    acts: BTreeMap<String, u64>,
    status: DefenceStatus,
    judged: Duration,
}

enum Message {
    Harvest(u64, Harvest, mpsc::Sender<Harvest>),
    Replace(Settings, Site, u64, mpsc::Sender<()>),
    /// With who asks for it.
    Command(Command, String, mpsc::Sender<Result<String, String>>),
    Status(mpsc::Sender<DefenceStatus>),
    Save(mpsc::Sender<()>),
    Stop,
}

/// What the brain begins with.
pub(crate) struct Beginning {
    pub(crate) settings: Settings,
    pub(crate) site: Site,
    /// Of the policy.
    pub(crate) generation: u64,
    pub(crate) node: Arc<Node>,
    pub(crate) seed: u64,
    pub(crate) epoch: Instant,
    pub(crate) journal: Arc<Journal>,
    pub(crate) chronicle: Arc<Chronicle>,
    /// The directory for what outlives a restart.
    pub(crate) state: Option<PathBuf>,
}

impl Coordinator {
    /// Starts the thread. What was learned before is taken back; what cannot be read is said and left alone.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(beginning: Beginning) -> io::Result<Arc<Self>> {
        let (sender, receiver) = mpsc::sync_channel(WAITING);
        let coordinator = Arc::new(Self {
            sender,
            edict: ArcSwap::default(),
            beat: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            told: Mutex::default(),
            thread: Mutex::default(),
        });
        let own = Arc::clone(&coordinator);
        let thread =
            thread::Builder::new().name("brain".to_owned()).spawn(move || Life::new(own, beginning).live(&receiver))?;
        *lock(&coordinator.thread) = Some(thread);
        Ok(coordinator)
    }

    /// Hands over what a worker saw under that policy. It comes back by `back`, or at once where there is no room.
    ///
    /// # Errors
    /// With the harvest, for the worker to use again.
    pub(crate) fn offer(&self, generation: u64, harvest: Harvest, back: &mpsc::Sender<Harvest>) -> Result<(), Harvest> {
        self.sender.try_send(Message::Harvest(generation, harvest, back.clone())).map_err(|error| {
            self.missed.fetch_add(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(message) | TrySendError::Disconnected(message) => match message {
                    Message::Harvest(_, harvest, _) => harvest,
                    _ => Harvest::default(),
                },
            }
        })
    }

    /// What holds now: the brain's last word, without its rules where that is too old.
    pub(crate) fn edict(&self, now: Tick) -> Arc<Edict> {
        let edict = self.edict.load_full();
        if !self.is_silent(now) || edict.orders.platforms.iter().all(|platform| platform.rules.is_empty()) {
            return edict;
        }
        let mut expired = Orders::clone(&edict.orders);
        expired.platforms.iter_mut().for_each(|platform| platform.rules.clear());
        // Whichever worker comes first; the others find it done.
        let expired = Arc::new(Edict { generation: edict.generation, orders: Arc::new(expired) });
        self.edict.store(Arc::clone(&expired));
        tracing::error!("the brain has been silent: its rules have expired");
        expired
    }

    pub(crate) fn is_silent(&self, now: Tick) -> bool {
        now.since(Tick(self.beat.load(Ordering::Relaxed))) > SILENT
    }

    /// Goes on with another policy. On return there are orders for it, unless the brain does not answer.
    pub(crate) fn replace(&self, settings: Settings, site: Site, generation: u64) {
        if let Err(why) = self.ask(|reply| Message::Replace(settings, site, generation, reply)) {
            tracing::error!(why, "the brain has not heard of the new policy: rules and limits of its own rest");
        }
    }

    /// Does what an operator asks; what was done is in the journal when this returns.
    ///
    /// # Errors
    /// In words for the operator.
    pub(crate) fn command(&self, command: Command, by: &str) -> Result<String, String> {
        let by = by.to_owned();
        self.ask(|reply| Message::Command(command, by, reply))?
    }

    /// How everything stands.
    ///
    /// # Errors
    /// When the brain does not answer.
    pub(crate) fn status(&self) -> Result<DefenceStatus, String> {
        self.ask(Message::Status)
    }

    /// Writes down what was learned, and waits until it is on disk.
    pub(crate) fn save(&self) {
        let _ = self.ask(Message::Save);
    }

    /// Another process has read what was saved and goes on from there: nothing is written over it.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Saves and ends the thread.
    pub(crate) fn stop(&self) {
        let _ = self.sender.send(Message::Stop);
        if let Some(thread) = lock(&self.thread).take() {
            // A panic of its own was told when it happened.
            let _ = thread.join();
        }
    }

    fn ask<T>(&self, question: impl FnOnce(mpsc::Sender<T>) -> Message) -> Result<T, String> {
        let (reply, answer) = mpsc::channel();
        self.sender.try_send(question(reply)).map_err(|_| "the brain is busy; ask again".to_owned())?;
        answer.recv_timeout(PATIENCE).map_err(|_| "the brain does not answer".to_owned())
    }

    /// For the metrics: acts by kind, how everything stood a second ago, how long the last judgement took, harvests
    /// missed, restarts.
    pub(crate) fn told(&self) -> Figures {
        let told = lock(&self.told);
        Figures {
            acts: told.acts.clone(),
            status: told.status.clone(),
            judged: told.judged,
            missed: self.missed.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
        }
    }
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coordinator").field("beat", &self.beat).field("missed", &self.missed).finish_non_exhaustive()
    }
}

/// What [`Coordinator::told`] tells.
pub(crate) struct Figures {
    pub(crate) acts: BTreeMap<String, u64>,
    pub(crate) status: DefenceStatus,
    pub(crate) judged: Duration,
    pub(crate) missed: u64,
    pub(crate) restarts: u64,
}

/// The thread's own.
struct Life {
    coordinator: Arc<Coordinator>,
    beginning: Beginning,
    brain: Brain,
    next: Instant,
    saved: Instant,
    told: Instant,
    writer: Option<JoinHandle<()>>,
    /// The last orders, to be given again after a silence.
    orders: Arc<Orders>,
}

impl Life {
    fn new(coordinator: Arc<Coordinator>, beginning: Beginning) -> Self {
        let brain = beginning.brain();
        let now = Instant::now();
        Self {
            coordinator,
            beginning,
            brain,
            next: now + BEAT,
            saved: now,
            told: now,
            writer: None,
            orders: Arc::default(),
        }
    }

    fn live(mut self, receiver: &Receiver<Message>) {
        loop {
            let until = self.next.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(until) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => {
                    // A fault in the brain costs what it knew since it was saved, and nothing of the service.
                    let taken = catch_unwind(AssertUnwindSafe(|| self.take(message)));
                    taken.unwrap_or_else(|cause| self.begin_anew(&panics::words(cause.as_ref())));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= self.next {
                let beaten = catch_unwind(AssertUnwindSafe(|| self.beat()));
                beaten.unwrap_or_else(|cause| self.begin_anew(&panics::words(cause.as_ref())));
            }
        }
        self.finish_writing();
        self.save();
        self.finish_writing();
    }

    fn finish_writing(&mut self) {
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Harvest(generation, harvest, back) => {
                // Under another policy the platforms had other places.
                if generation == self.beginning.generation {
                    self.brain.absorb(&harvest);
                }
                let _ = back.send(harvest);
            }
            Message::Replace(settings, site, generation, reply) => {
                self.beginning.settings = settings.clone();
                self.beginning.site = site.clone();
                self.beginning.generation = generation;
                self.brain.replace(settings, site);
                self.judge();
                let _ = reply.send(());
            }
            Message::Command(command, by, reply) => {
                let answer = self.brain.command(command, &by, self.now(), unix_millis());
                let answer = answer.map(|(words, acts)| {
                    self.tell(&acts);
                    words
                });
                // What the operator asked for holds now, not with the next beat.
                self.judge();
                let _ = reply.send(answer);
            }
            Message::Status(reply) => {
                let _ = reply.send(self.brain.status(self.now()));
            }
            Message::Save(reply) => {
                self.finish_writing();
                self.save();
                self.finish_writing();
                let _ = reply.send(());
            }
            Message::Stop => {}
        }
    }

    fn beat(&mut self) {
        let begun = Instant::now();
        // After a pause of the machine there is nothing to catch up on.
        self.next = (self.next + BEAT).max(begun + BEAT / 2);
        self.judge();
        let judged = begun.elapsed();
        if begun.duration_since(self.told) >= Duration::from_secs(1) {
            self.told = begun;
            let status = self.brain.status(self.now());
            let mut told = lock(&self.coordinator.told);
            told.status = status;
            told.judged = judged;
        }
        if begun.duration_since(self.saved) >= SAVE_EVERY {
            self.save();
        }
    }

    fn judge(&mut self) {
        let now = self.now();
        let pulse = self.brain.tick(now, unix_millis());
        // After a silence the workers have forgotten what still holds.
        let again = self.coordinator.is_silent(now);
        if pulse.orders.is_some() || again {
            self.orders = pulse.orders.unwrap_or_else(|| Arc::clone(&self.orders));
            let edict = Edict { generation: self.beginning.generation, orders: Arc::clone(&self.orders) };
            self.coordinator.edict.store(Arc::new(edict));
        }
        self.coordinator.beat.store(now.0, Ordering::Relaxed);
        self.tell(&pulse.acts);
    }

    fn now(&self) -> Tick {
        self.beginning.now()
    }

    fn tell(&self, acts: &[Act]) {
        for act in acts {
            tracing::info!(kind = act.kind, platform = act.platform, "{}", act.words);
            self.beginning.journal.record_act(act, unix_millis());
            self.beginning.chronicle.act(act);
            *lock(&self.coordinator.told).acts.entry(act.kind.clone()).or_default() += 1;
        }
    }

    fn begin_anew(&mut self, cause: &str) {
        tracing::error!(cause, "the brain failed and begins anew with what was saved; please report it");
        self.coordinator.restarts.fetch_add(1, Ordering::Relaxed);
        self.orders = Arc::default();
        self.coordinator.edict.store(Arc::default());
        self.brain = self.beginning.brain();
        self.next = Instant::now() + BEAT;
    }

    /// Writes what was learned on a thread of its own: a slow disk must not make the brain miss a beat.
    fn save(&mut self) {
        self.saved = Instant::now();
        let Some(directory) = self.beginning.state.clone() else { return };
        let retired = self.coordinator.retired.load(Ordering::Relaxed);
        if retired || self.writer.as_ref().is_some_and(|writer| !writer.is_finished()) {
            return;
        }
        let bytes = self.brain.save();
        let write = move || {
            if let Err(error) = replace_file(&directory, BRAIN, &bytes) {
                tracing::warn!(%error, directory = %directory.display(), "what was learned cannot be written down");
            }
        };
        self.writer = thread::Builder::new().name("brain-state".to_owned()).spawn(write).ok();
    }
}

impl Beginning {
    fn now(&self) -> Tick {
        Tick(u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// A brain that knows what was saved.
    fn brain(&self) -> Brain {
        let mut brain = Brain::new(self.settings.clone(), self.site.clone(), Arc::clone(&self.node), self.seed);
        let Some(path) = self.state.as_ref().map(|directory| directory.join(BRAIN)) else { return brain };
        match read_bounded(&path) {
            Ok(bytes) => match brain.restore(&bytes, self.now(), unix_millis()) {
                Ok(()) => tracing::info!(path = %path.display(), "what was learned before is taken back"),
                Err(error) => {
                    tracing::warn!(path = %path.display(), error, "what was learned cannot be read: beginning anew")
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what was learned cannot be read: beginning anew")
            }
        }
        brain
    }
}

/// The secrets of a node: one for what attackers could aim at, one for tokens. They outlive a restart where there is a
/// directory for it, so that visitors keep what they have earned. A directory that cannot be used is said; the gate runs.
///
/// # Errors
/// The system has no randomness to give.
pub(crate) fn secrets(state: Option<&Path>) -> io::Result<([u64; 2], [u8; 32])> {
    let Some(directory) = state else { return Ok(split(random()?)) };
    let path = directory.join(KEYS);
    match fs::read(&path) {
        Ok(bytes) => match <[u8; SECRET_BYTES]>::try_from(bytes.as_slice()) {
            Ok(bytes) => return Ok(split(bytes)),
            Err(_) => {
                tracing::warn!(path = %path.display(), "not a file of keys: new ones are made, and tokens of visitors end")
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "the keys cannot be read: there are new ones"),
    }
    let bytes = random()?;
    if let Err(error) = replace_file(directory, KEYS, &bytes) {
        tracing::warn!(path = %path.display(), %error, "the keys cannot be kept: a restart ends the tokens of visitors");
    }
    Ok(split(bytes))
}

fn split(bytes: [u8; SECRET_BYTES]) -> ([u64; 2], [u8; 32]) {
    let number = |from: usize| bytes.iter().skip(from).take(8).fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    let mut master = [0; 32];
    master.iter_mut().zip(bytes.iter().skip(16)).for_each(|(to, from)| *to = *from);
    ([number(0), number(8)], master)
}

/// Bytes from the system: they keep an attacker from choosing keys that collide, and from making tokens.
fn random() -> io::Result<[u8; SECRET_BYTES]> {
    use std::io::Read as _;
    let mut bytes = [0; SECRET_BYTES];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Replaces a file of the directory at once or not at all, readable by nobody else.
pub(crate) fn replace_file(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    if !directory.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let fresh = directory.join(format!("{name}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, directory.join(name))
}

pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > STATE_BYTES {
        return Err(io::Error::other(format!("it is larger than {STATE_BYTES} bytes")));
    }
    fs::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_outlive_a_restart_where_there_is_a_place_for_them() {
        let place = tempfile::tempdir().expect("a directory");
        let state = place.path().join("state");
        let first = secrets(Some(&state)).expect("made");
        assert_eq!(secrets(Some(&state)).expect("read"), first);
        assert_ne!(secrets(None).expect("made"), first);
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join(KEYS))), (0o700, 0o600));
        fs::write(state.join(KEYS), "short").expect("written");
        assert_ne!(secrets(Some(&state)).expect("made anew"), first);
        assert!(secrets(Some(&state.join(KEYS))).is_ok(), "what is no directory costs the tokens, not the service");
    }

    #[test]
    fn a_silent_brain_loses_its_rules_and_keeps_its_limits() {
        let (sender, _receiver) = mpsc::sync_channel(1);
        let mut orders = Orders { revision: 7, platforms: vec![portcullis_engine::PlatformOrders::default()] };
        orders.platforms[0].admission.whole = 12;
        orders.platforms[0].rules.push(portcullis_engine::LiveRule {
            id: portcullis_engine::RuleId(1),
            literals: Default::default(),
            action: portcullis_engine::Action::Refuse,
            share: 100,
            hold_out: 0,
        });
        let coordinator = Coordinator {
            sender,
            edict: ArcSwap::from_pointee(Edict { generation: 1, orders: Arc::new(orders) }),
            beat: AtomicU64::new(Tick::from_millis(1000).0),
            missed: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            told: Mutex::default(),
            thread: Mutex::default(),
        };
        assert_eq!(coordinator.edict(Tick::from_millis(5900)).orders.platforms[0].rules.len(), 1);
        let expired = coordinator.edict(Tick::from_millis(6100));
        assert!(expired.orders.platforms[0].rules.is_empty());
        assert_eq!(expired.orders.platforms[0].admission.whole, 12);
    }
}
