//! The console's API, as `top` uses it: it asks, does, and follows the stream, which goes on where it broke.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use portcullis_control::model::{AlertChannel, Alerts, Done, Happening, Now, Problem};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::screen::Deed;
use super::stream::Stream;
use crate::world::plain;

/// For a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A stream on which nothing comes for so long is broken: something comes each second.
const SILENCE: Duration = Duration::from_secs(15);
/// Between two tries, while nobody answers.
const AGAIN: Duration = Duration::from_secs(2);
/// A test is tried once, and has arrived or failed by then.
const TESTED: Duration = Duration::from_secs(30);
/// Bytes of an answer at most.
const ANSWER: usize = 8 * 1024 * 1024;

/// What the screen is told.
#[derive(Debug)]
pub(super) enum Update {
    Now(Box<Now>),
    Happened(Happening),
    /// What was asked for was done, or why it was not.
    Said(String),
    /// The stream broke: why.
    Lost(String),
}

/// Where a console is, and what opens it.
#[derive(Clone)]
pub(crate) struct Console {
    pub(super) at: At,
    /// As it is called in `Host`.
    pub(super) host: String,
    pub(super) tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
    pub(super) token: String,
}

/// Where to connect to.
#[derive(Debug, Clone)]
pub(super) enum At {
    Address(SocketAddr),
    Name(String, u16),
}

/// An answer under way, and the task that reads it.
struct Answer {
    response: Response<Incoming>,
    driven: AbortHandle,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.driven.abort();
    }
}

impl Console {
    /// How everything stands.
    pub(super) async fn now(&self) -> Result<Now, String> {
        let body = self.ask(Method::GET, "/api/v1/now", None).await?;
        serde_json::from_slice(&body).map_err(|error| format!("the console speaks of other things: {error}"))
    }

    /// Sends a test, and says what became of it.
    pub(super) async fn test_alert(&self, name: &str) -> Result<String, String> {
        let (before, _) = self.alert(name).await?;
        self.ask(Method::POST, &format!("/api/v1/alerts/{name}/test"), None).await?;
        let begun = Instant::now();
        loop {
            sleep(Duration::from_millis(200)).await;
            let (now, channel) = self.alert(name).await?;
            if now.0 > before.0 {
                return Ok(format!("{name} took the test."));
            }
            if now.1 > before.1 || begun.elapsed() > TESTED {
                let why = channel.last_error.unwrap_or_else(|| "other messages wait before it".to_owned());
                return Err(format!("{name} did not take the test: {why}"));
            }
        }
    }

    /// How many messages arrived and how many were given up.
    async fn alert(&self, name: &str) -> Result<((u64, u64), AlertChannel), String> {
        let body = self.ask(Method::GET, "/api/v1/alerts", None).await?;
        let alerts: Alerts = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        let found = alerts.channels.into_iter().find(|channel| channel.name == name);
        found.map(|it| ((it.sent, it.given_up), it)).ok_or_else(|| format!("there is no alert {name}"))
    }

    /// Does what was asked for, and says what came of it.
    async fn act(&self, deed: &Deed) -> Result<String, String> {
        let (method, path, body) = deed.asked();
        let body = self.ask(method, &path, body).await?;
        serde_json::from_slice::<Done>(&body).map(|done| done.words).map_err(|error| error.to_string())
    }

    async fn ask(&self, method: Method, path: &str, body: Option<String>) -> Result<Bytes, String> {
        self.ask_within(method, path, body, PATIENCE).await
    }

    /// Asks, and waits for so long.
    pub(crate) async fn ask_within(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        patience: Duration,
    ) -> Result<Bytes, String> {
        let asked = async {
            let mut answer = self.send(method, path, body, None).await?;
            let whole = Limited::new(answer.response.body_mut(), ANSWER).collect().await;
            Ok(whole.map_err(|error| error.to_string())?.to_bytes())
        };
        timeout(patience, asked).await.unwrap_or_else(|_| Err("the console does not answer".to_owned()))
    }

    /// An answer of status 200; another is told in the console's own words.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        last: Option<u64>,
    ) -> Result<Answer, String> {
        let stream = match &self.at {
            At::Address(address) => TcpStream::connect(address).await,
            At::Name(name, port) => TcpStream::connect((name.as_str(), *port)).await,
        };
        let stream = stream.map_err(|error| format!("no console answers on {}: {}", self.host, plain(&error)))?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Full::<Bytes>::from(body.unwrap_or_default())).map_err(|error| error.to_string())?;
        let words = |error: hyper::Error| format!("the console broke off: {error}");
        let (mut sender, driven) = match &self.tls {
            None => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
                (sender, tokio::spawn(async move { drop(connection.await) }))
            }
            Some((config, name)) => {
                let stream = TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream).await;
                let stream = stream.map_err(|error| format!("the console's certificate: {}", plain(&error)))?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
                (sender, tokio::spawn(async move { drop(connection.await) }))
            }
        };
        let driven = driven.abort_handle();
        let response = sender.send_request(request).await.map_err(words)?;
        let mut answer = Answer { response, driven };
        if answer.response.status().is_success() {
            return Ok(answer);
        }
        let status = answer.response.status();
        let body = Limited::new(answer.response.body_mut(), ANSWER).collect().await.map(|body| body.to_bytes());
        let problem = body.ok().and_then(|body| serde_json::from_slice::<Problem>(&body).ok());
        Err(problem.map_or_else(|| format!("the console answered {status}"), |problem| problem.detail))
    }

    /// Tells everything that comes until nobody listens; a stream that breaks goes on after the last thing that was seen.
    pub(super) async fn follow(&self, tell: &Sender<Update>) {
        let mut last = None;
        loop {
            let Err(why) = self.listen(&mut last, tell).await;
            let Some(why) = why else { return };
            if tell.send(Update::Lost(why)).is_err() {
                return;
            }
            sleep(AGAIN).await;
        }
    }

    /// Ends when the stream does, with why; without a word when nobody listens any more.
    async fn listen(&self, last: &mut Option<u64>, tell: &Sender<Update>) -> Result<Infallible, Option<String>> {
        let opened = timeout(PATIENCE, self.send(Method::GET, "/api/v1/live", None, *last)).await;
        let mut answer = opened.unwrap_or_else(|_| Err("the console does not answer".to_owned())).map_err(Some)?;
        let mut stream = Stream::default();
        loop {
            let frame = timeout(SILENCE, answer.response.body_mut().frame()).await;
            let frame = frame.map_err(|_| Some("the console has fallen silent".to_owned()))?;
            let frame = frame.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
            let Some(bytes) = frame else { return Err(Some("the console broke off".to_owned())) };
            let events = stream.take(&bytes).map_err(|_| Some("what the console says has no end".to_owned()))?;
            for event in events {
                let update = match event.kind.as_str() {
                    "now" => serde_json::from_str(&event.data).map(Update::Now),
                    "happening" => serde_json::from_str(&event.data).map(Update::Happened),
                    _ => continue,
                };
                let update = update.map_err(|error| Some(format!("the console speaks of other things: {error}")))?;
                *last = event.id.or(*last);
                tell.send(update).map_err(|_| None::<String>)?;
            }
        }
    }

    /// Does one thing after the other.
    pub(super) async fn obey(&self, mut deeds: UnboundedReceiver<Deed>, tell: &Sender<Update>) {
        while let Some(deed) = deeds.recv().await {
            let said = self.act(&deed).await.unwrap_or_else(|why| format!("That was not done: {why}"));
            if tell.send(Update::Said(said)).is_err() {
                return;
            }
        }
    }
}
