//! What browsers report by themselves: that a page was about to do what its policy does not allow. Both forms: the Reporting API's
//! (`application/reports+json`) and the older one of CSP (`application/csp-report`).
//!
//! Anybody can send such a report, so it says what somebody claims and no more. Of it only what can be compared is kept: which
//! page, which directive, and from where the thing came that was blocked. Never its sample, its policy, its user agent or a query.
//!
//! Sources: W3C Reporting API, Content Security Policy Level 3 (5.3 to 5.5), Integrity Policy (Subresource Integrity, 3.6).

use std::fmt;

use serde::Deserialize;

/// Reports in one message. A browser puts those of a page together; more than this is no browser.
pub const REPORTS: usize = 64;
/// The longest address of a page that is read.
const ADDRESS: usize = 2048;
/// The longest path that is kept; what is behind it is cut off.
const PATH: usize = 200;
/// The longest host: 255 octets and a port.
const HOST: usize = 261;

/// What a browser says that it kept a page from, or would have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Report {
    /// By which policy.
    pub kind: Kind,
    /// The host of the page, with a port where it is not the usual one.
    pub host: String,
    /// The path of the page, without its query.
    pub path: String,
    /// `script-src-elem`; of an integrity policy, what was asked for: `script`.
    pub directive: String,
    /// From where the blocked thing came: `https://evil.example`, or a word: `inline`, `eval`, `data`, …
    pub blocked: String,
    /// Whether it was kept from happening, or only reported.
    pub enforced: bool,
}

/// By which policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Content Security Policy.
    Csp,
    /// Integrity-Policy: something without a hash.
    Integrity,
}

/// What a message held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// What policies kept pages from.
    pub reports: Vec<Report>,
    /// Reports of other kinds: of deprecated features, crashes, interventions; and of what a browser's own extensions did.
    pub others: usize,
}

/// Why a message is no report of a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// `Content-Type` names neither form.
    Type,
    /// It is no JSON of that form.
    Form,
    /// There are more than [`REPORTS`].
    Many,
    /// An address, a directive or a source is not written as browsers write them.
    Value,
}

impl Kind {
    /// As records have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csp => "csp",
            Self::Integrity => "integrity-policy",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "the content type is not that of a report",
            Self::Form => "it is not in the form of a report",
            Self::Many => "it holds more reports than browsers send",
            Self::Value => "an address or a directive is not written as browsers write it",
        })
    }
}

/// Reads what a browser sent.
///
/// # Errors
/// Where any of it is not as browsers write it: then none of it is taken.
pub fn read(content_type: &[u8], body: &[u8]) -> Result<Batch, Malformed> {
    let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if kind.eq_ignore_ascii_case(b"application/reports+json") {
        let sent: Vec<Envelope> = serde_json::from_slice(body).map_err(|_| Malformed::Form)?;
        if sent.len() > REPORTS {
            return Err(Malformed::Many);
        }
        let mut batch = Batch::default();
        for envelope in sent {
            match envelope.read()? {
                Some(report) => batch.reports.push(report),
                None => batch.others += 1,
            }
        }
        Ok(batch)
    } else if kind.eq_ignore_ascii_case(b"application/csp-report") {
        let Older { report } = serde_json::from_slice(body).map_err(|_| Malformed::Form)?;
        let report = report.read()?;
        Ok(Batch { others: usize::from(report.is_none()), reports: report.into_iter().collect() })
    } else {
        Err(Malformed::Type)
    }
}

/// A report of the Reporting API. What else stands there is nobody's business here.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    body: Option<Body>,
}

/// What is common to the bodies that are read; those of other reports have none of it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    #[serde(rename = "documentURL")]
    document: Option<String>,
    #[serde(rename = "blockedURL")]
    blocked: Option<String>,
    effective_directive: Option<String>,
    disposition: Option<String>,
    destination: Option<String>,
    report_only: Option<bool>,
}

#[derive(Deserialize)]
struct Older {
    #[serde(rename = "csp-report")]
    report: Oldest,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Oldest {
    document_uri: String,
    blocked_uri: Option<String>,
    effective_directive: Option<String>,
    violated_directive: Option<String>,
    disposition: Option<String>,
}

impl Envelope {
    fn read(self) -> Result<Option<Report>, Malformed> {
        let kind = match &*self.kind {
            "csp-violation" => Kind::Csp,
            "integrity-violation" => Kind::Integrity,
            _ => return Ok(None),
        };
        let body = self.body.ok_or(Malformed::Form)?;
        let (directive, enforced) = match kind {
            Kind::Csp => (body.effective_directive, enforced(body.disposition.as_deref())?),
            Kind::Integrity => (body.destination, !body.report_only.unwrap_or(false)),
        };
        let document = body.document.ok_or(Malformed::Value)?;
        compose(kind, &document, directive.as_deref(), body.blocked.as_deref(), enforced)
    }
}

impl Oldest {
    fn read(&self) -> Result<Option<Report>, Malformed> {
        // Older browsers name the whole directive, with its sources.
        let violated = self.violated_directive.as_deref().and_then(|it| it.split(' ').next());
        let directive = self.effective_directive.as_deref().or(violated);
        let enforced = enforced(self.disposition.as_deref())?;
        compose(Kind::Csp, &self.document_uri, directive, self.blocked_uri.as_deref(), enforced)
    }
}

/// None where a browser's own extension was in the way.
fn compose(
    kind: Kind,
    document: &str,
    directive: Option<&str>,
    blocked: Option<&str>,
    enforced: bool,
) -> Result<Option<Report>, Malformed> {
    let (scheme, host, path) = address(document).ok_or(Malformed::Value)?;
    if !matches!(&*scheme, "http" | "https") {
        return Err(Malformed::Value);
    }
    let word =
        |it: &&str| (1..=40).contains(&it.len()) && it.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let directive = directive.filter(word).ok_or(Malformed::Value)?;
    let Some(blocked) = source(blocked.unwrap_or_default())? else { return Ok(None) };
    Ok(Some(Report { kind, host, path, directive: directive.to_owned(), blocked, enforced }))
}

fn enforced(disposition: Option<&str>) -> Result<bool, Malformed> {
    match disposition {
        // The older form did not always have it, and a policy that only reports is the rarer one.
        None | Some("enforce") => Ok(true),
        Some("report") => Ok(false),
        Some(_) => Err(Malformed::Value),
    }
}

/// From where something came: an origin, or one of the words that stand for none. None for a browser's own extension.
fn source(blocked: &str) -> Result<Option<String>, Malformed> {
    // Of what has no address of its own, browsers give the scheme, or the word that CSP has for it; of the page itself, nothing.
    let (scheme, rest) = blocked.split_once(':').unwrap_or((blocked, ""));
    let is_word = scheme.len() <= 40
        && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'+' | b'.'));
    if blocked.len() > ADDRESS || !is_word {
        return Err(Malformed::Value);
    }
    match scheme {
        "" => Ok(Some("itself".to_owned())),
        _ if scheme.ends_with("-extension") => Ok(None),
        "http" | "https" | "ws" | "wss" if rest.starts_with("//") => match address(blocked) {
            Some((scheme, host, _)) => Ok(Some(format!("{scheme}://{host}"))),
            None => Err(Malformed::Value),
        },
        word => Ok(Some(word.to_owned())),
    }
}

/// Scheme, host with a port, and path of an address as browsers write it: in ASCII, nothing in front of the host.
fn address(text: &str) -> Option<(String, String, String)> {
    let (scheme, rest) = text.split_once("://").filter(|_| text.len() <= ADDRESS)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, behind) = rest.split_at(end);
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']' | b'_')
    };
    let scheme_fits = !scheme.is_empty() && scheme.len() <= 12 && scheme.bytes().all(|byte| byte.is_ascii_lowercase());
    if !scheme_fits || host.is_empty() || host.len() > HOST || !host.bytes().all(fits) {
        return None;
    }
    let path = behind.split(['?', '#']).next().unwrap_or_default();
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    // Of ASCII alone: no letter is cut in two.
    let path = path.get(..PATH).unwrap_or(path);
    let path = if path.is_empty() { "/" } else { path };
    Some((scheme.to_owned(), host.to_owned(), path.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const API: &[u8] = b"application/reports+json";
    const OLD: &[u8] = b"application/csp-report";

    fn report(blocked: &str) -> Report {
        Report {
            kind: Kind::Csp,
            host: "example.org".to_owned(),
            path: "/donate".to_owned(),
            directive: "script-src-elem".to_owned(),
            blocked: blocked.to_owned(),
            enforced: true,
        }
    }

    /// As Chromium sends it, but for the hosts.
    fn api(document: &str, blocked: &str) -> String {
        format!(
            r#"[{{"age":12,"body":{{"blockedURL":"{blocked}","disposition":"enforce","documentURL":"{document}",
            "effectiveDirective":"script-src-elem","lineNumber":3,"originalPolicy":"script-src 'self'","referrer":"",
            "sample":"steal(","sourceFile":"{document}","statusCode":200}},"type":"csp-violation","url":"{document}",
            "user_agent":"Mozilla/5.0"}}]"#
        )
    }

    fn old(document: &str, blocked: &str) -> String {
        format!(
            r#"{{"csp-report":{{"document-uri":"{document}","referrer":"","violated-directive":"script-src-elem",
            "effective-directive":"script-src-elem","original-policy":"script-src 'self'","disposition":"enforce",
            "blocked-uri":"{blocked}","line-number":3,"source-file":"{document}","status-code":200,"script-sample":""}}}}"#
        )
    }

    #[test]
    fn both_forms_say_the_same() {
        let page = "https://example.org/donate?amount=20#now";
        let table = [
            ("https://evil.example/s.js?c=4111", "https://evil.example"),
            ("http://evil.example:8080", "http://evil.example:8080"),
            ("wss://evil.example/feed", "wss://evil.example"),
            ("inline", "inline"),
            ("eval", "eval"),
            ("data", "data"),
            ("data:text/javascript;base64,AAAA", "data"),
            ("blob", "blob"),
            ("trusted-types-sink", "trusted-types-sink"),
            ("", "itself"),
        ];
        for (blocked, expected) in table {
            for (kind, text) in [(API, api(page, blocked)), (OLD, old(page, blocked))] {
                let batch = read(kind, text.as_bytes());
                let expected = Batch { reports: vec![report(expected)], others: 0 };
                assert_eq!(batch, Ok(expected), "{blocked}");
            }
        }
    }

    #[test]
    fn an_integrity_policy_s_report_is_one() {
        let text = r#"[{"type":"integrity-violation","age":1,"url":"https://example.org/","body":{"documentURL":"https://example.org/",
            "blockedURL":"https://cdn.example.net/lib.js","destination":"script","reportOnly":true}}]"#;
        let batch = read(b"Application/Reports+JSON; charset=utf-8", text.as_bytes()).expect("a report");
        let expected = Report {
            kind: Kind::Integrity,
            host: "example.org".to_owned(),
            path: "/".to_owned(),
            directive: "script".to_owned(),
            blocked: "https://cdn.example.net".to_owned(),
            enforced: false,
        };
        assert_eq!(batch.reports, [expected]);
    }

    #[test]
    fn what_concerns_nobody_s_page_is_counted_and_left() {
        let deprecation = r#"[{"type":"deprecation","age":1,"url":"https://example.org/","body":{"id":"X","message":"old"}},
            {"type":"crash","age":1,"url":"https://example.org/","body":null}]"#;
        assert_eq!(read(API, deprecation.as_bytes()), Ok(Batch { reports: Vec::new(), others: 2 }));
        let extension = api("https://example.org/", "chrome-extension");
        assert_eq!(read(API, extension.as_bytes()), Ok(Batch { reports: Vec::new(), others: 1 }));
        let extension = old("https://example.org/", "moz-extension://a1/b.js");
        assert_eq!(read(OLD, extension.as_bytes()), Ok(Batch { reports: Vec::new(), others: 1 }));
        assert_eq!(read(API, b"[]"), Ok(Batch::default()));
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        let good = api("https://example.org/donate", "inline");
        let many = format!("[{}]", vec![&good[1..good.len() - 1]; REPORTS + 1].join(","));
        let most = format!("[{}]", vec![&good[1..good.len() - 1]; REPORTS].join(","));
        assert_eq!(read(API, most.as_bytes()).map(|batch| batch.reports.len()), Ok(REPORTS));
        let table: [(&[u8], String, Malformed); 14] = [
            (b"application/json", good.clone(), Malformed::Type),
            (b"", good.clone(), Malformed::Type),
            (OLD, good.clone(), Malformed::Value),
            (API, old("https://example.org/", "inline"), Malformed::Form),
            (API, good.replace("\"age\":12", "\"age\":12,,"), Malformed::Form),
            (API, good.replace("\"inline\"", "{}"), Malformed::Form),
            (API, format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), Malformed::Form),
            (API, many, Malformed::Many),
            (API, good.replace("https://example.org", "javascript:alert(1)//"), Malformed::Value),
            (API, good.replace("example.org", "staff@example.org"), Malformed::Value),
            (API, good.replace("example.org", "exämple.org"), Malformed::Value),
            (API, good.replace("script-src-elem", "<script>"), Malformed::Value),
            (API, good.replace("\"inline\"", "\"<b>inline</b>\""), Malformed::Value),
            (API, good.replace("\"enforce\"", "\"both\""), Malformed::Value),
        ];
        for (kind, text, expected) in table {
            assert_eq!(read(kind, text.as_bytes()), Err(expected), "{}", &text[..text.len().min(300)]);
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = format!("https://example.org/{}", "a".repeat(1_500));
        let batch = read(API, api(&long, "inline").as_bytes()).expect("a report");
        assert_eq!(batch.reports[0].path.len(), PATH);
        let longer = format!("https://example.org/{}", "a".repeat(3_000));
        assert_eq!(read(API, api(&longer, "inline").as_bytes()), Err(Malformed::Value));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(text in "\\PC{0,200}", api in any::<bool>()) {
            if let Ok(batch) = read(if api { API } else { OLD }, text.as_bytes()) {
                prop_assert!(batch.reports.len() <= REPORTS);
            }
        }
    }
}
