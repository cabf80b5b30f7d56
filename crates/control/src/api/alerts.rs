//! Who is told when something is wrong.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;

use super::{App, Refusal, done};
use crate::model::{AlertChannel, Alerts, Done};
use crate::people::Known;
use crate::server::now;

/// How each of those stands who are told, and what is going on.
#[utoipa::path(get, path = "/api/v1/alerts", responses((status = 200, body = Alerts)))]
pub(crate) async fn all(State(app): State<Arc<App>>) -> Json<Alerts> {
    let channels = app.alerts.standing().into_iter().map(|it| {
        let (last_error_at, last_error) = it.last_error.unzip();
        AlertChannel {
            name: it.name,
            kind: it.kind.to_owned(),
            min: it.min.to_owned(),
            waiting: it.waiting,
            sent: it.sent,
            last_sent: it.last_sent,
            given_up: it.given_up,
            last_error,
            last_error_at,
        }
    });
    Json(Alerts { channels: channels.collect(), open: app.alerts.open() })
}

/// Sends a message that says that it is a test. Whether it arrived is in `GET /api/v1/alerts` a moment later.
#[utoipa::path(post, path = "/api/v1/alerts/{name}/test", params(("name" = String, Path)), responses((status = 200, body = Done)))]
pub(crate) async fn test(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(name): Path<String>,
) -> Result<Json<Done>, Refusal> {
    match app.alerts.test(&name, &known.name, now()) {
        Some(true) => Ok(done(format!("A test is on its way to {name}."))),
        Some(false) => Err(Refusal::new(StatusCode::CONFLICT, format!("too many messages wait for {name} already"))),
        None => Err(Refusal::new(StatusCode::NOT_FOUND, format!("there is no alert {name}"))),
    }
}

/// Says that somebody knows of everything that is going on: nobody else is told because nobody answered.
#[utoipa::path(post, path = "/api/v1/alerts/acknowledge", responses((status = 200, body = Done)))]
pub(crate) async fn acknowledge(State(app): State<Arc<App>>, Extension(known): Extension<Known>) -> Json<Done> {
    let many = app.alerts.acknowledge(&known.name);
    if many > 0 {
        app.desk.changed(&format!("{many} alerts were acknowledged"), &known.name);
    }
    done(format!("{many} troubles that nobody had acknowledged are known to {} now.", known.name))
}
