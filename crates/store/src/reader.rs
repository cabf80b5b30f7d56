//! The ledger as it is read: as of its latest checkpoint, while another process goes on writing it.
//!
//! It believes nothing and checks nothing but that it can be read; `verify.rs` does.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use portcullis_ledger::checkpoint::Checkpoint;
use portcullis_ledger::frame::{Kept, Unchecked};
use portcullis_ledger::leaf::{self, Leaf, Seen};
use portcullis_ledger::note::Note;
use portcullis_ledger::proof::Proof;
use portcullis_ledger::tree::{self, Hash, TILE, Tile, bundle_path};
use portcullis_ledger::{Event, Record, Retention};

use crate::bundles::{Bundle, in_order};
use crate::disk::{Directory, Disk};
use crate::log::{DAY_MILLIS, date};
use crate::seal;

/// How often a file that is just being replaced is asked for again.
const TRIES: u32 = 5;

/// All records of a directory, from its first leaf to its latest checkpoint.
///
/// # Errors
/// When there is no checkpoint, or it cannot be read.
pub fn read(directory: &Path) -> io::Result<Records<Directory>> {
    Ok(Records::new(Snapshot::open(Directory::at(directory))?, 0))
}

/// What is handed over where not all of a ledger is wanted.
#[derive(Debug)]
pub enum Passage<'a> {
    /// A record with its event.
    Record(&'a Record),
    /// Records that are not wanted, or whose events are not kept: the latest time of them, in milliseconds since 1970.
    Until(u64),
}

/// Hands over the records of some classes in their order, and the time that passed between them, read by all cores. Segments of
/// other classes are not read at all. How many records the ledger has, of any class, comes back.
///
/// # Errors
/// When there is no checkpoint, or something cannot be read; what comes before it was handed over.
pub fn read_classes(
    directory: &Path,
    classes: impl Fn(Retention) -> bool + Send,
    mut take: impl FnMut(Passage<'_>),
) -> io::Result<u64> {
    enum Part {
        Record(Box<Record>),
        Until(u64),
    }
    let parts = |bundle: &Bundle| {
        let mut parts = Vec::new();
        let end = each(bundle, |index, leaf, kept| {
            match (kept, parts.last_mut()) {
                (Some(kept), _) => parts.push(Part::Record(record(index, leaf, Some(kept))?.into())),
                (None, Some(Part::Until(latest))) => *latest = leaf.unix_millis.max(*latest),
                (None, _) => parts.push(Part::Until(leaf.unix_millis)),
            }
            Ok(())
        });
        (parts, end)
    };
    let snapshot = Snapshot::open(Directory::at(directory))?;
    let mut failed = Ok(());
    in_order(&snapshot, classes, parts, |(parts, end)| {
        parts.iter().for_each(|part| {
            take(match part {
                Part::Record(record) => Passage::Record(record),
                Part::Until(latest) => Passage::Until(*latest),
            });
        });
        failed = std::mem::replace(end, Ok(()));
        failed.is_ok()
    });
    failed.map(|()| snapshot.checkpoint.size)
}

/// The records of a bundle, up to the first that cannot be read. Events that are not wanted, by kind, place and time, are left
/// out as erased ones are.
pub(crate) fn records(bundle: &Bundle, wanted: &impl Fn(&str, u64, u64) -> bool) -> (Vec<Record>, io::Result<()>) {
    let mut records = Vec::with_capacity(bundle.wanted);
    let end = each(bundle, |index, leaf, kept| {
        let kept = kept.filter(|kept| wanted(Event::kind_of(kept.event), index, leaf.unix_millis));
        records.push(record(index, leaf, kept)?);
        Ok(())
    });
    (records, end)
}

/// Each leaf of a bundle with its event, where that is kept, up to the first that cannot be read.
fn each(bundle: &Bundle, mut take: impl FnMut(u64, &Seen<'_>, Option<&Kept<'_>>) -> io::Result<()>) -> io::Result<()> {
    let first = bundle.number * TILE;
    let file = bundle.entries.as_ref().map_err(again)?;
    let entries = leaf::unbundle(file).ok_or_else(|| broken(format!("the bundle of leaf {first}")))?;
    let there = entries.len() as u64;
    for ((index, entry), (segment, found)) in (first..).zip(entries).zip(&bundle.events) {
        let leaf = Seen::parse(entry).ok_or_else(|| broken(format!("leaf {index} is none")))?;
        let kept = match found {
            Found::At(at) => bundle.kept(*segment, *at),
            Found::Erased | Found::Hole => None,
            Found::Unread(error) => return Err(again(error)),
        };
        take(index, &leaf, kept.as_ref())?;
    }
    if there < bundle.wanted as u64 { Err(short(first + there, bundle.wanted as u64 - there)) } else { Ok(()) }
}

/// Leaves that are not in their bundle.
fn short(from: u64, missing: u64) -> io::Error {
    broken(format!("{missing} leaves from {from} on are not in their bundle, which is too short"))
}

/// The record of a leaf.
pub(crate) fn record(index: u64, leaf: &Seen<'_>, kept: Option<&Kept<'_>>) -> io::Result<Record> {
    let event = kept.map(|kept| Event::read(kept.event)).transpose();
    let event = event.map_err(|error| broken(format!("the event of leaf {index}: {error}")))?;
    Ok(Record { index, sensor: leaf.sensor.to_owned().into(), seq: leaf.seq, unix_millis: leaf.unix_millis, event })
}

fn again(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

/// The proof of one record: under the witnessed checkpoint where that has it, else under the latest.
///
/// # Errors
/// When the ledger has no such leaf, or cannot be read.
pub fn prove<D: Disk + Clone>(disk: &D, index: u64) -> io::Result<Proof> {
    if let Ok(note) = disk.read("checkpoint.witnessed")
        && let Ok(snapshot) = Snapshot::of(disk.clone(), &note)
        && index < snapshot.checkpoint.size
    {
        return prove_under(snapshot, index);
    }
    prove_under(Snapshot::open(disk.clone())?, index)
}

/// The proof of one record under this checkpoint.
///
/// # Errors
/// As of [`prove`].
pub fn prove_under<D: Disk>(snapshot: Snapshot<D>, index: u64) -> io::Result<Proof> {
    let size = snapshot.checkpoint.size;
    let hashes =
        tree::inclusion(index, size, &mut |tile| snapshot.tile(tile)).map_err(|why| broken(why.to_string()))?;
    let bundle = snapshot.bundle(index / TILE)?;
    let entry = leaf::unbundle(&bundle).and_then(|entries| Some(entries.get((index % TILE) as usize)?.to_vec()));
    let entry = entry.ok_or_else(|| broken(format!("leaf {index} is not in its bundle")))?;
    let leaf = Leaf::parse(&entry).ok_or_else(|| broken(format!("leaf {index} is none")))?;
    let mut events = Events::default();
    let event = match events.look(snapshot.disk(), leaf.class, index, leaf.unix_millis / DAY_MILLIS) {
        Found::At(at) => events.kept(leaf.class, at).map(|kept| (kept.salt, kept.event.to_vec())),
        Found::Erased | Found::Hole => None,
        Found::Unread(error) => return Err(error),
    };
    Ok(Proof { index, hashes, entry, event, checkpoint: snapshot.note })
}

/// A directory as of one checkpoint.
#[derive(Debug, Clone)]
pub struct Snapshot<D> {
    disk: D,
    /// The checkpoint as it lies there.
    pub note: String,
    /// What it says.
    pub checkpoint: Checkpoint,
}

impl<D: Disk> Snapshot<D> {
    /// As of now.
    ///
    /// # Errors
    /// When there is no checkpoint, or it cannot be read.
    pub fn open(disk: D) -> io::Result<Self> {
        let note = disk.read("checkpoint")?;
        Self::of(disk, &note)
    }

    /// As of this checkpoint of it, which was published before.
    ///
    /// # Errors
    /// When it is none.
    pub fn of(disk: D, note: &[u8]) -> io::Result<Self> {
        let parsed = Note::parse(note).ok().and_then(|note| Checkpoint::parse(note.text));
        let checkpoint = parsed.ok_or_else(|| broken("the checkpoint is none"))?;
        Ok(Self { note: String::from_utf8_lossy(note).into_owned(), checkpoint, disk })
    }

    /// Where it is read from.
    pub const fn disk(&self) -> &D {
        &self.disk
    }

    /// The bundle of entries of this tile of leaves, as it lies there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn bundle(&self, index: u64) -> io::Result<Vec<u8>> {
        let tile = Tile::of(0, index, self.checkpoint.size).ok_or_else(|| broken("the tree does not reach so far"))?;
        self.partial(|width| bundle_path(index, width), tile.width)
    }

    /// Hashes of a tile; as many as it has in this tree at least.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tile(&self, tile: Tile) -> io::Result<Vec<Hash>> {
        let bytes = self.partial(|width| Tile { width, ..tile }.path(), tile.width)?;
        Ok(bytes.as_chunks::<32>().0.to_vec())
    }

    /// The root that the tree had when it was of this size.
    ///
    /// # Errors
    /// When it never was, or cannot be read.
    pub fn root(&self, size: u64) -> io::Result<Hash> {
        tree::root_before(size, self.checkpoint.size, &mut |tile| self.tile(tile))
            .map_err(|why| broken(why.to_string()))
    }

    /// One that is not full may be there as a longer one, once others have grown past this checkpoint.
    fn partial(&self, path: impl Fn(u16) -> String, width: u16) -> io::Result<Vec<u8>> {
        let full = path(TILE as u16);
        for attempt in 0.. {
            let error = match self.disk.read(&path(width)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && u64::from(width) < TILE => error,
                read => return read,
            };
            match self.disk.read(&full) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                read => return read,
            }
            let longer = self.disk.list(&format!("{full}.p"))?;
            let longest = longer.iter().filter_map(|name| name.parse().ok()).filter(|other| *other > width).max();
            match longest.map(|width| self.disk.read(&path(width))) {
                Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Some(read) => return read,
                None => {}
            }
            if attempt == TRIES {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", path(width))));
            }
        }
        Err(broken("never read"))
    }
}

pub(crate) fn broken(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// Records in the order of their leaves. Those that are missing from a bundle are one error that says how many, in their place; what is
/// in the bundles behind it follows. Behind any other error nothing does.
#[derive(Debug)]
pub struct Records<D> {
    snapshot: Snapshot<D>,
    events: Events,
    next: u64,
    leaves: VecDeque<(u64, Leaf)>,
    /// Leaves that are not in the bundle that is read: the first, and how many.
    missing: Option<(u64, u64)>,
}

impl<D: Disk> Records<D> {
    /// From this leaf on.
    #[must_use]
    pub fn new(snapshot: Snapshot<D>, from: u64) -> Self {
        Self { snapshot, events: Events::default(), next: from, leaves: VecDeque::new(), missing: None }
    }

    /// The checkpoint that they end at.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.snapshot.checkpoint
    }

    /// Reads the next bundle; false where there is none.
    fn fill(&mut self) -> io::Result<bool> {
        let size = self.snapshot.checkpoint.size;
        if self.next >= size {
            return Ok(false);
        }
        let bundle = self.snapshot.bundle(self.next / TILE)?;
        let first = self.next / TILE * TILE;
        let entries = leaf::unbundle(&bundle).ok_or_else(|| broken(format!("the bundle of leaf {first}")))?;
        let (there, wanted) = (first + entries.len() as u64, size.min(first + TILE));
        for (index, entry) in (first..size).zip(entries) {
            if index >= self.next {
                let leaf = Leaf::parse(entry).ok_or_else(|| broken(format!("leaf {index} is none")))?;
                self.leaves.push_back((index, leaf));
            }
        }
        let from = there.max(self.next);
        self.missing = (from < wanted).then(|| (from, wanted - from));
        self.next = first + TILE;
        Ok(true)
    }

    fn record(&mut self, index: u64, leaf: Leaf) -> io::Result<Record> {
        let event = match self.events.look(&self.snapshot.disk, leaf.class, index, leaf.unix_millis / DAY_MILLIS) {
            Found::At(at) => {
                let read = |kept: Kept<'_>| Event::read(kept.event);
                let event = self.events.kept(leaf.class, at).map(read).transpose();
                event.map_err(|error| broken(format!("the event of leaf {index}: {error}")))?
            }
            Found::Erased | Found::Hole => None,
            Found::Unread(error) => return Err(error),
        };
        let sensor = Cow::Owned(leaf.sensor.into_owned());
        Ok(Record { index, sensor, seq: leaf.seq, unix_millis: leaf.unix_millis, event })
    }
}

impl<D: Disk> Iterator for Records<D> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = loop {
            if let Some((index, leaf)) = self.leaves.pop_front() {
                break self.record(index, leaf);
            }
            if let Some((from, missing)) = self.missing.take() {
                return Some(Err(short(from, missing)));
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => break Err(error),
            }
        };
        if found.is_err() {
            // Nothing behind what cannot be read would be in order.
            self.leaves.clear();
            (self.missing, self.next) = (None, u64::MAX);
        }
        Some(found)
    }
}

/// The events of all classes, each in the order of their leaves.
#[derive(Debug, Default)]
pub(crate) struct Events {
    classes: [Class; 4],
}

/// What became of an event.
#[derive(Debug)]
pub(crate) enum Found {
    /// Its frame begins there, in the segment of its class that is looked at; nobody has checked it.
    At(usize),
    /// It is not, and nothing of its day.
    Erased,
    /// It is not, and others of its segment are.
    Hole,
    /// Its segment cannot be read.
    Unread(io::Error),
}

#[derive(Debug, Default)]
struct Class {
    /// Of the segment that is looked at.
    path: String,
    listed: bool,
    /// Segments that were not looked at yet, by their first leaf.
    segments: VecDeque<(u64, String)>,
    /// The frames of the one that is, and where the next of them begins.
    bytes: Arc<Vec<u8>>,
    at: usize,
}

impl Events {
    /// Where the event of a leaf of this day is, which is behind all that were asked for before.
    pub(crate) fn look(&mut self, disk: &impl Disk, class: Retention, index: u64, day: u64) -> Found {
        let Some(of_class) = self.classes.get_mut(usize::from(class.code())) else { return Found::Erased };
        match of_class.find(disk, class, index) {
            Ok(Some(at)) => Found::At(at),
            // What is erased is erased by the day; a segment has events of one.
            Ok(None) if of_class.path.contains(&date(day)) => Found::Hole,
            Ok(None) => Found::Erased,
            Err(error) => Found::Unread(error),
        }
    }

    /// The segment of this class that is looked at.
    pub(crate) fn segment(&self, class: Retention) -> &Arc<Vec<u8>> {
        let [first, ..] = &self.classes;
        &self.classes.get(usize::from(class.code())).unwrap_or(first).bytes
    }

    /// The event whose frame begins there; none where it is not what was written.
    fn kept(&self, class: Retention, at: usize) -> Option<Kept<'_>> {
        Unchecked::at(self.segment(class), at).and_then(|frame| Kept::parse(frame.checked()?))
    }
}

impl Class {
    fn find(&mut self, disk: &impl Disk, class: Retention, index: u64) -> io::Result<Option<usize>> {
        if !std::mem::replace(&mut self.listed, true) {
            self.segments = segments(disk, class)?;
        }
        loop {
            while let Some(frame) = Unchecked::at(&self.bytes, self.at)
                && let Some(found) = frame.index()
            {
                if found > index {
                    return Ok(None);
                }
                let at = self.at;
                self.at += frame.length();
                if found == index {
                    return Ok(Some(at));
                }
            }
            // Those behind the next one's first leaf are not in this one.
            while self.segments.get(1).is_some_and(|(first, _)| *first <= index) {
                self.segments.pop_front();
            }
            if self.segments.front().is_none_or(|(first, _)| *first > index) {
                return Ok(None);
            }
            let Some((_, path)) = self.segments.pop_front() else { return Ok(None) };
            self.at = 0;
            self.bytes = Arc::default();
            match read_segment(disk, &path) {
                // It was erased since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.path.clear(),
                Err(error) => return Err(error),
                Ok(bytes) => (self.bytes, self.path) = (Arc::new(bytes), path),
            }
        }
    }
}

/// The segments of a class by their first leaf. One that is just being sealed is there twice, and taken once.
pub(crate) fn segments(disk: &impl Disk, class: Retention) -> io::Result<VecDeque<(u64, String)>> {
    let directory = format!("events/{}", class.name());
    let mut found = Vec::new();
    for day in disk.list(&directory)? {
        for name in disk.list(&format!("{directory}/{day}"))? {
            let Some((first, "open" | "seg")) = name.split_once('.') else { continue };
            if let Ok(first) = first.parse::<u64>() {
                found.push((first, format!("{directory}/{day}/{name}")));
            }
        }
    }
    found.sort();
    found.dedup_by_key(|(first, _)| *first);
    Ok(found.into())
}

/// The frames of a segment. Of one that was sealed while it was looked for, those of the sealed one.
fn read_segment(disk: &impl Disk, path: &str) -> io::Result<Vec<u8>> {
    let Some(stem) = path.strip_suffix(".open") else { return seal::unseal(&disk.read(path)?) };
    match disk.read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => seal::unseal(&disk.read(&format!("{stem}.seg"))?),
        read => read,
    }
}
