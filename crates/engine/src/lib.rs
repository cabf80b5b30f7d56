//! Admission: may this connection be held, may this request pass? Today by what the operator declared.
//!
//! This crate never reads a clock, a file, a socket or the system's randomness, and a decision never waits for a lock
//! nor allocates. Read [`Shard::admit`] first: it is the whole decision on one screen. [`Node`] is what the workers of
//! one process share by atomics, so that a limit holds over all of them together and not once per worker;
//! [`Declared`] is one immutable snapshot of the operator's measures.

mod admission;
mod brain;
mod connections;
mod declared;
mod desk;
mod lists;
mod node;
mod rate;
mod refusal;
mod ruling;
mod senses;
mod settings;
mod shard;
mod trust;
mod vouching;

pub use admission::control::Strain;
pub use brain::act::Act;
pub use brain::clause::Clause;
pub use brain::miner::{Candidate, Ground, Pattern, mine};
pub use brain::orders::{
    Action, AdmissionOrders, LITERALS, LIVE_RULES, Literal, LiveRule, Orders, PlatformOrders, RoomOrders, RuleId,
};
pub use brain::posture::Posture;
pub use brain::status::{
    AdmissionStatus, BaselineStatus, ChannelStatus, EventStatus, PlatformStatus, RuleStatus, Status,
};
pub use brain::{Brain, Command, Pulse, Site, SitePlatform, SiteRoute};
pub use connections::ConnectionPermit;
pub use declared::{Concurrency, Declaration, Declared, List, Platform, Rate, Route, Vouched};
pub use node::{Node, UpgradePermit};
pub use refusal::{Detail, Refusal};
pub use ruling::{Admitted, Challenge, Claim, Grant, RoomPlace, Ruling, Waiting};
pub use senses::harvest::{
    CLASSES, ClassTally, Excerpt, Harvest, OUTCOMES, OutcomeRow, PORTRAITS, PlatformHarvest, Portrait, ROWS,
    RouteTally, Row, RuleTally,
};
pub use senses::recorder::{Matched, Recorder};
pub use senses::sight::{ATTRIBUTES, Attribute, Attributes, Business, Outcome, Seen, Sight};
pub use senses::{Known, Senses};
pub use settings::{Settings, Switches};
pub use shard::{Ask, Shard};
pub use trust::{Binding, ManualError, PuzzleError, Step, Ticket, TokenText, Tokens, Trust, Vouch, solve_puzzle};
