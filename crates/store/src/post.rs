//! How witnesses and time-stamping authorities are asked: one question, one answer, and the line is cut.
//!
//! No TLS: what they answer is signed. Nothing is believed of an answer here but that it is short and came in time.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::reader::broken;

/// How long one may take to be reached, and to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// What stands before the body of an answer at most.
const HEAD_BYTES: usize = 16 * 1024;

/// Where somebody is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// With its port.
    host: String,
    path: String,
}

impl Place {
    /// From `http://host:port`, or without a port 80, and a path.
    pub(crate) fn new(url: &str, path: &str) -> Result<Self, String> {
        let host = url.strip_prefix("http://").map(|host| host.trim_end_matches('/'));
        let host = host.filter(|host| !host.is_empty()).ok_or_else(|| format!("`{url}` is not http://host:port"))?;
        let port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let host = if port { host.to_owned() } else { format!("{host}:80") };
        Ok(Self { host, path: path.to_owned() })
    }

    /// Asks; status and body of the answer. A body of more than so many bytes is refused.
    pub(crate) fn post(&self, content_type: &str, body: &[u8], most: usize) -> io::Result<(u16, Vec<u8>)> {
        let until = Instant::now() + PATIENCE;
        let Self { host, path } = self;
        let address = host.to_socket_addrs()?.next().ok_or_else(|| broken("its host has no address"))?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let length = body.len();
        // Of HTTP/1.0 the answer ends where the connection does: there are no chunks to put together.
        let head = format!(
            "POST {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut chunk)? {
                0 => break,
                read => answer.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            }
            if answer.len() > HEAD_BYTES + most {
                return Err(broken("its answer is too long"));
            }
        }
        let end = answer.windows(4).position(|end| end == b"\r\n\r\n");
        let end = end.ok_or_else(|| broken("its answer is not whole"))?;
        let body = answer.split_off(end + 4);
        let head = String::from_utf8_lossy(&answer);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| broken("its answer has no status"))?;
        if body.len() > most { Err(broken("its answer is too long")) } else { Ok((status, body)) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What is made of an answer.
    fn answered(answer: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let place =
            Place::new(&format!("http://{}/", listener.local_addr().expect("bound")), "/sign").expect("a place");
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().expect("asked");
                let mut asked = [0; 4096];
                let read = stream.read(&mut asked).expect("a question");
                assert!(
                    asked[..read].starts_with(b"POST /sign HTTP/1.0\r\n") && asked[..read].ends_with(b"\r\n\r\nwhat?")
                );
                // Whoever finds it too long hangs up.
                let _ = stream.write_all(answer);
            });
            place.post("text/plain", b"what?", 1_000)
        })
    }

    #[test]
    fn an_answer_is_whole_and_short_or_none() {
        let said = |answer: &[u8]| answered(answer).expect("an answer");
        assert_eq!(said(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nthis\r\n\r\n\xff"), (200, b"this\r\n\r\n\xff".to_vec()));
        assert_eq!(said(b"HTTP/1.0 409 \r\n\r\n"), (409, Vec::new()));
        let with = |length: usize| [b"HTTP/1.0 200 OK\r\n\r\n".as_slice(), &vec![b'x'; length]].concat();
        assert_eq!(said(&with(1_000)).1.len(), 1_000);
        let refused = |answer: &[u8]| answered(answer).expect_err("none").to_string();
        assert_eq!(refused(&with(1_001)), "its answer is too long");
        assert_eq!(refused(b""), "its answer is not whole");
        assert_eq!(refused(b"HTTP/1.0 200 OK\r\n"), "its answer is not whole");
        assert_eq!(refused(b"what?\r\n\r\n"), "its answer has no status");
    }

    #[test]
    fn a_place_is_a_host_and_a_path() {
        let place = |url| Place::new(url, "/").map(|place| place.host);
        assert_eq!(place("http://192.0.2.9:9190"), Ok("192.0.2.9:9190".to_owned()));
        assert_eq!(place("http://stamps.example/"), Ok("stamps.example:80".to_owned()));
        for url in ["https://stamps.example", "http://", "stamps.example:80"] {
            assert!(place(url).is_err(), "{url}");
        }
    }
}
