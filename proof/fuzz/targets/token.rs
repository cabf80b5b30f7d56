//! Tokens and answers to puzzles: nothing that a client makes up is one, and reading it never panics.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_engine::{ManualError, PuzzleError, Sight, Step, Tokens, solve_puzzle};

const WALL: u64 = 1_795_319_000_000;

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| Tokens::new([7; 32]));
/// Solved once: what the fuzzer changes of it must be refused.
static ANSWER: LazyLock<String> = LazyLock::new(|| {
    let binding = TOKENS.binding(&Sight::default());
    solve_puzzle(TOKENS.puzzle(binding, WALL).as_str()).expect("every puzzle can be solved")
});

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let binding = TOKENS.binding(&Sight { agent: Some(data), ..Sight::default() });
    let own = TOKENS.binding(&Sight::default());
    if mode % 4 == 0 {
        // Bytes as they come.
        worthless(data);
        assert_eq!(TOKENS.read(data, || binding, WALL), None);
        return;
    }
    // A token or an answer of ours, with some bytes changed.
    let passed = TOKENS.passed(Step::Puzzle, own, 1, WALL);
    let history = TOKENS.history(20_700, 1, 1, WALL);
    let ours: &[u8] = match mode % 4 {
        1 => passed.as_ref(),
        2 => history.as_ref(),
        _ => ANSWER.as_bytes(),
    };
    let mut forged = ours.to_vec();
    for change in data.chunks_exact(3) {
        let at = (usize::from(change[0]) << 8 | usize::from(change[1])) % forged.len();
        forged[at] = change[2];
    }
    if let Some(length) = data.chunks_exact(3).remainder().first() {
        forged.truncate(forged.len().saturating_sub(usize::from(*length)));
    }
    // Not by `!=`: the fuzzer watches comparisons of memory and would learn a true token from it.
    let differs = forged.iter().zip(ours).fold(0, |differs, (a, b)| differs | (a ^ b));
    if differs != 0 || forged.len() != ours.len() {
        // A cycle may be walked from anywhere and in both directions; the fuzzer does not get there by single bytes.
        worthless(&forged);
    }
});

fn worthless(text: &[u8]) {
    let own = TOKENS.binding(&Sight::default());
    assert_eq!(TOKENS.read(text, || own, WALL), None);
    assert_eq!(TOKENS.read_ticket(text, WALL), None);
    assert!(!TOKENS.check_echo(text, own, WALL));
    assert_eq!(TOKENS.check_manual(text, own, WALL), Err(ManualError::NotOurs));
    // Of its own: an answer that is half right uses its puzzle up, and then nothing would be looked at any more.
    assert!(matches!(
        Tokens::new([7; 32]).check_puzzle(text, own, WALL),
        Err(PuzzleError::NotOurs | PuzzleError::Malformed | PuzzleError::Wrong)
    ));
}
