//! One worker: a thread with a runtime of its own, its listeners, its pools, its shard of the engine.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use portcullis_engine::{
    Admitted, Ask, Claim, ConnectionPermit, Outcome, Posture, Ruling, Seen, Shard, Tokens, Trust, Waiting,
};
use portcullis_types::{ClientAddr, Limits, Reason, Reference, Tick};
use portcullis_wire::http::RequestHead;
use portcullis_wire::proxy_protocol;
use portcullis_wire::read::Read;
use rustix::net::SocketFlags;
use tokio::io::AsyncReadExt as _;
use tokio::io::{Interest, unix::AsyncFd};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use crate::coordinator::Edict;
use crate::http::desk::Desk;
use crate::http::identity::{self, Connection, TlsFacts};
use crate::http::{http1, http2, upstream};
use crate::journal::{Journal, Record, Source, Verdict};
use crate::metrics;
use crate::parser::Parser;
use crate::probe::{Errand, Probes};
use crate::sockets::reset;
use crate::state::{Local, Snapshot};
use crate::stream::{Stream, Wire};
use crate::watch::{SWEEP, Watch, Watchers};
use crate::{Process, coordinator, panics, postgres, tls};

/// How long accepting rests when the process is out of descriptors or memory for sockets.
const ACCEPT_REST: Duration = Duration::from_millis(20);

/// Records of refused connections that one worker writes in a second; a flood is told by its counters.
const CONNECTION_RECORDS: u32 = 50;

/// How often those who wait are looked at, while anybody does: other workers free places, too.
const CALL_EVERY: Duration = Duration::from_millis(10);

/// After so many looks everybody who waits asks for itself.
const CALL_ALL: u32 = 50;

/// Heads and buffers kept for the next request.
const SPARES: usize = 64;

/// A buffer that grew beyond this is not kept.
const SPARE_BYTES: usize = 32 * 1024;

/// The first bytes of HTTP/2 with prior knowledge (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a worker is told to do.
pub(crate) enum Command {
    /// Hold to another policy from now on.
    Policy(Box<NewPolicy>),
    /// Stop accepting and finish what is under way.
    Drain,
}

/// A policy with what it changes about listeners.
pub(crate) struct NewPolicy {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Old index to new index of the listeners that stay.
    pub(crate) kept: Vec<(usize, usize)>,
    /// Sockets of the listeners that are new.
    pub(crate) opened: Vec<(usize, Vec<std::net::TcpListener>)>,
    /// Told when the worker has it.
    pub(crate) done: std::sync::mpsc::Sender<()>,
}

/// What one worker's tasks share.
pub(crate) struct Worker {
    number: usize,
    process: Arc<Process>,
    local: RefCell<Rc<Local>>,
    limits: Cell<Limits>,
    shard: RefCell<Shard>,
    /// What the shard holds to.
    edict: RefCell<Option<Arc<Edict>>>,
    /// Whom [`Shard::called`] may call, by ticket.
    waiting: RefCell<BTreeMap<u64, Rc<Notify>>>,
    watchers: Rc<Watchers>,
    counters: Arc<metrics::Worker>,
    references: Cell<u64>,
    served: Cell<u64>,
    draining: Cell<bool>,
    open: Cell<usize>,
    /// Doors that may still let somebody in.
    accepting: Cell<usize>,
    all_closed: Notify,
    doors: RefCell<Vec<Rc<Door>>>,
    heads: RefCell<Vec<RequestHead>>,
    buffers: RefCell<Vec<Vec<u8>>>,
    records: Cell<(Tick, u32)>,
    desk: Rc<Desk>,
    parser: OnceCell<Parser>,
}

/// A listening socket that this worker accepts from.
struct Door {
    /// The listener's place in the policy in force; `None` when no listener has this address any more.
    listener: Cell<Option<usize>>,
    closing: Cell<bool>,
    changed: Notify,
}

/// Runs a worker until it has drained.
pub(crate) fn run(
    number: usize,
    process: Arc<Process>,
    snapshot: Arc<Snapshot>,
    sockets: Vec<(usize, Vec<std::net::TcpListener>)>,
    commands: mpsc::UnboundedReceiver<Command>,
    started: &std::sync::mpsc::Sender<io::Result<()>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        let worker = Worker::new(number, process, snapshot);
        for (listener, sockets) in sockets {
            for socket in sockets {
                if let Err(error) = worker.open(listener, socket) {
                    let _ = started.send(Err(error));
                    return;
                }
            }
        }
        let _ = started.send(Ok(()));
        worker.live(commands).await;
    });
}

impl Worker {
    fn new(number: usize, process: Arc<Process>, snapshot: Arc<Snapshot>) -> Rc<Self> {
        let limits = snapshot.policy.limits;
        let seed = process.seed(number);
        let shard = Shard::new(Arc::clone(&process.node), Arc::clone(&snapshot.declared), seed);
        Rc::new(Self {
            number,
            local: RefCell::new(Local::new(snapshot, None, seed)),
            limits: Cell::new(limits),
            shard: RefCell::new(shard),
            edict: RefCell::default(),
            waiting: RefCell::default(),
            watchers: Watchers::new(process.epoch),
            counters: process.registry.worker(number),
            // Twenty-four bits that differ between workers and starts, then a count.
            references: Cell::new(seed << 40),
            served: Cell::new(0),
            draining: Cell::new(false),
            open: Cell::new(0),
            accepting: Cell::new(0),
            all_closed: Notify::new(),
            doors: RefCell::default(),
            heads: RefCell::default(),
            buffers: RefCell::default(),
            records: Cell::default(),
            desk: Rc::default(),
            parser: OnceCell::new(),
            process,
        })
    }

    async fn live(self: &Rc<Self>, mut commands: mpsc::UnboundedReceiver<Command>) {
        let sweeper = tokio::task::spawn_local({
            let worker = Rc::clone(self);
            async move {
                loop {
                    tokio::time::sleep(SWEEP).await;
                    worker.watchers.sweep();
                    worker.process.beat(worker.number, worker.watchers.now());
                }
            }
        });
        let observer = tokio::task::spawn_local({
            let worker = Rc::clone(self);
            async move { worker.observe().await }
        });
        let mut probes = self.start_probes();
        while let Some(command) = commands.recv().await {
            match command {
                Command::Policy(new) => {
                    self.adopt(*new);
                    probes.drain(..).for_each(|probe| probe.abort());
                    probes = self.start_probes();
                }
                Command::Drain => break,
            }
        }
        self.drain().await;
        probes.drain(..).for_each(|probe| probe.abort());
        sweeper.abort();
        observer.abort();
    }

    /// Hands over what was seen, each beat, and takes what shall hold from now on.
    async fn observe(&self) {
        let (back, spares) = std::sync::mpsc::channel();
        let mut beat = tokio::time::interval(coordinator::BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let now = self.watchers.now();
            let generation = self.local().snapshot.generation;
            self.guarded(|shard| {
                spares.try_iter().for_each(|harvest| shard.recycle(harvest));
                let harvest = shard.harvest(now);
                if let Err(harvest) = self.process.coordinator.offer(generation, harvest, &back) {
                    shard.recycle(harvest);
                }
            });
            self.obey(now);
        }
    }

    /// Whether nothing out of the ordinary is going on at a platform, as the brain has it.
    pub(crate) fn is_calm(&self, platform: usize) -> bool {
        let edict = self.edict.borrow();
        let orders = edict.as_ref().and_then(|edict| edict.orders.platforms.get(platform));
        orders.is_none_or(|orders| orders.posture == Posture::Normal)
    }

    /// Holds to the brain's last word, if it speaks of the policy in force.
    fn obey(&self, now: Tick) {
        let edict = self.process.coordinator.edict(now);
        let ours = edict.generation == self.local().snapshot.generation;
        if ours && !self.edict.borrow().as_ref().is_some_and(|held| Arc::ptr_eq(held, &edict)) {
            self.guarded(|shard| shard.obey(Arc::clone(&edict.orders)));
            self.edict.replace(Some(edict));
            self.call(now);
        }
    }

    /// Asks the engine for something. A fault in it is counted, and costs the answer.
    fn guarded<T>(&self, ask: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| ask(&mut self.shard.borrow_mut()))) {
            Ok(answer) => Some(answer),
            Err(cause) => {
                self.panicked();
                tracing::error!(cause = panics::words(cause.as_ref()), "a fault in the engine; please report it");
                None
            }
        }
    }

    /// Finishes what is under way, within the declared time.
    async fn drain(self: &Rc<Self>) {
        self.draining.set(true);
        for door in self.doors.borrow().iter() {
            door.closing.set(true);
            door.changed.notify_one();
        }
        let limit = self.local().snapshot.policy.server.drain;
        let finished = async {
            // Whom the kernel has let in already is not among the open ones before a door has looked a last time.
            while self.open.get() + self.accepting.get() > 0 {
                // Connections that wait for a request are told; those that come to wait are told the next time.
                self.watchers.expire_idle();
                let _ = tokio::time::timeout(SWEEP, self.all_closed.notified()).await;
            }
        };
        if tokio::time::timeout(limit, finished).await.is_err() {
            tracing::warn!(worker = self.number, open = self.open.get(), "connections were cut at the end of `drain`");
        }
    }

    /// One worker checks the servers for the whole node.
    fn start_probes(&self) -> Vec<tokio::task::JoinHandle<()>> {
        if self.number != 0 {
            return Vec::new();
        }
        let snapshot = Arc::clone(&self.local().snapshot);
        let checks = snapshot.policy.platforms.iter().zip(&snapshot.servers).filter_map(|(platform, servers)| {
            platform.health.as_ref().map(|check| servers.iter().map(move |server| (Arc::clone(server), check.clone())))
        });
        checks.flatten().map(|(server, check)| tokio::task::spawn_local(upstream::probe(server, check))).collect()
    }

    fn adopt(self: &Rc<Self>, new: NewPolicy) {
        let NewPolicy { snapshot, kept, opened, done } = new;
        let local = Local::new(Arc::clone(&snapshot), Some(&self.local()), self.process.seed(self.number));
        self.limits.set(snapshot.policy.limits);
        let now = self.watchers.now();
        let mut shard = self.shard.borrow_mut();
        shard.swap(Arc::clone(&snapshot.declared));
        // The old orders speak of platforms by their old positions.
        shard.obey(Arc::default());
        drop(shard);
        *self.local.borrow_mut() = local;
        self.desk.forget();
        self.obey(now);
        self.doors.borrow_mut().retain(|door| {
            let stays = door
                .listener
                .get()
                .and_then(|listener| kept.iter().find(|(old, _)| *old == listener).map(|(_, new)| *new));
            door.listener.set(stays);
            door.closing.set(stays.is_none());
            door.changed.notify_one();
            stays.is_some()
        });
        for (listener, sockets) in opened {
            for socket in sockets {
                if let Err(error) = self.open(listener, socket) {
                    tracing::error!(%error, listener, "a new listener cannot be used");
                }
            }
        }
        let _ = done.send(());
    }

    fn open(self: &Rc<Self>, listener: usize, socket: std::net::TcpListener) -> io::Result<()> {
        #[expect(
            deprecated,
            reason = "unsound for types that change their descriptor; std's listener does not, and the successor is an unsafe function"
        )]
        let socket = AsyncFd::with_interest(socket, Interest::READABLE)?;
        let door =
            Rc::new(Door { listener: Cell::new(Some(listener)), closing: Cell::new(false), changed: Notify::new() });
        self.doors.borrow_mut().push(Rc::clone(&door));
        self.accepting.set(self.accepting.get() + 1);
        let worker = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let _accepting = Accepting(Rc::clone(&worker));
            accept(worker, door, socket).await;
        });
        Ok(())
    }

    /// The policy in force and this worker's pools.
    pub(crate) fn local(&self) -> Rc<Local> {
        Rc::clone(&self.local.borrow())
    }

    /// What inspection keeps between requests.
    pub(crate) fn desk(&self) -> &Rc<Desk> {
        &self.desk
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits.get()
    }

    pub(crate) fn watchers(&self) -> &Rc<Watchers> {
        &self.watchers
    }

    pub(crate) const fn number(&self) -> usize {
        self.number
    }

    /// The parser of statements, in a process of its own.
    pub(crate) fn parser(&self) -> &Parser {
        self.parser.get_or_init(|| Parser::new(self.process.registry.parser()))
    }

    pub(crate) fn counters(&self) -> &metrics::Worker {
        &self.counters
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.process.journal
    }

    pub(crate) fn engine_node(&self) -> Arc<portcullis_engine::Node> {
        Arc::clone(&self.process.node)
    }

    /// Asks the engine. Where it has a fault, what the operator declared decides alone.
    pub(crate) fn admit(&self, ask: &Ask<'_>, now: Tick) -> Ruling {
        self.guarded(|shard| shard.admit(ask, now)).unwrap_or_else(|| self.admit_declared(ask, now))
    }

    /// What was known of whoever was decided about last.
    pub(crate) fn perceived(&self) -> Trust {
        self.shard.borrow().perceived()
    }

    /// What the operator declared decides.
    pub(crate) fn admit_declared(&self, ask: &Ask<'_>, now: Tick) -> Ruling {
        self.shard.borrow_mut().admit_declared(ask, now)
    }

    /// Waits for a place; nothing where the engine had a fault. Who is dropped while waiting leaves the queue.
    pub(crate) async fn wait(self: &Rc<Self>, waiting: Waiting) -> Option<Ruling> {
        let bell = Rc::new(Notify::new());
        let ticket = waiting.ticket();
        let first = self.waiting.borrow().is_empty();
        self.waiting.borrow_mut().insert(ticket, Rc::clone(&bell));
        if first {
            tokio::task::spawn_local(Rc::clone(self).call_while_anybody_waits());
        }
        let mut queued = Queued { worker: self, ticket, waiting: Some(waiting) };
        loop {
            bell.notified().await;
            let now = self.watchers.now();
            let waiting = queued.waiting.as_mut()?;
            match self.guarded(|shard| shard.claim(waiting, now)) {
                Some(Claim::Stay) => {}
                Some(Claim::Go(admitted)) => {
                    queued.waiting = None;
                    return Some(Ruling::Admitted(admitted));
                }
                Some(Claim::Give(ruling)) => {
                    queued.waiting = None;
                    return Some(ruling);
                }
                None => return None,
            }
        }
    }

    async fn call_while_anybody_waits(self: Rc<Self>) {
        let mut rounds = 0_u32;
        while !self.waiting.borrow().is_empty() {
            tokio::time::sleep(CALL_EVERY).await;
            rounds = rounds.wrapping_add(1);
            if rounds.is_multiple_of(CALL_ALL) {
                // Nobody waits for ever because one call was missed.
                self.waiting.borrow().values().for_each(|bell| bell.notify_one());
            }
            self.call(self.watchers.now());
        }
    }

    /// Wakes those whose turn it is.
    fn call(&self, now: Tick) {
        let waiting = self.waiting.borrow();
        if !waiting.is_empty() {
            let wake = |ticket: u64| {
                if let Some(bell) = waiting.get(&ticket) {
                    bell.notify_one();
                }
            };
            self.guarded(|shard| shard.called(now, wake));
        }
    }

    /// A request that was under way is not any more.
    pub(crate) fn place_is_free(&self) {
        if !self.waiting.borrow().is_empty() {
            self.call(self.watchers.now());
        }
    }

    /// Lets a request of the gate's own in.
    pub(crate) fn admit_own(&self, ask: &Ask<'_>, now: Tick) -> Admitted {
        self.shard.borrow().admit_own(ask, now)
    }

    /// What all workers share.
    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// What left, to whom.
    pub(crate) fn books(&self) -> &crate::guard::Books {
        &self.process.books
    }

    /// The gate's own probes.
    pub(crate) fn probes(&self) -> &Probes {
        &self.process.probes
    }

    /// Tells the engine how an admitted request ended.
    pub(crate) fn account(&self, seen: &Seen, outcome: &Outcome) {
        let now = self.watchers.now();
        self.guarded(|shard| shard.account(seen, outcome, now));
        self.call(now);
    }

    /// Tells the engine that a client broke the protocol, if that is what the reason says.
    pub(crate) fn note_abuse(&self, reason: Reason, platform: Option<usize>, client: ClientAddr) {
        if is_abuse(reason) {
            let now = self.watchers.now();
            self.guarded(|shard| shard.abused(platform, client, now));
        }
    }

    /// Tells the engine that a visitor passed its challenge.
    pub(crate) fn challenge_passed(&self, seen: &Seen) {
        let now = self.watchers.now();
        self.process.registry.process.challenges_passed.add();
        self.guarded(|shard| shard.challenge_passed(seen, now));
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        self.process.node.tokens()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub(crate) fn panicked(&self) {
        self.process.registry.process.panics.add();
    }

    pub(crate) fn count_retries(&self, attempts: u32) {
        for _ in 1..attempts {
            self.process.registry.process.retries.add();
        }
    }

    /// Names a request.
    pub(crate) fn next_reference(&self) -> Reference {
        let next = self.references.get().wrapping_add(1);
        self.references.set(next);
        Reference(next)
    }

    /// Counts a served request, for sampling.
    pub(crate) fn next_served(&self) -> u64 {
        let number = self.served.get();
        self.served.set(number.wrapping_add(1));
        number
    }

    pub(crate) fn spare_head(&self) -> RequestHead {
        self.heads.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn keep_head(&self, mut head: RequestHead) {
        let mut heads = self.heads.borrow_mut();
        if heads.len() < SPARES {
            head.clear();
            heads.push(head);
        }
    }

    pub(crate) fn spare_buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(4096))
    }

    pub(crate) fn keep_buffer(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() < SPARES && buffer.capacity() <= SPARE_BYTES {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    /// A connection ended without a request to blame; counted, not recorded.
    pub(crate) fn connection_refused(&self, reason: Reason) {
        self.counters.connection_refused(reason);
    }

    /// A connection was refused: counted, and recorded unless a flood of them is.
    pub(crate) fn refuse_connection(&self, connection: &Connection, reason: Reason, detail: impl Display) {
        if connection.errand.is_some() {
            return;
        }
        self.counters.connection_refused(reason);
        self.note_abuse(reason, None, ClientAddr::new(connection.source.ip()));
        self.process.chronicle.request(&portcullis_ledger::Request {
            unix_millis: unix_millis(),
            platform: "",
            route: "",
            class: "",
            audience: Trust::Fresh.name(),
            client: connection.source.ip(),
            ja4: connection.tls.as_ref().and_then(|tls| tls.ja4.as_ref()).map_or("", AsRef::as_ref),
            verdict: portcullis_ledger::Verdict::Refused,
            reason: reason.code(),
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            micros: 0,
            waited_micros: 0,
        });
        let now = self.watchers.now();
        let (since, written) = self.records.get();
        let (since, written) = if now.since(since) >= Duration::from_secs(1) { (now, 0) } else { (since, written) };
        self.records.set((since, written + 1));
        if written >= CONNECTION_RECORDS || !self.journal().wants(false, 0) {
            return;
        }
        let local = self.local();
        let listener = local.snapshot.policy.doors().nth(connection.listener).map_or("", |(name, _)| name);
        self.journal().record(&Record {
            unix_millis: unix_millis(),
            reference: Some(self.next_reference()),
            listener,
            client: Some(connection.source.ip()),
            peer: Some(connection.peer),
            source: if connection.proxied { Source::ProxyProtocol } else { Source::Socket },
            ja4: connection.tls.as_ref().and_then(|tls| tls.ja4.as_ref()).map(AsRef::as_ref),
            verdict: Verdict::Refused,
            reason: Some(reason),
            detail: Some(&detail),
            ..Record::default()
        });
    }
}

/// Milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Accepts until the door closes.
async fn accept(worker: Rc<Worker>, door: Rc<Door>, socket: AsyncFd<std::net::TcpListener>) {
    loop {
        let Some(listener) = door.listener.get() else { return };
        if door.closing.get() {
            // Whom the kernel has let in already is still served: closing the socket at once would reset them.
            while let Ok((tcp, peer)) = take(socket.get_ref()) {
                admit_connection(&worker, listener, tcp, peer);
            }
            return;
        }
        let accepted = tokio::select! {
            biased;
            accepted = socket.async_io(Interest::READABLE, take) => accepted,
            () = door.changed.notified() => continue,
        };
        match accepted {
            Ok((tcp, peer)) => {
                // One more than is held waits in hand; the kernel's queue holds the rest.
                wait_for_room(&worker, &door).await;
                admit_connection(&worker, door.listener.get().unwrap_or(listener), tcp, peer);
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                worker.process.registry.process.accept_pauses.add();
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// Takes one connection off the kernel's queue. It is not given to the runtime yet: who is refused should not cost the
/// registration, which is two system calls of the five.
fn take(socket: &std::net::TcpListener) -> io::Result<(OwnedFd, SocketAddr)> {
    let (tcp, peer) = rustix::net::acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((tcp, peer))
}

/// Waits until the node holds fewer connections than it may.
async fn wait_for_room(worker: &Worker, door: &Door) {
    let mut paused = false;
    while worker.process.node.connections() >= worker.limits().connections && !door.closing.get() {
        if !paused {
            paused = true;
            worker.process.registry.process.accept_pauses.add();
            worker.connection_refused(Reason::TooManyConnections);
        }
        tokio::time::sleep(ACCEPT_REST).await;
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Refuses before anything is paid, or starts the connection's task.
fn admit_connection(worker: &Rc<Worker>, listener: usize, tcp: OwnedFd, peer: SocketAddr) {
    let local = worker.local();
    let trusted = &local.snapshot.policy.trusted;
    let errand = worker.process.probes.made(peer);
    let own = errand.is_some();
    // What holds for visitors does not hold for the gate itself.
    let is_proxy = own || !trusted.networks.is_empty() && identity::is_trusted(trusted, peer.ip());
    let permit = worker.shard.borrow().handle_connection(ClientAddr::new(peer.ip()), is_proxy);
    match permit {
        Ok(permit) => {
            let tcp = match TcpStream::from_std(tcp.into()) {
                Ok(tcp) => tcp,
                Err(error) => return tracing::warn!(%error, "cannot serve a connection"),
            };
            let slot = local.snapshot.listener_slots.get(listener).copied().unwrap_or(metrics::Slot::OTHER);
            let slot = (!own).then_some(slot);
            slot.into_iter().for_each(|slot| worker.counters.connection_opened(slot));
            worker.open.set(worker.open.get() + 1);
            let guard = OpenConnection { worker: Rc::clone(worker), slot };
            let from = From { listener, peer, is_proxy, errand };
            // Boxed, because spawning moves what it is given, and a wrapper would hold room for it twice.
            let database = listener.checked_sub(local.snapshot.policy.listeners.len());
            let database = database.and_then(|index| local.snapshot.databases.get(index)).cloned();
            let task: Pin<Box<dyn Future<Output = ()>>> = match database {
                Some(database) => {
                    let worker = Rc::clone(worker);
                    Box::pin(async move {
                        postgres::serve(worker, tcp, peer, database).await;
                        drop((permit, guard));
                    })
                }
                None => Box::pin(serve(Rc::clone(worker), tcp, from, permit, guard)),
            };
            let counter = Rc::clone(worker);
            tokio::task::spawn_local(panics::counted(task, move || counter.panicked()));
        }
        Err(refusal) => {
            // A reset: the same price as a close, and nothing of it lingers on either side.
            let _ = rustix::net::sockopt::set_socket_linger(&tcp, Some(Duration::ZERO));
            drop(tcp);
            let connection = Connection { listener, peer, source: peer, proxied: false, tls: None, errand };
            worker.refuse_connection(&connection, refusal.reason, &refusal.detail);
        }
    }
}

/// A request in the engine's queue.
struct Queued<'a> {
    worker: &'a Worker,
    ticket: u64,
    waiting: Option<Waiting>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.worker.waiting.borrow_mut().remove(&self.ticket);
        if let Some(waiting) = self.waiting.take() {
            self.worker.guarded(|shard| shard.leave(waiting));
        }
    }
}

/// What no honest client does, or only a broken one: channel P of the engine counts it.
const fn is_abuse(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::HeadTimeout
            | Reason::BodyTooSlow
            | Reason::ReaderTooSlow
            | Reason::AmbiguousFraming
            | Reason::BadChunk
            | Reason::MalformedRequest
            | Reason::Http2Protocol
            | Reason::Http2Resets
            | Reason::Http2ProvokedResets
            | Reason::Http2Continuations
            | Reason::Http2Pings
            | Reason::Http2Settings
            | Reason::Http2WindowUpdates
            | Reason::Http2EmptyFrames
            | Reason::Http2OtherFrames
            | Reason::Http2Stall
    )
}

/// Where a connection came in, and from where.
#[derive(Clone, Copy)]
struct From {
    listener: usize,
    peer: SocketAddr,
    is_proxy: bool,
    errand: Option<Errand>,
}

/// A door that is not closed yet.
struct Accepting(Rc<Worker>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.accepting.set(self.0.accepting.get().saturating_sub(1));
        self.0.all_closed.notify_one();
    }
}

struct OpenConnection {
    worker: Rc<Worker>,
    /// Where it is counted, if it is a visitor's.
    slot: Option<metrics::Slot>,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.slot.into_iter().for_each(|slot| self.worker.counters.connection_closed(slot));
        self.worker.open.set(self.worker.open.get().saturating_sub(1));
        if self.worker.open.get() == 0 {
            self.worker.all_closed.notify_one();
        }
    }
}

async fn serve(worker: Rc<Worker>, tcp: TcpStream, from: From, permit: ConnectionPermit, guard: OpenConnection) {
    let watch = worker.watchers.watch();
    // Boxed: what a handshake needs is gone when it is over, and an idle connection does not pay for it.
    let opened = Box::pin(open_connection(&worker, tcp, from, &watch)).await;
    let Some((connection, second_permit, protocol)) = opened else { return };
    match protocol {
        Protocol::Http1(stream, ahead) => {
            let wire = Wire::shared(stream);
            wire.borrow_mut().read = ahead.len() as u64;
            wire.borrow_mut().arrived = BytesMut::from(ahead.as_slice());
            http1::serve(worker, connection, wire, watch).await;
        }
        Protocol::Http2(stream, ahead) => {
            Box::pin(http2::serve(worker, connection, stream, Bytes::from(ahead), watch)).await;
        }
    }
    drop((permit, second_permit, guard));
}

enum Protocol {
    Http1(Stream, Vec<u8>),
    Http2(Stream, Vec<u8>),
}

type Opened = (Connection, Option<ConnectionPermit>, Protocol);

/// PROXY header, TLS, and which protocol is spoken; all of it within one deadline.
async fn open_connection(worker: &Rc<Worker>, mut tcp: TcpStream, from: From, watch: &Watch) -> Option<Opened> {
    let From { listener, peer, is_proxy, errand } = from;
    let snapshot = Arc::clone(&worker.local().snapshot);
    let declared = snapshot.policy.listeners.get(listener)?;
    let deadline = watch.now().after(Limits::duration(snapshot.policy.limits.handshake_deadline));
    let mut connection = Connection { listener, peer, source: peer, proxied: false, tls: None, errand };
    let mut ahead = Vec::new();
    let mut second_permit = None;

    if declared.proxy_protocol {
        let header = if is_proxy {
            watch.until(deadline, read_proxy_header(&mut tcp, &mut ahead)).await
        } else {
            Ok(Err("the sender is not a trusted proxy"))
        };
        match header {
            Ok(Ok(Some(source))) => {
                connection.source = source;
                connection.proxied = true;
                let permit = worker.shard.borrow().handle_connection(ClientAddr::new(source.ip()), false);
                match permit {
                    Ok(permit) => second_permit = Some(permit),
                    Err(refusal) => {
                        reset(&tcp);
                        worker.refuse_connection(&connection, refusal.reason, &refusal.detail);
                        return None;
                    }
                }
            }
            Ok(Ok(None)) => {}
            Ok(Err(detail)) => {
                reset(&tcp);
                worker.refuse_connection(&connection, Reason::BadProxyHeader, detail);
                return None;
            }
            Err(_) => {
                worker.refuse_connection(&connection, Reason::HandshakeTimeout, "no PROXY header in time");
                return None;
            }
        }
    }

    if let Some(config) = snapshot.tls.config(listener) {
        let (stream, handshake) = match watch.until(deadline, tls::accept(tcp, ahead, config)).await {
            Ok(Ok(done)) => done,
            Ok(Err(tls::Refused::Closed)) => {
                worker.connection_refused(Reason::TlsFailed);
                return None;
            }
            Ok(Err(refused)) => {
                worker.refuse_connection(&connection, Reason::TlsFailed, &refused);
                return None;
            }
            Err(_) => {
                worker.refuse_connection(&connection, Reason::HandshakeTimeout, "the TLS handshake took too long");
                return None;
            }
        };
        connection.tls = Some(TlsFacts { version: handshake.version, ja4: handshake.ja4, stack: handshake.stack });
        let stream = Stream::Server(Box::new(stream));
        let protocol =
            if handshake.alpn_h2 { Protocol::Http2(stream, Vec::new()) } else { Protocol::Http1(stream, Vec::new()) };
        return Some((connection, second_permit, protocol));
    }

    if !declared.http2 {
        return Some((connection, second_permit, Protocol::Http1(Stream::Plain(tcp), ahead)));
    }
    // Prior knowledge: the preface says so with its first bytes, which no HTTP/1.1 request begins with.
    let deadline = watch.now().after(Limits::duration(snapshot.policy.limits.head_deadline));
    loop {
        let known = ahead.len().min(PREFACE.len());
        if ahead.get(..known) != PREFACE.get(..known) {
            return Some((connection, second_permit, Protocol::Http1(Stream::Plain(tcp), ahead)));
        }
        if known == PREFACE.len() {
            return Some((connection, second_permit, Protocol::Http2(Stream::Plain(tcp), ahead)));
        }
        match watch.until(deadline, read_some(&mut tcp, &mut ahead)).await {
            Ok(Ok(count)) if count > 0 => {}
            Ok(_) => return None,
            Err(_) => {
                worker.connection_refused(Reason::HeadTimeout);
                return None;
            }
        }
    }
}

async fn read_some(tcp: &mut TcpStream, into: &mut Vec<u8>) -> io::Result<usize> {
    into.reserve(2048);
    tcp.read_buf(into).await
}

/// Reads the PROXY header off the front of `ahead`; `None` where it names nobody (LOCAL, UNKNOWN).
async fn read_proxy_header(tcp: &mut TcpStream, ahead: &mut Vec<u8>) -> Result<Option<SocketAddr>, &'static str> {
    loop {
        match proxy_protocol::read(ahead) {
            Read::Done(header) => {
                ahead.drain(..header.consumed.min(ahead.len()));
                return Ok(header.source);
            }
            Read::Invalid(detail) => return Err(detail),
            Read::Incomplete => {}
        }
        if !matches!(read_some(tcp, ahead).await, Ok(count) if count > 0) {
            return Err("closed before the PROXY header was complete");
        }
    }
}
