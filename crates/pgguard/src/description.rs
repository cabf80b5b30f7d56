//! What a text of SQL is, as the parser's process describes it: the vocabulary that it and the guard share, and its encoding.
//!
//! Nothing here knows PostgreSQL's grammar, and nothing trusts who encoded: a crashed or subverted parser can send any bytes.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::reach::{Reach, Use};

/// Longest text that is parsed. Beyond it: [`Unreadable::TooLong`], without asking the parser.
pub const TEXT_BYTES: usize = 256 * 1024;
/// Longest encoded [`Answer`]. What would be longer is answered with [`Unreadable::TooMuch`].
pub const ANSWER_BYTES: usize = 256 * 1024;
/// Most statements in one text. Beyond it: [`Unreadable::TooMuch`].
pub const STATEMENTS: usize = 256;
/// Most facts of one statement. Beyond it: [`Unreadable::TooMuch`].
pub const FACTS: usize = 512;
/// Longest fact, name or setting in bytes; a longer one is kept as its beginning and its print.
pub const WORD_BYTES: usize = 160;
/// Longest form of a statement that is kept for people, in bytes.
pub const FORM_BYTES: usize = 1024;

/// What the parser answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The text as the server would read it, statement by statement.
    Described(Vec<Described>),
    /// It cannot be read.
    Unreadable(Unreadable),
}

/// Why a text has no description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unreadable {
    /// Not SQL as PostgreSQL's grammar has it; the message is the grammar's.
    Grammar(Box<str>),
    /// Longer than [`TEXT_BYTES`].
    TooLong,
    /// Nested deeper than is looked into.
    TooDeep,
    /// More statements, facts or bytes of description than are kept.
    TooMuch,
    /// No parser could be had, or it fell silent while it had this text.
    ParserFailed,
    /// A parser that was started for this text ended over it, or answered nonsense: that is no text of an application.
    EndsParser,
}

impl Unreadable {
    /// In words, for the record.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Grammar(message) => format!("not SQL as PostgreSQL reads it: {message}"),
            Self::TooLong => format!("longer than the {TEXT_BYTES} bytes that are read"),
            Self::TooDeep => "nested deeper than is looked into".to_owned(),
            Self::TooMuch => "more statements or names than are looked at".to_owned(),
            Self::ParserFailed => "no parser answered".to_owned(),
            Self::EndsParser => "the parser ended over it".to_owned(),
        }
    }
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// libpg_query's fingerprint: the statement without constants, comments, layout and most aliases.
    pub fingerprint: u64,
    /// The statement for people: constants are `?`, comments are gone, longer ones end in `…`.
    pub form: Box<str>,
    /// What the fingerprint leaves out and policy must know, one short phrase each (`reads public.members as m`,
    /// `calls lower`, `set search_path = public`). Sorted, no two alike.
    pub facts: Vec<Box<str>>,
    /// How far its constants reach.
    pub reach: Reach,
    /// Kinds that are refused unless granted. Sorted, no two alike.
    pub kinds: Vec<Kind>,
    /// The relations that it names, without those that it defines itself (WITH).
    pub relations: Vec<Relation>,
    /// Parameters whose value, known at Bind, decides how far the statement reaches.
    pub parameters: Vec<Parameter>,
    /// What it does to the session.
    pub deed: Deed,
}

/// A parameter whose value matters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Parameter {
    /// `$1` is 1.
    pub number: u16,
    /// How it matters.
    pub how: Use,
    /// The measure of [`Reach`] that it adds to.
    pub measure: Box<str>,
}

/// A relation as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Relation {
    /// Empty where the statement leaves it to the search path.
    pub schema: Box<str>,
    /// As the server folds it.
    pub name: Box<str>,
    /// Whether the statement changes it.
    pub written: bool,
}

impl Relation {
    fn is(&self, declared: &str) -> bool {
        match declared.split_once('.') {
            Some((home, name)) => name == &*self.name && (self.schema.is_empty() || home == &*self.schema),
            None => declared == &*self.name,
        }
    }
}

/// What a statement does to the session beyond running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Nothing.
    None,
    /// `PREPARE name AS …`.
    Prepare {
        /// As the server folds it.
        name: Box<str>,
        /// What is prepared.
        statement: Box<Described>,
    },
    /// `EXECUTE name(…)`.
    Execute {
        /// As the server folds it.
        name: Box<str>,
        /// What the parameters become.
        arguments: Vec<Argument>,
    },
    /// `DEALLOCATE name`, `DEALLOCATE ALL`, `DISCARD ALL`; `None` is all.
    Deallocate(Option<Box<str>>),
}

/// An argument of `EXECUTE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Argument {
    /// A constant, as text.
    Constant(Box<str>),
    /// `NULL`.
    Null,
    /// An expression; its value is not known here.
    Computed,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        /// Kinds of statements that are refused unless they are granted to the role.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind { $($(#[doc = $doc])+ $name,)+ }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The stable name in the configuration and the record.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// What it covers.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii_start(),)+ }
            }
        }
    };
}

kinds! {
    /// `DO`: a body in a procedural language, which no grammar of SQL sees into.
    Do = "do";
    /// `COPY … PROGRAM`: a command line on the server.
    CopyProgram = "copy-program";
    /// `COPY` from or to a file on the server.
    CopyFile = "copy-file";
    /// Functions that read, list or write files of the server: `pg_read_…`, `pg_ls_…`, `pg_stat_file`, `pg_file_…`.
    ServerFile = "server-file";
    /// Large objects: `lo_…`, `loread`, `lowrite`.
    LargeObject = "large-object";
    /// Connections from the server to elsewhere: `dblink…`, subscriptions.
    Dblink = "dblink";
    /// Foreign data: wrappers, servers, user mappings, foreign tables, `IMPORT FOREIGN SCHEMA`.
    ForeignData = "foreign-data";
    /// Functions that run a text as SQL: `query_to_xml` and its family, `ts_stat`, `crosstab`, `connectby`, `xpath_table`.
    TextAsSql = "text-as-sql";
    /// `ALTER SYSTEM`.
    AlterSystem = "alter-system";
    /// `LOAD` of a library.
    Load = "load";
    /// `CREATE EXTENSION`, or a change of one.
    Extension = "extension";
    /// `CREATE LANGUAGE`.
    Language = "language";
    /// Functions, procedures, triggers, rules, casts and operators: code that runs later.
    Routine = "routine";
    /// `SET ROLE`, or `set_config` of it.
    SetRole = "set-role";
    /// `SET SESSION AUTHORIZATION`.
    SessionAuthorization = "session-authorization";
    /// Roles and rights: `GRANT`, `REVOKE`, `CREATE ROLE`, `ALTER … OWNER`, row security and settings of roles.
    Rights = "rights";
    /// `DROP` of anything, and of columns and constraints.
    Drop = "drop";
    /// `TRUNCATE`.
    Truncate = "truncate";
    /// `UPDATE` of every row: no condition, or one that no column takes part in.
    UpdateAll = "update-all";
    /// `DELETE` of every row, likewise.
    DeleteAll = "delete-all";
    /// Functions that steer the server: ending sessions, reloading, backup, replication.
    Administration = "administration";
    /// Settings under which the server reads texts differently than the guard: `standard_conforming_strings = off`,
    /// `backslash_quote = on`, client encodings in which a character can contain a backslash.
    Lexing = "lexing";
}

impl Kind {
    /// The kind with that name.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }
}

impl Answer {
    /// The bytes that cross from the parser's process.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let encode = |answer: &Self| postcard::to_allocvec(answer).unwrap_or_default();
        let bytes = encode(self);
        if bytes.len() <= ANSWER_BYTES { bytes } else { encode(&Self::Unreadable(Unreadable::TooMuch)) }
    }

    /// What the bytes say; bytes that say nothing proper are a parser that failed.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        let nonsense = Self::Unreadable(Unreadable::ParserFailed);
        if bytes.len() > ANSWER_BYTES {
            return nonsense;
        }
        match postcard::take_from_bytes::<Self>(bytes) {
            Ok((answer, [])) if answer.is_proper() => answer,
            _ => nonsense,
        }
    }

    fn is_proper(&self) -> bool {
        match self {
            Self::Described(all) => all.len() <= STATEMENTS && all.iter().all(|one| one.is_proper(2)),
            Self::Unreadable(_) => true,
        }
    }
}

impl Described {
    /// About how many bytes it occupies.
    #[must_use]
    pub fn weight(&self) -> usize {
        let facts: usize = self.facts.iter().map(|fact| fact.len() + 16).sum();
        let inner = if let Deed::Prepare { statement, .. } = &self.deed { statement.weight() } else { 0 };
        size_of::<Self>() + self.form.len() + facts + self.relations.len() * 64 + self.parameters.len() * 48 + inner
    }

    /// Whether it names that relation, declared as `members` in any schema or as `public.members`. A statement that leaves the
    /// schema to the search path may mean any.
    #[must_use]
    pub fn reads(&self, declared: &str) -> bool {
        self.relations.iter().any(|relation| relation.is(declared))
    }

    /// Whether it calls a function of that name, in any schema.
    #[must_use]
    pub fn calls(&self, name: &str) -> bool {
        let called = |fact: &str| {
            fact.strip_prefix("calls ").is_some_and(|called| {
                called.strip_suffix(name).is_some_and(|schema| schema.is_empty() || schema.ends_with('.'))
            })
        };
        self.facts.iter().any(|fact| called(fact))
    }

    fn is_proper(&self, depth: u8) -> bool {
        let sorted = |facts: &[Box<str>]| facts.windows(2).all(|pair| matches!(pair, [one, two] if one < two));
        let inner = match &self.deed {
            Deed::Prepare { statement, .. } => depth > 0 && statement.is_proper(depth - 1),
            _ => true,
        };
        inner
            && self.reach.is_proper()
            && self.facts.len() <= FACTS
            && sorted(&self.facts)
            && self.form.len() <= FORM_BYTES + '…'.len_utf8()
    }
}

/// The print of a text: enough of its SHA-256 that nobody finds another text with it.
#[must_use]
pub fn print(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(16).fold(String::with_capacity(32), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A text as a fact holds it: on one line, and where it is longer than [`WORD_BYTES`] its beginning and its print.
#[must_use]
pub fn word(text: &str) -> String {
    let line = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.len() <= WORD_BYTES && !text.contains(char::is_control) {
        return text.to_owned();
    }
    let mut end = text.len().min(WORD_BYTES - 40);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let beginning: String = line(text.get(..end).unwrap_or_default());
    format!("{beginning}… {}", print(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(facts: &[&str]) -> Described {
        Described {
            fingerprint: 7,
            form: "SELECT ?".into(),
            facts: facts.iter().map(|fact| (*fact).into()).collect(),
            reach: Reach::default(),
            kinds: vec![],
            relations: vec![],
            parameters: vec![],
            deed: Deed::None,
        }
    }

    #[test]
    fn an_answer_comes_back_as_it_went() {
        let mut prepare = plain(&["calls lower", "reads members"]);
        prepare.kinds = vec![Kind::Do, Kind::Truncate];
        prepare.deed = Deed::Prepare { name: "p".into(), statement: Box::new(plain(&[])) };
        let answer = Answer::Described(vec![plain(&["a", "b"]), prepare]);
        assert_eq!(Answer::decode(&answer.encode()), answer);
        let answer = Answer::Unreadable(Unreadable::Grammar("syntax error at or near \"FRM\"".into()));
        assert_eq!(Answer::decode(&answer.encode()), answer);
    }

    #[test]
    fn what_breaks_the_bounds_is_a_parser_that_failed() {
        let failed = Answer::Unreadable(Unreadable::ParserFailed);
        let mut bytes = Answer::Described(vec![plain(&["a"])]).encode();
        bytes.push(0);
        assert_eq!(Answer::decode(&bytes), failed, "bytes left over");
        assert_eq!(Answer::decode(&[]), failed);
        assert_eq!(Answer::decode(&Answer::Described(vec![plain(&["b", "a"])]).encode()), failed, "not sorted");
        let mut reached = plain(&[]);
        reached.reach.raise("rows", 9);
        let mut bytes = Answer::Described(vec![reached]).encode();
        let band = bytes.windows(5).position(|window| window == b"rows\x09").unwrap() + 4;
        bytes[band] = 0;
        assert_eq!(Answer::decode(&bytes), failed, "a measure that tells nothing, which no book would keep");
        let many = vec![plain(&[]); STATEMENTS + 1];
        assert_eq!(Answer::decode(&Answer::Described(many).encode()), failed, "too many");
        let mut deep = plain(&[]);
        for _ in 0..4 {
            deep = Described { deed: Deed::Prepare { name: "p".into(), statement: Box::new(deep) }, ..plain(&[]) };
        }
        assert_eq!(Answer::decode(&Answer::Described(vec![deep]).encode()), failed, "nested");
        let mut long = plain(&[]);
        long.relations =
            vec![Relation { schema: "s".into(), name: "n".repeat(150).into(), written: false }; ANSWER_BYTES / 100];
        let encoded = Answer::Described(vec![long]).encode();
        assert_eq!(Answer::decode(&encoded), Answer::Unreadable(Unreadable::TooMuch));
    }

    #[test]
    fn words_are_short_and_tell_long_texts_apart() {
        assert_eq!(word("public"), "public");
        let (one, two) = ("é".repeat(500) + "1", "é".repeat(500) + "2");
        assert_ne!(word(&one), word(&two));
        assert!(word(&one).len() <= WORD_BYTES);
        assert_ne!(word("a\nb"), word("a b"), "what is put on one line is told apart by its print");
        assert!(!word("a\nb").contains('\n'));
    }

    #[test]
    fn codes_of_kinds_are_unique_and_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_code(kind.code()), Some(*kind));
            assert!(kind.description().ends_with('.'), "{kind:?}");
        }
    }
}
