//! What a request is worth, from 0 to 255, higher first: what its route is for, times who vouches for its visitor.

use portcullis_types::RouteClass;

use crate::trust::Trust;

/// Ranks, the upper five bits of a priority.
pub(crate) const RANKS: u8 = 32;
/// Bits in which visitors of one rank differ.
const TIE_BITS: u8 = 3;

/// A priority. Visitors of one rank are told apart by a hash of visitor and hour, so that whoever was admitted stays so
/// for the rest of a visit, instead of everybody getting half of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Priority(pub(crate) u8);

impl Priority {
    /// Of a request. `tie` decides among equals; only its lowest bits count.
    pub(crate) const fn of(class: RouteClass, trust: Trust, tie: u64) -> Self {
        let worth = worth(trust);
        let criticality = criticality(class);
        if worth == 0 {
            // Behind everybody else, whatever it asks for; among themselves by what they ask for.
            return Self(criticality - 1);
        }
        // Those who have shown who they are have budgets of their own, and nobody comes between a payment and its end.
        let above = trust.is_protected() || matches!(class, RouteClass::Payment | RouteClass::Webhook);
        let rank = if above { RANKS / 2 + criticality * worth / 4 } else { criticality * worth / 2 };
        let rank = if rank >= RANKS { RANKS - 1 } else { rank };
        Self(rank << TIE_BITS | (tie & ((1 << TIE_BITS) - 1)) as u8)
    }

    /// Its rank: what it is worth without what decides among equals.
    pub(crate) const fn rank(self) -> u8 {
        self.0 >> TIE_BITS
    }

    /// The lowest rank in a class of those who have shown who they are.
    pub(crate) const fn lowest_protected(class: RouteClass) -> u8 {
        Self::of(class, Trust::Passed, 0).rank()
    }

    /// Whether it may use the part of the limit that is kept for those who must not wait.
    pub(crate) const fn is_privileged(self) -> bool {
        self.0 >= (RANKS / 2) << TIE_BITS
    }
}

/// From 1 to 8.
const fn criticality(class: RouteClass) -> u8 {
    match class {
        RouteClass::Payment | RouteClass::Webhook => 8,
        RouteClass::Login => 6,
        RouteClass::Form => 5,
        RouteClass::Page | RouteClass::Asset => 4,
        RouteClass::Api => 3,
        RouteClass::Search => 2,
        RouteClass::Export => 1,
    }
}

/// From 0 to 8; at least 2 from [`Trust::Fresh`] on, so that a rank is never 0.
const fn worth(trust: Trust) -> u8 {
    match trust {
        Trust::Suspect => 0,
        Trust::Fresh => 3,
        Trust::Human => 4,
        Trust::Passed => 5,
        Trust::History | Trust::Crawler => 6,
        Trust::Partner => 7,
        Trust::Staff => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_and_who_is_known_goes_first() {
        let of = |class, trust| Priority::of(class, trust, 0);
        let falling = [
            of(RouteClass::Payment, Trust::Staff),
            of(RouteClass::Payment, Trust::History),
            of(RouteClass::Login, Trust::History),
            of(RouteClass::Payment, Trust::Fresh),
            of(RouteClass::Search, Trust::History),
            of(RouteClass::Login, Trust::Human),
            of(RouteClass::Page, Trust::Human),
            of(RouteClass::Page, Trust::Fresh),
            of(RouteClass::Search, Trust::Human),
            of(RouteClass::Search, Trust::Fresh),
            of(RouteClass::Export, Trust::Fresh),
            of(RouteClass::Payment, Trust::Suspect),
            of(RouteClass::Export, Trust::Suspect),
        ];
        assert!(falling.windows(2).all(|pair| pair[0] > pair[1]), "{falling:?}");
    }

    #[test]
    fn more_trust_is_never_worth_less() {
        for class in RouteClass::ALL {
            for pair in Trust::ALL.windows(2) {
                assert!(
                    Priority::of(class, pair[0], 7) < Priority::of(class, pair[1], 0) || {
                        let ranks = pair.iter().map(|trust| Priority::of(class, *trust, 0)).collect::<Vec<_>>();
                        ranks[0] <= ranks[1]
                    }
                );
            }
        }
    }

    #[test]
    fn suspects_are_behind_everybody_whatever_the_tie() {
        let best = RouteClass::ALL.map(|class| Priority::of(class, Trust::Suspect, 7)).into_iter().max();
        let worst = RouteClass::ALL.map(|class| Priority::of(class, Trust::Fresh, 0)).into_iter().min();
        assert!(best < worst, "{best:?} {worst:?}");
    }

    #[test]
    fn the_lowest_protected_rank_parts_the_known_from_the_others() {
        for class in RouteClass::ALL {
            for trust in Trust::ALL {
                let above = Priority::of(class, trust, 7).rank() >= Priority::lowest_protected(class);
                assert_eq!(above, trust.is_protected(), "{class} {trust:?}");
            }
        }
    }

    #[test]
    fn the_known_and_those_who_pay_are_privileged() {
        assert!(Priority::of(RouteClass::Payment, Trust::Fresh, 0).is_privileged());
        assert!(Priority::of(RouteClass::Page, Trust::Passed, 0).is_privileged());
        assert!(!Priority::of(RouteClass::Page, Trust::Human, 7).is_privileged());
        assert!(!Priority::of(RouteClass::Payment, Trust::Suspect, 7).is_privileged());
    }
}
