//! The common and combined formats of Apache and nginx, with what people put before and behind them.
//!
//! It never splits at a quote that the client sent: servers escape those.

use std::borrow::Cow;

use super::entry::{Entry, Format, Line, client, given, host, seconds};
use super::time;

/// `[VHOST] CLIENT IDENT USER [TIME] "REQUEST" STATUS BYTES ["REFERER" "AGENT" ["FORWARDED"] [TIMES]]`
pub(crate) fn parse(line: &[u8]) -> Result<Line, &'static str> {
    let (before, at, after) = split_time(line).ok_or("no time in brackets, such as [17/May/2015:10:05:03 +0000]")?;
    let mut names = before.split(|byte| *byte == b' ').filter(|name| !name.is_empty());
    let first = names.next().ok_or("no client address before the time")?;
    let (vhost, asker) = match client(first) {
        Some(asker) => (None, asker),
        None => {
            let asker = names.next().and_then(client);
            (host(first), asker.ok_or("the client is not an address; the server must not look up its name")?)
        }
    };
    let mut rest = after;
    let request = quoted(&mut rest).ok_or("no request in quotes behind the time")?;
    let status = word(&mut rest).ok_or("no status behind the request")?;
    let bytes = word(&mut rest).unwrap_or(b"-");
    let (referer, agent) = (quoted(&mut rest), quoted(&mut rest));

    let format = match (&vhost, &referer) {
        (Some(_), _) => Format::Vhost,
        (None, Some(_)) => Format::Combined,
        (None, None) => Format::Common,
    };
    let mut entry = Entry::new(at, asker, format);
    entry.coarse = at % time::SECOND == 0;
    entry.host = vhost;
    entry.status = number(status).ok_or("the status is not a number")?;
    entry.bytes = number(bytes).unwrap_or(0);
    entry.referer = referer.and_then(|text| given(&text));
    entry.agent = agent.and_then(|text| given(&text));
    extras(rest, &mut entry);
    Ok(if request_line(&request, &mut entry).is_some() { Line::Request(Box::new(entry)) } else { Line::NoRequest })
}

/// `GET /path HTTP/1.1`, by its two outer spaces: some clients send some inside. `None` for what is no request.
pub(crate) fn request_line(line: &[u8], entry: &mut Entry) -> Option<()> {
    let first = line.iter().position(|byte| *byte == b' ')?;
    let (method, rest) = line.split_at_checked(first)?;
    let rest = rest.get(1..)?;
    if !is_method(method) {
        return None;
    }
    let last = rest.iter().rposition(|byte| *byte == b' ');
    let target = match last.and_then(|last| rest.split_at_checked(last)) {
        Some((target, version)) if version.starts_with(b" HTTP/") => target,
        _ => rest,
    };
    entry.method = method.into();
    entry.set_target(target)
}

/// Letters, digits and hyphens: every method that is registered, and none of the noise that ports get.
pub(crate) fn is_method(text: &[u8]) -> bool {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.iter().all(token)
}

/// What comes before the time, the time, and what comes behind it. A user's name may hold brackets of its own.
fn split_time(line: &[u8]) -> Option<(&[u8], u64, &[u8])> {
    let brackets = line.iter().enumerate().filter(|(_, byte)| **byte == b'[').take(8);
    brackets.into_iter().find_map(|(open, _)| {
        let (before, rest) = line.split_at_checked(open)?;
        let rest = rest.get(1..)?;
        let close = rest.iter().take(40).position(|byte| *byte == b']')?;
        let (inside, after) = rest.split_at_checked(close)?;
        Some((before, time::common(inside)?, after.get(1..)?))
    })
}

/// What people add: `X-Forwarded-For` in quotes, and times as `rt=0.012`, `urt="0.010"` or bare `0.012 0.010`.
fn extras(mut rest: &[u8], entry: &mut Entry) {
    let (mut whole, mut upstream) = (None, None);
    loop {
        if let Some(text) = quoted(&mut rest) {
            let addresses = text.split(|byte| *byte == b',').all(|part| client(part.trim_ascii()).is_some());
            match seconds(&text).filter(|_| text.contains(&b'.')) {
                _ if addresses => entry.forwarded = Some(text.into()),
                Some(time) if whole.is_none() => whole = Some(time),
                Some(time) => upstream = upstream.or(Some(time)),
                None => {}
            }
            continue;
        }
        let Some(text) = word(&mut rest) else { break };
        let (name, value) = match text.iter().position(|byte| *byte == b'=').and_then(|at| text.split_at_checked(at)) {
            Some((name, value)) => (name, value.get(1..).unwrap_or_default()),
            None => (&b""[..], text),
        };
        let value = value.strip_prefix(b"\"").map_or(value, |value| value.strip_suffix(b"\"").unwrap_or(value));
        // A whole number may be seconds, milliseconds or microseconds, or no time at all: nobody can tell.
        let time = seconds(value).filter(|_| value.contains(&b'.'));
        match name {
            b"urt" | b"upstream_response_time" | b"uht" | b"upstream_header_time" => upstream = upstream.or(time),
            b"rt" | b"request_time" => whole = whole.or(time),
            b"" if whole.is_none() => whole = time,
            b"" => upstream = upstream.or(time),
            _ => {}
        }
    }
    // nginx writes the time at which it was done.
    entry.at = entry.at.saturating_sub(whole.unwrap_or(0));
    entry.origin = upstream.or(whole);
}

/// The next text in quotes, escapes undone. The quote that ends it stands before a space or the end of the line.
fn quoted<'a>(rest: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let inside = rest.trim_ascii_start().strip_prefix(b"\"")?;
    let (mut at, mut escaped) = (0, false);
    loop {
        match inside.get(at)? {
            b'\\' => {
                escaped = true;
                at += 1;
            }
            b'"' if matches!(inside.get(at + 1), None | Some(b' ')) => break,
            _ => {}
        }
        at += 1;
    }
    let (text, after) = inside.split_at_checked(at)?;
    *rest = after.get(1..)?;
    Some(if escaped { unescape(text).into() } else { text.into() })
}

/// The next text without a space. A quote may stand within it: `urt="0.010, 0.020"`.
fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let text = rest.trim_ascii_start();
    let mut inside = false;
    let end = text.iter().position(|byte| {
        inside ^= *byte == b'"';
        *byte == b' ' && !inside
    });
    let (word, after) = text.split_at_checked(end.unwrap_or(text.len()))?;
    *rest = after;
    (!word.is_empty()).then_some(word)
}

/// `\x16`, `\"`, `\\`, `\n` and their like.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            plain.push(*byte);
            continue;
        }
        let Some((letter, after)) = rest.split_first() else { break };
        rest = after;
        let code = match letter {
            b'x' => rest.split_at_checked(2).and_then(|(digits, after)| {
                let value = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
                rest = after;
                Some(value)
            }),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            _ => None,
        };
        plain.push(code.unwrap_or(*letter));
    }
    plain
}

fn number<T: std::str::FromStr + Default>(text: &[u8]) -> Option<T> {
    if text == b"-" {
        return Some(T::default());
    }
    std::str::from_utf8(text).ok()?.parse().ok()
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

    fn text(bytes: Option<&[u8]>) -> Option<String> {
        bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    #[test]
    fn the_formats_of_apache_and_nginx_are_read() {
        let time = "[17/May/2015:10:05:03 +0000]";
        let table = [
            (format!(r#"192.0.2.1 - - {time} "GET /a?b HTTP/1.1" 200 12"#), Format::Common, None, None),
            (format!(r#"192.0.2.1 - x [y] {time} "GET /a?b HTTP/1.1" 200 -"#), Format::Common, None, None),
            (
                format!(r#"192.0.2.1 - - {time} "GET /a?b HTTP/2.0" 200 12 "https://example.org/" "Agent \"x\"""#),
                Format::Combined,
                None,
                Some("Agent \"x\""),
            ),
            (
                format!(r#"Example.org:443 2001:db8::1 - - {time} "GET /a?b HTTP/1.1" 200 12 "-" "Agent""#),
                Format::Vhost,
                Some("example.org"),
                Some("Agent"),
            ),
        ];
        for (line, format, host, agent) in table {
            let entry = request(&line);
            assert_eq!((entry.format, entry.status), (format, 200), "{line}");
            assert_eq!((entry.at, entry.coarse), (1_431_857_103 * time::SECOND, true), "{line}");
            assert_eq!(text(entry.host.as_deref()).as_deref(), host, "{line}");
            assert_eq!(text(entry.agent.as_deref()).as_deref(), agent, "{line}");
            assert_eq!((&*entry.path, entry.query.as_deref()), (&b"/a"[..], Some(&b"b"[..])), "{line}");
        }
    }

    #[test]
    fn times_and_forwarded_addresses_behind_the_agent_are_read() {
        let head = r#"192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 12 "-" "Agent" "#;
        let table = [
            ("", None, None),
            ("\"203.0.113.9, 198.51.100.7\"", None, Some("203.0.113.9, 198.51.100.7")),
            ("\"-\" 0.250", Some(250), None),
            ("0.250 0.100", Some(100), None),
            ("0.250 -", Some(250), None),
            ("rt=0.250 uct=0.001 uht=0.090 urt=0.100", Some(90), None),
            ("rt=0.250 urt=\"0.100, 0.020\"", Some(120), None),
            ("\"0.250\" \"0.100\"", Some(100), None),
            ("250000", None, None),
            ("gzip=2.31", None, None),
        ];
        for (tail, millis, forwarded) in table {
            let entry = request(&format!("{head}{tail}"));
            assert_eq!(entry.origin, millis.map(|millis| millis * 1_000_000), "{tail}");
            assert_eq!(text(entry.forwarded.as_deref()).as_deref(), forwarded, "{tail}");
        }
        assert_eq!(request(&format!("{head}rt=0.250")).at, 1_431_857_102_750_000_000, "nginx logs the end");
    }

    #[test]
    fn what_is_no_request_is_told_from_what_cannot_be_read() {
        let head = "192.0.2.1 - - [17/May/2015:10:05:03 +0000]";
        for none in [
            r#""-" 408 0"#,
            r#""\x16\x03\x01\x02" 400 0"#,
            r#""" 400 0"#,
            r#""CONNECT example.org:443 HTTP/1.1" 405 0"#,
        ] {
            assert_eq!(parse(format!("{head} {none}").as_bytes()), Ok(Line::NoRequest), "{none}");
        }
        for nothing in ["", "   ", "# Fields: date time"] {
            assert_eq!(parse(nothing.as_bytes()), Ok(Line::Nothing), "{nothing}");
        }
        for (line, why) in [
            ("192.0.2.1 - - \"GET / HTTP/1.1\" 200 1", "no time"),
            ("host.example.org - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 1", "not an address"),
            ("192.0.2.1 - - [17/May/2015:10:05:03 +0000] GET / 200 1", "no request"),
            ("192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1", "no request"),
            ("192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\"", "no status"),
            ("192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" two 1", "not a number"),
        ] {
            let said = parse(line.as_bytes()).expect_err(line);
            assert!(said.contains(why), "{line}: {said}");
        }
    }

    #[test]
    fn escapes_of_the_log_are_undone() {
        assert_eq!(unescape(br#"a\x41\"\\\n\xZZ\"#), b"aA\"\\\nxZZ");
        let entry = request(r#"192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /\xC3\xA9 b HTTP/1.1" 200 1"#);
        assert_eq!(&*entry.path, "/é b".as_bytes());
    }
}
