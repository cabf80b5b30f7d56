//! The configuration: what it says, what a change of it would do, the change, and what it was before.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::Response;

use super::{App, Refusal, Sent, proposals};
use crate::desk::{Desk, Fault};
use crate::model::{
    Checked, Configuration, DeclaredTable, Done, Drafted, Edits, NewConfiguration, Proposal, Restore, Role, Text,
    Version, Wrong,
};
use crate::people::{Known, digest_of};
use crate::proposals::Act;

/// Characters that say why.
pub(super) const WHY: usize = 300;
/// Problems that a refusal names.
const NAMED: usize = 20;

/// The configuration as it is written.
#[utoipa::path(get, path = "/api/v1/configuration", responses((status = 200, body = Configuration)))]
pub(crate) async fn look(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
) -> Result<Json<Configuration>, Refusal> {
    let secrets = sees_secrets(&known);
    app.ask(move |desk| desk.configuration(secrets)).await.map(Json)
}

/// Everything that is wrong with a configuration, at once, how it differs from the file and what it would change. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/configuration/check", request_body = Text, responses((status = 200, body = Checked)))]
pub(crate) async fn check(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(sent): Sent<Text>,
) -> Result<Json<Checked>, Refusal> {
    let secrets = sees_secrets(&known);
    app.ask(move |desk| desk.check(&sent.text, secrets)).await.map(Json)
}

/// Every table and key that the configuration may have, with what each takes, what holds without it and what it is for.
#[utoipa::path(get, path = "/api/v1/configuration/keys", responses((status = 200, body = Vec<DeclaredTable>)))]
pub(crate) async fn keys(State(app): State<Arc<App>>) -> Result<Json<Vec<DeclaredTable>>, Refusal> {
    app.ask(|desk| Ok(desk.keys())).await.map(Json)
}

/// A configuration with changes by keys in it: comments, order and every line that none of them is about stay as they are. Where
/// something is wrong with a change it is told with its key, and the text is as it was. Nothing is changed in the file or in force;
/// `check` weighs what comes of it, and `PUT /api/v1/configuration` puts it in force. 422 where the text is no TOML.
#[utoipa::path(post, path = "/api/v1/configuration/draft", request_body = Edits, responses((status = 200, body = Drafted)))]
pub(crate) async fn draft(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(edits): Sent<Edits>,
) -> Result<Json<Drafted>, Refusal> {
    let secrets = sees_secrets(&known);
    app.ask(move |desk| desk.draft(&edits, secrets)).await.map(Json)
}

/// Puts another configuration in force, as a change of the file from which it was made. It is checked as `portcullis check` does and
/// written whole or not at all; the earlier file is kept. 412 where the file was changed meanwhile, 422 with line and column of each
/// problem, 409 where the gate refuses it: then nothing has changed. Where `console.approvals` has `reload`, it takes two people.
#[utoipa::path(put, path = "/api/v1/configuration", request_body = NewConfiguration,
    responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(sent): Sent<NewConfiguration>,
) -> Result<Response, Refusal> {
    put(&app, &known, sent).await
}

/// Earlier configurations, the newest first, each with the change that took its place.
#[utoipa::path(get, path = "/api/v1/configuration/versions", responses((status = 200, body = Vec<Version>)))]
pub(crate) async fn versions(State(app): State<Arc<App>>) -> Result<Json<Vec<Version>>, Refusal> {
    app.ask(Desk::versions).await.map(Json)
}

/// An earlier configuration as it was written.
#[utoipa::path(get, path = "/api/v1/configuration/versions/{id}", params(("id" = String, Path)), responses((status = 200, body = Text)))]
pub(crate) async fn version(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Text>, Refusal> {
    app.ask(move |desk| desk.version(&id)).await.map(|text| Json(Text { text }))
}

/// Puts an earlier configuration in force again: a change like any other.
#[utoipa::path(post, path = "/api/v1/configuration/versions/{id}/restore", params(("id" = String, Path)), request_body = Restore,
    responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn restore(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Sent(Restore { base, why }): Sent<Restore>,
) -> Result<Response, Refusal> {
    let text = app.ask(move |desk| desk.version(&id)).await?;
    put(&app, &known, NewConfiguration { text, base, why }).await
}

/// Reads the configuration again and puts it in force.
#[utoipa::path(post, path = "/api/v1/reload", responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn reload(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
) -> Result<Response, Refusal> {
    // What is approved is what was proposed: the file may be written to meanwhile.
    let written = app.ask(|desk| desk.configuration(true)).await?;
    proposals::act(&app, Act::Reload(digest_of(written.text.as_bytes())), &known).await
}

/// What is wrong with it is said before anybody is asked to approve it.
pub(super) async fn put(app: &Arc<App>, known: &Known, mut new: NewConfiguration) -> Result<Response, Refusal> {
    new.why = new.why.trim().to_owned();
    if new.why.chars().count() > WHY || new.why.chars().any(char::is_control) {
        return Err(Refusal::unfit(format!("`why` is one line of at most {WHY} characters")));
    }
    let weigh = move |desk: &dyn Desk| {
        let checked = desk.check(&new.text, false)?;
        if checked.digest != new.base {
            return Err(Fault::Stale("the configuration was changed meanwhile: look at it again".to_owned()));
        }
        let wrong: Vec<&Wrong> = checked.problems.iter().filter(|it| it.severity == "error").collect();
        if !wrong.is_empty() {
            return Err(Fault::Unfit(named(&wrong)));
        }
        Ok((new, checked))
    };
    let (new, Checked { digest, diff, more, less, .. }) = app.ask(weigh).await?;
    if hexadecimal(&digest_of(new.text.as_bytes())) == digest {
        return Err(Fault::Refused("that is what the file says already".to_owned()).into());
    }
    let extent = format!("{more} lines more, {less} less");
    proposals::act(app, Act::Configure { new, extent, diff }, known).await
}

fn named(wrong: &[&Wrong]) -> String {
    let line = |it: &&Wrong| format!("line {}, column {}: {}", it.line, it.column, it.message);
    let mut words = wrong.iter().take(NAMED).map(line).collect::<Vec<_>>().join("; ");
    if wrong.len() > NAMED {
        words.push_str(&format!("; and {} more", wrong.len() - NAMED));
    }
    words
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who may write the configuration has to see all of it, or would lose what is masked.
pub(super) fn sees_secrets(known: &Known) -> bool {
    known.role == Role::Owner
}
