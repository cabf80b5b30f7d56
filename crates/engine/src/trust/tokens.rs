//! What the rest of the engine asks of tokens. Start here: [`Tokens::read`] is what each request costs.
//!
//! Everything is stateless but what was spent, in fixed memory. It never reads a clock: `wall` is unix milliseconds.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Trust;
use super::binding::Binding;
use super::challenge::Step;
use super::token::{Keys, Kind, Token, TokenText};

/// What a token that a visitor carries says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vouch {
    /// [`Trust::History`] or [`Trust::Passed`].
    pub trust: Trust,
    /// Whom the budget is charged to.
    pub id: u64,
    /// The unix day on which the visitor was first seen; 0 for [`Trust::Passed`].
    pub first_day: u32,
    /// The step that was passed, for [`Trust::Passed`].
    pub step: Option<Step>,
    /// Whether it was issued long enough ago to be worth a new one.
    pub renew: bool,
}

/// A place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Unix milliseconds: when it was taken.
    pub arrived: u64,
    /// Its own number.
    pub id: u64,
}

/// Why an answer to a puzzle is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PuzzleError {
    /// Not a puzzle of ours, or another visitor's, or too old.
    NotOurs,
    /// Not written as an answer is.
    Malformed,
    /// What it names is no solution.
    Wrong,
    /// It was used before.
    Spent,
}

/// Makes and reads tokens.
#[derive(Debug)]
pub struct Tokens {
    keys: Keys,
    made: AtomicU64,
}

impl Tokens {
    /// `master` must come from the system's randomness, and be kept where tokens are to survive a restart.
    #[must_use]
    pub fn new(master: [u8; 32]) -> Self {
        Self { keys: Keys::new(master), made: AtomicU64::new(0) }
    }

    /// Memory of what was spent; it never changes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        0
    }

    /// A new random number for a token.
    #[must_use]
    pub fn fresh_id(&self, wall: u64) -> u64 {
        self.keys.number(self.made.fetch_add(1, Ordering::Relaxed), wall).max(1)
    }

    /// Who vouches for the bearer of that cookie; nobody, when it is anything but a token of ours in its time.
    #[must_use]
    pub fn read(&self, cookie: &[u8], binding: Binding, wall: u64) -> Option<Vouch> {
        if let Some(token) = self.keys.read(cookie, Kind::History, None, wall) {
            let first_day = u32::try_from(token.since).ok()?;
            let renew = wall / 1000 >= u64::from(token.issued) + 86_400;
            return Some(Vouch { trust: Trust::History, id: token.id, first_day, step: None, renew });
        }
        let token = self.keys.read(cookie, Kind::Passed, Some(binding), wall)?;
        Some(Vouch { trust: Trust::Passed, id: token.id, first_day: 0, step: Step::of(token.class), renew: false })
    }

    /// An ordinary visitor since `first_day` (unix days), who came on about `tenure` days.
    #[must_use]
    pub fn history(&self, first_day: u32, tenure: u8, id: u64, wall: u64) -> TokenText {
        self.write(Kind::History, tenure, u64::from(first_day), id, None, wall)
    }

    /// Passed that step just now.
    #[must_use]
    pub fn passed(&self, step: Step, binding: Binding, id: u64, wall: u64) -> TokenText {
        self.write(Kind::Passed, step as u8, 0, id, Some(binding), wall)
    }

    /// A place in the waiting room, held since `arrived` (unix milliseconds).
    #[must_use]
    pub fn ticket(&self, arrived: u64, id: u64, wall: u64) -> TokenText {
        self.write(Kind::Room, 0, arrived, id, None, wall)
    }

    /// The place that this ticket holds.
    #[must_use]
    pub fn read_ticket(&self, text: &[u8], wall: u64) -> Option<Ticket> {
        let token = self.keys.read(text, Kind::Room, None, wall)?;
        Some(Ticket { arrived: token.since, id: token.id })
    }

    fn write(&self, kind: Kind, class: u8, since: u64, id: u64, binding: Option<Binding>, wall: u64) -> TokenText {
        let issued = u32::try_from(wall / 1000).unwrap_or(u32::MAX);
        self.keys.write(&Token { kind, class, issued, since, id }, binding)
    }
}
