//! What a file of the repository may hold, whatever language it is in.
//!
//! Never judges style: rustfmt and clippy do.

use crate::Complaint;

/// A file longer than this has more than one subject.
pub const LONGEST_FILE: usize = 1500;

/// Words that mean "later"; later is an issue, not a comment. Spelt so that this file does not accuse itself.
const LATER: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Directories that exist on one machine only.
const MACHINES: [&str; 5] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("C:", "\\")];

/// Complaints about one file, named by its path from the root of the repository.
#[must_use]
pub fn check(path: &str, text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST_FILE && !is_data(path) {
        complaints.push(Complaint::new(path, format!("has {lines} lines; split it below {LONGEST_FILE}")));
    }
    if is_source(path) && !text.starts_with("//!") {
        complaints.push(Complaint::new(path, "begins without `//!`: the first line says what the file is"));
    }
    for (number, line) in text.lines().enumerate().filter(|_| !is_data(path)) {
        let place = || format!("{path}:{}", number + 1);
        if let Some(word) = LATER.iter().find(|word| has_word(line, word)) {
            complaints.push(Complaint::new(place(), format!("`{word}`: do it, or write an issue")));
        }
        if let Some(directory) = MACHINES.iter().find(|directory| names_machine(line, directory)) {
            complaints.push(Complaint::new(place(), format!("`{directory}` exists on one machine only")));
        }
    }
    complaints
}

/// Complaints about a manifest: the workspace's lints, and with them `forbid(unsafe_code)`, hold everywhere.
#[must_use]
pub fn check_manifest(path: &str, text: &str) -> Vec<Complaint> {
    let inherits =
        text.lines().skip_while(|line| line.trim() != "[lints]").nth(1).map(str::trim) == Some("workspace = true");
    if inherits { Vec::new() } else { vec![Complaint::new(path, "lacks `[lints] workspace = true`")] }
}

/// Cases, corpora and what tools generate.
fn is_data(path: &str) -> bool {
    let locks = path.ends_with(".lock") || path.ends_with("/package-lock.json");
    locks || path.starts_with("specs/") || path.starts_with("proof/fuzz/seeds/") || path == "LICENSE"
}

fn is_source(path: &str) -> bool {
    path.ends_with(".rs") && path.contains("/src/")
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        ![before, after].into_iter().flatten().any(|c| c.is_alphanumeric() || c == '_')
    })
}

/// As the beginning of a path, not in the middle of a longer one (`example.org/home/`).
fn names_machine(line: &str, directory: &str) -> bool {
    line.match_indices(directory).any(|(at, _)| {
        line[..at]
            .chars()
            .next_back()
            .is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '(' | '=' | ':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> usize {
        check(path, text).len()
    }

    #[test]
    fn planted_violations_are_found() {
        assert_eq!(complaints("README.md", &"x\n".repeat(LONGEST_FILE + 1)), 1, "too long");
        assert_eq!(complaints("crates/wire/src/h1.rs", "use std::fmt;\n"), 1, "no first line");
        for word in LATER {
            assert_eq!(complaints("scripts/a.sh", &format!("x\n# {word}: later\n")), 1, "{word}");
        }
        for directory in MACHINES {
            assert_eq!(complaints("README.md", &format!("see {directory}somebody")), 1, "{directory}");
        }
        assert_eq!(check_manifest("Cargo.toml", "[package]\n[lints.rust]\n").len(), 1);
    }

    #[test]
    fn their_benign_twins_pass() {
        assert_eq!(complaints("README.md", &"x\n".repeat(LONGEST_FILE)), 0);
        assert_eq!(complaints("specs/heads.txt", &"x\n".repeat(LONGEST_FILE + 1)), 0, "data is as long as it is");
        let locked = "x\n".repeat(LONGEST_FILE + 1);
        assert_eq!(complaints("console/package-lock.json", &locked), 0, "npm writes it");
        assert_eq!(complaints("console/package.json", &locked), 1, "people write it");
        assert_eq!(complaints("crates/wire/src/h1.rs", "//! HTTP/1.1.\n"), 0);
        assert_eq!(complaints("README.md", &format!("{}S and a{}", LATER[0], LATER[2])), 0, "part of a longer word");
        assert_eq!(complaints("README.md", &format!("https://example.org{}page", MACHINES[2])), 0, "a path on a site");
        assert_eq!(check_manifest("Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n"), Vec::new());
    }
}
