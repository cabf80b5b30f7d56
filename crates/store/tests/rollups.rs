//! Roll-ups of a store as the gate runs it: they are what was told, whatever becomes of the file that they lie in.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_ledger::note::Algorithm;
use portcullis_ledger::{Act, Event, Measure, Recorder as _, Request, Start, Verdict};
use portcullis_store::disk::Directory;
use portcullis_store::requests::pack_hours;
use portcullis_store::rollups::{self, Ask, History, history};
use portcullis_store::{Settings, Store, key, read};
use rusqlite::Connection;

const HOUR: u64 = 3_600_000;
/// An hour that begins whole.
const BEGIN: u64 = 500_000 * HOUR;
const FILE: &str = "state.sqlite";
const PATIENCE: Duration = Duration::from_secs(60);

fn open(home: &Path) -> Arc<Store> {
    let directory = Directory::create(home).expect("a directory");
    let key = key(home, "gate.example/evidence", Algorithm::Ed25519).expect("a key");
    Store::open(Settings::new(directory, key)).expect("a store")
}

/// The `nth` request of a made-up day: what became of it and when is a hash of its number.
fn request(nth: u64) -> Request<'static> {
    let random = (nth + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    let part = |from: u32, of: u64| (random >> from) % of;
    let verdict = [Verdict::Served, Verdict::Refused, Verdict::Failed, Verdict::Challenged, Verdict::Roomed]
        [[0, 0, 0, 1, 1, 2, 3, 4][part(0, 8) as usize]];
    let refused = verdict == Verdict::Refused;
    Request {
        unix_millis: BEGIN + part(8, 3 * HOUR),
        platform: ["public", "join", ""][part(5, 3) as usize],
        route: "/**",
        class: "page",
        audience: "fresh",
        client: "203.0.113.9".parse().expect("an address"),
        ja4: "",
        verdict,
        reason: if refused { ["rate-limited", "rule-refused"][part(4, 2) as usize] } else { "" },
        status: 200,
        bytes_in: 300,
        bytes_out: part(30, 9_000),
        micros: 100 + part(24, 50_000),
        waited_micros: part(50, 4) / 3,
    }
}

/// Requests, served, failed, refused by reason, challenged, roomed, delayed and bytes out, as a client would count them.
type Counts = (u64, u64, u64, BTreeMap<String, u64>, u64, u64, u64, u64);

fn counted(numbers: impl Iterator<Item = u64>, platform: Option<&str>, step: u64) -> BTreeMap<u64, Counts> {
    let mut points: BTreeMap<u64, Counts> = BTreeMap::new();
    for request in numbers.map(request).filter(|request| platform.is_none_or(|wanted| wanted == request.platform)) {
        let point = points.entry(request.unix_millis / step * step).or_default();
        point.0 += 1;
        match request.verdict {
            Verdict::Served => point.1 += 1,
            Verdict::Failed => point.2 += 1,
            Verdict::Refused => *point.3.entry(request.reason.to_owned()).or_default() += 1,
            Verdict::Challenged => point.4 += 1,
            Verdict::Roomed => point.5 += 1,
        }
        point.6 += u64::from(request.waited_micros > 0);
        point.7 += request.bytes_out;
    }
    points
}

fn ask(home: &Path, platform: Option<&str>, step: u64) -> History {
    history(home, &Ask { platform, from: BEGIN, until: BEGIN + 3 * HOUR, step }).expect("it can be read")
}

fn told(history: &History) -> BTreeMap<u64, Counts> {
    let counts = history.points.iter().map(|point| {
        let it = &point.tally;
        let refused = it.refused.iter().map(|(reason, count)| (reason.to_string(), *count)).collect();
        let counts = (it.requests, it.served, it.failed, refused, it.challenged, it.roomed, it.delayed, it.bytes_out);
        (point.at, counts)
    });
    counts.collect()
}

#[track_caller]
fn assert_whole(home: &Path, numbers: u64, what: &str) {
    for (platform, step) in
        [(Some("public"), 1_000), (None, 1_000), (Some(""), 60_000), (None, 60_000), (None, 600_000)]
    {
        let told = told(&ask(home, platform, step));
        assert!(told == counted(0..numbers, platform, step), "{what}: {platform:?} by {step}: {} points", told.len());
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What the ledger says that was done about the roll-ups.
fn changes(home: &Path) -> Vec<String> {
    let records = read(home).expect("a checkpoint").map(|record| record.expect("a record"));
    let words = records.filter_map(|record| match record.event {
        Some(Event::Change(change)) if change.what == "roll-ups" => Some(change.words),
        _ => None,
    });
    words.collect()
}

#[test]
fn what_was_told_comes_out_second_by_second_and_minute_by_minute() {
    let home = tempfile::tempdir().expect("a directory");
    let store = open(home.path());
    (0..6_000).for_each(|nth| store.request(&request(nth)));
    drop(store);
    assert_whole(home.path(), 6_000, "once");
    // Another life adds to the same seconds.
    let store = open(home.path());
    (6_000..9_000).for_each(|nth| store.request(&request(nth)));
    drop(store);
    assert_whole(home.path(), 9_000, "again");
    assert_eq!(changes(home.path()), [""; 0], "nothing had to be made again");
    let times = ask(home.path(), None, 3 * HOUR).points[0].tally.micros();
    assert!((25_000..30_000).contains(&times[0]) && times[0] <= times[1] && times[1] <= times[2], "{times:?}");
    let platforms: Vec<String> = rollups::platforms(home.path()).expect("read").into_iter().collect();
    assert_eq!(platforms, ["", "join", "public"]);
}

#[test]
fn a_crash_costs_nothing_and_counts_nothing_twice() {
    let home = tempfile::tempdir().expect("a directory");
    let store = open(home.path());
    (0..2_000).for_each(|nth| store.request(&request(nth)));
    until("the first are rolled up", || rolled_up(home.path()) == Some(2_000));
    // As a crash leaves it: the file of a moment ago beside the requests of now.
    let crashed = tempfile::tempdir().expect("a directory");
    for end in ["", "-wal"] {
        let name = format!("{FILE}{end}");
        fs::copy(home.path().join(&name), crashed.path().join(&name)).expect("it is there");
    }
    (2_000..5_000).for_each(|nth| store.request(&request(nth)));
    drop(store);
    fs::create_dir(crashed.path().join("requests")).expect("room");
    for entry in fs::read_dir(home.path().join("requests")).expect("a directory") {
        let from = entry.expect("a file").path();
        fs::copy(&from, crashed.path().join("requests").join(from.file_name().expect("a name"))).expect("room");
    }
    // Another process holds the file when the next one begins: it waits, and goes on from there.
    let other = Connection::open(crashed.path().join(FILE)).expect("open");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let store = open(crashed.path());
    until("it is told", || store.counters().rollup_faults.load(Ordering::Relaxed) > 1);
    other.execute_batch("ROLLBACK").expect("let go");
    (5_000..5_100).for_each(|nth| store.request(&request(nth)));
    until("it has caught up", || rolled_up(crashed.path()) == Some(5_100));
    drop(store);
    for _ in 0..2 {
        assert_whole(crashed.path(), 5_100, "after the crash");
        drop(open(crashed.path()));
    }
    assert_eq!(changes(crashed.path()), [""; 0], "the last moments are no matter of record");
}

/// How many requests the roll-ups have.
fn rolled_up(home: &Path) -> Option<u64> {
    let all = history(home, &Ask { platform: None, from: BEGIN, until: BEGIN + 3 * HOUR, step: 60_000 }).ok()?;
    Some(all.points.iter().map(|point| point.tally.requests).sum())
}

#[test]
fn whatever_becomes_of_the_file_it_is_made_again_and_that_is_on_record() {
    let home = tempfile::tempdir().expect("a directory");
    let store = open(home.path());
    (0..4_000).for_each(|nth| store.request(&request(nth)));
    drop(store);
    let path = home.path().join(FILE);
    // Some hours are packed, some are not.
    pack_hours(&Directory::at(home.path()), (1, 2), BEGIN + 10 * HOUR, 1).expect("packed");
    let whole = fs::read(&path).expect("it is there");
    assert!(whole.len() > 20 * 4_096);
    type Befalling<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let table: [Befalling<'_>; 6] = [
        ("removed", Box::new(|| fs::remove_file(&path).expect("it was there"))),
        ("empty", Box::new(|| fs::write(&path, b"").expect("room"))),
        ("garbage", Box::new(|| fs::write(&path, vec![0x5a; 40_000]).expect("room"))),
        ("truncated", Box::new(|| fs::write(&path, &whole[..whole.len() / 2]).expect("room"))),
        (
            "overwritten",
            Box::new(|| {
                let mut bytes = whole.clone();
                bytes[5 * 4_096..15 * 4_096].fill(0xa5);
                fs::write(&path, bytes).expect("room");
            }),
        ),
        (
            "of another form",
            Box::new(|| {
                Connection::open(&path).expect("open").pragma_update(None, "user_version", 99).expect("set");
            }),
        ),
    ];
    for (number, (what, befall)) in table.iter().enumerate() {
        befall();
        let store = open(home.path());
        until(what, || rolled_up(home.path()) == Some(4_000));
        drop(store);
        assert_whole(home.path(), 4_000, what);
        let told = changes(home.path());
        assert_eq!(told.len(), number + 1, "{what}: {told:?}");
        assert!(told[number].contains("requests of 3 hours"), "{what}: {told:?}");
        let aside = home.path().join("state.sqlite.aside");
        assert_eq!(aside.exists(), !matches!(*what, "removed" | "empty"), "{what}");
        let _ = fs::remove_file(aside);
    }
}

#[test]
fn while_the_file_is_anothers_or_cannot_be_opened_nothing_stops_and_nothing_is_lost() {
    let home = tempfile::tempdir().expect("a directory");
    // No file can be where a directory is.
    fs::create_dir(home.path().join(FILE)).expect("room");
    let store = open(home.path());
    let faults = &store.counters().rollup_faults;
    (0..1_000).for_each(|nth| store.request(&request(nth)));
    until("it is told", || faults.load(Ordering::Relaxed) > 0);
    fs::remove_dir(home.path().join(FILE)).expect("it was there");
    until("it is opened again", || rolled_up(home.path()) == Some(1_000));
    // Another process has begun to write, and does not end.
    let other = Connection::open(home.path().join(FILE)).expect("open");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let before = faults.load(Ordering::Relaxed);
    (1_000..2_000).for_each(|nth| store.request(&request(nth)));
    until("it is told", || faults.load(Ordering::Relaxed) > before + 1);
    assert_eq!(rolled_up(home.path()), Some(1_000), "and can be read all the while");
    store.record(&"gate".into(), Event::Act(Act { what: "meanwhile".to_owned(), ..Act::default() }));
    until("records are kept all the while", || {
        read(home.path()).is_ok_and(|records| {
            let mut acts = records.filter_map(|record| record.ok()?.event);
            acts.any(|event| matches!(event, Event::Act(act) if act.what == "meanwhile"))
        })
    });
    other.execute_batch("ROLLBACK").expect("let go");
    store.close();
    assert_eq!(store.counters().rollups_unwritten.load(Ordering::Relaxed), 0);
    assert_whole(home.path(), 2_000, "let go");
}

#[test]
fn postures_are_there_and_come_back_from_the_ledger() {
    let home = tempfile::tempdir().expect("a directory");
    let store = open(home.path());
    store.record(&"gate".into(), Event::Start(Start::default()));
    for (from, to) in [("normal", "elevated"), ("elevated", "attack")] {
        let facts = [("from", from), ("to", to)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let act =
            Act { what: "posture".to_owned(), platform: "public".to_owned(), facts: facts.into(), ..Act::default() };
        store.record(&"brain".into(), Event::Act(act));
        thread::sleep(Duration::from_millis(5));
    }
    drop(store);
    let postures = || {
        let ask = Ask { platform: Some("public"), from: 0, until: u64::MAX / 2, step: u64::MAX / 2 / 1_000 * 1_000 };
        let postures = history(home.path(), &ask).unwrap_or_default().postures;
        postures.into_iter().map(|(_, posture)| posture).collect::<Vec<_>>()
    };
    assert_eq!(postures(), ["elevated", "attack"]);
    drop(open(home.path()));
    assert_eq!(postures(), ["elevated", "attack", "normal"], "a gate that begins anew begins in calm");
    fs::remove_file(home.path().join(FILE)).expect("it was there");
    let store = open(home.path());
    until("the ledger has them", || home.path().join(FILE).exists() && postures() == ["elevated", "attack", "normal"]);
    drop(store);
}

#[test]
fn measures_have_both_ends_and_come_back_from_the_ledger() {
    let home = tempfile::tempdir().expect("a directory");
    let store = open(home.path());
    store.record(&"gate".into(), Event::Start(Start::default()));
    for (id, on) in [("r-1", true), ("r-2", true), ("r-1", false)] {
        let measure = Measure { id: id.to_owned(), platform: "public".to_owned(), on, ..Measure::default() };
        store.record(&"brain".into(), Event::Measure(measure));
        thread::sleep(Duration::from_millis(5));
    }
    drop(store);
    let measures = |platform: Option<&str>| {
        let ask = Ask { platform, from: 0, until: u64::MAX / 2, step: u64::MAX / 2 / 1_000 * 1_000 };
        let measures = history(home.path(), &ask).unwrap_or_default().measures;
        measures.into_iter().map(|it| (it.id, it.until > Some(it.from), it.cut)).collect::<Vec<_>>()
    };
    let told = |id: &str, ended, cut| (id.to_owned(), ended, cut);
    assert_eq!(measures(Some("public")), [told("r-1", true, false), told("r-2", false, false)]);
    assert_eq!(measures(None).len(), 2, "all platforms together have theirs");
    assert_eq!(measures(Some("join")), [], "and another has none");
    drop(open(home.path()));
    let after = [told("r-1", true, false), told("r-2", true, true)];
    assert_eq!(measures(Some("public")), after, "a gate that begins anew ends what nobody ended");
    fs::remove_file(home.path().join(FILE)).expect("it was there");
    let store = open(home.path());
    until("the ledger has them", || home.path().join(FILE).exists() && measures(Some("public")) == after);
    drop(store);
}
