//! Holds this repository to its own rules. The rules and their canaries are in the library beside it.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_tidy::{files, promises, rooms};

const PURE: [&str; 9] = ["types", "wire", "engine", "waf", "config", "dataguard", "pgguard", "ledger", "incident"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the root of the repository")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn output(program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(args).current_dir(root()).output().expect(program);
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Tracked files and new ones; what `.gitignore` names is not ours.
fn tracked() -> Vec<String> {
    let names = output("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    String::from_utf8(names).expect("names in UTF-8").split_terminator('\0').map(str::to_owned).collect()
}

fn members() -> Vec<String> {
    tracked().into_iter().filter(|path| path.ends_with("/Cargo.toml")).collect()
}

fn none<T: Display>(complaints: &[T]) {
    let text: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    assert!(text.is_empty(), "\n{}", text.join("\n"));
}

#[test]
fn dependencies_point_one_way() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let metadata = output(&cargo, &["metadata", "--format-version", "1"]);
    let metadata: rooms::Metadata = serde_json::from_slice(&metadata).expect("the form that cargo documents");
    assert!(metadata.resolve.is_some(), "without the graph, half of the check would pass unseen");
    none(&rooms::check(&metadata));
}

#[test]
fn files_hold_what_they_may() {
    let mut complaints = Vec::new();
    for path in tracked() {
        // Not text, a link elsewhere, or deleted and not yet committed: nothing to read.
        if let Ok(text) = fs::read_to_string(root().join(&path)) {
            complaints.extend(files::check(&path, &text));
        }
    }
    none(&complaints);
}

#[test]
fn unsafe_code_is_forbidden_everywhere() {
    let workspace = read("Cargo.toml");
    assert!(
        workspace.lines().any(|line| line.trim() == r#"unsafe_code = "forbid""#),
        "the workspace forbids unsafe code"
    );
    let mut complaints = Vec::new();
    // The fuzz targets are a workspace of their own and never ship.
    for path in members().iter().filter(|path| !path.starts_with("proof/fuzz/")) {
        complaints.extend(files::check_manifest(path, &read(path)));
    }
    none(&complaints);
}

#[test]
fn pure_crates_share_one_list_of_bans() {
    let bans = read("crates/types/clippy.toml");
    for method in ["std::time::Instant::now", "std::time::SystemTime::now", "std::fs::read", "std::thread::spawn"] {
        assert!(bans.contains(&format!("path = \"{method}\"")), "{method} is not banned");
    }
    for name in PURE {
        assert_eq!(read(&format!("crates/{name}/clippy.toml")), bans, "crates/{name}/clippy.toml differs");
    }
    for (name, room) in rooms::ROOMS {
        let pure = matches!(room, rooms::Room::Nouns | rooms::Room::Pure);
        let listed = PURE.iter().any(|short| format!("portcullis-{short}") == *name);
        assert_eq!(pure, listed, "{name}");
    }
}

#[test]
fn the_architecture_names_every_crate() {
    let architecture = read("ARCHITECTURE.md");
    let missing: Vec<String> = members()
        .iter()
        .filter_map(|path| path.strip_suffix("/Cargo.toml"))
        .filter(|path| {
            let short = path.rsplit('/').next().unwrap_or(path);
            !architecture.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').any(|word| word == short)
        })
        .map(|path| format!("ARCHITECTURE.md does not name {path}"))
        .collect();
    none(&missing);
}

#[test]
fn every_promise_has_a_command_or_says_pending() {
    none(&promises::check(&read("PROMISES.md"), &read("Makefile")));
}
