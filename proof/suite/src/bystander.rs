//! A normal visitor who keeps asking while something else happens, and remembers how it went.
//!
//! It asks again only where every browser does: on a kept connection that was closed before a byte of the answer came.

use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::{Broken, Wire};
use crate::gate::HOST;
use crate::place::{figure, target};

/// Requests on one connection before a new one is opened, so that accepting is proven too.
const PER_CONNECTION: usize = 10;

/// Between two requests of a visitor in [`Calm`].
const PAUSE: Duration = Duration::from_millis(4);

/// Where the measure is strict: so many rounds, and each so long at least. Calm and storm alternate, so that what
/// disturbs the machine disturbs both.
const ROUNDS: usize = 5;
const WINDOW: Duration = Duration::from_millis(300);

/// What a visitor lived through.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How long each good answer took.
    pub took: Vec<Duration>,
    /// What went wrong.
    pub failures: Vec<String>,
    /// Connections that were closed between two requests and met by the second: every client asks again on a fresh one
    /// (RFC 9112 section 9.3.1), so these are no failures, but they are counted.
    pub stale: usize,
}

impl Tally {
    /// The 99th percentile; zero for an empty tally.
    #[must_use]
    pub fn p99(&self) -> Duration {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default()
    }
}

/// A visitor at work on a thread of its own.
#[derive(Debug)]
pub struct Bystander {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Tally>>,
}

impl Bystander {
    /// Asks for `path` every `pause` until [`Bystander::leave`].
    #[must_use]
    pub fn arrive(address: SocketAddr, path: &str, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let leaving = Arc::clone(&stop);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        let thread = std::thread::spawn(move || visit(address, &request, pause, &leaving));
        Self { stop, thread: Some(thread) }
    }

    /// Stops, and tells.
    ///
    /// # Panics
    /// When the visitor's thread did.
    #[must_use]
    pub fn leave(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(|thread| thread.join().expect("the visitor does not panic")).unwrap_or_default()
    }
}

fn visit(address: SocketAddr, request: &str, pause: Duration, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    // Who came asks once at least, however late the machine lets it.
    let mut asked = false;
    while !asked || !stop.load(Ordering::Relaxed) {
        asked = true;
        let begun = Instant::now();
        let mut wire = match Wire::try_plain(address) {
            Ok(wire) => wire,
            Err(error) => {
                tally.failures.push(format!("connect: {error}"));
                std::thread::sleep(pause);
                continue;
            }
        };
        for number in 0..PER_CONNECTION {
            let start = if number == 0 { begun } else { Instant::now() };
            let close = match wire.ask(request) {
                Ok(response) if response.status == 200 => {
                    tally.took.push(start.elapsed());
                    // A gate that drains says so, and a visitor who is told opens another connection.
                    response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
                }
                Ok(response) => {
                    tally.failures.push(format!("status {}: {}", response.status, response.text()));
                    true
                }
                Err(Broken::Closed(0) | Broken::Reset) if number > 0 && !wire.has_read_since_sent() => {
                    tally.stale += 1;
                    true
                }
                Err(broken) => {
                    tally.failures.push(format!("request {number} of a connection: {broken:?}"));
                    true
                }
            };
            if close || stop.load(Ordering::Relaxed) {
                break;
            }
            std::thread::sleep(pause);
        }
    }
    tally
}

/// What a visitor lives through in calm, against which attacks are measured.
#[derive(Debug)]
pub struct Calm {
    address: SocketAddr,
    path: String,
    p99: Duration,
    late: Vec<String>,
    /// Held while the strict measure is taken, so that the tests of a file do not disturb one another.
    _quiet: Option<File>,
}

/// Runs an attack on a thread of least priority, which its threads and processes inherit. Attackers have machines of their
/// own: here they share the cores with gate and visitor, and what they burn must not count against the gate.
fn aside<T: Send>(attack: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // Where it is refused the measure is harsher, not wrong.
            let _ = rustix::process::setpriority_process(None, 19);
            attack()
        });
        thread.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))
    })
}

/// Whether the strict measure is asked for.
fn strict_latency() -> bool {
    std::env::var_os("SUITE_STRICT_LATENCY").is_some_and(|value| !value.is_empty())
}

impl Calm {
    /// Measures a visitor alone: for a second, and where the measure is strict for three.
    ///
    /// # Panics
    /// When even that fails.
    #[must_use]
    pub fn measure(address: SocketAddr, path: &str) -> Self {
        let quiet = strict_latency().then(|| {
            let lock = File::create(target().join("suite").join("quiet.lock")).expect("target/suite can be written");
            lock.lock().expect("a file can be locked");
            lock
        });
        let visitor = Bystander::arrive(address, path, PAUSE);
        std::thread::sleep(Duration::from_secs(if quiet.is_some() { 3 } else { 1 }));
        let tally = visitor.leave();
        assert!(tally.failures.is_empty(), "even in calm: {:?}", tally.failures);
        Self { address, path: path.to_owned(), p99: tally.p99(), late: Vec::new(), _quiet: quiet }
    }

    /// Runs `attack` while a visitor asks: once, or in rounds where the measure is strict, each beside a calm of its own.
    ///
    /// No request of the visitor may fail and none may take absurdly long. The ratio of the 99th percentiles goes to
    /// `target/suite/figures.jsonl`, the median of the rounds, and is held to at most 2 only where
    /// `SUITE_STRICT_LATENCY` is set, by [`Calm::finish`]: a machine that is busy with other things is no fault of the
    /// gate.
    ///
    /// # Panics
    /// When the visitor suffered.
    pub fn during<T: Send>(&mut self, name: &str, mut attack: impl FnMut() -> T + Send) -> T {
        const ABSURD: Duration = Duration::from_secs(5);
        let mut rounds = Vec::new();
        loop {
            let calm = if strict_latency() { self.calm_again() } else { self.p99 };
            let visitor = Bystander::arrive(self.address, &self.path, PAUSE);
            let begun = Instant::now();
            let result = aside(|| {
                let result = attack();
                while strict_latency() && begun.elapsed() < WINDOW {
                    std::thread::sleep(Duration::from_millis(20));
                    attack();
                }
                result
            });
            // A short attack still gets some requests beside it.
            std::thread::sleep(Duration::from_millis(100).saturating_sub(begun.elapsed()));
            let storm = visitor.leave();
            assert!(storm.failures.is_empty(), "{name}: the visitor suffered: {:?}", storm.failures);
            assert!(!storm.took.is_empty(), "{name}: the visitor got nothing");
            assert!(storm.p99() < ABSURD, "{name}: p99 of the visitor is {:?}", storm.p99());
            rounds.push((storm.p99().as_secs_f64() / calm.as_secs_f64().max(1e-6), storm.p99()));
            if rounds.len() < if strict_latency() { ROUNDS } else { 1 } {
                continue;
            }
            rounds.sort_by(|one, other| one.0.total_cmp(&other.0));
            let (ratio, p99) = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
            figure(&format!("visitor p99 under {name}"), p99.as_secs_f64() * 1e3, "ms");
            figure(&format!("visitor p99 under {name}, of calm"), ratio, "x");
            if ratio > 2.0 {
                self.late.push(format!("{name}: p99 {p99:?} is {ratio:.1} x calm, the median of {}", rounds.len()));
            }
            return result;
        }
    }

    fn calm_again(&self) -> Duration {
        let visitor = Bystander::arrive(self.address, &self.path, PAUSE);
        std::thread::sleep(WINDOW);
        visitor.leave().p99()
    }

    /// Holds every attack to twice the calm, where the measure is strict.
    ///
    /// # Errors
    /// The attacks under which the visitor waited longer.
    pub fn finish(self) -> Result<(), String> {
        if self.late.is_empty() || !strict_latency() { Ok(()) } else { Err(self.late.join("\n")) }
    }
}
