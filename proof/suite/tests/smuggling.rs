//! The smuggling corpus: `specs/smuggling/*.toml`, each case with its benign twin, over raw bytes.
//!
//! The upstream keeps every byte it receives, so what passed is known and not inferred from the answer.

use std::time::Duration;

use portcullis_suite::frames::{END_HEADERS, END_STREAM, Frames, Kind, Reply, block};
use portcullis_suite::{Gate, Origin, Plan, Seen, Wire, corpus, eventually};
use portcullis_types::Reason;
use serde::Deserialize;

/// Nothing in the corpus takes longer, the two seconds of the head's deadline included.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time enough for the gate to send on what it has.
const LATER: Duration = Duration::from_millis(200);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(rename = "why")]
    _why: Option<String>,
    attack: Option<String>,
    attack_h2: Option<Vec<(String, String)>>,
    body: Option<String>,
    /// What follows the body after everything before it was read.
    late: Option<String>,
    trailers: Option<Vec<(String, String)>>,
    #[serde(default)]
    refused: Vec<String>,
    #[serde(default)]
    sees: Vec<String>,
    #[serde(default)]
    may_see: Vec<String>,
    twin: Option<String>,
    twin_h2: Option<Vec<(String, String)>>,
    twin_body: Option<String>,
    twin_trailers: Option<Vec<(String, String)>>,
    twin_sees: Vec<String>,
    #[serde(default)]
    never: Vec<String>,
    #[serde(default)]
    needs: Vec<String>,
}

#[test]
fn no_request_that_two_parsers_could_read_differently_passes() {
    let origin = Origin::echo();
    let gate = Plan::new("smuggling")
        .upstream(&[origin.url()], "[platform.transport]\nretries = 0\n")
        .limits("head_deadline = \"2s\"")
        .start();
    let cases: Vec<(String, Case)> = corpus::read("smuggling");
    assert!(cases.len() >= 80, "the corpus has shrunk to {}", cases.len());

    let mut wrong = Vec::new();
    for (file, case) in &cases {
        let late = case.late.is_none() || (case.attack_h2.is_some() && case.body.is_some());
        assert!(late, "{file}: {}: only a body over HTTP/2 has something late", case.name);
        let mut judge = |part: &str, verdict: Result<(), String>| {
            if let Err(why) = verdict {
                wrong.push(format!("{file}: {}: {part}: {why}", case.name));
            }
        };
        for text in &case.refused {
            assert!(Reason::from_code(text).is_some(), "{file}: {}: no such reason: {text}", case.name);
        }
        origin.forget();
        if let Some(attack) = &case.attack {
            judge("attack", refused(&gate, &origin, case, &corpus::bytes(attack)));
        }
        if let Some(fields) = &case.attack_h2 {
            judge("attack", refused_h2(&gate, &origin, case, fields));
        }
        origin.forget();
        judge("twin", passes(&gate, &origin, case));
    }
    assert!((gate.metrics().sum("portcullis_panics_total", &[])).abs() < f64::EPSILON, "the gate panicked");
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The attack gets its refusal, the connection ends, and the upstream learns of nothing but what came before.
fn refused(gate: &Gate, origin: &Origin, case: &Case, attack: &[u8]) -> Result<(), String> {
    let before = gate.metrics();
    let mut wire = Wire::plain(gate.http());
    wire.patience(PATIENCE);
    // The gate may answer and close before it has read everything, which is its right.
    wire.send(attack).ok();
    for expected in &case.sees {
        let response = wire.response().map_err(|broken| format!("no answer to {expected}: {broken:?}"))?;
        if response.status != 200 {
            return Err(format!("{expected} got {}", response.status));
        }
    }
    let response = wire.response().map_err(|broken| format!("no refusal: {broken:?}"))?;
    let statuses: Vec<u16> =
        case.refused.iter().filter_map(|code| Reason::from_code(code)).map(Reason::status).collect();
    let reason = || {
        let after = gate.metrics();
        let grown = after.reasons().into_iter().filter(|(code, count)| *count > before.refused(code));
        grown.map(|(code, _)| code).collect::<Vec<_>>()
    };
    if !statuses.contains(&response.status) {
        return Err(format!("status {} for {:?}, wanted {:?}", response.status, reason(), case.refused));
    }
    if response.reference().is_none_or(|reference| reference.len() != portcullis_types::WORD_LEN) {
        return Err("the refusal has no reference".to_owned());
    }
    if !wire.closes_within(PATIENCE) {
        return Err("the connection stays open".to_owned());
    }
    let mut given = Vec::new();
    eventually(Duration::from_secs(2), || {
        given = reason();
        !given.is_empty()
    });
    if given.len() != 1 || given.iter().any(|code| !case.refused.contains(code)) {
        return Err(format!("counted as {given:?}, wanted one of {:?}", case.refused));
    }
    seen(origin, case)
}

/// The same over HTTP/2, where a reset of the stream is a refusal too.
fn refused_h2(gate: &Gate, origin: &Origin, case: &Case, fields: &[(String, String)]) -> Result<(), String> {
    let before = gate.metrics();
    let body: Vec<&str> = case.body.iter().chain(&case.late).map(String::as_str).collect();
    let reply = ask_h2(gate, fields, &body, case.trailers.as_deref())?;
    let refused = reply.status >= 400 || reply.reset.is_some() || reply.end.is_some();
    if !refused {
        return Err(format!("passed: {} {}", reply.status, String::from_utf8_lossy(&reply.body)));
    }
    let after = gate.metrics();
    if !case.refused.is_empty() && !case.refused.iter().any(|code| after.refused(code) > before.refused(code)) {
        return Err(format!("not counted as {:?}: {reply:?}", case.refused));
    }
    seen(origin, case)
}

/// The twin is answered with 200 throughout, and reaches the upstream as it was sent.
fn passes(gate: &Gate, origin: &Origin, case: &Case) -> Result<(), String> {
    if let Some(twin) = &case.twin {
        let mut wire = Wire::plain(gate.http());
        wire.patience(PATIENCE);
        wire.send(corpus::bytes(twin)).map_err(|error| error.to_string())?;
        for expected in &case.twin_sees {
            let response = wire.response().map_err(|broken| format!("no answer to {expected}: {broken:?}"))?;
            if response.status != 200 {
                return Err(format!("{expected} got {}: {}", response.status, response.text()));
            }
        }
    }
    if let Some(fields) = &case.twin_h2 {
        let reply = ask_h2(gate, fields, case.twin_body.as_deref().as_slice(), case.twin_trailers.as_deref())?;
        if reply.status != 200 || reply.reset.is_some() {
            return Err(format!("{reply:?}"));
        }
    }
    let requests = origin.take();
    let raw = origin.take_raw();
    compare(&requests, &case.twin_sees)?;
    if let Some(never) = case.never.iter().find(|never| contains(&raw, &corpus::bytes(never))) {
        return Err(format!("the upstream received `{never}`: {}", String::from_utf8_lossy(&raw)));
    }
    for need in &case.needs {
        let has = |seen: &Seen| {
            seen.headers.iter().any(|(name, value)| format!("{}: {value}", name.to_ascii_lowercase()) == *need)
        };
        if !requests.iter().all(has) {
            return Err(format!("the upstream lacks `{need}`: {:?}", requests.iter().map(|seen| &seen.headers)));
        }
    }
    Ok(())
}

fn ask_h2(
    gate: &Gate,
    fields: &[(String, String)],
    body: &[&str],
    trailers: Option<&[(String, String)]>,
) -> Result<Reply, String> {
    let raw = |fields: &[(String, String)]| -> Vec<u8> {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (corpus::bytes(name), corpus::bytes(value))).collect();
        block(&fields)
    };
    let wire = Wire::plain(gate.http());
    wire.patience(PATIENCE);
    let mut frames = Frames::open(wire, &[]).map_err(|error| error.to_string())?;
    let stream = frames.stream();
    let head_ends = body.is_empty() && trailers.is_none();
    // The gate may end stream or connection while the rest is still being sent.
    frames.send(Kind::HEADERS, END_HEADERS | u8::from(head_ends), stream, &raw(fields)).ok();
    for (nth, piece) in body.iter().enumerate() {
        if nth > 0 {
            std::thread::sleep(LATER);
        }
        let ends = nth + 1 == body.len() && trailers.is_none();
        frames.send(Kind::DATA, u8::from(ends), stream, &corpus::bytes(piece)).ok();
    }
    if let Some(trailers) = trailers {
        frames.send(Kind::HEADERS, END_HEADERS | END_STREAM, stream, &raw(trailers)).ok();
    }
    Ok(frames.reply(stream))
}

fn seen(origin: &Origin, case: &Case) -> Result<(), String> {
    let raw = origin.take_raw();
    let never = case.never.iter().map(|never| corpus::bytes(never)).chain([b"smuggled".to_vec()]);
    for never in never {
        if contains(&raw, &never) {
            return Err(format!("the upstream received {}", String::from_utf8_lossy(&raw)));
        }
    }
    let requests = origin.take();
    compare(&requests, &case.sees)
        .or_else(|why| if case.may_see.is_empty() { Err(why) } else { compare(&requests, &case.may_see) })
}

fn compare(requests: &[Seen], expected: &[String]) -> Result<(), String> {
    let told: Vec<String> = requests
        .iter()
        .map(|seen| {
            let method = seen.line.split(' ').next().unwrap_or_default();
            let body = String::from_utf8_lossy(&seen.body).into_owned();
            format!("{method} {} {}", seen.target(), if body.is_empty() { "-".to_owned() } else { body })
        })
        .collect();
    let expected: Vec<String> =
        expected.iter().map(|text| String::from_utf8_lossy(&corpus::bytes(text)).into_owned()).collect();
    if told == expected { Ok(()) } else { Err(format!("the upstream saw {told:?}, not {expected:?}")) }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len().max(1)).any(|window| window == part)
}
