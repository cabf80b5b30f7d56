//! A walk over everything below a directory, one step at a time: directories before what is in them, in one order everywhere,
//! and at the end what should be there and was not met.
//!
//! It reads no file; it says which path is next.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;

use super::pattern::Patterns;
use super::tree::{Found, Names, Root};
use crate::manifest::{ENTRIES, Entries, What, escape};

/// Where a walk stands.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// It is waited for: until it is over, not everything was seen.
    pub(crate) owed: bool,
    directories: Vec<Box<[u8]>>,
    listing: Option<Box<[u8]>>,
    paths: VecDeque<Box<[u8]>>,
    met: BTreeSet<Box<[u8]>>,
    unreadable: BTreeSet<Box<[u8]>>,
    /// What was not met has been handed out.
    last: bool,
    cut: bool,
}

/// The next step.
pub(crate) enum Next {
    /// A directory whose content comes next.
    Directory(Box<[u8]>),
    /// Look here.
    Path(Box<[u8]>),
    Unreadable(Box<[u8]>, io::Error),
    /// There is no more; `whole` unless there was more than is looked at.
    Over {
        whole: bool,
        seen: usize,
    },
}

impl Walk {
    pub(crate) fn new(owed: bool) -> Self {
        Self { owed, directories: vec![Box::default()], ..Self::default() }
    }

    pub(crate) fn next(&mut self, root: &Root, patterns: &Patterns, in_force: Option<&Entries>) -> Next {
        loop {
            if let Some(path) = self.paths.pop_front() {
                return Next::Path(path);
            }
            if let Some(path) = self.listing.take() {
                match root.list(&path, ENTRIES.saturating_sub(self.met.len())) {
                    Ok(Some(names)) => self.take(&path, names, patterns),
                    Ok(None) => self.cut = true,
                    Err(error) => return Next::Unreadable(path, error),
                }
                continue;
            }
            if let Some(path) = self.directories.pop() {
                self.listing = Some(path.clone());
                return Next::Directory(path);
            }
            if self.last {
                return Next::Over { whole: !self.cut, seen: self.met.len() };
            }
            self.last = true;
            let missing = in_force.into_iter().flatten().map(|(path, _)| path);
            let missing = missing.filter(|path| !self.met.contains(*path) && !patterns.leave_out(path));
            self.paths = missing.cloned().collect();
        }
    }

    fn take(&mut self, parent: &[u8], names: Names, patterns: &Patterns) {
        for (name, directory) in names {
            let path = join(parent, &name);
            if patterns.leave_out(&path) {
                continue;
            }
            if directory {
                self.directories.push(path.clone());
            }
            self.met.insert(path.clone());
            self.paths.push_back(path);
        }
    }

    pub(crate) fn unreadable(&mut self, path: &[u8]) {
        self.unreadable.insert(path.into());
    }

    /// Whether a path that could not be read before could be now.
    pub(crate) fn readable(&self, path: &[u8]) -> bool {
        !self.unreadable.contains(path)
    }
}

pub(crate) fn join(parent: &[u8], name: &[u8]) -> Box<[u8]> {
    if parent.is_empty() { name.into() } else { [parent, b"/", name].concat().into() }
}

/// Everything below `directory` as it is now, but for what the patterns leave out.
///
/// # Errors
/// In words: what cannot be read, and what no manifest can have.
pub fn collect(directory: &Path, patterns: &[String]) -> Result<Entries, String> {
    let root = Root::open(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    entries(&root, &Patterns::new(patterns), &|| {})
}

pub(crate) fn entries(root: &Root, patterns: &Patterns, alive: &dyn Fn()) -> Result<Entries, String> {
    let (mut walk, mut entries, mut buffer) = (Walk::new(false), Entries::new(), vec![0; 256 << 10]);
    loop {
        alive();
        let path = match walk.next(root, patterns, None) {
            Next::Directory(_) => continue,
            Next::Path(path) => path,
            Next::Unreadable(path, error) => return Err(format!("{}: {error}", escape(&path))),
            Next::Over { whole: true, .. } => return Ok(entries),
            Next::Over { whole: false, .. } => return Err(format!("there are more than {ENTRIES} files")),
        };
        let failed = |error: io::Error| format!("{}: {error}", escape(&path));
        let entry = match root.look(&path).map_err(failed)? {
            Found::Nothing => continue,
            Found::Whole(entry) => entry,
            Found::File(mut reading) => loop {
                alive();
                if let (Some(entry), _) = reading.step(&mut buffer).map_err(failed)? {
                    break entry;
                }
            },
        };
        if entry.what == What::Other {
            return Err(format!("{}: neither file nor directory nor link; leave it out by a pattern", escape(&path)));
        }
        entries.insert(path, entry);
    }
}
