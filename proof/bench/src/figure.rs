//! The figures: what is measured, against whom, and what was promised.
//!
//! Never a single measurement: a value is the median over rounds, a ratio the median of the rounds' own ratios, so that
//! a slow minute of the machine weighs on both sides of it.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use crate::Fallible;
use crate::contender::{Kind, LIMITED, Place, REFUSED, Server};
use crate::database::Carried;
use crate::inspection::Inspect;
use crate::leaving::{Answer, Leaving};
use crate::load::{self, Attempt, Held, Tally};
use crate::machine::Machine;
use portcullis_peers::Ordinary;

/// How the bench was asked to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) machine: Machine,
    pub(crate) gate: PathBuf,
    /// Our engine, as the bench drives it.
    pub(crate) engine: PathBuf,
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
}

/// What is done to a contender.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// HTTP/1.1, 64 kept connections.
    KeepAlive { tls: bool, path: &'static str, refused: bool },
    /// HTTP/2 over TLS, 8 connections with 16 streams each.
    Http2,
    /// Our own client, a connection for each attempt.
    Connections { attempt: Attempt, concurrency: u32 },
    /// Memory of so many kept connections, each used once.
    Idle { count: usize },
    /// HTTP/1.1 on 64 kept connections while so many others are held, beside an equal contender that holds none.
    Held { count: usize },
    /// Inspection of requests, without HTTP around it.
    Inspect(Inspect),
    /// Sessions of PostgreSQL.
    Database(Carried),
    /// Answers that are read as they leave.
    Leaving(Leaving),
}

/// What a value is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// At most so many times the first peer's value.
    Ratio(f64),
    /// At most this value.
    Value(f64),
    /// At most this value, and at most so many times the value of each peer.
    Both { value: f64, ratio: f64 },
    /// For information.
    None,
}

/// One figure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) work: Work,
    /// The gate first, then the peer of the goal, then others for information.
    pub(crate) contenders: &'static [Kind],
    pub(crate) goal: Goal,
}

const CPU: &str = "us-cpu/request";
const ALL_THREE: &[Kind] = &[Kind::Portcullis, Kind::Nginx, Kind::Haproxy];
const MODSECURITY: &[Kind] = &[Kind::Rules, Kind::ModSecurityDebian, Kind::ModSecurityWheel];
const WITH_PGBOUNCER: &[Kind] = &[Kind::Portcullis, Kind::Pgbouncer];
const BUILT_IN: &[Kind] = &[Kind::BuiltIn];
const BYTE: &str = "ns-cpu/byte";
const HAPROXY_FIRST: &[Kind] = &[Kind::Portcullis, Kind::Haproxy, Kind::Nginx];

/// Every figure, in the order in which they are measured.
pub(crate) const ALL: &[Figure] = &[
    Figure {
        name: "h1-keepalive-64",
        what: "HTTP/1.1, 64 kept connections, 1 KiB proxied",
        unit: CPU,
        work: Work::KeepAlive { tls: false, path: "/", refused: false },
        contenders: ALL_THREE,
        goal: Goal::Ratio(1.0),
    },
    Figure {
        name: "h2-tls-8x16",
        what: "HTTP/2 over TLS, 8 connections x 16 streams, 1 KiB proxied",
        unit: CPU,
        work: Work::Http2,
        contenders: ALL_THREE,
        goal: Goal::Ratio(1.0),
    },
    Figure {
        name: "refusal-keepalive",
        what: "refused by a rule (405) on 64 kept connections",
        unit: CPU,
        work: Work::KeepAlive { tls: false, path: REFUSED, refused: true },
        contenders: HAPROXY_FIRST,
        goal: Goal::Ratio(1.0),
    },
    Figure {
        name: "refusal-accept",
        what: "refused at accept by the source address",
        unit: "us-cpu/connection",
        work: Work::Connections { attempt: Attempt::Refused, concurrency: 64 },
        contenders: &[Kind::Portcullis, Kind::Haproxy],
        goal: Goal::Ratio(1.0),
    },
    Figure {
        name: "new-connection",
        what: "a new connection for each request, 64 at once",
        unit: CPU,
        work: Work::Connections { attempt: Attempt::Request, concurrency: 64 },
        contenders: ALL_THREE,
        goal: Goal::Ratio(1.1),
    },
    Figure {
        name: "tls13-handshake-one-request",
        what: "a full TLS 1.3 handshake (X25519, P-256) and one request",
        unit: CPU,
        work: Work::Connections { attempt: Attempt::Handshake, concurrency: 16 },
        contenders: ALL_THREE,
        goal: Goal::Ratio(1.0),
    },
    Figure {
        name: "idle-connection-bytes",
        what: "memory of a kept connection that was used once, mean of 5,000",
        unit: "bytes",
        work: Work::Idle { count: 5_000 },
        contenders: ALL_THREE,
        goal: Goal::Value(12_288.0),
    },
    Figure {
        name: "held-20000",
        what: "serving 64 connections while 20,000 others are held, over serving them alone",
        unit: CPU,
        work: Work::Held { count: 20_000 },
        contenders: &[Kind::Portcullis, Kind::Portcullis],
        goal: Goal::Ratio(1.1),
    },
    Figure {
        name: "h1-tls-keepalive-64",
        what: "HTTP/1.1 over TLS, 64 kept connections, 1 KiB proxied",
        unit: CPU,
        work: Work::KeepAlive { tls: true, path: "/", refused: false },
        contenders: ALL_THREE,
        goal: Goal::None,
    },
    Figure {
        name: "refusal-rate-keepalive",
        what: "refused by a rate per address (429) on 64 kept connections",
        unit: CPU,
        work: Work::KeepAlive { tls: false, path: LIMITED, refused: true },
        contenders: HAPROXY_FIRST,
        goal: Goal::None,
    },
    Figure {
        name: "refusal-keepalive-logged",
        what: "refused by a rule (405), each refusal logged",
        unit: CPU,
        work: Work::KeepAlive { tls: false, path: REFUSED, refused: true },
        contenders: &[Kind::PortcullisLogged, Kind::NginxLogged],
        goal: Goal::None,
    },
    by_rules("waf-get-pl1", "the Core Rule Set at level 1: GET, 16 fields, 5 cookies", 1, Ordinary::Get, fast(50.0)),
    by_rules("waf-form-pl1", "level 1: a form of 1.8 kB", 1, Ordinary::Form, fast(150.0)),
    by_rules("waf-json-pl1", "level 1: JSON of 10 kB, 415 leaves", 1, Ordinary::Json, fast(1000.0)),
    by_rules("waf-multipart-pl1", "level 1: an upload of 98 kB", 1, Ordinary::Multipart, fast(300.0)),
    by_rules("waf-attack-pl1", "level 1: a GET that is refused", 1, Ordinary::Attack, Goal::None),
    by_rules("waf-page-pl1", "level 1: the GET and a page of 20 kB", 1, Ordinary::Page, Goal::None),
    with_others("waf-get-varied", "level 1: the GET, no two alike: pages, sessions and dates change", Ordinary::Get),
    with_others("waf-form-varied", "level 1: the form, no two alike", Ordinary::Form),
    with_others("waf-json-varied", "level 1: the JSON, no two alike", Ordinary::Json),
    by_rules("waf-get-pl4", "level 4: the GET", 4, Ordinary::Get, Goal::Value(80.0)),
    by_rules("waf-form-pl4", "level 4: the form", 4, Ordinary::Form, Goal::Value(240.0)),
    by_rules("waf-json-pl4", "level 4: the JSON", 4, Ordinary::Json, Goal::Value(1600.0)),
    by_rules("waf-multipart-pl4", "level 4: the upload", 4, Ordinary::Multipart, Goal::Value(480.0)),
    Figure {
        name: "waf-worst",
        what: "level 1: the slowest of the forms of 128 kB that are made to be slow",
        unit: "ms-cpu/request",
        work: Work::Inspect(Inspect::WorstRules),
        // A peer takes seconds for one of them.
        contenders: &[Kind::Rules],
        goal: Goal::Value(10.0),
    },
    Figure {
        name: "waf-load",
        what: "loading the Core Rule Set",
        unit: "ms-cpu",
        work: Work::Inspect(Inspect::Load),
        contenders: MODSECURITY,
        goal: Goal::Value(500.0),
    },
    Figure {
        name: "waf-memory-1",
        what: "what the gate holds more with the Core Rule Set than without it, one platform",
        unit: "MiB",
        work: Work::Inspect(Inspect::Memory { platforms: 1 }),
        contenders: &[Kind::Portcullis],
        goal: Goal::None,
    },
    Figure {
        name: "waf-memory-10",
        what: "the same for ten platforms",
        unit: "MiB",
        work: Work::Inspect(Inspect::Memory { platforms: 10 }),
        contenders: &[Kind::Portcullis],
        goal: Goal::Value(64.0),
    },
    Figure {
        name: "waf-builtin-get",
        what: "built-in detection: GET, 16 fields, 5 cookies",
        unit: CPU,
        work: Work::Inspect(Inspect::BuiltIn(Ordinary::Get)),
        contenders: BUILT_IN,
        goal: Goal::Value(5.0),
    },
    // 500 MB/s are 2 ns a byte.
    built_in("waf-builtin-form", "built-in detection: a form of 1 MiB", Ordinary::LongForm),
    built_in("waf-builtin-json", "built-in detection: JSON of 1 MiB", Ordinary::LongJson),
    built_in("waf-builtin-upload", "built-in detection: an upload of 1 MiB", Ordinary::LongUpload),
    Figure {
        name: "waf-builtin-worst",
        what: "built-in detection: the slowest of the forms of 128 kB that are made to be slow",
        unit: "ms-cpu/request",
        work: Work::Inspect(Inspect::WorstBuiltIn),
        contenders: BUILT_IN,
        goal: Goal::Value(10.0),
    },
    queries("database-simple", "PostgreSQL: pgbench, one row by key, simple protocol, 8 sessions", "simple"),
    queries("database-extended", "the same, extended protocol", "extended"),
    queries("database-prepared", "the same, prepared once", "prepared"),
    in_bulk("database-rows", "PostgreSQL: 400,000 rows of 110 bytes as one result", Carried::Rows),
    in_bulk("database-copy", "the same by COPY", Carried::Copy),
    carried("leaving-page", "a page of 50 kB, read for what leaves, 1,000 canaries", Answer::Page),
    carried("leaving-page-packed", "the same, packed by gzip", Answer::Packed),
    carried("leaving-members", "50 kB of members as JSON, read, under a budget", Answer::Members),
    read("leaving-read", "what reading a byte of the page adds", Answer::Page),
    read("leaving-read-packed", "the same, unpacked first", Answer::Packed),
    read("leaving-read-members", "what reading a byte of the members adds", Answer::Members),
    Figure {
        name: "leaving-latency",
        what: "what reading a page of 50 kB adds to the 99th percentile of latency",
        unit: "ms",
        work: Work::Leaving(Leaving::Added(Answer::Page)),
        contenders: &[Kind::Portcullis],
        goal: Goal::Value(1.0),
    },
    in_bulk("database-values", "400,000 rows of members, in which their values are recognised", Carried::Values),
];

const fn carried(name: &'static str, what: &'static str, answer: Answer) -> Figure {
    let contenders = &[Kind::Portcullis, Kind::PortcullisBlind, Kind::Nginx];
    Figure { name, what, unit: CPU, work: Work::Leaving(Leaving::Carried(answer)), contenders, goal: Goal::None }
}

/// 250 MB/s are 4 ns a byte.
const fn read(name: &'static str, what: &'static str, answer: Answer) -> Figure {
    let contenders = &[Kind::Portcullis];
    Figure { name, what, unit: BYTE, work: Work::Leaving(Leaving::Read(answer)), contenders, goal: Goal::Value(4.0) }
}

/// At most 1.3 times pgbouncer's.
const fn queries(name: &'static str, what: &'static str, mode: &'static str) -> Figure {
    let work = Work::Database(Carried::Queries(mode));
    Figure { name, what, unit: "us-cpu/query", work, contenders: WITH_PGBOUNCER, goal: Goal::Ratio(1.3) }
}

const fn in_bulk(name: &'static str, what: &'static str, carried: Carried) -> Figure {
    let work = Work::Database(carried);
    Figure { name, what, unit: "ns-cpu/row", work, contenders: WITH_PGBOUNCER, goal: Goal::Value(150.0) }
}

/// At most so many microseconds, and 25 times as fast as each peer.
const fn fast(value: f64) -> Goal {
    Goal::Both { value, ratio: 0.04 }
}

const fn by_rules(name: &'static str, what: &'static str, paranoia: u8, which: Ordinary, goal: Goal) -> Figure {
    let work = Work::Inspect(Inspect::Rules { paranoia, which });
    Figure { name, what, unit: CPU, work, contenders: MODSECURITY, goal }
}

const fn with_others(name: &'static str, what: &'static str, which: Ordinary) -> Figure {
    let work = Work::Inspect(Inspect::Varied(which));
    Figure { name, what, unit: CPU, work, contenders: MODSECURITY, goal: Goal::Ratio(0.04) }
}

const fn built_in(name: &'static str, what: &'static str, which: Ordinary) -> Figure {
    let work = Work::Inspect(Inspect::BuiltInBytes(which));
    Figure { name, what, unit: BYTE, work, contenders: BUILT_IN, goal: Goal::Value(2.0) }
}

/// One contender over all rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// One value a round; none where the contender could not be started, not a number where it served nothing.
    pub(crate) values: Vec<f64>,
    /// Requests a second of the last round, to be read beside the CPU time.
    pub(crate) per_second: f64,
    /// Latency of the last round.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    /// Shared pages counted once; only for memory.
    pub(crate) proportional: Option<f64>,
    /// What the last round's value is about, where that differs.
    pub(crate) remark: Option<String>,
    /// Why it has no values, or why they should not be trusted.
    pub(crate) trouble: Option<String>,
}

impl Series {
    pub(crate) fn take(&mut self, cpu: u64, tally: &Tally) {
        if tally.errors * 100 > tally.done {
            self.trouble = Some(format!("{} errors beside {} done", tally.errors, tally.done));
        }
        // A round in which the machine let nothing happen keeps its place, so that rounds are compared with their own.
        let value = if tally.done == 0 { f64::NAN } else { as_float(cpu) / as_float(tally.done) / 1000.0 };
        self.values.push(value);
        self.per_second = as_float(tally.done) / tally.seconds.max(0.001);
        (self.p50_ms, self.p99_ms) = (tally.p50_ms, tally.p99_ms);
    }
}

impl Figure {
    /// Measures every contender of this figure.
    pub(crate) fn measure(&self, plan: &Plan) -> Fallible<Vec<Series>> {
        if let Work::Inspect(inspect) = self.work {
            return inspect.measure(self, plan);
        }
        if let Work::Database(carried) = self.work {
            return carried.measure(self, plan);
        }
        if let Work::Leaving(leaving) = self.work {
            return leaving.measure(self, plan);
        }
        let place = Place::new(self.name)?;
        let upstream = Server::upstream(&place, &plan.machine)?;
        let start = |kind: Kind| Server::contender(kind, &plan.gate, &place, &plan.machine, upstream.http);
        match self.work {
            Work::Idle { count } => self.measure_idle(plan, count, start),
            Work::Held { count } => self.measure_held(plan, count, start),
            _ => self.measure_load(plan, start),
        }
    }

    fn measure_load(&self, plan: &Plan, start: impl Fn(Kind) -> Fallible<Server>) -> Fallible<Vec<Series>> {
        let (servers, mut series) = self.start_all(start);
        for server in servers.iter().flatten() {
            self.load(server, 1)?;
        }
        for round in 0..plan.rounds {
            for turn in order(round, servers.len()) {
                let (Some(Some(server)), Some(series)) = (servers.get(turn), series.get_mut(turn)) else { continue };
                let before = server.cpu_nanos();
                let tally = self.load(server, plan.seconds)?;
                series.take(server.cpu_nanos() - before, &tally);
            }
        }
        Ok(series)
    }

    /// Each contender by itself and fresh in each round, since memory that was freed may be kept.
    fn measure_idle(
        &self,
        plan: &Plan,
        count: usize,
        start: impl Fn(Kind) -> Fallible<Server>,
    ) -> Fallible<Vec<Series>> {
        let mut all: Vec<Series> = self.contenders.iter().map(|kind| named(kind.name())).collect();
        for round in 0..plan.rounds.min(5) {
            for turn in order(round, all.len()) {
                let (Some(kind), Some(series)) = (self.contenders.get(turn), all.get_mut(turn)) else { continue };
                match idle_bytes(*kind, count, &start) {
                    Ok((resident, proportional)) => {
                        series.values.push(resident);
                        series.proportional = Some(proportional);
                    }
                    Err(error) => series.trouble = Some(error.to_string()),
                }
            }
        }
        Ok(all)
    }

    /// Two of the same: the first holds `count` connections, the second none.
    fn measure_held(
        &self,
        plan: &Plan,
        count: usize,
        start: impl Fn(Kind) -> Fallible<Server>,
    ) -> Fallible<Vec<Series>> {
        let count = count.min(usize::try_from(plan.machine.descriptors.saturating_sub(600))?);
        let (servers, mut series) = self.start_all(start);
        let [Some(holding), Some(free)] = servers.as_slice() else { return Ok(series) };
        let mut held = Held::open(holding.http, count)?;
        for (series, name) in series.iter_mut().zip([format!("{count} held"), "none held".to_owned()]) {
            series.name = name;
        }
        for server in [holding, free] {
            load::wrk(server.http, false, "/", 64, 1, false)?;
        }
        for round in 0..plan.rounds {
            for turn in order(round, 2) {
                let (Some(server), Some(series)) = ([holding, free].get(turn).copied(), series.get_mut(turn)) else {
                    continue;
                };
                let before = server.cpu_nanos();
                let tally = load::wrk(server.http, false, "/", 64, plan.seconds, false)?;
                series.take(server.cpu_nanos() - before, &tally);
            }
        }
        let alive = held.alive();
        if let (Some(series), true) = (series.first_mut(), alive < count) {
            series.trouble = Some(format!("{} of {count} held connections were lost", count - alive));
        }
        Ok(series)
    }

    /// A contender that cannot be started (a binary that is not built yet) leaves the others standing.
    fn start_all(&self, start: impl Fn(Kind) -> Fallible<Server>) -> (Vec<Option<Server>>, Vec<Series>) {
        self.contenders
            .iter()
            .map(|kind| match start(*kind) {
                Ok(server) => (Some(server), named(kind.name())),
                Err(error) => (None, Series { trouble: Some(error.to_string()), ..named(kind.name()) }),
            })
            .unzip()
    }

    fn load(&self, server: &Server, seconds: u32) -> Fallible<Tally> {
        match self.work {
            Work::KeepAlive { tls, path, refused } => {
                load::wrk(if tls { server.https } else { server.http }, tls, path, 64, seconds, refused)
            }
            Work::Http2 => load::h2load(server.https, 8, 16, seconds),
            Work::Connections { attempt, concurrency } => {
                let to = if attempt == Attempt::Handshake { server.https } else { server.http };
                load::connections(attempt, to, concurrency, seconds)
            }
            Work::Idle { .. } | Work::Held { .. } | Work::Inspect(_) | Work::Database(_) | Work::Leaving(_) => {
                Err("measured in another way".into())
            }
        }
    }
}

/// Resident and proportional bytes for each of `count` connections.
fn idle_bytes(kind: Kind, count: usize, start: impl Fn(Kind) -> Fallible<Server>) -> Fallible<(f64, f64)> {
    let server = start(kind)?;
    sleep(Duration::from_millis(500));
    let before = server.memory();
    let held = Held::open(server.http, count)?;
    // Allocators give back what they free with a delay.
    sleep(Duration::from_secs(2));
    let after = server.memory();
    drop(held);
    let per = |after: u64, before: u64| as_float(after.saturating_sub(before)) / as_float(count as u64);
    Ok((per(after.resident, before.resident), per(after.proportional, before.proportional)))
}

pub(crate) fn named(name: &str) -> Series {
    Series { name: name.to_owned(), ..Series::default() }
}

/// Who comes when: each round begins with another, and every second runs backwards.
pub(crate) fn order(round: u32, count: usize) -> Vec<usize> {
    let mut turns: Vec<usize> = (0..count).collect();
    turns.rotate_left(round as usize % count.max(1));
    if round % 2 == 1 {
        turns.reverse();
    }
    turns
}

/// Exact below 2^53: nanoseconds of a hundred days.
fn as_float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_contender_has_its_turn_in_every_round_and_each_is_first_once() {
        let mut first = BTreeSet::new();
        for round in 0..6 {
            let mut turns = order(round, 3);
            first.extend(turns.first().copied());
            turns.sort_unstable();
            assert_eq!(turns, [0, 1, 2], "round {round}");
        }
        assert_eq!(first.len(), 3);
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = ALL.iter().map(|figure| figure.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
