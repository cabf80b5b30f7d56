//! What is counted of a database.
//!
//! Each worker alone writes its own block, as in `metrics.rs`.

use crate::metrics::Count;

/// A database's counters.
#[derive(Debug)]
pub(crate) struct Databases(Box<[Block]>);

/// One worker's.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Block {
    pub(super) opened: Count,
    pub(super) closed: Count,
    pub(super) refused_sessions: Count,
    pub(super) statements: Count,
    pub(super) failed: Count,
    pub(super) refused: Count,
    pub(super) observed: Count,
    pub(super) cut: Count,
    pub(super) rows: Count,
    pub(super) bytes: Count,
    pub(super) rows_in: Count,
    pub(super) bytes_in: Count,
    pub(super) cancels: Count,
}

/// Name, kind, help and value of a series.
type Series = (&'static str, &'static str, &'static str, fn(&Databases) -> u64);

/// Every series, in the order in which they are rendered.
pub(crate) const SERIES: [Series; 12] = [
    ("portcullis_database_sessions_open", "gauge", "Sessions with a database.", Databases::open),
    ("portcullis_database_sessions_total", "counter", "Sessions begun.", |all| all.sum(|block| &block.opened)),
    ("portcullis_database_sessions_refused_total", "counter", "Connections that did not become a session.", |all| {
        all.sum(|block| &block.refused_sessions)
    }),
    ("portcullis_database_cut_total", "counter", "Sessions that the gate ended.", |all| all.sum(|block| &block.cut)),
    ("portcullis_database_cancels_total", "counter", "Cancellations carried.", |all| all.sum(|block| &block.cancels)),
    ("portcullis_database_statements_total", "counter", "Statements that ran to their end.", |all| {
        all.sum(|block| &block.statements)
    }),
    ("portcullis_database_statements_failed_total", "counter", "Statements that the server failed.", |all| {
        all.sum(|block| &block.failed)
    }),
    ("portcullis_database_statements_refused_total", "counter", "Statements that the gate refused.", |all| {
        all.sum(|block| &block.refused)
    }),
    ("portcullis_database_statements_observed_total", "counter", "Statements that enforcement would refuse.", |all| {
        all.sum(|block| &block.observed)
    }),
    ("portcullis_database_rows_total", "counter", "Rows that left, COPY included.", |all| all.sum(|block| &block.rows)),
    ("portcullis_database_bytes_total", "counter", "Bytes of rows that left.", |all| all.sum(|block| &block.bytes)),
    ("portcullis_database_copied_in_bytes_total", "counter", "Bytes that came in by COPY.", |all| {
        all.sum(|block| &block.bytes_in)
    }),
];

impl Databases {
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Block::default()).collect())
    }

    pub(super) fn worker(&self, number: usize) -> &Block {
        self.0.get(number).unwrap_or(&self.0[0])
    }

    pub(super) fn open(&self) -> u64 {
        // What ended is read before what began, so that the difference is never negative.
        let closed = self.sum(|block| &block.closed);
        self.sum(|block| &block.opened).saturating_sub(closed)
    }

    pub(super) fn sum(&self, read: fn(&Block) -> &Count) -> u64 {
        self.0.iter().map(|block| read(block).get()).sum()
    }
}
