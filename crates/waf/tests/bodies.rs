//! Bodies that could be read in two ways, and their benign twins: `specs/waf-bodies`.

use portcullis_waf::body::multipart::{Flags, Multipart};
use portcullis_waf::body::{Bounds, Fields, Outcome, cookies, json, urlencoded, xml};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    kind: Kind,
    body: String,
    inspected: Vec<(String, String)>,
    #[serde(default)]
    error: bool,
    #[serde(default)]
    odd: Vec<String>,
    twin: Twin,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Twin {
    body: String,
    inspected: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Form,
    Cookie,
    Json,
    Xml,
    Multipart,
}

#[test]
fn what_an_application_could_see_is_inspected_or_told() {
    let files = [
        include_str!("../../../specs/waf-bodies/forms.toml"),
        include_str!("../../../specs/waf-bodies/json.toml"),
        include_str!("../../../specs/waf-bodies/xml.toml"),
        include_str!("../../../specs/waf-bodies/multipart.toml"),
    ];
    let cases: Vec<Case> = files.iter().flat_map(|file| toml::from_str::<File>(file).unwrap().case).collect();
    assert!(cases.len() > 30);
    for Case { name, kind, body, inspected, error, odd, twin } in cases {
        let seen = inspect(kind, &bytes(&body));
        assert_eq!((seen.values, seen.error, seen.odd), (shown(&inspected), error, odd), "{name}");
        let seen = inspect(kind, &bytes(&twin.body));
        assert_eq!((seen.values, seen.error, seen.odd), (shown(&twin.inspected), false, vec![]), "the twin of {name}");
    }
}

struct Seen {
    values: Vec<(String, String)>,
    error: bool,
    odd: Vec<String>,
}

fn inspect(kind: Kind, body: &[u8]) -> Seen {
    let bounds = Bounds::default();
    let mut fields = Fields::new();
    let mut odd = Vec::new();
    let outcome = match kind {
        Kind::Form => {
            let read = urlencoded::parse(body, b'&', &bounds, &mut fields);
            if read.invalid_escapes > 0 {
                odd.push("invalid_escapes".to_owned());
            }
            read.outcome
        }
        Kind::Cookie => cookies::parse(body, cookies::SEPARATOR, &bounds, &mut fields),
        Kind::Json => json::parse(body, &bounds, &mut fields),
        Kind::Xml => {
            let document = xml::parse(body, false, &bounds);
            let mut outcome = Outcome::default();
            fields.push(b"text", &document.text, &bounds, &mut outcome);
            for field in document.attributes.iter() {
                fields.push(&[b"@", field.name].concat(), field.value, &bounds, &mut outcome);
            }
            document.outcome
        }
        Kind::Multipart => {
            let mut multipart = Multipart::new(b"multipart/form-data; boundary=b", bounds);
            multipart.push(body);
            let parts = multipart.finish();
            let mut outcome = Outcome::default();
            for field in parts.fields.iter().chain(parts.files.iter()).chain(parts.extended_names.iter()) {
                fields.push(field.name, field.value, &bounds, &mut outcome);
            }
            odd = odd_of(parts.flags);
            parts.outcome
        }
    };
    let values = fields.iter().map(|field| (escape(field.name), escape(field.value))).collect();
    Seen { values, error: outcome.fault.is_some(), odd }
}

/// Those of the flags that are set.
fn odd_of(flags: Flags) -> Vec<String> {
    let named = [
        ("error", flags.error),
        ("data_before", flags.data_before),
        ("data_after", flags.data_after),
        ("header_folding", flags.header_folding),
        ("lf_line", flags.lf_line),
        ("invalid_quoting", flags.invalid_quoting),
        ("invalid_part", flags.invalid_part),
        ("unmatched_boundary", flags.unmatched_boundary == 1),
    ];
    named.into_iter().filter(|(_, set)| *set).map(|(name, _)| name.to_owned()).collect()
}

fn shown(values: &[(String, String)]) -> Vec<(String, String)> {
    values.iter().map(|(name, value)| (escape(&bytes(name)), escape(&bytes(value)))).collect()
}

fn escape(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// `\r`, `\n`, `\t`, `\\` and `\xNN` as the bytes that they stand for; any other backslash is one.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return bytes,
            [b'\\', b'r', rest @ ..] => push(&mut bytes, b'\r', rest),
            [b'\\', b'n', rest @ ..] => push(&mut bytes, b'\n', rest),
            [b'\\', b't', rest @ ..] => push(&mut bytes, b'\t', rest),
            [b'\\', b'\\', rest @ ..] => push(&mut bytes, b'\\', rest),
            [b'\\', b'x', high, low, rest @ ..] => push(&mut bytes, digit(*high) << 4 | digit(*low), rest),
            [byte, rest @ ..] => push(&mut bytes, *byte, rest),
        };
    }
}

fn push<'a>(bytes: &mut Vec<u8>, byte: u8, rest: &'a [u8]) -> &'a [u8] {
    bytes.push(byte);
    rest
}

fn digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("{} is no digit", digit.escape_ascii()),
    }
}
