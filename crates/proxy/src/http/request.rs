//! The life of a request.
//!
//! Each phase consumes the token of the one before: what the engine has not admitted is not inspected, what is not checked
//! goes nowhere, what is not cleared does not leave.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use portcullis_config::policy::{ChallengeMode, Mode};
use portcullis_config::{InspectionMode, LeavingAction, normal_path};
use portcullis_dataguard::sequence::Id;
use portcullis_engine::{Admitted, Ask, Challenge, Detail, Refusal, RoomPlace, Ruling, Seen, Step, Trust};
use portcullis_types::{Reason, Tick};
use portcullis_wire::http::RequestHead;

use super::account::Account;
use super::answer::{Answer, absent, redirect, refuse};
use super::body::Body;
use super::challenge::{self, Caller};
use super::identity::{self, Client, Connection};
use super::inspect::{self, Sighting};
use super::leaving::{self, Failed, Stop};
use super::reports;
use super::response::{self, Interim};
use super::rules;
use super::sight;
use super::upstream::{self, Failure, Reply, Surroundings, Trace};
use crate::chronicle;
use crate::guard::{Allowance, Guard, Principals, Sight, Taking};
use crate::panics;
use crate::probe::Errand;
use crate::state::{Local, Snapshot};
use crate::watch::Watch;
use crate::worker::{Worker, unix_millis};

/// How long a browser keeps the cookie of a visitor who is known: as long as its token is good for.
const HISTORY_SECONDS: u64 = 45 * 86_400;

/// A request that has come, and where.
pub(crate) struct Visit<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) connection: &'a Connection,
    pub(crate) head: &'a RequestHead,
    /// The settings print of its connection, where it is one of HTTP/2.
    pub(crate) h2: Option<&'a [u8]>,
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
    let Visit { worker, connection, head, watch, upgrade, .. } = *visit;
    let snapshot = &local.snapshot;
    let client = identity::resolve(connection, head, &snapshot.policy.trusted);
    account.identified(client);
    let place = find(snapshot, head)?;
    account.placed(snapshot, place);
    match connection.errand {
        Some(Errand::Attack) => return probed(visit, snapshot, body, client, place, account).await,
        Some(Errand::Script) => return Box::pin(changed(visit, snapshot, &client, place, account)).await,
        Some(Errand::Report) => {
            return Box::pin(reported_by_us(visit, snapshot, &mut body, &client, place, account)).await;
        }
        Some(Errand::Visit) | None => {}
    }
    if let Some(port) = redirect_port(snapshot, connection) {
        // Only for hosts of ours: a redirect to whatever `Host` says would be an open one.
        return Ok(redirect(account, head, port));
    }
    let path = normal_path(head.path());
    if *path == *reports::PATH
        && let Some(answer) = Box::pin(reported(visit, snapshot, &mut body, &client, place, false)).await?
    {
        return Ok(answer);
    }
    if challenge::is_ours(&path) {
        return Ok(own_page(visit, snapshot, client, place, account));
    }
    let own = worker.process().passes.take(head, watch.now());
    if own {
        account.becomes_own();
        worker.process().chronicle.let_past(&snapshot.policy.platforms[place.0].name, worker.is_calm(place.0));
    }
    let guard = snapshot.guards.of(place);
    let mut taking = guard.map(|guard| taking(visit, snapshot, &client, place, guard));
    // What the gate itself takes is nobody's habit.
    taking.iter_mut().for_each(|taking| taking.how.calm &= !own);
    if let Some((guard, taking)) = guard.zip(taking.as_ref()) {
        refuse_seeker(visit, snapshot, guard, taking, &client, account)?;
    }
    let admitted = match own {
        true => let_past(visit, snapshot, client, place, account),
        false => admit(visit, snapshot, client, place, account).await,
    };
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(instead) => return Ok(*instead),
    };
    account.admitted(&admitted);
    let reference = account.reference.word();
    let asked = rules::Asked {
        snapshot,
        place,
        connection,
        client: &client,
        reference: &reference,
        watch,
        desk: worker.desk(),
    };
    let mut seen = Sighting::default();
    let checked = rules::inspect(admitted, &asked, head, &mut body, upgrade, &mut seen).await;
    account.inspected(&mut seen);
    let mut checked = checked?;
    let inspecting = checked.inspecting();
    // Asked for before the upstream is: one that has agreed to switch cannot be told that there is no room.
    let upgrade = if checked.upgrade() { Some(worker.engine_node().handle_upgrade()?) } else { None };
    let idle = checked.transport().idle_timeout;
    let mut around = Surroundings {
        platform: local.platform(place.0),
        limits: &snapshot.policy.limits,
        watch,
        client: &client,
        node: &snapshot.policy.server.name,
        reference: &reference,
        interim,
        narrow: guard.is_some_and(|guard| guard.narrows()),
        whole: guard.is_some_and(|guard| guard.narrows()) && !leaving::is_media_path(head.path()),
        plain: guard.is_some_and(|guard| guard.wants_plain()),
        uploaded: Cell::new(None),
    };
    let sent = upstream::send(checked, head, body, &mut around).await;
    let mut reply = sent.map_err(|failure| failed(failure, account))?;
    account.traced(std::mem::take(&mut reply.trace));
    let outcome = snapshot.policy.platforms[place.0].outcome_header.as_bytes();
    let business = response::business(account.class(), head.method(), &reply.head, outcome);
    account.platform_answered(reply.head.status, business);
    let mut held = reply.admitted.take();
    if let Some(held) = &mut held {
        held.answered();
        worker.place_is_free();
    }
    let mut cleared = response::guard(reply, &snapshot.policy.server.name, outcome);
    if let Some(inspecting) = inspecting.filter(|_| upgrade.is_none()) {
        let around = inspect::Around { watch, limits: &snapshot.policy.limits, idle };
        let outcome = inspecting.response(&cleared.head, &mut cleared.body, &around, &mut seen).await;
        account.inspected(&mut seen);
        outcome?;
    }
    let books = worker.books();
    let named = leaving::account(books, &snapshot.policy.platforms[place.0], &mut cleared.head);
    if let Some((guard, mut taking)) = guard.zip(taking.take()) {
        taking.principals.name_account(named);
        if let Some(id) = taking.id
            && guard.leaving.enumeration != InspectionMode::Off
            && let Some(told) = books.asked(guard, &taking.principals, id, cleared.head.status, watch.now())
        {
            let told = leaving::enumeration(&told);
            let (platform, path) = (&guard.platform, &guard.path);
            worker.process().chronicle.alarm("enumeration", platform, path, told.detail.to_string());
            account.observed(&[told]);
        }
        if upgrade.is_some() || !(cleared.body.is_empty() || cleared.head.is_bodiless(head.method())) {
            let asked = leaving::Asked {
                process: worker.process(),
                guard,
                principals: taking.principals,
                taking: taking.how,
                client: client.address,
                reference: String::from_utf8_lossy(&reference).into_owned(),
                path: String::from_utf8_lossy(&normal_path(head.path())).into_owned(),
                drill: None,
            };
            let around = leaving::Around { watch, limits: &snapshot.policy.limits, idle };
            if let Err(failed) = leaving::watched(asked, &mut cleared, &around, account).await {
                return stopped(visit, snapshot, client, place, held.as_ref(), failed, account);
            }
        }
    }
    if let Some(announced) = snapshot.browsers(place.0) {
        announced.put(&mut cleared.head, client.is_secure());
    }
    let grant = held.as_ref().and_then(Admitted::grant).filter(|_| response::may_carry_cookie(&cleared.head));
    if let Some(grant) = grant.filter(|_| snapshot.policy.defence.mode == Mode::Enforce) {
        let cookie =
            challenge::token_cookie(&String::from_utf8_lossy(grant.text()), client.is_secure(), HISTORY_SECONDS);
        cleared.head.fields.push(b"set-cookie", cookie.as_bytes());
    }
    Ok(Answer { cleared, held, upgrade, idle, keeps_connection: true, ends_connection: false })
}

/// Carries a probe of the gate's own through inspection and no further: what it brings must reach no platform. Where it asks
/// for the rules that look at responses, it brings the response along.
async fn probed(
    visit: &Visit<'_>,
    snapshot: &Arc<Snapshot>,
    mut body: Body,
    client: Client,
    place: (usize, usize),
    account: &mut Account,
) -> Result<Answer, Refusal> {
    let Visit { worker, connection, head, watch, .. } = *visit;
    let Some(probe) = worker.probes().marked(head) else { return Ok(absent(account)) };
    let admitted = worker.admit_own(&ask(visit, snapshot, client, place), watch.now());
    let reference = account.reference.word();
    let asked = rules::Asked {
        snapshot,
        place,
        connection,
        client: &client,
        reference: &reference,
        watch,
        desk: worker.desk(),
    };
    let mut seen = Sighting::thorough();
    let outcome = match rules::inspect(admitted, &asked, head, &mut body, false, &mut seen).await {
        Ok(mut checked) => {
            let idle = checked.transport().idle_timeout;
            match checked.inspecting().zip(probe.page()) {
                Some((inspecting, (head, mut body))) => {
                    let around = inspect::Around { watch, limits: &snapshot.policy.limits, idle };
                    inspecting.response(&head, &mut body, &around, &mut seen).await
                }
                None => Ok(()),
            }
        }
        Err(refusal) => Err(refusal),
    };
    worker.probes().tell(&probe, place, &seen, outcome.as_ref().err());
    match seen.refused.pop() {
        Some(refusal) => Err(refusal),
        None => outcome.map(|()| absent(account)),
    }
}

/// Has a script of the gate's own leave as a platform's would, from where that comes in: whoever looks whether scripts are what
/// they were sees it pass. No platform is asked, and nobody but the gate itself gets it.
async fn changed(
    visit: &Visit<'_>,
    snapshot: &Arc<Snapshot>,
    client: &Client,
    place: (usize, usize),
    account: &mut Account,
) -> Result<Answer, Refusal> {
    let Visit { worker, head, watch, .. } = *visit;
    let Some(probe) = worker.probes().marked(head) else { return Ok(absent(account)) };
    let Some((script, guard)) = probe.script().zip(snapshot.guards.of(place)) else { return Ok(absent(account)) };
    let platform = &snapshot.policy.platforms[place.0];
    let (head, body) = script.answer();
    let reply = Reply { head, body, upgrade: None, trace: Trace::default(), admitted: None };
    let mut cleared = response::guard(reply, &snapshot.policy.server.name, platform.outcome_header.as_bytes());
    let asked = leaving::Asked {
        process: worker.process(),
        guard,
        principals: Principals::default(),
        taking: Taking { allowance: Allowance::Once, calm: false },
        client: client.address,
        reference: String::from_utf8_lossy(&account.reference.word()).into_owned(),
        path: script.path,
        drill: Some(script.drill),
    };
    let idle = platform.transport.idle_timeout;
    let around = leaving::Around { watch, limits: &snapshot.policy.limits, idle };
    match leaving::watched(asked, &mut cleared, &around, account).await {
        Ok(()) => {
            Ok(Answer { cleared, held: None, upgrade: None, idle, keeps_connection: false, ends_connection: false })
        }
        Err(failed) => {
            let refusal = kept(failed);
            worker.probes().tell(&probe, place, &Sighting::default(), Some(&refusal));
            Err(refusal)
        }
    }
}

/// What is known of a request before its answer, for what may leave with that.
struct Asking {
    principals: Principals,
    how: Taking,
    id: Option<Id>,
}

fn taking(visit: &Visit<'_>, snapshot: &Snapshot, client: &Client, place: (usize, usize), guard: &Guard) -> Asking {
    let Visit { worker, connection, head, h2, .. } = *visit;
    let platform = &snapshot.policy.platforms[place.0];
    let books = worker.books();
    let allowance = if leaving::may_export(&snapshot.policy, guard, platform, head, client) {
        Allowance::Export
    } else if guard.leaving.action == LeavingAction::StepUp && has_passed(visit, snapshot, *client, place, Step::Puzzle)
    {
        Allowance::Twice
    } else {
        Allowance::Once
    };
    Asking {
        principals: leaving::principals(books, platform, connection, head, h2, client),
        how: Taking { allowance, calm: worker.is_calm(place.0) },
        id: leaving::id(books, head),
    }
}

/// Refuses who asks for one id after the other, where that is declared, and whoever brings a canary back.
fn refuse_seeker(
    visit: &Visit<'_>,
    snapshot: &Snapshot,
    guard: &Guard,
    taking: &Asking,
    client: &Client,
    account: &mut Account,
) -> Result<(), Refusal> {
    let Visit { worker, head, watch, .. } = *visit;
    let books = worker.books();
    if taking.id.is_some()
        && guard.leaving.enumeration == InspectionMode::Enforce
        && taking.how.allowance != Allowance::Export
        && let Some(told) = books.enumerates(guard, &taking.principals, watch.now())
    {
        return Err(leaving::enumeration(&told));
    }
    if snapshot.guards.matcher.is_none() {
        return Ok(());
    }
    let path = String::from_utf8_lossy(&normal_path(head.path())).into_owned();
    let place = format!("{}:{path}", guard.platform);
    let Some(canary) = leaving::brought_back(&snapshot.guards, head, &place) else { return Ok(()) };
    let reference = account.reference.word();
    books.alarm(&Sight {
        canary,
        platform: &guard.platform,
        path: &path,
        place: &chronicle::http(&guard.platform),
        way: "brought-back",
        // Whoever brings it back has read it somewhere.
        left: true,
        client: client.address.ip(),
        reference: &String::from_utf8_lossy(&reference),
        asked: true,
        unix_millis: unix_millis(),
    });
    let refusal =
        Refusal::new(Reason::CanarySeen, Detail::Measure(Arc::from(format!("canary {canary} in the request"))));
    if guard.canary_blocks {
        return Err(refusal);
    }
    account.observed(&[refusal]);
    Ok(())
}

/// What is answered where the platform's answer does not leave.
fn stopped(
    visit: &Visit<'_>,
    snapshot: &Snapshot,
    client: Client,
    place: (usize, usize),
    held: Option<&Admitted>,
    failed: Failed,
    account: &mut Account,
) -> Result<Answer, Refusal> {
    match failed {
        Failed::Stopped(Stop { step_up: true, detail: words, .. })
            if held.is_some_and(|held| held.seen().navigation) && snapshot.policy.defence.mode == Mode::Enforce =>
        {
            let seen = *held.map(Admitted::seen).ok_or_else(|| Refusal::new(Reason::InternalFault, "no seat"))?;
            let words = Detail::Measure(Arc::from(words));
            Ok(challenged(visit, snapshot, client, (place, Step::Puzzle, &seen), words, account))
        }
        failed => Err(kept(failed)),
    }
}

/// Why an answer does not leave.
fn kept(failed: Failed) -> Refusal {
    match failed {
        Failed::Stopped(stop) => stop.refusal(),
        Failed::Slow(reason) => Refusal::new(reason, "the platform stalled"),
        Failed::Source(error) => Refusal::new(error.reason(false), Detail::Measure(Arc::from(error.to_string()))),
    }
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

/// Asks the engine, and waits where it says so. What is answered instead of the platform is the error.
async fn admit(
    visit: &Visit<'_>,
    snapshot: &Snapshot,
    client: Client,
    place: (usize, usize),
    account: &mut Account,
) -> Result<Admitted, Box<Answer>> {
    let mut ruling = rule(visit, snapshot, client, place, account.began);
    account.perceived(visit.worker.perceived());
    if let Ruling::Waiting(waiting) = ruling {
        let since = visit.watch.now();
        ruling = match visit.worker.wait(waiting).await {
            Some(ruling) => ruling,
            None => visit.worker.admit_declared(&ask(visit, snapshot, client, place), visit.watch.now()),
        };
        account.waited(visit.watch.now().since(since));
    }
    match ruling {
        Ruling::Admitted(admitted) => match declared_step(visit, snapshot, client, place, admitted.seen()) {
            None => Ok(admitted),
            Some(step) => {
                let seen = *admitted.seen();
                drop(admitted);
                Err(Box::new(challenged(
                    visit,
                    snapshot,
                    client,
                    (place, step, &seen),
                    "declared for the route",
                    account,
                )))
            }
        },
        Ruling::Challenge(Challenge { step, seen, rule }) => {
            let detail = rule.map_or(Detail::Nothing, Detail::Rule);
            Err(Box::new(challenged(visit, snapshot, client, (place, step, &seen), detail, account)))
        }
        Ruling::Room(RoomPlace { arrived, ahead, wait, .. }) => {
            let ask = ask(visit, snapshot, client, place);
            let reply = challenge::room(&caller(visit, &ask, client, account), arrived, ahead, wait);
            account.fail(Reason::WaitingRoom, format_args!("{} ahead", ahead));
            Err(Box::new(challenge::answer(account, reply)))
        }
        Ruling::Refused(refusal, close) => {
            let answer = refuse(account, visit.head, &refusal);
            Err(Box::new(Answer { ends_connection: close, ..answer }))
        }
        // A request waits once.
        Ruling::Waiting(_) => {
            Err(Box::new(refuse(account, visit.head, &Refusal::new(Reason::Overloaded, "its turn never came"))))
        }
    }
}

/// Lets a visit of the gate's own in, which a stranger might be held from: by what the operator declared, and by nothing else.
fn let_past(
    visit: &Visit<'_>,
    snapshot: &Snapshot,
    client: Client,
    place: (usize, usize),
    account: &mut Account,
) -> Result<Admitted, Box<Answer>> {
    match visit.worker.admit_declared(&ask(visit, snapshot, client, place), visit.watch.now()) {
        Ruling::Admitted(admitted) => Ok(admitted),
        Ruling::Refused(refusal, _) => Err(Box::new(refuse(account, visit.head, &refusal))),
        Ruling::Waiting(_) | Ruling::Challenge(_) | Ruling::Room(_) => Err(Box::new(absent(account))),
    }
}

fn rule(visit: &Visit<'_>, snapshot: &Snapshot, client: Client, place: (usize, usize), now: Tick) -> Ruling {
    visit.worker.admit(&ask(visit, snapshot, client, place), now)
}

fn ask<'a>(visit: &Visit<'a>, snapshot: &'a Snapshot, client: Client, place: (usize, usize)) -> Ask<'a> {
    sight::ask(snapshot, visit.connection, visit.head, visit.h2, client, place)
}

/// The challenge that the operator has declared for the route, if this navigation has not passed it.
fn declared_step(
    visit: &Visit<'_>,
    snapshot: &Snapshot,
    client: Client,
    place: (usize, usize),
    seen: &Seen,
) -> Option<Step> {
    let step = match snapshot.policy.platforms[place.0].routes[place.1].challenge {
        ChallengeMode::Auto | ChallengeMode::Never => return None,
        ChallengeMode::Echo => Step::Echo,
        ChallengeMode::Puzzle => Step::Puzzle,
    };
    let asked = seen.navigation && snapshot.policy.defence.mode == Mode::Enforce;
    if !asked || seen.trust > Trust::Passed {
        return None;
    }
    (!has_passed(visit, snapshot, client, place, step)).then_some(step)
}

/// Whether the visitor's token says that it has passed that step.
fn has_passed(visit: &Visit<'_>, snapshot: &Snapshot, client: Client, place: (usize, usize), step: Step) -> bool {
    let ask = ask(visit, snapshot, client, place);
    let tokens = visit.worker.tokens();
    let vouch = ask.sight.token.and_then(|token| tokens.read(token, || tokens.binding(&ask.sight), ask.wall));
    vouch.and_then(|vouch| vouch.step).is_some_and(|passed| passed.satisfies(step))
}

/// The page of a challenge, or the way on for who has passed it.
fn challenged(
    visit: &Visit<'_>,
    snapshot: &Snapshot,
    client: Client,
    (place, step, seen): ((usize, usize), Step, &Seen),
    detail: impl Into<Detail>,
    account: &mut Account,
) -> Answer {
    let ask = ask(visit, snapshot, client, place);
    let reply = challenge::challenge(&caller(visit, &ask, client, account), step);
    if reply.passed.is_some() {
        visit.worker.challenge_passed(seen);
    } else {
        account.fail(Reason::Challenge, Asked(step, detail.into()));
    }
    challenge::answer(account, reply)
}

/// What a browser reports of a page; none where nobody listens.
async fn reported(
    visit: &Visit<'_>,
    snapshot: &Snapshot,
    body: &mut Body,
    client: &Client,
    place: (usize, usize),
    own: bool,
) -> Result<Option<Answer>, Refusal> {
    let Visit { worker, head, watch, .. } = *visit;
    let limits = &snapshot.policy.limits;
    let idle = snapshot.policy.platforms[place.0].transport.idle_timeout;
    let around = inspect::Around { watch, limits, idle };
    let network = client.address.prefix();
    let sent = reports::Sent { snapshot, platform: place.0, head, network, now: watch.now(), own };
    worker.process().reports.take(&sent, body, &around).await
}

/// A report of the gate's own, which goes where a browser's goes and nowhere else.
async fn reported_by_us(
    visit: &Visit<'_>,
    snapshot: &Snapshot,
    body: &mut Body,
    client: &Client,
    place: (usize, usize),
    account: &Account,
) -> Result<Answer, Refusal> {
    let head = visit.head;
    if *normal_path(head.path()) != *reports::PATH || visit.worker.probes().marked(head).is_none() {
        return Ok(absent(account));
    }
    let answer = reported(visit, snapshot, body, client, place, true).await?;
    Ok(answer.unwrap_or_else(|| absent(account)))
}

/// A page of the gate's own, behind its own path.
fn own_page(
    visit: &Visit<'_>,
    snapshot: &Snapshot,
    client: Client,
    place: (usize, usize),
    account: &Account,
) -> Answer {
    let ask = ask(visit, snapshot, client, place);
    match challenge::own(&caller(visit, &ask, client, account)) {
        Some(reply) => challenge::answer(account, reply),
        None => absent(account),
    }
}

fn caller<'a>(visit: &Visit<'a>, ask: &Ask<'_>, client: Client, account: &Account) -> Caller<'a> {
    let tokens = visit.worker.tokens();
    Caller {
        head: visit.head,
        tokens,
        binding: tokens.binding(&ask.sight),
        secure: client.is_secure(),
        reference: account.reference,
        wall: ask.wall,
    }
}

/// Which step was asked for, and by whom.
struct Asked(Step, Detail);

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.1 {
            Detail::Nothing => write!(f, "{}", self.0),
            detail => write!(f, "{}, {detail}", self.0),
        }
    }
}

fn redirect_port(snapshot: &Snapshot, connection: &Connection) -> Option<u16> {
    snapshot.policy.listeners.get(connection.listener)?.redirect_to_https
}

fn failed(failure: Failure, account: &mut Account) -> Refusal {
    account.traced(failure.trace);
    Refusal::new(failure.reason, Detail::Measure(Arc::from(failure.detail)))
}
