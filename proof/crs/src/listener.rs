//! The cases through the real gate: bytes into its listener, the Core Rule Set in its configuration, verdict and rules out of its
//! decision log.
//!
//! Never a look inside: what is judged is what a visitor gets and what an operator can read.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use portcullis_suite::{Broken, Gate, Next, Origin, Plan, Wire};
use portcullis_types::Reason;
use portcullis_wire::recording::Recording;
use serde_json::Value;

use crate::albedo;
use crate::case::Case;
use crate::play::Played;
use crate::rules::{Mode, files};

/// What is not answered by then has no answer. The gate gives up on bodies that do not come well before.
const PATIENCE: Duration = Duration::from_secs(5);

/// A gate with the rules, and a back end behind it.
#[derive(Debug)]
pub(crate) struct Listener {
    gate: Gate,
    _back_end: Origin,
}

/// What came of a request at the gate.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// What is judged; its log holds no lines, since the decision log does not keep them.
    pub(crate) played: Played,
    /// Why the gate refused it before any rule was asked, if it did.
    pub(crate) front: Option<String>,
}

impl Listener {
    /// Starts both. Each rule that counts is told: a single point is enough to be noted.
    pub(crate) fn start(directory: &Path, mode: Mode, cases: &[&Case]) -> Result<Self, String> {
        let back_end = Origin::start(|seen, stream| {
            let answer = albedo::answer(&Recording {
                method: seen.line.split(' ').next().unwrap_or_default().as_bytes(),
                target: seen.target().as_bytes(),
                protocol: b"HTTP/1.1",
                fields: Vec::new(),
                body: (&seen.body[..]).into(),
                response: None,
            });
            let fields: String = answer
                .fields
                .iter()
                .filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"))
                .map(|(name, value)| format!("{name}: {value}\r\n"))
                .collect();
            portcullis_suite::respond(stream, answer.status, &fields, &answer.body)?;
            Ok(Next::Keep)
        });
        let (thresholds, rules_mode) = match mode {
            Mode::Cases => ("inbound_threshold = 1\noutbound_threshold = 1\n", "observe"),
            Mode::Blocking(_) => ("", "enforce"),
        };
        let plan = Plan::new("crs-listener");
        let mut names = Vec::new();
        for file in files(directory, mode)? {
            let path = match file.path {
                Some(path) => path,
                None => {
                    let path = plan.place().join("this-run.conf");
                    fs::write(&path, file.text).map_err(|error| format!("{}: {error}", path.display()))?;
                    path
                }
            };
            names.push(format!("{:?}", path.display().to_string()));
        }
        let hosts = hosts(cases);
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let gate = plan
            .server("workers = 1\ndrain = \"1s\"")
            .limits("body_grace = \"500ms\"\nhead_deadline = \"1s\"")
            .table(&format!(
                "[defence]\nmode = \"observe\"\n\n[waf]\nmode = \"off\"\nrules_mode = \"{rules_mode}\"\n{thresholds}rules = [{}]\n",
                names.join(", ")
            ))
            .platform("cases", &hosts, &[back_end.url()], "")
            .start();
        Ok(Self { gate, _back_end: back_end })
    }

    /// Sends every case, each from an address of its own, by which its line of the log is found.
    pub(crate) fn play(&self, cases: &[&Case]) -> Result<BTreeMap<String, Answered>, String> {
        let mut sent = Vec::with_capacity(cases.len());
        for (at, case) in cases.iter().enumerate() {
            let source = address(at);
            let bytes = crate::request::build(&case.input)?;
            sent.push((case.name.clone(), source, self.ask(source, &bytes)?));
        }
        let records = self.records(&sent)?;
        let answered = sent.into_iter().map(|(name, source, status)| {
            (
                name,
                records.get(&source.to_string()).map_or_else(|| unrecorded(status), |record| answered(record, status)),
            )
        });
        Ok(answered.collect())
    }

    /// The status; 0 where the connection ends without one.
    fn ask(&self, source: IpAddr, bytes: &[u8]) -> Result<u16, String> {
        let mut wire = Wire::plain_from(source, self.gate.http()).map_err(|error| format!("the gate: {error}"))?;
        wire.patience(PATIENCE);
        match wire.ask(bytes) {
            Ok(response) => Ok(response.status),
            Err(Broken::Silent) => Err(format!("the gate is silent to {}", bytes.escape_ascii())),
            Err(_) => Ok(0),
        }
    }

    /// The log's last record of each address, once it holds one of all.
    fn records(&self, sent: &[(String, IpAddr, u16)]) -> Result<BTreeMap<String, Value>, String> {
        let last = sent.last().map(|(_, source, _)| source.to_string());
        let client = |record: &Value| Some(record.get("client")?.as_str()?.to_owned());
        let found = self.gate.journal().find(|record| client(record) == last || last.is_none());
        if found.is_none() && last.is_some() {
            return Err("the decision log has no record of the last case".to_owned());
        }
        let all = self.gate.journal().records();
        if let Some(lost) = all.iter().find_map(|record| record.get("lost").and_then(Value::as_u64)) {
            return Err(format!("the decision log lost {lost} records"));
        }
        Ok(all.into_iter().filter_map(|record| Some((client(&record)?, record))).collect())
    }
}

fn unrecorded(status: u16) -> Answered {
    Answered { played: Played { status, ..Played::default() }, front: Some("no record".to_owned()) }
}

fn answered(record: &Value, status: u16) -> Answered {
    let reason = record.get("reason").and_then(Value::as_str);
    let by_rules = [Reason::RuleMatched, Reason::ResponseRuleMatched].map(Reason::code);
    let blocked = reason.is_some_and(|reason| by_rules.contains(&reason));
    let hits = record.get("evidence").and_then(|evidence| evidence.get("hits")).and_then(Value::as_array);
    let matched = hits.into_iter().flatten().filter_map(|hit| u32::try_from(hit.get("rule")?.as_u64()?).ok());
    // The rule that decided stands in words, too: of many matches the log keeps only the first.
    let observed = record.get("observed").and_then(Value::as_array).into_iter().flatten();
    let decided = [record].into_iter().chain(observed).filter_map(|said| {
        let words = said.get("detail")?.as_str()?.strip_prefix("rule ")?;
        words.split_once(':')?.0.parse().ok()
    });
    let rules = matched.chain(decided).collect();
    let front = reason.filter(|_| !blocked).map(str::to_owned);
    Answered { played: Played { status, blocked, rules, log: Vec::new() }, front }
}

/// Loopback has room for each case.
fn address(case: usize) -> IpAddr {
    let case = u32::try_from(case).unwrap_or(0);
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + case).into()
}

/// The hosts that cases ask for, as far as they are names or addresses.
fn hosts(cases: &[&Case]) -> Vec<String> {
    let named = cases.iter().flat_map(|case| case.input.headers.iter());
    let named = named.filter(|(name, _)| name.eq_ignore_ascii_case("host"));
    let mut hosts: Vec<String> = named.filter_map(|(_, value)| host(&value.0)).collect();
    hosts.push("localhost".to_owned());
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Without its port, as the configuration writes it.
fn host(value: &str) -> Option<String> {
    if let Some((address, _)) = value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    }
    let host = value.split(':').next().unwrap_or_default();
    let letters = |label: &str| label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_name = host.split('.').all(|label| !label.is_empty() && letters(label));
    is_name.then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_tells_who_refused_and_which_rules_matched() {
        let record = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let hits = r#""evidence":{"hits":[{"rule":942100},{"family":"sql"},{"rule":949110}],"values":[]}"#;
        let by_rule = answered(&record(&format!("{{\"reason\":\"rule-matched\",{hits}}}")), 403);
        assert!(by_rule.played.blocked && by_rule.front.is_none());
        assert_eq!(by_rule.played.rules, [942_100, 949_110]);
        let observed = answered(&record(&format!("{{\"reason\":null,{hits}}}")), 200);
        assert!(!observed.played.blocked && observed.played.rules.len() == 2);
        let decided = r#"{"reason":null,"observed":[{"reason":"rule-matched","detail":"rule 949111: x"}]}"#;
        assert_eq!(answered(&record(decided), 200).played.rules, [949_111]);
        let by_front = answered(&record("{\"reason\":\"bad-header\"}"), 400);
        assert_eq!(by_front.front.as_deref(), Some("bad-header"));
        assert!(!by_front.played.blocked);
    }

    #[test]
    fn hosts_are_written_as_the_configuration_writes_them() {
        let hosts = ["LocalHost:80", "127.0.0.1", "[fe80::f1:01:fe01:1]:80", "localhost%00", "", "a..b"].map(host);
        let known = ["localhost", "127.0.0.1", "[fe80::f1:1:fe01:1]"].map(|host| Some(host.to_owned()));
        assert_eq!(hosts[..3], known);
        assert_eq!(hosts[3..], [None, None, None]);
    }

    #[test]
    fn every_case_has_an_address_of_its_own() {
        assert_eq!(address(0).to_string(), "127.1.0.1");
        assert_eq!(address(5_000).to_string(), "127.1.19.137");
    }
}
