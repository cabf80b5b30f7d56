//! NHS numbers and the numbers of the Danish register of persons.

use super::number::Groups;
use super::{Kind, Plain, Value, has_before};

/// Whose first digit stands at `at`. Ten digits pass the check by chance one time in eleven, so that their form or a word
/// nearby must speak for them too.
pub(super) fn nhs(window: &[u8], groups: &Groups, at: usize, tabled: bool, plain: &mut Plain) -> Option<Value> {
    let (digits, end) = groups.first(10)?;
    if !checks(digits) || window.get(end).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    let spaced = groups.shaped(&[3, 3, 4], b" ");
    let shaped = spaced || groups.shaped(&[3, 3, 4], b"-") || groups.shaped(&[10], b"");
    let called = || has_before(window, at, 48, &[b"nhs"]);
    if !shaped || !(spaced || tabled || called()) {
        return None;
    }
    plain.digits(digits);
    Some(Value { kind: Kind::Nhs, start: at, end })
}

/// Modulus 11 over ten digits, and not all the same (NHS Data Dictionary).
fn checks(digits: &[u8]) -> bool {
    let Some((check, rest)) = digits.split_last() else { return false };
    let sum: u32 = rest.iter().zip((2..=10).rev()).map(|(digit, weight): (_, u32)| u32::from(*digit) * weight).sum();
    let expected = (11 - sum % 11) % 11;
    expected == u32::from(*check) && rest.iter().any(|digit| digit != check)
}

/// Whose first digit stands at `at`: `DDMMYY-SSSS`; without the hyphen only where it is called by its name.
pub(super) fn cpr(window: &[u8], groups: &Groups, at: usize, plain: &mut Plain) -> Option<Value> {
    let (digits, end) = groups.first(10)?;
    let [d1, d2, m1, m2, y1, y2, s1, rest @ ..] = digits else { return None };
    let (day, month) = (d1 * 10 + d2, m1 * 10 + m2);
    let short = (y1 * 10 + y2) as u16;
    // The first digit of the serial number tells the century.
    let year = match (s1, short) {
        (0..=3, _) | (4 | 9, 37..) => 1900 + short,
        (4 | 9, _) | (5..=8, ..=57) => 2000 + short,
        _ => 1800 + short,
    };
    let serial = *s1 > 0 || rest.iter().any(|digit| *digit > 0);
    if !serial || day == 0 || day > days(month, year) || window.get(end).is_some_and(|byte| matches!(byte, b'-')) {
        return None;
    }
    let called = || has_before(window, at, 48, &[b"cpr", b"personnummer"]);
    let before = at.checked_sub(1).and_then(|at| window.get(at));
    let joined = groups.shaped(&[6, 4], b"-") && before != Some(&b'-');
    let named = groups.shaped(&[10], b"") && called();
    if !(joined || named) {
        return None;
    }
    plain.digits(digits);
    Some(Value { kind: Kind::Cpr, start: at, end })
}

fn days(month: u8, year: u16) -> u8 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 0,
    }
}
