//! What visitors' browsers say of pages by themselves: that a page was about to load or send what its policy does not allow.
//!
//! Anybody can send such a report, so it is the weakest evidence there is: it is told as what browsers say, put together by what is
//! alike, and has the page visited at once by whoever looks from outside. It opens no incident and changes no sentence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use portcullis_config::integrity::Outside;
use portcullis_ledger::{Event, Finding};
use portcullis_wire::report::{Kind, Report};

use crate::sense::Sense;
use crate::{lock, low_priority, outside};

/// What cannot be seen.
pub(crate) const BLIND_TO: &str = "pages without a policy, what a policy allows, browsers that report nothing or are kept from it, a \
script whose own `integrity` fails (no browser reports that), pages that nobody opens; and anybody can send such a report";

/// Reports that wait to be put together; what comes beyond is counted.
pub(crate) const WAITING: usize = 1024;
/// Things of one platform that are told apart. Beyond them the one that was not heard of for longest goes, once it was told.
const THINGS: usize = 256;
/// Networks that are told apart of one thing.
const NETWORKS: usize = 16;
/// Things of one platform that are told within a minute; the rest follows.
const TOLD: u32 = 8;
/// How often more of the same is told.
const AGAIN: Duration = Duration::from_secs(3600);
/// How often one address is visited because browsers say something.
const VISITS: Duration = Duration::from_secs(60);

/// One report, and who sent it as far as that tells reports apart: a keyed hash of the sender's network.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) platform: String,
    pub(crate) report: Report,
    pub(crate) network: u64,
}

/// Reports of our own that are to come, of a drill.
#[derive(Debug)]
pub(crate) struct Awaited {
    pub(crate) platform: String,
    /// What the host of that which was blocked bears; nobody else knows it.
    pub(crate) mark: String,
    /// When, and what was blocked.
    pub(crate) seen: Sender<(Instant, String)>,
}

impl Awaited {
    fn is(&self, platform: &str, report: &Report) -> bool {
        self.platform == platform && report.blocked.contains(&self.mark)
    }
}

/// One platform that is listened for.
pub(crate) struct Ear {
    pub(crate) platform: String,
    pub(crate) sense: Sense,
    /// Who can look at its pages from outside.
    pub(crate) visitors: Vec<(Outside, Sender<outside::Ask>)>,
}

/// Puts together what is heard until whoever holds the other end of `heard` goes.
pub(crate) fn run(ears: Vec<Ear>, heard: &Receiver<Heard>, awaited: &Mutex<Option<Awaited>>) {
    low_priority();
    let begun = Instant::now();
    let mut all: BTreeMap<String, (Ear, Hearsay, Option<Duration>)> =
        ears.into_iter().map(|ear| (ear.platform.clone(), (ear, Hearsay::default(), None))).collect();
    let mut due = Duration::ZERO;
    loop {
        match heard.recv_timeout(Duration::from_secs(1)) {
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Heard { platform, report, network }) => {
                if let Some((ear, hearsay, _)) = all.get_mut(&platform) {
                    ear.sense.seen(1);
                    match &*lock(awaited) {
                        // Ours is looked at like any other, and told of to nobody. Whoever waits may have given up.
                        Some(own) if own.is(&platform, &report) => {
                            let _ = own.seen.send((Instant::now(), report.blocked));
                        }
                        _ => hearsay.hear(report, network, begun.elapsed()),
                    }
                }
            }
        }
        let now = begun.elapsed();
        if now < due {
            continue;
        }
        due = now + Duration::from_secs(1);
        for (ear, hearsay, visited) in all.values_mut() {
            ear.sense.up();
            let told = hearsay.tell(now);
            if !told.is_empty() && visited.is_none_or(|at| now.saturating_sub(at) >= VISITS) {
                let visits = told.iter().filter(|said| ear.visit(&said.path)).count();
                *visited = (visits > 0).then_some(now).or(*visited);
            }
            for said in told {
                ear.sense.record(Event::Finding(said.finding(&ear.platform)));
            }
            ear.sense.words(hearsay.words());
        }
    }
}

impl Ear {
    /// Has a page looked at now, where somebody looks at it anyway: what it should be like is known of no other.
    fn visit(&self, path: &str) -> bool {
        let mut asked = false;
        for (declared, ask) in &self.visitors {
            if declared.paths.iter().any(|known| known == path) {
                asked |= ask.send(outside::Ask::Look).is_ok();
            }
        }
        asked
    }
}

/// What browsers say of one platform's pages.
#[derive(Debug, Default)]
struct Hearsay {
    things: BTreeMap<Thing, Said>,
    heard: u64,
    /// Reports of things that there was no room for.
    beyond: u64,
    /// The minute in which things were told last, and how many.
    told: (u64, u32),
}

/// What is alike: by which policy, which directive, and from where it came.
type Thing = (Kind, String, String);

#[derive(Debug)]
struct Said {
    count: u64,
    networks: BTreeSet<u64>,
    /// The first page that it was said of.
    page: String,
    path: String,
    enforced: bool,
    last: Duration,
    /// How many had come when it was told, and when that was.
    told: Option<(u64, Duration)>,
}

/// What is told of one thing.
#[derive(Debug, PartialEq, Eq)]
struct Telling {
    thing: Thing,
    page: String,
    path: String,
    enforced: bool,
    count: u64,
    networks: usize,
}

impl Hearsay {
    fn hear(&mut self, report: Report, network: u64, now: Duration) {
        self.heard += 1;
        let Report { kind, host, path, directive, blocked, enforced } = report;
        let thing = (kind, directive, blocked);
        if !self.things.contains_key(&thing) && self.things.len() >= THINGS {
            let old = self.things.iter().filter(|(_, said)| said.told.is_some()).min_by_key(|(_, said)| said.last);
            let Some(old) = old.map(|(thing, _)| thing.clone()) else {
                self.beyond += 1;
                return;
            };
            self.things.remove(&old);
        }
        let said = self.things.entry(thing).or_insert_with(|| Said {
            count: 0,
            networks: BTreeSet::new(),
            page: format!("{host}{path}"),
            path,
            enforced: false,
            last: now,
            told: None,
        });
        said.count += 1;
        said.last = now;
        said.enforced |= enforced;
        if said.networks.len() < NETWORKS {
            said.networks.insert(network);
        }
    }

    /// What is new, and what has become more since an hour ago; so much at once as is told.
    fn tell(&mut self, now: Duration) -> Vec<Telling> {
        let minute = now.as_secs() / 60;
        if self.told.0 != minute {
            self.told = (minute, 0);
        }
        let due = |said: &Said| match said.told {
            None => true,
            Some((count, at)) => said.count > count && now.saturating_sub(at) >= AGAIN,
        };
        let mut told = Vec::new();
        for (thing, said) in self.things.iter_mut().filter(|(_, said)| due(said)) {
            if self.told.1 >= TOLD {
                break;
            }
            self.told.1 += 1;
            said.told = Some((said.count, now));
            told.push(Telling {
                thing: thing.clone(),
                page: said.page.clone(),
                path: said.path.clone(),
                enforced: said.enforced,
                count: said.count,
                networks: said.networks.len(),
            });
        }
        told
    }

    fn words(&self) -> String {
        let beyond = match self.beyond {
            0 => String::new(),
            beyond => format!("; {beyond} reports more, of things that there was no room for"),
        };
        format!("browsers sent {} reports, of {} things{beyond}", self.heard, self.things.len())
    }
}

impl Telling {
    fn finding(self, platform: &str) -> Finding {
        let Self { thing: (kind, directive, blocked), page, enforced, count, networks, .. } = self;
        let did = if enforced { "was kept from" } else { "would be kept from" };
        let from = if networks < NETWORKS { format!("{networks}") } else { format!("{NETWORKS} or more") };
        let reports =
            if count == 1 { "one report".to_owned() } else { format!("{count} reports from {from} networks") };
        Finding {
            what: portcullis_ledger::HEARSAY.to_owned(),
            platform: platform.to_owned(),
            subject: page.clone(),
            after: format!("{} {directive} {blocked}", kind.name()),
            words: format!(
                "browsers say that {page} {did} `{blocked}` by its policy ({} {directive}, {reports}); anybody can send such a report",
                kind.name()
            ),
            ..Finding::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn report(blocked: &str) -> Report {
        Report {
            kind: Kind::Csp,
            host: "example.org".to_owned(),
            path: "/donate".to_owned(),
            directive: "script-src-elem".to_owned(),
            blocked: blocked.to_owned(),
            enforced: true,
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_alike_is_told_once_with_its_number() {
        let mut hearsay = Hearsay::default();
        for number in 0..1_000 {
            hearsay.hear(report("https://evil.example"), number % 3, at(0));
        }
        let told = hearsay.tell(at(1));
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].count, told[0].networks), (1_000, 3));
        hearsay.hear(report("https://evil.example"), 9, at(2));
        assert!(hearsay.tell(at(3)).is_empty(), "more of the same waits");
        let again = hearsay.tell(HOUR + at(1));
        assert_eq!(again.iter().map(|told| told.count).collect::<Vec<_>>(), [1_001]);
        assert!(hearsay.tell(HOUR * 3).is_empty(), "nothing came since");
    }

    #[test]
    fn it_is_told_as_what_others_say() {
        let mut hearsay = Hearsay::default();
        hearsay.hear(report("https://evil.example"), 1, at(0));
        let told = hearsay.tell(at(1)).pop().expect("told").finding("public");
        assert!(told.is_hearsay());
        assert!(
            told.words.starts_with("browsers say") && told.words.ends_with("anybody can send such a report"),
            "{}",
            told.words
        );
        assert_eq!((&*told.platform, &*told.subject), ("public", "example.org/donate"));
    }

    #[test]
    fn a_flood_of_made_up_things_fills_nothing_and_drowns_little() {
        let mut hearsay = Hearsay::default();
        let mut told = 0;
        for second in 0..600 {
            for number in 0..200 {
                hearsay.hear(report(&format!("https://{second}-{number}.example")), number, at(second));
            }
            told += hearsay.tell(at(second)).len();
        }
        assert!(hearsay.things.len() <= THINGS);
        assert_eq!(told, 10 * TOLD as usize, "so many a minute");
        assert!(hearsay.beyond > 0 && hearsay.words().contains("no room"), "{}", hearsay.words());
        assert_eq!(hearsay.heard, 120_000, "none is lost from the count");
    }

    #[test]
    fn a_report_of_ours_is_seen_and_told_to_nobody_and_one_that_resembles_it_is_told() {
        let awaited = |seen| Awaited { platform: "public".to_owned(), mark: "d-1-0123456789abcdef".to_owned(), seen };
        let (seen, told) = std::sync::mpsc::channel();
        let ours = "https://d-1-0123456789abcdef-0.drill.portcullis.invalid";
        let board = std::sync::Arc::new(crate::sense::Board::default());
        let recorder: std::sync::Arc<dyn portcullis_ledger::Recorder> = std::sync::Arc::new(crate::sense::Unkept);
        let ear = |platform: &str| Ear {
            platform: platform.to_owned(),
            sense: board.sense(format!("browsers/{platform}"), BLIND_TO, &recorder),
            visitors: Vec::new(),
        };
        let (ears, (ear, heard)) = (vec![ear("public"), ear("other")], std::sync::mpsc::sync_channel(WAITING));
        let said = |platform: &str, blocked: &str| {
            let heard = Heard { platform: platform.to_owned(), report: report(blocked), network: 1 };
            ear.send(heard).expect("room");
        };
        said("public", ours);
        said("public", "https://d-1-0123456789abcdee-0.drill.portcullis.invalid");
        said("public", "https://evil.example");
        said("other", ours);
        let awaited = Mutex::new(Some(awaited(seen)));
        std::thread::scope(|scope| {
            let awaited = &awaited;
            scope.spawn(move || run(ears, &heard, awaited));
            let (_, blocked) = told.recv_timeout(Duration::from_secs(60)).expect("seen");
            assert_eq!(blocked, ours);
            let stands = |name: &str| {
                let sight = board.sights().into_iter().find(|sight| sight.sensor == name).expect("it is there");
                (sight.seen, sight.findings)
            };
            let begun = Instant::now();
            while (stands("browsers/public"), stands("browsers/other")) != ((3, 2), (1, 1)) {
                let (public, other) = (stands("browsers/public"), stands("browsers/other"));
                assert!(begun.elapsed() < Duration::from_secs(60), "{public:?} {other:?}");
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(told.try_recv().is_err(), "one was ours");
            drop(ear);
        });
    }
}
