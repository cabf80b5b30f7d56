//! Records of the decision log in which inspection found something.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use portcullis_engine::Trust;
use portcullis_proxy::journal::{Evidence, each_found};
use portcullis_simulator::replay::rfc3339;
use portcullis_types::Reason;
use serde_json::Value;

/// Records that are held at once; the newest.
const MOST_RECORDS: usize = 20_000;

/// One request in which something was found.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// When, as it is written.
    pub(crate) when: String,
    pub(crate) millis: u64,
    pub(crate) reference: String,
    pub(crate) platform: String,
    pub(crate) route: String,
    pub(crate) client: String,
    pub(crate) audience: Audience,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    /// It was refused; otherwise it would have been.
    pub(crate) refused: bool,
    pub(crate) evidence: Evidence,
}

/// Who a visitor is, as the engine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Audience {
    /// A signed cookie says that it was here on other days, or it has passed a challenge.
    Known,
    /// Staff and partners.
    Vouched,
    /// A crawler that its owner publishes.
    Crawler,
    /// It did what people's browsers do.
    Visitor,
    /// Nobody has seen it before, or it is suspected.
    Stranger,
}

impl Audience {
    pub(crate) const ALL: [Self; 5] = [Self::Known, Self::Vouched, Self::Crawler, Self::Visitor, Self::Stranger];

    /// As reports call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Vouched => "vouched",
            Self::Crawler => "crawler",
            Self::Visitor => "visitor",
            Self::Stranger => "stranger",
        }
    }

    /// How many there are of each, in words, from numbers by name.
    pub(crate) fn counted(numbers: &BTreeMap<String, u64>) -> Vec<String> {
        let of = |audience: &Self| numbers.get(audience.name()).filter(|count| **count > 0);
        Self::ALL.iter().filter_map(|it| Some(format!("{} {}", of(it)?, it.name()))).collect()
    }

    fn of(trust: &str) -> Self {
        match Trust::ALL.into_iter().find(|known| known.name() == trust) {
            Some(Trust::Passed | Trust::History) => Self::Known,
            Some(Trust::Staff | Trust::Partner) => Self::Vouched,
            Some(Trust::Crawler) => Self::Crawler,
            Some(Trust::Human) => Self::Visitor,
            Some(Trust::Fresh | Trust::Suspect) | None => Self::Stranger,
        }
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// The oldest first.
    pub(crate) records: Vec<Record>,
    /// Older ones that were left out, because there are too many.
    pub(crate) left: usize,
}

/// Reads every such record since a moment, in Unix milliseconds.
pub(crate) fn read(log: &Path, since: Option<u64>) -> io::Result<Book> {
    let mut book = Book::default();
    each_found(log, since.unwrap_or_default(), &mut |value| {
        let Some(record) = record(value).filter(|record| since.is_none_or(|since| record.millis >= since)) else {
            return;
        };
        book.records.push(record);
        // Files come newest first, but within a file the oldest do.
        if book.records.len() >= 2 * MOST_RECORDS {
            book.cut();
        }
    })?;
    book.cut();
    Ok(book)
}

impl Book {
    /// Keeps the newest alone.
    pub(crate) fn keep(&mut self, most: usize) {
        let over = self.records.len().saturating_sub(most);
        self.records.drain(..over);
        self.left += over;
    }

    fn cut(&mut self) {
        self.records.sort_by_key(|record| record.millis);
        self.keep(MOST_RECORDS);
    }
}

/// A record, if it is whole and tells of something that inspection refused or would have.
pub(crate) fn record(value: &Value) -> Option<Record> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let evidence: Evidence = serde_json::from_value(value.get("evidence")?.clone()).ok()?;
    let inspects = |code: &str| {
        let reason = Reason::from_code(code);
        matches!(reason, Some(Reason::AttackDetected | Reason::RuleMatched | Reason::ResponseRuleMatched))
    };
    let refused = inspects(&text("reason"));
    let observed = value.get("observed").and_then(Value::as_array).into_iter().flatten();
    let mut observed = observed.filter_map(|one| one.get("reason")?.as_str());
    if !refused && !observed.any(inspects) {
        return None;
    }
    let when = text("t");
    Some(Record {
        millis: rfc3339(when.as_bytes())? / 1_000_000,
        when,
        reference: text("ref"),
        platform: text("platform"),
        route: text("route"),
        client: text("client"),
        audience: Audience::of(&text("trust")),
        method: text("method"),
        host: text("host"),
        path: text("path"),
        refused,
        evidence,
    })
}
