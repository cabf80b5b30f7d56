//! Pages, their scripts and the certificate, as a visitor from outside gets them: fetched through the public address, reduced to what
//! decides over visitors, and compared with what was there before.
//!
//! It follows no redirect, keeps no cookie, sends nothing but a GET, and believes no certificate that a browser would not: it
//! looks all the same, and says so. What was learned is kept, so that a restart learns nothing anew from a page that was changed
//! meanwhile.

mod fetch;
pub mod page;
pub(crate) mod secure;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis_config::integrity::Outside;
use portcullis_ledger::{Change, Event, Finding};
use serde::{Deserialize, Serialize};

pub(crate) use self::fetch::Fetcher;
pub use self::fetch::Passes;
use self::fetch::{Fetched, Presented};
use crate::clerk::Clerk;
use crate::sense::Sense;
use crate::{learned, low_priority, unix_millis};

/// What the pages' sensor cannot see, whatever is done.
pub(crate) const PAGES_BLIND_TO: &str = "what is shown to some visitors only (by address, country, browser or cookie), what scripts of \
others load by themselves, what the gate shows strangers in a page's place while it holds them (its own visits bear a pass), and whatever \
changed and changed back between two visits";
/// What the certificates' sensor cannot see.
pub(crate) const CERTIFICATE_BLIND_TO: &str = "certificates that other hosts show elsewhere: the logs of certificate transparency are not \
asked; whatever changed and changed back between two visits";

/// Visits in which a page is learned: what is new in the last of them is told.
const LEARNING: u32 = 5;
/// Between the visits in which a page is learned.
const LEARNING_PAUSE: Duration = Duration::from_secs(2);
/// Scripts of the own origin that are fetched on one visit.
const SCRIPTS: usize = 64;
/// A certificate is told to be ending from so many days on.
const DAYS: i64 = 14;
/// Items of a page that are known. A page that has more new ones each time cannot be watched.
const KNOWN: usize = 4000;

/// What the thread is asked.
pub(crate) enum Ask {
    /// Learn pages and certificate anew, on somebody's word.
    Relearn { by: String, done: Sender<Result<String, String>> },
    /// Compare with this page, as if it had been fetched: whoever drills says what is new in it.
    Drill { extra: String, seen: Sender<Result<Instant, String>> },
    /// Fetch, and compare with the certificate as if another had been shown.
    Exchange { seen: Sender<Result<Instant, String>> },
    /// Visit now: somebody says that a page is not what it was.
    Look,
}

/// What is known of one address; it outlives the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    pages: BTreeMap<String, Learned>,
    /// SHA-256 of what each script held, by path.
    scripts: BTreeMap<String, String>,
    certificate: Option<Presented>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Learned {
    visits: u32,
    items: BTreeSet<String>,
}

/// One public address, with its two sensors.
pub(crate) struct Visitor {
    declared: Outside,
    state: Option<PathBuf>,
    pages: Sense,
    certificate: Option<Sense>,
    fetcher: Fetcher,
    known: Known,
    /// The last visit came to something.
    answers: bool,
    /// What was told of a page since it was last as it was known.
    told: BTreeSet<String>,
    clerk: Arc<Clerk>,
    /// SHA-256 of the certificates of the gate's own configuration.
    own: Arc<Mutex<Vec<String>>>,
}

/// Visits one public address until whoever holds the other end of `asked` goes.
pub(crate) fn run(mut visitor: Visitor, asked: &Receiver<Ask>) {
    low_priority();
    loop {
        visitor.visit();
        // What does not answer is not asked more often for that.
        let mut left =
            if visitor.is_learning() && visitor.answers { LEARNING_PAUSE } else { visitor.declared.interval };
        loop {
            visitor.alive();
            let begun = Instant::now();
            match asked.recv_timeout(left.min(Duration::from_secs(1))) {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Ask::Relearn { by, done }) => {
                    // Whoever asked may have gone.
                    let _ = done.send(visitor.relearn(&by));
                    break;
                }
                Ok(Ask::Drill { extra, seen }) => {
                    let _ = seen.send(visitor.drill(&extra));
                }
                Ok(Ask::Exchange { seen }) => drop(seen.send(visitor.exchange())),
                Ok(Ask::Look) => break,
            }
            left = left.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
        }
    }
}

impl Visitor {
    pub(crate) fn new(
        declared: &Outside,
        state: Option<&PathBuf>,
        (clerk, own, passes): (Arc<Clerk>, Arc<Mutex<Vec<String>>>, &Passes),
        (pages, certificate): (Sense, Option<Sense>),
    ) -> Result<Self, String> {
        let state = state.map(|state| state.join(format!("outside-{}.json", declared.name)));
        let known = learned::read(state.as_deref()).unwrap_or_default();
        let fetcher = Fetcher::new(declared, None)?.with(passes);
        let declared = declared.clone();
        Ok(Self {
            declared,
            state,
            pages,
            certificate,
            fetcher,
            known,
            answers: false,
            told: BTreeSet::new(),
            clerk,
            own,
        })
    }

    fn alive(&self) {
        self.pages.alive();
        self.certificate.iter().for_each(Sense::alive);
    }

    fn is_learning(&self) -> bool {
        let learning = |path: &String| self.known.pages.get(path).is_none_or(|page| page.visits < LEARNING);
        self.declared.paths.iter().any(learning)
    }

    fn visit(&mut self) {
        let before = self.known.clone();
        let (mut failed, mut presented, mut scripts) = (Vec::new(), None, BTreeSet::new());
        for path in self.declared.paths.clone() {
            self.alive();
            match self.fetcher.get(&path) {
                Ok(Fetched { status: 200, body, presented: shown }) => {
                    presented = shown.or(presented);
                    let page = page::read(&body, &self.declared.text);
                    self.pages.seen(1);
                    if page.beyond > 0 {
                        failed.push(format!("{path} has {} items more than are looked at", page.beyond));
                    }
                    scripts.extend(page.scripts);
                    self.compare(&path, page.items);
                }
                Ok(Fetched { status, presented: shown, .. }) => {
                    presented = shown.or(presented);
                    failed.push(format!("{path} is answered {status}"));
                }
                Err(why) => failed.push(format!("{path}: {why}")),
            }
        }
        if scripts.len() > SCRIPTS {
            failed.push(format!("{} scripts are not fetched", scripts.len() - SCRIPTS));
        }
        for path in scripts.into_iter().take(SCRIPTS) {
            self.alive();
            match self.fetcher.get(&path) {
                Ok(Fetched { status: 200, body, .. }) => self.script(&path, &body),
                Ok(Fetched { status, .. }) => failed.push(format!("{path} is answered {status}")),
                Err(why) => failed.push(format!("{path}: {why}")),
            }
        }
        self.answers = failed.is_empty();
        self.pages.dropped(failed.len() as u64);
        let learning = self.is_learning();
        match failed.first() {
            Some(first) => self.pages.blind(&format!("{} could not be looked at; {first}", failed.len())),
            None if learning => self.pages.blind("it is learning what the pages are like"),
            None => self.pages.up(),
        }
        self.pages.words(format!(
            "{}, each {} s, {} pages, {} scripts{}",
            self.declared.text,
            self.declared.interval.as_secs(),
            self.declared.paths.len(),
            self.known.scripts.len(),
            if self.told.is_empty() { String::new() } else { format!("; {} things are new", self.told.len()) }
        ));
        if let Some(sense) = self.certificate.clone() {
            match presented {
                Some(presented) => self.presented(&sense, presented),
                None => sense.blind("no certificate was shown: nothing answered"),
            }
        }
        if self.known != before {
            self.keep();
        }
    }

    /// Compares what a page is made of with what is known of it.
    fn compare(&mut self, path: &str, items: BTreeSet<String>) {
        let learned = self.known.pages.entry(path.to_owned()).or_default();
        let learning = learned.visits < LEARNING;
        learned.visits = learned.visits.saturating_add(1).min(LEARNING);
        let new: Vec<String> = items.difference(&learned.items).cloned().collect();
        if learning {
            learned.items.extend(new);
            return;
        }
        let deploy = self.deploy();
        for item in new {
            let key = format!("{path} {item}");
            if self.told.contains(&key) {
                continue;
            }
            let what = if item.starts_with("script ") || item.starts_with("inline ") {
                "script-added"
            } else {
                "page-changed"
            };
            let words = match &deploy {
                Some(digest) => {
                    format!("{path} has `{item}`, which is new; it came while the release {digest} was put in place")
                }
                None => format!("{path} has `{item}`, which it did not have, and no release is being put in place"),
            };
            self.tell(what, path, String::new(), item.clone(), deploy.clone(), words);
            let learned = self.known.pages.entry(path.to_owned()).or_default();
            if deploy.is_some() && learned.items.len() < KNOWN {
                learned.items.insert(item);
            } else {
                self.told.insert(key);
            }
        }
        let gone = |key: &String| {
            key.strip_prefix(path).and_then(|rest| rest.strip_prefix(' ')).is_none_or(|item| items.contains(item))
        };
        self.told.retain(gone);
    }

    /// Compares what a script holds with what it held.
    fn script(&mut self, path: &str, body: &[u8]) {
        use sha2::Digest as _;
        self.pages.seen(1);
        let digest: [u8; 32] = sha2::Sha256::digest(body).into();
        let now = crate::manifest::hex(&digest);
        let before = match self.known.scripts.get(path) {
            Some(before) if *before == now => return,
            Some(before) => before.clone(),
            None => {
                // That the page has it was told, or learned.
                self.known.scripts.insert(path.to_owned(), now);
                return;
            }
        };
        let named = self.clerk.approves(&digest);
        let authorised = named.or_else(|| self.deploy());
        let key = format!("{path} {now}");
        if self.told.contains(&key) {
            return;
        }
        let words = match &authorised {
            Some(digest) => format!("{path} holds something else, as the release {digest} says"),
            None => format!("{path} holds something else than it did, and no manifest names it"),
        };
        let right = authorised.is_some();
        self.tell("page-changed", path, before, now.clone(), authorised, words);
        if right {
            self.known.scripts.insert(path.to_owned(), now);
        } else {
            self.told.insert(key);
        }
    }

    /// The manifest of this platform's files whose window is open.
    fn deploy(&self) -> Option<String> {
        self.clerk.under_way(&self.declared.platform)
    }

    fn presented(&mut self, sense: &Sense, presented: Presented) {
        sense.seen(1);
        sense.up();
        let days = (presented.not_after - i64::try_from(unix_millis() / 1000).unwrap_or(i64::MAX)) / 86_400;
        sense.words(format!("{}, valid for {days} days", presented.words()));
        let tell = |what: &str, before: String, authorised: Option<String>, words: String| {
            sense.record(Event::Finding(Finding {
                what: what.to_owned(),
                platform: self.declared.platform.clone(),
                subject: self.declared.text.clone(),
                before,
                after: presented.words(),
                authorised: authorised.unwrap_or_default(),
                words,
                ..Finding::default()
            }));
        };
        if let Some(before) = self.other(&presented) {
            let mine = self.own.lock().unwrap_or_else(PoisonError::into_inner).contains(&presented.leaf);
            let own = mine.then(|| "the gate's own certificate".to_owned());
            let key = if before.key == presented.key { "the same key" } else { "another key" };
            let words = match &own {
                Some(_) => {
                    format!("{} shows another certificate, which is the gate's own, with {key}", self.declared.text)
                }
                None => format!(
                    "{} shows another certificate, with {key}, and it is not the gate's own",
                    self.declared.text
                ),
            };
            tell("certificate-changed", before.words(), own, words);
        }
        let wrong = |it: &Presented| it.invalid.clone();
        if let Some(why) =
            wrong(&presented).filter(|why| self.known.certificate.as_ref().and_then(wrong).as_ref() != Some(why))
        {
            tell(
                "certificate-invalid",
                String::new(),
                None,
                format!("{}: a browser refuses the certificate: {why}", self.declared.text),
            );
        }
        let ends = |it: &Presented| it.told_ending;
        let mut presented = presented;
        if days < DAYS {
            let told =
                self.known.certificate.as_ref().is_some_and(|before| before.leaf == presented.leaf && ends(before));
            if !told {
                let words = format!("the certificate of {} ends in {days} days", self.declared.text);
                let finding = Finding {
                    what: "certificate-ending".to_owned(),
                    platform: self.declared.platform.clone(),
                    subject: self.declared.text.clone(),
                    after: presented.words(),
                    words,
                    ..Finding::default()
                };
                sense.record(Event::Finding(finding));
            }
            presented.told_ending = true;
        }
        self.known.certificate = Some(presented);
    }

    /// What was shown before, where that was another certificate.
    fn other(&self, presented: &Presented) -> Option<&Presented> {
        self.known.certificate.as_ref().filter(|before| before.leaf != presented.leaf)
    }

    /// Fetches the first page, and takes the certificate for another than it is.
    fn exchange(&self) -> Result<Instant, String> {
        let path = self.declared.paths.first().ok_or("no page is declared")?;
        let mut presented = self.fetcher.get(path)?.presented.ok_or("no certificate was shown")?;
        presented.leaf = format!("drill {}", presented.leaf);
        match self.other(&presented) {
            Some(_) => Ok(Instant::now()),
            None if self.known.certificate.is_none() => Err("no certificate is known yet".to_owned()),
            None => Err("another certificate is not told from the one that was there".to_owned()),
        }
    }

    fn tell(&self, what: &str, path: &str, before: String, after: String, authorised: Option<String>, words: String) {
        self.pages.record(Event::Finding(Finding {
            what: what.to_owned(),
            platform: self.declared.platform.clone(),
            subject: format!("{}{path}", self.declared.text),
            before,
            after,
            authorised: authorised.unwrap_or_default(),
            words,
            ..Finding::default()
        }));
    }

    fn relearn(&mut self, by: &str) -> Result<String, String> {
        self.known = Known::default();
        self.told.clear();
        self.keep();
        let words = format!("{}: pages and certificate are learned anew, on the word of {by}", self.declared.name);
        let change =
            Change { what: "baseline".to_owned(), by: by.to_owned(), words: words.clone(), ..Change::default() };
        self.pages.record(Event::Change(change));
        Ok(words)
    }

    /// Fetches the first page, puts `extra` behind it as whoever skims would, and compares.
    fn drill(&mut self, extra: &str) -> Result<Instant, String> {
        let path = self.declared.paths.first().ok_or("no page is declared")?.clone();
        let fetched = self.fetcher.get(&path)?;
        let body = [&fetched.body[..], extra.as_bytes()].concat();
        let items = page::read(&body, &self.declared.text).items;
        let learned =
            self.known.pages.get(&path).filter(|page| page.visits >= LEARNING).ok_or("the page is not learned yet")?;
        let usual = page::read(&fetched.body, &self.declared.text).items;
        let new = items.difference(&learned.items).any(|item| !usual.contains(item));
        if new {
            Ok(Instant::now())
        } else {
            Err("the page with a script more is not told from the page without".to_owned())
        }
    }

    fn keep(&self) {
        learned::keep(self.state.as_deref(), &self.known, "what pages are like");
    }
}
