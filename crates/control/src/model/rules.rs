//! What inspection found, what would let it pass, and what a change of it would do to what is on record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Line, Measure};

/// What inspection refused, and would have refused where it only observes; which routes do which; the gate's own rules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rules {
    /// Since when records were read, in Unix milliseconds.
    pub since: u64,
    /// When the first of them was written (RFC 3339); none where nothing was found.
    pub from: Option<String>,
    /// When the last was.
    pub until: Option<String>,
    /// Older ones that were left out, because there are too many.
    pub older_left_out: u64,
    /// Where they were read, on the gate's machine.
    #[serde(default)]
    pub log: String,
    /// Each route of the policy in force, and each that is on record; what most visitors met first.
    pub routes: Vec<RouteFindings>,
    /// Rules that the gate has found by itself: in force, on trial, withdrawn.
    pub own: Vec<OwnRule>,
}

/// What inspection found on one route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteFindings {
    /// Its platform.
    pub platform: String,
    /// Its path, as the configuration writes it.
    pub route: String,
    /// `off`, `observe`, `enforce`: the gate's own detection; empty where the route is not configured any more.
    #[serde(default)]
    pub detection: String,
    /// The same of rule sets; `none` where there are none.
    #[serde(default)]
    pub rules: String,
    /// What is left out, as `exclude` writes it.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Requests in which something was found that is refused, or would be.
    pub requests: u64,
    /// Of those, refused.
    pub refused: u64,
    /// Of those, only observed.
    pub would_be_refused: u64,
    /// Different visitors.
    pub visitors: u64,
    /// By what the gate knew of them: `known`, `vouched`, `crawler`, `visitor`, `stranger`.
    pub audience: BTreeMap<String, u64>,
    /// One that can be explained.
    pub reference: String,
    /// By rule or family, what most visitors met first; as many as were asked for.
    pub by: Vec<Finding>,
    /// By family of rules.
    pub families: Vec<Finding>,
}

/// How often one rule or family found something.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// A rule's number, or a family.
    pub what: String,
    /// What is wrong, in words.
    pub why: String,
    /// Requests.
    pub requests: u64,
    /// Of those, refused.
    pub refused: u64,
    /// Of those, only observed.
    pub would_be_refused: u64,
    /// Different visitors.
    pub visitors: u64,
    /// By what the gate knew of them.
    pub audience: BTreeMap<String, u64>,
    /// One that can be explained.
    pub reference: String,
}

/// A rule that the gate has found by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OwnRule {
    /// Where it holds.
    pub platform: String,
    /// The rule.
    pub rule: Measure,
}

/// What would have let recorded requests pass, as `portcullis tune --json` has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Tuning {
    /// Requests on record in which something was found.
    pub records: u64,
    /// Older ones that were left out.
    pub older_left_out: u64,
    /// Of those, tried again.
    pub tried: u64,
    /// What most visitors met first.
    pub proposals: Vec<Release>,
    /// Proposals that fewer visitors met, or that there was no time to try.
    pub more_proposals: u64,
    /// Requests that no exclusion of single values lets pass.
    pub no_exclusion_suffices: u64,
    /// Requests that were not tried, and why.
    pub not_tried: Vec<Untried>,
    /// Where they were read, on the gate's machine.
    #[serde(default)]
    pub log: String,
}

/// Exclusions for one route, tried on what is on record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Release {
    /// Its platform.
    pub platform: Option<String>,
    /// Its path, as the configuration writes it.
    pub route: Option<String>,
    /// As `exclude` writes them: single rules or families, on single variables.
    pub exclude: Vec<String>,
    /// Of each, a part that matched.
    pub matched: BTreeMap<String, String>,
    /// What they are for.
    pub releases: Reached,
    /// What else would pass then: how far they reach.
    pub also_releases: Reached,
    /// Others in which one of them has a part, and which are refused all the same.
    pub stay: u64,
    /// Why the configuration would not take them.
    pub refused: Option<String>,
    /// Of those that would pass, the body of so many was never looked at.
    #[serde(default)]
    pub unread: u64,
}

/// Requests on record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reached {
    /// How many.
    pub records: u64,
    /// From how many visitors.
    pub visitors: u64,
    /// By what the gate knew of them.
    #[serde(default)]
    pub audience: BTreeMap<String, u64>,
    /// Some of them.
    pub references: Vec<String>,
}

/// Requests that were not tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Untried {
    /// Why.
    pub why: String,
    /// How many.
    pub records: u64,
}

/// A change of what is inspected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleChange {
    /// `exclude` leaves something out; `refuse` and `observe` say what becomes of what is found.
    #[schema(max_length = 16)]
    pub kind: String,
    /// The platform.
    #[schema(max_length = 200)]
    pub platform: String,
    /// The route, as the configuration writes its path; `exclude` needs one, the others mean the whole platform without.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub route: Option<String>,
    /// Of `refuse` and `observe`: `detection` or `rules` alone.
    #[serde(default)]
    #[schema(max_length = 16)]
    pub only: Option<String>,
    /// Of `exclude`: what is left out, as the configuration writes it; at most twenty.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub exclude: Vec<String>,
}

/// A change of what is inspected, to be tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TryRule {
    /// The change.
    pub change: RuleChange,
    /// On records from then on, in Unix milliseconds; a day without.
    #[serde(default)]
    pub since: Option<u64>,
}

/// A change of what is inspected, to be made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRule {
    /// The change.
    pub change: RuleChange,
    /// `digest` of the configuration that it was tried on.
    #[schema(max_length = 64)]
    pub base: String,
    /// Why; at most 160 characters.
    #[serde(default)]
    #[schema(max_length = 160)]
    pub why: String,
}

/// What a change would do to what is on record. Nothing was changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Tried {
    /// What the change is, in a line.
    #[serde(default)]
    pub words: String,
    /// `digest` of the configuration that it was tried on.
    #[serde(default)]
    pub digest: String,
    /// The lines of the configuration that differ.
    #[serde(default)]
    pub diff: Vec<Line>,
    /// Where the configuration is, on the gate's machine.
    #[serde(default)]
    pub file: String,
    /// Requests on record in which something was found.
    pub records: u64,
    /// Older ones that were left out.
    pub older_left_out: u64,
    /// Routes that it concerns and that are on record.
    pub routes: Vec<TriedRoute>,
    /// Requests that were not tried, and why.
    pub not_tried: Vec<Untried>,
}

/// The same of one route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TriedRoute {
    /// Its platform.
    pub platform: String,
    /// Its path.
    pub route: String,
    /// Requests on record in which something was found.
    pub records: u64,
    /// Of those, refused as it is.
    pub refused_now: u64,
    /// Of those, refused as it would be.
    pub refused_then: u64,
    /// Refused as it is, and would pass.
    pub released: Reached,
    /// Pass as it is, and would be refused.
    pub caught: Reached,
}
