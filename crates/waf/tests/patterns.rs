//! Whether a compiled pattern means what its text says: each pattern of the Core Rule Set, and made up ones, against a second
//! implementation (`reference`) on strings that match, and on others that nearly do.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "all of it is a test")]

use std::path::PathBuf;

use portcullis_waf::operator::regex::{Captures, Regex};
use proptest::prelude::*;

mod reference;

/// Where the shared data is; says so and gives nothing where it is not.
fn shared(part: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "where the data is")]
    let root = std::env::var_os("PORTCULLIS_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join(part);
    #[expect(clippy::disallowed_methods, reason = "where the data is")]
    let there = path.exists();
    if !there {
        println!("skipped: {} is not there; set PORTCULLIS_SHARED to the directory that has crs/", path.display());
    }
    there.then_some(path)
}

/// Every argument of `@rx` in the rules, with its file.
fn patterns_of_the_core_rule_set() -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "the rules are data")]
    let files = std::fs::read_dir(shared("crs/rules")?).unwrap();
    let mut paths: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "conf")) {
        #[expect(clippy::disallowed_methods, reason = "the rules are data")]
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let joined = text.replace("\\\n", " ");
        for line in joined.lines().map(str::trim_start).filter(|line| line.starts_with("SecRule ")) {
            for mark in ["\"@rx ", "\"!@rx "] {
                let Some(at) = line.find(mark) else { continue };
                let argument = &line[at + mark.len()..];
                let mut pattern = String::new();
                let mut characters = argument.chars();
                while let Some(character) = characters.next() {
                    match character {
                        '"' => break,
                        '\\' => match characters.next() {
                            Some('"') => pattern.push('"'),
                            Some(other) => pattern.extend(['\\', other]),
                            None => break,
                        },
                        other => pattern.push(other),
                    }
                }
                found.push((name.clone(), pattern));
            }
        }
    }
    Some(found)
}

/// Numbers that look random: a linear congruential generator (Knuth, MMIX).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

/// A string with a byte changed, added, doubled or taken away, or with something around it.
fn near(value: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    const BYTES: &[u8] = b" \n\t\"'`;(){}[]<>/\\=.,:&|$#@!%^*+-_?~aZ09\0\x85\xa0\xbc";
    let mut value = value.to_vec();
    let at = numbers.below(value.len());
    let byte = BYTES[numbers.below(BYTES.len())];
    match numbers.below(8) {
        0 if !value.is_empty() => drop(value.remove(at)),
        1 if !value.is_empty() => value[at] = byte,
        2 => value.insert(at, byte),
        3 if !value.is_empty() => value[at] ^= 0x20,
        4 => value.truncate(at),
        5 => value.splice(0..0, [b'x', byte]).for_each(drop),
        6 => value.extend([byte, b'x']),
        _ => value.push(b'\n'),
    }
    value
}

#[test]
fn every_pattern_of_the_core_rule_set_compiles() {
    let Some(patterns) = patterns_of_the_core_rule_set() else { return };
    let refused: Vec<String> = patterns
        .iter()
        .filter_map(|(file, pattern)| {
            let refused = Regex::compile(pattern).err()?;
            Some(format!("{file}: {} at {:?} of {pattern}", refused.reason, refused.at))
        })
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(patterns.len() >= 318, "{} patterns were found", patterns.len());
}

#[test]
fn every_pattern_of_the_core_rule_set_means_what_it_says() {
    let Some(patterns) = patterns_of_the_core_rule_set() else { return };
    let mut numbers = Numbers(28);
    let (mut matched, mut unmatched, mut unknown, mut never) = (0, 0, 0, Vec::new());
    for (file, pattern) in &patterns {
        let regex = Regex::compile(pattern).unwrap();
        let required = regex.required();
        let second = reference::Pattern::new(pattern);
        let mut any = false;
        for _ in 0..12 {
            let mut value = second.walk(&mut |end| numbers.below(end));
            value.truncate(200);
            for _ in 0..4 {
                let found = regex.find(&value);
                match second.find(&value) {
                    Ok(expected) => {
                        let expected = expected.and_then(|groups| groups[0]).map(|(start, end)| start..end);
                        assert_eq!(found, expected, "{file}: {pattern} on {:?}", value.escape_ascii().to_string());
                    }
                    Err(()) => unknown += 1,
                }
                assert_eq!(found.is_some(), regex.is_match(&value), "{file}: {pattern}");
                if found.is_some() {
                    any = true;
                    matched += 1;
                    assert!(
                        required.allows(&value),
                        "{pattern} on {:?} needs {required:?}",
                        value.escape_ascii().to_string()
                    );
                } else {
                    unmatched += 1;
                }
                value = near(&value, &mut numbers);
            }
        }
        if !any {
            never.push(pattern);
        }
    }
    println!("{matched} matches, {unmatched} others, {unknown} that took too long to tell");
    assert!(matched > 10 * patterns.len() && unmatched > 10 * patterns.len() && unknown < matched / 20);
    assert!(never.len() < patterns.len() / 20, "never matched: {never:#?}");
}

/// Patterns of everything that is supported, over few bytes so that they often match.
fn made_up() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(vec![
        "a", "b", "ab", "A", "_", " ", "\\n", ".", "[ab]", "[^a]", "[a-b_]", "[^\\s]", "\\s", "\\S", "\\w", "\\W",
        "\\d", "\\x41", "\\v", "[\\w ]", "(?-s:.)", "(?i)a", "(?i:ab)", "[\\]b-]",
    ]);
    let place = prop::sample::select(vec!["^", "$", "\\b", "\\B", "\\A", "\\z"]);
    let quantifier = prop::sample::select(vec!["*", "+", "?", "{2}", "{1,2}", "{2,}", "*?", "+?", "??", "{0,2}?"]);
    let leaf = prop_oneof![6 => atom.prop_map(str::to_owned), 2 => place.prop_map(str::to_owned)];
    leaf.prop_recursive(4, 16, 4, move |inner| {
        let quantifier = quantifier.clone();
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            2 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            1 => inner.clone().prop_map(|part| format!("({part})")),
            3 => (inner, quantifier).prop_map(|(part, quantifier)| format!("(?:{part}){quantifier}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn made_up_patterns_mean_what_they_say(
        pattern in made_up(),
        values in prop::collection::vec("[abAB_ 1\\n\\-]{0,10}", 6),
        seed: u64,
    ) {
        let Ok(regex) = Regex::compile(&pattern) else {
            return Ok(());
        };
        let required = regex.required();
        let second = reference::Pattern::new(&pattern);
        let mut numbers = Numbers(seed);
        let walked = (0..4).map(|_| second.walk(&mut |end| numbers.below(end)));
        for value in values.into_iter().map(String::into_bytes).chain(walked) {
            let Ok(expected) = second.find(&value) else { continue };
            let span = expected.as_ref().and_then(|groups| groups[0]).map(|(start, end)| start..end);
            let shown = value.escape_ascii().to_string();
            prop_assert_eq!(regex.find(&value), span.clone(), "{} on {:?}", &pattern, &shown);
            prop_assert_eq!(regex.is_match(&value), span.is_some());
            let mut captures = Captures::default();
            prop_assert_eq!(regex.captures(&value, &mut captures), span.is_some());
            if let Some(groups) = expected {
                prop_assert!(required.allows(&value), "{} on {:?} needs {:?}", &pattern, &shown, &required);
                for (number, group) in groups.iter().take(10).enumerate() {
                    let group = group.map(|(start, end)| start..end);
                    prop_assert_eq!(captures.get(number), group, "group {} of {} on {:?}", number, &pattern, &shown);
                }
            }
        }
    }
}
