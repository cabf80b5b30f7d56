//! The admin listener: metrics, health, readiness, on a thread and a runtime of their own.
//!
//! Never shares a queue, a buffer or a worker with visitors, so it answers while they have every worker at its limit;
//! never changes anything. The control socket lives on the same thread.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::control::{ControlSocket, Operator};

/// Connections at once; more wait in the kernel.
const CONNECTIONS: usize = 64;
/// To send the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// A whole connection, which carries one request: a scraper that stops reading frees its place.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(30);
/// Head of a request.
const HEAD_BYTES: usize = 16 * 1024;
/// How long answers under way may take once the thread is told to stop.
const STOP_GRACE: Duration = Duration::from_secs(1);

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the listener shows.
pub trait Report: Send + Sync + 'static {
    /// All metrics in Prometheus text.
    fn metrics(&self) -> String;

    /// Whether every worker accepts; false while draining.
    fn ready(&self) -> bool;
}

/// The running thread. Dropped without [`AdminThread::stop`], it ends on its own and is not waited for.
#[derive(Debug)]
pub struct AdminThread {
    stop: watch::Sender<bool>,
    runtime: Handle,
    thread: JoinHandle<()>,
}

/// Starts the thread. When a successor has taken over through `control`, it stops accepting here too, so that the
/// successor answers; what was spawned on [`AdminThread::runtime`] goes on.
///
/// # Errors
/// The system gives no thread, or the listener cannot be used.
pub fn start(
    listener: StdTcpListener,
    control: ControlSocket,
    report: Arc<dyn Report>,
    operator: Arc<dyn Operator>,
) -> io::Result<AdminThread> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (stop, mut stopped) = watch::channel(false);
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener)?
    };
    let life = async move {
        let mut connections = JoinSet::new();
        tokio::select! {
            () = serve(listener, report, &mut connections) => {}
            () = until_handed_over(control, operator) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
        // An error here means that nobody is left to say stop.
        drop(stopped.wait_for(|stop| *stop).await);
        let drained = async { while connections.join_next().await.is_some() {} };
        drop(timeout(STOP_GRACE, drained).await);
    };
    let thread = std::thread::Builder::new().name("admin".into()).spawn(move || {
        runtime.block_on(life);
        runtime.shutdown_background();
    })?;
    Ok(AdminThread { stop, runtime: handle, thread })
}

impl AdminThread {
    /// The runtime, for other quiet work: signals, the watchdog, files to watch.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Stops the thread and waits for it: a second at most. Not to be called on the thread itself.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the admin thread panicked");
        }
    }
}

async fn until_handed_over(control: ControlSocket, operator: Arc<dyn Operator>) {
    if let Err(error) = control.serve(operator).await {
        tracing::error!(%error, "the control socket failed: reload by SIGHUP, take-over is not possible");
        // The admin listener is worth keeping without it.
        std::future::pending().await
    }
}

async fn serve(listener: TcpListener, report: Arc<dyn Report>, connections: &mut JoinSet<()>) {
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((socket, _)) => drop(connections.spawn(converse(socket, Arc::clone(&report)))),
                // Out of descriptors, most likely: wait for some to come back rather than spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

fn converse(socket: TcpStream, report: Arc<dyn Report>) -> impl Future<Output = ()> {
    let service = service_fn(move |request| {
        let response = answer(&request, report.as_ref());
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), service);
    // Whatever ends it early is the asker's matter.
    async move { drop(timeout(CONNECTION_DEADLINE, connection).await) }
}

fn answer<B>(request: &Request<B>, report: &dyn Report) -> Response<Full<Bytes>> {
    let (status, kind, body) = match request.uri().path() {
        "/metrics" | "/health" | "/ready" if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            (StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n".into())
        }
        "/metrics" => (StatusCode::OK, PROMETHEUS, report.metrics()),
        "/health" => (StatusCode::OK, TEXT, "alive\n".into()),
        "/ready" if report.ready() => (StatusCode::OK, TEXT, "ready\n".into()),
        "/ready" => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n".into()),
        _ => (StatusCode::NOT_FOUND, TEXT, "/metrics, /health, /ready\n".into()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde_json::Value;

    use super::*;
    use crate::control::{Claim, Reloaded, take_over};
    use crate::sockets::Named;

    struct Gate {
        ready: AtomicBool,
        admin: StdTcpListener,
    }

    impl Report for Gate {
        fn metrics(&self) -> String {
            "portcullis_config_generation 1\n".into()
        }
        fn ready(&self) -> bool {
            self.ready.load(Ordering::Relaxed)
        }
    }

    impl Operator for Gate {
        fn reload(&self) -> Result<Reloaded, String> {
            Err("not here".into())
        }
        fn command(&self, command: portcullis_engine::Command, _: &str) -> Result<String, String> {
            Ok(format!("{command:?}"))
        }

        fn status(&self) -> Value {
            Value::Null
        }
        fn sockets(&self) -> io::Result<Vec<Named>> {
            let socket = self.admin.try_clone()?.into();
            Ok(vec![Named { name: crate::sockets::ADMIN.into(), bind: self.admin.local_addr()?, socket }])
        }
        fn handed_over(&self, _: Option<u32>) {}
    }

    fn started(directory: &Path) -> (AdminThread, Arc<Gate>, SocketAddr) {
        let admin = StdTcpListener::bind("127.0.0.1:0").expect("free");
        let address = admin.local_addr().expect("bound");
        let control = ControlSocket::open(&directory.join("control.sock"), Claim::Unheld).expect("free");
        let listener = admin.try_clone().expect("open");
        let gate = Arc::new(Gate { ready: AtomicBool::new(true), admin });
        let report: Arc<dyn Report> = Arc::clone(&gate) as _;
        let operator: Arc<dyn Operator> = Arc::clone(&gate) as _;
        (start(listener, control, report, operator).expect("a thread"), gate, address)
    }

    fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("listening");
        stream.write_all(request.as_bytes()).expect("open");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("text, then the end");
        response
    }

    #[test]
    fn each_path_has_its_answer() {
        let directory = tempfile::tempdir().expect("a directory");
        let (thread, gate, address) = started(directory.path());
        for (method, path, ready, status, body) in [
            ("GET", "/metrics", true, 200, "portcullis_config_generation 1\n"),
            ("HEAD", "/metrics", true, 200, ""),
            ("GET", "/health", true, 200, "alive\n"),
            ("GET", "/ready", true, 200, "ready\n"),
            ("GET", "/health", false, 200, "alive\n"),
            ("GET", "/ready", false, 503, "not ready\n"),
            ("GET", "/ready?x=1", true, 200, "ready\n"),
            ("POST", "/metrics", true, 405, "GET or HEAD\n"),
            ("GET", "/", true, 404, "/metrics, /health, /ready\n"),
            ("DELETE", "/metrics/", true, 404, "/metrics, /health, /ready\n"),
        ] {
            gate.ready.store(ready, Ordering::Relaxed);
            let response = exchange(address, &format!("{method} {path} HTTP/1.1\r\nhost: admin\r\n\r\n"));
            let (head, got) = response.split_once("\r\n\r\n").expect("a head");
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {head}");
            assert_eq!(got, body, "{method} {path}");
            assert!(head.contains("cache-control: no-store"), "{head}");
            assert_eq!(head.contains("allow: GET, HEAD"), status == 405, "{head}");
        }
        let head = exchange(address, "HEAD /metrics HTTP/1.1\r\nhost: admin\r\n\r\n");
        assert!(head.contains("content-length: 31\r\n"), "{head}");
        thread.stop();
        drop(gate);
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    }

    #[test]
    fn garbage_and_silence_cost_nobody_else_an_answer() {
        let directory = tempfile::tempdir().expect("a directory");
        let (thread, _gate, address) = started(directory.path());
        let silent: Vec<_> = (0..CONNECTIONS - 2).map(|_| TcpStream::connect(address).expect("listening")).collect();
        let long = format!("GET /health HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(2 * HEAD_BYTES));
        for garbage in ["\r\n\r\nnonsense\r\n\r\n", "GET\r\n\r\n", &long] {
            let mut stream = TcpStream::connect(address).expect("listening");
            stream.write_all(garbage.as_bytes()).expect("open");
            let mut response = Vec::new();
            // A reset is as good an answer as an error.
            drop(stream.read_to_end(&mut response));
            assert!(!response.starts_with(b"HTTP/1.1 200"));
            assert!(exchange(address, "GET /health HTTP/1.1\r\nhost: a\r\n\r\n").ends_with("alive\n"));
        }
        drop(silent);
        thread.stop();
    }

    #[test]
    fn after_a_take_over_only_the_successor_answers() {
        let directory = tempfile::tempdir().expect("a directory");
        let (thread, gate, address) = started(directory.path());
        let (_inherited, handle) = take_over(&directory.path().join("control.sock")).expect("handed over");
        assert!(exchange(address, "GET /health HTTP/1.1\r\nhost: a\r\n\r\n").ends_with("alive\n"));
        handle.ready().expect("the old gate lives");
        let spawned = thread.runtime().spawn(async { 7 });
        let (result, done) = std::sync::mpsc::channel();
        thread.runtime().spawn(async move { result.send(spawned.await.ok()) });
        assert_eq!(done.recv().expect("it still runs"), Some(7));
        // The thread gave its copy up; the test's own takes the connection that the kernel completes.
        let mut visitor = TcpStream::connect(address).expect("the socket lives");
        visitor.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n").expect("open");
        gate.admin.set_nonblocking(false).expect("open");
        let (mut accepted, _) = gate.admin.accept().expect("left for the successor");
        let mut first = [0; 3];
        accepted.read_exact(&mut first).expect("the request");
        assert_eq!(&first, b"GET");
        thread.stop();
    }
}
