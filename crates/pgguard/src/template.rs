//! Texts that differ in constants which no description depends on, made alike: so that an application which writes its values
//! into its statements does not have each of them parsed.
//!
//! It errs towards telling texts apart: what is not certain to be a plain constant in a place where constants say nothing stays as it
//! is. That two texts made alike are described alike is tested against the parser itself (`crates/grammar/tests`).

/// Longest text that is looked at; longer ones stand for themselves.
const LOOKED_AT: usize = 8 * 1024;

/// Writes the text to `out` with such constants as `\0` (a number) or `\x01` (a string), or as it is.
///
/// Replaced are constants after a name and `=`, after `= name +` or `= name -`, and in the rows of `VALUES`, in a single plain `SELECT`,
/// `INSERT`, `UPDATE` or `DELETE`: without comments, dollar quotes, escapes and prefixes of strings.
pub fn write(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    if text.len() > LOOKED_AT || !begins_plainly(text) || Scan::new(text, out).run().is_none() {
        out.clear();
        out.extend_from_slice(text);
    }
}

/// What stood before, as far as it decides whether a constant may go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// `=`, or `+`/`-` in `= name + 5`: a constant here says nothing.
    Free,
    /// A name directly after `=`.
    NameOfFree,
    /// `(` or `,` of a row of `VALUES`.
    Row,
    /// A name that may be a column.
    Name,
    /// Anything else.
    Other,
}

struct Scan<'a> {
    text: &'a [u8],
    out: &'a mut Vec<u8>,
    at: usize,
    before: Before,
    depth: u32,
    /// The depth of the rows of `VALUES` that we are in; `None` outside.
    rows: Option<u32>,
}

impl<'a> Scan<'a> {
    fn new(text: &'a [u8], out: &'a mut Vec<u8>) -> Self {
        Self { text, out, at: 0, before: Before::Other, depth: 0, rows: None }
    }

    /// `None` where something is not plain.
    fn run(mut self) -> Option<()> {
        while let Some(byte) = self.peek(0) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.copy(1),
                b'\'' => self.string()?,
                b'0'..=b'9' => self.number()?,
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(),
                b'"' => self.quoted()?,
                b'(' => {
                    self.depth += 1;
                    let row = self.rows == Some(self.depth);
                    self.copy(1);
                    self.before = if row { Before::Row } else { Before::Other };
                }
                b')' => {
                    self.depth = self.depth.checked_sub(1)?;
                    if self.rows.is_some_and(|rows| self.depth + 1 < rows) {
                        self.rows = None;
                    }
                    self.copy(1);
                    self.before = Before::Other;
                }
                b',' => {
                    let row = self.rows == Some(self.depth);
                    self.copy(1);
                    self.before = if row { Before::Row } else { Before::Other };
                }
                b';' if self.text.get(self.at + 1..)?.iter().all(u8::is_ascii_whitespace) => self.copy(1),
                b'.' => {
                    self.copy(1);
                    self.before = Before::Other;
                }
                // A parameter; a dollar quote is not plain.
                b'$' if self.peek(1).is_some_and(|next| next.is_ascii_digit()) => {
                    self.copy(2);
                    while self.peek(0).is_some_and(|next| next.is_ascii_digit()) {
                        self.copy(1);
                    }
                    if self.peek(0).is_some_and(|next| continues_a_word(next) || next == b'$') {
                        return None;
                    }
                    self.before = Before::Other;
                }
                byte if is_operator(byte) => self.operator()?,
                b'[' | b']' => {
                    self.copy(1);
                    self.before = Before::Other;
                }
                _ => return None,
            }
        }
        Some(())
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn copy(&mut self, count: usize) {
        self.out.extend_from_slice(self.text.get(self.at..self.at + count).unwrap_or_default());
        self.at += count;
    }

    fn free(&self) -> bool {
        matches!(self.before, Before::Free | Before::Row)
    }

    fn string(&mut self) -> Option<()> {
        // `E'…'`, `B'…'`: the prefix is a word that ends here.
        let prefixed =
            self.at.checked_sub(1).and_then(|at| self.text.get(at)).is_some_and(|byte| continues_a_word(*byte));
        if prefixed || self.at > 0 && self.text.get(self.at - 1) == Some(&b'&') {
            return None;
        }
        let start = self.at;
        let mut end = start + 1;
        loop {
            match self.text.get(end)? {
                b'\'' if self.text.get(end + 1) == Some(&b'\'') => end += 2,
                b'\'' => break,
                b'\\' | 0 => return None,
                _ => end += 1,
            }
        }
        end += 1;
        // Strings on two lines are one string: what follows must not be another.
        let follows = self.text.get(end..)?.iter().find(|byte| !byte.is_ascii_whitespace());
        if follows == Some(&b'\'') {
            return None;
        }
        self.constant(end, 1);
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let digits = self.text.get(self.at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let end = self.at + digits;
        if self.text.get(end).is_some_and(|next| continues_a_word(*next) || matches!(next, b'.' | b'$')) {
            return None;
        }
        self.constant(end, 0);
        Some(())
    }

    fn constant(&mut self, end: usize, mark: u8) {
        if self.free() {
            self.out.push(mark);
            self.at = end;
        } else {
            self.copy(end - self.at);
        }
        self.before = Before::Other;
    }

    fn word(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| continues_a_word(**byte)).count();
        let word = rest.get(..length).unwrap_or_default();
        if word.eq_ignore_ascii_case(b"values") {
            self.rows = Some(self.depth + 1);
        } else if self.rows == Some(self.depth + 1) {
            // A word between rows: the rows are over.
            self.rows = None;
        }
        let constant = [&b"true"[..], b"false", b"null"].iter().any(|known| word.eq_ignore_ascii_case(known));
        self.before = match self.before {
            _ if constant => Before::Other,
            Before::Free => Before::NameOfFree,
            _ => Before::Name,
        };
        self.copy(length);
    }

    fn quoted(&mut self) -> Option<()> {
        if self.at > 0 && self.text.get(self.at - 1) == Some(&b'&') {
            return None;
        }
        let rest = self.text.get(self.at + 1..)?;
        let length = rest.iter().position(|byte| *byte == b'"')?;
        if rest.get(..length)?.iter().any(|byte| matches!(byte, b'\\' | 0)) {
            return None;
        }
        self.before = if self.before == Before::Free { Before::NameOfFree } else { Before::Name };
        self.copy(length + 2);
        Some(())
    }

    /// A run of operator characters. Comments are not plain.
    fn operator(&mut self) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        let length = rest.iter().take_while(|byte| is_operator(**byte)).count();
        let run = rest.get(..length)?;
        if run.windows(2).any(|pair| pair == b"--" || pair == b"/*") {
            return None;
        }
        self.before = match (run, self.before) {
            // After anything but a name there may be a constant on both sides, and then both say something.
            (b"=", Before::Name | Before::NameOfFree) => Before::Free,
            (b"+" | b"-", Before::NameOfFree) => Before::Free,
            // `= -5`: the sign belongs to the constant.
            (b"-", Before::Free) => Before::Free,
            _ => Before::Other,
        };
        self.copy(length);
        Some(())
    }
}

fn begins_plainly(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let word = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = text.get(..word).unwrap_or_default();
    [&b"select"[..], b"insert", b"update", b"delete"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

const fn continues_a_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

const fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'+' | b'-'
            | b'*'
            | b'/'
            | b'<'
            | b'>'
            | b'='
            | b'~'
            | b'!'
            | b'@'
            | b'#'
            | b'%'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
            | b':'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> String {
        let mut out = Vec::new();
        write(text.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).replace('\0', "N").replace('\x01', "S")
    }

    #[test]
    fn constants_that_say_nothing_are_gone() {
        let table = [
            ("SELECT a FROM t WHERE id = 5", "SELECT a FROM t WHERE id = N"),
            ("select a from t where b='it''s'", "select a from t where b=S"),
            (
                "UPDATE accounts SET balance = balance + -3043 WHERE aid = 12;",
                "UPDATE accounts SET balance = balance + -N WHERE aid = N;",
            ),
            (
                "INSERT INTO h (a, b) VALUES (1, 'x', now()), (2, 'é', f(3, 'k'))",
                "INSERT INTO h (a, b) VALUES (N, S, now()), (N, S, f(3, 'k'))",
            ),
            ("SELECT a FROM t WHERE x = -5", "SELECT a FROM t WHERE x = -N"),
        ];
        for (text, expected) in table {
            assert_eq!(template(text), expected);
        }
    }

    #[test]
    fn constants_that_may_say_something_stay() {
        for text in [
            "SELECT a FROM t LIMIT 20",
            "SELECT a FROM t WHERE id > 5",
            "SELECT a FROM t WHERE name LIKE 'a%'",
            "SELECT a FROM t WHERE id IN (1, 2, 3)",
            "SELECT a FROM t WHERE id BETWEEN 1 AND 5",
            "SELECT set_config('search_path', 'x', false)",
            "SELECT query_to_xml(query := 'select 1')",
            "SELECT query_to_xml(query => 'select 1')",
            "SELECT data->>'email' FROM t",
            "SELECT a FROM t WHERE b >= 5 AND c <> 5 AND d != 6",
            "SELECT a FROM t WHERE b = E'x'",
            "SELECT a FROM t WHERE b = 1e5",
            "SELECT a FROM t WHERE b = 0x1F",
            "SELECT a FROM t WHERE b = 'a\\' OR c = 5",
            "SELECT a FROM t WHERE b = $$x$$",
            "SELECT a FROM t WHERE b = 5 -- x",
            "SELECT a FROM t WHERE b = 5 /* x */",
            "SELECT a FROM t WHERE b = 'a'\n'b'",
            "SELECT 1; SET search_path = 'x'",
            "SET search_path = 'x'",
            "EXECUTE p(1)",
            "SELECT a FROM t WHERE b = 'open",
            "SELECT U&\"a\" FROM t WHERE b = 5",
            "SELECT a FROM t WHERE b = ANY('{1,2}')",
            "SELECT a FROM t LIMIT - 5",
            "SELECT a FROM t WHERE 1 = 0",
            "SELECT a FROM t WHERE (1) = 0 OR true = 1 OR 'a' = 'b'",
        ] {
            assert_eq!(template(text), text);
        }
    }
}
