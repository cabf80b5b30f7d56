//! What the console shows of traffic on record.

use portcullis_control::model::Stretch;
use portcullis_store::rollups;

/// A measure while it was in force.
pub(super) fn stretch(it: rollups::Stretch) -> Stretch {
    let rollups::Stretch { platform, id, kind, action, by, from, until, cut } = it;
    Stretch { id, kind, action, platform, by, from, until, cut }
}
