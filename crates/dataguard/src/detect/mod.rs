//! Personal data, secrets and faults in a stream of text, each found by its form and confirmed by what can be computed of it.
//!
//! It never looks further from a place than [`BEFORE`] and [`AHEAD`], so that what it finds does not depend on how the text is
//! split; and each byte costs the same, whatever stands before it.

mod bank;
mod columns;
mod health;
mod literals;
mod marks;
mod number;
mod secret;
mod telephone;
mod text;

use std::fmt;

use siphasher::sip::SipHasher13;

use self::columns::Columns;
use self::literals::Literals;
use self::marks::Marks;
use crate::canary::{Canaries, CanaryId, Matcher};
use crate::decode::Sink;

/// How far back a detector looks from where it stands.
pub const BEFORE: usize = 128;

/// How far on.
pub const AHEAD: usize = 512;

/// Text that is read is moved out of the window once there is so much of it.
const WINDOW: usize = 64 << 10;

pub use portcullis_types::DataKind as Kind;

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u16);

impl Kinds {
    /// Every kind.
    #[must_use]
    pub fn all() -> Self {
        Kind::ALL.iter().copied().collect()
    }

    /// Whether it is among them.
    #[must_use]
    pub const fn has(self, kind: Kind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |set, kind| set | 1 << kind as u8))
    }
}

/// Something that was found. The value lies in the window and is gone when the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// What it is.
    pub kind: Kind,
    /// In the form in which equal values are equal: without spaces, in one case.
    pub value: &'a [u8],
    /// Where it begins and ends in the text of its document.
    pub at: (u64, u64),
    /// Which one of its kind: the vendor of a key, the program that failed, the name of a field. Empty for the others.
    pub name: &'a str,
}

/// The names that a [`Found`] may have, but for those of fields.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let faults = secret::FAULTS.iter().map(|fault| fault.name);
    secret::SECRETS.iter().map(|secret| secret.name).chain(faults)
}

/// What a scanner tells as it reads.
pub trait Findings {
    /// A value.
    fn found(&mut self, found: &Found<'_>);
    /// A canary, which nobody should ever see.
    fn canary(&mut self, id: CanaryId, at: (u64, u64));
}

/// What is looked for. Shared by all scanners; made anew when the configuration or the canaries change.
pub struct Detector {
    kinds: Kinds,
    literals: Literals,
    needles: Vec<Needle>,
    fields: Vec<String>,
    /// Where there are any.
    canaries: Option<Matcher>,
}

impl fmt::Debug for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Detector of {:?}, {} literals, {:?}", self.kinds, self.literals.len(), self.canaries)
    }
}

/// What a literal means.
#[derive(Debug, Clone, Copy)]
enum Needle {
    Secret(&'static secret::Secret),
    Fault(&'static secret::Fault),
    Field(usize),
    Context,
}

impl Detector {
    /// Of these kinds, fields of records (`member_id`), and canaries.
    #[must_use]
    pub fn new(kinds: Kinds, fields: &[String], canaries: &Canaries) -> Self {
        let mut literals: Vec<Box<[u8]>> = Vec::new();
        let mut needles = Vec::new();
        let mut add = |literal: &[u8], needle: Needle| {
            literals.push(literal.into());
            needles.push(needle);
        };
        if kinds.has(Kind::Secret) {
            for secret in secret::SECRETS {
                secret.prefixes.iter().for_each(|prefix| add(prefix.as_bytes(), Needle::Secret(secret)));
            }
        }
        for fault in secret::FAULTS.iter().filter(|fault| kinds.has(fault.kind)) {
            add(fault.literal.as_bytes(), Needle::Fault(fault));
        }
        for (at, field) in fields.iter().enumerate() {
            add(format!("\"{field}\"").as_bytes(), Needle::Field(at));
            add(format!("<{field}>").as_bytes(), Needle::Field(at));
        }
        if kinds.has(Kind::Nhs) {
            add(b"nhs", Needle::Context);
        }
        let canaries = (!canaries.is_empty()).then(|| Matcher::new(canaries));
        Self { kinds, literals: Literals::new(literals), needles, fields: fields.to_vec(), canaries }
    }

    /// Looks at one value by itself: a column, a header.
    pub fn look(&self, text: &[u8], findings: &mut dyn Findings) {
        let mut scanner = Scanner::default();
        scanner.begin(self, false);
        scanner.window.extend_from_slice(text);
        scanner.run(self, text.len(), findings);
    }

    /// The value of a field that stands in a column of its name.
    fn cell(&self, field: usize, value: &[u8], end: u64, findings: &mut dyn Findings) {
        if let Some(name) = self.fields.get(field) {
            let at = (end.saturating_sub(value.len() as u64), end);
            findings.found(&Found { kind: Kind::Field, value, at, name });
        }
    }

    /// What it looks for.
    #[must_use]
    pub const fn kinds(&self) -> Kinds {
        self.kinds
    }
}

/// Text of one message under the eyes of a [`Detector`].
#[derive(Debug, Default)]
pub struct Scanner {
    window: Vec<u8>,
    /// How much of the window is done.
    done: usize,
    /// Where in its document the window begins.
    base: u64,
    /// Up to where, in the document, digits belong to something that was found.
    taken: u64,
    /// Where a word stood that gives numbers in columns below it a meaning.
    context: Option<u64>,
    /// The message is a table, where a column's meaning stands in its first row.
    rows: bool,
    /// Columns of a table, where fields are looked for by name.
    columns: Option<Box<Columns>>,
}

/// A scanner that tells somebody: what a [`crate::Reader`] pours text into.
pub struct Scan<'a> {
    /// What is looked for.
    pub detector: &'a Detector,
    /// Where it stands.
    pub scanner: &'a mut Scanner,
    /// Who is told.
    pub findings: &'a mut dyn Findings,
}

impl Sink for Scan<'_> {
    fn text(&mut self, bytes: &[u8]) {
        self.scanner.text(self.detector, bytes, self.findings);
    }

    fn end(&mut self) {
        self.scanner.end(self.detector, self.findings);
    }
}

impl Scanner {
    /// Begins with a new message. `rows` where it is a table.
    pub fn begin(&mut self, detector: &Detector, rows: bool) {
        self.window.clear();
        let columns = (rows && !detector.fields.is_empty()).then(Box::default);
        *self = Self { window: std::mem::take(&mut self.window), rows, columns, ..Self::default() };
    }

    /// More text.
    pub fn text(&mut self, detector: &Detector, bytes: &[u8], findings: &mut dyn Findings) {
        for piece in bytes.chunks(WINDOW) {
            self.window.extend_from_slice(piece);
            let to = self.window.len().saturating_sub(AHEAD);
            if to > self.done {
                self.run(detector, to, findings);
            }
            if self.window.len() > WINDOW {
                let keep = self.done.saturating_sub(BEFORE);
                self.window.copy_within(keep.., 0);
                self.window.truncate(self.window.len() - keep);
                self.done -= keep;
                self.base += keep as u64;
            }
        }
    }

    /// The document is over.
    pub fn end(&mut self, detector: &Detector, findings: &mut dyn Findings) {
        self.run(detector, self.window.len(), findings);
        if let Some(columns) = &mut self.columns {
            columns.finish(&mut |field, value, end| detector.cell(field, value, end, findings));
        }
        let rows = self.rows;
        self.begin(detector, rows);
    }

    /// What of the text is not looked at yet, because more must come to tell.
    #[must_use]
    pub fn behind(&self) -> usize {
        self.window.len() - self.done
    }

    /// Looks at what stands in the window from where it is done up to `to`.
    fn run(&mut self, detector: &Detector, to: usize, findings: &mut dyn Findings) {
        let from = std::mem::replace(&mut self.done, to);
        if let Some(canaries) = &detector.canaries {
            let base = self.base;
            canaries.within(&self.window, (from, to), base, &mut |id, start, end| {
                findings.canary(id, (base + start as u64, base + end as u64));
            });
        }
        if let Some(columns) = &mut self.columns {
            let (base, bytes) = (self.base + from as u64, self.window.get(from..to).unwrap_or_default());
            columns.push(&detector.fields, bytes, base, &mut |field, value, end| {
                detector.cell(field, value, end, findings);
            });
        }
        self.literals(detector, from, to, findings);
        self.values(detector, from, to, findings);
    }

    fn literals(&mut self, detector: &Detector, from: usize, to: usize, findings: &mut dyn Findings) {
        let mut context = None;
        detector.literals.find(
            &self.window,
            from,
            to,
            &mut |literal, start, end| match detector.needles.get(literal) {
                Some(Needle::Context) => _ = context.get_or_insert(start),
                Some(needle) => self.met(detector, *needle, start, end, findings),
                None => {}
            },
        );
        if let Some(start) = context {
            self.context.get_or_insert(self.base + start as u64);
        }
    }

    /// A literal stands there: what it belongs to decides.
    fn met(&self, detector: &Detector, needle: Needle, start: usize, end: usize, findings: &mut dyn Findings) {
        let place = |from: usize, to: usize| (self.base + from as u64, self.base + to as u64);
        let found = match needle {
            Needle::Secret(secret) => {
                secret.at(&self.window, start, end).map(|to| (Kind::Secret, start, to, secret.name))
            }
            Needle::Fault(fault) => fault.at(&self.window, start, end).then_some((fault.kind, start, end, fault.name)),
            Needle::Field(at) => secret::field(&self.window, end)
                .zip(detector.fields.get(at))
                .map(|((from, to), name)| (Kind::Field, from, to, name.as_str())),
            Needle::Context => None,
        };
        if let Some((kind, from, to, name)) = found {
            let value = self.window.get(from..to).unwrap_or_default();
            findings.found(&Found { kind, value, at: place(from, to), name });
        }
    }

    /// Values: each has a digit or an `@` in it.
    fn values(&mut self, detector: &Detector, from: usize, to: usize, findings: &mut dyn Findings) {
        let mut plain = Plain::new();
        let mut behind_digit = from.checked_sub(1).and_then(|at| self.window.get(at)).is_some_and(u8::is_ascii_digit);
        let mut at = from;
        while let Some(bytes) = self.window.get(at..to).and_then(<[u8]>::first_chunk::<8>) {
            for mark in Marks::of(*bytes, &mut behind_digit) {
                self.value(detector, at + mark, &mut plain, findings);
            }
            at += 8;
        }
        let mut last = [0; 8];
        last.iter_mut().zip(self.window.get(at..to).unwrap_or_default()).for_each(|(to, from)| *to = *from);
        for mark in Marks::of(last, &mut behind_digit) {
            self.value(detector, at + mark, &mut plain, findings);
        }
    }

    /// At an `@` or the first of some digits: tells the value that begins or hangs there.
    fn value(&mut self, detector: &Detector, at: usize, plain: &mut Plain, findings: &mut dyn Findings) {
        let (window, here) = (&self.window, self.base + at as u64);
        plain.clear();
        let is_mail = window.get(at) == Some(&b'@');
        let value = if is_mail {
            text::email(window, at, plain)
        } else if here < self.taken {
            return;
        } else {
            let tabled = self.rows && self.context.is_some_and(|context| context <= here);
            number::Look { window, at, kinds: detector.kinds, tabled }.value(plain)
        };
        let Some(Value { kind, start, end }) = value else { return };
        if !is_mail {
            self.taken = self.base + end as u64;
        }
        if detector.kinds.has(kind) {
            let at = (self.base + start as u64, self.base + end as u64);
            findings.found(&Found { kind, value: plain.get(), at, name: "" });
        }
    }
}

/// A value that was confirmed, and where it stands.
#[derive(Debug, Clone, Copy)]
struct Value {
    kind: Kind,
    start: usize,
    end: usize,
}

/// A value's plain form. None is longer than an address of e-mail.
#[derive(Debug)]
struct Plain {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl Plain {
    const LONGEST: usize = 128;

    const fn new() -> Self {
        Self { bytes: [0; Self::LONGEST], length: 0 }
    }

    const fn clear(&mut self) {
        self.length = 0;
    }

    fn extend(&mut self, bytes: impl IntoIterator<Item = u8>) {
        bytes.into_iter().for_each(|byte| self.push(byte));
    }

    /// Text in small letters.
    fn lower(&mut self, text: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + text.len()) {
            place.copy_from_slice(text);
            place.make_ascii_lowercase();
            self.length += text.len();
        }
    }

    /// Digits as numbers, in the form of text.
    fn digits(&mut self, digits: &[u8]) {
        self.extend(digits.iter().map(|digit| digit + b'0'));
    }

    #[inline]
    const fn push(&mut self, byte: u8) {
        if self.length < Self::LONGEST {
            self.bytes[self.length] = byte;
            self.length += 1;
        }
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The key under which values are counted, drawn by the shell.
#[derive(Clone, Copy)]
pub struct HashKey(pub [u64; 2]);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

impl HashKey {
    /// What stands for a value wherever it is counted.
    #[must_use]
    pub fn of(&self, kind: Kind, value: &[u8]) -> u64 {
        // A key of its own for each kind.
        let own = self.0[0] ^ (kind as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        SipHasher13::new_with_keys(own, self.0[1]).hash(value)
    }
}

/// Whether a word stands among the bytes before a place, in any case. The words are in small letters.
fn has_before(window: &[u8], at: usize, most: usize, words: &[&[u8]]) -> bool {
    let before = window.get(at.saturating_sub(most)..at).unwrap_or_default();
    words.iter().any(|word| {
        let first = word.first().copied().unwrap_or_default();
        let starts = |part: &[u8]| part.first().is_some_and(|byte| *byte | 0x20 == first | 0x20);
        before.windows(word.len()).any(|part| starts(part) && part.eq_ignore_ascii_case(word))
    })
}

/// Whether a byte can be part of a word or number.
const fn is_word(byte: Option<&u8>) -> bool {
    matches!(byte, Some(byte) if byte.is_ascii_alphanumeric() || *byte == b'_')
}

#[cfg(test)]
mod tests;
