//! The socket on which an operator asks the sensors: how they stand, for a drill, to take a baseline, to put a manifest in force.
//!
//! One line of JSON is asked and one is answered. Only root and whoever runs the gate may ask.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use portcullis_ledger::{Act, Event, Login};
use portcullis_types::signed;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::drill::Trial;
use crate::manifest::BYTES;
use crate::{Shared, lock, low_priority, unix_millis};

/// The longest question: a manifest in JSON.
const QUESTION: u64 = 2 * BYTES;
/// Those who ask at once.
const ASKING: usize = 8;
/// How long somebody may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may take: a drill that waits for a sweep, a baseline of everything.
const ANSWER: Duration = Duration::from_secs(900);
/// Letters of a refusal that are written down.
const TOLD: usize = 300;
/// Refusals of one minute that are put on record.
const REFUSED: u32 = 64;
/// The longest file of users.
const PASSWD: u64 = 1 << 20;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Question {
    /// How do the sensors stand?
    Status,
    /// Try them.
    Drill {
        /// Only what is called so, or begins with it.
        only: Option<String>,
        /// Who asks.
        by: String,
    },
    /// Try what was not tried lately, before something is said that rests on it.
    Due {
        /// Seconds: what was tried within so long is not tried again.
        fresh: u64,
        /// Seconds that all of it may take.
        within: u64,
        /// Who asks.
        by: String,
    },
    /// Take what is there as what should be there.
    Baseline {
        /// Only the directory of that name, or what its sensor is called: `pages/public`, `schema/members`.
        only: Option<String>,
        /// Who says so.
        by: String,
    },
    /// Put a manifest in force.
    Deploy {
        /// The manifest with its signatures.
        manifest: String,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// In words.
    pub words: String,
    /// The same as values.
    #[serde(default)]
    pub value: Value,
}

/// Where the sensors of the gate with that control socket are asked.
#[must_use]
pub fn socket(control: &Path) -> PathBuf {
    control.with_extension("sensors")
}

/// Asks the sensors of a running gate.
///
/// # Errors
/// As the system gives them; an answer that is none.
pub fn ask(socket: &Path, question: &Question) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(QUESTION)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// Opens the socket and answers on it until the sensors go.
pub(crate) fn open(path: &Path, shared: &Arc<Shared>) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    // Bound beside its place and moved there: a gate that takes over replaces it in one step.
    let fresh = path.with_extension(format!("sensors.{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh).map_err(failed)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    fs::rename(&fresh, path).map_err(failed)?;
    let shared = Arc::downgrade(shared);
    let serve = move || {
        low_priority();
        let asking = Arc::new(AtomicUsize::new(0));
        for stream in listener.incoming() {
            if shared.upgrade().is_none() {
                return;
            }
            let Ok(stream) = stream else {
                thread::sleep(Duration::from_millis(100));
                continue;
            };
            if asking.fetch_add(1, Ordering::AcqRel) >= ASKING {
                asking.fetch_sub(1, Ordering::AcqRel);
                continue;
            }
            let (shared, asking) = (Weak::clone(&shared), Arc::clone(&asking));
            let converse = move || {
                // Whoever does not wait for the answer has gone.
                let _ = converse(&stream, &shared);
                asking.fetch_sub(1, Ordering::AcqRel);
            };
            let _ = thread::Builder::new().name("sensors-asked".to_owned()).spawn(converse);
        }
    };
    thread::Builder::new().name("sensors-control".to_owned()).spawn(serve).map(drop).map_err(failed)
}

fn converse(mut stream: &UnixStream, shared: &Weak<Shared>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    let stranger = !peer.uid.is_root() && peer.uid != rustix::process::geteuid();
    // What the gate's own console asks it asks for a person who is known to it.
    let own = peer.pid == rustix::process::getpid();
    let sign = |by: &str| if own { by.to_owned() } else { signed(by, peer.uid.as_raw(), &passwd()) };
    let answer = if stranger {
        if let Some(shared) = shared.upgrade() {
            let (place, who) = ("control".to_owned(), sign("somebody"));
            tracing::warn!(by = who, "the sensors' socket: somebody may not ask");
            record(&shared, Event::Login(Login { place, who, client: None, good: false }));
        }
        refusal("only the user that runs the gate, and root, may ask")
    } else {
        let mut line = String::new();
        BufReader::new(stream.take(QUESTION)).read_line(&mut line)?;
        match (serde_json::from_str(&line), shared.upgrade()) {
            (Ok(question), Some(shared)) => answer(question, &sign, &shared),
            (Err(error), Some(shared)) => refused(&shared, sign("somebody"), &format!("this is no question: {error}")),
            (_, None) => refusal("the sensors are ending"),
        }
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn refusal(words: &str) -> Answer {
    Answer { ok: false, words: words.to_owned(), value: Value::Null }
}

/// Says no to whoever may ask, and has it on record.
fn refused(shared: &Shared, by: String, why: &str) -> Answer {
    let words = format!("The sensors were asked, and refused: {}", why.chars().take(TOLD).collect::<String>());
    record(shared, Event::Act(Act { what: "refused".to_owned(), by, words, ..Act::default() }));
    refusal(why)
}

/// Whoever asks in vain again and again fills no disk.
fn record(shared: &Shared, event: Event) {
    let minute = unix_millis() / 60_000;
    let mut refused = lock(&shared.refused);
    if refused.0 != minute {
        *refused = (minute, 0);
    }
    refused.1 = refused.1.saturating_add(1);
    if refused.1 <= REFUSED {
        shared.recorder.record(&"configuration".into(), event);
    }
}

/// Names of users, as far as the system has them in its own file.
fn passwd() -> String {
    let mut text = String::new();
    let read = fs::File::open("/etc/passwd").and_then(|file| file.take(PASSWD).read_to_string(&mut text));
    read.map(|_| text).unwrap_or_default()
}

fn answer(question: Question, sign: &dyn Fn(&str) -> String, shared: &Shared) -> Answer {
    let set = shared.set();
    match question {
        Question::Status => {
            let value = serde_json::to_value(set.sights()).unwrap_or_default();
            Answer { ok: true, words: String::new(), value }
        }
        Question::Drill { only, by } => {
            let by = sign(&by);
            let tried = set.drill(&Trial { only: only.as_deref(), ..Trial::of_all(&by) }).tried;
            let ok = tried.iter().all(|it| it.seen) && !tried.is_empty();
            let words =
                if tried.is_empty() { "there is nothing of that name to try".to_owned() } else { String::new() };
            Answer { ok, words, value: serde_json::to_value(tried).unwrap_or_default() }
        }
        Question::Due { fresh, within, by } => {
            let by = sign(&by);
            // No longer than whoever asks waits for an answer.
            let within = Duration::from_secs(within).min(ANSWER / 2);
            let drilled = set.drill(&Trial { only: None, by: &by, fresh: Duration::from_secs(fresh), within });
            let ok = drilled.late.is_empty() && drilled.tried.iter().all(|it| it.seen);
            Answer { ok, words: String::new(), value: serde_json::to_value(drilled).unwrap_or_default() }
        }
        Question::Baseline { only, by } => {
            let (by, mut words) = (sign(&by), Vec::new());
            for (name, outcome) in set.baseline(only.as_deref(), &by) {
                match outcome {
                    Ok(done) => words.push(done),
                    Err(why) => return refused(shared, by, &format!("{name}: {why}")),
                }
            }
            if words.is_empty() {
                return refused(shared, by, "nothing of that name has a baseline");
            }
            Answer { ok: true, words: words.join("\n"), value: Value::Null }
        }
        Question::Deploy { manifest } => match set.clerk.accept(&manifest, &sign("operator"), &set) {
            Ok(words) => Answer { ok: true, words, value: Value::Null },
            Err(why) => refused(shared, sign("operator"), &why.words()),
        },
    }
}
