//! Would this make a browser run something, as HTML?
//!
//! Tags are read as browsers read them: any white space, slashes between attributes, quotes or none. What counts is an
//! element that loads or runs, an attribute whose name is an event, an address that is code, a style that is code.

use super::finding::{Class, Look, Report};
use super::scan::{class, has};
use super::text::{any, at, begins, find, from, is_space, part, skip_space, skip_space_back, word};
use super::words::{self, ELEMENT, EVENT, SCHEME, SCRIPT_GLOBAL, SCRIPT_NAME, SCRIPT_SINK};

pub(super) fn look(look: &Look<'_>, report: &mut Report) {
    let (text, seen) = (look.text, look.seen);
    if seen.bytes(has::LESS) {
        // Where a tag was read, what is inside of it is not read again, so that this stays linear.
        let mut next = 0;
        let mut styled = false;
        while let Some(open) = memchr::memchr(b'<', from(text, next)).map(|open| open + next) {
            if styled {
                style_content(text, next, open, report);
            }
            next = tag(text, open, report).max(open + 1);
            styled = begins(from(text, open + 1), b"style") || styled && !begins(from(text, open + 1), b"/style");
        }
        if styled {
            style_content(text, next, text.len(), report);
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

/// What stands between the tags of a style and of anything inside of it.
fn style_content(text: &[u8], start: usize, end: usize, report: &mut Report) {
    if any(part(text, start, end), &[b"@import", b"javascript:", b"-moz-binding", b"behavior", b"expression("]) {
        report.add(Class::Script, 5, (start, end), "a style that loads or runs");
    }
}

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
    if is(name, b"script") {
        // A tag, not a word behind a sign: it ends, or has an attribute with a value.
        let rest = from(text, skip_space(text, position));
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
    let mut attributes = Attributes { text, position };
    let mut base_hit = 0_u8;
    let mut first = true;
    while let Some(attribute) = attributes.next() {
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
}

impl Attributes<'_> {
    fn next(&mut self) -> Option<Attribute> {
        let (text, limit) = (self.text, self.text.len());
        // Between attributes; stray quotes and brackets as well, which browsers take into a name.
        while self.position < limit
            && (is_space(at(text, self.position))
                || at(text, self.position) < b' '
                || matches!(
                    at(text, self.position),
                    b'/' | b'"' | b'\'' | b'`' | b'<' | b'[' | b']' | b'\\' | b'?' | b'+' | b';' | b',' | 0x80..
                ))
        {
            self.position += 1;
        }
        if self.position >= limit || at(text, self.position) == b'>' {
            self.position = (self.position + 1).min(text.len());
            return None;
        }
        let start = self.position;
        while self.position < limit
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
        while next < limit
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
        next = skip_space(text, next + 1);
        let quote = at(text, next);
        let (from_byte, to) = if matches!(quote, b'"' | b'\'' | b'`') {
            let rest = from(text, next + 1);
            match memchr::memchr(quote, rest) {
                Some(length) => (next + 1, next + 1 + length),
                // One that is never closed, of which there is one at most of each kind: what stands behind is read as
                // attributes, too, because a page may close it.
                None => {
                    self.position = next + 1;
                    return Some(Attribute { name, value: Some((next + 1, limit)) });
                }
            }
        } else {
            let rest = from(text, next);
            let length = rest.iter().take_while(|byte| !is_space(**byte) && **byte != b'>').count();
            (next, next + length)
        };
        self.position = if quote == b'"' || quote == b'\'' || quote == b'`' { (to + 1).min(limit) } else { to };
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
    let mut pending: Option<Handler> = None;
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
        if let Some(before) = pending.replace(Handler { name: (start, end), equals }) {
            before.judge(text, start, quote, report);
        }
    }
    if let Some(last) = pending {
        last.judge(text, text.len(), quote, report);
    }
}

/// What looks like an attribute that is an event.
struct Handler {
    name: (usize, usize),
    equals: usize,
}

impl Handler {
    /// Judges it by what stands between it and the next one, so that no byte is read for two of them. `quote` is where the
    /// first quote of the text stands.
    fn judge(&self, text: &[u8], next: usize, quote: usize, report: &mut Report) {
        let (start, end) = self.name;
        let name = part(text, start, end);
        let known = EVENTS.iter().any(|event| begins(from(name, 2), event));
        let runs = super::script::runs(part(text, self.equals + 1, next));
        let score = match (known, runs, quote < start || start == 0) {
            (_, true, true) | (true, true, _) => 5,
            (true, false, true) => 3,
            (false, true, false) => 3,
            _ => 0,
        };
        let why = "an attribute that runs script, for a value that lands inside of a tag";
        report.add(Class::Script, score, (start, (self.equals + 40).min(text.len())), why);
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
        .take_while(|byte| is_space(**byte) || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b'('))
        .count();
    if let Some(score) = code_address(from(text, start)) {
        // `JavaScript: the good parts` is a title.
        let colon = memchr::memchr(b':', from(text, start)).map_or(text.len(), |colon| start + colon + 1);
        let score = if score < 5 || is_code(from(text, colon)) || at(text, start) | 0x20 == b'd' { score } else { 3 };
        report.add(Class::Script, score, (start, start + 48), "an address that is code");
    }
    for colon in memchr::memchr_iter(b':', text) {
        // Not at the beginning: `x=javascript:alert(1)`, `url(javascript:…)`.
        for scheme in [&b"javascript"[..], b"vbscript"] {
            let Some(start) = colon.checked_sub(scheme.len()).filter(|start| *start > 0) else { continue };
            if begins(from(text, start), scheme)
                && !super::scan::in_word(at(text, start - 1))
                && is_code(from(text, colon + 1))
                && !is_idle(from(text, colon + 1))
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
    for (position, byte) in value.iter().enumerate() {
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
            let code = memchr::memchr3(b'(', b'`', b'=', rest).is_some()
                || rest.contains(&b'[')
                || rest.contains(&b'{')
                || rest.contains(&b'%')
                || rest.contains(&b'&');
            (!is_idle(rest)).then_some(if code { 6 } else { 4 })
        }
        b"data" => {
            let kind = part(rest, 0, 64);
            any(kind, &[b"text/html", b"javascript", b"svg", b"xml", b"text/css", b"x-scriptlet", b"ecmascript"])
                .then_some(5)
        }
        b"feed" | b"view-source" | b"mhtml" => any(part(rest, 0, 64), &[b"javascript:", b"http"]).then_some(4),
        _ => None,
    }
}

/// Whether what stands behind a scheme is code and no sentence: a sign at once, or a word that signs are glued to.
fn is_code(rest: &[u8]) -> bool {
    let start = skip_space(rest, 0);
    let (first, word) = (at(rest, start), word(rest, start));
    if word.is_empty() && first != b'$' {
        return start == 0 && first != 0;
    }
    // As much of it as is glued together.
    let glued = part(rest, start, start + word.len() + GLUED_BYTES_MAX);
    let end = glued.iter().position(|byte| is_space(*byte) || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b','));
    let glued = part(glued, 0, end.unwrap_or(glued.len()));
    let next = at(rest, skip_space(rest, start + word.len()));
    let known = words::kinds(word) & (SCRIPT_SINK | SCRIPT_GLOBAL | SCRIPT_NAME) != 0;
    glued.iter().any(|byte| matches!(byte, b'(' | b'[' | b'=' | b'`' | b'{' | b'%' | b'&'))
        || glued.len() == word.len() + GLUED_BYTES_MAX
        || known && matches!(next, b'(' | b'[' | b'=' | b'`' | b'.')
        || begins(word, b"throw")
        || begins(word, b"var")
        || begins(word, b"function")
}

/// How much of what is glued to the first word of a script is read; where that is not enough it is no sentence.
const GLUED_BYTES_MAX: usize = 48;

/// Longest script behind a scheme that is taken for one that does nothing.
const IDLE_BYTES_MAX: usize = 40;

/// Whether script behind a scheme is what links have that do nothing, or go back: `javascript:`, `javascript:;`,
/// `javascript:void(0)`. It ends with the text, or with a quote or a bracket around it.
fn is_idle(rest: &[u8]) -> bool {
    let rest = from(rest, skip_space(rest, 0));
    let short = part(rest, 0, IDLE_BYTES_MAX);
    let end = short.iter().position(|byte| matches!(byte, b'"' | b'\'' | b'<' | b'>'));
    let Some(end) = end.or_else(|| (rest.len() < IDLE_BYTES_MAX).then_some(rest.len())) else { return false };
    let script = part(short, 0, end);
    let plain = script
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'(' | b')' | b'.' | b'-' | b';' | b' '));
    let known = [&b"void"[..], b"return false", b"history.", b"window.print", b"window.history."];
    script.iter().all(|byte| matches!(byte, b';' | b'/' | b' ' | b'#'))
        || plain
            && known.iter().any(|known| begins(script, known))
            && !any(script, &[b"alert", b"eval", b"prompt", b"confirm"])
}

/// Styles that run or load: `expression(`, `behavior:`, `-moz-binding`, `url(javascript:`; comments in words are skipped.
fn style(text: &[u8], report: &mut Report, start: usize, end: usize, inside: bool) {
    let value = part(text, start, end);
    let span = (start, end.min(text.len()));
    let mut plain = [0_u8; STYLE_ROOM_BYTES];
    let mut length = 0;
    let mut position = 0;
    while let Some(byte) = value.get(position) {
        if *byte == b'/' && at(value, position + 1) == b'*' {
            position = find(from(value, position + 2), b"*/").map_or(value.len(), |end| position + 4 + end);
            continue;
        }
        if !is_space(*byte) && *byte != b'\\' {
            if length == STYLE_ROOM_BYTES {
                declarations(&plain, inside, span, report);
                // What lies across two rooms is in the second.
                plain.copy_within(STYLE_ROOM_BYTES - STYLE_SHARED_BYTES.., 0);
                length = STYLE_SHARED_BYTES;
            }
            if let Some(slot) = plain.get_mut(length) {
                *slot = byte.to_ascii_lowercase();
                length += 1;
            }
        }
        position += 1;
    }
    declarations(part(&plain, 0, length), inside, span, report);
}

/// How much of a style is read at once, and what two such parts have in common: more than the longest sign has.
const STYLE_ROOM_BYTES: usize = 256;
const STYLE_SHARED_BYTES: usize = 24;

/// What a part of a style does, without its blanks and comments and in lower case.
fn declarations(plain: &[u8], inside: bool, span: (usize, usize), report: &mut Report) {
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
    if runs.iter().any(|sign| find(plain, sign).is_some()) {
        report.add(Class::Script, 5, span, "a style that runs script");
    } else if inside && loads.iter().any(|sign| find(plain, sign).is_some()) {
        report.add(Class::Script, 3, span, "a style that loads from elsewhere");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::in_query;

    fn score(text: &str) -> u8 {
        let report = in_query(text, look);
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
