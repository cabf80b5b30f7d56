//! What an OpenID provider says, and whoever stands between it and the console.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_wire::oidc::{Expected, KEYS, SUBJECT, TOKEN, answer, keys, provider, token};

/// Whose signatures are all good: what a token claims must be bounded by itself.
const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","x":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","y":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"}]}"#;
const ISSUER: &str = "https://login.example.org";

fuzz_target!(|data: &[u8]| {
    let Some((form, rest)) = data.split_first() else { return };
    match form % 4 {
        0 => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            let Ok(read) = token(text) else { return };
            assert!(text.len() <= TOKEN);
            let known = keys(JWKS.as_bytes()).expect("a key");
            let Some(key) = known.of(&read) else { return };
            let expected = Expected { issuer: ISSUER, client: "gate", nonce: "n-1", now: 1_790_000_000 };
            assert!(read.identity(key, &expected, |_, _, _| false).is_err());
            if let Ok(identity) = read.identity(key, &expected, |_, _, _| true) {
                assert!((1..=SUBJECT).contains(&identity.subject.len()));
                assert_eq!(identity.text("iss"), Some(ISSUER));
                drop((identity.texts("groups"), identity.is("email_verified"), identity.text("a.b.c")));
            }
        }
        1 => {
            if let Ok(read) = keys(rest) {
                assert!(read.len() <= KEYS);
            }
        }
        2 => {
            if let Ok(read) = provider(rest, ISSUER) {
                for address in [read.authorization, read.token, read.keys] {
                    assert!(address.starts_with("https://") && address.is_ascii());
                }
            }
        }
        _ => drop(answer(rest)),
    }
});
