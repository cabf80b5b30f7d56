//! Where addresses are, as somebody else's file says: the key of `[geography]`. It is told, and nothing is decided by it.

use std::path::PathBuf;

use crate::check::Check;
use crate::draft::Draft;

impl Check<'_> {
    pub(crate) fn geography(&mut self, draft: &Draft) -> Option<PathBuf> {
        let (path, bytes) = self.file(draft, "file", "geography-unreadable")?;
        if let Err(words) = self.world.geography(&bytes) {
            let message = format!("`{}` is no database of countries: {words}", path.display());
            self.problems
                .error("geography", draft.at("file"), message)
                .hint("it is an MMDB file with countries, such as DB-IP and MaxMind publish");
        }
        Some(path)
    }
}
