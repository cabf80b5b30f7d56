//! What stands in `Content-Type` and `Content-Disposition`: the boundary, and the names of a part.
//!
//! Strict on purpose: applications read these fields each in their own way, and what is not beyond doubt is where an upload
//! becomes invisible to whoever inspects it. Never guesses: what is odd sets a flag, what is wrong is a fault.

use memchr::{memchr, memmem};

use super::Flags;
use crate::body::{is_space, urlencoded::hex_value};

/// Longer fields are not read.
const CONTENT_TYPE_BYTES: usize = 1024;

const MIME_TYPE: &[u8] = b"multipart/form-data";
const PARAMETER: &[u8] = b"boundary";

/// The boundary of a `Content-Type`, without the hyphens before it.
pub(super) fn boundary<'a>(content_type: &'a [u8], flags: &mut Flags) -> Result<&'a [u8], &'static str> {
    if content_type.len() > CONTENT_TYPE_BYTES {
        return Err("the content type is longer than is read");
    }
    let (mime_type, parameters) = content_type.split_at_checked(MIME_TYPE.len()).unwrap_or((content_type, b""));
    if !mime_type.eq_ignore_ascii_case(MIME_TYPE) {
        return Err("this is not multipart/form-data");
    }
    let named = boundaries_in(parameters);
    if named > 1 {
        return Err("there is more than one boundary");
    }
    let Some(at) = memmem::find(parameters, PARAMETER) else {
        return Err(if named > 0 { "the boundary is not spelt in lower case" } else { "there is no boundary" });
    };
    let (before, after) = parameters.split_at(at);
    match before.iter().filter(|byte| !is_space(**byte)).collect::<Vec<_>>().as_slice() {
        [b';'] => {}
        [] => flags.missing_semicolon = true,
        _ => return Err("something stands before the boundary"),
    }
    let after = &after[PARAMETER.len()..];
    let equals = memchr(b'=', after).ok_or("the boundary has no value")?;
    let (blank, value) = (&after[..equals], &after[equals + 1..]);
    if !blank.iter().all(|byte| is_space(*byte)) {
        return Err("something stands between the boundary and its value");
    }
    flags.boundary_whitespace = !blank.is_empty() || value.first().is_some_and(|byte| is_space(*byte));
    // Applications trim here, so that this is what they look for; the flag is set all the same.
    let value = value.trim_ascii_start();
    let value = match value {
        [b'"', inner @ .., b'"'] => {
            flags.boundary_quoted = true;
            inner
        }
        [b'"', ..] | [.., b'"'] => return Err("the boundary is quoted on one side"),
        plain => plain,
    };
    if boundaries_in(value) > 0 {
        return Err("the boundary names a boundary");
    }
    // Some put a charset after it; that is tolerated.
    let value =
        if of_boundary_characters(value) { value } else { &value[..memchr(b';', value).unwrap_or(value.len())] };
    if value.is_empty() {
        return Err("the boundary is empty");
    }
    if !of_boundary_characters(value) {
        return Err("the boundary has a character that it may not have");
    }
    Ok(value)
}

/// How often a parameter of that name seems to stand there, in any spelling.
fn boundaries_in(parameters: &[u8]) -> usize {
    let last_equals = memchr::memrchr(b'=', parameters).unwrap_or(0);
    let windows = parameters.windows(PARAMETER.len()).enumerate();
    windows.filter(|(at, window)| at + PARAMETER.len() <= last_equals && window.eq_ignore_ascii_case(PARAMETER)).count()
}

/// RFC 2046 section 5.1.1.
fn of_boundary_characters(boundary: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b" '()+_,-./:=?".contains(byte);
    boundary.iter().all(good) && boundary.last() != Some(&b' ')
}

/// The names of a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Disposition {
    /// `name`.
    pub(super) name: Vec<u8>,
    /// `filename`; empty without one.
    pub(super) filename: Vec<u8>,
    /// `filename*` decoded (RFC 5987 section 3.2), in whatever character set.
    pub(super) extended: Vec<u8>,
    /// What is wrong with it; what could be read stands above all the same.
    pub(super) fault: Option<&'static str>,
}

/// Reads the value of a `Content-Disposition`.
pub(super) fn disposition(value: &[u8], flags: &mut Flags) -> Disposition {
    let mut found = Disposition::default();
    let mut fault = match value.strip_prefix(b"form-data") {
        Some(parameters) => read_parameters(parameters, flags, &mut found).err(),
        None => Some("a part is not form-data"),
    };
    if found.name.is_empty() {
        fault = fault.or(Some("a part has no name"));
    }
    if !found.filename.is_empty() && memmem::find(value, b"filename=").is_none() {
        fault = fault.or(Some("a file's name is written so that some would not see it"));
    }
    if found.filename.is_empty() && !found.extended.is_empty() {
        fault = fault.or(Some("a part has filename* and no filename"));
    }
    found.fault = found.fault.or(fault);
    found
}

fn read_parameters(input: &[u8], flags: &mut Flags, found: &mut Disposition) -> Result<(), &'static str> {
    let mut rest = skip_blank(input);
    rest = match rest {
        [] => return Ok(()),
        [b';', rest @ ..] => rest,
        _ => return Err("a disposition is followed by something other than a semicolon"),
    };
    while !rest.is_empty() {
        rest = skip_blank(rest);
        let end = rest.iter().position(|byte| matches!(byte, b'=' | b'\t' | b' ')).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let after = skip_blank(after).strip_prefix(b"=").ok_or("a parameter of a disposition has no value")?;
        let after = skip_blank(after);
        let mut value = Vec::new();
        let quote = after.first().copied().filter(|first| matches!(first, b'"' | b'\''));
        rest = if name == b"filename*" {
            extended(after, &mut value)?
        } else if let Some(quote) = quote {
            flags.invalid_quoting |= quote == b'\'';
            quoted(&after[1..], quote, &mut value)?
        } else {
            let end = after.iter().position(|byte| !is_token(*byte)).unwrap_or(after.len());
            value.extend_from_slice(&after[..end]);
            flags.invalid_quoting |= value.contains(&b'\'');
            &after[end..]
        };
        let slot = match name {
            b"name" => Some(&mut found.name),
            b"filename" => Some(&mut found.filename),
            b"filename*" => Some(&mut found.extended),
            _ => None,
        };
        match slot {
            Some(slot) if slot.is_empty() => *slot = value,
            Some(_) => return Err("a parameter of a disposition stands twice"),
            // The names may still come, so this goes on.
            None => found.fault = Some("a disposition has a parameter that is none of it"),
        }
        let closed_by_quote = quote.is_some();
        rest = match skip_blank(rest) {
            [] => return Ok(()),
            [b';', rest @ ..] => rest,
            _ => {
                flags.invalid_quoting |= closed_by_quote;
                return Err("a parameter of a disposition goes on after its value");
            }
        };
    }
    Ok(())
}

/// Up to the closing quote. Only the quote and the backslash can be escaped: some send paths with plain backslashes.
fn quoted<'a>(input: &'a [u8], quote: u8, value: &mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    let mut rest = input;
    loop {
        rest = match rest {
            [] | [b'\\'] => return Err("a quoted value does not end"),
            [b'\\', escaped, rest @ ..] if *escaped == quote || *escaped == b'\\' => {
                value.push(*escaped);
                rest
            }
            [end, rest @ ..] if *end == quote => return Ok(rest),
            [byte, rest @ ..] => {
                value.push(*byte);
                rest
            }
        };
    }
}

/// `UTF-8'en'na%20me`.
fn extended<'a>(input: &'a [u8], value: &mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    const WRONG: &str = "filename* is not as RFC 5987 says";
    let charset = memchr(b'\'', input).ok_or(WRONG)?;
    let in_charset = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&+-^_`{}~".contains(byte);
    if charset == 0 || !input[..charset].iter().all(in_charset) {
        return Err(WRONG);
    }
    let rest = &input[charset + 1..];
    let mut rest = &rest[memchr(b'\'', rest).ok_or(WRONG)? + 1..];
    loop {
        rest = match rest {
            [] | [b';', ..] => return Ok(rest),
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                value.push(hex_value(*high) << 4 | hex_value(*low));
                rest
            }
            [byte, rest @ ..] if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`~".contains(byte) => {
                value.push(*byte);
                rest
            }
            _ => return Err(WRONG),
        };
    }
}

fn skip_blank(input: &[u8]) -> &[u8] {
    let blank = input.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(input.len());
    &input[blank..]
}

/// RFC 2045 section 5.1.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_boundary_is_read_and_what_is_odd_is_flagged() {
        let plain = Flags::default();
        let cases: &[(&str, Option<&str>, Flags)] = &[
            ("multipart/form-data; boundary=b", Some("b"), plain),
            ("Multipart/Form-Data;boundary=----a.b_c", Some("----a.b_c"), plain),
            ("multipart/form-data; boundary=b; charset=utf-8", Some("b"), plain),
            ("multipart/form-data; boundary='b'", Some("'b'"), plain),
            ("multipart/form-data; boundary=a b", Some("a b"), plain),
            ("multipart/form-data; boundary=\"b\"", Some("b"), Flags { boundary_quoted: true, ..plain }),
            ("multipart/form-data boundary=b", Some("b"), Flags { missing_semicolon: true, ..plain }),
            ("multipart/form-data; boundary =b", Some("b"), Flags { boundary_whitespace: true, ..plain }),
            ("multipart/form-data; boundary= b", Some("b"), Flags { boundary_whitespace: true, ..plain }),
            ("multipart/form-data", None, plain),
            ("multipart/mixed; boundary=b", None, plain),
            ("multipart/form-data; BOUNDARY=b", None, plain),
            ("multipart/form-data; boundary=b; boundary=c", None, plain),
            ("multipart/form-data; boundary=b; Boundary=c", None, plain),
            ("multipart/form-data; charset=utf-8; boundary=b", None, plain),
            ("multipart/form-data; boundary", None, plain),
            ("multipart/form-data; boundaryx=b", None, plain),
            ("multipart/form-data; boundary=", None, plain),
            ("multipart/form-data; boundary=\"\"", None, Flags { boundary_quoted: true, ..plain }),
            ("multipart/form-data; boundary=\"b", None, plain),
            ("multipart/form-data; boundary=\"b\"; x=y", None, plain),
            ("multipart/form-data; boundary=b ", None, plain),
            ("multipart/form-data; boundary=b\u{80}", None, plain),
        ];
        for (content_type, expected, flags) in cases {
            let mut found = Flags::default();
            let boundary = boundary(content_type.as_bytes(), &mut found);
            assert_eq!(boundary.ok(), expected.map(str::as_bytes), "{content_type}");
            assert_eq!(found, *flags, "{content_type}");
        }
        let long = format!("multipart/form-data; boundary={}", "b".repeat(1024));
        assert!(boundary(long.as_bytes(), &mut Flags::default()).is_err());
    }

    #[test]
    fn a_disposition_is_read_and_what_is_wrong_is_told() {
        type Names = (&'static str, &'static str, &'static str);
        // Value, its name, filename and filename*, whether it is good, whether its quoting is odd.
        let cases: &[(&str, Names, bool, bool)] = &[
            ("form-data; name=\"a\"", ("a", "", ""), true, false),
            ("form-data; name=a", ("a", "", ""), true, false),
            ("form-data ;\tname = \"a\" ; filename=\"f.png\"", ("a", "f.png", ""), true, false),
            ("form-data; name=\"a\";", ("a", "", ""), true, false),
            ("form-data; name=\"a\"; filename=\"\"", ("a", "", ""), true, false),
            ("form-data; name=\"a\\\"b\\c\\\\d\"", ("a\"b\\c\\d", "", ""), true, false),
            ("form-data; name=\"a's\"", ("a's", "", ""), true, false),
            ("form-data; name=\"a;b=c\"", ("a;b=c", "", ""), true, false),
            (
                "form-data; name=\"a\"; filename=\"f\"; filename*=UTF-8''%e2%82%ac.php",
                ("a", "f", "\u{20ac}.php"),
                true,
                false,
            ),
            ("form-data; name='a'", ("a", "", ""), true, true),
            ("form-data; name=a's", ("a's", "", ""), true, true),
            ("form-data", ("", "", ""), false, false),
            ("Form-data; name=\"a\"", ("", "", ""), false, false),
            ("form-data name=\"a\"", ("", "", ""), false, false),
            ("form-data; name=\"\"", ("", "", ""), false, false),
            ("form-data; name", ("", "", ""), false, false),
            ("form-data; name=\"a", ("", "", ""), false, false),
            ("form-data; name=\"a\\", ("", "", ""), false, false),
            ("form-data; name=a b", ("a", "", ""), false, false),
            ("form-data; name=\"a\"b", ("a", "", ""), false, true),
            ("form-data; name=\"a\"; ", ("a", "", ""), false, false),
            ("form-data; name=\"a\"; name=\"b\"", ("a", "", ""), false, false),
            ("form-data; x=1; name=\"a\"", ("a", "", ""), false, false),
            ("form-data; Name=\"a\"", ("", "", ""), false, false),
            ("form-data; name=\"a\"; filename =\"f\"", ("a", "f", ""), false, false),
            ("form-data; name=\"a\"; filename*=UTF-8''f", ("a", "", "f"), false, false),
            ("form-data; name=\"a\"; filename=\"f\"; filename*=f", ("a", "f", ""), false, false),
            ("form-data; name=\"a\"; filename=\"f\"; filename*=''f", ("a", "f", ""), false, false),
            ("form-data; name=\"a\"; filename=\"f\"; filename*=u''%4", ("a", "f", ""), false, false),
        ];
        for (value, (name, filename, extended), good, quoting) in cases {
            let mut flags = Flags::default();
            let found = disposition(value.as_bytes(), &mut flags);
            let expected = (name.as_bytes(), filename.as_bytes(), extended.as_bytes());
            assert_eq!((&found.name[..], &found.filename[..], &found.extended[..]), expected, "{value}");
            assert_eq!((found.fault.is_none(), flags.invalid_quoting), (*good, *quoting), "{value}: {:?}", found.fault);
        }
    }

    proptest! {
        #[test]
        fn any_field_is_read_or_refused(value: Vec<u8>, odd in "(form-data|;| |=|\"|'|name|filename|\\*|\\\\|%41|boundary|x){0,20}") {
            for input in [&value[..], odd.as_bytes(), format!("form-data{odd}").as_bytes()] {
                disposition(input, &mut Flags::default());
                let _ = boundary(input, &mut Flags::default());
                let _ = boundary(&[MIME_TYPE, input].concat(), &mut Flags::default());
            }
        }

        #[test]
        fn a_quoted_name_comes_back(name in "[^\\x00-\\x1f]{1,20}") {
            let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
            let found = disposition(format!("form-data; name=\"{escaped}\"").as_bytes(), &mut Flags::default());
            prop_assert_eq!((found.name, found.fault), (name.into_bytes(), None));
        }
    }
}
