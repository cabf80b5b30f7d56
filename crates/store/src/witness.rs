//! The witness: what it signed last lies durable on its disk before it signs. And the log's side, which asks witnesses.
//!
//! A witness that cannot be asked costs the evidence that it stands for, nothing else.

use std::io;
use std::sync::Mutex;
use std::thread;

use portcullis_ledger::checkpoint::Checkpoint;
use portcullis_ledger::note::{NOTE_BYTES, Note, SignerKey, VerifierKey};
use portcullis_ledger::tree;
use portcullis_ledger::witness::{Refusal, Request};

use crate::disk::{Directory, Disk};
use crate::lanes::lock;
use crate::log::replace;
use crate::post::Place;
use crate::reader::{Snapshot, broken};
use crate::stamp::digest;

/// What signs for others.
#[derive(Debug)]
pub struct Witness<D> {
    key: SignerKey,
    logs: Vec<VerifierKey>,
    /// Its state: one file for each log. Held while it is read, replaced and signed for.
    disk: Mutex<D>,
}

/// What is answered over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Of the body.
    pub content_type: &'static str,
    /// A line with a signature, a size, or words.
    pub body: String,
}

impl<D: Disk> Witness<D> {
    /// One that signs for these logs, with its state there.
    #[must_use]
    pub const fn new(key: SignerKey, logs: Vec<VerifierKey>, disk: D) -> Self {
        Self { key, logs, disk: Mutex::new(disk) }
    }

    /// What it answers to `POST /add-checkpoint`.
    #[must_use]
    pub fn add_checkpoint(&self, body: &[u8], unix_seconds: u64) -> Answer {
        let plain = |status, body: &str| Answer { status, content_type: "text/plain", body: format!("{body}\n") };
        let Some(request) = Request::parse(body) else {
            return plain(Refusal::Malformed.status(), Refusal::Malformed.words());
        };
        let disk = lock(&self.disk);
        let mut unread = None;
        let judged = request.judge(&self.logs, |origin| match last(&*disk, origin) {
            Ok(last) => last,
            Err(error) => {
                unread = Some(error);
                None
            }
        });
        // Without knowing what was signed last, anything could be a fork.
        if let Some(error) = unread {
            return plain(500, &format!("what was signed last cannot be read: {error}"));
        }
        match judged {
            Ok(checkpoint) => match replace(&*disk, &place(&checkpoint.origin), checkpoint.text().as_bytes()) {
                Ok(()) => Answer {
                    status: 200,
                    content_type: "text/plain; charset=utf-8",
                    body: self.key.line(&checkpoint.text(), unix_seconds),
                },
                Err(error) => plain(500, &format!("what is to be signed cannot be kept: {error}")),
            },
            Err(Refusal::Behind(size)) => {
                Answer { status: 409, content_type: "text/x.tlog.size", body: format!("{size}\n") }
            }
            Err(refusal) => plain(refusal.status(), refusal.words()),
        }
    }
}

fn last(disk: &impl Disk, origin: &str) -> io::Result<Option<Checkpoint>> {
    match disk.read(&place(origin)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(bytes) => {
            let text = String::from_utf8(bytes).map_err(|_| broken("it is no text"))?;
            Checkpoint::parse(&text).filter(|last| last.origin == origin).map(Some).ok_or_else(|| broken("it is none"))
        }
    }
}

fn place(origin: &str) -> String {
    format!("logs/{}", digest(origin.as_bytes()))
}

/// A witness as the log asks it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// By which it is known.
    pub key: VerifierKey,
    /// Where it listens.
    place: Place,
    /// What it signed last, as far as is known.
    pub old: u64,
}

impl Asked {
    /// From a key and `http://host:port`.
    ///
    /// # Errors
    /// When either is none.
    pub fn new(key: &str, url: &str) -> Result<Self, String> {
        let key = VerifierKey::parse(key).map_err(|why| format!("the witness's key `{key}`: {why}"))?;
        Ok(Self { key, place: Place::new(url, "/add-checkpoint")?, old: 0 })
    }

    /// Asks for a signature under this checkpoint: its line.
    fn sign(&mut self, snapshot: &Snapshot<Directory>) -> Result<String, String> {
        let size = snapshot.checkpoint.size;
        // The first answer may be which size it signed last.
        for _ in 0..2 {
            if self.old > size {
                return Err(format!("it has signed {} leaves, and the log has {size}", self.old));
            }
            let proof = tree::consistency(self.old, size, &mut |tile| snapshot.tile(tile));
            let proof = proof.map_err(|why| format!("no proof from {}: {why}", self.old))?;
            let log_only = Note::parse(snapshot.note.as_bytes()).map_err(|why| why.to_string())?.text.len();
            let request = Request { old: self.old, proof, note: snapshot.note.clone() }.text();
            let answer = self.place.post("text/plain", request.as_bytes(), NOTE_BYTES);
            let (status, body) = answer.map_err(|error| error.to_string())?;
            let body = String::from_utf8(body).map_err(|_| "its answer is no text")?;
            match status {
                200 => {
                    let text = snapshot.note.get(..log_only).unwrap_or_default();
                    let note = format!("{text}\n{body}");
                    let signed = Note::parse(note.as_bytes()).ok().and_then(|note| note.signed_by(&self.key));
                    signed.ok_or("what it answered is not its signature")?;
                    self.old = size;
                    return Ok(body);
                }
                409 => match body.trim_end().parse() {
                    Ok(last) if last != self.old => self.old = last,
                    _ => return Err(format!("it refuses: {}", body.trim_end())),
                },
                status => return Err(format!("it refuses with status {status}: {}", body.trim_end())),
            }
        }
        Err("it does not say which size it signed last".to_owned())
    }
}

/// Asks all witnesses at once; what each of them said, in their order. With a quorum of signatures the checkpoint is published
/// as witnessed.
///
/// # Errors
/// When the log's own checkpoint cannot be read, or the witnessed one not be written.
pub fn ask_all(
    directory: &Directory,
    witnesses: &mut [Asked],
    quorum: usize,
) -> io::Result<(u64, Vec<Result<(), String>>)> {
    let snapshot = Snapshot::open(directory.clone())?;
    let answers: Vec<Result<String, String>> = thread::scope(|scope| {
        let asked: Vec<_> = witnesses.iter_mut().map(|witness| scope.spawn(|| witness.sign(&snapshot))).collect();
        asked.into_iter().map(|one| one.join().unwrap_or_else(|_| Err("asking it failed".to_owned()))).collect()
    });
    let signed: Vec<&String> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    if !signed.is_empty() && signed.len() >= quorum {
        let note = signed.iter().fold(snapshot.note.clone(), |note, line| note + line);
        replace(directory, "checkpoint.witnessed", note.as_bytes())?;
    }
    Ok((snapshot.checkpoint.size, answers.into_iter().map(|answer| answer.map(drop)).collect()))
}
