//! Files for tests: those of the repository, those beside it, and made-up ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis_waf::seclang::parse::Files;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[expect(clippy::disallowed_methods, reason = "a test reads its data")]
pub(crate) fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[expect(clippy::disallowed_methods, reason = "a test writes what is said now")]
pub(crate) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("the file is written");
}

/// Paths in a directory whose names end so, in order.
#[expect(clippy::disallowed_methods, reason = "a test reads its data")]
pub(crate) fn names(directory: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut names: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().ends_with(end)).collect();
    names.sort();
    names
}

/// The data that lies beside the checkout and is no part of it: `$PORTCULLIS_SHARED`, or `shared` next to the checkout.
#[expect(clippy::disallowed_methods, reason = "a test says where its data is")]
pub(crate) fn shared(what: &str) -> Option<PathBuf> {
    let beside = std::env::var_os("PORTCULLIS_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let path = beside.join(what);
    if read(&path.join("README.md")).is_some() {
        return Some(path);
    }
    #[expect(clippy::print_stdout, reason = "what was skipped is said")]
    {
        println!("SKIPPED: no `{}`: unpack it there, or name the directory in PORTCULLIS_SHARED", path.display());
    }
    None
}

/// Files that rules name, beside the file that names them.
pub(crate) struct Disk;

impl Files for Disk {
    #[expect(clippy::disallowed_methods, reason = "a test reads its data")]
    fn read(&self, beside: &str, name: &str) -> Option<Vec<u8>> {
        std::fs::read(Path::new(beside).parent()?.join(name)).ok()
    }
}

/// Files that only exist here.
pub(crate) struct Made(pub(crate) BTreeMap<String, Vec<u8>>);

impl Files for Made {
    fn read(&self, _beside: &str, name: &str) -> Option<Vec<u8>> {
        self.0.get(name).cloned()
    }

    fn matching(&self, _beside: &str, pattern: &str) -> Option<Vec<String>> {
        let Some((before, after)) = pattern.split_once('*') else { return Some(vec![pattern.to_owned()]) };
        let fits = |name: &&String| name.starts_with(before) && name.ends_with(after);
        Some(self.0.keys().filter(fits).cloned().collect())
    }
}
