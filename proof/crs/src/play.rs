//! One request, and what the back end answers to it, through the engine.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use portcullis_waf::seclang::{Clock, Intervention, Match, Peer, Program, Transaction};
use portcullis_wire::recording::Recording;

use crate::albedo;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Played {
    /// What the visitor gets.
    pub(crate) status: u16,
    /// The engine stopped it, in whichever phase.
    pub(crate) blocked: bool,
    /// Rules that matched and log, in their order.
    pub(crate) rules: Vec<u32>,
    /// A line for each, in the form that `ModSecurity` gives them.
    pub(crate) log: Vec<String>,
}

impl Played {
    /// What rule 949110 says of the score that it blocked for.
    pub(crate) fn blocking_score(&self) -> Option<i64> {
        let line = self.log.iter().find(|line| line.contains("[id \"949110\"]"))?;
        let (_, rest) = line.split_once("Total Score: ")?;
        rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
    }
}

/// Puts a request through all phases; what the engine stops reaches no later one but the last.
pub(crate) fn play(request: &Recording<'_>, program: &Arc<Program>) -> Played {
    let peer = Peer {
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        client_port: 49_152,
        server: IpAddr::V4(Ipv4Addr::LOCALHOST),
        server_port: 80,
        unique_id: "case",
        now: Clock::default(),
    };
    let mut transaction = Transaction::new(program, &peer);
    let answer = albedo::answer(request);
    let stopped = request_phases(&mut transaction, request).or_else(|| response_phases(&mut transaction, &answer));
    transaction.finish();
    Played {
        status: stopped.as_ref().map_or(answer.status, |intervention| intervention.status),
        blocked: stopped.is_some(),
        rules: transaction.matches().iter().map(|found| found.rule).collect(),
        log: transaction.matches().iter().map(line).collect(),
    }
}

fn request_phases(transaction: &mut Transaction, request: &Recording<'_>) -> Option<Intervention> {
    transaction.request_line(request.method, request.target, request.protocol);
    for field in &request.fields {
        transaction.request_header(field.name, &field.value);
    }
    transaction.request_head_done().or_else(|| {
        transaction.request_body(framed_body(request));
        transaction.request_body_done()
    })
}

/// As much of the body as a server would take: what has neither length nor coding has none.
fn framed_body<'a>(request: &'a Recording<'_>) -> &'a [u8] {
    let find = |wanted: &str| request.fields.iter().find(|field| field.name.eq_ignore_ascii_case(wanted.as_bytes()));
    if find("transfer-encoding").is_some() {
        return &request.body;
    }
    let length = find("content-length").and_then(|field| std::str::from_utf8(&field.value).ok()?.parse().ok());
    &request.body[..request.body.len().min(length.unwrap_or(0))]
}

fn response_phases(transaction: &mut Transaction, answer: &albedo::Answer) -> Option<Intervention> {
    transaction.response_head(answer.status, b"HTTP/1.1");
    for (name, value) in &answer.fields {
        transaction.response_header(name.as_bytes(), value.as_bytes());
    }
    transaction.response_head_done().or_else(|| {
        transaction.response_body(&answer.body);
        transaction.response_body_done()
    })
}

fn line(found: &Match) -> String {
    format!("[id \"{}\"] [msg \"{}\"] [data \"{}\"]", found.rule, printable(&found.message), printable(&found.data))
}

/// On one line, whatever was matched.
fn printable(text: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    text.iter().map(escape).collect()
}
