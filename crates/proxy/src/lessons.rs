//! What was learned of what ordinary people take, and what left to whom under budgets, kept over a restart: a restart is no fresh
//! budget.
//!
//! It never costs the gate its service: what cannot be read or written is said, and learning and counting begin anew.

use std::io;
use std::path::PathBuf;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_types::Tick;

use crate::Process;
use crate::coordinator::{read_bounded, replace_file};
use crate::guard::Books;

/// How often what was learned is written down.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// How often what left is, where anything did: so much a crash may give back.
const SPENT_EVERY: Duration = Duration::from_secs(1);
/// Where that takes long, it is written in one part of so many of the time.
const SHARE: u32 = 20;
const NAME: &str = "leaving";
const SPENT: &str = "spent";

/// Where it is kept, if anywhere.
#[derive(Debug)]
pub(crate) struct Lessons {
    directory: Option<PathBuf>,
    /// Another process goes on from what was saved.
    retired: AtomicBool,
    /// How much of what left is on the disk.
    spent: AtomicU64,
}

impl Lessons {
    pub(crate) const fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, retired: AtomicBool::new(false), spent: AtomicU64::new(0) }
    }

    /// Takes back what was learned before, and what left.
    pub(crate) fn take_back(&self, books: &Books, now: Tick) {
        let Some(directory) = &self.directory else { return };
        let read = |name: &str, restore: &dyn Fn(&[u8]) -> Result<(), String>| {
            let path = directory.join(name);
            let error = match read_bounded(&path).map(|bytes| restore(&bytes)) {
                Ok(Ok(())) => return,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                Ok(Err(error)) => error,
                Err(error) => error.to_string(),
            };
            tracing::warn!(path = %path.display(), error, "what is known of what leaves cannot be read: beginning anew");
        };
        read(NAME, &|bytes| books.restore(bytes));
        read(SPENT, &|bytes| books.restore_spent(bytes, now));
        self.spent.store(books.noted(), Ordering::Release);
    }

    /// Writes down what is known now.
    pub(crate) fn save(&self, books: &Books, now: Tick) {
        if let Some(lessons) = books.lessons(now) {
            self.write(NAME, &lessons);
        }
        self.save_spent(books, now);
    }

    /// Writes down what left, where it has changed.
    fn save_spent(&self, books: &Books, now: Tick) {
        let noted = books.noted();
        if noted != self.spent.load(Ordering::Acquire)
            && self.directory.is_some()
            && self.write(SPENT, &books.spent(now))
        {
            self.spent.store(noted, Ordering::Release);
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> bool {
        let Some(directory) = self.directory.as_ref().filter(|_| !self.retired.load(Ordering::Acquire)) else {
            return false;
        };
        let written = replace_file(directory, name, bytes);
        if let Err(error) = &written {
            tracing::warn!(%error, directory = %directory.display(), name, "what is known of what leaves cannot be written down");
        }
        written.is_ok()
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
        let (mut learned, mut rest) = (Instant::now(), SPENT_EVERY);
        loop {
            thread::sleep(rest);
            let Some(process) = process.upgrade() else { return };
            let began = Instant::now();
            if learned.elapsed() >= SAVE_EVERY {
                learned = began;
                process.lessons.save(&process.books, process.now());
            } else {
                process.lessons.save_spent(&process.books, process.now());
            }
            rest = SPENT_EVERY.max(began.elapsed() * SHARE);
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
        let books = Books::new([1, 2], 0, Arc::new(Chronicle::new(None)));
        for broken in ["", "{}", "{\"form\":1}", "{\"form\":1,\"routes\":[{}]}", "{\"form\":2,\"routes\":[]}"] {
            assert!(books.restore(broken.as_bytes()).is_err(), "{broken}");
        }
        let route = r#"{"platform":"members","route":"/list","hours":[0,300,5],"most":4,"seconds":9000}"#;
        let text = format!("{{\"form\":1,\"routes\":[{route}]}}");
        fs::write(place.path().join(NAME), &text).expect("written");
        let lessons = Lessons::new(Some(place.path().to_owned()));
        lessons.take_back(&books, Tick(0));
        let kept = books.lessons(Tick(0)).expect("something is known");
        let again = Books::new([3, 4], 0, Arc::new(Chronicle::new(None)));
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
