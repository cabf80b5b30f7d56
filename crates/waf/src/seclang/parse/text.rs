//! Text as it was meant, each byte with its place in the source: continued lines joined, escapes undone.

use std::ops::Range;

use super::super::ast::{Source, Span};
use super::super::diagnostic::Problems;

/// Text that may lack bytes of its source.
#[derive(Debug)]
pub(super) struct Joined {
    file: u32,
    text: String,
    /// Where the two part: a place here and the same in the source; ascending, the first of them at 0.
    breaks: Vec<(usize, usize)>,
}

/// A piece of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    of: &'a Joined,
    start: usize,
    end: usize,
}

/// The next line that says something from `from` on, continued lines joined, and where to go on.
///
/// A line ends at a line feed that no backslash precedes, as Apache reads its configuration: backslash and line feed vanish,
/// the blanks around them stay. A comment goes on the same way.
pub(super) fn next_line(file: u32, text: &str, mut from: usize, problems: &mut Problems) -> Option<(Joined, usize)> {
    while from < text.len() {
        let (joined, next) = logical_line(file, text, from);
        let content = joined.text.trim_start();
        if content.starts_with('#') {
            swallowed(file, text, from..next, problems);
        } else if !content.is_empty() {
            return Some((joined, next));
        }
        from = next;
    }
    None
}

fn logical_line(file: u32, text: &str, from: usize) -> (Joined, usize) {
    let mut joined = Joined { file, text: String::new(), breaks: vec![(0, from)] };
    let mut at = from;
    loop {
        let (line, next) = physical_line(text, at);
        match line.strip_suffix('\\') {
            Some(line) if next < text.len() => joined.push(line, at),
            _ => {
                joined.push(line, at);
                return (joined, next);
            }
        }
        at = next;
    }
}

/// The line at `from` without its end, and where the next begins.
fn physical_line(text: &str, from: usize) -> (&str, usize) {
    let rest = text.get(from..).unwrap_or_default();
    let (line, next) = match memchr::memchr(b'\n', rest.as_bytes()) {
        Some(end) => (rest.get(..end).unwrap_or_default(), from + end + 1),
        None => (rest, text.len()),
    };
    (line.strip_suffix('\r').unwrap_or(line), next)
}

/// Refuses a directive that a comment's last backslash has taken into the comment: engines differ about those.
fn swallowed(file: u32, text: &str, lines: Range<usize>, problems: &mut Problems) {
    let (_, mut at) = physical_line(text, lines.start);
    while at < lines.end {
        let (line, next) = physical_line(text, at);
        let content = line.trim_start();
        if super::directive::names(content) {
            let start = at + (line.len() - content.len());
            let span = span(file, start, at + line.trim_end().len());
            problems
                .refuse(span, "the comment before this directive ends in `\\`, which makes it a part of the comment")
                .help("take the `\\` away, or begin this line with `#`");
        }
        at = next;
    }
}

/// The bytes of `source` that `at` of `inner` stands for, where `inner` is the last thing that the text of `span` says: the
/// expression of an `@rx`, the name behind a variable.
#[must_use]
pub fn locate(source: &Source, span: Span, inner: &str, at: Range<usize>) -> Span {
    let Some(text) = source.text.get(span.start as usize..span.end as usize) else { return span };
    let mut plain = Joined { file: span.file, text: String::new(), breaks: vec![(0, span.start as usize)] };
    let mut from = 0;
    while from < text.len() {
        let (line, next) = physical_line(text, from);
        let line = if next < text.len() { line.strip_suffix('\\').unwrap_or(line) } else { line };
        plain.push(line, span.start as usize + from);
        from = next;
    }
    // Escaped quotes are undone in quoted text only; one of the readings has what is looked for.
    for quote in [None, Some('"'), Some('\'')] {
        let undone = quote.map(|quote| plain.whole().unescape(quote));
        let whole = undone.as_ref().map_or_else(|| plain.whole(), Joined::whole);
        if let Some(start) = whole.text().rfind(inner) {
            return whole.part(start + at.start.min(inner.len())..start + at.end.min(inner.len())).span();
        }
    }
    span
}

fn span(file: u32, start: usize, end: usize) -> Span {
    Span { file, start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
}

impl Joined {
    fn push(&mut self, text: &str, at: usize) {
        if text.is_empty() {
            return;
        }
        match self.breaks.last_mut() {
            Some(last) if last.0 == self.text.len() => last.1 = at,
            Some(last) if last.1 + (self.text.len() - last.0) == at => {}
            _ => self.breaks.push((self.text.len(), at)),
        }
        self.text.push_str(text);
    }

    fn place(&self, at: usize) -> usize {
        let before = self.breaks.partition_point(|(here, _)| *here <= at);
        self.breaks.get(before.saturating_sub(1)).map_or(0, |(here, there)| there + (at - here))
    }

    pub(super) fn whole(&self) -> Part<'_> {
        Part { of: self, start: 0, end: self.text.len() }
    }
}

impl<'a> Part<'a> {
    pub(super) fn text(self) -> &'a str {
        self.of.text.get(self.start..self.end).unwrap_or_default()
    }

    /// Where it stands, what was left out inside of it included.
    pub(super) fn span(self) -> Span {
        let start = self.of.place(self.start);
        let end = if self.end > self.start { self.of.place(self.end - 1) + 1 } else { start };
        span(self.of.file, start, end)
    }

    /// A piece of it; what lies outside is cut off.
    pub(super) fn part(self, range: Range<usize>) -> Self {
        let start = (self.start + range.start).min(self.end);
        Self { of: self.of, start, end: (self.start + range.end).min(self.end).max(start) }
    }

    pub(super) fn from(self, start: usize) -> Self {
        self.part(start..self.text().len())
    }

    pub(super) fn trim(self) -> Self {
        let text = self.text();
        let start = text.len() - text.trim_start().len();
        self.part(start..start.max(text.trim_end().len()))
    }

    /// Before and behind the first `at`.
    pub(super) fn split_once(self, at: char) -> Option<(Self, Self)> {
        let found = self.text().find(at)?;
        Some((self.part(0..found), self.from(found + at.len_utf8())))
    }

    /// The pieces between whitespace.
    pub(super) fn words(self) -> impl Iterator<Item = Self> {
        self.pieces(char::is_whitespace)
    }

    /// The pieces between what `separates`, without empty ones.
    pub(super) fn pieces(self, separates: impl Fn(char) -> bool) -> impl Iterator<Item = Self> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let text = self.text();
            let start = at + text.get(at..)?.find(|c| !separates(c))?;
            let rest = text.get(start..)?;
            at = start + rest.find(&separates).unwrap_or(rest.len());
            Some(self.part(start..at))
        })
    }

    /// How far the quoted text reaches that begins here, behind its opening quote: the place of the closing one. A backslash
    /// takes the next character with it.
    pub(super) fn quoted_until(self, quote: char) -> Option<usize> {
        let mut escaped = false;
        for (at, c) in self.text().char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == quote => return Some(at),
                _ => {}
            }
        }
        None
    }

    /// With `\"` become `"` (or whatever the quote is) and every other backslash as it stands: expressions need theirs.
    pub(super) fn unescape(self, quote: char) -> Joined {
        let text = self.text();
        let mut joined =
            Joined { file: self.of.file, text: String::new(), breaks: vec![(0, self.of.place(self.start))] };
        let (mut from, mut chars) = (0, text.char_indices());
        while let Some((at, c)) = chars.next() {
            if c == '\\' && chars.next().is_some_and(|(_, next)| next == quote) {
                joined.push_part(self.part(from..at));
                from = at + 1;
            }
        }
        joined.push_part(self.from(from));
        joined
    }

    /// A copy that stands for itself.
    pub(super) fn copied(self) -> Joined {
        let mut joined =
            Joined { file: self.of.file, text: String::new(), breaks: vec![(0, self.of.place(self.start))] };
        joined.push_part(self);
        joined
    }
}

impl Joined {
    /// Appends a part, with the breaks inside of it.
    fn push_part(&mut self, part: Part<'_>) {
        let mut at = part.start;
        while at < part.end {
            let next = part.of.breaks.partition_point(|(here, _)| *here <= at);
            let until = part.of.breaks.get(next).map_or(part.end, |(here, _)| (*here).min(part.end));
            let piece = part.of.text.get(at..until).unwrap_or_default();
            self.push(piece, part.of.place(at));
            at = until;
        }
    }
}
