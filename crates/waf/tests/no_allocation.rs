//! The built-in detection allocates nothing for ordinary requests, once it has seen one.

use allocation_counter::measure;
use portcullis_waf::body::{Bounds, Fields};
use portcullis_waf::semantic::{Detector, Findings, Place, Settings};

const HEADERS: &[(&str, &str)] = &[
    ("Host", "www.example.org"),
    ("sec-ch-ua", "\"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\""),
    (
        "User-Agent",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Referer", "https://www.example.org/news/?page=1&category=local%20things&q=a+b"),
    ("Accept-Language", "en-GB,en;q=0.9,da;q=0.8"),
    (
        "Cookie",
        "session=9f86d081884c7d659a2feaa0c55ad015; consent=%7B%22a%22%3Atrue%7D; _ga=GA1.2.1234567890.1700000000",
    ),
];

const JSON: &str = r#"{"name":"Conor O'Brien","mail":"conor@example.org","at":"2026-11-22T10:00:00+01:00","tags":["a","b"],
    "text":"It's one or the other,\n\nand \"that\" is all: 5 < 6 & 7 > 6; 100% (of it).","url":"https://example.org/a?b=c&d=e%20f",
    "token":"SGVsbG8gd29ybGQsIHRoaXMgaXMgYSB0ZXN0","state":"{\"page\":1,\"sort\":\"name\"}"}"#;

const FORM: &str = "name=Conor+O%27Brien&street=Flat+2%2F1%2C+14+St.+Andrew%27s+Sq.&text=%3Cp%3EHello+%3Cb%3Eworld%3C%2Fb%3E%3C%2Fp%3E&q=a+%26+b";

fn request(detector: &Detector, fields: &mut Fields, findings: &mut Findings) {
    findings.clear();
    detector.request_line(b"POST", b"/news/2026/a%20b?page=2&ref=news%2Bletter&lang=en&q=it%27s+one+or+two", findings);
    for (name, value) in HEADERS {
        detector.header(name.as_bytes(), value.as_bytes(), findings);
    }
    let bounds = Bounds::default();
    detector.body(b"application/json; charset=utf-8", false, JSON.as_bytes(), &bounds, fields, findings);
    detector.body(b"application/x-www-form-urlencoded", false, FORM.as_bytes(), &bounds, fields, findings);
    detector.body(b"text/plain", false, JSON.as_bytes(), &bounds, fields, findings);
    detector.body(b"image/png", false, &[0x89, b'P', b'N', b'G', 0, b'<', b'?', 1], &bounds, fields, findings);
    detector.value(
        Place::Json,
        b"code",
        b"for (let i = 0; i < 10; i++) { console.log(`${i} of ${list.length}`); }",
        findings,
    );
    assert!(!detector.blocks(findings), "{:?}", findings.list());
}

#[test]
fn ordinary_requests_allocate_nothing_after_the_first() {
    let (detector, mut fields, mut findings) = (Detector::new(Settings::default()), Fields::new(), Findings::new());
    request(&detector, &mut fields, &mut findings);
    assert_eq!(findings.list(), [], "a finding keeps what it found, and that is memory");
    let counted = measure(|| {
        for _ in 0..100 {
            request(&detector, &mut fields, &mut findings);
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn what_an_attack_took_is_given_back() {
    let (detector, mut fields, mut findings) = (Detector::new(Settings::default()), Fields::new(), Findings::new());
    let long = "%3Cscript%3Ealert(1)%3C/script%3E ${${lower:j}ndi:ldap://x} union select 1,2,3 ".repeat(20_000);
    let counted = measure(|| {
        detector.value(Place::Query, b"q", long.as_bytes(), &mut findings);
        assert!(detector.blocks(&findings));
        findings.clear();
    });
    assert!(counted.bytes_current < 2 << 20, "{} bytes are kept", counted.bytes_current);
    request(&detector, &mut fields, &mut findings);
}
