//! What the console shows of traffic on record.

use std::path::Path;

use portcullis_control::model::{Decisions, Stretch};
use portcullis_control::{Fault, Span, Wish};
use portcullis_proxy::journal::Place;
use portcullis_store::rollups;

use crate::requests::find;
use crate::world::plain;

/// A measure while it was in force.
pub(super) fn stretch(it: rollups::Stretch) -> Stretch {
    let rollups::Stretch { platform, id, kind, action, by, from, until, cut } = it;
    Stretch { id, kind, action, platform, by, from, until, cut }
}

/// Decisions about single requests.
pub(super) fn decisions(
    log: Option<&Path>,
    span: &Span<'_>,
    wish: &Wish,
    cursor: Option<&str>,
    most: usize,
) -> Result<Decisions, Fault> {
    let place = match cursor.map(|cursor| (cursor, Place::parse(cursor))) {
        Some((cursor, None)) => return Err(Fault::Unknown(format!("`{cursor}` is no cursor of an answer before"))),
        Some((_, place)) => place,
        None => None,
    };
    let none = || Fault::Unable("no decision log is kept: declare `path` in `[log]`".to_owned());
    let log = log.ok_or_else(none)?;
    let found = find::decisions(log, span, wish, place, find::bounds(most));
    found.map_err(|error| Fault::Unable(format!("cannot read {}: {}", log.display(), plain(&error))))
}
