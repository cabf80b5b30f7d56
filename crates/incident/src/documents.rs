//! What is handed to people besides the report: the statement, the notice to members, one page for whoever comes next.

use minijinja::Error;

use crate::page::{self, markdown};
use crate::report::Report;

/// The statement to the press, each sentence with its grade and what it rests on.
///
/// # Errors
/// When the template does not fit the report.
pub fn statement(report: &Report) -> Result<String, Error> {
    markdown("statement", include_str!("../templates/statement.md"), &page::value(report))
}

/// The notice to members, in English or Danish (`da`).
///
/// # Errors
/// When the template does not fit the report.
pub fn notice(report: &Report, language: &str) -> Result<String, Error> {
    let template = match language {
        "da" => include_str!("../templates/notice-da.md"),
        _ => include_str!("../templates/notice-en.md"),
    };
    markdown("notice", template, &page::value(report))
}

/// One page for whoever takes over.
///
/// # Errors
/// When the template does not fit the report.
pub fn handover(report: &Report) -> Result<String, Error> {
    markdown("handover", include_str!("../templates/handover.md"), &page::value(report))
}
