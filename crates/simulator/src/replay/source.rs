//! Logs as streams of requests: decompressed, split into lines, parsed, put into the order of time.
//!
//! Memory is bounded whatever a log holds: so many bytes a line, so many lines a window.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use serde::Serialize;

use super::entry::{Entry, Format, LINE_BYTES, Line, parse};
use super::time::SECOND;

/// Servers write a line when the request is over, so lines are out of order by as long as a request takes.
pub const WINDOW_SECONDS: u64 = 120;
/// Lines that are held at once to be put in order, over all logs.
pub const HELD_LINES: usize = 250_000;
/// Lines that could not be read and are shown.
const SHOWN: usize = 5;
/// Of a line that is shown, so much.
const SHOWN_BYTES: usize = 120;

/// One log.
pub struct Source<'a> {
    /// What it is called in messages.
    pub name: String,
    /// Its bytes, compressed or not.
    pub reader: Box<dyn Read + 'a>,
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What was read, and what could not be.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Reading {
    /// Lines, empty ones included.
    pub lines: u64,
    /// Requests.
    pub requests: u64,
    /// Empty lines, comments and records of other things.
    pub nothing: u64,
    /// Connections that sent something other than a request.
    pub no_request: u64,
    /// Lines that could not be read.
    pub bad: u64,
    /// The first of them.
    pub bad_lines: Vec<BadLine>,
    /// Requests by the form in which they were written.
    pub formats: BTreeMap<Format, u64>,
    /// Logs that ended before their end, and why.
    pub cut: Vec<String>,
}

/// A line that could not be read.
#[derive(Debug, Clone, Serialize)]
pub struct BadLine {
    /// The log.
    pub log: String,
    /// From 1.
    pub line: u64,
    /// Why.
    pub why: &'static str,
    /// How it begins, fit to be shown.
    pub begins: String,
}

/// Requests of all logs in the order of time, as far as the window reaches.
#[derive(Debug)]
pub(crate) struct Merged<'a> {
    streams: Vec<Stream<'a>>,
    pub(crate) reading: Reading,
}

impl<'a> Merged<'a> {
    pub(crate) fn open(sources: Vec<Source<'a>>) -> Self {
        let room = (HELD_LINES / sources.len().max(1)).max(1_000);
        let mut reading = Reading::default();
        let mut streams = Vec::new();
        for source in sources {
            match Lines::open(source.reader) {
                Ok(lines) => streams.push(Stream::new(source.name, lines, room)),
                Err(error) => reading.cut.push(format!("{}: {error}", source.name)),
            }
        }
        for stream in &mut streams {
            stream.fill(&mut reading);
        }
        Self { streams, reading }
    }

    /// The earliest request that any log has left.
    pub(crate) fn next(&mut self) -> Option<Entry> {
        let earliest =
            self.streams.iter_mut().filter(|stream| stream.first().is_some()).min_by_key(|stream| stream.first())?;
        let entry = earliest.held.pop().map(|Reverse(held)| *held.entry);
        earliest.fill(&mut self.reading);
        entry
    }
}

#[derive(Debug)]
struct Stream<'a> {
    name: String,
    lines: Option<Lines<'a>>,
    held: BinaryHeap<Reverse<Held>>,
    room: usize,
    newest: u64,
}

/// A request that waits for its turn; equal times go as they were written.
#[derive(Debug)]
struct Held {
    at: u64,
    line: u64,
    entry: Box<Entry>,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.line) == (other.at, other.line)
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.line).cmp(&(other.at, other.line))
    }
}

impl<'a> Stream<'a> {
    fn new(name: String, lines: Lines<'a>, room: usize) -> Self {
        Self { name, lines: Some(lines), held: BinaryHeap::new(), room, newest: 0 }
    }

    fn first(&self) -> Option<u64> {
        self.held.peek().map(|Reverse(held)| held.at)
    }

    /// Reads on until the first that is held cannot be overtaken any more, or there is no room.
    fn fill(&mut self, reading: &mut Reading) {
        while self.held.len() < self.room {
            let settled = self.first().is_some_and(|first| self.newest - first >= WINDOW_SECONDS * SECOND);
            let Some(lines) = self.lines.as_mut().filter(|_| !settled) else { return };
            match lines.next() {
                Ok(Some(text)) => {
                    reading.lines += 1;
                    let parsed = text.map_or(Err("longer than any server writes a line"), parse);
                    let (number, begins) = (lines.number, parsed.is_err().then(|| lines.begins()));
                    match parsed {
                        Ok(Line::Request(entry)) => {
                            reading.requests += 1;
                            *reading.formats.entry(entry.format).or_default() += 1;
                            self.newest = self.newest.max(entry.at);
                            self.held.push(Reverse(Held { at: entry.at, line: number, entry }));
                        }
                        Ok(Line::NoRequest) => reading.no_request += 1,
                        Ok(Line::Nothing) => reading.nothing += 1,
                        Err(why) => {
                            reading.bad += 1;
                            if reading.bad_lines.len() < SHOWN {
                                let (log, begins) = (self.name.clone(), begins.unwrap_or_default());
                                reading.bad_lines.push(BadLine { log, line: number, why, begins });
                            }
                        }
                    }
                }
                Ok(None) => self.lines = None,
                Err(error) => {
                    reading.cut.push(format!("{} ends in line {}: {error}", self.name, lines.number + 1));
                    self.lines = None;
                }
            }
        }
    }
}

/// A log as lines.
struct Lines<'a> {
    reader: Box<dyn BufRead + 'a>,
    line: Vec<u8>,
    number: u64,
}

impl fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("number", &self.number).finish_non_exhaustive()
    }
}

impl<'a> Lines<'a> {
    /// Looks at the first bytes, not at the name, to see whether it is compressed.
    fn open(mut reader: Box<dyn Read + 'a>) -> io::Result<Self> {
        let mut magic = Vec::new();
        reader.by_ref().take(4).read_to_end(&mut magic)?;
        let gzip = magic.starts_with(&[0x1F, 0x8B]);
        let zstd = magic == [0x28, 0xB5, 0x2F, 0xFD] || matches!(magic[..], [0x50..=0x5F, 0x2A, 0x4D, 0x18]);
        let whole = BufReader::new(Cursor::new(magic).chain(reader));
        let reader: Box<dyn BufRead + 'a> = if gzip {
            Box::new(BufReader::new(MultiGzDecoder::new(whole)))
        } else if zstd {
            Box::new(BufReader::new(Frames { source: whole, decoder: FrameDecoder::new(), open: false }))
        } else {
            Box::new(whole)
        };
        Ok(Self { reader, line: Vec::new(), number: 0 })
    }

    /// The next line without its newline; inside, `None` where it is too long to be read.
    fn next(&mut self) -> io::Result<Option<Option<&[u8]>>> {
        self.line.clear();
        let (mut fits, mut any) = (true, false);
        loop {
            let bytes = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if bytes.is_empty() {
                break;
            }
            any = true;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            fits &= self.line.len() + part.len() <= LINE_BYTES;
            let room = LINE_BYTES - self.line.len();
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
            let used = end.map_or(bytes.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        self.number += u64::from(any);
        Ok(any.then_some(fits.then_some(self.line.as_slice())))
    }

    fn begins(&self) -> String {
        self.line.get(..SHOWN_BYTES).unwrap_or(&self.line).escape_ascii().to_string()
    }
}

/// A zstd file: frame after frame, as `cat a.zst b.zst` makes one; those that are to be skipped are skipped.
struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    open: bool,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            if self.open {
                while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                    let step = self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
                    step.map_err(io::Error::other)?;
                }
                let read = self.decoder.read(buffer)?;
                if read > 0 {
                    return Ok(read);
                }
                self.open = false;
            } else if self.source.fill_buf()?.is_empty() {
                break;
            } else {
                self.open = self.next_frame()?;
            }
        }
        Ok(0)
    }
}

impl<R: BufRead> Frames<R> {
    /// Whether what comes next holds data.
    fn next_frame(&mut self) -> io::Result<bool> {
        match self.decoder.reset(&mut self.source) {
            Ok(()) => Ok(true),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let skipped = io::copy(&mut self.source.by_ref().take(length.into()), &mut io::sink())?;
                if skipped == u64::from(length) { Ok(false) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn line(second: u64, path: &str) -> String {
        format!(
            "192.0.2.1 - - [17/May/2015:10:{:02}:{:02} +0000] \"GET {path} HTTP/1.1\" 200 1\n",
            second / 60,
            second % 60
        )
    }

    fn source(name: &str, bytes: Vec<u8>) -> Source<'static> {
        Source { name: name.to_owned(), reader: Box::new(Cursor::new(bytes)) }
    }

    fn paths(sources: Vec<Source<'_>>) -> (Vec<String>, Reading) {
        let mut merged = Merged::open(sources);
        let mut paths = Vec::new();
        while let Some(entry) = merged.next() {
            paths.push(String::from_utf8_lossy(&entry.path).into_owned());
        }
        (paths, merged.reading)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    #[test]
    fn compression_is_seen_by_the_first_bytes() {
        let (one, two) = (line(1, "/a").into_bytes(), line(2, "/b").into_bytes());
        let skipped = [&[0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        let table = [
            ("plain", [one.clone(), two.clone()].concat()),
            ("gzip", gzip(&[one.clone(), two.clone()].concat())),
            ("two members", [gzip(&one), gzip(&two)].concat()),
            ("zstd", zstd(&[one.clone(), two.clone()].concat())),
            ("two frames", [zstd(&one), skipped, zstd(&two)].concat()),
        ];
        for (name, bytes) in table {
            let (paths, reading) = paths(vec![source(name, bytes)]);
            assert_eq!((paths, reading.cut), (vec!["/a".to_owned(), "/b".to_owned()], Vec::<String>::new()), "{name}");
        }
    }

    #[test]
    fn a_log_that_is_cut_short_gives_what_it_has_and_says_so() {
        let whole: String = (0..600).map(|second| line(second, &format!("/{second}"))).collect();
        for (name, bytes) in [("gz", gzip(whole.as_bytes())), ("zst", zstd(whole.as_bytes()))] {
            let half = bytes.get(..bytes.len() - 9).expect("longer").to_vec();
            let (_, reading) = paths(vec![source(name, half)]);
            assert_eq!(reading.cut.len(), 1, "{name}: {:?}", reading.cut);
            assert!(reading.cut[0].starts_with(&format!("{name} ends in line")), "{:?}", reading.cut);
        }
        assert_eq!(paths(vec![source("empty", Vec::new())]).1.lines, 0);
    }

    #[test]
    fn lines_that_cannot_be_read_are_counted_and_shown() {
        let long = "x".repeat(LINE_BYTES + 1);
        let text = format!("{}nonsense\x07\n\n{long}\n{}", line(1, "/a"), line(2, "/b").trim_end());
        let (paths, reading) = paths(vec![source("access.log", text.into_bytes())]);
        assert_eq!(paths, ["/a", "/b"]);
        assert_eq!((reading.lines, reading.requests, reading.bad, reading.nothing), (5, 2, 2, 1));
        let shown: Vec<_> = reading.bad_lines.iter().map(|bad| (bad.line, bad.begins.len())).collect();
        assert_eq!(shown, [(2, "nonsense\\x07".len()), (4, SHOWN_BYTES)]);
    }

    #[test]
    fn logs_are_merged_by_time() {
        let new = [line(130, "/3"), line(131, "/4")].concat();
        let old = [line(1, "/2"), line(0, "/1")].concat();
        let (paths, _) = paths(vec![source("access.log", new.into_bytes()), source("access.log.1", old.into_bytes())]);
        assert_eq!(paths, ["/1", "/2", "/3", "/4"]);
    }

    proptest! {
        #[test]
        fn what_is_out_of_order_by_less_than_the_window_is_put_in_order(
            seconds in proptest::collection::vec(0..WINDOW_SECONDS, 1..60),
            packed in 0..3,
        ) {
            let text: String = seconds.iter().map(|second| line(*second, &format!("/{second:03}"))).collect();
            let bytes = match packed {
                0 => text.into_bytes(),
                1 => gzip(text.as_bytes()),
                _ => zstd(text.as_bytes()),
            };
            let (paths, reading) = paths(vec![source("log", bytes)]);
            prop_assert!(paths.is_sorted());
            prop_assert_eq!(paths.len(), seconds.len());
            prop_assert_eq!(reading.bad, 0);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..300), magic in 0..4) {
            let magic: &[u8] = match magic {
                0 => &[],
                1 => &[0x1F, 0x8B, 8, 0],
                2 => &[0x28, 0xB5, 0x2F, 0xFD],
                _ => &[0x51, 0x2A, 0x4D, 0x18],
            };
            let _ = paths(vec![source("log", [magic, &bytes].concat())]);
        }
    }
}
