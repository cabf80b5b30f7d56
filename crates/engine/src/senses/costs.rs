//! What requests of each route cost the platform: a decayed mean, in fixed memory.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Platforms that have costs of their own; those beyond share the last one's.
pub(crate) const COST_PLATFORMS: usize = 64;
/// Routes of a platform that have costs of their own; those beyond share the last one's.
pub(crate) const COST_ROUTES: usize = 256;
/// What a route is expected to cost before any request of it ended: as much as an ordinary page.
const UNKNOWN_US: u32 = 5000;
/// A new cost has the weight of one in sixteen.
const WEIGHT: i64 = 16;
/// Means are kept in sixteenths of a microsecond, so that small differences are not rounded away.
const PARTS: u32 = 16;
/// More than this is a timeout, and says nothing about the route.
const MOST_US: u32 = 60_000_000;

#[derive(Debug)]
pub(crate) struct Costs {
    means: Box<[AtomicU32]>,
}

impl Costs {
    pub(crate) fn new() -> Self {
        Self { means: (0..COST_PLATFORMS * COST_ROUTES).map(|_| AtomicU32::new(0)).collect() }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.means.len() * size_of::<AtomicU32>()
    }

    pub(crate) fn expected_us(&self, platform: u16, route: u16) -> u32 {
        match self.mean(platform, route).map_or(0, |mean| mean.load(Relaxed)) {
            0 => UNKNOWN_US,
            mean => (mean / PARTS).max(1),
        }
    }

    pub(crate) fn note(&self, platform: u16, route: u16, cost_us: u64) {
        let Some(mean) = self.mean(platform, route) else { return };
        let cost = u32::try_from(cost_us).unwrap_or(MOST_US).clamp(1, MOST_US) * PARTS;
        let before = mean.load(Relaxed);
        let after = i64::from(before) + (i64::from(cost) - i64::from(before)) / WEIGHT;
        let after = if before == 0 { cost } else { u32::try_from(after).unwrap_or(cost).max(1) };
        mean.store(after, Relaxed);
    }

    fn mean(&self, platform: u16, route: u16) -> Option<&AtomicU32> {
        let (platform, route) = (usize::from(platform), usize::from(route));
        self.means.get(platform.min(COST_PLATFORMS - 1) * COST_ROUTES + route.min(COST_ROUTES - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_follow_and_every_route_has_a_place() {
        let costs = Costs::new();
        assert_eq!(costs.expected_us(0, 0), UNKNOWN_US);
        costs.note(0, 0, 20_000);
        assert_eq!(costs.expected_us(0, 0), 20_000, "the first is believed");
        (0..200).for_each(|_| costs.note(0, 0, 1000));
        assert!((1000..1010).contains(&costs.expected_us(0, 0)), "{}", costs.expected_us(0, 0));
        assert_eq!(costs.expected_us(0, 1), UNKNOWN_US);
        costs.note(u16::MAX, u16::MAX, u64::MAX);
        assert_eq!(costs.expected_us(u16::MAX, 999), MOST_US, "they share the last place");
        costs.note(0, 2, 0);
        assert_eq!(costs.expected_us(0, 2), 1);
    }
}
