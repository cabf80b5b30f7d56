//! A letter by SMTP (RFC 5321), with STARTTLS (RFC 3207) and AUTH PLAIN (RFC 4616): as much of it as one letter takes.
//!
//! A server that is to be spoken to in secret and cannot is told nothing: neither password nor letter.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Mail, Security};

/// Bytes of one line of a server's answer, and lines of one answer.
const LINE: u64 = 2_048;
const LINES: usize = 64;
/// Bytes of a header's encoded word: a line with one has at most 76 characters (RFC 2047 section 2).
const WORD: usize = 36;

/// What is written.
#[derive(Debug)]
pub(super) struct Letter<'a> {
    pub(super) subject: &'a str,
    pub(super) body: &'a str,
    /// Unique.
    pub(super) id: String,
    /// The letter that this one belongs to.
    pub(super) answers: Option<String>,
    /// Unix milliseconds.
    pub(super) at: u64,
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Sends one letter; the server has taken it on return.
pub(super) async fn send(mail: &Mail, tls: &TlsConnector, letter: &Letter<'_>) -> Result<(), String> {
    let stream = TcpStream::connect((mail.host.as_str(), mail.port)).await.map_err(|error| error.to_string())?;
    let name =
        || ServerName::try_from(mail.host.clone()).map_err(|_| format!("`{}` is no name of a server", mail.host));
    let turned = |error: std::io::Error| format!("no TLS: {error}");
    let mut talk = match mail.security {
        Security::Tls => Talk::begin(Box::new(tls.connect(name()?, stream).await.map_err(turned)?)).await?,
        Security::None => Talk::begin(Box::new(stream)).await?,
        Security::StartTls => {
            let mut talk = Talk::begin(Box::new(stream)).await?;
            if !talk.can("STARTTLS") {
                return Err("the server cannot speak TLS, and was told nothing".to_owned());
            }
            talk.say("STARTTLS", 220).await?;
            // What came before TLS and was not asked for would be believed after it.
            if !talk.stream.buffer().is_empty() {
                return Err("the server said more than was asked before TLS".to_owned());
            }
            let stream = tls.connect(name()?, talk.stream.into_inner()).await.map_err(turned)?;
            let mut talk = Talk { stream: BufReader::new(Box::new(stream)), offers: Vec::new() };
            talk.greet().await?;
            talk
        }
    };
    if let Some((user, password)) = &mail.login {
        let plain = STANDARD.encode(format!("\0{user}\0{password}"));
        talk.say(&format!("AUTH PLAIN {plain}"), 235).await.map_err(|_| "name or password was refused".to_owned())?;
    }
    talk.say(&format!("MAIL FROM:<{}>", address(&mail.from)), 250).await?;
    for to in &mail.to {
        talk.say(&format!("RCPT TO:<{}>", address(to)), 250).await?;
    }
    talk.say("DATA", 354).await?;
    talk.say(&format!("{}.", written(mail, letter)), 250).await?;
    // It has the letter; whether it says good-bye is its own matter.
    drop(talk.say("QUIT", 221).await);
    Ok(())
}

/// A conversation with a server.
struct Talk {
    stream: BufReader<Box<dyn Wire>>,
    /// What it can do (RFC 5321 section 4.1.1.1).
    offers: Vec<String>,
}

impl Talk {
    async fn begin(stream: Box<dyn Wire>) -> Result<Self, String> {
        let mut talk = Self { stream: BufReader::new(stream), offers: Vec::new() };
        talk.hear(220).await?;
        talk.greet().await?;
        Ok(talk)
    }

    async fn greet(&mut self) -> Result<(), String> {
        self.offers = self.say("EHLO portcullis", 250).await?;
        Ok(())
    }

    fn can(&self, what: &str) -> bool {
        self.offers.iter().any(|offer| offer.eq_ignore_ascii_case(what))
    }

    async fn say(&mut self, line: &str, expected: u16) -> Result<Vec<String>, String> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.map_err(|error| error.to_string())?;
        self.stream.flush().await.map_err(|error| error.to_string())?;
        self.hear(expected).await
    }

    /// The lines of an answer, without their code.
    async fn hear(&mut self, expected: u16) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let read = (&mut self.stream).take(LINE).read_until(b'\n', &mut line).await;
            if read.map_err(|error| error.to_string())? == 0 {
                return Err("the server hung up".to_owned());
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let code: u16 = line.get(..3).and_then(|code| code.parse().ok()).unwrap_or_default();
            if code != expected {
                return Err(format!("the server said: {}", line.chars().take(200).collect::<String>()));
            }
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(lines);
            }
            if lines.len() >= LINES {
                return Err("what the server says has no end".to_owned());
            }
        }
    }
}

/// A letter as it travels (RFC 5322), with its end of line and without the dot that ends it: base64 has no line that begins with one.
fn written(mail: &Mail, letter: &Letter<'_>) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(letter.at);
    let date = httpdate::fmt_http_date(at).replace("GMT", "+0000");
    let domain = address(&mail.from).rsplit_once('@').map_or("portcullis", |(_, domain)| domain).to_owned();
    let to: Vec<String> = mail.to.iter().map(|to| line(to)).collect();
    let mut text = format!(
        "Date: {date}\r\nFrom: {}\r\nTo: {}\r\nSubject: {}\r\nMessage-ID: <{}@{domain}>\r\n",
        line(&mail.from),
        to.join(",\r\n "),
        encoded(letter.subject),
        letter.id,
    );
    if let Some(answers) = &letter.answers {
        text.push_str(&format!("In-Reply-To: <{answers}@{domain}>\r\nReferences: <{answers}@{domain}>\r\n"));
    }
    text.push_str(
        "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n",
    );
    let body = STANDARD.encode(letter.body.replace('\n', "\r\n"));
    for part in body.as_bytes().chunks(76) {
        text.push_str(&String::from_utf8_lossy(part));
        text.push_str("\r\n");
    }
    text
}

/// `Ops <ops@example.org>` is `ops@example.org`; nothing in it may end the line or the address.
fn address(text: &str) -> String {
    let inner = text.rsplit_once('<').map_or(text, |(_, rest)| rest).trim_end_matches('>');
    inner.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>' | ' ')).collect()
}

/// Nothing in a header may begin another.
fn line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A header's text: as it is where it is ASCII, and as encoded words (RFC 2047) where it is not.
fn encoded(text: &str) -> String {
    let text = line(text);
    if text.is_ascii() && text.len() < 60 {
        return text;
    }
    let mut words = vec![String::new()];
    for c in text.chars() {
        if words.last().is_some_and(|word| word.len() + c.len_utf8() > WORD) {
            words.push(String::new());
        }
        words.last_mut().into_iter().for_each(|word| word.push(c));
    }
    let words: Vec<String> = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Mail {
        Mail {
            host: "127.0.0.1".to_owned(),
            port: 25,
            security: Security::None,
            login: None,
            from: "Gate <gate@example.org>".to_owned(),
            to: vec!["ops@example.org".to_owned(), "Night <night@example.org>".to_owned()],
        }
    }

    #[test]
    fn a_letter_is_in_order_whatever_is_in_it() {
        let subject =
            "Angreb på öffentlich\r\nBcc: eve@example.net, og en meget lang linje som skal brydes i flere ord";
        let letter = Letter {
            subject,
            body: ".\nHej\n",
            id: "g1-2".to_owned(),
            answers: Some("g1-1".to_owned()),
            at: 1_779_048_000_000,
        };
        let text = written(&mail(), &letter);
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains("Date: Sun, 17 May 2026 20:00:00 +0000\r\n"), "{head}");
        assert!(head.contains("To: ops@example.org,\r\n Night <night@example.org>\r\n"), "{head}");
        assert!(head.contains("In-Reply-To: <g1-1@example.org>") && !head.contains("Bcc"), "{head}");
        assert!(head.lines().all(|line| line.len() <= 78 && line.is_ascii()), "{head}");
        assert_eq!(STANDARD.decode(body.replace("\r\n", "")).expect("base64"), b".\r\nHej\r\n");
        assert!(body.lines().all(|line| !line.starts_with('.') && line.len() <= 76));
    }

    #[test]
    fn an_address_ends_nothing() {
        for (text, expected) in [
            ("ops@example.org", "ops@example.org"),
            ("Ops <ops@example.org>", "ops@example.org"),
            ("x@y>\r\nRCPT TO:<eve@z", "eve@z"),
            ("a b@c", "ab@c"),
        ] {
            assert_eq!(address(text), expected, "{text}");
        }
    }
}
