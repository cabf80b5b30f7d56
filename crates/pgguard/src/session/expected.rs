//! What the server owes an answer to: without it, a row could not be told from another statement's row.

use std::sync::Arc;

use portcullis_types::Reference;

use super::plans::Plan;
use crate::policy::{Denial, Verdict};

/// A message that the server has been sent.
#[derive(Debug)]
pub(super) enum Expected {
    /// Answered statement by statement, then `ReadyForQuery`.
    Query {
        /// `None` where nobody judged it: it was too long and policy only observes.
        verdict: Option<Arc<Verdict>>,
        /// Which of its statements is under way.
        at: usize,
        refused: Option<Box<Refused>>,
    },
    Parse {
        name: Box<[u8]>,
        plan: Arc<Plan>,
        refused: Option<Box<Refused>>,
    },
    Bind {
        refused: Option<Box<Refused>>,
    },
    Describe {
        plan: Option<Arc<Plan>>,
    },
    Execute {
        plan: Option<Arc<Plan>>,
        refused: Option<Box<Refused>>,
    },
    Close {
        statement: Option<Box<[u8]>>,
    },
    Sync,
    /// `FunctionCall`: a result or an error, then `ReadyForQuery`.
    Function {
        refused: Option<Box<Refused>>,
    },
    /// The application ends its `COPY`. Answered only inside of one.
    CopyEnd,
}

/// Why the server was made to fail.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) denial: Denial,
    pub(super) reference: Reference,
}

impl Expected {
    /// Whether `ReadyForQuery` answers it.
    pub(super) const fn is_ended_by_ready(&self) -> bool {
        matches!(self, Self::Query { .. } | Self::Sync | Self::Function { .. })
    }

    /// Whether an error in it makes the server skip to the next `Sync`.
    pub(super) const fn is_extended(&self) -> bool {
        matches!(
            self,
            Self::Parse { .. } | Self::Bind { .. } | Self::Describe { .. } | Self::Execute { .. } | Self::Close { .. }
        )
    }

    pub(super) fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Query { refused, .. }
            | Self::Parse { refused, .. }
            | Self::Bind { refused }
            | Self::Execute { refused, .. }
            | Self::Function { refused } => refused.as_deref(),
            Self::Describe { .. } | Self::Close { .. } | Self::Sync | Self::CopyEnd => None,
        }
    }
}
