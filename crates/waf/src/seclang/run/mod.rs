//! One request and its response, run through a program.
//!
//! The caller tells what it sees in the order in which it sees it, and asks at the end of each phase: the head of the request
//! (1), its body (2), the head of the response (3), its body (4), the end (5). Nothing here reads a clock.

mod evaluate;
mod message;
mod seen;
mod store;

use std::net::IpAddr;
use std::sync::Arc;

use portcullis_types::Date;

use super::about::{self, LeftOut, Stood};
use super::ast::{BodyProcessor, Disruptive, EngineMode, Scope, Variable};
use super::check::Found;
use super::places::{Made, Place};
use super::prefilter::Rules;
use super::program::Program;
use crate::body::Fields;
use store::{Piece, Store};

/// Who talks to whom, and when.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// `REMOTE_ADDR`.
    pub client: IpAddr,
    /// `REMOTE_PORT`.
    pub client_port: u16,
    /// `SERVER_ADDR`.
    pub server: IpAddr,
    /// `SERVER_PORT`.
    pub server_port: u16,
    /// `UNIQUE_ID`.
    pub unique_id: &'a str,
    /// When the request came.
    pub now: Clock,
}

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clock {
    /// Seconds since 1970, UTC.
    pub unix: u64,
}

/// What inspection of one transaction may cost. Beyond it the transaction says [`Transaction::exceeded`] and rules are no
/// longer asked; what that means for the request is its route's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes given to expressions and other operators, values counted as often as they are looked at.
    pub steps: u64,
    /// Bytes kept: values, what transformations made of them, what rules set.
    pub bytes: usize,
    /// Bytes of a request's body that are looked at, where the rules' own limit is higher.
    pub request_body: usize,
    /// The same for a response.
    pub response_body: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { steps: 256 << 20, bytes: 32 << 20, request_body: 1 << 20, response_body: 512 << 10 }
    }
}

/// What the rules decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intervention {
    /// Status of the answer.
    pub status: u16,
    /// The rule that decided; 0 for a limit.
    pub rule: u32,
    /// The connection is to be closed.
    pub close: bool,
    /// Where the client is sent instead.
    pub redirect: Option<Vec<u8>>,
}

/// A rule that matched and is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match {
    /// Its number.
    pub rule: u32,
    /// 1 to 5.
    pub phase: u8,
    /// What it says, filled in.
    pub message: Vec<u8>,
    /// What it says about what it saw, filled in.
    pub data: Vec<u8>,
    /// The variable, with the member's name: `ARGS:q`.
    pub target: Vec<u8>,
    /// What the operator was given: the value after its transformations.
    pub value: Vec<u8>,
    /// Of `value`, what matched, where the operator knows.
    pub part: Option<(usize, usize)>,
    /// All that it matched, each once, links of a chain among them: the first [`MATCHED_TARGETS`] variables.
    pub targets: Vec<Vec<u8>>,
    /// Its tags.
    pub tags: Vec<Vec<u8>>,
    /// 0 (emergency) to 7 (debug).
    pub severity: Option<u8>,
    /// The link of a chain, when a link was the last to match.
    pub span: Option<super::ast::Span>,
}

/// Most variables that one match names.
pub const MATCHED_TARGETS: usize = 8;

/// What a rule of a chain matched.
#[derive(Debug, Clone, Copy)]
struct Matched {
    variable: Variable,
    name: Piece,
    value: Piece,
}

/// One request and its response.
#[derive(Debug)]
pub struct Transaction {
    program: Arc<Program>,
    bounds: Bounds,
    store: Store,
    mode: EngineMode,
    request_body: bool,
    response_body: bool,
    forced: bool,
    processor: Option<BodyProcessor>,
    body: Vec<u8>,
    /// Bytes of the body beyond what is looked at.
    beyond: u64,
    content_type: Vec<u8>,
    fields: Fields,
    removed: Rules,
    any_removed: bool,
    exclusions: Vec<u16>,
    /// Records of collections that rules have opened, each with its key.
    opened: Vec<(Variable, Piece)>,
    /// What it counts is there for those that come next.
    remembers: bool,
    /// Seconds since 1970.
    now: u64,
    /// What the caller leaves out.
    left_out: Vec<Arc<LeftOut>>,
    matched: Vec<Matched>,
    matches: Vec<Match>,
    intervention: Option<Intervention>,
    /// The rule that would have decided, where rules only tell.
    would_refuse: Option<u32>,
    /// The last phase that `allow` lets pass.
    allowed: u8,
    steps: u64,
    exceeded: bool,
    severity: u8,
    // Room that is used again.
    work: Vec<evaluate::Hit>,
    /// Of each phase.
    plans: [evaluate::Plan; 5],
    forms: evaluate::Forms,
    found: Found,
    argument: Vec<u8>,
}

impl Transaction {
    /// A new one.
    #[must_use]
    pub fn new(program: &Arc<Program>, peer: &Peer<'_>) -> Self {
        let mut transaction = Self {
            program: Arc::clone(program),
            bounds: Bounds::default(),
            store: Store::default(),
            mode: EngineMode::Off,
            request_body: false,
            response_body: false,
            forced: false,
            processor: None,
            body: Vec::new(),
            beyond: 0,
            content_type: Vec::new(),
            fields: Fields::new(),
            removed: Rules::none(program.rules.len()),
            any_removed: false,
            exclusions: Vec::new(),
            opened: Vec::new(),
            remembers: true,
            now: 0,
            left_out: Vec::new(),
            matched: Vec::new(),
            matches: Vec::new(),
            intervention: None,
            would_refuse: None,
            allowed: 0,
            steps: 0,
            exceeded: false,
            severity: 255,
            work: Vec::new(),
            plans: Default::default(),
            forms: evaluate::Forms::default(),
            found: Found::default(),
            argument: Vec::new(),
        };
        transaction.begin(peer);
        transaction
    }

    /// Forgets what it saw and begins anew, with the memory that it has.
    pub fn reset(&mut self, program: &Arc<Program>, peer: &Peer<'_>) {
        if !Arc::ptr_eq(&self.program, program) {
            self.program = Arc::clone(program);
            self.plans = Default::default();
        }
        self.begin(peer);
    }

    /// Holds it to other bounds.
    pub const fn bound(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Leaves something out of this transaction, beside what the rules leave out themselves. Comes before everything else.
    pub fn leave_out(&mut self, left_out: &[Arc<LeftOut>]) {
        for one in left_out {
            if one.aim.is_some() {
                self.left_out.push(Arc::clone(one));
            } else {
                self.removed.insert_all(&one.rules);
                self.any_removed = true;
            }
        }
    }

    /// Rules tell and decide nothing in this transaction, so that all of them are asked, and nothing of it is remembered. Comes
    /// before everything else.
    pub fn only_tell(&mut self) {
        if self.mode == EngineMode::On {
            self.mode = EngineMode::DetectionOnly;
        }
        self.remembers = false;
    }

    /// Whether it has run these rules last.
    #[must_use]
    pub fn runs(&self, program: &Arc<Program>) -> bool {
        Arc::ptr_eq(&self.program, program)
    }

    /// Memory that it holds for the next request, in bytes: roughly, and never less than its values take.
    #[must_use]
    pub fn held(&self) -> usize {
        self.store.held() + self.body.capacity()
    }

    fn begin(&mut self, peer: &Peer<'_>) {
        let program = Arc::clone(&self.program);
        let settings = &program.settings;
        self.store.clear(program.names.len());
        self.mode = settings.mode;
        self.request_body = settings.request_body;
        self.response_body = settings.response_body;
        self.forced = false;
        self.processor = None;
        self.body.clear();
        self.beyond = 0;
        self.content_type.clear();
        if self.any_removed || self.removed.words().len() != program.rules.len().div_ceil(64) {
            self.removed = Rules::none(program.rules.len());
            self.any_removed = false;
        }
        self.exclusions.clear();
        self.opened.clear();
        self.remembers = true;
        self.now = peer.now.unix;
        self.left_out.clear();
        self.matched.clear();
        self.matches.clear();
        self.intervention = None;
        self.would_refuse = None;
        self.allowed = 0;
        self.steps = 0;
        self.exceeded = false;
        self.severity = 255;
        if self.mode == EngineMode::Off {
            return;
        }
        let store = &mut self.store;
        let mut text = String::with_capacity(48);
        for (variable, address) in [(Variable::RemoteAddr, peer.client), (Variable::ServerAddr, peer.server)] {
            use std::fmt::Write as _;
            text.clear();
            let _ = write!(text, "{}", address.to_canonical());
            store.set(variable, text.as_bytes());
        }
        if let Some(client) = program.uses(Variable::RemoteHost).then_some(peer.client) {
            // No name is looked up: it would be somebody else's word, and wait for it.
            store.set(Variable::RemoteHost, client.to_canonical().to_string().as_bytes());
        }
        store.set_number(Variable::RemotePort, i64::from(peer.client_port));
        store.set_number(Variable::ServerPort, i64::from(peer.server_port));
        store.set(Variable::UniqueId, peer.unique_id.as_bytes());
        for (variable, number) in peer.now.parts() {
            if program.uses(variable) {
                store.set_number(variable, number);
            }
        }
        if program.uses(Variable::Time) {
            store.set(Variable::Time, peer.now.time().as_bytes());
        }
        if program.uses(Variable::WebappId) {
            store.set(Variable::WebappId, settings.web_app.as_bytes());
        }
        for variable in [Variable::Duration, Variable::UrlencodedError, Variable::ReqbodyError] {
            store.set_number(variable, 0);
        }
        store.set_number(Variable::HighestSeverity, 255);
        store.set(Variable::RequestBody, b"");
        // There is always one, if only by no name: rules that ask whether it is none of those they know must be able to.
        store.set(Variable::ReqbodyProcessor, b"");
    }

    /// Head of the request: method, target and protocol as they came.
    pub fn request_line(&mut self, method: &[u8], target: &[u8], protocol: &[u8]) {
        if self.mode != EngineMode::Off {
            message::request_line(&self.program, &mut self.store, &mut self.fields, method, target, protocol);
        }
    }

    /// One of its fields.
    pub fn request_header(&mut self, name: &[u8], value: &[u8]) {
        if self.mode == EngineMode::Off {
            return;
        }
        self.store.add_both(Place::HEADER, Place::HEADER_NAME, name, value);
        if name.eq_ignore_ascii_case(b"cookie") {
            message::cookies(&mut self.store, &mut self.fields, value);
        } else if name.eq_ignore_ascii_case(b"host") {
            self.store.set(Variable::ServerName, message::host(value));
        } else if name.eq_ignore_ascii_case(b"content-type") {
            self.content_type.clear();
            self.content_type.extend_from_slice(value);
            self.processor = message::processor(value);
        }
    }

    /// The head is complete: phase 1.
    pub fn request_head_done(&mut self) -> Option<Intervention> {
        if self.mode == EngineMode::Off {
            return None;
        }
        if let Some(processor) = self.processor {
            self.store.set(Variable::ReqbodyProcessor, message::name(processor));
        }
        message::sizes(&mut self.store);
        self.phase(1)
    }

    /// Whether a body would be looked at: otherwise it need not be held back.
    #[must_use]
    pub fn wants_request_body(&self) -> bool {
        self.mode != EngineMode::Off && self.request_body
    }

    /// A part of the body of the request.
    pub fn request_body(&mut self, chunk: &[u8]) {
        if self.wants_request_body() {
            let room = self.bounds.request_body.saturating_sub(self.body.len());
            let (kept, beyond) = chunk.split_at(chunk.len().min(room));
            self.body.extend_from_slice(kept);
            self.beyond += beyond.len() as u64;
        }
    }

    /// The body is complete, or as much of it as is looked at has come: phase 2.
    pub fn request_body_done(&mut self) -> Option<Intervention> {
        if self.mode == EngineMode::Off {
            return None;
        }
        let length = self.body.len() as u64 + self.beyond;
        let limit = self.program.settings.request_body_limit;
        if self.request_body && length > limit {
            self.store.set_number(Variable::InboundDataError, 1);
            if self.program.settings.request_body_limit_rejects && self.mode == EngineMode::On {
                self.intervention = Some(Intervention { status: 413, rule: 0, close: false, redirect: None });
                return self.intervention.clone();
            }
        }
        let read = message::Read {
            program: &self.program,
            processor: self.processor,
            forced: self.forced,
            cut: self.beyond > 0,
            content_type: &self.content_type,
            length,
        };
        message::request_body(&read, &mut self.store, &mut self.fields, &self.body);
        self.body.clear();
        self.beyond = 0;
        self.phase(2)
    }

    /// Head of the response.
    pub fn response_head(&mut self, status: u16, protocol: &[u8]) {
        if self.mode == EngineMode::Off {
            return;
        }
        self.content_type.clear();
        self.store.set_number(Variable::ResponseStatus, i64::from(status));
        self.store.set(Variable::ResponseProtocol, protocol);
        if self.program.uses(Variable::StatusLine) {
            let line = [protocol, b" ", status.to_string().as_bytes()].concat();
            self.store.set(Variable::StatusLine, &line);
        }
    }

    /// One of its fields.
    pub fn response_header(&mut self, name: &[u8], value: &[u8]) {
        if self.mode == EngineMode::Off {
            return;
        }
        self.store.add_both(Place::ANSWER_HEADER, Place::ANSWER_HEADER_NAME, name, value);
        if name.eq_ignore_ascii_case(b"content-type") {
            let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            self.content_type = kind.to_ascii_lowercase();
            self.store.set(Variable::ResponseContentType, kind);
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.store.set(Variable::ResponseContentLength, value);
        }
    }

    /// The head of the response is complete: phase 3.
    pub fn response_head_done(&mut self) -> Option<Intervention> {
        if self.mode == EngineMode::Off { None } else { self.phase(3) }
    }

    /// Whether the body of the response would be looked at.
    #[must_use]
    pub fn wants_response_body(&self) -> bool {
        let settings = &self.program.settings;
        self.mode != EngineMode::Off
            && self.response_body
            && settings.response_body_types.iter().any(|kind| kind.as_bytes() == self.content_type)
    }

    /// A part of the body of the response.
    pub fn response_body(&mut self, chunk: &[u8]) {
        if self.wants_response_body() {
            let limit = usize::try_from(self.program.settings.response_body_limit).unwrap_or(usize::MAX);
            let room = self.bounds.response_body.min(limit).saturating_sub(self.body.len());
            let (kept, beyond) = chunk.split_at(chunk.len().min(room));
            self.body.extend_from_slice(kept);
            self.beyond += beyond.len() as u64;
        }
    }

    /// The body of the response is complete, or as much of it as is looked at: phase 4.
    pub fn response_body_done(&mut self) -> Option<Intervention> {
        if self.mode == EngineMode::Off {
            return None;
        }
        if self.beyond > 0 {
            self.store.set_number(Variable::OutboundDataError, 1);
            if self.program.settings.response_body_limit_rejects && self.mode == EngineMode::On {
                self.intervention = Some(Intervention { status: 500, rule: 0, close: false, redirect: None });
                return self.intervention.clone();
            }
        }
        if self.wants_response_body() {
            let body = std::mem::take(&mut self.body);
            self.store.set(Variable::ResponseBody, &body);
            self.body = body;
        }
        self.phase(4)
    }

    /// Everything is over: phase 5, which decides nothing.
    pub fn finish(&mut self) -> Option<Intervention> {
        if self.mode != EngineMode::Off {
            let decided = self.intervention.take();
            self.phase(5);
            self.intervention = decided;
        }
        None
    }

    /// Rules that matched and are to be told, in the order in which they did.
    #[must_use]
    pub fn matches(&self) -> &[Match] {
        &self.matches
    }

    /// What was decided.
    #[must_use]
    pub const fn intervention(&self) -> Option<&Intervention> {
        self.intervention.as_ref()
    }

    /// The first rule since the last time that would have refused, where rules only tell.
    pub const fn take_would_refuse(&mut self) -> Option<u32> {
        self.would_refuse.take()
    }

    /// The values that a target of [`Match::targets`] names, as they came; those that stand for a name too.
    pub fn stood<'a>(&'a self, target: &'a [u8]) -> impl Iterator<Item = Stood<'a>> + 'a {
        let told = about::told(target);
        let places = told.map(|(variable, _)| variable.made()).into_iter().flat_map(|made| match made {
            Made::Of(places) => places.to_vec(),
            Made::One(place) => vec![place],
            _ => Vec::new(),
        });
        places.flat_map(move |place| {
            self.store.at(place).iter().filter_map(move |value| {
                let (variable, member) = told?;
                let known = self.store.values.get(*value as usize)?;
                let name = self.store.bytes(known.name);
                let is_meant = place.is_single() || member.is_none_or(|member| member.eq_ignore_ascii_case(name));
                let value = self.store.form_bytes(known.raw);
                is_meant.then(|| Stood { place: about::place_name(place, variable), name, value })
            })
        })
    }

    /// Whether any rule runs: the rules' own settings, or one of them, may have switched them off.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.mode != EngineMode::Off
    }

    /// Whether rules act, as far as they themselves say.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.mode == EngineMode::On
    }

    /// Whether inspection went beyond its [`Bounds`], so that rules were left out.
    #[must_use]
    pub const fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// What inspection cost until now, in the unit of [`Bounds::steps`].
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// A variable of TX as a number; 0 where it is none.
    #[must_use]
    pub fn number(&self, name: &str) -> i64 {
        let name = name.to_ascii_lowercase();
        match self.program.slots.get(name.as_bytes()) {
            Some(slot) => self.store.slot_number(self.store.slot(*slot)),
            None => {
                self.store.extra(Variable::Tx, name.as_bytes()).map_or(0, |extra| self.store.slot_number(extra.slot))
            }
        }
    }

    fn phase(&mut self, phase: u8) -> Option<Intervention> {
        if self.intervention.is_none() && phase > self.allowed {
            self.run(phase);
        }
        self.intervention.clone()
    }

    /// What a rule's disruptive action comes to. True where the phase is over.
    fn decide(&mut self, rule: &super::program::Compiled, phase: u8) -> bool {
        let actions = &rule.actions;
        let Some(disruptive) = &actions.disruptive else { return false };
        let (default, close) = match disruptive {
            Disruptive::Pass | Disruptive::Block => return false,
            Disruptive::Allow(scope) => {
                if self.mode == EngineMode::On {
                    self.allowed = match scope {
                        Scope::Phase => phase,
                        Scope::Request => 2.max(phase),
                        Scope::Transaction => 4,
                    };
                    return true;
                }
                return false;
            }
            Disruptive::Deny => (403, false),
            Disruptive::Drop => (403, true),
            Disruptive::Redirect(_) => (302, false),
        };
        if self.mode != EngineMode::On || phase == 5 {
            self.would_refuse = self.would_refuse.or(Some(rule.id).filter(|_| phase < 5));
            return false;
        }
        let redirect = actions.redirect.as_ref().map(|words| {
            let mut text = Vec::new();
            self.fill(words, &mut text);
            text
        });
        let status =
            actions.status.filter(|status| redirect.is_none() || (300..400).contains(status)).unwrap_or(default);
        self.intervention = Some(Intervention { status, rule: rule.id, close, redirect });
        true
    }
}

impl Clock {
    fn parts(self) -> [(Variable, i64); 8] {
        let date = Date::of_seconds(i64::try_from(self.unix).unwrap_or(i64::MAX));
        let number = |number: u64| i64::try_from(number).unwrap_or(0);
        [
            (Variable::TimeEpoch, number(self.unix)),
            (Variable::TimeYear, date.year),
            // As C's `struct tm` counts: January is 0.
            (Variable::TimeMon, i64::from(date.month) - 1),
            (Variable::TimeDay, i64::from(date.day)),
            (Variable::TimeHour, number(self.unix / 3600 % 24)),
            (Variable::TimeMin, number(self.unix / 60 % 60)),
            (Variable::TimeSec, number(self.unix % 60)),
            (Variable::TimeWday, number((self.unix / 86_400 + 4) % 7)),
        ]
    }

    fn time(self) -> String {
        format!("{:02}:{:02}:{:02}", self.unix / 3600 % 24, self.unix / 60 % 60, self.unix % 60)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::seclang::parse::{NoFiles, parse};
    use crate::seclang::{compile, resolve};

    fn program(text: &str) -> Arc<Program> {
        let text = format!("SecRuleEngine On\nSecRequestBodyAccess On\nSecDefaultAction \"phase:2,pass,log\"\n{text}");
        let parsed = parse(&[("test.conf", text)], &NoFiles).expect("rules");
        let rules = resolve::resolve(parsed).expect("rules");
        Arc::new(compile(&rules).expect("a program"))
    }

    fn ask(text: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Transaction {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let peer = Peer {
            client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
            client_port: 4711,
            server: here,
            server_port: 443,
            unique_id: "u-1",
            now: Clock { unix: 1_709_251_198 },
        };
        let program = program(text);
        let mut transaction = Transaction::new(&program, &peer);
        play(&mut transaction, target, headers, body);
        // What it has seen before it finds again.
        let first = transaction.matches().to_vec();
        transaction.reset(&program, &peer);
        play(&mut transaction, target, headers, body);
        assert_eq!(transaction.matches(), first, "{text}");
        transaction
    }

    fn play(transaction: &mut Transaction, target: &str, headers: &[(&str, &str)], body: &str) {
        transaction.request_line(b"POST", target.as_bytes(), b"HTTP/1.1");
        for (name, value) in headers {
            transaction.request_header(name.as_bytes(), value.as_bytes());
        }
        if transaction.request_head_done().is_none() {
            transaction.request_body(body.as_bytes());
            if transaction.request_body_done().is_none() {
                transaction.response_head(200, b"HTTP/1.1");
                transaction.response_header(b"Content-Type", b"text/html");
                transaction.response_head_done();
                transaction.response_body_done();
            }
        }
        transaction.finish();
    }

    fn ids(transaction: &Transaction) -> Vec<u32> {
        transaction.matches().iter().map(|one| one.rule).collect()
    }

    const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

    #[test]
    fn rules_see_what_the_reference_says() {
        let table: &[(&str, &str, &str, &str, &[u32])] = &[
            ("a value of the query", r#"SecRule ARGS "@rx ^ab+$" "id:1""#, "/?q=abb", "", &[1]),
            ("and of the body", r#"SecRule ARGS_POST:q "@streq x y" "id:1""#, "/?q=1", "q=x+y", &[1]),
            ("not another one", r#"SecRule ARGS_GET:p "@rx ." "id:1""#, "/?q=1", "p=1", &[]),
            ("names", r#"SecRule ARGS_NAMES "@rx ^q$" "id:1""#, "/?q=1", "", &[1]),
            ("names by expression", r#"SecRule ARGS:/^q\d/ "@rx 1" "id:1""#, "/?q7=1", "", &[1]),
            ("but not what is taken out", r#"SecRule ARGS|!ARGS:q "@rx 1" "id:1""#, "/?Q=1", "", &[]),
            ("how many", r#"SecRule &ARGS "@eq 2" "id:1""#, "/?a=1", "b=2", &[1]),
            ("how many of those left", r#"SecRule &ARGS|!ARGS:a "@eq 1" "id:1""#, "/?a=1", "b=2", &[1]),
            ("nothing is 0", r#"SecRule &ARGS:z "@eq 0" "id:1""#, "/?a=1", "", &[1]),
            ("what is not there is not negated", r#"SecRule ARGS:z "!@rx a" "id:1""#, "/?a=1", "", &[]),
            (
                "transformed",
                r#"SecRule ARGS "@streq <b>" "id:1,t:htmlEntityDecode,t:lowercase""#,
                "/?a=%26lt;B>",
                "",
                &[1],
            ),
            (
                "after each step",
                r#"SecRule ARGS "@streq <B>" "id:1,t:htmlEntityDecode,t:lowercase,multiMatch""#,
                "/?a=%26lt;B>",
                "",
                &[1],
            ),
            (
                "once for each form that matches",
                "SecRule ARGS \"@rx b\" \"id:1,nolog,t:lowercase,t:htmlEntityDecode,multiMatch,setvar:tx.n=+1\"\nSecRule TX:n \"@eq 3\" \"id:2\"",
                "/?a=b%26lt;B",
                "",
                &[2],
            ),
            ("as it came", r#"SecRule REQUEST_URI "@streq /a%20b?c=%41" "id:1""#, "/a%20b?c=%41", "", &[1]),
            ("decoded once", r#"SecRule REQUEST_FILENAME "@streq /a b%41" "id:1""#, "/a%20b%2541", "", &[1]),
            (
                "only after the last",
                r#"SecRule ARGS "@streq <B>" "id:1,t:htmlEntityDecode,t:lowercase""#,
                "/?a=%26lt;B>",
                "",
                &[],
            ),
            ("a chain", "SecRule ARGS:a \"@rx 1\" \"id:1,chain\"\nSecRule ARGS:b \"@rx 2\"", "/?a=1&b=2", "", &[1]),
            ("half a chain", "SecRule ARGS:a \"@rx 1\" \"id:1,chain\"\nSecRule ARGS:b \"@rx 2\"", "/?a=1&b=3", "", &[]),
            (
                "what the head matched",
                "SecRule ARGS \"@rx 1\" \"id:1,chain\"\nSecRule MATCHED_VARS \"@rx ^21$\"",
                "/?a=1&b=21",
                "",
                &[1],
            ),
            (
                "what was captured",
                "SecRule ARGS \"@rx ^(.)(.)$\" \"id:1,capture,chain\"\nSecRule TX:2 \"@streq b\"",
                "/?a=ab",
                "",
                &[1],
            ),
            (
                "a step for each value",
                "SecRule ARGS \"@rx 1\" \"id:1,nolog,setvar:tx.n=+2\"\nSecRule TX:n \"@eq 6\" \"id:2\"",
                "/?a=1&b=1&c=1",
                "",
                &[2],
            ),
            (
                "a name that is made",
                "SecRule ARGS \"@rx 1\" \"id:1,nolog,setvar:'tx.at_%{MATCHED_VAR_NAME}=+1'\"\nSecRule TX:/^at_args:b$/ \"@eq 1\" \"id:2\"",
                "/?b=1",
                "",
                &[2],
            ),
            (
                "an unset one",
                "SecAction \"id:1,nolog,setvar:tx.n=1,setvar:!tx.n\"\nSecRule &TX:n \"@eq 0\" \"id:2\"",
                "/",
                "",
                &[2],
            ),
            (
                "skipping",
                "SecAction \"id:1,nolog,skipAfter:END\"\nSecAction \"id:2\"\nSecMarker END\nSecAction \"id:3\"",
                "/",
                "",
                &[3],
            ),
            ("skipping one", "SecAction \"id:1,nolog,skip:1\"\nSecAction \"id:2\"\nSecAction \"id:3\"", "/", "", &[3]),
            (
                "a gate",
                "SecAction \"id:1,nolog,setvar:tx.pl=1\"\nSecRule TX:pl \"@lt 2\" \"id:2,nolog,skipAfter:END\"\nSecRule ARGS \"@rx abc\" \"id:3\"\nSecMarker END\nSecRule ARGS \"@rx abc\" \"id:4\"",
                "/?a=abc",
                "",
                &[4],
            ),
            (
                "a gate that opens late",
                "SecRule ARGS \"@rx abc\" \"id:1,nolog,setvar:tx.pl=2\"\nSecRule TX:pl \"@lt 2\" \"id:2,nolog,skipAfter:END\"\nSecRule ARGS \"@rx abc\" \"id:3\"\nSecMarker END\nSecAction \"id:5,nolog\"",
                "/?a=abc",
                "",
                &[3],
            ),
            (
                "what a rule has changed by now",
                "SecRule ARGS \"@rx abc\" \"id:1,phase:1,nolog,ctl:requestBodyProcessor=JSON\"\nSecRule REQBODY_PROCESSOR \"@streq JSON\" \"id:2,phase:1\"",
                "/?a=abc",
                "",
                &[2],
            ),
            (
                "what a rule sets before values are looked at",
                "SecRule ARGS \"@rx abc\" \"id:1,nolog,setvar:tx.pl=1\"\nSecRule TX:pl \"@lt 2\" \"id:2,nolog,skipAfter:END\"\nSecRule ARGS \"@rx abc\" \"id:3\"\nSecMarker END\nSecRule ARGS \"!@rx ^x\" \"id:4\"",
                "/?a=abc",
                "",
                &[4],
            ),
            (
                "values in the order of the targets, not of the request",
                "SecRule ARGS_NAMES|ARGS \"@rx ^(.)=(.)$\" \"id:1,capture,chain\"\nSecRule TX:1 \"@streq %{TX.2}\"",
                "/?a=1%3D1&d%3Di=x",
                "",
                &[1],
            ),
            (
                "a rule that is taken out",
                "SecAction \"id:1,nolog,ctl:ruleRemoveById=2\"\nSecAction \"id:2\"\nSecAction \"id:3\"",
                "/",
                "",
                &[3],
            ),
            (
                "by its tag",
                "SecAction \"id:1,nolog,ctl:ruleRemoveByTag=^sql\"\nSecAction \"id:2,tag:sqli\"\nSecAction \"id:3\"",
                "/",
                "",
                &[3],
            ),
            (
                "a target that is taken out",
                "SecAction \"id:1,nolog,ctl:ruleRemoveTargetById=2;ARGS:q\"\nSecRule ARGS \"@rx abc\" \"id:2\"",
                "/?q=abc",
                "",
                &[],
            ),
            (
                "and nothing else",
                "SecAction \"id:1,nolog,ctl:ruleRemoveTargetById=2;ARGS:q\"\nSecRule ARGS \"@rx abc\" \"id:2\"",
                "/?q=abc&r=abc",
                "",
                &[2],
            ),
            ("phrases", r#"SecRule ARGS "@pm select UNION" "id:1""#, "/?q=Credit+union", "", &[1]),
            ("the client", r#"SecRule REMOTE_ADDR "@ipMatch 192.0.2.0/24" "id:1,phase:1""#, "/", "", &[1]),
            (
                "within words",
                "SecAction \"id:1,nolog,phase:1,setvar:'tx.m=GET POST'\"\nSecRule REQUEST_METHOD \"@within %{tx.m}\" \"id:2,phase:1\"",
                "/",
                "",
                &[2],
            ),
            ("the body as it is", r#"SecRule REQUEST_BODY "@contains q=%3C" "id:1""#, "/", "q=%3C", &[1]),
            ("the response", r#"SecRule RESPONSE_STATUS "@eq 200" "id:1,phase:3""#, "/", "", &[1]),
            ("the end", r#"SecRule TIME_YEAR "@eq 2024" "id:1,phase:5""#, "/", "", &[1]),
            ("injections", r#"SecRule ARGS "@detectSQLi" "id:1""#, "/?q=1'+or+'1'='1", "", &[1]),
        ];
        for (name, rules, target, body, expected) in table {
            let seen = ask(rules, target, &[FORM], body);
            assert_eq!(ids(&seen), *expected, "{name}: {rules}");
        }
    }

    #[test]
    fn collections_outlive_transactions_where_rules_open_them() {
        let rules = "SecAction \"id:1,phase:1,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.seen=+1\"\n\
            SecRule ARGS:user \"@rx .\" \"id:2,phase:2,nolog,setvar:'ip.user=%{ARGS.user}',expirevar:ip.user=60\"\n\
            SecRule IP:seen \"@gt 2\" \"id:3,phase:2,deny,status:429\"\n\
            SecRule IP:user \"@streq ann\" \"id:4,phase:2\"";
        let program = program(rules);
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let begin = |last: u8, unix: u64| {
            let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
            let now = Clock { unix };
            let peer = Peer { client, client_port: 1, server: here, server_port: 2, unique_id: "", now };
            Transaction::new(&program, &peer)
        };
        let ask = |last: u8, unix: u64, target: &str| {
            let mut transaction = begin(last, unix);
            play(&mut transaction, target, &[], "");
            ids(&transaction)
        };
        assert_eq!(ask(1, 1000, "/?user=ann"), [4]);
        // Who looks once more, for the record, counts nobody twice.
        for _ in 0..3 {
            let mut again = begin(1, 1001);
            again.only_tell();
            play(&mut again, "/", &[], "");
            assert_eq!(ids(&again), [4]);
        }
        assert_eq!(ask(1, 1030, "/"), [4], "remembered");
        assert_eq!(ask(2, 1030, "/"), Vec::<u32>::new(), "another address");
        assert_eq!(ask(1, 1061, "/"), [3], "what expired is gone, what was counted is not");
        assert_eq!(ask(1, 1061 + 3601, "/"), Vec::<u32>::new(), "forgotten after its time");
    }

    #[test]
    fn what_decides_ends_the_request_and_detection_only_tells() {
        let rules = "SecRule ARGS \"@rx evil\" \"id:1,phase:1,deny,status:429\"\nSecAction \"id:2,phase:2\"";
        let seen = ask(rules, "/?q=evil", &[], "");
        assert_eq!((ids(&seen), seen.intervention().map(|it| (it.status, it.rule))), (vec![1], Some((429, 1))));
        let seen = ask(&format!("SecRuleEngine DetectionOnly\n{rules}"), "/?q=evil", &[], "");
        assert_eq!((ids(&seen), seen.intervention()), (vec![1, 2], None));
        let mut seen = seen;
        assert_eq!((seen.take_would_refuse(), seen.take_would_refuse()), (Some(1), None));
        let allowed = format!("SecRule ARGS \"@rx evil\" \"id:9,phase:1,allow,nolog\"\n{rules}");
        assert_eq!(ids(&ask(&allowed, "/?q=evil", &[], "")), Vec::<u32>::new());
    }

    #[test]
    fn a_match_says_where_what_and_why() {
        let rules = "SecRule ARGS \"@rx ev(.)l\" \"id:1,capture,t:lowercase,severity:2,tag:'attack/%{TX.1}',\
            msg:'Found %{TX.0}',logdata:'%{MATCHED_VAR_NAME} is %{MATCHED_VAR}'\"";
        let seen = ask(rules, "/?Q=so+EVIL+it+is", &[], "");
        let [one] = seen.matches() else { panic!("{:?}", seen.matches()) };
        assert_eq!(one.message, b"Found evil");
        assert_eq!(one.data, b"ARGS:Q is so evil it is");
        assert_eq!((one.target.as_slice(), one.value.as_slice()), (&b"ARGS:Q"[..], &b"so evil it is"[..]));
        assert_eq!((one.part, one.severity), (Some((3, 7)), Some(2)));
        assert_eq!(one.tags, [b"attack/i".to_vec()]);
    }

    #[test]
    fn beyond_its_bounds_it_stops_and_says_so() {
        let rules = "SecRule ARGS \"!@rx ^[a-z]+$\" \"id:1\"";
        let mut seen = ask(rules, "/?q=1", &[], "");
        assert!(!seen.exceeded() && seen.steps() > 0);
        let program = Arc::clone(&seen.program);
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let peer =
            Peer { client: here, client_port: 1, server: here, server_port: 2, unique_id: "", now: Clock::default() };
        seen.reset(&program, &peer);
        seen.bound(Bounds { steps: 100, ..Bounds::default() });
        seen.request_line(b"GET", format!("/?q={}", "1".repeat(1000)).as_bytes(), b"HTTP/1.1");
        seen.request_head_done();
        seen.request_body_done();
        assert!(seen.exceeded());
        assert_eq!(ids(&seen), Vec::<u32>::new());
    }

    #[test]
    fn a_moment_has_the_parts_that_calendars_show() {
        // 2024-02-29 23:59:58 UTC, a Thursday.
        let moment = Clock { unix: 1_709_251_198 };
        let parts: Vec<i64> = moment.parts().iter().map(|part| part.1).collect();
        assert_eq!(parts, [1_709_251_198, 2024, 1, 29, 23, 59, 58, 4]);
        assert_eq!(moment.time(), "23:59:58");
    }
}
