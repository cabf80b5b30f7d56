//! Evasions as data, `specs/waf-evasions`, through the real listener: what hides does not arrive, its twin does.

use std::path::{Path, PathBuf};

use portcullis_suite::{Broken, Gate, HOST, Origin, Plan, Wire, corpus};
use portcullis_types::Reason;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "both")]
    by: Vec<Guard>,
    #[serde(default = "first")]
    paranoia: u8,
    attack: Request,
    twin: Request,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Guard {
    BuiltIn,
    Rules,
}

fn both() -> Vec<Guard> {
    vec![Guard::BuiltIn, Guard::Rules]
}

const fn first() -> u8 {
    1
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Request {
    method: Option<String>,
    target: Option<String>,
    fields: Vec<String>,
    kind: Option<String>,
    body: Option<String>,
    chunks: Option<usize>,
}

impl Request {
    /// As it goes on the wire, with what a browser would send beside.
    fn bytes(&self) -> Vec<u8> {
        let body = self.body.as_deref().map(corpus::bytes);
        let method = self.method.as_deref().unwrap_or(if body.is_some() { "POST" } else { "GET" });
        let mut bytes = format!("{method} ").into_bytes();
        bytes.extend(corpus::bytes(self.target.as_deref().unwrap_or("/")));
        bytes.extend_from_slice(format!(" HTTP/1.1\r\nHost: {HOST}\r\nAccept: */*\r\n").as_bytes());
        if !self.fields.iter().any(|field| field.starts_with("User-Agent:")) {
            bytes.extend_from_slice(
                b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n",
            );
        }
        for field in &self.fields {
            bytes.extend(corpus::bytes(field));
            bytes.extend_from_slice(b"\r\n");
        }
        let Some(body) = body else {
            bytes.extend_from_slice(b"\r\n");
            return bytes;
        };
        if let Some(kind) = &self.kind {
            bytes.extend_from_slice(format!("Content-Type: {kind}\r\n").as_bytes());
        }
        match self.chunks {
            None => {
                bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                bytes.extend(body);
            }
            Some(size) => {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in body.chunks(size) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        bytes
    }
}

/// What is wrong with a guard's answers to a case; none where it sees the attack and lets the twin pass.
fn judge(gate: &Gate, origin: &Origin, case: &Case, reason: Reason) -> Vec<String> {
    let mut wrong = Vec::new();
    let ask = |request: &Request| Wire::plain(gate.http()).ask(request.bytes());
    origin.forget();
    match ask(&case.attack) {
        Ok(answer) if answer.status == reason.status() => {
            let record = answer.reference().and_then(|reference| gate.journal().by_reference(reference));
            let told = record.as_ref().and_then(|record| record["reason"].as_str());
            if told != Some(reason.code()) {
                wrong.push(format!("the attack is refused for {told:?}"));
            }
        }
        Ok(answer) => wrong.push(format!("the attack is answered {}", answer.status)),
        Err(broken) => wrong.push(format!("the attack is answered with {broken:?}")),
    }
    if !origin.take().is_empty() {
        wrong.push("the attack arrives".to_owned());
    }
    match ask(&case.twin) {
        Ok(answer) if answer.status == 200 => {}
        Ok(answer) => {
            let reference = answer.reference().unwrap_or_default().to_owned();
            let why = gate.journal().by_reference(&reference).map(|record| record["detail"].to_string());
            wrong.push(format!("the twin is answered {}: {}", answer.status, why.unwrap_or_default()));
        }
        Err(Broken::Silent) => wrong.push("the twin is not answered".to_owned()),
        Err(broken) => wrong.push(format!("the twin is answered with {broken:?}")),
    }
    if origin.take().len() != 1 {
        wrong.push("the twin does not arrive".to_owned());
    }
    wrong
}

/// Every case that a guard must see.
fn play(guard: Guard, paranoia: u8, gate: &Gate, origin: &Origin, reason: Reason) {
    let cases: Vec<(String, Case)> = corpus::read("waf-evasions");
    let mut wrong = Vec::new();
    let mut played = 0;
    for (file, case) in cases.iter().filter(|(_, case)| case.by.contains(&guard) && case.paranoia == paranoia) {
        played += 1;
        for complaint in judge(gate, origin, case, reason) {
            wrong.push(format!("{file}: {}: {complaint}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{guard:?}, {} of {played} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(played > 0 || guard == Guard::Rules, "no case is for {guard:?}");
}

#[test]
fn the_built_in_detection_sees_what_hides() {
    let origin = Origin::echo();
    let gate = Plan::new("evasions-builtin").upstream(&[origin.url()], "").start();
    play(Guard::BuiltIn, 1, &gate, &origin, Reason::AttackDetected);
}

#[test]
fn the_core_rule_set_sees_what_hides() {
    let Some(crs) = core_rule_set() else {
        eprintln!(
            "skipped: the Core Rule Set is not here; put its rules into ../shared/crs, or name the directory that has crs/ in it in PORTCULLIS_SHARED"
        );
        return;
    };
    for paranoia in [1, 2] {
        let origin = Origin::echo();
        let gate = Plan::new(&format!("evasions-rules-{paranoia}"))
            .table(&format!("[waf]\nmode = \"off\"\nparanoia = {paranoia}\nrules = [{}]\n", rules(&crs)))
            .upstream(&[origin.url()], "")
            .start();
        play(Guard::Rules, paranoia, &gate, &origin, Reason::RuleMatched);
    }
}

/// As an operator would name them.
fn rules(crs: &Path) -> String {
    // The recommended configuration only detects; what is declared last holds.
    let on = portcullis_suite::place("evasions-on").join("on.conf");
    std::fs::write(&on, "SecRuleEngine On\n").expect("a file can be written");
    let files = ["modsecurity/modsecurity.conf-recommended", "crs-setup.conf.example", "rules/*.conf"]
        .map(|file| crs.join(file));
    files.iter().chain([&on]).map(|file| format!("{file:?}")).collect::<Vec<_>>().join(", ")
}

fn core_rule_set() -> Option<PathBuf> {
    let beside = portcullis_suite::root().join("../shared");
    let shared = std::env::var_os("PORTCULLIS_SHARED").map_or(beside, PathBuf::from);
    let crs = shared.join("crs").canonicalize().ok()?;
    crs.join("rules").is_dir().then_some(crs)
}

#[test]
fn requests_are_written_as_they_say() {
    let read = |text: &str| toml::from_str::<Request>(text).expect("a request").bytes();
    let chunked = read("target = \"/x\"\nkind = \"text/plain\"\nbody = 'ab\\x00'\nchunks = 2");
    assert!(
        chunked.ends_with(
            b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\n\0\r\n0\r\n\r\n"
        )
    );
    assert!(chunked.starts_with(b"POST /x HTTP/1.1\r\n"));
    assert!(read("fields = [\"A: b\"]").ends_with(b"\r\nA: b\r\n\r\n"));
}
