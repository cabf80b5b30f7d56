//! Days as people count them.

use std::fmt;

/// A day of the Gregorian calendar, in UTC; prints as `2026-11-22`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// The year; negative before the year 0.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Date {
    /// The day so many days after 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms"); correct for
    /// whatever number of seconds fits 64 bits.
    #[must_use]
    pub const fn of_days(days: i64) -> Self {
        // Years begin in March here, so that the day that comes and goes is the last one; an era has 400 of them.
        let shifted = days.saturating_add(719_468);
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let (month, later) = if from_march < 10 { (from_march + 3, 0) } else { (from_march - 9, 1) };
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        Self { year: era * 400 + year_of_era + later, month: month as u8, day: day as u8 }
    }

    /// The day that holds that second since 1970.
    #[must_use]
    pub const fn of_seconds(seconds: i64) -> Self {
        Self::of_days(seconds.div_euclid(86_400))
    }

    /// The day that holds that millisecond since 1970.
    #[must_use]
    pub const fn of_millis(millis: u64) -> Self {
        Self::of_days((millis / 86_400_000) as i64)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_what_the_calendar_says() {
        let table = [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (1_573_564_800, "2019-11-12"),
            (1_735_689_599, "2024-12-31"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
            (-62_135_596_800, "0001-01-01"),
        ];
        for (seconds, expected) in table {
            assert_eq!(Date::of_seconds(seconds).to_string(), expected);
        }
        assert_eq!(Date::of_millis(951_782_400_999).to_string(), "2000-02-29");
        assert!(Date::of_seconds(i64::MIN) < Date::of_seconds(i64::MAX), "no overflow");
        assert!(Date::of_days(i64::MIN) < Date::of_days(i64::MAX), "no overflow");
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut before = Date::of_days(-1);
        for days in 0..146_097 {
            let date = Date::of_days(days);
            assert!(before < date && (date.day == before.day + 1 || date.day == 1), "{before} {date}");
            before = date;
        }
        assert_eq!(before.to_string(), "2369-12-31", "an era of the calendar later");
    }
}
