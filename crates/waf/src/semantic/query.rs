//! Would this change what a directory, an XML document or a document database is asked?

use super::finding::{Class, Look, Place, Report};
use super::scan::{has, in_word};
use super::text::{Names, any, at, begins, find, from, part, skip_space, word};
use super::words::{self, DIRECTORY, NOSQL};

pub(super) fn look(look: &Look<'_>, report: &mut Report) {
    let (text, seen) = (look.text, look.seen);
    if seen.bytes(has::PAREN) && seen.bytes(has::EQUALS | has::STAR) {
        ldap(text, report);
    }
    let union = seen.bytes(has::PIPE) && seen.bytes(has::SLASH) && seen.bytes(has::QUOTE | has::BRACKET);
    if union
        || seen.words(DIRECTORY)
            && seen.bytes(has::PAREN | has::SLASH)
            && seen.bytes(has::QUOTE | has::COLON | has::BRACKET)
    {
        xpath(text, report);
    }
    if seen.bytes(has::DOLLAR) {
        operators(text, look.place, report);
    }
    if seen.bytes(has::PIPE | has::AMPERSAND) && seen.bytes(has::QUOTE) && seen.bytes(has::EQUALS) {
        condition(text, report);
    }
}

/// `*)(uid=*))(|(uid=*`: a bracket that closes the application's filter and opens another.
fn ldap(text: &[u8], report: &mut Report) {
    for close in memchr::memchr_iter(b')', text) {
        let open = skip_space(text, close + 1);
        if at(text, open) != b'(' {
            continue;
        }
        let mut next = open + 1;
        let combined =
            matches!(at(text, next), b'|' | b'&' | b'!') && (at(text, next + 1) == b'(' || at(text, next + 1) == 0);
        if combined {
            next += 2;
        }
        let rest = part(text, next, next + 48);
        let name = rest.iter().take_while(|byte| in_word(**byte) || matches!(byte, b'-' | b';' | b'.')).count();
        let filter = name > 0
            && (at(rest, name) == b'=' && at(rest, name + 1) != b'='
                || matches!(at(rest, name), b'~' | b'>' | b'<') && at(rest, name + 1) == b'=');
        let star = at(text, close.wrapping_sub(1)) == b'*' || from(rest, name).starts_with(b"=*");
        let score = match (combined, filter, star) {
            (true, true, _) => 5,
            (true, false, _) if at(text, open + 2) == b'(' || at(text, open + 2) == 0 => 4,
            (_, true, true) => 5,
            (_, true, false) => 3,
            _ => 0,
        };
        report.add(Class::Ldap, score, (close, next + name + 2), "closes a filter of a directory and opens another");
    }
}

/// Axes of XPath.
static AXES: Names = Names::new(&[
    b"child::",
    b"descendant::",
    b"descendant-or-self::",
    b"ancestor::",
    b"parent::",
    b"following::",
    b"preceding::",
    b"following-sibling::",
    b"self::node()",
    b"attribute::",
]);

/// Whether the word before two colons is where a step of a path could begin; XPath knows lower case only.
fn is_axis(text: &[u8], mark: usize) -> bool {
    let name = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'-';
    let length = part(text, 0, mark).iter().rev().take_while(|byte| name(byte)).count();
    let start = mark - length;
    let before = if start == 0 { b'/' } else { at(text, start - 1) };
    length >= 4 && matches!(before, b'/' | b'(' | b'[' | b'|' | b',' | b'=' | b'@' | b' ' | b'*')
}

/// Functions of XPath, as they are called in attacks.
static CALLED: Names = Names::new(&[
    b"string-length(",
    b"count(/",
    b"name(/",
    b"name(parent",
    b"substring(/",
    b"substring(name(",
    b"starts-with(",
    b"position()",
    b"doc(\"",
    b"doc('",
    b"doc-available(",
]);

/// Steps of a path that no other path has.
static STEPS: Names = Names::new(&[b"//*", b"/*[", b"]|", b"] |", b"']/", b"\"]/", b"/text()", b"/node()"]);

/// `' or count(/child::node())=1`, `'] | //user/*[`: an expression over a document.
fn xpath(text: &[u8], report: &mut Report) {
    let axes = AXES.in_text(text) && memchr::memmem::find_iter(text, b"::").any(|mark| is_axis(text, mark));
    let called = CALLED.in_text(text);
    let broken = text.iter().any(|byte| matches!(byte, b'\'' | b'"' | b']'));
    let path = STEPS.in_text(text);
    // In code, a comment may stand behind a bar, on the next line.
    let union = memchr::memchr_iter(b'|', text).any(|bar| {
        let next = bar + 1 + from(text, bar + 1).iter().take_while(|byte| **byte == b' ').count();
        from(text, next).starts_with(b"//")
            && (in_word(at(text, next + 2)) || matches!(at(text, next + 2), b'*' | b'@'))
    });
    let score = match () {
        () if axes && (called || broken || path) => 5,
        () if called && path => 5,
        () if union && broken => 5,
        () if called && broken && any(text, &[b" or ", b" and ", b"]"]) => 5,
        () => 0,
    };
    report.add(Class::Xpath, score, (0, text.len()), "an expression over a document of XML");
}

/// `$ne`, `$where`: an operator of a document database where a value was asked for.
fn operators(text: &[u8], place: Place, report: &mut Report) {
    for dollar in memchr::memchr_iter(b'$', text) {
        let name = word(text, dollar + 1);
        let known = words::kinds(name) & NOSQL != 0 || OPERATORS.contains(&name);
        if !known {
            continue;
        }
        let before = at(text, dollar.wrapping_sub(1));
        let behind = at(text, dollar + 1 + name.len());
        let names = matches!(place, Place::QueryName | Place::FormName | Place::JsonName | Place::CookieName);
        let span = (dollar, dollar + name.len() + 24);
        let why = "an operator of a document database";
        // `user[$ne]=`
        if names && before == b'[' && behind == b']' {
            report.add(Class::Nosql, 5, span, why);
        }
        // A key of its own: `{"user": {"$gt": ""}}`, taken apart.
        if names && dollar == 0 && behind == 0
            || place == Place::JsonName && before == b'.' && matches!(behind, 0 | b'.')
        {
            report.add(Class::Nosql, 5, span, why);
        }
        let quoted = matches!(before, b'"' | b'\'' | b'{' | b' ' | b',')
            && matches!(at(text, skip_space(text, dollar + 1 + name.len())), b'"' | b'\'' | b':');
        if quoted && memchr::memchr(b':', part(text, dollar, dollar + 32)).is_some() {
            report.add(Class::Nosql, 5, span, why);
        }
    }
}

/// Operators of document databases that are words in other languages, too.
const OPERATORS: &[&[u8]] = &[
    b"where",
    b"in",
    b"or",
    b"and",
    b"not",
    b"exists",
    b"eq",
    b"function",
    b"lookup",
    b"match",
    b"expr",
    b"type",
    b"all",
    b"size",
];

/// `' || '1'=='1`, `'; return true; var x='`: a condition in the script of a database.
fn condition(text: &[u8], report: &mut Report) {
    for quote in memchr::memchr2_iter(b'\'', b'"', text) {
        let next = skip_space(text, quote + 1);
        if !(from(text, next).starts_with(b"||") || from(text, next).starts_with(b"&&")) {
            continue;
        }
        let rest = part(text, next + 2, next + 66);
        let start = skip_space(rest, 0);
        let literal = matches!(at(rest, start), b'0'..=b'9' | b'\'' | b'"')
            || begins(from(rest, start), b"this.")
            || begins(from(rest, start), b"true");
        let equal = find(rest, b"==").is_some();
        if literal && equal {
            report.add(Class::Nosql, 5, (quote, next + 40), "a condition in the script of a document database");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::scan::scan;

    fn report(place: Place, text: &str) -> Report {
        let mut report = Report::default();
        let (text, seen) = (text.as_bytes(), scan(text.as_bytes()));
        look(&Look { text, seen, place, name: b"q" }, &mut report);
        report
    }

    #[test]
    fn changed_questions_score() {
        for (place, class, text) in [
            (Place::Query, Class::Ldap, "*)(uid=*))(|(uid=*"),
            (Place::Query, Class::Ldap, "admin)(&(password=*"),
            (Place::Query, Class::Ldap, "x)(objectClass=*"),
            (Place::Query, Class::Xpath, "' or count(/child::node())=1 or 'a'='b"),
            (Place::Query, Class::Xpath, "x'] | //user/*['"),
            (Place::Query, Class::Xpath, "' or string-length(name(/*[1]))=4 or 'a'='b"),
            (Place::QueryName, Class::Nosql, "user[$ne]"),
            (Place::JsonName, Class::Nosql, "json.user.$gt"),
            (Place::Body, Class::Nosql, "{\"user\": {\"$gt\": \"\"}"),
            (Place::Query, Class::Nosql, "' || '1'=='1"),
        ] {
            assert!(report(place, text).score(class) >= 5, "{text}");
        }
    }

    #[test]
    fn ordinary_questions_do_not() {
        for (place, text) in [
            (Place::Query, "f(a)(b)"),
            (Place::Query, "(a=1) and (b=2)"),
            (Place::Query, "https://example.org/a//b"),
            (Place::QueryName, "filter[name]"),
            (Place::Query, "it costs $in total"),
            (Place::Query, "US$100 or \"more\""),
            (Place::Body, "if (a === 'b' || c === 'd') {}"),
        ] {
            let report = report(place, text);
            assert!(report.hits.iter().all(|hit| hit.score < 5), "{text}: {:?}", report.hits);
        }
    }
}
