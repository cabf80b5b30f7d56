//! The scenario file: what the world is made of, and what must come of it.

use std::fmt;

use portcullis_config::Policy;
use serde::Deserialize;

/// What is wrong with a scenario file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1; 0 where it is about the whole file.
    pub line: usize,
    /// In words.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { f.write_str(&self.message) } else { write!(f, "line {}: {}", self.line, self.message) }
    }
}

/// A scenario, read and checked.
#[derive(Debug, Clone)]
pub struct Scenario {
    file: File,
}

#[derive(Debug, Clone, Deserialize)]
struct File {
    name: String,
    title: String,
}

impl Scenario {
    /// Reads a scenario file. With a policy, the platforms, their routes and measures are the operator's own.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn parse(text: &str, _policy: Option<&Policy>) -> Result<Self, Vec<Problem>> {
        match toml::from_str(text) {
            Ok(file) => Ok(Self { file }),
            Err(error) => {
                let at = error.span().map_or(0, |span| 1 + text.get(..span.start).unwrap_or("").matches('\n').count());
                Err(vec![Problem { line: at, message: error.message().to_owned() }])
            }
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// What it is about, in a sentence.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.file.title
    }
}
