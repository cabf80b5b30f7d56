//! What is wrong with rule text: where, why, and what to write instead.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::ast::{Source, Span};

/// Lines beyond it are cut around the span: a rule's expression may be 12,000 characters long.
const WIDTH: usize = 140;

/// Problems that are drawn one by one; the rest is counted.
const SHOWN: usize = 100;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where.
    pub span: Span,
    /// Why it is refused, in one sentence without a full stop.
    pub reason: String,
    /// What to write instead, or where to look.
    pub help: Option<String>,
}

/// Rule text that is not taken, with everything that is wrong with it.
#[derive(Debug, Clone)]
pub struct Refused {
    /// What the spans point into.
    pub sources: Vec<Source>,
    /// In the order in which they stand; never empty.
    pub diagnostics: Vec<Diagnostic>,
}

/// Something that the text says and that somebody may want to know: it does not stand in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub span: Span,
    /// What.
    pub text: String,
}

impl Diagnostic {
    /// File, line and column, the line with the span underlined, and the help; as plain text or with a terminal's colours.
    #[must_use]
    pub fn render(&self, sources: &[Source], colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
        let Some(source) = sources.get(self.span.file as usize) else { return self.reason.clone() };
        // Only the lines that the span touches: what is rendered is then never more than them.
        let (lines, first) = source.lines(self.span);
        let start = (self.span.start as usize).saturating_sub(lines.start);
        let text = source.text.get(lines.clone()).unwrap_or_default();
        let end = (self.span.end as usize).saturating_sub(lines.start).min(text.len());
        let underlined = AnnotationKind::Primary.span(start.min(end)..end);
        let snippet = Snippet::source(text).line_start(first).path(source.name.as_str()).annotation(underlined);
        let help = self.help.as_deref().map(|help| Level::HELP.with_name("hint").message(help));
        renderer.render(&[Level::ERROR.primary_title(self.reason.as_str()).element(snippet).elements(help)])
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in self.diagnostics.iter().take(SHOWN) {
            writeln!(f, "{}\n", diagnostic.render(&self.sources, false))?;
        }
        let count = self.diagnostics.len();
        write!(f, "{count} problem{} in the rules", if count == 1 { "" } else { "s" })?;
        if count > SHOWN { write!(f, ", of which these are the first {SHOWN}") } else { Ok(()) }
    }
}

impl std::error::Error for Refused {}

impl Source {
    /// Line and column of a byte, both from 1, the column in characters.
    #[must_use]
    pub fn line_column(&self, at: u32) -> (usize, usize) {
        let before = self.text.get(..at as usize).unwrap_or(&self.text);
        let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
        (before.bytes().filter(|byte| *byte == b'\n').count() + 1, line.chars().count() + 1)
    }

    /// What stands at a span.
    #[must_use]
    pub fn excerpt(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The whole lines around a span, and the number of the first, from 1.
    fn lines(&self, span: Span) -> (Range<usize>, usize) {
        let (before, _) = self.text.split_at_checked(span.start as usize).unwrap_or((&self.text, ""));
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = (span.end as usize).max(span.start as usize);
        let after = self.text.get(end..).and_then(|rest| rest.find('\n')).map_or(self.text.len(), |at| end + at);
        (start..after, self.text.get(..start).unwrap_or_default().matches('\n').count() + 1)
    }
}

/// What is wrong, as it is found.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<Diagnostic>);

impl Problems {
    pub(super) fn refuse(&mut self, span: Span, reason: impl Into<String>) -> &mut Diagnostic {
        self.0.push_mut(Diagnostic { span, reason: reason.into(), help: None })
    }
}

impl Diagnostic {
    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }
}

/// The name of the list that somebody who wrote `wrong` most likely meant.
pub(super) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LIKE: f64 = 0.82;
    let wrong = wrong.to_ascii_lowercase();
    let likeness = |name: &'a str| (strsim::jaro_winkler(&wrong, &name.to_ascii_lowercase()), name);
    let best = names.into_iter().map(likeness).max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness >= LIKE).map(|(_, name)| name)
}
