//! Which operations of the API carry which verb, and why some have none. It is a table; the tests below hold it against both, and have
//! each verb that is carried ask a gate elsewhere.

/// How a verb is reached from elsewhere.
#[derive(Debug)]
enum Carried {
    /// By these operations of the OpenAPI document.
    By(&'static [&'static str]),
    /// By none, and why.
    Not(&'static str),
}

use Carried::{By, Not};

/// It works on files that whoever calls it has, and asks no gate.
const OFFLINE: &str = "it works on files at hand and asks no gate";
/// It changes or reads what lies on the gate's own machine.
const MACHINE: &str = "it works on files of the gate's own machine";

/// Every verb, as it is typed.
const VERBS: &[(&str, Carried)] = &[
    ("run", Not("it is the gate")),
    ("check", By(&["GET /api/v1/configuration", "POST /api/v1/configuration/check"])),
    ("show", By(&["GET /api/v1/configuration/effective"])),
    ("reload", By(&["POST /api/v1/reload"])),
    ("status", By(&["GET /api/v1/status", "GET /api/v1/now"])),
    ("rules list", By(&["GET /api/v1/rules", "GET /api/v1/now"])),
    ("rules pin", By(&["POST /api/v1/measures/{id}/pin"])),
    ("rules undo", By(&["POST /api/v1/measures/{id}/undo"])),
    ("rules add", Not("it installs a rule set beside the configuration, on the gate's own machine")),
    ("posture", By(&["GET /api/v1/status", "PUT /api/v1/platforms/{name}/posture"])),
    ("event add", By(&["POST /api/v1/events"])),
    ("event list", By(&["GET /api/v1/events"])),
    ("event cancel", By(&["DELETE /api/v1/events/{name}"])),
    ("rehearse", By(&["POST /api/v1/rehearsals", "GET /api/v1/rehearsals/{id}"])),
    ("replay", Not("it plays access logs that are at hand and asks no gate")),
    ("inspect", Not(OFFLINE)),
    ("tune", By(&["GET /api/v1/rules/exclusions"])),
    ("waf report", By(&["GET /api/v1/rules"])),
    ("waf promote", By(&["POST /api/v1/rules/try", "POST /api/v1/rules/apply"])),
    ("waf observe", By(&["POST /api/v1/rules/try", "POST /api/v1/rules/apply"])),
    ("canary new", Not(MACHINE)),
    ("canary list", By(&["GET /api/v1/data/canaries"])),
    ("canary test", Not(MACHINE)),
    ("canary retire", Not(MACHINE)),
    ("data report", By(&["GET /api/v1/data"])),
    ("data approve", By(&["GET /api/v1/data", "POST /api/v1/data/budgets/try", "POST /api/v1/data/budgets"])),
    ("pg learn", By(&["PUT /api/v1/databases/{name}/stage"])),
    ("pg show", By(&["GET /api/v1/databases", "GET /api/v1/databases/{name}/statements"])),
    ("pg diff", By(&["GET /api/v1/databases", "GET /api/v1/databases/{name}/statements"])),
    ("pg approve", By(&["GET /api/v1/databases", "POST /api/v1/databases/{name}/approve"])),
    ("pg enforce", By(&["PUT /api/v1/databases/{name}/stage"])),
    ("pg observe", By(&["PUT /api/v1/databases/{name}/stage"])),
    ("manifest key", Not("a private key is made where it is kept")),
    ("manifest sign", Not("a release is signed where it is built")),
    ("manifest verify", Not(OFFLINE)),
    ("manifest deploy", By(&["POST /api/v1/integrity/manifests"])),
    ("baseline", By(&["POST /api/v1/integrity/baseline"])),
    ("diff", By(&["GET /api/v1/integrity/diff"])),
    ("sensors", By(&["GET /api/v1/integrity"])),
    ("drill", By(&["POST /api/v1/drills"])),
    ("incident list", By(&["GET /api/v1/incidents"])),
    ("incident show", By(&["GET /api/v1/incidents/{id}"])),
    ("incident statement", By(&["GET /api/v1/incidents/{id}/statement.md"])),
    ("incident export", By(&["GET /api/v1/incidents/{id}/export"])),
    ("incident open", By(&["POST /api/v1/incidents"])),
    ("incident note", By(&["POST /api/v1/incidents/{id}/notes"])),
    ("incident decide", By(&["POST /api/v1/incidents/{id}/decisions"])),
    ("incident told", By(&["POST /api/v1/incidents/{id}/told"])),
    ("incident report", By(&["POST /api/v1/incidents/{id}/reports"])),
    ("incident attest", By(&["POST /api/v1/incidents/{id}/assurances"])),
    ("incident close", By(&["POST /api/v1/incidents/{id}/close"])),
    ("requests top", By(&["GET /api/v1/busiest"])),
    ("requests history", By(&["GET /api/v1/history"])),
    ("requests find", By(&["GET /api/v1/requests"])),
    ("console link", By(&["POST /api/v1/people"])),
    ("console alert", By(&["POST /api/v1/alerts/{name}/test"])),
    ("top", By(&["GET /api/v1/now", "GET /api/v1/live"])),
    ("ledger verify", Not("whoever verifies trusts nobody, the gate least: it works on a copy of the ledger")),
    ("ledger show", By(&["GET /api/v1/ledger"])),
    ("ledger prove", By(&["GET /api/v1/ledger/{id}/proof"])),
    ("ledger check", Not(OFFLINE)),
    ("ledger key", By(&["GET /api/v1/ledger/key", "GET /api/v1/ledger/checkpoint"])),
    ("witness", Not("it stands on another host and is asked by the gate")),
    ("explain", By(&["GET /api/v1/explain/{of}"])),
    ("demo", Not("it is a gate of its own")),
    ("version", By(&["GET /api/v1/version"])),
    ("completions", Not("it is for a shell")),
    ("man", Not("it is for a reader at a terminal")),
];

mod tests {
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    use clap::{Command, CommandFactory as _, Parser as _};
    use serde_json::Value;

    use super::*;
    use crate::args::Arguments;
    use crate::{Failure, act};

    /// A verb as it is typed, and whether it takes `--url`.
    type Typed = (String, bool);

    /// Those that have verbs of their own stand for none.
    fn typed(command: &Command, before: &str, all: &mut Vec<Typed>) {
        for verb in command.get_subcommands() {
            let name = format!("{before}{}", verb.get_name());
            if verb.has_subcommands() {
                typed(verb, &format!("{name} "), all);
            } else {
                all.push((name, verb.get_arguments().any(|it| it.get_long() == Some("url"))));
            }
        }
    }

    fn verbs() -> Vec<Typed> {
        let mut all = Vec::new();
        typed(&Arguments::command(), "", &mut all);
        all
    }

    /// `GET /api/v1/now` and so on, of the document that the code makes.
    fn operations() -> BTreeSet<String> {
        let document: Value = serde_json::from_str(&portcullis_control::document()).expect("JSON");
        let paths = document["paths"].as_object().expect("paths").iter();
        let of = |(path, item): (&String, &Value)| {
            let methods = item.as_object().expect("operations").keys();
            methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
        };
        paths.flat_map(of).collect()
    }

    /// What is wrong with a table.
    fn faults(verbs: &[Typed], operations: &BTreeSet<String>, table: &[(&str, Carried)]) -> Vec<String> {
        let listed = |verb: &String| table.iter().filter(|(name, _)| name == verb).count() == 1;
        let unlisted = verbs.iter().map(|(verb, _)| verb).filter(|verb| !listed(verb));
        let unlisted = unlisted.map(|verb| format!("{verb}: not listed once"));
        let gone = table.iter().filter(|(name, _)| !verbs.iter().any(|(verb, _)| verb == name));
        let gone = gone.map(|(name, _)| format!("{name}: no such verb"));
        let takes = |name: &str| verbs.iter().find(|(verb, _)| verb == name).map(|(_, takes)| *takes);
        let shut = table.iter().filter_map(|(name, carried)| match (carried, takes(name)?) {
            (By(_), false) => Some(format!("{name}: takes no --url")),
            (Not(_), true) => Some(format!("{name}: takes --url")),
            _ => None,
        });
        let wrong = table.iter().flat_map(|(name, carried)| match carried {
            By([]) => vec![format!("{name}: by nothing")],
            By(by) => {
                let absent = by.iter().filter(|operation| !operations.contains(**operation));
                absent.map(|operation| format!("{name}: there is no {operation}")).collect()
            }
            Not("") => vec![format!("{name}: no reason")],
            Not(_) => Vec::new(),
        });
        unlisted.chain(gone).chain(shut).chain(wrong).collect()
    }

    #[test]
    fn every_verb_has_its_endpoint_or_a_reason() {
        assert_eq!(faults(&verbs(), &operations(), VERBS), [""; 0]);
    }

    #[test]
    fn a_verb_without_either_is_found() {
        let verbs = [("one".to_owned(), true), ("two".to_owned(), false)];
        let operations = BTreeSet::from(["GET /a".to_owned()]);
        let good = [("one", By(&["GET /a"])), ("two", Not("it is a gate"))];
        assert_eq!(faults(&verbs, &operations, &good), [""; 0]);
        let one = || ("one", By(&["GET /a"]));
        let cases: [(&[(&str, Carried)], &str); 7] = [
            (&[one()], "two: not listed once"),
            (&[("one", By(&["GET /b"])), ("two", Not("x"))], "one: there is no GET /b"),
            (&[("one", By(&[])), ("two", Not("x"))], "one: by nothing"),
            (&[one(), ("two", Not(""))], "two: no reason"),
            (&[one(), ("two", Not("x")), ("three", Not("x"))], "three: no such verb"),
            (&[one(), ("two", By(&["GET /a"]))], "two: takes no --url"),
            (&[("one", Not("x")), ("two", Not("x"))], "one: takes --url"),
        ];
        for (table, expected) in cases {
            assert_eq!(faults(&verbs, &operations, table), [expected]);
        }
    }

    /// What a verb needs to be understood; a file that is there is `FILE`.
    fn needed(verb: &str) -> &'static str {
        match verb {
            "show" => "--effective",
            "rules pin" | "rules undo" => "r-81",
            "event add" => "debate --until +2h",
            "event cancel" => "debate",
            "rehearse" | "manifest deploy" => "FILE",
            "waf promote" | "waf observe" => "public",
            "data approve" => "public/list --records 60",
            "pg learn" | "pg enforce" | "pg observe" => "app",
            "baseline" => "--by Ane",
            "incident export" => "last nowhere",
            "incident open" => "--because rumours",
            "incident note" | "incident decide" | "incident close" => "last words",
            "incident told" => "last board words",
            "incident report" => "last uk-ico --to ICO --file FILE",
            "incident attest" => "members words --incident last",
            "requests top" => "--by network",
            "console link" => "--name Ane",
            "console alert" => "duty",
            "top" => "--once",
            "ledger prove" => "81",
            "explain" => "rate-limited",
            _ => "",
        }
    }

    #[test]
    fn every_verb_that_is_carried_asks_there_and_nowhere_else() {
        // Nobody listens there, which is said by whoever asks, and by nobody else.
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = taken.local_addr().expect("an address");
        drop(taken);
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "secret").expect("written");
        let file = file.path().to_str().expect("text");
        let carried = VERBS.iter().filter(|(_, carried)| matches!(carried, By(_)));
        for (verb, _) in carried {
            let needed = needed(verb);
            let words = verb.split(' ').chain(needed.split(' ').filter(|word| !word.is_empty()));
            let words = words.map(|word| if word == "FILE" { file } else { word });
            let url = format!("http://{at}");
            let typed = ["portcullis"].into_iter().chain(words).chain(["--url", &url, "--token-file", file]);
            let typed: Vec<&str> = typed.collect();
            let understood = Arguments::try_parse_from(&typed).unwrap_or_else(|error| panic!("{typed:?}: {error}"));
            match act(understood.verb) {
                Err(Failure::Because(why)) => {
                    assert!(why.contains(&format!("no console answers on {at}")), "{verb}: {why}");
                }
                other => panic!("{verb} asked nobody: {other:?}"),
            }
        }
    }
}
