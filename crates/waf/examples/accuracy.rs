//! How many attacks the built-in detection blocks and how much ordinary traffic, by class and placement, and at what cost.
//!
//! `accuracy [--show N] [--only PART] [--corpora DIRECTORY]` reads `blazehttp-*.tar.zst` (raw requests: `.black` are attacks,
//! `.white` is traffic of browsers) and `attack-payloads-*.tar.zst` (lists by class). Where they are missing it says so and
//! ends well. `--show` lists what was judged wrongly. Exits with 1 when a target is missed.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a tool that reads files, takes times and prints"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use portcullis_waf::semantic::{Detector, Findings, Place, Settings, is_file, is_form};

/// Attacks blocked at least, ordinary traffic blocked at most.
const TARGETS: (f64, f64) = (0.90, 0.001);

fn main() -> ExitCode {
    let options = Options::read();
    let archives = options.archives();
    if archives.is_empty() {
        println!(
            "skipped: no corpora in {}; set PORTCULLIS_SHARED to the directory that has corpora/, see corpora/README.md there",
            options.corpora.display()
        );
        return ExitCode::SUCCESS;
    }
    let mut run = Run {
        detector: Detector::new(Settings::default()),
        findings: Findings::new(),
        tables: BTreeMap::new(),
        options,
    };
    for archive in archives {
        let Some(files) = unpack(&archive) else {
            println!("cannot read {}", archive.display());
            return ExitCode::FAILURE;
        };
        for (name, content) in &files {
            if run.options.skips(name) {
                continue;
            }
            match Path::new(name).extension().and_then(|extension| extension.to_str()) {
                Some("black") => run.request("requests: attacks", true, name, content),
                Some("white") => run.request("requests: ordinary", false, name, content),
                Some("txt") => run.payloads(name, content),
                _ => {}
            }
        }
    }
    run.print()
}

struct Options {
    corpora: PathBuf,
    show: usize,
    only: Option<String>,
}

impl Options {
    fn read() -> Self {
        let shared = std::env::var_os("PORTCULLIS_SHARED")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
        let mut options = Self { corpora: shared.join("corpora"), show: 0, only: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--show" => options.show = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(20),
                "--only" => options.only = arguments.next(),
                "--corpora" => options.corpora = arguments.next().map(PathBuf::from).unwrap_or_default(),
                other => println!("unknown: {other}"),
            }
        }
        options
    }

    fn archives(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.corpora).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries.map(|entry| entry.path()).collect();
        found.retain(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            (name.starts_with("blazehttp") || name.starts_with("attack-payloads")) && name.ends_with(".tar.zst")
        });
        found.sort();
        found
    }

    fn skips(&self, name: &str) -> bool {
        self.only.as_ref().is_some_and(|only| !name.contains(only.as_str()))
    }
}

/// What one row of the report counts.
#[derive(Default)]
struct Row {
    attack: bool,
    blocked: u64,
    all: u64,
    spent: Duration,
    longest: Duration,
    bytes: u64,
    shown: usize,
}

struct Run {
    detector: Detector,
    findings: Findings,
    tables: BTreeMap<String, Row>,
    options: Options,
}

impl Run {
    fn request(&mut self, table: &str, attack: bool, name: &str, raw: &[u8]) {
        self.judge(table, attack, name, raw.len(), raw, |detector, findings| whole(detector, raw, findings));
    }

    /// Each line is a payload; it is put into every place.
    fn payloads(&mut self, name: &str, content: &[u8]) {
        let attack = name.contains("true-positives");
        let class =
            Path::new(name).parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
        let kind = if attack { "attacks" } else { "ordinary" };
        let headers = ["User-Agent", "Referer", "X-Forwarded-For", "X-Requested-With"];
        for (number, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let mut escaped = Vec::new();
            for byte in line {
                escaped.extend(format!("%{byte:02X}").bytes());
            }
            let query = [b"/search?q=".as_slice(), &escaped].concat();
            let plain = [b"q=".as_slice(), &escaped].concat();
            let cookie = [b"q=".as_slice(), line].concat();
            let header = headers.get(number % headers.len()).copied().unwrap_or("Referer");
            let row = |place: &str| format!("{class}: {kind}, {place}");
            self.judge(&row("query"), attack, "", line.len(), line, |detector, findings| {
                detector.request_line(b"GET", &query, findings)
            });
            self.judge(&row("form"), attack, "", line.len(), line, |detector, findings| {
                detector.form(&plain, findings)
            });
            self.judge(&row("json"), attack, "", line.len(), line, |detector, findings| {
                detector.value(Place::Json, b"json.q", line, findings)
            });
            self.judge(&row("cookie"), attack, "", line.len(), line, |detector, findings| {
                detector.header(b"Cookie", &cookie, findings)
            });
            self.judge(&row("header"), attack, "", line.len(), line, |detector, findings| {
                detector.header(header.as_bytes(), line, findings)
            });
        }
    }

    fn judge(
        &mut self,
        table: &str,
        attack: bool,
        name: &str,
        bytes: usize,
        shown: &[u8],
        look: impl Fn(&Detector, &mut Findings),
    ) {
        let started = Instant::now();
        self.findings.clear();
        look(&self.detector, &mut self.findings);
        let spent = started.elapsed();
        let blocked = self.detector.blocks(&self.findings);
        let row = self.tables.entry(table.to_owned()).or_default();
        row.attack = attack;
        row.all += 1;
        row.blocked += u64::from(blocked);
        row.spent += spent;
        row.longest = row.longest.max(spent);
        row.bytes += bytes as u64;
        if blocked != attack && row.shown < self.options.show {
            row.shown += 1;
            println!("{table}: {name} {}", String::from_utf8_lossy(shown.get(..200).unwrap_or(shown)).escape_debug());
            for finding in self.findings.list() {
                println!(
                    "    {} {} in {} {:?}: {} (decoded {}): {:?}",
                    finding.score,
                    finding.class.as_str(),
                    finding.place.as_str(),
                    String::from_utf8_lossy(&finding.name),
                    finding.why,
                    finding.decoded,
                    String::from_utf8_lossy(&finding.matched)
                );
            }
        }
    }

    fn print(self) -> ExitCode {
        println!("{:<32} {:>8} {:>8} {:>9} {:>9} {:>9}", "", "blocked", "of", "rate", "us mean", "us most");
        let (mut blocked, mut attacks, mut wrong, mut ordinary) = (0, 0, 0, 0);
        for (name, row) in &self.tables {
            let rate = row.blocked as f64 / row.all.max(1) as f64;
            println!(
                "{name:<32} {:>8} {:>8} {:>8.2}% {:>9.1} {:>9.0}",
                row.blocked,
                row.all,
                rate * 100.0,
                row.spent.as_secs_f64() * 1e6 / row.all.max(1) as f64,
                row.longest.as_secs_f64() * 1e6
            );
            if row.attack {
                blocked += row.blocked;
                attacks += row.all;
            } else {
                wrong += row.blocked;
                ordinary += row.all;
            }
        }
        let (hit, fault) = (blocked as f64 / attacks.max(1) as f64, wrong as f64 / ordinary.max(1) as f64);
        println!(
            "attacks blocked {:.2}% of {attacks}, ordinary blocked {:.3}% of {ordinary}",
            hit * 100.0,
            fault * 100.0
        );
        if self.options.only.is_some() || hit >= TARGETS.0 && fault <= TARGETS.1 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Reads a raw request and looks at all of it.
fn whole(detector: &Detector, raw: &[u8], findings: &mut Findings) {
    let (head, body) = split(raw, b"\r\n\r\n").or_else(|| split(raw, b"\n\n")).unwrap_or((raw, b""));
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let request = lines.next().unwrap_or_default();
    let (method, rest) = split(request, b" ").unwrap_or((request, b""));
    let target = rest.strip_suffix(b" HTTP/1.1").or_else(|| rest.strip_suffix(b" HTTP/1.0")).unwrap_or(rest);
    detector.request_line(method, target, findings);
    let (mut content_type, mut packed) = (&b""[..], false);
    for line in lines {
        let Some((name, value)) = split(line, b":") else { continue };
        let value = value.trim_ascii();
        detector.header(name, value, findings);
        if name.eq_ignore_ascii_case(b"content-type") {
            content_type = value;
        }
        packed |= name.eq_ignore_ascii_case(b"content-encoding") && !value.eq_ignore_ascii_case(b"identity");
    }
    match content_type {
        _ if body.is_empty() => {}
        _ if packed => detector.value(Place::File, b"", body, findings),
        kind if is_form(kind) => detector.form(body, findings),
        kind if kind.to_ascii_lowercase().starts_with(b"multipart/") => multipart(detector, kind, body, findings),
        kind if is_file(kind) => detector.value(Place::File, b"", body, findings),
        _ => detector.value(Place::Body, b"", body, findings),
    }
}

fn multipart(detector: &Detector, kind: &[u8], body: &[u8], findings: &mut Findings) {
    let Some((_, boundary)) = split(kind, b"boundary=") else {
        return detector.value(Place::Body, b"", body, findings);
    };
    let boundary = [b"--", boundary.trim_ascii().trim_ascii_start()].concat();
    let boundary: Vec<u8> = boundary.into_iter().filter(|byte| *byte != b'"').collect();
    let mut rest = body;
    while let Some((before, behind)) = split(rest, &boundary) {
        part(detector, before, findings);
        rest = behind;
    }
    part(detector, rest, findings);
}

fn part(detector: &Detector, part: &[u8], findings: &mut Findings) {
    let Some((head, content)) = split(part, b"\r\n\r\n").or_else(|| split(part, b"\n\n")) else { return };
    let attribute = |name: &[u8]| {
        let (_, behind) = split(head, name)?;
        split(behind, b"\"").map(|(value, _)| value.to_vec())
    };
    let name = attribute(b" name=\"").unwrap_or_default();
    detector.value(Place::FormName, b"", &name, findings);
    if let Some(file) = attribute(b"filename=\"") {
        detector.value(Place::FileName, &name, &file, findings);
        detector.value(Place::File, &name, content, findings);
    } else {
        detector.value(Place::Form, &name, content.strip_suffix(b"\r\n").unwrap_or(content), findings);
    }
}

fn split<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = text.windows(at.len()).position(|window| window == at)?;
    Some((text.get(..found)?, text.get(found + at.len()..)?))
}

/// The files of a tar archive that zstd has packed.
fn unpack(path: &Path) -> Option<Vec<(String, Vec<u8>)>> {
    let mut tar = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(File::open(path).ok()?).ok()?.read_to_end(&mut tar).ok()?;
    let mut files = Vec::new();
    let mut rest = tar.as_slice();
    while let Some((head, behind)) = rest.split_at_checked(512) {
        let text = |from: usize, length: usize| {
            let field = head.get(from..from + length)?;
            String::from_utf8(field.iter().copied().take_while(|byte| *byte != 0).collect()).ok()
        };
        let name = text(0, 100)?;
        if name.is_empty() {
            break;
        }
        let size = usize::from_str_radix(text(124, 12)?.trim(), 8).ok()?;
        let name = match text(345, 155)? {
            prefix if prefix.is_empty() || !head.get(257..262)?.starts_with(b"ustar") => name,
            prefix => format!("{prefix}/{name}"),
        };
        if head.get(156).is_some_and(|kind| matches!(kind, b'0' | 0)) {
            files.push((name, behind.get(..size)?.to_vec()));
        }
        rest = behind.get(size.div_ceil(512) * 512..)?;
    }
    files.sort();
    Some(files)
}
