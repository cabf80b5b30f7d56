//! Moments as logs write them, to nanoseconds since 1970 and back.
//!
//! It never asks what time it is, nor where: a text without a zone is UTC.

use portcullis_types::Date;

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// No log is older than 1970 or younger than 2100.
const LATEST: i64 = 4_102_444_800;
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// `17/May/2015:10:05:03 +0000`, as Apache and nginx write it.
pub(crate) fn common(text: &[u8]) -> Option<u64> {
    let mut rest = text;
    let day = digits(&mut rest, 2)?;
    expect(&mut rest, b"/")?;
    let (name, after) = rest.split_at_checked(3)?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    rest = after;
    expect(&mut rest, b"/")?;
    let year = digits(&mut rest, 4)?;
    expect(&mut rest, b":")?;
    let seconds = clock(&mut rest)?;
    let fraction = fraction(&mut rest);
    let _ = expect(&mut rest, b" ");
    let offset = if rest.is_empty() { 0 } else { zone(&mut rest)? };
    let days = days(year, i64::try_from(month).ok()? + 1, day)?;
    rest.is_empty().then(|| moment(days * 86_400 + seconds - offset, fraction))?
}

/// `2026-11-22T02:00:03.25+01:00` (RFC 3339); a space may stand for the `T`, and no zone is UTC.
#[must_use]
pub fn rfc3339(text: &[u8]) -> Option<u64> {
    let mut rest = text;
    let year = digits(&mut rest, 4)?;
    expect(&mut rest, b"-")?;
    let month = digits(&mut rest, 2)?;
    expect(&mut rest, b"-")?;
    let day = digits(&mut rest, 2)?;
    expect(&mut rest, b"T").or_else(|| expect(&mut rest, b"t")).or_else(|| expect(&mut rest, b" "))?;
    let seconds = clock(&mut rest)?;
    let fraction = fraction(&mut rest);
    let offset = match rest {
        b"" | b"Z" | b"z" => 0,
        _ => {
            let offset = zone(&mut rest)?;
            rest.is_empty().then_some(offset)?
        }
    };
    moment(days(year, month, day)? * 86_400 + seconds - offset, fraction)
}

/// A number since 1970: seconds, perhaps with a fraction, or milli-, micro- or nanoseconds, told apart by size.
pub(crate) fn number(value: f64) -> Option<u64> {
    let seconds = match value {
        value if value < 1e11 => value,
        value if value < 1e14 => value / 1e3,
        value if value < 1e17 => value / 1e6,
        value => value / 1e9,
    };
    let sound = seconds.is_finite() && seconds >= 0.0 && seconds < LATEST as f64;
    // A double holds such a moment to less than a microsecond.
    sound.then(|| (seconds * 1e6).round() as u64 * 1_000)
}

/// `2026-11-22T02:00:03Z`, with milliseconds where there are any.
#[must_use]
pub fn show(nanos: u64) -> String {
    let (seconds, millis) = (nanos / SECOND, nanos % SECOND / 1_000_000);
    let (date, second) = (Date::of_millis(nanos / 1_000_000), seconds % 86_400);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}") };
    format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

fn moment(seconds: i64, fraction: u64) -> Option<u64> {
    let seconds = u64::try_from(seconds).ok().filter(|_| seconds < LATEST)?;
    Some(seconds * SECOND + fraction)
}

fn expect(rest: &mut &[u8], what: &[u8]) -> Option<()> {
    *rest = rest.strip_prefix(what)?;
    Some(())
}

fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (number, after) = rest.split_at_checked(count)?;
    *rest = after;
    number.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// `10:05:03` as seconds of the day; a leap second is the one before it.
fn clock(rest: &mut &[u8]) -> Option<i64> {
    let hour = digits(rest, 2).filter(|hour| *hour < 24)?;
    expect(rest, b":")?;
    let minute = digits(rest, 2).filter(|minute| *minute < 60)?;
    expect(rest, b":")?;
    let second = digits(rest, 2).filter(|second| *second <= 60)?;
    Some(hour * 3_600 + minute * 60 + second.min(59))
}

/// `.25` or `,25` as nanoseconds; what is finer is cut off.
fn fraction(rest: &mut &[u8]) -> u64 {
    let Some((b'.' | b',', mut after)) = rest.split_first() else { return 0 };
    let (mut nanos, mut unit) = (0, SECOND / 10);
    while let Some((digit, tail)) = after.split_first().filter(|(digit, _)| digit.is_ascii_digit()) {
        nanos += u64::from(digit - b'0') * unit;
        unit /= 10;
        after = tail;
    }
    *rest = after;
    nanos
}

/// `Z`, `+0200` or `+02:00` as seconds east of Greenwich.
fn zone(rest: &mut &[u8]) -> Option<i64> {
    if expect(rest, b"Z").is_some() {
        return Some(0);
    }
    let (sign, after) = rest.split_first()?;
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *rest = after;
    let hours = digits(rest, 2).filter(|hours| *hours <= 24)?;
    let _ = expect(rest, b":");
    let minutes = digits(rest, 2).filter(|minutes| *minutes < 60)?;
    Some(sign * (hours * 3_600 + minutes * 60))
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years begin in March, so that the day that comes and goes is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_read_as_logs_write_them() {
        let table: &[(Option<u64>, Option<u64>)] = &[
            (common(b"17/May/2015:10:05:03 +0000"), Some(1_431_857_103 * SECOND)),
            (common(b"17/May/2015:12:05:03 +0200"), Some(1_431_857_103 * SECOND)),
            (common(b"17/May/2015:10:05:03.250 +0000"), Some(1_431_857_103 * SECOND + SECOND / 4)),
            (common(b"01/Jan/1970:00:00:00 +0000"), Some(0)),
            (common(b"31/Dec/2016:23:59:60 +0000"), Some(1_483_228_799 * SECOND)),
            (common(b"31/Feb/2015:10:05:03 +0000"), None),
            (common(b"17/Mai/2015:10:05:03 +0000"), None),
            (common(b"17/May/2015:10:05:03 +0000 "), None),
            (common(b"17/May/2015:25:05:03 +0000"), None),
            (common(b"01/Jan/1970:00:00:00 +0100"), None),
            (rfc3339(b"2015-05-17T10:05:03Z"), Some(1_431_857_103 * SECOND)),
            (rfc3339(b"2015-05-17 10:05:03"), Some(1_431_857_103 * SECOND)),
            (rfc3339(b"2015-05-17T08:05:03.5-02:00"), Some(1_431_857_103 * SECOND + SECOND / 2)),
            (rfc3339(b"2000-02-29T00:00:00Z"), Some(951_782_400 * SECOND)),
            (rfc3339(b"1900-02-29T00:00:00Z"), None),
            (rfc3339(b"2015-05-17"), None),
            (number(1_431_857_103.25), Some(1_431_857_103 * SECOND + SECOND / 4)),
            (number(1_431_857_103_250.0), Some(1_431_857_103 * SECOND + SECOND / 4)),
            (number(1_431_857_103_250_000.0), Some(1_431_857_103 * SECOND + SECOND / 4)),
            (number(1_431_857_103_250_000_000.0), Some(1_431_857_103 * SECOND + SECOND / 4)),
            (number(-1.0), None),
            (number(f64::NAN), None),
            (number(f64::INFINITY), None),
        ];
        for (position, (read, expected)) in table.iter().enumerate() {
            assert_eq!(read, expected, "row {position}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(millis in 0..4_102_444_800_000_u64) {
            prop_assert_eq!(rfc3339(show(millis * 1_000_000).as_bytes()), Some(millis * 1_000_000));
        }
    }
}
