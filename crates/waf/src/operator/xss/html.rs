//! The tokens of HTML, as browsers of all ages read it.

use memchr::{memchr, memmem};

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Between elements.
    Text,
    /// In a tag, where attributes are.
    Tag,
    /// In the value of an attribute with that quote.
    Quoted(u8),
}

/// A part of a page.
pub(super) enum Token<'a> {
    Doctype,
    /// The name of an element, where it begins and some of those where it ends.
    Element(&'a [u8]),
    /// The name of an attribute.
    Name(&'a [u8]),
    /// The value of an attribute.
    Value(&'a [u8]),
    Comment(&'a [u8]),
    /// Text, and the ends of tags.
    Other,
}

/// What is expected next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    TagOpen,
    TagEnd,
    /// Behind a slash in a tag.
    SelfClosing,
    BeforeName,
    AfterName,
    BeforeValue,
    AfterQuoted,
    /// In a value whose quote was before the text.
    Quoted(u8),
    End,
}

/// Reads tokens from a value.
pub(super) struct Html<'a> {
    text: &'a [u8],
    at: usize,
    state: State,
    /// In a tag that ends an element.
    closing: bool,
}

impl<'a> Html<'a> {
    pub(super) fn new(text: &'a [u8], place: Place) -> Self {
        let state = match place {
            Place::Text => State::Text,
            Place::Tag => State::BeforeName,
            Place::Quoted(quote) => State::Quoted(quote),
        };
        Self { text, at: 0, state, closing: false }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Takes `length` bytes and `skipped` more behind them.
    fn take(&mut self, length: usize, skipped: usize, state: State) -> &'a [u8] {
        let taken = self.rest().get(..length).unwrap_or(self.rest());
        self.at = (self.at + length + skipped).min(self.text.len());
        self.state = state;
        taken
    }

    /// Takes what is before `end`, and `skipped` more; all there is if there is no end.
    fn take_to(&mut self, end: Option<usize>, skipped: usize, state: State) -> &'a [u8] {
        match end {
            Some(end) => self.take(end, skipped, state),
            None => self.take(self.rest().len(), 0, State::End),
        }
    }

    /// Passes white space and nulls; what comes then. `FF` counts as the end of the text.
    fn after_white(&mut self) -> Option<u8> {
        self.at += self.rest().iter().take_while(|&&byte| byte == 0 || is_white(byte)).count();
        self.peek().filter(|&byte| byte != 0xff)
    }

    /// Text up to an element or the end.
    fn text(&mut self) -> Token<'a> {
        let end = memchr(b'<', self.rest());
        self.take_to(end, 1, State::TagOpen);
        Token::Other
    }

    /// Behind `<`.
    fn tag_open(&mut self) -> Option<Token<'a>> {
        match self.peek()? {
            b'!' => {
                self.at += 1;
                Some(self.declaration())
            }
            b'/' => {
                self.at += 1;
                self.closing = true;
                match self.peek()? {
                    b'>' => Some(self.text()),
                    byte if byte.is_ascii_alphabetic() => Some(self.element()),
                    _ => {
                        self.closing = false;
                        Some(self.comment_to_angle())
                    }
                }
            }
            b'?' => {
                self.at += 1;
                Some(self.comment_to_angle())
            }
            b'%' => {
                self.at += 1;
                let end = memmem::find(self.rest(), b"%>");
                Some(Token::Comment(self.take_to(end, 2, State::Text)))
            }
            byte if byte.is_ascii_alphabetic() || byte == 0 => Some(self.element()),
            _ => {
                self.state = State::Text;
                Some(Token::Other)
            }
        }
    }

    fn comment_to_angle(&mut self) -> Token<'a> {
        let end = memchr(b'>', self.rest());
        Token::Comment(self.take_to(end, 1, State::Text))
    }

    /// Behind `<!`.
    fn declaration(&mut self) -> Token<'a> {
        let rest = self.rest();
        if rest.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"DOCTYPE")) {
            return Token::Doctype;
        }
        if rest.starts_with(b"[CDATA[") {
            self.at += 7;
            let end = memmem::find(self.rest(), b"]]>");
            self.take_to(end, 3, State::Text);
            return Token::Other;
        }
        if !rest.starts_with(b"--") {
            return self.comment_to_angle();
        }
        self.at += 2;
        let (end, length) = comment_end(self.rest()).unzip();
        Token::Comment(self.take_to(end, length.unwrap_or(0), State::Text))
    }

    fn element(&mut self) -> Token<'a> {
        let rest = self.rest();
        let end = rest.iter().position(|&byte| is_white(byte) || matches!(byte, b'/' | b'>'));
        let (skipped, state) = match end.and_then(|end| rest.get(end)) {
            Some(b'/') => (1, State::SelfClosing),
            Some(b'>') if self.closing => (1, State::Text),
            Some(b'>') => (0, State::TagEnd),
            _ => (1, State::BeforeName),
        };
        let name = self.take_to(end, skipped, state);
        if end.is_some() && state == State::Text {
            self.closing = false;
            return Token::Other;
        }
        Token::Element(name)
    }

    /// At the `>` of a tag.
    fn tag_end(&mut self) -> Token<'a> {
        self.closing = false;
        self.take(1, 0, State::Text);
        Token::Other
    }

    /// Behind a slash in a tag.
    fn self_closing(&mut self) -> Option<Token<'a>> {
        if self.peek()? == b'>' {
            self.take(1, 0, State::Text);
            return Some(Token::Other);
        }
        self.before_name()
    }

    fn before_name(&mut self) -> Option<Token<'a>> {
        loop {
            match self.after_white()? {
                b'/' => {
                    self.at += 1;
                    if self.peek()? == b'>' {
                        return self.self_closing();
                    }
                }
                b'>' => {
                    self.take(1, 0, State::Text);
                    return Some(Token::Other);
                }
                _ => return Some(self.name()),
            }
        }
    }

    /// A name has at least one byte, whatever that is. A null ends names and values, though not the names of elements.
    fn name(&mut self) -> Token<'a> {
        let rest = self.rest();
        let ends = |byte: u8| is_white(byte) || matches!(byte, 0 | b'/' | b'=' | b'>');
        let end = rest.iter().skip(1).position(|&byte| ends(byte)).map(|at| at + 1);
        let (skipped, state) = match end.and_then(|end| rest.get(end)) {
            Some(b'/') => (1, State::SelfClosing),
            Some(b'=') => (1, State::BeforeValue),
            Some(b'>') => (0, State::TagEnd),
            _ => (1, State::AfterName),
        };
        Token::Name(self.take_to(end, skipped, state))
    }

    fn after_name(&mut self) -> Option<Token<'a>> {
        match self.after_white()? {
            b'/' => {
                self.at += 1;
                self.self_closing()
            }
            b'=' => {
                self.at += 1;
                self.before_value()
            }
            b'>' => Some(self.tag_end()),
            _ => Some(self.name()),
        }
    }

    fn before_value(&mut self) -> Option<Token<'a>> {
        match self.after_white()? {
            quote @ (b'"' | b'\'' | b'`') => {
                self.at += 1;
                Some(self.quoted(quote))
            }
            _ => {
                let rest = self.rest();
                let end = rest.iter().position(|&byte| is_white(byte) || matches!(byte, 0 | b'>'));
                let (skipped, state) = match end.and_then(|end| rest.get(end)) {
                    Some(b'>') => (0, State::TagEnd),
                    _ => (1, State::BeforeName),
                };
                Some(Token::Value(self.take_to(end, skipped, state)))
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Token<'a> {
        let end = memchr(quote, self.rest());
        Token::Value(self.take_to(end, 1, State::AfterQuoted))
    }

    fn after_quoted(&mut self) -> Option<Token<'a>> {
        match self.peek()? {
            b'/' => {
                self.at += 1;
                self.self_closing()
            }
            b'>' => {
                self.take(1, 0, State::Text);
                Some(Token::Other)
            }
            _ => self.before_name(),
        }
    }
}

impl<'a> Iterator for Html<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        match self.state {
            State::Text if self.at < self.text.len() => Some(self.text()),
            State::Text | State::End => None,
            State::TagOpen => self.tag_open(),
            State::TagEnd => Some(self.tag_end()),
            State::SelfClosing => self.self_closing(),
            State::BeforeName => self.before_name(),
            State::AfterName => self.after_name(),
            State::BeforeValue => self.before_value(),
            State::AfterQuoted => self.after_quoted(),
            State::Quoted(quote) => Some(self.quoted(quote)),
        }
    }
}

/// Where a comment ends, and how long its end is: `-->` and `--!`'s like, with nulls behind the first dash.
fn comment_end(text: &[u8]) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let dash = from + memchr(b'-', text.get(from..)?)?;
        if dash + 3 > text.len() {
            return None;
        }
        let nulls = text.get(dash + 1..)?.iter().take_while(|&&byte| byte == 0).count();
        let mark = dash + 1 + nulls;
        let is_mark = matches!(text.get(mark)?, b'-' | b'!');
        if is_mark && *text.get(mark + 1)? == b'>' {
            return Some((dash, nulls + 3));
        }
        from = dash + 1;
    }
}

const fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}
