//! What HTTP means on its way through the gate: fields, bodies, interim responses, upgrades, redirects, error pages.

use std::time::Duration;

use portcullis_suite::frames::{END_HEADERS, END_STREAM, Frames, Kind, block};
use portcullis_suite::{Authority, Broken, H2Origin, HOST, Origin, Plan, Wire, digest, pattern};
use portcullis_types::{Reason, WORD_LEN};

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n")
}

#[test]
fn requests_arrive_with_what_belongs_to_them() {
    let origin = Origin::echo();
    let plan = Plan::new("semantics-request");
    let authority = Authority::new(plan.place());
    let gate = plan.tls(&[authority.leaf(&[HOST])]).upstream(&[origin.url()], "").start();
    let mut wire = Wire::plain(gate.http());
    let fields = "Accept: text/html\r\nX-Twice: 1\r\nCookie: a=1\r\nX-Twice: 2\r\nConnection: keep-alive, X-Secret\r\n\
                  X-Secret: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers, deflate\r\n\
                  Proxy-Authorization: Basic eDp5\r\nUpgrade: foo\r\nX-Request-Id: mine\r\nVia: 1.0 before\r\n";
    let response = wire.ask(get("/a/../b?x=%41&y", fields)).expect("an answer");
    assert_eq!(response.status, 200);
    let seen = origin.take().pop().expect("the request arrived");

    assert_eq!(seen.line, "GET /a/../b?x=%41&y HTTP/1.1", "the target is passed as it was spelt");
    for hop in ["keep-alive", "proxy-connection", "upgrade", "x-secret"] {
        assert_eq!(seen.all(hop), [""; 0], "{hop} is for one hop alone");
    }
    assert!(!seen.all("connection").iter().any(|value| value.contains("ecret")), "{:?}", seen.headers);
    assert_eq!(seen.all("x-twice"), ["1", "2"], "order and number are kept");
    assert_eq!(seen.all("cookie"), ["a=1"]);
    assert_eq!(seen.all("host"), [HOST]);
    let via = seen.all("via").join(", ");
    assert!(via.starts_with("1.0 before") && via.ends_with("1.1 suite"), "Via is appended to: {via}");
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.all("x-forwarded-host"), [HOST]);
    let forwarded = seen.header("forwarded").unwrap_or_default().to_ascii_lowercase();
    for part in ["for=127.0.0.1", "proto=http", "host=gate.test"] {
        assert!(forwarded.replace('"', "").contains(part), "Forwarded lacks {part}: {forwarded}");
    }
    let reference = seen.header("x-request-id").expect("a request id");
    assert!(reference.len() == WORD_LEN && reference != "mine", "the id is the gate's reference: {reference}");
    let record = gate.journal().by_reference(reference).expect("a record of the request");
    for (field, expected) in
        [("method", "GET"), ("host", HOST), ("verdict", "served"), ("platform", "main"), ("version", "1.1")]
    {
        assert_eq!(record[field].as_str(), Some(expected), "{field}: {record}");
    }
    assert_eq!(record["status"].as_u64(), Some(200), "{record}");
    assert!(!record["path"].as_str().unwrap_or_default().contains('?'), "no query in the log: {record}");

    let mut wire = Wire::tls(gate.https(), HOST, &authority.pem, &["http/1.1"]).expect("the handshake works");
    assert_eq!(wire.ask(get("/tls", "")).map(|response| response.status), Ok(200));
    let seen = origin.take().pop().expect("the request arrived");
    assert_eq!(seen.all("x-forwarded-proto"), ["https"]);
    let reference = seen.header("x-request-id").expect("a request id").to_owned();
    let record = gate.journal().by_reference(&reference).expect("a record of the request");
    assert_eq!(record["tls"].as_str(), Some("1.3"), "{record}");
    assert!(record["ja4"].as_str().is_some_and(|ja4| ja4.starts_with("t13")), "{record}");
    assert!(record["order"].as_str().is_some_and(|order| !order.is_empty()), "{record}");
}

#[test]
fn responses_come_back_with_what_belongs_to_them() {
    let origin = Origin::echo();
    let gate = Plan::new("semantics-response").upstream(&[origin.url()], "").start();
    let mut wire = Wire::plain(gate.http());

    let hop = wire.ask(get("/hop", "")).expect("an answer");
    assert_eq!((hop.status, hop.text().as_str()), (200, "hop"));
    for name in ["x-private", "keep-alive", "proxy-connection"] {
        assert_eq!(hop.header(name), None, "{name} is for one hop alone");
    }
    assert_eq!(hop.header("x-public"), Some("for all"));

    let hints = wire.ask(get("/hints", "")).expect("an answer");
    assert_eq!((hints.status, hints.interim.as_slice()), (200, &[103][..]), "early hints are passed");

    let trailers = wire.ask(get("/trailers", "TE: trailers\r\nConnection: TE\r\n")).expect("an answer");
    assert_eq!(trailers.text(), "hello");
    assert_eq!(trailers.trailers, [("x-sum".to_owned(), "5d41402a".to_owned())], "trailers are passed");

    for status in [204, 304, 404, 500, 503] {
        let response = wire.ask(get(&format!("/status/{status}"), "")).expect("an answer");
        assert_eq!(response.status, status, "statuses of the platform are its own");
        assert_eq!(response.reference(), None, "and so are its pages");
    }
    let head = wire.ask(format!("HEAD /bytes/1000 HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    // This upstream wrongly sends a body to HEAD: the next answer must not be made of it.
    assert_eq!(
        head.map(|response| (response.status, response.header("content-length").map(str::to_owned))),
        Ok((200, Some("1000".to_owned())))
    );
    assert_eq!(
        wire.ask(get("/after", "")).map(|response| response.json()["line"].clone()),
        Ok("GET /after HTTP/1.1".into())
    );

    for (path, length) in [("/bytes/300000", 300_000), ("/chunked/300000", 300_000), ("/bytes/0", 0), ("/chunked/0", 0)]
    {
        let response = wire.ask(get(path, "")).expect("an answer");
        assert_eq!(digest(&response.body), digest(&pattern(length)), "{path}");
    }
    // An HTTP/1.0 client understands no chunks.
    let mut old = Wire::plain(gate.http());
    let response = old.ask(format!("GET /chunked/5000 HTTP/1.0\r\nHost: {HOST}\r\n\r\n")).expect("an answer");
    assert_eq!((response.header("transfer-encoding"), response.body.len()), (None, 5000));
    assert!(old.closes_within(Duration::from_secs(5)), "HTTP/1.0 without keep-alive is closed");
}

#[test]
fn bodies_pass_whole_in_either_framing() {
    let origin = Origin::echo();
    let gate = Plan::new("semantics-bodies").upstream(&[origin.url()], "").limits("body_bytes = \"32MiB\"").start();
    let body = pattern(3_000_000);
    let mut wire = Wire::plain(gate.http());
    wire.send(format!("POST /up HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n", body.len()))
        .expect("it is read");
    wire.send(&body).expect("it is read");
    let told = wire.response().expect("an answer").json();
    assert_eq!((told["body_len"].as_u64(), told["body_sha256"].as_str()), (Some(3_000_000), Some(&*digest(&body))));

    wire.send(format!("PUT /up HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n"))
        .expect("it is read");
    for part in body.chunks(65_537) {
        wire.send([format!("{:X};ext=1\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()).expect("it is read");
    }
    wire.send("0\r\nx-sum: 42\r\n\r\n").expect("it is read");
    let told = wire.response().expect("an answer").json();
    assert_eq!((told["body_len"].as_u64(), told["body_sha256"].as_str()), (Some(3_000_000), Some(&*digest(&body))));
    assert_eq!(told["trailers"], serde_json::json!([["x-sum", "42"]]), "request trailers are passed");

    // Expect: the body is sent only after the gate asks for it.
    wire.send(format!("POST /up HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"))
        .expect("it is read");
    assert_eq!(wire.head().map(|(status, _)| status), Ok(100));
    wire.send("hello").expect("it is read");
    assert_eq!(wire.response().map(|response| response.json()["body_len"].clone()), Ok(5.into()));
}

#[test]
fn both_protocols_meet_in_all_four_ways() {
    let (one, two) = (Origin::echo(), H2Origin::start());
    let gate = Plan::new("semantics-h2")
        .platform("one", &["one.test"], &[one.url()], "")
        .platform("two", &["two.test"], &[two.url()], "")
        .start();
    for host in ["one.test", "two.test"] {
        let mut wire = Wire::plain(gate.http());
        let request = format!(
            "POST /x HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"
        );
        let response = wire.ask(request).expect("an answer");
        assert_eq!((response.status, response.json()["body_len"].as_u64()), (200, Some(5)), "HTTP/1.1 to {host}");
        if host == "two.test" {
            let has = |name: &str, value: &str| {
                response.trailers.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && v == value)
            };
            assert!(
                has("x-length", "5") && has("x-trailer-x-sum", "1"),
                "trailers, both ways: {:?}",
                response.trailers
            );
        }
        let mut frames = Frames::open(Wire::plain(gate.http()), &[]).expect("it is read");
        let stream = frames.stream();
        let fields = [(":method", "POST"), (":scheme", "http"), (":authority", host), (":path", "/x")];
        frames.send(Kind::HEADERS, END_HEADERS, stream, &block(&fields)).expect("it is read");
        frames.send(Kind::DATA, 0, stream, b"hel").expect("it is read");
        frames.send(Kind::DATA, END_STREAM, stream, b"lo").expect("it is read");
        let reply = frames.reply(stream);
        let told: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        assert_eq!((reply.status, told["body_len"].as_u64()), (200, Some(5)), "HTTP/2 to {host}: {reply:?}");
        // Many streams at once on one connection, each with its own answer.
        let streams: Vec<u32> =
            (0..20).map(|number| frames.get(host, &format!("/n{number}")).expect("it is read")).collect();
        let last = *streams.last().expect("twenty");
        assert_eq!(frames.reply(last).status, 200);
    }
    assert!(two.take().len() >= 22, "the HTTP/2 upstream was spoken to in HTTP/2");
}

#[test]
fn upgrades_are_carried_where_the_route_says_so() {
    let origin = Origin::echo();
    let gate = Plan::new("semantics-upgrade")
        .upstream(&[origin.url()], "[[platform.route]]\npath = \"/upgrade\"\nclass = \"api\"\nupgrade = true\n")
        .start();
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let mut wire = Wire::plain(gate.http());
    wire.send(get("/upgrade", fields)).expect("it is read");
    let (status, headers) = wire.head().expect("an answer");
    assert_eq!(status, 101, "{headers:?}");
    let upgrade = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
    assert_eq!(upgrade.map(|(_, value)| value.as_str()), Some("websocket"));
    for round in 0..50 {
        let message = format!("message {round} {}", "x".repeat(round * 100));
        wire.send(&message).expect("it is carried");
        assert_eq!(wire.take(message.len()), Ok(message.into_bytes()), "round {round}");
    }
    drop(wire);
    let mut wire = Wire::plain(gate.http());
    let response = wire.ask(get("/other", fields)).expect("an answer");
    assert_ne!(response.status, 101, "another route carries no upgrade");
    let seen = origin.take().pop().expect("the request arrived");
    assert_eq!(seen.all("upgrade"), [""; 0]);
}

#[test]
fn http_is_redirected_to_https_where_asked() {
    let origin = Origin::echo();
    let plan = Plan::new("semantics-redirect");
    let authority = Authority::new(plan.place());
    let gate = plan.tls(&[authority.leaf(&[HOST])]).redirect().upstream(&[origin.url()], "").start();
    for method in ["GET", "HEAD", "POST"] {
        let mut wire = Wire::plain(gate.redirecting());
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        let response =
            wire.ask(format!("{method} /a/b?c=d HTTP/1.1\r\nHost: {HOST}\r\n{length}\r\n")).expect("an answer");
        assert!(matches!(response.status, 301 | 307 | 308), "{method}: {}", response.status);
        let expected = format!("https://{HOST}:{}/a/b?c=d", gate.https().port());
        assert_eq!(response.header("location"), Some(&*expected), "{method}");
    }
    // A redirect to a host of the attacker's choice would be an open redirect.
    let mut wire = Wire::plain(gate.redirecting());
    let response = wire.ask("GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n").expect("an answer");
    assert_eq!(response.status, Reason::UnknownHost.status(), "a host of nobody is not redirected to");
    assert!(origin.take().is_empty(), "nothing passes");
}

#[test]
fn certificates_are_chosen_by_name() {
    let origin = Origin::echo();
    let plan = Plan::new("semantics-sni");
    let authority = Authority::new(plan.place());
    let leaves = [authority.leaf(&[HOST]), authority.leaf(&["other.test"]), authority.leaf(&["*.wild.test"])];
    let gate = plan.tls(&leaves).platform("all", &[HOST, "other.test", "*.wild.test"], &[origin.url()], "").start();
    for host in [HOST, "other.test", "a.wild.test"] {
        // The client verifies the name, so a wrong certificate fails the handshake.
        let mut wire = Wire::tls(gate.https(), host, &authority.pem, &["http/1.1"])
            .unwrap_or_else(|error| panic!("{host}: {error}"));
        let response = wire.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(response.map(|response| response.status), Ok(200), "{host}");
    }
    assert!(
        Wire::tls(gate.https(), "nobody.test", &authority.pem, &[]).is_err(),
        "no certificate for a host of nobody"
    );
    let h2 = Wire::tls(gate.https(), HOST, &authority.pem, &["h2", "http/1.1"]).expect("the handshake works");
    assert_eq!(h2.alpn(), Some(&b"h2"[..]));
    let before = gate.metrics().refused("tls-failed");
    let mut wire = Wire::plain(gate.https());
    wire.send("GET / HTTP/1.1\r\nHost: gate.test\r\n\r\n").ok();
    assert!(wire.closes_within(Duration::from_secs(5)), "plain HTTP on a TLS port");
    assert!(gate.refuses("tls-failed", before), "plain HTTP on a TLS port is counted");
}

#[test]
fn error_pages_are_small_and_carry_a_reference() {
    let origin = Origin::echo();
    let gate = Plan::new("semantics-pages")
        .upstream(&[origin.url()], "[[platform.route]]\npath = \"/form\"\nclass = \"form\"\nmethods = [\"POST\"]\n")
        .start();
    let cases = [
        ("GET /form HTTP/1.1\r\nHost: gate.test\r\n", Reason::MethodNotAllowed),
        ("GET / HTTP/1.1\r\nHost: nobody.test\r\n", Reason::UnknownHost),
        ("TRACE / HTTP/1.1\r\nHost: gate.test\r\n", Reason::NotSupported),
    ];
    for (head, reason) in cases {
        let ask = |fields: &str| Wire::plain(gate.http()).ask(format!("{head}{fields}\r\n"));
        let page = ask("Accept: text/html,*/*;q=0.5\r\n").expect("an answer");
        assert_eq!(page.status, reason.status(), "{reason}");
        assert!(
            page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")),
            "{reason}: {:?}",
            page.headers
        );
        assert_eq!(page.header("cache-control"), Some("no-store"), "{reason}");
        let reference = page.reference().expect("a reference").to_owned();
        let text = page.text();
        let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        assert!(letters.contains(&reference), "{reason}: the page shows its reference, in groups or whole: {text}");
        assert!(text.contains("<html lang=") && text.contains("<title>"), "{reason}: accessible: {text}");
        assert!(text.len() < 8192, "{reason}: small: {} bytes", text.len());
        assert!(!text.contains("http://") && !text.contains("<script"), "{reason}: nothing from elsewhere");
        let record = gate.journal().by_reference(&reference).expect("a record of the refusal");
        assert_eq!((record["verdict"].as_str(), record["reason"].as_str()), (Some("refused"), Some(reason.code())));

        if reason == Reason::NotSupported {
            // The head was refused unread, so what it asked for is not known.
            continue;
        }
        let json = ask("Accept: application/json\r\n").expect("an answer");
        assert!(json.header("content-type").is_some_and(|kind| kind.starts_with("application/json")), "{reason}");
        let told = json.json();
        assert_eq!(
            (told["error"].as_str(), told["status"].as_u64()),
            (Some(reason.code()), Some(reason.status().into()))
        );
        assert_eq!(told["reference"].as_str(), json.reference(), "{reason}");
        assert!(told["message"].as_str().is_some_and(|message| !message.is_empty()), "{reason}");
    }
    let mut wire = Wire::plain(gate.http());
    let head = wire.ask("HEAD / HTTP/1.1\r\nHost: nobody.test\r\n\r\n").expect("an answer");
    assert_eq!(head.status, 421);
    wire.patience(Duration::from_millis(300));
    assert!(matches!(wire.some(), Err(Broken::Silent | Broken::Closed(0))), "no body behind the answer to HEAD");
}

#[test]
fn the_host_that_the_platform_gets_is_declared() {
    let origin = Origin::echo();
    let gate = Plan::new("semantics-keep-host").upstream(&[origin.url()], "keep_host = false\n").start();
    assert_eq!(gate.get("/").status, 200);
    let seen = origin.take().pop().expect("the request arrived");
    assert_eq!(seen.all("host"), [origin.address().to_string()]);
    assert_eq!(seen.all("x-forwarded-host"), [HOST]);
}

#[test]
fn the_route_is_found_however_the_path_is_spelt() {
    let origin = Origin::echo();
    let gate = Plan::new("semantics-routes")
        .upstream(
            &[origin.url()],
            "[[platform.route]]\npath = \"/donate/**\"\nclass = \"payment\"\nmethods = [\"POST\"]\n",
        )
        .start();
    for path in [
        "/donate",
        "/donate/",
        "/donate/x",
        "/d%6Fnate",
        "/a/../donate",
        "/./donate/x",
        "/a/%2e%2E/donate",
        "/donate%2Fx",
        "/donate%5Cx",
    ] {
        assert_eq!(gate.get(path).status, 405, "{path} is the route that takes no GET");
    }
    for path in ["/donated", "/x/donate", "/donate%20x", "/Donate"] {
        assert_eq!(gate.get(path).status, 200, "{path} is another route");
    }
}
