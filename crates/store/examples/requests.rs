//! What keeping requests costs: nanoseconds for whoever tells one, requests a second that are taken in, bytes of each on the
//! disk, and how long the twenty busiest addresses of a day take to find.
//!
//! `cargo run --release -p portcullis-store --example requests -- [MILLIONS [DIR]]`: so many million requests of a day, 86.4 where
//! nothing is said, in a directory that is kept where one is named; what lies there is asked again. CPU time, so that what else
//! the machine does shows little.

#![expect(clippy::print_stdout, reason = "it says what it measured")]

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_ledger::note::{Algorithm, SignerKey};
use portcullis_ledger::{Recorder as _, Request, Verdict};
use portcullis_store::disk::Directory;
use portcullis_store::requests::{Column, Query, pack_hours, top};
use portcullis_store::{Settings, Store};

const DAY: u64 = 86_400_000;
/// A day that has its hours whole.
const BEGIN: u64 = 20_000 * DAY;

fn main() -> Result<(), Box<dyn Error>> {
    let millions: f64 = std::env::args().nth(1).map_or(Ok(86.4), |text| text.parse())?;
    let all = (millions * 1e6) as u64;
    let temporary = tempfile::tempdir()?;
    let home = std::env::args_os().nth(2).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    if !home.join("requests").exists() {
        fill(&home, all)?;
    }
    ask(&home)
}

/// Tells the store so many requests of a day, and says what that costs.
fn fill(home: &Path, all: u64) -> Result<(), Box<dyn Error>> {
    let key = SignerKey::new("bench/evidence", Algorithm::Ed25519, &[7; 32]).map_err(|_| "no key")?;
    let settings = Settings::new(Directory::create(home)?, key);
    let store = Store::open(settings).map_err(|why| why.to_string())?;
    let (began, cpu) = (Instant::now(), process_time());
    let mut told = Duration::ZERO;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for nth in 0..all {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let request = request(BEGIN + nth * DAY / all, random);
        if nth % 64 == 0 {
            let before = thread_time();
            store.request(&request);
            told += thread_time() - before;
        } else {
            store.request(&request);
        }
        // Lanes hold what comes in a quarter of a second; whoever writes is to be measured, not what it drops.
        if nth % 8_192 == 8_191 {
            std::thread::sleep(Duration::from_millis(80));
        }
    }
    store.close();
    let spent = process_time() - cpu;
    let clock = timing_costs();
    let kept = rows(home)?;
    let lost = all - kept;
    println!(
        "told in {:.0} ns of its caller's time (clocks of {clock:.0} ns taken off)",
        told.as_nanos() as f64 / (all as f64 / 64.0) - clock
    );
    println!(
        "taken in at {:.0} requests a second of CPU time, {lost} lost, in {:.0} s",
        kept as f64 / spent.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
    let bytes = size(&home.join("requests"))?;
    println!("open: {:.1} bytes a request", bytes as f64 / kept as f64);
    // The running store packs an hour each half a minute.
    let sealing = process_time();
    pack_hours(&Directory::at(home), (1, 2), BEGIN + 2 * DAY, usize::MAX)?;
    let sealing = process_time() - sealing;
    let bytes = size(&home.join("requests"))?;
    println!("packed: {:.1} bytes a request, {:.1} s for all", bytes as f64 / kept as f64, sealing.as_secs_f64());
    Ok(())
}

/// Asks who came most often, and says how long that takes.
fn ask(home: &Path) -> Result<(), Box<dyn Error>> {
    let disk = Directory::at(home);
    let whole = Query { from: BEGIN, until: BEGIN + DAY, only: Vec::new() };
    let part = Query { from: BEGIN + 1, ..whole.clone() };
    let refused = Query { only: vec![(Column::Verdict, vec![Verdict::Refused as u8])], ..whole.clone() };
    for (what, column, query) in [
        ("addresses, whole hours", Column::Client, &whole),
        ("fingerprints, whole hours", Column::Ja4, &whole),
        ("addresses that were refused", Column::Client, &refused),
        ("routes, from within an hour on", Column::Route, &part),
    ] {
        let (began, cpu) = (Instant::now(), process_time());
        let found = top(&disk, column, 20, query, 2)?;
        println!(
            "the 20 most frequent {what}: {:.2} s, {:.2} s of CPU, of {} rows; short by at most {}",
            began.elapsed().as_secs_f64(),
            (process_time() - cpu).as_secs_f64(),
            found.rows,
            found.short
        );
    }
    Ok(())
}

/// Ordinary people, a hundred busy programs, and a botnet of which each address comes once.
fn request(unix_millis: u64, random: u64) -> Request<'static> {
    const ROUTES: [&str; 12] = [
        "/**",
        "/assets/**",
        "/search",
        "/join",
        "/donate",
        "/login",
        "/members/**",
        "/events/**",
        "/api/**",
        "/news/**",
        "/about",
        "/contact",
    ];
    const PRINTS: [&str; 5] = [
        "t13d1516h2_8daaf6152771_e5627efa2ab1",
        "t13d1715h2_5b57614c22b0_7121afd63204",
        "t13d1312h1_f57a46bbacb6_ab7e3b40a677",
        "t12d1209h1_d34a8e72043a_b39be8c56a14",
        "t13d2014h2_a09f3c656075_14788d8d241b",
    ];
    let part = |from: u32, of: u64| (random >> from) % of;
    let (client, refused) = match part(0, 10) {
        0..6 => (0x0a00_0000 + part(8, 200_000) as u32, false),
        6..8 => (0x0b00_0000 + part(8, 100) as u32, part(30, 3) == 0),
        _ => ((random >> 16) as u32, true),
    };
    Request {
        unix_millis,
        platform: ["public", "join", "members"][part(40, 3) as usize],
        route: ROUTES[part(20, 12) as usize],
        class: "page",
        audience: if refused { "fresh" } else { "human" },
        client: IpAddr::V4(Ipv4Addr::from_bits(client)),
        ja4: PRINTS[part(36, 5) as usize],
        verdict: if refused { Verdict::Refused } else { Verdict::Served },
        reason: if refused { "rule-refused" } else { "" },
        status: if refused { 429 } else { 200 },
        bytes_in: 400 + part(44, 300),
        bytes_out: 2_000 + part(24, 60_000),
        micros: 500 + part(12, 40_000),
        waited_micros: 0,
    }
}

fn rows(home: &Path) -> Result<u64, Box<dyn Error>> {
    Ok(top(&Directory::at(home), Column::Verdict, 5, &Query { from: 0, until: u64::MAX, only: Vec::new() }, 2)?.rows)
}

fn timing_costs() -> f64 {
    let began = thread_time();
    for _ in 0..100_000 {
        std::hint::black_box(thread_time());
    }
    (thread_time() - began).as_nanos() as f64 / 100_000.0
}

fn size(folder: &Path) -> std::io::Result<u64> {
    std::fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

fn clock(of: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(of);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn thread_time() -> Duration {
    clock(rustix::time::ClockId::ThreadCPUTime)
}

fn process_time() -> Duration {
    clock(rustix::time::ClockId::ProcessCPUTime)
}
