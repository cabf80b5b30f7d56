//! Addresses of e-mail, postcodes and National Insurance numbers.

use super::{Kind, Plain, Value, has_before, is_word};

/// RFC 5321 section 4.5.3.1.
const LOCAL: usize = 64;
/// Longer domains are none of a person's mail.
const DOMAIN: usize = 63;

/// What follows the last dot of what only looks like an address: names of files for dense screens, and packages.
const FILES: [&[u8]; 10] = [b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"avif", b"css", b"js", b"mjs"];

/// Around the `@` at `at`.
pub(super) fn email(window: &[u8], at: usize) -> Option<Value> {
    let before = window.get(at.saturating_sub(LOCAL)..at)?;
    let local = before.iter().rev().take_while(|byte| is_local(**byte)).count();
    let mut start = at - local;
    // Neither begins nor ends with a dot; punctuation before it is the text's own.
    while start < at && window.get(start).is_some_and(|byte| !byte.is_ascii_alphanumeric()) {
        start += 1;
    }
    if start == at || window.get(at - 1) == Some(&b'.') {
        return None;
    }
    let after = window.get(at + 1..(at + 1 + DOMAIN).min(window.len()))?;
    let mut length = after.iter().take_while(|byte| is_domain(**byte)).count();
    while after.get(length.checked_sub(1)?).is_some_and(|byte| matches!(byte, b'.' | b'-')) {
        length -= 1;
    }
    let domain = after.get(..length)?;
    let dot = domain.iter().rposition(|byte| *byte == b'.')?;
    let top = domain.get(dot + 1..)?;
    let labels = domain.split(|byte| *byte == b'.').all(|label| !label.is_empty() && !label.starts_with(b"-"));
    let named = top.len() >= 2 && (top.iter().all(u8::is_ascii_alphabetic) || top.starts_with(b"xn--"));
    if !labels || !named || FILES.iter().any(|file| top.eq_ignore_ascii_case(file)) {
        return None;
    }
    let end = at + 1 + length;
    let text = Plain::of(window.get(start..end)?.iter().map(u8::to_ascii_lowercase));
    Some(Value { kind: Kind::Email, start, end, text })
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'\'') || byte >= 0x80
}

const fn is_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}

/// Postcode areas: the letters that a postcode begins with (Royal Mail).
const AREAS: [&[u8]; 124] = [
    b"AB", b"AL", b"B", b"BA", b"BB", b"BD", b"BF", b"BH", b"BL", b"BN", b"BR", b"BS", b"BT", b"BX", b"CA", b"CB",
    b"CF", b"CH", b"CM", b"CO", b"CR", b"CT", b"CV", b"CW", b"DA", b"DD", b"DE", b"DG", b"DH", b"DL", b"DN", b"DT",
    b"DY", b"E", b"EC", b"EH", b"EN", b"EX", b"FK", b"FY", b"G", b"GL", b"GU", b"GY", b"HA", b"HD", b"HG", b"HP",
    b"HR", b"HS", b"HU", b"HX", b"IG", b"IM", b"IP", b"IV", b"JE", b"KA", b"KT", b"KW", b"KY", b"L", b"LA", b"LD",
    b"LE", b"LL", b"LN", b"LS", b"LU", b"M", b"ME", b"MK", b"ML", b"N", b"NE", b"NG", b"NN", b"NP", b"NR", b"NW",
    b"OL", b"OX", b"PA", b"PE", b"PH", b"PL", b"PO", b"PR", b"RG", b"RH", b"RM", b"S", b"SA", b"SE", b"SG", b"SK",
    b"SL", b"SM", b"SN", b"SO", b"SP", b"SR", b"SS", b"ST", b"SW", b"SY", b"TA", b"TD", b"TF", b"TN", b"TQ", b"TR",
    b"TS", b"TW", b"UB", b"W", b"WA", b"WC", b"WD", b"WF", b"WN", b"WR", b"WS", b"YO",
];

/// Areas outside the list above that are as good: kept apart so that the list stays one of pairs of lines.
const FURTHER: [&[u8]; 2] = [b"WV", b"ZE"];

/// Whose first digit stands at `at`, with `letters` letters before it.
pub(super) fn postcode(window: &[u8], at: usize, letters: usize) -> Option<Value> {
    let start = at.checked_sub(letters)?;
    let area = window.get(start..at)?;
    let upper = area.iter().all(u8::is_ascii_uppercase);
    if !upper && !area.iter().all(u8::is_ascii_lowercase) {
        return None;
    }
    let mut to = at + 1;
    if window.get(to).is_some_and(u8::is_ascii_alphanumeric) && ends(window, to + 1).is_some() {
        to += 1;
    }
    let (inward, end) = ends(window, to)?;
    let spaced = inward > to;
    let cased = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase() == upper;
    let whole = window.get(start..end)?;
    if !whole.iter().filter(|byte| **byte != b' ').all(cased) {
        return None;
    }
    // Small letters are a postcode where they are called one.
    let called = || has_before(window, start, 32, &[b"postcode", b"post_code", b"postal"]);
    if !upper && (!spaced || !called()) {
        return None;
    }
    let mut known = AREAS.iter().chain(&FURTHER);
    if !known.any(|known| known.eq_ignore_ascii_case(area)) {
        return None;
    }
    let text = Plain::of(whole.iter().filter(|byte| **byte != b' ').map(u8::to_ascii_uppercase));
    Some(Value { kind: Kind::Postcode, start, end, text })
}

/// The inward half behind the outward half that ends at `to`: where it begins, and where it ends.
fn ends(window: &[u8], to: usize) -> Option<(usize, usize)> {
    let inward = if window.get(to) == Some(&b' ') { to + 1 } else { to };
    let [digit, one, two] = window.get(inward..inward + 3)? else { return None };
    let letter = |byte: &u8| byte.is_ascii_alphabetic() && !b"CIKMOV".contains(&byte.to_ascii_uppercase());
    let fits = digit.is_ascii_digit() && letter(one) && letter(two) && !is_word(window.get(inward + 3));
    fits.then_some((inward, inward + 3))
}

/// Whose first digit stands at `at`, behind two letters: `QQ 12 34 56 C` (HMRC, NIM39110).
pub(super) fn nino(window: &[u8], at: usize) -> Option<Value> {
    let start = at.checked_sub(2)?;
    let (first, second) = (*window.get(start)?, *window.get(start + 1)?);
    nino_from(window, start, first, second, at)
}

/// The same, where a space stands behind the letters.
pub(super) fn spaced_nino(window: &[u8], at: usize) -> Option<Value> {
    let start = at.checked_sub(3)?;
    let (first, second) = (*window.get(start)?, *window.get(start + 1)?);
    let apart = !is_word(start.checked_sub(1).and_then(|at| window.get(at)));
    if window.get(at - 1) == Some(&b' ') && apart { nino_from(window, start, first, second, at) } else { None }
}

fn nino_from(window: &[u8], start: usize, first: u8, second: u8, at: usize) -> Option<Value> {
    let letters = [first, second];
    let allowed = first.is_ascii_uppercase()
        && second.is_ascii_uppercase()
        && !b"DFIQUV".contains(&first)
        && !b"DFIOQUV".contains(&second)
        && ![b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"].contains(&&letters);
    if !allowed {
        return None;
    }
    let mut text = Plain::of(letters);
    let (mut end, mut digits) = (at, 0);
    while digits < 6 {
        let byte = *window.get(end)?;
        if byte.is_ascii_digit() {
            text.push(byte);
            digits += 1;
        } else if byte != b' ' || digits % 2 == 1 || digits == 0 {
            return None;
        }
        end += 1;
    }
    if window.get(end) == Some(&b' ') {
        end += 1;
    }
    let suffix = *window.get(end)?;
    if !(b'A'..=b'D').contains(&suffix) || is_word(window.get(end + 1)) {
        return None;
    }
    text.push(suffix);
    Some(Value { kind: Kind::Nino, start, end: end + 1, text })
}
