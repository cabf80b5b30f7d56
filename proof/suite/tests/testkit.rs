//! The testkit itself, without a gate: what the other tests rest on is proven first, and proven able to fail.

use std::time::Duration;

use portcullis_suite::frames::{END_HEADERS, End, Frames, Kind, block};
use portcullis_suite::{
    Broken, Browser, Bystander, H2Origin, Next, Nginx, Origin, Python, Wire, digest, eventually, free_port,
    misbehaving, pattern, place, respond, run,
};

#[test]
fn the_echo_tells_what_it_saw() {
    let origin = Origin::echo();
    let mut wire = Wire::plain(origin.address());
    let first =
        wire.ask("POST /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello").expect("an answer");
    let told = first.json();
    assert_eq!((told["line"].as_str(), told["body_len"].as_u64()), (Some("POST /a?b HTTP/1.1"), Some(5)));
    assert_eq!(told["body_sha256"].as_str(), Some(&*digest(b"hello")));
    assert_eq!(told["headers"][1], serde_json::json!(["X-A", "1"]));
    let chunked = "PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n";
    assert_eq!(
        wire.ask(chunked).map(|response| response.json()["trailers"].clone()),
        Ok(serde_json::json!([["x-t", "1"]]))
    );
    assert_eq!(wire.ask("GET /status/404 HTTP/1.1\r\n\r\n").map(|response| response.status), Ok(404));
    let hints = wire.ask("GET /hints HTTP/1.1\r\n\r\n").expect("an answer");
    assert_eq!((hints.interim, hints.status), (vec![103], 200));
    let trailers = wire.ask("GET /trailers HTTP/1.1\r\n\r\n").expect("an answer");
    assert_eq!((trailers.text().as_str(), trailers.trailers.len()), ("hello", 1));
    let bytes = wire.ask("GET /chunked/100000 HTTP/1.1\r\n\r\n").expect("an answer");
    assert_eq!(digest(&bytes.body), digest(&pattern(100_000)));
    assert_eq!((origin.take().len(), origin.connections()), (6, 1));
    assert!(origin.take_raw().starts_with(b"POST /a?b HTTP/1.1\r\nHost: h\r\n"));
}

#[test]
fn each_fault_is_a_fault() {
    let origin = misbehaving();
    let ask = |fault: &str| {
        let mut wire = Wire::plain(origin.address());
        wire.patience(Duration::from_millis(300));
        wire.ask(format!("GET /bad/{fault} HTTP/1.1\r\n\r\n"))
    };
    assert_eq!(ask("silent").err(), Some(Broken::Silent));
    assert_eq!(ask("reset-before").err(), Some(Broken::Reset));
    assert_eq!(ask("close-before").err(), Some(Broken::Closed(0)));
    for fault in
        ["reset-mid-head", "reset-mid-body", "close-mid-chunk", "length-too-long", "garbage", "bad-chunk", "bare-lf"]
    {
        assert!(ask(fault).is_err(), "{fault}");
    }
    assert_eq!(ask("../well").map(|response| response.status), Ok(404), "an unknown fault is told");
    let well = Wire::plain(origin.address()).ask("GET /well HTTP/1.1\r\n\r\n");
    assert_eq!(well.map(|response| response.text()), Ok("well".to_owned()));
}

#[test]
fn frames_are_understood_and_misunderstandings_told() {
    let origin = H2Origin::start();
    let address = origin.url().trim_start_matches("h2c://").parse().expect("an address");
    let mut frames = Frames::open(Wire::plain(address), &[]).expect("it is read");
    assert_eq!(frames.serves("h", "/one").map_err(|reply| format!("{reply:?}")), Ok(200));
    let stream = frames.stream();
    let fields = [(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", "/two")];
    frames.send(Kind::HEADERS, END_HEADERS, stream, &block(&fields)).expect("it is read");
    frames.send(Kind::DATA, 1, stream, b"hello").expect("it is read");
    let reply = frames.reply(stream);
    assert!(reply.status == 200 && String::from_utf8_lossy(&reply.body).contains("\"body_len\":5"), "{reply:?}");
    assert_eq!(origin.take(), ["GET /one", "POST /two"]);
    // PING of seven bytes is an error of the connection; which code it gets is the library's choice.
    frames.send(Kind::PING, 0, 0, &[0; 7]).expect("it is read");
    assert!(matches!(frames.end_within(Duration::from_secs(5)), Some(End::Goaway(1 | 6))));
    let mut quiet = Frames::open(Wire::plain(address), &[]).expect("it is read");
    assert_eq!(quiet.end_within(Duration::from_millis(200)), None, "a connection that lives is not called ended");
}

#[test]
fn the_visitor_sees_failures() {
    let well = Origin::echo();
    let visitor = Bystander::arrive(well.address(), "/a", Duration::from_millis(1));
    std::thread::sleep(Duration::from_millis(200));
    let tally = visitor.leave();
    assert!(tally.failures.is_empty() && tally.took.len() > 5 && tally.p99() > Duration::ZERO, "{tally:?}");
    let ill = Origin::start(|_, stream| {
        respond(stream, 503, "", b"")?;
        Ok(Next::Keep)
    });
    let visitor = Bystander::arrive(ill.address(), "/a", Duration::from_millis(1));
    std::thread::sleep(Duration::from_millis(200));
    let tally = visitor.leave();
    assert!(tally.took.is_empty() && !tally.failures.is_empty());
}

#[test]
fn nginx_serves_its_site() {
    let place = place("kit-nginx");
    let Some(nginx) = Nginx::start(&place, "the testkit") else { return };
    let mut wire = Wire::plain(nginx.address());
    for (path, length) in [("/1k.bin", 1024), ("/100k.bin", 100 * 1024), ("/10m.bin", 10 << 20)] {
        let response = wire.ask(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).expect("an answer");
        assert_eq!(digest(&response.body), digest(&pattern(length)), "{path}");
    }
    let range = wire.ask("GET /10m.bin HTTP/1.1\r\nHost: h\r\nRange: bytes=5-9\r\n\r\n").expect("an answer");
    assert_eq!((range.status, range.body.as_slice()), (206, pattern(10).get(5..).unwrap_or_default()));
}

#[test]
fn python_peers_understand_each_other() {
    let Some(python) = Python::new("the testkit") else { return };
    let place = place("kit-python");
    for (server, client, host) in [("grpc_server.py", "grpc_client.py", "h"), ("ws_server.py", "ws_client.py", "h")] {
        let port = free_port();
        let serving = python.serve(server, &[&port.to_string()], &place.join(format!("{server}.log")));
        assert!(eventually(Duration::from_secs(20), || serving.output().contains("ready")), "{}", serving.output());
        let output = python.run(client, &[&format!("127.0.0.1:{port}"), host, "-"], Duration::from_secs(60));
        assert!(output.success, "{client}: {}\n{}", output.stdout, output.stderr);
    }
    assert!(!run("false", &[], Duration::from_secs(5)).success, "failure is told");
}

#[test]
fn a_browser_says_what_is_on_a_page_and_takes_keys() {
    let place = place("testkit-browser");
    let Some(mut browser) = Browser::start("the browser itself", &place, "") else { return };
    browser.open(
        "data:text/html,<title>t</title><h1>A page</h1><p role=status>calm</p>\
         <button onclick=\"document.querySelector('p').textContent='pressed'\">Press me</button>",
    );
    let tree = browser.tree();
    assert!(
        tree.iter().any(|node| node.role == "heading" && node.name == "A page" && node.level == Some(1)),
        "{tree:?}"
    );
    assert!(tree.iter().any(|node| node.role == "status" && node.live.as_deref() == Some("polite")), "{tree:?}");
    browser.press("Tab");
    assert!(browser.tree().iter().any(|node| node.role == "button" && node.focused));
    browser.press("Enter");
    assert!(browser.shows("pressed", Duration::from_secs(10)), "{}", browser.text());
    assert_eq!(browser.evaluate("6 * 7"), 42);
    let picture = place.join("page.png");
    browser.picture(&picture);
    assert!(std::fs::read(&picture).is_ok_and(|bytes| bytes.starts_with(b"\x89PNG")), "a picture");
}
