//! What a visitor sees when the gate answers itself: a small page, or JSON for programs.
//!
//! It never names a rule, a limit, an upstream or a version: the reference leads the operator to those. No script, no
//! external resource, one allocation.

use std::fmt::Write as _;
use std::time::Duration;

use portcullis_types::{Blame, Reason, Reference};

/// Of an `Accept` field, so many ranges are read; browsers send eight.
const ACCEPT_RANGES: usize = 32;
/// No page is larger.
pub const PAGE_BYTES: usize = 2048;
/// An address or a page that is longer is not offered to visitors.
const CONTACT_BYTES: usize = 128;
/// The policy for `Content-Security-Policy` that these pages live with.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// Contrast is 7:1 or more in both schemes; a test computes it.
const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta name=\"robots\" content=\"noindex\"><style>\
:root{color-scheme:light dark}\
body{font:1.125rem/1.6 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1.25rem;background:#ffffff;color:#1b1b1b}\
h1{font-size:1.6rem;line-height:1.25}small{color:#505050}b{white-space:nowrap}a{color:inherit}\
@media(prefers-color-scheme:dark){body{background:#121212;color:#ececec}small{color:#b8b8b8}}\
</style><title>";

/// A response that the gate makes itself. A response to HEAD has the same length and no body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The status of the response.
    pub status: u16,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its body.
    pub body: String,
}

/// The page for a refusal or a failure. A contact is an address of mail, which gets the reference as its subject, or a URL.
#[must_use]
pub fn page(
    reason: Reason,
    reference: Reference,
    json: bool,
    retry_after: Option<Duration>,
    contact: Option<&str>,
) -> Page {
    let status = status(reason);
    let (title, sentence) = words(reason, status);
    let retry = retry_after.map(retry_after_seconds);
    let mut body = String::with_capacity(PAGE_BYTES);
    let word = reference.word();
    // `fmt::Write` on a String cannot fail.
    let _ = if json {
        let code = reason.code();
        write!(
            body,
            "{{\"error\":\"{code}\",\"status\":{status},\"reference\":\"{reference}\",\"message\":\"{sentence}\""
        )
        .and_then(|()| retry.map_or(Ok(()), |seconds| write!(body, ",\"retry_after\":{seconds}")))
        .and_then(|()| body.write_str("}\n"))
    } else {
        write!(body, "{HEAD}{title}</title></head><body><main><h1>{title}</h1><p>{sentence}")
            .and_then(|()| retry.map_or(Ok(()), |seconds| write_wait(&mut body, seconds)))
            .and_then(|()| {
                body.write_str("</p><p><small>If you ask for help, please quote this reference:</small><br><b>")
            })
            .map(|()| push_grouped(&mut body, word))
            .and_then(|()| body.write_str("</b></p>"))
            .map(|()| {
                push_contact(&mut body, word, contact);
                push_way_back(&mut body, reason, status);
            })
            .and_then(|()| body.write_str("</main></body></html>\n"))
    };
    Page { status, content_type: if json { JSON } else { HTML }, body }
}

/// The body of a redirect, for the rare client that does not follow it.
#[must_use]
pub fn redirect(status: u16, location: &str) -> Page {
    let mut body = String::with_capacity(HEAD.len() + 2 * location.len() + 256);
    body.push_str(HEAD);
    body.push_str("This page has moved</title></head><body><main><h1>This page has moved</h1><p><a href=\"");
    push_escaped(&mut body, location);
    body.push_str("\">Continue</a></p></main></body></html>\n");
    Page { status, content_type: HTML, body }
}

/// The page for a path of the gate's own that does not exist.
#[must_use]
pub fn absent() -> Page {
    let title = "There is no such page";
    let body = format!(
        "{HEAD}{title}</title></head><body><main><h1>{title}</h1><p><a href=\"/\">Go to the front page</a></p></main></body></html>\n"
    );
    Page { status: 404, content_type: HTML, body }
}

/// Whole seconds for `Retry-After`: rounded up, at least one.
#[must_use]
pub fn retry_after_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Whether a client with that `Accept` would rather have JSON than HTML. Where it likes both alike, the one that it
/// names more exactly wins. A client that does not name JSON gets HTML.
#[must_use]
pub fn wants_json(accept: Option<&[u8]>) -> bool {
    // A flood of refusals asks this for each, and browsers name no such thing.
    let Some(accept) = accept.filter(|accept| may_name_json(accept)) else { return false };
    let ranges = || accept.split(|byte| *byte == b',').take(ACCEPT_RANGES).filter_map(Range::parse);
    let json =
        ranges().filter_map(|range| range.quality_for(b"application", b"json")).max_by_key(|liking| liking.exactness);
    let html = ranges().filter_map(|range| range.quality_for(b"text", b"html")).max_by_key(|liking| liking.exactness);
    match (json, html) {
        (Some(json), Some(html)) => (json.quality, json.exactness) > (html.quality, html.exactness),
        (Some(json), None) => json.quality > 0,
        (None, _) => false,
    }
}

/// `json` has a j, `application/*` an asterisk behind its slash.
fn may_name_json(accept: &[u8]) -> bool {
    let before = |asterisk: usize| accept.get(asterisk.saturating_sub(12)..asterisk);
    memchr::memchr2(b'j', b'J', accept).is_some()
        || memchr::memchr_iter(b'*', accept)
            .any(|asterisk| before(asterisk).is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/")))
}

/// How much a client likes a media type, by the most exact range that covers it (RFC 9110 section 12.5.1).
struct Liking {
    exactness: u8,
    /// Thousandths.
    quality: u16,
}

struct Range<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut parts = text.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let mut halves = parts.next()?.splitn(2, |byte| *byte == b'/');
        let (kind, subtype) = (halves.next()?, halves.next()?);
        // `application/problem+json` and its like are JSON to us.
        let subtype = subtype
            .rsplit(|byte| *byte == b'+')
            .next()
            .filter(|last| last.eq_ignore_ascii_case(b"json"))
            .unwrap_or(subtype);
        let weight =
            parts.find_map(|parameter| parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q=")));
        Some(Self { kind, subtype, quality: weight.map_or(Some(1000), thousandths)? })
    }

    fn quality_for(&self, kind: &[u8], subtype: &[u8]) -> Option<Liking> {
        let exactness = if self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype) {
            2
        } else if self.kind.eq_ignore_ascii_case(kind) && self.subtype == b"*" {
            1
        } else if self.kind == b"*" && self.subtype == b"*" {
            0
        } else {
            return None;
        };
        Some(Liking { exactness, quality: self.quality })
    }
}

/// `0.25` is 250; RFC 9110 section 12.4.2 allows three digits.
fn thousandths(text: &[u8]) -> Option<u16> {
    let (whole, fraction) = match text {
        [whole] | [whole, b'.'] => (*whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (*whole, fraction),
        _ => return None,
    };
    let mut value = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    for (digit, worth) in fraction.iter().zip([100u16, 10, 1]) {
        value += u16::from(digit.is_ascii_digit().then(|| digit - b'0')?) * worth;
    }
    (value <= 1000).then_some(value)
}

/// Where the connection is closed without a response nobody sees the page; it still has a true status.
fn status(reason: Reason) -> u16 {
    match (reason.status(), reason.blame()) {
        (0, Blame::Client) => 400,
        (0, Blame::Upstream) => 502,
        (0, Blame::Gate) => 503,
        (status, _) => status,
    }
}

/// What a visitor is told: what happened to them and what they can do. No quotes, so that JSON needs no escapes.
const fn words(reason: Reason, status: u16) -> (&'static str, &'static str) {
    match reason {
        Reason::DeniedAddress => (
            "This page is not open to your network",
            "Requests from your network are not accepted here. If that seems wrong, please contact the organisation.",
        ),
        Reason::RateLimited => (
            "Please wait a moment",
            "Many requests came from you or your network in a short time. Please wait a little, then try again.",
        ),
        Reason::ConcurrencyLimit => (
            "Very many people are here right now",
            "We are serving as many visitors as we can. Please try again in a moment.",
        ),
        Reason::UnknownHost => (
            "There is no such site here",
            "The address in your browser does not belong to a site that we serve. Please check how it is spelt.",
        ),
        Reason::HeadTooLarge | Reason::TooManyHeaders => (
            "Your browser sent too much",
            "Your browser sent more data with its request than we accept. Deleting the cookies of this site may help.",
        ),
        _ => match status {
            403 => ("This is not allowed", "Your request was not accepted."),
            405 | 417 | 501 => ("This is not possible here", "This page does not take that kind of request."),
            408 => ("That took too long", "Your request did not reach us completely in time. Please try again."),
            413 => ("That is too large", "What you sent is larger than this page accepts."),
            414 => ("That address is too long", "The address of the page is longer than we accept."),
            500 => ("Something went wrong", "The fault is ours, and it has been noted. Please try again."),
            502 | 504 => (
                "This site is not answering",
                "The site behind this address did not answer as it should. The fault is not yours. Please try again in a few minutes.",
            ),
            503 => (
                "This site is not available right now",
                "We are working to bring it back. The fault is not yours. Please try again in a few minutes.",
            ),
            _ => (
                "We could not read your request",
                "Your browser sent something that we did not understand. Please go back and try again.",
            ),
        },
    }
}

fn write_wait(body: &mut String, seconds: u64) -> std::fmt::Result {
    let (count, unit) = match seconds {
        0..=90 => (seconds, "second"),
        91..=5400 => (seconds.div_ceil(60), "minute"),
        _ => (seconds.div_ceil(3600), "hour"),
    };
    write!(body, " You can try again in {count} {unit}{}.", if count == 1 { "" } else { "s" })
}

/// `0123-4567-89ABC`: groups are easier to read out.
pub(crate) fn push_grouped(body: &mut String, word: [u8; portcullis_types::WORD_LEN]) {
    for (position, byte) in word.into_iter().enumerate() {
        if matches!(position, 4 | 8) {
            body.push('-');
        }
        body.push(char::from(byte));
    }
}

/// Who can be asked. The reference need not be typed.
fn push_contact(body: &mut String, word: [u8; portcullis_types::WORD_LEN], contact: Option<&str>) {
    let Some(contact) = contact.filter(|contact| contact.len() <= CONTACT_BYTES) else { return };
    if contact.starts_with("https://") || contact.starts_with("http://") {
        body.push_str("<p><a href=\"");
        push_escaped(body, contact);
        body.push_str("\">Ask for help</a></p>");
    } else if contact.contains('@') {
        body.push_str("<p>Ask for help: <a href=\"mailto:");
        push_escaped(body, contact);
        body.push_str("?subject=");
        push_grouped(body, word);
        body.push_str("\">");
        push_escaped(body, contact);
        body.push_str("</a></p>");
    }
}

/// Where to go from here: the same page again where that may help, and the front page where there is one.
fn push_way_back(body: &mut String, reason: Reason, status: u16) {
    let again = matches!(status, 408 | 429 | 500 | 502..=504);
    let front = reason != Reason::UnknownHost;
    if again || front {
        body.push_str("<p>");
        if again {
            body.push_str("<a href=\"\">Try again</a> ");
        }
        if front {
            body.push_str("<a href=\"/\">Go to the front page</a>");
        }
        body.push_str("</p>");
    }
}

pub(crate) fn push_escaped(body: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => body.push_str("&amp;"),
            '<' => body.push_str("&lt;"),
            '>' => body.push_str("&gt;"),
            '"' => body.push_str("&quot;"),
            '\'' => body.push_str("&#39;"),
            other => body.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: Reference = Reference(0x0123_4567_89AB_CDEF);

    #[test]
    fn a_page_reads_like_this() {
        let page = page(Reason::RateLimited, REFERENCE, false, Some(Duration::from_millis(4100)), None);
        let (head, body) = page.body.split_once("</title>").expect("a title");
        assert_eq!((page.status, page.content_type), (429, "text/html; charset=utf-8"));
        assert_eq!(head, format!("{HEAD}Please wait a moment"));
        assert_eq!(
            body,
            "</head><body><main><h1>Please wait a moment</h1><p>Many requests came from you or your network in a short \
             time. Please wait a little, then try again. You can try again in 5 seconds.</p><p><small>If you ask for help, \
             please quote this reference:</small><br><b>028T-5CY4-TQKFF</b></p><p><a href=\"\">Try again</a> <a href=\"/\">Go to the front page</a></p>\
             </main></body></html>\n"
        );
    }

    #[test]
    fn json_reads_like_this() {
        let page = page(Reason::NoUpstream, REFERENCE, true, Some(Duration::from_secs(2)), None);
        assert_eq!((page.status, page.content_type), (503, "application/json"));
        assert_eq!(
            page.body,
            "{\"error\":\"no-upstream\",\"status\":503,\"reference\":\"028T5CY4TQKFF\",\"message\":\"We are working to \
             bring it back. The fault is not yours. Please try again in a few minutes.\",\"retry_after\":2}\n"
        );
    }

    #[test]
    fn every_reason_has_a_small_whole_page_and_valid_json() {
        for reason in Reason::ALL.iter().copied() {
            let wait = Some(Duration::from_secs(1_000_000));
            let html = page(reason, Reference(u64::MAX), false, wait, None);
            assert!(
                html.body.len() < PAGE_BYTES && html.body.capacity() == PAGE_BYTES,
                "{reason}: {}",
                html.body.len()
            );
            assert!((400..600).contains(&html.status), "{reason}");
            for needed in ["<html lang=\"en\">", "name=\"viewport\"", "<title>", "<h1>", "</html>"] {
                assert!(html.body.contains(needed), "{reason} lacks {needed}");
            }
            for leak in ["<script", "http:", "https:", "src=", "upstream", "limit", "Portcullis", reason.code()] {
                assert!(!html.body.contains(leak), "{reason} has {leak}");
            }
            let json = page(reason, Reference(0), true, wait, None);
            let value: serde_json::Value = serde_json::from_str(&json.body).expect("valid JSON");
            assert_eq!(value["error"], reason.code());
            assert_eq!(value["status"], json.status);
            assert_eq!(value["reference"], "0000000000000");
        }
    }

    #[test]
    fn whoever_can_be_asked_is_named_and_gets_the_reference() {
        let of = |contact| page(Reason::DeniedAddress, REFERENCE, false, None, contact).body;
        assert!(of(Some("help@example.org")).contains(
            "<p>Ask for help: <a href=\"mailto:help@example.org?subject=028T-5CY4-TQKFF\">help@example.org</a></p>"
        ));
        assert!(
            of(Some("https://example.org/a&b")).contains("<a href=\"https://example.org/a&amp;b\">Ask for help</a>")
        );
        let long = format!("{}@example.org", "x".repeat(200));
        for contact in ["javascript:alert(1)", "", &long] {
            assert_eq!(of(Some(contact)), of(None), "{contact}");
        }
        let hostile = of(Some("a\"><script>@x"));
        assert!(!hostile.contains("<script") && hostile.len() < PAGE_BYTES, "{hostile}");
        let largest = page(
            Reason::ConcurrencyLimit,
            REFERENCE,
            false,
            Some(Duration::MAX),
            Some(&"'@".repeat(CONTACT_BYTES / 2)),
        );
        assert!(largest.body.len() <= PAGE_BYTES + 4 * CONTACT_BYTES, "{}", largest.body.len());
    }

    #[test]
    fn there_is_a_way_back_from_every_page_that_has_one() {
        for (reason, again, front) in [
            (Reason::RateLimited, true, true),
            (Reason::NoUpstream, true, true),
            (Reason::DeniedAddress, false, true),
            (Reason::UnknownHost, false, false),
        ] {
            let body = page(reason, REFERENCE, false, None, None).body;
            assert_eq!((body.contains("<a href=\"\">"), body.contains("<a href=\"/\">")), (again, front), "{reason}");
        }
    }

    #[test]
    fn text_contrasts_with_its_background() {
        // WCAG 2.2, 1.4.3 asks for 4.5:1 and 1.4.6 (AAA) for 7:1.
        let luminance = |colour: &str| {
            let channel = |at: usize| {
                let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("a colour")) / 255.0;
                if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
        };
        let colours: Vec<f64> = HEAD.split('#').skip(1).map(luminance).collect();
        let [light, ink, small, dark, chalk, faint] = colours[..] else { panic!("six colours, not {}", colours.len()) };
        for (paper, text) in [(light, ink), (light, small), (dark, chalk), (dark, faint)] {
            let (bright, dim) = (paper.max(text), paper.min(text));
            assert!((bright + 0.05) / (dim + 0.05) >= 7.0, "{paper} {text}");
        }
    }

    #[test]
    fn the_reference_on_the_page_is_the_one_that_is_looked_up() {
        let html = page(Reason::BadHost, REFERENCE, false, None, None).body;
        let (_, rest) = html.split_once("<b>").expect("a reference");
        let (shown, _) = rest.split_once("</b>").expect("its end");
        assert_eq!(Reference::parse(shown), Some(REFERENCE));
    }

    #[test]
    fn accept_decides() {
        let table: &[(&str, bool)] = &[
            ("", false),
            ("*/*", false),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", false),
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json, text/plain, */*", true),
            ("application/*", true),
            ("application/json;q=0", false),
            ("application/json;q=0.0, */*", false),
            ("application/json;q=0.5, text/html", false),
            ("text/html;q=0.5, application/json", true),
            ("text/html ; q=0.7 , application/json ; q=0.701", true),
            ("application/json, text/html", false),
            ("text/*, application/json;q=0.9", false),
            ("*/*;q=0.1, application/json;q=0.2", true),
            ("application/json;q=2", false),
            ("application/json;q=abc", false),
            ("application/json;q=1.001", false),
            ("json", false),
            ("application/problem+json", true),
            ("application/vnd.api+JSON;q=0.9, */*;q=0.1", true),
            ("application/xhtml+xml, */*", false),
            ("text/html;q=0.1, */*", false),
            ("APPLICATION/*", true),
            (",,,;;;q=1,/", false),
            ("image/png", false),
        ];
        for (accept, expected) in table {
            assert_eq!(wants_json(Some(accept.as_bytes())), *expected, "{accept}");
        }
        assert!(!wants_json(None));
        assert!(!wants_json(Some(&[0xFF; 5000])));
    }

    #[test]
    fn waits_are_spoken_in_whole_units() {
        let table = [
            (0, "1 second"),
            (1, "1 second"),
            (90, "90 seconds"),
            (91, "2 minutes"),
            (3601, "61 minutes"),
            (7201, "3 hours"),
        ];
        for (seconds, words) in table {
            let html = page(Reason::RateLimited, REFERENCE, false, Some(Duration::from_secs(seconds)), None).body;
            assert!(html.contains(&format!("again in {words}.")), "{seconds}");
        }
        assert_eq!(retry_after_seconds(Duration::from_nanos(1)), 1);
        assert_eq!(retry_after_seconds(Duration::from_millis(2001)), 3);
        assert_eq!(retry_after_seconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn a_redirect_cannot_be_broken_out_of() {
        let page = redirect(308, "https://example.org/?a=1&b=\"><script>'");
        assert_eq!(page.status, 308);
        let link = "<a href=\"https://example.org/?a=1&amp;b=&quot;&gt;&lt;script&gt;&#39;\">Continue</a>";
        assert!(page.body.contains(link), "{}", page.body);
    }
}
