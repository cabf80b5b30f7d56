//! `soak --seconds N`: full load for so long, with a reload or a take-over every ten seconds, and not one failed request.
//!
//! It never decides by how fast the machine is: what must hold is that nothing fails, memory and descriptors stay flat,
//! and nothing panics. Figures are printed and appended to `target/bench.jsonl`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_suite::frames::{End, Frames};
use portcullis_suite::{Authority, Bystander, Gate, HOST, Nginx, Origin, Plan, Running, Tally, Wire, root};

/// Visitors over HTTP/1.1, over HTTP/2, and with a new TLS connection for each few requests.
const VISITORS: usize = 12;
const H2_VISITORS: usize = 3;
const TLS_VISITORS: usize = 1;
/// Between two disturbances, as the contract has it.
const EVERY: Duration = Duration::from_secs(10);
/// What memory may drift over half a run, beyond a tenth of what it was: the allocator's own breathing.
const BREATHING: f64 = 4.0 * 1024.0 * 1024.0;

/// One reading of the process that serves.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Since the beginning of the run.
    at: f64,
    memory: f64,
    descriptors: f64,
}

/// A figure with its verdict.
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    goal: f64,
    met: bool,
}

fn main() -> ExitCode {
    let Some(length) = seconds() else {
        writeln!(std::io::stderr(), "usage: soak [--seconds N]   (N from 8; 300 unless given)").ok();
        return ExitCode::from(2);
    };
    let figures = soak(length);
    let met = figures.iter().all(|figure| figure.met);
    report(&figures);
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seconds() -> Option<Duration> {
    let mut arguments = std::env::args().skip(1);
    let seconds = match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, None, None) => 300,
        (Some("--seconds"), Some(number), None) => number.parse().ok().filter(|number| *number >= 8)?,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

fn soak(length: Duration) -> Vec<Figure> {
    let plan = Plan::new("soak");
    let authority = Authority::new(plan.place());
    let nginx = Nginx::start(plan.place(), "soak");
    let origin = Origin::echo();
    let url = nginx.as_ref().map_or_else(|| origin.url(), Nginx::url);
    let mut gate = plan
        .tls(&[authority.leaf(&[HOST])])
        .upstream(&[url], "")
        // The log of every request would measure the disk.
        .log("sample = 1000")
        .start();

    let stop = Arc::new(AtomicBool::new(false));
    let pause = Duration::ZERO;
    let plain: Vec<Bystander> = (0..VISITORS).map(|_| Bystander::arrive(gate.http(), "/1k.bin", pause)).collect();
    let multiplexed: Vec<_> = (0..H2_VISITORS)
        .map(|_| visit_h2(Arc::clone(&stop), gate.http(), None))
        .chain((0..TLS_VISITORS).map(|_| visit_h2(Arc::clone(&stop), gate.https(), Some(authority.pem.clone()))))
        .collect();

    let (samples, disturbances, panics) = disturb(&mut gate, length);

    stop.store(true, Ordering::Relaxed);
    let mut tallies: Vec<Tally> = plain.into_iter().map(Bystander::leave).collect();
    tallies.extend(multiplexed.into_iter().map(|thread| thread.join().unwrap_or_default()));
    judge(&tallies, &samples, disturbances, panics, length)
}

/// Reloads and takes over in turn, reading the serving process twice a second.
fn disturb(gate: &mut Gate, length: Duration) -> (Vec<Sample>, usize, f64) {
    let begun = Instant::now();
    // A short run has its disturbances too.
    let every = EVERY.min(length / 4);
    let (mut samples, mut disturbances, mut panics) = (Vec::new(), 0, 0.0);
    let mut old: Vec<Running> = Vec::new();
    let (mut next, mut serving_since) = (every, Instant::now());
    while begun.elapsed() < length {
        std::thread::sleep(Duration::from_millis(500));
        // The first two seconds of a process are its warming up.
        if serving_since.elapsed() >= Duration::from_secs(2) {
            let (memory, descriptors) = (gate.memory(), gate.descriptors());
            samples.push(Sample {
                at: begun.elapsed().as_secs_f64(),
                memory: precise(memory),
                descriptors: precise(u64::try_from(descriptors).unwrap_or(u64::MAX)),
            });
        }
        old.retain_mut(|process| process.ended().is_none());
        if begun.elapsed() < next || begun.elapsed() + Duration::from_secs(1) > length {
            continue;
        }
        next = begun.elapsed() + every;
        disturbances += 1;
        if disturbances % 2 == 1 {
            let output = gate.reload();
            assert!(output.success, "the reload failed: {} {}", output.stdout, output.stderr);
        } else {
            panics += gate.metrics().sum("portcullis_panics_total", &[]);
            old.push(gate.takeover());
            serving_since = Instant::now();
        }
    }
    panics += gate.metrics().sum("portcullis_panics_total", &[]);
    (samples, disturbances, panics)
}

/// Bytes and counts are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "a figure is printed, not computed with")]
fn precise(value: u64) -> f64 {
    value as f64
}

/// A visitor over HTTP/2: a hundred requests one after the other, then a new connection.
fn visit_h2(stop: Arc<AtomicBool>, address: SocketAddr, pem: Option<PathBuf>) -> std::thread::JoinHandle<Tally> {
    std::thread::spawn(move || {
        let mut tally = Tally::default();
        'connections: while !stop.load(Ordering::Relaxed) {
            let wire = match &pem {
                None => Wire::try_plain(address),
                Some(pem) => Wire::tls(address, HOST, pem, &["h2"]),
            };
            let mut frames = match wire.and_then(|wire| Frames::open(wire, &[])) {
                Ok(frames) => frames,
                Err(error) => {
                    tally.failures.push(format!("HTTP/2 connect: {error}"));
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
            };
            for number in 0..100 {
                let begun = Instant::now();
                match frames.serves(HOST, "/1k.bin") {
                    Ok(200) => tally.took.push(begun.elapsed()),
                    Ok(status) => tally.failures.push(format!("HTTP/2 status {status}")),
                    // The connection was closed politely before this stream: nothing of it was processed.
                    Err(reply) if number > 0 && reply.status == 0 && matches!(reply.end, Some(End::Closed)) => {
                        tally.stale += 1;
                        continue 'connections;
                    }
                    Err(reply) => {
                        tally.failures.push(format!("HTTP/2: {reply:?}"));
                        continue 'connections;
                    }
                }
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
        tally
    })
}

fn judge(tallies: &[Tally], samples: &[Sample], disturbances: usize, panics: f64, length: Duration) -> Vec<Figure> {
    let count = |value: usize| precise(u64::try_from(value).unwrap_or(u64::MAX));
    let served: usize = tallies.iter().map(|tally| tally.took.len()).sum();
    let stale: usize = tallies.iter().map(|tally| tally.stale).sum();
    let failures: Vec<&String> = tallies.iter().flat_map(|tally| &tally.failures).collect();
    for failure in failures.iter().take(10) {
        writeln!(std::io::stderr(), "failed: {failure}").ok();
    }
    let half = length.as_secs_f64() / 2.0;
    let late: Vec<Sample> = samples.iter().copied().filter(|sample| sample.at >= half).collect();
    let early: Vec<Sample> = samples.iter().copied().filter(|sample| sample.at < half).collect();
    let drift = slope(&late) * half;
    let memory = mean(&late, |sample| sample.memory);
    let allowed = memory.mul_add(0.1, BREATHING);
    let most = |samples: &[Sample]| samples.iter().map(|sample| sample.descriptors).fold(0.0, f64::max);
    let room = most(&early).mul_add(1.1, 32.0);
    let mib = 1024.0 * 1024.0;
    vec![
        Figure {
            name: "soak: failed requests",
            value: count(failures.len()),
            unit: "requests",
            goal: 0.0,
            met: failures.is_empty(),
        },
        Figure {
            name: "soak: served requests",
            value: count(served),
            unit: "requests",
            goal: 1000.0,
            met: served >= 1000,
        },
        Figure {
            name: "soak: served a second",
            value: count(served) / length.as_secs_f64(),
            unit: "1/s",
            goal: 0.0,
            met: true,
        },
        Figure {
            name: "soak: kept connections met closed, asked again",
            value: count(stale),
            unit: "requests",
            goal: 0.0,
            met: true,
        },
        Figure {
            name: "soak: reloads and take-overs",
            value: count(disturbances),
            unit: "",
            goal: 2.0,
            met: disturbances >= 2,
        },
        Figure {
            name: "soak: memory, mean of the second half",
            value: memory / mib,
            unit: "MiB",
            goal: 0.0,
            met: memory > 0.0,
        },
        Figure {
            name: "soak: memory drift over the second half",
            value: drift / mib,
            unit: "MiB",
            goal: allowed / mib,
            met: drift <= allowed,
        },
        Figure {
            name: "soak: descriptors, most in the second half",
            value: most(&late),
            unit: "",
            goal: room,
            met: most(&late) <= room,
        },
        Figure { name: "soak: panics", value: panics, unit: "", goal: 0.0, met: panics < 0.5 },
    ]
}

fn mean(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let count = precise(u64::try_from(samples.len().max(1)).unwrap_or(1));
    samples.iter().map(of).sum::<f64>() / count
}

/// Least squares: bytes a second.
fn slope(samples: &[Sample]) -> f64 {
    let (at, memory) = (mean(samples, |sample| sample.at), mean(samples, |sample| sample.memory));
    let above: f64 = samples.iter().map(|sample| (sample.at - at) * (sample.memory - memory)).sum();
    let below: f64 = samples.iter().map(|sample| (sample.at - at).powi(2)).sum();
    if below > 0.0 { above / below } else { 0.0 }
}

fn report(figures: &[Figure]) {
    let path = root().join("target/bench.jsonl");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).ok();
    let mut out = std::io::stdout().lock();
    for Figure { name, value, unit, goal, met } in figures {
        let verdict = if *met { "met" } else { "NOT MET" };
        writeln!(out, "{name}: {value:.2} {unit} ({verdict}; goal {goal:.2})").ok();
        let line = serde_json::json!({
            "name": name, "value": value, "unit": unit, "peer": null, "ratio": null, "goal": goal, "met": met,
        });
        if let Some(file) = &mut file {
            file.write_all(format!("{line}\n").as_bytes()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_has_a_slope_and_breathing_has_none() {
        let sample = |at: f64, memory: f64| Sample { at, memory, descriptors: 0.0 };
        let leak: Vec<Sample> = (0..20).map(|at| sample(f64::from(at), 1e6 + 1e5 * f64::from(at))).collect();
        assert!((slope(&leak) - 1e5).abs() < 1.0);
        let breathing: Vec<Sample> =
            (0..20).map(|at| sample(f64::from(at), if at % 2 == 0 { 1e6 } else { 1.1e6 })).collect();
        assert!(slope(&breathing).abs() < 1e3);
        assert!(slope(&[]).abs() < f64::EPSILON);
    }

    #[test]
    fn a_failure_a_leak_and_a_panic_are_each_seen() {
        let calm = Tally { took: vec![Duration::from_millis(1); 2000], ..Tally::default() };
        let failed = Tally { failures: vec!["status 502".to_owned()], ..calm.clone() };
        let length = Duration::from_secs(20);
        let flat: Vec<Sample> =
            (0..40).map(|at| Sample { at: f64::from(at) / 2.0, memory: 3e7, descriptors: 80.0 }).collect();
        let leaking: Vec<Sample> =
            flat.iter().map(|sample| Sample { memory: sample.memory + 4e6 * sample.at, ..*sample }).collect();
        let met = |tally: &Tally, samples: &[Sample], panics: f64| {
            judge(std::slice::from_ref(tally), samples, 3, panics, length).iter().all(|figure| figure.met)
        };
        assert!(met(&calm, &flat, 0.0));
        assert!(!met(&failed, &flat, 0.0));
        assert!(!met(&calm, &leaking, 0.0));
        assert!(!met(&calm, &flat, 1.0));
    }
}
