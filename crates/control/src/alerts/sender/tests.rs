//! Messages to servers that really listen.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::alerts::{Level, Mail, Security};

fn channel(way: Way, ca: Option<Vec<u8>>) -> Channel {
    Channel { name: "ops".to_owned(), way, min: Level::Notice, quiet: None, group: 0, next: None, ca }
}

fn message() -> (Message, Text) {
    let (what, url) = (What::Began, "https://console.example.org".to_owned());
    let message = Message { channel: 0, group: 7, number: 1, what, level: Level::Page, items: Vec::new(), at: 0, url };
    (message, Text { title: "Angreb på public".to_owned(), body: "Hej\n.\n".to_owned() })
}

/// Records in a list.
fn recorded() -> (Record, Arc<Mutex<Vec<String>>>) {
    let list = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&list);
    (Arc::new(move |words| into.lock().expect("whole").push(words)), list)
}

async fn until(sender: &Sender, seen: impl Fn(&Standing) -> bool) -> Standing {
    for _ in 0..600 {
        let standing = sender.standing();
        if seen(&standing) {
            return standing;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", sender.standing());
}

/// A request: its headers in lower case, and its body.
async fn heard(stream: &mut (impl AsyncRead + Unpin)) -> (String, Vec<u8>) {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("a line");
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a body");
    (head, body)
}

#[tokio::test]
async fn a_webhook_is_signed_and_tried_again_until_it_is_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let secret = b"a secret that only two know".to_vec();
    let (record, records) = recorded();
    let sender = Sender::begin(&channel(Way::Webhook { url, secret: secret.clone() }, None), record);
    let (message, text) = message();
    assert!(sender.put(message, text));
    let mut ids = Vec::new();
    for status in ["500 Internal Server Error", "204 No Content"] {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let (head, body) = heard(&mut stream).await;
        let field = |name: &str| {
            let line = head.lines().find(|line| line.to_lowercase().starts_with(name)).expect(name);
            line.split_once(": ").expect("a field").1.trim().to_owned()
        };
        let (id, at, signature) = (field("webhook-id"), field("webhook-timestamp"), field("webhook-signature"));
        let signed = [format!("{id}.{at}.").as_bytes(), &body].concat();
        let tag = STANDARD.decode(signature.strip_prefix("v1,").expect("version 1")).expect("base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        hmac::verify(&key, &signed, &tag).expect("its signature");
        assert!(hmac::verify(&key, &body, &tag).is_err(), "the time is signed, too");
        ids.push(id);
        stream.write_all(format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n").as_bytes()).await.expect("sent");
    }
    assert_eq!(ids[0], ids[1], "it is the same message");
    let standing = until(&sender, |standing| standing.sent == 1).await;
    assert_eq!((standing.given_up, standing.waiting), (0, 0));
    assert!(standing.last_error.is_some_and(|(_, why)| why.contains("500")));
    assert_eq!(*records.lock().expect("whole"), ["ops was told: Angreb på public"]);
}

/// A mail server of the least that one can be: it speaks TLS after `STARTTLS`, and takes letters of who has the password.
async fn mail_server(listener: TcpListener, acceptor: Option<TlsAcceptor>) -> Vec<String> {
    let (stream, _) = listener.accept().await.expect("a connection");
    let mut lines = Vec::new();
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.test\r\n").await.expect("sent");
    let secret = conversation(&mut stream, acceptor.is_some(), &mut lines).await;
    if let (true, Some(acceptor)) = (secret, acceptor) {
        let tls = acceptor.accept(stream.into_inner()).await.expect("TLS");
        let mut stream = BufReader::new(tls);
        conversation(&mut stream, false, &mut lines).await;
    }
    lines
}

/// True where TLS is to begin.
async fn conversation<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    offers_tls: bool,
    lines: &mut Vec<String>,
) -> bool {
    let mut in_letter = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or_default() == 0 {
            return false;
        }
        let line = line.trim_end().to_owned();
        lines.push(line.clone());
        let answer = if in_letter {
            if line != "." {
                continue;
            }
            in_letter = false;
            "250 taken"
        } else if line.starts_with("EHLO") {
            if offers_tls { "250-mail.test\r\n250 STARTTLS" } else { "250-mail.test\r\n250 AUTH PLAIN" }
        } else if line == "STARTTLS" {
            stream.write_all(b"220 go on\r\n").await.expect("sent");
            return true;
        } else if line.starts_with("AUTH") {
            if line == format!("AUTH PLAIN {}", STANDARD.encode("\0gate\0secret")) { "235 yes" } else { "535 no" }
        } else if line == "DATA" {
            in_letter = true;
            "354 go on"
        } else if line == "QUIT" {
            "221 bye"
        } else {
            "250 yes"
        };
        if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return false;
        }
    }
}

fn mail(port: u16, password: &str) -> Way {
    Way::Email(Mail {
        host: "localhost".to_owned(),
        port,
        security: Security::StartTls,
        login: Some(("gate".to_owned(), password.to_owned())),
        from: "Gate <gate@example.org>".to_owned(),
        to: vec!["ops@example.org".to_owned()],
    })
}

fn certificate() -> (TlsAcceptor, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let pem = made.cert.pem();
    let acceptor = server::tls(pem.as_bytes(), made.signing_key.serialize_pem().as_bytes()).expect("it fits");
    (acceptor, pem.into_bytes())
}

#[tokio::test]
async fn a_letter_goes_by_tls_to_whoever_takes_the_password() {
    for (password, taken) in [("secret", true), ("wrong", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (acceptor, ca) = certificate();
        let server = tokio::spawn(mail_server(listener, Some(acceptor)));
        let (record, _) = recorded();
        let sender = Sender::begin(&channel(mail(port, password), Some(ca)), record);
        let (mut message, text) = message();
        if !taken {
            // A test is tried once.
            message.what = What::Test("ane".to_owned());
        }
        assert!(sender.put(message, text));
        let standing = until(&sender, |standing| standing.sent + standing.given_up == 1).await;
        drop(sender);
        let lines = server.await.expect("it ends");
        let before = lines.iter().position(|line| line == "STARTTLS").expect("it asks for TLS");
        assert!(!lines[..before].iter().any(|line| line.starts_with("AUTH")), "no password in the open: {lines:?}");
        assert_eq!(standing.sent == 1, taken, "{standing:?}");
        let has = |line: &str| lines.iter().any(|it| it == line);
        assert_eq!(has("MAIL FROM:<gate@example.org>") && has("RCPT TO:<ops@example.org>"), taken, "{lines:?}");
        if taken {
            assert!(has(&STANDARD.encode("Hej\r\n.\r\n")), "{lines:?}");
        } else {
            assert!(standing.last_error.is_some_and(|(_, why)| why == "name or password was refused"));
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = tokio::spawn(mail_server(listener, None));
    let (record, records) = recorded();
    let sender = Sender::begin(&channel(mail(port, "secret"), Some(certificate().1)), record);
    let (mut message, text) = message();
    message.what = What::Test("ane".to_owned());
    assert!(sender.put(message, text));
    until(&sender, |standing| standing.given_up == 1).await;
    drop(sender);
    let lines = server.await.expect("it ends");
    assert_eq!(lines, ["EHLO portcullis"]);
    assert!(records.lock().expect("whole")[0].starts_with("ops could not be told (the server cannot speak TLS"));
}

#[tokio::test]
async fn a_channel_that_does_not_answer_holds_nobody_up_and_is_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let (record, _) = recorded();
    let sender = Sender::begin(&channel(Way::Slack(url), None), record);
    let put = (0..2 * WAITING).filter(|_| {
        let (message, text) = message();
        sender.put(message, text)
    });
    assert!(put.count() <= WAITING + 1, "one may be under way");
    let standing = sender.standing();
    assert!(standing.given_up >= WAITING as u64 - 1 && standing.waiting <= WAITING as u64, "{standing:?}");
}

#[test]
fn waits_grow_and_are_never_longer_than_they_may() {
    let seconds = |tries, share| wait(tries, share).as_secs_f64();
    assert_eq!([seconds(1, 1.0), seconds(2, 1.0), seconds(3, 1.0)], [2.0, 4.0, 8.0]);
    assert_eq!(seconds(3, 0.0), 4.0, "half of it at least");
    let whole: f64 = (1..TRIES).map(|tries| seconds(tries, 1.0)).sum();
    assert!(whole < 300.0, "{whole}");
}
