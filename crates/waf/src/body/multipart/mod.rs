//! `multipart/form-data` (RFC 7578), as it streams: fields, files, the fields of each part's head, and all that is odd.
//!
//! The flags are `ModSecurity` 3's `MULTIPART_*` with their meaning there. Never stops at the first fault as that does: a
//! part with a broken head is kept under the name that could be read, and a body without its end as far as it goes, so that
//! what an application less strict would see is inspected. A duplicate field of a part's head is a fault here. Files are
//! counted, and kept only as far as [`Bounds::file_bytes`] says.

mod head;

use memchr::{memchr, memmem};

use super::{Bounds, Fields, Outcome, TOO_MANY_BYTES, is_space};

/// What a multipart body has.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Parts that are no files (`ARGS_POST`). Together with `files` they are `MULTIPART_NAME`.
    pub fields: Fields,
    /// Of each file, its field's name with its `filename` (`FILES`, `FILES_NAMES`, `MULTIPART_FILENAME`).
    pub files: Fields,
    /// Bytes of each of the `files`, in their order (`FILES_SIZES`).
    pub sizes: Vec<u64>,
    /// What `filename*` says, decoded, with the field's name: what an application that knows it takes instead.
    pub extended_names: Fields,
    /// The beginning of each file, with the field's name (`FILES_TMP_CONTENT`).
    pub contents: Fields,
    /// The lines of each part's head, with the part's name (`MULTIPART_PART_HEADERS`).
    pub part_headers: Fields,
    /// What is odd.
    pub flags: Flags,
    /// Whether all of it was read.
    pub outcome: Outcome,
}

impl Parts {
    /// Bytes of all files (`FILES_COMBINED_SIZE`).
    #[must_use]
    pub fn combined_size(&self) -> u64 {
        self.sizes.iter().fold(0, |sum, size| sum.saturating_add(*size))
    }
}

/// What is odd about a multipart body: the variables `MULTIPART_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a variable of the rule language")]
pub struct Flags {
    /// A boundary line that is no boundary line, or a head that cannot be read: what makes `MULTIPART_STRICT_ERROR` beside
    /// the others.
    pub error: bool,
    /// `MULTIPART_BOUNDARY_QUOTED`: in the content type.
    pub boundary_quoted: bool,
    /// `MULTIPART_BOUNDARY_WHITESPACE`: around its equals sign.
    pub boundary_whitespace: bool,
    /// `MULTIPART_DATA_BEFORE`: something stands before the first boundary.
    pub data_before: bool,
    /// `MULTIPART_DATA_AFTER`: something stands after the last.
    pub data_after: bool,
    /// `MULTIPART_HEADER_FOLDING`: a field of a head goes on in the next line.
    pub header_folding: bool,
    /// `MULTIPART_INVALID_HEADER_FOLDING`: after white space other than space and tab.
    pub invalid_header_folding: bool,
    /// `MULTIPART_LF_LINE`: a line of a head, or at a boundary, ends in a newline alone.
    pub lf_line: bool,
    /// A line ends in carriage return and newline, as it should.
    pub crlf_line: bool,
    /// `MULTIPART_MISSING_SEMICOLON`: before the boundary in the content type.
    pub missing_semicolon: bool,
    /// `MULTIPART_INVALID_QUOTING`: single quotes around a name or in one, or something after a closing quote.
    pub invalid_quoting: bool,
    /// `MULTIPART_INVALID_PART`: a part without a name, or one that ends before its content.
    pub invalid_part: bool,
    /// `MULTIPART_FILE_LIMIT_EXCEEDED`.
    pub file_limit_exceeded: bool,
    /// `MULTIPART_UNMATCHED_BOUNDARY`: 1 where something looked like a boundary and was none, 2 where a boundary came
    /// since, as one does in every good body of this kind.
    pub unmatched_boundary: u8,
}

impl Flags {
    /// `MULTIPART_CRLF_LF_LINES`: both ways of ending a line.
    #[must_use]
    pub const fn crlf_lf_lines(&self) -> bool {
        self.crlf_line && self.lf_line
    }

    /// `MULTIPART_STRICT_ERROR`.
    #[must_use]
    pub const fn strict_error(&self) -> bool {
        self.error
            || self.boundary_quoted
            || self.boundary_whitespace
            || self.data_before
            || self.data_after
            || self.header_folding
            || self.invalid_header_folding
            || self.lf_line
            || self.missing_semicolon
            || self.invalid_quoting
            || self.invalid_part
            || self.file_limit_exceeded
    }
}

/// Longest line of a part's head, and how much of any other line is looked at for a boundary.
const LINE: usize = 4096;

/// Lines of one part's head.
const HEAD_LINES: usize = 64;

/// Takes a body apart as it arrives.
#[derive(Debug)]
pub struct Multipart {
    parts: Parts,
    bounds: Bounds,
    state: State,
    delimiter: Delimiter,
    /// What cannot be judged before more has come.
    pending: Vec<u8>,
    /// How much of the body is behind.
    consumed: usize,
    boundaries: usize,
    /// The line before ended in a newline alone.
    after_lf: bool,
    /// Of a line that is too long, the last byte so far is a carriage return.
    after_return: bool,
    head: Head,
    content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no boundary to look for.
    Unusable,
    Preamble,
    Head,
    /// At the first byte of a part's content.
    Start,
    Content,
    Done,
    /// In a line that is too long, on the way to its end.
    Overlong(Line),
}

/// Where lines are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Preamble,
    Head,
}

/// Two hyphens and the boundary.
#[derive(Debug)]
struct Delimiter {
    text: Vec<u8>,
    finder: memmem::Finder<'static>,
    line_finder: memmem::Finder<'static>,
}

/// The head of a part.
#[derive(Debug, Default)]
struct Head {
    text: Vec<u8>,
    lines: Vec<HeadLine>,
}

/// A line of a head, with what was folded onto it.
#[derive(Debug, Clone, Copy)]
struct HeadLine {
    start: usize,
    /// Where the name ends; none for a line that is no field.
    colon: Option<usize>,
    end: usize,
}

/// Where the content of a part goes.
#[derive(Debug, Clone, Copy)]
enum Content {
    Nowhere,
    Field { name_at: usize, value_at: usize },
    File { size: u64, kept: Option<(usize, usize)> },
}

/// What a look at the input came to.
enum Step {
    Used(usize),
    /// More is needed.
    Wait,
}

impl Multipart {
    /// For a body of this `Content-Type`.
    #[must_use]
    pub fn new(content_type: &[u8], bounds: Bounds) -> Self {
        let mut parts = Parts::default();
        let (state, boundary) = match head::boundary(content_type, &mut parts.flags) {
            Ok(boundary) => (State::Preamble, boundary),
            Err(why) => {
                parts.flags.error = true;
                parts.outcome.faulted(0, why);
                (State::Unusable, &b""[..])
            }
        };
        let text = [b"--", boundary].concat();
        let finder = memmem::Finder::new(&text).into_owned();
        let line_finder = memmem::Finder::new(b"\n--").into_owned();
        Self {
            parts,
            bounds,
            state,
            delimiter: Delimiter { text, finder, line_finder },
            pending: Vec::new(),
            consumed: 0,
            boundaries: 0,
            after_lf: false,
            after_return: false,
            head: Head::default(),
            content: Content::Nowhere,
        }
    }

    /// Takes the next piece of the body. However it is cut, the result is the same.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.pending.is_empty() {
            let used = self.consume(chunk, false);
            self.pending.extend_from_slice(chunk.get(used..).unwrap_or_default());
        } else {
            let mut pending = std::mem::take(&mut self.pending);
            pending.extend_from_slice(chunk);
            let used = self.consume(&pending, false);
            pending.drain(..used);
            self.pending = pending;
        }
    }

    /// What is known so far; a field or file appears when it is complete.
    #[must_use]
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Ends the body.
    #[must_use]
    pub fn finish(mut self) -> Parts {
        let pending = std::mem::take(&mut self.pending);
        self.consume(&pending, true);
        if self.consumed == 0 {
            // Where there is no body, nothing of it can be odd, whatever its type was to be.
            return Parts::default();
        }
        if !matches!(self.state, State::Done | State::Unusable) {
            self.fault(if self.boundaries > 0 {
                "the last boundary is missing"
            } else {
                "there is no boundary in the body"
            });
            if matches!(self.state, State::Head | State::Overlong(Line::Head)) {
                self.end_head();
            }
            self.end_part();
        }
        self.parts
    }

    /// Judges what can be judged, and says how much of the input that was. All of it at the last.
    fn consume(&mut self, input: &[u8], last: bool) -> usize {
        let mut at = 0;
        while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
            let step = match self.state {
                State::Preamble => self.line(rest, last, Line::Preamble),
                State::Head => self.line(rest, last, Line::Head),
                State::Overlong(line) => self.overlong(rest, line),
                State::Start => self.start(rest, last),
                State::Content => self.content(rest, last),
                State::Done => {
                    self.parts.flags.data_after = true;
                    Step::Used(rest.len())
                }
                State::Unusable => Step::Used(rest.len()),
            };
            match step {
                Step::Used(used) => {
                    at += used;
                    self.consumed += used;
                }
                Step::Wait => break,
            }
        }
        at
    }

    /// A line before the first boundary, or of a part's head.
    fn line(&mut self, rest: &[u8], last: bool, place: Line) -> Step {
        let (line, complete) = match first_line(rest, last) {
            Some(found) => found,
            None => return Step::Wait,
        };
        if !complete && line.len() == LINE {
            match place {
                Line::Preamble => self.parts.flags.data_before = true,
                Line::Head => {
                    self.parts.flags.error = true;
                    self.fault("a line of a part's head is longer than is read");
                    self.header_line(line);
                }
            }
            self.after_return = line.ends_with(b"\r");
            self.state = State::Overlong(place);
            return Step::Used(line.len());
        }
        if let Some(is_last) = self.boundary(line, complete, 0) {
            if place == Line::Head {
                self.parts.flags.invalid_part = true;
                self.fault("a part ends within its head");
                self.end_head();
            }
            self.end_part();
            self.begin_part(is_last);
        } else if place == Line::Head {
            self.header_line(line);
        } else if complete {
            self.parts.flags.data_before = true;
        }
        self.after_lf = ends_in_lf_alone(line);
        Step::Used(line.len())
    }

    fn overlong(&mut self, rest: &[u8], place: Line) -> Step {
        let Some(end) = memchr(b'\n', rest) else {
            self.after_return = rest.ends_with(b"\r");
            return Step::Used(rest.len());
        };
        let returned = if end == 0 { self.after_return } else { rest[..end].ends_with(b"\r") };
        self.after_lf = !returned;
        self.state = match place {
            Line::Preamble => State::Preamble,
            Line::Head => State::Head,
        };
        Step::Used(end + 1)
    }

    /// At the beginning of a part's content, where no boundary may stand.
    fn start(&mut self, rest: &[u8], last: bool) -> Step {
        if rest.starts_with(b"--") {
            let Some((line, complete)) = first_line(rest, last) else { return Step::Wait };
            if let Some(is_last) = self.boundary(line, complete, 0) {
                self.parts.flags.invalid_part = true;
                self.fault("a part ends before its content begins");
                self.end_part();
                self.begin_part(is_last);
                return Step::Used(line.len());
            }
        } else if b"--".starts_with(rest) && !last {
            return Step::Wait;
        }
        self.state = State::Content;
        Step::Used(0)
    }

    /// The content of a part, up to the next boundary or as far as is certain.
    fn content(&mut self, rest: &[u8], last: bool) -> Step {
        let mut from = 0;
        while let Some(newline) = self.delimiter.line_finder.find(&rest[from..]).map(|at| from + at) {
            let returned = newline.checked_sub(1).is_some_and(|before| rest[before] == b'\r');
            let end = newline - usize::from(returned);
            let line_at = newline + 1;
            let Some((line, complete)) = first_line(&rest[line_at..], last) else {
                self.data(rest, 0, end);
                return if end > 0 { Step::Used(end) } else { Step::Wait };
            };
            if line.starts_with(&self.delimiter.text) {
                // What is in the content comes before what the boundary says.
                self.data(rest, 0, end);
                self.after_lf = !returned;
                let Some(is_last) = self.boundary(line, complete, line_at) else {
                    self.data(rest, end, line_at);
                    return Step::Used(line_at);
                };
                self.end_part();
                self.begin_part(is_last);
                return Step::Used(line_at + line.len());
            }
            self.boundary(line, complete, line_at);
            from = line_at;
        }
        let keep = if last { 0 } else { rest.len().min(self.delimiter.text.len() + 2) };
        let end = rest.len() - keep;
        self.data(rest, 0, end);
        if end > 0 { Step::Used(end) } else { Step::Wait }
    }

    /// Whether a line is a boundary, and then whether it is the last; sets the flags of what merely looks like one. The line is
    /// `at` bytes behind what was consumed.
    fn boundary(&mut self, line: &[u8], complete: bool, at: usize) -> Option<bool> {
        let at = self.consumed + at;
        let delimiter = self.delimiter.text.as_slice();
        let Parts { flags, outcome, .. } = &mut self.parts;
        if !complete && line.len() < LINE {
            // The end of the body, which needs no line end, if it is exactly the last boundary.
            let is_last = line.strip_prefix(delimiter) == Some(b"--");
            flags.lf_line |= is_last && self.after_lf;
            return is_last.then_some(true);
        }
        if line.len() <= 3 || !line.starts_with(b"--") {
            if self.delimiter.finder.find(line).is_some() {
                flags.unmatched_boundary = 1;
            }
            return None;
        }
        if let Some(after) = line.strip_prefix(delimiter) {
            flags.lf_line |= self.after_lf;
            if self.boundaries > 0 {
                flags.unmatched_boundary = 2;
            }
            let (is_last, end) = match after.strip_prefix(b"--") {
                Some(end) => (true, end),
                None => (false, after),
            };
            match end {
                b"\r\n" => flags.crlf_line = true,
                b"\n" => flags.lf_line = true,
                _ => {
                    flags.error = true;
                    outcome.faulted(at, "a boundary is followed by something else");
                    return None;
                }
            }
            return Some(is_last);
        }
        let boundary = delimiter.get(2..).unwrap_or_default();
        let after = line.get(2..).unwrap_or_default();
        let trimmed =
            after.get(after.iter().position(|byte| !is_space(*byte)).unwrap_or(after.len())..).unwrap_or_default();
        if flags.boundary_quoted && after.strip_prefix(b"\"").is_some_and(|after| after.starts_with(boundary)) {
            flags.error = true;
            outcome.faulted(at, "a boundary stands between quotes");
        } else if trimmed.len() < after.len() && trimmed.starts_with(boundary) {
            flags.error = true;
            outcome.faulted(at, "there is white space before a boundary");
        }
        flags.unmatched_boundary = 1;
        None
    }

    /// A line of a part's head, with its end.
    fn header_line(&mut self, line: &[u8]) {
        let flags = &mut self.parts.flags;
        let text = match line {
            [text @ .., b'\r', b'\n'] => {
                flags.crlf_line = true;
                text
            }
            [text @ .., b'\n'] => {
                flags.lf_line = true;
                text
            }
            text => text,
        };
        if text.is_empty() {
            self.end_head();
            return;
        }
        if text.contains(&0) {
            self.fault("there is a zero byte in a part's head");
        }
        if text.first().is_some_and(|byte| is_space(*byte)) {
            self.folded(text);
            return;
        }
        if self.head.lines.len() >= HEAD_LINES {
            self.fault("a part's head has more lines than are read");
            return;
        }
        let colon = memchr(b':', text);
        match colon {
            None => self.fault("a line of a part's head has no colon"),
            Some(0) => self.fault("a field of a part's head has no name"),
            Some(at) if !text[..at].iter().all(u8::is_ascii_graphic) => {
                self.fault("the name of a field of a part's head has a character that it may not have");
            }
            Some(at) if self.head.value(&text[..at]).is_some() => self.fault("a field stands twice in a part's head"),
            Some(_) => {}
        }
        self.head.push(text, colon);
    }

    /// A line that goes on with the field before it.
    fn folded(&mut self, text: &[u8]) {
        let flags = &mut self.parts.flags;
        flags.header_folding = true;
        let blank = text.iter().position(|byte| !is_space(*byte)).unwrap_or(text.len());
        let (blank, more) = text.split_at(blank);
        flags.invalid_header_folding |= blank.iter().any(|byte| !matches!(byte, b' ' | b'\t'));
        let Some(line) = self.head.lines.last_mut() else {
            self.fault("a part's head begins with a line that goes on");
            self.head.push(more, None);
            return;
        };
        if line.end - line.start + more.len() >= LINE {
            self.fault("a field of a part's head is longer than is read");
            return;
        }
        self.head.text.push(b' ');
        self.head.text.extend_from_slice(more);
        line.end = self.head.text.len();
    }

    /// What the head says: how the part is called and where its content goes.
    fn end_head(&mut self) {
        let head = std::mem::take(&mut self.head);
        let names = match head.value(b"Content-Disposition") {
            Some(value) => head::disposition(value, &mut self.parts.flags),
            None => head::Disposition { fault: Some("a part has no Content-Disposition"), ..Default::default() },
        };
        if let Some(why) = names.fault {
            self.fault(why);
        }
        let Self { parts, bounds, .. } = self;
        let at = self.consumed;
        parts.flags.invalid_part |= names.name.is_empty();
        for line in &head.lines {
            let text = head.text.get(line.start..line.end).unwrap_or_default();
            parts.part_headers.push(&names.name, text, bounds, &mut parts.outcome);
        }
        if !names.extended.is_empty() {
            parts.extended_names.push(&names.name, &names.extended, bounds, &mut parts.outcome);
        }
        self.content = if names.filename.is_empty() && names.extended.is_empty() {
            match parts.fields.draft(names.name.len(), at, bounds, &mut parts.outcome) {
                Some(name_at) => {
                    parts.fields.bytes.extend_from_slice(&names.name);
                    Content::Field { name_at, value_at: parts.fields.bytes.len() }
                }
                None => Content::Nowhere,
            }
        } else if parts.files.push(&names.name, &names.filename, bounds, &mut parts.outcome) {
            let over = parts.files.len() > bounds.files;
            let name_at = (bounds.file_bytes > 0)
                .then(|| parts.contents.draft(names.name.len(), at, bounds, &mut parts.outcome))
                .flatten();
            let kept = name_at.map(|name_at| {
                parts.contents.bytes.extend_from_slice(&names.name);
                (name_at, parts.contents.bytes.len())
            });
            if over {
                parts.flags.file_limit_exceeded = true;
                self.fault("there are more files than are taken");
            }
            Content::File { size: 0, kept }
        } else {
            Content::Nowhere
        };
        self.head = head;
        self.head.clear();
        self.state = State::Start;
    }

    /// Content of `rest` from `start` to `end`; what follows is only looked at for where a boundary that begins before would end.
    fn data(&mut self, rest: &[u8], start: usize, end: usize) {
        let data = rest.get(start..end).unwrap_or_default();
        if data.is_empty() {
            return;
        }
        let seen = rest.get(start..(end + self.delimiter.text.len() - 1).min(rest.len())).unwrap_or_default();
        if self.delimiter.finder.find(seen).is_some_and(|at| start + at < end) {
            self.parts.flags.unmatched_boundary = 1;
        }
        let Parts { fields, contents, outcome, .. } = &mut self.parts;
        match &mut self.content {
            Content::Nowhere => {}
            Content::Field { .. } => {
                let room = self.bounds.bytes.saturating_sub(fields.bytes.len()).min(data.len());
                if room < data.len() {
                    outcome.faulted(self.consumed + start + room, TOO_MANY_BYTES);
                }
                fields.bytes.extend_from_slice(&data[..room]);
            }
            Content::File { size, kept } => {
                *size = size.saturating_add(data.len() as u64);
                if let Some((_, value_at)) = kept {
                    let room = self.bounds.file_bytes.saturating_sub(contents.bytes.len() - *value_at);
                    let room = room.min(self.bounds.bytes.saturating_sub(contents.bytes.len())).min(data.len());
                    contents.bytes.extend_from_slice(&data[..room]);
                }
            }
        }
    }

    /// The part is complete.
    fn end_part(&mut self) {
        match std::mem::replace(&mut self.content, Content::Nowhere) {
            Content::Nowhere => {}
            Content::Field { name_at, value_at } => self.parts.fields.finish(name_at, value_at),
            Content::File { size, kept } => {
                self.parts.sizes.push(size);
                if let Some((name_at, value_at)) = kept {
                    self.parts.contents.finish(name_at, value_at);
                }
            }
        }
    }

    fn begin_part(&mut self, is_last: bool) {
        self.boundaries += 1;
        self.after_lf = false;
        self.head.clear();
        self.state = if is_last { State::Done } else { State::Head };
    }

    fn fault(&mut self, why: &'static str) {
        self.parts.outcome.faulted(self.consumed, why);
    }
}

impl Head {
    fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
    }

    fn push(&mut self, text: &[u8], colon: Option<usize>) {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        self.lines.push(HeadLine { start, colon: colon.map(|at| start + at), end: self.text.len() });
    }

    /// The value of the first field of that name, in any spelling.
    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        let line = self.lines.iter().find(|line| {
            let own = line.colon.and_then(|colon| self.text.get(line.start..colon));
            own.is_some_and(|own| own.eq_ignore_ascii_case(name))
        })?;
        let value = self.text.get(line.colon? + 1..line.end)?;
        let blank = value.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(value.len());
        value.get(blank..)
    }
}

/// The first line with its end, and whether it has one; at most [`LINE`] of it. None where more must come.
fn first_line(rest: &[u8], last: bool) -> Option<(&[u8], bool)> {
    let window = rest.get(..LINE).unwrap_or(rest);
    match memchr(b'\n', window) {
        Some(end) => Some((&window[..=end], true)),
        None if last || window.len() == LINE => Some((window, false)),
        None => None,
    }
}

fn ends_in_lf_alone(line: &[u8]) -> bool {
    line.ends_with(b"\n") && !line.ends_with(b"\r\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &[u8] = b"multipart/form-data; boundary=b";

    fn read(body: &[u8]) -> Parts {
        let mut multipart = Multipart::new(TYPE, Bounds { file_bytes: 4, ..Bounds::default() });
        multipart.push(body);
        multipart.finish()
    }

    fn pairs(fields: &Fields) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        fields.iter().map(|field| (text(field.name), text(field.value))).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    /// A body of one field `a`, with its head and its content.
    fn part(head: &str, content: &str) -> String {
        format!("--b\r\n{head}\r\n\r\n{content}\r\n--b--\r\n")
    }

    const NAMED: &str = "Content-Disposition: form-data; name=\"a\"";

    #[test]
    fn fields_files_and_heads_are_read() {
        let parts = read(
            b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\ny\n\r\n\
              --b\r\ncontent-disposition: form-data; name=\"f\"; filename=\"p.png\"; filename*=UTF-8''p%2Ephp\r\n\
              Content-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\n\r\n\
              --b\r\nContent-Disposition: form-data; name=\"e\"; filename=\"\"\r\n\r\n\r\n\
              --b--\r\n",
        );
        assert_eq!(parts.outcome, Outcome::default());
        assert_eq!(parts.flags, Flags { crlf_line: true, unmatched_boundary: 2, ..Flags::default() });
        assert!(!parts.flags.strict_error());
        assert_eq!(pairs(&parts.fields), [pair("a", "x\\r\\ny\\n"), pair("e", "")]);
        assert_eq!(pairs(&parts.files), [pair("f", "p.png")]);
        assert_eq!(pairs(&parts.extended_names), [pair("f", "p.php")]);
        assert_eq!(pairs(&parts.contents), [pair("f", "\\x89PNG")]);
        assert_eq!((parts.sizes.as_slice(), parts.combined_size()), (&[8][..], 8));
        assert_eq!(pairs(&parts.part_headers).len(), 4);
        assert_eq!(pairs(&parts.part_headers)[2], pair("f", "Content-Type: image/png"));
    }

    #[test]
    fn flags_are_modsecuritys() {
        let good = Flags { crlf_line: true, unmatched_boundary: 2, ..Flags::default() };
        // Body, flags, and whether REQBODY_ERROR is set; each was put to libmodsecurity 3.0.15. It differs in two: a duplicate
        // field of a head is no error there, and half a boundary at the end nothing unmatched.
        let cases: &[(String, Flags, bool)] = &[
            (part(NAMED, "x"), good, false),
            (String::new(), Flags::default(), false),
            ("x".into(), Flags::default(), true),
            (part(NAMED, "x\r\n--c"), good, false),
            (part(NAMED, "x--by"), good, false),
            (part(NAMED, "x").trim_end().into(), Flags { unmatched_boundary: 0, ..good }, false),
            (part(NAMED, "x--b").trim_end().into(), Flags { unmatched_boundary: 1, ..good }, false),
            (part(NAMED, "x\r\n--c").trim_end().into(), Flags { unmatched_boundary: 1, ..good }, false),
            (format!("pre\r\n{}", part(NAMED, "x")), Flags { data_before: true, ..good }, false),
            (format!("{}after", part(NAMED, "x")), Flags { data_after: true, ..good }, false),
            (part(NAMED, "x").replace("\r\n", "\n"), Flags { crlf_line: false, lf_line: true, ..good }, false),
            (part(NAMED, "x").replace("x\r", "x"), Flags { lf_line: true, ..good }, false),
            (
                part("Content-Disposition: form-data;\r\n name=\"a\"", "x"),
                Flags { header_folding: true, ..good },
                false,
            ),
            (
                part("Content-Disposition: form-data;\r\n\x0bname=\"a\"", "x"),
                Flags { header_folding: true, invalid_header_folding: true, ..good },
                false,
            ),
            (part("Content-Disposition: form-data; name='a'", "x"), Flags { invalid_quoting: true, ..good }, false),
            (part("Content-Disposition: form-data", "x"), Flags { invalid_part: true, ..good }, true),
            (part("X: y", "x"), Flags { invalid_part: true, ..good }, true),
            (part(&format!("{NAMED}\r\nno colon"), "x"), good, true),
            (part(&format!("{NAMED}\r\n: x"), "x"), good, true),
            (part(&format!("{NAMED}\r\nX : x"), "x"), good, true),
            (part(&format!("{NAMED}\r\nX: \0"), "x"), good, true),
            (part(&format!(" X: x\r\n{NAMED}"), "x"), Flags { header_folding: true, ..good }, true),
            (part(&format!("{NAMED}\r\n{NAMED}"), "x"), good, true),
            (part(&format!("{NAMED}\r\nX: {}", "x".repeat(4080)), "x"), good, false),
            (part(&format!("{NAMED}\r\nX: {}", "x".repeat(4100)), "x"), Flags { error: true, ..good }, true),
            (part(NAMED, "x\r\n--b x"), Flags { error: true, ..good }, true),
            (part(NAMED, "x\r\n-- b"), Flags { error: true, ..good }, true),
            (format!("--b\r\n{NAMED}\r\n\r\n--b--\r\n"), Flags { invalid_part: true, ..good }, true),
            (format!("--b\r\n{NAMED}\r\n--b--\r\n"), Flags { invalid_part: true, ..good }, true),
            (format!("--b\r\n{NAMED}\r\n\r\nx\r\n--b"), Flags { unmatched_boundary: 1, ..good }, true),
        ];
        for (body, flags, fault) in cases {
            let parts = read(body.as_bytes());
            let shown: String = body.escape_debug().take(120).collect();
            assert_eq!(parts.flags, *flags, "{shown}");
            assert_eq!(parts.outcome.fault.is_some(), *fault, "{shown}: {:?}", parts.outcome.fault);
        }
    }

    #[test]
    fn what_is_broken_is_inspected_all_the_same() {
        let cases: &[(String, &[(&str, &str)])] = &[
            (part("Content-Disposition: form-data", "x"), &[("", "x")]),
            (part("Content-Disposition: form-data; x=1; name=\"a\"", "x"), &[("a", "x")]),
            (part(&format!("{NAMED}\r\nno colon"), "x"), &[("a", "x")]),
            (part(&format!("X: {}\r\n{NAMED}", "x".repeat(9000)), "x"), &[("a", "x")]),
            (format!("--b\r\n{NAMED}\r\n\r\nx"), &[("a", "x")]),
            (format!("--b\r\n{NAMED}\r\n\r\nx\r\n--b \r\n--b--\r\n"), &[("a", "x\\r\\n--b ")]),
            (format!("--b\r\n{NAMED}\r\n\r\nx\r\n--b\r\n{NAMED}"), &[("a", "x"), ("a", "")]),
            (format!("--b\r\n{NAMED}\r\n--b\r\n{NAMED}\r\n\r\ny\r\n--b--"), &[("a", ""), ("a", "y")]),
        ];
        for (body, expected) in cases {
            let parts = read(body.as_bytes());
            let expected: Vec<_> = expected.iter().map(|(name, value)| pair(name, value)).collect();
            assert_eq!(pairs(&parts.fields), expected, "{body:.120?}");
            assert!(parts.outcome.fault.is_some());
        }
        let parts = read(part("Content-Disposition: form-data; name=\"a\"; filename*=UTF-8''x%2Ephp", "x").as_bytes());
        assert_eq!((pairs(&parts.extended_names), parts.sizes), (vec![pair("a", "x.php")], vec![1]));
    }

    #[test]
    fn without_a_boundary_nothing_is_read_and_that_is_a_fault() {
        let mut multipart = Multipart::new(b"multipart/form-data", Bounds::default());
        multipart.push(part(NAMED, "x").as_bytes());
        let parts = multipart.finish();
        assert!(parts.fields.is_empty() && parts.outcome.fault.is_some() && parts.flags.strict_error());
        let none = Multipart::new(b"multipart/form-data", Bounds::default()).finish();
        assert!(none.outcome.fault.is_none() && !none.flags.strict_error());
    }

    #[test]
    fn parts_files_and_bytes_are_bounded() {
        let field = format!("--b\r\n{NAMED}\r\n\r\n0123456789\r\n");
        let file = format!("--b\r\n{NAMED}; filename=\"f\"\r\n\r\n0123456789\r\n");
        let bounds = Bounds { fields: 3, files: 1, ..Bounds::default() };
        let read = |body: String, bounds: Bounds| {
            let mut multipart = Multipart::new(TYPE, bounds);
            multipart.push(body.as_bytes());
            multipart.finish()
        };
        let parts = read(format!("{}--b--\r\n", field.repeat(3)), bounds);
        assert_eq!((parts.fields.len(), parts.outcome), (3, Outcome::default()));
        let parts = read(format!("{}--b--\r\n", field.repeat(4)), bounds);
        assert_eq!((parts.fields.len(), parts.outcome.cut), (3, true));
        let parts = read(format!("{field}{file}--b--\r\n"), bounds);
        assert!(!parts.flags.file_limit_exceeded && parts.outcome.fault.is_none());
        let parts = read(format!("{file}{file}--b--\r\n"), bounds);
        assert!(parts.flags.file_limit_exceeded && parts.outcome.fault.is_some());
        let parts = read(format!("{field}--b--\r\n"), Bounds { bytes: 8, ..Bounds::default() });
        assert_eq!(parts.fields.get(0).map(|field| field.value), Some(&b"0123456"[..]));
        assert_eq!(parts.outcome.fault.map(|fault| fault.why), Some(TOO_MANY_BYTES));
        let head = "X: y\r\n".repeat(HEAD_LINES + 1);
        assert!(read(part(&format!("{head}{NAMED}"), "x"), Bounds::default()).outcome.fault.is_some());
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => Just(b"\r\n--b\r\n".to_vec()),
            2 => Just(b"--b--\r\n".to_vec()),
            2 => Just(NAMED.as_bytes().to_vec()),
            1 => Just(b"; filename=\"f\"".to_vec()),
            4 => Just(b"\r\n".to_vec()),
            1 => Just(b"\n".to_vec()),
            1 => Just(b"\r".to_vec()),
            2 => Just(b"-".to_vec()),
            1 => Just(b" x: y".to_vec()),
            1 => Just(b"\n--bb\n".to_vec()),
            1 => Just(b"\r\n-- b\r\n".to_vec()),
            1 => Just(vec![b'x'; LINE - 1]),
            1 => any::<Vec<u8>>(),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| [b"--b".to_vec(), pieces.concat()].concat())
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_result_is_the_same(
            body in pieces(),
            cuts in proptest::collection::vec(1_usize..40, 1..9),
            bytes in prop_oneof![Just(4 << 20), 0_usize..200],
        ) {
            let bounds = Bounds { file_bytes: 4, bytes, ..Bounds::default() };
            let mut whole = Multipart::new(TYPE, bounds);
            whole.push(&body);
            let whole = whole.finish();
            let mut multipart = Multipart::new(TYPE, bounds);
            let mut rest = body.as_slice();
            for cut in cuts.iter().cycle() {
                let (chunk, after) = rest.split_at(rest.len().min(*cut));
                multipart.push(chunk);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            let cut = multipart.finish();
            prop_assert_eq!(pairs(&cut.fields), pairs(&whole.fields));
            prop_assert_eq!(pairs(&cut.files), pairs(&whole.files));
            prop_assert_eq!(pairs(&cut.contents), pairs(&whole.contents));
            prop_assert_eq!(pairs(&cut.part_headers), pairs(&whole.part_headers));
            prop_assert_eq!((cut.sizes, cut.flags, cut.outcome), (whole.sizes, whole.flags, whole.outcome));
        }

        #[test]
        fn a_file_for_each_size(body in pieces()) {
            let parts = read(&body);
            prop_assert_eq!(parts.files.len(), parts.sizes.len());
        }

        #[test]
        fn what_is_written_is_read(
            fields in proptest::collection::vec(("[a-z]{1,9}", any::<Vec<u8>>()), 1..6),
            file in any::<Vec<u8>>(),
        ) {
            let boundary = b"--b0undary";
            let mut body = Vec::new();
            let clean = |bytes: &[u8]| memmem::find(bytes, b"b0undary").is_none();
            prop_assume!(clean(&file) && fields.iter().all(|(_, value)| clean(value)));
            for (name, value) in &fields {
                body.extend([boundary, format!("\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").as_bytes(), value, b"\r\n"].concat());
            }
            body.extend([boundary, &b"\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"[..], &file, b"\r\n", boundary, b"--\r\n"].concat());
            let mut multipart = Multipart::new(b"multipart/form-data; boundary=b0undary", Bounds { file_bytes: 1 << 20, ..Bounds::default() });
            multipart.push(&body);
            let parts = multipart.finish();
            prop_assert_eq!(parts.outcome, Outcome::default());
            prop_assert!(!parts.flags.strict_error());
            let got: Vec<_> = parts.fields.iter().map(|field| (String::from_utf8_lossy(field.name).into_owned(), field.value.to_vec())).collect();
            prop_assert_eq!(got, fields);
            prop_assert_eq!(parts.contents.get(0).map(|field| field.value.to_vec()), Some(file.clone()));
            prop_assert_eq!(parts.sizes, vec![file.len() as u64]);
        }
    }
}
