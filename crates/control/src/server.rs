//! The listener, its connections, and the second that everything is told by.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::Extension;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;

use crate::api::{self, App};
use crate::{advice, alerts, status};

/// Connections at once; more wait in the kernel.
const CONNECTIONS: usize = 256;
/// To send the head of a request, and to be idle between two.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// To agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Head of a request.
const HEAD_BYTES: usize = 32 * 1024;
/// How often everything is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Binds so that a new process can bind too while this one ends: both are of one user, or the kernel refuses. Where no take-over is
/// meant, somebody who answers there is in the way.
pub(crate) fn listen(address: SocketAddr, takeover: bool) -> io::Result<StdListener> {
    let answers = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok();
    if address.port() != 0 && !takeover && answers() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another program answers there"));
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    Ok(socket.into())
}

/// What speaks TLS with that certificate.
pub(crate) fn tls(chain: &[u8], key: &[u8]) -> Result<TlsAcceptor, String> {
    let refused = |error: &dyn std::fmt::Display| format!("the console's certificate: {error}");
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|error| refused(&error))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| refused(&error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| refused(&error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves until it is told to stop.
pub(crate) async fn serve(
    listener: StdListener,
    tls: Option<TlsAcceptor>,
    app: Arc<App>,
    mut stopped: watch::Receiver<bool>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "there is no console"),
    };
    let router = api::router(&app);
    tokio::select! {
        () = accept(listener, tls, router) => {}
        () = tell(Arc::clone(&app)) => {}
        () = alerts::run(Arc::clone(&app)) => {}
        () = status::run(app) => {}
        // An error means that nobody is left to say stop.
        _ = stopped.wait_for(|stop| *stop) => {}
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((socket, peer)) => drop(connections.spawn(converse(socket, peer, tls.clone(), router.clone()))),
                // Out of descriptors, most likely: wait for some to come back rather than spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Whatever ends it early is the asker's matter.
async fn converse(socket: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, router: Router) {
    // Answers are small, and somebody waits for each.
    let _ = socket.set_nodelay(true);
    let service = TowerToHyperService::new(router.layer(Extension(Peer(peer))));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE).max_buf_size(HEAD_BYTES);
    match tls {
        None => drop(builder.serve_connection(TokioIo::new(socket), service).await),
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(socket)).await {
                drop(builder.serve_connection(TokioIo::new(stream), service).await);
            }
        }
    }
}

/// Each second everything is looked at once, for all who look.
async fn tell(app: Arc<App>) {
    let mut every = interval(TELL_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let desk = Arc::clone(&app.desk);
        match tokio::task::spawn_blocking(move || desk.now()).await {
            Ok(mut now) => {
                let draining = now.draining;
                now.advice = advice::advise(&now);
                app.live.stand(now);
                if draining {
                    // A new process answers, or none does any more.
                    return;
                }
            }
            Err(error) => tracing::error!(%error, "how the gate stands could not be told"),
        }
    }
}

/// Unix milliseconds.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
