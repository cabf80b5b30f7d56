//! People and tokens: an owner's.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{App, Refusal, Sent, done, proposals};
use crate::model::{Done, Invite, Link, MadeToken, NewToken, Person, Proposal, Role, Token};
use crate::people::Known;
use crate::proposals::Act;
use crate::server::now;
use crate::welcome_url;

/// Parts of the API, as tokens name them.
const SCOPES: [&str; 7] = ["now", "traffic", "measures", "incidents", "integrity", "data", "settings"];
const DAY: u64 = 86_400_000;

/// Everybody with an account.
#[utoipa::path(get, path = "/api/v1/people", responses((status = 200, body = Vec<Person>)))]
pub(crate) async fn people(State(app): State<Arc<App>>) -> Result<Json<Vec<Person>>, Refusal> {
    Ok(Json(app.people.all()?))
}

/// Invites somebody, or lets somebody with an account set a new password: the link works once, for an hour.
#[utoipa::path(post, path = "/api/v1/people", request_body = Invite,
    responses((status = 200, body = Link), (status = 202, body = Proposal)))]
pub(crate) async fn invite(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(sent): Sent<Invite>,
) -> Result<Response, Refusal> {
    let act = Act::Invite { name: sent.name.clone(), role: sent.role };
    if proposals::takes_two(&app, &act) {
        return proposals::propose(&app, act, &known);
    }
    let (secret, until) = app.people.invite(&sent.name, sent.role, now())?;
    app.desk.changed(&format!("{} was invited as {}", sent.name, sent.role.name()), &known.name);
    Ok(Json(Link { url: welcome_url(&app.settings.url, &secret), until }).into_response())
}

/// Ends an account, with its sessions and tokens.
#[utoipa::path(delete, path = "/api/v1/people/{name}", params(("name" = String, Path)),
    responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    proposals::act(&app, Act::Remove { name }, &known).await
}

/// What somebody may do.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewRole {
    role: Role,
}

/// Says what somebody may do from now on.
#[utoipa::path(put, path = "/api/v1/people/{name}/role", params(("name" = String, Path)), request_body = NewRole,
    responses((status = 200, body = Done), (status = 202, body = Proposal)))]
pub(crate) async fn set_role(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(name): Path<String>,
    Sent(sent): Sent<NewRole>,
) -> Result<Response, Refusal> {
    proposals::act(&app, Act::Rank { name, role: sent.role }, &known).await
}

/// All tokens, without their secrets, which nobody has.
#[utoipa::path(get, path = "/api/v1/tokens", responses((status = 200, body = Vec<Token>)))]
pub(crate) async fn tokens(State(app): State<Arc<App>>) -> Result<Json<Vec<Token>>, Refusal> {
    Ok(Json(app.people.tokens()?))
}

/// Makes a token for a program. Its secret is shown once.
#[utoipa::path(post, path = "/api/v1/tokens", request_body = NewToken, responses((status = 200, body = MadeToken)))]
pub(crate) async fn make_token(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(sent): Sent<NewToken>,
) -> Result<Json<MadeToken>, Refusal> {
    if known.csrf.is_none() {
        return Err(Refusal::unfit("a token makes no tokens: sign in".to_owned()));
    }
    if let Some(scope) = sent.scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(Refusal::unfit(format!("`{scope}` is no part of the API; the parts are {}", SCOPES.join(", "))));
    }
    if !(1..=366).contains(&sent.days) {
        return Err(Refusal::unfit("a token ends after 1 to 366 days".to_owned()));
    }
    let until = now() + u64::from(sent.days) * DAY;
    let wanted =
        Token { name: sent.name, role: sent.role.min(known.role), scopes: sent.scopes, until, ..Token::default() };
    let (token, secret) = app.people.make_token(&known.name, &wanted, now())?;
    app.desk.changed(&format!("the token {} ({}) was made", token.id, token.name), &known.name);
    Ok(Json(MadeToken { token, secret }))
}

/// Ends a token.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", params(("id" = String, Path)), responses((status = 200, body = Done)))]
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
) -> Result<Json<Done>, Refusal> {
    app.people.revoke(&id, None)?;
    app.desk.changed(&format!("the token {id} was revoked"), &known.name);
    Ok(done("The token opens nothing any more."))
}
