//! Real pages through the running gate: documentation, manuals and sources that this machine has of its own. None is refused.
//!
//! Nothing of them is kept or copied. `PORTCULLIS_PAGES=all` takes every one, else a few thousand are drawn evenly; where the machine
//! has none, one line says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use portcullis_suite::{Next, Origin, Plan, Wire, figure, respond};

/// What is taken without `PORTCULLIS_PAGES`.
const DRAWN: usize = 2_000;
/// Pages of one visitor.
const VISIT: usize = 20;
/// A file of more addresses is a list of people, and no benign page to somebody who may have as many.
const PEOPLE: usize = 100;
/// Longer ones are downloads.
const LONGEST: u64 = 4 << 20;

/// Under which text lies that others wrote.
fn roots() -> Vec<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let toolchains = fs::read_dir(home.join(".rustup/toolchains")).into_iter().flatten().flatten();
    let documentation = toolchains.map(|toolchain| toolchain.path().join("share/doc"));
    ["/usr/share/doc", "/usr/share/man", "/usr/share/javascript", "/usr/lib/python3", "/usr/lib/node_modules"]
        .into_iter()
        .map(PathBuf::from)
        .chain(documentation)
        .chain([home.join(".cargo/registry/src")])
        .collect()
}

/// How a file of that name is served: its kind, and its coding.
fn served(path: &Path) -> Option<(&'static str, &'static str)> {
    let name = path.file_name()?.to_str()?;
    let (name, coding) = name.strip_suffix(".gz").map_or((name, ""), |name| (name, "Content-Encoding: gzip\r\n"));
    let kind = match name.rsplit_once('.').map_or("", |(_, last)| last) {
        "html" | "htm" => "text/html",
        "js" => "text/javascript",
        "css" => "text/css",
        "json" => "application/json",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "csv" => "text/csv",
        "md" | "rst" | "txt" => "text/plain",
        section if section.len() <= 4 && section.starts_with(|first: char| first.is_ascii_digit()) => "text/troff",
        _ => return None,
    };
    Some((kind, coding))
}

/// How many different words of a file look like addresses of mail, told without any cleverness.
fn addresses(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap_or_default();
    let mut text = Vec::new();
    if path.extension().is_none_or(|last| last != "gz")
        || flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).is_err()
    {
        text = bytes;
    }
    let text = String::from_utf8_lossy(&text);
    let words = text.split(|letter: char| letter.is_whitespace() || "<>()\"',;:&".contains(letter));
    words
        .filter(|word| word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.')))
        .collect::<BTreeSet<_>>()
        .len()
}

fn walk(place: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            walk(&entry.path(), found);
        } else if kind.is_file() && served(&entry.path()).is_some() {
            let length = entry.metadata().map_or(0, |file| file.len());
            if (1..=LONGEST).contains(&length) {
                found.push(entry.path());
            }
        }
    }
}

#[test]
fn real_pages_leave_as_they_came() {
    let mut found = Vec::new();
    roots().iter().for_each(|root| walk(root, &mut found));
    found.sort();
    if found.len() < DRAWN {
        eprintln!(
            "skipped: {} pages are here; documentation of Rust (`rustup component add rust-docs`) has them",
            found.len()
        );
        return;
    }
    let all = std::env::var("PORTCULLIS_PAGES").is_ok_and(|pages| pages == "all");
    let step = if all { 1 } else { found.len() / DRAWN };
    let drawn: Vec<PathBuf> = found.into_iter().step_by(step.max(1)).collect();
    let (lists, pages): (Vec<PathBuf>, Vec<PathBuf>) = drawn.into_iter().partition(|page| addresses(page) > PEOPLE);
    eprintln!("lists of people, which are not taken: {lists:?}");

    let origin = Origin::start(|seen, stream| {
        let path = PathBuf::from(seen.header("x-page").unwrap_or_default());
        let (kind, coding) = served(&path).unwrap_or_default();
        respond(stream, 200, &format!("Content-Type: {kind}\r\n{coding}"), &fs::read(&path).unwrap_or_default())?;
        Ok(Next::Keep)
    });
    // As it is installed, with canaries; and as a route of members is declared.
    let members = "session_cookie = \"session\"\n[[platform.route]]\npath = \"/**\"\n[platform.route.data]\naction = \"block\"\n\
                   record = [\"email\", \"phone\", \"nhs\", \"card\", \"iban\"]\n[[platform.route.budget]]\n\
                   who = \"session\"\nover = \"hour\"\nrecords = 200\n";
    let strict = "session_cookie = \"session\"\n[[platform.route]]\npath = \"/**\"\n[platform.route.data]\nsecrets = \"enforce\"\n\
                  faults = \"enforce\"\n";
    let mut plan = Plan::new("benign")
        .upstream(&[origin.url()], "")
        .platform("members", &["members.test"], &[origin.url()], members)
        .platform("strict", &["strict.test"], &[origin.url()], strict);
    let config = plan.write().display().to_string();
    let new = ["canary", "new", "--config", &config, "--count", "1000", "--domain", "post.example.org"];
    let made = portcullis_suite::run(portcullis_suite::Gate::binary(), &new, std::time::Duration::from_secs(30));
    assert!(made.success, "{}", made.stderr);
    let place = plan.place().display().to_string();
    let gate = plan
        .table(&format!("[data]\ncanaries = \"{place}/canaries.txt\"\ncanary_key = \"{place}/canary.key\"\n"))
        .start();

    let mut refused: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let hosts = [portcullis_suite::HOST, "members.test", "strict.test"];
    let mut wire = Wire::plain(gate.http());
    for (number, page) in pages.iter().enumerate() {
        for host in hosts {
            let request = format!(
                "GET /page HTTP/1.1\r\nHost: {host}\r\nCookie: session=visit-{}\r\nX-Page: {}\r\n\r\n",
                number / VISIT,
                page.display()
            );
            // A connection that has served its number of requests is closed.
            let mut status = wire.ask(&request).map_or(0, |answer| answer.status);
            if status == 0 {
                wire = Wire::plain(gate.http());
                status = wire.ask(&request).map_or(0, |answer| answer.status);
            }
            if status == 0 {
                wire = Wire::plain(gate.http());
            }
            if status != 200 {
                refused.entry(host).or_default().push(format!("{status} {}", page.display()));
            }
        }
    }
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    for record in gate.journal().records().iter().filter(|record| record["verdict"] != "served") {
        *reasons.entry(format!("{}, {}: {}", record["platform"], record["reason"], record["detail"])).or_default() += 1;
    }
    eprintln!("why: {reasons:#?}");
    for host in hosts {
        let count = refused.get(host).map_or(0, Vec::len);
        eprintln!(
            "{host}: {count} of {} refused: {:#?}",
            pages.len(),
            refused.get(host).map(|all| &all[..all.len().min(20)])
        );
        figure(&format!("real pages refused, {host}"), count as f64, &format!("of {}", pages.len()));
    }
    let leaving = gate.command(&["status", "--json", "--config", &config]).stdout;
    let leaving = serde_json::from_str::<serde_json::Value>(&leaving).unwrap_or_default()["leaving"].clone();
    eprintln!("values: {}, unread: {}", leaving["values"], leaving["unread_bytes"]);
    for host in [portcullis_suite::HOST, "members.test"] {
        assert!(refused.get(host).map_or(0, Vec::len) <= pages.len() / 100_000, "{host}: {:#?}", refused.get(host));
    }
}
