//! Would this be built into an object? And would this become a header of its own?

use super::finding::{Class, Look, Place, Report};
use super::scan::{has, in_word};
use super::text::{any, at, begins, find, from, part, skip_space};
use super::words::{HEADER, OBJECT};

/// Objects as programs write them down.
pub(super) fn look(look: &Look<'_>, report: &mut Report) {
    let (text, seen) = (look.text, look.seen);
    let why = "an object that the server would build";
    let whole = (0, text.len().min(64));
    // The streams of Java, .NET, Python and Ruby begin with bytes of their own; in base64 they begin with letters of their own.
    let first = from(text, text.iter().take(4).take_while(|byte| matches!(byte, b'"' | b'\'' | b' ')).count());
    let long = first.len() >= 24;
    if long && look.place != Place::File {
        if first.starts_with(b"rO0AB")
            || first.starts_with(b"\xAC\xED\x00\x05")
            || begins(first, b"aced0005")
            || first.starts_with(b"H4sIAAAAAAAA") && first.len() > 512 && look.place == Place::Cookie
        {
            report.add(Class::Serialised, 5, whole, why);
        }
        if first.starts_with(b"AAEAAAD/////")
            || first.starts_with(b"/wEy")
                && first.len() > 200
                && !look.name.starts_with(b"__VIEWSTATE")
                && !look.name.starts_with(b"__EVENT")
        {
            report.add(Class::Serialised, 5, whole, why);
        }
        if first.starts_with(b"gASV")
            || first.starts_with(b"KGRwMA")
            || first.starts_with(b"Y29z") && base64_pickle(first)
            || first.starts_with(b"\x80\x04\x95")
        {
            report.add(Class::Serialised, 5, whole, why);
        }
        if first.starts_with(b"BAhv") || first.starts_with(b"BAhVOg") || first.starts_with(b"\x04\x08o:") {
            report.add(Class::Serialised, 5, whole, why);
        }
    }
    if seen.bytes(has::COLON) && seen.bytes(has::BRACE) && seen.bytes(has::QUOTE) {
        php(text, report);
    }
    // `s:3:"abc"`, a string alone: the beginning of one.
    if begins(text, b"s:") && seen.bytes(has::SEMICOLON) && php_strings(text) >= 2 {
        report.add(Class::Serialised, 4, whole, "values as PHP writes them down");
    }
    if seen.bytes(has::DOLLAR) && memchr::memmem::find(text, b"_$$ND_FUNC$$_").is_some() {
        report.add(Class::Serialised, 6, whole, "a function as an object of Node");
    }
    if seen.bytes(has::AT)
        && memchr::memmem::find(text, b"@type").is_some()
        && any(text, &[b"com.sun.", b"org.apache.", b"java.", b"javax.", b"com.alibaba."])
    {
        report.add(Class::Serialised, 6, whole, "a class that a parser of JSON would build");
    }
    if !seen.words(OBJECT) {
        return;
    }
    if seen.bytes(has::LINE)
        && (text.starts_with(b"c") || text.starts_with(b"(") || find(text, b"\nR").is_some())
        && any(text, &[b"cos\nsystem", b"cposix\nsystem", b"c__builtin__\n", b"csubprocess\n", b"cbuiltins\n"])
    {
        report.add(Class::Serialised, 6, whole, why);
    }
    if seen.bytes(has::BANG)
        && any(text, &[b"!!python/", b"!!javax.", b"!!java.", b"!ruby/object", b"!!js/function", b"!!org.", b"!!com."])
    {
        report.add(Class::Serialised, 5, whole, "a document of YAML that names a class");
    }
    if seen.bytes(has::COLON | has::DOT)
        && any(
            text,
            &[
                b"hexasciiserializedmap",
                b"windowsidentity",
                b"objectdataprovider",
                b"org.springframework.context.support.classpathxmlapplicationcontext",
                b"com.sun.rowset.jdbcrowsetimpl",
            ],
        )
    {
        report.add(Class::Serialised, 6, whole, why);
    }
    if seen.bytes(has::LESS)
        && any(
            text,
            &[
                b"java.beans.xmldecoder",
                b"<void class=\"java",
                b"<void method=",
                b"<object class=\"java.lang",
                b"<java version=",
                b"<sorted-set>",
                b"<dynamic-proxy>",
                b"java.util.priorityqueue",
            ],
        )
    {
        report.add(Class::Serialised, 6, whole, why);
    }
}

/// `O:8:"Example":1:{…}`, alone or inside of an array.
fn php(text: &[u8], report: &mut Report) {
    for colon in memchr::memchr_iter(b':', text) {
        let Some(kind) = colon.checked_sub(1) else { continue };
        if !matches!(at(text, kind), b'O' | b'C') || kind > 0 && in_word(at(text, kind - 1)) {
            continue;
        }
        let digits =
            from(text, colon + 1).iter().take(4).take_while(|byte| byte.is_ascii_digit() || **byte == b'+').count();
        let rest = from(text, colon + 1 + digits);
        if digits > 0
            && (rest.starts_with(b":\"") || rest.starts_with(b":\\\""))
            && memchr::memchr(b'{', part(rest, 0, 160)).is_some()
        {
            report.add(Class::Serialised, 6, (kind, colon + 60), "an object as PHP writes it down");
        }
    }
}

fn php_strings(text: &[u8]) -> usize {
    text.split(|byte| *byte == b';').take(8).filter(|piece| begins(piece, b"s:") && piece.ends_with(b"\"")).count()
}

/// The beginning of `cos\nsystem` and the like in base64: a module, a line end, a name.
fn base64_pickle(text: &[u8]) -> bool {
    let mut out = Vec::new();
    super::decode::base64(text, &mut out) && memchr::memchr(b'\n', part(&out, 0, 24)).is_some()
}

/// `%0d%0aSet-Cookie: …`: a line of its own that is a header.
pub(super) fn splitting(look: &Look<'_>, report: &mut Report) {
    let text = look.text;
    if !look.seen.bytes(has::LINE)
        || !look.seen.words(HEADER)
        || matches!(look.place, Place::File | Place::Body | Place::Xml)
    {
        return;
    }
    let mut next = 0;
    while let Some(line) = memchr::memchr2(b'\n', b'\r', from(text, next)).map(|line| line + next) {
        let start = skip_space(text, line + 1);
        next = start;
        let rest = from(text, start);
        let known = [
            &b"set-cookie:"[..],
            b"location:",
            b"content-type:",
            b"content-length:",
            b"transfer-encoding:",
            b"refresh:",
            b"access-control-allow-origin:",
            b"x-forwarded-for:",
            b"http/1.",
        ];
        let mail = [&b"bcc:"[..], b"cc:", b"to:", b"subject:", b"mime-version:"];
        let prose = matches!(look.place, Place::Form | Place::Json) && text.len() > 200;
        if known.iter().any(|name| begins(rest, name)) {
            report.add(Class::Splitting, if prose { 3 } else { 5 }, (line, start + 40), "a line end and a header");
        } else if mail.iter().any(|name| begins(rest, name)) && memchr::memchr(b'@', part(rest, 0, 80)).is_some() {
            report.add(
                Class::Splitting,
                if prose { 3 } else { 5 },
                (line, start + 40),
                "a line end and a header of a mail",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::scan::scan;

    fn report(place: Place, text: &[u8]) -> Report {
        let mut report = Report::default();
        let found = Look { text, seen: scan(text), place, name: b"q" };
        look(&found, &mut report);
        splitting(&found, &mut report);
        report
    }

    #[test]
    fn objects_and_headers_score() {
        for (class, text) in [
            (Class::Serialised, &b"rO0ABXNyABdqYXZhLnV0aWwuUHJpb3JpdHlRdWV1ZQ=="[..]),
            (Class::Serialised, b"O:8:\"Example1\":1:{s:1:\"a\";i:1;}"),
            (Class::Serialised, b"a:1:{i:0;O:4:\"User\":0:{}}"),
            (Class::Serialised, b"cos\nsystem\n(S'id'\ntR."),
            (Class::Serialised, b"AAEAAAD/////AQAAAAAAAAAMAgAAAF"),
            (Class::Serialised, b"!!python/object/apply:os.system ['id']"),
            (Class::Serialised, b"{\"@type\":\"com.sun.rowset.JdbcRowSetImpl\"}"),
            (Class::Serialised, b"{\"rce\":\"_$$ND_FUNC$$_function (){}()\"}"),
            (Class::Splitting, b"x\r\nSet-Cookie: a=b"),
            (Class::Splitting, b"x\nBcc: a@example.org"),
            (Class::Splitting, b"x\r\n\r\nHTTP/1.1 200 OK"),
        ] {
            assert!(report(Place::Query, text).score(class) >= 5, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn data_does_not() {
        for text in [
            &b"rO0"[..],
            b"a:2:{s:1:\"a\";i:1;s:1:\"b\";i:2;}",
            b"Dear all,\nto: be or not to be",
            b"TO:1:\"a\"",
            b"line\r\nContent is king",
            b"wow!! python rocks",
        ] {
            let report = report(Place::Query, text);
            assert!(report.hits.iter().all(|hit| hit.score < 5), "{}: {:?}", text.escape_ascii(), report.hits);
        }
    }
}
