//! Incidents: what can be said of them, and what people add.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::Response;

use super::{App, Refusal, Sent, done, file, proposals};
use crate::desk::{Deed, Form};
use crate::model::{Done, Draft, IncidentLine, Proposal, Words};
use crate::people::Known;
use crate::proposals::Act;

/// Bytes that a person writes at once.
const WORDS: usize = 3_000;
/// A report stands by itself: its styles and pictures are in it, and nothing else is loaded.
const ALONE: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Every incident, the newest first.
#[utoipa::path(get, path = "/api/v1/incidents", responses((status = 200, body = Vec<IncidentLine>)))]
pub(crate) async fn all(State(app): State<Arc<App>>) -> Result<Json<Vec<IncidentLine>>, Refusal> {
    app.ask(|desk| desk.incidents()).await.map(Json)
}

/// All that can be said of one.
#[utoipa::path(get, path = "/api/v1/incidents/{id}", params(("id" = String, Path)), responses((status = 200, body = Object)))]
pub(crate) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    written(&app, id, Form::Json, "application/json").await
}

/// The report, as a page that stands by itself.
#[utoipa::path(get, path = "/api/v1/incidents/{id}/report.html", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/html", body = String)))]
pub(crate) async fn html(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let mut response = written(&app, id, Form::Html, "text/html; charset=utf-8").await?;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(ALONE));
    Ok(response)
}

/// The report, to print.
#[utoipa::path(get, path = "/api/v1/incidents/{id}/report.pdf", params(("id" = String, Path)),
    responses((status = 200, content_type = "application/pdf", body = Vec<u8>)))]
pub(crate) async fn pdf(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    written(&app, id, Form::Pdf, "application/pdf").await
}

/// What the press is told, each sentence with its grade.
#[utoipa::path(get, path = "/api/v1/incidents/{id}/statement.md", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/markdown", body = String)))]
pub(crate) async fn statement(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    written(&app, id, Form::Statement, "text/markdown; charset=utf-8").await
}

/// The forms of authorities, each with its clock and what is missing.
#[utoipa::path(get, path = "/api/v1/incidents/{id}/forms", params(("id" = String, Path)), responses((status = 200, body = Vec<Draft>)))]
pub(crate) async fn forms(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Vec<Draft>>, Refusal> {
    app.ask(move |desk| desk.forms(&id)).await.map(Json)
}

async fn written(app: &Arc<App>, id: String, form: Form, kind: &'static str) -> Result<Response, Refusal> {
    app.ask(move |desk| desk.incident(&id, form)).await.map(|bytes| file(kind, bytes))
}

/// Something to remember.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/notes", params(("id" = String, Path)), request_body = Words, responses((status = 200, body = Done)))]
pub(crate) async fn note(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Sent(sent): Sent<Words>,
) -> Result<Json<Done>, Refusal> {
    add(&app, id, Deed::Note(words(sent.words)?), known).await
}

/// Something that was decided.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/decisions", params(("id" = String, Path)), request_body = Words, responses((status = 200, body = Done)))]
pub(crate) async fn decide(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Sent(sent): Sent<Words>,
) -> Result<Json<Done>, Refusal> {
    add(&app, id, Deed::Decision(words(sent.words)?), known).await
}

/// Somebody was told.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/told", params(("id" = String, Path)), request_body = Words, responses((status = 200, body = Done)))]
pub(crate) async fn told(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Sent(sent): Sent<Words>,
) -> Result<Json<Done>, Refusal> {
    let whom = words(sent.whom.unwrap_or_default())?;
    add(&app, id, Deed::Told(whom, words(sent.words)?), known).await
}

/// It is over.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/close", params(("id" = String, Path)), request_body = Words,
    responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn close(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Sent(sent): Sent<Words>,
) -> Result<Response, Refusal> {
    proposals::act(&app, Act::Close { id, words: words(sent.words)? }, &known).await
}

async fn add(app: &Arc<App>, id: String, deed: Deed, known: Known) -> Result<Json<Done>, Refusal> {
    app.ask(move |desk| desk.add(&id, deed, &known.name)).await.map(done)
}

fn words(words: String) -> Result<String, Refusal> {
    if words.trim().is_empty() || words.len() > WORDS {
        let detail = format!("say it in 1 to {WORDS} bytes");
        return Err(Refusal::unfit(detail));
    }
    Ok(words)
}
