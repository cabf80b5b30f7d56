//! Folding: what can be said shorter in SQL is, until five tokens are left or the value ends.
//!
//! The rules look at two tokens, then at three; the first that fits is applied, and all start anew. Each makes the list of tokens
//! shorter or changes a kind for good, so that folding ends.

use super::token::{Lexer, Token};
use super::words;

/// Tokens of a fingerprint.
pub(super) const MOST_TOKENS: usize = 5;
/// Places: one more token is read to tell what the last one is, and rules look up to three ahead.
const PLACES: usize = MOST_TOKENS + 3;

/// Names that are functions in front of a parenthesis.
const FUNCTIONS: [&[u8]; 11] = [
    b"USER_ID",
    b"USER_NAME",
    b"DATABASE",
    b"PASSWORD",
    b"USER",
    b"CURRENT_USER",
    b"CURRENT_DATE",
    b"CURRENT_TIME",
    b"CURRENT_TIMESTAMP",
    b"LOCALTIME",
    b"LOCALTIMESTAMP",
];

/// The tokens that are left.
pub(super) struct Folded<'a> {
    places: [Token<'a>; PLACES],
    /// Where the next token goes.
    end: usize,
    /// How many need no more folding.
    done: usize,
    /// The comment read last, if nothing followed it.
    comment: Option<Token<'a>>,
}

/// What comes after two tokens were looked at.
enum After {
    /// They changed: all rules anew.
    Again,
    /// No rule fits: a third token.
    Third,
    /// That is an injection in itself.
    Enough,
}

/// Reads and folds.
pub(super) fn fold<'a>(lexer: &mut Lexer<'a>) -> Folded<'a> {
    let mut folded = Folded { places: [Token::default(); PLACES], end: 0, done: 0, comment: None };
    // What means nothing at the beginning of an expression.
    let first = loop {
        match lexer.next_token() {
            None => return folded,
            Some(token) if matches!(token.kind, b'c' | b'(' | b't') || token.is_unary() => {}
            Some(token) => break token,
        }
    };
    folded.places[0] = first;
    folded.end = 1;
    let mut more = true;
    loop {
        folded.shorten_full();
        if !more || folded.done >= MOST_TOKENS {
            folded.done = folded.end;
            break;
        }
        more = folded.fill(lexer, 2);
        if folded.end - folded.done < 2 {
            folded.done = folded.end;
            continue;
        }
        match folded.two() {
            After::Again => continue,
            After::Enough => return folded,
            After::Third => {}
        }
        more = more && folded.fill(lexer, 3);
        if folded.end - folded.done < 3 {
            folded.done = folded.end;
            continue;
        }
        folded.three();
    }
    if let Some(comment) = folded.comment.filter(|_| folded.done < MOST_TOKENS) {
        folded.places[folded.done] = comment;
        folded.done += 1;
    }
    folded.done = folded.done.min(MOST_TOKENS);
    // PHP takes a back quote that nothing follows for a comment.
    if folded.done > 2 {
        let last = &mut folded.places[folded.done - 1];
        if last.kind == b'n' && last.open == b'`' && last.value.is_empty() && last.close == 0 {
            last.kind = b'c';
        }
    }
    folded
}

impl<'a> Folded<'a> {
    /// The tokens that are left, at most five.
    pub(super) fn tokens(&self) -> &[Token<'a>] {
        self.places.get(..self.done).unwrap_or_default()
    }

    /// Reads until `wanted` tokens are not done; false at the end of the value.
    fn fill(&mut self, lexer: &mut Lexer<'a>, wanted: usize) -> bool {
        while self.end <= MOST_TOKENS && self.end - self.done < wanted {
            match lexer.next_token() {
                None => return false,
                Some(token) if token.kind == b'c' => self.comment = Some(token),
                Some(token) => {
                    self.comment = None;
                    self.places[self.end] = token;
                    self.end += 1;
                }
            }
        }
        true
    }

    /// Expressions that fill all places and say no more than their beginning.
    fn shorten_full(&mut self) {
        if self.end < MOST_TOKENS {
            return;
        }
        let [a, b, c, d, e, ..] = self.places.map(|token| token.kind);
        let short = matches!(
            [a, b, c, d, e],
            [b'1', b'o' | b',', b'(', b'1', b')']
                | [b'n', b'o', b'(', b'n' | b'1', b')']
                | [b'1', b')', b',', b'(', b'1']
                | [b'n', b')', b'o', b'(', b'n']
        );
        if short {
            if self.end > MOST_TOKENS {
                self.places[1] = self.places[MOST_TOKENS];
                self.end = 2;
            } else {
                self.end = 1;
            }
            self.done = 0;
        }
    }

    /// Drops `count` tokens from the end and starts from the beginning.
    fn drop_last(&mut self, count: usize) -> After {
        self.end = self.end.saturating_sub(count);
        self.done = 0;
        After::Again
    }

    /// The rules on two tokens.
    fn two(&mut self) -> After {
        let at = self.done;
        let (left, right) = (self.places[at], self.places[at + 1]);
        match (left.kind, right.kind) {
            (b's', b's') | (b';', b';') => {
                self.end -= 1;
                After::Again
            }
            (b'o' | b'&', kind) if right.is_unary() || kind == b't' => self.drop_last(1),
            (b'(', _) if right.is_unary() => {
                self.end -= 1;
                self.done = at.saturating_sub(1);
                After::Again
            }
            (a, b) if may_merge(a, b) && self.merge(at) => {
                self.end -= 1;
                self.done = at.saturating_sub(1);
                After::Again
            }
            (b';', b'f') if right.value.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"IF")) => {
                // A statement in Transact-SQL.
                self.places[at + 1].kind = b'T';
                After::Again
            }
            (b'n' | b'v', b'(') if FUNCTIONS.iter().any(|name| left.is(name)) => {
                self.places[at].kind = b'f';
                After::Again
            }
            (b'k', kind) if left.is(b"IN") || left.is(b"NOT IN") => {
                self.places[at].kind = if kind == b'(' { b'o' } else { b'n' };
                After::Again
            }
            (b'o', kind) if left.is(b"LIKE") || left.is(b"NOT LIKE") => {
                if kind == b'(' {
                    self.places[at].kind = b'f';
                }
                After::Third
            }
            (b't', b'n' | b'1' | b't' | b'(' | b'f' | b'v' | b's') => {
                self.places[at] = right;
                self.drop_last(1)
            }
            (b'A', b'n') => {
                // There are too many collations to know, and each has an underscore.
                if right.value.contains(&b'_') {
                    self.places[at + 1].kind = b't';
                    self.done = 0;
                }
                After::Third
            }
            (b'\\', _) if right.is_arithmetic() => {
                self.places[at].kind = b'1';
                self.drop_last(0)
            }
            (b'\\', _) => {
                self.places[at] = right;
                self.drop_last(1)
            }
            (b'(', b'(') | (b')', b')') => self.drop_last(1),
            (b'{', b'n') if right.value.is_empty() => {
                self.places[at + 1].kind = b'X';
                self.done = at + 2;
                After::Enough
            }
            // An escape of ODBC: {word expression}.
            (b'{', b'n') => self.drop_last(2),
            (_, b'}') => self.drop_last(1),
            _ => After::Third,
        }
    }

    /// The rules on three tokens.
    fn three(&mut self) {
        let at = self.done;
        let [left, middle, right] = [self.places[at], self.places[at + 1], self.places[at + 2]];
        let unary = middle.is_unary();
        match (left.kind, middle.kind, right.kind) {
            (b'1', b'o', b'1')
            | (b'&', _, b'&')
            | (b'v', b'o', b'v' | b'1' | b'n')
            | (b'n' | b'1', b'o', b'1' | b'n')
            | (b'n' | b'1' | b's' | b'v', b',', b'1' | b'n' | b's' | b'v')
            | (b'n', b'.', b'n') => _ = self.drop_last(2),
            (b'o', kind, b'o') if kind != b'(' => _ = self.drop_last(2),
            // A cast of PostgreSQL.
            (b'n' | b'1' | b'v' | b's', b'o', b't') if middle.value == b"::" => _ = self.drop_last(2),
            (b',', _, b'1' | b'n' | b'v' | b's') if unary => {
                // The comma is looked at again with what stands before it.
                self.places[at + 1] = right;
                _ = self.drop_last(3);
            }
            (b'E' | b'B' | b',', _, b'(')
            | (b'k' | b'E' | b'B', _, b'1' | b'n' | b'v' | b's' | b'f')
            | (b',', _, b'f')
                if unary =>
            {
                self.places[at + 1] = right;
                _ = self.drop_last(1);
            }
            (b'E', b'.', b'n') => {
                self.places[at + 1] = right;
                _ = self.drop_last(1);
            }
            (kind, b'(', next) => {
                // With an argument it is no function.
                if kind == b'f' && next != b')' && left.is(b"USER") {
                    self.places[at].kind = b'n';
                }
                self.done += 1;
            }
            _ => self.done += 1,
        }
    }

    /// Joins two words that mean something together.
    fn merge(&mut self, at: usize) -> bool {
        let Some((word, kind)) = words::lookup_pair(self.places[at].value, self.places[at + 1].value) else {
            return false;
        };
        self.places[at].value = word;
        self.places[at].kind = kind;
        true
    }
}

/// Whether two words of these kinds could mean something together.
const fn may_merge(first: u8, second: u8) -> bool {
    const fn is_word(kind: u8) -> bool {
        matches!(kind, b'k' | b'n' | b'o' | b'U' | b'f' | b'E' | b'T' | b't')
    }
    is_word(first) && (is_word(second) || second == b'&')
}
