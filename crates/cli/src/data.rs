//! `portcullis data`: what left through the running gate, which budgets it proposes, and putting one in force.
//!
//! A proposal changes nothing by itself: a person approves it, and that is written down.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis_config::Policy;
use portcullis_control::model::{self, Checked};
use portcullis_proxy::journal::Change as Recorded;
use serde_json::{Value, json};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use crate::args::{Approve, AskData};
use crate::configuration::Read;
use crate::remote::{Acted, Far, Request};
use crate::waf::promote::{self, DRY, differing, in_force, lines, replace, uid, who};
use crate::world::plain;
use crate::{Done, Failure, operate, talk};

/// Shows what left, or approves a budget.
pub(crate) fn run(ask: &AskData) -> Done {
    match ask {
        AskData::Report(gate) => {
            let whole = operate::whole(gate)?;
            let leaving = whole.get("leaving").cloned().unwrap_or_default();
            if gate.json { talk::answer(&format!("{leaving}\n")) } else { talk::answer(&shown(&leaving)) }
        }
        AskData::Approve(flags) => approve(flags),
    }
}

/// What left, in lines.
pub(crate) fn shown(leaving: &Value) -> String {
    let number = |key: &str| leaving.get(key).and_then(Value::as_u64).unwrap_or_default();
    let pairs = |key: &str| {
        let pairs = leaving.get(key).and_then(Value::as_object).into_iter().flatten();
        pairs.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!(
        "Leaving: {} answers looked at, {} bytes of text; {} records, {} of them exported as declared\n",
        number("answers"),
        number("text_bytes"),
        number("records"),
        number("exported")
    );
    for (key, words) in [("values", "different values"), ("unread_bytes", "bytes not looked at")] {
        let said = pairs(key);
        if !said.is_empty() {
            let _ = writeln!(text, "  {words}: {said}");
        }
    }
    let _ = writeln!(text, "  canaries: {} planted, {} alarms", number("canaries"), number("canary_alarms"));
    let list = |key: &str| leaving.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let said = |value: &Value, key: &str| match value.get(key) {
        Some(Value::String(text)) => text.chars().filter(|it| !it.is_control()).collect(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    for alarm in list("alarms") {
        let way = if alarm.get("asked") == Some(&Value::Bool(true)) { "was brought back to" } else { "was seen on" };
        let [canary, platform, path, client, reference] =
            ["canary", "platform", "path", "client", "reference"].map(|key| said(&alarm, key));
        let _ = writeln!(text, "  ALARM canary {canary} {way} {platform}{path} by {client}, reference {reference}");
    }
    for proposal in list("proposals") {
        let [platform, route, records, usual, most, hours] =
            ["platform", "route", "records", "usual", "most", "hours"].map(|key| said(&proposal, key));
        let _ = writeln!(
            text,
            "  proposed for {platform}{route}: {records} records an hour for each session. Of {hours} hours of sessions 999 in 1,000 \
             stayed within {usual}, the most had {most}. To approve: portcullis data approve {platform}{route}"
        );
    }
    text
}

fn approve(flags: &Approve) -> Done {
    if let Some(far) = Far::of(&flags.far, &flags.config, None)? {
        return elsewhere(&far, flags);
    }
    let budget = NewBudget::of(&flags.config, &flags.place, flags.records)?;
    let said = budget.said.clone();
    if flags.dry_run {
        return talk::answer(&(said + DRY));
    }
    let done = budget.put(|before, words| in_force(before, &Recorded { by: who(), uid: uid(), words }))?;
    talk::answer(&(said + &done))
}

/// The same on a gate elsewhere: what was tried is made, or nothing is.
fn elsewhere(far: &Far, flags: &Approve) -> Done {
    let place = flags.place.clone();
    let records = match flags.records {
        Some(records) => records,
        None => suggested(&far.get("/api/v1/data")?, &place)?,
    };
    let budget = model::NewBudget { place, records, base: None };
    let Checked { digest, diff, file, .. } = far.post("/api/v1/data/budgets/try", &budget)?;
    let said = format!("In {file}:\n{}", lines(&diff));
    if flags.dry_run {
        return talk::answer(&(said + DRY));
    }
    let made = json!({"place": budget.place, "records": records, "base": digest});
    let (Acted::Done(done) | Acted::Waits(done)) = far.change(Request::post("/api/v1/data/budgets", Some(made)))?;
    talk::answer(&(said + &done))
}

/// A budget that is to stand in the configuration.
pub(crate) struct NewBudget {
    path: PathBuf,
    before: Policy,
    /// The file before and after.
    pub(crate) texts: [String; 2],
    /// For the record.
    pub(crate) words: String,
    /// What changes in the file.
    said: String,
}

impl NewBudget {
    /// Looks what would change; nothing is changed. Without a number it is what the running gate proposes.
    pub(crate) fn of(config: &Path, place: &str, records: Option<u64>) -> Result<Self, Failure> {
        let path = fs::canonicalize(config)
            .map_err(|error| Failure::because(format!("cannot read {}: {}", config.display(), plain(&error))))?;
        let read = Read::file(&path).map_err(Failure::Because)?;
        let text = read.as_written().to_owned();
        let before = read.settle()?;
        let (platform, route) = promote::place(&before, place).map_err(Failure::Because)?;
        let declared = route.and_then(|route| before.platforms.get(platform)?.routes.get(route));
        let Some(declared) = declared else { return Err(Failure::because("name a route: PLATFORM/ROUTE")) };
        let records = records.map_or_else(|| proposed(&before.server.control, place), Ok)?;
        let has_sessions = before.platforms.get(platform).is_some_and(|platform| platform.session_cookie.is_some());
        let who_has = if has_sessions { "session" } else { "prefix" };
        let after = edit(&text, platform, &declared.path.to_string(), (who_has, records)).map_err(Failure::Because)?;
        Read::text(path.display().to_string(), &path, after.clone()).settle()?;
        let said = format!("In {}:\n{}", path.display(), differing(&text, &after));
        let words = format!("data approve {place}: {records} records an hour by {who_has}");
        Ok(Self { path, before, texts: [text, after], words, said })
    }

    /// Writes it and has it put in force; where that is refused the file is as it was.
    pub(crate) fn put(
        self,
        in_force: impl FnOnce(&Policy, String) -> Result<String, Failure>,
    ) -> Result<String, Failure> {
        let Self { path, before, texts: [old, new], words, .. } = self;
        replace(&path, new.as_bytes())
            .map_err(|error| Failure::because(format!("cannot write {}: {}", path.display(), plain(&error))))?;
        in_force(&before, words).inspect_err(|_| {
            if let Err(error) = replace(&path, old.as_bytes()) {
                talk::error(&format!("{} could not be put back: {}", path.display(), plain(&error)));
            }
        })
    }
}

/// What the running gate proposes for a route.
fn proposed(control: &Path, wanted: &str) -> Result<u64, Failure> {
    suggested(operate::ask_status(control)?.get("leaving").unwrap_or(&Value::Null), wanted)
}

/// The same, of what left.
fn suggested(leaving: &Value, wanted: &str) -> Result<u64, Failure> {
    let proposals = leaving.get("proposals").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let found = proposals.iter().find(|one| format!("{}{}", text(one, "platform"), text(one, "route")) == wanted);
    found.and_then(|one| one.get("records")?.as_u64()).ok_or_else(|| {
        Failure::because("the gate proposes nothing there yet: it needs 200 hours of sessions; say --records to set a number yourself")
    })
}

/// The text with the budget in the table of the route; one by the same key over an hour is replaced.
fn edit(text: &str, platform: usize, path: &str, (who, records): (&str, u64)) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("the file cannot be edited: {error}"))?;
    let by_hand = || "the route is not written as [[platform.route]] in the file: add it there first".to_owned();
    let platforms = document.get_mut("platform").and_then(Item::as_array_of_tables_mut).ok_or_else(by_hand)?;
    let table = platforms.get_mut(platform).ok_or_else(by_hand)?;
    let routes = table.get_mut("route").and_then(Item::as_array_of_tables_mut).ok_or_else(by_hand)?;
    let is_it = |table: &&mut Table| table.get("path").and_then(Item::as_str) == Some(path);
    let route = routes.iter_mut().find(is_it).ok_or_else(by_hand)?;
    let budgets = route.entry("budget").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let budgets = budgets.as_array_of_tables_mut().ok_or_else(by_hand)?;
    let records = i64::try_from(records).map_err(|_| "that is no number of records".to_owned())?;
    let said = |table: &Table, key: &str| table.get(key).and_then(Item::as_str).map(str::to_owned);
    let same = budgets
        .iter_mut()
        .find(|table| said(table, "who").as_deref() == Some(who) && said(table, "over").as_deref() == Some("hour"));
    match same {
        Some(known) => known["records"] = value(records),
        None => {
            let mut budget = Table::new();
            budget["who"] = value(who);
            budget["over"] = value("hour");
            budget["records"] = value(records);
            budgets.push(budget);
        }
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[[platform]]\nname = \"members\"\n\n[[platform.route]]\npath = \"/list\" # all of them\n";

    #[test]
    fn what_the_gate_suggests_is_of_one_route() {
        let leaving = json!({"proposals": [
            {"platform": "members", "route": "/list", "records": 60}, {"platform": "members", "route": "/", "records": 7},
        ]});
        assert_eq!(suggested(&leaving, "members/list").ok(), Some(60));
        for (leaving, place) in
            [(&leaving, "members/lis"), (&json!({}), "members/list"), (&Value::Null, "members/list")]
        {
            assert!(suggested(leaving, place).is_err(), "{place}");
        }
    }

    #[test]
    fn an_approved_budget_is_one_table_more_or_one_number_changed() {
        let once = edit(TEXT, 0, "/list", ("session", 200)).expect("edited");
        let added = "\n[[platform.route.budget]]\nwho = \"session\"\nover = \"hour\"\nrecords = 200\n";
        assert_eq!(once, format!("{TEXT}{added}"));
        let twice = edit(&once, 0, "/list", ("session", 300)).expect("edited");
        assert_eq!(twice, once.replace("200", "300"));
        assert!(edit(TEXT, 0, "/other", ("session", 200)).is_err());
    }
}
