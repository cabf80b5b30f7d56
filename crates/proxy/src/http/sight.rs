//! What the engine is shown of a request: one pass over its fields, nothing copied, nothing allocated.
//!
//! Nothing here is believed; the engine hashes all of it.

use portcullis_engine::{Ask, Sight};
use portcullis_wire::http::{Name, RequestHead, trim};

use super::challenge::{PLACE, TOKEN};
use super::identity::{Client, Connection};
use crate::state::Snapshot;
use crate::worker::unix_millis;

/// What is asked of the engine for a request. Platform and route come from the same snapshot's router.
pub(crate) fn ask<'a>(
    snapshot: &'a Snapshot,
    connection: &'a Connection,
    head: &'a RequestHead,
    h2: Option<&'a [u8]>,
    client: Client,
    (platform, route): (usize, usize),
) -> Ask<'a> {
    let declared = &snapshot.policy.platforms[platform];
    let class = declared.routes[route].class;
    let session_name = declared.session_cookie.as_ref().map(String::as_bytes);
    let key_name = declared.api_key_header.as_ref().map(String::as_bytes);
    let (mut session, mut api_key) = (None, None);
    let target = head.target();
    let path = head.path();
    let mut sight = Sight {
        method: head.method(),
        path,
        query: target.get(path.len() + 1..).filter(|_| target.len() > path.len()),
        host: head.host(),
        order: head.fields.order_print(),
        tls: connection
            .tls
            .as_ref()
            .and_then(|tls| tls.stack.as_ref())
            .map(|stack| AsRef::<str>::as_ref(stack).as_bytes()),
        h2,
        ..Sight::default()
    };
    for field in head.fields.iter() {
        let value = Some(field.value);
        match field.name {
            Name::Cookie => {
                for (name, value) in cookies(field.value) {
                    let wanted = match name {
                        TOKEN => &mut sight.token,
                        PLACE => &mut sight.ticket,
                        name if Some(name) == session_name => &mut session,
                        _ => continue,
                    };
                    wanted.get_or_insert(value);
                }
            }
            Name::Accept => sight.accept = sight.accept.or(value),
            Name::ContentLength => {
                sight.length = std::str::from_utf8(field.value).ok().and_then(|digits| digits.parse().ok());
            }
            Name::Other => {
                let spelt = |name: &[u8]| field.spelling.eq_ignore_ascii_case(name);
                match field.spelling.len() {
                    7 if spelt(b"referer") => sight.referer = sight.referer.or(value),
                    10 if spelt(b"user-agent") => sight.agent = sight.agent.or(value),
                    14 if spelt(b"sec-fetch-mode") => sight.fetch_mode = sight.fetch_mode.or(value),
                    15 if spelt(b"accept-language") => sight.language = sight.language.or(value),
                    _ => {}
                }
            }
            _ => {}
        }
        if api_key.is_none() && key_name.is_some_and(|name| field.spelling.eq_ignore_ascii_case(name)) {
            api_key = value;
        }
    }
    Ask { client: client.address, platform, route, class, session, api_key, sight, wall: unix_millis() }
}

/// Names and values of a `Cookie` field.
pub(crate) fn cookies(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    value.split(|byte| *byte == b';').filter_map(|pair| {
        let pair = trim(pair);
        let equals = memchr::memchr(b'=', pair)?;
        Some((pair.get(..equals)?, pair.get(equals + 1..)?))
    })
}

/// Whether a cookie of that name is the gate's: no platform gets it, and none may set it.
pub(crate) fn is_own(name: &[u8]) -> bool {
    name.strip_prefix(TOKEN).is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'_'))
}

/// A `Cookie` field as the platform gets it: `None` where nothing of the gate's is in it, which is nearly always.
pub(crate) fn without_own(value: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(value, TOKEN)?;
    if !value.split(|byte| *byte == b';').any(|pair| is_own(name_of(pair))) {
        return None;
    }
    let mut left = Vec::with_capacity(value.len());
    for pair in value.split(|byte| *byte == b';').map(trim).filter(|pair| !is_own(name_of(pair))) {
        if !left.is_empty() {
            left.extend_from_slice(b"; ");
        }
        left.extend_from_slice(pair);
    }
    Some(left)
}

/// The name in `name=value` or in `name=value; Path=/`.
pub(crate) fn name_of(pair: &[u8]) -> &[u8] {
    trim(pair.split(|byte| matches!(byte, b'=' | b';')).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_gate_s_cookies_are_taken_off() {
        let table = [
            ("", None),
            ("session=1; theme=dark", None),
            ("theme=portcullis; x_portcullis=1; portcullisx=2", None),
            ("portcullis=abc", Some("")),
            ("session=1; portcullis=abc; theme=dark", Some("session=1; theme=dark")),
            ("portcullis_place=1;session=1;portcullis_step=2; portcullis=3", Some("session=1")),
            ("a=b=c; portcullis; d", Some("a=b=c; d")),
        ];
        for (value, expected) in table {
            let left = without_own(value.as_bytes());
            assert_eq!(left.as_deref(), expected.map(str::as_bytes), "{value}");
        }
    }

    #[test]
    fn cookies_are_read_by_their_whole_name() {
        let read: Vec<_> = cookies(b"a=1;  portcullis=x=y ; b ;portcullis_place=").collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"portcullis", b"x=y"), (b"portcullis_place", b"")];
        assert_eq!(read, expected);
    }
}
