//! Tokens: small signed notes that a visitor carries, so that the gate needs to remember nothing.
//!
//! A token is [`BYTES`] long and [`TEXT`] characters in a cookie: kind, class, when it was issued, one instant or day,
//! a random id, and a MAC of all this under a key of its kind and time. It never holds an address, a name, or anything
//! that says who the visitor is.
//!
//! The MAC is SipHash-2-4 with 128 bits of output. A forger who sends a million guesses a second needs 10^25 years to be
//! lucky, and each of them costs the gate 200 ns; a key lives for three months at most, and the next one says nothing about
//! it. Keys have 128 bits and are derived from the 256 bits of the master. Reading takes a decoding, a derivation and a
//! MAC, and allocates nothing.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::binding::Binding;

/// Bytes of a token.
pub(crate) const BYTES: usize = 40;
/// Characters of a token: base64url without padding.
pub(crate) const TEXT: usize = 54;
/// What the MAC covers.
const SIGNED: usize = BYTES - 16;

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// An ordinary visitor on other days.
    History = 1,
    /// Passed a challenge.
    Passed = 2,
    /// Given out to see whether it comes back.
    Echo = 3,
    /// A puzzle to solve.
    Puzzle = 4,
    /// A place in the waiting room.
    Room = 5,
    /// A place in the queue of those who take the way without a puzzle.
    Manual = 6,
}

impl Kind {
    /// How long a token is good for, in seconds. Its key is used for as long and accepted for as long again, so a token
    /// never outlives its key.
    pub(crate) const fn lifetime(self) -> u64 {
        match self {
            Self::History => 45 * 86_400,
            Self::Passed => 3_600,
            Self::Echo => 120,
            Self::Puzzle => 600,
            Self::Room => 6 * 3_600,
            Self::Manual => 900,
        }
    }
}

/// The fields of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// What the kind makes of it.
    pub(crate) class: u8,
    /// Unix seconds.
    pub(crate) issued: u32,
    /// An instant in unix milliseconds, or a day.
    pub(crate) since: u64,
    pub(crate) id: u64,
}

/// A token as it stands in a cookie. ASCII, nothing in it needs quoting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenText([u8; TEXT]);

impl TokenText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl AsRef<[u8]> for TokenText {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// What all keys come from.
#[derive(Clone)]
pub(crate) struct Keys {
    /// Both have taken in the whole master: under one half of it, the other.
    deriving: SipHasher24,
    numbering: SipHasher24,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    pub(crate) fn new(master: [u8; 32]) -> Self {
        let (left, right) = master.split_at(16);
        let under = |key: &[u8], text: &[u8]| {
            let mut hasher = SipHasher24::new_with_key(&key.try_into().unwrap_or_default());
            hasher.write(text);
            hasher
        };
        Self { deriving: under(left, right), numbering: under(right, left) }
    }

    /// Signs and writes.
    pub(crate) fn write(&self, token: &Token, binding: Option<Binding>) -> TokenText {
        let epoch = u64::from(token.issued) / token.kind.lifetime();
        let mut bytes = [0; BYTES];
        bytes[0] = token.kind as u8;
        bytes[1] = token.class;
        bytes[4..8].copy_from_slice(&token.issued.to_le_bytes());
        bytes[8..16].copy_from_slice(&token.since.to_le_bytes());
        bytes[16..24].copy_from_slice(&token.id.to_le_bytes());
        let mac = self.mac(token.kind, epoch, &bytes[..SIGNED], binding);
        bytes[SIGNED..].copy_from_slice(&mac.to_le_bytes());
        TokenText(encode(&bytes))
    }

    /// Reads a token of that kind, if it is ours, whole, in its time, and the same visitor's.
    pub(crate) fn read(&self, text: &[u8], kind: Kind, binding: Option<Binding>, wall: u64) -> Option<Token> {
        let bytes = decode(text)?;
        if bytes[0] == kind as u8 { self.check(&bytes, kind, binding, wall) } else { None }
    }

    /// Reads what vouches for a visitor, [`Kind::History`] or [`Kind::Passed`]: each request that carries one pays for
    /// this.
    pub(crate) fn read_vouch(&self, text: &[u8], binding: impl FnOnce() -> Binding, wall: u64) -> Option<Token> {
        let bytes = decode(text)?;
        match bytes[0] {
            1 => self.check(&bytes, Kind::History, None, wall),
            2 => self.check(&bytes, Kind::Passed, Some(binding()), wall),
            _ => None,
        }
    }

    fn check(&self, bytes: &[u8; BYTES], kind: Kind, binding: Option<Binding>, wall: u64) -> Option<Token> {
        let issued = u32::from_le_bytes(bytes[4..8].try_into().ok()?);
        let now = wall / 1000;
        // Another node's clock may be a little ahead of ours.
        if u64::from(issued) > now + CLOCK_SKEW || now >= u64::from(issued) + kind.lifetime() {
            return None;
        }
        let epoch = u64::from(issued) / kind.lifetime();
        let mac = self.mac(kind, epoch, &bytes[..SIGNED], binding);
        // All of it at once: a forger learns nothing from the time it takes.
        if mac != u128::from_le_bytes(bytes[SIGNED..].try_into().ok()?) {
            return None;
        }
        let since = u64::from_le_bytes(bytes[8..16].try_into().ok()?);
        let id = u64::from_le_bytes(bytes[16..24].try_into().ok()?);
        Some(Token { kind, class: bytes[1], issued, since, id })
    }

    fn mac(&self, kind: Kind, epoch: u64, signed: &[u8], binding: Option<Binding>) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.derive(kind as u8, epoch));
        hasher.write(signed);
        if let Some(binding) = binding {
            hasher.write(&binding.bytes());
        }
        hasher.finish128().as_u128()
    }

    /// The key of that kind and time. A key that leaks says nothing about the master or any other key.
    fn derive(&self, kind: u8, epoch: u64) -> [u8; 16] {
        let mut hasher = self.deriving;
        hasher.write_u64(epoch << 8 | u64::from(kind));
        hasher.finish128().as_bytes()
    }

    /// A number that nobody outside can predict.
    pub(crate) fn number(&self, count: u64, wall: u64) -> u64 {
        let mut hasher = self.numbering;
        hasher.write_u64(count);
        hasher.write_u64(wall);
        hasher.finish128().h1
    }
}

/// The MAC of a token that was not checked: whoever solves a puzzle needs it.
pub(crate) fn mac_of(text: &[u8]) -> Option<[u8; 16]> {
    decode(text)?[SIGNED..].try_into().ok()
}

/// Nodes may differ by so many seconds.
const CLOCK_SKEW: u64 = 30;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NONE: u8 = 0xFF;
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut at = 0;
    while at < 64 {
        #[expect(clippy::cast_possible_truncation, reason = "below 64")]
        let value = at as u8;
        values[ALPHABET[at] as usize] = value;
        at += 1;
    }
    values
};

/// The value of one character.
pub(crate) fn value(character: u8) -> Option<u8> {
    Some(VALUES[usize::from(character)]).filter(|value| *value != NONE)
}

/// The character of six bits.
pub(crate) fn character(value: u32) -> u8 {
    ALPHABET[(value & 63) as usize]
}

fn encode(bytes: &[u8; BYTES]) -> [u8; TEXT] {
    let mut text = [0; TEXT];
    for (three, four) in bytes.chunks(3).zip(text.chunks_mut(4)) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for (at, letter) in four.iter_mut().enumerate() {
            *letter = character(bits >> (18 - 6 * at));
        }
    }
    text
}

fn decode(text: &[u8]) -> Option<[u8; BYTES]> {
    let text: &[u8; TEXT] = text.try_into().ok()?;
    let (fours, last) = text.as_chunks::<4>();
    let mut bytes = [0; BYTES];
    let mut wrong = 0;
    let mut bits = |letters: &[u8]| {
        letters.iter().fold(0u32, |bits, letter| {
            let value = VALUES[usize::from(*letter)];
            wrong |= value;
            bits << 6 | u32::from(value & 63)
        })
    };
    for (four, three) in fours.iter().zip(bytes.as_chunks_mut::<3>().0) {
        let [_, first, second, third] = bits(four).to_be_bytes();
        *three = [first, second, third];
    }
    let [_, _, high, low] = (bits(last) << 4).to_be_bytes();
    bytes[BYTES - 1] = high;
    // Two texts for one token would be two tokens to whoever counts texts.
    (wrong & 0xC0 == 0 && low == 0).then_some(bytes)
}
