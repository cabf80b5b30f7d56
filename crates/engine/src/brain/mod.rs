//! What is made of what was seen: postures, rules, limits, each with its reason.
//!
//! Shards hand over what they saw with [`Brain::absorb`]; [`Brain::tick`] makes of it what shall hold from now on. It reads
//! no clock: the same calls give the same answers.

pub(crate) mod act;
mod baseline;
mod channels;
pub(crate) mod clause;
mod events;
mod memory;
pub(crate) mod miner;
pub(crate) mod orders;
mod platform;
pub(crate) mod posture;
pub(crate) mod rules;
mod sample;
pub(crate) mod status;
pub(crate) mod trial;
pub(crate) mod words;

use std::mem;
use std::sync::Arc;

use portcullis_types::{RouteClass, Tick};

use act::Act;
use events::{Event, Events};
use memory::Memory;
use orders::{Orders, PlatformOrders, RuleId};
use platform::{Around, Platform};
use posture::Posture;
use sample::mix;
use status::Status;

use crate::node::Node;
use crate::senses::harvest::{Harvest, PORTRAITS, Portrait};
use crate::settings::Settings;

/// Portraits that are kept, over all platforms: those of the last seconds.
const PORTRAITS_KEPT: usize = 2 * PORTRAITS;
/// Without a tick for so many seconds, what came in between says nothing about how fast it came.
const PAUSE: f64 = 2.0;

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
    node: Arc<Node>,
    seed: u64,
    platforms: Vec<Platform>,
    events: Events,
    portraits: Vec<Portrait>,
    /// Where the next portrait goes, once all places are taken.
    oldest_portrait: usize,
    last_rule: u32,
    revision: u64,
    /// By position, what the shards hold to.
    in_force: Vec<PlatformOrders>,
    last: Option<Tick>,
    wall: u64,
}

impl Brain {
    /// Knows nothing yet. `seed` decides what chance decides.
    #[must_use]
    pub fn new(settings: Settings, site: Site, node: Arc<Node>, seed: u64) -> Self {
        let mut brain = Self {
            settings,
            node,
            seed,
            platforms: Vec::new(),
            events: Events::default(),
            portraits: Vec::new(),
            oldest_portrait: 0,
            last_rule: 0,
            revision: 0,
            in_force: Vec::new(),
            last: None,
            wall: 0,
        };
        brain.settle(site);
        brain
    }

    /// Goes on with another site or other settings; what is known is kept by name.
    pub fn replace(&mut self, settings: Settings, site: Site) {
        self.settings = settings;
        self.settle(site);
    }

    fn settle(&mut self, site: Site) {
        let now = self.last.unwrap_or_default();
        let places = Platform::places(site.platforms.len());
        let mut before: Vec<_> = mem::take(&mut self.platforms).into_iter().map(Some).collect();
        for (position, site) in site.platforms.into_iter().enumerate() {
            let seed = mix(self.seed ^ mix(position as u64 + 1));
            let known =
                before.iter().position(|known| known.as_ref().is_some_and(|known| known.site.name == site.name));
            let known = known.and_then(|old| Some((old, before.get_mut(old)?.take()?)));
            let platform = match known {
                Some((old, mut platform)) => {
                    platform.reshape(site, places, (old, position), now, seed);
                    platform
                }
                None => Platform::new(site, &self.node, places, now, seed),
            };
            self.platforms.push(platform);
        }
        // Shards get orders for the new shape with the next tick, whatever they say.
        self.in_force.clear();
        self.portraits.clear();
        self.oldest_portrait = 0;
    }

    /// Takes in what a shard saw.
    pub fn absorb(&mut self, harvest: &Harvest) {
        for (platform, came) in self.platforms.iter_mut().zip(&harvest.platforms) {
            platform.absorb(came);
        }
        for portrait in &harvest.portraits {
            if self.portraits.len() < PORTRAITS_KEPT {
                self.portraits.push(*portrait);
            } else if let Some(oldest) = self.portraits.get_mut(self.oldest_portrait) {
                *oldest = *portrait;
                self.oldest_portrait = (self.oldest_portrait + 1) % PORTRAITS_KEPT;
            }
        }
    }

    /// Judges what was absorbed since the last tick. To be called every 100 ms; `wall` is Unix milliseconds.
    pub fn tick(&mut self, now: Tick, wall: u64) -> Pulse {
        let since = self.last.replace(now).map_or(0.1, |last| now.since(last).as_secs_f64());
        let mut acts = Vec::new();
        self.wall = wall;
        self.events.forget(wall);
        let around = Around {
            now,
            wall,
            seconds: since.clamp(0.001, PAUSE),
            settings: &self.settings,
            node: &self.node,
            events: &self.events,
            portraits: &self.portraits,
        };
        for platform in &mut self.platforms {
            platform.tick(&around, &mut self.last_rule, &mut acts);
        }
        Pulse { orders: self.new_orders(), acts }
    }

    /// A new snapshot, where something is other than what the shards hold to.
    fn new_orders(&mut self) -> Option<Arc<Orders>> {
        let same = self.revision > 0
            && self.in_force.len() == self.platforms.len()
            && self.in_force.iter().zip(&self.platforms).all(|(before, platform)| *before == platform.orders);
        if same {
            return None;
        }
        self.revision += 1;
        self.in_force = self.platforms.iter().map(|platform| platform.orders.clone()).collect();
        Some(Arc::new(Orders { revision: self.revision, platforms: self.in_force.clone() }))
    }

    /// Does what an operator asks; each act bears the name of who it is.
    ///
    /// # Errors
    /// When there is no such rule, platform or event, or the event makes no sense.
    pub fn command(&mut self, command: Command, by: &str, now: Tick, wall: u64) -> Result<(String, Vec<Act>), String> {
        let mut acts = match command {
            Command::Pin(rule) => {
                vec![self.rule_act(rule, |platform| platform.rules.pin(rule, &platform.site.name, now))?]
            }
            Command::Undo(rule) => {
                vec![self.rule_act(rule, |platform| platform.rules.undo(rule, &platform.site.name, now, wall))?]
            }
            Command::Posture { platform, posture } => self.force(platform.as_deref(), posture, now)?,
            Command::AddEvent { name, platform, from, until } => {
                self.require(platform.as_deref())?;
                let event = Event { name, platform, from, until };
                self.events.add(event.clone(), wall)?;
                let place = event.platform.as_deref().unwrap_or("every platform");
                let words = format!(
                    "An operator announced {} on {place}: what is ordinary now stays the measure until it is over, and \
                     from its beginning on the gate arms early.",
                    event.name
                );
                vec![event_act("event-added", &event, words, now)]
            }
            Command::CancelEvent { name } => {
                let event = self.events.cancel(&name).ok_or_else(|| format!("there is no event {name}"))?;
                let words = format!("An operator took the announcement of {name} back.");
                vec![event_act("event-cancelled", &event, words, now)]
            }
        };
        acts.iter_mut().for_each(|act| by.clone_into(&mut act.by));
        let words: Vec<_> = acts.iter().map(|act| act.words.as_str()).collect();
        Ok((words.join("\n"), acts))
    }

    fn rule_act(&mut self, rule: RuleId, act: impl FnOnce(&mut Platform) -> Option<Act>) -> Result<Act, String> {
        let platform = self.platforms.iter_mut().find(|platform| platform.rules.has(rule));
        platform.and_then(act).ok_or_else(|| format!("there is no rule {rule}"))
    }

    fn force(&mut self, name: Option<&str>, posture: Option<Posture>, now: Tick) -> Result<Vec<Act>, String> {
        self.require(name)?;
        let meant = |platform: &&mut Platform| name.is_none_or(|name| platform.site.name == name);
        Ok(self.platforms.iter_mut().filter(meant).map(|platform| platform.force(posture, now)).collect())
    }

    fn require(&self, name: Option<&str>) -> Result<(), String> {
        match name {
            Some(name) if !self.platforms.iter().any(|platform| platform.site.name == name) => {
                Err(format!("there is no platform {name}"))
            }
            _ => Ok(()),
        }
    }

    /// How everything stands.
    #[must_use]
    pub fn status(&self, now: Tick) -> Status {
        Status {
            platforms: self.platforms.iter().map(|platform| platform.status(now, &self.settings)).collect(),
            events: self.events.status(),
            bytes: self.bytes(),
        }
    }

    fn bytes(&self) -> usize {
        self.platforms.iter().map(Platform::bytes).sum::<usize>() + self.portraits.capacity() * size_of::<Portrait>()
    }

    /// What must survive a restart.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let platforms = self.platforms.iter().enumerate();
        Memory {
            secret: self.secret_print(),
            saved: self.wall,
            last_rule: self.last_rule,
            events: self.events.clone(),
            platforms: platforms.map(|(position, platform)| platform.save(position, self.wall)).collect(),
        }
        .to_bytes()
    }

    /// Takes back what [`Brain::save`] gave, by the names of platforms and the paths of routes. What was going on goes on
    /// if that was minutes ago; what is known for longer is known whenever that was.
    ///
    /// # Errors
    /// When the bytes are not what `save` writes; nothing has changed then.
    pub fn restore(&mut self, bytes: &[u8], now: Tick, wall: u64) -> Result<(), String> {
        let memory = Memory::from_bytes(bytes)?;
        let same_secret = memory.secret == self.secret_print();
        let is_of_now = memory.is_of_now(wall);
        self.last_rule = self.last_rule.max(memory.last_rule);
        self.events = memory.events;
        self.events.forget(wall);
        for saved in memory.platforms {
            let known = self.platforms.iter_mut().enumerate().find(|(_, platform)| platform.site.name == saved.name);
            if let Some((position, platform)) = known {
                platform.restore(saved, position, (same_secret, is_of_now), now, wall);
            }
        }
        Ok(())
    }

    /// Tells secrets apart and says nothing about them.
    fn secret_print(&self) -> u64 {
        self.node.hash(&[b"memory of the brain"])
    }
}

fn event_act(kind: &str, event: &Event, words: String, now: Tick) -> Act {
    Act {
        at_nanos: now.0,
        kind: kind.to_owned(),
        platform: event.platform.clone().unwrap_or_default(),
        rule: None,
        by: "operator".to_owned(),
        words,
        facts: vec![
            ("name".to_owned(), event.name.clone()),
            ("from".to_owned(), event.from.to_string()),
            ("until".to_owned(), event.until.to_string()),
        ],
        undo: if kind == "event-added" { format!("portcullis event cancel {}", event.name) } else { String::new() },
    }
}

#[cfg(test)]
mod tests;
