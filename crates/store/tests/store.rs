//! A store as the gate runs it: several threads record, it is closed and opened again, and all of it reads back in order.

use std::path::Path;
use std::thread;
use std::time::Duration;

use portcullis_ledger::checkpoint::Trust;
use portcullis_ledger::note::Algorithm;
use portcullis_ledger::{Act, Beat, Event, Record, Recorder, Start, State, Stop};
use portcullis_store::disk::Directory;
use portcullis_store::verify::verify;
use portcullis_store::{Settings, Store, key, read};

fn open(path: &Path) -> std::sync::Arc<Store> {
    let directory = Directory::create(path).expect("a directory");
    let key = key(path, "gate.example/evidence", Algorithm::Ed25519).expect("a key");
    Store::open(Settings::new(directory, key)).expect("a store")
}

fn act(words: String) -> Event {
    Event::Act(Act { what: "test".to_owned(), words, ..Act::default() })
}

fn records(path: &Path) -> Vec<Record> {
    read(path).expect("a checkpoint").map(|record| record.expect("a record")).collect()
}

#[test]
fn what_many_threads_record_reads_back_in_order() {
    let home = tempfile::tempdir().expect("a directory");
    let store = open(home.path());
    store.record(&"gate".into(), Event::Start(Start::default()));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let store = store.clone();
            thread::spawn(move || {
                for number in 0..500 {
                    store.record(&format!("sensor/{thread}").into(), act(format!("{number}")));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    store.record(&"gate".into(), Event::Stop(Stop { why: "told".to_owned() }));
    store.close();
    let all = records(home.path());
    assert_eq!(all.len(), 2002);
    for thread in 0..4 {
        let name = format!("sensor/{thread}");
        let own: Vec<&Record> = all.iter().filter(|record| record.sensor == name).collect();
        assert_eq!(own.len(), 500);
        for (number, record) in own.iter().enumerate() {
            assert_eq!(record.seq, number as u64);
            assert_eq!(record.event, Some(act(format!("{number}"))));
        }
    }
    // A second life goes on where the first ended.
    let store = open(home.path());
    store.record(&"sensor/1".into(), act("again".to_owned()));
    drop(store);
    let all = records(home.path());
    let last = all.last().expect("one");
    assert_eq!((last.index, last.seq, &last.event), (2002, 500, &Some(act("again".to_owned()))));
    assert!(!all.iter().any(|record| matches!(record.event, Some(Event::Lost(_)))), "it was told to stop");
}

#[test]
fn what_was_recorded_is_read_once_it_is_settled() {
    let home = tempfile::tempdir().expect("a directory");
    let store = open(home.path());
    for number in 0..3 {
        let told = act(format!("{number}"));
        store.record(&"gate".into(), told.clone());
        assert!(store.settle(Duration::from_secs(20)));
        assert!(records(home.path()).iter().any(|record| record.event.as_ref() == Some(&told)), "{number}");
    }
    store.close();
    assert!(!store.settle(Duration::from_millis(100)), "nobody writes any more");
}

#[test]
fn sensors_beat_and_are_down_when_nothing_is_heard_of_them() {
    let home = tempfile::tempdir().expect("a directory");
    let store = open(home.path());
    let lively = || Beat { sensor: "http/public".into(), seen: 7, dropped: 1, ..Beat::default() };
    store.pulse(Beat { sensor: "files/public".into(), ..Beat::default() });
    for _ in 0..10 {
        store.pulse(lively());
        thread::sleep(Duration::from_millis(500));
    }
    drop(store);
    let beats: Vec<_> = records(home.path())
        .into_iter()
        .filter_map(|record| match record.event {
            Some(Event::Beats { beats }) => Some(beats),
            _ => None,
        })
        .collect();
    assert!(beats.len() >= 2, "{}", beats.len());
    for (number, beats) in beats.iter().enumerate() {
        let [two, one] = beats.as_slice() else { panic!("{beats:?}") };
        assert_eq!((one.sensor.as_ref(), one.seq, one.state), ("http/public", number as u64, State::Up));
        assert_eq!((one.seen, one.dropped), (7, 1));
        assert_eq!((two.sensor.as_ref(), two.seq), ("files/public", number as u64));
    }
    assert_eq!(beats.first().map(|beats| beats[0].state), Some(State::Up));
    assert_eq!(beats.last().map(|beats| beats[0].state), Some(State::Down), "nothing was heard of it");
}

#[test]
fn one_process_writes_a_directory() {
    let home = tempfile::tempdir().expect("a directory");
    let store = open(home.path());
    let key = key(home.path(), "", Algorithm::Ed25519).expect("it is there");
    let second = || Settings::new(Directory::at(home.path()), key.clone());
    assert!(Store::open(second()).is_err());
    // One that waits keeps what it is given until the first is done.
    let second = Store::open(Settings { wait: true, ..second() }).expect("it waits");
    second.record(&"gate".into(), act("of the second".to_owned()));
    store.record(&"gate".into(), act("of the first".to_owned()));
    drop(store);
    drop(second);
    let words: Vec<_> = records(home.path()).into_iter().map(|record| record.event).collect();
    let acts = words.iter().filter(|event| matches!(event, Some(Event::Act(_)))).count();
    assert_eq!(acts, 2, "{words:?}");
}

#[test]
fn what_a_disk_that_fails_does_not_take_is_counted_to_the_last_record() {
    const HANDED: u64 = 60_000;
    let home = tempfile::tempdir().expect("a directory");
    let store = open(home.path());
    store.record(&"gate".into(), act("before".to_owned()));
    thread::sleep(Duration::from_millis(1_500));
    // Where the journal's directory is no directory, nothing can be appended.
    let (journal, away) = (home.path().join("journal"), home.path().join("away"));
    std::fs::rename(&journal, &away).expect("it is there");
    std::fs::write(&journal, b"").expect("room");
    for number in 0..HANDED {
        store.record(&"http/public".into(), act(format!("{number}")));
        if number == HANDED / 2 {
            thread::sleep(Duration::from_millis(300));
        }
    }
    std::fs::remove_file(&journal).expect("it is ours");
    std::fs::rename(&away, &journal).expect("it is ours");
    thread::sleep(Duration::from_millis(2_500));
    store.record(&"http/public".into(), act("after".to_owned()));
    drop(store);

    let own: Vec<Record> = records(home.path()).into_iter().filter(|record| record.sensor == "http/public").collect();
    let (mut kept, mut lost) = (0, 0);
    for (seq, record) in own.iter().enumerate() {
        assert_eq!(record.seq, seq as u64, "no number is missing");
        match &record.event {
            Some(Event::Act(_)) => kept += 1,
            Some(Event::Lost(told)) => {
                lost += told.records;
                assert!(["disk-failed", "queue-full"].contains(&told.why.as_str()), "{}", told.why);
                assert!(told.from <= told.until);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(kept + lost, HANDED + 1, "{kept} were kept, {lost} told as lost");
    assert!(lost > 0 && kept > 16_000, "{kept} were kept, {lost} told as lost");
    let trust = Trust {
        log: Some(key(home.path(), "", Algorithm::Ed25519).expect("it is there").public().clone()),
        witnesses: Vec::new(),
        quorum: 0,
    };
    assert!(verify(Directory::at(home.path()), &trust, &[]).expect("a report").holds());
}
