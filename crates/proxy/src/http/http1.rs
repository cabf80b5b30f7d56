//! The client's side of HTTP/1.1: heads come in, responses go out, one after the other on one connection.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use portcullis_types::{ClientAddr, Limits, Reason};
use portcullis_wire::h1::{self, Framing, HeadBounds, Message, Refused, Scan, encode};
use portcullis_wire::http::{Name, RequestHead, Version};

use super::account::Account;
use super::answer::{Answer, refuse_unread};
use super::body::{Body, BodyError, Coding, H1Body, Outgoing, TransferError, size};
use super::identity::{self, Connection};
use super::leaving::Eye;
use super::pace::Pace;
use super::request::{self, Visit};
use super::response::Interim;
use super::splice;
use crate::sockets::reset;
use crate::stream::{SharedWire, fill, shutdown};
use crate::watch::Watch;
use crate::worker::Worker;

/// After the last response, what the client still sends is read for so long, so that our words reach it before the
/// kernel answers its bytes with a reset.
const LINGER: Duration = Duration::from_secs(2);

/// And so much of it at most.
const LINGER_BYTES: u64 = 256 * 1024;

/// What a connection does after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Next,
    Close,
    /// Close, but the client may still be sending.
    Linger,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(worker: Rc<Worker>, connection: Connection, wire: SharedWire, watch: Watch) {
    let mut served = 0_u64;
    // What had moved on the connection when the request before was accounted for.
    let mut moved = (0, 0);
    loop {
        if !wait_for_request(&worker, &connection, &wire, &watch, served).await {
            return;
        }
        // Everything that a request needs is made when its first byte has come and goes with it: an idle connection
        // holds nothing but this loop.
        let after = Box::pin(one_request(&worker, &connection, &wire, &watch, served, moved)).await;
        served += 1;
        moved = (wire.borrow().read, wire.borrow().written);
        match after {
            After::Next => wire.borrow_mut().rest(),
            After::Close => return shutdown(&wire).await,
            After::Linger => return linger(&wire, &watch).await,
        }
    }
}

/// Waits for the first byte of a request; false when the connection is over.
async fn wait_for_request(
    worker: &Worker,
    connection: &Connection,
    wire: &SharedWire,
    watch: &Watch,
    served: u64,
) -> bool {
    if !wire.borrow().arrived.is_empty() {
        return true;
    }
    if worker.is_draining() && served > 0 {
        return false;
    }
    let limits = worker.limits();
    let span = if served == 0 { limits.head_deadline } else { limits.idle_timeout };
    watch.set_idle(served > 0);
    let came = watch.within(Limits::duration(span), fill(wire)).await;
    watch.set_idle(false);
    match came {
        Ok(Ok(count)) => count > 0,
        Ok(Err(_)) => false,
        Err(_) => {
            let reason = if served == 0 { Reason::HeadTimeout } else { Reason::IdleTimeout };
            worker.connection_refused(reason);
            worker.note_abuse(reason, None, ClientAddr::new(connection.source.ip()));
            false
        }
    }
}

async fn one_request(
    worker: &Rc<Worker>,
    connection: &Connection,
    wire: &SharedWire,
    watch: &Watch,
    served: u64,
    from: (u64, u64),
) -> After {
    let mut account = Account::begin(worker, watch.now(), Version::Http11, connection.errand.is_some());
    let mut head = worker.spare_head();
    let message = match read_head(worker, wire, watch, &mut head).await {
        Ok(message) => message,
        Err(None) => {
            worker.keep_head(head);
            account.abandon();
            return After::Close;
        }
        Err(Some(refused)) => {
            account.identified(identity::resolve(connection, &head, &worker.local().snapshot.policy.trusted));
            let answer = refuse_unread(&mut account, refused);
            let _ = respond(worker, wire, watch, &head, answer, &mut account, true).await;
            finish(account, connection, &head, wire, from);
            worker.keep_head(head);
            return if refused.reason == Reason::HeadTimeout { After::Close } else { After::Linger };
        }
    };
    account.set_version(head.version);

    let limits = worker.limits();
    let body = match message.framing {
        Framing::None => Body::Empty,
        framing => Body::H1(Box::new(H1Body::new(wire, framing, &limits, message.expects_continue))),
    };
    if message.framing == Framing::None {
        wire.borrow_mut().body_done = true;
    }
    let mut interim = if head.version == Version::Http11 { Interim::H1(wire) } else { Interim::Nowhere };
    let room = size(limits.head_bytes);
    let answer = {
        let visit = Visit { worker, connection, head: &head, h2: None, watch, upgrade: message.upgrade };
        let mut work = pin!(request::serve(visit, body, &mut interim, &mut account));
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            // While a platform works, a client that has gone away is noticed, and the work is dropped.
            Poll::Pending if wire.borrow().body_done && wire.borrow_mut().poll_gone(cx, room).is_ready() => {
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        })
        .await
    };
    let Some(answer) = answer else {
        account.fail(Reason::ClientClosed, "the client went away before the response");
        finish(account, connection, &head, wire, from);
        worker.keep_head(head);
        return After::Close;
    };

    let more = limits.requests_per_connection > served + 1 && !worker.is_draining();
    let close =
        !(message.keep_alive && more && answer.keeps_connection && !answer.ends_connection && wire.borrow().body_done);
    let after = respond(worker, wire, watch, &head, answer, &mut account, close).await;
    finish(account, connection, &head, wire, from);
    worker.keep_head(head);
    after
}

/// Closes the account with what has moved on the connection since `from`.
fn finish(account: Account, connection: &Connection, head: &RequestHead, wire: &SharedWire, from: (u64, u64)) {
    let (read, written) = (wire.borrow().read, wire.borrow().written);
    account.finish(connection, head, read - from.0, written - from.1);
}

/// Reads a head whose first byte has come. `Err(None)`: the client went away.
async fn read_head(
    worker: &Worker,
    wire: &SharedWire,
    watch: &Watch,
    head: &mut RequestHead,
) -> Result<Message, Option<Refused>> {
    let limits = worker.limits();
    let bounds = HeadBounds {
        head_bytes: size(limits.head_bytes),
        header_count: size(limits.header_count),
        uri_bytes: size(limits.uri_bytes),
    };
    // One empty line before a request is forgiven (RFC 9112 section 2.2): old clients end a body with it.
    if wire.borrow().arrived.starts_with(b"\r\n") {
        bytes::Buf::advance(&mut wire.borrow_mut().arrived, 2);
    }
    let mut scanned = 0;
    let deadline = watch.now().after(Limits::duration(limits.head_deadline));
    loop {
        let scan = h1::scan(&wire.borrow().arrived, scanned, bounds.head_bytes);
        match scan.map_err(Some)? {
            Scan::Complete(end) => {
                let bytes = wire.borrow_mut().arrived.split_to(end);
                return h1::request(&bytes, &bounds, head).map_err(Some);
            }
            Scan::Incomplete(at) => scanned = at,
        }
        match watch.until(deadline, fill(wire)).await {
            Ok(Ok(count)) if count > 0 => {}
            Ok(_) => return Err(None),
            Err(_) => {
                return Err(Some(Refused { reason: Reason::HeadTimeout, detail: "the head was not complete in time" }));
            }
        }
    }
}

/// Writes an answer. What goes wrong is put into the account.
async fn respond(
    worker: &Rc<Worker>,
    wire: &SharedWire,
    watch: &Watch,
    head: &RequestHead,
    answer: Answer,
    account: &mut Account,
    close: bool,
) -> After {
    let Answer { cleared, held, upgrade: permit, idle, .. } = answer;
    let mut body = cleared.body;
    let mut buffer = worker.spare_buffer();
    let status = cleared.head.status;
    account.answered(status);
    encode::status_line(&mut buffer, status);
    for field in cleared.head.fields.iter().filter(|field| field.name != Name::ContentLength) {
        encode::field(&mut buffer, field.spelling, field.value);
    }
    if let Some(upstream) = cleared.upgrade {
        encode::field(&mut buffer, b"connection", b"upgrade");
        encode::end(&mut buffer);
        // An upgraded connection is counted among its like; its request is over.
        drop(held);
        upgrade(worker, wire, &upstream, watch, (buffer, cleared.eye), account).await;
        drop(permit);
        return After::Close;
    }
    let bodiless = cleared.head.is_bodiless(head.method());
    let mut close = close;
    let coding = if bodiless {
        // What the length would have been is the upstream's to say (RFC 9110 section 8.6).
        if status != 204
            && let Some(length) = cleared.head.fields.get(Name::ContentLength)
        {
            encode::field(&mut buffer, b"content-length", length);
        }
        body = Body::Empty;
        Coding::Plain(Some(0))
    } else {
        match body.length() {
            Some(length) => {
                encode::number_field(&mut buffer, b"content-length", length);
                Coding::Plain(Some(length))
            }
            None if head.version == Version::Http10 => {
                close = true;
                Coding::Plain(None)
            }
            None => {
                encode::field(&mut buffer, b"transfer-encoding", b"chunked");
                Coding::Chunked
            }
        }
    };
    if close {
        encode::field(&mut buffer, b"connection", b"close");
    } else if head.version == Version::Http10 {
        encode::field(&mut buffer, b"connection", b"keep-alive");
    }
    encode::end(&mut buffer);

    let mut outgoing = Outgoing::new(buffer, coding);
    let limits = worker.limits();
    let mut pace = Pace::of_response(idle, &limits);
    let sent = poll_fn(|cx| match outgoing.poll_send(&mut body, wire, cx) {
        Poll::Ready(sent) => Poll::Ready(sent),
        Poll::Pending => {
            pace.note(outgoing.waiting, wire.borrow().written + outgoing.carried, watch);
            if watch.poll_expired(cx) {
                Poll::Ready(Err(TransferError::Source(BodyError::Slow(pace.reason()))))
            } else {
                Poll::Pending
            }
        }
    })
    .await;
    watch.disarm();
    account.carried(outgoing.carried);
    worker.keep_buffer(outgoing.into_buffer());
    drop(held);
    match sent {
        Ok(()) if close => {
            if wire.borrow().body_done && wire.borrow().arrived.is_empty() {
                After::Close
            } else {
                After::Linger
            }
        }
        // The request's body may have ended only while the response was under way.
        Ok(()) if wire.borrow().body_done => After::Next,
        Ok(()) => After::Linger,
        Err(TransferError::Sink(error)) => {
            account.fail(Reason::ClientClosed, error);
            After::Close
        }
        Err(TransferError::Source(error)) => {
            // The status is out: the only honest end is one that the client can tell from a complete response.
            account.fail(error.reason(false), &error);
            reset(wire.borrow().stream.tcp());
            After::Close
        }
    }
}

async fn upgrade(
    worker: &Rc<Worker>,
    wire: &SharedWire,
    upstream: &SharedWire,
    watch: &Watch,
    (head, mut eye): (Vec<u8>, Option<Box<Eye>>),
    account: &mut Account,
) {
    if crate::stream::write_all(wire, &head).await.is_err() {
        return account.fail(Reason::ClientClosed, "the client went away before the upgrade");
    }
    let silence = Limits::duration(worker.limits().upgrade_idle_timeout);
    if let Some(stop) = splice::both_ways(wire, upstream, silence, watch, eye.as_deref_mut()).await {
        account.fail(stop.reason, &stop.detail);
    }
    if let Some(stop) = eye.as_mut().and_then(|eye| eye.finish()) {
        account.fail(stop.reason, &stop.detail);
    }
}

/// Says that no more will come, then reads for a moment what the client still sends.
async fn linger(wire: &SharedWire, watch: &Watch) {
    shutdown(wire).await;
    let from = wire.borrow().read;
    let _ = watch
        .within(LINGER, async {
            while wire.borrow().read - from < LINGER_BYTES {
                wire.borrow_mut().arrived.clear();
                if !matches!(fill(wire).await, Ok(count) if count > 0) {
                    return;
                }
            }
        })
        .await;
}
