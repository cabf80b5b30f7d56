//! What a time-stamping authority answers: no bytes are too strange, and what is taken for a stamp is one of what was asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_ledger::stamp::{Refusal, Request, Stamp};

fuzz_target!(|data: &[u8]| {
    // The seeds answer this question.
    let request = Request::new([0xab; 32], 7);
    match request.answered(data) {
        Ok((token, stamp)) => {
            assert!(data.ends_with(token));
            assert_eq!((stamp.imprint, stamp.nonce), (request.imprint, Some(request.nonce)));
            assert_eq!(Stamp::parse(token), Some(stamp));
        }
        Err(Refusal::Refused(words)) => assert!(words.chars().count() <= 200 && !words.contains(char::is_control)),
        Err(_) => {}
    }
    if let Some(stamp) = Stamp::parse(data) {
        assert!(stamp.serial.len() <= 128);
        // A token is no answer.
        assert!(request.answered(data).is_err());
    }
});
