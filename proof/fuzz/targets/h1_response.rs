//! Response heads: whatever an upstream sends is answered, framed in one way, and survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_types::Reason;
use portcullis_wire::h1::encode::{end, field, status_line};
use portcullis_wire::h1::{Framing, Scan, response, scan};
use portcullis_wire::http::ResponseHead;

// Small, so that short inputs reach them.
const HEAD_BYTES: usize = 200;
const HEADER_COUNT: usize = 6;

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let method: &[u8] = if mode % 4 == 0 { b"HEAD" } else { b"GET" };
    let Ok(Scan::Complete(offset)) = scan(data, 0, HEAD_BYTES) else { return };
    let mut head = ResponseHead::default();
    let message = match response(&data[..offset], HEADER_COUNT, method, &mut head) {
        Ok(message) => message,
        Err(refused) => {
            assert_eq!(refused.reason, Reason::UpstreamProtocol, "an upstream's fault is not the client's");
            return;
        }
    };
    assert!((100..=599).contains(&head.status));
    if method == b"HEAD" || matches!(head.status, 100..=199 | 204 | 304) {
        assert_eq!(message.framing, Framing::None);
    }
    assert!(message.framing != Framing::UntilClose || !message.keep_alive);

    let mut again = Vec::new();
    status_line(&mut again, head.status);
    for line in head.fields.iter() {
        field(&mut again, line.spelling, line.value);
    }
    end(&mut again);
    assert_eq!(scan(&again, 0, HEAD_BYTES * 2), Ok(Scan::Complete(again.len())));
    let mut head_again = ResponseHead::default();
    let message_again =
        response(&again, HEADER_COUNT, method, &mut head_again).expect("what was accepted is accepted again");
    assert_eq!(head_again.status, head.status);
    assert_eq!(message_again.framing, message.framing);
    assert_eq!(message_again.upgrade, message.upgrade);
    let lines = |head: &ResponseHead| -> Vec<(Vec<u8>, Vec<u8>)> {
        head.fields.iter().map(|line| (line.spelling.to_vec(), line.value.to_vec())).collect()
    };
    assert_eq!(lines(&head_again), lines(&head));
});
