//! The direction of dependencies, from what `cargo metadata` says.
//!
//! Never looks into source code: a crate that is not declared cannot be used.
//!
//! Types, then the pure crates, then the shells, then the binary. Shells do not import one another, nothing that ships
//! imports a proof, and a pure crate gets nothing that could do I/O, directly or through somebody else.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::Complaint;

/// A place in the order of dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// `types`: imports no other room.
    Nouns,
    /// Pure: imports `types` and libraries that cannot do I/O.
    Pure,
    /// Owns sockets, disks or the kernel: imports the pure rooms, never another shell.
    Shell,
    /// The binary: wires everything that ships.
    Binary,
    /// Tests and benches: imports what it likes, is imported by nobody.
    Proof,
}

/// Every crate and its room. A new crate earns a line here, with its reason in ARCHITECTURE.md.
pub const ROOMS: &[(&str, Room)] = &[
    ("portcullis-types", Room::Nouns),
    ("portcullis-wire", Room::Pure),
    ("portcullis-engine", Room::Pure),
    ("portcullis-waf", Room::Pure),
    ("portcullis-config", Room::Pure),
    ("portcullis-pgguard", Room::Pure),
    ("portcullis-dataguard", Room::Pure),
    ("portcullis-ledger", Room::Pure),
    ("portcullis-incident", Room::Pure),
    ("portcullis-grammar", Room::Shell),
    ("portcullis-store", Room::Shell),
    ("portcullis-proxy", Room::Shell),
    ("portcullis-sensors", Room::Shell),
    ("portcullis-control", Room::Shell),
    ("portcullis-simulator", Room::Shell),
    ("portcullis", Room::Binary),
    ("portcullis-suite", Room::Proof),
    ("portcullis-bench", Room::Proof),
    ("portcullis-crs", Room::Proof),
    ("portcullis-peers", Room::Proof),
    ("portcullis-tidy", Room::Proof),
];

/// Pure rooms that stand on other pure rooms. Anything else between them is a sign that a noun is missing in `types`.
pub const UPON: &[(&str, &str)] = &[
    // A session machine is handed frames, not bytes that it would have to read a second time.
    ("portcullis-pgguard", "portcullis-wire"),
    // What is personal, how much of it may leave and which rows are bait is one set of words over HTTP and SQL.
    ("portcullis-pgguard", "portcullis-dataguard"),
    // An incident is what the ledger's records come to; there is one vocabulary of them.
    ("portcullis-incident", "portcullis-ledger"),
];

/// Libraries that a pure crate may name: they compute and do nothing else.
pub const PURE_LIBRARIES: &[&str] = &[
    "aho-corasick",
    "annotate-snippets",
    "asn1-rs",
    "base64",
    "brotli-decompressor",
    "bytes",
    "crc32fast",
    "ed25519-dalek",
    "flate2",
    "http",
    "itoa",
    "libm",
    "md-5",
    "memchr",
    "minijinja",
    "pdf-writer",
    "postcard",
    "regex-automata",
    "regex-syntax",
    "rustc-hash",
    "rustls-pki-types",
    "serde",
    "serde_json",
    "sha1",
    "sha2",
    "siphasher",
    "smallvec",
    "strsim",
    "subsetter",
    "toml",
    "ttf-noto-sans",
    "ttf-parser",
    "x509-parser",
    "zstd-safe",
];

/// Libraries that a pure crate must not reach, however far down.
pub const IMPURE_LIBRARIES: &[&str] = &[
    "async-std",
    "aws-lc-rs",
    "getrandom",
    "h2",
    "hyper",
    "hyper-util",
    "mio",
    "rand",
    "ring",
    "rustix",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tokio-rustls",
];

/// The part of `cargo metadata --format-version 1` that is read here.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Every package: the workspace's own and what they stand on.
    pub packages: Vec<Package>,
    /// Identifiers of the workspace's own.
    pub workspace_members: BTreeSet<String>,
    /// What was resolved; absent with `--no-deps`.
    pub resolve: Option<Resolve>,
}

/// One package.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its identifier in the graph.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it declares.
    pub dependencies: Vec<Dependency>,
}

/// One declared dependency.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The package's name, not what it is renamed to.
    pub name: String,
    /// `None` is an ordinary one; `dev` and `build` are named.
    pub kind: Option<String>,
}

/// The resolved graph.
#[derive(Debug, Deserialize)]
pub struct Resolve {
    /// One node for each package.
    pub nodes: Vec<Node>,
}

/// What one package links against.
#[derive(Debug, Deserialize)]
pub struct Node {
    /// The package.
    pub id: String,
    /// Its edges.
    pub deps: Vec<Edge>,
}

/// An edge of the graph.
#[derive(Debug, Deserialize)]
pub struct Edge {
    /// The package at its end.
    pub pkg: String,
    /// Why it is there.
    pub dep_kinds: Vec<EdgeKind>,
}

/// Why an edge is there.
#[derive(Debug, Deserialize)]
pub struct EdgeKind {
    /// `None` is an ordinary dependency.
    pub kind: Option<String>,
}

/// Every dependency that points the wrong way.
#[must_use]
pub fn check(metadata: &Metadata) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let own = metadata.packages.iter().filter(|package| metadata.workspace_members.contains(&package.id));
    for package in own {
        let Some(room) = room_of(&package.name) else {
            complaints.push(Complaint::new(&package.name, "is in no room: give it a line in proof/tidy/src/rooms.rs"));
            continue;
        };
        for dependency in &package.dependencies {
            complaints.extend(check_edge(&package.name, room, dependency));
        }
        if matches!(room, Room::Nouns | Room::Pure) {
            complaints.extend(check_reach(metadata, package));
        }
    }
    complaints
}

fn room_of(name: &str) -> Option<Room> {
    ROOMS.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, room)| *room)
}

fn check_edge(from: &str, room: Room, to: &Dependency) -> Option<Complaint> {
    let refuse = |why: &str| Some(Complaint::new(from, format!("depends on {}: {why}", to.name)));
    let Some(target) = room_of(&to.name) else {
        let tests_only = to.kind.as_deref() == Some("dev");
        let pure = matches!(room, Room::Nouns | Room::Pure);
        if pure && !tests_only && !PURE_LIBRARIES.contains(&to.name.as_str()) {
            return refuse("a pure crate takes only libraries of the list in proof/tidy/src/rooms.rs");
        }
        return None;
    };
    match (room, target) {
        (Room::Proof, _) => None,
        (_, Room::Proof) => refuse("nothing that ships imports a proof"),
        (Room::Nouns, _) => refuse("types imports no other room"),
        (Room::Pure, Room::Nouns) => None,
        (Room::Pure, Room::Pure) if UPON.contains(&(from, to.name.as_str())) => None,
        (Room::Pure, _) => refuse("a pure crate imports types and no other room"),
        (Room::Shell, Room::Nouns | Room::Pure) => None,
        (Room::Shell, Room::Shell) => refuse("shells do not import one another; the binary connects them"),
        (Room::Shell, Room::Binary) => refuse("the binary imports the shells, not the other way"),
        (Room::Binary, _) => None,
    }
}

/// Follows ordinary dependencies to the end: a pure library must not bring an impure one along.
fn check_reach(metadata: &Metadata, package: &Package) -> Vec<Complaint> {
    let Some(resolve) = &metadata.resolve else { return Vec::new() };
    let names: BTreeMap<&str, &str> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
    let edges: BTreeMap<&str, &[Edge]> =
        resolve.nodes.iter().map(|node| (node.id.as_str(), node.deps.as_slice())).collect();
    let mut complaints = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![(package.id.as_str(), package.name.clone())];
    while let Some((id, path)) = open.pop() {
        for edge in edges.get(id).copied().unwrap_or_default() {
            let ordinary = edge.dep_kinds.iter().any(|kind| kind.kind.is_none());
            if !ordinary || !seen.insert(edge.pkg.as_str()) {
                continue;
            }
            let name = names.get(edge.pkg.as_str()).copied().unwrap_or(edge.pkg.as_str());
            let path = format!("{path} > {name}");
            if IMPURE_LIBRARIES.contains(&name) {
                complaints.push(Complaint::new(&package.name, format!("reaches {name}, which does I/O: {path}")));
            }
            open.push((edge.pkg.as_str(), path));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(value: serde_json::Value) -> Metadata {
        serde_json::from_value(value).expect("a fixture in the form of cargo metadata")
    }

    /// One crate of the workspace with one dependency.
    fn one(from: &str, to: &str, kind: Option<&str>) -> Metadata {
        metadata(json!({
            "packages": [{ "id": from, "name": from, "dependencies": [{ "name": to, "kind": kind }] }],
            "workspace_members": [from],
            "resolve": null,
        }))
    }

    #[test]
    fn a_planted_dependency_in_the_wrong_direction_is_found() {
        let table = [
            ("portcullis-types", "portcullis-wire", None, "no other room"),
            ("portcullis-wire", "portcullis-engine", None, "types and no other room"),
            ("portcullis-wire", "portcullis-pgguard", None, "types and no other room"),
            ("portcullis-engine", "tokio", None, "only libraries of the list"),
            ("portcullis-engine", "hyper", None, "only libraries of the list"),
            ("portcullis-config", "cc", Some("build"), "only libraries of the list"),
            ("portcullis-config", "portcullis-proxy", None, "types and no other room"),
            ("portcullis-proxy", "portcullis", None, "the binary imports the shells"),
            ("portcullis-proxy", "portcullis-proxy", None, "shells do not import one another"),
            ("portcullis", "portcullis-suite", None, "imports a proof"),
            ("portcullis-wire", "portcullis-tidy", Some("dev"), "imports a proof"),
        ];
        for (from, to, kind, words) in table {
            let complaints = check(&one(from, to, kind));
            assert_eq!(complaints.len(), 1, "{from} > {to}: {complaints:?}");
            assert!(complaints[0].words.contains(words), "{from} > {to}: {}", complaints[0]);
        }
    }

    #[test]
    fn the_right_direction_passes() {
        let table = [
            ("portcullis-wire", "portcullis-types", None),
            ("portcullis-pgguard", "portcullis-wire", None),
            ("portcullis-wire", "memchr", None),
            ("portcullis-wire", "proptest", Some("dev")),
            ("portcullis-proxy", "portcullis-engine", None),
            ("portcullis-proxy", "tokio", None),
            ("portcullis", "portcullis-proxy", None),
            ("portcullis-bench", "portcullis", None),
        ];
        for (from, to, kind) in table {
            assert_eq!(check(&one(from, to, kind)), Vec::new(), "{from} > {to}");
        }
    }

    #[test]
    fn a_crate_without_a_room_is_found() {
        assert_eq!(check(&one("portcullis-utils", "serde", None)).len(), 1);
    }

    #[test]
    fn an_impure_library_behind_a_pure_one_is_found() {
        let fixture = |kind: Option<&str>| {
            metadata(json!({
                "packages": [
                    { "id": "e", "name": "portcullis-engine", "dependencies": [{ "name": "bytes", "kind": null }] },
                    { "id": "b", "name": "bytes", "dependencies": [] },
                    { "id": "t", "name": "tokio", "dependencies": [] },
                ],
                "workspace_members": ["e"],
                "resolve": { "nodes": [
                    { "id": "e", "deps": [{ "pkg": "b", "dep_kinds": [{ "kind": null }] }] },
                    { "id": "b", "deps": [{ "pkg": "t", "dep_kinds": [{ "kind": kind }] }] },
                    { "id": "t", "deps": [] },
                ] },
            }))
        };
        let complaints = check(&fixture(None));
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].words.contains("portcullis-engine > bytes > tokio"), "{}", complaints[0]);
        assert_eq!(check(&fixture(Some("dev"))), Vec::new(), "what only its tests use does not ship");
    }
}
