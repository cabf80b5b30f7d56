//! What files may be like: names, kinds, modes, sizes and SHA-256, as a text that has one spelling only, so that it can be
//! signed.
//!
//! It never reads a file; the walk hands in what it found.
//!
//! ```text
//! portcullis manifest v1
//! platform public
//! made 1795388400
//! says Release 4.2
//! dir 0755 assets
//! file 0644 18211 9f86d081884c7d65… assets/app.js
//! link 13 2c26b46b68ffc68f… current
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The longest manifest that is read, in bytes: 128 for each of [`ENTRIES`].
pub const BYTES: u64 = 64 << 20;
/// Files, directories and links of one directory that are looked at.
pub const ENTRIES: usize = 500_000;
/// The longest path, as the kernel has it.
pub const PATH: usize = 4096;
/// The longest word of a signer about a release.
const SAYS: usize = 200;

const FIRST: &str = "portcullis manifest v1";

/// Paths from the directory, in the order of their bytes.
pub type Entries = BTreeMap<Box<[u8]>, Entry>;

/// What a release is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// The platform that it is for.
    pub platform: String,
    /// When it was made, in seconds since 1970: one that is older than what is in force is refused.
    pub made: u64,
    /// What the signer says of it, in one line; may be empty.
    pub says: String,
    /// Everything in the directory.
    pub entries: Entries,
}

/// One file, directory or link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which of them.
    pub what: What,
    /// Permissions with set-user-ID, set-group-ID and sticky; 0 of a link.
    pub mode: u16,
    /// Bytes of a file, or of a link's text.
    pub size: u64,
    /// SHA-256 of a file's bytes, or of a link's text.
    pub sha256: [u8; 32],
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A file.
    File,
    /// A symbolic link.
    Link,
    /// A directory.
    Directory,
    /// A device, a pipe, a socket: no manifest has one.
    Other,
}

impl Entry {
    /// In a few words, for people: `file 0644, 18211 bytes, 9f86d081884c`.
    #[must_use]
    pub fn words(&self) -> String {
        let digest = hex(self.sha256.get(..6).unwrap_or_default());
        match self.what {
            What::File => format!("file {:04o}, {} bytes, sha256 {digest}…", self.mode, self.size),
            What::Link => format!("link, sha256 of its target {digest}…"),
            What::Directory => format!("directory {:04o}", self.mode),
            What::Other => format!("neither file nor directory, {:04o}", self.mode),
        }
    }
}

impl Manifest {
    /// Its only spelling.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { platform, made, says, entries } = self;
        let mut text = format!("{FIRST}\nplatform {platform}\nmade {made}\n");
        if !says.is_empty() {
            let _ = writeln!(text, "says {says}");
        }
        for (path, Entry { what, mode, size, sha256 }) in entries {
            let path = escape(path);
            let _ = match what {
                What::File => writeln!(text, "file {mode:04o} {size} {} {path}", hex(sha256)),
                What::Link => writeln!(text, "link {size} {} {path}", hex(sha256)),
                What::Directory => writeln!(text, "dir {mode:04o} {path}"),
                What::Other => Ok(()),
            };
        }
        text
    }

    /// SHA-256 of the text, in hexadecimal: what records call it by.
    #[must_use]
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(self.text()))
    }

    /// Reads a manifest. What is not in its only spelling is refused.
    ///
    /// # Errors
    /// The line, from 1, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() as u64 > BYTES {
            return Err(format!("a manifest has at most {BYTES} bytes"));
        }
        let mut lines = text.split_inclusive('\n').enumerate().map(|(at, line)| (at + 1, line)).peekable();
        let mut manifest = Self::default();
        let mut head = |word: &str, must: bool| match lines.peek().copied() {
            Some((at, line)) if must || line.starts_with(word) => {
                lines.next();
                let value = line.strip_suffix('\n').and_then(|line| line.strip_prefix(word));
                value.map(Some).ok_or_else(|| format!("line {at} does not begin with `{}`", word.trim_end()))
            }
            None if must => Err(format!("it ends before `{}`", word.trim_end())),
            _ => Ok(None),
        };
        if head(FIRST, true)? != Some("") {
            return Err("line 1 is of another version".to_owned());
        }
        head("platform ", true)?.unwrap_or_default().clone_into(&mut manifest.platform);
        manifest.made = head("made ", true)?.and_then(|made| made.parse().ok()).ok_or("line 3 has no time")?;
        head("says ", false)?.unwrap_or_default().clone_into(&mut manifest.says);
        check_words(&manifest.platform, &manifest.says)?;
        for (at, line) in lines {
            let entry = line.strip_suffix('\n').and_then(entry).ok_or_else(|| format!("line {at} is no entry"))?;
            let after = manifest.entries.last_key_value().is_none_or(|(last, _)| *last < entry.0);
            if !after {
                return Err(format!("line {at} is not in order"));
            }
            if manifest.entries.len() == ENTRIES {
                return Err(format!("it has more than {ENTRIES} entries"));
            }
            manifest.entries.insert(entry.0, entry.1);
        }
        // Whatever the parts above let pass: what is not as it would be written is not read.
        let canonical = manifest.text();
        if canonical != text {
            let alike = canonical.lines().zip(text.lines()).take_while(|(ours, theirs)| ours == theirs).count();
            return Err(format!("line {} has another spelling", alike + 1));
        }
        Ok(manifest)
    }
}

/// Whether platform and words can stand in a manifest.
///
/// # Errors
/// In words.
pub fn check_words(platform: &str, says: &str) -> Result<(), String> {
    let named = !platform.is_empty()
        && platform.len() <= 64
        && platform.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !named {
        return Err("a platform has a name of lower-case letters, digits and hyphens".to_owned());
    }
    if says.len() > SAYS || says.chars().any(char::is_control) || says.trim() != says {
        return Err(format!("what is said of a release is one line of at most {SAYS} bytes"));
    }
    Ok(())
}

fn entry(line: &str) -> Option<(Box<[u8]>, Entry)> {
    let mut words = line.split(' ');
    let what = match words.next()? {
        "file" => What::File,
        "link" => What::Link,
        "dir" => What::Directory,
        _ => return None,
    };
    let mode = if what == What::Link { 0 } else { words.next().and_then(octal)? };
    let (size, sha256) = match what {
        What::File | What::Link => (words.next().and_then(|size| size.parse().ok())?, words.next().and_then(digest)?),
        What::Directory | What::Other => (0, [0; 32]),
    };
    let path = words.next().and_then(unescape)?;
    words.next().is_none().then_some((path, Entry { what, mode, size, sha256 }))
}

fn octal(text: &str) -> Option<u16> {
    u16::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)
}

/// The bytes of 64 hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Bytes in hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A path in printable ASCII: everything else, and `%`, as `%2F` has it.
#[must_use]
pub fn escape(path: &[u8]) -> String {
    path.iter().fold(String::with_capacity(path.len()), |mut text, &byte| {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// The path that [`escape`] wrote, where it leads down and nowhere else.
fn unescape(text: &str) -> Option<Box<[u8]>> {
    let mut path = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        path.push(if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    let down = path.split(|byte| *byte == b'/').all(|part| !part.is_empty() && part != b"." && part != b"..");
    (down && path.len() <= PATH && !path.contains(&0)).then(|| path.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(size: u64) -> Entry {
        Entry { what: What::File, mode: 0o644, size, sha256: [u8::try_from(size % 251).unwrap(); 32] }
    }

    fn sample() -> Manifest {
        let entries = [
            (&b"assets"[..], Entry { what: What::Directory, mode: 0o755, size: 0, sha256: [0; 32] }),
            (b"assets/app.js", file(12)),
            (b"a name\nof two lines \xff%", file(3)),
            (b"current", Entry { what: What::Link, mode: 0, size: 6, sha256: [9; 32] }),
        ];
        Manifest {
            platform: "public".to_owned(),
            made: 1_795_388_400,
            says: "Release 4.2".to_owned(),
            entries: entries.into_iter().map(|(path, entry)| (path.into(), entry)).collect(),
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_is_written() {
        let text = sample().text();
        assert_eq!(Manifest::parse(&text).as_ref(), Ok(&sample()), "{text}");
        assert!(text.contains("\nfile 0644 3 ") && text.contains(" a%20name%0Aof%20two%20lines%20%FF%25\n"), "{text}");
        let silent = Manifest { says: String::new(), ..sample() };
        assert_eq!(Manifest::parse(&silent.text()), Ok(silent));
    }

    #[test]
    fn what_has_another_spelling_is_refused() {
        let text = sample().text();
        let table = [
            ("manifest v1", "manifest v2"),
            ("platform public", "platform Public"),
            ("made 1795388400", "made 01795388400"),
            ("says Release 4.2", "says  Release 4.2"),
            ("says Release 4.2", "says "),
            ("file 0644 12", "file 644 12"),
            ("file 0644 12", "file 0644 +12"),
            ("dir 0755 assets\n", "dir 0755 assets \n"),
            ("assets/app.js", "assets/../app.js"),
            ("assets/app.js", "/assets/app.js"),
            ("assets/app.js", "assets//app.js"),
            ("assets/app.js", "assets/%61pp.js"),
            ("%0A", "%0a"),
            ("0c0c", "0C0C"),
            ("link 6 ", "link 0777 6 "),
            ("\ndir 0755 assets", "\ndir 0755 zebra"),
        ];
        for (from, to) in table {
            let wrong = text.replacen(from, to, 1);
            assert_ne!(wrong, text, "{from} is there");
            assert!(Manifest::parse(&wrong).is_err(), "{to:?} is refused");
        }
        assert!(Manifest::parse(text.trim_end()).is_err(), "cut off");
        assert!(Manifest::parse("").is_err() && Manifest::parse("portcullis manifest v1\n").is_err());
    }

    proptest! {
        #[test]
        fn any_manifest_is_read_as_it_is_written(
            says in "([a-z]( ?[a-z]){0,9})?",
            made in any::<u64>(),
            entries in prop::collection::btree_map("[a-z%\\x00-\\x20é]{1,9}(/[a-z ]{1,5}){0,2}", (0..3, 0..=0o7777_u16, any::<u64>(), any::<[u8; 32]>()), 0..6),
        ) {
            let entry = |(what, mode, size, sha256): (i32, u16, u64, [u8; 32])| match what {
                0 => Entry { what: What::File, mode, size, sha256 },
                1 => Entry { what: What::Link, mode: 0, size, sha256 },
                _ => Entry { what: What::Directory, mode, size: 0, sha256: [0; 32] },
            };
            let entries = entries.into_iter().filter(|(path, _)| !path.contains('\0'));
            let entries = entries.map(|(path, of)| (path.into_bytes().into(), entry(of))).collect();
            let manifest = Manifest { platform: "a-1".to_owned(), made, says, entries };
            prop_assert_eq!(Manifest::parse(&manifest.text()), Ok(manifest));
        }

        #[test]
        fn any_path_that_leads_down_comes_back(path in prop::collection::vec(any::<u8>(), 1..40)) {
            let back = unescape(&escape(&path));
            let down = path.split(|b| *b == b'/').all(|part| !part.is_empty() && part != b"." && part != b"..") && !path.contains(&0);
            prop_assert_eq!(back.as_deref(), down.then_some(&path[..]));
        }
    }
}
