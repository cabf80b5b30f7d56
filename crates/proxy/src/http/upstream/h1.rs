//! One request over one HTTP/1.1 connection to an upstream.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Buf as _;
use portcullis_types::Reason;
use portcullis_wire::h1::{self, Scan, encode};
use portcullis_wire::http::{Name, RequestHead, ResponseHead};

use super::super::body::{Body, H1Body, Outgoing, size};
use super::super::rules::Checked;
use super::{Attempt, Pump, Surroundings, Upload, UpstreamBody, closed, pool::Lease};
use crate::stream::SharedWire;

/// Interim responses that one request may have; an upstream that sends more never means to answer.
const INTERIM_RESPONSES: u32 = 16;

pub(super) async fn exchange(
    checked: &Checked,
    mut lease: Lease,
    head: &RequestHead,
    body: &mut Option<Body>,
    around: &mut Surroundings<'_, '_>,
) -> Result<(ResponseHead, Body, Option<SharedWire>), Attempt> {
    let wire = SharedWire::clone(lease.wire());
    let reused = lease.is_reused();
    let mut buffer = Vec::with_capacity(1024);
    encode::request_line(&mut buffer, head.method(), head.target());
    super::for_each_field(head, around, checked.upstream_host(lease.server()), |name, value| {
        encode::field(&mut buffer, name, value);
    });
    if super::offers_upgrade(checked, head) {
        encode::field(&mut buffer, b"connection", b"upgrade");
        encode::field(&mut buffer, b"upgrade", head.fields.get(Name::Upgrade).unwrap_or_default());
    } else if super::accepts_trailers(head) {
        encode::field(&mut buffer, b"connection", b"te");
        encode::field(&mut buffer, b"te", b"trailers");
    }
    let coding = super::coding_of(body.as_ref().unwrap_or(&Body::Empty), head.method(), &mut buffer);
    encode::end(&mut buffer);

    // From here on the server may have seen something; an empty body can be sent again, another cannot.
    let sending =
        if body.as_ref().is_none_or(Body::is_empty) { Body::Empty } else { body.take().unwrap_or(Body::Empty) };
    let outgoing = Outgoing::new(buffer, coding).until_the_end();
    let pump = Pump::H1 { outgoing, body: sending, wire: SharedWire::clone(&wire) };
    let mut upload = Upload::new(pump, checked, around);
    let mut scanned = 0;
    let mut interim = 0;
    loop {
        let end = poll_fn(|cx| {
            if let Err(failed) = upload.poll(checked, around, cx) {
                return Poll::Ready(Err(failed));
            }
            let mut guard = wire.borrow_mut();
            loop {
                if !guard.arrived.is_empty() {
                    match h1::scan(&guard.arrived, scanned, size(around.limits.response_head_bytes)) {
                        Ok(Scan::Complete(end)) => return Poll::Ready(Ok(end)),
                        Ok(Scan::Incomplete(at)) => scanned = at,
                        Err(refused) => {
                            return Poll::Ready(Err(Attempt::new(Reason::UpstreamProtocol, refused.detail)));
                        }
                    }
                }
                match guard.poll_fill(cx) {
                    Poll::Ready(Ok(0)) => {
                        let mut ended = Attempt::new(Reason::UpstreamClosed, "closed before its response was complete");
                        ended.stale = reused && guard.arrived.is_empty();
                        return Poll::Ready(Err(ended));
                    }
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => {
                        let mut ended = closed(&error);
                        ended.stale = reused && guard.arrived.is_empty();
                        return Poll::Ready(Err(ended));
                    }
                    Poll::Pending if around.watch.poll_expired(cx) => return Poll::Ready(Err(upload.late())),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await?;
        scanned = 0;

        let mut response = ResponseHead::default();
        let bytes = wire.borrow_mut().arrived.split_to(end);
        let message = h1::response(&bytes, size(around.limits.header_count).max(256), head.method(), &mut response)
            .map_err(|refused| Attempt::new(refused.reason, refused.detail))?;
        match response.status {
            101 if super::offers_upgrade(checked, head) => {
                around.watch.disarm();
                return Ok((response, Body::Empty, Some(lease.into_wire())));
            }
            101 => return Err(Attempt::new(Reason::UpstreamProtocol, "switched protocols without being asked")),
            100..=199 => {
                interim += 1;
                if interim > INTERIM_RESPONSES {
                    return Err(Attempt::new(Reason::UpstreamProtocol, "more than 16 interim responses"));
                }
                if response.status != 100 {
                    around.interim.pass_on(&response).await;
                }
                continue;
            }
            _ => {}
        }
        around.watch.disarm();
        if !message.keep_alive {
            lease.spoil();
        }
        let pump = upload.rest();
        let incoming = H1Body::new(&wire, message.framing, around.limits, false);
        if incoming.length() == Some(0) && pump.is_none() {
            if wire.borrow().arrived.has_remaining() {
                lease.spoil(); // It said more than it was asked.
            }
            lease.give_back();
            return Ok((response, Body::Empty, None));
        }
        return Ok((response, Body::Upstream(Box::new(UpstreamBody::h1(incoming, pump, lease))), None));
    }
}
