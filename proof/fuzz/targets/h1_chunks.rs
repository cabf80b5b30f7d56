//! Chunked bodies: every split gives the same data, trailers and end, and what is read writes back to itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_fuzz::Cuts;
use portcullis_wire::h1::encode::{chunk_end, chunk_start, last_chunk};
use portcullis_wire::h1::{ChunkBounds, ChunkDecoder, ChunkStep, Refused, trailers};
use portcullis_wire::http::Fields;

/// Small, so that short inputs reach them.
const BOUNDS: ChunkBounds = ChunkBounds { extension_bytes: 12, trailer_bytes: 80 };
/// Writing puts a space behind each colon.
const WIDER: ChunkBounds = ChunkBounds { extension_bytes: 0, trailer_bytes: 160 };

#[derive(Debug, PartialEq)]
struct Body {
    data: Vec<u8>,
    trailers: Vec<u8>,
    consumed: usize,
}

fuzz_target!(|bytes: &[u8]| {
    let whole = decode(bytes, BOUNDS, |length| length);
    let mut cuts = Cuts::of(bytes);
    for pieces in [decode(bytes, BOUNDS, |_| 1), decode(bytes, BOUNDS, |length| cuts.next(length))] {
        match (&whole, &pieces) {
            // Which of two rules is broken first may depend on how much had arrived.
            (Err(_), Err(_)) => {}
            (whole, pieces) => assert_eq!(whole, pieces),
        }
    }
    let Ok(Some(body)) = whole else { return };
    let mut fields = Fields::default();
    let lines = trailers(&body.trailers, 16, &mut fields).is_ok();

    let mut again = Vec::new();
    if !body.data.is_empty() {
        chunk_start(&mut again, body.data.len());
        again.extend_from_slice(&body.data);
        chunk_end(&mut again);
    }
    last_chunk(&mut again, lines.then_some(&fields));
    let body_again = decode(&again, WIDER, |length| length).expect("what was accepted").expect("is whole");
    assert_eq!(body_again.data, body.data);
    assert_eq!(body_again.consumed, again.len());
    if lines {
        let mut fields_again = Fields::default();
        trailers(&body_again.trailers, 16, &mut fields_again).expect("what was accepted is accepted again");
        let pairs = |fields: &Fields| -> Vec<(Vec<u8>, Vec<u8>)> {
            fields.iter().map(|line| (line.spelling.to_vec(), line.value.to_vec())).collect()
        };
        assert_eq!(pairs(&fields_again), pairs(&fields));
    }
});

/// The body, or `None` while it is incomplete.
fn decode(bytes: &[u8], bounds: ChunkBounds, mut cut: impl FnMut(usize) -> usize) -> Result<Option<Body>, Refused> {
    let mut decoder = ChunkDecoder::new(bounds);
    let (mut data, mut start, mut arrived) = (Vec::new(), 0, 0);
    loop {
        match decoder.step(&bytes[start..arrived])? {
            ChunkStep::Skip(count) => {
                assert!(count > 0, "progress");
                start += count;
            }
            ChunkStep::Data(count) => {
                assert!(count > 0, "progress");
                data.extend_from_slice(&bytes[start..start + count]);
                start += count;
            }
            ChunkStep::Incomplete if arrived == bytes.len() => return Ok(None),
            ChunkStep::Incomplete => arrived = (arrived + cut(bytes.len() - arrived)).min(bytes.len()),
            ChunkStep::Done => {
                assert!(decoder.is_done());
                let trailers = decoder.trailer_lines().to_vec();
                assert!(trailers.len() <= bounds.trailer_bytes);
                return Ok(Some(Body { data, trailers, consumed: start }));
            }
        }
    }
}
