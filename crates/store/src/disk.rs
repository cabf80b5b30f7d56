//! What the store asks of a disk, so that a test can have one that fails in every way that disks do.
//!
//! Paths are relative to the directory of the store. Nothing is durable before [`Disk::sync`] says so.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A directory on a disk.
pub trait Disk: Send + Sync {
    /// All of a file.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// So many bytes of a file from this place on; fewer where it ends.
    ///
    /// # Errors
    /// As of [`Disk::read`].
    fn read_at(&self, path: &str, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let bytes = self.read(path)?;
        let begin = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let end = begin.saturating_add(most).min(bytes.len());
        Ok(bytes.get(begin..end).unwrap_or_default().to_vec())
    }
    /// Names in a directory, sorted; none where it is not there.
    ///
    /// # Errors
    /// When it cannot be read.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;
    /// A whole file, with the directories that it needs; what was there is gone.
    ///
    /// # Errors
    /// When the disk does not take all of it.
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()>;
    /// Bytes from this place of a file on; what stood there and behind it is gone.
    ///
    /// # Errors
    /// When the disk does not take all of them.
    fn append(&self, path: &str, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Gives a file another name in the place of what has it.
    ///
    /// # Errors
    /// When it cannot.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file or a directory with all that is in it; one that is not there is removed.
    ///
    /// # Errors
    /// When it cannot.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// These files, and their names, survive a loss of power from now on.
    ///
    /// # Errors
    /// When the disk does not say so; what it has of them is then unknown.
    fn sync(&self, paths: &[String]) -> io::Result<()>;
    /// What was written to this file, which has its name for good, does.
    ///
    /// # Errors
    /// As of [`Disk::sync`].
    fn sync_data(&self, path: &str) -> io::Result<()>;
}

/// Beyond so many files, the whole file system is told to write: one call instead of hundreds.
const SYNC_EACH: usize = 24;

/// A directory of this machine.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// This one; it is made with mode 0700 where it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(root: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// This one, to read.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Held for as long as the file lives: one process writes a directory.
    ///
    /// # Errors
    /// When another holds it (`WouldBlock`), or there can be no such file.
    pub fn lock(&self) -> io::Result<File> {
        let file = private().open(self.root.join("lock"))?;
        file.try_lock().map_err(io::Error::from)?;
        Ok(file)
    }

    /// A file's length.
    ///
    /// # Errors
    /// When it is not there.
    pub fn length(&self, path: &str) -> io::Result<u64> {
        fs::metadata(self.root.join(path)).map(|about| about.len())
    }

    fn make_parent(path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), fs::create_dir_all)
    }
}

fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
}

impl Disk for Directory {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(self.root.join(path))
    }

    fn read_at(&self, path: &str, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.root.join(path))?;
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join(path)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(path);
        let mut options = private();
        let mut file = match options.truncate(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::make_parent(&path)?;
                options.open(&path)?
            }
            file => file?,
        };
        file.write_all(bytes)
    }

    fn append(&self, path: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(path);
        let mut file = match private().open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::make_parent(&path)?;
                private().open(&path)?
            }
            file => file?,
        };
        if file.metadata()?.len() != at {
            file.set_len(at)?;
        }
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let path = self.root.join(path);
        let removed = match fs::symlink_metadata(&path) {
            Ok(about) if about.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }

    fn sync_data(&self, path: &str) -> io::Result<()> {
        File::open(self.root.join(path))?.sync_data()
    }

    fn sync(&self, paths: &[String]) -> io::Result<()> {
        if paths.len() > SYNC_EACH {
            let root = File::open(&self.root)?;
            return rustix::fs::syncfs(root).map_err(io::Error::from);
        }
        let mut directories = BTreeSet::new();
        for path in paths {
            let path = self.root.join(path);
            File::open(&path)?.sync_all()?;
            // Directories may be new too: all of them up to the root.
            let mut above = path.as_path();
            while let Some(parent) = above.parent().filter(|_| above != self.root) {
                directories.insert(parent.to_owned());
                above = parent;
            }
        }
        directories.iter().filter(|path| path.starts_with(&self.root)).try_for_each(|path| File::open(path)?.sync_all())
    }
}
