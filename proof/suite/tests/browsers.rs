//! What browsers report of pages: Debian's Chromium, whose own reports reach the gate and become what browsers say; and whoever makes
//! reports up, who fills nothing, drowns nothing and is told as what he is.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_suite::{Authority, Browser, Gate, HOST, Next, Origin, Plan, Response, Wire, eventually, run};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
/// Chromium gathers reports for a minute before it sends them.
const GATHERED: Duration = Duration::from_secs(150);

const CLEAN: &str =
    "<!doctype html><html lang=\"en\"><title>Vote</title><script src=\"/app.js\"></script><h1>Vote</h1>";
const SKIMMED: &str = "<!doctype html><html lang=\"en\"><title>Vote</title><script src=\"/app.js\"></script>\
    <script src=\"https://evil.example/skim.js\"></script><h1>Vote</h1>";

/// A platform whose pages somebody may have put a script into.
fn platform(policy: &'static str, skimmed: &Arc<AtomicBool>) -> Origin {
    let skimmed = Arc::clone(skimmed);
    Origin::start(move |seen, stream| {
        let (kind, body) = match seen.path() {
            "/app.js" => ("text/javascript", "document.title = 'Vote now'"),
            _ if skimmed.load(Ordering::Relaxed) => ("text/html", SKIMMED),
            _ => ("text/html", CLEAN),
        };
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{policy}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        Ok(Next::Keep)
    })
}

/// A gate that listens to browsers, and those who ask it.
struct Site {
    gate: Gate,
    _origin: Origin,
    skimmed: Arc<AtomicBool>,
}

impl Site {
    fn start(name: &str, policy: &'static str, keys: &str) -> Self {
        let skimmed = Arc::new(AtomicBool::new(false));
        let origin = platform(policy, &skimmed);
        let plan = Plan::new(name);
        let authority = Authority::new(plan.place());
        let at = origin.url();
        let address = at.trim_start_matches("http://");
        let tables = format!(
            "[[integrity.browsers]]\nplatform = \"main\"\n{keys}\n[[integrity.outside]]\nname = \"main\"\nat = \"http://{HOST}\"\n\
             connect = \"{address}\"\npaths = [\"/donate\"]\ninterval = \"1h\"\n"
        );
        let gate = plan.tls(&[authority.leaf(&[HOST])]).upstream(std::slice::from_ref(&at), "").table(&tables).start();
        assert!(eventually(PATIENCE, || gate.control().with_extension("sensors").exists()));
        Self { gate, _origin: origin, skimmed }
    }

    fn sensor(&self, name: &str) -> Value {
        let config = self.gate.config().to_string_lossy().into_owned();
        let said = run(Gate::binary(), &["sensors", "--json", "--config", &config], PATIENCE);
        assert!(said.success, "{}", said.stderr);
        let all: Value = serde_json::from_str(&said.stdout).expect("JSON");
        all.as_array().and_then(|all| all.iter().find(|it| it["sensor"] == name)).cloned().expect("the sensor")
    }

    fn until(&self, name: &str, patience: Duration, fits: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let sensor = self.sensor(name);
            if fits(&sensor) {
                return sensor;
            }
            assert!(begun.elapsed() < patience, "{name}: {sensor:#}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until the outside sensor knows the pages.
    fn learned(&self) {
        self.until("pages/main", PATIENCE, |sensor| sensor["state"] == "up");
    }

    fn browser(&self, name: &str) -> Option<Browser> {
        Browser::start(name, self.gate.place(), &format!("MAP {HOST} 127.0.0.1, MAP evil.example 127.0.0.1"))
    }

    fn counted(&self, outcome: &str) -> f64 {
        self.gate.metrics().sum("portcullis_browser_reports_total", &[("outcome", outcome)])
    }

    fn post(&self, kind: &str, body: &[u8]) -> Response {
        post(&mut Wire::plain(self.gate.http()), kind, body)
    }
}

fn post(wire: &mut Wire, kind: &str, body: &[u8]) -> Response {
    let head = format!(
        "POST /.portcullis/reports HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    wire.ask([head.as_bytes(), body].concat()).expect("an answer")
}

fn report(page: &str, blocked: &str) -> String {
    json!({ "csp-report": {
        "document-uri": page, "blocked-uri": blocked, "effective-directive": "script-src-elem",
        "violated-directive": "script-src-elem", "disposition": "enforce", "original-policy": "script-src 'self'",
    } })
    .to_string()
}

fn told(sensor: &Value, words: &str) -> bool {
    let is = |told: &Value| told["words"].as_str().is_some_and(|said| said.contains(words));
    sensor["latest"].as_array().is_some_and(|all| all.iter().any(is))
}

#[test]
fn a_browser_s_report_of_a_broken_policy_is_heard_and_the_page_is_visited_at_once() {
    let policy = "Content-Security-Policy: script-src 'self'; report-uri /.portcullis/reports\r\n";
    let site = Site::start("browsers-policy", policy, "announce = false");
    site.learned();
    let Some(mut browser) = site.browser("a_browser_s_report") else { return };
    let page = format!("http://{HOST}:{}/donate", site.gate.http().port());
    // The benign twin first: a page that keeps to its policy.
    browser.open(&page);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(site.sensor("browsers/main")["seen"], 0, "{:#}", site.sensor("browsers/main"));
    site.skimmed.store(true, Ordering::Relaxed);
    browser.open(&page);
    let said = site.until("browsers/main", PATIENCE, |sensor| sensor["findings"] == 1);
    assert!(told(&said, "browsers say that gate.test"), "{said:#}");
    assert!(told(&said, "`https://evil.example` by its policy (csp script-src-elem, one report)"), "{said:#}");
    // The next visit would have been in an hour.
    let visited = site.until("pages/main", PATIENCE, |sensor| told(sensor, "https://evil.example/skim.js"));
    assert_eq!(visited["findings"], 1, "{visited:#}");
    assert!((site.counted("heard") - 1.0).abs() < 0.5 && site.counted("malformed") < 0.5);
}

#[test]
fn what_the_gate_announces_a_browser_reports_by_the_reporting_api() {
    let keys = "policy = [\"script-src 'self'\", \"form-action 'self'\"]\nintegrity_policy = true";
    let site = Site::start("browsers-announced", "Content-Security-Policy-Report-Only: img-src 'self'\r\n", keys);
    let answer = site.gate.get("/donate");
    let own =
        answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-security-policy-report-only"));
    let own: Vec<&str> = own.map(|(_, value)| value.as_str()).collect();
    assert_eq!(own[0], "img-src 'self'", "the platform's own is as it was");
    assert_eq!(own[1], "script-src 'self'; form-action 'self'; report-uri /.portcullis/reports");
    assert!(site.gate.get("/app.js").header("content-security-policy-report-only").is_some_and(|it| it == own[0]));
    let Some(mut browser) = site.browser("what_the_gate_announces") else { return };
    site.skimmed.store(true, Ordering::Relaxed);
    browser.open(&format!("https://{HOST}:{}/donate", site.gate.https().port()));
    // Both scripts have no hash; only one of them is from elsewhere.
    let said = site.until("browsers/main", GATHERED, |sensor| {
        told(sensor, "`https://evil.example` by its policy (csp script-src-elem")
            && told(sensor, "(integrity-policy script")
    });
    assert!(told(&said, "would be kept from"), "{said:#}");
    assert!(site.counted("malformed") < 0.5 && site.counted("foreign") < 0.5, "a browser's own form is read whole");
}

#[test]
fn made_up_reports_are_bounded_counted_and_never_more_than_hearsay() {
    let site = Site::start("browsers-flood", "", "");
    site.learned();
    let page = format!("http://{HOST}/donate");
    let begun = Instant::now();
    for number in 0..2_000 {
        // What is not read ends its connection.
        let mut wire = Wire::plain(site.gate.http());
        let answer =
            post(&mut wire, "application/csp-report", report(&page, &format!("https://{number}.example")).as_bytes());
        assert_eq!((answer.status, answer.body.len()), (204, 0), "nothing comes back");
    }
    let minutes = begun.elapsed().as_secs() / 60 + 2;
    let heard = site.counted("heard");
    assert!(heard >= 30.0 && heard <= 30.0 * minutes as f64, "30 of one network in a minute: {heard}");
    assert!((heard + site.counted("crowded") - 2_000.0).abs() < 0.5, "each is counted");
    let said = site.until("browsers/main", PATIENCE, |sensor| sensor["findings"].as_u64() >= Some(8));
    assert!(said["findings"].as_u64() <= Some(8 * minutes), "{said:#}");
    assert_eq!(site.gate.get("/donate").status, 200, "visitors are served");
    // Others' pages, other forms, other methods, other places, and too much.
    let json = |value: Value| value.to_string().into_bytes();
    let from = |body: &[u8], kind: &str| site.post(kind, body).status;
    assert_eq!(from(b"{", "application/csp-report"), 204);
    assert_eq!(from(&json(json!([])), "text/plain"), 204);
    let long = vec![b' '; 65_537];
    let mut other = Wire::plain_from("127.0.9.1".parse().expect("an address"), site.gate.http()).expect("it connects");
    assert_eq!(post(&mut other, "application/csp-report", &long).status, 413);
    let mut other = Wire::plain_from("127.0.9.1".parse().expect("an address"), site.gate.http()).expect("it connects");
    let foreign = report("https://elsewhere.example/", "inline");
    assert_eq!(post(&mut other, "application/csp-report", foreign.as_bytes()).status, 204);
    assert_eq!(post(&mut other, "application/csp-report", b"<script>").status, 204);
    assert_eq!((site.counted("foreign"), site.counted("malformed")), (1.0, 1.0));
    assert_eq!(site.gate.get("/.portcullis/reports").status, 404, "nothing is there to be read");
    // A report of the page that is watched from outside has it visited, and nothing is found: it is what it was.
    assert_eq!(site.sensor("pages/main")["findings"], 0);
}

#[test]
fn a_report_of_our_own_is_heard_and_told_to_nobody_and_where_it_is_crowded_out_the_sensor_is_blind() {
    let site = Site::start("browsers-drill", "", "announce = false");
    site.learned();
    let config = site.gate.config().display().to_string();
    let drill = || {
        let said = site.gate.command(&["drill", "--json", "--only", "browsers", "--config", &config]);
        let drills: Vec<Value> =
            serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}{}", said.stdout, said.stderr));
        (said.success, drills[0].clone())
    };
    let (seen, drilled) = drill();
    assert!(seen && drilled["tried"] == 3, "a policy in both forms, and an integrity policy: {drilled:#}");
    assert_eq!((&drilled["path"], &drilled["what"]), (&json!("browsers/main"), &json!("browser-report")));
    let sensor = site.until("browsers/main", PATIENCE, |sensor| sensor["seen"] == 3);
    assert_eq!((&sensor["findings"], &sensor["state"]), (&json!(0), &json!("up")), "{sensor:#}");
    // It was nobody's visit, and no visitor's browser's.
    assert_eq!((site.counted("drill"), site.counted("heard")), (3.0, 0.0));
    assert_eq!(site.gate.metrics().sum("portcullis_requests_total", &[]), 0.0);
    // Whoever makes up one that resembles it is heard like anybody.
    let made_up = format!("https://{}-0.drill.portcullis.invalid", "0".repeat(32));
    let body = report(&format!("http://{HOST}/donate"), &made_up);
    assert_eq!(site.post("application/csp-report", body.as_bytes()).status, 204);
    let sensor = site.until("browsers/main", PATIENCE, |sensor| sensor["findings"] == 1);
    assert!(told(&sensor, &made_up), "{sensor:#}");
    // One network may send one message in a minute: of ours, two are not read.
    site.gate.rewrite_text(|text| text.replacen("[limits]\n", "[limits]\nreports_per_network = 1\n", 1));
    assert!(site.gate.reload().success, "{}", site.gate.said());
    let (seen, drilled) = drill();
    assert!(
        !seen && drilled["words"].as_str().is_some_and(|words| words.contains("were sent and not heard")),
        "{drilled:#}"
    );
    let sensor = site.until("browsers/main", PATIENCE, |sensor| sensor["state"] == "blind");
    assert!(sensor["why"].as_str().is_some_and(|why| why.contains("did not see the drill")), "{sensor:#}");
    site.gate.rewrite_text(|text| text.replacen("reports_per_network = 1\n", "", 1));
    assert!(site.gate.reload().success && drill().0);
    site.until("browsers/main", PATIENCE, |sensor| sensor["state"] == "up");
}

#[test]
fn where_nobody_listens_there_is_no_such_place() {
    let origin = Origin::echo();
    let gate = Plan::new("browsers-none").upstream(&[origin.url()], "").start();
    let mut wire = Wire::plain(gate.http());
    let page = format!("http://{HOST}/donate");
    let answer = post(&mut wire, "application/csp-report", report(&page, "inline").as_bytes());
    assert_eq!(answer.status, 404);
    assert!(gate.get("/").header("reporting-endpoints").is_none());
    assert_eq!(origin.take().len(), 1, "the platform saw no report");
}
