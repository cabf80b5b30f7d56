//! Who is asking: the socket's address, or what a trusted proxy vouches for. Never what the client says of itself.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use portcullis_config::policy::{ForwardedHeader, TlsVersion, TrustedProxies};
use portcullis_types::ClientAddr;
use portcullis_wire::forwarded::{self, Syntax};
use portcullis_wire::http::{Name, RequestHead};
use portcullis_wire::tls::Ja4;

use crate::journal::Source;
use crate::probe::Errand;

/// What is known of a connection before its first request.
pub(crate) struct Connection {
    /// Which listener accepted it.
    pub(crate) listener: usize,
    /// The other end of the socket.
    pub(crate) peer: SocketAddr,
    /// Who the PROXY header says it is; the peer where there was none.
    pub(crate) source: SocketAddr,
    /// Whether a PROXY header said so.
    pub(crate) proxied: bool,
    /// What the handshake told, where there was one.
    pub(crate) tls: Option<TlsFacts>,
    /// The gate itself made it, to probe what it inspects or to see what visitors get.
    pub(crate) errand: Option<Errand>,
}

/// What a handshake told about the client.
pub(crate) struct TlsFacts {
    pub(crate) version: TlsVersion,
    pub(crate) ja4: Option<Ja4>,
    /// What the engine knows the browser by, see [`portcullis_wire::tls::ClientHello::stack`].
    pub(crate) stack: Option<Ja4>,
}

/// Who is asking.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) address: ClientAddr,
    pub(crate) vouched: Source,
    /// Whether the visitor spoke HTTPS, with us or with the trusted proxy in front.
    secure: bool,
}

/// Whether `address` is one of the trusted proxies.
pub(crate) fn is_trusted(trusted: &TrustedProxies, address: IpAddr) -> bool {
    trusted.networks.iter().any(|network| network.contains(address))
}

/// Finds out who is asking. The answer is always an address that somebody other than the client has seen.
pub(crate) fn resolve(connection: &Connection, head: &RequestHead, trusted: &TrustedProxies) -> Client {
    let secure = connection.tls.is_some();
    let source = connection.source.ip();
    let vouched = if connection.proxied { Source::ProxyProtocol } else { Source::Socket };
    if trusted.networks.is_empty() || !is_trusted(trusted, source) {
        return Client { address: ClientAddr::new(source), vouched, secure };
    }
    let (name, syntax) = match trusted.header {
        ForwardedHeader::XForwardedFor => (Name::XForwardedFor, Syntax::XForwardedFor),
        ForwardedHeader::Forwarded => (Name::Forwarded, Syntax::Forwarded),
    };
    let found = forwarded::client(source, syntax, head.fields.all(name), |address| is_trusted(trusted, address));
    let secure = match head.fields.get(Name::XForwardedProto) {
        Some(proto) => proto.eq_ignore_ascii_case(b"https"),
        None => secure,
    };
    let vouched = if found.hops > 0 { Source::Forwarded } else { vouched };
    Client { address: ClientAddr::new(found.address), vouched, secure }
}

impl Client {
    /// Whether the visitor spoke HTTPS.
    pub(crate) const fn is_secure(&self) -> bool {
        self.secure
    }

    /// `https` or `http`, as the visitor spoke it.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// The fields that tell the upstream who is asking. One address each, so that an application that reads them from
    /// the left and one that reads from the right see the same.
    pub(crate) fn forwarded_fields(&self, head: &RequestHead, mut put: impl FnMut(&[u8], &[u8])) {
        let mut text = [0_u8; 64];
        let address = written(&mut text, format_args!("{}", self.address));
        put(b"x-forwarded-for", address);
        put(b"x-real-ip", address);
        put(b"x-forwarded-proto", self.scheme().as_bytes());
        put(b"x-forwarded-host", head.authority());
        let mut line = Vec::with_capacity(96);
        let _ = match self.address.ip() {
            IpAddr::V4(v4) => write!(line, "for={v4}"),
            IpAddr::V6(v6) => write!(line, "for=\"[{v6}]\""),
        };
        let _ = write!(line, ";proto={};host=\"", self.scheme());
        line.extend_from_slice(head.authority());
        line.push(b'"');
        put(b"forwarded", &line);
    }
}

/// Formats into `text`, which is long enough for any address.
fn written<'a>(text: &'a mut [u8], arguments: std::fmt::Arguments<'_>) -> &'a [u8] {
    let total = text.len();
    let mut rest = &mut text[..];
    let _ = rest.write_fmt(arguments);
    let used = total - rest.len();
    text.get(..used).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_types::Prefix;

    fn resolve_as(source: &str, proxied: bool, fields: &[(&str, &str)]) -> (String, Source, &'static str) {
        let trusted = TrustedProxies {
            networks: vec![Prefix::parse("10.0.0.0/8").expect("a network")],
            header: ForwardedHeader::XForwardedFor,
        };
        let source: SocketAddr = source.parse().expect("an address");
        let connection = Connection { listener: 0, peer: source, source, proxied, tls: None, errand: None };
        let mut head = RequestHead::default();
        for (name, value) in fields {
            head.fields.push(name.as_bytes(), value.as_bytes());
        }
        let client = resolve(&connection, &head, &trusted);
        (client.address.to_string(), client.vouched, client.scheme())
    }

    #[test]
    fn nobody_is_who_they_say_they_are() {
        let claim =
            [("X-Forwarded-For", "203.0.113.66"), ("Forwarded", "for=203.0.113.66"), ("X-Real-IP", "203.0.113.66")];
        assert_eq!(resolve_as("192.0.2.1:1", false, &claim), ("192.0.2.1".to_owned(), Source::Socket, "http"));
        assert_eq!(
            resolve_as("192.0.2.1:1", false, &[("X-Forwarded-Proto", "https")]).2,
            "http",
            "nor do they speak what they say they speak"
        );
    }

    #[test]
    fn a_trusted_proxy_is_believed_from_the_right() {
        let through = [("X-Forwarded-For", "203.0.113.66, 198.51.100.7"), ("X-Forwarded-Proto", "https")];
        assert_eq!(resolve_as("10.1.2.3:1", false, &through), ("198.51.100.7".to_owned(), Source::Forwarded, "https"));
        assert_eq!(resolve_as("10.1.2.3:1", true, &[]), ("10.1.2.3".to_owned(), Source::ProxyProtocol, "http"));
    }
}
