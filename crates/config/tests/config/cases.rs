//! `specs/config-errors/*.md`: what is said about each wrong configuration, and that its benign twin passes.

use std::fmt::Write;

use portcullis_config::{Problem, Severity};

use crate::world::{Made, check_committed, names, read};

const DIRECTORY: &str = "specs/config-errors";
const HOW: &str = "UPDATE=1 cargo test -p portcullis-config cases";

#[test]
fn every_case_is_answered_as_written_and_every_twin_passes() {
    let world = Made::new();
    let rest = appendix();
    let mut cases = 0;
    for file in names(DIRECTORY, ".md").iter().filter(|file| *file != "README.md") {
        let path = format!("{DIRECTORY}/{file}");
        let page = read(&path);
        let mut fresh = page.split("\n## ").next().expect("a title").trim_end().to_owned();
        for case in page.split("\n## ").skip(1) {
            let title = case.lines().next().unwrap_or_default();
            let (_, diff) = case.split_once("```diff\n").unwrap_or_else(|| panic!("{path}, {title}: no diff"));
            let (diff, _) = diff.split_once("\n```").expect("the diff's end");
            let wrong = complete(side(diff, '-'), &rest);
            let problems = world.load(&wrong).problems;
            assert!(!problems.is_empty(), "{path}, {title}: nothing is said");
            let said: String = problems.iter().map(|problem| say(problem, &wrong)).collect();
            let _ = write!(fresh, "\n\n## {title}\n\n```diff\n{diff}\n```\n\n```text\n{said}```");
            let twin = world.load(&complete(side(diff, '+'), &rest));
            assert!(twin.problems.is_empty() && twin.policy.is_some(), "{path}, {title}: {:#?}", twin.problems);
            cases += 1;
        }
        check_committed(&path, &(fresh + "\n"), HOW);
    }
    assert!(cases >= 40, "only {cases} cases were found");
    every_code_has_a_case();
}

/// A check whose code stands in no case could be cut out without anybody noticing.
fn every_code_has_a_case() {
    let pages: String = names(DIRECTORY, ".md").iter().map(|file| read(&format!("{DIRECTORY}/{file}"))).collect();
    let mut codes = 0;
    for file in names("crates/config/src", ".rs") {
        let source = read(&format!("crates/config/src/{file}"));
        for opening in ["error(", "warning(", "once(", "fault(", "self.file("] {
            for call in source.split(opening).skip(1) {
                let arguments = call.split(')').next().unwrap_or_default();
                let code = arguments.split('"').skip(1).step_by(2).find(|text| is_code(text));
                let Some(code) = code else { continue };
                assert!(pages.contains(&format!(" {code} at ")), "{file}: no case has the code `{code}`");
                codes += 1;
            }
        }
    }
    assert!(codes >= 40, "only {codes} codes were found in the source");
}

fn is_code(text: &str) -> bool {
    text.contains('-') && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
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

/// The listener and the platform of the README, for cases that speak of neither.
pub(crate) fn appendix() -> [String; 2] {
    let readme = read(&format!("{DIRECTORY}/README.md"));
    let (_, toml) = readme.split_once("```toml\n").expect("a block of TOML");
    let (toml, _) = toml.split_once("```").expect("its end");
    let (listener, platform) = toml.split_once("\n\n").expect("two tables");
    [listener.to_owned() + "\n", platform.to_owned()]
}

pub(crate) fn complete(mut text: String, [listener, platform]: &[String; 2]) -> String {
    for (name, table) in [("[[listener]]", listener), ("[[platform]]", platform)] {
        if !text.contains(name) {
            text += table;
        }
    }
    text
}

/// One problem in words, for comparison only; the command line draws it better.
fn say(problem: &Problem, text: &str) -> String {
    let severity = if problem.severity == Severity::Error { "error" } else { "warning" };
    let (line, column) = problem.line_column(text);
    let span = text.get(problem.span.clone()).expect("a span within the text");
    let mut said = format!("{severity} {} at {line}:{column} {span}\n  {}\n", problem.code, problem.message);
    if !problem.label.is_empty() {
        let _ = writeln!(said, "  label: {}", problem.label);
    }
    for hint in &problem.hints {
        let _ = writeln!(said, "  hint: {hint}");
    }
    if let Some((span, why)) = &problem.secondary {
        let (line, column) = Problem { span: span.clone(), ..problem.clone() }.line_column(text);
        let _ = writeln!(said, "  {line}:{column} {}: {why}", text.get(span.clone()).expect("a span within the text"));
    }
    said
}
