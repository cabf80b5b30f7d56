//! `portcullis demo --incident`: two waves on the public site, a burst on its logins and an attempt on the member database
//! beneath the second, and the report that the evidence makes of it.
//!
//! Every visitor counts what it asked and what it got. What the report says is held against that, and where the two differ the
//! demo fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_ledger::Event;
use tokio::runtime::Handle;
use tokio::time::{Instant as Moment, MissedTickBehavior, interval, sleep};

use super::attack::{self, LASTS, Tally};
use super::day::{Apart, WAITED};
use portcullis_incident::spaced;

use super::figures::Figures;
use super::front::CALM;
use super::leak::Drill;
use super::watch::{ask, has_learned, is_calm};
use super::{Ending, Front};
use crate::{Failure, moment, talk};

/// How long the gate may learn before the first wave comes whether or not it has learned enough.
const LEARNING: Duration = Duration::from_secs(180);
/// After the second wave, at least.
const AFTER: Duration = Duration::from_secs(30);
/// What the gate may take until it is calm again.
const RECOVERY: Duration = Duration::from_secs(240);
/// How often visitors' counts are noted.
const NOTED: Duration = Duration::from_millis(100);
/// The attempt on the database comes so long after the second wave began: when everybody looks elsewhere.
const BENEATH: Duration = Duration::from_secs(20);
/// A line about how it goes.
const LINE: Duration = Duration::from_secs(10);

/// What is played, and what it needs.
pub(super) struct Play<'a> {
    pub(super) seed: u64,
    /// Between the waves.
    pub(super) apart: Duration,
    pub(super) supporters: &'a Figures,
    /// The attackers' way in, counted apart.
    pub(super) attackers: Arc<Front>,
    pub(super) hands: Handle,
    pub(super) control: &'a Path,
    /// The attempt on the database; `None` where there is none.
    pub(super) thief: Option<Drill<'a>>,
    pub(super) ending: &'a mut Ending,
}

/// What visitors counted at one moment: people and attackers, each served, refused and without an answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    at: u64,
    people: [u64; 3],
    attackers: [u64; 3],
}

/// What visitors counted over all of it.
pub(super) struct Counted {
    /// In the order of time.
    moments: Vec<Count>,
    /// When each wave began and ended.
    pub(super) waves: Vec<(u64, u64)>,
    /// Where the waves are taken apart, where they are further apart than was waited for.
    pub(super) apart: Option<Apart>,
    /// What became of the attempt on the database, in words.
    pub(super) attempt: String,
}

impl Play<'_> {
    /// Plays it. Nothing where it was told to end before it was over.
    pub(super) async fn run(mut self) -> Option<Counted> {
        let mut counted = Counted {
            moments: Vec::new(),
            waves: Vec::new(),
            apart: None,
            attempt: "there is no database here".to_owned(),
        };
        talk::say("First it is calm, and the gate learns what is ordinary.");
        let begun = Instant::now();
        while !has_learned(&ask(self.control).await, "public") && begun.elapsed() < LEARNING {
            self.pass(&mut counted, Duration::from_secs(1)).await?;
        }
        talk::say("\nThe first wave: `botnet` on the public site.");
        self.wave(&mut counted, &["botnet"], false).await?;
        let waited = if self.apart > WAITED { AFTER } else { self.apart };
        talk::say(&format!("\nIt is over. The second comes after {} s, when all is calm again.", waited.as_secs()));
        self.rest(&mut counted, waited).await?;
        if self.apart > WAITED && !is_calm(&ask(self.control).await) {
            talk::say("\nIt has not become calm, and an attack is not drawn out: the record stays as it is played.");
        } else if self.apart > WAITED {
            let seconds = self.apart.as_secs();
            let millis = (seconds - seconds % (INTERVAL / 1000)) * 1000;
            counted.apart = Some(Apart { at: moment::now(), millis });
            talk::say(&format!(
                "\nNobody waits for {} hours: from here on the clock of the record is so much later than yours, and says so.",
                seconds / 3600
            ));
        }
        talk::say(
            "\nThe second wave: `botnet` and `search` on the public site, `stuffing` on the logins beneath it, and an attempt on the database.",
        );
        self.wave(&mut counted, &["botnet", "search", "stuffing"], true).await?;
        talk::say("\nIt is over. The gate takes its measures back.");
        self.rest(&mut counted, AFTER).await?;
        Some(counted)
    }

    /// Lets at least so much time pass, and as much as it takes until the gate has been calm for as long as ends a wave.
    async fn rest(&mut self, counted: &mut Counted, least: Duration) -> Option<()> {
        let (begun, mut calm) = (Instant::now(), None);
        while begun.elapsed() < RECOVERY.max(least) {
            self.pass(counted, Duration::from_secs(1)).await?;
            if !is_calm(&ask(self.control).await) {
                calm = None;
                continue;
            }
            let calm: Instant = *calm.get_or_insert_with(Instant::now);
            // A look later, so that it is on record too.
            if begun.elapsed() >= least && calm.elapsed() > CALM + Duration::from_secs(2) {
                break;
            }
        }
        Some(())
    }

    async fn wave(&mut self, counted: &mut Counted, attacks: &[&str], beneath: bool) -> Option<()> {
        let from = moment::now();
        let tally = Arc::new(Tally::default());
        for (nth, attack) in attacks.iter().filter_map(|name| attack::named(name)).enumerate() {
            let seed = self.seed.wrapping_add(from).wrapping_add(nth as u64);
            self.hands.spawn(attack.play(seed, Arc::clone(&self.attackers), Arc::clone(&tally)));
        }
        let mut left = LASTS;
        if let Some(thief) = self.thief.as_ref().filter(|_| beneath) {
            let begun = Instant::now();
            let attempt = async {
                sleep(BENEATH).await;
                thief.attempt().await
            };
            tokio::pin!(attempt);
            let mut beat = beat();
            counted.attempt = loop {
                tokio::select! {
                    outcome = &mut attempt => break outcome,
                    () = self.ending.told() => return None,
                    _ = beat.tick() => counted.moments.push(count(self.supporters, &self.attackers.figures)),
                }
            };
            talk::say(&format!("Beneath it: {}", counted.attempt));
            left = LASTS.saturating_sub(begun.elapsed());
        }
        self.pass(counted, left).await?;
        counted.waves.push((from, moment::now()));
        Some(())
    }

    /// Lets time pass and notes what visitors count.
    async fn pass(&mut self, counted: &mut Counted, span: Duration) -> Option<()> {
        let end = Moment::now() + span;
        let (mut beat, mut told) = (beat(), Instant::now());
        while Moment::now() < end {
            tokio::select! {
                () = self.ending.told() => return None,
                _ = beat.tick() => {}
            }
            let now = count(self.supporters, &self.attackers.figures);
            if told.elapsed() >= LINE {
                told = Instant::now();
                let before = counted.at(now.at.saturating_sub(10_000));
                talk::say(&line(&before, &now));
            }
            counted.moments.push(now);
        }
        Some(())
    }
}

fn beat() -> tokio::time::Interval {
    let mut beat = interval(NOTED);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    beat
}

fn count(people: &Figures, attackers: &Figures) -> Count {
    let of = |figures: &Figures| {
        let now = figures.snapshot();
        [now.served, now.refused, now.failed]
    };
    Count { at: moment::now(), people: of(people), attackers: of(attackers) }
}

fn line(before: &Count, now: &Count) -> String {
    let since = |now: [u64; 3], before: [u64; 3]| {
        let [served, refused, failed] = [0, 1, 2].map(|at| now[at].saturating_sub(before[at]));
        format!("{:>6} served {:>6} refused {:>4} without an answer", spaced(served), spaced(refused), spaced(failed))
    };
    format!("  people {}   attackers {}", since(now.people, before.people), since(now.attackers, before.attackers))
}

impl Counted {
    /// What had been counted by then.
    fn at(&self, millis: u64) -> Count {
        let after = self.moments.partition_point(|moment| moment.at <= millis);
        after.checked_sub(1).and_then(|at| self.moments.get(at)).copied().unwrap_or_default()
    }

    /// Requests that visitors asked between two moments.
    fn asked(&self, from: u64, until: u64) -> u64 {
        let sum = |count: Count| count.people.iter().chain(&count.attackers).sum::<u64>();
        sum(self.at(until)).saturating_sub(sum(self.at(from)))
    }

    /// Holds what is on record against what was counted: the whole of it, and each wave. What differs is within what was under
    /// way at the edges.
    pub(super) fn compare(&self, recorded: &Recorded) -> (String, bool) {
        let (mut text, mut same) = (String::new(), true);
        // What was counted after the moment stands so much later in the record.
        let later = |at: u64| self.apart.map_or(at, |apart| if at >= apart.at { at + apart.millis } else { at });
        let mut row = |what: &str, counted: u64, recorded: u64, slack: u64| {
            let differs = counted.abs_diff(recorded) > slack;
            same &= !differs;
            let mark = if differs { "  DIFFERS" } else { "" };
            let _ = writeln!(text, "  {what:<34}{:>12}{:>12}{mark}", spaced(counted), spaced(recorded));
        };
        let last = self.moments.last().copied().unwrap_or_default();
        let all: u64 = last.people.iter().chain(&last.attackers).sum();
        row("requests in all", all, recorded.requests, last.people[2] + last.attackers[2]);
        for (nth, (from, until)) in self.waves.iter().enumerate() {
            // Records are of ten seconds each.
            let whole = |at: u64| at - at % INTERVAL;
            let counted = self.asked(whole(*from), whole(*until));
            let recorded = recorded.between(whole(later(*from)), whole(later(*until)));
            row(&format!("requests in wave {}", nth + 1), counted, recorded, counted / 50 + 50);
        }
        let refused = last.people[1] + last.attackers[1];
        row("answered by the gate in its place", refused, recorded.refused, last.people[2] + last.attackers[2]);
        (format!("  {:<34}{:>12}{:>12}\n{text}", "", "visitors", "evidence"), same)
    }
}

/// Milliseconds of an interval of the evidence.
const INTERVAL: u64 = 10_000;

/// What is on record of requests.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    requests: u64,
    /// Refused, challenged, or sent to the waiting room.
    refused: u64,
    by_interval: BTreeMap<u64, u64>,
}

impl Recorded {
    /// Reads the ledger.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(directory: &Path) -> Result<Self, Failure> {
        let unread = |error: std::io::Error| Failure::because(format!("the evidence cannot be read: {error}"));
        let mut recorded = Self::default();
        for record in portcullis_store::read(directory).map_err(unread)? {
            if let Some(Event::Traffic(traffic)) = record.map_err(unread)?.event {
                recorded.requests += traffic.requests;
                recorded.refused += traffic.refused.values().sum::<u64>() + traffic.challenged + traffic.roomed;
                *recorded.by_interval.entry(traffic.from - traffic.from % INTERVAL).or_default() += traffic.requests;
            }
        }
        Ok(recorded)
    }

    fn between(&self, from: u64, until: u64) -> u64 {
        self.by_interval.range(from..until).map(|(_, requests)| requests).sum()
    }
}
