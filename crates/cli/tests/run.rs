//! The gate as a service: started, asked, reloaded with a wrong and a right file, taken over, told to end.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Nothing here takes longer on any machine worth testing on.
const PATIENCE: Duration = Duration::from_secs(30);

/// An upstream that greets and closes.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                    head.push(byte[0]);
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
            });
        }
    });
    address
}

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port")
}

struct Place {
    folder: tempfile::TempDir,
    http: SocketAddr,
    admin: SocketAddr,
    upstream: SocketAddr,
}

impl Place {
    fn new() -> Self {
        let place =
            Self { folder: tempfile::tempdir().expect("a folder"), http: free(), admin: free(), upstream: upstream() };
        place.declare("one.example");
        place
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("portcullis.toml")
    }

    fn declare(&self, host: &str) {
        let Self { http, admin, upstream, .. } = self;
        let text = format!(
            "[server]\nworkers = 1\ncontrol = \"control.sock\"\ndrain = \"5s\"\n[admin]\nlisten = \"{admin}\"\n\
             [log]\npath = \"decisions.jsonl\"\n[[listener]]\nname = \"http\"\nbind = \"{http}\"\n\
             [[platform]]\nname = \"one\"\nhosts = [\"{host}\"]\nupstreams = [\"http://{upstream}\"]\n"
        );
        fs::write(self.config(), text).expect("written");
    }

    fn start(&self, flags: &[&str]) -> Gate {
        let child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["run", "--config"])
            .arg(self.config())
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        Gate(child)
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_portcullis")).args(arguments).output().expect("the binary runs")
    }

    /// The answer to a GET, or nothing when nobody listens.
    fn get(&self, to: SocketAddr, host: &str, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(to).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn wait_until_ready(&self) {
        eventually("ready", || {
            self.get(self.admin, "admin", "/ready").filter(|answer| answer.starts_with("HTTP/1.1 200"))
        });
    }
}

/// A gate that ends with the test.
struct Gate(Child);

impl Gate {
    fn tell(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "the gate runs");
    }

    fn ended(&mut self) -> Option<i32> {
        eventually("the end", || self.0.try_wait().expect("a child of ours")).code()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not come within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_refusal_can_be_explained_from_its_reference() {
    let place = Place::new();
    let _gate = place.start(&[]);
    place.wait_until_ready();
    let served = place.get(place.http, "one.example", "/").expect("an answer");
    assert!(served.starts_with("HTTP/1.1 200") && served.ends_with("hello"), "{served}");
    let refused = place.get(place.http, "two.example", "/secret?token=1").expect("an answer").to_lowercase();
    assert!(refused.starts_with("http/1.1 421"), "{refused}");
    let (_, rest) = refused.split_once("x-portcullis-ref: ").expect("a reference");
    let reference = rest.lines().next().expect("a line").trim();
    let config = place.config();
    let arguments = ["explain", reference, "--config", config.to_str().expect("text")];
    let explained = eventually("the record", || Some(place.ask(&arguments)).filter(|output| output.status.success()));
    let words = text(&explained.stdout);
    assert!(words.contains("unknown-host") && words.contains("two.example"), "{words}");
    assert!(!words.contains("token"), "a query is never written down: {words}");
}

#[test]
fn a_wrong_reload_changes_nothing_and_a_right_one_everything() {
    let place = Place::new();
    let mut gate = place.start(&[]);
    place.wait_until_ready();
    let socket = place.folder.path().join("control.sock");
    let reload = ["reload", "--control", socket.to_str().expect("text")];

    fs::write(place.config(), "[serfer]\n").expect("written");
    let output = place.ask(&reload);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("serfer") && text(&output.stderr).contains("stays in force"),
        "{}",
        text(&output.stderr)
    );
    assert!(output.stdout.is_empty());
    assert!(place.get(place.http, "one.example", "/").expect("an answer").starts_with("HTTP/1.1 200"));

    place.declare("two.example");
    let output = place.ask(&reload);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!output.stdout.is_empty());
    assert!(place.get(place.http, "two.example", "/").expect("an answer").starts_with("HTTP/1.1 200"));
    assert!(place.get(place.http, "one.example", "/").expect("an answer").starts_with("HTTP/1.1 421"));

    place.declare("three.example");
    gate.tell("-HUP");
    eventually("the reload", || {
        place.get(place.http, "three.example", "/").filter(|answer| answer.starts_with("HTTP/1.1 200"))
    });

    gate.tell("-TERM");
    assert_eq!(gate.ended(), Some(0));
}

#[test]
fn a_new_process_takes_over_and_the_old_one_ends() {
    let place = Place::new();
    let mut old = place.start(&[]);
    place.wait_until_ready();
    let mut refused = place.start(&[]);
    assert_eq!(refused.ended(), Some(1), "a second gate does not share the port by accident");
    let mut new = place.start(&["--takeover"]);
    assert_eq!(old.ended(), Some(0));
    place.wait_until_ready();
    assert!(place.get(place.http, "one.example", "/").expect("an answer").starts_with("HTTP/1.1 200"));
    new.tell("-INT");
    assert_eq!(new.ended(), Some(0));
}
