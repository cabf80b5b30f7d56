//! `portcullis pg`: what applications were seen to run on a database, what of it may run, and the step from one to the other.
//!
//! It asks the running gate, which holds the book; what is decided is the gate's, and it is in the decision log on return.

use std::fmt::Write as _;

use portcullis_proxy::control;
use serde_json::{Value, json};

use crate::args::{AskPg, OfDatabase};
use crate::verbs::unanswered;
use crate::{Done, Failure, configuration, moment, talk};

/// Asks of `pg`.
pub(crate) fn run(ask: &AskPg) -> Done {
    match ask {
        AskPg::Show(what) => show(&what.of, what.role.as_deref(), false),
        AskPg::Diff(what) => show(&what.of, what.role.as_deref(), true),
        AskPg::Learn(what) => stage(&what.of, &what.role, "learn", false),
        AskPg::Observe(what) => stage(&what.of, &what.role, "observe", false),
        AskPg::Enforce(what) => stage(&what.role.of, &what.role.role, "enforce", what.despite),
        AskPg::Approve(what) => tell(&what.of, &json!({"do": "approve", "role": what.role, "key": what.statement})),
    }
}

fn stage(of: &OfDatabase, role: &str, stage: &str, despite: bool) -> Done {
    tell(of, &json!({"do": "stage", "role": role, "stage": stage, "despite": despite}))
}

fn show(of: &OfDatabase, role: Option<&str>, open: bool) -> Done {
    let what = if open { "diff" } else { "show" };
    let (_, value) = ask(of, &json!({"do": what, "role": role}))?;
    if of.gate.json {
        return talk::answer(&serde_json::to_string_pretty(&value).unwrap_or_default());
    }
    talk::answer(&page(&value, open))
}

fn tell(of: &OfDatabase, args: &Value) -> Done {
    let (message, _) = ask(of, args)?;
    if of.gate.json {
        return talk::answer(&json!({"ok": true, "message": message}).to_string());
    }
    talk::answer(&message)
}

fn ask(of: &OfDatabase, args: &Value) -> Result<(String, Value), Failure> {
    let socket = match &of.gate.control {
        Some(socket) => socket.clone(),
        None => configuration::policy(&of.gate.config)?.server.control,
    };
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
        let _ = writeln!(page, "  first seen {}", moment::speak(first.saturating_mul(1000)));
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
