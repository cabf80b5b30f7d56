//! What was learned of what ordinary people take, kept over a restart.
//!
//! It never costs the gate its service: what cannot be read or written is said, and learning begins anew.

use std::io;
use std::path::PathBuf;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use portcullis_types::Tick;

use crate::Process;
use crate::coordinator::{read_bounded, replace_file};
use crate::guard::Books;

/// How often it is written down.
const SAVE_EVERY: Duration = Duration::from_secs(60);
const NAME: &str = "leaving";

/// Where it is kept, if anywhere.
#[derive(Debug)]
pub(crate) struct Lessons {
    directory: Option<PathBuf>,
    /// Another process goes on from what was saved.
    retired: AtomicBool,
}

impl Lessons {
    pub(crate) const fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, retired: AtomicBool::new(false) }
    }

    /// Takes back what was learned before.
    pub(crate) fn take_back(&self, books: &Books) {
        let Some(path) = self.directory.as_ref().map(|directory| directory.join(NAME)) else { return };
        let error = match read_bounded(&path).map(|bytes| books.restore(&bytes)) {
            Ok(Ok(())) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Ok(Err(error)) => error,
            Err(error) => error.to_string(),
        };
        tracing::warn!(path = %path.display(), error, "what was learned of what leaves cannot be read: beginning anew");
    }

    /// Writes down what is known now.
    pub(crate) fn save(&self, books: &Books, now: Tick) {
        let Some(directory) = self.directory.as_ref().filter(|_| !self.retired.load(Ordering::Acquire)) else { return };
        if let Some(lessons) = books.lessons(now)
            && let Err(error) = replace_file(directory, NAME, &lessons)
        {
            tracing::warn!(%error, directory = %directory.display(), "what was learned of what leaves cannot be written down");
        }
    }

    /// Nothing is written over what another process goes on from.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

/// Saves now and then, on a thread of its own, for as long as the gate lives.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn keep(process: Weak<Process>) -> io::Result<()> {
    let saver = thread::Builder::new().name("lessons".to_owned());
    saver.spawn(move || {
        loop {
            thread::sleep(SAVE_EVERY);
            let Some(process) = process.upgrade() else { return };
            process.lessons.save(&process.books, process.now());
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chronicle::Chronicle;
    use std::fs;

    #[test]
    fn what_cannot_be_read_begins_anew_and_what_is_retired_is_not_written() {
        let place = tempfile::tempdir().expect("a directory");
        let books = Books::new([1, 2], Arc::new(Chronicle::new(None)));
        for broken in ["", "{}", "{\"form\":1}", "{\"form\":1,\"routes\":[{}]}", "{\"form\":2,\"routes\":[]}"] {
            assert!(books.restore(broken.as_bytes()).is_err(), "{broken}");
        }
        let route = r#"{"platform":"members","route":"/list","hours":[0,300,5],"most":4,"seconds":9000}"#;
        let text = format!("{{\"form\":1,\"routes\":[{route}]}}");
        fs::write(place.path().join(NAME), &text).expect("written");
        let lessons = Lessons::new(Some(place.path().to_owned()));
        lessons.take_back(&books);
        let kept = books.lessons(Tick(0)).expect("something is known");
        let again = Books::new([3, 4], Arc::new(Chronicle::new(None)));
        again.restore(&kept).expect("readable");
        assert_eq!(again.lessons(Tick(0)).expect("something is known"), kept);
        assert!(String::from_utf8_lossy(&kept).contains("\"most\":4"));
        lessons.retire();
        fs::remove_file(place.path().join(NAME)).expect("it was there");
        lessons.save(&books, Tick(0));
        assert!(!place.path().join(NAME).exists());
        Lessons::new(Some(place.path().to_owned())).save(&books, Tick(0));
        assert_eq!(fs::read(place.path().join(NAME)).expect("written"), kept);
    }
}
