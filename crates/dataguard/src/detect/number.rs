//! Numbers: which detector is asked of digits that stand somewhere, by how many they are and what stands around them.

use super::{AHEAD, Kinds, Plain, Value, bank, health, is_word, marks, telephone, text};
use crate::detect::Kind;

/// A place where digits begin.
pub(super) struct Look<'a> {
    pub(super) window: &'a [u8],
    pub(super) at: usize,
    pub(super) kinds: Kinds,
    /// A column above has said that these are NHS numbers.
    pub(super) tabled: bool,
}

/// Groups of digits with one separator between them.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// All digits, as numbers.
    digits: [u8; Self::DIGITS],
    /// For each group: the digits up to its end, how far behind `at` that is, and what stands there.
    ends: [(u8, u8, u8); Self::MOST],
    groups: usize,
    at: usize,
}

impl Groups {
    /// What a shape counts; more follow only behind something longer than any number of a person's.
    const DIGITS: usize = 24;
    const MOST: usize = 8;

    /// Those that begin at `at` with a group of `run` digits, if any detector asks for some of their lengths.
    fn read(window: &[u8], at: usize, run: usize) -> Option<Self> {
        let mut groups = Self { at, ..Self::default() };
        let (mut place, mut run, mut count) = (at, run, 0);
        while count + run <= Self::DIGITS {
            place += run;
            count += run;
            let behind = window.get(place).copied().unwrap_or(0);
            let end = groups.ends.get_mut(groups.groups)?;
            *end = (u8::try_from(count).unwrap_or(u8::MAX), u8::try_from(place - at).unwrap_or(u8::MAX), behind);
            groups.groups += 1;
            let next = |on: usize| window.get(place + on).copied().unwrap_or(0);
            place += match behind {
                _ if groups.groups == Self::MOST => break,
                b' ' | b'-' | b'.' | b'/' | b')' if next(1).is_ascii_digit() => 1,
                b')' if next(1) == b' ' && next(2).is_ascii_digit() => 2,
                b' ' if next(1) == b'(' && next(2).is_ascii_digit() => 2,
                _ => break,
            };
            run = marks::run(window, place, Self::DIGITS);
        }
        let of_lengths = groups.ends.iter().take(groups.groups).any(|(count, ..)| matches!(count, 10..=19));
        if !of_lengths && !groups.shaped(&[2, 2, 2], b"- ") {
            return None;
        }
        let mut from = 0;
        for (to, stands, _) in groups.ends.iter().take(groups.groups) {
            let (to, stands) = (usize::from(*to), at + usize::from(*stands));
            let source = window.get(stands - (to - from)..stands)?;
            let digits = groups.digits.get_mut(from..to)?;
            digits.iter_mut().zip(source).for_each(|(digit, byte)| *digit = byte - b'0');
            from = to;
        }
        Some(groups)
    }

    /// The first `count` digits, where a group ends after them; and where that is.
    pub(super) fn first(&self, count: usize) -> Option<(&[u8], usize)> {
        let ends = self.ends.get(..self.groups)?;
        let (_, end, _) = ends.iter().find(|(digits, ..)| usize::from(*digits) == count)?;
        Some((self.digits.get(..count)?, self.at + usize::from(*end)))
    }

    /// Whether the first groups have these lengths, and one of these between them.
    pub(super) fn shaped(&self, lengths: &[u8], separators: &[u8]) -> bool {
        let mut before = 0;
        self.groups >= lengths.len()
            && lengths.iter().zip(&self.ends).enumerate().all(|(at, (length, (digits, _, behind)))| {
                let fits = *digits - before == *length;
                before = *digits;
                fits && (at + 1 == lengths.len() || separators.contains(behind))
            })
    }

    /// Whether the first `count` digits are written as people write one number: in groups of two and more behind a first one of
    /// `first` and more, with dots or slashes between all of them or none. Coordinates and measures are not.
    pub(super) fn is_one_number(&self, count: usize, first: usize) -> bool {
        let mut before = 0;
        let mut separators = [false; 2];
        for (to, _, behind) in self.ends.iter().take(self.groups) {
            let to = usize::from(*to);
            if to - before < if before == 0 { first } else { 2 } {
                return false;
            }
            if to >= count {
                break;
            }
            separators[usize::from(matches!(behind, b'.' | b'/'))] = true;
            before = to;
        }
        separators != [true; 2]
    }

    /// The first digit, as a number.
    pub(super) const fn first_digit(&self) -> u8 {
        self.digits[0]
    }

    /// Digits of the first group.
    pub(super) fn first_group(&self) -> usize {
        usize::from(self.ends[0].0)
    }
}

impl Look<'_> {
    /// What begins or hangs there.
    #[inline]
    pub(super) fn value(&self, plain: &mut Plain) -> Option<Value> {
        let run = marks::run(self.window, self.at, AHEAD / 2);
        if self.before(1).is_ascii_alphabetic() {
            return self.behind_letters(run, plain);
        }
        let behind = self.window.get(self.at + run).copied().unwrap_or(0);
        let next =
            || self.window.get(self.at + run + 1).is_some_and(|next| next.is_ascii_digit() || b"( ".contains(next));
        // Most numbers are a few digits by themselves, and nobody's.
        let goes_on = run >= 8 || (matches!(behind, b' ' | b'-' | b'.' | b')' | b'/') && next());
        if !goes_on && run != 6 {
            return None;
        }
        // A word's or an identifier's digits are no number of anybody's either.
        if behind.is_ascii_alphabetic() || behind == b'_' || self.is_inside() {
            return None;
        }
        if goes_on { self.by_itself(run, plain) } else { self.bare(plain) }
    }

    /// So far before the digits.
    fn before(&self, back: usize) -> u8 {
        self.at.checked_sub(back).and_then(|at| self.window.get(at)).copied().unwrap_or(0)
    }

    /// Letters stand right before the digits, of which there are `run`.
    fn behind_letters(&self, run: usize, plain: &mut Plain) -> Option<Value> {
        let letters = if self.before(2).is_ascii_alphabetic() { 2 } else { 1 };
        if is_word(Some(&self.before(letters + 1))) {
            return None;
        }
        if letters == 2 {
            if run >= 2
                && let Some(iban) = bank::iban(self.window, self.at, plain)
            {
                return Some(iban);
            }
            plain.clear();
            if (run == 2 || run == 6)
                && let Some(nino) = text::nino(self.window, self.at, plain)
            {
                return Some(nino);
            }
            plain.clear();
        }
        if run <= 3 { text::postcode(self.window, self.at, letters, plain) } else { None }
    }

    /// Six digits could be a sort code.
    fn bare(&self, plain: &mut Plain) -> Option<Value> {
        if self.kinds.has(Kind::BankAccount) { bank::account(self.window, self.at, 6, plain) } else { None }
    }

    /// What stands before the digits is no letter, and more digits follow.
    fn by_itself(&self, run: usize, plain: &mut Plain) -> Option<Value> {
        if run == 2
            && let Some(nino) = text::spaced_nino(self.window, self.at, plain)
        {
            return Some(nino);
        }
        plain.clear();
        let groups = Groups::read(self.window, self.at, run)?;
        bank::card(&groups, self.at, plain)
            .or_else(|| telephone::phone(self.window, &groups, self.at, plain))
            .or_else(|| health::nhs(self.window, &groups, self.at, self.tabled, plain))
            .or_else(|| health::cpr(self.window, &groups, self.at, plain))
            .or_else(|| bank::sort_code(self.window, &groups, self.at, plain))
    }

    /// Whether the digits go on from others, as a decimal or the parts of an address of the Internet do.
    fn is_inside(&self) -> bool {
        let before = self.before(1);
        (matches!(before, b'.' | b',') && self.before(2).is_ascii_digit())
            || matches!(before, b'_' | b'#' | b'%' | b'&')
    }
}
