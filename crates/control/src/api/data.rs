//! Personal data: databases with what waits for a person, the register of copies, canaries, budgets.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use serde::Deserialize;

use super::{App, Asked, Refusal, Sent, configuration, json, proposals};
use crate::desk::{Desk, Fault};
use crate::model::{
    ApproveStatements, CanaryBook, Checked, Done, GuardedDatabase, NewBudget, Proposal, RegisteredCopy, RoleStage,
};
use crate::people::Known;
use crate::proposals::{Act, Decision};

/// Bytes of a name of a role, a statement or a place.
const NAME: usize = 512;
/// Characters of a statement that a second person is told of it.
const TOLD: usize = 300;
/// How a role can be treated.
const STAGES: [&str; 3] = ["observe", "learn", "enforce"];

/// Databases behind the gate: how their roles are treated, and which statements wait for a person.
#[utoipa::path(get, path = "/api/v1/databases", responses((status = 200, body = Vec<GuardedDatabase>)))]
pub(crate) async fn databases(State(app): State<Arc<App>>) -> Result<Json<Vec<GuardedDatabase>>, Refusal> {
    app.ask(|desk| desk.databases()).await.map(Json)
}

/// What of the book is shown.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Leafed {
    /// Of this role alone.
    role: Option<String>,
    /// What waits for a person alone; all of it without.
    waiting: Option<bool>,
}

/// The book of a database, as `portcullis pg show --json` has it: how roles are treated, what they were seen to run, the first 500 of it,
/// what was decided about each statement (`first` in Unix seconds), and the budgets that ordinary windows suggest.
#[utoipa::path(get, path = "/api/v1/databases/{name}/statements", params(("name" = String, Path), Leafed),
    responses((status = 200, body = Object)))]
pub(crate) async fn statements(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Asked(Leafed { role, waiting }): Asked<Leafed>,
) -> Result<Response, Refusal> {
    if name.len() > NAME || role.as_ref().is_some_and(|role| role.len() > NAME) {
        return Err(Refusal::unfit(format!("a database and a role have names of at most {NAME} bytes")));
    }
    let book = app.ask(move |desk| desk.statements(&name, role.as_deref(), waiting.unwrap_or_default())).await?;
    Ok(json(&book))
}

/// Approves one statement of a role, or all that it was seen to run while it learned: exactly what was shown, or nothing.
#[utoipa::path(post, path = "/api/v1/databases/{name}/approve", params(("name" = String, Path)), request_body = ApproveStatements,
    responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn approve(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(name): Path<String>,
    Sent(sent): Sent<ApproveStatements>,
) -> Result<Response, Refusal> {
    let ApproveStatements { role, key, mark } = sent;
    if [&role, &mark].into_iter().chain(&key).any(|text| text.is_empty() || text.len() > NAME) {
        return Err(Refusal::unfit(format!("role, key and mark have 1 to {NAME} bytes")));
    }
    let (database, whose, which) = (name.clone(), role.clone(), key.clone());
    let words = app.ask(move |desk| what_waits(desk, &database, &whose, which.as_deref())).await?;
    let decision = Decision::Approve { database: name, role, key, mark };
    proposals::act(&app, Act::Statements(decision, words), &known).await
}

/// Moves a role between observing, learning and being held to what is approved.
#[utoipa::path(put, path = "/api/v1/databases/{name}/stage", params(("name" = String, Path)), request_body = RoleStage,
    responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn stage(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(name): Path<String>,
    Sent(RoleStage { role, stage, despite }): Sent<RoleStage>,
) -> Result<Response, Refusal> {
    if role.is_empty() || role.len() > NAME || !STAGES.contains(&stage.as_str()) {
        return Err(Refusal::unfit(format!(
            "a role has a name of 1 to {NAME} bytes, and a stage is {}",
            STAGES.join(", ")
        )));
    }
    let even = if despite { ", even where not all of it is approved" } else { "" };
    let words = format!("let role {} of {} {stage}{even}", plain(&role), plain(&name));
    let decision = Decision::Stage { database: name, role, stage, despite };
    proposals::act(&app, Act::Statements(decision, words), &known).await
}

/// Every copy of personal data that is declared, with every way to it: who watches, since when, how much of the time.
#[utoipa::path(get, path = "/api/v1/data/register", responses((status = 200, body = Vec<RegisteredCopy>)))]
pub(crate) async fn register(State(app): State<Arc<App>>) -> Result<Json<Vec<RegisteredCopy>>, Refusal> {
    app.ask(|desk| desk.register()).await.map(Json)
}

/// The canaries: where each may be seen, whether it was seen elsewhere, and how they were tried last.
#[utoipa::path(get, path = "/api/v1/data/canaries", responses((status = 200, body = CanaryBook)))]
pub(crate) async fn canaries(State(app): State<Arc<App>>) -> Result<Json<CanaryBook>, Refusal> {
    app.ask(|desk| desk.canaries()).await.map(Json)
}

/// Writes a budget of records an hour into the configuration, and puts it in force: a change like any other. 412 where the configuration
/// is not the one that it was tried on.
#[utoipa::path(post, path = "/api/v1/data/budgets", request_body = NewBudget,
    responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn budget(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(sent): Sent<NewBudget>,
) -> Result<Response, Refusal> {
    let (place, records) = sound(&sent)?;
    let edit = move |desk: &dyn Desk| {
        let new = desk.budget(&place, records)?;
        if sent.base.is_some_and(|base| base != new.base) {
            return Err(Fault::Stale("the configuration is not the one that it was tried on: try it again".to_owned()));
        }
        Ok(new)
    };
    let new = app.ask(edit).await?;
    configuration::put(&app, &known, new).await
}

/// How the configuration would differ with a budget in it, as `portcullis data approve --dry-run` says. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/data/budgets/try", operation_id = "try_budget", request_body = NewBudget,
    responses((status = 200, body = Checked)))]
pub(crate) async fn attempt(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(sent): Sent<NewBudget>,
) -> Result<Json<Checked>, Refusal> {
    let ((place, records), secrets) = (sound(&sent)?, configuration::sees_secrets(&known));
    let weigh = move |desk: &dyn Desk| desk.check(&desk.budget(&place, records)?.text, secrets);
    app.ask(weigh).await.map(Json)
}

fn sound(sent: &NewBudget) -> Result<(String, u64), Refusal> {
    let NewBudget { place, records, .. } = sent;
    if place.is_empty() || place.len() > NAME || *records == 0 {
        return Err(Refusal::unfit("name a route, as PLATFORM/ROUTE, and 1 record or more".to_owned()));
    }
    Ok((place.clone(), *records))
}

/// What would be approved, for whoever decides about it.
fn what_waits(desk: &dyn Desk, database: &str, role: &str, key: Option<&str>) -> Result<String, Fault> {
    let all = desk.databases()?;
    let found = all.iter().find(|it| it.name == database);
    let found = found.ok_or_else(|| Fault::Unknown(format!("there is no database `{}`", plain(database))))?;
    let of = format!("of role {} on {}", plain(role), plain(database));
    let nothing = || Fault::Refused("there is nothing to approve".to_owned());
    let Some(key) = key else {
        let count = found.roles.iter().find(|it| it.role == role).map_or(0, |it| it.waiting);
        return if count > 0 { Ok(format!("approve {count} statements {of}")) } else { Err(nothing()) };
    };
    let one = found.waiting.iter().find(|it| it.role == role && it.key == key).ok_or_else(nothing)?;
    let reach = if one.seen.is_empty() { String::new() } else { format!("; it reaches {}", one.seen.join(", ")) };
    let words = format!("approve {of}: {}{reach}", one.form);
    Ok(plain(&words))
}

/// What applications sent, without anything that moves a terminal, and not too long.
fn plain(text: &str) -> String {
    text.chars().take(TOLD).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
