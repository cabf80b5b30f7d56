//! The nouns of Portcullis: time, classes of routes, limits, reasons.
//!
//! This crate never does anything: no clock, no I/O, no randomness, no policy. Every other room imports it and it
//! imports none of them. Start at [`Reason`] to see what can be refused, and at [`Limits`] to see what is bounded.

mod class;
mod client;
mod date;
mod leaving;
mod limits;
mod measure;
mod reason;
mod reference;
mod signed;
mod tick;

pub use class::RouteClass;
pub use client::{ClientAddr, Prefix};
pub use date::Date;
pub use leaving::{Budget, DataKind, Span, Who};
pub use limits::{Bounds, Limits, Unit};
pub use measure::{ListAction, Mode, RateKey};
pub use reason::{Blame, Reason};
pub use reference::{Reference, WORD_LEN};
pub use signed::signed;
pub use tick::Tick;
