//! Programs from Debian that a test needs, and what is said when they are not there.
//!
//! It never installs anything.

use std::io::Write as _;
use std::path::PathBuf;

/// Whether a missing tool fails the test: in CI, or when `SUITE_STRICT` is set.
#[must_use]
pub fn strict() -> bool {
    ["CI", "SUITE_STRICT"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Whether `program` is on the path. If not, one line says so (past cargo's capture), and strict runs fail.
///
/// # Panics
/// When the tool is missing and the run is strict.
#[must_use]
pub fn have(program: &str, package: &str, test: &str) -> bool {
    if find(program).is_some() {
        return true;
    }
    missing(test, program, &format!("apt-get install {package}, or make setup"));
    false
}

/// Says that `test` needs `what`, and fails it in strict runs.
///
/// # Panics
/// In strict runs.
pub fn missing(test: &str, what: &str, remedy: &str) {
    let line = format!("skipped: {test} needs {what} ({remedy})");
    assert!(!strict(), "{line}");
    // Written to the descriptor itself: a skipped test must be seen even where cargo captures output.
    writeln!(std::io::stderr().lock(), "{line}").ok();
}

/// Where a program lies; `/usr/sbin` counts although an ordinary user's path lacks it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}
