//! The client's side of HTTP/2: frames through the meter into h2, one task per stream.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use portcullis_types::{Limits, Reason, Tick};
use portcullis_wire::h1::Refused;
use portcullis_wire::h2::Abuse;
use portcullis_wire::http::{Name, RequestHead, Version, is_disguised, is_field_value, is_plain_authority, is_target};

use super::account::Account;
use super::answer::{Answer, refuse_unread};
use super::body::{Body, BodyError, H2Body, TransferError, size};
use super::identity::{self, Connection};
use super::metered::{Channel, FRAME_BYTES, Metered, Metering};
use super::outflow::{Outflow, append};
use super::pace::Pace;
use super::request::{self, Visit};
use super::response::Interim;
use crate::panics;
use crate::stream::Stream;
use crate::watch::Watch;
use crate::worker::Worker;

/// The window that a client may fill of one stream; the connection has four of them.
const STREAM_WINDOW: u32 = 64 * 1024;

/// How long the last frames of a connection may take to leave; who does not read gets no more of our time.
const GOODBYE: Duration = Duration::from_millis(250);

/// What one connection's streams share.
struct Link {
    connection: Connection,
    meter: Rc<Metering>,
    streams: Cell<usize>,
    /// A client that is to be rid of.
    closing: Cell<bool>,
}

/// Serves a connection until it ends. `stream` has nothing read from it that is not in `ahead`.
pub(crate) async fn serve(worker: Rc<Worker>, connection: Connection, stream: Stream, ahead: Bytes, watch: Watch) {
    let limits = worker.limits();
    let meter = Metering::new(&limits);
    let link = Rc::new(Link { connection, meter: Rc::clone(&meter), streams: Cell::new(0), closing: Cell::new(false) });
    let channel = Channel::new(stream, ahead, Rc::clone(&meter), Rc::clone(worker.watchers()));
    let handshake = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * 4)
        .max_concurrent_streams(u32::try_from(limits.h2_streams).unwrap_or(u32::MAX))
        // Wider than `head_bytes`, which is held to below with a page and a record, and wide enough for h2 to take as
        // many CONTINUATION frames as the meter lets pass.
        .max_header_list_size(header_list_bytes(&limits))
        .max_send_buffer_size(size(limits.h2_send_buffer))
        // The meter is to refuse first and by name; h2's own bounds stand behind it.
        .max_pending_accept_reset_streams(size(limits.h2_resets) + 1)
        .max_local_error_reset_streams(Some(size(limits.h2_provoked_resets) * 4 + 64))
        .max_concurrent_reset_streams(50)
        .handshake::<_, Bytes>(Metered(Rc::clone(&channel)));
    let head_deadline = Limits::duration(limits.head_deadline);
    let mut handshake = pin!(handshake);
    let greeted = poll_fn(|cx| {
        let greeted = handshake.as_mut().poll(cx).map(Some);
        let _ = channel.borrow_mut().poll_send(cx);
        if greeted.is_pending() && meter.abuse().is_some() { Poll::Ready(None) } else { greeted }
    });
    let mut h2 = match watch.within(head_deadline, greeted).await {
        Ok(Some(Ok(h2))) => h2,
        Ok(None) => {
            let abuse = meter.abuse();
            let detail = abuse.map_or("", |abuse| abuse.detail);
            return refuse_connection(&worker, &link, meter.abuse_reason(Reason::Http2Protocol), detail);
        }
        Ok(Some(Err(error))) => {
            return refuse_connection(&worker, &link, reason_of(&meter, &error), &error);
        }
        Err(_) => {
            return refuse_connection(
                &worker,
                &link,
                meter.abuse_reason(Reason::HeadTimeout),
                "no HTTP/2 preface in time",
            );
        }
    };

    let mut served = 0_u64;
    let mut closing = false;
    let mut idle_since = Some(watch.now());
    loop {
        let event = poll_fn(|cx| {
            if !closing && (worker.is_draining() || link.closing.get() || served >= limits.requests_per_connection) {
                closing = true;
                h2.graceful_shutdown();
            }
            let accepted = h2.poll_accept(cx);
            // h2 flushes after every frame; what it wrote in this turn leaves in one write, here.
            if accepted.is_pending()
                && let Poll::Ready(Err(error)) = channel.borrow_mut().poll_send(cx)
            {
                return Poll::Ready(Event::Broken(error));
            }
            match accepted {
                Poll::Ready(Some(Ok(stream))) => return Poll::Ready(Event::Stream(Box::new(stream))),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Event::Failed(error)),
                Poll::Ready(None) => return Poll::Ready(Event::Ended),
                Poll::Pending => {}
            }
            if let Some(abuse) = meter.abuse() {
                return Poll::Ready(Event::Abuse(abuse));
            }
            // A header block that never ends, or a connection on which nothing happens.
            let quiet = link.streams.get() == 0;
            watch.set_idle(quiet && served > 0);
            if !quiet {
                idle_since = None;
            } else if idle_since.is_none() {
                idle_since = Some(watch.now());
            }
            let deadline = match (meter.block_open_since(), idle_since) {
                (Some(since), _) => Some((Reason::HeadTimeout, since.after(head_deadline))),
                (None, Some(since)) if served == 0 => Some((Reason::HeadTimeout, since.after(head_deadline))),
                (None, Some(since)) => Some((Reason::IdleTimeout, since.after(Limits::duration(limits.idle_timeout)))),
                (None, None) => None,
            };
            if watch.poll_expired(cx) {
                return Poll::Ready(Event::Late(deadline.map_or(Reason::IdleTimeout, |(reason, _)| reason)));
            }
            match deadline {
                Some((_, at)) => watch.arm_if_changed(at),
                None => watch.arm_if_changed(Tick(u64::MAX)),
            }
            Poll::Pending
        })
        .await;
        match event {
            Event::Stream(stream) => {
                served += 1;
                let (request, respond) = *stream;
                let (worker, link) = (Rc::clone(&worker), Rc::clone(&link));
                link.streams.set(link.streams.get() + 1);
                tokio::task::spawn_local(async move {
                    let _guard = StreamGuard(Rc::clone(&link));
                    // Boxed, because spawning moves what it is given several times.
                    let stream = Box::pin(one_stream(&worker, &link, request, respond));
                    panics::counted(stream, || worker.panicked()).await;
                });
            }
            Event::Ended => {
                let _ = watch.within(GOODBYE, poll_fn(|cx| channel.borrow_mut().poll_send(cx))).await;
                break;
            }
            Event::Broken(error) => {
                tracing::debug!(%error, "a client went away");
                break;
            }
            Event::Failed(error) => {
                if !error.is_io() || meter.abuse().is_some() {
                    refuse_connection(&worker, &link, reason_of(&meter, &error), &error);
                }
                // h2 has the GOAWAY ready: let it out.
                let _ = watch.within(GOODBYE, poll_fn(|cx| close(&mut h2, &channel, cx))).await;
                break;
            }
            Event::Abuse(abuse) => {
                refuse_connection(&worker, &link, abuse.reason, abuse.detail);
                h2.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
                // Long enough for one write; an abuser that does not read gets no more of our time.
                let _ = watch.within(GOODBYE, poll_fn(|cx| close(&mut h2, &channel, cx))).await;
                break;
            }
            Event::Late(reason) => {
                worker.connection_refused(reason);
                h2.graceful_shutdown();
                let _ = watch.within(GOODBYE, poll_fn(|cx| close(&mut h2, &channel, cx))).await;
                break;
            }
        }
    }
    meter.report(&worker);
}

enum Event {
    Stream(Box<(Request<RecvStream>, SendResponse<Bytes>)>),
    Ended,
    Broken(io::Error),
    Failed(h2::Error),
    Abuse(Abuse),
    Late(Reason),
}

type Connected = h2::server::Connection<Metered, Bytes>;

/// Ends a connection: what h2 still has to say leaves, and no more.
fn close(h2: &mut Connected, channel: &RefCell<Channel>, cx: &mut Context<'_>) -> Poll<()> {
    let closed = h2.poll_closed(cx).is_ready();
    let sent = channel.borrow_mut().poll_send(cx).is_ready();
    if closed && sent { Poll::Ready(()) } else { Poll::Pending }
}

/// How large a decoded list h2 itself takes; it derives from it how many CONTINUATION frames it takes.
fn header_list_bytes(limits: &Limits) -> u32 {
    let continued = limits.h2_continuations.saturating_add(1).saturating_mul(u64::from(FRAME_BYTES));
    u32::try_from(limits.head_bytes.saturating_mul(2).max(continued)).unwrap_or(u32::MAX)
}

struct StreamGuard(Rc<Link>);

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
        // The connection's task looks again whether it is idle now.
        self.0.meter.wake();
    }
}

fn refuse_connection(worker: &Worker, link: &Link, reason: Reason, detail: impl Display) {
    worker.refuse_connection(&link.connection, reason, detail);
}

fn reason_of(meter: &Metering, error: &h2::Error) -> Reason {
    let fallback = if error.is_io() { Reason::ClientClosed } else { Reason::Http2Protocol };
    meter.abuse_reason(fallback)
}

async fn one_stream(worker: &Rc<Worker>, link: &Link, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    // Rapid reset sends HEADERS and RST_STREAM together: by now both have been read, and nothing more is paid for it.
    if poll_fn(|cx| Poll::Ready(respond.poll_reset(cx).is_ready())).await {
        return worker.counters().refused(Reason::ClientClosed);
    }
    let watch = worker.watchers().watch();
    let connection = &link.connection;
    let mut account = Account::begin(worker, watch.now(), Version::Http2, connection.errand.is_some());
    let print = link.meter.print();
    account.set_h2_print(print);
    let limits = worker.limits();
    let mut head = worker.spare_head();
    let (parts, incoming) = request.into_parts();
    let respond = RefCell::new(respond);
    // As decoded: what a frame weighed on the wire is not a request's own.
    let arrived = Rc::new(Cell::new(list_bytes(&parts.headers)));
    let answer = match read_head(&parts, &limits, &mut head) {
        Err(refused) => {
            account.identified(identity::resolve(connection, &head, &worker.local().snapshot.policy.trusted));
            Some(refuse_unread(&mut account, refused))
        }
        Ok(declared) => {
            let body = if incoming.is_end_stream() {
                Body::Empty
            } else {
                if head.fields.get(Name::Expect).is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue")) {
                    let mut interim = Response::new(());
                    *interim.status_mut() = StatusCode::CONTINUE;
                    let _ = respond.borrow_mut().send_informational(interim);
                }
                Body::H2(Box::new(H2Body::new(incoming, declared, Rc::clone(&arrived))))
            };
            let mut interim = Interim::H2(&respond);
            let h2 = print.as_ref().map(|print| print.as_ref().as_bytes());
            let visit = Visit { worker, connection, head: &head, h2, watch: &watch, upgrade: false };
            let mut work = pin!(request::serve(visit, body, &mut interim, &mut account));
            poll_fn(|cx| match work.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending if respond.borrow_mut().poll_reset(cx).is_ready() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            })
            .await
        }
    };
    match answer {
        Some(answer) => {
            link.closing.set(link.closing.get() || answer.ends_connection);
            send(&limits, &watch, &head, answer, respond.into_inner(), &mut account).await;
        }
        None => account.fail(Reason::ClientClosed, "the client reset the stream"),
    }
    let carried = account.carried_bytes();
    account.finish(connection, &head, arrived.get(), carried);
    worker.keep_head(head);
}

/// Brings the head of a stream into the common form. h2 has checked pseudo fields and connection fields; what is left
/// is what it lets pass.
fn read_head(parts: &http::request::Parts, limits: &Limits, head: &mut RequestHead) -> Result<Option<u64>, Refused> {
    let refused = |reason, detail| Refused { reason, detail };
    head.clear();
    head.version = Version::Http2;
    if matches!(parts.method.as_str(), "CONNECT" | "TRACE" | "TRACK") {
        return Err(refused(Reason::NotSupported, "CONNECT and TRACE are not carried"));
    }
    if parts.headers.len() > size(limits.header_count) {
        return Err(refused(Reason::TooManyHeaders, "more fields than limits.header_count"));
    }
    if list_bytes(&parts.headers) > limits.head_bytes {
        return Err(refused(Reason::HeadTooLarge, "the head exceeds limits.head_bytes"));
    }
    let host = parts.headers.get_all(http::header::HOST).iter().collect::<Vec<_>>();
    let authority = match (parts.uri.authority(), host.as_slice()) {
        (Some(authority), []) => authority.as_str().as_bytes(),
        (None, [host]) => host.as_bytes(),
        (Some(authority), [host]) if host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            host.as_bytes()
        }
        (None, []) => return Err(refused(Reason::BadHost, "neither :authority nor Host")),
        _ => return Err(refused(Reason::BadHost, ":authority and Host differ, or Host is repeated")),
    };
    if !is_plain_authority(authority) {
        return Err(refused(Reason::BadHost, "the authority is not a plain host with optional port"));
    }
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).as_bytes();
    if target.len() > size(limits.uri_bytes) {
        return Err(refused(Reason::UriTooLong, "the target exceeds limits.uri_bytes"));
    }
    let form = target.first() == Some(&b'/') || (target == b"*" && parts.method == http::Method::OPTIONS);
    if !form || !is_target(target) {
        return Err(refused(Reason::MalformedRequest, "the path holds a character that a URI cannot hold"));
    }
    head.set_line(parts.method.as_str().as_bytes(), target);
    head.set_authority(authority);
    let mut cookies: Vec<u8> = Vec::new();
    let mut declared = None;
    for (name, value) in &parts.headers {
        let (spelling, value) = (name.as_str().as_bytes(), value.as_bytes());
        if !is_field_value(value) {
            return Err(refused(Reason::MalformedRequest, "a field value holds a control character"));
        }
        match Name::of(spelling) {
            Name::Cookie => {
                // Split over fields for compression; one field for everybody else (RFC 9113 section 8.2.3).
                if !cookies.is_empty() {
                    cookies.extend_from_slice(b"; ");
                }
                cookies.extend_from_slice(value);
            }
            Name::ContentLength => {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
                let plain = value.iter().all(u8::is_ascii_digit);
                match number.filter(|_| plain && declared.is_none()) {
                    Some(number) => declared = Some(number),
                    None => return Err(refused(Reason::AmbiguousFraming, "Content-Length is not one plain number")),
                }
            }
            Name::Other if is_disguised(spelling) => {
                return Err(refused(Reason::AmbiguousFraming, "an underscore makes the field look like another"));
            }
            Name::Expect if !value.eq_ignore_ascii_case(b"100-continue") => {
                return Err(refused(Reason::ExpectationFailed, "an expectation other than 100-continue"));
            }
            name => head.fields.push_known(name, spelling, value),
        }
    }
    if !cookies.is_empty() {
        head.fields.push_known(Name::Cookie, b"cookie", &cookies);
    }
    Ok(declared)
}

/// The size of a list of fields as RFC 9113 section 6.5.2 counts it.
fn list_bytes(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 32) as u64).sum()
}

async fn send(
    limits: &Limits,
    watch: &Watch,
    head: &RequestHead,
    answer: Answer,
    mut respond: SendResponse<Bytes>,
    account: &mut Account,
) {
    let Answer { cleared, held, idle, .. } = answer;
    let status = cleared.head.status;
    account.answered(status);
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    headers.reserve(cleared.head.fields.len() + 1);
    let bodiless = cleared.head.is_bodiless(head.method());
    for field in cleared.head.fields.iter() {
        if field.name != Name::ContentLength || (bodiless && status != 204) {
            append(headers, field.spelling, field.value);
        }
    }
    let mut body = if bodiless { Body::Empty } else { cleared.body };
    if !bodiless && let Some(length) = body.length() {
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let empty = body.is_empty();
    let stream = match respond.send_response(response, empty) {
        Ok(stream) => stream,
        Err(error) => return account.fail(Reason::ClientClosed, error),
    };
    if empty {
        return;
    }
    let declared = body.length();
    let mut outflow = Outflow::new(stream, declared);
    let mut pace = Pace::of_response(idle, limits).with_grace(Limits::duration(limits.h2_stall));
    let sent = poll_fn(|cx| match outflow.poll_send(&mut body, cx) {
        Poll::Ready(sent) => Poll::Ready(sent),
        Poll::Pending => {
            pace.note(outflow.waiting, outflow.carried, watch);
            if watch.poll_expired(cx) {
                let reason = match pace.reason() {
                    Reason::ReaderTooSlow => Reason::Http2Stall,
                    other => other,
                };
                return Poll::Ready(Err(TransferError::Source(BodyError::Slow(reason))));
            }
            Poll::Pending
        }
    })
    .await;
    watch.disarm();
    drop(held);
    account.carried(outflow.carried);
    match sent {
        Ok(()) => {}
        Err(TransferError::Sink(error)) => account.fail(Reason::ClientClosed, error),
        Err(TransferError::Source(error)) => {
            account.fail(error.reason(false), &error);
            outflow.stream.send_reset(h2::Reason::CANCEL);
        }
    }
}
