//! What authenticators say, and whoever says that they are one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_wire::webauthn::{CREDENTIAL, Key, attestation, authenticator, client, key};

fuzz_target!(|data: &[u8]| {
    let Some((form, rest)) = data.split_first() else { return };
    match form % 4 {
        0 | 1 => {
            let read = if form % 4 == 0 { attestation(rest) } else { authenticator(rest) };
            let Some(made) = read.ok().and_then(|read| read.made) else { return };
            assert!((1..=CREDENTIAL).contains(&made.id.len()));
            // What is kept can be read again.
            assert!(key(made.key).is_ok());
        }
        2 => match key(rest) {
            Ok(Key::Es256(point)) => assert_eq!(point[0], 4),
            Ok(Key::Rs256 { modulus, exponent }) => assert!(modulus.len() >= 256 && !exponent.is_empty()),
            _ => {}
        },
        _ => drop(client(rest)),
    }
});
