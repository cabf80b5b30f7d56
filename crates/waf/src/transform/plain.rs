//! Transformations that remove, replace or fold bytes one by one: case, white space, nulls, comments, parity.

use memchr::memchr;

use crate::bytes::{ByteSet, find_pair};

/// What C's `isspace` takes for white space.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// `lowercase`: of ASCII only.
pub(super) fn lowercase(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(input);
    out.make_ascii_lowercase();
    out != input
}

/// `uppercase`: of ASCII only.
pub(super) fn uppercase(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(input);
    out.make_ascii_uppercase();
    out != input
}

/// `trim`, `trimLeft`, `trimRight`.
pub(super) fn trim(input: &[u8], out: &mut Vec<u8>, left: bool, right: bool) -> bool {
    let start = if left { input.iter().position(|&byte| !is_space(byte)).unwrap_or(input.len()) } else { 0 };
    let rest = input.get(start..).unwrap_or_default();
    let kept =
        if right { rest.iter().rposition(|&byte| !is_space(byte)).map_or(0, |last| last + 1) } else { rest.len() };
    out.extend_from_slice(rest.get(..kept).unwrap_or_default());
    out.len() != input.len()
}

/// `removeWhitespace`: also the bytes of the no-break space, in Latin-1 and UTF-8.
pub(super) fn remove_whitespace(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend(input.iter().copied().filter(|&byte| !is_space(byte) && !matches!(byte, 0xa0 | 0xc2)));
    out.len() != input.len()
}

/// `compressWhitespace`: each run becomes one space.
pub(super) fn compress_whitespace(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut after_space = false;
    for &byte in input {
        if !is_space(byte) {
            out.push(byte);
        } else if !after_space {
            out.push(b' ');
        }
        after_space = is_space(byte);
    }
    out != input
}

/// `removeNulls`.
pub(super) fn remove_nulls(input: &[u8], out: &mut Vec<u8>) -> bool {
    if memchr(0, input).is_none() {
        return false;
    }
    out.extend(input.iter().copied().filter(|&byte| byte != 0));
    true
}

/// `replaceNulls`: by spaces.
pub(super) fn replace_nulls(input: &[u8], out: &mut Vec<u8>) -> bool {
    if memchr(0, input).is_none() {
        return false;
    }
    out.extend(input.iter().map(|&byte| if byte == 0 { b' ' } else { byte }));
    true
}

/// `cmdLine`: what shells see through. Quotes, backslashes and carets go; separators become one space, none before a slash or an
/// opening parenthesis; letters become small.
pub(super) fn command_line(input: &[u8], out: &mut Vec<u8>) -> bool {
    for &byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if out.last() != Some(&b' ') {
                    out.push(b' ');
                }
            }
            b'/' | b'(' => {
                if out.last() == Some(&b' ') {
                    out.pop();
                }
                out.push(byte);
            }
            other => out.push(other.to_ascii_lowercase()),
        }
    }
    out != input
}

/// `replaceComments`: each `/* … */` becomes one space, also one that does not end.
pub(super) fn replace_comments(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = find_pair(input, *b"/*") else { return false };
    let (before, mut rest) = input.split_at(first);
    out.extend_from_slice(before);
    while let Some(inside) = rest.strip_prefix(b"/*") {
        out.push(b' ');
        let after = find_pair(inside, *b"*/").map_or(inside.len(), |end| end + 2);
        let text = inside.get(after..).unwrap_or_default();
        let (kept, next) = text.split_at(find_pair(text, *b"/*").unwrap_or(text.len()));
        out.extend_from_slice(kept);
        rest = next;
    }
    out != input
}

/// `removeComments`: `/* … */` and `<!-- … -->`, and everything from `--` or `#` on. The byte after a comment is taken as it is;
/// where there is none it is a null, and a comment that does not end leaves a space.
pub(super) fn remove_comments(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut at = 0;
    let mut inside = false;
    while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
        let ended = if rest.starts_with(b"*/") {
            Some(2)
        } else if rest.starts_with(b"-->") {
            Some(3)
        } else {
            None
        };
        match (inside, ended) {
            (true, Some(mark)) => {
                inside = false;
                out.push(rest.get(mark).copied().unwrap_or(0));
                at += mark + 1;
            }
            (true, None) => at += 1,
            (false, _) if rest.starts_with(b"/*") => {
                inside = true;
                at += 2;
            }
            (false, _) if rest.starts_with(b"<!--") => {
                inside = true;
                at += 4;
            }
            (false, _) if rest.starts_with(b"--") || rest.starts_with(b"#") => break,
            (false, _) => {
                out.extend(rest.first());
                at += 1;
            }
        }
    }
    if inside {
        out.push(b' ');
    }
    out != input
}

/// `removeCommentsChar`: the marks of comments, whose text stays.
pub(super) fn remove_comment_marks(input: &[u8], out: &mut Vec<u8>) -> bool {
    const MARKS: [&[u8]; 6] = [b"/*", b"*/", b"<!--", b"-->", b"--", b"#"];
    let mut rest = input;
    while let Some((&first, next)) = rest.split_first() {
        rest = match MARKS.iter().find_map(|mark| rest.strip_prefix(*mark)) {
            Some(after) => after,
            None => {
                out.push(first);
                next
            }
        };
    }
    out.len() != input.len()
}

/// The bytes below 128 with an odd number of bits.
pub(super) const OF_ODD_PARITY: ByteSet = {
    let mut set = ByteSet::EMPTY;
    let mut byte = 0u8;
    while byte < 128 {
        if byte.count_ones() % 2 == 1 {
            set.insert(byte);
        }
        byte += 1;
    }
    set
};

/// `parityEven7bit`: the highest bit tells whether the number of bits, itself among them, was odd.
pub(super) fn parity_even(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend(input.iter().map(|&byte| if byte.count_ones() % 2 == 1 { byte | 0x80 } else { byte & 0x7f }));
    out != input
}

/// `parityOdd7bit`: the highest bit tells whether the number of bits, itself among them, was even.
pub(super) fn parity_odd(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend(input.iter().map(|&byte| if byte.count_ones() % 2 == 1 { byte & 0x7f } else { byte | 0x80 }));
    out != input
}

/// `parityZero7bit`: the highest bit goes.
pub(super) fn parity_zero(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend(input.iter().map(|&byte| byte & 0x7f));
    out != input
}
