//! A recorded request tried again, with the rules as they are configured and something left out.
//!
//! What is tried is what was recorded: the values in which something was found, at their places, on the same route. If that
//! does not come out as it was recorded, it says so instead of guessing.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use portcullis_config::{Excluded, Exclusion, Inspection, InspectionMode, Policy, Waf};
use portcullis_proxy::inspectors::{Inspector, class, inspector};
use portcullis_proxy::journal::Evidence;
use portcullis_proxy::journal::evidence::Value;
use portcullis_waf::seclang::{Bounds, Clock, LeftOut, Meant, Peer, Program, Transaction};
use portcullis_waf::semantic::{Class, Detector, Findings, Place, Target};

use super::recorded::Record;

/// Something that matched, in one variable: what an exclusion would name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) what: What,
    /// As an exclusion writes it.
    pub(crate) target: String,
}

/// A rule or a family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Rule(u32),
    Family(String),
}

/// As `exclude` has it.
impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Rule(rule) => write!(f, "{rule} {}", self.target),
            What::Family(family) => write!(f, "{family} {}", self.target),
        }
    }
}

impl Pair {
    /// As the configuration holds it.
    pub(crate) fn exclusion(&self) -> Exclusion {
        let what = match &self.what {
            What::Rule(rule) => Excluded::Rules(*rule, *rule),
            What::Family(family) => Excluded::Family(family.clone()),
        };
        Exclusion { what, target: Some(self.target.clone()) }
    }
}

impl Pair {
    /// The same for all members of a list that the variable may be one of: `ARGS:json.items.3.text` becomes
    /// `ARGS:/^json\.items\.[0-9]+\.text$/`. Anything else stays as it is.
    pub(crate) fn in_general(&self) -> Self {
        let general = || {
            let (variable, name) = self.target.split_once(':')?;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-[]".contains(&byte);
            if !name.bytes().all(plain) || !name.bytes().any(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let mut pattern = String::with_capacity(name.len() + 16);
            let mut rest = name;
            while let Some(sign) = rest.chars().next() {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                match sign {
                    _ if digits > 0 => pattern.push_str("[0-9]+"),
                    '.' | '[' | ']' => pattern.extend(['\\', sign]),
                    _ => pattern.push(sign),
                }
                rest = rest.get(digits.max(1)..).unwrap_or_default();
            }
            Some(format!("{variable}:/^{pattern}$/"))
        };
        Self { what: self.what.clone(), target: general().unwrap_or_else(|| self.target.clone()) }
    }
}

/// What came of a trial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// It is refused, or would be where the route only observes.
    pub(crate) stopped: bool,
    /// The gate's own detection did.
    detected: bool,
    /// A rule did.
    ruled: bool,
    /// What matched, as far as an exclusion can name it.
    pub(crate) pairs: BTreeSet<Pair>,
    /// Numbers of the rules that matched.
    rules: BTreeSet<u32>,
    families: BTreeSet<String>,
}

impl Outcome {
    /// Whether a route that is inspected so refuses it.
    pub(crate) fn refused(&self, inspection: &Inspection) -> bool {
        let acts = |mode| mode == InspectionMode::Enforce;
        self.detected && acts(inspection.detection) || self.ruled && acts(inspection.rules)
    }
}

/// Why a record is not tried that the configuration lets pass by now.
pub(crate) const PASSES: &str = "it passes with the configuration as it is now";

/// The routes of a policy, ready to try records on them.
pub(crate) struct Trials {
    policy: Policy,
    known: Vec<(Inspection, Arc<Inspector>)>,
    transaction: Option<Box<Transaction>>,
    findings: Findings,
}

/// What is left out of a trial, compiled for one route.
#[derive(Default)]
pub(crate) struct Without {
    rules: Vec<Arc<LeftOut>>,
    classes: Vec<(Class, Target)>,
}

impl Trials {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, known: Vec::new(), transaction: None, findings: Findings::new() }
    }

    /// How the route of a record is inspected today.
    pub(crate) fn route(&mut self, record: &Record) -> Result<(Inspection, Arc<Inspector>), String> {
        let platform = self.policy.platforms.iter().find(|platform| platform.name == record.platform);
        let route = platform.and_then(|it| it.routes.iter().find(|route| route.path.to_string() == record.route));
        let inspection = route.ok_or("its route is not configured any more")?.inspection.clone();
        let inspector = self.inspector(&inspection)?;
        Ok((inspection, inspector))
    }

    /// The rules as an inspection wants them.
    pub(crate) fn inspector(&mut self, inspection: &Inspection) -> Result<Arc<Inspector>, String> {
        if let Some((_, known)) = self.known.iter().find(|(known, _)| known == inspection) {
            return Ok(Arc::clone(known));
        }
        let waf: &Waf = &self.policy.waf;
        let made = Arc::new(inspector(waf, inspection, None)?);
        self.known.push((inspection.clone(), Arc::clone(&made)));
        Ok(made)
    }

    /// Compiles what is to be left out.
    pub(crate) fn without(inspector: &Inspector, pairs: &BTreeSet<Pair>) -> Result<Without, String> {
        let mut without = Without::default();
        for pair in pairs {
            match (&pair.what, &inspector.program) {
                (What::Rule(rule), Some(program)) => {
                    without.rules.push(program.left_out(Meant::Numbers(*rule, *rule), Some(&pair.target))?);
                }
                (What::Rule(_), None) => {}
                (What::Family(family), _) => without.classes.push((class(family)?, Target::parse(&pair.target)?)),
            }
        }
        Ok(without)
    }

    /// Tries a record on its route as it is, and says why that cannot be done or does not come out as it was recorded.
    pub(crate) fn again(&mut self, record: &Record) -> Result<Outcome, String> {
        if record.evidence.lost {
            return Err("more was found than is recorded".to_owned());
        }
        if record.evidence.values.iter().any(|value| value.cut) {
            return Err("a value is longer than what is recorded, or withheld".to_owned());
        }
        if record.evidence.hits.iter().all(|hit| hit.response) {
            return Err("it is about the platform's answer, which is not recorded".to_owned());
        }
        let (_, inspector) = self.route(record)?;
        let outcome = self.put(&inspector, record, &Without::default());
        if !outcome.stopped {
            return Err(PASSES.to_owned());
        }
        let missing =
            record.evidence.hits.iter().filter(|hit| !hit.response).any(|hit| match (&hit.rule, &hit.family) {
                (Some(rule), _) => !outcome.rules.contains(rule),
                (None, Some(family)) => !outcome.families.contains(family),
                (None, None) => false,
            });
        if missing {
            return Err(
                "it does not come out as it was recorded: what matters may not be among what is recorded".to_owned()
            );
        }
        Ok(outcome)
    }

    /// Puts a record to an inspector, with something left out.
    pub(crate) fn put(&mut self, inspector: &Inspector, record: &Record, without: &Without) -> Outcome {
        let mut outcome = Outcome::default();
        if let Some((detector, _)) = &inspector.detection {
            let detector = detector.without(&without.classes);
            self.detect(&detector, record, &mut outcome);
        }
        if let Some(program) = &inspector.program {
            self.ask(program, inspector, record, &without.rules, &mut outcome);
        }
        outcome.stopped = outcome.detected || outcome.ruled;
        outcome
    }

    fn detect(&mut self, detector: &Detector, record: &Record, outcome: &mut Outcome) {
        let findings = &mut self.findings;
        findings.clear();
        show(detector, record, findings);
        outcome.detected |= detector.blocks(findings);
        // All that each value would do, not only what was enough.
        findings.clear();
        show(&detector.thorough(), record, findings);
        for finding in findings.list() {
            let mut evidence = Evidence::default();
            evidence.finding(finding);
            let family = finding.class.as_str().to_owned();
            let targets = evidence.hits.iter().flat_map(|hit| &hit.targets);
            outcome.pairs.extend(
                targets.filter_map(|target| {
                    Some(Pair { what: What::Family(family.clone()), target: written(&target.0)? })
                }),
            );
            outcome.families.insert(family);
        }
    }

    fn ask(
        &mut self,
        program: &Arc<Program>,
        inspector: &Inspector,
        record: &Record,
        left_out: &[Arc<LeftOut>],
        outcome: &mut Outcome,
    ) {
        let peer = Peer {
            client: record.client.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            client_port: 0,
            server: IpAddr::V4(Ipv4Addr::LOCALHOST),
            server_port: 443,
            unique_id: &record.reference,
            now: Clock { unix: record.millis / 1000 },
        };
        let mut transaction = self.transaction.take().unwrap_or_else(|| Box::new(Transaction::new(program, &peer)));
        let bounds = Bounds { steps: inspector.steps, request_body: inspector.body_bytes, ..Bounds::default() };
        let request = request(record);
        // As it would be decided, and then everything that matches: what decides ends the asking.
        for tell in [false, true] {
            transaction.reset(program, &peer);
            transaction.bound(bounds);
            transaction.leave_out(left_out);
            if tell {
                transaction.only_tell();
            }
            let stopped = carry(&mut transaction, record, &request);
            outcome.ruled |= stopped && !tell;
        }
        for found in transaction.matches() {
            outcome.rules.insert(found.rule);
            let named = found.targets.iter().filter(|target| !target.starts_with(b"TX"));
            outcome.pairs.extend(
                named.filter_map(|target| Some(Pair { what: What::Rule(found.rule), target: written(target)? })),
            );
        }
        self.transaction = Some(transaction);
    }
}

/// Carries a request through the rules. True where it is refused, or would be.
fn carry(transaction: &mut Transaction, record: &Record, (target, fields, body): &Request) -> bool {
    transaction.request_line(record.method.as_bytes(), target, b"HTTP/1.1");
    for (name, value) in fields {
        transaction.request_header(name, value);
    }
    let mut stopped = transaction.request_head_done().is_some() || transaction.take_would_refuse().is_some();
    transaction.request_body(body);
    stopped |= transaction.request_body_done().is_some() || transaction.take_would_refuse().is_some();
    stopped
}

/// Shows a detector what was recorded.
fn show(detector: &Detector, record: &Record, findings: &mut Findings) {
    // What virtual patches wait for is known from the line on.
    let path = record.evidence.values.iter().find(|value| value.place == Place::Path.as_str());
    let path = path.map_or(record.path.as_bytes(), |path| &path.value.0);
    detector.request_line(record.method.as_bytes(), path, findings);
    for value in &record.evidence.values {
        let Some(place) = Place::ALL.iter().find(|place| place.as_str() == value.place) else { continue };
        match place {
            Place::Path => {}
            Place::Cookie => {
                let cookie = [&value.name.0[..], b"=", &value.value.0].concat();
                detector.header(b"cookie", &cookie, findings);
            }
            Place::Header => detector.header(&value.name.0, &value.value.0, findings),
            _ => detector.value(*place, &value.name.0, &value.value.0, findings),
        }
    }
}

/// A target as an exclusion can write it: where the member's name has what cannot stand there, as an expression that fits it. A
/// place in an array says nothing, so every place is meant.
fn written(target: &[u8]) -> Option<String> {
    let (variable, member) = match target.iter().position(|byte| *byte == b':') {
        Some(colon) => (target.get(..colon)?, target.get(colon + 1..)),
        None => (target, None),
    };
    let variable = std::str::from_utf8(variable).ok()?;
    let Some(member) = member else { return Some(variable.to_owned()) };
    let plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']' | b'@' | b'$');
    let text = std::str::from_utf8(member).ok()?;
    let in_array = text.split('.').any(is_place);
    if variable == "XML" || (!member.is_empty() && member.iter().all(plain) && !in_array) {
        return Some(format!("{variable}:{text}"));
    }
    let piece = |piece: &str| match is_place(piece) {
        true => "array_[0-9]+".to_owned(),
        false => piece
            .chars()
            .map(|one| if one.is_ascii_alphanumeric() || "_-@".contains(one) { one } else { '.' })
            .collect(),
    };
    let pieces: Vec<String> = text.split('.').map(piece).collect();
    (!text.is_empty()).then(|| format!("{variable}:/^{}$/", pieces.join(".")))
}

/// Whether a part of a name is a place in an array of JSON.
fn is_place(piece: &str) -> bool {
    let digits = piece.strip_prefix("array_").unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

type Field = (Vec<u8>, Vec<u8>);
/// Target, fields, body.
type Request = (Vec<u8>, Vec<Field>, Vec<u8>);

/// The request that a record tells of: target, fields, body. What nothing was found in is filled with what is ordinary.
fn request(record: &Record) -> Request {
    let evidence = &record.evidence;
    let of = |place: &'static str| evidence.values.iter().filter(move |value: &&Value| value.place == place);
    let one = |place: &'static str| of(place).next().map(|value| value.value.0.clone());
    let target = one("REQUEST_URI_RAW").or_else(|| one("REQUEST_URI")).unwrap_or_else(|| {
        let path = one("path").or_else(|| one("REQUEST_FILENAME")).unwrap_or_else(|| record.path.clone().into_bytes());
        let query = one("QUERY_STRING").unwrap_or_else(|| pairs(of("query"), of("query-name")));
        if query.is_empty() { path } else { [&path[..], b"?", &query].concat() }
    });

    let mut fields: Vec<Field> = vec![(b"Host".to_vec(), record.host.clone().into_bytes())];
    let mut put = |name: &[u8], value: Vec<u8>| {
        if !fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            fields.push((name.to_vec(), value));
        }
    };
    for value in of("header") {
        put(&value.name.0, value.value.0.clone());
    }
    let cookies: Vec<Vec<u8>> = of("cookie").map(|value| [&value.name.0[..], b"=", &value.value.0].concat()).collect();
    if !cookies.is_empty() {
        put(b"Cookie", cookies.join(&b"; "[..]));
    }
    let (kind, body) = body(record);
    if !body.is_empty() {
        put(b"Content-Type", kind);
        put(b"Content-Length", body.len().to_string().into_bytes());
    }
    for name in &evidence.fields {
        put(&name.0, ordinary(&name.0, &record.host));
    }
    (target, fields, body)
}

/// Type and content of the body.
fn body(record: &Record) -> (Vec<u8>, Vec<u8>) {
    let evidence = &record.evidence;
    let of = |places: [&'static str; 2]| {
        evidence.values.iter().filter(move |value: &&Value| places.contains(&value.place.as_str()))
    };
    let declared = evidence.kind.as_ref().map(|kind| kind.0.clone());
    if let Some(raw) = of(["REQUEST_BODY", "body"]).next() {
        return (declared.unwrap_or_default(), raw.value.0.clone());
    }
    let mut names: Vec<&Value> = Vec::new();
    for value in of(["form", "json"]) {
        if !names.iter().any(|known| (&known.name, &known.value) == (&value.name, &value.value)) {
            names.push(value);
        }
    }
    if of(["file-name", "file-field"]).next().is_some() {
        const EDGE: &str = "--portcullis";
        let mut body = Vec::new();
        for value in names {
            body.extend_from_slice(format!("{EDGE}\r\nContent-Disposition: form-data; name=\"").as_bytes());
            body.extend_from_slice(&[&value.name.0[..], b"\"\r\n\r\n", &value.value.0, b"\r\n"].concat());
        }
        for value in of(["file-name", "file-name"]) {
            body.extend_from_slice(format!("{EDGE}\r\nContent-Disposition: form-data; name=\"").as_bytes());
            body.extend_from_slice(
                &[&value.name.0[..], b"\"; filename=\"", &value.value.0, b"\"\r\n\r\na\r\n"].concat(),
            );
        }
        body.extend_from_slice(format!("{EDGE}--\r\n").as_bytes());
        return (b"multipart/form-data; boundary=portcullis".to_vec(), body);
    }
    let form = pairs(names.into_iter(), of(["form-name", "json-name"]));
    (b"application/x-www-form-urlencoded".to_vec(), form)
}

/// Names and values as a form has them; names alone that no value has.
fn pairs<'a>(values: impl Iterator<Item = &'a Value>, names: impl Iterator<Item = &'a Value>) -> Vec<u8> {
    let mut known: Vec<&[u8]> = Vec::new();
    let mut form = String::new();
    let mut push = |name: &[u8], value: &[u8]| {
        let encode = |bytes: &[u8]| form_urlencoded::byte_serialize(bytes).collect::<String>();
        let separator = if form.is_empty() { "" } else { "&" };
        form.push_str(&format!("{separator}{}={}", encode(name), encode(value)));
    };
    for value in values {
        push(&value.name.0, &value.value.0);
        known.push(&value.name.0);
    }
    for name in names.filter(|name| !name.value.0.is_empty()) {
        if !known.contains(&&name.value.0[..]) {
            push(&name.value.0, b"");
        }
    }
    form.into_bytes()
}

/// What a field holds where nothing was found in it.
fn ordinary(name: &[u8], host: &str) -> Vec<u8> {
    match name.to_ascii_lowercase().as_slice() {
        b"accept" => b"*/*".to_vec(),
        b"accept-encoding" => b"gzip".to_vec(),
        b"accept-language" => b"en".to_vec(),
        b"user-agent" => b"Mozilla/5.0".to_vec(),
        b"connection" => b"keep-alive".to_vec(),
        b"referer" => format!("https://{host}/").into_bytes(),
        b"origin" => format!("https://{host}").into_bytes(),
        b"cookie" => b"a=b".to_vec(),
        b"content-type" => b"application/x-www-form-urlencoded".to_vec(),
        b"content-length" => b"0".to_vec(),
        _ => b"1".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_waf::seclang::target;

    use super::*;

    #[test]
    fn targets_are_written_as_exclusions_read_them() {
        let table: &[(&[u8], Option<&str>)] = &[
            (b"ARGS:comment", Some("ARGS:comment")),
            (b"ARGS:user[name]", Some("ARGS:user[name]")),
            (b"ARGS:json.items.array_12.text", Some("ARGS:/^json.items.array_[0-9]+.text$/")),
            (b"ARGS:json.array_x.text", Some("ARGS:json.array_x.text")),
            (b"ARGS:a b|c", Some("ARGS:/^a.b.c$/")),
            (b"REQUEST_FILENAME", Some("REQUEST_FILENAME")),
            (b"XML:/*", Some("XML:/*")),
            (b"ARGS:", None),
            (b"ARGS:\xff", None),
        ];
        for (told, expected) in table {
            let written = written(told);
            assert_eq!(written.as_deref(), *expected);
            assert!(written.is_none_or(|written| target(&written).is_ok()), "{expected:?}");
        }
    }
}
