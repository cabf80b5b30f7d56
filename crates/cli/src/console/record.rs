//! The ledger of a running gate, for whoever asks from elsewhere. It reads what lies there and changes nothing.

use std::fs;
use std::io;
use std::path::Path;

use portcullis_control::model::Page;
use portcullis_control::{Fault, Leaves};
use portcullis_store::disk::Directory;
use portcullis_store::{PUBLIC_KEY, Records, Snapshot, prove};

use crate::ledger::wanted;
use crate::world::plain;

/// Records that are looked at for one page.
const LOOKED_AT: u64 = 100_000;

pub(super) fn page(directory: &Path, leaves: &Leaves) -> Result<Page, Fault> {
    let snapshot = snapshot(directory)?;
    let size = snapshot.checkpoint.size;
    let mut page = Page { size, ..Page::default() };
    if leaves.from >= size {
        return Ok(page);
    }
    for (looked_at, record) in Records::new(snapshot, leaves.from).enumerate() {
        let record = record.map_err(unread)?;
        if page.records.len() >= leaves.most || looked_at as u64 >= LOOKED_AT {
            page.next = Some(record.index);
            break;
        }
        page.records.extend(wanted(&record, leaves));
    }
    Ok(page)
}

pub(super) fn checkpoint(directory: &Path) -> Result<String, Fault> {
    snapshot(directory).map(|snapshot| snapshot.note)
}

pub(super) fn key(directory: &Path) -> Result<String, Fault> {
    fs::read_to_string(directory.join(PUBLIC_KEY)).map_err(unread)
}

pub(super) fn proof(directory: &Path, leaf: u64) -> Result<String, Fault> {
    let size = snapshot(directory)?.checkpoint.size;
    if leaf >= size {
        return Err(Fault::Unknown(format!("there is no record {leaf} yet; there are {size}")));
    }
    prove(&Directory::at(directory), leaf).map(|proof| proof.text()).map_err(unread)
}

fn snapshot(directory: &Path) -> Result<Snapshot<Directory>, Fault> {
    Snapshot::open(Directory::at(directory)).map_err(unread)
}

fn unread(error: io::Error) -> Fault {
    Fault::Unable(format!("the ledger cannot be read: {}", plain(&error)))
}
