//! The other side of the gate: upstreams that are several, slow, gone, ejected, or lie on purpose.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use portcullis_suite::{
    Authority, Broken, Gate, HOST, Next, Origin, Plan, Response, Wire, eventually, misbehaving, respond,
};
use portcullis_types::Reason;

fn status(result: &Result<Response, Broken>) -> Option<u16> {
    result.as_ref().ok().map(|response| response.status)
}

#[test]
fn a_lying_upstream_is_caught_and_the_next_request_is_well() {
    // What the visitor gets: a status, or a connection that breaks because a response had already begun.
    enum Visitor {
        Gets(Reason),
        Breaks(Reason),
        Reads(&'static str),
    }
    use Visitor::{Breaks, Gets, Reads};
    let table = [
        ("silent", Gets(Reason::UpstreamTimeout)),
        ("slow-head", Gets(Reason::UpstreamTimeout)),
        ("reset-before", Gets(Reason::UpstreamClosed)),
        ("close-before", Gets(Reason::UpstreamClosed)),
        ("reset-mid-head", Gets(Reason::UpstreamClosed)),
        ("reset-mid-body", Breaks(Reason::UpstreamClosed)),
        ("close-mid-chunk", Breaks(Reason::UpstreamClosed)),
        ("length-too-long", Breaks(Reason::UpstreamClosed)),
        ("length-too-short", Reads("ok")),
        ("garbage", Gets(Reason::UpstreamProtocol)),
        ("huge-head", Gets(Reason::UpstreamProtocol)),
        ("many-headers", Gets(Reason::UpstreamProtocol)),
        ("endless-interim", Gets(Reason::UpstreamProtocol)),
        ("both-framings", Gets(Reason::UpstreamProtocol)),
        ("two-lengths", Gets(Reason::UpstreamProtocol)),
        ("bad-chunk", Breaks(Reason::UpstreamProtocol)),
        ("bare-lf", Gets(Reason::UpstreamProtocol)),
        ("obs-fold", Gets(Reason::UpstreamProtocol)),
        ("space-before-colon", Gets(Reason::UpstreamProtocol)),
        ("nul-in-value", Gets(Reason::UpstreamProtocol)),
        ("http-2-line", Gets(Reason::UpstreamProtocol)),
        ("unasked-101", Gets(Reason::UpstreamProtocol)),
        ("status-99", Gets(Reason::UpstreamProtocol)),
        ("stalled-body", Breaks(Reason::UpstreamStalled)),
        ("close-after", Reads("ok")),
    ];
    let origin = misbehaving();
    let gate = Plan::new("upstream-lies")
        .upstream(
            &[origin.url()],
            // Ejection would hide the second fault behind the first.
            "[platform.transport]\nretries = 0\nfirst_byte_timeout = \"1s\"\nidle_timeout = \"1s\"\neject_after = 1000\n",
        )
        .start();
    let mut wrong = Vec::new();
    for (fault, expected) in &table {
        let mut judge = |why: String| wrong.push(format!("{fault}: {why}"));
        let answer = gate.try_get(&format!("/bad/{fault}"));
        let reason = match expected {
            Gets(reason) => {
                if status(&answer) != Some(reason.status()) {
                    judge(format!("{answer:?}, wanted {}", reason.status()));
                }
                Some(reason)
            }
            Breaks(reason) => {
                // With the head not yet sent, an error page is as good.
                let broke = answer.is_err() || status(&answer) == Some(reason.status());
                if !broke {
                    judge(format!("{answer:?}, wanted a broken response"));
                }
                Some(reason)
            }
            Reads(body) => {
                let text = answer.map(|response| response.text());
                if text.as_deref() != Ok(*body) {
                    judge(format!("{text:?}, wanted {body}"));
                }
                None
            }
        };
        let path = format!("/bad/{fault}");
        let record = gate.journal().find(|record| record["path"].as_str() == Some(&path));
        match (reason, record) {
            (_, None) => judge("no record".to_owned()),
            (Some(reason), Some(record)) => {
                let told = (record["verdict"].as_str(), record["reason"].as_str());
                if told != (Some("failed"), Some(reason.code())) {
                    judge(format!("recorded as {told:?}, wanted {reason}"));
                }
            }
            (None, Some(_)) => {}
        }
        // Three, so that a poisoned connection in the pool has its chance.
        for _ in 0..3 {
            let well = gate.try_get("/well").map(|response| response.text());
            if well.as_deref() != Ok("well") {
                judge(format!("and the next request got {well:?}"));
            }
        }
    }
    let panics = gate.metrics().sum("portcullis_panics_total", &[]);
    assert!(panics.abs() < f64::EPSILON, "the gate panicked:\n{}", gate.said());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_what_is_safe_is_sent_again() {
    let flaky = Origin::start(|_, _| Ok(Next::Reset));
    let steady = Origin::echo();
    let gate = Plan::new("upstream-retries")
        .upstream(
            &[flaky.url(), steady.url()],
            "[platform.transport]\nretries = 1\nretry_budget = \"100%\"\neject_after = 1000\n",
        )
        .start();
    let ask = |method: &str, body: &str| {
        let request = format!(
            "{method} /r HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        Wire::plain(gate.http()).ask(request)
    };
    // Which upstream is asked first is chance; forty requests leave none.
    for _ in 0..40 {
        let answer = gate.try_get("/r");
        assert_eq!(status(&answer), Some(200), "GET is sent again: {answer:?}");
    }
    assert!(!flaky.take().is_empty(), "the flaky upstream was asked too");
    assert!(gate.metrics().sum("portcullis_retries_total", &[]) >= 1.0);
    steady.forget();
    let answers: Vec<Option<u16>> = (0..40).map(|_| status(&ask("POST", "pay=1"))).collect();
    let (once, twice) = (flaky.take().len(), steady.take().len());
    assert_eq!(once + twice, 40, "each POST reached exactly one upstream: {once} and {twice}");
    assert!(
        answers.iter().filter(|status| **status == Some(502)).count() == once,
        "and failed where that one did: {answers:?}"
    );
}

#[test]
fn retries_stay_within_their_budget() {
    let flaky = Origin::start(|_, _| Ok(Next::Reset));
    let gate = Plan::new("upstream-budget")
        .upstream(&[flaky.url()], "[platform.transport]\nretries = 3\nretry_budget = \"10%\"\neject_after = 1000\n")
        .start();
    for _ in 0..100 {
        assert_eq!(status(&gate.try_get("/r")), Some(502));
    }
    let attempts = flaky.take().len();
    assert!(
        (100..=160).contains(&attempts),
        "100 requests made {attempts} attempts; 10 % may be retries, and a few to begin with"
    );
}

#[test]
fn a_connection_that_the_upstream_closed_is_not_used() {
    let origin = misbehaving();
    let gate = Plan::new("upstream-stale")
        .upstream(&[origin.url()], "[platform.transport]\nretries = 0\neject_after = 1000\n")
        .start();
    for round in 0..20 {
        assert_eq!(gate.get("/bad/close-after").text(), "ok", "round {round}");
        // Long enough for the close to arrive; what is refused afterwards was sent on a dead connection.
        std::thread::sleep(Duration::from_millis(20));
        let request =
            format!("POST /form HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\nConnection: close\r\n\r\na=b");
        assert_eq!(
            status(&Wire::plain(gate.http()).ask(request)),
            Some(200),
            "round {round}: a POST cannot be sent again"
        );
    }
}

#[test]
fn load_is_spread_and_the_slow_get_less() {
    let quick = [Origin::echo(), Origin::echo()];
    let slow = Origin::start(|_, stream| {
        std::thread::sleep(Duration::from_millis(60));
        respond(stream, 200, "", b"slow")?;
        Ok(Next::Keep)
    });
    let gate = Plan::new("upstream-choices")
        .server("workers = 1\ndrain = \"5s\"")
        .upstream(&[quick[0].url(), quick[1].url(), slow.url()], "")
        .start();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut wire = Wire::plain(gate.http());
                for _ in 0..60 {
                    let answer = wire.ask(format!("GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
                    assert_eq!(status(&answer), Some(200));
                }
            });
        }
    });
    let counts = [quick[0].take().len(), quick[1].take().len(), slow.take().len()];
    assert_eq!(counts.iter().sum::<usize>(), 480);
    assert!(counts[0] > 60 && counts[1] > 60, "the quick ones share the load: {counts:?}");
    assert!(counts[2] < counts[0].min(counts[1]), "the slow one gets less: {counts:?}");
}

#[test]
fn an_upstream_that_fails_is_ejected_and_comes_back() {
    let steady = Origin::echo();
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    drop(listener);
    let gone = format!("http://{address}");
    let gate = Plan::new("upstream-ejection")
        .server("workers = 1\ndrain = \"5s\"")
        .upstream(
            &[steady.url(), gone.clone()],
            "[platform.transport]\nretries = 1\nretry_budget = \"100%\"\neject_after = 3\neject_for = \"1s\"\nconnect_timeout = \"1s\"\n",
        )
        .start();
    let labels = [("upstream", gone.as_str())];
    let ejected = eventually(Duration::from_secs(10), || {
        assert_eq!(status(&gate.try_get("/x")), Some(200), "the other upstream serves");
        gate.metrics().sum("portcullis_upstream_ejections_total", &labels) >= 1.0
    });
    assert!(ejected, "three failures in a row eject");
    let failed = gate.metrics().sum("portcullis_upstream_requests_total", &[("upstream", &gone), ("result", "failed")]);
    assert!(failed >= 3.0, "{failed} failures were counted");
    // It comes back, and within its time out (one second, doubling) it is asked again.
    let listener = TcpListener::bind(address).expect("the port is still free");
    let back = Origin::on(listener, |_, stream| respond(stream, 200, "", b"back").map(|()| Next::Keep));
    let asked = eventually(Duration::from_secs(15), || {
        assert_eq!(status(&gate.try_get("/x")), Some(200));
        !back.take().is_empty()
    });
    assert!(asked, "an ejected upstream is asked again");
}

#[test]
fn with_every_upstream_gone_the_visitor_is_told_quickly() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    drop(listener);
    let gate = Plan::new("upstream-gone")
        .upstream(
            &[format!("http://{address}")],
            "[platform.transport]\nretries = 1\neject_after = 3\neject_for = \"5s\"\n",
        )
        .start();
    let begun = Instant::now();
    for _ in 0..10 {
        let answer = gate.get("/x");
        assert!(matches!(answer.status, 502 | 503), "{}", answer.status);
        assert!(answer.reference().is_some(), "an error page has a reference");
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "ten refusals took {:?}", begun.elapsed());
}

#[test]
fn active_checks_take_an_upstream_out_and_back() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let ill = Arc::new(AtomicBool::new(false));
    let sensing = Arc::clone(&ill);
    let patient = Origin::start(move |seen, stream| {
        let status = if seen.path() == "/health" && sensing.load(Ordering::Relaxed) { 500 } else { 200 };
        respond(stream, status, "", b"patient")?;
        Ok(Next::Keep)
    });
    let steady = Origin::echo();
    let gate = Plan::new("upstream-health")
        .upstream(
            &[patient.url(), steady.url()],
            "[platform.health]\npath = \"/health\"\ninterval = \"200ms\"\ntimeout = \"200ms\"\nunhealthy_after = 2\nhealthy_after = 2\n",
        )
        .start();
    let url = patient.url();
    let healthy = |gate: &Gate| gate.metrics().sum("portcullis_upstream_healthy", &[("upstream", &url)]);
    assert!(eventually(Duration::from_secs(10), || healthy(&gate) > 0.5), "well to begin with");
    ill.store(true, Ordering::Relaxed);
    assert!(eventually(Duration::from_secs(10), || healthy(&gate) < 0.5), "two failed checks take it out");
    patient.forget();
    for _ in 0..30 {
        assert_eq!(gate.get("/x").status, 200);
    }
    let asked = patient.take().iter().filter(|seen| seen.path() != "/health").count();
    assert_eq!(asked, 0, "an unhealthy upstream is not asked");
    ill.store(false, Ordering::Relaxed);
    assert!(eventually(Duration::from_secs(10), || healthy(&gate) > 0.5), "two good checks bring it back");
    let back = eventually(Duration::from_secs(10), || {
        assert_eq!(gate.get("/x").status, 200);
        patient.take().iter().any(|seen| seen.path() != "/health")
    });
    assert!(back, "a healthy upstream is asked again");
}

#[test]
fn tls_upstreams_are_verified() {
    // A gate with TLS is as good an upstream with TLS as any.
    let origin = Origin::echo();
    let plan = Plan::new("upstream-tls-behind");
    let authority = Authority::new(plan.place());
    let inner = ["inner.test", "one.test", "two.test", "name.test", "ca.test"];
    let behind = plan.tls(&[authority.leaf(&inner)]).platform("inner", &inner, &[origin.url()], "").start();
    let port = behind.https().port();
    let transport = |name: &str, ca: &str| {
        format!("[platform.transport]\nretries = 0\nupstream_ca = {ca:?}\nupstream_name = \"{name}\"\n")
    };
    let place = Plan::new("upstream-tls-other").place().to_owned();
    let stranger = Authority::new(&place);
    let (ours, theirs) = (authority.pem.to_string_lossy().into_owned(), stranger.pem.to_string_lossy().into_owned());
    let gate = Plan::new("upstream-tls")
        .platform("one", &["one.test"], &[format!("https://127.0.0.1:{port}")], &transport("inner.test", &ours))
        .platform("two", &["two.test"], &[format!("h2://127.0.0.1:{port}")], &transport("inner.test", &ours))
        .platform("name", &["name.test"], &[format!("https://127.0.0.1:{port}")], &transport("other.test", &ours))
        .platform("ca", &["ca.test"], &[format!("https://127.0.0.1:{port}")], &transport("inner.test", &theirs))
        .start();
    for (host, expected) in [("one.test", 200), ("two.test", 200), ("name.test", 502), ("ca.test", 502)] {
        let answer =
            Wire::plain(gate.http()).ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert_eq!(status(&answer), Some(expected), "{host}: {answer:?}");
    }
    assert_eq!(origin.take().len(), 2, "what was not verified did not arrive");
}

#[test]
fn connections_to_an_upstream_are_kept() {
    let origin = Origin::echo();
    let gate = Plan::new("upstream-pool").server("workers = 1\ndrain = \"5s\"").upstream(&[origin.url()], "").start();
    for _ in 0..50 {
        assert_eq!(gate.get("/x").status, 200);
    }
    assert!(origin.connections() <= 3, "50 requests in a row took {} connections", origin.connections());
}

#[test]
fn a_slow_visitor_holds_the_upstream_back() {
    // 64 MB cannot hide in buffers: with back-pressure the gate's memory stays where it was.
    let origin = Origin::echo();
    let gate = Plan::new("upstream-pressure").upstream(&[origin.url()], "").start();
    assert_eq!(gate.get("/x").status, 200);
    let before = gate.memory();
    let mut wires: Vec<Wire> = (0..4).map(|_| Wire::plain(gate.http())).collect();
    for wire in &mut wires {
        wire.send(format!("GET /bytes/64000000 HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).expect("it is read");
    }
    std::thread::sleep(Duration::from_millis(1500));
    let grown = gate.memory().saturating_sub(before) >> 20;
    assert!(grown < 32, "256 MB on their way grew the gate by {grown} MiB");
    let response = wires.pop().expect("four").response().expect("the download goes on");
    assert_eq!(response.body.len(), 64_000_000);
}
