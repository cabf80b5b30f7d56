//! What a key may hold: how it is read, how it is written, and what to say when it is neither.
//!
//! A kind looks at one value alone; whatever needs two keys or the outside is in `check.rs`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use portcullis_types::Prefix;
use toml::de::DeValue;

use crate::database::known_session;
use crate::evidence::looks_like_a_key;
use crate::inspection::Exclusion;
use crate::leaving::record_part;
use crate::path::normal_path;
use crate::policy::PathPattern;
use crate::problem::{Problems, either, nearest};
use crate::units::{Dimension, Wrong};

type Spanned<'a> = toml::Spanned<DeValue<'a>>;

/// Bytes of a line that a person writes.
const WORDS: usize = 400;

/// The kind of a key's value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Flag,
    /// A number from least to most.
    Count(u64, u64),
    /// A quantity with a unit, from least to most.
    Quantity(Dimension, u64, u64),
    /// Requests over time.
    Rate,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Lower-case letters, digits, hyphens.
    Name,
    /// A line of anything that a person writes.
    Words,
    /// An RFC 9110 token: a method, the name of a header or a cookie, a pseudonym in `Via`.
    Token(Case),
    /// A role of a database and from where it comes: `backup@10.0.0.9`.
    Whence,
    /// SHA-256 in hexadecimal digits.
    Digest,
    /// A file, relative to the configuration.
    File,
    /// Address and port to listen on.
    Socket,
    /// A network in CIDR form, or an address.
    Network,
    /// A host that visitors ask for; perhaps `*.` in front.
    Host,
    /// A host alone, without `*.`.
    ServerName,
    /// Where requests go.
    Upstream,
    /// A server of another protocol: host and port.
    Server,
    /// A path in a URL.
    UrlPath,
    /// A path in a URL, perhaps with `/**` at its end.
    Route,
    /// Rules or a family, perhaps of one variable only.
    Exclusion,
    /// A kind of personal data, or a field by its name.
    RecordPart,
    /// The key of a signed note.
    NoteKey,
    List(&'static Kind),
}

/// What happens to the case of a token.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Case {
    Kept,
    /// Compared without case, kept in lower.
    Lower,
    /// Refused unless upper.
    Upper,
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Flag(bool),
    Number(u64),
    Rate { count: u64, seconds: u64 },
    Text(String),
    Socket(SocketAddr),
    Network(Prefix),
    Upstream(Url),
    Route(PathPattern),
    List(Vec<(Range<usize>, Value)>),
}

/// An upstream's address as declared, before its name is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) text: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    pub(crate) http2: bool,
}

impl Value {
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn upstream(&self) -> Option<&Url> {
        if let Self::Upstream(url) = self { Some(url) } else { None }
    }
}

impl Url {
    /// The host without the brackets of an IPv6 address.
    pub(crate) fn bare_host(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }
}

/// What is wrong with one value: code, message, hint; the caller knows where it stands.
type Fault = (&'static str, String, Option<String>);

fn fault<T>(code: &'static str, message: impl Into<String>, hint: Option<String>) -> Result<T, Fault> {
    Err((code, message.into(), hint))
}

impl Kind {
    /// Reads a value where it stands.
    pub(crate) fn read(self, key: &str, value: &Spanned<'_>, problems: &mut Problems) -> Option<Value> {
        let read = match (self, value.get_ref()) {
            (Self::List(kind), DeValue::Array(items)) => {
                let values: Vec<_> = items.iter().map(|item| (item.span(), kind.read(key, item, problems))).collect();
                return Some(Value::List(values.into_iter().filter_map(|(at, value)| Some((at, value?))).collect()));
            }
            (Self::Flag, DeValue::Boolean(flag)) => Ok(Value::Flag(*flag)),
            (Self::Count(least, most), DeValue::Integer(number)) => {
                let read = u64::from_str_radix(number.as_str(), number.radix()).ok();
                match read.filter(|number| (least..=most).contains(number)) {
                    Some(number) => Ok(Value::Number(number)),
                    None => fault("out-of-range", format!("`{key}` is {number}, not {}", self.describe()), None),
                }
            }
            (Self::Flag | Self::Count(..) | Self::List(_), found) => fault(
                "wrong-type",
                format!("`{key}` must be {}, not {}", self.in_short(), article(found.type_str())),
                self.retyped(found),
            ),
            (_, DeValue::String(text)) => self.parse(text),
            (_, DeValue::Integer(number)) if self.dimension().is_some() => {
                missing_unit(self.dimension(), number.as_str())
            }
            (_, found) => fault(
                "wrong-type",
                format!("`{key}` must be a string ({}), not {}", self.describe(), article(found.type_str())),
                self.retyped(found),
            ),
        };
        match read {
            Ok(value) => Some(value),
            Err((code, message, hint)) => {
                problems.error(code, &value.span(), message).label(format!("in `{key}`")).hints.extend(hint);
                None
            }
        }
    }

    /// Reads the text of a string, or a default as the schema writes it.
    pub(crate) fn parse(self, text: &str) -> Result<Value, Fault> {
        match self {
            Self::Flag => Ok(Value::Flag(text == "true")),
            Self::Count(..) => text.parse().map(Value::Number).or_else(|_| fault("wrong-type", "not a number", None)),
            Self::List(_) => Ok(Value::List(Vec::new())),
            Self::Quantity(dimension, least, most) => match dimension.parse(text) {
                Ok(value) if (least..=most).contains(&value) => Ok(Value::Number(value)),
                Ok(_) => fault("out-of-range", format!("`{text}` is not {}", self.describe()), None),
                Err(wrong) => quantity(dimension, text, wrong),
            },
            Self::Rate => match Dimension::Rate.split(text) {
                Ok((count @ 1..=10_000_000, seconds)) => Ok(Value::Rate { count, seconds }),
                Ok(_) => fault("out-of-range", format!("`{text}` is not {}", self.describe()), None),
                Err(wrong) => quantity(Dimension::Rate, text, wrong),
            },
            Self::Choice(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Self::Choice(words) => {
                let near = nearest(text, words.iter().copied());
                let hint = if near.is_empty() { either(&quoted(words)) } else { either(&quoted(&near)) };
                fault("unknown-choice", format!("`{text}` is not one of the choices"), Some(format!("write {hint}")))
            }
            Self::Name => name(text),
            Self::Words if text.trim().is_empty() => fault("bad-words", "nothing is written there", None),
            Self::Words if text.len() > WORDS || text.contains(char::is_control) => {
                fault("bad-words", format!("one line of at most {WORDS} bytes is meant here"), None)
            }
            Self::Words => Ok(Value::Text(text.to_owned())),
            Self::Token(case) => token(text, case),
            Self::Whence => match known_session(text) {
                Ok(_) => Ok(Value::Text(text.to_owned())),
                Err(why) => fault("known-session", why, Some(WHENCE.to_owned())),
            },
            Self::Digest => digest(text),
            Self::File if text.is_empty() => fault("bad-path", "an empty path names no file", None),
            Self::File => Ok(Value::Text(text.to_owned())),
            Self::Socket => socket(text),
            Self::Network => Prefix::parse(text).map(Value::Network).or_else(|why| fault("bad-network", why, None)),
            Self::Host => host(text).map(Value::Text),
            Self::ServerName if text.starts_with("*.") => fault("bad-host", "one host is meant here, not many", None),
            Self::ServerName => host(text).map(Value::Text),
            Self::Upstream => upstream(text),
            Self::Server => server(text),
            Self::UrlPath => url_path(text).map(|()| Value::Text(text.to_owned())),
            Self::Route => route(text).map(Value::Route),
            Self::Exclusion => exclusion(text),
            Self::RecordPart => match record_part(text) {
                Ok(()) => Ok(Value::Text(text.to_owned())),
                Err(why) => fault("bad-record", why, Some("write \"email\" or \"field:member_id\"".to_owned())),
            },
            Self::NoteKey if looks_like_a_key(text) => Ok(Value::Text(text.to_owned())),
            Self::NoteKey => {
                let hint = "`portcullis witness` and `portcullis manifest key` print theirs".to_owned();
                fault("bad-key", format!("`{text}` is no key of the form NAME+ID+KEY"), Some(hint))
            }
        }
    }

    /// Writes a value as the configuration has it; [`Kind::read`] gives the same value back.
    pub(crate) fn print(self, value: &Value) -> String {
        let quoted = |text: String| toml::Value::String(text).to_string();
        match (self, value) {
            (_, Value::Flag(flag)) => flag.to_string(),
            (Self::Quantity(dimension, ..), Value::Number(number)) => quoted(dimension.print(*number)),
            (_, Value::Number(number)) => number.to_string(),
            (_, Value::Rate { count, seconds }) => {
                let units = Dimension::Rate.units();
                let unit = units.iter().find(|(_, weight)| weight == seconds).map_or("/s", |(unit, _)| *unit);
                quoted(format!("{count}{unit}"))
            }
            (_, Value::Text(text)) => quoted(text.clone()),
            (_, Value::Socket(socket)) => quoted(socket.to_string()),
            (_, Value::Network(network)) => quoted(network.to_string()),
            (_, Value::Upstream(url)) => quoted(url.text.clone()),
            (_, Value::Route(PathPattern::Exact(path))) => quoted(path.clone()),
            (_, Value::Route(PathPattern::Below(path))) => quoted(format!("{path}/**")),
            (_, Value::List(items)) => {
                let of = if let Self::List(kind) = self { *kind } else { self };
                let items: Vec<String> = items.iter().map(|(_, item)| of.print(item)).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }

    /// The kind in words, range included: "a duration from 100ms to 2m".
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Flag => "`true` or `false`".into(),
            Self::Count(least, most) => format!("a number from {least} to {most}"),
            Self::Quantity(dimension, least, most) => {
                format!("a {} from {} to {}", dimension.name(), dimension.print(least), dimension.print(most))
            }
            Self::Rate => "a rate from 1 to 10000000 a second, minute or hour".into(),
            Self::Choice(words) => either(&quoted(words)),
            Self::Words => "a line of text".into(),
            Self::Name => "a name of lower-case letters, digits and hyphens".into(),
            Self::Token(_) => "a name as HTTP has them, without spaces".into(),
            Self::Whence => "a role, `@`, and `local`, an address or a network".into(),
            Self::Digest => "64 hexadecimal digits".into(),
            Self::File => "a path".into(),
            Self::Socket => "an address with a port".into(),
            Self::Network => "a network or an address".into(),
            Self::Host => "a host, or `*.` and a host".into(),
            Self::ServerName => "a host".into(),
            Self::Upstream => "a URL of scheme, host and port".into(),
            Self::Server => "a host and a port".into(),
            Self::UrlPath => "the path of a URL".into(),
            Self::Route => "the path of a URL, perhaps with `/**` at its end".into(),
            Self::Exclusion => "rules or a family, perhaps with a variable".into(),
            Self::RecordPart => "a kind of personal data, or `field:` and a name".into(),
            Self::NoteKey => "a key of the form NAME+ID+KEY".into(),
            Self::List(kind) => format!("a list; each entry {}", kind.describe()),
        }
    }

    /// The kind in a word, for programs; of a list, that of its entries.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Count(..) => "count",
            Self::Quantity(..) => "quantity",
            Self::Rate => "rate",
            Self::Choice(_) => "choice",
            Self::Name => "name",
            Self::Words => "words",
            Self::File => "file",
            Self::Socket => "socket",
            Self::Network => "network",
            Self::Host | Self::ServerName => "host",
            Self::Upstream => "upstream",
            Self::Server => "server",
            Self::UrlPath | Self::Route => "path",
            Self::Token(_) | Self::Whence | Self::Digest | Self::Exclusion | Self::RecordPart | Self::NoteKey => {
                "token"
            }
            Self::List(kind) => kind.word(),
        }
    }

    /// The units that a value of it may have.
    pub(crate) fn units(self) -> Vec<&'static str> {
        self.dimension().into_iter().flat_map(|dimension| dimension.units().iter().map(|(unit, _)| *unit)).collect()
    }

    /// As [`Kind::describe`], without what a list holds.
    fn in_short(self) -> String {
        if let Self::List(_) = self { "a list".into() } else { self.describe() }
    }

    const fn dimension(self) -> Option<Dimension> {
        match self {
            Self::Quantity(dimension, ..) => Some(dimension),
            Self::Rate => Some(Dimension::Rate),
            _ => None,
        }
    }

    /// What a value of the wrong type was probably meant to be.
    fn retyped(self, found: &DeValue<'_>) -> Option<String> {
        match (self, found) {
            (Self::Flag, DeValue::String(text)) if text == "true" || text == "false" => Some(format!("write {text}")),
            (Self::Flag, DeValue::String(text)) if text == "on" || text == "yes" => Some("write true".into()),
            (Self::Flag, DeValue::String(text)) if text == "off" || text == "no" => Some("write false".into()),
            (Self::Count(..), DeValue::String(text)) => {
                text.parse::<u64>().ok().map(|number| format!("write {number}"))
            }
            (Self::Choice(_), DeValue::Float(number)) => Some(format!("write \"{}\"", number.as_str())),
            (Self::List(_), DeValue::String(text)) => {
                Some(format!("write [{}]", toml::Value::String(text.to_string())))
            }
            _ => None,
        }
    }
}

fn quoted(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| format!("\"{word}\"")).collect()
}

fn article(noun: &str) -> String {
    format!("{} {noun}", if noun.starts_with(['a', 'i']) { "an" } else { "a" })
}

fn missing_unit<T>(dimension: Option<Dimension>, number: &str) -> Result<T, Fault> {
    let dimension = dimension.unwrap_or(Dimension::Duration);
    let example = match number.parse().ok().filter(|_| matches!(dimension, Dimension::Size | Dimension::Throughput)) {
        Some(bytes) => dimension.print(bytes),
        None => format!("{number}{}", dimension.usual()),
    };
    fault("missing-unit", format!("a {} needs a unit", dimension.name()), Some(format!("write \"{example}\"")))
}

fn quantity<T>(dimension: Dimension, text: &str, wrong: Wrong) -> Result<T, Fault> {
    let units: Vec<&str> = dimension.units().iter().map(|(unit, _)| *unit).collect();
    match wrong {
        Wrong::NoUnit(number) => missing_unit(Some(dimension), &number.to_string()),
        Wrong::Unit(number, unit) => {
            // The right letters in the wrong case or with a letter too many: offer those, else all.
            let near = nearest(unit.trim_start(), units.iter().copied());
            let near: Vec<String> = near.iter().map(|unit| format!("{number}{unit}")).collect();
            let message = format!("`{unit}` is no unit of a {}", dimension.name());
            let hint = if near.is_empty() {
                format!("the units are {}", either(&units).replace(" or ", " and "))
            } else {
                format!("write {}", either(&near).replace('`', "\""))
            };
            fault("wrong-unit", message, Some(hint))
        }
        Wrong::Number => fault(
            "bad-quantity",
            format!("`{text}` is no {}", dimension.name()),
            Some(format!("write a whole number and a unit: {}", either(&units))),
        ),
    }
}

const WHENCE: &str = "`role@local`, `role@10.0.0.9` or `role@10.0.0.0/24`; `*` is every role";

fn name(text: &str) -> Result<Value, Fault> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=63).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(Value::Text(text.to_owned()));
    }
    let plainer: String =
        text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let hint = Some(plainer).filter(|name| (1..=63).contains(&name.len())).map(|name| format!("write \"{name}\""));
    fault("bad-name", "a name has 1 to 63 lower-case letters, digits and hyphens", hint)
}

fn token(text: &str, case: Case) -> Result<Value, Fault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || text.len() > 256 || !text.bytes().all(allowed) {
        return fault("bad-token", format!("`{text}` is not a name as HTTP has them (RFC 9110 section 5.6.2)"), None);
    }
    match case {
        Case::Kept => Ok(Value::Text(text.to_owned())),
        Case::Lower => Ok(Value::Text(text.to_ascii_lowercase())),
        Case::Upper if matches!(text, "CONNECT" | "TRACE") => {
            fault("bad-method", format!("the gate never carries {text}"), None)
        }
        Case::Upper if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
            let hint = format!("write \"{}\"", text.to_ascii_uppercase());
            fault("bad-method", "methods are compared with their case, and the known ones are in capitals", Some(hint))
        }
        Case::Upper => Ok(Value::Text(text.to_owned())),
    }
}

fn digest(text: &str) -> Result<Value, Fault> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Value::Text(text.to_ascii_lowercase()));
    }
    let hint = "write what `printf %s KEY | sha256sum` prints, never the key itself".to_owned();
    fault("bad-digest", "a SHA-256 has 64 hexadecimal digits", Some(hint))
}

fn exclusion(text: &str) -> Result<Value, Fault> {
    match Exclusion::parse(text) {
        Ok(exclusion) => Ok(Value::Text(exclusion.to_string())),
        Err(why) => {
            let hint = "write \"942100\", \"942100-942999\", \"tag:attack-sqli\" or \"sql\", perhaps with \" ARGS:name\" behind it";
            fault("bad-exclusion", why, Some(hint.to_owned()))
        }
    }
}

fn socket(text: &str) -> Result<Value, Fault> {
    if let Ok(socket) = text.parse() {
        return Ok(Value::Socket(socket));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let hint = match (host, port.parse::<u16>()) {
        ("" | "*", Ok(port)) => Some(format!("write \"0.0.0.0:{port}\" for all of IPv4, \"[::]:{port}\" for IPv6")),
        ("localhost", Ok(port)) => Some(format!("write \"127.0.0.1:{port}\"")),
        (host, Ok(port)) if host.parse::<Ipv6Addr>().is_ok() => Some(format!("write \"[{host}]:{port}\"")),
        _ if text.parse::<IpAddr>().is_ok() => Some("add a port".to_owned()),
        _ => None,
    };
    fault("bad-address", format!("`{text}` is not an address with a port"), hint)
}

fn host(text: &str) -> Result<String, Fault> {
    let lower = text.to_ascii_lowercase();
    let bad = |why: &str, hint: Option<String>| fault("bad-host", format!("`{text}` is not a host: {why}"), hint);
    let write = |host: &str| Some(format!("write \"{host}\""));
    if let Some((_, rest)) = lower.split_once("://") {
        return bad("it is a URL", write(rest.split('/').next().unwrap_or_default()));
    }
    if lower.starts_with('[') {
        let inner = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        return match inner.map(str::parse::<Ipv6Addr>) {
            Some(Ok(address)) => Ok(format!("[{address}]")),
            _ => bad("brackets hold an IPv6 address and nothing else", None),
        };
    }
    if !lower.is_ascii() {
        return bad("it is not ASCII", Some("write the name in Punycode, as `xn--…`".into()));
    }
    if let Some((host, port)) = lower.split_once(':') {
        let port = port.bytes().all(|byte| byte.is_ascii_digit());
        return bad(
            "a colon is in it",
            if port { write(host) } else { Some("write IPv6 addresses in brackets".into()) },
        );
    }
    if let Some(host) = lower.strip_suffix('.') {
        return bad("it ends in a dot", write(host));
    }
    let labels = lower.strip_prefix("*.").unwrap_or(&lower);
    if labels.contains('*') {
        return bad("`*.` may only stand in front of a whole host", None);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let good = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
    };
    if labels.len() > 253 || !labels.split('.').all(good) {
        return bad("its labels have 1 to 63 letters, digits and inner hyphens", None);
    }
    Ok(lower)
}

fn upstream(text: &str) -> Result<Value, Fault> {
    let bad = |why: String, hint: Option<String>| fault("bad-upstream", why, hint);
    let schemes = ["http", "https", "h2c", "h2"];
    let Some((scheme, rest)) = text.split_once("://") else {
        return bad(format!("`{text}` has no scheme"), Some(format!("write \"http://{text}\"")));
    };
    let (tls, http2) = match scheme {
        "http" => (false, false),
        "https" => (true, false),
        "h2c" => (false, true),
        "h2" => (true, true),
        _ => {
            let near = nearest(scheme, schemes);
            let hint = if near.is_empty() { either(&schemes) } else { either(&near) };
            return bad(format!("`{scheme}` is not a scheme that upstreams speak here"), Some(format!("write {hint}")));
        }
    };
    if let Some(at) = rest.find(['/', '?', '#']) {
        let hint = format!("write \"{scheme}://{}\"", rest.get(..at).unwrap_or_default());
        return bad("an upstream has no path: the visitor's is used".into(), Some(hint));
    }
    if rest.contains('@') {
        return bad("an upstream has no user or password".into(), None);
    }
    let (name, port) = match rest.rsplit_once(':') {
        Some((name, port)) if !rest.starts_with('[') || name.ends_with(']') => match port.parse::<u16>() {
            Ok(port) if port > 0 => (name, port),
            _ => return bad(format!("`{port}` is not a port from 1 to 65535"), None),
        },
        _ => (rest, if tls { 443 } else { 80 }),
    };
    match host(name) {
        Ok(host) if !host.starts_with('*') => {
            Ok(Value::Upstream(Url { text: text.to_owned(), host, port, tls, http2 }))
        }
        Ok(_) => bad("an upstream is one host, without `*`".into(), None),
        Err((_, why, hint)) => bad(why, hint),
    }
}

fn server(text: &str) -> Result<Value, Fault> {
    if let Some((_, rest)) = text.split_once("://") {
        return fault("bad-upstream", "a server has no scheme", Some(format!("write \"{rest}\"")));
    }
    let port = text.rsplit_once(':').is_some_and(|(host, _)| !text.starts_with('[') || host.ends_with(']'));
    if !port {
        return fault("bad-upstream", format!("`{text}` has no port"), Some(format!("write \"{text}:5432\"")));
    }
    match upstream(&format!("h2c://{text}"))? {
        Value::Upstream(url) => Ok(Value::Upstream(Url { text: text.to_owned(), ..url })),
        other => Ok(other),
    }
}

fn url_path(text: &str) -> Result<(), Fault> {
    let bad = |why: &str, hint: Option<String>| fault("bad-path", why, hint);
    if !text.starts_with('/') {
        return bad("a path starts with `/`", Some(format!("write \"/{text}\"")));
    }
    if let Some(at) = text.find(['?', '#']) {
        let hint = format!("write \"{}\"", text.get(..at).unwrap_or_default());
        return bad("a path has no query and no fragment", Some(hint));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return bad(
            "a path has no spaces, control characters or letters beyond ASCII",
            Some("write them as `%XX`".into()),
        );
    }
    Ok(())
}

fn route(text: &str) -> Result<PathPattern, Fault> {
    url_path(text)?;
    let (path, below) = text.strip_suffix("/**").map_or((text, false), |path| (path, true));
    if path.contains('*') {
        let hint = Some("write `/**` at the end for everything below, or nothing".to_owned());
        return fault("bad-path", "`*` may only stand in a `/**` at the end", hint);
    }
    let normal = normal_path(path.as_bytes());
    let normal = String::from_utf8_lossy(&normal);
    let normal = if below { normal.trim_end_matches('/') } else { &normal };
    if normal != path {
        let hint = format!("write \"{normal}{}\"", if below { "/**" } else { "" });
        return fault(
            "unreachable-route",
            "requests are compared in normal form, which this path never has",
            Some(hint),
        );
    }
    Ok(if below { PathPattern::Below(path.to_owned()) } else { PathPattern::Exact(path.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_have_their_scheme_s_port() {
        let table = [
            ("http://a", "a", 80, false, false),
            ("https://A.example", "a.example", 443, true, false),
            ("h2c://10.0.0.1:81", "10.0.0.1", 81, false, true),
            ("h2://[::1]", "[::1]", 443, true, true),
            ("http://[::1]:8080", "[::1]", 8080, false, false),
        ];
        for (text, host, port, tls, http2) in table {
            let url = Url { text: text.to_owned(), host: host.to_owned(), port, tls, http2 };
            assert_eq!(upstream(text), Ok(Value::Upstream(url)), "{text}");
        }
    }
}
