//! Request heads: every split gives the same answer, what is accepted has one reading, and it survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_fuzz::Cuts;
use portcullis_wire::h1::encode::{end, field, request_line};
use portcullis_wire::h1::{Framing, HeadBounds, Message, Refused, Scan, request, scan};
use portcullis_wire::http::{RequestHead, Version};

/// Small, so that short inputs reach them.
const BOUNDS: HeadBounds = HeadBounds { head_bytes: 200, header_count: 6, uri_bytes: 40 };
/// Writing puts a space behind each colon.
const WIDER: HeadBounds = HeadBounds { head_bytes: 400, ..BOUNDS };

fuzz_target!(|data: &[u8]| {
    let whole = scan(data, 0, BOUNDS.head_bytes);
    let mut cuts = Cuts::of(data);
    let (mut arrived, mut from) = (0, 0);
    let pieces = loop {
        match scan(&data[..arrived], from, BOUNDS.head_bytes) {
            Ok(Scan::Incomplete(_)) if arrived == data.len() => break Ok(None),
            Ok(Scan::Incomplete(offset)) => {
                from = offset;
                arrived = (arrived + cuts.next(data.len())).min(data.len());
            }
            Ok(Scan::Complete(offset)) => break Ok(Some(offset)),
            Err(refused) => break Err(refused),
        }
    };
    let offset = match whole {
        Ok(Scan::Complete(offset)) => Some(offset),
        Ok(Scan::Incomplete(_)) => None,
        Err(_) => {
            // Which of two rules is broken first may depend on how much had arrived.
            assert!(pieces.is_err());
            return;
        }
    };
    assert_eq!(pieces, Ok(offset));
    let Some(offset) = offset else {
        assert!(data.len() < BOUNDS.head_bytes, "waiting has an end");
        return;
    };
    let bytes = &data[..offset];
    let Ok((message, head)) = read(bytes, &BOUNDS) else { return };
    one_reading(bytes, message);

    let mut again = Vec::new();
    request_line(&mut again, head.method(), head.target());
    for line in head.fields.iter() {
        field(&mut again, line.spelling, line.value);
    }
    end(&mut again);
    assert_eq!(scan(&again, 0, WIDER.head_bytes), Ok(Scan::Complete(again.len())));
    let (message_again, head_again) = read(&again, &WIDER).expect("what was accepted is accepted again");
    assert_eq!(head_again.method(), head.method());
    assert_eq!(head_again.target(), head.target());
    assert_eq!(head_again.authority(), head.authority());
    assert!(!head.authority().is_empty());
    assert_eq!(message_again.framing, message.framing);
    if head.version == Version::Http11 {
        assert_eq!(message_again, message);
    }
    let lines = |head: &RequestHead| -> Vec<(Vec<u8>, Vec<u8>)> {
        head.fields.iter().map(|line| (line.spelling.to_vec(), line.value.to_vec())).collect()
    };
    assert_eq!(lines(&head_again), lines(&head));
});

fn read(bytes: &[u8], bounds: &HeadBounds) -> Result<(Message, RequestHead), Refused> {
    let mut head = RequestHead::default();
    request(bytes, bounds, &mut head).map(|message| (message, head))
}

/// Looks at the accepted bytes as a careless parser would: whatever such parsers disagree about must not be there.
fn one_reading(bytes: &[u8], message: Message) {
    let text: Vec<char> = bytes.iter().map(|byte| char::from(*byte)).collect();
    let text: String = text.into_iter().collect();
    let lines: Vec<&str> = text.strip_suffix("\r\n\r\n").expect("the end of a head").split("\r\n").collect();
    assert!(lines.iter().all(|line| !line.contains(['\r', '\n', '\0'])), "a line within a line");
    let named = |wanted: &str| {
        let name =
            |line: &&str| line.split(':').next().unwrap_or_default().trim().replace('_', "-").to_ascii_lowercase();
        lines.iter().skip(1).filter(|line| name(line) == wanted).count()
    };
    assert!(lines.iter().skip(1).all(|line| line.contains(':') && !line.starts_with([' ', '\t'])), "a folded line");
    assert_eq!(named("host"), 1);
    let (lengths, codings) = (named("content-length"), named("transfer-encoding"));
    assert!(lengths + codings <= 1, "framed twice");
    match message.framing {
        Framing::None => assert_eq!(codings, 0),
        Framing::Length(length) => assert!(length > 0 && lengths == 1),
        Framing::Chunked => assert_eq!(codings, 1),
        Framing::UntilClose => panic!("a request does not end with the connection"),
    }
}
