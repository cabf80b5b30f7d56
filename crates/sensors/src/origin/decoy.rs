//! Servers of our own that stand for a moment, for drills: one that answers whoever asks, as a way past the gate would, and its twin.
//!
//! They stand on loopback, or on the address that the sensor asks from, and hold nothing. Each has one visitor and goes.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::net::{TcpListener as Listener, TcpSocket};
use tokio::runtime::{self, Runtime};

/// How long it waits for its visitor's next word.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks whether its visitor has come.
const LOOK: Duration = Duration::from_millis(10);
/// The longest question.
const QUESTION: usize = 16 << 10;
/// Whose its certificate is; nobody believes it.
const NAME: &str = "drill.portcullis.invalid";
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: close\r\n\r\ndrill\n";

/// A server that answers its one visitor, or sends him away without a word.
pub(super) struct Decoy {
    pub(super) at: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Decoy {
    /// Stands where this thread is: in its namespace of the network.
    pub(super) fn begin(at: IpAddr, tls: bool, answers: bool) -> Result<Self, String> {
        let failed = |error: io::Error| format!("a server of ours cannot stand on {at}: {error}");
        let listener = TcpListener::bind((at, 0)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let at = listener.local_addr().map_err(failed)?;
        let tls = if tls && answers { Some(certified()?) } else { None };
        let over = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&over);
        let stand = move || {
            while !ending.load(Ordering::Acquire) {
                match listener.accept() {
                    // How far the visitor gets is for him to say.
                    Ok((stream, _)) if answers => return drop(serve(stream, tls)),
                    Ok(_) => return,
                    Err(_) => thread::sleep(LOOK),
                }
            }
        };
        thread::Builder::new().name("origin-decoy".to_owned()).spawn(stand).map_err(failed)?;
        Ok(Self { at, over })
    }
}

impl Drop for Decoy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
    }
}

fn serve(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    match tls {
        Some(tls) => {
            let session = ServerConnection::new(tls).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(session, stream);
            answer(&mut stream)?;
            stream.conn.send_close_notify();
            stream.flush()
        }
        None => answer(stream),
    }
}

fn answer(mut stream: impl Read + Write) -> io::Result<()> {
    let (mut asked, mut piece) = (Vec::new(), [0; 1024]);
    while !asked.windows(4).any(|end| end == b"\r\n\r\n") && asked.len() < QUESTION {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            count => asked.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
    }
    stream.write_all(ANSWER)?;
    stream.flush()
}

/// A server's half of TLS, with a certificate that it has made itself.
fn certified() -> Result<Arc<ServerConfig>, String> {
    let failed = |error: rcgen::Error| format!("a certificate for a server of ours: {error}");
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = CertificateParams::new([NAME.to_owned()]).and_then(|it| it.self_signed(&key)).map_err(failed)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(ToOwned::to_owned)?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|it| it.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key));
    config.map(Arc::new).map_err(|error| error.to_string())
}

/// Two who listen where the gate runs and answer nobody: one for everybody, as the kernel's table has it, and one on loopback alone.
/// The first is tied to the device of loopback, so that no stranger reaches it all the same.
pub(crate) struct Listening {
    pub(crate) at: [SocketAddr; 2],
    _wide: Listener,
    _narrow: TcpListener,
    _runtime: Runtime,
}

impl Listening {
    pub(crate) fn begin() -> Result<Self, String> {
        let failed = |error: io::Error| format!("nobody of ours can listen: {error}");
        let runtime = runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
        let entered = runtime.enter();
        let begin = || {
            let socket = TcpSocket::new_v4()?;
            socket.bind_device(Some(b"lo"))?;
            socket.bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
            let (wide, narrow) = (socket.listen(1)?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
            Ok(([wide.local_addr()?, narrow.local_addr()?], wide, narrow))
        };
        let (at, wide, narrow) = begin().map_err(failed)?;
        drop(entered);
        Ok(Self { at, _wide: wide, _narrow: narrow, _runtime: runtime })
    }
}
