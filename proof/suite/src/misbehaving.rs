//! An upstream that breaks one rule for each path below `/bad/`, and answers well everywhere else.
//!
//! It never misbehaves unasked, so that a test can tell the fault from its consequences.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::origin::{Next, Origin, Seen, respond};

/// The upstream of [`Origin`] with these faults:
/// `silent`, `slow-head`, `reset-before`, `close-before`, `reset-mid-head`, `reset-mid-body`, `close-mid-chunk`,
/// `length-too-long`, `length-too-short`, `garbage`, `huge-head`, `many-headers`, `endless-interim`, `both-framings`,
/// `two-lengths`, `bad-chunk`, `bare-lf`, `obs-fold`, `space-before-colon`, `nul-in-value`, `http-2-line`,
/// `unasked-101`, `status-99`, `stalled-body`, `close-after`.
#[must_use]
pub fn misbehaving() -> Origin {
    Origin::start(answer)
}

fn answer(seen: &Seen, stream: &mut TcpStream) -> io::Result<Next> {
    let Some(fault) = seen.path().strip_prefix("/bad/") else {
        respond(stream, 200, "", b"well")?;
        return Ok(Next::Keep);
    };
    match fault {
        "silent" => {
            std::thread::sleep(Duration::from_secs(8));
            Ok(Next::Close)
        }
        "slow-head" => {
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" {
                stream.write_all(&[*byte])?;
                std::thread::sleep(Duration::from_millis(250));
            }
            stream.write_all(b"\r\nok")?;
            Ok(Next::Keep)
        }
        "reset-before" => Ok(Next::Reset),
        "close-before" => Ok(Next::Close),
        "reset-mid-head" => said(stream, b"HTTP/1.1 200 OK\r\nContent-Le", Next::Reset),
        "reset-mid-body" => said(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", Next::Reset),
        "close-mid-chunk" => {
            said(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf", Next::Close)
        }
        "length-too-long" => said(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", Next::Close),
        "length-too-short" => said(
            stream,
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned",
            Next::Keep,
        ),
        "garbage" => said(stream, &[0x16, 3, 1, 0, 0xFF, 0, b'\n', 7, b'\r', b'\n', b'\r', b'\n'], Next::Close),
        "huge-head" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            for number in 0..4000 {
                stream.write_all(format!("x-{number}: {}\r\n", "a".repeat(60)).as_bytes())?;
            }
            said(stream, b"Content-Length: 0\r\n\r\n", Next::Close)
        }
        "many-headers" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            for number in 0..5000 {
                stream.write_all(format!("x{number}: 1\r\n").as_bytes())?;
            }
            said(stream, b"Content-Length: 0\r\n\r\n", Next::Close)
        }
        "endless-interim" => {
            for _ in 0..100_000 {
                stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n")?;
            }
            Ok(Next::Close)
        }
        "both-framings" => said(
            stream,
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            Next::Close,
        ),
        "two-lengths" => {
            said(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", Next::Close)
        }
        "bad-chunk" => {
            said(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n", Next::Close)
        }
        "bare-lf" => said(stream, b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", Next::Close),
        "obs-fold" => said(stream, b"HTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok", Next::Close),
        "space-before-colon" => said(stream, b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", Next::Close),
        "nul-in-value" => said(stream, b"HTTP/1.1 200 OK\r\nx-a: 1\x002\r\nContent-Length: 2\r\n\r\nok", Next::Close),
        "http-2-line" => said(stream, b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Next::Close),
        "unasked-101" => said(
            stream,
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            Next::Close,
        ),
        "status-99" => said(stream, b"HTTP/1.1 99 Odd\r\nContent-Length: 2\r\n\r\nok", Next::Close),
        "stalled-body" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
            std::thread::sleep(Duration::from_secs(8));
            Ok(Next::Close)
        }
        // No `Connection: close`: the gate learns of it only from the socket.
        "close-after" => said(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Next::Close),
        _ => said(stream, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Next::Keep),
    }
}

fn said(stream: &mut TcpStream, bytes: &[u8], next: Next) -> io::Result<Next> {
    stream.write_all(bytes)?;
    if next == Next::Reset {
        // What was said must leave before the reset overtakes it.
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(next)
}
