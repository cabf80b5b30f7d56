//! The rule language as a user of the crate meets it: real rule sets, cases of `specs/seclang`, properties.

mod cases;
mod core_rule_set;
mod properties;
mod world;
