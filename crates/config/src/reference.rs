//! The reference page, written from the schema, so that it cannot say anything else than the reader does.

use std::fmt::Write;

use crate::kind::Kind;
use crate::schema::{Fallback, Key, ROOT, Section};
use crate::units::Dimension;

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from crates/config/src/schema.rs: UPDATE=1 cargo test -p portcullis-config reference -->

`portcullis check --config FILE` names everything that is wrong with a file, and `portcullis show --effective --config
FILE` prints it with every default filled in. An unknown key is an error, never ignored.
";

/// `docs/reference/config.md`.
#[must_use]
pub fn reference() -> String {
    let mut out = format!("{INTRODUCTION}\n{}\n\n", ROOT.doc);
    let _ = writeln!(out, "| quantity | units |\n|---|---|");
    let dimensions = [Dimension::Duration, Dimension::Size, Dimension::Throughput, Dimension::Rate, Dimension::Percent];
    for dimension in dimensions {
        let units: Vec<String> = dimension.units().iter().map(|(unit, _)| format!("`{unit}`")).collect();
        let _ = writeln!(out, "| {} | {} |", dimension.name(), units.join(" "));
    }
    ROOT.sections.iter().for_each(|section| describe(section, &mut out));
    out
}

fn describe(section: &Section, out: &mut String) {
    let _ = writeln!(out, "\n## `{}`\n\n{}\n", section.header(), section.doc);
    if section.many {
        let _ = writeln!(out, "May come any number of times.\n");
    }
    let _ = writeln!(out, "| key | takes | default | for example | |\n|---|---|---|---|---|");
    for key in section.keys.iter() {
        let (name, example, doc) = (key.name, &key.example, key.doc);
        let _ = writeln!(out, "| `{name}` | {} | {} | `{example}` | {doc} |", takes(key), default(key));
    }
    section.sections.iter().for_each(|inner| describe(inner, out));
}

fn takes(key: &Key) -> String {
    key.kind.describe()
}

fn default(key: &Key) -> String {
    match &key.default {
        Fallback::Must => "must be given".to_owned(),
        Fallback::Is(text) if matches!(key.kind, Kind::Count(..) | Kind::Flag | Kind::List(_)) => format!("`{text}`"),
        Fallback::Is(text) => format!("`\"{text}\"`"),
        Fallback::Or(words) => (*words).to_owned(),
    }
}
