//! `portcullis witness`: stands on another host, is shown a ledger's checkpoints, and signs only what continues what it signed
//! before.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_ledger::note::{Algorithm, VerifierKey};
use portcullis_ledger::witness::REQUEST_BYTES;
use portcullis_store::disk::Directory;
use portcullis_store::key;
use portcullis_store::witness::{Answer, Witness};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::args;
use crate::world::plain;
use crate::{Done, Failure, moment, talk};

/// Connections at once; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// A connection at most: logs ask once and go.
const CONNECTION: Duration = Duration::from_secs(20);

/// Signs until it is told to stop.
pub(crate) fn run(flags: &args::Witness) -> Done {
    talk::listen("info")?;
    let state = &flags.state;
    let cannot = |error: std::io::Error| Failure::because(format!("{}: {}", state.display(), plain(&error)));
    let disk = Directory::create(state).map_err(cannot)?;
    // Two witnesses with one key and one state could sign both sides of a fork.
    let _held = disk.lock().map_err(cannot)?;
    let key = key(state, &flags.name, Algorithm::Cosignature).map_err(cannot)?;
    let parse = |text: &String| {
        VerifierKey::parse(text).map_err(|why| Failure::because(format!("`{text}` is not a ledger's key: {why}")))
    };
    let logs = flags.log.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let public = key.public().to_string();
    let witness = Arc::new(Witness::new(key, logs, disk));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    runtime.block_on(async {
        let listener = TcpListener::bind(flags.listen)
            .await
            .map_err(|error| Failure::because(format!("cannot listen on {}: {}", flags.listen, plain(&error))))?;
        let address = listener.local_addr().map_err(cannot)?;
        talk::answer(&public)?;
        tracing::info!(%address, "the witness listens");
        let mut told = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(cannot)?;
        tokio::select! {
            () = serve(listener, witness) => {}
            _ = told.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(())
    })
}

async fn serve(listener: TcpListener, witness: Arc<Witness<Directory>>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let witness = Arc::clone(&witness);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&witness)));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever breaks off, or takes too long, asks again.
            let _ = tokio::time::timeout(CONNECTION, connection).await;
            drop(permit);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    witness: Arc<Witness<Directory>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let plain = |status: StatusCode| {
        let words = status.canonical_reason().unwrap_or_default();
        Answer { status: status.as_u16(), content_type: "text/plain", body: format!("{words}\n") }
    };
    let answer = match (request.method(), request.uri().path()) {
        (&Method::POST, "/add-checkpoint") => match Limited::new(request.into_body(), REQUEST_BYTES).collect().await {
            Ok(body) => witness.add_checkpoint(&body.to_bytes(), moment::now() / 1000),
            Err(_) => plain(StatusCode::PAYLOAD_TOO_LARGE),
        },
        (_, "/add-checkpoint") => plain(StatusCode::METHOD_NOT_ALLOWED),
        _ => plain(StatusCode::NOT_FOUND),
    };
    if answer.status != 200 && answer.status != 409 {
        tracing::warn!(status = answer.status, "a checkpoint was not signed: {}", answer.body.trim_end());
    }
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(answer.content_type));
    Ok(response)
}
