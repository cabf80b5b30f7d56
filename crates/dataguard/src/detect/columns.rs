//! Columns of a table by the names in its first line (RFC 4180, and its kin with semicolons and tabs).
//!
//! It never holds more than the first line and one cell, and of neither more than is looked at.

/// A first line that is longer names nothing.
const HEADER: usize = 8 << 10;
/// Longest value of a cell that is counted.
const CELL: usize = 120;
const SEPARATORS: &[u8] = b",;\t|";

/// A table that is read as it comes.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// The first line, until it is over.
    header: Vec<u8>,
    /// Columns that are looked for, ascending, with the number of their field. None while the first line is under way.
    known: Option<Vec<(usize, usize)>>,
    separator: u8,
    /// The column that is under way.
    column: usize,
    cell: Vec<u8>,
    /// Behind the last byte of it that is no space.
    end: u64,
    quoted: bool,
}

impl Columns {
    /// More of the table, which stands at `base` in its document. Each value of a column that has the name of a field is told
    /// with the field's number and where it ends.
    pub(super) fn push(&mut self, fields: &[String], bytes: &[u8], base: u64, tell: &mut dyn FnMut(usize, &[u8], u64)) {
        let mut rest = bytes;
        if self.known.is_none() {
            let line = rest.iter().position(|byte| *byte == b'\n');
            let (first, after) = rest.split_at(line.map_or(rest.len(), |at| at + 1));
            self.header.extend_from_slice(first.get(..HEADER.saturating_sub(self.header.len())).unwrap_or(first));
            rest = after;
            if line.is_none() && self.header.len() < HEADER {
                return;
            }
            self.read_header(fields);
        }
        let Some(known) = self.known.take_if(|known| !known.is_empty()) else { return };
        let from = base + (bytes.len() - rest.len()) as u64;
        for (at, byte) in (from..).zip(rest) {
            match *byte {
                b'"' => self.quoted = !self.quoted,
                byte if !self.quoted && (byte == self.separator || byte == b'\n') => {
                    self.over(&known, tell);
                    self.column = if byte == b'\n' { 0 } else { self.column + 1 };
                }
                byte => {
                    if self.cell.len() < CELL && known.iter().any(|(column, _)| *column == self.column) {
                        self.cell.push(byte);
                        if !byte.is_ascii_whitespace() {
                            self.end = at + 1;
                        }
                    }
                }
            }
        }
        self.known = Some(known);
    }

    /// The table is over.
    pub(super) fn finish(&mut self, tell: &mut dyn FnMut(usize, &[u8], u64)) {
        if let Some(known) = self.known.take() {
            self.over(&known, tell);
        }
    }

    /// A cell is over.
    fn over(&mut self, known: &[(usize, usize)], tell: &mut dyn FnMut(usize, &[u8], u64)) {
        let value = self.cell.trim_ascii();
        if !value.is_empty()
            && let Some((_, field)) = known.iter().find(|(column, _)| *column == self.column)
        {
            tell(*field, value, self.end);
        }
        self.cell.clear();
    }

    fn read_header(&mut self, fields: &[String]) {
        let header = std::mem::take(&mut self.header);
        let line = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&header);
        let often = |separator: &&u8| line.iter().filter(|byte| *byte == *separator).count();
        self.separator = SEPARATORS.iter().max_by_key(often).copied().unwrap_or(b',');
        let names = line.split(|byte| *byte == self.separator).map(|name| {
            let name = name.trim_ascii();
            name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name)
        });
        let field = |name: &[u8]| fields.iter().position(|field| name.eq_ignore_ascii_case(field.as_bytes()));
        self.known = Some(names.enumerate().filter_map(|(column, name)| Some((column, field(name)?))).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, size: usize) -> Vec<(usize, String)> {
        let fields = ["member_id".to_owned(), "Konto".to_owned()];
        let (mut columns, mut values, mut at) = (Columns::default(), Vec::new(), 0);
        let mut tell = |field: usize, value: &[u8], end: u64| {
            let end = usize::try_from(end).expect("short");
            assert_eq!(&text.as_bytes()[end - value.len()..end], value);
            values.push((field, String::from_utf8_lossy(value).into_owned()));
        };
        for piece in text.as_bytes().chunks(size) {
            columns.push(&fields, piece, at, &mut tell);
            at += piece.len() as u64;
        }
        columns.finish(&mut tell);
        values
    }

    #[test]
    fn cells_are_known_by_the_name_of_their_column() {
        let table: [(&str, &[(usize, &str)]); 6] = [
            ("name,member_id\nA,12\r\nB,\"13\"\nC,\n\"D,E\",14", &[(0, "12"), (0, "13"), (0, "14")]),
            ("\u{feff}\"Member_ID\";\"konto\"\n1;a b\n2;\n", &[(0, "1"), (1, "a b"), (0, "2")]),
            ("member_id\n7\n8\n", &[(0, "7"), (0, "8")]),
            ("a\tmember_id\n\"x\ny\t\"\t9\n", &[(0, "9")]),
            ("name,id\nmember_id,1\n", &[]),
            ("<html>, nothing of a table\nmember_id,2\n", &[]),
        ];
        for (text, expected) in table {
            let expected: Vec<(usize, String)> =
                expected.iter().map(|(at, value)| (*at, (*value).to_owned())).collect();
            for size in [1, 3, 1000] {
                assert_eq!(values(text, size), expected, "{text}, {size}");
            }
        }
    }

    #[test]
    fn what_is_endless_is_not_held() {
        let mut columns = Columns::default();
        let fields = ["member_id".to_owned()];
        for _ in 0..100 {
            columns.push(&fields, &[b'x'; 1000], 0, &mut |_, _, _| panic!("nothing"));
        }
        assert!(columns.header.capacity() <= HEADER * 2 && columns.cell.is_empty());
        let mut columns = Columns::default();
        columns.push(&fields, b"member_id,b\n", 0, &mut |_, _, _| panic!("nothing"));
        (0..100).for_each(|_| columns.push(&fields, &[b'x'; 1000], 0, &mut |_, _, _| panic!("nothing")));
        assert_eq!(columns.cell.len(), CELL);
    }
}
