//! TLS on both sides: certificates and handshakes towards visitors, verification towards upstreams.
//!
//! Never decides who is served: a name that no certificate carries gets the default one, and the host check that
//! follows answers 421. Never takes 0-RTT data, which anyone who recorded it can replay; never writes keys to a log.
//!
//! What an idle connection costs: 7.5 KiB of memory as measured, of which 4 KiB are rustls' receive buffer and 1.2 KiB
//! the stream itself. Sessions are resumed from tickets that the client keeps, so a million visitors who may come back
//! cost nothing.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use portcullis_config::Policy;
use portcullis_config::policy::{Certificate, Listener, TlsVersion, UpstreamTls};
use portcullis_wire::read::Read;
use portcullis_wire::tls::{Ja4, read_client_hello};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache, StoresServerSessions};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, NoKeyLog, ProtocolVersion, RootCertStore, ServerConfig, SignatureAlgorithm,
    SignatureScheme, version,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// TLS 1.2 sessions kept for clients that take no tickets; the oldest goes first. About 200 bytes each.
const STATEFUL_SESSIONS: usize = 4096;

/// TLS 1.3 tickets given with a handshake. HTTP/2 clients hold one connection, and each handshake brings a new ticket;
/// HTTP/1.1 clients open several at once.
const TICKETS_HTTP2: usize = 1;
const TICKETS_HTTP1: usize = 2;

/// Sessions remembered per upstream configuration, over its server names.
const UPSTREAM_SESSIONS: usize = 256;

/// First read of a handshake: a browser's ClientHello with a post-quantum key share is about 1.8 KiB.
const HELLO_READ: usize = 2048;

/// First byte of a TLS record that carries a handshake (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

const H2: &[u8] = b"h2";
const HTTP11: &[u8] = b"http/1.1";
/// PostgreSQL's name in ALPN, without which nobody speaks it over TLS from the first byte on.
pub(crate) const POSTGRESQL: &[u8] = b"postgresql";

// ---------------------------------------------------------------------------------------------------------------------
// Towards visitors: configuration.

/// What the listeners speak, made of one policy. A reload makes a new one and keeps the sessions.
#[derive(Debug)]
pub struct ServerSide {
    listeners: Vec<Option<Arc<ServerConfig>>>,
    sessions: Sessions,
}

impl ServerSide {
    /// Reads the certificates of the policy and prepares every TLS listener.
    ///
    /// # Errors
    /// In words, with the file: a certificate or key that cannot be read, or that do not belong together.
    pub fn from_policy(policy: &Policy) -> Result<Arc<Self>, String> {
        Self::with_sessions(policy, Sessions::new()?)
    }

    /// The same for a new policy, so that clients of the old one still resume: the keys of the tickets stay.
    ///
    /// # Errors
    /// As [`ServerSide::from_policy`]; the old value goes on working.
    pub fn reload(&self, policy: &Policy) -> Result<Arc<Self>, String> {
        Self::with_sessions(policy, self.sessions.clone())
    }

    /// The configuration of the listener with this index in the policy; `None` when it speaks no TLS.
    #[must_use]
    pub fn config(&self, listener: usize) -> Option<Arc<ServerConfig>> {
        self.listeners.get(listener).cloned().flatten()
    }

    fn with_sessions(policy: &Policy, sessions: Sessions) -> Result<Arc<Self>, String> {
        let listeners = if policy.listeners.iter().any(|listener| listener.tls) {
            let certificates = Arc::new(Certificates::read(&policy.certificates)?);
            policy
                .listeners
                .iter()
                .map(|listener| {
                    listener.tls.then(|| server_config(listener, &certificates, &sessions).map(Arc::new)).transpose()
                })
                .collect::<Result<_, _>>()?
        } else {
            vec![None; policy.listeners.len()]
        };
        Ok(Arc::new(Self { listeners, sessions }))
    }
}

/// Tickets and sessions, shared by all workers and listeners and kept over reloads.
#[derive(Debug, Clone)]
struct Sessions {
    /// Encrypts tickets under keys that are replaced every six hours and known for twelve.
    tickets: Arc<dyn ProducesTickets>,
    /// For TLS 1.2 clients without tickets.
    stateful: Arc<dyn StoresServerSessions>,
}

impl Sessions {
    fn new() -> Result<Self, String> {
        let tickets = aws_lc_rs::Ticketer::new().map_err(|error| format!("no keys for session tickets: {error}"))?;
        Ok(Self { tickets, stateful: ServerSessionMemoryCache::new(STATEFUL_SESSIONS) })
    }
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())))
}

fn server_config(
    listener: &Listener,
    certificates: &Arc<Certificates>,
    sessions: &Sessions,
) -> Result<ServerConfig, String> {
    let versions: &[_] = match listener.tls_min {
        TlsVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        TlsVersion::Tls13 => &[&version::TLS13],
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(|error| format!("listener `{}`: {error}", listener.name))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(certificates) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = if listener.http2 { vec![H2.to_vec(), HTTP11.to_vec()] } else { vec![HTTP11.to_vec()] };
    config.ticketer = Arc::clone(&sessions.tickets);
    config.session_storage = Arc::clone(&sessions.stateful);
    config.send_tls13_tickets = if listener.http2 { TICKETS_HTTP2 } else { TICKETS_HTTP1 };
    // A phone without AES instructions asks for ChaCha20 first and knows why; every suite of rustls is sound.
    config.ignore_client_order = false;
    config.max_early_data_size = 0;
    config.key_log = Arc::new(NoKeyLog);
    Ok(config)
}

/// The certificates of a policy, found by the name that the client asks for.
#[derive(Debug)]
struct Certificates {
    keys: Vec<Arc<CertifiedKey>>,
    /// Indices into `keys`, cheapest signature first. The operator chose the names, so a plain map does.
    exact: HashMap<Box<str>, Vec<usize>>,
    /// The same for `*.example.org`, under `example.org`.
    wildcard: HashMap<Box<str>, Vec<usize>>,
    /// For clients that name nothing, or something that is not here: whatever serves the first certificate's names.
    default: Vec<usize>,
}

impl Certificates {
    fn read(declared: &[Certificate]) -> Result<Self, String> {
        let mut found = Self { keys: Vec::new(), exact: HashMap::new(), wildcard: HashMap::new(), default: Vec::new() };
        for (index, certificate) in declared.iter().enumerate() {
            found.keys.push(Arc::new(certified_key(certificate)?));
            for name in &certificate.names {
                match name.strip_prefix("*.") {
                    Some(parent) => found.wildcard.entry(parent.into()).or_default().push(index),
                    None => found.exact.entry(name.as_str().into()).or_default().push(index),
                }
            }
        }
        let first = declared.first().ok_or("a TLS listener needs a certificate")?;
        found.default = declared
            .iter()
            .enumerate()
            .filter(|(index, other)| *index == 0 || other.names.iter().any(|name| first.names.contains(name)))
            .map(|(index, _)| index)
            .collect();
        let keys = &found.keys;
        let lists = found.exact.values_mut().chain(found.wildcard.values_mut()).chain([&mut found.default]);
        lists.for_each(|list| list.sort_by_key(|index| keys.get(*index).map_or(u8::MAX, |key| signing_cost(key))));
        Ok(found)
    }

    /// The names' certificates: exact, then one label under a wildcard, then the default.
    fn named(&self, name: Option<&str>) -> &[usize] {
        let Some(name) = name else { return &self.default };
        let name = name.strip_suffix('.').unwrap_or(name);
        self.exact
            .get(name)
            .or_else(|| name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent)))
            .unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = || self.named(hello.server_name()).iter().filter_map(|index| self.keys.get(*index));
        candidates()
            .find(|key| key.key.choose_scheme(hello.signature_schemes()).is_some())
            // None that the client can verify: with the first of them rustls names that as the cause.
            .or_else(|| candidates().next())
            .cloned()
    }
}

/// An ECDSA signature costs a tenth of an RSA one, so clients that can verify both get it.
fn signing_cost(key: &CertifiedKey) -> u8 {
    match key.key.algorithm() {
        SignatureAlgorithm::ECDSA => 0,
        SignatureAlgorithm::ED25519 => 1,
        _ => 2,
    }
}

fn certified_key(certificate: &Certificate) -> Result<CertifiedKey, String> {
    let chain = CertificateDer::pem_slice_iter(&certificate.cert_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("`{}` is not a certificate chain in PEM: {error}", certificate.cert.display()))?;
    let key = PrivateKeyDer::from_pem_slice(&certificate.key_pem)
        .map_err(|error| format!("`{}` is not a private key in PEM: {error}", certificate.key.display()))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
        let (cert, key) = (certificate.cert.display(), certificate.key.display());
        format!("`{cert}` and `{key}` cannot be served together: {error}")
    })
}

// ---------------------------------------------------------------------------------------------------------------------
// Towards visitors: the handshake.

/// What a handshake told about the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The print of its ClientHello.
    pub ja4: Option<Ja4>,
    /// The same without what comes and goes between two visits of one browser; what the engine knows it by.
    pub stack: Option<Ja4>,
    /// The name it asked for, lower case.
    pub sni: Option<String>,
    /// Whether HTTP/2 was agreed.
    pub alpn_h2: bool,
    /// The version that was agreed.
    pub version: TlsVersion,
}

/// Why there is no TLS connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The first byte is not a handshake: plain HTTP, or something else.
    NotTls,
    /// The ClientHello breaks the named rule.
    Malformed(&'static str),
    /// The handshake failed, in the words of rustls.
    Failed(String),
    /// The client went away.
    Closed,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls => out.write_str("not TLS"),
            Self::Malformed(rule) => write!(out, "malformed ClientHello: {rule}"),
            Self::Failed(cause) => out.write_str(cause),
            Self::Closed => out.write_str("closed during the handshake"),
        }
    }
}

/// Completes a handshake on a connection of which `prefix` has been read already. The deadline is the caller's.
///
/// # Errors
/// As [`Refused`] says; the connection is of no further use.
pub async fn accept(
    mut socket: TcpStream,
    prefix: Vec<u8>,
    config: Arc<ServerConfig>,
) -> Result<(TlsStream<Rewind>, Handshake), Refused> {
    let mut read = prefix;
    let (ja4, stack) = read_hello(&mut socket, &mut read).await?.unzip();
    let stream = TlsAcceptor::from(config).accept(Rewind::new(read, socket)).await.map_err(handshake_error)?;
    let (_, connection) = stream.get_ref();
    let handshake = Handshake {
        ja4,
        stack,
        sni: connection.server_name().map(str::to_owned),
        alpn_h2: connection.alpn_protocol() == Some(H2),
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
            _ => TlsVersion::Tls12,
        },
    };
    Ok((stream, handshake))
}

/// Reads until `read` holds a whole ClientHello, which it prints as JA4 and as the stack; rustls reads the same bytes again afterwards.
async fn read_hello(socket: &mut TcpStream, read: &mut Vec<u8>) -> Result<Option<(Ja4, Ja4)>, Refused> {
    loop {
        if read.first().is_some_and(|first| *first != HANDSHAKE_RECORD) {
            return Err(Refused::NotTls);
        }
        // The reader bounds how much it asks for: beyond that it answers `Invalid`.
        match read_client_hello(read) {
            Read::Done(hello) => return Ok(Some((hello.ja4(), hello.stack()))),
            Read::Invalid(rule) => return Err(Refused::Malformed(rule)),
            Read::Incomplete => {}
        }
        read.reserve(HELLO_READ);
        match socket.read_buf(read).await {
            Ok(0) | Err(_) => return Err(Refused::Closed),
            Ok(_) => {}
        }
    }
}

fn handshake_error(error: io::Error) -> Refused {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(cause) => Refused::Failed(cause.to_string()),
        None => Refused::Closed,
    }
}

/// A connection whose first bytes were read ahead and are read again. The buffer is freed once that is done.
#[derive(Debug)]
pub struct Rewind {
    ahead: Vec<u8>,
    replayed: usize,
    socket: TcpStream,
}

impl Rewind {
    /// `ahead` comes first, then what the socket holds.
    #[must_use]
    pub fn new(ahead: Vec<u8>, socket: TcpStream) -> Self {
        Self { ahead, replayed: 0, socket }
    }

    /// The socket, for addresses and options.
    #[must_use]
    pub fn get_ref(&self) -> &TcpStream {
        &self.socket
    }

    /// What has not been replayed, and the socket.
    #[must_use]
    pub fn into_parts(mut self) -> (Vec<u8>, TcpStream) {
        self.ahead.drain(..self.replayed.min(self.ahead.len()));
        (self.ahead, self.socket)
    }
}

impl AsyncRead for Rewind {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(rest @ [_, ..]) = this.ahead.get(this.replayed..) {
            let part = rest.get(..into.remaining()).unwrap_or(rest);
            into.put_slice(part);
            this.replayed += part.len();
            if this.replayed == this.ahead.len() {
                (this.ahead, this.replayed) = (Vec::new(), 0);
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.socket).poll_read(cx, into)
    }
}

impl AsyncWrite for Rewind {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Towards upstreams.

/// Client configurations, each made once and kept over reloads: upstreams that trust the same authorities share one, and its sessions.
#[derive(Debug, Default)]
pub struct UpstreamSide {
    made: Mutex<HashMap<Trust, Arc<ClientConfig>>>,
}

/// A bundle of authorities or the system's, and whether HTTP/2 is spoken.
type Trust = (Option<Vec<u8>>, bool);

impl UpstreamSide {
    /// Nothing is read before an upstream needs it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The configuration for an upstream: its authorities, and ALPN by `http2` (`h2` alone, or `http/1.1` alone).
    ///
    /// # Errors
    /// In words: the bundle or the system's certificates cannot be read, or hold none.
    pub fn client(&self, tls: &UpstreamTls, http2: bool) -> Result<Arc<ClientConfig>, String> {
        let key = (tls.ca_pem.clone(), http2);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = made.get(&key) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(client_config(tls.ca_pem.as_deref(), http2)?);
        // What no upstream holds any longer belongs to a policy that is gone.
        made.retain(|_, held| Arc::strong_count(held) > 1);
        made.insert(key, Arc::clone(&config));
        Ok(config)
    }

    /// The name that the upstream's certificate must carry, as rustls wants it.
    ///
    /// # Errors
    /// In words, when it is neither a DNS name nor an address.
    pub fn server_name(tls: &UpstreamTls) -> Result<ServerName<'static>, String> {
        ServerName::try_from(tls.server_name.clone())
            .map_err(|_| format!("`{}` is neither a DNS name nor an address", tls.server_name))
    }
}

/// What a database listener speaks with that certificate.
///
/// # Errors
/// In words: the certificate cannot be served.
pub(crate) fn database_server(certificate: &Certificate) -> Result<Arc<ServerConfig>, String> {
    let certificates = Arc::new(Certificates::read(std::slice::from_ref(certificate))?);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(certificates as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![POSTGRESQL.to_vec()];
    // The server gives no tickets either, and drivers do not come back with one.
    config.send_tls13_tickets = 0;
    config.key_log = Arc::new(NoKeyLog);
    Ok(Arc::new(config))
}

/// How a database's server is spoken to that must show this very certificate.
///
/// # Errors
/// In words: the certificate cannot be read.
pub(crate) fn database_pinned(certificate: &Certificate) -> Result<Arc<ClientConfig>, String> {
    let mut config = pinned(std::iter::once(certificate), "this is not the certificate in `cert`")?;
    config.alpn_protocols = vec![POSTGRESQL.to_vec()];
    Ok(Arc::new(config))
}

/// How a database's server is spoken to whose certificate is verified.
///
/// # Errors
/// As [`UpstreamSide::client`].
pub(crate) fn database_verified(tls: &UpstreamTls) -> Result<Arc<ClientConfig>, String> {
    let mut config = client_config(tls.ca_pem.as_deref(), false)?;
    config.alpn_protocols = vec![POSTGRESQL.to_vec()];
    Ok(Arc::new(config))
}

/// For connections that the gate makes to itself: whoever shows one of its own certificates, and has the key, is it.
///
/// # Errors
/// In words: a certificate cannot be read.
pub(crate) fn own_client(policy: &Policy) -> Result<Arc<ClientConfig>, String> {
    let mut config = pinned(policy.certificates.iter(), "this is none of the gate's certificates")?;
    config.alpn_protocols = vec![HTTP11.to_vec()];
    Ok(Arc::new(config))
}

fn pinned<'a>(
    certificates: impl Iterator<Item = &'a Certificate>,
    otherwise: &'static str,
) -> Result<ClientConfig, String> {
    let leaf = |certificate: &Certificate| {
        CertificateDer::pem_slice_iter(&certificate.cert_pem)
            .next()
            .and_then(Result::ok)
            .map(CertificateDer::into_owned)
    };
    let leaves = certificates.filter_map(leaf).collect();
    let own = Arc::new(Pinned { leaves, otherwise, provider: provider() });
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(own)
        .with_no_client_auth();
    Ok(config)
}

/// Certificates that are known one by one.
#[derive(Debug)]
struct Pinned {
    leaves: Vec<CertificateDer<'static>>,
    /// What is said of any other.
    otherwise: &'static str,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.leaves.iter().any(|leaf| leaf.as_ref() == end_entity.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General(self.otherwise.to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn client_config(ca_pem: Option<&[u8]>, http2: bool) -> Result<ClientConfig, String> {
    let roots = match ca_pem {
        Some(pem) => bundle_roots(pem)?,
        None => system_roots()?,
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![if http2 { H2.to_vec() } else { HTTP11.to_vec() }];
    config.resumption = Resumption::in_memory_sessions(UPSTREAM_SESSIONS);
    config.enable_early_data = false;
    config.key_log = Arc::new(NoKeyLog);
    Ok(config)
}

/// The system's authorities, read once in the life of the process.
fn system_roots() -> Result<Arc<RootCertStore>, String> {
    static ROOTS: OnceLock<Result<Arc<RootCertStore>, String>> = OnceLock::new();
    let load = || {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added > 0 {
            return Ok(Arc::new(roots));
        }
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        Err(format!("the system has no certificate authorities{why}; install `ca-certificates` or set `upstream_ca`"))
    };
    ROOTS.get_or_init(load).clone()
}

fn bundle_roots(pem: &[u8]) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("the CA bundle is not PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("the CA bundle holds an unusable certificate: {error}"))?;
    }
    if roots.is_empty() { Err("the CA bundle holds no certificate".into()) } else { Ok(Arc::new(roots)) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm as Kind};
    use rustls::client::Tls12Resumption;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::UnixTime;
    use rustls::{DigitallySignedStruct, HandshakeKind, SignatureScheme, SupportedProtocolVersion};
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::sockets::tests::policy;

    const ECDSA: &Kind = &rcgen::PKCS_ECDSA_P256_SHA256;
    const RSA: &Kind = &rcgen::PKCS_RSA_SHA256;
    const TLS12: &SupportedProtocolVersion = &version::TLS12;
    const TLS13: &SupportedProtocolVersion = &version::TLS13;

    fn certificate(kind: &'static Kind, names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate_for(kind).expect("a key");
        let chain = CertificateParams::new(names.clone()).and_then(|made| made.self_signed(&key)).expect("a chain");
        Certificate {
            cert: PathBuf::from("test.pem"),
            key: PathBuf::from("test.key"),
            names,
            cert_pem: chain.pem().into_bytes(),
            key_pem: key.serialize_pem().into_bytes(),
        }
    }

    fn tls_policy(tls_min: TlsVersion, http2: bool, certificates: Vec<Certificate>) -> Policy {
        let mut policy = policy(&["127.0.0.1:0"]);
        policy.listeners[0].tls = true;
        policy.listeners[0].tls_min = tls_min;
        policy.listeners[0].http2 = http2;
        policy.certificates = certificates;
        policy
    }

    fn leaf(certificate: &Certificate) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(&certificate.cert_pem).expect("what rcgen wrote")
    }

    /// Takes any certificate; says which signatures it can verify.
    #[derive(Debug)]
    struct Trusting(Vec<SignatureScheme>);

    impl ServerCertVerifier for Trusting {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.clone()
        }
    }

    fn visitor(
        versions: &[&'static SupportedProtocolVersion],
        schemes: &[SignatureScheme],
        alpn: &[&[u8]],
    ) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting(schemes.to_vec())))
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
    }

    const ANY: &[SignatureScheme] =
        &[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];

    struct Met {
        handshake: Handshake,
        kind: HandshakeKind,
        certificate: Vec<u8>,
        freed: bool,
    }

    /// One handshake over loopback, of which `ahead` bytes are read before `accept` sees the socket.
    async fn meet(server: &ServerSide, client: Arc<ClientConfig>, name: &str, ahead: usize) -> Result<Met, Refused> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let visit = async {
            let socket = TcpStream::connect(address).await.expect("loopback");
            let mut stream = TlsConnector::from(client).connect(name, socket).await?;
            // The tickets of TLS 1.3 come before the first byte of data.
            stream.read_u8().await?;
            let (_, connection) = stream.get_ref();
            let certificate = connection.peer_certificates().map(|chain| chain[0].to_vec());
            Ok::<_, io::Error>((connection.handshake_kind(), certificate))
        };
        let serve = async {
            let (mut socket, _) = listener.accept().await.expect("loopback");
            let mut prefix = vec![0; ahead];
            socket.read_exact(&mut prefix).await.expect("a ClientHello");
            let config = server.config(0).expect("a TLS listener");
            let (mut stream, handshake) = accept(socket, prefix, config).await?;
            stream.write_all(b"!").await.expect("open");
            stream.flush().await.expect("open");
            let rewind = stream.get_ref().0;
            Ok::<_, Refused>((handshake, rewind.ahead.capacity() == 0 && rewind.get_ref().peer_addr().is_ok()))
        };
        let (visited, served) = tokio::join!(visit, serve);
        let (handshake, freed) = served?;
        let (kind, certificate) = visited.expect("the server was content");
        Ok(Met { handshake, kind: kind.expect("done"), certificate: certificate.expect("one"), freed })
    }

    #[tokio::test]
    async fn a_handshake_tells_name_protocol_version_and_print() {
        let own = || vec![certificate(ECDSA, &["example.org"])];
        let plain = ServerSide::from_policy(&tls_policy(TlsVersion::Tls12, false, own())).expect("sound");
        let both = ServerSide::from_policy(&tls_policy(TlsVersion::Tls12, true, own())).expect("sound");
        let modern = ServerSide::from_policy(&tls_policy(TlsVersion::Tls13, true, own())).expect("sound");
        let (h2, h1): (&[u8], &[u8]) = (b"h2", b"http/1.1");
        let new: &[_] = &[TLS13, TLS12];
        let old: &[_] = &[TLS12];
        for (server, versions, alpn, agreed_h2, version, print) in [
            (&both, new, &[h2, h1][..], true, TlsVersion::Tls13, "t13d"),
            (&both, new, &[h1], false, TlsVersion::Tls13, "t13d"),
            (&both, new, &[], false, TlsVersion::Tls13, "t13d"),
            (&both, old, &[h2], true, TlsVersion::Tls12, "t12d"),
            (&plain, new, &[h2, h1], false, TlsVersion::Tls13, "t13d"),
            (&modern, new, &[h2], true, TlsVersion::Tls13, "t13d"),
        ] {
            // Nothing, one record header and a part of the rest, or more than that has been read before.
            for ahead in [0, 1, 5, 60] {
                let met =
                    meet(server, Arc::new(visitor(versions, ANY, alpn)), "Example.org", ahead).await.expect("met");
                assert_eq!(met.handshake.alpn_h2, agreed_h2, "{alpn:?}");
                assert_eq!(met.handshake.version, version);
                assert_eq!(met.handshake.sni.as_deref(), Some("example.org"));
                let ja4 = met.handshake.ja4.expect("a print").to_string();
                assert!(ja4.starts_with(print), "{ja4}");
                assert!(met.freed, "the bytes read ahead are not kept");
            }
        }
        let refused = meet(&modern, Arc::new(visitor(&[TLS12], ANY, &[])), "example.org", 0).await.err();
        assert!(matches!(refused, Some(Refused::Failed(_))), "{refused:?}");
        let refused = meet(&plain, Arc::new(visitor(new, ANY, &[h2])), "example.org", 0).await.err();
        assert!(matches!(refused, Some(Refused::Failed(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn the_certificate_is_chosen_by_name_and_by_what_the_client_verifies() {
        let declared = vec![
            certificate(RSA, &["example.org", "www.example.org"]),
            certificate(ECDSA, &["example.org"]),
            certificate(ECDSA, &["*.example.org"]),
            certificate(ECDSA, &["deep.members.example.org"]),
        ];
        let leaves: Vec<_> = declared.iter().map(leaf).collect();
        let server = ServerSide::from_policy(&tls_policy(TlsVersion::Tls12, false, declared)).expect("sound");
        let rsa = &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256][..];
        for (name, schemes, expected) in [
            ("example.org", ANY, 1),
            ("example.org", rsa, 0),
            ("www.example.org", ANY, 0),
            ("WWW.example.org", ANY, 0),
            ("members.example.org", ANY, 2),
            ("deep.members.example.org", ANY, 3),
            // A wildcard stands for one label; names of others and no name get the first certificate's names.
            ("deeper.deep.members.example.org", ANY, 1),
            ("example.com", ANY, 1),
            ("example.com", rsa, 0),
            ("127.0.0.1", rsa, 0),
        ] {
            for versions in [&[TLS13][..], &[TLS12]] {
                let met = meet(&server, Arc::new(visitor(versions, schemes, &[])), name, 0).await.expect("met");
                let got = leaves.iter().position(|leaf| leaf.as_ref() == met.certificate);
                assert_eq!(got, Some(expected), "{name} {schemes:?}");
            }
        }
        let refused = meet(&server, Arc::new(visitor(&[TLS13], rsa, &[])), "members.example.org", 0).await.err();
        assert!(matches!(refused, Some(Refused::Failed(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn sessions_are_resumed_also_after_a_reload() {
        let declared = vec![certificate(ECDSA, &["example.org", "example.net"])];
        let before = tls_policy(TlsVersion::Tls12, true, declared);
        let ticketless = Resumption::in_memory_sessions(8).tls12_resumption(Tls12Resumption::SessionIdOnly);
        for (versions, resumption) in [
            (&[TLS13][..], Resumption::in_memory_sessions(8)),
            (&[TLS12], Resumption::in_memory_sessions(8)),
            (&[TLS12], ticketless),
        ] {
            let mut client = visitor(versions, ANY, &[]);
            client.resumption = resumption;
            let client = Arc::new(client);
            let old = ServerSide::from_policy(&before).expect("sound");
            let kind =
                async |server: &ServerSide, name| meet(server, Arc::clone(&client), name, 0).await.map(|met| met.kind);
            assert_eq!(kind(&old, "example.org").await, Ok(HandshakeKind::Full));
            assert_eq!(kind(&old, "example.org").await, Ok(HandshakeKind::Resumed));
            let new = old.reload(&before).expect("sound");
            assert_eq!(kind(&new, "example.org").await, Ok(HandshakeKind::Resumed));
            assert_eq!(kind(&new, "example.net").await, Ok(HandshakeKind::Full), "a ticket is for one name");
            let stranger = ServerSide::from_policy(&before).expect("sound");
            assert_eq!(kind(&stranger, "example.org").await, Ok(HandshakeKind::Full), "its tickets have other keys");
        }
    }

    #[tokio::test]
    async fn what_is_no_handshake_is_refused_by_its_kind() {
        let declared = vec![certificate(ECDSA, &["example.org"])];
        let server = ServerSide::from_policy(&tls_policy(TlsVersion::Tls12, true, declared)).expect("sound");
        // A record of the handshake that holds a ServerHello, and one that ends in the middle.
        let server_hello = [22, 3, 1, 0, 6, 2, 0, 0, 2, 3, 3];
        for (sent, prefixed, expected) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], false, "not TLS"),
            (b"GET / HTTP/1.1\r\n\r\n", true, "not TLS"),
            (b"", false, "closed during the handshake"),
            (&[22, 3, 1, 2, 0, 1], false, "closed during the handshake"),
            (&server_hello, false, "malformed ClientHello"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
            let mut client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("loopback");
            let (socket, _) = listener.accept().await.expect("loopback");
            let prefix = if prefixed { sent.to_vec() } else { Vec::new() };
            if !prefixed {
                client.write_all(sent).await.expect("open");
                client.shutdown().await.expect("open");
            }
            let refused = accept(socket, prefix, server.config(0).expect("TLS")).await.expect_err("no handshake");
            assert!(refused.to_string().starts_with(expected), "{refused}");
        }
    }

    #[test]
    fn a_policy_whose_certificates_cannot_be_served_is_refused_with_the_file() {
        let good = certificate(ECDSA, &["example.org"]);
        let other = certificate(ECDSA, &["example.org"]);
        let with = |change: &dyn Fn(&mut Certificate)| {
            let mut certificate = good.clone();
            change(&mut certificate);
            ServerSide::from_policy(&tls_policy(TlsVersion::Tls12, true, vec![certificate])).err().unwrap_or_default()
        };
        assert_eq!(with(&|_| {}), "");
        assert!(with(&|one| one.key_pem.clone_from(&other.key_pem)).contains("`test.pem` and `test.key`"));
        assert!(with(&|one| one.key_pem = b"nothing".to_vec()).contains("`test.key` is not a private key"));
        assert!(with(&|one| one.cert_pem = Vec::new()).contains("`test.pem`"));
        let without = ServerSide::from_policy(&tls_policy(TlsVersion::Tls12, true, Vec::new())).err();
        assert!(without.is_some_and(|error| error.contains("needs a certificate")));
        let plain = ServerSide::from_policy(&policy(&["127.0.0.1:0"])).expect("needs no certificate");
        assert!(plain.config(0).is_none() && plain.config(7).is_none());
    }

    #[tokio::test]
    async fn upstreams_are_verified_against_their_bundle_and_name() {
        let own = certificate(ECDSA, &["upstream.example"]);
        let other = certificate(ECDSA, &["upstream.example"]);
        let server = ServerSide::from_policy(&tls_policy(TlsVersion::Tls12, true, vec![own.clone()])).expect("sound");
        let upstreams = UpstreamSide::new();
        let tls = |name: &str, ca: &Certificate| UpstreamTls {
            server_name: name.into(),
            ca: None,
            ca_pem: Some(ca.cert_pem.clone()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        for (name, ca, http2, verified) in [
            ("upstream.example", &own, true, true),
            ("upstream.example", &own, false, true),
            ("other.example", &own, true, false),
            ("127.0.0.1", &own, true, false),
            ("upstream.example", &other, true, false),
        ] {
            let tls = tls(name, ca);
            let config = upstreams.client(&tls, http2).expect("a bundle");
            let name = UpstreamSide::server_name(&tls).expect("a name");
            let connect = async {
                let socket = TcpStream::connect(address).await.expect("loopback");
                TlsConnector::from(Arc::clone(&config)).connect(name, socket).await.is_ok()
            };
            let serve = async {
                let (socket, _) = listener.accept().await.expect("loopback");
                accept(socket, Vec::new(), server.config(0).expect("TLS")).await.map(|(_, handshake)| handshake.alpn_h2)
            };
            let (connected, served) = tokio::join!(connect, serve);
            assert_eq!(connected, verified, "{tls:?}");
            assert_eq!(served.ok(), verified.then_some(http2));
            assert!(Arc::ptr_eq(&config, &upstreams.client(&tls, http2).expect("made before")));
        }
        assert!(upstreams.client(&UpstreamTls { ca_pem: Some(Vec::new()), ..tls("a.example", &own) }, true).is_err());
        assert!(UpstreamSide::server_name(&tls("not a name", &own)).is_err());
    }
}
