//! What is made of what was seen: postures, rules, limits, each with its reason.
//!
//! Shards hand over what they saw with [`Brain::absorb`]; [`Brain::tick`] makes of it what shall hold from now on. It reads
//! no clock: the same calls give the same answers.

pub(crate) mod act;
pub(crate) mod miner;
pub(crate) mod orders;
pub(crate) mod posture;
#[expect(dead_code, reason = "the brain that calls it follows")]
pub(crate) mod rules;
pub(crate) mod status;
pub(crate) mod trial;
pub(crate) mod words;

use std::sync::Arc;

use portcullis_types::{RouteClass, Tick};

use act::Act;
use orders::{Orders, PlatformOrders, RuleId};
use posture::Posture;
use status::{PlatformStatus, Status};

use crate::node::Node;
use crate::senses::harvest::Harvest;
use crate::settings::Settings;

/// What there is to protect, by name, so that what is known survives a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    /// By position, as in [`Declaration::platforms`](crate::Declaration::platforms).
    pub platforms: Vec<SitePlatform>,
}

/// One platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SitePlatform {
    /// Its name.
    pub name: String,
    /// By position.
    pub routes: Vec<SiteRoute>,
}

/// One route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteRoute {
    /// The path as it is written in the configuration.
    pub path: String,
    /// The class.
    pub class: RouteClass,
}

/// What a tick brings forth.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Orders for every shard, where something has changed.
    pub orders: Option<Arc<Orders>>,
    /// What was done and why, for the journal.
    pub acts: Vec<Act>,
}

/// What an operator asks of the brain. The operator's word always wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Keeps a rule in force, whatever the brain thinks of it.
    Pin(RuleId),
    /// Takes a rule back, and does not find it again.
    Undo(RuleId),
    /// Holds a platform, or all of them, in a posture; without a posture it is automatic again.
    Posture {
        /// Its name; all of them without.
        platform: Option<String>,
        /// Which.
        posture: Option<Posture>,
    },
    /// Announces an event: what is normal now is pinned until it is over, and the brain arms early.
    AddEvent {
        /// Its name.
        name: String,
        /// The platform it concerns; all of them without.
        platform: Option<String>,
        /// From, in Unix milliseconds.
        from: u64,
        /// Until, in Unix milliseconds.
        until: u64,
    },
    /// Takes an announcement back.
    CancelEvent {
        /// Its name.
        name: String,
    },
}

/// What judges. One per node; it belongs to one thread.
#[derive(Debug)]
pub struct Brain {
    settings: Settings,
    site: Site,
    node: Arc<Node>,
    seed: u64,
    orders: Orders,
}

impl Brain {
    /// Knows nothing yet. `seed` decides what chance decides.
    #[must_use]
    pub fn new(settings: Settings, site: Site, node: Arc<Node>, seed: u64) -> Self {
        let orders = orders_for(&site);
        Self { settings, site, node, seed, orders }
    }

    /// Goes on with another site or other settings; what is known is kept by name.
    pub fn replace(&mut self, settings: Settings, site: Site) {
        self.orders = Orders { revision: self.orders.revision + 1, ..orders_for(&site) };
        self.settings = settings;
        self.site = site;
    }

    /// Takes in what a shard saw.
    pub fn absorb(&mut self, harvest: &Harvest) {
        let _ = (harvest, &self.node, self.seed, &self.settings);
    }

    /// Judges what was absorbed since the last tick. To be called every 100 ms; `wall` is Unix milliseconds.
    pub fn tick(&mut self, now: Tick, wall: u64) -> Pulse {
        let _ = (now, wall);
        let first = self.orders.revision == 0;
        if first {
            self.orders.revision = 1;
        }
        Pulse { orders: first.then(|| Arc::new(self.orders.clone())), acts: Vec::new() }
    }

    /// Does what an operator asks.
    ///
    /// # Errors
    /// When there is no such rule, platform or event.
    pub fn command(&mut self, command: Command, now: Tick, wall: u64) -> Result<(String, Vec<Act>), String> {
        let _ = (now, wall);
        Err(format!("nothing is known yet of {command:?}"))
    }

    /// How everything stands.
    #[must_use]
    pub fn status(&self, now: Tick) -> Status {
        let _ = now;
        let platform = |(platform, orders): (&SitePlatform, &PlatformOrders)| PlatformStatus {
            name: platform.name.clone(),
            posture: orders.posture.name().to_owned(),
            ..PlatformStatus::default()
        };
        let platforms = self.site.platforms.iter().zip(&self.orders.platforms).map(platform).collect();
        Status { platforms, ..Status::default() }
    }

    /// What must survive a restart.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes back what [`Brain::save`] gave.
    ///
    /// # Errors
    /// When the bytes are not what `save` writes; nothing has changed then.
    pub fn restore(&mut self, bytes: &[u8], wall: u64) -> Result<(), String> {
        let _ = wall;
        if bytes.is_empty() { Ok(()) } else { Err("not a memory of the brain".to_owned()) }
    }
}

fn orders_for(site: &Site) -> Orders {
    Orders { revision: 0, platforms: site.platforms.iter().map(|_| PlatformOrders::default()).collect() }
}
