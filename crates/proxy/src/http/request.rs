//! The life of a request.
//!
//! Each phase consumes the token of the one before: what the engine has not admitted is not inspected, what is not checked
//! goes nowhere, what is not cleared does not leave.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use portcullis_engine::{Admitted, Ask, Detail, Refusal, Sight};
use portcullis_types::Reason;
use portcullis_wire::http::{Fields, Name, RequestHead};

use super::account::Account;
use super::answer::{Answer, redirect, refuse};
use super::body::Body;
use super::identity::{self, Client, Connection};
use super::response::{self, Interim};
use super::rules;
use super::upstream::{self, Failure, Surroundings};
use crate::panics;
use crate::state::{Local, Snapshot};
use crate::watch::Watch;
use crate::worker::Worker;

/// A request that has come, and where.
pub(crate) struct Visit<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) connection: &'a Connection,
    pub(crate) head: &'a RequestHead,
    /// The deadline of the task that serves it.
    pub(crate) watch: &'a Watch,
    /// Whether it asks for another protocol.
    pub(crate) upgrade: bool,
}

/// Carries one request through its phases. There is always an answer.
pub(crate) async fn serve(visit: Visit<'_>, body: Body, interim: &mut Interim<'_>, account: &mut Account) -> Answer {
    let local = visit.worker.local();
    // Pinned where it is made, and polled through the guard: a future of this size must not be moved about.
    let outcome = {
        let mut phases = pin!(phases(&visit, &local, body, interim, account));
        poll_fn(|cx| panics::caught(|| phases.as_mut().poll(cx))).await
    };
    match outcome {
        Ok(Ok(answer)) => answer,
        Ok(Err(refusal)) => refuse(account, visit.head, &refusal),
        Err(panic) => {
            visit.worker.panicked();
            account.fail(Reason::InternalFault, panic);
            refuse(account, visit.head, &Refusal::new(Reason::InternalFault, "a fault inside the gate"))
        }
    }
}

async fn phases(
    visit: &Visit<'_>,
    local: &Local,
    mut body: Body,
    interim: &mut Interim<'_>,
    account: &mut Account,
) -> Result<Answer, Refusal> {
    let Visit { worker, connection, head, watch, upgrade } = *visit;
    let snapshot = &local.snapshot;
    let client = identity::resolve(connection, head, &snapshot.policy.trusted);
    account.identified(client);
    let place = find(snapshot, head)?;
    account.placed(snapshot, place);
    if let Some(port) = redirect_port(snapshot, connection) {
        // Only for hosts of ours: a redirect to whatever `Host` says would be an open one.
        return Ok(redirect(account, head, port));
    }
    let admitted = admit(worker, snapshot, head, client, place, account)?;
    let checked = rules::inspect(admitted, snapshot, place, head, &mut body, upgrade)?;
    // Asked for before the upstream is: one that has agreed to switch cannot be told that there is no room.
    let upgrade = if checked.upgrade() { Some(worker.engine_node().handle_upgrade()?) } else { None };
    let reference = account.reference.word();
    let idle = checked.transport().idle_timeout;
    let mut around = Surroundings {
        platform: local.platform(place.0),
        limits: &snapshot.policy.limits,
        watch,
        client: &client,
        node: &snapshot.policy.server.name,
        reference: &reference,
        interim,
    };
    let sent = upstream::send(checked, head, body, &mut around).await;
    let mut reply = sent.map_err(|failure| failed(failure, account))?;
    account.traced(std::mem::take(&mut reply.trace));
    let held = reply.admitted.take();
    let cleared = response::guard(reply, &snapshot.policy.server.name);
    Ok(Answer { cleared, held, upgrade, idle, keeps_connection: true })
}

/// Finds the platform and the route.
fn find(snapshot: &Snapshot, head: &RequestHead) -> Result<(usize, usize), Refusal> {
    let platform = snapshot
        .router
        .platform(head.host())
        .ok_or_else(|| Refusal::new(Reason::UnknownHost, "no platform has this host"))?;
    // The configuration has seen to it that every platform has a route for everything.
    Ok((platform, snapshot.router.route(platform, head.path()).unwrap_or_default()))
}

/// Asks the engine.
fn admit(
    worker: &Worker,
    snapshot: &Snapshot,
    head: &RequestHead,
    client: Client,
    (platform, route): (usize, usize),
    account: &mut Account,
) -> Result<Admitted, Refusal> {
    let declared = &snapshot.policy.platforms[platform];
    let session = declared.session_cookie.as_ref().and_then(|name| cookie(&head.fields, name.as_bytes()));
    let api_key = declared.api_key_header.as_ref().and_then(|name| head.fields.find(name.as_bytes()));
    let ask = Ask {
        client: client.address,
        platform,
        route,
        class: account.class(),
        session,
        api_key,
        sight: Sight::default(),
        wall: 0,
    };
    let admitted = worker.admit(&ask, account.began)?;
    account.observed(admitted.observed());
    Ok(admitted)
}

/// The value of a cookie.
fn cookie<'a>(fields: &'a Fields, name: &[u8]) -> Option<&'a [u8]> {
    fields.all(Name::Cookie).flat_map(|value| value.split(|byte| *byte == b';')).find_map(|pair| {
        let pair = portcullis_wire::http::trim(pair);
        pair.strip_prefix(name)?.strip_prefix(b"=")
    })
}

fn redirect_port(snapshot: &Snapshot, connection: &Connection) -> Option<u16> {
    snapshot.policy.listeners.get(connection.listener)?.redirect_to_https
}

fn failed(failure: Failure, account: &mut Account) -> Refusal {
    account.traced(failure.trace);
    Refusal::new(failure.reason, Detail::Measure(Arc::from(failure.detail)))
}
