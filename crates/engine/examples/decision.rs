//! What one decision costs: nanoseconds per `admit`, allowed by two rates, and per look-up in large lists.
//!
//! `cargo run --release -p portcullis-engine --example decision`. It prints figures and never judges them.

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
    for (name, lists, rates, concurrency, wide, clients) in cases {
        let routes = vec![Route { path: "/search".to_owned(), class: RouteClass::Search, challenge: true, rates }];
        let platforms = vec![Platform { name: name.to_owned(), concurrency, routes }];
        let declared = Declared::compile(&Declaration { lists, platforms, ..Declaration::default() }, &node);
        let mut shard = Shard::new(Arc::clone(&node), Arc::new(declared), 7);
        let (mean, best, refused) = measure(&mut shard, wide, clients);
        println!("{name}: {mean:.1} ns a decision ({best:.1} in the calmest round), {refused} of {DECISIONS} refused");
    }
    perceptions(&node);
    decisions(&node);
}

/// What it costs to look at a request and to note it.
fn perceptions(node: &Node) {
    let mut recorder = Recorder::new(&[4], 7, Tick::ZERO);
    let times = timed(|number, ask, now| {
        let seen = node.senses().perceive(ask, Trust::Fresh, 0, now);
        recorder.arrived(std::hint::black_box(&seen), &ask.sight, 1, node.senses().expected_cost_us(0, 0));
        if number % 4096 == 0 {
            let harvest = recorder.take(now);
            recorder.recycle(harvest);
        }
    });
    println!("perceive and record: {times}");
}

/// The whole decision with everything that the brain may order: each request carries a cookie, 32 rules are in force.
fn decisions(node: &Arc<Node>) {
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
    for (name, rules, admission) in [
        ("the whole decision in calm", rules(0), calm),
        ("the whole decision with 32 rules", rules(32), calm),
        ("the whole decision with 32 rules, platform full, queue full", rules(32), limited),
    ] {
        let mut shard = Shard::new(Arc::clone(node), Arc::clone(&declared), 7);
        let orders = PlatformOrders { posture: Posture::Attack, sample: 1, rules, admission };
        shard.obey(Arc::new(Orders { revision: 1, platforms: vec![orders] }));
        let mut under_way = VecDeque::with_capacity(128);
        let mut waiting = VecDeque::with_capacity(2048);
        let times = timed(|number, ask, now| {
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
        println!("{name}: {times}");
    }
}

/// Times each call alone, less what the clock itself takes. Half of the addresses were never seen before, one in four
/// carries a history.
fn timed(mut call: impl FnMut(u32, &Ask<'_>, Tick)) -> String {
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
    let mut times = Vec::with_capacity(SAMPLES as usize);
    let mut clock = Vec::with_capacity(SAMPLES as usize);
    for number in 0..SAMPLES {
        let known = number % 2 == 0;
        let address = if known { number % 65_536 } else { number | 1 << 31 }.wrapping_mul(0x85EB_CA6B);
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
            token: (number % 4 == 0).then(|| tokens[pick % tokens.len()].as_ref()),
            ..Sight::default()
        };
        let ask = Ask {
            client: ClientAddr::new(self::address(address, false)),
            platform: 0,
            route: 0,
            class: RouteClass::Page,
            session: None,
            api_key: None,
            sight,
            wall: WALL,
        };
        let now = Tick(1_000_000_000 + u64::from(number) * 1000);
        let begun = Instant::now();
        call(number, &ask, now);
        times.push(begun.elapsed());
        let begun = Instant::now();
        clock.push(begun.elapsed());
    }
    clock.sort_unstable();
    times.sort_unstable();
    let own = clock[clock.len() / 2];
    let at = |share: f64| times[(times.len() as f64 * share) as usize].saturating_sub(own).as_nanos();
    format!("{} ns in half of the cases, {} ns in 99 %, {} ns in 99.9 %", at(0.5), at(0.99), at(0.999))
}

const WALL: u64 = 1_790_000_000_000;
const SAMPLES: u32 = 2_000_000;
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
