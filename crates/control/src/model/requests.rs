//! Decisions about single requests, as they are searched.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Decisions on record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decisions {
    /// The newest first.
    pub found: Vec<DecisionLine>,
    /// Goes back as `cursor` for those before; none where all were looked at. There may be one though nothing was found: one answer
    /// looks at a bounded part of the record.
    pub next: Option<String>,
}

/// A decision about one request, as the decision log has it. Of requests that were served, it has those that were sampled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DecisionLine {
    /// When.
    pub at: u64,
    /// What the visitor saw, by which it is explained; none where there is none.
    pub reference: Option<String>,
    /// `served`, `refused`, `failed`, `challenged`, `roomed`.
    pub verdict: String,
    /// Why it was not served.
    pub reason: Option<String>,
    /// In detail.
    pub detail: Option<String>,
    /// The status; 0 where the connection was closed.
    pub status: u16,
    /// The platform.
    pub platform: Option<String>,
    /// The route, as it is declared.
    pub route: Option<String>,
    /// Whom it was about: personal data.
    pub client: Option<String>,
    /// The method.
    pub method: Option<String>,
    /// The host that was asked for.
    pub host: Option<String>,
    /// The path, without a query.
    pub path: Option<String>,
    /// The TLS print (JA4).
    pub print: Option<String>,
    /// What the gate knew of the visitor.
    pub audience: Option<String>,
    /// Milliseconds that it took.
    pub millis: f64,
}
