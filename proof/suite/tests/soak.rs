//! The shortest form of the soak; `make test` runs twenty seconds of it and `make soak` five minutes.

use std::time::Duration;

use portcullis_suite::run;

#[test]
fn ten_seconds_at_full_load() {
    let output = run(env!("CARGO_BIN_EXE_soak"), &["--seconds", "10"], Duration::from_secs(120));
    assert!(output.success, "{}\n{}", output.stdout, output.stderr);
}
