//! From an accepted connection to a session: TLS, cancellations, the startup message, the server.
//!
//! One deadline holds for all that the application does. Never takes a byte in clear for one behind TLS: what lies behind a
//! wish for encryption before it was answered ends the connection (CVE-2021-23222).

use std::sync::Arc;

use portcullis_pgguard::policy::Context;
use portcullis_pgguard::session::Session;
use portcullis_types::{Limits, Reason};
use portcullis_wire::postgres::write::{self, Gravity};
use portcullis_wire::postgres::{OPENING_BYTES, Opening, Startup, opening};
use portcullis_wire::read::Read;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::desk::Desk;
use super::{Place, upstream};
use crate::stream::Stream;
use crate::tls;
use crate::watch::Watch;

/// A session that may begin.
pub(super) struct Opened {
    pub(super) client: Stream,
    pub(super) server: Stream,
    pub(super) session: Session,
    pub(super) place: Place,
}

/// Why there is no session, and the SQLSTATE with which the application is told.
struct Refused {
    reason: Reason,
    code: &'static str,
    detail: String,
}

fn refused(reason: Reason, code: &'static str, detail: impl Into<String>) -> Refused {
    Refused { reason, code, detail: detail.into() }
}

const PROTOCOL: &str = "08P01";
const AUTHORIZATION: &str = "28000";

/// Wishes before the session: GSSAPI, then TLS, and no reason for a third.
const WISHES: usize = 2;

/// Reads until a session can begin; `None` where there is none to begin, which has been told.
pub(super) async fn open(desk: &mut Desk, tcp: TcpStream, watch: &Watch) -> Option<Opened> {
    let deadline = watch.now().after(Limits::duration(desk.worker.limits().handshake_deadline));
    let asked = watch.until(deadline, ask(desk, tcp)).await;
    let (mut client, packet) = match asked {
        Ok(Some(asked)) => asked,
        Ok(None) => return None,
        Err(_) => {
            desk.no_session(Reason::HandshakeTimeout, "no startup message in time");
            return None;
        }
    };
    let client_tls = !matches!(client, Stream::Plain(_));
    match begin(desk, &packet, client_tls, watch).await {
        Ok((server, session, place)) => Some(Opened { client, server, session, place }),
        Err(Refused { reason, code, detail }) => {
            let reference = desk.no_session(reason, &detail);
            let words = reason.description().trim_end_matches('.');
            let mut farewell = Vec::new();
            write::error(&mut farewell, Gravity::Fatal, code, &format!("{words} (reference {reference})"), "");
            let told = async {
                client.write_all(&farewell).await?;
                client.shutdown().await
            };
            let _ = watch.until(deadline, told).await;
            None
        }
    }
}

/// What the application wants: its connection, TLS agreed, and the startup message.
async fn ask(desk: &mut Desk, mut tcp: TcpStream) -> Option<(Stream, Vec<u8>)> {
    let mut packet = Vec::new();
    for _ in 0..=WISHES {
        match read(&mut tcp, &mut packet).await {
            Ok(Asked::Startup) if desk.database.declared.require_tls => {
                let reference = desk.no_session(Reason::TlsFailed, "a session without TLS, which is required");
                let mut farewell = Vec::new();
                let words = format!("TLS is required (reference {reference})");
                write::error(&mut farewell, Gravity::Fatal, AUTHORIZATION, &words, "");
                let _ = tcp.write_all(&farewell).await;
                return None;
            }
            Ok(Asked::Startup) => return Some((Stream::Plain(tcp), packet)),
            Ok(Asked::Cancel) => {
                upstream::cancel(&desk.worker, &desk.database, false, &packet).await;
                let _ = tcp.shutdown().await;
                return None;
            }
            Ok(Asked::Tls) => {
                let config = desk.database.server_tls.clone();
                packet.clear();
                if tcp.write_all(if config.is_some() { b"S" } else { b"N" }).await.is_err() {
                    return None;
                }
                if let Some(config) = config {
                    return behind_tls(desk, tcp, Vec::new(), config, false).await;
                }
            }
            Ok(Asked::DirectTls) => {
                let Some(config) = desk.database.server_tls.clone() else {
                    desk.no_session(Reason::TlsFailed, "TLS where none is offered");
                    return None;
                };
                return behind_tls(desk, tcp, packet, config, true).await;
            }
            Ok(Asked::Gss) => {
                packet.clear();
                tcp.write_all(b"N").await.ok()?;
            }
            Err(Some(why)) => {
                desk.no_session(Reason::DatabaseProtocol, why);
                return None;
            }
            Err(None) => return None,
        }
    }
    desk.no_session(Reason::DatabaseProtocol, "wishes without end");
    None
}

/// TLS, and the startup message or cancellation behind it.
async fn behind_tls(
    desk: &mut Desk,
    tcp: TcpStream,
    prefix: Vec<u8>,
    config: Arc<rustls::ServerConfig>,
    direct: bool,
) -> Option<(Stream, Vec<u8>)> {
    let (mut stream, handshake) = match tls::accept(tcp, prefix, config).await {
        Ok(done) => done,
        Err(tls::Refused::Closed) => return None,
        Err(why) => {
            desk.no_session(Reason::TlsFailed, &why.to_string());
            return None;
        }
    };
    let agreed = stream.get_ref().1.alpn_protocol() == Some(tls::POSTGRESQL);
    if direct && !agreed {
        // Whoever did not say so may be a browser that was led here.
        desk.no_session(Reason::TlsFailed, "TLS from the first byte on without ALPN `postgresql`");
        return None;
    }
    desk.encrypted(handshake.version);
    let mut packet = Vec::new();
    match read(&mut stream, &mut packet).await {
        Ok(Asked::Startup) => Some((Stream::Server(Box::new(stream)), packet)),
        Ok(Asked::Cancel) => {
            // Closed when the server has it: that is what the application waits for.
            upstream::cancel(&desk.worker, &desk.database, true, &packet).await;
            let _ = stream.shutdown().await;
            None
        }
        Ok(Asked::Tls | Asked::DirectTls | Asked::Gss) => {
            desk.no_session(Reason::DatabaseProtocol, "encryption inside of TLS");
            None
        }
        Err(why) => {
            if let Some(why) = why {
                desk.no_session(Reason::DatabaseProtocol, why);
            }
            None
        }
    }
}

enum Asked {
    Startup,
    Cancel,
    Tls,
    DirectTls,
    Gss,
}

/// Reads one packet, whole and alone; `None` where the application went away. What is behind a startup message stays in
/// `packet`: a client may send ahead.
async fn read<S>(stream: &mut S, packet: &mut Vec<u8>) -> Result<Asked, Option<&'static str>>
where
    S: tokio::io::AsyncRead + Unpin,
{
    loop {
        match opening(packet) {
            Read::Invalid(why) => return Err(Some(why)),
            Read::Incomplete => {}
            Read::Done((found, taken)) => {
                let alone = packet.len() == taken;
                return match found {
                    Opening::DirectTls => Ok(Asked::DirectTls),
                    Opening::Startup(_) => Ok(Asked::Startup),
                    _ if !alone => Err(Some("bytes behind a wish for encryption or a cancellation")),
                    Opening::Ssl => Ok(Asked::Tls),
                    Opening::Gss => Ok(Asked::Gss),
                    Opening::Cancel(_) => Ok(Asked::Cancel),
                };
            }
        }
        let mut piece = [0; 1024];
        let room = piece.len().min(OPENING_BYTES + 1);
        match stream.read(&mut piece[..room]).await {
            Ok(0) | Err(_) => return Err(None),
            Ok(count) => packet.extend_from_slice(&piece[..count]),
        }
    }
}

/// Who it is, a place, the server, and the startup message on its way.
async fn begin(
    desk: &mut Desk,
    packet: &[u8],
    client_tls: bool,
    watch: &Watch,
) -> Result<(Stream, Session, Place), Refused> {
    let Read::Done((Opening::Startup(startup), taken)) = opening(packet) else {
        return Err(refused(Reason::DatabaseProtocol, PROTOCOL, "no startup message"));
    };
    if packet.len() > taken {
        // The server would take it for a password where it asks for one.
        return Err(refused(Reason::DatabaseProtocol, PROTOCOL, "bytes behind the startup message"));
    }
    let context = context(desk, &startup)?;
    desk.context(&context);
    if asks_for_replication(&startup) && !desk.database.declared.replication {
        let why = "replication carries everything past every budget";
        return Err(refused(Reason::StatementForbidden, "42501", why));
    }
    let Some(place) = desk.database.place() else {
        let why = format!("{} sessions are open", desk.database.declared.sessions);
        return Err(refused(Reason::ConcurrencyLimit, "53300", why));
    };
    let database = Arc::clone(&desk.database);
    let connected = watch.within(database.declared.connect_timeout, upstream::connect(&database, client_tls)).await;
    let mut server = match connected {
        Ok(Ok(server)) => server,
        Ok(Err(why)) => return Err(refused(Reason::UpstreamConnect, "08006", why)),
        Err(_) => return Err(refused(Reason::UpstreamConnect, "08006", "the server does not answer in time")),
    };
    if let Ok(from) = server.tcp().local_addr() {
        desk.connected(from);
    }
    let sent = async {
        server.write_all(packet).await?;
        server.flush().await
    };
    sent.await.map_err(|error| refused(Reason::UpstreamClosed, "08006", error.to_string()))?;
    Ok((server, Session::new(context, database.terms.clone()), place))
}

fn context(desk: &Desk, startup: &Startup<'_>) -> Result<Context, Refused> {
    let text = |name: &str| match startup.parameter(name.as_bytes()).map(std::str::from_utf8) {
        Some(Ok(text)) => Ok(text),
        None => Ok(""),
        // Two roles must not become one in the eyes of policy.
        Some(Err(_)) => {
            let why = format!("`{name}` is not UTF-8");
            Err(refused(Reason::DatabaseProtocol, PROTOCOL, why))
        }
    };
    let role = text("user")?;
    let inside = text("database")?;
    Ok(Context {
        guard: desk.database.name().into(),
        role: role.into(),
        database: if inside.is_empty() { role.into() } else { inside.into() },
        client: desk.client,
        application: text("application_name")?.into(),
    })
}

/// As the server reads it: anything but a way of writing false.
fn asks_for_replication(startup: &Startup<'_>) -> bool {
    startup.parameter(b"replication").is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        let no = ["false", "no"].iter().any(|word| !value.is_empty() && word.as_bytes().starts_with(&value));
        !(no || value == b"off" || value == b"of" || value == b"0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup(pairs: &[u8]) -> Vec<u8> {
        let length = u32::try_from(9 + pairs.len()).expect("short");
        [&length.to_be_bytes()[..], &[0, 3, 0, 0], pairs, &[0]].concat()
    }

    #[test]
    fn replication_is_known_however_it_is_written() {
        for (value, expected) in [
            ("true", true),
            ("database", true),
            ("1", true),
            ("yes", true),
            ("", true),
            ("false", false),
            ("F", false),
            ("no", false),
            ("off", false),
            ("0", false),
        ] {
            let packet = startup(format!("user\0a\0replication\0{value}\0").as_bytes());
            let Read::Done((Opening::Startup(read), _)) = opening(&packet) else { panic!("a startup message") };
            assert_eq!(asks_for_replication(&read), expected, "{value}");
        }
    }

    #[tokio::test]
    async fn what_lies_behind_a_wish_for_tls_is_never_taken_for_what_is_inside() {
        let alone = write::SSL_REQUEST;
        assert!(matches!(read(&mut &alone[..], &mut Vec::new()).await, Ok(Asked::Tls)));
        let injected = [&alone[..], b"Q\0\0\0\x05x"].concat();
        assert!(matches!(read(&mut &injected[..], &mut Vec::new()).await, Err(Some(_))));
        assert!(matches!(read(&mut &alone[..5], &mut Vec::new()).await, Err(None)));
        assert!(matches!(read(&mut &b"GET / HTTP/1.1"[..], &mut Vec::new()).await, Err(Some(_))));
    }
}
