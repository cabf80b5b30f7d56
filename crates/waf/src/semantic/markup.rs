//! Would an XML parser fetch something for this?

use super::finding::{Class, Look, Report};
use super::scan::has;
use super::text::{any, at, begins, find, from, in_name, part, skip_space};

pub(super) fn look(look: &Look<'_>, report: &mut Report) {
    let text = look.text;
    if !look.seen.bytes(has::LESS) {
        return;
    }
    let mut next = 0;
    // Whether a document type was opened that has declarations of its own.
    let mut declares = false;
    while let Some(open) = memchr::memchr(b'<', from(text, next)).map(|open| open + next) {
        // A declaration ends where the next begins, so that none is read twice.
        next = memchr::memchr(b'<', from(text, open + 1)).map_or(text.len(), |end| end + open + 1);
        let rest = part(text, open, next);
        let span = (open, open + 80);
        if begins(rest, b"<!doctype") {
            let name = skip_space(rest, 9);
            let behind = rest.iter().skip(name).position(|byte| !in_name(*byte)).map_or(rest.len(), |end| end + name);
            let behind = from(rest, skip_space(rest, behind));
            let end = memchr::memchr2(b'>', b'[', behind).unwrap_or(behind.len());
            let own = at(behind, end) == b'[';
            let head = part(behind, 0, end);
            let html = begins(from(rest, name), b"html") || any(head, &[b"-//w3c//", b"-//apple", b"-//ietf"]);
            let external = begins(head, b"system") || begins(head, b"public") && !html;
            declares |= own;
            if external && !html {
                report.add(Class::Xxe, 5, span, "a document type that is fetched");
            }
        } else if begins(rest, b"<!entity") && declares {
            report.add(Class::Xxe, 6, span, "a document type that declares entities");
        } else if begins(rest, b"<!entity") && matches!(at(rest, 8), b' ' | b'\t' | b'\n' | b'\r' | b'%') {
            let external = any(rest, &[b"system", b"public"]);
            let parameter = at(rest, skip_space(rest, 8)) == b'%';
            report.add(Class::Xxe, if external || parameter { 6 } else { 4 }, span, "an entity that is fetched");
        } else if begins(rest, b"<xi:include") || begins(rest, b"<?xml-stylesheet") && find(rest, b"href").is_some() {
            report.add(Class::Xxe, 5, span, "a part of a document that is fetched");
        } else if begins(rest, b"<msxsl:script") || begins(rest, b"<xsl:") && any(rest, SHEETS) {
            report.add(Class::Xxe, 6, span, "a style sheet that runs or fetches");
        }
    }
}

/// What a style sheet runs or fetches with.
const SHEETS: &[&[u8]] =
    &[b"document(", b"php:function", b"system-property", b"xmlns:php", b"unparsed-text", b"rt:exec"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::finding::Place;
    use crate::semantic::scan::scan;

    fn score(text: &str) -> u8 {
        let mut report = Report::default();
        let (text, seen) = (text.as_bytes(), scan(text.as_bytes()));
        look(&Look { text, seen, place: Place::Body, name: b"" }, &mut report);
        report.score(Class::Xxe)
    }

    #[test]
    fn what_is_fetched_scores() {
        for text in [
            "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
            "<!DOCTYPE a SYSTEM \"http://x/y.dtd\">",
            "<!ENTITY % a SYSTEM 'http://x'>",
            "<a xmlns:xi='x'><xi:include href='file:///etc/passwd'/></a>",
            "<!doctype lolz [<!ENTITY lol \"lol\"><!ENTITY lol1 \"&lol;&lol;\">]>",
        ] {
            assert!(score(text) >= 5, "{text}: {}", score(text));
        }
    }

    #[test]
    fn documents_do_not() {
        for text in [
            "<?xml version=\"1.0\"?><a/>",
            "<!DOCTYPE html><html></html>",
            "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\">",
            "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">",
            "a < b !entity",
        ] {
            assert!(score(text) < 5, "{text}: {}", score(text));
        }
    }
}
