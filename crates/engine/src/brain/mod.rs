//! What is made of what was seen: postures, rules, limits, each with its reason.

pub(crate) mod act;
pub(crate) mod orders;
pub(crate) mod posture;
