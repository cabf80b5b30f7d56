//! Changes of the text by keys: one is set or taken out, a table comes or goes, and every other byte stays as it was written.
//!
//! A value is held against its kind here; what values mean together is for `check.rs`. Nothing is taken on trust: what was edited is
//! read again, and where it says anything else than what was asked for, the change is refused.

mod lines;
mod places;
#[cfg(test)]
mod tests;

use std::fmt;

use toml::Table;
use toml::de::DeValue;

use self::lines::{block, cut, insert_line, item_out, lead, list};
use self::places::{Form, Spot, document, walk};
pub use self::places::{Written, places, written};
use crate::problem::Problems;
use crate::schema::{Fallback, Key, ROOT, Section};

/// Changes that are made at once.
pub const CHANGES: usize = 50;

/// A table: its key in the one around it and, of one that may come several times, what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its key: `platform`.
    pub table: String,
    /// Its name, as the key that tells such tables apart has it.
    pub name: Option<String>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(i64),
    /// A string.
    Text(String),
    /// Several.
    List(Vec<Self>),
}

/// One change, somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The table, from the top.
    pub at: Vec<Named>,
    /// What becomes of it.
    pub act: Act,
}

/// What becomes of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A key gets a value. A table that comes once comes with its first key.
    Set(String, Given),
    /// A key is not said any more: what holds without it holds.
    Unset(String),
    /// A table that may come several times comes, with its name.
    Add,
    /// The table goes, with all that is in it.
    Remove,
}

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Which of the changes, from 0.
    pub change: usize,
    /// The key that it is about; empty where it is about the table.
    pub key: String,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to write instead; may be empty.
    pub hint: String,
}

/// The text with these changes in it, one after the other, or everything that is wrong with them.
///
/// # Errors
/// Each change that cannot be made. A text that is no TOML is wrong with all of them.
pub fn edited(text: &str, changes: &[Change]) -> Result<String, Vec<Misfit>> {
    let (mut text, mut misfits) = (text.to_owned(), Vec::new());
    // What is about a table that could not be added says nothing new.
    let mut missing: Vec<&[Named]> = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        if missing.iter().any(|at| change.at.starts_with(at)) {
            continue;
        }
        match one(&text, change) {
            Ok(next) => text = next,
            Err((message, hint)) => {
                if change.act == Act::Add {
                    missing.push(&change.at);
                }
                misfits.push(Misfit { change: index, key: change.act.key().to_owned(), message, hint });
            }
        }
    }
    if misfits.is_empty() { Ok(text) } else { Err(misfits) }
}

/// What is wrong, and what to write instead.
pub(crate) type Fault = (String, String);

pub(crate) fn fault<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Fault> {
    Err((message.into(), hint.into()))
}

const BY_HAND: &str = "change it in the whole text";

fn one(text: &str, change: &Change) -> Result<String, Fault> {
    let section = section(&change.at)?;
    let after = match &change.act {
        Act::Set(name, given) => {
            let key = known(section, name)?;
            let value = fitting(key, given)?;
            set(text, &change.at, key.name, &value, given)?
        }
        Act::Unset(name) => {
            let key = known(section, name)?;
            if key.default == Fallback::Must {
                return fault(format!("`{name}` is missing"), for_example(key));
            }
            unset(text, &change.at, name)?
        }
        Act::Add => add(text, &change.at, section)?,
        Act::Remove => remove(text, &change.at)?,
    };
    // A text can be written in ways that nobody thought of: whatever came of it must say what was asked for, and nothing else.
    let mut expected: Table = text.parse().map_err(|_| not_toml())?;
    apply(&mut expected, &change.at, change);
    let is = after.parse::<Table>().ok();
    if is.map(pruned) != Some(pruned(expected)) {
        return fault("it is written in a way that a form cannot change", BY_HAND);
    }
    Ok(after)
}

pub(crate) fn not_toml() -> Fault {
    ("the text is not TOML".to_owned(), "mend it in the whole text".to_owned())
}

impl Act {
    fn key(&self) -> &str {
        if let Self::Set(key, _) | Self::Unset(key) = self { key } else { "" }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What the schema has.

/// The table's section, once the way there makes sense.
fn section(at: &[Named]) -> Result<&'static Section, Fault> {
    let mut section: &'static Section = &ROOT;
    for Named { table, name } in at {
        let Some(inner) = section.section(table) else {
            let place =
                if section.path.is_empty() { "at the top".to_owned() } else { format!("in `{}`", section.header()) };
            return fault(format!("there is no table `{table}` {place}"), "");
        };
        match (inner.many, name, inner.named_by()) {
            (true, None, _) => return fault(format!("`{}` comes several times: say which", inner.header()), ""),
            (true, _, None) => return fault(format!("nothing tells one `{}` from another", inner.header()), BY_HAND),
            (false, Some(_), _) => return fault(format!("`{}` comes once and has no name", inner.header()), ""),
            _ => {}
        }
        section = inner;
    }
    if section.path.is_empty() { fault("it says no table", "") } else { Ok(section) }
}

fn known(section: &'static Section, name: &str) -> Result<&'static Key, Fault> {
    section.key(name).map_or_else(|| fault(format!("there is no key `{name}` in `{}`", section.header()), ""), Ok)
}

/// The value as the file has it, once its kind takes it.
fn fitting(key: &Key, given: &Given) -> Result<String, Fault> {
    if key.default == Fallback::Must && *given == Given::List(Vec::new()) {
        return fault(format!("`{}` is empty", key.name), for_example(key));
    }
    let text = given.to_string();
    let Ok(value) = DeValue::parse(&text) else { return fault("it cannot be written as TOML", BY_HAND) };
    let mut problems = Problems::default();
    key.kind.read(key.name, &value, &mut problems);
    match problems.0.into_iter().next() {
        None => Ok(text),
        Some(problem) => fault(problem.message, problem.hints.join(". ")),
    }
}

fn for_example(key: &Key) -> String {
    format!("for example: {} = {}", key.name, key.example)
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl Given {
    fn value(&self) -> toml::Value {
        match self {
            Self::Flag(flag) => (*flag).into(),
            Self::Number(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => items.iter().map(Self::value).collect::<Vec<_>>().into(),
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What is done to the text.

fn set(text: &str, at: &[Named], key: &str, value: &str, given: &Given) -> Result<String, Fault> {
    let document = document(text)?;
    let (spots, found) = walk(document.get_ref(), text, at)?;
    let nearest = spots.last().ok_or_else(not_toml)?;
    let missing = at.get(found..).unwrap_or_default();
    if let Some(several) = missing.iter().find(|it| it.name.is_some()) {
        return absent(several);
    }
    if missing.is_empty()
        && let Some((_, written)) = nearest.table.iter().find(|(name, _)| name.get_ref() == key)
    {
        let span = written.span();
        let new = list(text, written, given).unwrap_or_else(|| value.to_owned());
        return Ok(spliced(text, span.start..span.end, &new));
    }
    // In the table itself, or with dots in the nearest one around it that has lines of its own.
    let dotted = spots.iter().rev().take_while(|spot| matches!(spot.form, Form::Dotted)).count();
    let names = at.get(found.saturating_sub(dotted)..).unwrap_or_default().iter().map(|it| it.table.as_str());
    let line = format!("{} = {value}", names.chain([key]).collect::<Vec<_>>().join("."));
    let header = |at: &[Named]| format!("[{}]", path(at));
    let home = spots.iter().rev().nth(dotted).unwrap_or(nearest);
    match &home.form {
        Form::Inline(span) => {
            let comma = if home.table.is_empty() { " " } else { "," };
            Ok(spliced(text, span.start + 1..span.start + 1, &format!(" {line}{comma}")))
        }
        // Only what is beneath it is written, under headers: it gets its own before them.
        _ if missing.is_empty() && dotted > 0 && nearest.own_end(text).is_none() => {
            let first = nearest.headers(text).into_iter().map(|(header, _)| header.start).min();
            let (at, line) = (lead(text, first.unwrap_or(text.len())), [header(at), format!("{key} = {value}")]);
            Ok(lines::insert_block(text, at, &line))
        }
        Form::Header(_) | Form::Root if !missing.is_empty() && dotted == 0 => {
            Ok(lines::insert_block(text, home.extent_end(text), &[header(at), format!("{key} = {value}")]))
        }
        _ => Ok(insert_line(text, home.own_end(text), &line)),
    }
}

fn unset(text: &str, at: &[Named], key: &str) -> Result<String, Fault> {
    let document = document(text)?;
    let (spots, found) = walk(document.get_ref(), text, at)?;
    let nearest = spots.last().filter(|_| found == at.len());
    match at.get(found..).unwrap_or_default().iter().find(|it| it.name.is_some()) {
        Some(several) => absent(several),
        None => Ok(nearest.map_or_else(|| text.to_owned(), |spot| without(text, spot, &spots, key))),
    }
}

/// The text without a key of a table, or without the inline table of that name.
fn without(text: &str, spot: &Spot<'_>, around: &[Spot<'_>], key: &str) -> String {
    let Some((name, value)) = spot.table.iter().find(|(name, _)| name.get_ref() == key) else { return text.to_owned() };
    let inline = around.iter().any(|spot| matches!(spot.form, Form::Inline(_)));
    if inline { item_out(text, name.span().start..value.span().end) } else { lines::line_out(text, &value.span()) }
}

fn add(text: &str, at: &[Named], section: &Section) -> Result<String, Fault> {
    let Some((last, above)) = at.split_last() else { return fault("it says no table", "") };
    let (Some(name), Some(by)) = (&last.name, section.named_by()) else {
        return fault(format!("`{}` comes once: set what it says", section.header()), "");
    };
    let value = fitting(by, &Given::Text(name.clone()))?;
    let document = document(text)?;
    if walk(document.get_ref(), text, at)?.1 == at.len() {
        return fault(format!("there is a `{}` already whose `{}` is {value}", section.header(), by.name), "");
    }
    let (spots, found) = walk(document.get_ref(), text, above)?;
    if let Some(several) = above.get(found..).unwrap_or_default().iter().find(|it| it.name.is_some()) {
        return absent(several);
    }
    let Some(home) = spots.last() else { return Err(not_toml()) };
    let siblings = if found == above.len() { home.siblings(text, &last.table) } else { Vec::new() };
    let end = siblings.last().unwrap_or(home).extent_end(text);
    Ok(lines::insert_block(text, end, &[format!("[[{}]]", path(at)), format!("{} = {value}", by.name)]))
}

fn remove(text: &str, at: &[Named]) -> Result<String, Fault> {
    let document = document(text)?;
    let (spots, found) = walk(document.get_ref(), text, at)?;
    let (Some((spot, around)), Some(last)) = (spots.split_last().filter(|_| found == at.len()), at.last()) else {
        return at.iter().find(|it| it.name.is_some()).map_or_else(|| Ok(text.to_owned()), absent);
    };
    let own = match &spot.form {
        Form::Inline(_) if last.name.is_none() => {
            return Ok(around.last().map_or_else(|| text.to_owned(), |home| without(text, home, around, &last.table)));
        }
        Form::Inline(_) => return fault("it stands in a list in one line", BY_HAND),
        Form::Header(span) => vec![block(text, span, spot.own_end(text))],
        Form::Root | Form::Dotted => spot.own(text).iter().map(|value| lines::whole_lines(text, value)).collect(),
    };
    let beneath = spot.headers(text).into_iter().map(|(header, spot)| block(text, &header, spot.own_end(text)));
    let mut blocks: Vec<_> = own.into_iter().chain(beneath).collect();
    blocks.sort_by_key(|block| block.start);
    Ok(blocks.into_iter().rev().fold(text.to_owned(), |text, block| cut(&text, block)))
}

fn absent<T>(of: &Named) -> Result<T, Fault> {
    let name = of.name.as_deref().unwrap_or_default();
    fault(
        format!("there is no `{}` of the name `{name}`", of.table),
        "somebody may have changed it meanwhile: look again",
    )
}

fn path(at: &[Named]) -> String {
    at.iter().map(|it| it.table.as_str()).collect::<Vec<_>>().join(".")
}

fn spliced(text: &str, span: std::ops::Range<usize>, new: &str) -> String {
    let part = |range: Option<&str>| range.unwrap_or_default().to_owned();
    part(text.get(..span.start)) + new + &part(text.get(span.end..))
}

// ---------------------------------------------------------------------------------------------------------------------
// What has to come of it.

/// The same change to what the text says.
fn apply(root: &mut Table, at: &[Named], change: &Change) {
    let Some((first, rest)) = at.split_first() else {
        match &change.act {
            Act::Set(key, given) => drop(root.insert(key.clone(), given.value())),
            Act::Unset(key) => drop(root.remove(key)),
            Act::Add | Act::Remove => {}
        }
        return;
    };
    let is_last = rest.is_empty();
    let Some(name) = &first.name else {
        match change.act {
            Act::Remove if is_last => drop(root.remove(&first.table)),
            _ => {
                let inner = root.entry(first.table.clone()).or_insert_with(|| Table::new().into());
                inner.as_table_mut().into_iter().for_each(|inner| apply(inner, rest, change));
            }
        }
        return;
    };
    let section = section(change.at.get(..change.at.len() - rest.len()).unwrap_or_default());
    let by = section.ok().and_then(Section::named_by).map_or("", |key| key.name);
    let is_it = |table: &toml::Value| table.get(by).and_then(toml::Value::as_str) == Some(name);
    let all = root.entry(first.table.clone()).or_insert_with(|| Vec::<toml::Value>::new().into());
    let Some(all) = all.as_array_mut() else { return };
    match change.act {
        Act::Add if is_last => all.push(Table::from_iter([(by.to_owned(), name.as_str().into())]).into()),
        Act::Remove if is_last => all.retain(|table| !is_it(table)),
        _ => all.iter_mut().filter(|table| is_it(table)).for_each(|table| {
            table.as_table_mut().into_iter().for_each(|table| apply(table, rest, change));
        }),
    }
}

/// Without tables that hold nothing: an empty one says as much as none.
fn pruned(mut table: Table) -> Table {
    let keys: Vec<String> = table.keys().cloned().collect();
    for key in keys {
        let empty = match table.get_mut(&key) {
            Some(toml::Value::Table(inner)) => {
                *inner = pruned(std::mem::take(inner));
                inner.is_empty()
            }
            Some(toml::Value::Array(items)) => {
                let was = items.len();
                items.iter_mut().filter_map(toml::Value::as_table_mut).for_each(|it| *it = pruned(std::mem::take(it)));
                was == 0
            }
            _ => false,
        };
        if empty {
            table.remove(&key);
        }
    }
    table
}
