//! What a refused visitor cost us and why: one reason, its detail, and when it may ask again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::Reason;

use crate::brain::orders::RuleId;

/// A refusal, or in observe mode what would have been one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// Which declared measure, in words.
    pub detail: Detail,
    /// When the same request would pass, or is worth another try.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal that nobody can wait out.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<Detail>) -> Self {
        Self { reason, detail: detail.into(), retry_after: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        if matches!(self.detail, Detail::Nothing) { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// Words about a refusal. Made when the policy is compiled, so that refusing a flood allocates nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Detail {
    /// The reason says it all.
    #[default]
    Nothing,
    /// Words known when this was compiled.
    Fixed(&'static str),
    /// Words about one declared measure: `rate 5/s by address on /search`, `list scanners`.
    Measure(Arc<str>),
    /// A rule that the gate made by itself: `rule r-81`.
    Rule(RuleId),
    /// A limit and its value: `limits.connections_per_address = 512`.
    Limit(&'static str, u64),
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Fixed(words) => f.write_str(words),
            Self::Measure(words) => f.write_str(words),
            Self::Rule(rule) => write!(f, "rule {rule}"),
            Self::Limit(name, value) => write!(f, "limits.{name} = {value}"),
        }
    }
}

impl From<&'static str> for Detail {
    fn from(words: &'static str) -> Self {
        Self::Fixed(words)
    }
}

impl From<Arc<str>> for Detail {
    fn from(words: Arc<str>) -> Self {
        Self::Measure(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_words() {
        let table = [
            (Refusal::new(Reason::Draining, Detail::Nothing), "draining"),
            (Refusal::new(Reason::BadHost, "two hosts"), "bad-host: two hosts"),
            (Refusal::new(Reason::DeniedAddress, Arc::from("list scanners")), "denied-address: list scanners"),
            (Refusal::new(Reason::RuleRefused, Detail::Rule(RuleId(81))), "rule-refused: rule r-81"),
            (
                Refusal::new(Reason::TooManyConnectionsFromAddress, Detail::Limit("connections_per_address", 8)),
                "too-many-connections-from-address: limits.connections_per_address = 8",
            ),
        ];
        for (refusal, words) in table {
            assert_eq!(refusal.to_string(), words);
        }
    }
}
