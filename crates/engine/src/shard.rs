//! The decision: one worker's view of what the operator declared and what the brain orders.
//!
//! It never waits for another worker and never allocates while a route has at most eight rates.

use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{ClientAddr, Mode, RateKey, Reason, RouteClass, Tick};
use smallvec::SmallVec;

use crate::admission::queue::Turn;
use crate::brain::orders::Orders;
use crate::connections::{ConnectionPermit, Counted};
use crate::declared::{Ceiling, CompiledRate, Declared};
use crate::desk::{Desk, Standing, Visit};
use crate::lists::Verdict;
use crate::node::{Node, Permit};
use crate::refusal::{Detail, Refusal};
use crate::ruling::{Admitted, Claim, Held, Observed, Ruling, Waiting};
use crate::senses::harvest::Harvest;
use crate::senses::sight::{Attributes, Outcome, Seen, Sight};
use crate::trust::Trust;

/// Of a session or API key, so many bytes and its length are told apart; browsers cut cookies at 4096.
const KEY_BYTES: usize = 4096;
/// Rates of one route that are decided without an allocation.
const RATES_INLINE: usize = 8;

/// What one worker holds of the engine.
#[derive(Debug)]
pub struct Shard {
    node: Arc<Node>,
    declared: Arc<Declared>,
    desk: Desk,
    /// Of the desk, as the node was told.
    bytes: usize,
    /// What was known of whoever asked last.
    perceived: Trust,
}

/// One request that asks to pass.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Who asks: the socket's address, or the one that a trusted proxy vouched for.
    pub client: ClientAddr,
    /// Position in [`Declaration::platforms`](crate::Declaration::platforms).
    pub platform: usize,
    /// Position in [`Platform::routes`](crate::Platform::routes).
    pub route: usize,
    /// The route's class.
    pub class: RouteClass,
    /// The session cookie's value, if there is one.
    pub session: Option<&'a [u8]>,
    /// The API key header's value, if there is one.
    pub api_key: Option<&'a [u8]>,
    /// What the request looks like.
    pub sight: Sight<'a>,
    /// Unix milliseconds, for what outlives this process: tokens and tickets.
    pub wall: u64,
}

impl Shard {
    /// A worker's part of `node`, which holds to `declared`.
    #[must_use]
    pub fn new(node: Arc<Node>, declared: Arc<Declared>, seed: u64) -> Self {
        let desk = Desk::new(&node, &declared, seed);
        let bytes = node.desk(0, desk.bytes());
        Self { node, declared, desk, bytes, perceived: Trust::Fresh }
    }

    /// Holds to other orders from now on.
    pub fn obey(&mut self, orders: Arc<Orders>) {
        self.desk.obey(orders);
    }

    /// Holds to another declaration from now on; what is counted stays counted, and who waits goes on waiting.
    pub fn swap(&mut self, declared: Arc<Declared>) {
        self.desk.reshape(&declared);
        self.declared = declared;
        self.bytes = self.node.desk(self.bytes, self.desk.bytes());
    }

    /// What the workers share.
    #[must_use]
    pub const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Decides about a connection before anything is read from it. A trusted proxy carries other people's requests, so
    /// neither lists nor the count per address hold for the proxy itself; they hold for whom it names, at admission.
    ///
    /// # Errors
    /// When an enforced deny list holds the address, or the address holds as many connections as it may.
    pub fn handle_connection(&self, address: ClientAddr, trusted_proxy: bool) -> Result<ConnectionPermit, Refusal> {
        if trusted_proxy {
            return Ok(ConnectionPermit::new(Arc::clone(&self.node), None));
        }
        if let Some(Verdict { allowed: false, denied: Some(list), .. }) = self.declared.lists.verdict(address.ip()) {
            return Err(Refusal::new(Reason::DeniedAddress, Arc::clone(list)));
        }
        let limit = self.node.connections_per_address();
        let place = match self.node.addresses().count(self.address_hash(address), limit) {
            Counted::Held(place) => Some(place),
            Counted::NoRoom => None,
            Counted::Full => {
                let detail = Detail::Limit("connections_per_address", limit);
                return Err(Refusal::new(Reason::TooManyConnectionsFromAddress, detail));
            }
        };
        Ok(ConnectionPermit::new(Arc::clone(&self.node), place))
    }

    /// Decides about a request by lists, who vouches, declared rates and concurrency, the brain's rules, and whether there is
    /// a place. What is refused is charged to no rate and holds no place.
    pub fn admit(&mut self, ask: &Ask<'_>, now: Tick) -> Ruling {
        let refused = |refusal| Ruling::Refused(refusal, false);
        self.perceived = Trust::Fresh;
        let mut observed = Observed::new();
        let verdict = self.declared.lists.verdict(ask.client.ip());
        let allowed = verdict.is_some_and(|verdict| verdict.allowed);
        if let Some(verdict) = verdict.filter(|_| !allowed)
            && let Err(refusal) = deny(verdict, &mut observed)
        {
            return refused(refusal);
        }
        let mut visit = self.desk.perceive(&self.node, &self.declared, ask, allowed, now);
        self.perceived = visit.seen.trust;

        let rates = if allowed { &[] } else { self.declared.rates(ask.platform, ask.route) };
        let mut charges = SmallVec::<[(u64, &CompiledRate); RATES_INLINE]>::new();
        for rate in rates {
            let hash = self.rate_hash(rate, ask);
            match self.node.rates().peek(hash, rate.gcra, now) {
                Ok(()) => charges.push((hash, rate)),
                Err(wait) => {
                    if let Err(refusal) = judge(rate.mode, rate_limited(rate, wait), &mut observed) {
                        return refused(refusal);
                    }
                }
            }
        }

        let permits = match enter_all(self.declared.ceilings(ask.platform, ask.class), &mut observed) {
            Ok(permits) => permits,
            Err(refusal) => return refused(refusal),
        };

        if let Some(ruling) = self.desk.rules(ask, &mut visit) {
            self.node.senses().shown_nothing(&visit.seen);
            return ruling;
        }
        let standing = self.desk.stand(&self.node, ask, &visit, now);
        if let Standing::Give(ruling) = standing {
            return ruling;
        }
        if let Err(refusal) = self.charge(&charges, now, &mut observed) {
            if let Standing::Wait(ticket, flow) = standing {
                self.desk.leave(&flow, ticket);
            }
            return refused(refusal);
        }
        let Visit { seen, grant, vouched, .. } = visit;
        let held = Held { observed, grant, _vouched: vouched };
        match standing {
            // What waits is not under way: it takes up its place under the declared concurrency when it goes.
            Standing::Wait(ticket, flow) => {
                let (since, wall, held) = (now, ask.wall, Some(held));
                Ruling::Waiting(Waiting { ticket, flow, since, wall, seen, held })
            }
            Standing::Go(place) => {
                self.desk.goes(&seen, Duration::ZERO);
                Ruling::Admitted(Admitted { place, _permits: permits, seen, held })
            }
            Standing::Give(ruling) => ruling,
        }
    }

    /// What was known of whoever asked last, also where the answer was no.
    #[must_use]
    pub const fn perceived(&self) -> Trust {
        self.perceived
    }

    /// Decides by what the operator declared and by nothing else: for a shell that met a fault in the rest, because a fault
    /// fails towards service.
    pub fn admit_declared(&mut self, ask: &Ask<'_>, now: Tick) -> Ruling {
        self.decide_declared(ask, now).unwrap_or_else(|refusal| Ruling::Refused(refusal, false))
    }

    /// Lets a request of the gate's own in: it is charged to nobody, holds no place and teaches nothing.
    pub fn admit_own(&self, ask: &Ask<'_>, now: Tick) -> Admitted {
        let held = Held { observed: Observed::new(), grant: None, _vouched: None };
        Admitted { place: None, _permits: [None, None], seen: unseen(ask, now), held }
    }

    /// Asks for the place of a request that waits. After anything but [`Claim::Stay`] it is over with this `waiting`.
    pub fn claim(&mut self, waiting: &mut Waiting, now: Tick) -> Claim {
        let (turn, platform) = self.desk.claim(&waiting.flow, waiting.ticket, now);
        match (turn, &waiting.held) {
            (Turn::Stay, _) => Claim::Stay,
            (Turn::Go(place), Some(_)) => match self.ceilings(platform, waiting) {
                Ok((permits, held)) => {
                    let seen = waiting.seen;
                    self.desk.goes(&seen, now.since(waiting.since));
                    Claim::Go(Admitted { place: Some(place), _permits: permits, seen, held })
                }
                Err(refusal) => Claim::Give(Ruling::Refused(refusal, false)),
            },
            (Turn::Go(_) | Turn::Over, _) => {
                waiting.held = None;
                Claim::Give(self.desk.give(&waiting.flow, platform, &waiting.seen, waiting.wall))
            }
        }
    }

    /// Forgets a request whose client went away.
    pub fn leave(&mut self, waiting: Waiting) {
        self.desk.leave(&waiting.flow, waiting.ticket);
    }

    /// Names those in the queue who should claim now: a place is free, or their time is over. To be called after each
    /// account, and each 10 ms while anybody waits: other workers free places, too.
    pub fn called(&mut self, now: Tick, wake: impl FnMut(u64)) {
        self.desk.called(now, wake);
    }

    /// Takes note of how an admitted request ended, after its [`Admitted`] was dropped.
    pub fn account(&mut self, seen: &Seen, outcome: &Outcome, now: Tick) {
        let senses = self.node.senses();
        senses.finished(seen, outcome, now);
        let cost_us = senses.expected_cost_us(seen.platform, seen.route);
        self.desk.recorder().completed(seen, outcome, cost_us);
    }

    /// Takes note of a client that broke the protocol.
    pub fn abused(&mut self, platform: Option<usize>, _client: ClientAddr, _now: Tick) {
        self.desk.recorder().abused(platform);
    }

    /// Takes note of a visitor that passed its challenge.
    pub fn challenge_passed(&mut self, seen: &Seen, _now: Tick) {
        self.node.senses().cookie_came_back(seen);
        self.desk.passed(seen);
    }

    /// What was seen since the last harvest.
    pub fn harvest(&mut self, now: Tick) -> Harvest {
        self.desk.recorder().take(now)
    }

    /// Takes the memory of a harvest back.
    pub fn recycle(&mut self, harvest: Harvest) {
        self.desk.recorder().recycle(harvest);
    }

    fn decide_declared(&self, ask: &Ask<'_>, now: Tick) -> Result<Ruling, Refusal> {
        let mut observed = Observed::new();
        let verdict = self.declared.lists.verdict(ask.client.ip());
        let allowed = verdict.is_some_and(|verdict| verdict.allowed);
        if let Some(verdict) = verdict.filter(|_| !allowed) {
            deny(verdict, &mut observed)?;
        }
        let rates = if allowed { &[] } else { self.declared.rates(ask.platform, ask.route) };
        let charges: Vec<_> = rates.iter().map(|rate| (self.rate_hash(rate, ask), rate)).collect();
        let permits = enter_all(self.declared.ceilings(ask.platform, ask.class), &mut observed)?;
        self.charge(&charges, now, &mut observed)?;
        let held = Held { observed, grant: None, _vouched: None };
        Ok(Ruling::Admitted(Admitted { place: None, _permits: permits, seen: unseen(ask, now), held }))
    }

    /// Places under the declared concurrency for a request that waited.
    fn ceilings(&self, platform: usize, waiting: &mut Waiting) -> Result<([Option<Permit>; 2], Held), Refusal> {
        let over = || Refusal::new(Reason::Overloaded, "its turn was told before");
        let mut held = waiting.held.take().ok_or_else(over)?;
        let permits = enter_all(self.declared.ceilings(platform, waiting.seen.class), &mut held.observed)?;
        Ok((permits, held))
    }

    /// Charges every rate, or none: another worker may take the last request of a key after we looked.
    fn charge(&self, charges: &[(u64, &CompiledRate)], now: Tick, observed: &mut Observed) -> Result<(), Refusal> {
        for (at, (hash, rate)) in charges.iter().enumerate() {
            if let Err(wait) = self.node.rates().charge(*hash, rate.gcra, now) {
                judge(rate.mode, rate_limited(rate, wait), observed).inspect_err(|_| {
                    for (hash, rate) in charges.iter().take(at) {
                        self.node.rates().refund(*hash, rate.gcra);
                    }
                })?;
            }
        }
        Ok(())
    }

    fn address_hash(&self, address: ClientAddr) -> u64 {
        let mut hasher = self.node.hasher();
        write_address(&mut hasher, address.ip());
        hasher.finish()
    }

    /// Where a request has no session or API key, its address stands in; the tag keeps the two apart.
    fn rate_hash(&self, rate: &CompiledRate, ask: &Ask<'_>) -> u64 {
        let mut hasher = self.node.hasher();
        hasher.write_u64(rate.identity);
        let named = match rate.key {
            RateKey::Address | RateKey::Prefix => None,
            RateKey::Session => ask.session,
            RateKey::ApiKey => ask.api_key,
        };
        match named {
            Some(bytes) => {
                hasher.write_u8(b'k');
                hasher.write_usize(bytes.len());
                hasher.write(bytes.get(..KEY_BYTES).unwrap_or(bytes));
            }
            None if rate.key == RateKey::Prefix => write_address(&mut hasher, ask.client.prefix().network()),
            None => write_address(&mut hasher, ask.client.ip()),
        }
        hasher.finish()
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.node.desk(self.bytes, 0);
    }
}

/// What is remembered of a request at which nobody looked.
fn unseen(ask: &Ask<'_>, now: Tick) -> Seen {
    Seen {
        attributes: Attributes::default(),
        visitor: 0,
        token: 0,
        platform: u16::try_from(ask.platform).unwrap_or(u16::MAX),
        route: u16::try_from(ask.route).unwrap_or(u16::MAX),
        class: ask.class,
        trust: Trust::Fresh,
        client: ask.client,
        navigation: false,
        rule: 0,
        at: now,
    }
}

/// Refuses, or notes what would have been refused.
fn judge(mode: Mode, refusal: Refusal, observed: &mut Observed) -> Result<(), Refusal> {
    match mode {
        Mode::Enforce => Err(refusal),
        Mode::Observe => {
            observed.push(refusal);
            Ok(())
        }
    }
}

fn deny(verdict: &Verdict, observed: &mut Observed) -> Result<(), Refusal> {
    if let Some(list) = &verdict.denied {
        return Err(Refusal::new(Reason::DeniedAddress, Arc::clone(list)));
    }
    observed.extend(verdict.observed.iter().map(|list| Refusal::new(Reason::DeniedAddress, Arc::clone(list))));
    Ok(())
}

fn rate_limited(rate: &CompiledRate, wait: Duration) -> Refusal {
    let detail = Detail::Measure(Arc::clone(&rate.words));
    Refusal { reason: Reason::RateLimited, detail, retry_after: Some(wait) }
}

/// Takes a place under each ceiling.
fn enter_all(ceilings: [Option<&Ceiling>; 2], observed: &mut Observed) -> Result<[Option<Permit>; 2], Refusal> {
    let mut permits = [None, None];
    for (permit, ceiling) in permits.iter_mut().zip(ceilings) {
        if let Some(ceiling) = ceiling {
            *permit = Some(enter(ceiling, observed)?);
        }
    }
    Ok(permits)
}

/// Takes a place under a ceiling.
fn enter(ceiling: &Ceiling, observed: &mut Observed) -> Result<Permit, Refusal> {
    let full = |words: &Arc<str>| Refusal::new(Reason::ConcurrencyLimit, Arc::clone(words));
    let Some((permit, before)) = Permit::acquire(&ceiling.counter, ceiling.enforce) else {
        return Err(full(&ceiling.enforce_words));
    };
    if ceiling.observe.is_some_and(|limit| before >= limit) {
        observed.push(full(&ceiling.observe_words));
    }
    Ok(permit)
}

fn write_address(hasher: &mut impl Hasher, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            hasher.write_u8(4);
            hasher.write_u32(v4.to_bits());
        }
        IpAddr::V6(v6) => {
            hasher.write_u8(6);
            hasher.write_u128(v6.to_bits());
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start threads to prove that limits hold over workers")]
mod tests {
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
    use std::thread;

    use portcullis_types::{Limits, ListAction, Prefix};

    use super::*;
    use crate::declared::{Concurrency, Declaration, List, Platform, Rate, Route};

    fn rate(key: RateKey, burst: u32, mode: Mode) -> Rate {
        Rate { key, per_second: 1.0, burst, mode }
    }

    fn list(name: &str, action: ListAction, mode: Mode, prefix: &str) -> List {
        List { name: name.to_owned(), action, mode, prefixes: vec![Prefix::parse(prefix).expect(prefix)] }
    }

    fn declaration(rates: Vec<Rate>, concurrency: Vec<Concurrency>) -> Declaration {
        Declaration {
            lists: vec![
                list("office", ListAction::Allow, Mode::Enforce, "192.0.2.0/25"),
                list("scanners", ListAction::Deny, Mode::Enforce, "192.0.2.0/24"),
                list("maybe", ListAction::Deny, Mode::Observe, "198.51.100.0/24"),
            ],
            platforms: vec![Platform {
                name: "public".to_owned(),
                concurrency,
                routes: vec![Route { path: "/search".to_owned(), class: RouteClass::Search, challenge: true, rates }],
            }],
            ..Declaration::default()
        }
    }

    fn shard(node: &Arc<Node>, declaration: &Declaration) -> Shard {
        Shard::new(Arc::clone(node), Arc::new(Declared::compile(declaration, node)), 7)
    }

    fn node() -> Arc<Node> {
        Arc::new(Node::new(&Limits { rate_keys: 1024, connections_per_address: 2, ..Limits::DEFAULT }, [3, 4]))
    }

    fn client(address: &str) -> ClientAddr {
        ClientAddr::new(address.parse().expect(address))
    }

    fn ask(address: &str) -> Ask<'static> {
        let class = RouteClass::Search;
        Ask {
            client: client(address),
            platform: 0,
            route: 0,
            class,
            session: None,
            api_key: None,
            sight: Sight::default(),
            wall: 0,
        }
    }

    fn admit(shard: &mut Shard, ask: &Ask<'_>, now: Tick) -> Result<Admitted, Refusal> {
        match shard.admit(ask, now) {
            Ruling::Admitted(admitted) => Ok(admitted),
            Ruling::Refused(refusal, _) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    fn words(outcome: Result<Admitted, Refusal>) -> String {
        match outcome {
            Ok(admitted) => {
                let observed: Vec<String> = admitted.observed().iter().map(ToString::to_string).collect();
                if observed.is_empty() { "passed".to_owned() } else { format!("passed, {}", observed.join(", ")) }
            }
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn lists_decide_first_and_allow_wins() {
        let node = node();
        let mut shard = shard(&node, &declaration(vec![rate(RateKey::Address, 1, Mode::Enforce)], Vec::new()));
        let table = [
            ("192.0.2.1", "passed"),
            ("192.0.2.1", "passed"),
            ("192.0.2.200", "denied-address: list scanners"),
            ("198.51.100.1", "passed, denied-address: list maybe"),
            ("198.51.100.1", "rate-limited: rate 1/s by address on /search"),
            ("203.0.113.1", "passed"),
            ("2001:db8::1", "passed"),
            ("2001:db8::2", "passed"),
        ];
        for (address, expected) in table {
            assert_eq!(words(admit(&mut shard, &ask(address), Tick::ZERO)), expected, "{address}");
        }
    }

    #[test]
    fn after_a_fault_what_was_declared_still_holds() {
        let node = node();
        let rates = vec![rate(RateKey::Address, 1, Mode::Enforce)];
        let limits = vec![Concurrency { class: None, limit: 2, mode: Mode::Enforce }];
        let mut shard = shard(&node, &declaration(rates, limits));
        let table = [
            ("192.0.2.200", "denied-address: list scanners"),
            ("203.0.113.1", "passed"),
            ("203.0.113.1", "rate-limited: rate 1/s by address on /search"),
            ("192.0.2.1", "passed"),
            ("203.0.113.2", "concurrency-limit: 2 at once in public"),
        ];
        let mut held = Vec::new();
        for (address, expected) in table {
            let outcome = match shard.admit_declared(&ask(address), Tick::ZERO) {
                Ruling::Admitted(admitted) => {
                    held.push(admitted);
                    "passed".to_owned()
                }
                Ruling::Refused(refusal, false) => refusal.to_string(),
                other => panic!("{other:?}"),
            };
            assert_eq!(outcome, expected, "{address}");
        }
    }

    #[test]
    fn each_key_is_counted_by_what_it_names() {
        type Asked = (&'static str, Option<&'static str>, Option<&'static str>, bool);
        let cases: &[(RateKey, &[Asked])] = &[
            (
                RateKey::Address,
                &[
                    ("203.0.113.1", None, None, true),
                    ("203.0.113.2", None, None, true),
                    ("203.0.113.1", Some("a"), None, false),
                ],
            ),
            (
                RateKey::Prefix,
                &[
                    ("203.0.113.1", None, None, true),
                    ("203.0.113.2", None, None, false),
                    ("203.0.114.1", None, None, true),
                    ("2001:db8::1", None, None, true),
                    ("2001:db8:0:ff::1", None, None, false),
                    ("2001:db8:0:100::1", None, None, true),
                ],
            ),
            (
                RateKey::Session,
                &[
                    ("203.0.113.1", Some("a"), None, true),
                    ("203.0.113.2", Some("a"), None, false),
                    ("203.0.113.1", Some("b"), None, true),
                    ("203.0.113.1", None, Some("b"), true),
                    ("203.0.113.1", None, None, false),
                    ("203.0.113.1", Some(""), None, true),
                ],
            ),
            (
                RateKey::ApiKey,
                &[("203.0.113.1", Some("a"), Some("k"), true), ("203.0.113.2", Some("b"), Some("k"), false)],
            ),
        ];
        for (key, asks) in cases {
            let node = node();
            let mut shard = shard(&node, &declaration(vec![rate(*key, 1, Mode::Enforce)], Vec::new()));
            for (address, session, api_key, passes) in *asks {
                let (session, api_key) = (session.map(str::as_bytes), api_key.map(str::as_bytes));
                let outcome = admit(&mut shard, &Ask { session, api_key, ..ask(address) }, Tick::ZERO);
                assert_eq!(outcome.is_ok(), *passes, "{key:?} {address} {session:?}");
            }
        }
    }

    #[test]
    fn what_one_rate_refuses_is_charged_to_none() {
        let node = node();
        let rates = vec![
            rate(RateKey::Prefix, 3, Mode::Enforce),
            rate(RateKey::Address, 1, Mode::Enforce),
            rate(RateKey::Address, 2, Mode::Observe),
        ];
        let mut shard = shard(&node, &declaration(rates, Vec::new()));
        assert_eq!(words(admit(&mut shard, &ask("203.0.113.1"), Tick::ZERO)), "passed");
        for _ in 0..10 {
            assert_eq!(
                words(admit(&mut shard, &ask("203.0.113.1"), Tick::ZERO)),
                "rate-limited: rate 1/s by address on /search"
            );
        }
        assert_eq!(words(admit(&mut shard, &ask("203.0.113.2"), Tick::ZERO)), "passed");
        assert_eq!(words(admit(&mut shard, &ask("203.0.113.3"), Tick::ZERO)), "passed");
        let refusal =
            admit(&mut shard, &ask("203.0.113.4"), Tick::from_millis(400)).expect_err("the prefix has had its three");
        assert_eq!(refusal.retry_after, Some(Duration::from_millis(600)));
    }

    #[test]
    fn observed_rates_and_ceilings_note_and_pass() {
        let node = node();
        let ceilings = vec![
            Concurrency { class: Some(RouteClass::Search), limit: 1, mode: Mode::Observe },
            Concurrency { class: Some(RouteClass::Search), limit: 2, mode: Mode::Enforce },
            Concurrency { class: None, limit: 0, mode: Mode::Observe },
        ];
        let mut shard = shard(&node, &declaration(vec![rate(RateKey::Address, 1, Mode::Observe)], ceilings));
        let (at, whole) = (Tick::ZERO, "concurrency-limit: 0 at once in public");
        let first = admit(&mut shard, &ask("203.0.113.1"), at).expect("passes");
        assert_eq!(first.observed().iter().map(ToString::to_string).collect::<Vec<_>>(), [whole]);
        let second = admit(&mut shard, &ask("203.0.113.1"), at).expect("passes");
        let seen: Vec<_> = second.observed().iter().map(ToString::to_string).collect();
        let class = "concurrency-limit: 1 at once in search of public";
        assert_eq!(seen, ["rate-limited: rate 1/s by address on /search", class, whole]);
        assert_eq!(
            words(admit(&mut shard, &ask("203.0.113.9"), at)),
            "concurrency-limit: 2 at once in search of public"
        );
        drop(first);
        assert_eq!(words(admit(&mut shard, &ask("203.0.113.9"), at)), format!("passed, {class}, {whole}"));
        let page = Ask { class: RouteClass::Page, ..ask("203.0.113.10") };
        assert_eq!(words(admit(&mut shard, &page, at)), format!("passed, {whole}"), "another class");
    }

    #[test]
    fn what_concurrency_refuses_is_charged_to_no_rate() {
        let node = node();
        let ceiling = Concurrency { class: None, limit: 1, mode: Mode::Enforce };
        let mut shard = shard(&node, &declaration(vec![rate(RateKey::Address, 1, Mode::Enforce)], vec![ceiling]));
        let held = admit(&mut shard, &ask("203.0.113.1"), Tick::ZERO).expect("passes");
        assert_eq!(words(admit(&mut shard, &ask("203.0.113.2"), Tick::ZERO)), "concurrency-limit: 1 at once in public");
        // The allow list frees from rates, not from concurrency.
        assert_eq!(words(admit(&mut shard, &ask("192.0.2.1"), Tick::ZERO)), "concurrency-limit: 1 at once in public");
        drop(held);
        assert_eq!(words(admit(&mut shard, &ask("203.0.113.2"), Tick::ZERO)), "passed");
    }

    #[test]
    fn counts_survive_a_reload() {
        let node = node();
        let ceiling = |limit| vec![Concurrency { class: None, limit, mode: Mode::Enforce }];
        let rates = |burst| vec![rate(RateKey::Address, burst, Mode::Enforce)];
        let mut shard = shard(&node, &declaration(rates(1), ceiling(5)));
        let _held = admit(&mut shard, &ask("203.0.113.1"), Tick::ZERO).expect("passes");
        shard.swap(Arc::new(Declared::compile(&declaration(rates(1), ceiling(1)), &node)));
        assert_eq!(
            words(admit(&mut shard, &ask("203.0.113.1"), Tick::ZERO)),
            "rate-limited: rate 1/s by address on /search"
        );
        assert_eq!(words(admit(&mut shard, &ask("203.0.113.2"), Tick::ZERO)), "concurrency-limit: 1 at once in public");
        shard.swap(Arc::new(Declared::compile(&declaration(rates(2), ceiling(2)), &node)));
        assert_eq!(words(admit(&mut shard, &ask("203.0.113.1"), Tick::ZERO)), "passed", "one of two was used");
        assert_eq!(
            words(admit(&mut shard, &ask("203.0.113.1"), Tick::ZERO)),
            "rate-limited: rate 1/s by address on /search"
        );
    }

    #[test]
    fn what_was_not_declared_passes() {
        let node = node();
        let mut shard = shard(&node, &declaration(Vec::new(), Vec::new()));
        let far = Ask { platform: 9, route: usize::MAX, ..ask("203.0.113.1") };
        assert_eq!(words(admit(&mut shard, &far, Tick::ZERO)), "passed");
    }

    #[test]
    fn connections_are_held_to_lists_and_counts() {
        let node = node();
        let shard = shard(&node, &declaration(Vec::new(), Vec::new()));
        let refused =
            |address, trusted| shard.handle_connection(client(address), trusted).map_err(|refusal| refusal.to_string());
        assert_eq!(refused("192.0.2.200", false).expect_err("denied"), "denied-address: list scanners");
        assert!(refused("192.0.2.200", true).is_ok(), "the gate's own proxy is never banned");
        assert!(refused("192.0.2.1", false).is_ok(), "allowed");
        assert!(refused("198.51.100.1", false).is_ok(), "only observed");
        assert_eq!(node.connections(), 0);
        let held: Vec<_> = (0..2).map(|_| refused("203.0.113.1", false).expect("room")).collect();
        let limit = "too-many-connections-from-address: limits.connections_per_address = 2";
        assert_eq!(refused("203.0.113.1", false).expect_err("full"), limit);
        let _proxied: Vec<_> = (0..5).map(|_| refused("203.0.113.1", true).expect("exempt")).collect();
        assert_eq!(node.connections(), 7);
        drop(held);
        assert!(refused("203.0.113.1", false).is_ok());
        assert_eq!(node.connections(), 5);
    }

    #[test]
    fn concurrency_is_never_exceeded_over_workers_and_always_given_back() {
        const LIMIT: u32 = 3;
        let node = node();
        let ceiling = Concurrency { class: Some(RouteClass::Search), limit: LIMIT, mode: Mode::Enforce };
        let declared = Arc::new(Declared::compile(&declaration(Vec::new(), vec![ceiling]), &node));
        let (under_way, most, passed) = (AtomicU32::new(0), AtomicU32::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let mut shard = Shard::new(Arc::clone(&node), Arc::clone(&declared), 7);
                    for round in 0..3000 {
                        if let Ok(admitted) = admit(&mut shard, &ask("203.0.113.1"), Tick::ZERO) {
                            let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
                            most.fetch_max(now, Ordering::SeqCst);
                            if round % 8 == 0 {
                                thread::yield_now();
                            }
                            under_way.fetch_sub(1, Ordering::SeqCst);
                            passed.fetch_add(1, Ordering::Relaxed);
                            drop(admitted);
                        }
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= LIMIT, "{most:?} at once");
        assert!(passed.load(Ordering::Relaxed) > 0);
        let mut shard = Shard::new(Arc::clone(&node), declared, 7);
        let all: Vec<_> =
            (0..LIMIT).map(|_| admit(&mut shard, &ask("203.0.113.1"), Tick::ZERO).expect("given back")).collect();
        assert!(admit(&mut shard, &ask("203.0.113.1"), Tick::ZERO).is_err());
        drop(all);
    }

    #[test]
    fn a_race_lost_at_the_second_rate_gives_the_first_back() {
        let node = node();
        let shard = shard(&node, &declaration(vec![rate(RateKey::Address, 1, Mode::Enforce)], Vec::new()));
        let only = shard.declared.rates(0, 0).first().expect("a rate");
        // The second charge of one key stands for a rate whose last request another worker took.
        let lost = shard.charge(&[(10, only), (20, only), (20, only)], Tick::ZERO, &mut Observed::new());
        assert_eq!(lost.expect_err("lost").reason, Reason::RateLimited);
        assert!(node.rates().peek(10, only.gcra, Tick::ZERO).is_ok(), "given back");
        assert!(node.rates().peek(20, only.gcra, Tick::ZERO).is_ok(), "given back");
    }

    #[test]
    fn two_rates_hold_exactly_over_workers() {
        let node = node();
        let rates = vec![rate(RateKey::Prefix, 100, Mode::Enforce), rate(RateKey::Address, 40, Mode::Enforce)];
        let declared = Arc::new(Declared::compile(&declaration(rates, Vec::new()), &node));
        let passed: [AtomicUsize; 4] = Default::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut shard = Shard::new(Arc::clone(&node), Arc::clone(&declared), 7);
                    for round in 0..400 {
                        let address = format!("203.0.113.{}", round % 4);
                        if admit(&mut shard, &ask(&address), Tick::ZERO).is_ok() {
                            passed[round % 4].fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let passed = passed.map(AtomicUsize::into_inner);
        assert_eq!(passed.iter().sum::<usize>(), 100, "{passed:?}");
        assert!(passed.iter().all(|count| *count <= 40), "{passed:?}");
    }
}
