//! What travels, packed as servers pack it.

use std::io::Write as _;

/// Content codings that the gate reads, `plain` for none.
pub const CODINGS: [&str; 5] = ["plain", "gzip", "deflate", "br", "zstd"];

/// Bytes in a content coding, by its name in `Content-Encoding`; several, the outermost last, with commas between them.
/// Anything else leaves them as they are.
///
/// # Panics
/// When memory has no room.
#[must_use]
pub fn packed(coding: &str, plain: &[u8]) -> Vec<u8> {
    if let Some((inner, outer)) = coding.rsplit_once(", ") {
        return packed(outer, &packed(inner, plain));
    }
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(plain).expect("to memory");
            encoder.finish().expect("to memory")
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(plain).expect("to memory");
            encoder.finish().expect("to memory")
        }
        "br" => {
            let mut packed = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut packed, 4096, 5, 22);
            encoder.write_all(plain).expect("to memory");
            drop(encoder);
            packed
        }
        "zstd" => {
            let mut packed = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
            zstd_safe::compress(&mut packed, plain, 3).expect("room for it");
            packed
        }
        _ => plain.to_vec(),
    }
}

/// Raw deflate without the four bytes that RFC 7692 leaves out: a message of permessage-deflate.
///
/// # Panics
/// When memory has no room.
#[must_use]
pub fn deflated_message(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).expect("to memory");
    encoder.flush().expect("to memory");
    let packed = encoder.get_ref().clone();
    packed.strip_suffix(&[0, 0, 0xff, 0xff]).unwrap_or(&packed).to_vec()
}

/// A ZIP archive of one deflated member whose sizes stand behind it, as programs write spreadsheets.
///
/// # Panics
/// When the name is longer than 255 bytes.
#[must_use]
pub fn zipped(name: &str, plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).expect("to memory");
    let packed = encoder.finish().expect("to memory");
    let mut archive = b"PK\x03\x04\x14\0\x08\0\x08\0".to_vec();
    archive.extend_from_slice(&[0; 16]);
    archive.extend_from_slice(&[u8::try_from(name.len()).expect("short"), 0, 0, 0]);
    archive.extend_from_slice(name.as_bytes());
    archive.extend_from_slice(&packed);
    archive.extend_from_slice(b"PK\x07\x08");
    archive.extend_from_slice(&[0; 12]);
    archive.extend_from_slice(b"PK\x01\x02");
    archive.extend_from_slice(&[0; 60]);
    archive
}

/// One WebSocket frame of a server: its first byte (RFC 6455 section 5.2) and its data.
///
/// # Panics
/// When the data is longer than 65,535 bytes.
#[must_use]
pub fn socket_frame(first: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(data.len()) {
        Ok(length @ ..=125) => frame.push(length),
        _ => {
            frame.push(126);
            frame.extend_from_slice(&u16::try_from(data.len()).expect("a short frame").to_be_bytes());
        }
    }
    frame.extend_from_slice(data);
    frame
}

/// One gRPC message, packed or not.
///
/// # Panics
/// When it is longer than 4 GiB.
#[must_use]
pub fn grpc_message(is_packed: bool, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("a short message").to_be_bytes();
    [&[u8::from(is_packed)][..], &length, data].concat()
}
