//! The comment that a framework puts behind a statement to say which request it is for (sqlcommenter).
//!
//! Never takes anything off a text that could mean something: what is in the comment can end no string, no name and no
//! comment, so a text that is open before it is open at its end, and the server refuses it as a whole.

/// The longest comment that is looked at, in bytes.
const COMMENT_BYTES: usize = 2048;

/// A text without the comment behind it, and the comment's pairs; nothing where it ends otherwise.
///
/// The form is `/*name='value',name='value'*/`, values percent-encoded, white space and one semicolon behind it allowed.
#[must_use]
pub fn split(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let whole = text.trim_ascii_end();
    let closed = whole.strip_suffix(b";").map_or(whole, <[u8]>::trim_ascii_end);
    let Some(inside) = closed.strip_suffix(b"*/") else { return (text, None) };
    let tail = inside.len().saturating_sub(COMMENT_BYTES);
    let Some(at) = memrchr_open(inside.get(tail..).unwrap_or_default()) else { return (text, None) };
    let pairs = trim_spaces(inside.get(tail + at + 2..).unwrap_or_default());
    let front = text.get(..tail + at).unwrap_or_default();
    if is_pairs(pairs) { (front.trim_ascii_end(), Some(pairs)) } else { (text, None) }
}

/// The value of a name, as it is written: percent-encoded.
#[must_use]
pub fn value<'a>(pairs: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    pairs.split(|byte| *byte == b',').find_map(|pair| {
        let (known, value) = pair_of(pair)?;
        (known == name).then_some(value)
    })
}

/// Where the last `/*` is.
fn memrchr_open(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).rposition(|pair| pair == b"/*")
}

fn is_pairs(pairs: &[u8]) -> bool {
    !pairs.is_empty() && pairs.split(|byte| *byte == b',').all(|pair| pair_of(pair).is_some())
}

fn pair_of(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let pair = trim_spaces(pair);
    let at = pair.iter().position(|byte| *byte == b'=')?;
    let (name, rest) = pair.split_at_checked(at)?;
    let value = rest.strip_prefix(b"='")?.strip_suffix(b"'")?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.~%:/+".contains(byte);
    let sound = !name.is_empty() && name.iter().chain(value).all(plain);
    // `/` and `*` may not meet; there is no `*` among what is plain.
    sound.then_some((name, value))
}

/// Spaces and nothing else: behind a line break, what was a comment to the end of the line would not be one.
fn trim_spaces(mut bytes: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).expect("as it was given")
    }

    #[test]
    fn a_comment_behind_a_statement_is_taken_off_and_read() {
        let (front, pairs) = split(b"select 1 /*request_id='abc-1',route='%2Fdonate'*/");
        assert_eq!(text(front), "select 1");
        let pairs = pairs.expect("pairs");
        assert_eq!(value(pairs, b"request_id"), Some(&b"abc-1"[..]));
        assert_eq!(value(pairs, b"route"), Some(&b"%2Fdonate"[..]));
        assert_eq!(value(pairs, b"other"), None);
        assert_eq!(split(b"select 1 /* a='b', c='d' */ ; ").1, Some(&b"a='b', c='d'"[..]));
    }

    #[test]
    fn what_could_mean_something_stays() {
        let table: [&[u8]; 10] = [
            b"select 1 -- /*a='b',\nc='d'*/",
            b"select 1",
            b"select 1 /* hello */",
            b"select 1 /*+ IndexScan(t) */",
            b"select 1 /*a='b'*/ union select 2",
            b"select 1 /*a='b''c'*/",
            b"select 1 /*a='b' or 1=1*/",
            b"select 1 /*a=\"b\"*/",
            b"select 1 /*='b'*/",
            b"select '/*' || 'x*/'",
        ];
        for case in table {
            assert_eq!(split(case), (case, None), "{}", text(case));
        }
        let long = [&b"select 1 /*a='"[..], &vec![b'x'; COMMENT_BYTES], b"'*/"].concat();
        assert_eq!(split(&long).1, None);
    }

    /// Whatever is open before the comment is open behind it: the quotes in it come in pairs and it closes nothing.
    #[test]
    fn a_text_that_is_open_before_the_comment_is_open_behind_it() {
        for open in ["select '", "select \"", "select $$", "select $a$", "select E'"] {
            let whole = format!("{open}x /*a='b'*/");
            let (front, pairs) = split(whole.as_bytes());
            assert!(pairs.is_some() && text(front).starts_with(open));
            let inside = &whole[front.len()..];
            assert_eq!(inside.matches('\'').count() % 2, 0);
            assert!(!inside.contains('"') && !inside.contains('$') && !inside.contains('\\') && !inside.contains('\n'));
        }
    }
}
