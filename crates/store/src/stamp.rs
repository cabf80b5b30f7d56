//! Time stamps (RFC 3161) of checkpoints: authorities elsewhere say that it was there by then.
//!
//! They are asked by a thread of their own. One that cannot be asked, or answers something else, costs the stamp and nothing
//! else, and that is on record.
//!
//! ```text
//! stamps/AUTHORITY/SIZE.checkpoint      what was stamped, as it was published
//! stamps/AUTHORITY/SIZE.tst             the token over it (DER)
//! ```

use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_ledger::checkpoint::Checkpoint;
use portcullis_ledger::note::Note;
use portcullis_ledger::stamp::{ANSWER_BYTES, Request, Stamp};
use portcullis_ledger::{Event, Stamped};
use sha2::{Digest, Sha256};

use crate::disk::{Directory, Disk};
use crate::log::replace;
use crate::post::Place;
use crate::random;
use crate::reader::broken;
use crate::writer::{GATE, Shared, now};

const FOLDER: &str = "stamps";
/// How soon an authority that gave no stamp is asked again, unless it is asked more often anyway.
const AGAIN: Duration = Duration::from_secs(60);
/// How often it is looked for who is to be asked.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Who stamps.
#[derive(Debug, Clone)]
pub struct Authority {
    name: String,
    place: Place,
    every: Duration,
}

impl Authority {
    /// From a name that a directory can have, `http://host:port`, a path, and how often it is asked.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(name: &str, url: &str, path: &str, every: Duration) -> Result<Self, String> {
        Ok(Self { name: name.to_owned(), place: Place::new(url, path)?, every })
    }

    /// Asks for a stamp of this note, and keeps it.
    fn stamp(&self, disk: &Directory, size: u64, note: &[u8]) -> Result<Stamped, String> {
        let plain = |error: io::Error| error.to_string();
        let mut bytes = [0; 8];
        random(&mut bytes).map_err(plain)?;
        let request = Request::new(Sha256::digest(note).into(), u64::from_be_bytes(bytes));
        let (status, answer) =
            self.place.post("application/timestamp-query", &request.der(), ANSWER_BYTES).map_err(plain)?;
        if status != 200 {
            return Err(format!("it refuses with status {status}"));
        }
        let (token, stamp) = request.answered(&answer).map_err(|why| why.to_string())?;
        // What is stamped first: a token always has it beside it.
        let [checkpoint, tst] = paths(&self.name, size);
        let kept = replace(disk, &checkpoint, note).and_then(|()| replace(disk, &tst, token));
        kept.map_err(|error| format!("its stamp cannot be kept: {error}"))?;
        Ok(Stamped {
            authority: self.name.clone(),
            size,
            good: true,
            time: stamp.unix_millis,
            nonce: format!("{:016x}", request.nonce),
            token: digest(token),
            words: String::new(),
        })
    }
}

fn paths(authority: &str, size: u64) -> [String; 2] {
    [format!("{FOLDER}/{authority}/{size:020}.checkpoint"), format!("{FOLDER}/{authority}/{size:020}.tst")]
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An authority while the store runs.
struct Clock {
    authority: Authority,
    /// The size that it stamped last.
    stamped: u64,
    due: Instant,
    /// What was recorded of it last, and when.
    told: Option<(bool, Instant)>,
}

impl Clock {
    /// As it was left by whoever ran before.
    fn new(authority: Authority, disk: &Directory) -> Self {
        // A directory that cannot be read is one without stamps: one more is asked for.
        let last = of(disk, &authority.name).ok().and_then(|all| all.into_iter().next_back());
        let age =
            last.as_ref().and_then(|last| last.stamp.as_ref()).map(|stamp| now().saturating_sub(stamp.unix_millis));
        let wait = age.map_or(Duration::ZERO, |age| authority.every.saturating_sub(Duration::from_millis(age)));
        Self { stamped: last.map_or(0, |last| last.size), due: Instant::now() + wait, told: None, authority }
    }

    /// Asks it if it is time: what came of it, and whether that is to be recorded.
    fn ask(&mut self, disk: &Directory, witnessed: bool) -> Option<(Stamped, bool)> {
        if self.due > Instant::now() {
            return None;
        }
        let (authority, every) = (self.authority.name.clone(), self.authority.every);
        let failed = |size, words| Stamped { authority, size, words, ..Stamped::default() };
        let stamped = match self.newest(disk, witnessed) {
            Ok(None) => return None,
            Ok(Some((size, note))) => self.authority.stamp(disk, size, &note).unwrap_or_else(|why| failed(size, why)),
            Err(error) => failed(self.stamped, format!("no checkpoint can be shown to it: {error}")),
        };
        let good = stamped.good;
        self.due = Instant::now() + if good { every } else { AGAIN.min(every) };
        if good {
            self.stamped = stamped.size;
        }
        // That there is still none is said as often as there should be one.
        let tell = good || self.told.is_none_or(|(before, at)| before || at.elapsed() >= every);
        if tell {
            self.told = Some((good, Instant::now()));
        }
        Some((stamped, tell))
    }

    /// The witnessed checkpoint where there is a newer one, else the latest; none where it has stamped that.
    fn newest(&self, disk: &Directory, witnessed: bool) -> io::Result<Option<(u64, Vec<u8>)>> {
        for path in ["checkpoint.witnessed", "checkpoint"].into_iter().skip(usize::from(!witnessed)) {
            let note = match disk.read(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                note => note?,
            };
            let size = checkpoint(&note).ok_or_else(|| broken(format!("{path} is none")))?.size;
            if size > self.stamped {
                return Ok(Some((size, note)));
            }
        }
        Ok(None)
    }
}

/// Asks whoever is due, until the store closes. `witnessed` is whether a quorum of witnesses is wanted.
pub(crate) fn ask_until_closed(shared: &Shared, disk: &Directory, authorities: Vec<Authority>, witnessed: bool) {
    let closing = || shared.closing.load(Ordering::Acquire);
    // Whoever takes over reads what the other left once that is all there is.
    while shared.counters.published.load(Ordering::Relaxed) == 0 {
        if closing() {
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
    let mut clocks: Vec<Clock> = authorities.into_iter().map(|authority| Clock::new(authority, disk)).collect();
    while !closing() {
        for clock in &mut clocks {
            let Some((stamped, tell)) = clock.ask(disk, witnessed).filter(|_| !closing()) else { continue };
            let counter = if stamped.good { &shared.counters.stamped } else { &shared.counters.unstamped };
            counter.fetch_add(1, Ordering::Relaxed);
            if tell {
                if !stamped.good {
                    tracing::warn!(authority = stamped.authority, "a checkpoint was not stamped: {}", stamped.words);
                }
                shared.lanes.put(&GATE, &Event::Stamped(stamped), now());
            }
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// A stamp as it is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Whose.
    pub authority: String,
    /// Of how many leaves, as its file is called.
    pub size: u64,
    /// The checkpoint that it is over, as it was published.
    pub note: Vec<u8>,
    /// The token (DER).
    pub token: Vec<u8>,
    /// What the token says; none where it is none.
    pub stamp: Option<Stamp>,
}

impl Kept {
    /// The checkpoint, where it is the one that its file says and the token is over it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn checkpoint(&self) -> Result<Checkpoint, &'static str> {
        let stamp = self.stamp.as_ref().ok_or("it is no time stamp")?;
        if stamp.imprint != <[u8; 32]>::from(Sha256::digest(&self.note)) {
            return Err("it stamps something else than the checkpoint beside it");
        }
        checkpoint(&self.note).filter(|checkpoint| checkpoint.size == self.size).ok_or("beside it is no checkpoint")
    }

    /// SHA-256 of the token, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.token)
    }

    /// Where checkpoint and token lie in the directory.
    #[must_use]
    pub fn paths(&self) -> [String; 2] {
        paths(&self.authority, self.size)
    }
}

fn checkpoint(note: &[u8]) -> Option<Checkpoint> {
    Note::parse(note).ok().and_then(|note| Checkpoint::parse(note.text))
}

/// Every stamp of a directory: by authority, the smallest tree first.
///
/// # Errors
/// When one cannot be read.
pub fn all(disk: &impl Disk) -> io::Result<Vec<Kept>> {
    let mut all = Vec::new();
    for authority in disk.list(FOLDER)? {
        all.extend(of(disk, &authority)?);
    }
    Ok(all)
}

fn of(disk: &impl Disk, authority: &str) -> io::Result<Vec<Kept>> {
    let sizes = disk.list(&format!("{FOLDER}/{authority}"))?;
    let sizes = sizes.iter().filter_map(|name| name.strip_suffix(".tst")?.parse().ok());
    sizes
        .map(|size: u64| {
            let [note, token] = paths(authority, size);
            // A token without what it is over says nothing, and is told as that.
            let note = disk.read(&note).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(Vec::new()),
                _ => Err(error),
            })?;
            let token = disk.read_at(&token, 0, ANSWER_BYTES)?;
            let stamp = Stamp::parse(&token);
            Ok(Kept { authority: authority.to_owned(), size, note, token, stamp })
        })
        .collect()
}
