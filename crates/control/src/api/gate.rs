//! How the gate stands, and what it is asked to do.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, StreamExt as _, stream};
use portcullis_engine::{Command, Posture, RuleId};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use super::{App, Asked, Refusal, Sent, done, json, proposals};
use crate::desk::{BUSIEST, Span};
use crate::live::Frame;
use crate::model::{Announced, Busiest, Done, Drilled, Explained, History, Hold, Now, Play, Proposal};
use crate::people::Known;
use crate::proposals::Act;
use crate::server;

/// Screens that are open at once.
const VIEWERS: usize = 100;
/// A line that keeps proxies from closing a stream on which nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Points of one line of time: a day by the second, and a little.
const POINTS: u64 = 100_000;
/// Values in one ranking.
const MOST: usize = 1_000;
/// Bytes of a name that is looked up.
const NAME: usize = 256;

/// How everything stands.
#[utoipa::path(get, path = "/api/v1/now", responses((status = 200, body = Now)))]
pub(crate) async fn now(State(app): State<Arc<App>>) -> Result<Json<Now>, Refusal> {
    match app.live.now() {
        Some(now) => Ok(Json(Now::clone(&now))),
        None => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the gate has just begun: ask again in a second")),
    }
}

/// Where a stream goes on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Resumed {
    /// The last event that was seen.
    last: Option<u64>,
}

/// The same each second, and what happens in between, as server-sent events: `now` carries `Now`, `happening` carries `Happening`.
/// `Last-Event-ID` resumes; so does `last`, for a browser that opens a stream anew.
#[utoipa::path(get, path = "/api/v1/live", params(Resumed, ("Last-Event-ID" = Option<u64>, Header, description = "The last event that was seen.")),
    responses((status = 200, content_type = "text/event-stream", body = String)))]
pub(crate) async fn live(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Asked(asked): Asked<Resumed>,
) -> Result<Response, Refusal> {
    if app.live.viewers() >= VIEWERS {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("{VIEWERS} screens are open already")));
    }
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let last = last.or(asked.last);
    let events = events_from(&app, last);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn events_from(app: &Arc<App>, last: Option<u64>) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
    let (missed, receiver) = app.live.follow(last);
    let coming = stream::unfold(receiver, |mut receiver| async move {
        loop {
            match receiver.recv().await {
                Ok(frame) => return Some((frame, receiver)),
                // Whoever is slow has missed some; how everything stands comes within a second.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let event = |frame: Frame| Ok(Event::default().id(frame.id.to_string()).event(frame.kind).data(&*frame.data));
    stream::iter(missed).chain(coming).map(event)
}

/// A stretch of time.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Stretch {
    /// The platform; all of them without.
    platform: Option<String>,
    /// From, in Unix milliseconds; an hour ago without.
    from: Option<u64>,
    /// Until; now without.
    until: Option<u64>,
    /// Milliseconds of one point: whole seconds. Without, about a thousand points.
    step: Option<u64>,
}

/// What was answered over time.
#[utoipa::path(get, path = "/api/v1/history", params(Stretch), responses((status = 200, body = History)))]
pub(crate) async fn history(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<Stretch>,
) -> Result<Json<History>, Refusal> {
    let (from, until) = span(asked.from, asked.until)?;
    let step = asked.step.unwrap_or((until - from) / 1_000).next_multiple_of(1_000).max(1_000);
    if (until - from) / step > POINTS {
        let least = ((until - from) / POINTS).next_multiple_of(1_000);
        return Err(Refusal::unfit(format!(
            "that would be more than {POINTS} points: take a `step` of at least {least}"
        )));
    }
    let answer =
        move |desk: &dyn crate::Desk| desk.history(&Span { platform: asked.platform.as_deref(), from, until }, step);
    app.ask(answer).await.map(Json)
}

/// A ranking.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Ranking {
    /// `network`, `address`, `country` (where a file of `[geography]` tells it), `platform`, `route`, `class`, `audience`, `print`, `reason`, `verdict`, `status`.
    by: String,
    /// The platform; all of them without.
    platform: Option<String>,
    /// `served`, `refused`, `failed`, `challenged`, `roomed`; all of them without.
    only: Option<String>,
    /// From, in Unix milliseconds; an hour ago without.
    from: Option<u64>,
    /// Until; now without.
    until: Option<u64>,
    /// How many values, 1 to 1,000; 20 without.
    most: Option<usize>,
}

/// Of what there was most among requests.
#[utoipa::path(get, path = "/api/v1/busiest", params(Ranking), responses((status = 200, body = Busiest)))]
pub(crate) async fn busiest(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<Ranking>,
) -> Result<Json<Busiest>, Refusal> {
    let (from, until) = span(asked.from, asked.until)?;
    if !BUSIEST.contains(&asked.by.as_str()) {
        return Err(Refusal::unfit(format!("`by` is one of {}", BUSIEST.join(", "))));
    }
    let most = asked.most.unwrap_or(20).clamp(1, MOST);
    let answer = move |desk: &dyn crate::Desk| {
        let span = Span { platform: asked.platform.as_deref(), from, until };
        desk.busiest(&span, &asked.by, asked.only.as_deref(), most)
    };
    app.ask(answer).await.map(Json)
}

/// Why a request was refused, by the reference that the visitor saw, and its way step by step; what a rule is; what a reason means.
#[utoipa::path(get, path = "/api/v1/explain/{of}", params(("of" = String, Path)), responses((status = 200, body = Explained)))]
pub(crate) async fn explain(State(app): State<Arc<App>>, Path(of): Path<String>) -> Result<Json<Explained>, Refusal> {
    let of: String = of.chars().take(NAME).collect();
    app.ask(move |desk| desk.explain(&of)).await.map(Json)
}

/// Takes a rule back at once. Nothing like it is proposed for an hour.
#[utoipa::path(post, path = "/api/v1/measures/{id}/undo", params(("id" = String, Path)), responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn undo(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    command(&app, Command::Undo(rule(&id)?), &known).await
}

/// Keeps a rule in force, whatever the gate thinks of it.
#[utoipa::path(post, path = "/api/v1/measures/{id}/pin", params(("id" = String, Path)), responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn pin(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    command(&app, Command::Pin(rule(&id)?), &known).await
}

/// Holds a platform in a posture, or lets the gate decide again; `*` is all platforms.
#[utoipa::path(put, path = "/api/v1/platforms/{name}/posture", params(("name" = String, Path)), request_body = Hold,
    responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn hold(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(name): Path<String>,
    Sent(sent): Sent<Hold>,
) -> Result<Response, Refusal> {
    let posture = match sent.posture.as_str() {
        "auto" => None,
        name => match Posture::from_name(name) {
            Some(posture) => Some(posture),
            None => {
                let names: Vec<&str> = Posture::ALL.iter().map(|posture| posture.name()).collect();
                return Err(Refusal::unfit(format!(
                    "`{name}` is no posture; a posture is {} or auto",
                    names.join(", ")
                )));
            }
        },
    };
    command(&app, Command::Posture { platform: (name != "*").then_some(name), posture }, &known).await
}

/// Announced events that are not over.
#[utoipa::path(get, path = "/api/v1/events", responses((status = 200, body = Vec<Announced>)))]
pub(crate) async fn events(State(app): State<Arc<App>>) -> Result<Json<Vec<Announced>>, Refusal> {
    app.ask(|desk| Ok(desk.now().events)).await.map(Json)
}

/// Says that a crowd will come.
#[utoipa::path(post, path = "/api/v1/events", request_body = Announced, responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn announce(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(Announced { name, platform, from, until }): Sent<Announced>,
) -> Result<Response, Refusal> {
    if name.trim().is_empty() || name.len() > NAME || until <= from || until <= server::now() {
        return Err(Refusal::unfit("an event has a name, ends after it begins, and is not over".to_owned()));
    }
    command(&app, Command::AddEvent { name, platform, from, until }, &known).await
}

/// Takes an announcement back.
#[utoipa::path(delete, path = "/api/v1/events/{name}", params(("name" = String, Path)), responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    command(&app, Command::CancelEvent { name }, &known).await
}

/// How the sensors beside traffic stand.
#[utoipa::path(get, path = "/api/v1/integrity", responses((status = 200, body = [Object])))]
pub(crate) async fn integrity(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    app.ask(|desk| desk.integrity()).await.map(|value| json(&value))
}

/// What is tried.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Tried {
    /// Only sensors and paths whose name begins so: `files`, `files/public`; all of them without.
    only: Option<String>,
}

/// Tries the sensors with something inert, which takes two minutes at most. `missed` says whether all of it was seen.
#[utoipa::path(post, path = "/api/v1/drills", params(Tried), responses((status = 200, body = Drilled)))]
pub(crate) async fn drill(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Asked(asked): Asked<Tried>,
) -> Result<Json<Drilled>, Refusal> {
    let only: Option<String> = asked.only.map(|only| only.chars().take(NAME).collect());
    app.ask(move |desk| desk.drill(only.as_deref(), &known.name)).await.map(Json)
}

/// What left, against budgets, with canaries and proposals.
#[utoipa::path(get, path = "/api/v1/data", responses((status = 200, body = Object)))]
pub(crate) async fn leaving(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    app.ask(|desk| Ok(desk.leaving())).await.map(|value| json(&value))
}

/// What can be played here: attacks on the demo's own platforms. A gate that runs has none.
#[utoipa::path(get, path = "/api/v1/demo", responses((status = 200, body = Vec<Play>)))]
pub(crate) async fn plays(State(app): State<Arc<App>>) -> Json<Vec<Play>> {
    Json(app.desk.plays())
}

/// Plays one, for a minute.
#[utoipa::path(post, path = "/api/v1/demo/{name}", params(("name" = String, Path)), responses((status = 200, body = Done)))]
pub(crate) async fn play(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<Done>, Refusal> {
    app.ask(move |desk| desk.play(&name)).await.map(done)
}

async fn command(app: &Arc<App>, command: Command, known: &Known) -> Result<Response, Refusal> {
    proposals::act(app, Act::Command(command), known).await
}

fn rule(id: &str) -> Result<RuleId, Refusal> {
    let number = id.strip_prefix("r-").and_then(|number| number.parse().ok());
    number.map(RuleId).ok_or_else(|| Refusal::unfit(format!("`{id}` is not the name of a rule, such as r-81")))
}

pub(super) fn span(from: Option<u64>, until: Option<u64>) -> Result<(u64, u64), Refusal> {
    let until = until.unwrap_or_else(server::now);
    let from = from.unwrap_or_else(|| until.saturating_sub(3_600_000));
    if from < until { Ok((from, until)) } else { Err(Refusal::unfit("`from` is not before `until`".to_owned())) }
}
