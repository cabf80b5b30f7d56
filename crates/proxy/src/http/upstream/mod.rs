//! The way to a platform: which server, over which connection, how often, and what is told of it.
//!
//! [`send`] takes nothing but [`Checked`]: a request that skipped a phase does not compile. It gives back a [`Reply`]
//! whose body is still on the wire.

mod balance;
mod h1;
mod h2;
mod health;
mod pool;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use portcullis_dataguard::decode::Coding as ContentCoding;
use portcullis_engine::Admitted;
use portcullis_types::{Limits, Reason, Tick};
use portcullis_wire::h1::encode;
use portcullis_wire::http::{Name, RequestHead, ResponseHead, Version};

use super::body::{Body, BodyError, Coding, Frame, H1Body, H2Body, Outgoing, TransferError, Waiting};
use super::identity::Client;
use super::outflow::Outflow;
use super::pace::Pace;
use super::response::Interim;
use super::rules::Checked;
use super::sight;
use crate::probe::pass;
use crate::stream::SharedWire;
use crate::watch::Watch;

pub(crate) use balance::Platform;
pub(crate) use health::{Shared, probe};
pub(crate) use pool::{Freshness, Server};

/// What a platform answered.
pub(crate) struct Reply {
    pub(crate) head: ResponseHead,
    pub(crate) body: Body,
    /// The connection, where the platform agreed to switch protocols; it belongs to no pool any more.
    pub(crate) upgrade: Option<SharedWire>,
    pub(crate) trace: Trace,
    /// The engine's token, held until the response is complete.
    pub(crate) admitted: Option<Admitted>,
}

/// Where a request went, for the record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    /// The upstream's URL as declared; empty when none was reached.
    pub(crate) upstream: Option<Rc<str>>,
    /// How many connections were tried.
    pub(crate) attempts: u32,
    /// Until the head of the response.
    pub(crate) took: Duration,
    /// Of that, without the time in which the request's body came: what the platform itself took.
    pub(crate) worked: Duration,
}

/// Why a platform gave no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
    pub(crate) trace: Trace,
}

/// What [`send`] needs beside the request.
pub(crate) struct Surroundings<'a, 'b> {
    pub(crate) platform: &'a Platform,
    pub(crate) limits: &'a Limits,
    pub(crate) watch: &'a Watch,
    pub(crate) client: &'a Client,
    /// Name of this node in `Via`.
    pub(crate) node: &'a str,
    /// The reference, which travels as `X-Request-Id`.
    pub(crate) reference: &'a [u8],
    /// Where 1xx responses go.
    pub(crate) interim: &'a mut Interim<'b>,
    /// The platform is asked for codings that can be read, and for the whole of what there is.
    pub(crate) narrow: bool,
    /// Nor for parts of anything.
    pub(crate) whole: bool,
    /// The platform is asked for plain text.
    pub(crate) plain: bool,
    /// How long the body of the request took, once all of it has gone.
    pub(crate) uploaded: Cell<Option<Duration>>,
}

/// One attempt's outcome when it was not a reply.
#[derive(Debug)]
pub(crate) struct Attempt {
    reason: Reason,
    detail: String,
    /// The server had not begun to work on the request, as far as can be known.
    untouched: bool,
    /// The connection had been used before, so that its end may be a race with the server's idle timeout.
    stale: bool,
}

impl Attempt {
    pub(super) fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        Self { reason, detail: detail.to_string(), untouched: false, stale: false }
    }

    /// Whether it says something about the server rather than about the client.
    fn blames_server(&self) -> bool {
        self.reason.blame() == portcullis_types::Blame::Upstream
    }
}

/// Sends a checked request to its platform and waits for the head of the response.
pub(crate) async fn send(
    checked: Checked,
    head: &RequestHead,
    body: Body,
    around: &mut Surroundings<'_, '_>,
) -> Result<Reply, Failure> {
    let platform = around.platform;
    let mut trace = Trace::default();
    let mut body = Some(body);
    let mut tried = 0_u64;
    let mut retried_stale = false;
    platform.count_request(around.watch.now());
    loop {
        let began = around.watch.now();
        let Some((index, server)) = platform.choose(tried, began) else {
            return Err(Failure {
                reason: Reason::NoUpstream,
                detail: "every server is down or ejected".to_owned(),
                trace,
            });
        };
        trace.attempts += 1;
        trace.upstream = Some(server.label());
        let repeatable = head.is_safe() && body.as_ref().is_none_or(Body::is_empty);
        let freshness = match (retried_stale, repeatable) {
            (true, _) => Freshness::New,
            (false, true) => Freshness::Any,
            (false, false) => Freshness::Recent,
        };
        let bodiless = body.as_ref().is_none_or(Body::is_empty);
        around.uploaded.set(bodiless.then_some(Duration::ZERO));
        let outcome = attempt(&checked, server, head, &mut body, freshness, around).await;
        trace.took = around.watch.now().since(began);
        // A client that sends slowly does not make the platform slow.
        trace.worked = match around.uploaded.get() {
            Some(uploaded) => trace.took.saturating_sub(uploaded),
            None if outcome.is_ok() => trace.took,
            None => Duration::ZERO,
        };
        let failed = match outcome {
            Ok((head, body, upgrade)) => {
                server.succeeded(trace.took, head.status);
                return Ok(Reply { head, body, upgrade, trace, admitted: Some(checked.into_admitted()) });
            }
            Err(failed) => failed,
        };
        if failed.blames_server() && !failed.stale {
            server.failed(around.watch.now());
        }
        // Safe to send again: the server never saw it, or it asks for nothing and the response had not begun.
        let unanswered = failed.reason == Reason::UpstreamClosed && head.is_safe();
        let again = body.is_some() && (failed.untouched || unanswered);
        if again && failed.stale && !retried_stale {
            retried_stale = true; // The race with an idle timeout is nobody's fault and costs no budget.
            continue;
        }
        if again && trace.attempts <= checked.retries() && platform.may_retry() {
            tried |= 1_u64.checked_shl(index).unwrap_or(0);
            continue;
        }
        return Err(Failure { reason: failed.reason, detail: failed.detail, trace });
    }
}

/// One attempt on one server. `body` is taken only once its first byte may have been sent.
async fn attempt(
    checked: &Checked,
    server: &Rc<Server>,
    head: &RequestHead,
    body: &mut Option<Body>,
    freshness: Freshness,
    around: &mut Surroundings<'_, '_>,
) -> Result<(ResponseHead, Body, Option<SharedWire>), Attempt> {
    let connection = match server.pooled(freshness, around.watch.now()) {
        Some(connection) => connection,
        None => Box::pin(server.connect(checked.transport(), around.watch)).await?,
    };
    match connection {
        pool::Connection::H1(lease) => h1::exchange(checked, lease, head, body, around).await,
        pool::Connection::H2(lease) => Box::pin(h2::exchange(checked, lease, head, body, around)).await,
    }
}

/// The fields that go to an upstream: what the client sent without what concerns its connection or claims who it is,
/// then what the gate knows.
pub(super) fn for_each_field(
    head: &RequestHead,
    around: &Surroundings<'_, '_>,
    server_host: Option<&str>,
    mut put: impl FnMut(&[u8], &[u8]),
) {
    let listed = super::response::connection_options(&head.fields);
    put(b"host", server_host.map_or(head.authority(), str::as_bytes));
    for field in head.fields.iter() {
        match field.name {
            Name::Host | Name::Expect | Name::ContentLength | Name::XRequestId | Name::Via => {}
            Name::Other if listed.as_ref().is_some_and(|listed| listed.names(field.spelling)) => {}
            name if name.is_hop_by_hop() || name.is_client_claim() => {}
            // What the gate and its visitors have with one another is nothing to the platform.
            Name::Cookie => match sight::without_own(field.value) {
                None => put(field.spelling, field.value),
                Some(left) if left.is_empty() => {}
                Some(left) => put(field.spelling, &left),
            },
            Name::Other if field.spelling.eq_ignore_ascii_case(pass::FIELD.as_bytes()) => {}
            // A part of something packed cannot be read.
            Name::Other if around.whole && is_range(field.spelling) => {}
            Name::Other if around.narrow && field.spelling.eq_ignore_ascii_case(b"accept-encoding") => {
                if !around.plain {
                    put(field.spelling, &readable(field.value));
                }
            }
            _ => put(field.spelling, field.value),
        }
    }
    if around.plain {
        put(b"accept-encoding", b"identity");
    }
    let mut via = Vec::with_capacity(48);
    for earlier in head.fields.all(Name::Via) {
        via.extend_from_slice(earlier);
        via.extend_from_slice(b", ");
    }
    via.extend_from_slice(head.version.name().as_bytes());
    via.push(b' ');
    via.extend_from_slice(around.node.as_bytes());
    put(b"via", &via);
    put(b"x-request-id", around.reference);
    around.client.forwarded_fields(head, put);
}

fn is_range(spelling: &[u8]) -> bool {
    spelling.eq_ignore_ascii_case(b"range") || spelling.eq_ignore_ascii_case(b"if-range")
}

/// Of the codings that a client takes, those that the gate can read too.
fn readable(value: &[u8]) -> Vec<u8> {
    let known = |item: &&[u8]| {
        let name = item.split(|byte| *byte == b';').next().map(portcullis_wire::http::trim).unwrap_or_default();
        !matches!(ContentCoding::named(name), Some(ContentCoding::Unknown))
    };
    let items = value.split(|byte| *byte == b',').map(portcullis_wire::http::trim);
    let left: Vec<&[u8]> = items.filter(known).collect();
    if left.is_empty() { b"identity".to_vec() } else { left.join(&b", "[..]) }
}

/// Whether the request may name trailers as acceptable to the upstream, which gRPC insists on.
pub(super) fn accepts_trailers(head: &RequestHead) -> bool {
    head.fields.all(Name::Te).any(|value| {
        value
            .split(|byte| *byte == b',')
            .any(|item| portcullis_wire::http::trim(item).eq_ignore_ascii_case(b"trailers"))
    })
}

/// The request on its way to an upstream.
pub(super) enum Pump {
    H1 { outgoing: Outgoing, body: Body, wire: SharedWire },
    H2 { outflow: Outflow, body: Body },
}

impl Pump {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransferError>> {
        match self {
            Self::H1 { outgoing, body, wire } => outgoing.poll_send(body, wire, cx),
            Self::H2 { outflow, body } => outflow.poll_send(body, cx),
        }
    }

    /// What it waits for, and how many bytes of body have moved.
    const fn progress(&self) -> (Waiting, u64) {
        match self {
            Self::H1 { outgoing, .. } => (outgoing.waiting, outgoing.carried),
            Self::H2 { outflow, .. } => (outflow.waiting, outflow.carried),
        }
    }
}

/// The request on its way while the head of the response is awaited: who is late, and when, changes as it goes.
pub(super) struct Upload {
    pump: Option<Pump>,
    pace: Pace,
    began: Tick,
}

impl Upload {
    pub(super) fn new(pump: Pump, checked: &Checked, around: &Surroundings<'_, '_>) -> Self {
        if around.uploaded.get().is_none() {
            checked.admitted().waits_for_client();
        }
        Self {
            pump: Some(pump),
            pace: Pace::new(checked.transport().idle_timeout, around.limits),
            began: around.watch.now(),
        }
    }

    /// Sends what can be sent, and sets the deadline for whoever is waited for.
    pub(super) fn poll(
        &mut self,
        checked: &Checked,
        around: &Surroundings<'_, '_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Attempt> {
        let Some(pump) = &mut self.pump else { return Ok(()) };
        match pump.poll(cx) {
            // A server that does not take the rest may have answered before it closed: look before giving up.
            Poll::Ready(Ok(()) | Err(TransferError::Sink(_))) => {
                self.pump = None;
                let now = around.watch.now();
                if around.uploaded.get().is_none() {
                    around.uploaded.set(Some(now.since(self.began)));
                    checked.admitted().has_arrived();
                }
                around.watch.arm(now.after(checked.first_byte_timeout()));
                Ok(())
            }
            Poll::Ready(Err(TransferError::Source(error))) => Err(Attempt::new(error.reason(true), error)),
            Poll::Pending => {
                let (waiting, moved) = pump.progress();
                self.pace.note(waiting, moved, around.watch);
                Ok(())
            }
        }
    }

    /// The deadline has passed.
    pub(super) fn late(&self) -> Attempt {
        match self.pump {
            None => Attempt::new(Reason::UpstreamTimeout, "no response within the route's time"),
            Some(_) => Attempt::new(self.pace.reason(), "the request came or went too slowly"),
        }
    }

    /// What is left of the request when the response has begun.
    pub(super) fn rest(self) -> Option<Pump> {
        self.pump
    }
}

/// The body of a response, with what must happen while and after it is read.
pub(crate) struct UpstreamBody {
    body: Incoming,
    /// The rest of the request, still under way.
    pump: Option<Pump>,
    /// Given back to the pool when both directions have ended well.
    lease: Option<pool::Lease>,
}

enum Incoming {
    H1(H1Body),
    H2(H2Body),
}

impl UpstreamBody {
    fn h1(body: H1Body, pump: Option<Pump>, lease: pool::Lease) -> Self {
        Self { body: Incoming::H1(body), pump, lease: Some(lease) }
    }

    fn h2(body: H2Body, pump: Option<Pump>, lease: pool::Lease) -> Self {
        Self { body: Incoming::H2(body), pump, lease: Some(lease) }
    }

    pub(crate) fn length(&self) -> Option<u64> {
        match &self.body {
            Incoming::H1(body) => body.length(),
            Incoming::H2(body) => body.length(),
        }
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if let Some(pump) = &mut self.pump
            && let Poll::Ready(sent) = pump.poll(cx)
        {
            self.pump = None;
            if sent.is_err()
                && let Some(lease) = &mut self.lease
            {
                lease.spoil();
            }
        }
        let frame = ready!(match &mut self.body {
            Incoming::H1(body) => body.poll_frame(cx),
            Incoming::H2(body) => body.poll_frame(cx),
        });
        match &frame {
            None | Some(Ok(Frame::Trailers(_))) => {
                if let Some(mut lease) = self.lease.take() {
                    if self.pump.take().is_some() {
                        lease.spoil(); // The platform did not want the rest of the request.
                    }
                    lease.give_back();
                }
            }
            Some(Err(_)) => {
                if let Some(mut lease) = self.lease.take() {
                    lease.spoil();
                }
            }
            Some(Ok(Frame::Data(_))) => {}
        }
        Poll::Ready(frame)
    }
}

/// How a request body is written to an HTTP/1.1 upstream, with the field that says so.
pub(super) fn coding_of(body: &Body, method: &[u8], into: &mut Vec<u8>) -> Coding {
    match body.length() {
        Some(0) => {
            if matches!(method, b"POST" | b"PUT" | b"PATCH") {
                encode::field(into, b"content-length", b"0");
            }
            Coding::Plain(Some(0))
        }
        Some(length) => {
            encode::number_field(into, b"content-length", length);
            Coding::Plain(Some(length))
        }
        None => {
            encode::field(into, b"transfer-encoding", b"chunked");
            Coding::Chunked
        }
    }
}

/// An upgrade is only offered over HTTP/1.1, where it is an option of the connection.
pub(super) fn offers_upgrade(checked: &Checked, head: &RequestHead) -> bool {
    checked.upgrade() && head.version == Version::Http11
}

pub(super) fn closed(error: &io::Error) -> Attempt {
    Attempt::new(Reason::UpstreamClosed, error)
}
