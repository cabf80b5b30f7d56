//! A part of a sentence as values: which it is, and what stands in its gaps. The English words are made from it here; whoever
//! speaks another language makes their own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A part of a sentence.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Clause {
    /// Which: `rate`, `queue`, `no-token`, …
    pub code: String,
    /// Figures by name. Shares are of one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, f64>,
    /// Names by name: paths, classes of routes, fingerprints.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, String>,
}

impl Clause {
    /// With nothing in its gaps.
    #[must_use]
    pub fn new(code: &str) -> Self {
        Self { code: code.to_owned(), ..Self::default() }
    }

    /// With a figure. What is no number is none.
    #[must_use]
    pub fn number(mut self, name: &str, value: f64) -> Self {
        self.numbers.insert(name.to_owned(), if value.is_finite() { value } else { 0.0 });
        self
    }

    /// With a name.
    #[must_use]
    pub fn name(mut self, name: &str, value: &str) -> Self {
        self.names.insert(name.to_owned(), value.to_owned());
        self
    }

    /// In English.
    #[must_use]
    pub fn words(&self) -> String {
        let number = |name: &str| self.numbers.get(name).copied().unwrap_or_default();
        let name = |name: &str| self.names.get(name).map_or("?", String::as_str);
        let value = name("value");
        let (actual, expected) = (number("actual"), number("expected"));
        let (now, usual) = (number("now"), number("usual"));
        match self.code.as_str() {
            "rate" => {
                format!("requests {:.1}× expected ({actual:.0} per second, {expected:.1} expected)", number("times"))
            }
            "class" => format!("{} {:.1}× ({actual:.0}, {expected:.1} expected)", name("class"), number("times")),
            "bytes" => format!("{:.1} MB per second sent ({:.1} expected)", actual / 1e6, expected / 1e6),
            "queue" => format!("origin queue {:.0} ms (limit {:.0})", number("ms"), number("limit")),
            "failing" => format!("{:.0} % of answers failed", number("share") * 100.0),
            "stalled" => "it takes requests and ends none".to_owned(),
            "waiting" => "requests wait for it".to_owned(),
            "abuse" => format!("{:.0} clients per second broke the protocol", number("clients")),
            "business-usual" => "logins, payments and codes are as usual".to_owned(),
            "failures" => {
                format!("{:.0} % of tries on {} failed (usual {:.0} %)", now * 100.0, name("path"), usual * 100.0)
            }
            "missing" => format!(
                "{:.0} % of requests on {} asked for what is not there (usual {:.0} %)",
                now * 100.0,
                name("path"),
                usual * 100.0
            ),
            "codes" => {
                format!("{now:.1} codes per second sent by {} (usual {usual:.1}), not entered", name("path"))
            }
            "unready" => "too little is known of ordinary traffic to compare with".to_owned(),
            "explained" => format!(
                "rules explain {:.0} % of the excess and match {:.0} requests per second",
                number("share") * 100.0,
                number("matched")
            ),
            "people-behind" => "a pattern was found, but people are behind it".to_owned(),
            "no-pattern" => "no pattern stands out".to_owned(),
            "silent" => "no channel speaks any more".to_owned(),
            "quiet" => format!("for {:.0} s nothing has been out of the ordinary", number("seconds")),
            "ordinary" => "nothing is out of the ordinary".to_owned(),
            "held" => "an operator holds it there".to_owned(),
            "before" => "it was so before the gate was started anew".to_owned(),
            "endpoint" => format!("the endpoint of {value}"),
            "path" => format!("path {value}"),
            "method" => format!("method {value}"),
            "no-tls" => "no TLS".to_owned(),
            "tls" => format!("TLS {value}"),
            "http1" => "HTTP/1".to_owned(),
            "h2" => format!("HTTP/2 settings {value}"),
            "no-order" => "no known order of headers".to_owned(),
            "order" => format!("order of headers {value}"),
            "agent" => format!("browser {value}"),
            "family" => format!("browsers like {value}"),
            "network" => format!("network {value}"),
            "no-token" => "no token".to_owned(),
            "overdrawn" => "a token beyond its budget".to_owned(),
            "token" => format!("token of kind {value}"),
            "no-evidence" => "no sign of a person yet".to_owned(),
            "evidence" => "signs of a person".to_owned(),
            "no-referer" => "no referer".to_owned(),
            "own-referer" => "a referer of this site".to_owned(),
            "other-referer" => "a referer of another site".to_owned(),
            "bad-referer" => "an unreadable referer".to_owned(),
            "no-query" => "no query".to_owned(),
            "query" => format!("a query shaped like {value}"),
            "accept" => format!("Accept like {value}"),
            "no-language" => "no language".to_owned(),
            "language" => format!("language {value}"),
            "no-session" => "no session".to_owned(),
            "session" => "a session cookie".to_owned(),
            "explains" => format!("it explains {:.0} % of what is beyond the expected", number("share") * 100.0),
            "explains-failures" => {
                format!("it explains {:.0} % of what fails beyond the usual", number("share") * 100.0)
            }
            "tested" => format!(
                "of {:.0} of normal traffic it matched {:.0} (with 95 % certainty at most {:.3} %)",
                number("rows"),
                number("hits"),
                number("share") * 100.0
            ),
            "protected" => {
                format!("{:.0} that matched came from visitors who have shown who they are", number("requests"))
            }
            other => other.to_owned(),
        }
    }
}

/// Several in a row.
pub(crate) fn words(clauses: &[Clause]) -> String {
    clauses.iter().map(Clause::words).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_words_and_no_gap_stays_open() {
        let rate = Clause::new("rate").number("times", 4.13).number("actual", 40.4).number("expected", 9.78);
        assert_eq!(rate.words(), "requests 4.1× expected (40 per second, 9.8 expected)");
        let queue = Clause::new("queue").number("ms", 55.2).number("limit", 20.0);
        assert_eq!(words(&[queue, Clause::new("waiting")]), "origin queue 55 ms (limit 20), requests wait for it");
        let broken = Clause::new("abuse").number("clients", f64::NAN);
        assert_eq!(broken.words(), "0 clients per second broke the protocol", "what is no number is none");
        assert_eq!(Clause::new("path").words(), "path ?");
    }
}
