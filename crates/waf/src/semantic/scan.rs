//! One pass over a value: which bytes are in it, and what kinds of words. Says which lexers could possibly fire.
//!
//! Nothing is judged here, and nothing is allocated: most values of ordinary traffic are done after this pass.

use super::words::{self, Kinds};

/// What a value has, as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Of `has::*`.
    pub(super) bytes: u32,
    /// Of `words::*`.
    pub(super) words: Kinds,
}

impl Seen {
    pub(super) fn bytes(self, any: u32) -> bool {
        self.bytes & any != 0
    }

    pub(super) fn words(self, any: Kinds) -> bool {
        self.words & any != 0
    }
}

/// Kinds of bytes; one bit each.
pub(super) mod has {
    pub(in super::super) const LETTER: u32 = 1;
    pub(in super::super) const DIGIT: u32 = 1 << 1;
    pub(in super::super) const SPACE: u32 = 1 << 2;
    pub(in super::super) const LINE: u32 = 1 << 3;
    pub(in super::super) const CONTROL: u32 = 1 << 4;
    pub(in super::super) const HIGH: u32 = 1 << 5;
    pub(in super::super) const QUOTE: u32 = 1 << 6;
    pub(in super::super) const TICK: u32 = 1 << 7;
    pub(in super::super) const LESS: u32 = 1 << 8;
    pub(in super::super) const PAREN: u32 = 1 << 9;
    pub(in super::super) const SEMICOLON: u32 = 1 << 10;
    pub(in super::super) const PIPE: u32 = 1 << 11;
    pub(in super::super) const AMPERSAND: u32 = 1 << 12;
    pub(in super::super) const DOLLAR: u32 = 1 << 13;
    pub(in super::super) const BRACE: u32 = 1 << 14;
    pub(in super::super) const PERCENT: u32 = 1 << 15;
    pub(in super::super) const BACKSLASH: u32 = 1 << 16;
    pub(in super::super) const SLASH: u32 = 1 << 17;
    pub(in super::super) const DOT: u32 = 1 << 18;
    pub(in super::super) const STAR: u32 = 1 << 19;
    pub(in super::super) const HASH: u32 = 1 << 20;
    pub(in super::super) const EQUALS: u32 = 1 << 21;
    pub(in super::super) const MINUS: u32 = 1 << 22;
    pub(in super::super) const COLON: u32 = 1 << 23;
    pub(in super::super) const PLUS: u32 = 1 << 24;
    pub(in super::super) const AT: u32 = 1 << 25;
    pub(in super::super) const BRACKET: u32 = 1 << 26;
    pub(in super::super) const BANG: u32 = 1 << 27;
    pub(in super::super) const QUESTION: u32 = 1 << 28;
    pub(in super::super) const GREATER: u32 = 1 << 29;
    pub(in super::super) const UNDERSCORE: u32 = 1 << 30;
    /// Comma, caret, tilde: nothing hangs on them.
    pub(in super::super) const OTHER: u32 = 1 << 31;
}

/// What may stand inside of a word.
const IN_WORD: u32 = has::LETTER | has::DIGIT | has::UNDERSCORE;

static CLASS: [u32; 256] = classes();

/// The class of a byte.
pub(super) fn class(byte: u8) -> u32 {
    CLASS[usize::from(byte)]
}

/// Whether a byte may stand inside of a word.
pub(super) fn in_word(byte: u8) -> bool {
    class(byte) & IN_WORD != 0
}

/// Looks at every byte once, and at words that begin as one of the table does once more.
pub(super) fn scan(text: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let found = class(*byte);
        seen.bytes |= found;
        at += 1;
        if found & (has::LETTER | has::UNDERSCORE) == 0 {
            continue;
        }
        let start = at - 1;
        let mut inside = found;
        while let Some(byte) = text.get(at) {
            let found = class(*byte);
            if found & IN_WORD == 0 {
                break;
            }
            inside |= found;
            at += 1;
        }
        seen.bytes |= inside;
        let second = text.get(start + 1).copied().unwrap_or(0);
        if at - start > 4 && *byte | 0x20 == b'o' && second | 0x20 == b'n' {
            seen.words |= words::EVENT;
        }
        let third = text.get(start + 2).copied().unwrap_or(0);
        if words::may_begin(*byte, second, third) {
            // The names of headers and of a few others have dashes in them.
            let mut end = at;
            if text.get(end) == Some(&b'-') {
                while text.get(end).is_some_and(|byte| in_word(*byte) || *byte == b'-') && end < start + 32 {
                    end += 1;
                }
                seen.words |= text.get(start..end).map_or(0, words::kinds);
            }
            seen.words |= text.get(start..at).map_or(0, words::kinds);
        }
    }
    seen
}

const fn classes() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => has::LETTER,
            b'0'..=b'9' => has::DIGIT,
            b' ' | b'\t' => has::SPACE,
            b'\n' | b'\r' => has::LINE,
            0..=8 | 11 | 12 | 14..=31 | 127 => has::CONTROL,
            128..=255 => has::HIGH,
            b'\'' | b'"' => has::QUOTE,
            b'`' => has::TICK,
            b'<' => has::LESS,
            b'>' => has::GREATER,
            b'(' | b')' => has::PAREN,
            b';' => has::SEMICOLON,
            b'|' => has::PIPE,
            b'&' => has::AMPERSAND,
            b'$' => has::DOLLAR,
            b'{' | b'}' => has::BRACE,
            b'%' => has::PERCENT,
            b'\\' => has::BACKSLASH,
            b'/' => has::SLASH,
            b'.' => has::DOT,
            b'*' => has::STAR,
            b'#' => has::HASH,
            b'=' => has::EQUALS,
            b'-' => has::MINUS,
            b':' => has::COLON,
            b'+' => has::PLUS,
            b'@' => has::AT,
            b'[' | b']' => has::BRACKET,
            b'!' => has::BANG,
            b'?' => has::QUESTION,
            b'_' => has::UNDERSCORE,
            _ => has::OTHER,
        };
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_words_where_they_begin() {
        for (text, kind, expected) in [
            (&b"1 union all"[..], words::SQL_VERB, true),
            (b"1union", words::SQL_VERB, true),
            (b"reunion", words::SQL_VERB, false),
            (b"union_jack", words::SQL_VERB, false),
            (b"x;WhoAmI", words::COMMAND, true),
            (b"pg_sleep(1)", words::SQL_DEED, true),
            (b"onbeforescriptexecute", words::EVENT, true),
            (b"one", words::EVENT, false),
            (b"set-cookie: a", words::HEADER, true),
            (b"", words::SQL_VERB, false),
        ] {
            assert_eq!(scan(text).words(kind), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn sees_every_byte() {
        for byte in 0..=255 {
            assert!(scan(&[byte]).bytes(class(byte)));
            assert!(scan(&[b'a', b'b', byte, b'c']).bytes(class(byte)));
        }
    }
}
