//! A connection to a database's server, encrypted where it is declared so: PostgreSQL's own way to ask for TLS, and a certificate
//! that is verified or must be the declared one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use portcullis_config::policy::{Database, DatabaseTls};
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::fetch::{Exactly, Verifier};

/// `SSLRequest`, as the protocol has it.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];
/// What connecting to one address may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Plain, or encrypted.
pub(crate) enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Secure(stream) => stream.get_ref().0,
        }
    }
}

/// Connects to the server of a database.
pub(crate) async fn database(database: &Database) -> Result<Stream, String> {
    let server = &database.upstream;
    let mut last = "its name has no address".to_owned();
    for address in &server.addresses {
        match tokio::time::timeout(CONNECT, TcpStream::connect((*address, server.port))).await {
            Ok(Ok(stream)) => return encrypt(database, stream).await,
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address} does not answer"),
        }
    }
    Err(last)
}

async fn encrypt(database: &Database, mut stream: TcpStream) -> Result<Stream, String> {
    let (config, name) = match &database.tls {
        DatabaseTls::Own { upstream: None, .. } => return Ok(Stream::Plain(stream)),
        DatabaseTls::Own { upstream: Some(upstream), .. } => {
            (verified(upstream.ca_pem.as_deref())?, upstream.server_name.clone())
        }
        DatabaseTls::Same(certificate) => {
            (exactly(&certificate.cert_pem)?, database.upstream.host.trim_matches(['[', ']']).to_owned())
        }
    };
    let name = ServerName::try_from(name.clone()).map_err(|_| format!("`{name}` is no name of a server"))?;
    let failed = |error: io::Error| format!("TLS: {error}");
    stream.write_all(&SSL_REQUEST).await.map_err(failed)?;
    if stream.read_u8().await.map_err(failed)? != b'S' {
        return Err("the server speaks no TLS".to_owned());
    }
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(failed)?;
    Ok(Stream::Secure(Box::new(stream)))
}

/// A client that believes these authorities, or the system's.
fn verified(pem: Option<&[u8]>) -> Result<ClientConfig, String> {
    let roots = super::fetch::roots(pem)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// A client that believes one certificate and no other.
fn exactly(pem: &[u8]) -> Result<ClientConfig, String> {
    let leaf = CertificateDer::pem_slice_iter(pem).next().and_then(Result::ok).ok_or("`cert` holds no certificate")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = Arc::new(Verifier::new(Exactly(leaf.into_owned()), &provider));
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Secure(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Secure(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
