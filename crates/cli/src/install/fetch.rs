//! An archive over HTTPS, into memory.
//!
//! It speaks HTTPS and nothing else, follows a few redirections, and believes nothing before the sum is right: that is the
//! caller's check.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::release::ARCHIVE_BYTES;

/// For the whole of it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Places that keep releases redirect to where they lie, once or twice.
const REDIRECTIONS: usize = 5;

/// The system's certificate authorities.
pub(crate) fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err("the system has no certificate authorities; install `ca-certificates`".to_owned());
    }
    Ok(roots)
}

/// What lies at a URL.
pub(super) fn get(url: &str, roots: RootCertStore) -> Result<Vec<u8>, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let tls = TlsConnector::from(Arc::new(config));
    let followed = async {
        let mut at = url.to_owned();
        for _ in 0..=REDIRECTIONS {
            match once(&at, &tls).await.map_err(|why| format!("cannot fetch {at}: {why}"))? {
                Got::Body(bytes) => return Ok(bytes),
                Got::Elsewhere(location) => at = location,
            }
        }
        Err(format!("{url} redirects more than {REDIRECTIONS} times"))
    };
    let late = |_| Err(format!("{url} did not answer within {} seconds", PATIENCE.as_secs()));
    runtime.block_on(async { timeout(PATIENCE, followed).await.unwrap_or_else(late) })
}

enum Got {
    Body(Vec<u8>),
    Elsewhere(String),
}

async fn once(url: &str, tls: &TlsConnector) -> Result<Got, String> {
    let uri: Uri = url.parse().map_err(|error| format!("not a URL: {error}"))?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("https")).ok_or("not an https URL")?;
    let bare = host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(bare.clone()).map_err(|_| "not a host".to_owned())?;
    let words = |error: std::io::Error| crate::world::plain(&error);
    let stream = TcpStream::connect((bare, uri.port_u16().unwrap_or(443))).await.map_err(words)?;
    let stream = tls.connect(name, stream).await.map_err(words)?;
    let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driven = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, uri.authority().map_or(host, |authority| authority.as_str()))
        .header(header::USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = send.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    if status.is_redirection() {
        let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        let location = location.ok_or("a redirection without an address")?;
        let absolute = match location.strip_prefix('/') {
            Some(_) => format!("https://{}{location}", uri.authority().map_or(host, |authority| authority.as_str())),
            None => location.to_owned(),
        };
        return Ok(Got::Elsewhere(absolute));
    }
    if !status.is_success() {
        return Err(format!("the answer is {status}"));
    }
    let most = usize::try_from(ARCHIVE_BYTES).unwrap_or(usize::MAX);
    let body = Limited::new(response.into_body(), most).collect().await.map_err(|error| error.to_string())?;
    driven.abort();
    Ok(Got::Body(body.to_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
    use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

    use super::*;

    /// A server that answers each request with the next answer, and the roots that believe it.
    fn server(answers: Vec<String>) -> (u16, RootCertStore) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate").der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a root");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a pair");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        std::thread::spawn(move || {
            for answer in answers {
                let Ok((mut socket, _)) = listener.accept() else { return };
                let Ok(mut session) = rustls::ServerConnection::new(Arc::clone(&config)) else { return };
                let mut stream = rustls::Stream::new(&mut session, &mut socket);
                let mut head = [0; 1024];
                let _ = stream.read(&mut head);
                let _ = stream.write_all(answer.replace("PORT", &port.to_string()).as_bytes());
                session.send_close_notify();
                let _ = session.complete_io(&mut socket);
            }
        });
        (port, roots)
    }

    #[test]
    fn redirections_are_followed_and_what_lies_there_is_fetched() {
        let moved = "HTTP/1.1 302 Found\r\nLocation: https://localhost:PORT/there\r\nContent-Length: 0\r\n\r\n";
        let here = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        let (port, roots) = server(vec![moved.to_owned(), here.to_owned()]);
        assert_eq!(get(&format!("https://localhost:{port}/"), roots), Ok(b"abc".to_vec()));
    }

    #[test]
    fn nothing_but_https_and_nobody_unknown_is_believed() {
        let roots = RootCertStore::empty();
        assert!(get("http://localhost/", roots.clone()).is_err_and(|why| why.contains("not an https URL")));
        let (port, _) = server(vec!["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".to_owned()]);
        assert!(get(&format!("https://localhost:{port}/"), roots).is_err());
        let plain = "HTTP/1.1 302 Found\r\nLocation: http://localhost:PORT/\r\nContent-Length: 0\r\n\r\n";
        let (port, roots) = server(vec![plain.to_owned()]);
        assert!(get(&format!("https://localhost:{port}/"), roots).is_err_and(|why| why.contains("not an https URL")));
    }
}
