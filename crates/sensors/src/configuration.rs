//! The files of the configuration on disk against what is in force.
//!
//! A change that nobody has put in force is told once it has stood for a while: the gate itself takes up certificates, keys and
//! lists within seconds, and tells that. It reads the files and nothing of what they say.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use portcullis_config::Policy;
use portcullis_config::policy::DatabaseTls;
use portcullis_ledger::{Event, Finding};
use sha2::{Digest as _, Sha256};

use crate::manifest::hex;
use crate::sense::Sense;

/// What cannot be seen.
pub(crate) const BLIND_TO: &str = "what the system around the gate is told (its service, its user, its firewall), and changes by whoever can \
change the gate's own memory";

/// How long a change may stand before it is told.
const STANDS: Duration = Duration::from_secs(6);
/// The largest file that is read.
const BYTES: u64 = 256 << 20;
/// Files that are watched.
const FILES: usize = 10_000;

/// What the files were when they were put in force.
#[derive(Default)]
pub(crate) struct Watched {
    files: BTreeMap<PathBuf, Looked>,
}

struct Looked {
    in_force: String,
    now: String,
    /// Size, time of change, inode: what says that it must be read again.
    mark: Option<(u64, i64, i64, u64)>,
    differs: Option<Instant>,
    told: String,
    /// It is there for a drill alone: which, and who waits for it.
    drill: Option<(String, Sender<Instant>)>,
}

/// Every file that the policy was read from.
pub(crate) fn files(path: &Path, policy: &Policy) -> Vec<PathBuf> {
    let mut files = vec![path.to_owned()];
    files.extend(policy.certificates.iter().flat_map(|it| [it.cert.clone(), it.key.clone()]));
    files.extend(policy.lists.iter().filter_map(|list| list.file.clone()));
    files.extend(policy.vouched.iter().filter_map(|vouched| vouched.file.clone()));
    files.extend(policy.waf.rules.iter().flat_map(|rules| rules.files.iter().map(|(name, _)| PathBuf::from(name))));
    files.extend(policy.data.canaries.iter().flat_map(|it| [it.registry.clone(), it.key.clone()]));
    let upstreams = policy.platforms.iter().flat_map(|platform| &platform.upstreams);
    files.extend(upstreams.filter_map(|upstream| upstream.tls.as_ref()?.ca.clone()));
    for database in &policy.databases {
        files.extend(database.tls.certificate().into_iter().flat_map(|it| [it.cert.clone(), it.key.clone()]));
        if let DatabaseTls::Own { upstream: Some(upstream), .. } = &database.tls {
            files.extend(upstream.ca.clone());
        }
    }
    files.sort();
    files.dedup();
    files
}

impl Watched {
    /// What is on disk now is in force.
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        let looked = |path: PathBuf| {
            let mark = mark(&path);
            let now = digest(&path);
            (path, Looked { in_force: now.clone(), now, mark, differs: None, told: String::new(), drill: None })
        };
        Self { files: files.into_iter().take(FILES).map(looked).collect() }
    }

    /// Takes a file for one of the configuration, until it is forgotten. What is in it now is not what it should be.
    pub(crate) fn expect(&mut self, path: PathBuf, id: String, seen: Sender<Instant>) {
        let in_force = hex(&Sha256::digest(b"as it is in force"));
        let drill = Some((id, seen));
        let file = Looked { in_force, now: String::new(), mark: None, differs: None, told: String::new(), drill };
        self.files.insert(path, file);
    }

    pub(crate) fn forget(&mut self, path: &Path) {
        self.files.remove(path);
    }

    /// Looks at each file whose mark is another one.
    pub(crate) fn look(&mut self, sense: &Sense) {
        let mut differing = 0;
        for (path, file) in &mut self.files {
            sense.alive();
            let mark = mark(path);
            if mark != file.mark {
                file.mark = mark;
                file.now = digest(path);
                sense.seen(1);
            }
            if file.now == file.in_force {
                (file.differs, file.told) = (None, String::new());
                continue;
            }
            differing += 1;
            let since = *file.differs.get_or_insert_with(Instant::now);
            if since.elapsed() < STANDS || file.told == file.now {
                continue;
            }
            file.told.clone_from(&file.now);
            let words = format!("{} on disk is not what is in force; a reload would put it in force", path.display());
            let mut drill = String::new();
            if let Some((id, seen)) = &file.drill {
                drill.clone_from(id);
                // Whoever waits may have given up.
                let _ = seen.send(Instant::now());
            }
            sense.record(Event::Finding(Finding {
                what: "configuration-changed".to_owned(),
                subject: path.display().to_string(),
                before: file.in_force.clone(),
                after: file.now.clone(),
                words,
                after_millis: Some(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)),
                drill,
                ..Finding::default()
            }));
        }
        sense.up();
        sense.words(match differing {
            0 => format!("{} files, all as they are in force", self.files.len()),
            count => format!("{} files, of which {count} are not as they are in force", self.files.len()),
        });
    }
}

fn mark(path: &Path) -> Option<(u64, i64, i64, u64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.len(), meta.mtime(), meta.mtime_nsec() ^ meta.ctime_nsec(), meta.ino()))
}

/// SHA-256, or why there is none.
fn digest(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut hash = Sha256::new();
        io::copy(&mut io::Read::take(File::open(path)?, BYTES), &mut Hashing(&mut hash))?;
        Ok(hex(&hash.finalize()))
    };
    read().unwrap_or_else(|error| format!("cannot be read: {}", error.kind()))
}

struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
