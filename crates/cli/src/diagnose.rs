//! How problems of a configuration look: file, line, the span underlined, and what to write instead.
//!
//! It judges nothing; problems come from `portcullis_config` as data.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use portcullis_config::Problem;
use portcullis_control::model::{Place, Wrong};

use crate::console::{WARNING, wrong};

/// Narrower than a terminal may be; lines beyond it are cut around the span.
const WIDTH: usize = 120;

/// Every problem of `text`, the content of the file called `name`, and a line that counts them.
pub(crate) fn render(name: &str, text: &str, problems: &[Problem], colour: bool) -> String {
    let problems: Vec<Wrong> = problems.iter().map(|problem| wrong(problem, text)).collect();
    told(name, text, &problems, colour)
}

/// The same of what a gate elsewhere found.
pub(crate) fn told(name: &str, text: &str, problems: &[Wrong], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
    let mut page = String::new();
    for problem in problems {
        page.push_str(&renderer.render(&[group(name, text, problem)]));
        page.push_str("\n\n");
    }
    page.push_str(&summary(name, problems));
    page
}

/// `3 problems in FILE`, and how many of them are only warnings.
fn summary(name: &str, problems: &[Wrong]) -> String {
    let warnings = problems.iter().filter(|problem| problem.severity == WARNING).count();
    let errors = problems.len() - warnings;
    let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, warnings) => format!("{} in {name}", counted(warnings, "warning")),
        (errors, 0) => format!("{} in {name}", counted(errors, "problem")),
        (errors, warnings) => format!("{} and {} in {name}", counted(errors, "problem"), counted(warnings, "warning")),
    }
}

fn group<'a>(name: &'a str, text: &'a str, problem: &'a Wrong) -> Group<'a> {
    let level = if problem.severity == WARNING { Level::WARNING } else { Level::ERROR };
    let label = (!problem.label.is_empty()).then_some(problem.label.as_str());
    let primary = AnnotationKind::Primary.span(within(text, problem.span)).label(label);
    let mut snippet = Snippet::source(text).path(name).annotation(primary);
    if let Some(Place { span, label }) = &problem.second {
        snippet = snippet.annotation(AnnotationKind::Context.span(within(text, *span)).label(label.as_str()));
    }
    let title = level.primary_title(problem.message.as_str()).id(problem.code.as_str());
    let hints = problem.hints.iter().map(|hint| Level::HELP.with_name("hint").message(hint.as_str()));
    title.element(snippet).elements(hints)
}

/// The span, cut to the text and to whole characters, so that nothing that a reader reports can stop the rendering.
fn within(text: &str, [from, until]: [u64; 2]) -> Range<usize> {
    let clamp = |position: u64| {
        let mut position = usize::try_from(position).unwrap_or(usize::MAX).min(text.len());
        while !text.is_char_boundary(position) {
            position -= 1;
        }
        position
    };
    let start = clamp(from);
    start..clamp(until).max(start)
}

#[cfg(test)]
mod tests {
    use portcullis_config::Severity;

    use super::*;

    const TEXT: &str =
        "[server]\nworkers = 2\ndrian = \"30s\"\n\n[[platform]]\nhosts = [\"bücher.example\", \"a.example\"]\n";

    fn problem(code: &'static str, of: &str, message: &str) -> Problem {
        let start = TEXT.find(of).expect("in the text");
        Problem {
            severity: Severity::Error,
            code,
            message: message.to_owned(),
            span: start..start + of.len(),
            label: String::new(),
            hints: Vec::new(),
            secondary: None,
        }
    }

    #[test]
    fn a_problem_points_and_says_what_would_be_right() {
        let mut unknown = problem("unknown-key", "drian", "`drian` is not a key of `[server]`");
        unknown.hints.push("`drain` is; it takes a duration".to_owned());
        let mut twice = problem("host-twice", "\"a.example\"", "the host `a.example` is claimed twice");
        twice.label = "and here".to_owned();
        let first = TEXT.find("\"bücher.example\"").expect("in the text");
        twice.secondary = Some((first..first + "\"bücher.example\"".len(), "first here".to_owned()));
        let expected = "\
error[unknown-key]: `drian` is not a key of `[server]`
 --> gate.toml:3:1
  |
3 | drian = \"30s\"
  | ^^^^^
  |
  = hint: `drain` is; it takes a duration

error[host-twice]: the host `a.example` is claimed twice
 --> gate.toml:6:28
  |
6 | hosts = [\"bücher.example\", \"a.example\"]
  |          ----------------  ^^^^^^^^^^^ and here
  |          |
  |          first here

2 problems in gate.toml";
        assert_eq!(render("gate.toml", TEXT, &[unknown, twice], false), expected);
    }

    #[test]
    fn colour_is_a_choice() {
        let problems = [problem("x", "workers", "x")];
        assert!(render("f", TEXT, &problems, true).contains('\u{1b}'));
        assert!(!render("f", TEXT, &problems, false).contains('\u{1b}'));
    }

    #[test]
    fn no_span_can_stop_the_rendering() {
        let inside_a_letter = TEXT.find('ü').expect("in the text") + 1;
        let backwards = Range { start: 20, end: 5 };
        let whole = 0..TEXT.len();
        let spans = [0..0, TEXT.len()..TEXT.len(), 900..901, inside_a_letter..inside_a_letter + 1, backwards, whole];
        for span in spans {
            let problem = Problem { span: span.clone(), ..problem("x", "workers", "said") };
            for text in [TEXT, ""] {
                assert!(render("f", text, std::slice::from_ref(&problem), false).contains("said"), "{span:?}");
            }
        }
    }

    #[test]
    fn the_last_line_counts() {
        let error = problem("x", "workers", "x");
        let warning = Problem { severity: Severity::Warning, ..error.clone() };
        let table: &[(&[Problem], &str)] = &[
            (std::slice::from_ref(&error), "1 problem in f"),
            (&[error.clone(), error.clone()], "2 problems in f"),
            (std::slice::from_ref(&warning), "1 warning in f"),
            (&[error.clone(), warning.clone(), warning.clone()], "1 problem and 2 warnings in f"),
        ];
        for (problems, expected) in table {
            assert_eq!(render("f", TEXT, problems, false).lines().last(), Some(*expected));
        }
    }
}
