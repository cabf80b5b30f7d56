//! The evidence: what happened, in records that can be erased and in a tree that cannot be rewritten.
//!
//! Never reads a clock, a file or a socket, and draws no randomness: bytes, times, salts and keys are handed in.

pub mod checkpoint;
mod event;
pub mod frame;
pub mod leaf;
pub mod note;
pub mod proof;
pub mod stamp;
pub mod tree;
pub mod witness;

pub use self::event::{
    Act, Alarm, Assurance, Beat, Canary, Change, Closed, Copies, Copy, Custody, Decision, Deploy, Disclosure, Drill,
    Egress, Event, Finding, HEARSAY, Login, Lost, Measure, Note, Opened, Path, Probe, Record, Recorder, Report,
    Request, Retention, Sensor, Stamped, Start, State, Statements, Stop, Told, Traffic, Verdict, Wave, Witnessed,
};
