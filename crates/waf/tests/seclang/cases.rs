//! `specs/seclang/*.md`: what is said about each wrong text, and that its benign twin passes.

use std::collections::BTreeMap;
use std::fmt::Write;

use portcullis_waf::seclang::diagnostic::Refused;
use portcullis_waf::seclang::parse::parse;
use portcullis_waf::seclang::resolve::{RuleSet, resolve};

use crate::world::{Made, names, read, root, write};

const DIRECTORY: &str = "specs/seclang";

#[test]
fn every_case_is_answered_as_written_and_every_twin_passes() {
    let files = made();
    let mut cases = 0;
    for path in names(&root().join(DIRECTORY), ".md") {
        if path.ends_with("README.md") {
            continue;
        }
        let page = read(&path).expect("a file that was listed");
        let mut fresh = page.split("\n## ").next().expect("a title").trim_end().to_owned();
        for case in page.split("\n## ").skip(1) {
            let title = case.lines().next().unwrap_or_default();
            let (_, diff) = case.split_once("```diff\n").unwrap_or_else(|| panic!("{title}: no diff"));
            let (diff, _) = diff.split_once("\n```").expect("the diff's end");
            let Err(refused) = load(&side(diff, '-'), &files) else { panic!("{title}: nothing is said") };
            let _ = write!(fresh, "\n\n## {title}\n\n```diff\n{diff}\n```\n\n```text\n{}```", say(&refused));
            let twin = load(&side(diff, '+'), &files);
            assert!(twin.is_ok(), "{title}: {}", twin.expect_err("checked"));
            cases += 1;
        }
        fresh.push('\n');
        if updating() {
            write(&path, &fresh);
        } else {
            assert!(
                page == fresh,
                "{}: something else is said now; UPDATE=1 cargo test -p portcullis-waf cases",
                path.display()
            );
        }
    }
    assert!(cases >= 60, "only {cases} cases were found");
}

#[expect(clippy::disallowed_methods, reason = "a test is told to write what is said now")]
fn updating() -> bool {
    std::env::var_os("UPDATE").is_some()
}

fn load(text: &str, files: &Made) -> Result<RuleSet, Refused> {
    parse(&[("rules.conf", text)], files).and_then(resolve)
}

/// The files of the README, by the name above each.
fn made() -> Made {
    let readme = read(&root().join(DIRECTORY).join("README.md")).expect("the README");
    let mut files = BTreeMap::new();
    let mut before = "";
    for block in readme.split("`:\n\n```text\n") {
        if let Some(name) = before.rsplit('`').next().filter(|_| !before.is_empty()) {
            let (content, _) = block.split_once("```").expect("the end of a file");
            files.insert(name.to_owned(), content.as_bytes().to_vec());
        }
        before = block;
    }
    assert!(files.len() >= 3, "the README's files");
    files.insert("latin1.data".to_owned(), b"caf\xe9\n".to_vec());
    Made(files)
}

/// The lines that both sides share, and those of one.
fn side(diff: &str, sign: char) -> String {
    let mut text = String::new();
    for line in diff.lines() {
        let kept = line.strip_prefix(sign).or(line.strip_prefix(' ')).or(line.is_empty().then_some(""));
        text.extend(kept.iter().flat_map(|line| [line, "\n"]));
    }
    text
}

/// What is said in words, for comparison only.
fn say(refused: &Refused) -> String {
    let mut said = String::new();
    for diagnostic in &refused.diagnostics {
        let source = &refused.sources[diagnostic.span.file as usize];
        let (line, column) = source.line_column(diagnostic.span.start);
        let excerpt = source.excerpt(diagnostic.span).replace('\n', "⏎");
        let _ = writeln!(said, "{}:{line}:{column} {excerpt}\n  {}", source.name, diagnostic.reason);
        if let Some(help) = &diagnostic.help {
            let _ = writeln!(said, "  hint: {help}");
        }
    }
    said
}
