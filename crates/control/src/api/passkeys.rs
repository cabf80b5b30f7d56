//! Passkeys: made and revoked by their owner, and signed in with.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;

use super::session::{entered, login, person};
use super::{App, Refusal, Sent, done};
use crate::model::{Done, Passkey, PasskeyMade, PasskeyUsed, Session};
use crate::people::passkeys::Party;
use crate::people::{Known, Way};
use crate::server::{Peer, now};

/// What a browser asks a device for, so that somebody is let in (`PublicKeyCredentialRequestOptionsJSON`). It is good for one answer
/// within five minutes.
#[utoipa::path(post, path = "/api/v1/session/passkey", responses((status = 200, body = Object)))]
pub(crate) async fn ask(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(app.people.ask_passkey(party(&app)?, Some(peer.ip()), now())?))
}

/// Signs in by what the device has signed. Name, password and code are not asked for.
#[utoipa::path(put, path = "/api/v1/session/passkey", request_body = PasskeyUsed, responses((status = 200, body = Session)))]
pub(crate) async fn enter(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    Sent(sent): Sent<PasskeyUsed>,
) -> Result<Response, Refusal> {
    let party = party(&app)?.clone();
    let place = (Some(peer.ip()), Way::Passkey);
    let entering = app.slow(move |people| Ok(people.enter_by_passkey(&party, &sent, now()))).await?;
    match entering {
        Ok(begun) => {
            login(&app, &begun.name, place, true);
            entered(&app, &headers, &begun, place)
        }
        Err(shut) => {
            // What names nobody is noise that anybody can make.
            if let Some(who) = &shut.who {
                login(&app, who, place, false);
            }
            Err(shut.why.into())
        }
    }
}

/// One's own passkeys.
#[utoipa::path(get, path = "/api/v1/session/passkeys", responses((status = 200, body = Vec<Passkey>)))]
pub(crate) async fn all(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
) -> Result<Json<Vec<Passkey>>, Refusal> {
    person(&known)?;
    Ok(Json(app.people.passkeys(&known.name)?))
}

/// What a browser asks a device for, so that it makes a passkey (`PublicKeyCredentialCreationOptionsJSON`).
#[utoipa::path(post, path = "/api/v1/session/passkeys", responses((status = 200, body = Object)))]
pub(crate) async fn offer(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
) -> Result<Json<Value>, Refusal> {
    person(&known)?;
    Ok(Json(app.people.offer_passkey(party(&app)?, &known, &app.current.get().organisation, now())?))
}

/// Keeps the passkey that a device has made. From now on it signs in.
#[utoipa::path(put, path = "/api/v1/session/passkeys", request_body = PasskeyMade, responses((status = 200, body = Done)))]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Sent(sent): Sent<PasskeyMade>,
) -> Result<Json<Done>, Refusal> {
    person(&known)?;
    let (party, name) = (party(&app)?.clone(), known.name.clone());
    let made = app.slow(move |people| people.add_passkey(&party, &known, &sent, now())).await?;
    app.desk.changed(&format!("a passkey was added: {}", made.name), &name);
    Ok(done(format!("{} signs you in from now on.", made.name)))
}

/// Revokes one of one's own passkeys.
#[utoipa::path(delete, path = "/api/v1/session/passkeys/{id}", params(("id" = String, Path)), responses((status = 200, body = Done)))]
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
) -> Result<Json<Done>, Refusal> {
    person(&known)?;
    app.people.revoke_passkey(&known.name, &id)?;
    app.desk.changed("a passkey was revoked", &known.name);
    Ok(done("The passkey opens nothing any more."))
}

fn party(app: &App) -> Result<&Party, Refusal> {
    app.party.as_ref().ok_or_else(|| {
        let words = "browsers have passkeys for names alone: declare `url` in [console], with https:// and a name";
        Refusal::new(StatusCode::CONFLICT, words)
    })
}
