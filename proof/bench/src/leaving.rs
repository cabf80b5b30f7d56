//! The figures of what leaves: CPU time of the gate for an answer of 50 kB that it reads, beside the gate that reads nothing and
//! nginx; what reading a byte costs; and what it adds to the latency.
//!
//! All of them carry the same answer, from a file that nginx serves on the load core. The gate that reads has a thousand canaries
//! planted and stops them, so that it holds back what it has not looked at. What reading costs is the difference of two gates
//! that take turns within each round.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use crate::Fallible;
use crate::contender::{HOST, Kind, Place, Server, free_ports, nginx_head};
use crate::figure::{Figure, Plan, Series, named, order};
use crate::load::{Tally, wrk};
use crate::machine::Machine;

/// What is served, and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 50 kB of text and markup.
    Page,
    /// The same, packed by gzip beforehand.
    Packed,
    /// 50 kB of members as JSON, each with an address, a telephone number and a postcode, under a budget.
    Members,
}

/// What is measured of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Leaving {
    /// Microseconds of CPU time for an answer.
    Carried(Answer),
    /// Nanoseconds of CPU time that reading a byte of text adds.
    Read(Answer),
    /// Milliseconds that reading adds to the 99th percentile of latency, one request at a time.
    Added(Answer),
}

const BYTES: usize = 50_000;
const CANARIES: u32 = 1000;
/// Connections where CPU time is measured.
const CONNECTIONS: u32 = 32;

impl Leaving {
    const fn answer(self) -> Answer {
        match self {
            Self::Carried(answer) | Self::Read(answer) | Self::Added(answer) => answer,
        }
    }

    /// Measures every contender of `figure`, or the difference between the first two.
    pub(crate) fn measure(self, figure: &Figure, plan: &Plan) -> Fallible<Vec<Series>> {
        let place = Place::new(figure.name)?;
        let upstream = upstream(&place, &plan.machine, self.answer())?;
        let kinds: &[Kind] = match self {
            Self::Carried(_) => figure.contenders,
            Self::Read(_) | Self::Added(_) => &[Kind::Portcullis, Kind::PortcullisBlind],
        };
        let (mut servers, mut series) = (Vec::new(), Vec::new());
        for kind in kinds {
            let server = match kind {
                Kind::Portcullis | Kind::PortcullisBlind => gate(plan, &place, &upstream, *kind == Kind::Portcullis),
                _ => Server::contender(*kind, &plan.gate, &place, &plan.machine, upstream.http),
            };
            match server {
                Ok(server) => {
                    servers.push(Some(server));
                    series.push(named(kind.name()));
                }
                Err(error) => {
                    servers.push(None);
                    series.push(Series { trouble: Some(error.to_string()), ..named(kind.name()) });
                }
            }
        }
        let connections = if matches!(self, Self::Added(_)) { 1 } else { CONNECTIONS };
        let load = |server: &Server, seconds| wrk(server.http, false, "/", connections, seconds, false);
        for server in servers.iter().flatten() {
            load(server, 1)?;
        }
        for round in 0..plan.rounds {
            for turn in order(round, servers.len()) {
                let (Some(Some(server)), Some(series)) = (servers.get(turn), series.get_mut(turn)) else { continue };
                let before = server.cpu_nanos();
                let tally = load(server, plan.seconds)?;
                match self {
                    Self::Carried(_) | Self::Read(_) => series.take(server.cpu_nanos() - before, &tally),
                    Self::Added(_) => taken_as_latency(series, &tally),
                }
            }
        }
        Ok(match self {
            Self::Carried(_) => series,
            Self::Read(_) => difference(figure, series, 1000.0 / BYTES as f64),
            Self::Added(_) => difference(figure, series, 1.0),
        })
    }
}

fn taken_as_latency(series: &mut Series, tally: &Tally) {
    series.take(0, tally);
    if let Some(last) = series.values.last_mut() {
        *last = tally.p99_ms.unwrap_or(f64::NAN);
    }
}

/// What the first has more than the second, round by round.
fn difference(figure: &Figure, series: Vec<Series>, factor: f64) -> Vec<Series> {
    let [with, without] = series.as_slice() else { return series };
    let name = figure.contenders.first().map_or("portcullis", |kind| kind.name());
    let values = with.values.iter().zip(&without.values).map(|(with, without)| (with - without) * factor).collect();
    let trouble = with.trouble.clone().or_else(|| without.trouble.clone());
    vec![Series {
        values,
        trouble,
        p50_ms: with.p50_ms,
        p99_ms: with.p99_ms,
        per_second: with.per_second,
        ..named(name)
    }]
}

/// The answer of `BYTES`, as text.
fn text(answer: Answer) -> String {
    let mut text = String::with_capacity(BYTES + 300);
    for number in 0_u32.. {
        if text.len() >= BYTES {
            break;
        }
        let _ = match answer {
            Answer::Page | Answer::Packed => write!(
                text,
                "<p class=\"c{number}\">The council met on Tuesday and {number} people came to say what they thought of \
                 the plan, which would close two libraries and keep the market hall open until the spring.</p>\n\
                 <a href=\"/news/{number}\">more</a>\n"
            ),
            Answer::Members => write!(
                text,
                "{{\"id\":{number},\"name\":\"Member {number}\",\"email\":\"member{number}@example.org\",\
                 \"phone\":\"07700 90{number:04}\",\"postcode\":\"LS{} {}AB\",\"joined\":\"2019-05-{:02}\"}},",
                number % 29 + 1,
                number % 9,
                number % 28 + 1
            ),
        };
    }
    text.truncate(BYTES);
    text
}

/// nginx with the answer as a file, on the load core.
fn upstream(place: &Place, machine: &Machine, answer: Answer) -> Fallible<Server> {
    let [port] = free_ports()?;
    let directory = PathBuf::from(place.path("upstream"));
    fs::create_dir_all(directory.join("site"))?;
    let page = directory.join("site/index.html");
    fs::write(&page, text(answer))?;
    let mut fields = String::new();
    if answer == Answer::Packed {
        let packed = Command::new("gzip").args(["-9", "-c"]).arg(&page).output()?;
        fs::write(&page, packed.stdout)?;
        fields.push_str("add_header Content-Encoding gzip;");
    }
    let kind = if answer == Answer::Members { "application/json" } else { "text/html" };
    let config = format!(
        "{}
    sendfile on;
    open_file_cache max=10 inactive=1h;
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        types {{ }}
        default_type {kind};
        etag off;
        {fields}
        root {}/site;
    }}
}}
",
        nginx_head(&directory.display().to_string(), "access_log off;", machine),
        directory.display()
    );
    let config = place.file("upstream.conf", &config)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&directory).args(["-e", "stderr", "-c"]).arg(config);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Server::started(command, machine.load_core, &PathBuf::from(place.path("upstream.log")), address, "the upstream")
}

/// The gate, reading what leaves or not.
fn gate(plan: &Plan, place: &Place, upstream: &Server, reads: bool) -> Fallible<Server> {
    if !plan.gate.is_file() {
        return Err(format!("{} is not there: `make release` builds it", plan.gate.display()).into());
    }
    let [http, admin] = free_ports()?;
    let data = if reads {
        let mut registry = String::new();
        for number in 1..=CANARIES {
            let _ = writeln!(registry, "{number} member domain=post.example.org planted=2026-11-22");
        }
        let registry = place.file("canaries.txt", &registry)?;
        let key = place.file("canary.key", &"5a".repeat(32))?;
        format!("[data]\ncanaries = \"{}\"\ncanary_key = \"{}\"\n", registry.display(), key.display())
    } else {
        "[data]\naction = \"off\"\n".to_owned()
    };
    let budget = if reads {
        "[[platform.route]]\npath = \"/**\"\n[[platform.route.budget]]\nwho = \"platform\"\nover = \"hour\"\n\
         records = 100000000\n"
    } else {
        ""
    };
    let text = format!(
        "[server]\nworkers = 1\ncontrol = \"{}\"\ndrain = \"1s\"\n\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n\n\
         [[listener]]\nname = \"http\"\nbind = \"127.0.0.1:{http}\"\n\n[limits]\nidle_timeout = \"3600s\"\n\
         requests_per_connection = 1000000000\n\n{data}\n[[platform]]\nname = \"bench\"\nhosts = [\"{HOST}\"]\n\
         upstreams = [\"http://{}\"]\n\n{budget}",
        place.path(&format!("control-{http}.sock")),
        upstream.http,
    );
    let config = place.file(&format!("gate-{http}.toml"), &text)?;
    let mut command = Command::new(plan.gate.canonicalize()?);
    command.args(["run", "--config"]).arg(config);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, http));
    let log = PathBuf::from(place.path(&format!("gate-{http}.log")));
    Server::started(
        command,
        plan.machine.proxy_core,
        &log,
        address,
        &format!("portcullis (its output: {})", log.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_of_one_size_and_differences_of_one_round() {
        for answer in [Answer::Page, Answer::Packed, Answer::Members] {
            assert_eq!(text(answer).len(), BYTES);
        }
        let series = |values: &[f64]| Series { values: values.to_vec(), ..named("x") };
        let figure = crate::figure::ALL.iter().find(|figure| figure.name == "leaving-read").expect("it is there");
        let found = difference(figure, vec![series(&[3.0, 5.0]), series(&[1.0, 4.0])], 2.0);
        assert_eq!(found.first().map(|series| series.values.clone()), Some(vec![4.0, 2.0]));
    }
}
