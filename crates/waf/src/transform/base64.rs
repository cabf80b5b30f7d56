//! Base64 (RFC 4648) to and from bytes, strictly and leniently.

/// `base64Encode`: with padding.
pub(super) fn encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.reserve(input.len().div_ceil(3) * 4);
    for group in input.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            out.push(if digit <= group.len() { DIGITS[value as usize] } else { b'=' });
        }
    }
    !input.is_empty()
}

/// `base64Decode`: up to the first null, as a whole or not at all. Lines may end in LF, CRLF and spaces; nothing else may stand
/// between the digits, whose number with their padding is a multiple of four.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    if input.is_empty() {
        return false;
    }
    let text = input.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut group = Group::default();
    let mut padding = 0;
    let mut count = 0usize;
    let mut rest = text;
    loop {
        let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
        rest = rest.get(spaces..).unwrap_or_default();
        let Some((&byte, next)) = rest.split_first() else { break };
        rest = next;
        match (byte, next.first()) {
            (b'\n', _) | (b'\r', Some(b'\n')) => continue,
            _ if spaces > 0 => return false,
            (b'=', _) => padding += 1,
            _ => match digit(byte) {
                Some(value) if padding == 0 => group.push(value, out),
                _ => return false,
            },
        }
        count += 1;
        if padding > 2 {
            return false;
        }
    }
    if !count.is_multiple_of(4) {
        return false;
    }
    group.finish(out);
    out != input
}

/// `base64DecodeExt`: whatever is no digit is passed over, and padding is optional. Nothing comes of a value that has padding, or
/// ends, where only one digit of a group has been read: of the latter only if that digit is `9`, whose value happens to be the
/// code of `=` where `ModSecurity` looks.
pub(super) fn decode_leniently(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut group = Group::default();
    for (at, &byte) in input.iter().enumerate() {
        let alone = match digit(byte) {
            Some(value) => {
                group.push(value, out);
                byte == b'9' && at + 1 == input.len()
            }
            None => byte == b'=' && input.get(at + 1) != Some(&b'='),
        };
        if alone && group.digits == 1 {
            out.clear();
            return !input.is_empty();
        }
    }
    group.finish(out);
    out != input
}

/// Up to four digits on their way to three bytes.
#[derive(Default)]
struct Group {
    bits: u32,
    digits: u8,
}

impl Group {
    fn push(&mut self, value: u8, out: &mut Vec<u8>) {
        self.bits = self.bits << 6 | u32::from(value);
        self.digits += 1;
        if self.digits == 4 {
            let [_, bytes @ ..] = self.bits.to_be_bytes();
            out.extend_from_slice(&bytes);
            *self = Self::default();
        }
    }

    /// What the digits of a group that is not full say: one byte of two, two of three.
    fn finish(self, out: &mut Vec<u8>) {
        let [_, bytes @ ..] = (self.bits << (6 * (4 - u32::from(self.digits)))).to_be_bytes();
        out.extend(bytes.iter().take(usize::from(self.digits.saturating_sub(1))));
    }
}

/// What a digit stands for.
const fn digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}
