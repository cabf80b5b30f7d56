//! Forwarding chains: an untrusted peer is the client, and nothing left of what a proxy appended has an influence.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use portcullis_wire::forwarded::{Client, MAX_HOPS, Syntax, client};

fuzz_target!(|data: &[u8]| {
    let Some((mode, values)) = data.split_first() else { return };
    let syntax = if mode % 2 == 0 { Syntax::XForwardedFor } else { Syntax::Forwarded };
    let values: Vec<&[u8]> = values.split(|byte| *byte == b'\n').collect();
    let (stranger, proxy) = (IpAddr::from([203, 0, 113, 1]), IpAddr::from([10, 0, 0, 1]));

    let claimed = client(stranger, syntax, values.iter().copied(), trusted);
    assert_eq!(claimed, Client { address: stranger, hops: 0 });

    let found = client(proxy, syntax, values.iter().copied(), trusted);
    assert!(found.hops <= MAX_HOPS);
    assert!(found.hops > 0 || found.address == proxy);

    // The same header, after a trusted proxy has appended the address that it saw, as a field of its own or to the last.
    let (node, visitor) = match mode / 2 % 4 {
        0 => ("198.51.100.7", IpAddr::from([198, 51, 100, 7])),
        1 => ("198.51.100.7:4711", IpAddr::from([198, 51, 100, 7])),
        2 => ("[2001:db8::7]", IpAddr::from([0x2001, 0xDB8, 0, 0, 0, 0, 0, 7])),
        _ => ("[2001:db8::7]:4711", IpAddr::from([0x2001, 0xDB8, 0, 0, 0, 0, 0, 7])),
    };
    let element = match syntax {
        Syntax::XForwardedFor => node.to_owned(),
        Syntax::Forwarded => format!("for=\"{node}\";proto=https"),
    };
    let expected = Client { address: visitor, hops: 1 };
    let appended = values.iter().copied().chain([element.as_bytes()]).collect::<Vec<_>>();
    assert_eq!(client(proxy, syntax, appended, trusted), expected);
    let (last, others) = values.split_last().map_or((&[][..], &[][..]), |(last, others)| (*last, others));
    let joined = [last, b", ", element.as_bytes()].concat();
    let appended = others.iter().copied().chain([joined.as_slice()]).collect::<Vec<_>>();
    assert_eq!(client(proxy, syntax, appended, trusted), expected);
});

fn trusted(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10)
}
