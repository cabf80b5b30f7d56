//! What the brain wants of the shards: one immutable snapshot, the only thing that goes back to them.

use std::fmt;

use smallvec::SmallVec;

use super::posture::Posture;
use crate::senses::harvest::CLASSES;
use crate::senses::sight::{Attribute, Attributes};

/// Rules of one platform in shadow or in force at once.
pub const LIVE_RULES: usize = 32;
/// Attributes that one rule may ask for.
pub const LITERALS: usize = 4;

/// What holds until the next snapshot.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// One more with each snapshot.
    pub revision: u64,
    /// By position of the platform.
    pub platforms: Vec<PlatformOrders>,
}

/// What holds for one platform.
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformOrders {
    /// Its posture.
    pub posture: Posture,
    /// Of the requests, one in so many becomes a row. 1 from Elevated on.
    pub sample: u32,
    /// The first that matches decides.
    pub rules: Vec<LiveRule>,
    /// What admission holds to.
    pub admission: AdmissionOrders,
}

impl Default for PlatformOrders {
    fn default() -> Self {
        Self { posture: Posture::Normal, sample: 16, rules: Vec::new(), admission: AdmissionOrders::default() }
    }
}

/// What admission holds to, from the controller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdmissionOrders {
    /// Requests at once for the whole platform, on this node; `u32::MAX` for no bound.
    pub whole: u32,
    /// The same by class.
    pub classes: [u32; CLASSES],
    /// Requests of a lower priority do not enter the queue at all; 0 cuts nobody.
    pub cut: u8,
    /// The waiting room, while it is open.
    pub room: Option<RoomOrders>,
    /// Whether people for whom there is no place are shown the waiting room's page instead of being refused, before it is
    /// open, too.
    pub shelters: bool,
    /// How many times as long as without load requests take, while a limit holds. Whoever is vouched for does not pay for
    /// that from the budget.
    pub slower: u32,
}

impl Default for AdmissionOrders {
    fn default() -> Self {
        Self { whole: u32::MAX, classes: [u32::MAX; CLASSES], cut: 0, room: None, shelters: false, slower: 1 }
    }
}

/// The waiting room: whoever came before `admitted_until` may go in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoomOrders {
    /// Unix milliseconds of arrival up to which tickets are called.
    pub admitted_until: u64,
    /// How fast that moves, in seconds of arrivals per second; what the page's estimate rests on.
    pub speed: f32,
}

/// A rule as the shards match it.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRule {
    /// `r-81`.
    pub id: RuleId,
    /// All must hold.
    pub literals: SmallVec<[Literal; LITERALS]>,
    /// What becomes of a match.
    pub action: Action,
    /// Of the matches, so many in a hundred are acted upon: 0 in shadow, less than 100 while it is being relaxed. Who is
    /// among them depends on the visitor and the rule, not on the request.
    pub share: u8,
    /// Of the visitors, so many in a thousand get the next milder action, to learn what the rule changes.
    pub hold_out: u16,
}

impl LiveRule {
    /// Whether a request looks like that.
    #[must_use]
    pub fn matches(&self, attributes: &Attributes) -> bool {
        self.literals.iter().all(|literal| literal.holds(attributes))
    }
}

/// The name of a rule, unique for the life of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RuleId(pub u32);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r-{}", self.0)
    }
}

/// One attribute has one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Literal {
    /// Which.
    pub attribute: Attribute,
    /// What.
    pub value: u32,
}

impl Literal {
    /// Whether it holds for a request.
    #[must_use]
    pub const fn holds(&self, attributes: &Attributes) -> bool {
        attributes.get(self.attribute) == self.value
    }
}

/// What is done with a match, from mild to hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Waits behind everybody else.
    Deprioritise,
    /// A navigation is asked to show that a browser and a person's patience stand behind it; anything else waits behind.
    Challenge,
    /// 429 with `Retry-After`.
    Refuse,
    /// The connection is closed.
    Close,
}

impl Action {
    /// Every action, the mildest first.
    pub const ALL: [Self; 4] = [Self::Deprioritise, Self::Challenge, Self::Refuse, Self::Close];

    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deprioritise => "deprioritise",
            Self::Challenge => "challenge",
            Self::Refuse => "refuse",
            Self::Close => "close",
        }
    }

    /// The next milder one; the mildest has none.
    #[must_use]
    pub const fn milder(self) -> Option<Self> {
        match self {
            Self::Deprioritise => None,
            Self::Challenge => Some(Self::Deprioritise),
            Self::Refuse => Some(Self::Challenge),
            Self::Close => Some(Self::Refuse),
        }
    }
}
