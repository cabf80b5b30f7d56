//! Would this run as script, where a value lands inside of one?
//!
//! Anchored at calls: what is called, where it stands in the expression, and with what. A function that proves or does
//! harm counts where an expression could stand; a name that is put together from strings counts whatever it is.

use super::finding::{Class, Look, Report};
use super::scan::{class, has, in_word};
use super::text::{any, at, begins, find, from, is_space, part, skip_space, skip_space_back, word};
use super::words::{self, SCRIPT_GLOBAL, SCRIPT_NAME, SCRIPT_SINK};

/// Most brackets inside of one another whose beginning is known; more, and called, are a finding.
const BRACKETS_DEPTH_MAX: usize = 8;

pub(super) fn look(look: &Look<'_>, report: &mut Report) {
    let (text, seen) = (look.text, look.seen);
    let names = seen.words(SCRIPT_SINK | SCRIPT_GLOBAL | SCRIPT_NAME);
    if seen.bytes(has::PAREN | has::TICK) && (names || seen.bytes(has::BRACKET)) {
        calls(text, report);
        if seen.bytes(has::BRACKET) && seen.bytes(has::BANG | has::PLUS) {
            symbols(text, report);
        }
    }
    if names && seen.bytes(has::DOT | has::BRACKET | has::EQUALS) {
        members(text, report);
    }
}

/// Whether an attribute's value is script rather than a word.
pub(super) fn runs(value: &[u8]) -> bool {
    let mut report = Report::default();
    calls(value, &mut report);
    if report.score(Class::Script) > 0 {
        return true;
    }
    let start = value.iter().take_while(|byte| is_space(**byte) || matches!(byte, b'"' | b'\'')).count();
    let called = memchr::memchr2(b'(', b'`', value).is_some_and(|open| open > start && in_word(at(value, open - 1)));
    called || any(value, &[b"javascript:", b"location", b"document.", b"window.", b"this."])
}

/// Every call of a text.
fn calls(text: &[u8], report: &mut Report) {
    let mut brackets = Brackets::default();
    for (position, byte) in text.iter().enumerate() {
        match byte {
            b'[' => brackets.open(position),
            b']' => brackets.close(position),
            b'(' | b'`' => call(text, position, &brackets, report),
            _ => {}
        }
    }
}

/// Which square bracket closes which.
#[derive(Default)]
struct Brackets {
    /// How deep each of the innermost stands, and where.
    known: [(usize, usize); BRACKETS_DEPTH_MAX],
    depth: usize,
    /// The last that was closed: where it opened, if that is still known, and where it closed.
    last: Option<(Option<usize>, usize)>,
}

impl Brackets {
    fn open(&mut self, position: usize) {
        self.depth += 1;
        if let Some(slot) = self.known.get_mut(self.depth % BRACKETS_DEPTH_MAX) {
            *slot = (self.depth, position);
        }
    }

    fn close(&mut self, position: usize) {
        if self.depth > 0 {
            let known = self.known.get(self.depth % BRACKETS_DEPTH_MAX).filter(|known| known.0 == self.depth);
            self.last = Some((known.map(|known| known.1), position));
            self.depth -= 1;
        }
    }
}

/// A call, or a template literal behind a name.
fn call(text: &[u8], open: usize, brackets: &Brackets, report: &mut Report) {
    let end = skip_space_back(text, open);
    // `alert?.(1)`
    let end = if end > 2 && part(text, end - 2, end) == b"?." { end - 2 } else { end };
    if end == 0 {
        return;
    }
    let last = at(text, end - 1);
    if last == b']' {
        return match brackets.last {
            Some((Some(start), close)) if close + 1 == end => computed(text, open, start, end, report),
            Some((None, close)) if close + 1 == end => {
                report.add(Class::Script, 5, (close, open + 1), "calls what stands in many brackets");
            }
            _ => {}
        };
    }
    if last == b')' {
        // `(alert)(1)`
        let end = skip_space_back(text, end - 1);
        let start = word_start(text, end);
        let before = skip_space_back(text, start);
        if words::kinds(part(text, start, end)) & SCRIPT_SINK != 0
            && matches!(at(text, before.wrapping_sub(1)), b'(' | b',')
        {
            report.add(Class::Script, 5, (start, open + 1), "calls a function through brackets");
        }
        return;
    }
    if !in_word(last) {
        return;
    }
    let start = word_start(text, end);
    let name = part(text, start, end);
    let kinds = words::kinds(name);
    let why = "calls a function that runs or proves script";
    if kinds & SCRIPT_SINK != 0 {
        if !expression(text, start) {
            return;
        }
        let score = match argument(text, open) {
            _ if name.eq_ignore_ascii_case(b"print")
                || name.eq_ignore_ascii_case(b"import")
                || name.eq_ignore_ascii_case(b"fetch")
                || name.eq_ignore_ascii_case(b"function") =>
            {
                match argument(text, open) {
                    Argument::Telling if name.eq_ignore_ascii_case(b"function") && at(text, start) != b'F' => 0,
                    Argument::Telling => 3 + u8::from(name.eq_ignore_ascii_case(b"function")) * 2,
                    _ => 0,
                }
            }
            Argument::Telling => 5,
            Argument::Empty if open == end => 5,
            Argument::Empty => 3,
            Argument::Some => 4 + u8::from(name.eq_ignore_ascii_case(b"eval")),
            Argument::Prose => 0,
        };
        report.add(Class::Script, score, (start, open + 24), why);
    } else if name.eq_ignore_ascii_case(b"fromcharcode") {
        report.add(Class::Script, 5, (start, open + 24), "makes a string of numbers");
    } else if name.eq_ignore_ascii_case(b"constructor") {
        let chained = begins(from(text, start.saturating_sub(12)), b"constructor.")
            || begins(from(text, start.saturating_sub(13)), b"constructor");
        report.add(
            Class::Script,
            if chained { 6 } else { 4 },
            (start.saturating_sub(12), open + 24),
            "makes a function of a string",
        );
    } else if open == end && at(text, open) == b'(' && at(text, start.wrapping_sub(1)) == b'.' {
        // `[1].find(alert)`
        let argument = word(text, open + 1);
        let behind = at(text, open + 1 + argument.len());
        if words::kinds(argument) & SCRIPT_SINK != 0
            && argument.len() > 3
            && matches!(behind, b')' | b',')
            && !argument.eq_ignore_ascii_case(b"function")
        {
            report.add(Class::Script, 5, (start, open + 24), "hands a function that proves script to another");
        }
        if words::kinds(name) & SCRIPT_NAME != 0
            && (name.eq_ignore_ascii_case(b"write") || name.eq_ignore_ascii_case(b"writeln"))
            && begins(from(text, start.saturating_sub(9)), b"document.")
            && matches!(self::argument(text, open), Argument::Telling | Argument::Some)
        {
            report.add(Class::Script, 5, (start.saturating_sub(9), open + 24), "writes into the page");
        }
    } else if at(text, open) == b'`'
        && (name.eq_ignore_ascii_case(b"write") || name.eq_ignore_ascii_case(b"writeln"))
        && begins(from(text, start.saturating_sub(9)), b"document.")
    {
        report.add(Class::Script, 5, (start.saturating_sub(9), open + 24), "writes into the page");
    }
}

/// Where the word that ends at a position begins; a word that is longer than any known one is cut.
fn word_start(text: &[u8], end: usize) -> usize {
    let mut start = end;
    while start > 0 && end - start < 29 && in_word(at(text, start - 1)) {
        start -= 1;
    }
    start
}

enum Argument {
    /// Nothing: `alert()`.
    Empty,
    /// A number, a string, a regular expression, what the page knows.
    Telling,
    /// Something else.
    Some,
    /// Words.
    Prose,
}

/// What a function is called with.
fn argument(text: &[u8], open: usize) -> Argument {
    if at(text, open) == b'`' {
        return if memchr::memchr(b'`', part(text, open + 1, open + 200)).is_some() {
            Argument::Telling
        } else {
            Argument::Some
        };
    }
    let start = skip_space(text, open + 1);
    match at(text, start) {
        b')' => Argument::Empty,
        b'0'..=b'9'
        | b'"'
        | b'\''
        | b'`'
        | b'/'
        | b'\\'
        | b'['
        | b'{'
        | b'('
        | b'+'
        | b'-'
        | b'!'
        | b'&'
        | b'~'
        | b'<'
        | b'%' => Argument::Telling,
        0 => Argument::Some,
        first if class(first) & (has::LETTER | has::UNDERSCORE | has::DOLLAR) != 0 => {
            let name = word(text, start);
            let next = at(text, start + name.len());
            if words::kinds(name) & (SCRIPT_GLOBAL | SCRIPT_SINK | SCRIPT_NAME) != 0 && next != b' '
                || begins(name, b"string")
                || begins(name, b"xss")
            {
                return Argument::Telling;
            }
            match next {
                b')' | b'.' | b'(' | b'+' | b',' | b'[' | b'`' => Argument::Some,
                _ => Argument::Prose,
            }
        }
        _ => Argument::Prose,
    }
}

/// Whether an expression could begin at `start`, or the chain of members that ends there begins at such a place.
fn expression(text: &[u8], mut start: usize) -> bool {
    // `window.alert`, `top . alert`
    for _ in 0..6 {
        let dot = skip_space_back(text, start);
        if dot == 0 || at(text, dot - 1) != b'.' {
            break;
        }
        let end = skip_space_back(text, dot - 1);
        let mut name = end;
        while name > 0 && end - name < 32 && in_word(at(text, name - 1)) {
            name -= 1;
        }
        // `x.alert(`: a method of somebody's own, unless the object is the browser's.
        if words::kinds(part(text, name, end)) & SCRIPT_GLOBAL == 0 {
            return false;
        }
        start = name;
    }
    let before = skip_space_back(text, start);
    if before == 0 {
        return true;
    }
    match at(text, before - 1) {
        b';' | b',' | b'(' | b'=' | b'+' | b'-' | b'*' | b'/' | b'!' | b'~' | b'?' | b':' | b'&' | b'|' | b'{'
        | b'}' | b'[' | b'<' | b'>' | b'"' | b'\'' | b'`' | b'^' | b'%' | b'$' | b'@' | b'\\' => true,
        b')' => start == before || at(text, before) == b'\n',
        byte if in_word(byte) => {
            let mut from_byte = before;
            while from_byte > 0 && before - from_byte < 10 && in_word(at(text, from_byte - 1)) {
                from_byte -= 1;
            }
            let keyword = part(text, from_byte, before);
            [&b"return"[..], b"throw", b"new", b"void", b"typeof", b"delete", b"else", b"in", b"of", b"do", b"await"]
                .contains(&keyword)
        }
        _ => false,
    }
}

/// `window['al'+'ert'](…)`: a member whose name is put together, called at once.
fn computed(text: &[u8], open: usize, start: usize, end: usize, report: &mut Report) {
    let inner = part(text, start + 1, end - 1);
    let object_end = skip_space_back(text, start);
    let mut object = object_end;
    while object > 0 && object_end - object < 28 && in_word(at(text, object - 1)) {
        object -= 1;
    }
    let name = part(text, object, object_end);
    let global = words::kinds(name) & SCRIPT_GLOBAL != 0;
    let chained = matches!(at(text, object_end.wrapping_sub(1)), b']' | b')');
    let first = at(inner, skip_space(inner, 0));
    let string = matches!(first, b'"' | b'\'' | b'`' | b'/' | b'\\' | b'(' | b'[' | b'!' | b'+')
        // `[![picture](…)](…)`
        && !(inner.starts_with(b"![") && at(inner, 2) != b']');
    let made = string
        && (memchr::memchr2(b'+', b'\\', inner).is_some()
            || find(inner, b"source").is_some()
            || first == b'/'
            || first == b'('
            || first == b'[');
    let sink = memchr::memchr_iter(first, inner)
        .take(1)
        .any(|quote| words::kinds(word(inner, quote + 1)) & (SCRIPT_SINK | SCRIPT_NAME) != 0);
    let score = match (global, chained, made, sink) {
        (true, _, true, _) | (true, _, _, true) => 6,
        (true, ..) if string => 5,
        (_, true, true, _) | (_, _, _, true) if string => 5,
        (_, _, true, _) if global || inner.contains(&b'+') && chained => 4,
        _ => 0,
    };
    report.add(Class::Script, score, (object, open + 1), "calls a member whose name is a string");
}

/// Script made of brackets, plus and exclamation marks alone: `(![]+[])[+!+[]]`.
fn symbols(text: &[u8], report: &mut Report) {
    let mut run = 0;
    let mut telling = 0;
    for (position, byte) in text.iter().enumerate() {
        if matches!(
            byte,
            b'[' | b']' | b'(' | b')' | b'!' | b'+' | b'{' | b'}' | b'$' | b'~' | b'"' | b'\'' | b'0'..=b'9'
        ) {
            run += 1;
            let next = at(text, position + 1);
            telling += usize::from(matches!((*byte, next), (b'!' | b'+', b'[' | b'!' | b'{') | (b'[' | b'(', b'!')));
        } else {
            run = 0;
            telling = 0;
        }
        if run >= 16 && telling >= 4 {
            report.add(Class::Script, 6, (position + 1 - run, position + 1), "script that is written in brackets");
            return;
        }
    }
}

/// `document.cookie`, `onerror=alert`, `__proto__`.
fn members(text: &[u8], report: &mut Report) {
    // What runs it, once it has another name, stands somewhere behind.
    let runs = memchr::memrchr2(b'(', b'`', text).max(memchr::memmem::rfind(text, b"throw")).unwrap_or(0);
    let mut position = 0;
    while let Some(byte) = text.get(position) {
        if class(*byte) & (has::LETTER | has::UNDERSCORE) == 0 {
            position += 1;
            continue;
        }
        let name = word(text, position);
        let start = position;
        position += name.len();
        if name.len() < 4 || words::kinds(name) == 0 {
            continue;
        }
        let kinds = words::kinds(name);
        if kinds & (SCRIPT_GLOBAL | SCRIPT_SINK | SCRIPT_NAME) == 0 {
            continue;
        }
        let next = skip_space(text, position);
        let mark = at(text, next);
        if kinds & SCRIPT_GLOBAL != 0 && matches!(mark, b'.' | b'[') && expression(text, start) {
            let member = skip_space(text, next + 1);
            let member = if matches!(at(text, member), b'"' | b'\'' | b'`') { member + 1 } else { member };
            let member = word(text, member);
            let end = next + 2 + member.len();
            let telling = if name.eq_ignore_ascii_case(b"document") {
                [
                    &b"cookie"[..],
                    b"domain",
                    b"write",
                    b"writeln",
                    b"location",
                    b"body",
                    b"documentelement",
                    b"createelement",
                    b"vulnerable",
                    b"forms",
                    b"defaultview",
                ]
                .iter()
                .any(|known| member.eq_ignore_ascii_case(known))
            } else {
                [&b"document"[..], b"location", b"alert", b"eval", b"opener", b"parent", b"onerror", b"name", b"cookie"]
                    .iter()
                    .any(|known| member.eq_ignore_ascii_case(known))
            };
            let behind = at(text, skip_space(text, end - 1));
            let quoted = start > 0 && start < 40 && memchr::memchr2(b'"', b'\'', part(text, 0, start)).is_some();
            let ends = behind == 0
                || matches!(behind, b')' | b';' | b'+' | b'-' | b'=' | b'/' | b'.' | b'[' | b']' | b',' | b'`' | b'}');
            let cookie = member.eq_ignore_ascii_case(b"cookie") && name.eq_ignore_ascii_case(b"document");
            if telling && ends {
                report.add(
                    Class::Script,
                    if cookie { 4 } else { 2 } + u8::from(quoted || start == 0),
                    (start, end),
                    "reads or changes what the page is",
                );
            }
        }
        if name.eq_ignore_ascii_case(b"__definegetter__")
            || name.eq_ignore_ascii_case(b"__proto__") && matches!(mark, b'.' | b'[' | b'=')
        {
            report.add(Class::Script, 4, (start, position), "changes what all objects inherit");
        }
        // `onerror=alert;throw 1`, `a=prompt,a()`
        if kinds & SCRIPT_SINK != 0
            && [&b"alert"[..], b"prompt", b"confirm", b"eval"].iter().any(|known| name.eq_ignore_ascii_case(known))
        {
            let before = skip_space_back(text, start);
            let assigned = before > 1
                && at(text, before - 1) == b'='
                && in_word(at(text, skip_space_back(text, before - 1).wrapping_sub(1)));
            if assigned && matches!(mark, b';' | b',' | b'}' | b')' | b'"') && runs > next {
                report.add(
                    Class::Script,
                    5,
                    (start.saturating_sub(10), position),
                    "names a function that proves script something else",
                );
            }
        }
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
    fn expressions_that_run_score() {
        for text in [
            "alert(1)",
            "';alert(1)//",
            "\"-alert(1)-\"",
            "'-prompt`1`-'",
            "alert()",
            "window.alert(1)",
            "top['al'+'ert'](1)",
            "self[/*x*/'alert'/*y*/](1)",
            "globalThis[/al/.source+/ert/.source](/x/.source)",
            "window['\\x61lert'](1)",
            "(alert)(1)",
            "[1].find(alert)",
            "eval(atob('YQ=='))",
            "a=alert,a(1)",
            "onerror=alert;throw 1",
            "[].filter.constructor('alert(1)')()",
            "constructor.constructor('alert(1)')()",
            "alert(String.fromCharCode(88,83,83))",
            "';document.write('<b>')//",
            "'-document.cookie-'",
            "(![]+[])[+!+[]]+(!![]+[])[+[]]",
            "setTimeout('alert(1)',1)",
            "new Function('alert(1)')()",
        ] {
            assert!(score(text) >= 5, "{text}: {}", score(text));
        }
    }

    #[test]
    fn prose_does_not() {
        for text in [
            "This is a security alert!",
            "the prompt(s) of the alert (red)",
            "please confirm (or call us)",
            "f(x) = a(b)",
            "Mozilla/5.0 (Windows NT 10.0)",
            "see document (page 3)",
            "window[0]",
            "array[1](2)",
            "at eval (webpack:///./src/x.js)",
            "[a](b) [c](d)",
            "function(a){return a}",
            "widget.alert(message)",
        ] {
            assert!(score(text) < 5, "{text}: {}", score(text));
        }
    }
}
