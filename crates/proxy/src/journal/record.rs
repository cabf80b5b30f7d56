//! One record: a decision as a line of JSON with stable fields.
//!
//! It never trusts a byte of what it writes down: strings are cut, whatever is not UTF-8 is replaced, and nothing can
//! end a string, a line or a terminal's patience early.

use std::fmt::{self, Write as _};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use portcullis_engine::{Refusal, Trust};
use portcullis_types::{Date, Reason, Reference, RouteClass};

use super::evidence::{EVIDENCE_BYTES, Evidence};
use crate::http::leaving::Told;
use crate::probe::Line as Probed;

/// No line is longer, its newline included.
pub const LINE_BYTES: usize = 48 * 1024;

/// Bytes of a method, a version or another short word that are kept.
pub(super) const WORD_BYTES: usize = 32;
/// Bytes of a name from the configuration that are kept.
pub(super) const NAME_BYTES: usize = 128;
/// Bytes of a host, a path, a print or a detail that are kept.
pub(super) const TEXT_BYTES: usize = 256;
/// Characters of the words of an act that are kept where all of it would not fit.
const ACT_CHARACTERS: usize = 2000;
/// Observed measures that are kept.
const OBSERVED: usize = 8;
/// A byte becomes at most six characters of JSON (`\u0000`), and a broken one three bytes (U+FFFD).
const WORST_ESCAPE: usize = 6;

/// Everything in a line that is not a string: names, numbers, punctuation, ellipses.
const FRAME_BYTES: usize = 2048;

const _: () = {
    let fixed = 6 * WORD_BYTES + 6 * NAME_BYTES + 6 * TEXT_BYTES;
    let observed = OBSERVED * (NAME_BYTES + TEXT_BYTES * WORST_ESCAPE);
    // A round of probes is shorter than a request at its worst.
    assert!((MOST_ALARMS * (5 * WORD_BYTES + NAME_BYTES) + NAME_BYTES) * WORST_ESCAPE + 4 * FRAME_BYTES <= LINE_BYTES);
    assert!(fixed * WORST_ESCAPE + observed + EVIDENCE_BYTES + FRAME_BYTES <= LINE_BYTES);
};

/// What became of a request or a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// The platform's answer went to the client.
    #[default]
    Served,
    /// The gate turned it away.
    Refused,
    /// It was let in, and something broke.
    Failed,
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Who said what the client's address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// The connection itself.
    #[default]
    Socket,
    /// A PROXY protocol header from a trusted proxy.
    ProxyProtocol,
    /// A forwarding header from a trusted proxy.
    Forwarded,
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::ProxyProtocol => "proxy-protocol",
            Self::Forwarded => "forwarded",
        }
    }
}

/// A decision, borrowed from whoever decided. What is absent is `null` in the line.
#[derive(Clone, Copy, Default)]
pub struct Record<'a> {
    /// When, in milliseconds since 1970, UTC.
    pub unix_millis: u64,
    /// The reference that the visitor saw.
    pub reference: Option<Reference>,
    /// The listener's name.
    pub listener: &'a str,
    /// The platform's name.
    pub platform: Option<&'a str>,
    /// The route's path as declared.
    pub route: Option<&'a str>,
    /// The route's class.
    pub class: Option<RouteClass>,
    /// Whom the decision was about.
    pub client: Option<IpAddr>,
    /// The other end of the connection.
    pub peer: Option<SocketAddr>,
    /// Who said that `client` is the client.
    pub source: Source,
    /// The method.
    pub method: Option<&'a [u8]>,
    /// The host that was asked for.
    pub host: Option<&'a [u8]>,
    /// The path; a query is cut off here.
    pub path: Option<&'a [u8]>,
    /// `1.0`, `1.1` or `2`.
    pub version: Option<&'a str>,
    /// `1.2` or `1.3`.
    pub tls: Option<&'a str>,
    /// The JA4 print of the TLS client.
    pub ja4: Option<&'a str>,
    /// The print of the HTTP/2 settings.
    pub h2: Option<&'a str>,
    /// The print of the order of header fields.
    pub order: Option<&'a str>,
    /// What became of it.
    pub verdict: Verdict,
    /// Why it was refused or failed.
    pub reason: Option<Reason>,
    /// Words about the reason.
    pub detail: Option<&'a dyn fmt::Display>,
    /// What measures in observe mode would have refused.
    pub observed: &'a [Refusal],
    /// What inspection found.
    pub evidence: Option<&'a Evidence>,
    /// What left with the answer, as numbers.
    pub(crate) left: Option<&'a Told>,
    /// Who vouches for the visitor, as the engine sees it.
    pub trust: Option<Trust>,
    /// The status that the client got; 0 for none.
    pub status: u16,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// The upstream that answered, or failed last.
    pub upstream: Option<&'a str>,
    /// How often it was sent to an upstream.
    pub attempts: u32,
    /// From the end of the request head to the end of the response.
    pub took: Duration,
    /// Of that, until the upstream began its response.
    pub upstream_took: Option<Duration>,
}

impl Record<'_> {
    /// Appends the line to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>, node: &str, lost: u64) {
        let out = &mut Line(out);
        out.raw("{\"t\":\"", |out| push_time(out, self.unix_millis));
        out.some("\",\"ref\":", self.reference, push_reference);
        out.text(",\"node\":", Some(node.as_bytes()), NAME_BYTES);
        out.text(",\"listener\":", Some(self.listener.as_bytes()), NAME_BYTES);
        out.text(",\"platform\":", self.platform.map(str::as_bytes), NAME_BYTES);
        out.text(",\"route\":", self.route.map(str::as_bytes), NAME_BYTES);
        out.word(",\"class\":", self.class.map(RouteClass::name));
        out.some(",\"client\":", self.client, push_ip);
        out.some(",\"peer\":", self.peer, push_socket);
        out.word(",\"from\":", Some(self.source.name()));
        out.text(",\"method\":", self.method, WORD_BYTES);
        out.text(",\"host\":", self.host, TEXT_BYTES);
        out.text(",\"path\":", self.path.and_then(|path| path.split(|byte| *byte == b'?').next()), TEXT_BYTES);
        out.text(",\"version\":", self.version.map(str::as_bytes), WORD_BYTES);
        out.text(",\"tls\":", self.tls.map(str::as_bytes), WORD_BYTES);
        out.text(",\"ja4\":", self.ja4.map(str::as_bytes), TEXT_BYTES);
        out.text(",\"h2\":", self.h2.map(str::as_bytes), TEXT_BYTES);
        out.text(",\"order\":", self.order.map(str::as_bytes), TEXT_BYTES);
        out.word(",\"verdict\":", Some(self.verdict.name()));
        out.word(",\"reason\":", self.reason.map(Reason::code));
        out.some(",\"detail\":", self.detail, push_shown);
        out.raw(",\"observed\":", |out| push_observed(out, self.observed));
        if let Some(evidence) = self.evidence.filter(|evidence| !evidence.is_empty()) {
            out.raw(",\"evidence\":", |out| out.extend_from_slice(&evidence.written()));
        }
        if let Some(left) = self.left.filter(|left| left.is_told()) {
            out.raw(",\"left\":", |out| push_left(out, left));
        }
        out.word(",\"trust\":", self.trust.map(Trust::name));
        out.raw(",\"status\":", |out| push_number(out, u64::from(self.status)));
        out.raw(",\"bytes_in\":", |out| push_number(out, self.bytes_in));
        out.raw(",\"bytes_out\":", |out| push_number(out, self.bytes_out));
        out.text(",\"upstream\":", self.upstream.map(str::as_bytes), NAME_BYTES);
        out.raw(",\"attempts\":", |out| push_number(out, u64::from(self.attempts)));
        out.raw(",\"ms\":", |out| push_millis(out, self.took));
        out.some(",\"upstream_ms\":", self.upstream_took, push_millis);
        if lost > 0 {
            out.raw(",\"lost\":", |out| push_number(out, lost));
        }
        out.raw("}\n", |_| ());
    }
}

/// Appends the line of an act: `{"t":…,"node":…,"kind":"act","act":{…}}`. The brain bounds what it says; where it does
/// not, the words are cut.
pub(super) fn write_act(out: &mut Vec<u8>, act: &portcullis_engine::Act, unix_millis: u64, node: &str, lost: u64) {
    let before = out.len();
    let mut told = serde_json::to_vec(act).unwrap_or_default();
    if told.len() + FRAME_BYTES + NAME_BYTES * WORST_ESCAPE > LINE_BYTES {
        let mut short = act.clone();
        short.facts.clear();
        short.words = short.words.chars().take(ACT_CHARACTERS).collect();
        told = serde_json::to_vec(&short).unwrap_or_default();
    }
    let line = &mut Line(out);
    line.raw("{\"t\":\"", |out| push_time(out, unix_millis));
    line.text("\",\"node\":", Some(node.as_bytes()), NAME_BYTES);
    line.raw(",\"kind\":\"act\",\"act\":", |out| out.extend_from_slice(&told));
    if lost > 0 {
        line.raw(",\"lost\":", |out| push_number(out, lost));
    }
    line.raw("}\n", |_| ());
    debug_assert!(out.len() - before <= LINE_BYTES, "an act is cut to fit");
}

/// A change of the configuration that an operator made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Who, as the operator's machine calls them.
    pub by: String,
    /// The user that asked, as the kernel says.
    pub uid: Option<u32>,
    /// What was changed.
    pub words: String,
}

/// Appends the line of a change: `{"t":…,"node":…,"kind":"change","change":{…}}`.
pub(super) fn write_change(out: &mut Vec<u8>, change: &Change, unix_millis: u64, node: &str, lost: u64) {
    let line = &mut Line(out);
    line.raw("{\"t\":\"", |out| push_time(out, unix_millis));
    line.text("\",\"node\":", Some(node.as_bytes()), NAME_BYTES);
    line.text(",\"kind\":\"change\",\"change\":{\"by\":", Some(change.by.as_bytes()), NAME_BYTES);
    line.some(",\"uid\":", change.uid, |out, uid| push_number(out, u64::from(uid)));
    line.text(",\"words\":", Some(change.words.as_bytes()), ACT_CHARACTERS);
    line.raw("}", |_| ());
    if lost > 0 {
        line.raw(",\"lost\":", |out| push_number(out, lost));
    }
    line.raw("}\n", |_| ());
}

/// Alarms of one round that are recorded; all are counted.
const MOST_ALARMS: usize = 16;

/// Appends the line of a round of the gate's own probes: `{"t":…,"node":…,"kind":"probe","probe":{…}}`.
pub(super) fn write_probes(
    out: &mut Vec<u8>,
    (why, asked, alarms): (&str, usize, &[Probed]),
    unix_millis: u64,
    node: &str,
    lost: u64,
) {
    let line = &mut Line(out);
    line.raw("{\"t\":\"", |out| push_time(out, unix_millis));
    line.text("\",\"node\":", Some(node.as_bytes()), NAME_BYTES);
    line.text(",\"kind\":\"probe\",\"probe\":{\"why\":", Some(why.as_bytes()), WORD_BYTES);
    line.raw(",\"asked\":", |out| push_number(out, asked as u64));
    line.raw(",\"alarms\":", |out| push_number(out, alarms.len() as u64));
    for (position, alarm) in alarms.iter().take(MOST_ALARMS).enumerate() {
        let before = if position == 0 { ",\"of\":[{\"platform\":" } else { ",{\"platform\":" };
        line.text(before, Some(alarm.platform.as_bytes()), WORD_BYTES);
        line.text(",\"route\":", Some(alarm.route.as_bytes()), WORD_BYTES);
        line.text(",\"by\":", Some(alarm.by.name().as_bytes()), WORD_BYTES);
        line.text(",\"family\":", Some(alarm.family.as_bytes()), WORD_BYTES);
        line.text(",\"state\":", Some(alarm.state.name().as_bytes()), WORD_BYTES);
        line.text(",\"why\":", Some(alarm.why.as_bytes()), NAME_BYTES);
        line.raw("}", |_| ());
    }
    line.raw(if alarms.is_empty() { "}" } else { "]}" }, |_| ());
    if lost > 0 {
        line.raw(",\"lost\":", |out| push_number(out, lost));
    }
    line.raw("}\n", |_| ());
}

/// A line under way. What comes before a value is written as it stands: a flood of refusals is a flood of lines.
pub(super) struct Line<'a>(pub(super) &'a mut Vec<u8>);

impl Line<'_> {
    pub(super) fn raw(&mut self, before: &str, value: impl FnOnce(&mut Vec<u8>)) {
        self.0.extend_from_slice(before.as_bytes());
        value(self.0);
    }

    pub(super) fn some<T>(&mut self, before: &str, value: Option<T>, push: impl FnOnce(&mut Vec<u8>, T)) {
        self.raw(before, |out| match value {
            Some(value) => push(out, value),
            None => out.extend_from_slice(b"null"),
        });
    }

    /// A string that somebody else may have chosen.
    pub(super) fn text(&mut self, before: &str, value: Option<&[u8]>, longest: usize) {
        self.some(before, value, |out, bytes| push_string(out, bytes, longest));
    }

    /// A word of ours, which needs no escape.
    pub(super) fn word(&mut self, before: &str, value: Option<&'static str>) {
        self.some(before, value, |out, word| {
            out.push(b'"');
            out.extend_from_slice(word.as_bytes());
            out.push(b'"');
        });
    }
}

fn push_observed(out: &mut Vec<u8>, observed: &[Refusal]) {
    out.push(b'[');
    for (position, refusal) in observed.iter().take(OBSERVED).enumerate() {
        if position > 0 {
            out.push(b',');
        }
        let mut line = Line(out);
        line.word("{\"reason\":", Some(refusal.reason.code()));
        line.raw(",\"detail\":", |out| push_shown(out, &refusal.detail));
        out.push(b'}');
    }
    out.push(b']');
}

/// `{"records":12,"exported":true,"values":{"email":12},"unread":{"size":4096}}`: names of ours and numbers.
fn push_left(out: &mut Vec<u8>, left: &Told) {
    let line = &mut Line(out);
    line.raw("{\"records\":", |out| push_number(out, left.records));
    if left.exported {
        line.raw(",\"exported\":true", |_| ());
    }
    line.raw(",\"values\":{", |_| ());
    for (position, (kind, count)) in left.values.iter().enumerate() {
        line.word(if position == 0 { "" } else { "," }, Some(kind.name()));
        line.raw(":", |out| push_number(out, *count));
    }
    line.raw("}", |_| ());
    if let Some((unread, bytes)) = left.unread {
        line.word(",\"unread\":{", Some(unread.name()));
        line.raw(":", |out| push_number(out, bytes));
        line.raw("}", |_| ());
    }
    line.raw("}", |_| ());
}

/// At most `longest` bytes as a string of JSON; a cut is marked with an ellipsis.
fn push_string(out: &mut Vec<u8>, bytes: &[u8], longest: usize) {
    out.push(b'"');
    // Nearly every string is short and plain; without an early exit this is a few vector instructions.
    let plain = |byte: &u8| matches!(byte, 0x20..=0x7E) & (*byte != b'"') & (*byte != b'\\');
    if bytes.len() <= longest && bytes.iter().fold(true, |all, byte| all & plain(byte)) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let kept = bytes.get(..longest).map_or(bytes, |cut| {
        // Not in the middle of a character.
        let end = (0..4)
            .map(|back| longest.saturating_sub(back))
            .find(|end| bytes.get(*end).is_none_or(|byte| byte & 0xC0 != 0x80));
        bytes.get(..end.unwrap_or(longest)).unwrap_or(cut)
    });
    for chunk in kept.utf8_chunks() {
        push_escaped(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
    if kept.len() < bytes.len() {
        out.extend_from_slice("…".as_bytes());
    }
    out.push(b'"');
}

/// Control characters are escaped, those of ISO 6429 (U+0080 to U+009F) included: a terminal may obey them.
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        if character.is_control() || matches!(character, '"' | '\\') {
            out.extend_from_slice(text.get(plain..at).unwrap_or_default().as_bytes());
            plain = at + character.len_utf8();
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                other => {
                    let code = u32::from(other);
                    out.extend_from_slice(b"\\u00");
                    out.extend([code >> 4, code & 15].map(|nibble| hex(nibble & 15)));
                }
            }
        }
    }
    out.extend_from_slice(text.get(plain..).unwrap_or_default().as_bytes());
}

const fn hex(nibble: u32) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble as u8,
        _ => b'a' + (nibble as u8 - 10),
    }
}

/// What `value` displays, cut.
pub(super) fn push_shown(out: &mut Vec<u8>, value: &dyn fmt::Display) {
    /// Keeps the first bytes and forgets the rest.
    struct Cut {
        bytes: [u8; TEXT_BYTES + 1],
        length: usize,
    }
    impl fmt::Write for Cut {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = self.bytes.get_mut(self.length..).unwrap_or_default();
            let kept = text.len().min(room.len());
            if let (Some(room), Some(text)) = (room.get_mut(..kept), text.as_bytes().get(..kept)) {
                room.copy_from_slice(text);
            }
            self.length += kept;
            Ok(())
        }
    }
    let mut cut = Cut { bytes: [0; TEXT_BYTES + 1], length: 0 };
    // A `Display` that fails leaves what it wrote so far.
    let _ = write!(cut, "{value}");
    push_string(out, cut.bytes.get(..cut.length).unwrap_or_default(), TEXT_BYTES);
}

pub(super) fn push_reference(out: &mut Vec<u8>, reference: Reference) {
    out.push(b'"');
    out.extend_from_slice(&reference.word());
    out.push(b'"');
}

pub(super) fn push_ip(out: &mut Vec<u8>, ip: IpAddr) {
    out.push(b'"');
    push_ip_bare(out, ip);
    out.push(b'"');
}

fn push_socket(out: &mut Vec<u8>, socket: SocketAddr) {
    let (open, close) = if socket.is_ipv6() { ("\"[", "]:") } else { ("\"", ":") };
    out.extend_from_slice(open.as_bytes());
    push_ip_bare(out, socket.ip());
    out.extend_from_slice(close.as_bytes());
    push_number(out, u64::from(socket.port()));
    out.push(b'"');
}

fn push_ip_bare(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            for (position, octet) in v4.octets().into_iter().enumerate() {
                if position > 0 {
                    out.push(b'.');
                }
                push_number(out, u64::from(octet));
            }
        }
        // Writing to a vector cannot fail.
        IpAddr::V6(v6) => drop(io::Write::write_fmt(out, format_args!("{v6}"))),
    }
}

pub(super) fn push_number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [b'0'; 20];
    let mut rest = value;
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = digit(rest);
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Two digits; the callers' values are below 100.
fn push_two(out: &mut Vec<u8>, value: u64) {
    out.extend([value / 10 % 10, value % 10].map(digit));
}

/// Three digits; the callers' values are below 1000.
fn push_three(out: &mut Vec<u8>, value: u64) {
    out.extend([value / 100 % 10, value / 10 % 10, value % 10].map(digit));
}

const fn digit(value: u64) -> u8 {
    b'0' + (value % 10) as u8
}

/// Milliseconds to the microsecond: `12.345`.
fn push_millis(out: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    push_number(out, micros / 1000);
    out.push(b'.');
    push_three(out, micros % 1000);
}

/// RFC 3339 in UTC with milliseconds: `2026-11-21T23:05:09.042Z`.
pub(super) fn push_time(out: &mut Vec<u8>, unix_millis: u64) {
    // No later than the year 9999, which is where the format ends.
    let millis = unix_millis.min(253_402_300_799_999);
    let date = Date::of_millis(millis);
    let (year, millis) = (date.year.unsigned_abs(), millis % 86_400_000);
    push_two(out, year / 100);
    push_two(out, year % 100);
    out.push(b'-');
    push_two(out, u64::from(date.month));
    out.push(b'-');
    push_two(out, u64::from(date.day));
    out.push(b'T');
    push_two(out, millis / 3_600_000);
    out.push(b':');
    push_two(out, millis / 60_000 % 60);
    out.push(b':');
    push_two(out, millis / 1000 % 60);
    out.push(b'.');
    push_three(out, millis % 1000);
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use portcullis_engine::Detail;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn line(record: &Record<'_>, lost: u64) -> String {
        let mut out = Vec::new();
        record.write(&mut out, "gate-1", lost);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_line_reads_like_this() {
        let observed = [Refusal::new(Reason::DeniedAddress, Detail::Limit("x", 3))];
        let record = Record {
            unix_millis: 1_795_302_309_042,
            reference: Some(Reference(0x0123_4567_89AB_CDEF)),
            listener: "https",
            platform: Some("public"),
            route: Some("/search"),
            class: Some(RouteClass::Search),
            client: Some("203.0.113.7".parse().expect("an address")),
            peer: Some("[2001:db8::1]:4711".parse().expect("an address")),
            source: Source::Forwarded,
            method: Some(b"GET"),
            host: Some(b"example.org"),
            path: Some(b"/search?q=secret"),
            version: Some("2"),
            tls: Some("1.3"),
            verdict: Verdict::Refused,
            reason: Some(Reason::RateLimited),
            detail: Some(&"rate 5/s by address on /search"),
            observed: &observed,
            trust: Some(Trust::History),
            status: 429,
            bytes_in: 1,
            bytes_out: u64::MAX,
            took: Duration::from_micros(12_045),
            ..Record::default()
        };
        assert_eq!(
            line(&record, 7),
            "{\"t\":\"2026-11-21T23:05:09.042Z\",\"ref\":\"028T5CY4TQKFF\",\"node\":\"gate-1\",\"listener\":\"https\",\
             \"platform\":\"public\",\"route\":\"/search\",\"class\":\"search\",\"client\":\"203.0.113.7\",\
             \"peer\":\"[2001:db8::1]:4711\",\"from\":\"forwarded\",\"method\":\"GET\",\"host\":\"example.org\",\
             \"path\":\"/search\",\"version\":\"2\",\"tls\":\"1.3\",\"ja4\":null,\"h2\":null,\"order\":null,\
             \"verdict\":\"refused\",\"reason\":\"rate-limited\",\"detail\":\"rate 5/s by address on /search\",\
             \"observed\":[{\"reason\":\"denied-address\",\"detail\":\"limits.x = 3\"}],\"trust\":\"history\",\"status\":429,\"bytes_in\":1,\
             \"bytes_out\":18446744073709551615,\"upstream\":null,\"attempts\":0,\"ms\":12.045,\"upstream_ms\":null,\
             \"lost\":7}\n"
        );
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ];
        for (millis, expected) in table {
            let mut out = Vec::new();
            push_time(&mut out, millis);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn strings_are_cut_between_characters() {
        let table: &[(&[u8], usize, &str)] = &[
            (b"", 4, ""),
            (b"abcd", 4, "abcd"),
            (b"abcde", 4, "abcd…"),
            ("abcé".as_bytes(), 4, "abc…"),
            ("abé".as_bytes(), 4, "abé"),
            ("a🎈b".as_bytes(), 4, "a…"),
            (b"a\xFFb", 4, "a\u{FFFD}b"),
            (b"\xF0\x9F\x8E", 4, "\u{FFFD}"),
            (b"\x80\x80\x80\x80\x80\x80\x80\x80\x80", 4, "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}…"),
            (b"\x1b[31m\"\\\x7f", 99, "\u{1b}[31m\"\\\u{7f}"),
        ];
        for (bytes, longest, expected) in table {
            let mut out = Vec::new();
            push_string(&mut out, bytes, *longest);
            let value: Value = serde_json::from_slice(&out).expect("valid JSON");
            assert_eq!(value, *expected);
        }
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_is_one_bounded_line_of_json(
            host in prop::collection::vec(any::<u8>(), 0..600),
            path in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..600),
            words in ".{0,400}",
            number in any::<u64>(),
        ) {
            let observed = vec![Refusal::new(Reason::RateLimited, std::sync::Arc::from(words.as_str())); 20];
            let record = Record {
                unix_millis: number, host: Some(&host), path: Some(&path), method: Some(&path), detail: Some(&words),
                listener: &words, platform: Some(&words), route: Some(&words), upstream: Some(&words),
                version: Some(&words), tls: Some(&words), ja4: Some(&words), h2: Some(&words), order: Some(&words),
                bytes_in: number, took: Duration::from_nanos(number), observed: &observed, ..Record::default()
            };
            let line = line(&record, number);
            prop_assert!(line.len() <= LINE_BYTES, "{}", line.len());
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(line.trim_end().chars().all(|character| !character.is_control()));
            let value: Value = serde_json::from_str(&line).expect("valid JSON");
            prop_assert_eq!(&value["bytes_in"], number);
            let shown = value["host"].as_str().expect("a string").trim_end_matches(['…', '\u{FFFD}']);
            let same = String::from_utf8_lossy(&host).starts_with(shown);
            prop_assert!(same, "{shown}");
        }
    }

    #[test]
    fn the_worst_line_fits() {
        let worst = "\0".repeat(1000);
        let observed =
            vec![Refusal::new(Reason::TooManyConnectionsFromAddress, std::sync::Arc::from(worst.as_str())); 20];
        let text = Some(worst.as_str());
        let record = Record {
            listener: &worst,
            platform: text,
            route: text,
            method: Some(worst.as_bytes()),
            host: Some(worst.as_bytes()),
            path: Some(worst.as_bytes()),
            version: text,
            tls: text,
            ja4: text,
            h2: text,
            order: text,
            detail: Some(&worst),
            observed: &observed,
            upstream: text,
            ..Record::default()
        };
        let mut out = Vec::new();
        record.write(&mut out, &worst, u64::MAX);
        assert!(out.len() <= LINE_BYTES, "{}", out.len());
    }
}
