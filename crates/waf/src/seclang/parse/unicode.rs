//! `SecUnicodeMapFile`: code points that an application of some code page takes for ASCII.

use super::super::ast::UnicodeMap;

/// The map of one code page; none where the file has none or cannot be read.
///
/// The file is a list of code pages: a line that begins with the page's number, then `from:to` in hexadecimal between blanks,
/// on as many lines as it likes, up to an empty one or the next page.
pub(super) fn map(file: &[u8], page: &str) -> Option<UnicodeMap> {
    let text = String::from_utf8_lossy(file);
    let mut lines = text.lines().skip_while(|line| line.split_whitespace().next() != Some(page));
    lines.next()?;
    let mut map = Vec::new();
    for line in lines.take_while(|line| line.split_whitespace().next().is_some_and(|word| word.contains(':'))) {
        for pair in line.split_whitespace() {
            let (from, to) = pair.split_once(':')?;
            map.push((u32::from_str_radix(from, 16).ok()?, u8::from_str_radix(to, 16).ok()?));
        }
    }
    map.sort_unstable();
    map.dedup_by_key(|(from, _)| *from);
    (!map.is_empty()).then_some(UnicodeMap(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_of_a_page_is_read_and_no_other() {
        let file = b"(MAC)\n\n\n874 (Thai)\n00a7:15 2190:1b \n\n20127 (US-ASCII)\n00c0:41\n00a1:21\nff41:61\n932 (x)\n0001:02\n";
        let map = |page: &str| map(file, page).map(|map| map.0);
        assert_eq!(map("20127"), Some(vec![(0xa1, 0x21), (0xc0, 0x41), (0xff41, 0x61)]));
        assert_eq!(map("874"), Some(vec![(0xa7, 0x15), (0x2190, 0x1b)]));
        assert_eq!(map("1252"), None);
        assert_eq!(super::map(b"1252\n00zz:15\n", "1252"), None, "what cannot be read is not half read");
    }
}
