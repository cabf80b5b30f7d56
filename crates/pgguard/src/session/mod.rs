//! One session between an application and the server: bytes of either direction in, what to do with them out.
//!
//! Never judges a statement, opens a socket or keeps what it forwards: it is shown what has arrived, says how much of it
//! goes on as it came, and asks the [`Desk`] about texts, values and what leaves.
//!
//! A statement that is refused is replaced by one that the server cannot read, and the server's complaint by ours. So
//! the server itself fails the transaction, skips to the next `Sync` and says in which state it is: a refused statement
//! behaves like any other that failed, in every pipeline.

pub mod cells;
mod client;
pub mod comment;
mod expected;
mod plans;
mod server;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use portcullis_types::{Reason, Reference};
use portcullis_wire::postgres::backend::{Column, Transaction};
use portcullis_wire::postgres::frontend::Values;

use crate::policy::{Context, Denial, Ruling, Statement, Verdict};
use expected::Expected;
use plans::{Plan, Plans};

/// What a session needs of the outside. The shell implements it.
pub trait Desk {
    /// What is decided about a text; `None` where the parser must be asked first ([`Step::Ask`]).
    fn judge(&mut self, text: &[u8], context: &Context) -> Option<Arc<Verdict>>;

    /// What is decided about a prepared statement with these values, where [`Statement::values_matter`].
    fn bind(&mut self, statement: &Statement, values: &Values<'_>, context: &Context) -> Ruling;

    /// What is decided about a prepared statement with the arguments of an `EXECUTE`, likewise.
    fn execute(&mut self, prepared: &Statement, execute: &Statement, context: &Context) -> Ruling;

    /// Takes what is about to leave off the budgets.
    ///
    /// # Errors
    /// It may not leave; nothing has been taken.
    fn charge(&mut self, outflow: &Outflow<'_>, context: &Context) -> Result<(), Denial>;

    /// Whether a column holds what is sensitive, where that is known of its relation.
    fn is_sensitive(&mut self, column: &Column<'_>) -> Option<bool>;

    /// A name for a refusal that nobody has had before.
    fn reference(&mut self) -> Reference;

    /// Takes note.
    fn note(&mut self, event: Event<'_>, context: &Context);
}

/// What leaves the server for the application: the messages of one look at the stream, as far as they belong to one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outflow<'a> {
    /// The statement's verdict and its place in it; `None` where no verdict was asked for (a function, a lost thread).
    pub verdict: Option<(&'a Verdict, usize)>,
    /// Rows of results and messages of `COPY`.
    pub rows: u64,
    /// Their bytes, without framing.
    pub bytes: u64,
    /// Whether one of its columns is sensitive, or none is known and the statement reads what is.
    pub sensitive: bool,
    /// The messages themselves, framed, whole or in part: what detectors look through.
    pub messages: &'a [u8],
}

/// What is worth noting about a session.
#[derive(Debug)]
pub enum Event<'a> {
    /// The server knows who the application is.
    Authenticated(&'a Authentication),
    /// A text was refused; the application has the reference.
    Refused {
        /// On the application's screen.
        reference: Reference,
        /// Why.
        denial: &'a Denial,
        /// What was to run; `None` where it is not about a text.
        text: Option<&'a [u8]>,
    },
    /// A text went on that enforcement would refuse.
    Observed {
        /// For the record alone.
        reference: Reference,
        /// Why.
        denial: &'a Denial,
        /// What runs.
        text: Option<&'a [u8]>,
    },
    /// A statement has come to its end.
    Ran(&'a Ran),
    /// The application named itself anew (`application_name`).
    Named(&'a [u8]),
    /// The server's process for this session.
    Process(u32),
}

/// How a statement went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ran {
    /// [`Statement::key`]; 0 where no verdict was asked for.
    pub key: u64,
    /// Rows that left, results and `COPY`.
    pub rows: u64,
    /// Bytes that left.
    pub bytes: u64,
    /// Rows that the server says it read, changed or copied: what its own books count (`pg_stat_statements`).
    pub processed: u64,
    /// Messages of `COPY` that came in.
    pub rows_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Whether the server failed it.
    pub failed: bool,
}

/// How the server came to know who the application is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authentication {
    /// `trust`, `password`, `md5`, the name of a SASL mechanism, or the number of another method.
    pub method: Cow<'static, str>,
}

impl Authentication {
    /// Whether the password's proof was bound to the TLS connection (`SCRAM-SHA-256-PLUS`).
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.method.ends_with("-PLUS")
    }
}

/// What to do with the bytes that were shown.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// The first so many go on as they are. More may follow in the same look.
    Forward(usize),
    /// The first so many go nowhere; these go on in their place.
    Replace(usize, Vec<u8>),
    /// Nothing can be said before more arrives; what was shown is shown again then. Never with more than
    /// [`Terms::hold_bytes`] shown.
    More,
    /// The parser must be asked about the text there, then [`Session::answer`]; what was shown is shown again.
    Ask(Range<usize>),
    /// The server must speak first; what was shown is shown again.
    Wait,
    /// The session is over.
    End(End),
}

/// How a session ends.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub denial: Denial,
    /// On the application's screen.
    pub reference: Reference,
    /// What the application is told: a `FATAL`. Empty where it stands in the middle of a message.
    pub farewell: Vec<u8>,
    /// Whether the server may be working still: its statement is to be cancelled.
    pub cancel: bool,
}

/// What a session is held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Whether what the session itself finds wrong is refused, or told only.
    pub enforce: bool,
    /// The longest text that is judged, in bytes.
    pub statement_bytes: usize,
    /// The longest name of a statement or portal, two of them together, in bytes.
    pub name_bytes: usize,
    /// The longest `Bind` whose values are looked at, in bytes.
    pub values_bytes: usize,
    /// Prepared statements and portals at once.
    pub plans: usize,
    /// Messages that the server has not answered yet.
    pub pipeline: usize,
    /// Functions that may be called by their object (`FunctionCall`), which no text names.
    pub functions: Arc<[u32]>,
}

impl Terms {
    /// What is held of a message before anything is said about it.
    #[must_use]
    pub fn hold_bytes(&self) -> usize {
        self.statement_bytes.max(self.values_bytes).max(ROW_DESCRIPTION_BYTES) + self.name_bytes + 64
    }
}

/// The longest `RowDescription` that is read: 1,664 columns with names of 63 bytes have 135 KiB.
const ROW_DESCRIPTION_BYTES: usize = 192 * 1024;

/// What the server is made to fail with where a text is refused. No statement of SQL begins so.
const POISON: &str = ") refused by the gate, reference ";

/// SQLSTATE `insufficient_privilege`.
const DENIED: &str = "42501";

/// A session after its startup message.
#[derive(Debug)]
pub struct Session {
    context: Context,
    terms: Terms,
    phase: Phase,
    authentication: Authentication,
    transaction: Transaction,
    /// What the server owes an answer to, in order.
    expected: VecDeque<Expected>,
    /// The server failed something of the extended protocol and ignores what comes until a `Sync`.
    skipping: bool,
    /// The server reads `COPY` until the application ends it.
    copying_in: bool,
    plans: Plans,
    /// Of the message to the server whose body is under way: how much is left, and whether it goes on.
    to_server: Under,
    /// The same towards the application.
    to_client: Under,
    /// What the parser was asked, answered.
    answer: Option<Arc<Verdict>>,
    /// Bytes at the front of what the client sent that were judged and not yet forwarded.
    judged: usize,
    running: Running,
    key: Option<(u32, Box<[u8]>)>,
    /// The server reads backslashes in plain strings, or characters that may hold one: it would find other tokens in a text.
    other_strings: bool,
    other_characters: bool,
    /// What ends the session once what was before it has gone; whether that ends where a message does.
    cut: Option<(Denial, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The server asks who is there.
    Authenticating,
    /// It knows.
    Serving,
}

/// A body that is longer than what is shown.
#[derive(Debug, Clone, Copy, Default)]
struct Under {
    left: u64,
    dropped: bool,
    /// Rows of results and `COPY`: counted as they go.
    counted: bool,
}

/// The statement whose results are under way.
#[derive(Debug, Default)]
struct Running {
    ran: Ran,
    /// Whether its columns are sensitive; `None` before it is known.
    sensitive: Option<bool>,
}

impl Session {
    /// A session of `context`, held to `terms`.
    #[must_use]
    pub fn new(context: Context, terms: Terms) -> Self {
        Self {
            context,
            plans: Plans::new(terms.plans),
            terms,
            phase: Phase::Authenticating,
            authentication: Authentication::default(),
            transaction: Transaction::Idle,
            expected: VecDeque::new(),
            skipping: false,
            copying_in: false,
            to_server: Under::default(),
            to_client: Under::default(),
            answer: None,
            judged: 0,
            running: Running::default(),
            key: None,
            other_strings: false,
            other_characters: false,
            cut: None,
        }
    }

    /// Who it is.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// What cancels its statements, once the server has said so.
    #[must_use]
    pub fn key(&self) -> Option<(u32, &[u8])> {
        self.key.as_ref().map(|(process, key)| (*process, key.as_ref()))
    }

    /// Whether the server owes nothing and no transaction is open: the session can be ended without harm.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Serving && self.expected.is_empty() && self.transaction == Transaction::Idle
    }

    /// The parser's answer to what was asked last.
    pub fn answer(&mut self, verdict: Arc<Verdict>) {
        self.answer = Some(verdict);
    }

    /// Looks at what the application sent and was not yet taken.
    pub fn from_client(&mut self, bytes: &[u8], desk: &mut dyn Desk) -> Step {
        client::look(self, bytes, desk)
    }

    /// Looks at what the server sent and was not yet taken.
    pub fn from_server(&mut self, bytes: &[u8], desk: &mut dyn Desk) -> Step {
        server::look(self, bytes, desk)
    }

    /// The session ends because a peer broke the protocol.
    fn broken(&mut self, reason: Reason, why: &'static str, desk: &mut dyn Desk) -> Step {
        self.end(Denial { reason, detail: why.into() }, "08P01", desk)
    }

    /// The session ends, and what the server is doing for it is cancelled. The shell tells it.
    fn end(&mut self, denial: Denial, code: &str, desk: &mut dyn Desk) -> Step {
        let reference = desk.reference();
        let mut farewell = Vec::new();
        if self.to_client.left == 0 {
            let message = format!("{} (reference {reference})", denial.reason.description().trim_end_matches('.'));
            portcullis_wire::postgres::write::error(
                &mut farewell,
                portcullis_wire::postgres::write::Gravity::Fatal,
                code,
                &message,
                "",
            );
        }
        let cancel = !self.expected.is_empty();
        Step::End(End { denial, reference, farewell, cancel })
    }
}

/// What a statement of a verdict is; the shell may know more than one by the same verdict.
fn statement(verdict: &Verdict, at: usize) -> Option<&Statement> {
    verdict.statements.get(at)
}

fn plan_of(verdict: &Arc<Verdict>) -> Arc<Plan> {
    Arc::new(Plan::new(Arc::clone(verdict)))
}

#[cfg(test)]
mod tests;
