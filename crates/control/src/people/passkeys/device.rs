//! A device with passkeys in software, for tests: it does what it is told, also what a real one would refuse.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::model::{PasskeyMade, PasskeyMadeResponse, PasskeyUsed, PasskeyUsedResponse};
use crate::people::secret::{digest_of, random};

/// With one passkey, in a browser on one page. Whatever a test changes, it signs.
pub(crate) struct Device {
    pair: EcdsaKeyPair,
    pub(crate) id: Vec<u8>,
    pub(crate) origin: String,
    pub(crate) party: String,
    pub(crate) framed: bool,
    /// Present and verified.
    pub(crate) flags: u8,
    pub(crate) count: u32,
    pub(crate) handle: Option<Value>,
}

impl Device {
    pub(crate) fn new(origin: &str, party: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        let id = random::<16>().to_vec();
        let (origin, party) = (origin.to_owned(), party.to_owned());
        Self { pair, id, origin, party, framed: false, flags: 0x05, count: 1, handle: None }
    }

    /// Makes its passkey, as the options ask.
    pub(crate) fn make(&mut self, options: &Value) -> PasskeyMade {
        self.handle = Some(options["user"]["id"].clone());
        let point = self.pair.public_key().as_ref();
        let mut data = self.data(self.flags | 0x40);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).expect("short").to_be_bytes());
        data.extend(&self.id);
        data.extend([0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 32]);
        data.extend(&point[33..]);
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData".to_vec();
        match u8::try_from(data.len()) {
            Ok(short) => object.extend([0x58, short]),
            Err(_) => {
                object.push(0x59);
                object.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
            }
        }
        object.extend(data);
        self.count += 1;
        PasskeyMade {
            id: text(&self.id),
            response: PasskeyMadeResponse {
                client_data_json: text(self.said("webauthn.create", options).as_bytes()),
                attestation_object: text(&object),
            },
            name: None,
        }
    }

    /// Signs, as the options ask.
    pub(crate) fn sign(&mut self, options: &Value) -> PasskeyUsed {
        let said = self.said("webauthn.get", options);
        let data = self.data(self.flags);
        let signed = [&data[..], &digest_of(said.as_bytes())].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &signed).expect("a signature");
        self.count += 1;
        PasskeyUsed {
            id: text(&self.id),
            response: PasskeyUsedResponse {
                client_data_json: text(said.as_bytes()),
                authenticator_data: text(&data),
                signature: text(signature.as_ref()),
                user_handle: self.handle.as_ref().and_then(|it| it.as_str().map(str::to_owned)),
            },
        }
    }

    fn said(&self, kind: &str, options: &Value) -> String {
        json!({"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": self.framed})
            .to_string()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = digest_of(self.party.as_bytes()).to_vec();
        data.push(flags);
        data.extend(self.count.to_be_bytes());
        data
    }
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
