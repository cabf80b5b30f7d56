//! Least progress: who is too slow is told from who merely waits for somebody else.

use std::time::Duration;

use portcullis_types::{Limits, Reason};

use super::body::Waiting;
use crate::watch::Watch;

/// Watches one transfer. Only the side that is waited for can be late.
///
/// A client must move `body_min_rate` on average over each `body_grace`; an upstream must not be silent for its idle
/// timeout.
pub(crate) struct Pace {
    client: Waiting,
    silence: Duration,
    grace: Duration,
    least: u64,
    waiting: Option<Waiting>,
    base: u64,
}

impl Pace {
    /// For a request: the client is the source.
    pub(crate) fn new(silence: Duration, limits: &Limits) -> Self {
        let grace = Limits::duration(limits.body_grace);
        let least = u128::from(limits.body_min_rate) * grace.as_nanos() / 1_000_000_000;
        Self {
            client: Waiting::Source,
            silence,
            grace,
            least: u64::try_from(least).unwrap_or(u64::MAX).max(1),
            waiting: None,
            base: 0,
        }
    }

    /// For a response: the client is the sink.
    pub(crate) fn of_response(silence: Duration, limits: &Limits) -> Self {
        Self { client: Waiting::Sink, ..Self::new(silence, limits) }
    }

    /// For a response over HTTP/2, where a shut window is a stall.
    pub(crate) fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self.least = 1;
        self
    }

    /// After a poll that is pending: what it waits for, and how many bytes have moved so far.
    pub(crate) fn note(&mut self, waiting: Waiting, moved: u64, watch: &Watch) {
        let enough = if waiting == self.client { self.least } else { 1 };
        if self.waiting == Some(waiting) && moved.saturating_sub(self.base) < enough {
            return;
        }
        self.waiting = Some(waiting);
        self.base = moved;
        let span = if waiting == self.client { self.grace } else { self.silence };
        watch.arm(watch.now().after(span));
    }

    /// Why the deadline that [`Pace::note`] armed has passed.
    pub(crate) fn reason(&self) -> Reason {
        match (self.waiting == Some(self.client), self.client) {
            (true, Waiting::Source) => Reason::BodyTooSlow,
            (true, Waiting::Sink) => Reason::ReaderTooSlow,
            (false, _) => Reason::UpstreamStalled,
        }
    }
}
