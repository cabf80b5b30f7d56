//! Files: the kernel says where to look, a sweep at a bounded rate looks at everything, and what stands there is compared with
//! what was signed or taken as the baseline.
//!
//! One thread for each directory, of low priority. It never writes below the directory, follows no link, and reads nothing
//! that it was told to leave out. What it cannot read is counted as dropped, and makes it blind.

pub mod notices;
pub(crate) mod pattern;
mod standing;
mod tree;
mod walk;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use portcullis_config::integrity::Files;
use portcullis_ledger::{Event, Finding};

use self::pattern::Patterns;
use self::standing::{Judged, Standing, What};
use self::tree::{Found, Reading, Root};
pub use self::walk::collect;
use self::watch::{Noticed, Watch};
use crate::manifest::{self, Entries, Entry, Manifest, escape};
use crate::sense::Sense;
use crate::{low_priority, unix_millis};

/// What cannot be seen from here, whatever is done.
pub(crate) const BLIND_TO: &str = "writes through a mapping, changes through a name outside of the directory, and files on a network \
file system, until the sweep; owners, access lists and other attributes than the mode; whoever can change the kernel, this process or its \
state; what runs in memory";

/// A path is looked at when nothing happened to it for so long,
const QUIET: Duration = Duration::from_millis(300);
/// and after so long in any case.
const LATEST: Duration = Duration::from_secs(2);
/// One that a deploy is about to change: until nothing happened to it for so long.
const SETTLED: Duration = Duration::from_secs(2);
/// Paths that wait to be looked at. Beyond it a sweep looks at everything.
const WAITING: usize = 50_000;
/// What is read at once, in bytes.
const PIECE: usize = 256 << 10;
/// What looking at a file costs of the sweep's rate, in bytes, beside those that are read.
const LOOK: u64 = 4096;
/// How long one turn works before it looks up.
const TURN: Duration = Duration::from_millis(50);
/// Files that cannot be read and are named.
const NAMED: usize = 3;

/// What the thread of a directory is asked.
pub(crate) enum Ask {
    /// Put a manifest in force; the release before may be seen for so long.
    Adopt { manifest: Box<Manifest>, window: Option<Duration>, done: Sender<Result<String, String>> },
    /// What is there now?
    Collect { done: Sender<Result<Entries, String>> },
    /// A drill is about to plant this file, once it is told that it is waited for; whoever sees it says so.
    Expect { path: Box<[u8]>, sha256: [u8; 32], drill: String, ready: Sender<()>, seen: Sender<Instant> },
    /// Forget the drill.
    Forget,
    /// Look at everything now.
    Sweep,
}

/// Watches a directory until whoever holds the other end of `asked` goes.
pub(crate) fn run(declared: &Files, mut in_force: Option<Manifest>, sense: Sense, asked: &Receiver<Ask>) {
    low_priority();
    loop {
        let root = match Root::open(&declared.directory) {
            Ok(root) => root,
            Err(error) => {
                sense.down(&format!("{} cannot be opened: {error}", declared.directory.display()));
                match asked.recv_timeout(Duration::from_secs(1)) {
                    Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
                    Ok(ask) => refuse(ask),
                    Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                }
                continue;
            }
        };
        let watch = Watch::new(std::os::fd::AsFd::as_fd(&root.fd));
        let mut eye = Eye {
            patterns: Patterns::new(&declared.ignore),
            place: declared.directory.clone(),
            platform: declared.platform.clone(),
            rate: declared.rate,
            period: declared.sweep,
            standing: Standing::default(),
            waiting: BTreeMap::new(),
            ready: VecDeque::new(),
            reading: None,
            sweep: None,
            swept: None,
            unread: BTreeMap::new(),
            unwatched: None,
            expected: None,
            manifest: None,
            credit: 0,
            filled: Instant::now(),
            root,
            watch,
            sense: sense.clone(),
        };
        if let Some(manifest) = in_force.take() {
            eye.adopt(manifest, None);
        }
        match eye.watch(asked) {
            End::Over => return,
            // Another directory stands in its place: it is looked at as the first was.
            End::Moved => in_force = eye.manifest,
        }
    }
}

fn refuse(ask: Ask) {
    let why = "the directory cannot be opened";
    match ask {
        Ask::Adopt { done, .. } => drop(done.send(Err(why.to_owned()))),
        Ask::Collect { done } => drop(done.send(Err(why.to_owned()))),
        Ask::Expect { .. } | Ask::Forget | Ask::Sweep => {}
    }
}

enum End {
    Over,
    Moved,
}

/// What watches one directory.
struct Eye {
    place: PathBuf,
    platform: String,
    patterns: Patterns,
    rate: u64,
    period: Duration,
    root: Root,
    watch: Watch,
    standing: Standing,
    manifest: Option<Manifest>,
    /// Paths that the kernel named: first and last time, and who.
    waiting: BTreeMap<Box<[u8]>, Waiting>,
    ready: VecDeque<(Box<[u8]>, Waiting)>,
    reading: Option<(Box<[u8]>, Option<Waiting>, Reading)>,
    sweep: Option<walk::Walk>,
    /// When the last sweep ended.
    swept: Option<Instant>,
    unread: BTreeMap<Box<[u8]>, String>,
    /// Why some directories are not watched.
    unwatched: Option<String>,
    expected: Option<Expected>,
    sense: Sense,
    /// Bytes that may be read before the rate says wait; below zero after more was.
    credit: i64,
    filled: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    first: Instant,
    last: Instant,
    process: Option<i32>,
}

struct Expected {
    path: Box<[u8]>,
    sha256: [u8; 32],
    drill: String,
    seen: Sender<Instant>,
}

impl Eye {
    fn watch(&mut self, asked: &Receiver<Ask>) -> End {
        self.begin_sweep();
        let mut looked = Instant::now();
        loop {
            self.sense.alive();
            if self.work() {
                self.watch.wait(Duration::ZERO);
            } else {
                self.watch.wait(TURN);
            }
            match self.watch.hear() {
                Ok(heard) => {
                    if heard.overflow {
                        self.lose("the kernel's queue was full");
                    }
                    let now = Instant::now();
                    heard.noticed.into_iter().for_each(|noticed| self.notice(noticed, now));
                }
                Err(error) => self.lose(&format!("the kernel's queue cannot be read: {error}")),
            }
            loop {
                match asked.try_recv() {
                    Ok(ask) => self.answer(ask),
                    Err(TryRecvError::Disconnected) => return End::Over,
                    Err(TryRecvError::Empty) => break,
                }
            }
            if self.standing.settle(unix_millis()) {
                self.begin_sweep();
            }
            if self.sweep.is_none() && self.swept.is_none_or(|swept| swept.elapsed() >= self.period) {
                self.begin_sweep();
            }
            if let Some(count) = self.standing.turn(unix_millis()) {
                let words = format!("{count} more files of {} deviate than were told one by one", self.place.display());
                self.tell(Finding {
                    what: "file-changed".into(),
                    subject: self.place.display().to_string(),
                    words,
                    ..Finding::default()
                });
            }
            if looked.elapsed() >= Duration::from_secs(1) {
                looked = Instant::now();
                if !self.root.is_at(&self.place) {
                    let words = format!("{} is another directory than before", self.place.display());
                    self.tell(Finding {
                        what: "directory-replaced".into(),
                        subject: self.place.display().to_string(),
                        words,
                        ..Finding::default()
                    });
                    return End::Moved;
                }
            }
            self.stand();
        }
    }

    /// Says whether all is seen.
    fn stand(&self) {
        let why = if self.standing.in_force().is_none() {
            Some("there is no baseline and no manifest to compare with".to_owned())
        } else if self.swept.is_none() {
            Some("the first sweep is under way".to_owned())
        } else if self.sweep.as_ref().is_some_and(|sweep| sweep.owed) {
            Some("more happened than the kernel could tell; a sweep is under way".to_owned())
        } else if !self.unread.is_empty() {
            let mut why = format!("{} files cannot be read", self.unread.len());
            for (path, error) in self.unread.iter().take(NAMED) {
                let _ = write!(why, "; {}: {error}", escape(path));
            }
            Some(why)
        } else {
            None
        };
        match why {
            Some(why) => self.sense.blind(&why),
            None => self.sense.up(),
        }
        let mut words = format!("{}, swept each {} s", self.watch.words(), self.period.as_secs());
        if let Some(why) = &self.unwatched {
            let _ = write!(words, "; not all directories are watched: {why}");
        }
        match self.standing.deviating() {
            0 => {}
            count => {
                let _ = write!(words, "; {count} deviate:");
                self.standing.some(NAMED).for_each(|path| words.extend([" ", &escape(path)]));
            }
        }
        self.sense.words(words);
    }

    /// More happened than is known: blind until a sweep has seen everything.
    fn lose(&mut self, why: &str) {
        tracing::warn!(directory = %self.place.display(), why, "files are swept");
        self.sense.dropped(1);
        self.waiting.clear();
        self.sweep = None;
        self.begin_sweep();
        if let Some(sweep) = &mut self.sweep {
            sweep.owed = true;
        }
    }

    fn begin_sweep(&mut self) {
        let owed = self.sweep.take().is_some_and(|sweep| sweep.owed);
        if matches!(&self.reading, Some((_, None, _))) {
            self.reading = None;
        }
        self.sweep = Some(walk::Walk::new(owed));
    }

    fn notice(&mut self, noticed: Noticed, now: Instant) {
        let Noticed { path, directory, process } = noticed;
        if self.patterns.leave_out(&path) {
            return;
        }
        if directory {
            self.enter(&path, now, process);
        }
        self.wait_for(path, now, process);
    }

    fn wait_for(&mut self, path: Box<[u8]>, now: Instant, process: Option<i32>) {
        if self.waiting.len() >= WAITING && !self.waiting.contains_key(&path) {
            return self.lose("more paths wait than are kept");
        }
        let waiting = self.waiting.entry(path).or_insert(Waiting { first: now, last: now, process });
        waiting.last = now;
        waiting.process = process.or(waiting.process);
    }

    /// A directory came: it is watched from now on, and what is in it already is looked at.
    fn enter(&mut self, path: &[u8], now: Instant, process: Option<i32>) {
        let mut open = vec![Box::<[u8]>::from(path)];
        while let Some(path) = open.pop() {
            self.mark(&path);
            let Ok(Some(names)) = self.root.list(&path, WAITING) else {
                return self.lose("a directory came that cannot be listed");
            };
            for (name, directory) in names {
                let path = walk::join(&path, &name);
                if self.patterns.leave_out(&path) {
                    continue;
                }
                if directory {
                    open.push(path.clone());
                }
                self.wait_for(path, now, process);
            }
        }
    }

    fn mark(&mut self, path: &[u8]) {
        let marked =
            self.root.directory(path).and_then(|directory| self.watch.add(std::os::fd::AsFd::as_fd(&directory), path));
        if let Err(error) = marked
            && error.kind() != std::io::ErrorKind::NotFound
            && self.unwatched.is_none()
        {
            self.unwatched = Some(format!("{}: {error}", escape(path)));
        }
    }

    /// Works for a turn. False where there is nothing to do, or the rate says wait.
    fn work(&mut self) -> bool {
        let begun = Instant::now();
        let mut buffer = vec![0; PIECE];
        self.due(begun);
        while begun.elapsed() < TURN {
            self.fill();
            // What the kernel named goes before the sweep, and is not held up by its rate.
            let by_name = matches!(&self.reading, Some((_, Some(_), _)));
            if self.reading.is_some() {
                if !by_name && self.credit <= 0 {
                    return self.named();
                }
                self.read(&mut buffer);
            } else if let Some((path, waiting)) = self.ready.pop_front() {
                self.look(path, Some(waiting));
            } else if self.sweep.is_some() {
                if self.credit <= 0 {
                    return false;
                }
                self.step();
            } else {
                return false;
            }
        }
        true
    }

    /// The sweep waits; what the kernel named does not wait behind it.
    fn named(&mut self) -> bool {
        let Some((path, waiting)) = self.ready.pop_front() else { return false };
        let swept = self.reading.take();
        self.look(path, Some(waiting));
        let mut buffer = vec![0; PIECE];
        while self.reading.is_some() {
            self.sense.alive();
            self.read(&mut buffer);
        }
        self.reading = swept;
        true
    }

    fn due(&mut self, now: Instant) {
        let moving = self.standing.is_moving();
        let due = |path: &[u8], waiting: &Waiting| {
            let rested = now.duration_since(waiting.last);
            if moving && self.standing.awaits(path) {
                rested >= SETTLED
            } else {
                rested >= QUIET || now.duration_since(waiting.first) >= LATEST
            }
        };
        let ready: Vec<_> =
            self.waiting.iter().filter(|(path, it)| due(path, it)).map(|(path, _)| path.clone()).collect();
        for path in ready {
            self.ready.extend(self.waiting.remove_entry(&path));
        }
    }

    fn fill(&mut self) {
        let rate = i64::try_from(self.rate).unwrap_or(i64::MAX);
        let earned = self.filled.elapsed().as_nanos().saturating_mul(u128::from(self.rate)) / 1_000_000_000;
        if earned > 0 {
            self.filled = Instant::now();
            self.credit = self.credit.saturating_add(i64::try_from(earned).unwrap_or(i64::MAX)).min(rate);
        }
    }

    fn spend(&mut self, bytes: u64) {
        self.credit = self.credit.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn step(&mut self) {
        let Some(sweep) = &mut self.sweep else { return };
        match sweep.next(&self.root, &self.patterns, self.standing.in_force()) {
            walk::Next::Directory(path) => self.mark(&path),
            walk::Next::Path(path) => self.look(path, None),
            walk::Next::Unreadable(path, error) => self.cannot(path, &error),
            walk::Next::Over { whole, seen } => {
                self.unread.retain(|path, _| !sweep.readable(path));
                if !whole {
                    self.unread.insert(Box::default(), "more files than are looked at".to_owned());
                }
                tracing::debug!(directory = %self.place.display(), seen, "swept");
                self.sweep = None;
                self.swept = Some(Instant::now());
            }
        }
    }

    fn look(&mut self, path: Box<[u8]>, waiting: Option<Waiting>) {
        self.spend(LOOK);
        match self.root.look(&path) {
            Ok(Found::File(reading)) => {
                self.gone_below(&path, waiting);
                self.reading = Some((path, waiting, reading));
            }
            Ok(Found::Whole(entry)) => {
                if entry.what != manifest::What::Directory {
                    self.gone_below(&path, waiting);
                }
                self.seen(Some(entry), path, waiting);
            }
            Ok(Found::Nothing) => {
                self.gone_below(&path, waiting);
                self.seen(None, path, waiting);
            }
            Err(error) => self.cannot(path, &error),
        }
    }

    /// Where no directory stands any more, what was below it went with it.
    fn gone_below(&mut self, path: &[u8], waiting: Option<Waiting>) {
        for gone in self.standing.below(path).into_iter().filter(|gone| **gone != *path) {
            self.seen(None, gone, waiting);
        }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        let Some((path, waiting, mut reading)) = self.reading.take() else { return };
        match reading.step(buffer) {
            Ok((None, count)) => {
                self.spend(count);
                self.reading = Some((path, waiting, reading));
            }
            Ok((Some(entry), _)) => self.seen(Some(entry), path, waiting),
            Err(error) => self.cannot(path, &error),
        }
    }

    fn cannot(&mut self, path: Box<[u8]>, error: &std::io::Error) {
        self.sense.dropped(1);
        if let Some(sweep) = &mut self.sweep {
            sweep.unreadable(&path);
        }
        if self.unread.len() < WAITING {
            self.unread.insert(path, error.to_string());
        }
    }

    fn seen(&mut self, entry: Option<Entry>, path: Box<[u8]>, waiting: Option<Waiting>) {
        if path.is_empty() {
            return;
        }
        // Between its making and its writing the file of a drill is empty; it is looked at again.
        if entry.is_some_and(|entry| entry.size == 0) && self.expected.as_ref().is_some_and(|it| *it.path == *path) {
            return;
        }
        self.sense.seen(1);
        self.unread.remove(&path);
        let drill =
            self.expected.take_if(|it| *it.path == *path && entry.is_some_and(|entry| entry.sha256 == it.sha256));
        let name = || format!("{}/{}", self.place.display(), escape(&path));
        match self.standing.judge(&path, entry, unix_millis()) {
            Judged::Quiet => {}
            Judged::Restored => tracing::info!(file = name(), "is as it may be again"),
            Judged::Wrong { what, before } => {
                if drill.is_none() && !self.standing.may_tell() {
                    return;
                }
                let subject = name();
                let mut words = match what {
                    What::Changed => format!("{subject} changed and no manifest says so"),
                    What::Added => format!("{subject} was added and no manifest says so"),
                    What::Removed => format!("{subject} is gone and no manifest says so"),
                };
                if let Some(process) = waiting.and_then(|waiting| waiting.process) {
                    let _ = write!(words, "; process {process}");
                    if let Ok(name) = std::fs::read_to_string(format!("/proc/{process}/comm")) {
                        let _ = write!(words, " ({})", escape(name.trim().as_bytes()));
                    }
                }
                words.push_str(if waiting.is_some() { "; told by the kernel" } else { "; found by the sweep" });
                let id = drill.as_ref().map(|drill| drill.drill.clone()).unwrap_or_default();
                self.tell(Finding {
                    what: what.name().into(),
                    subject,
                    before: before.map(|entry| entry.words()).unwrap_or_default(),
                    after: entry.map(|entry| entry.words()).unwrap_or_default(),
                    words,
                    after_millis: waiting
                        .map(|waiting| u64::try_from(waiting.first.elapsed().as_millis()).unwrap_or(u64::MAX)),
                    drill: id,
                    ..Finding::default()
                });
            }
        }
        if let Some(drill) = drill {
            // Whoever waits may have given up.
            let _ = drill.seen.send(Instant::now());
        }
    }

    fn tell(&self, finding: Finding) {
        self.sense.record(Event::Finding(Finding { platform: self.platform.clone(), ..finding }));
    }

    fn adopt(&mut self, manifest: Manifest, window: Option<Duration>) {
        let until =
            window.map(|window| unix_millis().saturating_add(u64::try_from(window.as_millis()).unwrap_or(u64::MAX)));
        self.standing.adopt(manifest.entries.clone(), until);
        self.manifest = Some(manifest);
        self.begin_sweep();
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Adopt { manifest, window, done } => {
                let before = self.manifest.as_ref().map(Manifest::digest).unwrap_or_default();
                self.adopt(*manifest, window);
                // Whoever asked may have gone.
                let _ = done.send(Ok(before));
            }
            Ask::Collect { done } => {
                let alive = || self.sense.alive();
                let _ = done.send(walk::entries(&self.root, &self.patterns, &alive));
            }
            Ask::Expect { path, sha256, drill, ready, seen } => {
                self.expected = Some(Expected { path, sha256, drill, seen });
                // Whoever drills may have given up.
                let _ = ready.send(());
            }
            Ask::Forget => self.expected = None,
            Ask::Sweep => self.begin_sweep(),
        }
    }
}
