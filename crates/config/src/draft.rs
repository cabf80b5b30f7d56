//! TOML to a draft: every known key with its value, where it stands, and whether the operator wrote it.
//!
//! A draft knows the schema and nothing else; what its values mean together is for `check.rs`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use crate::kind::Value;
use crate::problem::{Problem, either, nearest};
use crate::schema::{Fallback, ROOT, Section};

/// One table as it was written, with the defaults filled in.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// The table's header, or the whole inline table.
    pub(crate) span: Range<usize>,
    fields: BTreeMap<&'static str, Field>,
    tables: BTreeMap<&'static str, Vec<Draft>>,
}

#[derive(Debug)]
struct Field {
    value: Value,
    /// Where the operator wrote it; `None` for a default.
    span: Option<Range<usize>>,
}

/// Reads the whole text; `None` when it is not TOML.
pub(crate) fn read(text: &str, problems: &mut Vec<Problem>) -> Option<Draft> {
    let (document, errors) = DeTable::parse_recoverable(text);
    // What follows a syntax error is often its echo: one a line is enough, and a handful in all.
    let mut lines: Vec<usize> = Vec::new();
    for error in &errors {
        let problem = Problem::error("toml-syntax", &error.span().unwrap_or(0..0), error.message().to_lowercase());
        let (line, _) = problem.line_column(text);
        if !lines.contains(&line) && lines.len() < 8 {
            lines.push(line);
            problems.push(problem.label("not TOML"));
        }
    }
    errors.is_empty().then(|| draft(&ROOT, document.get_ref(), 0..0, problems))
}

fn draft(section: &'static Section, table: &DeTable<'_>, span: Range<usize>, problems: &mut Vec<Problem>) -> Draft {
    let mut draft = Draft { span, ..Draft::default() };
    for (name, value) in table {
        let found = value.get_ref();
        if let Some(key) = section.key(name.get_ref()) {
            // A value that cannot be read was still given: its default must not be missed a second time.
            let read = key.kind.read(key.name, value, problems);
            let fallback = || if let Fallback::Is(text) = &key.default { key.kind.parse(text).ok() } else { None };
            let empty = matches!(&read, Some(Value::List(items)) if items.is_empty());
            if empty && key.default == Fallback::Must && matches!(found, DeValue::Array(items) if items.is_empty()) {
                let message = format!("`{}` is empty", key.name);
                let hint = format!("for example: {} = {}", key.name, key.example);
                problems.push(Problem::error("empty-list", &value.span(), message).hint(hint));
            }
            if let Some(value_read) = read.or_else(fallback) {
                draft.fields.insert(key.name, Field { value: value_read, span: Some(value.span()) });
            }
            continue;
        }
        match (section.section(name.get_ref()), found) {
            (Some(inner), DeValue::Table(table)) if !inner.many => {
                let inner_draft = self::draft(inner, table, value.span(), problems);
                draft.tables.insert(inner.name(), vec![inner_draft]);
            }
            (Some(inner), DeValue::Array(items)) if inner.many => {
                let mut drafts = Vec::new();
                for item in items {
                    match item.get_ref() {
                        DeValue::Table(table) => drafts.push(self::draft(inner, table, item.span(), problems)),
                        _ => problems.push(not_a_table(inner, &item.span())),
                    }
                }
                draft.tables.insert(inner.name(), drafts);
            }
            (Some(inner), DeValue::Table(_)) => {
                problems.push(not_a_table(inner, &name.span()));
                draft.tables.insert(inner.name(), Vec::new());
            }
            (Some(inner), _) => problems.push(not_a_table(inner, &value.span())),
            (None, _) => problems.push(unknown(section, name.get_ref(), &name.span(), found)),
        }
    }
    for key in section.keys.iter().filter(|key| !table.contains_key(key.name)) {
        match &key.default {
            Fallback::Is(text) => {
                let value = key.kind.parse(text).ok();
                draft.fields.extend(value.map(|value| (key.name, Field { value, span: None })));
            }
            Fallback::Must => {
                let message = format!("`{}` is missing", key.name);
                let hint = format!("for example: {} = {}", key.name, key.example);
                problems.push(Problem::error("missing-key", &draft.span, message).hint(hint));
            }
            Fallback::Or(_) => {}
        }
    }
    for inner in section.sections.iter().filter(|inner| !table.contains_key(inner.name())) {
        let absent = if inner.many || inner.keys.iter().any(|key| key.default == Fallback::Must) {
            Vec::new()
        } else {
            vec![self::draft(inner, &DeTable::new(), draft.span.clone(), problems)]
        };
        draft.tables.insert(inner.name(), absent);
    }
    draft
}

fn not_a_table(section: &Section, span: &Range<usize>) -> Problem {
    let noun = if section.many { "a table that may come several times" } else { "a table" };
    Problem::error("wrong-type", span, format!("`{}` is {noun}", section.name()))
        .hint(format!("write {}", section.header()))
}

fn unknown(section: &'static Section, name: &str, span: &Range<usize>, found: &DeValue<'_>) -> Problem {
    let table = match found {
        DeValue::Table(_) => true,
        DeValue::Array(items) => items.iter().any(|item| item.get_ref().is_table()),
        _ => false,
    };
    let (code, noun) = if table { ("unknown-table", "table") } else { ("unknown-key", "key") };
    let place = if section.path.is_empty() { "at the top".into() } else { format!("in `{}`", section.header()) };
    let mut problem = Problem::error(code, span, format!("there is no {noun} `{name}` {place}"));
    let names = section.keys.iter().map(|key| key.name).chain(section.sections.iter().map(|inner| inner.name()));
    let near = nearest(name, names);
    if !near.is_empty() {
        problem = problem.hint(format!("did you mean {}?", either(&near)));
    }
    let homes = ROOT.homes(name);
    if (1..=3).contains(&homes.len()) {
        problem = problem.hint(format!("`{name}` belongs in {}", either(&homes)));
    }
    problem
}

impl Draft {
    /// Where the operator wrote `key`; the table's header if nowhere.
    pub(crate) fn at(&self, key: &str) -> &Range<usize> {
        self.fields.get(key).and_then(|field| field.span.as_ref()).unwrap_or(&self.span)
    }

    /// Whether the operator wrote `key`.
    pub(crate) fn given(&self, key: &str) -> bool {
        self.fields.get(key).is_some_and(|field| field.span.is_some())
    }

    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.fields.get(key).map(|field| &field.value)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        if let Some(Value::Text(text)) = self.value(key) { Some(text) } else { None }
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        if let Some(Value::Flag(flag)) = self.value(key) { Some(*flag) } else { None }
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        if let Some(Value::Number(number)) = self.value(key) { Some(*number) } else { None }
    }

    pub(crate) fn socket(&self, key: &str) -> Option<SocketAddr> {
        if let Some(Value::Socket(socket)) = self.value(key) { Some(*socket) } else { None }
    }

    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        self.number(key).map(Duration::from_nanos)
    }

    pub(crate) fn list(&self, key: &str) -> &[(Range<usize>, Value)] {
        if let Some(Value::List(items)) = self.value(key) { items } else { &[] }
    }

    /// The tables of that name; a table that may come once is there even when nobody wrote it, unless it has a key
    /// that must be given.
    pub(crate) fn tables(&self, name: &str) -> &[Draft] {
        self.tables.get(name).map_or(&[], Vec::as_slice)
    }
}
