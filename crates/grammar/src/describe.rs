//! What one text is: parsed by PostgreSQL's grammar, described statement by statement.

use portcullis_pgguard::description::{Answer, Deed, Described, FACTS, STATEMENTS, TEXT_BYTES, Unreadable, word};

use crate::form::form;
use crate::tree::{Node, Tree, tree};
use crate::walk::{Found, deed, walk};

/// Where the fingerprints of `FETCH` and `MOVE` begin.
const FETCH: u64 = 0x4645_5443_4800_0000;

/// Describes a text as it came from the wire.
///
/// A text that is not UTF-8 is read as Latin-1: above ASCII every byte is part of a name or of a constant, in every encoding
/// that the guard lets a session have.
#[must_use]
pub fn describe(text: &[u8]) -> Answer {
    if text.len() > TEXT_BYTES {
        return Answer::Unreadable(Unreadable::TooLong);
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => text.to_owned(),
        Err(_) => text.iter().map(|byte| char::from(*byte)).collect(),
    };
    match statements(&text) {
        Ok(described) => Answer::Described(described),
        Err(why) => Answer::Unreadable(why),
    }
}

fn statements(text: &str) -> Result<Vec<Described>, Unreadable> {
    let parsed = pg_query::parse(text, 0).map_err(|error| match error {
        pg_query::Error::Parse(message) if message.contains("stack depth") => Unreadable::TooDeep,
        pg_query::Error::Parse(message) => Unreadable::Grammar(word(&message).into()),
        pg_query::Error::Decode(_) => Unreadable::TooDeep,
        other => Unreadable::Grammar(word(&other.to_string()).into()),
    })?;
    let count = parsed.protobuf.stmts.len();
    if count > STATEMENTS {
        return Err(Unreadable::TooMuch);
    }
    let trees = tree(&parsed.protobuf).ok_or(Unreadable::TooDeep)?;
    let raw = trees.node().map(|all| all.list("stmts")).unwrap_or_default();
    raw.iter().filter_map(Tree::node).enumerate().map(|(at, raw)| described(text, raw, (at, count))).collect()
}

fn described(text: &str, raw: &Node, (at, count): (usize, usize)) -> Result<Described, Unreadable> {
    let own = part(text, raw.number("stmt_location"), raw.number("stmt_len"));
    let statement = raw.get("stmt");
    let fingerprint = match statement.node_of("FetchStmt") {
        // The library takes each number of rows for another statement; here it is how far one reaches.
        Some(fetch) => FETCH + fetch.number("direction").unsigned_abs() * 2 + fetch.number("ismove").unsigned_abs(),
        None => pg_query::fingerprint(own, 0, 0).map_err(|_| Unreadable::TooDeep)?.value,
    };
    let mut found = walk(statement);
    if count > 1 {
        found.facts.insert(format!("stands {} of {count}", at + 1));
    }
    let execute = found.execute.take();
    let mut deed = deed(statement);
    if let Some((name, arguments)) = execute {
        deed = Deed::Execute { name: word(&name).into(), arguments };
    } else if let Some(prepare) = statement.node_of("PrepareStmt") {
        let inner = summed(walk(prepare.get("query")), fingerprint.rotate_left(1), form(own))?;
        deed = Deed::Prepare { name: word(prepare.text("name")).into(), statement: Box::new(inner) };
    }
    Ok(Described { deed, ..summed(found, fingerprint, form(own))? })
}

fn summed(found: Found, fingerprint: u64, form: Box<str>) -> Result<Described, Unreadable> {
    if found.facts.len() > FACTS || found.relations.len() > FACTS || found.reach.measures().count() > FACTS {
        return Err(Unreadable::TooMuch);
    }
    Ok(Described {
        fingerprint,
        form,
        facts: found.facts.into_iter().map(Into::into).collect(),
        reach: found.reach,
        kinds: found.kinds.into_iter().collect(),
        relations: found.relations.into_iter().collect(),
        parameters: found.parameters.into_iter().collect(),
        deed: Deed::None,
    })
}

/// A statement's own part of the text; a length of 0 is all that is left.
fn part(text: &str, start: i64, length: i64) -> &str {
    let start = usize::try_from(start).unwrap_or(0);
    let end = match usize::try_from(length) {
        Ok(0) | Err(_) => text.len(),
        Ok(length) => start.saturating_add(length),
    };
    text.get(start..end).unwrap_or(text)
}
