//! The log as a whole: written, lost, rotated, found and explained.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_types::{Reason, Reference};
use serde_json::Value;

use super::*;

fn declared(path: Option<&Path>, file_bytes: u64, files: u32) -> DecisionLog {
    DecisionLog { path: path.map(Path::to_owned), file_bytes, files, sample: 3 }
}

fn refusal(number: u64) -> Record<'static> {
    Record {
        reference: Some(Reference(number)),
        listener: "http",
        method: Some(b"GET"),
        host: Some(b"example.org"),
        path: Some(b"/"),
        verdict: Verdict::Refused,
        reason: Some(Reason::RateLimited),
        status: 429,
        ..Record::default()
    }
}

fn records(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("valid JSON")).collect()
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("decisions.jsonl");
    (place, path)
}

#[test]
fn what_is_recorded_is_on_disk_after_close() {
    let (_place, path) = place();
    let journal = Journal::open(&declared(Some(&path), 1 << 20, 2), "gate-1").expect("opens");
    thread::scope(|scope| {
        for worker in 0..4u64 {
            let journal = &journal;
            scope.spawn(move || (0..100).for_each(|number| journal.record(&refusal(worker << 32 | number))));
        }
    });
    journal.close();
    journal.record(&refusal(9));
    let counters = journal.counters();
    assert_eq!((counters.written(), counters.dropped(), counters.failed()), (400, 1, 0));
    let mut references: Vec<_> = records(&path).iter().map(|record| record["ref"].to_string()).collect();
    references.sort();
    references.dedup();
    assert_eq!(references.len(), 400);
}

#[test]
fn what_is_wanted_follows_the_declaration() {
    let (_place, path) = place();
    let journal = Journal::open(&declared(None, 1 << 20, 2), "gate-1").expect("opens");
    assert!(!journal.wants(false, 0));
    journal.record(&refusal(1));
    journal.reconfigure(&declared(Some(&path), 1 << 20, 2)).expect("opens");
    assert!(journal.wants(false, 1));
    let sampled: Vec<u64> = (0..9).filter(|number| journal.wants(true, *number)).collect();
    assert_eq!(sampled, [0, 3, 6]);
    journal.reconfigure(&DecisionLog { sample: 0, ..declared(Some(&path), 1 << 20, 2) }).expect("opens");
    assert!((0..9).all(|number| !journal.wants(true, number)));
    journal.record(&refusal(2));
    journal.close();
    assert_eq!(records(&path).len(), 1);
}

#[test]
fn a_reload_changes_the_file_and_a_bad_one_changes_nothing() {
    let (place, path) = place();
    let other = place.path().join("other.jsonl");
    let journal = Journal::open(&declared(Some(&path), 1 << 20, 2), "gate-1").expect("opens");
    journal.record(&refusal(1));
    let nowhere = place.path().join("missing/decisions.jsonl");
    assert!(journal.reconfigure(&declared(Some(&nowhere), 1 << 20, 2)).is_err());
    journal.reconfigure(&declared(Some(&other), 1 << 20, 2)).expect("opens");
    journal.close();
    // The record came before the reload, so it is in the old file unless the writer was quicker to change over.
    assert_eq!(records(&path).len() + records(&other).len(), 1);
    assert_eq!(journal.counters().written(), 1);
}

#[test]
fn what_a_full_disk_lost_is_counted_and_told() {
    let (_place, path) = place();
    let journal = Journal::open(&declared(Some(Path::new("/dev/full")), 1 << 20, 1), "gate-1").expect("opens");
    let counters = journal.counters();
    for round in 1..=3u64 {
        (0..10).for_each(|number| journal.record(&refusal(number)));
        wait_until(|| counters.failed() == 10 * round);
    }
    journal.reconfigure(&declared(Some(&path), 1 << 20, 1)).expect("opens");
    // Until the writer has changed over, records may still go to the full disk: they are counted, too.
    wait_until(|| {
        journal.record(&refusal(11));
        counters.written() > 0
    });
    journal.close();
    let told: u64 = records(&path).iter().filter_map(|record| record["lost"].as_u64()).sum();
    assert_eq!((told, counters.dropped()), (counters.failed(), 0));
    assert_eq!(u64::try_from(records(&path).len()).expect("few"), counters.written());
}

#[test]
fn a_full_queue_drops_counts_and_tells() {
    let (_place, path) = place();
    let log = declared(Some(&path), 1 << 30, 1);
    let shared = Shared {
        node: "gate-1".to_owned(),
        counters: Arc::default(),
        lanes: Default::default(),
        lost: AtomicU64::new(0),
        enabled: AtomicBool::new(true),
        sample: AtomicU32::new(0),
        next: Mutex::default(),
        closing: AtomicBool::new(false),
    };
    // No writer, so that nothing empties the lane meanwhile.
    let journal = Journal { shared: Arc::new(shared), writer: Mutex::default(), wake: OnceLock::new() };
    let counters = journal.counters();
    while counters.dropped() < 5 {
        journal.record(&refusal(1));
    }
    let mut files = open_files(&log).expect("opens");
    drain(&journal.shared, &mut files, &mut Lane::default(), false);
    let before = records(&path).len();
    journal.record(&refusal(2));
    drain(&journal.shared, &mut files, &mut Lane::default(), true);
    let records = records(&path);
    assert_eq!((records.len(), counters.dropped()), (before + 1, 5));
    assert!(records.iter().take(before).all(|record| record["lost"].is_null()));
    assert_eq!(records[before]["lost"], 5);
    assert_eq!(counters.written(), records.len() as u64);
}

#[test]
fn a_reference_is_found_wherever_it_went() {
    let (_place, path) = place();
    assert!(find(&path, Reference(1)).is_err(), "no log at all");
    let journal = Journal::open(&declared(Some(&path), 4096, 4), "gate-1").expect("opens");
    (0..100).for_each(|number| journal.record(&refusal(number)));
    journal.close();
    let found = |number| find(&path, Reference(number)).expect("reads").is_some();
    assert!(found(99), "in the open file");
    assert!(!found(0), "rotated away");
    assert!(fs::read_to_string(file::numbered(&path, 2)).expect("rotated").len() <= 4096);
    let first = records(&file::numbered(&path, 3)).first().expect("a record")["ref"].to_string();
    assert!(found(Reference::parse(first.trim_matches('"')).expect("a reference").0), "in the oldest file");
}

#[test]
fn an_interrupted_line_and_foreign_text_are_passed_over() {
    let (_place, path) = place();
    let mut text = Vec::new();
    refusal(1).write(&mut text, "gate-1", 0);
    text.extend_from_slice(b"\xFF\x00 not a record\n");
    text.extend(std::iter::repeat_n(b'x', 3 * LINE_BYTES));
    text.push(b'\n');
    refusal(2).write(&mut text, "gate-1", 0);
    refusal(3).write(&mut text, "gate-1", 0);
    text.truncate(text.len() - 20);
    fs::write(&path, text).expect("writes");
    assert!(find(&path, Reference(1)).expect("reads").is_some());
    assert!(find(&path, Reference(2)).expect("reads").is_some());
    assert!(find(&path, Reference(3)).expect("reads").is_none(), "its line is not whole");
}

#[test]
fn a_client_cannot_forge_a_record() {
    let (_place, path) = place();
    let mut text = Vec::new();
    let forged = format!("/\",\"ref\":\"{}\",\"x\":\"", Reference(7));
    Record { path: Some(forged.as_bytes()), ..refusal(1) }.write(&mut text, "gate-1", 0);
    fs::write(&path, text).expect("writes");
    assert!(find(&path, Reference(7)).expect("reads").is_none());
    assert!(find(&path, Reference(1)).expect("reads").is_some());
}

#[test]
fn an_explanation_reads_like_this() {
    let mut line = Vec::new();
    let observed = [portcullis_engine::Refusal::new(Reason::DeniedAddress, Arc::from("list scanners"))];
    let record = Record {
        unix_millis: 1_795_302_309_042,
        platform: Some("public"),
        route: Some("/search"),
        class: Some(portcullis_types::RouteClass::Search),
        client: Some("203.0.113.7".parse().expect("an address")),
        peer: Some("10.0.0.2:4711".parse().expect("an address")),
        source: Source::Forwarded,
        path: Some(b"/search\x1b[2J?q=secret"),
        version: Some("1.1"),
        ja4: Some("t13d1516h2_8daaf6152771_e5627efa2ab1"),
        detail: Some(&"rate 5/s by address on /search"),
        trust: Some(portcullis_engine::Trust::Fresh),
        observed: &observed,
        bytes_in: 120,
        bytes_out: 1400,
        took: Duration::from_micros(250),
        ..refusal(7)
    };
    record.write(&mut line, "gate-1", 3);
    assert_eq!(
        printed(&explain(std::str::from_utf8(&line).expect("UTF-8"))),
        "Reference  0000000000007\n\
         What       GET example.org/search\u{FFFD}[2J was refused with status 429. 120 bytes came in, 1400 went out.\n\
         Why        rate-limited: The key sent more requests than its declared rate. In detail: rate 5/s by address on /search.\n\
         What to do Raise the rate, or set it to observe; the record names the rate and the key.\n\
         Listener   It came to listener http of node gate-1. It spoke HTTP/1.1.\n\
         Who        It came from 203.0.113.7, as the trusted proxy 10.0.0.2:4711 says. Its TLS print (JA4) is \
         t13d1516h2_8daaf6152771_e5627efa2ab1.\n\
         Trust      fresh: nobody had seen it before.\n\
         Route      It was for platform public. It took route /search. The route's class is search.\n\
         Observed   denied-address: The address is on a deny list. In detail: list scanners. Only observed: it passed.\n\
         When       2026-11-21T23:05:09.042Z. It took 0.25 ms.\n\
         Lost       3 records before this one could not be written.\n"
    );
}

/// Each way a step is told: the part, the codes of its sentences, and the English.
#[test]
fn each_step_is_told_as_values_and_in_english() {
    let told = |record: &str, part: Part| {
        let steps = explain(record);
        let found: Vec<_> = steps.iter().filter(|step| step.part == part).collect();
        assert_eq!(found.len(), 1, "{part:?} in {record}");
        let codes: Vec<&str> = found[0].said.iter().map(|clause| clause.code.as_str()).collect();
        (codes.join(" "), found[0].words.clone())
    };
    let left = r#"{"left":{"records":12,"exported":true,"values":{"email":12},"unread":{"size":4096}}}"#;
    let hit = r#"{"evidence":{"hits":[{"rule":942100,"targets":["ARGS:q"],"part":"%00 or","via":["lowercase"],"why":"SQL",
        "tags":["attack-sqli"]}],"values":[]}}"#;
    let family = r#"{"evidence":{"hits":[{"family":"sql","targets":["RESPONSE_BODY"],"part":"x","why":"an error","score":5,
        "response":true}],"values":[]}}"#;
    let cases: &[(&str, Part, &str, &str)] = &[
        (
            r#"{"verdict":"served","method":"GET","host":"a","path":"/","status":200}"#,
            Part::Outcome,
            "request-served",
            "GET a/ was served with status 200.",
        ),
        (
            r#"{"verdict":"refused","method":"GET","host":"a","path":"/","status":0}"#,
            Part::Outcome,
            "request-closed",
            "GET a/ was refused by closing the connection.",
        ),
        (
            r#"{"verdict":"failed","method":"GET","host":"a","path":"/","status":502}"#,
            Part::Outcome,
            "request-failed",
            "GET a/ was let in, then failed with status 502.",
        ),
        (
            r#"{"verdict":"failed","method":"GET","host":"a","path":"/","status":0}"#,
            Part::Outcome,
            "request-broke",
            "GET a/ failed, and the connection was closed.",
        ),
        (r#"{"verdict":"refused"}"#, Part::Outcome, "connection-closed", "A connection was refused by closing it."),
        (
            r#"{"verdict":5,"reason":"new-one"}"#,
            Part::Reason,
            "why-unknown",
            "new-one: a reason that this version does not know.",
        ),
        (
            r#"{"listener":"tls","node":"n","tls":"1.3","version":"2"}"#,
            Part::Listener,
            "listener version tls",
            "It came to listener tls of node n. It spoke HTTP/2. It was encrypted with TLS 1.3.",
        ),
        (
            r#"{"client":"192.0.2.1","from":"proxy-protocol","peer":"10.0.0.1:9"}"#,
            Part::Visitor,
            "client-proxied",
            "It came from 192.0.2.1, as the PROXY header from 10.0.0.1:9 says.",
        ),
        (r#"{"client":"192.0.2.1"}"#, Part::Visitor, "client", "It came from 192.0.2.1."),
        (r#"{"trust":"new"}"#, Part::Trust, "trust-other", "new."),
        (
            hit,
            Part::Found,
            "found-rule tags matched-after",
            "Rule 942100 in ARGS:q: SQL. It is against attack-sqli. Matched: \"%00 or\" after lowercase.",
        ),
        (
            family,
            Part::Found,
            "found-family-answer score matched",
            "Detection of family sql in the answer's RESPONSE_BODY: an error. It counts 5 points. Matched: \"x\".",
        ),
        (
            r#"{"upstream":"http://o","attempts":2,"upstream_ms":7.5}"#,
            Part::Origin,
            "upstream attempts began",
            "It went to upstream http://o. It was sent 2 times. The upstream began to answer after 7.5 ms.",
        ),
        (
            left,
            Part::Left,
            "left-records left-values left-export left-unread",
            "Records in the answer: 12. Values of kind email: 12. It left as an export. 4096 bytes were not looked at (size).",
        ),
        (
            r#"{"kind":"database","event":"session","role":"app","database":"d","rows":3}"#,
            Part::Outcome,
            "session-over rows-left",
            "A session of role app on database d ended. Rows that left: 3.",
        ),
        (
            r#"{"kind":"database","event":"finding","database":"d","detail":"x"}"#,
            Part::Outcome,
            "books-differ",
            "The server's own books of database d show what the gate did not see: x.",
        ),
    ];
    for (record, part, codes, words) in cases {
        assert_eq!(told(record, *part), ((*codes).to_owned(), (*words).to_owned()), "{record}");
    }
    assert!(explain("{\"t\":").is_empty(), "no record");
    for reason in Reason::ALL {
        let steps = meaning(*reason);
        let words = printed(&steps);
        assert!(words.contains(reason.description()) && words.contains(reason.hint()), "{words}");
        assert!(
            steps
                .iter()
                .flat_map(|step| &step.said)
                .all(|clause| in_english(std::slice::from_ref(clause)) != clause.code)
        );
    }
}

#[test]
fn what_others_wrote_is_bounded_and_inert_in_every_gap() {
    let hostile = format!("\u{1b}[2J\u{202e}{{asked}}<b>{}", "x".repeat(40_000));
    let record = serde_json::json!({
        "method": "GET", "host": hostile, "path": hostile, "detail": hostile, "reason": hostile, "listener": hostile,
        "platform": hostile, "client": hostile, "ja4": hostile, "trust": hostile, "upstream": hostile, "t": hostile,
        "observed": (0..1_000).map(|_| serde_json::json!({"reason": hostile, "detail": hostile})).collect::<Vec<_>>(),
        "left": {"values": {hostile.clone(): 1}},
        "evidence": {"hits": (0..100).map(|_| serde_json::json!(
            {"rule": 1, "targets": [hostile], "part": hostile, "why": hostile, "via": [hostile], "tags": [hostile]}
        )).collect::<Vec<_>>(), "values": []},
    });
    let steps = explain(&record.to_string());
    let count = |part: Part| steps.iter().filter(|step| step.part == part).count();
    assert_eq!((count(Part::Observed), count(Part::Found)), (32, evidence::MOST_HITS));
    let names = || steps.iter().flat_map(|step| &step.said).flat_map(|clause| clause.names.values());
    assert!(names().count() > 100);
    // An asked name is a method, a host and a path.
    assert!(names().all(|name| name.chars().count() <= 2 * 1_024 + 8));
    assert!(names().all(|name| !name.contains(['\u{1b}', '\u{202e}'])));
    assert!(!printed(&steps).contains(['\u{1b}', '\u{202e}']));
    // A gap that somebody else wrote is not filled: only ours are.
    assert!(steps[0].words.contains("{asked}<b>"), "{}", steps[0].words.chars().take(80).collect::<String>());
}

#[test]
fn acts_about_a_rule_are_told_as_values_beside_the_words_of_that_time() {
    let act = serde_json::json!({"t": "2026-11-21T23:05:09.042Z", "kind": "act", "act": {
        "at_nanos": 1, "kind": "rule-enforced", "platform": "public", "rule": "r-81", "by": "alice\u{1b}",
        "words": "Rule r-81 is enforced.", "undo": "portcullis rules undo r-81",
        "facts": [["pattern", "TLS `a`"], ["action", "refuse"], ["business", "false"], ["explains", "0.97"],
            ["baseline_rows", "32768"], ["baseline_hits", "2"], ["baseline_bound", "0.0002"], ["matched", "12"]],
    }});
    let steps = explain_acts(&[act.to_string()]);
    let codes: Vec<&str> = steps[0].said.iter().map(|clause| clause.code.as_str()).collect();
    assert_eq!(codes, ["act-person", "rule-enforced", "pattern", "explains", "tested", "matched-so-far"]);
    assert_eq!(steps[0].said[0].names["who"], "alice\u{FFFD}");
    assert_eq!(steps[0].said[4].numbers["rows"], 32_768.0);
    assert_eq!(
        printed(&steps),
        "2026-11-21T23:05:09.042Z  public, by alice\u{FFFD}\n  Rule r-81 is enforced.\n  Undo: portcullis rules undo r-81\n"
    );
    // What a rule explains is not known where it was taken up again; a share that was rounded up is all of it.
    for (share, told) in [("0.00", None), ("1.04", Some(1.0))] {
        let steps = explain_acts(&[act.to_string().replace("0.97", share)]);
        let explains = steps[0].said.iter().find(|clause| clause.code == "explains");
        assert_eq!(explains.map(|clause| clause.numbers["share"]), told, "{share}");
    }
}

fn wait_until(mut done: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("it did not happen within ten seconds");
}

#[test]
fn an_act_is_one_line_however_much_it_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("decisions.jsonl");
    let log = DecisionLog { path: Some(path.clone()), file_bytes: 1 << 20, files: 2, sample: 0 };
    let journal = Journal::open(&log, "node").expect("opened");
    let act = |words: String| portcullis_engine::Act {
        at_nanos: 7,
        kind: "posture".to_owned(),
        platform: "public".to_owned(),
        rule: Some("r-81".to_owned()),
        by: "gate".to_owned(),
        words,
        facts: vec![("times".to_owned(), "6.1".to_owned())],
        undo: String::new(),
    };
    journal.record_act(&act("a \"word\"\nand another".to_owned()), 1_700_000_000_000);
    journal.record_act(&act("\u{1b}".repeat(LINE_BYTES)), 1_700_000_000_000);
    journal.close();
    let text = fs::read_to_string(&path).expect("written");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("one line of JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["kind"], "act");
    assert_eq!(lines[0]["act"]["words"], "a \"word\"\nand another");
    assert_eq!(lines[0]["act"]["rule"], "r-81");
    assert!(lines[1]["act"]["words"].as_str().is_some_and(|words| !words.is_empty()));
    assert!(text.lines().all(|line| line.len() < LINE_BYTES));
    let acts = find_acts(&path, "r-81").expect("readable");
    assert_eq!(acts.len(), 2);
    let told = printed(&explain_acts(&acts));
    assert!(told.starts_with("2023-11-14T22:13:20.000Z  public\n  a \"word\" and another\n"), "{told}");
    assert!(!told.contains('\u{1b}'));
    assert!(find_acts(&path, "r-8").expect("readable").is_empty(), "another rule");
}
