//! Rule text: whatever it says, every complaint points into it, and what is accepted is resolved the same way twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_waf::seclang::diagnostic::Refused;
use portcullis_waf::seclang::parse::{Files, parse};
use portcullis_waf::seclang::resolve::resolve;

/// One file, which rules may include: the text itself.
struct Itself<'a>(&'a [u8]);

impl Files for Itself<'_> {
    fn read(&self, _beside: &str, name: &str) -> Option<Vec<u8>> {
        (name == "a").then(|| self.0.to_vec())
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse(&[("rules.conf", text)], &Itself(data)) {
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
