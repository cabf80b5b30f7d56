//! Payment cards, IBANs, and sort codes with an account number.

use super::number::Groups;
use super::{Kind, Plain, Value, has_before, is_word};

/// A card's number whose first digit stands at `at`, in one piece or as it is embossed.
pub(super) fn card(groups: &Groups, at: usize, plain: &mut Plain) -> Option<Value> {
    const EMBOSSED: [&[u8]; 3] = [&[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];
    let first = groups.first_group();
    let count = if (14..=19).contains(&first) {
        first
    } else if first != 4 {
        return None;
    } else {
        let shape = EMBOSSED.iter().find(|shape| groups.shaped(shape, b" ") || groups.shaped(shape, b"-"))?;
        shape.iter().map(|length| usize::from(*length)).sum()
    };
    let (digits, end) = groups.first(count)?;
    if !is_issued(digits) || !luhn(digits) {
        return None;
    }
    plain.digits(digits);
    Some(Value { kind: Kind::Card, start: at, end })
}

/// Ranges of the networks' issuers (ISO/IEC 7812), with the lengths that they use.
fn is_issued(digits: &[u8]) -> bool {
    let first = |count: usize| digits.iter().take(count).fold(0u32, |sum, digit| sum * 10 + u32::from(*digit));
    match digits.len() {
        19 => first(1) == 4,
        14 => matches!(first(3), 300..=305) || matches!(first(2), 36 | 38 | 39),
        15 => matches!(first(2), 34 | 37),
        16 => {
            first(1) == 4
                || matches!(first(2), 51..=55 | 65)
                || matches!(first(4), 2221..=2720 | 3528..=3589 | 6011 | 6759)
                || matches!(first(3), 644..=649)
                || first(2) == 62
        }
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(*digit);
            if at % 2 == 0 { digit } else { digit * 2 - if digit > 4 { 9 } else { 0 } }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| Some(digit) != digits.first())
}

/// Countries and the length of their IBANs (SWIFT's registry of ISO 13616).
const IBANS: [(&[u8; 2], u8); 79] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SC", 31),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"SD", 18),
];

/// The same by the letters of the country: 0 where it has none.
const LENGTHS: [[u8; 26]; 26] = {
    let mut lengths = [[0; 26]; 26];
    let mut at = 0;
    while at < IBANS.len() {
        let (country, length) = IBANS[at];
        lengths[(country[0] - b'A') as usize][(country[1] - b'A') as usize] = length;
        at += 1;
    }
    lengths
};

/// Whose check digits begin at `at`, behind the two letters of a country.
pub(super) fn iban(window: &[u8], at: usize, text: &mut Plain) -> Option<Value> {
    let start = at.checked_sub(2)?;
    let [first, second] = window.get(start..at)? else { return None };
    let letter = |byte: &u8| usize::from(byte.wrapping_sub(b'A'));
    let length = usize::from(*LENGTHS.get(letter(first))?.get(letter(second))?);
    if length == 0 {
        return None;
    }
    let mut end = start;
    while text.length < length {
        let byte = *window.get(end)?;
        if byte.is_ascii_digit() || byte.is_ascii_uppercase() {
            text.push(byte);
        } else if byte != b' ' || !text.length.is_multiple_of(4) {
            return None;
        }
        end += 1;
    }
    let (head, account) = text.get().split_at_checked(4)?;
    let remainder = account.iter().chain(head).fold(0u32, |sum, byte| match byte {
        b'0'..=b'9' => (sum * 10 + u32::from(byte - b'0')) % 97,
        _ => (sum * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    (remainder == 1 && !is_word(window.get(end))).then_some(Value { kind: Kind::Iban, start, end })
}

/// How far an account number may stand from its sort code.
const BESIDE: usize = 48;
const WORDS: [&[u8]; 7] = [b"sort code", b"sort_code", b"sortcode", b"sort-code", b"account", b"acct", b"a/c"];

/// A sort code `12-34-56` whose first digit stands at `at`, with an account number beside it.
pub(super) fn sort_code(window: &[u8], groups: &Groups, at: usize, plain: &mut Plain) -> Option<Value> {
    let joined = groups.shaped(&[2, 2, 2], b"-");
    if !joined && !groups.shaped(&[2, 2, 2], b" ") {
        return None;
    }
    let (_, end) = groups.first(6)?;
    account(window, at, end - at, plain)
}

/// The account number beside a sort code of `length` bytes at `at`, where words say what it is.
pub(super) fn account(window: &[u8], at: usize, length: usize, plain: &mut Plain) -> Option<Value> {
    if (length == 6 && !has_before(window, at, 16, &[b"sort"])) || !has_before(window, at, BESIDE, &WORDS) {
        return None;
    }
    let end = at + length;
    let after = window.get(end..(end + BESIDE).min(window.len()))?;
    let before = window.get(at.saturating_sub(BESIDE)..at)?;
    let (account, start, end) = match eight(after) {
        Some(place) => (after.get(place..place + 8)?, at, end + place + 8),
        None => {
            let place = eight(before)?;
            (before.get(place..place + 8)?, at - before.len() + place, end)
        }
    };
    let code = window.get(at..at + length)?.iter().filter(|byte| byte.is_ascii_digit());
    plain.extend(code.chain(account).copied());
    Some(Value { kind: Kind::BankAccount, start, end })
}

/// Where eight digits stand by themselves.
fn eight(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        let run = text.iter().skip(at).take_while(|byte| byte.is_ascii_digit()).count();
        if run == 8 {
            return Some(at);
        }
        at += run.max(1);
    }
    None
}
