//! Forms and query strings: `a=1&b=2`.
//!
//! As `ModSecurity` 3 reads them: every separator ends a field, so that `&a` begins with one that has neither name nor
//! value, while nothing stands after the last; the first `=` ends the name; `+` is a space, and an escape that is none stays as
//! it is and is counted.

use memchr::{memchr, memchr2};

use super::{Bounds, Fields, Outcome};

/// A form or query string taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UrlEncoded {
    /// Escapes that are none: `%` without two hexadecimal digits after it. `URLENCODED_ERROR` is whether there is one.
    pub invalid_escapes: usize,
    /// Whether all of it was read.
    pub outcome: Outcome,
}

/// Adds the decoded fields of `input` to `fields`.
pub fn parse(input: &[u8], separator: u8, bounds: &Bounds, fields: &mut Fields) -> UrlEncoded {
    let mut result = UrlEncoded::default();
    for pair in pairs(input, separator) {
        let at = pair.at;
        let Some(draft) = fields.draft(pair.name.len() + pair.value.len(), at, bounds, &mut result.outcome) else {
            break;
        };
        result.invalid_escapes += decode(pair.name, &mut fields.bytes);
        let value_at = fields.bytes.len();
        result.invalid_escapes += decode(pair.value, &mut fields.bytes);
        fields.finish(draft, value_at);
    }
    result
}

/// A field as it stands, nothing decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// Where it begins.
    pub at: usize,
    /// Up to the first `=`.
    pub name: &'a [u8],
    /// After it; empty without one.
    pub value: &'a [u8],
}

/// The fields of `input` as they stand.
pub fn pairs(input: &[u8], separator: u8) -> impl Iterator<Item = Pair<'_>> + Clone {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = input.get(at..).filter(|rest| !rest.is_empty())?;
        let (piece, _) = split(rest, separator);
        let (name, value) = split(piece, b'=');
        let pair = Pair { at, name, value };
        at += piece.len() + 1;
        Some(pair)
    })
}

/// Writes `input` decoded to `out`, and says how many escapes were none.
pub fn decode(input: &[u8], out: &mut Vec<u8>) -> usize {
    let mut invalid = 0;
    let mut rest = input;
    while let Some(at) = memchr2(b'%', b'+', rest) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        let (byte, taken) = match special {
            [b'+', ..] => (b' ', 1),
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_value(*high) << 4 | hex_value(*low), 3)
            }
            _ => {
                invalid += 1;
                (b'%', 1)
            }
        };
        out.push(byte);
        rest = special.get(taken..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    invalid
}

/// Of a hexadecimal digit.
pub(super) const fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

/// Around the first `at`; the second half is empty without one.
fn split(input: &[u8], at: u8) -> (&[u8], &[u8]) {
    match memchr(at, input) {
        Some(place) => (&input[..place], &input[place + 1..]),
        None => (input, b""),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `a=1&b` as `[("a", "1"), ("b", "")]`, and how many escapes were none.
    fn read(input: &[u8]) -> (Vec<(String, String)>, usize) {
        let mut fields = Fields::new();
        let result = parse(input, b'&', &Bounds::default(), &mut fields);
        assert_eq!(result.outcome, Outcome::default());
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        (fields.iter().map(|field| (text(field.name), text(field.value))).collect(), result.invalid_escapes)
    }

    #[test]
    fn fields_are_modsecuritys() {
        // Each was put to libmodsecurity 3.0.15.
        type Pairs = &'static [(&'static str, &'static str)];
        let cases: &[(&str, Pairs, usize)] = &[
            ("", &[], 0),
            ("a=1&b=2&a=3", &[("a", "1"), ("b", "2"), ("a", "3")], 0),
            ("&a=1&&b&=c&d=&", &[("", ""), ("a", "1"), ("", ""), ("b", ""), ("", "c"), ("d", "")], 0),
            ("a=b=c", &[("a", "b=c")], 0),
            ("a+b=c+d%2B%26", &[("a b", "c d+&")], 0),
            ("a=%00x&b%00=1", &[("a", "\\x00x"), ("b\\x00", "1")], 0),
            ("a=1;b=2", &[("a", "1;b=2")], 0),
            ("=", &[("", "")], 0),
            ("&&", &[("", ""), ("", "")], 0),
            ("%41=%42", &[("A", "B")], 0),
            ("a=%zz&b=%4", &[("a", "%zz"), ("b", "%4")], 2),
            ("a=%&b=%f", &[("a", "%"), ("b", "%f")], 2),
            ("a=%u0041", &[("a", "%u0041")], 1),
            ("a=%2541", &[("a", "%41")], 0),
        ];
        for (input, fields, invalid) in cases {
            let expected =
                fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
            assert_eq!(read(input.as_bytes()), (expected, *invalid), "{input}");
        }
    }

    #[test]
    fn another_separator_separates() {
        let found: Vec<_> = pairs(b"a=1;b=2&c", b';').map(|pair| (pair.at, pair.name, pair.value)).collect();
        assert_eq!(found, [(0, &b"a"[..], &b"1"[..]), (4, b"b", b"2&c")]);
    }

    #[test]
    fn beyond_its_bounds_it_stops_and_says_so() {
        let mut fields = Fields::new();
        let few = Bounds { fields: 2, ..Bounds::default() };
        assert!(parse(b"a&b&c", b'&', &few, &mut fields).outcome.cut);
        assert_eq!(fields.len(), 2);
        fields.clear();
        let short = Bounds { bytes: 3, ..Bounds::default() };
        assert_eq!(parse(b"a=1&bc=1", b'&', &short, &mut fields).outcome.fault.map(|fault| fault.at), Some(4));
        assert_eq!(fields.len(), 1);
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(wanted in proptest::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 1..9)) {
            let encode = |bytes: &[u8]| bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<String>();
            let text: Vec<_> = wanted.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
            let mut fields = Fields::new();
            let result = parse(text.join("&").as_bytes(), b'&', &Bounds::default(), &mut fields);
            prop_assert_eq!(result, UrlEncoded::default());
            let got: Vec<_> = fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
            prop_assert_eq!(got, wanted);
        }

        #[test]
        fn anything_is_read_and_pairs_are_the_input(input: Vec<u8>) {
            let mut fields = Fields::new();
            let result = parse(&input, b'&', &Bounds::default(), &mut fields);
            prop_assert!(result.outcome.fault.is_none());
            prop_assert!(fields.bytes() <= input.len());
            let raw: Vec<_> = pairs(&input, b'&').collect();
            prop_assert_eq!(raw.len(), fields.len());
            for pair in raw {
                prop_assert!(input[pair.at..].starts_with(pair.name));
            }
        }
    }
}
