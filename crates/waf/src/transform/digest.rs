//! Transformations that say something about the whole value: its length, its hash.

use md5::Digest as _;

/// `length`: in decimal digits.
pub(super) fn length(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut left = input.len();
    loop {
        first -= 1;
        if let Some(place) = digits.get_mut(first) {
            *place = b'0' + (left % 10) as u8;
        }
        left /= 10;
        if left == 0 || first == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
    out != input
}

/// `md5`: the 16 bytes themselves (RFC 1321).
pub(super) fn md5(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&md5::Md5::digest(input));
    out != input
}

/// `sha1`: the 20 bytes themselves (FIPS 180-4).
pub(super) fn sha1(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&sha1::Sha1::digest(input));
    out != input
}
