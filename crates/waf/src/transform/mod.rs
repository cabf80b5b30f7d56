//! Transformations: what an application would decode before it used a value.
//!
//! Each does exactly what `ModSecurity` 3 does, checked against 3.0.15 by running it, down to what it makes of broken escapes:
//! rules were written and tested against that behaviour. The one difference is named where it is (`htmlEntityDecode`). None
//! fails, none looks at more than the value, all are linear, and no result is longer than four times the value and 40 bytes.

mod base64;
mod decode;
mod digest;
mod path;
mod plain;

use crate::bytes::ByteSet;
use crate::seclang::ast::UnicodeMap;

/// Declares the transformations of the language, so that name and variant cannot differ.
macro_rules! transformations {
    ($($variant:ident = $name:literal;)*) => {
        /// A transformation of the language.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "each is documented by the reference under its name")]
        pub enum Transformation { $($variant,)* }

        impl Transformation {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As rule text spells it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

transformations! {
    Base64Decode = "base64Decode";
    Base64DecodeExt = "base64DecodeExt";
    Base64Encode = "base64Encode";
    CmdLine = "cmdLine";
    CompressWhitespace = "compressWhitespace";
    CssDecode = "cssDecode";
    EscapeSeqDecode = "escapeSeqDecode";
    HexDecode = "hexDecode";
    HexEncode = "hexEncode";
    HtmlEntityDecode = "htmlEntityDecode";
    JsDecode = "jsDecode";
    Length = "length";
    Lowercase = "lowercase";
    Md5 = "md5";
    NormalizePath = "normalizePath";
    NormalizePathWin = "normalizePathWin";
    ParityEven7bit = "parityEven7bit";
    ParityOdd7bit = "parityOdd7bit";
    ParityZero7bit = "parityZero7bit";
    RemoveComments = "removeComments";
    RemoveCommentsChar = "removeCommentsChar";
    RemoveNulls = "removeNulls";
    RemoveWhitespace = "removeWhitespace";
    ReplaceComments = "replaceComments";
    ReplaceNulls = "replaceNulls";
    Sha1 = "sha1";
    SqlHexDecode = "sqlHexDecode";
    Trim = "trim";
    TrimLeft = "trimLeft";
    TrimRight = "trimRight";
    Uppercase = "uppercase";
    UrlDecode = "urlDecode";
    UrlDecodeUni = "urlDecodeUni";
    UrlEncode = "urlEncode";
    Utf8ToUnicode = "utf8toUnicode";
}

impl Transformation {
    /// The transformation of that name, upper and lower case alike; `normalisePath` and `normalisePathWin` are the names of
    /// `normalizePath` and `normalizePathWin` in older rules.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("normalisePath") {
            return Some(Self::NormalizePath);
        }
        if name.eq_ignore_ascii_case("normalisePathWin") {
            return Some(Self::NormalizePathWin);
        }
        Self::ALL.iter().copied().find(|candidate| candidate.name().eq_ignore_ascii_case(name))
    }

    /// Transforms `input` into `out`, which is emptied first, and says whether anything changed: true exactly if `out` now
    /// differs from `input`. After false `out` may hold anything. `map` is what `SecUnicodeMapFile` set.
    pub fn apply(self, input: &[u8], out: &mut Vec<u8>, map: &UnicodeMap) -> bool {
        out.clear();
        match self {
            Self::Base64Decode => base64::decode(input, out),
            Self::Base64DecodeExt => base64::decode_leniently(input, out),
            Self::Base64Encode => base64::encode(input, out),
            Self::CmdLine => plain::command_line(input, out),
            Self::CompressWhitespace => plain::compress_whitespace(input, out),
            Self::CssDecode => decode::css(input, out),
            Self::EscapeSeqDecode => decode::escape_sequences(input, out),
            Self::HexDecode => decode::hex(input, out),
            Self::HexEncode => decode::to_hex(input, out),
            Self::HtmlEntityDecode => decode::html_entities(input, out),
            Self::JsDecode => decode::javascript(input, out),
            Self::Length => digest::length(input, out),
            Self::Lowercase => plain::lowercase(input, out),
            Self::Md5 => digest::md5(input, out),
            Self::NormalizePath => path::normalize(input, out, path::Separators::Slash),
            Self::NormalizePathWin => path::normalize(input, out, path::Separators::SlashAndBackslash),
            Self::ParityEven7bit => plain::parity_even(input, out),
            Self::ParityOdd7bit => plain::parity_odd(input, out),
            Self::ParityZero7bit => plain::parity_zero(input, out),
            Self::RemoveComments => plain::remove_comments(input, out),
            Self::RemoveCommentsChar => plain::remove_comment_marks(input, out),
            Self::RemoveNulls => plain::remove_nulls(input, out),
            Self::RemoveWhitespace => plain::remove_whitespace(input, out),
            Self::ReplaceComments => plain::replace_comments(input, out),
            Self::ReplaceNulls => plain::replace_nulls(input, out),
            Self::Sha1 => digest::sha1(input, out),
            Self::SqlHexDecode => decode::sql_hex(input, out),
            Self::Trim => plain::trim(input, out, true, true),
            Self::TrimLeft => plain::trim(input, out, true, false),
            Self::TrimRight => plain::trim(input, out, false, true),
            Self::Uppercase => plain::uppercase(input, out),
            Self::UrlDecode => decode::url(input, out, None),
            Self::UrlDecodeUni => decode::url(input, out, Some(map)),
            Self::UrlEncode => decode::to_url(input, out),
            Self::Utf8ToUnicode => decode::utf8_to_unicode(input, out),
        }
    }

    /// What has to occur in a value that is not empty for it to be changed: without any of these bytes it stays as it is.
    /// [`Transformation::changes_empty`] tells of the empty value.
    #[must_use]
    pub const fn touched_by(self) -> ByteSet {
        const SPACE: ByteSet = ByteSet::literal(b" \t\n\x0b\x0c\r");
        const UPPER: ByteSet = ByteSet::range(b'A', b'Z');
        match self {
            Self::Base64Decode
            | Self::Base64DecodeExt
            | Self::Base64Encode
            | Self::HexDecode
            | Self::HexEncode
            | Self::Length
            | Self::Md5
            | Self::Sha1 => ByteSet::FULL,
            Self::CmdLine => UPPER.union(ByteSet::literal(b"\"'\\^ ,;\t\r\n")),
            Self::CompressWhitespace | Self::Trim | Self::TrimLeft | Self::TrimRight => SPACE,
            Self::RemoveWhitespace => SPACE.with(0xa0).with(0xc2),
            Self::CssDecode | Self::EscapeSeqDecode | Self::JsDecode => ByteSet::literal(b"\\"),
            Self::HtmlEntityDecode => ByteSet::literal(b"&"),
            Self::Lowercase => UPPER,
            Self::Uppercase => ByteSet::range(b'a', b'z'),
            // A path of one name that ends in a dot is changed too.
            Self::NormalizePath => ByteSet::literal(b"/."),
            Self::NormalizePathWin => ByteSet::literal(b"/.\\"),
            Self::ParityEven7bit => plain::OF_ODD_PARITY.union(ByteSet::range(0x80, 0xff)),
            Self::ParityOdd7bit => plain::OF_ODD_PARITY.complement(),
            Self::ParityZero7bit => ByteSet::range(0x80, 0xff),
            // Each begins with one of these or ends with the star.
            Self::RemoveComments | Self::RemoveCommentsChar => ByteSet::literal(b"*-#"),
            Self::ReplaceComments => ByteSet::literal(b"*"),
            Self::RemoveNulls | Self::ReplaceNulls => ByteSet::literal(b"\0"),
            Self::SqlHexDecode => ByteSet::literal(b"xX"),
            Self::UrlDecode | Self::UrlDecodeUni => ByteSet::literal(b"%+"),
            Self::UrlEncode => decode::KEPT_BY_URL_ENCODE.complement(),
            Self::Utf8ToUnicode => ByteSet::range(0xc0, 0xf7).with(0),
        }
    }

    /// Whether something comes of the empty value: its length, its hash.
    #[must_use]
    pub const fn changes_empty(self) -> bool {
        matches!(self, Self::Length | Self::Md5 | Self::Sha1)
    }
}

#[cfg(test)]
mod tests {
    use ::base64::Engine as _;
    use proptest::prelude::*;

    use super::*;
    use crate::operator::unescaped;

    /// What a transformation makes of a value.
    fn applied(transformation: Transformation, value: &[u8], map: &UnicodeMap) -> Vec<u8> {
        let mut out = b"left over".to_vec();
        let changed = transformation.apply(value, &mut out, map);
        if changed { out } else { value.to_vec() }
    }

    fn plainly(transformation: Transformation, value: &[u8]) -> Vec<u8> {
        applied(transformation, value, &UnicodeMap::default())
    }

    /// Runs each case of a file, and says how many of each transformation there were.
    fn run_cases(cases: &str) {
        let mut map = UnicodeMap::default();
        let mut seen = std::collections::BTreeMap::new();
        let mut wrong = Vec::new();
        for line in cases.lines().filter(|line| !line.starts_with('#')) {
            let mut fields = line.split('\t');
            let (name, value) = (fields.next().unwrap(), fields.next().unwrap());
            if name == "map" {
                let entry = |entry: &str| {
                    let (code, byte) = entry.split_once(':').unwrap();
                    (u32::from_str_radix(code, 16).unwrap(), u8::from_str_radix(byte, 16).unwrap())
                };
                map = UnicodeMap(value.split_ascii_whitespace().map(entry).collect());
                continue;
            }
            let transformation = Transformation::from_name(name).unwrap();
            let expected = unescaped(fields.next().unwrap());
            let result = applied(transformation, &unescaped(value), &map);
            if result != expected {
                wrong.push(format!(
                    "{name}({value}) is {:?}, not {:?}",
                    result.escape_ascii().to_string(),
                    expected.escape_ascii().to_string()
                ));
            }
            *seen.entry(transformation).or_insert(0) += 1;
        }
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        assert_eq!(seen.len(), Transformation::ALL.len());
    }

    #[test]
    fn does_what_modsecurity_does() {
        run_cases(include_str!("../../../../specs/seclang/transformations.txt"));
    }

    #[test]
    fn names_are_found_in_any_case() {
        for &transformation in Transformation::ALL {
            assert_eq!(Transformation::from_name(&transformation.name().to_uppercase()), Some(transformation));
        }
        assert_eq!(Transformation::from_name("normalisePathWin"), Some(Transformation::NormalizePathWin));
        assert_eq!(Transformation::from_name("none"), None);
    }

    #[test]
    fn entities_that_go_on_are_decoded_as_in_browsers() {
        assert_eq!(plainly(Transformation::HtmlEntityDecode, b"&ltscript&GTx&amp;lt;"), b"<script>x&lt;");
    }

    /// Bytes that mean something to some transformation, and others.
    fn values() -> impl Strategy<Value = Vec<u8>> {
        let mark = prop::sample::select(
            &b"%+\\&#;/.*-<!>\"'^,( \t\r\nuxX0123456789abcdefABCDEFZ=\0\xa0\x85\xc3\xa9\xf0\x9f"[..],
        );
        prop::collection::vec(prop_oneof![6 => mark, 1 => any::<u8>()], 0..24)
    }

    fn transformations() -> impl Strategy<Value = Transformation> {
        prop::sample::select(Transformation::ALL)
    }

    /// Paths as a stack of names.
    fn naive_path(path: &str) -> String {
        let mut names: Vec<&str> = Vec::new();
        for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
            match name {
                ".." => _ = names.pop(),
                name => names.push(name),
            }
        }
        let tail = if path.ends_with('/') && !names.is_empty() { "/" } else { "" };
        format!("/{}{tail}", names.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn says_whether_anything_changed(transformation in transformations(), value in values()) {
            let mut out = b"left over".to_vec();
            let changed = transformation.apply(&value, &mut out, &UnicodeMap::default());
            prop_assert_eq!(changed && out == value, false);
            prop_assert!(out.len() <= 4 * value.len() + 40);
            if value.is_empty() {
                prop_assert_eq!(changed, transformation.changes_empty());
            } else if changed {
                prop_assert!(transformation.touched_by().intersects(&ByteSet::of(&value)));
            }
        }

        #[test]
        fn single_bytes_touch_what_they_change(transformation in transformations(), byte: u8) {
            prop_assert!(plainly(transformation, &[byte]) == [byte] || transformation.touched_by().has(byte));
        }

        #[test]
        fn url_agrees_with_percent_encoding(value in values()) {
            let spaced: Vec<u8> = value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
            let other: Vec<u8> = percent_encoding::percent_decode(&spaced).collect();
            prop_assert_eq!(plainly(Transformation::UrlDecode, &value), other);
            let encoded = plainly(Transformation::UrlEncode, &value);
            prop_assert!(encoded.iter().all(|&byte| byte == b'%' || byte == b'+' || decode::KEPT_BY_URL_ENCODE.has(byte)));
            prop_assert_eq!(plainly(Transformation::UrlDecode, &encoded), value);
        }

        #[test]
        fn base64_agrees_with_another(value: Vec<u8>, text in "[A-Da-d+/]{0,8}={0,2}") {
            let engine = ::base64::engine::general_purpose::STANDARD;
            let encoded = plainly(Transformation::Base64Encode, &value);
            prop_assert_eq!(&encoded, &engine.encode(&value).into_bytes());
            prop_assert_eq!(&plainly(Transformation::Base64DecodeExt, &encoded), &value);
            prop_assert_eq!(plainly(Transformation::Base64Decode, &encoded), value);
            if let Ok(decoded) = engine.decode(&text) {
                prop_assert_eq!(plainly(Transformation::Base64Decode, text.as_bytes()), decoded);
            }
        }

        #[test]
        fn hex_undoes_hex(value: Vec<u8>) {
            let encoded = plainly(Transformation::HexEncode, &value);
            let naive: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(&encoded, naive.as_bytes());
            prop_assert_eq!(plainly(Transformation::HexDecode, &encoded), value.clone());
            let sql = [b"0x".as_slice(), &encoded].concat();
            if !value.is_empty() {
                prop_assert_eq!(plainly(Transformation::SqlHexDecode, &sql), value);
            }
        }

        #[test]
        fn characters_are_written_as_their_numbers(text in "[^\\x00]{0,12}") {
            let naive: String = text
                .chars()
                .map(|character| if character.is_ascii() { character.to_string() } else { format!("%u{:04x}", u32::from(character)) })
                .collect();
            prop_assert_eq!(plainly(Transformation::Utf8ToUnicode, text.as_bytes()), naive.into_bytes());
        }

        #[test]
        fn escapes_of_any_byte_are_undone(value: Vec<u8>) {
            let each = |format: &dyn Fn(u8) -> String| value.iter().map(|&byte| format(byte)).collect::<String>().into_bytes();
            let entities = each(&|byte| format!("&#x{byte:X};"));
            prop_assert_eq!(&plainly(Transformation::HtmlEntityDecode, &entities), &value);
            let entities = each(&|byte| format!("&#{byte};"));
            prop_assert_eq!(&plainly(Transformation::HtmlEntityDecode, &entities), &value);
            let escapes = each(&|byte| format!("\\x{byte:02x}"));
            prop_assert_eq!(&plainly(Transformation::JsDecode, &escapes), &value);
            prop_assert_eq!(&plainly(Transformation::EscapeSeqDecode, &escapes), &value);
            let octal = each(&|byte| format!("\\{byte:03o}"));
            prop_assert_eq!(&plainly(Transformation::JsDecode, &octal), &value);
            let unicode = each(&|byte| format!("\\u00{byte:02X}"));
            prop_assert_eq!(&plainly(Transformation::JsDecode, &unicode), &value);
            let css = each(&|byte| format!("\\{byte:x} "));
            prop_assert_eq!(&plainly(Transformation::CssDecode, &css), &value);
            let iis = each(&|byte| format!("%u00{byte:02x}"));
            prop_assert_eq!(&plainly(Transformation::UrlDecodeUni, &iis), &value);
        }

        #[test]
        fn paths_agree_with_a_stack_of_names(path in "(/(a|bc|\\.|\\.\\.)?){1,8}") {
            let normalized = plainly(Transformation::NormalizePath, path.as_bytes());
            let expected = naive_path(&path);
            // The root alone goes if the path did not end in a slash.
            let expected = if expected == "/" && !path.ends_with('/') { String::new() } else { expected };
            prop_assert_eq!(String::from_utf8(normalized).unwrap(), expected);
            let windows = path.replace('/', "\\");
            if !path.contains("//") {
                prop_assert_eq!(plainly(Transformation::NormalizePathWin, windows.as_bytes()), plainly(Transformation::NormalizePath, path.as_bytes()));
            }
        }

        #[test]
        fn comments_are_cut_out(parts in prop::collection::vec(("[ab]{0,3}", "[cd]{0,3}"), 0..4), open: bool) {
            let mut value = String::new();
            let mut naive = String::new();
            for (text, comment) in &parts {
                value += &format!("{text}/*{comment}*/");
                naive += &format!("{text} ");
            }
            if open {
                value += "e/*f";
                naive += "e ";
            }
            prop_assert_eq!(plainly(Transformation::ReplaceComments, value.as_bytes()), naive.into_bytes());
            let marks = value.replace("/*", "").replace("*/", "");
            prop_assert_eq!(plainly(Transformation::RemoveCommentsChar, value.as_bytes()), marks.into_bytes());
        }

        #[test]
        fn filters_agree_with_naive_ones(value in values()) {
            let is_space = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0b;
            let without: Vec<u8> = value.iter().copied().filter(|&byte| !is_space(byte) && byte != 0xa0 && byte != 0xc2).collect();
            prop_assert_eq!(plainly(Transformation::RemoveWhitespace, &value), without);
            let nulls: Vec<u8> = value.iter().copied().filter(|&byte| byte != 0).collect();
            prop_assert_eq!(plainly(Transformation::RemoveNulls, &value), nulls);
            let trimmed = plainly(Transformation::Trim, &value);
            let both = plainly(Transformation::TrimLeft, &plainly(Transformation::TrimRight, &value));
            prop_assert_eq!(&trimmed, &both);
            prop_assert!(trimmed.first().is_none_or(|&byte| !is_space(byte)) && trimmed.last().is_none_or(|&byte| !is_space(byte)));
            prop_assert_eq!(plainly(Transformation::Length, &value), value.len().to_string().into_bytes());
            prop_assert_eq!(plainly(Transformation::Lowercase, &value), value.to_ascii_lowercase());
            prop_assert_eq!(plainly(Transformation::Uppercase, &value), value.to_ascii_uppercase());
            let seven = plainly(Transformation::ParityZero7bit, &value);
            prop_assert!(plainly(Transformation::ParityEven7bit, &seven).iter().all(|byte| byte.count_ones() % 2 == 0));
            prop_assert!(plainly(Transformation::ParityOdd7bit, &seven).iter().all(|byte| byte.count_ones() % 2 == 1));
        }
    }
}
