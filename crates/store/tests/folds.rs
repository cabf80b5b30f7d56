//! What was folded from a ledger is believed beside that ledger alone; who follows a ledger misses nothing of it unseen.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_ledger::note::Algorithm;
use portcullis_ledger::{Change, Event, Recorder as _, Sensor};
use portcullis_store::disk::Directory;
use portcullis_store::{Fold, Settings, Store, key, read, recall};
use rusqlite::Connection;

const FILE: &str = "state.sqlite";
const NAME: &str = "sum";
const PATIENCE: Duration = Duration::from_secs(60);

fn open(home: &Path) -> Arc<Store> {
    let directory = Directory::create(home).expect("a directory");
    let key = key(home, "gate.example/evidence", Algorithm::Ed25519).expect("a key");
    Store::open(Settings::new(directory, key)).expect("a store")
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn tell(store: &Store, words: &str) {
    let change = Change { words: words.to_owned(), ..Change::default() };
    store.record(&Sensor::Borrowed("gate"), Event::Change(change));
}

/// A ledger with so many records, and of the first three of them a fold.
fn folded(home: &Path, records: u64) -> Fold {
    let store = open(home);
    (0..records).for_each(|nth| tell(&store, &nth.to_string()));
    until("published", || store.counters().published.load(Ordering::Relaxed) >= records);
    let fold = Fold::of(home, 3.min(records), b"the first three".to_vec()).expect("a checkpoint is over them");
    store.keep(NAME, fold.clone());
    store.close();
    fold
}

#[test]
fn what_was_folded_is_recalled_beside_its_own_ledger_and_no_other() {
    let [home, other, shorter] = [(); 3].map(|()| tempfile::tempdir().expect("a directory"));
    let (home, other, shorter) = (home.path(), other.path(), shorter.path());
    let fold = folded(home, 5);
    folded(other, 5);
    folded(shorter, 2);
    assert!(Fold::of(home, 500, Vec::new()).is_err(), "no checkpoint is over so many");
    assert!(recall(home, NAME).expect("readable").is_some_and(|found| found == fold));
    assert_eq!(recall(home, "another").expect("readable"), None);
    // After a restart, and with records behind it.
    let store = open(home);
    tell(&store, "more");
    store.close();
    assert!(recall(home, NAME).expect("readable").is_some_and(|found| found == fold));

    let whole = fs::read(home.join(FILE)).expect("there");
    let change = |sql: &str| {
        Connection::open(home.join(FILE)).and_then(|file| file.execute_batch(sql)).expect("changed");
    };
    let put = |home: &Path| fs::write(home.join(FILE), &whole).expect("written");
    let why = |home: &Path| recall(home, NAME).expect_err("it is not believed").to_string();
    put(other);
    assert!(why(other).contains("another ledger"), "{}", why(other));
    put(shorter);
    assert!(why(shorter).contains("it is of 3 records, and the ledger has 2"), "{}", why(shorter));
    for damage in ["state = CAST('the first four?' AS BLOB)", "size = 2", "root = zeroblob(32)", "root = 'short'"] {
        put(home);
        change(&format!("UPDATE folds SET {damage}"));
        assert!(!why(home).is_empty(), "{damage}");
    }
    fs::write(home.join(FILE), b"no database at all").expect("written");
    assert!(!why(home).is_empty());
    fs::remove_file(home.join(FILE)).expect("removed");
    assert_eq!(recall(home, NAME).expect("nothing is there"), None);
    // A file from before there were folds.
    put(home);
    change("DROP TABLE folds");
    assert_eq!(recall(home, NAME).expect("nothing is in it"), None);
    let store = open(home);
    store.keep(NAME, fold.clone());
    store.close();
    assert!(recall(home, NAME).expect("readable").is_some_and(|found| found == fold));
}

#[test]
fn a_file_that_is_locked_costs_nothing_and_the_last_fold_is_kept_when_it_is_free() {
    let home = tempfile::tempdir().expect("a directory");
    let first = folded(home.path(), 5);
    let lock = Connection::open(home.path().join(FILE)).expect("opened");
    let store = open(home.path());
    until("the file is open", || store.counters().published.load(Ordering::Relaxed) >= 5);
    lock.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let fold = |size: u64| Fold::of(home.path(), size, size.to_string().into_bytes()).expect("a fold");
    store.keep(NAME, fold(4));
    until("it is counted", || store.counters().rollup_faults.load(Ordering::Relaxed) > 1);
    store.keep(NAME, fold(5));
    assert!(recall(home.path(), NAME).expect("readable").is_some_and(|found| found == first));
    lock.execute_batch("COMMIT").expect("free");
    until("it is kept", || recall(home.path(), NAME).expect("readable").is_some_and(|found| found == fold(5)));
    store.close();
}

#[test]
fn who_follows_sees_every_record_in_its_place_or_that_some_are_missing() {
    let home = tempfile::tempdir().expect("a directory");
    let store = open(home.path());
    let written = store.follow(2);
    for nth in 0..100 {
        tell(&store, &nth.to_string());
        // Batches of few, while nobody takes any.
        until("written", || store.counters().written.load(Ordering::Relaxed) > nth);
    }
    let passed_by = store.counters().passed_by.load(Ordering::Relaxed);
    assert!(passed_by > 0 && passed_by < 100, "{passed_by}");
    store.close();
    let records: Vec<_> = read(home.path()).expect("a checkpoint").map(|record| record.expect("a record")).collect();
    let (mut seen, mut next) = (0, 0);
    for batch in written {
        assert!(batch.first >= next);
        next = batch.first;
        for appended in batch.records {
            let record = &records[usize::try_from(next).expect("small")];
            assert_eq!((record.index, record.unix_millis), (next, appended.unix_millis));
            assert_eq!(record.event.as_ref(), Event::read(&appended.event).ok().as_ref());
            (seen, next) = (seen + 1, next + 1);
        }
    }
    assert_eq!(seen + passed_by, records.len() as u64);
}
