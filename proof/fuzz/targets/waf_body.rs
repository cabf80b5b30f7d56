//! Bodies: all of them are read within bounds, however a multipart body is cut it is read alike, and what is decoded of a
//! form, encoded again, is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_fuzz::Cuts;
use portcullis_waf::body::multipart::{Multipart, Parts};
use portcullis_waf::body::{Bounds, Fields, cookies, json, urlencoded, xml};

/// Small, so that short inputs reach them.
const BOUNDS: Bounds = Bounds { fields: 12, bytes: 400, depth: 6, file_bytes: 8, files: 2 };

fuzz_target!(|data: &[u8]| {
    let Some((kind, body)) = data.split_first() else { return };
    let mut fields = Fields::new();
    match kind % 5 {
        0 => form(body),
        1 => {
            cookies::parse(body, cookies::SEPARATOR, &BOUNDS, &mut fields);
            assert!(fields.iter().all(|field| !field.name.is_empty()));
        }
        2 => {
            let outcome = json::parse(body, &BOUNDS, &mut fields);
            assert!(outcome.fault.is_none_or(|fault| fault.at <= body.len()));
            assert!(fields.iter().all(|field| field.name.starts_with(b"json")));
        }
        3 => {
            let document = xml::parse(body, true, &BOUNDS);
            assert!(document.text.len() <= BOUNDS.bytes + 4);
            fields = document.attributes;
        }
        _ => multipart(body),
    }
    assert!(fields.len() <= BOUNDS.fields);
});

fn form(body: &[u8]) {
    let mut fields = Fields::new();
    urlencoded::parse(body, b'&', &BOUNDS, &mut fields);
    assert!(fields.len() <= BOUNDS.fields && fields.bytes() <= BOUNDS.bytes);
    let encode = |bytes: &[u8]| bytes.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let again: Vec<_> = fields.iter().map(|field| format!("{}={}", encode(field.name), encode(field.value))).collect();
    let mut fields_again = Fields::new();
    let wide = Bounds { bytes: 4 * BOUNDS.bytes, ..BOUNDS };
    let read_again = urlencoded::parse(again.join("&").as_bytes(), b'&', &wide, &mut fields_again);
    assert_eq!(read_again.invalid_escapes, 0);
    assert!(read_again.outcome.fault.is_none());
    assert!(fields.iter().eq(fields_again.iter()));
}

fn multipart(data: &[u8]) {
    let (content_type, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) if data.starts_with(b"multipart") => (&data[..end], &data[end + 1..]),
        _ => (&b"multipart/form-data; boundary=b"[..], data),
    };
    let mut whole = Multipart::new(content_type, BOUNDS);
    whole.push(body);
    let whole = whole.finish();
    let mut cut = Multipart::new(content_type, BOUNDS);
    let (mut cuts, mut rest) = (Cuts::of(data), body);
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(cuts.next(rest.len()).min(rest.len()));
        cut.push(chunk);
        rest = after;
    }
    let cut = cut.finish();
    let collections = |parts: &Parts| {
        let all = [&parts.fields, &parts.files, &parts.extended_names, &parts.contents, &parts.part_headers];
        all.map(|fields| fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect::<Vec<_>>())
    };
    assert_eq!(collections(&cut), collections(&whole));
    assert_eq!((&cut.sizes, cut.flags, cut.outcome), (&whole.sizes, whole.flags, whole.outcome));
    assert_eq!(whole.sizes.len(), whole.files.len());
    assert!(whole.fields.len() <= BOUNDS.fields && whole.files.len() <= BOUNDS.fields);
}
