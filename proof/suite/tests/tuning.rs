//! What is made of recorded findings: why, what to leave out, what would have been refused, and the step to refusing and back.

use std::fs;

use portcullis_suite::{Gate, HOST, Origin, Plan, Response, Wire};
use serde_json::Value;

/// Asks as a visitor behind the trusted proxy.
fn ask(gate: &Gate, client: &str, target: &str, fields: &str) -> Response {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-For: {client}\r\nUser-Agent: Mozilla/5.0\r\n{fields}Connection: close\r\n\r\n"
    );
    Wire::plain(gate.http()).ask(request).unwrap_or_else(|broken| panic!("{broken:?}"))
}

fn post(gate: &Gate, path: &str, kind: &str, body: &str) -> Response {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    Wire::plain(gate.http()).ask(request).unwrap_or_else(|broken| panic!("{broken:?}"))
}

fn command(gate: &Gate, arguments: &[&str]) -> String {
    let config = gate.config().display().to_string();
    let output = gate.command(&[arguments, &["--config", &config]].concat());
    assert!(output.success, "{arguments:?}: {}\n{}", output.stdout, output.stderr);
    output.stdout
}

fn json(gate: &Gate, arguments: &[&str]) -> Value {
    serde_json::from_str(&command(gate, &[arguments, &["--json"]].concat())).expect("JSON")
}

/// The reference of a refusal, once it is in the log.
fn reference(gate: &Gate, answer: &Response) -> String {
    assert_eq!(answer.status, 403, "{}", answer.text());
    let reference = answer.reference().expect("a reference").to_owned();
    assert!(gate.journal().by_reference(&reference).is_some(), "{reference}");
    reference
}

const PROXY: &str = "[trusted_proxies]\nnetworks = [\"127.0.0.0/8\"]\n";
const SQL: &str = "the+credit%27+union+select+password+from+users--+-";
const SCRIPT: &str = "%3Cscript%3Ealert(1)%3C/script%3E";
const RULES: &str = "SecRule ARGS|REQUEST_HEADERS:X-Note \"@rx octarine\" \\\n    \"id:1001,phase:2,deny,t:none,t:urlDecodeUni,t:lowercase,msg:'No such colour',tag:'attack-colour'\"\n\
    SecRule ARGS \"@contains puce\" \"id:1002,phase:2,deny,msg:'Nor that one'\"\n";

fn plan(name: &str, waf: &str, origin: &Origin) -> Plan {
    let plan = Plan::new(name)
        .table(PROXY)
        .table(&format!("[waf]\nrules = [\"own.conf\"]\n{waf}"))
        .upstream(&[origin.url()], "[[platform.route]]\npath = \"/forum/**\"\n");
    fs::write(plan.place().join("own.conf"), RULES).expect("written");
    plan
}

#[test]
fn a_block_is_explained_with_the_least_that_would_have_let_it_pass() {
    let origin = Origin::echo();
    let gate = plan("tuning-explain", "", &origin).start();
    let by_rule = reference(&gate, &ask(&gate, "192.0.2.1", "/forum/new?text=%4FCTARINE+please&page=2", ""));
    let said = command(&gate, &["explain", &by_rule]);
    for part in [
        "Rule 1001 in ARGS:text: No such colour. It is against attack-colour.",
        "Matched: \"octarine\" after urlDecodeUni, lowercase",
        "Exclusion  \"1001 ARGS:text\" on main/forum/**",
        "Tried: it lets 1 recorded request pass and no other that is recorded.",
    ] {
        assert!(said.contains(part), "{part:?}\n{said}");
    }
    let by_family = reference(&gate, &ask(&gate, "192.0.2.1", &format!("/forum/new?text={SQL}"), ""));
    let said = command(&gate, &["explain", &by_family]);
    assert!(said.contains("family sql") && said.contains("\"sql ARGS_GET:text\""), "{said}");
    let by_both = reference(&gate, &ask(&gate, "192.0.2.1", &format!("/?a={SQL}"), &format!("Cookie: b={SCRIPT}\r\n")));
    let said = command(&gate, &["explain", &by_both]);
    assert!(said.contains("\"script REQUEST_COOKIES:b\"") && said.contains("\"sql ARGS_GET:a\""), "{said}");
    // In the body of a form, and of JSON.
    let form = reference(&gate, &post(&gate, "/join", "application/x-www-form-urlencoded", "a=1&note=puce"));
    assert!(command(&gate, &["explain", &form]).contains("\"1002 ARGS:note\""));
    let json = reference(&gate, &post(&gate, "/join", "application/json", r#"{"a":{"note":"puce"}}"#));
    let said = command(&gate, &["explain", &json]);
    assert!(said.contains("\"1002 ARGS:json.a.note\"") && said.contains("Tried"), "{said}");
    // A header.
    let header = reference(&gate, &ask(&gate, "192.0.2.1", "/", "X-Note: octarine\r\n"));
    assert!(command(&gate, &["explain", &header]).contains("\"1001 REQUEST_HEADERS:X-Note\""));

    // What is longer than what is kept, and what is nobody's business, cannot be tried, and it says so.
    let long = reference(&gate, &ask(&gate, "192.0.2.1", &format!("/?text={}octarine", "x".repeat(3000)), ""));
    assert!(
        command(&gate, &["explain", &long]).contains("None can be tried: a value is longer"),
        "{}",
        command(&gate, &["explain", &long])
    );
    let secret = reference(&gate, &ask(&gate, "192.0.2.1", "/?user_password=my+octarine+secret", ""));
    let record = gate.journal().by_reference(&secret).expect("recorded").to_string();
    assert!(!record.contains("my octarine") && record.contains("withheld"), "{record}");
}

#[test]
fn proposals_are_tried_on_everything_that_is_recorded() {
    let origin = Origin::echo();
    let mut gate = plan("tuning-tune", "", &origin).start();
    for client in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        reference(&gate, &ask(&gate, client, "/forum/new?text=octarine", ""));
    }
    // Another attack on the same value, which the exclusion for the first two together would let pass, too.
    reference(&gate, &ask(&gate, "198.51.100.1", "/forum/new?text=octarine+and+puce", ""));
    let other = reference(&gate, &ask(&gate, "198.51.100.1", "/forum/new?text=puce", ""));
    // And some that no proposal about them may let pass.
    reference(&gate, &ask(&gate, "198.51.100.1", &format!("/forum/new?text=octarine+{SCRIPT}"), ""));
    reference(&gate, &ask(&gate, "198.51.100.1", "/elsewhere?text=octarine", ""));
    assert!(gate.journal().by_reference(&other).is_some());

    let tuned = json(&gate, &["tune"]);
    assert_eq!((&tuned["records"], &tuned["tried"]), (&Value::from(7), &Value::from(7)), "{tuned:#}");
    let proposals = tuned["proposals"].as_array().expect("proposals");
    let of = |exclude: &[&str], route: &str| {
        let found = proposals.iter().find(|it| it["exclude"] == Value::from(exclude.to_vec()) && it["route"] == route);
        found.unwrap_or_else(|| panic!("{exclude:?}: {tuned:#}"))
    };
    let first = of(&["1001 ARGS:text"], "/forum/**");
    assert_eq!(first, &proposals[0], "what most visitors met comes first");
    assert_eq!((&first["releases"]["records"], &first["releases"]["visitors"]), (&Value::from(3), &Value::from(3)));
    assert_eq!((&first["also_releases"]["records"], &first["stay"]), (&Value::from(0), &Value::from(2)), "{first:#}");
    let both = of(&["1001 ARGS:text", "1002 ARGS:text"], "/forum/**");
    assert_eq!(both["also_releases"]["records"], 4, "{both:#}");
    assert!(both["also_releases"]["references"].to_string().contains(&other), "{both:#}");
    assert_eq!(of(&["1001 ARGS:text"], "/**")["releases"]["records"], 1);
    let said = command(&gate, &["tune"]);
    assert!(said.contains("exclude = [\"1001 ARGS:text\"]") && said.contains("BESIDE"), "{said}");

    // Taken over as proposed, the three pass and the others do not.
    gate.rewrite(|plan| {
        plan.without_platforms().upstream(
            &[origin.url()],
            "[[platform.route]]\npath = \"/forum/**\"\n[platform.route.waf]\nexclude = [\"1001 ARGS:text\"]\n",
        )
    });
    assert!(gate.reload().success);
    assert_eq!(ask(&gate, "192.0.2.1", "/forum/new?text=octarine", "").status, 200);
    assert_eq!(ask(&gate, "192.0.2.1", "/forum/new?text=puce", "").status, 403);
    assert_eq!(ask(&gate, "192.0.2.1", "/elsewhere?text=octarine", "").status, 403);
    let tuned = json(&gate, &["tune"]);
    let untried = tuned["not_tried"].to_string();
    assert!(untried.contains("it passes with the configuration as it is now"), "{tuned:#}");
}

#[test]
fn members_of_a_list_are_proposed_as_one() {
    let origin = Origin::echo();
    let gate = plan("tuning-lists", "", &origin).start();
    for member in [0, 3, 12] {
        let padding = "\"plain\",".repeat(member);
        reference(
            &gate,
            &post(&gate, "/forum/list", "application/json", &format!("{{\"items\":[{padding}\"puce\"]}}")),
        );
        reference(&gate, &ask(&gate, "192.0.2.1", &format!("/forum/list?row[{member}][text]={SQL}"), ""));
    }
    // Two that are alike are two.
    for note in 1..=2 {
        reference(&gate, &ask(&gate, "192.0.2.1", &format!("/forum/list?note{note}=puce"), ""));
    }
    let told = json(&gate, &["tune"]);
    let proposals = told["proposals"].as_array().expect("a list");
    let of = |exclusion: &str| proposals.iter().find(|proposal| proposal["exclude"] == serde_json::json!([exclusion]));
    for exclusion in ["1002 ARGS:/^json.items.array_[0-9]+$/", "sql ARGS_GET:/^row\\[[0-9]+\\]\\[text\\]$/"] {
        let proposal = of(exclusion).unwrap_or_else(|| panic!("{exclusion}: {told:#}"));
        assert_eq!(proposal["releases"]["records"], 3, "{proposal:#}");
        assert_eq!(proposal["refused"], Value::Null, "{proposal:#}");
    }
    assert!(of("1002 ARGS:note1").is_some() && of("1002 ARGS:note2").is_some(), "{told:#}");
    // As it is printed it can be pasted.
    let said = command(&gate, &["tune"]);
    let line = said.lines().find(|line| line.contains("exclude") && line.contains("row"));
    let line = line.unwrap_or_else(|| panic!("{said}")).trim().to_owned();
    let pasted = gate.place().join("pasted.toml");
    let config =
        fs::read_to_string(gate.config()).expect("readable").replacen("[waf]\n", &format!("[waf]\n{line}\n"), 1);
    fs::write(&pasted, config).expect("written");
    let checked = gate.command(&["check", "--config", &pasted.display().to_string()]);
    assert!(checked.success, "{line}: {}{}", checked.stdout, checked.stderr);
}

#[test]
fn what_would_be_refused_is_reported_and_promoted_and_taken_back() {
    let origin = Origin::echo();
    let vouched = "[[vouched]]\nname = \"printer\"\nkind = \"partner\"\nnetworks = [\"192.0.2.128/25\"]\n";
    let gate = plan("tuning-promote", "mode = \"observe\"\nrules_mode = \"observe\"\n", &origin).table(vouched).start();
    let attack = format!("/forum/new?text={SQL}");
    for (client, target) in
        [("192.0.2.1", attack.as_str()), ("192.0.2.200", &attack), ("192.0.2.1", "/shop?colour=octarine")]
    {
        assert_eq!(ask(&gate, client, target, "").status, 200, "{target}");
    }
    gate.journal().find(|record| record["path"] == "/shop").expect("recorded");
    let report = json(&gate, &["waf", "report"]);
    let routes = report["routes"].as_array().expect("routes");
    let of = |route: &str| routes.iter().find(|it| it["route"] == route).unwrap_or_else(|| panic!("{report:#}"));
    let forum = of("/forum/**");
    assert_eq!((&forum["would_be_refused"], &forum["refused"]), (&Value::from(2), &Value::from(0)), "{forum:#}");
    assert_eq!(forum["audience"], serde_json::json!({"stranger": 1, "vouched": 1}), "{forum:#}");
    assert!(forum["by"].to_string().contains("\"sql\""), "{forum:#}");
    assert!(of("/**")["families"].to_string().contains("attack-colour"), "{report:#}");
    let said = command(&gate, &["waf", "report"]);
    assert!(said.contains("main/forum/**: 2 would be refused; visitors: 1 vouched, 1 stranger"), "{said}");
    // Nothing is refused there, and still an exclusion is proposed.
    assert!(command(&gate, &["tune"]).contains("sql ARGS_GET:text"));

    let before = fs::read_to_string(gate.config()).expect("a file");
    let said = command(&gate, &["waf", "promote", "main/forum/**", "--dry-run"]);
    assert!(said.contains("Nothing was changed"), "{said}");
    assert_eq!(fs::read_to_string(gate.config()).expect("a file"), before);
    let said = command(&gate, &["waf", "promote", "main/forum/**"]);
    for part in [
        "gate.toml",
        "+ mode = \"enforce\"",
        "main/forum/**: detection observe -> enforce",
        "policy 2 is in force",
        "To take it back",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert_eq!(ask(&gate, "192.0.2.1", &attack, "").status, 403);
    assert_eq!(ask(&gate, "192.0.2.1", "/shop?colour=octarine", "").status, 200, "the others observe as before");
    let change = gate.journal().find(|record| record["kind"] == "change").expect("it is written down");
    let words = change["change"]["words"].as_str().unwrap_or_default();
    assert!(words.contains("promote main/forum/**"), "{change}");
    assert!(change["change"]["uid"].is_u64() && !change["t"].is_null(), "{change}");

    command(&gate, &["waf", "observe", "main/forum/**"]);
    assert_eq!(ask(&gate, "192.0.2.1", &attack, "").status, 200);
    // The whole platform: its routes follow but for those with a word of their own, and that is said.
    command(&gate, &["waf", "promote", "main", "--only", "rules"]);
    assert_eq!(ask(&gate, "192.0.2.1", "/shop?colour=octarine", "").status, 403);
    assert_eq!(ask(&gate, "192.0.2.1", &format!("/shop?q={SCRIPT}"), "").status, 200, "the other part observes still");

    for (place, said) in
        [("mian", "no platform `mian`"), ("main/nowhere", "no route `/nowhere`"), ("main/**", "not written")]
    {
        let config = gate.config().display().to_string();
        let output = gate.command(&["waf", "promote", place, "--config", &config]);
        assert!(!output.success && output.stderr.contains(said), "{place}: {}{}", output.stdout, output.stderr);
    }
    // What the gate would refuse leaves the file as it is.
    let broken = fs::read_to_string(gate.config()).expect("a file");
    fs::write(gate.config().parent().expect("a place").join("own.conf"), "SecRule ARGS\n").expect("written");
    let config = gate.config().display().to_string();
    let output = gate.command(&["waf", "promote", "main", "--only", "detection", "--config", &config]);
    assert!(!output.success, "{}", output.stdout);
    assert_eq!(fs::read_to_string(gate.config()).expect("a file"), broken);
}
