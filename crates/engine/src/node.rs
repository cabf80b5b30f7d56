//! What every worker of this process shares: counts and due ticks, in atomics and fixed memory.
//!
//! It never decides; [`Shard`](crate::Shard) does. It outlives every policy, so a reload forgets nothing.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_types::{Limits, Reason, RouteClass};
use siphasher::sip::SipHasher13;

use crate::admission::flow::Flow;
use crate::connections::AddressTable;
use crate::rate::RateTable;
use crate::refusal::{Detail, Refusal};
use crate::senses::Senses;
use crate::trust::Tokens;

/// The truth of one process that its workers share.
///
/// Its memory is taken at once, and grows only with platforms and workers: [`Node::bytes`] says how much, with the default
/// limits about 43 MiB, and 2 MiB for each worker.
#[derive(Debug)]
pub struct Node {
    secret: [u64; 2],
    tokens: Tokens,
    rates: RateTable,
    addresses: AddressTable,
    senses: Senses,
    connections: AtomicU64,
    upgrades: Arc<Counter>,
    /// Requests at once by platform and class. Locked when a policy is compiled, never when a request is decided.
    counters: Mutex<Counters>,
    /// What is under way by platform. Locked when a policy is compiled, never when a request is decided.
    flows: Mutex<BTreeMap<String, Arc<Flow>>>,
    /// Memory of all workers' desks.
    desks: AtomicUsize,
    connections_per_address: AtomicU64,
    upgraded_connections: AtomicU64,
}

type Counters = BTreeMap<(String, Option<RouteClass>), Arc<Counter>>;

impl Node {
    /// Takes the memory that `limits` ask for. `secret` must come from the system's randomness: it keeps an attacker
    /// from choosing keys that collide. For each rate key four visitors are remembered, a million at most. The tokens of
    /// such a node die with it.
    #[must_use]
    pub fn new(limits: &Limits, secret: [u64; 2]) -> Self {
        let [left, right] = secret.map(u64::to_le_bytes);
        let mut master = [0; 32];
        for (at, byte) in left.into_iter().chain(right).enumerate() {
            (master[at], master[at + 16]) = (byte, !byte);
        }
        Self::with_keys(limits, secret, master)
    }

    /// The same, with a master secret of its own for tokens: where both secrets are kept, tokens outlive the process.
    #[must_use]
    pub fn with_keys(limits: &Limits, secret: [u64; 2], master: [u8; 32]) -> Self {
        Self {
            secret,
            tokens: Tokens::new(master),
            rates: RateTable::new(limits.rate_keys),
            addresses: AddressTable::new(limits.connections),
            senses: Senses::with_room(secret, usize::try_from(limits.rate_keys).unwrap_or(0).saturating_mul(4)),
            connections: AtomicU64::new(0),
            upgrades: Arc::default(),
            counters: Mutex::default(),
            flows: Mutex::default(),
            desks: AtomicUsize::new(0),
            connections_per_address: AtomicU64::new(limits.connections_per_address),
            upgraded_connections: AtomicU64::new(limits.upgraded_connections),
        }
    }

    /// Takes over limits that can change while running. `rate_keys` and the room for addresses are fixed at start.
    pub fn set_limits(&self, limits: &Limits) {
        self.connections_per_address.store(limits.connections_per_address, Ordering::Relaxed);
        self.upgraded_connections.store(limits.upgraded_connections, Ordering::Relaxed);
    }

    /// Client connections held now, over all workers. Accepting pauses while this is at `limits.connections`.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Upgraded connections held now.
    #[must_use]
    pub fn upgrades(&self) -> u32 {
        self.upgrades.now()
    }

    /// Makes one more upgraded connection (WebSocket) count until the permit is dropped.
    ///
    /// # Errors
    /// With `concurrency-limit` when the node holds `limits.upgraded_connections`.
    pub fn handle_upgrade(&self) -> Result<UpgradePermit, Refusal> {
        let limit = self.upgraded_connections.load(Ordering::Relaxed);
        match Permit::acquire(&self.upgrades, Some(u32::try_from(limit).unwrap_or(u32::MAX))) {
            Some((permit, _)) => Ok(UpgradePermit { _permit: permit }),
            None => Err(Refusal::new(Reason::ConcurrencyLimit, Detail::Limit("upgraded_connections", limit))),
        }
    }

    /// Keys that the rate table holds.
    #[must_use]
    pub fn rate_keys(&self) -> u64 {
        self.rates.keys()
    }

    /// Rate keys that were displaced while they still owed time, because more keys came than the table holds.
    #[must_use]
    pub fn rate_keys_displaced(&self) -> u64 {
        self.rates.displaced()
    }

    /// Connections that were let in without being counted against their address, because their bucket was full.
    #[must_use]
    pub fn connections_uncounted(&self) -> u64 {
        self.addresses.uncounted()
    }

    /// Memory of the tables, which never changes, and of the platforms' counts and the workers' notes and queues, which
    /// changes only with the policy.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let flows: usize =
            self.flows.lock().unwrap_or_else(PoisonError::into_inner).values().map(|flow| flow.bytes()).sum();
        self.tables() + flows + self.desks.load(Ordering::Relaxed)
    }

    const fn tables(&self) -> usize {
        self.rates.bytes() + self.addresses.bytes() + self.tokens.bytes() + self.senses.bytes()
    }

    /// A worker's own memory was so much, and is so much now.
    pub(crate) fn desk(&self, before: usize, now: usize) -> usize {
        self.desks.fetch_add(now, Ordering::Relaxed);
        self.desks.fetch_sub(before, Ordering::Relaxed);
        now
    }

    /// What makes and reads tokens.
    #[must_use]
    pub const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// What is known of visitors and routes.
    #[must_use]
    pub const fn senses(&self) -> &Senses {
        &self.senses
    }

    pub(crate) const fn rates(&self) -> &RateTable {
        &self.rates
    }

    pub(crate) const fn addresses(&self) -> &AddressTable {
        &self.addresses
    }

    pub(crate) fn connections_per_address(&self) -> u64 {
        self.connections_per_address.load(Ordering::Relaxed)
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// A hash that nobody outside can predict.
    pub(crate) fn hasher(&self) -> SipHasher13 {
        let [k0, k1] = self.secret;
        SipHasher13::new_with_keys(k0, k1)
    }

    /// The hash of parts that must not run into one another.
    pub(crate) fn hash(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = self.hasher();
        for part in parts {
            hasher.write_u64(u64::try_from(part.len()).unwrap_or(u64::MAX));
            hasher.write(part);
        }
        hasher.finish()
    }

    /// A key for hashes of one purpose, the same after a restart where the node's secret is.
    #[must_use]
    pub fn key_for(&self, purpose: &str) -> [u64; 2] {
        [b"0", b"1"].map(|half| self.hash(&[purpose.as_bytes(), half]))
    }

    /// The counter of that platform and class: the same one as long as a policy or a request uses it.
    pub(crate) fn counter(&self, platform: &str, class: Option<RouteClass>) -> Arc<Counter> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|_, counter| Arc::strong_count(counter) > 1);
        Arc::clone(counters.entry((platform.to_owned(), class)).or_default())
    }

    /// What is under way for that platform: the same as long as a policy, a request or the brain uses it.
    pub(crate) fn flow(&self, platform: &str) -> Arc<Flow> {
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        flows.retain(|_, flow| Arc::strong_count(flow) > 1);
        Arc::clone(flows.entry(platform.to_owned()).or_default())
    }
}

/// The right to hold an upgraded connection.
#[derive(Debug)]
pub struct UpgradePermit {
    _permit: Permit,
}

/// How many are under way.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU32);

impl Counter {
    pub(crate) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of those that are under way.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Counter>);

impl Permit {
    /// One more, unless there are `limit` already; also says how many there were.
    pub(crate) fn acquire(counter: &Arc<Counter>, limit: Option<u32>) -> Option<(Self, u32)> {
        let limit = limit.unwrap_or(u32::MAX);
        let before =
            counter.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < limit).then_some(now + 1));
        before.ok().map(|before| (Self(Arc::clone(counter)), before))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::{Declaration, Declared, Platform, Route};
    use crate::shard::Shard;

    #[test]
    fn memory_is_what_the_documentation_says() {
        let node = Node::new(&Limits::DEFAULT, [1, 2]);
        let tables = 128 * 262_144u64.div_ceil(7) as usize + 8 * 4 * 50_000;
        let visitors = 32 * (1 << 20) + 24 * (1 << 17) + 4 * 64 * 256 + 8 * 4096;
        assert_eq!(node.senses().bytes(), visitors);
        assert_eq!(node.bytes(), tables + node.tokens().bytes() + visitors);
        assert!((40 << 20..50 << 20).contains(&node.bytes()), "{}", node.bytes());
    }

    #[test]
    fn a_million_visitors_a_platform_and_two_workers_fit_into_64_mib() {
        for rate_keys in [Limits::DEFAULT.rate_keys, 1 << 19] {
            let node = Arc::new(Node::new(&Limits { rate_keys, ..Limits::DEFAULT }, [1, 2]));
            let before = node.bytes();
            let route =
                |at: u32| Route { path: format!("/{at}"), class: RouteClass::Page, challenge: true, rates: vec![] };
            let platform = |routes: u32| {
                let routes = (0..routes).map(route).collect();
                let platforms = vec![Platform { name: "public".to_owned(), concurrency: Vec::new(), routes }];
                Arc::new(Declared::compile(&Declaration { platforms, ..Declaration::default() }, &node))
            };
            let mut shards = [7, 8].map(|seed| Shard::new(Arc::clone(&node), platform(10), seed));
            let few = node.bytes();
            shards.iter_mut().for_each(|shard| shard.swap(platform(300)));
            assert!(before + (1 << 20) < few && few < node.bytes(), "{before}, {few}, {}", node.bytes());
            assert!(node.bytes() <= 64 << 20, "{}", node.bytes());
            drop(shards);
            assert!(node.bytes() < before + (1 << 20), "given back: {}", node.bytes());
        }
    }

    #[test]
    fn upgrades_are_bounded_and_given_back() {
        let node = Node::new(&Limits { upgraded_connections: 2, ..Limits::DEFAULT }, [1, 2]);
        let held: Vec<_> = (0..2).map(|_| node.handle_upgrade().expect("room")).collect();
        let refusal = node.handle_upgrade().expect_err("full");
        assert_eq!(refusal.to_string(), "concurrency-limit: limits.upgraded_connections = 2");
        drop(held);
        assert_eq!(node.upgrades(), 0);
        node.set_limits(&Limits { upgraded_connections: 0, ..Limits::DEFAULT });
        assert!(node.handle_upgrade().is_err());
    }

    #[test]
    fn counters_are_shared_by_name_and_forgotten_when_unused() {
        let node = Node::new(&Limits::DEFAULT, [1, 2]);
        let first = node.counter("public", Some(RouteClass::Search));
        let _held = Permit::acquire(&first, Some(1)).expect("room");
        assert_eq!(node.counter("public", Some(RouteClass::Search)).now(), 1);
        assert_eq!(node.counter("public", None).now(), 0);
        assert_eq!(node.counter("members", Some(RouteClass::Search)).now(), 0);
        assert_eq!(node.counters.lock().expect("not poisoned").len(), 2, "what nobody holds is gone");
    }
}
