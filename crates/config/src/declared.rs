//! What may be declared, as data: every table and key of the schema, for whoever makes a form of them.

use crate::kind::Kind;
use crate::schema::{Fallback, Key, ROOT, Section};

/// Tables at the top and keys of theirs with which somebody can act in the organisation's name: neither a form nor the text shows them to everybody.
pub const SECRET: [(&str, &str); 1] = [("alert", "url")];

/// A table that there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its keys from the top, with dots.
    pub path: &'static str,
    /// Whether it may come several times.
    pub many: bool,
    /// Of one that does: the key that tells it from the others.
    pub named_by: Option<&'static str>,
    /// What it is for.
    pub doc: &'static str,
    /// Its own keys.
    pub keys: Vec<DeclaredKey>,
}

/// A key that there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredKey {
    /// Its name.
    pub name: &'static str,
    /// The kind of what it holds, in a word; of a list, of its entries.
    pub kind: &'static str,
    /// Whether it is a list.
    pub list: bool,
    /// What it takes, in words.
    pub takes: String,
    /// What there is to choose from.
    pub choices: Vec<&'static str>,
    /// The units of a quantity.
    pub units: Vec<&'static str>,
    /// The least and the most of a count.
    pub range: Option<(u64, u64)>,
    /// Whether it must be given.
    pub must: bool,
    /// What holds without it.
    pub default: Option<String>,
    /// What happens without it, in words.
    pub otherwise: Option<&'static str>,
    /// Whether no form shows it.
    pub secret: bool,
    /// A value, as the file would have it.
    pub example: String,
    /// What it is for.
    pub doc: &'static str,
}

/// Every table that there may be, those around before those within.
#[must_use]
pub fn declared() -> Vec<Declared> {
    let mut all = Vec::new();
    ROOT.sections.iter().for_each(|section| tables(section, &mut all));
    all
}

fn tables(section: &'static Section, all: &mut Vec<Declared>) {
    let &Section { path, many, doc, .. } = section;
    let keys = section.keys.iter().map(|it| key(path, it)).collect();
    all.push(Declared { path, many, named_by: section.named_by().map(|key| key.name), doc, keys });
    section.sections.iter().for_each(|inner| tables(inner, all));
}

fn key(path: &str, key: &Key) -> DeclaredKey {
    let (list, kind) = if let Kind::List(kind) = key.kind { (true, *kind) } else { (false, key.kind) };
    let (default, otherwise) = match &key.default {
        Fallback::Must => (None, None),
        // The only list that is a default is the empty one.
        Fallback::Is(_) if list => (None, None),
        Fallback::Is(text) => (Some(text.clone()), None),
        Fallback::Or(words) => (None, Some(*words)),
    };
    DeclaredKey {
        name: key.name,
        kind: kind.word(),
        list,
        takes: key.kind.describe(),
        choices: if let Kind::Choice(words) = kind { words.to_vec() } else { Vec::new() },
        units: kind.units(),
        range: if let Kind::Count(least, most) = kind { Some((least, most)) } else { None },
        must: key.default == Fallback::Must,
        default,
        otherwise,
        secret: SECRET.contains(&(path, key.name)),
        example: key.example.clone(),
        doc: key.doc,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_told_what_the_reader_knows() {
        let all = declared();
        let key = |path: &str, name: &str| {
            let table = all.iter().find(|table| table.path == path).unwrap_or_else(|| panic!("{path}"));
            table.keys.iter().find(|key| key.name == name).cloned().unwrap_or_else(|| panic!("{path} {name}"))
        };
        let workers = key("server", "workers");
        assert_eq!((workers.kind, workers.range, workers.otherwise), ("count", Some((1, 1024)), Some("one per core")));
        let hosts = key("platform", "hosts");
        assert_eq!((hosts.kind, hosts.list, hosts.must, hosts.default), ("host", true, true, None));
        let group = key("alert", "group");
        assert_eq!((group.kind, group.units.contains(&"m"), group.default.as_deref()), ("quantity", true, Some("1m")));
        assert_eq!(key("console", "approvals").choices.len(), crate::APPROVALS.len());
        // Of everything that there is, one key is a secret itself; what names a file is none.
        let secrets = all.iter().flat_map(|table| table.keys.iter().filter(|key| key.secret).map(|key| key.name));
        assert_eq!(secrets.collect::<Vec<_>>(), ["url"]);
        let named = |path: &str| all.iter().find(|table| table.path == path).and_then(|table| table.named_by);
        assert_eq!(
            ["platform", "platform.route", "server", "integrity.canary"].map(named),
            [Some("name"), Some("path"), None, None]
        );
    }
}
