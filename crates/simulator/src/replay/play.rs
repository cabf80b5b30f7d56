//! The engine, driven by a log at the log's own time: arrivals, answers after as long as they took, a tick every 100 ms.
//!
//! It decides nothing by itself, and it never lets a request come earlier than the one before it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::Router;
use portcullis_config::policy::Policy;
use portcullis_engine::{
    Act, Admitted, Ask, Brain, Business, Claim, Declaration, Declared, Node, Outcome, Posture, Ruling, Seen, Settings,
    Shard, Sight, Site, SitePlatform, SiteRoute, Waiting,
};
use portcullis_types::{ClientAddr, Reason, RouteClass, Tick};
use siphasher::sip::SipHasher13;

use super::entry::Entry;
use super::limits::{Asked, Needs, hashes};
use super::report::{Fate, Whom};
use super::time::SECOND;

/// Between two looks of the brain.
const TICK: u64 = SECOND / 10;
/// The same while nothing happens and nothing has for so long: nights are most of a log, and the brain knows of pauses.
const QUIET_TICK: u64 = 2 * SECOND;
const QUIET_AFTER: u64 = 60 * SECOND;
/// Between two looks at the queue while anybody waits.
const CALL: u64 = SECOND / 100;
/// A log is replayed under one secret: two replays of one log give one answer.
const SECRET: [u64; 2] = [0x706F_7274, 0x6375_6C6C];
/// Acts that are told.
const ACTS: usize = 500;
/// Whoever waited longer than this has noticed.
const NOTICED: u64 = 2 * SECOND;

/// How long a platform is taken to need where the log does not say, by class.
#[must_use]
pub const fn assumed(class: RouteClass) -> Duration {
    Duration::from_millis(match class {
        RouteClass::Asset => 5,
        RouteClass::Page | RouteClass::Api | RouteClass::Webhook => 50,
        RouteClass::Form | RouteClass::Login => 100,
        RouteClass::Search | RouteClass::Payment => 200,
        RouteClass::Export => 500,
    })
}

/// The world of one log.
pub(crate) struct Player<'a> {
    policy: &'a Policy,
    router: Router,
    /// The platform of lines that name none, or none of ours.
    otherwise: Option<usize>,
    shard: Shard,
    brain: Brain,
    /// The moment at which the engine's clock stood at zero, in nanoseconds since 1970.
    epoch: u64,
    now: u64,
    /// When the brain looks next.
    next_tick: u64,
    last_tick: u64,
    last_arrival: u64,
    flights: BinaryHeap<Reverse<Flight>>,
    waiting: BTreeMap<u64, Queued>,
    tokens: BTreeMap<(ClientAddr, u64), Box<[u8]>>,
    postures: Vec<Posture>,
    pub(crate) played: Played,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) whom: Whom,
    pub(crate) needs: Needs,
    pub(crate) acts: Vec<Act>,
    pub(crate) acts_beyond: u64,
    /// Changes of posture: when, platform, to.
    pub(crate) changes: Vec<(u64, usize, Posture)>,
    /// Nanoseconds in each posture, by platform.
    pub(crate) in_posture: Vec<[u64; Posture::ALL.len()]>,
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) late: u64,
    pub(crate) coarse: u64,
    pub(crate) assumed: u64,
    pub(crate) tokens: u64,
    second: (u64, u64),
    minute: (u64, u64),
    pub(crate) busiest_second: (u64, u64),
    pub(crate) busiest_minute: (u64, u64),
}

/// A request at its platform.
#[derive(Debug)]
struct Flight {
    ends: u64,
    number: u64,
    admitted: Admitted,
    outcome: Outcome,
}

impl PartialEq for Flight {
    fn eq(&self, other: &Self) -> bool {
        (self.ends, self.number) == (other.ends, other.number)
    }
}

impl Eq for Flight {}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.ends, self.number).cmp(&(other.ends, other.number))
    }
}

/// A request in the queue.
#[derive(Debug)]
struct Queued {
    waiting: Waiting,
    outcome: Outcome,
    since: u64,
    visitor: usize,
    platform: usize,
}

impl<'a> Player<'a> {
    pub(crate) fn new(
        policy: &'a Policy,
        declaration: &Declaration,
        settings: Settings,
        otherwise: Option<usize>,
        epoch: u64,
    ) -> Self {
        let node = Arc::new(Node::new(&policy.limits, SECRET));
        let declared = Arc::new(Declared::compile(declaration, &node));
        let brain = Brain::new(settings, site(declaration), Arc::clone(&node), 1);
        let platforms = policy.platforms.len();
        Self {
            policy,
            router: Router::new(policy),
            otherwise,
            shard: Shard::new(node, declared, 1),
            brain,
            epoch,
            now: epoch,
            next_tick: epoch + TICK,
            last_tick: epoch,
            last_arrival: epoch,
            flights: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            tokens: BTreeMap::new(),
            postures: vec![Posture::Normal; platforms],
            played: Played {
                whom: Whom::new(platforms),
                needs: Needs::new(),
                acts: Vec::new(),
                acts_beyond: 0,
                changes: Vec::new(),
                in_posture: vec![[0; Posture::ALL.len()]; platforms],
                from: 0,
                until: 0,
                late: 0,
                coarse: 0,
                assumed: 0,
                tokens: 0,
                second: (0, 0),
                minute: (0, 0),
                busiest_second: (0, 0),
                busiest_minute: (0, 0),
            },
        }
    }

    /// Plays requests in the order of time. Those of which only the second is known are spread over it.
    pub(crate) fn play(&mut self, mut batch: Vec<Entry>) {
        let coarse = batch.iter().filter(|entry| entry.coarse).count() as u64;
        self.played.coarse += coarse;
        for (turn, entry) in (0..).zip(batch.iter_mut().filter(|entry| entry.coarse)) {
            entry.at = entry.at / SECOND * SECOND + (2 * turn + 1) * SECOND / (2 * coarse);
        }
        batch.sort_by_key(|entry| entry.at);
        batch.iter().for_each(|entry| self.arrive(entry));
    }

    /// Lets everything end that is under way.
    pub(crate) fn end(&mut self) {
        let last = self.flights.iter().map(|Reverse(flight)| flight.ends).max().unwrap_or(self.now);
        self.advance(last.max(self.now) + TICK);
    }

    fn arrive(&mut self, entry: &Entry) {
        let at = entry.at.max(self.now);
        self.played.late += u64::from(entry.at < self.now);
        self.advance(at);
        self.wake();
        self.last_arrival = at;
        self.played.count(at);

        let client = self.client(entry);
        let agent = entry.agent.as_deref().unwrap_or_default();
        let hash = hash(agent);
        let named = entry.host.as_deref().and_then(|host| self.router.platform(host));
        let Some(platform) = named.or(self.otherwise) else {
            let visitor = self.played.whom.visitor(client, hash, agent, at);
            self.played.whom.fate(visitor, None, at, Fate::Refused(Reason::UnknownHost));
            return;
        };
        let visitor = self.played.whom.visitor(client, hash, agent, at);
        let Some(route) = self.router.route(platform, &entry.path) else { return };
        let Some(declared) = self.policy.platforms.get(platform) else { return };
        let Some(rules) = declared.routes.get(route) else { return };
        let session = declared.session_cookie.as_deref().and_then(|name| entry.cookie(name));
        let outcome = self.outcome(entry, rules.class);

        let method = std::str::from_utf8(&entry.method).unwrap_or_default();
        let fate = if !rules.methods.is_empty() && !rules.methods.iter().any(|taken| taken == method) {
            Fate::Refused(Reason::MethodNotAllowed)
        } else {
            let token = self.tokens.get(&(client, hash)).cloned();
            let ask = Ask {
                client,
                platform,
                route,
                class: rules.class,
                session,
                api_key: None,
                sight: sight(entry, token.as_deref()),
                wall: at / 1_000_000,
            };
            self.ask(&ask, outcome, visitor, hash)
        };
        self.played.whom.fate(visitor, Some(platform), at, fate);
        let by = hashes(client, self::hash);
        let session = session.map(self::hash);
        let (class, origin) = (rules.class, entry.origin);
        self.played.needs.take(&Asked {
            platform,
            route,
            class,
            client,
            session,
            hashes: by,
            at,
            origin,
            hit: fate.is_hit(),
        });
    }

    fn ask(&mut self, ask: &Ask<'_>, outcome: Outcome, visitor: usize, agent: u64) -> Fate {
        match self.shard.admit(ask, self.tick()) {
            Ruling::Admitted(admitted) => {
                for refusal in admitted.observed() {
                    self.played.whom.observed(ask.platform, refusal.reason);
                }
                // A browser keeps the cookie that it has earned.
                if let Some(grant) = admitted.grant() {
                    self.played.tokens += 1;
                    self.tokens.insert((ask.client, agent), grant.text().into());
                    self.played.whom.vouched(visitor);
                }
                self.fly(admitted, outcome);
                Fate::Passed
            }
            Ruling::Waiting(waiting) => {
                let queued = Queued { outcome, since: self.now, visitor, platform: ask.platform, waiting };
                self.waiting.insert(queued.waiting.ticket(), queued);
                Fate::Queued
            }
            other => fate(&other),
        }
    }

    /// Goes on to `to`, doing on the way what is due.
    fn advance(&mut self, to: u64) {
        loop {
            let ends = self.flights.peek().map_or(u64::MAX, |Reverse(flight)| flight.ends);
            let tick = self.next_tick;
            let call = if self.waiting.is_empty() { u64::MAX } else { self.now + CALL };
            let next = ends.min(tick).min(call);
            if next > to {
                break;
            }
            self.now = next.max(self.now);
            if ends <= next {
                self.land();
            } else if tick <= next {
                self.think();
            }
            if !self.waiting.is_empty() {
                self.call();
            }
        }
        self.now = to;
    }

    fn tick(&self) -> Tick {
        Tick(self.now - self.epoch)
    }

    fn fly(&mut self, admitted: Admitted, outcome: Outcome) {
        let number = self.played.whom.requests;
        self.flights.push(Reverse(Flight { ends: self.now + outcome.origin, number, admitted, outcome }));
    }

    /// The platform has answered.
    fn land(&mut self) {
        let Some(Reverse(flight)) = self.flights.pop() else { return };
        let seen: Seen = *flight.admitted.seen();
        drop(flight.admitted);
        let now = self.tick();
        self.shard.account(&seen, &flight.outcome, now);
    }

    /// Whoever comes after a pause finds the brain looking every 100 ms again.
    fn wake(&mut self) {
        if self.next_tick > self.now + TICK {
            self.think();
            self.next_tick = self.now + TICK;
        }
    }

    fn think(&mut self) {
        let calm = self.postures.iter().all(|posture| *posture == Posture::Normal);
        let idle = self.flights.is_empty() && self.waiting.is_empty() && self.now - self.last_arrival >= QUIET_AFTER;
        self.next_tick = self.now + if calm && idle { QUIET_TICK } else { TICK };
        let passed = self.now - std::mem::replace(&mut self.last_tick, self.now);
        let now = self.tick();
        let harvest = self.shard.harvest(now);
        self.brain.absorb(&harvest);
        self.shard.recycle(harvest);
        let pulse = self.brain.tick(now, self.now / 1_000_000);
        if let Some(orders) = pulse.orders {
            for (platform, (before, after)) in self.postures.iter_mut().zip(&orders.platforms).enumerate() {
                if *before != after.posture {
                    *before = after.posture;
                    self.played.changes.push((self.now, platform, after.posture));
                }
            }
            self.shard.obey(orders);
        }
        for (posture, spent) in self.postures.iter().zip(&mut self.played.in_posture) {
            let position = Posture::ALL.iter().position(|known| known == posture).unwrap_or(0);
            if let Some(spent) = spent.get_mut(position) {
                *spent += passed;
            }
        }
        let room = ACTS.saturating_sub(self.played.acts.len());
        self.played.acts_beyond += pulse.acts.len().saturating_sub(room) as u64;
        self.played.acts.extend(pulse.acts.into_iter().take(room));
    }

    /// Lets those claim whom the queue calls.
    fn call(&mut self) {
        let (now, mut called) = (self.tick(), Vec::new());
        self.shard.called(now, |ticket| called.push(ticket));
        for ticket in called {
            let Some(mut queued) = self.waiting.remove(&ticket) else { continue };
            let waited = self.now - queued.since;
            match self.shard.claim(&mut queued.waiting, now) {
                Claim::Stay => drop(self.waiting.insert(ticket, queued)),
                Claim::Go(admitted) => {
                    self.played.whom.waited(queued.visitor, queued.platform, waited, waited > NOTICED);
                    self.fly(admitted, queued.outcome);
                }
                Claim::Give(ruling) => {
                    self.played.whom.fate_of_queued(queued.visitor, Some(queued.platform), self.now, fate(&ruling));
                }
            }
        }
    }

    /// The client: whom a trusted proxy names, read from the right.
    fn client(&self, entry: &Entry) -> ClientAddr {
        let trusted = |address: IpAddr| self.policy.trusted.networks.iter().any(|network| network.contains(address));
        let mut client = entry.client;
        let hops = entry.forwarded.as_deref().unwrap_or_default().rsplit(|byte| *byte == b',');
        for hop in hops {
            if !trusted(client.ip()) {
                break;
            }
            let Some(before) = super::entry::client(hop.trim_ascii()) else { break };
            client = before;
        }
        client
    }

    fn outcome(&mut self, entry: &Entry, class: RouteClass) -> Outcome {
        self.played.assumed += u64::from(entry.origin.is_none());
        let origin = entry.origin.unwrap_or_else(|| u64::try_from(assumed(class).as_nanos()).unwrap_or(0));
        let failed = entry.status >= 500;
        // As the gate reads statuses; a platform's own word about the outcome is in no log.
        let counted = matches!(class, RouteClass::Login | RouteClass::Payment) && &*entry.method == b"POST";
        let business = match entry.status {
            401 | 402 | 403 | 422 if counted => Business::Failed,
            200..=399 if counted => Business::Done,
            _ => Business::Nothing,
        };
        Outcome { status: entry.status, bytes: entry.bytes, origin, failed, business }
    }
}

impl Played {
    fn count(&mut self, at: u64) {
        self.from = if self.from == 0 { at } else { self.from };
        self.until = at;
        bump(&mut self.second, at / SECOND, &mut self.busiest_second);
        bump(&mut self.minute, at / (60 * SECOND), &mut self.busiest_minute);
    }
}

/// One more in the present span; the busiest so far is kept.
fn bump(present: &mut (u64, u64), span: u64, busiest: &mut (u64, u64)) {
    if present.0 != span {
        *present = (span, 0);
    }
    present.1 += 1;
    if present.1 > busiest.1 {
        *busiest = *present;
    }
}

fn fate(ruling: &Ruling) -> Fate {
    match ruling {
        Ruling::Admitted(_) => Fate::Passed,
        Ruling::Waiting(_) => Fate::Queued,
        Ruling::Challenge(_) => Fate::Challenged,
        Ruling::Room(_) => Fate::Room,
        Ruling::Refused(refusal, _) => Fate::Refused(refusal.reason),
    }
}

fn sight<'a>(entry: &'a Entry, token: Option<&'a [u8]>) -> Sight<'a> {
    Sight {
        method: &entry.method,
        path: &entry.path,
        query: entry.query.as_deref(),
        host: entry.host.as_deref().unwrap_or_default(),
        agent: entry.agent.as_deref(),
        referer: entry.referer.as_deref(),
        accept: entry.accept.as_deref(),
        language: entry.language.as_deref(),
        fetch_mode: entry.fetch_mode.as_deref(),
        tls: entry.tls.as_deref(),
        token,
        ..Sight::default()
    }
}

fn site(declaration: &Declaration) -> Site {
    let platforms = declaration.platforms.iter().map(|platform| SitePlatform {
        name: platform.name.clone(),
        routes: platform
            .routes
            .iter()
            .map(|route| SiteRoute { path: route.path.clone(), class: route.class })
            .collect(),
    });
    Site { platforms: platforms.collect() }
}

/// Of texts that a log holds; nobody who could aim at it is waiting for the answer.
fn hash(text: &[u8]) -> u64 {
    let [k0, k1] = SECRET;
    let mut hasher = SipHasher13::new_with_keys(k0, k1);
    hasher.write(text);
    hasher.finish()
}
