//! What libinjection knows: words and their kinds, and the fingerprints of injections.

use std::sync::LazyLock;

/// Longest word of the list, in bytes.
const LONGEST_WORD: usize = 32;
/// Slots of the table of words; a power of two, four times the words.
const SLOTS: usize = 4096;
/// Bits of a kind in a packed fingerprint.
const KIND_BITS: u32 = 8;

struct Words {
    /// Word in upper case, and kind.
    words: Vec<(&'static [u8], u8)>,
    /// Positions in `words` plus one, by hash; open addressing.
    slots: Box<[u16; SLOTS]>,
    /// Packed, ascending.
    fingerprints: Vec<u64>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let mut words = Vec::new();
    let mut kind = b'n';
    for line in include_str!("words.txt").lines().filter(|line| !line.starts_with('#')) {
        let list = match line.strip_prefix("  ") {
            Some(list) => list,
            None => {
                kind = line.bytes().next().unwrap_or(b'n');
                line.get(2..).unwrap_or_default()
            }
        };
        words.extend(list.split(',').map(|word| (word.as_bytes(), kind)));
    }
    let mut slots = Box::new([0; SLOTS]);
    for (at, (word, _)) in words.iter().enumerate() {
        let mut slot = hash(word);
        while slots[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = at as u16 + 1;
    }
    let text = include_str!("fingerprints.txt").lines().filter(|line| !line.starts_with('#'));
    let mut fingerprints: Vec<u64> =
        text.flat_map(str::split_ascii_whitespace).map(|fingerprint| packed(fingerprint.as_bytes())).collect();
    fingerprints.sort_unstable();
    Words { words, slots, fingerprints }
});

/// The kind of a word or operator, upper and lower case alike, and the word as the list has it.
pub(super) fn lookup(word: &[u8]) -> Option<(&'static [u8], u8)> {
    if word.len() >= LONGEST_WORD {
        return None;
    }
    let table = &*WORDS;
    let mut slot = hash(word);
    loop {
        let at = usize::from(table.slots[slot]).checked_sub(1)?;
        let found = table.words.get(at)?;
        if found.0.eq_ignore_ascii_case(word) {
            return Some(*found);
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// The same for two words with a space between.
pub(super) fn lookup_pair(first: &[u8], second: &[u8]) -> Option<(&'static [u8], u8)> {
    let mut both = [0; LONGEST_WORD];
    let length = first.len() + 1 + second.len();
    let (start, rest) = both.get_mut(..length).filter(|_| length < LONGEST_WORD)?.split_at_mut(first.len());
    let (space, end) = rest.split_first_mut()?;
    start.copy_from_slice(first);
    *space = b' ';
    end.copy_from_slice(second);
    lookup(both.get(..length)?)
}

/// Whether a fingerprint is one of an injection.
pub(super) fn is_injection(kinds: &[u8]) -> bool {
    !kinds.is_empty() && WORDS.fingerprints.binary_search(&packed(kinds)).is_ok()
}

/// A slot for a word in any case (FNV-1a).
fn hash(word: &[u8]) -> usize {
    let hash =
        word.iter().fold(0x811c_9dc5u32, |hash, &byte| (hash ^ u32::from(byte & 0xdf)).wrapping_mul(0x0100_0193));
    (hash ^ hash >> 15) as usize % SLOTS
}

/// At most five kinds in a number. Case does not count.
fn packed(kinds: &[u8]) -> u64 {
    kinds.iter().fold(0, |number, kind| number << KIND_BITS | u64::from(kind.to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_in_any_case() {
        assert_eq!(WORDS.words.len(), 985);
        for &(word, kind) in &WORDS.words {
            assert_eq!(lookup(word), Some((word, kind)));
            assert_eq!(lookup(&word.to_ascii_lowercase()), Some((word, kind)));
            assert!(word.len() < LONGEST_WORD);
        }
        assert_eq!(lookup(b""), None);
        assert_eq!(lookup(b"SELECTS"), None);
        assert_eq!(lookup_pair(b"group", b"By").map(|found| found.1), Some(b'B'));
        assert_eq!(lookup_pair(&[b'a'; 20], &[b'b'; 20]), None);
    }

    #[test]
    fn every_fingerprint_is_its_own() {
        let mut packed = WORDS.fingerprints.clone();
        packed.dedup();
        assert_eq!(packed.len(), 8367);
        assert!(is_injection(b"s&1c") && is_injection(b"X") && !is_injection(b"nn") && !is_injection(b""));
    }
}
