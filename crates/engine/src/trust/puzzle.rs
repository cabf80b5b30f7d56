//! The puzzle: Cuckoo Cycle (Tromp, "Cuckoo Cycle: a memory bound graph-theoretic proof-of-work", 2014).
//!
//! A nonce under the puzzle's MAC makes the key of a random bipartite graph: 2^16 nodes on each side and as many edges,
//! the ends of an edge being the two halves of its HalfSipHash-2-4. Who finds a cycle of 12 to 42 edges has solved that
//! graph; about half of all graphs have one. [`CYCLES`] graphs must be solved: several small ones make the time more
//! even than one large one. Looking for a cycle takes random accesses to 1 MiB, more than the inner caches of a phone
//! hold; checking one takes 2 to 42 hashes and no memory. That is why it is not Argon2id or scrypt: there a wrong
//! answer costs the gate as much memory and time as a right one costs the visitor, and whoever sends wrong answers has
//! found a new attack.
//!
//! What it does not do: it does not tell people from programs. It makes each pass cost about a tenth of a second of a
//! fast core, and a native solver gains a small factor over a browser, not four orders of magnitude as with SHA-256.
//!
//! An answer is the puzzle's token and the solved graphs in ascending order of their nonces, separated by dots: two
//! characters for the nonce and three for each edge, in the order in which the cycle is walked, so that the first wrong
//! edge ends the check.

use super::PuzzleError;
use super::token::{self, TEXT};

/// Graphs to be solved.
pub(crate) const CYCLES: usize = 4;
/// Nonces are below this: two characters of base64url.
const NONCES: u32 = 1 << 12;
/// Nodes on each side, and edges: just where cycles begin to be likely. An edge fits in three characters.
const EDGES: u32 = 1 << 16;
/// Shorter cycles could be found with less memory; longer ones only make answers long.
const SHORTEST: usize = 12;
const LONGEST: usize = 42;
/// The longest answer.
pub(crate) const ANSWER: usize = TEXT + CYCLES * (3 + 3 * LONGEST);

/// HalfSipHash-2-4 of one 32-bit word, with 64 bits of output as two halves.
#[inline]
fn half_sip(k0: u32, k1: u32, word: u32) -> (u32, u32) {
    let mut v = [k0, k1 ^ 0xee, 0x6c79_6765 ^ k0, 0x7465_6462 ^ k1];
    for block in [word, 4 << 24] {
        v[3] ^= block;
        rounds::<2>(&mut v);
        v[0] ^= block;
    }
    v[2] ^= 0xee;
    rounds::<4>(&mut v);
    let first = v[1] ^ v[3];
    v[1] ^= 0xdd;
    rounds::<4>(&mut v);
    (first, v[1] ^ v[3])
}

#[inline]
fn rounds<const COUNT: usize>(v: &mut [u32; 4]) {
    let [mut a, mut b, mut c, mut d] = *v;
    for _ in 0..COUNT {
        a = a.wrapping_add(b);
        b = b.rotate_left(5) ^ a;
        a = a.rotate_left(16);
        c = c.wrapping_add(d);
        d = d.rotate_left(8) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(7) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(13) ^ c;
        c = c.rotate_left(16);
    }
    *v = [a, b, c, d];
}

/// One graph.
#[derive(Clone, Copy)]
struct Graph {
    k0: u32,
    k1: u32,
}

impl Graph {
    fn new(mac: &[u8; 16], nonce: u32) -> Self {
        let word = |at: usize| u32::from_le_bytes([mac[at], mac[at + 1], mac[at + 2], mac[at + 3]]);
        let (k0, k1) = half_sip(word(0), word(4), nonce);
        Self { k0: k0 ^ word(8), k1: k1 ^ word(12) }
    }

    /// The nodes that an edge joins, one of each side.
    fn ends(self, edge: u32) -> (u32, u32) {
        let (u, v) = half_sip(self.k0, self.k1, edge);
        (u % EDGES, v % EDGES)
    }
}

/// Checks the part of an answer behind the token. Where it is refused, also says how many graphs were solved before that:
/// each took as long to check as it would in a right answer.
pub(crate) fn check(mac: &[u8; 16], answer: &[u8]) -> Result<(), (PuzzleError, usize)> {
    let mut parts = answer.split(|byte| *byte == b'.');
    let mut least = 0;
    for solved in 0..CYCLES {
        let part = parts.next().ok_or((PuzzleError::Malformed, solved))?;
        least = check_part(mac, part, least).map_err(|error| (error, solved))? + 1;
    }
    if parts.next().is_none() { Ok(()) } else { Err((PuzzleError::Malformed, CYCLES)) }
}

/// One solved graph: its nonce, which must not be below `least`, since none counts twice.
fn check_part(mac: &[u8; 16], part: &[u8], least: u32) -> Result<u32, PuzzleError> {
    let (nonce, edges) = part.split_at_checked(2).ok_or(PuzzleError::Malformed)?;
    let nonce = number(nonce)?;
    if nonce < least || edges.len() % 6 != 0 || !(SHORTEST..=LONGEST).contains(&(edges.len() / 3)) {
        return Err(PuzzleError::Malformed);
    }
    check_cycle(Graph::new(mac, nonce), edges)?;
    Ok(nonce)
}

/// Walks the cycle: an edge there, an edge back. It is one if the way closes and no node is met twice.
fn check_cycle(graph: Graph, edges: &[u8]) -> Result<(), PuzzleError> {
    let (mut starts, mut turns) = ([0; LONGEST / 2], [0; LONGEST / 2]);
    let mut here = None;
    for (at, pair) in edges.chunks_exact(6).enumerate() {
        let (there, back) = (number(&pair[..3])?, number(&pair[3..])?);
        if there >= EDGES || back >= EDGES {
            return Err(PuzzleError::Malformed);
        }
        let ((start, turn), (end, same)) = (graph.ends(there), graph.ends(back));
        let goes_on = here.is_none_or(|here| here == start) && same == turn;
        if !goes_on || starts[..at].contains(&start) || turns[..at].contains(&turn) {
            return Err(PuzzleError::Wrong);
        }
        (starts[at], turns[at], here) = (start, turn, Some(end));
    }
    if here == Some(starts[0]) { Ok(()) } else { Err(PuzzleError::Wrong) }
}

fn number(letters: &[u8]) -> Result<u32, PuzzleError> {
    letters.iter().try_fold(0, |number, letter| {
        token::value(*letter).map(|value| number << 6 | u32::from(value)).ok_or(PuzzleError::Malformed)
    })
}

/// Solves a puzzle as the page's script does: for tests, for simulations, and to know what it costs natively.
///
/// Nothing, where `puzzle` is not the text of a puzzle, or in the next to impossible case that 4,096 graphs do not do.
#[must_use]
pub fn solve_puzzle(puzzle: &str) -> Option<String> {
    let mac = token::mac_of(puzzle.as_bytes())?;
    let mut answer = puzzle.to_owned();
    let mut table = vec![(NOWHERE, 0); 2 * EDGES as usize];
    let mut solved = 0;
    for nonce in 0..NONCES {
        let Some(cycle) = find_cycle(Graph::new(&mac, nonce), &mut table) else { continue };
        answer.push('.');
        push_number(&mut answer, nonce, 2);
        for edge in cycle {
            push_number(&mut answer, edge, 3);
        }
        solved += 1;
        if solved == CYCLES {
            return Some(answer);
        }
    }
    None
}

const NOWHERE: u32 = u32::MAX;
/// A way this long means that the graph has one huge cycle-free knot; the next graph is cheaper.
const LONGEST_WAY: usize = 4096;

/// Adds edge after edge to a forest in which each node points towards its root. An edge whose ends have the same root
/// closes a cycle.
fn find_cycle(graph: Graph, table: &mut [(u32, u32)]) -> Option<Vec<u32>> {
    table.fill((NOWHERE, 0));
    let (mut us, mut vs) = (Vec::with_capacity(LONGEST_WAY), Vec::with_capacity(LONGEST_WAY));
    for edge in 0..EDGES {
        let (u, v) = graph.ends(edge);
        follow(table, u, &mut us);
        follow(table, v + EDGES, &mut vs);
        if us.len() == LONGEST_WAY || vs.len() == LONGEST_WAY {
            return None;
        }
        if us.last() == vs.last() {
            while us.len() > 1 && vs.len() > 1 && us[us.len() - 2] == vs[vs.len() - 2] {
                us.pop();
                vs.pop();
            }
            let (up, down) = (&us[..us.len() - 1], &vs[..vs.len() - 1]);
            if (SHORTEST..=LONGEST).contains(&(up.len() + down.len() + 1)) {
                let nodes = up.iter().chain(down.iter().rev());
                return Some(nodes.map(|node| table[*node as usize].1).chain([edge]).collect());
            }
            continue;
        }
        // The shorter way is turned round, so that its root becomes this edge's end.
        let (path, to) = if us.len() < vs.len() { (&us, v + EDGES) } else { (&vs, u) };
        for pair in path.windows(2).rev() {
            table[pair[1] as usize] = (pair[0], table[pair[0] as usize].1);
        }
        table[path[0] as usize] = (to, edge);
    }
    None
}

/// The way from a node to its root.
fn follow(table: &[(u32, u32)], from: u32, way: &mut Vec<u32>) {
    way.clear();
    let mut node = from;
    while node != NOWHERE && way.len() < LONGEST_WAY {
        way.push(node);
        node = table[node as usize].0;
    }
}

fn push_number(text: &mut String, number: u32, letters: u32) {
    for at in (0..letters).rev() {
        text.push(char::from(token::character(number >> (6 * at))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 16] = *b"a puzzle's MAC..";

    fn solved(nonce: u32) -> (Graph, Vec<u32>) {
        let mut table = vec![(NOWHERE, 0); 2 * EDGES as usize];
        (nonce..)
            .find_map(|nonce| {
                let graph = Graph::new(&MAC, nonce);
                Some((graph, find_cycle(graph, &mut table)?))
            })
            .expect("about half of all graphs have one")
    }

    fn written(edges: &[u32]) -> Vec<u8> {
        let mut text = String::new();
        for edge in edges {
            push_number(&mut text, *edge, 3);
        }
        text.into_bytes()
    }

    #[test]
    fn the_hash_is_half_sip_hash() {
        // Of the reference implementation's vectors with 64 bits of output, the one for four bytes.
        let (first, second) = half_sip(0x0302_0100, 0x0706_0504, 0x0302_0100);
        let mut bytes = first.to_le_bytes().to_vec();
        bytes.extend(second.to_le_bytes());
        assert_eq!(bytes, [0xd5, 0xe7, 0x8a, 0x17, 0x5b, 0xe5, 0x2e, 0xa1]);
    }

    #[test]
    fn a_cycle_is_one_from_wherever_it_is_walked_and_nothing_else_is() {
        let (graph, cycle) = solved(0);
        assert_eq!(check_cycle(graph, &written(&cycle)), Ok(()));
        let mut turned = cycle.clone();
        turned.rotate_left(2);
        assert_eq!(check_cycle(graph, &written(&turned)), Ok(()));
        // Reversed, it is walked from the other end, still from the same side.
        turned.reverse();
        assert_eq!(check_cycle(graph, &written(&turned)), Ok(()));
        turned.rotate_left(1);
        assert_eq!(check_cycle(graph, &written(&turned)), Err(PuzzleError::Wrong), "begun on the other side");
        for at in 0..cycle.len() {
            let mut wrong = cycle.clone();
            wrong[at] = (wrong[at] + 1) % EDGES;
            assert_eq!(check_cycle(graph, &written(&wrong)), Err(PuzzleError::Wrong));
            wrong[at] = EDGES;
            assert!(check_cycle(graph, &written(&wrong)).is_err());
        }
        let twice = [&cycle[..], &cycle[..]].concat();
        if twice.len() <= LONGEST {
            assert_eq!(check_cycle(graph, &written(&twice)), Err(PuzzleError::Wrong), "walked twice");
        }
        // The same edge to and fro closes, and is no cycle.
        let fro: Vec<u32> = std::iter::repeat_n(cycle[0], SHORTEST).collect();
        assert_eq!(check_cycle(graph, &written(&fro)), Err(PuzzleError::Wrong));
        assert_eq!(check_cycle(Graph::new(&MAC, 77), &written(&cycle)), Err(PuzzleError::Wrong), "another graph's");
    }

    #[test]
    fn about_half_of_the_graphs_have_a_cycle() {
        let mut table = vec![(NOWHERE, 0); 2 * EDGES as usize];
        let found = (0..40).filter(|nonce| find_cycle(Graph::new(&MAC, *nonce), &mut table).is_some()).count();
        assert!((8..=32).contains(&found), "{found} of 40");
    }
}
