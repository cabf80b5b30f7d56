//! The real thing: hosts with thousands of addresses, the gate, and an nginx of fixed capacity, each in a network
//! namespace of its own. People visit throughout; floods by real HTTP/1.1 and HTTP/2 clients come and go.
//!
//! Every flood is bounded in time and rate, stays inside the namespaces, and stops by itself. Figures go to
//! `target/suite/figures.jsonl`; what is asserted is what must hold on a slow machine, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use portcullis_suite::{Gate, HOST, Namespace, Nginx, Plan, Response, Running, Wire, figure, have};

/// What nginx serves in a second; half a second's worth waits, the rest gets 503.
const CAPACITY: u32 = 600;
/// People at a time: most at home with an address each, some on a campus behind one address.
const AT_HOME: u32 = 40;
const ON_CAMPUS: u32 = 8;
/// Addresses of the botnet, one for each new connection.
const BOTS: u32 = 16_384;
/// How long the gate gets to know what is normal.
const CALM: Duration = Duration::from_secs(70);
/// How long each flood lasts.
const FLOOD: Duration = Duration::from_secs(15);
/// Between the floods.
const PAUSE: Duration = Duration::from_secs(10);
/// The gate may be surprised for so long; what comes after is asserted.
const SURPRISE: Duration = Duration::from_secs(5);

const DAY: f64 = 86_400.0;

const GATE: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
const ORIGIN: Ipv4Addr = Ipv4Addr::new(10, 77, 4, 2);

/// First the canary: with everything observed and nothing done, the flood takes the platform. Then the same with the gate
/// acting: nobody is refused, people hardly notice, and the gate has told within seconds what it did.
#[test]
fn floods_from_thousands_of_addresses_do_not_reach_the_people() {
    let Some(undefended) = World::build("netns-observe", "observe") else { return };
    let told = undefended.play(false);
    println!("observed:\n{told}");
    drop(undefended);
    let (alone, leak) = (told.people("flood-h1"), told.leak("flood-h1"));
    // A machine that others use too does not bring the whole flood there; what people notice says it as well.
    let slower = alone.quantile(0.5) / told.people("calm").quantile(0.5);
    assert!(
        leak > 0.5 || slower > 10.0,
        "only {leak:.3} of the capacity was taken, and pages took {slower:.1} times as long: it would prove nothing"
    );

    let Some(world) = World::build("netns", "enforce") else { return };
    let told = world.play(true);
    println!("enforced:\n{told}");
    let calm = told.people("calm");
    assert_eq!(calm.failed, 0, "in calm nobody is refused: {calm:?}");
    figure("netns calm: p50", calm.quantile(0.5), "ms");
    figure("netns calm: p99", calm.quantile(0.99), "ms");
    figure("netns observed flood: p50", alone.quantile(0.5), "ms");
    figure("netns observed flood: p99", alone.quantile(0.99), "ms");
    for name in ["flood-h1", "flood-h2"] {
        let people = told.people(name);
        let ruled = world.first_rule_after(told.phase(name));
        figure(&format!("netns {name}: people refused"), people.share(people.failed), "share");
        figure(&format!("netns {name}: people challenged"), people.share(people.challenged), "share");
        figure(&format!("netns {name}: p50"), people.quantile(0.5), "ms");
        figure(&format!("netns {name}: p99"), people.quantile(0.99), "ms");
        figure(&format!("netns {name}: flood at the platform, of its capacity"), told.leak(name), "share");
        figure(&format!("netns {name}: time to a rule"), ruled.unwrap_or(f64::INFINITY), "s");
        assert!(people.visits > 50, "{name}: people came: {people:?}");
        assert!(people.share(people.failed) <= 0.01, "{name}: people are served: {people:?}");
        assert!(ruled.is_some_and(|after| after < SURPRISE.as_secs_f64()), "{name}: a rule came after {ruled:?} s");
        let (mine, theirs) = (people.quantile(0.5), alone.quantile(0.5));
        assert!(mine < theirs / 2.0, "{name}: a page takes {mine:.0} ms, undefended {theirs:.0} ms");
    }
}

/// The hosts and what runs on them. Dropped in order: processes before the namespaces that they live in.
struct World {
    gate: Gate,
    nginx: Nginx,
    homes: Namespace,
    lab: Namespace,
    bots: Namespace,
    place: std::path::PathBuf,
    _campus: Namespace,
    _hub: Namespace,
    _origin: Namespace,
}

impl World {
    fn build(name: &str, mode: &str) -> Option<Self> {
        let test = "floods in network namespaces";
        let tools = [("nft", "nftables"), ("wrk", "wrk"), ("h2load", "nghttp2-client")];
        if !tools.iter().all(|(program, package)| have(program, package, test)) {
            return None;
        }
        // Both tests run in one process: names and addresses are inside the namespaces, so they may be the same.
        let space = |role: &str| Namespace::new(&format!("{mode}-{role}"), test);
        let (hub, homes, campus) = (space("hub")?, space("homes")?, space("campus")?);
        let (lab, bots, origin) = (space("lab")?, space("bots")?, space("origin")?);
        homes.link("10.77.1.2/30", &hub, "10.77.1.1/30");
        bots.link("10.77.2.2/30", &hub, "10.77.2.1/30");
        campus.link("10.77.3.2/30", &hub, "10.77.3.1/30");
        origin.link("10.77.4.2/30", &hub, "10.77.4.1/30");
        lab.link("10.77.5.2/30", &campus, "10.77.5.1/30");
        // Every address of a pool is the host's own, without listing them.
        homes.ip("route add local 10.78.0.0/16 dev lo");
        lab.ip("route add local 10.79.0.0/16 dev lo");
        campus.ip("route add 10.79.0.0/16 via 10.77.5.2");
        hub.ip("route add 10.78.0.0/16 via 10.77.1.2");
        hub.ip("route add 10.80.0.0/14 via 10.77.2.2");
        for (host, via) in [(&homes, "10.77.1.1"), (&bots, "10.77.2.1"), (&campus, "10.77.3.1"), (&lab, "10.77.5.1")] {
            host.ip(&format!("route add default via {via}"));
        }
        let plan = Plan::new(name);
        let place = plan.place().to_owned();
        campus.inside(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")).ok()?;
        campus.nft(&rules(&place, "campus", "ip saddr 10.79.0.0/16 masquerade"));
        bots.nft(&rules(
            &place,
            "bots",
            &format!("oifname \"a1077{}\" snat to numgen inc mod {BOTS} map {{ {} }}", 22, pool()),
        ));

        let nginx = origin.inside(|| Nginx::limited(&place, test, SocketAddr::from((ORIGIN, 8080)), CAPACITY))?;
        let plan =
            plan.bind(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).table(&format!("[defence]\nmode = \"{mode}\"\n")).upstream(
                &[format!("http://{ORIGIN}:8080")],
                "[[platform.route]]\npath = \"/search\"\nclass = \"search\"\n\
                 [[platform.route]]\npath = \"/style.css\"\nclass = \"asset\"\n\
                 [[platform.route]]\npath = \"/app.js\"\nclass = \"asset\"\n",
            );
        let gate = hub.inside(|| plan.start());
        Some(Self { gate, nginx, homes, lab, bots, place, _campus: campus, _hub: hub, _origin: origin })
    }

    /// Calm, a flood over HTTP/1.1, a pause, a flood over HTTP/2 if asked for, a pause.
    fn play(&self, both: bool) -> Told {
        let stop = AtomicBool::new(false);
        let visits = Mutex::new(Vec::new());
        let mut phases = Vec::new();
        std::thread::scope(|scope| {
            for (space, count, network) in [(&self.homes, AT_HOME, 78), (&self.lab, ON_CAMPUS, 79)] {
                let (stop, visits) = (&stop, &visits);
                let port = self.gate.http().port();
                scope.spawn(move || {
                    space.inside(|| {
                        std::thread::scope(|people| {
                            for number in 0..count {
                                people.spawn(move || person(number, network, port, stop, visits));
                            }
                        });
                    });
                });
            }
            let mut phase = |name: &str, work: &mut dyn FnMut()| {
                let from = unix();
                work();
                phases.push((name.to_owned(), from, unix()));
            };
            // Observed, the baseline does not matter.
            let calm = if both { CALM } else { Duration::from_secs(5) };
            phase("calm", &mut || std::thread::sleep(calm));
            phase("flood-h1", &mut || self.flood_h1());
            if both {
                phase("pause", &mut || std::thread::sleep(PAUSE));
                phase("flood-h2", &mut || self.flood_h2());
                phase("after", &mut || std::thread::sleep(PAUSE));
            }
            stop.store(true, Ordering::Relaxed);
        });
        Told { phases, visits: visits.into_inner().expect("nobody panicked"), accesses: self.nginx.accesses() }
    }

    /// A new address for each request, another browser's name each time, a search that no cache has.
    fn flood_h1(&self) {
        let script = self.place.join("flood.lua");
        let lua = format!(
            "math.randomseed(os.time())\n\
             function delay() return 12 end\n\
             function request()\n\
               local n = math.random(1000000, 9999999)\n\
               return 'GET /search?q=' .. n .. ' HTTP/1.1\\r\\nHost: {HOST}\\r\\nUser-Agent: Mozilla/5.0 (Windows NT 10.0; rv:' .. n % 90 .. '.0) Gecko/' .. n\n\
                 .. '\\r\\nAccept: */*\\r\\nConnection: close\\r\\n\\r\\n'\n\
             end\n"
        );
        std::fs::write(&script, lua).expect("the script can be written");
        let mut wrk = self.bots.command("wrk");
        wrk.args(["-t1", "-c48", &format!("-d{}s", FLOOD.as_secs()), "--timeout", "2s", "-s"]).arg(&script);
        wrk.arg(format!("http://10.77.2.1:{}/search", self.gate.http().port()));
        self.run(wrk, "flood-h1.log");
    }

    /// Kept connections, several streams at once, one page.
    fn flood_h2(&self) {
        let mut h2load = self.bots.command("h2load");
        h2load.args(["-c32", "-m4", "--rps", "60", "-D", &FLOOD.as_secs().to_string()]);
        h2load.args(["-H", &format!(":authority: {HOST}"), "-H", "accept: text/html", "-H", "user-agent: Mozilla/5.0"]);
        h2load.arg(format!("http://10.77.2.1:{}/", self.gate.http().port()));
        self.run(h2load, "flood-h2.log");
    }

    fn run(&self, command: Command, log: &str) {
        let mut running = Running::start(command, &self.place.join(log));
        running.wait(FLOOD + Duration::from_secs(5));
    }

    /// Seconds from the beginning of a phase to the first rule that the gate enforced in it, as its log tells.
    fn first_rule_after(&self, (from, until): (f64, f64)) -> Option<f64> {
        let records = self.gate.journal().records();
        let enforced = records.iter().filter(|record| {
            let kind = record.get("act").and_then(|act| act.get("kind")).and_then(|kind| kind.as_str());
            matches!(kind, Some("rule-enforced" | "rule-rearmed"))
        });
        let times = enforced.filter_map(|record| seconds_of_day(record.get("t")?.as_str()?));
        let (begun, ended) = (from.rem_euclid(DAY), until.rem_euclid(DAY));
        // Over midnight, nothing is found and the test says so.
        times.filter(|at| *at >= begun && *at <= ended).map(|at| at - begun).next()
    }
}

/// What happened.
struct Told {
    phases: Vec<(String, f64, f64)>,
    visits: Vec<Visit>,
    accesses: Vec<(f64, String, u16)>,
}

/// One page that somebody asked for, with its challenges and its files.
struct Visit {
    at: f64,
    took: Duration,
    served: bool,
    challenged: bool,
}

#[derive(Default)]
struct People {
    visits: usize,
    failed: usize,
    challenged: usize,
    took: Vec<f64>,
}

impl People {
    fn share(&self, count: usize) -> f64 {
        count as f64 / self.visits.max(1) as f64
    }

    /// In milliseconds.
    fn quantile(&self, at: f64) -> f64 {
        let last = self.took.len().saturating_sub(1) as f64;
        self.took.get((last * at) as usize).copied().unwrap_or_default()
    }
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { visits, failed, challenged, .. } = self;
        let (p50, p99) = (self.quantile(0.5), self.quantile(0.99));
        write!(f, "{visits} pages, {failed} refused, {challenged} challenged, p50 {p50:.1} ms, p99 {p99:.1} ms")
    }
}

impl Told {
    fn phase(&self, name: &str) -> (f64, f64) {
        let found = self.phases.iter().find(|phase| phase.0 == name);
        found.map(|phase| (phase.1, phase.2)).unwrap_or_default()
    }

    fn people(&self, name: &str) -> People {
        let (from, until) = self.phase(name);
        let mut people = People::default();
        for visit in self.visits.iter().filter(|visit| visit.at >= from && visit.at < until) {
            people.visits += 1;
            people.failed += usize::from(!visit.served);
            people.challenged += usize::from(visit.challenged);
            people.took.push(visit.took.as_secs_f64() * 1e3);
        }
        people.took.sort_by(f64::total_cmp);
        people
    }

    /// Of the first seconds' rate of the flood at the platform, what still came later. The flood's own rate does not
    /// fall: its clients are told how fast to ask.
    fn leak(&self, name: &str) -> f64 {
        let (from, until) = self.phase(name);
        let settled = from + SURPRISE.as_secs_f64();
        let bots = self.accesses.iter().filter(|access| is_bot(&access.1) && access.0 >= settled && access.0 < until);
        let per_second = bots.count() as f64 / (until - settled).max(1.0);
        // What a platform of this capacity would have been sent, were nothing done.
        per_second / f64::from(CAPACITY)
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, from, until) in &self.phases {
            let people = self.people(name);
            let (p50, p99) = (people.quantile(0.5), people.quantile(0.99));
            let mut line = format!("{name:9} {:4.0} s  pages {:5}", until - from, people.visits);
            write!(
                line,
                "  refused {:3}  challenged {:3}  p50 {p50:6.1} ms  p99 {p99:6.1} ms",
                people.failed, people.challenged
            )?;
            let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
            for access in
                self.accesses.iter().filter(|access| is_bot(&access.1) && access.0 >= *from && access.0 < *until)
            {
                *seconds.entry((access.0 - from) as u64).or_default() += 1;
            }
            writeln!(f, "{line}  flood at the platform by second {:?}", seconds.values().collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

/// Somebody who reads: a page, its files, a thought, the next page.
fn person(number: u32, network: u8, port: u16, stop: &AtomicBool, visits: &Mutex<Vec<Visit>>) {
    let mut chance = u64::from(number) * 7919 + u64::from(network);
    let mut draw = |below: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % below
    };
    // People do not arrive all at once.
    std::thread::sleep(Duration::from_millis(draw(2000)));
    while !stop.load(Ordering::Relaxed) {
        let low = u8::try_from(1 + draw(250)).unwrap_or(1);
        let source = Ipv4Addr::new(10, network, u8::try_from(number).unwrap_or(0), low);
        let mut reader = Reader {
            source: source.into(),
            gate: SocketAddr::from((GATE, port)),
            wire: None,
            cookies: BTreeMap::new(),
        };
        for page in 0..=draw(5) {
            let path = match draw(4) {
                0 => format!("/search?q={}", ["harbour", "budget", "volunteer", "ferry"][draw(4) as usize]),
                1 => "/news".to_owned(),
                2 => "/join".to_owned(),
                _ => "/".to_owned(),
            };
            let (at, begun) = (unix(), Instant::now());
            let (served, challenged) = reader.visit(&path, page > 0);
            let visit = Visit { at, took: begun.elapsed(), served, challenged };
            visits.lock().expect("nobody panics here").push(visit);
            std::thread::sleep(Duration::from_millis(400 + draw(800)));
            if stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// A browser, as far as it matters here: keeps a connection and cookies, follows a refresh, fetches what pages need.
struct Reader {
    source: IpAddr,
    gate: SocketAddr,
    wire: Option<Wire>,
    cookies: BTreeMap<String, String>,
}

impl Reader {
    /// Whether the page came, and whether a challenge came before it.
    fn visit(&mut self, path: &str, came_from_us: bool) -> (bool, bool) {
        let mut challenged = false;
        for _ in 0..4 {
            let Some(response) = self.ask(path, true, came_from_us) else { return (false, challenged) };
            if response.status == 200 {
                let fetched =
                    ["/style.css", "/app.js"].map(|file| self.ask(file, false, true).is_some_and(|r| r.status == 200));
                return (fetched == [true; 2], challenged);
            }
            // A browser follows `Refresh`, in the header or in the page.
            let Some(wait) = refresh(&response) else { return (false, challenged) };
            challenged = true;
            std::thread::sleep(wait.min(Duration::from_secs(5)));
        }
        (false, challenged)
    }

    fn ask(&mut self, path: &str, page: bool, came_from_us: bool) -> Option<Response> {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n");
        request += "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n";
        request += if page { "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n" } else { "Accept: */*\r\n" };
        request += "Accept-Language: en-GB,en;q=0.5\r\n";
        if came_from_us {
            write!(request, "Referer: http://{HOST}/\r\n").ok()?;
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            write!(request, "Cookie: {}\r\n", pairs.join("; ")).ok()?;
        }
        request += if page { "Upgrade-Insecure-Requests: 1\r\n\r\n" } else { "\r\n" };
        for fresh in [false, true] {
            if fresh || self.wire.is_none() {
                self.wire = Some(Wire::plain_from(self.source, self.gate).ok()?);
            }
            if let Some(Ok(response)) = self.wire.as_mut().map(|wire| wire.ask(&request)) {
                self.keep_cookies(&response);
                if response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                    self.wire = None;
                }
                return Some(response);
            }
        }
        self.wire = None;
        None
    }

    fn keep_cookies(&mut self, response: &Response) {
        for (name, value) in &response.headers {
            if name.eq_ignore_ascii_case("set-cookie")
                && let Some((name, value)) = value.split(';').next().and_then(|pair| pair.split_once('='))
            {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }
}

/// After how long a page asks to be loaded again.
fn refresh(response: &Response) -> Option<Duration> {
    let seconds = |text: &str| text.split(';').next()?.trim().parse().ok().map(Duration::from_secs);
    if let Some(wait) = response.header("refresh").and_then(seconds) {
        return Some(wait);
    }
    let text = response.text();
    let (_, behind) = text.split_once("http-equiv=\"refresh\" content=\"")?;
    seconds(behind.split('"').next()?)
}

fn is_bot(address: &str) -> bool {
    address
        .parse::<Ipv4Addr>()
        .is_ok_and(|address| address.octets()[0] == 10 && (80..84).contains(&address.octets()[1]))
}

/// The addresses of the botnet, as a map of nftables.
fn pool() -> String {
    let first = u32::from(Ipv4Addr::new(10, 80, 0, 1));
    let address = |number: u32| Ipv4Addr::from(first + number * 16);
    (0..BOTS).map(|number| format!("{number} : {}", address(number))).collect::<Vec<_>>().join(", ")
}

fn rules(place: &Path, name: &str, rule: &str) -> std::path::PathBuf {
    let file = place.join(format!("{name}.nft"));
    let text =
        format!("table ip nat {{\n chain post {{\n  type nat hook postrouting priority 100\n  {rule}\n }}\n}}\n");
    std::fs::write(&file, text).expect("the rules can be written");
    file
}

/// Seconds since midnight of `2026-11-22T03:28:16.518Z`.
fn seconds_of_day(time: &str) -> Option<f64> {
    let clock = time.split_once('T')?.1.trim_end_matches('Z');
    clock.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))
}

fn unix() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
