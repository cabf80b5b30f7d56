//! Reading the log back: the record of a reference, the acts about a rule, what inspection found.
//!
//! It never loads a file, only a line at a time.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use portcullis_types::Reference;
use serde_json::Value;

use super::file::newest_first;
use super::record::LINE_BYTES;

/// Acts about one rule that are told.
pub const ACTS: usize = 100;
/// Read from the disk at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// The record of that reference: looked for in the open file, then in the rotated ones, the newest first.
///
/// # Errors
/// When the newest file does not exist, or a file cannot be read.
pub fn find(path: &Path, reference: Reference) -> io::Result<Option<String>> {
    // Fails in words when there is no log at all.
    drop(std::fs::File::open(path)?);
    for file in newest_first(path) {
        if let Some(line) = find_in(file?, reference)? {
            return Ok(Some(line));
        }
    }
    Ok(None)
}

/// The records of what was done about a rule, such as `r-81`: the oldest first, the last [`ACTS`] of them.
///
/// # Errors
/// When the newest file does not exist, or a file cannot be read.
pub fn find_acts(path: &Path, rule: &str) -> io::Result<Vec<String>> {
    drop(std::fs::File::open(path)?);
    let needle = format!("\"rule\":{}", Value::from(rule));
    let mut acts = VecDeque::new();
    for file in newest_first(path) {
        let mut older = VecDeque::new();
        each_with(file?, &needle, |line| {
            let is_act = serde_json::from_slice::<Value>(line).is_ok_and(|record| record["act"]["rule"] == rule);
            if is_act && let Ok(text) = String::from_utf8(line.trim_ascii_end().to_owned()) {
                older.push_back(text);
                older.drain(..older.len().saturating_sub(ACTS));
            }
        })?;
        older.append(&mut acts);
        acts = older;
        if acts.len() >= ACTS {
            break;
        }
    }
    acts.drain(..acts.len().saturating_sub(ACTS));
    Ok(acts.into())
}

/// Shows every record in which inspection found something, the newest file first, each file in its own order. Files in which nothing was
/// written since then, in Unix milliseconds, are not read; others may hold older ones, too.
///
/// # Errors
/// When the newest file does not exist, or a file cannot be read.
pub fn each_found(path: &Path, since: u64, show: &mut dyn FnMut(&Value)) -> io::Result<()> {
    drop(std::fs::File::open(path)?);
    let since = UNIX_EPOCH + Duration::from_millis(since);
    for file in newest_first(path) {
        let file = file?;
        if file.metadata()?.modified().is_ok_and(|last| last < since) {
            continue;
        }
        each_with(file, "\"evidence\":{", |line| {
            if let Ok(record) = serde_json::from_slice::<Value>(line) {
                show(&record);
            }
        })?;
    }
    Ok(())
}

/// The last whole record of that reference; a line cut short by a crash is passed over.
fn find_in(file: impl Read, reference: Reference) -> io::Result<Option<String>> {
    // A quote inside a string is escaped, so nothing that a client sent can look like this.
    let needle = format!("\"ref\":\"{reference}\"");
    let mut found = None;
    each_with(file, &needle, |line| {
        if serde_json::from_slice::<Value>(line).is_ok() {
            found = String::from_utf8(line.trim_ascii_end().to_owned()).ok().or(found.take());
        }
    })?;
    Ok(found)
}

/// Shows every line that holds the needle.
fn each_with(file: impl Read, needle: &str, mut show: impl FnMut(&[u8])) -> io::Result<()> {
    let finder = memchr::memmem::Finder::new(needle);
    let mut reader = BufReader::with_capacity(CHUNK_BYTES, file);
    let mut line = Vec::new();
    let longest = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
    loop {
        line.clear();
        if reader.by_ref().take(longest).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        // Of a line longer than any record, each piece is looked at and none is whole.
        if finder.find(&line).is_some() {
            show(&line);
        }
    }
}
