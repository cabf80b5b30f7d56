//! Who may change files: signed manifests are read, checked against the declared keys and put in force; baselines are taken on
//! a person's word.
//!
//! A manifest that is older than what is in force is refused, whoever signed it: else a release with a known hole could be
//! put back by whoever kept its manifest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_config::Integrity;
use portcullis_config::integrity::Files;
use portcullis_ledger::note::VerifierKey;
use portcullis_ledger::{Change, Deploy, Event, Finding, Recorder, Sensor};

use crate::files::Ask;
use crate::manifest::{BYTES, Manifest, What};
use crate::signed::Signed;
use crate::{Set, unix_millis};

/// Whose records these are.
const SENSOR: &str = "deploys";
/// Files in the directory of deploys that are looked at.
const DROPPED: usize = 256;
/// What a directory's thread may take to answer.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is in force, and who may change it.
pub(crate) struct Clerk {
    keys: Vec<VerifierKey>,
    signatures: usize,
    window: Duration,
    state: Option<PathBuf>,
    deploys: Option<PathBuf>,
    files: Vec<Files>,
    recorder: Arc<dyn Recorder>,
    in_force: Mutex<BTreeMap<String, Manifest>>,
    /// Which manifest in force names a content.
    contents: Mutex<HashMap<[u8; 32], Arc<str>>>,
    /// What lay in the directory of deploys and has been dealt with: name, size and time of change.
    known: Mutex<BTreeSet<(PathBuf, u64, u128)>>,
    looked: AtomicBool,
    /// Platforms of which a release is being put in place: which, and until when.
    windows: Mutex<BTreeMap<String, (String, Instant)>>,
    /// One at a time.
    busy: Mutex<()>,
}

/// Reads a manifest and says whose of `keys` signed it.
///
/// # Errors
/// In words: it cannot be read.
pub fn judge(text: &str, keys: &[VerifierKey]) -> Result<(Manifest, Vec<String>), String> {
    let signed = Signed::parse(text)?;
    let signers = signed.signers(keys).into_iter().map(str::to_owned).collect();
    Ok((Manifest::parse(signed.text())?, signers))
}

/// What is in force of a directory, as it is kept; `None` where there is nothing yet.
///
/// # Errors
/// In words.
pub fn in_force(state: &Path, name: &str) -> Result<Option<Manifest>, String> {
    let path = place(state, name);
    match read(&path) {
        Ok(text) => {
            judge(&text, &[]).map(|(manifest, _)| Some(manifest)).map_err(|why| format!("{}: {why}", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn place(state: &Path, name: &str) -> PathBuf {
    state.join(format!("files-{name}.manifest"))
}

/// A text of bounded length.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {BYTES} bytes")));
    }
    Ok(text)
}

impl Clerk {
    pub(crate) fn new(declared: &Integrity, recorder: &Arc<dyn Recorder>) -> Result<Self, String> {
        let keys = declared.keys.iter().map(|key| VerifierKey::parse(key).map_err(|why| format!("`{key}`: {why}")));
        let clerk = Self {
            keys: keys.collect::<Result<_, _>>()?,
            signatures: usize::try_from(declared.signatures).unwrap_or(usize::MAX).max(1),
            window: declared.window,
            state: declared.state.clone(),
            deploys: declared.deploys.clone(),
            files: declared.files.clone(),
            recorder: Arc::clone(recorder),
            in_force: Mutex::new(BTreeMap::new()),
            contents: Mutex::new(HashMap::new()),
            known: Mutex::new(BTreeSet::new()),
            looked: AtomicBool::new(false),
            windows: Mutex::new(BTreeMap::new()),
            busy: Mutex::new(()),
        };
        if let Some(state) = clerk.state.as_ref().filter(|_| !clerk.files.is_empty()) {
            fs::create_dir_all(state).map_err(|error| format!("{}: {error}", state.display()))?;
            for files in &clerk.files {
                let Some(manifest) = in_force(state, &files.name)? else { continue };
                let words = format!("{} is compared with the manifest of {}", files.name, manifest.made);
                clerk.change(&files.name, "gate", String::new(), manifest.digest(), words);
                lock(&clerk.in_force).insert(files.name.clone(), manifest);
            }
            clerk.index();
        }
        Ok(clerk)
    }

    /// What is in force of a directory.
    pub(crate) fn manifest(&self, name: &str) -> Option<Manifest> {
        lock(&self.in_force).get(name).cloned()
    }

    /// The digest of a manifest in force that names a file of this SHA-256.
    pub(crate) fn approves(&self, sha256: &[u8; 32]) -> Option<String> {
        lock(&self.contents).get(sha256).map(|digest| digest.to_string())
    }

    /// The digest of the release that is being put in place on a platform.
    pub(crate) fn under_way(&self, platform: &str) -> Option<String> {
        let windows = lock(&self.windows);
        windows.get(platform).filter(|(_, until)| *until > Instant::now()).map(|(digest, _)| digest.clone())
    }

    fn index(&self) {
        let mut contents = HashMap::new();
        for manifest in lock(&self.in_force).values() {
            let digest: Arc<str> = manifest.digest().into();
            let files = manifest.entries.values().filter(|entry| entry.what == What::File);
            contents.extend(files.map(|file| (file.sha256, Arc::clone(&digest))));
        }
        *lock(&self.contents) = contents;
    }

    /// Looks whether a manifest was dropped.
    pub(crate) fn look(&self, set: &Set) {
        let Some(directory) = &self.deploys else { return };
        let Ok(entries) = fs::read_dir(directory) else { return };
        let first = !self.looked.swap(true, Ordering::Relaxed);
        for path in entries.take(DROPPED).filter_map(|entry| Some(entry.ok()?.path())) {
            if path.extension().is_none_or(|extension| extension != "manifest") {
                continue;
            }
            let Ok(meta) = fs::metadata(&path) else { continue };
            let changed = meta.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let mark = (path.clone(), meta.len(), changed.map_or(0, |at| at.as_nanos()));
            if !meta.is_file() || lock(&self.known).contains(&mark) {
                continue;
            }
            let outcome = read(&path)
                .map_err(|error| Refused::Wrong(error.to_string()))
                .and_then(|text| self.accept(&text, "", set));
            match outcome {
                Ok(words) => tracing::info!("{words}"),
                // What lay there when the gate began, and was overtaken since, is no attempt.
                Err(Refused::Older(_)) if first => {}
                Err(Refused::Older(words) | Refused::Wrong(words)) => self.refused(&path, &words),
            }
            lock(&self.known).insert(mark);
        }
    }

    /// Puts a signed manifest in force.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn accept(&self, text: &str, by: &str, set: &Set) -> Result<String, Refused> {
        let _one = lock(&self.busy);
        let (manifest, signers) = judge(text, &self.keys).map_err(Refused::Wrong)?;
        let Manifest { platform, made, says, entries } = &manifest;
        if signers.len() < self.signatures {
            let who = if signers.is_empty() { "nobody whose key is declared".to_owned() } else { signers.join(", ") };
            let words = format!("{} signatures are asked for; it is signed by {who}", self.signatures);
            return Err(Refused::Wrong(words));
        }
        let Some(files) = self.files.iter().find(|files| files.name == *platform) else {
            return Err(Refused::Wrong(format!("no directory is declared as `{platform}`")));
        };
        let digest = manifest.digest();
        let before = self.manifest(platform);
        if let Some(before) = &before {
            if before.digest() == digest {
                return Ok(format!("the manifest {digest} is in force already"));
            }
            if before.made >= *made {
                let words =
                    format!("it was made at {made}, and what is in force at {}: sign it anew to go back", before.made);
                return Err(Refused::Older(words));
            }
        }
        // On record before anything may be different.
        self.recorder.record(
            &Sensor::Borrowed(SENSOR),
            Event::Deploy(Deploy {
                platform: files.platform.clone(),
                manifest: digest.clone(),
                signer: signers.join(", "),
                by: by.to_owned(),
                files: entries.len() as u64,
                words: says.clone(),
            }),
        );
        lock(&self.windows).insert(files.platform.clone(), (digest.clone(), Instant::now() + self.window));
        let words = format!(
            "{platform}: the manifest {digest} of {} entries, signed by {}, is in force",
            entries.len(),
            signers.join(", ")
        );
        self.put(&files.name, manifest, text, Some(self.window), set).map_err(Refused::Wrong)?;
        Ok(words)
    }

    /// Takes what is there as what should be there.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn baseline(&self, name: &str, by: &str, set: &Set) -> Result<String, String> {
        let _one = lock(&self.busy);
        let ask = set.files.get(name).ok_or_else(|| format!("no directory is declared as `{name}`"))?;
        let (done, answer) = mpsc::channel();
        ask.send(Ask::Collect { done }).map_err(|_| "its thread has ended".to_owned())?;
        let entries = answer.recv_timeout(PATIENCE).map_err(|_| "its thread does not answer".to_owned())??;
        let before = self.manifest(name).map(|manifest| manifest.digest()).unwrap_or_default();
        let manifest = Manifest {
            platform: name.to_owned(),
            made: unix_millis() / 1000,
            says: format!("baseline by {by}"),
            entries,
        };
        crate::manifest::check_words(&manifest.platform, &manifest.says)?;
        let (digest, text, count) = (manifest.digest(), manifest.text(), manifest.entries.len());
        let words = format!("{name}: what was there, {count} entries, was taken as the baseline by {by}");
        self.change(name, by, before, digest.clone(), words);
        self.put(name, manifest, &text, None, set)?;
        Ok(format!("{name}: {count} entries are the baseline now ({digest})"))
    }

    /// Keeps it, and tells the directory's thread.
    fn put(
        &self,
        name: &str,
        manifest: Manifest,
        text: &str,
        window: Option<Duration>,
        set: &Set,
    ) -> Result<(), String> {
        if let Some(state) = &self.state {
            let path = place(state, name);
            write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        lock(&self.in_force).insert(name.to_owned(), manifest.clone());
        self.index();
        if let Some(ask) = set.files.get(name) {
            let (done, answer) = mpsc::channel();
            ask.send(Ask::Adopt { manifest: Box::new(manifest), window, done })
                .map_err(|_| "its thread has ended".to_owned())?;
            answer.recv_timeout(PATIENCE).map_err(|_| "its thread does not answer".to_owned())??;
        }
        Ok(())
    }

    fn change(&self, name: &str, by: &str, before: String, after: String, words: String) {
        let change = Change { what: "baseline".to_owned(), by: by.to_owned(), before, after, words };
        self.recorder.record(&format!("files/{name}").into(), Event::Change(change));
    }

    fn refused(&self, path: &Path, why: &str) {
        let words = format!("{} was dropped and is not put in force: {why}", path.display());
        tracing::warn!("{words}");
        let finding =
            Finding { what: "deploy-refused".into(), subject: path.display().to_string(), words, ..Finding::default() };
        self.recorder.record(&Sensor::Borrowed(SENSOR), Event::Finding(finding));
    }
}

/// Why a manifest is not in force.
pub(crate) enum Refused {
    /// What is in force was made later, or at the same time.
    Older(String),
    Wrong(String),
}

impl Refused {
    pub(crate) fn words(self) -> String {
        let (Self::Older(words) | Self::Wrong(words)) = self;
        words
    }
}

/// Replaces a file whole, or not at all.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
