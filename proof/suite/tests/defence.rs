//! What the gate does by itself: floods, crowds, challenges, and the operator who has the last word.
//!
//! Clients come through a trusted proxy on loopback, so that each request names the address that it comes from. What is
//! asserted is wide enough for a slow machine; the figures are recorded beside it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis_suite::{
    Browser, Gate, HOST, Next, Origin, Plan, Response, Wire, assert_accessible, eventually, figure, free_address,
    place, respond,
};
use serde_json::{Value, json};

const TRUST: &str = "[trusted_proxies]\nnetworks = [\"127.0.0.0/8\"]\n";

const ROUTES: &str = "session_cookie = \"session\"\n\
    [[platform.route]]\npath = \"/search\"\nclass = \"search\"\n\
    [[platform.route]]\npath = \"/static/**\"\nclass = \"asset\"\n\
    [[platform.route]]\npath = \"/donate\"\nclass = \"payment\"\n";

const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
];

/// Numbers that look like chance and are the same in each run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// One browser with an address of its own and a jar for cookies.
struct Person {
    address: Ipv4Addr,
    agent: &'static str,
    cookies: Vec<(String, String)>,
}

impl Person {
    fn new(address: u32, agent: usize) -> Self {
        Self { address: Ipv4Addr::from(address), agent: BROWSERS[agent % BROWSERS.len()], cookies: Vec::new() }
    }

    fn head(&self, path: &str, referer: Option<&str>, document: bool) -> String {
        let (accept, mode) = if document {
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "navigate")
        } else {
            ("image/avif,image/webp,*/*;q=0.8", "no-cors")
        };
        let (agent, address) = (self.agent, self.address);
        let mut head = format!(
            "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: {agent}\r\nAccept: {accept}\r\n\
             Accept-Language: de,en;q=0.7\r\nSec-Fetch-Mode: {mode}\r\nX-Forwarded-For: {address}\r\n"
        );
        if let Some(referer) = referer {
            head += &format!("Referer: http://{HOST}{referer}\r\n");
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            head += &format!("Cookie: {}\r\n", pairs.join("; "));
        }
        head + "\r\n"
    }

    /// Asks for a document and keeps what cookies come with it.
    fn open(&mut self, wire: &mut Wire, path: &str) -> Response {
        let response = wire.ask(self.head(path, None, true)).unwrap_or_else(|broken| panic!("{path}: {broken:?}"));
        self.keep(&response);
        response
    }

    fn keep(&mut self, response: &Response) {
        let set = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        for (_, value) in set {
            let (name, rest) = value.split_once('=').unwrap_or((value, ""));
            self.cookies.retain(|(known, _)| known != name);
            if !rest.contains("Max-Age=0") {
                let value = rest.split(';').next().unwrap_or_default();
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }
}

/// A platform that works on so many requests at once, each for its time.
fn platform(slots: usize, work: impl Fn(&str) -> Duration + Send + Sync + 'static) -> Origin {
    let free = Arc::new((Mutex::new(slots), Condvar::new()));
    Origin::start(move |seen, stream| {
        let (slots, changed) = &*free;
        let mut left = slots.lock().unwrap_or_else(PoisonError::into_inner);
        while *left == 0 {
            left = changed.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
        *left -= 1;
        drop(left);
        std::thread::sleep(work(seen.path()));
        *slots.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        changed.notify_one();
        respond(stream, 200, "Content-Type: text/html\r\n", b"<p>here you are</p>").map(|()| Next::Keep)
    })
}

/// What became of one request.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: Duration,
    /// 0 where nothing came in time.
    status: u16,
}

/// Threads that send until they are told to stop.
struct Senders {
    stop: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<Told>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Senders {
    fn new(count: u64, send: impl Fn(u64, &dyn Fn(u16) -> bool) + Send + Sync + 'static) -> Self {
        let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let send = Arc::new(send);
        let begun = Instant::now();
        let threads = (0..count)
            .map(|number| {
                let (stop, told, send) = (Arc::clone(&stop), Arc::clone(&told), Arc::clone(&send));
                std::thread::spawn(move || {
                    send(number, &|status| {
                        let at = begun.elapsed();
                        told.lock().unwrap_or_else(PoisonError::into_inner).push(Told { at, status });
                        !stop.load(Ordering::Relaxed)
                    });
                })
            })
            .collect();
        Self { stop, told, threads }
    }

    /// People who read pages with their images, four pages each, about six requests a second for each thread.
    fn people(gate: SocketAddr, count: u64) -> Self {
        let next = AtomicU64::new(0);
        Self::new(count, move |number, told| {
            let mut chance = Chance(number);
            let mut wire = Wire::plain(gate);
            loop {
                let person = next.fetch_add(1, Ordering::Relaxed);
                let mut person = Person::new(0xCB00_7100 ^ u32::try_from(person * 7).unwrap_or(0), person as usize);
                let mut before = None;
                for _ in 0..4 {
                    let page = match chance.below(8) {
                        0 => format!("/search?q=word{}", chance.below(50)),
                        other => format!("/page/{other}"),
                    };
                    let image = format!("/static/image-{}.png", chance.below(20));
                    let requests = [
                        person.head(&page, before.as_deref(), true),
                        person.head("/static/style.css", Some(&page), false),
                        person.head(&image, Some(&page), false),
                    ];
                    for request in requests {
                        let answer = wire.ask(request);
                        if let Ok(response) = &answer {
                            person.keep(response);
                        } else {
                            match Wire::try_plain(gate) {
                                Ok(again) => wire = again,
                                Err(_) => return,
                            }
                        }
                        if !told(answer.map_or(0, |response| response.status)) {
                            return;
                        }
                    }
                    before = Some(page);
                    std::thread::sleep(Duration::from_millis(300 + chance.below(300)));
                }
            }
        })
    }

    /// A botnet: one request from each address, agents that rotate, and nobody waits long for an answer.
    fn flood(gate: SocketAddr, count: u64, each: Duration, patience: Duration) -> Self {
        Self::new(count, move |number, told| {
            let mut chance = Chance(number ^ 0xF10D);
            std::thread::sleep(each.mul_f64(chance.below(1000) as f64 / 1000.0));
            let mut wire = None;
            loop {
                let begun = Instant::now();
                let address = Ipv4Addr::from(0xC612_0000 | u32::try_from(chance.below(1 << 17)).unwrap_or(0));
                let agent = BROWSERS[chance.below(4) as usize];
                let request = format!(
                    "GET /search?q={:016x} HTTP/1.1\r\nX-Forwarded-For: {address}\r\nAccept: */*\r\n\
                     User-Agent: {agent}\r\nHost: {HOST}\r\n\r\n",
                    chance.next()
                );
                let mut open: Wire = match wire.take().map_or_else(|| Wire::try_plain(gate), Ok) {
                    Ok(open) => open,
                    Err(_) if told(0) => continue,
                    Err(_) => return,
                };
                open.patience(patience);
                let status = open.ask(request).map_or(0, |response| response.status);
                wire = (status != 0).then_some(open);
                if !told(status) {
                    return;
                }
                std::thread::sleep(each.saturating_sub(begun.elapsed()));
            }
        })
    }

    fn count(&self, from: Duration, wanted: impl Fn(u16) -> bool) -> (usize, usize) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let late: Vec<u16> = told.iter().filter(|told| told.at >= from).map(|told| told.status).collect();
        (late.iter().filter(|status| wanted(**status)).count(), late.len())
    }

    fn stop(mut self) -> Vec<Told> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a sender ends well");
        }
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Senders {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn operate(gate: &Gate, arguments: &[&str]) -> portcullis_suite::Output {
    let config = gate.config().to_string_lossy().into_owned();
    gate.command(&[arguments, &["--config", &config]].concat())
}

fn asked(gate: &Gate, arguments: &[&str]) -> Value {
    let output = operate(gate, &[arguments, &["--json"]].concat());
    assert!(output.success, "{arguments:?}: {} {}", output.stdout, output.stderr);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", output.stdout))
}

fn acts(gate: &Gate, kind: &str) -> Vec<Value> {
    let records = gate.journal().records();
    records.into_iter().filter(|record| record["act"]["kind"] == kind).map(|record| record["act"].clone()).collect()
}

#[test]
fn a_flood_from_many_addresses_gets_a_rule_and_people_do_not_notice() {
    // Eight at once; a search takes 20 ms, so 400 of them a second are all that it can do.
    let origin = platform(8, |path| Duration::from_millis(if path == "/search" { 20 } else { 2 }));
    let accounts = place("defence-flood-accounts");
    let console = format!("[console]\nlisten = \"{}\"\ndirectory = {accounts:?}\n", free_address());
    let gate = Plan::new("defence-flood").table(&format!("{TRUST}{console}"));
    let gate = gate.upstream(&[origin.url()], ROUTES).log("sample = 0").start();
    let people = Senders::people(gate.http(), 20);
    let ready = || asked(&gate, &["status"]).to_string().contains("\"ready\":true");
    assert!(eventually(Duration::from_secs(150), ready), "{}", asked(&gate, &["status"]));
    origin.forget();
    // What rate and contrast need on top: a minute since the first request.
    std::thread::sleep(Duration::from_secs(5));
    let (calm, of) = people.count(Duration::ZERO, |status| status != 200);
    assert_eq!(calm, 0, "of {of} requests in calm");
    assert!(acts(&gate, "rule-enforced").is_empty(), "people alone are no attack");

    let begun = Instant::now();
    let already =
        people.told.lock().unwrap_or_else(PoisonError::into_inner).last().map_or(Duration::ZERO, |told| told.at);
    let flood = Senders::flood(gate.http(), 160, Duration::from_millis(200), Duration::from_millis(400));
    let enforced = || gate.metrics().sum("portcullis_acts_total", &[("kind", "rule-enforced")]) >= 1.0;
    let found = eventually(Duration::from_secs(30), enforced);
    let took = begun.elapsed();
    assert!(found, "no rule in {took:?}: {}", asked(&gate, &["status"]));
    std::thread::sleep(Duration::from_secs(6));
    let settled = took + Duration::from_secs(2);
    let (hurt, visits) = people.count(already + settled, |status| status != 200);
    let (through, attacks) = flood.count(settled, |status| status == 200);
    let rules = asked(&gate, &["rules", "list"]);
    figure("defence: seconds until a rule, real sockets", took.as_secs_f64(), "s");
    figure("defence: visits refused during the flood", hurt as f64 / visits.max(1) as f64, "share");
    figure("defence: flood let through", through as f64 / attacks.max(1) as f64, "share");
    assert!(attacks > 200 && visits > 50, "{attacks} attacks, {visits} visits");
    assert!(hurt * 50 <= visits, "{hurt} of {visits} visits were hurt: {rules}");
    assert!(through * 4 <= attacks, "{through} of {attacks} came through: {rules}");

    // The operator has the last word, and both are told.
    let enforced = acts(&gate, "rule-enforced");
    let rule = enforced.first().and_then(|act| act["rule"].as_str()).expect("it is in the log").to_owned();
    let explained = operate(&gate, &["explain", &rule]);
    assert!(explained.success && explained.stdout.contains(&rule), "{} {}", explained.stdout, explained.stderr);
    let by = match Browser::start("an operator in a flood", gate.place(), "") {
        Some(browser) => {
            undo_in_a_browser(browser, &gate, &rule);
            "Ane"
        }
        None => {
            let undone = operate(&gate, &["rules", "undo", &rule]);
            assert!(undone.success, "{} {}", undone.stdout, undone.stderr);
            "operator ("
        }
    };
    let of = |act: &Value| act["rule"] == *rule && act["by"].as_str().is_some_and(|who| who.starts_with(by));
    let told = || acts(&gate, "rule-undone").iter().any(of);
    assert!(eventually(Duration::from_secs(5), told), "{:?}", acts(&gate, "rule-undone"));
    let listed = asked(&gate, &["rules", "list"]);
    let rules = listed[0]["rules"].as_array().cloned().unwrap_or_default();
    assert!(rules.iter().all(|known| known["id"] != *rule || known["phase"] == "undone"), "{listed}");
    let (_, came) = flood.count(Duration::ZERO, |_| true);
    assert!(eventually(Duration::from_secs(5), || flood.count(Duration::ZERO, |_| true).1 > came), "the flood went on");
    flood.stop();
    people.stop();
    let metrics = gate.metrics();
    assert!(metrics.sum("portcullis_panics_total", &[]) < 1.0, "{}", gate.said());
    assert!(metrics.sum("portcullis_brain_restarts_total", &[]) < 1.0, "{}", gate.said());
}

/// Somebody whose duty begins now opens the console, finds the rule on the first screen, and undoes it by keys.
fn undo_in_a_browser(mut browser: Browser, gate: &Gate, rule: &str) {
    let patience = Duration::from_secs(60);
    let link = operate(gate, &["console", "link", "--role", "operator"]);
    assert!(link.success, "{}", link.stderr);
    browser.sign_up(link.stdout.trim(), "Ane", "heron lantern gravel soup");
    let begun = Instant::now();
    let words = "it.innerText.replace(/\\s+/g, ' ').trim()";
    let undo = format!("it.checkVisibility() && {words} === 'Undo {rule}'");
    browser.enter(&format!("[...document.querySelectorAll('button')].find(it => {undo})"), patience);
    browser.enter("document.querySelector('main .ask[role=group] button')", patience);
    browser.until("document.querySelector('main .ask[role=group]') === null", patience);
    figure("defence: an operator undoes a rule in a flood, in a browser", begun.elapsed().as_secs_f64(), "s");
}

#[test]
fn in_observe_mode_nobody_is_touched() {
    let origin = platform(4, |_| Duration::from_millis(20));
    let routes = "[[platform.route]]\npath = \"/shown\"\nchallenge = \"echo\"\n";
    let gate = |name: &str, mode: &str| {
        let defence = format!("{TRUST}\n[defence]\nmode = \"{mode}\"\n");
        Plan::new(name).table(&defence).upstream(&[origin.url()], routes).start()
    };
    let (watching, acting) = (gate("defence-observe", "observe"), gate("defence-enforce", "enforce"));
    let visit = |gate: &Gate| {
        let mut person = Person::new(0xCB00_7101, 0);
        person.open(&mut Wire::plain(gate.http()), "/shown")
    };
    let seen = visit(&watching);
    assert_eq!(seen.status, 200);
    assert!(seen.header("set-cookie").is_none(), "{seen:?}");
    assert_eq!(visit(&acting).status, 503, "its twin that acts asks first");

    // More at once than can wait two seconds for their turn; fewer would all be served, one after the other.
    for (gate, touched) in [(&watching, false), (&acting, true)] {
        let flood = Senders::flood(gate.http(), 700, Duration::from_millis(200), Duration::from_secs(5));
        let shed = || gate.metrics().refused("overloaded") + gate.metrics().refused("waiting-room") > 0.0;
        let was = eventually(Duration::from_secs(if touched { 30 } else { 8 }), shed);
        flood.stop();
        assert_eq!(was, touched, "{:?}", gate.metrics().reasons());
    }
    assert!(
        watching.metrics().reasons().iter().all(|(reason, _)| reason == "client-closed"),
        "{:?}",
        watching.metrics().reasons()
    );
}

#[test]
fn a_challenge_that_is_declared_is_passed_once_and_kept() {
    let origin = Origin::echo();
    let state = place("defence-state");
    let table = format!("{TRUST}\n[defence]\nstate = {state:?}\n");
    let routes = "[[platform.route]]\npath = \"/petition\"\nclass = \"form\"\nchallenge = \"echo\"\n";
    let mut gate = Plan::new("defence-challenge").table(&table).upstream(&[origin.url()], routes).start();
    let mut person = Person::new(0xCB00_7101, 0);
    person.cookies.push(("session".to_owned(), "mine".to_owned()));
    let mut wire = Wire::plain(gate.http());
    let first = person.open(&mut wire, "/petition?a=1");
    assert_eq!(first.status, 503, "{}", first.text());
    assert!(first.header("cache-control").is_some_and(|value| value.contains("no-store")));
    assert!(first.text().contains("http-equiv=\"refresh\""), "{}", first.text());
    assert_eq!(origin.take().len(), 0, "the platform does not hear of it");
    // Not a navigation: never a page, never a challenge.
    let quiet = wire.ask(person.head("/petition", Some("/"), false)).expect("an answer");
    assert_eq!(quiet.status, 200);
    let passed = person.open(&mut wire, "/petition?a=1");
    assert_eq!((passed.status, passed.header("location")), (303, Some("/petition?a=1")));
    assert_eq!(person.open(&mut wire, "/petition?a=1").status, 200);
    assert!(gate.metrics().sum("portcullis_challenges_passed_total", &[]) >= 1.0);
    for seen in origin.take() {
        assert_eq!(seen.header("cookie"), Some("session=mine"), "the gate's own cookies stay with the gate");
    }
    // The token is worth nothing in another browser, and outlives the process.
    let mut other = Person::new(0xCB00_7101, 1);
    other.cookies.clone_from(&person.cookies);
    assert_eq!(other.open(&mut wire, "/petition").status, 503);
    let mut before = gate.takeover();
    assert!(before.wait(Duration::from_secs(15)).is_some());
    assert_eq!(person.open(&mut Wire::plain(gate.http()), "/petition").status, 200);
    // Somebody with a token that is not ours.
    person.cookies.retain(|(name, _)| name != "portcullis");
    person.cookies.push(("portcullis".to_owned(), "A".repeat(54)));
    assert_eq!(person.open(&mut Wire::plain(gate.http()), "/petition").status, 503);
}

#[test]
fn whom_the_organisation_vouches_for_is_not_asked() {
    let origin = Origin::echo();
    let table = format!(
        "{TRUST}\n[[vouched]]\nname = \"newsroom\"\nkind = \"staff\"\nnetworks = [\"198.51.100.0/24\"]\n\
         [[vouched]]\nname = \"agency\"\nkind = \"partner\"\n\
         api_key_sha256 = \"d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7\"\n\
         [[vouched]]\nname = \"crawler\"\nkind = \"crawler\"\nnetworks = [\"192.0.2.0/24\"]\nagent = \"Firefox\"\n"
    );
    let routes = "api_key_header = \"x-api-key\"\n\
                  [[platform.route]]\npath = \"/**\"\nchallenge = \"echo\"\n\
                  [[platform.route]]\npath = \"/open\"\nchallenge = \"never\"\n";
    let gate = Plan::new("defence-vouched").table(&table).upstream(&[origin.url()], routes).start();
    let mut wire = Wire::plain(gate.http());
    let anybody = 0xCB00_7101;
    for (address, agent, key, path, expected) in [
        (anybody, 0, "", "/", 503),
        (anybody, 0, "", "/open", 200),
        (0xC633_6407, 0, "", "/", 200),
        (0xC633_6507, 0, "", "/", 503),
        (anybody, 0, "open-sesame", "/", 200),
        (anybody, 0, "open-sesam", "/", 503),
        (0xC000_0207, 0, "", "/", 200),
        // The network is right and the agent is not.
        (0xC000_0207, 1, "", "/", 503),
        (anybody, 0, "", "/", 503),
    ] {
        let head = Person::new(address, agent).head(path, None, true);
        let head = head.replace("\r\n\r\n", &format!("\r\nX-API-Key: {key}\r\n\r\n"));
        let response = wire.ask(head).expect("an answer");
        assert_eq!(response.status, expected, "{address:x} {agent} {key} {path}: {}", response.text());
    }
}

#[test]
fn what_gate_and_platform_tell_one_another_goes_no_further() {
    let origin = Origin::start(|_, stream| {
        let fields = "Content-Type: text/html\r\nX-Portcullis-Outcome: failed\r\nSet-Cookie: portcullis=forged\r\n\
                      Set-Cookie: session=1\r\nset-cookie: portcullis_place=forged; Path=/\r\n";
        respond(stream, 200, fields, b"said").map(|()| Next::Keep)
    });
    let gate = Plan::new("defence-words").table(TRUST).upstream(&[origin.url()], ROUTES).start();
    let mut wire = Wire::plain(gate.http());
    let ask = |wire: &mut Wire, path: &str, fields: &str| {
        wire.ask(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n")).expect("an answer")
    };
    let table = [
        ("", None),
        ("Cookie: a=1; b=portcullis\r\n", Some("a=1; b=portcullis")),
        ("Cookie: portcullis=x\r\n", None),
        ("Cookie: a=1; portcullis=x; portcullis_step=y; b=2\r\n", Some("a=1; b=2")),
    ];
    for (fields, expected) in table {
        let response = ask(&mut wire, "/a", fields);
        assert_eq!(response.status, 200);
        assert!(response.header("x-portcullis-outcome").is_none(), "{response:?}");
        let cookies = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        assert_eq!(cookies.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["session=1"]);
        let seen = origin.take();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].header("cookie"), expected, "{fields}");
    }
    // The gate's own paths are nobody else's, however they are spelt.
    for path in ["/.portcullis/", "/.portcullis/nothing", "/%2eportcullis/x", "/a/../.portcullis/x", "//.portcullis//x"]
    {
        let response = ask(&mut wire, path, "");
        assert_eq!(response.status, 404, "{path}");
    }
    assert_eq!(ask(&mut wire, "/.portcullis", "").status, 200, "but this is the platform's");
    assert_eq!(origin.take().len(), 1);
}

#[test]
fn what_an_operator_says_holds_and_is_told() {
    let origin = Origin::echo();
    let state = place("defence-said-state");
    let table = format!("[defence]\nstate = {state:?}\n");
    let mut gate = Plan::new("defence-said").table(&table).upstream(&[origin.url()], ROUTES).start();
    let posture = |gate: &Gate, posture: &str| {
        eventually(Duration::from_secs(5), || {
            gate.metrics().sum("portcullis_posture", &[("platform", "main"), ("posture", posture)]) >= 1.0
        })
    };
    assert!(posture(&gate, "normal"));
    assert!(operate(&gate, &["posture", "main", "elevated"]).success);
    assert!(posture(&gate, "elevated"), "{}", asked(&gate, &["status"]));
    assert_eq!(gate.get("/a").status, 200, "elevated touches nobody");
    assert!(operate(&gate, &["posture", "main", "auto"]).success);
    let added = operate(&gate, &["event", "add", "debate", "--from", "+1h", "--until", "+2h", "--platform", "main"]);
    assert!(added.success, "{} {}", added.stdout, added.stderr);
    for (wrong, expected) in [
        (&["rules", "undo", "r-7"][..], "no rule r-7"),
        (&["rules", "pin", "r-7"], "no rule r-7"),
        (&["posture", "elsewhere", "attack"], "elsewhere"),
        (&["event", "cancel", "another"], "another"),
    ] {
        let output = operate(&gate, wrong);
        assert!(!output.success && output.stderr.contains(expected), "{wrong:?}: {} {}", output.stdout, output.stderr);
    }
    // A reload and a new process know what was said.
    assert!(gate.reload().success);
    assert!(asked(&gate, &["event", "list"]).to_string().contains("debate"));
    let mut before = gate.takeover();
    assert!(before.wait(Duration::from_secs(15)).is_some());
    assert!(asked(&gate, &["event", "list"]).to_string().contains("debate"), "{}", gate.said());
    assert!(operate(&gate, &["event", "cancel", "debate"]).success);
    assert!(!asked(&gate, &["event", "list"]).to_string().contains("debate"));
    for kind in ["event-added", "event-cancelled"] {
        let told =
            || acts(&gate, kind).iter().any(|act| act["by"].as_str().is_some_and(|by| by.starts_with("operator (")));
        assert!(eventually(Duration::from_secs(5), told), "{kind}: {:?}", gate.journal().records());
    }
}

#[test]
fn what_was_learned_may_be_lost_but_not_the_service() {
    let origin = Origin::echo();
    let state = place("defence-spoilt-state");
    for (name, bytes) in [("keys", &b"short"[..]), ("brain", b"\xff\x00 not what was saved")] {
        std::fs::write(state.join(name), bytes).expect("it can be written");
    }
    let table = format!("[defence]\nstate = {state:?}\n");
    let gate = Plan::new("defence-spoilt").table(&table).upstream(&[origin.url()], "").start();
    assert_eq!(gate.get("/a").status, 200);
    let said = gate.said();
    assert!(said.contains("keys") && said.contains("learned"), "both are told: {said}");
}

/// More than four times as many visitors as a platform of eighty pages a second can serve, each one only once.
fn crowd(gate: SocketAddr) -> Senders {
    let next = AtomicU64::new(1);
    Senders::new(96, move |number, told| {
        let mut chance = Chance(number);
        let mut wire = Wire::plain(gate);
        loop {
            let person = next.fetch_add(1, Ordering::Relaxed);
            let person = Person::new(0x0A00_0000 + u32::try_from(person).unwrap_or(0), person as usize);
            wire.patience(Duration::from_secs(6));
            let answer = wire.ask(person.head("/page/1", None, true));
            if answer.is_err() {
                match Wire::try_plain(gate) {
                    Ok(again) => wire = again,
                    Err(_) => return,
                }
            }
            if !told(answer.map_or(0, |response| response.status)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(200 + chance.below(100)));
        }
    })
}

#[test]
fn a_crowd_waits_in_a_room_and_goes_in() {
    let origin = platform(4, |_| Duration::from_millis(50));
    let gate = Plan::new("defence-room").table(TRUST).upstream(&[origin.url()], ROUTES).log("sample = 0").start();
    let crowd = crowd(gate.http());
    let full = eventually(Duration::from_secs(40), || gate.metrics().refused("waiting-room") > 0.0);
    assert!(full, "{:?} {}", gate.metrics().reasons(), asked(&gate, &["status"]));
    // One of them keeps its place.
    let mut person = Person::new(0xCB00_7155, 0);
    let mut wire = Wire::plain(gate.http());
    let first = person.open(&mut wire, "/page/1");
    if first.status != 200 {
        assert_eq!(first.status, 503);
        assert!(first.text().contains("http-equiv=\"refresh\"") && first.header("retry-after").is_some(), "{first:?}");
        assert!(person.cookies.iter().any(|(name, _)| name == "portcullis_place"), "{first:?}");
    }
    crowd.stop();
    let inside = eventually(Duration::from_secs(60), || person.open(&mut wire, "/page/1").status == 200);
    assert!(inside, "{}", asked(&gate, &["status"]));
}

#[test]
fn the_waiting_room_needs_no_script_and_opens_by_itself() {
    let origin = platform(4, |_| Duration::from_millis(50));
    let gate = Plan::new("defence-room-browser").table(TRUST).upstream(&[origin.url()], ROUTES).start();
    let Some(mut browser) = Browser::start("the waiting room", gate.place(), &format!("MAP {HOST} 127.0.0.1")) else {
        return;
    };
    browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    let metrics = json!({ "width": 360, "height": 760, "deviceScaleFactor": 1, "mobile": true });
    browser.call("Emulation.setDeviceMetricsOverride", metrics);
    let crowd = crowd(gate.http());
    let full = eventually(Duration::from_secs(40), || gate.metrics().refused("waiting-room") > 0.0);
    assert!(full, "{:?} {}", gate.metrics().reasons(), asked(&gate, &["status"]));
    let url = format!("http://{HOST}:{}/page/1?q=a%20b", gate.http().port());
    // Now and then there is room at once.
    let waits = eventually(Duration::from_secs(40), || {
        browser.call("Network.clearBrowserCookies", json!({}));
        browser.open(&url);
        browser.text().contains("You are in the waiting room")
    });
    assert!(waits, "{} {}", browser.text(), asked(&gate, &["status"]));
    let tree = browser.tree();
    browser.picture(&gate.place().join("room.png"));
    assert_accessible(&tree, "You are in the waiting room");
    let status: String = browser.text();
    assert!(status.contains("It should take about"), "{status}");
    assert!(tree.iter().any(|node| node.role == "status" && node.live.as_deref() == Some("polite")), "{tree:?}");
    assert!(tree.iter().any(|node| node.role == "link" && node.name == "Look again now"), "{tree:?}");
    let layout = browser.call("Page.getLayoutMetrics", json!({}));
    assert!(layout["cssContentSize"]["width"].as_f64().is_some_and(|width| width <= 360.0), "{layout}");
    crowd.stop();
    // Nobody touches it, and the page that was asked for opens.
    assert!(browser.shows("here you are", Duration::from_secs(120)), "{} {}", browser.text(), gate.said());
    let asked = origin.take().into_iter().any(|seen| seen.target() == "/page/1?q=a%20b");
    assert!(asked, "the same page, query and all");
}
