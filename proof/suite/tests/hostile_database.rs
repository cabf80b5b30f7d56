//! Hostile bytes on both sides of the database's gate: frames, lengths, texts, a server that lies, a disk that is full.
//!
//! Each must come to a clear end: an error or a closed connection, bounded memory, nothing forwarded that was not read, and
//! others served as before.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use portcullis_suite::postgres::{Postgres, programs};
use portcullis_suite::{Gate, Plan, eventually, free_port};

/// What the gate may come to hold for all of it, in bytes.
const ROOM: u64 = 32 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

fn frame(letter: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a length").to_be_bytes();
    [&[letter][..], &length, body].concat()
}

fn startup(parameters: &[u8]) -> Vec<u8> {
    let length = u32::try_from(parameters.len() + 8).expect("a length").to_be_bytes();
    [&length[..], b"\0\x03\0\0", parameters].concat()
}

const USER: &[u8] = b"user\0admin\0\0";

/// A server of the test's own: it lets everybody in, answers queries, and lies where a query says how.
#[derive(Clone)]
struct Liar {
    at: SocketAddr,
    /// What it was sent after the startup message, all sessions together.
    heard: Arc<Mutex<Vec<u8>>>,
}

/// What it says to a query with that word, in place of rows.
const LIES: &[(&str, &[u8])] = &[
    ("lie-length", b"D\x7f\xff\xff\xff\0\x01\0\0\0\x01x"),
    ("lie-short", b"D\0\0\0\x03"),
    ("lie-negative", b"D\xff\xff\xff\xff"),
    ("lie-fields", b"D\0\0\0\x0a\xff\xff\0\0\0\x01"),
    ("lie-value", b"D\0\0\0\x0e\0\x01\x7f\xff\xff\xffabcd"),
    ("lie-description", b"T\0\0\0\x08\x00\x05ab"),
    ("lie-letter", b"\0\0\0\0\x04"),
    ("lie-ready", b"Z\0\0\0\x05?"),
    ("lie-copy", b"d\0\0\0\x08abcd"),
    (
        "lie-mid-row",
        b"T\0\0\0\x1a\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0D\0\0\x40\0\0\x01\0\0\x3f\xf6begins",
    ),
    ("lie-error", b"E\0\0\0\x09Sabc"),
    ("lie-http", b"HTTP/1.1 200 OK\r\n\r\n"),
];

fn liar() -> Liar {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let liar = Liar { at: listener.local_addr().expect("an address"), heard: Arc::default() };
    let heard = Arc::clone(&liar.heard);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let heard = Arc::clone(&heard);
            thread::spawn(move || serve(stream, &heard));
        }
    });
    liar
}

fn serve(mut stream: TcpStream, heard: &Mutex<Vec<u8>>) -> Option<()> {
    let mut take = |length: usize| -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).ok()?;
        Some(bytes)
    };
    let length = u32::from_be_bytes(take(4)?.try_into().ok()?) as usize;
    take(length.checked_sub(4)?)?;
    stream.write_all(&[frame(b'R', b"\0\0\0\0"), frame(b'K', b"\0\0\0\x01abcd"), frame(b'Z', b"I")].concat()).ok()?;
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length.checked_sub(4)?];
        stream.read_exact(&mut body).ok()?;
        let mut all = heard.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(&head);
        all.extend_from_slice(&body);
        drop(all);
        let text = String::from_utf8_lossy(&body);
        let failed = || frame(b'E', b"SERROR\0C42601\0Msyntax error\0\0");
        let answer = match head[0] {
            b'Q' if text.contains("refused by the gate") => [failed(), frame(b'Z', b"I")].concat(),
            b'Q' => match LIES.iter().find(|(word, _)| text.contains(word)) {
                Some((_, lie)) => {
                    stream.write_all(lie).ok()?;
                    // A server that has lied says no more; the gate must not wait for the rest of it for ever.
                    thread::sleep(Duration::from_millis(300));
                    return stream.shutdown(Shutdown::Both).ok();
                }
                None => [frame(b'C', b"SELECT 1\0"), frame(b'Z', b"I")].concat(),
            },
            b'S' => frame(b'Z', b"I"),
            b'P' => frame(b'1', b""),
            b'B' => frame(b'2', b""),
            b'X' => return Some(()),
            _ => failed(),
        };
        stream.write_all(&answer).ok()?;
    }
}

fn guarded(name: &str, upstream: SocketAddr, keys: &str, change: impl FnOnce(Plan) -> Plan) -> (Gate, u16) {
    let port = free_port();
    let table = format!(
        "[[database]]\nname = \"db\"\nlisten = \"127.0.0.1:{port}\"\nupstream = \"{upstream}\"\nmode = \"enforce\"\n{keys}\n"
    );
    let plan = Plan::new(name).upstream(&["http://127.0.0.1:9".to_owned()], "").table(&table);
    (change(plan).start(), port)
}

/// Sends, and reads to the end of the session; `None` where it did not end.
fn say(port: u16, bytes: &[u8], patience: Duration) -> Option<Vec<u8>> {
    let mut wire = TcpStream::connect(("127.0.0.1", port)).expect("the gate listens");
    wire.set_read_timeout(Some(patience)).expect("a timeout");
    // What was refused may be closed before all of it was sent.
    let _ = wire.write_all(bytes);
    rest(wire)
}

/// The same inside a session that the server has let in.
fn say_inside(port: u16, bytes: &[u8], patience: Duration) -> Option<Vec<u8>> {
    let mut wire = TcpStream::connect(("127.0.0.1", port)).expect("the gate listens");
    wire.set_read_timeout(Some(patience)).expect("a timeout");
    wire.write_all(&startup(USER)).ok()?;
    let (mut said, mut piece) = (Vec::new(), [0; 256]);
    while !said.ends_with(b"Z\0\0\0\x05I") {
        let count = wire.read(&mut piece).ok().filter(|count| *count > 0)?;
        said.extend_from_slice(&piece[..count]);
    }
    let _ = wire.write_all(bytes);
    rest(wire)
}

fn rest(mut wire: TcpStream) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    match wire.read_to_end(&mut answer) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => None,
        _ => Some(answer),
    }
}

/// A session in which a query is answered.
fn is_served(port: u16) -> bool {
    let all = [frame(b'Q', b"select 1\0"), frame(b'X', b"")].concat();
    say_inside(port, &all, Duration::from_secs(10))
        .is_some_and(|answer| answer.windows(8).any(|part| part == b"SELECT 1"))
}

#[test]
fn hostile_frames_of_a_client_end_its_session_and_reach_no_server() {
    let liar = liar();
    let (gate, port) = guarded("hostile-client", liar.at, "", |plan| plan);
    assert!(is_served(port), "the twin: an ordinary session is served");
    let before = gate.memory();
    let long = vec![b'x'; 2 * 1024 * 1024];
    // A statement whose values decide how far it reaches, so that they are looked at.
    let limited = || frame(b'P', b"\0select id from members limit $1\0\0\0");
    let marked = |letter: u8, body: &[u8]| [frame(letter, &[b"hostile", body].concat())].concat();
    let after_login: Vec<(&str, Vec<u8>)> = vec![
        ("a length below its own", b"Q\0\0\0\x03hostile".to_vec()),
        ("a length of nothing", b"Q\0\0\0\0hostile".to_vec()),
        ("a length beyond the greatest", [&b"Q\x7f\xff\xff\xffhostile"[..], &long].concat()),
        ("a negative length", b"Q\xff\xff\xff\xffhostile".to_vec()),
        ("a letter that nobody uses", marked(b'\0', b"")),
        ("a server's letter", marked(b'Z', b"I")),
        ("a Parse without an end", marked(b'P', b"select 1")),
        ("a Bind that lies about its values", [limited(), marked(b'B', b"\0\0\0\0\xff\xff\0\0\0\x01x")].concat()),
        ("a Bind with a length beyond it", [limited(), marked(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff")].concat()),
        ("a password where none was asked for", marked(b'p', b"secret\0")),
        ("a text with a zero in it", marked(b'Q', b"select 1\0; drop table members\0")),
        ("a text without its zero", marked(b'Q', b"select 1")),
        ("a name longer than names may be", marked(b'P', &[&long[..70_000], b"\0select 1\0\0\0"].concat())),
    ];
    for (name, bytes) in &after_login {
        let answer = say_inside(port, bytes, Duration::from_secs(10));
        assert!(answer.is_some(), "{name}: the session ends");
        assert!(is_served(port), "{name}: others are served");
    }
    let before_login: Vec<(&str, Vec<u8>)> = vec![
        ("nothing that is a startup", b"\0\0\0\0\0\0\0\0".to_vec()),
        ("a startup that is too long", [&b"\0\x10\0\0\0\x03\0\0"[..], &long].concat()),
        ("a startup without an end", startup(&long[..5_000])),
        ("ten thousand parameters", startup(&[USER, &b"a\0b\0".repeat(10_000)].concat())),
        ("version 2", b"\0\0\0\x08\0\x02\0\0".to_vec()),
        ("TLS without a certificate here", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec()),
    ];
    for (name, bytes) in &before_login {
        let answer = say(port, bytes, Duration::from_secs(20));
        assert!(answer.is_some(), "{name}: it ends");
        assert!(is_served(port), "{name}: others are served");
    }
    let heard = liar.heard.lock().expect("nobody panicked");
    let hostile = heard.windows(7).filter(|part| *part == b"hostile").count();
    assert_eq!(hostile, 0, "nothing of it reached the server: {}", String::from_utf8_lossy(&heard));
    let metrics = gate.metrics();
    let refused = metrics.refused("database-protocol")
        + metrics.refused("session-limit")
        + metrics.refused("statement-unreadable");
    assert!(refused >= 12.0, "each is counted: {:?}", metrics.reasons());
    let grown = gate.memory().saturating_sub(before);
    assert!(grown < ROOM, "{grown} bytes more than before");
}

#[test]
fn a_server_that_lies_ends_one_session_and_costs_no_memory() {
    let liar = liar();
    let (gate, port) = guarded("hostile-server", liar.at, "", |plan| plan);
    assert!(is_served(port), "the twin: an ordinary session is served");
    let before = gate.memory();
    for (lie, _) in LIES {
        let query = format!("select '{lie}'\0");
        let answer = say_inside(port, &frame(b'Q', query.as_bytes()), Duration::from_secs(20));
        assert!(answer.is_some(), "{lie}: the session ends");
        assert!(is_served(port), "{lie}: others are served");
    }
    let grown = gate.memory().saturating_sub(before);
    assert!(grown < ROOM, "{grown} bytes more than before");
    let open = || gate.metrics().sum("portcullis_database_sessions_open", &[]);
    assert!(eventually(Duration::from_secs(10), || open() == 0.0), "{} sessions stayed", open());
    assert_eq!(gate.metrics().sum("portcullis_panics_total", &[]), 0.0);
}

#[test]
fn hostile_texts_are_refused_and_their_session_goes_on() {
    let Some(found) = programs("hostile statements") else { return };
    let server = Postgres::start(&found.servers[0].1, "hostile", None);
    let (gate, port) = guarded("hostile-texts", server.address(), "fail = \"closed\"", |plan| plan);
    let texts = [
        ("a megabyte", format!("select {}1", "1 + ".repeat(300_000))),
        ("a long list", format!("select 1 where 1 in ({}1)", "1,".repeat(200_000))),
        ("parentheses", format!("select {}1{}", "(".repeat(20_000), ")".repeat(20_000))),
        ("negations", format!("select {}true", "not ".repeat(40_000))),
        ("sub-selects", format!("select {}1{}", "(select ".repeat(3_000), ")".repeat(3_000))),
        ("a quote without an end", "select 'abc".to_owned()),
        ("a dollar quote without an end", "select $x$ abc".to_owned()),
        ("a comment without an end", "select 1 /* abc".to_owned()),
        ("no SQL", "\u{feff}\u{202e}GET / HTTP/1.1".to_owned()),
        ("a statement of COPY", "copy (select 1) to program 'id'".to_owned()),
    ];
    let place = gate.place().join("hostile.sql");
    let before = gate.memory();
    for (name, text) in &texts {
        // What follows in the same session shows that it goes on; psql ends each text at its semicolon.
        let script =
            format!("\\set ON_ERROR_STOP off\n\\set ECHO none\n\\i {}\n;select 'still ' || 'here';\n", place.display());
        fs::write(&place, format!("{text}\n;\n")).expect("written");
        let outer = gate.place().join("outer.sql");
        fs::write(&outer, script).expect("written");
        // A quote or a comment without an end would take in what follows: those are whole arguments of their own.
        let open = name.ends_with("without an end");
        let output = if open {
            server.client(
                "psql",
                port,
                "",
                &["-v", "ON_ERROR_STOP=0", "-c", text, "-c", "select 'still ' || 'here'"],
                PATIENCE,
            )
        } else {
            let outer = outer.display().to_string();
            server.client("psql", port, "", &["-v", "ON_ERROR_STOP=0", "-f", &outer], PATIENCE)
        };
        assert!(output.stderr.contains("ERROR"), "{name}: {}{}", output.stdout, output.stderr);
        assert!(output.stdout.contains("still here"), "{name}: {}{}", output.stdout, output.stderr);
    }
    let grown = gate.memory().saturating_sub(before);
    assert!(grown < ROOM, "{grown} bytes more than before");
    let metrics = gate.metrics();
    let refused = metrics.refused("statement-unreadable") + metrics.refused("statement-forbidden");
    assert!(refused >= 8.0, "{:?}", metrics.reasons());
    assert_eq!(server.sql(port, "", "select 1"), "1");
}

#[test]
fn a_full_disk_for_the_log_costs_records_and_no_session() {
    let liar = liar();
    let (gate, port) = guarded("hostile-disk", liar.at, "sample = 1", |plan| {
        std::os::unix::fs::symlink("/dev/full", plan.place().join("decisions.jsonl")).expect("a link");
        plan
    });
    for _ in 0..50 {
        assert!(is_served(port), "served without a log");
    }
    let failed = || {
        let metrics = gate.metrics();
        metrics.sum("portcullis_log_failed_total", &[]) + metrics.sum("portcullis_log_dropped_total", &[])
    };
    assert!(eventually(Duration::from_secs(10), || failed() > 0.0), "what was not written is counted");
}
