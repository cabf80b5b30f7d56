//! Reads a pattern as PCRE2 10.42 does with the options of `ModSecurity` 3 (`DOTALL`, `MULTILINE`, bytes, newline is LF), into
//! the regular expressions that run in linear time.
//!
//! What has no equal there is refused with its place and reason, and so is what releases of PCRE read differently. Nothing is
//! approximated. Source: `pcre2pattern(3)`.

use std::ops::Range;

use regex_syntax::hir::{Capture, Class, ClassBytes, ClassBytesRange, Hir, HirKind, Look, Repetition};

use crate::bytes::ByteSet;

/// Deepest nesting of groups; PCRE2's own default.
const DEEPEST: usize = 250;
/// Longest pattern, in bytes; the longest of the Core Rule Set has 12,126.
const LONGEST: usize = 1 << 16;
/// Largest count in a repetition; PCRE's would be 65,535, which no bounded program has room for.
const MOST_REPEATED: u32 = 1000;
/// Groups beyond this number are matched and not remembered: rules see `TX:0` to `TX:9`.
pub(super) const LAST_GROUP: u32 = 9;

/// A pattern that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where in the pattern, in bytes.
    pub at: Range<usize>,
    /// Why, as a clause.
    pub reason: String,
}

/// What a pattern means.
pub(super) struct Parsed {
    pub(super) hir: Hir,
    /// Whether the meaning of `^` after the newline that ends a value matters: PCRE does not match it there.
    pub(super) circumflex: Circumflex,
}

/// What may come of `^` at the very end of a value that ends in a newline, where PCRE, unlike most, does not match it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Circumflex {
    /// Something must follow, or there is none.
    Harmless,
    /// An empty match there is to be dropped.
    DropEmptyAtEnd,
    /// An empty match there is right whatever `^` says.
    KeepEmptyAtEnd,
}

/// Reads a pattern. `groups` tells whether groups are remembered.
pub(super) fn parse(pattern: &str, ignore_case: bool, groups: bool) -> Result<Parsed, Refused> {
    let mut parser = Parser {
        text: pattern.as_bytes(),
        at: 0,
        flags: Flags { ignore_case, multi_line: true, dot_all: true, extended: false, swap_greed: false },
        opened: 0,
        depth: 0,
        groups,
    };
    let outcome = parser.whole().and_then(|hir| {
        let whole = 0..pattern.len();
        let Some(circumflex) = judge_circumflex(&hir) else {
            let reason = "`^` behind something, with nothing that must follow it, is not supported";
            return Err(refused(whole, reason));
        };
        if groups && circumflex == Circumflex::KeepEmptyAtEnd && hir.properties().explicit_captures_len() > 0 {
            let reason = "groups in a pattern that may be empty at a line's beginning are not supported";
            return Err(refused(whole, reason));
        }
        if groups && !ends_loops_as_pcre(&hir) {
            let reason = "a repetition of what may be empty, with a group in it or with something after the empty way, ends \
                          where nothing in linear time does";
            return Err(refused(whole, reason));
        }
        Ok(Parsed { hir, circumflex })
    });
    outcome.map_err(|refused| Refused { at: widened(pattern, refused.at), reason: refused.reason })
}

/// The place, moved outward to whole characters.
fn widened(pattern: &str, at: Range<usize>) -> Range<usize> {
    let start = (0..=at.start.min(pattern.len())).rev().find(|&place| pattern.is_char_boundary(place)).unwrap_or(0);
    let end = (at.end..=pattern.len()).find(|&place| pattern.is_char_boundary(place)).unwrap_or(pattern.len());
    start..end
}

#[derive(Clone, Copy)]
struct Flags {
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
    extended: bool,
    swap_greed: bool,
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    flags: Flags,
    /// Groups opened so far.
    opened: u32,
    depth: usize,
    groups: bool,
}

/// One item of a sequence.
enum Item {
    /// May be repeated.
    Atom(Hir),
    /// Matches a place and may not be repeated.
    Place(Look),
    /// Changes how the rest is read.
    Nothing,
}

/// What an escape says.
enum Escape {
    Byte(u8),
    Set(ByteSet),
    Place(Look),
    /// `\Q…\E`.
    Quoted(Range<usize>),
}

fn refused(at: Range<usize>, reason: impl Into<String>) -> Refused {
    Refused { at, reason: reason.into() }
}

impl Parser<'_> {
    fn whole(&mut self) -> Result<Hir, Refused> {
        if self.text.len() > LONGEST {
            return Err(refused(LONGEST..self.text.len(), format!("a pattern has at most {LONGEST} bytes")));
        }
        if let Some(null) = memchr::memchr(0, self.text) {
            return Err(refused(null..null + 1, "a pattern has no null; write \\x00"));
        }
        if self.text.is_empty() {
            // `ModSecurity` reads `.*` where there is nothing.
            return Ok(repetition(class(ByteSet::FULL), 0, None, true));
        }
        if self.rest().starts_with(b"(*") {
            return Err(refused(0..2, "verbs and settings in parentheses are not supported"));
        }
        let hir = self.alternation()?;
        if self.at < self.text.len() {
            return Err(refused(self.at..self.at + 1, "this parenthesis closes nothing"));
        }
        Ok(hir)
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Takes `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Branches up to the end of the group. Flags that one changes hold in those after it too.
    fn alternation(&mut self) -> Result<Hir, Refused> {
        let mut branches = vec![self.sequence()?];
        while self.take(b'|') {
            branches.push(self.sequence()?);
        }
        Ok(Hir::alternation(branches))
    }

    fn sequence(&mut self) -> Result<Hir, Refused> {
        let mut items = Vec::new();
        loop {
            self.skip_comments()?;
            let start = self.at;
            match self.peek() {
                None | Some(b')' | b'|') => return Ok(Hir::concat(items)),
                Some(b'*' | b'+' | b'?') => {
                    return Err(refused(start..start + 1, "there is nothing before it that could be repeated"));
                }
                Some(b'{') if self.count()?.is_some() => {
                    return Err(refused(start..self.at, "there is nothing before it that could be repeated"));
                }
                Some(b'\\') => match self.escape(false)? {
                    Escape::Byte(byte) => {
                        let literal = self.literal(byte);
                        items.push(self.repeated(literal)?);
                    }
                    Escape::Set(set) => items.push(self.repeated(class(set))?),
                    Escape::Place(look) => items.push(self.place(look)?),
                    Escape::Quoted(range) => {
                        let quoted = self.text.get(range).unwrap_or_default();
                        if let Some((&last, before)) = quoted.split_last() {
                            items.extend(before.iter().map(|&byte| self.literal(byte)));
                            let literal = self.literal(last);
                            items.push(self.repeated(literal)?);
                        }
                    }
                },
                Some(_) => match self.item()? {
                    Item::Atom(hir) => items.push(self.repeated(hir)?),
                    Item::Place(look) => items.push(self.place(look)?),
                    Item::Nothing => {}
                },
            }
        }
    }

    /// White space and comments of extended patterns, and `(?#…)`.
    fn skip_comments(&mut self) -> Result<(), Refused> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t'..=b'\r') if self.flags.extended => self.at += 1,
                Some(b'#') if self.flags.extended => {
                    self.at += memchr::memchr(b'\n', self.rest()).map_or(self.rest().len(), |end| end + 1);
                }
                Some(b'(') if self.rest().starts_with(b"(?#") => match memchr::memchr(b')', self.rest()) {
                    Some(end) => self.at += end + 1,
                    None => return Err(refused(self.at..self.text.len(), "this comment does not end")),
                },
                _ => return Ok(()),
            }
        }
    }

    fn item(&mut self) -> Result<Item, Refused> {
        let start = self.at;
        Ok(match self.next() {
            Some(b'.') if self.flags.dot_all => Item::Atom(class(ByteSet::FULL)),
            Some(b'.') => Item::Atom(class(ByteSet::literal(b"\n").complement())),
            Some(b'^') => Item::Place(if self.flags.multi_line { Look::StartLF } else { Look::Start }),
            Some(b'$') if self.flags.multi_line => Item::Place(Look::EndLF),
            Some(b'$') => {
                return Err(refused(start..self.at, "`$` without the flag m looks ahead for a last newline; use \\z"));
            }
            Some(b'[') => Item::Atom(self.bracket(start)?),
            Some(b'(') => self.group(start)?,
            Some(byte) => Item::Atom(self.literal(byte)),
            None => Item::Nothing,
        })
    }

    fn literal(&self, byte: u8) -> Hir {
        if self.flags.ignore_case && byte.is_ascii_alphabetic() {
            class(ByteSet::EMPTY.with(byte.to_ascii_lowercase()).with(byte.to_ascii_uppercase()))
        } else {
            Hir::literal([byte])
        }
    }

    /// A place, which must not be repeated.
    fn place(&mut self, look: Look) -> Result<Hir, Refused> {
        self.skip_comments()?;
        let start = self.at;
        let quantified = matches!(self.peek(), Some(b'*' | b'+' | b'?')) || self.count()?.is_some();
        if quantified {
            return Err(refused(start..self.at.max(start + 1), "a place cannot be repeated"));
        }
        Ok(Hir::look(look))
    }

    /// An item with what says how often it comes.
    fn repeated(&mut self, item: Hir) -> Result<Hir, Refused> {
        self.skip_comments()?;
        let sign = self.at;
        let (least, most) = match self.peek() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            Some(b'{') => match self.count()? {
                Some(count) => count,
                None => return Ok(item),
            },
            _ => return Ok(item),
        };
        if self.at == sign {
            self.at += 1;
        }
        let lazy = match self.peek() {
            Some(b'+') => {
                let reason = "a possessive repetition gives nothing back, which has no equal in linear time";
                return Err(refused(sign..self.at + 1, reason));
            }
            Some(b'?') => {
                self.at += 1;
                true
            }
            _ => false,
        };
        self.skip_comments()?;
        let end = self.at;
        if matches!(self.peek(), Some(b'*' | b'+' | b'?')) || self.count()?.is_some() {
            let end = self.at.max(end + 1);
            return Err(refused(sign..end, "a repetition cannot be repeated; put a group around it"));
        }
        Ok(repetition(item, least, most, lazy == self.flags.swap_greed))
    }

    /// `{n}`, `{n,}` or `{n,m}`, if that is what comes next; otherwise nothing is taken.
    fn count(&mut self) -> Result<Option<(u32, Option<u32>)>, Refused> {
        let start = self.at;
        let Some(after) = self.rest().strip_prefix(b"{") else { return Ok(None) };
        let Some(end) = memchr::memchr(b'}', after) else { return Ok(None) };
        let inner = after.get(..end).unwrap_or_default();
        if !inner.iter().any(u8::is_ascii_digit)
            || !inner.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b',' | b' ' | b'\t'))
        {
            return Ok(None);
        }
        let whole = start..start + end + 2;
        let mut parts = inner.split(|&byte| byte == b',');
        let (least, most, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let plain = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
        if more.is_some() {
            return Ok(None);
        }
        if least.is_empty() || !plain(least) || !most.is_none_or(plain) {
            return Err(refused(whole, "releases of PCRE differ in whether this is a repetition"));
        }
        let number = |digits: &[u8]| {
            let value = digits
                .iter()
                .fold(0u32, |value, digit| value.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
            if value > MOST_REPEATED {
                return Err(refused(whole.clone(), format!("a repetition counts to {MOST_REPEATED} at most")));
            }
            Ok(value)
        };
        let least = number(least)?;
        let most = match most {
            None => Some(least),
            Some([]) => None,
            Some(digits) => Some(number(digits)?),
        };
        if most.is_some_and(|most| most < least) {
            return Err(refused(whole, "the numbers are in the wrong order"));
        }
        self.at = start + end + 2;
        Ok(Some((least, most)))
    }

    /// What follows an opening parenthesis.
    fn group(&mut self, start: usize) -> Result<Item, Refused> {
        let outer = self.flags;
        let mut index = None;
        if self.peek() == Some(b'*') {
            return Err(refused(start..self.at + 1, "verbs are not supported"));
        }
        if self.take(b'?') {
            match self.next() {
                Some(b':') => {}
                Some(b'|') => return Err(refused(start..self.at, "groups that share their numbers are not supported")),
                Some(b'>') => return Err(refused(start..self.at, "an atomic group has no equal in linear time")),
                Some(b'=' | b'!') => return Err(refused(start..self.at, "looking ahead has no equal in linear time")),
                Some(b'<') if matches!(self.peek(), Some(b'=' | b'!')) => {
                    return Err(refused(start..self.at + 1, "looking behind has no equal in linear time"));
                }
                Some(b'<') => index = Some(self.name(start, b'>')?),
                Some(b'\'') => index = Some(self.name(start, b'\'')?),
                Some(b'P') if self.take(b'<') => index = Some(self.name(start, b'>')?),
                Some(b'(') => return Err(refused(start..self.at, "conditions are not supported")),
                Some(b'C') => return Err(refused(start..self.at, "callouts are not supported")),
                Some(b'P' | b'R' | b'&' | b'+' | b'0'..=b'9') => {
                    return Err(refused(start..self.at, "references to groups have no equal in linear time"));
                }
                Some(b'-') if self.peek().is_some_and(|byte| byte.is_ascii_digit()) => {
                    return Err(refused(start..self.at, "references to groups have no equal in linear time"));
                }
                Some(_) => {
                    self.at -= 1;
                    if self.flag_letters(start)? {
                        return Ok(Item::Nothing);
                    }
                }
                None => return Err(refused(start..self.at, "this group does not end")),
            }
        } else {
            self.opened += 1;
            index = Some(self.opened);
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(refused(start..self.at, format!("groups are nested at most {DEEPEST} deep")));
        }
        let inner = self.alternation()?;
        self.depth -= 1;
        if !self.take(b')') {
            return Err(refused(start..start + 1, "this group does not end"));
        }
        self.flags = outer;
        Ok(Item::Atom(match index {
            Some(index) if self.groups && index <= LAST_GROUP => {
                Hir::capture(Capture { index, name: None, sub: Box::new(inner) })
            }
            _ => inner,
        }))
    }

    /// The name of a group, which only its number outlives.
    fn name(&mut self, start: usize, end: u8) -> Result<u32, Refused> {
        let length = self.rest().iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        if length == 0 || length > 32 || self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(refused(
                start..self.at,
                "a group's name has at most 32 letters, digits and underscores, and no digit first",
            ));
        }
        self.at += length;
        if !self.take(end) {
            return Err(refused(start..self.at, "this name does not end"));
        }
        self.opened += 1;
        Ok(self.opened)
    }

    /// `imsxU-…`, then `)`, for the rest of the group around it (true), or `:`.
    fn flag_letters(&mut self, start: usize) -> Result<bool, Refused> {
        let mut on = true;
        if self.take(b'^') {
            self.flags = Flags { ignore_case: false, multi_line: false, dot_all: false, extended: false, ..self.flags };
        }
        loop {
            match self.next() {
                Some(b'i') => self.flags.ignore_case = on,
                Some(b'm') => self.flags.multi_line = on,
                Some(b's') => self.flags.dot_all = on,
                Some(b'x') if self.peek() != Some(b'x') => self.flags.extended = on,
                Some(b'U') => self.flags.swap_greed = on,
                Some(b'J') => {}
                Some(b'-') if on => on = false,
                Some(b')') => return Ok(true),
                Some(b':') => return Ok(false),
                _ => return Err(refused(start..self.at, "this is no kind of group, and no flag that is supported")),
            }
        }
    }

    /// What a backslash and what follows it say. In brackets a few letters mean something else.
    fn escape(&mut self, in_brackets: bool) -> Result<Escape, Refused> {
        let start = self.at;
        self.at += 1;
        let Some(letter) = self.next() else {
            return Err(refused(start..self.at, "a backslash at the end of a pattern escapes nothing"));
        };
        let no_equal = |end| refused(start..end, "this escape is not supported, as it has no equal in linear time");
        Ok(match letter {
            b'a' => Escape::Byte(7),
            b'b' if in_brackets => Escape::Byte(8),
            b'e' => Escape::Byte(0x1b),
            b'f' => Escape::Byte(0x0c),
            b'n' => Escape::Byte(b'\n'),
            b'r' => Escape::Byte(b'\r'),
            b't' => Escape::Byte(b'\t'),
            b'c' => match self.next() {
                Some(byte @ b' '..=b'~') => Escape::Byte(byte.to_ascii_uppercase() ^ 0x40),
                _ => return Err(refused(start..self.at, "`\\c` takes a printable character")),
            },
            b'd' => Escape::Set(DIGIT),
            b'D' => Escape::Set(DIGIT.complement()),
            b'h' => Escape::Set(HORIZONTAL),
            b'H' => Escape::Set(HORIZONTAL.complement()),
            b's' => Escape::Set(SPACE),
            b'S' => Escape::Set(SPACE.complement()),
            b'v' => Escape::Set(VERTICAL),
            b'V' => Escape::Set(VERTICAL.complement()),
            b'w' => Escape::Set(WORD),
            b'W' => Escape::Set(WORD.complement()),
            b'x' => Escape::Byte(self.hexadecimal(start)?),
            b'o' if self.take(b'{') => Escape::Byte(self.braced(start, 8)?),
            b'Q' => {
                let from = self.at;
                let length = memchr::memmem::find(self.rest(), b"\\E");
                self.at = length.map_or(self.text.len(), |length| from + length + 2);
                Escape::Quoted(from..length.map_or(self.text.len(), |length| from + length))
            }
            b'E' => Escape::Quoted(start..start),
            b'0' => Escape::Byte(self.octal(start, 2, 0)?),
            b'1'..=b'7' if in_brackets => Escape::Byte(self.octal(start, 2, u32::from(letter - b'0'))?),
            b'8' | b'9' if in_brackets => Escape::Byte(letter),
            b'1'..=b'9' => {
                let more = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
                let digits = self.text.get(start + 1..self.at + more).unwrap_or_default();
                let number = digits
                    .iter()
                    .fold(0u32, |value, digit| value.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
                if letter >= b'8' || number < 10 || number <= self.opened {
                    return Err(refused(start..self.at + more, "references to groups have no equal in linear time"));
                }
                Escape::Byte(self.octal(start, 2, u32::from(letter - b'0'))?)
            }
            _ if in_brackets && letter.is_ascii_alphanumeric() => {
                return Err(refused(start..self.at, "this escape means nothing in brackets"));
            }
            b'A' => Escape::Place(Look::Start),
            b'z' => Escape::Place(Look::End),
            b'b' => Escape::Place(Look::WordAscii),
            b'B' => Escape::Place(Look::WordAsciiNegate),
            b'C' => Escape::Set(ByteSet::FULL),
            b'N' if self.peek() != Some(b'{') => Escape::Set(ByteSet::literal(b"\n").complement()),
            b'Z' => return Err(refused(start..self.at, "`\\Z` looks ahead for a last newline; use \\z")),
            b'G' | b'K' | b'R' | b'X' | b'g' | b'k' => return Err(no_equal(self.at)),
            b'p' | b'P' | b'N' => {
                return Err(refused(
                    start..self.at,
                    "properties of characters are not supported: patterns match bytes",
                ));
            }
            _ if letter.is_ascii_alphanumeric() => return Err(refused(start..self.at, "there is no such escape")),
            other => Escape::Byte(other),
        })
    }

    /// What follows `\x`: at most two digits, or any number in braces.
    fn hexadecimal(&mut self, start: usize) -> Result<u8, Refused> {
        if self.take(b'{') {
            return self.braced(start, 16);
        }
        let mut value = 0;
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else { break };
            value = value << 4 | digit as u8;
            self.at += 1;
        }
        Ok(value)
    }

    fn braced(&mut self, start: usize, base: u32) -> Result<u8, Refused> {
        let mut value = None;
        loop {
            let byte = self.next();
            if byte == Some(b'}') {
                let Some(value) = value else { break };
                return Ok(value);
            }
            let Some(digit) = byte.and_then(|byte| char::from(byte).to_digit(base)) else { break };
            match u8::try_from(u32::from(value.unwrap_or(0u8)) * base + digit) {
                Ok(more) => value = Some(more),
                Err(_) => return Err(refused(start..self.at, "patterns match bytes: the largest is ff")),
            }
        }
        Err(refused(start..self.at, "digits and a closing brace belong here"))
    }

    /// Up to `more` octal digits after those that made `value`.
    fn octal(&mut self, start: usize, more: usize, mut value: u32) -> Result<u8, Refused> {
        for _ in 0..more {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(8)) else { break };
            value = value << 3 | digit;
            self.at += 1;
        }
        u8::try_from(value).map_err(|_| refused(start..self.at, "patterns match bytes: the largest is \\377"))
    }

    /// What follows an opening bracket.
    fn bracket(&mut self, start: usize) -> Result<Hir, Refused> {
        if matches!(self.peek(), Some(b':' | b'.' | b'=')) && posix_end(self.text, self.at).is_some() {
            return Err(refused(start..self.at + 1, "a named class stands in brackets of its own"));
        }
        let negated = self.take(b'^');
        let mut set = ByteSet::EMPTY;
        let first = self.at;
        loop {
            let from = self.at;
            let Some(byte) = self.peek() else {
                return Err(refused(start..self.text.len(), "this bracket does not end"));
            };
            if byte == b']' && from > first {
                self.at += 1;
                break;
            }
            let low = match self.bracket_item()? {
                Some(Ok(byte)) => byte,
                Some(Err(more)) => {
                    set = set.union(more);
                    if self.peek() == Some(b'-') && self.text.get(self.at + 1).is_some_and(|&byte| byte != b']') {
                        return Err(refused(
                            from..self.at + 1,
                            "a set of bytes is no end of a range; escape the hyphen",
                        ));
                    }
                    continue;
                }
                None => continue,
            };
            let is_range = self.peek() == Some(b'-') && self.text.get(self.at + 1).is_some_and(|&byte| byte != b']');
            if !is_range {
                set.insert(low);
                continue;
            }
            self.at += 1;
            match self.bracket_item()? {
                Some(Ok(high)) if high >= low => set = set.union(ByteSet::range(low, high)),
                Some(Ok(_)) => return Err(refused(from..self.at, "this range ends before it begins")),
                Some(Err(_)) => return Err(refused(from..self.at, "a set of bytes is no end of a range")),
                None => return Err(refused(from..self.at, "an end of this range is missing")),
            }
        }
        if self.flags.ignore_case {
            for byte in set.iter().collect::<Vec<_>>() {
                set = set.with(byte.to_ascii_lowercase()).with(byte.to_ascii_uppercase());
            }
        }
        Ok(class(if negated { set.complement() } else { set }))
    }

    /// A byte or a set between brackets; nothing for a `\E` that ends no `\Q`.
    fn bracket_item(&mut self) -> Result<Option<Result<u8, ByteSet>>, Refused> {
        let start = self.at;
        match self.peek() {
            Some(b'\\') => match self.escape(true)? {
                Escape::Byte(byte) => Ok(Some(Ok(byte))),
                Escape::Set(set) => Ok(Some(Err(set))),
                Escape::Quoted(range) if range.is_empty() => Ok(None),
                Escape::Quoted(_) | Escape::Place(_) => {
                    Err(refused(start..self.at, "this escape means nothing in brackets"))
                }
            },
            Some(b'[') if matches!(self.text.get(start + 1), Some(b':' | b'.' | b'=')) => {
                let Some(end) = posix_end(self.text, start + 1) else {
                    self.at += 1;
                    return Ok(Some(Ok(b'[')));
                };
                self.at = end;
                let name = self.text.get(start + 2..end - 2).unwrap_or_default();
                let (negated, name) = name.strip_prefix(b"^").map_or((false, name), |name| (true, name));
                match posix_class(name).filter(|_| self.text.get(start + 1) == Some(&b':')) {
                    // Case is ignored by these two.
                    Some(set) if self.flags.ignore_case && matches!(name, b"upper" | b"lower") => {
                        let letters = set.union(ByteSet::range(b'A', b'Z')).union(ByteSet::range(b'a', b'z'));
                        Ok(Some(Err(if negated { letters.complement() } else { letters })))
                    }
                    Some(set) => Ok(Some(Err(if negated { set.complement() } else { set }))),
                    None => Err(refused(start..end, "there is no class of that name")),
                }
            }
            Some(byte) => {
                self.at += 1;
                Ok(Some(Ok(byte)))
            }
            None => Err(refused(start..start, "this bracket does not end")),
        }
    }
}

/// Where a named class ends whose colon (or dot, or equals sign) stands at `at`; nothing if it is none.
fn posix_end(text: &[u8], at: usize) -> Option<usize> {
    let mark = *text.get(at)?;
    let mut place = at + 1;
    while let (Some(&byte), Some(&next)) = (text.get(place), text.get(place + 1)) {
        match byte {
            b'\\' if matches!(next, b']' | b'\\') => place += 1,
            b']' => return None,
            b'[' if next == mark => return None,
            _ if byte == mark && next == b']' => return Some(place + 2),
            _ => {}
        }
        place += 1;
    }
    None
}

const DIGIT: ByteSet = ByteSet::range(b'0', b'9');
const SPACE: ByteSet = ByteSet::range(b'\t', b'\r').with(b' ');
const HORIZONTAL: ByteSet = ByteSet::literal(b"\t \xa0");
const VERTICAL: ByteSet = ByteSet::range(0x0a, 0x0d).with(0x85);
const ALPHA: ByteSet = ByteSet::range(b'a', b'z').union(ByteSet::range(b'A', b'Z'));
const WORD: ByteSet = ALPHA.union(DIGIT).with(b'_');

/// The bytes of a named class in the C locale.
fn posix_class(name: &[u8]) -> Option<ByteSet> {
    Some(match name {
        b"alnum" => ALPHA.union(DIGIT),
        b"alpha" => ALPHA,
        b"ascii" => ByteSet::range(0, 0x7f),
        b"blank" => ByteSet::literal(b"\t "),
        b"cntrl" => ByteSet::range(0, 0x1f).with(0x7f),
        b"digit" => DIGIT,
        b"graph" => ByteSet::range(b'!', b'~'),
        b"lower" => ByteSet::range(b'a', b'z'),
        b"print" => ByteSet::range(b' ', b'~'),
        b"punct" => ByteSet::range(b'!', b'/')
            .union(ByteSet::range(b':', b'@'))
            .union(ByteSet::range(b'[', b'`'))
            .union(ByteSet::range(b'{', b'~')),
        b"space" => SPACE,
        b"upper" => ByteSet::range(b'A', b'Z'),
        b"word" => WORD,
        b"xdigit" => DIGIT.union(ByteSet::range(b'a', b'f')).union(ByteSet::range(b'A', b'F')),
        _ => return None,
    })
}

fn class(set: ByteSet) -> Hir {
    let ranges = set.iter().map(|byte| ClassBytesRange::new(byte, byte));
    Hir::class(Class::Bytes(ClassBytes::new(ranges)))
}

fn repetition(sub: Hir, min: u32, max: Option<u32>, greedy: bool) -> Hir {
    Hir::repetition(Repetition { min, max, greedy, sub: Box::new(sub) })
}

/// What comes of `^` after the newline that ends a value; nothing if a match that begins earlier could depend on it.
fn judge_circumflex(hir: &Hir) -> Option<Circumflex> {
    let mut sensitive = false;
    if !leads(hir, false, true, &mut sensitive) {
        return None;
    }
    Some(match (sensitive, empty_at_end(hir)) {
        (false, _) => Circumflex::Harmless,
        (true, false) => Circumflex::DropEmptyAtEnd,
        (true, true) => Circumflex::KeepEmptyAtEnd,
    })
}

/// Whether each `^` behind which a match may end (`sensitive` tells of one) has nothing before it. `behind` tells whether
/// anything may have been matched before `hir`, `may_end` whether the match may end behind it.
fn leads(hir: &Hir, behind: bool, may_end: bool, sensitive: &mut bool) -> bool {
    let consumes = |hir: &Hir| hir.properties().maximum_len() != Some(0);
    let may_be_empty = |hir: &Hir| hir.properties().minimum_len() == Some(0);
    match hir.kind() {
        HirKind::Look(Look::StartLF) if may_end => {
            *sensitive = true;
            !behind
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => true,
        HirKind::Capture(capture) => leads(&capture.sub, behind, may_end, sensitive),
        HirKind::Repetition(repeated) => {
            let again = repeated.max != Some(1) && consumes(&repeated.sub);
            leads(&repeated.sub, behind || again, may_end, sensitive)
        }
        HirKind::Alternation(branches) => branches.iter().all(|branch| leads(branch, behind, may_end, sensitive)),
        HirKind::Concat(items) => {
            // From here on everything may be empty.
            let tail = items.iter().rposition(|item| !may_be_empty(item)).unwrap_or(0);
            let mut behind = behind;
            items.iter().enumerate().all(|(at, item)| {
                let fine = leads(item, behind, may_end && at >= tail, sensitive);
                behind |= consumes(item);
                fine
            })
        }
    }
}

/// Whether the pattern matches nothing at the end of a value that ends in a newline, if `^` does not match there.
fn empty_at_end(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty => true,
        HirKind::Literal(_) | HirKind::Class(_) => false,
        HirKind::Look(look) => matches!(look, Look::End | Look::EndLF | Look::WordAsciiNegate),
        HirKind::Capture(capture) => empty_at_end(&capture.sub),
        HirKind::Repetition(repeated) => repeated.min == 0 || empty_at_end(&repeated.sub),
        HirKind::Alternation(branches) => branches.iter().any(empty_at_end),
        HirKind::Concat(items) => items.iter().all(empty_at_end),
    }
}

/// Whether every repetition ends where PCRE ends it, which is at the first round that takes nothing. An automaton goes on to the
/// round's other ways, so that the two find matches of different lengths (in the same values) unless taking nothing is the last
/// of the ways.
fn ends_loops_as_pcre(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => true,
        HirKind::Capture(capture) => ends_loops_as_pcre(&capture.sub),
        HirKind::Repetition(repeated) => {
            let sub = &repeated.sub;
            // A last round that takes nothing would move the groups in it.
            let moves_groups =
                sub.properties().minimum_len() == Some(0) && sub.properties().explicit_captures_len() > 0;
            (repeated.max == Some(1) || (nothing_is_last(sub) && !moves_groups)) && ends_loops_as_pcre(sub)
        }
        HirKind::Alternation(parts) | HirKind::Concat(parts) => parts.iter().all(ends_loops_as_pcre),
    }
}

/// Whether taking nothing, if that is a way to match, is the last way that is tried.
fn nothing_is_last(hir: &Hir) -> bool {
    let always_takes = |hir: &Hir| hir.properties().minimum_len() != Some(0);
    let never_takes = |hir: &Hir| hir.properties().maximum_len() == Some(0);
    if always_takes(hir) || never_takes(hir) {
        return true;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => true,
        HirKind::Capture(capture) => nothing_is_last(&capture.sub),
        HirKind::Repetition(repeated) => (repeated.greedy || repeated.min > 0) && nothing_is_last(&repeated.sub),
        HirKind::Concat(items) => items.iter().all(nothing_is_last),
        HirKind::Alternation(branches) => {
            let mut rest = branches.iter().skip_while(|branch| always_takes(branch));
            rest.next().is_none_or(nothing_is_last) && rest.all(never_takes)
        }
    }
}
