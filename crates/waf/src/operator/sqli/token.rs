//! The tokens of SQL, in the dialects of several databases at once.
//!
//! Kinds are the letters of fingerprints: `k` keyword, `U` union, `B` group, `E` expression, `t` type, `f` function, `n` name,
//! `1` number, `v` variable, `s` string, `o` operator, `&` logic, `c` comment, `A` collation, `T` Transact-SQL, `X` evil, `?`
//! other, and of `( ) { } . , : ; \` the character itself.

use memchr::{memchr, memmem};

use super::words;
use crate::bytes::{ByteSet, find_pair};

/// Bytes of a token's text that are kept.
const LONGEST: usize = 31;

/// The kind of what databases read and take for nothing.
const NOTHING: u8 = 0;

/// Where `#` and `--` begin comments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `--` does, `#` is an operator.
    Ansi,
    /// `#` does, `--` only before white space.
    MySql,
}

/// A token.
#[derive(Clone, Copy, Default)]
pub(super) struct Token<'a> {
    pub(super) kind: u8,
    /// The first bytes of its text, of a string without its quotes.
    pub(super) value: &'a [u8],
    /// What a string begins with; 0 if it began before the value.
    pub(super) open: u8,
    /// What it ends with; 0 if it does not.
    pub(super) close: u8,
}

impl<'a> Token<'a> {
    fn new(kind: u8, text: &'a [u8]) -> Self {
        Self { kind, value: text.get(..LONGEST).unwrap_or(text), open: 0, close: 0 }
    }

    /// Whether its text is `word`, which is in upper case.
    pub(super) fn is(&self, word: &[u8]) -> bool {
        self.value.eq_ignore_ascii_case(word)
    }

    /// Whether it is an operator with one operand.
    pub(super) fn is_unary(&self) -> bool {
        self.kind == b'o' && (matches!(self.value, [b'+' | b'-' | b'!' | b'~'] | b"!!") || self.is(b"NOT"))
    }

    pub(super) fn is_arithmetic(&self) -> bool {
        self.kind == b'o' && matches!(self.value, [b'*' | b'/' | b'-' | b'+' | b'%'])
    }
}

/// Reads tokens from a value.
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// The quote that the value stands in.
    inside: Option<u8>,
    dialect: Dialect,
    /// Tokens so far.
    count: usize,
    ambiguous: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8], inside: Option<u8>, dialect: Dialect) -> Self {
        Self { text, at: 0, inside, dialect, count: 0, ambiguous: false }
    }

    /// How many tokens were read.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether something meant a comment in one dialect that means something else in the other.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }

    pub(super) fn next_token(&mut self) -> Option<Token<'a>> {
        let token = match self.inside.take() {
            Some(quote) if !self.text.is_empty() => self.string(0, quote, 0),
            _ => loop {
                let white =
                    self.rest().iter().take_while(|&&byte| byte <= b' ' || byte == 0x7f || byte == 0xa0).count();
                self.at += white;
                let token = self.token(*self.rest().first()?);
                if token.kind != NOTHING {
                    break token;
                }
            },
        };
        self.count += 1;
        Some(token)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Takes `length` bytes as a token.
    fn take(&mut self, kind: u8, length: usize) -> Token<'a> {
        let (text, _) = self.rest().split_at_checked(length).unwrap_or((self.rest(), &[]));
        self.at += text.len();
        Token::new(kind, text)
    }

    fn token(&mut self, first: u8) -> Token<'a> {
        let rest = self.rest();
        match (first, rest) {
            (b'(' | b')' | b',' | b';' | b'{' | b'}', _) => self.take(first, 1),
            (b'+' | b'~' | b'%' | b'^', _) => self.take(b'o', 1),
            (b'?' | b']', _) => self.take(b'?', 1),
            (b'!' | b'&' | b'*' | b':' | b'<' | b'=' | b'>' | b'|', _) => self.operator(first),
            (b'\'' | b'"', _) => self.string(self.at + 1, first, first),
            (b'`', _) => self.back_quoted(),
            (b'#', _) => self.hash(),
            (b'-', _) => self.dash(),
            (b'/', [_, b'*', ..]) => self.comment(),
            (b'/', _) => self.take(b'o', 1),
            (b'\\', [_, b'N', ..]) => self.take(b'1', 2),
            (b'\\', _) => self.take(b'\\', 1),
            (b'0'..=b'9' | b'.', _) => self.number(),
            (b'$', _) => self.dollar(),
            (b'@', _) => self.variable(),
            (b'[', _) => {
                let length = memchr(b']', rest).map_or(rest.len(), |end| end + 1);
                self.take(b'n', length)
            }
            (b'e' | b'E' | b'n' | b'N', [_, b'\'', _, ..]) => self.string(self.at + 2, b'\'', b'\''),
            (b'n' | b'N', [_, b'q' | b'Q', ..]) => self.oracle_string(1),
            (b'q' | b'Q', _) => self.oracle_string(0),
            (b'u' | b'U', [_, b'&', b'\'', ..]) => {
                let mut token = self.string(self.at + 3, b'\'', b'u');
                if token.close == b'\'' {
                    token.close = b'u';
                }
                token
            }
            (b'b' | b'B', [_, b'\'', digits @ ..]) => self.bits(digits, |byte| matches!(byte, b'0' | b'1')),
            (b'x' | b'X', [_, b'\'', digits @ ..]) => self.bits(digits, |byte| byte.is_ascii_hexdigit()),
            _ => self.word(),
        }
    }

    /// A name, or what the list of words takes it for. A dot or a back quote ends a word that means something up to there.
    fn word(&mut self) -> Token<'a> {
        let rest = self.rest();
        let length = rest.iter().take_while(|&&byte| !ENDS_WORD.has(byte)).count();
        let word = rest.get(..length).unwrap_or_default();
        for (at, _) in word.iter().take(LONGEST).enumerate().filter(|(_, byte)| matches!(byte, b'.' | b'`')) {
            if let Some((_, kind)) = words::lookup(word.get(..at).unwrap_or_default()).filter(|&(_, kind)| kind != b'n')
            {
                return self.take(kind, at);
            }
        }
        self.take(words::lookup(word).map_or(b'n', |(_, kind)| kind), length)
    }

    fn operator(&mut self, first: u8) -> Token<'a> {
        let rest = self.rest();
        if rest.starts_with(b"<=>") {
            return self.take(b'o', 3);
        }
        if let Some((_, kind)) = rest.get(..2).and_then(words::lookup) {
            return self.take(kind, 2);
        }
        self.take(if first == b':' && rest.len() > 1 { b':' } else { b'o' }, 1)
    }

    fn hash(&mut self) -> Token<'a> {
        self.ambiguous = true;
        if self.dialect == Dialect::MySql { self.line() } else { self.take(b'o', 1) }
    }

    fn dash(&mut self) -> Token<'a> {
        match self.rest() {
            [_, b'-'] => self.line(),
            [_, b'-', 0 | b' ' | b'\t'..=b'\r' | 0xa0, ..] => self.line(),
            [_, b'-', ..] if self.dialect == Dialect::Ansi => {
                self.ambiguous = true;
                self.line()
            }
            _ => self.take(b'o', 1),
        }
    }

    /// A comment to the end of the line, whose newline goes with it.
    fn line(&mut self) -> Token<'a> {
        let rest = self.rest();
        let end = memchr(b'\n', rest);
        let token = self.take(b'c', end.unwrap_or(rest.len()));
        self.at += usize::from(end.is_some());
        token
    }

    /// A comment in marks. Some databases nest them and `MySQL` runs some of them, so these are evil.
    fn comment(&mut self) -> Token<'a> {
        let rest = self.rest();
        let inside = rest.get(2..).unwrap_or_default();
        let end = find_pair(inside, *b"*/");
        let nested = end.is_some_and(|end| find_pair(inside.get(..=end).unwrap_or_default(), *b"/*").is_some());
        let evil = nested || inside.starts_with(b"!");
        self.take(if evil { b'X' } else { b'c' }, end.map_or(rest.len(), |end| end + 4))
    }

    /// A string from `start` on. A backslash or a second quote keeps the quote from ending it.
    fn string(&mut self, start: usize, quote: u8, open: u8) -> Token<'a> {
        let text = self.text.get(start..).unwrap_or_default();
        let mut from = 0;
        let end = loop {
            let Some(next) = text.get(from..).and_then(|rest| memchr(quote, rest)).map(|next| from + next) else {
                break None;
            };
            let before = text.get(..next).unwrap_or_default();
            if before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1 {
                from = next + 1;
            } else if text.get(next + 1) == Some(&quote) {
                from = next + 2;
            } else {
                break Some(next);
            }
        };
        self.at = end.map_or(self.text.len(), |end| start + end + 1);
        let text = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
        Token { open, close: end.map_or(0, |_| quote), ..Token::new(b's', text) }
    }

    fn back_quoted(&mut self) -> Token<'a> {
        let mut token = self.string(self.at + 1, b'`', b'`');
        let function = words::lookup(token.value).is_some_and(|(_, kind)| kind == b'f');
        token.kind = if function { b'f' } else { b'n' };
        token
    }

    /// `q'(text)'` of Oracle, `skipped` bytes before the q.
    fn oracle_string(&mut self, skipped: usize) -> Token<'a> {
        let start = self.at + skipped + 3;
        let delimiter = match self.text.get(self.at + skipped..start) {
            Some([b'q' | b'Q', b'\'', delimiter @ 33..=127]) => match delimiter {
                b'(' => b')',
                b'[' => b']',
                b'{' => b'}',
                b'<' => b'>',
                other => *other,
            },
            _ => return self.word(),
        };
        let text = self.text.get(start..).unwrap_or_default();
        let end = find_pair(text, [delimiter, b'\'']);
        self.at = end.map_or(self.text.len(), |end| start + end + 2);
        let text = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
        Token { open: b'q', close: end.map_or(0, |_| b'q'), ..Token::new(b's', text) }
    }

    /// `b'01'` and `x'ff'`; a null passes for a digit.
    fn bits(&mut self, digits: &[u8], is_digit: impl Fn(u8) -> bool) -> Token<'a> {
        let count = span(digits, is_digit);
        if digits.get(count) == Some(&b'\'') { self.take(b'1', count + 3) } else { self.word() }
    }

    fn number(&mut self) -> Token<'a> {
        let rest = self.rest();
        let prefixed = match rest {
            [b'0', b'x' | b'X', digits @ ..] => Some(span(digits, |byte| byte.is_ascii_hexdigit())),
            [b'0', b'b' | b'B', digits @ ..] => Some(span(digits, |byte| matches!(byte, b'0' | b'1'))),
            _ => None,
        };
        if let Some(digits) = prefixed {
            return self.take(if digits == 0 { b'n' } else { b'1' }, 2 + digits);
        }
        let digits =
            |from: usize| rest.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut length = digits(0);
        if rest.get(length) == Some(&b'.') {
            length += 1 + digits(length + 1);
            if length == 1 {
                return self.take(b'.', 1);
            }
        }
        let mut kind = b'1';
        if matches!(rest.get(length), Some(b'e' | b'E')) {
            length += 1;
            length += usize::from(matches!(rest.get(length), Some(b'+' | b'-')));
            let exponent = digits(length);
            length += exponent;
            if exponent == 0 {
                // `MySQL` reads over a number that ends in its e.
                kind = NOTHING;
            }
        }
        // The suffixes of Oracle, also right before UNION.
        if let Some([b'd' | b'D' | b'f' | b'F', after @ ..]) = rest.get(length..)
            && matches!(after.first(), None | Some(0 | b' ' | b'\t'..=b'\r' | 0xa0 | b';' | b'u' | b'U'))
        {
            length += 1;
        }
        self.take(kind, length)
    }

    /// Money, and the quoted strings of `PostgreSQL`: `$$text$$`, `$tag$text$tag$`.
    fn dollar(&mut self) -> Token<'a> {
        let rest = self.rest();
        let after = rest.get(1..).unwrap_or_default();
        if after.is_empty() {
            return self.take(b'n', 1);
        }
        let money = span(after, |byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','));
        match (money, after) {
            (1, [b'.', ..]) => return self.word(),
            (0, _) => {}
            (digits, _) => return self.take(b'1', 1 + digits),
        }
        let tag = if after.first() == Some(&b'$') { 0 } else { span(after, |byte| byte.is_ascii_alphabetic()) };
        if after.get(tag) != Some(&b'$') {
            return self.take(b'n', 1);
        }
        let mark = rest.get(..tag + 2).unwrap_or_default();
        let text = rest.get(tag + 2..).unwrap_or_default();
        let end = memmem::find(text, mark);
        self.at += tag + 2 + end.map_or(text.len(), |end| end + mark.len());
        let text = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
        Token { open: b'$', close: end.map_or(0, |_| b'$'), ..Token::new(b's', text) }
    }

    /// `@name`, `@@name`, and quoted names.
    fn variable(&mut self) -> Token<'a> {
        self.at += if self.rest().starts_with(b"@@") { 2 } else { 1 };
        let mut token = match self.rest().first() {
            Some(b'`') => self.back_quoted(),
            Some(&quote @ (b'\'' | b'"')) => self.string(self.at + 1, quote, quote),
            _ => {
                let length = self.rest().iter().take_while(|&&byte| !ENDS_VARIABLE.has(byte)).count();
                self.take(b'v', length)
            }
        };
        token.kind = b'v';
        token
    }
}

/// How many bytes are digits, for which a null passes too.
fn span(text: &[u8], is_digit: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|&&byte| byte == 0 || is_digit(byte)).count()
}

/// What a word does not contain.
const ENDS_WORD: ByteSet = ByteSet::literal(b" []{}<>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r\"\xa0\0");
/// What the name of a variable does not contain.
const ENDS_VARIABLE: ByteSet = ByteSet::literal(b" <>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r'`\"\0");
