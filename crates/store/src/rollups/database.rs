//! The file that roll-ups lie in, and the state that is derived as they are: SQLite, written by one thread, read by whoever asks.
//!
//! Nothing in it is the truth: whatever is wrong with it, it can be made again from requests and ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row, Transaction, params};

use super::measures::{self, Stretch};
use super::{Batch, MINUTE, SECOND};
use crate::folds::{FOLD_BYTES, Fold};
use crate::requests::Tally;
use crate::requests::times::Times;

/// Where it lies in the directory of the evidence.
pub(crate) const NAME: &str = "state.sqlite";
/// What the application says of the file: "PORT".
const APPLICATION: i64 = 0x504f_5254;
/// The form of the tables. Another one is put aside and made again.
const FORM: i64 = 1;
/// How long another process's lock is waited for.
const PATIENCE: Duration = Duration::from_millis(200);
/// Moves of posture of one platform that are read for one history.
const POSTURES: i64 = 10_000;

const TABLES: &str = "
CREATE TABLE platforms (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE seconds (platform INTEGER NOT NULL, at INTEGER NOT NULL, requests INTEGER NOT NULL, served INTEGER NOT NULL,
    failed INTEGER NOT NULL, challenged INTEGER NOT NULL, roomed INTEGER NOT NULL, delayed INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, refused TEXT NOT NULL, times BLOB NOT NULL,
    PRIMARY KEY (platform, at)) WITHOUT ROWID;
CREATE TABLE minutes (platform INTEGER NOT NULL, at INTEGER NOT NULL, requests INTEGER NOT NULL, served INTEGER NOT NULL,
    failed INTEGER NOT NULL, challenged INTEGER NOT NULL, roomed INTEGER NOT NULL, delayed INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, refused TEXT NOT NULL, times BLOB NOT NULL,
    PRIMARY KEY (platform, at)) WITHOUT ROWID;
CREATE TABLE postures (platform INTEGER NOT NULL, at INTEGER NOT NULL, posture TEXT NOT NULL,
    PRIMARY KEY (platform, at)) WITHOUT ROWID;
CREATE TABLE counted (hour INTEGER PRIMARY KEY, requests INTEGER NOT NULL, whole INTEGER NOT NULL);
CREATE TABLE missing (since INTEGER NOT NULL, until INTEGER NOT NULL, requests INTEGER NOT NULL);
CREATE TABLE read (what TEXT PRIMARY KEY) WITHOUT ROWID;
";
/// It came later, and is not in every file of this form.
const FOLDS: &str =
    "CREATE TABLE IF NOT EXISTS folds (name TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL,
    digest BLOB NOT NULL, state BLOB NOT NULL)";
const COLUMNS: &str = "at, requests, served, failed, challenged, roomed, delayed, bytes_in, bytes_out, refused, times";

/// Why the file cannot be used.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is none of ours, is damaged, or has another form: it is put aside.
    Unusable(String),
    /// It is locked, the disk is full, it may not be written: later, perhaps.
    Passing(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unusable(why) | Self::Passing(why)) = self;
        f.write_str(why)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let words = error.to_string();
        match error.sqlite_error_code() {
            // What is not one of SQLite's faults of the moment, such as a table that is not there, will not pass.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) | None => {
                Self::Unusable(words)
            }
            Some(_) => Self::Passing(words),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Unusable(error.to_string())
    }
}

/// How much of an hour's requests is in the roll-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counted {
    pub(crate) requests: u64,
    /// Nothing more is written there.
    pub(crate) whole: bool,
}

/// The file, open to be written.
pub(crate) struct Database {
    connection: Connection,
    platforms: HashMap<String, i64>,
    /// It was not there before.
    pub(crate) fresh: bool,
}

impl Database {
    /// Opens the file, or makes it.
    pub(crate) fn open(directory: &Path) -> Result<Self, Fault> {
        let path = directory.join(NAME);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let (application, form) = (number("application_id")?, number("user_version")?);
        let fresh = (tables, application, form) == (0, 0, 0);
        if !fresh && (application, form) != (APPLICATION, FORM) {
            return Err(Fault::Unusable(format!("its form is {form} and not {FORM}")));
        }
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        // The last commits may be gone with the power, and are counted again: `counted` goes with them.
        connection.pragma_update(None, "synchronous", "normal")?;
        let mut database = Self { connection, platforms: HashMap::new(), fresh };
        if fresh {
            let begun = database.connection.transaction()?;
            begun.execute_batch(TABLES)?;
            begun.pragma_update(None, "application_id", APPLICATION)?;
            begun.pragma_update(None, "user_version", FORM)?;
            begun.commit()?;
        } else {
            let check: String = database.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if check != "ok" {
                return Err(Fault::Unusable(check));
            }
        }
        database.connection.execute(FOLDS, [])?;
        measures::prepare(&database.connection)?;
        database.platforms = known(&database.connection)?;
        Ok(database)
    }

    /// Writes what was counted, all of it or nothing.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<(), Fault> {
        let written = self.write_all(batch);
        if written.is_err() {
            // A platform that was new in what was rolled back has no number any more.
            self.platforms.clear();
        }
        written
    }

    fn write_all(&mut self, batch: &Batch) -> Result<(), Fault> {
        let work = self.connection.transaction()?;
        let mut minutes: BTreeMap<(u64, &str), Tally> = BTreeMap::new();
        for (second, platforms) in &batch.seconds {
            for (platform, tally) in platforms {
                let id = place(&work, &mut self.platforms, platform)?;
                add(&work, "seconds", id, second * SECOND, tally)?;
                minutes.entry((second * SECOND / MINUTE, platform)).or_default().merge(tally);
            }
        }
        for ((minute, platform), tally) in &minutes {
            let id = place(&work, &mut self.platforms, platform)?;
            add(&work, "minutes", id, minute * MINUTE, tally)?;
        }
        for (at, platform, posture) in &batch.postures {
            let id = place(&work, &mut self.platforms, platform)?;
            work.execute("INSERT OR REPLACE INTO postures VALUES (?, ?, ?)", params![id, int(*at), posture])?;
        }
        for switch in &batch.switches {
            measures::write(&work, switch, |platform| place(&work, &mut self.platforms, platform))?;
        }
        for (hour, counted) in &batch.counted {
            let row = params![int(*hour), int(counted.requests), counted.whole];
            work.execute("INSERT OR REPLACE INTO counted VALUES (?, ?, ?)", row)?;
        }
        if let Some((since, until, requests)) = batch.missing {
            work.execute("INSERT INTO missing VALUES (?, ?, ?)", params![int(since), int(until), int(requests)])?;
        }
        if batch.read {
            work.execute("INSERT OR IGNORE INTO read VALUES ('postures'), ('measures')", [])?;
        }
        for (name, fold) in &batch.folds {
            let row = params![name, int(fold.size), fold.root, fold.digest(), fold.state];
            work.execute("INSERT OR REPLACE INTO folds VALUES (?, ?, ?, ?, ?)", row)?;
        }
        Ok(work.commit()?)
    }

    /// How much of each hour is in it.
    pub(crate) fn counted(&self) -> Result<BTreeMap<u64, Counted>, Fault> {
        let mut select = self.connection.prepare("SELECT hour, requests, whole FROM counted")?;
        let rows = select.query_map([], |row| {
            Ok((uint(row.get(0)?), Counted { requests: uint(row.get(1)?), whole: row.get(2)? }))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether the ledger was read for what came before: `postures`, `measures`.
    pub(crate) fn has_read(&self, what: &str) -> Result<bool, Fault> {
        let select = "SELECT count(*) FROM read WHERE what = ?";
        Ok(self.connection.query_row(select, [what], |row| row.get::<_, i64>(0))? > 0)
    }

    /// The last posture of each platform.
    pub(crate) fn latest(&self) -> Result<BTreeMap<String, String>, Fault> {
        let mut select = self
            .connection
            .prepare("SELECT name, posture, max(at) FROM postures JOIN platforms ON id = platform GROUP BY platform")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Removes what is older than these times.
    pub(crate) fn erase(&self, seconds: u64, minutes: u64) -> Result<(), Fault> {
        self.connection.execute("DELETE FROM seconds WHERE at < ?", [int(seconds)])?;
        self.connection.execute("DELETE FROM minutes WHERE at < ?", [int(minutes)])?;
        self.connection.execute("DELETE FROM missing WHERE until < ?", [int(minutes)])?;
        // The last posture before is the one that holds.
        self.connection.execute(
            "DELETE FROM postures WHERE at < (SELECT max(later.at) FROM postures AS later
             WHERE later.platform = postures.platform AND later.at < ?)",
            [int(minutes)],
        )?;
        measures::erase(&self.connection, minutes)
    }

    /// Holds it to so many pages, so that a test has a disk that is full.
    #[cfg(test)]
    pub(crate) fn bound(&self, pages: i64) {
        let set = self.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()));
        set.expect("a number of pages");
    }
}

fn place(work: &Transaction<'_>, platforms: &mut HashMap<String, i64>, name: &str) -> Result<i64, Fault> {
    if let Some(id) = platforms.get(name) {
        return Ok(*id);
    }
    work.execute("INSERT OR IGNORE INTO platforms (name) VALUES (?)", [name])?;
    let id = work.query_row("SELECT id FROM platforms WHERE name = ?", [name], |row| row.get(0))?;
    platforms.insert(name.to_owned(), id);
    Ok(id)
}

fn known(connection: &Connection) -> Result<HashMap<String, i64>, Fault> {
    let mut select = connection.prepare("SELECT name, id FROM platforms")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds to what is there of the same time.
fn add(work: &Transaction<'_>, table: &str, platform: i64, at: u64, tally: &Tally) -> Result<(), Fault> {
    let select = format!("SELECT {COLUMNS} FROM {table} WHERE platform = ? AND at = ?");
    let before = work.query_row(&select, params![platform, int(at)], |row| Ok(read(row))).optional()?;
    let merged = match before {
        Some(before) => {
            let (_, mut merged) = before?;
            merged.merge(tally);
            Some(merged)
        }
        None => None,
    };
    let all = merged.as_ref().unwrap_or(tally);
    let refused = match all.refused.is_empty() {
        true => String::new(),
        false => serde_json::to_string(&all.refused).map_err(|error| Fault::Unusable(error.to_string()))?,
    };
    work.execute(
        &format!("INSERT OR REPLACE INTO {table} (platform, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
        params![
            platform,
            int(at),
            int(all.requests),
            int(all.served),
            int(all.failed),
            int(all.challenged),
            int(all.roomed),
            int(all.delayed),
            int(all.bytes_in),
            int(all.bytes_out),
            refused,
            all.times.pack(),
        ],
    )?;
    Ok(())
}

/// A row of [`COLUMNS`]: when, and what.
fn read(row: &Row<'_>) -> Result<(u64, Tally), Fault> {
    let number = |column: usize| row.get::<_, i64>(column).map(uint);
    let refused = row.get_ref(9)?.as_str().map_err(|error| Fault::Unusable(error.to_string()))?;
    let refused = match refused {
        "" => BTreeMap::new(),
        refused => serde_json::from_str(refused).map_err(|error| Fault::Unusable(error.to_string()))?,
    };
    let times = row.get_ref(10)?.as_blob().map_err(|error| Fault::Unusable(error.to_string()))?;
    let tally = Tally {
        requests: number(1)?,
        served: number(2)?,
        failed: number(3)?,
        challenged: number(4)?,
        roomed: number(5)?,
        delayed: number(6)?,
        bytes_in: number(7)?,
        bytes_out: number(8)?,
        refused,
        times: Times::unpack(times)?,
    };
    Ok((number(0)?, tally))
}

/// SQLite has 63 bits.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The file, to be read while the gate may write it.
pub(crate) struct Reading {
    connection: Connection,
    platforms: HashMap<String, i64>,
}

impl Reading {
    pub(crate) fn open(directory: &Path) -> Result<Self, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(directory.join(NAME), flags)?;
        connection.busy_timeout(PATIENCE)?;
        let form: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if form != FORM {
            return Err(Fault::Unusable(format!("its form is {form} and not {FORM}")));
        }
        let platforms = known(&connection)?;
        Ok(Self { connection, platforms })
    }

    /// What was folded under that name; none where nothing was.
    pub(crate) fn fold(&self, name: &str) -> Result<Option<Fold>, Fault> {
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'folds'";
        if self.connection.query_row(tables, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(None);
        }
        let select = "SELECT size, root, digest, state FROM folds WHERE name = ? AND length(state) <= ?";
        let read = |row: &Row<'_>| -> Result<(Fold, [u8; 32]), rusqlite::Error> {
            Ok((Fold { size: uint(row.get(0)?), root: row.get(1)?, state: row.get(3)? }, row.get(2)?))
        };
        let Some((fold, digest)) =
            self.connection.query_row(select, params![name, int(FOLD_BYTES)], read).optional()?
        else {
            return Ok(None);
        };
        if fold.digest() != digest {
            return Err(Fault::Unusable("what was folded is not what was written".to_owned()));
        }
        Ok(Some(fold))
    }

    pub(crate) fn platforms(&self) -> BTreeSet<String> {
        self.platforms.keys().cloned().collect()
    }

    /// What lies between these times of one platform, or of all of them, in the order of time.
    pub(crate) fn each(
        &self,
        by_minute: bool,
        platform: Option<&str>,
        (from, until): (u64, u64),
        mut take: impl FnMut(u64, Tally),
    ) -> Result<(), Fault> {
        let table = if by_minute { "minutes" } else { "seconds" };
        for (name, id) in &self.platforms {
            if platform.is_some_and(|wanted| wanted != name) {
                continue;
            }
            let select = format!("SELECT {COLUMNS} FROM {table} WHERE platform = ? AND at >= ? AND at < ? ORDER BY at");
            let mut select = self.connection.prepare(&select)?;
            let mut rows = select.query(params![id, int(from), int(until)])?;
            while let Some(row) = rows.next()? {
                let (at, tally) = read(row)?;
                take(at, tally);
            }
        }
        Ok(())
    }

    /// How a platform stood: the posture that held at the beginning, and each that it moved to.
    pub(crate) fn postures(&self, platform: &str, (from, until): (u64, u64)) -> Result<Vec<(u64, String)>, Fault> {
        let Some(id) = self.platforms.get(platform) else { return Ok(Vec::new()) };
        let mut select = self.connection.prepare(
            "SELECT at, posture FROM postures WHERE platform = ?1 AND at < ?3
             AND at >= coalesce((SELECT max(at) FROM postures WHERE platform = ?1 AND at <= ?2), ?2) ORDER BY at LIMIT ?4",
        )?;
        let rows = select.query_map(params![id, int(from), int(until), POSTURES], |row| {
            Ok((uint(row.get(0)?), row.get::<_, String>(1)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What was in force within these times, and how many more there were.
    pub(crate) fn measures(&self, platform: Option<&str>, span: (u64, u64)) -> Result<(Vec<Stretch>, u64), Fault> {
        let id = match platform.map(|name| self.platforms.get(name)) {
            Some(None) => return Ok((Vec::new(), 0)),
            Some(Some(id)) => Some(*id),
            None => None,
        };
        measures::within(&self.connection, id, span)
    }

    /// Requests of these times that are on record and not in the roll-ups.
    pub(crate) fn missing(&self, (from, until): (u64, u64)) -> Result<u64, Fault> {
        let select = "SELECT coalesce(sum(requests), 0) FROM missing WHERE until >= ? AND since < ?";
        Ok(self.connection.query_row(select, [int(from), int(until)], |row| row.get(0).map(uint))?)
    }
}
