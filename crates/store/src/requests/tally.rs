//! What became of requests, counted together. Parts add up: two tallies merged are the tally of both.

use std::collections::BTreeMap;

use portcullis_ledger::Verdict;

use super::row::Row;
use super::times::Times;

/// Reasons that one tally tells apart; the gate has fewer. What comes beyond is `other`.
const REASONS: usize = 256;

/// Requests by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that came.
    pub requests: u64,
    /// Those that were served.
    pub served: u64,
    /// Those that the platform, or the gate, failed.
    pub failed: u64,
    /// Those that were refused, by reason.
    pub refused: BTreeMap<Box<str>, u64>,
    /// Those that were answered by a challenge.
    pub challenged: u64,
    /// Those that were sent to the waiting room.
    pub roomed: u64,
    /// Those that waited for admission.
    pub delayed: u64,
    /// Bytes that came in.
    pub bytes_in: u64,
    /// Bytes that went out.
    pub bytes_out: u64,
    /// How long those took that were served.
    pub(crate) times: Times,
}

impl Tally {
    /// All that were refused, whatever for.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Of those served, microseconds until half, 95 and 99 of a hundred were, to within an eighth; 0 where there was none.
    #[must_use]
    pub fn micros(&self) -> [u64; 3] {
        self.times.within()
    }

    pub(crate) fn add(&mut self, row: &Row<'_>) {
        self.requests += 1;
        self.bytes_in = self.bytes_in.saturating_add(row.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(row.bytes_out);
        self.delayed += u64::from(row.waited > 0);
        match row.verdict() {
            Verdict::Served => {
                self.served += 1;
                self.times.add(row.micros);
            }
            Verdict::Failed => self.failed += 1,
            Verdict::Refused => {
                let [.., reason] = row.names;
                self.refuse(&String::from_utf8_lossy(reason), 1);
            }
            Verdict::Challenged => self.challenged += 1,
            Verdict::Roomed => self.roomed += 1,
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let sum = |one: &mut u64, more: u64| *one = one.saturating_add(more);
        sum(&mut self.requests, other.requests);
        sum(&mut self.served, other.served);
        sum(&mut self.failed, other.failed);
        sum(&mut self.challenged, other.challenged);
        sum(&mut self.roomed, other.roomed);
        sum(&mut self.delayed, other.delayed);
        sum(&mut self.bytes_in, other.bytes_in);
        sum(&mut self.bytes_out, other.bytes_out);
        self.times.merge(&other.times);
        other.refused.iter().for_each(|(reason, count)| self.refuse(reason, *count));
    }

    fn refuse(&mut self, reason: &str, count: u64) {
        let reason = if self.refused.len() < REASONS || self.refused.contains_key(reason) { reason } else { "other" };
        match self.refused.get_mut(reason) {
            Some(known) => *known = known.saturating_add(count),
            None => drop(self.refused.insert(reason.into(), count)),
        }
    }
}
