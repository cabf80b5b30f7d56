//! Operators on numbers: what `@eq`, `@ge`, `@gt`, `@le`, `@lt` take a text for, and `@verifyCC`, `@verifySSN`, `@verifyCPF`.

use std::ops::Range;

use super::regex::Regex;

/// The integer that a text begins with, after white space, as C's `strtoll` reads it: 0 if there is none, the nearest if it is
/// beyond 64 bits. `ModSecurity` takes numbers beyond 32 bits for 0 in `@eq` alone; here all five compare what is written.
#[must_use]
pub fn integer(text: &[u8]) -> i64 {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r')).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    digits.iter().take_while(|byte| byte.is_ascii_digit()).fold(0i64, |value, byte| {
        let digit = i64::from(byte - b'0');
        let value = value.saturating_mul(10);
        if negative { value.saturating_sub(digit) } else { value.saturating_add(digit) }
    })
}

/// `@verifyCC`: whether the digits among `text` end in the check digit that payment cards have (ISO/IEC 7812-1, Luhn).
#[must_use]
pub fn is_card(text: &[u8]) -> bool {
    let mut sum = 0u64;
    let mut count = 0usize;
    for digit in text.iter().rev().filter(|byte| byte.is_ascii_digit()).map(|byte| u64::from(byte - b'0')) {
        let weighted = if count.is_multiple_of(2) { digit } else { 2 * digit };
        sum += weighted / 10 + weighted % 10;
        count += 1;
    }
    count > 0 && sum.is_multiple_of(10)
}

/// `@verifySSN`: whether `text` has the nine digits of a social security number of the USA that may have been given out: no part
/// is zero, the area is below 740 and not 666, the digits are neither all alike nor each one more than the one before.
#[must_use]
pub fn is_social_security_number(text: &[u8]) -> bool {
    let Some(digits) =
        first_digits::<9>(text).filter(|_| text.iter().filter(|byte| byte.is_ascii_digit()).count() == 9)
    else {
        return false;
    };
    let number = |digits: &[u8]| digits.iter().fold(0u32, |value, &digit| value * 10 + u32::from(digit));
    let [a, b, c, d, e, rest @ ..] = digits;
    let area = number(&[a, b, c]);
    let each_pair = |step: u8| digits.windows(2).all(|pair| matches!(pair, [left, right] if *left + step == *right));
    area != 0
        && area != 666
        && area < 740
        && number(&[d, e]) != 0
        && number(&rest) != 0
        && !each_pair(0)
        && !each_pair(1)
}

/// `@verifyCPF`: whether the first eleven digits of `text` are a taxpayer's number of Brazil: the last two check the others
/// (modulo 11), and they are neither all alike nor 01234567890.
#[must_use]
pub fn is_taxpayer_number(text: &[u8]) -> bool {
    let Some(digits) = first_digits::<11>(text) else { return false };
    let check = |count: u32| {
        let weighted = digits.iter().zip((2..=count + 1).rev()).map(|(&digit, weight)| u32::from(digit) * weight);
        let rest = weighted.sum::<u32>() % 11;
        if rest < 2 { 0 } else { 11 - rest }
    };
    let [first, .., tenth, eleventh] = digits;
    let made_up = digits.iter().all(|&digit| digit == first) || digits == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0];
    !made_up && check(9) == u32::from(tenth) && check(10) == u32::from(eleventh)
}

/// The first of what `regex` finds in a value that `verify` accepts: `@verifyCC` and its like look at what begins at each byte.
/// Gives up, with nothing, after [`MOST_VERIFIED`] finds or when these are longer together than four times the value and
/// [`VERIFIED_BYTES`].
#[must_use]
pub fn first_verified(regex: &Regex, value: &[u8], verify: impl Fn(&[u8]) -> bool) -> Option<Range<usize>> {
    let mut budget = VERIFIED_BYTES + 4 * value.len();
    let mut start = 0;
    for _ in 0..MOST_VERIFIED {
        let found = regex.find_from(value, start)?;
        let text = value.get(found.clone())?;
        if verify(text) {
            return Some(found);
        }
        budget = budget.checked_sub(found.end - start)?;
        start = found.start + 1;
    }
    None
}

/// How many finds [`first_verified`] looks at.
pub const MOST_VERIFIED: usize = 4096;
/// How long they may be together, in bytes, beyond four times the value.
pub const VERIFIED_BYTES: usize = 1 << 16;

/// The first `COUNT` digits of a text that has as many.
fn first_digits<const COUNT: usize>(text: &[u8]) -> Option<[u8; COUNT]> {
    let mut digits = [0; COUNT];
    let mut found = text.iter().filter(|byte| byte.is_ascii_digit());
    for digit in &mut digits {
        *digit = found.next()? - b'0';
    }
    Some(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers() {
        let cases: [(&[u8], i64); 12] = [
            (b"", 0),
            (b"abc", 0),
            (b" 12", 12),
            (b"12abc", 12),
            (b"+12", 12),
            (b"\t-12", -12),
            (b"1 2", 1),
            (b"- 5", 0),
            (b"0x10", 0),
            (b"3000000000", 3_000_000_000),
            (b"9999999999999999999999", i64::MAX),
            (b"-9999999999999999999999", i64::MIN),
        ];
        for (text, value) in cases {
            assert_eq!(integer(text), value, "{text:?}");
        }
    }

    #[test]
    fn cards() {
        assert!(is_card(b"4111 1111 1111 1111") && is_card(b"0") && is_card(b"378282246310005"));
        assert!(!is_card(b"4111111111111112") && !is_card(b"") && !is_card(b"none"));
        let regex = Regex::compile(r"\d{13,16}").unwrap();
        assert_eq!(first_verified(&regex, b"x 4111111111111111 y", is_card), Some(2..18));
        // What begins later may be right where what begins first is not.
        assert_eq!(first_verified(&regex, b"4111111111111112", is_card), Some(3..16));
        assert_eq!(first_verified(&regex, b"no card", is_card), None);
    }

    #[test]
    fn looking_for_cards_ends() {
        let regex = Regex::compile(r"\d.*").unwrap();
        assert_eq!(first_verified(&regex, &vec![b'1'; 1 << 20], |_| false), None);
    }

    #[test]
    fn social_security_numbers() {
        assert!(is_social_security_number(b"078-05-1120") && is_social_security_number(b"219099999"));
        let wrong = ["", "7", "123-45-6789", "000-12-3456", "666-12-3456", "740-12-3456", "111-11-1111", "078-00-1120"];
        for text in wrong.iter().chain(&["078-05-0000", "078-05-11200"]) {
            assert!(!is_social_security_number(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn taxpayer_numbers() {
        assert!(is_taxpayer_number(b"529.982.247-25") && is_taxpayer_number(b"52998224725 and more: 1"));
        for text in ["", "111.111.111-11", "52998224726", "5299822472", "012.345.678-90"] {
            assert!(!is_taxpayer_number(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn one_digit_in_ten_checks(prefix in "[0-9 ]{1,15}") {
            let valid = (b'0'..=b'9').filter(|&last| is_card(&[prefix.as_bytes(), &[last]].concat())).count();
            prop_assert_eq!(valid, 1);
        }

        #[test]
        fn integers_as_they_are_written(value: i64) {
            prop_assert_eq!(integer(value.to_string().as_bytes()), value);
        }
    }
}
