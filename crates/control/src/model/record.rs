//! What the gate is, what differs from what was signed, and the ledger of what happened.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The program that runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Build {
    /// Its version.
    pub version: String,
    /// What it was compiled with.
    pub compiler: String,
    /// For what it was compiled.
    pub target: String,
    /// `debug` or `release`.
    pub profile: String,
    /// What is built in, beside what always is.
    pub features: String,
}

/// A baseline that is to be taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewBaseline {
    /// Only this directory, or what its sensor is called; all of them without.
    #[serde(default)]
    #[schema(max_length = 256)]
    pub only: Option<String>,
}

/// A release that was signed elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignedManifest {
    /// The manifest with its signatures, as `portcullis manifest sign` writes it.
    pub manifest: String,
}

/// Whether what is watched is what it should be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Differing {
    /// Something differs.
    pub differs: bool,
    /// What, one line each, as `portcullis diff` prints it.
    pub words: String,
}

/// What came of a drill. Something was missed where `missed` is not 0; what is so is known all the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drilled {
    /// In a sentence.
    pub words: String,
    /// How many were not seen.
    pub missed: u64,
    /// Each, as `portcullis drill --json` has it.
    #[schema(value_type = Vec<Object>)]
    pub drills: Vec<serde_json::Value>,
}

/// Some records of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page {
    /// Leaves of the ledger under its latest checkpoint.
    pub size: u64,
    /// In order, as `portcullis ledger show --json` has them.
    #[schema(value_type = Vec<Object>)]
    pub records: Vec<serde_json::Value>,
    /// Where the next page begins; none at the end.
    pub next: Option<u64>,
}
