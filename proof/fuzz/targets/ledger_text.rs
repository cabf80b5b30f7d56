//! Notes, checkpoints, keys, proofs and what a witness is asked: no text is too strange, what is read can be written and read
//! again, and nothing that a stranger makes up is believed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_ledger::checkpoint::{Checkpoint, Trust};
use portcullis_ledger::note::{Algorithm, Note, SignerKey, VerifierKey};
use portcullis_ledger::proof::Proof;
use portcullis_ledger::witness::Request;

/// A key whose signature stands in no seed.
static KEY: LazyLock<SignerKey> =
    LazyLock::new(|| SignerKey::new("suite/evidence", Algorithm::Ed25519, &[42; 32]).expect("a key"));

fuzz_target!(|data: &[u8]| {
    let trust = Trust { log: Some(KEY.public().clone()), witnesses: Vec::new(), quorum: 0 };
    if let Ok(note) = Note::parse(data) {
        assert_eq!(note.signed_by(KEY.public()), None);
        if let Some(checkpoint) = Checkpoint::parse(note.text) {
            assert_eq!(Checkpoint::parse(&checkpoint.text()), Some(checkpoint));
        }
    }
    assert!(trust.check(data).is_err());
    if let Some(request) = Request::parse(data) {
        assert_eq!(Request::parse(request.text().as_bytes()).as_ref(), Some(&request));
        assert!(request.judge(&[KEY.public().clone()], |_| None).is_err());
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(proof) = Proof::parse(text) {
        assert_eq!(Proof::parse(&proof.text()).as_ref(), Some(&proof));
        assert!(proof.check(&trust).is_err());
    }
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key));
    }
    if let Ok(key) = SignerKey::parse(text) {
        assert_eq!(SignerKey::parse(&key.secret()).map(|key| key.public().clone()), Ok(key.public().clone()));
    }
});
