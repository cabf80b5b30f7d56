//! What browsers report, and whoever says that they are one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_wire::report::{REPORTS, read};

fuzz_target!(|data: &[u8]| {
    let Some((form, body)) = data.split_first() else { return };
    let kind: &[u8] = if form % 2 == 0 { b"application/reports+json" } else { b"application/csp-report" };
    let Ok(batch) = read(kind, body) else { return };
    assert!(batch.reports.len() + batch.others <= REPORTS);
    for report in &batch.reports {
        // What is kept is told to people: it holds nothing that could be anything else.
        for text in [&report.host, &report.path, &report.directive, &report.blocked] {
            assert!(text.len() <= 300 && text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
        }
        assert!(report.path.starts_with('/') && !report.path.contains(['?', '#']));
    }
});
