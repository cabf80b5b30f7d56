//! A visitor's GET, once: a connection, TLS, an answer of bounded size within a bounded time, and which certificate was shown.
//!
//! The certificate is looked at whether a browser would believe it or not; what is believed is said beside it.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use portcullis_config::integrity::Outside;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use crate::manifest::hex;

/// The longest answer, in bytes.
const ANSWER: usize = 8 << 20;

/// Draws a pass for a visit to that page of that host, as a field, where the gate knows the host.
pub type Passes = Arc<dyn Fn(&str, &str) -> Option<(&'static str, String)> + Send + Sync>;

/// Whoever fetches.
pub(crate) struct Fetcher {
    runtime: Runtime,
    at: Outside,
    from: Option<IpAddr>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>, Arc<Seen>)>,
    passes: Option<Passes>,
}

/// What came.
pub(crate) struct Fetched {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) presented: Option<Presented>,
}

/// A certificate as it was shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Presented {
    /// SHA-256 of the leaf.
    pub(crate) leaf: String,
    /// SHA-256 of its public key.
    pub(crate) key: String,
    /// Who issued it.
    pub(crate) issuer: String,
    /// When it ends, in seconds since 1970.
    pub(crate) not_after: i64,
    /// Why a browser refuses it.
    pub(crate) invalid: Option<String>,
    /// It was told that it ends soon.
    #[serde(default)]
    pub(crate) told_ending: bool,
}

impl Presented {
    pub(crate) fn words(&self) -> String {
        let short = |text: &str| text.get(..16).unwrap_or_default().to_owned();
        format!("certificate {}…, key {}…, issued by {}", short(&self.leaf), short(&self.key), self.issuer)
    }
}

impl Fetcher {
    pub(crate) fn new(at: &Outside, from: Option<IpAddr>) -> Result<Self, String> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let tls = at.tls.then(|| tls(at)).transpose()?;
        Ok(Self { runtime, at: at.clone(), from, tls, passes: None })
    }

    /// With a pass for each visit.
    pub(crate) fn with(self, passes: &Passes) -> Self {
        Self { passes: Some(Arc::clone(passes)), ..self }
    }

    /// GETs a path.
    pub(crate) fn get(&self, path: &str) -> Result<Fetched, String> {
        self.ask(path, true)
    }

    /// Whether a GET is answered, whatever with: the status.
    pub(crate) fn reached(&self, path: &str) -> Result<u16, String> {
        self.ask(path, false).map(|fetched| fetched.status)
    }

    fn ask(&self, path: &str, whole: bool) -> Result<Fetched, String> {
        self.runtime.block_on(async {
            match tokio::time::timeout(self.at.timeout, self.fetch(path, whole)).await {
                Ok(fetched) => fetched,
                Err(_) => Err(format!("no answer within {} s", self.at.timeout.as_secs())),
            }
        })
    }

    async fn fetch(&self, path: &str, whole: bool) -> Result<Fetched, String> {
        let stream = self.connect().await?;
        let Some((config, name, seen)) = &self.tls else {
            let (status, body) = self.exchange(stream, path, whole).await?;
            return Ok(Fetched { status, body, presented: None });
        };
        seen.belief.take();
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name.clone(), stream).await.map_err(|error| format!("TLS: {error}"))?;
        let presented = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map(|leaf| describe(leaf, seen.belief.take()));
        let (status, body) = self.exchange(stream, path, whole).await?;
        Ok(Fetched { status, body, presented })
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        path: &str,
        whole: bool,
    ) -> Result<(u16, Vec<u8>), String> {
        // Drawn at the last moment: it is good for a moment only.
        let pass = self.passes.as_ref().and_then(|passes| passes(&self.at.host, path));
        exchange(stream, &self.at.authority, (path, whole), pass).await
    }

    async fn connect(&self) -> Result<TcpStream, String> {
        let addresses: Vec<SocketAddr> = match self.at.connect {
            Some(address) => vec![address],
            None => {
                let (host, port) = (self.at.host.clone(), self.at.port);
                let asked =
                    tokio::task::spawn_blocking(move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect));
                asked.await.map_err(|error| error.to_string())?.map_err(|error| format!("its name: {error}"))?
            }
        };
        let mut last = "its name has no address".to_owned();
        for address in addresses.into_iter().take(4) {
            match tokio::time::timeout(Duration::from_secs(5), connect(address, self.from)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = format!("{address}: {error}"),
                Err(_) => last = format!("{address} does not answer"),
            }
        }
        Err(last)
    }
}

/// From the declared address of this host, or any.
async fn connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    socket.connect(to).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    (path, whole): (&str, bool),
    pass: Option<(&'static str, String)>,
) -> Result<(u16, Vec<u8>), String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driven = tokio::spawn(connection);
    let request = hyper::Request::get(path)
        .header("host", host)
        .header("user-agent", concat!("Mozilla/5.0 (compatible; portcullis/", env!("CARGO_PKG_VERSION"), ")"))
        .header("accept", "text/html,*/*")
        .header("connection", "close");
    let request = match pass {
        Some((name, value)) => request.header(name, value),
        None => request,
    };
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let (head, body) = sender.send_request(request).await.map_err(|error| error.to_string())?.into_parts();
    if !whole {
        driven.abort();
        return Ok((head.status.as_u16(), Vec::new()));
    }
    if head.headers.get("content-encoding").is_some_and(|coding| coding != "identity") {
        driven.abort();
        return Err("it is packed, though nobody asked for it".to_owned());
    }
    let body = Limited::new(body, ANSWER).collect().await.map_err(|error| error.to_string());
    driven.abort();
    Ok((head.status.as_u16(), body?.to_bytes().to_vec()))
}

fn tls(at: &Outside) -> Result<(Arc<ClientConfig>, ServerName<'static>, Arc<Seen>), String> {
    let roots = roots(at.ca_pem.as_deref())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // A system without authorities believes nobody; that is what it says then.
    let browser = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().ok();
    let seen = Arc::new(Verifier::new(Onlooker { browser, invalid: Mutex::new(None) }, &provider));
    let verifier: Arc<dyn ServerCertVerifier> = Arc::<Seen>::clone(&seen);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // A session that goes on shows no certificate, and the one that it began with stands in for it.
    config.resumption = Resumption::disabled();
    let name = ServerName::try_from(at.host.clone()).map_err(|_| format!("`{}` is no name of a server", at.host))?;
    Ok((Arc::new(config), name, seen))
}

/// These authorities, or the system's.
pub(crate) fn roots(pem: Option<&[u8]>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = pem else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("the authorities: {error}"))?;
        roots.add(certificate).map_err(|error| format!("the authorities: {error}"))?;
    }
    Ok(roots)
}

/// Says what a browser would, and looks on.
type Seen = Verifier<Onlooker>;

/// Decides over the certificate that a server shows. That the server has its key is proven all the same, as rustls does it.
#[derive(Debug)]
pub(crate) struct Verifier<B> {
    belief: B,
    algorithms: WebPkiSupportedAlgorithms,
}

/// What of certificates is believed.
pub(crate) trait Belief: Debug + Send + Sync {
    /// Whether it is believed: the leaf first, then what came with it.
    fn judge(
        &self,
        chain: (&CertificateDer<'_>, &[CertificateDer<'_>]),
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error>;
}

/// Believes whatever is shown, and remembers why a browser would not.
#[derive(Debug)]
pub(crate) struct Onlooker {
    browser: Option<Arc<WebPkiServerVerifier>>,
    invalid: Mutex<Option<String>>,
}

/// Believes one certificate and no other.
#[derive(Debug)]
pub(crate) struct Exactly(pub(crate) CertificateDer<'static>);

impl<B: Belief> Verifier<B> {
    pub(crate) fn new(belief: B, provider: &CryptoProvider) -> Self {
        Self { belief, algorithms: provider.signature_verification_algorithms }
    }
}

impl Onlooker {
    fn take(&self) -> Option<String> {
        self.invalid.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Belief for Onlooker {
    fn judge(
        &self,
        (leaf, others): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let verdict = match &self.browser {
            Some(browser) => browser.verify_server_cert(leaf, others, name, &[], now).map(drop),
            None => Err(Error::General("no authority is known here".to_owned())),
        };
        if let Err(error) = verdict {
            *self.invalid.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal(&error));
        }
        Ok(())
    }
}

impl Belief for Exactly {
    fn judge(
        &self,
        (leaf, _): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        _: &ServerName<'_>,
        _: UnixTime,
    ) -> Result<(), Error> {
        if *leaf == self.0 {
            Ok(())
        } else {
            Err(Error::General("the server shows another certificate than the declared one".to_owned()))
        }
    }
}

impl<B: Belief> ServerCertVerifier for Verifier<B> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.belief.judge((end_entity, intermediates), server_name, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Why a browser refuses, without what differs from one second to the next.
fn refusal(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { .. } | CertificateError::Expired) => {
            "it has expired".to_owned()
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { .. } | CertificateError::NotValidYet) => {
            "it does not hold yet".to_owned()
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "nobody who is believed has issued it".to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForNameContext { .. } | CertificateError::NotValidForName,
        ) => "it is for another name".to_owned(),
        error => error.to_string(),
    }
}

fn describe(leaf: &CertificateDer<'_>, invalid: Option<String>) -> Presented {
    let mut presented = Presented { leaf: hex(&Sha256::digest(leaf)), invalid, ..Presented::default() };
    if let Ok((_, parsed)) = x509_parser::parse_x509_certificate(leaf) {
        presented.key = hex(&Sha256::digest(parsed.public_key().raw));
        presented.issuer = parsed.issuer().to_string();
        presented.not_after = parsed.validity().not_after.timestamp();
    }
    presented
}
