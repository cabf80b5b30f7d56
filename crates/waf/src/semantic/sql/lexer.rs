//! SQL as tokens, in no dialect: what any database would read, comments taken out.

use crate::bytes::find_pair;
use crate::semantic::scan::{class, has, in_word};
use crate::semantic::words::{self, Kinds};

/// A piece of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::semantic) struct Token {
    pub(super) kind: Kind,
    /// There was a comment before it, in the statement.
    pub(super) commented: bool,
    /// Nothing stands between it and the token before, not even a comment.
    pub(super) joined: bool,
    pub(super) start: u32,
    pub(super) end: u32,
    /// What the word is; 0 for other tokens.
    pub(super) words: Kinds,
    /// Of a bracket that opens, which token closes it; the number of tokens where none does.
    pub(super) closed_by: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `1`, `1.5e3`, `0x41`.
    Number,
    /// A string with both of its quotes.
    Text,
    /// A string whose end is outside: what the application's own quote closes.
    Open,
    /// A name or a keyword.
    Word,
    /// `@x`, `@@version`.
    Variable,
    /// `=`, `<`, `<>`, `<=>`, …
    Compare,
    /// `||` and `&&`.
    Logic,
    /// `+`, `-`, `*`, `/`, `^`, `~`, `!`.
    Arithmetic,
    LeftParen,
    RightParen,
    Comma,
    Semicolon,
    Dot,
    /// `--`, `#`: the rest of the statement is gone. Also an open `/*`.
    Comment,
    /// `/*!`: code for one database, a comment for the others.
    Versioned,
    /// What no statement has.
    Other,
}

/// Most tokens that are judged at once; a longer text is judged part by part, see [`super::look`].
pub(super) const TOKENS_MAX: usize = 4096;

/// Reads tokens from `at` until the text or the room ends, and says where it stopped.
pub(super) fn tokens(text: &[u8], mut at: usize, out: &mut Vec<Token>) -> usize {
    let mut commented = false;
    let mut joined = false;
    while let Some(byte) = text.get(at).copied() {
        if out.len() >= TOKENS_MAX {
            break;
        }
        let rest = text.get(at..).unwrap_or_default();
        let next = rest.get(1).copied().unwrap_or(0);
        let (kind, length) = match byte {
            0..=b' ' | 0x7F | 0xA0 => {
                at += 1;
                joined = false;
                continue;
            }
            b'/' if next == b'*' => {
                if rest.get(2) == Some(&b'!') || rest.get(2) == Some(&b'M') && rest.get(3) == Some(&b'!') {
                    let mark = if rest.get(2) == Some(&b'!') { 3 } else { 4 };
                    let digits = rest.iter().skip(mark).take(6).take_while(|byte| byte.is_ascii_digit()).count();
                    (Kind::Versioned, mark + digits)
                } else {
                    match find_pair(rest.get(2..).unwrap_or_default(), *b"*/") {
                        Some(end) => {
                            at += end + 4;
                            commented = true;
                            continue;
                        }
                        None => (Kind::Comment, rest.len()),
                    }
                }
            }
            // What is left of a versioned comment.
            b'*' if next == b'/' => {
                at += 2;
                commented = true;
                joined = false;
                continue;
            }
            b'-' | b'#' if byte == b'#' || next == b'-' => match memchr::memchr(b'\n', rest) {
                Some(end) => {
                    at += end + 1;
                    commented = true;
                    joined = false;
                    continue;
                }
                None => (Kind::Comment, rest.len()),
            },
            b'\'' | b'"' => string(rest, byte),
            b'`' => {
                let end = rest.iter().skip(1).take(66).position(|byte| *byte == b'`');
                end.map_or((Kind::Other, 1), |end| (Kind::Word, end + 2))
            }
            b'[' => {
                let end = rest.iter().skip(1).take(66).position(|byte| !(in_word(*byte) || *byte == b' '));
                match end {
                    Some(end) if end > 0 && rest.get(end + 1) == Some(&b']') => (Kind::Word, end + 2),
                    _ => (Kind::Other, 1),
                }
            }
            b'0'..=b'9' => number(rest),
            b'.' if next.is_ascii_digit() => number(rest),
            b'.' => (Kind::Dot, 1),
            b'@' => {
                let mark = if next == b'@' { 2 } else { 1 };
                let length = rest.iter().skip(mark).take_while(|byte| in_word(**byte)).count();
                let assign = usize::from(rest.get(mark + length..mark + length + 2) == Some(b":="));
                (Kind::Variable, mark + length + 2 * assign)
            }
            b'|' | b'&' if next == byte => (Kind::Logic, 2),
            b'=' | b'<' | b'>' | b'!' | b'^' | b'~' | b'|' | b'&' | b'%' => {
                let length = rest
                    .iter()
                    .take(4)
                    .take_while(|byte| matches!(byte, b'=' | b'<' | b'>' | b'!' | b'^' | b'~'))
                    .count();
                match rest.get(..length.max(1)).unwrap_or_default() {
                    b"=" | b"<" | b">" | b"<=" | b">=" | b"<>" | b"!=" | b"^=" | b"~=" | b"<=>" | b"!<" | b"!>" => {
                        (Kind::Compare, length)
                    }
                    b"!" | b"~" | b"^" | b"|" | b"&" | b"%" => (Kind::Arithmetic, 1),
                    // `1=!1`, `1=~1`.
                    [b'=', b'!' | b'~', ..] => (Kind::Compare, 1),
                    _ => (Kind::Other, length.max(1)),
                }
            }
            b'+' | b'-' | b'*' | b'/' => (Kind::Arithmetic, 1),
            b'(' => (Kind::LeftParen, 1),
            b')' => (Kind::RightParen, 1),
            b',' => (Kind::Comma, 1),
            b';' => (Kind::Semicolon, 1),
            b'{' => (Kind::Other, 1),
            _ if class(byte) & (has::LETTER | has::UNDERSCORE) != 0 || byte == b'$' => (Kind::Word, word(rest)),
            // Characters of other alphabets: names may have them.
            0x80..=0xFF => (Kind::Word, rest.iter().take_while(|byte| **byte >= 0x80 || in_word(**byte)).count()),
            _ => (Kind::Other, 1),
        };
        let words = if kind == Kind::Word { rest.get(..length).map_or(0, words::kinds) } else { 0 };
        let token = Token { kind, commented, joined, start: at as u32, end: (at + length) as u32, words, closed_by: 0 };
        out.push(token);
        commented = false;
        joined = true;
        at += length;
    }
    pair(out);
    at
}

/// Finds for each bracket that opens the one that closes it.
fn pair(tokens: &mut [Token]) {
    // Until they are closed, those that are open lead from each to the one around it.
    let none = u32::MAX;
    let mut innermost = none;
    for at in 0..tokens.len() {
        match tokens.get(at).map(|token| token.kind) {
            Some(Kind::LeftParen) => {
                if let Some(token) = tokens.get_mut(at) {
                    token.closed_by = innermost;
                }
                innermost = at as u32;
            }
            Some(Kind::RightParen) => {
                if let Some(token) = tokens.get_mut(innermost as usize) {
                    innermost = std::mem::replace(&mut token.closed_by, at as u32);
                }
            }
            _ => {}
        }
    }
    let all = tokens.len() as u32;
    while let Some(token) = tokens.get_mut(innermost as usize) {
        innermost = std::mem::replace(&mut token.closed_by, all);
    }
}

fn word(rest: &[u8]) -> usize {
    rest.iter().take_while(|byte| in_word(**byte) || matches!(byte, b'$')).count().max(1)
}

/// A string, escapes and doubled quotes in it. One that does not end within [`STRING_BYTES_MAX`] is open.
fn string(rest: &[u8], quote: u8) -> (Kind, usize) {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        if at > STRING_BYTES_MAX {
            return (Kind::Open, at);
        }
        let next = rest.get(at + 1);
        if *byte == b'\\' && next.is_some() || *byte == quote && next == Some(&quote) {
            at += 2;
        } else if *byte == quote {
            return (Kind::Text, at + 1);
        } else {
            at += 1;
        }
    }
    (Kind::Open, rest.len())
}

/// Longest string that is taken for one.
const STRING_BYTES_MAX: usize = 4096;

/// A number, and nothing of what is glued to it: databases read `1union` and `1e1union` as two tokens.
fn number(rest: &[u8]) -> (Kind, usize) {
    if let [b'0', b'x' | b'X', behind @ ..] = rest {
        let length = behind.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if length > 0 {
            return (Kind::Number, 2 + length);
        }
    }
    let mut at = 0;
    while rest.get(at).is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.') {
        at += 1;
    }
    if let Some(b'e' | b'E') = rest.get(at) {
        let sign = usize::from(matches!(rest.get(at + 1), Some(b'+' | b'-')));
        let digits = rest.iter().skip(at + 1 + sign).take_while(|byte| byte.is_ascii_digit()).count();
        // `1eunion`: the exponent may be empty in some, and the word goes on after it.
        if digits > 0 {
            at += 1 + sign + digits;
        }
    }
    (Kind::Number, at.max(1))
}
