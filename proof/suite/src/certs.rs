//! A certificate authority of one's own and the leaves that it signs.
//!
//! Nothing here is ever trusted outside a test.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};

/// Signs leaves; its own certificate lies in `pem` for clients to trust.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    place: PathBuf,
    /// Its certificate, in a file.
    pub pem: PathBuf,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("pem", &self.pem).finish_non_exhaustive()
    }
}

/// A certificate with its key, in files.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority that writes into `place`.
    ///
    /// # Panics
    /// When key generation or the disk fails.
    #[must_use]
    pub fn new(place: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = named("Suite authority");
        let key = KeyPair::generate().expect("a key can be made");
        let cert = params.self_signed(&key).expect("a certificate can be signed");
        let pem = place.join("authority.pem");
        fs::write(&pem, cert.pem()).expect("the certificate can be written");
        Self { issuer: Issuer::new(params, key), place: place.to_owned(), pem }
    }

    /// A leaf for `names`, in files that start with the first of them.
    ///
    /// # Panics
    /// When key generation or the disk fails.
    #[must_use]
    pub fn leaf(&self, names: &[&str]) -> Leaf {
        let first = names.first().copied().unwrap_or("leaf");
        let file = first.replace('*', "wildcard");
        let leaf = Leaf { cert: self.place.join(format!("{file}.pem")), key: self.place.join(format!("{file}.key")) };
        self.write(&leaf, names);
        leaf
    }

    /// Signs anew into the files of an existing leaf, as a renewal does.
    ///
    /// # Panics
    /// When key generation or the disk fails.
    pub fn write(&self, leaf: &Leaf, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("names of a test are names");
        params.distinguished_name = named(names.first().map_or("leaf", String::as_str));
        let key = KeyPair::generate().expect("a key can be made");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate can be signed");
        fs::write(&leaf.key, key.serialize_pem()).expect("the key can be written");
        fs::write(&leaf.cert, cert.pem()).expect("the certificate can be written");
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
