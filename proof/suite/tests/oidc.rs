//! Sign-in to the console of a gate that runs by a certified provider that runs beside it, in a browser that knows neither.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use portcullis_suite::{
    Axe, Browser, Gate, Next, Origin, Plan, Running, eventually, free_address, have, missing, place, respond, root, run,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// The provider, and where it is.
fn provider(test: &str, place: &Path, console: SocketAddr) -> Option<(Running, SocketAddr)> {
    let packages = root().join("target/node");
    if !packages.join("node_modules/oidc-provider").is_dir() {
        missing(test, "oidc-provider", "make setup, and a reachable npm registry");
        return None;
    }
    if !have("node", "nodejs", test) {
        return None;
    }
    let at = free_address();
    let mut command = Command::new("node");
    command.arg(root().join("proof/suite/node/provider.mjs")).arg(&packages).arg(at.port().to_string());
    command.arg(format!("http://localhost:{}/oidc", console.port()));
    let running = Running::start(command, &place.join("provider.log"));
    assert!(eventually(PATIENCE, || running.output().contains("ready")), "{}", running.output());
    Some((running, at))
}

fn gate(name: &str, origin: &Origin, (console, provider): (SocketAddr, SocketAddr)) -> (Gate, PathBuf) {
    let state = place(&format!("{name}-state"));
    let secret = state.join("oidc.secret");
    std::fs::write(&secret, "heron lantern gravel soup\n").expect("a file");
    let plan = Plan::new(name)
        .table(&format!(
            "[defence]\nstate = {state:?}\n[console]\nlisten = \"{console}\"\n\
             [console.oidc]\nissuer = \"http://{provider}\"\nclient_id = \"portcullis\"\nsecret_file = {secret:?}\nname = \"Folk\"\n\
             scopes = [\"openid\", \"profile\", \"email\", \"groups\"]\nviewer = [\"staff\"]\noperator = [\"gate-operators\"]\n\
             owner = [\"gate-owners\"]\n"
        ))
        .upstream(&[origin.url()], "");
    (plan.start(), state)
}

/// Somebody at a browser, who begins at the console.
struct Person<'a> {
    browser: &'a mut Browser,
    console: String,
}

impl Person<'_> {
    /// Goes to the provider by the page's own button, signs in there, and comes back.
    fn enter(&mut self, login: &str) {
        self.browser.call("Network.clearBrowserCookies", json!({}));
        self.browser.open(&format!("{}/", self.console));
        let button = "[...document.querySelectorAll('button')].find(it => it.textContent.includes('With Folk'))";
        self.browser.until(&format!("{button} !== undefined"), PATIENCE);
        self.browser.evaluate(&format!("{button}.click()"));
        self.browser.until("document.querySelector('[name=login]') !== null", PATIENCE);
        self.browser.evaluate(&format!(
            "document.querySelector('[name=login]').value = {login:?};
             document.querySelector('[name=password]').value = 'anything';
             document.querySelector('form').submit()"
        ));
        self.browser.until(&format!("location.origin === {:?}", self.console), PATIENCE);
    }

    /// What the page's own script could ask.
    fn ask(&mut self, method: &str, path: &str, body: &Value) -> Value {
        self.browser.evaluate(&format!(
            "fetch('/api/v1/' + {path:?}, {{ method: {method:?}, headers: {{ 'content-type': 'application/json' }},
                body: {method:?} === 'GET' ? undefined : JSON.stringify({body}) }})
                .then(async answer => ({{ status: answer.status, told: await answer.json() }}))"
        ))
    }

    /// With what the provider sent this browser back the last time.
    fn returned(&mut self) -> Value {
        loop {
            let asked = self.browser.event("Network.requestWillBeSent", PATIENCE).expect("it was sent back");
            let body = asked["request"]["postData"].as_str().unwrap_or_default();
            let is = asked["request"]["url"].as_str().is_some_and(|url| url.ends_with("/api/v1/session/oidc"));
            if is && asked["request"]["method"] == "PUT" {
                return serde_json::from_str(body).expect("JSON");
            }
        }
    }
}

fn logins(state: &Path) -> Vec<(String, bool)> {
    let evidence = state.join("evidence");
    let binary = Gate::binary().display().to_string();
    let shown =
        run(binary, &["ledger", "show", evidence.to_str().expect("text"), "--json", "--kind", "login"], PATIENCE);
    let lines = shown.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let event = |line: Value| Some((line["event"]["who"].as_str()?.to_owned(), line["event"]["good"].as_bool()?));
    lines.filter_map(event).collect()
}

#[test]
fn whoever_the_provider_knows_gets_in_and_nobody_else() {
    let test = "oidc-enter";
    let (console, home) = (free_address(), place("oidc-enter-browser"));
    let Some((_running, at)) = provider(test, &home, console) else { return };
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep));
    let (gate, state) = gate(test, &origin, (console, at));
    let (Some(axe), Some(mut browser)) = (Axe::new(test), Browser::start(test, &home, "")) else { return };
    let mut person = Person { browser: &mut browser, console: format!("http://localhost:{}", console.port()) };

    // In the group: in, under the provider's name, as what the group gives.
    person.enter("ane");
    let sent = person.returned();
    person.browser.until("location.pathname === '/'", PATIENCE);
    let session = person.ask("GET", "session", &Value::Null);
    let who = &session["told"]["person"];
    assert_eq!(
        (&who["name"], &who["role"], &who["federated"]),
        (&json!("ane"), &json!("operator"), &json!(true)),
        "{session}"
    );
    assert_eq!(person.ask("GET", "now", &Value::Null)["status"], 200);
    assert_eq!(person.ask("GET", "people", &Value::Null)["status"], 403, "an operator is no owner");
    let cookies = person.browser.call("Network.getCookies", json!({}));
    assert!(cookies.to_string().contains("\"httpOnly\":true"), "{cookies}");
    assert_eq!(person.browser.evaluate("document.cookie"), "", "no script reads any of it");

    // What was good once is good for nothing.
    let again = person.ask("PUT", "session/oidc", &sent);
    let words = again["told"]["detail"].as_str().unwrap_or_default();
    assert!(again["status"] == 401 && words.contains("it was used"), "{again}");

    // Known there, and without a group that counts here.
    person.enter("vera");
    person.browser.until("document.body.innerText.includes('you may not come in here')", PATIENCE);
    assert_eq!(axe.violations(person.browser), [""; 0]);
    assert_eq!(person.ask("GET", "now", &Value::Null)["status"], 401);

    // Made for another program, and signed by the same key.
    person.enter("elsewhere");
    person.browser.until("document.body.innerText.includes('meant for another program')", PATIENCE);
    assert_eq!(person.ask("GET", "now", &Value::Null)["status"], 401);

    // As the first: nothing of what was refused stays.
    person.enter("ane");
    person.browser.until("location.pathname === '/'", PATIENCE);
    assert_eq!(person.ask("GET", "now", &Value::Null)["status"], 200);

    let expected = [("ane", true), ("vera (by Folk)", false), ("somebody (by Folk)", false)];
    let all = || logins(&state);
    let told = |(who, good): &(&str, bool)| all().iter().any(|it| it.0 == *who && it.1 == *good);
    assert!(eventually(PATIENCE, || expected.iter().all(told)), "{:?} {}", all(), gate.said());

    // An owner by a link is always possible.
    let link = gate.command(&["console", "link", "--config", "gate.toml", "--role", "owner", "--name", "Bo"]);
    assert!(link.success && link.stdout.contains("/welcome#"), "{} {}", link.stdout, link.stderr);
}
