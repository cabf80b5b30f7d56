//! What tokens and puzzles cost: reading, refusing wrong answers, accepting right ones, and solving natively.
//!
//! `cargo run --release -p portcullis-engine --example trust`. It prints figures and never judges them.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it measures time; the engine itself reads no clock"
)]

use std::hint::black_box;
use std::time::Instant;

use portcullis_engine::{Sight, Step, Tokens, solve_puzzle};

const WALL: u64 = 1_795_319_000_000;
const READS: u32 = 1_000_000;
const PUZZLES: usize = 40;

fn main() {
    let tokens = Tokens::new([7; 32]);
    let agent = b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
    let stack = b"t13d1516h2_8daaf6152771_e5627efa2ab1";
    let sight = Sight { tls: Some(stack), agent: Some(agent), ..Sight::default() };
    let who = tokens.binding(&sight);
    println!("tokens: {:.1} MiB", tokens.bytes() as f64 / f64::from(1 << 20));

    let history = tokens.history(20_700, 1, 2, WALL);
    let passed = tokens.passed(Step::Puzzle, who, 3, WALL);
    let mut forged = passed.as_ref().to_vec();
    forged[30] ^= 1;
    for (name, text) in [("history", history.as_ref()), ("passed", passed.as_ref()), ("forged", &forged[..])] {
        println!("read {name}: {:.0} ns", each(READS, || tokens.read(black_box(text), || who, WALL).is_some()));
    }
    println!("binding: {:.0} ns", each(READS, || tokens.binding(black_box(&sight)) == who));
    println!("make: {:.0} ns", each(READS, || tokens.puzzle(who, WALL).as_str().is_empty()));

    let mut solving = Vec::new();
    let answers: Vec<String> = (0..PUZZLES)
        .map(|_| {
            let puzzle = tokens.puzzle(who, WALL);
            let begun = Instant::now();
            let answer = solve_puzzle(puzzle.as_str()).unwrap_or_default();
            solving.push(begun.elapsed().as_secs_f64() * 1e3);
            answer
        })
        .collect();
    solving.sort_by(f64::total_cmp);
    println!(
        "solve natively: median {:.0} ms, 95th percentile {:.0} ms, mean {:.0} ms",
        solving[PUZZLES / 2],
        solving[PUZZLES * 95 / 100],
        solving.iter().sum::<f64>() / PUZZLES as f64
    );

    let wrong_mac = answers[0].replacen('.', "A.", 1)[1..].to_owned();
    let (puzzle, cycles) = answers[0].split_once('.').unwrap_or_default();
    let nonsense = format!("{puzzle}.{}", "AAABBBCCCDDDEEEFFFGGGHHHIIIJJJKKKLLLAA.".repeat(4).trim_end_matches('.'));
    // Right but for the last edge of the first cycle: the dearest wrong answer to which nobody needs a second cycle.
    let mut nearly = answers[0].clone().into_bytes();
    let end = puzzle.len() + cycles.find('.').unwrap_or_default();
    nearly[end] = if nearly[end] == b'A' { b'B' } else { b'A' };
    for (name, answer) in [
        ("another's MAC", wrong_mac.as_bytes()),
        ("nonsense for cycles", nonsense.as_bytes()),
        ("one edge wrong at the end of the first cycle", &nearly[..]),
        ("5,000 letters", "A".repeat(5_000).as_bytes()),
    ] {
        let nanos = each(READS, || tokens.check_puzzle(black_box(answer), who, WALL).is_ok());
        println!("refuse, {name}: {nanos:.0} ns");
    }
    let begun = Instant::now();
    let right = answers.iter().filter(|answer| tokens.check_puzzle(answer.as_bytes(), who, WALL).is_ok()).count();
    println!("accept: {:.0} ns ({right} of {PUZZLES})", begun.elapsed().as_secs_f64() * 1e9 / PUZZLES as f64);
    let nanos = each(READS, || tokens.check_puzzle(black_box(answers[0].as_bytes()), who, WALL).is_ok());
    println!("refuse, used before: {nanos:.0} ns");
    println!("characters of an answer: {} at most", answers.iter().map(String::len).max().unwrap_or_default());
}

/// Nanoseconds of one, in the calmest of ten rounds.
fn each(count: u32, mut run: impl FnMut() -> bool) -> f64 {
    let round = |run: &mut dyn FnMut() -> bool| {
        let begun = Instant::now();
        for _ in 0..count / 10 {
            black_box(run());
        }
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(count / 10)
    };
    (0..10).map(|_| round(&mut run)).fold(f64::MAX, f64::min)
}
