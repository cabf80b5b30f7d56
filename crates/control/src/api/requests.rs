//! Decisions about single requests: which of them are on record.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use portcullis_types::{Prefix, Reason};
use serde::Deserialize;

use super::gate::span;
use super::{App, Asked, Refusal};
use crate::desk::{Span, VERDICTS, Wish};
use crate::model::Decisions;

/// Decisions in one answer.
const MOST: usize = 200;
/// Bytes of whatever is looked for.
const TEXT: usize = 256;

/// Which decisions; what is not said is not asked.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// From, in Unix milliseconds; an hour ago without.
    from: Option<u64>,
    /// Until; now without.
    until: Option<u64>,
    /// The platform.
    #[param(max_length = 256)]
    platform: Option<String>,
    /// The route, as it is declared.
    #[param(max_length = 256)]
    route: Option<String>,
    /// An address, or a network such as `203.0.113.0/24`.
    #[param(max_length = 256)]
    client: Option<String>,
    /// `served`, `refused`, `failed`, `challenged`, `roomed`.
    #[param(max_length = 256)]
    verdict: Option<String>,
    /// The code of a reason.
    #[param(max_length = 256)]
    reason: Option<String>,
    /// The status, 0 to 999; 0 where the connection was closed.
    status: Option<u16>,
    /// The TLS print (JA4), whole.
    #[param(max_length = 256)]
    print: Option<String>,
    /// What is in the method, host, path, detail or reference, whatever its case.
    #[param(max_length = 256)]
    text: Option<String>,
    /// `next` of the answer before, with all else as it was.
    #[param(max_length = 256)]
    cursor: Option<String>,
    /// How many at once, 1 to 200; 50 without.
    most: Option<usize>,
}

/// Decisions on record, the newest first: all that was not served, and of what was served a sample.
#[utoipa::path(get, path = "/api/v1/requests", params(Which), responses((status = 200, body = Decisions)))]
pub(crate) async fn find(State(app): State<Arc<App>>, Asked(asked): Asked<Which>) -> Result<Json<Decisions>, Refusal> {
    let (from, until) = span(asked.from, asked.until)?;
    let wish = wish(&asked)?;
    let (platform, cursor) = (given(asked.platform)?, given(asked.cursor)?);
    let most = asked.most.unwrap_or(50).clamp(1, MOST);
    let answer = move |desk: &dyn crate::Desk| {
        let span = Span { platform: platform.as_deref(), from, until };
        desk.requests(&span, &wish, cursor.as_deref(), most)
    };
    app.ask(answer).await.map(Json)
}

fn wish(asked: &Which) -> Result<Wish, Refusal> {
    let client = given(asked.client.clone())?.map(|text| Prefix::parse(&text)).transpose().map_err(Refusal::unfit)?;
    let verdict = given(asked.verdict.clone())?;
    if verdict.as_ref().is_some_and(|verdict| !VERDICTS.contains(&verdict.as_str())) {
        return Err(Refusal::unfit(format!("`verdict` is one of {}", VERDICTS.join(", "))));
    }
    let reason = given(asked.reason.clone())?;
    if let Some(reason) = reason.as_ref().filter(|reason| Reason::from_code(reason).is_none()) {
        return Err(Refusal::unfit(format!("there is no reason `{reason}`")));
    }
    let (route, print, text) = (given(asked.route.clone())?, given(asked.print.clone())?, given(asked.text.clone())?);
    Ok(Wish { route, client, verdict, reason, status: asked.status, print, text })
}

/// A form sends what was left empty as nothing.
fn given(text: Option<String>) -> Result<Option<String>, Refusal> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    match text {
        Some(text) if text.len() > TEXT => Err(Refusal::unfit(format!("that is longer than {TEXT} bytes"))),
        text => Ok(text),
    }
}
