//! Milliseconds since 1970 as people and machines read them, in UTC.
//!
//! Never asks what time it is.

use portcullis_types::Date;

/// A day in milliseconds.
pub(crate) const DAY: u64 = 86_400_000;
/// An hour in milliseconds.
pub(crate) const HOUR: u64 = 3_600_000;
/// A minute in milliseconds.
pub(crate) const MINUTE: u64 = 60_000;

/// `2026-11-22T13:20:05.250Z` (RFC 3339).
#[must_use]
pub fn rfc3339(millis: u64) -> String {
    format!("{}T{}.{:03}Z", Date::of_millis(millis), clock(millis), millis % 1000)
}

/// `2026-11-22 13:20:05 UTC`.
#[must_use]
pub fn speak(millis: u64) -> String {
    format!("{} {} UTC", Date::of_millis(millis), clock(millis))
}

/// `13:20:05`.
#[must_use]
pub(crate) fn clock(millis: u64) -> String {
    let seconds = millis / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `2 d 3 h`, `14 min 5 s`, `250 ms`: its two greatest parts.
#[must_use]
pub(crate) fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    let two = |one: u64, unit: &str, other: u64, less: &str| match other {
        0 => format!("{one} {unit}"),
        other => format!("{one} {unit} {other} {less}"),
    };
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => two(seconds / 60, "min", seconds % 60, "s"),
        HOUR..DAY => two(seconds / 3600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3600 % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_the_calendar_has_them() {
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_573_564_800_250, "2019-11-12T13:20:00.250Z"),
            (1_779_048_000_000, "2026-05-17T20:00:00.000Z"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        ];
        for (millis, text) in table {
            assert_eq!(rfc3339(millis), text);
        }
        assert_eq!(speak(1_573_564_800_250), "2019-11-12 13:20:00 UTC");
    }

    #[test]
    fn spans_have_two_parts_at_most() {
        let table =
            [(250, "250 ms"), (5_999, "5 s"), (65_000, "1 min 5 s"), (2 * HOUR, "2 h"), (DAY + 90 * MINUTE, "1 d 1 h")];
        for (millis, text) in table {
            assert_eq!(span(millis), text);
        }
    }
}
