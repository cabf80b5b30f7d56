//! Inspection: what a request carries and what the platform answers, before either goes on.
//!
//! The head is looked at when it has come. A body is read ahead as far as it is inspected, looked at, and only then carried on
//! with the rest behind it; a response's likewise, where rules ask for its body. What is beyond the bound is refused, or looked
//! at on its way by the gate's own detection ([`passing`](super::passing)), as the route declares.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use portcullis_engine::{Admitted, Detail, Refusal};
use portcullis_types::{Limits, Reason};
use portcullis_waf::body::Bounds;
use portcullis_waf::seclang::{self, Clock, Peer, Program, Transaction};
use portcullis_waf::semantic::{Detector, FINDINGS_MAX, Findings, is_file};
use portcullis_wire::http::{Fields, Name, RequestHead, ResponseHead, Version};

use super::body::{Body, Frame, Waiting};
use super::desk::{Desk, Room};
use super::identity::{Client, Connection};
use super::pace::Pace;
use super::passing::{self, Passing};
use crate::inspectors::Inspector;
use crate::journal::Evidence;
use crate::journal::evidence::Text;
use crate::watch::Watch;
use crate::worker::unix_millis;

/// What is told of a match, in bytes.
const TOLD: usize = 400;

/// A request under inspection, and later its response.
pub(crate) struct Inspecting {
    inspector: Arc<Inspector>,
    desk: Rc<Desk>,
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
    pub(crate) desk: &'a Rc<Desk>,
}

/// What inspection saw.
#[derive(Default)]
pub(crate) struct Sighting {
    /// What it would have refused where it only observes.
    pub(crate) observed: Vec<Refusal>,
    /// What was found in what it refused, or would have.
    pub(crate) evidence: Evidence,
    /// What was found is told even where it refuses nothing, and all of it is looked for even where something does: for the
    /// gate's own probes.
    pub(crate) thorough: bool,
    /// Why it was refused, where inspection went on all the same.
    pub(crate) refused: Vec<Refusal>,
    /// Rules were asked, and were switched on.
    pub(crate) rules_active: bool,
    /// They act, as far as they say themselves.
    pub(crate) rules_act: bool,
    /// What was read of the body, while it is looked at.
    body: Option<Bytes>,
    /// Findings and matches that are in the evidence.
    told: (usize, usize),
    /// What is seen in the rest of the body on its way.
    pub(crate) passing: Option<passing::Seen>,
}

impl Sighting {
    /// Looks for everything, whatever was found before.
    pub(crate) fn thorough() -> Self {
        Self { thorough: true, ..Self::default() }
    }

    fn refuse(&mut self, refusal: Refusal) -> Result<(), Refusal> {
        if !self.thorough {
            return Err(refusal);
        }
        if !self.refused.iter().any(|known| known.reason == refusal.reason) {
            self.refused.push(refusal);
        }
        Ok(())
    }
}

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
    seen: &mut Sighting,
) -> Result<Option<Inspecting>, Refusal> {
    if inspector.is_idle() {
        return Ok(None);
    }
    let mut room = asker.desk.room();
    let desk = Rc::clone(asker.desk);
    let mut inspecting = Inspecting { inspector: Arc::clone(inspector), desk, transaction: None };
    let outcome = inspecting.look(asker, head, body, around, &mut room, seen).await;
    if !seen.evidence.is_empty() && !seen.thorough {
        gather(inspector, asker, head, body, &mut room, seen);
    }
    seen.body = None;
    asker.desk.leave(room);
    outcome.map(|()| Some(inspecting))
}

/// Looks at a request once more for its record: at everything, whatever was enough to refuse it.
fn gather(
    inspector: &Inspector,
    asker: &Asker<'_>,
    head: &RequestHead,
    body: &Body,
    room: &mut Room,
    seen: &mut Sighting,
) {
    let read = std::mem::take(&mut seen.body);
    let bytes = head.target().len() + head.fields.iter().map(|field| field.value.len()).sum::<usize>();
    let bytes = bytes + read.as_ref().map_or(0, Bytes::len);
    if asker.desk.may_gather(unix_millis() / 1000, bytes) {
        seen.evidence = Evidence::default();
        if let Some((detector, _)) = &inspector.detection {
            let detector = detector.thorough();
            room.findings.clear();
            look_at_head(&detector, head, room);
            if let Some(read) = &read {
                look_at_body(&detector, head, read, room);
            }
            room.findings.list().iter().for_each(|finding| seen.evidence.finding(finding));
            seen.evidence.lost |= room.findings.list().len() >= FINDINGS_MAX;
        }
        if let Some(program) = &inspector.program {
            let mut transaction = begin(inspector, program, asker);
            transaction.only_tell();
            tell_head(&mut transaction, head);
            transaction.request_head_done();
            if let Some(read) = &read {
                transaction.request_body(read);
            }
            transaction.request_body_done();
            for found in transaction.matches() {
                seen.evidence.matched(found, program, &transaction);
            }
            seen.evidence.lost |= transaction.exceeded();
            asker.desk.keep(transaction);
        }
    } else {
        seen.evidence.lost = true;
    }
    seen.evidence.unread = read.is_none() && !body.is_empty();
    head.fields.iter().for_each(|field| seen.evidence.field(field.spelling));
    let kind = head.fields.get(Name::ContentType).filter(|_| read.is_some());
    seen.evidence.kind = kind.map(|kind| Text::of(kind, TOLD / 4));
}

/// Shows a detector the head of a request.
fn look_at_head(detector: &Detector, head: &RequestHead, room: &mut Room) {
    detector.request_line(head.method(), head.target(), &mut room.findings);
    detector.header(b"host", head.authority(), &mut room.findings);
    for field in head.fields.iter() {
        detector.header(field.spelling, field.value, &mut room.findings);
    }
}

/// Shows it what was read of the body.
fn look_at_body(detector: &Detector, head: &RequestHead, bytes: &[u8], room: &mut Room) {
    let (kind, packed) = kind_of(head);
    let Room { findings, fields } = room;
    detector.body(kind, packed, bytes, &Bounds::default(), fields, findings);
}

/// What a body claims to be, and whether it has a content coding.
pub(crate) fn kind_of(head: &RequestHead) -> (&[u8], bool) {
    let packed = head.fields.find(b"content-encoding").is_some_and(|it| !it.eq_ignore_ascii_case(b"identity"));
    (head.fields.get(Name::ContentType).unwrap_or_default(), packed)
}

/// Gives back what was read ahead of a body; the rest is looked at on its way.
fn pass_on(inspector: &Arc<Inspector>, head: &RequestHead, body: &mut Body, ahead: Ahead, seen: &mut Sighting) {
    let rest = (!ahead.complete).then(|| Passing::begin(inspector, head, &ahead.bytes)).flatten();
    seen.passing = rest.as_ref().map(Passing::seen);
    body.put_back(ahead.bytes, ahead.trailers, rest);
}

/// Begins a transaction of the rules.
fn begin(inspector: &Inspector, program: &Arc<Program>, asker: &Asker<'_>) -> Box<Transaction> {
    let peer = Peer {
        client: asker.client.address.ip(),
        client_port: asker.connection.source.port(),
        server: asker.server.ip(),
        server_port: asker.server.port(),
        unique_id: asker.reference,
        now: Clock { unix: unix_millis() / 1000 },
    };
    let mut transaction = asker.desk.transaction(program, &peer);
    transaction.bound(seclang::Bounds {
        steps: inspector.steps,
        request_body: inspector.body_bytes,
        ..seclang::Bounds::default()
    });
    transaction
}

/// Shows rules the head of a request.
fn tell_head(transaction: &mut Transaction, head: &RequestHead) {
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
}

impl Inspecting {
    async fn look(
        &mut self,
        asker: &Asker<'_>,
        head: &RequestHead,
        body: &mut Body,
        around: &Around<'_>,
        room: &mut Room,
        seen: &mut Sighting,
    ) -> Result<(), Refusal> {
        let inspector = &*self.inspector;
        if let Some((detector, acts)) = &inspector.detection {
            look_at_head(detector, head, room);
            judge(detector, *acts, &room.findings, seen)?;
        }
        if let Some(program) = &inspector.program {
            let transaction = self.transaction.insert(begin(inspector, program, asker));
            tell_head(transaction, head);
            let decided = transaction.request_head_done();
            settle(inspector, transaction, decided, Reason::RuleMatched, seen)?;
        }
        if !body.is_empty() && is_conversation(head, body) {
            pass_on(&self.inspector, head, body, Ahead { bytes: Bytes::new(), complete: false, trailers: None }, seen);
        } else if !body.is_empty() {
            asker.admitted.waits_for_client();
            let ahead = read_ahead(body, inspector.body_bytes, around).await?;
            asker.admitted.has_arrived();
            if !ahead.complete && inspector.refuses_beyond {
                return Err(Refusal::new(Reason::NotInspected, "the body is longer than what is inspected"));
            }
            seen.body = Some(ahead.bytes.clone());
            if let Some((detector, acts)) = &inspector.detection {
                look_at_body(detector, head, &ahead.bytes, room);
                judge(detector, *acts, &room.findings, seen)?;
            }
            if let Some(transaction) = &mut self.transaction {
                transaction.request_body(&ahead.bytes);
            }
            pass_on(&self.inspector, head, body, ahead, seen);
        }
        if let Some(transaction) = &mut self.transaction {
            let decided = transaction.request_body_done();
            settle(inspector, transaction, decided, Reason::RuleMatched, seen)?;
        }
        Ok(())
    }

    /// Looks at the response.
    ///
    /// # Errors
    /// With the reason, where it must not leave.
    pub(crate) async fn response(
        mut self,
        head: &ResponseHead,
        body: &mut Body,
        around: &Around<'_>,
        seen: &mut Sighting,
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
            body.put_back(ahead.bytes, ahead.trailers, None);
        }
        if decided.is_none() {
            decided = transaction.response_body_done();
        }
        // What a request came to is told already.
        transaction.finish();
        settle(&self.inspector, transaction, decided, Reason::ResponseRuleMatched, seen)
    }
}

impl Drop for Inspecting {
    fn drop(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            self.desk.keep(transaction);
        }
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
pub(crate) fn judge(detector: &Detector, acts: bool, findings: &Findings, seen: &mut Sighting) -> Result<(), Refusal> {
    let blocks = detector.blocks(findings);
    if !blocks && !seen.thorough {
        return Ok(());
    }
    let first = seen.evidence.hits.len();
    findings.list().iter().skip(seen.told.0).for_each(|finding| seen.evidence.finding(finding));
    seen.told.0 = findings.list().len();
    if !blocks {
        return Ok(());
    }
    let text = format!("score {}; {}", findings.score(), summary(&seen.evidence, first));
    let refusal = Refusal::new(Reason::AttackDetected, told(text));
    if acts {
        return seen.refuse(refusal);
    }
    if !seen.observed.iter().any(|known| known.reason == refusal.reason) {
        seen.observed.push(refusal);
    }
    Ok(())
}

/// What the rules come to.
fn settle(
    inspector: &Inspector,
    transaction: &mut Transaction,
    decided: Option<seclang::Intervention>,
    reason: Reason,
    seen: &mut Sighting,
) -> Result<(), Refusal> {
    seen.rules_active |= transaction.is_active();
    seen.rules_act |= transaction.acts();
    if transaction.exceeded() {
        let refusal = Refusal::new(Reason::NotInspected, "its inspection takes more steps than it may");
        if inspector.closed && transaction.acts() {
            return Err(refusal);
        }
        // It passes, as declared; that nobody has looked at all of it is told.
        if !seen.observed.iter().any(|known| known.reason == refusal.reason) {
            seen.observed.push(refusal);
        }
    }
    // Rules that only tell say so once, at the end of a phase that would have refused.
    let rule = decided.as_ref().map(|decided| decided.rule).or_else(|| transaction.take_would_refuse());
    if rule.is_none() && !seen.thorough {
        return Ok(());
    }
    let first = seen.evidence.hits.len();
    if let Some(program) = &inspector.program {
        for found in transaction.matches().iter().skip(seen.told.1) {
            seen.evidence.matched(found, program, transaction);
        }
    }
    seen.told.1 = transaction.matches().len();
    let Some(rule) = rule else { return Ok(()) };
    let refusal = Refusal::new(reason, told(format!("rule {rule}: {}", summary(&seen.evidence, first))));
    if decided.is_some() {
        return seen.refuse(refusal);
    }
    seen.observed.push(refusal);
    Ok(())
}

/// What matched, in words.
fn summary(evidence: &Evidence, first: usize) -> String {
    let mut text = String::new();
    for hit in evidence.hits.iter().skip(first) {
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = match (hit.rule, &hit.family) {
            (Some(rule), _) => write!(text, "{separator}{rule}"),
            (None, family) => write!(text, "{separator}{}", family.as_deref().unwrap_or_default()),
        };
        let target = hit.targets.last().map_or_else(String::new, Text::shown);
        let _ = write!(text, " in {target}: {} ({:?})", hit.why.shown(), hit.part.shown());
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

/// Reads a body to its end, which must have a bound.
///
/// # Errors
/// With the reason, where it does not come, or not as it should.
pub(crate) async fn read_whole(body: &mut Body, around: &Around<'_>) -> Result<Bytes, Refusal> {
    read_ahead(body, usize::MAX, around).await.map(|ahead| ahead.bytes)
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
