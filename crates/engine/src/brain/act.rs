//! The record of an automatic or a human act: why, the pattern in words, what it matched in normal traffic, how to undo.

use portcullis_types::Tick;
use serde::{Deserialize, Serialize};

/// One act, told so that a person can read it. The journal keeps it, `portcullis explain` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// Monotonic, for tests and the simulator; the journal's own time stands beside it.
    pub at_nanos: u64,
    /// What kind of act: `posture`, `rule-proposed`, `rule-enforced`, `rule-watched`, `rule-relaxed`, `rule-withdrawn`,
    /// `rule-rearmed`, `rule-pinned`, `rule-undone`, `admission`, `room-opened`, `room-closed`, `event-added`, …
    pub kind: String,
    /// The platform's name.
    pub platform: String,
    /// `r-81`, where it is about a rule.
    pub rule: Option<String>,
    /// Who did it: `gate` by itself, or `operator`.
    pub by: String,
    /// The whole of it in sentences, as the log and the console show it.
    pub words: String,
    /// The same as values: figures by name, in the order of the sentences.
    pub facts: Vec<(String, String)>,
    /// What to type to undo it; empty where there is nothing to undo.
    pub undo: String,
}

impl Act {
    /// When.
    #[must_use]
    pub const fn at(&self) -> Tick {
        Tick(self.at_nanos)
    }
}
