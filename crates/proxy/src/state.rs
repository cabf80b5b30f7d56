//! One policy, compiled: what every worker reads and nobody changes.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use portcullis_config::policy::{AddressList, ChallengeMode, Mode, Platform, Upstream, Vouched, VouchedKind};
use portcullis_config::{Policy, Router};
use portcullis_engine::{self as engine, Declaration, Declared};

use crate::chronicle::{self, Chronicle, Flow};
use crate::guard::Guards;
use crate::http::reports::Announced;
use crate::http::upstream::{self, Server, Shared};
use crate::inspectors::Inspectors;
use crate::metrics::{Registry, Slot};
use crate::postgres::Database;
use crate::statements::Left;
use crate::tls::{ServerSide, UpstreamSide};

/// A policy in force.
pub(crate) struct Snapshot {
    pub(crate) policy: Policy,
    pub(crate) router: Router,
    pub(crate) tls: Arc<ServerSide>,
    pub(crate) declared: Arc<Declared>,
    pub(crate) inspectors: Inspectors,
    pub(crate) guards: Guards,
    /// For each platform and route, where what leaves is counted.
    flows: Vec<Vec<Arc<Flow>>>,
    /// For each platform its routes, as they are called.
    pub(crate) route_names: Vec<Vec<Box<str>>>,
    /// For each platform whose browsers are listened to, what its pages carry.
    browsers: Vec<Option<Announced>>,
    /// For each platform its servers, as the node sees them.
    pub(crate) servers: Vec<Vec<Arc<Shared>>>,
    /// The databases, as the node sees them.
    pub(crate) databases: Vec<Arc<Database>>,
    pub(crate) platform_slots: Vec<Slot>,
    pub(crate) listener_slots: Vec<Slot>,
    pub(crate) generation: u64,
}

impl Snapshot {
    /// Compiles a policy. What the one before knew of servers that stay is kept: their health, their sessions.
    pub(crate) fn compile(
        policy: Policy,
        before: Option<&Self>,
        registry: &Registry,
        node: &engine::Node,
        (upstream_tls, chronicle): (&UpstreamSide, &Chronicle),
    ) -> Result<Arc<Self>, String> {
        let tls = match before {
            Some(before) => before.tls.reload(&policy)?,
            None => ServerSide::from_policy(&policy)?,
        };
        let mut servers = Vec::with_capacity(policy.platforms.len());
        for platform in &policy.platforms {
            let shared = platform
                .upstreams
                .iter()
                .map(|declared| match before.and_then(|before| before.server(platform, declared)) {
                    Some(known) => Ok(known),
                    None => {
                        let tls =
                            declared.tls.as_ref().map(|tls| upstream_tls.client(tls, declared.http2)).transpose()?;
                        let counters = registry.upstream(&declared.url);
                        Ok(Shared::new(declared.clone(), tls, &platform.transport, counters))
                    }
                })
                .collect::<Result<Vec<_>, String>>()?;
            servers.push(shared);
        }
        if let Some(before) = before {
            for gone in before.servers.iter().flatten() {
                if !servers.iter().flatten().any(|server| server.upstream().url == gone.upstream().url) {
                    registry.upstream(&gone.upstream().url).retire();
                }
            }
        }
        // A secret that is kept nowhere hashes nothing that anybody would know again.
        let left = |name: &str| {
            let path = directory(&policy)?.join(format!("left.{name}"));
            Some(Left { path, key: node.key_for("left") })
        };
        let databases = policy
            .databases
            .iter()
            .map(|declared| {
                let known =
                    before.and_then(|before| before.databases.iter().find(|known| known.name() == declared.name));
                let (known, left) = (known.map(AsRef::as_ref), left(&declared.name));
                Database::compile(declared.clone(), &policy.limits, known, registry, left).map(Arc::new)
            })
            .collect::<Result<Vec<_>, String>>()?;
        let inspectors = Inspectors::compile(&policy, before.map(|before| (&before.policy, &before.inspectors)))?;
        Ok(Arc::new(Self {
            inspectors,
            guards: Guards::compile(&policy)?,
            route_names: policy.platforms.iter().map(route_names).collect(),
            browsers: policy.platforms.iter().map(|platform| announced(&policy, platform)).collect(),
            flows: policy.platforms.iter().map(|platform| flows(platform, chronicle)).collect(),
            router: Router::new(&policy),
            tls,
            declared: Arc::new(Declared::compile(&declaration(&policy), node)),
            servers,
            databases,
            platform_slots: policy.platforms.iter().map(|platform| registry.platform(&platform.name)).collect(),
            listener_slots: policy.doors().map(|(name, _)| registry.listener(name)).collect(),
            generation: before.map_or(1, |before| before.generation + 1),
            policy,
        }))
    }

    /// Where what leaves by a route is counted.
    pub(crate) fn flow(&self, (platform, route): (usize, usize)) -> Option<&Flow> {
        self.flows.get(platform)?.get(route).map(AsRef::as_ref)
    }

    /// What pages of a platform carry for browsers that report; none where nobody listens to them.
    pub(crate) fn browsers(&self, platform: usize) -> Option<&Announced> {
        self.browsers.get(platform)?.as_ref()
    }

    /// The server that the policy before had, if it is declared just the same.
    fn server(&self, platform: &Platform, declared: &Upstream) -> Option<Arc<Shared>> {
        let index = self.policy.platforms.iter().position(|known| known.name == platform.name)?;
        let known = self.policy.platforms.get(index)?;
        let same = known.transport.eject_after == platform.transport.eject_after
            && known.transport.eject_for == platform.transport.eject_for
            && known.health == platform.health;
        self.servers.get(index)?.iter().find(|server| same && server.upstream() == declared).cloned()
    }
}

fn announced(policy: &Policy, platform: &Platform) -> Option<Announced> {
    let declared = policy.integrity.browsers.iter().find(|declared| declared.platform == platform.name)?;
    Some(Announced::new(declared))
}

fn route_names(platform: &Platform) -> Vec<Box<str>> {
    platform.routes.iter().map(|route| route.path.to_string().into()).collect()
}

fn flows(platform: &Platform, chronicle: &Chronicle) -> Vec<Arc<Flow>> {
    let path = chronicle::http(&platform.name);
    platform.routes.iter().map(|route| chronicle.flow(&path, &route.path.to_string())).collect()
}

/// A policy as one worker holds it: with pools of its own.
pub(crate) struct Local {
    pub(crate) snapshot: Arc<Snapshot>,
    platforms: Vec<upstream::Platform>,
}

impl Local {
    /// Pools for a policy; connections to servers that stay are kept.
    pub(crate) fn new(snapshot: Arc<Snapshot>, before: Option<&Self>, seed: u64) -> Rc<Self> {
        let keep = usize::try_from(snapshot.policy.limits.upstream_idle).unwrap_or(usize::MAX);
        let platforms = snapshot
            .policy
            .platforms
            .iter()
            .zip(&snapshot.servers)
            .map(|(platform, servers)| {
                let servers = servers
                    .iter()
                    .map(|shared| {
                        before
                            .and_then(|before| before.server(shared))
                            .unwrap_or_else(|| Server::new(Arc::clone(shared), keep))
                    })
                    .collect();
                upstream::Platform::new(servers, platform.transport.retry_budget_percent, seed)
            })
            .collect();
        Rc::new(Self { snapshot, platforms })
    }

    /// The platform's servers. The index comes from the same snapshot's router.
    pub(crate) fn platform(&self, index: usize) -> &upstream::Platform {
        &self.platforms[index]
    }

    fn server(&self, shared: &Arc<Shared>) -> Option<Rc<Server>> {
        self.platforms
            .iter()
            .flat_map(upstream::Platform::servers)
            .find(|server| Arc::ptr_eq(server.shared(), shared))
            .cloned()
    }
}

/// Where the secrets of the node and what was learned outlive a restart.
pub(crate) fn directory(policy: &Policy) -> Option<PathBuf> {
    policy.defence.state.clone()
}

/// What of the brain is switched on.
#[must_use]
pub fn settings(policy: &Policy) -> engine::Settings {
    let defence = &policy.defence;
    let acts = defence.mode == Mode::Enforce;
    let switches = engine::Switches {
        mining: defence.rules,
        challenges: acts && defence.challenges,
        admission: acts && defence.admission,
        room: acts && defence.waiting_room,
        ..engine::Switches::ALL
    };
    engine::Settings { watch_only: !acts, switches }
}

/// What there is to protect, by name.
#[must_use]
pub fn site(policy: &Policy) -> engine::Site {
    let route = |route: &portcullis_config::policy::Route| engine::SiteRoute {
        path: route.path.to_string(),
        class: route.class,
    };
    let platform = |platform: &Platform| engine::SitePlatform {
        name: platform.name.clone(),
        routes: platform.routes.iter().map(route).collect(),
    };
    engine::Site { platforms: policy.platforms.iter().map(platform).collect() }
}

/// What the engine holds to, in its own words.
#[must_use]
pub fn declaration(policy: &Policy) -> Declaration {
    let list = |list: &AddressList| engine::List {
        name: list.name.clone(),
        action: list.action,
        mode: list.mode,
        prefixes: list.prefixes.clone(),
    };
    let platform = |platform: &Platform| engine::Platform {
        name: platform.name.clone(),
        concurrency: platform
            .concurrency
            .iter()
            .map(|limit| engine::Concurrency { class: limit.class, limit: limit.limit, mode: limit.mode })
            .collect(),
        routes: platform
            .routes
            .iter()
            .map(|route| engine::Route {
                path: route.path.to_string(),
                class: route.class,
                challenge: route.challenge != ChallengeMode::Never,
                rates: route
                    .rates
                    .iter()
                    .map(|rate| engine::Rate {
                        key: rate.key,
                        per_second: rate.per_second,
                        burst: rate.burst,
                        mode: rate.mode,
                    })
                    .collect(),
            })
            .collect(),
    };
    let vouched = |vouched: &Vouched| engine::Vouched {
        name: vouched.name.clone(),
        trust: match vouched.kind {
            VouchedKind::Staff => engine::Trust::Staff,
            VouchedKind::Partner => engine::Trust::Partner,
            VouchedKind::Crawler => engine::Trust::Crawler,
        },
        prefixes: vouched.networks.clone(),
        api_key_hash: vouched.api_key_sha256,
        agent: vouched.agent.clone(),
        per_second: vouched.per_second,
        burst: vouched.burst,
        concurrency: vouched.concurrency,
    };
    Declaration {
        lists: policy.lists.iter().map(list).collect(),
        platforms: policy.platforms.iter().map(platform).collect(),
        vouched: policy.vouched.iter().map(vouched).collect(),
    }
}
