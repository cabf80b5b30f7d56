//! Where a test keeps its files.
//!
//! It never deletes anything but the directory of the test that asks.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map(PathBuf::from)
        .expect("proof/suite lies two levels below the root")
}

/// Where cargo builds: `CARGO_TARGET_DIR`, or `target/`.
#[must_use]
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A fresh, empty directory `target/suite/NAME`.
///
/// # Panics
/// When the disk does not do its part.
#[must_use]
pub fn place(name: &str) -> PathBuf {
    let place = target().join("suite").join(name);
    match fs::remove_dir_all(&place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", place.display()),
        _ => {}
    }
    fs::create_dir_all(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    place
}

/// Appends a measured figure to `target/suite/figures.jsonl`; figures inform, assertions decide.
///
/// # Panics
/// When the disk does not do its part.
pub fn figure(name: &str, value: f64, unit: &str) {
    let place = target().join("suite");
    fs::create_dir_all(&place).expect("target/suite can be made");
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(place.join("figures.jsonl"))
        .expect("target/suite/figures.jsonl can be written");
    let line = serde_json::json!({ "name": name, "value": value, "unit": unit });
    // One write a line: tests run beside one another, and O_APPEND keeps whole writes apart.
    file.write_all(format!("{line}\n").as_bytes()).expect("target/suite/figures.jsonl can be written");
}
