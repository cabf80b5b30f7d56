//! Scenarios played against the configuration, apart from what serves visitors.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::{App, Refusal, Sent, done};
use crate::model::{Done, Rehearsal, RehearsalLine, ScenarioLine, Wanted};
use crate::people::Known;

/// Bytes of somebody's own scenario.
const TEXT: usize = 64 * 1024;
/// Bytes of a name.
const NAME: usize = 64;
/// The greatest number that every program reads as it was written.
const SEED: u64 = (1 << 53) - 1;

/// Scenarios that come with the gate.
#[utoipa::path(get, path = "/api/v1/scenarios", operation_id = "scenarios", responses((status = 200, body = Vec<ScenarioLine>)))]
pub(crate) async fn scenarios(State(app): State<Arc<App>>) -> Result<Json<Vec<ScenarioLine>>, Refusal> {
    app.ask(|desk| Ok(desk.scenarios())).await.map(Json)
}

/// The last rehearsals, the newest first.
#[utoipa::path(get, path = "/api/v1/rehearsals", operation_id = "rehearsals", responses((status = 200, body = Vec<RehearsalLine>)))]
pub(crate) async fn all(State(app): State<Arc<App>>) -> Result<Json<Vec<RehearsalLine>>, Refusal> {
    app.ask(|desk| Ok(desk.rehearsals())).await.map(Json)
}

/// One rehearsal, with what it found once it is over.
#[utoipa::path(get, path = "/api/v1/rehearsals/{id}", operation_id = "rehearsal", params(("id" = String, Path)), responses((status = 200, body = Rehearsal)))]
pub(crate) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Rehearsal>, Refusal> {
    app.ask(move |desk| desk.rehearsal(&id)).await.map(Json)
}

/// Plays a scenario against the configuration as it is written: one at a time, in a process of its own that gives way to whatever
/// serves visitors, for two minutes at most. The answer is 201 and names the rehearsal; 409 while another is played.
#[utoipa::path(post, path = "/api/v1/rehearsals", operation_id = "rehearse", request_body = Wanted, responses((status = 201, body = RehearsalLine)))]
pub(crate) async fn play(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(wanted): Sent<Wanted>,
) -> Result<Response, Refusal> {
    match (&wanted.name, &wanted.text) {
        (Some(name), None) if name.len() <= NAME => {}
        (None, Some(text)) if text.len() <= TEXT => {}
        (None, Some(_)) => return Err(Refusal::unfit(format!("a scenario has at most {} KiB", TEXT / 1024))),
        (Some(_), None) => return Err(Refusal::unfit(format!("a name has at most {NAME} bytes"))),
        _ => return Err(Refusal::unfit("name a scenario, or send one as `text`; not both")),
    }
    if wanted.seed.is_some_and(|seed| seed > SEED) {
        return Err(Refusal::unfit(format!("a seed is at most {SEED}")));
    }
    let line = app.ask(move |desk| desk.rehearse(&wanted, &known.name)).await?;
    Ok((StatusCode::CREATED, Json(line)).into_response())
}

/// Stops a rehearsal that is being played.
#[utoipa::path(delete, path = "/api/v1/rehearsals/{id}", operation_id = "stop_rehearsal", params(("id" = String, Path)), responses((status = 200, body = Done)))]
pub(crate) async fn stop(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
) -> Result<Json<Done>, Refusal> {
    app.ask(move |desk| desk.stop(&id, &known.name)).await.map(done)
}
