//! HTTP messages as the gate carries them: ordered fields in one buffer, whatever protocol they came by.
//!
//! Nothing here reads a socket or decides anything. A head owns its bytes, keeps the order and the spelling that the
//! client chose (both tell clients apart), and can be cleared and used again, so that a busy connection allocates
//! nothing per request.

use std::fmt;

use siphasher::sip::SipHasher13;
use std::hash::Hasher as _;

/// A field name that the gate itself has to do with. Everything else is [`Name::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the field of that name
pub enum Name {
    Accept,
    /// Any field by which other proxies name the client, beside the ones below: `True-Client-IP` and its kin.
    ClientIp,
    Connection,
    ContentLength,
    ContentType,
    Cookie,
    Date,
    Expect,
    Forwarded,
    Host,
    Http2Settings,
    KeepAlive,
    ProxyConnection,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    Via,
    XForwardedFor,
    XForwardedHost,
    XForwardedPort,
    XForwardedProto,
    XRealIp,
    XRequestId,
    Other,
}

impl Name {
    /// Recognises a field name in any case.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let (candidate, known): (&[u8], Self) = match (name.len(), name.first().map(u8::to_ascii_lowercase)) {
            (2, Some(b't')) => (b"te", Self::Te),
            (3, Some(b'v')) => (b"via", Self::Via),
            (4, Some(b'h')) => (b"host", Self::Host),
            (4, Some(b'd')) => (b"date", Self::Date),
            (6, Some(b'a')) => (b"accept", Self::Accept),
            (6, Some(b'c')) => (b"cookie", Self::Cookie),
            (6, Some(b'e')) => (b"expect", Self::Expect),
            (7, Some(b'u')) => (b"upgrade", Self::Upgrade),
            (7, Some(b't')) => (b"trailer", Self::Trailer),
            (9, Some(b'f')) => (b"forwarded", Self::Forwarded),
            (9, Some(b'x')) => (b"x-real-ip", Self::XRealIp),
            (9, Some(b'c')) => (b"client-ip", Self::ClientIp),
            (11, Some(b'x')) => match name.get(2).map(u8::to_ascii_lowercase) {
                Some(b'c') => (b"x-client-ip", Self::ClientIp),
                _ => (b"x-forwarded", Self::ClientIp),
            },
            (10, Some(b'c')) => (b"connection", Self::Connection),
            (10, Some(b'k')) => (b"keep-alive", Self::KeepAlive),
            (12, Some(b'c')) => (b"content-type", Self::ContentType),
            (12, Some(b'x')) => (b"x-request-id", Self::XRequestId),
            (14, Some(b'c')) => (b"content-length", Self::ContentLength),
            (13, Some(b'f')) => (b"forwarded-for", Self::ClientIp),
            (14, Some(b't')) => (b"true-client-ip", Self::ClientIp),
            (14, Some(b'h')) => (b"http2-settings", Self::Http2Settings),
            (15, Some(b'x')) => (b"x-forwarded-for", Self::XForwardedFor),
            (16, Some(b'x')) => match name.get(12).map(u8::to_ascii_lowercase) {
                Some(b'h') => (b"x-forwarded-host", Self::XForwardedHost),
                _ => (b"x-forwarded-port", Self::XForwardedPort),
            },
            (16, Some(b'c')) => (b"cf-connecting-ip", Self::ClientIp),
            (16, Some(b'f')) => (b"fastly-client-ip", Self::ClientIp),
            (16, Some(b'p')) => (b"proxy-connection", Self::ProxyConnection),
            (17, Some(b'x')) => (b"x-forwarded-proto", Self::XForwardedProto),
            (17, Some(b't')) => (b"transfer-encoding", Self::TransferEncoding),
            (19, Some(b'x')) => (b"x-cluster-client-ip", Self::ClientIp),
            (24, Some(b'x')) => (b"x-original-forwarded-for", Self::ClientIp),
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(candidate) { known } else { Self::Other }
    }

    /// Fields that belong to one connection and never travel on (RFC 9110 section 7.6.1).
    #[must_use]
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
                | Self::Http2Settings
        )
    }

    /// Fields with which a proxy tells who the client is: the gate rewrites them and believes only trusted proxies'.
    #[must_use]
    pub const fn is_client_claim(self) -> bool {
        matches!(
            self,
            Self::ClientIp
                | Self::Forwarded
                | Self::XForwardedFor
                | Self::XForwardedHost
                | Self::XForwardedPort
                | Self::XForwardedProto
                | Self::XRealIp
        )
    }
}

/// One field: where its name and value stand in the buffer.
#[derive(Debug, Clone, Copy)]
struct Field {
    name: Name,
    name_start: u32,
    name_len: u16,
    value_start: u32,
    value_len: u32,
}

/// Header or trailer fields in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    raw: Vec<u8>,
    list: Vec<Field>,
}

/// A field as seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldRef<'a> {
    /// What the gate knows it as.
    pub name: Name,
    /// The name as it was spelt.
    pub spelling: &'a [u8],
    /// The value without surrounding whitespace.
    pub value: &'a [u8],
}

impl FieldRef<'_> {
    /// Whether the field may come behind a body: none that decides framing, routing, identity or access does (RFC 9110
    /// section 6.5.1).
    #[must_use]
    pub fn may_be_trailer(&self) -> bool {
        let belongs_into_head = self.name.is_hop_by_hop()
            || self.name.is_client_claim()
            || matches!(self.name, Name::ContentLength | Name::Host | Name::Expect | Name::Trailer | Name::Cookie)
            || self.spelling.eq_ignore_ascii_case(b"authorization");
        !belongs_into_head
    }
}

impl Fields {
    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.raw.clear();
        self.list.clear();
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds a field at the end. The caller has checked name and value.
    pub fn push(&mut self, spelling: &[u8], value: &[u8]) {
        self.push_known(Name::of(spelling), spelling, value);
    }

    /// Adds a field whose name is already known.
    pub fn push_known(&mut self, name: Name, spelling: &[u8], value: &[u8]) {
        let name_start = self.raw.len();
        self.raw.extend_from_slice(spelling);
        let value_start = self.raw.len();
        self.raw.extend_from_slice(value);
        self.list.push(Field {
            name,
            name_start: narrow(name_start),
            name_len: u16::try_from(spelling.len()).unwrap_or(u16::MAX),
            value_start: narrow(value_start),
            value_len: narrow(value.len()),
        });
    }

    /// The fields in order.
    pub fn iter(&self) -> impl Iterator<Item = FieldRef<'_>> + Clone {
        self.list.iter().map(|field| self.view(field))
    }

    /// The first value of a known field.
    #[must_use]
    pub fn get(&self, name: Name) -> Option<&[u8]> {
        debug_assert!(name != Name::Other, "ask by spelling");
        self.list.iter().find(|field| field.name == name).map(|field| self.view(field).value)
    }

    /// Every value of a known field, in order.
    pub fn all(&self, name: Name) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
        self.list.iter().filter(move |field| field.name == name).map(|field| self.view(field).value)
    }

    /// The first value of any field, by its name in any case.
    #[must_use]
    pub fn find(&self, spelling: &[u8]) -> Option<&[u8]> {
        self.iter().find(|field| field.spelling.eq_ignore_ascii_case(spelling)).map(|field| field.value)
    }

    /// A print of the order and spelling of the names: it differs between HTTP libraries and survives a change of
    /// address. Sixty-four bits of SipHash-1-3 under a fixed key, so that it is the same on every node.
    #[must_use]
    pub fn order_print(&self) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(0x706f_7274_6375_6c6c, 0x6973_206f_7264_6572);
        for field in &self.list {
            hasher.write(self.view(field).spelling);
            hasher.write_u8(b'\n');
        }
        hasher.finish()
    }

    fn view(&self, field: &Field) -> FieldRef<'_> {
        FieldRef {
            name: field.name,
            spelling: span(&self.raw, field.name_start, u32::from(field.name_len)),
            value: span(&self.raw, field.value_start, field.value_len),
        }
    }
}

/// How an HTTP message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Version {
    /// RFC 1945.
    Http10,
    /// RFC 9112.
    #[default]
    Http11,
    /// RFC 9113.
    Http2,
}

impl Version {
    /// `1.0`, `1.1` or `2`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }
}

/// The head of a request.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    /// How it was sent.
    pub version: Version,
    line: Vec<u8>,
    method_len: usize,
    authority: Vec<u8>,
    /// Header fields; `Host` is among them only as the client sent it, [`RequestHead::authority`] is what counts.
    pub fields: Fields,
}

impl RequestHead {
    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.line.clear();
        self.method_len = 0;
        self.authority.clear();
        self.fields.clear();
    }

    /// Sets method and target. The target is in origin form or `*`.
    pub fn set_line(&mut self, method: &[u8], target: &[u8]) {
        self.line.clear();
        self.line.extend_from_slice(method);
        self.method_len = method.len();
        self.line.extend_from_slice(target);
    }

    /// Sets the authority: host with optional port, as the client spelt it.
    pub fn set_authority(&mut self, authority: &[u8]) {
        self.authority.clear();
        self.authority.extend_from_slice(authority);
    }

    /// The method, as sent: methods are case-sensitive.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.line.get(..self.method_len).unwrap_or_default()
    }

    /// Path and query, or `*`.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.line.get(self.method_len..).unwrap_or_default()
    }

    /// The target up to the first `?`.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        let target = self.target();
        memchr::memchr(b'?', target).map_or(target, |at| target.get(..at).unwrap_or_default())
    }

    /// Host with optional port, as the client spelt it; never empty in a head that was accepted.
    #[must_use]
    pub fn authority(&self) -> &[u8] {
        &self.authority
    }

    /// The authority without its port.
    #[must_use]
    pub fn host(&self) -> &[u8] {
        split_port(&self.authority).0
    }

    /// Whether the method is safe (RFC 9110 section 9.2.1): sending it twice asks for nothing more than once.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        matches!(self.method(), b"GET" | b"HEAD" | b"OPTIONS")
    }
}

/// The head of a response.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    /// Three digits.
    pub status: u16,
    /// Header fields.
    pub fields: Fields,
}

impl ResponseHead {
    /// Whether a response of this status to that method has no body (RFC 9112 section 6.3, cases 1 and 2).
    #[must_use]
    pub fn is_bodiless(&self, method: &[u8]) -> bool {
        method == b"HEAD" || matches!(self.status, 100..=199 | 204 | 304)
    }
}

/// Splits `host:port`; brackets of an IPv6 address stay with the host. The port is `None` where there is none.
#[must_use]
pub fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let after_bracket = memchr::memrchr(b']', authority).map_or(0, |at| at + 1);
    match authority.get(after_bracket..).and_then(|rest| memchr::memchr(b':', rest)) {
        Some(at) => {
            let colon = after_bracket + at;
            (authority.get(..colon).unwrap_or_default(), authority.get(colon + 1..))
        }
        None => (authority, None),
    }
}

/// Whether `authority` is a host with optional port that every parser reads alike: letters, digits, `-`, `.`, `_`, or
/// an address in brackets; a port of at most five digits. No userinfo, no percent-encoding.
#[must_use]
pub fn is_plain_authority(authority: &[u8]) -> bool {
    let (host, port) = split_port(authority);
    let port_ok = port.is_none_or(|port| (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit));
    let host_ok = match host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
        Some(inner) => std::str::from_utf8(inner).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            (1..=253).contains(&host.len())
                && host.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        }
    };
    host_ok && port_ok
}

/// Whether `bytes` is a token (RFC 9110 section 5.6.2).
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| TOKEN.get(usize::from(*byte)).copied().unwrap_or(false))
}

/// Whether `bytes` may be a field value: visible characters, spaces, tabs and bytes above 127, no control character.
#[must_use]
pub fn is_field_value(bytes: &[u8]) -> bool {
    // Folded without a branch so that the compiler can use wide registers.
    bytes.iter().fold(true, |fine, byte| fine & ((*byte >= b' ' && *byte != 0x7f) | (*byte == b'\t')))
}

/// Whether `bytes` may be a request target: visible ASCII without `#`.
#[must_use]
pub fn is_target(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().fold(true, |fine, byte| fine & (*byte > b' ') & (*byte < 0x7f) & (*byte != b'#'))
}

/// Whether an underscore makes an unknown field look like one that the gate knows: CGI, WSGI and their kin turn `_` and
/// `-` into the same variable.
#[must_use]
pub fn is_disguised(spelling: &[u8]) -> bool {
    if !spelling.contains(&b'_') {
        return false;
    }
    let dashed: Vec<u8> = spelling.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
    Name::of(&dashed) != Name::Other
}

/// Spaces and tabs off both ends.
#[must_use]
pub fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation)] // below 256 by the loop
        let character = byte as u8;
        table[byte] = character.is_ascii_alphanumeric()
            || matches!(
                character,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
};

fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn span(raw: &[u8], start: u32, len: u32) -> &[u8] {
    let start = start as usize;
    raw.get(start..start.saturating_add(len as usize)).unwrap_or_default()
}

impl fmt::Display for FieldRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", String::from_utf8_lossy(self.spelling), String::from_utf8_lossy(self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_nothing_else_is() {
        for (spelling, name) in [
            ("HOST", Name::Host),
            ("content-Length", Name::ContentLength),
            ("X-Forwarded-Host", Name::XForwardedHost),
            ("x-forwarded-port", Name::XForwardedPort),
            ("X-Forwarded-Proto", Name::XForwardedProto),
            ("transfer-encoding", Name::TransferEncoding),
            ("True-Client-IP", Name::ClientIp),
            ("CF-Connecting-IP", Name::ClientIp),
            ("X-Cluster-Client-IP", Name::ClientIp),
            ("X-Original-Forwarded-For", Name::ClientIp),
            ("X-Client-Id", Name::Other),
            ("Transfer-Encodinh", Name::Other),
            ("hosts", Name::Other),
            ("", Name::Other),
        ] {
            assert_eq!(Name::of(spelling.as_bytes()), name, "{spelling}");
        }
    }

    #[test]
    fn authorities_that_two_parsers_could_read_differently_are_not_plain() {
        for (authority, plain) in [
            ("example.org", true),
            ("example.org:8080", true),
            ("[2001:db8::1]:443", true),
            ("192.0.2.1", true),
            ("my_host", true),
            ("", false),
            (":80", false),
            ("example.org:", false),
            ("example.org:80:80", false),
            ("example.org:808080", false),
            ("user@example.org", false),
            ("example.org/path", false),
            ("example%2eorg", false),
            ("[::1", false),
            ("[example.org]", false),
            ("exämple.org", false),
            ("a b", false),
        ] {
            assert_eq!(is_plain_authority(authority.as_bytes()), plain, "{authority}");
        }
    }

    #[test]
    fn the_order_print_tells_order_and_spelling_but_not_values() {
        let print = |fields: &[(&str, &str)]| {
            let mut list = Fields::default();
            for (name, value) in fields {
                list.push(name.as_bytes(), value.as_bytes());
            }
            list.order_print()
        };
        let base = print(&[("Host", "a"), ("Accept", "b")]);
        assert_eq!(base, print(&[("Host", "other"), ("Accept", "values")]));
        assert_ne!(base, print(&[("Accept", "b"), ("Host", "a")]));
        assert_ne!(base, print(&[("host", "a"), ("Accept", "b")]));
    }
}
