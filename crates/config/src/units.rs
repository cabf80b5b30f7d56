//! Quantities as an operator writes them: `"30s"`, `"64KiB"`, `"1KiB/s"`, `"5/s"`, `"10%"`.
//!
//! A bare number is never taken, and nothing is rounded.

/// What a quantity measures, which decides its units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// Nanoseconds inside.
    Duration,
    /// Bytes inside.
    Size,
    /// Bytes a second inside.
    Throughput,
    /// Requests over a number of seconds.
    Rate,
    /// A share of a hundred.
    Percent,
}

/// Why a text is no quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// A number alone.
    NoUnit(u64),
    /// A number and something that is no unit of this dimension.
    Unit(u64, String),
    /// Not a whole number that fits.
    Number,
}

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;
const KIB: u64 = 1024;

impl Dimension {
    /// The units with their weight: ascending, those that are preferred for writing first among equals.
    #[must_use]
    pub const fn units(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Duration => &[("ms", MS), ("s", S), ("m", 60 * S), ("h", 3600 * S)],
            Self::Size => &[
                ("B", 1),
                ("kB", 1000),
                ("KiB", KIB),
                ("MB", 1_000_000),
                ("MiB", KIB * KIB),
                ("GB", 1_000_000_000),
                ("GiB", KIB * KIB * KIB),
            ],
            Self::Throughput => &[
                ("B/s", 1),
                ("kB/s", 1000),
                ("KiB/s", KIB),
                ("MB/s", 1_000_000),
                ("MiB/s", KIB * KIB),
                ("GB/s", 1_000_000_000),
                ("GiB/s", KIB * KIB * KIB),
            ],
            Self::Rate => &[("/s", 1), ("/min", 60), ("/h", 3600)],
            Self::Percent => &[("%", 1)],
        }
    }

    /// The dimension in words, for messages and the reference.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Size => "size",
            Self::Throughput => "throughput",
            Self::Rate => "rate",
            Self::Percent => "percentage",
        }
    }

    /// The unit that a bare number most likely lacks.
    #[must_use]
    pub const fn usual(self) -> &'static str {
        match self {
            Self::Duration => "s",
            Self::Size => "B",
            Self::Throughput => "B/s",
            Self::Rate => "/s",
            Self::Percent => "%",
        }
    }

    /// Splits a quantity into its number and the weight of its unit.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn split(self, text: &str) -> Result<(u64, u64), Wrong> {
        let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let number: u64 = digits.parse().map_err(|_| Wrong::Number)?;
        match unit {
            "" => Err(Wrong::NoUnit(number)),
            _ if unit.starts_with(['.', ',', '_']) => Err(Wrong::Number),
            _ => self
                .units()
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, weight)| (number, *weight))
                .ok_or_else(|| Wrong::Unit(number, unit.trim().to_owned())),
        }
    }

    /// Number times unit; not for rates, which divide.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn parse(self, text: &str) -> Result<u64, Wrong> {
        let (number, weight) = self.split(text)?;
        number.checked_mul(weight).ok_or(Wrong::Number)
    }

    /// The shortest way to write `value`, exact for whatever [`Dimension::parse`] can give.
    #[must_use]
    pub fn print(self, value: u64) -> String {
        let binary = |unit: &str| unit == "B" || unit == "B/s" || unit.contains('i');
        let sized = matches!(self, Self::Size | Self::Throughput);
        let fits = |(unit, weight): &&(&str, u64)| value.is_multiple_of(*weight) && (!sized || binary(unit));
        let exact = self.units().iter().rev().find(fits).filter(|_| value > 0);
        match exact {
            Some((unit, weight)) => format!("{}{unit}", value / weight),
            None if value == 0 => format!("0{}", self.usual()),
            // Finer than the finest unit: only code can set that, never a configuration.
            None => {
                let (unit, weight) = self.units().first().copied().unwrap_or(("", 1));
                format!("{}{unit}", value / weight)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_are_read_as_written() {
        let table = [
            (Dimension::Duration, "250ms", Ok(250 * MS)),
            (Dimension::Duration, "5m", Ok(300 * S)),
            (Dimension::Duration, "30", Err(Wrong::NoUnit(30))),
            (Dimension::Duration, "30ns", Err(Wrong::Unit(30, "ns".into()))),
            (Dimension::Duration, "1.5s", Err(Wrong::Number)),
            (Dimension::Duration, "-1s", Err(Wrong::Number)),
            (Dimension::Duration, "99999999999999999999s", Err(Wrong::Number)),
            (Dimension::Duration, "9999999999999h", Err(Wrong::Number)),
            (Dimension::Size, "64KiB", Ok(65_536)),
            (Dimension::Size, "1MB", Ok(1_000_000)),
            (Dimension::Size, "64kb", Err(Wrong::Unit(64, "kb".into()))),
            (Dimension::Throughput, "1KiB/s", Ok(1024)),
            (Dimension::Throughput, "1KiB", Err(Wrong::Unit(1, "KiB".into()))),
            (Dimension::Percent, "10%", Ok(10)),
            (Dimension::Percent, "", Err(Wrong::Number)),
        ];
        for (dimension, text, expected) in table {
            assert_eq!(dimension.parse(text), expected, "{text}");
        }
        assert_eq!(Dimension::Rate.split("300/min"), Ok((300, 60)));
    }

    proptest! {
        #[test]
        fn quantities_round_trip(number in 0..1_000_000_u64, pick in 0..64_usize) {
            for dimension in [Dimension::Duration, Dimension::Size, Dimension::Throughput, Dimension::Percent] {
                let (unit, weight) = dimension.units()[pick % dimension.units().len()];
                let value = dimension.parse(&format!("{number}{unit}"));
                prop_assert_eq!(&value, &Ok(number * weight));
                prop_assert_eq!(dimension.parse(&dimension.print(number * weight)), value);
            }
        }

        #[test]
        fn no_text_makes_a_quantity_panic(text in ".*") {
            let _ = Dimension::Size.parse(&text);
        }
    }
}
