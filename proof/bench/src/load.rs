//! Load on one contender: wrk and h2load where they fit, our own client where a connection is the work.
//!
//! Never more than what is asked for: every run ends at its deadline, every attempt has one of its own. The same
//! generator drives every contender of a figure.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::Fallible;
use crate::contender::{DENIED_NET, HOST};

/// One attempt of our own client may take so long.
const ATTEMPT: Duration = Duration::from_secs(5);

/// What a run of load came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Requests answered as the figure expects, or connections refused where it expects that.
    pub(crate) done: u64,
    /// Anything else.
    pub(crate) errors: u64,
    /// Wall time.
    pub(crate) seconds: f64,
    /// Median latency, where the generator tells.
    pub(crate) p50_ms: Option<f64>,
    /// 99th percentile of latency, where the generator tells.
    pub(crate) p99_ms: Option<f64>,
}

/// What one connection of our own client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Connect, one request, until the server closes.
    Request,
    /// Connect from a denied address; to be closed on without a byte.
    Refused,
    /// Connect, full TLS 1.3 handshake, one request, until the server closes.
    Handshake,
}

/// wrk: HTTP/1.1 on kept connections. `refused` expects what is not 2xx or 3xx, and nothing else.
pub(crate) fn wrk(
    address: SocketAddr,
    tls: bool,
    path: &str,
    connections: u32,
    seconds: u32,
    refused: bool,
) -> Fallible<Tally> {
    let scheme = if tls { "https" } else { "http" };
    let text = output(
        Command::new("wrk")
            .args(["-t1", "-c", &connections.to_string(), "-d", &format!("{seconds}s"), "--latency", "-H"])
            .arg(format!("Host: {HOST}"))
            .arg(format!("{scheme}://{address}{path}")),
    )?;
    read_wrk(&text, refused).ok_or_else(|| format!("wrk says nothing that can be read:\n{text}").into())
}

fn read_wrk(text: &str, refused: bool) -> Option<Tally> {
    let line = |mark: &str| text.lines().map(str::trim).find(|line| line.contains(mark));
    let requests: u64 = line(" requests in ")?.split_whitespace().next()?.parse().ok()?;
    let seconds = milliseconds(line(" requests in ")?.split_whitespace().nth(3)?.trim_end_matches(','))? / 1000.0;
    let others: u64 = line("Non-2xx or 3xx").and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0);
    let broken: u64 = line("Socket errors:").map_or(0, |line| {
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u64>().ok()).sum()
    });
    let percentile = |mark: &str| text.lines().find_map(|line| milliseconds(line.trim().strip_prefix(mark)?.trim()));
    let wrong = if refused { requests - others } else { others };
    Some(Tally {
        done: requests - wrong,
        errors: wrong + broken,
        seconds,
        p50_ms: percentile("50%"),
        p99_ms: percentile("99%"),
    })
}

/// `120.00us`, `1.02ms`, `3.00s`.
fn milliseconds(text: &str) -> Option<f64> {
    let (number, factor) = if let Some(number) = text.strip_suffix("us") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1.0)
    } else {
        (text.strip_suffix('s')?, 1000.0)
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// h2load: HTTP/2 over TLS with `streams` requests under way on each connection.
pub(crate) fn h2load(address: SocketAddr, connections: u32, streams: u32, seconds: u32) -> Fallible<Tally> {
    let began = Instant::now();
    let text = output(
        Command::new("h2load")
            .args(["-t1", "-c", &connections.to_string(), "-m", &streams.to_string(), "-D", &seconds.to_string()])
            .arg(format!("--connect-to={address}"))
            .arg(format!("https://{HOST}/")),
    )?;
    let seconds = began.elapsed().as_secs_f64();
    read_h2load(&text, seconds).ok_or_else(|| format!("h2load says nothing that can be read:\n{text}").into())
}

fn read_h2load(text: &str, seconds: f64) -> Option<Tally> {
    let field = |start: &str, name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(start))?;
        line.split(',').find_map(|part| part.trim().strip_suffix(name)?.trim().parse().ok())
    };
    let done = field("status codes:", "2xx")?;
    let others: u64 = ["3xx", "4xx", "5xx"].into_iter().filter_map(|name| field("status codes:", name)).sum();
    Some(Tally { done, errors: others + field("requests:", "errored")?, seconds, ..Tally::default() })
}

/// Our own client: `concurrency` connections at any time, each new.
pub(crate) fn connections(attempt: Attempt, address: SocketAddr, concurrency: u32, seconds: u32) -> Fallible<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tls = TlsConnector::from(Arc::new(tls_client()?));
    let began = Instant::now();
    let deadline = began + Duration::from_secs(u64::from(seconds));
    let (done, errors) = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for number in 0..concurrency {
            tasks.spawn(repeat(attempt, address, number, deadline, tls.clone()));
        }
        let mut sum = (0, 0);
        while let Some(task) = tasks.join_next().await {
            let (done, errors) = task.unwrap_or((0, 1));
            sum = (sum.0 + done, sum.1 + errors);
        }
        sum
    });
    Ok(Tally { done, errors, seconds: began.elapsed().as_secs_f64(), ..Tally::default() })
}

/// One connection after the other until the deadline, each from another source address so that no address runs out of
/// ports or over a limit.
async fn repeat(attempt: Attempt, to: SocketAddr, number: u32, deadline: Instant, tls: TlsConnector) -> (u64, u64) {
    let (mut done, mut errors) = (0, 0);
    let mut turn = number;
    while Instant::now() < deadline {
        turn = turn.wrapping_add(7);
        match timeout(ATTEMPT, once(attempt, to, source(attempt, turn), &tls)).await {
            Ok(Ok(true)) => done += 1,
            _ => errors += 1,
        }
    }
    (done, errors)
}

fn source(attempt: Attempt, turn: u32) -> Ipv4Addr {
    let last = u8::try_from(turn % 250 + 1).unwrap_or(1);
    let [a, b, c] = if attempt == Attempt::Refused { DENIED_NET } else { [127, 0, 3] };
    Ipv4Addr::new(a, b, c, last)
}

async fn once(attempt: Attempt, to: SocketAddr, from: Ipv4Addr, tls: &TlsConnector) -> std::io::Result<bool> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let mut answer = [0_u8; 2048];
    let mut stream = match socket.connect(to).await {
        // A reset can come before the handshake is noticed.
        Err(_) if attempt == Attempt::Refused => return Ok(true),
        connected => connected?,
    };
    stream.set_nodelay(true)?;
    match attempt {
        Attempt::Refused => Ok(!matches!(stream.read(&mut answer).await, Ok(1..))),
        Attempt::Request => ask(&mut stream, &mut answer).await,
        Attempt::Handshake => {
            let name = ServerName::try_from(HOST).map_err(std::io::Error::other)?;
            ask(&mut tls.connect(name, stream).await?, &mut answer).await
        }
    }
}

/// One request that ends the connection; whether it was served.
async fn ask<S: AsyncReadExt + AsyncWriteExt + Unpin>(stream: &mut S, answer: &mut [u8]) -> std::io::Result<bool> {
    stream.write_all(request(true).as_bytes()).await?;
    let mut served = None;
    loop {
        match stream.read(answer).await {
            Ok(0) => break,
            Ok(_) => served = served.or(Some(answer.starts_with(b"HTTP/1.1 200"))),
            // Some servers skip TLS's close_notify; the response is complete or wrk-like checks would have failed.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(served.unwrap_or(false))
}

fn request(close: bool) -> String {
    let connection = if close { "Connection: close\r\n" } else { "" };
    format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{connection}\r\n")
}

/// Connections that were used once and are kept.
#[derive(Debug)]
pub(crate) struct Held {
    streams: Vec<TcpStream>,
}

impl Held {
    /// Opens `count` connections with one served request on each.
    pub(crate) fn open(address: SocketAddr, count: usize) -> Fallible<Self> {
        let mut streams = Vec::with_capacity(count);
        for number in 0..count {
            let from = Ipv4Addr::new(127, 0, 4, u8::try_from(number % 250 + 1)?);
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((from, 0)).into())?;
            socket.connect(&address.into())?;
            let mut stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(ATTEMPT))?;
            exchange(&mut stream).map_err(|error| format!("connection {number} of {count}: {error}"))?;
            streams.push(stream);
        }
        Ok(Self { streams })
    }

    /// How many still serve a request.
    pub(crate) fn alive(&mut self) -> usize {
        self.streams.iter_mut().filter_map(|stream| exchange(stream).ok()).count()
    }
}

/// One request and its whole response, told by the length that every contender passes on.
fn exchange(stream: &mut TcpStream) -> Fallible<()> {
    stream.write_all(request(false).as_bytes())?;
    let mut bytes = Vec::with_capacity(2048);
    let mut buffer = [0; 2048];
    loop {
        let read = stream.read(&mut buffer)?;
        bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if read == 0 || bytes.len() > 64 * 1024 {
            return Err("no complete response".into());
        }
        let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        if !bytes.starts_with(b"HTTP/1.1 200") {
            return Err("not served".into());
        }
        if bytes.len() >= head + 4 + 1024 {
            return Ok(());
        }
    }
}

fn output(command: &mut Command) -> Fallible<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} failed ({}): {error}{text}", output.status).into());
    }
    Ok(text)
}

/// TLS 1.3 with one cipher suite and one group that every contender has, so that the work is the same; no resumption.
fn tls_client() -> Fallible<ClientConfig> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OurOwn { schemes: algorithms.supported_schemes() }))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Takes the bench's own certificate unseen: the client's work is not measured, and the server's is the same.
#[derive(Debug)]
struct OurOwn {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for OurOwn {
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
        self.schemes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_read() {
        let text = "Running 3s test @ http://127.0.0.1:1/\n  Latency Distribution\n     50%  980.00us\n     99%    1.50ms\n  \
                    180000 requests in 3.01s, 1.00GB read\n  Socket errors: connect 0, read 2, write 0, timeout 1\n  \
                    Non-2xx or 3xx responses: 7\n";
        let served = read_wrk(text, false).expect("a tally");
        assert_eq!((served.done, served.errors), (179_993, 10));
        assert_eq!((served.p50_ms, served.p99_ms, served.seconds), (Some(0.98), Some(1.5), 3.01));
        let refused = read_wrk(text, true).expect("a tally");
        assert_eq!((refused.done, refused.errors), (7, 179_996));
        assert!(read_wrk("nothing", false).is_none());
    }

    #[test]
    fn what_h2load_prints_is_read() {
        let text = "requests: 900 total, 1028 started, 900 done, 899 succeeded, 1 failed, 1 errored, 0 timeout\n\
                    status codes: 890 2xx, 0 3xx, 9 4xx, 0 5xx\n";
        let tally = read_h2load(text, 3.0).expect("a tally");
        assert_eq!((tally.done, tally.errors), (890, 10));
    }
}
