//! How fast the ledger takes leaves, and how fast it is verified, as it was written and with its segments packed:
//! `cargo run --release -p portcullis-store --example rates`.
//!
//! It writes to a directory of its own below the one that is given, or the system's for temporary files.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use portcullis_ledger::checkpoint::Trust;
use portcullis_ledger::note::{Algorithm, SignerKey};
use portcullis_ledger::{Event, Traffic};
use portcullis_store::disk::{Directory, Disk as _};
use portcullis_store::verify::verify;
use portcullis_store::{Appended, Ledger, random, seal};

const LEAVES: u64 = 1_000_000;
/// How often each verification is done: the first finds nothing in the caches.
const ROUNDS: usize = 3;
/// What arrives between two commits at 100,000 a second.
const BATCH: u64 = 5_000;
const BATCHES_A_CHECKPOINT: u64 = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let home = parent.join(format!("portcullis-rates-{}", std::process::id()));
    let key = SignerKey::new("rates.example", Algorithm::Ed25519, &[1; 32]).map_err(|why| why.to_string())?;
    let trust = Trust { log: Some(key.public().clone()), witnesses: Vec::new(), quorum: 0 };
    let mut ledger = Ledger::open(Directory::create(&home)?, key, random).map_err(|why| why.to_string())?;
    let mut out = std::io::stdout().lock();

    let (begun, cpu) = (Instant::now(), cpu_seconds());
    for batch in 0..LEAVES / BATCH {
        let records: Vec<Appended> = (batch * BATCH..(batch + 1) * BATCH).map(record).collect::<Result<_, _>>()?;
        ledger.append(&records)?;
        if batch % BATCHES_A_CHECKPOINT == BATCHES_A_CHECKPOINT - 1 {
            ledger.checkpoint()?;
        }
    }
    ledger.checkpoint()?;
    said(&mut out, "written", LEAVES, begun, cpu)?;
    drop(ledger);

    let mut verified = |what: &str| -> Result<(), Box<dyn std::error::Error>> {
        for _ in 0..ROUNDS {
            let (begun, cpu) = (Instant::now(), cpu_seconds());
            let report = verify(Directory::at(&home), &trust, &[])?;
            assert!(report.holds() && report.size == LEAVES, "{:?}", report.faults.first);
            said(&mut out, what, LEAVES, begun, cpu)?;
        }
        Ok(())
    };
    verified("verified")?;
    let disk = Directory::at(&home);
    for class in disk.list("events")? {
        for day in disk.list(&format!("events/{class}"))? {
            for segment in disk.list(&format!("events/{class}/{day}"))? {
                seal(&disk, &format!("events/{class}/{day}/{segment}"))?;
            }
        }
    }
    verified("packed")?;
    fs::remove_dir_all(&home)?;
    Ok(())
}

fn record(number: u64) -> Result<Appended, serde_json::Error> {
    let traffic = Traffic {
        platform: "public".to_owned(),
        route: "/donate/**".to_owned(),
        class: "payment".to_owned(),
        audience: "fresh".to_owned(),
        from: number,
        until: number + 10_000,
        requests: number % 977,
        served: number % 971,
        bytes_out: number * 31,
        ..Traffic::default()
    };
    let event = Event::Traffic(traffic);
    let (class, unix_millis) = (event.retention(), 1_763_850_000_000 + number / 100);
    Ok(Appended { sensor: "gate".into(), unix_millis, class, event: serde_json::to_vec(&event)? })
}

fn said(out: &mut impl std::io::Write, what: &str, count: u64, begun: Instant, cpu: f64) -> std::io::Result<()> {
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let (a_second, each) = (count as f64 / wall, cpu * 1e9 / count as f64);
    writeln!(out, "{what:<9} {count} leaves: {a_second:>9.0} a second by the clock, {each:>6.0} ns of CPU each")
}

/// Of this process, its own and the system's on its behalf.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
