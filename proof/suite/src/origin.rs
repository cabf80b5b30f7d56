//! An upstream that says what it received, byte for byte, and behaves as its handler tells it.
//!
//! It never pools, guesses or repairs: what it captured is what the gate sent.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::client::pattern;

/// A body is kept so far; its length and digest are exact beyond.
const KEPT: usize = 64 * 1024;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The request line, without its end.
    pub line: String,
    /// Fields in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The head, byte for byte.
    pub head: Vec<u8>,
    /// The first part of the body, without chunking.
    pub body: Vec<u8>,
    /// Bytes in the body.
    pub body_len: usize,
    /// SHA-256 of the body.
    pub body_sha256: String,
    /// Trailer fields.
    pub trailers: Vec<(String, String)>,
    /// Who sent it.
    pub peer: SocketAddr,
    /// Which connection brought it, counted from 0.
    pub connection: usize,
}

impl Seen {
    /// Every value of the fields of that name, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// The first value of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The request target.
    #[must_use]
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// As the echo answers it.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "line": self.line, "headers": self.headers, "body_len": self.body_len, "body_sha256": self.body_sha256,
            "trailers": self.trailers, "remote": self.peer.to_string(),
        })
    }
}

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It takes another request.
    Keep,
    /// It is closed.
    Close,
    /// It is reset (RST).
    Reset,
}

/// How an origin answers.
pub type Answer = dyn Fn(&Seen, &mut TcpStream) -> io::Result<Next> + Send + Sync;

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    raw: Mutex<Vec<u8>>,
    connections: AtomicUsize,
    stop: AtomicBool,
}

/// An upstream on a port of its own; its threads end with it.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Origin {
    /// An upstream that answers each request with what it saw of it, and knows a few paths:
    /// `/status/N`, `/sleep/MS`, `/bytes/N`, `/chunked/N`, `/drip/N/MS`, `/trailers`, `/hints`, `/hop`, `/upgrade`.
    #[must_use]
    pub fn echo() -> Self {
        Self::start(echo)
    }

    /// An upstream that answers as `answer` says.
    ///
    /// # Panics
    /// When loopback has no free port.
    #[must_use]
    pub fn start(answer: impl Fn(&Seen, &mut TcpStream) -> io::Result<Next> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        Self::on(listener, answer)
    }

    /// [`Origin::start`] on a socket that the caller chose, to bring back an upstream that was gone.
    ///
    /// # Panics
    /// When the socket has no address.
    #[must_use]
    pub fn on(
        listener: TcpListener,
        answer: impl Fn(&Seen, &mut TcpStream) -> io::Result<Next> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let answer: Arc<Answer> = Arc::new(answer);
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (shared, answer) = (Arc::clone(&accepting), Arc::clone(&answer));
                let number = shared.connections.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || serve(stream, number, &shared, &*answer));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The whole requests received since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *lock(&self.shared.seen))
    }

    /// Every byte received since the last call, whole requests or not.
    #[must_use]
    pub fn take_raw(&self) -> Vec<u8> {
        std::mem::take(&mut *lock(&self.shared.raw))
    }

    /// Forgets what was received so far.
    pub fn forget(&self) {
        lock(&self.shared.seen).clear();
        lock(&self.shared.raw).clear();
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, which then closes its socket.
        TcpStream::connect_timeout(&self.address, Duration::from_millis(200)).ok();
    }
}

/// Writes a whole response with a length.
///
/// # Errors
/// When the gate has gone.
pub fn respond(stream: &mut TcpStream, status: u16, fields: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: TcpStream, number: usize, shared: &Shared, answer: &Answer) {
    let Ok(peer) = stream.peer_addr() else { return };
    stream.set_nodelay(true).ok();
    // A thread must not outlive its test for long, even when the gate keeps the connection.
    stream.set_read_timeout(Some(Duration::from_secs(120))).ok();
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(Captured { stream, shared });
    while let Ok(Some(seen)) = read_request(&mut reader, &mut writer, peer, number) {
        lock(&shared.seen).push(seen.clone());
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        match answer(&seen, &mut writer) {
            Ok(Next::Keep) => {}
            Ok(Next::Close) | Err(_) => {
                writer.shutdown(std::net::Shutdown::Both).ok();
                return;
            }
            Ok(Next::Reset) => {
                socket2::SockRef::from(&writer).set_linger(Some(Duration::ZERO)).ok();
                return;
            }
        }
    }
}

/// A socket that keeps what was read from it.
struct Captured<'a> {
    stream: TcpStream,
    shared: &'a Shared,
}

impl Read for Captured<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(room)?;
        let mut raw = lock(&self.shared.raw);
        if raw.len() < 4 * 1024 * 1024 {
            raw.extend_from_slice(room.get(..count).unwrap_or_default());
        }
        Ok(count)
    }
}

/// Reads one request as a plain reader of RFC 9112 would: Transfer-Encoding before Content-Length.
fn read_request(
    reader: &mut BufReader<Captured<'_>>,
    writer: &mut TcpStream,
    peer: SocketAddr,
    connection: usize,
) -> io::Result<Option<Seen>> {
    let mut head = Vec::new();
    let line = read_line(reader, &mut head)?;
    if line.is_empty() {
        return Ok(None);
    }
    let headers = read_fields(reader, &mut head)?;
    let find = |name: &str| {
        headers.iter().find(|(key, _): &&(String, String)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    if find("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut hash = Sha256::new();
    let (mut body, mut body_len, mut trailers) = (Vec::new(), 0, Vec::new());
    let mut keep = |bytes: &[u8]| {
        hash.update(bytes);
        body_len += bytes.len();
        let room = KEPT.saturating_sub(body.len()).min(bytes.len());
        body.extend_from_slice(bytes.get(..room).unwrap_or_default());
    };
    if find("transfer-encoding").is_some() {
        loop {
            let size = read_line(reader, &mut Vec::new())?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(io::Error::other)?;
            if size == 0 {
                trailers = read_fields(reader, &mut Vec::new())?;
                break;
            }
            copy(reader, size, &mut keep)?;
            read_line(reader, &mut Vec::new())?;
        }
    } else if let Some(length) = find("content-length") {
        copy(reader, length.parse().map_err(io::Error::other)?, &mut keep)?;
    }
    let body_sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(Seen { line, headers, head, body, body_len, body_sha256, trailers, peer, connection }))
}

fn copy(reader: &mut impl Read, mut left: usize, keep: &mut impl FnMut(&[u8])) -> io::Result<()> {
    let mut room = vec![0; 64 * 1024];
    while left > 0 {
        let want = left.min(room.len());
        let part = room.get_mut(..want).unwrap_or_default();
        let count = reader.read(part)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        keep(part.get(..count).unwrap_or_default());
        left -= count;
    }
    Ok(())
}

fn read_line(reader: &mut BufReader<Captured<'_>>, head: &mut Vec<u8>) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    head.extend_from_slice(&line);
    while matches!(line.last(), Some(b'\r' | b'\n')) {
        line.pop();
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn read_fields(reader: &mut BufReader<Captured<'_>>, head: &mut Vec<u8>) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = read_line(reader, head)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// The answers of [`Origin::echo`].
fn echo(seen: &Seen, stream: &mut TcpStream) -> io::Result<Next> {
    let path = seen.path().to_owned();
    let mut parts = path.split('/').skip(1);
    let verb = parts.next().unwrap_or_default();
    let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok()).unwrap_or(0);
    match verb {
        "status" => respond(stream, u16::try_from(number()).unwrap_or(500), "", b"as asked")?,
        "sleep" => {
            std::thread::sleep(Duration::from_millis(number()));
            reply(seen, stream)?;
        }
        "bytes" => respond(stream, 200, "", &pattern(usize::try_from(number()).unwrap_or(0)))?,
        "chunked" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for part in pattern(usize::try_from(number()).unwrap_or(0)).chunks(7001) {
                stream.write_all(format!("{:x}\r\n", part.len()).as_bytes())?;
                stream.write_all(part)?;
                stream.write_all(b"\r\n")?;
            }
            stream.write_all(b"0\r\n\r\n")?;
        }
        "drip" => {
            let (count, pause) = (number(), number());
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n").as_bytes())?;
            for _ in 0..count {
                std::thread::sleep(Duration::from_millis(pause));
                stream.write_all(b".")?;
            }
        }
        "trailers" => stream.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
              5\r\nhello\r\n0\r\nx-sum: 5d41402a\r\n\r\n",
        )?,
        "hints" => {
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")?;
            reply(seen, stream)?;
        }
        "hop" => respond(
            stream,
            200,
            "Connection: x-private, keep-alive\r\nx-private: upstream only\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Connection: keep-alive\r\nx-public: for all\r\n",
            b"hop",
        )?,
        "upgrade" => {
            stream
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")?;
            let mut room = [0; 4096];
            loop {
                let count = stream.read(&mut room)?;
                if count == 0 {
                    return Ok(Next::Close);
                }
                stream.write_all(room.get(..count).unwrap_or_default())?;
            }
        }
        _ => reply(seen, stream)?,
    }
    Ok(Next::Keep)
}

fn reply(seen: &Seen, stream: &mut TcpStream) -> io::Result<()> {
    let body = seen.json().to_string();
    if seen.line.starts_with("HEAD ") {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\r\n", body.len());
        return stream.write_all(head.as_bytes());
    }
    respond(stream, 200, "Content-Type: application/json\r\n", body.as_bytes())
}
