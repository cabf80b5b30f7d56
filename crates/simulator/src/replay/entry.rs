//! One line of an access log, whoever wrote it, as what it says of a request.
//!
//! It never guesses: what a line does not say is `None`, and what cannot be read is told in words.

use std::fmt;

use portcullis_types::ClientAddr;
use serde::Serialize;

use super::{json, text};

/// A line longer than this is not read: no server writes one.
pub const LINE_BYTES: usize = 64 * 1024;

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A request.
    Request(Box<Entry>),
    /// A connection that sent something other than a request; servers log those too.
    NoRequest,
    /// Nothing: an empty line, a comment, or a record of something else.
    Nothing,
}

/// What a log says of one request. Texts are as the client sent them, escapes of the log undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it came, in nanoseconds since 1970.
    pub at: u64,
    /// The log knows the second and nothing finer.
    pub coarse: bool,
    /// In which form the line was written.
    pub format: Format,
    /// Who asked, as the server saw it.
    pub client: ClientAddr,
    /// `X-Forwarded-For`, believed only where the client is a trusted proxy.
    pub forwarded: Option<Box<[u8]>>,
    /// The host that was asked for, without its port.
    pub host: Option<Box<[u8]>>,
    /// The method.
    pub method: Box<[u8]>,
    /// The path, without the query.
    pub path: Box<[u8]>,
    /// What stands behind the question mark.
    pub query: Option<Box<[u8]>>,
    /// The status that was answered; 0 for none.
    pub status: u16,
    /// Bytes sent.
    pub bytes: u64,
    /// How long the platform took, in nanoseconds.
    pub origin: Option<u64>,
    /// `User-Agent`.
    pub agent: Option<Box<[u8]>>,
    /// `Referer`.
    pub referer: Option<Box<[u8]>>,
    /// `Accept`.
    pub accept: Option<Box<[u8]>>,
    /// `Accept-Language`.
    pub language: Option<Box<[u8]>>,
    /// `Sec-Fetch-Mode`.
    pub fetch_mode: Option<Box<[u8]>>,
    /// `Cookie`.
    pub cookie: Option<Box<[u8]>>,
    /// JA4 of the ClientHello.
    pub tls: Option<Box<[u8]>>,
}

impl Entry {
    /// A request of which nothing but its time, its client and its form is known.
    pub(crate) fn new(at: u64, client: ClientAddr, format: Format) -> Self {
        Self {
            at,
            coarse: false,
            format,
            client,
            forwarded: None,
            host: None,
            method: Box::default(),
            path: Box::default(),
            query: None,
            status: 0,
            bytes: 0,
            origin: None,
            agent: None,
            referer: None,
            accept: None,
            language: None,
            fetch_mode: None,
            cookie: None,
            tls: None,
        }
    }

    /// Takes a target as a request line has it: a path with its query, or an absolute URL. `None` where it is neither.
    pub(crate) fn set_target(&mut self, target: &[u8]) -> Option<()> {
        let (authority, target) = split_absolute(target);
        if self.host.is_none() {
            self.host = authority.and_then(host);
        }
        if !matches!(target.first(), Some(b'/' | b'*')) {
            return None;
        }
        let question = target.iter().position(|byte| *byte == b'?');
        let (path, query) = match question.and_then(|at| target.split_at_checked(at)) {
            Some((path, query)) => (path, query.get(1..)),
            None => (target, None),
        };
        // Never sent by a browser, often by a scanner; the path ends there.
        let path = path.split(|byte| *byte == b'#').next().unwrap_or(path);
        self.path = path.into();
        self.query = query.map(Into::into);
        Some(())
    }

    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&[u8]> {
        let cookies = self.cookie.as_deref()?.split(|byte| *byte == b';');
        let mut pairs = cookies.map(<[u8]>::trim_ascii);
        pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }
}

/// In which form a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Apache's and nginx' common log format, without referer and agent.
    Common,
    /// The combined format: common with referer and agent.
    Combined,
    /// Either of them behind the virtual host.
    Vhost,
    /// Caddy's JSON.
    Caddy,
    /// Any other JSON.
    Json,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Common => "common",
            Self::Combined => "combined",
            Self::Vhost => "combined with virtual host",
            Self::Caddy => "Caddy JSON",
            Self::Json => "JSON",
        })
    }
}

/// Reads one line, without its newline.
///
/// # Errors
/// In words: what is missing, or cannot be read.
pub fn parse(line: &[u8]) -> Result<Line, &'static str> {
    if line.len() > LINE_BYTES {
        return Err("longer than any server writes a line");
    }
    let line = line.trim_ascii();
    match line.first() {
        None | Some(b'#') => Ok(Line::Nothing),
        Some(b'{') => json::parse(line),
        Some(_) => text::parse(line),
    }
}

/// A host in lower case, without its port and without the dot at its end. `None` for none.
pub(crate) fn host(authority: &[u8]) -> Option<Box<[u8]>> {
    let host = match authority.first() {
        Some(b'[') => authority.split_inclusive(|byte| *byte == b']').next()?,
        _ => authority.split(|byte| *byte == b':').next()?,
    };
    let host = host.strip_suffix(b".").unwrap_or(host);
    let none = host.is_empty() || matches!(host, b"-" | b"_");
    (!none).then(|| host.to_ascii_lowercase().into())
}

/// An address as logs write it, perhaps with a port or in brackets.
pub(crate) fn client(text: &[u8]) -> Option<ClientAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = || text.parse().ok();
    let socket = || text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare().or_else(socket).or_else(bracketed).map(ClientAddr::new)
}

/// A text that servers write as `-` or leave empty when there is none.
pub(crate) fn given(text: &[u8]) -> Option<Box<[u8]>> {
    (!matches!(text, b"" | b"-")).then(|| text.into())
}

/// Seconds with a fraction, several of them where several servers were asked (`0.010, 0.020 : 0.001`), as nanoseconds.
pub(crate) fn seconds(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let parts = text.split([',', ':']).map(str::trim).filter(|part| !matches!(*part, "" | "-"));
    let mut sum = None;
    for part in parts {
        sum = Some(sum.unwrap_or(0.0) + part.parse::<f64>().ok()?);
    }
    duration(sum?)
}

/// Seconds as nanoseconds, where that is a time that a request can take.
pub(crate) fn duration(seconds: f64) -> Option<u64> {
    (0.0..86_400.0).contains(&seconds).then_some((seconds * 1e9) as u64)
}

fn split_absolute(target: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let scheme = |prefix: &[u8]| {
        let (head, rest) = target.split_at_checked(prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then_some(rest)
    };
    let Some(rest) = scheme(b"http://").or_else(|| scheme(b"https://")) else { return (None, target) };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, b""));
    (Some(authority), if path.first() == Some(&b'/') { path } else { b"/" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_clients_and_times_have_many_spellings() {
        for (text, expected) in [
            ("Example.org:443", Some("example.org")),
            ("example.org.", Some("example.org")),
            ("[2001:db8::1]:80", Some("[2001:db8::1]")),
            ("-", None),
            ("_", None),
            ("", None),
        ] {
            assert_eq!(host(text.as_bytes()).as_deref(), expected.map(str::as_bytes), "{text}");
        }
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:4711", Some("192.0.2.1")),
            ("[2001:db8::1]:4711", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("unix:", None),
            ("host.example.org", None),
        ] {
            assert_eq!(client(text.as_bytes()).map(|client| client.to_string()).as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("0.010", Some(10_000_000)),
            ("0.010, 0.020 : 0.005", Some(35_000_000)),
            ("-", None),
            ("-, 0.001", Some(1_000_000)),
            ("-1", None),
            ("nan", None),
            ("x", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn targets_fall_into_path_and_query() {
        for (target, expected) in [
            ("/a?b=c?d", Some(("/a", Some("b=c?d"), None))),
            ("/a?", Some(("/a", Some(""), None))),
            ("/a#b", Some(("/a", None, None))),
            ("*", Some(("*", None, None))),
            ("HTTP://Example.org:80/x?y", Some(("/x", Some("y"), Some("example.org")))),
            ("http://example.org", Some(("/", None, Some("example.org")))),
            ("example.org:443", None),
            ("", None),
        ] {
            let mut entry = Entry::new(0, client(b"192.0.2.1").expect("an address"), Format::Common);
            let found = entry.set_target(target.as_bytes()).map(|()| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                (text(&entry.path), entry.query.as_deref().map(text), entry.host.as_deref().map(text))
            });
            let expected = expected
                .map(|(path, query, host)| (path.to_owned(), query.map(str::to_owned), host.map(str::to_owned)));
            assert_eq!(found, expected, "{target}");
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut entry = Entry::new(0, client(b"192.0.2.1").expect("an address"), Format::Json);
        entry.cookie = Some((*b"xsession=1; session=a=b;session2=3").into());
        assert_eq!(entry.cookie("session"), Some(&b"a=b"[..]));
        assert_eq!(entry.cookie("sess"), None);
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(line in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&line);
        }

        #[test]
        fn no_json_is_too_strange(body in "\\{(\"(ts|time|remote_addr|request|uri|status|host|duration)\":(\"[^\"]{0,20}\"|-?[0-9]{1,22}(\\.[0-9]{1,9})?|null|\\{\\}|\\[\\]),?){0,8}\\}") {
            let _ = parse(body.as_bytes());
        }
    }
}
