//! Who vouches for a visitor, and what that is worth.

mod binding;
mod challenge;
mod puzzle;
mod spent;
mod token;
mod tokens;

use std::fmt;

pub use binding::Binding;
pub use challenge::Step;
pub use puzzle::solve_puzzle;
pub use token::TokenText;
pub use tokens::{ManualError, PuzzleError, Ticket, Tokens, Vouch};

/// Who vouches, from nobody to the organisation itself. A higher one goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Trust {
    /// A rule put it behind, or its token exceeded its budget.
    Suspect,
    /// Nobody has seen this visitor before.
    #[default]
    Fresh,
    /// Did what people's browsers do: fetched what pages need, came from our own pages, kept a cookie.
    Human,
    /// Passed a challenge a short while ago.
    Passed,
    /// A signed cookie says that it has been an ordinary visitor on other days.
    History,
    /// A crawler whose address is among those that its owner publishes.
    Crawler,
    /// A partner's key or network.
    Partner,
    /// The organisation's own staff.
    Staff,
}

impl Trust {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Suspect,
        Self::Fresh,
        Self::Human,
        Self::Passed,
        Self::History,
        Self::Crawler,
        Self::Partner,
        Self::Staff,
    ];

    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suspect => "suspect",
            Self::Fresh => "fresh",
            Self::Human => "human",
            Self::Passed => "passed",
            Self::History => "history",
            Self::Crawler => "crawler",
            Self::Partner => "partner",
            Self::Staff => "staff",
        }
    }

    /// A rule that would touch more than a trace of these is wrong: they have shown who they are.
    #[must_use]
    pub const fn is_protected(self) -> bool {
        matches!(self, Self::Passed | Self::History | Self::Crawler | Self::Partner | Self::Staff)
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
