//! The life of a request.

use std::fmt::Display;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_config::policy::TlsVersion;
use portcullis_engine::{Admitted, Ask, Refusal, UpgradePermit};
use portcullis_types::{Reason, Reference, RouteClass, Tick};
use portcullis_wire::h1::Refused;
use portcullis_wire::h2::SettingsPrint;
use portcullis_wire::http::{Fields, Name, RequestHead, ResponseHead, Version};

use super::body::Body;
use super::identity::{self, Client, Connection};
use super::response::{self, Cleared, Interim};
use super::rules;
use super::upstream::{self, Failure, Surroundings, Trace};
use crate::journal::{Record, Verdict};
use crate::metrics::Slot;
use crate::pages;
use crate::panics;
use crate::state::{Local, Snapshot};
use crate::watch::Watch;
use crate::worker::{Worker, unix_millis};

/// What goes back to the client, and what must be held until it has gone.
pub(crate) struct Answer {
    pub(crate) cleared: Cleared,
    /// The places that the request holds in the declared concurrency.
    pub(crate) held: Option<Admitted>,
    /// The place among the upgraded connections.
    pub(crate) upgrade: Option<UpgradePermit>,
    /// How long the platform may be silent in the middle of its response.
    pub(crate) idle: Duration,
    /// Whether the connection may carry another request.
    pub(crate) keeps_connection: bool,
}

/// Carries one request through its phases. Each phase consumes the token of the one before.
#[allow(clippy::too_many_arguments, reason = "this is where everything that a request needs comes together")]
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    connection: &Connection,
    head: &RequestHead,
    body: Body,
    upgrade: bool,
    interim: &mut Interim<'_>,
    watch: &Watch,
    account: &mut Account,
) -> Answer {
    let local = worker.local();
    // Pinned where it is made, and polled through the guard: a future of this size must not be moved about.
    let outcome = {
        let mut phases = pin!(phases(worker, &local, connection, head, body, upgrade, interim, watch, account));
        poll_fn(|cx| panics::caught(|| phases.as_mut().poll(cx))).await
    };
    match outcome {
        Ok(Ok(answer)) => answer,
        Ok(Err(refusal)) => refuse(account, worker, head, &refusal),
        Err(panic) => {
            worker.panicked();
            account.fail(Reason::InternalFault, &panic);
            refuse(account, worker, head, &Refusal::new(Reason::InternalFault, "a fault inside the gate"))
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "as above")]
async fn phases(
    worker: &Rc<Worker>,
    local: &Local,
    connection: &Connection,
    head: &RequestHead,
    mut body: Body,
    upgrade: bool,
    interim: &mut Interim<'_>,
    watch: &Watch,
    account: &mut Account,
) -> Result<Answer, Refusal> {
    let snapshot = &local.snapshot;
    let client = identity::resolve(connection, head, &snapshot.policy.trusted);
    account.client = Some(client);
    let place = find(snapshot, head, account)?;
    if let Some(port) = redirect_port(snapshot, connection) {
        // Only for hosts of ours: a redirect to whatever `Host` says would be an open one.
        return Ok(redirect(account, head, port));
    }
    let admitted = admit(worker, snapshot, head, client, place, account)?;
    let checked = rules::inspect(admitted, snapshot, place, head, &mut body, upgrade)?;
    // Asked for before the upstream is: one that has agreed to switch cannot be told that there is no room.
    let upgrade = if checked.upgrade() { Some(worker.engine_node().handle_upgrade()?) } else { None };
    let word = account.reference.word();
    let idle = checked.transport().idle_timeout;
    let mut around = Surroundings {
        platform: local.platform(place.0),
        limits: &snapshot.policy.limits,
        watch,
        client: &client,
        node: &snapshot.policy.server.name,
        reference: &word,
        interim,
    };
    let mut reply =
        upstream::send(checked, head, body, &mut around).await.map_err(|failure| failed(account, worker, failure))?;
    account.trace = std::mem::take(&mut reply.trace);
    worker.count_retries(account.trace.attempts);
    let held = reply.admitted.take();
    let cleared = response::guard(reply, &snapshot.policy.server.name);
    Ok(Answer { cleared, held, upgrade, idle, keeps_connection: true })
}

/// Finds the platform and the route.
fn find(snapshot: &Arc<Snapshot>, head: &RequestHead, account: &mut Account) -> Result<(usize, usize), Refusal> {
    let platform = snapshot
        .router
        .platform(head.host())
        .ok_or_else(|| Refusal::new(Reason::UnknownHost, "no platform has this host"))?;
    let route = snapshot.router.route(platform, head.path()).unwrap_or_default();
    account.place = Some((platform, route));
    account.class = snapshot.policy.platforms[platform].routes[route].class;
    account.slot = snapshot.platform_slots[platform];
    account.snapshot = Some(Arc::clone(snapshot));
    Ok((platform, route))
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
    let ask = Ask { client: client.address, platform, route, class: account.class, session, api_key };
    let admitted = worker.admit(&ask, account.began)?;
    for observed in admitted.observed() {
        worker.counters().observed(observed.reason);
        account.observed.push(observed.clone());
    }
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

/// The answer of a listener that only sends visitors to HTTPS.
fn redirect(account: &mut Account, head: &RequestHead, port: u16) -> Answer {
    let host = String::from_utf8_lossy(head.host()).into_owned();
    let target = String::from_utf8_lossy(if head.target() == b"*" { b"/" } else { head.target() }).into_owned();
    let location =
        if port == 443 { format!("https://{host}{target}") } else { format!("https://{host}:{port}{target}") };
    // 308 keeps method and body; browsers remember neither wrongly.
    let page = pages::redirect(308, &location);
    let mut answer = own(account, &page);
    answer.cleared.head.fields.push(b"location", location.as_bytes());
    answer
}

/// The page for a refusal. The connection survives it unless where the next request begins is no longer known.
fn refuse(account: &mut Account, worker: &Worker, head: &RequestHead, refusal: &Refusal) -> Answer {
    account.refuse(worker, refusal.reason, &refusal.detail);
    let json = pages::wants_json(head.fields.get(Name::Accept));
    let page = pages::page(refusal.reason, account.reference, json, refusal.retry_after);
    let mut answer = own(account, &page);
    if let Some(wait) = refusal.retry_after {
        let seconds = pages::retry_after_seconds(wait).to_string();
        answer.cleared.head.fields.push(b"retry-after", seconds.as_bytes());
    }
    if refusal.reason == Reason::MethodNotAllowed
        && let Some(methods) = account.methods()
    {
        answer.cleared.head.fields.push(b"allow", methods.as_bytes());
    }
    answer
}

/// The page for a request whose head was refused; the connection closes after it.
pub(crate) fn refuse_unread(
    account: &mut Account,
    worker: &Worker,
    connection: &Connection,
    refused: Refused,
) -> Answer {
    account.client =
        Some(identity::resolve(connection, &RequestHead::default(), &worker.local().snapshot.policy.trusted));
    account.refuse(worker, refused.reason, &refused.detail);
    let page = pages::page(refused.reason, account.reference, false, None);
    Answer { keeps_connection: false, ..own(account, &page) }
}

/// A response of the gate's own.
fn own(account: &Account, page: &pages::Page) -> Answer {
    let mut head = ResponseHead { status: page.status, fields: Fields::default() };
    head.fields.push(b"content-type", page.content_type.as_bytes());
    head.fields.push(b"cache-control", b"no-store");
    head.fields.push(b"content-security-policy", pages::CONTENT_SECURITY_POLICY.as_bytes());
    head.fields.push(b"x-portcullis-ref", &account.reference.word());
    let body = Body::Full(Bytes::copy_from_slice(page.body.as_bytes()));
    let cleared = Cleared { head, body, upgrade: None };
    Answer { cleared, held: None, upgrade: None, idle: Duration::from_secs(60), keeps_connection: true }
}

fn failed(account: &mut Account, worker: &Worker, failure: Failure) -> Refusal {
    worker.count_retries(failure.trace.attempts);
    account.trace = failure.trace;
    Refusal::new(failure.reason, portcullis_engine::Detail::Measure(Arc::from(failure.detail)))
}

/// What is told of a request when it is over.
pub(crate) struct Account {
    pub(crate) reference: Reference,
    pub(crate) began: Tick,
    version: Version,
    client: Option<Client>,
    place: Option<(usize, usize)>,
    class: RouteClass,
    slot: Slot,
    snapshot: Option<Arc<Snapshot>>,
    trace: Trace,
    observed: Vec<Refusal>,
    verdict: Option<(Reason, String)>,
    status: u16,
    carried: u64,
    h2_print: Option<SettingsPrint>,
    worker: Rc<Worker>,
}

impl Account {
    pub(crate) fn begin(worker: &Rc<Worker>, began: Tick, version: Version) -> Self {
        worker.counters().request_began();
        Self {
            reference: worker.next_reference(),
            began,
            version,
            client: None,
            place: None,
            class: RouteClass::Page,
            slot: Slot::OTHER,
            snapshot: None,
            trace: Trace::default(),
            observed: Vec::new(),
            verdict: None,
            status: 0,
            carried: 0,
            h2_print: None,
            worker: Rc::clone(worker),
        }
    }

    pub(crate) fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    pub(crate) fn answered(&mut self, status: u16) {
        self.status = status;
    }

    pub(crate) fn carried(&mut self, bytes: u64) {
        self.carried = bytes;
    }

    /// The request was refused, or its platform failed; the first word stands.
    fn refuse(&mut self, worker: &Worker, reason: Reason, detail: &dyn Display) {
        if self.verdict.is_none() {
            worker.counters().refused(reason);
            self.verdict = Some((reason, detail.to_string()));
        }
    }

    /// Something went wrong after the answer had begun, or instead of one.
    pub(crate) fn fail(&mut self, reason: Reason, detail: &str) {
        let worker = Rc::clone(&self.worker);
        self.refuse(&worker, reason, &detail);
    }

    pub(crate) fn carried_bytes(&self) -> u64 {
        self.carried
    }

    pub(crate) fn set_h2_print(&mut self, print: Option<SettingsPrint>) {
        self.h2_print = print;
    }

    /// There was no request after all.
    pub(crate) fn abandon(self) {
        self.worker.counters().request_ended();
    }

    /// Counts the request and, where it is to be recorded, writes it down.
    pub(crate) fn finish(self, connection: &Connection, head: &RequestHead, bytes_in: u64, bytes_out: u64) {
        let worker = &self.worker;
        let took = worker.watchers().now().since(self.began);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        worker.counters().request_ended();
        worker.counters().request(self.slot, self.class, self.status, nanos, bytes_in, bytes_out);
        let served = self.verdict.is_none();
        let number = if served { worker.next_served() } else { 0 };
        if !worker.journal().wants(served && self.observed.is_empty(), number) {
            return;
        }
        let local = worker.local();
        let platform = self.place.and_then(|(platform, _)| self.snapshot.as_ref()?.policy.platforms.get(platform));
        let route = platform.zip(self.place).and_then(|(platform, (_, route))| platform.routes.get(route));
        let route_name = route.map(|route| crate::state::route_name(&route.path));
        let order = (!head.fields.is_empty()).then(|| format!("{:016x}", head.fields.order_print()));
        let (reason, detail) = match &self.verdict {
            Some((reason, detail)) => (Some(*reason), Some(detail as &dyn Display)),
            None => (None, None),
        };
        worker.journal().record(&Record {
            unix_millis: unix_millis(),
            reference: Some(self.reference),
            listener: local.snapshot.policy.listeners.get(connection.listener).map_or("", |listener| &listener.name),
            platform: platform.map(|platform| platform.name.as_str()),
            route: route_name.as_deref(),
            class: route.map(|route| route.class),
            client: self.client.map(|client| client.address.ip()),
            peer: Some(connection.peer),
            source: self.client.map(|client| client.vouched).unwrap_or_default(),
            method: present(head.method()),
            host: present(head.authority()),
            path: present(head.path()),
            version: Some(self.version.name()),
            tls: connection.tls.as_ref().map(|tls| match tls.version {
                TlsVersion::Tls12 => "1.2",
                TlsVersion::Tls13 => "1.3",
            }),
            ja4: connection.tls.as_ref().and_then(|tls| tls.ja4.as_ref()).map(AsRef::as_ref),
            h2: self.h2_print.as_ref().map(AsRef::as_ref),
            order: order.as_deref(),
            verdict: match reason {
                None => Verdict::Served,
                // Before an upstream was asked it is a refusal; afterwards something broke.
                Some(_) if self.trace.attempts == 0 && reason != Some(Reason::InternalFault) => Verdict::Refused,
                Some(_) => Verdict::Failed,
            },
            reason,
            detail,
            observed: &self.observed,
            status: self.status,
            bytes_in,
            bytes_out,
            upstream: self.trace.upstream.as_deref(),
            attempts: self.trace.attempts,
            took,
            upstream_took: (self.trace.attempts > 0).then_some(self.trace.took),
        });
    }

    fn methods(&self) -> Option<String> {
        let (platform, route) = self.place?;
        Some(self.snapshot.as_ref()?.policy.platforms.get(platform)?.routes.get(route)?.methods.join(", "))
    }
}

fn present(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
}
