//! Numbers: which detector is asked of digits that stand somewhere, by how many they are and what stands around them.

use super::{Kinds, Value, bank, health, is_word, telephone, text};
use crate::detect::Kind;

/// A place where digits begin.
pub(super) struct Look<'a> {
    pub(super) window: &'a [u8],
    pub(super) at: usize,
    /// Digits there without a gap.
    pub(super) run: usize,
    pub(super) kinds: Kinds,
    /// A column above has said that these are NHS numbers.
    pub(super) tabled: bool,
}

/// Groups of digits with one separator between them.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// All digits, as numbers.
    digits: [u8; Self::DIGITS],
    count: usize,
    /// For each group: the digits up to its end, where it ends in the window, and what stands behind it.
    ends: [(u8, usize, u8); Self::MOST],
    groups: usize,
}

impl Groups {
    const DIGITS: usize = 24;
    const MOST: usize = 8;

    /// Those that begin at `at`.
    fn read(window: &[u8], at: usize) -> Self {
        let mut groups = Self::default();
        let mut place = at;
        loop {
            while let Some(byte) = window.get(place).filter(|byte| byte.is_ascii_digit()) {
                let Some(digit) = groups.digits.get_mut(groups.count) else { return groups };
                *digit = byte - b'0';
                groups.count += 1;
                place += 1;
            }
            let behind = window.get(place).copied().unwrap_or(0);
            let Some(end) = groups.ends.get_mut(groups.groups) else { return groups };
            *end = (u8::try_from(groups.count).unwrap_or(u8::MAX), place, behind);
            groups.groups += 1;
            place += match (behind, window.get(place + 1), window.get(place + 2)) {
                (b' ' | b'-' | b'.' | b'/' | b')', Some(b'0'..=b'9'), _) => 1,
                (b')', Some(b' '), Some(b'0'..=b'9')) | (b' ', Some(b'('), Some(b'0'..=b'9')) => 2,
                _ => return groups,
            };
        }
    }

    /// The first `count` digits, where a group ends after them; and where that is.
    pub(super) fn first(&self, count: usize) -> Option<(&[u8], usize)> {
        let ends = self.ends.get(..self.groups)?;
        let (_, end, _) = ends.iter().find(|(digits, ..)| usize::from(*digits) == count)?;
        Some((self.digits.get(..count)?, *end))
    }

    /// Whether the first groups have these lengths, and this between them.
    pub(super) fn shaped(&self, lengths: &[usize], separators: &[u8]) -> bool {
        let mut before = 0;
        self.groups >= lengths.len()
            && lengths.iter().zip(&self.ends).enumerate().all(|(at, (length, (digits, _, behind)))| {
                let fits = usize::from(*digits) - before == *length;
                before = usize::from(*digits);
                fits && (at + 1 == lengths.len() || separators.contains(behind))
            })
    }

    /// Digits of the first group.
    pub(super) fn first_group(&self) -> usize {
        self.ends.first().map_or(0, |(digits, ..)| usize::from(*digits))
    }
}

impl Look<'_> {
    /// Letters stand right before the digits.
    pub(super) fn behind_letters(&self) -> Option<Value> {
        let letters = self.window.get(self.at.saturating_sub(4)..self.at)?;
        let letters = letters.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
        if letters > 2 || is_word(self.at.checked_sub(letters + 1).and_then(|at| self.window.get(at))) {
            return None;
        }
        if letters == 2 {
            if self.run >= 2
                && let Some(iban) = bank::iban(self.window, self.at)
            {
                return Some(iban);
            }
            if (self.run == 2 || self.run == 6)
                && let Some(nino) = text::nino(self.window, self.at)
            {
                return Some(nino);
            }
        }
        if self.run <= 3 { text::postcode(self.window, self.at, letters) } else { None }
    }

    /// What stands before the digits is no letter.
    pub(super) fn by_itself(&self) -> Option<Value> {
        let behind = self.window.get(self.at + self.run).copied().unwrap_or(0);
        // A word's or an identifier's digits are no number of anybody's.
        if behind.is_ascii_alphabetic() || behind == b'_' || self.is_inside() {
            return None;
        }
        if self.run < 8 {
            let next = self.window.get(self.at + self.run + 1);
            let goes_on = matches!(behind, b' ' | b'-' | b'.' | b')' | b'/')
                && next.is_some_and(|next| next.is_ascii_digit() || matches!(next, b'(' | b' '));
            if !goes_on {
                let bare = self.run == 6 && self.kinds.has(Kind::BankAccount);
                return if bare { bank::account(self.window, self.at, 6) } else { None };
            }
            if self.run == 2
                && let Some(nino) = text::spaced_nino(self.window, self.at)
            {
                return Some(nino);
            }
        }
        let groups = Groups::read(self.window, self.at);
        if groups.count < 6 {
            return None;
        }
        bank::card(&groups, self.at)
            .or_else(|| telephone::phone(self.window, &groups, self.at))
            .or_else(|| health::nhs(self.window, &groups, self.at, self.tabled))
            .or_else(|| health::cpr(self.window, &groups, self.at))
            .or_else(|| bank::sort_code(self.window, &groups, self.at))
    }

    /// Whether the digits go on from others, as a decimal or the parts of an address of the Internet do.
    fn is_inside(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).and_then(|at| self.window.get(at)).copied().unwrap_or(0);
        (matches!(before(1), b'.' | b',') && before(2).is_ascii_digit())
            || matches!(before(1), b'_' | b'#' | b'%' | b'&')
    }
}
