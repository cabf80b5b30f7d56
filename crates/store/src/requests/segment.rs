//! Requests on the disk: an hour is one file, appended to while it lasts and packed when it is over, with a table of who came
//! how often at its end.
//!
//! `requests/495812.open` holds frames of blocks as they came; `requests/495812.seal` fewer and larger ones, and as its last frame
//! the tables. What a crash left half is passed over.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Mutex, PoisonError};

use portcullis_ledger::frame::{FRAME_BYTES, FRAME_HEAD, Frames, frame};

use super::block::{Block, Column, Filling, Keys, ROWS, broken, client, number, varint};
use super::ranking::{self, Counts};
use super::row::Row;
use crate::disk::Disk;
use crate::lanes::lock;

/// Milliseconds of one file.
pub(crate) const HOUR: u64 = 3_600_000;
const FOLDER: &str = "requests";
/// Milliseconds after an hour in which it is not packed yet.
const LATE: u64 = 60_000;
/// Values of one column that a table holds at most, the most frequent first: with a day of full ones a question takes less
/// than a second.
const TABLED: usize = 65_536;
/// Rows of a sealed block: smaller is faster to pass over, larger packs better.
const SEALED_ROWS: usize = ROWS;

/// The file that is written.
pub(crate) struct Segments<D> {
    disk: D,
    keys: Keys,
    filling: Filling,
    hour: u64,
    length: u64,
    /// Requests of this hour that are on the disk.
    rows: u64,
    /// Hours that were left for a later one, with theirs.
    left: Vec<(u64, u64)>,
}

impl<D: Disk + Clone> Segments<D> {
    pub(crate) fn new(disk: D, keys: Keys) -> Self {
        Self { disk, keys, filling: Filling::new(keys), hour: 0, length: 0, rows: 0, left: Vec::new() }
    }

    /// Takes a row; a full block goes to the disk. The error says that what was not written yet is lost: so many rows.
    pub(crate) fn add(&mut self, row: &Row<'_>) -> Result<(), (io::Error, u64)> {
        let hour = row.unix_millis / HOUR;
        if hour > self.hour {
            self.flush()?;
            if self.hour > 0 {
                self.left.push((self.hour, self.rows));
            }
            // What is packed grows no more. After a clock that jumped back, its hour's requests are in the next file that does.
            self.hour = hour;
            while self.disk.read_at(&sealed_path(self.hour), 0, 1).is_ok() {
                self.hour += 1;
            }
            // Behind what a process before wrote and finished.
            (self.length, self.rows) = whole(&self.disk, &open(self.hour)).unwrap_or_default();
        }
        self.filling.add(row);
        if self.filling.rows() >= ROWS { self.flush() } else { Ok(()) }
    }

    /// When the hour that is written is over; never where none is.
    pub(crate) const fn until(&self) -> u64 {
        if self.hour == 0 { u64::MAX } else { (self.hour + 1) * HOUR }
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) -> Result<(), (io::Error, u64)> {
        let rows = self.filling.rows() as u64;
        if rows == 0 {
            return Ok(());
        }
        let written = self.filling.take(self.keys).and_then(|block| {
            let mut bytes = Vec::with_capacity(block.len() + 8);
            frame(&mut bytes, |out| out.extend_from_slice(&block));
            let path = open(self.hour);
            self.disk.append(&path, self.length, &bytes)?;
            self.disk.sync_data(&path)?;
            Ok(bytes.len() as u64)
        });
        match written {
            Ok(length) => {
                self.length += length;
                self.rows += rows;
                Ok(())
            }
            Err(error) => Err((error, rows)),
        }
    }

    /// Hours with how many of their requests are on the disk, and whether that is all: those that were left since the last time,
    /// and the one that is written.
    pub(crate) fn reached(&mut self) -> impl Iterator<Item = (u64, u64, bool)> {
        let current = (self.hour > 0).then_some((self.hour, self.rows, false));
        self.left.drain(..).map(|(hour, rows)| (hour, rows, true)).chain(current)
    }

    /// Removes hours that ended before, and of the others the oldest until no more than so many bytes are left.
    pub(crate) fn erase(&self, before: u64, bytes: u64, size: impl Fn(&str) -> u64) -> io::Result<u64> {
        let mut hours: Vec<(u64, String, u64)> = self
            .disk
            .list(FOLDER)?
            .into_iter()
            .filter_map(|name| {
                let hour = name.split('.').next()?.parse::<u64>().ok()?;
                let path = format!("{FOLDER}/{name}");
                let size = size(&path);
                Some((hour, path, size))
            })
            .collect();
        hours.sort_unstable();
        let (mut all, mut gone) = (hours.iter().map(|(_, _, size)| size).sum::<u64>(), 0);
        for (hour, path, size) in hours {
            if hour < self.hour && ((hour + 1) * HOUR <= before || all > bytes) {
                self.disk.remove(&path)?;
                all = all.saturating_sub(size);
                gone += 1;
            }
        }
        Ok(gone)
    }
}

/// Packs hours that are over by `now`, as many as asked for; how many there were. Only for whoever writes the directory, and not for
/// the hour that is written.
///
/// # Errors
/// When the disk has one, or a file is not what it should be.
pub fn pack_hours<D: Disk>(disk: &D, keys: (u64, u64), now: u64, most: usize) -> io::Result<usize> {
    let over: Vec<u64> = disk
        .list(FOLDER)?
        .into_iter()
        .filter_map(|name| name.strip_suffix(".open")?.parse::<u64>().ok())
        // Who is late comes within a minute.
        .filter(|hour| (hour + 1) * HOUR + LATE <= now)
        .take(most)
        .collect();
    for hour in &over {
        // Whoever packed it was killed before it could remove what it packed.
        if disk.read_at(&sealed_path(*hour), 0, 1).is_ok() {
            disk.remove(&open(*hour))?;
            continue;
        }
        let sealed = pack(&disk.read(&open(*hour))?, Keys(keys.0, keys.1))?;
        let (path, making) = (sealed_path(*hour), format!("{FOLDER}/{hour}.making"));
        disk.write(&making, &sealed)?;
        disk.sync(std::slice::from_ref(&making))?;
        disk.rename(&making, &path)?;
        disk.sync(&[path])?;
        disk.remove(&open(*hour))?;
    }
    Ok(over.len())
}

/// The hours that lie there, and whether they are packed. One that is may still lie there as it was before: it counts once.
fn listed<D: Disk>(disk: &D) -> io::Result<BTreeMap<u64, bool>> {
    let mut hours = BTreeMap::new();
    for name in disk.list(FOLDER)? {
        let Some((hour, kind @ ("open" | "seal"))) = name.split_once('.') else { continue };
        if let Ok(hour) = hour.parse::<u64>() {
            *hours.entry(hour).or_default() |= kind == "seal";
        }
    }
    Ok(hours)
}

/// All of an hour, which may be packed between two looks; nothing where it was erased.
fn load<D: Disk>(disk: &D, hour: u64) -> io::Result<Vec<u8>> {
    for path in [sealed_path(hour), open(hour), sealed_path(hour)] {
        match disk.read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => return read,
        }
    }
    Ok(Vec::new())
}

/// Bytes and requests of a file's whole frames.
fn whole<D: Disk>(disk: &D, path: &str) -> io::Result<(u64, u64)> {
    let bytes = disk.read(path)?;
    let (mut frames, mut rows) = (Frames::new(&bytes), 0);
    for mut content in frames.by_ref() {
        rows += number(&mut content)?;
    }
    Ok((frames.whole() as u64, rows))
}

fn open(hour: u64) -> String {
    format!("{FOLDER}/{hour}.open")
}

fn sealed_path(hour: u64) -> String {
    format!("{FOLDER}/{hour}.seal")
}

/// The blocks of an open file as one sealed file: large blocks, and the tables.
fn pack(bytes: &[u8], keys: Keys) -> io::Result<Vec<u8>> {
    let (mut out, mut filling) = (Vec::with_capacity(bytes.len()), Filling::new(keys));
    let mut counts: [HashMap<Box<[u8]>, u64, Keys>; Column::ALL.len()] =
        std::array::from_fn(|_| HashMap::with_hasher(keys));
    let mut rows = 0_u64;
    for content in Frames::new(bytes) {
        let block = Block::parse(content)?;
        rows += block.rows as u64;
        each(&block, |row| {
            filling.add(row);
            if filling.rows() >= SEALED_ROWS {
                let full = filling.take(keys)?;
                frame(&mut out, |out| out.extend_from_slice(&full));
            }
            Ok(())
        })?;
        for (column, counts) in Column::ALL.into_iter().zip(&mut counts) {
            let values = block.column(column)?;
            let mut often = vec![0_u64; values.len()];
            values.ids.iter().for_each(|id| often.get_mut(*id as usize).into_iter().for_each(|count| *count += 1));
            for (value, count) in values.iter().zip(often) {
                match counts.get_mut(value) {
                    Some(known) => *known += count,
                    None => drop(counts.insert(value.into(), count)),
                }
            }
        }
    }
    if filling.rows() > 0 {
        let rest = filling.take(keys)?;
        frame(&mut out, |out| out.extend_from_slice(&rest));
    }
    // No block begins with so many rows: a reader of blocks knows the tables for what they are.
    let mut tables = Vec::new();
    varint(&mut tables, u64::MAX);
    varint(&mut tables, rows);
    for counts in counts {
        table(counts, &mut tables)?;
    }
    frame(&mut out, |out| out.extend_from_slice(&tables));
    Ok(out)
}

/// The most frequent values, and how often those that are left out came at most.
fn table(counts: HashMap<Box<[u8]>, u64, Keys>, out: &mut Vec<u8>) -> io::Result<()> {
    let mut often: Vec<(Box<[u8]>, u64)> = counts.into_iter().collect();
    often.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let left_out = often.get(TABLED).map_or(0, |(_, count)| *count);
    often.truncate(TABLED);
    let mut plain = Vec::new();
    varint(&mut plain, often.len() as u64);
    varint(&mut plain, left_out);
    for (value, count) in &often {
        varint(&mut plain, *count);
        varint(&mut plain, value.len() as u64);
        plain.extend_from_slice(value);
    }
    super::block::pack(&plain, out)
}

/// What to count, and of what.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// From when on, in milliseconds since 1970.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// Only rows that have this value in this column.
    pub only: Vec<(Column, Vec<u8>)>,
}

/// How often each value came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Top {
    /// The most frequent first.
    pub values: Vec<(Box<[u8]>, u64)>,
    /// Rows that were counted.
    pub rows: u64,
    /// Each count may be less than it was by so many: of hours that were looked up in their tables, only so many values are in
    /// them.
    pub short: u64,
}

impl Top {
    /// A network as people read it.
    #[must_use]
    pub fn network(value: &[u8]) -> String {
        let mut octets = [0; 16];
        octets.iter_mut().zip(value).for_each(|(octet, byte)| *octet = *byte);
        match value {
            [one, two, three] => format!("{one}.{two}.{three}.0/24"),
            _ => format!("{}/56", std::net::Ipv6Addr::from(octets)),
        }
    }

    /// A value as people read it.
    #[must_use]
    pub fn shown(column: Column, value: &[u8]) -> String {
        match column {
            Column::Client => client(value)
                .map_or_else(String::new, |octets| std::net::Ipv6Addr::from(octets).to_canonical().to_string()),
            Column::Status => {
                value.try_into().map(u16::from_le_bytes).map_or_else(|_| String::new(), |status| status.to_string())
            }
            Column::Verdict => ["served", "refused", "failed", "challenged", "roomed"]
                .get(value.first().copied().unwrap_or(u8::MAX) as usize)
                .map_or_else(String::new, |name| (*name).to_owned()),
            _ => String::from_utf8_lossy(value).into_owned(),
        }
    }
}

/// The part of a kept address that is its network.
fn network(address: &[u8]) -> &[u8] {
    address.get(..if address.len() == 4 { 3 } else { 7 }).unwrap_or(address)
}

/// The most frequent values of a column. Hours that lie within the span whole are looked up in their tables where nothing is
/// left out; all others are counted row by row, by as many threads as are asked for.
///
/// # Errors
/// When a file cannot be read, or is not what it should be.
pub fn top<D: Disk>(disk: &D, column: Column, most: usize, query: &Query, threads: usize) -> io::Result<Top> {
    count(disk, (column, false), most, query, threads)
}

/// The networks that most came from: an IPv4 address as its /24, one of IPv6 as its /56 ([`Top::network`] shows one). Where an
/// hour's table leaves addresses out, its requests are counted one by one: none is left out here.
///
/// # Errors
/// As of [`top`].
pub fn networks<D: Disk>(disk: &D, most: usize, query: &Query, threads: usize) -> io::Result<Top> {
    count(disk, (Column::Client, true), most, query, threads)
}

fn count<D: Disk>(
    disk: &D,
    (column, by_network): (Column, bool),
    most: usize,
    query: &Query,
    threads: usize,
) -> io::Result<Top> {
    let within = |hour: u64| hour * HOUR < query.until && (hour + 1) * HOUR > query.from;
    let hours: Vec<(u64, bool)> = listed(disk)?.into_iter().filter(|(hour, _)| within(*hour)).collect();
    let part: fn(&[u8]) -> &[u8] = if by_network { network } else { |value| value };
    let (work, done) = (Mutex::new(hours.into_iter()), Mutex::new((Vec::new(), 0_u64, 0_u64)));
    let failed: Mutex<Option<io::Error>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let Some((hour, packed)) = lock(&work).next() else { return };
                    let whole = query.from <= hour * HOUR && query.until >= (hour + 1) * HOUR && query.only.is_empty();
                    let scanned = || load(disk, hour).and_then(|bytes| scanned(&bytes, column, part, query));
                    let counted = if whole && packed {
                        match last_frame(disk, &sealed_path(hour)).and_then(|frame| tabled(&frame, column, part)) {
                            Ok((.., short)) if by_network && short > 0 => scanned(),
                            tabled => tabled,
                        }
                    } else {
                        scanned()
                    };
                    match counted {
                        Ok((mut counts, rows, short)) => {
                            counts.settle();
                            let mut done = lock(&done);
                            done.0.push(counts);
                            done.1 += rows;
                            done.2 += short;
                        }
                        Err(error) => *lock(&failed) = Some(error),
                    }
                }
            });
        }
    });
    if let Some(error) = lock(&failed).take() {
        return Err(error);
    }
    let (counts, rows, short) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Top { values: ranking::most(counts, most, threads), rows, short })
}

/// Counts by value, rows, and by how many each may be short.
type Counted = (Counts, u64, u64);

/// The last frame of a file. Those before it are stepped over unread: in a day at full load they are a gigabyte.
fn last_frame<D: Disk>(disk: &D, path: &str) -> io::Result<Vec<u8>> {
    let (mut last, mut at) = (0..0, 0_u64);
    while let Some((length, _)) = disk.read_at(path, at, FRAME_HEAD)?.split_first_chunk::<4>() {
        last = at..at + FRAME_HEAD as u64 + u64::from(u32::from_le_bytes(*length));
        at = last.end;
    }
    let length = usize::try_from(last.end - last.start).ok().filter(|length| *length <= FRAME_HEAD + FRAME_BYTES);
    disk.read_at(path, last.start, length.ok_or_else(|| broken("a frame is too long"))?)
}

fn tabled(bytes: &[u8], column: Column, part: fn(&[u8]) -> &[u8]) -> io::Result<Counted> {
    let tables = Frames::new(bytes).next().ok_or_else(|| broken("it has no tables"))?;
    let mut rest = tables;
    if number(&mut rest)? != u64::MAX {
        return Err(broken("it has no tables"));
    }
    let rows = number(&mut rest)?;
    for at in 0..=column as usize {
        let length = usize::try_from(number(&mut rest)?).unwrap_or(usize::MAX);
        let (packed, tail) = rest.split_at_checked(length).ok_or_else(|| broken("a table ends early"))?;
        rest = tail;
        if at < column as usize {
            continue;
        }
        let plain = super::block::unpack(packed)?;
        let mut plain = &plain[..];
        let (count, left_out) = (number(&mut plain)?, number(&mut plain)?);
        let mut counts = Counts::default();
        for _ in 0..count {
            let often = number(&mut plain)?;
            let length = usize::try_from(number(&mut plain)?).unwrap_or(usize::MAX);
            let (value, tail) = plain.split_at_checked(length).ok_or_else(|| broken("a value ends early"))?;
            counts.add(part(value), often);
            plain = tail;
        }
        return Ok((counts, rows, left_out));
    }
    Err(broken("it has no such table"))
}

fn scanned(bytes: &[u8], column: Column, part: fn(&[u8]) -> &[u8], query: &Query) -> io::Result<Counted> {
    let (mut counts, mut rows) = (Counts::default(), 0);
    for content in Frames::new(bytes) {
        if number(&mut &content[..])? == u64::MAX {
            continue;
        }
        let block = Block::parse(content)?;
        let mut wanted = Vec::with_capacity(block.rows);
        block.times(|when| wanted.push((query.from..query.until).contains(&when)))?;
        for (column, value) in &query.only {
            let values = block.column(*column)?;
            let id = values.iter().position(|known| *known == **value).and_then(|id| u32::try_from(id).ok());
            wanted.iter_mut().zip(&values.ids).for_each(|(wanted, of)| *wanted &= Some(*of) == id);
        }
        if !wanted.contains(&true) {
            continue;
        }
        let values = block.column(column)?;
        let mut often = vec![0_u32; values.len()];
        for (id, wanted) in values.ids.iter().zip(wanted) {
            often.get_mut(*id as usize).into_iter().for_each(|count| *count += u32::from(wanted));
        }
        for (value, count) in values.iter().zip(often).filter(|(_, count)| *count > 0) {
            counts.add(part(value), u64::from(count));
            rows += u64::from(count);
        }
        counts.settle_much();
    }
    Ok((counts, rows, 0))
}

/// Every row of a block, in order.
pub(crate) fn each(block: &Block<'_>, mut take: impl FnMut(&Row<'_>) -> io::Result<()>) -> io::Result<()> {
    let columns = Column::ALL.into_iter().map(|column| block.column(column)).collect::<io::Result<Vec<_>>>()?;
    let (when, [bytes_in, bytes_out, micros, waited]) = (block.when()?, block.numbers()?);
    let value = |column: Column, row: usize| -> &[u8] {
        let values = columns.get(column as usize);
        values.and_then(|values| Some(values.get(*values.ids.get(row)? as usize))).unwrap_or_default()
    };
    let short =
        |numbers: &[u64], row: usize| numbers.get(row).map_or(0, |number| u32::try_from(*number).unwrap_or(u32::MAX));
    for row in 0..block.rows {
        let number = |numbers: &[u64]| numbers.get(row).copied().unwrap_or_default();
        take(&Row {
            unix_millis: number(&when),
            client: client(value(Column::Client, row)).unwrap_or_default(),
            verdict: value(Column::Verdict, row).first().copied().unwrap_or_default(),
            status: value(Column::Status, row).try_into().map(u16::from_le_bytes).unwrap_or_default(),
            bytes_in: number(&bytes_in),
            bytes_out: number(&bytes_out),
            micros: short(&micros, row),
            waited: short(&waited, row),
            names: [Column::Platform, Column::Route, Column::Class, Column::Audience, Column::Ja4, Column::Reason]
                .map(|column| value(column, row)),
        })?;
    }
    Ok(())
}

/// The hours from this one on that lie there, each with how many requests it has: of one that is packed as many as there are.
pub(crate) fn hours<D: Disk>(disk: &D, from: u64) -> io::Result<BTreeMap<u64, u64>> {
    let listed = listed(disk)?.into_iter().filter(|(hour, _)| *hour >= from);
    let count = |hour: u64, packed: bool| match packed {
        true => u64::MAX,
        // What cannot be read is found so by whoever reads it.
        false => whole(disk, &open(hour)).map_or(0, |(_, rows)| rows),
    };
    Ok(listed.map(|(hour, packed)| (hour, count(hour, packed))).collect())
}

/// Every request of an hour, in the order in which they were written.
pub(crate) fn replay<D: Disk>(disk: &D, hour: u64, mut take: impl FnMut(&Row<'_>)) -> io::Result<()> {
    let bytes = load(disk, hour)?;
    for content in Frames::new(&bytes) {
        if number(&mut &content[..])? != u64::MAX {
            each(&Block::parse(content)?, |row| {
                take(row);
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Every row that lies there from some time on, in no order of hours.
pub(crate) fn since<D: Disk>(disk: &D, from: u64, mut take: impl FnMut(&Row<'_>)) -> io::Result<()> {
    for (hour, _) in listed(disk)? {
        if (hour + 1) * HOUR <= from {
            continue;
        }
        let bytes = load(disk, hour)?;
        for content in Frames::new(&bytes) {
            if number(&mut &content[..])? == u64::MAX {
                continue;
            }
            each(&Block::parse(content)?, |row| {
                if row.unix_millis >= from {
                    take(row);
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::row::{rows, tests::served, write};
    use super::*;
    use crate::disk::Directory;

    fn filled(home: &std::path::Path) -> Segments<Directory> {
        let disk = Directory::create(home).expect("a directory");
        let mut segments = Segments::new(disk, Keys(1, 2));
        for hour in 0..3_u64 {
            let mut bytes = Vec::new();
            for nth in 0..3_000_u64 {
                // One address comes often, one twice an hour, all others once.
                let client = match nth {
                    0..1_000 => "203.0.113.9".to_owned(),
                    1_000..1_002 => "2001:db8::7".to_owned(),
                    _ => format!("10.{hour}.{}.{}", nth / 256, nth % 256),
                };
                write(&served(hour * HOUR + nth, "public", &client), &mut bytes);
            }
            rows(&bytes).for_each(|row| segments.add(&row).expect("written"));
        }
        segments.flush().expect("written");
        segments
    }

    #[test]
    fn the_most_frequent_are_the_same_from_tables_and_from_rows() {
        let home = tempfile::tempdir().expect("a directory");
        let segments = filled(home.path());
        let all = Query { from: 0, until: 3 * HOUR, only: Vec::new() };
        let ask = |query: &Query| top(&segments.disk, Column::Client, 2, query, 2).expect("read");
        let open = ask(&all);
        assert_eq!((open.rows, open.short, open.values[0].1, open.values[1].1), (9_000, 0, 3_000, 6));
        assert_eq!(Top::shown(Column::Client, &open.values[0].0), "203.0.113.9");
        assert_eq!(Top::shown(Column::Client, &open.values[1].0), "2001:db8::7");
        let packed = |now, most| pack_hours(&segments.disk, (3, 4), now, most).expect("packed");
        assert_eq!(
            (packed(2 * HOUR + LATE, 1), packed(2 * HOUR + LATE, 9)),
            (1, 1),
            "the hour that is written is open"
        );
        assert_eq!(packed(2 * HOUR + LATE, 9), 0);
        let sealed = ask(&all);
        assert_eq!((sealed.values, sealed.rows, sealed.short), (open.values.clone(), open.rows, 0));
        let part = ask(&Query { from: HOUR, until: HOUR + 500, only: Vec::new() });
        assert_eq!((part.rows, part.values[0].1, part.short), (500, 500, 0), "what lies across an edge is counted");
        let only = Query { only: vec![(Column::Client, vec![203, 0, 113, 9])], ..all.clone() };
        assert_eq!(top(&segments.disk, Column::Platform, 5, &only, 1).expect("read").rows, 3_000);
        let found = networks(&segments.disk, 2, &all, 2).expect("read");
        let found: Vec<(String, u64)> =
            found.values.iter().map(|(value, count)| (Top::network(value), *count)).collect();
        assert_eq!(found, [("203.0.113.0/24".to_owned(), 3_000), ("10.0.4.0/24".to_owned(), 256)]);
        assert_eq!(Top::network(&[0x20, 1, 0xd, 0xb8, 0, 0, 0]), "2001:db8::/56");
    }

    #[test]
    fn tables_are_found_behind_blocks_and_refused_where_they_are_damaged() {
        let home = tempfile::tempdir().expect("a directory");
        let segments = filled(home.path());
        assert_eq!(pack_hours(&segments.disk, (3, 4), HOUR + LATE, 9).expect("packed"), 1);
        let hour = Query { from: 0, until: HOUR, only: Vec::new() };
        let ask = || top(&segments.disk, Column::Client, 1, &hour, 1);
        let path = home.path().join("requests/0.seal");
        let whole = std::fs::read(&path).expect("there");
        let change = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).expect("written");
        };
        change(FRAME_HEAD + 40);
        assert_eq!(ask().expect("blocks are not read").rows, 3_000);
        change(whole.len() - 1);
        assert!(ask().is_err(), "the tables are");
        change(3);
        assert!(ask().is_err(), "a frame that is longer than any leads nowhere");
        std::fs::write(&path, &whole[..whole.len() - 1]).expect("written");
        assert!(ask().is_err(), "and half of one is none");
    }

    /// A disk that a process writes until it is killed, so many changes on.
    struct Killed {
        disk: Directory,
        left: AtomicU32,
    }

    impl Killed {
        fn change(&self, change: impl FnOnce(&Directory) -> io::Result<()>) -> io::Result<()> {
            let left = self.left.load(Ordering::Relaxed);
            if left == 0 {
                return Err(io::Error::other("killed"));
            }
            self.left.store(left - 1, Ordering::Relaxed);
            change(&self.disk)
        }
    }

    impl Disk for Killed {
        fn read(&self, path: &str) -> io::Result<Vec<u8>> {
            self.disk.read(path)
        }

        fn list(&self, path: &str) -> io::Result<Vec<String>> {
            self.disk.list(path)
        }

        fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
            // Half of it is there.
            self.disk.write(path, bytes.get(..bytes.len() / 2).unwrap_or_default())?;
            self.change(|disk| disk.write(path, bytes))
        }

        fn append(&self, path: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
            self.change(|disk| disk.append(path, at, bytes))
        }

        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.change(|disk| disk.rename(from, to))
        }

        fn remove(&self, path: &str) -> io::Result<()> {
            self.change(|disk| disk.remove(path))
        }

        fn sync(&self, paths: &[String]) -> io::Result<()> {
            self.change(|disk| disk.sync(paths))
        }

        fn sync_data(&self, path: &str) -> io::Result<()> {
            self.change(|disk| disk.sync_data(path))
        }
    }

    #[test]
    fn an_hour_counts_once_wherever_its_packing_stops() {
        for left in 0.. {
            let home = tempfile::tempdir().expect("a directory");
            let segments = filled(home.path());
            let all = Query { from: 0, until: 3 * HOUR, only: Vec::new() };
            let counts = |when: &str| {
                let found = top(&segments.disk, Column::Client, 1, &all, 1).expect("read");
                let (mut since_then, mut replayed) = (0, 0);
                since(&segments.disk, 0, |_| since_then += 1).expect("read");
                replay(&segments.disk, 0, |_| replayed += 1).expect("read");
                let counts = (found.rows, found.values[0].1, since_then, replayed);
                assert_eq!(counts, (9_000, 3_000, 9_000, 3_000), "{left} changes, {when}");
            };
            let killed = Killed { disk: segments.disk.clone(), left: left.into() };
            let packed = pack_hours(&killed, (3, 4), 2 * HOUR + LATE, 9);
            counts("killed");
            assert_eq!(hours(&segments.disk, 0).expect("listed").len(), 3);
            // Whoever comes next finishes it.
            pack_hours(&segments.disk, (3, 4), 2 * HOUR + LATE, 9).expect("packed");
            counts("finished");
            let names = segments.disk.list(FOLDER).expect("listed");
            assert!(
                ["0.seal", "1.seal", "2.open"].into_iter().eq(names.iter().filter(|name| !name.ends_with("making"))),
                "{names:?}"
            );
            // What comes for that hour after a clock that jumped back is not lost, and not in what is packed.
            let mut again = Segments::new(segments.disk.clone(), Keys(5, 6));
            let mut bytes = Vec::new();
            write(&served(2 * HOUR - 1, "public", "192.0.2.1"), &mut bytes);
            rows(&bytes).for_each(|row| again.add(&row).expect("written"));
            again.flush().expect("written");
            assert_eq!(again.until(), 3 * HOUR);
            let mut found = 0;
            since(&segments.disk, 0, |_| found += 1).expect("read");
            assert_eq!(found, 9_001);
            if packed.is_ok() {
                assert!(left > 3, "it takes some changes to pack an hour");
                return;
            }
        }
    }

    #[test]
    fn what_a_crash_left_half_is_passed_over_and_written_over() {
        let home = tempfile::tempdir().expect("a directory");
        let segments = filled(home.path());
        let path = home.path().join("requests/2.open");
        let bytes = std::fs::read(&path).expect("there");
        std::fs::write(&path, [&bytes[..], &bytes[..bytes.len() / 2]].concat()).expect("written");
        drop(segments);
        let disk = Directory::create(home.path()).expect("a directory");
        let mut again = Segments::new(disk, Keys(5, 6));
        let mut bytes = Vec::new();
        write(&served(2 * HOUR + 9_000, "public", "192.0.2.1"), &mut bytes);
        rows(&bytes).for_each(|row| again.add(&row).expect("written"));
        again.flush().expect("written");
        let mut count = 0;
        since(&again.disk, 0, |_| count += 1).expect("read");
        assert_eq!(count, 9_001);
        assert_eq!(again.erase(HOUR, 1 << 20, |_| 100).expect("erased"), 1, "what is old enough");
        assert_eq!(again.erase(0, 150, |_| 100).expect("erased"), 1, "and what there is no room for");
        assert_eq!(again.erase(u64::MAX, 0, |_| 100).expect("erased"), 0, "never what is written");
    }
}
