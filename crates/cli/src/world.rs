//! The machine under the configuration: files, names, certificates, cores.
//!
//! It answers what `portcullis_config` asks and decides nothing.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_config::{CertificateFacts, Exclusion, RuleFault, RuleFiles, World};
use portcullis_proxy::inspectors::check_exclusion;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::geography::Countries;
use crate::rulebook;

/// A file of a configuration is never larger; a certificate bundle or a long address list is far smaller.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The machine that the process runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine;

impl World for Machine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        read_file(path).map_err(|error| io::Error::new(error.kind(), plain(&error)))
    }

    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut addresses: Vec<IpAddr> = (host, 0)
            .to_socket_addrs()
            // The resolver's own words ("failed to lookup address information: …") repeat what the caller says.
            .map_err(|error| io::Error::new(error.kind(), plain(&error)))?
            .map(|address| address.ip())
            .collect();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(addresses)
    }

    fn certificate(&self, cert_pem: &[u8], key_pem: &[u8]) -> Result<CertificateFacts, String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert_pem)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("the certificate file is not PEM: {error}"))?;
        let leaf = chain.first().cloned().ok_or("the certificate file holds no certificate")?;
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|_| "the key file holds no private key in PEM (PKCS#8, PKCS#1 or SEC1, without a passphrase)")?;
        let key = default_provider()
            .key_provider
            .load_private_key(key)
            .map_err(|_| "the key is of a kind that is not supported; use RSA (2048 bits or more), ECDSA or Ed25519")?;
        let facts = facts(&leaf)?;
        CertifiedKey::new(chain, key).keys_match().map_err(|_| "the key does not belong to the certificate")?;
        Ok(facts)
    }

    fn rules(&self, patterns: &[PathBuf]) -> Result<RuleFiles, Vec<RuleFault>> {
        rulebook::read(patterns).map(|book| book.files).map_err(|wrong| wrong.faults())
    }

    fn exclusion(&self, exclusion: &Exclusion) -> Result<(), RuleFault> {
        check_exclusion(exclusion).map_err(|words| match words.split_once("; it has ") {
            Some((words, names)) => RuleFault { words: words.to_owned(), hint: Some(format!("it has {names}")) },
            None => RuleFault { words, hint: None },
        })
    }

    fn canaries(&self, registry: &[u8], key: &[u8]) -> Result<(), String> {
        portcullis_proxy::guard::canaries(registry, key).map(drop)
    }

    fn geography(&self, file: &[u8]) -> Result<(), String> {
        Countries::read(file).map(drop)
    }

    fn cores(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

/// A whole file that a configuration names.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_bounded(path, FILE_BYTES)
}

/// A whole file, unless it is larger than `limit`.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(limit + 1).read_to_end(&mut content)?;
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {} MiB", limit / 1024 / 1024)));
    }
    Ok(content)
}

/// An error of the operating system without its number.
pub(crate) fn plain(error: &io::Error) -> String {
    let words = error.to_string();
    let words = words.strip_prefix("failed to lookup address information: ").unwrap_or(&words);
    words.split(" (os error").next().unwrap_or(words).to_owned()
}

fn facts(leaf: &CertificateDer<'_>) -> Result<CertificateFacts, String> {
    let unreadable = |why: String| format!("the certificate cannot be read: {why}");
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|error| unreadable(error.to_string()))?;
    let names = certificate.subject_alternative_name().map_err(|error| unreadable(error.to_string()))?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let not_after = certificate.validity().not_after.timestamp();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok(CertificateFacts {
        names: names.iter().filter_map(name).collect(),
        not_after: Some(not_after),
        expired: not_after < i64::try_from(now).unwrap_or(i64::MAX),
    })
}

/// A DNS name, or an address as a host writes it.
fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets).ok().map(|octets| IpAddr::from(octets).to_string()),
            16 => <[u8; 16]>::try_from(*octets).ok().map(|octets| format!("[{}]", IpAddr::from(octets))),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, date_time_ymd};

    fn certificate(names: &[&str], key: &KeyPair, end: i32) -> String {
        let mut params =
            CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).expect("names");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(end, 1, 1);
        params.self_signed(key).expect("a certificate").pem()
    }

    #[test]
    fn a_certificate_says_its_names_and_its_end() {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let pem = certificate(&["Example.org", "*.example.org", "127.0.0.1"], &key, 2999);
        let facts = Machine.certificate(pem.as_bytes(), key.serialize_pem().as_bytes()).expect("in order");
        assert_eq!(facts.names, ["Example.org", "*.example.org", "127.0.0.1"]);
        assert!(!facts.expired && facts.not_after.is_some_and(|end| end > 32_000_000_000));
        let old = certificate(&["example.org"], &key, 2021);
        let facts = Machine.certificate(old.as_bytes(), key.serialize_pem().as_bytes()).expect("readable");
        assert!(facts.expired);
    }

    #[test]
    fn what_does_not_fit_is_said_in_words() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let pem = certificate(&["example.org"], &key, 2999);
        let (key, other) = (key.serialize_pem(), other.serialize_pem());
        let table: &[(&str, &str, &str)] = &[
            (&pem, &other, "does not belong"),
            (&pem, "nothing", "no private key"),
            (&pem, &pem, "no private key"),
            ("", &key, "no certificate"),
            (&key, &key, "no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key, "the certificate cannot be read"),
        ];
        for (cert, key, expected) in table {
            let said = Machine.certificate(cert.as_bytes(), key.as_bytes()).expect_err(expected);
            assert!(said.contains(expected), "{said:?} should say {expected:?}");
        }
    }

    #[test]
    fn names_that_do_not_resolve_are_said_plainly() {
        let error = Machine.resolve("nowhere.invalid").expect_err("reserved by RFC 6761");
        assert!(!error.to_string().contains("os error") && !error.to_string().contains("failed to lookup"), "{error}");
        assert!(Machine.resolve("localhost").expect("RFC 6761").iter().all(IpAddr::is_loopback));
    }

    #[test]
    fn a_file_beyond_the_limit_is_not_read() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), b"12345").expect("written");
        assert_eq!(read_bounded(file.path(), 5).expect("fits"), b"12345");
        assert_eq!(read_bounded(file.path(), 4).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
    }
}
