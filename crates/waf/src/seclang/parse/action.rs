//! What a rule does: `id:1,phase:2,t:none,t:lowercase,deny,msg:'…',setvar:'tx.score=+5'`.

use super::super::ast::{Actions, Disruptive, Scope, Text, Transformation};
use super::super::diagnostic::{Problems, nearest};
use super::text::{Joined, Part};
use super::{effect, macros};

/// One action as it is written.
pub(super) struct Written<'a> {
    /// Its name as the reference spells it.
    name: &'static str,
    /// Name and value.
    pub(super) whole: Part<'a>,
    /// What stands behind the colon, without quotes.
    value: Option<Joined>,
}

/// The actions of a list. What is wrong is left out and told of, so that all of it is told at once.
pub(super) fn actions(list: &Joined, problems: &mut Problems) -> Actions {
    let list = list.whole();
    let mut actions = Actions { span: Some(list.span()), ..Actions::default() };
    let mut rest = skip(list);
    while !rest.text().is_empty() {
        let (written, after) = next(rest, problems);
        rest = skip(after);
        if let Some(written) = written {
            take(&written, &mut actions, problems);
        }
    }
    actions
}

/// Past blanks and commas: a comma too many changes nothing.
fn skip(list: Part<'_>) -> Part<'_> {
    let rest = list.text().trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    list.from(list.text().len() - rest.len())
}

/// The action that begins here, and what comes behind it.
fn next<'a>(list: Part<'a>, problems: &mut Problems) -> (Option<Written<'a>>, Part<'a>) {
    let text = list.text();
    let name_end = text.find([':', ',']).unwrap_or(text.len());
    let name = list.part(0..name_end).trim();
    if !text.get(name_end..).is_some_and(|rest| rest.starts_with(':')) {
        return (written(name, list.part(0..name_end).trim(), None, problems), list.from(name_end));
    }
    let behind = list.from(name_end + 1);
    let blanks = behind.text().len() - behind.text().trim_start().len();
    let start = name_end + 1 + blanks;
    let value = list.from(start);
    if value.text().starts_with('\'') {
        let inner = value.from(1);
        let Some(close) = inner.quoted_until('\'') else {
            problems
                .refuse(value.span(), "the quote that begins this value does not end")
                .help("`\\'` stands for `'` in it");
            return (None, list.from(text.len()));
        };
        let end = start + close + 2;
        let after = list.from(end);
        let until = after.text().find(',').unwrap_or(after.text().len());
        if !after.part(0..until).text().trim().is_empty() {
            problems
                .refuse(after.part(0..until).trim().span(), "something stands between this value and the next comma")
                .help("actions are separated by commas; `\\'` stands for `'` in a quoted value");
        }
        let value = inner.part(0..close).unescape('\'');
        return (written(name, list.part(0..end), Some(value), problems), after.from(until));
    }
    let end = value.text().find(',').unwrap_or(value.text().len());
    let plain = value.part(0..end).trim();
    if let Some(blank) = plain.text().find(char::is_whitespace) {
        problems
            .refuse(plain.from(blank).trim().span(), "a value with blanks in it is not quoted")
            .help(format!("`{}:'…'`, or a comma where the next action begins", name.text()));
        return (None, value.from(end));
    }
    (written(name, list.part(0..start + end).trim(), Some(plain.copied()), problems), value.from(end))
}

fn written<'a>(name: Part<'a>, whole: Part<'a>, value: Option<Joined>, problems: &mut Problems) -> Option<Written<'a>> {
    let spelled = name.text();
    if let Some((known, takes)) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(spelled)) {
        match (takes, &value) {
            (Nothing, Some(_)) => _ = problems.refuse(whole.span(), format!("`{known}` takes no value")),
            (Value, None) => _ = problems.refuse(whole.span(), format!("`{known}` needs a value")),
            _ => return Some(Written { name: known, whole, value }),
        }
        return None;
    }
    if let Some((known, why)) = UNSUPPORTED.iter().find(|(known, _)| known.eq_ignore_ascii_case(spelled)) {
        problems.refuse(whole.span(), format!("the action `{known}` is not supported: {why}"));
        return None;
    }
    let problem = problems.refuse(name.span(), format!("no action is called `{spelled}`"));
    if let Some(near) = nearest(spelled, NAMES.iter().map(|(known, _)| *known)) {
        problem.help(format!("`{near}` is"));
    }
    None
}

#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    Value,
    Either,
}

use Takes::{Either, Nothing, Value};

const NAMES: &[(&str, Takes)] = &[
    ("accuracy", Value),
    ("allow", Either),
    ("auditlog", Nothing),
    ("block", Nothing),
    ("capture", Nothing),
    ("chain", Nothing),
    ("ctl", Value),
    ("deny", Nothing),
    ("drop", Nothing),
    ("expirevar", Value),
    ("id", Value),
    ("initcol", Value),
    ("log", Nothing),
    ("logdata", Value),
    ("maturity", Value),
    ("msg", Value),
    ("multiMatch", Nothing),
    ("noauditlog", Nothing),
    ("nolog", Nothing),
    ("pass", Nothing),
    ("phase", Value),
    ("redirect", Value),
    ("rev", Value),
    ("setenv", Value),
    ("setrsc", Value),
    ("setsid", Value),
    ("setuid", Value),
    ("setvar", Value),
    ("severity", Value),
    ("skip", Value),
    ("skipAfter", Value),
    ("status", Value),
    ("t", Value),
    ("tag", Value),
    ("ver", Value),
    ("xmlns", Value),
];

/// Actions of the language that the gate does not do, and that a rule cannot be without.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("append", "pages are not rewritten"),
    ("deprecatevar", "a variable of a collection can expire (`expirevar`), not decay"),
    ("exec", "rules start no program"),
    ("pause", "a connection that is held costs the gate more than the visitor; `drop` closes it"),
    ("prepend", "pages are not rewritten"),
    ("proxy", "where requests go is `upstreams` of the platform"),
    ("sanitiseArg", MASKED),
    ("sanitiseMatched", MASKED),
    ("sanitiseMatchedBytes", MASKED),
    ("sanitiseRequestHeader", MASKED),
    ("sanitiseResponseHeader", MASKED),
    ("sanitizeArg", MASKED),
    ("sanitizeMatched", MASKED),
    ("sanitizeMatchedBytes", MASKED),
    ("sanitizeRequestHeader", MASKED),
    ("sanitizeResponseHeader", MASKED),
];

const MASKED: &str = "nothing masks values in the journal for a rule; leave the value out of `logdata` instead";

fn take(written: &Written<'_>, actions: &mut Actions, problems: &mut Problems) {
    let whole = written.whole;
    let absent = whole.copied();
    let value = written.value.as_ref().unwrap_or(&absent).whole();
    match written.name {
        "id" => once(&mut actions.id, id(value, problems), whole, problems),
        "phase" => once(&mut actions.phase, phase(value, problems), whole, problems),
        "status" => once(&mut actions.status, ranged(value, 100, 599, problems), whole, problems),
        "severity" => once(&mut actions.severity, severity(value, problems), whole, problems),
        "maturity" => once(&mut actions.maturity, ranged(value, 0, 10, problems), whole, problems),
        "accuracy" => once(&mut actions.accuracy, ranged(value, 0, 10, problems), whole, problems),
        "skip" => once(&mut actions.skip, ranged(value, 1, u32::MAX, problems), whole, problems),
        "skipAfter" => once(&mut actions.skip_after, named(value, problems), whole, problems),
        "msg" => once(&mut actions.message, Some(macros::text(value, problems)), whole, problems),
        "logdata" => once(&mut actions.log_data, Some(macros::text(value, problems)), whole, problems),
        "rev" => once(&mut actions.revision, Some(value.text().to_owned()), whole, problems),
        "ver" => once(&mut actions.version, Some(value.text().to_owned()), whole, problems),
        "tag" => actions.tags.push(macros::text(value, problems)),
        "t" => transformation(value, actions, problems),
        "multiMatch" => actions.multi_match = true,
        "capture" => actions.capture = true,
        "chain" => actions.chain = true,
        // `log` and `nolog` say the same of the audit log; the last word holds.
        "log" => (actions.log, actions.audit_log) = (Some(true), Some(true)),
        "nolog" => (actions.log, actions.audit_log) = (Some(false), Some(false)),
        "auditlog" => actions.audit_log = Some(true),
        "noauditlog" => actions.audit_log = Some(false),
        "setvar" | "setenv" | "expirevar" | "initcol" | "setuid" | "setsid" | "setrsc" | "ctl" => {
            effect::effects(written.name, value, &mut actions.effects, problems);
        }
        // Without expressions over XML, a prefix for them changes nothing.
        "xmlns" => {}
        _ => once(&mut actions.disruptive, disruptive(written, value, problems), whole, problems),
    }
}

/// What is said twice must be the same: which of two holds would be a guess.
fn once<T: PartialEq>(slot: &mut Option<T>, value: Option<T>, whole: Part<'_>, problems: &mut Problems) {
    let Some(value) = value else { return };
    if slot.as_ref().is_some_and(|first| *first != value) {
        problems.refuse(whole.span(), "this contradicts what the same rule says before it");
        return;
    }
    *slot = Some(value);
}

fn disruptive(written: &Written<'_>, value: Part<'_>, problems: &mut Problems) -> Option<Disruptive> {
    Some(match written.name {
        "pass" => Disruptive::Pass,
        "block" => Disruptive::Block,
        "deny" => Disruptive::Deny,
        "drop" => Disruptive::Drop,
        "redirect" => Disruptive::Redirect(location(value, problems)?),
        _ if written.value.is_none() => Disruptive::Allow(Scope::Transaction),
        _ => Disruptive::Allow(match value.text().to_ascii_lowercase().as_str() {
            "phase" => Scope::Phase,
            "request" => Scope::Request,
            _ => {
                problems.refuse(value.span(), "`allow` is followed by nothing, `:phase` or `:request`");
                return None;
            }
        }),
    })
}

fn location(value: Part<'_>, problems: &mut Problems) -> Option<Text> {
    if value.text().is_empty() {
        problems.refuse(value.span(), "a redirection needs an address");
        return None;
    }
    Some(macros::text(value, problems))
}

fn id(value: Part<'_>, problems: &mut Problems) -> Option<u32> {
    ranged(value, 1, u32::MAX, problems)
}

/// A whole number within bounds.
fn ranged<T>(value: Part<'_>, least: T, most: T, problems: &mut Problems) -> Option<T>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let number = value.text().parse().ok().filter(|number| (&least..=&most).contains(&number));
    if number.is_none() {
        problems.refuse(value.span(), format!("`{}` is no whole number from {least} to {most}", value.text()));
    }
    number
}

fn phase(value: Part<'_>, problems: &mut Problems) -> Option<u8> {
    match value.text().to_ascii_lowercase().as_str() {
        "request" => Some(2),
        "response" => Some(4),
        "logging" => Some(5),
        _ => ranged(value, 1, 5, problems),
    }
}

fn severity(value: Part<'_>, problems: &mut Problems) -> Option<u8> {
    const NAMES: [&str; 8] = ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"];
    let named = NAMES.iter().zip(0..).find(|(name, _)| name.eq_ignore_ascii_case(value.text()));
    let severity =
        named.map(|(_, severity)| severity).or_else(|| value.text().parse().ok().filter(|number| *number <= 7));
    if severity.is_none() {
        problems
            .refuse(value.span(), format!("`{}` is no severity", value.text()))
            .help(format!("a number from 0 to 7, or {}", NAMES.join(", ")));
    }
    severity
}

fn named(value: Part<'_>, problems: &mut Problems) -> Option<String> {
    if value.text().is_empty() {
        problems.refuse(value.span(), "a name is missing");
        return None;
    }
    Some(value.text().to_owned())
}

fn transformation(value: Part<'_>, actions: &mut Actions, problems: &mut Problems) {
    if value.text().eq_ignore_ascii_case("none") {
        actions.transformations.clear();
        actions.fresh = true;
        return;
    }
    if let Some(known) = Transformation::from_name(value.text()) {
        actions.transformations.push(known);
        return;
    }
    let problem = problems.refuse(value.span(), format!("no transformation is called `{}`", value.text()));
    if let Some(near) = nearest(value.text(), Transformation::ALL.iter().map(|known| known.name())) {
        problem.help(format!("`{near}` is"));
    }
}
