//! Books of databases behind a gate elsewhere, by its API.
//!
//! What is approved is what is shown there now: the gate refuses it where more waits by then.

use std::collections::BTreeSet;

use portcullis_control::model::GuardedDatabase;
use serde_json::{Value, json};

use crate::args::{ApproveOf, OfDatabase};
use crate::remote::{Far, Request, segment};
use crate::{Failure, talk};

/// The book, or what of it waits for a decision.
pub(super) fn book(far: &Far, of: &OfDatabase, role: Option<&str>, open: bool) -> Result<Value, Failure> {
    let name = match &of.database {
        Some(name) => name.clone(),
        None => database(far, None)?.name,
    };
    let role = role.map(|role| format!("&role={}", segment(role))).unwrap_or_default();
    far.get(&format!("/api/v1/databases/{}/statements?waiting={open}{role}", segment(&name)))
}

/// Treats a role otherwise.
pub(super) fn stage(far: &Far, of: &OfDatabase, role: &str, (stage, despite): (&str, bool)) -> Result<String, Failure> {
    let name = database(far, of.database.as_deref())?.name;
    let body = json!({"role": role, "stage": stage, "despite": despite});
    far.act(Request::put(format!("/api/v1/databases/{}/stage", segment(&name)), body))
}

/// Approves what waits, role by role: each bears the mark of what was shown.
pub(super) fn approve(far: &Far, what: &ApproveOf) -> Result<String, Failure> {
    let database = database(far, what.of.database.as_deref())?;
    let marks = marks(&database, what.role.as_deref(), what.statement.as_deref())?;
    let path = format!("/api/v1/databases/{}/approve", segment(&database.name));
    let mut done: Vec<String> = Vec::new();
    for (role, mark) in marks {
        let body = json!({"role": role, "key": what.statement, "mark": mark});
        // What was done for the roles before stays done, and is said.
        done.push(far.act(Request::post(&path, Some(body))).inspect_err(|_| done.iter().for_each(|it| talk::say(it)))?);
    }
    Ok(done.join("\n"))
}

/// The database of that name, or the only one.
fn database(far: &Far, wanted: Option<&str>) -> Result<GuardedDatabase, Failure> {
    chosen(far.get("/api/v1/databases")?, wanted).map_err(Failure::Because)
}

fn chosen(all: Vec<GuardedDatabase>, wanted: Option<&str>) -> Result<GuardedDatabase, String> {
    let names = all.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
    let count = all.len();
    let found = all.into_iter().find(|it| wanted.is_none_or(|wanted| wanted == it.name));
    match (found, wanted) {
        (None, None) => Err("no database is guarded there".to_owned()),
        (None, Some(wanted)) => Err(format!("there is no database `{wanted}`; there are {names}")),
        (Some(_), None) if count > 1 => Err(format!("which database? There are {names}")),
        (Some(found), _) => Ok(found),
    }
}

/// Roles with the marks of what is to be approved.
fn marks<'a>(
    database: &'a GuardedDatabase,
    role: Option<&str>,
    statement: Option<&str>,
) -> Result<BTreeSet<(&'a str, &'a str)>, Failure> {
    let is_of = |name: &str| role.is_none_or(|role| role == name);
    let marks: BTreeSet<_> = match statement {
        None => {
            let roles = database.roles.iter().filter(|it| is_of(&it.role));
            roles.filter_map(|it| Some((it.role.as_str(), it.mark.as_deref()?))).collect()
        }
        Some(key) => {
            let lines = database.waiting.iter().filter(|it| is_of(&it.role) && it.key == key);
            lines.filter_map(|it| Some((it.role.as_str(), it.mark.as_deref()?))).collect()
        }
    };
    let untold = database.total.saturating_sub(database.waiting.len() as u64);
    match (marks.is_empty(), statement) {
        (false, _) => Ok(marks),
        (true, Some(key)) if untold > 0 => Err(Failure::because(format!(
            "statement {key} is not among the first {} that wait: approve it on the gate's own machine, or others before",
            database.waiting.len()
        ))),
        (true, _) => Err(Failure::because("there is nothing to approve")),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_control::model::{DatabaseRole, WaitingStatement};

    use super::*;

    fn guarded(name: &str) -> GuardedDatabase {
        GuardedDatabase { name: name.to_owned(), ..GuardedDatabase::default() }
    }

    #[test]
    fn one_database_needs_no_name() {
        let found = |all: &[&str], wanted| chosen(all.iter().map(|name| guarded(name)).collect(), wanted);
        assert_eq!(found(&["members"], None).map(|it| it.name).as_deref(), Ok("members"));
        assert_eq!(found(&["members", "shop"], Some("shop")).map(|it| it.name).as_deref(), Ok("shop"));
        for (all, wanted, words) in [
            (&[][..], None, "no database is guarded"),
            (&["members", "shop"], None, "which database? There are members, shop"),
            (&["members"], Some("shop"), "there is no database `shop`; there are members"),
        ] {
            let why = found(all, wanted).expect_err(words);
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn what_is_approved_bears_the_mark_of_what_was_shown() {
        let role = |name: &str, mark: Option<&str>| DatabaseRole {
            role: name.to_owned(),
            mark: mark.map(str::to_owned),
            ..DatabaseRole::default()
        };
        let line = |role: &str, key: &str| WaitingStatement {
            role: role.to_owned(),
            key: key.to_owned(),
            mark: Some(format!("{role}-{key}")),
            ..WaitingStatement::default()
        };
        let mut known = GuardedDatabase {
            roles: vec![role("app", Some("m1")), role("batch", Some("m2")), role("idle", None)],
            // One statement from two networks is one decision.
            waiting: vec![line("app", "0a"), line("app", "0a"), line("batch", "0a"), line("batch", "0b")],
            total: 4,
            ..guarded("members")
        };
        let found = |known: &GuardedDatabase, role, key| -> Result<Vec<(String, String)>, String> {
            let own = |(role, mark): (&str, &str)| (role.to_owned(), mark.to_owned());
            match marks(known, role, key) {
                Ok(marks) => Ok(marks.into_iter().map(own).collect()),
                Err(Failure::Because(why)) => Err(why),
                Err(Failure::Said) => Err(String::new()),
            }
        };
        let pairs = |all: &[(&str, &str)]| all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        for (role, key, expected) in [
            (None, None, &[("app", "m1"), ("batch", "m2")][..]),
            (Some("batch"), None, &[("batch", "m2")]),
            (None, Some("0a"), &[("app", "app-0a"), ("batch", "batch-0a")]),
            (Some("batch"), Some("0a"), &[("batch", "batch-0a")]),
        ] {
            assert_eq!(found(&known, role, key), Ok(pairs(expected)), "{role:?} {key:?}");
        }
        for (role, key) in [(Some("idle"), None), (Some("nobody"), None), (Some("app"), Some("0b"))] {
            assert_eq!(found(&known, role, key), Err("there is nothing to approve".to_owned()));
        }
        known.total = 900;
        assert!(found(&known, None, Some("0c")).is_err_and(|why| why.contains("first 4 that wait")));
    }
}
