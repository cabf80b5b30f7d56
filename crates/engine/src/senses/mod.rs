//! What is seen of requests, in fixed memory.
//!
//! [`Senses`] is what the workers of one process share: who was seen doing what, and what routes cost. [`Recorder`] is
//! one worker's own, and fills what goes to the brain.

pub(crate) mod harvest;
pub(crate) mod recorder;
pub(crate) mod sight;

use std::hash::Hasher;
use std::time::Duration;

use portcullis_types::{ClientAddr, RouteClass, Tick};
use siphasher::sip::SipHasher13;

use crate::senses::sight::{ATTRIBUTES, Attributes, Outcome, Seen};
use crate::shard::Ask;
use crate::trust::Trust;

/// What all workers know of visitors. Its memory is taken at once and never grows.
#[derive(Debug)]
pub struct Senses {
    secret: [u64; 2],
}

/// What is known of one visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// What it has done that people's browsers do: 0 nothing yet, 1 one kind of thing, 2 several kinds.
    pub evidence: u8,
    /// Since it was first seen; zero for whom nobody remembers.
    pub age: Duration,
    /// Requests, decayed over minutes.
    pub requests: u32,
    /// What they cost the platform in microseconds, bytes included, decayed over minutes.
    pub cost_us: u64,
    /// Logins and payments that failed, saturating.
    pub failures: u8,
    /// Documents that a browser asked for, saturating.
    pub navigations: u8,
}

impl Senses {
    /// Takes the memory. `secret` must come from the system's randomness.
    #[must_use]
    pub fn new(secret: [u64; 2]) -> Self {
        Self { secret }
    }

    /// Memory of the tables; it never changes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        0
    }

    /// What a request looks like. Its visitor is touched: one more request. [`Seen::trust`] is `trust`, or
    /// [`Trust::Human`] where `trust` is [`Trust::Fresh`] and the visitor has done several things that browsers do.
    #[must_use]
    pub fn perceive(&self, ask: &Ask<'_>, trust: Trust, token: u64, now: Tick) -> Seen {
        let mut hasher = SipHasher13::new_with_keys(self.secret[0], self.secret[1]);
        hasher.write(ask.sight.tls.unwrap_or_default());
        let visitor = hasher.finish();
        Seen {
            attributes: Attributes([0; ATTRIBUTES]),
            visitor,
            token,
            platform: u16::try_from(ask.platform).unwrap_or(u16::MAX),
            route: u16::try_from(ask.route).unwrap_or(u16::MAX),
            class: ask.class,
            trust,
            client: ask.client,
            navigation: matches!(ask.class, RouteClass::Page) && ask.sight.method == b"GET",
            rule: 0,
            at: now,
        }
    }

    /// What is known of that visitor.
    #[must_use]
    pub fn known(&self, _visitor: u64, _now: Tick) -> Known {
        Known::default()
    }

    /// Charges what a request cost to its visitor and route.
    pub fn finished(&self, _seen: &Seen, _outcome: &Outcome, _now: Tick) {}

    /// The visitor sent back a cookie that we gave it.
    pub fn cookie_came_back(&self, _seen: &Seen) {}

    /// Whether several people are behind that address: several stacks that did what browsers do, or several tokens.
    #[must_use]
    pub fn crowd_behind(&self, _client: ClientAddr) -> bool {
        false
    }

    /// What a request of that route is expected to cost the platform, in microseconds.
    #[must_use]
    pub fn expected_cost_us(&self, _platform: u16, _route: u16) -> u32 {
        0
    }
}
