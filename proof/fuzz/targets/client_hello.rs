//! ClientHello: what is answered for a prefix stands, waiting has an end, records do not matter, a print is a print.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_fuzz::Cuts;
use portcullis_wire::read::Read;
use portcullis_wire::tls::{HELLO_BYTES_MAX, HELLO_RECORDS_MAX, read_client_hello};

fuzz_target!(|data: &[u8]| {
    // The first byte says whether the rest is records, the body of a ClientHello, or a script that makes such a body.
    let Some((mode, data)) = data.split_first() else { return };
    let body = match mode % 3 {
        0 => None,
        1 => Some(data.to_vec()),
        _ => Some(compose(data)),
    };
    let message = body.map(|body| [&[1, 0][..], &run16(&body)].concat()).filter(|message| message.len() <= 1 << 14);
    let bytes = message.as_deref().map_or(data.to_vec(), record);

    let whole = read_client_hello(&bytes);
    let mut cuts = Cuts::of(&bytes);
    for end in cuts.positions(bytes.len()) {
        match read_client_hello(&bytes[..end]) {
            Read::Incomplete => assert!(end < HELLO_BYTES_MAX),
            early => assert_eq!(early, whole, "after {end} bytes"),
        }
    }
    if let Some(message) = &message {
        let mut rest = message.as_slice();
        let mut records = Vec::new();
        for left in (0..HELLO_RECORDS_MAX).rev() {
            let length = if left == 0 { rest.len() } else { cuts.next(rest.len().max(1)).min(rest.len()) };
            let (here, behind) = rest.split_at(length);
            records.extend(if here.is_empty() { Vec::new() } else { record(here) });
            rest = behind;
        }
        assert_eq!(read_client_hello(&records), whole);
    }
    if let Read::Done(hello) = whole {
        let print = hello.ja4().to_string();
        assert_eq!(print.len(), 36, "{print}");
        assert!(
            print.starts_with('t') && print.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "{print}"
        );
        assert!(print.split('_').map(str::len).eq([10, 12, 12]), "{print}");
        assert!(hello.sni.as_ref().is_none_or(|name| !name.is_empty() && name.len() <= 253));
        assert!(hello.alpn().map(|name| name.len() + 1).sum::<usize>() <= bytes.len());
    }
});

/// A ClientHello whose lengths are right, whatever the script says: how many ciphers, those, then extensions. Of each
/// extension a byte says which it is and how its value is wrapped, the next how long that is.
fn compose(script: &[u8]) -> Vec<u8> {
    let (count, rest) = script.split_first().map_or((0, script), |(count, rest)| (usize::from(*count), rest));
    let (ciphers, mut rest) = rest.split_at((count * 2).min(rest.len()));
    let mut extensions = Vec::new();
    while let [control, length, behind @ ..] = rest {
        let (value, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        rest = behind;
        let kind: u16 = [0, 10, 13, 16, 43, 0x8A8A, 21, u16::from(*control)][usize::from(control % 8)];
        extensions.extend(kind.to_be_bytes());
        extensions.extend(run16(&match control >> 3 & 3 {
            0 => value.to_vec(),
            1 => run8(value),
            2 => run16(value),
            _ if kind == 0 => run16(&[&[0][..], &run16(value)].concat()),
            _ => run16(&run8(value)),
        }));
    }
    [&[3, 3][..], &[7; 32], &[0], &run16(ciphers), &[1, 0], &run16(&extensions)].concat()
}

fn run8(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap_or(u8::MAX)], bytes].concat()
}

fn run16(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes(), bytes].concat()
}

fn record(fragment: &[u8]) -> Vec<u8> {
    [&[22, 3, 1][..], &run16(fragment)].concat()
}
