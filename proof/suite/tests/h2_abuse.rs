//! HTTP/2 abuse: `specs/h2-abuse/*.toml`, frames written by hand, over h2c and over TLS, each case with its benign twin.
//!
//! While each attack runs, a normal visitor keeps asking and must not notice.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_suite::frames::{END_HEADERS, END_STREAM, Frames, Kind, PREFACE, block, frame};
use portcullis_suite::{Authority, Calm, Gate, HOST, Origin, Plan, Wire, corpus, eventually};
use portcullis_types::Reason;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    reason: OneOrMore,
    #[serde(default)]
    limits: String,
    #[serde(default)]
    settings: Vec<(u16, u32)>,
    twin_settings: Option<Vec<(u16, u32)>>,
    #[serde(default = "yes")]
    preface: bool,
    #[serde(default)]
    ends: Ends,
    wait: Option<u64>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Ends {
    #[default]
    Connection,
    Stream,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn codes(&self) -> Vec<&str> {
        match self {
            Self::One(code) => vec![code],
            Self::More(codes) => codes.iter().map(String::as_str).collect(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    frame: Name,
    #[serde(default)]
    flags: u8,
    #[serde(default)]
    stream: Stream,
    #[serde(default)]
    payload: String,
    #[serde(default = "one")]
    repeat: usize,
    #[serde(default = "one")]
    twin: usize,
    #[serde(default)]
    with: Vec<Step>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Name {
    Number(u8),
    Text(String),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Stream {
    Number(u32),
    Text(String),
}

impl Default for Stream {
    fn default() -> Self {
        Self::Number(0)
    }
}

const fn yes() -> bool {
    true
}

const fn one() -> usize {
    1
}

#[test]
fn over_prior_knowledge() {
    every_case("h2c", false);
}

#[test]
fn over_tls() {
    every_case("h2-tls", true);
}

fn every_case(transport: &str, tls: bool) {
    // Cases with the same limits share a gate.
    let mut groups: BTreeMap<String, Vec<(String, Case)>> = BTreeMap::new();
    for (file, case) in corpus::read::<Case>("h2-abuse") {
        for code in case.reason.codes() {
            assert!(Reason::from_code(code).is_some(), "{file}: {}: no such reason: {code}", case.name);
        }
        groups.entry(case.limits.clone()).or_default().push((file, case));
    }
    let origin = Origin::echo();
    let mut wrong = Vec::new();
    for (number, (limits, cases)) in groups.iter().enumerate() {
        let plan = Plan::new(&format!("abuse-{transport}-{number}"));
        let authority = Authority::new(plan.place());
        let gate = plan
            .tls(&[authority.leaf(&[HOST])])
            .upstream(&[origin.url()], "[platform.transport]\nretries = 0\n")
            .limits(limits)
            .start();
        let connect = || {
            if tls {
                Wire::tls(gate.https(), HOST, &authority.pem, &["h2"]).expect("the handshake works")
            } else {
                Wire::plain(gate.http())
            }
        };
        let mut calm = Calm::measure(gate.http(), "/visitor");
        for (file, case) in cases {
            let name = format!("{file}: {} ({transport})", case.name);
            let attack = calm.during(&name, || ended(&gate, case, connect()));
            if let Err(why) = attack {
                wrong.push(format!("{name}: attack: {why}"));
            }
            if let Err(why) = serves(case, connect()) {
                wrong.push(format!("{name}: twin: {why}"));
            }
        }
        wrong.extend(calm.finish().err());
        let panics = gate.metrics().sum("portcullis_panics_total", &[]);
        assert!(panics.abs() < f64::EPSILON, "the gate panicked: {}", gate.said());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The attack ends its connection (or its stream, where the case says so) and is counted for what it is.
fn ended(gate: &Gate, case: &Case, wire: Wire) -> Result<(), String> {
    let before = gate.metrics();
    let mut frames = open(wire, case, &case.settings)?;
    // The gate may end the connection before everything is sent; that is the purpose.
    let newest = play(&mut frames, &case.steps, &|step| step.repeat).unwrap_or(1);
    let patience = Duration::from_secs(case.wait.unwrap_or(6));
    let ended = match case.ends {
        Ends::Connection => frames.end_within(patience).map(|end| format!("{end:?}")),
        Ends::Stream => {
            frames.wire().patience(patience);
            let reply = frames.reply(newest);
            let refused = reply.reset.is_some() || reply.status >= 400 || reply.end.is_some();
            refused.then(|| format!("{reply:?}"))
        }
    };
    let codes = case.reason.codes();
    let counted = || {
        let after = gate.metrics();
        let grown = after.reasons().into_iter().filter(|(code, count)| *count > before.refused(code));
        grown.map(|(code, _)| code).collect::<Vec<_>>()
    };
    let right = eventually(Duration::from_secs(3), || counted().iter().any(|code| codes.contains(&code.as_str())));
    let stray: Vec<String> =
        counted().into_iter().filter(|code| code.starts_with("http2-") && !codes.contains(&code.as_str())).collect();
    match ended {
        None => Err(format!("it goes on; counted {:?}", counted())),
        Some(how) if !right => Err(format!("counted as {:?}, wanted {codes:?}; ended by {how}", counted())),
        Some(_) if !stray.is_empty() => Err(format!("counted as {stray:?} too")),
        Some(_) => Ok(()),
    }
}

/// The twin stays under the budget, and its connection still serves.
fn serves(case: &Case, wire: Wire) -> Result<(), String> {
    let mut frames = open_for_twin(wire, case)?;
    play(&mut frames, &case.steps, &|step| step.twin).map_err(|error| format!("cut off: {error}"))?;
    match frames.serves(HOST, "/twin") {
        Ok(200) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn open(mut wire: Wire, case: &Case, settings: &[(u16, u32)]) -> Result<Frames, String> {
    wire.patience(Duration::from_secs(10));
    if case.preface {
        Frames::open(wire, settings).map_err(|error| error.to_string())
    } else {
        // Something must not be sent, so nothing is.
        wire.send([]).map_err(|error| error.to_string())?;
        Ok(Frames::silent(wire))
    }
}

fn open_for_twin(wire: Wire, case: &Case) -> Result<Frames, String> {
    wire.patience(Duration::from_secs(10));
    let settings = case.twin_settings.as_ref().unwrap_or(&case.settings);
    Frames::open(wire, settings).map_err(|error| error.to_string())
}

/// Sends the steps, each group in one write; gives the newest stream back.
fn play(frames: &mut Frames, steps: &[Step], times: &dyn Fn(&Step) -> usize) -> std::io::Result<u32> {
    let mut newest = 1;
    for step in steps {
        for _ in 0..times(step) {
            let mut bytes = Vec::new();
            newest = write_step(frames, step, newest, &mut bytes);
            for inner in &step.with {
                newest = write_step(frames, inner, newest, &mut bytes);
            }
            frames.send_bytes(&bytes)?;
        }
    }
    Ok(newest)
}

fn write_step(frames: &mut Frames, step: &Step, newest: u32, bytes: &mut Vec<u8>) -> u32 {
    let stream = match &step.stream {
        Stream::Number(number) => *number,
        Stream::Text(text) if text == "new" => frames.stream(),
        Stream::Text(_) => newest,
    };
    let payload = payload(&step.payload, stream);
    match &step.frame {
        Name::Text(name) if name == "raw" => bytes.extend(payload),
        Name::Text(name) => {
            let kind = Kind::named(name).unwrap_or_else(|| panic!("no such frame: {name}"));
            bytes.extend(frame(kind, step.flags, stream, &payload));
        }
        Name::Number(kind) => bytes.extend(frame(Kind(*kind), step.flags, stream, &payload)),
    }
    if stream == 0 { newest } else { stream }
}

fn payload(text: &str, stream: u32) -> Vec<u8> {
    let request = |method: &'static str, path: &'static str| {
        vec![(":method", method), (":scheme", "http"), (":authority", HOST), (":path", path)]
    };
    match text {
        "get" => block(&request("GET", "/abuse")),
        "slow" => block(&request("GET", "/sleep/400")),
        "download" => block(&request("GET", "/bytes/300000")),
        "post" => block(&request("POST", "/abuse")),
        "post-1" => [block(&request("POST", "/abuse")), block(&[("content-length", "1")])].concat(),
        "malformed" => [block(&request("GET", "/abuse")), block(&[("connection", "close")])].concat(),
        "self" => [&stream.to_be_bytes()[..], &[15]].concat(),
        "12k-block" => block(&[("x-padding", "p".repeat(12_000))]),
        "fields-300" => {
            let many: Vec<_> = (0..300).map(|number| (format!("x-{number}"), "1")).collect();
            [block(&request("GET", "/abuse")), block(&many)].concat()
        }
        "bomb" => {
            // Literal with incremental indexing, then index 62 (the newest entry): 40 MB decoded from 14 kB.
            let mut bytes = block(&request("GET", "/abuse"));
            bytes.extend([0x40, 1, b'x', 0x7F, 0xA1, 0x1E]);
            bytes.extend([b'a'; 4000]);
            bytes.extend([0xBE; 10_000]);
            bytes
        }
        hexadecimal => {
            let digits: Vec<u8> = hexadecimal.bytes().filter(|byte| *byte != b'_').collect();
            assert!(digits.len().is_multiple_of(2), "half a byte: {hexadecimal}");
            digits
                .chunks(2)
                .map(|pair| {
                    let pair = String::from_utf8_lossy(pair);
                    u8::from_str_radix(&pair, 16).unwrap_or_else(|_| panic!("not hexadecimal: {hexadecimal}"))
                })
                .collect()
        }
    }
}

#[test]
fn payloads_are_as_the_corpus_means_them() {
    assert_eq!(payload("00_ff", 1), [0, 255]);
    assert_eq!(payload("self", 7), [0, 0, 0, 7, 15]);
    assert!(payload("bomb", 1).len() < 16_384, "the bomb fits one frame");
    // 4000 = 127 + 33 + 30 * 128, as RFC 7541 section 5.1 writes it.
    assert_eq!(127 + (0xA1 & 0x7F) + 0x1E * 128, 4000);
    assert!(PREFACE.starts_with(b"PRI * HTTP/2.0\r\n"));
    assert_eq!((END_STREAM, END_HEADERS), (1, 4));
}
