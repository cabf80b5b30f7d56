//! TOML to a draft: every known key with its value, where it stands, and whether the operator wrote it.
//!
//! A draft knows the schema and nothing else; what its values mean together is for `check.rs`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use crate::kind::Value;
use crate::problem::{Problems, either, nearest};
use crate::schema::{Fallback, Key, ROOT, Section};

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
pub(crate) fn read(text: &str, problems: &mut Problems) -> Option<Draft> {
    let (document, errors) = DeTable::parse_recoverable(text);
    // What follows a syntax error on its line is its echo, and a file that is something else entirely is no list of them.
    let mut lines: Vec<usize> = Vec::new();
    for error in &errors {
        let at = error.span().unwrap_or(0..0);
        let (line, _) = problems.error("toml-syntax", &at, error.message()).label("not TOML").line_column(text);
        if lines.contains(&line) || problems.0.len() > 8 {
            problems.0.pop();
        }
        lines.push(line);
    }
    errors.is_empty().then(|| Draft::new(&ROOT, document.get_ref(), 0..0, problems))
}

impl Draft {
    fn new(section: &'static Section, table: &DeTable<'_>, span: Range<usize>, problems: &mut Problems) -> Self {
        let mut draft = Self { span, ..Self::default() };
        for (name, value) in table {
            if let Some(key) = section.key(name.get_ref()) {
                draft.field(key, value, problems);
            } else if let Some(inner) = section.section(name.get_ref()) {
                let drafts = tables(inner, &name.span(), value, problems);
                draft.tables.insert(inner.name(), drafts);
            } else {
                unknown(section, name.get_ref(), &name.span(), value.get_ref(), problems);
            }
        }
        for key in section.keys.iter().filter(|key| !table.contains_key(key.name)) {
            draft.fields.extend(fallback(key).map(|value| (key.name, Field { value, span: None })));
            if key.default == Fallback::Must {
                let message = format!("`{}` is missing", key.name);
                problems.error("missing-key", &draft.span, message).hint(for_example(key));
            }
        }
        // A table that comes once is there even when nobody wrote it, unless something must be said in it.
        let absent = section.sections.iter().filter(|inner| !inner.many && !table.contains_key(inner.name()));
        for inner in absent.filter(|inner| inner.keys.iter().all(|key| key.default != Fallback::Must)) {
            let defaults = Self::new(inner, &DeTable::new(), draft.span.clone(), problems);
            draft.tables.insert(inner.name(), vec![defaults]);
        }
        draft
    }

    fn field(&mut self, key: &'static Key, value: &toml::Spanned<DeValue<'_>>, problems: &mut Problems) {
        if key.default == Fallback::Must && value.get_ref().as_array().is_some_and(|items| items.is_empty()) {
            let message = format!("`{}` is empty", key.name);
            problems.error("empty-list", &value.span(), message).hint(for_example(key));
        }
        // What cannot be read was still given: the default stands in, and nobody is told that the key is missing.
        if let Some(read) = key.kind.read(key.name, value, problems).or_else(|| fallback(key)) {
            self.fields.insert(key.name, Field { value: read, span: Some(value.span()) });
        }
    }

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

    pub(crate) fn string(&self, key: &str) -> String {
        self.text(key).unwrap_or_default().to_owned()
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        if let Some(Value::Flag(flag)) = self.value(key) { Some(*flag) } else { None }
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        if let Some(Value::Number(number)) = self.value(key) { Some(*number) } else { None }
    }

    /// A number that has a default or must be given, and whose range fits.
    pub(crate) fn count(&self, key: &str) -> u32 {
        self.number(key).and_then(|number| number.try_into().ok()).unwrap_or_default()
    }

    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        self.number(key).map(Duration::from_nanos)
    }

    pub(crate) fn socket(&self, key: &str) -> SocketAddr {
        if let Some(Value::Socket(socket)) = self.value(key) { *socket } else { SocketAddr::from(([127, 0, 0, 1], 0)) }
    }

    /// The entries of a list that `pick` knows, each with its place.
    pub(crate) fn list<'a, T>(&'a self, key: &str, pick: fn(&'a Value) -> Option<T>) -> Vec<(&'a Range<usize>, T)> {
        let Some(Value::List(items)) = self.value(key) else { return Vec::new() };
        items.iter().filter_map(|(at, value)| Some((at, pick(value)?))).collect()
    }

    /// The tables of that name.
    pub(crate) fn tables(&self, name: &str) -> &[Self] {
        self.tables.get(name).map_or(&[], Vec::as_slice)
    }

    /// A table that comes once; where it could not be read, one without any value.
    pub(crate) fn table(&self, name: &str) -> &Self {
        static NOTHING: Draft = Draft { span: 0..0, fields: BTreeMap::new(), tables: BTreeMap::new() };
        self.tables(name).first().unwrap_or(&NOTHING)
    }
}

fn fallback(key: &Key) -> Option<Value> {
    if let Fallback::Is(text) = &key.default { key.kind.parse(text).ok() } else { None }
}

fn for_example(key: &Key) -> String {
    format!("for example: {} = {}", key.name, key.example)
}

/// One table, or those of an array, as the section wants it.
fn tables(
    section: &'static Section,
    name: &Range<usize>,
    value: &toml::Spanned<DeValue<'_>>,
    problems: &mut Problems,
) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let noun = if section.many { "a table that may come several times" } else { "a table" };
    let wrong = |at: &Range<usize>, problems: &mut Problems| {
        let message = format!("`{}` is {noun}", section.name());
        problems.error("wrong-type", at, message).hint(format!("write {}", section.header()));
    };
    match value.get_ref() {
        DeValue::Table(table) if !section.many => drafts.push(Draft::new(section, table, value.span(), problems)),
        DeValue::Table(_) => wrong(name, problems),
        DeValue::Array(items) if section.many => {
            for item in items {
                match item.get_ref() {
                    DeValue::Table(table) => drafts.push(Draft::new(section, table, item.span(), problems)),
                    _ => wrong(&item.span(), problems),
                }
            }
        }
        _ => wrong(&value.span(), problems),
    }
    drafts
}

fn unknown(section: &Section, name: &str, at: &Range<usize>, found: &DeValue<'_>, problems: &mut Problems) {
    let table = match found {
        DeValue::Array(items) => items.iter().any(|item| item.get_ref().is_table()),
        _ => found.is_table(),
    };
    let (code, noun) = if table { ("unknown-table", "table") } else { ("unknown-key", "key") };
    let place = if section.path.is_empty() { "at the top".into() } else { format!("in `{}`", section.header()) };
    let problem = problems.error(code, at, format!("there is no {noun} `{name}` {place}"));
    let names = section.keys.iter().map(|key| key.name).chain(section.sections.iter().map(|inner| inner.name()));
    let near = nearest(name, names);
    if !near.is_empty() {
        problem.hint(format!("did you mean {}?", either(&near)));
    }
    let homes = ROOT.homes(name);
    if (1..=3).contains(&homes.len()) {
        problem.hint(format!("`{name}` belongs in {}", either(&homes)));
    }
}
