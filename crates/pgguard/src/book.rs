//! The book of a database: which statements each role was seen to run from where, and which of them a person approved.
//!
//! Text that a person can read, compare and edit ([`Book::write`], [`Book::read`]); it never holds a constant of a statement
//! that could be personal: forms have `?` in their place.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::description::{Described, FACTS, print, word};
use crate::reach::Reach;

/// Statements that the book of one database holds. What would be one more is counted and not learned.
pub const ENTRIES: usize = 20_000;
/// Of these, how many may be ones that nobody asked to learn: seen while a role was held to what is approved.
pub const STRANGERS: usize = 2_000;
/// Longest book that is read.
pub const BOOK_BYTES: usize = 64 * 1024 * 1024;
/// Stands for every client in an entry that a person wrote so.
pub const ANY: &str = "*";

/// How a role's statements are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Only what is always refused is looked at.
    #[default]
    Observe,
    /// What comes is written into the book.
    Learn,
    /// What is not approved is unknown.
    Enforce,
}

/// Who runs statements, as far as the book tells them apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// The role of the session.
    pub role: Arc<str>,
    /// The client's network: /24 of IPv4, /56 of IPv6; or [`ANY`].
    pub client: Arc<str>,
}

/// One statement in the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// For people.
    pub form: Box<str>,
    /// libpg_query's fingerprint.
    pub fingerprint: u64,
    /// What the fingerprint leaves out.
    pub facts: Vec<Box<str>>,
    /// How far it was seen to reach.
    pub seen: Reach,
    /// How far it may reach, once it is approved.
    pub approved: Option<Reach>,
    /// Whether it came while the role was learning; otherwise it was refused, or would have been.
    pub learned: bool,
    /// When it was first seen, in seconds since 1970.
    pub first: u64,
}

/// What the book says of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Approved, and it reaches no further than it may.
    Approved,
    /// The statement is approved and this one reaches further; in words.
    Further(String),
    /// The same statement is known with other facts; in words, what is new.
    Otherwise(String),
    /// Nothing like it is approved.
    Unknown,
}

/// The book of one database.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Book {
    stages: BTreeMap<Arc<str>, Stage>,
    pages: BTreeMap<Who, BTreeMap<u64, Entry>>,
    entries: usize,
    strangers: usize,
    /// Statements that did not fit.
    pub lost: u64,
    /// One more with each change that can change a verdict.
    generation: u64,
    /// One more with each change that the file does not have yet.
    changes: u64,
}

impl Who {
    /// Who runs the statements of a session.
    #[must_use]
    pub fn new(role: &str, client: IpAddr) -> Self {
        let client = match client.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(address) => format!("{}/56", std::net::Ipv6Addr::from(u128::from(address) >> 72 << 72)),
        };
        Self { role: word(role).into(), client: client.into() }
    }
}

/// The number under which a statement stands in the book: fingerprint and facts in one.
#[must_use]
pub fn key(fingerprint: u64, facts: &[Box<str>]) -> u64 {
    let text = facts.iter().fold(format!("{fingerprint:016x}"), |text, fact| text + "\n" + fact);
    u64::from_str_radix(print(&text).get(..16).unwrap_or_default(), 16).unwrap_or_default()
}

impl Book {
    /// How a role stands.
    #[must_use]
    pub fn stage(&self, role: &str) -> Stage {
        self.stages.get(role).or_else(|| self.stages.get(ANY)).copied().unwrap_or_default()
    }

    /// Every role with a stage of its own.
    pub fn stages(&self) -> impl Iterator<Item = (&str, Stage)> {
        self.stages.iter().map(|(role, stage)| (&**role, *stage))
    }

    /// Moves a role to a stage; [`ANY`] is every role without one of its own.
    pub fn set_stage(&mut self, role: &str, stage: Stage) {
        self.stages.insert(word(role).into(), stage);
        self.changed();
    }

    /// Verdicts made under another number may no longer hold.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Changes so far, to tell whether the file has them all.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Every statement, by who runs it.
    pub fn entries(&self) -> impl Iterator<Item = (&Who, u64, &Entry)> {
        self.pages.iter().flat_map(|(who, page)| page.iter().map(move |(key, entry)| (who, *key, entry)))
    }

    /// What the book says of a statement that reaches so far.
    #[must_use]
    pub fn standing(&self, who: &Who, key: u64, statement: &Described, reach: &Reach) -> Standing {
        let anyone = Who { role: Arc::clone(&who.role), client: ANY.into() };
        let pages = || [self.pages.get(who), self.pages.get(&anyone)].into_iter().flatten();
        let mut further = None;
        for approved in pages().filter_map(|page| page.get(&key)).filter_map(|entry| entry.approved.as_ref()) {
            if approved.covers(reach) {
                return Standing::Approved;
            }
            further = Some(approved.excess(reach));
        }
        if let Some(words) = further {
            return Standing::Further(words);
        }
        let alike = |entry: &&Entry| entry.approved.is_some() && entry.fingerprint == statement.fingerprint;
        match pages().flat_map(BTreeMap::values).find(alike) {
            Some(known) => Standing::Otherwise(differing(&known.facts, &statement.facts)),
            None => Standing::Unknown,
        }
    }

    /// Takes a statement down as seen, with how far it reaches. Says whether that was news.
    pub fn note(&mut self, who: &Who, key: u64, statement: &Described, reach: &Reach, learned: bool, now: u64) -> bool {
        let known = self.pages.get_mut(who).and_then(|page| page.get_mut(&key));
        let news = match known {
            Some(entry) => {
                let promoted = learned && !entry.learned;
                if promoted {
                    entry.learned = true;
                    self.strangers = self.strangers.saturating_sub(1);
                }
                entry.seen.widen(reach) || promoted
            }
            None if self.entries >= ENTRIES || !learned && self.strangers >= STRANGERS => {
                self.lost = self.lost.saturating_add(1);
                return false;
            }
            None => {
                let entry = Entry {
                    form: statement.form.clone(),
                    fingerprint: statement.fingerprint,
                    facts: statement.facts.clone(),
                    seen: reach.clone(),
                    approved: None,
                    learned,
                    first: now,
                };
                self.pages.entry(who.clone()).or_default().insert(key, entry);
                self.entries += 1;
                self.strangers += usize::from(!learned);
                true
            }
        };
        self.changes += u64::from(news);
        news
    }

    /// Approves what a role was seen to run while it learned, or the one statement of that number even if it was refused.
    /// Returns how many statements are approved, or reach further, than before.
    pub fn approve(&mut self, role: Option<&str>, only: Option<u64>) -> usize {
        let mut count = 0;
        for (who, page) in &mut self.pages {
            if role.is_some_and(|role| role != &*who.role) {
                continue;
            }
            for (key, entry) in page {
                let meant = only.map_or(entry.learned, |only| only == *key);
                if meant && entry.waits() {
                    entry.approved.get_or_insert_default().widen(&entry.seen);
                    if !std::mem::replace(&mut entry.learned, true) {
                        self.strangers = self.strangers.saturating_sub(1);
                    }
                    count += 1;
                }
            }
        }
        if count > 0 {
            self.changed();
        }
        count
    }

    /// For each role, and for each statement of it that waits for a person: a number that stands for exactly what [`Book::approve`]
    /// would approve now. It is another as soon as that is.
    #[must_use]
    pub fn marks(&self) -> BTreeMap<(Arc<str>, Option<u64>), u64> {
        let mut marks = BTreeMap::new();
        for (who, number, entry) in self.entries().filter(|(_, _, entry)| entry.waits()) {
            let reach: Vec<String> = entry.seen.measures().map(|(name, band)| format!("{name} {band}")).collect();
            let line = format!("{} {number:016x} {}", who.client, reach.join(","));
            for only in [Some(Some(number)), entry.learned.then_some(None)].into_iter().flatten() {
                let mark: &mut u64 = marks.entry((Arc::clone(&who.role), only)).or_default();
                *mark = key(*mark, &[line.as_str().into()]);
            }
        }
        marks
    }

    fn changed(&mut self) {
        self.generation += 1;
        self.changes += 1;
    }
}

impl Entry {
    /// Whether a person has something to decide about it.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.approved.as_ref().is_none_or(|approved| !approved.covers(&self.seen))
    }
}

/// Facts of the one and not of the other, in words.
fn differing(known: &[Box<str>], new: &[Box<str>]) -> String {
    let only = |one: &[Box<str>], other: &[Box<str>]| {
        let those = one.iter().filter(|fact| !other.contains(fact));
        those.map(|fact| format!("`{fact}`")).collect::<Vec<_>>().join(", ")
    };
    match (only(new, known), only(known, new)) {
        (new, old) if new.is_empty() => format!("without {old}"),
        (new, old) if old.is_empty() => format!("with {new}"),
        (new, old) => format!("with {new} instead of {old}"),
    }
}

// The file. TOML, because people read and compare it: one `[[statement]]` each, sorted, so that a change is a change of few lines.

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    stages: BTreeMap<String, Stage>,
    #[serde(default, rename = "statement")]
    statements: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    role: String,
    client: String,
    /// Only for people: it follows from the rest.
    #[serde(default)]
    key: String,
    form: String,
    fingerprint: String,
    #[serde(default)]
    facts: Vec<String>,
    #[serde(default)]
    seen: BTreeMap<String, u8>,
    approved: Option<BTreeMap<String, u8>>,
    #[serde(default)]
    refused: bool,
    first: u64,
}

impl Book {
    /// The book as text.
    #[must_use]
    pub fn write(&self) -> String {
        let measures = |reach: &Reach| reach.measures().map(|(name, band)| (name.to_owned(), band)).collect();
        let statements = self.entries().map(|(who, key, entry)| Line {
            role: who.role.to_string(),
            client: who.client.to_string(),
            key: format!("{key:016x}"),
            form: entry.form.to_string(),
            fingerprint: format!("{:016x}", entry.fingerprint),
            facts: entry.facts.iter().map(ToString::to_string).collect(),
            seen: measures(&entry.seen),
            approved: entry.approved.as_ref().map(measures),
            refused: !entry.learned,
            first: entry.first,
        });
        let stages = self.stages.iter().map(|(role, stage)| (role.to_string(), *stage)).collect();
        let text = toml::to_string(&Written { stages, statements: statements.collect() }).unwrap_or_default();
        format!("{HEAD}{text}")
    }

    /// A book from its text.
    ///
    /// # Errors
    /// What is wrong with it, in words. Nothing of a book that is wrong somewhere is taken.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > BOOK_BYTES {
            return Err(format!("longer than {BOOK_BYTES} bytes"));
        }
        let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
        if written.statements.len() > ENTRIES {
            return Err(format!("more than {ENTRIES} statements"));
        }
        let stages = written.stages.into_iter().map(|(role, stage)| (role.into(), stage)).collect();
        let mut book = Self { stages, ..Self::default() };
        for line in written.statements {
            let fingerprint = u64::from_str_radix(&line.fingerprint, 16)
                .map_err(|_| format!("`{}` is no fingerprint", line.fingerprint))?;
            let mut facts: Vec<Box<str>> = line.facts.into_iter().map(Into::into).collect();
            facts.sort_unstable();
            facts.dedup();
            if facts.len() > FACTS {
                return Err(format!("`{}` has more than {FACTS} facts", line.form));
            }
            let reach = |measures: &BTreeMap<String, u8>| {
                let mut reach = Reach::default();
                measures.iter().for_each(|(name, band)| reach.raise(name, *band));
                reach
            };
            let entry = Entry {
                form: line.form.into(),
                fingerprint,
                seen: reach(&line.seen),
                approved: line.approved.as_ref().map(reach),
                learned: !line.refused,
                first: line.first,
                facts,
            };
            book.strangers += usize::from(line.refused);
            let who = Who { role: line.role.into(), client: line.client.into() };
            let before = book.pages.entry(who).or_default().insert(key(fingerprint, &entry.facts), entry);
            book.entries += usize::from(before.is_none());
        }
        Ok(book)
    }
}

const HEAD: &str = "\
# What applications were seen to run on this database, and what of it may run. `portcullis pg show` explains it.
# Written by the gate; edit it while no gate runs. `client = \"*\"` is every client. `approved` says how far a statement may
# reach; without it nobody approved the statement.

";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::Deed;
    use crate::reach;

    fn statement(fingerprint: u64, facts: &[&str], rows: i64) -> Described {
        let mut reached = Reach::default();
        reached.raise("rows", reach::rows(rows));
        Described {
            fingerprint,
            form: "SELECT \"é\" FROM members WHERE a = ? LIMIT ?".into(),
            facts: facts.iter().map(|fact| (*fact).into()).collect(),
            reach: reached,
            kinds: vec![],
            relations: vec![],
            parameters: vec![],
            deed: Deed::None,
        }
    }

    fn note(book: &mut Book, who: &Who, statement: &Described, learned: bool) -> bool {
        book.note(
            who,
            key(statement.fingerprint, &statement.facts),
            statement,
            &statement.reach,
            learned,
            1_700_000_000,
        )
    }

    fn standing(book: &Book, who: &Who, statement: &Described) -> Standing {
        book.standing(who, key(statement.fingerprint, &statement.facts), statement, &statement.reach)
    }

    fn app() -> Who {
        Who::new("app", IpAddr::from([10, 1, 2, 3]))
    }

    #[test]
    fn a_mark_stands_for_what_would_be_approved_and_for_nothing_else() {
        let (mut book, app) = (Book::default(), app());
        let mark = |book: &Book, only| book.marks().get(&("app".into(), only)).copied();
        let (one, other) = (statement(1, &[], 10), statement(2, &[], 10));
        let (first, second) = (key(1, &[]), key(2, &[]));
        assert_eq!(mark(&book, None), None, "nothing waits");
        note(&mut book, &app, &one, true);
        let (all, its) = (mark(&book, None), mark(&book, Some(first)));
        assert!(all.is_some() && its.is_some());
        note(&mut book, &app, &one, true);
        assert_eq!((mark(&book, None), mark(&book, Some(first))), (all, its), "the same again");
        note(&mut book, &app, &other, false);
        assert_eq!(
            (mark(&book, None), mark(&book, Some(first))),
            (all, its),
            "a stranger is not among what was learned"
        );
        assert!(mark(&book, Some(second)).is_some());
        note(&mut book, &app, &statement(1, &[], 100_000), true);
        assert!(mark(&book, None) != all && mark(&book, Some(first)) != its, "it reaches further");
        book.approve(Some("app"), None);
        assert_eq!((mark(&book, None), mark(&book, Some(first))), (None, None), "approved");
    }

    #[test]
    fn only_what_was_approved_may_run_and_only_as_far() {
        let mut book = Book::default();
        let page = statement(7, &["reads members as m"], 20);
        assert!(note(&mut book, &app(), &page, true) && !note(&mut book, &app(), &page, true));
        assert_eq!(standing(&book, &app(), &page), Standing::Unknown, "learned is not approved");
        let generation = book.generation();
        assert_eq!(book.approve(Some("app"), None), 1);
        assert!(book.generation() > generation);
        assert!(matches!(standing(&book, &app(), &page), Standing::Approved));
        assert!(matches!(standing(&book, &app(), &statement(7, &["reads members as m"], 5)), Standing::Approved));
        let all = statement(7, &["reads members as m"], 2_000_000);
        assert!(matches!(standing(&book, &app(), &all), Standing::Further(words) if words.contains("rows")));
        let other = statement(7, &["reads admins as m"], 20);
        let Standing::Otherwise(words) = standing(&book, &app(), &other) else { panic!("the same fingerprint") };
        assert_eq!(words, "with `reads admins as m` instead of `reads members as m`");
        assert_eq!(standing(&book, &Who::new("app", IpAddr::from([10, 1, 3, 3])), &page), Standing::Unknown);
        assert_eq!(standing(&book, &Who::new("report", IpAddr::from([10, 1, 2, 3])), &page), Standing::Unknown);
    }

    #[test]
    fn approving_everything_leaves_out_what_was_refused() {
        let mut book = Book::default();
        let (good, bad) = (statement(1, &[], 1), statement(2, &[], 1));
        note(&mut book, &app(), &good, true);
        note(&mut book, &app(), &bad, false);
        assert_eq!(book.approve(None, None), 1);
        assert_eq!(standing(&book, &app(), &bad), Standing::Unknown);
        assert_eq!(book.approve(None, Some(key(2, &[]))), 1, "unless it is asked for by its number");
        assert!(matches!(standing(&book, &app(), &bad), Standing::Approved));
    }

    #[test]
    fn a_book_is_read_as_it_was_written() {
        let mut book = Book::default();
        note(&mut book, &app(), &statement(1, &["calls lower", "reads members"], 20), true);
        note(&mut book, &app(), &statement(2, &[], 0), false);
        book.set_stage("app", Stage::Enforce);
        book.approve(Some("app"), None);
        let text = book.write();
        let read = Book::read(&text).unwrap();
        assert_eq!(read.write(), text);
        assert_eq!((read.stage("app"), read.stage("other")), (Stage::Enforce, Stage::Observe));
        assert_eq!(
            read.entries().map(|(who, key, entry)| (who.clone(), key, entry.clone())).collect::<Vec<_>>(),
            book.entries().map(|(who, key, entry)| (who.clone(), key, entry.clone())).collect::<Vec<_>>()
        );
        assert!(Book::read("[[statement]]\nrole = 1").is_err() && Book::read("stage = 1").is_err());
    }

    #[test]
    fn strangers_do_not_fill_the_book() {
        let mut book = Book::default();
        for fingerprint in 0..STRANGERS as u64 + 10 {
            note(&mut book, &app(), &statement(fingerprint, &[], 1), false);
        }
        assert_eq!((book.entries().count(), book.lost), (STRANGERS, 10));
        assert!(note(&mut book, &app(), &statement(u64::MAX, &[], 1), true), "there is room for what is learned");
    }

    #[test]
    fn clients_are_networks() {
        assert_eq!(&*Who::new("r", "10.1.2.3".parse().unwrap()).client, "10.1.2.0/24");
        assert_eq!(&*Who::new("r", "::ffff:10.1.2.3".parse().unwrap()).client, "10.1.2.0/24");
        assert_eq!(&*Who::new("r", "2001:db8:1:2ff::1".parse().unwrap()).client, "2001:db8:1:200::/56");
    }
}
