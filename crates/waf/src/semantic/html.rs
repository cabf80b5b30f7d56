//! Would this make a browser run something, as HTML?
//!
//! Tags are read as browsers read them: any white space, slashes between attributes, quotes or none. What counts is an
//! element that loads or runs, an attribute whose name is an event, an address that is code, a style that is code.

use super::finding::{Class, Look, Report};
use super::scan::{class, has};
use super::text::{any, at, begins, find, from, is_space, part, skip_space, skip_space_back};
use super::words::{self, ELEMENT, EVENT, SCHEME, SCRIPT_NAME};

/// Longest tag that is read; what stands behind is read as text.
const TAG_BYTES_MAX: usize = 2048;
/// How much of the content of a style is read.
const STYLE_BYTES_MAX: usize = 256;
/// Most attributes of a tag that are read.
const ATTRIBUTES_MAX: usize = 64;

pub(super) fn look(look: &Look<'_>, report: &mut Report) {
    let (text, seen) = (look.text, look.seen);
    if seen.bytes(has::LESS) {
        let mut tags = 0;
        // Where a tag was read, what is inside of it is not read again, so that this stays linear.
        let mut next = 0;
        while let Some(open) = memchr::memchr(b'<', from(text, next)).map(|open| open + next) {
            next = tag(text, open, report).max(open + 1);
            tags += 1;
            if tags > TAGS_MAX {
                report.add(Class::Script, 3, (open, open + 1), "more tags than are read");
                break;
            }
        }
    }
    if seen.words(EVENT) && seen.bytes(has::EQUALS) {
        attributes(text, report);
    }
    if seen.words(SCHEME) && seen.bytes(has::COLON)
        || seen.bytes(has::COLON) && seen.bytes(has::LINE | has::SPACE | has::CONTROL)
    {
        scheme_value(text, report);
    }
    if seen.words(SCRIPT_NAME) && seen.bytes(has::PAREN) && (seen.bytes(has::COLON) || seen.bytes(has::EQUALS)) {
        style(text, report, 0, text.len(), false);
    }
}

/// Most tags of one text that are read.
const TAGS_MAX: usize = 20_000;

/// Reads the tag that opens at `open`, and returns where to go on.
fn tag(text: &[u8], open: usize, report: &mut Report) -> usize {
    let mut position = open + 1;
    // `<%00script`, `<\x0bscript`, `</`: what browsers have skipped.
    while matches!(at(text, position), 0x01..=0x20 | b'/' | b'<') && position < open + 4 {
        position += 1;
    }
    let spaced = position > open + 1;
    let name_at = position;
    while class(at(text, position)) & (has::LETTER | has::DIGIT | has::MINUS | has::COLON) != 0 && position < open + 40
    {
        position += 1;
    }
    let name = part(text, name_at, position);
    if name.is_empty() || class(at(text, name_at)) & has::LETTER == 0 {
        return if at(text, open + 1) == b'!' { declaration(text, open, report) } else { open + 1 };
    }
    let name = name.rsplit(|byte| *byte == b':').next().unwrap_or(name);
    let after = at(text, position);
    let delimited = matches!(after, 0 | b'>' | b'/' | b'"' | b'\'' | b'<' | b'[' | b'%' | b'=' | b'\\')
        || is_space(after)
        || !(0x20..0x80).contains(&after);
    if !delimited && !is(name, b"script") {
        return position;
    }
    let closing = at(text, open + 1) == b'/';
    let element = words::kinds(name) & ELEMENT != 0;
    let limit = (open + TAG_BYTES_MAX).min(text.len());
    if is(name, b"script") {
        // A tag, not a word behind a sign: it ends, or has an attribute with a value.
        let rest = part(text, position, limit);
        let ends = memchr::memchr3(b'>', b'=', b'<', rest).is_some_and(|end| end < 256)
            || after < 0x20 && after != 0
            || matches!(after, b'/' | b'%' | b'\\');
        let score = if !ends {
            3
        } else if closing && !is_space(at(text, open + 1)) {
            4
        } else {
            6
        };
        report.add(Class::Script, score, (open, position), "an element that runs script");
    }
    let mut attributes = Attributes { text, position, limit };
    let mut base_hit = 0_u8;
    let mut first = true;
    for _ in 0..ATTRIBUTES_MAX {
        let Some(attribute) = attributes.next() else { break };
        first = false;
        self::attribute(text, name, &attribute, open, report);
        base_hit = base_hit.max(loading(text, name, &attribute));
    }
    let why = "an element that loads or runs what its attributes say";
    if element && !closing {
        let end = attributes.position;
        report.add(Class::Script, base_hit, (open, end), why);
        if (is(name, b"svg") || is(name, b"math") || is(name, b"isindex") || is(name, b"frameset")) && !first && !spaced
        {
            report.add(Class::Script, 2, (open, end), why);
        }
        // An element that was left open at the end swallows the application's own markup.
        if is(name, b"style") {
            let content = from(text, end);
            let content = part(content, 0, STYLE_BYTES_MAX);
            let content = part(content, 0, memchr::memmem::find(content, b"</").unwrap_or(content.len()));
            if any(content, &[b"@import", b"javascript:", b"-moz-binding", b"behavior", b"expression("]) {
                report.add(Class::Script, 5, (open, end), "a style that loads or runs");
            }
        }
    }
    attributes.position.max(position)
}

/// `<!--[if`, `<!--#exec`: what is no element.
fn declaration(text: &[u8], open: usize, report: &mut Report) -> usize {
    let rest = from(text, open);
    if begins(rest, b"<!--#")
        && ["exec", "include", "echo", "printenv", "config", "set"]
            .iter()
            .any(|verb| begins(from(rest, 5), verb.as_bytes()))
    {
        report.add(Class::Code, 6, (open, open + 40), "an instruction for the server inside of a comment");
    }
    open + 2
}

fn is(name: &[u8], word: &[u8]) -> bool {
    name.eq_ignore_ascii_case(word)
}

struct Attribute {
    name: (usize, usize),
    value: Option<(usize, usize)>,
}

struct Attributes<'a> {
    text: &'a [u8],
    position: usize,
    limit: usize,
}

impl Attributes<'_> {
    fn next(&mut self) -> Option<Attribute> {
        let text = self.text;
        // Between attributes; stray quotes and brackets as well, which browsers take into a name.
        while self.position < self.limit
            && (is_space(at(text, self.position))
                || at(text, self.position) < b' '
                || matches!(
                    at(text, self.position),
                    b'/' | b'"' | b'\'' | b'`' | b'<' | b'[' | b']' | b'\\' | b'?' | b'+' | b';' | b',' | 0x80..
                ))
        {
            self.position += 1;
        }
        if self.position >= self.limit || at(text, self.position) == b'>' {
            self.position = (self.position + 1).min(text.len());
            return None;
        }
        let start = self.position;
        while self.position < self.limit
            && !matches!(at(text, self.position), b'=' | b'>' | b'/' | b'"' | b'\'' | b'[' | b'`')
            && !is_space(at(text, self.position))
        {
            self.position += 1;
        }
        if self.position == start {
            self.position += 1;
        }
        let name = (start, self.position);
        let mut next = self.position;
        while next < self.limit
            && (is_space(at(text, next))
                || matches!(at(text, next), b'[' | b']')
                || at(text, next) >= 0x80
                || (1..b' ').contains(&at(text, next)))
        {
            next += 1;
        }
        if at(text, next) != b'=' {
            return Some(Attribute { name, value: None });
        }
        next = skip_space(text, next + 1).min(self.limit);
        let quote = at(text, next);
        let (from_byte, to) = if matches!(quote, b'"' | b'\'' | b'`') {
            let rest = part(text, next + 1, self.limit);
            let length = memchr::memchr(quote, rest).unwrap_or(rest.len());
            (next + 1, next + 1 + length)
        } else {
            let rest = part(text, next, self.limit);
            let length = rest.iter().take_while(|byte| !is_space(**byte) && **byte != b'>').count();
            (next, next + length)
        };
        self.position = if quote == b'"' || quote == b'\'' || quote == b'`' { (to + 1).min(self.limit) } else { to };
        Some(Attribute { name, value: Some((from_byte, to)) })
    }
}

/// What one attribute of a tag would do.
fn attribute(text: &[u8], element: &[u8], attribute: &Attribute, open: usize, report: &mut Report) {
    let name = part(text, attribute.name.0, attribute.name.1);
    let end = attribute.value.map_or(attribute.name.1, |value| value.1);
    let span = (open, end);
    if is_event(name) && attribute.value.is_some() {
        report.add(Class::Script, 6, span, "an attribute that runs script when something happens");
        return;
    }
    let Some((start, stop)) = attribute.value else { return };
    let value = part(text, start, stop);
    let url = name.rsplit(|byte| *byte == b':').next().unwrap_or(name);
    if ADDRESSES.iter().any(|address| is(url, address))
        && let Some(score) = code_address(value)
    {
        report.add(Class::Script, score, span, "an address that is code");
    }
    // A quote that was left open takes what follows, up to the page's own, into an address.
    if ADDRESSES.iter().take(8).any(|address| is(url, address)) && value.contains(&b'<') && find(value, b"//").is_some()
    {
        report.add(Class::Script, 5, span, "an address that swallows the markup behind it");
    }
    if is(name, b"style") {
        style(text, report, start, stop, true);
    }
    if is(name, b"srcdoc") && value.contains(&b'<') || is(name, b"srcdoc") && value.contains(&b'&') {
        report.add(Class::Script, 5, span, "a document inside of an attribute");
    }
    if is(element, b"meta")
        && is(name, b"content")
        && (find(value, b"url=").is_some() || find(value, b"charset=utf-7").is_some())
    {
        report.add(Class::Script, 5, span, "a page that leads elsewhere or is read in another character set");
    }
    if is(name, b"datasrc") || is(name, b"dataformatas") {
        report.add(Class::Script, 5, span, "content bound to elsewhere");
    }
}

/// Attributes whose value is an address, or that set one.
const ADDRESSES: &[&[u8]] = &[
    b"href",
    b"src",
    b"action",
    b"formaction",
    b"data",
    b"poster",
    b"background",
    b"dynsrc",
    b"lowsrc",
    b"code",
    b"codebase",
    b"to",
    b"from",
    b"by",
    b"values",
    b"value",
    b"content",
    b"url",
    b"folder",
    b"style",
    b"classid",
    b"manifest",
    b"profile",
    b"cite",
    b"longdesc",
    b"usemap",
    b"ping",
    b"srcset",
    b"xmlns",
    b"implementation",
    b"param",
    b"target",
    b"onreadystatechange",
    b"filter",
];

/// Whether an attribute that loads something makes this element one that should not be there; how sure.
fn loading(text: &[u8], element: &[u8], attribute: &Attribute) -> u8 {
    let name = part(text, attribute.name.0, attribute.name.1);
    let Some((start, stop)) = attribute.value else { return 0 };
    let value = part(text, start, stop);
    if value.is_empty() {
        return 0;
    }
    let source = [&b"src"[..], b"data", b"code", b"codebase", b"classid", b"srcdoc", b"type", b"archive"]
        .iter()
        .any(|known| is(name, known));
    let linked = is(name, b"href");
    match () {
        () if is(element, b"object") || is(element, b"embed") || is(element, b"applet") || is(element, b"portal") => {
            5 * u8::from(source)
        }
        () if is(element, b"iframe")
            || is(element, b"frame")
            || is(element, b"layer")
            || is(element, b"ilayer")
            || is(element, b"bgsound") =>
        {
            5 * u8::from(is(name, b"src"))
        }
        () if is(element, b"base") => 5 * u8::from(linked),
        () if is(element, b"link") => {
            let rel = is(name, b"rel") && any(value, &[b"stylesheet", b"import", b"prefetch", b"preload"]);
            (5 * u8::from(rel)).max(3 * u8::from(linked && value.contains(&b':')))
        }
        () if is(element, b"meta") => {
            5 * u8::from(is(name, b"http-equiv") && any(value, &[b"refresh", b"set-cookie", b"link", b"content-type"]))
        }
        () if is(element, b"form") => 3 * u8::from(is(name, b"action") && value.contains(&b':')),
        () if is(element, b"animate") => {
            5 * u8::from(is(name, b"attributename") && any(value, &[b"href", b"on", b"src"]))
        }
        _ => 0,
    }
}

/// Whether an attribute's name is one that runs its value: `on` and the name of an event. Odd bytes in front are skipped
/// as browsers do.
fn is_event(name: &[u8]) -> bool {
    let start = name.iter().position(|byte| byte.is_ascii_alphabetic()).unwrap_or(name.len());
    let name = from(name, start);
    let letters = name.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    begins(name, b"on") && letters >= 5 && from(name, letters).iter().all(|byte| !byte.is_ascii_alphanumeric())
}

/// `" onfocus=alert(1) x="`: attributes without a tag, for a value that lands inside of one.
fn attributes(text: &[u8], report: &mut Report) {
    let quote = memchr::memchr3(b'"', b'\'', b'`', text).unwrap_or(text.len());
    for equals in memchr::memchr_iter(b'=', text) {
        let end = skip_space_back(text, equals);
        let mut start = end;
        while start > 0 && end - start < 32 && at(text, start - 1).is_ascii_alphabetic() {
            start -= 1;
        }
        let name = part(text, start, end);
        if name.len() < 5 || !begins(name, b"on") {
            continue;
        }
        let before = if start == 0 { b' ' } else { at(text, start - 1) };
        if !(is_space(before) || matches!(before, b'"' | b'\'' | b'/' | b'`' | b'<' | b'>' | b'+' | b';' | 0 | 0x80..))
        {
            continue;
        }
        let value = part(text, equals + 1, equals + 256);
        let known = EVENTS.iter().any(|event| begins(from(name, 2), event));
        let runs = super::script::runs(value);
        let score = match (known, runs, quote < start || start == 0) {
            (_, true, true) | (true, true, _) => 5,
            (true, false, true) => 3,
            (false, true, false) => 3,
            _ => 0,
        };
        report.add(
            Class::Script,
            score,
            (start, (equals + 40).min(text.len())),
            "an attribute that runs script, for a value that lands inside of a tag",
        );
    }
}

/// How the names of events begin, behind `on`.
const EVENTS: &[&[u8]] = &[
    b"abort",
    b"activate",
    b"after",
    b"animation",
    b"auxclick",
    b"before",
    b"begin",
    b"blur",
    b"bounce",
    b"canplay",
    b"cell",
    b"change",
    b"click",
    b"close",
    b"context",
    b"copy",
    b"cue",
    b"cut",
    b"data",
    b"dblclick",
    b"deactivate",
    b"drag",
    b"drop",
    b"duration",
    b"emptied",
    b"end",
    b"error",
    b"finish",
    b"focus",
    b"form",
    b"full",
    b"got",
    b"hash",
    b"help",
    b"input",
    b"invalid",
    b"key",
    b"layout",
    b"load",
    b"lose",
    b"media",
    b"message",
    b"mouse",
    b"move",
    b"offline",
    b"online",
    b"outofsync",
    b"page",
    b"paste",
    b"pause",
    b"play",
    b"pointer",
    b"popstate",
    b"progress",
    b"property",
    b"ratechange",
    b"ready",
    b"repeat",
    b"reset",
    b"resize",
    b"reverse",
    b"row",
    b"scroll",
    b"search",
    b"seek",
    b"select",
    b"show",
    b"start",
    b"stop",
    b"storage",
    b"submit",
    b"suspend",
    b"sync",
    b"time",
    b"toggle",
    b"touch",
    b"track",
    b"transition",
    b"unhandled",
    b"unload",
    b"url",
    b"volume",
    b"waiting",
    b"webkit",
    b"wheel",
    b"zoom",
];

/// `javascript:…` as a whole value: an address that a page would link to.
fn scheme_value(text: &[u8], report: &mut Report) {
    let start = text
        .iter()
        .take(16)
        .take_while(|byte| is_space(**byte) || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b'('))
        .count();
    if let Some(score) = code_address(from(text, start)) {
        report.add(Class::Script, score, (start, start + 48), "an address that is code");
    }
    for colon in memchr::memchr_iter(b':', text).skip(1).take(64) {
        // Not at the beginning: `x=javascript:alert(1)`, `url(javascript:…)`.
        for scheme in [&b"javascript"[..], b"vbscript"] {
            let Some(start) = colon.checked_sub(scheme.len()).filter(|start| *start > 0) else { continue };
            if begins(from(text, start), scheme)
                && !super::scan::in_word(at(text, start - 1))
                && code_address(from(text, start)).is_some()
            {
                report.add(Class::Script, 5, (start, start + 48), "an address that is code");
            }
        }
    }
}

/// How sure an address is code: `javascript:` with something that runs, `data:` of a type that runs. White space and
/// control characters inside of the scheme are skipped, as browsers did.
fn code_address(value: &[u8]) -> Option<u8> {
    let mut scheme = [0_u8; 12];
    let mut length = 0;
    let mut behind = 0;
    for (position, byte) in value.iter().enumerate().take(64) {
        match byte {
            b':' => {
                behind = position + 1;
                break;
            }
            _ if is_space(*byte) || *byte < b' ' || matches!(byte, b'\\' | b'"' | b'\'' | b'`') && length == 0 => {}
            // `values="https://x?;javascript:…"`
            b';' => length = 0,
            _ => {
                *scheme.get_mut(length)? = byte.to_ascii_lowercase();
                length += 1;
            }
        }
    }
    let scheme = part(&scheme, 0, length);
    if behind == 0 {
        return None;
    }
    let rest = from(value, behind);
    match scheme {
        b"javascript" | b"vbscript" | b"livescript" | b"mocha" | b"jscript" => {
            let start = skip_space(rest, 0);
            let rest = from(rest, start);
            // Links that do nothing: `javascript:`, `javascript:;`, `javascript:void(0)`.
            let idle = rest.is_empty()
                || rest.iter().all(|byte| matches!(byte, b';' | b'/' | b' ' | b'#'))
                || begins(rest, b"void")
                    && !any(rest, &[b"alert", b"eval", b"document", b"location", b"prompt", b"confirm"])
                || begins(rest, b"return false")
                || begins(rest, b"history.")
                || begins(rest, b"window.print");
            let code = memchr::memchr3(b'(', b'`', b'=', rest).is_some()
                || rest.contains(&b'[')
                || rest.contains(&b'{')
                || rest.contains(&b'%')
                || rest.contains(&b'&');
            (!idle).then_some(if code { 6 } else { 4 })
        }
        b"data" => {
            let kind = part(rest, 0, 64);
            any(kind, &[b"text/html", b"javascript", b"svg", b"xml", b"text/css", b"x-scriptlet", b"ecmascript"])
                .then_some(5)
        }
        b"feed" | b"view-source" | b"mhtml" => any(rest, &[b"javascript:", b"http"]).then_some(4),
        _ => None,
    }
}

/// Styles that run or load: `expression(`, `behavior:`, `-moz-binding`, `url(javascript:`; comments in words are skipped.
fn style(text: &[u8], report: &mut Report, start: usize, end: usize, inside: bool) {
    let value = part(text, start, end.min(start + TAG_BYTES_MAX));
    let mut plain = [0_u8; 256];
    let mut length = 0;
    let mut position = 0;
    while let Some(byte) = value.get(position) {
        if *byte == b'/' && at(value, position + 1) == b'*' {
            position = find(from(value, position + 2), b"*/").map_or(value.len(), |end| position + 4 + end);
            continue;
        }
        if !is_space(*byte) && *byte != b'\\' {
            let Some(slot) = plain.get_mut(length) else { break };
            *slot = byte.to_ascii_lowercase();
            length += 1;
        }
        position += 1;
    }
    let plain = part(&plain, 0, length);
    let runs = [
        &b":expression("[..],
        b"=expression(",
        b"url(javascript:",
        b"url(\"javascript:",
        b"url('javascript:",
        b"url(vbscript:",
        b"-moz-binding:",
        b"behavior:url",
        b"behaviour:url",
    ];
    let loads = [
        &b"binding:url"[..],
        b"@import",
        b"url(http",
        b"url('http",
        b"url(\"http",
        b"url(//",
        b"url(data:",
        b"javascript:",
    ];
    let span = (start, end.min(text.len()));
    if runs.iter().any(|sign| find(plain, sign).is_some()) {
        report.add(Class::Script, 5, span, "a style that runs script");
    } else if inside && loads.iter().any(|sign| find(plain, sign).is_some()) {
        report.add(Class::Script, 3, span, "a style that loads from elsewhere");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::finding::Place;
    use crate::semantic::scan::scan;

    fn score(text: &str) -> u8 {
        let mut report = Report::default();
        let (text, seen) = (text.as_bytes(), scan(text.as_bytes()));
        look(&Look { text, seen, place: Place::Query, name: b"q" }, &mut report);
        report.score(Class::Script)
    }

    #[test]
    fn what_browsers_run_scores() {
        for text in [
            "<script>alert(1)</script>",
            "<ScRiPt src=//x></script>",
            "<script/x>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "<img/src/onerror=alert(1)>",
            "<svg/onload=alert(1)",
            "<x onclick='y'>",
            "<IMG \"\"\"><b onmouseover = \"x()\">",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=' java\tscript:alert(1)'>x</a>",
            "<iframe src=//x></iframe>",
            "<object data=x.swf>",
            "<embed src=//x>",
            "<base href=//x>",
            "<meta http-equiv=refresh content='0;url=//x'>",
            "<div style='width:expr/**/ession(alert(1))'>",
            "<style>@import '//x'</style>",
            "\" onfocus=alert(1) autofocus x=\"",
            "onanimationend=\"alert(1)\"></b>",
            "javascript:alert(1)",
            "javascript:/*--></title>*/alert(1)//",
            "<form action=javascript:alert(1)>",
            "<svg><animate attributeName=href values=javascript:alert(1) /></svg>",
            "data:text/html,<b>x</b>",
            "<!--#exec cmd=\"id\"-->",
        ] {
            let found = score(text) >= 5 || text.starts_with("<!--#");
            assert!(found, "{text}: {}", score(text));
        }
    }

    #[test]
    fn markup_and_prose_do_not() {
        for text in [
            "a < b and c > d",
            "<b>bold</b> and <i class=x>italic</i>",
            "<p style='color:red'>x</p>",
            "<a href='https://example.org/'>x</a>",
            "<img src='https://example.org/a.png' alt='x'>",
            "I <3 you",
            "online=1 & one=2",
            "javascript:void(0)",
            "javascript:;",
            "JavaScript: the good parts",
            "<John Doe> <john@example.org>",
            "once = true",
            "on monday = closed",
            "data:image/png;base64,AAAA",
            "x<script_count",
        ] {
            assert!(score(text) < 5, "{text}: {}", score(text));
        }
    }
}
