//! The scene as a gate would have written it then: a ledger on a disk, signed.

use std::path::Path;

use portcullis_ledger::Event;
use portcullis_ledger::note::Algorithm;
use portcullis_store::disk::Directory;
use portcullis_store::{Appended, Ledger};

use crate::scene;

/// Writes what happened in the scene as a gate would have written it then.
pub(crate) fn ledger(directory: &Path, extra: Vec<(u64, Event)>) {
    let disk = Directory::create(directory).expect("a directory");
    let key = portcullis_store::key(directory, "gate-1/evidence", Algorithm::Ed25519).expect("a key");
    let mut ledger = Ledger::open(disk, key, portcullis_store::random).expect("a ledger");
    let records: Vec<Appended> = scene::records(extra, |_, _| true)
        .into_iter()
        .filter_map(|record| {
            let event = record.event?;
            Some(Appended {
                sensor: record.sensor,
                unix_millis: record.unix_millis,
                class: event.retention(),
                event: serde_json::to_vec(&event).ok()?,
            })
        })
        .collect();
    for some in records.chunks(2_000) {
        ledger.append(some).expect("appended");
        ledger.checkpoint().expect("signed");
    }
}
