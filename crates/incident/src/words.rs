//! How likely, and how sure: two scales that one sentence never mixes.
//!
//! Never says `impossible`, and never calls an attack sophisticated: neither is something that a ledger can know.

use serde::Serialize;

/// The yardstick of the Professional Head of Intelligence Assessment (UK), from the unlikely end up to where nothing useful can
/// be said any more. The bands have gaps between them, so that nobody argues about a per cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likelihood {
    /// 0 to 5 %.
    RemoteChance,
    /// 10 to 20 %.
    HighlyUnlikely,
    /// 25 to 35 %.
    Unlikely,
    /// 40 to just under 50 %.
    RealisticPossibility,
}

impl Likelihood {
    /// The band whose upper end is not below `share`, from 0 to 1. None from a half on: then the other side is as likely.
    #[must_use]
    pub fn at_most(share: f64) -> Option<Self> {
        match share {
            share if share.is_nan() => None,
            share if share <= 0.05 => Some(Self::RemoteChance),
            share if share <= 0.20 => Some(Self::HighlyUnlikely),
            share if share <= 0.35 => Some(Self::Unlikely),
            share if share < 0.50 => Some(Self::RealisticPossibility),
            _ => None,
        }
    }

    /// As a sentence begins: `There is a remote chance that`, `It is highly unlikely that`.
    #[must_use]
    pub const fn opening(self) -> &'static str {
        match self {
            Self::RemoteChance => "There is at most a remote chance that",
            Self::HighlyUnlikely => "It is highly unlikely that",
            Self::Unlikely => "It is unlikely that",
            Self::RealisticPossibility => "There is a realistic possibility that",
        }
    }

    /// The word, with the per cent that it stands for.
    #[must_use]
    pub const fn band(self) -> &'static str {
        match self {
            Self::RemoteChance => "remote chance (0 to 5 %)",
            Self::HighlyUnlikely => "highly unlikely (10 to 20 %)",
            Self::Unlikely => "unlikely (25 to 35 %)",
            Self::RealisticPossibility => "realistic possibility (40 to under 50 %)",
        }
    }
}

/// How much the judgement itself can bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// There is no judgement.
    None,
    /// It rests on something with a hole in it.
    Low,
    /// It rests on measurement that is not complete.
    Moderate,
    /// It rests on complete measurement that was itself tried.
    High,
}

impl Confidence {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_given_a_word_that_is_too_good_for_it() {
        let table = [
            (0.0, Some(Likelihood::RemoteChance)),
            (0.05, Some(Likelihood::RemoteChance)),
            (0.06, Some(Likelihood::HighlyUnlikely)),
            (0.2, Some(Likelihood::HighlyUnlikely)),
            (0.21, Some(Likelihood::Unlikely)),
            (0.36, Some(Likelihood::RealisticPossibility)),
            (0.5, None),
            (1.0, None),
            (f64::NAN, None),
        ];
        for (share, word) in table {
            assert_eq!(Likelihood::at_most(share), word, "{share}");
        }
    }
}
