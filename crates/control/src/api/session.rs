//! Signing in and out.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::header::{HOST, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};

use super::{App, Refusal, Sent, done};
use crate::door::{cookie, cookie_name};
use crate::model::{Code, Done, Enrolment, Session, SignIn, Welcome};
use crate::people::{Begun, Denied, Known};
use crate::server::{Peer, now};

/// Who is signed in, and how one can.
#[utoipa::path(get, path = "/api/v1/session", responses((status = 200, body = Session)))]
pub(crate) async fn look(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Json<Session>, Refusal> {
    let known = match cookie(&app, &headers) {
        Some(cookie) => app.people.session(&cookie, now())?,
        None => None,
    };
    Ok(Json(session(&app, &headers, known.as_ref())?))
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
    // A missing code is the first half of signing in, and no failure.
    if !matches!(&begun, Err(refusal) if refusal.title.is_some()) {
        login(&app, &name, from, begun.is_ok());
    }
    entered(&app, &headers, &begun?)
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
    login(&app, &begun.name, Some(peer.ip()), true);
    entered(&app, &headers, &begun)
}

/// Offers a second factor, which is in force once its first code was right.
#[utoipa::path(post, path = "/api/v1/session/totp", responses((status = 200, body = Enrolment)))]
pub(crate) async fn enrol(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
) -> Result<Json<Enrolment>, Refusal> {
    person(&known)?;
    Ok(Json(app.people.enrol(&known.name, &app.settings.organisation)?))
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

pub(super) fn login(app: &Arc<App>, who: &str, from: Option<IpAddr>, good: bool) {
    let (desk, who) = (Arc::clone(&app.desk), who.chars().take(64).collect::<String>());
    drop(tokio::task::spawn_blocking(move || desk.login(&who, from, good)));
}

pub(super) fn entered(app: &App, headers: &HeaderMap, begun: &Begun) -> Result<Response, Refusal> {
    let known = app.people.session(&begun.cookie, now())?;
    let mut response = Json(session(app, headers, known.as_ref())?).into_response();
    set(
        &mut response,
        &format!("{}={}; Path=/; HttpOnly; SameSite=Strict{}", cookie_name(app), begun.cookie, secure(app)),
    );
    Ok(response)
}

fn set(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(SET_COOKIE, value);
    }
}

fn secure(app: &App) -> &'static str {
    if app.is_secure() { "; Secure" } else { "" }
}

fn session(app: &App, headers: &HeaderMap, known: Option<&Known>) -> Result<Session, Refusal> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // A page that was opened by another name of this console would ask in vain.
    let passkeys = app.party.as_ref().is_some_and(|party| party.is_at(host));
    let person = known.map(|known| app.people.one(&known.name)).transpose()?.flatten();
    Ok(Session {
        csrf: known.and_then(|known| known.csrf.clone()),
        fresh: app.people.is_empty()?,
        ways: ["password"].into_iter().chain(passkeys.then_some("passkey")).map(str::to_owned).collect(),
        // Whoever is not signed in need not know whose gate this is.
        organisation: if person.is_some() { app.settings.organisation.clone() } else { String::new() },
        person,
    })
}
