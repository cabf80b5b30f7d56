//! Values overwritten where they stand, in text that is on its way.
//!
//! It never changes a length: each byte of a value becomes an asterisk. It holds back what could still turn out to be part of a
//! value, and nothing more.

use crate::canary::CanaryId;
use crate::detect::{BEFORE, Detector, Findings, Found, HashKey, Kind, Scanner};

/// Text on its way through a mask.
#[derive(Debug, Default)]
pub struct Mask {
    scanner: Scanner,
    /// What has come and not gone on.
    pending: Vec<u8>,
    /// Where in the text that begins.
    base: u64,
}

/// Who says of each value, given its kind and its hash, whether it is overwritten.
pub type Judge<'a> = &'a mut dyn FnMut(Kind, u64) -> bool;

impl Mask {
    /// More text; what can go on of all that has come is the answer.
    pub fn push(&mut self, detector: &Detector, key: &HashKey, text: &[u8], judge: Judge<'_>) -> Vec<u8> {
        self.pending.extend_from_slice(text);
        let mut spans = Spans { key, judge, of: Vec::new() };
        self.scanner.text(detector, text, &mut spans);
        let of = spans.of;
        self.overwrite(&of);
        // A value may begin before the place by which it is recognised.
        let undecided = self.scanner.behind() + BEFORE;
        self.go(self.pending.len().saturating_sub(undecided))
    }

    /// The text is over: all that is left of it.
    pub fn finish(&mut self, detector: &Detector, key: &HashKey, judge: Judge<'_>) -> Vec<u8> {
        let mut spans = Spans { key, judge, of: Vec::new() };
        self.scanner.end(detector, &mut spans);
        let of = spans.of;
        self.overwrite(&of);
        self.go(self.pending.len())
    }

    fn overwrite(&mut self, spans: &[(u64, u64)]) {
        for (from, to) in spans {
            let place = |at: u64| usize::try_from(at.saturating_sub(self.base)).unwrap_or(usize::MAX);
            let (from, to) = (place(*from), place(*to).min(self.pending.len()));
            self.pending.get_mut(from..to).unwrap_or_default().fill(b'*');
        }
    }

    fn go(&mut self, count: usize) -> Vec<u8> {
        self.base += count as u64;
        self.pending.drain(..count).collect()
    }
}

struct Spans<'a> {
    key: &'a HashKey,
    judge: Judge<'a>,
    of: Vec<(u64, u64)>,
}

impl Findings for Spans<'_> {
    fn found(&mut self, found: &Found<'_>) {
        if found.kind.is_personal() && (self.judge)(found.kind, self.key.of(found.kind, found.value)) {
            self.of.push(found.at);
        }
    }

    fn canary(&mut self, _: CanaryId, _: (u64, u64)) {}
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Canaries;
    use crate::detect::Kinds;

    const KEY: HashKey = HashKey([1, 2]);

    /// Masks every value of a kind but the first, cut into pieces of this size.
    fn masked(text: &str, size: usize) -> String {
        let detector = Detector::new(Kinds::all(), &[], &Canaries::default());
        let (mut mask, mut out, mut seen) = (Mask::default(), Vec::new(), 0);
        let mut judge = |_: Kind, _: u64| {
            seen += 1;
            seen > 1
        };
        for piece in text.as_bytes().chunks(size) {
            out.extend(mask.push(&detector, &KEY, piece, &mut judge));
        }
        out.extend(mask.finish(&detector, &KEY, &mut judge));
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn values_are_overwritten_and_nothing_else() {
        let text = "{\"a\":\"jane@example.org\",\"b\":\"07700 900123\",\"c\":\"tom@example.org\",\"d\":1}";
        let expected = "{\"a\":\"jane@example.org\",\"b\":\"************\",\"c\":\"***************\",\"d\":1}";
        assert_eq!(masked(text, 1000), expected);
        assert_eq!(masked("nothing of anybody", 3), "nothing of anybody");
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(words in prop::collection::vec(0usize..5, 0..300), size in 1usize..900) {
            let kinds = ["lorem ipsum ", "a.b@example.org ", "SW1A 1AA ", "+44 20 7946 0018, ", "4111 1111 1111 1111\n"];
            let text: String = words.iter().map(|word| kinds[*word]).collect();
            let whole = masked(&text, usize::MAX);
            prop_assert_eq!(masked(&text, size), whole.clone());
            prop_assert_eq!(whole.len(), text.len());
        }
    }
}
