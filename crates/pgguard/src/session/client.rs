//! What the application sends.
//!
//! Messages that pass one after the other are forwarded at once. One that is held up lets those before it go first, but
//! for a question to the parser: its answer is near, and one write is cheaper than two.

use std::ops::Range;
use std::sync::Arc;

use portcullis_types::Reason;
use portcullis_wire::postgres::frontend::{self, Bind, Named, Parse, Values};
use portcullis_wire::postgres::{Header, Side, header, write};
use portcullis_wire::read::Read;

use super::expected::{Expected, Refused};
use super::plans::Plan;
use super::{Desk, Event, POISON, Phase, Session, Step, Under, plan_of, statement};
use crate::policy::{Denial, Effect, Ruling, Verdict};

/// What becomes of the message at the front.
enum Fate {
    /// So many of its bytes go on.
    Pass(usize),
    /// It is not there whole.
    More,
    /// What is before it must go first.
    First,
    /// Anything else.
    Step(Step),
}

pub(super) fn look(session: &mut Session, bytes: &[u8], desk: &mut dyn Desk) -> Step {
    let mut at = std::mem::take(&mut session.judged).min(bytes.len());
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if session.to_server.left > 0 && !rest.is_empty() {
            if session.to_server.dropped && at > 0 {
                return Step::Forward(at);
            }
            let taken = session.to_server.take(rest.len());
            if session.to_server.dropped {
                return Step::Replace(taken, Vec::new());
            }
            at += taken;
            continue;
        }
        let header = match header(Side::Frontend, rest) {
            Read::Done(header) => header,
            Read::Incomplete => return passed(at),
            Read::Invalid(_) if at > 0 => return Step::Forward(at),
            Read::Invalid(why) => return session.broken(Reason::DatabaseProtocol, why, desk),
        };
        match message(session, header, rest, at == 0, desk) {
            Fate::Pass(count) => at += count,
            Fate::More => return passed(at),
            Fate::First => return Step::Forward(at),
            Fate::Step(Step::Ask(range)) => {
                session.judged = at;
                return Step::Ask(range.start + at..range.end + at);
            }
            Fate::Step(step) => return step,
        }
    }
}

fn passed(at: usize) -> Step {
    if at > 0 { Step::Forward(at) } else { Step::More }
}

/// Looks at one message. Whatever is not a passing needs it to be the first that is shown, so that nothing is done twice.
fn message(session: &mut Session, header: Header, rest: &[u8], first: bool, desk: &mut dyn Desk) -> Fate {
    if header.tag == b'X' {
        return session.stream(header, rest);
    }
    if session.phase == Phase::Authenticating {
        return match header.tag {
            b'p' => session.secret(header, rest),
            // Only the server knows when it will listen.
            _ if first => Fate::Step(Step::Wait),
            _ => Fate::First,
        };
    }
    if session.expected.len() >= session.terms.pipeline && !matches!(header.tag, b'd' | b'H') {
        let why = "more messages than `database_pipeline` that the server has not answered";
        return session.over(first, Reason::SessionLimit, why, desk);
    }
    match header.tag {
        b'Q' | b'P' => session.text(header, rest, first, desk),
        b'B' => session.bind(header, rest, first, desk),
        b'E' => session.execute(header, rest, first, desk),
        b'D' | b'C' => session.named(header, rest, first, desk),
        b'F' => session.function(header, rest, first, desk),
        b'S' => {
            if !session.copying_in {
                session.expect(Expected::Sync);
            }
            session.stream(header, rest)
        }
        b'c' | b'f' => {
            if !std::mem::take(&mut session.copying_in) && !session.expected.is_empty() {
                session.expect(Expected::CopyEnd);
            }
            session.stream(header, rest)
        }
        b'd' => {
            session.running.ran.rows_in += 1;
            session.running.ran.bytes_in += u64::from(header.body);
            session.stream(header, rest)
        }
        b'H' => session.stream(header, rest),
        _ => session.over(first, Reason::DatabaseProtocol, "a password where none was asked for", desk),
    }
}

impl Session {
    /// The message goes on, however much of it is there.
    fn stream(&mut self, header: Header, rest: &[u8]) -> Fate {
        Fate::Pass(self.to_server.begin(header, rest, false))
    }

    /// The session is over, once what is before the message has gone.
    fn over(&mut self, first: bool, reason: Reason, why: &'static str, desk: &mut dyn Desk) -> Fate {
        if first { Fate::Step(self.broken(reason, why, desk)) } else { Fate::First }
    }

    fn expect(&mut self, expected: Expected) {
        if self.skipping {
            match expected {
                Expected::Sync => self.skipping = false,
                other => return self.abandon(&other),
            }
        }
        self.expected.push_back(expected);
    }

    /// A password, or a step of an exchange: passed and never looked at, but for the mechanism that was chosen.
    fn secret(&mut self, header: Header, rest: &[u8]) -> Fate {
        let Some(body) = whole(header, rest) else { return Fate::More };
        if self.authentication.method == "SASL" {
            // What follows in the exchange does not have this form, and by then the method has its name.
            if let Some(name) = frontend::sasl_mechanism(body) {
                let name = String::from_utf8_lossy(name.get(..32).unwrap_or(name));
                self.authentication.method = name.into_owned().into();
            }
        }
        self.stream(header, rest)
    }

    /// `Query` and `Parse`: the two that carry a text.
    fn text(&mut self, header: Header, rest: &[u8], first: bool, desk: &mut dyn Desk) -> Fate {
        let simple = header.tag == b'Q';
        let most = self.terms.statement_bytes + self.terms.name_bytes + 64;
        if header.message() > most as u64 {
            return self.long_text(header, rest, first, desk);
        }
        let Some(body) = whole(header, rest) else { return Fate::More };
        let parsed = if simple {
            frontend::query(body).map(|text| Parse { name: b"", text })
        } else {
            Parse::read(body).filter(|parse| parse.name.len() <= self.terms.name_bytes)
        };
        let Some(Parse { name, text }) = parsed else {
            return self.over(first, Reason::DatabaseProtocol, "a text that could be read in two ways", desk);
        };
        if !simple && !self.plans.has_room(name) {
            let why = "more prepared statements than `database_plans`";
            return self.over(first, Reason::SessionLimit, why, desk);
        }
        let Some(verdict) = self.answer.take().or_else(|| desk.judge(text, &self.context)) else {
            return Fate::Step(Step::Ask(place(rest, text)));
        };
        let own = self.misread().or_else(|| if simple { self.unprepared(&verdict, desk) } else { None });
        let denial = match (&verdict.ruling, &own) {
            (Ruling::Refused(denial), _) => Some(denial),
            (_, Some(denial)) if self.terms.enforce => Some(denial),
            (Ruling::Observed(denial), _) | (_, Some(denial)) => {
                self.observe(denial, Some(text), desk);
                None
            }
            (Ruling::Pass, None) => None,
        };
        if let Some(denial) = denial {
            if !first {
                self.answer = Some(verdict);
                return Fate::First;
            }
            let refused = self.refuse(denial.clone(), Some(text), desk);
            return self.poison(header, rest, simple, name, refused);
        }
        if simple {
            self.will_run(&verdict);
            self.expect(Expected::Query { verdict: Some(verdict), at: 0, refused: None });
        } else {
            let plan = plan_of(&verdict);
            self.plans.begin(name, &plan);
            self.expect(Expected::Parse { name: name.into(), plan, refused: None });
        }
        self.stream(header, rest)
    }

    /// A text that is longer than what is judged: refused, or passed and told where policy only observes.
    fn long_text(&mut self, header: Header, rest: &[u8], first: bool, desk: &mut dyn Desk) -> Fate {
        if !first {
            return Fate::First;
        }
        let simple = header.tag == b'Q';
        let front = rest.get(Header::BYTES..).unwrap_or_default();
        let front = front.get(..self.terms.name_bytes + 1).unwrap_or(front);
        let end = front.iter().position(|byte| *byte == 0);
        let name = match (simple, end) {
            (true, _) => b"",
            (false, Some(end)) => front.get(..end).unwrap_or_default(),
            (false, None) if front.len() <= self.terms.name_bytes => return Fate::More,
            (false, None) => {
                return self.over(first, Reason::DatabaseProtocol, "a name longer than names may be", desk);
            }
        };
        let detail = format!("{} bytes, and texts are judged up to {}", header.body, self.terms.statement_bytes);
        let denial = Denial { reason: Reason::StatementUnreadable, detail: detail.into() };
        if self.terms.enforce {
            let refused = self.refuse(denial, None, desk);
            return self.poison(header, rest, simple, name, refused);
        }
        self.observe(&denial, None, desk);
        if simple {
            self.expect(Expected::Query { verdict: None, at: 0, refused: None });
        } else {
            let plan = plan_of(&unjudged());
            self.plans.begin(name, &plan);
            self.expect(Expected::Parse { name: name.into(), plan, refused: None });
        }
        self.stream(header, rest)
    }

    fn bind(&mut self, header: Header, rest: &[u8], first: bool, desk: &mut dyn Desk) -> Fate {
        let body = rest.get(Header::BYTES..).unwrap_or_default();
        let body = body.get(..header.body as usize).unwrap_or(body);
        let (portal, name) = match Bind::read(body, self.terms.name_bytes) {
            Read::Done(bind) => (bind.portal, bind.statement),
            Read::Incomplete if body.len() < header.body as usize => return Fate::More,
            Read::Incomplete | Read::Invalid(_) => {
                return self.over(first, Reason::DatabaseProtocol, "a name longer than names may be", desk);
            }
        };
        let plan = self.plans.find(name).cloned();
        let denial = match &plan {
            None => Some(unknown("a statement of a name that was not prepared through the gate")),
            Some(plan)
                if let Some(known) = statement(&plan.verdict, plan.at)
                    && known.values_matter =>
            {
                if header.message() > self.terms.values_bytes as u64 {
                    let detail = format!("values of {} bytes decide how far it reaches", header.body);
                    Some(Denial { reason: Reason::StatementUnreadable, detail: detail.into() })
                } else if let Some(body) = whole(header, rest) {
                    let Some(values) = Values::read(body) else {
                        return self.over(first, Reason::DatabaseProtocol, "values that are not as they say", desk);
                    };
                    match desk.bind(known, &values, &self.context) {
                        Ruling::Pass => None,
                        Ruling::Observed(denial) => {
                            self.observe(&denial, None, desk);
                            None
                        }
                        Ruling::Refused(denial) if first => {
                            let refused = self.refuse(denial, None, desk);
                            return self.poison_bound(header, rest, refused);
                        }
                        Ruling::Refused(_) => return Fate::First,
                    }
                } else {
                    return Fate::More;
                }
            }
            Some(_) => None,
        };
        if let Some(denial) = denial {
            if self.terms.enforce {
                if !first {
                    return Fate::First;
                }
                let name: Box<[u8]> = name.into();
                let refused = self.refuse(denial, None, desk);
                // The name may exist in the server all the same; a Parse of it fails before anybody looks.
                return if name.is_empty() {
                    self.poison_bound(header, rest, refused)
                } else {
                    self.poison(header, rest, false, &name, refused)
                };
            }
            self.observe(&denial, None, desk);
        }
        if !self.plans.open_portal(portal, plan.as_ref()) {
            return self.over(first, Reason::SessionLimit, "more portals than `database_plans`", desk);
        }
        self.expect(Expected::Bind { refused: None });
        self.stream(header, rest)
    }

    fn execute(&mut self, header: Header, rest: &[u8], first: bool, desk: &mut dyn Desk) -> Fate {
        let Some(body) = whole(header, rest) else { return Fate::More };
        let Some((portal, _)) = frontend::execute(body) else {
            return self.over(first, Reason::DatabaseProtocol, "a malformed Execute", desk);
        };
        let plan = self.plans.portal(portal).cloned();
        if let Some(denial) = plan.as_ref().and_then(|plan| self.unprepared(&plan.verdict, desk)) {
            if self.terms.enforce {
                if !first {
                    return Fate::First;
                }
                let refused = self.refuse(denial, None, desk);
                return self.poison_bound(header, rest, refused);
            }
            self.observe(&denial, None, desk);
        }
        if let Some(plan) = &plan {
            self.will_run(&plan.verdict);
        }
        self.expect(Expected::Execute { plan, refused: None });
        self.stream(header, rest)
    }

    fn named(&mut self, header: Header, rest: &[u8], first: bool, desk: &mut dyn Desk) -> Fate {
        let Some(body) = whole(header, rest) else { return Fate::More };
        let Some(named) = Named::read(body) else {
            return self.over(first, Reason::DatabaseProtocol, "a malformed Describe or Close", desk);
        };
        let expected = match (header.tag, named) {
            (b'D', Named::Statement(name)) => Expected::Describe { plan: self.plans.find(name).cloned() },
            (b'D', Named::Portal(name)) => Expected::Describe { plan: self.plans.portal(name).cloned() },
            (_, Named::Statement(name)) => Expected::Close { statement: Some(name.into()) },
            (_, Named::Portal(name)) => {
                self.plans.close_portal(name);
                Expected::Close { statement: None }
            }
        };
        self.expect(expected);
        self.stream(header, rest)
    }

    /// A call of a function by its object: no text says what it does.
    fn function(&mut self, header: Header, rest: &[u8], first: bool, desk: &mut dyn Desk) -> Fate {
        let body = rest.get(Header::BYTES..).unwrap_or_default();
        if body.len() < 4 && header.body >= 4 {
            return Fate::More;
        }
        // Of a body that is too short for one, nothing is made up from what is behind it.
        let Some(function) = frontend::function(body).filter(|_| header.body >= 4) else {
            return self.over(first, Reason::DatabaseProtocol, "a call of no function", desk);
        };
        if self.terms.functions.contains(&function) {
            self.expect(Expected::Function { refused: None });
            return self.stream(header, rest);
        }
        let detail = format!("a call of function {function} by its object");
        let denial = Denial { reason: Reason::StatementForbidden, detail: detail.into() };
        if self.terms.enforce {
            if !first {
                return Fate::First;
            }
            let refused = self.refuse(denial, None, desk);
            let mut poison = Vec::new();
            write::query(&mut poison, &format!("{POISON}{}", refused.reference));
            self.expect(Expected::Function { refused: Some(refused) });
            return Fate::Step(Step::Replace(self.to_server.begin(header, rest, true), poison));
        }
        self.observe(&denial, None, desk);
        self.expect(Expected::Function { refused: None });
        self.stream(header, rest)
    }

    fn observe(&self, denial: &Denial, text: Option<&[u8]>, desk: &mut dyn Desk) {
        let reference = desk.reference();
        desk.note(Event::Observed { reference, denial, text }, &self.context);
    }

    fn refuse(&mut self, denial: Denial, text: Option<&[u8]>, desk: &mut dyn Desk) -> Box<Refused> {
        let reference = desk.reference();
        desk.note(Event::Refused { reference, denial: &denial, text }, &self.context);
        Box::new(Refused { denial, reference })
    }

    /// Puts a `Query` or `Parse` that fails in the place of a message.
    fn poison(&mut self, header: Header, rest: &[u8], simple: bool, name: &[u8], refused: Box<Refused>) -> Fate {
        let (mut poison, words) = (Vec::new(), format!("{POISON}{}", refused.reference));
        let expected = if simple {
            write::query(&mut poison, &words);
            Expected::Query { verdict: None, at: 0, refused: Some(refused) }
        } else {
            write::parse(&mut poison, name, &words);
            let plan = plan_of(&unjudged());
            self.plans.begin(name, &plan);
            Expected::Parse { name: name.into(), plan, refused: Some(refused) }
        };
        self.expect(expected);
        Fate::Step(Step::Replace(self.to_server.begin(header, rest, true), poison))
    }

    /// Puts a `Parse` that fails in the place of a `Bind` or `Execute`. It has a name, because an unnamed one would cost the
    /// application its unnamed statement.
    fn poison_bound(&mut self, header: Header, rest: &[u8], refused: Box<Refused>) -> Fate {
        let mut poison = Vec::new();
        write::parse(&mut poison, b"refused by the gate", &format!("{POISON}{}", refused.reference));
        self.expect(Expected::Bind { refused: Some(refused) });
        Fate::Step(Step::Replace(self.to_server.begin(header, rest, true), poison))
    }

    /// What there is against any text while the server reads texts differently.
    fn misread(&self) -> Option<Denial> {
        let how = match (self.other_strings, self.other_characters) {
            (true, _) => "standard_conforming_strings is off",
            (_, true) => "the client's encoding has characters that hold a backslash",
            _ => return None,
        };
        let detail = format!("the server reads texts differently than the guard: {how}");
        Some(Denial { reason: Reason::StatementUnreadable, detail: detail.into() })
    }

    /// What there is against each `EXECUTE`: its name was prepared neither through the gate nor earlier in the same text, or
    /// its arguments reach too far.
    fn unprepared(&self, verdict: &Verdict, desk: &mut dyn Desk) -> Option<Denial> {
        verdict.statements.iter().enumerate().find_map(|(at, known)| {
            let Effect::Execute { name } = &known.effect else { return None };
            let earlier = verdict.statements.iter().take(at).rev();
            let mut here = earlier
                .filter(|known| matches!(&known.effect, Effect::Prepare { name: prepared, .. } if prepared == name));
            let plan = self.plans.find(name.as_bytes());
            let there = plan.and_then(|plan| statement(&plan.verdict, plan.at));
            match (here.next().or(there), plan) {
                (Some(prepared), _) if prepared.values_matter => match desk.execute(prepared, known, &self.context) {
                    Ruling::Pass => None,
                    Ruling::Observed(denial) | Ruling::Refused(denial) => Some(denial),
                },
                (Some(_), _) | (None, Some(_)) => None,
                (None, None) => Some(unknown("EXECUTE of a name that was not prepared through the gate")),
            }
        })
    }

    /// Names that the server will know once it has run this.
    fn will_run(&mut self, verdict: &Arc<Verdict>) {
        for (at, known) in verdict.statements.iter().enumerate() {
            if let Effect::Prepare { name, .. } = &known.effect
                && self.plans.has_room(name.as_bytes())
            {
                self.plans.begin(name.as_bytes(), &Arc::new(Plan::at(Arc::clone(verdict), at)));
            }
        }
    }
}

impl Under {
    /// A message begins: how much of it is there.
    pub(super) fn begin(&mut self, header: Header, rest: &[u8], dropped: bool) -> usize {
        let there = usize::try_from(header.message()).unwrap_or(usize::MAX).min(rest.len());
        *self = Self { left: header.message() - there as u64, dropped, counted: false };
        there
    }

    /// More of the body has arrived: how much of it is this message's.
    pub(super) fn take(&mut self, available: usize) -> usize {
        let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(available);
        self.left -= taken as u64;
        taken
    }
}

fn whole(header: Header, rest: &[u8]) -> Option<&[u8]> {
    rest.get(Header::BYTES..usize::try_from(header.message()).ok()?)
}

/// Where a part lies in its whole.
fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}

fn unknown(detail: &str) -> Denial {
    Denial { reason: Reason::StatementUnknown, detail: detail.into() }
}

/// Of a text that nobody has judged.
fn unjudged() -> Arc<Verdict> {
    Arc::new(Verdict { ruling: Ruling::Pass, statements: Arc::from([]) })
}
