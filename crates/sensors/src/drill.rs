//! Sensors, tried: an inert thing is put where a wrong one would be, through the same path, and must be seen.
//!
//! What was put there goes again whatever happens. Each drill is on record, seen or missed, with who asked for it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::TryLockError;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_config::integrity::{Files, Origin};
use portcullis_ledger::{Drill, Event};
use portcullis_types::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::bait::Way;
use crate::browsers::Awaited;
use crate::files::Ask;
use crate::lookout::all_told;
use crate::{Set, lock, names, origin, outside, schema, unix_millis};

/// Until the kernel must have told.
const KERNEL: Duration = Duration::from_secs(5);
/// Until a page must have been fetched and looked at.
const VISIT: Duration = Duration::from_secs(120);
/// Until a file of the configuration must have been told, which may stand for six seconds first.
const EDITED: Duration = Duration::from_secs(30);
/// Until a sweep that was asked for must have come by.
const SWEEP: Duration = Duration::from_secs(300);

/// What is tried, and for how long.
pub(crate) struct Trial<'a> {
    /// Only what is called so (`files`, `files/public`).
    pub(crate) only: Option<&'a str>,
    /// Who asks.
    pub(crate) by: &'a str,
    /// What was tried within so long is not tried again.
    pub(crate) fresh: Duration,
    /// All of it together. What is under way then is given up, and is neither seen nor missed.
    pub(crate) within: Duration,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Drilled {
    /// What was tried, seen or missed; all of it is on record.
    pub tried: Vec<Drill>,
    /// What was tried lately, and so not again.
    pub fresh: Vec<String>,
    /// What there was no time for.
    pub late: Vec<String>,
}

/// Has scripts of the gate's own leave as a platform's would, as they were and then changed.
pub trait Scripts: Send + Sync {
    /// Platforms whose scripts are watched while they leave.
    fn platforms(&self) -> Vec<String>;

    /// Lets them leave, says of each where it is said to be, and forgets them.
    ///
    /// # Errors
    /// Why they could not leave.
    fn change(&self, platform: &str, drill: &str) -> Result<Vec<Planted>, String>;
}

/// Sends reports as visitors' browsers do, in each form that they have.
pub trait Reports: Send + Sync {
    /// Sends them through a listener, of a page of that platform; what each says was blocked bears `mark` in its host. Says which.
    ///
    /// # Errors
    /// Why they could not be sent.
    fn send(&self, platform: &str, mark: &str) -> Result<Vec<Planted>, String>;
}

/// Something of our own that was put in a sensor's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    /// What is told of it is told of this.
    pub subject: String,
    /// By which way it came there.
    pub words: String,
}

/// Why a drill was not seen.
enum Unseen {
    /// It was not.
    Missed(String),
    /// Nobody waited until it might have been.
    Late,
}

/// What came of one: how often it was tried, how long it took, and in which words it was seen.
type Outcome = Result<(u64, Duration, &'static str), Unseen>;

impl<T: Into<String>> From<T> for Unseen {
    fn from(why: T) -> Self {
        Self::Missed(why.into())
    }
}

impl Trial<'_> {
    /// Everything, for as long as it takes.
    pub(crate) const fn of_all(by: &str) -> Trial<'_> {
        Trial { only: None, by, fresh: Duration::ZERO, within: Duration::MAX }
    }

    fn names(&self, path: &str) -> bool {
        self.only.is_none_or(|only| path == only || path.strip_prefix(only).is_some_and(|rest| rest.starts_with('/')))
    }
}

impl Set {
    /// Tries what can be tried and is named, and puts it on record.
    pub(crate) fn drill(&self, trial: &Trial<'_>) -> Drilled {
        let until = Instant::now().checked_add(trial.within);
        let mut drilled = Drilled::default();
        // One at a time: whoever asks while others try waits for them, for no longer than may be.
        let mut last = loop {
            match self.drilling.try_lock() {
                Ok(last) => break last,
                Err(TryLockError::Poisoned(last)) => break last.into_inner(),
                Err(TryLockError::WouldBlock) if left(until, KERNEL).is_zero() => {
                    drilled.late.push("everything: other drills are under way".to_owned());
                    return drilled;
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(50)),
            }
        };
        let stamp = minute(unix_millis());
        let mut known = BTreeSet::new();
        let mut attempt = |what: &str, path: &str, way: &dyn Fn(&str) -> Outcome| {
            known.insert((path.to_owned(), what.to_owned()));
            if !trial.names(path) {
                return;
            }
            let key = format!("{path} {what}");
            if last.get(&key).is_some_and(|at| at.elapsed() < trial.fresh) {
                return drilled.fresh.push(key);
            }
            let way_of = if what.starts_with("canary") { what.to_owned() } else { path.replace('/', "-") };
            let id = format!("d-{stamp}-{way_of}");
            let outcome = if left(until, KERNEL).is_zero() { Err(Unseen::Late) } else { way(&id) };
            match record(id, what, path.to_owned(), trial.by, outcome) {
                Some(drill) => {
                    // Blind until one is seen, whoever is asked.
                    let missed = (!drill.seen).then_some(&*drill.words);
                    self.board.tried(path, what, missed);
                    self.lookout.iter().for_each(|lookout| lookout.tried(path, what, missed));
                    // What missed one is tried again, however soon.
                    if drill.seen {
                        last.insert(key, Instant::now());
                    } else {
                        last.remove(&key);
                    }
                    self.recorder.record(&drill.path.clone().into(), Event::Drill(drill.clone()));
                    drilled.tried.push(drill);
                }
                None => drilled.late.push(key),
            }
        };
        for files in &self.declared.files {
            let Some(probe) = &files.probe else { continue };
            attempt("planted-file", &format!("files/{}", files.name), &|id| self.plant(files, probe, id, until));
        }
        for address in &self.declared.outside {
            let path = format!("pages/{}", address.name);
            attempt("changed-page", &path, &|id| self.change(&address.name, id, until));
            if let Some(ask) = self.outside.get(&address.name).filter(|_| address.tls) {
                let way = || asked(until, |seen| ask.send(outside::Ask::Exchange { seen }).is_ok());
                let path = format!("certificate/{}", address.name);
                attempt("other-certificate", &path, &|_| Ok((1, way()?, "as another certificate than there is")));
            }
        }
        for (path, ask) in &self.names {
            let way = || asked(until, |seen| ask.send(names::Ask::Drill { seen }).is_ok());
            attempt("other-name-server", path, &|_| Ok((1, way()?, "as a name server more than there is")));
        }
        for (name, ask) in &self.schemas {
            let way = || asked(until, |seen| ask.send(schema::Ask::Drill { seen }).is_ok());
            let path = format!("schema/{name}");
            attempt("other-schema", &path, &|_| Ok((1, way()?, "as a function more than there is")));
        }
        for (declared, ask) in &self.origins {
            let path = format!("origin/{}", declared.platform);
            attempt("open-origin", &path, &|id| Self::bypass(declared, ask, id, until));
        }
        for declared in &self.declared.browsers {
            let path = format!("browsers/{}", declared.platform);
            attempt("browser-report", &path, &|_| self.report(&declared.platform));
        }
        attempt("changed-configuration", "configuration", &|id| self.edit(id, until));
        for bait in &self.declared.baits {
            for way in Way::of(bait) {
                attempt(way.name(), &bait.way, &|id| match &self.lookout {
                    Some(lookout) => {
                        let (after, how) = lookout.drill(bait, *way, id)?;
                        Ok((1, after, how))
                    }
                    None => Err("no evidence is kept that could tell".into()),
                });
            }
        }
        // Without evidence nobody hashes what leaves.
        if let Some(lookout) = &self.lookout {
            for platform in self.scripts.platforms() {
                attempt("changed-script", &format!("scripts/{platform}"), &|id| {
                    let (tried, after) = lookout.scripts(&*self.scripts, &platform, id)?;
                    Ok((tried, after, "as a script that left changed, by each way"))
                });
            }
        }
        self.lookout.iter().for_each(|lookout| lookout.keep(&known));
        drilled
    }

    /// Takes what is there as what should be there: of a directory, of pages, of a schema; each with what came of it.
    pub(crate) fn baseline(&self, only: Option<&str>, by: &str) -> Vec<(String, Result<String, String>)> {
        let mut done = Vec::new();
        let fits = |kind: &str, name: &str| only.is_none_or(|only| only == name || only == format!("{kind}/{name}"));
        for name in self.files.keys().filter(|name| fits("files", name)) {
            done.push((name.clone(), self.clerk.baseline(name, by, self)));
        }
        let answered = |sent: bool, answer: &mpsc::Receiver<Result<String, String>>| match sent {
            true => answer.recv_timeout(VISIT).unwrap_or_else(|_| Err("its thread does not answer".to_owned())),
            false => Err("its thread has ended".to_owned()),
        };
        for (name, ask) in self.outside.iter().filter(|(name, _)| fits("pages", name)) {
            let (tell, answer) = mpsc::channel();
            let sent = ask.send(outside::Ask::Relearn { by: by.to_owned(), done: tell }).is_ok();
            done.push((name.clone(), answered(sent, &answer)));
        }
        for (name, ask) in self.schemas.iter().filter(|(name, _)| fits("schema", name)) {
            let (tell, answer) = mpsc::channel();
            let sent = ask.send(schema::Ask::Relearn { by: by.to_owned(), done: tell }).is_ok();
            done.push((name.clone(), answered(sent, &answer)));
        }
        done
    }

    /// Has a page looked at with a script more than it has.
    fn change(&self, name: &str, id: &str, until: Option<Instant>) -> Outcome {
        let ask = self.outside.get(name).ok_or("nobody looks at it")?;
        let extra = format!("<script src=\"https://drill.portcullis.invalid/{id}.js\"></script>");
        let after = asked(until, |seen| ask.send(outside::Ask::Drill { extra: extra.clone(), seen }).is_ok())?;
        Ok((1, after, "with a script more than it has"))
    }

    /// Has ways past the gate tried that lead to servers of our own.
    fn bypass(declared: &Origin, ask: &mpsc::Sender<origin::Ask>, id: &str, until: Option<Instant>) -> Outcome {
        let (asked_of, listens) = origin::ways(declared);
        let tried = asked_of.len() + usize::from(listens);
        if tried == 0 {
            return Err("no address of it is known".into());
        }
        // They stand where the gate is, not where the sensor may be.
        let standing = if listens { Some(origin::Listening::begin()?) } else { None };
        let listening = standing.as_ref().map(|standing| standing.at);
        let after = asked(until, |seen| ask.send(origin::Ask::Drill { id: id.to_owned(), listening, seen }).is_ok())?;
        Ok((tried as u64, after, "as a server that answers strangers, and took none for one that does not"))
    }

    /// Has reports sent as browsers send them, and waits until each was heard.
    fn report(&self, platform: &str) -> Outcome {
        let (seen, told) = mpsc::channel();
        // Nobody else can send one that is taken for ours.
        let mark = drawn().map_err(|error| format!("no random bytes: {error}"))?;
        let begun = Instant::now();
        *lock(&self.awaited) = Some(Awaited { platform: platform.to_owned(), mark: mark.clone(), seen });
        let sent = self.reports.send(platform, &mark);
        let outcome = all_told(sent.as_deref().unwrap_or_default(), begun, &told);
        *lock(&self.awaited) = None;
        let count = sent?.len();
        match outcome {
            Ok(last) => Ok((count as u64, last, "as reports that browsers might have sent")),
            Err(missing) => {
                let first = missing.first().map_or("", |first| &*first.words);
                Err(format!("{} of {count} reports were sent and not heard, the first {first}", missing.len()).into())
            }
        }
    }

    /// Puts a file beside those of the configuration that is not as it should be, waits until that was told, and takes it away.
    fn edit(&self, id: &str, until: Option<Instant>) -> Outcome {
        let place = self.declared.state.clone().unwrap_or_else(std::env::temp_dir);
        let path = place.join(format!("{id}-{}", unix_millis()));
        let planted = fs::create_dir_all(&place).and_then(|()| fs::write(&path, format!("portcullis drill {id}\n")));
        planted.map_err(|error| format!("{} cannot be planted: {error}", path.display()))?;
        let begun = Instant::now();
        let (seen, told) = mpsc::channel();
        lock(&self.configuration).expect(path.clone(), id.to_owned(), seen);
        let outcome = match told.recv_timeout(left(until, EDITED)) {
            Ok(at) => Ok((1, at.duration_since(begun), "as a file of the configuration that nobody put in force")),
            Err(_) if left(until, EDITED).is_zero() => Err(Unseen::Late),
            Err(_) => Err("nobody told of the file".into()),
        };
        lock(&self.configuration).forget(&path);
        // Gone again, or never there.
        let _ = fs::remove_file(&path);
        outcome
    }

    /// Plants a file, waits until it was found, and takes it away.
    fn plant(&self, files: &Files, probe: &str, id: &str, until: Option<Instant>) -> Outcome {
        let ask = self.files.get(&files.name).ok_or("nobody watches the directory")?;
        let send = |question| ask.send(question).map_err(|_| "its thread has ended");
        // The process tells drills of one minute from one another.
        let name = format!("{id}-{}", unix_millis());
        let content = format!("portcullis drill {name}\n");
        let ((seen, found), (ready, awaited)) = (mpsc::channel(), mpsc::channel());
        let path = Path::new(probe).join(&name);
        let expected = path.as_os_str().as_encoded_bytes().into();
        send(Ask::Expect {
            path: expected,
            sha256: Sha256::digest(&content).into(),
            drill: id.to_owned(),
            ready,
            seen,
        })?;
        // A sweep may be looking there already.
        awaited.recv_timeout(KERNEL).map_err(|_| "its thread does not answer")?;
        let planted = files.directory.join(&path);
        let begun = Instant::now();
        let outcome = match fs::write(&planted, &content) {
            Ok(()) => Self::found(&found, begun, until, send),
            Err(error) => Err(format!("{} cannot be planted: {error}", planted.display()).into()),
        };
        // Gone again, or never there.
        let _ = fs::remove_file(&planted);
        send(Ask::Forget)?;
        outcome
    }

    /// Waits until a planted file was found: by the kernel's word, else by a sweep.
    fn found(
        found: &mpsc::Receiver<Instant>,
        begun: Instant,
        until: Option<Instant>,
        send: impl Fn(Ask) -> Result<(), &'static str>,
    ) -> Outcome {
        match found.recv_timeout(KERNEL) {
            Ok(at) => return Ok((1, at.duration_since(begun), "told by the kernel")),
            Err(RecvTimeoutError::Disconnected) => return Err("its thread has ended".into()),
            Err(RecvTimeoutError::Timeout) => send(Ask::Sweep)?,
        }
        match found.recv_timeout(left(until, SWEEP)) {
            Ok(at) => Ok((1, at.duration_since(begun), "found by a sweep")),
            Err(_) if left(until, SWEEP).is_zero() => Err(Unseen::Late),
            Err(_) => Err("nobody saw the file".into()),
        }
    }
}

fn drawn() -> io::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Asks a thread to try itself, and how long it took to see.
fn asked(
    until: Option<Instant>,
    ask: impl Fn(mpsc::Sender<Result<Instant, String>>) -> bool,
) -> Result<Duration, Unseen> {
    let begun = Instant::now();
    let (seen, answer) = mpsc::channel();
    if !ask(seen) {
        return Err("its thread has ended".into());
    }
    match answer.recv_timeout(left(until, VISIT)) {
        Ok(at) => Ok(at?.duration_since(begun)),
        Err(_) if left(until, VISIT).is_zero() => Err(Unseen::Late),
        Err(_) => Err("its thread does not answer".into()),
    }
}

/// How long may still be waited: no longer than `most`.
fn left(until: Option<Instant>, most: Duration) -> Duration {
    until.map_or(most, |until| until.saturating_duration_since(Instant::now()).min(most))
}

/// What came of it, as it is put on record; none where nobody waited for it.
fn record(id: String, what: &str, path: String, by: &str, outcome: Outcome) -> Option<Drill> {
    let (seen, tried, millis, words) = match outcome {
        Ok((tried, after, how)) => {
            let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            (true, tried, millis, format!("{path} saw the drill after {millis} ms, {how}"))
        }
        Err(Unseen::Missed(why)) => (false, 1, 0, format!("{path} did not see the drill: {why}")),
        Err(Unseen::Late) => return None,
    };
    Some(Drill {
        id,
        what: what.to_owned(),
        path,
        seen,
        tried,
        missed: u64::from(!seen),
        millis,
        by: by.to_owned(),
        words,
    })
}

/// A time as a name: `20261122-0914`.
fn minute(unix_millis: u64) -> String {
    let (date, minutes) = (Date::of_millis(unix_millis), unix_millis / 60_000 % 1440);
    format!("{:04}{:02}{:02}-{:02}{:02}", date.year, date.month, date.day, minutes / 60, minutes % 60)
}
