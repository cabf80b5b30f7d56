//! PROXY protocol: what is answered for a prefix stands, waiting has an end, and what is read writes back to itself.
#![no_main]

use std::net::{IpAddr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use portcullis_fuzz::Cuts;
use portcullis_wire::proxy_protocol::{Header, V1_MAX, V2_MAX, read};
use portcullis_wire::read::Read;

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes);
    for end in Cuts::of(bytes).positions(bytes.len()) {
        match read(&bytes[..end]) {
            Read::Incomplete => assert!(end < if bytes[..end].first() == Some(&b'P') { V1_MAX } else { V2_MAX }),
            early => assert_eq!(early, whole, "after {end} bytes"),
        }
    }
    let Read::Done(header) = whole else { return };
    assert!(header.consumed <= bytes.len());
    assert_eq!(header.source.is_some(), header.destination.is_some());
    assert!(!header.local || header.source.is_none());
    let (Some(source), Some(destination)) = (header.source, header.destination) else { return };
    assert_eq!(source.is_ipv4(), destination.is_ipv4());

    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let line =
        format!("PROXY {family} {} {} {} {}\r\n", source.ip(), destination.ip(), source.port(), destination.port());
    for again in [line.into_bytes(), version_2(source, destination)] {
        assert_eq!(read(&again), Read::Done(Header { consumed: again.len(), ..header }));
    }
});

fn version_2(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut block = Vec::new();
    for address in [source, destination] {
        match address.ip() {
            IpAddr::V4(v4) => block.extend(v4.octets()),
            IpAddr::V6(v6) => block.extend(v6.octets()),
        }
    }
    block.extend(source.port().to_be_bytes());
    block.extend(destination.port().to_be_bytes());
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    bytes.push(if source.is_ipv4() { 0x11 } else { 0x21 });
    bytes.extend(u16::try_from(block.len()).unwrap_or(0).to_be_bytes());
    bytes.extend(block);
    bytes
}
