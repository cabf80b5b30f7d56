//! The demo as a newcomer meets it: pages through the gate, a taken port, a clean end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A demo that is running, with what it said so far.
struct Demo {
    child: Child,
    http: SocketAddr,
    admin: SocketAddr,
    said: String,
    rest: BufReader<std::process::ChildStdout>,
}

impl Drop for Demo {
    /// A test that failed leaves no demo behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    /// On free ports, until its addresses are printed.
    fn start(flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["demo", "--http", "0", "--https", "0", "--admin", "0", "--console", "0", "--database", "0"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut rest = BufReader::new(child.stdout.take().expect("its stdout"));
        let mut said = String::new();
        while !said.contains("Decision log") {
            assert!(rest.read_line(&mut said).expect("text") > 0, "it ended early, having said:\n{said}");
        }
        let address = |before: &str| {
            let (_, rest) = said.split_once(before).expect(before);
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port")))
        };
        let (http, admin) = (address("http://localhost:"), address("Metrics          http://127.0.0.1:"));
        Self { child, http, admin, said, rest }
    }

    fn get(&self, host: &str, path: &str) -> String {
        get(self.http, host, path)
    }

    /// Waits until supporters have been here: no test of ours asks for so many files of the public site.
    fn wait_for_supporters(&self) {
        let started = Instant::now();
        let files = || -> f64 {
            let metrics = get(self.admin, "admin", "/metrics");
            let found = metrics.lines().filter(|line| line.contains("platform=\"public\",class=\"asset\""));
            found.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        while files() < 10.0 {
            assert!(started.elapsed() < Duration::from_secs(60), "nobody came");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "it runs");
    }

    /// Waits for the end; exit code and stderr.
    fn end(mut self) -> (Option<i32>, String) {
        let mut stderr = self.child.stderr.take().expect("its stderr");
        let reader = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        self.rest.read_to_string(&mut self.said).expect("text");
        let status = self.child.wait().expect("it ends");
        (status.code(), reader.join().expect("no panic").expect("text"))
    }
}

fn get(to: SocketAddr, host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(to).expect("the gate listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}:{}\r\nConnection: close\r\n\r\n", to.port());
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in text");
    answer
}

#[test]
fn three_platforms_and_their_supporters_are_served_through_the_gate() {
    let demo = Demo::start(&["--supporters", "12"]);
    let table = [
        ("localhost", "/", "Islands that everybody can live on"),
        ("127.0.0.1", "/events", "The big debate"),
        ("www.campaign.localhost", "/issues/ferries", "Two electric ferries"),
        ("www.campaign.localhost", "/assets/site.css", "--sun"),
        ("join.campaign.localhost", "/join", "name=\"token\""),
        ("join.campaign.localhost", "/donate", "4242 4242 4242 4242"),
        ("members.campaign.localhost", "/", "Members’ desk"),
    ];
    for (host, path, words) in table {
        let answer = demo.get(host, path);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}{path}: {answer}");
        assert!(answer.contains(words), "{host}{path}: {answer}");
    }
    let key_missing = demo.get("members.campaign.localhost", "/api/members");
    assert!(key_missing.starts_with("HTTP/1.1 401 "), "the platform's own answer: {key_missing}");
    let unknown = demo.get("elsewhere.example", "/").to_lowercase();
    assert!(unknown.starts_with("http/1.1 421 ") && unknown.contains("x-portcullis-ref: "), "the gate's: {unknown}");
    demo.wait_for_supporters();
    demo.interrupt();
    let (code, said) = demo.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("12 simulated supporters"), "{said}");
    let served =
        said.split_once("were served ").and_then(|(_, rest)| rest.split(' ').next()?.replace(',', "").parse().ok());
    assert!(served.is_some_and(|served: u64| served > 0), "{said}");
    assert!(said.contains("refused 0 times and failed 0 times"), "{said}");
}

#[test]
fn it_ends_by_itself_when_asked_to() {
    let (code, said) = Demo::start(&["--for", "200ms", "--supporters", "0"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Nobody visits but you.") && said.contains("Time is up."), "{said}");
}

#[test]
fn ctrl_c_ends_it_clean() {
    let demo = Demo::start(&["--supporters", "3"]);
    let log =
        demo.said.lines().find_map(|line| line.trim().strip_prefix("Decision log")).expect("a log").trim().to_owned();
    demo.interrupt();
    let (code, said) = demo.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Ending.") && !said.contains("panicked"), "{said}");
    assert!(!std::path::Path::new(&log).exists(), "nothing stays behind");
}

#[test]
fn a_taken_port_is_named_with_the_flag_that_chooses_another() {
    let holder = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = holder.local_addr().expect("an address").port().to_string();
    for flag in ["--http", "--https", "--admin"] {
        let flags = ["--http", "--https", "--admin", "--console", "--database"]
            .map(|each| [each, if each == flag { port.as_str() } else { "0" }]);
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .arg("demo")
            .args(flags.as_flattened())
            .args(["--for", "1s", "--supporters", "0"])
            .output()
            .expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("port {port} on 127.0.0.1 is taken")), "{said}");
        assert!(said.contains(&format!("choose another with {flag}")), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "one line: {said}");
    }
}

#[test]
fn the_configuration_of_the_demo_is_data() {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis")).args(["demo", "--print-config"]).output();
    let output = output.expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("bind = \"127.0.0.1:8080\"") && text.contains("[[platform.route.rate]]"), "{text}");
    assert!(output.stderr.is_empty());
}
