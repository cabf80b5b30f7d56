//! What a statement may do: what a session asks, and what it is told.
//!
//! Never knows frames or sockets: a text goes in with who sent it, a verdict comes out.

use std::net::IpAddr;
use std::sync::Arc;

use portcullis_types::Reason;

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
