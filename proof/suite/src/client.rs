//! A client that sends exactly the bytes it is told, over TCP or TLS, and reads what comes back.
//!
//! It never corrects anything: what a test writes is what goes on the wire.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use sha2::{Digest as _, Sha256};

/// How long a read waits before it counts as silence. Long: it is paid only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a response did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The connection was closed before a response was complete; how many bytes had come.
    Closed(usize),
    /// The connection was reset.
    Reset,
    /// Nothing came in time.
    Silent,
    /// What came is not HTTP.
    Garbled(String),
}

/// One response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its fields, in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// Its body, without chunking.
    pub body: Vec<u8>,
    /// Its trailer fields.
    pub trailers: Vec<(String, String)>,
    /// Statuses of the interim responses before it.
    pub interim: Vec<u16>,
}

impl Response {
    /// The first field of that name; case does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The reference that a response of the gate itself carries.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.header("x-portcullis-ref")
    }
}

trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// One connection.
pub struct Wire {
    stream: Box<dyn Duplex>,
    socket: TcpStream,
    buffer: Vec<u8>,
    alpn: Option<Vec<u8>>,
    read_since_sent: bool,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Wire {
    /// A plain connection.
    ///
    /// # Panics
    /// When the connection is refused.
    #[must_use]
    pub fn plain(address: SocketAddr) -> Self {
        Self::try_plain(address).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// A plain connection, if it is taken.
    ///
    /// # Errors
    /// When the connection is refused.
    pub fn try_plain(address: SocketAddr) -> io::Result<Self> {
        let socket = connect(address)?;
        Ok(Self {
            stream: Box::new(socket.try_clone()?),
            socket,
            buffer: Vec::new(),
            alpn: None,
            read_since_sent: false,
        })
    }

    /// A connection from a particular loopback address.
    ///
    /// # Errors
    /// When the connection is refused.
    pub fn plain_from(source: std::net::IpAddr, address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect_timeout(&address.into(), PATIENCE)?;
        let socket: TcpStream = socket.into();
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        Ok(Self {
            stream: Box::new(socket.try_clone()?),
            socket,
            buffer: Vec::new(),
            alpn: None,
            read_since_sent: false,
        })
    }

    /// A TLS connection that trusts the authority in `pem` and offers `alpn`; the handshake is done on return.
    ///
    /// # Errors
    /// When the connection or the handshake fails.
    pub fn tls(address: SocketAddr, name: &str, pem: &Path, alpn: &[&str]) -> io::Result<Self> {
        let mut socket = connect(address)?;
        let mut client = tls_client(name, pem, alpn)?;
        while client.is_handshaking() {
            client.complete_io(&mut socket)?;
        }
        let chosen = client.alpn_protocol().map(<[u8]>::to_vec);
        let stream = StreamOwned::new(client, socket.try_clone()?);
        Ok(Self { stream: Box::new(stream), socket, buffer: Vec::new(), alpn: chosen, read_since_sent: false })
    }

    /// What ALPN chose.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// This end's address.
    ///
    /// # Panics
    /// When the socket has none.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.socket.local_addr().expect("a connected socket has an address")
    }

    /// Sends bytes as they are; an error is the gate's right, so it is returned.
    ///
    /// # Errors
    /// When the other end has gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.read_since_sent = false;
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Whether a byte has come since the last were sent.
    #[must_use]
    pub fn has_read_since_sent(&self) -> bool {
        self.read_since_sent
    }

    /// Ends the sending direction.
    pub fn finish(&mut self) {
        self.socket.shutdown(Shutdown::Write).ok();
    }

    /// How long reads wait from now on.
    pub fn patience(&self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).ok();
    }

    /// How long writes wait from now on.
    pub fn write_patience(&self, patience: Duration) {
        self.socket.set_write_timeout(Some(patience)).ok();
    }

    /// A response to a request that is no HEAD.
    ///
    /// # Errors
    /// [`Broken`], which says how.
    pub fn response(&mut self) -> Result<Response, Broken> {
        self.response_to("GET")
    }

    /// A response to a request of that method.
    ///
    /// # Errors
    /// [`Broken`], which says how.
    pub fn response_to(&mut self, method: &str) -> Result<Response, Broken> {
        let mut interim = Vec::new();
        loop {
            let (status, headers) = self.head()?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(status);
                continue;
            }
            let mut response = Response { status, headers, interim, ..Response::default() };
            if method == "HEAD" || matches!(status, 101 | 204 | 304) {
                return Ok(response);
            }
            if response.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
                self.chunks(&mut response)?;
            } else if let Some(length) = response.header("content-length").map(str::to_owned) {
                let length = length.parse().map_err(|_| Broken::Garbled(format!("content-length {length}")))?;
                response.body = self.take(length)?;
            } else {
                response.body = self.rest();
            }
            return Ok(response);
        }
    }

    /// One request in, one response out.
    ///
    /// # Errors
    /// [`Broken`], which says how.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Result<Response, Broken> {
        let request = request.as_ref();
        self.send(request).map_err(|error| broken(&error, 0))?;
        let head = request.starts_with(b"HEAD ");
        self.response_to(if head { "HEAD" } else { "GET" })
    }

    /// Whether the other end closes or resets within `patience`, whatever it still sends before.
    pub fn closes_within(&mut self, patience: Duration) -> bool {
        self.end_within(patience).is_some()
    }

    /// What came until the other end closed; `None` when it had not after `patience`.
    pub fn end_within(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.patience(PATIENCE);
                return None;
            }
            self.patience(left.max(Duration::from_millis(1)));
            match self.fill() {
                Ok(()) | Err(Broken::Silent) => {}
                Err(_) => return Some(std::mem::take(&mut self.buffer)),
            }
        }
    }

    /// At least one more byte, whatever it is; exactly as it came.
    ///
    /// # Errors
    /// [`Broken`], which says how.
    pub fn some(&mut self) -> Result<Vec<u8>, Broken> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Exactly `count` bytes.
    ///
    /// # Errors
    /// [`Broken`], which says how.
    pub fn take(&mut self, count: usize) -> Result<Vec<u8>, Broken> {
        while self.buffer.len() < count {
            self.fill()?;
        }
        let rest = self.buffer.split_off(count);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// A response head: status and fields.
    ///
    /// # Errors
    /// [`Broken`], which says how.
    pub fn head(&mut self) -> Result<(u16, Vec<(String, String)>), Broken> {
        let line = self.line()?;
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| line.strip_prefix("HTTP/1.0 "))
            .and_then(|rest| rest.get(..3))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| Broken::Garbled(line.clone()))?;
        Ok((status, self.fields()?))
    }

    fn fields(&mut self) -> Result<Vec<(String, String)>, Broken> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| Broken::Garbled(line.clone()))?;
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn chunks(&mut self, response: &mut Response) -> Result<(), Broken> {
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| Broken::Garbled(format!("chunk {line}")))?;
            if size == 0 {
                response.trailers = self.fields()?;
                return Ok(());
            }
            response.body.extend(self.take(size)?);
            if !self.line()?.is_empty() {
                return Err(Broken::Garbled("no line end after a chunk".to_owned()));
            }
        }
    }

    fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let mut line = self.take(end + 2)?;
                line.truncate(end);
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            self.fill()?;
        }
    }

    fn rest(&mut self) -> Vec<u8> {
        while self.fill().is_ok() {}
        std::mem::take(&mut self.buffer)
    }

    fn fill(&mut self) -> Result<(), Broken> {
        let mut room = [0; 16 * 1024];
        let read = loop {
            match self.stream.read(&mut room) {
                // A machine that is stopped and goes on interrupts whoever waits with a deadline.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(0) => Err(Broken::Closed(self.buffer.len())),
            Ok(count) => {
                self.read_since_sent = true;
                self.buffer.extend_from_slice(room.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(error) => Err(broken(&error, self.buffer.len())),
        }
    }
}

fn broken(error: &io::Error, had: usize) -> Broken {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Broken::Silent,
        io::ErrorKind::UnexpectedEof => Broken::Closed(had),
        _ => Broken::Reset,
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn tls_client(name: &str, pem: &Path, alpn: &[&str]) -> io::Result<ClientConnection> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(pem).map_err(io::Error::other)? {
        roots.add(cert.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// `length` bytes that do not repeat soon, the same each time.
#[must_use]
pub fn pattern(length: usize) -> Vec<u8> {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64: enough that a lost, doubled or swapped block changes the digest.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Asks again and again until `holds`, at most `patience`.
pub fn eventually(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + patience;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
