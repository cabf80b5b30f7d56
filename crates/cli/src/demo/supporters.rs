//! The demo's population: people who read, join, give and sign in, and the campaign's own programs.
//!
//! They do nothing that a real supporter would not, and reach nothing beyond loopback (`client`).

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tokio::time::sleep;

use super::chance::Chance;
use super::client::{Client, Front, Got, NoAnswer, Speech};
use super::platforms::{forms, members};

/// The hosts of the three platforms.
pub(crate) const PUBLIC: &str = "www.campaign.localhost";
pub(crate) const FORMS: &str = "join.campaign.localhost";
pub(crate) const MEMBERS: &str = "members.campaign.localhost";

/// How long people usually look at a page, fill in a form, and stay away between two visits.
const READING: Duration = Duration::from_millis(2_500);
const TYPING: Duration = Duration::from_millis(4_000);
const AWAY: Duration = Duration::from_millis(4_000);
/// Between two questions of a program.
const POLLING: Duration = Duration::from_millis(1_200);

/// What somebody comes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errand {
    Read,
    Join,
    Give,
    SignIn,
    Program,
}

/// One supporter: who they are is decided by the seed and their number alone.
#[derive(Debug)]
pub(crate) struct Supporter {
    chance: Chance,
    client: Client,
    errand: Errand,
    exports: bool,
    number: u32,
}

/// Headers of the browsers that people come with.
pub(crate) const BROWSERS: [&[(&str, &str)]; 4] = [
    &[
        (
            "user-agent",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        ),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "en-GB,en;q=0.9"),
    ],
    &[
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
    ],
    &[
        (
            "user-agent",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
        ),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.9"),
        ("accept-encoding", "gzip, deflate, br"),
    ],
    &[
        (
            "user-agent",
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
        ),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "da,en;q=0.8"),
    ],
];

/// What the newsletter calls itself: the only program that exports.
pub(crate) const NEWSLETTER: &str = "open-harbour-newsletter";

/// Headers of the campaign's programs.
const PROGRAMS: [&[(&str, &str)]; 2] = [
    &[("user-agent", "open-harbour-newsletter/2.3"), ("accept", "application/json")],
    &[("user-agent", "python-requests/2.32.5"), ("accept", "*/*"), ("accept-encoding", "gzip, deflate")],
];

const PAGES: [&str; 9] = [
    "/issues",
    "/events",
    "/about",
    "/issues/ferries",
    "/issues/homes",
    "/issues/schools",
    "/issues/water",
    "/issues/council",
    "/issues/work",
];
const WORDS: [&str; 8] = ["mar", "al", "vey", "saltby", "rud", "ka", "holm", "ne"];
const NAMES: [&str; 8] =
    ["Ann Vey", "Ben Storholm", "Cara Lundvig", "Dan Ostrow", "Eli Ravnes", "Fee Kelden", "Gro Tangwick", "Ivo Skarlo"];
const ISLANDS: [&str; 4] = ["Norwick", "Saltby", "Westhaven", "Sule"];

impl Supporter {
    /// Supporter `number` of the population of `seed`.
    pub(crate) fn new(seed: u64, number: u32, front: Arc<Front>) -> Self {
        let mut chance = Chance::new(seed, u64::from(number) + 1);
        let errand = match chance.below(100) {
            0..62 => Errand::Read,
            62..72 => Errand::Join,
            72..81 => Errand::Give,
            81..90 => Errand::SignIn,
            _ => Errand::Program,
        };
        Self::on(errand, chance, number, front)
    }

    /// One of a crowd that comes to read.
    pub(crate) fn reader(seed: u64, number: u32, front: Arc<Front>) -> Self {
        Self::on(Errand::Read, Chance::new(seed, u64::from(number) + 1), number, front)
    }

    /// One of many members who sign in.
    pub(crate) fn member(seed: u64, number: u32, front: Arc<Front>) -> Self {
        Self::on(Errand::SignIn, Chance::new(seed, u64::from(number) + 1), number, front)
    }

    fn on(errand: Errand, mut chance: Chance, number: u32, front: Arc<Front>) -> Self {
        let (headers, speech) = if errand == Errand::Program {
            (chance.pick(&PROGRAMS), if chance.percent(50) { Speech::Tls } else { Speech::Plain })
        } else {
            let speech = match chance.below(10) {
                0..6 => Speech::TlsHttp2,
                6..8 => Speech::Tls,
                _ => Speech::Plain,
            };
            (chance.pick(&BROWSERS), speech)
        };
        let headers = headers.copied().unwrap_or_default();
        let exports = headers.iter().any(|(_, value)| value.starts_with(NEWSLETTER));
        let client = Client::new(front, address(number), speech, headers);
        Self { chance, client, errand, exports, number }
    }

    /// Comes and goes until the runtime ends.
    pub(crate) async fn live(mut self) {
        let arrival = self.chance.pause(AWAY).mul_f64(0.5);
        sleep(arrival).await;
        loop {
            let visit = match self.errand {
                Errand::Read => self.read().await,
                Errand::Join => self.join().await,
                Errand::Give => self.give().await,
                Errand::SignIn => self.sign_in().await,
                Errand::Program => self.program().await,
            };
            let pause = self.chance.pause(AWAY);
            // Whoever got no answer waits longer before trying again.
            sleep(if visit.is_ok() { pause } else { pause * 2 }).await;
            if self.chance.percent(50) {
                self.client.forget();
            }
        }
    }

    async fn read(&mut self) -> Result<(), NoAnswer> {
        self.client.visit(PUBLIC, "/").await?;
        for _ in 0..self.chance.below(5) {
            self.wait(READING).await;
            if self.chance.percent(8) {
                let word = self.chance.pick(&["ferries", "school", "wind", "homes"]).copied().unwrap_or_default();
                self.client.visit(PUBLIC, &format!("/search?q={word}")).await?;
            } else {
                let page = self.chance.pick(&PAGES).copied().unwrap_or("/");
                self.client.visit(PUBLIC, page).await?;
            }
        }
        Ok(())
    }

    async fn join(&mut self) -> Result<(), NoAnswer> {
        self.client.visit(PUBLIC, "/").await?;
        self.wait(READING).await;
        let page = self.client.visit(FORMS, "/join").await?;
        self.wait(TYPING).await;
        let (name, email) = self.person();
        let island = self.chance.pick(&ISLANDS).copied().unwrap_or_default();
        let token = token_of(&page);
        // One in ten forgets to tick the box, and is told.
        if self.chance.percent(10) {
            self.client.submit(FORMS, "/join", &[("token", &token), ("name", name), ("email", &email)]).await?;
            self.wait(READING).await;
        }
        let fields = [("token", &*token), ("name", name), ("email", &email), ("island", island), ("agree", "yes")];
        let taken = self.client.submit(FORMS, "/join", &fields).await?;
        self.follow(taken).await
    }

    async fn give(&mut self) -> Result<(), NoAnswer> {
        let page = self.client.visit(FORMS, "/donate").await?;
        self.wait(TYPING).await;
        let (name, email) = self.person();
        let amount = self.chance.pick(&["50", "100", "250"]).copied().unwrap_or_default();
        let token = token_of(&page);
        let mut fields = [
            ("token", &*token),
            ("amount", amount),
            ("name", name),
            ("email", &email),
            ("card", "4242 4242 4242 4234"),
        ];
        // One in eight mistypes a digit of the card.
        if self.chance.percent(12) {
            self.client.submit(FORMS, "/donate", &fields).await?;
            self.wait(READING).await;
        }
        if let Some(card) = fields.last_mut() {
            card.1 = "4242 4242 4242 4242";
        }
        let taken = self.client.submit(FORMS, "/donate", &fields).await?;
        self.follow(taken).await
    }

    async fn sign_in(&mut self) -> Result<(), NoAnswer> {
        let page = self.client.visit(FORMS, "/login").await?;
        self.wait(TYPING).await;
        let email = format!("supporter-{}{}", self.number, forms::ACCOUNT_DOMAIN);
        let token = token_of(&page);
        if self.chance.percent(15) {
            let fields = [("token", &*token), ("email", &email), ("password", "lantern")];
            self.client.submit(FORMS, "/login", &fields).await?;
            self.wait(READING).await;
        }
        let fields = [("token", &*token), ("email", &email), ("password", forms::PASSWORD)];
        let taken = self.client.submit(FORMS, "/login", &fields).await?;
        self.follow(taken).await?;
        self.wait(READING).await;
        let account = self.client.get(FORMS, "/account").await?;
        if self.chance.percent(40) && account.status == StatusCode::OK {
            self.client.submit(FORMS, "/logout", &[("token", &token_of(&account))]).await?;
        }
        Ok(())
    }

    async fn program(&mut self) -> Result<(), NoAnswer> {
        let user = self.chance.pick(&members::USERS).copied().unwrap_or_default();
        let login = serde_json::json!({ "user": user, "password": members::PASSWORD }).to_string();
        let answer = self.client.ask(MEMBERS, "/api/login", Some(("application/json", login)), &[]).await?;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(key) = answer.get("key").and_then(Value::as_str) else { return Err(NoAnswer) };
        let key = [(members::KEY_HEADER, key)];
        if self.exports && self.chance.percent(10) {
            self.client.ask(MEMBERS, "/api/members.csv", None, &key).await?;
        }
        for page in 1..=2 + self.chance.below(6) {
            self.wait(POLLING).await;
            if self.chance.percent(30) {
                let path = format!("/api/members/M{:05}", 1 + self.chance.below(members::MEMBERS));
                self.client.ask(MEMBERS, &path, None, &key).await?;
            } else {
                let word = self.chance.pick(&WORDS).copied().unwrap_or_default();
                self.client.ask(MEMBERS, &format!("/api/members?q={word}&page={page}"), None, &key).await?;
            }
        }
        Ok(())
    }

    /// Goes where the platform sends the browser after a form.
    async fn follow(&mut self, taken: Got) -> Result<(), NoAnswer> {
        if let (StatusCode::SEE_OTHER, Some(path)) = (taken.status, &taken.location) {
            self.client.visit(FORMS, path).await?;
        }
        Ok(())
    }

    fn person(&mut self) -> (&'static str, String) {
        let name = self.chance.pick(&NAMES).copied().unwrap_or_default();
        (name, format!("{}.{}@merrow.example", name.to_lowercase().replace(' ', "."), self.number))
    }

    async fn wait(&mut self, usual: Duration) {
        sleep(self.chance.pause(usual)).await;
    }
}

/// Each supporter's own loopback address, from 127.0.1.1 on.
fn address(number: u32) -> Ipv4Addr {
    let block = number / 250 % 65_000;
    let [_, _, high, low] = (block + 1).to_be_bytes();
    Ipv4Addr::new(127, high, low, u8::try_from(number % 250).unwrap_or(0) + 1)
}

/// The hidden token of a form.
pub(crate) fn token_of(page: &Got) -> String {
    let html = String::from_utf8_lossy(&page.body);
    html.split_once("name=\"token\" value=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(token, _)| token.to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_supporter_has_a_loopback_address_of_their_own() {
        let addresses: HashSet<Ipv4Addr> = (0..10_000).map(address).collect();
        assert_eq!(addresses.len(), 10_000);
        assert!(addresses.iter().all(Ipv4Addr::is_loopback));
        assert_eq!(address(0), Ipv4Addr::new(127, 0, 1, 1));
        assert!(!addresses.contains(&Ipv4Addr::LOCALHOST), "that one is the reader's browser");
    }
}
