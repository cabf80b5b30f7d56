//! An incident from the ledger to the directory that is handed to others, with the binary as it ships.

#[path = "../../incident/tests/scene/mod.rs"]
mod scene;
#[path = "../../incident/tests/scene/ledger.rs"]
mod written;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use portcullis_ledger::{Canary, Event};
use written::ledger;

fn portcullis(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis")).args(arguments).env("USER", "duty").output().expect("it runs")
}

fn said(arguments: &[&str]) -> String {
    let output = portcullis(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(arguments: &[&str]) -> String {
    let output = portcullis(arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A configuration that keeps its evidence there, and a gate that nobody runs.
fn configuration(place: &Path) -> String {
    let path = place.join("gate.toml");
    let text = format!(
        "[server]\ncontrol = \"{0}/control.sock\"\nname = \"gate-1\"\n[evidence]\ndirectory = \"{0}/evidence\"\nquorum = 0\n\
         [organisation]\nname = \"The Party\"\n[[organisation.contact]]\nname = \"Ada Lind\"\n\
         [[copies]]\nname = \"mailing\"\nwhat = \"processor\"\n[[copies.path]]\nname = \"mailing-provider\"\ncustody = \"attested\"\n\
         [[listener]]\nname = \"http\"\nbind = \"127.0.0.1:0\"\n\
         [[platform]]\nname = \"public\"\nhosts = [\"gate.test\"]\nupstreams = [\"http://127.0.0.1:9\"]\n",
        place.display()
    );
    fs::write(&path, text).expect("written");
    path.to_string_lossy().into_owned()
}

#[test]
fn a_person_opens_an_incident_where_none_is_open() {
    let place = tempfile::tempdir().expect("a place");
    ledger(&place.path().join("evidence"), Vec::new());
    let config = configuration(place.path());
    let open = |arguments: &[&str]| -> Vec<String> {
        let all = [&["incident", "open", "--config", config.as_str()], arguments].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let because = ["--because", "The host telephoned: visitors are sent elsewhere."];
    let with = |more: &[&str]| open(&[&because[..], more].concat());
    let strs = |all: &Vec<String>| portcullis(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let why = |all: &Vec<String>| {
        let output = strs(all);
        assert!(!output.status.success(), "{all:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(why(&with(&[])).contains("2019-11-11-1 is open since"), "{}", why(&with(&[])));
    said(&["incident", "close", "last", "Calm.", "--config", &config]);
    let table = [
        (with(&["--platform", "publik"]), "no platform or database `publik`; there are public"),
        (with(&["--since", "2099-01-01T00:00:00Z"]), "has not come yet"),
        (open(&["--because", "  "]), "--because"),
    ];
    for (arguments, part) in table {
        assert!(why(&arguments).contains(part), "{}", why(&arguments));
    }
    let output = strs(&with(&["--platform", "public", "--since", "2h"]));
    let id = String::from_utf8_lossy(&output.stdout).into_owned();
    let id = id.split("Incident ").nth(1).and_then(|rest| rest.split(' ').next()).expect("its name").to_owned();
    let listed = said(&["incident", "list", "--config", &config]);
    assert!(listed.contains(&format!("{id}  open")) && listed.contains("The host telephoned"), "{listed}");
    let shown: serde_json::Value =
        serde_json::from_str(&said(&["incident", "show", &id, "--json", "--config", &config])).expect("JSON");
    let cause = shown["incident"]["cause"].as_str().expect("who opened it");
    assert!(cause.starts_with("duty (") && cause.ends_with(')'), "the word given and the user that asked: {cause}");
    assert_eq!(shown["incident"]["platforms"][0], "public");
    assert!(why(&with(&[])).contains(&id), "one is open");
    said(&["incident", "close", &id, "It was their certificate.", "--config", &config]);
    assert!(said(&["incident", "list", "--config", &config]).contains(&format!("{id}  closed")));
}

#[test]
fn an_incident_is_shown_noted_exported_and_closed() {
    let place = tempfile::tempdir().expect("a place");
    let evidence = place.path().join("evidence");
    ledger(&evidence, Vec::new());
    let config = configuration(place.path());
    let with = |arguments: &[&str]| -> Vec<String> {
        ["incident"]
            .iter()
            .chain(arguments)
            .map(|text| (*text).to_owned())
            .chain(["--config".to_owned(), config.clone()])
            .collect()
    };
    let run = |arguments: &[&str]| {
        let all = with(arguments);
        said(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert!(run(&["list"]).contains("2019-11-11-1  open"), "{}", run(&["list"]));
    let shown = run(&["show"]);
    for part in [
        "There is at most a remote chance that personal data was taken",
        "Wave 2: 2019-11-11 15:00:00 UTC",
        "50,100 requests in the busiest",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    run(&["note", "last", "The host was asked.", "--answer", "uk-ncsc.next=A drill on Friday."]);
    run(&["told", "last", "the board", "by telephone"]);
    run(&["decide", "last", "Keep the rules of the first wave."]);
    run(&["attest", "mailing", "its log was read", "--incident", "last"]);
    let handed = place.path().join("ico.txt");
    fs::write(&handed, "abc").expect("written");
    run(&["report", "last", "uk-ico", "--to", "the ICO", "--file", &handed.to_string_lossy(), "--receipt", "IC-1"]);
    let out = place.path().join("out");
    let to = out.to_string_lossy().into_owned();
    run(&["export", "last", &to]);
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let page = read("report.html");
    for part in [
        "The Party",
        "Ada Lind",
        "the board",
        "IC-1",
        "Keep the rules of the first wave.",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(read("forms/uk-ncsc.md").contains("A drill on Friday."));
    assert!(read("statement.md").contains("We reported it to the ICO"));

    // Whoever trusts nobody: the list of hashes, and each proof against the key and nothing else.
    let sums = read("SHA256SUMS");
    assert!(sums.lines().count() > 30, "{sums}");
    let checked = Command::new("sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(&out)
        .status()
        .expect("sha256sum");
    assert!(checked.success());
    let key = read("ledger.pub");
    let assessment: serde_json::Value = serde_json::from_str(&read("assessment.json")).expect("JSON");
    assert_eq!(assessment["ledger"]["verified"], true);
    let mut proven = 0;
    for figure in assessment["figures"].as_array().expect("figures") {
        for index in figure["evidence"]["indices"].as_array().expect("positions") {
            let proof = out.join(format!("proofs/{:09}.tlog-proof", index.as_u64().expect("a position")));
            assert!(proof.exists(), "{figure} has no proof for {index}");
            if proven < 5 {
                said(&["ledger", "check", &proof.to_string_lossy(), "--key", key.trim()]);
            }
            proven += 1;
        }
    }
    assert!(proven > 20, "{proven}");

    let all = with(&["export", "last", &to]);
    let again = refused(&all.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(again.contains("is not empty"), "{again}");
    run(&["close", "last", "Calm since an hour."]);
    assert!(run(&["list"]).contains("closed"));
}

#[test]
fn one_altered_event_takes_the_sentence_and_so_does_a_canary() {
    let place = tempfile::tempdir().expect("a place");
    let evidence = place.path().join("evidence");
    let canary = Canary {
        canary: "c-1".into(),
        path: "http/public".into(),
        left: true,
        way: "answer".into(),
        ..Canary::default()
    };
    ledger(&evidence, vec![(scene::SECOND, Event::Canary(canary))]);
    let of = evidence.to_string_lossy().into_owned();
    let none = place.path().join("none.toml").to_string_lossy().into_owned();
    let shown = said(&["incident", "show", "--ledger", &of, "--config", &none]);
    assert!(shown.contains("We do not say that no personal data was taken: the evidence is against it."), "{shown}");
    assert!(shown.contains("Canary c-1 left by http/public"), "{shown}");
    let statement = said(&["incident", "statement", "--ledger", &of, "--config", &none]);
    assert!(statement.contains("## Do not say"), "{statement}");

    let other = place.path().join("other");
    ledger(&other, Vec::new());
    let of = other.to_string_lossy().into_owned();
    assert!(said(&["incident", "show", "--ledger", &of, "--config", &none]).contains("remote chance"));
    // A tile of the tree: one bit of it.
    let tile =
        walk(&other).into_iter().find(|path| path.to_string_lossy().contains("tile/entries/000")).expect("a bundle");
    let mut bytes = fs::read(&tile).expect("read");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&tile, bytes).expect("written");
    let shown = said(&["incident", "show", "--ledger", &of, "--config", &none]);
    assert!(
        shown.contains("We cannot say whether personal data was taken") && shown.contains("does not verify"),
        "{shown}"
    );
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory").flatten() {
            let path = entry.path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}
