//! What stands at a path below a directory, read without ever leaving it: no link is followed, on no step of the way.
//!
//! It never judges; a file is read in pieces, so that whoever reads can bound the rate and look up in between.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, readlinkat, statat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::manifest::{Entry, PATH, What};

/// A directory under watch, held open: what is put in its place later is another one.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) fd: OwnedFd,
}

/// Names in a directory, and whether each is one itself.
pub(crate) type Names = Vec<(Box<[u8]>, bool)>;

/// What was found at a path.
pub(crate) enum Found {
    Nothing,
    Whole(Entry),
    /// A file whose bytes have to be read.
    File(Reading),
}

/// A file that is being read.
pub(crate) struct Reading {
    file: File,
    entry: Entry,
    digest: Sha256,
    read: u64,
}

impl Root {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: rustix::fs::open(path, flags, Mode::empty())? })
    }

    /// Whether `path` still leads to the directory that is held.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        match (fstat(&self.fd), rustix::fs::stat(path)) {
            (Ok(own), Ok(there)) => own.st_ino == there.st_ino && own.st_dev == there.st_dev,
            _ => false,
        }
    }

    /// What stands at `path`, which is relative; empty is the directory itself.
    pub(crate) fn look(&self, path: &[u8]) -> io::Result<Found> {
        let there = match self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(there) => there,
            // A link, or a file, where a directory would have to be: there is nothing at this path.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Found::Nothing),
            Err(error) => return Err(error.into()),
        };
        let stat = fstat(&there)?;
        let mut entry = entry_of(&stat);
        match entry.what {
            What::File => {
                let file = match self.open_at(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK) {
                    Ok(file) => file,
                    Err(Errno::NOENT | Errno::LOOP) => return Ok(Found::Nothing),
                    Err(error) => return Err(error.into()),
                };
                // It may be another one by now: what is read is what is described.
                entry = entry_of(&fstat(&file)?);
                if entry.what != What::File {
                    return Ok(Found::Whole(entry));
                }
                Ok(Found::File(Reading { file: file.into(), entry, digest: Sha256::new(), read: 0 }))
            }
            What::Link => {
                let target = readlinkat(&there, "", Vec::with_capacity(PATH))?;
                entry.mode = 0;
                entry.size = target.as_bytes().len() as u64;
                entry.sha256 = Sha256::digest(target.as_bytes()).into();
                Ok(Found::Whole(entry))
            }
            What::Directory | What::Other => Ok(Found::Whole(entry)),
        }
    }

    /// Names in a directory with whether each is a directory, at most `most`; `None` beyond that.
    pub(crate) fn list(&self, path: &[u8], most: usize) -> io::Result<Option<Names>> {
        let directory = match self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Some(Vec::new())),
            Err(error) => return Err(error.into()),
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let directory = match entry.file_type() {
                FileType::Unknown => statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir()),
                kind => kind.is_dir(),
            };
            if names.len() == most {
                return Ok(None);
            }
            names.push((name.to_bytes().into(), directory));
        }
        // One order everywhere: two walks of the same tree are the same.
        names.sort();
        Ok(Some(names))
    }

    /// The directory at a path, for a watch.
    pub(crate) fn directory(&self, path: &[u8]) -> io::Result<OwnedFd> {
        Ok(self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)?)
    }

    fn open_at(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = OsStr::from_bytes(if path.is_empty() { b"." } else { path });
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        loop {
            match openat2(self.fd.as_fd(), path, flags, Mode::empty(), resolve) {
                // A rename somewhere raced with the way down.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }
}

impl Reading {
    /// Reads a piece of at most `buffer`; the entry once all of it was read. The second value is how much was read now.
    pub(crate) fn step(&mut self, buffer: &mut [u8]) -> io::Result<(Option<Entry>, u64)> {
        let count = match self.file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok((None, 0)),
            count => count?,
        };
        let piece = buffer.get(..count).unwrap_or_default();
        self.digest.update(piece);
        self.read += count as u64;
        if count > 0 {
            return Ok((None, count as u64));
        }
        let entry = Entry { size: self.read, sha256: self.digest.clone().finalize().into(), ..self.entry };
        Ok((Some(entry), 0))
    }
}

fn entry_of(stat: &Stat) -> Entry {
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => What::File,
        FileType::Symlink => What::Link,
        FileType::Directory => What::Directory,
        _ => What::Other,
    };
    // The mask leaves twelve bits.
    let mode = u16::try_from(stat.st_mode & 0o7777).unwrap_or_default();
    let size = if what == What::File { u64::try_from(stat.st_size).unwrap_or_default() } else { 0 };
    Entry { what, mode, size, sha256: [0; 32] }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn whole(root: &Root, path: &[u8]) -> Option<Entry> {
        match root.look(path).expect("it can be looked at") {
            Found::Nothing => None,
            Found::Whole(entry) => Some(entry),
            Found::File(mut reading) => loop {
                if let (Some(entry), _) = reading.step(&mut [0; 3]).expect("it can be read") {
                    return Some(entry);
                }
            },
        }
    }

    #[test]
    fn what_stands_there_is_seen_and_no_link_is_followed() {
        let outside = tempfile::tempdir().expect("a directory");
        fs::write(outside.path().join("secret"), "secret").expect("a file");
        let place = tempfile::tempdir().expect("a directory");
        let at = |name: &str| place.path().join(name);
        fs::create_dir(at("below")).expect("a directory");
        fs::write(at("below/file"), "content").expect("a file");
        fs::set_permissions(at("below/file"), fs::Permissions::from_mode(0o4711)).expect("its mode");
        symlink(outside.path(), at("away")).expect("a link");
        let root = Root::open(place.path()).expect("it opens");

        let file = whole(&root, b"below/file").expect("a file");
        let expected: [u8; 32] = Sha256::digest("content").into();
        assert_eq!((file.what, file.mode, file.size, file.sha256), (What::File, 0o4711, 7, expected));
        assert_eq!(whole(&root, b"away").expect("a link").what, What::Link);
        assert_eq!(whole(&root, b"below").expect("a directory").what, What::Directory);
        for nothing in [&b"away/secret"[..], b"nowhere", b"below/file/more"] {
            assert!(whole(&root, nothing).is_none(), "{nothing:?}");
        }
        assert!(root.look(b"../secret").is_err(), "the way up is refused");
        assert_eq!(root.list(b"away", 9).expect("empty"), Some(Vec::new()));
        assert_eq!(root.list(b"", 9).expect("a list").expect("two").len(), 2);
        assert_eq!(root.list(b"", 1).expect("a list"), None);

        let moved = at("").with_extension("moved");
        fs::rename(place.path(), &moved).expect("it is moved away");
        fs::create_dir(place.path()).expect("another in its place");
        assert!(!root.is_at(place.path()));
        fs::remove_dir_all(moved).expect("it goes");
    }
}
