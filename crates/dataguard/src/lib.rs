//! What leaves: personal data and secrets in what a platform answers, read as it passes.
//!
//! This crate never keeps a value that it found: values become keyed hashes where they are counted. It reads no clock and
//! owns no socket: bytes, time and secrets are parameters, and what it says is carried out by a shell. Start at
//! [`detect::Scanner`], which reads text, and at [`decode::Reader`], which makes text of what travels.

#![forbid(unsafe_code)]

pub mod canary;
pub mod decode;
pub mod detect;
pub mod distinct;
pub mod ledger;
pub mod mask;
pub mod sequence;
pub mod tally;

pub use canary::Canaries;
pub use decode::{Reader, Sink, Unread};
pub use detect::{Detector, Found, Kind, Scanner};
