//! Upstreams that speak HTTP/2 badly, frame by frame: what the visitor gets, and that the next request is well.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis_suite::frames::{END_HEADERS, END_STREAM, Frame, Kind, block, frame};
use portcullis_suite::{Broken, HOST, Plan, Response, Wire};

/// An upstream that meets each request with its fault until it is told to be well.
struct Upstream {
    address: SocketAddr,
    well: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

type Fault = dyn Fn(&mut TcpStream, &Frame) -> io::Result<()> + Send + Sync;

impl Upstream {
    /// `settings` is the payload of its SETTINGS frame.
    fn start(
        settings: &'static [u8],
        fault: impl Fn(&mut TcpStream, &Frame) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (well, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let asked = Arc::new(AtomicUsize::new(0));
        let fault: Arc<Fault> = Arc::new(fault);
        let (serving, stopping, counting) = (Arc::clone(&well), Arc::clone(&stop), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (well, asked, fault) = (Arc::clone(&serving), Arc::clone(&counting), Arc::clone(&fault));
                std::thread::spawn(move || speak(stream, settings, &well, &asked, &*fault).ok());
            }
        });
        Self { address, well, asked, stop }
    }

    fn url(&self) -> String {
        format!("h2c://{}", self.address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        TcpStream::connect_timeout(&self.address, Duration::from_millis(200)).ok();
    }
}

fn speak(
    mut stream: TcpStream,
    settings: &[u8],
    well: &AtomicBool,
    asked: &AtomicUsize,
    fault: &Fault,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.read_exact(&mut [0; 24])?;
    stream.write_all(&frame(Kind::SETTINGS, 0, 0, if well.load(Ordering::Relaxed) { &[] } else { settings }))?;
    loop {
        let frame_in = read_frame(&mut stream)?;
        match frame_in.kind {
            Kind::SETTINGS if frame_in.flags & 1 == 0 => stream.write_all(&frame(Kind::SETTINGS, 1, 0, &[]))?,
            Kind::PING if frame_in.flags & 1 == 0 => stream.write_all(&frame(Kind::PING, 1, 0, &frame_in.payload))?,
            Kind::HEADERS => {
                asked.fetch_add(1, Ordering::Relaxed);
                if well.load(Ordering::Relaxed) {
                    let head = block(&[(":status", "200")]);
                    stream.write_all(&frame(Kind::HEADERS, END_HEADERS, frame_in.stream, &head))?;
                    stream.write_all(&frame(Kind::DATA, END_STREAM, frame_in.stream, b"well"))?;
                } else {
                    fault(&mut stream, &frame_in)?;
                }
            }
            _ => {}
        }
    }
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [a, b, c, kind, flags, s @ ..] = head;
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(0)];
    stream.read_exact(&mut payload)?;
    Ok(Frame { kind: Kind(kind), flags, stream: u32::from_be_bytes(s) & 0x7FFF_FFFF, payload })
}

/// Asks once in the fault and then when all is well.
fn case(name: &str, upstream: &Upstream, method: &str, body: &str) -> Result<Response, Broken> {
    let gate = Plan::new(&format!("upstream-h2-{name}"))
        .upstream(
            &[upstream.url()],
            "[platform.transport]\nretries = 0\nfirst_byte_timeout = \"1s\"\nidle_timeout = \"1s\"\nconnect_timeout = \"1s\"\neject_after = 1000\n",
        )
        .start();
    let ask = |method: &str, body: &str| {
        let length = body.len();
        let mut wire = Wire::plain(gate.http());
        wire.ask(format!(
            "{method} /a HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
    };
    let begun = Instant::now();
    let answer = ask(method, body);
    assert!(begun.elapsed() < Duration::from_secs(10), "{name}: it took {:?}", begun.elapsed());
    upstream.well.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let well = ask("GET", "").map(|response| (response.status, response.text()));
        assert_eq!(well, Ok((200, "well".to_owned())), "{name}: the next request");
    }
    let panics = gate.metrics().sum("portcullis_panics_total", &[]);
    assert!(panics.abs() < f64::EPSILON, "{name}: the gate panicked:\n{}", gate.said());
    answer
}

fn status(answer: &Result<Response, Broken>) -> u16 {
    answer.as_ref().map_or(0, |response| response.status)
}

#[test]
fn a_stream_that_is_reset() {
    let upstream = Upstream::start(&[], |stream, asked| {
        stream.write_all(&frame(Kind::RST_STREAM, 0, asked.stream, &2_u32.to_be_bytes()))
    });
    assert_eq!(status(&case("reset", &upstream, "GET", "")), 502);
}

#[test]
fn a_stream_that_is_reset_in_its_body() {
    let upstream = Upstream::start(&[], |stream, asked| {
        stream.write_all(&frame(
            Kind::HEADERS,
            END_HEADERS,
            asked.stream,
            &block(&[(":status", "200"), ("content-length", "100")]),
        ))?;
        stream.write_all(&frame(Kind::DATA, 0, asked.stream, b"half"))?;
        std::thread::sleep(Duration::from_millis(50));
        stream.write_all(&frame(Kind::RST_STREAM, 0, asked.stream, &2_u32.to_be_bytes()))
    });
    let answer = case("reset-mid-body", &upstream, "GET", "");
    assert!(answer.is_err(), "a response that is cut short is seen to be: {answer:?}");
}

#[test]
fn a_body_shorter_than_it_said() {
    let upstream = Upstream::start(&[], |stream, asked| {
        stream.write_all(&frame(
            Kind::HEADERS,
            END_HEADERS,
            asked.stream,
            &block(&[(":status", "200"), ("content-length", "100")]),
        ))?;
        stream.write_all(&frame(Kind::DATA, END_STREAM, asked.stream, b"short"))
    });
    let answer = case("short", &upstream, "GET", "");
    assert!(answer.is_err() || status(&answer) == 502, "{answer:?}");
}

#[test]
fn silence() {
    let upstream = Upstream::start(&[], |_, _| Ok(()));
    assert_eq!(status(&case("silent", &upstream, "GET", "")), 504);
}

#[test]
fn garbage_for_frames() {
    let upstream = Upstream::start(&[], |stream, _| stream.write_all(&[0xFF; 64]));
    assert_eq!(status(&case("garbage", &upstream, "GET", "")), 502);
}

#[test]
fn a_server_that_knows_no_http2() {
    // Its answer to the preface is HTTP/1.1, as a misconfigured upstream's is.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let url = format!("h2c://{}", listener.local_addr().expect("a bound socket has an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().take(8) {
            let Ok(mut stream) = stream else { continue };
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
        }
    });
    let gate = Plan::new("upstream-h2-none")
        .upstream(&[url], "[platform.transport]\nretries = 0\nfirst_byte_timeout = \"1s\"\n")
        .start();
    let answer = gate.try_get("/a");
    assert!(matches!(status(&answer), 502 | 504), "{answer:?}");
}

#[test]
fn a_connection_that_goes_away_before_it_answered() {
    let upstream = Upstream::start(&[], |stream, _| {
        stream.write_all(&frame(Kind::GOAWAY, 0, 0, &[0; 8]))?;
        stream.shutdown(std::net::Shutdown::Both)
    });
    let answer = case("goaway", &upstream, "GET", "");
    // Nothing was processed, so asking again is safe and a 502 is honest; both are right.
    assert!(matches!(status(&answer), 200 | 502), "{answer:?}");
}

#[test]
fn interim_responses_without_end() {
    let upstream = Upstream::start(&[], |stream, asked| {
        let hint = frame(Kind::HEADERS, END_HEADERS, asked.stream, &block(&[(":status", "103"), ("link", "<a>")]));
        for _ in 0..20_000 {
            stream.write_all(&hint)?;
        }
        Ok(())
    });
    assert!(matches!(status(&case("interim", &upstream, "GET", "")), 502 | 504));
}

#[test]
fn a_header_block_without_end() {
    let upstream = Upstream::start(&[], |stream, asked| {
        stream.write_all(&frame(Kind::HEADERS, 0, asked.stream, &block(&[(":status", "200")])))?;
        for number in 0..20_000 {
            let field = block(&[(format!("x-{number}"), "a".repeat(60))]);
            stream.write_all(&frame(Kind::CONTINUATION, 0, asked.stream, &field))?;
        }
        Ok(())
    });
    assert_eq!(status(&case("continuation", &upstream, "GET", "")), 502);
}

#[test]
fn a_window_that_never_opens() {
    // SETTINGS_INITIAL_WINDOW_SIZE = 0: the body of the request cannot be sent.
    let upstream = Upstream::start(&[0, 4, 0, 0, 0, 0], |_, _| Ok(()));
    let answer = case("window", &upstream, "POST", &"b".repeat(5000));
    assert!(matches!(status(&answer), 502 | 504), "{answer:?}");
}

#[test]
fn a_response_that_would_smuggle() {
    // Written as HTTP/1.1, these would be two responses or a field of their own.
    let bad: [(&str, &str); 4] =
        [("x-a", "b\r\nset-cookie: c=d"), ("transfer-encoding", "chunked"), ("connection", "close"), ("x a", "b")];
    for (number, (name, value)) in bad.into_iter().enumerate() {
        let upstream = Upstream::start(&[], move |stream, asked| {
            let fields = block(&[(":status", "200"), (name, value)]);
            stream.write_all(&frame(Kind::HEADERS, END_HEADERS | END_STREAM, asked.stream, &fields))
        });
        let answer = case(&format!("smuggle-{number}"), &upstream, "GET", "");
        assert_eq!(status(&answer), 502, "{name}: {value:?}: {answer:?}");
    }
}

#[test]
fn a_refused_stream_is_asked_for_again() {
    // REFUSED_STREAM promises that nothing was processed (RFC 9113 section 8.7).
    let upstream = Upstream::start(&[], |stream, asked| {
        stream.write_all(&frame(Kind::RST_STREAM, 0, asked.stream, &7_u32.to_be_bytes()))
    });
    let gate = Plan::new("upstream-h2-refused")
        .upstream(&[upstream.url()], "[platform.transport]\nretries = 1\nretry_budget = \"100%\"\neject_after = 1000\n")
        .start();
    assert_eq!(gate.get("/a").status, 502, "refused each time");
    assert_eq!(upstream.asked.load(Ordering::Relaxed), 2, "and asked for twice");
}
