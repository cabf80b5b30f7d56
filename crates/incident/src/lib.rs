//! What happened, what was harmed, what was not, and how we know: records of the ledger to incidents, judgements and reports.
//!
//! Never reads a clock, a file or a socket: records, times and templates are handed in, and documents come out as bytes.
//!
//! A [`Docket`] says which incidents there are; a [`Gathering`] makes the [`Case`] of one; an [`Assessment`] judges it by rules that
//! refuse what the evidence does not carry; a [`Report`] is what every document is written from.

#![forbid(unsafe_code)]

mod assessment;
mod attribution;
mod case;
mod chart;
mod content;
mod coverage;
mod docket;
mod documents;
mod effect;
mod evidence;
pub mod forms;
pub mod machine;
mod moment;
mod page;
mod pdf;
mod report;
mod statement;
mod timeline;
mod words;

pub use self::assessment::{Assessment, Asset, Claim, Ledger, Outcome, PathState, Reason, Tried, Verdict, percent};
pub use self::attribution::{Countries, Matched, Ranked, Sources};
pub use self::case::{Case, Gathering};
pub use self::coverage::{Gap, Stretch, Watch};
pub use self::docket::{Docket, Ended, Incident, Surge, Thresholds};
pub use self::documents::{handover, notice, statement};
pub use self::effect::is_known;
pub use self::evidence::{Evidence, plain};
pub use self::moment::{rfc3339, speak};
pub use self::page::html;
pub use self::pdf::pdf;
pub use self::report::{Contact, Figure, Organisation, Report};
pub use self::statement::{Sentence, Statement, spaced};
pub use self::timeline::Timeline;
pub use self::words::{Confidence, Likelihood};
