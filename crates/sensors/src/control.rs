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

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::drill::Trial;
use crate::manifest::BYTES;
use crate::{Shared, low_priority};

/// The longest question: a manifest in JSON.
const QUESTION: u64 = 2 * BYTES;
/// Those who ask at once.
const ASKING: usize = 8;
/// How long somebody may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may take: a drill that waits for a sweep, a baseline of everything.
const ANSWER: Duration = Duration::from_secs(900);

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
    let peer = rustix::net::sockopt::socket_peercred(stream)?.uid;
    let answer = if !peer.is_root() && peer != rustix::process::geteuid() {
        refusal("only the user that runs the gate, and root, may ask")
    } else {
        let mut line = String::new();
        BufReader::new(stream.take(QUESTION)).read_line(&mut line)?;
        match (serde_json::from_str(&line), shared.upgrade()) {
            (Ok(question), Some(shared)) => answer(question, &shared),
            (Err(error), _) => refusal(&format!("this is no question: {error}")),
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

fn answer(question: Question, shared: &Shared) -> Answer {
    let set = shared.set();
    match question {
        Question::Status => {
            let value = serde_json::to_value(set.sights()).unwrap_or_default();
            Answer { ok: true, words: String::new(), value }
        }
        Question::Drill { only, by } => {
            let tried = set.drill(&Trial { only: only.as_deref(), ..Trial::of_all(&by) }).tried;
            let ok = tried.iter().all(|it| it.seen) && !tried.is_empty();
            let words =
                if tried.is_empty() { "there is nothing of that name to try".to_owned() } else { String::new() };
            Answer { ok, words, value: serde_json::to_value(tried).unwrap_or_default() }
        }
        Question::Due { fresh, within, by } => {
            // No longer than whoever asks waits for an answer.
            let within = Duration::from_secs(within).min(ANSWER / 2);
            let drilled = set.drill(&Trial { only: None, by: &by, fresh: Duration::from_secs(fresh), within });
            let ok = drilled.late.is_empty() && drilled.tried.iter().all(|it| it.seen);
            Answer { ok, words: String::new(), value: serde_json::to_value(drilled).unwrap_or_default() }
        }
        Question::Baseline { only, by } => {
            let mut words = Vec::new();
            for (name, outcome) in set.baseline(only.as_deref(), &by) {
                match outcome {
                    Ok(done) => words.push(done),
                    Err(why) => return refusal(&format!("{name}: {why}")),
                }
            }
            if words.is_empty() {
                return refusal("nothing of that name has a baseline");
            }
            Answer { ok: true, words: words.join("\n"), value: Value::Null }
        }
        Question::Deploy { manifest } => match set.clerk.accept(&manifest, &set) {
            Ok(words) => Answer { ok: true, words, value: Value::Null },
            Err(refused) => refusal(&refused.words()),
        },
    }
}
