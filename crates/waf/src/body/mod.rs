//! Bodies taken apart: forms, cookies, multipart, JSON and XML to names and values, within bounds.
//!
//! What a format names and what it counts as an error is `ModSecurity` 3's, checked against the library itself; where that
//! loses something that an application would see, this keeps it, and the module says so. No entity is expanded, nothing is
//! fetched, and no value is decoded twice.
//!
//! Every processor is linear in its input and ends in an [`Outcome`]. A [`Fault`] is what rules know as `REQBODY_ERROR`:
//! what had been read before it stays and is inspected. Beyond [`Bounds::fields`] nothing more is taken apart and the
//! outcome is `cut`, which `&ARGS` in rule text or the caller judges; beyond the other bounds there is a fault.

pub mod cookies;
pub mod json;
pub mod multipart;
pub mod urlencoded;
pub mod xml;

/// How much of a body is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Names with their values; also parts of a multipart body and attributes of XML. What is beyond is left out and the
    /// outcome is `cut`.
    pub fields: usize,
    /// Names and values together, in bytes. Nested names repeat their path, so this may exceed the body.
    pub bytes: usize,
    /// Objects in objects, elements in elements.
    pub depth: usize,
    /// Of each uploaded file's content, how many bytes are kept.
    pub file_bytes: usize,
    /// Uploaded files, beyond which `MULTIPART_FILE_LIMIT_EXCEEDED` is set.
    pub files: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { fields: 16_384, bytes: 4 << 20, depth: 512, file_bytes: 0, files: 100 }
    }
}

/// Why a body could not be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Byte of the input at which it showed.
    pub at: usize,
    /// For people, and for `REQBODY_ERROR_MSG`.
    pub why: &'static str,
}

/// What became of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// It is not what it claims to be, or goes beyond a bound of size or depth.
    pub fault: Option<Fault>,
    /// There were more fields than [`Bounds::fields`].
    pub cut: bool,
}

impl Outcome {
    /// Keeps the fault that shows first in the input, in whatever order they are found.
    fn faulted(&mut self, at: usize, why: &'static str) {
        if self.fault.is_none_or(|known| at < known.at) {
            self.fault = Some(Fault { at, why });
        }
    }
}

/// Why [`Bounds::bytes`] ended it.
const TOO_MANY_BYTES: &str = "names and values are longer than is inspected";

/// Names and values in the order in which they came, duplicates kept, in one buffer.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

/// Where a field lies: the name from `name` to `value`, the value from there to `end`.
#[derive(Debug, Clone, Copy)]
struct Span {
    name: u32,
    value: u32,
    end: u32,
}

/// One name and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Decoded.
    pub name: &'a [u8],
    /// Decoded.
    pub value: &'a [u8],
}

impl Fields {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), spans: Vec::new() }
    }

    /// Forgets all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// All names and values together, in bytes (`ARGS_COMBINED_SIZE`).
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The one at a place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Field<'_>> {
        self.spans.get(index).and_then(|span| self.field(*span))
    }

    /// In order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Field<'_>> + Clone {
        self.spans.iter().map(|span| self.field(*span).unwrap_or(Field { name: b"", value: b"" }))
    }

    /// Adds one, unless it goes beyond the bounds; then the outcome says so.
    pub fn push(&mut self, name: &[u8], value: &[u8], bounds: &Bounds, outcome: &mut Outcome) -> bool {
        let Some(draft) = self.draft(name.len() + value.len(), 0, bounds, outcome) else { return false };
        self.bytes.extend_from_slice(name);
        let value_at = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.finish(draft, value_at);
        true
    }

    fn field(&self, span: Span) -> Option<Field<'_>> {
        Some(Field {
            name: self.bytes.get(span.name as usize..span.value as usize)?,
            value: self.bytes.get(span.value as usize..span.end as usize)?,
        })
    }

    /// Where a field may be written that needs at most so many bytes; nothing where that is too many.
    fn draft(&self, needs: usize, at: usize, bounds: &Bounds, outcome: &mut Outcome) -> Option<usize> {
        if self.spans.len() >= bounds.fields {
            outcome.cut = true;
            return None;
        }
        let bound = bounds.bytes.min(u32::MAX as usize);
        if needs > bound.saturating_sub(self.bytes.len()) {
            outcome.faulted(at, TOO_MANY_BYTES);
            return None;
        }
        Some(self.bytes.len())
    }

    /// Ends the field that began at `name_at`; its value is what was written from `value_at` on.
    fn finish(&mut self, name_at: usize, value_at: usize) {
        // `draft` has seen to it that positions fit.
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.spans.push(Span { name: place(name_at), value: place(value_at), end: place(self.bytes.len()) });
    }
}

/// What C's `isspace` calls so: space, and tab to carriage return.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_order_and_duplicates_and_stop_at_their_bounds() {
        let bounds = Bounds { fields: 3, bytes: 10, ..Bounds::default() };
        let mut outcome = Outcome::default();
        let mut fields = Fields::new();
        for (name, value) in [("a", "1"), ("b", ""), ("a", "22")] {
            assert!(fields.push(name.as_bytes(), value.as_bytes(), &bounds, &mut outcome));
        }
        assert_eq!((fields.len(), fields.bytes(), outcome), (3, 6, Outcome::default()));
        assert_eq!(fields.get(2), Some(Field { name: b"a", value: b"22" }));
        assert_eq!(fields.get(3), None);

        assert!(!fields.push(b"c", b"", &bounds, &mut outcome), "a fourth");
        assert!(outcome.cut && outcome.fault.is_none());

        let wide = Bounds { fields: 9, ..bounds };
        assert!(fields.push(b"four", b"", &wide, &mut outcome), "ten bytes fit");
        assert!(!fields.push(b"c", b"", &wide, &mut outcome), "the eleventh does not");
        assert_eq!(outcome.fault.map(|fault| fault.why), Some(TOO_MANY_BYTES));
        fields.clear();
        assert!(fields.is_empty() && fields.iter().next().is_none());
    }
}
