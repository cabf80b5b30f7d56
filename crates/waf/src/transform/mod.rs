//! Transformations: what an application would decode before it used a value.
//!
//! Each does exactly what `ModSecurity` 3 does, checked against 3.0.15 by running it, down to what it makes of broken escapes:
//! rules were written and tested against that behaviour. The one difference is named where it is (`htmlEntityDecode`). None
//! fails, none looks at more than the value, all are linear, and no result is longer than six times the value or 40 bytes.

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
            Self::RemoveWhitespace => SPACE.with(0xa0),
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
