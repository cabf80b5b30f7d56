//! A request of the console's own to somebody else's server, by HTTP/1.1. Nothing is followed to another place, and nothing is kept open.
//!
//! Whoever calls bounds the time.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Bytes of an answer's head at most.
const HEAD: usize = 64 * 1024;

/// Sends it to where its whole URL says, and reads the answer. A body that is longer than `most` is an error; without, none is read.
pub(crate) async fn fetch(
    mut request: Request<Full<Bytes>>,
    tls: &TlsConnector,
    most: Option<usize>,
) -> Result<(StatusCode, Vec<u8>), String> {
    let uri = request.uri().clone();
    let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else {
        return Err("the address has no host".to_owned());
    };
    let bare = host.trim_matches(['[', ']']).to_owned();
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(|error| error.to_string())?;
    let own = HeaderValue::from_str(authority.as_str()).map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, own);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let stream = TcpStream::connect((bare.as_str(), port)).await.map_err(|error| error.to_string())?;
    if secure {
        let name = ServerName::try_from(bare).map_err(|_| "the address has no name of a server".to_owned())?;
        let stream = tls.connect(name, stream).await.map_err(|error| format!("no TLS: {error}"))?;
        exchange(stream, request, most).await
    } else {
        exchange(stream, request, most).await
    }
}

/// What believes the system's authorities, or those in `ca`, in PEM.
pub(crate) fn connector(ca: Option<&[u8]>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| format!("the authorities: {error}"))?;
                roots.add(certificate).map_err(|error| format!("the authorities: {error}"))?;
            }
        }
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    most: Option<usize>,
) -> Result<(StatusCode, Vec<u8>), String> {
    let words = |error: hyper::Error| error.to_string();
    let shaken = http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(words)?;
    // Ends with this call, also where nobody waits for it any more.
    let mut driving = JoinSet::new();
    driving.spawn(async move { drop(connection.await) });
    let answer = sender.send_request(request).await.map_err(words)?;
    let status = answer.status();
    let body = match most {
        Some(most) => read(answer.into_body(), most).await?,
        None => Vec::new(),
    };
    Ok((status, body))
}

async fn read(mut body: Incoming, most: usize) -> Result<Vec<u8>, String> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        let Some(data) = frame.data_ref() else { continue };
        if read.len() + data.len() > most {
            return Err(format!("the answer is longer than {most} bytes"));
        }
        read.extend_from_slice(data);
    }
    Ok(read)
}
