//! Addresses of e-mail, postcodes and National Insurance numbers.

use super::{Kind, Plain, Value, has_before, is_word};

/// RFC 5321 section 4.5.3.1.
const LOCAL: usize = 64;
/// Longer domains are none of a person's mail.
const DOMAIN: usize = 63;

/// Around the `@` at `at`.
pub(super) fn email(window: &[u8], at: usize, plain: &mut Plain) -> Option<Value> {
    let before = window.get(at.saturating_sub(LOCAL)..at)?;
    let mut start = at - before.iter().rev().position(|byte| !is_local(*byte)).unwrap_or(before.len());
    // Neither begins nor ends with a dot; punctuation before it is the text's own.
    while start < at && window.get(start).is_some_and(|byte| !byte.is_ascii_alphanumeric()) {
        start += 1;
    }
    if start == at || window.get(at - 1) == Some(&b'.') {
        return None;
    }
    let after = window.get(at + 1..(at + 1 + DOMAIN).min(window.len()))?;
    let mut length = after.iter().position(|byte| !is_domain(*byte)).unwrap_or(after.len());
    while after.get(length.checked_sub(1)?).is_some_and(|byte| matches!(byte, b'.' | b'-')) {
        length -= 1;
    }
    let domain = after.get(..length)?;
    let (mut dot, mut before) = (None, b'.');
    for (at, byte) in domain.iter().enumerate() {
        // No label is empty or begins with a hyphen.
        if before == b'.' && matches!(byte, b'.' | b'-') {
            return None;
        }
        if *byte == b'.' {
            dot = Some(at);
        }
        before = *byte;
    }
    let top = domain.get(dot? + 1..)?;
    let named = top.len() >= 2 && (top.iter().all(u8::is_ascii_alphabetic) || top.starts_with(b"xn--"));
    if !named || is_file(top) {
        return None;
    }
    let end = at + 1 + length;
    plain.lower(window.get(start..end)?);
    Some(Value { kind: Kind::Email, start, end })
}

/// What follows the last dot of what only looks like an address: names of files for dense screens, and packages.
fn is_file(top: &[u8]) -> bool {
    let mut small = [0; 4];
    let Some(small) = small.get_mut(..top.len()) else { return false };
    small.copy_from_slice(top);
    small.make_ascii_lowercase();
    matches!(&*small, b"png" | b"jpg" | b"jpeg" | b"gif" | b"svg" | b"webp" | b"avif" | b"css" | b"js" | b"mjs")
}

/// For each byte, whether it can stand before the `@` (1) and behind it (2).
const MAIL: [u8; 256] = {
    let mut mail = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let own = byte as u8;
        let domain = own.is_ascii_alphanumeric() || matches!(own, b'.' | b'-');
        let local = domain || matches!(own, b'_' | b'+' | b'\'') || own >= 0x80;
        mail[byte] = local as u8 | (domain as u8) << 1;
        byte += 1;
    }
    mail
};

#[inline]
const fn is_local(byte: u8) -> bool {
    MAIL[byte as usize] & 1 == 1
}

#[inline]
const fn is_domain(byte: u8) -> bool {
    MAIL[byte as usize] & 2 == 2
}

/// Postcode areas: the letters that a postcode begins with (Royal Mail).
const AREAS: &[u8] =
    b"AB AL B BA BB BD BF BH BL BN BR BS BT BX CA CB CF CH CM CO CR CT CV CW DA DD DE DG DH DL DN DT DY E EC EH \
    EN EX FK FY G GL GU GY HA HD HG HP HR HS HU HX IG IM IP IV JE KA KT KW KY L LA LD LE LL LN LS LU M ME MK \
    ML N NE NG NN NP NR NW OL OX PA PE PH PL PO PR RG RH RM S SA SE SG SK SL SM SN SO SP SR SS ST SW SY TA TD \
    TF TN TQ TR TS TW UB W WA WC WD WF WN WR WS WV YO ZE";

/// The same: for each first letter which second ones there are, with the lowest bit for none.
const SECONDS: [u32; 26] = {
    let mut seconds = [0; 26];
    let mut at = 0;
    while at < AREAS.len() {
        let first = (AREAS[at] - b'A') as usize;
        let alone = at + 1 == AREAS.len() || AREAS[at + 1] == b' ';
        seconds[first] |= if alone { 1 } else { 2 << (AREAS[at + 1] - b'A') };
        at += if alone { 2 } else { 3 };
    }
    seconds
};

/// Whether letters are those of an area, in either case.
fn is_area(letters: &[u8]) -> bool {
    let place = |letter: &u8| u32::from((letter | 0x20).wrapping_sub(b'a'));
    let (first, second) = match letters {
        [first] => (place(first), 0),
        [first, second] => (place(first), place(second) + 1),
        _ => return false,
    };
    usize::try_from(first).ok().and_then(|first| SECONDS.get(first)).is_some_and(|seconds| seconds >> second & 1 == 1)
}

/// Whose first digit stands at `at`, with `letters` letters before it.
pub(super) fn postcode(window: &[u8], at: usize, letters: usize, plain: &mut Plain) -> Option<Value> {
    let start = at.checked_sub(letters)?;
    let area = window.get(start..at)?;
    let upper = area.iter().all(u8::is_ascii_uppercase);
    if !is_area(area) || (!upper && !area.iter().all(u8::is_ascii_lowercase)) {
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
    plain.extend(whole.iter().filter(|byte| **byte != b' ').map(u8::to_ascii_uppercase));
    Some(Value { kind: Kind::Postcode, start, end })
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
pub(super) fn nino(window: &[u8], at: usize, plain: &mut Plain) -> Option<Value> {
    let start = at.checked_sub(2)?;
    let (first, second) = (*window.get(start)?, *window.get(start + 1)?);
    nino_from(window, start, [first, second], at, plain)
}

/// The same, where a space stands behind the letters.
pub(super) fn spaced_nino(window: &[u8], at: usize, plain: &mut Plain) -> Option<Value> {
    let start = at.checked_sub(3)?;
    let (first, second) = (*window.get(start)?, *window.get(start + 1)?);
    let apart = !is_word(start.checked_sub(1).and_then(|at| window.get(at)));
    if window.get(at - 1) == Some(&b' ') && apart { nino_from(window, start, [first, second], at, plain) } else { None }
}

fn nino_from(window: &[u8], start: usize, letters: [u8; 2], at: usize, text: &mut Plain) -> Option<Value> {
    let [first, second] = letters;
    let allowed = first.is_ascii_uppercase()
        && second.is_ascii_uppercase()
        && !b"DFIQUV".contains(&first)
        && !b"DFIOQUV".contains(&second)
        && ![b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"].contains(&&letters);
    if !allowed {
        return None;
    }
    text.extend(letters);
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
    Some(Value { kind: Kind::Nino, start, end: end + 1 })
}
