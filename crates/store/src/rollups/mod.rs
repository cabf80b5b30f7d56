//! What the gate answered by the second and by the minute, in a file that a console can draw a day from at once.
//!
//! It is derived: requests and ledger are the truth, and whatever befalls the file it is made again from them. Its thread takes
//! what the thread of requests has counted anyway, and nobody waits for it: while the file is locked or the disk is full, what
//! was counted waits, and what there is no room for is counted as missing.

mod database;
mod measures;
mod stances;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_ledger::{Change, Event};

use self::database::{Counted, Database, Fault};
pub(crate) use self::database::{NAME, Reading};
pub use self::measures::Stretch;
use self::measures::{Switch, heard};
use self::stances::Stances;
use crate::disk::{Directory, Disk as _};
use crate::folds::Fold;
use crate::lanes::lock;
use crate::requests::row::Row;
use crate::requests::{HOUR, Tally, replay};
use crate::writer::{GATE, Shared, now};

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60_000;
/// How often what was counted is written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How often a file is tried again that could not be opened.
const OPEN_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked for what was kept long enough.
const TIDY_EVERY: Duration = Duration::from_secs(600);
/// Seconds of platforms that wait to be written at most: nine hours of one platform.
const WAITING: usize = 32_768;
/// Moves of posture that do, and switches of measures.
const POSTURES: usize = 4_096;
/// Seconds of platforms that are counted again at once.
const AGAIN: usize = 16_384;
/// Where a file lies that could not be used, until there is another such.
const ASIDE: &str = "state.sqlite.aside";
/// Points of one history at most.
const POINTS: u64 = 1_000_000;

/// How long roll-ups are kept, in milliseconds; for ever where there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// Those of seconds.
    pub seconds: Option<u64>,
    /// Those of minutes.
    pub minutes: Option<u64>,
}

/// What is to be written together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    seconds: BTreeMap<u64, BTreeMap<Box<str>, Tally>>,
    tallies: usize,
    postures: Vec<(u64, String, String)>,
    switches: Vec<Switch>,
    /// Of hours of requests, how much is in what was written and in this.
    counted: BTreeMap<u64, Counted>,
    /// From when until when how many requests are missing.
    missing: Option<(u64, u64, u64)>,
    /// Postures and measures of the time before were read from the ledger.
    read: bool,
    /// What others folded from it, by its name.
    folds: BTreeMap<&'static str, Fold>,
}

impl Batch {
    /// Counts a request in the second in which it came.
    pub(crate) fn add(&mut self, row: &Row<'_>) {
        let [platform, ..] = row.names;
        let platforms = self.seconds.entry(row.unix_millis / SECOND).or_default();
        let platform = String::from_utf8_lossy(platform);
        match platforms.get_mut(&*platform) {
            Some(tally) => tally.add(row),
            None => {
                self.tallies += 1;
                platforms.entry(platform.into()).or_default().add(row);
            }
        }
    }

    /// Of this hour, so many requests are on the disk, and all of them in what was handed over so far and in this.
    pub(crate) fn reach(&mut self, hour: u64, requests: u64, whole: bool) {
        self.counted.insert(hour, Counted { requests, whole });
    }

    fn merge(&mut self, other: Self) {
        for (second, platforms) in other.seconds {
            let own = self.seconds.entry(second).or_default();
            for (platform, tally) in platforms {
                match own.get_mut(&platform) {
                    Some(known) => known.merge(&tally),
                    None => {
                        self.tallies += 1;
                        own.insert(platform, tally);
                    }
                }
            }
        }
        self.postures.extend(other.postures);
        self.switches.extend(other.switches);
        self.counted.extend(other.counted);
        self.read |= other.read;
        self.folds.extend(other.folds);
        if let Some((since, until, requests)) = other.missing {
            self.miss(since, until, requests);
        }
    }

    /// Lets go of the oldest for which there is no room; how many requests that were.
    fn bound(&mut self) -> u64 {
        let mut gone = 0;
        while self.tallies > WAITING {
            let Some((second, platforms)) = self.seconds.pop_first() else { break };
            self.tallies = self.tallies.saturating_sub(platforms.len());
            let requests = platforms.values().map(|tally| tally.requests).sum();
            self.miss(second * SECOND, (second + 1) * SECOND, requests);
            gone += requests;
        }
        let beyond = self.postures.len().saturating_sub(POSTURES);
        self.postures.drain(..beyond);
        let beyond = self.switches.len().saturating_sub(POSTURES);
        self.switches.drain(..beyond);
        gone
    }

    fn miss(&mut self, since: u64, until: u64, requests: u64) {
        let (from, to, before) = self.missing.unwrap_or((since, until, 0));
        self.missing = Some((from.min(since), to.max(until), before + requests));
    }

    fn is_empty(&self) -> bool {
        self.seconds.is_empty()
            && self.postures.is_empty()
            && self.switches.is_empty()
            && self.counted.is_empty()
            && self.missing.is_none()
            && !self.read
            && self.folds.is_empty()
    }
}

/// What other threads hand to the one that writes.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    batch: Mutex<Batch>,
    /// Hours of requests that lay there when this process began to write, with how many each had.
    before: Mutex<Option<BTreeMap<u64, u64>>>,
    moves: Mutex<Vec<(u64, String, [String; 2])>>,
    switches: Mutex<Vec<Switch>>,
    /// Nothing more is handed over.
    over: AtomicBool,
}

impl Handed {
    pub(crate) fn begin(&self, before: BTreeMap<u64, u64>) {
        *lock(&self.before) = Some(before);
    }

    /// Hands over what was counted. How many requests there was no room for, while nobody takes anything: they are missing.
    pub(crate) fn hand(&self, batch: Batch) -> u64 {
        let mut waiting = lock(&self.batch);
        waiting.merge(batch);
        waiting.bound()
    }

    /// Keeps a fold, in place of the one of that name.
    pub(crate) fn keep(&self, name: &'static str, fold: Fold) {
        lock(&self.batch).folds.insert(name, fold);
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Takes note of a move of posture or a measure that begins or ends; of any other record nothing.
    pub(crate) fn hear(&self, event: &Event, unix_millis: u64) {
        // That this process began is known without its record.
        if let Some(switch @ (Switch::On { .. } | Switch::Off { .. })) = heard(event, unix_millis) {
            let mut switches = lock(&self.switches);
            if switches.len() < POSTURES {
                switches.push(switch);
            }
        }
        if let Some((platform, from_to)) = moved(event) {
            let mut moves = lock(&self.moves);
            if moves.len() < POSTURES {
                moves.push((unix_millis, platform, from_to));
            }
        }
    }
}

fn moved(event: &Event) -> Option<(String, [String; 2])> {
    let Event::Act(act) = event else { return None };
    if act.what != "posture" {
        return None;
    }
    let fact = |name: &str| act.facts.get(name).cloned().unwrap_or_default();
    Some((act.platform.clone(), [fact("from"), fact("to")]))
}

/// The thread that writes.
pub(crate) fn start(shared: Arc<Shared>, directory: Directory, keep: Keep) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("roll-ups".to_owned()).spawn(move || {
        // The directory may be another process's to write for now.
        let before = loop {
            if let Some(before) = lock(&shared.rollups.before).take() {
                break before;
            }
            if shared.rollups.over.load(Ordering::Acquire) {
                return;
            }
            thread::park_timeout(WRITE_EVERY / 4);
        };
        let began = now();
        Rolling {
            shared,
            directory,
            keep,
            database: None,
            caught_up: false,
            held: Batch::default(),
            written: before,
            stances: Stances::new(began),
            began,
            sick: false,
            aside: None,
            tried: None,
        }
        .run();
    })
}

struct Rolling {
    shared: Arc<Shared>,
    directory: Directory,
    keep: Keep,
    database: Option<Database>,
    /// All that was on the disk before is in it: what comes now may be written behind it.
    caught_up: bool,
    /// What waits.
    held: Batch,
    /// Of each hour of requests, how many are on the disk and not in what waits: all that a new file is made from.
    written: BTreeMap<u64, u64>,
    stances: Stances,
    began: u64,
    sick: bool,
    /// Why a file was put aside, until the one after it is there.
    aside: Option<String>,
    tried: Option<Instant>,
}

impl Rolling {
    fn run(mut self) {
        let mut tidied: Option<Instant> = None;
        loop {
            // Asked before what was handed over is taken, so that nothing is left behind.
            let over = self.shared.rollups.over.load(Ordering::Acquire);
            self.take();
            if self.database.is_none() && self.tried.is_none_or(|tried| over || tried.elapsed() >= OPEN_EVERY) {
                self.tried = Some(Instant::now());
                self.open();
            }
            if self.database.is_some() && !self.caught_up {
                match self.catch_up() {
                    Ok(()) => self.caught_up = true,
                    Err(fault) => self.fail(fault),
                }
            }
            if self.database.is_some() && self.caught_up {
                self.write();
                if tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY_EVERY) {
                    tidied = Some(Instant::now());
                    self.tidy();
                }
            }
            if over {
                // What still waits is on the disk as requests: the next process counts it.
                return;
            }
            thread::park_timeout(WRITE_EVERY);
        }
    }

    fn take(&mut self) {
        let batch = std::mem::take(&mut *lock(&self.shared.rollups.batch));
        self.held.merge(batch);
        for (at, platform, [from, to]) in std::mem::take(&mut *lock(&self.shared.rollups.moves)) {
            let told = self.stances.moved(at, &platform, &from, &to);
            self.held.postures.extend(told);
        }
        self.held.switches.append(&mut lock(&self.shared.rollups.switches));
        let gone = self.held.bound();
        self.shared.counters.rollups_unwritten.fetch_add(gone, Ordering::Relaxed);
    }

    /// Opens the file. What cannot be used is put aside, and another begun.
    fn open(&mut self) {
        let opened = match Database::open(self.directory.root()) {
            Err(Fault::Unusable(why)) => {
                self.put_aside(why);
                Database::open(self.directory.root())
            }
            opened => opened,
        };
        match opened {
            Ok(database) => self.database = Some(database),
            Err(fault) => self.fail(fault),
        }
        self.caught_up = false;
    }

    fn put_aside(&mut self, why: String) {
        tracing::error!(why, "the roll-ups cannot be used; they are put aside as {ASIDE} and made again");
        self.database = None;
        let moved = self.directory.rename(NAME, ASIDE);
        let gone = ["-wal", "-shm"].map(|end| self.directory.remove(&format!("{NAME}{end}")));
        if let Err(error) = gone.into_iter().fold(moved, io::Result::and) {
            tracing::warn!(%error, "what is left of the roll-ups cannot be moved");
        }
        self.aside = Some(why);
    }

    /// Counts what is on the disk and not in the file: the last moments before a crash, or all of it.
    fn catch_up(&mut self) -> Result<(), Fault> {
        let Some(database) = &mut self.database else { return Ok(()) };
        let (fresh, counted) = (std::mem::take(&mut database.fresh), database.counted()?);
        let newest = self.written.last_key_value().map(|(hour, _)| *hour);
        let oldest = self.keep.seconds.map_or(0, |keep| now().saturating_sub(keep) / HOUR);
        let known = |hour: &u64| counted.get(hour).copied().unwrap_or_default();
        // The newest first: what comes now is written behind it.
        let missing = self.written.iter().rev().map(|(hour, all)| (*hour, *all));
        let missing: Vec<(u64, u64)> = missing
            .filter(|(hour, all)| *hour >= oldest && !known(hour).whole && known(hour).requests < *all)
            .collect();
        let aside = self.aside.take();
        if fresh && (aside.is_some() || !missing.is_empty()) {
            let why = aside.map_or_else(
                || "There was no file of roll-ups".to_owned(),
                |why| format!("The file of roll-ups could not be used ({why}) and is put aside as {ASIDE}"),
            );
            let words = format!("{why}. It is made again from the requests of {} hours.", missing.len());
            let change = Change { what: "roll-ups".to_owned(), by: "gate".to_owned(), words, ..Change::default() };
            self.shared.lanes.put(&GATE, &Event::Change(change), now());
        }
        for (hour, all) in missing {
            let Some(database) = &mut self.database else { return Ok(()) };
            count_again(&self.directory, database, (hour, known(&hour).requests, all), newest != Some(hour))?;
            if self.shared.rollups.over.load(Ordering::Acquire) {
                // The next process goes on with the other hours.
                return Ok(());
            }
            self.take();
            self.write();
        }
        self.read_postures()
    }

    /// What the ledger has of postures and measures before this process, once for each file.
    fn read_postures(&mut self) -> Result<(), Fault> {
        let Some(database) = &self.database else { return Ok(()) };
        let (mut told, mut switched) = (Vec::new(), Vec::new());
        let (stood, switches) = (database.has_read("postures")?, database.has_read("measures")?);
        if !stood || !switches {
            let mut before = Stances::new(0);
            // A ledger without a checkpoint has no records yet.
            let records = crate::reader::read(self.directory.root()).ok();
            for record in records.into_iter().flatten().map_while(Result::ok) {
                if record.unix_millis >= self.began {
                    break;
                }
                if self.shared.rollups.over.load(Ordering::Acquire) {
                    return Ok(());
                }
                if let Some(switch) = record.event.as_ref().and_then(|event| heard(event, record.unix_millis)) {
                    switched.push(switch);
                }
                match &record.event {
                    Some(Event::Start(_)) => told.extend(before.began(record.unix_millis)),
                    Some(event) => {
                        if let Some((platform, [from, to])) = moved(event) {
                            told.extend(before.moved(record.unix_millis, &platform, &from, &to));
                        }
                    }
                    None => {}
                }
            }
            told.extend(before.began(self.began));
            self.held.read = true;
        }
        if stood {
            // A gate that begins anew begins in calm, as incidents have it.
            told = Stances::of(database.latest()?).began(self.began);
        }
        if switches {
            switched.clear();
        }
        switched.push(Switch::Start(self.began));
        // What this process told of itself comes last, and stands.
        told.append(&mut self.held.postures);
        self.held.postures = told;
        switched.append(&mut self.held.switches);
        self.held.switches = switched;
        Ok(())
    }

    fn write(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let Some(database) = &mut self.database else { return };
        match database.write(&self.held) {
            Ok(()) => {
                self.written.extend(self.held.counted.iter().map(|(hour, counted)| (*hour, counted.requests)));
                self.held = Batch::default();
                if std::mem::take(&mut self.sick) {
                    tracing::info!("roll-ups are written again");
                }
            }
            Err(fault) => self.fail(fault),
        }
    }

    /// Whatever it is, what was counted is held, and tried again.
    fn fail(&mut self, fault: Fault) {
        self.shared.counters.rollup_faults.fetch_add(1, Ordering::Relaxed);
        match fault {
            Fault::Unusable(why) => {
                self.put_aside(why);
                self.tried = None;
            }
            Fault::Passing(why) => {
                if !std::mem::replace(&mut self.sick, true) {
                    tracing::error!(why, "roll-ups cannot be written; what is counted waits");
                }
            }
        }
    }

    fn tidy(&mut self) {
        let Some(database) = &self.database else { return };
        let before = |keep: Option<u64>| keep.map_or(0, |keep| now().saturating_sub(keep));
        if let Err(fault) = database.erase(before(self.keep.seconds), before(self.keep.minutes)) {
            self.fail(fault);
        }
        // What is behind the seconds is never counted again.
        let oldest = before(self.keep.seconds) / HOUR;
        self.written.retain(|hour, _| *hour >= oldest);
    }
}

/// Counts an hour's requests from so many on, up to so many.
fn count_again(
    directory: &Directory,
    database: &mut Database,
    (hour, known, all): (u64, u64, u64),
    whole: bool,
) -> Result<(), Fault> {
    let (mut batch, mut seen, mut reached) = (Batch::default(), 0_u64, known);
    let mut failed = None;
    let read = replay(directory, hour, |row| {
        seen += 1;
        if seen <= known || seen > all || failed.is_some() {
            return;
        }
        batch.add(row);
        reached = seen;
        if batch.tallies >= AGAIN {
            batch.reach(hour, reached, false);
            failed = database.write(&std::mem::take(&mut batch)).err();
        }
    });
    if let Some(fault) = failed {
        return Err(fault);
    }
    if let Err(error) = read {
        // What of it can be read counts; to try again would find the same.
        tracing::warn!(%error, hour, "some requests of an hour are not in the roll-ups");
    }
    batch.reach(hour, reached, whole);
    database.write(&batch)
}

/// What is asked of the roll-ups.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Of this platform; of all together where there is none.
    pub platform: Option<&'a str>,
    /// From when on, in milliseconds since 1970.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// Milliseconds of one point: whole seconds. From whole minutes on, the roll-ups of minutes are read, which are kept longer.
    pub step: u64,
}

/// What the gate answered over some time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Point {
    /// When it begins, in milliseconds since 1970.
    pub at: u64,
    /// What came.
    pub tally: Tally,
}

/// A span, point by point.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Those in which something came, in the order of time. Where there is none, nothing did, or nobody was there to see.
    pub points: Vec<Point>,
    /// How the platform stood from when on, the first being what held at the beginning. Of all platforms together nothing.
    pub postures: Vec<(u64, String)>,
    /// What was in force on the platform, or on any, the oldest first.
    pub measures: Vec<Stretch>,
    /// How many more measures there were, all older than those.
    pub more_measures: u64,
    /// Requests of about this time that are on record and missing here.
    pub missing: u64,
}

/// What the roll-ups of a directory say, while a gate writes them or none does.
///
/// # Errors
/// When the step is none, there would be too many points, or the file is not there or cannot be read.
pub fn history(directory: &Path, ask: &Ask<'_>) -> io::Result<History> {
    let wrong = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why.to_owned()));
    if ask.step == 0 || !ask.step.is_multiple_of(SECOND) {
        return wrong("a step is whole seconds");
    }
    let from = ask.from / ask.step * ask.step;
    if ask.until.saturating_sub(from) / ask.step > POINTS {
        return wrong("that are more than a million points: ask for longer steps, or a shorter time");
    }
    let reading = Reading::open(directory).map_err(unread)?;
    let span = (from, ask.until);
    let mut points: Vec<Point> = Vec::new();
    let mut sorted = true;
    let each = reading.each(ask.step.is_multiple_of(MINUTE), ask.platform, span, |at, tally| {
        let at = at / ask.step * ask.step;
        match points.last_mut() {
            Some(last) if last.at == at => last.tally.merge(&tally),
            last => {
                sorted &= last.is_none_or(|last| last.at < at);
                points.push(Point { at, tally });
            }
        }
    });
    each.map_err(unread)?;
    if !sorted {
        // Platform after platform: those of one time come together.
        points.sort_by_key(|point| point.at);
        points.dedup_by(|point, kept| {
            let same = point.at == kept.at;
            if same {
                kept.tally.merge(&point.tally);
            }
            same
        });
    }
    let postures = ask.platform.map(|platform| reading.postures(platform, span)).transpose().map_err(unread)?;
    let (measures, more_measures) = reading.measures(ask.platform, span).map_err(unread)?;
    let missing = reading.missing(span).map_err(unread)?;
    Ok(History { points, postures: postures.unwrap_or_default(), measures, more_measures, missing })
}

/// The platforms that the roll-ups of a directory know; requests that were for none are under the empty name.
///
/// # Errors
/// When the file is not there or cannot be read.
pub fn platforms(directory: &Path) -> io::Result<BTreeSet<String>> {
    Ok(Reading::open(directory).map_err(unread)?.platforms())
}

pub(crate) fn unread(fault: Fault) -> io::Error {
    io::Error::other(format!("{NAME}: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::row::{rows, tests::served, write};
    use proptest::prelude::*;

    fn batch(millis: impl Iterator<Item = u64>) -> Batch {
        let mut bytes = Vec::new();
        millis.for_each(|millis| write(&served(millis, "public", "203.0.113.9"), &mut bytes));
        let mut batch = Batch::default();
        rows(&bytes).for_each(|row| batch.add(&row));
        batch
    }

    fn requests(home: &Path) -> u64 {
        let ask = Ask { platform: Some("public"), from: 0, until: 1_000_000_000, step: SECOND };
        history(home, &ask).expect("read").points.iter().map(|point| point.tally.requests).sum()
    }

    #[test]
    fn a_full_disk_takes_all_of_what_is_written_together_or_nothing_of_it() {
        let home = tempfile::tempdir().expect("a directory");
        let mut database = Database::open(home.path()).expect("made");
        database.write(&batch(0..10)).expect("room");
        database.bound(12);
        // Each second is a row: thousands of them need more pages than there are.
        let mut more = batch((0..5_000).map(|second| second * SECOND));
        more.reach(7, 5_000, false);
        more.folds.insert("sum", Fold { size: 1, root: [7; 32], state: b"so far".to_vec() });
        let fold = || Reading::open(home.path()).and_then(|file| file.fold("sum")).expect("read").is_some();
        assert!(matches!(database.write(&more), Err(Fault::Passing(_))), "it is full");
        assert_eq!((requests(home.path()), database.counted().expect("read").len(), fold()), (10, 0, false));
        database.bound(1_000_000);
        database.write(&more).expect("room again");
        let reached = database.counted().expect("read")[&7].requests;
        assert_eq!((requests(home.path()), reached, fold()), (5_010, 5_000, true));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_the_history_says_so() {
        let home = tempfile::tempdir().expect("a directory");
        let mut held = batch((0..WAITING as u64 + 5).map(|second| second * SECOND));
        held.merge(batch([1, 2, 3].into_iter()));
        // The first second has four by then.
        assert_eq!((held.bound(), held.tallies, held.bound()), (8, WAITING, 0));
        let mut database = Database::open(home.path()).expect("made");
        database.write(&held).expect("room");
        let ask = Ask { platform: None, from: 0, until: 10 * SECOND, step: SECOND };
        let history = history(home.path(), &ask).expect("read");
        assert_eq!((history.missing, history.points.first().map(|point| point.at)), (8, Some(5 * SECOND)));
    }

    #[test]
    fn what_is_old_goes_and_the_posture_that_holds_stays() {
        let home = tempfile::tempdir().expect("a directory");
        let mut database = Database::open(home.path()).expect("made");
        let mut all = batch([1, 61_000, 121_000].into_iter());
        let stood = |at: u64, posture: &str| (at, "public".to_owned(), posture.to_owned());
        all.postures.extend([stood(5, "attack"), stood(9, "recovery"), stood(70_000, "normal")]);
        database.write(&all).expect("room");
        database.erase(120_000, 60_000).expect("erased");
        let at = |step: u64| {
            let ask = Ask { platform: Some("public"), from: 0, until: 200_000, step };
            let history = history(home.path(), &ask).expect("read");
            (history.points.iter().map(|point| point.at).collect::<Vec<_>>(), history.postures)
        };
        assert_eq!(at(SECOND).0, [121_000]);
        assert_eq!(at(MINUTE).0, [60_000, 120_000]);
        assert_eq!(at(MINUTE).1, [(9, "recovery".to_owned()), (70_000, "normal".to_owned())]);
    }

    proptest! {
        // Each makes two files.
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn parts_written_one_by_one_are_what_the_whole_is(
            millis in proptest::collection::vec(0_u64..200_000, 1..80),
            cuts in proptest::collection::vec(0_usize..80, 0..4),
        ) {
            let (once, bit) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
            Database::open(once.path()).expect("made").write(&batch(millis.iter().copied())).expect("room");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(millis.len())).chain([0, millis.len()]).collect();
            cuts.sort_unstable();
            for pair in cuts.windows(2) {
                // Opened anew each time, as after a restart.
                let mut database = Database::open(bit.path()).expect("opened");
                database.write(&batch(millis[pair[0]..pair[1]].iter().copied())).expect("room");
            }
            for step in [SECOND, 7 * SECOND, MINUTE, 2 * MINUTE] {
                let ask = Ask { platform: None, from: 0, until: 1_000_000, step };
                prop_assert_eq!(history(once.path(), &ask).expect("read"), history(bit.path(), &ask).expect("read"));
            }
        }
    }
}
