//! Drafts for the forms of authorities: each form is a file of data, and its clock is in it.
//!
//! Never decides whether something must be reported, and never makes up what only a person knows: that stands as missing.

use std::fmt::Write as _;

use minijinja::value::Value;
use serde::{Deserialize, Serialize};

use crate::evidence::plain;
use crate::moment::{self, HOUR};
use crate::page;
use crate::report::Report;

/// Bytes of one form's file.
const FILE: usize = 256 * 1024;
/// Bytes of one answer; longer ones are cut, and say so.
const ANSWER: usize = 20_000;

/// The forms that are built in, by name.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("uk-ncsc", include_str!("../../../forms/uk-ncsc.toml")),
    ("uk-ico", include_str!("../../../forms/uk-ico.toml")),
    ("uk-report-fraud", include_str!("../../../forms/uk-report-fraud.toml")),
    ("eu-nis2-early-warning", include_str!("../../../forms/eu-nis2-early-warning.toml")),
    ("eu-nis2-notification", include_str!("../../../forms/eu-nis2-notification.toml")),
    ("eu-nis2-final", include_str!("../../../forms/eu-nis2-final.toml")),
    ("dk-virk", include_str!("../../../forms/dk-virk.toml")),
    ("us-cisa", include_str!("../../../forms/us-cisa.toml")),
];

/// A form.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// `uk-ico`: how records and files name it.
    pub id: String,
    /// What it is.
    pub title: String,
    /// Whose it is.
    pub authority: String,
    /// Where it is handed in.
    #[serde(rename = "where")]
    pub place: String,
    /// Where its questions were found.
    pub source: String,
    /// What of it nobody has checked.
    #[serde(default)]
    pub unverified: String,
    /// By when.
    pub clock: Clock,
    /// What it asks, in its order.
    #[serde(rename = "field")]
    pub fields: Vec<Field>,
}

/// By when.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Hours; none where there is no deadline.
    #[serde(default)]
    pub hours: Option<u64>,
    /// `awareness`, or `after` another form was handed in.
    #[serde(default)]
    pub from: String,
    /// Which form.
    #[serde(default)]
    pub after: String,
    /// The rule in words.
    pub words: String,
}

/// A question.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name, for answers: `uk-ico.people=…`.
    pub id: String,
    /// The question.
    pub ask: String,
    /// A template over the report; none where only a person knows.
    #[serde(default)]
    pub text: String,
    /// Characters that the form takes.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// A form, filled in as far as it can be.
#[derive(Debug, Clone, Serialize)]
pub struct Draft {
    /// The form.
    pub id: String,
    /// What it is.
    pub title: String,
    /// By when, in milliseconds since 1970.
    pub due: Option<u64>,
    /// What is missing: the question, and how it is answered.
    pub missing: Vec<String>,
    /// The draft, in Markdown.
    pub markdown: String,
}

impl Form {
    /// Reads a form's file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > FILE {
            return Err(format!("a form has at most {FILE} bytes"));
        }
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// All that are built in.
    ///
    /// # Errors
    /// None; they are read by a test.
    pub fn built_in() -> Result<Vec<Self>, String> {
        BUILT_IN.iter().map(|(_, text)| Self::read(text)).collect()
    }

    /// By when it is due; of one that follows another, once that was handed in, or is due itself.
    #[must_use]
    pub fn due(&self, report: &Report, others: &[Self]) -> Option<u64> {
        let hours = self.clock.hours?.saturating_mul(HOUR);
        let begin = if self.clock.from == "after" {
            let done = report.reports.iter().find(|paper| paper.form == self.clock.after).map(|paper| paper.at);
            let other = || others.iter().find(|form| form.id == self.clock.after && form.clock.from != "after");
            done.or_else(|| other().and_then(|form| form.due(report, &[])))?
        } else {
            report.incident.since
        };
        begin.checked_add(hours)
    }

    /// Fills it in.
    ///
    /// # Errors
    /// A template of it cannot be read; then nothing of it is handed out.
    pub fn fill(&self, report: &Report, others: &[Self]) -> Result<Draft, String> {
        let value = page::value(report);
        let due = self.due(report, others);
        let mut missing = Vec::new();
        let mut out = format!("# {}\n\n", page::unmarked(&self.title));
        let _ = writeln!(out, "To: {}\n\nWhere: {}\n", page::unmarked(&self.authority), self.place);
        let _ = writeln!(out, "Clock: {}", page::unmarked(&self.clock.words));
        if let Some(due) = due {
            let left = match due.checked_sub(report.written_millis) {
                Some(left) => format!("{} left when this was written", moment::span(left)),
                None => "this has passed".to_owned(),
            };
            let _ = writeln!(out, "\n**Due {}** ({left}).", moment::speak(due));
        }
        if !self.unverified.is_empty() {
            let _ = writeln!(
                out,
                "\nNot verified: {} Source: {}.",
                page::unmarked(&self.unverified),
                page::unmarked(&self.source)
            );
        }
        for field in &self.fields {
            let answer = self.answer(field, report, &value)?;
            let _ = writeln!(out, "\n## {}\n", page::unmarked(&field.ask));
            if answer.is_empty() {
                let how =
                    format!("portcullis incident note {} --answer '{}.{}=…'", report.incident.id, self.id, field.id);
                missing.push(format!("{}: {how}", field.ask));
                let _ = writeln!(out, "**Missing.** Only a person knows: `{how}`");
                continue;
            }
            let fence = "`".repeat(3.max(longest_run(&answer) + 1));
            let _ = writeln!(out, "{fence}text\n{answer}\n{fence}");
            if let Some(limit) = field.limit.filter(|limit| answer.chars().count() > *limit) {
                let _ = writeln!(out, "\nThe form takes {limit} characters; this has {}.", answer.chars().count());
            }
        }
        if !missing.is_empty() {
            let _ = writeln!(out, "\n## Missing\n");
            missing.iter().for_each(|line| out.push_str(&format!("- {}\n", page::unmarked(line))));
        }
        let _ = writeln!(
            out,
            "\nWhen it has been handed in: `portcullis incident report {} {} --to '{}' --file FILE --receipt REFERENCE`",
            report.incident.id, self.id, self.authority
        );
        Ok(Draft { id: self.id.clone(), title: self.title.clone(), due, missing, markdown: out })
    }

    /// What a person answered goes before what is computed.
    fn answer(&self, field: &Field, report: &Report, value: &Value) -> Result<String, String> {
        let given = report.answers.get(&format!("{}.{}", self.id, field.id)).or_else(|| report.answers.get(&field.id));
        let text = match given {
            Some(given) => given.clone(),
            None => page::text(&format!("{}.{}", self.id, field.id), &field.text, value)
                .map_err(|error| format!("{error:#}"))?,
        };
        let lines = text.lines().map(|line| plain_line(line.trim_end())).collect::<Vec<_>>().join("\n");
        let mut text = lines.trim().to_owned();
        if text.len() > ANSWER {
            let end = text.floor_char_boundary(ANSWER);
            text.truncate(end);
            text.push_str("\n… cut; the report has the rest.");
        }
        Ok(text)
    }
}

/// A line whose values were made harmless when they were gathered, and whose configured words may still hold anything.
fn plain_line(line: &str) -> String {
    if line.chars().any(char::is_control) { plain(line) } else { line.to_owned() }
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}
