//! What is told of a request: counters for all, a line in the decision log for those that are to be recorded.
//!
//! It decides nothing. Whoever learns something of a request says it here; [`Account::finish`] tells it once.

use std::cell::RefCell;
use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::policy::TlsVersion;
use portcullis_dataguard::Unread;
use portcullis_engine::{Admitted, Business, Outcome, Refusal, Seen, Trust};
use portcullis_ledger as ledger;
use portcullis_types::{Blame, Reason, Reference, RouteClass, Tick};
use portcullis_wire::h2::SettingsPrint;
use portcullis_wire::http::{RequestHead, Version};

use super::identity::{Client, Connection};
use super::inspect::Sighting;
use super::leaving::Told;
use super::passing;
use super::upstream::Trace;
use crate::journal::{Evidence, Record, Verdict};
use crate::metrics::Slot;
use crate::state::Snapshot;
use crate::worker::{Worker, unix_millis};

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
    /// What the engine remembers of it, once it was admitted.
    seen: Option<Seen>,
    /// What the platform answered, and what that meant.
    answered: (u16, Business),
    trace: Trace,
    observed: Vec<Refusal>,
    verdict: Option<(Reason, String)>,
    status: u16,
    carried: u64,
    trust: Trust,
    waited: Duration,
    h2_print: Option<SettingsPrint>,
    evidence: Evidence,
    /// What is seen in the rest of its body on its way.
    passing: Option<passing::Seen>,
    /// What is told of the answer by who reads it as it passes.
    leaving: Option<Rc<RefCell<Told>>>,
    /// It is the gate's own, and no visitor's.
    own: bool,
    worker: Rc<Worker>,
}

impl Account {
    pub(crate) fn begin(worker: &Rc<Worker>, began: Tick, version: Version, own: bool) -> Self {
        if !own {
            worker.counters().request_began();
        }
        Self {
            reference: worker.next_reference(),
            began,
            version,
            client: None,
            place: None,
            class: RouteClass::Page,
            slot: Slot::OTHER,
            snapshot: None,
            seen: None,
            answered: (0, Business::Nothing),
            trace: Trace::default(),
            observed: Vec::new(),
            verdict: None,
            status: 0,
            carried: 0,
            trust: Trust::Fresh,
            waited: Duration::ZERO,
            h2_print: None,
            evidence: Evidence::default(),
            passing: None,
            leaving: None,
            own,
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

    /// Who asked.
    pub(crate) fn identified(&mut self, client: Client) {
        self.client = Some(client);
    }

    /// What was known of whoever asked.
    pub(crate) const fn perceived(&mut self, trust: Trust) {
        self.trust = trust;
    }

    /// It stood in the queue of admission.
    pub(crate) const fn waited(&mut self, waited: Duration) {
        self.waited = waited;
    }

    /// It turned out to be the gate's own.
    pub(crate) fn becomes_own(&mut self) {
        if !std::mem::replace(&mut self.own, true) {
            self.worker.counters().request_ended();
        }
    }

    /// Which platform and which route it is for.
    pub(crate) fn placed(&mut self, snapshot: &Arc<Snapshot>, (platform, route): (usize, usize)) {
        self.place = Some((platform, route));
        self.class = snapshot.policy.platforms[platform].routes[route].class;
        self.slot = snapshot.platform_slots[platform];
        self.snapshot = Some(Arc::clone(snapshot));
    }

    pub(crate) const fn class(&self) -> RouteClass {
        self.class
    }

    /// What measures in observe mode would have refused.
    pub(crate) fn observed(&mut self, refusals: &[Refusal]) {
        for refusal in refusals.iter().filter(|_| !self.own) {
            self.worker.counters().observed(refusal.reason);
        }
        self.observed.extend_from_slice(refusals);
    }

    /// What inspection saw since the last time it was told.
    pub(crate) fn inspected(&mut self, seen: &mut Sighting) {
        self.observed(&std::mem::take(&mut seen.observed));
        self.evidence.clone_from(&seen.evidence);
        if seen.passing.is_some() {
            self.passing = seen.passing.take();
        }
    }

    /// Somebody reads the answer as it passes.
    pub(crate) fn leaves(&mut self, told: Rc<RefCell<Told>>) {
        self.leaving = Some(told);
    }

    /// The engine let it in.
    pub(crate) fn admitted(&mut self, admitted: &Admitted) {
        self.seen = Some(*admitted.seen());
        self.observed(admitted.observed());
    }

    /// The platform answered.
    pub(crate) fn platform_answered(&mut self, status: u16, business: Business) {
        self.answered = (status, business);
    }

    /// Where it went.
    pub(crate) fn traced(&mut self, trace: Trace) {
        self.worker.count_retries(trace.attempts);
        self.trace = trace;
    }

    /// The request was refused, its platform failed, or something went wrong on the way back; the first word stands.
    pub(crate) fn fail(&mut self, reason: Reason, detail: impl Display) {
        if self.verdict.is_none() {
            if !self.own {
                self.worker.counters().refused(reason);
            }
            self.verdict = Some((reason, detail.to_string()));
        }
    }

    pub(crate) fn carried_bytes(&self) -> u64 {
        self.carried
    }

    pub(crate) fn set_h2_print(&mut self, print: Option<SettingsPrint>) {
        self.h2_print = print;
    }

    /// There was no request after all.
    pub(crate) fn abandon(self) {
        if !self.own {
            self.worker.counters().request_ended();
        }
    }

    /// Counts the request and, where it is to be recorded, writes it down.
    pub(crate) fn finish(mut self, connection: &Connection, head: &RequestHead, bytes_in: u64, bytes_out: u64) {
        if let Some(passing) = self.passing.take() {
            let mut seen = passing.borrow_mut();
            self.observed(&std::mem::take(&mut seen.observed));
            self.evidence.append(std::mem::take(&mut seen.evidence));
        }
        let left = self.leaving.take();
        let left = left.as_ref().map(|told| told.borrow());
        if let Some(told) = &left {
            self.observed(&told.observed);
        }
        let worker = &self.worker;
        let took = worker.watchers().now().since(self.began);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if self.own {
            return;
        }
        worker.counters().request_ended();
        self.tell_engine();
        worker.counters().request(self.slot, self.class, self.status, nanos, bytes_in, bytes_out);
        self.tell_evidence(connection, left.as_deref(), took, (bytes_in, bytes_out));
        let served = self.verdict.is_none();
        let number = if served { worker.next_served() } else { 0 };
        let quiet = self.observed.is_empty() && !left.as_ref().is_some_and(|told| told.matters());
        if !worker.journal().wants(served && quiet, number) {
            return;
        }
        let local = worker.local();
        let platform = self.place.and_then(|(platform, _)| self.snapshot.as_ref()?.policy.platforms.get(platform));
        let route = platform.zip(self.place).and_then(|(platform, (_, route))| platform.routes.get(route));
        let path = route.map(|route| route.path.to_string());
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
            route: path.as_deref(),
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
            verdict: self.came_to(),
            reason,
            detail,
            observed: &self.observed,
            evidence: Some(&self.evidence),
            left: left.as_deref(),
            trust: self.seen.as_ref().map(|seen| seen.trust),
            status: self.status,
            bytes_in,
            bytes_out,
            upstream: self.trace.upstream.as_deref(),
            attempts: self.trace.attempts,
            took,
            upstream_took: (self.trace.attempts > 0).then_some(self.trace.took),
        });
    }

    fn came_to(&self) -> Verdict {
        match self.verdict.as_ref().map(|(reason, _)| *reason) {
            None => Verdict::Served,
            // Before an upstream was asked it is a refusal, and so is what was found on the way; otherwise something broke.
            Some(Reason::AttackDetected | Reason::DataBudget | Reason::CanarySeen | Reason::SecretSeen) => {
                Verdict::Refused
            }
            Some(reason) if self.trace.attempts == 0 && reason != Reason::InternalFault => Verdict::Refused,
            Some(_) => Verdict::Failed,
        }
    }

    /// What the evidence keeps of every request, and what left with its answer.
    fn tell_evidence(&self, connection: &Connection, left: Option<&Told>, took: Duration, bytes: (u64, u64)) {
        let chronicle = &self.worker.process().chronicle;
        if !chronicle.listens() {
            return;
        }
        let snapshot = self.snapshot.as_ref();
        if let Some(flow) = snapshot.zip(self.place).and_then(|(snapshot, place)| snapshot.flow(place))
            && self.trace.attempts > 0
        {
            flow.answered(bytes.1);
            match left {
                Some(told) => {
                    told.unread.iter().for_each(|(why, bytes)| flow.unread(*why, *bytes));
                    flow.found(&told.values, told.records, told.exported);
                }
                // A script or a picture is no list of members, but nobody has looked.
                None if self.carried > 0 => flow.unread(Unread::Declared, self.carried),
                None => {}
            }
        }
        let (platform, route) = match snapshot.zip(self.place) {
            Some((snapshot, (platform, route))) => match snapshot.policy.platforms.get(platform) {
                Some(declared) => (
                    declared.name.as_str(),
                    snapshot.route_names.get(platform).and_then(|names| names.get(route)).map_or("", |name| &**name),
                ),
                None => ("", ""),
            },
            None => ("", ""),
        };
        let reason = self.verdict.as_ref().map(|(reason, _)| *reason);
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        chronicle.request(&ledger::Request {
            unix_millis: unix_millis(),
            platform,
            route,
            class: self.class.name(),
            audience: self.seen.as_ref().map_or(self.trust, |seen| seen.trust).name(),
            client: self.client.map_or(connection.source.ip(), |client| client.address.ip()),
            ja4: connection.tls.as_ref().and_then(|tls| tls.ja4.as_ref()).map_or("", AsRef::as_ref),
            verdict: match reason {
                Some(Reason::WaitingRoom) => ledger::Verdict::Roomed,
                Some(Reason::Challenge) => ledger::Verdict::Challenged,
                _ => match self.came_to() {
                    // It went through, and what came back is that the platform failed.
                    Verdict::Served if self.status >= 500 => ledger::Verdict::Failed,
                    Verdict::Served => ledger::Verdict::Served,
                    Verdict::Refused => ledger::Verdict::Refused,
                    Verdict::Failed => ledger::Verdict::Failed,
                },
            },
            reason: reason.map_or("", Reason::code),
            status: self.status,
            bytes_in: bytes.0,
            bytes_out: bytes.1,
            micros: micros(took),
            waited_micros: micros(self.waited),
        });
    }

    /// What it cost and what came of it.
    fn tell_engine(&self) {
        let reason = self.verdict.as_ref().map(|(reason, _)| *reason);
        if let Some((reason, client)) = reason.zip(self.client) {
            self.worker.note_abuse(reason, self.place.map(|(platform, _)| platform), client.address);
        }
        if let Some(seen) = &self.seen {
            let (status, business) = self.answered;
            let failed = status >= 500 || reason.is_some_and(|reason| reason.blame() == Blame::Upstream);
            let origin = u64::try_from(self.trace.worked.as_nanos()).unwrap_or(u64::MAX);
            self.worker.account(seen, &Outcome { status, bytes: self.carried, origin, failed, business });
        }
    }

    /// Whom a visitor can ask: a person's address first, or the page that says more.
    pub(crate) fn contact(&self) -> Option<&str> {
        let organisation = &self.snapshot.as_ref()?.policy.organisation;
        let emails = organisation.contacts.iter().map(|contact| contact.email.as_str());
        emails.chain([organisation.page.as_str()]).find(|contact| !contact.is_empty())
    }

    /// The methods that its route takes.
    pub(crate) fn methods(&self) -> Option<String> {
        let (platform, route) = self.place?;
        Some(self.snapshot.as_ref()?.policy.platforms.get(platform)?.routes.get(route)?.methods.join(", "))
    }
}

fn present(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
}
