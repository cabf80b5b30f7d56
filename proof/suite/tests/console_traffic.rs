//! The console's view of traffic on a gate that runs: who was refused is found and explained, and what was in force has both its ends.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_suite::{Gate, HOST, Next, Origin, Plan, Response, Wire, eventually, free_address, place, respond};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);

/// Somebody who looks, with a token.
struct Viewer {
    at: SocketAddr,
    cookie: String,
}

impl Viewer {
    fn enter(gate: &Gate, at: SocketAddr) -> Self {
        let link = gate.command(&["console", "link", "--config", "gate.toml", "--role", "viewer"]);
        let (_, secret) = link.stdout.trim().split_once("/welcome#").expect("a link");
        let sent = json!({"link": secret, "name": "Vi", "password": "heron lantern gravel soup"}).to_string();
        let request = format!(
            "POST /api/v1/welcome HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{sent}",
            sent.len()
        );
        let response = Wire::plain(at).ask(request).expect("an answer");
        assert_eq!(response.status, 200, "{}", response.text());
        let cookie = response.header("set-cookie").and_then(|it| it.split(';').next()).expect("a cookie").to_owned();
        Self { at, cookie }
    }

    fn ask(&self, path: &str) -> Response {
        let request = format!("GET /api/v1/{path} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n", self.at, self.cookie);
        Wire::plain(self.at).ask(request).unwrap_or_else(|broken| panic!("{path}: {broken:?}"))
    }

    fn get(&self, path: &str) -> Value {
        let response = self.ask(path);
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.json()
    }
}

fn gate(name: &str, origin: &Origin, more: &str) -> (Gate, Viewer) {
    let state = place(&format!("{name}-state"));
    let at = free_address();
    let plan = Plan::new(name)
        .table(&format!("[defence]\nstate = {state:?}\n[console]\nlisten = \"{at}\"\n"))
        .upstream(&[origin.url()], more);
    let gate = plan.start();
    let viewer = Viewer::enter(&gate, at);
    (gate, viewer)
}

fn visit(gate: &Gate, path: &str) -> Response {
    Wire::plain(gate.http()).ask(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).expect("an answer")
}

#[test]
fn who_was_refused_is_found_by_network_and_reference_and_explained() {
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep));
    let rate = "[[platform.route]]\npath = \"/scarce\"\nclass = \"search\"\n\
                [[platform.route.rate]]\nkey = \"address\"\nrate = \"1/min\"\nburst = 1\n";
    let (gate, viewer) = gate("console-traffic-search", &origin, rate);
    assert_eq!((visit(&gate, "/scarce").status, visit(&gate, "/plenty").status), (200, 200));
    let refused = visit(&gate, "/scarce");
    assert_eq!(refused.status, 429, "{}", refused.text());
    let reference = refused.reference().expect("a refusal has one");

    let find = |query: &str| viewer.get(&format!("requests?{query}"))["found"].as_array().cloned().unwrap_or_default();
    let known = |found: &[Value]| found.iter().any(|it| it["reference"] == json!(reference));
    let network = "client=127.0.0.0/24&verdict=refused&reason=rate-limited&platform=main&status=429";
    assert!(eventually(PATIENCE, || known(&find(network))), "{:?}", find(""));
    let found = find(network);
    assert_eq!((found.len(), &found[0]["path"], &found[0]["route"]), (1, &json!("/scarce"), &json!("/scarce")));
    for query in [format!("text={reference}"), "text=SCARCE&client=127.0.0.1".to_owned(), "route=/scarce".to_owned()] {
        assert!(known(&find(&query)), "{query}");
    }
    // Its twins: another network, another outcome, another time.
    let others = ["client=192.0.2.0/24", "verdict=served&text=scarce&status=429", "platform=other", "from=1&until=2"];
    for query in others {
        assert!(find(query).is_empty(), "{query}: {:?}", find(query));
    }
    assert_eq!(viewer.ask("requests?client=nobody").status, 422);
    assert_eq!(viewer.ask("requests?cursor=nowhere").status, 404);

    let explained = viewer.get(&format!("explain/{reference}"));
    let words = explained["words"].as_str().unwrap_or_default().to_owned();
    for part in ["GET", "/scarce was refused with status 429", "rate-limited", "127.0.0.1", "route /scarce", "listener"]
    {
        assert!(words.contains(part), "{part} is not in\n{words}");
    }
    // The same step by step, in the order of its way, as values that a page makes sentences of.
    let steps = explained["steps"].as_array().cloned().unwrap_or_default();
    let parts: Vec<&str> = steps.iter().filter_map(|step| step["part"].as_str()).collect();
    let way = ["outcome", "reason", "hint", "listener", "visitor", "route", "when"];
    let found: Vec<&str> = parts.iter().copied().filter(|part| way.contains(part)).collect();
    assert_eq!(found, way, "{explained}");
    let said = |part: &str, code: &str| {
        let step = steps.iter().find(|step| step["part"] == part).cloned().unwrap_or_default();
        let clauses = step["said"].as_array().cloned().unwrap_or_default();
        clauses.into_iter().find(|clause| clause["code"] == code).unwrap_or_default()
    };
    let outcome = said("outcome", "request-refused");
    let asked = format!("GET {HOST}/scarce");
    assert_eq!((&outcome["names"]["asked"], &outcome["numbers"]["status"]), (&json!(asked), &json!(429.0)));
    assert_eq!(said("reason", "why")["names"]["reason"], "rate-limited");
    assert_eq!(said("visitor", "client-connected")["names"]["client"], "127.0.0.1");
    assert_eq!(said("route", "route")["names"]["value"], "/scarce");
    // At a terminal the same structure is English.
    let printed = gate.command(&["explain", reference, "--config", "gate.toml"]);
    assert_eq!(printed.stdout.trim_end(), words.trim_end(), "{}", printed.stderr);
    let reason = viewer.get("explain/rate-limited");
    let codes: Vec<&Value> =
        reason["steps"].as_array().into_iter().flatten().map(|step| &step["said"][0]["code"]).collect();
    assert_eq!(codes, ["why", "answer", "blame-client", "hint"], "{reason}");
    assert_eq!(viewer.ask("explain/0000000000000").status, 404);

    let told =
        gate.command(&["requests", "find", "--config", "gate.toml", "--client", "127.0.0.0/24", "--only", "refused"]);
    assert!(told.success && told.stdout.contains(reference), "{} {}", told.stdout, told.stderr);

    // Nobody chose a file of countries, and nobody is told any.
    let countries = viewer.ask("busiest?by=country");
    assert_eq!(countries.status, 409, "{}", countries.text());
    assert!(countries.text().contains("[geography]"), "{}", countries.text());
}

#[test]
fn what_was_in_force_is_a_stretch_with_both_its_ends() {
    // One at a time for 5 ms each are 200 a second; what comes is many times that, and has to wait.
    let slots = Arc::new(Mutex::new(()));
    let origin = Origin::start(move |_, stream| {
        let held = slots.lock();
        std::thread::sleep(Duration::from_millis(5));
        drop(held);
        respond(stream, 200, "", b"found").map(|()| Next::Keep)
    });
    let (gate, viewer) = gate("console-traffic-measures", &origin, "");
    let measures = || viewer.ask("history?platform=main");
    let ours = |over: bool| {
        let response = measures();
        let found = if response.status == 200 { response.json() } else { Value::Null };
        let found = found["measures"].as_array().cloned().unwrap_or_default();
        found.into_iter().find(|it| it["id"] == "admission/main" && it["until"].is_u64() == over)
    };
    assert_eq!(visit(&gate, "/").status, 200);
    assert!(eventually(PATIENCE, || measures().status == 200), "{}", measures().text());
    assert!(ours(false).is_none() && ours(true).is_none(), "one visitor needs no measure");

    let (stop, http) = (Arc::new(AtomicBool::new(false)), gate.http());
    let flood: Vec<_> = (0..48)
        .map(|number| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let request = format!("GET /search?{number} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut wire) = Wire::try_plain(http) else { continue };
                    while !stop.load(Ordering::Relaxed) && wire.ask(&request).is_ok() {}
                }
            })
        })
        .collect();
    let begun = eventually(PATIENCE, || ours(false).is_some());
    stop.store(true, Ordering::Relaxed);
    flood.into_iter().for_each(|thread| thread.join().expect("no panic"));
    assert!(begun, "{}", measures().text());
    assert!(eventually(PATIENCE, || ours(true).is_some()), "it ends with what it was for: {}", measures().text());
    let measure = ours(true).expect("it was there");
    let (from, until) = (measure["from"].as_u64().expect("a time"), measure["until"].as_u64().expect("a time"));
    assert!(from < until, "{measure}");
    let told = (&measure["kind"], &measure["action"], &measure["by"], &measure["platform"], &measure["cut"]);
    assert_eq!(told, (&json!("admission"), &json!("wait"), &json!("gate"), &json!("main"), &json!(false)));
    let all = viewer.get("history")["measures"].as_array().cloned().unwrap_or_default();
    assert!(all.contains(&measure), "all platforms together have it too");
}
