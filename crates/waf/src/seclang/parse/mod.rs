//! Rule text to directives, or everything that is wrong with it.
//!
//! Lines and quotes are read as Apache reads its configuration, what they say as `ModSecurity` 3's reference manual has it.
//! Nothing that the text says is left out: what is not known, not supported or contradictory is refused, with its place.

mod action;
mod directive;
mod effect;
mod macros;
mod operator;
mod rule;
mod target;
mod text;
mod unicode;

use std::sync::Arc;

use super::ast::{Directive, DirectiveKind, Rule, Source, Span};
use super::diagnostic::{Problems, Refused};
use text::Part;
pub use text::locate;

/// Includes within includes beyond this are refused: a file that includes itself would not end.
pub const MAX_DEPTH: usize = 16;
/// Files beyond this many are refused.
pub const MAX_SOURCES: usize = 4096;
/// Texts of rules beyond this are refused, in bytes, all files together.
pub const MAX_BYTES: usize = 64 << 20;

/// The files that rules name: phrases, networks, maps, other rules. The shell reads them, relative to the file that names them.
pub trait Files {
    /// The content of a file that the text called `beside` names; none where it cannot be read. Where `beside` is empty, the
    /// name is one of [`Files::matching`] and stands for itself.
    fn read(&self, beside: &str, name: &str) -> Option<Vec<u8>>;

    /// The files that a pattern with `*`, `?` or `[` fits, in their order, without such a character the one that it names: what
    /// they are called from then on, in diagnostics too. None where this cannot be told.
    fn matching(&self, beside: &str, pattern: &str) -> Option<Vec<String>> {
        let _ = beside;
        (!pattern.contains(['*', '?', '['])).then(|| vec![pattern.to_owned()])
    }
}

/// Rules that name no files.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _beside: &str, _name: &str) -> Option<Vec<u8>> {
        None
    }
}

/// Rule text, read.
#[derive(Debug, Clone)]
pub struct RuleText {
    /// The files, those that were included among them.
    pub sources: Vec<Source>,
    /// In the order in which they apply; chains under their heads, included files where they are included.
    pub directives: Vec<Directive>,
}

/// Reads texts of rules, each with the name by which diagnostics and `files` call it, in the order in which they apply.
///
/// # Errors
/// Everything that is wrong with them.
pub fn parse<N: AsRef<str>, T: AsRef<str>>(sources: &[(N, T)], files: &dyn Files) -> Result<RuleText, Refused> {
    let mut reader = Reader {
        files,
        sources: Vec::new(),
        directives: Vec::new(),
        problems: Problems::default(),
        chain: None,
        lost: false,
        bytes: 0,
        full: false,
    };
    for (name, text) in sources {
        reader.source(name.as_ref(), text.as_ref(), None, 0);
    }
    let Reader { sources, directives, problems, .. } = reader;
    if problems.0.is_empty() {
        return Ok(RuleText { sources, directives });
    }
    let mut diagnostics = problems.0;
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    Err(Refused { sources, diagnostics })
}

/// What has been read so far.
struct Reader<'a> {
    files: &'a dyn Files,
    sources: Vec<Source>,
    directives: Vec<Directive>,
    problems: Problems,
    /// The head of the chain that goes on.
    chain: Option<Rule>,
    /// The line before could not be read, so that whatever follows may be the rest of a chain.
    lost: bool,
    /// Of all texts together.
    bytes: usize,
    /// There were too many of them, and no more are read.
    full: bool,
}

impl Reader<'_> {
    /// Reads one file to its end.
    fn source(&mut self, name: &str, text: &str, from: Option<Span>, depth: usize) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let Ok(file) = u32::try_from(self.sources.len()) else { return };
        if self.full {
            return;
        }
        self.sources.push(Source { name: name.to_owned(), text: Arc::from(text) });
        self.bytes += text.len();
        let here = Span { file, start: 0, end: 0 };
        if self.bytes > MAX_BYTES || self.sources.len() > MAX_SOURCES {
            let reason = format!("the rules are more than {MAX_SOURCES} files or {} MiB together", MAX_BYTES >> 20);
            self.problems.refuse(from.unwrap_or(here), reason);
            self.full = true;
            return;
        }
        let mut at = 0;
        while let Some((line, next)) = text::next_line(file, text, at, &mut self.problems)
            && !self.full
        {
            at = next;
            directive::directive(&line, depth, self);
        }
        self.lost = false;
        if let Some(head) = self.chain.take() {
            let last = head.links.last().unwrap_or(&head);
            let span = last.actions.span.unwrap_or(last.span);
            self.problems
                .refuse(span, "the chain goes on (`chain`) and the file ends")
                .help("the last rule of a chain does not say `chain`");
        }
    }

    fn directive(&mut self, span: Span, kind: DirectiveKind) {
        self.directives.push(Directive { span, kind });
    }

    /// Takes a rule up: as a link of the open chain, or on its own.
    fn rule(&mut self, rule: Rule, sound: bool) {
        let goes_on = rule.actions.chain;
        let lost = std::mem::take(&mut self.lost);
        let head = match self.chain.take() {
            Some(mut head) => {
                rule::check_link(&rule, &head, &mut self.problems);
                head.links.push(rule);
                head
            }
            None => {
                if sound && !lost {
                    rule::check_head(&rule, &mut self.problems);
                }
                rule
            }
        };
        if goes_on {
            self.chain = Some(head);
        } else {
            self.directive(head.span, DirectiveKind::Rule(Box::new(head)));
        }
    }

    /// A line could not be read: no more is said about what hangs on it.
    fn lost(&mut self) {
        self.lost = true;
        self.chain = None;
    }

    fn must_not_interrupt_chain(&mut self, name: &str, span: Span) {
        // What follows may be the link that was meant.
        self.lost = self.chain.take().is_some();
        if self.lost {
            self.problems.refuse(span, format!("`{name}` stands where the next link of a chain should be"));
        }
    }

    /// The content of a file that `name` names.
    fn file(&mut self, name: Part<'_>) -> Option<Vec<u8>> {
        let span = name.span();
        let beside = self.sources.get(span.file as usize).map_or("", |source| source.name.as_str());
        let content = self.files.read(beside, name.text());
        if content.is_none() {
            self.problems.refuse(span, format!("the file `{}` cannot be read", name.text()));
        }
        content
    }

    fn include(&mut self, name: Part<'_>, optional: bool, depth: usize) {
        let span = name.span();
        if depth >= MAX_DEPTH {
            self.problems.refuse(span, format!("files include one another more than {MAX_DEPTH} deep"));
            return;
        }
        let beside = self.sources.get(span.file as usize).map_or_else(String::new, |source| source.name.clone());
        let names = self.files.matching(&beside, name.text()).unwrap_or_default();
        if names.is_empty() && !optional {
            self.problems.refuse(span, format!("no file fits `{}`", name.text()));
        }
        for name in names {
            match self.files.read("", &name).map(String::from_utf8) {
                Some(Ok(text)) => self.source(&name, &text, Some(span), depth + 1),
                Some(Err(_)) => _ = self.problems.refuse(span, format!("`{name}` is not UTF-8")),
                None if optional => {}
                None => _ = self.problems.refuse(span, format!("the file `{name}` cannot be read")),
            }
        }
    }
}
