//! `%{…}` in text.

use super::super::ast::{Piece, Text, Variable};
use super::super::diagnostic::Problems;
use super::target;
use super::text::Part;

/// Text with its macros. A macro that names nothing of the language is refused: it would be empty for ever. `\%{` is no macro.
pub(super) fn text(part: Part<'_>, problems: &mut Problems) -> Text {
    let mut pieces = Vec::new();
    let mut plain = Vec::new();
    let whole = part.text();
    let mut at = 0;
    while let Some(found) = whole.get(at..).and_then(|rest| rest.find("%{")) {
        let start = at + found;
        let before = whole.get(at..start).unwrap_or_default();
        if let Some(before) = before.strip_suffix('\\') {
            plain.extend_from_slice(before.as_bytes());
            plain.extend_from_slice(b"%{");
            at = start + 2;
            continue;
        }
        plain.extend_from_slice(before.as_bytes());
        let Some(end) = whole.get(start..).and_then(|rest| rest.find('}')) else {
            problems
                .refuse(part.part(start..start + 2).span(), "a macro that begins here does not end")
                .help("`}` ends it; `\\%{` is these two characters and no macro");
            return Text(pieces);
        };
        let end = start + end + 1;
        if let Some(piece) = piece(part.part(start..end), problems) {
            if !plain.is_empty() {
                pieces.push(Piece::Plain(std::mem::take(&mut plain).into()));
            }
            pieces.push(piece);
        }
        at = end;
    }
    plain.extend_from_slice(whole.get(at..).unwrap_or_default().as_bytes());
    if !plain.is_empty() {
        pieces.push(Piece::Plain(plain.into()));
    }
    Text(pieces)
}

/// `%{variable}`, `%{collection.member}` or `%{collection:member}`.
fn piece(written: Part<'_>, problems: &mut Problems) -> Option<Piece> {
    let inner = written.part(2..written.text().len() - 1).trim();
    let (name, member) = match inner.text().find(['.', ':']) {
        Some(at) => (inner.part(0..at), Some(inner.from(at + 1))),
        None => (inner, None),
    };
    let variable = target::variable(name, problems)?;
    match member {
        Some(member) if !variable.is_collection() => {
            problems.refuse(member.span(), format!("`{}` is one value and has no members", variable.name()));
            None
        }
        Some(member) if member.text().is_empty() || variable == Variable::Xml => {
            problems.refuse(written.span(), "this macro names no member");
            None
        }
        Some(member) => Some(Piece::Macro(variable, Some(member.text().as_bytes().into()))),
        None if variable.is_collection() => {
            problems
                .refuse(written.span(), format!("`{}` has many values: a macro needs one", variable.name()))
                .help(format!("name a member: `%{{{}.name}}`", variable.name().to_ascii_lowercase()));
            None
        }
        None => Some(Piece::Macro(variable, None)),
    }
}
