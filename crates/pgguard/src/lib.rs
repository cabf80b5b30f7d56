//! The guard of a PostgreSQL database: which statements may run, and how much may leave.
//!
//! Nothing here opens a socket, reads a clock or parses SQL in this process: the shell hands over bytes and time, asks the
//! parser in its own process, and does what comes out. Start at [`policy`] for what a statement may do, at [`session`]
//! for how messages become questions and how rows are counted.

pub mod book;
mod cache;
pub mod coverage;
pub mod description;
pub mod egress;
pub mod lexing;
pub mod lineage;
pub mod policy;
pub mod reach;
pub mod session;
pub mod template;
