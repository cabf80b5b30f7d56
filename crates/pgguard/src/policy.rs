//! What a statement may do: what a session asks, and what it is told.
//!
//! Never knows frames or sockets: a text goes in with who sent it, a verdict comes out. A text that has been described before is
//! judged at once; of another the shell asks the parser, in its own process, and tells the [`Answer`].

use std::hash::Hasher as _;
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_types::Reason;
use portcullis_wire::postgres::frontend::Values;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::book::{self, Book, Stage, Standing, Who};
use crate::cache::Cache;
use crate::description::{Answer, Argument, Deed, Described, Kind, TEXT_BYTES, Unreadable};
use crate::lineage::Lineage;
use crate::reach::{Reach, Use};
use crate::template;

/// Who sends a statement: the session, as far as policy may tell sessions apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The declared database's name in the configuration.
    pub guard: Arc<str>,
    /// `user` of the startup message.
    pub role: Arc<str>,
    /// `database` of the startup message, or the role where it names none.
    pub database: Arc<str>,
    /// The address of the application that connected.
    pub client: IpAddr,
    /// `application_name` of the startup message, empty where it names none. A claim of the client's, never a proof.
    pub application: Arc<str>,
}

/// What the statements of one text are.
type Statements = Arc<[Arc<Described>]>;

/// What is decided about one text: all statements of a simple query, or the one of a `Parse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it runs.
    pub ruling: Ruling,
    /// What it is. Statements stand in the order in which the server runs them; none where the text could not be parsed.
    pub statements: Arc<[Statement]>,
}

/// Whether a text goes on to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It goes on.
    Pass,
    /// It goes on and is told, because policy only observes: enforced, it would be refused.
    Observed(Denial),
    /// It does not reach the server.
    Refused(Denial),
}

/// Why a text is not wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The stable reason.
    pub reason: Reason,
    /// What of it, in words, for the operator; the application reads the reason's description and a reference.
    pub detail: Box<str>,
}

/// One statement as the session must know it to follow what the server does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The fingerprint of its grammar and its shape together: what policy, budgets and the log call it by.
    pub key: u64,
    /// What it does to the session, beyond running.
    pub effect: Effect,
    /// Whether it reads a relation with sensitive columns: a result column that belongs to no relation
    /// (`RowDescription` says object 0) then counts as sensitive.
    pub sensitive: bool,
    /// Whether the values that it is bound to decide how far it reaches (`LIMIT $1`): they are asked about at each `Bind`.
    pub values_matter: bool,
    /// What the parser said of it; `None` where no parser was asked.
    pub described: Option<Arc<Described>>,
}

/// What a statement changes about the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that must be followed.
    None,
    /// `PREPARE name AS …`: what `EXECUTE name` runs from then on. The inner statement has been judged with the outer one.
    Prepare {
        /// As the server folds it.
        name: Box<str>,
        /// What it prepares.
        statement: Box<Statement>,
    },
    /// `EXECUTE name(…)`: runs what was prepared under the name, by SQL or by a `Parse`.
    Execute {
        /// As the server folds it.
        name: Box<str>,
    },
    /// `DEALLOCATE name`, or all of them: `DEALLOCATE ALL`, `DISCARD ALL`.
    Deallocate {
        /// As the server folds it; `None` is all.
        name: Option<Box<str>>,
    },
}

/// What the operator declared about a database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Whether anything is refused at all; otherwise it is only told.
    pub enforce: bool,
    /// Whether a text goes on that could not be described for a reason that is ours: the parser failed.
    pub fail_open: bool,
    /// Kinds that a role may run although they are always refused; the role `*` is every role.
    pub grants: Vec<(Box<str>, Kind)>,
    /// Relations whose rows are personal: `members` in any schema, or `public.members`.
    pub sensitive: Vec<Box<str>>,
}

/// What is known of one database while the gate runs: rules, book, and what texts were described as.
#[derive(Debug)]
pub struct Policy {
    rules: Rules,
    lineage: Arc<Lineage>,
    book: Book,
    secret: [u8; 16],
    /// Where a text is made alike with its like.
    template: Vec<u8>,
    verdicts: Cache<(u64, Arc<Verdict>)>,
    /// What texts are; of one that a parser failed on, when that was.
    described: Cache<Result<Statements, (u64, Unreadable)>>,
    /// What was counted since the start.
    pub counts: Counts,
}

/// What a policy has counted of what it judged anew; what was judged before is counted by the sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Texts that the parser described.
    pub described: u64,
    /// Texts that are not SQL, too long or too deep.
    pub unreadable: u64,
    /// Texts on which the parser failed.
    pub parser_failed: u64,
    /// Statements that are always refused, refused or observed.
    pub forbidden: u64,
    /// Statements that are not approved, refused or observed.
    pub unknown: u64,
}

/// Bytes of descriptions that are kept so that texts are not parsed twice.
const DESCRIBED_BYTES: usize = 32 * 1024 * 1024;
/// Seconds until a text on which the parser failed is tried again: the fault may have been the machine's.
const RETRY: u64 = 60;
/// Texts whose verdicts are kept.
const VERDICTS: usize = 16_384;

impl Policy {
    /// A policy. `secret` keys the tables that hold what clients sent.
    #[must_use]
    pub fn new(rules: Rules, book: Book, secret: [u8; 16]) -> Self {
        let (verdicts, described) = (Cache::new(VERDICTS), Cache::new(DESCRIBED_BYTES));
        let (lineage, template) = (Arc::default(), Vec::new());
        Self { rules, lineage, book, secret, template, verdicts, described, counts: Counts::default() }
    }

    /// The book.
    #[must_use]
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// The book, to change stages and approvals in it. Verdicts follow at once.
    pub const fn book_mut(&mut self) -> &mut Book {
        &mut self.book
    }

    /// What was declared.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Puts other rules in force.
    pub fn set_rules(&mut self, rules: Rules) {
        if rules != self.rules {
            self.rules = rules;
            self.verdicts.clear();
        }
    }

    /// Goes by another reading of the server's catalogue.
    pub fn set_lineage(&mut self, lineage: Arc<Lineage>) {
        if lineage != self.lineage {
            self.lineage = lineage;
            self.verdicts.clear();
        }
    }

    /// What is decided about a text; `None` where the parser must be asked first. `now` is in seconds since 1970.
    pub fn judge(&mut self, text: &[u8], context: &Context, now: u64) -> Option<Arc<Verdict>> {
        let (whole, of_text) = self.keys(text, context);
        if let Some((generation, verdict)) = self.verdicts.get(whole)
            && *generation == self.book.generation()
        {
            return Some(Arc::clone(verdict));
        }
        if text.len() > TEXT_BYTES {
            return Some(self.unreadable(&Unreadable::TooLong));
        }
        let described = match self.described.get(of_text)? {
            Ok(described) => Arc::clone(described),
            Err((failed, why)) if now < failed.saturating_add(RETRY) => {
                let why = why.clone();
                return Some(self.unreadable(&why));
            }
            Err(_) => return None,
        };
        let verdict = self.decide(&described, context, now);
        self.verdicts.insert(whole, (self.book.generation(), Arc::clone(&verdict)), 1);
        Some(verdict)
    }

    /// The same, with what the parser answered.
    pub fn told(&mut self, text: &[u8], answer: Answer, context: &Context, now: u64) -> Arc<Verdict> {
        match answer {
            Answer::Described(statements) => {
                self.counts.described += 1;
                let weight = statements.iter().map(Described::weight).sum();
                let (_, of_text) = self.keys(text, context);
                let described: Statements = statements.into_iter().map(Arc::new).collect();
                self.described.insert(of_text, Ok(Arc::clone(&described)), weight);
                self.judge(text, context, now).unwrap_or_else(|| self.decide(&described, context, now))
            }
            Answer::Unreadable(why) => {
                // Nobody asks again and again about what ends a parser.
                if matches!(why, Unreadable::ParserFailed | Unreadable::EndsParser) {
                    self.counts.parser_failed += 1;
                    let (_, of_text) = self.keys(text, context);
                    self.described.insert(of_text, Err((now, why.clone())), 64);
                }
                self.unreadable(&why)
            }
        }
    }

    /// What is decided about a prepared statement with these values.
    pub fn bind(&mut self, statement: &Statement, values: &Values<'_>, context: &Context, now: u64) -> Ruling {
        let Some(described) = &statement.described else { return Ruling::Pass };
        let mut reach = Reach::default();
        for (value, number) in values.iter().zip(1_u16..) {
            let matters = described.parameters.iter().filter(|parameter| parameter.number == number);
            matters.for_each(|parameter| {
                let text = value.bytes.map(|bytes| readable(parameter.how, bytes, value.binary));
                reach.raise(&parameter.measure, parameter.how.band(text.as_deref()));
            });
        }
        self.reaches(statement.key, described, &reach, context, now)
    }

    /// What is decided about `EXECUTE` of a prepared statement, whose arguments are what values are to Bind.
    pub fn execute(&mut self, prepared: &Statement, execute: &Statement, context: &Context, now: u64) -> Ruling {
        let (Some(described), Some(by)) = (&prepared.described, &execute.described) else { return Ruling::Pass };
        let Deed::Execute { arguments, .. } = &by.deed else { return Ruling::Pass };
        let mut reach = Reach::default();
        for (argument, number) in arguments.iter().zip(1_u16..) {
            let matters = described.parameters.iter().filter(|parameter| parameter.number == number);
            matters.for_each(|parameter| {
                let band = match argument {
                    Argument::Constant(text) => parameter.how.band(Some(text)),
                    Argument::Null => parameter.how.band(None),
                    // Computed by the server: it may be anything.
                    Argument::Computed => u8::MAX,
                };
                reach.raise(&parameter.measure, band);
            });
        }
        self.reaches(prepared.key, described, &reach, context, now)
    }

    fn decide(&mut self, described: &[Arc<Described>], context: &Context, now: u64) -> Arc<Verdict> {
        let who = Who::new(&context.role, context.client);
        let stage = self.book.stage(&who.role);
        let mut denial: Option<Denial> = None;
        for statement in described {
            let key = book::key(statement.fingerprint, &statement.facts);
            let found = self
                .forbidden(statement, &who)
                .or_else(|| self.compare(statement, key, &statement.reach, &who, stage, now));
            if denial.is_none() {
                denial = found;
            }
        }
        let statements = described.iter().map(|one| self.statement(one)).collect();
        Arc::new(Verdict { ruling: self.ruling(denial), statements })
    }

    fn statement(&self, described: &Arc<Described>) -> Statement {
        let effect = match &described.deed {
            Deed::None => Effect::None,
            Deed::Prepare { name, statement } => {
                let inner = self.statement(&Arc::new((**statement).clone()));
                Effect::Prepare { name: name.clone(), statement: Box::new(inner) }
            }
            Deed::Execute { name, .. } => Effect::Execute { name: name.clone() },
            Deed::Deallocate(name) => Effect::Deallocate { name: name.clone() },
        };
        Statement {
            key: book::key(described.fingerprint, &described.facts),
            effect,
            sensitive: self.rules.sensitive.iter().any(|declared| self.lineage.reads(described, declared)),
            values_matter: !described.parameters.is_empty(),
            described: Some(Arc::clone(described)),
        }
    }

    fn forbidden(&mut self, statement: &Described, who: &Who) -> Option<Denial> {
        let granted = |kind: &Kind| {
            self.rules
                .grants
                .iter()
                .any(|(role, granted)| granted == kind && (**role == *who.role || &**role == book::ANY))
        };
        let kind = statement.kinds.iter().find(|kind| !granted(kind))?;
        self.counts.forbidden += 1;
        let detail = format!("`{}` is not granted to {}: {}", kind.code(), who.role, statement.form);
        Some(Denial { reason: Reason::StatementForbidden, detail: detail.into() })
    }

    /// What the book says against a statement that is not forbidden; while a role learns, it is written down instead.
    fn compare(
        &mut self,
        statement: &Described,
        key: u64,
        reach: &Reach,
        who: &Who,
        stage: Stage,
        now: u64,
    ) -> Option<Denial> {
        match stage {
            Stage::Observe => return None,
            Stage::Learn => {
                self.book.note(who, key, statement, reach, true, now);
                return None;
            }
            Stage::Enforce => {}
        }
        let why = match self.book.standing(who, key, statement, reach) {
            Standing::Approved => return None,
            Standing::Further(words) => format!("it reaches further than approved: {words}"),
            Standing::Otherwise(words) => format!("approved is the same {words}"),
            Standing::Unknown => "nothing like it is approved".to_owned(),
        };
        self.book.note(who, key, statement, reach, false, now);
        self.counts.unknown += 1;
        let detail = format!("{key:016x} of {} from {}: {why}: {}", who.role, who.client, statement.form);
        Some(Denial { reason: Reason::StatementUnknown, detail: detail.into() })
    }

    fn reaches(&mut self, key: u64, described: &Described, reach: &Reach, context: &Context, now: u64) -> Ruling {
        let who = Who::new(&context.role, context.client);
        let stage = self.book.stage(&who.role);
        let denial = self.compare(described, key, reach, &who, stage, now);
        self.ruling(denial)
    }

    fn ruling(&self, denial: Option<Denial>) -> Ruling {
        match denial {
            None => Ruling::Pass,
            Some(denial) if self.rules.enforce => Ruling::Refused(denial),
            Some(denial) => Ruling::Observed(denial),
        }
    }

    fn unreadable(&mut self, why: &Unreadable) -> Arc<Verdict> {
        let denial = Denial { reason: Reason::StatementUnreadable, detail: why.words().into() };
        let ruling = if *why == Unreadable::ParserFailed {
            if self.rules.fail_open { Ruling::Observed(denial) } else { self.ruling(Some(denial)) }
        } else {
            self.counts.unreadable += 1;
            self.ruling(Some(denial))
        };
        Arc::new(Verdict { ruling, statements: Arc::from([]) })
    }

    /// Names for a text from one client, and for the text alone, that nobody without the secret can make collide.
    fn keys(&mut self, text: &[u8], context: &Context) -> (u128, u128) {
        template::write(text, &mut self.template);
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write(&self.template);
        let of_text = hasher.finish128().as_u128();
        hasher.write(context.role.as_bytes());
        hasher.write_u8(0xFF);
        match context.client.to_canonical() {
            IpAddr::V4(address) => hasher.write_u32(u32::from(address) >> 8),
            IpAddr::V6(address) => hasher.write_u128(u128::from(address) >> 72),
        }
        (hasher.finish128().as_u128(), of_text)
    }
}

/// A value as text, as far as its use needs it.
fn readable(how: Use, bytes: &[u8], binary: bool) -> String {
    let text = || String::from_utf8_lossy(bytes).into_owned();
    if !binary || how == Use::Pattern {
        return text();
    }
    let number = |bytes: &[u8]| match *bytes {
        [a, b] => Some(i64::from(i16::from_be_bytes([a, b]))),
        [a, b, c, d] => Some(i64::from(i32::from_be_bytes([a, b, c, d]))),
        [a, b, c, d, e, f, g, h] => Some(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    };
    if how == Use::Items {
        // Dimensions, flags, type, then for the first dimension how many there are.
        let count = bytes.get(12..16).and_then(number).and_then(|count| usize::try_from(count).ok()).unwrap_or(1);
        return ",".repeat(count.clamp(1, 10_000_000) - 1);
    }
    number(bytes).map_or_else(text, |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_parser_never_passes_and_a_missing_parser_passes_as_declared() {
        for (enforce, fail_open, why, passes) in [
            (true, true, Unreadable::EndsParser, false),
            (true, false, Unreadable::EndsParser, false),
            (true, true, Unreadable::ParserFailed, true),
            (true, false, Unreadable::ParserFailed, false),
            (false, true, Unreadable::EndsParser, true),
            (false, false, Unreadable::ParserFailed, true),
        ] {
            let rules = Rules { enforce, fail_open, ..Rules::default() };
            let mut policy = Policy::new(rules, Book::default(), [7; 16]);
            let (role, client) = ("app".into(), IpAddr::from([127, 0, 0, 1]));
            let context = Context { guard: "db".into(), role, database: "db".into(), client, application: "".into() };
            let first = policy.told(b"select 1", Answer::Unreadable(why.clone()), &context, 1000);
            assert_eq!(!matches!(first.ruling, Ruling::Refused(_)), passes, "{enforce} {fail_open} {why:?}");
            let again = policy.judge(b"select 1", &context, 1001).expect("it is not asked about again at once");
            assert_eq!(!matches!(again.ruling, Ruling::Refused(_)), passes, "{enforce} {fail_open} {why:?}");
            assert!(policy.judge(b"select 1", &context, 2000).is_none(), "later it is");
        }
    }
}
