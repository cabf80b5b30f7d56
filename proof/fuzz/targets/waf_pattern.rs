//! Patterns: any text is compiled or refused with a place in it, and what is compiled answers alike in all of its ways: found,
//! with groups, and only in values that have what it requires.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_waf::operator::regex::{Captures, Options, Regex};

fuzz_target!(|data: &[u8]| {
    let Some((&split, rest)) = data.split_first() else { return };
    let (pattern, value) = rest.split_at(usize::from(split).min(rest.len()));
    let Ok(pattern) = std::str::from_utf8(pattern) else { return };
    let regex = match Regex::compile(pattern) {
        Ok(regex) => regex,
        Err(refused) => {
            assert!(pattern.get(refused.at).is_some());
            return;
        }
    };
    let found = regex.find(value);
    let mut captures = Captures::default();
    assert_eq!(regex.is_match(value), found.is_some());
    assert_eq!(regex.captures(value, &mut captures), found.is_some());
    assert_eq!(captures.get(0), found);
    assert!(captures.iter().all(|(_, group)| value.get(group).is_some()));
    let plain =
        Regex::compile_with(pattern, Options { ignore_case: false, groups: false }).expect("it compiled with groups");
    assert_eq!(plain.find(value), found);
    if let Some(found) = found {
        let required = regex.required();
        assert!(required.allows(value), "{required:?}");
        assert!(found.len() >= required.least);
    }
});
