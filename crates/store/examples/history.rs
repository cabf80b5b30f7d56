//! How long a day of roll-ups takes to read, second by second and minute by minute, and what it takes on the disk.
//!
//! `cargo run --release -p portcullis-store --example history -- [REQUESTS]`: so many requests in each second of the day, 5 where
//! nothing is said, on three platforms.

#![expect(clippy::print_stdout, reason = "it says what it measured")]

use std::error::Error;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use portcullis_ledger::note::{Algorithm, SignerKey};
use portcullis_ledger::{Recorder as _, Request, Verdict};
use portcullis_store::disk::Directory;
use portcullis_store::rollups::{Ask, history};
use portcullis_store::{Settings, Store};

const DAY: u64 = 86_400_000;
const BEGIN: u64 = 20_000 * DAY;
const PLATFORMS: [&str; 3] = ["public", "join", "members"];

fn main() -> Result<(), Box<dyn Error>> {
    let each: u64 = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let home = tempfile::tempdir()?;
    let key = SignerKey::new("bench/evidence", Algorithm::Ed25519, &[7; 32]).map_err(|_| "no key")?;
    let settings = Settings::new(Directory::create(home.path())?, key);
    let store = Store::open(settings).map_err(|why| why.to_string())?;
    let began = Instant::now();
    for second in 0..DAY / 1_000 {
        for nth in 0..each * PLATFORMS.len() as u64 {
            store.request(&request(second, nth));
        }
        // What waits is bounded: a day is not told in a moment.
        if second % 3_600 == 3_599 {
            std::thread::sleep(Duration::from_millis(1_200));
        }
    }
    store.close();
    println!("told in {:.0} s, {:?}", began.elapsed().as_secs_f64(), store.counters());
    let size = std::fs::metadata(home.path().join("state.sqlite"))?.len();
    println!("{:.1} MB: {:.0} bytes for a second of a platform", size as f64 / 1e6, size as f64 / 86_400.0 / 3.0);
    for (what, platform, step) in [
        ("one platform, by the second", Some("public"), 1_000),
        ("all together, by the second", None, 1_000),
        ("one platform, by the minute", Some("public"), 60_000),
    ] {
        let ask = Ask { platform, from: BEGIN, until: BEGIN + DAY, step };
        let mut took: Vec<Duration> = Vec::new();
        let mut points = 0;
        for _ in 0..7 {
            let began = Instant::now();
            points = history(home.path(), &ask)?.points.len();
            took.push(began.elapsed());
        }
        took.sort();
        println!("{what}: {points} points in {} ms (median of 7)", took[3].as_millis());
    }
    Ok(())
}

fn request(second: u64, nth: u64) -> Request<'static> {
    let random = (second * 31 + nth + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let part = |from: u32, of: u64| (random >> from) % of;
    let refused = part(0, 5) == 0;
    Request {
        unix_millis: BEGIN + second * 1_000 + part(8, 1_000),
        platform: PLATFORMS[(nth % 3) as usize],
        route: "/**",
        class: "page",
        audience: "human",
        client: Ipv4Addr::from_bits(0x0a00_0000 + part(20, 50_000) as u32).into(),
        ja4: "t13d1516h2_8daaf6152771_e5627efa2ab1",
        verdict: if refused { Verdict::Refused } else { Verdict::Served },
        reason: if refused { ["rule-refused", "rate-limited"][part(40, 2) as usize] } else { "" },
        status: if refused { 429 } else { 200 },
        bytes_in: 400,
        bytes_out: 12_000,
        micros: 500 + part(12, 40_000),
        waited_micros: 0,
    }
}
