//! The reference that a visitor quotes and `portcullis explain` looks up.

use std::fmt;

/// How many characters a reference has.
pub const WORD_LEN: usize = 13;

/// Crockford's base 32: no I, L, O, U, so that it survives being read over the telephone.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Sixty-four bits that name one request on one node, unique until a worker has served 2^40 requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reference(pub u64);

impl Reference {
    /// The thirteen characters, without a terminator.
    #[must_use]
    pub fn word(self) -> [u8; WORD_LEN] {
        let mut word = [b'0'; WORD_LEN];
        let mut rest = self.0;
        for slot in word.iter_mut().rev() {
            *slot = ALPHABET[usize::try_from(rest & 31).unwrap_or(0)];
            rest >>= 5;
        }
        word
    }

    /// Reads what a person typed: case, spaces and dashes do not matter, and I, L, O are read as 1, 1, 0.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut value: u64 = 0;
        let mut digits = 0;
        for byte in text.bytes().filter(|byte| !matches!(byte, b' ' | b'-')) {
            let byte = match byte.to_ascii_uppercase() {
                b'I' | b'L' => b'1',
                b'O' => b'0',
                other => other,
            };
            let digit = ALPHABET.iter().position(|candidate| *candidate == byte)?;
            digits += 1;
            if digits > WORD_LEN || value >> 59 != 0 {
                return None;
            }
            value = value << 5 | u64::try_from(digit).ok()?;
        }
        (digits == WORD_LEN).then_some(Self(value))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.word() {
            fmt::Write::write_char(f, char::from(byte))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_survive_the_telephone() {
        for value in [0, 1, 31, 32, u64::MAX, 0x0123_4567_89AB_CDEF] {
            let reference = Reference(value);
            let spoken = reference.to_string().to_lowercase().replace('0', "o").replace('1', "l");
            assert_eq!(Reference::parse(&spoken), Some(reference), "{spoken}");
        }
        assert_eq!(Reference::parse("ZZZZZZZZZZZZZ"), None, "more than 64 bits");
        assert_eq!(Reference::parse("012"), None, "too short");
        assert_eq!(Reference::parse("0123456789AB!"), None);
    }
}
