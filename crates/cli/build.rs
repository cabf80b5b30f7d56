//! Records which compiler built the binary, for `portcullis version`.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiler = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "rustc (version unknown)".to_owned(), |line| line.trim().to_owned());
    println!("cargo::rustc-env=PORTCULLIS_COMPILER={compiler}");
    println!("cargo::rustc-env=PORTCULLIS_TARGET={}", env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=PORTCULLIS_PROFILE={}", env::var("PROFILE").unwrap_or_default());
    let mut features: Vec<String> = env::vars()
        .filter_map(|(name, _)| name.strip_prefix("CARGO_FEATURE_").map(|feature| feature.to_lowercase()))
        .filter(|feature| feature != "default")
        .collect();
    features.sort();
    println!("cargo::rustc-env=PORTCULLIS_FEATURES={}", features.join(" "));
}
