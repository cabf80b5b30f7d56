//! What a visitor sees who is asked to show that somebody waits, or who waits: small pages that work without script,
//! without sight and without a pointer.
//!
//! It never says that the visitor is a program, never names a rule or a limit, and loads nothing from anywhere. Templates,
//! style and script are files beside this one; the policy of each page allows exactly this style and this script, by hash.

use std::fmt::Write as _;
use std::time::Duration;

use portcullis_types::Reference;

use crate::pages;

/// No page is larger.
pub const PAGE_BYTES: usize = 10_000;

/// Style and script by their SHA-256; a test computes them.
macro_rules! policy {
    ($script:literal) => {
        concat!(
            "default-src 'none'; style-src 'sha256-QlE7kjuz1eNrA0zL4DQGIvkk4Fp+q9OlmUvCelosZvc='; ",
            $script,
            "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
        )
    };
}
const PLAIN_POLICY: &str = policy!("");
const SCRIPT_POLICY: &str = policy!("script-src 'sha256-k0Eo7bvAc/rzh5p60lZGJnF8w2wYIEk5tzxqwqWryPQ='; ");

const STYLE: &str = include_str!("challenge/style.css");
const SCRIPT: &str = include_str!("challenge/puzzle.js");

/// A page, and what its response says beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// HTML.
    pub body: String,
    /// For `Content-Security-Policy`.
    pub policy: &'static str,
    /// Seconds after which it is worth asking again.
    pub again: Option<u64>,
}

/// The page that opens the other one as soon as a cookie came back. `to` is the page that was asked for; the cookie was
/// given before and `late` means that it did not come back as it should.
#[must_use]
pub fn echo(reference: Reference, to: &str, late: bool) -> Sheet {
    let to = percent_encoded(to);
    let seconds = if late { 5 } else { 1 };
    let refresh = format!("{seconds};url=/.portcullis/return?to={to}");
    sheet(include_str!("challenge/echo.html"), reference, Some((seconds, &refresh)), &[("to", &to)])
}

/// The page with the puzzle. `attributes` are those of the cookie into which the script writes the answer.
#[must_use]
pub fn puzzle(reference: Reference, to: &str, puzzle: &str, attributes: &str, manual: Duration) -> Sheet {
    let values =
        [("to", &*percent_encoded(to)), ("puzzle", puzzle), ("attributes", attributes), ("wait", &*about(manual))];
    let mut sheet = sheet(include_str!("challenge/puzzle.html"), reference, None, &values);
    sheet.body.truncate(sheet.body.len() - FOOT.len());
    for part in ["<script>", SCRIPT, "</script>", FOOT] {
        sheet.body.push_str(part);
    }
    Sheet { policy: SCRIPT_POLICY, again: Some(5), ..sheet }
}

/// The page with the button that takes a place in the queue of the manual way.
#[must_use]
pub fn manual(reference: Reference, to: &str, wait: Duration) -> Sheet {
    sheet(include_str!("challenge/manual.html"), reference, None, &[("to", to), ("wait", &about(wait))])
}

/// The page of somebody who has such a place; it stands where the page that was asked for will be.
#[must_use]
pub fn wait(reference: Reference, target: &str, wait: Duration) -> Sheet {
    let seconds = pages::retry_after_seconds(wait).min(15);
    let values = [("target", target), ("wait", &*about(wait))];
    sheet(include_str!("challenge/wait.html"), reference, Some((seconds, &seconds.to_string())), &values)
}

/// The waiting room; it stands where the page that was asked for will be.
#[must_use]
pub fn room(reference: Reference, target: &str, ahead: u32, wait: Duration) -> Sheet {
    // Spread, so that those who came together do not ask again together.
    let seconds = (pages::retry_after_seconds(wait) / 2).clamp(5, 20) + reference.0 % 8;
    let ahead = match ahead {
        0 => "You are next.".to_owned(),
        1 => "There is one person before you.".to_owned(),
        2..100 => format!("There are {ahead} people before you."),
        // More exactness than this would only look like progress that is none.
        _ => format!("There are about {} people before you.", ahead.div_ceil(50) * 50),
    };
    let values = [("target", target), ("ahead", &*ahead), ("wait", &*about(wait))];
    sheet(include_str!("challenge/room.html"), reference, Some((seconds, &seconds.to_string())), &values)
}

/// The page for a browser that does not send cookies back.
#[must_use]
pub fn cookies(reference: Reference, target: &str) -> Sheet {
    sheet(include_str!("challenge/cookies.html"), reference, None, &[("target", target)])
}

const FOOT: &str = "</main></body></html>\n";

/// Puts a template into a whole page. The heading is the title, too.
fn sheet(template: &str, reference: Reference, again: Option<(u64, &str)>, values: &[(&str, &str)]) -> Sheet {
    let heading = template.split_once("<h1>").and_then(|(_, rest)| rest.split_once("</h1>"));
    let title = heading.map_or("", |(title, _)| title);
    let mut body = String::with_capacity(PAGE_BYTES);
    body.push_str(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta name=\"robots\" content=\"noindex\">",
    );
    if let Some((_, refresh)) = again {
        body.push_str("<meta http-equiv=\"refresh\" content=\"");
        pages::push_escaped(&mut body, refresh);
        body.push_str("\">");
    }
    for part in ["<title>", title, "</title><style>", STYLE, "</style></head><body><main>\n"] {
        body.push_str(part);
    }
    fill(&mut body, template, values);
    body.push_str("<p class=\"help\"><small>If you ask for help, please quote this reference:</small><br><b>");
    pages::push_grouped(&mut body, reference.word());
    body.push_str("</b></p>");
    body.push_str(FOOT);
    Sheet { body, policy: PLAIN_POLICY, again: again.map(|(seconds, _)| seconds) }
}

/// `{{name}}` becomes the value of that name, always escaped.
fn fill(body: &mut String, template: &str, values: &[(&str, &str)]) {
    let mut rest = template;
    while let Some((before, (name, behind))) =
        rest.split_once("{{").and_then(|(before, behind)| Some((before, behind.split_once("}}")?)))
    {
        body.push_str(before);
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            pages::push_escaped(body, value);
        }
        rest = behind;
    }
    body.push_str(rest);
}

/// `about 20 seconds`, without the `about`: never more exact than it can be.
fn about(wait: Duration) -> String {
    let seconds = pages::retry_after_seconds(wait);
    let (count, unit) = match seconds {
        0..=5 => (5, "second"),
        6..=90 => (seconds.next_multiple_of(5), "second"),
        91..=5400 => (seconds.div_ceil(60), "minute"),
        _ => (seconds.div_ceil(3600), "hour"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// For a value in a query: all but letters, digits and what never needs it.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // `fmt::Write` on a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    const REFERENCE: Reference = Reference(0x0123_4567_89AB_CDEF);
    const NASTY: &str = "/search?q=\"><script>alert(1)</script>&lang=d'e&x={{wait}}";

    fn all(target: &str) -> Vec<(&'static str, Sheet)> {
        let minute = Duration::from_secs(60);
        vec![
            ("echo", echo(REFERENCE, target, false)),
            ("puzzle", puzzle(REFERENCE, target, &"A".repeat(54), "; Path=/; Secure", minute)),
            ("manual", manual(REFERENCE, target, minute)),
            ("wait", wait(REFERENCE, target, minute)),
            ("room", room(REFERENCE, target, 1_234, 20 * minute)),
            ("cookies", cookies(REFERENCE, target)),
        ]
    }

    #[test]
    fn every_page_is_small_whole_and_says_nothing_that_it_should_not() {
        for (name, Sheet { body, .. }) in all("/donate?amount=20&to=a") {
            assert!(body.len() < PAGE_BYTES, "{name}: {}", body.len());
            for needed in [
                "<html lang=\"en\">",
                "name=\"viewport\"",
                "<title>",
                "<h1>",
                "028T-5CY4-TQKFF",
                "</main></body></html>",
            ] {
                assert!(body.contains(needed), "{name} lacks {needed}");
            }
            assert_eq!(body.matches("<h1>").count(), 1, "{name}");
            for leak in ["http:", "https:", "src=", "bot", "robot ", "human", "{{", "}}", "onclick", "style=\""] {
                assert!(!body.replace("name=\"robots\"", "").contains(leak), "{name} has {leak}");
            }
        }
    }

    #[test]
    fn what_the_visitor_asked_for_cannot_become_markup() {
        for (name, sheet) in all(NASTY) {
            assert!(!sheet.body.contains("alert(1)</script>"), "{name}");
            assert!(!sheet.body.contains("\"><script>alert"), "{name}");
            assert!(!sheet.body.contains("d'e"), "{name}");
            assert_eq!(sheet.body.matches("<script>").count(), usize::from(name == "puzzle"), "{name}");
        }
        let long = format!("/{}", "é&".repeat(500));
        assert!(all(&long).iter().all(|(_, sheet)| sheet.body.ends_with("</html>\n")));
    }

    #[test]
    fn the_policy_allows_exactly_this_style_and_this_script() {
        let hash = |text: &str| base64(&Sha256::digest(text.as_bytes()));
        for (name, sheet) in all("/") {
            let inside = |tag: &str| {
                let (_, rest) = sheet.body.split_once(&format!("<{tag}>"))?;
                rest.split_once(&format!("</{tag}>")).map(|(inside, _)| inside)
            };
            let style = hash(inside("style").expect("a style"));
            assert!(sheet.policy.contains(&format!("style-src 'sha256-{style}'")), "{name}: {style}");
            match inside("script") {
                Some(script) => {
                    let script = hash(script);
                    assert!(sheet.policy.contains(&format!("script-src 'sha256-{script}'")), "{name}: {script}");
                }
                None => assert!(!sheet.policy.contains("script-src"), "{name}"),
            }
            assert!(sheet.policy.starts_with("default-src 'none'; "));
        }
    }

    #[test]
    fn waiting_is_said_in_plain_words() {
        for (seconds, words) in
            [(1, "5 seconds"), (20, "20 seconds"), (61, "65 seconds"), (100, "2 minutes"), (7000, "2 hours")]
        {
            assert_eq!(about(Duration::from_secs(seconds)), words);
        }
        for (ahead, words) in
            [(0, "You are next."), (1, "one person"), (7, "are 7 people"), (1_234, "about 1250 people")]
        {
            assert!(room(REFERENCE, "/", ahead, Duration::from_secs(60)).body.contains(words), "{words}");
        }
        assert_eq!(wait(REFERENCE, "/", Duration::from_millis(3_200)).again, Some(4));
        assert_eq!(wait(REFERENCE, "/", Duration::from_secs(300)).again, Some(15));
        let spread: std::collections::BTreeSet<_> =
            (0..100).map(|word| room(Reference(word), "/", 9, Duration::from_secs(60)).again).collect();
        assert_eq!(spread.len(), 8);
    }

    #[test]
    fn text_contrasts_with_its_background() {
        // WCAG 2.2, 1.4.6 (AAA) asks for 7:1 for text, 1.4.11 for 3:1 for what shows the focus.
        let luminance = |colour: &str| {
            let channel = |at: usize| {
                let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("a colour")) / 255.0;
                if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
        };
        let (light, dark) = STYLE.split_once("@media").expect("two schemes");
        let of = |scheme: &str, rule: &str, property: &str| {
            let (_, rest) = scheme.split_once(&format!("\n{rule}{{")).expect(rule);
            let (rule, _) = rest.split_once('}').expect("an end");
            let (_, value) =
                rule.split_once(&format!("{property}:")).or_else(|| rule.split_once(property)).expect(property);
            let at = value.find('#').expect("a colour");
            luminance(&value[at..at + 7])
        };
        for scheme in [light, dark] {
            let paper = of(scheme, "body", "background");
            let pairs = [
                (paper, of(scheme, "body", ";color"), 7.0),
                (paper, of(scheme, "small", "color"), 7.0),
                (paper, of(scheme, "a", "color"), 7.0),
                (of(scheme, "button", "background"), of(scheme, "button", ";color"), 7.0),
                (paper, of(scheme, "a:focus-visible,button:focus-visible", "outline"), 3.0),
            ];
            for (position, (first, second, least)) in pairs.into_iter().enumerate() {
                let contrast = (first.max(second) + 0.05) / (first.min(second) + 0.05);
                assert!(contrast >= least, "{position}: {contrast:.1}");
            }
        }
    }

    fn base64(bytes: &[u8]) -> String {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for three in bytes.chunks(3) {
            let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
            for at in 0..4 {
                let letter = letters[(bits >> (18 - 6 * at) & 63) as usize];
                text.push(if at <= three.len() { char::from(letter) } else { '=' });
            }
        }
        text
    }
}
