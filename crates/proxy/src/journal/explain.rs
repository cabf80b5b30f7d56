//! Reading the log back: the record of a reference, and what it means in words.
//!
//! It never loads a file, only a line at a time, and never passes on a character that a terminal would obey.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

use portcullis_types::{Reason, Reference};
use serde::Deserialize as _;
use serde_json::Value;

use super::evidence::{Evidence, Hit, Text};
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

/// Shows every record in which inspection found something, the newest file first, each file in its own order.
///
/// # Errors
/// When the newest file does not exist, or a file cannot be read.
pub fn each_found(path: &Path, show: &mut dyn FnMut(&Value)) -> io::Result<()> {
    drop(std::fs::File::open(path)?);
    for file in newest_first(path) {
        each_with(file?, "\"evidence\":{", |line| {
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

/// What was done about a rule, in the words of that time: one paragraph for each act.
#[must_use]
pub fn explain_acts(lines: &[String]) -> String {
    let acts = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let paragraphs = acts.map(|record| {
        let text = |value: &Value| printable(value.as_str().unwrap_or_default());
        let act = &record["act"];
        let undo = match text(&act["undo"]) {
            undo if undo.is_empty() => String::new(),
            undo => format!("\n  Undo: {undo}"),
        };
        let who = match text(&act["by"]).as_str() {
            "" | "gate" => String::new(),
            "operator" => ", by an operator".to_owned(),
            name => format!(", by {name}"),
        };
        format!("{}  {}{who}\n  {}{undo}\n", text(&record["t"]), text(&act["platform"]), text(&act["words"]))
    });
    paragraphs.collect()
}

/// Nothing that a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// What a record means, for the operator: what happened, why, what to do, who, where and when.
#[must_use]
pub fn explain(line: &str) -> String {
    let Ok(record) = serde_json::from_str::<Value>(line) else {
        return "This line is not a record: it is not JSON.\n".to_owned();
    };
    let record = Fields(&record);
    let mut text = String::new();
    let mut row = |name: &str, words: String| {
        if !words.is_empty() {
            let _ = writeln!(text, "{name:<11}{}", harmless(&words));
        }
    };
    row("Reference", record.text("ref"));
    let of_database = record.text("kind") == "database";
    row("What", if of_database { what_of_database(&record) } else { what(&record) });
    let reason = record.get("reason").and_then(Value::as_str);
    row("Why", reason.map(|code| why(code, record.text("detail"))).unwrap_or_default());
    row("What to do", reason.and_then(Reason::from_code).map(|reason| reason.hint().to_owned()).unwrap_or_default());
    row("Who", who(&record));
    row("Trust", trust(&record));
    row("Where", places(&record));
    if of_database {
        row("Statement", record.text("text"));
        row("Number", record.text("key"));
        row("Request", record.text("request"));
    }
    row("Left", left(&record));
    row("When", when(&record));
    for observed in record.get("observed").and_then(Value::as_array).into_iter().flatten() {
        let observed = Fields(observed);
        let words = why(&observed.text("reason"), observed.text("detail"));
        row("Observed", format!("{words} Only observed: it passed."));
    }
    if let Some(evidence) = record.get("evidence").and_then(|found| Evidence::deserialize(found).ok()) {
        found(&evidence, &mut row);
    }
    let lost = record.number("lost");
    if lost > 0 {
        row("Lost", format!("{lost} records before this one could not be written."));
    }
    text
}

/// Rules and families that matched: where, the part, and what was done to the value before.
fn found(evidence: &Evidence, row: &mut dyn FnMut(&str, String)) {
    for Hit { rule, family, targets, part, via, why, tags, score, response } in &evidence.hits {
        let targets: Vec<String> = targets.iter().map(Text::shown).collect();
        let mut words = match (rule, family) {
            (Some(rule), _) => format!("rule {rule}"),
            (None, family) => format!("family {}", family.as_deref().unwrap_or_default()),
        };
        let kinds: Vec<String> =
            tags.iter().map(Text::shown).chain(score.map(|score| format!("score {score}"))).collect();
        if !kinds.is_empty() {
            let _ = write!(words, " ({})", kinds.join(", "));
        }
        let _ = write!(
            words,
            " in {}{}: {}.",
            if *response { "the answer's " } else { "" },
            targets.join(", "),
            why.shown()
        );
        let _ = write!(words, " Matched: {:?}", part.shown());
        if !via.is_empty() {
            let _ = write!(words, " after {}", via.join(", "));
        }
        row("Found", words);
    }
    if evidence.lost {
        row("Found", "more than is recorded.".to_owned());
    }
}

fn what(record: &Fields<'_>) -> String {
    let outcome = match (record.text("verdict").as_str(), record.number("status")) {
        ("served", status) => format!("was served with status {status}"),
        ("failed", 0) => "failed, and the connection was closed".to_owned(),
        ("failed", status) => format!("was let in, then failed with status {status}"),
        (_, 0) => "was refused by closing the connection".to_owned(),
        (_, status) => format!("was refused with status {status}"),
    };
    let method = record.text("method");
    let mut words = if method.is_empty() {
        format!("A connection {outcome}")
    } else {
        format!("{method} {}{} {outcome}", record.text("host"), record.text("path"))
    };
    let (bytes_in, bytes_out) = (record.number("bytes_in"), record.number("bytes_out"));
    if bytes_in + bytes_out > 0 {
        let _ = write!(words, "; {bytes_in} bytes came in, {bytes_out} went out");
    }
    words.push('.');
    words
}

/// A record about a session of a database.
fn what_of_database(record: &Fields<'_>) -> String {
    if record.text("event") == "finding" {
        let (database, detail) = (record.text("database"), record.text("detail"));
        return format!("The server's own books of database {database} show what the gate did not see: {detail}.");
    }
    let role = format!("role {} on database {}", record.text("role"), record.text("database"));
    let moved = [("rows", "rows left"), ("bytes", "bytes left"), ("rows_in", "rows came in")]
        .into_iter()
        .filter(|(name, _)| record.number(name) > 0)
        .map(|(name, words)| format!("{} {words}", record.number(name)))
        .collect::<Vec<_>>()
        .join(", ");
    let mut words = match record.text("event").as_str() {
        "session" => format!("A session of {role} ended"),
        "statement" => format!("A statement of {role} ran"),
        "refused" => format!("Something that {role} asked for was refused; the session, if there was one, went on"),
        "observed" => {
            format!("Something that {role} asked for would have been refused and passed, because it is only observed")
        }
        "canary" => format!("A canary was about to reach {role}"),
        _ => format!("A session of {role} was ended by the gate"),
    };
    if !moved.is_empty() {
        let _ = write!(words, "; {moved}");
    }
    words.push('.');
    words
}

fn why(code: &str, detail: String) -> String {
    let mut words = match Reason::from_code(code) {
        Some(reason) => format!("{code}: {}", reason.description()),
        None => format!("{code}: a reason that this version does not know."),
    };
    if !detail.is_empty() {
        let _ = write!(words, " In detail: {detail}.");
    }
    words
}

fn who(record: &Fields<'_>) -> String {
    let mut words = record.text("client");
    match (record.text("from").as_str(), record.text("peer")) {
        ("proxy-protocol", peer) => words += &format!(", as the PROXY header from {peer} says"),
        ("forwarded", peer) => words += &format!(", as the trusted proxy {peer} says"),
        (_, peer) if !peer.is_empty() => words += &format!(", connected from {peer}"),
        _ => {}
    }
    for (name, label) in [("ja4", "JA4"), ("h2", "HTTP/2 settings"), ("order", "header order")] {
        let print = record.text(name);
        if !print.is_empty() {
            words += &format!("; {label} {print}");
        }
    }
    words
}

/// What the gate knew of the visitor when it decided.
fn trust(record: &Fields<'_>) -> String {
    match record.text("trust").as_str() {
        "" => String::new(),
        "suspect" => "suspect: it did what people's browsers do not.".to_owned(),
        "fresh" => "fresh: nobody had seen it before.".to_owned(),
        "human" => "human: it did what people's browsers do.".to_owned(),
        "passed" => "passed: it had passed a challenge.".to_owned(),
        "history" => "history: it had been here on other days.".to_owned(),
        "crawler" => "crawler: its owner publishes its addresses, and it came from there.".to_owned(),
        "partner" => "partner: the organisation vouches for it.".to_owned(),
        "staff" => "staff: the organisation vouches for it.".to_owned(),
        other => other.to_owned(),
    }
}

/// What of the data was in the answer, as numbers.
fn left(record: &Fields<'_>) -> String {
    let Some(left) = record.get("left") else { return String::new() };
    let left = Fields(left);
    let counted = |name: &str| {
        let all = left.get(name).and_then(Value::as_object).into_iter().flatten();
        all.map(|(kind, count)| (kind.clone(), count.as_u64().unwrap_or_default())).collect::<Vec<_>>()
    };
    let mut parts: Vec<String> = counted("values").iter().map(|(kind, count)| format!("{count} of {kind}")).collect();
    if left.number("records") > 0 {
        parts.insert(0, format!("{} records", left.number("records")));
    }
    if left.get("exported").and_then(Value::as_bool) == Some(true) {
        parts.push("as an export".to_owned());
    }
    parts.extend(counted("unread").iter().map(|(why, bytes)| format!("{bytes} bytes were not looked at ({why})")));
    parts.join(", ")
}

fn places(record: &Fields<'_>) -> String {
    let mut parts = Vec::new();
    for (name, label) in [
        ("node", "node "),
        ("listener", "listener "),
        ("version", "HTTP/"),
        ("tls", "TLS "),
        ("database", "database "),
        ("inside", "inside "),
        ("application", "application "),
        ("platform", "platform "),
        ("route", "route "),
        ("class", "class "),
        ("upstream", "upstream "),
    ] {
        let value = record.text(name);
        if !value.is_empty() {
            parts.push(format!("{label}{value}"));
        }
    }
    if record.number("attempts") > 1 {
        parts.push(format!("{} attempts", record.number("attempts")));
    }
    parts.join(", ")
}

fn when(record: &Fields<'_>) -> String {
    let mut words = record.text("t");
    if let Some(took) = record.get("ms").and_then(Value::as_f64) {
        let _ = write!(words, ", took {took} ms");
    }
    if let Some(took) = record.get("upstream_ms").and_then(Value::as_f64) {
        let _ = write!(words, ", the upstream began to answer after {took} ms");
    }
    words
}

/// A record whose fields may be missing or of another type: somebody may have edited the file.
struct Fields<'a>(&'a Value);

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn text(&self, name: &str) -> String {
        self.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn number(&self, name: &str) -> u64 {
        self.get(name).and_then(Value::as_u64).unwrap_or(0)
    }
}

/// Whatever a terminal would obey, or that would reorder what is read, is shown as a replacement character.
fn harmless(text: &str) -> String {
    let obeyed = |character: char| {
        character.is_control()
            || matches!(character, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|character| if obeyed(character) { '\u{FFFD}' } else { character }).collect()
}
