//! A disk that fails in every way that disks do. After any of them the directory opens, verifies, holds all that was said to be
//! durable, and continues each checkpoint that was ever published.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use portcullis_ledger::checkpoint::{Checkpoint, Trust};
use portcullis_ledger::note::{Algorithm, Note, SignerKey};
use portcullis_ledger::tree::partial_paths;
use portcullis_ledger::{Event, Note as Words, Retention};
use portcullis_store::disk::Disk;
use portcullis_store::verify::verify;
use portcullis_store::{Appended, Ledger};
use proptest::prelude::*;

/// What power takes away in pieces of.
const SECTOR: usize = 512;

/// What was done and is not durable yet.
#[derive(Debug, Clone)]
enum Done {
    Write { path: String, at: usize, bytes: Vec<u8>, cut: usize },
    Rename { from: String, to: String },
    Remove { path: String },
}

#[derive(Debug, Default)]
struct Inside {
    /// As the processes of the machine see it.
    seen: BTreeMap<String, Vec<u8>>,
    /// As a loss of power leaves it.
    durable: BTreeMap<String, Vec<u8>>,
    pending: Vec<Done>,
    calls: u64,
    /// The call that fails, and how.
    fails: Option<(u64, Failure)>,
    dead: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The process is killed in the middle of the call.
    Kill,
    /// The disk takes a part of it and says that it is full.
    Full,
    /// It says that it failed.
    Failed,
}

#[derive(Debug, Clone, Default)]
struct Simulated(Arc<Mutex<Inside>>);

impl Simulated {
    fn inside<T>(&self, work: impl FnOnce(&mut Inside) -> T) -> T {
        work(&mut self.0.lock().expect("no panic"))
    }

    /// What is left: after a kill all that was done, after a loss of power what was synced and whatever chance leaves of the
    /// rest, sector by sector.
    fn after(&self, power_lost: bool, mut chance: u64) -> Self {
        let mut coin = || {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            chance & 1 == 1
        };
        let left = self.inside(|inside| {
            if !power_lost {
                return inside.seen.clone();
            }
            let mut left = inside.durable.clone();
            for done in inside.pending.clone() {
                match done {
                    Done::Write { path, at, bytes, cut } => {
                        let file = left.entry(path).or_default();
                        if coin() {
                            file.truncate(cut);
                        }
                        for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                            if coin() {
                                let begin = at + number * SECTOR;
                                file.resize(file.len().max(begin + sector.len()), 0);
                                file[begin..begin + sector.len()].copy_from_slice(sector);
                            }
                        }
                    }
                    Done::Rename { from, to } if coin() => {
                        if let Some(file) = left.remove(&from) {
                            left.insert(to, file);
                        }
                    }
                    Done::Remove { path } if coin() => {
                        left.remove(&path);
                    }
                    _ => {}
                }
            }
            left
        });
        Self(Arc::new(Mutex::new(Inside { seen: left.clone(), durable: left, ..Inside::default() })))
    }

    fn fail_at(&self, call: u64, failure: Failure) {
        self.inside(|inside| inside.fails = Some((inside.calls + call, failure)));
    }

    fn calls(&self) -> u64 {
        self.inside(|inside| inside.calls)
    }
}

impl Inside {
    /// Whether this call goes through: how much of what it does is done before it fails, of 256, and the failure.
    fn call(&mut self) -> Result<(), (io::Error, usize)> {
        if self.dead {
            return Err((io::Error::other("the process is dead"), 0));
        }
        self.calls += 1;
        let Some((_, failure)) = self.fails.filter(|(at, _)| *at == self.calls) else { return Ok(()) };
        let part = (self.calls as usize).wrapping_mul(97) % 257;
        Err(match failure {
            Failure::Kill => {
                self.dead = true;
                (io::Error::other("killed"), part)
            }
            Failure::Full => (io::ErrorKind::StorageFull.into(), part),
            Failure::Failed => (io::Error::from_raw_os_error(5), 0),
        })
    }

    fn put(&mut self, path: &str, at: usize, bytes: &[u8], cut: usize) {
        let file = self.seen.entry(path.to_owned()).or_default();
        file.truncate(cut);
        file.resize(file.len().max(at), 0);
        file.truncate(at);
        file.extend_from_slice(bytes);
        self.pending.push(Done::Write { path: path.to_owned(), at, bytes: bytes.to_vec(), cut });
    }

    fn write_some(&mut self, path: &str, at: usize, bytes: &[u8]) -> io::Result<()> {
        match self.call() {
            Ok(()) => {
                self.put(path, at, bytes, at);
                Ok(())
            }
            Err((error, part)) => {
                let part = bytes.len() * part / 256;
                self.put(path, at, &bytes[..part.min(bytes.len())], at);
                Err(error)
            }
        }
    }
}

fn under(path: &str, directory: &str) -> bool {
    path == directory || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

impl Disk for Simulated {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.inside(|inside| inside.seen.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let names = self.inside(|inside| {
            let below = inside.seen.keys().filter_map(|file| file.strip_prefix(path)?.strip_prefix('/'));
            below.map(|rest| rest.split('/').next().unwrap_or(rest).to_owned()).collect::<BTreeSet<_>>()
        });
        Ok(names.into_iter().collect())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.inside(|inside| inside.write_some(path, 0, bytes))
    }

    fn append(&self, path: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.inside(|inside| inside.write_some(path, at as usize, bytes))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inside(|inside| {
            inside.call().map_err(|(error, _)| error)?;
            let file = inside.seen.remove(from).ok_or(io::ErrorKind::NotFound)?;
            inside.seen.insert(to.to_owned(), file);
            inside.pending.push(Done::Rename { from: from.to_owned(), to: to.to_owned() });
            Ok(())
        })
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.inside(|inside| {
            inside.call().map_err(|(error, _)| error)?;
            let gone: Vec<String> = inside.seen.keys().filter(|file| under(file, path)).cloned().collect();
            for file in gone {
                inside.seen.remove(&file);
                inside.pending.push(Done::Remove { path: file });
            }
            Ok(())
        })
    }

    fn sync(&self, paths: &[String]) -> io::Result<()> {
        self.inside(|inside| {
            inside.call().map_err(|(error, _)| error)?;
            for path in paths {
                let file = inside.seen.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
                inside.durable.insert(path.clone(), file);
            }
            let named = |path: &String| paths.contains(path);
            let mut gone = Vec::new();
            inside.pending.retain(|done| match done {
                // A name that is there again and synced was not removed.
                Done::Write { path, .. } | Done::Remove { path } => !named(path),
                // A directory that is synced has forgotten the old name too.
                Done::Rename { from, to } if named(to) => {
                    gone.push(from.clone());
                    false
                }
                _ => true,
            });
            gone.iter().for_each(|from| drop(inside.durable.remove(from)));
            Ok(())
        })
    }

    fn sync_data(&self, path: &str) -> io::Result<()> {
        self.sync(&[path.to_owned()])
    }
}

fn key() -> SignerKey {
    SignerKey::new("gate.example/evidence", Algorithm::Ed25519, &[1; 32]).expect("a key")
}

fn salts(bytes: &mut [u8]) -> io::Result<()> {
    bytes.fill(7);
    Ok(())
}

fn record(number: u64) -> Appended {
    let event =
        Event::Note(Words { words: format!("{number} {}", "x".repeat(number as usize % 700)), ..Words::default() });
    let class = Retention::ALL[number as usize % 4];
    let unix_millis = 20_000 * 86_400_000 + number * 40_000;
    Appended {
        sensor: ["gate", "http/public"][number as usize % 2].into(),
        unix_millis,
        class,
        event: serde_json::to_vec(&event).expect("JSON"),
    }
}

/// What somebody outside saw.
#[derive(Debug, Default)]
struct Outside {
    /// Checkpoints that were published.
    published: Vec<String>,
    /// Records that were said to be durable.
    durable: u64,
    /// Records that were handed in.
    handed: u64,
}

/// Appends batches and publishes, until it is done or the disk fails.
fn work(ledger: &mut Ledger<Simulated>, outside: &mut Outside, batches: &[u64]) -> io::Result<()> {
    for length in batches {
        let first = ledger.size();
        let records: Vec<Appended> = (first..first + length).map(record).collect();
        outside.handed = first + length;
        let appended = ledger.append(&records);
        see(ledger.disk(), outside);
        appended?;
        outside.durable = ledger.size();
        let published = ledger.checkpoint();
        see(ledger.disk(), outside);
        published?;
    }
    Ok(())
}

/// Whatever lies there may have been read by somebody.
fn see(disk: &Simulated, outside: &mut Outside) {
    if let Ok(note) = disk.read("checkpoint") {
        let note = String::from_utf8(note).expect("text");
        if outside.published.last() != Some(&note) {
            outside.published.push(note);
        }
    }
}

fn size(note: &str) -> u64 {
    Checkpoint::parse(Note::parse(note.as_bytes()).expect("a note").text).expect("a checkpoint").size
}

/// Opens what is left and holds it against what was seen.
fn holds(disk: &Simulated, outside: &mut Outside) -> Ledger<Simulated> {
    let before = disk.read("checkpoint").map_or(0, |note| size(&String::from_utf8_lossy(&note)));
    let ledger = Ledger::open(disk.clone(), key(), salts).expect("it opens");
    let edges = [partial_paths(before), partial_paths(ledger.size())].concat();
    let orphans = disk.inside(|inside| {
        inside.seen.keys().filter(|path| path.contains(".p/") && !edges.contains(path)).cloned().collect::<Vec<_>>()
    });
    assert!(orphans.is_empty(), "partial tiles of no checkpoint that anybody reads: {orphans:?}");
    assert!(ledger.size() >= outside.durable, "{} of {} are there", ledger.size(), outside.durable);
    assert!(ledger.size() <= outside.handed, "{} of {} were handed in", ledger.size(), outside.handed);
    see(disk, outside);
    let trust = Trust { log: Some(key().public().clone()), witnesses: Vec::new(), quorum: 0 };
    let kept: Vec<String> = outside.published.iter().filter(|note| size(note) > 0).cloned().collect();
    let report = verify(disk.clone(), &trust, &kept).expect("a report");
    assert!(report.holds(), "{:?} {:?}", report.faults.first.first(), report.missing.first.first());
    assert_eq!((report.size, report.erased.len()), (ledger.size(), 0));
    ledger
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Killed, or without power, in the middle of any call; and again in the middle of putting it right.
    #[test]
    fn a_crash_forks_nothing_and_loses_nothing_durable(
        batches in prop::collection::vec(1_u64..400, 1..9),
        at in 0.0_f64..1.0,
        again in 1_u64..30,
        power in any::<(bool, bool)>(),
        chance in 1_u64..,
    ) {
        let whole = Simulated::default();
        let mut ledger = Ledger::open(whole.clone(), key(), salts).expect("it opens");
        work(&mut ledger, &mut Outside::default(), &batches).expect("nothing fails");
        let call = 1 + (whole.calls() as f64 * at) as u64;

        let disk = Simulated::default();
        disk.fail_at(call, Failure::Kill);
        let mut outside = Outside::default();
        if let Ok(mut ledger) = Ledger::open(disk.clone(), key(), salts) {
            let _ = work(&mut ledger, &mut outside, &batches);
        }
        see(&disk, &mut outside);
        let disk = disk.after(power.0, chance);
        disk.fail_at(again, Failure::Kill);
        if let Ok(mut ledger) = Ledger::open(disk.clone(), key(), salts) {
            prop_assert!(ledger.size() >= outside.durable);
            outside.durable = ledger.size();
            let _ = work(&mut ledger, &mut outside, &batches);
        }
        see(&disk, &mut outside);
        let disk = disk.after(power.1, chance.rotate_left(9) | 1);
        let mut ledger = holds(&disk, &mut outside);
        work(&mut ledger, &mut outside, &[3, 500, 1]).expect("nothing fails any more");
        drop(holds(&disk, &mut outside));
    }

    /// A disk that is full, or fails, in any call; it is opened again until it works.
    #[test]
    fn a_fault_is_healed_by_opening_again(
        batches in prop::collection::vec(1_u64..400, 2..9),
        at in 0.0_f64..1.0,
        full in any::<bool>(),
    ) {
        let whole = Simulated::default();
        let mut ledger = Ledger::open(whole.clone(), key(), salts).expect("it opens");
        let begun = whole.calls();
        work(&mut ledger, &mut Outside::default(), &batches).expect("nothing fails");
        let call = 1 + ((whole.calls() - begun) as f64 * at) as u64;

        let disk = Simulated::default();
        let mut outside = Outside::default();
        let mut ledger = Ledger::open(disk.clone(), key(), salts).expect("it opens");
        disk.fail_at(call, if full { Failure::Full } else { Failure::Failed });
        if work(&mut ledger, &mut outside, &batches).is_err() {
            ledger.reopen().expect("it works again");
            prop_assert!(ledger.size() == outside.durable || ledger.size() == outside.handed, "a batch is there, or is not");
            see(&disk, &mut outside);
        }
        outside.durable = ledger.size();
        outside.handed = outside.handed.max(ledger.size());
        work(&mut ledger, &mut outside, &[7, 300]).expect("nothing fails any more");
        drop(ledger);
        drop(holds(&disk, &mut outside));
    }
}

/// The canary: a store that signs what is not durable would be caught by this disk.
#[test]
fn the_disk_takes_back_what_was_not_synced() {
    let disk = Simulated::default();
    disk.write("a", b"one").expect("room");
    disk.sync(&["a".to_owned()]).expect("a disk");
    disk.write("b", &[7; 4096]).expect("room");
    let left: BTreeSet<Vec<u8>> =
        (1..40).map(|chance| disk.after(true, chance * 0x9e37_79b9).read("b").unwrap_or_default()).collect();
    assert!(left.len() > 10, "chance leaves {} different files", left.len());
    assert_eq!(disk.after(true, 5).read("a").expect("it was synced"), b"one");
    assert_eq!(disk.after(false, 5).read("b").expect("nobody lost power").len(), 4096);
}
