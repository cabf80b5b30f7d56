//! A ledger's incidents so far: read from where they were kept, gone on with as records are written, kept again.
//!
//! What is kept lies beside the roll-ups and is believed only where this ledger had those records; else the ledger is folded anew.
//! The records stay the truth, and the fold is what any reading of them makes: in their order, by their own times.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_incident::{Docket, Thresholds};
use portcullis_ledger::{Event, Record};
use portcullis_store::disk::Directory;
use portcullis_store::{Fold, Passage, Records, Snapshot, Written};

use crate::moment;

/// Under which name it is kept.
pub(super) const NAME: &str = "incidents";
/// How often: soon after an incident or a wave began or ended, else now and then.
const KEEP_SOON: Duration = Duration::from_secs(5);
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// The incidents of a directory, from where its gate left off; none where that cannot be had.
pub(super) fn left_off(directory: &Path, thresholds: Thresholds) -> Option<Docket> {
    let (mut folding, _) = Folding::resume(directory.to_owned(), thresholds, None);
    let resumed = folding.next > 0 && folding.read().is_ok();
    resumed.then_some(folding.docket)
}

/// A ledger's incidents so far, while it grows.
#[derive(Debug)]
pub(super) struct Folding {
    directory: PathBuf,
    docket: Docket,
    /// The index of the first record that is not in it.
    next: u64,
    /// When the newest was made that is.
    newest: u64,
    /// All records before the next are in it.
    whole: bool,
    /// Milliseconds that what an incident rests on is kept; for ever where there is nothing.
    kept_for: Option<u64>,
    /// An incident or a wave began or ended since it was last to be kept.
    changed: bool,
    kept: Option<Instant>,
    /// What is to be kept once a checkpoint is over so many records.
    keeping: Option<(u64, Vec<u8>)>,
}

/// Why a ledger is read from its beginning that nobody has folded before.
const NOTHING: &str = "nothing is kept of it";

impl Folding {
    /// What the ledger has by now: from what is kept of it on, else from its beginning, which is said.
    pub(super) fn begin(directory: PathBuf, thresholds: Thresholds, kept_for: Option<u64>) -> Self {
        let (mut folding, anew) = Self::resume(directory, thresholds, kept_for);
        match anew {
            // As after an upgrade, or where a first checkpoint is there already.
            Some(why) if why == NOTHING => tracing::info!("incidents are folded from the whole ledger: {why}"),
            Some(why) => tracing::warn!(why, "incidents are folded anew from the whole ledger"),
            None => {}
        }
        // What it came to was told by those who saw it.
        if let Err(error) = folding.read() {
            folding.give_up(&error);
        }
        folding
    }

    /// Where what is kept left off. Without that at the beginning, and why, if the ledger has anything.
    fn resume(directory: PathBuf, thresholds: Thresholds, kept_for: Option<u64>) -> (Self, Option<String>) {
        let recalled = portcullis_store::recall(&directory, NAME).map_err(|error| error.to_string());
        let found = recalled.and_then(|fold| match fold {
            Some(fold) => Docket::restore(&fold.state, thresholds).map(|docket| (docket, fold.size)),
            None => Err(NOTHING.to_owned()),
        });
        let is_new = || matches!(Snapshot::open(Directory::at(&directory)), Err(error) if is_missing(&error));
        let (docket, next, anew) = match found {
            Ok((docket, next)) => (docket, next, None),
            Err(why) => (Docket::new(thresholds), 0, (!is_new()).then_some(why)),
        };
        let (newest, whole, changed, kept, keeping) = (0, true, false, None, None);
        (Self { directory, docket, next, newest, whole, kept_for, changed, kept, keeping }, anew)
    }

    /// The incidents.
    pub(super) const fn docket(&self) -> &Docket {
        &self.docket
    }

    /// Folds what was just written. What is to be recorded of it comes back.
    pub(super) fn hear(&mut self, written: Written, published: u64) -> Vec<Event> {
        let Written { first, records } = written;
        let mut told = Vec::new();
        if self.whole && first > self.next {
            if published <= self.next {
                // A checkpoint will be over it within a second.
                return told;
            }
            match self.read() {
                Ok(read) => told = read,
                Err(error) => self.give_up(&error),
            }
            if self.whole && first > self.next {
                return told;
            }
        }
        let known = usize::try_from(self.next.saturating_sub(first)).unwrap_or(usize::MAX);
        for (index, appended) in (first..).zip(records).skip(known) {
            let wanted = Docket::wants(appended.class);
            let event = wanted.then(|| Event::read(&appended.event).ok()).flatten();
            let (sensor, unix_millis) = (appended.sensor, appended.unix_millis);
            told.extend(self.take(&Record { index, sensor, seq: 0, unix_millis, event }));
        }
        told
    }

    /// Reads what is under the latest checkpoint and was not folded. What nobody has told of it comes back.
    fn read(&mut self) -> io::Result<Vec<Event>> {
        let snapshot = match Snapshot::open(Directory::at(&self.directory)) {
            // A new ledger has no checkpoint yet.
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            snapshot => snapshot?,
        };
        let mut told: Vec<Event> = Vec::new();
        let mut take = |folding: &mut Self, record: &Record| {
            told.retain(|event| record.event.as_ref() != Some(event));
            told.extend(folding.take(record));
        };
        if self.next == 0 {
            let directory = self.directory.clone();
            let size = portcullis_store::read_classes(&directory, Docket::wants, |passage| match passage {
                Passage::Record(record) => take(self, record),
                // Nobody needs to be told of a wave that has long been over.
                Passage::Until(unix_millis) => {
                    self.docket.tick(unix_millis);
                    self.newest = self.newest.max(unix_millis);
                }
            })?;
            self.next = size;
        } else {
            for record in Records::new(snapshot, self.next) {
                take(self, &record?);
            }
        }
        Ok(told)
    }

    fn take(&mut self, record: &Record) -> Vec<Event> {
        let told = self.docket.record(record);
        self.next = record.index + 1;
        self.newest = self.newest.max(record.unix_millis);
        let moved = matches!(record.event, Some(Event::Opened(_) | Event::Wave(_) | Event::Closed(_)));
        self.changed |= moved || !told.is_empty();
        told
    }

    /// Some records cannot be read: what comes is folded all the same, and kept for nobody.
    fn give_up(&mut self, error: &io::Error) {
        tracing::warn!(%error, "what was on record before cannot be read: an open incident may be opened again");
        self.whole = false;
    }

    /// What is to be kept now, if anything. A checkpoint is over so many records.
    pub(super) fn kept_at(&mut self, published: u64) -> Option<Fold> {
        let since = self.kept.map_or(Duration::MAX, |kept| kept.elapsed());
        let due = self.whole && self.next > 0 && (since >= KEEP_EVERY || self.changed && since >= KEEP_SOON);
        if due && self.keeping.is_none() {
            if let Some(kept_for) = self.kept_for {
                self.docket.erase(self.newest.min(moment::now()).saturating_sub(kept_for));
            }
            self.keeping = Some((self.next, self.docket.save()));
            (self.kept, self.changed) = (Some(Instant::now()), false);
        }
        let (size, state) = self.keeping.take_if(|(size, _)| *size <= published)?;
        let fold = Fold::of(&self.directory, size, state);
        fold.inspect_err(|error| tracing::warn!(%error, "what was folded of incidents is not kept")).ok()
    }
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::Receiver;
    use std::thread;

    use portcullis_ledger::note::Algorithm;
    use portcullis_ledger::{Act, Closed, Login, Recorder as _};
    use portcullis_store::{Appended, Counters, Settings, Store};

    use super::*;
    use crate::evidence::GATE;

    /// Batches that wait for the fold.
    const WAITING: usize = 256;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn open(home: &Path) -> Arc<Store> {
        let directory = Directory::create(home).expect("a directory");
        let key = portcullis_store::key(home, "gate.example/evidence", Algorithm::Ed25519).expect("a key");
        Store::open(Settings::new(directory, key)).expect("a store")
    }

    fn thresholds() -> Thresholds {
        Thresholds { pause_millis: 300, ..Thresholds::default() }
    }

    fn posture(from: &str, to: &str) -> Event {
        let facts = [("from", from), ("to", to)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        Event::Act(Act {
            what: "posture".to_owned(),
            platform: "public".to_owned(),
            words: format!("public is {to}, after {from}."),
            facts: BTreeMap::from(facts),
            ..Act::default()
        })
    }

    fn closed() -> Event {
        let day = portcullis_types::Date::of_millis(moment::now());
        Event::Closed(Closed { incident: format!("{day}-1"), by: "ada".to_owned(), words: String::new() })
    }

    fn count(store: &Store, of: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        of(store.counters()).load(Ordering::Relaxed)
    }

    /// A gate's thread until it has folded all that is written behind so many records, and that is kept where it is due. How many
    /// incidents it opened.
    fn run(store: &Store, written: &Receiver<Written>, folding: &mut Folding, before: u64) -> usize {
        let (began, mut opened) = (Instant::now(), 0);
        let behind = |folding: &Folding| folding.next < before + count(store, |counters| &counters.written).max(1);
        while behind(folding) || folding.keeping.is_some() {
            assert!(began.elapsed() < PATIENCE, "{folding:?}");
            let published = count(store, |counters| &counters.published);
            let batch = written.recv_timeout(Duration::from_millis(50)).ok();
            for event in batch.map(|batch| folding.hear(batch, published)).into_iter().flatten() {
                opened += usize::from(matches!(event, Event::Opened(_)));
                store.record(&GATE, event);
            }
            if let Some(fold) = folding.kept_at(published) {
                store.keep(NAME, fold);
            }
            // A gate beats.
            store.record(&GATE, Event::Beats { beats: Vec::new() });
        }
        opened
    }

    /// What all records of a directory make.
    fn whole(home: &Path) -> Docket {
        let mut docket = Docket::new(thresholds());
        for record in portcullis_store::read(home).expect("a checkpoint") {
            docket.record(&record.expect("a record"));
        }
        docket
    }

    /// A gate that saw an incident, kept what came of it, saw more, and was gone: how many records it had kept the fold of.
    fn lived(home: &Path) -> u64 {
        let store = open(home);
        let written = store.follow(WAITING);
        let mut folding = Folding::begin(home.to_owned(), thresholds(), None);
        store.record(&GATE, posture("normal", "attack"));
        assert_eq!(run(&store, &written, &mut folding, 0), 1, "an incident is told once");
        drop(written);
        store.record(&GATE, posture("attack", "normal"));
        (0..3).for_each(|_| store.record(&GATE, Event::Login(Login::default())));
        store.close();
        let kept = portcullis_store::recall(home, NAME).expect("readable").expect("kept").size;
        assert!(kept > 0 && kept < count(&store, |counters| &counters.written), "{kept}");
        kept
    }

    #[test]
    fn a_gate_goes_on_where_the_one_before_left_off() {
        let home = tempfile::tempdir().expect("a directory");
        let kept = lived(home.path());
        let (folding, anew) = Folding::resume(home.path().to_owned(), thresholds(), None);
        assert_eq!((folding.next, anew), (kept, None));
        assert_eq!(left_off(home.path(), thresholds()), Some(whole(home.path())));
        // A further life goes on from there, and comes to what all records make.
        let before = portcullis_store::read(home.path()).expect("a checkpoint").count() as u64;
        let store = open(home.path());
        let written = store.follow(WAITING);
        let mut folding = Folding::begin(home.path().to_owned(), thresholds(), None);
        assert_eq!(folding.docket, whole(home.path()));
        store.record(&GATE, closed());
        store.record(&GATE, posture("normal", "overload"));
        assert_eq!(run(&store, &written, &mut folding, before), 1, "the next one");
        store.close();
        assert_eq!(left_off(home.path(), thresholds()), Some(whole(home.path())));
        assert_eq!(whole(home.path()).incidents().len(), 2);
        // It is not the ledger that was read from its beginning: what it had of them is gone, and they are known.
        fs::remove_dir_all(home.path().join("events/acts")).expect("acts");
        fs::remove_dir_all(home.path().join("events/incident")).expect("what was told of them");
        assert_eq!(whole(home.path()).incidents().len(), 0);
        assert!(left_off(home.path(), thresholds()).is_some_and(|docket| !docket.incidents().is_empty()));
    }

    #[test]
    fn what_is_kept_is_not_believed_where_it_cannot_be_and_the_ledger_is_folded_anew() {
        let [home, other] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
        lived(home.path());
        lived(other.path());
        let file = home.path().join("state.sqlite");
        let before = fs::read(&file).expect("there");
        let strict = Thresholds { failed_logins: 2, ..thresholds() };
        let table: [(&str, &dyn Fn(), Thresholds, &str); 5] = [
            ("whole", &|| {}, thresholds(), ""),
            ("removed", &|| fs::remove_file(&file).expect("removed"), thresholds(), "nothing is kept"),
            ("garbage", &|| fs::write(&file, [7; 9_000]).expect("written"), thresholds(), "not a database"),
            (
                "another ledger's",
                &|| assert!(fs::copy(other.path().join("state.sqlite"), &file).expect("copied") > 0),
                thresholds(),
                "another ledger",
            ),
            ("another configuration", &|| {}, strict, "configuration"),
        ];
        for (what, damage, thresholds, why) in table {
            fs::write(&file, &before).expect("written");
            damage();
            let (folding, anew) = Folding::resume(home.path().to_owned(), thresholds, None);
            assert_eq!((folding.next == 0, anew.is_some()), (!why.is_empty(), !why.is_empty()), "{what}: {anew:?}");
            assert!(anew.as_deref().unwrap_or_default().contains(why), "{what}: {anew:?}");
            let folding = Folding::begin(home.path().to_owned(), thresholds, None);
            let mut docket = Docket::new(thresholds);
            let records = portcullis_store::read(home.path()).expect("a checkpoint");
            records.for_each(|record| drop(docket.record(&record.expect("a record"))));
            assert_eq!(folding.docket, docket, "{what}");
        }
        let new = tempfile::tempdir().expect("a directory");
        let (_, anew) = Folding::resume(new.path().to_owned(), thresholds(), None);
        assert_eq!(anew, None, "a new ledger is nothing to speak of");
    }

    #[test]
    fn what_passed_the_fold_by_is_found_in_the_ledger() {
        let home = tempfile::tempdir().expect("a directory");
        let store = open(home.path());
        let written = store.follow(1);
        let mut folding = Folding::begin(home.path().to_owned(), thresholds(), None);
        for (nth, event) in [closed(), closed(), posture("normal", "attack"), closed(), posture("normal", "attack")]
            .into_iter()
            .enumerate()
        {
            store.record(&GATE, event);
            let began = Instant::now();
            while count(&store, |counters| &counters.written) <= nth as u64 {
                assert!(began.elapsed() < PATIENCE);
                thread::sleep(Duration::from_millis(10));
            }
        }
        assert_eq!(count(&store, |counters| &counters.passed_by), 4);
        assert_eq!(run(&store, &written, &mut folding, 0), 2);
        run(&store, &written, &mut folding, 0);
        store.close();
        assert_eq!(whole(home.path()).incidents().len(), 2);
        assert_eq!(left_off(home.path(), thresholds()), Some(whole(home.path())));
        let told = portcullis_store::read(home.path())
            .expect("a checkpoint")
            .filter(|record| matches!(record.as_ref().map(|record| record.event.as_ref()), Ok(Some(Event::Opened(_)))));
        assert_eq!(told.count(), 2, "each is on record once");
    }

    #[test]
    fn a_ledger_that_cannot_be_read_is_gone_on_with_and_not_kept() {
        let home = tempfile::tempdir().expect("a directory");
        lived(home.path());
        fs::remove_file(home.path().join("state.sqlite")).expect("removed");
        fs::remove_dir_all(home.path().join("tile/entries")).expect("removed");
        let mut folding = Folding::begin(home.path().to_owned(), thresholds(), None);
        assert_eq!((folding.whole, folding.docket.incidents().len()), (false, 0));
        let event = serde_json::to_vec(&posture("normal", "attack")).expect("JSON");
        let (sensor, class) = (GATE, posture("normal", "attack").retention());
        let record = Appended { sensor, unix_millis: moment::now(), class, event };
        let told = folding.hear(Written { first: 1_000, records: vec![record] }, 900);
        assert!(matches!(&told[..], [Event::Opened(_), Event::Wave(_)]), "{told:?}");
        assert!(folding.kept_at(2_000).is_none());
    }
}
