//! The rules of the house that no compiler checks: which room may open onto which, and what a file may hold.
//!
//! It never fixes anything and never reaches the network. Each rule is a function from data to complaints, so that its
//! canary (a planted violation that must be found) stands beside the test that holds the repository to it.

pub mod files;
pub mod promises;
pub mod rooms;

use std::fmt;

/// One broken rule: where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// A file, a line of it, or a crate.
    pub place: String,
    /// What is wrong and what would be right.
    pub words: String,
}

impl Complaint {
    /// A complaint about `place`.
    pub fn new(place: impl Into<String>, words: impl Into<String>) -> Self {
        Self { place: place.into(), words: words.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.words)
    }
}
