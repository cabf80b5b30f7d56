//! Secrets that open a door, of which only the hash is kept.

use aws_lc_rs::digest::{SHA256, digest as sha};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 256 bits of the system's randomness.
pub(crate) struct Secret([u8; 32]);

impl Secret {
    pub(crate) fn fresh() -> Self {
        Self(random())
    }

    /// As it is handed out.
    pub(crate) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// As it is kept.
    pub(crate) fn hash(&self) -> Vec<u8> {
        digest(&self.text())
    }
}

/// Of a secret as it was handed out. A table that is searched by it tells nobody how near a guess was.
pub(crate) fn digest(text: &str) -> Vec<u8> {
    digest_of(text.as_bytes()).to_vec()
}

/// A name for something that nobody guesses and a person can read out.
pub(crate) fn short_id() -> String {
    Secret::fresh().text().chars().take(12).collect()
}

/// SHA-256.
pub(crate) fn digest_of(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(sha(&SHA256, bytes).as_ref());
    hash
}

/// From the system. One that has none cannot run anything that is safe.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "there is no way to go on without randomness")]
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's randomness");
    bytes
}
