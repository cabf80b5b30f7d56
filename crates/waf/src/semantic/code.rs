//! Would this run on the server, as code of its language or as an expression of a template?
//!
//! PHP, Java and the languages of its frameworks, Python, Ruby, Node, ASP; templates by what stands between their marks. A
//! placeholder is no attack: `{{name}}` is in every mailing.

use smallvec::SmallVec;

use super::finding::{Class, Look, Place, Report};
use super::scan::{class, has, in_word};
use super::text::{Names, any, at, begins, from, is_space, part, skip_space, skip_space_back, word};
use super::words::{self, CODE_NAME, CODE_SINK};

pub(super) fn look(look: &Look<'_>, report: &mut Report) {
    let (text, seen) = (look.text, look.seen);
    if seen.bytes(has::LESS) && seen.bytes(has::QUESTION | has::PERCENT) {
        embedded(text, look.place, report);
    }
    if look.place == Place::File {
        return;
    }
    if seen.words(CODE_SINK) && seen.bytes(has::PAREN) {
        for open in memchr::memchr_iter(b'(', text) {
            call(text, open, report);
        }
    }
    if seen.words(CODE_NAME) && seen.bytes(has::DOT | has::BRACKET | has::DOLLAR | has::AT) {
        chains(text, report);
    }
    if seen.bytes(has::BRACE) && seen.bytes(has::DOLLAR | has::HASH | has::PERCENT | has::AT | has::STAR | has::BRACE) {
        templates(text, report);
    }
}

/// Looks at the content of a file, whatever it is: only code that is embedded in it counts.
pub(super) fn file(text: &[u8], report: &mut Report) {
    embedded(text, Place::File, report);
}

/// Functions that run commands or code, whatever they are given.
const DEEDS: &[&[u8]] = &[
    b"system",
    b"passthru",
    b"shell_exec",
    b"popen",
    b"proc_open",
    b"pcntl_exec",
    b"exec",
    b"eval",
    b"assert",
    b"create_function",
    b"__import__",
    b"execfile",
    b"check_output",
    b"execsync",
    b"spawnsync",
    b"phpinfo",
    b"phpversion",
    b"php_uname",
    b"createobject",
];

/// What such a function is given in attacks.
static INNER_CALLS: Names = Names::new(&[
    b"$_get",
    b"$_post",
    b"$_request",
    b"$_cookie",
    b"$_server",
    b"base64_decode(",
    b"getenv",
    b"__globals__",
    b"`",
]);

/// A call of a function that runs code, where a statement or an argument could begin.
fn call(text: &[u8], open: usize, report: &mut Report) {
    let end = skip_space_back(text, open);
    let mut start = end;
    while start > 0 && end - start < 28 && in_word(at(text, start - 1)) {
        start -= 1;
    }
    let name = part(text, start, end);
    if words::kinds(name) & CODE_SINK == 0 {
        return;
    }
    let before = skip_space_back(text, start);
    let left = if before == 0 { b';' } else { at(text, before - 1) };
    let begins_here = matches!(
        left,
        b';' | b'{'
            | b'}'
            | b'('
            | b'='
            | b'@'
            | b','
            | b'"'
            | b'\''
            | b'|'
            | b'&'
            | b'.'
            | b'+'
            | b'-'
            | b'!'
            | b'?'
            | b':'
            | b'`'
            | b'>'
            | b'\n'
            | b'$'
            | b')'
            | b'%'
            | b'#'
            | b'\\'
            | b'/'
    );
    if !begins_here {
        return;
    }
    let argument = skip_space(text, open + 1);
    let first = at(text, argument);
    let inner = part(text, open + 1, open + 80);
    let inner = part(inner, 0, memchr::memchr(b')', inner).unwrap_or(inner.len()));
    let deed = DEEDS.iter().any(|known| name.eq_ignore_ascii_case(known));
    let ticks = first == b'`';
    let quoted = matches!(first, b'"' | b'\'' | b'`' | b'$' | b'@' | b'[')
        || class(first) & (has::LETTER | has::DIGIT) != 0 && deed;
    let inner_call = || INNER_CALLS.in_text(inner);
    let lower = name.iter().all(|byte| !byte.is_ascii_uppercase());
    let span = (start, open + 60);
    let why = "calls a function that runs code or commands on the server";
    let empty = first == b')';
    let short = [&b"exec"[..], b"eval", b"system", b"popen", b"assert", b"createobject"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known));
    let score = match () {
        () if ticks && deed || (deed || lower) && inner_call() => 6,
        () if name.eq_ignore_ascii_case(b"print") && ticks => 6,
        () if deed && empty && !short => 5,
        () if deed && empty => 0,
        // `x.exec(y)` is a regular expression's method in every script.
        () if deed && left == b'.' && name.eq_ignore_ascii_case(b"exec") => {
            5 * u8::from(
                matches!(first, b'"' | b'\'' | b'[')
                    && any(
                        part(text, start.saturating_sub(48), start),
                        &[b"runtime", b"child_process", b"process", b"os.", b"kernel", b"io."],
                    ),
            )
        }
        () if deed && matches!(first, b'"' | b'\'' | b'`' | b'$') && lower => 5,
        () if deed
            && quoted
            && (before == 0 || matches!(left, b';' | b'{' | b'"' | b'\'' | b'@' | b'&' | b'|' | b'$'))
            && lower
            && !name.eq_ignore_ascii_case(b"eval") =>
        {
            4
        }
        () if quoted && left == b'@' && lower => 5,
        () if matches!(first, b'"' | b'\'' | b'$')
            && lower
            && (before == 0 || matches!(left, b';' | b'{' | b'"' | b'\'' | b'('))
            && !name.eq_ignore_ascii_case(b"require")
            && !name.eq_ignore_ascii_case(b"include")
            && !name.eq_ignore_ascii_case(b"print")
            && !name.eq_ignore_ascii_case(b"extract")
            && !name.eq_ignore_ascii_case(b"compile")
            && !name.eq_ignore_ascii_case(b"spawn") =>
        {
            4
        }
        () if (name.eq_ignore_ascii_case(b"include") || name.eq_ignore_ascii_case(b"require"))
            && matches!(first, b'"' | b'\'')
            && any(inner, &[b"php://", b"http://", b"child_process", b"../", b"data:"]) =>
        {
            6
        }
        () => 0,
    };
    report.add(Class::Code, score, span, why);
}

/// Names that lead from any object to the runtime, as they stand in code.
const CHAINS: &[(&[u8], u8)] = &[
    (b"java.lang.runtime", 6),
    (b"java.lang.processbuilder", 6),
    (b"java.lang.class", 5),
    (b"java.lang.system", 5),
    (b"java.lang.thread", 4),
    (b"java.beans.xmldecoder", 6),
    (b"java.net.url(", 5),
    (b"java.util.scanner", 4),
    (b"java.io.", 4),
    (b"javax.script.scriptenginemanager", 6),
    (b"javax.naming.initialcontext", 6),
    (b"getruntime(", 6),
    (b"class.forname(", 5),
    (b".getclass().", 5),
    (b"getclass().forname", 6),
    (b"class.module.classloader", 6),
    (b"class.classloader", 6),
    (b"new processbuilder", 6),
    (b"processbuilder(", 5),
    (b"@java.lang", 6),
    (b"ognl.ognlcontext", 6),
    (b"_memberaccess", 5),
    (b"xwork2", 5),
    (b"xwork.methodaccessor", 6),
    (b"#context[", 5),
    (b"#context.", 4),
    (b"freemarker.template.utility", 6),
    (b"__class__", 4),
    (b"__class__.__", 6),
    (b"__mro__", 5),
    (b"__subclasses__", 6),
    (b"__globals__", 6),
    (b"__builtins__", 6),
    (b"__import__(", 5),
    (b"os.system(", 6),
    (b"os.popen(", 6),
    (b"subprocess.", 4),
    (b"subprocess.popen", 6),
    (b"subprocess.call", 6),
    (b"subprocess.check_output", 6),
    (b"subprocess.run(", 5),
    (b"child_process", 4),
    (b"require('child_process')", 6),
    (b"require(\"child_process\")", 6),
    (b"process.mainmodule", 6),
    (b"process.binding(", 6),
    (b"global.process", 5),
    (b"kernel.exec", 5),
    (b"io.popen(", 6),
    (b"server.createobject", 6),
    (b"wscript.shell", 6),
    (b"response.write(", 4),
    (b"scripting.filesystemobject", 5),
    (b"$_get[", 4),
    (b"$_post[", 4),
    (b"$_request[", 4),
    (b"$_cookie[", 4),
    (b"$globals[", 4),
    (b"allow_url_include", 5),
    (b"auto_prepend_file", 5),
    (b"constructor.prototype", 3),
    (b"__proto__", 3),
    (b"t(java.", 6),
];

/// Which chains begin with a byte: one bit each.
static BY_FIRST: [u64; 256] = by_first();

const fn by_first() -> [u64; 256] {
    let mut table = [0; 256];
    let mut chain = 0;
    while chain < CHAINS.len() {
        let first = CHAINS[chain].0[0];
        table[first as usize] |= 1 << chain;
        table[first.to_ascii_uppercase() as usize] |= 1 << chain;
        chain += 1;
    }
    table
}

fn chains(text: &[u8], report: &mut Report) {
    // Every chain has a dot, an underscore, a bracket, a dollar or an at sign next to a word that is known: look there.
    let mut position = 0;
    while let Some(byte) = text.get(position) {
        if class(*byte) & (has::LETTER | has::UNDERSCORE) == 0 {
            position += 1;
            continue;
        }
        let name = word(text, position);
        let before = if position == 0 { 0 } else { at(text, position - 1) };
        let marked = matches!(before, b'@' | b'#' | b'$' | b'.');
        let fits = |byte: u8| BY_FIRST.get(usize::from(byte)).copied().unwrap_or(0);
        let inner = if position > 0 && in_word(before) { 0 } else { fits(*byte) };
        let mut candidates = inner | if marked { fits(before) } else { 0 };
        if candidates != 0 && (marked || name.len() == 1 && matches!(byte, b'T' | b't') || words::kinds(name) != 0) {
            while candidates != 0 {
                let candidate = CHAINS.get(candidates.trailing_zeros() as usize);
                candidates &= candidates - 1;
                let Some((chain, score)) = candidate else { continue };
                let start = position - usize::from(!chain.first().is_some_and(|first| in_word(*first)));
                if begins(from(text, start), chain) {
                    let span = (position, position + chain.len() + 32);
                    report.add(Class::Code, *score, span, "leads to the server's runtime");
                }
            }
        }
        position += name.len().max(1);
    }
}

/// `<?php …`, `<% … %>`: code inside of markup.
fn embedded(text: &[u8], place: Place, report: &mut Report) {
    // What makes an opening code is looked for once, behind the first of each kind.
    let mut short = None;
    let mut page = None;
    for open in memchr::memchr_iter(b'<', text) {
        let rest = from(text, open + 1);
        let span = (open, open + 60);
        let mark = at(rest, 0);
        // In a file that is no text, two of its bytes may look like it: some bytes more must look like code.
        let code = place != Place::File
            || rest.iter().skip(2).take(24).all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 32..=126));
        if mark == b'?' && code {
            let php = begins(rest, b"?php") && !in_word(at(rest, 4)) || begins(rest, b"?=");
            let tagged = matches!(at(rest, 1), b' ' | b'\n' | b'\t' | b'$' | b'`' | b'@')
                && *short.get_or_insert_with(|| any(rest, SHORT_TAGS));
            if php || tagged {
                report.add(
                    Class::Code,
                    if begins(rest, b"?=") && place == Place::File { 4 } else { 6 },
                    span,
                    "code of PHP",
                );
            }
        } else if mark == b'%' && at(rest, 1) != b'%' && code {
            let (closed, telling) =
                *page.get_or_insert_with(|| (memchr::memmem::find(rest, b"%>").is_some(), any(rest, PAGES)));
            if closed {
                let expression = matches!(at(rest, 1), b'=' | b'@' | b'!' | b'#') && place != Place::File;
                let inner = part(rest, 2, 80);
                let inner = part(inner, 0, memchr::memmem::find(inner, b"%>").unwrap_or(0));
                let score = if telling { 6 } else { 3 + 2 * u8::from(expression && arithmetic(inner)) };
                report.add(Class::Code, score, span, "code of a server page");
            }
        }
    }
}

/// What code of PHP behind a short tag has.
const SHORT_TAGS: &[&[u8]] =
    &[b"echo", b"eval", b"system(", b"$_", b"exec(", b"passthru", b"`", b"include", b"assert("];

/// What code of a server page has.
const PAGES: &[&[u8]] = &[
    b"runtime",
    b"request",
    b"response",
    b"eval",
    b"execute",
    b"processbuilder",
    b"createobject",
    b"system",
    b"import=",
    b"page ",
    b"new java",
    b"out.print",
    b"`",
    b"exec(",
    b"file.",
    b"popen",
];

/// What opens an expression of a template and what closes it.
const MARKS: &[(&[u8], &[u8])] = &[
    (b"{{", b"}}"),
    (b"${", b"}"),
    (b"#{", b"}"),
    (b"%{", b"}"),
    (b"{%", b"%}"),
    (b"*{", b"}"),
    (b"@{", b"}"),
    (b"{#", b"}"),
    (b"{php}", b"{"),
    (b"~{", b"}"),
];

/// Most braces inside of one another that are kept.
const BRACES_DEPTH_MAX: usize = 64;
/// Most expressions inside of one another that are read; more are a finding.
const NESTED_MAX: usize = 16;

/// A brace that is open.
#[derive(Clone, Copy)]
struct Brace {
    /// Where what it opened begins: an expression behind a mark, or anything else.
    mark: Option<&'static (&'static [u8], &'static [u8])>,
    start: usize,
    inner: usize,
}

fn templates(text: &[u8], report: &mut Report) {
    let mut open: SmallVec<[Brace; 16]> = SmallVec::new();
    let mut next = 0;
    while let Some(brace) = memchr::memchr2(b'{', b'}', from(text, next)).map(|brace| brace + next) {
        next = brace + 1;
        if at(text, brace) == b'{' {
            let marked = [brace.saturating_sub(1), brace].into_iter().find_map(|start| {
                MARKS.iter().find(|(open, _)| from(text, start).starts_with(open)).map(|mark| (start, mark))
            });
            let (start, inner) = marked.map_or((brace, brace + 1), |(start, mark)| (start, start + mark.0.len()));
            next = inner.max(brace + 1);
            if open.len() == BRACES_DEPTH_MAX {
                // Nothing is nested like this; the innermost are what could still be closed.
                open.remove(0);
            }
            open.push(Brace { mark: marked.map(|(_, mark)| mark), start, inner });
            continue;
        }
        // What closes here; what was opened behind it was none, or is in a string.
        let closes = |brace_open: &Brace| match brace_open.mark.map(|mark| mark.1) {
            Some(b"%}") => at(text, brace.wrapping_sub(1)) == b'%',
            Some(b"}}") => at(text, brace + 1) == b'}',
            _ => true,
        };
        let Some(index) = open.iter().rposition(closes) else { continue };
        let closed = open.get(index).copied();
        open.truncate(index);
        if let Some(Brace { mark: Some(mark), start, inner }) = closed {
            let end = if mark.1 == b"%}" { brace - 1 } else { brace };
            next = brace + if mark.1 == b"}}" { 2 } else { 1 };
            if open.iter().filter(|brace| brace.mark.is_some()).count() >= NESTED_MAX {
                report.add(
                    Class::Template,
                    5,
                    (start, next),
                    "more expressions inside of one another than any template has",
                );
                return;
            }
            judge(text, start, part(text, inner, end), mark.0, true, report);
        }
        if report.score(Class::Template) >= SUREST {
            return;
        }
    }
    // What was not closed, a page may close.
    let last = memchr::memrchr(b'}', text).unwrap_or(0);
    for Brace { mark, start, inner } in open.into_iter().rev().take(NESTED_MAX) {
        if let Some(mark) = mark {
            let closed = mark.1 == b"}" && last > inner;
            judge(text, start, part(text, inner, if closed { last } else { text.len() }), mark.0, closed, report);
        }
    }
}

/// The highest score of an expression.
const SUREST: u8 = 6;

fn judge(text: &[u8], start: usize, inner: &[u8], open: &[u8], closed: bool, report: &mut Report) {
    // A placeholder: a name and nothing else. What a language keeps to itself is no member that a page would show.
    let plain = |byte: &u8| in_word(*byte) || matches!(byte, b' ' | b'.');
    if inner.len() > 12 && inner.iter().all(plain) && !internal(inner) {
        return;
    }
    let end = (start + inner.len() + 4).min(text.len());
    let why = "an expression of a template that computes or calls";
    report.add(Class::Template, expression(inner, open, closed), (start, end), why);
}

/// Whether a member is asked for that an object has for its language's own sake: `a.__init__`.
fn internal(inner: &[u8]) -> bool {
    inner.split(|byte| *byte == b'.').skip(1).any(|member| {
        let member = member.trim_ascii();
        member.len() > 4 && member.starts_with(b"__") && member.ends_with(b"__")
    })
}

/// Names that expressions of templates reach the server by.
static TEMPLATE_NAMES: Names = Names::new(&[
    b"__",
    b"constructor",
    b"request.",
    b"config",
    b"self.",
    b"lipsum",
    b"cycler",
    b"joiner",
    b"session",
    b"_self",
    b"java.",
    b"runtime",
    b"process.",
    b"#context",
    b"@java",
    b"classloader",
    b"getclass",
    b"exec",
    b"system(",
    b"sleep(",
    b"popen",
    b"passthru",
    b"phpinfo",
    b"#_memberaccess",
    b"#parameters",
    b"#request",
    b"#attr",
    b"applicationscope",
    b"settings",
    b"dump(",
    b"include(",
    b"source(",
    b"file(",
    b"globals",
    b"freemarker",
    b"new(",
    b"param.",
]);

/// How sure what stands between the marks is code.
fn expression(inner: &[u8], open: &[u8], closed: bool) -> u8 {
    let dollar = matches!(open, b"${" | b"#{" | b"%{" | b"*{" | b"@{" | b"~{");
    let plain =
        inner.iter().all(|byte| in_word(*byte) || matches!(byte, b'.' | b' ' | b'-' | b':' | b'|' | b',' | b'/'));
    let names = || TEMPLATE_NAMES.in_text(inner);
    let call = memchr::memchr(b'(', inner)
        .is_some_and(|open| open > 0 && (in_word(at(inner, open - 1)) || at(inner, open - 1) == b']'));
    let argued = call && memchr::memchr2(b'"', b'\'', inner).is_some();
    let sums = arithmetic(inner);
    match () {
        () if closed && internal(inner) => 6,
        () if call && closed && names() => 6,
        () if sums && closed => 5,
        () if argued && (closed || dollar) && !open.starts_with(b"{#") => 5,
        () if !plain && closed && open != b"{%" && names() => 5,
        () if plain
            && closed
            && open == b"{{"
            && [&b"config"[..], b"self", b"request", b"settings", b"_self"]
                .iter()
                .any(|known| inner.trim_ascii().eq_ignore_ascii_case(known)) =>
        {
            5
        }
        () if open == b"{%"
            && closed
            && any(inner, &[b"import", b"include", b"for ", b"if ", b"set ", b"debug"])
            && any(inner, &[b"__", b"(", b"config", b"request", b"'"]) =>
        {
            5
        }
        () if open == b"{php}" => 6,
        () if call && dollar && closed => 4,
        () if call && closed && open == b"{{" => 4,
        () => 0,
    }
}

/// `7*7`, `7*'7'`, `13+37`: what probes compute.
fn arithmetic(inner: &[u8]) -> bool {
    let operator = |byte: &u8| matches!(byte, b'*' | b'+' | b'-' | b'/' | b'%');
    let other = |byte: &u8| {
        !(byte.is_ascii_digit() || is_space(*byte) || matches!(byte, b'(' | b')' | b'\'' | b'"' | b'.' | b'@' | b'='))
    };
    let first = inner.iter().find(|byte| !is_space(**byte));
    inner.iter().any(operator)
        && inner.iter().filter(|byte| byte.is_ascii_digit()).count() > 1
        && inner.iter().all(|byte| operator(byte) || !other(byte))
        && first != Some(&b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::in_query;

    fn score(text: &str) -> u8 {
        let report = in_query(text, look);
        report.score(Class::Code).max(report.score(Class::Template))
    }

    #[test]
    fn code_scores() {
        for text in [
            "<?php system($_GET['c']); ?>",
            "<?=`id`?>",
            "<% Runtime.getRuntime().exec(\"id\") %>",
            "system('id');",
            ";phpinfo();",
            "${@print(\"x\")}",
            "print(`id`)",
            "{{7*7}}",
            "${7*7}",
            "#{7*7}",
            "<%= 7*7 %>",
            "{{config.__class__.__init__.__globals__}}",
            "{{self.__init__.__globals__.__builtins__}}",
            "{{ cart.__reduce_ex__ }}",
            "{{ ''.__class__.__mro__[1].__subclasses__() }}",
            "{{request.application.__globals__}}",
            "${T(java.lang.Runtime).getRuntime().exec('id')}",
            "%{(#_memberAccess['a']=true)}",
            "class.module.classLoader.resources.context.parent.pipeline.first.pattern",
            "__import__('os').system('id')",
            "require('child_process').exec('id')",
            "{{ get_user_file(\"/etc/hosts\") }}",
            "new java.lang.ProcessBuilder('id').start()",
            "eval($_POST[x])",
            "assert(base64_decode('x'))",
        ] {
            assert!(score(text) >= 5, "{text}: {}", score(text));
        }
    }

    #[test]
    fn placeholders_and_prose_do_not() {
        for text in [
            "{{name}}",
            "{{ user.name }}",
            "{{ page.__typename }}",
            "{{ __delivery_date__ }}",
            "${name}",
            "Dear {{first_name}} {{last_name}},",
            "#{id}",
            "the system (new) and the exec (old)",
            "/(a|b)/.exec(text)",
            "<?xml version=\"1.0\"?>",
            "5 <% of all",
            "process.env.NODE_ENV",
            "os.path",
            "{\"a\":{\"b\":1}}",
            "class A { }",
            "font-size: ${size}px",
        ] {
            assert!(score(text) < 5, "{text}: {}", score(text));
        }
    }
}
