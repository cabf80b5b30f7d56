//! The decision log, read.
//!
//! It never forgives a line that is not JSON.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::client::eventually;

/// A decision log on disk.
#[derive(Debug, Clone)]
pub struct Journal {
    path: PathBuf,
}

impl Journal {
    /// The log at `path`, which need not be there yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Every record in the open file but those of the gate's own probes.
    ///
    /// # Panics
    /// When a whole line is not JSON.
    #[must_use]
    pub fn records(&self) -> Vec<Value> {
        self.lines().into_iter().filter(|record| record["kind"] != "probe").collect()
    }

    /// The records of the gate's own probes.
    ///
    /// # Panics
    /// When a whole line is not JSON.
    #[must_use]
    pub fn probes(&self) -> Vec<Value> {
        self.lines().into_iter().filter(|record| record["kind"] == "probe").collect()
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        // A line that is still being written has no end yet.
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}")))
            .collect()
    }

    /// The last record that `wanted` holds for, waited for, since the log is written behind the request.
    #[must_use]
    pub fn find(&self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut found = None;
        eventually(Duration::from_secs(5), || {
            found = self.records().into_iter().rev().find(|record| wanted(record));
            found.is_some()
        });
        found
    }

    /// The record with that reference.
    #[must_use]
    pub fn by_reference(&self, reference: &str) -> Option<Value> {
        self.find(|record| record.get("ref").and_then(Value::as_str) == Some(reference))
    }
}
