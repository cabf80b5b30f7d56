//! A rule engine for HTTP: `ModSecurity`'s rule language compiled to a program that runs in linear time, and detection of its own
//! that needs no rules.
//!
//! [`seclang`] reads rule text, compiles it and runs it over a transaction. [`semantic`] asks what a value would do in the
//! place that it was made for. Both stand on [`transform`], [`operator`] and [`body`], which are functions of bytes: nothing
//! in this crate knows a socket, a disk or a clock.

pub mod body;
pub mod bytes;
pub mod operator;
pub mod seclang;
pub mod semantic;
pub mod transform;
