//! The API as browsers, programs and attackers use it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Mutex;

use axum::body::{Body, to_bytes};
use axum::extract::Extension;
use axum::http::{HeaderMap, Method, Request};
use portcullis_engine::Command;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::desk::{Decision, Deed, Form, Leaves, Span, Wish};
use crate::model::{
    Build, Busiest, CanaryBook, Checked, Configuration, DatabaseRole, Decisions, DeclaredTable, Differing, Draft,
    Drafted, Drilled, Edits, Explained, GuardedDatabase, Happening, History, IncidentLine, Line, NewConfiguration,
    NewIncident, Now, OwnSession, Page, Proposal, RegisteredCopy, Token, Version, WaitingStatement, Wrong,
};
use crate::oidc::Provider;
use crate::people::passkeys::device::Device;
use crate::server::{Peer, now};

/// A gate that remembers what was asked of it.
#[derive(Default)]
pub(super) struct Gate {
    asked: Mutex<Vec<String>>,
}

impl Gate {
    fn note(&self, words: String) -> String {
        self.asked.lock().expect("whole").push(words.clone());
        words
    }
}

impl Desk for Gate {
    fn now(&self) -> Now {
        Now { node: "gate-1".to_owned(), ..Now::default() }
    }
    fn history(&self, span: &Span<'_>, step: u64) -> Result<History, Fault> {
        Ok(History { from: span.from, until: span.until, step, ..History::default() })
    }
    fn busiest(&self, _: &Span<'_>, by: &str, _: Option<&str>, _: usize) -> Result<Busiest, Fault> {
        Ok(Busiest { by: by.to_owned(), ..Busiest::default() })
    }
    fn requests(&self, span: &Span<'_>, wish: &Wish, cursor: Option<&str>, most: usize) -> Result<Decisions, Fault> {
        self.note(format!("{:?} {} {wish:?} {cursor:?} {most}", span.platform, span.until - span.from));
        Ok(Decisions { next: Some("a-1".to_owned()), ..Decisions::default() })
    }
    fn explain(&self, of: &str) -> Result<Explained, Fault> {
        Err(Fault::Unknown(format!("{of} is not known")))
    }
    fn command(&self, command: Command, by: &str) -> Result<String, Fault> {
        Ok(self.note(format!("{command:?} by {by}")))
    }
    fn incidents(&self) -> Result<Vec<IncidentLine>, Fault> {
        Err(Fault::Unable("no evidence is kept".to_owned()))
    }
    fn incident(&self, _: &str, form: Form) -> Result<Vec<u8>, Fault> {
        Ok(format!("{form:?}").into_bytes())
    }
    fn add(&self, id: &str, deed: Deed, by: &str) -> Result<String, Fault> {
        Ok(self.note(format!("{id}: {deed:?} by {by}")))
    }
    fn integrity(&self) -> Result<Value, Fault> {
        Ok(json!({}))
    }
    fn drill(&self, only: Option<&str>, by: &str) -> Result<Drilled, Fault> {
        let words = self.note(format!("drill {} by {by}", only.unwrap_or("all")));
        Ok(Drilled { words, ..Drilled::default() })
    }
    fn status(&self) -> Value {
        json!({"node": "gate-1"})
    }
    fn build(&self) -> Build {
        Build::default()
    }
    fn effective(&self, secrets: bool) -> String {
        if secrets { "whole" } else { "masked" }.to_owned()
    }
    fn baseline(&self, only: Option<&str>, by: &str) -> Result<String, Fault> {
        Ok(self.note(format!("baseline {} by {by}", only.unwrap_or("all"))))
    }
    fn deploy(&self, manifest: String, by: &str) -> Result<String, Fault> {
        Ok(self.note(format!("deploy {manifest} by {by}")))
    }
    fn differing(&self, _: Option<&str>) -> Result<Differing, Fault> {
        Err(Fault::Unable("nothing is watched".to_owned()))
    }
    fn records(&self, leaves: &Leaves) -> Result<Page, Fault> {
        Ok(Page { size: leaves.most as u64, ..Page::default() })
    }
    fn checkpoint(&self) -> Result<String, Fault> {
        Ok("note".to_owned())
    }
    fn ledger_key(&self) -> Result<String, Fault> {
        Ok("key".to_owned())
    }
    fn proof(&self, leaf: u64) -> Result<String, Fault> {
        Err(Fault::Unknown(format!("there is no record {leaf} yet")))
    }
    fn leaving(&self) -> Value {
        json!({})
    }
    fn open(&self, incident: &NewIncident, by: &str) -> Result<String, Fault> {
        Ok(self.note(format!("{} by {by}", incident.because)))
    }
    fn export(&self, id: &str) -> Result<Vec<u8>, Fault> {
        Ok(id.as_bytes().to_vec())
    }
    fn databases(&self) -> Result<Vec<GuardedDatabase>, Fault> {
        let role =
            DatabaseRole { role: "app".to_owned(), waiting: 2, mark: Some("m".to_owned()), ..DatabaseRole::default() };
        let form = "SELECT \u{1b}[2J ? FROM members".to_owned();
        let seen = vec!["rows to 1e2".to_owned()];
        let one = WaitingStatement {
            key: "0a".to_owned(),
            role: "app".to_owned(),
            form,
            seen,
            ..WaitingStatement::default()
        };
        let (roles, waiting) = (vec![role], vec![one]);
        Ok(vec![GuardedDatabase { name: "public".to_owned(), roles, waiting, ..GuardedDatabase::default() }])
    }
    fn statements(&self, database: &str, role: Option<&str>, waiting: bool) -> Result<Value, Fault> {
        Ok(json!({"database": database, "role": role, "waiting": waiting}))
    }
    fn decide(&self, decision: &Decision, by: &str) -> Result<String, Fault> {
        Ok(self.note(format!("{decision:?} by {by}")))
    }
    fn register(&self) -> Result<Vec<RegisteredCopy>, Fault> {
        Ok(Vec::new())
    }
    fn canaries(&self) -> Result<CanaryBook, Fault> {
        Ok(CanaryBook::default())
    }
    fn budget(&self, place: &str, records: u64) -> Result<NewConfiguration, Fault> {
        let why = format!("{records} records of {place}");
        Ok(NewConfiguration { text: "[server]\n[data]\n".to_owned(), base: BASE.to_owned(), why })
    }
    fn configuration(&self, secrets: bool) -> Result<Configuration, Fault> {
        Ok(Configuration { text: "[server]\n".to_owned(), digest: BASE.to_owned(), masked: !secrets })
    }
    fn check(&self, text: &str, secrets: bool) -> Result<Checked, Fault> {
        let wrong = Wrong { severity: "error".to_owned(), line: 2, column: 3, ..Wrong::default() };
        let problems = text.contains("bogus").then(|| Wrong { message: "no such key".to_owned(), ..wrong });
        let line = Line { text: if secrets { "whole" } else { "masked" }.to_owned(), ..Line::default() };
        let problems = problems.into_iter().collect();
        Ok(Checked { problems, digest: BASE.to_owned(), diff: vec![line], more: 1, ..Checked::default() })
    }
    fn keys(&self) -> Vec<DeclaredTable> {
        vec![DeclaredTable { path: "server".to_owned(), ..DeclaredTable::default() }]
    }
    fn draft(&self, edits: &Edits, secrets: bool) -> Result<Drafted, Fault> {
        let words = format!("{:?} {} {}", edits.text, edits.changes.len(), if secrets { "whole" } else { "masked" });
        Ok(Drafted { text: words, ..Drafted::default() })
    }
    fn change(&self, new: &NewConfiguration, by: &str) -> Result<String, Fault> {
        Ok(self.note(format!("{:?} because {} by {by}", new.text, new.why)))
    }
    fn versions(&self) -> Result<Vec<Version>, Fault> {
        Ok(Vec::new())
    }
    fn version(&self, id: &str) -> Result<String, Fault> {
        if id == "1" { Ok("[earlier]\n".to_owned()) } else { Err(Fault::Unknown("there is none".to_owned())) }
    }
    fn forms(&self, _: &str) -> Result<Vec<Draft>, Fault> {
        Ok(Vec::new())
    }
    fn reload(&self, by: &str) -> Result<String, Fault> {
        Ok(self.note(format!("reload by {by}")))
    }
    fn login(&self, who: &str, _: Option<IpAddr>, good: bool) {
        self.note(format!("login {who} {good}"));
    }
    fn changed(&self, words: &str, by: &str) {
        self.note(format!("{words} by {by}"));
    }
}

/// A console without a socket, with somebody of each role.
pub(super) struct Stand {
    pub(super) app: Arc<App>,
    gate: Arc<Gate>,
    router: Router,
    _directory: tempfile::TempDir,
}

/// What a signed-in browser has.
#[derive(Clone, Default)]
pub(super) struct Browser {
    pub(super) cookie: String,
    pub(super) csrf: String,
}

/// SHA-256 of the configuration.
const BASE: &str = "7e";
const WORDS: &str = "heron lantern gravel soup";

fn stand() -> Stand {
    stand_at("http://console.example.org:9181")
}

fn stand_at(url: &str) -> Stand {
    stand_with(url, &[])
}

/// With acts that take two people.
fn stand_with(url: &str, approvals: &[&str]) -> Stand {
    stand_by(url, approvals, None)
}

/// With a provider that vouches for people.
pub(super) fn stand_by(url: &str, approvals: &[&str], oidc: Option<Provider>) -> Stand {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: None,
        url: url.to_owned(),
        directory: PathBuf::from(directory.path()),
        organisation: "Folk".to_owned(),
        approvals: approvals.iter().map(|it| (*it).to_owned()).collect(),
        oidc,
        language: "en".to_owned(),
        alerts: Vec::new(),
        status: None,
        takeover: false,
    };
    let people = People::open(directory.path()).expect("accounts");
    let gate = Arc::new(Gate::default());
    let app = Arc::new(App::new(settings, people, Arc::clone(&gate) as Arc<dyn Desk>, Live::new(now())));
    app.live.stand(Now { node: "gate-1".to_owned(), ..Now::default() });
    let peer = SocketAddr::from(([192, 0, 2, 1], 4000));
    let router = router(&app).layer(Extension(Peer(peer)));
    Stand { app, gate, router, _directory: directory }
}

impl Stand {
    pub(super) fn browser(&self, name: &str, role: Role) -> Browser {
        let (link, _) = self.app.people.link(None, role, now()).expect("a link");
        let begun = self.app.people.welcome(&link, Some(name), WORDS, now()).expect("an account");
        let known = self.app.people.session(&begun.cookie, now()).expect("readable").expect("a session");
        Browser { cookie: begun.cookie, csrf: known.csrf.expect("a session has one") }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        if parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream") {
            return (parts.status, parts.headers, Value::Null);
        }
        let bytes = to_bytes(body, usize::MAX).await.expect("a body");
        (parts.status, parts.headers, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        browser: &Browser,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let (status, _, value) = self.send(request(method, path, browser, body)).await;
        (status, value)
    }

    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.gate.asked.lock().expect("whole"))
    }
}

pub(super) fn request(method: &str, path: &str, browser: &Browser, body: Option<Value>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost:9181");
    if !browser.cookie.is_empty() {
        request = request.header("cookie", format!("theme=dark; portcullis={}", browser.cookie));
    }
    if !browser.csrf.is_empty() {
        request = request.header("x-portcullis-csrf", &browser.csrf);
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    request.header("content-type", "application/json").body(body).expect("a request")
}

/// A body that each operation takes.
fn body(path: &str) -> Option<Value> {
    Some(match path {
        "/api/v1/session" => json!({"name": "nobody", "password": "x"}),
        "/api/v1/session/totp" => json!({"code": "000000"}),
        "/api/v1/session/passkey" => {
            json!({"id": "AA", "response": {"clientDataJSON": "AA", "authenticatorData": "AA", "signature": "AA"}})
        }
        "/api/v1/session/passkeys" => {
            json!({"id": "AA", "response": {"clientDataJSON": "AA", "attestationObject": "AA"}})
        }
        "/api/v1/session/oidc" => json!({"state": "AA", "code": "AA"}),
        "/api/v1/platforms/{name}/posture" => json!({"posture": "attack"}),
        "/api/v1/events" => json!({"name": "debate", "from": now() + 1, "until": now() + 1_000}),
        "/api/v1/people" => json!({"name": "Dag", "role": "viewer"}),
        "/api/v1/people/{name}/role" => json!({"role": "viewer"}),
        "/api/v1/tokens" => json!({"name": "wall", "role": "viewer", "days": 1}),
        "/api/v1/configuration/check" => json!({"text": ""}),
        "/api/v1/configuration/draft" => json!({"changes": []}),
        "/api/v1/configuration" => json!({"text": "", "base": BASE}),
        "/api/v1/integrity/baseline" => json!({}),
        "/api/v1/integrity/manifests" => json!({"manifest": "m"}),
        "/api/v1/configuration/versions/{id}/restore" => json!({"base": BASE}),
        "/api/v1/rules/try" | "/api/v1/rules/apply" => {
            let change = json!({"kind": "exclude", "platform": "public", "route": "/**", "exclude": ["sql ARGS:q"]});
            if path.ends_with("try") { json!({"change": change}) } else { json!({"change": change, "base": BASE}) }
        }
        "/api/v1/rehearsals" => json!({"name": "01-get-flood", "seed": 1}),
        "/api/v1/databases/{name}/approve" => json!({"role": "app", "mark": "m"}),
        "/api/v1/databases/{name}/stage" => json!({"role": "app", "stage": "learn"}),
        "/api/v1/data/budgets" | "/api/v1/data/budgets/try" => json!({"place": "public/list", "records": 60}),
        "/api/v1/incidents" => json!({"because": "x"}),
        "/api/v1/incidents/{id}/assurances" => {
            json!({"copy": "members", "intact": true, "words": "Its own log says so."})
        }
        "/api/v1/incidents/{id}/reports" => json!({"form": "uk-ico", "to": "ICO", "sha256": "0".repeat(64)}),
        path if path.starts_with("/api/v1/incidents/") => json!({"words": "x", "whom": "y"}),
        _ => return None,
    })
}

/// Every operation of the document with its least role, and a path that can be asked.
fn operations() -> Vec<(String, String, Option<Role>, String)> {
    let document: Value = serde_json::from_str(&document()).expect("JSON");
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let least = serde_json::from_value(operation["x-role"].clone()).ok();
            assert!(least.is_some() || operation["x-role"] == "nobody", "{method} {path} does not say who may");
            let mut real = path.replace("{id}", "r-1").replace("{name}", "public").replace("{of}", "r-1");
            if path == "/api/v1/busiest" {
                real.push_str("?by=network");
            }
            all.push((method.to_uppercase(), real, least, path.clone()));
        }
    }
    all
}

#[tokio::test]
async fn nobody_does_what_their_role_may_not() {
    let stand = stand();
    let people = [(Role::Viewer, "Vi"), (Role::Operator, "Op"), (Role::Owner, "Ow")]
        .map(|(role, name)| (role, stand.browser(name, role)));
    let operations = operations();
    assert!(operations.len() > 35, "{} operations", operations.len());
    for (method, real, least, path) in &operations {
        let (status, _) = stand.ask(method, real, &Browser::default(), body(path)).await;
        match least {
            // Whoever fails to sign in is told so by the same status.
            None => assert!(status != StatusCode::FORBIDDEN, "{method} {path}"),
            Some(_) => assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path} for nobody"),
        }
        let Some(least) = least else { continue };
        for (role, browser) in &people {
            if path == "/api/v1/session" {
                continue;
            }
            stand.asked();
            let (status, told) = stand.ask(method, real, browser, body(path)).await;
            if role < least {
                assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path} for {role:?}: {told}");
                assert_eq!(stand.asked(), [""; 0], "{method} {path} for {role:?} did something");
            } else {
                let refused = [StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED, StatusCode::METHOD_NOT_ALLOWED];
                assert!(!refused.contains(&status), "{method} {path} for {role:?}: {status} {told}");
            }
        }
    }
}

#[tokio::test]
async fn acts_bear_the_name_of_who_did_them() {
    let stand = stand();
    let op = stand.browser("Op", Role::Operator);
    for (method, path, sent, expected) in [
        ("POST", "/api/v1/measures/r-81/undo", None, "Undo(RuleId(81)) by Op"),
        ("POST", "/api/v1/measures/r-81/pin", None, "Pin(RuleId(81)) by Op"),
        (
            "PUT",
            "/api/v1/platforms/public/posture",
            Some(json!({"posture": "overload"})),
            "Posture { platform: Some(\"public\"), posture: Some(Overload) } by Op",
        ),
        (
            "PUT",
            "/api/v1/platforms/*/posture",
            Some(json!({"posture": "auto"})),
            "Posture { platform: None, posture: None } by Op",
        ),
        (
            "POST",
            "/api/v1/incidents/2026-05-17-1/notes",
            Some(json!({"words": "seen"})),
            "2026-05-17-1: Note(\"seen\") by Op",
        ),
        (
            "POST",
            "/api/v1/incidents/2026-05-17-1/told",
            Some(json!({"words": "all", "whom": "ICO"})),
            "2026-05-17-1: Told(\"ICO\", \"all\") by Op",
        ),
        ("POST", "/api/v1/drills", None, "drill all by Op"),
        ("POST", "/api/v1/drills?only=files", None, "drill files by Op"),
        ("POST", "/api/v1/integrity/manifests", Some(json!({"manifest": "m"})), "deploy m by Op"),
    ] {
        let (status, told) = stand.ask(method, path, &op, sent).await;
        assert_eq!((status, stand.asked()), (StatusCode::OK, vec![expected.to_owned()]), "{method} {path}: {told}");
    }
    for (method, path, sent) in [
        ("POST", "/api/v1/measures/everything/undo", None),
        ("PUT", "/api/v1/platforms/public/posture", Some(json!({"posture": "calm"}))),
        ("PUT", "/api/v1/platforms/public/posture", Some(json!({"stance": "attack"}))),
        ("POST", "/api/v1/incidents/x/notes", Some(json!({"words": " "}))),
        ("POST", "/api/v1/incidents/x/told", Some(json!({"words": "x"}))),
        ("GET", "/api/v1/history?from=9&until=3", None),
        ("GET", "/api/v1/history?from=0&until=9000000000&step=1", None),
        ("GET", "/api/v1/busiest?by=mood", None),
        ("GET", "/api/v1/requests?client=nobody", None),
        ("GET", "/api/v1/requests?client=203.0.113.7/24", None),
        ("GET", "/api/v1/requests?verdict=guilty", None),
        ("GET", "/api/v1/requests?reason=mood", None),
        ("GET", "/api/v1/requests?from=9&until=3", None),
        ("GET", "/api/v1/ledger/last/proof", None),
    ] {
        let (status, told) = stand.ask(method, path, &op, sent).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{method} {path}: {told}");
        assert!(stand.asked().is_empty() && told["detail"].as_str().is_some_and(|it| !it.is_empty()), "{told}");
    }
}

#[tokio::test]
async fn another_page_cannot_act_in_somebodys_name() {
    let stand = stand();
    let op = stand.browser("Op", Role::Operator);
    let undo = || request("POST", "/api/v1/measures/r-81/undo", &op, None);
    let with = |name: &'static str, value: &'static str| {
        let mut request = undo();
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        request
    };
    for (case, request, status) in [
        ("as it should be", undo(), 200),
        ("from its own page", with("origin", "http://localhost:9181"), 200),
        ("of its own site", with("sec-fetch-site", "same-origin"), 200),
        ("from another page", with("origin", "https://evil.example"), 403),
        ("from another port", with("origin", "http://localhost:8080"), 403),
        ("from nowhere", with("origin", "null"), 403),
        ("of another site", with("sec-fetch-site", "cross-site"), 403),
        ("with another's word", with("x-portcullis-csrf", "AAAA"), 403),
        ("by another name for this address", with("host", "evil.example:9181"), 421),
        ("by the declared name", with("host", "console.example.org:9181"), 200),
        ("by number", with("host", "[::1]:9181"), 200),
    ] {
        assert_eq!(stand.send(request).await.0.as_u16(), status, "{case}");
    }
    let mut without = undo();
    without.headers_mut().remove("x-portcullis-csrf");
    assert_eq!(stand.send(without).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn signing_in_is_told_and_its_cookie_is_out_of_reach() {
    let stand = stand();
    let nobody = Browser::default();
    let (_, session) = stand.ask("GET", "/api/v1/session", &nobody, None).await;
    assert!(session["fresh"] == true && session["person"].is_null() && session["organisation"] == "", "{session}");
    stand.browser("Op", Role::Operator);
    let sign_in =
        |password: &str| request("POST", "/api/v1/session", &nobody, Some(json!({"name": "Op", "password": password})));
    let (status, _, told) = stand.send(sign_in("wrong wrong wrong")).await;
    assert_eq!((status, told["detail"].as_str()), (StatusCode::UNAUTHORIZED, Some("name, password or code is wrong")));
    let (status, headers, session) = stand.send(sign_in(WORDS)).await;
    assert_eq!((status, &session["person"]["role"]), (StatusCode::OK, &json!("operator")));
    let cookie = headers.get("set-cookie").and_then(|it| it.to_str().ok()).expect("a cookie");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict") && !cookie.contains("Secure"), "{cookie}");
    let value = cookie.split(['=', ';']).nth(1).expect("a value").to_owned();
    let op = Browser { cookie: value, csrf: session["csrf"].as_str().expect("text").to_owned() };
    assert_eq!(stand.ask("GET", "/api/v1/now", &op, None).await.0, StatusCode::OK);
    for (who, path, node) in [
        (&op, "/api/v1/session?now=true", json!("gate-1")),
        (&op, "/api/v1/session?now=false", Value::Null),
        (&op, "/api/v1/session", Value::Null),
        (&nobody, "/api/v1/session?now=true", Value::Null),
    ] {
        let (status, session) = stand.ask("GET", path, who, None).await;
        assert_eq!((status, &session["now"]["node"]), (StatusCode::OK, &node), "{path}");
    }
    assert_eq!(stand.ask("DELETE", "/api/v1/session", &op, None).await.0, StatusCode::OK);
    assert!(stand.ask("GET", "/api/v1/session?now=true", &op, None).await.1["now"].is_null());
    assert_eq!(stand.ask("GET", "/api/v1/now", &op, None).await.0, StatusCode::UNAUTHORIZED);
    let mut told = stand.asked();
    for _ in 0..100 {
        if told.len() >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        told.extend(stand.asked());
    }
    assert_eq!(told, ["login Op false", "login Op true"]);
}

#[tokio::test]
async fn somebody_sees_their_own_sessions_and_who_failed_and_ends_one() {
    let stand = stand();
    let (op, vi) = (stand.browser("Op", Role::Operator), stand.browser("Vi", Role::Viewer));
    let nobody = Browser::default();
    let sign_in = |password: &str| {
        stand.send(request("POST", "/api/v1/session", &nobody, Some(json!({"name": "Op", "password": password}))))
    };
    assert_eq!(sign_in(WORDS).await.0, StatusCode::OK);
    assert_eq!(sign_in("wrong wrong wrong").await.0, StatusCode::UNAUTHORIZED);
    let (_, all) = stand.ask("GET", "/api/v1/session/all", &op, None).await;
    let all: Vec<OwnSession> = serde_json::from_value(all).expect("sessions");
    assert_eq!(all.len(), 2, "{all:?}");
    let (here, there): (Vec<_>, Vec<_>) = all.iter().partition(|it| it.here);
    assert_eq!((here.len(), there[0].from.as_deref(), there[0].way.as_str()), (1, Some("192.0.2.1"), "password"));
    let (_, of_vi) = stand.ask("GET", "/api/v1/session/all", &vi, None).await;
    assert_eq!(of_vi.as_array().map(Vec::len), Some(1), "{of_vi}");
    let path = format!("/api/v1/session/all/{}", there[0].id);
    assert_eq!(stand.ask("DELETE", &path, &vi, None).await.0, StatusCode::NOT_FOUND, "not Vi's");
    assert_eq!(stand.ask("DELETE", &path, &op, None).await.0, StatusCode::OK);
    let (_, all) = stand.ask("GET", "/api/v1/session/all", &op, None).await;
    assert!(all.as_array().is_some_and(|all| all.len() == 1 && all[0]["here"] == true), "{all}");

    let mut told = Value::Null;
    for _ in 0..100 {
        told = stand.ask("GET", "/api/v1/session/failed", &op, None).await.1;
        if told != json!([]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(told[0]["from"] == "192.0.2.1" && told[0]["way"] == "password" && told[1].is_null(), "{told}");
    assert_eq!(stand.ask("GET", "/api/v1/session/failed", &vi, None).await.1, json!([]), "nobody else's");
}

#[tokio::test]
async fn what_takes_two_people_is_done_in_both_names_and_by_no_one_alone() {
    let stand = stand_with("http://localhost:9181", &["undo", "reload", "people"]);
    let [ane, bo] = ["Ane", "Bo"].map(|name| stand.browser(name, Role::Owner));
    let vi = stand.browser("Vi", Role::Viewer);
    let answer = |id: &str, how: &str| format!("/api/v1/proposals/{id}/{how}");
    let propose = async |method: &str, path: &str, sent: Option<Value>| {
        let (status, told) = stand.ask(method, path, &ane, sent).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{told}");
        serde_json::from_value::<Proposal>(told).expect("a proposal").id
    };
    let (_, mut seen) = stand.app.live.follow(None);
    for (method, path, sent, done) in [
        ("POST", "/api/v1/measures/r-81/undo", None, "Undo(RuleId(81)) by Ane and Bo"),
        ("POST", "/api/v1/reload", None, "reload by Ane and Bo"),
        ("DELETE", "/api/v1/people/Vi", None, "the account of Vi was ended by Ane and Bo"),
        (
            "POST",
            "/api/v1/people",
            Some(json!({"name": "Dag", "role": "viewer"})),
            "Dag was invited as viewer by Ane and Bo",
        ),
    ] {
        let id = propose(method, path, sent).await;
        let told = stand.asked();
        assert!(told.len() == 1 && told[0].starts_with("Ane proposed: ") && told[0].ends_with(" by Ane"), "{told:?}");
        assert!(seen.try_recv().expect("it is told").data.contains("\"kind\":\"proposal\""));
        assert_eq!(
            stand.ask("POST", &answer(&id, "approve"), &ane, None).await.0,
            StatusCode::FORBIDDEN,
            "{path}: her own"
        );
        let (_, all) = stand.ask("GET", "/api/v1/proposals", &bo, None).await;
        assert_eq!(all[0]["id"], json!(id), "{all}");
        let (status, told) = stand.ask("POST", &answer(&id, "approve"), &bo, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {told}");
        assert_eq!(stand.asked().last().map(String::as_str), Some(done), "{path}");
        assert!(seen.try_recv().expect("it is told").data.contains("Bo approved what Ane proposed"));
        assert_eq!(
            stand.ask("POST", &answer(&id, "approve"), &bo, None).await.0,
            StatusCode::NOT_FOUND,
            "{path}: once"
        );
    }
    assert_eq!(stand.ask("GET", "/api/v1/now", &vi, None).await.0, StatusCode::UNAUTHORIZED, "Vi is gone");

    // Refused, and what the policy does not ask two people for.
    let id = propose("POST", "/api/v1/measures/r-82/undo", None).await;
    assert_eq!(stand.ask("POST", &answer(&id, "refuse"), &bo, None).await.0, StatusCode::OK);
    assert_eq!(stand.ask("POST", &answer(&id, "approve"), &bo, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(stand.ask("POST", "/api/v1/measures/r-81/pin", &ane, None).await.0, StatusCode::OK, "alone");

    // By a token of hers: then she is the same person, and of his: then nobody is there.
    stand.asked();
    let token = async |of: &Browser| {
        let wanted = json!({"name": "wall", "role": "owner", "days": 1});
        let (_, made) = stand.ask("POST", "/api/v1/tokens", of, Some(wanted)).await;
        made["secret"].as_str().expect("text").to_owned()
    };
    let (hers, his) = (token(&ane).await, token(&bo).await);
    let with = async |secret: &str, path: &str| {
        let mut request = request("POST", path, &Browser::default(), None);
        let value = HeaderValue::from_str(&format!("Bearer {secret}")).expect("a header");
        request.headers_mut().insert("authorization", value);
        let (status, _, told) = stand.send(request).await;
        (status, told)
    };
    let (status, told) = with(&hers, "/api/v1/measures/r-83/undo").await;
    assert_eq!((status, &told["by"]), (StatusCode::ACCEPTED, &json!("Ane (wall)")));
    let id = told["id"].as_str().expect("text").to_owned();
    assert_eq!(stand.ask("POST", &answer(&id, "approve"), &ane, None).await.0, StatusCode::FORBIDDEN);
    for secret in [&hers, &his] {
        assert_eq!(with(secret, &answer(&id, "approve")).await.0, StatusCode::FORBIDDEN);
    }
    // Whoever proposed it may do less by now.
    stand.app.people.set_role("Ane", Role::Viewer).expect("changed");
    assert_eq!(stand.ask("POST", &answer(&id, "approve"), &bo, None).await.0, StatusCode::FORBIDDEN);
    assert!(!stand.asked().iter().any(|it| it.starts_with("Undo")), "nothing of it was done");
}

#[tokio::test]
async fn what_an_application_may_run_is_decided_by_two_who_see_the_same() {
    let stand = stand_with("http://localhost:9181", &["statements", "reload"]);
    let [ane, bo] = ["Ane", "Bo"].map(|name| stand.browser(name, Role::Owner));
    let one = "approve of role app on public: SELECT \u{fffd}[2J ? FROM members; it reaches rows to 1e2";
    for (method, path, sent, words, done) in [
        (
            "POST",
            "/api/v1/databases/public/approve",
            json!({"role": "app", "key": "0a", "mark": "k"}),
            one,
            "key: Some(\"0a\"), mark: \"k\" }",
        ),
        (
            "POST",
            "/api/v1/databases/public/approve",
            json!({"role": "app", "mark": "m"}),
            "approve 2 statements of role app on public",
            "key: None, mark: \"m\" }",
        ),
        (
            "PUT",
            "/api/v1/databases/public/stage",
            json!({"role": "app", "stage": "enforce"}),
            "let role app of public enforce",
            "stage: \"enforce\", despite: false }",
        ),
        (
            "POST",
            "/api/v1/data/budgets",
            json!({"place": "public/list", "records": 60}),
            "change the configuration: 1 lines more, 0 less; 60 records of public/list",
            "\"[server]\\n[data]\\n\" because 60 records of public/list",
        ),
    ] {
        let (status, told) = stand.ask(method, path, &ane, Some(sent)).await;
        assert_eq!((status, &told["words"]), (StatusCode::ACCEPTED, &json!(words)), "{told}");
        let path = format!("/api/v1/proposals/{}/approve", told["id"].as_str().expect("text"));
        assert_eq!(stand.ask("POST", &path, &bo, None).await.0, StatusCode::OK);
        let last = stand.asked().pop().expect("it is done");
        assert!(last.ends_with(&format!("{done} by Ane and Bo")), "{last}");
    }
    for (path, sent, status) in [
        ("/api/v1/databases/public/approve", json!({"role": "app", "key": "0b", "mark": "k"}), 409),
        ("/api/v1/databases/public/approve", json!({"role": "other", "mark": "k"}), 409),
        ("/api/v1/databases/other/approve", json!({"role": "app", "mark": "k"}), 404),
        ("/api/v1/databases/public/approve", json!({"role": "app", "mark": ""}), 422),
        ("/api/v1/data/budgets", json!({"place": "public/list", "records": 0}), 422),
        ("/api/v1/data/budgets", json!({"place": "public/list", "records": 60, "base": "8f"}), 412),
        ("/api/v1/incidents/1/reports", json!({"form": "f", "to": "t", "sha256": "g".repeat(64)}), 422),
        ("/api/v1/incidents/1/assurances", json!({"copy": "members", "intact": true, "words": " "}), 422),
        ("/api/v1/incidents", json!({"because": " "}), 422),
    ] {
        assert_eq!(stand.ask("POST", path, &ane, Some(sent.clone())).await.0.as_u16(), status, "{path} {sent}");
    }
    assert_eq!(stand.asked(), [""; 0], "nothing of it was done");
}

#[tokio::test]
async fn a_passkey_signs_in_without_a_name() {
    let stand = stand_at("http://localhost:9181");
    let (op, nobody) = (stand.browser("Op", Role::Operator), Browser::default());
    let mut device = Device::new("http://localhost:9181", "localhost");
    let (status, options) = stand.ask("POST", "/api/v1/session/passkeys", &op, None).await;
    assert_eq!((status, &options["rp"]["id"]), (StatusCode::OK, &json!("localhost")), "{options}");
    let sent = serde_json::to_value(device.make(&options)).expect("JSON");
    let (status, done) = stand.ask("PUT", "/api/v1/session/passkeys", &op, Some(sent)).await;
    assert_eq!((status, &done["words"]), (StatusCode::OK, &json!("Passkey 1 signs you in from now on.")), "{done}");

    let (_, options) = stand.ask("POST", "/api/v1/session/passkey", &nobody, None).await;
    assert_eq!(options["allowCredentials"], json!([]), "nobody learns who is known here");
    let answer = serde_json::to_value(device.sign(&options)).expect("JSON");
    let enter = || stand.send(request("PUT", "/api/v1/session/passkey", &nobody, Some(answer.clone())));
    let (status, headers, session) = enter().await;
    assert_eq!((status, &session["person"]["name"]), (StatusCode::OK, &json!("Op")), "{session}");
    assert_eq!((&session["person"]["passkeys"], &session["ways"]), (&json!(1), &json!(["password", "passkey"])));
    let cookie = headers.get("set-cookie").and_then(|it| it.to_str().ok()).expect("a cookie");
    let cookie = cookie.split(['=', ';']).nth(1).expect("a value").to_owned();
    let entered = Browser { cookie, csrf: session["csrf"].as_str().expect("text").to_owned() };
    assert_eq!(enter().await.0, StatusCode::UNAUTHORIZED, "once");

    let (_, all) = stand.ask("GET", "/api/v1/session/passkeys", &entered, None).await;
    let id = all[0]["id"].as_str().expect("one").to_owned();
    let (status, _) = stand.ask("DELETE", &format!("/api/v1/session/passkeys/{id}"), &entered, None).await;
    assert_eq!(status, StatusCode::OK);
    let told = stand.asked();
    assert!(told.contains(&"a passkey was added: Passkey 1 by Op".to_owned()), "{told:?}");

    let plain = self::stand();
    let (status, told) = plain.ask("POST", "/api/v1/session/passkey", &nobody, None).await;
    assert!(
        status == StatusCode::CONFLICT && told["detail"].as_str().is_some_and(|it| it.contains("https://")),
        "{told}"
    );
    assert_eq!(plain.ask("GET", "/api/v1/session", &nobody, None).await.1["ways"], json!(["password"]));
}

#[tokio::test]
async fn a_token_opens_its_parts_and_no_more() {
    let stand = stand();
    let owner = stand.browser("Ow", Role::Owner);
    let wanted = json!({"name": "wall", "role": "operator", "scopes": ["now", "measures"], "days": 7});
    let (status, made) = stand.ask("POST", "/api/v1/tokens", &owner, Some(wanted)).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    let token: Token = serde_json::from_value(made["token"].clone()).expect("a token");
    let secret = made["secret"].as_str().expect("text");
    let with = |method: &str, path: &str, sent: Option<Value>| {
        let mut request = request(method, path, &Browser::default(), sent);
        let value = HeaderValue::from_str(&format!("Bearer {secret}")).expect("a header");
        request.headers_mut().insert("authorization", value);
        request
    };
    for (method, path, sent, status) in [
        ("GET", "/api/v1/now", None, 200),
        ("POST", "/api/v1/measures/r-1/undo", None, 200),
        ("GET", "/api/v1/history", None, 403),
        ("GET", "/api/v1/people", None, 403),
        ("POST", "/api/v1/session/totp", None, 403),
    ] {
        assert_eq!(stand.send(with(method, path, sent)).await.0.as_u16(), status, "{method} {path}");
    }
    assert!(stand.asked().iter().any(|it| it.ends_with("by Ow (wall)")), "its acts bear both names");
    let (status, _) = stand.ask("DELETE", &format!("/api/v1/tokens/{}", token.id), &owner, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(stand.send(with("GET", "/api/v1/now", None)).await.0, StatusCode::UNAUTHORIZED);
    for wrong in [
        json!({"name": "x", "role": "owner", "scopes": ["everything"], "days": 7}),
        json!({"name": "x", "role": "owner", "days": 0}),
        json!({"name": "", "role": "owner", "days": 7}),
    ] {
        let (status, _) = stand.ask("POST", "/api/v1/tokens", &owner, Some(wrong.clone())).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
}

#[tokio::test]
async fn faults_are_problems_that_say_what_to_do() {
    let stand = stand();
    let vi = stand.browser("Vi", Role::Viewer);
    for (path, status, detail) in [
        ("/api/v1/explain/r-9", StatusCode::NOT_FOUND, "r-9 is not known"),
        ("/api/v1/incidents", StatusCode::SERVICE_UNAVAILABLE, "no evidence is kept"),
        ("/api/v1/nothing", StatusCode::NOT_FOUND, "there is nothing here: /api/v1/openapi.json says what there is"),
    ] {
        let (got, headers, told) = stand.send(request("GET", path, &vi, None)).await;
        assert_eq!((got, told["detail"].as_str()), (status, Some(detail)), "{path}");
        assert_eq!(headers.get(CONTENT_TYPE).expect("a kind"), "application/problem+json");
    }
    let long = Body::from(vec![b'x'; BODY_BYTES + 1]);
    let request = Request::builder().method(Method::POST).uri("/api/v1/session").header("host", "localhost");
    let (status, ..) =
        stand.send(request.header("content-type", "application/json").body(long).expect("a request")).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_live_stream_resumes() {
    let stand = stand();
    let vi = stand.browser("Vi", Role::Viewer);
    let words = |words: &str| Happening { words: words.to_owned(), ..Happening::default() };
    stand.app.live.tell(&words("seen"));
    let seen = stand.app.live.follow(None).0[0].id;
    stand.app.live.tell(&words("missed"));
    let mut again = request("GET", "/api/v1/live", &vi, None);
    again.headers_mut().insert("last-event-id", seen.into());
    let response = stand.router.clone().oneshot(again).await.expect("an answer");
    assert_eq!(response.headers().get(CONTENT_TYPE).expect("a kind"), "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    let mut text = String::new();
    while !text.contains("coming") {
        let chunk =
            timeout(Duration::from_secs(10), futures_util::StreamExt::next(&mut stream)).await.expect("in time");
        text.push_str(&String::from_utf8_lossy(&chunk.expect("more").expect("whole")));
        if text.contains("event: now") && !text.contains("coming") {
            stand.app.live.tell(&words("coming"));
        }
    }
    assert!(text.contains("missed") && !text.contains("\"seen\""), "{text}");
    assert!(text.contains(&format!("id: {}", seen + 1)), "{text}");
}

#[test]
fn the_document_is_of_the_form_that_it_says() {
    let document: Value = serde_json::from_str(&document()).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    for (path, item) in document["paths"].as_object().expect("paths") {
        assert!(path.starts_with("/api/v1/"), "{path}");
        for operation in item.as_object().expect("operations").values() {
            assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{path}: {operation}");
            assert!(operation["responses"]["default"].is_object(), "{path}");
        }
    }
    let text = document.to_string();
    for (at, _) in text.match_indices("#/components/schemas/") {
        let name: String = text[at + 21..].chars().take_while(|c| *c != '"').collect();
        assert!(document["components"]["schemas"][&name].is_object(), "{name} is not described");
    }
}

#[tokio::test]
async fn a_configuration_is_changed_by_who_has_seen_it() {
    let stand = stand();
    let (owner, viewer) = (stand.browser("Ow", Role::Owner), stand.browser("Vi", Role::Viewer));
    let path = "/api/v1/configuration";
    for (browser, masked, word) in [(&owner, false, "whole"), (&viewer, true, "masked")] {
        assert_eq!(stand.ask("GET", path, browser, None).await.1["masked"], masked);
        let sent = Some(json!({"text": "x"}));
        let (_, told) = stand.ask("POST", "/api/v1/configuration/check", browser, sent).await;
        assert_eq!(told["diff"][0]["text"], word);
    }
    for (browser, word) in [(&owner, "whole"), (&viewer, "masked")] {
        assert_eq!(stand.ask("GET", "/api/v1/configuration/effective", browser, None).await.1["text"], word);
    }
    let (draft, table) = ("/api/v1/configuration/draft", json!([{"table": "platform", "name": "public"}]));
    let edit = |value: Value| json!({"changes": [{"at": table, "act": "set", "key": "hosts", "value": value}]});
    for (browser, word) in [(&owner, "None 1 whole"), (&viewer, "None 1 masked")] {
        let (status, told) = stand.ask("POST", draft, browser, Some(edit(json!(["a.example"])))).await;
        assert_eq!((status, &told["text"]), (StatusCode::OK, &json!(word)));
    }
    assert_eq!(stand.ask("GET", "/api/v1/configuration/keys", &viewer, None).await.1[0]["path"], "server");
    for odd in [json!(1.5), json!({"a": 1}), json!([1.5]), json!([["a"]])] {
        let (status, told) = stand.ask("POST", draft, &owner, Some(edit(odd))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
    }
    let restore = "/api/v1/configuration/versions/1/restore";
    for (method, path, sent, status, words) in [
        ("PUT", path, json!({"text": "x", "base": BASE, "why": " a shop "}), 200, "\"x\" because a shop by Ow"),
        ("POST", restore, json!({"base": BASE}), 200, "\"[earlier]\\n\" because  by Ow"),
        ("PUT", path, json!({"text": "x", "base": "8f"}), 412, "changed meanwhile"),
        ("POST", restore, json!({"base": "8f"}), 412, "changed meanwhile"),
        ("PUT", path, json!({"text": "bogus", "base": BASE}), 422, "line 2, column 3: no such key"),
        ("PUT", path, json!({"text": "x", "base": BASE, "why": "two\nlines"}), 422, "one line"),
        ("PUT", path, json!({"text": "x", "base": BASE, "why": "x".repeat(301)}), 422, "300 characters"),
        ("POST", "/api/v1/configuration/versions/2/restore", json!({"base": BASE}), 404, "there is none"),
    ] {
        let (got, told) = stand.ask(method, path, &owner, Some(sent)).await;
        assert_eq!(got.as_u16(), status, "{path}: {told}");
        let asked = stand.asked();
        assert_eq!(asked.len(), usize::from(status == 200), "{asked:?}");
        let said = asked.first().map_or_else(|| told["detail"].to_string(), String::clone);
        assert!(said.contains(words), "{path}: {said}");
    }
}

#[tokio::test]
async fn two_people_for_a_reload_are_two_people_for_a_change() {
    let stand = stand_with("http://console.example.org:9181", &["reload"]);
    let (owner, other) = (stand.browser("Ow", Role::Owner), stand.browser("Ot", Role::Owner));
    let sent = Some(json!({"text": "x", "base": BASE, "why": "a shop"}));
    let (status, told) = stand.ask("PUT", "/api/v1/configuration", &owner, sent).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    // Whoever approves it sees what changes, and nobody sees what is secret.
    assert_eq!((&told["diff"][0]["text"], &told["act"]), (&json!("masked"), &json!("reload")));
    stand.asked();
    let approve = format!("/api/v1/proposals/{}/approve", told["id"].as_str().expect("an id"));
    assert_eq!(stand.ask("POST", &approve, &other, None).await.0, StatusCode::OK);
    assert!(stand.asked().iter().any(|it| it == "\"x\" because a shop by Ow and Ot"));
}

#[tokio::test]
async fn decisions_are_searched_as_they_were_asked_for_and_within_bounds() {
    let stand = stand();
    let browser = stand.browser("Vi", Role::Viewer);
    let path = "/api/v1/requests?platform=public&from=5&until=9&client=203.0.113.0/24&verdict=roomed&status=429&text=%20x%20\
                &route=&cursor=a-1&most=100000";
    let (status, told) = stand.ask("GET", path, &browser, None).await;
    assert_eq!((status, &told["next"]), (StatusCode::OK, &json!("a-1")), "{told}");
    let wish = Wish {
        client: portcullis_types::Prefix::parse("203.0.113.0/24").ok(),
        verdict: Some("roomed".to_owned()),
        status: Some(429),
        text: Some("x".to_owned()),
        ..Wish::default()
    };
    assert_eq!(stand.asked(), [format!("Some(\"public\") 4 {wish:?} Some(\"a-1\") 200")]);
    let long = format!("/api/v1/requests?text={}", "x".repeat(257));
    let (status, _) = stand.ask("GET", &long, &browser, None).await;
    assert_eq!((status, stand.asked().len()), (StatusCode::UNPROCESSABLE_ENTITY, 0));
}

#[tokio::test]
async fn a_reload_says_anew_what_takes_two_people_and_who_is_told() {
    let stand = stand();
    let op = stand.browser("Op", Role::Operator);
    let undo = "/api/v1/measures/r-81/undo";
    assert_eq!(stand.ask("POST", undo, &op, None).await.0, StatusCode::OK);
    let now = stand.app.current.get();
    let approvals = vec!["undo".to_owned()];
    let moved = PathBuf::from("/elsewhere");
    stand.app.current.adopt(Settings {
        approvals,
        directory: moved,
        organisation: "Others".to_owned(),
        ..Settings::clone(&now)
    });
    assert_eq!(stand.ask("POST", undo, &op, None).await.0, StatusCode::ACCEPTED);
    assert_eq!(stand.ask("GET", "/api/v1/session", &op, None).await.1["organisation"], "Others");
    assert_eq!(stand.app.current.get().directory, now.directory, "accounts stay where they are");
}
