//! Operators: what a rule asks of one value. Each is a function of bytes.
//!
//! What `ModSecurity` 3.0.15 answers holds here too, checked by running it; the differences are named where they are. Operators
//! that compile an argument do so once ([`regex::Regex`], [`phrases::Phrases`], [`addresses::Addresses`]).

pub mod addresses;
pub mod encodings;
pub mod numbers;
pub mod phrases;
pub mod regex;
pub mod sqli;
pub mod words;
pub mod xss;
