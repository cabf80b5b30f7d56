//! Who may ask what: the checks that every request passes before anything is done for it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_SECURITY_POLICY, COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::api::{App, Refusal};
use crate::model::Role;
use crate::people::Known;
use crate::server::now;

/// Goes back with whatever changes something.
const CSRF: &str = "x-portcullis-csrf";
/// What pages of the console may load: what lies beside them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Who may pass into one part of the API.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) app: Arc<App>,
    /// For tokens.
    pub(crate) scope: &'static str,
    pub(crate) least: Role,
}

/// Looks at every request: one for another host or from another's page is not answered.
pub(crate) async fn outside(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = match elsewhere(&app, request.method(), request.headers()) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    if app.is_secure() {
        headers.insert("strict-transport-security", HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// Lets into a part of the API who may be there.
pub(crate) async fn guard(State(part): State<Part>, mut request: Request, next: Next) -> Response {
    match admitted(&part, request.method(), request.headers()) {
        Ok(known) => {
            request.extensions_mut().insert(known);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// The console's cookie. Where there is TLS its name binds it to this host alone (RFC 6265bis section 4.1.3.2).
pub(crate) fn cookie_name(app: &App) -> &'static str {
    if app.is_secure() { "__Host-portcullis" } else { "portcullis" }
}

/// The cookie's value in a request.
pub(crate) fn cookie(app: &App, headers: &HeaderMap) -> Option<String> {
    cookie_called(cookie_name(app), headers)
}

/// The value of the cookie of that name.
pub(crate) fn cookie_called(name: &str, headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

/// A name that points here and is not ours lets a page of somebody else speak to us (DNS rebinding), and a browser says from whose page
/// a request comes.
fn elsewhere(app: &App, method: &Method, headers: &HeaderMap) -> Option<Refusal> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !app.is_own_host(host) {
        let words = format!("this is the console of another name: open {}", app.settings.url);
        return Some(Refusal::new(StatusCode::MISDIRECTED_REQUEST, words));
    }
    if method.is_safe() {
        return None;
    }
    let own = |origin: &HeaderValue| {
        origin
            .to_str()
            .is_ok_and(|origin| origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host)))
    };
    let foreign = headers.get(ORIGIN).is_some_and(|origin| !own(origin))
        || headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    foreign.then(|| Refusal::new(StatusCode::FORBIDDEN, "a page of another origin must not act here"))
}

/// Who asks, if it is somebody who may.
fn admitted(part: &Part, method: &Method, headers: &HeaderMap) -> Result<Known, Refusal> {
    let people = &part.app.people;
    let known = match (bearer(headers), cookie(&part.app, headers)) {
        (Some(secret), _) => people.bearer(&secret, now())?,
        (None, Some(cookie)) => people.session(&cookie, now())?,
        (None, None) => None,
    };
    let Some(known) = known else {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "sign in first"));
    };
    if let Some(csrf) = &known.csrf
        && !method.is_safe()
    {
        let sent = headers.get(CSRF).map(HeaderValue::as_bytes).unwrap_or_default();
        if aws_lc_rs::constant_time::verify_slices_are_equal(csrf.as_bytes(), sent).is_err() {
            let words = format!("`{CSRF}` is missing or of another session: GET /api/v1/session has it");
            return Err(Refusal::new(StatusCode::FORBIDDEN, words));
        }
    }
    if known.role < part.least {
        let words = format!("{} may not do this: it takes {}", known.name, role(part.least));
        return Err(Refusal::new(StatusCode::FORBIDDEN, words));
    }
    if !known.scopes.is_empty() && !known.scopes.iter().any(|scope| scope == part.scope) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, format!("this token does not open `{}`", part.scope)));
    }
    Ok(known)
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    value
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, it)| it.trim().to_owned())
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Viewer => "a viewer",
        Role::Operator => "an operator",
        Role::Owner => "an owner",
    }
}
