//! Our engine as the bench and the differential tests drive it; the other side of what `libmodsecurity.c` does to that one.
//!
//!     waf-engine RULES | --builtin
//!
//! Rules are loaded once. Then requests come on the standard input, each is played as often as it asks for, and one line says
//! what it took and what came of it. Time is that of this thread's processor: reading requests and writing answers is not in
//! it, a transaction from its beginning to its end is.
#![expect(clippy::print_stdout, reason = "it answers there")]

use std::fs;
use std::io::{self, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use portcullis_peers::{Message, Reply, read};
use portcullis_waf::body::{Bounds, Fields};
use portcullis_waf::seclang::diagnostic::Refused;
use portcullis_waf::seclang::parse::{Files, parse};
use portcullis_waf::seclang::resolve::resolve;
use portcullis_waf::seclang::{Clock, Match, Peer, Program, Transaction, compile};
use portcullis_waf::semantic::{Detector, Findings, Settings};

// As the gate ships it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("waf-engine: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let argument = std::env::args().nth(1).ok_or("which rules? waf-engine RULES | --builtin")?;
    let begun = now();
    if argument == "--builtin" {
        let mut side =
            BuiltIn { findings: Findings::new(), fields: Fields::new(), detector: Detector::new(Settings::default()) };
        return serve("portcullis built-in", begun, &mut side);
    }
    let program = Arc::new(load(Path::new(&argument))?);
    let transaction = Transaction::new(&program, &peer());
    serve("portcullis", begun, &mut Ruled { program, transaction })
}

/// What plays a message.
trait Side {
    /// Plays it once: the status of the refusal, 0 for none.
    fn play(&mut self, message: &Message) -> u16;
    /// The log of the last play.
    fn log(&self) -> Vec<String>;
}

fn serve(name: &str, begun: Duration, side: &mut impl Side) -> Result<(), String> {
    println!("ready {} {name}", (now() - begun).as_nanos());
    let mut input = BufReader::new(io::stdin().lock());
    while let Some((message, count, tell)) = read(&mut input).map_err(|error| error.to_string())? {
        let mut status = 0;
        let begun = now();
        for _ in 0..count {
            status = side.play(&message);
        }
        let took = (now() - begun).as_nanos();
        let mut log = Vec::new();
        if tell {
            status = side.play(&message);
            log = side.log();
        }
        println!("{took} {status} {}", log.len());
        for line in log {
            println!("{line}");
        }
        io::stdout().flush().map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// What this thread has had of a processor.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// With rules.
struct Ruled {
    program: Arc<Program>,
    transaction: Transaction,
}

impl Side for Ruled {
    /// Phases after a refusal are left out, but the last.
    fn play(&mut self, message: &Message) -> u16 {
        self.transaction.reset(&self.program, &peer());
        let it = &mut self.transaction;
        let protocol = [&b"HTTP/"[..], &message.version].concat();
        it.request_line(&message.method, &message.target, &protocol);
        for (name, value) in &message.fields {
            it.request_header(name, value);
        }
        let mut decided = it.request_head_done();
        if decided.is_none() {
            it.request_body(&message.body);
            decided = it.request_body_done();
        }
        if let (None, Some(reply)) = (&decided, &message.reply) {
            decided = answer(it, reply);
        }
        it.finish();
        decided.map_or(0, |decided| decided.status)
    }

    fn log(&self) -> Vec<String> {
        self.transaction.matches().iter().map(line).collect()
    }
}

fn answer(it: &mut Transaction, reply: &Reply) -> Option<portcullis_waf::seclang::Intervention> {
    it.response_head(reply.status, b"HTTP/1.1");
    for (name, value) in &reply.fields {
        it.response_header(name, value);
    }
    it.response_head_done().or_else(|| {
        it.response_body(&reply.body);
        it.response_body_done()
    })
}

fn line(found: &Match) -> String {
    format!(
        "[line \"0\"] [id \"{}\"] [msg \"{}\"] [data \"{}\"] [target \"{}\"]",
        found.rule,
        found.message.escape_ascii(),
        found.data.escape_ascii(),
        found.target.escape_ascii()
    )
}

/// Without rules.
struct BuiltIn {
    detector: Detector,
    findings: Findings,
    fields: Fields,
}

impl Side for BuiltIn {
    fn play(&mut self, message: &Message) -> u16 {
        let Self { detector, findings, fields } = self;
        findings.clear();
        detector.request_line(&message.method, &message.target, findings);
        let mut kind: &[u8] = b"";
        for (name, value) in &message.fields {
            detector.header(name, value, findings);
            if name.eq_ignore_ascii_case(b"content-type") {
                kind = value;
            }
        }
        if !message.body.is_empty() && !detector.blocks(findings) {
            detector.body(kind, false, &message.body, &Bounds::default(), fields, findings);
        }
        if detector.blocks(findings) { 403 } else { 0 }
    }

    fn log(&self) -> Vec<String> {
        let told = |found: &portcullis_waf::semantic::Finding| {
            format!(
                "[class \"{}\"] [msg \"{}\"] [data \"{}\"]",
                found.class.as_str(),
                found.why,
                found.matched.escape_ascii()
            )
        };
        self.findings.list().iter().map(told).collect()
    }
}

fn peer() -> Peer<'static> {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let now = Clock { unix: 1_790_000_000 };
    Peer { client: here, client_port: 40_000, server: here, server_port: 443, unique_id: "k3v9x0", now }
}

/// Reads and compiles a rule file and what it names.
fn load(file: &Path) -> Result<Program, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let refused = |refused: Refused| refused.to_string();
    let rules = parse(&[(file.display().to_string(), text)], &Disk).and_then(resolve).map_err(refused)?;
    compile(&rules).map_err(|problems| {
        problems.iter().map(|problem| problem.render(&rules.sources, false)).collect::<Vec<_>>().join("\n")
    })
}

/// Files that rules name, beside the file that names them.
struct Disk;

impl Files for Disk {
    fn read(&self, beside: &str, name: &str) -> Option<Vec<u8>> {
        let directory = Path::new(beside).parent().unwrap_or(Path::new(""));
        fs::read(directory.join(name)).ok()
    }

    /// The rule file names each by its path.
    fn matching(&self, beside: &str, name: &str) -> Option<Vec<String>> {
        let path = Path::new(beside).parent()?.join(name);
        path.is_file().then(|| vec![path.display().to_string()])
    }
}
