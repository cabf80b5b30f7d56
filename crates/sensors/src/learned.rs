//! What a sensor learned, in a file of its own, so that the next process knows it.
//!
//! Never a fault of the sensor: what cannot be read is learned anew, and what cannot be written is said in the log.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What was kept; nothing where it cannot be read, or is something else.
pub(crate) fn read<T: DeserializeOwned>(path: Option<&Path>) -> Option<T> {
    serde_json::from_slice(&fs::read(path?).ok()?).ok()
}

/// Replaces what was kept, whole or not at all. Where that fails, the log says that `what` cannot be kept.
pub(crate) fn keep(path: Option<&Path>, learned: &impl Serialize, what: &str) {
    let Some(path) = path else { return };
    let Ok(text) = serde_json::to_vec_pretty(learned) else { return };
    let new = path.with_extension("new");
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    if let Err(error) = made.and_then(|()| fs::write(&new, text)).and_then(|()| fs::rename(&new, path)) {
        tracing::warn!(path = %path.display(), %error, "{what} cannot be kept");
    }
}
