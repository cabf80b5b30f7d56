//! Signing in and out.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::header::{HOST, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::{App, Asked, Refusal, Sent, done};
use crate::door::{cookie, cookie_name};
use crate::model::{Code, Done, Enrolment, FailedTry, Now, OwnSession, Session, SignIn, Welcome};
use crate::people::{Begun, Denied, Known, Way};
use crate::server::{Peer, now};

/// From where somebody comes in, and how.
pub(super) type Place = (Option<IpAddr>, Way);

/// What a page that opens wants to know besides.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Opening {
    /// How everything stands, too, so that a slow telephone waits for one answer and not for two.
    #[serde(default)]
    now: bool,
}

/// Who is signed in, and how one can.
#[utoipa::path(get, path = "/api/v1/session", params(Opening), responses((status = 200, body = Session)))]
pub(crate) async fn look(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Asked(asked): Asked<Opening>,
) -> Result<Json<Session>, Refusal> {
    let known = match cookie(&app, &headers) {
        Some(cookie) => app.people.session(&cookie, now())?,
        None => None,
    };
    let mut session = session(&app, &headers, known.as_ref())?;
    if asked.now && session.person.is_some() {
        session.now = app.live.now().map(|now| Now::clone(&now));
    }
    Ok(Json(session))
}

/// Signs in by name and password, and the code of a second factor where there is one.
#[utoipa::path(post, path = "/api/v1/session", request_body = SignIn, responses((status = 200, body = Session)))]
pub(crate) async fn sign_in(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    Sent(sent): Sent<SignIn>,
) -> Result<Response, Refusal> {
    let name = sent.name.clone();
    let from = Some(peer.ip());
    let begun =
        app.slow(move |people| people.sign_in(&sent.name, &sent.password, sent.code.as_deref(), from, now())).await;
    // A missing code is the first half of signing in, and no failure. What came too often was not looked at.
    let unread = |refusal: &Refusal| refusal.title.is_some() || refusal.after.is_some();
    if !matches!(&begun, Err(refusal) if unread(refusal)) {
        login(&app, &name, (from, Way::Password), begun.is_ok());
    }
    entered(&app, &headers, &begun?, (from, Way::Password))
}

/// Ends the session.
#[utoipa::path(delete, path = "/api/v1/session", responses((status = 200, body = Done)))]
pub(crate) async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    if let Some(cookie) = cookie(&app, &headers) {
        app.people.end(&cookie)?;
    }
    let gone = format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict{}", cookie_name(&app), secure(&app));
    let mut response = done("You are signed out.").into_response();
    set(&mut response, &gone);
    Ok(response)
}

/// One's own sessions, the last begun first.
#[utoipa::path(get, path = "/api/v1/session/all", responses((status = 200, body = Vec<OwnSession>)))]
pub(crate) async fn all(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    headers: HeaderMap,
) -> Result<Json<Vec<OwnSession>>, Refusal> {
    person(&known)?;
    let cookie = cookie(&app, &headers).unwrap_or_default();
    Ok(Json(app.people.sessions(&known.name, &cookie, now())?))
}

/// Ends one of one's own sessions.
#[utoipa::path(delete, path = "/api/v1/session/all/{id}", params(("id" = String, Path)), responses((status = 200, body = Done)))]
pub(crate) async fn end(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
) -> Result<Json<Done>, Refusal> {
    person(&known)?;
    app.people.end_one(&known.name, &id)?;
    Ok(done("The session is over."))
}

/// Failed tries to sign in under one's own name, the last twenty.
#[utoipa::path(get, path = "/api/v1/session/failed", responses((status = 200, body = Vec<FailedTry>)))]
pub(crate) async fn failed(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
) -> Result<Json<Vec<FailedTry>>, Refusal> {
    person(&known)?;
    Ok(Json(app.people.failures(&known.name)?))
}

/// Makes the first account, or one that somebody was invited to, by a link that works once.
#[utoipa::path(post, path = "/api/v1/welcome", request_body = Welcome, responses((status = 200, body = Session)))]
pub(crate) async fn welcome(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    Sent(sent): Sent<Welcome>,
) -> Result<Response, Refusal> {
    let begun = app.slow(move |people| people.welcome(&sent.link, sent.name.as_deref(), &sent.password, now())).await?;
    app.desk.changed("a password was set by a link that works once", &begun.name);
    let place = (Some(peer.ip()), Way::Link);
    login(&app, &begun.name, place, true);
    entered(&app, &headers, &begun, place)
}

/// Offers a second factor, which is in force once its first code was right.
#[utoipa::path(post, path = "/api/v1/session/totp", responses((status = 200, body = Enrolment)))]
pub(crate) async fn enrol(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
) -> Result<Json<Enrolment>, Refusal> {
    person(&known)?;
    Ok(Json(app.people.enrol(&known.name, &app.current.get().organisation)?))
}

/// The first code of a second factor: from now on one is wanted.
#[utoipa::path(put, path = "/api/v1/session/totp", request_body = Code, responses((status = 200, body = Done)))]
pub(crate) async fn confirm(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(sent): Sent<Code>,
) -> Result<Json<Done>, Refusal> {
    person(&known)?;
    app.people.confirm(&known.name, &sent.code, now())?;
    app.desk.changed("a second factor was set up", &known.name);
    Ok(done("From now on a code is wanted."))
}

/// Takes the second factor away.
#[utoipa::path(delete, path = "/api/v1/session/totp", responses((status = 200, body = Done)))]
pub(crate) async fn forgo(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
) -> Result<Json<Done>, Refusal> {
    person(&known)?;
    app.people.forgo(&known.name)?;
    app.desk.changed("a second factor was taken away", &known.name);
    Ok(done("No code is wanted any more."))
}

/// Of a token nothing like this is asked.
pub(super) fn person(known: &Known) -> Result<(), Refusal> {
    match known.csrf {
        Some(_) => Ok(()),
        None => Err(Denied::Because("a token has none of these: sign in".to_owned()).into()),
    }
}

/// Puts on record that somebody signed in or failed to, from where and how.
pub(super) fn login(app: &Arc<App>, who: &str, (from, way): Place, good: bool) {
    let (app, who) = (Arc::clone(app), who.chars().take(64).collect::<String>());
    drop(tokio::task::spawn_blocking(move || {
        app.desk.login(&who, from, good);
        if !good && let Err(problem) = app.people.failed(&who, from, way, now()) {
            tracing::warn!(?problem, "a failed sign-in is not kept");
        }
    }));
}

pub(super) fn entered(app: &App, headers: &HeaderMap, begun: &Begun, (from, way): Place) -> Result<Response, Refusal> {
    app.people.place(&begun.cookie, from, way)?;
    let known = app.people.session(&begun.cookie, now())?;
    let mut response = Json(session(app, headers, known.as_ref())?).into_response();
    set(
        &mut response,
        &format!("{}={}; Path=/; HttpOnly; SameSite=Strict{}", cookie_name(app), begun.cookie, secure(app)),
    );
    Ok(response)
}

pub(super) fn set(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

pub(super) fn secure(app: &App) -> &'static str {
    if app.is_secure() { "; Secure" } else { "" }
}

fn session(app: &App, headers: &HeaderMap, known: Option<&Known>) -> Result<Session, Refusal> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // A page that was opened by another name of this console would ask in vain.
    let passkeys = app.party.as_ref().is_some_and(|party| party.is_at(host));
    let oidc = app.oidc.as_ref().filter(|oidc| oidc.is_at(host));
    let person = known.map(|known| app.people.one(&known.name)).transpose()?.flatten();
    Ok(Session {
        csrf: known.and_then(|known| known.csrf.clone()),
        fresh: app.people.is_empty()?,
        ways: ["password"]
            .into_iter()
            .chain(passkeys.then_some("passkey"))
            .chain(oidc.is_some().then_some("oidc"))
            .map(str::to_owned)
            .collect(),
        provider: oidc.map(|oidc| oidc.name().to_owned()),
        // Whoever is not signed in need not know whose gate this is.
        organisation: if person.is_some() { app.current.get().organisation.clone() } else { String::new() },
        person,
        now: None,
    })
}
