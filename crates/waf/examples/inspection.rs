//! What rules cost: `inspection DIRECTORY [PARANOIA [FILTER [ROUNDS [PIECE]]]]` loads the Core Rule Set from a directory (`modsecurity/`,
//! `crs-setup.conf.example`, `rules/`), plays a few ordinary requests and prints microseconds of CPU for each.
//!
//! With ROUNDS each is played so often, other values each time, and not timed, for tools that count instructions (`valgrind --tool=callgrind
//! --toggle-collect=*play_round*`). FILTER `worst` plays forms of 128 kB made of what keeps inspection busy (`specs/waf-busy.toml`),
//! each piece in one value, in many, and beside another piece, and prints the slowest; with ROUNDS, the one
//! that PIECE names as it is printed.
//!
//! Each is played again and again as it is, and then anew each time (other paths, cookies, words, members), since what was found
//! in a value is kept for a while.
//!
//! The requests are those of the project's measurements beside other engines: a GET with 16 header fields and 5 cookies, a form
//! of 1.8 kB, JSON of 10 kB with about 415 leaves, an upload of 100 kB, a page of 20 kB.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a tool that reads files, looks at the clock and prints"
)]

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use portcullis_waf::seclang::parse::{self, Files};
use portcullis_waf::seclang::{Clock, Peer, Transaction, compile, resolve};

struct Disk(PathBuf);

impl Files for Disk {
    fn read(&self, beside: &str, name: &str) -> Option<Vec<u8>> {
        let beside = Path::new(beside).parent().unwrap_or(&self.0);
        fs::read(beside.join(name)).ok()
    }
}

struct Case {
    name: &'static str,
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// What it is answered with, a page of HTML; rules are asked about the request alone where there is none.
    page: Vec<u8>,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let directory = PathBuf::from(args.next().expect("a directory"));
    let paranoia = args.next().unwrap_or_else(|| "1".to_owned());
    let filter = args.next();
    let rounds: Option<usize> = args.next().map(|rounds| rounds.parse().expect("a number of rounds"));
    let texts = texts(&directory, &paranoia);
    let begun = Instant::now();
    let sources: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let files = Disk(directory);
    let parsed = parse::parse(&sources, &files).unwrap_or_else(|refused| {
        for problem in &refused.diagnostics {
            println!("{}", problem.render(&refused.sources, false));
        }
        std::process::exit(1)
    });
    let read = begun.elapsed();
    let rules = resolve::resolve(parsed).unwrap_or_else(|refused| {
        for problem in &refused.diagnostics {
            println!("{}", problem.render(&refused.sources, false));
        }
        std::process::exit(1)
    });
    let program = compile(&rules).unwrap_or_else(|problems| {
        for problem in &problems {
            println!("{}", problem.render(&rules.sources, false));
        }
        std::process::exit(1)
    });
    let program = Arc::new(program);
    println!(
        "{} rules in {} ms ({} ms to read), {} behind the prefilter ({:.1} MiB)",
        program.rules(),
        begun.elapsed().as_millis(),
        read.as_millis(),
        program.filtered(),
        program.prefilter_memory() as f64 / 1048576.0
    );
    if filter.as_deref() == Some("worst") {
        worst(&program, rounds, args.next().as_deref());
        return;
    }
    for (nth, case) in cases(0).into_iter().enumerate() {
        if filter.as_ref().is_some_and(|filter| !case.name.contains(filter.as_str())) {
            continue;
        }
        let mut transaction = Transaction::new(&program, &peer());
        play(&mut transaction, &program, &case);
        let told: Vec<String> = transaction
            .matches()
            .iter()
            .map(|one| {
                format!(
                    "{} {}={:?}",
                    one.rule,
                    String::from_utf8_lossy(&one.target),
                    String::from_utf8_lossy(&one.value[..one.value.len().min(60)])
                )
            })
            .collect();
        if let Some(rounds) = rounds {
            (0..3).for_each(|_| play(&mut transaction, &program, &case));
            for other in (1..).take(rounds) {
                if let Some(other) = cases(other).into_iter().nth(nth) {
                    play_round(&mut transaction, &program, &other);
                }
            }
            continue;
        }
        let others: Vec<Case> = (1..=if case.name == "multipart" { 20 } else { OTHERS })
            .filter_map(|other| cases(other).into_iter().nth(nth))
            .collect();
        let anew = batches(&mut transaction, &program, &others);
        let case = [case];
        let same = batches(&mut transaction, &program, &case);
        let [case] = case;
        println!(
            "{:>10}: {:8.1} us (middle {:8.1}), anew each time {:8.1} us (middle {:8.1}), {} steps, score {}, {:?}, {told:?}",
            case.name,
            same.0,
            same.1,
            anew.0,
            anew.1,
            transaction.steps(),
            transaction.number("blocking_inbound_anomaly_score"),
            transaction.intervention().map(|it| (it.status, it.rule)),
        );
    }
}

/// Bytes of the worst forms.
const WORST_BYTES: usize = 128 << 10;

/// Plays each of the forms that are made to be slow, and prints the slowest.
fn worst(program: &Arc<portcullis_waf::seclang::Program>, rounds: Option<usize>, piece: Option<&str>) {
    #[derive(serde::Deserialize)]
    struct Busy {
        pieces: Vec<String>,
    }
    let busy: Busy = toml::from_str(include_str!("../../../specs/waf-busy.toml")).expect("a list of pieces");
    let mut transaction = Transaction::new(program, &peer());
    let mut slowest = Vec::new();
    for (index, one) in busy.pieces.iter().enumerate() {
        let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let other = &busy.pieces[(index * 37 + 11) % busy.pieces.len()];
        let fill = |text: &str| text.repeat(WORST_BYTES / text.len().max(1));
        for (shape, body) in [
            ("in one value", format!("q={}", fill(&escaped(one)))),
            ("unescaped", format!("q={}", fill(&one.replace(['&', '%', '+'], "")))),
            ("in many", fill(&format!("a={}&", escaped(one).repeat(4)))),
            ("as names", fill(&format!("{}&", escaped(one).repeat(2)))),
            ("with another", format!("q={}", fill(&[escaped(one), escaped(other)].concat()))),
        ] {
            let name = format!("{one:?} {shape}");
            if piece.is_some_and(|piece| piece != name) {
                continue;
            }
            let case = with_body(0, "worst", "application/x-www-form-urlencoded", body.into_bytes());
            if let Some(rounds) = rounds {
                play(&mut transaction, program, &case);
                let begun = cpu();
                (0..rounds).for_each(|_| play_round(&mut transaction, program, &case));
                println!("{name}: {:.2} ms", (cpu() - begun) as f64 / 1e6 / rounds as f64);
                continue;
            }
            let took = (0..3).map(|_| {
                let begun = cpu();
                play(&mut transaction, program, &case);
                cpu() - begun
            });
            slowest.push((took.min().unwrap_or(0), name));
        }
    }
    slowest.sort_unstable();
    for (nanoseconds, what) in slowest.iter().rev().take(25) {
        println!("{:8.2} ms  {what}", *nanoseconds as f64 / 1e6);
    }
}

/// Requests of one kind that differ: more than values are remembered.
const OTHERS: u32 = 700;

/// Microseconds of each request: the least of nine batches, and the middle one.
fn batches(
    transaction: &mut Transaction,
    program: &Arc<portcullis_waf::seclang::Program>,
    cases: &[Case],
) -> (f64, f64) {
    let length = cases.first().map_or(0, |case| case.body.len());
    let mut batches: Vec<f64> = (0..9)
        .map(|_| {
            // The kernel counts in ticks: a batch must take many of them.
            let count = (60_000_000 / (length.min(10_000) * 80 + 20_000)).max(5);
            let begun = cpu();
            for case in cases.iter().cycle().take(count) {
                play(transaction, program, case);
            }
            (cpu() - begun) as f64 / 1e3 / count as f64
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    (batches[0], batches[4])
}

/// Nanoseconds that this thread has had of a processor.
fn cpu() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

fn texts(directory: &Path, paranoia: &str) -> Vec<(String, String)> {
    let read = |path: &Path| (path.display().to_string(), fs::read_to_string(path).unwrap());
    let (name, mut setup) = read(&directory.join("crs-setup.conf.example"));
    let _ = write!(
        setup,
        "\nSecAction \"id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level={paranoia}\"\n"
    );
    let (base, settings) = read(&directory.join("modsecurity/modsecurity.conf-recommended"));
    let mut texts = vec![(base, settings), (name, setup)];
    let mut rules: Vec<PathBuf> = fs::read_dir(directory.join("rules"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    rules.sort();
    texts.extend(rules.iter().map(|path| read(path)));
    texts.push(("mode".to_owned(), "SecRuleEngine On\n".to_owned()));
    texts
}

fn peer() -> Peer<'static> {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let now = Clock { unix: 1_790_000_000 };
    Peer { client: here, client_port: 40_000, server: here, server_port: 443, unique_id: "k3v9x0", now }
}

#[inline(never)]
fn play_round(transaction: &mut Transaction, program: &Arc<portcullis_waf::seclang::Program>, case: &Case) {
    play(transaction, program, case);
}

fn play(transaction: &mut Transaction, program: &Arc<portcullis_waf::seclang::Program>, case: &Case) {
    transaction.reset(program, &peer());
    transaction.request_line(case.method.as_bytes(), case.target.as_bytes(), b"HTTP/1.1");
    for (name, value) in &case.headers {
        transaction.request_header(name.as_bytes(), value.as_bytes());
    }
    if transaction.request_head_done().is_none() {
        transaction.request_body(&case.body);
        transaction.request_body_done();
    }
    if !case.page.is_empty() {
        transaction.response_head(200, b"HTTP/1.1");
        transaction.response_header(b"Content-Type", b"text/html; charset=utf-8");
        if transaction.response_head_done().is_none() {
            transaction.response_body(&case.page);
            transaction.response_body_done();
        }
    }
}

fn headers(other: u32) -> Vec<(&'static str, String)> {
    let mut headers = [
        ("Host", "www.example.org"),
        ("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
        ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Referer", "https://www.example.org/news/"),
        ("Connection", "keep-alive"),
        ("Upgrade-Insecure-Requests", "1"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-User", "?1"),
        ("Sec-Ch-Ua-Mobile", "?0"),
        ("Sec-Ch-Ua-Platform", "\"Windows\""),
        ("DNT", "1"),
        ("Cookie", "session=8f14e45fceea167a5a36dedd4bea2543; csrf=Zm9vYmFyYmF6; theme=light; consent=analytics.no; visited=2026-11-20"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec();
    if other > 0 {
        for (name, value) in &mut headers {
            match *name {
                "Cookie" => *value = value.replace("8f14e45f", &format!("{:08x}", other.wrapping_mul(2_654_435_761))),
                "Referer" => value.push_str(&format!("page-{other}")),
                _ => {}
            }
        }
    }
    headers
}

fn with_body(other: u32, name: &'static str, kind: &str, body: Vec<u8>) -> Case {
    let mut headers = headers(other);
    headers.push(("Content-Type", kind.to_owned()));
    headers.push(("Content-Length", body.len().to_string()));
    Case { name, method: "POST", target: "/members/join".to_owned(), headers, body, page: Vec::new() }
}

/// The requests; those of one number differ from those of another in what visitors would do differently.
fn cases(other: u32) -> Vec<Case> {
    let get = Case {
        name: "get",
        method: "GET",
        target: match other {
            0 => "/news/2026/branch-meeting?page=2&sort=date&topic=housing".to_owned(),
            _ => format!("/news/2026/branch-meeting-{other}?page={other}&sort=date&topic=housing"),
        },
        headers: headers(other),
        body: Vec::new(),
        page: Vec::new(),
    };
    let mut form = String::new();
    for field in 0..18 {
        let _ = write!(
            form,
            "{}field_{field}=Some+ordinary+words+that+a+member+typed+here+number+{}+and+a+few+more+of+them+for+length",
            if field == 0 { "" } else { "&" },
            field + other
        );
    }
    let mut json = String::from("{\"members\":[");
    for member in 0..83 {
        let _ = write!(
            json,
            "{}{{\"id\":{member},\"name\":\"Member Number {member}\",\"email\":\"m{member}@example.org\",\"joined\":\"2024-05-17\",\"branch\":\"North West {}\"}}",
            if member == 0 { "" } else { "," },
            (member + other) % 7,
            member = member + other * 100,
        );
    }
    json.push_str("]}");
    let mut upload = format!("--XbX\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA picture of the hall {other}\r\n--XbX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"hall.png\"\r\nContent-Type: image/png\r\n\r\n").into_bytes();
    let mut state = 88_172_645_463_325_252u64;
    while upload.len() < 98_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        upload.extend_from_slice(&state.to_le_bytes());
    }
    upload.extend_from_slice(b"\r\n--XbX--\r\n");
    let attack = Case {
        name: "sqli",
        method: "GET",
        target: "/news?id=1%27%20UNION%20SELECT%20password%20FROM%20users--%20-".to_owned(),
        headers: headers(other),
        body: Vec::new(),
        page: Vec::new(),
    };
    let mut text = String::from("<!doctype html><html lang=\"en\"><head><title>News</title></head><body><ul>\n");
    for item in 0.. {
        if text.len() >= 20_000 {
            break;
        }
        let _ = writeln!(
            text,
            "<li><a href=\"/news/{item}\">Meeting number {} of the branch</a>: the hall is open from seven, and tea is free.</li>",
            item + other
        );
    }
    text.push_str("</ul></body></html>\n");
    let page = Case {
        name: "page",
        method: "GET",
        target: "/news".to_owned(),
        headers: headers(other),
        body: Vec::new(),
        page: text.into_bytes(),
    };
    vec![
        get,
        with_body(other, "form", "application/x-www-form-urlencoded", form.into_bytes()),
        with_body(other, "json", "application/json", json.into_bytes()),
        with_body(other, "multipart", "multipart/form-data; boundary=XbX", upload),
        attack,
        page,
    ]
}
