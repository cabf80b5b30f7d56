//! The console of a gate that runs: getting in, acting, and what is left of it while visitors hold every worker.
//!
//! Figures are recorded; what is asserted holds on a slow machine too.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_suite::{
    Axe, Browser, Gate, HOST, Next, Origin, Plan, Python, Response, Wire, eventually, figure, free_address, place,
    respond, run,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "heron lantern gravel soup";

/// A gate with a console, and where that is.
fn gate(name: &str, origin: &Origin, more: &str) -> (Gate, SocketAddr, PathBuf) {
    let state = place(&format!("{name}-state"));
    let at = free_address();
    let plan = Plan::new(name)
        .table(&format!("[defence]\nstate = {state:?}\n[console]\nlisten = \"{at}\"\n"))
        .upstream(&[origin.url()], more);
    (plan.start(), at, state)
}

/// Somebody's browser, as far as the API can tell.
#[derive(Clone)]
struct Operator {
    at: SocketAddr,
    cookie: String,
    csrf: String,
}

impl Operator {
    /// By a link that `portcullis console link` prints.
    fn enter(gate: &Gate, at: SocketAddr, name: &str, role: &str) -> Self {
        let link = gate.command(&["console", "link", "--config", "gate.toml", "--role", role]);
        assert!(link.success, "{} {}", link.stdout, link.stderr);
        let (url, secret) = link.stdout.trim().split_once("/welcome#").expect("a link");
        assert_eq!(url, format!("http://localhost:{}", at.port()));
        let sent = json!({"link": secret, "name": name, "password": PASSWORD});
        Self::entered(at, &post(at, "/api/v1/welcome", "", &sent))
    }

    fn entered(at: SocketAddr, response: &Response) -> Self {
        assert_eq!(response.status, 200, "{}", response.text());
        let cookie = response.header("set-cookie").and_then(|it| it.split(';').next()).expect("a cookie").to_owned();
        let csrf = response.json()["csrf"].as_str().expect("a session has one").to_owned();
        Self { at, cookie, csrf }
    }

    fn get(&self, path: &str) -> Response {
        let cookie = &self.cookie;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\n\r\n", self.at);
        Wire::plain(self.at).ask(request).unwrap_or_else(|broken| panic!("{path}: {broken:?}"))
    }

    fn post(&self, path: &str, sent: &Value) -> Response {
        post(self.at, path, &format!("Cookie: {}\r\nX-Portcullis-Csrf: {}\r\n", self.cookie, self.csrf), sent)
    }

    /// Opens the live stream.
    fn watch(&self, last: Option<&str>) -> Wire {
        let mut wire = Wire::plain(self.at);
        let last = last.map_or_else(String::new, |last| format!("Last-Event-ID: {last}\r\n"));
        let (at, cookie) = (self.at, &self.cookie);
        wire.send(format!("GET /api/v1/live HTTP/1.1\r\nHost: {at}\r\nCookie: {cookie}\r\n{last}\r\n")).expect("sent");
        let (status, _) = wire.head().expect("an answer");
        assert_eq!(status, 200);
        wire
    }
}

fn post(at: SocketAddr, path: &str, headers: &str, sent: &Value) -> Response {
    let body = sent.to_string();
    let method = if path.ends_with("/posture") { "PUT" } else { "POST" };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Wire::plain(at).ask(request).unwrap_or_else(|broken| panic!("{path}: {broken:?}"))
}

/// Reads a stream until it holds these words.
fn until(wire: &mut Wire, words: &str) -> String {
    let mut text = String::new();
    while !text.contains(words) {
        let more = wire.some().unwrap_or_else(|broken| panic!("{broken:?} after {text}"));
        text.push_str(&String::from_utf8_lossy(&more));
    }
    text
}

fn records(state: &Path, kind: &str) -> Vec<Value> {
    let evidence = state.join("evidence");
    let binary = Gate::binary().display().to_string();
    let shown = run(binary, &["ledger", "show", evidence.to_str().expect("text"), "--json", "--kind", kind], PATIENCE);
    let lines = shown.stdout.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.map(|record: Value| record["event"].clone()).collect()
}

#[test]
fn who_gets_in_acts_under_a_name_and_is_on_record() {
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep));
    let (gate, at, state) = gate("console-enter", &origin, "");
    let (ane, vi) = (Operator::enter(&gate, at, "Ane", "operator"), Operator::enter(&gate, at, "Vi", "viewer"));
    let seen = || eventually(PATIENCE, || ane.get("/api/v1/now").status == 200);
    assert!(seen());
    let now = ane.get("/api/v1/now").json();
    assert_eq!((&now["platforms"][0]["name"], &now["node"]), (&json!("main"), &json!("suite")), "{now}");

    // The viewer looks on as the operator acts.
    let mut stream = vi.watch(None);
    assert_eq!(vi.post("/api/v1/platforms/main/posture", &json!({"posture": "attack"})).status, 403);
    let held = ane.post("/api/v1/platforms/main/posture", &json!({"posture": "attack"}));
    assert_eq!(held.status, 200, "{}", held.text());
    let told = until(&mut stream, "An operator holds main in attack");
    assert!(told.contains("\"by\":\"Ane\""), "{told}");
    until(&mut stream, "\"posture\":\"attack\"");

    let wrong = post(at, "/api/v1/session", "", &json!({"name": "Ane", "password": "wrong wrong wrong"}));
    assert_eq!(wrong.status, 401);
    let logins = || records(&state, "login");
    let good = |good: bool| logins().iter().any(|login| login["who"] == "Ane" && login["good"] == good);
    assert!(eventually(PATIENCE, || good(true) && good(false)), "{:?}", logins());
    let acts = records(&state, "act");
    assert!(acts.iter().any(|act| act["what"] == "posture" && act["by"] == "Ane"), "{acts:?}");

    // Whoever was signed in is so with the process that takes over, and the stream goes on.
    let mut gate = gate;
    let mut before = gate.takeover();
    assert!(before.wait(PATIENCE).is_some());
    let answers = || Wire::try_plain(at).is_ok() && ane.get("/api/v1/now").status == 200;
    assert!(eventually(PATIENCE, answers), "{}", gate.said());
    let later = until(&mut ane.watch(Some("1")), "event: now");
    assert!(later.contains("\"posture\":\"attack\""), "{later}");
}

#[test]
fn a_flood_leaves_the_console_its_own_room() {
    // One at a time for 5 ms each are 200 a second; what comes is many times that.
    let slots = Arc::new(std::sync::Mutex::new(()));
    let origin = Origin::start(move |_, stream| {
        let held = slots.lock();
        std::thread::sleep(Duration::from_millis(5));
        drop(held);
        respond(stream, 200, "", b"found").map(|()| Next::Keep)
    });
    let (gate, at, _) = gate("console-flood", &origin, "");
    let ane = Operator::enter(&gate, at, "Ane", "operator");
    assert!(eventually(PATIENCE, || ane.get("/api/v1/now").status == 200));
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let http = gate.http();
    let flood: Vec<_> = (0..48)
        .map(|number| {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            std::thread::spawn(move || {
                let request = format!("GET /search?{number} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut wire) = Wire::try_plain(http) else { continue };
                    while !stop.load(Ordering::Relaxed) && wire.ask(&request).is_ok() {
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_secs(2));
    let begun = Instant::now();
    let before = sent.load(Ordering::Relaxed);
    let mut took = Vec::new();
    for number in 0..200 {
        let asked = Instant::now();
        let response = if number % 20 == 19 {
            ane.post("/api/v1/platforms/main/posture", &json!({"posture": "overload"}))
        } else {
            ane.get("/api/v1/now")
        };
        assert_eq!(response.status, 200, "{}", response.text());
        took.push(asked.elapsed().as_secs_f64() * 1_000.0);
        std::thread::sleep(Duration::from_millis(15));
    }
    let rate = (sent.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    flood.into_iter().for_each(|thread| thread.join().expect("no panic"));
    took.sort_by(f64::total_cmp);
    figure("console: requests a second of the flood that were answered", rate, "1/s");
    figure("console: an answer during a flood, p50", took[took.len() / 2], "ms");
    figure("console: an answer during a flood, p99", took[took.len() * 99 / 100], "ms");
    assert!(rate > 0.0 && took.iter().all(|millis| *millis < 10_000.0), "{took:?}");
}

#[test]
fn fifty_open_screens_cost_little_and_see_the_same() {
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep));
    let (gate, at, _) = gate("console-screens", &origin, "");
    let ane = Operator::enter(&gate, at, "Ane", "viewer");
    let mut screens: Vec<Wire> = (0..50).map(|_| ane.watch(None)).collect();
    for screen in &mut screens {
        until(screen, "event: now");
    }
    let busy = || cpu(&gate);
    let (before, begun) = (busy(), Instant::now());
    while begun.elapsed() < Duration::from_secs(10) {
        // Whoever does not read is no screen.
        screens.iter_mut().for_each(|screen| drop(until(screen, "event: now")));
    }
    let share = (busy() - before) * 100.0 / begun.elapsed().as_secs_f64();
    figure("console: fifty open screens, of one core", share, "%");
    assert!(share > 0.0, "the thread was found");
    until(&mut ane.watch(None), "event: now");
}

/// Seconds of CPU of the console's threads, by the scheduler's own count.
fn cpu(gate: &Gate) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", gate.id())).expect("it runs");
    let own = tasks.filter_map(|task| {
        let task = task.ok()?.path();
        let name = std::fs::read_to_string(task.join("comm")).ok()?;
        name.starts_with("console").then(|| std::fs::read_to_string(task.join("schedstat")).ok())?
    });
    let nanos = own.filter_map(|stat| stat.split_whitespace().next()?.parse::<f64>().ok());
    nanos.sum::<f64>() / 1e9
}

/// The views, with a word that each shows.
const VIEWS: [(&str, &str); 8] = [
    ("/", "Now"),
    ("/traffic", "Traffic"),
    ("/incidents", "Incidents"),
    ("/data", "Data"),
    ("/integrity", "Integrity"),
    ("/rules", "Rules"),
    ("/rehearse", "Rehearse"),
    ("/settings", "Settings"),
];

#[test]
fn a_newcomer_gets_in_by_keyboard_and_every_view_is_for_everybody() {
    let test = "console-pages";
    let (Some(axe), place) = (Axe::new(test), place("console-pages-browser")) else { return };
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep));
    let (gate, at, _) = gate(test, &origin, "");
    let Some(mut browser) = Browser::start(test, &place, "") else { return };
    let link = gate.command(&["console", "link", "--config", "gate.toml"]);
    assert!(link.success, "{}", link.stderr);
    browser.open(link.stdout.trim());
    let asks = "document.querySelector('#name') !== null";
    assert!(eventually(PATIENCE, || browser.evaluate(asks) == json!(true)), "{}", browser.text());
    // The secret of the link is in no history.
    assert_eq!(browser.evaluate("location.href"), json!(format!("http://localhost:{}/welcome", at.port())));
    browser.evaluate("document.querySelector('#name').focus()");
    browser.call("Input.insertText", json!({"text": "Ane"}));
    browser.press("Tab");
    browser.call("Input.insertText", json!({"text": PASSWORD}));
    assert_eq!(axe.violations(&mut browser), [""; 0]);
    browser.press("Enter");
    let entered = "fetch('/api/v1/session').then(r => r.json()).then(s => s.person && s.person.name)";
    let signed_in = eventually(PATIENCE, || browser.evaluate(entered) == json!("Ane"));
    assert!(signed_in, "{}", browser.text());

    let mut found = Vec::new();
    for (width, height, scheme) in [(1440, 900, "light"), (360, 740, "dark")] {
        browser.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}),
        );
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        browser.call("Emulation.setEmulatedMedia", json!({"features": features}));
        for (path, word) in VIEWS {
            browser.open(&format!("http://localhost:{}{path}", at.port()));
            let shown = format!(
                "document.body.innerText.includes({word:?}) && !document.body.innerText.includes('One moment')"
            );
            let complete = eventually(PATIENCE, || browser.evaluate(&shown) == json!(true));
            assert!(complete, "{path}: {}", browser.text());
            let name = path.trim_start_matches('/');
            let name = if name.is_empty() { "now" } else { name };
            browser.picture(&place.join(format!("{name}-{width}-{scheme}.png")));
            let over = browser.evaluate("document.documentElement.scrollWidth - innerWidth");
            if over.as_f64().is_some_and(|over| over > 0.0) {
                found.push(format!("{path} at {width}: {over} pixels too wide"));
            }
            found.extend(axe.violations(&mut browser).into_iter().map(|it| format!("{path} at {width}: {it}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn schemathesis_finds_no_answer_that_the_document_does_not_have() {
    let test = "console-document";
    let Some(python) = Python::new(test) else { return };
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep));
    let (gate, at, _) = gate(test, &origin, "");
    let ane = Operator::enter(&gate, at, "Ane", "owner");
    let made = ane.post("/api/v1/tokens", &json!({"name": "asked anything", "role": "owner", "days": 1})).json();
    let token = format!("Authorization: Bearer {}", made["secret"].as_str().expect("a secret"));
    let (document, url) = (place("console-document-asked").join("openapi.json"), format!("http://{at}"));
    std::fs::write(&document, ane.get("/api/v1/openapi.json").body).expect("a file");
    // The stream never ends, a drill takes its time, and whoever may end accounts and tokens would end its own.
    let asked = python.run(
        "asked_anything.py",
        &[
            "run",
            &document.to_string_lossy(),
            "--url",
            &url,
            "--header",
            &token,
            "--request-timeout",
            "90",
            "--max-examples",
            "10",
            "--seed",
            "1",
            "--exclude-path",
            "/api/v1/live",
            "--exclude-path-regex",
            "/api/v1/(people|tokens|drills)",
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ],
        Duration::from_secs(300),
    );
    assert!(asked.success && asked.stdout.contains("generated"), "{}\n{}", asked.stdout, asked.stderr);
}

/// What a page of the console does with passkeys.
const PAGE: &str = "
    const ask = async (method, path, body) => {
        const headers = { 'content-type': 'application/json', 'x-portcullis-csrf': window.csrf ?? '' };
        const answer = await fetch('/api/v1/' + path, { method, headers, body: body && JSON.stringify(body) });
        const told = await answer.json();
        window.csrf = told.csrf ?? window.csrf;
        return { status: answer.status, told };
    };
    const make = async () => {
        const { told } = await ask('POST', 'session/passkeys');
        const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(told);
        return ask('PUT', 'session/passkeys', (await navigator.credentials.create({ publicKey })).toJSON());
    };
    const enter = async () => {
        const { told } = await ask('POST', 'session/passkey');
        const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(told);
        return ask('PUT', 'session/passkey', (await navigator.credentials.get({ publicKey })).toJSON());
    };
";

#[test]
fn a_real_browser_makes_a_passkey_and_signs_in_by_it() {
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep));
    let (gate, at, state) = gate("console-passkey", &origin, "");
    let Some(mut browser) = Browser::start("passkeys of the console", gate.place(), "") else { return };
    browser.call("WebAuthn.enable", json!({}));
    let device = json!({"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
        "isUserVerified": true, "automaticPresenceSimulation": true});
    let device = browser.call("WebAuthn.addVirtualAuthenticator", json!({ "options": device }));
    let device = device["authenticatorId"].clone();
    let page = |browser: &mut Browser, host: &str| {
        browser.open(&format!("http://{host}:{}/api/v1/session", at.port()));
        browser.evaluate(PAGE);
    };

    page(&mut browser, "localhost");
    let link = gate.command(&["console", "link", "--config", "gate.toml", "--role", "operator"]);
    let secret = link.stdout.trim().split_once('#').expect("a link").1.to_owned();
    let welcome = json!({"link": secret, "name": "Ane", "password": PASSWORD});
    let entered = browser.evaluate(&format!("ask('POST', 'welcome', {welcome})"));
    assert_eq!(
        (&entered["status"], &entered["told"]["ways"]),
        (&json!(200), &json!(["password", "passkey"])),
        "{entered}"
    );
    let made = browser.evaluate("make()");
    assert_eq!(made["status"], 200, "{made}");
    let again = browser.evaluate("make().then(() => 'made', problem => problem.name)");
    assert_eq!(again, "InvalidStateError", "this device has one already");

    // Without a name, a password or a code.
    assert_eq!(browser.evaluate("ask('DELETE', 'session')")["status"], 200);
    assert_eq!(browser.evaluate("ask('GET', 'now')")["status"], 401);
    let entered = browser.evaluate("enter()");
    assert_eq!((&entered["status"], &entered["told"]["person"]["name"]), (&json!(200), &json!("Ane")), "{entered}");
    let held = browser.evaluate("ask('PUT', 'platforms/main/posture', { posture: 'elevated' })");
    assert_eq!(held["status"], 200, "and she acts: {held}");

    // Somebody else holds the device, and it asks who that is.
    let verified = |yes: bool| json!({ "authenticatorId": device, "isUserVerified": yes });
    browser.call("WebAuthn.setUserVerified", verified(false));
    assert_eq!(browser.evaluate("enter().then(() => 'in', problem => problem.name)"), "NotAllowedError");
    browser.call("WebAuthn.setUserVerified", verified(true));

    // Somebody has copied the key: the count of the copy is behind.
    let credentials = browser.call("WebAuthn.getCredentials", json!({ "authenticatorId": device }));
    let mut copy = credentials["credentials"][0].clone();
    assert_eq!(browser.evaluate("enter()")["status"], 200);
    copy["signCount"] = json!(1);
    let id = json!({ "authenticatorId": device, "credentialId": copy["credentialId"] });
    browser.call("WebAuthn.removeCredential", id);
    browser.call("WebAuthn.addCredential", json!({ "authenticatorId": device, "credential": copy }));
    let refused = browser.evaluate("enter()");
    let words = refused["told"]["detail"].as_str().unwrap_or_default();
    assert!(refused["status"] == 401 && words.contains("there may be a copy of it"), "{refused}");

    // By its address in numbers it is no place for passkeys, and says so.
    page(&mut browser, "127.0.0.1");
    assert_eq!(browser.evaluate("ask('GET', 'session')")["told"]["ways"], json!(["password"]));
    let logins = || records(&state, "login");
    let of = |good: bool| logins().iter().filter(|it| it["who"] == "Ane" && it["good"] == good).count();
    assert!(eventually(PATIENCE, || (of(true), of(false)) == (3, 1)), "each is on record: {:?}", logins());
}
