//! Sensors, tried: an inert thing is put where a wrong one would be, through the same path, and must be seen.
//!
//! What was put there goes again whatever happens. Each drill is on record, seen or missed, with who asked for it.

use std::fs;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use portcullis_config::integrity::Files;
use portcullis_ledger::{Drill, Event};
use portcullis_types::Date;
use sha2::{Digest as _, Sha256};

use crate::bait::Way;
use crate::files::Ask;
use crate::{Set, outside, schema, unix_millis};

/// Until the kernel must have told.
const KERNEL: Duration = Duration::from_secs(5);
/// Until a page must have been fetched and looked at.
const VISIT: Duration = Duration::from_secs(120);
/// Until a sweep that was asked for must have come by.
const SWEEP: Duration = Duration::from_secs(300);

impl Set {
    /// Tries everything that can be tried, or what `only` names (`files`, `files/public`), and puts it on record.
    pub(crate) fn drill(&self, only: Option<&str>, by: &str) -> Vec<Drill> {
        let _one = self.drilling.lock().unwrap_or_else(PoisonError::into_inner);
        let named = |path: &str| {
            only.is_none_or(|only| path == only || path.strip_prefix(only).is_some_and(|rest| rest.starts_with('/')))
        };
        let stamp = minute(unix_millis());
        let mut tried = Vec::new();
        for files in &self.declared.files {
            let path = format!("files/{}", files.name);
            let Some(probe) = files.probe.as_ref().filter(|_| named(&path)) else { continue };
            let id = format!("d-{stamp}-{}", path.replace('/', "-"));
            let outcome = self.plant(files, probe, &id);
            tried.push(record(id, "planted-file", path, by, outcome));
        }
        for address in &self.declared.outside {
            let path = format!("pages/{}", address.name);
            let Some(ask) = self.outside.get(&address.name).filter(|_| named(&path)) else { continue };
            let id = format!("d-{stamp}-{}", path.replace('/', "-"));
            let begun = Instant::now();
            let (seen, answer) = mpsc::channel();
            let extra = format!("<script src=\"https://drill.portcullis.invalid/{id}.js\"></script>");
            let asked = ask.send(outside::Ask::Drill { extra, seen }).map_err(|_| "its thread has ended".to_owned());
            let outcome = asked.and_then(|()| {
                let answer = answer.recv_timeout(VISIT).map_err(|_| "its thread does not answer".to_owned())?;
                Ok((answer?.duration_since(begun), "with a script more than it has"))
            });
            tried.push(record(id, "changed-page", path, by, outcome));
        }
        let lookout = self.lookout.as_ref();
        for bait in self.declared.baits.iter().filter(|bait| named(&bait.way)) {
            for way in Way::of(bait) {
                let id = format!("d-{stamp}-{}", way.name());
                let outcome = match lookout {
                    Some(lookout) => lookout.drill(bait, *way, &id),
                    None => Err("no evidence is kept that could tell".to_owned()),
                };
                tried.push(record(id, way.name(), bait.way.clone(), by, outcome));
            }
        }
        for drill in &tried {
            self.recorder.record(&drill.path.clone().into(), Event::Drill(drill.clone()));
        }
        tried
    }

    /// Takes what is there as what should be there: of a directory, of pages, of a schema; each with what came of it.
    pub(crate) fn baseline(&self, only: Option<&str>, by: &str) -> Vec<(String, Result<String, String>)> {
        let mut done = Vec::new();
        let fits = |kind: &str, name: &str| only.is_none_or(|only| only == name || only == format!("{kind}/{name}"));
        for name in self.files.keys().filter(|name| fits("files", name)) {
            done.push((name.clone(), self.clerk.baseline(name, by, self)));
        }
        let answered = |sent: bool, answer: &mpsc::Receiver<Result<String, String>>| match sent {
            true => answer.recv_timeout(VISIT).unwrap_or_else(|_| Err("its thread does not answer".to_owned())),
            false => Err("its thread has ended".to_owned()),
        };
        for (name, ask) in self.outside.iter().filter(|(name, _)| fits("pages", name)) {
            let (tell, answer) = mpsc::channel();
            let sent = ask.send(outside::Ask::Relearn { by: by.to_owned(), done: tell }).is_ok();
            done.push((name.clone(), answered(sent, &answer)));
        }
        for (name, ask) in self.schemas.iter().filter(|(name, _)| fits("schema", name)) {
            let (tell, answer) = mpsc::channel();
            let sent = ask.send(schema::Ask::Relearn { by: by.to_owned(), done: tell }).is_ok();
            done.push((name.clone(), answered(sent, &answer)));
        }
        done
    }

    /// Plants a file, waits until it was found, and takes it away.
    fn plant(&self, files: &Files, probe: &str, id: &str) -> Result<(Duration, &'static str), String> {
        let ask = self.files.get(&files.name).ok_or("nobody watches the directory")?;
        let send = |question| ask.send(question).map_err(|_| "its thread has ended".to_owned());
        // The process tells drills of one minute from one another.
        let name = format!("{id}-{}", unix_millis());
        let content = format!("portcullis drill {name}\n");
        let ((seen, found), (ready, awaited)) = (mpsc::channel(), mpsc::channel());
        let path = Path::new(probe).join(&name);
        let expected = path.as_os_str().as_encoded_bytes().into();
        send(Ask::Expect {
            path: expected,
            sha256: Sha256::digest(&content).into(),
            drill: id.to_owned(),
            ready,
            seen,
        })?;
        // A sweep may be looking there already.
        awaited.recv_timeout(KERNEL).map_err(|_| "its thread does not answer".to_owned())?;
        let planted = files.directory.join(&path);
        let begun = Instant::now();
        let outcome = fs::write(&planted, &content)
            .map_err(|error| format!("{} cannot be planted: {error}", planted.display()))
            .and_then(|()| match found.recv_timeout(KERNEL) {
                Ok(at) => Ok((at.duration_since(begun), "told by the kernel")),
                Err(RecvTimeoutError::Disconnected) => Err("its thread has ended".to_owned()),
                Err(RecvTimeoutError::Timeout) => {
                    send(Ask::Sweep)?;
                    let at = found.recv_timeout(SWEEP).map_err(|_| "nobody saw the file".to_owned())?;
                    Ok((at.duration_since(begun), "found by a sweep"))
                }
            });
        // Gone again, or never there.
        let _ = fs::remove_file(&planted);
        send(Ask::Forget)?;
        outcome
    }
}

/// What came of it, as it is put on record.
fn record(id: String, what: &str, path: String, by: &str, outcome: Result<(Duration, &'static str), String>) -> Drill {
    let (seen, millis, words) = match outcome {
        Ok((after, how)) => {
            let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            (true, millis, format!("{path} saw the drill after {millis} ms, {how}"))
        }
        Err(why) => (false, 0, format!("{path} did not see the drill: {why}")),
    };
    Drill {
        id,
        what: what.to_owned(),
        path,
        seen,
        tried: 1,
        missed: u64::from(!seen),
        millis,
        by: by.to_owned(),
        words,
    }
}

/// A time as a name: `20261122-0914`.
fn minute(unix_millis: u64) -> String {
    let (date, minutes) = (Date::of_millis(unix_millis), unix_millis / 60_000 % 1440);
    format!("{:04}{:02}{:02}-{:02}{:02}", date.year, date.month, date.day, minutes / 60, minutes % 60)
}
