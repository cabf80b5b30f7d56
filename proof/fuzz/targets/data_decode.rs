//! Answers on their way to plain text: codings, archives, escapes and messages are read within bounds, however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_dataguard::decode::{Bounds, Codings, Grpc, Reader, Sink, Unread, WebSocket};
use portcullis_fuzz::Cuts;

/// Small, so that short inputs reach them.
const BOUNDS: Bounds = Bounds { text: 256 << 10, ratio: 50, nesting: 3 };

#[derive(Default)]
struct Out(Vec<u8>);

impl Sink for Out {
    fn text(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn end(&mut self) {
        self.0.push(0);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, body)) = data.split_first() else { return };
    let whole = read(*kind, std::iter::once(body));
    let (mut cuts, mut rest, mut pieces) = (Cuts::of(data), body, Vec::new());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cuts.next(rest.len()).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    let cut = read(*kind, pieces.into_iter());
    // What is stopped is stopped at a piece, and a bomb by what has come of it so far; what is read to its end is the same.
    if whole.0.is_ok() && cut.0.is_ok() {
        assert_eq!(whole, cut);
    }
});

fn read<'a>(kind: u8, mut pieces: impl Iterator<Item = &'a [u8]>) -> (Result<(), Unread>, Vec<u8>) {
    let names: [&[u8]; 7] = [b"", b"gzip", b"deflate", b"br", b"zstd", b"br, gzip", b"gzip, zstd"];
    let mut out = Out::default();
    let outcome = match kind % 9 {
        7 => {
            let mut socket = WebSocket::new(BOUNDS);
            pieces.try_for_each(|piece| socket.push(piece, &mut out))
        }
        8 => {
            let mut grpc = Grpc::new(b"gzip", BOUNDS);
            pieces.try_for_each(|piece| grpc.push(piece, &mut out))
        }
        kind => match Codings::of(std::iter::once(names[usize::from(kind)])) {
            Ok(codings) => {
                let mut reader = Reader::new(codings, BOUNDS);
                let pushed = pieces.try_for_each(|piece| reader.push(piece, &mut out));
                pushed.and_then(|()| reader.finish(&mut out))
            }
            Err(unread) => Err(unread),
        },
    };
    // Half as much again for what escapes stand for, and one end for each of the documents.
    assert!(out.0.len() as u64 <= 2 * BOUNDS.text + 64 * 1024, "{} bytes", out.0.len());
    (outcome, out.0)
}
