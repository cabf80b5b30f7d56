//! The control socket: `reload`, `status`, what operators ask of the brain, and the hand-over of the listening sockets to a new process.
//!
//! Never listens on the network, never serves another user but root, and never gives up the sockets before the new
//! process says that it accepts. One line of JSON each way; one request for each connection.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_engine::{Command, Posture, RuleId};
use portcullis_ledger::{Event, Opened};
use portcullis_types::signed;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg, sockopt,
};
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::journal::Change;
use crate::sockets::{Inherited, Named};

/// Longest request, its line feed included.
const REQUEST_BYTES: usize = 4096;
/// Longest answer that the client side reads: all problems of a configuration, rendered.
const ANSWER_BYTES: usize = 1024 * 1024;
/// What is said to a verb that does not exist.
const VERBS: &str = "the verbs are `reload`, `status`, `rules`, `posture`, `event`, `pg`, `record` and `takeover`";
/// To send a request, and to take its answer. What the gate does in between has no deadline.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long the client side waits for an answer: a reload reads files and resolves names.
const PATIENCE: Duration = Duration::from_secs(60);
/// From the sockets to `ready`: a new process that needs longer is not coming.
const HANDOVER_DEADLINE: Duration = Duration::from_secs(60);
/// Connections at once; more wait in the kernel.
const CONNECTIONS: usize = 16;
/// Connections that may wait there.
const BACKLOG: i32 = 16;
/// Descriptors in one message (SCM_MAX_FD of Linux).
const DESCRIPTORS_PER_MESSAGE: usize = 253;
/// Descriptors in one hand-over.
const DESCRIPTORS: usize = 4096;
/// What is written down of a reload.
const AGAIN: &str = "The configuration was put in force again.";
/// Letters of why something was refused, and of what was asked, that are written down.
const TOLD: usize = 300;
const TOLD_VERB: usize = 20;
/// The longest file of users.
const PASSWD: u64 = 1 << 20;

/// What the control socket asks of the gate.
pub trait Operator: Send + Sync + 'static {
    /// Reads the configuration again and puts it in force, on a thread that may block.
    ///
    /// # Errors
    /// The rendered problems; the policy in force stays.
    fn reload(&self) -> Result<Reloaded, String>;

    /// Puts a configuration that an operator has changed in force, and writes down what was changed and by whom, on a thread that
    /// may block.
    ///
    /// # Errors
    /// As [`Operator::reload`]; then nothing is written down.
    fn changed(&self, change: &Change) -> Result<Reloaded, String> {
        let _ = change;
        self.reload()
    }

    /// Does what an operator asks of the brain, on a thread that may block. It is in the journal on return, under the name `by`.
    ///
    /// # Errors
    /// In words for the operator.
    fn command(&self, command: Command, by: &str) -> Result<String, String>;

    /// Does what an operator asks of a database's book, on a thread that may block; `uid` asks, where it is known. What was changed is in the
    /// journal on return.
    ///
    /// # Errors
    /// In words for the operator.
    fn database(&self, args: &Value, uid: Option<u32>) -> Result<(String, Value), String> {
        let _ = (args, uid);
        Err("no database is guarded here".to_owned())
    }

    /// Records what a person did in an incident.
    ///
    /// # Errors
    /// In words for the operator: no evidence is kept here.
    fn told(&self, event: Event) -> Result<String, String> {
        let _ = event;
        Err("no evidence is kept here".to_owned())
    }

    /// Records who was refused what.
    fn refused(&self, refused: Refused) {
        let _ = refused;
    }

    /// What `portcullis status` and tests want to know, on a thread that may block.
    fn status(&self) -> Value;

    /// Duplicates of every listening socket with its declared address
    /// ([`ListenerSockets::named`](crate::sockets::ListenerSockets::named)), the admin listener's among them.
    ///
    /// # Errors
    /// The gate has none to give: it is draining, or out of descriptors.
    fn sockets(&self) -> io::Result<Vec<Named>>;

    /// Sends no request of its own to those sockets for `span`, and says whether none is under way.
    fn rest(&self, span: Duration) -> bool {
        let _ = span;
        true
    }

    /// A new process accepts on those sockets: stop accepting and drain. Begins it and returns. `successor` is the new
    /// process's id, for systemd.
    fn handed_over(&self, successor: Option<u32>);
}

/// Something that was asked, and was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The user that the system knows them as.
    pub by: String,
    /// They may ask nothing at all.
    pub stranger: bool,
    /// What was asked, and why not.
    pub words: String,
}

/// A reload that worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// For the operator.
    pub message: String,
    /// Counts the policies that this process has had in force.
    pub generation: u64,
}

/// Whether the path may be taken from somebody who still answers on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// At a start: a socket on which nobody answers is a leftover; anything else is an error.
    Unheld,
    /// At a take-over: the process before gives it up.
    FromPredecessor,
}

/// The socket, bound. The path goes away with it, unless a successor has replaced it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: StdUnixListener,
    path: OwnPath,
}

impl ControlSocket {
    /// Binds the path with mode 0600, in a directory that is made with 0700 if it is missing. The path never exists
    /// without a socket behind it that answers: the new socket is renamed over the old one.
    ///
    /// # Errors
    /// The path is held by a living gate or is no socket, or the system refuses.
    pub fn open(path: &Path, claim: Claim) -> io::Result<Self> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists()) {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        check_claim(path, claim)?;
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(format!(".{}", std::process::id()));
        let fresh = PathBuf::from(fresh);
        remove_if_present(&fresh)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        socket.bind(&SockAddr::unix(&fresh)?)?;
        // Nobody connects before `listen`, so no moment has wider permissions than these.
        let placed = fs::set_permissions(&fresh, Permissions::from_mode(0o600))
            .and_then(|()| socket.listen(BACKLOG))
            .and_then(|()| fs::metadata(&fresh))
            .and_then(|meta| fs::rename(&fresh, path).map(|()| meta));
        let meta = placed.inspect_err(|_| drop(fs::remove_file(&fresh)))?;
        let path = OwnPath { path: path.to_owned(), identity: (meta.dev(), meta.ino()) };
        Ok(Self { listener: StdUnixListener::from(OwnedFd::from(socket)), path })
    }

    /// Answers until a successor has taken over; then the caller stops serving what else the successor serves.
    ///
    /// # Errors
    /// The socket itself failed. Errors of one connection end that connection.
    pub async fn serve(self, operator: Arc<dyn Operator>) -> io::Result<()> {
        let Self { listener, path: _path } = self;
        let listener = UnixListener::from_std(listener)?;
        let handing_over = Arc::new(AtomicBool::new(false));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        let (operator, handing_over) = (Arc::clone(&operator), Arc::clone(&handing_over));
                        connections.spawn(async move { converse(stream, &operator, &handing_over).await });
                    }
                    // Out of descriptors, most likely: wait for some to come back rather than spin.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
                Some(ended) = connections.join_next() => {
                    if matches!(ended, Ok(Ok(Outcome::HandedOver))) {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// An answer of the gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Whether it did what was asked.
    pub ok: bool,
    /// For the operator: what was done, or why not.
    pub message: String,
    /// After a reload: which policy is in force.
    pub generation: Option<u64>,
    /// After `status`: what was asked for.
    pub status: Option<Value>,
}

/// Sends one verb without arguments (`reload`, `status`) and waits for the answer. Blocks.
///
/// # Errors
/// Nothing answers there, or what answers is not a gate.
pub fn ask(socket: &Path, verb: &str) -> io::Result<Answer> {
    ask_with(socket, verb, &Value::Null)
}

/// [`ask`] with arguments: `rules` (`do`: `list`, `pin`, `undo`; `id`), `posture` (`platform`, `posture`), `event` (`do`:
/// `add`, `cancel`, `list`; `name`, `platform`, `from`, `until` in Unix milliseconds).
///
/// # Errors
/// Nothing answers there, or what answers is not a gate.
pub fn ask_with(socket: &Path, verb: &str, args: &Value) -> io::Result<Answer> {
    Line::connect(socket)?.request_with(verb, args)?.read_answer()
}

/// Asks the process before for its listening sockets. Blocks.
///
/// # Errors
/// Nothing answers there, or it does not hand over.
pub fn take_over(socket: &Path) -> io::Result<(Inherited, TakeoverHandle)> {
    let mut line = Line::connect(socket)?.request("takeover")?;
    let answer = line.read_line()?;
    let declared = match answer.get("sockets") {
        Some(sockets) => declared_sockets(sockets).ok_or_else(|| invalid("the list of sockets cannot be read"))?,
        None => return Err(io::Error::other(answer_of(&answer).message)),
    };
    while line.descriptors.len() < declared.len() {
        line.receive()?;
    }
    let sockets = declared.into_iter().zip(std::mem::take(&mut line.descriptors));
    let sockets: Vec<Named> = sockets.map(|((name, bind), socket)| Named { name, bind, socket }).collect();
    let listening = |named: &Named| sockopt::socket_acceptconn(&named.socket).unwrap_or(false);
    if !sockets.iter().all(listening) {
        return Err(invalid("a descriptor is not a listening socket"));
    }
    Ok((Inherited::taken_over(sockets), TakeoverHandle { line }))
}

/// A take-over under way. Dropped, it is off, and the process before goes on as if nothing had been.
#[derive(Debug)]
pub struct TakeoverHandle {
    line: Line,
}

impl TakeoverHandle {
    /// Tells the process before that this one accepts; it has begun to drain when this returns. Blocks.
    ///
    /// # Errors
    /// It does not answer: it may be dead, or go on accepting.
    pub fn ready(self) -> io::Result<()> {
        let answer = self.line.request("ready")?.read_answer()?;
        if answer.ok { Ok(()) } else { Err(io::Error::other(answer.message)) }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The path.

#[derive(Debug)]
struct OwnPath {
    path: PathBuf,
    /// Device and inode: a successor's socket at the same path is not ours to remove.
    identity: (u64, u64),
}

impl Drop for OwnPath {
    fn drop(&mut self) {
        if fs::metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity) {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn check_claim(path: &Path, claim: Claim) -> io::Result<()> {
    let error = |kind, what: &str| Err(io::Error::new(kind, format!("`{}` {what}", path.display())));
    match fs::symlink_metadata(path) {
        Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(other) => Err(other),
        Ok(meta) if !meta.file_type().is_socket() => error(io::ErrorKind::AlreadyExists, "is not a socket"),
        Ok(_) if claim == Claim::Unheld && answers(path)? => {
            error(io::ErrorKind::AddrInUse, "is answered by a gate that runs; stop it, or start with `--takeover`")
        }
        Ok(_) => Ok(()),
    }
}

fn answers(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // Its queue is full: somebody is there.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The gate's side.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Answered,
    HandedOver,
}

async fn converse(
    mut stream: UnixStream,
    operator: &Arc<dyn Operator>,
    handing_over: &AtomicBool,
) -> io::Result<Outcome> {
    let peer = stream.peer_cred()?;
    let own = rustix::process::geteuid().as_raw();
    if peer.uid() != own && peer.uid() != 0 {
        operator.refused(Refused { by: user(peer.uid()), stranger: true, words: "somebody may not ask".to_owned() });
        return answer(&mut stream, &refusal("only the user that runs the gate, and root, may ask")).await;
    }
    let mut buffer = Vec::new();
    let asked = match timeout(DEADLINE, read_request(&mut stream, &mut buffer)).await {
        Ok(Ok(request)) => Ok(request),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no whole line came in time".to_owned()),
    };
    let (verb, mut args) = match asked {
        Ok(request) => request,
        Err(why) => return refuse(&mut stream, operator, (user(peer.uid()), ""), &refusal(&why)).await,
    };
    sign(&verb, &mut args, peer.uid());
    let by = args.get("by").and_then(Value::as_str).map_or_else(|| user(peer.uid()), str::to_owned);
    let text = |key: &str| args.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let reply = match verb.as_str() {
        "reload" | "changed" => {
            let words = if verb == "reload" { AGAIN.to_owned() } else { text("words") };
            let change = Change { by: text("by"), uid: Some(peer.uid()), words };
            let operator = Arc::clone(operator);
            match tokio::task::spawn_blocking(move || operator.changed(&change)).await {
                Ok(Ok(done)) => json!({"ok": true, "message": done.message, "generation": done.generation}),
                Ok(Err(problems)) => refusal(&problems),
                Err(_) => refusal("the reload panicked; the policy in force stays"),
            }
        }
        "pg" => {
            let (operator, uid) = (Arc::clone(operator), Some(peer.uid()));
            let reply = tokio::task::spawn_blocking(move || match operator.database(&args, uid) {
                Ok((words, shown)) => json!({"ok": true, "message": words, "status": shown}),
                Err(words) => refusal(&words),
            });
            reply.await.unwrap_or_else(|_| refusal("answering panicked; please report it"))
        }
        "record" => {
            let operator = Arc::clone(operator);
            let reply =
                tokio::task::spawn_blocking(move || match persons(args).and_then(|event| operator.told(event)) {
                    Ok(words) => json!({"ok": true, "message": words}),
                    Err(words) => refusal(&words),
                });
            reply.await.unwrap_or_else(|_| refusal("recording panicked; please report it"))
        }
        "status" | "rules" | "posture" | "event" => {
            let (operator, verb) = (Arc::clone(operator), verb.clone());
            let reply = tokio::task::spawn_blocking(move || operate(operator.as_ref(), &verb, &args));
            reply.await.unwrap_or_else(|_| refusal("answering panicked; please report it"))
        }
        "takeover" => {
            if handing_over.swap(true, Ordering::AcqRel) {
                let reply = refusal("another take-over is under way");
                return refuse(&mut stream, operator, (by, &verb), &reply).await;
            }
            // 0 is a process of another PID namespace.
            let successor = peer.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0);
            let ended = hand_over(&mut stream, &mut buffer, operator.as_ref(), successor).await;
            handing_over.store(false, Ordering::Release);
            match &ended {
                Ok(Outcome::HandedOver) => tracing::info!(successor, "handed over: draining"),
                Ok(Outcome::Answered) => tracing::warn!("a take-over was refused or given up; this process goes on"),
                Err(error) => tracing::warn!(%error, "a take-over broke off; this process goes on"),
            }
            return ended;
        }
        "ready" => refusal("nothing was taken over on this connection"),
        _ => refusal(VERBS),
    };
    match reply.get("ok") {
        Some(Value::Bool(true)) => answer(&mut stream, &reply).await,
        _ => refuse(&mut stream, operator, (by, &verb), &reply).await,
    }
}

/// Says no, and has it on record who asked.
async fn refuse(
    stream: &mut UnixStream,
    operator: &Arc<dyn Operator>,
    (by, verb): (String, &str),
    reply: &Value,
) -> io::Result<Outcome> {
    let why: String = reply.get("message").and_then(Value::as_str).unwrap_or_default().chars().take(TOLD).collect();
    let verb: String = verb.chars().take(TOLD_VERB).collect();
    operator.refused(Refused { by, stranger: false, words: format!("`{verb}` was refused: {why}") });
    answer(stream, reply).await
}

/// Puts the user behind the name that is given; one who gives none is an operator.
fn sign(verb: &str, args: &mut Value, uid: u32) {
    if args.is_null() {
        *args = json!({});
    }
    let Some(args) = args.as_object_mut() else { return };
    // An incident that a person opens has their name for its cause.
    let opened = args.get("kind").is_some_and(|kind| kind == "opened");
    let field = match verb {
        "record" if opened => "cause",
        "record" if !args.contains_key("by") => return,
        _ => "by",
    };
    let by = args.get(field).and_then(Value::as_str).unwrap_or("operator");
    // What the gate opens one from is no person's word, and is refused as that.
    if !(opened && Opened::CAUSES.contains(&by)) {
        let by = signed(by, uid, &passwd());
        args.insert(field.to_owned(), Value::String(by));
    }
}

/// A record of a person's, with the user behind their name: for whoever writes it where no gate runs.
#[must_use]
pub fn by_user(mut event: Value, uid: u32) -> Value {
    sign("record", &mut event, uid);
    event
}

fn user(uid: u32) -> String {
    signed("somebody", uid, &passwd())
}

/// Names of users, as far as the system has them in its own file.
fn passwd() -> String {
    let mut text = String::new();
    let read = fs::File::open("/etc/passwd").and_then(|file| file.take(PASSWD).read_to_string(&mut text));
    read.map(|_| text).unwrap_or_default()
}

/// What a person may put on record; everything else is for those who saw it.
fn persons(args: Value) -> Result<Event, String> {
    match serde_json::from_value(args) {
        Ok(
            event @ (Event::Note(_)
            | Event::Decision(_)
            | Event::Told(_)
            | Event::Report(_)
            | Event::Closed(_)
            | Event::Assurance(_)),
        ) => Ok(event),
        // What the gate opens from is the gate's to say.
        Ok(Event::Opened(opened)) if opened.is_a_persons() => Ok(Event::Opened(opened)),
        Ok(_) => {
            Err("people record notes, decisions, who was told, reports, assurances, the beginning and the end of an incident"
                .to_owned())
        }
        Err(error) => Err(format!("that is no record: {error}")),
    }
}

/// Answers what asks about the brain, or asks something of it.
fn operate(operator: &dyn Operator, verb: &str, args: &Value) -> Value {
    match command(verb, args) {
        Ok(None) => json!({"ok": true, "message": "", "status": operator.status()}),
        Ok(Some(command)) => {
            match operator.command(command, args.get("by").and_then(Value::as_str).unwrap_or("operator")) {
                Ok(words) => json!({"ok": true, "message": words}),
                Err(words) => refusal(&words),
            }
        }
        Err(words) => refusal(&words),
    }
}

/// What is asked of the brain; nothing where its status is asked for.
fn command(verb: &str, args: &Value) -> Result<Option<Command>, String> {
    let text = |key: &str| args.get(key).and_then(Value::as_str).map(str::to_owned);
    let need = |key: &str| text(key).ok_or_else(|| format!("`{verb}` needs `{key}`"));
    let time = |key: &str| args.get(key).and_then(Value::as_u64).ok_or_else(|| format!("`{verb}` needs `{key}`"));
    let rule = || {
        let id = need("id")?;
        let number = id.strip_prefix("r-").unwrap_or(&id).parse();
        number.map(RuleId).map_err(|_| format!("`{id}` is not the name of a rule, such as r-81"))
    };
    let command = match (verb, text("do").as_deref()) {
        ("status", _) | ("rules" | "event", None | Some("list")) => return Ok(None),
        ("rules", Some("pin")) => Command::Pin(rule()?),
        ("rules", Some("undo")) => Command::Undo(rule()?),
        ("posture", _) => {
            let name = need("posture")?;
            let posture = match name.as_str() {
                "auto" => None,
                _ => Some(Posture::from_name(&name).ok_or_else(|| format!("there is no posture {name}"))?),
            };
            Command::Posture { platform: text("platform"), posture }
        }
        ("event", Some("add")) => {
            let (from, until) = (time("from")?, time("until")?);
            Command::AddEvent { name: need("name")?, platform: text("platform"), from, until }
        }
        ("event", Some("cancel")) => Command::CancelEvent { name: need("name")? },
        (_, what) => return Err(format!("`{verb}` cannot {}", what.unwrap_or_default())),
    };
    Ok(Some(command))
}

/// Sends the sockets and waits for `ready`. Anything else that happens leaves this process in charge.
async fn hand_over(
    stream: &mut UnixStream,
    buffer: &mut Vec<u8>,
    operator: &dyn Operator,
    successor: Option<u32>,
) -> io::Result<Outcome> {
    let resting = async {
        while !operator.rest(HANDOVER_DEADLINE) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    drop(timeout(DEADLINE, resting).await);
    let sockets = match operator.sockets() {
        Ok(sockets) if sockets.is_empty() => return answer(stream, &refusal("there is nothing to hand over")).await,
        Ok(sockets) if sockets.len() > DESCRIPTORS => return answer(stream, &refusal("too many sockets")).await,
        Ok(sockets) => sockets,
        Err(error) => return answer(stream, &refusal(&error.to_string())).await,
    };
    timeout(DEADLINE, send_sockets(stream, &sockets)).await??;
    drop(sockets);
    let (verb, _) = match timeout(HANDOVER_DEADLINE, read_request(stream, buffer)).await {
        Ok(request) => request?,
        Err(_) => return answer(stream, &refusal("the new process was not ready in time")).await,
    };
    if verb != "ready" {
        return answer(stream, &refusal("only `ready` can follow a take-over")).await;
    }
    operator.handed_over(successor);
    // The hand-over stands even if the successor does not wait to hear of it.
    drop(answer(stream, &json!({"ok": true, "message": "draining"})).await);
    Ok(Outcome::HandedOver)
}

/// One line that names the sockets, with as many of them as one message carries; the rest behind empty lines.
async fn send_sockets(stream: &mut UnixStream, sockets: &[Named]) -> io::Result<()> {
    let list: Vec<Value> =
        sockets.iter().map(|named| json!({"name": named.name, "bind": named.bind.to_string()})).collect();
    let mut bytes = json!({"ok": true, "sockets": list}).to_string().into_bytes();
    bytes.push(b'\n');
    let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().map(|named| named.socket.as_fd()).collect();
    for chunk in descriptors.chunks(DESCRIPTORS_PER_MESSAGE) {
        let sent = stream.async_io(Interest::WRITABLE, || send_with(&*stream, &bytes, chunk)).await?;
        // The descriptors went with the first of the bytes.
        stream.write_all(bytes.get(sent..).unwrap_or_default()).await?;
        bytes = b"\n".to_vec();
    }
    Ok(())
}

fn send_with(stream: impl std::os::fd::AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_PER_MESSAGE))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("more descriptors than one message carries"));
    }
    Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

async fn answer(stream: &mut UnixStream, value: &Value) -> io::Result<Outcome> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    timeout(DEADLINE, async {
        stream.write_all(&line).await?;
        stream.shutdown().await
    })
    .await??;
    Ok(Outcome::Answered)
}

fn refusal(message: &str) -> Value {
    json!({"ok": false, "message": message})
}

/// The verb of the next line with its arguments; what follows the line stays in the buffer.
async fn read_request(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> io::Result<(String, Value)> {
    let end = loop {
        match buffer.iter().take(REQUEST_BYTES).position(|byte| *byte == b'\n') {
            Some(end) => break end,
            None if buffer.len() >= REQUEST_BYTES => {
                return Err(invalid(&format!("a request is at most {REQUEST_BYTES} bytes")));
            }
            None => {}
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let line: Vec<u8> = buffer.drain(..=end).collect();
    let mut request: Value = serde_json::from_slice(&line).map_err(|_| invalid("a request is one line of JSON"))?;
    let verb = request.get("verb").and_then(Value::as_str).map(str::to_owned);
    let verb = verb.ok_or_else(|| invalid("a request has a `verb`"))?;
    Ok((verb, request.get_mut("args").map(Value::take).unwrap_or_default()))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

// ---------------------------------------------------------------------------------------------------------------------
// The client's side, blocking: the command line and a new process before it has a runtime.

#[derive(Debug)]
struct Line {
    stream: StdUnixStream,
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Line {
    fn connect(socket: &Path) -> io::Result<Self> {
        let stream = StdUnixStream::connect(socket)?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, bytes: Vec::new(), descriptors: Vec::new() })
    }

    fn request(self, verb: &str) -> io::Result<Self> {
        self.request_with(verb, &Value::Null)
    }

    fn request_with(mut self, verb: &str, args: &Value) -> io::Result<Self> {
        let mut line = match args {
            Value::Null => json!({ "verb": verb }).to_string(),
            args => json!({ "verb": verb, "args": args }).to_string(),
        };
        line.push('\n');
        match self.stream.write_all(line.as_bytes()) {
            // It refused before it read, and the reason can still be read.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(self),
        }
    }

    fn read_answer(&mut self) -> io::Result<Answer> {
        self.read_line().map(|value| answer_of(&value))
    }

    /// The next line that is not empty.
    fn read_line(&mut self) -> io::Result<Value> {
        let mut searched = 0;
        loop {
            let rest = self.bytes.get(searched..).unwrap_or_default();
            match rest.iter().position(|byte| *byte == b'\n') {
                Some(0) if searched == 0 => drop(self.bytes.drain(..1)),
                Some(end) => {
                    let line: Vec<u8> = self.bytes.drain(..=searched + end).collect();
                    return serde_json::from_slice(&line).map_err(|_| invalid("the answer is not JSON"));
                }
                None if self.bytes.len() > ANSWER_BYTES => return Err(invalid("the answer has no end")),
                None => {
                    searched = self.bytes.len();
                    self.receive()?;
                }
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut bytes = [0_u8; 16 * 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_PER_MESSAGE))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let message = loop {
            let slices = &mut [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.stream, slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                other => break other?,
            }
        };
        for received in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = received {
                self.descriptors.extend(descriptors);
            }
        }
        if message.flags.contains(ReturnFlags::CTRUNC) {
            return Err(invalid("descriptors were lost: this process may not open so many"));
        }
        if self.descriptors.len() > DESCRIPTORS {
            return Err(invalid("more descriptors than a gate has"));
        }
        if message.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.bytes.extend_from_slice(bytes.get(..message.bytes).unwrap_or_default());
        Ok(())
    }
}

fn answer_of(value: &Value) -> Answer {
    Answer {
        ok: value.get("ok").and_then(Value::as_bool).unwrap_or(false),
        message: value.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
        generation: value.get("generation").and_then(Value::as_u64),
        status: value.get("status").cloned(),
    }
}

fn declared_sockets(list: &Value) -> Option<Vec<(String, SocketAddr)>> {
    let one =
        |entry: &Value| Some((entry.get("name")?.as_str()?.to_owned(), entry.get("bind")?.as_str()?.parse().ok()?));
    list.as_array().filter(|list| list.len() <= DESCRIPTORS)?.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::net::TcpListener;
    use std::sync::Mutex;
    use std::sync::mpsc;

    use super::*;

    /// A gate with these sockets, whose configuration has this problem.
    #[derive(Default)]
    struct Gate {
        sockets: Vec<TcpListener>,
        /// How often each of them is handed over.
        copies: usize,
        problem: Option<&'static str>,
        drained_for: Mutex<Option<Option<u32>>>,
        /// Who asked for what, and who was refused.
        told: Mutex<Vec<String>>,
    }

    impl Gate {
        fn with(sockets: usize) -> Arc<Self> {
            let sockets = (0..sockets).map(|_| TcpListener::bind("127.0.0.1:0").expect("free")).collect();
            Arc::new(Self { sockets, copies: 1, ..Self::default() })
        }
    }

    impl Operator for Gate {
        fn reload(&self) -> Result<Reloaded, String> {
            match self.problem {
                Some("panic") => panic!("as the test wants it"),
                Some(problem) => Err(problem.into()),
                None => Ok(Reloaded { message: "2 platforms".into(), generation: 2 }),
            }
        }

        fn changed(&self, change: &Change) -> Result<Reloaded, String> {
            let reloaded = self.reload()?;
            self.told.lock().expect("whole").push(format!("{}: {}", change.by, change.words));
            Ok(reloaded)
        }

        fn command(&self, command: Command, by: &str) -> Result<String, String> {
            self.told.lock().expect("whole").push(format!("{by}: {command:?}"));
            Ok(format!("{command:?}"))
        }

        fn told(&self, event: Event) -> Result<String, String> {
            self.told.lock().expect("whole").push(serde_json::to_string(&event).expect("JSON"));
            Ok(String::new())
        }

        fn refused(&self, refused: Refused) {
            assert!(!refused.stranger, "who may ask is no stranger");
            self.told.lock().expect("whole").push(format!("{}: {}", refused.by, refused.words));
        }

        fn status(&self) -> Value {
            json!({"sockets": self.sockets.len()})
        }
        fn sockets(&self) -> io::Result<Vec<Named>> {
            let named = |socket: &TcpListener| {
                let bind = socket.local_addr()?;
                Ok(Named { name: format!("port {}", bind.port()), bind, socket: socket.try_clone()?.into() })
            };
            self.sockets.iter().flat_map(|socket| std::iter::repeat_n(socket, self.copies)).map(named).collect()
        }
        fn handed_over(&self, successor: Option<u32>) {
            *self.drained_for.lock().expect("whole") = Some(successor);
        }
    }

    /// Serves on a thread until it has handed over; the receiver then gets the result.
    fn served(path: &Path, gate: &Arc<Gate>) -> mpsc::Receiver<io::Result<()>> {
        let socket = ControlSocket::open(path, Claim::Unheld).expect("free");
        let (done, ended) = mpsc::channel();
        let gate = Arc::clone(gate);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            // The test may be over before.
            drop(done.send(runtime.block_on(socket.serve(gate))));
        });
        ended
    }

    fn raw(path: &Path, bytes: &[u8]) -> Value {
        let mut stream = StdUnixStream::connect(path).expect("served");
        // It may refuse before all is written.
        drop(stream.write_all(bytes));
        drop(stream.shutdown(std::net::Shutdown::Write));
        let mut line = Vec::new();
        let read = BufReader::new(stream).take(ANSWER_BYTES as u64).read_until(b'\n', &mut line);
        assert!(read.is_ok() || !line.is_empty());
        serde_json::from_slice(&line).expect("one line of JSON")
    }

    #[test]
    fn verbs_are_answered() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("made/for/it/control.sock");
        let _ended = served(&path, &Gate::with(0));
        let reloaded = Answer { ok: true, message: "2 platforms".into(), generation: Some(2), status: None };
        assert_eq!(ask(&path, "reload").expect("served"), reloaded);
        let status = ask(&path, "status").expect("served");
        assert_eq!((status.ok, status.status), (true, Some(json!({"sockets": 0}))));
        for verb in ["ready", "stop", ""] {
            assert!(!ask(&path, verb).expect("served").ok, "{verb}");
        }
        assert!(take_over(&path).expect_err("no sockets").to_string().contains("nothing to hand over"));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a directory")), 0o700);
    }

    #[test]
    fn what_operators_ask_of_the_brain_is_understood_or_refused_in_words() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        let _ended = served(&path, &Gate::with(0));
        let table = [
            ("rules", json!({"do": "undo", "id": "r-81"}), Ok("Undo(RuleId(81))")),
            ("rules", json!({"do": "pin", "id": "81"}), Ok("Pin(RuleId(81))")),
            ("rules", json!({"do": "list"}), Ok("")),
            ("rules", json!({"do": "undo"}), Err("needs `id`")),
            ("rules", json!({"do": "undo", "id": "all"}), Err("not the name of a rule")),
            ("rules", json!({"do": "burn", "id": "r-1"}), Err("cannot burn")),
            ("posture", json!({"posture": "attack"}), Ok("Posture { platform: None, posture: Some(Attack) }")),
            ("posture", json!({"posture": "auto", "platform": "public"}), Ok("Some(\"public\"), posture: None")),
            ("posture", json!({"posture": "panic"}), Err("no posture panic")),
            ("posture", json!([]), Err("needs `posture`")),
            ("event", json!({"do": "add", "name": "debate", "from": 1, "until": 2}), Ok("from: 1, until: 2")),
            ("event", json!({"do": "add", "name": "debate", "from": -1, "until": 2}), Err("needs `from`")),
            ("event", json!({"do": "cancel", "name": "debate"}), Ok("CancelEvent")),
        ];
        for (verb, args, expected) in table {
            let answer = ask_with(&path, verb, &args).expect("served");
            assert_eq!(answer.ok, expected.is_ok(), "{verb} {args}: {answer:?}");
            let words = expected.unwrap_or_else(|words| words);
            assert!(answer.message.contains(words), "{verb} {args}: {answer:?}");
        }
    }

    #[test]
    fn who_asks_is_known_by_the_name_that_they_give_and_the_user_that_they_are() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        let gate = Gate::with(0);
        let _ended = served(&path, &gate);
        let user = signed("", rustix::process::geteuid().as_raw(), &passwd());
        let note = |by: &str| json!({"kind": "note", "incident": "i", "by": by, "words": "w"});
        let open = |cause: &str| json!({"kind": "opened", "incident": "i", "since": 1, "platforms": [], "cause": cause, "words": "w"});
        let table = [
            (
                "rules",
                json!({"do": "undo", "id": "r-81", "by": "alice"}),
                true,
                format!("alice{user}: Undo(RuleId(81))"),
            ),
            ("rules", json!({"do": "undo", "id": "r-81", "by": "gate"}), true, format!("gate{user}: Undo(RuleId(81))")),
            ("rules", json!({"do": "undo", "id": "r-81"}), true, format!("operator{user}: Undo(RuleId(81))")),
            ("reload", Value::Null, true, format!("operator{user}: {AGAIN}")),
            ("changed", json!({"by": "bob", "words": "more"}), true, format!("bob{user}: more")),
            ("record", note("carol"), true, format!("\"by\":\"carol{user}\"")),
            ("record", open("dan"), true, format!("\"cause\":\"dan{user}\"")),
            // The twins that are refused are on record, too.
            ("record", open("posture"), false, format!("somebody{user}: `record` was refused: people record")),
            ("record", json!({"kind": "start"}), false, format!("somebody{user}: `record` was refused:")),
            (
                "posture",
                json!({"posture": "panic", "by": "eve"}),
                false,
                format!("eve{user}: `posture` was refused: there is"),
            ),
            ("burn", json!({"by": "eve"}), false, format!("eve{user}: `burn` was refused: the verbs are")),
        ];
        for (verb, args, ok, expected) in table {
            assert_eq!(ask_with(&path, verb, &args).expect("served").ok, ok, "{verb} {args}");
            let told = std::mem::take(&mut *gate.told.lock().expect("whole"));
            assert!(told.len() == 1 && told[0].contains(&expected), "{verb} {args}: {told:?}, not {expected}");
        }
        assert!(ask(&path, "status").expect("served").ok);
        assert_eq!(gate.told.lock().expect("whole").len(), 0, "who looks changes nothing");
        raw(&path, b"nonsense\n");
        let told = gate.told.lock().expect("whole").pop().expect("told");
        assert!(told.starts_with(&format!("somebody{user}: `` was refused: a request is")), "{told}");
    }

    #[test]
    fn a_reload_that_fails_says_why() {
        for (problem, expected) in [("line 3: no such key", "line 3: no such key"), ("panic", "the reload panicked")] {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("control.sock");
            let gate = Gate { copies: 1, problem: Some(problem), ..Gate::default() };
            let _ended = served(&path, &Arc::new(gate));
            let answer = ask(&path, "reload").expect("served");
            assert!(!answer.ok && answer.message.starts_with(expected), "{answer:?}");
            assert!(ask(&path, "status").expect("it goes on").ok);
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        let _ended = served(&path, &Gate::with(0));
        let padded = |length: usize| {
            let mut line = br#"{"verb":"status","pad":""#.to_vec();
            line.resize(length - 3, b'x');
            line.extend(b"\"}\n");
            line
        };
        for (bytes, expected) in [
            (padded(REQUEST_BYTES), ""),
            (padded(REQUEST_BYTES + 1), "at most 4096 bytes"),
            (vec![b'x'; 1024 * 1024], "at most 4096 bytes"),
            (b"\n".to_vec(), "one line of JSON"),
            (b"{\"verb\":\n".to_vec(), "one line of JSON"),
            (b"\xff\n".to_vec(), "one line of JSON"),
            (b"{}\n".to_vec(), "has a `verb`"),
            (b"{\"verb\":7}\n".to_vec(), "has a `verb`"),
            (b"{\"verb\":\"status\"}".to_vec(), "unexpected end"),
        ] {
            let answer = raw(&path, &bytes);
            assert_eq!(answer["ok"], expected.is_empty(), "{answer}");
            assert!(answer["message"].as_str().expect("words").contains(expected), "{answer}");
        }
    }

    #[test]
    fn sockets_change_hands_and_the_old_gate_learns_when() {
        // More descriptors than one message carries.
        let sockets = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").expect("free")).collect();
        let gate = Gate { sockets, copies: DESCRIPTORS_PER_MESSAGE, ..Gate::default() };
        let gate = Arc::new(gate);
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        let ended = served(&path, &gate);

        let (inherited, handle) = take_over(&path).expect("handed over");
        let expected: HashSet<_> = gate.sockets.iter().map(|socket| socket.local_addr().expect("bound")).collect();
        assert_eq!(inherited.left().len(), 2 * DESCRIPTORS_PER_MESSAGE);
        assert_eq!(inherited.left().into_iter().collect::<HashSet<_>>(), expected);
        assert!(take_over(&path).expect_err("one at a time").to_string().contains("another take-over"));
        assert!(ask(&path, "status").expect("it still serves").ok);
        assert_eq!(*gate.drained_for.lock().expect("whole"), None);

        let successor = ControlSocket::open(&path, Claim::FromPredecessor).expect("replaces it");
        handle.ready().expect("the old gate lives");
        assert_eq!(*gate.drained_for.lock().expect("whole"), Some(Some(std::process::id())));
        assert!(ended.recv().expect("it ended").is_ok());
        assert!(path.exists(), "the old gate leaves the successor's socket");
        drop(successor);
        assert!(!path.exists());
    }

    #[test]
    fn every_socket_arrives_under_its_own_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        let gate = Gate::with(5);
        let _ended = served(&path, &gate);
        let (mut inherited, _handle) = take_over(&path).expect("handed over");
        for socket in &gate.sockets {
            let bind = socket.local_addr().expect("bound");
            let policy = crate::sockets::tests::policy(&[&bind.to_string()]);
            let opened = crate::sockets::open(&policy, 1, &mut inherited).expect("inherited");
            assert_eq!(opened[0].local, bind);
        }
        assert!(inherited.is_empty());
    }

    #[test]
    fn a_new_process_that_dies_before_it_is_ready_changes_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        let gate = Gate::with(2);
        let ended = served(&path, &gate);
        for _ in 0..3 {
            // The gate hears of the end of the last one a moment after it; until then it refuses another.
            let taken = (0..500).find_map(|_| {
                std::thread::sleep(Duration::from_millis(10));
                take_over(&path).ok()
            });
            drop(taken.expect("the last one is forgotten"));
        }
        assert!(ask(&path, "status").expect("it still serves").ok);
        assert_eq!(*gate.drained_for.lock().expect("whole"), None);
        assert!(ended.try_recv().is_err(), "it still serves");
    }

    #[test]
    fn the_path_is_taken_only_from_the_dead() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        drop(StdUnixListener::bind(&path).expect("free"));
        assert!(path.exists(), "std leaves it: a leftover");
        let first = ControlSocket::open(&path, Claim::Unheld).expect("nobody answers");
        let error = ControlSocket::open(&path, Claim::Unheld).expect_err("held");
        assert!(error.kind() == io::ErrorKind::AddrInUse && error.to_string().contains("--takeover"), "{error}");
        drop(first);
        assert!(!path.exists());
        fs::write(&path, "precious").expect("a file");
        for claim in [Claim::Unheld, Claim::FromPredecessor] {
            let error = ControlSocket::open(&path, claim).expect_err("a file");
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!(fs::read(&path).expect("still there"), b"precious");
        assert_eq!(fs::read_dir(directory.path()).expect("there").count(), 1, "no leftovers of ours");
    }
}
