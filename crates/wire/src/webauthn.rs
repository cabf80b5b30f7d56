//! What an authenticator says: attestation objects, authenticator data, public keys, and what a browser says around them.
//!
//! All of it comes from whoever asks to be let in. It is read strictly: CBOR of definite lengths, shortest numbers, no key twice, nothing
//! left over. Nothing is verified here. What an authenticator says of its own making is skipped: nobody asked for it.
//!
//! Sources: W3C Web Authentication Level 3 (5.8.1, 6.1, 6.5), RFC 8949, RFC 9053, RFC 8230; CTAP 2.1 section 8 for the form of CBOR.

use std::fmt;

use serde::Deserialize;

use crate::read::Cursor;

/// Bytes of an attestation object or of client data at most.
pub const BYTES: usize = 16 * 1024;
/// Bytes of a credential's name at most (4.1.1 of WebAuthn).
pub const CREDENTIAL: usize = 1023;
/// How deep CBOR may be: an attestation object, its statement, a list of certificates, one of them.
const DEPTH: u8 = 4;
/// Bytes of an RSA modulus: 2048 to 4096 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=512;
/// Flags of authenticator data (6.1).
const PRESENT: u8 = 1;
const VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const ATTESTED: u8 = 1 << 6;
const EXTENDED: u8 = 1 << 7;

/// What an authenticator signs, but for the hash of what the browser says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authenticator<'a> {
    /// SHA-256 of the relying party's name.
    pub party: [u8; 32],
    /// Somebody touched it.
    pub present: bool,
    /// Somebody showed who they are: by finger, face or a number.
    pub verified: bool,
    /// The key may be copied to other devices of that person.
    pub synced: bool,
    /// Signatures so far; 0 where nobody counts.
    pub count: u32,
    /// A credential that was just made.
    pub made: Option<Made<'a>>,
}

/// A credential that was just made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made<'a> {
    /// Its name.
    pub id: &'a [u8],
    /// Its public key, as [`key`] reads it.
    pub key: &'a [u8],
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key<'a> {
    /// ECDSA on P-256 with SHA-256: the point, uncompressed (SEC 1 section 2.3.3).
    Es256([u8; 65]),
    /// Ed25519.
    EdDsa([u8; 32]),
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256 {
        /// Its modulus, big-endian.
        modulus: &'a [u8],
        /// Its public exponent, big-endian.
        exponent: &'a [u8],
    },
}

/// What the browser says of the ceremony.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// `webauthn.create`, `webauthn.get`.
    #[serde(rename = "type")]
    pub kind: String,
    /// As it was handed out, in base64url.
    pub challenge: String,
    /// The page's origin.
    pub origin: String,
    /// The page stood in a frame of another.
    #[serde(default)]
    pub cross_origin: bool,
}

/// Why something is not what authenticators and browsers write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// It is too long, or something in it is.
    Long,
    /// It ends too early, or goes on after its end.
    Length,
    /// It is no CBOR in the form that authenticators write.
    Cbor,
    /// Something is missing, there twice, or of another type.
    Form,
    /// A flag contradicts another, or what is there.
    Flags,
    /// A key of a kind that was not asked for, or that is none.
    Key,
    /// The browser's words are no JSON of that form.
    Client,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Long => "it is longer than authenticators write",
            Self::Length => "it ends too early or too late",
            Self::Cbor => "it is not CBOR as authenticators write it",
            Self::Form => "something is missing or of another type",
            Self::Flags => "its flags contradict what is there",
            Self::Key => "its key is of a kind that was not asked for",
            Self::Client => "the browser's part is not in its form",
        })
    }
}

/// Reads an attestation object down to the authenticator data in it.
///
/// # Errors
/// Where anything in it is not as it should be.
pub fn attestation(bytes: &[u8]) -> Result<Authenticator<'_>, Malformed> {
    let (mut form, mut statement, mut data) = (None, None, None);
    let mut rest = bounded(bytes)?;
    for _ in 0..map(&mut rest)? {
        let again = match text(&mut rest)? {
            b"fmt" => form.replace(text(&mut rest)?).is_some(),
            b"attStmt" => {
                if rest.0.first().is_none_or(|first| first >> 5 != MAP) {
                    return Err(Malformed::Form);
                }
                statement.replace(skip(&mut rest, DEPTH)?).is_some()
            }
            b"authData" => data.replace(bytes_of(&mut rest)?).is_some(),
            _ => return Err(Malformed::Form),
        };
        if again {
            return Err(Malformed::Form);
        }
    }
    if !rest.is_empty() {
        return Err(Malformed::Length);
    }
    match (form, statement, data) {
        (Some(_), Some(_), Some(data)) => authenticator(data),
        _ => Err(Malformed::Form),
    }
}

/// Reads authenticator data.
///
/// # Errors
/// Where anything in it is not as it should be.
pub fn authenticator(bytes: &[u8]) -> Result<Authenticator<'_>, Malformed> {
    let mut rest = bounded(bytes)?;
    let (Some(party), Some(flags), Some(count)) = (rest.array(), rest.u8(), rest.array()) else {
        return Err(Malformed::Length);
    };
    let is = |flag: u8| flags & flag != 0;
    if is(BACKED_UP) && !is(BACKUP_ELIGIBLE) {
        return Err(Malformed::Flags);
    }
    let made = is(ATTESTED).then(|| made(&mut rest)).transpose()?;
    if is(EXTENDED) {
        if rest.0.first().is_none_or(|first| first >> 5 != MAP) {
            return Err(Malformed::Flags);
        }
        skip(&mut rest, DEPTH)?;
    }
    if !rest.is_empty() {
        return Err(Malformed::Length);
    }
    Ok(Authenticator {
        party,
        present: is(PRESENT),
        verified: is(VERIFIED),
        synced: is(BACKUP_ELIGIBLE),
        count: u32::from_be_bytes(count),
        made,
    })
}

fn made<'a>(rest: &mut Cursor<'a>) -> Result<Made<'a>, Malformed> {
    // Which make the authenticator is: not asked.
    rest.take(16).ok_or(Malformed::Length)?;
    let id = rest.run16().ok_or(Malformed::Length)?;
    if id.is_empty() || id.len() > CREDENTIAL {
        return Err(Malformed::Long);
    }
    let own = skip(rest, DEPTH)?;
    key(own)?;
    Ok(Made { id, key: own })
}

/// Reads a public key (RFC 9052 section 7) of a kind that a passkey here may have.
///
/// # Errors
/// Where it is of another kind, or not as it should be.
pub fn key(bytes: &[u8]) -> Result<Key<'_>, Malformed> {
    let mut rest = bounded(bytes)?;
    let (mut kind, mut algorithm, mut curve) = (None, None, None);
    let [mut first, mut second, mut third] = [None; 3];
    for _ in 0..map(&mut rest)? {
        let label = number(&mut rest)?;
        let slot = match label {
            1 => {
                twice(&mut kind, number(&mut rest)?)?;
                continue;
            }
            3 => {
                twice(&mut algorithm, number(&mut rest)?)?;
                continue;
            }
            // The curve of an elliptic key, the modulus of an RSA key.
            -1 if rest.0.first().is_some_and(|byte| byte >> 5 != BYTES_OF) => {
                twice(&mut curve, number(&mut rest)?)?;
                continue;
            }
            -1 => &mut first,
            -2 => &mut second,
            -3 => &mut third,
            _ => return Err(Malformed::Key),
        };
        twice(slot, bytes_of(&mut rest)?)?;
    }
    if !rest.is_empty() {
        return Err(Malformed::Length);
    }
    match (kind, algorithm, curve, first, second, third) {
        (Some(2), Some(-7), Some(1), None, Some(x), Some(y)) if x.len() == 32 && y.len() == 32 => {
            let mut point = [4; 65];
            point[1..33].copy_from_slice(x);
            point[33..].copy_from_slice(y);
            Ok(Key::Es256(point))
        }
        (Some(1), Some(-8), Some(6), None, Some(x), None) => x.try_into().map(Key::EdDsa).map_err(|_| Malformed::Key),
        (Some(3), Some(-257), None, Some(modulus), Some(exponent), None)
            if MODULUS.contains(&modulus.len()) && (1..=8).contains(&exponent.len()) =>
        {
            Ok(Key::Rs256 { modulus, exponent })
        }
        _ => Err(Malformed::Key),
    }
}

/// Reads what the browser says. What stands there beside it is of no concern: browsers add to it so that nobody compares it as text.
///
/// # Errors
/// Where it is too long, or not JSON of that form.
pub fn client(bytes: &[u8]) -> Result<Client, Malformed> {
    serde_json::from_slice(bounded(bytes)?.0).map_err(|_| Malformed::Client)
}

fn bounded(bytes: &[u8]) -> Result<Cursor<'_>, Malformed> {
    if bytes.len() > BYTES { Err(Malformed::Long) } else { Ok(Cursor(bytes)) }
}

fn twice<T>(slot: &mut Option<T>, value: T) -> Result<(), Malformed> {
    if slot.replace(value).is_some() { Err(Malformed::Form) } else { Ok(()) }
}

// ---------------------------------------------------------------------------------------------------------------------
// CBOR, as far as authenticators write it.

/// Major types (RFC 8949 section 3.1).
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES_OF: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const SIMPLE: u8 = 7;

/// The head of an item: its major type, and its argument, in the shortest form that there is for it.
fn head(rest: &mut Cursor<'_>) -> Result<(u8, u64), Malformed> {
    let first = rest.u8().ok_or(Malformed::Length)?;
    let (argument, least) = match first & 31 {
        small @ 0..=23 => (Some(u64::from(small)), 0),
        24 => (rest.u8().map(u64::from), 24),
        25 => (rest.u16().map(u64::from), 1 << 8),
        26 => (rest.array().map(u32::from_be_bytes).map(u64::from), 1 << 16),
        27 => (rest.array().map(u64::from_be_bytes), 1 << 32),
        _ => return Err(Malformed::Cbor),
    };
    let argument = argument.ok_or(Malformed::Length)?;
    // What is not a number is told by its length instead.
    if argument < least && first >> 5 != SIMPLE { Err(Malformed::Cbor) } else { Ok((first >> 5, argument)) }
}

/// How many pairs follow. Each takes two bytes at least.
fn map(rest: &mut Cursor<'_>) -> Result<u64, Malformed> {
    match head(rest)? {
        (MAP, pairs) if pairs <= rest.0.len() as u64 / 2 => Ok(pairs),
        (MAP, _) => Err(Malformed::Length),
        _ => Err(Malformed::Form),
    }
}

fn text<'a>(rest: &mut Cursor<'a>) -> Result<&'a [u8], Malformed> {
    match head(rest)? {
        (TEXT, length) => run(rest, length),
        _ => Err(Malformed::Form),
    }
}

fn bytes_of<'a>(rest: &mut Cursor<'a>) -> Result<&'a [u8], Malformed> {
    match head(rest)? {
        (BYTES_OF, length) => run(rest, length),
        _ => Err(Malformed::Form),
    }
}

fn number(rest: &mut Cursor<'_>) -> Result<i64, Malformed> {
    let (kind, argument) = head(rest)?;
    let argument = i64::try_from(argument).map_err(|_| Malformed::Form)?;
    match kind {
        UNSIGNED => Ok(argument),
        NEGATIVE => Ok(-1 - argument),
        _ => Err(Malformed::Form),
    }
}

fn run<'a>(rest: &mut Cursor<'a>, length: u64) -> Result<&'a [u8], Malformed> {
    usize::try_from(length).ok().and_then(|length| rest.take(length)).ok_or(Malformed::Length)
}

/// One item, whatever it is, and all that is in it.
fn skip<'a>(rest: &mut Cursor<'a>, depth: u8) -> Result<&'a [u8], Malformed> {
    let whole = rest.0;
    let inner = match head(rest)? {
        (UNSIGNED | NEGATIVE, _) => 0,
        (BYTES_OF | TEXT, length) => {
            run(rest, length)?;
            0
        }
        (LIST, items) => items,
        (MAP, pairs) => pairs.saturating_mul(2),
        (SIMPLE, _) => 0,
        _ => return Err(Malformed::Cbor),
    };
    if inner > rest.0.len() as u64 {
        return Err(Malformed::Length);
    }
    if inner > 0 && depth == 0 {
        return Err(Malformed::Cbor);
    }
    for _ in 0..inner {
        skip(rest, depth - 1)?;
    }
    Ok(whole.get(..whole.len() - rest.0.len()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().filter(char::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|two| u8::from_str_radix(&two.iter().collect::<String>(), 16).expect("hex")).collect()
    }

    /// W3C Web Authentication Level 3, section 16, test vectors: ES256 without attestation, with self attestation, and the keys and
    /// authenticator data of the ones with Ed25519 and RSA.
    const NONE_ES256: &str = "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360d3ad6461c9c4735ae7f8ed\
        d46592a5e0f01452b2e4b559000000008446ccb9ab1db374750b2367ff6f3a1f0020f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec3\
        30084be4a5010203262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b03458a\
        bf879717c12cc68ed73290af2e2664796b9220";
    const SELF_ES256: &str = "a363666d74667061636b65646761747453746d74a263616c672663736967584630440220067a20754ab925005dbf378097c921\
        20031581c73228d1fb4f5b881bcd7da98302207fc7b147558c7c0eba3af18bd9d121fa3d3a26d17fe3f220272178f473b6006d6861757468446174615\
        8a4bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b55d00000000df850e09db6afbdfab51697791506cfc0020455ef34e204\
        3a87db3d4afeb39bbcb6cc32df9347c789a865ecdca129cbef58ca5010203262001215820eb151c8176b225cc651559fecf07af450fd85802046656b34c1\
        8f6cf193843c5225820927b8aa427a2be1b8834d233a2d34f61f13bfd44119c325d5896e183fee484f2";
    const DATA_ED25519: &str = "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b54100000000d5aa33581e8ca478e20fe713f5d\
        32ff20020ce9f840ed96599580cd140fbc7bb3230633f50f61041aff73308ae71caa8a2bda401010327200621582044e06ddd331c36a8dc667bab52bcae63\
        486c916aa5e339e6acebaa84934bf832";
    const CLIENT_ES256: &str = "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a22414d4d5074345578784754\
        53746e63647134313759447742466938767049612d7077386f4f755657345441222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f72\
        67222c2263726f73734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d61792062652065787465\
        6e6465642077697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a20426b516544\
        6a646354427258426941774a544c453551227d";

    #[test]
    fn the_standards_own_examples_are_read() {
        let bytes = hex(NONE_ES256);
        let read = attestation(&bytes).expect("the standard's own");
        assert_eq!(read.party.to_vec(), hex("bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b5"));
        assert!(read.present && !read.verified && read.synced && read.count == 0);
        let made = read.made.expect("a credential");
        assert_eq!(made.id, hex("f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4"));
        let Key::Es256(point) = key(made.key).expect("a key") else { panic!("of another kind") };
        assert_eq!((point[0], &point[1..5], &point[61..]), (4, &hex("afefa16f")[..], &hex("796b9220")[..]));
        let bytes = hex(SELF_ES256);
        let read = attestation(&bytes).expect("what it says of itself is skipped");
        assert!(read.verified && read.made.is_some_and(|made| made.id.starts_with(&[0x45, 0x5e])));
        let bytes = hex(DATA_ED25519);
        let read = authenticator(&bytes).expect("the standard's own");
        let Key::EdDsa(point) = key(read.made.expect("a credential").key).expect("a key") else { panic!("another") };
        assert_eq!(point[..4], hex("44e06ddd"));
        let client = client(&hex(CLIENT_ES256)).expect("the standard's own");
        assert_eq!((client.kind.as_str(), client.origin.as_str()), ("webauthn.create", "https://example.org"));
        assert_eq!(
            (client.challenge.as_str(), client.cross_origin),
            ("AMMPt4UxxGTStncdq417YDwBFi8vpIa-pw8oOuVW4TA", false)
        );
    }

    #[test]
    fn a_key_of_rsa_is_read() {
        let rsa = |length: u16, exponent: &str| {
            let mut bytes = hex("a401030339010020 59");
            bytes.extend(length.to_be_bytes());
            bytes.resize(bytes.len() + usize::from(length), 0xff);
            bytes.extend(hex("21"));
            bytes.extend(hex(exponent));
            bytes
        };
        let bytes = rsa(256, "43010001");
        let Ok(Key::Rs256 { modulus, exponent }) = key(&bytes) else { panic!("it is one") };
        assert_eq!((modulus.len(), exponent), (256, &[1, 0, 1][..]));
        assert!(key(&rsa(512, "43010001")).is_ok());
        for (length, exponent) in
            [(0x100 - 1, "43010001"), (513, "43010001"), (256, "40"), (256, "49010101010101010101")]
        {
            assert!(key(&rsa(length, exponent)).is_err(), "{length} {exponent}");
        }
    }

    #[test]
    fn nothing_else_is_taken_for_a_key() {
        let x = "5820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61";
        let right = format!("a501020326200121{x}22{x}");
        assert!(matches!(key(&hex(&right)), Ok(Key::Es256(_))));
        for (case, bytes, why) in [
            ("ES384", format!("a50102033822200121{x}22{x}"), Malformed::Key),
            ("another curve", format!("a501020326200221{x}22{x}"), Malformed::Key),
            ("no algorithm", format!("a401022001 21{x}22{x}"), Malformed::Key),
            ("half a point", format!("a4010203262001 21{x}"), Malformed::Key),
            ("a sign for a coordinate", format!("a501020326200121{x}22f5"), Malformed::Form),
            ("a short coordinate", format!("a501020326200121{x}2241aa"), Malformed::Key),
            ("twice", format!("a6010201020326200121{x}22{x}"), Malformed::Form),
            ("something beside", format!("a60102032620010441aa21{x}22{x}"), Malformed::Key),
            ("a private part", format!("a601020326200121{x}22{x}23{x}"), Malformed::Key),
            ("more behind", format!("{right}00"), Malformed::Length),
            ("a long number", format!("a5011802032620 0121{x}22{x}"), Malformed::Cbor),
            ("no end", format!("bf0102032620 0121{x}22{x}ff"), Malformed::Cbor),
            ("more promised than there", format!("b8ff{}", &right[2..]), Malformed::Length),
            ("nothing", String::new(), Malformed::Length),
        ] {
            assert_eq!(key(&hex(&bytes)), Err(why), "{case}");
        }
    }

    #[test]
    fn authenticator_data_ends_where_its_flags_say() {
        let party = "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b5";
        let data = |rest: &str| hex(&format!("{party}{rest}"));
        let read = |rest: &str| authenticator(&data(rest)).map(|it| (it.present, it.verified, it.synced, it.count));
        assert_eq!(read("05 00000007"), Ok((true, true, false, 7)));
        assert_eq!(read("9d 00000007 a1 6161 f5"), Ok((true, true, true, 7)), "an extension");
        for (case, rest, why) in [
            ("cut", "05 000000", Malformed::Length),
            ("more behind", "05 00000000 00", Malformed::Length),
            ("copied, and cannot be", "15 00000000", Malformed::Flags),
            ("extensions promised", "85 00000000", Malformed::Flags),
            ("extensions that are no map", "85 00000000 f5", Malformed::Flags),
            ("too deep", "85 00000000 a1 00 81 81 81 81 81 00", Malformed::Cbor),
            ("tagged", "85 00000000 a1 00 c0 00", Malformed::Cbor),
            ("a list without end", "85 00000000 a1 00 9bffffffffffffffff", Malformed::Length),
            ("a credential without a name", "45 00000000 00000000000000000000000000000000 0000 a0", Malformed::Long),
        ] {
            assert_eq!(read(rest), Err(why), "{case}");
        }
        assert_eq!(authenticator(&vec![0; BYTES + 1]), Err(Malformed::Long));
    }

    #[test]
    fn no_cut_or_changed_byte_makes_it_panic() {
        for whole in [hex(NONE_ES256), hex(SELF_ES256)] {
            for end in 0..whole.len() {
                assert!(attestation(&whole[..end]).is_err(), "cut at {end}");
            }
            for at in 0..whole.len() {
                for bit in 0..8 {
                    let mut changed = whole.clone();
                    changed[at] ^= 1 << bit;
                    let _ = attestation(&changed);
                }
            }
        }
    }

    #[test]
    fn what_the_browser_says_has_its_form() {
        for wrong in
            ["", "[]", r#"{"type":"webauthn.get","origin":"x"}"#, r#"{"type":1,"challenge":"","origin":""}"#, "{}x"]
        {
            assert_eq!(client(wrong.as_bytes()), Err(Malformed::Client), "{wrong}");
        }
        assert_eq!(client(&vec![b' '; BYTES + 1]), Err(Malformed::Long));
    }
}
