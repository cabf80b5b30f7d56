//! What a session asks of the gate, answered: verdicts, budgets, references, and what is told.

use std::collections::BTreeSet;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_config::policy::TlsVersion;
use portcullis_dataguard::canary::CanaryId;
use portcullis_pgguard::book::Who;
use portcullis_pgguard::policy::{Context, Denial, Ruling, Statement, Verdict};
use portcullis_pgguard::session::{self, Event, Outflow, Ran, comment};
use portcullis_types::{Mode, Reason, Reference};
use portcullis_wire::postgres::backend::Column;
use portcullis_wire::postgres::frontend::Values;

use super::Database;
use super::counters::Block;
use super::leaving::{Leaving, Seen};
use super::traffic::Held;
use crate::chronicle::{Flow, Leak};
use crate::guard::Sight;
use crate::journal::DatabaseRecord;
use crate::worker::{Worker, unix_millis};

/// The longest reference of a request that is kept, in bytes.
const REQUEST_BYTES: usize = 128;

/// A question to the parser.
pub(super) type Asking = Pin<Box<dyn Future<Output = Arc<Verdict>>>>;

/// The gate's side of one session.
pub(super) struct Desk {
    pub(super) worker: Rc<Worker>,
    pub(super) database: Arc<Database>,
    pub(super) client: IpAddr,
    context: Option<Context>,
    tls: Option<&'static str>,
    authentication: Option<String>,
    /// What a comment behind the last statement says that it is for.
    commented: Option<Box<str>>,
    /// What the application calls itself now.
    named: Option<Box<str>>,
    ran: u64,
    totals: Ran,
    /// Names the session among all; and whom budgets know.
    number: u64,
    who: Option<Who>,
    /// It has been told that more left than may.
    over_budget: bool,
    /// Begins with the first row.
    leaving: Option<Leaving>,
    /// The canaries that it has been given, so that each is told once.
    alarmed: BTreeSet<CanaryId>,
    /// Its connection to the server, among the gate's own.
    held: Option<Held>,
    deaf: bool,
    /// Where the rows of its role are counted, once the server knows who it is.
    processed: Option<Arc<AtomicU64>>,
    /// Where what its role takes is told.
    flow: Option<Arc<Flow>>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.database.statements.forget(self.number);
    }
}

impl Desk {
    pub(super) fn new(worker: Rc<Worker>, database: Arc<Database>, client: IpAddr) -> Self {
        let number = worker.next_reference().0;
        Self {
            worker,
            database,
            client,
            context: None,
            tls: None,
            authentication: None,
            commented: None,
            named: None,
            ran: 0,
            totals: Ran::default(),
            number,
            who: None,
            over_budget: false,
            leaving: None,
            alarmed: BTreeSet::new(),
            held: None,
            deaf: false,
            processed: None,
            flow: None,
        }
    }

    fn block(&self) -> &Block {
        self.database.counters.worker(self.worker.number())
    }

    pub(super) fn encrypted(&mut self, version: TlsVersion) {
        self.tls = Some(if version == TlsVersion::Tls13 { "1.3" } else { "1.2" });
    }

    pub(super) fn context(&mut self, context: &Context) {
        self.context = Some(context.clone());
    }

    /// There is a connection to the server, from this address of ours.
    pub(super) fn connected(&mut self, from: SocketAddr) {
        self.held = Some(self.database.traffic.hold(from));
    }

    /// The application has gone: what the server still says leaves to nobody.
    pub(super) fn nobody_listens(&mut self) {
        self.deaf = true;
    }

    /// A connection ended before there was a session.
    pub(super) fn no_session(&mut self, reason: Reason, detail: &str) -> Reference {
        let reference = self.worker.next_reference();
        self.block().refused_sessions.add(1);
        self.worker.connection_refused(reason);
        self.record(DatabaseRecord {
            event: "refused",
            reference: Some(reference),
            reason: Some(reason),
            detail: Some(&detail),
            ..DatabaseRecord::default()
        });
        reference
    }

    /// Asks the parser about a text, in a process of its own.
    pub(super) fn ask(&self, text: &[u8]) -> Asking {
        let (parser, statements) = (self.worker.parser().clone(), Arc::clone(&self.database.statements));
        let (text, _) = comment::split(text);
        let (text, context): (Box<[u8]>, _) = (text.into(), self.context.clone());
        Box::pin(async move {
            let answer = parser.ask(&text).await;
            match &context {
                Some(context) => statements.told(&text, answer, context),
                // Nobody asks before the session has said who it is.
                None => Arc::new(Verdict { ruling: Ruling::Pass, statements: Arc::from([]) }),
            }
        })
    }

    pub(super) fn begun(&mut self) {
        self.block().opened.add(1);
    }

    /// The gate itself ends the session. The reference is the one that the application has, if it has one.
    pub(super) fn cut(&mut self, reference: Option<Reference>, reason: Reason, detail: &str) {
        self.block().cut.add(1);
        self.worker.counters().refused(reason);
        self.flow.iter().for_each(|flow| flow.cut());
        if reason == Reason::EgressBudget {
            self.leaked("cut", reference);
        }
        let reference = reference.unwrap_or_else(|| self.worker.next_reference());
        self.record(DatabaseRecord {
            event: "cut",
            reference: Some(reference),
            reason: Some(reason),
            detail: Some(&detail),
            ..DatabaseRecord::default()
        });
    }

    /// More left, or was about to, than the role may have.
    fn leaked(&self, action: &'static str, reference: Option<Reference>) {
        let role = self.context.as_ref().map_or("", |context| &context.role);
        self.worker.process().chronicle.leaked(&Leak {
            path: &format!("database/{}", self.database.name()),
            through: role,
            what: "rows",
            whose: "role",
            allowed: 0,
            left: self.totals.rows,
            action,
            reference: &reference.map(|reference| reference.to_string()).unwrap_or_default(),
            client: Some(self.client),
        });
    }

    /// A canary is about to leave to somebody who should not see it.
    fn alarm(&mut self, canary: CanaryId, context: &Context) -> Denial {
        let denial = Denial { reason: Reason::CanarySeen, detail: format!("{canary} to role {}", context.role).into() };
        if self.alarmed.insert(canary) {
            let reference = self.worker.next_reference();
            self.worker.books().alarm(&Sight {
                canary,
                platform: self.database.name(),
                place: &format!("database/{}", self.database.name()),
                path: &context.role,
                way: "sql",
                left: self.database.declared.mode != Mode::Enforce,
                client: self.client,
                reference: &reference.to_string(),
                asked: false,
                unix_millis: unix_millis(),
            });
            self.told("canary", reference, &denial, None);
        }
        denial
    }

    /// One line for the session as a whole.
    pub(super) fn ended(&mut self) {
        self.block().closed.add(1);
        let totals = self.totals.clone();
        self.record(DatabaseRecord {
            event: "session",
            tls: Some(self.tls.unwrap_or("none")),
            authentication: self.authentication.as_deref(),
            statements: Some(self.ran),
            rows: totals.rows,
            bytes: totals.bytes,
            rows_in: totals.rows_in,
            bytes_in: totals.bytes_in,
            ..DatabaseRecord::default()
        });
    }

    fn record(&self, record: DatabaseRecord<'_>) {
        if !self.worker.journal().wants(false, 0) {
            return;
        }
        let (role, inside, application) = match &self.context {
            Some(context) => (&*context.role, &*context.database, &*context.application),
            None => ("", "", ""),
        };
        self.worker.journal().record_database(&DatabaseRecord {
            unix_millis: unix_millis(),
            database: self.database.name(),
            role,
            inside,
            client: Some(self.client),
            application,
            request: self.request(),
            ..record
        });
    }

    /// The request that statements are for, as far as the application says.
    fn request(&self) -> Option<&str> {
        self.commented.as_deref().or(self.named.as_deref())
    }

    fn ran(&mut self, ran: &Ran) {
        if let Some(processed) = self.processed.as_ref().filter(|_| ran.processed > 0) {
            processed.fetch_add(ran.processed, Ordering::Release);
        }
        if self.deaf {
            return;
        }
        let block = self.block();
        block.statements.add(1);
        block.failed.add(u64::from(ran.failed));
        block.rows.add(ran.rows);
        block.bytes.add(ran.bytes);
        block.rows_in.add(ran.rows_in);
        block.bytes_in.add(ran.bytes_in);
        self.flow.iter().for_each(|flow| flow.ran(ran.rows, ran.bytes));
        self.totals.rows += ran.rows;
        self.totals.bytes += ran.bytes;
        self.totals.rows_in += ran.rows_in;
        self.totals.bytes_in += ran.bytes_in;
        let sample = u64::from(self.database.declared.sample);
        let sampled = sample > 0 && self.ran.is_multiple_of(sample);
        self.ran += 1;
        if sampled || self.request().is_some() {
            self.record(DatabaseRecord {
                event: "statement",
                key: (ran.key != 0).then_some(ran.key),
                rows: ran.rows,
                bytes: ran.bytes,
                rows_in: ran.rows_in,
                bytes_in: ran.bytes_in,
                failed: ran.failed,
                ..DatabaseRecord::default()
            });
        }
    }

    fn told(&self, event: &'static str, reference: Reference, denial: &Denial, text: Option<&[u8]>) {
        self.record(DatabaseRecord {
            event,
            reference: Some(reference),
            reason: Some(denial.reason),
            detail: Some(&denial.detail),
            text,
            ..DatabaseRecord::default()
        });
    }
}

impl session::Desk for Desk {
    fn judge(&mut self, text: &[u8], context: &Context) -> Option<Arc<Verdict>> {
        // Judged without the comment, which differs from request to request: otherwise nothing would ever be known already.
        let (text, pairs) = comment::split(text);
        let name = self.database.declared.request_id.as_bytes();
        self.commented = pairs.and_then(|pairs| comment::value(pairs, name)).and_then(kept);
        self.database.statements.judge(text, context)
    }

    fn bind(&mut self, statement: &Statement, values: &Values<'_>, context: &Context) -> Ruling {
        self.database.statements.bind(statement, values, context)
    }

    fn execute(&mut self, prepared: &Statement, execute: &Statement, context: &Context) -> Ruling {
        self.database.statements.execute(prepared, execute, context)
    }

    fn charge(&mut self, outflow: &Outflow<'_>, context: &Context) -> Result<(), Denial> {
        if self.deaf {
            return Ok(());
        }
        let leaving = self.leaving.get_or_insert_with(|| {
            let snapshot = Arc::clone(&self.worker.local().snapshot);
            Leaving::new(snapshot, &context.role, self.database.detector.as_ref())
        });
        let Seen { canaries, values } = leaving.look(outflow, self.worker.books().key());
        // Each is told, also those behind the first: they say which rows were asked for.
        let denials: Vec<Denial> = canaries.into_iter().map(|canary| self.alarm(canary, context)).collect();
        if let Some(denial) = denials.into_iter().next()
            && self.database.declared.mode == Mode::Enforce
        {
            return Err(denial);
        }
        let who = self.who.get_or_insert_with(|| Who::new(&context.role, context.client));
        let Err(denial) = self.database.statements.charge(self.number, who, outflow, values) else { return Ok(()) };
        if self.database.declared.mode == Mode::Enforce {
            return Err(denial);
        }
        // Once for each session: what goes on goes on.
        if !mem::replace(&mut self.over_budget, true) {
            let reference = self.worker.next_reference();
            self.block().observed.add(1);
            self.worker.counters().observed(denial.reason);
            self.leaked("observe", Some(reference));
            self.told("observed", reference, &denial, None);
        }
        Ok(())
    }

    fn is_sensitive(&mut self, column: &Column<'_>) -> Option<bool> {
        let inside = &self.context.as_ref()?.database;
        self.database.statements.lineage().is_sensitive(inside, column.relation)
    }

    fn reference(&mut self) -> Reference {
        self.worker.next_reference()
    }

    fn note(&mut self, event: Event<'_>, context: &Context) {
        match event {
            Event::Authenticated(how) => {
                self.authentication = Some(how.method.to_string());
                self.processed = Some(self.database.traffic.role(&context.role));
                let chronicle = &self.worker.process().chronicle;
                if chronicle.listens() {
                    self.flow = Some(chronicle.flow(&format!("database/{}", self.database.name()), &context.role));
                }
            }
            Event::Process(process) => self.held.iter().for_each(|held| held.serves(process)),
            Event::Refused { reference, denial, text } => {
                self.block().refused.add(1);
                self.worker.counters().refused(denial.reason);
                self.flow.iter().for_each(|flow| flow.refused(denial.reason, false));
                self.told("refused", reference, denial, text);
            }
            Event::Observed { reference, denial, text } => {
                self.block().observed.add(1);
                self.worker.counters().observed(denial.reason);
                self.flow.iter().for_each(|flow| flow.refused(denial.reason, true));
                self.told("observed", reference, denial, text);
            }
            Event::Ran(ran) => self.ran(ran),
            Event::Named(name) => self.named = reference_in(name),
        }
    }
}

/// A request's reference that is plain enough to be written down.
fn kept(value: &[u8]) -> Option<Box<str>> {
    let value = value.get(..REQUEST_BYTES).unwrap_or(value);
    std::str::from_utf8(value).ok().filter(|value| !value.is_empty()).map(Into::into)
}

/// The reference of a request in an application's name: a word of it that reads like one of ours, as in `web 028T5CY4TQKFF`.
fn reference_in(name: &[u8]) -> Option<Box<str>> {
    let name = std::str::from_utf8(name).ok()?;
    let is_ours = |word: &&str| word.len() == portcullis_types::WORD_LEN && Reference::parse(word).is_some();
    name.split(|c: char| !c.is_ascii_alphanumeric()).find(is_ours).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_found_in_an_applications_name_and_nothing_else_is() {
        assert_eq!(reference_in(b"web 028T5CY4TQKFF").as_deref(), Some("028T5CY4TQKFF"));
        assert_eq!(reference_in(b"028T5CY4TQKFF").as_deref(), Some("028T5CY4TQKFF"));
        for name in [&b"psql"[..], b"", b"pgbench", b"PostgreSQL JDBC Driver", b"\xff\xff"] {
            assert_eq!(reference_in(name), None);
        }
    }
}
