//! Codes of a second factor: six digits for each half minute (RFC 6238 over HMAC-SHA-1, which every authenticator speaks).

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};

use super::secret::random;
use crate::model::Enrolment;

/// Milliseconds of one code.
const STEP: u64 = 30_000;
/// Codes before and after the present one that are taken: clocks differ, and people are slow (RFC 6238 section 5.2).
const DRIFT: u64 = 1;

/// A new shared secret: 160 bits (RFC 4226 section 4).
pub(crate) fn fresh() -> [u8; 20] {
    random()
}

/// Which step a code is of, if it is of one that is near, and later than `used`.
pub(crate) fn accepts(secret: &[u8], code: &str, now: u64, used: u64) -> Option<u64> {
    let digits: String = code.chars().filter(|it| !it.is_whitespace()).collect();
    let step = now / STEP;
    let near = step.saturating_sub(DRIFT)..=step + DRIFT;
    near.filter(|step| *step > used).find(|step| {
        aws_lc_rs::constant_time::verify_slices_are_equal(of(secret, *step).as_bytes(), digits.as_bytes()).is_ok()
    })
}

/// For an authenticator, as a link and to type.
pub(crate) fn enrolment(secret: &[u8], name: &str, organisation: &str) -> Enrolment {
    let secret = base32(secret);
    let issuer = if organisation.is_empty() { "Portcullis".to_owned() } else { format!("Portcullis {organisation}") };
    let (issuer, name) = (escaped(&issuer), escaped(name));
    Enrolment { url: format!("otpauth://totp/{issuer}:{name}?secret={secret}&issuer={issuer}"), secret }
}

/// The code of a step (RFC 4226 section 5.3).
fn of(secret: &[u8], step: u64) -> String {
    let tag = sign(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret), &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 15);
    let four = tag.get(offset..offset + 4).and_then(|it| it.try_into().ok()).unwrap_or_default();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

/// RFC 4648 section 6, without padding.
fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let letter = |five: &[u8]| {
        let five = five.iter().fold(0, |sum, bit| sum * 2 + usize::from(bit - b'0')) << (5 - five.len());
        char::from(LETTERS[five])
    };
    bits.as_bytes().chunks(5).map(letter).collect()
}

/// For a path and a query (RFC 3986).
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, the last six digits.
    const VECTORS: [(u64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    #[test]
    fn the_codes_are_those_of_the_standard() {
        for (seconds, code) in VECTORS {
            assert_eq!(of(b"12345678901234567890", seconds * 1_000 / STEP), code);
        }
    }

    #[test]
    fn a_code_is_taken_near_its_time_and_never_again() {
        let secret = b"12345678901234567890";
        let at = 1_234_567_890_000;
        let step = accepts(secret, "005 924", at, 0).expect("right");
        assert_eq!(step, at / STEP);
        assert_eq!(accepts(secret, "005924", at + STEP, 0), Some(step), "a slow person");
        assert_eq!(accepts(secret, "005924", at + 2 * STEP, 0), None, "too late");
        assert_eq!(accepts(secret, "005924", at, step), None, "used");
        for wrong in ["005925", "", "5924", "0059240", "00592a"] {
            assert_eq!(accepts(secret, wrong, at, 0), None, "{wrong}");
        }
    }

    #[test]
    fn an_authenticator_reads_the_secret() {
        assert_eq!(base32(b"foobar"), "MZXW6YTBOI", "RFC 4648 section 10");
        let enrolment = enrolment(b"12345678901234567890", "Ane Holm", "Folk & Land");
        assert_eq!(
            enrolment.url,
            "otpauth://totp/Portcullis%20Folk%20%26%20Land:Ane%20Holm?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Portcullis%20Folk%20%26%20Land"
        );
    }
}
