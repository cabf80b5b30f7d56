//! The ledger as it is written: a journal first, then tiles, bundles of entries and segments of events, then a checkpoint.
//!
//! A record is appended to the journal and synced; that is all it takes to be durable. What others read is made from it each
//! second and synced before the checkpoint over it is signed, so nothing is signed that a crash could take back. After any
//! fault the directory is opened anew: the journal says from where on everything is written again. What was published is
//! never contradicted; a directory that would need it is refused.
//!
//! ```text
//! checkpoint                                  the latest, signed by the log
//! checkpoint.witnessed                        the latest that enough witnesses cosigned
//! tile/0/x001/234  tile/1/000.p/17            hashes, as C2SP tlog-tiles has them
//! tile/entries/x001/234                       leaves
//! events/CLASS/YYYY-MM-DD/FIRST.open|.seg     salts and events, in frames; sealed ones compressed
//! journal/GENERATION                          what happened since everything else was made durable
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

use portcullis_ledger::checkpoint::Checkpoint;
use portcullis_ledger::frame::{Frames, Kept, frame};
use portcullis_ledger::leaf::{self, ENTRY_BYTES, Leaf, Salt};
use portcullis_ledger::note::{Note, SignerKey};
use portcullis_ledger::tree::{self, TILE, Tile, Tree, bundle_path, partial_paths};
use portcullis_ledger::{Retention, Sensor};
use portcullis_types::Date;

use crate::disk::Disk;

/// The journal is begun anew beyond so many bytes.
const JOURNAL_BYTES: u64 = 4 * 1024 * 1024;
/// Or after so many checkpoints.
const JOURNAL_CHECKPOINTS: u32 = 30;
/// A segment of events is begun anew beyond so many bytes.
const SEGMENT_BYTES: u64 = 32 * 1024 * 1024;
/// What waits to be written for others to read, in bytes; beyond it nothing more is taken.
const WAITING_BYTES: usize = 64 * 1024 * 1024;
/// Sensors at most, so that a journal's beginning stays small. Beyond it, their records are `sensor-limit`'s.
pub(crate) const SENSORS: usize = 1024;
/// One event at most, in bytes.
pub(crate) const EVENT_BYTES: usize = 256 * 1024;
const MAGIC: &[u8] = b"portcullis journal 1\n";

/// A record to append.
#[derive(Debug, Clone)]
pub struct Appended {
    /// Whose.
    pub sensor: Sensor,
    /// When it was made.
    pub unix_millis: u64,
    /// How long its event is kept.
    pub class: Retention,
    /// JSON.
    pub event: Vec<u8>,
}

/// Draws salts: fills the bytes with what nobody can guess.
pub type Salts = fn(&mut [u8]) -> io::Result<()>;

/// How long events are kept, by class; none is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retain {
    /// Milliseconds, in the order of [`Retention::ALL`].
    pub millis: [Option<u64>; 4],
}

/// Why a directory cannot be opened to be written.
#[derive(Debug)]
pub enum Opening {
    /// The disk.
    Disk(io::Error),
    /// The key is another log's than the one whose checkpoint lies there.
    OtherLog,
    /// What lies there contradicts a checkpoint that was published: to go on would be a fork.
    Damaged(String),
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::OtherLog => f.write_str("its checkpoint is not signed by this key"),
            Self::Damaged(why) => write!(f, "{why}; to go on would contradict what was published: move it aside"),
        }
    }
}

impl From<io::Error> for Opening {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// The open ledger. After an error of [`Ledger::append`] or [`Ledger::checkpoint`] only [`Ledger::reopen`] helps.
pub struct Ledger<D> {
    disk: D,
    key: SignerKey,
    salts: Salts,
    tree: Tree,
    /// The entries of the last bundle, which is not full.
    bundle: Vec<u8>,
    /// The next number of each sensor.
    next: BTreeMap<Sensor, u64>,
    journal: Journal,
    /// Files that wait to be written.
    waiting: Vec<(String, Vec<u8>)>,
    waiting_bytes: usize,
    /// Files that were written and are not known to be durable.
    unsynced: Vec<String>,
    segments: [Segment; 4],
    /// Those that grow no more, and of which something waits to be written.
    ended: Vec<Segment>,
    /// Partial tiles of the last checkpoint, and of the one before.
    partial: Vec<String>,
    stale: Vec<String>,
    published: Option<u64>,
    /// Segments that grow no more, and may be compressed from the next journal on; and those that may be now.
    closed: Vec<String>,
    sealable: Vec<String>,
    /// When the last record was made, as far as the journal tells.
    last_millis: u64,
    /// The gate said that it ended, and not yet that it began again.
    stopped: bool,
}

#[derive(Debug, Clone, Default)]
struct Journal {
    generation: u64,
    bytes: u64,
    checkpoints: u32,
}

impl Journal {
    fn path(generation: u64) -> String {
        format!("journal/{generation:020}")
    }
}

/// The segment that events of a class are appended to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Segment {
    /// Empty where there is none.
    path: String,
    day: u64,
    /// Bytes that are in the file.
    bytes: u64,
    waiting: Vec<u8>,
}

impl<D: Disk> Ledger<D> {
    /// Opens a directory, or begins one. What a crash left is put right.
    ///
    /// # Errors
    /// When the disk fails, or the directory contradicts its own checkpoint.
    pub fn open(disk: D, key: SignerKey, salts: Salts) -> Result<Self, Opening> {
        let mut ledger = Self {
            disk,
            key,
            salts,
            tree: Tree::default(),
            bundle: Vec::new(),
            next: BTreeMap::new(),
            journal: Journal::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            unsynced: Vec::new(),
            segments: Default::default(),
            ended: Vec::new(),
            partial: Vec::new(),
            stale: Vec::new(),
            published: None,
            closed: Vec::new(),
            sealable: Vec::new(),
            last_millis: 0,
            stopped: false,
        };
        ledger.recover()?;
        Ok(ledger)
    }

    /// The same after a fault. What was appended and was not said to be durable may be there, or not: [`Ledger::size`] tells.
    ///
    /// # Errors
    /// As of [`Ledger::open`]; then it can be tried again.
    pub fn reopen(&mut self) -> Result<(), Opening> {
        self.tree = Tree::default();
        self.bundle.clear();
        self.next.clear();
        self.journal = Journal::default();
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.unsynced.clear();
        self.segments = Default::default();
        self.ended.clear();
        self.closed.clear();
        self.recover()
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Of how many leaves the last published checkpoint was.
    #[must_use]
    pub const fn published(&self) -> Option<u64> {
        self.published
    }

    /// When its last record was made; 0 where that is not known.
    #[must_use]
    pub const fn last_millis(&self) -> u64 {
        self.last_millis
    }

    /// Whether whoever wrote it last said that it ended.
    #[must_use]
    pub const fn stopped(&self) -> bool {
        self.stopped
    }

    /// Its disk.
    pub const fn disk(&self) -> &D {
        &self.disk
    }

    /// Segments that may be compressed from now on.
    pub fn take_sealable(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sealable)
    }

    /// Appends records. Once it returns they are durable.
    ///
    /// # Errors
    /// When the disk did not take them or does not say so.
    pub fn append(&mut self, records: &[Appended]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        if self.waiting_bytes > WAITING_BYTES {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "too much waits to be written"));
        }
        let mut salts = vec![0; records.len() * 16];
        (self.salts)(&mut salts)?;
        let mut next: BTreeMap<Sensor, u64> = BTreeMap::new();
        let mut bytes = Vec::new();
        let first = self.tree.size();
        frame(&mut bytes, |out| {
            out.extend_from_slice(&first.to_le_bytes());
            let mut entry = Vec::with_capacity(ENTRY_BYTES);
            for (record, salt) in records.iter().zip(salts.as_chunks::<16>().0) {
                let known = self.next.contains_key(&record.sensor) || self.next.len() + next.len() < SENSORS;
                let sensor = if known { record.sensor.clone() } else { Sensor::Borrowed("sensor-limit") };
                let seq = next.entry(sensor.clone()).or_insert_with(|| self.next.get(&sensor).copied().unwrap_or(0));
                let digest = leaf::commit(salt, &record.event);
                let leaf = Leaf { sensor, seq: *seq, unix_millis: record.unix_millis, class: record.class, digest };
                *seq += 1;
                entry.clear();
                leaf.write(&mut entry);
                leaf::bundle(out, &entry);
                out.extend_from_slice(salt);
                out.extend_from_slice(&(record.event.len() as u32).to_le_bytes());
                out.extend_from_slice(&record.event);
            }
        });
        let path = Journal::path(self.journal.generation);
        self.disk.append(&path, self.journal.bytes, &bytes)?;
        self.disk.sync_data(&path)?;
        self.journal.bytes += bytes.len() as u64;
        let content = Frames::new(&bytes).next().unwrap_or_default();
        self.apply(content).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
    }

    /// Makes what was appended readable, signs a checkpoint over it and publishes that; says over how many leaves. What is
    /// there already is not done again.
    ///
    /// # Errors
    /// When the disk fails. Nothing is signed then.
    pub fn checkpoint(&mut self) -> io::Result<u64> {
        let size = self.tree.size();
        if self.published == Some(size) {
            return Ok(size);
        }
        self.settle()?;
        self.publish()?;
        self.journal.checkpoints += 1;
        if self.journal.bytes > JOURNAL_BYTES || self.journal.checkpoints >= JOURNAL_CHECKPOINTS {
            self.begin_journal()?;
        }
        Ok(size)
    }

    /// Publishes what witnesses made of a checkpoint of this log.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn publish_witnessed(&self, note: &str) -> io::Result<()> {
        replace(&self.disk, "checkpoint.witnessed", note.as_bytes())
    }

    /// Writes and syncs all that waits.
    fn settle(&mut self) -> io::Result<()> {
        for (tile, hashes) in self.tree.partial() {
            let path = tile.path();
            if !self.partial.contains(&path) {
                self.waiting.push((path, hashes.concat()));
            }
        }
        let width = (self.tree.size() % TILE) as u16;
        if width > 0 {
            self.waiting.push((bundle_path(self.tree.size() / TILE, width), self.bundle.clone()));
        }
        for (path, bytes) in self.waiting.drain(..) {
            self.disk.write(&path, &bytes)?;
            self.unsynced.push(path);
        }
        self.waiting_bytes = 0;
        for segment in self.ended.iter_mut().chain(&mut self.segments) {
            if !segment.waiting.is_empty() {
                self.disk.append(&segment.path, segment.bytes, &segment.waiting)?;
                segment.bytes += segment.waiting.len() as u64;
                segment.waiting.clear();
                self.unsynced.push(segment.path.clone());
            }
        }
        self.ended.clear();
        self.unsynced.sort();
        self.unsynced.dedup();
        self.disk.sync(&self.unsynced)?;
        self.unsynced.clear();
        Ok(())
    }

    fn publish(&mut self) -> io::Result<()> {
        let size = self.tree.size();
        let checkpoint = Checkpoint { origin: self.key.public().name().to_owned(), size, root: self.tree.root() };
        replace(&self.disk, "checkpoint", checkpoint.sign(&self.key).as_bytes())?;
        self.published = Some(size);
        // Whoever read the checkpoint before this one still finds its tiles.
        let now = partial_paths(size);
        let before = std::mem::replace(&mut self.partial, now);
        let gone = std::mem::replace(&mut self.stale, before);
        for path in gone.iter().filter(|path| !self.partial.contains(path) && !self.stale.contains(path)) {
            self.disk.remove(path)?;
            let directory = path.rsplit_once('/').map_or(path.as_str(), |(directory, _)| directory);
            if !self.partial.iter().chain(&self.stale).any(|other| other.starts_with(directory)) {
                self.disk.remove(directory)?;
            }
        }
        Ok(())
    }

    /// Begins a journal. All before it is durable elsewhere.
    fn begin_journal(&mut self) -> io::Result<()> {
        let generation = self.journal.generation + 1;
        let mut bytes = Vec::new();
        frame(&mut bytes, |out| self.write_beginning(out));
        replace(&self.disk, &Journal::path(generation), &bytes)?;
        let before =
            std::mem::replace(&mut self.journal, Journal { generation, bytes: bytes.len() as u64, checkpoints: 0 });
        self.sealable.append(&mut self.closed);
        if before.generation > 0 {
            self.disk.remove(&Journal::path(before.generation))?;
        }
        Ok(())
    }

    /// What it takes to go on from here without reading anything else.
    fn write_beginning(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.tree.size().to_le_bytes());
        out.extend_from_slice(&self.last_millis.to_le_bytes());
        out.push(u8::from(self.stopped));
        out.push(self.tree.edge().len() as u8);
        for hashes in self.tree.edge() {
            out.push(hashes.len() as u8);
            hashes.iter().for_each(|hash| out.extend_from_slice(hash));
        }
        out.extend_from_slice(&(self.bundle.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.bundle);
        for segment in &self.segments {
            out.push(segment.path.len() as u8);
            out.extend_from_slice(segment.path.as_bytes());
            out.extend_from_slice(&segment.day.to_le_bytes());
            out.extend_from_slice(&segment.bytes.to_le_bytes());
        }
        out.extend_from_slice(&(self.next.len() as u16).to_le_bytes());
        for (sensor, next) in &self.next {
            out.push(sensor.len() as u8);
            out.extend_from_slice(sensor.as_bytes());
            out.extend_from_slice(&next.to_le_bytes());
        }
    }

    fn read_beginning(&mut self, content: &[u8]) -> Option<()> {
        let mut bytes = Bytes(content.strip_prefix(MAGIC)?);
        let (size, last_millis, stopped) = (bytes.u64()?, bytes.u64()?, bytes.u8()? == 1);
        let levels = bytes.u8()?;
        let mut edge = Vec::new();
        for _ in 0..levels {
            let hashes = usize::from(bytes.u8()?);
            edge.push(bytes.take(hashes * 32)?.as_chunks::<32>().0.to_vec());
        }
        self.tree = Tree::resume(size, edge)?;
        (self.last_millis, self.stopped) = (last_millis, stopped);
        let length = bytes.u32()? as usize;
        self.bundle = bytes.take(length)?.to_vec();
        for segment in &mut self.segments {
            let path = bytes.text()?;
            *segment = Segment { path, day: bytes.u64()?, bytes: bytes.u64()?, waiting: Vec::new() };
        }
        let sensors = bytes.u16()?;
        for _ in 0..sensors {
            let (sensor, next) = (bytes.text()?, bytes.u64()?);
            self.next.insert(sensor.into(), next);
        }
        bytes.0.is_empty().then_some(())
    }

    /// Takes what a frame of the journal holds into the tree, the bundle and the segments.
    fn apply(&mut self, content: &[u8]) -> Result<(), &'static str> {
        const BROKEN: &str = "a frame of the journal holds something else";
        let mut bytes = Bytes(content);
        if bytes.u64() != Some(self.tree.size()) {
            return Err("a frame of the journal is not the next one");
        }
        while !bytes.0.is_empty() {
            let length = usize::from(bytes.u16_be().ok_or(BROKEN)?);
            let entry = bytes.take(length).ok_or(BROKEN)?;
            let salt: Salt = bytes.take(16).and_then(|salt| salt.try_into().ok()).ok_or(BROKEN)?;
            let length = bytes.u32().ok_or(BROKEN)? as usize;
            let event = bytes.take(length).ok_or(BROKEN)?;
            self.apply_one(entry, salt, event).ok_or(BROKEN)?;
        }
        Ok(())
    }

    fn apply_one(&mut self, entry: &[u8], salt: Salt, event: &[u8]) -> Option<()> {
        let leaf = Leaf::parse(entry)?;
        let index = self.tree.size();
        let (waiting, mut bytes) = (&mut self.waiting, 0);
        self.tree.push(tree::leaf_hash(entry), |tile, hashes| {
            let content = hashes.concat();
            bytes += content.len();
            waiting.push((tile.path(), content));
        });
        self.waiting_bytes += bytes;
        leaf::bundle(&mut self.bundle, entry);
        if self.tree.size().is_multiple_of(TILE) {
            let bundle = std::mem::take(&mut self.bundle);
            self.waiting_bytes += bundle.len();
            self.waiting.push((bundle_path(index / TILE, TILE as u16), bundle));
        }
        let day = leaf.unix_millis / DAY_MILLIS;
        let segment = self.segments.get_mut(usize::from(leaf.class.code()))?;
        if segment.path.is_empty() || segment.day != day || segment.bytes + segment.waiting.len() as u64 > SEGMENT_BYTES
        {
            if !segment.path.is_empty() {
                self.closed.push(segment.path.clone());
                self.ended.push(std::mem::take(segment));
            }
            let path = format!("events/{}/{}/{index:020}.open", leaf.class.name(), date(day));
            *segment = Segment { path, day, bytes: 0, waiting: Vec::new() };
        }
        let before = segment.waiting.len();
        frame(&mut segment.waiting, |out| Kept { index, salt, event }.write(out));
        self.waiting_bytes += segment.waiting.len() - before;
        self.last_millis = leaf.unix_millis;
        if event.starts_with(br#"{"kind":"stop""#) {
            self.stopped = true;
        } else if event.starts_with(br#"{"kind":"start""#) {
            self.stopped = false;
        }
        self.next.insert(leaf.sensor, leaf.seq + 1);
        Some(())
    }

    /// Reads what is there, writes again what a fault may have taken, publishes, and begins a journal.
    fn recover(&mut self) -> Result<(), Opening> {
        let damaged = |why: &str| Opening::Damaged(why.to_owned());
        let published = match self.disk.read("checkpoint") {
            Ok(note) => {
                let note = Note::parse(&note).map_err(|why| Opening::Damaged(format!("its checkpoint: {why}")))?;
                note.signed_by(self.key.public()).ok_or(Opening::OtherLog)?;
                Some(Checkpoint::parse(note.text).ok_or_else(|| damaged("its checkpoint says something else"))?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let generations = self.disk.list("journal")?;
        let mut journal = Vec::new();
        for name in generations.iter().rev() {
            // One that was being made when the power went has another name.
            let Some(generation) =
                name.parse().ok().filter(|number: &u64| Journal::path(*number).ends_with(name.as_str()))
            else {
                continue;
            };
            journal = self.disk.read(&Journal::path(generation))?;
            self.journal = Journal { generation, bytes: 0, checkpoints: 0 };
            break;
        }
        let mut seen = match &published {
            Some(checkpoint) if checkpoint.size > 0 => None,
            _ => Some(()),
        };
        if self.journal.generation > 0 {
            let mut frames = Frames::new(&journal);
            let beginning = frames.next().ok_or_else(|| damaged("its journal has no beginning"))?;
            self.read_beginning(beginning).ok_or_else(|| damaged("its journal begins with something else"))?;
            self.drop_newer()?;
            // A frame holds many leaves, and a checkpoint is only ever between two.
            loop {
                if let Some(checkpoint) = published.as_ref().filter(|checkpoint| checkpoint.size == self.tree.size()) {
                    if checkpoint.root != self.tree.root() {
                        return Err(damaged("its journal and its checkpoint have different roots"));
                    }
                    seen = Some(());
                }
                let Some(content) = frames.next() else { break };
                self.apply(content).map_err(damaged)?;
            }
        }
        if seen.is_none() {
            let has = self.tree.size();
            let size = published.map_or(0, |checkpoint| checkpoint.size);
            return Err(Opening::Damaged(format!("its journal ends at leaf {has}, its checkpoint is of {size}")));
        }
        self.partial.clear();
        self.stale.clear();
        self.settle()?;
        self.partial = published.map(|checkpoint| partial_paths(checkpoint.size)).unwrap_or_default();
        self.sealable = self.old_segments()?;
        self.publish()?;
        self.begin_journal()?;
        self.drop_orphans()?;
        for name in generations {
            let path = format!("journal/{name}");
            if path != Journal::path(self.journal.generation) {
                self.disk.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes partial tiles that belong to no checkpoint that anybody may just be reading: whoever was killed left theirs.
    fn drop_orphans(&self) -> io::Result<()> {
        let mut directories = BTreeSet::new();
        for level in 0_u8..8 {
            // They lie where the tree grows, or if that has just begun a directory, in the one before.
            let index = self.tree.size().checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
            for index in [Some(index), index.checked_sub(1_000)].into_iter().flatten() {
                let tile = Tile { level, index, width: TILE as u16 }.path();
                let paths = [Some(tile), (level == 0).then(|| bundle_path(index, TILE as u16))];
                directories
                    .extend(paths.into_iter().flatten().filter_map(|path| Some(path.rsplit_once('/')?.0.to_owned())));
            }
        }
        let known: Vec<&String> = self.partial.iter().chain(&self.stale).collect();
        for directory in directories {
            for name in self.disk.list(&directory)?.into_iter().filter(|name| name.ends_with(".p")) {
                let tile = format!("{directory}/{name}/");
                if !known.iter().any(|known| known.starts_with(&tile)) {
                    self.disk.remove(tile.trim_end_matches('/'))?;
                    continue;
                }
                for path in self.disk.list(tile.trim_end_matches('/'))?.iter().map(|width| format!("{tile}{width}")) {
                    if !known.contains(&&path) {
                        self.disk.remove(&path)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Segments that were begun after the journal are written again from it.
    fn drop_newer(&self) -> io::Result<()> {
        let size = self.tree.size();
        self.each_open(|path, first| if first >= size { self.disk.remove(path) } else { Ok(()) })
    }

    /// Segments that grow no more and are not compressed yet.
    fn old_segments(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        self.each_open(|path, _| {
            if self.segments.iter().all(|segment| segment.path != path) {
                found.push(path.to_owned());
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn each_open(&self, mut each: impl FnMut(&str, u64) -> io::Result<()>) -> io::Result<()> {
        for class in Retention::ALL {
            let class = format!("events/{}", class.name());
            for day in self.disk.list(&class)? {
                for name in self.disk.list(&format!("{class}/{day}"))? {
                    if let Some(first) = name.strip_suffix(".open").and_then(|first| first.parse().ok()) {
                        each(&format!("{class}/{day}/{name}"), first)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl<D: fmt::Debug> fmt::Debug for Ledger<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("disk", &self.disk).field("size", &self.tree.size()).finish_non_exhaustive()
    }
}

/// A file that is either the old or the new one, whatever happens.
pub(crate) fn replace(disk: &impl Disk, path: &str, bytes: &[u8]) -> io::Result<()> {
    let new = format!("{path}.new");
    disk.write(&new, bytes)?;
    disk.sync(std::slice::from_ref(&new))?;
    disk.rename(&new, path)?;
    disk.sync(&[path.to_owned()])
}

pub(crate) const DAY_MILLIS: u64 = 86_400_000;

/// `2026-11-22`, from days since 1970.
pub(crate) fn date(day: u64) -> String {
    Date::of_days(i64::try_from(day).unwrap_or(i64::MAX)).to_string()
}

/// Bytes that are taken apart from the front.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.chunk().map(u16::from_le_bytes)
    }

    fn u16_be(&mut self) -> Option<u16> {
        self.chunk().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    /// Behind its length in one byte.
    pub(crate) fn text(&mut self) -> Option<String> {
        let length = usize::from(self.u8()?);
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }
}
