//! The steps by which a visitor may show that a person is waiting, from light to slow.

use std::fmt;

/// One way to pass. Each is passable by anybody: without script, without sight, without a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Step {
    /// A cookie that comes back by itself; no script.
    Echo = 1,
    /// A puzzle that the browser solves; a link leads to [`Step::Manual`].
    Puzzle = 2,
    /// A button and a short wait; no script.
    Manual = 3,
}

impl Step {
    /// Every step, the lightest first.
    pub const ALL: [Self; 3] = [Self::Echo, Self::Puzzle, Self::Manual];

    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Puzzle => "puzzle",
            Self::Manual => "manual",
        }
    }

    /// Whether having passed this is enough where `asked` is asked for. Puzzle and manual way are worth the same.
    #[must_use]
    pub const fn satisfies(self, asked: Self) -> bool {
        matches!(asked, Self::Echo) || !matches!(self, Self::Echo)
    }

    pub(crate) const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Echo),
            2 => Some(Self::Puzzle),
            3 => Some(Self::Manual),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
