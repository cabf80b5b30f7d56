//! What holds for every text: no panic, spans that point into it, and a policy only where nothing is wrong.

use portcullis_config::{Severity, show};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::world::{Made, read};

/// One change to a text that is made of lines.
#[derive(Debug, Clone)]
enum Change {
    Drop(Index),
    Repeat(Index, Index),
    Cut(Index, Index),
    /// The value of one line behind the key of another.
    Swap(Index, Index),
    Type(Index, Index, char),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(Change::Drop),
        (at(), at()).prop_map(|(from, to)| Change::Repeat(from, to)),
        (at(), at()).prop_map(|(line, at)| Change::Cut(line, at)),
        (at(), at()).prop_map(|(key, value)| Change::Swap(key, value)),
        (at(), at(), prop_oneof![Just('"'), Just('['), Just('0'), Just('.'), Just('*'), any::<char>()])
            .prop_map(|(line, at, typed)| Change::Type(line, at, typed)),
    ]
}

fn apply(lines: &mut Vec<String>, change: &Change) {
    let boundary = |line: &str, at: &Index| (0..=at.index(line.len() + 1)).rev().find(|at| line.is_char_boundary(*at));
    match change {
        _ if lines.is_empty() => {}
        Change::Drop(at) => drop(lines.remove(at.index(lines.len()))),
        Change::Repeat(from, to) => lines.insert(to.index(lines.len()), lines[from.index(lines.len())].clone()),
        Change::Cut(line, at) => {
            let line = line.index(lines.len());
            let at = boundary(&lines[line], at).unwrap_or_default();
            lines[line].truncate(at);
        }
        Change::Swap(key, value) => {
            let value = lines[value.index(lines.len())].split_once('=').map(|(_, value)| value.to_owned());
            let line = key.index(lines.len());
            let key = lines[line].split_once('=').map(|(key, _)| key.to_owned());
            if let (Some(key), Some(value)) = (key, value) {
                lines[line] = format!("{key}={value}");
            }
        }
        Change::Type(line, at, typed) => {
            let line = line.index(lines.len());
            let at = boundary(&lines[line], at).unwrap_or_default();
            lines[line].insert(at, *typed);
        }
    }
}

fn sound(world: &Made, text: &str) {
    let outcome = world.load(text);
    for problem in &outcome.problems {
        let spans = std::iter::once(&problem.span).chain(problem.secondary.as_ref().map(|(span, _)| span));
        for span in spans {
            assert!(text.get(span.clone()).is_some(), "{span:?} is not in the text: {problem:?}");
        }
        assert!(!problem.message.is_empty());
        let (line, column) = problem.line_column(text);
        assert!(line >= 1 && column >= 1);
    }
    let wrong = outcome.problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(outcome.policy.is_none(), wrong);
    if let Some(policy) = outcome.policy {
        let shown = show(&policy);
        let again = world.load(&shown);
        assert_eq!(again.policy.as_ref(), Some(&policy), "{shown}\n{:#?}", again.problems);
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*") {
        sound(&Made::new(), &text);
    }

    #[test]
    fn no_change_to_a_good_text_makes_it_panic(changes in prop::collection::vec(change(), 1..4)) {
        let mut lines: Vec<String> = read("specs/example.toml").lines().map(str::to_owned).collect();
        changes.iter().for_each(|change| apply(&mut lines, change));
        sound(&Made::new(), &lines.join("\n"));
    }
}
