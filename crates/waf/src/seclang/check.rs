//! An operator as it runs: its argument compiled, or text to be filled in first.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::pool::{Expression, Listed};
use super::program::Words;
use crate::bytes::ByteSet;
use crate::operator::addresses::Addresses;
use crate::operator::regex::{Captures, Regex};
use crate::operator::{encodings, numbers, sqli, words, xss};

/// What is asked of a value.
#[derive(Debug)]
pub(crate) enum Check {
    Rx(Expression),
    RxGlobal(Expression),
    Phrases(Listed),
    Address(Addresses),
    Text(Compare, Words),
    Number(Order, Words),
    /// The same with a number that is known.
    Constant(Order, i64),
    Sqli,
    Xss,
    /// A byte that is none of these.
    Bytes(ByteSet),
    UrlEncoding,
    Utf8,
    /// A number that its own digits check.
    Document(fn(&[u8]) -> bool, Arc<Regex>),
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Equal,
    Contains,
    ContainsWord,
    Begins,
    Ends,
    Within,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    AtLeast,
    Above,
    AtMost,
    Below,
}

impl Order {
    pub(crate) fn holds(self, value: i64, limit: i64) -> bool {
        let order = value.cmp(&limit);
        match self {
            Self::Equal => order == Ordering::Equal,
            Self::AtLeast => order != Ordering::Less,
            Self::Above => order == Ordering::Greater,
            Self::AtMost => order != Ordering::Greater,
            Self::Below => order == Ordering::Less,
        }
    }
}

/// What matched, for TX:0 to TX:9: parts of the value, or what the operator found out.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) parts: Vec<Option<Range<usize>>>,
    pub(crate) text: Option<Vec<u8>>,
    captures: Captures,
}

impl Check {
    /// Words that must be filled in before [`Check::holds`] is asked.
    pub(crate) const fn argument(&self) -> Option<&Words> {
        match self {
            Self::Text(_, words) | Self::Number(_, words) => Some(words),
            _ => None,
        }
    }

    /// Whether it holds of `value`, for checks whose argument is known, without what matched.
    pub(crate) fn could(&self, value: &[u8]) -> bool {
        match self {
            Self::Rx(rx) | Self::RxGlobal(rx) => rx.regex.is_match(value),
            Self::Text(_, words) => self.holds(value, words.plain().unwrap_or_default(), false, &mut Found::default()),
            _ => self.holds(value, &[], false, &mut Found::default()),
        }
    }

    /// Whether it holds of `value`. `argument` is what its words came to; what matched is written where it is wanted.
    pub(crate) fn holds(&self, value: &[u8], argument: &[u8], wanted: bool, found: &mut Found) -> bool {
        found.parts.clear();
        found.text = None;
        let part = match self {
            // Groups cost more than the match, which is told in the log even where no rule asks for it.
            Self::Rx(rx) | Self::RxGlobal(rx) if !wanted => rx.regex.find(value),
            Self::Rx(rx) => {
                let holds = rx.regex.captures(value, &mut found.captures);
                found.take();
                return holds;
            }
            Self::RxGlobal(rx) => {
                let parts = &mut found.parts;
                rx.regex.captures_each(value, |captures| {
                    parts.extend((0..GROUPS).filter_map(|group| captures.get(group)).map(Some));
                });
                found.parts.truncate(GROUPS);
                return !found.parts.is_empty();
            }
            Self::Phrases(listed) => listed.phrases.find(value),
            Self::Address(addresses) => return addresses.contains_text(value),
            Self::Text(compare, _) => match compare {
                Compare::Equal => return words::equals(value, argument),
                Compare::Contains => words::contains(value, argument),
                Compare::ContainsWord => words::contains_word(value, argument),
                Compare::Begins => return words::begins_with(value, argument),
                Compare::Ends => return words::ends_with(value, argument),
                Compare::Within => return words::within(value, argument),
            },
            Self::Number(order, _) => return order.holds(numbers::integer(value), numbers::integer(argument)),
            Self::Constant(order, limit) => return order.holds(numbers::integer(value), *limit),
            Self::Sqli => {
                found.text = sqli::detect(value).map(|fingerprint| fingerprint.as_bytes().to_vec());
                return found.text.is_some();
            }
            Self::Xss => return xss::detect(value),
            Self::Bytes(allowed) => return encodings::outside_of(allowed, value).is_some(),
            Self::UrlEncoding => return encodings::broken_url_escape(value).is_some(),
            Self::Utf8 => return encodings::broken_utf8(value).is_some(),
            Self::Document(verify, regex) => numbers::first_verified(regex, value, verify),
            Self::Always => return true,
            Self::Never => return false,
        };
        let holds = part.is_some();
        found.parts.push(part);
        holds
    }
}

impl Found {
    /// Keeps where the groups are, up to the last that matched.
    fn take(&mut self) {
        self.parts.extend((0..GROUPS).map(|group| self.captures.get(group)));
        while self.parts.last().is_some_and(Option::is_none) {
            self.parts.pop();
        }
    }
}

/// TX:0 to TX:9.
const GROUPS: usize = 10;
