//! How long the report of an incident takes over many records, from the directory to the last word, by the binary as it ships:
//! `cargo run --release -p portcullis --example report -- BINARY [MILLIONS [DIR]]`.
//!
//! It writes a ledger of so many million records (10 where nothing is said), its segments packed as a gate packs them: figures of
//! 40 routes, beats, and an attack that nobody has closed, so that nearly all of it belongs to the incident. The report reads it
//! for incidents, reads it for the one, verifies it and writes. A directory that is named is kept, and reported of again.

#![expect(clippy::print_stdout, reason = "it says what it measured")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use portcullis_ledger::note::Algorithm;
use portcullis_ledger::{Act, Beat, Event, Traffic};
use portcullis_store::disk::Directory;
use portcullis_store::{Appended, Ledger, Snapshot, random, seal};

/// What arrives between two checkpoints.
const BATCH: u64 = 20_000;
const BEGIN: u64 = 1_763_850_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let binary = arguments.next().ok_or("which binary?")?;
    let millions = arguments.next().map_or(Ok(10.0), |text| text.to_string_lossy().parse::<f64>())?;
    let temporary = tempfile::tempdir()?;
    let home = arguments.next().map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    if !home.join("checkpoint").exists() {
        fill(&home, (millions * 1e6) as u64)?;
    }
    let size = Snapshot::open(Directory::at(&home))?.checkpoint.size;
    let key = std::fs::read_to_string(home.join("key.pub"))?;
    let ledger = home.to_string_lossy();
    let none = ["--ledger", &ledger, "--config", "/nonexistent"];
    let list = [&["incident", "list"][..], &none].concat();
    let show = [&["incident", "show", "last"][..], &none].concat();
    let verify = ["ledger", "verify", &ledger, "--key", key.trim()];
    for (what, arguments) in [("incidents found", &list[..]), ("verified", &verify), ("the report, with both", &show)] {
        let began = Instant::now();
        let output = Command::new(&binary).args(arguments).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        println!("{size} records, {what}: {:.2} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}

fn fill(home: &Path, all: u64) -> Result<(), Box<dyn Error>> {
    let disk = Directory::create(home)?;
    let key = portcullis_store::key(home, "bench/evidence", Algorithm::Ed25519)?;
    let mut ledger = Ledger::open(disk.clone(), key, random).map_err(|why| why.to_string())?;
    let began = Instant::now();
    for first in (0..all).step_by(BATCH as usize) {
        let records: Vec<Appended> = (first..all.min(first + BATCH)).map(record).collect::<Result<_, _>>()?;
        ledger.append(&records)?;
        ledger.checkpoint()?;
        for path in ledger.take_sealable() {
            seal(&disk, &path)?;
        }
    }
    println!("{all} records written and packed in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn record(index: u64) -> Result<Appended, serde_json::Error> {
    let at = BEGIN + index * 25;
    let event = match index % 40 {
        _ if index == 1_000 => Event::Act(Act {
            what: "posture".into(),
            platform: "public".into(),
            facts: BTreeMap::from([("to".to_owned(), "attack".to_owned())]),
            ..Act::default()
        }),
        0 => Event::Beats { beats: vec![Beat { sensor: "http/public".into(), seq: index / 40, ..Beat::default() }] },
        route => Event::Traffic(Traffic {
            platform: "public".into(),
            route: format!("/{route}"),
            class: "page".into(),
            audience: "human".into(),
            from: at / 10_000 * 10_000 - 10_000,
            until: at / 10_000 * 10_000,
            requests: 10,
            served: 9,
            refused: BTreeMap::from([("rate-limited".to_owned(), 1)]),
            bytes_out: index * 31,
            ..Traffic::default()
        }),
    };
    let class = event.retention();
    Ok(Appended { sensor: "gate".into(), unix_millis: at, class, event: serde_json::to_vec(&event)? })
}
