//! What the gate is and understands, what was signed, and the ledger: what the command line asks besides.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use serde::Deserialize;

use super::{App, Asked, Refusal, Sent, done, file, json};
use crate::desk::{Desk, Leaves};
use crate::model::{Build, Differing, Done, NewBaseline, Page, Role, SignedManifest, Text};
use crate::people::Known;

/// Records of one page.
const MOST: usize = 1_000;
/// Bytes of a name.
const NAME: usize = 256;
/// A signed note, or a proof.
const NOTE: &str = "text/plain; charset=utf-8";

/// All that the running gate says of itself, as `portcullis status --json` has it.
#[utoipa::path(get, path = "/api/v1/status", responses((status = 200, body = Object)))]
pub(crate) async fn status(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    app.ask(|desk| Ok(desk.status())).await.map(|value| json(&value))
}

/// The program that runs.
#[utoipa::path(get, path = "/api/v1/version", responses((status = 200, body = Build)))]
pub(crate) async fn version(State(app): State<Arc<App>>) -> Json<Build> {
    Json(app.desk.build())
}

/// The configuration in force as the gate understands it, with every default written out. It is itself a configuration.
#[utoipa::path(get, path = "/api/v1/configuration/effective", responses((status = 200, body = Text)))]
pub(crate) async fn effective(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
) -> Result<Json<Text>, Refusal> {
    let secrets = known.role == Role::Owner;
    app.ask(move |desk| Ok(desk.effective(secrets))).await.map(|text| Json(Text { text }))
}

/// Takes what is in the watched directories as what should be there, in somebody's name.
#[utoipa::path(post, path = "/api/v1/integrity/baseline", request_body = NewBaseline, responses((status = 200, body = Done)))]
pub(crate) async fn baseline(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(sent): Sent<NewBaseline>,
) -> Result<Json<Done>, Refusal> {
    let only = short(sent.only)?;
    app.ask(move |desk| desk.baseline(only.as_deref(), &known.name)).await.map(done)
}

/// Hands over a signed manifest: these files may be so from now on. Whether it is in force its signatures decide.
#[utoipa::path(post, path = "/api/v1/integrity/manifests", request_body = SignedManifest, responses((status = 200, body = Done)))]
pub(crate) async fn deploy(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(sent): Sent<SignedManifest>,
) -> Result<Json<Done>, Refusal> {
    app.ask(move |desk| desk.deploy(sent.manifest, &known.name)).await.map(done)
}

/// What is compared.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Only {
    /// Only this directory; all of them without.
    only: Option<String>,
}

/// What differs from manifest or baseline. It reads the directories, which takes its time.
#[utoipa::path(get, path = "/api/v1/integrity/diff", params(Only), responses((status = 200, body = Differing)))]
pub(crate) async fn differing(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<Only>,
) -> Result<Json<Differing>, Refusal> {
    let only = short(asked.only)?;
    app.ask(move |desk| desk.differing(only.as_deref())).await.map(Json)
}

/// Which records.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// From this leaf on; from the first without.
    from: Option<u64>,
    /// How many, 1 to 1,000; 100 without.
    most: Option<usize>,
    /// Of this sensor alone.
    sensor: Option<String>,
    /// Of this kind alone: `act`, `change`, `login`, `posture` and so on.
    kind: Option<String>,
    /// From then on, in Unix milliseconds; from the first without.
    since: Option<u64>,
    /// Before then; to the last without.
    until: Option<u64>,
}

/// Records of the ledger, in order. A page may be short: it ends when enough was looked at, and `next` goes on.
#[utoipa::path(get, path = "/api/v1/ledger", params(Wanted), responses((status = 200, body = Page)))]
pub(crate) async fn records(
    State(app): State<Arc<App>>,
    Asked(Wanted { from, most, sensor, kind, since, until }): Asked<Wanted>,
) -> Result<Json<Page>, Refusal> {
    let leaves = Leaves {
        from: from.unwrap_or_default(),
        most: most.unwrap_or(100).clamp(1, MOST),
        sensor: short(sensor)?,
        kind: short(kind)?,
        since,
        until,
    };
    app.ask(move |desk| desk.records(&leaves)).await.map(Json)
}

/// The latest checkpoint of the ledger: a signed note (C2SP), for whoever keeps one to hold the ledger to it later.
#[utoipa::path(get, path = "/api/v1/ledger/checkpoint", responses((status = 200, content_type = "text/plain", body = String)))]
pub(crate) async fn checkpoint(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    app.ask(Desk::checkpoint).await.map(|text| file(NOTE, text.into_bytes()))
}

/// The key that the ledger's checkpoints are signed with: its public part.
#[utoipa::path(get, path = "/api/v1/ledger/key", responses((status = 200, content_type = "text/plain", body = String)))]
pub(crate) async fn key(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    app.ask(Desk::ledger_key).await.map(|text| file(NOTE, text.into_bytes()))
}

/// The proof of one record, by its number, as `portcullis ledger check` takes it without a gate.
#[utoipa::path(get, path = "/api/v1/ledger/{id}/proof", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/plain", body = String)))]
pub(crate) async fn proof(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let leaf: u64 = id.parse().map_err(|_| Refusal::unfit("a record has a number, such as 81"))?;
    app.ask(move |desk| desk.proof(leaf)).await.map(|text| file(NOTE, text.into_bytes()))
}

fn short(name: Option<String>) -> Result<Option<String>, Refusal> {
    match name {
        Some(name) if name.len() > NAME => Err(Refusal::unfit(format!("a name has at most {NAME} bytes"))),
        name => Ok(name),
    }
}
