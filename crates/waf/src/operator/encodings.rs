//! `@validateByteRange`, `@validateUrlEncoding`, `@validateUtf8Encoding`: the first place where a value is not what it should be.

use memchr::memchr;

use crate::bytes::ByteSet;

/// Where the first byte is that is not `allowed`.
#[must_use]
pub fn outside_of(allowed: &ByteSet, value: &[u8]) -> Option<usize> {
    value.iter().position(|&byte| !allowed.has(byte))
}

/// Where the first `%` is that two hexadecimal digits do not follow.
#[must_use]
pub fn broken_url_escape(value: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(next) = value.get(at..).and_then(|rest| memchr(b'%', rest)) {
        match value.get(at + next + 1..at + next + 3) {
            Some([high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => at += next + 3,
            _ => return Some(at + next),
        }
    }
    None
}

/// Where the first character is that is no UTF-8 (RFC 3629): cut short, broken, longer than it needs to be, a surrogate. As in
/// `ModSecurity`, `F4` with what makes a code point beyond U+10FFFF passes.
#[must_use]
pub fn broken_utf8(value: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(error) = value.get(at..).and_then(|rest| std::str::from_utf8(rest).err()) {
        at += error.valid_up_to();
        match value.get(at..at + 4) {
            Some([0xf4, 0x90..=0xbf, 0x80..=0xbf, 0x80..=0xbf]) => at += 4,
            _ => return Some(at),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn url_escapes() {
        for whole in [&b""[..], b"%41", b"%41%fF", b"a+b"] {
            assert_eq!(broken_url_escape(whole), None);
        }
        for (broken, at) in [(&b"%"[..], 0), (b"a%4", 1), (b"%zz", 0), (b"%%41", 0), (b"%41%u0041", 3)] {
            assert_eq!(broken_url_escape(broken), Some(at));
        }
    }

    #[test]
    fn utf8() {
        for whole in [&b""[..], b"a", "é中😀".as_bytes(), b"\xf4\x90\x80\x80", b"\xf4\xbf\xbf\xbfa"] {
            assert_eq!(broken_utf8(whole), None, "{whole:x?}");
        }
        let broken: [(&[u8], usize); 8] = [
            (b"\x80", 0),
            (b"a\xc3", 1),
            (b"\xc0\xaf", 0),
            (b"\xe0\x80\xaf", 0),
            (b"\xed\xa0\x80", 0),
            (b"\xf0\x80\x80\xaf", 0),
            (b"\xf5\x80\x80\x80", 0),
            (b"\xf4\x90\x80\x80\xff", 4),
        ];
        for (value, at) in broken {
            assert_eq!(broken_utf8(value), Some(at), "{value:x?}");
        }
    }

    proptest! {
        #[test]
        fn ranges(allowed: Vec<u8>, value: Vec<u8>) {
            let naive = value.iter().position(|byte| !allowed.contains(byte));
            prop_assert_eq!(outside_of(&ByteSet::of(&allowed), &value), naive);
        }

        #[test]
        fn what_std_takes_for_utf8_passes(value: Vec<u8>) {
            if std::str::from_utf8(&value).is_ok() {
                prop_assert_eq!(broken_utf8(&value), None);
            }
        }
    }
}
