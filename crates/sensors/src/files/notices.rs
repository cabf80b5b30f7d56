//! What fanotify writes (fanotify(7)), as values: bytes in, notices out.
//!
//! The kernel writes them, yet names are whatever somebody called a file; what cannot be read is passed over.

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened, as the kernel's bits.
    pub mask: u64,
    /// Who did it; 0 where that is not told.
    pub process: i32,
    /// The directory that it happened in: type and bytes of its handle.
    pub handle: Vec<u8>,
    /// The name in that directory; empty or `.` for itself.
    pub name: Vec<u8>,
}

/// `struct fanotify_event_metadata`.
const METADATA: usize = 24;
/// `FAN_EVENT_INFO_TYPE_DFID_NAME`, `FAN_EVENT_INFO_TYPE_DFID`.
const DIRECTORY: [u8; 2] = [2, 3];

/// Every event that `bytes` hold whole.
pub fn parse(mut bytes: &[u8]) -> impl Iterator<Item = Notice> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(bytes.first_chunk().copied()?)).ok()?;
        let head = u16::from_ne_bytes(bytes.get(6..8)?.try_into().ok()?);
        let event = bytes.get(..length.max(METADATA))?;
        bytes = bytes.get(length.max(METADATA)..)?;
        let mut notice = Notice {
            mask: u64::from_ne_bytes(event.get(8..16)?.try_into().ok()?),
            process: i32::from_ne_bytes(event.get(20..24)?.try_into().ok()?),
            handle: Vec::new(),
            name: Vec::new(),
        };
        let mut records = event.get(usize::from(head).max(METADATA)..).unwrap_or_default();
        while let Some((record, rest)) = split(records) {
            if record.first().is_some_and(|kind| DIRECTORY.contains(kind))
                && let Some((handle, name)) = directory(record)
            {
                (notice.handle, notice.name) = (handle, name);
            }
            records = rest;
        }
        Some(notice)
    })
}

/// `struct fanotify_event_info_header`, then what it says.
fn split(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_ne_bytes(records.get(2..4)?.try_into().ok()?));
    if length < 4 { None } else { records.split_at_checked(length) }
}

/// The file system's identifier, `struct file_handle`, a name that ends in 0.
fn directory(record: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let count = usize::try_from(u32::from_ne_bytes(record.get(12..16)?.try_into().ok()?)).ok()?;
    // Type and bytes lie beside one another.
    let handle = record.get(16..20_usize.checked_add(count)?)?;
    let name = record.get(16 + handle.len()..)?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    Some((handle.to_vec(), name.get(..end)?.to_vec()))
}

/// The handle in a line of `/proc/PID/fdinfo/FD`: `… fhandle-bytes:8 fhandle-type:1 f_handle:5e0d00006e5d1b2f`.
#[must_use]
pub fn handle(page: &str) -> Option<Vec<u8>> {
    let line = page.lines().find(|line| line.starts_with("fanotify ino:"))?;
    let value = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name));
    let kind = i32::from_str_radix(value("fhandle-type:")?, 16).ok()?;
    let digits = value("f_handle:")?;
    let count = usize::from_str_radix(value("fhandle-bytes:")?, 16).ok()?;
    if count.checked_mul(2)? != digits.len() {
        return None;
    }
    let mut bytes = kind.to_ne_bytes().to_vec();
    for pair in digits.as_bytes().chunks(2) {
        bytes.push(u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(mask: u64, process: i32, records: &[u8]) -> Vec<u8> {
        let length = u32::try_from(METADATA + records.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend([3, 0]);
        bytes.extend(24_u16.to_ne_bytes());
        bytes.extend(mask.to_ne_bytes());
        bytes.extend((-1_i32).to_ne_bytes());
        bytes.extend(process.to_ne_bytes());
        bytes.extend(records);
        bytes
    }

    fn record(kind: u8, handle: &[u8], name: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + 8 + 8 + handle.len() + name.len() + 1).unwrap();
        let mut bytes = vec![kind, 0];
        bytes.extend(length.to_ne_bytes());
        bytes.extend([7; 8]);
        bytes.extend(u32::try_from(handle.len()).unwrap().to_ne_bytes());
        bytes.extend(1_i32.to_ne_bytes());
        bytes.extend(handle);
        bytes.extend(name);
        bytes.push(0);
        bytes
    }

    #[test]
    fn events_are_read_one_after_the_other() {
        let two = [
            event(0x100, 42, &record(2, b"handle!!", b"app.js")),
            event(0x4000, 0, &[]),
            event(0x2, 0, &[record(1, b"filefile", b""), record(2, b"dir2", b"x")].concat()),
        ];
        let read: Vec<Notice> = parse(&two.concat()).collect();
        let handle = |bytes: &[u8]| [&1_i32.to_ne_bytes()[..], bytes].concat();
        let expected = [
            Notice { mask: 0x100, process: 42, handle: handle(b"handle!!"), name: b"app.js".to_vec() },
            Notice { mask: 0x4000, process: 0, handle: Vec::new(), name: Vec::new() },
            Notice { mask: 0x2, process: 0, handle: handle(b"dir2"), name: b"x".to_vec() },
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_handle_is_read_from_the_kernels_page() {
        let page = "pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t9\nfanotify flags:c00 event-flags:0\n\
                    fanotify ino:51a sdev:800013 mflags:0 mask:100 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:1a05000001020304\n";
        let expected = [&1_i32.to_ne_bytes()[..], &[0x1a, 5, 0, 0, 1, 2, 3, 4]].concat();
        assert_eq!(handle(page), Some(expected));
        assert_eq!(handle(&page.replace("bytes:8", "bytes:9")), None);
        assert_eq!(handle("fanotify flags:0"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..200), short in 0_u32..64) {
            let mut bytes = bytes;
            bytes.splice(0..0, short.to_ne_bytes());
            prop_assert!(parse(&bytes).count() <= bytes.len() / METADATA);
        }
    }
}
