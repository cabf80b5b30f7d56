//! What operators build upon: names of metrics, fields of the log, who may speak to the control socket and the admin.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use portcullis_suite::{Authority, Calm, Gate, HOST, Origin, Plan, Wire, eventually};

#[test]
fn the_metrics_that_are_promised_are_there() {
    let origin = Origin::echo();
    let gate = Plan::new("contract-metrics").upstream(&[origin.url()], "").start();
    assert_eq!(gate.get("/a").status, 200);
    assert_eq!(
        Wire::plain(gate.http()).ask("GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n").map(|response| response.status),
        Ok(421)
    );
    let names = [
        "portcullis_connections_open",
        "portcullis_connections_total",
        "portcullis_requests_total",
        "portcullis_requests_in_flight",
        "portcullis_refused_total",
        "portcullis_request_seconds_bucket",
        "portcullis_request_seconds_sum",
        "portcullis_request_seconds_count",
        "portcullis_bytes_total",
        "portcullis_upstream_requests_total",
        "portcullis_upstream_connections_total",
        "portcullis_upstream_healthy",
        "portcullis_upstream_ejections_total",
        "portcullis_retries_total",
        "portcullis_log_written_total",
        "portcullis_log_dropped_total",
        "portcullis_log_failed_total",
        "portcullis_panics_total",
        "portcullis_config_generation",
        "portcullis_config_reloads_total",
        "portcullis_accept_pauses_total",
        "portcullis_engine_bytes",
        "portcullis_rate_keys",
        "portcullis_build_info",
    ];
    let metrics = gate.metrics();
    let missing: Vec<_> = names.into_iter().filter(|name| !metrics.has(name)).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    let url = origin.url();
    type Series<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);
    let exact: [Series<'_>; 6] = [
        ("portcullis_requests_total", &[("platform", "main"), ("class", "page"), ("status", "2xx")], 1.0),
        ("portcullis_refused_total", &[("reason", "unknown-host")], 1.0),
        ("portcullis_connections_total", &[("listener", "http")], 2.0),
        ("portcullis_upstream_requests_total", &[("upstream", &url), ("result", "ok")], 1.0),
        ("portcullis_request_seconds_count", &[("platform", "main")], 1.0),
        ("portcullis_upstream_healthy", &[("upstream", &url)], 1.0),
    ];
    for (name, labels, expected) in exact {
        let right = eventually(Duration::from_secs(3), || (gate.metrics().sum(name, labels) - expected).abs() < 0.5);
        assert!(right, "{name}{labels:?} is {}, not {expected}", gate.metrics().sum(name, labels));
    }
    for (direction, least) in [("in", 50.0), ("out", 100.0)] {
        let moved = |gate: &Gate| gate.metrics().sum("portcullis_bytes_total", &[("direction", direction)]);
        assert!(eventually(Duration::from_secs(3), || moved(&gate) > least), "{direction}: {}", moved(&gate));
    }
}

#[test]
fn the_fields_of_the_log_are_stable() {
    let origin = Origin::echo();
    let plan = Plan::new("contract-log");
    let authority = Authority::new(plan.place());
    let gate = plan.tls(&[authority.leaf(&[HOST])]).upstream(&[origin.url()], "").start();
    let mut wire = Wire::tls(gate.https(), HOST, &authority.pem, &["http/1.1"]).expect("the handshake works");
    let request = format!("POST /a/b?secret=1 HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(wire.ask(request).map(|response| response.status), Ok(200));
    let record = gate.journal().find(|record| record["path"] == "/a/b").expect("a record");
    let fields = [
        "t",
        "ref",
        "node",
        "listener",
        "platform",
        "route",
        "class",
        "client",
        "peer",
        "from",
        "method",
        "host",
        "path",
        "version",
        "tls",
        "ja4",
        "h2",
        "order",
        "verdict",
        "reason",
        "detail",
        "observed",
        "status",
        "bytes_in",
        "bytes_out",
        "upstream",
        "attempts",
        "ms",
        "upstream_ms",
    ];
    let there = record.as_object().expect("a record is an object");
    let missing: Vec<_> = fields.into_iter().filter(|field| !there.contains_key(*field)).collect();
    assert!(missing.is_empty(), "missing: {missing:?} in {record}");
    let told = [
        ("node", "suite"),
        ("listener", "https"),
        ("platform", "main"),
        ("class", "page"),
        ("from", "socket"),
        ("method", "POST"),
    ];
    for (field, expected) in told {
        assert_eq!(record[field].as_str(), Some(expected), "{field}");
    }
    assert!(record["bytes_in"].as_u64() >= Some(5) && record["bytes_out"].as_u64() > Some(0), "{record}");
    assert_eq!((record["attempts"].as_u64(), record["upstream"].as_str()), (Some(1), Some(&*origin.url())));
    let time = record["t"].as_str().unwrap_or_default();
    assert!(time.len() == 24 && time.ends_with('Z') && time.contains('T'), "RFC 3339 in milliseconds: {time}");
    let ja4 = record["ja4"].as_str().unwrap_or_default();
    assert!(ja4.starts_with("t13d") && ja4.split('_').count() == 3, "JA4: {ja4}");
    // A path is cut, not the record.
    let long = format!("GET /{} HTTP/1.1\r\nHost: {HOST}\r\n\r\n", "long".repeat(200));
    assert_eq!(wire.ask(long).map(|response| response.status), Ok(200));
    let record = gate.journal().find(|record| record["path"].as_str().is_some_and(|path| path.starts_with("/long")));
    let length = record.and_then(|record| record["path"].as_str().map(str::len));
    assert!(
        length.is_some_and(|length| (256..=260).contains(&length)),
        "256 bytes and a sign that there was more: {length:?}"
    );
}

#[test]
fn the_control_socket_is_the_operators_alone() {
    let origin = Origin::echo();
    let gate = Plan::new("contract-control").upstream(&[origin.url()], "").start();
    let mode = std::fs::metadata(gate.control()).expect("the socket is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    // Nonsense, silence and half a line harm nobody.
    let speak = |bytes: &[u8]| {
        use std::io::{Read as _, Write as _};
        let mut socket = std::os::unix::net::UnixStream::connect(gate.control()).expect("the socket is there");
        socket.set_read_timeout(Some(Duration::from_secs(15))).expect("a timeout can be set");
        socket.write_all(bytes).ok();
        socket.shutdown(std::net::Shutdown::Write).ok();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok();
        answer
    };
    for bytes in [&b"nonsense\n"[..], b"{\"verb\":\"dance\"}\n", b"{\"verb\":\"rel", b"\xFF\xFE\n", &[b'a'; 100_000]] {
        let answer = speak(bytes);
        assert!(!answer.contains("\"ok\":true"), "{answer}");
    }
    assert!(speak(b"{\"verb\":\"reload\"}\n").contains("\"ok\":true"), "the next one is served");
    assert_eq!(gate.get("/a").status, 200);
}

#[test]
fn the_admin_listener_withstands_what_the_public_one_does() {
    let origin = Origin::echo();
    let gate = Plan::new("contract-admin").upstream(&[origin.url()], "").start();
    let mut idle: Vec<Wire> = (0..120).filter_map(|_| Wire::try_plain(gate.admin()).ok()).collect();
    for wire in idle.iter_mut().take(60) {
        wire.send("GET /metr").ok();
    }
    let answers =
        eventually(Duration::from_secs(15), || gate.ask_admin("/ready").is_ok_and(|response| response.status == 200));
    assert!(answers, "120 connections that say nothing do not shut the operator out for long");
    assert_eq!(gate.get("/a").status, 200, "nor the visitors");
    drop(idle);
    for request in [
        "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "nonsense\r\n\r\n",
        "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut wire = Wire::plain(gate.admin());
        wire.patience(Duration::from_secs(5));
        if let Ok(response) = wire.ask(request) {
            assert!(response.status >= 400, "{request}: {}", response.status);
        }
    }
    assert_eq!(gate.ask_admin("/health").map(|response| response.status), Ok(200));
}

#[test]
fn requests_that_are_sent_ahead_do_not_fill_memory() {
    let origin = Origin::echo();
    let gate = Plan::new("contract-pipelining").upstream(&[origin.url()], "").start();
    assert_eq!(gate.get("/a").status, 200);
    let before = gate.memory();
    let mut calm = Calm::measure(gate.http(), "/visitor");
    let requests = format!("GET /bytes/10000 HTTP/1.1\r\nHost: {HOST}\r\n\r\n").repeat(2000);
    calm.during("pipelining without reading", || {
        let mut wires: Vec<Wire> = (0..20).map(|_| Wire::plain(gate.http())).collect();
        std::thread::scope(|scope| {
            for wire in &mut wires {
                // The kernel's buffers take a part; the rest has to wait, and is given up.
                scope.spawn(|| {
                    wire.write_patience(Duration::from_secs(1));
                    wire.send(&requests).ok();
                });
            }
        });
        let grown = gate.memory().saturating_sub(before) >> 20;
        assert!(grown < 48, "40,000 requests sent ahead grew the gate by {grown} MiB");
    });
    assert_eq!(calm.finish(), Ok(()));
}

#[test]
fn handshakes_have_a_deadline() {
    let origin = Origin::echo();
    let plan = Plan::new("contract-handshake");
    let authority = Authority::new(plan.place());
    let gate = plan
        .tls(&[authority.leaf(&[HOST])])
        .upstream(&[origin.url()], "")
        .limits("handshake_deadline = \"1s\"")
        .start();
    let before = gate.metrics().refused("handshake-timeout");
    // Nothing, the first bytes of a ClientHello, and a ClientHello by the byte.
    for bytes in [&b""[..], b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"] {
        let mut wire = Wire::plain(gate.https());
        wire.send(bytes).ok();
        assert!(wire.closes_within(Duration::from_secs(6)), "{bytes:?}");
    }
    let mut wire = Wire::plain(gate.https());
    let drips = (0..60).take_while(|number| {
        std::thread::sleep(Duration::from_millis(50));
        wire.send(if *number == 0 { &b"\x16"[..] } else { b"\x03" }).is_ok()
    });
    assert!(drips.count() < 60, "a byte at a time does not prolong it");
    assert!(gate.refuses("handshake-timeout", before + 1.0), "{:?}", gate.metrics().reasons());
    let mut wire = Wire::tls(gate.https(), HOST, &authority.pem, &["http/1.1"]).expect("the handshake works");
    assert_eq!(wire.ask(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).map(|response| response.status), Ok(200));
}
