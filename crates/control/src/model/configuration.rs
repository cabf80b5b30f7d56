//! The configuration, what a change of it would do, and what it was before.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The configuration as it is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Configuration {
    /// The file. Whoever is no owner sees addresses of `[[alert]]` in part: who has them whole can send there.
    pub text: String,
    /// SHA-256 of the file in hexadecimal: what a change is made from says this.
    pub digest: String,
    /// Something is masked in the text.
    pub masked: bool,
}

/// A configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Text {
    /// As it is written.
    pub text: String,
}

/// A configuration that is to be in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewConfiguration {
    /// The whole file.
    pub text: String,
    /// `digest` of what it was made from. Where somebody has changed that meanwhile, nothing is done.
    #[schema(max_length = 64)]
    pub base: String,
    /// Why, for whoever reads it later; at most 300 characters.
    #[serde(default)]
    #[schema(max_length = 300)]
    pub why: String,
}

/// An earlier configuration that is to be in force again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Restore {
    /// `digest` of what it takes the place of.
    #[schema(max_length = 64)]
    pub base: String,
    /// Why; at most 300 characters.
    #[serde(default)]
    #[schema(max_length = 300)]
    pub why: String,
}

/// An earlier configuration, and the change that took its place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// To look at it, or to put it in force again.
    pub id: String,
    /// When it was replaced.
    pub at: u64,
    /// By whom.
    pub by: String,
    /// Why.
    pub why: String,
    /// Lines that the change added.
    pub more: u64,
    /// Lines that the change took away.
    pub less: u64,
    /// SHA-256 of the earlier file in hexadecimal.
    pub digest: String,
}

/// A line of a difference between two files, or one around it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    /// `+` comes, `-` goes, ` ` stays.
    pub sign: String,
    /// Its number before, from 1.
    pub before: Option<u64>,
    /// Its number after, from 1.
    pub after: Option<u64>,
    /// The line.
    pub text: String,
}

/// One thing that a change does to what the gate understands of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Effect {
    /// What it is about: `platform public, route /search/**`.
    pub place: String,
    /// The key; empty where a whole section comes or goes.
    pub key: String,
    /// `added`, `removed`, `changed`.
    pub kind: String,
    /// What it was, as it would be written; empty where there was none.
    pub before: String,
    /// What it is, as it would be written; empty where there is none.
    pub after: String,
}

/// A table that the configuration may have, with everything that may be said in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeclaredTable {
    /// Its keys from the top, with dots: `platform.route`.
    pub path: String,
    /// Whether it may come several times.
    pub many: bool,
    /// Of one that does: the key that tells it from the others; none where nothing does.
    pub named_by: Option<String>,
    /// What it is for.
    pub doc: String,
    /// Its own keys.
    pub keys: Vec<DeclaredKey>,
}

/// A key that the configuration may have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeclaredKey {
    /// Its name.
    pub name: String,
    /// What it holds: `flag`, `count`, `quantity`, `rate`, `choice`, `name`, `words`, `file`, `socket`, `network`, `host`, `upstream`,
    /// `server`, `path`, `token`; of a list, what each of its entries is.
    pub kind: String,
    /// Whether it is a list of those.
    pub list: bool,
    /// What it takes, in words.
    pub takes: String,
    /// Of a choice: what there is to choose from.
    pub choices: Vec<String>,
    /// Of a quantity: its units.
    pub units: Vec<String>,
    /// Of a count: the least.
    pub least: Option<u64>,
    /// Of a count: the most.
    pub most: Option<u64>,
    /// Whether it must be given.
    pub must: bool,
    /// What holds where it is not given, as it would be typed.
    pub default: Option<String>,
    /// What holds then, in words, where that is no value.
    pub otherwise: Option<String>,
    /// Whether it is shown to nobody: whoever has it can act in the organisation's name.
    pub secret: bool,
    /// A value, as the file would have it.
    pub example: String,
    /// What it is for.
    pub doc: String,
}

/// A table of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct TableName {
    /// Its key in the table around it.
    pub table: String,
    /// Of one that may come several times, its name: what the key in `named_by` says.
    #[serde(default)]
    pub name: Option<String>,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Given {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(i64),
    /// A text; quantities have a unit.
    Text(String),
    /// Several.
    List(Vec<Entry>),
}

/// What a list holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Entry {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

/// One change of the configuration by a key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Edit {
    /// Which table, from the top; at most eight of them.
    pub at: Vec<TableName>,
    /// `set` a key to a value, `unset` it, `add` a table of that name, `remove` the table with all that is in it. A table that comes
    /// once comes with its first key.
    pub act: String,
    /// The key; for `set` and `unset`.
    #[serde(default)]
    pub key: String,
    /// For `set`.
    #[serde(default)]
    pub value: Option<Given>,
}

/// Changes of a configuration by keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Edits {
    /// What they are made in; without it, the file as it is written.
    #[serde(default)]
    pub text: Option<String>,
    /// One after the other; at most fifty. With none, the tables are told and nothing else.
    #[serde(default)]
    pub changes: Vec<Edit>,
}

/// A configuration with changes by keys in it. Nothing of it is in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drafted {
    /// With the changes, or as it was where something is wrong with one of them. Every line that none of them is about is as it was.
    pub text: String,
    /// Its tables, those around before those within.
    pub tables: Vec<WrittenTable>,
    /// What is wrong with the changes.
    pub misfits: Vec<Misfit>,
}

/// A table as it is written. Of two that have one name, neither is told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WrittenTable {
    /// Which, from the top.
    pub at: Vec<TableName>,
    /// What is written in it; what is secret is masked for everybody.
    pub keys: Vec<WrittenKey>,
}

/// A key as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WrittenKey {
    /// Its name.
    pub key: String,
    /// What it holds.
    pub value: Given,
}

/// Why a change cannot be made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Misfit {
    /// Which of the changes, from 0.
    pub change: u64,
    /// The key that it is about; empty where it is about the table.
    pub key: String,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to write instead; may be empty.
    pub hint: String,
}
