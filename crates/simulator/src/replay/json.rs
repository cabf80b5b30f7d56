//! Access logs as one JSON object a line: Caddy's, and whatever people have nginx and others write.
//!
//! The names that are tried stand in the tables below, in order; [`keys`] lists them for the guide.

use serde_json::{Map, Value};

use super::entry::{Entry, Format, Line, client, duration, given, host, seconds};
use super::{text, time};

/// Names of a value, tried in order; a dot leads into an object.
type Names = &'static [&'static str];

const TIME: Names =
    &["time_iso8601", "@timestamp", "timestamp", "StartUTC", "ts", "msec", "time", "time_local", "datetime", "date"];
const CLIENT: Names = &[
    "client_ip",
    "request.client_ip",
    "remote_addr",
    "remote_ip",
    "request.remote_ip",
    "clientip",
    "ClientHost",
    "source.ip",
    "client",
    "ip",
    "remote",
];
const FORWARDED: Names = &["http_x_forwarded_for", "x_forwarded_for"];
const METHOD: Names = &["request_method", "request.method", "method", "RequestMethod", "http.request.method", "verb"];
const TARGET: Names = &["request_uri", "request.uri", "uri", "RequestPath", "url.original", "url", "url.path", "path"];
const QUERY: Names = &["args", "query_string", "query", "url.query"];
const REQUEST: Names = &["request", "request_line"];
const HOST: Names = &["http_host", "request.host", "host", "RequestHost", "url.domain", "server_name", "vhost"];
const STATUS: Names =
    &["status", "status_code", "DownstreamStatus", "http.response.status_code", "response_code", "response"];
const BYTES: Names =
    &["body_bytes_sent", "bytes_sent", "size", "bytes", "DownstreamContentSize", "http.response.bytes"];
const AGENT: Names = &["http_user_agent", "user_agent", "user_agent.original", "agent", "ua"];
const REFERER: Names = &["http_referer", "referer", "referrer", "http.request.referrer"];
const ACCEPT: Names = &["http_accept", "accept"];
const LANGUAGE: Names = &["http_accept_language", "accept_language"];
const FETCH_MODE: Names = &["http_sec_fetch_mode", "sec_fetch_mode"];
const COOKIE: Names = &["http_cookie", "cookie"];
const TLS: Names = &["ja4", "ssl_ja4", "tls_ja4"];
/// The platform's own time, in seconds.
const UPSTREAM: Names = &["upstream_response_time", "upstream_header_time", "upstream_time"];
/// The platform's own time, in nanoseconds.
const UPSTREAM_NANOS: Names = &["OriginDuration"];
/// The whole time of a request, in seconds. Where it is there, the moment of the line is taken for its end.
const WHOLE: Names = &["request_time", "duration", "latency"];

/// What is looked for, and under which names, in order.
#[must_use]
pub fn keys() -> Vec<(&'static str, Vec<&'static str>)> {
    let table: [(&str, &[Names]); 15] = [
        ("time", &[TIME]),
        ("client", &[CLIENT]),
        ("forwarded addresses", &[FORWARDED]),
        ("method", &[METHOD]),
        ("path", &[TARGET, REQUEST]),
        ("query, where the path has none", &[QUERY]),
        ("host", &[HOST]),
        ("status", &[STATUS]),
        ("bytes", &[BYTES]),
        ("agent", &[AGENT]),
        ("referer", &[REFERER]),
        ("other request headers", &[ACCEPT, LANGUAGE, FETCH_MODE, COOKIE]),
        ("JA4", &[TLS]),
        ("the platform's time", &[UPSTREAM, UPSTREAM_NANOS]),
        ("the whole time", &[WHOLE]),
    ];
    table.map(|(what, names)| (what, names.concat())).into()
}

pub(crate) fn parse(line: &[u8]) -> Result<Line, &'static str> {
    let Ok(Value::Object(object)) = serde_json::from_slice(line) else { return Err("not a JSON object") };
    let caddy = object.get("request").is_some_and(Value::is_object);
    // Caddy writes its own life into the same file.
    if object.contains_key("logger") && !caddy {
        return Ok(Line::Nothing);
    }
    let asker = find(&object, CLIENT).and_then(|value| client(value.as_str()?.as_bytes()));
    let at = find(&object, TIME).and_then(moment).ok_or("no time that can be read")?;
    let asker = asker.ok_or("no client address")?;
    let mut entry = Entry::new(at, asker, if caddy { Format::Caddy } else { Format::Json });

    let whole = find(&object, WHOLE).and_then(length);
    let upstream = find(&object, UPSTREAM).and_then(length);
    let upstream = upstream.or_else(|| find(&object, UPSTREAM_NANOS)?.as_u64());
    entry.origin = upstream.or(whole);
    entry.coarse = at % time::SECOND == 0;
    entry.at = at.saturating_sub(whole.unwrap_or(0));
    entry.host = find(&object, HOST).and_then(|value| host(value.as_str()?.as_bytes()));
    entry.status = find(&object, STATUS).and_then(integer).and_then(|status| status.try_into().ok()).unwrap_or(0);
    entry.bytes = find(&object, BYTES).and_then(integer).unwrap_or(0);
    entry.forwarded = bytes(&object, FORWARDED).or_else(|| header(&object, "X-Forwarded-For"));
    entry.agent = bytes(&object, AGENT).or_else(|| header(&object, "User-Agent"));
    entry.referer = bytes(&object, REFERER).or_else(|| header(&object, "Referer"));
    entry.accept = bytes(&object, ACCEPT).or_else(|| header(&object, "Accept"));
    entry.language = bytes(&object, LANGUAGE).or_else(|| header(&object, "Accept-Language"));
    entry.fetch_mode = bytes(&object, FETCH_MODE).or_else(|| header(&object, "Sec-Fetch-Mode"));
    entry.cookie = bytes(&object, COOKIE).or_else(|| header(&object, "Cookie"));
    entry.tls = bytes(&object, TLS);
    Ok(if target(&object, &mut entry).is_some() { Line::Request(Box::new(entry)) } else { Line::NoRequest })
}

/// Method and target by name, or from a whole request line.
fn target(object: &Map<String, Value>, entry: &mut Entry) -> Option<()> {
    if let (Some(method), Some(target)) = (bytes(object, METHOD), bytes(object, TARGET)) {
        entry.method = Some(method).filter(|method| text::is_method(method))?;
        entry.set_target(&target)?;
        if entry.query.is_none() {
            entry.query = bytes(object, QUERY).map(|query| query.strip_prefix(b"?").unwrap_or(&query).into());
        }
        return Some(());
    }
    text::request_line(&bytes(object, REQUEST)?, entry)
}

/// The first of the names that is there and is not null or empty.
fn find(object: &Map<String, Value>, names: Names) -> Option<&Value> {
    names.iter().find_map(|name| {
        let whole = object.get(*name);
        let value = whole.or_else(|| {
            let mut parts = name.split('.');
            let first = object.get(parts.next()?)?;
            name.contains('.').then(|| parts.try_fold(first, |value, part| value.get(part)))?
        })?;
        let empty = value.is_null() || matches!(value.as_str(), Some("" | "-")) || value.is_object();
        (!empty).then_some(value)
    })
}

fn bytes(object: &Map<String, Value>, names: Names) -> Option<Box<[u8]>> {
    given(find(object, names)?.as_str()?.as_bytes())
}

/// A request header as Caddy writes it: `"headers": {"User-Agent": ["…"]}`.
fn header(object: &Map<String, Value>, name: &str) -> Option<Box<[u8]>> {
    let values = object.get("request")?.get("headers")?.get(name)?;
    given(values.get(0)?.as_str()?.as_bytes())
}

fn moment(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => time::number(number.as_f64()?),
        Value::String(text) => {
            let bytes = text.trim().as_bytes();
            let number = || time::number(text.trim().parse().ok()?);
            time::rfc3339(bytes).or_else(|| time::common(bytes)).or_else(number)
        }
        _ => None,
    }
}

fn integer(value: &Value) -> Option<u64> {
    let text = || value.as_str()?.trim().parse().ok();
    value.as_u64().or_else(text)
}

/// Seconds as a number, as text, or as Go writes durations: `1.5ms`.
fn length(value: &Value) -> Option<u64> {
    let text = match value {
        Value::Number(number) => return duration(number.as_f64()?),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    let units = [("ns", 1e-9), ("µs", 1e-6), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let with_unit = units.iter().find_map(|(unit, size)| {
        let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        duration(number * size)
    });
    with_unit.or_else(|| seconds(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::entry::parse;
    use super::*;

    fn request(line: &str) -> Entry {
        match parse(line.as_bytes()) {
            Ok(Line::Request(entry)) => *entry,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn caddy_is_read_whole() {
        let entry = request(
            r#"{"level":"info","ts":1646861401.5241024,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"127.0.0.1","remote_port":"41342","client_ip":"192.0.2.7","proto":"HTTP/2.0","method":"GET","host":"Example.org:443","uri":"/a?b=c","headers":{"User-Agent":["curl/7.82.0"],"Accept-Language":["de"]},"tls":{"version":772}},"user_id":"","duration":0.25,"size":10900,"status":200}"#,
        );
        assert_eq!((entry.format, entry.client.to_string().as_str()), (Format::Caddy, "192.0.2.7"));
        assert_eq!(
            (entry.at / 1_000_000, entry.coarse),
            (1_646_861_401_274, false),
            "a log line is written at the end"
        );
        assert_eq!((entry.host.as_deref(), &*entry.path), (Some(&b"example.org"[..]), &b"/a"[..]));
        assert_eq!((entry.query.as_deref(), entry.status, entry.bytes), (Some(&b"b=c"[..]), 200, 10900));
        assert_eq!((entry.agent.as_deref(), entry.language.as_deref()), (Some(&b"curl/7.82.0"[..]), Some(&b"de"[..])));
        assert_eq!(entry.origin, Some(250_000_000));
        let own = r#"{"level":"info","ts":1646861401.5,"logger":"admin","msg":"admin endpoint started"}"#;
        assert_eq!(parse(own.as_bytes()), Ok(Line::Nothing));
    }

    #[test]
    fn names_are_tried_in_order() {
        let table = [
            (
                r#"{"time_iso8601":"2015-05-17T10:05:03+00:00","remote_addr":"192.0.2.1","request_method":"GET","request_uri":"/a?b","status":"200","request_time":"0.500","upstream_response_time":"0.100, 0.200"}"#,
                Some(300),
            ),
            (
                r#"{"msec":"1431857103.000","remote_addr":"192.0.2.1","request":"GET /a?b HTTP/1.1","status":200,"upstream_response_time":"-","request_time":0.5}"#,
                Some(500),
            ),
            (
                r#"{"@timestamp":"2015-05-17T10:05:03Z","source":{"ip":"192.0.2.1"},"http":{"request":{"method":"GET"},"response":{"status_code":200}},"url":{"path":"/a","query":"b"}}"#,
                None,
            ),
            (
                r#"{"StartUTC":"2015-05-17T10:05:03Z","ClientHost":"192.0.2.1","RequestMethod":"GET","RequestPath":"/a?b","DownstreamStatus":200,"OriginDuration":7000000,"Duration":8000000}"#,
                Some(7),
            ),
            (
                r#"{"time":1431857103000,"ip":"192.0.2.1","method":"GET","path":"/a","query":"?b","status":200,"duration":"1.5ms"}"#,
                Some(1),
            ),
        ];
        for (line, millis) in table {
            let entry = request(line);
            assert_eq!(entry.client.to_string(), "192.0.2.1", "{line}");
            assert_eq!((&*entry.path, entry.query.as_deref()), (&b"/a"[..], Some(&b"b"[..])), "{line}");
            assert_eq!(entry.status, 200, "{line}");
            assert_eq!(entry.origin.map(|nanos| nanos / 1_000_000), millis, "{line}");
            assert_eq!(entry.at.div_ceil(time::SECOND), 1_431_857_103, "{line}");
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        for (line, why) in [
            ("{", "JSON"),
            ("{}", "time"),
            (r#"{"ts":1646861401}"#, "client"),
            (r#"{"ts":[],"ip":"192.0.2.1"}"#, "time"),
            (r#"{"ts":1646861401,"ip":"somebody"}"#, "client"),
        ] {
            let said = parse(line.as_bytes()).expect_err(line);
            assert!(said.contains(why), "{line}: {said}");
        }
        for none in ["", r#","method":"G ET","uri":"/""#, r#","method":"GET","uri":"example.org:443""#] {
            let line = format!(r#"{{"ts":1646861401,"ip":"192.0.2.1"{none}}}"#);
            assert_eq!(parse(line.as_bytes()), Ok(Line::NoRequest), "{line}");
        }
    }

    #[test]
    fn no_name_is_listed_twice() {
        for (what, names) in keys() {
            let mut sorted = names.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), names.len(), "{what}");
        }
    }
}
