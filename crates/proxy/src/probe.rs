//! The gate probes itself: what is to be found is found, or somebody hears of it.
//!
//! At the start, after each reload and each minute one inert attack for each family goes through a listener of the gate's own
//! and through the whole life of a request, up to where a platform would be asked. A probe never reaches a platform, is counted
//! among no visitors and teaches the engine nothing. Who wants to pass for one would have to hold the end of a connection that
//! the gate itself has made, and know a mark that is drawn anew at each start.

mod attacks;
pub(crate) mod pass;
mod report;
mod round;
mod script;
mod service;
mod standing;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use portcullis_engine::Refusal;
use portcullis_types::Reason;
use portcullis_wire::http::{Fields, RequestHead, ResponseHead};
use tokio::sync::Notify;

pub use self::report::Reports;
pub(crate) use self::round::run;
pub use self::script::Scripts;
pub(crate) use self::service::visit;
pub(crate) use self::standing::{Alarm, Line, Standing, State};
use crate::http::body::Body;
use crate::http::inspect::Sighting;
use crate::journal::lock;
use crate::worker::unix_millis;

/// How often every family is probed.
pub(crate) const EVERY: Duration = Duration::from_secs(60);

/// The field that marks a probe.
const MARK: &str = "x-portcullis-probe";

/// Who finds a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    /// The gate's own detection.
    Detection,
    /// The declared rules.
    Rules,
}

impl By {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Detection => "detection",
            Self::Rules => "rules",
        }
    }
}

/// What a connection of the gate's own is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    /// An inert attack, which goes no further than inspection.
    Attack,
    /// A script of the gate's own, to see whether it is told that it changed: it comes from no platform.
    Script,
    /// A report of the gate's own, as a visitor's browser sends it, to see whether it is heard.
    Report,
    /// To see what a visitor gets: it goes all the way, and is held to what holds for visitors.
    Visit,
}

/// Something of the gate's own that a sensor is to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    /// What is told of it is told of this.
    pub subject: String,
    /// By which way it came there.
    pub words: String,
}

/// What the workers and the prober tell each other.
pub(crate) struct Probes {
    token: String,
    /// Our ends of the connections that we have made to ourselves.
    ends: Mutex<Vec<(SocketAddr, Errand)>>,
    /// How many: nearly always none, and then nobody looks.
    open: AtomicUsize,
    next: AtomicU64,
    /// Unix milliseconds until which nothing is probed.
    rests: AtomicU64,
    sent: Mutex<BTreeMap<u64, Sent>>,
    pub(crate) standing: Mutex<Standing>,
    /// Another policy is in force.
    pub(crate) changed: Notify,
}

/// A probe under way.
#[derive(Default)]
struct Sent {
    /// The response that it brings along.
    answer: Answer,
    told: Option<Told>,
}

/// What a probe brings along to be looked at in place of a platform's answer.
#[derive(Default, Clone)]
pub(crate) enum Answer {
    #[default]
    Nothing,
    /// A page, for rules that look at responses.
    Page(&'static str),
    /// A script, for whoever looks whether it is what it was.
    Script(Script),
}

/// A script of the gate's own.
#[derive(Clone)]
pub(crate) struct Script {
    /// Where it is said to be: a path of the gate's own, which no visitor and no platform has.
    pub(crate) path: String,
    /// Which drill it is of.
    pub(crate) drill: Arc<str>,
    kind: &'static str,
    coding: Option<&'static str>,
    body: Bytes,
}

/// What a worker says of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Told {
    /// Platform and route.
    pub(crate) place: (usize, usize),
    /// What was found.
    pub(crate) found: Vec<(By, String)>,
    /// Why it was refused.
    pub(crate) refused: Vec<Reason>,
    /// Why it would have been.
    pub(crate) observed: Vec<Reason>,
    pub(crate) rules_active: bool,
    pub(crate) rules_act: bool,
}

/// A request that is known for a probe.
pub(crate) struct Probe {
    number: u64,
    answer: Answer,
}

impl Probe {
    /// The response that rules are to look at.
    pub(crate) fn page(&self) -> Option<(ResponseHead, Body)> {
        let Answer::Page(body) = &self.answer else { return None };
        let mut fields = Fields::default();
        fields.push(b"content-type", b"text/html");
        Some((ResponseHead { status: 200, fields }, Body::Full(Bytes::from_static(body.as_bytes()))))
    }

    /// The script that is to leave.
    pub(crate) fn script(&self) -> Option<Script> {
        if let Answer::Script(script) = &self.answer { Some(script.clone()) } else { None }
    }
}

impl Script {
    /// It, as a platform would answer it.
    pub(crate) fn answer(&self) -> (ResponseHead, Body) {
        let mut fields = Fields::default();
        fields.push(b"content-type", self.kind.as_bytes());
        self.coding.iter().for_each(|coding| fields.push(b"content-encoding", coding.as_bytes()));
        (ResponseHead { status: 200, fields }, Body::Full(self.body.clone()))
    }
}

impl Probes {
    /// With a mark of this process's own.
    pub(crate) fn new() -> io::Result<Self> {
        use io::Read as _;
        let mut bytes = [0; 16];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self {
            token: format!("{:032x}", u128::from_be_bytes(bytes)),
            ends: Mutex::default(),
            open: AtomicUsize::new(0),
            next: AtomicU64::new(1),
            rests: AtomicU64::new(0),
            sent: Mutex::default(),
            standing: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// What the connection whose other end is this is for, where the gate itself made it.
    pub(crate) fn made(&self, peer: SocketAddr) -> Option<Errand> {
        if self.open.load(Ordering::Acquire) == 0 {
            return None;
        }
        lock(&self.ends).iter().find(|(end, _)| *end == peer).map(|(_, errand)| *errand)
    }

    /// Rests for a while: somebody else may accept on our sockets, who could not know our probes for what they are. False while
    /// one is still under way.
    pub(crate) fn rest(&self, span: Duration) -> bool {
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.rests.fetch_max(unix_millis().saturating_add(span), Ordering::AcqRel);
        self.open.load(Ordering::Acquire) == 0
    }

    fn rests(&self) -> bool {
        unix_millis() < self.rests.load(Ordering::Acquire)
    }

    /// The probe that this request is. To be asked only of connections that the gate has made.
    pub(crate) fn marked(&self, head: &RequestHead) -> Option<Probe> {
        let mark = head.fields.find(MARK.as_bytes())?;
        let (token, number) = mark.split_at_checked(self.token.len())?;
        let same =
            token.iter().zip(self.token.as_bytes()).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0;
        let number = std::str::from_utf8(number.strip_prefix(b"-")?).ok()?.parse().ok()?;
        let answer = lock(&self.sent).get(&number).filter(|_| same)?.answer.clone();
        Some(Probe { number, answer })
    }

    /// Takes note of what became of a probe.
    pub(crate) fn tell(&self, probe: &Probe, place: (usize, usize), seen: &Sighting, refused: Option<&Refusal>) {
        let mut found = Vec::new();
        for hit in &seen.evidence.hits {
            found.extend(hit.family.iter().map(|family| (By::Detection, family.clone())));
            found.extend(hit.tags.iter().map(|tag| (By::Rules, tag.shown())));
        }
        let told = Told {
            place,
            found,
            refused: seen.refused.iter().chain(refused).map(|refusal| refusal.reason).collect(),
            observed: seen.observed.iter().map(|refusal| refusal.reason).collect(),
            rules_active: seen.rules_active,
            rules_act: seen.rules_act,
        };
        if let Some(sent) = lock(&self.sent).get_mut(&probe.number) {
            sent.told = Some(told);
        }
    }

    /// Begins a probe; its number and what marks it.
    fn begin(&self, answer: Answer) -> (u64, String) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.sent).insert(number, Sent { answer, told: None });
        (number, format!("{MARK}: {}-{number}\r\n", self.token))
    }

    /// Ends it: what was told of it.
    fn end(&self, number: u64) -> Option<Told> {
        lock(&self.sent).remove(&number)?.told
    }

    /// Knows our end of a connection until what is returned is dropped.
    fn know(&self, end: SocketAddr, errand: Errand) -> Known<'_> {
        lock(&self.ends).push((end, errand));
        self.open.fetch_add(1, Ordering::Release);
        Known { probes: self, end }
    }
}

struct Known<'a> {
    probes: &'a Probes,
    end: SocketAddr,
}

impl Drop for Known<'_> {
    fn drop(&mut self) {
        lock(&self.probes.ends).retain(|(end, _)| *end != self.end);
        self.probes.open.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_with_the_mark_is_a_probe() {
        let probes = Probes::new().expect("randomness");
        let (number, line) = probes.begin(Answer::Nothing);
        let value = line.trim_end().split_once(": ").expect("a field").1.to_owned();
        let head = |value: &str| {
            let mut head = RequestHead::default();
            head.fields.push(MARK.as_bytes(), value.as_bytes());
            head
        };
        assert!(probes.marked(&head(&value)).is_some_and(|probe| probe.number == number));
        let forged = [
            format!("{}-{number}", "0".repeat(32)),
            format!("{value}0"),
            value.replace('-', "+"),
            String::new(),
            format!("{}-", probes.token),
        ];
        for forged in forged {
            assert!(probes.marked(&head(&forged)).is_none(), "{forged}");
        }
        let end = "127.0.0.1:9".parse().expect("an address");
        let known = probes.know(end, Errand::Attack);
        assert_eq!(probes.made(end), Some(Errand::Attack));
        assert_eq!(probes.made("127.0.0.1:10".parse().expect("an address")), None);
        drop(known);
        assert_eq!(probes.made(end), None);
        probes.end(number);
        assert!(probes.marked(&head(&value)).is_none(), "each is good once");
    }
}
