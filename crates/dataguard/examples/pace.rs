//! How fast answers are read, in CPU time of one core: `cargo run --release -p portcullis-dataguard --example pace`.

#![expect(clippy::print_stdout, reason = "it says what it measured")]

use std::io::Write as _;

use portcullis_dataguard::canary::{CanaryKey, EntryKind, Registry};
use portcullis_dataguard::decode::{Bounds, Codings};
use portcullis_dataguard::detect::{Findings, Found, HashKey, Kinds, Scan};
use portcullis_dataguard::{Canaries, Detector, Reader, Scanner};
use rustix::time::{ClockId, clock_gettime};

/// Counts, and hashes as the gate does.
struct Count(HashKey, u64, u64);

impl Findings for Count {
    fn found(&mut self, found: &Found<'_>) {
        self.1 += 1;
        self.2 ^= self.0.of(found.kind, found.value);
    }

    fn canary(&mut self, _: portcullis_dataguard::canary::CanaryId, _: (u64, u64)) {}
}

fn main() {
    let (mut registry, key) = (Registry::default(), CanaryKey::new([9; 32]));
    for _ in 0..1000 {
        registry.add(EntryKind::Member { domain: "post.example.org".to_owned() }, Vec::new(), "");
    }
    let member = |number: u32| {
        format!(
            "{{\"id\":{number},\"name\":\"Member {number}\",\"email\":\"member{number}@example.org\",\"phone\":\"07700 90{:04}\",\
             \"postcode\":\"LS{} {}AB\",\"joined\":\"2019-05-{:02}\"}},",
            number % 10_000,
            number % 29 + 1,
            number % 9,
            number % 28 + 1
        )
    };
    let prose = |number: u32| {
        format!(
            "<p class=\"c{number}\">The council met on Tuesday and {number} people came to say what they thought of the plan, \
             which would close two libraries and keep the market hall open until the spring.</p>\n<a href=\"/news/{number}\">more</a>\n"
        )
    };
    let bodies = [
        ("members' JSON", (0..12_000).map(member).collect::<String>()),
        ("pages", (0..9_000).map(prose).collect::<String>()),
        ("one page of 50 kB", (0..250).map(prose).collect::<String>()),
    ];
    for canaries in [Canaries::default(), Canaries::new(&registry, &key)] {
        let detector = Detector::new(Kinds::all(), &[], &canaries);
        for (name, body) in &bodies {
            for coding in ["identity", "gzip", "br", "zstd"] {
                report(&detector, (name, body), coding, canaries.len());
            }
        }
    }
}

fn report(detector: &Detector, (name, plain): (&str, &str), coding: &str, canaries: usize) {
    let body = packed(coding, plain.as_bytes());
    let mut best = f64::MAX;
    let mut found = 0;
    for _ in 0..9 {
        let began = cpu();
        let (mut count, mut scanner) = (Count(HashKey([1, 2]), 0, 0), Scanner::default());
        let mut scan = Scan { detector, scanner: &mut scanner, findings: &mut count };
        let Ok(codings) = Codings::of(std::iter::once(coding.as_bytes())) else { return };
        let mut reader = Reader::new(codings, Bounds::default());
        let read = body.chunks(16 << 10).try_for_each(|piece| reader.push(piece, &mut scan));
        if read.and_then(|()| reader.finish(&mut scan)).is_err() {
            println!("{name}, {coding}: not read");
            return;
        }
        found = count.1;
        best = best.min(cpu() - began);
    }
    #[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
    let size = plain.len() as f64;
    println!(
        "{name:<18} {coding:<9} {canaries:>5} canaries: {:>7.0} MB/s of text, {:>8.1} us, {found} found",
        size / best / 1e6,
        best * 1e6
    );
}

fn packed(coding: &str, plain: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            let _ = encoder.write_all(plain);
            encoder.finish().unwrap_or_default()
        }
        "br" => {
            let mut packed = Vec::new();
            let _ = brotli::CompressorWriter::new(&mut packed, 4096, 5, 22).write_all(plain);
            packed
        }
        "zstd" => {
            let mut packed = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
            let _ = zstd_safe::compress(&mut packed, plain, 3);
            packed
        }
        _ => plain.to_vec(),
    }
}

/// CPU time of this thread in seconds.
fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of seconds")]
    let seconds = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
    seconds
}
