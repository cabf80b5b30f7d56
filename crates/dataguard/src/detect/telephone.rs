//! Telephone numbers of the United Kingdom (Ofcom's numbering plan).

use super::number::Groups;
use super::{Kind, Plain, Value};

/// Whose first digit stands at `at`, nationally or behind the country's code.
pub(super) fn phone(window: &[u8], groups: &Groups, at: usize, plain: &mut Plain) -> Option<Value> {
    if !matches!(groups.first_digit(), 0 | 4) {
        return None;
    }
    let before = |back: usize| at.checked_sub(back).and_then(|at| window.get(at)).copied().unwrap_or(0);
    let plus = before(1) == b'+';
    // `+44 (0)20 7946 0018` has thirteen digits, `0044` fourteen or thirteen, `+44` twelve, `020` eleven or ten.
    let forms: [(usize, &[u8], bool); 7] = [
        (11, &[0], false),
        (12, &[4, 4], true),
        (13, &[4, 4, 0], true),
        (14, &[0, 0, 4, 4], false),
        (15, &[0, 0, 4, 4, 0], false),
        (10, &[0], false),
        (11, &[4, 4], true),
    ];
    for (count, prefix, needs_plus) in forms {
        let Some((digits, end)) = groups.first(count) else { continue };
        let Some(national) = digits.strip_prefix(prefix) else { continue };
        if (needs_plus && !plus) || !is_subscriber(national) {
            continue;
        }
        // `+44 (0)20` has groups of its own; what begins with a zero by itself has an area code of three digits at least.
        let (least, whole) = if prefix == [0] { (3, true) } else { (2, !needs_plus) };
        if whole && !groups.is_one_number(count, least) {
            continue;
        }
        // Ten digits in a row without a gap are more often something else.
        if national.len() == 9 && groups.first_group() >= 9 {
            continue;
        }
        let start = if plus || before(1) == b'(' { at - 1 } else { at };
        plain.digits(&[4, 4]);
        plain.digits(national);
        return Some(Value { kind: Kind::Phone, start, end });
    }
    None
}

/// A mobile or geographic number without the leading zero: ten digits, or nine in a few places.
fn is_subscriber(digits: &[u8]) -> bool {
    match (digits, digits.len()) {
        // 070 are personal numbers, 076 pagers except for the Isle of Man's 07624.
        ([7, second, ..], 10) => matches!(second, 1..=5 | 7..=9) || digits.starts_with(&[7, 6, 2, 4]),
        ([2, second, ..], 10) => matches!(second, 0 | 3 | 4 | 8 | 9),
        ([1, second, ..], 10) => *second >= 1 && !digits.iter().skip(1).all(|digit| digit == second),
        ([1, second, ..], 9) => *second >= 2,
        _ => false,
    }
}
