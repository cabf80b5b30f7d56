//! Where in a text its tables and keys stand, and which of them a place names.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{Fault, Given, Named, fault, not_toml};
use crate::schema::{ROOT, Section};

type Spanned<T> = toml::Spanned<T>;

/// A table as it is written, for whoever shows it in a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Which.
    pub at: Vec<Named>,
    /// The keys that the schema has, with what is given for each.
    pub keys: Vec<(String, Given)>,
}

/// A table where it stands.
pub(super) struct Spot<'a> {
    pub(super) table: &'a DeTable<'a>,
    pub(super) form: Form,
}

/// How a table is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// The whole text.
    Root,
    /// Under a header.
    Header(Range<usize>),
    /// In braces.
    Inline(Range<usize>),
    /// By keys with dots, or by headers beneath it alone.
    Dotted,
}

pub(super) fn document(text: &str) -> Result<Spanned<DeTable<'_>>, Fault> {
    DeTable::parse(text).map_err(|_| not_toml())
}

/// The tables on the way to a place, the whole text first, as far as they are there; and how many of the place's that are.
pub(super) fn walk<'a>(root: &'a DeTable<'a>, text: &str, at: &[Named]) -> Result<(Vec<Spot<'a>>, usize), Fault> {
    let (mut spots, mut section) = (vec![Spot { table: root, form: Form::Root }], &ROOT);
    for (index, step) in at.iter().enumerate() {
        let (Some(around), Some(inner)) = (spots.last(), section.section(&step.table)) else { return Err(not_toml()) };
        let mut fitting = around.siblings(text, &step.table);
        if let (Some(name), Some(by)) = (&step.name, inner.named_by()) {
            fitting.retain(|spot| spot.table.get(by.name).and_then(|it| it.get_ref().as_str()) == Some(name));
            if fitting.len() > 1 {
                let message = format!("there are {} of `{}` with the name `{name}`", fitting.len(), inner.header());
                return fault(message, "change them in the whole text");
            }
        }
        let Some(found) = fitting.pop() else { return Ok((spots, index)) };
        spots.push(found);
        section = inner;
    }
    Ok((spots, at.len()))
}

impl<'a> Spot<'a> {
    fn of(value: &'a Spanned<DeValue<'a>>, text: &str) -> Option<Self> {
        let (table, span) = (value.get_ref().as_table()?, value.span());
        let form = match text.as_bytes().get(span.start) {
            Some(b'[') => Form::Header(span),
            Some(b'{') => Form::Inline(span),
            _ => Form::Dotted,
        };
        Some(Self { table, form })
    }

    /// The tables of that key in this one: one, or those of an array.
    pub(super) fn siblings(&self, text: &str, key: &str) -> Vec<Self> {
        let Some(value) = self.table.get(key) else { return Vec::new() };
        let several = value.get_ref().as_array().into_iter().flatten();
        Self::of(value, text).into_iter().chain(several.filter_map(|item| Self::of(item, text))).collect()
    }

    /// Everything that has a header beneath it, with that header.
    pub(super) fn headers(&self, text: &str) -> Vec<(Range<usize>, Self)> {
        let mut all = Vec::new();
        for (name, _) in self.table {
            for spot in self.siblings(text, name.get_ref()) {
                all.extend(spot.headers(text));
                if let Form::Header(header) = &spot.form {
                    all.push((header.clone(), spot));
                }
            }
        }
        all
    }

    /// The values that are written as its own, with dots or without.
    pub(super) fn own(&self, text: &str) -> Vec<Range<usize>> {
        let mut all = Vec::new();
        for (name, value) in self.table {
            let spots = self.siblings(text, name.get_ref());
            match spots.first().map(|spot| &spot.form) {
                Some(Form::Dotted) => all.extend(spots.iter().flat_map(|spot| spot.own(text))),
                Some(Form::Header(_)) => {}
                _ => all.push(value.span()),
            }
        }
        all
    }

    /// Behind the last of its own values, or its header; nowhere where it has neither.
    pub(super) fn own_end(&self, text: &str) -> Option<usize> {
        let header = if let Form::Header(header) = &self.form { Some(header.end) } else { None };
        self.own(text).into_iter().map(|value| value.end).chain(header).max()
    }

    /// Behind everything in it; of the whole text, its end.
    pub(super) fn extent_end(&self, text: &str) -> usize {
        if self.form == Form::Root {
            return text.len();
        }
        let beneath = self.headers(text).into_iter().filter_map(|(_, spot)| spot.own_end(text));
        beneath.chain(self.own_end(text)).max().unwrap_or(text.len())
    }
}

/// Every table that the schema has and a place can name, as it is written, in the order of the schema; nothing where the text is no
/// TOML. Of two that have one name neither can be changed by it, and neither is told.
#[must_use]
pub fn written(text: &str) -> Option<Vec<Written>> {
    let document = document(text).ok()?;
    let mut all = Vec::new();
    each(&ROOT, &Spot { table: document.get_ref(), form: Form::Root }, text, &[], &mut |spot, section, at| {
        let given = |key: &str| spot.table.get(key).and_then(|value| given(value.get_ref()));
        let keys = section.keys.iter().filter_map(|key| Some((key.name.to_owned(), given(key.name)?))).collect();
        all.push(Written { at: at.to_vec(), keys });
    });
    Some(all)
}

/// What stands at these bytes of the text: of each which table, and which of its keys. Nothing where it is none that the schema has.
#[must_use]
pub fn places(text: &str, bytes: &[usize]) -> Vec<Option<(Vec<Named>, String)>> {
    let mut found = vec![None; bytes.len()];
    let Ok(document) = document(text) else { return found };
    let root = Spot { table: document.get_ref(), form: Form::Root };
    each(&ROOT, &root, text, &[], &mut |spot, section, at| {
        let whole =
            if let Form::Header(span) | Form::Inline(span) = &spot.form { Some((span.clone(), "")) } else { None };
        let keys = spot
            .table
            .iter()
            .filter_map(|(name, value)| Some((name.span().start..value.span().end, section.key(name.get_ref())?.name)));
        for (span, key) in whole.into_iter().chain(keys) {
            let stands = bytes.iter().zip(&mut found).filter(|(byte, _)| span.contains(byte));
            stands.for_each(|(_, found)| *found = Some((at.to_vec(), key.to_owned())));
        }
    });
    found
}

type Visit<'v> = dyn FnMut(&Spot<'_>, &'static Section, &[Named]) + 'v;

/// Visits each table that a place can name, those around it first.
fn each(section: &'static Section, spot: &Spot<'_>, text: &str, at: &[Named], visit: &mut Visit<'_>) {
    for inner in section.sections.iter().copied() {
        let called = |spot: &Spot<'_>| {
            let by = inner.named_by()?.name;
            spot.table.get(by)?.get_ref().as_str().map(str::to_owned)
        };
        let all: Vec<_> = spot.siblings(text, inner.name()).into_iter().map(|spot| (called(&spot), spot)).collect();
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        all.iter().filter_map(|(name, _)| name.as_deref()).for_each(|name| *times.entry(name).or_default() += 1);
        for (name, below) in &all {
            if inner.many && name.as_deref().and_then(|name| times.get(name)) != Some(&1) {
                continue;
            }
            let name = name.clone().filter(|_| inner.many);
            let at = [at, &[Named { table: inner.name().to_owned(), name }]].concat();
            visit(below, inner, &at);
            each(inner, below, text, &at, visit);
        }
    }
}

/// What is given there; nothing where it is a table, or a number that is too large.
pub(super) fn given(value: &DeValue<'_>) -> Option<Given> {
    Some(match value {
        DeValue::Boolean(flag) => Given::Flag(*flag),
        DeValue::Integer(number) => Given::Number(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::String(text) => Given::Text(text.to_string()),
        DeValue::Float(number) => Given::Text(number.as_str().to_owned()),
        DeValue::Datetime(moment) => Given::Text(moment.to_string()),
        DeValue::Array(items) => Given::List(items.iter().filter_map(|item| given(item.get_ref())).collect()),
        DeValue::Table(_) => return None,
    })
}
