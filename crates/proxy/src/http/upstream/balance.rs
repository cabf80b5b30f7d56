//! Which server of a platform: the better of two drawn at random (power of two choices), by latency times load.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use portcullis_types::Tick;

use super::pool::Server;

/// The retry budget looks back this far.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);

/// Retries that are allowed however few requests there were.
const BUDGET_FLOOR: u32 = 3;

/// The servers of one platform as one worker sees them.
pub(crate) struct Platform {
    servers: Vec<Rc<Server>>,
    retry_percent: u32,
    dice: Cell<u64>,
    window: Cell<Tick>,
    requests: Cell<u32>,
    retries: Cell<u32>,
}

impl Platform {
    /// `seed` is any number; two workers should not have the same.
    pub(crate) fn new(servers: Vec<Rc<Server>>, retry_percent: u32, seed: u64) -> Self {
        Self {
            servers,
            retry_percent,
            dice: Cell::new(seed | 1),
            window: Cell::new(Tick::ZERO),
            requests: Cell::new(0),
            retries: Cell::new(0),
        }
    }

    pub(crate) fn servers(&self) -> &[Rc<Server>] {
        &self.servers
    }

    /// A server that was not tried yet, and its place in the list. Ejected servers serve when there are no others;
    /// servers that their health checks took out never do.
    pub(super) fn choose(&self, tried: u64, now: Tick) -> Option<(u32, &Rc<Server>)> {
        if let [only] = self.servers.as_slice() {
            return only.shared().is_up().then_some((0, only));
        }
        self.pick(|index, server| !is_tried(tried, index) && server.shared().is_usable(now))
            .or_else(|| self.pick(|index, server| !is_tried(tried, index) && server.shared().is_up()))
            .or_else(|| self.pick(|_, server| server.shared().is_up()))
    }

    fn pick(&self, fit: impl Fn(u32, &Server) -> bool) -> Option<(u32, &Rc<Server>)> {
        let count = (0_u32..).zip(&self.servers).filter(|(index, server)| fit(*index, server)).count();
        let nth = |n: usize| (0_u32..).zip(&self.servers).filter(|(index, server)| fit(*index, server)).nth(n);
        match count {
            0 => None,
            1 => nth(0),
            _ => {
                let first = self.roll(count);
                let second = (first + 1 + self.roll(count - 1)) % count;
                let (first, second) = (nth(first)?, nth(second)?);
                Some(if second.1.load() < first.1.load() { second } else { first })
            }
        }
    }

    pub(super) fn count_request(&self, now: Tick) {
        if now.since(self.window.get()) > BUDGET_WINDOW {
            // Half of the last window is carried over, so that the budget does not begin at nothing.
            self.window.set(now);
            self.requests.set(self.requests.get() / 2);
            self.retries.set(self.retries.get() / 2);
        }
        self.requests.set(self.requests.get().saturating_add(1));
    }

    /// Whether the budget has room for one more retry; if so it is taken.
    pub(super) fn may_retry(&self) -> bool {
        let allowed = u64::from(self.requests.get()) * u64::from(self.retry_percent) / 100;
        let allowed = u32::try_from(allowed).unwrap_or(u32::MAX).max(BUDGET_FLOOR);
        let may = self.retries.get() < allowed;
        if may {
            self.retries.set(self.retries.get() + 1);
        }
        may
    }

    /// xorshift64: nothing that matters can be gained by guessing it.
    fn roll(&self, below: usize) -> usize {
        let mut dice = self.dice.get();
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        self.dice.set(dice);
        usize::try_from(dice >> 16).unwrap_or(0) % below.max(1)
    }
}

fn is_tried(tried: u64, index: u32) -> bool {
    tried.checked_shr(index).unwrap_or(0) & 1 == 1
}
