//! What is wrong with a configuration, as data. Nothing is rendered here.

use std::ops::Range;

/// Whether the configuration can be used in spite of the problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, and somebody should look.
    Warning,
}

/// One thing that is wrong, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stands in the way.
    pub severity: Severity,
    /// Stable name of this kind of problem.
    pub code: &'static str,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Which bytes of the text it is about.
    pub span: Range<usize>,
    /// A few words under the span; may be empty.
    pub label: String,
    /// What to write instead, or where to look.
    pub hints: Vec<String>,
    /// Another place that matters, and why: "first claimed here".
    pub secondary: Option<(Range<usize>, String)>,
}

/// The problems of one text, as they are found.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    pub(crate) fn error(&mut self, code: &'static str, at: &Range<usize>, message: impl Into<String>) -> &mut Problem {
        self.0.push_mut(Problem {
            severity: Severity::Error,
            code,
            message: message.into(),
            span: at.clone(),
            label: String::new(),
            hints: Vec::new(),
            secondary: None,
        })
    }

    pub(crate) fn warning(
        &mut self,
        code: &'static str,
        at: &Range<usize>,
        message: impl Into<String>,
    ) -> &mut Problem {
        let problem = self.error(code, at, message);
        problem.severity = Severity::Warning;
        problem
    }
}

impl Problem {
    pub(crate) fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = label.into();
        self
    }

    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hints.push(hint.into());
        self
    }

    pub(crate) fn second(&mut self, at: &Range<usize>, label: impl Into<String>) -> &mut Self {
        self.secondary = Some((at.clone(), label.into()));
        self
    }

    /// Line and column of the span's start in `text`, both from 1, the column in characters.
    #[must_use]
    pub fn line_column(&self, text: &str) -> (usize, usize) {
        let mut start = self.span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = text.get(..start).unwrap_or_default();
        let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

const LIKE: f64 = 0.82;

/// The one to three of `names` that somebody who wrote `wrong` most likely meant, best first; none when none is close.
pub(crate) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wrong = wrong.to_ascii_lowercase();
    let likeness = |name: &str| {
        let name = name.to_ascii_lowercase();
        // Jaro-Winkler knows long words; in a short one a single slip is most of the word.
        let slip = name.len() > 2 && strsim::damerau_levenshtein(&wrong, &name) == 1;
        strsim::jaro_winkler(&wrong, &name).max(if slip { LIKE } else { 0.0 })
    };
    let mut close: Vec<(f64, &str)> = names.into_iter().map(|name| (likeness(name), name)).collect();
    close.retain(|(likeness, _)| *likeness >= LIKE);
    close.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    close.dedup();
    close.into_iter().take(3).map(|(_, name)| name).collect()
}

/// `` `a` ``, `` `a` or `b` ``, `` `a`, `b` or `c` ``.
pub(crate) fn either<T: std::fmt::Display>(names: &[T]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let mut problems = Problems::default();
        let mut at = |start| problems.error("x", &(start..start), "").line_column("a = 1\nü = 2\n");
        let table = [(0, (1, 1)), (4, (1, 5)), (6, (2, 1)), (7, (2, 1)), (8, (2, 2)), (99, (3, 1))];
        for (start, expected) in table {
            assert_eq!(at(start), expected, "{start}");
        }
    }

    #[test]
    fn only_close_names_are_offered() {
        let names = ["connect_timeout", "idle_timeout", "retries", "retry_budget"];
        assert_eq!(nearest("connection_timeout", names), ["connect_timeout"]);
        assert_eq!(nearest("retry", names), ["retry_budget", "retries"]);
        assert!(nearest("colour", names).is_empty());
        assert_eq!(either(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
