//! The short form of the soak; `make soak` runs it for five minutes.

use std::time::Duration;

use portcullis_suite::run;

#[test]
fn twenty_seconds_at_full_load() {
    let output = run(env!("CARGO_BIN_EXE_soak"), &["--seconds", "20"], Duration::from_secs(120));
    assert!(output.success, "{}\n{}", output.stdout, output.stderr);
}
