//! What waits for a second person, and that person's answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::{App, Refusal, done};
use crate::desk::{Deed, Fault};
use crate::model::{Done, Happening, Proposal};
use crate::people::{Known, digest_of};
use crate::proposals::{Act, Approved, No};
use crate::server::now;
use crate::welcome_url;

/// What waits for a second person.
#[utoipa::path(get, path = "/api/v1/proposals", responses((status = 200, body = Vec<Proposal>)))]
pub(crate) async fn all(State(app): State<Arc<App>>) -> Json<Vec<Proposal>> {
    Json(app.proposals.all(now()))
}

/// Approves what another person has proposed: then it is done, in both names.
#[utoipa::path(post, path = "/api/v1/proposals/{id}/approve", params(("id" = String, Path)), responses((status = 200, body = Done)))]
pub(crate) async fn approve(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
) -> Result<Json<Done>, Refusal> {
    let Approved { proposal, act } = app.proposals.approve(&id, &known, now())?;
    let person = &proposal.person;
    if app.people.one(person)?.is_none_or(|person| person.role < proposal.least) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, format!("{person}, who proposed it, may not do it any more")));
    }
    tell(&app, &proposal, &format!("{} approved what {} proposed", known.name, proposal.by), &known);
    let by = format!("{} and {}", proposal.by, known.name);
    perform(&app, act, by).await.map(done)
}

/// Refuses what somebody has proposed, or takes it back.
#[utoipa::path(post, path = "/api/v1/proposals/{id}/refuse", params(("id" = String, Path)), responses((status = 200, body = Done)))]
pub(crate) async fn refuse(
    State(app): State<Arc<App>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
) -> Result<Json<Done>, Refusal> {
    let proposal = app.proposals.refuse(&id, now())?;
    let words = format!("{} refused what {} proposed", known.name, proposal.by);
    tell(&app, &proposal, &words, &known);
    Ok(done(format!("It is not done: {}.", proposal.words)))
}

/// Does it and answers what was done, or proposes it where the policy asks for two people and answers the proposal.
pub(crate) async fn act(app: &Arc<App>, act: Act, known: &Known) -> Result<Response, Refusal> {
    if takes_two(app, &act) {
        return propose(app, act, known);
    }
    Ok(done(perform(app, act, known.name.clone()).await?).into_response())
}

/// Whether the policy asks for two people.
pub(crate) fn takes_two(app: &App, act: &Act) -> bool {
    app.current.get().approvals.iter().any(|kind| kind == act.kind())
}

/// Lets it wait for a second person.
pub(crate) fn propose(app: &Arc<App>, act: Act, known: &Known) -> Result<Response, Refusal> {
    let proposal = app.proposals.propose(act, known, now())?;
    tell(app, &proposal, &format!("{} proposed", known.name), known);
    Ok((StatusCode::ACCEPTED, Json(proposal)).into_response())
}

/// Does what is asked, in these names.
async fn perform(app: &Arc<App>, act: Act, by: String) -> Result<String, Refusal> {
    match act {
        Act::Command(command) => app.ask(move |desk| desk.command(command, &by)).await,
        Act::Reload(seen) => {
            let reload = move |desk: &dyn crate::Desk| {
                if digest_of(desk.configuration(true)?.text.as_bytes()) != seen {
                    return Err(Fault::Refused("the configuration was changed meanwhile: ask again".to_owned()));
                }
                desk.reload(&by)
            };
            app.ask(reload).await
        }
        Act::Configure { new, .. } => app.ask(move |desk| desk.change(&new, &by)).await,
        Act::Statements(decision, _) => app.ask(move |desk| desk.decide(&decision, &by)).await,
        Act::Close { id, words } => app.ask(move |desk| desk.add(&id, Deed::Close(words), &by)).await,
        Act::Invite { name, role } => {
            let (secret, _) = app.people.invite(&name, role, now())?;
            app.desk.changed(&format!("{name} was invited as {}", role.name()), &by);
            let url = welcome_url(&app.settings.url, &secret);
            Ok(format!("{name} is invited. This link works once, within the hour: {url}"))
        }
        Act::Rank { name, role } => {
            app.people.set_role(&name, role)?;
            let words = format!("{name} is {} from now on", role.name());
            app.desk.changed(&words, &by);
            Ok(words)
        }
        Act::Remove { name } => {
            app.people.remove(&name)?;
            app.desk.changed(&format!("the account of {name} was ended"), &by);
            Ok(format!("{name} has no account any more."))
        }
    }
}

/// On record, and to whoever looks.
fn tell(app: &App, proposal: &Proposal, what: &str, known: &Known) {
    let words = format!("{what}: {}", proposal.words);
    app.desk.changed(&words, &known.name);
    let (kind, by) = ("proposal".to_owned(), known.name.clone());
    let happening = Happening { at: now(), kind, by, words, ..Happening::default() };
    app.live.tell(&happening);
}

impl From<No> for Refusal {
    fn from(no: No) -> Self {
        let (status, words) = match no {
            No::Unknown => (StatusCode::NOT_FOUND, "there is no such proposal, or it is answered or forgotten"),
            No::Own => {
                (StatusCode::FORBIDDEN, "it takes another person than who proposed it, and one who is signed in")
            }
            No::Role => (StatusCode::FORBIDDEN, "who may not do this alone may not approve it"),
            No::Many => {
                (StatusCode::SERVICE_UNAVAILABLE, "too much waits for a second person: answer some of it first")
            }
        };
        Self::new(status, words)
    }
}
