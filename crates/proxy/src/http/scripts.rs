//! Scripts as they leave: whether what visitors' browsers will run is what it was.
//!
//! A copy of a script is hashed as it passes, unpacked, once in a while for each path. What is new for a path is told, and is
//! in order where a signed manifest names it. What differs from visitor to visitor, or could not be read whole, cannot be watched
//! this way, and is told so. Drills go the same way (`probe/script.rs`), at places of their own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_dataguard::Sink;
use portcullis_dataguard::detect::Scan;
use portcullis_ledger::{Event, Finding};
use portcullis_types::Tick;
use portcullis_wire::http::{Name, ResponseHead};
use sha2::{Digest as _, Sha256};

use super::challenge;
use crate::Approves;
use crate::chronicle::{self, Chronicle};
use crate::journal::lock;

/// Paths that are known. What comes beyond is not watched, and the sensor says so.
const PATHS: usize = 4096;
/// Bytes of a path.
const PATH_BYTES: usize = 512;
/// How often one path is looked at.
const EVERY: Duration = Duration::from_secs(10);
/// A path that had so many contents within [`TURN`] has no content of its own.
const VARIANTS: usize = 4;
const TURN: Duration = Duration::from_secs(3600);

/// What all workers know of scripts.
pub(crate) struct Scripts {
    known: Mutex<BTreeMap<(String, String), Known>>,
    /// By platform.
    counts: Mutex<BTreeMap<String, Counts>>,
    approves: Option<Approves>,
}

#[derive(Default, Clone, Copy)]
struct Counts {
    /// Answers that were looked at, whole.
    looked: u64,
    /// Those that were due, and were not.
    missed: u64,
}

/// How the scripts of a platform are watched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Answers that were looked at.
    pub(crate) seen: u64,
    /// Those that should have been: there was no room, they are never the same twice, or could not be read to their end.
    pub(crate) dropped: u64,
    /// Why not all of them are watched, if so.
    pub(crate) blind: Option<String>,
}

#[derive(Default)]
struct Known {
    looked: Looked,
    /// What it was, and since when; the newest last.
    contents: Vec<([u8; 32], Tick)>,
    varies: bool,
    /// The last time, it was not read to its end.
    unread: bool,
}

/// When a path was last looked at, in nanoseconds; 0 where it never was.
#[derive(Default, Clone)]
struct Looked(Arc<AtomicU64>);

/// One answer that is hashed as it passes.
pub(crate) struct Hashing {
    place: (String, String),
    drill: Option<Arc<str>>,
    hash: Sha256,
    under_way: UnderWay,
}

/// A look that is not over. Where a visitor breaks off, nothing was looked at, and the next answer is looked at in its place: nobody can
/// keep a path unseen by asking for it again and again.
struct UnderWay(Option<Looked>);

impl Looked {
    fn is_due(&self, now: Tick) -> bool {
        let at = self.0.load(Ordering::Relaxed);
        at == 0 || now.since(Tick(at)) >= EVERY
    }

    fn set(&self, now: Tick) {
        self.0.store(now.0, Ordering::Relaxed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.iter().for_each(|looked| looked.set(Tick(0)));
    }
}

impl Scripts {
    pub(crate) fn new(approves: Option<Approves>) -> Self {
        Self { known: Mutex::default(), counts: Mutex::default(), approves }
    }

    /// Whether this answer is to be hashed. `path` is without the query; of a drill's there is one for each time that it is tried,
    /// and both of its answers are looked at.
    pub(crate) fn look(
        &self,
        platform: &str,
        path: &str,
        head: &ResponseHead,
        drill: Option<&Arc<str>>,
        now: Tick,
    ) -> Option<Hashing> {
        if head.status != 200 || !is_script(head) {
            return None;
        }
        let place = (platform.to_owned(), path.to_owned());
        let mut known = lock(&self.known);
        let fits = known.len() < PATHS && path.len() <= PATH_BYTES;
        let looked = match known.get_mut(&place) {
            Some(known) if drill.is_none() && !known.looked.is_due(now) => return None,
            Some(known) => {
                known.looked.set(now);
                (!known.varies).then(|| known.looked.clone())
            }
            None if fits => {
                let begun = known.entry(place.clone()).or_default();
                begun.looked.set(now);
                Some(begun.looked.clone())
            }
            None => None,
        };
        drop(known);
        let Some(looked) = looked else {
            self.count(platform, drill, |counts| counts.missed += 1);
            return None;
        };
        Some(Hashing { place, drill: drill.cloned(), hash: Sha256::new(), under_way: UnderWay(Some(looked)) })
    }

    /// The answer has passed, and was not read to its end: what it is nobody can say.
    pub(crate) fn unread(&self, mut hashing: Hashing) {
        hashing.under_way.0 = None;
        lock(&self.known).get_mut(&hashing.place).into_iter().for_each(|known| known.unread = true);
        self.count(&hashing.place.0, hashing.drill.as_ref(), |counts| counts.missed += 1);
    }

    /// Drills are in no figure of what visitors were given.
    fn count(&self, platform: &str, drill: Option<&Arc<str>>, change: impl FnOnce(&mut Counts)) {
        if drill.is_none() {
            change(lock(&self.counts).entry(platform.to_owned()).or_default());
        }
    }

    /// A drill is over, and nothing of it stays.
    pub(crate) fn forget(&self, platform: &str, path: &str) {
        lock(&self.known).remove(&(platform.to_owned(), path.to_owned()));
    }

    /// The answer has passed, whole.
    pub(crate) fn passed(&self, hashing: Hashing, chronicle: &Chronicle, now: Tick) {
        let Hashing { place, drill, hash, mut under_way } = hashing;
        under_way.0 = None;
        self.count(&place.0, drill.as_ref(), |counts| counts.looked += 1);
        let digest: [u8; 32] = hash.finalize().into();
        let told = {
            let mut known = lock(&self.known);
            let Some(known) = known.get_mut(&place) else { return };
            known.note(digest, now)
        };
        let Some((what, before)) = told else { return };
        // What a drill begins with is what was there before.
        if drill.is_some() && what == "script-new" {
            return;
        }
        let (platform, path) = place;
        let manifest = self.approves.as_ref().and_then(|approves| approves(&digest));
        let (authorised, words) = match (what, manifest) {
            ("script-new", _) => ("first seen".to_owned(), format!("{path} is seen for the first time")),
            ("script-varies", _) => {
                ("varies".to_owned(), format!("{path} is not the same twice: nobody can say whether it was changed"))
            }
            (_, Some(manifest)) => (manifest, format!("{path} has changed, to what a signed manifest names")),
            (_, None) => (String::new(), format!("{path} is not what it was, and no signed manifest names what it is")),
        };
        if authorised.is_empty() && drill.is_none() {
            tracing::error!(platform, path, "a script that visitors are given has changed");
        }
        let finding = Finding {
            what: what.to_owned(),
            platform: platform.clone(),
            subject: path,
            before: before.map(|before| hex(&before)).unwrap_or_default(),
            after: hex(&digest),
            authorised,
            words,
            drill: drill.as_deref().unwrap_or_default().to_owned(),
            ..Finding::default()
        };
        chronicle.tell(&chronicle::scripts(&platform), Event::Finding(finding));
    }

    /// How they are watched.
    pub(crate) fn standing(&self, platform: &str) -> Watched {
        let Counts { looked, missed } = lock(&self.counts).get(platform).copied().unwrap_or_default();
        let known = lock(&self.known);
        let own = || known.iter().filter(|((of, path), _)| of == platform && !challenge::is_ours(path.as_bytes()));
        let varying = own().filter(|(_, known)| known.varies).count();
        let unread = own().filter(|(_, known)| known.unread).count();
        let blind = match (varying, unread) {
            _ if known.len() >= PATHS => Some(format!("there are more than {PATHS} scripts")),
            (0, 0) => None,
            (0, 1) => Some("one script could not be read to its end".to_owned()),
            (0, unread) => Some(format!("{unread} scripts could not be read to their end")),
            (1, _) => Some("one script is not the same twice".to_owned()),
            (varying, _) => Some(format!("{varying} scripts are not the same twice")),
        };
        Watched { seen: looked, dropped: missed, blind }
    }
}

impl Known {
    /// What is to be told of that content, and what was there before.
    fn note(&mut self, digest: [u8; 32], now: Tick) -> Option<(&'static str, Option<[u8; 32]>)> {
        self.unread = false;
        let before = self.contents.last().map(|(digest, _)| *digest);
        if before == Some(digest) {
            return None;
        }
        self.contents.push((digest, now));
        let kept = self.contents.len().saturating_sub(VARIANTS);
        self.contents.drain(..kept);
        let turned = self.contents.first().is_some_and(|(_, since)| now.since(*since) < TURN);
        if self.contents.len() == VARIANTS && turned {
            self.varies = true;
            return Some(("script-varies", before));
        }
        Some((if before.is_some() { "script-changed" } else { "script-new" }, before))
    }
}

/// Reads an answer's text for two.
pub(crate) struct Both<'a, 'b> {
    pub(crate) scan: &'a mut Scan<'b>,
    pub(crate) hashing: Option<&'a mut Hashing>,
}

impl Sink for Both<'_, '_> {
    fn text(&mut self, bytes: &[u8]) {
        if let Some(hashing) = &mut self.hashing {
            hashing.hash.update(bytes);
        }
        self.scan.text(bytes);
    }

    fn end(&mut self) {
        self.scan.end();
    }
}

/// Whether browsers run it, or let it say how a page looks and where its forms go.
fn is_script(head: &ResponseHead) -> bool {
    let kind = head.fields.get(Name::ContentType).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    matches!(
        &kind[..],
        b"text/javascript"
            | b"application/javascript"
            | b"application/x-javascript"
            | b"application/ecmascript"
            | b"application/wasm"
            | b"text/css"
    )
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_ledger::{Beat, Recorder, Request, Sensor};

    #[derive(Default)]
    struct Kept(Mutex<Vec<Finding>>);

    impl Recorder for Kept {
        fn record(&self, _: &Sensor, event: Event) {
            if let Event::Finding(finding) = event {
                lock(&self.0).push(finding);
            }
        }

        fn pulse(&self, _: Beat) {}

        fn request(&self, _: &Request<'_>) {}
    }

    fn head(kind: &str, status: u16) -> ResponseHead {
        let mut head = ResponseHead { status, ..ResponseHead::default() };
        head.fields.push(b"content-type", kind.as_bytes());
        head
    }

    /// What is told of one path after that many seconds each, by content.
    fn told(scripts: &Scripts, contents: &[(u64, &str)]) -> Vec<(String, bool)> {
        let kept = Arc::new(Kept::default());
        let chronicle = Chronicle::new(Some(Arc::clone(&kept) as _));
        for (second, content) in contents {
            let now = Tick(second * 1_000_000_000);
            let Some(mut hashing) =
                scripts.look("public", "/app.js", &head("text/javascript; charset=utf-8", 200), None, now)
            else {
                continue;
            };
            hashing.hash.update(content.as_bytes());
            scripts.passed(hashing, &chronicle, now);
        }
        let told = lock(&kept.0);
        told.iter().map(|finding| (finding.what.clone(), finding.authorised.is_empty())).collect()
    }

    #[test]
    fn a_change_is_told_and_what_stays_is_not() {
        let one = |what: &str, alarms: bool| (what.to_owned(), alarms);
        let scripts = Scripts::new(None);
        assert_eq!(
            told(&scripts, &[(100, "a"), (120, "a"), (140, "skimmer"), (141, "b")]),
            [one("script-new", false), one("script-changed", true)],
            "and what was looked at a second ago is not looked at again"
        );
        let digest: [u8; 32] = Sha256::digest("b").into();
        let approves: Approves = Arc::new(move |asked| (*asked == digest).then(|| "manifest 7".to_owned()));
        let scripts = Scripts::new(Some(approves));
        assert_eq!(told(&scripts, &[(100, "a"), (120, "b")]), [one("script-new", false), one("script-changed", false)]);
    }

    #[test]
    fn what_is_never_the_same_is_told_to_be_unwatched_once() {
        let scripts = Scripts::new(None);
        let contents: Vec<(u64, String)> = (0..20).map(|number| (100 + number * 20, number.to_string())).collect();
        let contents: Vec<(u64, &str)> = contents.iter().map(|(second, text)| (*second, text.as_str())).collect();
        let told = told(&scripts, &contents);
        assert_eq!(told.last().map(|(what, _)| what.as_str()), Some("script-varies"));
        assert_eq!(told.len(), VARIANTS);
        let watched = scripts.standing("public");
        assert!(watched.blind.is_some(), "the sensor says that it does not see it");
        assert_eq!(
            (watched.seen, watched.dropped),
            (VARIANTS as u64, 20 - VARIANTS as u64),
            "and counts what it did not"
        );
    }

    #[test]
    fn only_scripts_are_hashed_and_no_more_than_there_is_room_for() {
        let scripts = Scripts::new(None);
        for (kind, status, expected) in [
            ("text/html", 200, false),
            ("image/png", 200, false),
            ("text/javascript", 404, false),
            ("text/css", 200, true),
        ] {
            assert_eq!(
                scripts.look("public", kind, &head(kind, status), None, Tick(1)).is_some(),
                expected,
                "{kind} {status}"
            );
        }
        for number in 0..PATHS + 10 {
            scripts.look("public", &format!("/{number}.js"), &head("text/javascript", 200), None, Tick(1));
        }
        assert_eq!(lock(&scripts.known).len(), PATHS);
        let watched = scripts.standing("public");
        assert!(watched.blind.is_some_and(|why| why.contains("more than")));
        // One of the paths is the style sheet's.
        assert_eq!(watched.dropped, 11, "what there was no room for is counted");
    }

    #[test]
    fn what_is_not_looked_at_is_counted_and_who_breaks_off_hides_nothing() {
        let scripts = Scripts::new(None);
        let chronicle = Chronicle::new(None);
        let at = |second: u64| Tick(second * 1_000_000_000);
        let look = |path: &str, second| scripts.look("public", path, &head("text/css", 200), None, at(second));
        let counts = || {
            let Watched { seen, dropped, .. } = scripts.standing("public");
            (seen, dropped)
        };
        let first = look("/a.css", 100).expect("due");
        assert!(look("/a.css", 101).is_none(), "one looks already");
        drop(first);
        assert_eq!(counts(), (0, 0), "a visitor broke off: nothing was looked at, and nothing is missing");
        let second = look("/a.css", 102).expect("the next is looked at in its place");
        scripts.passed(second, &chronicle, at(102));
        assert!(look("/a.css", 103).is_none(), "that one counts");
        assert_eq!(counts(), (1, 0));
        scripts.unread(look("/a.css", 113).expect("due"));
        assert!(look("/a.css", 114).is_none(), "it was tried");
        assert_eq!(counts(), (1, 1));
        assert!(look(&"/long".repeat(PATH_BYTES), 113).is_none());
        assert_eq!(counts(), (1, 2));
        let drill: Arc<str> = "d-1".into();
        let tried = scripts.look("public", "/d.css", &head("text/css", 200), Some(&drill), at(120)).expect("due");
        scripts.passed(tried, &chronicle, at(120));
        assert_eq!(counts(), (1, 2), "drills are no visitors'");
        assert_eq!(scripts.standing("other"), Watched { seen: 0, dropped: 0, blind: None });
    }
}
