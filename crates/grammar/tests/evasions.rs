//! `specs/pgguard-evasions`, put to the real grammar and the real policy.
//!
//! `blind-spots.toml` and `disguises.toml`: what was learned, what must then be refused, its benign twins. `forbidden.toml`: what is refused
//! whatever was learned.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use portcullis_grammar::describe;
use portcullis_pgguard::book::{Book, Stage};
use portcullis_pgguard::description::{Answer, Kind};
use portcullis_pgguard::policy::{Context, Effect, Policy, Rules, Ruling, Statement, Verdict};
use toml::{Table, Value};

/// An application, its session's prepared statements, and the guard.
struct Play {
    policy: Policy,
    prepared: BTreeMap<Box<str>, Statement>,
    context: Context,
}

impl Play {
    fn new(grants: &[Kind]) -> Self {
        let grants = grants.iter().map(|kind| ("app".into(), *kind)).collect();
        let rules = Rules { enforce: true, grants, sensitive: vec!["members".into()], ..Rules::default() };
        let context = Context {
            guard: "db".into(),
            role: "app".into(),
            database: "members".into(),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            application: "".into(),
        };
        Self { policy: Policy::new(rules, Book::default(), [7; 16]), prepared: BTreeMap::new(), context }
    }

    fn stage(&mut self, stage: Stage) {
        self.policy.book_mut().set_stage("app", stage);
    }

    fn judge(&mut self, text: &str) -> Arc<Verdict> {
        let known = self.policy.judge(text.as_bytes(), &self.context, 1);
        known.unwrap_or_else(|| self.policy.told(text.as_bytes(), describe(text.as_bytes()), &self.context, 1))
    }

    /// What becomes of a text: as the session does it, arguments of EXECUTE included.
    fn ask(&mut self, text: &str) -> Ruling {
        let verdict = self.judge(text);
        for statement in verdict.statements.iter() {
            match &statement.effect {
                Effect::Prepare { name, .. } if verdict.ruling == Ruling::Pass => {
                    self.prepared.insert(name.clone(), statement.clone());
                }
                Effect::Execute { name } => {
                    let prepared = self.prepared.get(name).cloned().unwrap_or_else(|| panic!("{name} was prepared"));
                    let ruling = self.policy.execute(&prepared, statement, &self.context, 1);
                    if ruling != Ruling::Pass {
                        return ruling;
                    }
                }
                _ => {}
            }
        }
        verdict.ruling.clone()
    }
}

fn spec(name: &str) -> Table {
    let path = format!("{}/../../specs/pgguard-evasions/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a case file").parse().expect("TOML")
}

fn texts<'a>(case: &'a Table, key: &str) -> Vec<&'a str> {
    let list = case.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).collect()
}

fn cases(file: &str, mut each: impl FnMut(&Table) -> Vec<String>) -> usize {
    let spec = spec(file);
    let cases = spec["case"].as_array().expect("cases");
    let wrong: Vec<String> = cases.iter().flat_map(|case| each(case.as_table().expect("a case"))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    cases.len()
}

#[test]
fn what_asks_for_more_than_was_learned_is_refused() {
    for (file, least) in [("blind-spots.toml", 20), ("disguises.toml", 8)] {
        let count = cases(file, |case| {
            let name = case["name"].as_str().unwrap();
            let grants: Vec<Kind> = texts(case, "grants").iter().map(|code| Kind::from_code(code).unwrap()).collect();
            let mut wrong = Vec::new();
            let mut play = Play::new(&grants);
            play.stage(Stage::Learn);
            for text in texts(case, "learned") {
                if play.ask(text) != Ruling::Pass {
                    wrong.push(format!("{name}: could not be learned: {text}"));
                }
            }
            assert!(play.policy.book_mut().approve(Some("app"), None) > 0, "{name}");
            play.stage(Stage::Enforce);
            for text in texts(case, "learned").into_iter().chain(texts(case, "benign")) {
                if let Ruling::Refused(denial) | Ruling::Observed(denial) = play.ask(text) {
                    wrong.push(format!("{name}: refused, and benign: {text}\n    {}", denial.detail));
                }
            }
            for text in texts(case, "attack") {
                if !matches!(play.ask(text), Ruling::Refused(_)) {
                    wrong.push(format!("{name}: passed: {text}"));
                }
            }
            assert!(!texts(case, "attack").is_empty() && !texts(case, "benign").is_empty(), "{name}");
            wrong
        });
        assert!(count >= least, "{file}");
    }
}

#[test]
fn the_blind_spots_are_ones_of_the_fingerprint() {
    // The canary of the cases above: where the policy looked at the fingerprint alone, each class would pass.
    let fingerprint = |text: &str| match describe(text.as_bytes()) {
        Answer::Described(statements) => statements.iter().map(|one| one.fingerprint).collect::<Vec<_>>(),
        Answer::Unreadable(why) => panic!("{text}: {why:?}"),
    };
    let mut blind = 0;
    cases("blind-spots.toml", |case| {
        let learned: Vec<_> = texts(case, "learned").into_iter().map(fingerprint).collect();
        blind += usize::from(texts(case, "attack").into_iter().map(fingerprint).any(|print| learned.contains(&print)));
        vec![]
    });
    assert!(blind >= 16, "{blind}");
}

#[test]
fn what_is_always_refused_is_found_wherever_it_stands() {
    let spec = spec("forbidden.toml");
    let mut met = Vec::new();
    for entry in spec["statement"].as_array().unwrap() {
        let entry = entry.as_table().unwrap();
        let kind = entry.get("kind").map(|code| Kind::from_code(code.as_str().unwrap()).expect("a kind"));
        met.extend(kind);
        for text in texts(entry, "text") {
            let Answer::Described(statements) = describe(text.as_bytes()) else { panic!("{text}: unreadable") };
            let kinds: Vec<Kind> = statements.iter().flat_map(|one| one.kinds.clone()).collect();
            match kind {
                Some(kind) => assert!(kinds.contains(&kind), "{text}: {kinds:?}"),
                None => assert_eq!(kinds, [], "{text}"),
            }
            let refused = matches!(Play::new(&[]).ask(text), Ruling::Refused(_));
            assert_eq!(refused, kind.is_some(), "{text}");
        }
    }
    assert_eq!(Kind::ALL.iter().filter(|kind| !met.contains(kind)).count(), 0, "a kind without a case");
}

#[test]
fn a_grant_is_of_one_kind_and_one_role() {
    let mut play = Play::new(&[Kind::Truncate]);
    assert_eq!(play.ask("TRUNCATE t"), Ruling::Pass);
    assert!(matches!(play.ask("DROP TABLE t"), Ruling::Refused(_)));
    play.context.role = "other".into();
    assert!(matches!(play.ask("TRUNCATE t"), Ruling::Refused(_)));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let mut play = Play::new(&[]);
    let long = format!("SELECT '{}'", "x".repeat(300_000));
    let deep = format!("SELECT {}1{}", "lower(".repeat(2000), ")".repeat(2000));
    let many = "SELECT 1;".repeat(300);
    for text in ["SELEC 1", "SELECT 'a", "SELECT \"a", "$$", &long, &deep, &many] {
        assert!(matches!(play.ask(text), Ruling::Refused(_)), "{}", &text[..text.len().min(40)]);
    }
    assert_eq!(play.ask(""), Ruling::Pass, "an empty text is how drivers ask whether the server is there");
}

#[test]
fn observing_refuses_nothing_and_tells_the_same() {
    let mut play = Play::new(&[]);
    play.policy.set_rules(Rules::default());
    let Ruling::Observed(denial) = play.ask("TRUNCATE members") else { panic!("observed") };
    assert!(denial.detail.contains("truncate"));
}

#[test]
fn relations_decide_what_is_sensitive() {
    let mut play = Play::new(&[]);
    let table = [
        ("SELECT email FROM members", true),
        ("SELECT x FROM (SELECT email AS x FROM public.members m) s", true),
        ("WITH c AS (SELECT email FROM members) SELECT array_agg(c.email) FROM c", true),
        ("SELECT row_to_json(m) FROM members m", true),
        ("SELECT name FROM branches WHERE id IN (SELECT branch FROM members)", true),
        ("UPDATE members SET a = 1 WHERE id = 1 RETURNING *", true),
        ("WITH members AS (SELECT 1 AS a) SELECT a FROM members", false),
        ("SELECT 'members' FROM branches", false),
    ];
    for (text, sensitive) in table {
        let verdict = play.judge(text);
        assert_eq!(verdict.statements.iter().any(|one| one.sensitive), sensitive, "{text}");
    }
}
