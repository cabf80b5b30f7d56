//! Every limit: what is just below it passes, what is beyond it is refused with its own reason.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use portcullis_suite::{Broken, Gate, HOST, Origin, Plan, Response, Wire, eventually, run};
use portcullis_types::Reason;

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n")
}

fn refused(answer: &Result<Response, Broken>, reason: Reason) {
    let response = answer.as_ref().unwrap_or_else(|broken| panic!("{reason}: no answer: {broken:?}"));
    assert_eq!(response.status, reason.status(), "{reason}: {}", response.text());
    assert!(response.reference().is_some(), "{reason}: a refusal has a reference");
}

#[test]
fn heads_and_bodies_are_bounded() {
    let origin = Origin::echo();
    let gate = Plan::new("limits-sizes")
        .upstream(&[origin.url()], "[[platform.route]]\npath = \"/small\"\nclass = \"form\"\nbody_size = \"100B\"\n")
        .limits("head_bytes = \"4KiB\"\nuri_bytes = \"1KiB\"\nheader_count = 20\nbody_bytes = \"10KiB\"")
        .start();
    let post = |path: &str, length: usize, chunked: bool| {
        let mut wire = Wire::plain(gate.http());
        let body = "b".repeat(length);
        let (field, body) = if chunked {
            let chunks: String = body
                .as_bytes()
                .chunks(1000)
                .map(|part| format!("{:x}\r\n{}\r\n", part.len(), String::from_utf8_lossy(part)))
                .collect();
            ("Transfer-Encoding: chunked".to_owned(), format!("{chunks}0\r\n\r\n"))
        } else {
            (format!("Content-Length: {length}"), body)
        };
        wire.send(format!("POST {path} HTTP/1.1\r\nHost: {HOST}\r\n{field}\r\n\r\n")).ok();
        wire.send(body).ok();
        wire.response()
    };
    let ask = |path: &str, fields: &str| Wire::plain(gate.http()).ask(get(path, fields));
    let filler = |count: usize| (0..count).map(|number| format!("x-{number}: 1\r\n")).collect::<String>();
    let table = [
        (
            Reason::HeadTooLarge,
            ask("/a", &format!("x: {}\r\n", "a".repeat(4096))),
            ask("/a", &format!("x: {}\r\n", "a".repeat(3900))),
        ),
        (Reason::TooManyHeaders, ask("/a", &filler(20)), ask("/a", &filler(19))),
        (Reason::UriTooLong, ask(&format!("/{}", "a".repeat(1024)), ""), ask(&format!("/{}", "a".repeat(1000)), "")),
        (Reason::BodyTooLarge, post("/a", 10_241, false), post("/a", 10_240, false)),
        (Reason::BodyTooLarge, post("/a", 10_241, true), post("/a", 10_240, true)),
        (Reason::BodyTooLarge, post("/small", 101, false), post("/small", 100, false)),
        (Reason::BodyTooLarge, post("/small", 101, true), post("/small", 100, true)),
    ];
    for (reason, beyond, below) in &table {
        refused(beyond, *reason);
        assert_eq!(below.as_ref().map(|response| response.status), Ok(200), "{reason}: just below");
        assert!(gate.metrics().refused(reason.code()) >= 1.0, "{reason} is counted");
    }
    // An announced body that is too large is refused before it is sent.
    let mut wire = Wire::plain(gate.http());
    let answer =
        wire.ask(format!("POST /a HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 99999\r\nExpect: 100-continue\r\n\r\n"));
    refused(&answer, Reason::BodyTooLarge);
    assert_eq!(answer.map(|response| response.interim), Ok(vec![]), "it was not asked for");
}

#[test]
fn slow_bodies_and_slow_readers_are_ended() {
    let origin = Origin::echo();
    let gate = Plan::new("limits-pace")
        .upstream(&[origin.url()], "")
        .limits("body_min_rate = \"1KiB/s\"\nbody_grace = \"1s\"\nhead_deadline = \"1s\"\nidle_timeout = \"1s\"")
        .start();
    // A body that comes by the byte.
    let mut wire = Wire::plain(gate.http());
    wire.send(format!("POST /a HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10000\r\n\r\n")).expect("it is read");
    let ended = eventually(Duration::from_secs(8), || {
        wire.send("b").ok();
        std::thread::sleep(Duration::from_millis(100));
        gate.metrics().refused("body-too-slow") >= 1.0
    });
    assert!(ended, "ten bytes a second: {:?}", gate.metrics().reasons());
    refused(&wire.response(), Reason::BodyTooSlow);
    // Its twin comes slowly, but above the rate, for longer than the grace.
    let mut wire = Wire::plain(gate.http());
    wire.send(format!("POST /a HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 12000\r\n\r\n")).expect("it is read");
    for _ in 0..24 {
        wire.send("b".repeat(500)).expect("it is read");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(wire.response().map(|response| response.status), Ok(200), "5 kB a second");

    // A reader that takes nothing.
    let before = gate.metrics().refused("reader-too-slow");
    let mut wire = Wire::plain(gate.http());
    wire.send(get("/bytes/30000000", "")).expect("it is read");
    assert!(gate.refuses("reader-too-slow", before), "a reader that takes nothing: {:?}", gate.metrics().reasons());
    drop(wire);

    // Heads: nothing at all, half a line, a line a second.
    let before = gate.metrics().refused("head-timeout");
    let mut wire = Wire::plain(gate.http());
    wire.send("GET / HTTP/1.1\r\nHo").expect("it is read");
    refused(&wire.response(), Reason::HeadTimeout);
    assert!(gate.refuses("head-timeout", before));
    let mut wire = Wire::plain(gate.http());
    wire.send("GET / HTTP/1.1\r\n").expect("it is read");
    for number in 0..20 {
        std::thread::sleep(Duration::from_millis(100));
        if wire.send(format!("x-{number}: 1\r\n")).is_err() {
            break;
        }
    }
    assert!(wire.closes_within(Duration::from_secs(4)), "one deadline for the whole head, however busy the line is");
    let before = gate.metrics().refused("head-timeout");
    let mut wire = Wire::plain(gate.http());
    assert!(wire.closes_within(Duration::from_secs(5)), "a connection without a request");
    assert!(gate.refuses("head-timeout", before), "{:?}", gate.metrics().reasons());
    let before = gate.metrics().refused("idle-timeout");
    let mut wire = Wire::plain(gate.http());
    assert_eq!(wire.ask(get("/a", "")).map(|response| response.status), Ok(200));
    assert!(wire.closes_within(Duration::from_secs(5)), "a connection without another request");
    assert!(gate.refuses("idle-timeout", before), "{:?}", gate.metrics().reasons());
    // Twin: a keepalive connection that asks more often than that lives on.
    let mut wire = Wire::plain(gate.http());
    for _ in 0..6 {
        assert_eq!(wire.ask(get("/a", "")).map(|response| response.status), Ok(200));
        std::thread::sleep(Duration::from_millis(400));
    }
}

#[test]
fn connections_of_one_address_are_bounded() {
    let origin = Origin::echo();
    let gate =
        Plan::new("limits-per-address").upstream(&[origin.url()], "").limits("connections_per_address = 10").start();
    let serves = |wire: &mut Wire| wire.ask(get("/a", "")).map(|response| response.status);
    let mut held: Vec<Wire> = (0..10).map(|_| Wire::plain(gate.http())).collect();
    for wire in &mut held {
        assert_eq!(serves(wire), Ok(200), "up to the limit");
    }
    let reason = "too-many-connections-from-address";
    let before = gate.metrics().refused(reason);
    let refused = Wire::try_plain(gate.http()).map_or(true, |mut wire| serves(&mut wire).is_err());
    assert!(refused, "the eleventh");
    assert!(gate.refuses(reason, before), "{:?}", gate.metrics().reasons());
    let mut other = Wire::plain_from(IpAddr::from([127, 0, 0, 2]), gate.http()).expect("loopback has 127.0.0.2");
    assert_eq!(serves(&mut other), Ok(200), "another address is not concerned");
    held.truncate(5);
    let again = eventually(Duration::from_secs(5), || {
        Wire::try_plain(gate.http()).is_ok_and(|mut wire| serves(&mut wire) == Ok(200))
    });
    assert!(again, "what is given back can be used");
}

#[test]
fn at_the_limit_of_connections_accepting_pauses_and_the_admin_answers() {
    let origin = Origin::echo();
    let gate = Plan::new("limits-connections")
        .upstream(&[origin.url()], "")
        .limits("connections = 40\nconnections_per_address = 40\nupgraded_connections = 10")
        .start();
    let mut held: Vec<Wire> = (0..40).map(|_| Wire::plain(gate.http())).collect();
    for wire in &mut held {
        assert_eq!(wire.ask(get("/a", "")).map(|response| response.status), Ok(200));
    }
    // The kernel takes more, the gate does not yet. Each worker may have one in its hands when the limit is reached.
    let mut waiting: Vec<Wire> = (0..8)
        .map(|_| {
            let mut wire = Wire::plain_from(IpAddr::from([127, 0, 0, 2]), gate.http()).expect("the queue takes it");
            wire.send(get("/waited", "")).expect("the queue takes it");
            wire.patience(Duration::from_millis(300));
            wire
        })
        .collect();
    waiting.retain_mut(|wire| wire.response() == Err(Broken::Silent));
    assert!(waiting.len() >= 6, "accepting pauses: {} of 8 wait", waiting.len());
    assert!(gate.metrics().sum("portcullis_accept_pauses_total", &[]) >= 1.0, "and the pause is counted");
    assert!(gate.metrics().sum("portcullis_connections_open", &[]) <= 42.0, "memory does not grow");
    for path in ["/metrics", "/health", "/ready"] {
        assert_eq!(
            gate.ask_admin(path).map(|response| response.status),
            Ok(200),
            "the admin answers at the limit: {path}"
        );
    }
    for wire in &mut held {
        assert_eq!(wire.ask(get("/a", "")).map(|response| response.status), Ok(200), "who is in is served");
    }
    held.truncate(20);
    for mut wire in waiting {
        wire.patience(Duration::from_secs(10));
        assert_eq!(wire.response().map(|response| response.status), Ok(200), "room makes it go on");
    }
}

#[test]
fn the_admin_answers_while_the_gate_is_at_full_load() {
    if !portcullis_suite::have("wrk", "wrk", "the admin under load") {
        return;
    }
    let origin = Origin::echo();
    let gate = Plan::new("limits-admin").upstream(&[origin.url()], "").start();
    let url = format!("http://{}/x", gate.http());
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let host = format!("Host: {HOST}");
            run("wrk", &["-t2", "-c64", "-d4s", "-H", &host, &url], Duration::from_secs(30))
        });
        std::thread::sleep(Duration::from_millis(500));
        for _ in 0..20 {
            assert_eq!(gate.ask_admin("/ready").map(|response| response.status), Ok(200));
            std::thread::sleep(Duration::from_millis(100));
        }
        let output = load.join().expect("wrk runs");
        assert!(output.success && !output.stdout.contains("Non-2xx"), "{}", output.stdout);
    });
}

#[test]
fn rates_hold_per_key_and_observing_only_counts() {
    let origin = Origin::echo();
    let rate = |path: &str, key: &str, mode: &str| {
        format!(
            "[[platform.route]]\npath = \"{path}\"\nclass = \"search\"\n\n\
             [[platform.route.rate]]\nkey = \"{key}\"\nrate = \"1/min\"\nburst = 5\nmode = \"{mode}\"\n\n"
        )
    };
    let rest = [
        "session_cookie = \"session\"\napi_key_header = \"x-api-key\"\n".to_owned(),
        rate("/address", "address", "enforce"),
        rate("/prefix", "prefix", "enforce"),
        rate("/session", "session", "enforce"),
        rate("/key", "api-key", "enforce"),
        rate("/observed", "address", "observe"),
    ]
    .concat();
    // One worker: how the allowance is shared between several is the engine's affair.
    let gate = Plan::new("limits-rates").server("workers = 1\ndrain = \"5s\"").upstream(&[origin.url()], &rest).start();
    let from = |last: u8, path: &str, fields: &str| {
        let mut wire = Wire::plain_from(IpAddr::from([127, 0, 1, last]), gate.http()).expect("loopback is wide");
        wire.ask(get(path, fields)).map_or(0, |response| response.status)
    };
    let five = |ask: &dyn Fn() -> u16| (0..5).map(|_| ask()).collect::<Vec<_>>();
    assert_eq!(five(&|| from(1, "/address", "")), [200; 5], "the burst");
    assert_eq!(from(1, "/address", ""), 429, "beyond the burst");
    assert_eq!(from(2, "/address", ""), 200, "another address");
    assert_eq!(five(&|| from(3, "/prefix", "")), [200; 5]);
    assert_eq!(from(4, "/prefix", ""), 429, "another address of the same prefix");
    for (path, field) in [("/session", "Cookie: x=1; session="), ("/key", "X-Api-Key: ")] {
        assert_eq!(five(&|| from(5, path, &format!("{field}alice\r\n"))), [200; 5], "{path}");
        assert_eq!(from(6, path, &format!("{field}alice\r\n")), 429, "{path}: the same key from elsewhere");
        assert_eq!(from(5, path, &format!("{field}bob\r\n")), 200, "{path}: another key from here");
    }
    for _ in 0..8 {
        assert_eq!(from(7, "/observed", ""), 200, "observing refuses nothing");
    }
    let metrics = gate.metrics();
    assert!(metrics.sum("portcullis_observed_total", &[("reason", "rate-limited")]) >= 3.0, "but counts");
    assert!(metrics.refused("rate-limited") >= 4.0);
    let record = gate.journal().find(|record| {
        record["path"] == "/observed" && record["observed"].as_array().is_some_and(|observed| !observed.is_empty())
    });
    let record = record.expect("an observed measure is recorded");
    assert_eq!(
        (record["verdict"].as_str(), record["observed"][0]["reason"].as_str()),
        (Some("served"), Some("rate-limited"))
    );
    let mut wire = Wire::plain_from(IpAddr::from([127, 0, 1, 1]), gate.http()).expect("loopback is wide");
    let answer = wire.ask(get("/address", ""));
    refused(&answer, Reason::RateLimited);
    assert!(answer.is_ok_and(|response| response.header("retry-after").is_some()), "429 says when to come back");
}

#[test]
fn concurrency_is_bounded_per_class_and_platform() {
    let origin = Origin::echo();
    let gate = Plan::new("limits-concurrency")
        .upstream(
            &[origin.url()],
            "[[platform.concurrency]]\nclass = \"search\"\nlimit = 2\nmode = \"enforce\"\n\n\
             [[platform.concurrency]]\nclass = \"api\"\nlimit = 2\nmode = \"observe\"\n\n\
             [[platform.route]]\npath = \"/sleep/900\"\nclass = \"search\"\n\n\
             [[platform.route]]\npath = \"/sleep/901\"\nclass = \"api\"\n",
        )
        .start();
    let at_once = |path: &'static str, count: usize| -> Vec<u16> {
        std::thread::scope(|scope| {
            let asking: Vec<_> =
                (0..count).map(|_| scope.spawn(|| gate.try_get(path).map_or(0, |response| response.status))).collect();
            asking.into_iter().map(|thread| thread.join().unwrap_or(0)).collect()
        })
    };
    let mut statuses = at_once("/sleep/900", 6);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503, 503, 503, 503], "two at once, in all workers together");
    // A place is given back when the response has left, a moment after the visitor has it.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(at_once("/sleep/900", 2), [200, 200], "what is given back can be used");
    assert_eq!(at_once("/sleep/901", 6), [200; 6], "observing refuses nothing");
    assert!(gate.metrics().sum("portcullis_observed_total", &[("reason", "concurrency-limit")]) >= 1.0);
    assert_eq!(gate.get("/other").status, 200, "another class is not concerned");
}

#[test]
fn lists_allow_and_deny_and_their_files_are_read_again() {
    let origin = Origin::echo();
    let plan = Plan::new("limits-lists");
    let file = plan.place().join("denied.txt");
    fs::write(&file, "# nobody yet\n").expect("the list can be written");
    let gate = plan
        .table(&format!(
            "[[list]]\nname = \"friends\"\naction = \"allow\"\nprefixes = [\"127.0.0.5/32\"]\n\n\
             [[list]]\nname = \"blocked\"\naction = \"deny\"\nfile = {file:?}\n\n\
             [[list]]\nname = \"watched\"\naction = \"deny\"\nmode = \"observe\"\nprefixes = [\"127.0.0.6/32\"]\n"
        ))
        .upstream(
            &[origin.url()],
            "[[platform.route]]\npath = \"/rated\"\nclass = \"search\"\n\n\
             [[platform.route.rate]]\nkey = \"address\"\nrate = \"1/min\"\nburst = 1\n",
        )
        .start();
    let from = |last: u8, path: &str| {
        let mut wire = Wire::plain_from(IpAddr::from([127, 0, 0, last]), gate.http()).map_err(|_| Broken::Reset)?;
        wire.ask(get(path, "")).map(|response| response.status)
    };
    assert_eq!(from(4, "/a"), Ok(200), "nobody is denied yet");
    fs::write(&file, "127.0.0.4 # one\n127.0.0.5\n").expect("the list can be written");
    // Denied at accept: closed, or answered with 403 where the gate still speaks.
    let denied = |answer: Result<u16, Broken>| !matches!(answer, Ok(status) if status != 403);
    assert!(eventually(Duration::from_secs(15), || denied(from(4, "/a"))), "the file is read again");
    assert!(gate.metrics().refused("denied-address") >= 1.0);
    assert_eq!(from(3, "/a"), Ok(200), "others are served");
    for _ in 0..3 {
        assert_eq!(from(5, "/rated"), Ok(200), "allowed: past deny lists and rates");
    }
    assert_eq!((from(3, "/rated"), from(3, "/rated")), (Ok(200), Ok(429)), "others have their rate");
    assert_eq!(from(6, "/a"), Ok(200), "observing denies nobody");
    assert!(eventually(Duration::from_secs(5), || {
        gate.metrics().sum("portcullis_observed_total", &[("reason", "denied-address")]) >= 1.0
    }));
    // A broken file leaves the list in force.
    fs::write(&file, "not an address\n").expect("the list can be written");
    std::thread::sleep(Duration::from_secs(2));
    assert!(denied(from(4, "/a")), "a list that cannot be read does not open the gate");
    assert_eq!(from(3, "/a"), Ok(200));
}

#[test]
fn a_connection_is_closed_after_its_share_of_requests() {
    let origin = Origin::echo();
    let gate: Gate =
        Plan::new("limits-requests").upstream(&[origin.url()], "").limits("requests_per_connection = 5").start();
    let mut wire = Wire::plain(gate.http());
    for number in 1..=5 {
        let response = wire.ask(get("/a", "")).expect("an answer");
        let last = response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        assert_eq!((response.status, last), (200, number == 5), "request {number}");
    }
    assert!(wire.closes_within(Duration::from_secs(5)));
}

#[test]
fn upgraded_connections_are_bounded() {
    let origin = Origin::echo();
    let gate = Plan::new("limits-upgraded")
        .upstream(&[origin.url()], "[[platform.route]]\npath = \"/upgrade\"\nclass = \"api\"\nupgrade = true\n")
        .limits("upgraded_connections = 2\nupgrade_idle_timeout = \"1s\"")
        .start();
    let upgrade = || {
        let mut wire = Wire::plain(gate.http());
        wire.send(get("/upgrade", "Connection: Upgrade\r\nUpgrade: websocket\r\n")).expect("it is read");
        let status = wire.head().map(|(status, _)| status);
        (wire, status)
    };
    let (mut first, second) = (upgrade(), upgrade());
    assert_eq!((first.1, second.1), (Ok(101), Ok(101)));
    assert_eq!(upgrade().1, Ok(Reason::ConcurrencyLimit.status()), "the third");
    assert!(first.0.closes_within(Duration::from_secs(6)), "silence ends it");
    let again = eventually(Duration::from_secs(5), || upgrade().1 == Ok(101));
    assert!(again, "what is given back can be used");
}
