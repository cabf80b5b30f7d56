//! Personal data and incidents in the console of a gate that runs: what a database may be asked is decided by two people, a budget comes
//! in force, an incident that the gate cannot see is opened, and all of it is taken along and verifies offline.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_suite::postgres::{Postgres, programs};
use portcullis_suite::{
    Gate, Next, Origin, Plan, Response, Wire, eventually, free_address, free_port, place, respond, run,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
/// A report tries what watches before it is written.
const REPORT: Duration = Duration::from_secs(150);
const PASSWORD: &str = "heron lantern gravel soup";

/// Somebody who is signed in.
struct Person {
    at: SocketAddr,
    headers: String,
}

impl Person {
    /// By a link that `portcullis console link` prints.
    fn enter(gate: &Gate, at: SocketAddr, name: &str, role: &str) -> Self {
        let link = gate.command(&["console", "link", "--config", "gate.toml", "--role", role]);
        let secret = link.stdout.trim().split_once("/welcome#").expect("a link").1;
        let nobody = Self { at, headers: String::new() };
        let entered =
            nobody.ask("POST", "/api/v1/welcome", &json!({"link": secret, "name": name, "password": PASSWORD}));
        assert_eq!(entered.status, 200, "{}", entered.text());
        let cookie = entered.header("set-cookie").and_then(|it| it.split(';').next()).expect("a cookie").to_owned();
        let csrf = entered.json()["csrf"].as_str().expect("a session has one").to_owned();
        Self { at, headers: format!("Cookie: {cookie}\r\nX-Portcullis-Csrf: {csrf}\r\n") }
    }

    fn ask(&self, method: &str, path: &str, sent: &Value) -> Response {
        let (at, headers) = (self.at, &self.headers);
        let body = if method == "GET" { String::new() } else { sent.to_string() };
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\n{headers}");
        let mut wire = Wire::plain(at);
        wire.patience(REPORT);
        let answer = wire.ask(format!("{head}Content-Length: {length}\r\n\r\n{body}"));
        answer.unwrap_or_else(|broken| panic!("{path}: {broken:?}"))
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, &Value::Null);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// What is asked waits for a second person; its name.
    fn propose(&self, method: &str, path: &str, sent: &Value) -> String {
        let answer = self.ask(method, path, sent);
        assert_eq!(answer.status, 202, "{path}: {}", answer.text());
        answer.json()["id"].as_str().expect("a proposal has a name").to_owned()
    }

    fn approve(&self, id: &str) -> Response {
        self.ask("POST", &format!("/api/v1/proposals/{id}/approve"), &Value::Null)
    }
}

/// Whether a statement is refused by the gate; anything else that fails is a fault of the test.
fn refused(server: &Postgres, port: u16, sql: &str) -> bool {
    let output = server.client("psql", port, "", &["-c", sql], PATIENCE);
    assert!(output.success || output.stderr.contains("reference"), "{sql}: {}", output.stderr);
    !output.success
}

#[test]
fn two_people_decide_what_a_database_may_be_asked() {
    let Some(programs) = programs("statements in the console") else { return };
    let server = Postgres::start(&programs.servers.first().expect("one is installed").1, "console-statements", None);
    let table = "create table members (id int primary key, email text, name text); \
                 insert into members select n, 'm' || n || '@example.org', 'smith' || n from generate_series(1, 20000) n";
    server.sql(server.address().port(), "", table);
    let (state, at, port) = (place("console-statements-state"), free_address(), free_port());
    let gate = Plan::new("console-statements")
        .table(&format!(
            "[defence]\nstate = {state:?}\n[console]\nlisten = \"{at}\"\napprovals = [\"statements\"]\n\
             [[database]]\nname = \"db\"\nlisten = \"127.0.0.1:{port}\"\nupstream = \"{}\"\nmode = \"enforce\"\nbook = \"db.book\"\n",
            server.address()
        ))
        .upstream(&["http://127.0.0.1:9".to_owned()], "")
        .start();
    let [ane, bo] = ["Ane", "Bo"].map(|name| Person::enter(&gate, at, name, "operator"));
    let vi = Person::enter(&gate, at, "Vi", "viewer");
    let stage = |stage: &str| ("PUT", "/api/v1/databases/db/stage", json!({"role": "admin", "stage": stage}));
    let both = |(method, path, sent): (&str, &str, Value)| bo.approve(&ane.propose(method, path, &sent));
    let database = || vi.get("/api/v1/databases")[0].clone();
    let role = || {
        let all = database();
        let roles = all["roles"].as_array().expect("roles").clone();
        roles.into_iter().find(|it| it["role"] == "admin").unwrap_or_default()
    };
    let approval = |key: Option<&str>, mark: &Value| {
        ("POST", "/api/v1/databases/db/approve", json!({"role": "admin", "key": key, "mark": mark}))
    };

    assert_eq!(vi.ask("PUT", "/api/v1/databases/db/stage", &stage("learn").2).status, 403);
    let learn = both(stage("learn"));
    assert_eq!(learn.status, 200, "{}", learn.text());
    let page = "select id, email from members order by id limit 20";
    assert!(!refused(&server, port, page));
    let waiting = database();
    let one = &waiting["waiting"][0];
    let form = one["form"].as_str().expect("it has a form");
    assert!(waiting["total"] == 1 && form.contains("limit ?") && !form.contains("20"), "{waiting}");
    assert!(one["approved"].is_null() && one["refused"] == false, "{waiting}");
    assert_eq!((&role()["stage"], &role()["waiting"]), (&json!("learn"), &json!(1)));
    let early = both(stage("enforce"));
    assert_eq!(early.status, 409, "{}", early.text());

    // What is approved is what was proposed, by another than who proposed it.
    let (method, path, sent) = approval(None, &role()["mark"]);
    let proposed = ane.propose(method, path, &sent);
    let told = bo.get("/api/v1/proposals");
    assert_eq!(
        (&told[0]["person"], &told[0]["words"]),
        (&json!("Ane"), &json!("approve 1 statements of role admin on db"))
    );
    assert_eq!(ane.approve(&proposed).status, 403, "her own");
    assert!(!refused(&server, port, "select name from members where id = 7"));
    let other = bo.approve(&proposed);
    assert!(other.status == 409 && other.text().contains("look again"), "{}", other.text());
    assert_eq!(role()["approved"], 0, "nothing of it was done");
    let done = both(approval(None, &role()["mark"]));
    assert!(done.status == 200 && done.text().contains("approved 2 statements"), "{}", done.text());
    assert_eq!((role()["approved"].clone(), role()["mark"].clone()), (json!(2), Value::Null));
    assert_eq!(both(stage("enforce")).status, 200);

    // It runs, and what reaches further does not, until two have said so.
    assert!(!refused(&server, port, page) && !refused(&server, port, "select name from members where id = 4711"));
    assert!(refused(&server, port, "select name from members where id = 7 or 1 = 1"));
    let further = "select id, email from members order by id limit 2000000";
    assert!(refused(&server, port, further));
    let all = database();
    let waits = all["waiting"].as_array().expect("a list");
    let found = waits.iter().find(|it| it["further"].is_string()).unwrap_or_else(|| panic!("{all}"));
    assert!(waits.iter().any(|it| it["refused"] == true && it["approved"].is_null()), "{all}");
    let (key, mark) = (found["key"].as_str().expect("a number"), &found["mark"]);
    let wrong = both(approval(Some(key), &json!("0000000000000000")));
    assert_eq!(wrong.status, 409, "{}", wrong.text());
    assert!(refused(&server, port, further));
    let right = both(approval(Some(key), mark));
    assert_eq!(right.status, 200, "{}", right.text());
    assert!(!refused(&server, port, further));
    assert!(refused(&server, port, "select name from members where id = 7 or 1 = 1"), "nobody has said so");

    let written = fs::read_to_string(gate.place().join("db.book")).expect("the book");
    assert!(written.contains("admin = \"enforce\"") && !written.contains("4711"), "{written}");
    let told = gate.journal().find(|record| record.to_string().contains("learn -> enforce"));
    assert!(told.is_some_and(|record| record.to_string().contains("Ane and Bo")), "both names are in the log");
}

/// A gate with evidence, a copy with two ways to it, and a route.
fn guarded(name: &str) -> (Gate, SocketAddr, PathBuf, Origin) {
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep));
    let (state, at) = (place(&format!("{name}-state")), free_address());
    let evidence = state.join("evidence");
    let gate = Plan::new(name)
        .table(&format!(
            "[defence]\nstate = {state:?}\n[evidence]\ndirectory = {evidence:?}\n[console]\nlisten = \"{at}\"\n\
             [[copies]]\nname = \"site\"\nwhat = \"web\"\nholder = \"us\"\n\
             [[copies.path]]\nname = \"http/main\"\ncustody = \"guarded\"\n\
             [[copies.path]]\nname = \"backups\"\ncustody = \"unguarded\"\n"
        ))
        .upstream(&[origin.url()], "[[platform.route]]\npath = \"/list\"\n")
        .start();
    (gate, at, evidence, origin)
}

#[test]
fn copies_canaries_and_budgets_are_seen_and_decided() {
    let (gate, at, _, _origin) = guarded("console-copies");
    let (ane, vi) = (Person::enter(&gate, at, "Ane", "owner"), Person::enter(&gate, at, "Vi", "viewer"));
    let paths = || vi.get("/api/v1/data/register")[0]["paths"].clone();
    let covered = || paths()[0]["covered"].as_f64().is_some_and(|share| share > 0.5 && share <= 1.0);
    assert!(eventually(PATIENCE, || covered() && paths()[0]["since"].is_u64()), "{}", paths());
    let all = paths();
    assert_eq!((&all[1]["custody"], &all[1]["covered"]), (&json!("unguarded"), &Value::Null), "{all}");

    assert_eq!(vi.get("/api/v1/data/canaries")["canaries"], json!([]));
    let made = gate.command(&["canary", "new", "--kind", "id", "--config", "gate.toml"]);
    assert!(made.success, "{}", made.stderr);
    let book = vi.get("/api/v1/data/canaries");
    assert_eq!((&book["canaries"][0]["kind"], &book["declared"]), (&json!("id"), &json!(false)), "{book}");
    let value = made.stdout.lines().last().and_then(|line| line.split(',').nth(1)).expect("its value").to_owned();
    assert!(!book.to_string().contains(&value), "no value leaves");

    let budget = |place: &str| json!({"place": place, "records": 60});
    let config = || fs::read_to_string(gate.config()).expect("the configuration");
    let before = config();
    assert_eq!(vi.ask("POST", "/api/v1/data/budgets", &budget("main/list")).status, 403);
    assert_eq!(ane.ask("POST", "/api/v1/data/budgets", &budget("main/nowhere")).status, 409);
    assert_eq!(config(), before, "nothing was changed");
    let put = ane.ask("POST", "/api/v1/data/budgets", &budget("main/list"));
    assert_eq!(put.status, 200, "{}", put.text());
    assert!(config().contains("[[platform.route.budget]]") && config().contains("records = 60"), "{}", config());
    let told = gate.journal().find(|record| record.to_string().contains("data approve main/list"));
    assert!(told.is_some_and(|record| record.to_string().contains("Ane")), "under her name");
}

#[test]
fn an_incident_is_opened_by_hand_and_taken_along() {
    let (gate, at, _, _origin) = guarded("console-casework");
    let (ane, vi) = (Person::enter(&gate, at, "Ane", "operator"), Person::enter(&gate, at, "Vi", "viewer"));
    let open = |platform: &str| json!({"because": "A laptop was stolen.", "platforms": [platform]});
    assert_eq!(vi.ask("POST", "/api/v1/incidents", &open("main")).status, 403);
    assert_eq!(ane.ask("POST", "/api/v1/incidents", &open("nowhere")).status, 409);
    let opened = ane.ask("POST", "/api/v1/incidents", &open("main"));
    assert_eq!(opened.status, 200, "{}", opened.text());
    let list = || vi.get("/api/v1/incidents");
    assert!(eventually(PATIENCE, || list()[0]["words"].as_str().is_some_and(|it| it.contains("laptop"))), "{}", list());
    let id = list()[0]["id"].as_str().expect("a name").to_owned();
    let again = || ane.ask("POST", "/api/v1/incidents", &open("main"));
    assert_eq!(again().status, 409, "one at a time");

    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let handed = json!({"form": "uk-ico", "to": "ICO", "receipt": "IC-1", "sha256": sha256});
    let reports = format!("/api/v1/incidents/{id}/reports");
    assert_eq!(vi.ask("POST", &reports, &handed).status, 403);
    let put = ane.ask("POST", &reports, &handed);
    assert_eq!(put.status, 200, "{}", put.text());

    // It verifies without us, and a changed byte is found.
    let taken = vi.ask("GET", &format!("/api/v1/incidents/{id}/export"), &Value::Null);
    assert_eq!((taken.status, taken.header("content-type")), (200, Some("application/x-tar")), "{}", taken.text());
    let home = place("console-casework-export");
    let tar = home.join("export.tar");
    fs::write(&tar, &taken.body).expect("written");
    let text = |path: &PathBuf| path.display().to_string();
    let unpacked = run("tar", &["-xf", &text(&tar), "-C", &text(&home)], PATIENCE);
    assert!(unpacked.success, "{}", unpacked.stderr);
    let export = home.join(format!("incident-{id}"));
    let sums =
        || run("sh", &["-c", &format!("cd '{}' && sha256sum --check --quiet SHA256SUMS", export.display())], PATIENCE);
    assert!(sums().success, "{}", sums().stderr);
    let whole = fs::read_to_string(export.join("assessment.json")).expect("the assessment");
    assert!(whole.contains(sha256) && whole.contains("A laptop was stolen."), "what was handed in is in it");
    let key = fs::read_to_string(export.join("ledger.pub")).expect("the key");
    let proofs = fs::read_dir(export.join("proofs")).expect("proofs");
    let proof = proofs.filter_map(|entry| Some(entry.ok()?.path())).next().expect("one at least");
    let checked = run(Gate::binary(), &["ledger", "check", &text(&proof), "--key", key.trim()], PATIENCE);
    assert!(checked.success, "{} {}", checked.stdout, checked.stderr);
    fs::write(export.join("statement.md"), "Nothing happened.\n").expect("written");
    assert!(!sums().success, "it was changed");
}
