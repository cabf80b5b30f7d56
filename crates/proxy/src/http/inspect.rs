//! Inspection: what a request carries and what the platform answers, before either goes on.
//!
//! The head is looked at when it has come. A body is read ahead as far as it is inspected, looked at, and only then carried on
//! with the rest behind it; a response's likewise, where rules ask for its body. What is beyond the bound passes or is refused
//! as the route declares.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use portcullis_engine::{Admitted, Detail, Refusal};
use portcullis_types::{Limits, Reason};
use portcullis_waf::body::{Bounds, Fields as Taken};
use portcullis_waf::seclang::{self, Clock, Match, Peer, Transaction};
use portcullis_waf::semantic::{Detector, Findings, is_file};
use portcullis_wire::http::{Fields, Name, RequestHead, ResponseHead, Version};

use super::body::{Body, Frame, Waiting};
use super::identity::{Client, Connection};
use super::pace::Pace;
use crate::inspectors::Inspector;
use crate::watch::Watch;
use crate::worker::unix_millis;

/// What is told of a match, in bytes.
const TOLD: usize = 400;

/// A request under inspection, and later its response.
pub(crate) struct Inspecting {
    inspector: Arc<Inspector>,
    transaction: Option<Box<Transaction>>,
}

/// Who asks, and whom.
pub(crate) struct Asker<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) client: &'a Client,
    pub(crate) reference: &'a str,
    /// The listener's address.
    pub(crate) server: SocketAddr,
    pub(crate) admitted: &'a Admitted,
}

/// What inspection would have refused where it only observes.
pub(crate) type Observed = Vec<Refusal>;

/// Who is waited for while a body is read ahead.
pub(crate) struct Around<'a> {
    pub(crate) watch: &'a Watch,
    pub(crate) limits: &'a Limits,
    /// How long an upstream may be silent.
    pub(crate) idle: Duration,
}

/// Looks at a request. None where nothing is to be looked for.
///
/// # Errors
/// With the reason, where it must not go on.
pub(crate) async fn request(
    inspector: &Arc<Inspector>,
    asker: &Asker<'_>,
    head: &RequestHead,
    body: &mut Body,
    around: &Around<'_>,
    observed: &mut Observed,
) -> Result<Option<Inspecting>, Refusal> {
    if inspector.is_idle() {
        return Ok(None);
    }
    let mut findings = Findings::new();
    if let Some((detector, acts)) = &inspector.detection {
        detector.request_line(head.method(), head.target(), &mut findings);
        detector.header(b"host", head.authority(), &mut findings);
        for field in head.fields.iter() {
            detector.header(field.spelling, field.value, &mut findings);
        }
        judge(detector, *acts, &findings, observed)?;
    }
    let mut transaction = inspector.program.as_ref().map(|program| {
        let peer = Peer {
            client: asker.client.address.ip(),
            client_port: asker.connection.source.port(),
            server: asker.server.ip(),
            server_port: asker.server.port(),
            unique_id: asker.reference,
            now: Clock { unix: unix_millis() / 1000 },
        };
        let mut transaction = Box::new(Transaction::new(program, &peer));
        transaction.bound(seclang::Bounds {
            steps: inspector.steps,
            request_body: inspector.body_bytes,
            ..seclang::Bounds::default()
        });
        transaction
    });
    if let Some(transaction) = &mut transaction {
        let version: &[u8] = match head.version {
            Version::Http10 => b"HTTP/1.0",
            Version::Http11 => b"HTTP/1.1",
            Version::Http2 => b"HTTP/2.0",
        };
        transaction.request_line(head.method(), head.target(), version);
        // HTTP/2 has no `Host`; applications and rules ask for one.
        if head.fields.get(Name::Host).is_none() {
            transaction.request_header(b"Host", head.authority());
        }
        for field in head.fields.iter() {
            transaction.request_header(field.spelling, field.value);
        }
        let decided = transaction.request_head_done();
        settle(inspector, transaction, decided, Reason::RuleMatched, observed)?;
    }
    if !body.is_empty() && !is_conversation(head, body) {
        asker.admitted.waits_for_client();
        let ahead = read_ahead(body, inspector.body_bytes, around).await?;
        asker.admitted.has_arrived();
        if !ahead.complete && inspector.refuses_beyond {
            return Err(Refusal::new(Reason::NotInspected, "the body is longer than what is inspected"));
        }
        if let Some((detector, acts)) = &inspector.detection {
            let kind = head.fields.get(Name::ContentType).unwrap_or_default();
            let packed = head.fields.find(b"content-encoding").is_some_and(|it| !it.eq_ignore_ascii_case(b"identity"));
            let bounds = Bounds::default();
            detector.body(kind, packed, &ahead.bytes, &bounds, &mut Taken::new(), &mut findings);
            judge(detector, *acts, &findings, observed)?;
        }
        if let Some(transaction) = &mut transaction {
            transaction.request_body(&ahead.bytes);
        }
        body.put_back(ahead.bytes, ahead.trailers);
    }
    if let Some(transaction) = &mut transaction {
        let decided = transaction.request_body_done();
        settle(inspector, transaction, decided, Reason::RuleMatched, observed)?;
    }
    Ok(Some(Inspecting { inspector: Arc::clone(inspector), transaction }))
}

impl Inspecting {
    /// Looks at the response.
    ///
    /// # Errors
    /// With the reason, where it must not leave.
    pub(crate) async fn response(
        mut self,
        head: &ResponseHead,
        body: &mut Body,
        around: &Around<'_>,
        observed: &mut Observed,
    ) -> Result<(), Refusal> {
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        transaction.response_head(head.status, b"HTTP/1.1");
        for field in head.fields.iter() {
            transaction.response_header(field.spelling, field.value);
        }
        let mut decided = transaction.response_head_done();
        if decided.is_none() && !body.is_empty() && transaction.wants_response_body() {
            let ahead = read_ahead(body, self.inspector.body_bytes, around).await?;
            transaction.response_body(&ahead.bytes);
            body.put_back(ahead.bytes, ahead.trailers);
        }
        if decided.is_none() {
            decided = transaction.response_body_done();
        }
        transaction.finish();
        settle(&self.inspector, transaction, decided, Reason::ResponseRuleMatched, observed)
    }
}

/// Whether the two sides may talk at once, so that holding the beginning back could keep both waiting: gRPC, and files whose
/// length nobody knows beforehand. Neither has values that an application takes apart by itself.
fn is_conversation(head: &RequestHead, body: &Body) -> bool {
    let kind = head.fields.get(Name::ContentType).unwrap_or_default();
    let grpc = kind.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"));
    grpc || (body.length().is_none() && is_file(kind))
}

/// What the gate's own detection comes to.
fn judge(detector: &Detector, acts: bool, findings: &Findings, observed: &mut Observed) -> Result<(), Refusal> {
    if !detector.blocks(findings) {
        return Ok(());
    }
    let mut text = format!("score {}", findings.score());
    for finding in findings.list() {
        let name = String::from_utf8_lossy(&finding.name);
        let (place, matched) = (finding.place.as_str(), String::from_utf8_lossy(&finding.matched));
        let _ = write!(text, "; {} in {place} {name}: {} ({matched:?})", finding.class.as_str(), finding.why);
    }
    refuse(acts, Refusal::new(Reason::AttackDetected, told(text)), observed)
}

/// What the rules come to.
fn settle(
    inspector: &Inspector,
    transaction: &mut Transaction,
    decided: Option<seclang::Intervention>,
    reason: Reason,
    observed: &mut Observed,
) -> Result<(), Refusal> {
    if transaction.exceeded() && inspector.closed {
        return Err(Refusal::new(Reason::NotInspected, "its inspection takes more steps than it may"));
    }
    match decided {
        Some(decided) => {
            let text = format!("rule {}: {}", decided.rule, summary(transaction.matches()));
            Err(Refusal::new(reason, told(text)))
        }
        // Rules that only tell say so once, at the end of a phase that would have refused.
        None => {
            if let Some(rule) = transaction.take_would_refuse() {
                let text = format!("rule {rule}: {}", summary(transaction.matches()));
                observed.push(Refusal::new(reason, told(text)));
            }
            Ok(())
        }
    }
}

fn refuse(acts: bool, refusal: Refusal, observed: &mut Observed) -> Result<(), Refusal> {
    if acts {
        return Err(refusal);
    }
    if !observed.iter().any(|known| known.reason == refusal.reason) {
        observed.push(refusal);
    }
    Ok(())
}

/// Which rules matched, and what.
fn summary(matches: &[Match]) -> String {
    let mut text = String::new();
    for one in matches {
        let (target, message) = (String::from_utf8_lossy(&one.target), String::from_utf8_lossy(&one.message));
        let part = one.part.and_then(|(from, to)| one.value.get(from..to)).unwrap_or(&one.value);
        let part = String::from_utf8_lossy(part.get(..part.len().min(80)).unwrap_or_default());
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{separator}{} in {target}: {message} ({part:?})", one.rule);
    }
    text
}

fn told(mut text: String) -> Detail {
    let mut end = text.len().min(TOLD);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    Detail::Measure(Arc::from(text))
}

/// The beginning of a body.
struct Ahead {
    bytes: Bytes,
    /// It is all of it.
    complete: bool,
    trailers: Option<Fields>,
}

/// Reads a body until it ends or `most` bytes of it are there. Whoever sends it is held to the same pace as ever.
async fn read_ahead(body: &mut Body, most: usize, around: &Around<'_>) -> Result<Ahead, Refusal> {
    let mut pace = Pace::new(around.idle, around.limits);
    let client = !matches!(body, Body::Upstream(_));
    let (mut bytes, mut trailers) = (Vec::new(), None);
    let complete = poll_fn(|cx| {
        while bytes.len() < most {
            match body.poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(true)),
                Poll::Ready(Some(Ok(Frame::Data(data)))) => bytes.extend_from_slice(&data),
                Poll::Ready(Some(Ok(Frame::Trailers(fields)))) => trailers = Some(fields),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(Refusal::new(error.reason(client), told(error.to_string()))));
                }
                Poll::Pending => {
                    pace.note(Waiting::Source, bytes.len() as u64, around.watch);
                    if around.watch.poll_expired(cx) {
                        return Poll::Ready(Err(Refusal::new(pace.reason(), "the message came too slowly")));
                    }
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(false))
    })
    .await;
    around.watch.disarm();
    Ok(Ahead { bytes: bytes.into(), complete: complete?, trailers })
}
