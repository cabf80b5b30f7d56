//! `portcullis pg`: what applications were seen to run on a database, what of it may run, and the step from one to the other.
//!
//! It asks the running gate, which holds the book; what is decided is the gate's, and it is in the decision log on return.

mod elsewhere;

use std::fmt::Write as _;

use portcullis_proxy::control;
use serde_json::{Value, json};

use crate::args::{AskPg, OfDatabase};
use crate::moment::speak;
use crate::verbs::unanswered;
use crate::{Done, Failure, operate, talk};

/// Asks of `pg`.
pub(crate) fn run(asked: &AskPg) -> Done {
    match asked {
        AskPg::Show(what) => show(&what.of, what.role.as_deref(), false),
        AskPg::Diff(what) => show(&what.of, what.role.as_deref(), true),
        AskPg::Learn(what) => stage(&what.of, &what.role, "learn", false),
        AskPg::Observe(what) => stage(&what.of, &what.role, "observe", false),
        AskPg::Enforce(what) => stage(&what.role.of, &what.role.role, "enforce", what.despite),
        AskPg::Approve(what) => {
            let message = match operate::far(&what.of.gate)? {
                Some(far) => elsewhere::approve(&far, what)?,
                None => ask(&what.of, &json!({"do": "approve", "role": what.role, "key": what.statement}))?.0,
            };
            told(&what.of, &message)
        }
    }
}

fn stage(of: &OfDatabase, role: &str, stage: &str, despite: bool) -> Done {
    let message = match operate::far(&of.gate)? {
        Some(far) => elsewhere::stage(&far, of, role, (stage, despite))?,
        None => ask(of, &json!({"do": "stage", "role": role, "stage": stage, "despite": despite}))?.0,
    };
    told(of, &message)
}

fn show(of: &OfDatabase, role: Option<&str>, open: bool) -> Done {
    let what = if open { "diff" } else { "show" };
    let value = match operate::far(&of.gate)? {
        Some(far) => elsewhere::book(&far, of, role, open)?,
        None => ask(of, &json!({"do": what, "role": role}))?.1,
    };
    if of.gate.json {
        return talk::answer(&serde_json::to_string_pretty(&value).unwrap_or_default());
    }
    talk::answer(&page(&value, open))
}

fn told(of: &OfDatabase, message: &str) -> Done {
    if of.gate.json {
        return talk::answer(&json!({"ok": true, "message": message}).to_string());
    }
    talk::answer(message)
}

/// Asks the gate on this machine.
fn ask(of: &OfDatabase, args: &Value) -> Result<(String, Value), Failure> {
    let socket = operate::socket(&of.gate)?;
    let mut args = args.clone();
    if let Some(args) = args.as_object_mut() {
        args.insert("database".to_owned(), of.database.clone().into());
        args.insert("by".to_owned(), crate::waf::who().into());
    }
    let answer = control::ask_with(&socket, "pg", &args).map_err(|error| unanswered(&socket, &error))?;
    if answer.ok {
        Ok((answer.message, answer.status.unwrap_or_default()))
    } else {
        Err(Failure::Because(answer.message))
    }
}

/// The book for a person: roles with their stages, then statements, the open ones marked.
fn page(value: &Value, open: bool) -> String {
    let mut page = String::new();
    let stages = value.get("stages").and_then(Value::as_object);
    for (role, stage) in stages.into_iter().flatten() {
        let _ = writeln!(page, "role {}: {}", clean(role), stage.as_str().unwrap_or("?"));
    }
    let lines = value.get("statements").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if lines.is_empty() {
        page.push_str(if open { "Nothing waits for a decision.\n" } else { "No statement has been learned.\n" });
    }
    for line in lines {
        let text = |key: &str| clean(line.get(key).and_then(Value::as_str).unwrap_or_default());
        let list = |key: &str| {
            let all = line.get(key).and_then(Value::as_array)?;
            Some(all.iter().filter_map(Value::as_str).map(clean).collect::<Vec<_>>().join(", "))
        };
        let (seen, approved) = (list("seen").unwrap_or_default(), list("approved"));
        let standing = match (&approved, line.get("refused") == Some(&Value::Bool(true))) {
            (Some(approved), _) if *approved == seen => "approved".to_owned(),
            (Some(approved), _) => format!("approved ({}), since seen further", or_none(approved)),
            (None, true) => "REFUSED, not approved".to_owned(),
            (None, false) => "learned, not approved".to_owned(),
        };
        let first = line.get("first").and_then(Value::as_u64).unwrap_or(0);
        let _ = writeln!(page, "\n{}  {} from {}: {standing}", text("key"), text("role"), text("client"));
        let _ = writeln!(page, "  {}", text("form"));
        for (name, said) in [("facts", list("facts").unwrap_or_default()), ("reach", seen)] {
            if !said.is_empty() {
                let _ = writeln!(page, "  {name}: {said}");
            }
        }
        let _ = writeln!(page, "  first seen {}", speak(first.saturating_mul(1000)));
    }
    let budgets = value.get("budgets").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !open && !budgets.is_empty() {
        page.push_str("\nBudgets that ordinary windows suggest, for `[[database.budget]]`:\n");
    }
    for line in budgets.iter().filter(|_| !open) {
        let text = |key: &str| clean(line.get(key).and_then(Value::as_str).unwrap_or_default());
        let number = |key: &str| line.get(key).and_then(Value::as_u64).unwrap_or(0);
        let _ = writeln!(
            page,
            "  role {}: {} {} per {} (999 of 1,000 of {} windows stayed within {}, the greatest was {})",
            text("role"),
            number("proposed"),
            text("measure"),
            text("within"),
            number("windows"),
            number("usual"),
            number("greatest"),
        );
    }
    let total = value.get("total").and_then(Value::as_u64).unwrap_or(0);
    if total > lines.len() as u64 {
        let _ = writeln!(page, "\n{} more: the book's file has them all.", total - lines.len() as u64);
    }
    page
}

/// How one database stands: what passed, and how much of what reached its server is known.
pub(crate) fn standing(database: &Value, now: u64) -> String {
    let text = |value: &Value, key: &str| clean(value.get(key).and_then(Value::as_str).unwrap_or_default());
    let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut page = format!(
        "Database {}: {}, {} sessions, {} statements, {} refused, {} observed, {} cut, {} rows left\n",
        text(database, "name"),
        text(database, "mode"),
        number(database, "sessions"),
        number(database, "statements"),
        number(database, "refused"),
        number(database, "observed"),
        number(database, "cut"),
        number(database, "rows"),
    );
    let Some(coverage) = database.get("coverage") else { return page };
    if coverage.get("declared") != Some(&Value::Bool(true)) {
        page.push_str(
            "  Coverage   not checked: what reaches the server beside the gate is not known ([database.reconcile])\n",
        );
        return page;
    }
    let _ = match (coverage.get("checked").and_then(Value::as_u64), text(coverage, "failed")) {
        (_, why) if !why.is_empty() => writeln!(page, "  Coverage   NOT CHECKED: {why}"),
        (None, _) => writeln!(page, "  Coverage   not checked yet"),
        (Some(at), _) => {
            let ago = now.saturating_sub(at) / 1000;
            writeln!(page, "  Coverage   the server's own books were read {ago} s ago")
        }
    };
    for (check, came_to) in coverage.get("checks").and_then(Value::as_object).into_iter().flatten() {
        let words = match (came_to.as_str().unwrap_or_default(), check.as_str()) {
            ("checked", "rows") => match coverage.get("rows_share").and_then(Value::as_f64) {
                Some(share) => format!(
                    "{:.2} % seen ({} rows passed, {} did not)",
                    (share * 10_000.0).floor() / 100.0,
                    number(coverage, "rows_seen"),
                    number(coverage, "rows_unseen"),
                ),
                None => "none were read".to_owned(),
            },
            ("checked", "views") => format!(
                "{} relations show declared ones, {} functions name one",
                number(coverage, "relations_showing"),
                number(coverage, "functions_naming"),
            ),
            (words, _) => clean(words),
        };
        let _ = writeln!(page, "  {check:<10} {words}");
    }
    let list = |key: &str| coverage.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for finding in list("open") {
        let _ = writeln!(page, "  FINDING    {} {}", text(finding, "reference"), text(finding, "words"));
    }
    for finding in list("past").iter().rev().take(8) {
        let at = speak(number(finding, "since"));
        let _ = writeln!(page, "  Before     {} {} ({at})", text(finding, "reference"), text(finding, "words"));
    }
    page
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "no reach" } else { text }
}

/// What applications sent, without anything that moves a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_past_the_gate_is_seen_and_what_was_not_checked_too() {
        let finding = json!({"reference": "028T5CY4TQKFF", "words": "a session of app\u{1b}[2J", "since": 0});
        let coverage = json!({
            "declared": true, "checked": 60_000, "failed": null, "open": [finding], "past": [finding],
            "checks": {"sessions": "checked", "access": "not checked: the role may not call pg_hba_file_rules()", "rows": "checked"},
            "rows_share": 0.99996, "rows_seen": 99_996, "rows_unseen": 4,
        });
        let shown = standing(&json!({"name": "members", "mode": "enforce", "coverage": coverage}), 90_000);
        for part in [
            "Database members: enforce",
            "read 30 s ago",
            "access     not checked: the role may not",
            "99.99 % seen (99996 rows passed, 4 did not)",
            "FINDING    028T5CY4TQKFF a session of app",
            "Before     028T5CY4TQKFF",
        ] {
            assert!(shown.contains(part), "{part}\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'));
        let failed = json!({"coverage": {"declared": true, "checked": 60_000, "failed": "no such role"}});
        assert!(standing(&failed, 0).contains("NOT CHECKED: no such role"));
        assert!(standing(&json!({"coverage": {"declared": false}}), 0).contains("not checked: what reaches"));
    }

    #[test]
    fn a_person_sees_what_waits_for_a_decision() {
        let line = |approved: Value, refused: bool| {
            json!({
                "key": "00c0ffee00c0ffee", "role": "app", "client": "10.0.0.0/24", "form": "SELECT \u{1b}[2J ?",
                "facts": ["reads members"], "seen": ["rows to 1e2"], "approved": approved, "refused": refused, "first": 0,
            })
        };
        let shown = page(
            &json!({"stages": {"app": "learn"}, "total": 5, "statements": [
                line(Value::Null, false), line(Value::Null, true), line(json!([]), false), line(json!(["rows to 1e2"]), false),
            ]}),
            false,
        );
        for part in [
            "role app: learn",
            "learned, not approved",
            "REFUSED, not approved",
            "approved (no reach), since seen further",
            "from 10.0.0.0/24: approved\n",
            "reach: rows to 1e2",
            "1 more",
        ] {
            assert!(shown.contains(part), "{part}\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'));
        let budgets = json!([{"role": "app", "within": "hour", "measure": "rows", "usual": 40, "greatest": 60, "windows": 2000, "proposed": 120}]);
        assert!(page(&json!({"budgets": budgets}), false).contains("role app: 120 rows per hour"));
        assert!(page(&json!({}), true).contains("Nothing waits"));
    }
}
