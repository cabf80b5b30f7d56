//! The one form in which paths are compared, for routes as declared and for requests as they come.
//!
//! It is for comparison only: what goes upstream is what the client sent.

use std::borrow::Cow;

/// `path` with visible ASCII decoded, other escapes in capitals, empty and dot segments removed (RFC 3986 section
/// 6.2.2). What applications take for a separator beyond the standard is one here too: `\`, `%2F` and `%5C`; otherwise
/// a spelling could pass by a route and still reach what the route is for.
#[must_use]
pub fn normal_path(path: &[u8]) -> Cow<'_, [u8]> {
    let plain = path.first() == Some(&b'/')
        && path.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'\\'))
        && !path.windows(2).any(|pair| matches!(pair, b"//" | b"/."));
    if plain {
        return Cow::Borrowed(path);
    }
    let decoded = decode(path);
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in decoded.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let mut normal = Vec::with_capacity(decoded.len() + 1);
    for segment in &segments {
        normal.push(b'/');
        normal.extend_from_slice(segment);
    }
    if segments.is_empty() || decoded.ends_with(b"/") || decoded.ends_with(b"/.") || decoded.ends_with(b"/..") {
        normal.push(b'/');
    }
    Cow::Owned(normal)
}

/// Every byte once: a `%` that was escaped stays so, and one that escapes nothing is kept.
fn decode(path: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let escaped = match (first, tail) {
            (b'%', [high, low, after @ ..]) => digit(*high).zip(digit(*low)).map(|pair| (pair.0 << 4 | pair.1, after)),
            _ => None,
        };
        let byte = escaped.map_or(*first, |(byte, after)| {
            rest = after;
            byte
        });
        match byte {
            b'\\' => decoded.push(b'/'),
            b'%' if escaped.is_none() => decoded.push(b'%'),
            _ if byte.is_ascii_graphic() && byte != b'%' => decoded.push(byte),
            _ => decoded.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_have_one_normal_form() {
        let table = [
            ("/", "/"),
            ("", "/"),
            ("/donate", "/donate"),
            ("/donate/", "/donate/"),
            ("/%64onate", "/donate"),
            ("//x//../donate", "/donate"),
            ("/./donate/.", "/donate/"),
            ("/x%2f%2E%2e%5Cdonate", "/donate"),
            ("/x\\..\\donate", "/donate"),
            ("/../..", "/"),
            ("/a%20b", "/a%20b"),
            ("/a b", "/a%20b"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/café", "/caf%C3%A9"),
            ("/a%00b", "/a%00b"),
            ("/%2541", "/%2541"),
            ("/%zz%2", "/%zz%2"),
        ];
        for (path, normal) in table {
            assert_eq!(normal_path(path.as_bytes()), normal.as_bytes(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_spelling_escapes_its_form(path in "/[a-c./%25\\\\]{0,12}") {
            let normal = normal_path(path.as_bytes()).into_owned();
            prop_assert!(normal.starts_with(b"/"));
            prop_assert!(!normal.windows(2).any(|pair| pair == b"//"));
            prop_assert!(!normal.split(|byte| *byte == b'/').any(|segment| segment == b"." || segment == b".."));
        }
    }
}
