//! The demo's sample platforms: what stands behind the gate.
//!
//! They are servers of their own, reached over TCP like anybody's. They listen on loopback, keep bounded state in
//! memory and cost about what real ones cost: work has a duration and a limited number of desks.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time;

pub(crate) mod forms;
pub(crate) mod members;
pub(crate) mod public;
pub(crate) mod site;
pub(crate) mod store;

/// A platform takes no larger body.
const BODY_BYTES: usize = 64 * 1024;
/// A platform holds no more connections; the gate's pools need far fewer.
const CONNECTIONS: usize = 2048;
/// How many may wait for a desk before a platform says that it is overloaded.
const WAITING: usize = 512;

/// What a platform is asked, with the body read.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What it answers.
pub(crate) type Reply = Response<BoxBody<Bytes, Infallible>>;

/// A platform: one function from question to answer.
pub(crate) trait Platform: Send + Sync + 'static {
    /// Answers, taking as long as the real thing would.
    fn answer(&self, asked: Asked) -> impl Future<Output = Reply> + Send;
}

/// Serves `platform` until the runtime ends.
pub(crate) async fn serve<P: Platform>(listener: TcpListener, platform: Arc<P>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of descriptors, most likely: others end soon.
            Err(_) => {
                time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let platform = Arc::clone(&platform);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let platform = Arc::clone(&platform);
                async move { Ok::<_, Infallible>(take(request, &*platform).await) }
            });
            // A connection that breaks is the other side's business; the platform has nothing to add.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(90))
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(permit);
        });
    }
}

async fn take<P: Platform>(request: Request<Incoming>, platform: &P) -> Reply {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES).collect().await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "too large");
    };
    let is_head = head.method == Method::HEAD;
    let asked = Asked {
        method: if is_head { Method::GET } else { head.method },
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: body.to_bytes(),
    };
    // hyper drops the body of an answer to HEAD and keeps its length.
    platform.answer(asked).await
}

/// A listener on a free loopback port, and where it is.
pub(crate) async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The people, threads or database connections that do a platform's work.
#[derive(Debug)]
pub(crate) struct Desks {
    seats: Semaphore,
    desks: Semaphore,
}

impl Desks {
    /// So many at once.
    pub(crate) fn new(desks: usize) -> Self {
        Self { seats: Semaphore::new(desks + WAITING), desks: Semaphore::new(desks) }
    }

    /// Works for `duration` at one desk, after waiting for it. `Err` is the platform's overload page: too many wait.
    pub(crate) async fn work(&self, duration: Duration) -> Result<(), Box<Reply>> {
        let overloaded = |_| Box::new(text(StatusCode::SERVICE_UNAVAILABLE, "overloaded"));
        let _seat = self.seats.try_acquire().map_err(overloaded)?;
        if let Ok(_desk) = self.desks.acquire().await {
            time::sleep(duration).await;
        }
        Ok(())
    }
}

impl Asked {
    /// The first value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        first(self.query.as_bytes(), name)
    }

    /// The first value of a form field.
    pub(crate) fn field(&self, name: &str) -> String {
        first(&self.body, name).unwrap_or_default()
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
    }
}

fn first(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// An answer with a body of a known type.
pub(crate) fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()).boxed());
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    reply
}

/// A line of text.
pub(crate) fn text(status: StatusCode, line: &'static str) -> Reply {
    reply(status, "text/plain; charset=utf-8", line)
}

/// Sends the browser elsewhere on the same platform after a form (303) or for good.
pub(crate) fn redirect(status: StatusCode, to: &str) -> Reply {
    let mut reply = text(status, "see there");
    if let Ok(to) = header::HeaderValue::from_str(to) {
        reply.headers_mut().insert(header::LOCATION, to);
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_cookies_are_read_as_browsers_write_them() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, header::HeaderValue::from_static("a=1; session=x%20y; sessionid=no"));
        let asked = Asked {
            method: Method::POST,
            path: "/join".into(),
            query: "q=K%C3%A6re+ven&page=2&q=second".into(),
            headers,
            body: Bytes::from_static(b"name=Ann+%26+Bo&empty="),
        };
        assert_eq!(asked.query("q").as_deref(), Some("K\u{e6}re ven"));
        assert_eq!(asked.query("missing"), None);
        assert_eq!(asked.field("name"), "Ann & Bo");
        assert_eq!(asked.field("empty"), "");
        assert_eq!(asked.cookie("session"), Some("x%20y"));
        assert_eq!(asked.cookie("b"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn work_queues_at_the_desks_and_overload_is_said() {
        let desks = Arc::new(Desks::new(2));
        let started = time::Instant::now();
        assert!(desks.work(Duration::from_millis(10)).await.is_ok());
        assert!(started.elapsed() < Duration::from_millis(15), "nobody else is there");
        let crowd: Vec<_> = (0..2 * WAITING)
            .map(|_| {
                let desks = Arc::clone(&desks);
                tokio::spawn(async move { desks.work(Duration::from_millis(10)).await.is_ok() })
            })
            .collect();
        let mut served = 0;
        for one in crowd {
            served += usize::from(one.await.expect("no panic"));
        }
        assert_eq!(served, WAITING + 2, "the others were told that it is overloaded");
    }
}
