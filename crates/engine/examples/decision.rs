//! What one decision costs: nanoseconds per `admit`, allowed by two rates, and per look-up in large lists.
//!
//! `cargo run --release -p portcullis-engine --example decision [PART OF A NAME [ROUNDS]]`. It prints figures and never
//! judges them.
//!
//! How it is measured. "Alone": each call stands between two readings of the clock, and what two readings with nothing
//! between them mostly take is taken off. "In a row": 1,000 calls between two readings, with what it takes to make up
//! their requests. Both in rounds of 4,000 calls, so short that some pass undisturbed, and the figure is the calmest
//! round's: on a machine that others use, too, the rest tells more about them. The round in the middle stands in
//! parentheses. "Cold caches": 8 MiB are written between any two calls, more than the caches of a core hold, so each call
//! finds its tables in the machine's last cache or in memory.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it measures time; the engine itself reads no clock"
)]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use portcullis_engine::{
    Action, AdmissionOrders, Ask, Attribute, Concurrency, Declaration, Declared, List, Literal, LiveRule, Node, Orders,
    Platform, PlatformOrders, Posture, Rate, Recorder, Route, RuleId, Ruling, Shard, Sight, Trust,
};
use portcullis_types::{ClientAddr, Limits, ListAction, Mode, Prefix, RateKey, RouteClass, Tick};

const DECISIONS: u32 = 2_000_000;
const ROUNDS: u32 = 100;
const PREFIXES: u32 = 100_000;

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let node = Arc::new(Node::new(&Limits::DEFAULT, [0x5eed, 0xfeed]));
    println!("node: {:.1} MiB", node.bytes() as f64 / f64::from(1 << 20));
    let generous = |key| Rate { key, per_second: 1e6, burst: 1_000_000, mode: Mode::Enforce };
    let tight = |key| Rate { key, per_second: 1e-3, burst: 1, mode: Mode::Enforce };
    let at_once = Concurrency { class: None, limit: 100, mode: Mode::Enforce };
    let two = || vec![generous(RateKey::Address), generous(RateKey::Session)];
    let large = |wide: bool| {
        let prefixes = (0..PREFIXES).map(|at| prefix(at.wrapping_mul(0x9E37_79B1), wide)).collect();
        vec![List { name: "large".to_owned(), action: ListAction::Deny, mode: Mode::Enforce, prefixes }]
    };
    type Case = (&'static str, Vec<List>, Vec<Rate>, Vec<Concurrency>, bool, u32);
    let cases: [Case; 7] = [
        ("nothing declared", Vec::new(), Vec::new(), Vec::new(), false, 1 << 16),
        ("two rates, allowed, 1,000 clients", Vec::new(), two(), Vec::new(), false, 1000),
        ("two rates, allowed, 65,536 clients", Vec::new(), two(), Vec::new(), false, 1 << 16),
        ("two rates and concurrency, allowed", Vec::new(), two(), vec![at_once], false, 1000),
        ("one rate, refused, 65,536 clients", Vec::new(), vec![tight(RateKey::Address)], Vec::new(), false, 1 << 16),
        ("list of 100,000 IPv4 prefixes", large(false), Vec::new(), Vec::new(), false, 1 << 16),
        ("list of 100,000 IPv6 prefixes", large(true), Vec::new(), Vec::new(), true, 1 << 16),
    ];
    for (name, lists, rates, concurrency, wide, clients) in cases.into_iter().filter(|case| case.0.contains(&only)) {
        let routes = vec![Route { path: "/search".to_owned(), class: RouteClass::Search, challenge: true, rates }];
        let platforms = vec![Platform { name: name.to_owned(), concurrency, routes }];
        let declared = Declared::compile(&Declaration { lists, platforms, ..Declaration::default() }, &node);
        let mut shard = Shard::new(Arc::clone(&node), Arc::new(declared), 7);
        let (mean, best, refused) = measure(&mut shard, wide, clients);
        println!("{name}: {mean:.1} ns a decision ({best:.1} in the calmest round), {refused} of {DECISIONS} refused");
    }
    perceptions(&node, &only);
    decisions(&node, &only);
}

/// What it costs to look at a request and to note it.
fn perceptions(node: &Node, only: &str) {
    let name = "to perceive and to record";
    if name.contains(only) {
        let mut recorder = Recorder::new(&[4], 7, Tick::ZERO);
        let cost = measured(Clients::HalfNew, |number, ask, now| {
            let seen = node.senses().perceive(ask, Trust::Fresh, 0, now);
            recorder.arrived(std::hint::black_box(&seen), &ask.sight, 1, node.senses().expected_cost_us(0, 0));
            if number % 4096 == 0 {
                let harvest = recorder.take(now);
                recorder.recycle(harvest);
            }
        });
        println!("{name}: {cost}");
    }
}

/// Whose requests are decided.
#[derive(Clone, Copy, PartialEq)]
enum Clients {
    /// Half of the addresses were never seen before, the others are 32,768.
    HalfNew,
    /// Any of a million visitors that are remembered.
    Million,
    /// The same, and between two decisions a worker did so much else that no cache of the core holds anything.
    Swept,
}

/// The whole decision with everything that the brain may order: one request in four carries a history.
fn decisions(node: &Arc<Node>, only: &str) {
    let route =
        |path: &str| Route { path: path.to_owned(), class: RouteClass::Page, challenge: true, rates: Vec::new() };
    let platforms = vec![Platform { name: "whole".to_owned(), concurrency: Vec::new(), routes: vec![route("/")] }];
    let declared = Arc::new(Declared::compile(&Declaration { platforms, ..Declaration::default() }, node));
    let literal = |attribute, value| Literal { attribute, value };
    let rule = |id: u32| LiveRule {
        id: RuleId(id),
        literals: [literal(Attribute::Method, id % 2), literal(Attribute::Query, id), literal(Attribute::Evidence, 0)]
            .into_iter()
            .collect(),
        action: Action::Challenge,
        share: 100,
        hold_out: 20,
    };
    let rules = |count: u32| (1..=count).map(rule).collect();
    let limited = AdmissionOrders { whole: 64, cut: 40, ..AdmissionOrders::default() };
    let calm = AdmissionOrders::default();
    for (name, posture, rules, admission, clients) in [
        ("in calm, half of the visitors new", Posture::Normal, rules(0), calm, Clients::HalfNew),
        ("under attack, 32 rules, half of the visitors new", Posture::Attack, rules(32), calm, Clients::HalfNew),
        (
            "under attack, 32 rules, platform and queue full, half new",
            Posture::Attack,
            rules(32),
            limited,
            Clients::HalfNew,
        ),
        ("in calm, a million visitors", Posture::Normal, rules(0), calm, Clients::Million),
        ("in calm, a million visitors, cold caches", Posture::Normal, rules(0), calm, Clients::Swept),
        ("under attack, a million visitors, cold caches", Posture::Attack, rules(32), calm, Clients::Swept),
    ] {
        let name = format!("the whole decision {name}");
        if !name.contains(only) {
            continue;
        }
        let mut shard = Shard::new(Arc::clone(node), Arc::clone(&declared), 7);
        let sample = if posture == Posture::Normal { 16 } else { 1 };
        let orders = PlatformOrders { posture, sample, rules, admission };
        shard.obey(Arc::new(Orders { revision: 1, platforms: vec![orders] }));
        let mut under_way = VecDeque::with_capacity(128);
        let mut waiting = VecDeque::with_capacity(2048);
        let cost = measured(clients, |number, ask, now| {
            match shard.admit(ask, now) {
                Ruling::Admitted(admitted) => under_way.push_back(admitted),
                Ruling::Waiting(place) => waiting.push_back(place),
                _ => {}
            }
            if under_way.len() > 63 {
                under_way.pop_front();
            }
            if waiting.len() > 1024
                && let Some(place) = waiting.pop_front()
            {
                shard.leave(place);
            }
            if number % 4096 == 0 {
                let harvest = shard.harvest(now);
                shard.recycle(harvest);
            }
        });
        println!("{name}: {cost}");
    }
}

/// Measures a call as the head of this file says.
fn measured(clients: Clients, mut call: impl FnMut(u32, &Ask<'_>, Tick)) -> String {
    let agents = [CHROME, FIREFOX, SAFARI];
    let paths = ["/", "/news/climate-strike", "/search", "/members/10178", "/static/app.3f9a8c.js"];
    let queries = [
        None,
        Some("q=climate+strike&page=2"),
        Some("_=17390021&zx81k=a8f31"),
        Some("utm_source=mail&fbclid=IwAR0x7Q"),
    ];
    let other = Node::new(&Limits::DEFAULT, [0x5eed, 0xfeed]);
    let tokens: Vec<_> = (0..4096).map(|id| other.tokens().history(20_000, 9, id + 1, WALL)).collect();
    let ask_of = |number: u32, call: &mut dyn FnMut(u32, &Ask<'_>, Tick)| {
        let address = match clients {
            Clients::HalfNew if number.is_multiple_of(2) => number % 65_536,
            Clients::HalfNew => number | 1 << 31,
            // Each of them once, in an order in which none is near the one before.
            Clients::Million | Clients::Swept => number.wrapping_mul(0x9E37_79B1) >> 12,
        };
        let pick = number as usize / 2;
        let sight = Sight {
            method: b"GET",
            path: paths[pick % paths.len()].as_bytes(),
            query: queries[pick % queries.len()].map(str::as_bytes),
            host: b"www.example.org",
            agent: Some(agents[pick % agents.len()].as_bytes()),
            referer: Some(b"https://www.example.org/news/index.html"),
            accept: Some(b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
            language: Some(b"de-DE,de;q=0.9,en;q=0.7"),
            fetch_mode: Some(b"navigate"),
            order: 0x1234_5678_9abc_def0,
            tls: Some(b"t13d1516h2_8daaf6152771_02713d6af862"),
            h2: Some(b"1:65536;2:0;4:6291456;6:262144|15663105|0|m,a,s,p"),
            token: number.is_multiple_of(4).then(|| tokens[pick % tokens.len()].as_ref()),
            ..Sight::default()
        };
        let ask = Ask {
            client: ClientAddr::new(self::address(address.wrapping_mul(0x85EB_CA6B), false)),
            platform: 0,
            route: 0,
            class: RouteClass::Page,
            session: None,
            api_key: None,
            sight,
            wall: WALL,
        };
        call(number, &ask, Tick(1_000_000_000 + u64::from(number) * 1000));
    };
    let mut number = 0;
    if clients != Clients::HalfNew {
        (0..1 << 20).for_each(|_| {
            ask_of(number, &mut call);
            number += 1;
        });
    }
    let mut other_work = vec![1u64; if clients == Clients::Swept { 1 << 20 } else { 0 }];
    let usual = if clients == Clients::Swept { 5 } else { 250 };
    let rounds = std::env::args().nth(2).and_then(|rounds| rounds.parse().ok()).unwrap_or(usual);
    let mut alone = Vec::new();
    let (mut times, mut clock) = (Vec::with_capacity(ROUND), Vec::with_capacity(ROUND));
    for _ in 0..rounds {
        times.clear();
        clock.clear();
        for _ in 0..ROUND {
            // One word of each line of memory.
            other_work.iter_mut().step_by(8).for_each(|word| *word = word.wrapping_mul(3));
            ask_of(number, &mut |number, ask, now| {
                let begun = Instant::now();
                call(number, ask, now);
                times.push(begun.elapsed().as_nanos());
                let begun = Instant::now();
                clock.push(begun.elapsed().as_nanos());
            });
            number += 1;
        }
        times.sort_unstable();
        clock.sort_unstable();
        let at = |share: f64| times[(ROUND as f64 * share) as usize].saturating_sub(clock[ROUND / 2]);
        alone.push([at(0.5), at(0.99)]);
    }
    std::hint::black_box(&other_work);
    let mut row = Vec::new();
    for _ in 0..if clients == Clients::Swept { 0 } else { rounds * ROUND / 1000 } {
        let begun = Instant::now();
        for _ in 0..1000 {
            ask_of(number, &mut call);
            number += 1;
        }
        row.push(begun.elapsed().as_nanos() / 1000);
    }
    let calmest = |mut figures: Vec<u128>| {
        figures.sort_unstable();
        format!("{} ({})", figures.first().unwrap_or(&0), figures.get(figures.len() / 2).unwrap_or(&0))
    };
    let [half, most] = [0, 1].map(|at| calmest(alone.iter().map(|round| round[at]).collect()));
    let row = if row.is_empty() { String::new() } else { format!(", in a row {} ns each", calmest(row)) };
    format!("alone {half} ns in half of the cases, {most} ns in 99 %{row}")
}

const WALL: u64 = 1_790_000_000_000;
/// Calls of a round.
const ROUND: usize = 4_000;
const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
const FIREFOX: &str = "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";

/// Mean over all rounds, the best round (on a machine that others use, too, the one to believe), and refusals.
fn measure(shard: &mut Shard, wide: bool, clients: u32) -> (f64, f64, u32) {
    let (mut refused, mut sum, mut best) = (0, 0.0, f64::MAX);
    for round in 0..ROUNDS {
        let begun = Instant::now();
        for number in round * (DECISIONS / ROUNDS)..(round + 1) * (DECISIONS / ROUNDS) {
            let ask = Ask {
                client: ClientAddr::new(address((number % clients).wrapping_mul(0x85EB_CA6B), wide)),
                platform: 0,
                route: 0,
                class: RouteClass::Search,
                session: Some(b"3f2c9a0b77e14d0fa4c1f0aa93be61d2"),
                api_key: None,
                sight: Sight::default(),
                wall: 0,
            };
            let now = Tick(1_000_000_000 + u64::from(number) * 1000);
            refused += u32::from(matches!(std::hint::black_box(shard.admit(&ask, now)), Ruling::Refused(..)));
        }
        let nanos = begun.elapsed().as_secs_f64() * 1e9 / f64::from(DECISIONS / ROUNDS);
        sum += nanos;
        best = f64::min(best, nanos);
    }
    (sum / f64::from(ROUNDS), best, refused)
}

fn address(number: u32, wide: bool) -> IpAddr {
    match wide {
        false => Ipv4Addr::from_bits(number).into(),
        true => Ipv6Addr::from_bits(u128::from(number) << 90 | 1).into(),
    }
}

fn prefix(number: u32, wide: bool) -> Prefix {
    Prefix::new(address(number, wide), if wide { 48 } else { 24 })
}
