//! What goes back to a client: a platform's response, or a page of the gate's own.

use std::time::Duration;

use bytes::Bytes;
use portcullis_engine::{Admitted, Refusal, UpgradePermit};
use portcullis_types::Reason;
use portcullis_wire::h1::Refused;
use portcullis_wire::http::{Fields, Name, RequestHead, ResponseHead};

use super::account::Account;
use super::body::Body;
use super::response::Cleared;
use crate::pages;

/// How long a page of the gate's own may take to leave; it is all there, so this never matters.
pub(crate) const OWN_PAGE: Duration = Duration::from_secs(60);

/// What goes back to the client, and what must be held until it has gone.
pub(crate) struct Answer {
    pub(crate) cleared: Cleared,
    /// The places that the request holds in the declared concurrency.
    pub(crate) held: Option<Admitted>,
    /// The place among the upgraded connections.
    pub(crate) upgrade: Option<UpgradePermit>,
    /// How long the platform may be silent in the middle of its response.
    pub(crate) idle: Duration,
    /// Whether the connection may carry another request.
    pub(crate) keeps_connection: bool,
    /// Whether the engine wants the connection to end, whatever the protocol could still carry.
    pub(crate) ends_connection: bool,
}

/// The answer of a listener that only sends visitors to HTTPS.
pub(crate) fn redirect(account: &Account, head: &RequestHead, port: u16) -> Answer {
    let host = String::from_utf8_lossy(head.host()).into_owned();
    let target = String::from_utf8_lossy(if head.target() == b"*" { b"/" } else { head.target() }).into_owned();
    let location =
        if port == 443 { format!("https://{host}{target}") } else { format!("https://{host}:{port}{target}") };
    // 308 keeps method and body; browsers remember neither wrongly.
    let page = pages::redirect(308, &location);
    let mut answer = own(account, &page);
    answer.cleared.head.fields.push(b"location", location.as_bytes());
    answer
}

/// The page for a refusal. The connection survives it unless where the next request begins is no longer known.
pub(crate) fn refuse(account: &mut Account, head: &RequestHead, refusal: &Refusal) -> Answer {
    account.fail(refusal.reason, &refusal.detail);
    let json = pages::wants_json(head.fields.get(Name::Accept));
    let page = pages::page(refusal.reason, account.reference, json, refusal.retry_after, account.contact());
    let mut answer = own(account, &page);
    if let Some(wait) = refusal.retry_after {
        let seconds = pages::retry_after_seconds(wait).to_string();
        answer.cleared.head.fields.push(b"retry-after", seconds.as_bytes());
    }
    if refusal.reason == Reason::MethodNotAllowed
        && let Some(methods) = account.methods()
    {
        answer.cleared.head.fields.push(b"allow", methods.as_bytes());
    }
    answer
}

/// The answer for a path of the gate's own that does not exist.
pub(crate) fn absent(account: &Account) -> Answer {
    own(account, &pages::absent())
}

/// An answer without a word in it.
pub(crate) fn nothing() -> Answer {
    let mut head = ResponseHead { status: 204, fields: Fields::default() };
    head.fields.push(b"cache-control", b"no-store");
    let cleared = Cleared { head, body: Body::Empty, upgrade: None, eye: None };
    Answer { cleared, held: None, upgrade: None, idle: OWN_PAGE, keeps_connection: true, ends_connection: false }
}

/// The page for a request whose head was refused; the connection closes after it.
pub(crate) fn refuse_unread(account: &mut Account, refused: Refused) -> Answer {
    account.fail(refused.reason, refused.detail);
    let page = pages::page(refused.reason, account.reference, false, None, account.contact());
    Answer { keeps_connection: false, ..own(account, &page) }
}

/// A response of the gate's own.
fn own(account: &Account, page: &pages::Page) -> Answer {
    let mut head = ResponseHead { status: page.status, fields: Fields::default() };
    head.fields.push(b"content-type", page.content_type.as_bytes());
    head.fields.push(b"cache-control", b"no-store");
    head.fields.push(b"content-security-policy", pages::CONTENT_SECURITY_POLICY.as_bytes());
    head.fields.push(b"x-portcullis-ref", &account.reference.word());
    let body = Body::Full(Bytes::copy_from_slice(page.body.as_bytes()));
    let cleared = Cleared { head, body, upgrade: None, eye: None };
    Answer { cleared, held: None, upgrade: None, idle: OWN_PAGE, keeps_connection: true, ends_connection: false }
}
