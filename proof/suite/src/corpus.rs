//! Cases as data: `specs/smuggling/*.toml` and `specs/h2-abuse/*.toml`.
//!
//! It never interprets a case beyond its notation; the tests do.

use std::fs;

use serde::de::DeserializeOwned;

use crate::place::root;

/// Every case of a directory below `specs/`, with the name of its file.
///
/// # Panics
/// When a file cannot be read or is not of the shape `T`: a case that is skipped would be a case that never fails.
#[must_use]
pub fn read<T: DeserializeOwned>(directory: &str) -> Vec<(String, T)> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File<T> {
        case: Vec<T>,
    }
    let directory = root().join("specs").join(directory);
    let mut paths: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file: File<T> = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        cases.extend(file.case.into_iter().map(|case| (name.clone(), case)));
    }
    assert!(!cases.is_empty(), "{} holds no case", directory.display());
    cases
}

/// The bytes that a text stands for. Line ends of the file mean nothing; `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN` are
/// bytes, and `\{TEXT*COUNT}` is TEXT so many times.
///
/// # Panics
/// When an escape is none of these.
#[must_use]
pub fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        match letter {
            '\n' | '\r' => {}
            '\\' => rest = escape(rest, &mut out),
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

fn escape<'a>(rest: &'a str, out: &mut Vec<u8>) -> &'a str {
    let after = |count: usize| rest.get(count..).unwrap_or_default();
    match rest.bytes().next() {
        Some(b'r') => out.push(b'\r'),
        Some(b'n') => out.push(b'\n'),
        Some(b't') => out.push(b'\t'),
        Some(b'0') => out.push(0),
        Some(b'\\') => out.push(b'\\'),
        Some(b'x') => {
            let byte = rest.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            out.push(byte.unwrap_or_else(|| panic!("\\x wants two digits: {rest:.10}")));
            return after(3);
        }
        Some(b'{') => {
            let (inside, after) = after(1).split_once('}').unwrap_or_else(|| panic!("no end: {rest:.20}"));
            let (text, count) = inside.rsplit_once('*').unwrap_or_else(|| panic!("no count: {inside}"));
            let count: usize = count.parse().unwrap_or_else(|_| panic!("not a count: {count}"));
            out.extend(bytes(text).repeat(count));
            return after;
        }
        _ => panic!("no such escape: \\{rest:.5}"),
    }
    after(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation() {
        assert_eq!(bytes("a\\r\\n\n  b\\x00\\0\\t\\\\"), b"a\r\n  b\0\0\t\\");
        assert_eq!(bytes("\\{ab*3}c"), b"abababc");
        assert_eq!(bytes("\\{x: 1\\r\\n*2}"), b"x: 1\r\nx: 1\r\n");
    }
}
