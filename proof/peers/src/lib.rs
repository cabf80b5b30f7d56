//! Rule engines side by side: `libmodsecurity`, whoever built it, and our own, each in a process of its own that is handed the
//! same rules and the same requests and says what came of them and what it took.
//!
//! It never judges: who calls compares. Neither side is told who is beside it, and nothing here is measured but by the clock of
//! the thread that works.
//!
//! `libmodsecurity.c` drives the one, `src/bin/engine.rs` the other; both speak [`Message`] and answer [`Played`].

mod explained;
mod generate;
mod message;
mod ordinary;
mod player;
mod rules;

pub use explained::{Difference, Entry, Explained, example, message as parse_example};
pub use generate::Generator;
pub use message::{Message, Reply, read};
pub use ordinary::{Ordinary, hostile, ordinary, varied};
pub use player::{Engine, Libraries, Played, Player};
pub use rules::{Rules, core_rule_set};
