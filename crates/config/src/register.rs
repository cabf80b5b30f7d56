//! Whose gate it is, and the register of every copy of personal data with every path to it: the keys of `[organisation]` and
//! `[[copies]]`.
//!
//! It is what the assessment of an incident is about: nothing is claimed of a copy that is not named here.

use crate::check::{Check, Claims};
use crate::draft::Draft;
use crate::kind::Value;

/// Who answers for the gate, as reports name them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Organisation {
    /// Its name; empty where none was declared.
    pub name: String,
    /// What it is.
    pub sector: String,
    /// `en` or `da`: the language of the notice to members that comes first.
    pub language: String,
    /// Where members can ask.
    pub page: String,
    /// Whom authorities can ask.
    pub contacts: Vec<Contact>,
}

/// Somebody to ask.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contact {
    /// Their name.
    pub name: String,
    /// What they do.
    pub role: String,
    /// An address outside of what is attacked.
    pub email: String,
    /// A number.
    pub phone: String,
}

/// A copy of personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Its name.
    pub name: String,
    /// `web`, `database`, `side-copy`, `processor`, `credentials`.
    pub what: String,
    /// Who holds it.
    pub holder: String,
    /// What is in it, in the words of the ICO's form.
    pub categories: Vec<String>,
    /// How many people it is about; 0 where that is not known.
    pub people: u64,
    /// Ways to it.
    pub paths: Vec<Way>,
}

/// A way to a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// `http/public`, `database/members`, or a name of its own.
    pub name: String,
    /// What it is.
    pub words: String,
    /// `guarded`, `attested`, `unguarded`.
    pub custody: String,
    /// Who must watch for it to be covered.
    pub sensors: Vec<String>,
}

/// What a copy is.
pub(crate) const COPIES: &[&str] = &["web", "database", "side-copy", "processor", "credentials"];
/// How a path is watched.
pub(crate) const CUSTODY: &[&str] = &["guarded", "attested", "unguarded"];
/// What the ICO's form tells apart.
pub(crate) const CATEGORIES: &[&str] = &[
    "basic-identifiers",
    "credentials",
    "financial",
    "political-opinions",
    "trade-union",
    "ethnic",
    "religion",
    "sex-life",
    "orientation",
    "gender-reassignment",
    "health",
    "official-documents",
    "location",
    "genetic-biometric",
    "criminal",
    "not-yet-known",
    "other",
];
/// What a contact does.
pub(crate) const ROLES: &[&str] = &["lead", "technical", "data-protection-officer", "press"];

impl Check<'_> {
    pub(crate) fn organisation(&mut self, draft: &Draft) -> Organisation {
        let contact = |draft: &Draft| Contact {
            name: draft.string("name"),
            role: draft.string("role"),
            email: draft.string("email"),
            phone: draft.string("phone"),
        };
        Organisation {
            name: draft.string("name"),
            sector: draft.string("sector"),
            language: draft.string("language"),
            page: draft.string("page"),
            contacts: draft.tables("contact").iter().map(contact).collect(),
        }
    }

    pub(crate) fn copies(&mut self, root: &Draft) -> Vec<Copy> {
        let mut names = Claims::new();
        let mut copies = Vec::new();
        for draft in root.tables("copies") {
            let name = draft.string("name");
            if draft.given("name") {
                let message = format!("two copies are called `{name}`");
                self.once("duplicate-copy", &mut names, name.clone(), draft.at("name"), message, "first here");
            }
            let paths: Vec<Way> = draft.tables("path").iter().map(way).collect();
            if paths.is_empty() {
                let message = format!("no path leads to `{name}`: nothing can be said of it");
                self.problems.warning("copy-without-path", draft.at("name"), message).hint("add [[copies.path]]");
            }
            let texts = |key| draft.list(key, text).into_iter().map(|(_, text)| text.to_owned()).collect();
            copies.push(Copy {
                name,
                what: draft.string("what"),
                holder: draft.string("holder"),
                categories: texts("categories"),
                people: draft.number("people").unwrap_or_default(),
                paths,
            });
        }
        copies
    }
}

fn way(draft: &Draft) -> Way {
    let name = draft.string("name");
    let custody = draft.string("custody");
    let given: Vec<String> = draft.list("sensors", text).into_iter().map(|(_, text)| text.to_owned()).collect();
    // What the gate or a sensor watches beats under the path's own name.
    let own = || if custody == "guarded" { vec![name.clone()] } else { Vec::new() };
    Way { sensors: if draft.given("sensors") { given } else { own() }, words: draft.string("words"), custody, name }
}

fn text(value: &Value) -> Option<&str> {
    if let Value::Text(text) = value { Some(text) } else { None }
}
