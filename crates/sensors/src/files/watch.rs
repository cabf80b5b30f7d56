//! What the kernel tells of changes below directories: fanotify where it can be had, else inotify, else nothing.
//!
//! It says only where to look. A write through a mapping, a change through another name of the same file (a hard link from
//! outside), and what happens on another host of a network file system are told by neither.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::time::Duration;

use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;

use super::notices::{self, Notice};

/// Directories that are watched.
const DIRECTORIES: usize = 100_000;
/// What one read may bring.
const BUFFER: usize = 64 << 10;

/// The kernel's word about directories.
pub(crate) enum Watch {
    Fanotify {
        group: Fanotify,
        handles: HashMap<Vec<u8>, Vec<Box<[u8]>>>,
        count: usize,
    },
    Inotify {
        fd: rustix::fd::OwnedFd,
        paths: HashMap<i32, Box<[u8]>>,
    },
    /// Neither can be had, for this reason: the sweep alone finds what changes.
    Nothing(String),
}

/// Something happened here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Noticed {
    /// The path from the root.
    pub(crate) path: Box<[u8]>,
    /// A directory came here: what is in it was not watched when it came.
    pub(crate) directory: bool,
    /// The process that did it, where the kernel says.
    pub(crate) process: Option<i32>,
}

/// What a look at the queue came to.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) noticed: Vec<Noticed>,
    /// The queue was full: more happened than is known.
    pub(crate) overflow: bool,
}

impl Watch {
    /// Asks for fanotify, then for inotify. `trial` is a directory that will be watched: some file systems know no handles.
    pub(crate) fn new(trial: BorrowedFd<'_>) -> Self {
        let handles = handle_of(trial);
        match (group(), handles) {
            (Ok(group), Ok(_)) => Self::Fanotify { group, handles: HashMap::new(), count: 0 },
            _ => Self::without_handles(),
        }
    }

    /// By inotify, which knows no handles and tells no process.
    fn without_handles() -> Self {
        match inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK) {
            Ok(fd) => Self::Inotify { fd, paths: HashMap::new() },
            Err(error) => Self::Nothing(error.to_string()),
        }
    }

    /// For people.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Fanotify { .. } => "told by fanotify".to_owned(),
            Self::Inotify { .. } => "told by inotify".to_owned(),
            Self::Nothing(why) => format!("told by nobody ({why})"),
        }
    }

    /// Watches the directory at `path`, which `directory` is. What was watched already stays.
    pub(crate) fn add(&mut self, directory: BorrowedFd<'_>, path: &[u8]) -> io::Result<()> {
        match self {
            Self::Fanotify { group, handles, count } => {
                let handle = handle_of(directory)?;
                let paths = handles.entry(handle).or_default();
                if !paths.iter().any(|known| **known == *path) {
                    if *count >= DIRECTORIES {
                        return Err(io::Error::other("more directories than are watched"));
                    }
                    *count += 1;
                    paths.push(path.into());
                }
                let mark = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_ONLYDIR;
                group.mark(mark, mask(), directory, Some(".")).map_err(io::Error::from)
            }
            Self::Inotify { fd, paths } => {
                if paths.len() >= DIRECTORIES {
                    return Err(io::Error::other("more directories than are watched"));
                }
                // The descriptor's own name leads to the directory that is held, whatever stands at its path by now.
                let place = format!("/proc/self/fd/{}", directory.as_raw_fd());
                let number = inotify::add_watch(fd, &*place, inotify_flags())?;
                paths.insert(number, path.into());
                Ok(())
            }
            Self::Nothing(_) => Ok(()),
        }
    }

    /// Waits until something happened, at most so long.
    pub(crate) fn wait(&self, most: Duration) {
        let fd = match self {
            Self::Fanotify { group, .. } => group.as_fd(),
            Self::Inotify { fd, .. } => fd.as_fd(),
            Self::Nothing(_) => return std::thread::sleep(most),
        };
        let most = Timespec { tv_sec: 0, tv_nsec: i64::from(most.min(Duration::from_millis(999)).subsec_nanos()) };
        // Whatever it says, the queue is looked at next.
        let _ = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&most));
    }

    /// What happened since the last look, without waiting.
    pub(crate) fn hear(&mut self) -> io::Result<Heard> {
        let mut heard = Heard::default();
        match self {
            Self::Fanotify { group, handles, .. } => {
                let mut buffer = vec![0; BUFFER];
                let count = match rustix::io::read(group.as_fd(), &mut buffer) {
                    Err(Errno::AGAIN | Errno::INTR) => return Ok(heard),
                    count => count?,
                };
                for notice in notices::parse(buffer.get(..count).unwrap_or_default()) {
                    let Notice { mask, process, handle, name } = notice;
                    if mask & MaskFlags::FAN_Q_OVERFLOW.bits() != 0 {
                        heard.overflow = true;
                        continue;
                    }
                    let came = MaskFlags::FAN_CREATE.bits() | MaskFlags::FAN_MOVED_TO.bits();
                    let directory = mask & MaskFlags::FAN_ONDIR.bits() != 0 && mask & came != 0;
                    let process = (process > 0).then_some(process);
                    for parent in handles.get(&handle).into_iter().flatten() {
                        heard.noticed.push(Noticed { path: join(parent, &name), directory, process });
                    }
                }
            }
            Self::Inotify { fd, paths } => {
                let mut buffer = [const { MaybeUninit::uninit() }; BUFFER];
                let mut reader = inotify::Reader::new(&*fd, &mut buffer);
                loop {
                    let event = match reader.next() {
                        Err(Errno::AGAIN | Errno::INTR) => break,
                        event => event?,
                    };
                    let flags = event.events();
                    if flags.contains(inotify::ReadFlags::QUEUE_OVERFLOW) {
                        heard.overflow = true;
                    }
                    let Some(parent) = paths.get(&event.wd()) else { continue };
                    let came = flags.intersects(inotify::ReadFlags::CREATE | inotify::ReadFlags::MOVED_TO);
                    let directory = flags.contains(inotify::ReadFlags::ISDIR) && came;
                    let name = event.file_name().map(|name| name.to_bytes().to_vec()).unwrap_or_default();
                    heard.noticed.push(Noticed { path: join(parent, &name), directory, process: None });
                    if flags.contains(inotify::ReadFlags::IGNORED) {
                        paths.remove(&event.wd());
                    }
                    if reader.is_buffer_empty() && heard.noticed.len() > 4096 {
                        break;
                    }
                }
            }
            Self::Nothing(_) => {}
        }
        Ok(heard)
    }
}

/// Links are followed, so that the name of a descriptor leads to what it holds.
fn inotify_flags() -> inotify::WatchFlags {
    inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::ATTRIB
        | inotify::WatchFlags::CLOSE_WRITE
        | inotify::WatchFlags::MOVED_FROM
        | inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::CREATE
        | inotify::WatchFlags::DELETE
        | inotify::WatchFlags::ONLYDIR
}

fn mask() -> MaskFlags {
    MaskFlags::FAN_MODIFY
        | MaskFlags::FAN_CLOSE_WRITE
        | MaskFlags::FAN_ATTRIB
        | MaskFlags::FAN_CREATE
        | MaskFlags::FAN_DELETE
        | MaskFlags::FAN_MOVED_FROM
        | MaskFlags::FAN_MOVED_TO
        | MaskFlags::FAN_ONDIR
        | MaskFlags::FAN_EVENT_ON_CHILD
}

/// A group that tells directories and names. Without privileges it has fewer marks and tells no process.
fn group() -> io::Result<Fanotify> {
    // FAN_REPORT_DIR_FID | FAN_REPORT_NAME (Linux 5.9), which have no name in the library yet.
    let flags = InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK | InitFlags::from_bits_retain(0x400 | 0x800);
    let read = EventFFlags::O_RDONLY;
    let marks = flags | InitFlags::FAN_UNLIMITED_MARKS;
    Fanotify::init(marks, read).or_else(|_| Fanotify::init(flags, read)).map_err(io::Error::from)
}

/// The handle that the kernel calls a directory by: type and bytes. A mark of a group of its own, which goes at once, has it in
/// the group's page below `/proc` (proc_pid_fdinfo(5)).
fn handle_of(directory: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let group = group()?;
    let mark = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_ONLYDIR;
    group.mark(mark, MaskFlags::FAN_DELETE | MaskFlags::FAN_ONDIR, directory, Some(".")).map_err(io::Error::from)?;
    let page = fs::read_to_string(format!("/proc/self/fdinfo/{}", group.as_fd().as_raw_fd()))?;
    notices::handle(&page).ok_or_else(|| io::Error::other("the file system has no handles"))
}

fn join(parent: &[u8], name: &[u8]) -> Box<[u8]> {
    match (parent, name) {
        (parent, [] | b".") => parent.into(),
        ([], name) => name.into(),
        (parent, name) => [parent, b"/", name].concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;

    /// What is heard within so long, or as soon as `path` is.
    fn heard(watch: &mut Watch, path: &[u8]) -> Vec<Noticed> {
        let mut all = Vec::new();
        for _ in 0..50 {
            watch.wait(Duration::from_millis(100));
            all.extend(watch.hear().expect("the queue can be read").noticed);
            if all.iter().any(|noticed: &Noticed| *noticed.path == *path) {
                break;
            }
        }
        all
    }

    /// Both ways in which the kernel tells, or the one that there is here.
    fn ways(directory: &File) -> Vec<Watch> {
        let mut ways = vec![Watch::without_handles()];
        assert!(matches!(ways[0], Watch::Inotify { .. }), "{}", ways[0].words());
        let best = Watch::new(directory.as_fd());
        if matches!(best, Watch::Fanotify { .. }) {
            ways.push(best);
        }
        ways
    }

    /// What happens, by whom, at which path, and whether it is a directory.
    type Case = (&'static str, fn(&Path), &'static str, bool);

    #[test]
    fn inotify_tells_what_fanotify_tells() {
        let cases: [Case; 9] = [
            ("a file is written", |at| fs::write(at.join("old"), "2").unwrap(), "old", false),
            (
                "a file is added to",
                |at| File::options().append(true).open(at.join("old")).unwrap().write_all(b"+").unwrap(),
                "old",
                false,
            ),
            (
                "its mode",
                |at| fs::set_permissions(at.join("old"), fs::Permissions::from_mode(0o777)).unwrap(),
                "old",
                false,
            ),
            ("a file comes", |at| fs::write(at.join("new"), "").unwrap(), "new", false),
            ("a file goes", |at| fs::remove_file(at.join("old")).unwrap(), "old", false),
            ("a file is renamed", |at| fs::rename(at.join("old"), at.join("other")).unwrap(), "other", false),
            ("a link comes", |at| symlink("/etc/passwd", at.join("link")).unwrap(), "link", false),
            ("another name of a file", |at| fs::hard_link(at.join("old"), at.join("twin")).unwrap(), "twin", false),
            ("a directory comes", |at| fs::create_dir(at.join("deep")).unwrap(), "deep", true),
        ];
        for (name, change, path, is_directory) in cases {
            let place = tempfile::tempdir().expect("a directory");
            for mut watch in ways(&File::open(place.path()).expect("it opens")) {
                let at = place.path().join(watch.words().replace(' ', "-"));
                fs::create_dir(&at).expect("a directory of its own");
                fs::write(at.join("old"), "1").expect("a file");
                let directory = File::open(&at).expect("it opens");
                watch.add(directory.as_fd(), b"below").expect("it is watched");
                assert!(
                    watch.hear().expect("the queue can be read").noticed.is_empty(),
                    "{name}: nothing happened yet"
                );
                change(&at);
                let expected = format!("below/{path}");
                let heard = heard(&mut watch, expected.as_bytes());
                let told = heard.iter().find(|noticed| *noticed.path == *expected.as_bytes());
                let told = told.unwrap_or_else(|| panic!("{name}, {}: {heard:?}", watch.words()));
                assert_eq!(told.directory, is_directory, "{name}, {}", watch.words());
            }
        }
    }

    #[test]
    fn what_is_only_read_is_not_told() {
        let place = tempfile::tempdir().expect("a directory");
        fs::write(place.path().join("old"), "1").expect("a file");
        let directory = File::open(place.path()).expect("it opens");
        for mut watch in ways(&directory) {
            watch.add(directory.as_fd(), b"").expect("it is watched");
            fs::read(place.path().join("old")).expect("it can be read");
            fs::read_dir(place.path()).expect("it can be listed").for_each(drop);
            fs::write(place.path().join("end"), "").expect("a file");
            let heard = heard(&mut watch, b"end");
            assert!(heard.iter().all(|noticed| *noticed.path == *b"end"), "{}: {heard:?}", watch.words());
            fs::remove_file(place.path().join("end")).expect("it goes");
        }
    }

    #[test]
    fn a_queue_of_inotify_that_was_full_is_told() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = File::open(place.path()).expect("it opens");
        let mut watch = Watch::without_handles();
        watch.add(directory.as_fd(), b"").expect("it is watched");
        let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("the kernel says");
        let most: usize = most.trim().parse().expect("a number");
        // Two events each, and no two alike in a row, which the kernel would put together.
        for number in 0..most / 2 + 100 {
            let path = place.path().join(if number % 2 == 0 { "even" } else { "odd" });
            fs::write(&path, "").expect("a file");
            fs::remove_file(&path).expect("it goes");
        }
        let mut overflow = false;
        for _ in 0..200 {
            overflow |= watch.hear().expect("the queue can be read").overflow;
        }
        assert!(overflow);
    }
}
