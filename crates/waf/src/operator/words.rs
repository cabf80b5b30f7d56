//! Operators that compare text: `@streq`, `@contains`, `@containsWord`, `@beginsWith`, `@endsWith`, `@within`. Case counts.

use std::ops::Range;

use memchr::memmem;

/// `@streq`.
#[must_use]
pub fn equals(value: &[u8], argument: &[u8]) -> bool {
    value == argument
}

/// `@contains` and `@strmatch`: where `argument` is.
#[must_use]
pub fn contains(value: &[u8], argument: &[u8]) -> Option<Range<usize>> {
    memmem::find(value, argument).map(|start| start..start + argument.len())
}

/// `@containsWord`: where `argument` is without a letter on either side. An empty argument is in every value.
#[must_use]
pub fn contains_word(value: &[u8], argument: &[u8]) -> Option<Range<usize>> {
    if argument.is_empty() {
        return Some(0..0);
    }
    let finder = memmem::Finder::new(argument);
    let mut from = 0;
    while let Some(found) = value.get(from..).and_then(|rest| finder.find(rest)) {
        let start = from + found;
        let end = start + argument.len();
        let letter_before = start.checked_sub(1).and_then(|at| value.get(at)).is_some_and(u8::is_ascii_alphabetic);
        let letter_after = value.get(end).is_some_and(u8::is_ascii_alphabetic);
        if !letter_before && !letter_after {
            return Some(start..end);
        }
        from = start + 1;
    }
    None
}

/// `@beginsWith`.
#[must_use]
pub fn begins_with(value: &[u8], argument: &[u8]) -> bool {
    value.starts_with(argument)
}

/// `@endsWith`.
#[must_use]
pub fn ends_with(value: &[u8], argument: &[u8]) -> bool {
    value.ends_with(argument)
}

/// `@within`: whether the value is part of the argument; the empty value is.
#[must_use]
pub fn within(value: &[u8], argument: &[u8]) -> bool {
    memmem::find(argument, value).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words() {
        for value in ["abc", "abc1", "1abc", "abc-", "abcabc abc", "abc_", "_abc", "abc\u{e9}", "xabc abc"] {
            assert!(contains_word(value.as_bytes(), b"abc").is_some(), "{value}");
        }
        for value in ["", "xabc", "abcx", "xabc abcx", "xabc ", " abcx", "ab c", "ABC"] {
            assert_eq!(contains_word(value.as_bytes(), b"abc"), None, "{value}");
        }
        assert_eq!(contains_word(b"", b""), Some(0..0));
    }

    #[test]
    fn parts() {
        assert!(within(b"", b"GET POST") && within(b"T P", b"GET POST") && !within(b"get", b"GET POST"));
        assert!(begins_with(b"abc", b"ab") && !begins_with(b"ab", b"abc") && begins_with(b"", b""));
        assert!(ends_with(b"abc", b"bc") && !ends_with(b"bc", b"abc"));
        assert!(equals(b"a", b"a") && !equals(b"a", b"A"));
    }

    proptest! {
        #[test]
        fn contains_agrees_with_windows(value in "[ab]{0,8}", argument in "[ab]{1,3}") {
            let naive = value.as_bytes().windows(argument.len()).position(|part| part == argument.as_bytes());
            prop_assert_eq!(contains(value.as_bytes(), argument.as_bytes()).map(|range| range.start), naive);
        }
    }
}
