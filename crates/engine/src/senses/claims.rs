//! What else a request claims of itself: its browser's family, where it came from, whether a person's browser navigates.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memchr::{memchr, memchr2};
use portcullis_types::RouteClass;

use super::hash::Keys;
use super::sight::Sight;

/// Families that are kept.
const FAMILIES: usize = 4096;
/// Of a `User-Agent`, so many bytes are read for its family.
const AGENT_BYTES: usize = 256;
/// Bytes of the names of a family; more are not told apart.
const FAMILY_BYTES: usize = 96;
/// Of the comment in parentheses, so many words tell the family: the system, or what a crawler calls itself.
const COMMENT_WORDS: u32 = 2;
/// Shorter words of a comment tell a processor, a language or a version.
const COMMENT_WORD_BYTES: usize = 3;

/// Families of `User-Agent`s that were read before: few of them make nearly all requests. A word holds the agent's number
/// and its family's.
#[derive(Debug)]
pub(crate) struct Families(Box<[AtomicU64]>);

impl Families {
    pub(crate) fn new() -> Self {
        Self((0..FAMILIES).map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.0.len() * size_of::<AtomicU64>()
    }

    /// The family of `agent`, whose number is `number`.
    pub(crate) fn of(&self, keys: &Keys, agent: &[u8], number: u32) -> u32 {
        let Some(place) = self.0.get(number as usize % FAMILIES) else { return 0 };
        let kept = place.load(Relaxed);
        if (kept >> 32) as u32 == number {
            return kept as u32;
        }
        let family = family(keys, agent);
        place.store(u64::from(number) << 32 | u64::from(family), Relaxed);
        family
    }
}

/// The product names of a `User-Agent` without versions, and of its first comment the first words: what stays when a
/// browser is updated.
fn family(keys: &Keys, agent: &[u8]) -> u32 {
    let agent = agent.get(..AGENT_BYTES).unwrap_or(agent);
    let mut names = Names { bytes: [0; FAMILY_BYTES], length: 0 };
    let mut rest = agent;
    let mut comments = 0;
    while let [first, ..] = rest {
        if *first == b'(' {
            let end = memchr(b')', rest).map_or(rest.len(), |at| at + 1);
            let (comment, behind) = rest.split_at(end);
            if comments == 0 {
                words(comment, &mut names);
            }
            comments += 1;
            rest = behind;
        } else {
            let end = memchr2(b' ', b'(', rest).unwrap_or(rest.len());
            let (product, behind) = rest.split_at(end);
            let name = memchr(b'/', product).unwrap_or(product.len());
            names.push(product.get(..name).unwrap_or(product));
            rest = behind.strip_prefix(b" ").unwrap_or(behind);
        }
    }
    keys.short(names.bytes.get(..names.length).unwrap_or(&names.bytes))
}

fn words(comment: &[u8], names: &mut Names) {
    let mut left = COMMENT_WORDS;
    for word in comment.split(|byte| !byte.is_ascii_alphabetic()) {
        if word.len() >= COMMENT_WORD_BYTES {
            names.push(word);
            left -= 1;
            if left == 0 {
                return;
            }
        }
    }
}

/// Names, one after another with a zero between.
struct Names {
    bytes: [u8; FAMILY_BYTES],
    length: usize,
}

impl Names {
    fn push(&mut self, name: &[u8]) {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        room.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        // The zero behind each name is there already.
        self.length += name.len() + 1;
    }
}

/// [`Attribute::Referer`](super::sight::Attribute::Referer): 0 none, 1 this site, 2 another, 3 unreadable.
pub(crate) fn referer(referer: Option<&[u8]>, host: &[u8]) -> u32 {
    let Some(referer) = referer else { return REFERER_NONE };
    let after = |scheme: &[u8]| {
        let (start, rest) = referer.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    // Mostly it is spelled in small letters, and as the host is.
    let usual = referer.strip_prefix(b"https://");
    let Some(rest) = usual.or_else(|| after(b"https://")).or_else(|| after(b"http://")) else {
        return REFERER_UNREADABLE;
    };
    if let (Some(b"/"), false) = (rest.strip_prefix(host).and_then(|rest| rest.get(..1)), host.is_empty()) {
        return REFERER_OWN;
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or(rest);
    match without_port(authority) {
        [] => REFERER_UNREADABLE,
        name if name.eq_ignore_ascii_case(without_port(host)) => REFERER_OWN,
        _ => REFERER_OTHER,
    }
}

const REFERER_NONE: u32 = 0;
/// The referer is a page of the host that is asked.
pub(crate) const REFERER_OWN: u32 = 1;
const REFERER_OTHER: u32 = 2;
const REFERER_UNREADABLE: u32 = 3;

fn without_port(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|byte| *byte == b':') {
        Some(at) if authority.iter().skip(at + 1).all(u8::is_ascii_digit) => authority.get(..at).unwrap_or(authority),
        _ => authority,
    }
}

/// The method as a number; all that are not of HTTP itself are one.
pub(crate) fn method(method: &[u8]) -> u32 {
    const KNOWN: [&[u8]; 7] = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"];
    KNOWN.iter().zip(1..).find(|(known, _)| **known == method).map_or(15, |(_, number)| number)
}

/// Whether a person's browser asks for a document: only then can a page be shown instead.
pub(crate) fn is_navigation(sight: &Sight<'_>, class: RouteClass) -> bool {
    let readable = matches!(sight.method, b"GET" | b"HEAD");
    let for_people = !matches!(class, RouteClass::Api | RouteClass::Webhook | RouteClass::Asset | RouteClass::Export);
    let navigates = |mode: &[u8]| mode == b"navigate" || mode.eq_ignore_ascii_case(b"navigate");
    let fetch = sight.fetch_mode.is_none_or(navigates);
    readable && for_people && fetch && sight.accept.is_some_and(takes_html)
}

fn takes_html(accept: &[u8]) -> bool {
    const HTML: &[u8] = b"text/html";
    let accept = accept.get(..AGENT_BYTES).unwrap_or(accept);
    accept.starts_with(HTML) || accept.windows(HTML.len()).any(|window| window.eq_ignore_ascii_case(HTML))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHROME: &str =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36";

    #[test]
    fn a_family_outlives_an_update_and_is_not_another() {
        let keys = Keys::new([1, 2]);
        let of = |agent: &str| family(&keys, agent.as_bytes());
        assert_eq!(of(CHROME), of(&CHROME.replace("120.0", "131.2")));
        let others = [
            CHROME.replace("X11; Linux x86_64", "Windows NT 10.0; Win64; x64"),
            CHROME.replace(" Chrome/120.0.0.0", ""),
            format!("{CHROME} Edg/120.0"),
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0".to_owned(),
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)".to_owned(),
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)".to_owned(),
            "curl/8.5.0".to_owned(),
            "python-requests/2.31".to_owned(),
            String::new(),
        ];
        for (at, one) in others.iter().enumerate() {
            assert_ne!(of(one), of(CHROME), "{one}");
            for other in others.iter().skip(at + 1) {
                assert_ne!(of(one), of(other), "{one} and {other}");
            }
        }
        assert_eq!(of("curl/8.5.0"), of("curl/7.1"));
    }

    #[test]
    fn referers_are_told_by_host() {
        let table: &[(Option<&str>, &str, u32)] = &[
            (None, "example.org", 0),
            (Some("https://example.org/news"), "example.org", 1),
            (Some("https://example.org"), "example.org:8443", 1),
            (Some("HTTPS://EXAMPLE.org:443/?q"), "example.org", 1),
            (Some("http://[2001:db8::1]:80/"), "[2001:db8::1]", 1),
            (Some("https://example.org.evil.example/"), "example.org", 2),
            (Some("https://www.example.org/"), "example.org", 2),
            (Some("android-app://com.example"), "example.org", 3),
            (Some("https://"), "example.org", 3),
            (Some(""), "example.org", 3),
        ];
        for (value, host, expected) in table {
            assert_eq!(referer(value.map(str::as_bytes), host.as_bytes()), *expected, "{value:?}");
        }
    }

    #[test]
    fn only_navigations_are_navigations() {
        let page = Sight { method: b"GET", accept: Some(b"text/html,application/xhtml+xml"), ..Sight::default() };
        let table: &[(Sight<'_>, RouteClass, bool)] = &[
            (page, RouteClass::Page, true),
            (page, RouteClass::Search, true),
            (page, RouteClass::Payment, true),
            (page, RouteClass::Api, false),
            (page, RouteClass::Webhook, false),
            (page, RouteClass::Asset, false),
            (page, RouteClass::Export, false),
            (Sight { method: b"HEAD", ..page }, RouteClass::Page, true),
            (Sight { method: b"POST", ..page }, RouteClass::Form, false),
            (Sight { fetch_mode: Some(b"navigate"), ..page }, RouteClass::Page, true),
            (Sight { fetch_mode: Some(b"cors"), ..page }, RouteClass::Page, false),
            (Sight { accept: Some(b"*/*"), ..page }, RouteClass::Page, false),
            (Sight { accept: Some(b"application/json, Text/HTML"), ..page }, RouteClass::Page, true),
            (Sight { accept: None, ..page }, RouteClass::Page, false),
        ];
        for (sight, class, expected) in table {
            assert_eq!(is_navigation(sight, *class), *expected, "{sight:?} {class:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_claimed(text in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = (family(&Keys::new([1, 2]), &text), method(&text));
            prop_assert!(referer(Some(&text), &text) <= 3);
            let sight = Sight { method: b"GET", accept: Some(&text), ..Sight::default() };
            let _ = is_navigation(&sight, RouteClass::Page);
        }
    }
}
