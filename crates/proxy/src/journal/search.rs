//! Decisions on record, the newest first: what is wanted of them, and where to go on.
//!
//! Files are read from their ends, a piece at a time. What lies after the time that is asked for is stepped over, because lines
//! are in the order of time but for moments. One answer reads a bounded number of bytes, and says how far it came.

use std::fmt;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use portcullis_types::{Prefix, Reason};
use serde::Deserialize;

use super::file::newest_first;
use super::record::{LINE_BYTES, push_time};

/// Read from the disk at once.
const PIECE_BYTES: u64 = 256 * 1024;
/// Lines of different workers, and of long requests, may be apart by so many milliseconds.
const APART: u64 = 60_000;

/// Which decisions are wanted; what is not said is not asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// From when on, in milliseconds since 1970.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// Of this platform.
    pub platform: Option<String>,
    /// Of this route, as it is declared.
    pub route: Option<String>,
    /// From this network, or address.
    pub client: Option<Prefix>,
    /// What became of it, as [`Decided::became`] has it.
    pub became: Option<String>,
    /// For this reason.
    pub reason: Option<String>,
    /// With this status.
    pub status: Option<u16>,
    /// By a client of this TLS print (JA4).
    pub print: Option<String>,
    /// With this in method, host, path, detail or reference, whatever its case.
    pub text: Option<String>,
}

/// How much one answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Decisions at most.
    pub most: usize,
    /// Bytes that are read at most, and one piece.
    pub bytes: u64,
}

/// Where a search goes on: before this byte of this file, wherever the file is by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    inode: u64,
    before: u64,
}

impl Place {
    /// As it was written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (inode, before) = text.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        Some(Self { inode: number(inode)?, before: number(before)? })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.inode, self.before)
    }
}

/// One decision, as its line has it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Decided {
    /// When, RFC 3339 in UTC.
    pub t: String,
    /// What the visitor saw; none where nothing was refused.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// The platform.
    pub platform: Option<String>,
    /// The route.
    pub route: Option<String>,
    /// The address that it was decided about.
    pub client: Option<String>,
    /// The method.
    pub method: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The path, without a query.
    pub path: Option<String>,
    /// The TLS print.
    pub ja4: Option<String>,
    /// `served`, `refused`, `failed`.
    pub verdict: String,
    /// Why.
    pub reason: Option<String>,
    /// In detail.
    pub detail: Option<String>,
    /// Who vouched for the visitor.
    pub trust: Option<String>,
    /// The status.
    pub status: u16,
    /// Milliseconds that it took.
    pub ms: f64,
    /// Of which kind the line is; a request's has none.
    kind: Option<String>,
}

impl Decided {
    /// `served`, `failed`, `challenged`, `roomed` (in the waiting room), or `refused` otherwise.
    #[must_use]
    pub fn became(&self) -> &str {
        match self.reason.as_deref().and_then(Reason::from_code) {
            Some(Reason::Challenge) => "challenged",
            Some(Reason::WaitingRoom) => "roomed",
            _ => &self.verdict,
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Searched {
    /// The newest first.
    pub found: Vec<Decided>,
    /// Where to go on; none where everything was looked at.
    pub next: Option<Place>,
}

/// Looks for decisions, the newest first, from a place on.
///
/// # Errors
/// When there is no log, or a file cannot be read.
pub fn search(path: &Path, wanted: &Wanted, from: Option<Place>, bounds: Bounds) -> io::Result<Searched> {
    drop(File::open(path)?);
    let (begin, end) = (moment(wanted.from.saturating_sub(APART)), moment(wanted.until.saturating_add(APART)));
    let text = wanted.text.as_deref().map(str::to_lowercase);
    let (exact_from, exact_until) = (moment(wanted.from), moment(wanted.until));
    let mut all = Searched::default();
    let (mut left, mut seen, mut on) = (bounds.bytes, Vec::new(), from.is_none());
    for file in newest_first(path) {
        let file = file?;
        let data = file.metadata()?;
        // A rotation between two looks shows a file twice.
        if seen.contains(&data.ino()) {
            continue;
        }
        seen.push(data.ino());
        let mut before = data.len();
        if let Some(place) = from.filter(|_| !on) {
            if place.inode != data.ino() {
                continue;
            }
            before = place.before.min(before);
            on = true;
        }
        let mut lines = Backwards::new(&file, first_after(&file, before, &end)?);
        while let Some(line) = lines.line()? {
            let when = time_of(line);
            if when.is_some_and(|when| when < begin.as_slice()) {
                return Ok(all);
            }
            if when.is_some_and(|when| (exact_from.as_slice()..exact_until.as_slice()).contains(&when)) {
                all.found.extend(decided(line, wanted, text.as_deref()));
            }
            let read = lines.read();
            if all.found.len() >= bounds.most || read > left {
                all.next = Some(Place { inode: data.ino(), before: lines.at() });
                return Ok(all);
            }
        }
        left = left.saturating_sub(lines.read());
    }
    Ok(all)
}

/// A time as lines begin with it: as text it sorts as it is.
fn moment(unix_millis: u64) -> Vec<u8> {
    let mut text = Vec::with_capacity(24);
    push_time(&mut text, unix_millis);
    text
}

fn time_of(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"{\"t\":\"")?.get(..24).filter(|when| when.last() == Some(&b'Z'))
}

/// The line, where it is wanted.
fn decided(line: &[u8], wanted: &Wanted, text: Option<&str>) -> Option<Decided> {
    let holds = |field: &str, value: &Option<String>| match value {
        None => true,
        Some(value) => memchr::memmem::find(line, format!("\"{field}\":\"{value}\"").as_bytes()).is_some(),
    };
    // Most lines are passed over without being parsed. Both are words of ours, which need no escape.
    let verdict = wanted.became.as_deref().map(|became| match became {
        "challenged" | "roomed" => "refused".to_owned(),
        other => other.to_owned(),
    });
    if !(holds("verdict", &verdict) && holds("reason", &wanted.reason)) {
        return None;
    }
    let it: Decided = serde_json::from_slice(line).ok()?;
    let same = |asked: &Option<String>, is: Option<&String>| asked.as_ref().is_none_or(|asked| is == Some(asked));
    let from = |network: Prefix| {
        let address = it.client.as_deref().and_then(|client| client.parse::<IpAddr>().ok());
        address.is_some_and(|address| network.contains(address))
    };
    let said = |text: &str| {
        let all = [&it.method, &it.host, &it.path, &it.detail, &it.reference];
        all.into_iter().flatten().any(|value| value.to_lowercase().contains(text))
    };
    let wanted = it.kind.is_none()
        && same(&wanted.platform, it.platform.as_ref())
        && same(&wanted.route, it.route.as_ref())
        && wanted.became.as_ref().is_none_or(|became| became == it.became())
        && same(&wanted.reason, it.reason.as_ref())
        && same(&wanted.print, it.ja4.as_ref())
        && wanted.status.is_none_or(|status| status == it.status)
        && wanted.client.is_none_or(from)
        && text.is_none_or(said);
    wanted.then_some(it)
}

/// Where in the file, before this byte, the lines begin that are later than a time.
fn first_after(file: &File, before: u64, end: &[u8]) -> io::Result<u64> {
    let (mut low, mut high) = (0, before);
    // Of so little, every line is looked at.
    while high - low > PIECE_BYTES {
        let middle = low + (high - low) / 2;
        match line_from(file, middle, high)? {
            Some((at, later)) if later.as_slice() <= end => low = at,
            _ => high = middle,
        }
    }
    // The line that is cut here is later, but for those of the last piece.
    Ok(if high == before { before } else { line_start(file, high, before)? })
}

/// The first line that begins after a byte and says when it is, with that.
fn line_from(file: &File, after: u64, before: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut piece = vec![0; 2 * LINE_BYTES];
    let read = read_at(file, &mut piece, after)?;
    let piece = piece.get(..read).unwrap_or_default();
    for newline in memchr::memchr_iter(b'\n', piece) {
        let rest = piece.get(newline + 1..).unwrap_or_default();
        if let Some(when) = time_of(rest) {
            let at = after + newline as u64 + 1;
            return Ok((at < before).then(|| (at, when.to_vec())));
        }
    }
    Ok(None)
}

/// Where the first line begins at or after a byte.
fn line_start(file: &File, at: u64, before: u64) -> io::Result<u64> {
    let mut piece = vec![0; LINE_BYTES];
    let read = read_at(file, &mut piece, at)?;
    let newline = memchr::memchr(b'\n', piece.get(..read).unwrap_or_default());
    Ok(newline.map_or(before, |newline| at + newline as u64 + 1).min(before))
}

fn read_at(file: &File, into: &mut [u8], mut at: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = into.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(count) => {
                read += count;
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// The lines of a file, the last first.
struct Backwards<'a> {
    file: &'a File,
    /// Where what is held begins in the file.
    begins: u64,
    held: Vec<u8>,
    /// Of what is held, what was not handed out yet.
    end: usize,
    read: u64,
}

impl<'a> Backwards<'a> {
    const fn new(file: &'a File, before: u64) -> Self {
        Self { file, begins: before, held: Vec::new(), end: 0, read: 0 }
    }

    /// Bytes that were read so far.
    const fn read(&self) -> u64 {
        self.read
    }

    /// Where the line begins that was handed out last.
    fn at(&self) -> u64 {
        self.begins + self.end as u64
    }

    fn line(&mut self) -> io::Result<Option<&[u8]>> {
        let begin = loop {
            // The newline that ends the line itself is not the one before it.
            let body = self.held.get(..self.end.saturating_sub(1)).unwrap_or_default();
            match memchr::memrchr(b'\n', body) {
                Some(newline) => break newline + 1,
                None if self.begins == 0 => break 0,
                None => self.fill()?,
            }
        };
        if self.end == 0 {
            return Ok(None);
        }
        let line = begin..std::mem::replace(&mut self.end, begin);
        Ok(self.held.get(line))
    }

    fn fill(&mut self) -> io::Result<()> {
        // A line longer than any record is none: what was read of it is let go.
        if self.end > LINE_BYTES {
            self.end = 0;
        }
        let size = PIECE_BYTES.min(self.begins);
        let mut piece = vec![0; usize::try_from(size).unwrap_or_default()];
        self.begins -= size;
        let read = read_at(self.file, &mut piece, self.begins)?;
        // A file that shrank meanwhile has nothing there.
        piece.truncate(read);
        piece.extend_from_slice(self.held.get(..self.end).unwrap_or_default());
        self.read += size;
        self.end = piece.len();
        self.held = piece;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use portcullis_types::Reference;

    use super::super::record::{Record, Verdict};
    use super::*;

    const BEGIN: u64 = 1_795_302_000_000;

    /// The `nth` decision: one each second, refused but for each third.
    fn line(nth: u64, out: &mut Vec<u8>) {
        let served = nth.is_multiple_of(3);
        let client = format!("203.0.{}.{}", 113 + nth % 2, nth % 200);
        let path = format!("/page/{nth}");
        Record {
            unix_millis: BEGIN + nth * 1_000,
            reference: (!served).then_some(Reference(nth)),
            platform: Some(if nth.is_multiple_of(5) { "shop" } else { "public" }),
            route: Some("/**"),
            client: client.parse().ok(),
            method: Some(b"GET"),
            path: Some(path.as_bytes()),
            ja4: (nth.is_multiple_of(7)).then_some("t13d1516h2_8daaf6152771_e5627efa2ab1"),
            verdict: if served { Verdict::Served } else { Verdict::Refused },
            reason: [None, Some(Reason::Challenge), Some(Reason::RateLimited)][(nth % 3) as usize],
            status: if served { 200 } else { 429 },
            ..Record::default()
        }
        .write(out, "gate-1", 0);
    }

    fn written(numbers: std::ops::Range<u64>) -> Vec<u8> {
        let mut text = Vec::new();
        numbers.for_each(|nth| line(nth, &mut text));
        text
    }

    fn log(files: &[(u64, u64)]) -> (tempfile::TempDir, std::path::PathBuf) {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("decisions.jsonl");
        for (number, (from, until)) in files.iter().enumerate() {
            let name = if number == 0 { path.clone() } else { super::super::file::numbered(&path, number as u32) };
            fs::write(name, written(*from..*until)).expect("written");
        }
        (home, path)
    }

    const ALL: Wanted = Wanted {
        from: 0,
        until: u64::MAX / 2,
        platform: None,
        route: None,
        client: None,
        became: None,
        reason: None,
        status: None,
        print: None,
        text: None,
    };
    const MUCH: Bounds = Bounds { most: 100_000, bytes: u64::MAX };

    fn numbers(found: &[Decided]) -> Vec<u64> {
        found.iter().filter_map(|it| it.path.as_deref()?.rsplit('/').next()?.parse().ok()).collect()
    }

    #[test]
    fn each_filter_finds_what_it_says_and_the_newest_first() {
        let (_home, path) = log(&[(1_000, 2_000), (0, 1_000)]);
        let some = |text: &str| Some(text.to_owned());
        let prefix = |text: &str| Prefix::parse(text).ok();
        type Case = (&'static str, Wanted, fn(u64) -> bool);
        let table: [Case; 14] = [
            ("everything", ALL, |_| true),
            ("a platform", Wanted { platform: some("shop"), ..ALL }, |nth| nth.is_multiple_of(5)),
            ("a platform that is the beginning of another", Wanted { platform: some("pub"), ..ALL }, |_| false),
            ("a route", Wanted { route: some("/**"), ..ALL }, |_| true),
            ("a network", Wanted { client: prefix("203.0.113.0/24"), ..ALL }, |nth| nth % 2 == 0),
            ("an address", Wanted { client: prefix("203.0.114.7"), ..ALL }, |nth| nth % 200 == 7),
            ("what was served", Wanted { became: some("served"), ..ALL }, |nth| nth.is_multiple_of(3)),
            ("what was challenged", Wanted { became: some("challenged"), ..ALL }, |nth| nth % 3 == 1),
            ("what was refused", Wanted { became: some("refused"), ..ALL }, |nth| nth % 3 == 2),
            ("a reason", Wanted { reason: some("rate-limited"), ..ALL }, |nth| nth % 3 == 2),
            ("a status", Wanted { status: Some(200), ..ALL }, |nth| nth.is_multiple_of(3)),
            ("a print", Wanted { print: some("t13d1516h2_8daaf6152771_e5627efa2ab1"), ..ALL }, |nth| {
                nth.is_multiple_of(7)
            }),
            ("a text, whatever its case", Wanted { text: some("PAGE/77"), ..ALL }, |nth| {
                nth == 77 || (770..780).contains(&nth)
            }),
            ("a time", Wanted { from: BEGIN + 900_000, until: BEGIN + 1_100_000, ..ALL }, |nth| {
                (900..1_100).contains(&nth)
            }),
        ];
        for (case, wanted, expected) in table {
            let found = search(&path, &wanted, None, MUCH).expect("read");
            assert_eq!(
                numbers(&found.found),
                (0..2_000).rev().filter(|nth| expected(*nth)).collect::<Vec<_>>(),
                "{case}"
            );
            assert_eq!(found.next, None, "{case}");
        }
    }

    #[test]
    fn pages_together_are_the_whole_though_files_are_rotated_meanwhile() {
        let (_home, path) = log(&[(4_000, 6_000), (0, 4_000)]);
        let whole = numbers(&search(&path, &ALL, None, MUCH).expect("read").found);
        assert_eq!(whole.len(), 6_000);
        for bounds in [Bounds { most: 700, bytes: u64::MAX }, Bounds { most: 100_000, bytes: 300_000 }] {
            let (mut all, mut place, mut pages) = (Vec::new(), None, 0_u64);
            loop {
                let page = search(&path, &ALL, place, bounds).expect("read");
                all.extend(numbers(&page.found));
                pages += 1;
                place = page.next.map(|next| Place::parse(&next.to_string()).expect("as it was written"));
                if place.is_none() {
                    break;
                }
                if pages == 2 {
                    for number in (1..=2).rev() {
                        let older = super::super::file::numbered(&path, number);
                        if older.exists() {
                            fs::rename(older, super::super::file::numbered(&path, number + 1)).expect("moved");
                        }
                    }
                    fs::rename(&path, super::super::file::numbered(&path, 1)).expect("moved");
                    fs::write(&path, written(9_000..9_005)).expect("written");
                }
            }
            assert!(pages > 3, "{bounds:?} takes more than one page");
            assert_eq!(all, whole, "{bounds:?}");
            fs::remove_file(&path).expect("it was there");
            fs::rename(super::super::file::numbered(&path, 1), &path).expect("moved");
            fs::rename(super::super::file::numbered(&path, 2), super::super::file::numbered(&path, 1)).expect("moved");
        }
    }

    #[test]
    fn what_is_long_ago_is_found_without_reading_what_came_since() {
        let (_home, path) = log(&[(0, 20_000)]);
        let few = Bounds { most: 100, bytes: 2 * PIECE_BYTES };
        let wanted = Wanted { from: BEGIN + 100_000, until: BEGIN + 110_000, ..ALL };
        assert!(fs::metadata(&path).expect("there").len() > 16 * PIECE_BYTES);
        let found = search(&path, &wanted, None, few).expect("read");
        assert_eq!((numbers(&found.found), found.next), ((100..110).rev().collect(), None));
        let none = Wanted { from: BEGIN - 900_000, until: BEGIN - 800_000, ..ALL };
        assert_eq!(search(&path, &none, None, few).expect("read"), Searched::default());
    }

    #[test]
    fn foreign_text_and_other_records_are_passed_over() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("decisions.jsonl");
        let mut text = written(0..3);
        text.extend_from_slice(b"\xFF\x00 not a record\n\n");
        text.extend(std::iter::repeat_n(b'x', 1_000_000));
        text.push(b'\n');
        text.extend_from_slice(b"{\"t\":\"2026-11-21T23:00:02.000Z\",\"node\":\"n\",\"kind\":\"act\",\"act\":{}}\n");
        let mut forged = Vec::new();
        let path_of = "/\",\"platform\":\"shop\",\"x\":\"".as_bytes();
        Record { path: Some(path_of), unix_millis: BEGIN, ..Record::default() }.write(&mut forged, "n", 0);
        text.extend_from_slice(&forged);
        text.extend(written(3..5));
        text.truncate(text.len() - 9);
        fs::write(&path, text).expect("written");
        let found = search(&path, &ALL, None, MUCH).expect("read").found;
        assert_eq!(numbers(&found), [3, 2, 1, 0], "a line that is cut is none");
        let shop = Wanted { platform: Some("shop".to_owned()), ..ALL };
        assert_eq!(numbers(&search(&path, &shop, None, MUCH).expect("read").found), [0], "nobody forges a platform");
    }

    #[test]
    fn a_place_is_what_it_was_or_nothing() {
        for text in ["", "-", "1", "1-", "-1", "g-1", "1-1-1", "11112222333344445-1"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
        let (_home, path) = log(&[(0, 3)]);
        let gone = Place { inode: 1, before: 5 };
        assert_eq!(search(&path, &ALL, Some(gone), MUCH).expect("read"), Searched::default(), "its file is erased");
    }
}
