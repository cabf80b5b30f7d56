//! Lines of access logs: no line is too strange, and what was read from one can be written down and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_simulator::replay::{LINE_BYTES, Line, parse};

fuzz_target!(|data: &[u8]| {
    assert!(data.len() <= LINE_BYTES);
    let Ok(Line::Request(entry)) = parse(data) else { return };
    assert!(matches!(entry.path.first(), Some(b'/' | b'*')));
    assert!(entry.at < 4_102_444_800_000_000_000, "a moment of this century");
    assert!(entry.origin.is_none_or(|nanos| nanos < 86_400_000_000_000), "no request takes a day");

    // As Apache and nginx write it, with everything that is not plain escaped.
    let mut line = format!("{} - - [17/May/2026:20:15:01 +0000] \"", entry.client).into_bytes();
    line.extend_from_slice(&entry.method);
    line.push(b' ');
    escape(&entry.path, &mut line);
    if let Some(query) = &entry.query {
        line.push(b'?');
        escape(query, &mut line);
    }
    line.extend_from_slice(format!(" HTTP/1.1\" {} {} \"-\" \"", entry.status, entry.bytes).as_bytes());
    escape(entry.agent.as_deref().unwrap_or(b"-"), &mut line);
    line.push(b'"');
    if line.len() > LINE_BYTES {
        return;
    }
    let Ok(Line::Request(again)) = parse(&line) else { panic!("unread: {}", line.escape_ascii()) };
    assert_eq!(again.client, entry.client);
    assert_eq!((&again.method, &again.path, &again.query), (&entry.method, &entry.path, &entry.query));
    assert_eq!((again.status, again.bytes, &again.agent), (entry.status, entry.bytes, &entry.agent));
});

fn escape(text: &[u8], line: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', *byte]),
            b' '..=b'~' => line.push(*byte),
            _ => line.extend_from_slice(format!("\\x{byte:02X}").as_bytes()),
        }
    }
}
