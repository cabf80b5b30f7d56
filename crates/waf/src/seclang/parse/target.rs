//! What a rule looks at: `ARGS|!ARGS:password|&REQUEST_HEADERS:Host|TX:/^score_/`.

use super::super::ast::{Selector, Target, Variable, XmlPath};
use super::super::diagnostic::{Problems, nearest};
use super::text::Part;

/// The targets of a list, between `|` or `,`. A piece that is wrong is left out and told of.
pub(super) fn targets(list: Part<'_>, problems: &mut Problems) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut rest = list.trim();
    if rest.text().is_empty() {
        problems.refuse(list.span(), "a variable is missing");
    }
    while !rest.text().is_empty() {
        let end = extent(rest);
        let piece = rest.part(0..end).trim();
        let separator = rest.part(end..end + 1);
        rest = rest.from(end + 1).trim();
        if piece.text().is_empty() || (rest.text().is_empty() && !separator.text().is_empty()) {
            problems.refuse(separator.span(), format!("a variable is missing beside this `{}`", separator.text()));
        }
        if !piece.text().is_empty() {
            targets.extend(target(piece, problems));
        }
    }
    targets
}

/// How far the first target of a list reaches. What its selector holds between quotes is its own.
fn extent(list: Part<'_>) -> usize {
    let ends = ['|', ','];
    let text = list.text();
    let end = text.find(ends).unwrap_or(text.len());
    let quote = text.get(..end).and_then(|piece| piece.find(":'"));
    let Some(inner) = quote.map(|colon| colon + 2) else { return end };
    let Some(close) = list.from(inner).quoted_until('\'').map(|close| inner + close + 1) else { return text.len() };
    text.get(close..).and_then(|rest| rest.find(ends)).map_or(text.len(), |end| close + end)
}

/// One target, with its `&` or `!`.
fn target(piece: Part<'_>, problems: &mut Problems) -> Option<Target> {
    let count = piece.text().starts_with('&');
    let exclude = piece.text().starts_with('!');
    let bare = if count || exclude { piece.from(1) } else { piece };
    if bare.text().starts_with(['&', '!']) {
        problems.refuse(piece.span(), "a variable is counted (`&`) or taken out (`!`), not both");
        return None;
    }
    let (variable, selector) = member(bare, problems)?;
    Some(Target { variable, selector, count, exclude, span: piece.span() })
}

/// A variable with its selector, without `&` and `!`.
pub(super) fn member(piece: Part<'_>, problems: &mut Problems) -> Option<(Variable, Selector)> {
    let (name, written) = match piece.split_once(':') {
        Some((name, written)) => (name, Some(written)),
        None => (piece, None),
    };
    let variable = variable(name, problems)?;
    let selector = match written {
        None if variable == Variable::Xml => {
            problems.refuse(piece.span(), "`XML` needs an expression").help(XML_HELP);
            return None;
        }
        None => Selector::All,
        Some(written) => selector(variable, written, problems)?,
    };
    Some((variable, selector))
}

const XML_HELP: &str =
    "`XML:/*` is the text of the document, `XML://@*` the values of its attributes; no other is supported";

fn selector(variable: Variable, written: Part<'_>, problems: &mut Problems) -> Option<Selector> {
    if !variable.is_collection() {
        problems.refuse(written.span(), format!("`{}` is one value and has no members", variable.name()));
        return None;
    }
    if variable == Variable::Xml {
        let path = match written.text() {
            "/*" => XmlPath::Text,
            "//@*" => XmlPath::Attributes,
            _ => {
                problems.refuse(written.span(), "this expression over XML is not supported").help(XML_HELP);
                return None;
            }
        };
        return Some(Selector::Xml(path));
    }
    let quoted = written.text().starts_with('\'');
    let plain;
    let content = if quoted {
        let inner = written.from(1);
        let Some(end) = inner.quoted_until('\'') else {
            problems.refuse(written.span(), "the quote that begins this name does not end");
            return None;
        };
        if end + 1 < inner.text().len() {
            problems.refuse(inner.from(end + 1).span(), "something stands behind the quoted name");
            return None;
        }
        plain = inner.part(0..end).unescape('\'');
        plain.whole()
    } else {
        written
    };
    let name = content.text();
    let slashed = name.strip_prefix('/').and_then(|inner| inner.strip_suffix('/'));
    match slashed {
        Some("") => _ = problems.refuse(written.span(), "the expression between the slashes is empty"),
        Some(pattern) => return Some(Selector::Regex(pattern.into())),
        None if name.is_empty() => {
            problems.refuse(written.span(), format!("`{}:` names no member", variable.name()));
        }
        None if name.starts_with('/') && !quoted => {
            problems
                .refuse(written.span(), "an expression that begins with `/` does not end with one")
                .help("quote it where it holds `|` or `,`: `ARGS:'/a|b/'`; a name that begins with `/` is quoted, too");
        }
        None => return Some(Selector::Name(name.as_bytes().into())),
    }
    None
}

/// The variable of that name.
pub(super) fn variable(name: Part<'_>, problems: &mut Problems) -> Option<Variable> {
    let written = name.text();
    if let Some(variable) = Variable::ALL.iter().find(|variable| variable.name().eq_ignore_ascii_case(written)) {
        return Some(*variable);
    }
    if let Some((known, why)) = UNSUPPORTED.iter().find(|(known, _)| known.eq_ignore_ascii_case(written)) {
        problems.refuse(name.span(), format!("the variable `{known}` is not supported: {why}"));
        return None;
    }
    let problem = problems.refuse(name.span(), format!("no variable is called `{written}`"));
    if written.contains('.') {
        problem.help("a member is written behind a colon: `ARGS:name`");
    } else if let Some(near) = nearest(written, Variable::ALL.iter().map(|variable| variable.name())) {
        problem.help(format!("`{near}` is"));
    }
    None
}

/// Variables of the language, or of `ModSecurity` 2, that would never hold anything.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("GEO", "there is no data base of places, see `@geoLookup`"),
    ("MSC_PCRE_ERROR", "no expression can fail here"),
    ("MSC_PCRE_LIMITS_EXCEEDED", "expressions run in linear time and have no limit to exceed"),
    ("PERF_ALL", "the engine's times are metrics of the gate"),
    ("PERF_COMBINED", "the engine's times are metrics of the gate"),
    ("PERF_RULES", "the engine's times are metrics of the gate"),
    ("SCRIPT_BASENAME", "no script is run here"),
    ("SCRIPT_FILENAME", "no script is run here"),
    ("SCRIPT_GID", "no script is run here"),
    ("SCRIPT_GROUPNAME", "no script is run here"),
    ("SCRIPT_MODE", "no script is run here"),
    ("SCRIPT_UID", "no script is run here"),
    ("SCRIPT_USERNAME", "no script is run here"),
    ("SDBM_DELETE_ERROR", "collections are in memory"),
    ("STATUS", "it is no variable of the reference; `RESPONSE_STATUS` is"),
    ("STREAM_INPUT_BODY", "bodies are not rewritten"),
    ("STREAM_OUTPUT_BODY", "bodies are not rewritten"),
    ("USERAGENT_IP", "`REMOTE_ADDR` is the visitor's address already"),
    ("WEBSERVER_ERROR_LOG", "the gate has no such log"),
];
