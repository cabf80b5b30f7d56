//! A request, its answer and how often to play them, as bytes between processes.
//!
//! Never text: requests are made to break readers of text. Numbers are 32 bits, least byte first; a string is its length and
//! its bytes.

use std::io::{self, Read, Write};

/// The longest string that is taken; what is longer is a broken pipe and no request.
const STRING_MAX: usize = 64 << 20;

/// A request to be played.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// `GET`.
    pub method: Vec<u8>,
    /// As it stands in the request line.
    pub target: Vec<u8>,
    /// `1.1`.
    pub version: Vec<u8>,
    /// In their order.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Without framing.
    pub body: Vec<u8>,
    /// What the platform answers; without it the request phases are all there is.
    pub reply: Option<Reply>,
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Its code, not 0.
    pub status: u16,
    /// In their order.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Without framing.
    pub body: Vec<u8>,
}

impl Message {
    /// A request that has a host and nothing else.
    #[must_use]
    pub fn get(target: &str) -> Self {
        let host = (b"Host".to_vec(), b"www.example.org".to_vec());
        Self {
            method: b"GET".to_vec(),
            target: target.as_bytes().to_vec(),
            version: b"1.1".to_vec(),
            fields: vec![host],
            ..Self::default()
        }
    }

    /// Writes it, to be played `count` times under the clock, and once more with its log when it is to `tell`.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn write(&self, count: u32, tell: bool, out: &mut impl Write) -> io::Result<()> {
        let none = Reply::default();
        let reply = self.reply.as_ref().unwrap_or(&none);
        let mut bytes = Vec::with_capacity(self.body.len() + reply.body.len() + 1024);
        push_number(&mut bytes, count);
        push_number(&mut bytes, u32::from(tell));
        for text in [&self.method, &self.target, &self.version] {
            push_string(&mut bytes, text);
        }
        push_pairs(&mut bytes, &self.fields);
        push_string(&mut bytes, &self.body);
        push_number(&mut bytes, u32::from(reply.status));
        push_pairs(&mut bytes, &reply.fields);
        push_string(&mut bytes, &reply.body);
        out.write_all(&bytes)?;
        out.flush()
    }

    /// As HTTP/1.1 would write it; for people and for patterns over requests, since what it is made of may be no HTTP.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let mut text = [&self.method[..], b" ", &self.target, b" HTTP/", &self.version, b"\r\n"].concat();
        for (name, value) in &self.fields {
            text.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
        }
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(&self.body);
        text
    }
}

/// Reads what [`Message::write`] wrote: the message, how often, and whether to tell. None at the end.
///
/// # Errors
/// When it ends in the middle, or is none.
pub fn read(input: &mut impl Read) -> io::Result<Option<(Message, u32, bool)>> {
    let mut first = [0];
    if input.read(&mut first)? == 0 {
        return Ok(None);
    }
    let mut rest = [0; 3];
    input.read_exact(&mut rest)?;
    let count = u32::from_le_bytes([first[0], rest[0], rest[1], rest[2]]);
    let tell = take_number(input)? != 0;
    let (method, target, version) = (take_string(input)?, take_string(input)?, take_string(input)?);
    let (fields, body) = (take_pairs(input)?, take_string(input)?);
    let status = u16::try_from(take_number(input)?).map_err(io::Error::other)?;
    let answer = Reply { status, fields: take_pairs(input)?, body: take_string(input)? };
    let reply = (status != 0).then_some(answer);
    Ok(Some((Message { method, target, version, fields, body, reply }, count, tell)))
}

fn push_number(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    push_number(out, u32::try_from(text.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(text);
}

fn push_pairs(out: &mut Vec<u8>, pairs: &[(Vec<u8>, Vec<u8>)]) {
    push_number(out, u32::try_from(pairs.len()).unwrap_or(u32::MAX));
    for (name, value) in pairs {
        push_string(out, name);
        push_string(out, value);
    }
}

fn take_number(input: &mut impl Read) -> io::Result<u32> {
    let mut raw = [0; 4];
    input.read_exact(&mut raw)?;
    Ok(u32::from_le_bytes(raw))
}

fn take_string(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = take_number(input)? as usize;
    if length > STRING_MAX {
        return Err(io::Error::other("a string of more than 64 MiB"));
    }
    let mut text = vec![0; length];
    input.read_exact(&mut text)?;
    Ok(text)
}

fn take_pairs(input: &mut impl Read) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    (0..take_number(input)?).map(|_| Ok((take_string(input)?, take_string(input)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let pairs = vec![(b"a".to_vec(), b"\0\n".to_vec()), (Vec::new(), Vec::new())];
        let reply = Reply { status: 503, fields: pairs.clone(), body: b"<p>".to_vec() };
        let with = Message { fields: pairs, body: vec![255; 70_000], reply: Some(reply), ..Message::get("/?\u{e9}") };
        for (message, count, tell) in [(Message::get("/"), 0, true), (with, 300_000, false)] {
            let mut bytes = Vec::new();
            message.write(count, tell, &mut bytes).unwrap();
            let whole = bytes.len();
            let mut input = &bytes[..];
            assert_eq!(read(&mut input).unwrap(), Some((message, count, tell)));
            assert_eq!(read(&mut input).unwrap(), None);
            assert!(read(&mut &bytes[..whole - 1]).is_err(), "a message that is cut is no message");
        }
    }
}
