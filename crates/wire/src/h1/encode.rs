//! What the gate writes: heads and chunks, appended to a buffer that the caller owns.

use crate::http::Fields;

/// `GET /path HTTP/1.1` and its line end.
pub fn request_line(into: &mut Vec<u8>, method: &[u8], target: &[u8]) {
    into.extend_from_slice(method);
    into.push(b' ');
    into.extend_from_slice(target);
    into.extend_from_slice(b" HTTP/1.1\r\n");
}

/// `HTTP/1.1 200 OK` and its line end.
pub fn status_line(into: &mut Vec<u8>, status: u16) {
    into.extend_from_slice(b"HTTP/1.1 ");
    number(into, u64::from(status));
    into.push(b' ');
    into.extend_from_slice(phrase(status).as_bytes());
    into.extend_from_slice(b"\r\n");
}

/// One field line.
pub fn field(into: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    into.extend_from_slice(name);
    into.extend_from_slice(b": ");
    into.extend_from_slice(value);
    into.extend_from_slice(b"\r\n");
}

/// One field line with a number.
pub fn number_field(into: &mut Vec<u8>, name: &[u8], value: u64) {
    into.extend_from_slice(name);
    into.extend_from_slice(b": ");
    number(into, value);
    into.extend_from_slice(b"\r\n");
}

/// The empty line that ends a head.
pub fn end(into: &mut Vec<u8>) {
    into.extend_from_slice(b"\r\n");
}

/// The size line of a chunk; `size` is not zero, which would end the body.
pub fn chunk_start(into: &mut Vec<u8>, size: usize) {
    debug_assert!(size > 0, "a chunk of size zero ends the body");
    let mut digits = [0_u8; 16];
    let mut rest = size;
    let mut at = digits.len();
    while rest > 0 && at > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
    }
    into.extend_from_slice(digits.get(at..).unwrap_or_default());
    into.extend_from_slice(b"\r\n");
}

/// The line end behind the data of a chunk.
pub fn chunk_end(into: &mut Vec<u8>) {
    into.extend_from_slice(b"\r\n");
}

/// The chunk that ends a body, with trailer fields if there are any.
pub fn last_chunk(into: &mut Vec<u8>, trailers: Option<&Fields>) {
    into.extend_from_slice(b"0\r\n");
    for trailer in trailers.into_iter().flat_map(Fields::iter) {
        field(into, trailer.spelling, trailer.value);
    }
    end(into);
}

/// A decimal number.
pub fn number(into: &mut Vec<u8>, value: u64) {
    into.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The reason phrase of RFC 9110; empty for a status that it does not know.
const fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_hexadecimal() {
        for (size, text) in [(1, "1\r\n"), (16, "10\r\n"), (0xdead_beef, "deadbeef\r\n")] {
            let mut line = Vec::new();
            chunk_start(&mut line, size);
            assert_eq!(line, text.as_bytes());
        }
    }
}
