//! Text from templates: the report for a browser, and everything else that is written in words.
//!
//! Never trusts a value: HTML is escaped by the engine, and what goes into Markdown is made harmless for it.

use std::borrow::Cow;

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior, context};

use crate::assessment::percent;
use crate::chart::Chart;
use crate::content::{Block, Content};
use crate::moment;
use crate::report::Report;
use crate::statement::{spaced, spaced_in_danish};

/// How values are escaped that go into Markdown.
const MARKDOWN: Cow<'static, str> = Cow::Borrowed("markdown");

/// The report as templates see it.
pub(crate) fn value(report: &Report) -> Value {
    Value::from(Serde(report))
}

/// The report, self-contained.
///
/// # Errors
/// When the template does not fit the report, which a test of it would have shown.
pub fn html(report: &Report) -> Result<String, Error> {
    let content = Content::of(report);
    let blocks = content.sections.iter().flat_map(|section| &section.blocks);
    let charts: Vec<String> = blocks
        .filter_map(|block| match block {
            Block::Chart { number, chart } => Some(chart.svg(*number)),
            _ => None,
        })
        .collect();
    environment().render_named_str(
        "report.html",
        include_str!("../templates/report.html"),
        context! { c => Value::from(Serde(&content)), charts, key => Chart::KEY },
    )
}

/// A text of Markdown from a template over the report, as `r`.
///
/// # Errors
/// When the template cannot be read, or does not fit the report.
pub(crate) fn markdown(name: &str, template: &str, report: &Value) -> Result<String, Error> {
    environment().render_named_str(&format!("{name}.md"), template, context! { r => report })
}

/// A plain text, as it is pasted into a form.
pub(crate) fn text(name: &str, template: &str, report: &Value) -> Result<String, Error> {
    environment().render_named_str(&format!("{name}.txt"), template, context! { r => report })
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|name| match name.rsplit_once('.') {
        Some((_, "html")) => AutoEscape::Html,
        Some((_, "md")) => AutoEscape::Custom(MARKDOWN),
        _ => AutoEscape::None,
    });
    environment.set_formatter(format);
    environment.add_filter("number", |value: u64| spaced(value));
    environment.add_filter("tal", |value: u64| spaced_in_danish(value));
    environment.add_filter("time", moment::speak);
    environment.add_filter("span", moment::span);
    environment.add_filter("percent", percent);
    environment
}

fn format(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if *state.auto_escape() == AutoEscape::Custom(MARKDOWN) && !value.is_safe() {
        if value.is_undefined() || value.is_none() {
            return Ok(());
        }
        return out.write_str(&unmarked(&value.to_string())).map_err(Error::from);
    }
    minijinja::escape_formatter(out, state, value)
}

/// A value that says in Markdown what it says, and nothing else: no link, no image, no HTML, no heading.
pub(crate) fn unmarked(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    // An address that readers would make a link of by themselves.
    out.replace("://", ":\u{2060}//")
}
