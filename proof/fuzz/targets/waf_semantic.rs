//! Built-in detection: any value in any place is judged, alike each time, and whatever is found is of the value or a layer of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_waf::semantic::{Detector, FINDINGS_MAX, Findings, MATCHED_BYTES_MAX, Place, Settings};

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    let place = Place::ALL[usize::from(*first) % Place::ALL.len()];
    let detector = Detector::new(Settings::default());
    let mut findings = Findings::new();
    detector.value(place, b"name", text, &mut findings);
    let (score, list) = (findings.score(), findings.list().to_vec());
    assert!(list.len() <= FINDINGS_MAX);
    assert!(list.iter().all(|finding| finding.matched.len() <= MATCHED_BYTES_MAX && finding.score >= 2));
    findings.clear();
    detector.value(place, b"name", text, &mut findings);
    assert_eq!((score, list), (findings.score(), findings.list().to_vec()));
    findings.clear();
    detector.request_line(b"GET", text, &mut findings);
    detector.header(b"Cookie", text, &mut findings);
    detector.form(text, &mut findings);
    // A body on its way: in halves, in any of the types that it may claim to have.
    let (before, after) = text.split_at(text.len() / 3);
    let (middle, end) = after.split_at(after.len() / 2);
    let mut passing = detector.passing(KINDS[usize::from(*first) % KINDS.len()], false, before);
    findings.clear();
    passing.push(&detector, middle, &mut findings);
    passing.push(&detector, end, &mut findings);
    passing.finish(&detector, &mut findings);
});

const KINDS: [&[u8]; 6] = [
    b"application/x-www-form-urlencoded",
    b"application/json",
    b"multipart/form-data; boundary=x",
    b"text/xml",
    b"text/plain",
    b"image/png",
];
