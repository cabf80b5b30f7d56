//! How far the constants of a statement reach: the part of its shape that can be compared.
//!
//! A statement that was seen to ask for 20 rows may ask for 5, and not for two million. Every measure here is a band in which
//! more is worse, so that what was learned covers everything below it.

use serde::{Deserialize, Serialize};

/// Bands of one statement, each under the name of what it measures: `rows`, `list id`, `pattern email`, `above id`, `below id`,
/// `between id`, `span joined`. Sorted by name, one band a name, the greatest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reach(Vec<(Box<str>, u8)>);

/// How the value of a parameter reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Use {
    /// It says how many rows are wanted.
    Rows,
    /// It is a pattern.
    Pattern,
    /// It is an array of wanted values.
    Items,
    /// What is greater than it is wanted.
    Above,
    /// What is less than it is wanted.
    Below,
}

/// All rows: `LIMIT ALL`, `FETCH ALL`, or a number that only the server can compute.
pub const ALL_ROWS: u8 = 9;
/// A comparison that leaves nothing out.
pub const OPEN: u8 = 30;
/// A pattern that anything fits.
pub const ANYTHING: u8 = 3;

impl Reach {
    /// Raises a measure to a band, where it is not higher already. Band 0 is nothing to tell.
    pub fn raise(&mut self, measure: &str, band: u8) {
        if band == 0 {
            return;
        }
        match self.0.binary_search_by(|(name, _)| (**name).cmp(measure)) {
            Ok(at) => {
                if let Some((_, own)) = self.0.get_mut(at) {
                    *own = band.max(*own);
                }
            }
            Err(at) => self.0.insert(at, (measure.into(), band)),
        }
    }

    /// The band of a measure; 0 where nothing was measured.
    #[must_use]
    pub fn band(&self, measure: &str) -> u8 {
        let found = self.0.binary_search_by(|(name, _)| (**name).cmp(measure)).ok();
        found.and_then(|at| self.0.get(at)).map_or(0, |(_, band)| *band)
    }

    /// Every measure with its band.
    pub fn measures(&self) -> impl Iterator<Item = (&str, u8)> {
        self.0.iter().map(|(name, band)| (&**name, *band))
    }

    /// Takes over whatever is higher in the other, and says whether anything was.
    pub fn widen(&mut self, other: &Self) -> bool {
        let wider = !self.covers(other);
        if wider {
            other.measures().for_each(|(name, band)| self.raise(name, band));
        }
        wider
    }

    /// Whether nothing in `other` goes beyond this.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.measures().all(|(name, band)| band <= self.band(name))
    }

    /// In words, what of `other` goes beyond this; empty where nothing does.
    #[must_use]
    pub fn excess(&self, other: &Self) -> String {
        let beyond = other.measures().filter(|(name, band)| *band > self.band(name));
        let said = beyond.map(|(name, reached)| {
            format!("`{name}` {} instead of {}", band(name, reached), band(name, self.band(name)))
        });
        said.collect::<Vec<_>>().join(", ")
    }

    /// Whether the measures stand in order and each tells something, as in every [`Reach`] that was built here.
    #[must_use]
    pub(crate) fn is_proper(&self) -> bool {
        let sorted = self.0.windows(2).all(|pair| matches!(pair, [(one, _), (two, _)] if one < two));
        sorted && self.0.iter().all(|(_, band)| *band > 0)
    }
}

impl Use {
    /// The band of a value. `None` is NULL, which asks for nothing but in `LIMIT NULL`, which is no limit.
    #[must_use]
    pub fn band(self, value: Option<&str>) -> u8 {
        match (self, value) {
            (Self::Rows, None) => ALL_ROWS,
            (Self::Rows, Some(text)) => text.trim().parse().map_or(ALL_ROWS, rows),
            (Self::Pattern, Some(text)) => pattern(text),
            (Self::Items, Some(text)) => items(array_items(text)),
            (Self::Above, Some(text)) => above(text),
            (Self::Below, Some(text)) => below(text),
            (_, None) => 0,
        }
    }
}

/// A band in words.
#[must_use]
pub fn band(measure: &str, band: u8) -> String {
    let kind = measure.split(' ').next().unwrap_or_default();
    match (kind, band) {
        (_, 0) => "none".to_owned(),
        ("rows", ALL_ROWS..) => "all".to_owned(),
        ("pattern", 1) => "with a word".to_owned(),
        ("pattern", 2) => "with a letter or two".to_owned(),
        ("pattern", _) => "that anything fits".to_owned(),
        (_, OPEN..) => "without bound".to_owned(),
        ("above" | "below", _) => "with a bound".to_owned(),
        ("span", 29..) => "of unknown length".to_owned(),
        ("span", band) => format!("to 1e{} days", band - 1),
        ("between", band) => format!("to 1e{}", band.saturating_sub(2)),
        (_, band) => format!("to 1e{}", band - 1),
    }
}

/// The band of a number of rows: 1 is at most one, 2 at most ten, and so on.
#[must_use]
pub fn rows(count: i64) -> u8 {
    let decade = decade(count.unsigned_abs());
    if count < 0 { ALL_ROWS } else { (decade + 1).min(ALL_ROWS - 1) }
}

/// The band of a number of items. One is no list: `= 1` and `IN (1)` ask for the same.
#[must_use]
pub fn items(count: usize) -> u8 {
    if count <= 1 { 0 } else { decade(count as u64) + 1 }
}

/// The band of a pattern: 0 has no wildcard, 1 at least three other characters, 2 one or two, 3 none.
#[must_use]
pub fn pattern(text: &str) -> u8 {
    let wild = |c: char| {
        matches!(c, '%' | '_' | '*' | '.' | '+' | '?' | '^' | '$' | '[' | ']' | '(' | ')' | '|' | '{' | '}' | '\\')
    };
    let other = text.chars().filter(|c| !wild(*c) && !c.is_whitespace()).take(3).count();
    match other {
        0 => ANYTHING,
        _ if !text.contains(wild) => 0,
        1 | 2 => 2,
        _ => 1,
    }
}

/// The band of `column > constant`: whether the constant leaves anything out.
#[must_use]
pub fn above(text: &str) -> u8 {
    let text = text.trim();
    let open = match text.parse::<f64>() {
        Ok(number) => number <= 1.0,
        Err(_) => match year(text) {
            Some(year) => year <= 1971,
            None => {
                text.chars().count() <= 1 || text.eq_ignore_ascii_case("-infinity") || text.starts_with("00000000-")
            }
        },
    };
    if open { OPEN } else { 1 }
}

/// The band of `column < constant`, likewise.
#[must_use]
pub fn below(text: &str) -> u8 {
    let text = text.trim();
    let open = match text.parse::<f64>() {
        Ok(number) => number >= 1e9,
        Err(_) => match year(text) {
            Some(year) => year >= 2100,
            None => {
                let last = |c: char| matches!(c, 'z' | 'Z' | 'f' | 'F' | '-') || c > 'z';
                text.chars().all(last) || text.eq_ignore_ascii_case("infinity")
            }
        },
    };
    if open { OPEN } else { 1 }
}

/// The band of `column BETWEEN low AND high`: the width where it can be told.
#[must_use]
pub fn between(low: &str, high: &str) -> u8 {
    if let (Ok(low), Ok(high)) = (low.trim().parse::<f64>(), high.trim().parse::<f64>()) {
        let mut width = high - low;
        let mut band = 1;
        while width > 1.0 && band < OPEN - 1 {
            (width, band) = (width / 10.0, band + 1);
        }
        // Not a number at all is no width that could be told.
        return if width.is_nan() { OPEN } else { band + 1 };
    }
    if above(low) == OPEN && below(high) == OPEN {
        return OPEN;
    }
    match (year(low.trim()), year(high.trim())) {
        (Some(low), Some(high)) => decade(high.abs_diff(low).into()) + 2,
        _ => 1,
    }
}

/// The band of an interval (`30 days`, `1 year 6 mons`) or of a number of days: by the length, in tens of days. What cannot be read is
/// beyond all that can.
#[must_use]
pub fn span(text: &str) -> u8 {
    let lower = text.trim().trim_start_matches('-').to_ascii_lowercase();
    let mut days = 0.0_f64;
    let mut words = lower.split_ascii_whitespace();
    while let Some(word) = words.next() {
        // `30days` as well as `30 days`.
        let digits = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let (number, rest) = word.split_at(digits);
        let Ok(number) = number.parse::<f64>() else { return OPEN - 1 };
        let unit = if rest.is_empty() { words.next().unwrap_or("days") } else { rest };
        let unit = match unit.trim_end_matches('s') {
            "second" | "sec" | "" | "minute" | "min" | "hour" | "hr" | "h" => 1.0 / 24.0,
            "day" | "d" => 1.0,
            "week" | "w" => 7.0,
            "month" | "mon" => 30.0,
            "year" | "yr" | "y" => 365.0,
            _ => return OPEN - 1,
        };
        days += number * unit;
    }
    let mut band = 1;
    while days > 1.0 && band < OPEN - 2 {
        (days, band) = (days / 10.0, band + 1);
    }
    band
}

/// Items of an array in text form (`{1,2,3}`); at least one.
fn array_items(text: &str) -> usize {
    1 + text.bytes().filter(|byte| *byte == b',').count()
}

/// How often ten must be multiplied by itself to reach the number: 0 for 0 and 1, 1 up to ten.
fn decade(number: u64) -> u8 {
    let mut bound = 1_u64;
    let mut band = 0;
    while bound < number {
        bound = bound.saturating_mul(10);
        band += 1;
    }
    band
}

/// The year of a date or timestamp in ISO form.
fn year(text: &str) -> Option<u32> {
    let digits = text.split('-').next().filter(|part| part.len() >= 4 && part.len() < text.len())?;
    let rest = text.get(digits.len()..)?.as_bytes();
    let is_date = matches!(rest, [b'-', month, _, ..] if month.is_ascii_digit());
    is_date.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_worse() {
        assert!(rows(1) < rows(20) && rows(20) < rows(2_000_000) && rows(2_000_000) < ALL_ROWS);
        assert_eq!(rows(20), rows(50), "a page is a page");
        assert_eq!(rows(i64::MAX), ALL_ROWS - 1);
        assert_eq!(rows(-1), ALL_ROWS);
        assert_eq!((items(0), items(1)), (0, 0));
        assert!(items(1) < items(3) && items(3) == items(10) && items(10) < items(11));
    }

    #[test]
    fn patterns_without_letters_fit_anything() {
        let table =
            [("%", 3), ("", 3), ("_%", 3), (".*", 3), ("a%", 2), ("%ab%", 2), ("smith%", 1), ("smith", 0), (" % ", 3)];
        for (text, expected) in table {
            assert_eq!(pattern(text), expected, "{text}");
        }
    }

    #[test]
    fn bounds_that_leave_nothing_out_are_open() {
        let open_above = ["0", "-1", "1", "", "a", "1970-01-01", "-infinity", "00000000-0000-0000-0000-000000000000"];
        assert!(open_above.iter().all(|text| above(text) == OPEN));
        assert!(["5", "1000.5", "2024-05-01", "smith", "2024-05-01 10:00:00+00"].iter().all(|text| above(text) == 1));
        let open_below =
            ["2147483647", "1e12", "9999-12-31", "infinity", "zzzz", "~", "ffffffff-ffff-ffff-ffff-ffffffffffff"];
        assert!(open_below.iter().all(|text| below(text) == OPEN), "{:?}", open_below.map(below));
        assert!(["5", "2024-05-01", "smith"].iter().all(|text| below(text) == 1));
        assert!(between("1", "10") < between("1", "1000000"));
        assert_eq!(between("1", "10"), between("501", "510"));
        assert_eq!(between("a", "zz"), OPEN);
        assert!(between("2024-01-01", "2024-02-01") < between("1990-01-01", "2024-02-01"));
    }

    #[test]
    fn longer_spans_are_worse_and_unknown_ones_the_worst() {
        assert!(span("1 day") < span("7 days") && span("7 days") < span("30 days"));
        assert_eq!((span("30 days"), span("90 days")), (span("1 month"), span("3 mons")));
        assert!(span("90 days") < span("10 years") && span("10 years") < span("1000 years"));
        assert!(span("1000000 years") < span("P1Y") && span("24:00:00") == span("x"));
        assert_eq!(span("-30 days"), span("30 days"));
        assert_eq!(span("12 hours"), 1);
    }

    #[test]
    fn what_was_learned_covers_what_is_less() {
        let reach = |pairs: &[(&str, u8)]| {
            let mut reach = Reach::default();
            pairs.iter().for_each(|(name, band)| reach.raise(name, *band));
            reach
        };
        let mut learned = reach(&[("rows", rows(20)), ("list id", items(10)), ("above price", OPEN)]);
        assert!(learned.covers(&reach(&[("rows", rows(5))])));
        assert!(!learned.covers(&reach(&[("rows", rows(200))])));
        assert!(!learned.covers(&reach(&[("above id", OPEN)])), "one column's bound says nothing of another's");
        let more = reach(&[("rows", ALL_ROWS), ("pattern email", ANYTHING)]);
        assert_eq!(
            learned.excess(&more),
            "`pattern email` that anything fits instead of none, `rows` all instead of to 1e2"
        );
        assert!(learned.widen(&more) && !learned.widen(&more));
        assert_eq!(learned.excess(&more), "");
        assert!(learned.is_proper() && learned.measures().count() == 4);
    }

    #[test]
    fn parameters_reach_as_constants_do() {
        assert_eq!(Use::Rows.band(Some("2000000")), rows(2_000_000));
        assert_eq!(Use::Rows.band(None), ALL_ROWS);
        assert_eq!(Use::Pattern.band(Some("%")), ANYTHING);
        assert_eq!(Use::Items.band(Some("{1,2,3}")), items(3));
        assert_eq!(Use::Above.band(Some("0")), OPEN);
        assert_eq!(Use::Below.band(None), 0);
    }
}
