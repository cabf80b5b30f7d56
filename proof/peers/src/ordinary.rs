//! Requests to be measured with: ordinary ones of several sizes, an attack, and the worst that is known.
//!
//! Never random: the same bytes in each run and on each side. What they are like is what the project's first measurements of
//! peers were taken with.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::{Message, Reply};

/// A request that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordinary {
    /// A GET with 16 header fields and 5 cookies.
    Get,
    /// A form of 1.8 kB.
    Form,
    /// JSON of 10 kB with 415 leaves.
    Json,
    /// An upload of 98 kB.
    Multipart,
    /// A GET that is to be refused.
    Attack,
    /// A GET, and a page of 20 kB.
    Page,
    /// A form of 1 MiB.
    LongForm,
    /// JSON of 1 MiB.
    LongJson,
    /// An upload of 1 MiB, nearly all of it one picture.
    LongUpload,
}

/// The request.
#[must_use]
pub fn ordinary(which: Ordinary) -> Message {
    match which {
        Ordinary::Get => get("/news/2026/branch-meeting?page=2&sort=date&topic=housing"),
        Ordinary::Form => with_body(FORM, form(18)),
        Ordinary::Json => with_body(JSON, json(83)),
        Ordinary::Multipart => with_body(PARTS, upload(98_000)),
        Ordinary::Attack => get("/news?id=1%27%20UNION%20SELECT%20password%20FROM%20users--%20-"),
        Ordinary::Page => {
            let fields = vec![(b"Content-Type".to_vec(), b"text/html; charset=utf-8".to_vec())];
            let reply = Some(Reply { status: 200, fields, body: page() });
            Message { reply, ..ordinary(Ordinary::Get) }
        }
        Ordinary::LongForm => with_body(FORM, form(10_000)),
        Ordinary::LongJson => with_body(JSON, json(8_300)),
        Ordinary::LongUpload => with_body(PARTS, upload(1 << 20)),
    }
}

/// The same request with other values, others for each number: digits change, as those of sessions, dates and pages do. Whoever
/// remembers values from one request to the next is measured with what it has not seen.
#[must_use]
pub fn varied(which: Ordinary, number: u32) -> Message {
    let mut message = ordinary(which);
    let mut state = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut other = |text: &mut [u8]| {
        for byte in text.iter_mut().filter(|byte| byte.is_ascii_digit()) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // No zero, which a number of JSON must not begin with.
            *byte = b'1' + (state % 9) as u8;
        }
    };
    other(&mut message.target);
    for (_, value) in message.fields.iter_mut().filter(|(name, _)| name == b"Cookie") {
        other(value);
    }
    match which {
        // Names stay.
        Ordinary::Form | Ordinary::LongForm => {
            for pair in message.body.split_mut(|byte| *byte == b'&') {
                let value = pair.iter().position(|byte| *byte == b'=').unwrap_or(0);
                other(pair.get_mut(value..).unwrap_or_default());
            }
        }
        Ordinary::Json | Ordinary::LongJson => other(&mut message.body),
        _ => {}
    }
    message
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const PARTS: &str = "multipart/form-data; boundary=XbX";

/// `specs/waf-busy.toml`.
#[derive(Debug, Default, Deserialize)]
struct Busy {
    pieces: Vec<String>,
}

/// Forms of 128 kB that keep an inspection busy: what rules and readers look for, over and over, in one value and in many.
#[must_use]
pub fn hostile() -> Vec<(String, Message)> {
    const BYTES: usize = 128 << 10;
    let busy: Busy = toml::from_str(include_str!("../../../specs/waf-busy.toml")).unwrap_or_default();
    let mut all = Vec::new();
    for piece in busy.pieces {
        let escaped: String = piece.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let one = format!("q={}", escaped.repeat(BYTES / escaped.len()));
        all.push((format!("{piece:?} in one value"), with_body(FORM, one.into_bytes())));
        let many = format!("a={}&", escaped.repeat(4));
        all.push((format!("{piece:?} in many"), with_body(FORM, many.repeat(BYTES / many.len()).into_bytes())));
    }
    all
}

fn get(target: &str) -> Message {
    Message { fields: fields(), ..Message::get(target) }
}

fn with_body(kind: &str, body: Vec<u8>) -> Message {
    let mut message = get("/members/join");
    message.method = b"POST".to_vec();
    for (name, value) in [("Content-Type", kind.to_owned()), ("Content-Length", body.len().to_string())] {
        message.fields.push((name.as_bytes().to_vec(), value.into_bytes()));
    }
    message.body = body;
    message
}

fn fields() -> Vec<(Vec<u8>, Vec<u8>)> {
    [
        ("Host", "www.example.org"),
        (
            "User-Agent",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        ),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
        ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Referer", "https://www.example.org/news/"),
        ("Connection", "keep-alive"),
        ("Upgrade-Insecure-Requests", "1"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-User", "?1"),
        ("Sec-Ch-Ua-Mobile", "?0"),
        ("Sec-Ch-Ua-Platform", "\"Windows\""),
        ("DNT", "1"),
        (
            "Cookie",
            "session=8f14e45fceea167a5a36dedd4bea2543; csrf=Zm9vYmFyYmF6; theme=light; consent=analytics.no; visited=2026-11-20",
        ),
    ]
    .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
    .to_vec()
}

fn form(fields: u32) -> Vec<u8> {
    let mut form = String::new();
    for field in 0..fields {
        let between = if field == 0 { "" } else { "&" };
        let _ = write!(
            form,
            "{between}field_{field}=Some+ordinary+words+that+a+member+typed+here+number+{field}+and+a+few+more+of+them+for+length"
        );
    }
    form.into_bytes()
}

fn json(members: u32) -> Vec<u8> {
    let mut json = String::from("{\"members\":[");
    for member in 0..members {
        let between = if member == 0 { "" } else { "," };
        let branch = member % 7;
        let _ = write!(
            json,
            "{between}{{\"id\":{member},\"name\":\"Member Number {member} of us all\",\"email\":\"m{member}@example.org\",\
             \"joined\":\"2024-05-17\",\"branch\":\"North West {branch}\"}}"
        );
    }
    json.push_str("]}");
    json.into_bytes()
}

fn upload(bytes: usize) -> Vec<u8> {
    let mut upload =
        b"--XbX\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA picture of the hall\r\n--XbX\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"hall.png\"\r\nContent-Type: image/png\r\n\r\n"
            .to_vec();
    // xorshift64: what a compressed picture looks like.
    let mut state = 88_172_645_463_325_252_u64;
    while upload.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        upload.extend_from_slice(&state.to_le_bytes());
    }
    upload.extend_from_slice(b"\r\n--XbX--\r\n");
    upload
}

fn page() -> Vec<u8> {
    let mut page = String::from("<!doctype html><html lang=\"en\"><head><title>News</title></head><body><ul>\n");
    let mut item = 0;
    while page.len() < 20_000 {
        item += 1;
        let _ = writeln!(
            page,
            "<li><a href=\"/news/{item}\">Meeting number {item} of the branch</a>: the hall is open from seven, and tea is free.</li>"
        );
    }
    page.push_str("</ul></body></html>\n");
    page.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_long_as_their_names_say() {
        let long = |which| ordinary(which).body.len();
        assert_eq!(ordinary(Ordinary::Get).fields.len(), 16);
        assert!((1_700..1_900).contains(&long(Ordinary::Form)));
        assert!((9_000..11_500).contains(&long(Ordinary::Json)));
        assert!((98_000..102_000).contains(&long(Ordinary::Multipart)));
        for which in [Ordinary::LongForm, Ordinary::LongJson, Ordinary::LongUpload] {
            assert!((900_000..1_100_000).contains(&long(which)), "{which:?} {}", long(which));
        }
        for which in [Ordinary::Get, Ordinary::Form, Ordinary::Json] {
            let (one, same, other) = (varied(which, 1), varied(which, 1), varied(which, 2));
            assert_eq!(one, same);
            assert_ne!(one, other);
            assert_eq!((one.target.len(), one.body.len()), (ordinary(which).target.len(), ordinary(which).body.len()));
        }
        assert!(hostile().len() > 100);
        assert!(hostile().iter().all(|(_, message)| (120_000..=132_000).contains(&message.body.len())));
    }
}
