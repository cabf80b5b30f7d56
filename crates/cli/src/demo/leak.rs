//! `portcullis demo --drill`: four ways in which a member list leaves, each tried for real, and what stopped it.
//!
//! The thief here is a client of the demo on loopback, bounded in number and time. What the thief got is counted by the
//! thief; what left is read from the decision log. The two must agree.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::client::{Client, Front, NoAnswer, Speech};
use super::database::{self, REPORTING};
use super::platforms::members::{DOMAIN, KEY_HEADER, OLD_LIST, PASSWORD, USERS};
use super::supporters::MEMBERS;
use portcullis_incident::spaced;

/// Between two questions of the thief: below the rate that the route allows.
const PACE: Duration = Duration::from_millis(150);
/// What a drill may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Until what happened is in the log.
const WRITTEN: Duration = Duration::from_secs(5);
/// Pages of a hundred: all members.
const PAGES: usize = 40;
/// Budgets, as the demo's configuration has them.
const BY_PAGE: u64 = 1000;
const BY_EXPORT: u64 = 2000;
const BY_COPY: u64 = 1000;

/// Texts that an attacker puts where a branch belongs.
const INJECTIONS: [&str; 5] = [
    "' or '1'='1",
    "' union select name, email from members --",
    "x' union all select string_agg(email, ','), 'x' from members --",
    "'; copy members to stdout; --",
    "' or id like '%",
];

/// One way, and how it ended.
struct Way {
    name: &'static str,
    /// Different members that came to the thief.
    pulled: u64,
    /// Members that left, as the decision log says.
    recorded: u64,
    /// At most so many may leave.
    budget: u64,
    /// What stopped it, in the gate's words.
    stopped: Option<String>,
    /// What else there is to say.
    also: String,
}

impl Way {
    /// Stopped, with no more gone than may, and all of it on record. Many records are counted by a sketch, 3 % about right;
    /// of what is broken off, some leaves and never arrives.
    fn holds(&self) -> bool {
        let allowed = self.budget + self.budget / 20;
        self.stopped.is_some() && self.recorded <= allowed && self.pulled <= self.recorded + self.recorded / 20
    }
}

/// Where the drill goes, and where what happened is written.
pub(crate) struct Drill<'a> {
    pub(crate) front: Arc<Front>,
    /// The gate's listener for the database, and the password there; `None` where no PostgreSQL is.
    pub(crate) database: Option<(SocketAddr, &'a str)>,
    pub(crate) log: &'a Path,
    /// The members that do not exist.
    pub(crate) canaries: Vec<String>,
}

impl Drill<'_> {
    /// Tries every way. The report, and whether each was stopped with its record complete.
    pub(crate) async fn run(&self) -> (String, bool) {
        let mut ways = vec![self.by_pages().await, self.by_staff().await];
        if let Some((at, password)) = self.database {
            ways.push(self.by_injection().await);
            ways.push(self.by_copy(at, password).await);
        }
        let mut report = String::new();
        let mut held = true;
        for way in ways {
            match way {
                Ok(way) => {
                    held &= way.holds();
                    tell(&mut report, &way);
                }
                Err(NoAnswer) => {
                    held = false;
                    report.push_str("The gate gave no answer where one was due.\n\n");
                }
            }
        }
        if self.database.is_none() {
            report.push_str("Not tried, because PostgreSQL is not installed: an injection, and COPY.\n\n");
        }
        report.push_str(if held {
            "Each was stopped at its budget, and the decision log knows what left.\n"
        } else {
            "Not each was stopped at its budget with its record complete.\n"
        });
        (report, held)
    }

    /// Only the injection, in a sentence.
    pub(crate) async fn attempt(&self) -> String {
        match self.by_injection().await {
            Ok(Way { pulled, stopped: Some(stopped), .. }) => {
                format!("{stopped}; {} members came out", spaced(pulled))
            }
            Ok(Way { pulled, stopped: None, .. }) => {
                format!("an injection was not stopped; {} members came out", spaced(pulled))
            }
            Err(NoAnswer) => "the gate gave no answer to an injection".to_owned(),
        }
    }

    async fn by_pages(&self) -> Result<Way, NoAnswer> {
        let from = Ipv4Addr::new(127, 9, 0, 1);
        let mut thief = self.client(from, "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0");
        let key = sign_in(&mut thief).await?;
        let (mut got, mut stopped) = (BTreeSet::new(), None);
        for page in 1..=PAGES {
            let path = format!("/api/members?page={page}&per_page=100");
            let answer = thief.ask(MEMBERS, &path, None, &[(KEY_HEADER, &key)]).await?;
            addresses_in(&answer.body, &mut got);
            if !answer.status.is_success() {
                stopped = Some(format!("page {page} was answered {}", answer.status));
                break;
            }
            sleep(PACE).await;
        }
        let recorded = self.left_to(from).await;
        Ok(Way {
            name: "Page by page, with a stolen key",
            pulled: count(&got),
            recorded,
            budget: BY_PAGE,
            stopped,
            also: format!("{BY_PAGE} records a minute for each key"),
        })
    }

    async fn by_staff(&self) -> Result<Way, NoAnswer> {
        let from = Ipv4Addr::new(127, 9, 0, 2);
        let mut thief = self.client(from, "python-requests/2.32.5");
        let key = sign_in(&mut thief).await?;
        let (answer, whole) = thief.pull(MEMBERS, "/api/members.csv", &[(KEY_HEADER, &key)]).await?;
        let mut got = BTreeSet::new();
        addresses_in(&answer.body, &mut got);
        let stopped = match (whole, answer.status.is_success()) {
            (false, _) => Some("the export was broken off".to_owned()),
            (true, false) => Some(format!("the export was answered {}", answer.status)),
            (true, true) => None,
        };
        let recorded = self.left_to(from).await;
        Ok(Way {
            name: "The export, through a staff account",
            pulled: count(&got),
            recorded,
            budget: BY_EXPORT,
            stopped,
            also: format!("{BY_EXPORT} records a day for each account; the newsletter's own export is declared"),
        })
    }

    async fn by_injection(&self) -> Result<Way, NoAnswer> {
        let from = Ipv4Addr::new(127, 9, 0, 3);
        let mut thief = self.client(from, "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101");
        let key = sign_in(&mut thief).await?;
        let mut ask = async |branch: &str| {
            let query = form_urlencoded::Serializer::new(String::new()).append_pair("branch", branch).finish();
            let answer = thief.ask(MEMBERS, &format!("{OLD_LIST}?{query}"), None, &[(KEY_HEADER, &key)]).await?;
            let mut got = BTreeSet::new();
            addresses_in(&answer.body, &mut got);
            sleep(PACE).await;
            Ok(got)
        };
        let (ordinary, mut got) = (ask("Saltby").await?, BTreeSet::new());
        for injection in INJECTIONS {
            got.append(&mut ask(injection).await?);
        }
        let refused = self
            .records(INJECTIONS.len(), |record| {
                record["kind"] == "database" && record["event"] == "refused" && record["role"] == database::APPLICATION
            })
            .await;
        // What came is compared with the record of the listing that is ordinary.
        let recorded = self.left_to(from).await.saturating_sub(count(&ordinary));
        let stopped = (refused.len() == INJECTIONS.len()).then(|| {
            let reference = refused.first().and_then(|record| record["ref"].as_str()).unwrap_or_default();
            format!("the database's guard refused all {} statements (42501, {reference} first)", INJECTIONS.len())
        });
        Ok(Way {
            name: "Through an injection that inspection lets pass",
            pulled: count(&got),
            recorded,
            budget: 0,
            stopped,
            also: format!("an ordinary branch was listed with {} members", count(&ordinary)),
        })
    }

    async fn by_copy(&self, at: SocketAddr, password: &str) -> Result<Way, NoAnswer> {
        let client = database::connect(at, REPORTING, password).await.map_err(|_| NoAnswer)?;
        let (mut came, mut stopped) = (Vec::new(), None);
        let copy = async {
            let stream = client.copy_out("copy members (id, name, email, branch) to stdout").await?;
            let mut stream = pin!(stream);
            while let Some(piece) = stream.try_next().await? {
                came.extend_from_slice(&piece);
            }
            Ok::<(), tokio_postgres::Error>(())
        };
        match timeout(PATIENCE, copy).await {
            Ok(Err(error)) => stopped = Some(format!("the session was ended: {}", database::words(&error))),
            Ok(Ok(())) => {}
            Err(_) => return Err(NoAnswer),
        }
        let mut got = BTreeSet::new();
        addresses_in(&came, &mut got);
        let cut = self
            .records(1, |record| {
                record["kind"] == "database" && record["event"] == "session" && record["role"] == REPORTING
            })
            .await;
        let recorded = cut.iter().filter_map(|record| record["rows"].as_u64()).sum();
        Ok(Way {
            name: "By COPY, with the password of somebody's reports",
            pulled: count(&got),
            recorded,
            budget: BY_COPY,
            stopped,
            also: format!("{BY_COPY} rows an hour for the role"),
        })
        .map(|way| Way { also: format!("{}; {}", way.also, self.met(&got)), ..way })
    }

    /// Whether a canary was among what came.
    fn met(&self, got: &BTreeSet<String>) -> String {
        match self.canaries.iter().filter(|it| got.contains(*it)).count() {
            0 => "no canary left".to_owned(),
            met => format!("{met} canaries left"),
        }
    }

    fn client(&self, from: Ipv4Addr, agent: &'static str) -> Client {
        Client::new(Arc::clone(&self.front), from, Speech::Plain, &[("user-agent", agent), ("accept", "*/*")])
    }

    /// Members' records that left to an address, as the log says once it has stopped growing.
    async fn left_to(&self, from: Ipv4Addr) -> u64 {
        let from = from.to_string();
        sleep(Duration::from_millis(1500)).await;
        let all = read(self.log);
        all.iter().filter(|it| it["client"] == from.as_str()).filter_map(|it| it["left"]["records"].as_u64()).sum()
    }

    /// Records that fit, once there are so many or time is up.
    async fn records(&self, wanted: usize, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut found = Vec::new();
        for _ in 0..WRITTEN.as_millis() / 200 {
            sleep(Duration::from_millis(200)).await;
            found = read(self.log);
            found.retain(&fits);
            if found.len() >= wanted {
                break;
            }
        }
        found
    }
}

async fn sign_in(thief: &mut Client) -> Result<String, NoAnswer> {
    let login = json!({ "user": USERS[0], "password": PASSWORD }).to_string();
    let answer = thief.ask(MEMBERS, "/api/login", Some(("application/json", login)), &[]).await?;
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    said["key"].as_str().map(str::to_owned).ok_or(NoAnswer)
}

fn tell(report: &mut String, way: &Way) {
    let Way { name, pulled, recorded, also, stopped, .. } = way;
    let stopped = stopped.as_deref().unwrap_or("NOTHING stopped it");
    let (pulled, recorded) = (spaced(*pulled), spaced(*recorded));
    let _ = writeln!(
        report,
        "{name}\n  came to the thief: {pulled} members; left, as the log says: {recorded}\n  {stopped}\n  ({also})\n"
    );
}

fn count(of: &BTreeSet<String>) -> u64 {
    of.len() as u64
}

/// Members' addresses in an answer.
fn addresses_in(body: &[u8], found: &mut BTreeSet<String>) {
    let text = String::from_utf8_lossy(body);
    let part = |byte: char| byte.is_ascii_alphanumeric() || matches!(byte, '.' | '@' | '-' | '_' | '+');
    let of_members =
        |word: &&str| word.rsplit_once('@').is_some_and(|(name, domain)| !name.is_empty() && domain == DOMAIN);
    found.extend(text.split(|byte| !part(byte)).filter(of_members).map(str::to_owned));
}

fn read(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_once_in_any_form() {
        let mut found = BTreeSet::new();
        addresses_in(br#"[{"email":"a.b1@merrow.example"},{"email":"a.b1@merrow.example"}]"#, &mut found);
        addresses_in(
            b"M1,Ann,c@merrow.example,Saltby\r\nM2\td@merrow.example\te@elsewhere.example\n@merrow.example",
            &mut found,
        );
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn a_way_holds_only_where_it_was_stopped_within_its_budget_and_the_record_agrees() {
        let way = |pulled, recorded, stopped: bool| Way {
            name: "x",
            pulled,
            recorded,
            budget: 10,
            stopped: stopped.then(|| "refused".to_owned()),
            also: String::new(),
        };
        assert!(way(10, 10, true).holds() && way(0, 0, true).holds() && way(8, 10, true).holds());
        assert!(!way(11, 11, true).holds() && !way(10, 9, true).holds() && !way(1, 0, true).holds());
        assert!(!way(10, 10, false).holds());
    }
}
