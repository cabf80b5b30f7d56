//! The gate probes itself: each family fires through each listener, nothing of it arrives, and what does not fire is an alarm.

use std::fs;
use std::time::Duration;

use portcullis_suite::{Authority, Gate, HOST, Origin, Plan, Wire, eventually};
use serde_json::Value;

/// How the gate's inspection stands, once a round of probes that `wanted` holds for is over.
fn stands(gate: &Gate, wanted: impl Fn(&Value) -> bool) -> Value {
    let config = gate.config().display().to_string();
    let mut inspection = Value::Null;
    let over = eventually(Duration::from_secs(20), || {
        let output = gate.command(&["status", "--json", "--config", &config]);
        let status: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        inspection = status["inspection"].clone();
        !inspection["probed"].is_null() && wanted(&inspection)
    });
    assert!(over, "{inspection:#}\nthe gate said:\n{}", gate.said());
    inspection
}

fn families<'a>(inspection: &'a Value, by: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let lines = inspection["families"].as_array().expect("families");
    let text = |line: &'a Value, key: &str| line[key].as_str().unwrap_or_default();
    let of = lines.iter().filter(|line| line["by"] == by);
    of.map(|line| (text(line, "route"), text(line, "family"), text(line, "state"))).collect()
}

fn status(gate: &Gate) -> String {
    gate.command(&["status", "--config", &gate.config().display().to_string()]).stdout
}

#[test]
fn every_family_fires_through_every_listener_and_nothing_arrives() {
    let origin = Origin::echo();
    let plan = Plan::new("probe-listeners");
    let leaf = Authority::new(plan.place()).leaf(&[HOST]);
    let gate = plan
        .tls(&[leaf])
        .proxied()
        .table("[trusted_proxies]\nnetworks = [\"192.0.2.0/24\"]\n[[list]]\nname = \"everybody\"\naction = \"deny\"\nprefixes = [\"0.0.0.0/0\"]\n")
        .upstream(
            &[origin.url()],
            "[[platform.route]]\npath = \"/quiet/**\"\n[platform.route.waf]\nmode = \"observe\"\n\
             [[platform.route]]\npath = \"/post\"\nmethods = [\"POST\"]\n[platform.route.waf]\nsensitivity = \"low\"\n\
             [[platform.route]]\npath = \"/sql/**\"\n[platform.route.waf]\nexclude = [\"sql\"]\n\
             [[platform.route]]\npath = \"/off/**\"\n[platform.route.waf]\nmode = \"off\"\n",
        )
        .start();
    // Three rounds: the listeners take turns.
    for round in 1..=3 {
        let inspection = stands(&gate, |it| it["rounds"].as_u64() >= Some(round));
        let lines = families(&inspection, "detection");
        assert!(lines.len() > 40, "{lines:?}");
        for (route, family, state) in &lines {
            let expected: &[&str] = match (*route, *family) {
                ("/quiet/**", _) => &["notes"],
                // Where little is taken for an attack, one thing alone may be none.
                ("/post", _) | (_, "encoding") => &["fires", "notes"],
                _ => &["fires"],
            };
            assert!(expected.contains(state), "round {round}: {route} {family} {state}\n{inspection:#}");
        }
        assert!(!lines.iter().any(|(route, family, _)| *route == "/off/**" || (*route, *family) == ("/sql/**", "sql")));
        assert_eq!(inspection["alarms"], 0);
        if round < 3 {
            let reloaded = gate.reload();
            assert!(reloaded.success, "{}", reloaded.stderr);
        }
    }
    assert!(origin.take().is_empty(), "no probe reaches a platform");
    let metrics = gate.metrics();
    assert_eq!(metrics.sum("portcullis_requests_total", &[]), 0.0, "nor is it a visitor");
    assert_eq!(metrics.sum("portcullis_refused_total", &[]), 0.0);
    assert_eq!(metrics.sum("portcullis_observed_total", &[]), 0.0);
    assert_eq!(metrics.sum("portcullis_connections_total", &[]), 0.0);
    assert!(metrics.sum("portcullis_probes_total", &[]) > 100.0);
    assert_eq!(metrics.sum("portcullis_probe_alarms", &[]), 0.0);
    assert!(gate.journal().records().iter().all(|record| record["ref"].is_null()), "nor journaled as one");
    let probes = gate.journal().probes();
    assert!(probes.iter().any(|line| line["probe"]["why"] == "start"), "{probes:?}");
    assert!(probes.iter().all(|line| line["probe"]["alarms"] == 0), "{probes:?}");
    let said = status(&gate);
    assert!(said.contains("probed") && said.contains("fires") && !said.contains("ALARM"), "{said}");
}

#[test]
fn a_forged_mark_is_nothing() {
    let origin = Origin::echo();
    let gate = Plan::new("probe-forged").upstream(&[origin.url()], "").start();
    stands(&gate, |_| true);
    let request = |query: &str| {
        format!(
            "GET /{query} HTTP/1.1\r\nHost: {HOST}\r\nX-Portcullis-Probe: {}-1\r\nConnection: close\r\n\r\n",
            "0".repeat(32)
        )
    };
    let answer = Wire::plain(gate.http()).ask(request("a")).expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(origin.take().len(), 1, "it is carried like any other");
    let answer = Wire::plain(gate.http()).ask(request("?q=%3Cscript%3Ealert(1)%3C/script%3E")).expect("an answer");
    assert_eq!(answer.status, 403);
    assert!(gate.journal().by_reference(answer.reference().expect("a reference")).is_some());
    assert_eq!(gate.metrics().sum("portcullis_requests_total", &[]), 2.0);
}

const RULES: &str = "SecRule ARGS \"@contains union\" \"id:1001,phase:2,deny,tag:'attack-sqli',msg:'SQL'\"\n\
    SecRule ARGS \"@contains <script\" \"id:1002,phase:2,deny,tag:'attack-xss',msg:'Script'\"\n\
    SecRule ARGS \"@contains yonder\" \"id:1003,phase:2,deny,tag:'attack-of-the-house',msg:'Ours'\"\n";

#[test]
fn a_family_that_does_not_fire_is_an_alarm_until_it_does() {
    let origin = Origin::echo();
    let plan = Plan::new("probe-silent").table("[waf]\nrules = [\"own.conf\"]\n").upstream(&[origin.url()], "");
    let rules = plan.place().join("own.conf");
    fs::write(&rules, RULES.replace("union", "reunion")).expect("written");
    let gate = plan.start();
    let alarms = |number: u64| move |it: &Value| it["alarms"] == number;
    let inspection = stands(&gate, alarms(1));
    let lines = families(&inspection, "rules");
    let expected = [
        ("/**", "", "fires"),
        ("/**", "attack-of-the-house", "no-probe"),
        ("/**", "attack-sqli", "silent"),
        ("/**", "attack-xss", "fires"),
    ];
    assert_eq!(lines, expected);
    let since = inspection["families"].as_array().expect("families").iter().find(|line| line["state"] == "silent");
    assert!(since.is_some_and(|line| line["since"].as_u64().is_some_and(|since| since > 1_700_000_000_000)));
    let said = status(&gate);
    assert!(said.contains("ALARM main/**: attack-sqli by rules: silent since 20"), "{said}");
    assert!(gate.said().contains("ALARM"), "{}", gate.said());
    assert_eq!(gate.metrics().sum("portcullis_probe_ok", &[("family", "attack-sqli")]), 0.0);
    assert_eq!(gate.metrics().sum("portcullis_probe_ok", &[("family", "attack-xss")]), 1.0);

    // Mended, it is none any more; told to act and made to detect only, all of them are.
    fs::write(&rules, RULES).expect("written");
    assert!(gate.reload().success);
    stands(&gate, alarms(0));
    fs::write(&rules, format!("{RULES}SecRuleEngine DetectionOnly\n")).expect("written");
    assert!(gate.reload().success);
    let inspection = stands(&gate, alarms(2));
    assert_eq!(families(&inspection, "rules")[2].2, "passes");
    assert!(origin.take().is_empty(), "what is not stopped does not arrive either");
}

#[test]
fn rules_that_would_not_run_are_no_start_and_no_reload() {
    let origin = Origin::echo();
    let plan = Plan::new("probe-inert").table("[waf]\nrules = [\"own.conf\"]\n").upstream(&[origin.url()], "");
    let rules = plan.place().join("own.conf");
    let inert = [
        ("SecRuleEngine Off\n", "", "SecRuleEngine Off"),
        ("SecRuleRemoveById 1-9999\n", "", "hold no rule"),
        ("", "exclude = [\"1-9999\"]\n", "no rule is left"),
    ];
    for (inert, keys, expected) in inert {
        fs::write(&rules, format!("{RULES}{inert}")).expect("written");
        let mut broken = plan.clone().table(keys);
        let config = broken.write().display().to_string();
        for verb in ["check", "run"] {
            let output =
                std::process::Command::new(Gate::binary()).args([verb, "--config", &config]).output().expect("runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{verb}: {said}");
            assert!(said.contains(expected), "{verb}: {said}");
        }
    }
    fs::write(&rules, RULES).expect("written");
    let gate = plan.start();
    fs::write(&rules, format!("{RULES}SecRuleEngine Off\n")).expect("written");
    let refused = gate.reload();
    assert!(!refused.success && refused.stderr.contains("SecRuleEngine Off"), "{}", refused.stderr);
    let answer = gate.get("/?q=reunion");
    assert_eq!(answer.status, 403, "the rules before hold");
}

#[test]
fn a_family_is_left_out_of_one_value_and_a_name_that_is_none_is_refused() {
    let origin = Origin::echo();
    let waf = |exclude: &str| format!("[waf]\nexclude = [\"{exclude}\"]\n");
    let gate = Plan::new("probe-exclude").table(&waf("sql ARGS:comment")).upstream(&[origin.url()], "").start();
    let attack = "1%27%20union%20select%20password%20from%20users--%20-";
    for (name, expected) in [("comment", 200), ("q", 403)] {
        assert_eq!(gate.get(&format!("/?{name}={attack}")).status, expected, "{name}");
    }
    assert_eq!(gate.get("/?comment=%3Cscript%3Ealert(1)%3C/script%3E").status, 403, "another family looks there still");
    for (wrong, said) in [("sqli ARGS:comment", "no family `sqli`"), ("sql TX:score", "does not look at `TX`")] {
        gate.rewrite_text(|text| text.replace("sql ARGS:comment", wrong));
        let output = gate.command(&["check", "--config", &gate.config().display().to_string()]);
        assert!(!output.success && output.stderr.contains(said), "{}", output.stderr);
        gate.rewrite_text(|text| text.replace(wrong, "sql ARGS:comment"));
    }
}
