//! One request over one HTTP/2 connection to an upstream.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use http::{HeaderName, HeaderValue, Request, Uri, Version};
use portcullis_types::Reason;
use portcullis_wire::http::{Name, RequestHead, ResponseHead};

use super::super::body::{Body, H2Body};
use super::super::outflow::Outflow;
use super::super::rules::Checked;
use super::{Attempt, Pump, Surroundings, Upload, UpstreamBody, pool::Lease};
use crate::stream::SharedWire;

pub(super) async fn exchange(
    checked: &Checked,
    lease: Lease,
    head: &RequestHead,
    body: &mut Option<Body>,
    around: &mut Surroundings<'_, '_>,
) -> Result<(ResponseHead, Body, Option<SharedWire>), Attempt> {
    let reused = lease.is_reused();
    let stale = |error: &h2::Error| Attempt {
        stale: reused && (error.is_go_away() || error.is_io()),
        untouched: error.reason() == Some(h2::Reason::REFUSED_STREAM),
        ..Attempt::new(Reason::UpstreamClosed, error)
    };
    let request = request(checked, &lease, head, body.as_ref(), around)?;
    let sender = lease.sender().ok_or(Attempt::new(Reason::UpstreamConnect, "not an HTTP/2 connection"))?;
    let mut sender = around
        .watch
        .within(checked.transport().connect_timeout, sender.ready())
        .await
        .map_err(|_| Attempt { untouched: true, ..Attempt::new(Reason::UpstreamConnect, "no stream free in time") })?
        .map_err(|error| stale(&error))?;
    let empty = body.as_ref().is_none_or(Body::is_empty);
    let (mut response, stream) = sender.send_request(request, empty).map_err(|error| stale(&error))?;

    let sending = if empty { Body::Empty } else { body.take().unwrap_or(Body::Empty) };
    let outflow = if empty { Outflow::sent(stream) } else { Outflow::new(stream, None) };
    let mut upload = Upload::new(Pump::H2 { outflow, body: sending }, checked, around);
    let parts = loop {
        enum Event {
            Interim(ResponseHead),
            Head(http::Response<h2::RecvStream>),
        }
        let event = poll_fn(|cx| {
            if let Err(failed) = upload.poll(checked, around, cx) {
                return Poll::Ready(Err(failed));
            }
            if let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
                return Poll::Ready(match interim {
                    Ok(interim) => Ok(Event::Interim(head_of(interim.status(), interim.headers()))),
                    Err(error) => Err(stale(&error)),
                });
            }
            match Future::poll(Pin::new(&mut response), cx) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(Event::Head(response))),
                Poll::Ready(Err(error)) => Poll::Ready(Err(stale(&error))),
                Poll::Pending if around.watch.poll_expired(cx) => Poll::Ready(Err(upload.late())),
                Poll::Pending => Poll::Pending,
            }
        })
        .await?;
        match event {
            Event::Interim(interim) if interim.status == 100 => {}
            Event::Interim(interim) => around.interim.pass_on(&interim).await,
            Event::Head(response) => break response,
        }
    };
    around.watch.disarm();
    let (parts, incoming) = parts.into_parts();
    let response = head_of(parts.status, &parts.headers);
    let bodiless = response.is_bodiless(head.method()) || incoming.is_end_stream();
    let declared = if bodiless {
        Some(0)
    } else {
        response.fields.get(Name::ContentLength).and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
    };
    let pump = upload.rest();
    if bodiless && incoming.is_end_stream() && pump.is_none() {
        lease.give_back();
        return Ok((response, Body::Empty, None));
    }
    Ok((
        response,
        Body::Upstream(Box::new(UpstreamBody::h2(H2Body::new(incoming, declared, Rc::default()), pump, lease))),
        None,
    ))
}

fn request(
    checked: &Checked,
    lease: &Lease,
    head: &RequestHead,
    body: Option<&Body>,
    around: &Surroundings<'_, '_>,
) -> Result<Request<()>, Attempt> {
    // Everything was checked when the head was read; what http's types still refuse is refused in their words.
    fn refused(error: impl std::fmt::Display) -> Attempt {
        Attempt::new(Reason::MalformedRequest, error)
    }
    let upstream = lease.server().shared().upstream();
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_2;
    *request.method_mut() = http::Method::from_bytes(head.method()).map_err(refused)?;
    let host = checked.upstream_host(lease.server());
    let mut failed = None;
    let headers = request.headers_mut();
    super::for_each_field(head, around, host, |name, value| {
        if name.eq_ignore_ascii_case(b"host") {
            return;
        }
        match (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => {
                headers.append(name, value);
            }
            (Err(error), _) => failed = Some(refused(error)),
            (_, Err(error)) => failed = Some(refused(error)),
        }
    });
    if let Some(failed) = failed {
        return Err(failed);
    }
    if super::accepts_trailers(head) {
        headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    if let Some(length) = body.and_then(Body::length).filter(|length| *length > 0) {
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    *request.uri_mut() = Uri::builder()
        .scheme(if upstream.tls.is_some() { "https" } else { "http" })
        .authority(host.map_or(head.authority(), str::as_bytes))
        .path_and_query(head.target())
        .build()
        .map_err(refused)?;
    Ok(request)
}

fn head_of(status: http::StatusCode, headers: &http::HeaderMap) -> ResponseHead {
    let mut head = ResponseHead { status: status.as_u16(), ..ResponseHead::default() };
    for (name, value) in headers {
        head.fields.push(name.as_str().as_bytes(), value.as_bytes());
    }
    head
}
