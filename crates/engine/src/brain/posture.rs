//! How a platform stands, and what moves it from one posture to another.

use std::fmt;

/// How a platform stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Posture {
    /// Nothing is out of the ordinary; baselines learn.
    #[default]
    Normal,
    /// Something is; baselines are frozen, every request is looked at, nobody is touched.
    Elevated,
    /// What came has a pattern that normal traffic has not; rules are in force.
    Attack,
    /// More than the platform can carry, without such a pattern; admission orders who goes first.
    Overload,
    /// It has ended, or so it seems; rules are being relaxed.
    Recovery,
}

impl Posture {
    /// Every posture.
    pub const ALL: [Self; 5] = [Self::Normal, Self::Elevated, Self::Attack, Self::Overload, Self::Recovery];

    /// The name in records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Elevated => "elevated",
            Self::Attack => "attack",
            Self::Overload => "overload",
            Self::Recovery => "recovery",
        }
    }

    /// The posture with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|posture| posture.name() == name)
    }
}

impl fmt::Display for Posture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
