//! The logs in `specs/replay`, each with what must come of it, and what follows from logs that are made here.

#![expect(clippy::disallowed_methods, reason = "the cases are files")]

use std::fs;
use std::io::{self, Cursor};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use portcullis_config::{CertificateFacts, Exclusion, Policy, RuleFault, RuleFiles, World, load};
use portcullis_engine::{self as engine, Declaration, Settings};
use serde_json::Value;

use super::{Report, Setting, Source, keys, replay};

/// Where the corpora are, if they are on this machine: a directory.
const CORPORA: &str = "CORPORA";

/// A machine with nothing on it: the configurations of the cases need nothing.
struct Nothing;

impl World for Nothing {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn certificate(&self, _: &[u8], _: &[u8]) -> Result<CertificateFacts, String> {
        Err("none".to_owned())
    }

    fn rules(&self, _: &[PathBuf]) -> Result<RuleFiles, Vec<RuleFault>> {
        Ok(RuleFiles::default())
    }

    fn exclusion(&self, _: &Exclusion) -> Result<(), RuleFault> {
        Ok(())
    }

    fn canaries(&self, _: &[u8], _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn geography(&self, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn cores(&self) -> usize {
        1
    }
}

fn policy(text: &str) -> Policy {
    let outcome = load(Path::new("gate.toml"), text, &Nothing);
    assert!(outcome.problems.is_empty(), "{:?}\n{text}", outcome.problems);
    outcome.policy.expect("no problem")
}

fn declaration(policy: &Policy) -> Declaration {
    let platforms = policy.platforms.iter().map(|platform| engine::Platform {
        name: platform.name.clone(),
        concurrency: Vec::new(),
        routes: platform
            .routes
            .iter()
            .map(|route| engine::Route {
                path: route.path.to_string(),
                class: route.class,
                challenge: true,
                rates: route
                    .rates
                    .iter()
                    .map(|rate| engine::Rate {
                        key: rate.key,
                        per_second: rate.per_second,
                        burst: rate.burst,
                        mode: rate.mode,
                    })
                    .collect(),
            })
            .collect(),
    });
    Declaration { platforms: platforms.collect(), ..Declaration::default() }
}

fn play(text: &str, platform: Option<&str>, log: Vec<u8>) -> Result<Report, String> {
    let policy = policy(text);
    let (declaration, settings) = (declaration(&policy), Settings::default());
    let setting = Setting { policy: &policy, text, declaration: &declaration, settings: &settings, platform };
    replay(setting, vec![Source { name: "access.log".to_owned(), reader: Box::new(Cursor::new(log)) }])
}

fn specs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../specs/replay")
}

/// Everything that is expected is there and equal; what is not expected may be anything.
fn holds(expected: &Value, found: &Value, place: &str, wrong: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (key, value) in expected {
                holds(value, found.get(key).unwrap_or(&Value::Null), &format!("{place}.{key}"), wrong);
            }
        }
        _ if expected == found => {}
        _ => wrong.push(format!("{place}: expected {expected}, found {found}")),
    }
}

#[test]
fn every_log_of_the_specification_gives_what_stands_beside_it() {
    let text = fs::read_to_string(specs().join("gate.toml")).expect("the configuration");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(specs()).expect("the cases").map(|entry| entry.expect("an entry").path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    cases.sort();
    assert!(cases.len() >= 6, "{cases:?}");
    for case in cases {
        let log = fs::read(&case).expect("the log");
        let beside: Value =
            serde_json::from_slice(&fs::read(case.with_extension("json")).expect("what must come of it"))
                .expect("JSON");
        let platform = beside.get("platform").and_then(Value::as_str);
        let report = play(&text, platform, log).expect("a report");
        let found: Value = serde_json::from_str(&report.json()).expect("JSON");
        let mut wrong = Vec::new();
        holds(&beside["expect"], &found, "", &mut wrong);
        assert!(wrong.is_empty(), "{}:\n{}", case.display(), wrong.join("\n"));
        assert!(report.text().contains("Whom it would have hit"), "{}", report.text());
    }
}

#[test]
fn a_log_without_hosts_needs_a_platform_unless_there_is_only_one() {
    let text = fs::read_to_string(specs().join("gate.toml")).expect("the configuration");
    let line = b"192.0.2.1 - - [17/May/2026:20:15:07 +0200] \"GET / HTTP/1.1\" 200 1\n".to_vec();
    let why = play(&text, None, line.clone()).expect_err("two platforms");
    assert!(why.contains("--platform") && why.contains("public, members"), "{why}");
    assert!(play(&text, Some("nobody"), line.clone()).expect_err("no such platform").contains("no platform `nobody`"));
    let one = text.split("[[platform]]").take(2).collect::<Vec<_>>().join("[[platform]]");
    let report = play(&one, None, line).expect("one platform");
    assert_eq!(report.platforms["public"].requests, 1);
    let why = play(&one, None, b"nonsense\n".to_vec()).expect_err("nothing to play");
    assert!(why.starts_with("no request can be read from 1 lines: access.log:1: no time"), "{why}");
}

/// A quiet quarter of an hour of sixty people, and one who asks for more than all of them.
fn quarter() -> Vec<u8> {
    let mut lines = Vec::new();
    for minute in 0..15 {
        for person in 1..=60 {
            let client = format!("192.0.{}.{person}", 2 + person % 3);
            let time = format!("17/May/2026:20:{minute:02}:{:02} +0000", person % 60);
            lines.push(format!(
                "{client} - - [{time}] \"GET /search?q={person} HTTP/1.1\" 200 1 \"-\" \"Person {person}\" rt=0.100"
            ));
        }
    }
    let busy = (0..600).map(|turn| {
        let (minute, second) = (5 + turn / 120, turn / 2 % 60);
        format!("203.0.113.9 - - [17/May/2026:20:{minute:02}:{second:02} +0000] \"GET /search?q=x{turn} HTTP/1.1\" 200 1 \"-\" \"Busy\" rt=0.100")
    });
    lines.extend(busy);
    lines.sort_by_key(|line| line.split(['[', ']']).nth(1).map(str::to_owned));
    (lines.join("\n") + "\n").into_bytes()
}

#[test]
fn what_is_suggested_can_be_pasted_and_the_same_log_gives_the_same_report() {
    let text = fs::read_to_string(specs().join("gate.toml")).expect("the configuration");
    let report = play(&text, Some("public"), quarter()).expect("a report");
    assert_eq!(report.json(), play(&text, Some("public"), quarter()).expect("a report").json());
    let keys: Vec<_> = report.suggestions.rates.iter().map(|rate| (rate.route.as_str(), rate.key)).collect();
    assert!(keys.contains(&("/search", "address")), "{keys:?}");
    for rate in &report.suggestions.rates {
        let route = format!("path = \"{}\"\n", rate.route);
        let pasted = text.replacen(&route, &format!("{route}class = \"search\"\n\n{}", rate.toml), 1);
        let pasted = pasted.replacen("mode = \"observe\"\nclass = \"search\"\n", "mode = \"observe\"\n", 1);
        let declared = policy(&pasted);
        let most = declared.platforms.iter().flat_map(|platform| &platform.routes).map(|route| route.rates.len()).max();
        assert_eq!(most, Some(2), "{pasted}");
    }
    let at_once = report.suggestions.concurrency.first().expect("the log says how long it took");
    assert_eq!((at_once.class, at_once.limit), ("search", 10));
    let name = "name = \"public\"\n";
    let head = "hosts = [\"example.org\", \"www.example.org\"]\nupstreams = [\"http://127.0.0.1:9001\"]\n";
    assert!(text.contains(&format!("{name}{head}")));
    assert_eq!(policy(&text.replacen(head, &format!("{head}\n{}", at_once.toml), 1)).platforms[0].concurrency.len(), 1);
}

#[test]
fn the_guide_names_every_key() {
    let guide = specs().join("../../docs/guide/under-attack.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    for (what, names) in keys() {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let row = format!("| {what} | {} |", names.join(", "));
        assert!(guide.contains(&row), "docs/guide/under-attack.md lacks: {row}");
    }
}

#[test]
fn a_real_log_of_ten_thousand_lines_is_played_whole() {
    let Some(corpora) = std::env::var_os(CORPORA).map(PathBuf::from).filter(|path| path.is_dir()) else {
        println!("skipped: {CORPORA} names no directory with apache-combined-10k.log.zst");
        return;
    };
    let Ok(log) = fs::read(corpora.join("apache-combined-10k.log.zst")) else {
        println!("skipped: apache-combined-10k.log.zst is not in {}", corpora.display());
        return;
    };
    let text = fs::read_to_string(specs().join("gate.toml")).expect("the configuration");
    let report = play(&text, Some("public"), log).expect("a report");
    println!("{}", report.text());
    assert_eq!((report.reading.lines, report.reading.requests, report.reading.bad), (10_000, 10_000, 0));
    let elevated: f64 = report.in_posture.values().filter_map(|spent| spent.get("attack")).sum();
    assert!(elevated.abs() < 0.1, "an ordinary log is no attack");
    assert_eq!(report.hit.requests_hit, 0, "nobody is hit");
}
