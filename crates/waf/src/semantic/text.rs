//! Small readers of bytes that several lexers need.

use super::scan::in_word;

/// Most white space that is skipped at once: more has no meaning, and to skip it again and again would not be linear.
const SPACES_MAX: usize = 64;

/// The byte at a position; 0 beyond the end.
pub(super) fn at(text: &[u8], position: usize) -> u8 {
    text.get(position).copied().unwrap_or(0)
}

/// The text from a position on; empty beyond the end.
pub(super) fn from(text: &[u8], position: usize) -> &[u8] {
    text.get(position..).unwrap_or_default()
}

/// A part of a text; empty where it has no such part.
pub(super) fn part(text: &[u8], start: usize, end: usize) -> &[u8] {
    text.get(start..end.min(text.len())).unwrap_or_default()
}

/// The first position from `position` on that is no white space as HTML, SQL and shells know it.
pub(super) fn skip_space(text: &[u8], mut position: usize) -> usize {
    let end = position.saturating_add(SPACES_MAX);
    while position < end && text.get(position).is_some_and(|byte| is_space(*byte)) {
        position += 1;
    }
    position
}

/// The last position before `position` that is no white space, as the position behind it.
pub(super) fn skip_space_back(text: &[u8], mut position: usize) -> usize {
    let end = position.saturating_sub(SPACES_MAX);
    while position > end && is_space(at(text, position - 1)) {
        position -= 1;
    }
    position
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C)
}

/// The word that begins at a position.
pub(super) fn word(text: &[u8], position: usize) -> &[u8] {
    let rest = from(text, position);
    let length = rest.iter().take_while(|byte| in_word(**byte)).count();
    part(rest, 0, length)
}

/// Whether the text begins so, in upper or lower case.
pub(super) fn begins(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Where a string in lower case stands in a text in upper and lower case; both short.
pub(super) fn find(text: &[u8], lower: &[u8]) -> Option<usize> {
    let (first, _) = lower.split_first()?;
    let upper = first.to_ascii_uppercase();
    memchr::memchr2_iter(*first, upper, text).find(|position| begins(from(text, *position), lower))
}

/// Whether one of these, all in lower case, stands in a text.
pub(super) fn any(text: &[u8], lower: &[&[u8]]) -> bool {
    lower.iter().any(|lower| find(text, lower).is_some())
}
/// Whether a byte may stand in a name of XML.
pub(super) fn in_name(byte: u8) -> bool {
    in_word(byte) || matches!(byte, b':' | b'-' | b'.' | 0x80..)
}
