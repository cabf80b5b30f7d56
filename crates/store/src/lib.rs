//! The evidence on a disk: the ledger's tiles and checkpoints, the events that can be erased, and every request.
//!
//! It decides nothing about requests and never makes one wait for a disk: what it cannot keep is counted, and told by the next
//! record that it can. One thread writes; what it signs is durable first.

mod beats;
mod bundles;
pub mod disk;
mod folds;
mod keys;
mod lanes;
mod log;
mod post;
mod reader;
pub mod requests;
pub mod rollups;
mod seal;
pub mod stamp;
pub mod verify;
pub mod witness;
mod writer;

pub use self::folds::{Fold, recall};
pub use self::keys::{KEY, PUBLIC_KEY, key};
pub use self::log::{Appended, Ledger, Opening, Retain, Salts};
pub use self::reader::{Passage, Records, Snapshot, prove, prove_under, read, read_classes};
pub use self::seal::{seal, unseal};
pub use self::writer::{CHECKPOINT_EVERY, COMMIT_EVERY, Counters, Settings, Store, Written, erase, random};
