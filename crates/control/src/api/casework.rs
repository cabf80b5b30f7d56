//! What people do with an incident beside writing in it: opening one, handing in a report, taking all of it along.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_DISPOSITION;
use axum::response::Response;

use super::{App, Refusal, Sent, done, file};
use crate::desk::Deed;
use crate::model::{Done, HandedIn, NewAssurance, NewIncident};
use crate::people::Known;

/// Bytes that a person writes at once.
const WORDS: usize = 3_000;
/// Bytes of a name.
const NAME: usize = 200;
/// Platforms and databases of one incident.
const PLATFORMS: usize = 100;

/// Opens an incident that the gate cannot see. There is one at a time: while one is open, what happens belongs to it.
#[utoipa::path(post, path = "/api/v1/incidents", request_body = NewIncident, responses((status = 200, body = Done)))]
pub(crate) async fn open(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(sent): Sent<NewIncident>,
) -> Result<Json<Done>, Refusal> {
    let long = sent.because.len() > WORDS || sent.platforms.len() > PLATFORMS;
    if sent.because.trim().is_empty() || long || sent.platforms.iter().any(|name| name.len() > NAME) {
        return Err(Refusal::unfit(format!(
            "say what happened in 1 to {WORDS} bytes, of at most {PLATFORMS} platforms"
        )));
    }
    app.ask(move |desk| desk.open(&sent, &known.name)).await.map(done)
}

/// A report was handed in: to whom, when, what exactly, and what they gave for it.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/reports", params(("id" = String, Path)), request_body = HandedIn, responses((status = 200, body = Done)))]
pub(crate) async fn handed(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Sent(mut sent): Sent<HandedIn>,
) -> Result<Json<Done>, Refusal> {
    let short = |text: &str| !text.trim().is_empty() && text.len() <= NAME;
    if !short(&sent.form) || !short(&sent.to) || sent.receipt.len() > NAME {
        return Err(Refusal::unfit(format!("form and receiver have 1 to {NAME} bytes, and a receipt has no more")));
    }
    if sent.sha256.len() != 64 || !sent.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Refusal::unfit("`sha256` has 64 hexadecimal digits: of the file that was handed in".to_owned()));
    }
    sent.sha256.make_ascii_lowercase();
    app.ask(move |desk| desk.add(&id, Deed::Handed(sent), &known.name)).await.map(done)
}

/// Somebody answers for a copy that no sensor watches: that it is as it was, or not, and what that rests on.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/assurances", params(("id" = String, Path)), request_body = NewAssurance, responses((status = 200, body = Done)))]
pub(crate) async fn attested(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Sent(sent): Sent<NewAssurance>,
) -> Result<Json<Done>, Refusal> {
    if sent.words.trim().is_empty() || sent.words.len() > WORDS || sent.copy.len() > NAME {
        return Err(Refusal::unfit(format!(
            "a copy has a name of at most {NAME} bytes; say what it rests on in 1 to {WORDS}"
        )));
    }
    app.ask(move |desk| desk.add(&id, Deed::Attested(sent), &known.name)).await.map(done)
}

/// Everything that is handed to others, as `portcullis incident export` writes it, in one file. It verifies without us.
#[utoipa::path(get, path = "/api/v1/incidents/{id}/export", params(("id" = String, Path)),
    responses((status = 200, content_type = "application/x-tar", body = Vec<u8>)))]
pub(crate) async fn export(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let name: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
    let bytes = app.ask(move |desk| desk.export(&id)).await?;
    let mut response = file("application/x-tar", bytes);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"incident-{name}.tar\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
