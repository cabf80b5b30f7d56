//! Access logs played through the real engine: what would have been refused, whom it would have hit, which limits to set.
//!
//! It opens no file: logs come as readers, and the policy as it was checked.

mod entry;
mod json;
mod source;
mod text;
mod time;

pub use entry::{Entry, Format, LINE_BYTES, Line, parse};
pub use json::keys;
pub use source::{BadLine, HELD_LINES, Reading, Source, WINDOW_SECONDS};
pub use time::{rfc3339, show};
