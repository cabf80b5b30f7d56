//! Times as an operator types them: `2026-05-17T20:00:00Z`, `20:00` today, `+2h`.
//!
//! Nothing here asks the clock; whoever resolves a moment says what time it is. All of it is UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use portcullis_incident::speak;
use portcullis_simulator::replay::rfc3339;

use crate::args::duration;

const DAY: u64 = 86_400_000;

/// A time that was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Milliseconds since 1970.
    At(u64),
    /// Milliseconds since midnight, UTC.
    Clock(u64),
    /// So long after something.
    After(Duration),
}

impl Moment {
    /// Reads what was typed.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(after) = text.strip_prefix('+') {
            return duration(after).map(Self::After);
        }
        if let Some((hour, minute)) = text.split_once(':').filter(|_| text.len() <= 5) {
            let part = |text: &str, below: u64| text.parse().ok().filter(|number: &u64| *number < below);
            if let (Some(hour), Some(minute), 2) = (part(hour, 24), part(minute, 60), minute.len()) {
                return Ok(Self::Clock((hour * 60 + minute) * 60_000));
            }
        }
        let read = rfc3339(text.as_bytes()).map(|nanos| Self::At(nanos / 1_000_000));
        read.ok_or_else(|| "expected `2026-05-17T20:00:00Z`, `20:00` (today, UTC) or `+2h`".to_owned())
    }

    /// The time itself, in milliseconds since 1970; `+2h` counts from `now`.
    pub(crate) fn resolve(self, now: u64) -> u64 {
        match self {
            Self::At(at) => at,
            Self::Clock(clock) => now / DAY * DAY + clock,
            Self::After(after) => now.saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// The same of what has begun: `2h` is so long ago.
    pub(crate) fn resolve_back(self, now: u64) -> u64 {
        match self {
            Self::After(before) => now.saturating_sub(u64::try_from(before.as_millis()).unwrap_or(u64::MAX)),
            other => other.resolve(now),
        }
    }

    /// The end of what begins at `from`: `+2h` counts from there, and a time of day that has passed by then is the next day's.
    pub(crate) fn resolve_end(self, from: u64) -> u64 {
        let end = self.resolve(from);
        if matches!(self, Self::Clock(_)) && end <= from { end + DAY } else { end }
    }
}

/// Milliseconds since 1970, now.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-05-17T20:00:00Z.
    const EVENING: u64 = 1_779_048_000_000;

    #[test]
    fn times_have_three_spellings() {
        let hour = 3_600_000;
        let table = [
            ("2026-05-17T20:00:00Z", EVENING, EVENING),
            ("2026-05-17T22:00:00+02:00", EVENING, EVENING),
            ("2026-05-17 20:00:00", EVENING, EVENING),
            ("+2h", EVENING + 2 * hour, EVENING + 2 * hour),
            ("+30m", EVENING + hour / 2, EVENING + hour / 2),
            ("22:30", EVENING + 5 * hour / 2, EVENING + 5 * hour / 2),
            ("1:00", EVENING - 19 * hour, EVENING + 5 * hour),
            ("20:00", EVENING, EVENING + 24 * hour),
        ];
        for (text, from, until) in table {
            let moment = Moment::parse(text).expect(text);
            assert_eq!((moment.resolve(EVENING), moment.resolve_end(EVENING)), (from, until), "{text}");
        }
        for text in ["", "8pm", "24:00", "20:60", "20:0", "+", "+2", "tomorrow", "2026-05-17"] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
        assert_eq!(speak(EVENING + 250), "2026-05-17 20:00:00 UTC");
        assert!(speak(1 << 63).ends_with(" UTC"), "whoever asks may name any number");
    }
}
