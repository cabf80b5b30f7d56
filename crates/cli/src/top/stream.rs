//! Server-sent events, read as they come (WHATWG HTML, section 9.2).
//!
//! A gate that is not ours may answer: what it may make us keep is bounded.

/// Bytes of one event at most; a screen of a gate with many platforms is far smaller.
const EVENT_BYTES: usize = 8 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: Option<u64>,
    pub(super) kind: String,
    pub(super) data: String,
}

/// What has come of a stream and is no whole event yet.
#[derive(Debug, Default)]
pub(super) struct Stream {
    line: Vec<u8>,
    event: Event,
}

/// The stream has no end of an event where there should be one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Stream {
    /// Takes bytes, and returns the events that are whole by now.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLarge> {
        let mut whole = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                if self.line.len() + self.event.data.len() >= EVENT_BYTES {
                    return Err(TooLarge);
                }
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if !line.is_empty() {
                self.field(&String::from_utf8_lossy(line));
            } else {
                let event = std::mem::take(&mut self.event);
                if !event.data.is_empty() {
                    whole.push(event);
                }
            }
        }
        Ok(whole)
    }

    /// A line that begins with a colon is a comment, which keeps the connection open.
    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.event.id = value.parse().ok(),
            "event" => value.clone_into(&mut self.event.kind),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_they_are_cut() {
        let text = ": keep\n\nid: 7\nevent: now\ndata: {\"a\":\ndata:1}\n\nevent: happening\r\ndata: x\r\n\r\nid: 9\n\ndata: cut";
        let expected = [
            Event { id: Some(7), kind: "now".to_owned(), data: "{\"a\":\n1}".to_owned() },
            Event { id: None, kind: "happening".to_owned(), data: "x".to_owned() },
        ];
        for size in 1..text.len() {
            let mut stream = Stream::default();
            let got: Vec<Event> =
                text.as_bytes().chunks(size).flat_map(|part| stream.take(part).expect("small")).collect();
            assert_eq!(got, expected, "in parts of {size}");
        }
    }

    #[test]
    fn what_has_no_end_is_not_kept() {
        let mut stream = Stream::default();
        let part = vec![b'x'; 1024 * 1024];
        assert!((0..7).all(|_| stream.take(&part).is_ok()));
        assert_eq!(stream.take(&part).and_then(|_| stream.take(b"x")), Err(TooLarge));
    }
}
