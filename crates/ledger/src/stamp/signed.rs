//! Who signed a token: its signature taken apart (CMS, RFC 5652), held against what it says is signed and by which certificate
//! (ESS, RFC 2634 and 5035). Whether the signature holds, and who vouches for the certificate, is for whoever has keys to say.

use asn1_rs::{Any, Class, FromDer, Oid, Tag, oid};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{Der, SHA256, TST_INFO, opened};

/// Certificates of one token that are looked at.
const CERTIFICATES: usize = 16;

const SHA384: Oid<'static> = oid!(2.16.840.1.101.3.4.2.2);
const SHA512: Oid<'static> = oid!(2.16.840.1.101.3.4.2.3);
const CONTENT_TYPE: Oid<'static> = oid!(1.2.840.113549.1.9.3);
const MESSAGE_DIGEST: Oid<'static> = oid!(1.2.840.113549.1.9.4);
const SIGNING_CERTIFICATE: Oid<'static> = oid!(1.2.840.113549.1.9.16.2.12);
const SIGNING_CERTIFICATE_V2: Oid<'static> = oid!(1.2.840.113549.1.9.16.2.47);

/// The hash that is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hashing {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// The signature of a token, which is over what the token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<'a> {
    /// What is signed (DER): attributes, of which one is the hash of what the token says.
    pub message: Vec<u8>,
    /// The signature.
    pub signature: &'a [u8],
    /// The hash that it is made over.
    pub hashing: Hashing,
    /// Certificates that came along (DER), the signer's and others.
    pub certificates: Vec<&'a [u8]>,
    signer: Signer<'a>,
}

/// What the signer's certificate hashes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signer<'a> {
    Sha1(&'a [u8]),
    Newer(Hashing, &'a [u8]),
}

impl<'a> Signed<'a> {
    /// Takes a token (DER) apart. None where it has not one signature, over what it says, that names its certificate.
    #[must_use]
    pub fn parse(token: &'a [u8]) -> Option<Self> {
        let (info, mut signed) = opened(token)?;
        let mut certificates = Vec::new();
        let mut rest = Der(signed.explicit(0).unwrap_or_default());
        while let Some((whole, any)) = rest.whole() {
            // What else may stand there is of no use for a signature.
            if any.class() == Class::Universal && any.tag() == Tag::Sequence && certificates.len() < CERTIFICATES {
                certificates.push(whole);
            }
        }
        // Lists of what was revoked.
        signed.explicit(1);
        let mut signer = Der(Der(signed.next(Tag::Set)?).only(Tag::Sequence)?);
        signer.next(Tag::Integer)?;
        // By issuer and number, or by a key's name: the hash below says more than both.
        if signer.next(Tag::Sequence).is_none() {
            signer.explicit(0)?;
        }
        let hashing = Hashing::of(&mut Der(signer.next(Tag::Sequence)?))?;
        let (whole, any) =
            signer.whole().filter(|(_, any)| any.class() == Class::ContextSpecific && any.tag() == Tag(0))?;
        let attributes = Attributes::parse(any.data)?;
        if attributes.content_type != TST_INFO.as_bytes() || attributes.digest != hashing.of_bytes(info) {
            return None;
        }
        // What is signed is the set, not the field that it stands in.
        let message = [&[0x31][..], whole.get(1..)?].concat();
        signer.next(Tag::Sequence)?;
        let signature = signer.next(Tag::OctetString)?;
        Some(Self { message, signature, hashing, certificates, signer: attributes.signer })
    }

    /// Whether this certificate (DER) is the one that it says it was signed with.
    #[must_use]
    pub fn is_by(&self, certificate: &[u8]) -> bool {
        match self.signer {
            Signer::Sha1(hash) => hash == &Sha1::digest(certificate)[..],
            Signer::Newer(hashing, hash) => hash == hashing.of_bytes(certificate),
        }
    }
}

impl Hashing {
    fn of(algorithm: &mut Der<'_>) -> Option<Self> {
        let name = algorithm.next(Tag::Oid)?;
        [(SHA256, Self::Sha256), (SHA384, Self::Sha384), (SHA512, Self::Sha512)]
            .into_iter()
            .find_map(|(oid, hashing)| (oid.as_bytes() == name).then_some(hashing))
    }

    fn of_bytes(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

/// Attributes that are signed.
struct Attributes<'a> {
    content_type: &'a [u8],
    digest: &'a [u8],
    signer: Signer<'a>,
}

impl<'a> Attributes<'a> {
    /// None where one is missing, or there twice.
    fn parse(content: &'a [u8]) -> Option<Self> {
        let (mut content_type, mut digest, mut older, mut newer) = (None, None, None, None);
        let mut rest = Der(content);
        while !rest.0.is_empty() {
            let mut attribute = Der(rest.next(Tag::Sequence)?);
            let name = attribute.next(Tag::Oid)?;
            let value = Der(attribute.next(Tag::Set)?);
            let place = if name == CONTENT_TYPE.as_bytes() {
                content_type.replace(value.only(Tag::Oid)?)
            } else if name == MESSAGE_DIGEST.as_bytes() {
                digest.replace(value.only(Tag::OctetString)?)
            } else if name == SIGNING_CERTIFICATE.as_bytes() {
                older.replace(value.only(Tag::Sequence)?)
            } else if name == SIGNING_CERTIFICATE_V2.as_bytes() {
                newer.replace(value.only(Tag::Sequence)?)
            } else {
                None
            };
            if place.is_some() {
                return None;
            }
        }
        // The first certificate that they name is the signer's; others are those above it.
        let first = |list: &'a [u8]| Some(Der(Der(Der(list).next(Tag::Sequence)?).next(Tag::Sequence)?));
        let signer = match (newer, older) {
            (Some(list), _) => {
                let mut named = first(list)?;
                let hashing = match named.next(Tag::Sequence) {
                    Some(algorithm) => Hashing::of(&mut Der(algorithm))?,
                    None => Hashing::Sha256,
                };
                Signer::Newer(hashing, named.next(Tag::OctetString)?)
            }
            (None, Some(list)) => Signer::Sha1(first(list)?.next(Tag::OctetString)?),
            (None, None) => return None,
        };
        Some(Self { content_type: content_type?, digest: digest?, signer })
    }
}

impl<'a> Der<'a> {
    /// What comes next, whole and taken apart.
    fn whole(&mut self) -> Option<(&'a [u8], Any<'a>)> {
        let (rest, any) = Any::from_der(self.0).ok()?;
        let whole = self.0.get(..self.0.len() - rest.len())?;
        self.0 = rest;
        Some((whole, any))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::SIGNED_DATA;
    use super::super::tests::der;
    use super::*;

    const INFO: &[u8] = b"what it says";
    const CERTIFICATE: &[u8] = b"\x30\x03\x02\x01\x07";
    const OTHER: &[u8] = b"\x30\x03\x02\x01\x08";

    fn name(oid: &Oid<'_>) -> Vec<u8> {
        der(6, &[oid.as_bytes()])
    }

    fn attribute(oid: &Oid<'_>, value: &[u8]) -> Vec<u8> {
        der(0x30, &[&name(oid), &der(0x31, &[value])])
    }

    /// What a token of these signers is.
    fn token(signers: &[Vec<u8>]) -> Vec<u8> {
        let content = der(0x30, &[&name(&TST_INFO), &der(0xa0, &[&der(4, &[INFO])])]);
        let certificates = der(0xa0, &[OTHER, CERTIFICATE]);
        let signed =
            der(0x30, &[b"\x02\x01\x03", &der(0x31, &[]), &content, &certificates, &der(0x31, &[&signers.concat()])]);
        der(0x30, &[&name(&SIGNED_DATA), &der(0xa0, &[&signed])])
    }

    fn signer(attributes: &[Vec<u8>]) -> Vec<u8> {
        let hash = der(0x30, &[&name(&SHA256)]);
        let who = der(0x30, &[&der(0x30, &[]), b"\x02\x01\x01"]);
        let attributes = der(0xa0, &[&attributes.concat()]);
        der(0x30, &[b"\x02\x01\x01", &who, &hash, &attributes, &der(0x30, &[&name(&SHA256)]), &der(4, &[b"signature"])])
    }

    fn usual() -> [Vec<u8>; 3] {
        let list = |certificate: &[u8]| {
            let one = der(0x30, &[&der(4, &[&Sha256::digest(certificate)])]);
            der(0x30, &[&der(0x30, &[&one])])
        };
        [
            attribute(&CONTENT_TYPE, &name(&TST_INFO)),
            attribute(&MESSAGE_DIGEST, &der(4, &[&Sha256::digest(INFO)])),
            attribute(&SIGNING_CERTIFICATE_V2, &list(CERTIFICATE)),
        ]
    }

    #[test]
    fn it_is_over_what_it_says_by_the_certificate_that_it_names() {
        let good = token(&[signer(&usual())]);
        let signed = Signed::parse(&good).expect("it is signed");
        assert_eq!((signed.signature, signed.hashing), (&b"signature"[..], Hashing::Sha256));
        assert_eq!(signed.certificates, [OTHER, CERTIFICATE]);
        assert!(signed.is_by(CERTIFICATE) && !signed.is_by(OTHER));
        assert_eq!(signed.message, der(0x31, &[&usual().concat()]), "a set of its own");
        let [kind, digest, by] = usual();
        let older = der(0x30, &[&der(0x30, &[&der(0x30, &[&der(4, &[&Sha1::digest(CERTIFICATE)])])])]);
        let older = token(&[signer(&[kind.clone(), digest.clone(), attribute(&SIGNING_CERTIFICATE, &older)])]);
        assert!(Signed::parse(&older).is_some_and(|signed| signed.is_by(CERTIFICATE) && !signed.is_by(OTHER)));
        let other = attribute(&MESSAGE_DIGEST, &der(4, &[&Sha256::digest("something else")]));
        let data = attribute(&CONTENT_TYPE, &name(&oid!(1.2.840.113549.1.7.1)));
        let [one, two] = [signer(&usual()), signer(&usual())];
        for (what, broken) in [
            ("over something else", token(&[signer(&[kind.clone(), other, by.clone()])])),
            ("of another kind", token(&[signer(&[data, digest.clone(), by.clone()])])),
            ("by nobody's certificate", token(&[signer(&[kind.clone(), digest.clone()])])),
            ("over nothing", token(&[signer(&[kind.clone(), by.clone()])])),
            ("over two things", token(&[signer(&[kind.clone(), digest.clone(), digest.clone(), by.clone()])])),
            ("by two", token(&[one, two])),
            ("by none", token(&[])),
        ] {
            assert_eq!(Signed::parse(&broken), None, "{what}");
        }
    }

    proptest! {
        #[test]
        fn what_is_cut_or_changed_is_read_or_is_none(cut in 0_usize..400, at in 0_usize..400, to: u8) {
            let mut bytes = token(&[signer(&usual())]);
            bytes.truncate(bytes.len().saturating_sub(cut % 8));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            if let Some(signed) = Signed::parse(&bytes) {
                prop_assert!(signed.certificates.len() <= CERTIFICATES && cut % 8 == 0);
            }
        }
    }
}
