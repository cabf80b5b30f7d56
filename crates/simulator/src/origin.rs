//! A platform: some workers, a queue before them, costs by route.

use std::collections::VecDeque;

use portcullis_types::Tick;

/// What a platform does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// A worker takes it at once.
    Works,
    /// It waits for one.
    Waits,
    /// There is no room to wait.
    Full,
}

/// M/G/k: whoever comes waits for one of `workers`, first come first served.
#[derive(Debug)]
pub(crate) struct Origin {
    workers: usize,
    /// Of the workers, these are away.
    pub(crate) away: usize,
    /// Everything takes so many times longer.
    pub(crate) slower: f64,
    /// A request that waits longer than this is given up by the gate.
    pub(crate) timeout: u64,
    busy: usize,
    queue: VecDeque<u32>,
    room: usize,
    since: Tick,
    /// Nanoseconds of workers since the last look.
    worked: u128,
}

impl Origin {
    pub(crate) fn new(workers: usize, room: usize, timeout: u64) -> Self {
        let (away, slower, since) = (0, 1.0, Tick::ZERO);
        Self { workers, away, slower, timeout, busy: 0, queue: VecDeque::new(), room, since, worked: 0 }
    }

    pub(crate) const fn workers(&self) -> usize {
        self.workers
    }

    pub(crate) fn offer(&mut self, flight: u32, now: Tick) -> Offer {
        // A worker that has just become free belongs to whoever waits, not to whoever comes in the same instant.
        if self.busy < self.available() && self.queue.is_empty() {
            self.work(now);
            self.busy += 1;
            Offer::Works
        } else if self.queue.len() < self.room {
            self.queue.push_back(flight);
            Offer::Waits
        } else {
            Offer::Full
        }
    }

    /// A worker is free again.
    pub(crate) fn finished(&mut self, now: Tick) {
        self.work(now);
        self.busy = self.busy.saturating_sub(1);
    }

    /// The next that waits, if a worker is free for it; it is being worked on from now on.
    pub(crate) fn next(&mut self, now: Tick) -> Option<u32> {
        if self.busy >= self.available() {
            return None;
        }
        let next = self.queue.pop_front()?;
        self.work(now);
        self.busy += 1;
        Some(next)
    }

    /// How busy the workers were since the last look, of 1.
    #[expect(clippy::cast_precision_loss, reason = "a share for a drawing")]
    pub(crate) fn load(&mut self, now: Tick, since: Tick) -> f64 {
        self.work(now);
        let whole = now.0.saturating_sub(since.0) as f64 * self.workers as f64;
        std::mem::take(&mut self.worked) as f64 / whole.max(1.0)
    }

    fn available(&self) -> usize {
        self.workers.saturating_sub(self.away).max(1)
    }

    fn work(&mut self, now: Tick) {
        self.worked += u128::from(now.0.saturating_sub(self.since.0)) * self.busy as u128;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_taken_then_the_queue_then_nothing() {
        let mut origin = Origin::new(2, 1, 1);
        let offers: Vec<Offer> = (0..4).map(|flight| origin.offer(flight, Tick::ZERO)).collect();
        assert_eq!(offers, [Offer::Works, Offer::Works, Offer::Waits, Offer::Full]);
        assert_eq!(origin.next(Tick(5)), None, "nobody is free");
        origin.finished(Tick(5));
        assert_eq!(origin.offer(7, Tick(5)), Offer::Full, "the place belongs to the one that waits");
        assert_eq!(origin.next(Tick(5)), Some(2));
        origin.finished(Tick(10));
        assert_eq!(origin.next(Tick(10)), None);
        assert!((origin.load(Tick(20), Tick::ZERO) - 0.75).abs() < 1e-9, "two for ten, one for another ten");
        origin.away = 1;
        assert_eq!(origin.offer(9, Tick(20)), Offer::Waits, "the one that is left is busy");
    }
}
