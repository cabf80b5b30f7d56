//! Sentences as values, for whoever speaks another language than English.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A sentence or a part of one: which, and what stands in its gaps. The words beside it say the same in English.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Clause {
    /// Which: `queue`, `no-token`, `origin-out`, … A page that does not know one shows the words.
    pub code: String,
    /// Figures by name. Shares are of one.
    #[serde(default)]
    pub numbers: BTreeMap<String, f64>,
    /// Names by name: platforms, rules, paths.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
}

impl Clause {
    /// With nothing in its gaps.
    #[must_use]
    pub fn new(code: &str) -> Self {
        Self { code: code.to_owned(), ..Self::default() }
    }

    /// With a figure.
    #[must_use]
    pub fn number(mut self, name: &str, value: f64) -> Self {
        self.numbers.insert(name.to_owned(), value);
        self
    }

    /// With a name.
    #[must_use]
    pub fn name(mut self, name: &str, value: &str) -> Self {
        self.names.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl From<portcullis_engine::Clause> for Clause {
    fn from(it: portcullis_engine::Clause) -> Self {
        Self { code: it.code, numbers: it.numbers, names: it.names }
    }
}
