//! The registry: which canaries were planted, when, and where they may be seen. One line each, `#` begins a comment.
//!
//! ```text
//! 1 member domain=post.example.org planted=2026-11-22 home=members:/staff/** home=pg:backup
//! 2 id planted=2026-11-22
//! 3 key prefix=live_ planted=2026-11-22 retired=2026-12-01
//! ```

use std::fmt;

use super::CanaryId;

/// Lines that are read: more canaries than anybody plants.
const MOST: usize = 10_000;

/// What was planted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registry {
    /// By number, ascending.
    entries: Vec<Entry>,
}

/// One canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1 on; never given twice.
    pub id: CanaryId,
    /// What it is.
    pub kind: EntryKind,
    /// Where it may be seen: `PLATFORM:/path/**`, or `pg:ROLE`.
    pub homes: Vec<String>,
    /// The day it was made, as the shell wrote it.
    pub planted: String,
    /// The day from which it is not looked for any more.
    pub retired: Option<String>,
}

/// What a canary is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A member who does not exist, with mail at this domain.
    Member {
        /// One of the operator's own.
        domain: String,
    },
    /// An id that is nothing's.
    Id,
    /// A key that opens nothing, with what keys here begin with.
    Key {
        /// Letters, digits, `-` and `_`.
        prefix: String,
    },
}

/// What is wrong with a registry, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryError {
    /// From 1 on.
    pub line: usize,
    /// Without a full stop.
    pub words: String,
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.words)
    }
}

impl Registry {
    /// Reads a registry.
    ///
    /// # Errors
    /// The first line that is not one.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let mut registry = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let wrong = |words: String| RegistryError { line: number + 1, words };
            let entry = entry(line).map_err(wrong)?;
            if registry.entries.last().is_some_and(|last| last.id >= entry.id) {
                return Err(wrong(format!("`{}` does not follow the number before it", entry.id.0)));
            }
            if registry.entries.len() >= MOST {
                return Err(wrong(format!("more than {MOST} canaries")));
            }
            registry.entries.push(entry);
        }
        Ok(registry)
    }

    /// All that was planted, by number.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds one, and gives it the next number.
    pub fn add(&mut self, kind: EntryKind, homes: Vec<String>, planted: &str) -> CanaryId {
        let id = CanaryId(self.entries.last().map_or(1, |last| last.id.0.saturating_add(1)));
        self.entries.push(Entry { id, kind, homes, planted: planted.to_owned(), retired: None });
        id
    }

    /// Retires one; false where there is none of that number, or it is retired already.
    pub fn retire(&mut self, id: CanaryId, day: &str) -> bool {
        match self.entries.iter_mut().find(|entry| entry.id == id && entry.retired.is_none()) {
            Some(entry) => {
                entry.retired = Some(day.to_owned());
                true
            }
            None => false,
        }
    }
}

/// As [`Registry::parse`] reads it.
impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| {
            write!(f, "{}", entry.id.0)?;
            match &entry.kind {
                EntryKind::Member { domain } => write!(f, " member domain={domain}")?,
                EntryKind::Id => f.write_str(" id")?,
                EntryKind::Key { prefix } => write!(f, " key prefix={prefix}")?,
            }
            write!(f, " planted={}", entry.planted)?;
            entry.homes.iter().try_for_each(|home| write!(f, " home={home}"))?;
            entry.retired.iter().try_for_each(|day| write!(f, " retired={day}"))?;
            f.write_str("\n")
        })
    }
}

fn entry(line: &str) -> Result<Entry, String> {
    let mut words = line.split_whitespace();
    let number = words.next().and_then(|word| word.parse::<u32>().ok()).filter(|number| *number > 0);
    let id = CanaryId(number.ok_or("the line does not begin with a number")?);
    let kind = words.next().unwrap_or_default();
    let (mut domain, mut prefix, mut homes, mut planted, mut retired) = (None, None, Vec::new(), None, None);
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| format!("`{word}` is no key=value"))?;
        match key {
            "domain" => domain = Some(value.to_owned()),
            "prefix" => prefix = Some(value.to_owned()),
            "home" => homes.push(value.to_owned()),
            "planted" => planted = Some(value.to_owned()),
            "retired" => retired = Some(value.to_owned()),
            _ => return Err(format!("`{key}` is no key of a canary")),
        }
    }
    let kind = match kind {
        "member" => EntryKind::Member { domain: domain.ok_or("a member needs `domain=`")? },
        "id" => EntryKind::Id,
        "key" => EntryKind::Key { prefix: prefix.unwrap_or_default() },
        other => return Err(format!("`{other}` is no kind of canary: `member`, `id` or `key`")),
    };
    Ok(Entry { id, kind, homes, planted: planted.unwrap_or_default(), retired })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let text = "1 member domain=post.example.org planted=2026-11-22 home=members:/staff/** home=pg:backup\n\
                    2 id planted=2026-11-22\n7 key prefix=live_ planted=2026-11-22 retired=2026-12-01\n";
        assert_eq!(Registry::parse(text).expect("a registry").to_string(), text);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let table = [
            ("# none\n\nx member", 3, "does not begin with a number"),
            ("0 id", 1, "does not begin with a number"),
            ("1 person", 1, "no kind of canary"),
            ("1 member", 1, "needs `domain=`"),
            ("1 id\n1 id", 2, "does not follow"),
            ("1 id colour=red", 1, "no key of a canary"),
            ("1 id red", 1, "no key=value"),
        ];
        for (text, line, words) in table {
            let error = Registry::parse(text).expect_err(text);
            assert!(error.line == line && error.words.contains(words), "{text}: {error}");
        }
    }
}
