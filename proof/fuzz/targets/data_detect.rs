//! Detectors: what is found lies in the text, and is the same however the text is cut.
#![no_main]

use std::cell::LazyCell;

use libfuzzer_sys::fuzz_target;
use portcullis_dataguard::Canaries;
use portcullis_dataguard::canary::{CanaryId, CanaryKey, EntryKind, Registry};
use portcullis_dataguard::detect::{Detector, Findings, Found, Kind, Kinds, Scanner};
use portcullis_fuzz::Cuts;

#[derive(Default, PartialEq, Debug)]
struct List(Vec<(Kind, Vec<u8>, (u64, u64))>, Vec<CanaryId>);

impl Findings for List {
    fn found(&mut self, found: &Found<'_>) {
        assert!(found.at.0 < found.at.1 && !found.value.is_empty());
        self.0.push((found.kind, found.value.to_vec(), found.at));
    }

    fn canary(&mut self, id: CanaryId, _: (u64, u64)) {
        self.1.push(id);
    }
}

thread_local! {
    static DETECTOR: LazyCell<Detector> = LazyCell::new(|| {
        let mut registry = Registry::default();
        registry.add(EntryKind::Key { prefix: "live_".to_owned() }, Vec::new(), "");
        let canaries = Canaries::new(&registry, &CanaryKey::new([7; 32]));
        Detector::new(Kinds::all(), &["member_id".to_owned()], &canaries)
    });
}

fuzz_target!(|data: &[u8]| {
    DETECTOR.with(|detector| {
        let whole = read(detector, data, usize::MAX, data);
        let cut = read(detector, data, 0, data);
        assert_eq!(whole, cut);
        assert!(whole.0.iter().all(|(_, _, at)| at.1 <= data.len() as u64));
    });
});

fn read(detector: &Detector, text: &[u8], most: usize, seed: &[u8]) -> List {
    let (mut scanner, mut list) = (Scanner::default(), List::default());
    // A table of columns, or any other text.
    scanner.begin(detector, seed.first().is_some_and(|first| *first == b'"' || first.is_ascii_lowercase()));
    let (mut cuts, mut rest) = (Cuts::of(seed), text);
    while !rest.is_empty() {
        let length = if most > 0 { most } else { cuts.next(rest.len()) };
        let (piece, after) = rest.split_at(length.min(rest.len()));
        scanner.text(detector, piece, &mut list);
        rest = after;
    }
    scanner.end(detector, &mut list);
    list.0.sort();
    list
}
