//! Signing in by the organisation's own provider: away, and back.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::session::{entered, login, secure, set};
use super::{App, Refusal, Sent};
use crate::door::cookie_called;
use crate::model::{OidcAway, OidcReturn, Session};
use crate::oidc::{Back, Oidc, STAY};
use crate::people::{Denied, Way};
use crate::server::{Peer, now};

/// Where a browser is to go, so that the organisation's provider says who is there. It comes back within ten minutes.
#[utoipa::path(post, path = "/api/v1/session/oidc", responses((status = 200, body = OidcAway)))]
pub(crate) async fn away(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
) -> Result<Response, Refusal> {
    let oidc = declared(&app)?;
    app.people.try_oidc(Some(peer.ip()), now())?;
    let sent = oidc.send(now()).await?;
    let mut response = Json(OidcAway { url: sent.url }).into_response();
    // A page of another site brings it back, which a stricter cookie would not survive.
    let (name, seconds) = (cookie_name(&app), STAY / 1_000);
    let cookie = format!("{name}={}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{}", sent.cookie, secure(&app));
    set(&mut response, &cookie);
    Ok(response)
}

/// Signs in by what the provider has sent the browser back with. It is good once, in the browser that was sent.
#[utoipa::path(put, path = "/api/v1/session/oidc", request_body = OidcReturn, responses((status = 200, body = Session)))]
pub(crate) async fn back(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    Sent(sent): Sent<OidcReturn>,
) -> Result<Response, Refusal> {
    let oidc = declared(&app)?;
    let place = (Some(peer.ip()), Way::Oidc);
    let cookie = cookie_called(cookie_name(&app), &headers);
    let somebody = match oidc.back(&sent, cookie.as_deref(), now()).await {
        Ok(somebody) => somebody,
        Err(Back::Nobody(why)) => return Err(Denied::Unproven(why.to_owned()).into()),
        Err(Back::Refused(why)) => {
            if matches!(why, Denied::Unproven(_)) {
                login(&app, &called("somebody", oidc), place, false);
            }
            return Err(why.into());
        }
    };
    let role = match somebody.role.clone() {
        Ok(role) => role,
        Err(why) => {
            let gone = somebody.clone();
            let whose = app.slow(move |people| people.shut_out(&gone)).await?;
            login(&app, &whose.unwrap_or_else(|| called(&somebody.name, oidc)), place, false);
            return Err(Denied::Stranger(why).into());
        }
    };
    let name = called(&somebody.name, oidc);
    match app.slow(move |people| Ok(people.enter_by_oidc(&somebody, role, now()))).await? {
        Ok(found) => {
            if let Some(news) = &found.news {
                app.desk.changed(news, &found.begun.name);
            }
            login(&app, &found.begun.name, place, true);
            let mut response = entered(&app, &headers, &found.begun, place)?;
            let gone = format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{}", cookie_name(&app), secure(&app));
            set(&mut response, &gone);
            Ok(response)
        }
        Err(why) => {
            login(&app, &name, place, false);
            Err(why.into())
        }
    }
}

/// A name that the provider gives is no account's: it stands on record with whose word it is, whatever it looks like.
fn called(name: &str, oidc: &Oidc) -> String {
    let plain = |text: &str, most| text.chars().filter(|c| !c.is_control()).take(most).collect::<String>();
    format!("{} (by {})", plain(name, 32), plain(oidc.name(), 24))
}

/// Where there is TLS its name binds it to this host alone, as the session's does.
fn cookie_name(app: &App) -> &'static str {
    if app.is_secure() { "__Host-portcullis-oidc" } else { "portcullis-oidc" }
}

fn declared(app: &App) -> Result<&Oidc, Refusal> {
    let none = || Refusal::new(StatusCode::CONFLICT, "no provider vouches for people here: see [console.oidc]");
    app.oidc.as_ref().ok_or_else(none)
}

#[cfg(test)]
mod tests;
