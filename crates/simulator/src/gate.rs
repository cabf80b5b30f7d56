//! The real engine, called as the gate calls it, by one thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_engine::{Act, Brain, Declared, Node, Orders, Settings, Shard, Vouched};
use portcullis_types::Tick;

use crate::random::Random;
use crate::site::Site;

/// Between two harvests.
pub(crate) const TICK: u64 = 100_000_000;
/// Between two looks at who may leave the queue.
pub(crate) const CALL: u64 = 10_000_000;
/// The wall clock when a world begins: 2026-11-03, 17:00 UTC.
pub(crate) const DAWN: u64 = 1_793_725_200_000;

/// Node, shards and brain.
pub(crate) struct Gate {
    pub(crate) node: Arc<Node>,
    pub(crate) shards: Vec<Shard>,
    /// By shard, then by ticket: the flights that wait.
    pub(crate) waiting: Vec<BTreeMap<u64, u32>>,
    pub(crate) orders: Arc<Orders>,
    brain: Brain,
    settings: Settings,
    site: portcullis_engine::Site,
    seed: u64,
}

impl Gate {
    pub(crate) fn new(site: &Site, vouched: Vec<Vouched>, off: &[&str], workers: usize, random: &mut Random) -> Self {
        let mut master = [0; 32];
        for chunk in master.chunks_mut(8) {
            chunk.copy_from_slice(&random.next().to_le_bytes());
        }
        let node = Arc::new(Node::with_keys(&site.limits, [random.next(), random.next()], master));
        let declared = Arc::new(Declared::compile(&site.declaration(vouched), &node));
        let mut settings = Settings::default();
        for part in off {
            if let Some(switch) = settings.switches.by_name(part) {
                *switch = false;
            }
        }
        let workers = workers.max(1);
        let seed = random.next();
        let shard = |_| Shard::new(Arc::clone(&node), Arc::clone(&declared), random.next());
        Self {
            shards: (0..workers).map(shard).collect(),
            waiting: vec![BTreeMap::new(); workers],
            orders: Arc::default(),
            brain: Brain::new(settings.clone(), site.outline(), Arc::clone(&node), seed),
            node,
            settings,
            site: site.outline(),
            seed,
        }
    }

    /// What the shell does every 100 ms. Says what was done, and whether there are other orders.
    pub(crate) fn tick(&mut self, now: Tick) -> (Vec<Act>, bool) {
        for shard in &mut self.shards {
            let harvest = shard.harvest(now);
            self.brain.absorb(&harvest);
            shard.recycle(harvest);
        }
        let pulse = self.brain.tick(now, wall(now));
        let changed = pulse.orders.is_some();
        if let Some(orders) = pulse.orders {
            for shard in &mut self.shards {
                shard.obey(Arc::clone(&orders));
            }
            self.orders = orders;
        }
        (pulse.acts, changed)
    }

    /// An operator's command; the world gives only those that hold.
    pub(crate) fn command(&mut self, command: portcullis_engine::Command, now: Tick) -> Vec<Act> {
        self.brain.command(command, "operator", now, wall(now)).map_or_else(|_| Vec::new(), |(_, acts)| acts)
    }

    /// A new process takes the place of this one: it knows what this one saved.
    pub(crate) fn restart(&mut self, now: Tick) {
        let saved = self.brain.save();
        self.brain = Brain::new(self.settings.clone(), self.site.clone(), Arc::clone(&self.node), self.seed ^ now.0);
        // What cannot be read back is as good as nothing, which is how the gate starts on its first day.
        let _ = self.brain.restore(&saved, now, wall(now));
    }

    /// Whether anybody waits.
    pub(crate) fn anybody_waits(&self) -> bool {
        self.waiting.iter().any(|waiting| !waiting.is_empty())
    }
}

/// Unix milliseconds.
pub(crate) const fn wall(now: Tick) -> u64 {
    DAWN + now.0 / 1_000_000
}
