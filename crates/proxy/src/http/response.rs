//! What leaves: the response is brought into the form that the client may see.

use std::cell::RefCell;

use bytes::Bytes;
use portcullis_wire::h1::encode;
use portcullis_wire::http::{Fields, Name, ResponseHead, trim};

use super::body::Body;
use super::upstream::Reply;
use crate::stream::{SharedWire, write_all};

/// A response that may leave. Only [`guard`] and the gate's own pages make one.
pub(crate) struct Cleared {
    pub(crate) head: ResponseHead,
    pub(crate) body: Body,
    pub(crate) upgrade: Option<SharedWire>,
}

/// Takes off what belongs to the connection with the upstream, and adds `Via`.
pub(crate) fn guard(reply: Reply, node: &str) -> Cleared {
    let Reply { head, body, upgrade, .. } = reply;
    let listed = connection_options(&head.fields);
    let mut cleared = ResponseHead { status: head.status, fields: Fields::default() };
    let mut via = Vec::with_capacity(32);
    for field in head.fields.iter() {
        match field.name {
            Name::Via => {
                via.extend_from_slice(field.value);
                via.extend_from_slice(b", ");
            }
            Name::Other if listed.as_ref().is_some_and(|listed| listed.names(field.spelling)) => {}
            Name::Upgrade if upgrade.is_some() => cleared.fields.push_known(field.name, field.spelling, field.value),
            name if name.is_hop_by_hop() => {}
            name => cleared.fields.push_known(name, field.spelling, field.value),
        }
    }
    via.extend_from_slice(b"1.1 ");
    via.extend_from_slice(node.as_bytes());
    cleared.fields.push_known(Name::Via, b"via", &via);
    Cleared { head: cleared, body, upgrade }
}

/// The fields that a `Connection` field names beside its options.
pub(crate) struct Listed<'a> {
    fields: &'a Fields,
}

impl Listed<'_> {
    /// Whether `spelling` is named, so that it does not travel on.
    pub(crate) fn names(&self, spelling: &[u8]) -> bool {
        self.fields
            .all(Name::Connection)
            .any(|value| value.split(|byte| *byte == b',').any(|item| trim(item).eq_ignore_ascii_case(spelling)))
    }
}

/// What `Connection` names; `None` where it names nothing but `keep-alive`, `close` and their kin.
pub(crate) fn connection_options(fields: &Fields) -> Option<Listed<'_>> {
    let ordinary = |item: &[u8]| {
        let item = trim(item);
        item.is_empty() || item.eq_ignore_ascii_case(b"keep-alive") || item.eq_ignore_ascii_case(b"close")
    };
    let plain = fields.all(Name::Connection).all(|value| value.split(|byte| *byte == b',').all(ordinary));
    (!plain).then_some(Listed { fields })
}

/// Where interim responses (1xx) go.
pub(crate) enum Interim<'a> {
    /// The client cannot read them (HTTP/1.0).
    Nowhere,
    H1(&'a SharedWire),
    H2(&'a RefCell<h2::server::SendResponse<Bytes>>),
}

impl Interim<'_> {
    /// Passes one on; a client that is gone will be noticed soon enough.
    pub(crate) async fn pass_on(&mut self, head: &ResponseHead) {
        let travels = |name: Name| !name.is_hop_by_hop() && name != Name::ContentLength;
        match self {
            Self::Nowhere => {}
            Self::H1(wire) => {
                let mut buffer = Vec::with_capacity(256);
                encode::status_line(&mut buffer, head.status);
                for field in head.fields.iter().filter(|field| travels(field.name)) {
                    encode::field(&mut buffer, field.spelling, field.value);
                }
                encode::end(&mut buffer);
                let _ = write_all(wire, &buffer).await;
            }
            Self::H2(respond) => {
                let mut response = http::Response::new(());
                *response.status_mut() =
                    http::StatusCode::from_u16(head.status).unwrap_or(http::StatusCode::PROCESSING);
                for field in head.fields.iter().filter(|field| travels(field.name)) {
                    super::outflow::append(response.headers_mut(), field.spelling, field.value);
                }
                let _ = respond.borrow_mut().send_informational(response);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::upstream::Trace;

    #[test]
    fn what_concerns_one_connection_stays_on_it() {
        let mut head = ResponseHead { status: 200, fields: Fields::default() };
        for (name, value) in [
            ("Content-Type", "text/html"),
            ("Connection", "keep-alive, X-Secret-Hop"),
            ("Keep-Alive", "timeout=5"),
            ("X-Secret-Hop", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Via", "1.1 cache"),
        ] {
            head.fields.push(name.as_bytes(), value.as_bytes());
        }
        let reply = Reply { head, body: Body::Empty, upgrade: None, trace: Trace::default(), admitted: None };
        let cleared = guard(reply, "gate");
        let left: Vec<String> = cleared.head.fields.iter().map(|field| field.to_string()).collect();
        assert_eq!(left, ["Content-Type: text/html", "via: 1.1 cache, 1.1 gate"]);
    }
}
