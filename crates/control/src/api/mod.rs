//! The API, version 1: its routes, who may use each, and the document that says so (OpenAPI 3.1, made from this code).

mod access;
mod alerts;
mod casework;
mod configuration;
mod data;
mod gate;
mod incidents;
mod oidc;
mod passkeys;
mod proposals;
mod record;
mod rehearsals;
mod requests;
mod rules;
mod session;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use utoipa::OpenApi;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::alerts::Alerts;
use crate::desk::{Desk, Fault};
use crate::door::{self, Part};
use crate::live::Live;
use crate::model::{Problem, Role};
use crate::oidc::Oidc;
use crate::people::passkeys::Party;
use crate::people::{Denied, People};
use crate::proposals::Proposals;
use crate::{Current, Settings, assets};

/// Things asked of the gate at once; more wait.
pub(crate) const ASKS: usize = 4;
/// For so long.
const WAIT: Duration = Duration::from_secs(10);
/// Body of a request: a configuration at most.
const BODY_BYTES: usize = 1024 * 1024;

/// What every request is answered from.
pub(crate) struct App {
    /// As they were at the start: where things are.
    pub(crate) settings: Settings,
    /// As the policy in force has them: who is told, what takes two people, what the public sees.
    pub(crate) current: Current,
    pub(crate) people: People,
    pub(crate) desk: Arc<dyn Desk>,
    pub(crate) live: Arc<Live>,
    /// For whom passkeys sign; none where a browser would not ask for one.
    pub(crate) party: Option<Party>,
    /// Who else says who somebody is.
    pub(crate) oidc: Option<Oidc>,
    /// What waits for a second person.
    pub(crate) proposals: Proposals,
    pub(crate) alerts: Alerts,
    asks: Semaphore,
}

impl App {
    pub(crate) fn new(settings: Settings, people: People, desk: Arc<dyn Desk>, live: Arc<Live>) -> Self {
        let party = Party::of(&settings.url);
        let oidc = settings.oidc.clone().map(|declared| Oidc::new(declared, &settings.url));
        let alerts = Alerts::new(settings.alerts.clone(), &settings.url, &settings.language);
        let current = Current::new(settings.clone());
        let (proposals, asks) = (Proposals::default(), Semaphore::new(ASKS));
        Self { settings, current, people, desk, live, party, oidc, proposals, alerts, asks }
    }

    /// Asks the gate, on a thread that may block.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Desk) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Refusal> {
        let desk = Arc::clone(&self.desk);
        self.apart("others are asking the gate: try again", move || question(desk.as_ref())).await
    }

    /// Asks the accounts for what is slow by intent: hashing a password.
    pub(crate) async fn slow<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&People) -> Result<T, Denied> + Send + 'static,
    ) -> Result<T, Refusal> {
        let app = Arc::clone(self);
        self.apart("others are signing in: try again", move || question(&app.people)).await
    }

    /// Does what may block on a thread of its own, as soon as there is room.
    async fn apart<T: Send + 'static, E: Into<Refusal> + Send + 'static>(
        &self,
        busy: &'static str,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, Refusal> {
        let busy = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, busy);
        let _permit = timeout(WAIT, self.asks.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())?;
        let broken = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "answering panicked; please report it");
        tokio::task::spawn_blocking(work).await.map_err(broken)?.map_err(Into::into)
    }

    /// Whether browsers come over TLS, which may end before us.
    pub(crate) fn is_secure(&self) -> bool {
        self.settings.tls.is_some() || self.settings.url.starts_with("https://")
    }

    /// Whether a `Host` is this console: the name that was declared, or loopback.
    pub(crate) fn is_own_host(&self, host: &str) -> bool {
        let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.contains(']') { host } else { name });
        let declared = self.settings.url.split_once("://").map_or("", |(_, rest)| rest);
        let declared = declared.split(['/', ':']).next().unwrap_or_default();
        ["localhost", "127.0.0.1", "[::1]"].contains(&name)
            || !declared.is_empty() && name.eq_ignore_ascii_case(declared)
    }
}

/// Everything that is answered.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let (router, document) = parts(app).split_for_parts();
    let text: Arc<str> = document.to_json().unwrap_or_default().into();
    let document = move || {
        let text = Arc::clone(&text);
        async move { ([(CONTENT_TYPE, "application/json")], text.to_string()) }
    };
    router
        .route("/api/v1/openapi.json", get(document))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn(unkept))
        .fallback(assets::page)
        .layer(from_fn_with_state(Arc::clone(app), door::outside))
        .with_state(Arc::clone(app))
}

/// The document alone, for whoever makes a client from it.
#[must_use]
pub fn document() -> String {
    parts_of(|routes, _, _| routes).into_openapi().to_pretty_json().unwrap_or_default()
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Portcullis",
    version = "1",
    description = "How the gate stands, and what people ask of it. Cookies of a session, or a token: `Authorization: Bearer`. With a cookie, whatever changes something sends `X-Portcullis-Csrf`, which `GET /api/v1/session` has. Times are Unix milliseconds. `x-role` says who may.",
    license(name = "Apache-2.0", identifier = "Apache-2.0"),
))]
struct Whole;

type Routes = OpenApiRouter<Arc<App>>;

fn parts(app: &Arc<App>) -> Routes {
    parts_of(|routes, scope, least| match least {
        None => routes,
        Some(least) => routes.route_layer(from_fn_with_state(Part { app: Arc::clone(app), scope, least }, door::guard)),
    })
}

/// Every route once, with the part of the API that it belongs to and the least role that it takes.
fn parts_of(mut guarded: impl FnMut(Routes, &'static str, Option<Role>) -> Routes) -> Routes {
    let mut whole = OpenApiRouter::with_openapi(Whole::openapi());
    let mut part = |scope: &'static str, least: Option<Role>, routes: Routes| {
        let mut routes = guarded(routes, scope, least);
        mark(routes.get_openapi_mut(), scope, least);
        let taken = std::mem::replace(&mut whole, OpenApiRouter::new());
        whole = taken.merge(routes);
    };
    let new = || -> Routes { OpenApiRouter::new() };
    let (viewer, operator, owner) = (Some(Role::Viewer), Some(Role::Operator), Some(Role::Owner));
    part(
        "session",
        None,
        new()
            .routes(routes!(session::look, session::sign_in, session::sign_out))
            .routes(routes!(session::welcome))
            .routes(routes!(passkeys::ask, passkeys::enter))
            .routes(routes!(oidc::away, oidc::back)),
    );
    part(
        "session",
        viewer,
        new()
            .routes(routes!(session::enrol, session::confirm, session::forgo))
            .routes(routes!(passkeys::all, passkeys::offer, passkeys::add))
            .routes(routes!(passkeys::revoke))
            .routes(routes!(session::all))
            .routes(routes!(session::end))
            .routes(routes!(session::failed)),
    );
    part("now", viewer, new().routes(routes!(gate::now)).routes(routes!(gate::live)).routes(routes!(alerts::all)));
    part("now", operator, new().routes(routes!(alerts::test)).routes(routes!(alerts::acknowledge)));
    part(
        "traffic",
        viewer,
        new().routes(routes!(gate::history)).routes(routes!(gate::busiest)).routes(routes!(gate::explain)),
    );
    part("traffic", viewer, new().routes(routes!(requests::find)));
    part(
        "measures",
        viewer,
        new().routes(routes!(gate::events)).routes(routes!(gate::plays)).routes(routes!(proposals::all)),
    );
    part("measures", operator, new().routes(routes!(proposals::approve)).routes(routes!(proposals::refuse)));
    part(
        "measures",
        operator,
        new()
            .routes(routes!(gate::undo))
            .routes(routes!(gate::pin))
            .routes(routes!(gate::hold))
            .routes(routes!(gate::announce))
            .routes(routes!(gate::cancel))
            .routes(routes!(gate::play)),
    );
    part(
        "incidents",
        viewer,
        new()
            .routes(routes!(incidents::all))
            .routes(routes!(incidents::one))
            .routes(routes!(incidents::html))
            .routes(routes!(incidents::pdf))
            .routes(routes!(incidents::statement))
            .routes(routes!(incidents::forms)),
    );
    part(
        "incidents",
        operator,
        new()
            .routes(routes!(incidents::note))
            .routes(routes!(incidents::decide))
            .routes(routes!(incidents::told))
            .routes(routes!(incidents::close)),
    );
    part("integrity", viewer, new().routes(routes!(gate::integrity)));
    part("integrity", operator, new().routes(routes!(gate::drill)));
    part("now", viewer, new().routes(routes!(record::status)).routes(routes!(record::version)));
    part("settings", viewer, new().routes(routes!(record::effective)));
    part("integrity", viewer, new().routes(routes!(record::differing)));
    part("integrity", operator, new().routes(routes!(record::deploy)));
    part("integrity", owner, new().routes(routes!(record::baseline)));
    part("incidents", viewer, new().routes(routes!(record::checkpoint)).routes(routes!(record::key)));
    // What a record says may be about somebody.
    part("incidents", operator, new().routes(routes!(record::records)).routes(routes!(record::proof)));
    part("data", viewer, new().routes(routes!(gate::leaving)));
    part(
        "settings",
        viewer,
        new()
            .routes(routes!(configuration::look))
            .routes(routes!(configuration::check))
            .routes(routes!(configuration::keys))
            .routes(routes!(configuration::draft))
            .routes(routes!(configuration::versions)),
    );
    part(
        "settings",
        owner,
        new()
            .routes(routes!(configuration::change))
            .routes(routes!(configuration::version))
            .routes(routes!(configuration::restore))
            .routes(routes!(configuration::reload)),
    );
    part(
        "data",
        viewer,
        new()
            .routes(routes!(data::databases))
            .routes(routes!(data::statements))
            .routes(routes!(data::register))
            .routes(routes!(data::canaries)),
    );
    part(
        "data",
        operator,
        new().routes(routes!(data::approve)).routes(routes!(data::stage)).routes(routes!(data::attempt)),
    );
    part("data", owner, new().routes(routes!(data::budget)));
    part("incidents", viewer, new().routes(routes!(casework::export)));
    part("incidents", operator, new().routes(routes!(casework::open)).routes(routes!(casework::handed)));
    part("incidents", operator, new().routes(routes!(casework::attested)));
    part(
        "settings",
        owner,
        new()
            .routes(routes!(access::people, access::invite))
            .routes(routes!(access::remove))
            .routes(routes!(access::set_role))
            .routes(routes!(access::tokens, access::make_token))
            .routes(routes!(access::revoke)),
    );
    part(
        "measures",
        viewer,
        new().routes(routes!(rehearsals::scenarios)).routes(routes!(rehearsals::all)).routes(routes!(rehearsals::one)),
    );
    part("measures", operator, new().routes(routes!(rehearsals::play)).routes(routes!(rehearsals::stop)));
    part("measures", viewer, new().routes(routes!(rules::all)).routes(routes!(rules::exclusions)));
    part("measures", operator, new().routes(routes!(rules::attempt)));
    part("settings", owner, new().routes(routes!(rules::apply)));
    let document = whole.get_openapi_mut();
    let components = document.components.get_or_insert_default();
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("portcullis")));
    let token = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    components.add_security_scheme("cookie", cookie);
    components.add_security_scheme("token", token);
    whole
}

/// Says of each operation who may, and what every one of them may answer.
fn mark(document: &mut utoipa::openapi::OpenApi, scope: &str, least: Option<Role>) {
    for item in document.paths.paths.values_mut() {
        let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in all.into_iter().flatten() {
            operation.tags = Some(vec![scope.to_owned()]);
            let word = least.and_then(|least| serde_json::to_value(least).ok()).unwrap_or_else(|| "nobody".into());
            operation.extensions = Some(Extensions::builder().add("x-role", word).build());
            if least.is_some() {
                let either = ["cookie", "token"].map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new()));
                operation.security = Some(either.to_vec());
            }
            let problem = utoipa::openapi::ResponseBuilder::new()
                .description("What went wrong, and what to do about it (RFC 9457).")
                .content(
                    "application/problem+json",
                    utoipa::openapi::content::ContentBuilder::new()
                        .schema(Some(utoipa::openapi::Ref::from_schema_name("Problem")))
                        .build(),
                )
                .build();
            operation.responses.responses.insert("default".to_owned(), problem.into());
        }
    }
    let problem = <Problem as utoipa::PartialSchema>::schema();
    document.components.get_or_insert_default().schemas.insert("Problem".to_owned(), problem);
}

/// Answers of the API are of the moment, and somebody's.
async fn unkept(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

// ---------------------------------------------------------------------------------------------------------------------
// What went wrong.

/// An answer that is none, as RFC 9457 has it.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    title: Option<&'static str>,
    detail: String,
    after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, title: None, detail: detail.into(), after: None }
    }

    /// It is understood, and makes no sense.
    pub(crate) fn unfit(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unknown(words) => Self::new(StatusCode::NOT_FOUND, words),
            Fault::Refused(words) => Self::new(StatusCode::CONFLICT, words),
            Fault::Unable(words) => Self::new(StatusCode::SERVICE_UNAVAILABLE, words),
            Fault::Stale(words) => Self::new(StatusCode::PRECONDITION_FAILED, words),
            Fault::Unfit(words) => Self::unfit(words),
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let status = match &denied {
            Denied::Wrong | Denied::Shut(_) | Denied::Unproven(_) => StatusCode::UNAUTHORIZED,
            Denied::Stranger(_) => StatusCode::FORBIDDEN,
            Denied::CodeWanted => StatusCode::PRECONDITION_REQUIRED,
            Denied::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Denied::Because(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Denied::Unknown(_) => StatusCode::NOT_FOUND,
            Denied::Broken(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let after = if let Denied::TooOften(seconds) = denied { Some(seconds) } else { None };
        let title = matches!(denied, Denied::CodeWanted).then_some("code wanted");
        Self { status, title, detail: words(denied), after }
    }
}

/// What is said to whoever is denied something.
pub(crate) fn words(denied: Denied) -> String {
    match denied {
        Denied::Wrong => "name, password or code is wrong".to_owned(),
        Denied::Shut(why) => format!("the passkey does not open this: {why}"),
        Denied::CodeWanted => "the code of the second factor is wanted, too".to_owned(),
        Denied::TooOften(seconds) => format!("too many tries: wait {seconds} seconds"),
        Denied::Unproven(words) | Denied::Stranger(words) => words,
        Denied::Because(words) | Denied::Unknown(words) | Denied::Broken(words) => words,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let title = self.title.or(self.status.canonical_reason()).unwrap_or_default().to_owned();
        let problem =
            Problem { kind: "about:blank".to_owned(), title, status: self.status.as_u16(), detail: self.detail };
        let mut response = (self.status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        self.after.into_iter().for_each(|seconds| drop(headers.insert(RETRY_AFTER, seconds.into())));
        response
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What is sent.

/// JSON that was sent, or a clear word about it.
pub(crate) struct Sent<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let refused = |error: JsonRejection| Refusal::new(error.status(), error.body_text());
        Json::from_request(request, state).await.map(|Json(sent)| Self(sent)).map_err(refused)
    }
}

/// What stands behind `?`, or a clear word about it.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let refused = |error: QueryRejection| Refusal::new(error.status(), error.body_text());
        Query::from_request_parts(parts, state).await.map(|Query(asked)| Self(asked)).map_err(refused)
    }
}

/// Bytes of a kind.
pub(crate) fn file(kind: &'static str, bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, kind)], bytes).into_response()
}

/// What was done, in words.
pub(crate) fn done(words: impl Into<String>) -> Json<crate::model::Done> {
    Json(crate::model::Done { words: words.into() })
}

/// JSON that another part of the program has made.
pub(crate) fn json(value: &impl Serialize) -> Response {
    Json(value).into_response()
}

#[cfg(test)]
mod tests;
