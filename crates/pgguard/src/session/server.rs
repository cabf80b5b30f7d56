//! What the server sends: rows are counted and charged before they leave, answers are matched to what was asked.
//!
//! Never holds rows back for longer than one look: what is shown is charged as a whole, and goes on or not at all.

use std::sync::Arc;

use portcullis_types::Reason;
use portcullis_wire::postgres::backend::{self, Authentication, Transaction};
use portcullis_wire::postgres::{Header, Side, header, write};
use portcullis_wire::read::Read;

use super::expected::Expected;
use super::plans::Plan;
use super::{DENIED, Desk, Event, Outflow, Phase, ROW_DESCRIPTION_BYTES, Ran, Running, Session, Step, statement};
use crate::lexing;
use crate::policy::{Denial, Effect, Statement, Verdict};

/// The longest `CommandComplete`, `ParameterStatus` and the like that is read; longer ones pass unread.
const SMALL_BYTES: u32 = 8 * 1024;

/// Rows up to this length go on whole, so that a session which is cut between two of them can be told why. Longer ones go on as
/// they come.
const ROW_BYTES: u32 = 32 * 1024;

/// Rows that were looked at and not yet charged.
#[derive(Default)]
struct Uncharged {
    /// Where they begin in what is shown.
    start: usize,
    rows: u64,
    bytes: u64,
    /// Whether they begin where a message does.
    clean: bool,
}

pub(super) fn look(session: &mut Session, bytes: &[u8], desk: &mut dyn Desk) -> Step {
    if let Some((denial, clean)) = session.cut.take() {
        return session.cut_off(denial, clean, desk);
    }
    let (mut at, mut uncharged) = (0, Uncharged::default());
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if session.to_client.left > 0 && !rest.is_empty() {
            if session.to_client.dropped {
                if at > 0 {
                    return session.settle(bytes, at, &mut uncharged, desk);
                }
                return Step::Replace(session.to_client.take(rest.len()), Vec::new());
            }
            let taken = session.to_client.take(rest.len());
            if session.to_client.counted {
                uncharged.add(at, 0, taken, false);
            }
            at += taken;
            continue;
        }
        let header = match header(Side::Backend, rest) {
            Read::Done(header) => header,
            Read::Incomplete => return session.settle(bytes, at, &mut uncharged, desk),
            Read::Invalid(_) if at > 0 => return session.settle(bytes, at, &mut uncharged, desk),
            Read::Invalid(why) => return session.broken(Reason::UpstreamProtocol, why, desk),
        };
        if matches!(header.tag, b'D' | b'd') {
            let is_whole = usize::try_from(header.message()).is_ok_and(|end| end <= rest.len());
            if !is_whole && header.body <= ROW_BYTES {
                return session.settle(bytes, at, &mut uncharged, desk);
            }
            let there = session.to_client.begin(header, rest, false);
            session.to_client.counted = true;
            uncharged.add(at, 1, there - Header::BYTES, true);
            at += there;
            continue;
        }
        // Anything else ends a run of rows that belong together.
        if uncharged.rows + uncharged.bytes > 0 {
            match session.charge(bytes, at, &mut uncharged, desk) {
                Ok(()) => {}
                Err(step) => return step,
            }
        }
        match message(session, header, rest, at == 0, desk) {
            Fate::Pass => at += session.to_client.begin(header, rest, false),
            Fate::More if at > 0 => return Step::Forward(at),
            Fate::More => return Step::More,
            Fate::First => return Step::Forward(at),
            Fate::Step(step) => return step,
        }
    }
}

enum Fate {
    Pass,
    More,
    First,
    Step(Step),
}

/// Looks at one message other than a row.
fn message(session: &mut Session, header: Header, rest: &[u8], first: bool, desk: &mut dyn Desk) -> Fate {
    let body = usize::try_from(header.message()).ok().and_then(|end| rest.get(Header::BYTES..end));
    let most = if header.tag == b'T' { ROW_DESCRIPTION_BYTES as u32 } else { SMALL_BYTES };
    let looked_at = matches!(header.tag, b'T' | b'K' | b'S' | b'R' | b'Z' | b'C');
    if looked_at && body.is_none() && header.body <= most {
        return Fate::More;
    }
    let body = body.filter(|_| header.body <= most);
    match header.tag {
        b'R' => session.authenticate(body, desk),
        b'K' => {
            session.key = body.and_then(backend::key_data).map(|(process, key)| (process, key.into()));
            if let Some((process, _)) = &session.key {
                desk.note(Event::Process(*process), &session.context);
            }
        }
        b'S' => match body.and_then(backend::parameter) {
            Some((b"application_name", value)) => desk.note(Event::Named(value), &session.context),
            Some((name, value)) => session.reported(name, value),
            None => {}
        },
        b'Z' => session.ready(body, desk),
        b'T' => session.described(body, desk),
        b'n' => session.pop_if(|expected| matches!(expected, Expected::Describe { .. })),
        b'1' => session.parsed(),
        b'2' => session.pop_if(|expected| matches!(expected, Expected::Bind { .. })),
        b'3' => session.closed(),
        b'C' => {
            session.running.ran.processed = body.and_then(backend::command).map_or(0, processed);
            session.completed(desk);
        }
        b's' => session.suspended(desk),
        b'I' => session.pop_if(|expected| matches!(expected, Expected::Execute { .. })),
        b'G' => session.copy_in(),
        b'H' => session.running.sensitive = Some(session.reads_sensitive()),
        b'E' => return session.failed(header, rest, first, desk),
        _ => {}
    }
    Fate::Pass
}

/// The rows of a command's tag: the number at its end, of those that the server counts by statement.
fn processed(tag: &[u8]) -> u64 {
    let counted = [&b"SELECT "[..], b"INSERT ", b"UPDATE ", b"DELETE ", b"MERGE ", b"COPY ", b"FETCH "];
    if !counted.iter().any(|word| tag.starts_with(word)) {
        return 0;
    }
    let number = tag.rsplit(|byte| *byte == b' ').next().and_then(|number| std::str::from_utf8(number).ok());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl Session {
    /// The server says how it reads texts: by a setting of the role, the database or the startup message as well as by `SET`.
    fn reported(&mut self, name: &[u8], value: &[u8]) {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        let place = match &*name {
            "standard_conforming_strings" => &mut self.other_strings,
            "client_encoding" => &mut self.other_characters,
            _ => return,
        };
        *place = !lexing::reads_as_we_do(&name, &value);
    }

    /// Everything that was looked at goes on, if it may.
    fn settle(&mut self, bytes: &[u8], at: usize, uncharged: &mut Uncharged, desk: &mut dyn Desk) -> Step {
        if uncharged.rows + uncharged.bytes > 0
            && let Err(step) = self.charge(bytes, at, uncharged, desk)
        {
            return step;
        }
        if at > 0 { Step::Forward(at) } else { Step::More }
    }

    /// Takes rows off the budgets. Where they may not leave, what is before them still does, and then the session is over.
    fn charge(&mut self, bytes: &[u8], end: usize, uncharged: &mut Uncharged, desk: &mut dyn Desk) -> Result<(), Step> {
        let Uncharged { start, rows, bytes: count, clean } = std::mem::take(uncharged);
        let sensitive = match self.running.sensitive {
            Some(sensitive) => sensitive,
            None => *self.running.sensitive.insert(self.is_sensitive()),
        };
        let subject = self.subject();
        let outflow = Outflow {
            verdict: subject.as_ref().map(|(verdict, at)| (verdict.as_ref(), *at)),
            rows,
            bytes: count,
            sensitive,
            messages: bytes.get(start..end).unwrap_or_default(),
        };
        match desk.charge(&outflow, &self.context) {
            Ok(()) => {
                self.running.ran.rows += rows;
                self.running.ran.bytes += count;
                Ok(())
            }
            Err(denial) if start > 0 => {
                self.cut = Some((denial, clean));
                Err(Step::Forward(start))
            }
            Err(denial) => Err(self.cut_off(denial, clean, desk)),
        }
    }

    /// The session is over because more would leave than may.
    fn cut_off(&mut self, denial: Denial, clean: bool, desk: &mut dyn Desk) -> Step {
        self.to_client.left = u64::from(!clean);
        self.end(denial, "53400", desk)
    }

    fn authenticate(&mut self, body: Option<&[u8]>, desk: &mut dyn Desk) {
        let method = match body.and_then(Authentication::read) {
            Some(Authentication::Done) => {
                if self.authentication.method.is_empty() {
                    self.authentication.method = "trust".into();
                }
                return desk.note(Event::Authenticated(&self.authentication), &self.context);
            }
            Some(Authentication::CleartextPassword) => "password".into(),
            Some(Authentication::Md5Password) => "md5".into(),
            Some(Authentication::Sasl(_)) => "SASL".into(),
            Some(Authentication::Other(number)) => format!("method {number}").into(),
            Some(Authentication::Continue) | None => return,
        };
        self.authentication.method = method;
    }

    /// `ReadyForQuery`: the end of whatever was under way.
    fn ready(&mut self, body: Option<&[u8]>, desk: &mut dyn Desk) {
        self.transaction = body.and_then(Transaction::read).unwrap_or_default();
        if self.phase == Phase::Authenticating {
            self.phase = Phase::Serving;
            return;
        }
        while let Some(expected) = self.expected.pop_front() {
            self.abandon(&expected);
            if expected.is_ended_by_ready() {
                break;
            }
        }
        self.copying_in = false;
        if self.running.ran != Ran::default() {
            self.tell(desk, true);
        }
        self.running = Running::default();
        if self.transaction == Transaction::Idle {
            self.plans.close_portals();
        }
    }

    /// Names that the server does not take after all.
    pub(super) fn abandon(&mut self, expected: &Expected) {
        match expected {
            Expected::Parse { name, .. } => self.plans.abandon(name),
            Expected::Query { verdict: Some(verdict), at, .. } => self.abandon_names(verdict, *at),
            Expected::Execute { plan: Some(plan), .. } => self.abandon_names(&plan.verdict, 0),
            _ => {}
        }
    }

    fn abandon_names(&mut self, verdict: &Verdict, from: usize) {
        for known in verdict.statements.iter().skip(from) {
            if let Effect::Prepare { name, .. } = &known.effect {
                self.plans.abandon(name.as_bytes());
            }
        }
    }

    fn described(&mut self, body: Option<&[u8]>, desk: &mut dyn Desk) {
        self.drop_copy_ends();
        let known =
            self.subject().as_ref().and_then(|(verdict, at)| statement(verdict, *at)).map(Statement::reads_sensitive);
        // Who has not been judged may read anything.
        let computed = known.unwrap_or(true);
        let sensitive = body.is_none_or(|body| {
            backend::columns(body).any(|column| {
                let known = if column.relation == 0 { None } else { desk.is_sensitive(&column) };
                known.unwrap_or(computed)
            })
        });
        match self.expected.front() {
            Some(Expected::Describe { plan }) => {
                if let Some(plan) = plan {
                    let _ = plan.sensitive.set(sensitive);
                }
                self.expected.pop_front();
            }
            _ => self.running.sensitive = Some(sensitive),
        }
    }

    fn parsed(&mut self) {
        self.drop_copy_ends();
        if let Some(Expected::Parse { .. }) = self.expected.front()
            && let Some(Expected::Parse { name, plan, .. }) = self.expected.pop_front()
        {
            self.plans.commit(&name, &plan);
        }
    }

    fn closed(&mut self) {
        self.drop_copy_ends();
        if let Some(Expected::Close { .. }) = self.expected.front()
            && let Some(Expected::Close { statement: Some(name) }) = self.expected.pop_front()
        {
            self.plans.close(&name);
        }
    }

    fn pop_if(&mut self, is_it: fn(&Expected) -> bool) {
        self.drop_copy_ends();
        if self.expected.front().is_some_and(is_it) {
            self.expected.pop_front();
        }
    }

    /// The end of a `COPY` that the server was not in is not answered.
    fn drop_copy_ends(&mut self) {
        while let Some(Expected::CopyEnd) = self.expected.front() {
            self.expected.pop_front();
        }
    }

    /// `CommandComplete`: a statement is through.
    fn completed(&mut self, desk: &mut dyn Desk) {
        self.drop_copy_ends();
        let subject = self.subject();
        self.tell(desk, false);
        self.running = Running::default();
        match self.expected.front_mut() {
            Some(Expected::Query { at, .. }) => *at += 1,
            Some(Expected::Execute { .. }) => drop(self.expected.pop_front()),
            _ => {}
        }
        let Some((verdict, at)) = subject else { return };
        match statement(&verdict, at).map(|known| &known.effect) {
            Some(Effect::Prepare { name, .. }) => {
                self.plans.commit(name.as_bytes(), &Arc::new(Plan::at(Arc::clone(&verdict), at)));
            }
            Some(Effect::Deallocate { name: Some(name) }) => self.plans.close(name.as_bytes()),
            Some(Effect::Deallocate { name: None }) => self.plans.close_all(),
            Some(Effect::None | Effect::Execute { .. }) | None => {}
        }
    }

    /// The session is over, and the statement under way with it: what left of its rows is told.
    pub fn ended(&mut self, desk: &mut dyn Desk) {
        if self.running.ran != Ran::default() {
            self.tell(desk, true);
        }
        self.running = Running::default();
    }

    /// `PortalSuspended`: as many rows as were wanted, and there are more.
    fn suspended(&mut self, desk: &mut dyn Desk) {
        self.running.ran.processed = self.running.ran.rows;
        self.tell(desk, false);
        self.running = Running::default();
        self.pop_if(|expected| matches!(expected, Expected::Execute { .. }));
    }

    /// `CopyInResponse`: what was sent ahead of it counts as sent inside. The server ignores a `Sync` there.
    fn copy_in(&mut self) {
        self.drop_copy_ends();
        let mut at = 1;
        while let Some(expected) = self.expected.get(at) {
            match expected {
                Expected::Sync => drop(self.expected.remove(at)),
                Expected::CopyEnd => return drop(self.expected.remove(at)),
                _ => at += 1,
            }
        }
        self.copying_in = true;
    }

    /// `ErrorResponse`: the server's own goes on, one that we provoked is replaced by ours.
    fn failed(&mut self, header: Header, rest: &[u8], first: bool, desk: &mut dyn Desk) -> Fate {
        if self.phase == Phase::Authenticating {
            return Fate::Pass;
        }
        self.drop_copy_ends();
        let refused = self.expected.front().and_then(Expected::refused).cloned();
        if refused.is_some() && !first {
            return Fate::First;
        }
        self.copying_in = false;
        if refused.is_none() {
            self.tell(desk, true);
        }
        self.running = Running::default();
        if self.expected.front().is_some_and(Expected::is_extended) {
            self.skipping = true;
            while let Some(expected) = self.expected.front() {
                if matches!(expected, Expected::Sync) {
                    self.skipping = false;
                    break;
                }
                if let Some(expected) = self.expected.pop_front() {
                    self.abandon(&expected);
                }
            }
        }
        let Some(refused) = refused else { return Fate::Pass };
        let mut ours = Vec::new();
        let message =
            format!("{} (reference {})", refused.denial.reason.description().trim_end_matches('.'), refused.reference);
        write::error(&mut ours, write::Gravity::Error, DENIED, &message, "");
        Fate::Step(Step::Replace(self.to_client.begin(header, rest, true), ours))
    }

    /// The statement whose results the server sends.
    fn subject(&self) -> Option<(Arc<Verdict>, usize)> {
        let (verdict, at) = match self.expected.front()? {
            Expected::Query { verdict: Some(verdict), at, .. } => (verdict, *at),
            Expected::Execute { plan: Some(plan), .. } | Expected::Describe { plan: Some(plan) } => {
                (&plan.verdict, plan.at)
            }
            _ => return None,
        };
        if let Some(Effect::Execute { name }) = statement(verdict, at).map(|known| &known.effect)
            && let Some(plan) = self.plans.find(name.as_bytes())
        {
            return Some((Arc::clone(&plan.verdict), plan.at));
        }
        Some((Arc::clone(verdict), at))
    }

    fn reads_sensitive(&self) -> bool {
        let known = self.subject();
        known.as_ref().and_then(|(verdict, at)| statement(verdict, *at)).is_none_or(Statement::reads_sensitive)
    }

    /// Whether rows without a description just before them are sensitive.
    fn is_sensitive(&self) -> bool {
        if let Some(Expected::Execute { plan: Some(plan), .. }) = self.expected.front()
            && let Some(sensitive) = plan.sensitive.get()
        {
            return *sensitive;
        }
        self.reads_sensitive()
    }

    fn tell(&mut self, desk: &mut dyn Desk, failed: bool) {
        let subject = self.subject();
        self.running.ran.key =
            subject.as_ref().and_then(|(verdict, at)| statement(verdict, *at)).map_or(0, |known| known.key);
        self.running.ran.failed = failed;
        desk.note(Event::Ran(&self.running.ran), &self.context);
    }
}

impl Statement {
    /// Whether it, or what it prepares, reads what is sensitive.
    fn reads_sensitive(&self) -> bool {
        match &self.effect {
            Effect::Prepare { statement, .. } => statement.reads_sensitive(),
            _ => self.sensitive,
        }
    }
}

impl Uncharged {
    fn add(&mut self, at: usize, rows: u64, bytes: usize, clean: bool) {
        if self.rows + self.bytes == 0 {
            (self.start, self.clean) = (at, clean);
        }
        self.rows += rows;
        self.bytes += bytes as u64;
    }
}
