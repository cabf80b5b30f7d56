//! The client's address: never empty, and never the client's own claim.
//!
//! What the upstream received and what the decision log says are both read.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use portcullis_suite::frames::{END_HEADERS, END_STREAM, Frames, Kind, block};
use portcullis_suite::{Gate, HOST, Origin, Plan, Seen, Wire};
use serde_json::Value;

/// The address that attackers claim; nothing in a test really has it.
const CLAIM: &str = "203.0.113.9";

/// Every way in which visitors have claimed an address somewhere.
const CLAIMS: [(&str, &str); 14] = [
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-Forwarded-For", "203.0.113.9, 127.0.0.1"),
    ("X-Forwarded-For", "127.0.0.1, 203.0.113.9"),
    ("x-forwarded-for", " 203.0.113.9 , "),
    ("Forwarded", "for=203.0.113.9"),
    ("Forwarded", "for=\"203.0.113.9:80\";by=127.0.0.1, for=203.0.113.9"),
    ("X-Real-IP", "203.0.113.9"),
    ("Client-IP", "203.0.113.9"),
    ("X-Client-IP", "203.0.113.9"),
    ("True-Client-IP", "203.0.113.9"),
    ("CF-Connecting-IP", "203.0.113.9"),
    ("X-Cluster-Client-IP", "203.0.113.9"),
    ("X-Original-Forwarded-For", "203.0.113.9"),
    ("X-Forwarded-Host", "203.0.113.9"),
];

#[test]
fn a_visitor_cannot_claim_an_address() {
    let origin = Origin::echo();
    let gate = Plan::new("address-untrusted").upstream(&[origin.url()], "").start();
    let mut wrong = Vec::new();
    for (name, value) in CLAIMS {
        for h2 in [false, true] {
            let seen = if h2 { ask_h2(&gate, &origin, name, value) } else { ask(&gate, &origin, &[(name, value)]) };
            let claims: Vec<_> = seen.headers.iter().filter(|(_, value)| value.contains(CLAIM)).collect();
            if !claims.is_empty() || seen.all("x-forwarded-for") != ["127.0.0.1"] {
                wrong.push(format!("{name}: {value} (h2: {h2}): the platform received {claims:?}"));
            }
            if seen.all("forwarded").len() != 1
                || !seen.header("forwarded").is_some_and(|value| value.contains("for=127.0.0.1"))
            {
                wrong.push(format!("{name}: {value} (h2: {h2}): Forwarded is {:?}", seen.all("forwarded")));
            }
            if let Err(why) = recorded(&gate, &seen, "127.0.0.1", "socket") {
                wrong.push(format!("{name}: {value} (h2: {h2}): {why}"));
            }
        }
    }
    // All at once, and with the connection told to forget them.
    let all: Vec<_> = CLAIMS.into_iter().chain([("Connection", "X-Forwarded-For, Forwarded, X-Real-IP")]).collect();
    let seen = ask(&gate, &origin, &all);
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"], "all claims at once");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_trusted_proxy_is_read_from_the_right() {
    let origin = Origin::echo();
    let gate = Plan::new("address-trusted")
        .upstream(&[origin.url()], "")
        .table("[trusted_proxies]\nnetworks = [\"127.0.0.1/32\", \"10.0.0.0/8\"]\nheader = \"x-forwarded-for\"")
        .start();
    let table: &[(&[&str], &str, &str)] = &[
        (&["203.0.113.9"], "203.0.113.9", "forwarded"),
        (&["198.51.100.1, 203.0.113.9"], "203.0.113.9", "forwarded"),
        (&["198.51.100.1", "203.0.113.9"], "203.0.113.9", "forwarded"),
        (&["198.51.100.1,203.0.113.9,10.1.2.3"], "203.0.113.9", "forwarded"),
        (&["203.0.113.9:4711"], "203.0.113.9", "forwarded"),
        (&["[2001:db8::9]:4711"], "2001:db8::9", "forwarded"),
        (&["2001:db8::9"], "2001:db8::9", "forwarded"),
        (&["::ffff:203.0.113.9"], "203.0.113.9", "forwarded"),
        // Nobody between the gate and the trusted proxy: its word counts, however far it goes.
        (&["10.9.9.9, 10.1.2.3"], "10.9.9.9", "forwarded"),
        // A proxy that names nobody answers for its visitor.
        (&[], "127.0.0.1", "socket"),
        (&[""], "127.0.0.1", "socket"),
        (&["unknown"], "127.0.0.1", "socket"),
        (&["203.0.113.9, garbage"], "127.0.0.1", "socket"),
        (&["203.0.113.9, garbage, 10.1.2.3"], "10.1.2.3", "forwarded"),
        (&["203.0.113.9, "], "127.0.0.1", "socket"),
    ];
    for (values, client, from) in table {
        let fields: Vec<_> = values.iter().map(|value| ("X-Forwarded-For", *value)).collect();
        let seen = ask(&gate, &origin, &fields);
        assert_eq!(recorded(&gate, &seen, client, from), Ok(()), "{values:?}");
        // One address alone, so that a platform that reads from the left and one that reads from the right agree.
        assert_eq!(seen.all("x-forwarded-for"), [*client], "{values:?}");
    }
    // The other header is not the one that the operator named.
    let seen = ask(&gate, &origin, &[("Forwarded", "for=203.0.113.9"), ("X-Real-IP", CLAIM)]);
    assert_eq!(recorded(&gate, &seen, "127.0.0.1", "socket"), Ok(()));
    // Another socket is not the proxy.
    let mut wire = Wire::plain_from(IpAddr::from([127, 0, 0, 2]), gate.http()).expect("loopback has 127.0.0.2");
    let request = format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-For: {CLAIM}\r\n\r\n");
    assert_eq!(wire.ask(request).map(|response| response.status), Ok(200));
    let seen = origin.take().pop().expect("the request arrived");
    assert_eq!(recorded(&gate, &seen, "127.0.0.2", "socket"), Ok(()));
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.2"]);
}

#[test]
fn the_standard_header_is_read_where_declared() {
    let origin = Origin::echo();
    let gate = Plan::new("address-forwarded")
        .upstream(&[origin.url()], "")
        .table("[trusted_proxies]\nnetworks = [\"127.0.0.1/32\"]\nheader = \"forwarded\"")
        .start();
    let table = [
        ("for=203.0.113.9", "203.0.113.9", "forwarded"),
        ("For=\"[2001:db8::9]:4711\";proto=https", "2001:db8::9", "forwarded"),
        ("for=198.51.100.1, proto=https;for=203.0.113.9;by=10.0.0.1", "203.0.113.9", "forwarded"),
        ("for=unknown", "127.0.0.1", "socket"),
        ("for=_hidden", "127.0.0.1", "socket"),
        ("for=203.0.113.9;for=198.51.100.1", "127.0.0.1", "socket"),
        ("by=203.0.113.9", "127.0.0.1", "socket"),
        ("for=\"203.0.113.9", "127.0.0.1", "socket"),
    ];
    for (value, client, from) in table {
        let seen = ask(&gate, &origin, &[("Forwarded", value)]);
        assert_eq!(recorded(&gate, &seen, client, from), Ok(()), "{value}");
    }
    let seen = ask(&gate, &origin, &[("X-Forwarded-For", CLAIM)]);
    assert_eq!(recorded(&gate, &seen, "127.0.0.1", "socket"), Ok(()), "the other header");
}

#[test]
fn the_proxy_protocol_is_believed_from_trusted_sources_alone() {
    let origin = Origin::echo();
    let gate = Plan::new("address-proxy-protocol")
        .proxied()
        .upstream(&[origin.url()], "")
        .limits("handshake_deadline = \"1s\"")
        .table("[trusted_proxies]\nnetworks = [\"127.0.0.1/32\"]\nheader = \"x-forwarded-for\"")
        .start();
    let believed: Vec<(&str, Vec<u8>, &str)> = vec![
        ("v1 TCP4", b"PROXY TCP4 198.51.100.7 127.0.0.1 4711 80\r\n".to_vec(), "198.51.100.7"),
        ("v1 TCP6", b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n".to_vec(), "2001:db8::7"),
        ("v1 UNKNOWN", b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        ("v2 IPv4", version_2(0x21, 0x11, &[198, 51, 100, 7, 127, 0, 0, 1, 18, 103, 0, 80]), "198.51.100.7"),
        ("v2 IPv6", version_2(0x21, 0x21, &ipv6_block()), "2001:db8::7"),
        ("v2 LOCAL", version_2(0x20, 0x00, &[]), "127.0.0.1"),
    ];
    for (name, header, client) in believed {
        let from = if client == "127.0.0.1" { "socket" } else { "proxy-protocol" };
        // HTTP/1.1, with a claim that the address behind the header is not trusted to make.
        let mut wire = Wire::plain(gate.proxied());
        let claim = if from == "socket" { String::new() } else { format!("X-Forwarded-For: {CLAIM}\r\n") };
        let request = format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\n{claim}\r\n");
        let whole = [header.as_slice(), request.as_bytes()].concat();
        assert_eq!(wire.ask(whole).map(|response| response.status), Ok(200), "{name}");
        let seen = origin.take().pop().expect("the request arrived");
        assert_eq!(recorded(&gate, &seen, client, from), Ok(()), "{name}");
        assert_eq!(seen.all("x-forwarded-for").first(), Some(&client), "{name}");
        // The same over HTTP/2, and in two pieces.
        let mut wire = Wire::plain(gate.proxied());
        let (first, second) = header.split_at(header.len() / 2);
        wire.send(first).expect("the gate reads");
        std::thread::sleep(Duration::from_millis(20));
        wire.send(second).expect("the gate reads");
        let mut frames = Frames::open(wire, &[]).expect("the gate reads");
        assert_eq!(frames.serves(HOST, "/a").map_err(|reply| format!("{reply:?}")), Ok(200), "{name} over HTTP/2");
        let seen = origin.take().pop().expect("the request arrived");
        assert_eq!(recorded(&gate, &seen, client, from), Ok(()), "{name} over HTTP/2");
    }

    let request = format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let refused: Vec<(&str, Vec<u8>, &str)> = vec![
        ("none", request.clone().into_bytes(), "bad-proxy-header"),
        ("garbage", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), "bad-proxy-header"),
        ("an unknown family", b"PROXY TCP5 198.51.100.7 127.0.0.1 1 2\r\n".to_vec(), "bad-proxy-header"),
        ("a line too long", [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat(), "bad-proxy-header"),
        ("a bad address", b"PROXY TCP4 198.51.100.777 127.0.0.1 1 2\r\n".to_vec(), "bad-proxy-header"),
        ("an unknown version 2 command", version_2(0x2F, 0x11, &[0; 12]), "bad-proxy-header"),
        ("version 2 too short", version_2(0x21, 0x11, &[0; 4]), "bad-proxy-header"),
        ("half, and then nothing", b"PROXY TCP4 198.".to_vec(), "handshake-timeout"),
        ("nothing", Vec::new(), "handshake-timeout"),
    ];
    for (name, bytes, reason) in refused {
        let before = gate.metrics().refused(reason);
        let mut wire = Wire::plain(gate.proxied());
        wire.send(&bytes).ok();
        assert!(wire.closes_within(Duration::from_secs(5)), "{name}: the connection stays open");
        assert!(gate.refuses(reason, before), "{name}: not counted as {reason}: {:?}", gate.metrics().reasons());
    }
    assert!(origin.take().is_empty(), "nothing that was refused arrived");

    // A source that is not trusted may not even say who it is.
    let before = gate.metrics().refused("bad-proxy-header");
    // It may be reset as soon as it is accepted, which a client can see while it still connects.
    if let Ok(mut wire) = Wire::plain_from(IpAddr::from([127, 0, 0, 3]), gate.proxied()) {
        wire.send([b"PROXY TCP4 198.51.100.7 127.0.0.1 4711 80\r\n", request.as_bytes()].concat()).ok();
        assert!(wire.closes_within(Duration::from_secs(5)), "an untrusted source");
    }
    assert!(gate.refuses("bad-proxy-header", before), "an untrusted source: {:?}", gate.metrics().reasons());
    assert!(origin.take().is_empty(), "nothing from an untrusted source arrived");
}

#[test]
fn no_record_is_without_an_address() {
    let origin = Origin::echo();
    let gate = Plan::new("address-everywhere").upstream(&[origin.url()], "").start();
    let attempts: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: gate.test\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: nobody.test\r\nX-Forwarded-For: \r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x01\0\0\0\0\0\0x",
    ];
    for bytes in attempts {
        let mut wire = Wire::plain(gate.http());
        wire.send(bytes).ok();
        wire.finish();
        assert!(wire.closes_within(Duration::from_secs(5)), "{:?}", String::from_utf8_lossy(bytes));
    }
    assert!(gate.journal().find(|record| record["host"] == "nobody.test").is_some(), "the last request was recorded");
    let records = gate.journal().records();
    assert!(records.len() >= 4, "{} records", records.len());
    for record in records {
        assert_eq!(record["client"].as_str(), Some("127.0.0.1"), "{record}");
        assert!(record["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1")), "{record}");
    }
}

/// One request over HTTP/1.1 with these fields, as the upstream received it.
fn ask(gate: &Gate, origin: &Origin, fields: &[(&str, &str)]) -> Seen {
    origin.forget();
    let mut request = format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\n").into_bytes();
    for (name, value) in fields {
        write!(request, "{name}: {value}\r\n").expect("memory can be written");
    }
    let mut wire = Wire::plain(gate.http());
    let response = wire.ask([&request[..], b"\r\n"].concat());
    assert_eq!(response.map(|response| response.status), Ok(200), "{fields:?}");
    origin.take().pop().expect("the request arrived")
}

/// The same over HTTP/2.
fn ask_h2(gate: &Gate, origin: &Origin, name: &str, value: &str) -> Seen {
    origin.forget();
    let mut frames = Frames::open(Wire::plain(gate.http()), &[]).expect("the gate reads");
    let name = name.to_ascii_lowercase();
    let fields =
        [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/a"), (&name, value.trim())];
    let stream = frames.stream();
    frames.send(Kind::HEADERS, END_STREAM | END_HEADERS, stream, &block(&fields)).expect("the gate reads");
    assert_eq!(frames.reply(stream).status, 200, "{name}: {value} over HTTP/2");
    origin.take().pop().expect("the request arrived")
}

/// Whether the decision log has the request of that reference with this client.
fn recorded(gate: &Gate, seen: &Seen, client: &str, from: &str) -> Result<(), String> {
    let reference = seen.header("x-request-id").ok_or("no X-Request-Id")?;
    let record = gate.journal().by_reference(reference).ok_or(format!("no record of {reference}"))?;
    let told = (record["client"].as_str(), record["from"].as_str());
    let peer = record["peer"].as_str().is_some_and(|peer| peer.starts_with("127."));
    if told != (Some(client), Some(from)) || !peer || record["client"] == Value::Null {
        return Err(format!("the record says {told:?}, not {client} from {from}: {record}"));
    }
    Ok(())
}

fn version_2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(payload.len()).unwrap_or(0).to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn ipv6_block() -> Vec<u8> {
    let source: std::net::Ipv6Addr = "2001:db8::7".parse().expect("an address");
    let mut bytes = source.octets().to_vec();
    bytes.extend(std::net::Ipv6Addr::LOCALHOST.octets());
    bytes.extend([18, 103, 0, 80]);
    bytes
}
