//! What one run of the miner costs on 32,768 rows of ordinary days and 8,192 rows of now, and what it finds.
//!
//! `cargo run --release -p portcullis-engine --example miner`. It prints figures and never judges them.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it measures time; the engine itself reads no clock"
)]

use std::time::{Duration, Instant};

use portcullis_engine::{ATTRIBUTES, Attribute, Attributes, Ground, Row, mine};

const BASELINE: usize = 32_768;
const WINDOW: usize = 8_192;
/// Of the window, the share that is the attack.
const ATTACK: usize = 85;

fn main() {
    let mut dice = Dice(0x5eed_5eed);
    let baseline: Vec<Row> = (0..BASELINE).map(|_| ordinary(&mut dice)).collect();
    let unseen: Vec<Row> = (0..BASELINE).map(|_| ordinary(&mut dice)).collect();
    type Attack = (&'static str, fn(&mut Dice) -> Row);
    let attacks: [Attack; 6] = [
        ("plain flood from 5 networks", plain),
        ("random browsers from homes, busting caches", buster),
        ("browser's stack and agent, POST search", mimic),
        ("expensive search, one request in ten", mimic),
        ("random headers", randomiser),
        ("nothing: more of the ordinary", ordinary),
    ];
    for (number, (name, attack)) in attacks.into_iter().enumerate() {
        let share = if number == 3 { 10 } else { ATTACK };
        let rows: Vec<Row> =
            (0..WINDOW).map(|at| if at % 100 < share { attack(&mut dice) } else { ordinary(&mut dice) }).collect();
        let (people, window): (Vec<Row>, Vec<Row>) =
            rows.into_iter().partition(|row| row.attributes.get(Attribute::Evidence) > 0);
        let newcomers = people.len() as f64 * 0.28 / 0.72;
        let cost: f64 = people.iter().map(|row| f64::from(row.cost_us)).sum::<f64>() * 0.28 / 0.72;
        let ground = Ground {
            baseline: &baseline,
            window: &window,
            people: &people,
            expected: newcomers,
            expected_cost: cost,
            least: 0.2 * newcomers,
            least_cost: 0.2 * cost,
        };
        let mut fastest = Duration::MAX;
        let mut found = Vec::new();
        for _ in 0..10 {
            let start = Instant::now();
            found = mine(&ground);
            fastest = fastest.min(start.elapsed());
        }
        println!("{name}: {:.1} ms", fastest.as_secs_f64() * 1e3);
        for candidate in found {
            let hits = unseen.iter().filter(|row| has(row, &candidate.pattern)).count();
            let pattern: Vec<String> = candidate
                .pattern
                .iter()
                .map(|literal| format!("{:?}={:x}", literal.attribute, literal.value))
                .collect();
            println!(
                "  {} explains {:.0} %, matches {:.3} % of ordinary traffic that it was not mined on",
                pattern.join(" & "),
                candidate.explains * 100.0,
                hits as f64 * 100.0 / unseen.len() as f64
            );
        }
    }
}

fn has(row: &Row, pattern: &[portcullis_engine::Literal]) -> bool {
    pattern.iter().all(|literal| row.attributes.get(literal.attribute) == literal.value)
}

/// A visitor of an ordinary day: one of twelve stacks, sixty browsers, forty pages, eight thousand networks.
fn ordinary(dice: &mut Dice) -> Row {
    let stack = dice.skewed(12);
    let endpoint = dice.skewed(40);
    let human = dice.of(100) < 72;
    let mut attributes = Attributes([0; ATTRIBUTES]);
    let mut set = |attribute: Attribute, value: u32| attributes.0[attribute.index()] = value;
    set(Attribute::Endpoint, 1000 + endpoint);
    set(Attribute::Path, 10_000 + endpoint * 32 + dice.of(32));
    set(Attribute::Method, if endpoint == SEARCH && dice.of(2) == 0 { 2 } else { 1 });
    set(Attribute::Tls, 100 + stack);
    set(Attribute::H2, 200 + stack / 2);
    set(Attribute::Order, 300 + stack * 4 + dice.of(4));
    set(Attribute::Agent, 400 + stack * 5 + dice.of(5));
    set(Attribute::Family, 500 + stack / 2);
    set(Attribute::Network, 20_000 + dice.of(8000));
    set(Attribute::Token, if dice.of(100) < 25 { 4 } else { 0 });
    set(Attribute::Evidence, if human { 1 + dice.of(2) } else { 0 });
    set(Attribute::Referer, dice.of(3));
    set(Attribute::Query, if dice.of(10) == 0 { 600 + dice.of(20) } else { 0 });
    set(Attribute::Accept, 700 + dice.of(5));
    set(Attribute::Language, 800 + dice.skewed(8));
    set(Attribute::Session, dice.of(3) / 2);
    Row { attributes, visitor: dice.next(), cost_us: if endpoint == SEARCH { 80_000 } else { 4_000 } }
}

const SEARCH: u32 = 17;

fn new(dice: &mut Dice) -> Row {
    let mut row = ordinary(dice);
    row.attributes.0[Attribute::Token.index()] = 0;
    row.attributes.0[Attribute::Evidence.index()] = 0;
    row.attributes.0[Attribute::Session.index()] = 0;
    row
}

fn plain(dice: &mut Dice) -> Row {
    let mut row = new(dice);
    let network = 90_000 + dice.of(5);
    for (attribute, value) in [
        (Attribute::Endpoint, 1000),
        (Attribute::Path, 10_000),
        (Attribute::Tls, 0xbad),
        (Attribute::Order, 0xbad),
        (Attribute::Agent, 0xbad),
        (Attribute::Network, network),
    ] {
        row.attributes.0[attribute.index()] = value;
    }
    row
}

fn buster(dice: &mut Dice) -> Row {
    let mut row = new(dice);
    let network = 200_000 + dice.of(100_000);
    for (attribute, value) in
        [(Attribute::Endpoint, 1003), (Attribute::Tls, 0xbad), (Attribute::Query, 0xbad), (Attribute::Network, network)]
    {
        row.attributes.0[attribute.index()] = value;
    }
    row
}

fn mimic(dice: &mut Dice) -> Row {
    let mut row = new(dice);
    row.cost_us = 80_000;
    for (attribute, value) in [
        (Attribute::Endpoint, 1000 + SEARCH),
        (Attribute::Path, 10_000 + SEARCH * 32),
        (Attribute::Method, 2),
        (Attribute::Tls, 100),
    ] {
        row.attributes.0[attribute.index()] = value;
    }
    row
}

fn randomiser(dice: &mut Dice) -> Row {
    let mut row = new(dice);
    let stack = 0xbad0 + dice.of(3);
    row.attributes.0[Attribute::Tls.index()] = stack;
    for attribute in [Attribute::Order, Attribute::Agent, Attribute::Accept, Attribute::Language, Attribute::Network] {
        row.attributes.0[attribute.index()] = dice.of(u32::MAX);
    }
    row
}

/// xorshift64*: the same rows on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn of(&mut self, sides: u32) -> u32 {
        (self.next() >> 32) as u32 % sides
    }

    /// Small numbers are more frequent.
    fn skewed(&mut self, sides: u32) -> u32 {
        self.of(sides).min(self.of(sides))
    }
}
