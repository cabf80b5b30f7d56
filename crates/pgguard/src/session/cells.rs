//! The values in rows, however the stream is cut: what detectors read of a result or a `COPY`.
//!
//! Never holds a value: its pieces are handed on as they come, and its end is told.

/// A piece of what a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes of a value, or of a message of `COPY`; more of the same may follow.
    Bytes(&'a [u8]),
    /// The value is over.
    End,
    /// The row or message is over.
    Row,
}

/// Where in its messages a stream of rows stands. What is fed must be rows and nothing else: `DataRow`, `CopyData`.
#[derive(Debug, Clone, Default)]
pub struct Cells {
    at: At,
    /// The number that is being read, as far as it has come.
    number: u32,
    /// Bytes of the message that are still to come.
    left: u32,
    /// Values of the row that are still to come.
    values: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    /// A message begins.
    #[default]
    Tag,
    /// In its length, of which so many bytes are known.
    Length { row: bool, known: u8 },
    /// In the number of values.
    Count { known: u8 },
    /// In a value's length.
    Size { known: u8 },
    /// In a value, of which so much is left.
    Value { left: u32 },
    /// In what is handed on as it is, to the end of the message.
    Raw,
    /// In what nobody reads, to the end of the message: a row that is not as it says.
    Rest,
}

impl Cells {
    /// Reads on.
    pub fn feed(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Piece<'_>)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let begins = self.at == At::Tag;
            if begins && let Some(length) = whole_row(rest, tell) {
                rest = rest.get(length..).unwrap_or_default();
                continue;
            }
            let run = match self.at {
                At::Value { left } => left.min(self.left),
                At::Raw | At::Rest => self.left,
                _ => 0,
            };
            if run > 0 {
                let length = usize::try_from(run).unwrap_or(usize::MAX).min(rest.len());
                let (run, behind) = rest.split_at(length);
                rest = behind;
                self.pass(run, tell);
            } else if let Some((byte, behind)) = rest.split_first() {
                rest = behind;
                self.byte(*byte, tell);
            }
            if !begins && self.at == At::Tag {
                tell(Piece::Row);
            }
        }
    }

    /// Bytes of one value or message.
    fn pass(&mut self, run: &[u8], tell: &mut dyn FnMut(Piece<'_>)) {
        let length = u32::try_from(run.len()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(length);
        match self.at {
            At::Value { left } => {
                tell(Piece::Bytes(run));
                let left = left.saturating_sub(length);
                self.at = At::Value { left };
                if left == 0 {
                    tell(Piece::End);
                    self.next();
                }
            }
            At::Raw => {
                tell(Piece::Bytes(run));
                if self.left == 0 {
                    tell(Piece::End);
                    self.at = At::Tag;
                }
            }
            _ if self.left == 0 => self.at = At::Tag,
            _ => {}
        }
    }

    /// A byte of framing.
    fn byte(&mut self, byte: u8, tell: &mut dyn FnMut(Piece<'_>)) {
        let number = self.number << 8 | u32::from(byte);
        self.number = number;
        match self.at {
            At::Tag => (self.at, self.number) = (At::Length { row: byte == b'D', known: 0 }, 0),
            At::Length { row, known: 3 } => {
                (self.left, self.number) = (number.saturating_sub(4), 0);
                self.at = match (self.left, row) {
                    (0, _) => At::Tag,
                    (_, true) => At::Count { known: 0 },
                    (_, false) => At::Raw,
                };
            }
            At::Length { row, known } => self.at = At::Length { row, known: known + 1 },
            At::Count { known } => {
                self.left = self.left.saturating_sub(1);
                if known == 0 {
                    self.at = At::Count { known: 1 };
                } else {
                    self.values = u16::try_from(number & 0xffff).unwrap_or_default();
                    self.next();
                }
            }
            At::Size { known: 3 } => {
                self.left = self.left.saturating_sub(1);
                // All ones is null; what is longer than its message is no value.
                match number {
                    0 => {
                        tell(Piece::End);
                        self.next();
                    }
                    u32::MAX => self.next(),
                    length if length <= self.left => self.at = At::Value { left: length },
                    _ => self.at = At::Rest,
                }
                self.close();
            }
            At::Size { known } => {
                self.left = self.left.saturating_sub(1);
                self.at = At::Size { known: known + 1 };
            }
            // Runs are not framing: these have nothing left.
            At::Value { .. } | At::Raw | At::Rest => self.at = At::Tag,
        }
        self.close();
    }

    /// The next value of the row, or its end.
    fn next(&mut self) {
        self.number = 0;
        self.at = match self.values.checked_sub(1) {
            Some(values) => {
                self.values = values;
                At::Size { known: 0 }
            }
            None => At::Rest,
        };
        self.close();
    }

    /// A message with nothing left is over, whatever it still promised.
    fn close(&mut self) {
        let inside = matches!(self.at, At::Count { .. } | At::Size { .. } | At::Value { .. } | At::Raw | At::Rest);
        if inside && self.left == 0 {
            (self.at, self.number) = (At::Tag, 0);
        }
    }
}

/// The row that `bytes` begin with, where all of it is there and is as it says: its length. Nearly all are; the others are read byte by
/// byte.
fn whole_row(bytes: &[u8], tell: &mut dyn FnMut(Piece<'_>)) -> Option<usize> {
    let (head, rest) = bytes.split_first_chunk::<7>()?;
    let [b'D', a, b, c, d, many, few] = *head else { return None };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    let body = rest.get(..length.checked_sub(6)?)?;
    let count = u16::from_be_bytes([many, few]);
    let mut left = body;
    for _ in 0..count {
        left = value(left)?.1;
    }
    if !left.is_empty() {
        return None;
    }
    left = body;
    while let Some((value, behind)) = value(left) {
        if let Some(value) = value {
            if !value.is_empty() {
                tell(Piece::Bytes(value));
            }
            tell(Piece::End);
        }
        left = behind;
    }
    tell(Piece::Row);
    Some(length + 1)
}

/// A value, or `None` for null, and what is behind it.
fn value(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    match u32::from_be_bytes(*size) {
        u32::MAX => Some((None, rest)),
        size => rest.split_at_checked(usize::try_from(size).ok()?).map(|(value, behind)| (Some(value), behind)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The values, and how many rows there were.
    fn read(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, usize) {
        let (mut cells, mut all, mut open, mut ends) = (Cells::default(), Vec::new(), Vec::new(), 0);
        for piece in pieces {
            cells.feed(piece, &mut |piece| match piece {
                Piece::Bytes(bytes) => open.extend_from_slice(bytes),
                Piece::End => all.push(std::mem::take(&mut open)),
                Piece::Row => ends += 1,
            });
        }
        assert!(open.is_empty(), "{open:?} has no end");
        (all, ends)
    }

    fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
        for value in values {
            match value {
                Some(value) => {
                    body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                    body.extend_from_slice(value);
                }
                None => body.extend([0xff; 4]),
            }
        }
        message(b'D', &body)
    }

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        [&[tag][..], &u32::try_from(body.len() + 4).unwrap().to_be_bytes(), body].concat()
    }

    #[test]
    fn values_come_out_and_nulls_do_not() {
        let rows = [
            row(&[Some(b"anna"), None, Some(b""), Some(b"x@y")]),
            row(&[]),
            message(b'd', b"a\tb\n"),
            message(b'd', b""),
        ];
        let (values, ends) = read(&[&rows.concat()]);
        assert_eq!(values, [&b"anna"[..], b"", b"x@y", b"a\tb\n"]);
        assert_eq!(ends, 4);
    }

    #[test]
    fn a_row_that_is_not_as_it_says_costs_itself_and_no_other() {
        let long = message(b'D', b"\0\x01\0\0\0\x09abc");
        let short = message(b'D', b"\0\x05\0\0\0\x01a");
        let cut = message(b'D', b"\0\x01\0\0");
        let behind = message(b'D', b"\0\x01\0\0\0\x01abehind");
        let good = row(&[Some(b"good")]);
        let all = [long, good.clone(), short, good.clone(), cut, good.clone(), behind, good].concat();
        let (values, ends) = read(&[&all]);
        assert_eq!(values, [&b"good"[..], b"a", b"good", b"good", b"a", b"good"]);
        assert_eq!(ends, 8);
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            rows in proptest::collection::vec(proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)), 0..5), 0..6),
            cuts in proptest::collection::vec(0_usize..300, 0..10),
        ) {
            let stream: Vec<u8> = rows.iter().flat_map(|values| {
                row(&values.iter().map(|value| value.as_deref()).collect::<Vec<_>>())
            }).collect();
            let count = rows.len();
            let expected: Vec<Vec<u8>> = rows.into_iter().flatten().flatten().collect();
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
            ends.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for end in ends {
                pieces.push(&stream[from..end]);
                from = end;
            }
            pieces.push(&stream[from..]);
            prop_assert_eq!(read(&pieces), (expected, count));
        }

        #[test]
        fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            Cells::default().feed(&bytes, &mut |_| {});
        }
    }
}
