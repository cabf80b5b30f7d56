//! `portcullis demo --attack NAME`: an attack on the demo, so that a newcomer watches the gate act.
//!
//! Real HTTP clients from many loopback addresses, bounded in number, rate and time. They are made by [`Client`], which
//! connects to loopback and nowhere else.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout_at};

use super::chance::Chance;
use super::client::{Client, Front, Got, NoAnswer, Speech};
use super::supporters::{BROWSERS, FORMS, PUBLIC, Supporter, token_of};

/// How long an attack lasts.
pub(crate) const LASTS: Duration = Duration::from_secs(60);
/// Hands that send; each waits for its answer before it sends again.
const HANDS: u32 = 240;
/// People of the crowd.
const CROWD: u32 = 250;
/// The crowd comes within this time.
const GATHERING: Duration = Duration::from_secs(10);
/// An answer that took longer was slowed down.
const SLOW: Duration = Duration::from_millis(500);

/// An attack that can be played.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Attack {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What it does, in a sentence.
    pub(crate) about: &'static str,
    /// The platform that it is aimed at, as the configuration names it.
    pub(crate) platform: &'static str,
    kind: Kind,
    /// Requests a second, all hands together.
    rate: u32,
    /// Addresses that it comes from; 0 for a new one with each request.
    addresses: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flood,
    CacheBuster,
    Search,
    Botnet,
    Stuffing,
    Crowd,
}

/// Every attack.
pub(crate) const ATTACKS: [Attack; 6] = [
    Attack {
        name: "flood",
        about: "the front page 600 times a second from 12 addresses, by one program",
        platform: "public",
        kind: Kind::Flood,
        rate: 600,
        addresses: 12,
    },
    Attack {
        name: "cache-buster",
        about: "pages with a random query, so that no cache helps, from 120 addresses that all say they are one browser",
        platform: "public",
        kind: Kind::CacheBuster,
        rate: 500,
        addresses: 120,
    },
    Attack {
        name: "search",
        about: "searches for random words from 240 addresses, each below the declared rate: few requests, much work",
        platform: "public",
        kind: Kind::Search,
        rate: 300,
        addresses: 240,
    },
    Attack {
        name: "botnet",
        about: "one request from each address, a new one each time, with the agents of many browsers",
        platform: "public",
        kind: Kind::Botnet,
        rate: 500,
        addresses: 0,
    },
    Attack {
        name: "stuffing",
        about: "stolen addresses and passwords tried at the login from 240 addresses, each slowly",
        platform: "join",
        kind: Kind::Stuffing,
        rate: 60,
        addresses: 240,
    },
    Attack {
        name: "crowd",
        about: "no attack: 250 more people who come to read within ten seconds; nobody may be blocked",
        platform: "public",
        kind: Kind::Crowd,
        rate: 0,
        addresses: CROWD,
    },
];

/// The attack of that name.
pub(crate) fn named(name: &str) -> Option<&'static Attack> {
    ATTACKS.iter().find(|attack| attack.name == name)
}

/// Their names and what they do.
pub(crate) fn list() -> String {
    let line = |attack: &Attack| format!("  {:<13} {}\n", attack.name, attack.about);
    format!(
        "{}\nportcullis demo --attack NAME plays one, on loopback, for a minute.\n",
        ATTACKS.iter().map(line).collect::<String>()
    )
}

/// What became of the attack's requests, on its own side.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    sent: AtomicU64,
    served: AtomicU64,
    slowed: AtomicU64,
    challenged: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

/// The tally at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) sent: u64,
    /// Answered by the platform within half a second.
    pub(crate) served: u64,
    /// Answered by the platform, later than that.
    pub(crate) slowed: u64,
    pub(crate) challenged: u64,
    pub(crate) refused: u64,
    /// No answer, or the platform said that it cannot.
    pub(crate) failed: u64,
}

impl Tally {
    pub(crate) fn now(&self) -> Count {
        Count {
            sent: self.sent.load(Relaxed),
            served: self.served.load(Relaxed),
            slowed: self.slowed.load(Relaxed),
            challenged: self.challenged.load(Relaxed),
            refused: self.refused.load(Relaxed),
            failed: self.failed.load(Relaxed),
        }
    }

    fn count(&self, got: &Result<Got, NoAnswer>, took: Duration) {
        let ending = match got {
            Ok(got) if got.challenged => &self.challenged,
            Ok(got) if got.refused => &self.refused,
            Ok(got) if got.status.is_server_error() => &self.failed,
            Ok(_) if took > SLOW => &self.slowed,
            Ok(_) => &self.served,
            Err(NoAnswer) => &self.failed,
        };
        ending.fetch_add(1, Relaxed);
    }
}

impl Count {
    /// What happened since `earlier`.
    pub(crate) const fn since(&self, earlier: &Self) -> Self {
        Self {
            sent: self.sent - earlier.sent,
            served: self.served - earlier.served,
            slowed: self.slowed - earlier.slowed,
            challenged: self.challenged - earlier.challenged,
            refused: self.refused - earlier.refused,
            failed: self.failed - earlier.failed,
        }
    }
}

impl Attack {
    /// Whether it is one.
    pub(crate) fn is_benign(&self) -> bool {
        self.kind == Kind::Crowd
    }

    /// Plays it for as long as an attack lasts.
    pub(crate) async fn play(&'static self, seed: u64, front: Arc<Front>, tally: Arc<Tally>) {
        let end = Instant::now() + LASTS;
        let mut hands = JoinSet::new();
        if self.is_benign() {
            for number in 0..CROWD {
                let person = Supporter::reader(seed, 100_000 + number, Arc::clone(&front));
                hands.spawn(async move {
                    sleep(GATHERING * number / CROWD).await;
                    person.live().await;
                });
            }
            sleep(LASTS).await;
            // Dropping them lets everybody go home at once.
            return;
        }
        let apart = Duration::from_secs(1) * HANDS / self.rate;
        for number in 0..HANDS {
            let hand = Hand {
                attack: self,
                chance: Chance::new(seed, 1_000_000 + u64::from(number)),
                number,
                turn: 0,
                client: self.client(&front, number % self.addresses.max(1)),
                front: Arc::clone(&front),
                token: String::new(),
            };
            hands.spawn(hand.send(apart, apart * number / HANDS, end, Arc::clone(&tally)));
        }
        while hands.join_next().await.is_some() {}
    }

    fn client(&self, front: &Arc<Front>, number: u32) -> Client {
        let headers: &[(&str, &str)] = match self.kind {
            Kind::Flood => &[("user-agent", "Mozilla/5.0 (compatible; loader/1.0)"), ("accept", "*/*")],
            Kind::Botnet => AGENTS.get(number as usize % AGENTS.len()).copied().unwrap_or_default(),
            Kind::CacheBuster | Kind::Search => CLAIMED,
            Kind::Stuffing | Kind::Crowd => BROWSERS[1],
        };
        Client::new(Arc::clone(front), address(number), Speech::Plain, headers)
    }
}

/// What a program sends that says it is a browser, in an order that no browser has.
const CLAIMED: &[(&str, &str)] = &[
    ("accept-encoding", "gzip"),
    ("accept", "text/html"),
    (
        "user-agent",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    ),
];

/// What the programs of a botnet say they are.
const AGENTS: [&[(&str, &str)]; 4] = [
    &[
        ("accept", "*/*"),
        (
            "user-agent",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
        ),
    ],
    &[("accept", "*/*"), ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0")],
    &[
        ("accept", "*/*"),
        (
            "user-agent",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
        ),
    ],
    &[
        ("accept", "*/*"),
        (
            "user-agent",
            "Mozilla/5.0 (Linux; Android 14; SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
        ),
    ],
];

/// One hand of an attack.
struct Hand {
    attack: &'static Attack,
    chance: Chance,
    number: u32,
    turn: u32,
    client: Client,
    front: Arc<Front>,
    /// Of the login's form.
    token: String,
}

impl Hand {
    async fn send(mut self, apart: Duration, first: Duration, end: Instant, tally: Arc<Tally>) {
        sleep(first).await;
        let mut beat = interval(apart);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while timeout_at(end.into(), beat.tick()).await.is_ok() && Instant::now() < end {
            tally.sent.fetch_add(1, Relaxed);
            let started = Instant::now();
            let got = self.once().await;
            tally.count(&got, started.elapsed());
            self.turn += 1;
        }
    }

    async fn once(&mut self) -> Result<Got, NoAnswer> {
        let random = self.chance.next() % 1_000_000_000;
        match self.attack.kind {
            Kind::Flood => self.client.get(PUBLIC, "/").await,
            Kind::CacheBuster => self.client.get(PUBLIC, &format!("/issues?v={random}")).await,
            Kind::Search => self.client.get(PUBLIC, &format!("/search?q={random:x}")).await,
            Kind::Botnet => {
                self.client = self.attack.client(&self.front, self.turn * HANDS + self.number);
                let page = self.chance.pick(&["/", "/issues", "/events", "/about"]).copied().unwrap_or("/");
                self.client.get(PUBLIC, page).await
            }
            Kind::Stuffing => {
                if self.token.is_empty() {
                    self.token = token_of(&self.client.get(FORMS, "/login").await?);
                }
                let email = format!("somebody-{random}@merrow.example");
                let fields = [("token", &*self.token), ("email", &*email), ("password", "123456")];
                self.client.submit(FORMS, "/login", &fields).await
            }
            Kind::Crowd => Err(NoAnswer),
        }
    }
}

/// Addresses of attackers, from 127.64.0.1 on, each in a network of its own for long: none is a supporter's.
fn address(number: u32) -> Ipv4Addr {
    // A prime that does not divide the range goes over all of it before it comes back.
    let place = u64::from(number) * 7_919 % 0x3F_0000;
    let [.., high, middle, low] = place.to_be_bytes();
    // The last part is never 0 or 255, which some systems keep for networks.
    Ipv4Addr::new(127, 64 + high, middle, low.clamp(1, 254))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_are_bounded_and_come_from_loopback() {
        for attack in &ATTACKS {
            assert_eq!(named(attack.name), Some(attack));
            assert!(attack.rate <= 1_000 && attack.addresses <= 1_000, "{}", attack.name);
            assert!(list().contains(attack.about) && attack.about.len() <= 110, "{}", attack.name);
        }
        assert_eq!(named("list"), None);
        for number in (0..5_000_000).step_by(997) {
            let address = address(number);
            assert!(address.is_loopback() && address.octets()[1] >= 64, "{address}");
        }
        let networks: std::collections::HashSet<_> =
            (0..240).map(|number| address(number).octets()[..3].to_vec()).collect();
        assert!(networks.len() > 200, "{}", networks.len());
        let searches = f64::from(named("search").expect("there").rate) / 240.0;
        assert!(searches < 5.0, "each stays below the declared rate");
    }

    #[test]
    fn what_came_back_is_counted_once() {
        let tally = Tally::default();
        let got = |status: u16, refused, challenged| {
            Ok(Got {
                status: http::StatusCode::from_u16(status).expect("a status"),
                refused,
                challenged,
                location: None,
                body: bytes::Bytes::new(),
            })
        };
        tally.count(&got(200, false, false), Duration::ZERO);
        tally.count(&got(200, false, false), Duration::from_secs(1));
        tally.count(&got(429, true, true), Duration::ZERO);
        tally.count(&got(503, true, false), Duration::ZERO);
        tally.count(&got(503, false, false), Duration::ZERO);
        tally.count(&Err(NoAnswer), Duration::ZERO);
        let count = tally.now();
        assert_eq!((count.served, count.slowed, count.challenged, count.refused, count.failed), (1, 1, 1, 1, 2));
        assert_eq!(count.since(&count), Count::default());
    }
}
