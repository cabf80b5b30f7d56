//! What is on record of a gate that runs is what its clients did, counted by them.

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use portcullis_suite::{Gate, HOST, Next, Origin, Plan, Seen, Wire, eventually, place, respond, run};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// A page with two members, a script that the test changes by its path's end, and pages that fail.
fn answer(seen: &Seen, stream: &mut TcpStream) -> io::Result<Next> {
    let page =
        |number: u64| (0..60).map(|at| format!("<p>member{}@example.org</p>", number * 60 + at)).collect::<String>();
    let (status, kind, body) = match seen.target().split_once('?').unwrap_or((seen.target(), "")) {
        ("/app.js", version) => (200, "text/javascript", format!("let version = \"{version}\";")),
        ("/list", number) => (200, "text/html", page(number.parse().unwrap_or_default())),
        ("/fails", _) => (500, "text/plain", "no".to_owned()),
        _ => (200, "text/html", "<h1>welcome</h1>".to_owned()),
    };
    respond(stream, status, &format!("Content-Type: {kind}\r\n"), body.as_bytes())?;
    Ok(Next::Keep)
}

fn status(gate: &Gate, target: &str) -> u16 {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    Wire::plain(gate.http()).ask(request).map_or(0, |response| response.status)
}

fn records(evidence: &Path, kind: &str) -> Vec<Value> {
    let binary = Gate::binary().display().to_string();
    let shown = run(binary, &["ledger", "show", evidence.to_str().expect("text"), "--json", "--kind", kind], PATIENCE);
    shown
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .map(|record: Value| record["event"].clone())
        .collect()
}

fn sum(records: &[Value], read: impl Fn(&Value) -> u64) -> u64 {
    records.iter().map(read).sum()
}

#[test]
fn what_is_on_record_is_what_clients_counted() {
    let origin = Origin::start(answer);
    let state = place("evidence-state");
    let evidence = state.join("evidence");
    let routes = "session_cookie = \"session\"\n[[platform.route]]\npath = \"/limited\"\n[[platform.route.rate]]\nkey = \"address\"\nrate = \"1/h\"\nburst = 3\n\
                  [[platform.route]]\npath = \"/list\"\n[platform.route.data]\naction = \"block\"\n\
                  [[platform.route.budget]]\nwho = \"session\"\nover = \"hour\"\nrecords = 100\n\
                  [[platform.route]]\npath = \"/**\"\n[platform.route.data]\naction = \"observe\"\n";
    let gate = Plan::new("evidence")
        .table(&format!("[defence]\nstate = {state:?}\n"))
        .upstream(&[origin.url()], routes)
        .start();
    let mut counted = [0_u64; 6];
    let mut ask = |target: &str| {
        let status = status(&gate, target);
        counted[usize::from(status / 100).min(5)] += 1;
        status
    };
    let pages = (0..40).filter(|_| ask("/") == 200).count() as u64;
    let limited = (0..10).filter(|_| ask("/limited") == 429).count() as u64;
    let failed = (0..5).filter(|_| ask("/fails") == 500).count() as u64;
    // Two lists of sixty members are more than a hundred.
    let lists: Vec<u16> = (0..3).map(|number| ask(&format!("/list?{number}"))).collect();
    assert_eq!((pages, limited, failed, lists[0]), (40, 7, 5, 200));
    assert!(lists[1..].iter().all(|status| *status != 200), "{lists:?}");
    assert_eq!(ask("/app.js?one"), 200);
    std::thread::sleep(Duration::from_secs(11));
    assert_eq!(ask("/app.js?two"), 200);
    let beaten = || records(&evidence, "beats").len() >= 3;
    assert!(eventually(PATIENCE, beaten), "{}", gate.said());
    drop(gate);

    let traffic = records(&evidence, "traffic");
    let of = |name: &str| sum(&traffic, |traffic| traffic[name].as_u64().unwrap_or_default());
    let refused = sum(&traffic, |traffic| {
        traffic["refused"].as_object().map_or(0, |by| by.values().filter_map(Value::as_u64).sum())
    });
    let asked: u64 = counted.iter().sum();
    assert_eq!(of("requests"), asked, "{traffic:?}");
    assert_eq!(refused, limited + lists.iter().filter(|status| **status != 200).count() as u64, "{traffic:?}");
    assert_eq!(of("served") + of("failed") + refused, asked, "each is in one figure");
    let limits = sum(&traffic, |traffic| traffic["refused"]["rate-limited"].as_u64().unwrap_or_default());
    assert_eq!(limits, limited);
    let egress = records(&evidence, "egress");
    let members = sum(&egress, |egress| egress["records"]["email"].as_u64().unwrap_or_default());
    assert!((60..=100).contains(&members), "what left, and no more than may: {egress:?}");
    let disclosure = records(&evidence, "disclosure");
    assert!(disclosure.iter().any(|told| told["through"] == "/list" && told["action"] == "block"), "{disclosure:?}");
    let findings = records(&evidence, "finding");
    let changed: Vec<&Value> = findings.iter().filter(|finding| finding["subject"] == "/app.js").collect();
    assert_eq!(changed.len(), 2, "seen, and changed: {findings:?}");
    assert!(changed[0]["authorised"] == "first seen" && changed[1]["authorised"].is_null(), "{changed:?}");
    let drills = records(&evidence, "drill");
    assert!(drills.iter().any(|drill| drill["what"] == "self-test" && drill["missed"] == 0), "{drills:?}");
    assert_eq!(records(&evidence, "stop").len(), 1);
    assert!(records(&evidence, "lost").is_empty());

    // What is rolled up, and what is counted of single requests, is the same.
    for step in ["1s", "1m", "1h"] {
        let history = requests(&evidence, &["history", "--platform", "main", "--step", step]);
        let points = history["points"].as_array().expect("points").clone();
        let of = |name: &str| sum(&points, |point| point[name].as_u64().unwrap_or_default());
        let limits = sum(&points, |point| point["refused"]["rate-limited"].as_u64().unwrap_or_default());
        assert_eq!((of("requests"), of("failed"), limits), (asked, failed, limited), "by {step}: {history}");
        assert_eq!(history["missing"], 0, "by {step}: {history}");
        // A minute, or an hour, may have ended meanwhile.
        let points = points.len();
        assert!(if step == "1s" { points > 1 } else { points <= 2 }, "by {step}: {history}");
    }
    let most = |by: &str| -> Vec<(String, u64)> {
        let top = requests(&evidence, &["top", "--by", by]);
        assert_eq!(top["requests"], asked, "{top}");
        let values = top["values"].as_array().expect("values").iter();
        values
            .map(|line| (line["value"].as_str().expect("text").to_owned(), line["requests"].as_u64().unwrap()))
            .collect()
    };
    assert_eq!(most("network"), [("127.0.0.0/24".to_owned(), asked)]);
    assert!(most("reason").contains(&("rate-limited".to_owned(), limited)), "{:?}", most("reason"));
    assert!(most("address")[0].0.starts_with("127.0.0."), "asked for, it is told");
}

/// What `portcullis requests` says of the last hour.
fn requests(evidence: &Path, arguments: &[&str]) -> Value {
    let place = ["--ledger", evidence.to_str().expect("text"), "--since", "1h", "--json"];
    let said = run(Gate::binary().display().to_string(), &[&["requests"], arguments, &place].concat(), PATIENCE);
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", said.stdout, said.stderr))
}

#[test]
fn a_restart_is_no_fresh_budget() {
    let origin = Origin::start(answer);
    let routes = "session_cookie = \"session\"\n[[platform.route]]\npath = \"/list\"\n[platform.route.data]\naction = \"block\"\n\
                  [[platform.route.budget]]\nwho = \"session\"\nover = \"hour\"\nrecords = 75\n";
    let start = |state: &Path| {
        let plan = Plan::new("budgets").table(&format!("[defence]\nstate = {state:?}\n"));
        plan.upstream(&[origin.url()], routes).start()
    };
    let state = place("budgets-state");
    let gate = start(&state);
    assert_eq!(status(&gate, "/list?0"), 200, "sixty of seventy-five");
    // Its end is not told to it: what was written a second ago is what the next one knows.
    let spent = state.join("spent");
    assert!(eventually(PATIENCE, || spent.exists()), "{}", gate.said());
    let pid = i32::try_from(gate.id()).ok().and_then(Pid::from_raw).expect("it has an id");
    kill_process(pid, Signal::KILL).expect("it is ours");
    drop(gate);
    let gate = start(&state);
    assert_eq!(status(&gate, "/list?0"), 200, "who was seen costs nothing again");
    assert_ne!(status(&gate, "/list?1"), 200, "fifteen are left, and sixty were asked for");
    drop(gate);
    let gate = start(&state);
    assert_ne!(status(&gate, "/list?1"), 200, "nor are there more after an end that was told");
    drop(gate);
    // Without what it knew it would have passed.
    let gate = start(&place("budgets-fresh-state"));
    assert_eq!(status(&gate, "/list?1"), 200);
    // Nothing of a member can be read from what is kept.
    let kept = std::fs::read(&spent).expect("it is there");
    assert!(!kept.windows(7).any(|part| part == b"example"), "keyed hashes and nothing else");
}

#[test]
fn what_a_person_opens_gathers_what_the_gate_sees() {
    let origin = Origin::start(answer);
    let state = place("opened-state");
    let gate =
        Plan::new("opened").table(&format!("[defence]\nstate = {state:?}\n")).upstream(&[origin.url()], "").start();
    let binary = Gate::binary().display().to_string();
    let config = gate.config().display().to_string();
    let incident = |arguments: &[&str]| {
        run(binary.clone(), &[&["incident"], arguments, &["--config", &config]].concat(), PATIENCE)
    };
    let listed = || -> Value { serde_json::from_str(&incident(&["list", "--json"]).stdout).unwrap_or_default() };
    let because = ["open", "--because", "The host telephoned.", "--platform", "main"];
    let beaten = || records(&state.join("evidence"), "beats").len() >= 2;
    assert!(eventually(PATIENCE, beaten), "{}", gate.said());
    let opened = incident(&because);
    assert!(opened.stdout.contains("is open"), "{} {}", opened.stdout, opened.stderr);
    let known = || listed()["incidents"].as_array().map_or(0, Vec::len) == 1;
    assert!(eventually(PATIENCE, known), "{}", listed());
    assert!(incident(&because).stderr.contains("is open since"), "one is open already");
    // What the gate sees from now on belongs to it.
    let raised = run(binary.clone(), &["posture", "main", "attack", "--config", &config], PATIENCE);
    assert!(raised.success, "{}", raised.stderr);
    let waved = || listed()["incidents"][0]["waves"].as_array().map_or(0, Vec::len) == 1;
    assert!(eventually(PATIENCE, waved), "{}", listed());
    let whole = listed();
    assert_eq!(whole["incidents"].as_array().map(Vec::len), Some(1), "and opens no other: {whole}");
    assert_eq!(whole["incidents"][0]["words"], "The host telephoned.");
}
