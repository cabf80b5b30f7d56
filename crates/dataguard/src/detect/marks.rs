//! Where values could stand: at an `@`, and where digits begin. Eight bytes are looked at together.

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * EACH;

/// The places of eight bytes where a value could be, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks(u64);

impl Marks {
    /// Of eight bytes. `behind_digit` says whether a digit stands before them, and afterwards whether one is their last.
    #[inline]
    pub(super) fn of(bytes: [u8; 8], behind_digit: &mut bool) -> Self {
        let bytes = u64::from_le_bytes(bytes);
        let digits = digits(bytes);
        let first = digits & !(digits << 8 | u64::from(*behind_digit) << 7);
        *behind_digit = digits >> 63 == 1;
        Self(first | ats(bytes))
    }
}

/// How many digits stand in a row at `at`. It stops counting soon after `most`.
pub(super) fn run(window: &[u8], at: usize, most: usize) -> usize {
    let mut length = 0;
    while length < most {
        let rest = window.get(at + length..).unwrap_or_default();
        let Some(bytes) = rest.first_chunk::<8>() else {
            return length + rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        };
        let others = !digits(u64::from_le_bytes(*bytes)) & HIGH;
        if others != 0 {
            return length + (others.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length
}

impl Iterator for Marks {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let place = self.0.trailing_zeros() / 8;
        self.0 &= self.0 - 1;
        Some(place as usize)
    }
}

/// The highest bit of each byte that is a digit.
const fn digits(bytes: u64) -> u64 {
    let seven = bytes & !HIGH;
    let from_0 = seven + (0x80 - b'0' as u64) * EACH;
    let beyond_9 = seven + (0x7f - b'9' as u64) * EACH;
    (from_0 ^ beyond_9) & !bytes & HIGH
}

/// The highest bit of each byte that is `@`.
const fn ats(bytes: u64) -> u64 {
    let other = bytes ^ (b'@' as u64 * EACH);
    !(((other & !HIGH) + !HIGH) | other) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_what_it_is() {
        for byte in 0..=u8::MAX {
            for beside in [b' ', b'5', b'@', 0xff, 0] {
                let mut behind = false;
                let marks: Vec<usize> =
                    Marks::of([byte, beside, byte, b'x', b'0', byte, beside, byte], &mut behind).collect();
                let all = [byte, beside, byte, b'x', b'0', byte, beside, byte];
                let expected = (0..8).filter(|at| {
                    let first = all[*at].is_ascii_digit() && (*at == 0 || !all[at - 1].is_ascii_digit());
                    first || all[*at] == b'@'
                });
                assert_eq!((marks, behind), (expected.collect(), byte.is_ascii_digit()), "{byte:#x} {beside:#x}");
            }
        }
        for digits in 0..30 {
            let text = format!("x{}", "7".repeat(digits));
            assert_eq!(
                (run(text.as_bytes(), 1, 64), run(format!("{text}-12345678").as_bytes(), 1, 64)),
                (digits, digits)
            );
        }
        let mut behind = true;
        assert_eq!(Marks::of(*b"12 34@5@", &mut behind).collect::<Vec<_>>(), [3, 5, 6, 7]);
        assert!(!behind);
    }
}
