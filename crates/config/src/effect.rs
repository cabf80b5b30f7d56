//! What another configuration would change, by what is understood of both and not by how they are written.
//!
//! It never says what a change is good for: only what is different.

use std::collections::BTreeSet;

use toml::{Table, Value};

/// Characters of a value that are said.
const SAID: usize = 200;
/// What tells the tables of an array apart: the first of these that each of them has, and no two alike.
pub(crate) const NAMES: [&str; 11] =
    ["name", "path", "role", "key", "cert", "class", "who", "platform", "database", "relation", "names"];

/// One thing that would be different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The section, with the names of what it is about: `platform public, route /search/**`.
    pub place: String,
    /// The key; empty where the whole section comes or goes.
    pub key: String,
    /// What it was; empty where there was none, and where the whole section comes or goes.
    pub before: String,
    /// What it would be; empty likewise.
    pub after: String,
    /// Whether it comes, goes, or is another.
    pub kind: Kind,
}

/// What becomes of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
}

impl Kind {
    /// As programs are told.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// What is different between two configurations, each as [`show`](crate::show()) writes it.
#[must_use]
pub fn differences(before: &str, after: &str) -> Vec<Difference> {
    let read = |text: &str| text.parse::<Table>().unwrap_or_default();
    let mut found = Vec::new();
    tables("", &read(before), &read(after), &mut found);
    found
}

fn tables(place: &str, before: &Table, after: &Table, found: &mut Vec<Difference>) {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    // What a section says itself comes before what stands beneath it.
    let nested = |key: &&String| [before.get(*key), after.get(*key)].into_iter().flatten().any(is_nested);
    let (beneath, own): (Vec<_>, Vec<_>) = keys.into_iter().partition(nested);
    for key in own {
        let (was, is) = (before.get(key), after.get(key));
        if was != is {
            let kind = match (was, is) {
                (None, _) => Kind::Added,
                (_, None) => Kind::Removed,
                _ => Kind::Changed,
            };
            let said = |value: Option<&Value>| value.map(said).unwrap_or_default();
            let place = if place.is_empty() { key } else { place }.to_owned();
            found.push(Difference { place, key: key.clone(), before: said(was), after: said(is), kind });
        }
    }
    for key in beneath {
        let inner = if place.is_empty() { key.clone() } else { format!("{place}, {key}") };
        match (before.get(key), after.get(key)) {
            (Some(Value::Table(was)), Some(Value::Table(is))) => tables(&inner, was, is, found),
            (Some(Value::Table(_)), None) => found.push(whole(inner, Kind::Removed)),
            (None, Some(Value::Table(_))) => found.push(whole(inner, Kind::Added)),
            (was, is) => arrays(&inner, &members(was), &members(is), found),
        }
    }
}

/// Tables that are repeated: those of one name are compared, the others come or go.
fn arrays(place: &str, before: &[&Table], after: &[&Table], found: &mut Vec<Difference>) {
    let name = NAMES.iter().find(|name| tells_apart(name, before) && tells_apart(name, after));
    let called = |table: &Table| name.and_then(|name| table.get(*name)).map(plain);
    if name.is_none() {
        // Nothing names them: what is the same on both sides stays, whatever else is there comes or goes.
        let mut left: Vec<&Table> = after.to_vec();
        for was in before {
            match left.iter().position(|is| is == was) {
                Some(at) => drop(left.remove(at)),
                None => found.push(whole(place.to_owned(), Kind::Removed)),
            }
        }
        left.iter().for_each(|_| found.push(whole(place.to_owned(), Kind::Added)));
        return;
    }
    for was in before {
        let own = called(was);
        let inner = format!("{place} {}", own.clone().unwrap_or_default());
        match after.iter().find(|is| called(is) == own) {
            Some(is) => tables(&inner, was, is, found),
            None => found.push(whole(inner, Kind::Removed)),
        }
    }
    for is in after {
        let own = called(is);
        if !before.iter().any(|was| called(was) == own) {
            found.push(whole(format!("{place} {}", own.unwrap_or_default()), Kind::Added));
        }
    }
}

fn tells_apart(name: &str, tables: &[&Table]) -> bool {
    let names: Option<Vec<String>> = tables.iter().map(|table| table.get(name).map(plain)).collect();
    names.is_some_and(|names| names.iter().collect::<BTreeSet<_>>().len() == tables.len())
}

fn is_nested(value: &Value) -> bool {
    matches!(value, Value::Table(_)) || !members(Some(value)).is_empty()
}

fn members(value: Option<&Value>) -> Vec<&Table> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table).collect()
}

const fn whole(place: String, kind: Kind) -> Difference {
    Difference { place, key: String::new(), before: String::new(), after: String::new(), kind }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| said(value), str::to_owned)
}

fn said(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SAID) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "\
[server]
workers = 2
[[listener]]
name = \"http\"
bind = \"127.0.0.1:80\"
[[platform]]
name = \"public\"
hosts = [\"example.org\"]
[[platform.route]]
path = \"/search/**\"
class = \"search\"
[[platform.route.budget]]
who = \"session\"
over = \"hour\"
[[platform.route.budget]]
who = \"session\"
over = \"day\"
[[platform]]
name = \"shop\"
hosts = [\"shop.example.org\"]
";

    fn told(after: &str) -> Vec<(String, String, String, String, &'static str)> {
        let all = differences(BEFORE, after);
        all.into_iter().map(|it| (it.place, it.key, it.before, it.after, it.kind.name())).collect()
    }

    fn one(
        place: &str,
        key: &str,
        before: &str,
        after: &str,
        kind: &'static str,
    ) -> Vec<(String, String, String, String, &'static str)> {
        vec![(place.to_owned(), key.to_owned(), before.to_owned(), after.to_owned(), kind)]
    }

    #[test]
    fn each_change_is_told_where_it_is() {
        let shop = BEFORE.find("[[platform]]\nname = \"shop\"").expect("there");
        let (first, second) = BEFORE.split_at(shop);
        let cases = [
            (BEFORE.replace("workers = 2", "workers = 4"), one("server", "workers", "2", "4", "changed")),
            (BEFORE.replace("workers = 2\n", ""), one("server", "workers", "2", "", "removed")),
            (
                BEFORE.replace("\"search\"", "\"form\""),
                one("platform public, route /search/**", "class", "\"search\"", "\"form\"", "changed"),
            ),
            (
                BEFORE.replace("[\"example.org\"]", "[]"),
                one("platform public", "hosts", "[\"example.org\"]", "[]", "changed"),
            ),
            (first.to_owned(), one("platform shop", "", "", "", "removed")),
            (format!("{BEFORE}[console]\nlisten = \"x\"\n"), one("console", "", "", "", "added")),
            (
                BEFORE.replace("over = \"day\"\n", "over = \"day\"\n[[platform.route.budget]]\nwho = \"prefix\"\n"),
                one("platform public, route /search/**, budget", "", "", "", "added"),
            ),
            (BEFORE.replace("name = \"http\"", "name = \"web\""), {
                let mut both = one("listener http", "", "", "", "removed");
                both.extend(one("listener web", "", "", "", "added"));
                both
            }),
        ];
        for (after, expected) in cases {
            assert_eq!(told(&after), expected, "{after}");
        }
        // What is only written elsewhere is no change.
        assert_eq!(told(&format!("# words\n{}", BEFORE.replace("workers = 2", "workers   = 2"))), []);
        let turned = format!("{second}{}", first.replace("[server]\nworkers = 2\n", "")) + "[server]\nworkers = 2\n";
        assert_eq!(told(&turned), []);
    }

    #[test]
    fn a_long_value_is_said_in_part() {
        let long = |word: &str| format!("[list]\nnetworks = [\"{}\"]\n", word.repeat(300));
        let all = differences(&long("a"), &long("b"));
        assert!(all.iter().all(|it| it.before.chars().count() == SAID + 1 && it.after.ends_with('…')), "{all:?}");
        assert_eq!(all.len(), 1);
    }
}
