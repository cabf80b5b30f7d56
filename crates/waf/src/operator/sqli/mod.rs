//! `@detectSQLi`: whether a value would change the meaning of an SQL statement that it is put into, by the method of
//! libinjection (Nick Galbreath; <https://github.com/libinjection/libinjection>).
//!
//! A value is read as SQL from three places: as it is, inside of single quotes and inside of double quotes. Its tokens are folded
//! until five are left; their kinds make a fingerprint, and a list of fingerprints tells which are injections. The answers are
//! those of the C library, checked by running it; the code is our own, and so are its speed and its bounds: each reading is one
//! pass over at most the tokens that folding asks for.

mod fold;
mod token;
mod words;

use memchr::{memchr, memmem};

use self::fold::{MOST_TOKENS, fold};
use self::token::{Dialect, Lexer, Token};

/// The kinds of a value's first tokens, a letter each: at most five.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    kinds: [u8; MOST_TOKENS],
    length: u8,
}

impl Fingerprint {
    /// Its letters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.kinds.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// The fingerprint of a value that is an injection.
#[must_use]
pub fn detect(value: &[u8]) -> Option<Fingerprint> {
    // A word, a number, or a number and a word: no fingerprint of these is on the list without a second look, which lets the one
    // that is (a number and UNION) pass.
    if value.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    read_both(value, None)
        .or_else(|| memchr(b'\'', value).and_then(|_| read_both(value, Some(b'\''))))
        .or_else(|| memchr(b'"', value).and_then(|_| read(value, Some(b'"'), Dialect::MySql).0))
}

/// Reads a value in the dialect of the standard, and in that of `MySQL` if something in it means something else there.
fn read_both(value: &[u8], inside: Option<u8>) -> Option<Fingerprint> {
    match read(value, inside, Dialect::Ansi) {
        (None, true) => read(value, inside, Dialect::MySql).0,
        (found, _) => found,
    }
}

/// The fingerprint if it is an injection's, and whether the other dialect should be tried.
fn read(value: &[u8], inside: Option<u8>, dialect: Dialect) -> (Option<Fingerprint>, bool) {
    let mut lexer = Lexer::new(value, inside, dialect);
    let folded = fold(&mut lexer);
    let tokens = folded.tokens();
    if tokens.iter().any(|token| token.kind == b'X') {
        // What databases read in different ways is an injection, whatever is around it.
        return (Some(Fingerprint { kinds: [b'X', 0, 0, 0, 0], length: 1 }), lexer.is_ambiguous());
    }
    let mut fingerprint = Fingerprint { kinds: [0; MOST_TOKENS], length: tokens.len() as u8 };
    for (kind, token) in fingerprint.kinds.iter_mut().zip(tokens) {
        *kind = token.kind;
    }
    let found = words::is_injection(fingerprint.as_bytes()) && !is_harmless(value, &fingerprint, tokens, lexer.count());
    (found.then_some(fingerprint), lexer.is_ambiguous())
}

/// Short fingerprints that ordinary text has too are looked at again. `read` is how many tokens there were before folding.
fn is_harmless(value: &[u8], fingerprint: &Fingerprint, tokens: &[Token<'_>], read: usize) -> bool {
    let kinds = fingerprint.as_bytes();
    // SQL Server does not log a statement with this in it.
    if kinds.len() > 1 && kinds.last() == Some(&b'c') && memmem::find(value, b"sp_password").is_some() {
        return false;
    }
    match (kinds, tokens) {
        ([_, b'U'], _) => read == 2,
        ([_, _], [first, second]) => is_harmless_pair(value, first, second, read),
        (b"sos" | b"s&s", [first, _, last]) => {
            // The middle of one string and another: …foo' + 'bar…
            !(first.open == 0 && last.close == 0 && first.close == last.open)
        }
        (b"s&n" | b"n&1" | b"1&1" | b"1&v" | b"1&s", _) => read == 3,
        ([_, b'k', _], [_, keyword, _]) => {
            // INTO OUTFILE and INTO DUMPFILE.
            keyword.value.len() < 5 || !keyword.value.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"INTO"))
        }
        _ => false,
    }
}

fn is_harmless_pair(value: &[u8], first: &Token<'_>, second: &Token<'_>, read: usize) -> bool {
    let mark = second.value.first().copied();
    if mark == Some(b'#') {
        return true;
    }
    match (first.kind, second.kind) {
        (b'n', b'c') => mark != Some(b'/'),
        (b'1', b'c') if mark == Some(b'/') || read > 2 => false,
        (b'1', b'c') => {
            // Identifiers may look like a number and a comment: what follows the number tells.
            let rest = value.get(first.value.len()..).unwrap_or_default();
            let white = rest.first().is_none_or(|&byte| byte <= 32 || byte >= 128);
            !(white || rest.starts_with(b"/*") || rest.starts_with(b"--"))
        }
        // A dash in text is no comment; at the end of the value it would be.
        _ => second.value.len() > 2 && mark == Some(b'-'),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_as_libinjection_does() {
        let mut found = 0;
        for line in
            include_str!("../../../../../specs/seclang/injections.txt").lines().filter(|line| !line.starts_with('#'))
        {
            let mut fields = line.split('\t');
            let (value, expected) = (crate::operator::unescaped(fields.next().unwrap()), fields.next().unwrap());
            let answer = detect(&value);
            let shown = answer.map_or("-".into(), |print| String::from_utf8_lossy(print.as_bytes()).into_owned());
            assert_eq!(shown, expected, "{line}");
            found += usize::from(answer.is_some());
        }
        assert!(found > 400);
    }

    #[test]
    fn a_word_or_a_number_is_none() {
        // The shortcut is right: without it, no value of these is found either.
        let words = include_str!("words.txt").lines().filter(|line| !line.starts_with('#'));
        for word in words
            .flat_map(|line| line.get(2..).unwrap().split(','))
            .filter(|word| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        {
            for before in ["", "1", "1f", "1e1", "1e", "0x1f", "0b1", "0x", "0"] {
                let value = format!("{before}{word}");
                assert_eq!(read_both(value.as_bytes(), None), None, "{value}");
            }
        }
    }

    #[test]
    fn long_values_end() {
        for part in ["'", "''", "\\'", "(", "/*", "$a$", "1e ", "{", "a.", "`", "q'", "-- \n", "x'", "1,", "@"] {
            let value = part.repeat(50_000);
            let _ = detect(value.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(value: Vec<u8>) {
            let print = detect(&value);
            prop_assert!(print.is_none_or(|print| words::is_injection(print.as_bytes())));
        }

        #[test]
        fn what_follows_a_comment_does_not_matter(tail in "[a-z ]{0,20}") {
            let value = format!("1' or '1'='1' -- {tail}");
            prop_assert_eq!(detect(value.as_bytes()).map(|print| print.as_bytes().to_vec()), Some(b"s&sos".to_vec()));
        }
    }
}
