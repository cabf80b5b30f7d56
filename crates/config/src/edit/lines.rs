//! Lines of a text: where they begin and end, which comment belongs to what, and how one comes or goes.
//!
//! A line that comes ends as the others do; one that goes takes the comment behind it along.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::{Given, spliced};

/// How lines end here.
fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1)
}

/// Behind the line in which `at` is.
fn after_line(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |end| at + end + 1)
}

/// The line that begins at `at`, without what surrounds it.
fn line(text: &str, at: usize) -> &str {
    text.get(at..after_line(text, at)).unwrap_or_default().trim()
}

/// All of the lines in which a range is.
pub(super) fn whole_lines(text: &str, range: &Range<usize>) -> Range<usize> {
    line_start(text, range.start)..after_line(text, range.end)
}

/// Where the comment begins that stands directly above a header, or else its line. What the file begins with is about the file.
pub(super) fn lead(text: &str, header: usize) -> usize {
    let own = line_start(text, header);
    let mut start = own;
    while start > 0 {
        let above = line_start(text, start - 1);
        if !line(text, above).starts_with('#') {
            return start;
        }
        start = above;
    }
    own
}

/// A header with what belongs to it: the comment above it, its own lines, and the comment that ends them.
pub(super) fn block(text: &str, header: &Range<usize>, own_end: Option<usize>) -> Range<usize> {
    lead(text, header.start)..rest(text, own_end.unwrap_or(header.end))
}

/// Behind the line in which `end` is, and behind the comment that follows it, unless that is the next header's.
fn rest(text: &str, end: usize) -> usize {
    let own = after_line(text, end);
    let mut at = own;
    while line(text, at).starts_with('#') {
        at = after_line(text, at);
    }
    if line(text, at).starts_with('[') { own } else { at }
}

/// The text with one more line: behind the line in which `end` is and like it, or at the top.
pub(super) fn insert_line(text: &str, end: Option<usize>, new: &str) -> String {
    let Some(end) = end else { return format!("{new}{}{text}", newline(text)) };
    let (start, at) = (line_start(text, end), after_line(text, end));
    let above = text.get(start..at).unwrap_or_default();
    let indent = above.len() - above.trim_start_matches([' ', '\t']).len();
    // What ends a value of several lines says nothing about where a line begins.
    let indent = above.get(..indent).filter(|_| !above.trim_start().starts_with([']', '}'])).unwrap_or_default();
    let before = if above.ends_with('\n') { "" } else { newline(text) };
    spliced(text, at..at, &format!("{before}{indent}{new}{}", newline(text)))
}

/// The text with lines of their own behind the line in which `end` is, or before it where it is the beginning of one.
pub(super) fn insert_block(text: &str, end: usize, new: &[String]) -> String {
    let own = newline(text);
    let at = if end == line_start(text, end) { end } else { rest(text, end) };
    let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at..).unwrap_or_default());
    let mut block = String::new();
    if !before.is_empty() {
        block.push_str(if before.ends_with('\n') { "" } else { own });
        let is_apart = before.lines().last().is_none_or(|line| line.trim().is_empty());
        block.push_str(if is_apart { "" } else { own });
    }
    new.iter().for_each(|line| block.extend([line.as_str(), own]));
    if !after.is_empty() && !line(text, at).is_empty() {
        block.push_str(own);
    }
    spliced(text, at..at, &block)
}

/// The text without the lines of a value.
pub(super) fn line_out(text: &str, value: &Range<usize>) -> String {
    spliced(text, whole_lines(text, value), "")
}

/// The text without whole lines, and without one of the gaps around them where there were two.
pub(super) fn cut(text: &str, mut range: Range<usize>) -> String {
    let blank = |at: usize| at < text.len() && line(text, at).is_empty();
    let above = |at: usize| at > 0 && line(text, line_start(text, at - 1)).is_empty();
    if range.start == 0 || above(range.start) {
        while blank(range.end) {
            range.end = after_line(text, range.end);
        }
    }
    while range.end == text.len() && above(range.start) {
        range.start = line_start(text, range.start - 1);
    }
    spliced(text, range, "")
}

/// The text without an entry of an inline table, and without one of the commas around it.
pub(super) fn item_out(text: &str, entry: Range<usize>) -> String {
    let (before, after) = (text.get(..entry.start).unwrap_or_default(), text.get(entry.end..).unwrap_or_default());
    let skipped = after.len() - after.trim_start().len();
    if after.trim_start().starts_with(',') {
        let rest = after.get(skipped + 1..).unwrap_or_default();
        let gap = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        return spliced(text, entry.start..entry.end + skipped + 1 + gap, "");
    }
    let kept = before.trim_end();
    let kept = kept.strip_suffix(',').unwrap_or(before);
    spliced(text, kept.len()..entry.end, "")
}

/// Entries of a list that are held against one another; a longer one is written anew.
const ENTRIES: usize = 500;

/// A list that takes several lines, with only the entries changed that differ, so that what is said beside the others stays. Nothing
/// where it is in one line, or nothing of it stays: then it is written anew.
pub(super) fn list(text: &str, written: &Spanned<DeValue<'_>>, given: &Given) -> Option<String> {
    let (span, Given::List(wanted)) = (written.span(), given) else { return None };
    let items = written.get_ref().as_array()?;
    if !text.get(span.clone())?.contains('\n') || items.len().max(wanted.len()) > ENTRIES {
        return None;
    }
    let old: Vec<_> = items.iter().map(|item| Some((item.span(), super::places::given(item.get_ref())?))).collect();
    let old: Vec<(Range<usize>, Given)> = old.into_iter().collect::<Option<_>>()?;
    let stays = |(_, item): &&(Range<usize>, Given)| wanted.contains(item);
    let (first, last) = (&old.iter().find(stays)?.0, &old.iter().rfind(stays)?.0);
    let new: Vec<&Given> = wanted.iter().filter(|given| !old.iter().any(|(_, item)| item == *given)).collect();
    // From the end on, so that what is before stays where it is.
    let gone = |behind: bool| {
        let all = old.iter().rev().filter(|item| !stays(item)).map(|(range, _)| range);
        all.filter(move |range| (range.start > last.start) == behind)
    };
    let mut out = gone(true).fold(text.get(..span.end)?.to_owned(), |out, range| entry_out(&out, range));
    if !new.is_empty() {
        let indent: String = text.get(line_start(text, first.start)..first.start)?.into();
        let indent: String = indent.chars().take_while(|c| c.is_whitespace()).collect();
        let entries = new.iter().map(|given| format!("{}{indent}{given}", newline(text))).collect::<Vec<_>>().join(",");
        let behind = out.get(last.end..)?;
        let comma = behind.trim_start().starts_with(',').then(|| behind.find(',')).flatten();
        let at = comma.map_or(last.end, |comma| last.end + comma + 1);
        // Behind what is said beside the last of them.
        let beside = out.get(at..after_line(&out, at))?.trim_end();
        let end = if beside.trim_start().starts_with('#') { at + beside.len() } else { at };
        out = spliced(&out, end..end, &(entries + if comma.is_some() { "," } else { "" }));
        out = spliced(&out, at..at, if comma.is_some() { "" } else { "," });
    }
    out = gone(false).fold(out, |out, range| entry_out(&out, range));
    let out = out.get(span.start..)?.to_owned();
    let is = DeValue::parse(&out).ok().and_then(|value| super::places::given(value.get_ref()));
    (is.as_ref() == Some(given)).then_some(out)
}

/// The text without an entry of a list: with its line and what is said beside it, where it stands alone.
fn entry_out(text: &str, entry: &Range<usize>) -> String {
    let lines = whole_lines(text, entry);
    let before = text.get(lines.start..entry.start).unwrap_or_default();
    let after = text.get(entry.end..lines.end).unwrap_or_default().trim_start();
    let after = after.strip_prefix(',').unwrap_or(after).trim_start();
    if before.trim().is_empty() && (after.is_empty() || after.starts_with('#')) {
        return spliced(text, lines, "");
    }
    item_out(text, entry.clone())
}
