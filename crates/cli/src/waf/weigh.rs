//! A change of inspection tried on what is on record, before it is made: what would be refused then and is not now, what would pass,
//! and whom that concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use portcullis_config::{Inspection, Policy};
use serde_json::{Value, json};

use super::promote::{changed, changes, left_out};
use super::recorded::{Book, Record};
use super::trial::{PASSES, Trials, Without};
use super::tune::{NO_TIME, audiences, key, visitors};
use crate::args::Part;
use crate::configuration::Read;

/// References that are named of each.
const MOST_REFERENCES: usize = 5;

/// What is to be another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Edit {
    /// What a route leaves out, too, as `exclude` writes it.
    Exclude(Vec<String>),
    /// Whether it refuses or only observes, wholly or in part.
    Refuses(bool, Option<Part>),
}

/// A change of a configuration that has not been made.
#[derive(Debug)]
pub(crate) struct Edited {
    pub(crate) text: String,
    pub(crate) before: Policy,
    pub(crate) after: Policy,
    /// What it does, in a line.
    pub(crate) words: String,
}

impl Edit {
    /// Makes it in a text that lies at `path`; `place` is a platform or a route of it, as `waf promote` has it.
    pub(crate) fn make(&self, path: &Path, text: &str, place: &str) -> Result<Edited, String> {
        let read = |text: &str| Read::text(path.display().to_string(), path, text.to_owned()).settle_quietly();
        let before = read(text)?;
        let (after_text, words) = match self {
            Self::Exclude(exclude) => {
                (left_out(text, &before, place, exclude)?, format!("{} is left out on {place}", exclude.join(", ")))
            }
            Self::Refuses(refuses, only) => {
                let (text, _) = changed(text, &before, place, (*refuses, *only))?;
                (text, String::new())
            }
        };
        let after = read(&after_text)?;
        portcullis_proxy::inspectors::check(&after)?;
        let words = if words.is_empty() { changes(&before, &after).join("; ") } else { words };
        Ok(Edited { text: after_text, before, after, words })
    }
}

/// One route, before and after.
#[derive(Default)]
struct Row {
    records: usize,
    refused_now: usize,
    refused_then: usize,
    /// Positions of records that are refused now and would pass.
    released: Vec<usize>,
    /// Of records that pass now and would be refused.
    caught: Vec<usize>,
}

/// Tries every record of the routes that a change concerns, the newest first, until `over` says that there is no time left.
pub(crate) fn tried(book: &Book, edited: &Edited, over: &dyn Fn() -> bool) -> Value {
    let concerned = concerned(&edited.before, &edited.after);
    let [mut before, mut after] = [&edited.before, &edited.after].map(|policy| Trials::new(policy.clone()));
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    let mut untried: BTreeMap<String, usize> = BTreeMap::new();
    let mut known: BTreeMap<String, Result<[bool; 2], String>> = BTreeMap::new();
    for (at, record) in book.records.iter().enumerate().rev() {
        let place = (record.platform.clone(), record.route.clone());
        let Some([was, is]) = concerned.get(&place) else { continue };
        let row = rows.entry(place).or_default();
        row.records += 1;
        if over() {
            *untried.entry(NO_TIME.to_owned()).or_default() += 1;
            continue;
        }
        let verdicts = known.entry(key(record)).or_insert_with(|| {
            let now = match before.again(record) {
                Ok(outcome) => outcome.refused(was),
                Err(why) if why == PASSES => false,
                Err(why) => return Err(why),
            };
            let inspector = after.inspector(is)?;
            Ok([now, after.put(&inspector, record, &Without::default()).refused(is)])
        });
        let [now, then] = match verdicts {
            Ok(verdicts) => *verdicts,
            Err(why) => {
                *untried.entry(why.clone()).or_default() += 1;
                continue;
            }
        };
        row.refused_now += usize::from(now);
        row.refused_then += usize::from(then);
        match (now, then) {
            (true, false) => row.released.push(at),
            (false, true) => row.caught.push(at),
            _ => {}
        }
    }
    let rows = rows.iter().map(|((platform, route), row)| {
        json!({
            "platform": platform,
            "route": route,
            "records": row.records,
            "refused_now": row.refused_now,
            "refused_then": row.refused_then,
            "released": group(&book.records, &row.released),
            "caught": group(&book.records, &row.caught),
        })
    });
    json!({
        "records": book.records.len(),
        "older_left_out": book.left,
        "routes": rows.collect::<Vec<_>>(),
        "not_tried": untried.iter().map(|(why, count)| json!({"why": why, "records": count})).collect::<Vec<_>>(),
    })
}

/// Routes that are inspected otherwise, with how.
fn concerned<'a>(before: &'a Policy, after: &'a Policy) -> BTreeMap<(String, String), [&'a Inspection; 2]> {
    let mut concerned = BTreeMap::new();
    for (old, new) in before.platforms.iter().zip(&after.platforms) {
        for was in &old.routes {
            let is = new.routes.iter().find(|route| route.path == was.path);
            if let Some(is) = is.filter(|is| is.inspection != was.inspection) {
                concerned.insert((new.name.clone(), was.path.to_string()), [&was.inspection, &is.inspection]);
            }
        }
    }
    concerned
}

fn group(records: &[Record], at: &[usize]) -> Value {
    let references: BTreeSet<&str> =
        at.iter().take(MOST_REFERENCES).filter_map(|at| Some(records.get(*at)?.reference.as_str())).collect();
    json!({
        "records": at.len(),
        "visitors": visitors(records, at),
        "audience": audiences(records, at).into_iter().collect::<BTreeMap<_, _>>(),
        "references": references,
    })
}

#[cfg(test)]
mod tests {
    use portcullis_proxy::journal::Evidence;

    use super::super::recorded::record;
    use super::*;

    const TEXT: &str = "[[listener]]\nname = \"http\"\nbind = \"127.0.0.1:1\"\n[[platform]]\nname = \"public\"\n\
        hosts = [\"example.org\"]\nupstreams = [\"http://127.0.0.1:8080\"]\n[[platform.route]]\npath = \"/forum/**\"\n\
        [platform.route.waf]\nmode = \"enforce\"\n";
    const UNION: &str = "the credit' union select password from users-- -";

    /// A request with this value of `text`, as the log has it.
    fn seen(reference: &str, route: &str, value: &str, refused: bool) -> Record {
        let value = json!({"place": "query", "name": "text", "value": value});
        let hits =
            json!([{"family": "sql", "targets": ["ARGS_GET:text"], "part": "union select", "why": "it asks for more"}]);
        let evidence = json!({"values": [value], "hits": hits});
        let parsed: Evidence = serde_json::from_value(evidence.clone()).expect("as it is written");
        assert_eq!(parsed.hits.len(), 1);
        let observed = json!([{"reason": "attack-detected"}]);
        record(&json!({
            "t": "2026-11-03T17:00:00Z", "ref": reference, "platform": "public", "route": route, "client": "192.0.2.7",
            "trust": "history", "method": "GET", "host": "example.org", "path": "/forum/new", "evidence": evidence,
            "reason": if refused { "attack-detected" } else { "" }, "observed": if refused { json!([]) } else { observed },
        }))
        .expect("a record")
    }

    fn make(edit: &Edit, text: &str, place: &str) -> Edited {
        edit.make(Path::new("gate.toml"), text, place).expect("made")
    }

    #[test]
    fn an_exclusion_releases_what_it_is_for_and_a_promotion_catches() {
        let records = vec![
            seen("AAAAAAAAAAAAA", "/forum/**", UNION, true),
            seen("BBBBBBBBBBBBB", "/forum/**", UNION, true),
            seen("CCCCCCCCCCCCC", "/**", UNION, true),
            seen("DDDDDDDDDDDDD", "/forum/**", "nothing of that kind", true),
        ];
        let book = Book { records, left: 0 };
        let exclude = Edit::Exclude(vec!["sql ARGS_GET:text".to_owned()]);
        let edited = make(&exclude, TEXT, "public/forum/**");
        assert_eq!(edited.words, "sql ARGS_GET:text is left out on public/forum/**");
        let told = tried(&book, &edited, &|| false);
        let [row] = told["routes"].as_array().expect("rows").as_slice() else { panic!("one route: {told}") };
        assert_eq!(
            (&row["records"], &row["refused_now"], &row["refused_then"]),
            (&json!(3), &json!(2), &json!(0)),
            "{told}"
        );
        assert_eq!((&row["released"]["records"], &row["released"]["visitors"]), (&json!(2), &json!(1)));
        assert_eq!((&row["released"]["audience"], &row["caught"]["records"]), (&json!({"known": 1}), &json!(0)));

        let observe = make(&Edit::Refuses(false, Some(Part::Detection)), TEXT, "public/forum/**");
        assert_eq!(observe.words, "public/forum/**: detection enforce -> observe");
        assert_eq!(tried(&book, &observe, &|| false)["routes"][0]["refused_then"], 0);
        let back = make(&Edit::Refuses(true, None), &observe.text, "public/forum/**");
        let told = tried(&book, &back, &|| false);
        assert_eq!(
            (&told["routes"][0]["refused_now"], &told["routes"][0]["caught"]["records"]),
            (&json!(0), &json!(2))
        );
        let rushed = tried(&book, &back, &|| true);
        assert_eq!((&rushed["not_tried"][0]["records"], &rushed["routes"][0]["refused_then"]), (&json!(3), &json!(0)));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let wrong = |edit: Edit, place: &str| edit.make(Path::new("gate.toml"), TEXT, place).expect_err("refused");
        assert!(wrong(Edit::Refuses(true, None), "public/forum/**").contains("nothing there is set to `observe`"));
        assert!(
            wrong(Edit::Exclude(vec!["no such family".to_owned()]), "public/**").contains("`exclude` cannot"),
            "checked"
        );
        assert!(wrong(Edit::Refuses(false, None), "elsewhere").contains("no platform"));
    }
}
