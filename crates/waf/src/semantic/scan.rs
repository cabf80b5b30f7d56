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
    /// A row of white space that is longer than anything needs.
    pub(super) gap: bool,
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

/// Looks at every byte once, and at words that begin as one of the table does once more. Where words begin is found for
/// sixty-four bytes at a time, because a branch for each byte, or for each few, would cost more than all the rest.
pub(super) fn scan(text: &[u8]) -> Seen {
    let mut seen = Seen::default();
    // The letters of the chunk before, as far as they matter: whether its last byte is one.
    let mut before = 0;
    let (blocks, rest) = text.as_chunks::<64>();
    for (index, block) in blocks.iter().enumerate() {
        let mut starts = 0;
        for (number, chunk) in block.as_chunks::<8>().0.iter().enumerate() {
            starts |= begins(chunk, &mut before, &mut seen) << (8 * number);
        }
        words(text, index * 64, starts, &mut seen);
    }
    let offset = text.len() - rest.len();
    let (chunks, tail) = rest.as_chunks::<8>();
    let mut starts = 0;
    for (number, chunk) in chunks.iter().enumerate() {
        starts |= begins(chunk, &mut before, &mut seen) << (8 * number);
    }
    words(text, offset, starts, &mut seen);
    seen.bytes |= tail.iter().fold(0, |all, byte| all | class(*byte));
    // Zeros behind the last are no letters.
    let letters = letters(tail.iter().rev().fold(0, |last, byte| last << 8 | u64::from(*byte)));
    words(text, text.len() - tail.len(), side_by_side(letters & !(letters << 8 | before)), &mut seen);
    seen
}

/// Takes eight bytes into account, and says at which of them words begin: one bit each.
#[inline(always)]
fn begins(chunk: &[u8; 8], before: &mut u64, seen: &mut Seen) -> u64 {
    let found = chunk.iter().fold(0, |all, byte| all | class(*byte));
    seen.bytes |= found;
    // Any sixteen in a row have such a part.
    seen.gap |= found & !(has::SPACE | has::LINE) == 0;
    let letters = letters(u64::from_le_bytes(*chunk));
    let starts = letters & !(letters << 8 | *before);
    *before = letters >> 56;
    side_by_side(starts)
}

/// The high bit of each byte, side by side.
const fn side_by_side(bits: u64) -> u64 {
    (bits >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// Looks at the words that begin where a bit is set, counted from an offset.
#[inline(always)]
fn words(text: &[u8], offset: usize, mut starts: u64, seen: &mut Seen) {
    while starts != 0 {
        seen.words |= word(text, offset + starts.trailing_zeros() as usize);
        starts &= starts - 1;
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// The high bit of each byte that is a letter or an underscore.
fn letters(bytes: u64) -> u64 {
    let low = (bytes | (0x20 * ONES)) & !HIGH;
    let letter = (low + (0x80 - b'a' as u64) * ONES) & !(low + (0x7F - b'z' as u64) * ONES);
    let other = bytes ^ (b'_' as u64 * ONES);
    let underscore = !(((other & !HIGH) + 0x7F * ONES) | other);
    (letter | underscore) & !bytes & HIGH
}

/// The high bit of each byte that is a digit.
fn digits(bytes: u64) -> u64 {
    let low = bytes & !HIGH;
    (low + (0x80 - b'0' as u64) * ONES) & !(low + (0x7F - b'9' as u64) * ONES) & !bytes & HIGH
}

/// What the word that begins at a position is, where it stands. Most words are none that is known, and done here.
#[inline(always)]
fn word(text: &[u8], start: usize) -> Kinds {
    let rest = text.get(start..).unwrap_or_default();
    let first = match rest.first_chunk::<8>() {
        Some(first) => u64::from_le_bytes(*first),
        None => rest.iter().rev().fold(0, |first, byte| first << 8 | u64::from(*byte)),
    };
    let beyond = !(letters(first) | digits(first)) & HIGH;
    // Of eight bytes, those before the first that is beyond the word; there is at least one.
    let length = (beyond.trailing_zeros() / 8).max(1);
    let key = (first | (0x20 * ONES)) & u64::MAX >> (64 - 8 * length);
    let length = length as usize;
    let event = key & 0xFFFF == u64::from(u16::from_le_bytes(*b"on")) && length > 4;
    let known = words::beginning(key);
    if known == 0 && !event {
        return 0;
    }
    known_word(text, start, known, length, event)
}

/// What a word is where it stands, of what it could be by its beginning.
#[inline(never)]
fn known_word(text: &[u8], start: usize, known: Kinds, length: usize, event: bool) -> Kinds {
    let rest = text.get(start..).unwrap_or_default();
    let end = if length < 8 { start + length } else { start + rest.iter().take_while(|byte| in_word(**byte)).count() };
    let mut kinds = match length {
        8 if end - start > 8 && known & words::LONG != 0 => text.get(start..end).map_or(0, words::kinds),
        8 if end - start > 8 => 0,
        _ => known & !(words::LONG | words::DASHED),
    };
    if event && end - start > 4 {
        kinds |= words::EVENT;
    }
    // What sentences have: next to nothing is left of it there.
    if kinds & !IN_SENTENCES == 0
        && text.get(end) == Some(&b' ')
        && text.get(end + 1).is_some_and(u8::is_ascii_alphabetic)
        && known & words::DASHED == 0
    {
        return 0;
    }
    // The names of headers and of a few others have dashes in them.
    if known & words::DASHED != 0 && text.get(end) == Some(&b'-') {
        let dashed = rest.iter().take(32).take_while(|byte| in_word(**byte) || **byte == b'-').count();
        let known = rest.get(..dashed).map_or(0, words::kinds);
        return plausible(known, text, start, start + dashed) | plausible(kinds, text, start, end);
    }
    if kinds == 0 { 0 } else { plausible(kinds, text, start, end) }
}

/// Kinds of words that have a sign behind them where they mean something.
const IN_SENTENCES: Kinds =
    words::HEADER | words::SCHEME | words::DIRECTORY | words::SCRIPT_SINK | words::SCRIPT_GLOBAL | words::SCRIPT_NAME;

/// What a word could be where it stands: of what it is, what its neighbours leave. Prose leaves next to nothing.
fn plausible(kinds: Kinds, text: &[u8], start: usize, end: usize) -> Kinds {
    let byte = |at: usize| text.get(at).copied().unwrap_or(0);
    let is_blank = |byte: u8| matches!(byte, 1..=b' ' | 0xA0 | b'+');
    let adjacent = byte(end);
    let mut next_at = end;
    // White space in a row is looked at by the words beside it and by nobody else, so this stays linear.
    while is_blank(byte(next_at)) {
        next_at += 1;
    }
    let next = byte(next_at);
    let mut before = start;
    while before > 0 && is_blank(byte(before - 1)) {
        before -= 1;
    }
    let previous = if before == 0 { 0 } else { byte(before - 1) };
    // A comment is nothing to those who read code; what stands behind it is for the lexers to see.
    if next == b'/' && matches!(byte(next_at + 1), b'*' | b'/')
        || previous == b'/' && byte(before.wrapping_sub(2)) == b'*'
    {
        return kinds;
    }
    let mut keep = words::ELEMENT | words::EVENT | words::OBJECT;
    let called = next == b'(' || kinds & words::SQL != words::SQL_FUNCTION;
    if kinds & words::SQL != 0 && called && follows_in_sql(kinds, text, next_at, next) {
        keep |= words::SQL;
    }
    let command = matches!(
        previous,
        0 | b';'
            | b'|'
            | b'&'
            | b'\n'
            | b'\r'
            | b'`'
            | b'('
            | b'{'
            | b'/'
            | b'$'
            | b'='
            | b'!'
            | b'\\'
            | b'"'
            | b'\''
            | b'@'
            | b'%'
            | b'}'
    );
    // Blanks were skipped, and line ends are among them. A list, an address or an assignment goes on behind it, not a command.
    let listed = matches!(adjacent, b',' | b':' | b'=' | b'(' | b']' | b'*') && previous != b'{';
    // A word alone is one, and no command that tells anything.
    let listed = listed || start == 0 && end == text.len() && kinds & (words::COMMAND | words::COMMAND_WINDOWS) == 0;
    let lined = || text.get(before..start).is_some_and(|blank| memchr::memchr2(b'\n', b'\r', blank).is_some());
    if !listed && (command || lined()) {
        keep |= words::COMMAND | words::COMMAND_WEAK | words::COMMAND_WINDOWS;
    }
    if matches!(next, b'(' | b'`' | b'[' | b'=' | b'?')
        || next == b')' && matches!(previous, b'(' | b',')
        || adjacent == b'.' && byte(end + 1).is_ascii_alphabetic()
        || matches!(previous, b'(' | b'=' | b',' | b'[' | b'\'' | b'"' | b'`') && !adjacent.is_ascii_whitespace()
    {
        keep |= words::SCRIPT_SINK | words::SCRIPT_GLOBAL | words::SCRIPT_NAME;
    }
    if matches!(next, b'(' | b'[')
        || adjacent == b'.' && !is_blank(byte(end + 1))
        || matches!(previous, b'@' | b'#' | b'$' | b'.' | b'{' | b'_' | b'(' | b'"' | b'\'' | b'\\' | b'&' | b'=')
        || before == 0
    {
        keep |= words::CODE_SINK | words::CODE_NAME;
    }
    let beside = |byte: u8| matches!(byte, b'/' | b'\\' | b'.' | b'%' | 1..=0x1F | 0x80..);
    if beside(byte(start.wrapping_sub(1))) || beside(adjacent) {
        keep |= words::FILE;
    }
    if matches!(next, b':') || matches!(adjacent, 1..=0x1F) || adjacent == b'/' {
        keep |= words::SCHEME | words::HEADER;
    }
    if matches!(next, b':' | b'(' | b')' | b'=' | b'/' | b'-') {
        keep |= words::DIRECTORY;
    }
    if previous == b'$' {
        keep |= words::NOSQL;
    }
    if !matches!(next, b'=' | b'%' | b'[' | 0x80.. | b'<') && !is_blank(adjacent) {
        keep &= !words::EVENT;
    }
    kinds & keep
}

/// Words that compare.
const COMPARISONS: &[&[u8]] = &[b"like", b"rlike", b"ilike", b"regexp", b"between", b"is", b"in", b"not", b"glob"];

/// Whether what follows a word of SQL could follow it in a statement: a value, a bracket, a sign, another of its words, or a
/// name with a sign behind it.
fn follows_in_sql(kinds: Kinds, text: &[u8], next_at: usize, next: u8) -> bool {
    match next {
        0 => kinds & words::SQL_AND == 0,
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
            let rest = text.get(next_at..).unwrap_or_default();
            let length = rest.iter().take_while(|byte| in_word(**byte)).count();
            let behind = rest.iter().skip(length).take_while(|byte| matches!(byte, 1..=b' ' | b'+')).count();
            let sign = rest.get(length + behind).copied().unwrap_or(0);
            // `or name like`: the word behind is one of its own.
            let third = rest.get(length + behind..).unwrap_or_default();
            let third = third.get(..third.iter().take(8).take_while(|byte| byte.is_ascii_alphabetic()).count());
            let compared = third.is_some_and(|word| COMPARISONS.iter().any(|known| word.eq_ignore_ascii_case(known)));
            let another = compared || rest.get(..length).map_or(0, words::kinds) & words::SQL != 0;
            another
                || matches!(sign, b'=' | b'<' | b'>' | b'(' | b',' | b'\'' | b'"' | b'@' | b'*' | b'!' | b'|' | b'`')
                || kinds & words::SQL_VERB != 0 && matches!(sign, b'.' | b';' | 0)
                || sign == b'-'
                || sign == b'#'
                || sign == b'/' && rest.get(length + behind + 1) == Some(&b'*')
        }
        b'.' => kinds & (words::SQL_SYSTEM | words::SQL_DEED | words::SQL_VERB | words::SQL_AND) != 0,
        b')' | b']' | b'}' | b':' | b'?' => kinds & words::SQL_SYSTEM != 0,
        b',' | b';' => kinds & (words::SQL_SYSTEM | words::SQL_WORD) != 0,
        _ => true,
    }
}

const fn classes() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => has::LETTER,
            b'0'..=b'9' => has::DIGIT,
            b' ' | b'\t' => has::SPACE,
            b'\n' | b'\r' | 11 | 12 => has::LINE,
            0..=8 | 14..=31 | 127 => has::CONTROL,
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
            (b"the union of all", words::SQL_VERB, false),
            (b"1union(", words::SQL_VERB, true),
            (b"reunion", words::SQL_VERB, false),
            (b"union_jack", words::SQL_VERB, false),
            (b"x;WhoAmI", words::COMMAND, true),
            (b"pg_sleep(1)", words::SQL_DEED, true),
            (b"onbeforescriptexecute =", words::EVENT, true),
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
