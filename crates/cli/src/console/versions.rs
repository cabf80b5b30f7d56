//! Earlier configurations, each whole in a file of its own with who replaced it, when and why beside it.
//!
//! They hold what the configuration holds, so nobody but the gate's user reads them. Nothing is put in force here.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use portcullis_control::model::Version;

use crate::world::read_bounded;

/// So many are kept; the oldest goes first.
const KEPT: usize = 50;
/// Bytes of what is said of one.
const SAID_BYTES: u64 = 16 * 1024;
/// Bytes of one.
const TEXT_BYTES: u64 = 4 * 1024 * 1024;

/// Keeps a text that is about to be replaced; the name of the version is found here.
pub(super) fn keep(directory: &Path, text: &str, mut version: Version) -> io::Result<String> {
    fs::create_dir_all(directory)?;
    // Two within a millisecond are told apart.
    let mut number = version.at;
    while directory.join(format!("{number}.toml")).exists() {
        number += 1;
    }
    version.id = number.to_string();
    put(directory, &format!("{number}.toml"), text.as_bytes())?;
    // What is said of it comes last: a text alone is no version.
    put(directory, &format!("{number}.json"), &serde_json::to_vec(&version)?)?;
    fs::File::open(directory)?.sync_all()?;
    for old in names(directory)?.iter().skip(KEPT) {
        forget(directory, &old.to_string());
    }
    Ok(version.id)
}

/// The newest first.
pub(super) fn list(directory: &Path) -> io::Result<Vec<Version>> {
    let one = |number: &u64| {
        let said = read_bounded(&directory.join(format!("{number}.json")), SAID_BYTES).ok()?;
        serde_json::from_slice(&said).ok()
    };
    Ok(names(directory)?.iter().filter_map(one).collect())
}

/// One as it was written; none where there is none of that name.
pub(super) fn text(directory: &Path, id: &str) -> io::Result<Option<String>> {
    let number: Option<u64> = id.parse().ok().filter(|number: &u64| number.to_string() == id);
    let Some(number) = number.filter(|number| names(directory).is_ok_and(|known| known.contains(number))) else {
        return Ok(None);
    };
    let bytes = read_bounded(&directory.join(format!("{number}.toml")), TEXT_BYTES)?;
    String::from_utf8(bytes).map(Some).map_err(io::Error::other)
}

/// Takes one away again: what should have replaced it did not.
pub(super) fn forget(directory: &Path, id: &str) {
    for kind in ["json", "toml"] {
        if let Err(error) = fs::remove_file(directory.join(format!("{id}.{kind}"))) {
            tracing::warn!(%error, id, "an earlier configuration could not be taken away");
        }
    }
}

/// The newest first.
fn names(directory: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok();
    let mut names: Vec<u64> = entries.filter_map(Result::ok).filter_map(number).collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    Ok(names)
}

/// Whole or not at all, and for nobody else to read.
fn put(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(directory.join(name)).map_err(|error| error.error).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn version(at: u64) -> Version {
        Version { at, by: "Ane".to_owned(), why: format!("change {at}"), ..Version::default() }
    }

    #[test]
    fn the_newest_are_kept_whole_and_for_nobody_else() {
        let home = tempfile::tempdir().expect("a directory");
        let at = home.path().join("versions");
        assert_eq!(list(&at).expect("none yet"), []);
        for number in 0..60 {
            keep(&at, &format!("text {number}\r\n\t"), version(1_790_000_000_000 + number)).expect("kept");
        }
        let known = list(&at).expect("readable");
        assert_eq!((known.len(), known[0].why.as_str()), (KEPT, "change 1790000000059"));
        assert_eq!(text(&at, &known[0].id).expect("readable").as_deref(), Some("text 59\r\n\t"));
        assert_eq!(fs::read_dir(&at).expect("listed").count(), 2 * KEPT);
        let mode = |name: &str| fs::metadata(at.join(name)).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&format!("{}.toml", known[0].id)), 0o600);
        // Two of one moment are two.
        keep(&at, "one", version(1_790_000_000_059)).expect("kept");
        assert_eq!(list(&at).expect("readable")[0].id, "1790000000060");
        forget(&at, "1790000000060");
        assert_eq!(text(&at, "1790000000060").expect("readable"), None);
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        let home = tempfile::tempdir().expect("a directory");
        let at = home.path().join("versions");
        keep(&at, "a", version(7)).expect("kept");
        fs::write(home.path().join("8.toml"), "secret").expect("written");
        for name in ["../8", "8", "007", "+7", "7.toml", "", "%2e%2e", "-1"] {
            assert_eq!(text(&at, name).expect("readable"), None, "{name}");
        }
        assert_eq!(text(&at, "7").expect("readable").as_deref(), Some("a"));
    }
}
