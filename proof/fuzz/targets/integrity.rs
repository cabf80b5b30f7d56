//! What the sensors read of others: pages, manifests, and the names of files in what the kernel tells.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The three are pure and stand in a shell; taken alone they bring neither sockets nor TLS into the targets.
#[path = "../../../crates/sensors/src/manifest.rs"]
#[allow(dead_code, unreachable_pub)]
mod manifest;
#[path = "../../../crates/sensors/src/files/notices.rs"]
#[allow(dead_code, unreachable_pub)]
mod notices;
#[path = "../../../crates/sensors/src/outside/page.rs"]
#[allow(dead_code, unreachable_pub)]
mod page;

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    match mode % 3 {
        0 => {
            let read = page::read(data, "https://example.org");
            assert!(read.items.len() <= page::ITEMS);
            // Words make no difference.
            let behind = page::read(&[b"News of today. ", data].concat(), "https://example.org");
            assert_eq!(behind, read);
        }
        1 => {
            let Ok(text) = std::str::from_utf8(data) else { return };
            if let Ok(read) = manifest::Manifest::parse(text) {
                assert_eq!(read.text(), text, "what is signed has one spelling");
            }
        }
        _ => {
            assert!(notices::parse(data).count() <= data.len() / 24);
            if let Ok(text) = std::str::from_utf8(data) {
                let _ = notices::handle(text);
            }
        }
    }
});
