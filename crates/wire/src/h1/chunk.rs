//! The chunked transfer coding (RFC 9112 section 7.1), taken apart without holding the body.

use memchr::memchr;
use portcullis_types::Reason;

use super::Refused;

/// Bounds of what a chunked body may carry beside its data.
#[derive(Debug, Clone, Copy)]
pub struct ChunkBounds {
    /// Of the extensions of one chunk.
    pub extension_bytes: usize,
    /// Of the trailer fields.
    pub trailer_bytes: usize,
}

/// Sixteen hexadecimal digits are 64 bits; a size line may not have more.
const SIZE_DIGITS: usize = 15;

/// Extensions of all chunks together, in multiples of what one chunk may have (extension floods, CVE-2023-39326).
const EXTENSION_BUDGET: usize = 16;

/// Takes a chunked body apart as it arrives.
#[derive(Debug, Clone)]
pub struct ChunkDecoder {
    state: State,
    bounds: ChunkBounds,
    extensions_left: usize,
    trailers: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Done,
}

/// One step of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkStep {
    /// Drop this many bytes from the front: they carried no data.
    Skip(usize),
    /// This many bytes at the front are data; take them.
    Data(usize),
    /// More bytes are needed.
    Incomplete,
    /// The body has ended; nothing more belongs to it.
    Done,
}

impl ChunkDecoder {
    /// At the beginning of a body.
    #[must_use]
    pub fn new(bounds: ChunkBounds) -> Self {
        let extensions_left = bounds.extension_bytes.saturating_mul(EXTENSION_BUDGET);
        Self { state: State::Size, bounds, extensions_left, trailers: Vec::new() }
    }

    /// Looks at the bytes that have arrived and were not yet skipped or taken. Call again after each step.
    ///
    /// # Errors
    /// [`Reason::BadChunk`] when the coding is malformed or exceeds its bounds.
    pub fn step(&mut self, bytes: &[u8]) -> Result<ChunkStep, Refused> {
        match self.state {
            State::Size => self.size_line(bytes),
            State::Data(left) => {
                if bytes.is_empty() {
                    return Ok(ChunkStep::Incomplete);
                }
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - take as u64;
                self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                Ok(ChunkStep::Data(take))
            }
            State::DataEnd => match bytes {
                [b'\r', b'\n', ..] => {
                    self.state = State::Size;
                    Ok(ChunkStep::Skip(2))
                }
                [] | [b'\r'] => Ok(ChunkStep::Incomplete),
                _ => Err(bad("chunk data is not followed by CRLF")),
            },
            State::Trailers => self.trailer_line(bytes),
            State::Done => Ok(ChunkStep::Done),
        }
    }

    /// The trailer lines, once the body has ended: input for [`super::trailers`].
    #[must_use]
    pub fn trailer_lines(&self) -> &[u8] {
        &self.trailers
    }

    /// Whether the body has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn size_line(&mut self, bytes: &[u8]) -> Result<ChunkStep, Refused> {
        let longest = SIZE_DIGITS + self.bounds.extension_bytes + 2;
        let Some(end) = memchr(b'\n', bytes.get(..bytes.len().min(longest)).unwrap_or_default()) else {
            if bytes.len() >= longest {
                return Err(bad("a chunk's size line exceeds limits.chunk_extension_bytes"));
            }
            // Refuse what can no longer become a size line at once, not at the deadline.
            return match bytes.iter().find(|byte| !byte.is_ascii_hexdigit()) {
                None | Some(b';' | b'\r') => Ok(ChunkStep::Incomplete),
                Some(_) => Err(bad("a chunk's size is not a hexadecimal number")),
            };
        };
        let line = bytes
            .get(..end)
            .and_then(|line| line.strip_suffix(b"\r"))
            .ok_or(bad("a size line ends in LF without CR"))?;
        let (digits, extensions) = line.split_at(memchr(b';', line).unwrap_or(line.len()));
        if !(1..=SIZE_DIGITS).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(bad("a chunk's size is not a plain hexadecimal number"));
        }
        if extensions.len() > self.bounds.extension_bytes {
            return Err(bad("a chunk's extensions exceed limits.chunk_extension_bytes"));
        }
        if !crate::http::is_field_value(extensions) {
            return Err(bad("a chunk extension holds a control character"));
        }
        self.extensions_left = self
            .extensions_left
            .checked_sub(extensions.len())
            .ok_or(bad("the chunk extensions of one body together exceed their bound"))?;
        let size = digits.iter().fold(0_u64, |size, digit| size << 4 | u64::from(hex(*digit)));
        self.state = if size == 0 { State::Trailers } else { State::Data(size) };
        Ok(ChunkStep::Skip(end + 1))
    }

    fn trailer_line(&mut self, bytes: &[u8]) -> Result<ChunkStep, Refused> {
        let room = (self.bounds.trailer_bytes + 2).saturating_sub(self.trailers.len());
        let Some(end) = memchr(b'\n', bytes.get(..bytes.len().min(room)).unwrap_or_default()) else {
            if bytes.len() >= room {
                return Err(bad("the trailer fields exceed limits.trailer_bytes"));
            }
            return Ok(ChunkStep::Incomplete);
        };
        let line = bytes.get(..=end).unwrap_or_default();
        if !line.ends_with(b"\r\n") {
            return Err(bad("a trailer line ends in LF without CR"));
        }
        if line == b"\r\n" {
            self.state = State::Done;
        } else {
            self.trailers.extend_from_slice(line);
        }
        Ok(ChunkStep::Skip(line.len()))
    }
}

const fn bad(detail: &'static str) -> Refused {
    Refused::new(Reason::BadChunk, detail)
}

const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: ChunkBounds = ChunkBounds { extension_bytes: 16, trailer_bytes: 64 };

    /// Data, trailer lines, and how many bytes were left over.
    type Decoded = (Vec<u8>, Vec<u8>, usize);

    /// Feeds `bytes` in pieces of at most `piece`, and returns data, trailer lines and what was left over.
    fn decode(bytes: &[u8], piece: usize) -> Result<Option<Decoded>, Refused> {
        let mut decoder = ChunkDecoder::new(BOUNDS);
        let (mut data, mut start, mut arrived) = (Vec::new(), 0, 0);
        loop {
            match decoder.step(&bytes[start..arrived])? {
                ChunkStep::Skip(count) => start += count,
                ChunkStep::Data(count) => {
                    data.extend_from_slice(&bytes[start..start + count]);
                    start += count;
                }
                ChunkStep::Incomplete if arrived == bytes.len() => return Ok(None),
                ChunkStep::Incomplete => arrived = (arrived + piece).min(bytes.len()),
                ChunkStep::Done => return Ok(Some((data, decoder.trailer_lines().to_vec(), bytes.len() - start))),
            }
        }
    }

    #[test]
    fn bodies_have_one_reading() {
        let table: &[(&str, Option<(&str, &str)>)] = &[
            ("0\r\n\r\n", Some(("", ""))),
            ("3\r\nabc\r\n0\r\n\r\n", Some(("abc", ""))),
            ("A\r\n0123456789\r\n00\r\n\r\n", Some(("0123456789", ""))),
            ("3;name=value\r\nabc\r\n0\r\n\r\n", Some(("abc", ""))),
            ("3\r\nabc\r\n0\r\nA: b\r\n\r\n", Some(("abc", "A: b\r\n"))),
            ("3\nabc\r\n0\r\n\r\n", None),
            ("3 \r\nabc\r\n0\r\n\r\n", None),
            (" 3\r\nabc\r\n0\r\n\r\n", None),
            ("0x3\r\nabc\r\n0\r\n\r\n", None),
            ("+3\r\nabc\r\n0\r\n\r\n", None),
            ("-3\r\nabc\r\n0\r\n\r\n", None),
            ("\r\nabc\r\n0\r\n\r\n", None),
            ("1000000000000000\r\n", None),
            ("3\r\nabcd\r\n0\r\n\r\n", None),
            ("3\r\nabc\n0\r\n\r\n", None),
            ("3;0123456789012345\r\nabc\r\n0\r\n\r\n", None),
            ("3;a\rb\r\nabc\r\n0\r\n\r\n", None),
            ("0\r\nA: b\n\r\n", None),
            ("0\r\nA: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n\r\n", None),
        ];
        for (text, expected) in table {
            for piece in [1, 2, 7, 1000] {
                let got = decode(text.as_bytes(), piece).ok().flatten();
                let got = got.as_ref().map(|(data, trailers, _)| {
                    (std::str::from_utf8(data).unwrap_or("?"), std::str::from_utf8(trailers).unwrap_or("?"))
                });
                assert_eq!(got, *expected, "{text:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn extensions_of_a_whole_body_are_bounded() {
        let flood = "1;123456789012345\r\nx\r\n".repeat(40) + "0\r\n\r\n";
        assert!(decode(flood.as_bytes(), 1000).is_err());
        let fine = "1;123456789012345\r\nx\r\n".repeat(10) + "0\r\n\r\n";
        assert!(decode(fine.as_bytes(), 1000).is_ok_and(|whole| whole.is_some()));
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_same(bytes in "[0-3a;\r\nxyz: ]{0,60}", piece in 1_usize..9) {
            // A refusal may come earlier or later in a stream; what was read must not differ.
            let whole = decode(bytes.as_bytes(), bytes.len().max(1)).ok().flatten();
            let pieces = decode(bytes.as_bytes(), piece).ok().flatten();
            prop_assert_eq!(whole, pieces);
        }

        #[test]
        fn what_the_encoder_writes_is_read_back(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..6), piece in 1_usize..40) {
            let mut bytes = Vec::new();
            for part in &parts {
                super::super::encode::chunk_start(&mut bytes, part.len());
                bytes.extend_from_slice(part);
                super::super::encode::chunk_end(&mut bytes);
            }
            super::super::encode::last_chunk(&mut bytes, None);
            let (data, trailers, left) = decode(&bytes, piece).expect("well-formed").expect("complete");
            prop_assert_eq!(data, parts.concat());
            prop_assert!(trailers.is_empty());
            prop_assert_eq!(left, 0);
        }
    }
}
