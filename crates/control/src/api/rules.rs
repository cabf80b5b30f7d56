//! What inspection found, what would let it pass, and changes of it: tried on what is on record, then made.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::Response;
use serde::Deserialize;

use super::{App, Asked, Refusal, Sent, configuration};
use crate::desk::Fault;
use crate::model::{ApplyRule, Done, Proposal, RuleChange, Rules, Tried, TryRule, Tuning};
use crate::people::Known;
use crate::server;

/// How far back without a word about it, in milliseconds.
const DAY: u64 = 86_400_000;
/// Rules and families that are told of one route without a word about it, and at most.
const TOLD: usize = 50;
const MOST: usize = 1_000;
/// Bytes of names: a platform, a route, a kind, an exclusion.
const PLATFORM: usize = 200;
const ROUTE: usize = 1_000;
const EXCLUSION: usize = 500;
/// Exclusions in one change.
const EXCLUSIONS: usize = 20;
/// Characters that say why.
const WHY: usize = 160;
/// Characters of a reference, with what people put between them.
const REFERENCE: usize = 32;

/// Since when.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Since {
    /// From then on, in Unix milliseconds; a day ago without.
    since: Option<u64>,
    /// Rules and families of one route, 1 to 1,000; fifty without.
    most: Option<usize>,
}

/// What inspection refused or would have refused, by route and rule, and how each route is inspected.
#[utoipa::path(get, path = "/api/v1/rules", operation_id = "rules", params(Since), responses((status = 200, body = Rules)))]
pub(crate) async fn all(State(app): State<Arc<App>>, Asked(asked): Asked<Since>) -> Result<Json<Rules>, Refusal> {
    let (since, most) = (since(asked.since), asked.most.unwrap_or(TOLD).clamp(1, MOST));
    app.ask(move |desk| desk.rules(since, most)).await.map(Json)
}

/// For what.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Of {
    /// From then on, in Unix milliseconds; a day ago without, and everything for one reference.
    since: Option<u64>,
    /// The request of that reference alone.
    reference: Option<String>,
}

/// The least that would have let recorded requests pass, what else would pass then, and what stays refused. It takes up to ten seconds;
/// 503 while somebody else asks for as much.
#[utoipa::path(get, path = "/api/v1/rules/exclusions", operation_id = "exclusions", params(Of), responses((status = 200, body = Tuning)))]
pub(crate) async fn exclusions(State(app): State<Arc<App>>, Asked(asked): Asked<Of>) -> Result<Json<Tuning>, Refusal> {
    let since = match (&asked.reference, asked.since) {
        (Some(_), None) => 0,
        (_, given) => since(given),
    };
    let reference: Option<String> = asked.reference.map(|it| it.trim().chars().take(REFERENCE).collect());
    app.ask(move |desk| desk.exclusions(since, reference.as_deref())).await.map(Json)
}

/// Tries a change on what is on record: what would be refused and is not, what would pass, and whom that concerns. Nothing is changed.
/// It takes up to ten seconds; 503 while somebody else asks for as much.
#[utoipa::path(post, path = "/api/v1/rules/try", operation_id = "try_rule", request_body = TryRule, responses((status = 200, body = Tried)))]
pub(crate) async fn attempt(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(TryRule { change, since: given }): Sent<TryRule>,
) -> Result<Json<Tried>, Refusal> {
    check(&change)?;
    let (since, secrets) = (since(given), configuration::sees_secrets(&known));
    app.ask(move |desk| desk.try_rule(&change, since, secrets)).await.map(Json)
}

/// Makes a change that was tried: it is written into the configuration and put in force as any change of it is, with the earlier one
/// kept. 412 where the configuration is not the one that it was tried on. Where `console.approvals` has `reload`, it takes two people.
#[utoipa::path(post, path = "/api/v1/rules/apply", operation_id = "apply_rule", request_body = ApplyRule,
    responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn apply(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(ApplyRule { change, base, why }): Sent<ApplyRule>,
) -> Result<Response, Refusal> {
    check(&change)?;
    if why.chars().count() > WHY {
        return Err(Refusal::unfit(format!("`why` is one line of at most {WHY} characters")));
    }
    let edit = move |desk: &dyn crate::Desk| {
        let mut new = desk.edit_rule(&change)?;
        if new.base != base {
            return Err(Fault::Stale("the configuration is not the one that it was tried on: try it again".to_owned()));
        }
        if !why.trim().is_empty() {
            new.why = format!("{}; {}", why.trim(), new.why);
        }
        Ok(new)
    };
    let mut new = app.ask(edit).await?;
    if new.why.chars().count() > configuration::WHY {
        new.why = new.why.chars().take(configuration::WHY - 1).chain(['…']).collect();
    }
    configuration::put(&app, &known, new).await
}

fn since(given: Option<u64>) -> u64 {
    given.unwrap_or_else(|| server::now().saturating_sub(DAY))
}

/// Everything that was sent is bounded, and makes sense as far as that can be said without the configuration.
fn check(change: &RuleChange) -> Result<(), Refusal> {
    let RuleChange { kind, platform, route, only, exclude } = change;
    let excludes = match kind.as_str() {
        "exclude" => true,
        "refuse" | "observe" => false,
        _ => return Err(Refusal::unfit("`kind` is one of exclude, refuse, observe")),
    };
    if platform.len() > PLATFORM || route.as_ref().is_some_and(|it| it.len() > ROUTE || !it.starts_with('/')) {
        return Err(Refusal::unfit("a platform has at most 200 bytes; a route begins with / and has at most 1,000"));
    }
    if only.as_ref().is_some_and(|only| excludes || !["detection", "rules"].contains(&only.as_str())) {
        return Err(Refusal::unfit("`only` is detection or rules, for `refuse` and `observe`"));
    }
    if exclude.is_empty() == excludes {
        return Err(Refusal::unfit("`exclude` stands in a change of that kind, and in no other"));
    }
    if excludes && route.is_none() {
        return Err(Refusal::unfit("what is left out is left out on one `route`"));
    }
    let wrong = |one: &String| one.len() > EXCLUSION || one.chars().any(char::is_control);
    if exclude.len() > EXCLUSIONS || exclude.iter().any(wrong) {
        return Err(Refusal::unfit("at most twenty exclusions, each a line of at most 500 bytes"));
    }
    Ok(())
}
