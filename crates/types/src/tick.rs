//! Time as the core sees it.

use std::time::Duration;

/// Nanoseconds since an epoch that the caller chose; monotonic, never read from a clock here.
///
/// `std::time::Instant` cannot be written to a trace nor made up by a test, so the pure rooms use this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// The epoch itself.
    pub const ZERO: Self = Self(0);

    /// The tick `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// This tick plus `duration`; saturates instead of wrapping (584 years).
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
