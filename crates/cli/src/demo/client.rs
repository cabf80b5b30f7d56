//! A visitor's HTTP client: connections that stay open, cookies, a cache, HTTP/1.1 and HTTP/2, with TLS or without.
//!
//! It connects to loopback and nowhere else, whatever it is told: [`loopback_only`] stands before every connection.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::figures::{Ending, Figures};

/// How long a visitor waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the gate's page lets a browser wait before it opens the other one.
const REFRESH: Duration = Duration::from_secs(1);
/// How much of an answer a visitor takes.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Where the gate's own pages lead.
const OWN_PATHS: &[u8] = b"/.portcullis/";
/// Cookies kept for one host.
const COOKIES: usize = 16;

/// Where the gate is, and how to believe it.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    /// Offers HTTP/1.1 only.
    pub(crate) tls: Arc<rustls::ClientConfig>,
    /// Offers HTTP/2 first.
    pub(crate) tls_http2: Arc<rustls::ClientConfig>,
    pub(crate) figures: Figures,
}

impl Front {
    /// The same way in, for visitors who are counted apart.
    pub(crate) fn apart(&self) -> Arc<Self> {
        let (tls, tls_http2) = (Arc::clone(&self.tls), Arc::clone(&self.tls_http2));
        Arc::new(Self { figures: Figures::new(), tls, tls_http2, ..*self })
    }
}

/// How a visitor speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    Plain,
    Tls,
    TlsHttp2,
}

/// One visitor's client.
#[derive(Debug)]
pub(crate) struct Client {
    front: Arc<Front>,
    from: Ipv4Addr,
    speech: Speech,
    headers: Vec<(HeaderName, HeaderValue)>,
    connections: HashMap<&'static str, Sender>,
    cookies: HashMap<&'static str, Vec<(String, String)>>,
    cached: HashSet<String>,
}

/// What a visitor got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    /// The gate answered in the platform's place.
    pub(crate) refused: bool,
    /// It asked for a challenge first.
    pub(crate) challenged: bool,
    pub(crate) location: Option<String>,
    pub(crate) body: Bytes,
}

/// No answer came.
#[derive(Debug)]
pub(crate) struct NoAnswer;

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Http1(_) => "Http1",
            Self::Http2(_) => "Http2",
        })
    }
}

impl Client {
    /// A client at the loopback address `from`, with the headers that it always sends.
    pub(crate) fn new(
        front: Arc<Front>,
        from: Ipv4Addr,
        speech: Speech,
        headers: &[(&'static str, &'static str)],
    ) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Self {
            front,
            from,
            speech,
            headers,
            connections: HashMap::new(),
            cookies: HashMap::new(),
            cached: HashSet::new(),
        }
    }

    /// Closes every connection and forgets cookies and cache: the next request is a newcomer's.
    pub(crate) fn forget(&mut self) {
        self.connections.clear();
        self.cookies.clear();
        self.cached.clear();
    }

    /// GET.
    pub(crate) async fn get(&mut self, host: &'static str, path: &str) -> Result<Got, NoAnswer> {
        let request = self.request(Method::GET, host, path, None, &[]);
        self.send(host, request).await
    }

    /// GET or POST with headers of one's own and a body with its type.
    pub(crate) async fn ask(
        &mut self,
        host: &'static str,
        path: &str,
        body: Option<(&'static str, String)>,
        extra: &[(&'static str, &str)],
    ) -> Result<Got, NoAnswer> {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let request = self.request(method, host, path, body, extra);
        self.send(host, request).await
    }

    /// GET of what may be broken off: what came of it, and whether that is all.
    pub(crate) async fn pull(
        &mut self,
        host: &'static str,
        path: &str,
        extra: &[(&'static str, &str)],
    ) -> Result<(Got, bool), NoAnswer> {
        let request = self.request(Method::GET, host, path, None, extra);
        let pull = async {
            let mut sender = Box::pin(self.connect(host)).await.ok()?;
            let (head, body) = sender.send(request).await?.into_parts();
            let (mut body, mut came, mut whole) = (Limited::new(body, ANSWER_BYTES), Vec::new(), true);
            while let Some(frame) = body.frame().await {
                match frame.map(Frame::into_data) {
                    Ok(Ok(data)) => came.extend_from_slice(&data),
                    Ok(Err(_)) => {}
                    Err(_) => whole = false,
                }
                if !whole {
                    break;
                }
            }
            Some((got(&head, came.into()), whole))
        };
        timeout(PATIENCE, pull).await.ok().flatten().ok_or(NoAnswer)
    }

    /// POSTs a form.
    pub(crate) async fn submit(
        &mut self,
        host: &'static str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Got, NoAnswer> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask(host, path, Some(("application/x-www-form-urlencoded", form)), &[]).await
    }

    /// A page with everything that it needs and the cache does not hold.
    pub(crate) async fn visit(&mut self, host: &'static str, path: &str) -> Result<Got, NoAnswer> {
        let mut page = self.get(host, path).await?;
        // A browser keeps the cookie of the gate's page and follows its refresh, as it asks.
        if page.challenged
            && let Some(back) = refresh_of(&page)
        {
            sleep(REFRESH).await;
            let way = self.get(host, &back).await?;
            page = match &way.location {
                Some(path) => self.get(host, path).await?,
                None => way,
            };
        }
        self.load_assets(host, &page).await;
        Ok(page)
    }

    /// The files that a page names. Over HTTP/2 all at once, over HTTP/1.1 one after the other.
    pub(crate) async fn load_assets(&mut self, host: &'static str, page: &Got) {
        let mut wanted = Vec::new();
        for path in assets_of(&String::from_utf8_lossy(&page.body)) {
            if self.cached.insert(format!("{host}{path}")) {
                wanted.push(path);
            }
        }
        if let Some(Sender::Http2(sender)) = self.connections.get(host) {
            let mut streams = JoinSet::new();
            for path in &wanted {
                let (mut sender, front) = (sender.clone(), Arc::clone(&self.front));
                let request = self.request(Method::GET, host, path, None, &[]);
                streams.spawn(async move {
                    measured(&front.figures, async { take(sender.send_request(request).await.ok()?).await }).await
                });
            }
            while streams.join_next().await.is_some() {}
            return;
        }
        for path in wanted {
            if self.get(host, &path).await.is_err() {
                return;
            }
        }
    }

    fn request(
        &self,
        method: Method,
        host: &'static str,
        path: &str,
        body: Option<(&'static str, String)>,
        extra: &[(&'static str, &str)],
    ) -> Request<Full<Bytes>> {
        let (scheme, at) = match self.speech {
            Speech::Plain => ("http", self.front.http),
            Speech::Tls | Speech::TlsHttp2 => ("https", self.front.https),
        };
        let authority = format!("{host}:{}", at.port());
        let target =
            if self.speech == Speech::TlsHttp2 { format!("{scheme}://{authority}{path}") } else { path.to_owned() };
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().unwrap_or_else(|_| Uri::from_static("/"));
        let headers = request.headers_mut();
        if self.speech != Speech::TlsHttp2
            && let Ok(value) = HeaderValue::from_str(&authority)
        {
            headers.insert(header::HOST, value);
        }
        headers.extend(self.headers.iter().cloned());
        for (name, value) in extra {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(*name, value);
            }
        }
        let cookies = self.cookies.get(host).map(Vec::as_slice).unwrap_or_default();
        let line = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        if let Some(value) = HeaderValue::from_str(&line).ok().filter(|value| !value.is_empty()) {
            headers.insert(header::COOKIE, value);
        }
        if let Some((kind, text)) = body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            if let Ok(origin) = HeaderValue::from_str(&format!("{scheme}://{authority}")) {
                headers.insert(header::ORIGIN, origin);
            }
            *request.body_mut() = Full::new(text.into());
        }
        request
    }

    async fn send(&mut self, host: &'static str, request: Request<Full<Bytes>>) -> Result<Got, NoAnswer> {
        let front = Arc::clone(&self.front);
        let (got, cookies) = measured(&front.figures, self.exchange(host, request)).await.ok_or(NoAnswer)?;
        let kept = self.cookies.entry(host).or_default();
        for (name, value) in cookies {
            kept.retain(|(known, _)| *known != name);
            if kept.len() < COOKIES {
                kept.push((name, value));
            }
        }
        Ok(got)
    }

    async fn exchange(&mut self, host: &'static str, request: Request<Full<Bytes>>) -> Option<Taken> {
        // An idle connection may have been closed meanwhile: then, and only then, a new one is tried.
        let mut open = self.connections.remove(host);
        let still_open = match &mut open {
            Some(sender) => sender.ready().await,
            None => false,
        };
        let mut sender = match open.filter(|_| still_open) {
            Some(sender) => sender,
            // Handshakes are rare and their state is large: boxed, so that every visitor is not.
            None => Box::pin(self.connect(host)).await.ok()?,
        };
        let taken = take(sender.send(request).await?).await?;
        self.connections.insert(host, sender);
        Some(taken)
    }

    async fn connect(&self, host: &'static str) -> io::Result<Sender> {
        let (address, tls) = match self.speech {
            Speech::Plain => (self.front.http, None),
            Speech::Tls => (self.front.https, Some(&self.front.tls)),
            Speech::TlsHttp2 => (self.front.https, Some(&self.front.tls_http2)),
        };
        let stream = dial(self.from, address).await?;
        let Some(tls) = tls else { return http1_over(stream).await };
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return http1_over(stream).await;
        }
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Sender::Http2(sender))
    }
}

impl Sender {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Option<Response<Incoming>> {
        let response = match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        };
        response.ok()
    }

    async fn ready(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }
}

async fn http1_over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> io::Result<Sender> {
    let (sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(Sender::Http1(sender))
}

/// Connects from one loopback address to another. Every connection of the demo's visitors is made here.
async fn dial(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    loopback_only(from.into())?;
    loopback_only(to.ip())?;
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // An address of its own for each visitor, so that what the gate counts by address means something.
    if to.is_ipv4() {
        socket.bind((from, 0).into())?;
    }
    let stream = timeout(PATIENCE, socket.connect(to)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Refuses what is not loopback.
fn loopback_only(address: IpAddr) -> io::Result<()> {
    if address.is_loopback() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("the demo stays on loopback, and {address} is not")))
}

/// An answer and the cookies that came with it.
type Taken = (Got, Vec<(String, String)>);

async fn take(response: Response<Incoming>) -> Option<Taken> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES).collect().await.ok()?.to_bytes();
    let cookies = head
        .headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok()?.split(';').next()?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Some((got(&head, body), cookies))
}

fn got(head: &Parts, body: Bytes) -> Got {
    let by_gate = head.headers.contains_key("x-portcullis-ref") && head.status.as_u16() >= 400;
    let location = head.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let challenged = by_gate && body.windows(OWN_PATHS.len()).any(|window| window == OWN_PATHS);
    Got { status: head.status, refused: by_gate, challenged, location, body }
}

async fn measured(figures: &Figures, exchange: impl Future<Output = Option<Taken>>) -> Option<Taken> {
    let started = Instant::now();
    let taken = timeout(PATIENCE, exchange).await.ok().flatten();
    let ending = match &taken {
        // The gate says 502 to 504 for a platform that failed; anything else from it is a refusal.
        Some((got, _)) if got.refused => Ending::Refused,
        Some((got, _)) if got.status.is_server_error() => Ending::Failed,
        Some(_) => Ending::Served,
        None => Ending::Failed,
    };
    figures.count(ending, started.elapsed());
    taken
}

/// Where a page of the gate sends the browser after a moment, in the same place.
fn refresh_of(page: &Got) -> Option<String> {
    let html = String::from_utf8_lossy(&page.body);
    let (_, rest) = html.split_once("url=/.portcullis/return")?;
    let end = rest.find(['"', '\''])?;
    Some(format!("/.portcullis/return{}", rest.get(..end)?.replace("&amp;", "&")))
}

/// The files that a page asks for: what stands in `src` and in the links of its head.
fn assets_of(html: &str) -> Vec<String> {
    let mut found: Vec<String> = ["src=\"/", "href=\"/assets/"]
        .into_iter()
        .flat_map(|start| html.match_indices(start))
        .filter_map(|(at, start)| {
            let value = html.get(at + start.find('/')?..)?;
            value.get(..value.find('"')?).map(str::to_owned)
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_is_dialled_beyond_loopback() {
        for target in
            ["192.0.2.1:80", "10.0.0.1:8080", "0.0.0.0:80", "[2001:db8::1]:443", "[::]:80", "[::ffff:192.0.2.1]:80"]
        {
            let refused = dial(Ipv4Addr::LOCALHOST, target.parse().expect(target)).await.expect_err(target);
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{target}: {refused}");
        }
        let refused = dial(Ipv4Addr::UNSPECIFIED, "127.0.0.1:9".parse().expect("an address")).await;
        assert_eq!(refused.expect_err("a source beyond loopback").kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_page_names_its_files() {
        let page = r#"<link href="/assets/site.css"><script src="/assets/site.js"></script><img src="/assets/a.svg">
            <img src="/assets/a.svg"><a href="/issues">x</a><img src="https://elsewhere.example/b.png">"#;
        assert_eq!(assets_of(page), ["/assets/a.svg", "/assets/site.css", "/assets/site.js"]);
    }
}
