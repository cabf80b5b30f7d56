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
