//! The files of the log: `decisions.jsonl`, `.1`, `.2` and so on, the newest first.
//!
//! They never hold more than `files * file_bytes` together, and a line is never split over two.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The numbered files that are looked for, at most.
const MOST_FILES: u32 = 10_000;

/// Where lines are written.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    file_bytes: u64,
    files: u32,
    open: Option<File>,
    /// The last line in the open file was cut short; a newline comes first.
    torn: bool,
}

impl Files {
    /// Opens the newest file for appending.
    pub(super) fn open(path: &Path, file_bytes: u64, files: u32) -> io::Result<Self> {
        let files = files.clamp(1, MOST_FILES);
        let mut this = Self { path: path.to_owned(), file_bytes, files, open: None, torn: false };
        this.reopen()?;
        // Fewer files than before: those beyond go now, and with them what they hold of the disk.
        (files..MOST_FILES).map(|number| numbered(path, number)).try_for_each(fs::remove_file).ok();
        Ok(this)
    }

    /// Writes whole lines and says how many are in the file. The rest is not, and is never written later.
    pub(super) fn write(&mut self, lines: &[u8]) -> u64 {
        let mut rest = lines;
        let mut written = 0;
        while !rest.is_empty() {
            let Ok(room) = self.room() else { return written };
            let fits = whole_lines(rest, room);
            // A line that no file could hold is written all the same; the configuration does not allow such files.
            let (piece, after) = match fits {
                0 if room < self.file_bytes => {
                    if self.rotate().is_err() {
                        return written;
                    }
                    continue;
                }
                0 => rest.split_at(whole_lines_at_least_one(rest)),
                fits => rest.split_at(fits),
            };
            let (lines, whole) = self.append(piece);
            written += lines;
            if !whole {
                return written;
            }
            rest = after;
        }
        written
    }

    /// Bytes that the open file can take. Another process may write to it during a take-over, so it is asked.
    fn room(&mut self) -> io::Result<u64> {
        let here = fs::metadata(&self.path).ok().map(|data| (data.dev(), data.ino()));
        let mine = self.open.as_ref().map(File::metadata).transpose()?;
        let length = match mine {
            Some(mine) if here == Some((mine.dev(), mine.ino())) => mine.len(),
            // Not open, or moved away by somebody: another process, an operator, a tool.
            _ => self.reopen()?,
        };
        Ok(self.file_bytes.saturating_sub(length))
    }

    fn reopen(&mut self) -> io::Result<u64> {
        self.open = None;
        // Addresses of visitors are in it: for the owner and the group, not for everybody.
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(&self.path)?;
        let length = file.metadata()?.len();
        self.torn = length > 0 && !ends_with_newline(&mut file).unwrap_or(true);
        self.open = Some(file);
        Ok(length)
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.open = None;
        if self.files == 1 {
            fs::remove_file(&self.path)?;
        }
        for number in (1..self.files).rev() {
            let from = if number == 1 { self.path.clone() } else { numbered(&self.path, number - 1) };
            match fs::rename(from, numbered(&self.path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.reopen().map(|_| ())
    }

    /// How many lines were written, and whether that was all of them.
    fn append(&mut self, lines: &[u8]) -> (u64, bool) {
        let Some(file) = &mut self.open else { return (0, false) };
        if self.torn {
            match file.write(b"\n") {
                Ok(1) => self.torn = false,
                _ => return (0, false),
            }
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(count) if count > 0 => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Full, or broken.
                _ => break,
            }
        }
        let written = lines.get(..lines.len() - rest.len()).unwrap_or_default();
        self.torn = written.last().is_some_and(|byte| *byte != b'\n');
        (memchr::memchr_iter(b'\n', written).count() as u64, rest.is_empty())
    }
}

/// The path of the file with that number; the larger, the older.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Every file of the log that exists, the newest first.
pub(super) fn newest_first(path: &Path) -> impl Iterator<Item = io::Result<File>> + '_ {
    let names = std::iter::once(path.to_owned()).chain((1..MOST_FILES).map(|number| numbered(path, number)));
    // A gap may be a rotation under way; two are the end.
    let mut missing = 0;
    names
        .map(File::open)
        .map_while(move |file| match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing += 1;
                (missing < 2).then_some(None)
            }
            other => Some(Some(other)),
        })
        .flatten()
}

/// Length of the whole lines within the first `room` bytes.
fn whole_lines(lines: &[u8], room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(lines.len());
    lines.get(..room).and_then(|fitting| memchr::memrchr(b'\n', fitting)).map_or(0, |end| end + 1)
}

fn whole_lines_at_least_one(lines: &[u8]) -> usize {
    memchr::memchr(b'\n', lines).map_or(lines.len(), |end| end + 1)
}

fn ends_with_newline(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn files_rotate_at_whole_lines_and_stay_within_their_bound() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("decisions.jsonl");
        let mut files = Files::open(&path, 10, 3).expect("opens");
        assert_eq!(files.write(b"one\ntwo\nthree\n"), 3);
        assert_eq!((read(&path).as_str(), read(&numbered(&path, 1)).as_str()), ("three\n", "one\ntwo\n"));
        assert_eq!(files.write(b"4\n5\n6\n7\n8\n9\n"), 6);
        assert_eq!(read(&path), "6\n7\n8\n9\n");
        assert_eq!(read(&numbered(&path, 1)), "three\n4\n5\n");
        assert_eq!(read(&numbered(&path, 2)), "one\ntwo\n");
        assert_eq!(files.write(b"abcdefghi\n"), 1);
        assert_eq!(read(&numbered(&path, 2)), "three\n4\n5\n");
        assert!(!numbered(&path, 3).exists(), "no more than three");
        drop(files);
        Files::open(&path, 10, 1).expect("opens");
        assert!(!numbered(&path, 1).exists() && !numbered(&path, 2).exists(), "fewer are declared now");
    }

    #[test]
    fn one_file_begins_anew() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("decisions.jsonl");
        let mut files = Files::open(&path, 6, 1).expect("opens");
        assert_eq!(files.write(b"one\ntwo\n"), 2);
        assert_eq!(read(&path), "two\n");
        assert_eq!(files.write(b"far too long\n"), 1, "rather than never");
        assert_eq!(read(&path), "far too long\n");
    }

    #[test]
    fn a_line_cut_short_by_a_kill_spoils_no_other() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("decisions.jsonl");
        fs::write(&path, "whole\nhal").expect("writes");
        let mut files = Files::open(&path, 1000, 2).expect("opens");
        assert_eq!(files.write(b"next\n"), 1);
        assert_eq!(read(&path), "whole\nhal\nnext\n");
    }

    #[test]
    fn a_file_moved_away_is_left_alone() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("decisions.jsonl");
        let mut files = Files::open(&path, 1000, 2).expect("opens");
        assert_eq!(files.write(b"one\n"), 1);
        fs::rename(&path, place.path().join("moved")).expect("renames");
        assert_eq!(files.write(b"two\n"), 1);
        assert_eq!(read(&path), "two\n");
    }

    #[test]
    fn a_full_disk_takes_nothing_and_says_so() {
        let mut files = Files::open(Path::new("/dev/full"), 1000, 1).expect("opens");
        assert_eq!(files.write(b"one\ntwo\n"), 0);
        assert_eq!(files.write(b"three\n"), 0);
    }
}
