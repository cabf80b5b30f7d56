//! Time stamps of checkpoints (RFC 3161): what an authority is asked, and what it answered.
//!
//! It holds an answer against what was asked, to the byte, and takes the signature under it apart ([`Signed`]). Whose that is takes
//! the authority's own certificates; `openssl ts -verify` says it with nothing of ours.

mod signed;

use std::fmt;

use asn1_rs::{Any, Class, FromDer, GeneralizedTime, Oid, Tag, oid};

pub use self::signed::{Hashing, Signed};
use crate::tree::Hash;

/// An answer at most, in bytes. Those of public authorities, with all their certificates, take 4 to 8 KB.
pub const ANSWER_BYTES: usize = 64 * 1024;
/// Letters of an authority's own words that are kept.
const WORDS: usize = 200;
/// A serial number at most, in bytes: RFC 3161 asks for 160 bits.
const SERIAL_BYTES: usize = 64;

const SIGNED_DATA: Oid<'static> = oid!(1.2.840.113549.1.7.2);
const TST_INFO: Oid<'static> = oid!(1.2.840.113549.1.9.16.1.4);
const SHA256: Oid<'static> = oid!(2.16.840.1.101.3.4.2.1);

/// What an authority is asked to stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// SHA-256 of what is stamped.
    pub imprint: Hash,
    /// Drawn for this question, so that no answer can be an old one.
    pub nonce: u64,
}

impl Request {
    /// With randomness for its nonce.
    #[must_use]
    pub const fn new(imprint: Hash, random: u64) -> Self {
        // Always eight bytes and never negative: a number of ASN.1 has one form.
        Self { imprint, nonce: random >> 1 | 1 << 62 }
    }

    /// As DER (`TimeStampReq`): SHA-256, a nonce, and the wish for the authority's certificate.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        const BEFORE_IMPRINT: &[u8] =
            b"\x30\x43\x02\x01\x01\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
        [BEFORE_IMPRINT, &self.imprint, b"\x02\x08", &self.nonce.to_be_bytes(), b"\x01\x01\xff"].concat()
    }

    /// The token of an answer (`TimeStampResp`) that is one to this question, and what it says.
    ///
    /// # Errors
    /// When it refuses, is none, or stamps something else.
    pub fn answered<'a>(&self, answer: &'a [u8]) -> Result<(&'a [u8], Stamp), Refusal> {
        let mut answer = Der(Der(answer).only(Tag::Sequence).ok_or(Refusal::Malformed)?);
        let mut status = Der(answer.next(Tag::Sequence).ok_or(Refusal::Malformed)?);
        // 0 is granted, 1 is granted with changes that the comparison below would find.
        match status.next(Tag::Integer).ok_or(Refusal::Malformed)? {
            [0 | 1] => {}
            _ => return Err(Refusal::Refused(words(status))),
        }
        let stamp = Stamp::parse(answer.0).ok_or(Refusal::Malformed)?;
        if stamp.imprint != self.imprint {
            return Err(Refusal::OtherImprint);
        }
        if stamp.nonce != Some(self.nonce) {
            return Err(Refusal::OtherNonce);
        }
        Ok((answer.0, stamp))
    }
}

/// The authority's own words, where it gave any.
fn words(mut status: Der<'_>) -> String {
    let mut words = String::new();
    let mut texts = Der(status.next(Tag::Sequence).unwrap_or_default());
    while let Some(text) = texts.next(Tag::Utf8String) {
        words.extend(String::from_utf8_lossy(text).chars().filter(|letter| !letter.is_control()).take(WORDS));
        words.push(' ');
    }
    words.trim_end().chars().take(WORDS).collect()
}

/// Why an answer is no stamp of what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is not what RFC 3161 says.
    Malformed,
    /// The authority refuses, in its words.
    Refused(String),
    /// It stamps something else.
    OtherImprint,
    /// It answers another question.
    OtherNonce,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("what it answered is no time stamp"),
            Self::Refused(words) if words.is_empty() => f.write_str("it refuses"),
            Self::Refused(words) => write!(f, "it refuses: {words}"),
            Self::OtherImprint => f.write_str("it stamped something else"),
            Self::OtherNonce => f.write_str("it answered another question: the nonce differs"),
        }
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// SHA-256 of what is stamped.
    pub imprint: Hash,
    /// The nonce of the question, where it had one of eight bytes.
    pub nonce: Option<u64>,
    /// When, by the authority's clock: milliseconds since 1970.
    pub unix_millis: u64,
    /// The number that the authority gave it, in hexadecimal.
    pub serial: String,
}

impl Stamp {
    /// Reads a token (`TimeStampToken`, DER). None where it is not one over SHA-256, to the byte.
    #[must_use]
    pub fn parse(token: &[u8]) -> Option<Self> {
        let (info, _) = opened(token)?;
        let mut info = Der(Der(info).only(Tag::Sequence)?);
        if info.next(Tag::Integer)? != [1] {
            return None;
        }
        info.next(Tag::Oid)?;
        let mut imprint = Der(info.next(Tag::Sequence)?);
        Der(imprint.next(Tag::Sequence)?).is(&SHA256)?;
        let imprint = imprint.next(Tag::OctetString)?.try_into().ok()?;
        let serial = info.next(Tag::Integer).filter(|serial| serial.len() <= SERIAL_BYTES)?;
        let serial = serial.iter().map(|byte| format!("{byte:02x}")).collect();
        let time = GeneralizedTime::from_bytes(info.next(Tag::GeneralizedTime)?).ok()?.utc_datetime().ok()?;
        let unix_millis = u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()?;
        // How exact it is, and whether it is in order with others, stand before the nonce where they are said.
        info.next(Tag::Sequence);
        info.next(Tag::Boolean);
        let nonce = info.next(Tag::Integer).and_then(|nonce| nonce.try_into().ok()).map(u64::from_be_bytes);
        Some(Self { imprint, nonce, unix_millis, serial })
    }
}

/// What a token says (`TSTInfo`), and what stands behind that in its signed data: certificates, revocations, signatures.
fn opened(token: &[u8]) -> Option<(&[u8], Der<'_>)> {
    let mut content = Der(Der(token).only(Tag::Sequence)?);
    content.is(&SIGNED_DATA)?;
    let mut signed = Der(Der(content.explicit(0)?).only(Tag::Sequence)?);
    signed.next(Tag::Integer)?;
    signed.next(Tag::Set)?;
    let mut encapsulated = Der(signed.next(Tag::Sequence)?);
    encapsulated.is(&TST_INFO)?;
    Some((Der(encapsulated.explicit(0)?).only(Tag::OctetString)?, signed))
}

/// DER that is taken apart from the front.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of what comes next, if it has this tag.
    fn next(&mut self, tag: Tag) -> Option<&'a [u8]> {
        let (rest, any) = Any::from_der(self.0).ok()?;
        (any.class() == Class::Universal && any.tag() == tag).then(|| {
            self.0 = rest;
            any.data
        })
    }

    /// The same, where nothing is behind it.
    fn only(mut self, tag: Tag) -> Option<&'a [u8]> {
        self.next(tag).filter(|_| self.0.is_empty())
    }

    /// What is wrapped in this tag of the context.
    fn explicit(&mut self, tag: u32) -> Option<&'a [u8]> {
        let (rest, any) = Any::from_der(self.0).ok()?;
        (any.class() == Class::ContextSpecific && any.tag() == Tag(tag)).then(|| {
            self.0 = rest;
            any.data
        })
    }

    /// Whether this identifier comes next.
    fn is(&mut self, wanted: &Oid<'_>) -> Option<()> {
        (self.next(Tag::Oid)? == wanted.as_bytes()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request::new([0xab; 32], 0x0123_4567_89ab_cdef)
    }

    /// A tag, a length of one or three bytes, and the rest.
    pub(super) fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = content.len();
        let head = match length {
            0..128 => vec![tag, length as u8],
            _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
        };
        [head, content].concat()
    }

    fn oid(of: &Oid<'_>) -> Vec<u8> {
        der(6, &[of.as_bytes()])
    }

    /// A token without certificates and signatures, which nobody here looks at.
    fn token(imprint: &Hash, nonce: &[u8], time: &str) -> Vec<u8> {
        let algorithm = der(0x30, &[&oid(&SHA256), &[5, 0]]);
        let info = der(
            0x30,
            &[
                &[2, 1, 1],
                &[6, 2, 0x2a, 3],
                &der(0x30, &[&algorithm, &der(4, &[imprint])]),
                &[2, 2, 0x12, 0x34],
                &der(0x18, &[time.as_bytes()]),
                &der(0x30, &[&[2, 1, 1]]),
                &[1, 1, 0xff],
                &der(2, &[nonce]),
            ],
        );
        let encapsulated = der(0x30, &[&oid(&TST_INFO), &der(0xa0, &[&der(4, &[&info])])]);
        let signed = der(0x30, &[&[2, 1, 3], &der(0x31, &[]), &encapsulated, &der(0x31, &[])]);
        der(0x30, &[&oid(&SIGNED_DATA), &der(0xa0, &[&signed])])
    }

    fn granted(token: &[u8]) -> Vec<u8> {
        der(0x30, &[&der(0x30, &[&[2, 1, 0]]), token])
    }

    #[test]
    fn a_question_has_one_form() {
        let bytes = request().der();
        assert_eq!(bytes.len(), 2 + usize::from(bytes[1]));
        let mut asked = Der(Der(&bytes).only(Tag::Sequence).expect("whole"));
        assert_eq!(asked.next(Tag::Integer), Some(&[1][..]));
        let mut imprint = Der(asked.next(Tag::Sequence).expect("an imprint"));
        Der(imprint.next(Tag::Sequence).expect("an algorithm")).is(&SHA256).expect("SHA-256");
        assert_eq!(imprint.only(Tag::OctetString), Some(&[0xab; 32][..]));
        assert_eq!(asked.next(Tag::Integer), Some(&request().nonce.to_be_bytes()[..]));
        assert_eq!(asked.only(Tag::Boolean), Some(&[0xff][..]));
        for random in [0, 1, u64::MAX, 1 << 63] {
            let first = Request::new([0; 32], random).nonce.to_be_bytes()[0];
            assert!((0x40..0x80).contains(&first), "eight bytes, and positive: {first:x}");
        }
    }

    #[test]
    fn an_answer_is_held_against_the_question() {
        let nonce = request().nonce.to_be_bytes();
        let good = token(&[0xab; 32], &nonce, "20261123024751.5Z");
        let answer = granted(&good);
        let (kept, stamp) = request().answered(&answer).expect("it is one");
        assert_eq!(kept, good);
        assert_eq!(
            (stamp.unix_millis, stamp.serial.as_str(), stamp.nonce),
            (1_795_402_071_500, "1234", Some(request().nonce))
        );
        let answered = |answer: &[u8]| request().answered(answer).map(|(_, stamp)| stamp).expect_err("it is none");
        let other = |imprint: &Hash, nonce: &[u8], time| answered(&granted(&token(imprint, nonce, time)));
        assert_eq!(other(&[0xaa; 32], &nonce, "20261123024751Z"), Refusal::OtherImprint);
        assert_eq!(other(&[0xab; 32], &[1; 8], "20261123024751Z"), Refusal::OtherNonce);
        assert_eq!(other(&[0xab; 32], &[1], "20261123024751Z"), Refusal::OtherNonce);
        assert_eq!(other(&[0xab; 32], &nonce, "yesterday"), Refusal::Malformed);
        assert_eq!(other(&[0xab; 32], &nonce, "20261323024751Z"), Refusal::Malformed);
        for length in 0..granted(&good).len() {
            assert_eq!(answered(&granted(&good)[..length]), Refusal::Malformed, "{length} bytes of it");
        }
        let longer = [granted(&good), vec![0]].concat();
        assert_eq!(answered(&longer), Refusal::Malformed, "something is behind it");
        let words = der(0x30, &[&der(12, &[b"not\x1b[31m now"]), &der(12, &["x".repeat(900).as_bytes()])]);
        let refused = der(0x30, &[&der(0x30, &[&[2, 1, 2], &words])]);
        let Refusal::Refused(said) = answered(&refused) else { panic!("it refuses") };
        assert!(said.starts_with("not[31m now x") && said.len() <= WORDS, "{said}");
    }
}
