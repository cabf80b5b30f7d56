//! A time as a name: `20261122-0914`, in UTC.

/// The minute of `unix_millis`.
pub(crate) fn minute(unix_millis: u64) -> String {
    let (days, minutes) = (unix_millis / 86_400_000, unix_millis / 60_000 % 1440);
    // Years begin in March here, so that the day that comes and goes is the last one. Eras have 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}-{:02}{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_are_known() {
        let table = [
            (0, "19700101-0000"),
            (951_782_400_000, "20000229-0000"),
            (1_795_339_199_000, "20261122-0919"),
            (4_107_542_399_000, "21000228-2359"),
        ];
        for (millis, name) in table {
            assert_eq!(minute(millis), name);
        }
    }
}
