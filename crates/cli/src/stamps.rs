//! Whose signature is under the time stamps of a ledger, as far as authorities vouch for it that somebody believes.
//!
//! Each token must be signed by the certificate that it names, which must be made for stamps and for nothing else, and must have led
//! to one of the authorities when the stamp was made. Whether a certificate was revoked since nobody is asked.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use portcullis_ledger::stamp::{ANSWER_BYTES, Hashing, Signed};
use portcullis_store::verify::SeenStamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::aws_lc_rs as algorithms;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::Failure;
use crate::world::plain;

/// `id-kp-timeStamping`.
const STAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// Of each stamp, by authority and size, who signed it; else why nobody did who is believed.
pub(crate) type Signers = BTreeMap<(String, u64), Result<String, String>>;

/// Authorities that somebody believes.
pub(crate) struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// From a file with their certificates (PEM).
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let cannot = |why: String| Failure::because(format!("{}: {why}", path.display()));
        let pem = fs::read(path).map_err(|error| cannot(plain(&error)))?;
        let all = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let all = all.map_err(|error| cannot(error.to_string()))?;
        if all.is_empty() {
            return Err(cannot("there is no certificate in it".to_owned()));
        }
        Ok(Self(all))
    }

    /// Who signed each stamp of a ledger.
    pub(crate) fn signers(&self, directory: &Path, stamps: &BTreeMap<(String, u64), SeenStamp>) -> Signers {
        let signer = |stamp: &SeenStamp| {
            let [_, token] = &stamp.paths;
            let mut bytes = Vec::new();
            let read = File::open(directory.join(token))
                .and_then(|file| file.take(ANSWER_BYTES as u64).read_to_end(&mut bytes));
            read.map_err(|error| plain(&error))?;
            self.signer(&bytes, stamp.unix_millis)
        };
        stamps.iter().map(|(key, stamp)| (key.clone(), signer(stamp))).collect()
    }

    /// Whose signature is under a token that says this time.
    fn signer(&self, token: &[u8], unix_millis: u64) -> Result<String, String> {
        let signed =
            Signed::parse(token).ok_or("its signature is in no form that is read, or is not over what it says")?;
        let along = signed.certificates.iter().map(|der| CertificateDer::from(*der));
        let all: Vec<CertificateDer<'_>> = along.chain(self.0.iter().cloned()).collect();
        let own =
            all.iter().find(|certificate| signed.is_by(certificate)).ok_or("its signer's certificate is not there")?;
        let name = made_for_stamps(own)?;
        let certificate = EndEntityCert::try_from(own).map_err(|error| format!("{name}: {error}"))?;
        let anchors = self.0.iter().map(anchor_from_trusted_cert).collect::<Result<Vec<_>, _>>();
        let anchors = anchors.map_err(|error| format!("a certificate of an authority: {error}"))?;
        let at = UnixTime::since_unix_epoch(Duration::from_millis(unix_millis));
        let usage = KeyUsage::required_if_present(STAMPING);
        certificate
            .verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &all, at, usage, None, None)
            .map_err(|error| format!("nobody who is believed vouches for {name}: {error}"))?;
        let good = |algorithm: &&dyn SignatureVerificationAlgorithm| {
            certificate.verify_signature(*algorithm, &signed.message, signed.signature).is_ok()
        };
        if over(signed.hashing).iter().any(good) { Ok(name) } else { Err(format!("it is not {name}'s signature")) }
    }
}

/// The name of a certificate that is made for stamps and for nothing else, as RFC 3161 (2.3) has it.
fn made_for_stamps(certificate: &CertificateDer<'_>) -> Result<String, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    let name = parsed.subject().to_string();
    let usage = parsed.extended_key_usage().ok().flatten();
    let alone = usage.is_some_and(|usage| {
        let it = usage.value;
        let others =
            it.any || it.server_auth || it.client_auth || it.code_signing || it.email_protection || it.ocsp_signing;
        usage.critical && it.time_stamping && !others && it.other.is_empty()
    });
    if alone { Ok(name) } else { Err(format!("the certificate of {name} is not made for stamps alone")) }
}

/// How a hash may be signed.
fn over(hashing: Hashing) -> [&'static dyn SignatureVerificationAlgorithm; 4] {
    use algorithms::{
        ECDSA_P256_SHA256, ECDSA_P256_SHA384, ECDSA_P256_SHA512, ECDSA_P384_SHA256, ECDSA_P384_SHA384,
        ECDSA_P384_SHA512, ECDSA_P521_SHA256, ECDSA_P521_SHA384, ECDSA_P521_SHA512, RSA_PKCS1_2048_8192_SHA256,
        RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    };
    match hashing {
        Hashing::Sha256 => [ECDSA_P256_SHA256, ECDSA_P384_SHA256, ECDSA_P521_SHA256, RSA_PKCS1_2048_8192_SHA256],
        Hashing::Sha384 => [ECDSA_P256_SHA384, ECDSA_P384_SHA384, ECDSA_P521_SHA384, RSA_PKCS1_2048_8192_SHA384],
        Hashing::Sha512 => [ECDSA_P256_SHA512, ECDSA_P384_SHA512, ECDSA_P521_SHA512, RSA_PKCS1_2048_8192_SHA512],
    }
}
