//! What leaves: the response is brought into the form that the client may see.

use std::cell::RefCell;

use bytes::Bytes;
use portcullis_engine::Business;
use portcullis_types::RouteClass;
use portcullis_wire::h1::encode;
use portcullis_wire::http::{Fields, Name, ResponseHead, trim};

use super::body::Body;
use super::leaving::Eye;
use super::sight;
use super::upstream::Reply;
use crate::stream::{SharedWire, write_all};

/// A response that may leave. Only [`guard`] and the gate's own pages make one.
pub(crate) struct Cleared {
    pub(crate) head: ResponseHead,
    pub(crate) body: Body,
    pub(crate) upgrade: Option<SharedWire>,
    /// Who reads along, where the protocol is another one from here on.
    pub(crate) eye: Option<Box<Eye>>,
}

/// Takes off what belongs to the connection with the upstream and what the platform says to the gate alone, and adds
/// `Via`. `outcome` is the header in which it says what came of a request.
pub(crate) fn guard(reply: Reply, node: &str, outcome: &[u8]) -> Cleared {
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
            Name::Other if is_the_gate_s(field.spelling, field.value, outcome) => {}
            Name::Other if listed.as_ref().is_some_and(|listed| listed.names(field.spelling)) => {}
            Name::Upgrade if upgrade.is_some() => cleared.fields.push_known(field.name, field.spelling, field.value),
            name if name.is_hop_by_hop() => {}
            name => cleared.fields.push_known(name, field.spelling, field.value),
        }
    }
    via.extend_from_slice(b"1.1 ");
    via.extend_from_slice(node.as_bytes());
    cleared.fields.push_known(Name::Via, b"via", &via);
    Cleared { head: cleared, body, upgrade, eye: None }
}

/// What never leaves: the word about the outcome, and cookies of the gate's own names.
fn is_the_gate_s(spelling: &[u8], value: &[u8], outcome: &[u8]) -> bool {
    spelling.eq_ignore_ascii_case(outcome)
        || (spelling.eq_ignore_ascii_case(b"set-cookie") && sight::is_own(sight::name_of(value)))
}

/// What a platform's answer to a request meant: its own word, or for logins and payments its status.
pub(crate) fn business(class: RouteClass, method: &[u8], head: &ResponseHead, outcome: &[u8]) -> Business {
    match head.fields.find(outcome).map(<[u8]>::to_ascii_lowercase).as_deref() {
        Some(b"done") => return Business::Done,
        Some(b"failed") => return Business::Failed,
        Some(b"code-sent") => return Business::CodeSent,
        _ => {}
    }
    if !matches!(class, RouteClass::Login | RouteClass::Payment) || method != b"POST" {
        return Business::Nothing;
    }
    match head.status {
        401 | 402 | 403 | 422 => Business::Failed,
        200..=399 => Business::Done,
        _ => Business::Nothing,
    }
}

/// Whether a cookie for one visitor may be put on it: a document that nobody keeps for others.
pub(crate) fn may_carry_cookie(head: &ResponseHead) -> bool {
    let html = head
        .fields
        .get(Name::ContentType)
        .is_some_and(|kind| kind.get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/html")));
    let directives = || {
        let all = head.fields.iter().filter(|field| field.spelling.eq_ignore_ascii_case(b"cache-control"));
        all.flat_map(|field| field.value.split(|byte| *byte == b',')).map(trim)
    };
    let named = |name: &[u8]| {
        directives().any(|directive| {
            directive.split(|byte| *byte == b'=').next().is_some_and(|it| it.eq_ignore_ascii_case(name))
        })
    };
    let shared = named(b"public") || named(b"s-maxage") || named(b"immutable");
    let kept = named(b"max-age") && !(named(b"private") || named(b"no-store") || named(b"no-cache"));
    (200..300).contains(&head.status) && html && !shared && !kept
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
            ("X-Outcome", "done"),
            ("Set-Cookie", "session=1; Path=/"),
            ("Set-Cookie", "portcullis=forged; Path=/"),
            ("set-cookie", "portcullis_step=forged"),
        ] {
            head.fields.push(name.as_bytes(), value.as_bytes());
        }
        let reply = Reply { head, body: Body::Empty, upgrade: None, trace: Trace::default(), admitted: None };
        let cleared = guard(reply, "gate", b"x-outcome");
        let left: Vec<String> = cleared.head.fields.iter().map(|field| field.to_string()).collect();
        let expected = ["Content-Type: text/html", "Set-Cookie: session=1; Path=/", "via: 1.1 cache, 1.1 gate"];
        assert_eq!(left, expected);
    }

    fn head(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
        let mut head = ResponseHead { status, fields: Fields::default() };
        fields.iter().for_each(|(name, value)| head.fields.push(name.as_bytes(), value.as_bytes()));
        head
    }

    #[test]
    fn the_platform_says_what_a_request_came_to_or_its_status_does() {
        use RouteClass::{Login, Page, Payment};
        type Case = (RouteClass, &'static str, u16, &'static [(&'static str, &'static str)], Business);
        let table: [Case; 9] = [
            (Login, "POST", 303, &[], Business::Done),
            (Login, "POST", 401, &[], Business::Failed),
            (Login, "POST", 500, &[], Business::Nothing),
            (Login, "GET", 200, &[], Business::Nothing),
            (Login, "POST", 200, &[("X-Outcome", "Failed")], Business::Failed),
            (Payment, "POST", 402, &[("x-outcome", "gibberish")], Business::Failed),
            (Payment, "POST", 404, &[], Business::Nothing),
            (Page, "POST", 200, &[], Business::Nothing),
            (Page, "GET", 200, &[("x-outcome", "code-sent")], Business::CodeSent),
        ];
        for (class, method, status, fields, expected) in table {
            let said = business(class, method.as_bytes(), &head(status, fields), b"x-outcome");
            assert_eq!(said, expected, "{class} {method} {status} {fields:?}");
        }
    }

    #[test]
    fn no_cookie_goes_where_others_may_get_it() {
        let table = [
            (200, "text/html", "", true),
            (200, "Text/HTML; charset=utf-8", "private, max-age=60", true),
            (200, "text/html", "no-cache", true),
            (200, "text/html", "max-age=60", false),
            (200, "text/html", "Public, max-age=60", false),
            (200, "text/html", "private, s-maxage=60", false),
            (200, "image/png", "", false),
            (404, "text/html", "", false),
            (304, "text/html", "", false),
        ];
        for (status, kind, control, expected) in table {
            let fields = [("content-type", kind), ("cache-control", control)];
            let fields = if control.is_empty() { &fields[..1] } else { &fields[..] };
            assert_eq!(may_carry_cookie(&head(status, fields)), expected, "{status} {kind} {control}");
        }
    }
}
