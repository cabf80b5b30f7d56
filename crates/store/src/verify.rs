//! Whether a directory is what it was: for somebody who trusts nobody, offline, with nothing but the keys that they were given.
//!
//! One thread reads, others hash, one folds. Nothing is believed because it lies there: the root is made from the leaves and
//! held against signed checkpoints; tiles only help to name the place where it went wrong.

use std::collections::BTreeMap;
use std::io;

use portcullis_ledger::checkpoint::{Checkpoint, Trust};
use portcullis_ledger::frame::Kept;
use portcullis_ledger::leaf::{self, Seen};
use portcullis_ledger::tree::{self, Hash, TILE, Tile, Tree};
use portcullis_ledger::{Beat, Event, Lost, Record, Retention, Sensor, Stamped};

use crate::bundles::{Bundle, in_order};
use crate::disk::Disk;
use crate::log::DAY_MILLIS;
use crate::reader::{self, Found, Snapshot};
use crate::stamp;

/// Faults, gaps and losses that are told one by one at most; the rest are counted.
const TOLD: usize = 1_000;
/// Beats that are further apart than this leave a gap: one second, and what a slow machine takes.
const BEAT_MILLIS: u64 = 3_000;

/// What a directory turned out to be.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Leaves in the latest checkpoint.
    pub size: u64,
    /// The checkpoint as it lies there.
    pub checkpoint: String,
    /// Of how many leaves the tree was witnessed, and by how many.
    pub witnessed: Option<(u64, usize)>,
    /// Checkpoints that authorities stamped with a time, by authority and size. Their signatures are not checked here.
    pub stamps: BTreeMap<(String, u64), SeenStamp>,
    /// Stamps that the log itself says are missing.
    pub unstamped: Told<(u64, Stamped)>,
    /// When the first and the last record were made.
    pub span: Option<(u64, u64)>,
    /// What is wrong, in the order of the leaves.
    pub faults: Told<Fault>,
    /// Numbers that are missing between two records of a sensor.
    pub missing: Told<MissingNumbers>,
    /// Times without beats.
    pub silences: Told<Silence>,
    /// Losses that the log itself tells of.
    pub losses: Told<(u64, Sensor, Lost)>,
    /// Events that are not kept any more, by class and day.
    pub erased: BTreeMap<(&'static str, u64), u64>,
    /// How often a record is older than the one before it by more than a second.
    pub clock_went_back: u64,
    /// Records by sensor.
    pub sensors: BTreeMap<Sensor, u64>,
}

/// As many as are told, and how many there are.
#[derive(Debug, Clone)]
pub struct Told<T> {
    /// The first of them.
    pub first: Vec<T>,
    /// All of them.
    pub count: u64,
}

impl<T> Default for Told<T> {
    fn default() -> Self {
        Self { first: Vec::new(), count: 0 }
    }
}

impl<T> Told<T> {
    fn push(&mut self, one: T) {
        self.count += 1;
        if self.first.len() < TOLD {
            self.first.push(one);
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The leaf, where it is about one.
    pub leaf: Option<u64>,
    /// What is wrong.
    pub words: String,
}

/// A checkpoint that an authority stamped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenStamp {
    /// When, by the authority's clock.
    pub unix_millis: u64,
    /// The leaf that tells of it; none where none does.
    pub leaf: Option<u64>,
    /// Where the checkpoint and the token lie.
    pub paths: [String; 2],
    /// SHA-256 of the token, and the nonce in it.
    digest: String,
    nonce: String,
}

/// Numbers that nobody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingNumbers {
    /// Whose.
    pub sensor: Sensor,
    /// The first of them.
    pub from: u64,
    /// The first that is there again.
    pub until: u64,
    /// The leaf behind the gap.
    pub leaf: u64,
}

/// A time in which nobody said that they were watching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Whose; none where it was everybody's.
    pub sensor: Option<Sensor>,
    /// The last beat before.
    pub from: u64,
    /// The first behind.
    pub until: u64,
    /// The gate had said that it ended.
    pub told: bool,
}

impl Report {
    /// It is what it was: every leaf, every event that is kept, every number.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.faults.count == 0 && self.missing.count == 0
    }

    fn fault(&mut self, leaf: impl Into<Option<u64>>, words: impl Into<String>) {
        self.faults.push(Fault { leaf: leaf.into(), words: words.into() });
    }

    /// Holds a stamp that is on record against the one that is kept.
    fn stamped(&mut self, index: u64, told: Stamped) {
        if !told.good {
            return self.unstamped.push((index, told));
        }
        let Stamped { authority, size, token, nonce, .. } = told;
        let kept = self.stamps.get_mut(&(authority.clone(), size));
        let wrong = match kept {
            None => "is not there",
            Some(kept) if kept.digest != token => "is not the one that is kept",
            Some(kept) if kept.nonce != nonce => "answers another question",
            Some(kept) => return kept.leaf = Some(index),
        };
        self.fault(index, format!("the stamp that it tells of, by {authority} of {size} leaves, {wrong}"));
    }
}

impl SeenStamp {
    fn new(kept: &stamp::Kept) -> Self {
        let said = kept.stamp.as_ref();
        let nonce = said.and_then(|said| said.nonce).map(|nonce| format!("{nonce:016x}")).unwrap_or_default();
        let unix_millis = said.map_or(0, |said| said.unix_millis);
        Self { unix_millis, leaf: None, paths: kept.paths(), digest: kept.digest(), nonce }
    }
}

/// Verifies a directory against these keys, and against checkpoints that were kept elsewhere.
///
/// # Errors
/// When there is no checkpoint that could be read; everything else is in the report.
pub fn verify<D: Disk + Clone>(disk: D, trust: &Trust, kept: &[String]) -> io::Result<Report> {
    let work = |snapshot: &Snapshot<D>, bundle: &Bundle| (check(snapshot, bundle, |_, _, _| ()), ());
    run(disk, trust, kept, work, |()| Ok(()))
}

/// Verifies a directory, and hands over all its records on the way, in their order: what is told of them is told of what was
/// verified. The event of a kind, place and time that is not wanted is left out, as an erased one is.
///
/// # Errors
/// When there is no checkpoint, or a record cannot be read; what comes before it was handed over.
pub fn verify_and_read<D: Disk + Clone>(
    disk: D,
    trust: &Trust,
    wanted: impl Fn(&str, u64, u64) -> bool + Sync,
    mut take: impl FnMut(&Record),
) -> io::Result<Report> {
    let work = |snapshot: &Snapshot<D>, bundle: &Bundle| {
        let (mut records, mut unread) = (Vec::with_capacity(bundle.wanted), false);
        let checked = check(snapshot, bundle, |index, leaf, kept| {
            let kept = kept.filter(|kept| wanted(Event::kind_of(kept.event), index, leaf.unix_millis));
            match reader::record(index, leaf, kept) {
                Ok(record) => records.push(record),
                Err(_) => unread = true,
            }
        });
        // Where anything is wrong, it is read again as it is read without being verified: what is wrong need not hinder that.
        let whole = checked.faults.is_empty() && !unread;
        let read = if whole { (records, Ok(())) } else { reader::records(bundle, &wanted) };
        (checked, read)
    };
    run(disk, trust, &[], work, |(records, end)| {
        records.iter().for_each(&mut take);
        std::mem::replace(end, Ok(()))
    })
}

/// Does so; what else comes of each bundle is handed on, until somebody wants no more.
fn run<D: Disk + Clone, T: Send>(
    disk: D,
    trust: &Trust,
    kept: &[String],
    work: impl Fn(&Snapshot<D>, &Bundle) -> (Checked, T) + Sync,
    mut hand_on: impl FnMut(&mut T) -> io::Result<()>,
) -> io::Result<Report> {
    // Of a log that grows meanwhile: what is read first is not newer than what is read next.
    let (stamps, witnessed) = (stamp::all(&disk), disk.read("checkpoint.witnessed"));
    let snapshot = Snapshot::open(disk)?;
    let mut report = Report { size: snapshot.checkpoint.size, checkpoint: snapshot.note.clone(), ..Report::default() };
    let mut anchors = vec![("the checkpoint", snapshot.checkpoint.clone())];
    let log = Trust { quorum: 0, ..trust.clone() };
    if log.log.is_some()
        && let Err(why) = log.check(snapshot.note.as_bytes())
    {
        report.fault(None, format!("the checkpoint: {why}"));
    }
    if trust.quorum > 0 {
        match witnessed.map(|note| trust.check(&note)) {
            Ok(Ok((checkpoint, witnesses))) => {
                report.witnessed = Some((checkpoint.size, witnesses));
                anchors.push(("the witnessed checkpoint", checkpoint));
            }
            Ok(Err(why)) => report.fault(None, format!("the witnessed checkpoint: {why}")),
            Err(error) => report.fault(None, format!("the witnessed checkpoint: {error}")),
        }
    }
    let stamps = stamps.unwrap_or_else(|error| {
        report.fault(None, format!("the time stamps cannot be read: {error}"));
        Vec::new()
    });
    for kept in stamps {
        let signed = || if log.log.is_some() { log.check(&kept.note).map(drop) } else { Ok(()) };
        match kept
            .checkpoint()
            .map_err(str::to_owned)
            .and_then(|of| signed().map(|()| of).map_err(|why| why.to_string()))
        {
            Ok(checkpoint) => {
                report.stamps.insert((kept.authority.clone(), kept.size), SeenStamp::new(&kept));
                anchors.push(("a stamped checkpoint", checkpoint));
            }
            Err(why) => report.fault(None, format!("{}: {why}", kept.paths()[1])),
        }
    }
    for note in kept {
        // Without a key for it, it would be anybody's.
        match trust.check(note.as_bytes()) {
            Ok((checkpoint, _)) => anchors.push(("a checkpoint that was kept elsewhere", checkpoint)),
            Err(why) => report.fault(None, format!("a checkpoint that was kept elsewhere: {why}")),
        }
    }
    let mut fold = Fold { report, anchors, ..Fold::default() };
    fold.anchors.sort_by_key(|(_, checkpoint)| checkpoint.size);
    fold.anchor();
    let mut end = Ok(());
    in_order(
        &snapshot,
        |_| true,
        |bundle| work(&snapshot, bundle),
        |(checked, more)| {
            fold.take(std::mem::take(checked));
            end = hand_on(more);
            end.is_ok()
        },
    );
    end?;
    let Fold { mut report, tree, anchors, at, next, .. } = fold;
    report.sensors = next.into_iter().map(|(sensor, (_, count))| (sensor, count)).collect();
    for (name, checkpoint) in anchors.get(at..).unwrap_or_default() {
        let (has, size) = (tree.size(), checkpoint.size);
        report.fault(has, format!("it ends at leaf {has}, and {name} is of {size}"));
    }
    blame(&snapshot, &mut report);
    Ok(report)
}

/// What came of it.
#[derive(Default)]
struct Checked {
    first: u64,
    hashes: Vec<Hash>,
    /// What stands for all of them, where they fill a tile.
    tile: Option<Hash>,
    /// When the first and the last record were made, and how often one is older than the one before.
    span: Option<(u64, u64)>,
    clock_went_back: u64,
    sensors: Vec<Run>,
    faults: Vec<Fault>,
    /// Numbers that are missing within the bundle.
    missing: Vec<MissingNumbers>,
    /// Beats and losses: the leaf, whose, when.
    events: Vec<(u64, Sensor, u64, Event)>,
    /// The tile says something else, from this leaf on.
    differs: Option<u64>,
    /// Of which class and day, and how many.
    erased: Vec<(Retention, u64, u64)>,
}

/// The records of one sensor in one bundle.
struct Run {
    sensor: Sensor,
    /// The leaf of the first of them, and its number.
    leaf: u64,
    first: u64,
    /// The number behind the last.
    next: u64,
    count: u64,
}

/// Checks a bundle. Each leaf is handed on with its event, where that is kept and what it was.
fn check<D: Disk>(
    snapshot: &Snapshot<D>,
    bundle: &Bundle,
    mut each: impl FnMut(u64, &Seen<'_>, Option<&Kept<'_>>),
) -> Checked {
    let first = bundle.number * TILE;
    let mut checked = Checked { first, hashes: Vec::with_capacity(bundle.wanted), ..Checked::default() };
    let file = match &bundle.entries {
        Ok(file) => file,
        Err(error) => {
            checked.fault(first, format!("its bundle cannot be read: {error}"));
            return checked;
        }
    };
    let Some(entries) = leaf::unbundle(file) else {
        checked.fault(first, "its bundle is not one of entries");
        return checked;
    };
    if entries.len() < bundle.wanted {
        checked.fault(first + entries.len() as u64, "it is missing from its bundle");
    }
    let tile = Tile::of(0, bundle.number, snapshot.checkpoint.size).map_or(Ok(Vec::new()), |tile| snapshot.tile(tile));
    let tile = tile.unwrap_or_else(|error| {
        checked.fault(first, format!("the hashes of its tile cannot be read: {error}"));
        Vec::new()
    });
    for ((index, entry), (segment, found)) in (first..).zip(entries).zip(&bundle.events) {
        let hash = tree::leaf_hash(entry);
        let kept = tile.get((index - first) as usize);
        if checked.differs.is_none() && kept.is_some_and(|kept| *kept != hash) {
            checked.differs = Some(index);
        }
        checked.hashes.push(hash);
        let Some(leaf) = Seen::parse(entry) else {
            checked.fault(index, "it is no leaf");
            return checked;
        };
        let kept = if let Found::At(at) = found { bundle.kept(*segment, *at) } else { None };
        match found {
            Found::At(_) => match &kept {
                Some(kept) => checked.event(index, &leaf, kept),
                None => checked.fault(index, "the frame of its event is broken"),
            },
            Found::Erased => checked.erased(leaf.class, leaf.unix_millis / DAY_MILLIS),
            Found::Hole => checked.fault(index, "its event is missing from the segment that has its neighbours"),
            Found::Unread(error) => checked.fault(index, format!("its event cannot be read: {error}")),
        }
        checked.leaf(index, &leaf);
        each(index, &leaf, kept.as_ref());
    }
    if checked.hashes.len() as u64 == TILE {
        checked.tile = tree::subtree(&checked.hashes);
    }
    checked
}

impl Checked {
    fn fault(&mut self, leaf: u64, words: impl Into<String>) {
        self.faults.push(Fault { leaf: Some(leaf), words: words.into() });
    }

    fn event(&mut self, index: u64, leaf: &Seen<'_>, kept: &Kept<'_>) {
        if leaf::commit(&kept.salt, kept.event) != *leaf.digest {
            return self.fault(index, "its event is not the one that it commits to");
        }
        if matches!(Event::kind_of(kept.event), "beats" | "lost" | "stop" | "start" | "stamped") {
            match Event::read(kept.event) {
                Ok(event) => self.events.push((index, leaf.sensor.to_owned().into(), leaf.unix_millis, event)),
                Err(error) => self.fault(index, format!("its event cannot be understood: {error}")),
            }
        }
    }

    fn erased(&mut self, class: Retention, day: u64) {
        match self.erased.last_mut().filter(|(of, on, _)| (*of, *on) == (class, day)) {
            Some((_, _, count)) => *count += 1,
            None => self.erased.push((class, day, 1)),
        }
    }

    /// Whose it is, which, and when.
    fn leaf(&mut self, index: u64, leaf: &Seen<'_>) {
        let (time, seq) = (leaf.unix_millis, leaf.seq);
        let (first, last) = self.span.unwrap_or((time, time));
        self.clock_went_back += u64::from(went_back(last, time));
        self.span = Some((first, time));
        // Sensors are few: a name is only copied when it is new in the bundle.
        let Some(run) = self.sensors.iter_mut().find(|run| run.sensor == leaf.sensor) else {
            let sensor = leaf.sensor.to_owned().into();
            return self.sensors.push(Run { sensor, leaf: index, first: seq, next: seq.saturating_add(1), count: 1 });
        };
        if seq != run.next {
            let (sensor, from, until) = (run.sensor.clone(), run.next, seq);
            self.missing.push(MissingNumbers { sensor, from, until, leaf: index });
        }
        (run.next, run.count) = (seq.saturating_add(1), run.count + 1);
    }
}

/// Whether a record is older than the one before it by more than a second.
const fn went_back(before: u64, time: u64) -> bool {
    time.saturating_add(1_000) < before
}

/// What is known of all leaves so far.
#[derive(Default)]
struct Fold {
    report: Report,
    tree: Tree,
    anchors: Vec<(&'static str, Checkpoint)>,
    at: usize,
    /// Of each sensor the number that it has next, and how many records.
    next: BTreeMap<Sensor, (u64, u64)>,
    beaten: Option<u64>,
    sensors: BTreeMap<Sensor, (u64, u64)>,
    stopped: bool,
    last: u64,
    broken: bool,
}

impl Fold {
    fn take(&mut self, checked: Checked) {
        // Behind leaves that are not there, nothing has its place any more.
        if self.broken || checked.first != self.tree.size() {
            self.broken = true;
            return;
        }
        let Checked { first, hashes, tile, span, clock_went_back, sensors, faults, mut missing, events, .. } = checked;
        // A signed root within the tile is held against the leaves before it.
        let within = self.anchors.get(self.at).is_some_and(|(_, anchor)| anchor.size < first + TILE);
        if tile.filter(|_| !within).is_some_and(|tile| self.tree.push_tile(tile)) {
            self.anchor();
        } else {
            for hash in hashes {
                self.tree.push(hash, |_, _| ());
                self.anchor();
            }
        }
        for fault in faults {
            self.report.faults.push(fault);
        }
        if let Some(leaf) = checked.differs {
            self.report.fault(leaf, "it is not what its tile says");
        }
        for (class, day, count) in checked.erased {
            *self.report.erased.entry((class.name(), day)).or_default() += count;
        }
        if let Some((from, until)) = span {
            self.report.span = Some((self.report.span.map_or(from, |(first, _)| first), until));
            self.report.clock_went_back += clock_went_back + u64::from(went_back(self.last, from));
            self.last = until;
        }
        for Run { sensor, leaf, first, next, count } in sensors {
            let known = self.next.entry(sensor.clone()).or_default();
            if first != known.0 {
                missing.push(MissingNumbers { sensor, from: known.0, until: first, leaf });
            }
            *known = (next, known.1 + count);
        }
        missing.sort_unstable_by_key(|gap| gap.leaf);
        for gap in missing {
            self.report.missing.push(gap);
        }
        for (index, sensor, time, event) in events {
            self.event(index, sensor, time, event);
        }
    }

    /// Holds the root against every signed one of this size.
    fn anchor(&mut self) {
        while let Some((name, checkpoint)) = self.anchors.get(self.at).filter(|(_, at)| at.size == self.tree.size()) {
            if checkpoint.root != self.tree.root() {
                let size = checkpoint.size;
                self.report.fault(None, format!("the first {size} leaves do not have the root of {name}"));
            }
            self.at += 1;
        }
    }

    fn event(&mut self, index: u64, sensor: Sensor, time: u64, event: Event) {
        match event {
            Event::Lost(lost) => self.report.losses.push((index, sensor, lost)),
            Event::Beats { beats } => self.beats(time, beats),
            Event::Stamped(stamped) => self.report.stamped(index, stamped),
            Event::Stop(_) => self.stopped = true,
            // Until the first beat of a new life, the silence is that of the one before.
            _ => {}
        }
    }

    fn beats(&mut self, time: u64, beats: Vec<Beat>) {
        let told = std::mem::take(&mut self.stopped);
        if let Some(from) = self.beaten.filter(|from| time.abs_diff(*from) > BEAT_MILLIS) {
            self.report.silences.push(Silence { sensor: None, from, until: time, told });
        }
        self.beaten = Some(time);
        for beat in beats {
            let before = self.sensors.insert(beat.sensor.clone(), (beat.seq, time));
            if let Some((seq, from)) = before.filter(|(seq, _)| beat.seq != seq + 1 && !told) {
                // One that began anew, in a process that went on.
                let silence = Silence { sensor: Some(beat.sensor), from, until: time, told: false };
                if beat.seq > seq || time.abs_diff(from) > BEAT_MILLIS {
                    self.report.silences.push(silence);
                }
            }
        }
    }
}

/// Where leaves and tiles agree and the root does not: which tile of a higher level says something else.
fn blame<D: Disk>(snapshot: &Snapshot<D>, report: &mut Report) {
    let rootless = report.faults.first.iter().any(|fault| fault.words.contains("do not have the root"));
    let placed = report.faults.first.iter().any(|fault| fault.leaf.is_some());
    let size = snapshot.checkpoint.size;
    if !rootless || placed {
        return;
    }
    for level in 1_u8..8 {
        let mut index = 0;
        while let Some(tile) = Tile::of(level, index, size) {
            let Ok(hashes) = snapshot.tile(tile) else { break };
            for (hash, below) in hashes.iter().take(usize::from(tile.width)).zip(index * TILE..) {
                let Some(child) = Tile::of(level - 1, below, size) else { break };
                let made = snapshot.tile(child).ok().and_then(|hashes| tree::subtree(hashes.get(..TILE as usize)?));
                if made != Some(*hash) {
                    let first = below << (8 * u32::from(level));
                    let words = format!(
                        "it, or one of the {} behind it, is not what {} says",
                        (1_u64 << (8 * u32::from(level))) - 1,
                        tile.path()
                    );
                    return report.fault(first, words);
                }
            }
            index += 1;
        }
    }
}
