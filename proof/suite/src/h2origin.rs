//! An upstream that speaks HTTP/2 by prior knowledge and echoes, trailers included.
//!
//! It never speaks HTTP/1.1: a gate that falls back is found out.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde_json::json;

/// A running HTTP/2 echo; its thread ends with it.
#[derive(Debug)]
pub struct H2Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    said: Arc<Mutex<Option<Said>>>,
    // Dropping the sender ends the thread.
    _stop: tokio::sync::oneshot::Sender<()>,
}

/// What is answered in place of an echo: fields, and the body.
type Said = (Vec<(&'static str, &'static str)>, Vec<u8>);

impl H2Origin {
    /// Starts it on a port of its own. The response repeats the body with the trailer `x-length`; request trailers are
    /// repeated as `x-trailer-NAME` in the trailers.
    ///
    /// # Panics
    /// When loopback has no free port.
    #[must_use]
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::new(Mutex::new(None));
        let (seeing, saying) = (Arc::clone(&seen), Arc::clone(&said));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
            runtime.block_on(async move {
                tokio::select! {
                    () = accept(listener, seeing, saying) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, seen, said, _stop: stop }
    }

    /// `h2c://ADDRESS`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("h2c://{}", self.address)
    }

    /// From now on it answers so, with the trailer `grpc-status: 0`.
    pub fn say(&self, fields: &[(&'static str, &'static str)], body: Vec<u8>) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some((fields.to_vec(), body));
    }

    /// Methods and paths received since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn accept(listener: std::net::TcpListener, seen: Arc<Mutex<Vec<String>>>, said: Arc<Mutex<Option<Said>>>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(connection(socket, Arc::clone(&seen), Arc::clone(&said)));
    }
}

async fn connection(socket: tokio::net::TcpStream, seen: Arc<Mutex<Vec<String>>>, said: Arc<Mutex<Option<Said>>>) {
    let Ok(mut connection) = h2::server::handshake(socket).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let line = format!("{} {}", request.method(), request.uri().path());
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        let said = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tokio::spawn(async move {
            match said {
                Some(said) => answer(said, respond),
                None => echo(request, respond).await,
            }
        });
    }
}

fn answer((fields, body): Said, mut respond: h2::server::SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    for (name, value) in fields {
        response.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(Bytes::from(body), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    stream.send_trailers(trailers)
}

async fn echo(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    let fields: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let mut bytes = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        bytes.extend_from_slice(&part);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-length", bytes.len().into());
    for (name, value) in &body.trailers().await?.unwrap_or_default() {
        if let Ok(name) = http::HeaderName::try_from(format!("x-trailer-{name}")) {
            trailers.insert(name, value.clone());
        }
    }
    let text = json!({
        "method": head.method.as_str(), "uri": head.uri.to_string(), "headers": fields, "body_len": bytes.len(),
    });
    let response = Response::builder().status(StatusCode::OK).body(()).unwrap_or_default();
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(Bytes::from(text.to_string()), false)?;
    stream.send_trailers(trailers)
}
