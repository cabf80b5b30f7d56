//! What shows the rows of which relation: views, views over views, partitions, as the server's own catalogue has it.
//!
//! Never asks the server: what it said goes in. An object's number holds for one database inside the server only, so it is asked
//! together with the database's name.

use std::collections::{BTreeMap, BTreeSet};

use crate::description::Described;

/// Relations of one database that are kept; beyond it nothing is known of the others.
pub const RELATIONS: usize = 200_000;
/// Relations that show others' rows, kept by name.
pub const SHOWING: usize = 10_000;

/// What the catalogue of one database says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lineage {
    inside: Box<str>,
    /// Every relation there is.
    all: BTreeSet<u32>,
    /// Those that hold or show what is sensitive.
    sensitive: BTreeSet<u32>,
    /// By the name of a relation as it is declared: what shows its rows, as `schema.name`.
    showing: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// By the name of a relation as it is declared: functions whose bodies name it.
    functions: BTreeMap<Box<str>, Vec<Box<str>>>,
}

/// One relation that shows the rows of a declared one, or is it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shows {
    /// As it is declared.
    pub declared: Box<str>,
    /// The relation's object.
    pub object: u32,
    /// Its schema.
    pub schema: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

/// A function whose body names a declared relation, or one that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// As the relation is declared.
    pub declared: Box<str>,
    /// The function's name, without its schema.
    pub name: Box<str>,
}

impl Lineage {
    /// What the catalogue of the database `inside` says. Of relations declared as `sensitive` the objects are known; budgets of
    /// others are by name alone.
    #[must_use]
    pub fn new(
        inside: &str,
        all: impl IntoIterator<Item = u32>,
        shows: Vec<Shows>,
        calls: Vec<Calls>,
        sensitive: &[Box<str>],
    ) -> Self {
        let mut lineage =
            Self { inside: inside.into(), all: all.into_iter().take(RELATIONS).collect(), ..Self::default() };
        for Shows { declared, object, schema, name } in shows.into_iter().take(SHOWING) {
            if sensitive.contains(&declared) {
                lineage.sensitive.insert(object);
            }
            lineage.showing.entry(declared).or_default().push(format!("{schema}.{name}").into());
        }
        for Calls { declared, name } in calls.into_iter().take(SHOWING) {
            lineage.functions.entry(declared).or_default().push(name);
        }
        lineage
    }

    /// What still holds when the catalogue could not be read again: what was sensitive is; what was not may be by now.
    #[must_use]
    pub fn doubted(&self) -> Self {
        Self { all: BTreeSet::new(), ..self.clone() }
    }

    /// Whether a result's column, which comes from this object, is sensitive; `None` where nothing is known of it.
    #[must_use]
    pub fn is_sensitive(&self, inside: &str, object: u32) -> Option<bool> {
        if *self.inside != *inside {
            return None;
        }
        // What the catalogue did not have yet when it was read may be anything.
        self.sensitive.contains(&object).then_some(true).or_else(|| self.all.contains(&object).then_some(false))
    }

    /// Whether a statement reads a declared relation: by its name, through what shows it, or in a function that names it.
    #[must_use]
    pub fn reads(&self, statement: &Described, declared: &str) -> bool {
        let any = |names: Option<&Vec<Box<str>>>, is: &dyn Fn(&str) -> bool| {
            names.is_some_and(|names| names.iter().any(|name| is(name)))
        };
        statement.reads(declared)
            || any(self.showing.get(declared), &|name| statement.reads(name))
            || any(self.functions.get(declared), &|name| statement.calls(name))
    }

    /// How many relations show rows of declared ones, and how many functions name one.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let sum = |all: &BTreeMap<Box<str>, Vec<Box<str>>>| all.values().map(Vec::len).sum();
        (sum(&self.showing), sum(&self.functions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::{Deed, Relation};
    use crate::reach::Reach;

    fn statement(relations: &[&str], facts: &[&str]) -> Described {
        let relation = |name: &&str| Relation { schema: "".into(), name: (*name).into(), written: false };
        Described {
            fingerprint: 1,
            form: "".into(),
            facts: facts.iter().map(|fact| (*fact).into()).collect(),
            reach: Reach::default(),
            kinds: vec![],
            relations: relations.iter().map(relation).collect(),
            parameters: vec![],
            deed: Deed::None,
        }
    }

    #[test]
    fn a_view_over_a_view_and_a_function_show_what_they_are_made_of() {
        let shows = |declared: &str, object, name: &str| Shows {
            declared: declared.into(),
            object,
            schema: "public".into(),
            name: name.into(),
        };
        let shown = vec![shows("members", 10, "members"), shows("members", 11, "people"), shows("news", 12, "news")];
        let calls = vec![Calls { declared: "members".into(), name: "find_member".into() }];
        let lineage = Lineage::new("live", [10, 11, 12, 13], shown, calls, &["members".into()]);
        assert!(lineage.reads(&statement(&["people"], &[]), "members"));
        assert!(lineage.reads(&statement(&["members"], &[]), "members"));
        assert!(lineage.reads(&statement(&[], &["calls public.find_member"]), "members"));
        assert!(lineage.reads(&statement(&[], &["calls find_member"]), "members"));
        assert!(!lineage.reads(&statement(&["news"], &["calls find_members"]), "members"));
        for (object, expected) in [(10, Some(true)), (11, Some(true)), (12, Some(false)), (13, Some(false)), (14, None)]
        {
            assert_eq!(lineage.is_sensitive("live", object), expected, "{object}");
        }
        assert_eq!(lineage.is_sensitive("test", 10), None, "another database has other objects");
        let doubted = lineage.doubted();
        assert_eq!((doubted.is_sensitive("live", 11), doubted.is_sensitive("live", 12)), (Some(true), None));
        assert!(doubted.reads(&statement(&["people"], &[]), "members"));
        // Before anything was asked, names are all there is.
        assert!(!Lineage::default().reads(&statement(&["people"], &[]), "members"));
        assert_eq!(Lineage::default().is_sensitive("live", 10), None);
    }
}
