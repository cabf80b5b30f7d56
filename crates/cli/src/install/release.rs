//! The files of a release of the Core Rule Set, from a directory or an archive, in memory.
//!
//! Only what belongs to it is taken, by name; where a file would lie is never the archive's to say.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::world::{plain, read_bounded};

/// An archive is never larger, packed or unpacked.
pub(super) const ARCHIVE_BYTES: u64 = 64 * 1024 * 1024;
/// One of its files is never larger.
const FILE_BYTES: u64 = 16 * 1024 * 1024;
/// The set-up file of a release, which an operator copies and changes.
pub(super) const SETUP: &str = "crs-setup.conf.example";
const BLOCK: usize = 512;

/// Files by their names within the release.
pub(super) type Release = BTreeMap<String, Vec<u8>>;

/// The release in an unpacked directory.
pub(super) fn of_directory(directory: &Path) -> Result<Release, String> {
    let mut release = Release::new();
    for folder in ["", "rules", "plugins", "tuning"] {
        let Ok(entries) = std::fs::read_dir(directory.join(folder)) else { continue };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if belongs(&name) && entry.path().is_file() {
                let bytes = read_bounded(&entry.path(), FILE_BYTES)
                    .map_err(|error| format!("cannot read {}: {}", entry.path().display(), plain(&error)))?;
                release.insert(name, bytes);
            }
        }
    }
    complete(release)
}

/// The release in an archive (`.tar.gz`), whose files all lie in one directory.
pub(super) fn of_archive(archive: &[u8]) -> Result<Release, String> {
    let mut tar = Vec::new();
    let unpacked = MultiGzDecoder::new(archive).take(ARCHIVE_BYTES + 1).read_to_end(&mut tar);
    unpacked.map_err(|error| format!("the archive is no .tar.gz: {}", plain(&error)))?;
    if tar.len() as u64 > ARCHIVE_BYTES {
        return Err(format!("the archive is larger than {} MiB unpacked", ARCHIVE_BYTES >> 20));
    }
    let mut release = Release::new();
    for (path, bytes) in entries(&tar)? {
        let name = path.trim_start_matches("./");
        let name = if belongs(name) { name } else { name.split_once('/').map_or("", |(_, name)| name) };
        if belongs(name) {
            release.insert(name.to_owned(), bytes.to_vec());
        }
    }
    complete(release)
}

fn complete(release: Release) -> Result<Release, String> {
    if release.contains_key(SETUP) && release.keys().any(|name| name.starts_with("rules/")) {
        return Ok(release);
    }
    Err(format!("this is no release of the Core Rule Set: it has no `{SETUP}` beside a directory `rules`"))
}

/// Whether a name is one of the release's own: plain, and where rules lie.
fn belongs(name: &str) -> bool {
    let plain = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match name.split_once('/') {
        None => matches!(name, SETUP | "LICENSE"),
        Some(("rules" | "plugins" | "tuning", file)) => {
            plain(file) && [".conf", ".conf.example", ".data"].iter().any(|end| file.ends_with(end))
        }
        Some(_) => false,
    }
}

/// The ordinary files of a tar (POSIX.1-2017, pax; names beyond its fields from pax records).
fn entries(tar: &[u8]) -> Result<Vec<(String, &[u8])>, String> {
    let mut entries = Vec::new();
    let (mut at, mut long_name) = (0, None);
    while let Some(header) = tar.get(at..at + BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            return Ok(entries);
        }
        let size = octal(header.get(124..136)).ok_or("the archive is damaged: a size that is none")?;
        let start = at + BLOCK;
        let content = tar.get(start..).and_then(|rest| rest.get(..size)).ok_or("the archive ends too early")?;
        match header.get(156) {
            Some(b'0' | 0) => {
                let name = long_name.take().or_else(|| name(header)).ok_or("the archive has a name that is no text")?;
                entries.push((name, content));
            }
            Some(b'x') => long_name = pax_path(content),
            _ => long_name = None,
        }
        at = start + size.next_multiple_of(BLOCK);
    }
    Err("the archive ends too early".to_owned())
}

fn octal(field: Option<&[u8]>) -> Option<usize> {
    let text = std::str::from_utf8(field?).ok()?;
    usize::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
}

fn name(header: &[u8]) -> Option<String> {
    let text = |field: &[u8]| {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        String::from_utf8(field.get(..end)?.to_vec()).ok()
    };
    let (name, prefix) = (text(header.get(..100)?)?, text(header.get(345..500)?)?);
    let ustar = header.get(257..262) == Some(b"ustar".as_slice());
    Some(if ustar && !prefix.is_empty() { format!("{prefix}/{name}") } else { name })
}

/// `path` of records `LENGTH KEY=VALUE\n`.
fn pax_path(records: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(records).ok()?;
    text.lines().find_map(|record| Some(record.split_once(' ')?.1.strip_prefix("path=")?.to_owned()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    /// An archive of ordinary files.
    pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = Vec::new();
        for (name, text) in files {
            let mut header = [0_u8; BLOCK];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
            header[156] = b'0';
            header[257..262].copy_from_slice(b"ustar");
            tar.extend_from_slice(&header);
            tar.extend_from_slice(text.as_bytes());
            tar.resize(tar.len().next_multiple_of(BLOCK), 0);
        }
        tar.resize(tar.len() + 2 * BLOCK, 0);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&tar).expect("packed");
        packed.finish().expect("packed")
    }

    #[test]
    fn only_what_belongs_is_taken_from_an_archive() {
        let packed = archive(&[
            ("crs-4/crs-setup.conf.example", "SecAction \"id:900990\"\n"),
            ("crs-4/rules/a.conf", "# a\n"),
            ("crs-4/rules/../../../etc/cron.d/evil.conf", "# b\n"),
            ("crs-4/rules/.hidden.conf", "# c\n"),
            ("/rules/absolute.conf", "# d\n"),
            ("crs-4/util/run.sh", "rm -r /\n"),
        ]);
        let release = of_archive(&packed).expect("a release");
        let names: Vec<&str> = release.keys().map(String::as_str).collect();
        assert_eq!(names, ["crs-setup.conf.example", "rules/a.conf", "rules/absolute.conf"]);
    }

    #[test]
    fn what_is_no_release_is_not_taken_for_one() {
        let whole = archive(&[("crs/crs-setup.conf.example", "# x\n"), ("crs/rules/a.conf", "# y\n")]);
        assert!(of_archive(&whole).is_ok());
        assert!(of_archive(&archive(&[("crs/rules/a.conf", "# y\n")])).is_err());
        for end in [0, 10, whole.len() / 2, whole.len() - 9] {
            assert!(of_archive(&whole[..end]).is_err(), "cut at {end}");
        }
    }
}
