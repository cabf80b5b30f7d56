//! What is made of what was seen: postures, rules, limits, each with its reason.

pub(crate) mod act;
#[expect(dead_code, reason = "the brain that calls it follows")]
pub(crate) mod miner;
pub(crate) mod orders;
pub(crate) mod posture;
#[expect(dead_code, reason = "the brain that calls it follows")]
pub(crate) mod rules;
pub(crate) mod words;
