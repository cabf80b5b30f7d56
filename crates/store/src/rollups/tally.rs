//! What the gate answered in one second or minute on one platform. Parts add up: two tallies merged are the tally of both.

use std::collections::BTreeMap;

use portcullis_ledger::Verdict;

use crate::requests::row::Row;
use crate::requests::times::Times;

/// Reasons that one tally tells apart; the gate has fewer. What comes beyond is `other`.
const REASONS: usize = 256;

/// Requests by what became of them, when they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) served: u64,
    pub(crate) failed: u64,
    pub(crate) refused: BTreeMap<Box<str>, u64>,
    pub(crate) challenged: u64,
    pub(crate) roomed: u64,
    pub(crate) delayed: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) times: Times,
}

impl Tally {
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

    pub(crate) fn refuse(&mut self, reason: &str, count: u64) {
        let reason = if self.refused.len() < REASONS || self.refused.contains_key(reason) { reason } else { "other" };
        match self.refused.get_mut(reason) {
            Some(known) => *known = known.saturating_add(count),
            None => drop(self.refused.insert(reason.into(), count)),
        }
    }
}
