//! What a replay found: whom it would have hit, and with what, as values, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use portcullis_config::Policy;
use portcullis_engine::{Act, Posture};
use portcullis_types::{ClientAddr, Prefix, Reason};
use serde::Serialize;

use super::limits::Suggestions;
use super::play::Played;
use super::source::Reading;
use super::time::{SECOND, show};

/// Visitors, networks and agents that are told apart, each.
const TOLD_APART: usize = 1_000_000;
/// Of each that are named.
const NAMED: usize = 5;
/// A visitor is known again when it was here so long before.
const KNOWN_AFTER: u64 = 30 * 60 * SECOND;
/// And had asked for at least so much.
const KNOWN_REQUESTS: u64 = 3;
/// Of an agent's text, so much is shown.
const AGENT_BYTES: usize = 120;
/// Changes of posture that are shown.
const CHANGES: usize = 200;

/// What a replay found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// When the first request came, RFC 3339.
    pub from: String,
    /// When the last one came.
    pub until: String,
    /// What was read.
    pub reading: Reading,
    /// What had to be assumed.
    pub assumptions: Vec<String>,
    /// All platforms together.
    pub total: Fates,
    /// By name of the platform.
    pub platforms: BTreeMap<String, Fates>,
    /// Whom it would have hit.
    pub hit: Hit,
    /// Changes of posture, in order.
    pub postures: Vec<Change>,
    /// Seconds in each posture, by platform and posture.
    pub in_posture: BTreeMap<String, BTreeMap<&'static str, f64>>,
    /// What the gate would have done by itself, and why.
    pub acts: Vec<Told>,
    /// Acts beyond those.
    pub acts_left_out: u64,
    /// The busiest second.
    pub busiest_second: Busiest,
    /// The busiest minute.
    pub busiest_minute: Busiest,
    /// Which limits to set.
    pub suggestions: Suggestions,
}

/// What became of requests.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Fates {
    /// Requests.
    pub requests: u64,
    /// Passed, at once or after waiting.
    pub passed: u64,
    /// Refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Passed, but measures in observe mode would have refused it, by reason.
    pub observed: BTreeMap<&'static str, u64>,
    /// Navigations that would have been challenged.
    pub challenged: u64,
    /// Navigations that would have been sent to the waiting room.
    pub waiting_room: u64,
    /// Requests that waited in the queue.
    pub queued: u64,
    /// Of those, for more than two seconds.
    pub queued_over_2s: u64,
    /// The longest wait, in milliseconds.
    pub longest_wait_ms: u64,
}

/// Whom it would have hit. Hit is: refused, challenged, sent to the waiting room, or kept waiting for more than 2 s.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Hit {
    /// Visitors: address and agent together.
    pub visitors: u64,
    /// Visitors that were hit at least once.
    pub visitors_hit: u64,
    /// Visitors that came back after half an hour or more, or held a history cookie.
    pub returning: u64,
    /// Of those, hit when they had come back.
    pub returning_hit: u64,
    /// Requests that were hit.
    pub requests_hit: u64,
    /// Requests of visitors beyond the million that are told apart.
    pub not_told_apart: u64,
    /// Visitors with the most hits.
    pub top_visitors: Vec<Share>,
    /// Networks with the most hits.
    pub top_networks: Vec<Share>,
    /// Agents with the most hits.
    pub top_agents: Vec<Share>,
}

/// One of those that were hit most.
#[derive(Debug, Clone, Serialize)]
pub struct Share {
    /// Who.
    pub who: String,
    /// Hits.
    pub hits: u64,
    /// Of all hits, in percent.
    pub percent: f64,
    /// Of its own requests, in percent.
    pub of_its_own_percent: f64,
}

/// A change of posture.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// When.
    pub at: String,
    /// The platform.
    pub platform: String,
    /// To which.
    pub posture: &'static str,
}

/// An act and when it was.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// When.
    pub at: String,
    /// What was done.
    pub act: Act,
}

/// A busy span.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Busiest {
    /// When it began.
    pub at: String,
    /// Requests in it.
    pub requests: u64,
}

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Passed,
    Queued,
    Challenged,
    Room,
    Refused(Reason),
}

impl Fate {
    pub(crate) const fn is_hit(self) -> bool {
        matches!(self, Self::Challenged | Self::Room | Self::Refused(_))
    }
}

/// Who asked, and what became of it.
#[derive(Debug)]
pub(crate) struct Whom {
    pub(crate) requests: u64,
    pub(crate) total: Fates,
    pub(crate) platforms: Vec<Fates>,
    places: BTreeMap<(ClientAddr, u64), usize>,
    visitors: Vec<Visitor>,
    agents: BTreeMap<u64, String>,
    not_told_apart: u64,
}

#[derive(Debug)]
struct Visitor {
    client: ClientAddr,
    agent: u64,
    first: u64,
    requests: u64,
    hits: u64,
    came_back: bool,
    hit_when_back: bool,
    vouched: bool,
}

impl Whom {
    pub(crate) fn new(platforms: usize) -> Self {
        Self {
            requests: 0,
            total: Fates::default(),
            platforms: vec![Fates::default(); platforms],
            places: BTreeMap::new(),
            visitors: Vec::new(),
            agents: BTreeMap::new(),
            not_told_apart: 0,
        }
    }

    /// The visitor's number; one more request of it. The last number stands for all who are not told apart.
    pub(crate) fn visitor(&mut self, client: ClientAddr, agent: u64, text: &[u8], at: u64) -> usize {
        self.requests += 1;
        let room = self.visitors.len() < TOLD_APART;
        let place = match self.places.get(&(client, agent)) {
            Some(place) => *place,
            None if !room => {
                self.not_told_apart += 1;
                return usize::MAX;
            }
            None => {
                self.places.insert((client, agent), self.visitors.len());
                let excerpt = || text.get(..AGENT_BYTES).unwrap_or(text).escape_ascii().to_string();
                self.agents.entry(agent).or_insert_with(excerpt);
                let (came_back, hit_when_back, vouched) = (false, false, false);
                self.visitors.push(Visitor {
                    client,
                    agent,
                    first: at,
                    requests: 0,
                    hits: 0,
                    came_back,
                    hit_when_back,
                    vouched,
                });
                self.visitors.len() - 1
            }
        };
        if let Some(visitor) = self.visitors.get_mut(place) {
            visitor.came_back |= visitor.requests >= KNOWN_REQUESTS && at - visitor.first >= KNOWN_AFTER;
            visitor.requests += 1;
        }
        place
    }

    /// The visitor has earned a history cookie.
    pub(crate) fn vouched(&mut self, visitor: usize) {
        if let Some(visitor) = self.visitors.get_mut(visitor) {
            visitor.vouched = true;
        }
    }

    /// What became of a request that had just come.
    pub(crate) fn fate(&mut self, visitor: usize, platform: Option<usize>, _at: u64, fate: Fate) {
        self.each(platform, |fates| fates.requests += 1);
        self.settle(visitor, platform, fate);
    }

    /// What became of a request that had been in the queue.
    pub(crate) fn fate_of_queued(&mut self, visitor: usize, platform: Option<usize>, _at: u64, fate: Fate) {
        self.settle(visitor, platform, fate);
    }

    /// A measure in observe mode would have refused a request that passed.
    pub(crate) fn observed(&mut self, platform: usize, reason: Reason) {
        self.each(Some(platform), |fates| *fates.observed.entry(reason.code()).or_default() += 1);
    }

    /// A request left the queue admitted.
    pub(crate) fn waited(&mut self, visitor: usize, platform: usize, nanos: u64, noticed: bool) {
        self.each(Some(platform), |fates| {
            fates.passed += 1;
            fates.queued_over_2s += u64::from(noticed);
            fates.longest_wait_ms = fates.longest_wait_ms.max(nanos / 1_000_000);
        });
        if noticed {
            self.hit(visitor);
        }
    }

    fn settle(&mut self, visitor: usize, platform: Option<usize>, fate: Fate) {
        self.each(platform, |fates| match fate {
            Fate::Passed => fates.passed += 1,
            Fate::Queued => fates.queued += 1,
            Fate::Challenged => fates.challenged += 1,
            Fate::Room => fates.waiting_room += 1,
            Fate::Refused(reason) => *fates.refused.entry(reason.code()).or_default() += 1,
        });
        if fate.is_hit() {
            self.hit(visitor);
        }
    }

    fn hit(&mut self, visitor: usize) {
        if let Some(visitor) = self.visitors.get_mut(visitor) {
            visitor.hits += 1;
            visitor.hit_when_back |= visitor.came_back || visitor.vouched;
        }
    }

    fn each(&mut self, platform: Option<usize>, mut change: impl FnMut(&mut Fates)) {
        change(&mut self.total);
        if let Some(fates) = platform.and_then(|platform| self.platforms.get_mut(platform)) {
            change(fates);
        }
    }

    fn told(&self) -> Hit {
        let mut networks: BTreeMap<Prefix, (u64, u64)> = BTreeMap::new();
        let mut agents: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for visitor in &self.visitors {
            for (hits, requests) in
                [networks.entry(visitor.client.prefix()).or_default(), agents.entry(visitor.agent).or_default()]
            {
                *hits += visitor.hits;
                *requests += visitor.requests;
            }
        }
        let agent = |agent: &u64| match self.agents.get(agent).map(String::as_str) {
            None | Some("") => "(no agent)".to_owned(),
            Some(text) => text.to_owned(),
        };
        let all: u64 = self.visitors.iter().map(|visitor| visitor.hits).sum();
        let count = |of: fn(&Visitor) -> bool| self.visitors.iter().filter(|visitor| of(visitor)).count() as u64;
        let visitors = self
            .visitors
            .iter()
            .map(|visitor| (format!("{} {}", visitor.client, agent(&visitor.agent)), visitor.hits, visitor.requests));
        Hit {
            visitors: count(|_| true),
            visitors_hit: count(|visitor| visitor.hits > 0),
            returning: count(|visitor| visitor.came_back || visitor.vouched),
            returning_hit: count(|visitor| visitor.hit_when_back),
            requests_hit: all,
            not_told_apart: self.not_told_apart,
            top_visitors: top(visitors, all),
            top_networks: top(networks.iter().map(|(network, (hits, of))| (network.to_string(), *hits, *of)), all),
            top_agents: top(agents.iter().map(|(key, (hits, of))| (agent(key), *hits, *of)), all),
        }
    }
}

/// Those with the most hits; none without any.
fn top(all: impl Iterator<Item = (String, u64, u64)>, of: u64) -> Vec<Share> {
    let mut hit: Vec<_> = all.filter(|(_, hits, _)| *hits > 0).collect();
    hit.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let share = |(who, hits, requests): (String, u64, u64)| Share {
        who,
        hits,
        percent: percent(hits, of),
        of_its_own_percent: percent(hits, requests),
    };
    hit.into_iter().take(NAMED).map(share).collect()
}

/// With two digits behind the point.
fn percent(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { (part as f64 * 10_000.0 / of as f64).round() / 100.0 }
}

impl Report {
    pub(crate) fn new(
        policy: &Policy,
        text: &str,
        epoch: u64,
        played: &Played,
        reading: Reading,
        mut assumptions: Vec<String>,
    ) -> Self {
        let name =
            |platform: usize| policy.platforms.get(platform).map_or_else(String::new, |known| known.name.clone());
        assumptions.extend(told_assumptions(played, &reading));
        let whom = &played.whom;
        let change = |(at, platform, posture): &(u64, usize, Posture)| Change {
            at: show(*at),
            platform: name(*platform),
            posture: posture.name(),
        };
        let seconds = |spent: &[u64; Posture::ALL.len()]| {
            let spent = Posture::ALL.iter().zip(spent).filter(|(_, nanos)| **nanos > 0);
            spent.map(|(posture, nanos)| (posture.name(), (*nanos / (SECOND / 10)) as f64 / 10.0)).collect()
        };
        Self {
            from: show(played.from),
            until: show(played.until),
            reading,
            assumptions,
            total: whom.total.clone(),
            platforms: whom
                .platforms
                .iter()
                .enumerate()
                .filter(|(_, fates)| fates.requests > 0)
                .map(|(at, fates)| (name(at), fates.clone()))
                .collect(),
            hit: whom.told(),
            postures: played.changes.iter().map(change).collect(),
            in_posture: played
                .in_posture
                .iter()
                .enumerate()
                .map(|(platform, spent)| (name(platform), seconds(spent)))
                .collect(),
            acts: played.acts.iter().map(|act| Told { at: show(epoch + act.at_nanos), act: act.clone() }).collect(),
            acts_left_out: played.acts_beyond,
            busiest_second: Busiest { at: show(played.busiest_second.0 * SECOND), requests: played.busiest_second.1 },
            busiest_minute: Busiest {
                at: show(played.busiest_minute.0 * 60 * SECOND),
                requests: played.busiest_minute.1,
            },
            suggestions: played.needs.suggest(policy, text),
        }
    }

    /// One JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// For a person at a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        let reading = &self.reading;
        let formats: Vec<String> =
            reading.formats.iter().map(|(format, count)| format!("{} {format}", grouped(*count))).collect();
        let _ = writeln!(
            text,
            "Read       {} lines, {} requests ({})",
            grouped(reading.lines),
            grouped(reading.requests),
            if formats.is_empty() { "none".to_owned() } else { formats.join(", ") }
        );
        if reading.no_request > 0 {
            let _ = writeln!(
                text,
                "           {} connections sent something other than a request",
                grouped(reading.no_request)
            );
        }
        if reading.bad > 0 {
            let _ = writeln!(text, "           {} lines could not be read:", grouped(reading.bad));
            for bad in &reading.bad_lines {
                let _ = writeln!(text, "             {}:{}: {}: {}", bad.log, bad.line, bad.why, bad.begins);
            }
        }
        for cut in &reading.cut {
            let _ = writeln!(text, "           {cut}");
        }
        let _ = writeln!(text, "From       {} until {}", self.from, self.until);
        let _ = writeln!(
            text,
            "Busiest    minute {} with {} requests, second {} with {}",
            self.busiest_minute.at,
            grouped(self.busiest_minute.requests),
            self.busiest_second.at,
            grouped(self.busiest_second.requests)
        );

        let _ = writeln!(text, "\nWhat would have become of it");
        write_fates(text, "all", &self.total);
        if self.platforms.len() > 1 {
            for (name, fates) in &self.platforms {
                write_fates(text, name, fates);
            }
        }

        self.write_hit(text);
        self.write_acts(text);
        self.write_suggestions(text);

        let _ = writeln!(text, "\nTaken for granted");
        for assumption in &self.assumptions {
            let _ = writeln!(text, "  - {assumption}");
        }
    }

    fn write_hit(&self, text: &mut String) {
        let hit = &self.hit;
        let _ = writeln!(text, "\nWhom it would have hit");
        let _ = writeln!(
            text,
            "  {} of {} visitors ({} %), {} of {} requests ({} %)",
            grouped(hit.visitors_hit),
            grouped(hit.visitors),
            percent(hit.visitors_hit, hit.visitors),
            grouped(hit.requests_hit),
            grouped(self.total.requests),
            percent(hit.requests_hit, self.total.requests)
        );
        let _ = writeln!(
            text,
            "  {} of {} returning visitors ({} %)",
            grouped(hit.returning_hit),
            grouped(hit.returning),
            percent(hit.returning_hit, hit.returning)
        );
        if hit.not_told_apart > 0 {
            let _ = writeln!(
                text,
                "  {} requests came from visitors beyond the million that are told apart",
                grouped(hit.not_told_apart)
            );
        }
        for (title, shares) in
            [("visitors", &hit.top_visitors), ("networks", &hit.top_networks), ("agents", &hit.top_agents)]
        {
            if shares.is_empty() {
                continue;
            }
            let _ = writeln!(text, "  {title}:");
            for share in shares {
                let _ = writeln!(
                    text,
                    "    {:>8} hits, {:>5} % of all, {:>5} % of its own requests  {}",
                    grouped(share.hits),
                    share.percent,
                    share.of_its_own_percent,
                    share.who
                );
            }
        }
    }

    fn write_acts(&self, text: &mut String) {
        let _ = writeln!(text, "\nWhat the gate would have done by itself");
        for (platform, spent) in &self.in_posture {
            let spent: Vec<String> =
                spent.iter().map(|(posture, seconds)| format!("{posture} {}", duration(*seconds))).collect();
            let _ = writeln!(text, "  {platform}: {}", spent.join(", "));
        }
        for change in self.postures.iter().take(CHANGES) {
            let _ = writeln!(text, "  {}  {} {}", change.at, change.platform, change.posture);
        }
        if self.postures.len() > CHANGES {
            let _ = writeln!(text, "  and {} changes more", self.postures.len() - CHANGES);
        }
        for told in self.acts.iter().filter(|told| told.act.kind != "posture") {
            let _ = writeln!(text, "  {}  {}", told.at, told.act.words);
        }
        if self.acts_left_out > 0 {
            let _ = writeln!(text, "  and {} acts more", grouped(self.acts_left_out));
        }
        if self.acts.is_empty() && self.postures.is_empty() {
            let _ = writeln!(text, "  nothing");
        }
    }

    fn write_suggestions(&self, text: &mut String) {
        let suggestions = &self.suggestions;
        let _ = writeln!(
            text,
            "\nWhich limits to set\n  In observe mode nobody is refused; enforce what the decision log then shows to be right."
        );
        for rate in &suggestions.rates {
            let _ = writeln!(
                text,
                "\n# platform \"{}\", route \"{}\": behind the lines of this route",
                rate.platform, rate.route
            );
            let _ = writeln!(
                text,
                "# of a thousand keys all but one sent at most {} requests a minute; twice that would have touched {} of {} keys{}",
                rate.observed_per_minute,
                grouped(rate.touched),
                grouped(rate.keys),
                already(rate.touched_refused_anyway)
            );
            for heavy in &rate.heaviest {
                let _ = writeln!(text, "#   {heavy}");
            }
            text.push_str(&rate.toml);
        }
        for at_once in &suggestions.concurrency {
            let _ = writeln!(text, "\n# platform \"{}\": behind its own lines, before its routes", at_once.platform);
            let _ = writeln!(
                text,
                "# all but one in a thousand found fewer than {} of this class under way; this would have touched {} of {} requests",
                at_once.observed,
                grouped(at_once.touched),
                grouped(at_once.requests)
            );
            text.push_str(&at_once.toml);
        }
        if suggestions.rates.is_empty() && suggestions.concurrency.is_empty() {
            let _ = writeln!(text, "  none follow from this log");
        }
        if !suggestions.silent.is_empty() {
            text.push('\n');
        }
        for why in &suggestions.silent {
            let _ = writeln!(text, "  {why}");
        }
    }
}

fn already(count: u64) -> String {
    if count == 0 { String::new() } else { format!(", {} of which the gate would have refused anyway", grouped(count)) }
}

fn write_fates(text: &mut String, name: &str, fates: &Fates) {
    let share = |count: u64| format!("{} ({} %)", grouped(count), percent(count, fates.requests));
    let _ = write!(text, "  {name:<10} {} requests: {} passed", grouped(fates.requests), share(fates.passed));
    for (reason, count) in &fates.refused {
        let _ = write!(text, ", {} refused {reason}", share(*count));
    }
    for (reason, count) in &fates.observed {
        let _ = write!(text, ", {} would be {reason} if what observes enforced", share(*count));
    }
    for (count, what) in [
        (fates.challenged, "challenged"),
        (fates.waiting_room, "sent to the waiting room"),
        (fates.queued, "queued"),
        (fates.queued_over_2s, "for more than 2 s"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {} {what}", share(count));
        }
    }
    if fates.longest_wait_ms > 0 {
        let _ = write!(text, ", at most {} ms", grouped(fates.longest_wait_ms));
    }
    text.push('\n');
}

fn told_assumptions(played: &Played, reading: &Reading) -> Vec<String> {
    let mut told = Vec::new();
    if played.assumed > 0 {
        told.push(format!("{} of {} requests do not say how long the platform took: 5 ms for assets, 50 ms for pages, 100 ms for forms and logins, 200 ms for searches and payments, 500 ms for exports. What hangs on a slow platform cannot be seen in them.", grouped(played.assumed), grouped(reading.requests)));
    }
    if played.coarse > 0 {
        told.push(format!(
            "{} requests are known to the second only, and were spread over it evenly.",
            grouped(played.coarse)
        ));
    }
    if played.late > 0 {
        told.push(format!(
            "{} lines stood later than any server writes them (two minutes), and were played when they stood there.",
            grouped(played.late)
        ));
    }
    told.push("The platform would have answered each request as it did, whatever the gate did to others.".to_owned());
    told.push("A log does not hold TLS fingerprints, header order or tokens (unless it has JA4), so the gate sees less here than it would: its rules would have been narrower.".to_owned());
    told.push(format!("Nobody in a log can answer a challenge: a challenged request counts as stopped. Visitors who earned a history cookie ({} times) are taken to send it back.", grouped(played.tokens)));
    told
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `3 d 4 h`, `5 min 10 s`, `2.3 s`.
fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {} min", whole / 3_600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86_400, whole / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> ClientAddr {
        ClientAddr::new([192, 0, 2, last].into())
    }

    #[test]
    fn a_visitor_that_came_back_and_was_hit_is_told() {
        let mut whom = Whom::new(1);
        for (visitor, minute, fate) in [
            (1, 0, Fate::Passed),
            (1, 1, Fate::Passed),
            (1, 2, Fate::Passed),
            (2, 3, Fate::Refused(Reason::RateLimited)),
            (1, 29, Fate::Challenged),
            (1, 31, Fate::Refused(Reason::RateLimited)),
            (3, 40, Fate::Queued),
        ] {
            let at = minute * 60 * SECOND;
            let number = whom.visitor(client(visitor), 7, b"Agent\x1b", at);
            whom.fate(number, Some(0), at, fate);
        }
        whom.waited(2, 0, 3 * SECOND, true);
        let hit = whom.told();
        assert_eq!(
            (hit.visitors, hit.visitors_hit, hit.returning, hit.returning_hit, hit.requests_hit),
            (3, 3, 1, 1, 4)
        );
        assert_eq!(hit.top_visitors[0].who, "192.0.2.1 Agent\\x1b");
        assert_eq!((hit.top_visitors[0].percent, hit.top_visitors[0].of_its_own_percent), (50.0, 40.0));
        assert_eq!(hit.top_networks.iter().map(|share| share.who.as_str()).collect::<Vec<_>>(), ["192.0.2.0/24"]);
        assert_eq!((whom.total.requests, whom.total.passed, whom.total.queued_over_2s), (7, 4, 1));
        assert_eq!(whom.platforms[0].refused, BTreeMap::from([("rate-limited", 2)]));
    }

    #[test]
    fn numbers_and_durations_are_spoken() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([2.34, 61.0, 3_660.0, 90_000.0].map(duration), ["2.3 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
        assert_eq!((percent(1, 3), percent(1, 0)), (33.33, 0.0));
    }
}
