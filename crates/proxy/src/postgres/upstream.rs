//! Connections to the server behind a database.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_config::policy::DatabaseTls;
use portcullis_wire::postgres::write;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Database;
use crate::stream::Stream;
use crate::worker::Worker;

/// Why the server was not reached.
pub(super) type Failure = String;

/// Connects, and agrees on TLS where it is declared. With the server's own certificate the two sides are alike: a server that
/// hears TLS offers to bind passwords to it, which an application without TLS takes for an attack. The deadline is the
/// caller's.
pub(super) async fn connect(database: &Database, client_tls: bool) -> Result<Stream, Failure> {
    let declared = &database.declared.upstream;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in &declared.addresses {
        match TcpStream::connect(SocketAddr::new(*address, declared.port)).await {
            Ok(tcp) => return encrypt(database, client_tls, tcp).await,
            Err(error) => last = error,
        }
    }
    Err(format!("{}: {last}", declared.text))
}

async fn encrypt(database: &Database, client_tls: bool, mut tcp: TcpStream) -> Result<Stream, Failure> {
    // Small messages that wait for an answer are the rule here.
    let _ = tcp.set_nodelay(true);
    let alike = matches!(database.declared.tls, DatabaseTls::Same(_));
    let wanted = database.client_tls.as_ref().filter(|_| client_tls || !alike);
    let Some((config, name)) = wanted else { return Ok(Stream::Plain(tcp)) };
    let text = |error: io::Error| format!("{}: {error}", database.declared.upstream.text);
    tcp.write_all(&write::SSL_REQUEST).await.map_err(text)?;
    // One byte and no more: whatever came behind it would not be of the server that TLS then proves.
    match tcp.read_u8().await.map_err(text)? {
        b'S' => {}
        b'N' => return Err(format!("{} speaks no TLS", database.declared.upstream.text)),
        other => return Err(format!("{} answers 0x{other:02x} to a wish for TLS", database.declared.upstream.text)),
    }
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = connector.connect(name.clone(), tcp).await.map_err(text)?;
    Ok(Stream::Client(Box::new(stream)))
}

/// Carries a cancellation to the server, beside everything else. The server answers nothing and closes when it has read it.
pub(super) async fn cancel(worker: &Worker, database: &Database, client_tls: bool, request: &[u8]) {
    database.counters.worker(worker.number()).cancels.add(1);
    let carried = async {
        let mut stream = connect(database, client_tls).await?;
        let text = |error: io::Error| error.to_string();
        stream.write_all(request).await.map_err(text)?;
        stream.flush().await.map_err(text)?;
        let mut nothing = [0; 1];
        let _ = stream.read(&mut nothing).await;
        Ok::<_, Failure>(())
    };
    let why = match tokio::time::timeout(database.declared.connect_timeout, carried).await {
        Ok(Ok(())) => return,
        Ok(Err(why)) => why,
        Err(_) => "it took too long".to_owned(),
    };
    tracing::warn!(database = database.name(), why, "a cancellation did not reach the server");
}
