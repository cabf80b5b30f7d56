//! Proof of the negative: whoever changes, drops, reorders, truncates or forks a directory is found, and the place is named.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_ledger::checkpoint::{Checkpoint, Trust};
use portcullis_ledger::frame::{Frames, Kept, frame};
use portcullis_ledger::leaf::{self, Leaf};
use portcullis_ledger::note::{Algorithm, SignerKey};
use portcullis_ledger::tree::{self, Tree};
use portcullis_ledger::{Event, Note, Record, Retention};
use portcullis_store::disk::Directory;
use portcullis_store::verify::{Report, verify, verify_and_read};
use portcullis_store::{Appended, Ledger, Passage, Retain, erase, prove, read, read_classes, seal};

const DAY: u64 = 86_400_000;
const START: u64 = 20_000 * DAY;

fn key() -> SignerKey {
    SignerKey::new("gate.example/evidence", Algorithm::Ed25519, &[1; 32]).expect("a key")
}

fn trust() -> Trust {
    Trust { log: Some(key().public().clone()), witnesses: Vec::new(), quorum: 0 }
}

fn salts(bytes: &mut [u8]) -> std::io::Result<()> {
    bytes.fill(7);
    Ok(())
}

/// Notes and figures over three days, in batches.
fn record(number: u64) -> Appended {
    let event = Event::Note(Note { words: format!("{number}"), ..Note::default() });
    let class = if number.is_multiple_of(3) { Retention::Figures } else { Retention::Incident };
    let event = serde_json::to_vec(&event).expect("JSON");
    Appended { sensor: "gate".into(), unix_millis: START + number * DAY / 250, class, event }
}

/// A directory of 700 leaves, and what was published at 300.
fn made() -> (tempfile::TempDir, String) {
    let home = tempfile::tempdir().expect("a directory");
    let mut ledger = Ledger::open(Directory::at(home.path()), key(), salts).expect("a ledger");
    let mut early = String::new();
    for batch in 0..7 {
        let records: Vec<Appended> = (batch * 100..batch * 100 + 100).map(record).collect();
        ledger.append(&records).expect("room");
        ledger.checkpoint().expect("room");
        if batch == 2 {
            early = fs::read_to_string(home.path().join("checkpoint")).expect("it is there");
        }
    }
    (home, early)
}

/// What it turned out to be. Read on the way it is the same, and its records are those that are read without.
fn found(home: &Path) -> Report {
    let report = verify(Directory::at(home), &trust(), &[]).expect("a report");
    let (mut on_the_way, mut records, mut unread) = (Vec::new(), Vec::new(), false);
    let again =
        verify_and_read(Directory::at(home), &trust(), |_, _, _| true, |record| on_the_way.push(record.clone()));
    for record in read(home).expect("a checkpoint") {
        match record {
            Ok(record) => records.push(record),
            Err(_) => unread = true,
        }
    }
    match again {
        Ok(again) => {
            assert!(!unread, "something cannot be read");
            assert_eq!(format!("{again:?}"), format!("{report:?}"));
            assert_eq!(on_the_way, records);
        }
        Err(_) => assert!(!report.holds() && records.starts_with(&on_the_way)),
    }
    report
}

/// The first thing that is wrong.
fn first(home: &Path) -> (Option<u64>, String) {
    let report = found(home);
    assert!(!report.holds(), "it holds");
    let fault = report.faults.first.first().expect("a fault");
    (fault.leaf, fault.words.clone())
}

fn files(below: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(below).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

/// The segment of incidents that has this leaf, and its frames.
fn segment(home: &Path, leaf: u64) -> (PathBuf, Vec<Vec<u8>>) {
    for path in files(&home.join("events/incident")) {
        let bytes = fs::read(&path).expect("a segment");
        let frames: Vec<Vec<u8>> = Frames::new(&bytes).map(<[u8]>::to_vec).collect();
        if frames.iter().any(|content| Kept::parse(content).is_some_and(|kept| kept.index == leaf)) {
            return (path, frames);
        }
    }
    panic!("no segment has leaf {leaf}");
}

fn write(path: &Path, frames: &[Vec<u8>]) {
    let mut bytes = Vec::new();
    frames.iter().for_each(|content| frame(&mut bytes, |out| out.extend_from_slice(content)));
    fs::write(path, bytes).expect("room");
}

/// Frames as they are, but for what `change` does to the one of a leaf.
fn with_event(home: &Path, leaf: u64, change: impl Fn(&mut Vec<Vec<u8>>, usize)) {
    let (path, mut frames) = segment(home, leaf);
    let at = frames.iter().position(|content| Kept::parse(content).is_some_and(|kept| kept.index == leaf));
    change(&mut frames, at.expect("it is there"));
    write(&path, &frames);
}

fn with_bundle(home: &Path, change: impl Fn(&mut Vec<Vec<u8>>)) {
    let path = home.join("tile/entries/001");
    let bytes = fs::read(&path).expect("a bundle");
    let mut entries: Vec<Vec<u8>> = leaf::unbundle(&bytes).expect("entries").into_iter().map(<[u8]>::to_vec).collect();
    change(&mut entries);
    let mut bytes = Vec::new();
    entries.iter().for_each(|entry| leaf::bundle(&mut bytes, entry));
    fs::write(&path, bytes).expect("room");
}

#[test]
fn of_some_classes_the_records_are_read_and_of_the_others_the_time() {
    let (home, _) = made();
    let disk = Directory::at(home.path());
    for path in files(&home.path().join("events")) {
        let path = path.strip_prefix(home.path()).expect("below").to_string_lossy().into_owned();
        seal(&disk, &path).expect("room");
    }
    let days = Retain { millis: [None, None, None, Some(DAY)] };
    assert!(erase(&disk, &days, START + 2 * DAY).expect("erased") > 0, "the first day of incidents is gone");
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let pass = |of: &mut Vec<(Option<Record>, u64)>, at: u64| match of.last_mut() {
        Some((None, latest)) => *latest = at.max(*latest),
        _ => of.push((None, at)),
    };
    for record in read(home.path()).expect("a checkpoint").map(|record| record.expect("a record")) {
        match record.event.is_some() && !record.index.is_multiple_of(3) {
            true => expected.push((Some(record), 0)),
            false => pass(&mut expected, record.unix_millis),
        }
    }
    let incidents = |class| class == Retention::Incident;
    read_classes(home.path(), incidents, |passage| match passage {
        Passage::Record(record) => found.push((Some(record.clone()), 0)),
        Passage::Until(at) => pass(&mut found, at),
    })
    .expect("read");
    assert_eq!(found, expected);
    let records = found.iter().filter(|(record, _)| record.is_some()).count();
    assert!((200..400).contains(&records), "{records} of the 466 are kept");
}

#[test]
fn what_nobody_touched_holds_and_goes_on_from_what_was_published() {
    let (home, early) = made();
    let report = verify(Directory::at(home.path()), &trust(), &[early]).expect("a report");
    assert!(report.holds(), "{:?}", report.faults);
    assert_eq!((report.size, report.missing.count, report.erased.len()), (700, 0, 0));
    // Sealed segments are read like open ones.
    for path in files(&home.path().join("events")) {
        let path = path.strip_prefix(home.path()).expect("below").to_str().expect("text").to_owned();
        seal(&Directory::at(home.path()), &path).expect("room");
    }
    assert!(files(&home.path().join("events")).iter().all(|path| path.extension().is_some_and(|end| end == "seg")));
    assert!(found(home.path()).holds());
}

#[test]
fn a_changed_event_is_found() {
    let (home, _) = made();
    with_event(home.path(), 400, |frames, at| {
        let end = frames[at].len() - 3;
        frames[at][end] ^= 1;
    });
    assert_eq!(first(home.path()), (Some(400), "its event is not the one that it commits to".to_owned()));
}

#[test]
fn a_dropped_event_is_not_an_erased_one() {
    let (home, _) = made();
    with_event(home.path(), 401, |frames, at| {
        frames.remove(at);
    });
    let missing = "its event is missing from the segment that has its neighbours";
    assert_eq!(first(home.path()), (Some(401), missing.to_owned()));
    // The last of a segment, too.
    let (home, _) = made();
    with_event(home.path(), 499, |frames, _| {
        frames.pop();
    });
    assert_eq!(first(home.path()), (Some(499), missing.to_owned()));
}

#[test]
fn what_was_kept_long_enough_is_erased_and_the_tree_stays() {
    let (home, _) = made();
    let mut retain = Retain::default();
    retain.millis[usize::from(Retention::Figures.code())] = Some(DAY);
    let days = erase(&Directory::at(home.path()), &retain, START + 2 * DAY + DAY / 2).expect("a disk");
    assert_eq!(days, 1);
    let report = found(home.path());
    assert!(report.holds(), "{:?}", report.faults);
    assert_eq!(report.erased.into_iter().collect::<Vec<_>>(), [(("figures", 20_000), 84)]);
    let proof = prove(&Directory::at(home.path()), 3).expect("a proof");
    assert_eq!(proof.event, None);
    assert_eq!(proof.check(&trust()).expect("it stands").leaf.seq, 3);
    let proof = prove(&Directory::at(home.path()), 4).expect("a proof");
    assert!(proof.event.is_some() && proof.check(&trust()).is_ok());
}

#[test]
fn changed_dropped_and_reordered_leaves_are_found() {
    let (home, _) = made();
    with_bundle(home.path(), |entries| entries[44][2] ^= 1);
    assert_eq!(first(home.path()), (Some(300), "it is not what its tile says".to_owned()));
    let (home, _) = made();
    with_bundle(home.path(), |entries| entries.swap(10, 11));
    assert_eq!(first(home.path()).0, Some(266));
    let (home, _) = made();
    with_bundle(home.path(), |entries| {
        entries.remove(20);
    });
    assert_eq!(first(home.path()).0, Some(511), "the bundle is short");
    assert!(found(home.path()).faults.first.iter().any(|fault| fault.leaf == Some(276)), "and from here on differs");
}

#[test]
fn a_leaf_and_its_tile_changed_together_are_found() {
    let (home, _) = made();
    with_bundle(home.path(), |entries| entries[44][2] ^= 1);
    let path = home.path().join("tile/0/001");
    let mut hashes = fs::read(&path).expect("a tile");
    let bundle = fs::read(home.path().join("tile/entries/001")).expect("a bundle");
    let entries = leaf::unbundle(&bundle).expect("entries");
    hashes[44 * 32..45 * 32].copy_from_slice(&tree::leaf_hash(entries[44]));
    fs::write(&path, hashes).expect("room");
    let words = found(home.path()).faults.first.iter().map(|fault| fault.words.clone()).collect::<Vec<_>>().join("; ");
    assert!(words.contains("do not have the root of the checkpoint"), "{words}");
    assert!(words.contains("is not what tile/1/000.p/2 says"), "{words}");
}

#[test]
fn a_truncated_directory_is_found() {
    let (home, early) = made();
    // Its own older checkpoint is put back: the directory is consistent, and shorter than what was kept elsewhere.
    let latest = fs::read_to_string(home.path().join("checkpoint")).expect("it is there");
    fs::write(home.path().join("checkpoint"), &early).expect("room");
    assert!(found(home.path()).holds(), "alone it cannot be told");
    let report = verify(Directory::at(home.path()), &trust(), &[latest]).expect("a report");
    let words = &report.faults.first.first().expect("a fault").words;
    assert_eq!(words, "it ends at leaf 300, and a checkpoint that was kept elsewhere is of 700");
    // A file that is gone is named by its leaves.
    let (home, _) = made();
    fs::remove_file(home.path().join("tile/entries/001")).expect("it was there");
    assert_eq!(first(home.path()).0, Some(256));
}

#[test]
fn a_short_bundle_is_an_error_that_says_how_many_and_nothing_else_is_lost() {
    let (home, _) = made();
    let whole: Vec<Record> = read(home.path()).expect("a checkpoint").collect::<Result<_, _>>().expect("records");
    for (kept, gone, words) in [
        (200_usize, 456..512, "56 leaves from 456 on are not in their bundle, which is too short"),
        (0, 256..512, "256 leaves from 256 on are not in their bundle, which is too short"),
    ] {
        with_bundle(home.path(), |entries| entries.truncate(kept));
        let (mut there, mut told) = (Vec::new(), Vec::new());
        for record in read(home.path()).expect("a checkpoint") {
            match record {
                Ok(record) => there.push(record),
                Err(error) => told.push(error.to_string()),
            }
        }
        assert_eq!(told, [words]);
        let expected: Vec<&Record> = whole.iter().filter(|record| !gone.contains(&record.index)).collect();
        assert_eq!(there.iter().collect::<Vec<_>>(), expected, "what is in the other bundles is all there");
        // Whoever reads by all cores gets what comes before it, and the same words.
        let mut before = 0;
        let failed = read_classes(
            home.path(),
            |_| true,
            |passage| {
                if let Passage::Record(record) = passage {
                    assert_eq!(*record, whole[before]);
                    before += 1;
                }
            },
        );
        assert_eq!(failed.expect_err("it is too short").to_string(), words);
        assert_eq!(before, gone.start as usize);
    }
}

#[test]
fn a_fork_is_found_and_not_gone_on_from() {
    let (home, early) = made();
    // Somebody with the key writes another past of the same length, whole and well signed.
    let other = tempfile::tempdir().expect("a directory");
    let mut ledger = Ledger::open(Directory::at(other.path()), key(), salts).expect("a ledger");
    let records: Vec<Appended> = (1000..1700).map(record).collect();
    ledger.append(&records).expect("room");
    ledger.checkpoint().expect("room");
    drop(ledger);
    assert!(verify(Directory::at(other.path()), &trust(), &[]).expect("a report").faults.count == 0);
    let report = verify(Directory::at(other.path()), &trust(), &[early]).expect("a report");
    assert_eq!(
        report.faults.first.first().expect("a fault").words,
        "the first 300 leaves do not have the root of a checkpoint that was kept elsewhere"
    );
    // Nor does a gate go on from a journal that is not its checkpoint's.
    fs::copy(home.path().join("checkpoint"), other.path().join("checkpoint")).expect("room");
    let refused = Ledger::open(Directory::at(other.path()), key(), salts).expect_err("a fork");
    assert!(refused.to_string().contains("to go on would contradict what was published"), "{refused}");
}

#[test]
fn a_stranger_key_and_a_missing_number_are_found() {
    let (home, _) = made();
    let stranger = SignerKey::new("gate.example/evidence", Algorithm::Ed25519, &[2; 32]).expect("a key");
    let report = verify(
        Directory::at(home.path()),
        &Trust { log: Some(stranger.public().clone()), witnesses: Vec::new(), quorum: 0 },
        &[],
    );
    assert_eq!(report.expect("a report").faults.first[0].words, "the checkpoint: the log did not sign it");
    // A log that left a record out before it made the tree of it: the numbers tell.
    let bundle = fs::read(home.path().join("tile/entries/000")).expect("a bundle");
    let (mut tree, mut bytes) = (Tree::default(), Vec::new());
    for (index, entry) in leaf::unbundle(&bundle).expect("entries").into_iter().enumerate().take(200) {
        if index != 50 {
            tree.push(tree::leaf_hash(entry), |_, _| ());
            leaf::bundle(&mut bytes, entry);
        }
    }
    let forged = tempfile::tempdir().expect("a directory");
    let put = |path: &str, bytes: &[u8]| {
        let path = forged.path().join(path);
        fs::create_dir_all(path.parent().expect("one")).expect("room");
        fs::write(path, bytes).expect("room");
    };
    put("tile/entries/000.p/199", &bytes);
    for (tile, hashes) in tree.partial() {
        put(&tile.path(), &hashes.concat());
    }
    let origin = "gate.example/evidence".to_owned();
    put("checkpoint", Checkpoint { origin, size: 199, root: tree.root() }.sign(&key()).as_bytes());
    let report = found(forged.path());
    assert_eq!((report.faults.count, report.missing.count), (0, 1), "{:?}", report.faults);
    let missing = &report.missing.first[0];
    assert_eq!((missing.from, missing.until, missing.leaf), (50, 51, 50));
    assert!(!report.holds());
    assert!(Leaf::parse(leaf::unbundle(&bytes).expect("entries")[50]).is_some_and(|leaf| leaf.seq == 51));
}

#[test]
fn a_clock_that_jumps_is_told_and_harms_nothing() {
    let home = tempfile::tempdir().expect("a directory");
    let mut ledger = Ledger::open(Directory::at(home.path()), key(), salts).expect("a ledger");
    // Three days on, back to the first, and a year on.
    for at in [0, 3 * DAY, DAY / 2, 365 * DAY, DAY / 2 + 1_000] {
        let records: Vec<Appended> =
            (0..40).map(|number| Appended { unix_millis: START + at + number, ..record(number) }).collect();
        ledger.append(&records).expect("room");
        ledger.checkpoint().expect("room");
    }
    let report = found(home.path());
    assert!(report.holds(), "{:?}", report.faults);
    assert_eq!((report.size, report.clock_went_back), (200, 2));
    let ledger = Ledger::open(Directory::at(home.path()), key(), salts).expect("it goes on");
    assert_eq!(ledger.size(), 200);
}
