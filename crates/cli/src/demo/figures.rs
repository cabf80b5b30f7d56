//! What the supporters saw: how many requests were served, refused or failed, and how long they took.
//!
//! Counted on the visitors' side, so that the gate does not mark its own work.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets in each doubling of the time; a percentile is at most an eighth too high.
const STEPS: usize = 8;
/// Doublings from one microsecond; the last ends beyond an hour.
const DOUBLINGS: usize = 32;

/// How one request ended, as its visitor saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The platform answered.
    Served,
    /// The gate answered in its place.
    Refused,
    /// Nobody did, or the platform said that it cannot.
    Failed,
}

/// Counters that many tasks add to.
#[derive(Debug)]
pub(crate) struct Figures {
    endings: [AtomicU64; 3],
    times: Vec<AtomicU64>,
}

/// The counters at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) served: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    times: Vec<u64>,
}

impl Figures {
    pub(crate) fn new() -> Self {
        Self { endings: Default::default(), times: (0..STEPS * DOUBLINGS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Counts one request. The time counts only where the platform was reached.
    pub(crate) fn count(&self, ending: Ending, took: Duration) {
        let [served, refused, failed] = &self.endings;
        match ending {
            Ending::Served => served,
            Ending::Refused => refused,
            Ending::Failed => failed,
        }
        .fetch_add(1, Relaxed);
        if ending == Ending::Served
            && let Some(bucket) = self.times.get(bucket(took))
        {
            bucket.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let [served, refused, failed] = &self.endings;
        Snapshot {
            served: served.load(Relaxed),
            refused: refused.load(Relaxed),
            failed: failed.load(Relaxed),
            times: self.times.iter().map(|bucket| bucket.load(Relaxed)).collect(),
        }
    }
}

impl Snapshot {
    /// What happened since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            served: self.served.saturating_sub(earlier.served),
            refused: self.refused.saturating_sub(earlier.refused),
            failed: self.failed.saturating_sub(earlier.failed),
            times: self.times.iter().zip(&earlier.times).map(|(now, then)| now.saturating_sub(*then)).collect(),
        }
    }

    /// The time within which `percent` of the served requests were answered; `None` when there were none.
    pub(crate) fn percentile(&self, percent: u64) -> Option<Duration> {
        let all: u64 = self.times.iter().sum();
        let wanted = (all.saturating_mul(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        self.times.iter().enumerate().find_map(|(index, count)| {
            seen += count;
            (seen >= wanted).then(|| upper(index))
        })
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let doubling = micros.ilog2();
    let within = if doubling >= 3 { (micros >> (doubling - 3)) & 7 } else { (micros << (3 - doubling)) & 7 };
    let index = u64::from(doubling) * 8 + within;
    usize::try_from(index).unwrap_or(usize::MAX).min(STEPS * DOUBLINGS - 1)
}

fn upper(index: usize) -> Duration {
    let (doubling, within) = (index / STEPS, index % STEPS);
    let micros = (1_u64 << doubling.min(40)) * (9 + u64::try_from(within).unwrap_or(7)) / 8;
    Duration::from_micros(micros)
}

/// A duration as people read it: `850 µs`, `1.9 ms`, `24 ms`, `1.2 s`.
pub(crate) fn readable(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_never_low_and_little_high() {
        for micros in [1, 2, 3, 7, 8, 9, 100, 999, 1_000, 12_345, 1_000_000, 59_000_000] {
            let figures = Figures::new();
            let took = Duration::from_micros(micros);
            figures.count(Ending::Served, took);
            let seen = figures.snapshot().percentile(50).expect("one request");
            assert!(seen >= took && seen <= took * 2, "{took:?} {seen:?}");
            assert!(micros < 8 || seen <= took.mul_f64(1.13), "{took:?} {seen:?}");
        }
        assert_eq!(Figures::new().snapshot().percentile(99), None);
    }

    #[test]
    fn half_of_the_requests_are_below_the_median() {
        let figures = Figures::new();
        for millis in 1..=100 {
            figures.count(Ending::Served, Duration::from_millis(millis));
        }
        figures.count(Ending::Failed, Duration::from_secs(60));
        let snapshot = figures.snapshot();
        let median = snapshot.percentile(50).expect("requests");
        assert!((50..=57).contains(&median.as_millis()), "{median:?}");
        assert_eq!((snapshot.served, snapshot.failed), (100, 1));
        assert_eq!(figures.snapshot().since(&snapshot).served, 0);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(readable(Duration::from_micros(1_940)), "1.9 ms");
        assert_eq!(readable(Duration::from_millis(24)), "24 ms");
        assert_eq!(readable(Duration::from_millis(1_250)), "1.2 s");
    }
}
