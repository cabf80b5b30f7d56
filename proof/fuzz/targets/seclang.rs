//! Rule text: whatever it says, every complaint points into it, and what is accepted is resolved the same way twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_waf::seclang::diagnostic::Refused;
use portcullis_waf::seclang::parse::{Files, parse};
use portcullis_waf::seclang::resolve::resolve;

/// Two files that rules may name: rules, or phrases, and a map. That files which include themselves end is a test's.
struct TwoFiles;

impl Files for TwoFiles {
    fn read(&self, _beside: &str, name: &str) -> Option<Vec<u8>> {
        match name {
            "a" => Some(b"SecMarker END\n".to_vec()),
            "m" => Some(b"20127 (US-ASCII)\n00a1:21\n".to_vec()),
            _ => None,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse(&[("rules.conf", text)], &TwoFiles) {
        Ok(read) => {
            for directive in &read.directives {
                let source = &read.sources[directive.span.file as usize];
                assert!(!source.excerpt(directive.span).is_empty(), "a directive stands somewhere");
            }
            match (resolve(read.clone()), resolve(read)) {
                (Ok(one), Ok(other)) => assert_eq!(one.steps.len(), other.steps.len()),
                (Err(one), Err(other)) => {
                    assert_eq!(one.diagnostics, other.diagnostics);
                    sound(&one);
                }
                _ => panic!("two answers to one text"),
            }
        }
        Err(refused) => sound(&refused),
    }
});

fn sound(refused: &Refused) {
    assert!(!refused.diagnostics.is_empty());
    for diagnostic in &refused.diagnostics {
        let source = &refused.sources[diagnostic.span.file as usize];
        let span = diagnostic.span.start as usize..diagnostic.span.end as usize;
        assert!(source.text.get(span).is_some(), "{diagnostic:?}");
        assert!(!diagnostic.render(&refused.sources, false).is_empty());
    }
}
