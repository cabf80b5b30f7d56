//! Rows as they lie on a disk: column by column, names and addresses as numbers of a dictionary, each column packed by zstd.
//!
//! A block stands for itself: it holds its own dictionaries. Whatever is wrong with one is an error, never a panic.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::io;

use siphasher::sip::SipHasher13;

use super::row::Row;

/// Rows of one block at most.
pub(crate) const ROWS: usize = 262_144;
/// How hard zstd tries: the fastest is small enough.
const LEVEL: i32 = 1;
/// Bytes that a column unpacks to at most.
const COLUMN_BYTES: usize = 256 << 20;

/// What rows can be told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Column {
    /// The platform's name.
    Platform,
    /// The route's pattern.
    Route,
    /// `page`, `payment`, …
    Class,
    /// What the gate knew of the visitor.
    Audience,
    /// The fingerprint of its TLS.
    Ja4,
    /// Why it was not served.
    Reason,
    /// The address.
    Client,
    /// What became of it.
    Verdict,
    /// The status.
    Status,
}

impl Column {
    /// All of them, in the order in which they lie.
    pub const ALL: [Self; 9] = [
        Self::Platform,
        Self::Route,
        Self::Class,
        Self::Audience,
        Self::Ja4,
        Self::Reason,
        Self::Client,
        Self::Verdict,
        Self::Status,
    ];

    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Route => "route",
            Self::Class => "class",
            Self::Audience => "audience",
            Self::Ja4 => "ja4",
            Self::Reason => "reason",
            Self::Client => "client",
            Self::Verdict => "verdict",
            Self::Status => "status",
        }
    }
}

/// Numbers of a row beside its dictionaries: when, bytes in and out, micros, of which waited.
const NUMBERS: usize = 5;
const COLUMNS: usize = Column::ALL.len() + NUMBERS;

/// Keys of the hashes: what comes from visitors must not choose where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys(pub(crate) u64, pub(crate) u64);

impl BuildHasher for Keys {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// A block that is being filled.
pub(crate) struct Filling {
    dictionaries: [Dictionary; Column::ALL.len()],
    numbers: [Vec<u8>; NUMBERS],
    rows: usize,
    last: u64,
}

struct Dictionary {
    places: HashMap<Box<[u8]>, u32, Keys>,
    /// Each value with its length, in the order of its number.
    values: Vec<u8>,
    /// Differences of numbers from row to row.
    ids: Vec<u8>,
    before: u32,
    /// The value of the row before: most often it is the same.
    same: Box<[u8]>,
}

impl Filling {
    pub(crate) fn new(keys: Keys) -> Self {
        let dictionary = || Dictionary {
            places: HashMap::with_hasher(keys),
            values: Vec::new(),
            ids: Vec::new(),
            before: 0,
            same: Box::default(),
        };
        Self { dictionaries: std::array::from_fn(|_| dictionary()), numbers: Default::default(), rows: 0, last: 0 }
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn add(&mut self, row: &Row<'_>) {
        let status = row.status.to_le_bytes();
        let client = address(&row.client);
        let [platform, route, class, audience, ja4, reason] = row.names;
        let values = [platform, route, class, audience, ja4, reason, client, &[row.verdict][..], &status[..]];
        for (dictionary, value) in self.dictionaries.iter_mut().zip(values) {
            dictionary.add(value);
        }
        let [when, bytes_in, bytes_out, micros, waited] = &mut self.numbers;
        signed(when, row.unix_millis.wrapping_sub(self.last) as i64);
        self.last = row.unix_millis;
        varint(bytes_in, row.bytes_in);
        varint(bytes_out, row.bytes_out);
        varint(micros, u64::from(row.micros));
        varint(waited, u64::from(row.waited));
        self.rows += 1;
    }

    /// The block's bytes; what is filled begins anew.
    pub(crate) fn take(&mut self, keys: Keys) -> io::Result<Vec<u8>> {
        let full = std::mem::replace(self, Self::new(keys));
        let mut out = Vec::with_capacity(full.rows * 16 + 256);
        varint(&mut out, full.rows as u64);
        for dictionary in &full.dictionaries {
            let mut column = Vec::with_capacity(dictionary.values.len() + dictionary.ids.len() + 16);
            varint(&mut column, dictionary.places.len() as u64);
            column.extend_from_slice(&dictionary.values);
            column.extend_from_slice(&dictionary.ids);
            pack(&column, &mut out)?;
        }
        full.numbers.iter().try_for_each(|column| pack(column, &mut out))?;
        Ok(out)
    }
}

impl Dictionary {
    fn add(&mut self, value: &[u8]) {
        let number = if *self.same == *value && !self.places.is_empty() {
            self.before
        } else {
            self.same = value.into();
            match self.places.get(value) {
                Some(number) => *number,
                None => {
                    let number = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
                    self.places.insert(value.into(), number);
                    varint(&mut self.values, value.len() as u64);
                    self.values.extend_from_slice(value);
                    number
                }
            }
        };
        signed(&mut self.ids, i64::from(number) - i64::from(self.before));
        self.before = number;
    }
}

/// A block, read.
pub(crate) struct Block<'a> {
    pub(crate) rows: usize,
    columns: [&'a [u8]; COLUMNS],
}

/// A column of it: every value once, and for each row the number of its value.
pub(crate) struct Values {
    /// The column unpacked, and where in it each value begins and ends.
    plain: Vec<u8>,
    spans: Vec<(u32, u32)>,
    pub(crate) ids: Vec<u32>,
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The value of that number.
    pub(crate) fn get(&self, id: usize) -> &[u8] {
        let span = self.spans.get(id).map_or(0..0, |(begin, end)| *begin as usize..*end as usize);
        self.plain.get(span).unwrap_or_default()
    }

    /// Every value, in the order of its number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|id| self.get(id))
    }
}

impl<'a> Block<'a> {
    pub(crate) fn parse(mut bytes: &'a [u8]) -> io::Result<Self> {
        let rows = usize::try_from(number(&mut bytes)?).unwrap_or(usize::MAX);
        if rows > ROWS {
            return Err(broken("it has more rows than a block may have"));
        }
        let mut columns = [&bytes[..0]; COLUMNS];
        for column in &mut columns {
            let length = usize::try_from(number(&mut bytes)?).unwrap_or(usize::MAX);
            let (packed, rest) = bytes.split_at_checked(length).ok_or_else(|| broken("a column ends early"))?;
            (*column, bytes) = (packed, rest);
        }
        Ok(Self { rows, columns })
    }

    /// The values of one column.
    pub(crate) fn column(&self, column: Column) -> io::Result<Values> {
        let plain = unpack(self.columns.get(column as usize).copied().unwrap_or_default())?;
        let mut rest = &plain[..];
        let count = usize::try_from(number(&mut rest)?).unwrap_or(usize::MAX);
        if count > self.rows {
            return Err(broken("it has more values than rows"));
        }
        let mut spans = Vec::with_capacity(count);
        for _ in 0..count {
            let length = usize::try_from(number(&mut rest)?).unwrap_or(usize::MAX);
            let begin = plain.len() - rest.len();
            rest = rest.get(length..).ok_or_else(|| broken("a value ends early"))?;
            // A column unpacks to less than four gigabytes.
            spans.push((begin as u32, (begin + length) as u32));
        }
        let (mut ids, mut before) = (Vec::with_capacity(self.rows), 0_i64);
        for _ in 0..self.rows {
            before = before.wrapping_add(unsigned(number(&mut rest)?));
            let id = u32::try_from(before).ok().filter(|id| (*id as usize) < count);
            ids.push(id.ok_or_else(|| broken("a row names a value that is not there"))?);
        }
        Ok(Values { plain, spans, ids })
    }

    /// When each row was.
    pub(crate) fn when(&self) -> io::Result<Vec<u64>> {
        let mut times = Vec::with_capacity(self.rows);
        self.times(|when| times.push(when))?;
        Ok(times)
    }

    /// Hands over when each row was.
    pub(crate) fn times(&self, mut take: impl FnMut(u64)) -> io::Result<()> {
        let plain = unpack(self.columns.get(Column::ALL.len()).copied().unwrap_or_default())?;
        let (mut rest, mut last) = (&plain[..], 0_u64);
        for _ in 0..self.rows {
            last = last.wrapping_add(unsigned(number(&mut rest)?) as u64);
            take(last);
        }
        Ok(())
    }

    /// Bytes in, bytes out, micros, of which waited.
    pub(crate) fn numbers(&self) -> io::Result<[Vec<u64>; NUMBERS - 1]> {
        let mut all: [Vec<u64>; NUMBERS - 1] = Default::default();
        for (at, numbers) in all.iter_mut().enumerate() {
            let plain = unpack(self.columns.get(Column::ALL.len() + 1 + at).copied().unwrap_or_default())?;
            let mut rest = &plain[..];
            *numbers = (0..self.rows).map(|_| number(&mut rest)).collect::<io::Result<_>>()?;
        }
        Ok(all)
    }
}

/// An address as it is kept: four bytes or sixteen.
fn address(client: &[u8; 16]) -> &[u8] {
    match client {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..] => client.get(12..).unwrap_or_default(),
        _ => client,
    }
}

/// An address as sixteen bytes again.
pub(crate) fn client(kept: &[u8]) -> Option<[u8; 16]> {
    match kept.len() {
        4 => {
            let mut all = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
            all.get_mut(12..)?.copy_from_slice(kept);
            Some(all)
        }
        _ => kept.try_into().ok(),
    }
}

pub(crate) fn pack(column: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(column.len()));
    zstd_safe::compress(&mut packed, column, LEVEL)
        .map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))?;
    varint(out, packed.len() as u64);
    out.extend_from_slice(&packed);
    Ok(())
}

pub(crate) fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    let size = match zstd_safe::get_frame_content_size(packed) {
        Ok(Some(size)) => usize::try_from(size).ok().filter(|size| *size <= COLUMN_BYTES),
        _ => None,
    };
    let mut plain = Vec::with_capacity(size.ok_or_else(|| broken("a column says no size"))?);
    zstd_safe::decompress(&mut plain, packed).map_err(|code| broken(zstd_safe::get_error_name(code)))?;
    Ok(plain)
}

pub(crate) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn signed(out: &mut Vec<u8>, number: i64) {
    varint(out, ((number << 1) ^ (number >> 63)) as u64);
}

const fn unsigned(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Most have one byte.
#[inline]
pub(crate) fn number(rest: &mut &[u8]) -> io::Result<u64> {
    match rest.split_first() {
        Some((byte, tail)) if *byte < 0x80 => {
            *rest = tail;
            Ok(u64::from(*byte))
        }
        _ => longer(rest),
    }
}

fn longer(rest: &mut &[u8]) -> io::Result<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first().ok_or_else(|| broken("a number ends early"))?;
        *rest = tail;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(broken("a number is too long"))
}

pub(crate) fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a block of requests is broken: {why}"))
}

#[cfg(test)]
mod tests {
    use super::super::row::{rows, tests::served, write};
    use super::*;
    use proptest::prelude::*;

    fn block(requests: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for nth in 0..requests {
            let client = format!("10.{}.{}.{}", nth / 65_536, nth / 256 % 256, nth % 256);
            write(&served(1_000_000 + nth as u64 * 3, ["public", "join"][nth % 2], &client), &mut bytes);
        }
        let keys = Keys(3, 4);
        let mut filling = Filling::new(keys);
        rows(&bytes).for_each(|row| filling.add(&row));
        filling.take(keys).expect("packed")
    }

    #[test]
    fn what_went_in_comes_out() {
        let bytes = block(1000);
        let block = Block::parse(&bytes).expect("whole");
        let platforms = block.column(Column::Platform).expect("whole");
        assert_eq!((platforms.len(), platforms.get(1)), (2, &b"join"[..]));
        assert_eq!(platforms.ids[..4], [0, 1, 0, 1]);
        let clients = block.column(Column::Client).expect("whole");
        assert_eq!((clients.len(), clients.get(999)), (1000, &[10, 0, 3, 231][..]));
        assert_eq!(block.when().expect("whole")[2], 1_000_006);
        let [bytes_in, _, micros, _] = block.numbers().expect("whole");
        assert_eq!((bytes_in[0], micros[999]), (300, 2_000));
        assert!(bytes.len() < 12 * 1000, "{}", bytes.len());
    }

    proptest! {
        #[test]
        fn a_broken_block_is_an_error_and_never_a_panic(at in 0_usize..600, to: u8, cut in 0_usize..600) {
            let mut bytes = block(100);
            let at = at % bytes.len();
            bytes[at] = to;
            bytes.truncate(bytes.len() - cut % bytes.len());
            if let Ok(block) = Block::parse(&bytes) {
                for column in Column::ALL {
                    let _ = block.column(column);
                }
                let _ = (block.when(), block.numbers());
            }
        }
    }
}
