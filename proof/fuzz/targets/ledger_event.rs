//! Records: figures that are read where they stand are what serde reads, whatever the bytes; a kind is found in anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_ledger::Event;

fuzz_target!(|data: &[u8]| {
    let read = Event::read(data).ok();
    assert_eq!(read, serde_json::from_slice(data).ok());
    if let Some(event) = read {
        let json = serde_json::to_vec(&event).expect("what was read is written");
        assert_eq!(Event::read(&json).expect("and read again"), event);
        assert!(!Event::kind_of(&json).is_empty());
    }
});
