//! The `Cookie` field: `a=1; b=2`.
//!
//! As `ModSecurity` 3 splits it: every separator ends a cookie, within quotes too; white space before a name and after the
//! last value goes, all other stays; a cookie without a name is none, one without `=` is a name. Nothing is decoded.

use memchr::memchr;

use super::{Bounds, Fields, Outcome, is_space};

/// What stands between two cookies, unless `SecCookieV0Separator` says otherwise.
pub const SEPARATOR: u8 = b';';

/// Adds the cookies of one field to `fields`.
pub fn parse(value: &[u8], separator: u8, bounds: &Bounds, fields: &mut Fields) -> Outcome {
    let mut outcome = Outcome::default();
    let value = value.strip_suffix(&[separator]).unwrap_or(value);
    let kept = value.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1);
    for cookie in value[..kept].split(|byte| *byte == separator) {
        let start = cookie.iter().position(|byte| !is_space(*byte)).unwrap_or(cookie.len());
        let equals = memchr(b'=', cookie);
        let name = cookie.get(start..equals.unwrap_or(cookie.len())).unwrap_or_default();
        if name.is_empty() {
            continue;
        }
        let value = equals.and_then(|at| cookie.get(at + 1..)).unwrap_or_default();
        if !fields.push(name, value, bounds, &mut outcome) {
            break;
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cookies_are_modsecuritys() {
        // Each was put to libmodsecurity 3.0.15.
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            (";;", &[]),
            ("a=1; b=2", &[("a", "1"), ("b", "2")]),
            ("a=1;b=2", &[("a", "1"), ("b", "2")]),
            ("; a=1 ;;b = 2 ", &[("a", "1 "), ("b ", " 2")]),
            ("=x; c", &[("c", "")]),
            ("  =x", &[]),
            ("a=\"x;y\"; d=e=f", &[("a", "\"x"), ("y\"", ""), ("d", "e=f")]),
            ("$Version=1; a=b", &[("$Version", "1"), ("a", "b")]),
            (" a=1; ", &[("a", "1")]),
            ("a=1 ;", &[("a", "1")]),
            ("a=1 ;;", &[("a", "1 ")]),
            ("a=%41; b=", &[("a", "%41"), ("b", "")]),
            ("A=1; a=2", &[("A", "1"), ("a", "2")]),
            ("a = 1 ; b =2  ", &[("a ", " 1 "), ("b ", "2")]),
        ];
        for (value, expected) in cases {
            let mut fields = Fields::new();
            assert_eq!(parse(value.as_bytes(), SEPARATOR, &Bounds::default(), &mut fields), Outcome::default());
            let got: Vec<_> = fields.iter().map(|field| (field.name, field.value)).collect();
            let expected: Vec<_> = expected.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            assert_eq!(got, expected, "{value:?}");
        }
    }

    #[test]
    fn another_separator_separates_and_bounds_hold() {
        let mut fields = Fields::new();
        let few = Bounds { fields: 1, ..Bounds::default() };
        assert!(parse(b"a=1;b,c", b',', &few, &mut fields).cut);
        assert_eq!(fields.get(0).map(|field| (field.name, field.value)), Some((&b"a"[..], &b"1;b"[..])));
    }

    proptest! {
        #[test]
        fn anything_is_read_and_no_name_is_empty(value: Vec<u8>) {
            let mut fields = Fields::new();
            parse(&value, SEPARATOR, &Bounds::default(), &mut fields);
            prop_assert!(fields.iter().all(|field| !field.name.is_empty() && !field.value.contains(&SEPARATOR)));
            prop_assert!(fields.bytes() <= value.len());
        }
    }
}
