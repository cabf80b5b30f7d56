//! The configuration, changed from the console of a gate that runs, and the command line at work through the API.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_suite::{
    Gate, HOST, Next, Origin, Output, Plan, Response, Wire, eventually, free_address, place, respond, run,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "heron lantern gravel soup";
const CONFIGURATION: &str = "/api/v1/configuration";

fn gate(name: &str, origin: &Origin) -> (Gate, SocketAddr, PathBuf) {
    gate_with(name, origin, "")
}

fn gate_with(name: &str, origin: &Origin, more: &str) -> (Gate, SocketAddr, PathBuf) {
    let state = place(&format!("{name}-state"));
    let at = free_address();
    let plan = Plan::new(name)
        .table(&format!("[defence]\nstate = {state:?}\n[console]\nlisten = \"{at}\"\n{more}"))
        .upstream(&[origin.url()], "");
    (plan.start(), at, state)
}

/// A program of somebody's.
struct Program {
    at: SocketAddr,
    token: String,
}

impl Program {
    /// An owner gets in by a link, and makes a token that may no more than that role.
    fn of(gate: &Gate, at: SocketAddr, name: &str, role: &str) -> Self {
        let link = gate.command(&["console", "link", "--config", "gate.toml"]);
        let (_, secret) = link.stdout.trim().split_once("/welcome#").unwrap_or_else(|| panic!("{}", link.stderr));
        let sent = json!({"link": secret, "name": name, "password": PASSWORD});
        let entered = ask(at, "POST", "/api/v1/welcome", "", Some(&sent));
        assert_eq!(entered.status, 200, "{}", entered.text());
        let cookie = entered.header("set-cookie").and_then(|it| it.split(';').next()).expect("a cookie").to_owned();
        let csrf = entered.json()["csrf"].as_str().expect("a session has one").to_owned();
        let headers = format!("Cookie: {cookie}\r\nX-Portcullis-Csrf: {csrf}\r\n");
        let sent = json!({"name": "wall", "role": role, "days": 1});
        let made = ask(at, "POST", "/api/v1/tokens", &headers, Some(&sent)).json();
        Self { at, token: made["secret"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned() }
    }

    fn ask(&self, method: &str, path: &str, sent: Option<&Value>) -> Response {
        ask(self.at, method, path, &format!("Authorization: Bearer {}\r\n", self.token), sent)
    }

    fn get(&self, path: &str) -> Value {
        let response = self.ask("GET", path, None);
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.json()
    }

    fn put(&self, text: &str, base: &Value) -> Response {
        self.ask("PUT", CONFIGURATION, Some(&json!({"text": text, "base": base, "why": "a test"})))
    }

    /// `portcullis ARGUMENTS` through the API.
    fn command(&self, gate: &Gate, arguments: &[&str]) -> Output {
        let token = gate.place().join("token");
        fs::write(&token, &self.token).expect("a file");
        let (url, token) = (format!("http://{}", self.at), token.display().to_string());
        let all: Vec<&str> = arguments.iter().copied().chain(["--url", &url, "--token-file", &token]).collect();
        gate.command(&all)
    }
}

fn ask(at: SocketAddr, method: &str, path: &str, headers: &str, sent: Option<&Value>) -> Response {
    let body = sent.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Wire::plain(at).ask(request).unwrap_or_else(|broken| panic!("{path}: {broken:?}"))
}

fn status_of(gate: &Gate, host: &str) -> u16 {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    Wire::plain(gate.http()).ask(request).map_or(0, |response| response.status)
}

fn records(state: &Path, kind: &str) -> Vec<Value> {
    let (evidence, binary) = (state.join("evidence"), Gate::binary().display().to_string());
    let shown = run(binary, &["ledger", "show", evidence.to_str().expect("text"), "--json", "--kind", kind], PATIENCE);
    let lines = shown.stdout.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.map(|record: Value| record["event"].clone()).collect()
}

#[test]
fn a_change_is_in_force_or_nothing_has_changed() {
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep));
    let (gate, at, state) = gate("console-settings", &origin);
    let file = gate.config().to_owned();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("set");
    let written = || fs::read_to_string(&file).expect("there");
    let ane = Program::of(&gate, at, "Ane", "owner");
    let before = written();
    let seen = ane.get(CONFIGURATION);
    assert_eq!((&seen["text"], &seen["masked"]), (&json!(before), &json!(false)));
    assert_eq!((status_of(&gate, HOST), status_of(&gate, "new.example")), (200, 421));

    // What it would do is told before, and nothing is done.
    let after = before.replace(&format!("hosts = [{HOST:?}]"), &format!("hosts = [{HOST:?}, \"new.example\"]"));
    assert_ne!(after, before);
    let told = ane.ask("POST", "/api/v1/configuration/check", Some(&json!({"text": after}))).json();
    assert_eq!((&told["effect"][0]["place"], &told["effect"][0]["key"]), (&json!("platform main"), &json!("hosts")));
    assert_eq!((&told["more"], &told["less"], written()), (&json!(1), &json!(1), before.clone()));

    let done = ane.put(&after, &seen["digest"]);
    assert_eq!((done.status, written()), (200, after.clone()), "{}", done.text());
    assert_eq!((status_of(&gate, HOST), status_of(&gate, "new.example")), (200, 200));
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o640);
    let changes = || records(&state, "change");
    let by_ane = |change: &Value| change["by"] == "Ane (wall)" && change["words"].to_string().contains("a test");
    assert!(eventually(PATIENCE, || changes().iter().any(by_ane)), "{:?}", changes());
    let logged = gate.journal().records();
    assert!(logged.iter().any(|record| record.to_string().contains("Ane (wall)")), "{logged:?}");

    // What somebody else made of the text before, what is wrong, and what the gate cannot have: nothing has changed.
    let now = ane.get(CONFIGURATION);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let another = format!(
        "{after}\n[[listener]]\nname = \"more\"\nbind = {:?}\n",
        taken.local_addr().expect("an address").to_string()
    );
    let line = 1 + after.lines().position(|line| line.starts_with("hosts")).expect("there");
    let wrong = after.replace("hosts = ", "hosst = ");
    for (text, base, status, words) in [
        (&before, &seen["digest"], 412, "changed meanwhile".to_owned()),
        (&wrong, &now["digest"], 422, format!("line {line}, column 1")),
        (&another, &now["digest"], 409, "more".to_owned()),
        (&after, &now["digest"], 409, "already".to_owned()),
    ] {
        let refused = ane.put(text, base);
        assert_eq!((refused.status, written()), (status, after.clone()), "{}", refused.text());
        assert!(refused.text().contains(&words), "{words}: {}", refused.text());
        assert_eq!((status_of(&gate, HOST), status_of(&gate, "new.example")), (200, 200));
    }

    // Back to what it was, byte for byte, and that can be undone too.
    let versions = ane.get("/api/v1/configuration/versions");
    assert_eq!((versions.as_array().map(Vec::len), &versions[0]["by"]), (Some(1), &json!("Ane (wall)")), "{versions}");
    let id = versions[0]["id"].as_str().expect("a name");
    let restore = format!("/api/v1/configuration/versions/{id}/restore");
    let undone = ane.ask("POST", &restore, Some(&json!({"base": now["digest"]})));
    assert_eq!((undone.status, written()), (200, before.clone()), "{}", undone.text());
    assert_eq!((status_of(&gate, HOST), status_of(&gate, "new.example")), (200, 421));
    assert_eq!(ane.get("/api/v1/configuration/versions").as_array().map(Vec::len), Some(2));

    // Who is told is taken over as well, without a start: a test arrives where nobody was told before.
    let alert = format!("{before}\n[[alert]]\nname = \"duty\"\nkind = \"ntfy\"\nurl = \"{}/SECRET\"\n", origin.url());
    assert_eq!(ane.get("/api/v1/alerts")["channels"], json!([]));
    let now = ane.get(CONFIGURATION);
    let done = ane.put(&alert, &now["digest"]);
    assert_eq!(done.status, 200, "{}", done.text());
    let duty = || ane.get("/api/v1/alerts")["channels"][0].clone();
    assert!(eventually(PATIENCE, || duty()["name"] == "duty"), "{}", duty());
    assert_eq!(ane.ask("POST", "/api/v1/alerts/duty/test", None).status, 200);
    assert!(eventually(PATIENCE, || duty()["sent"] == 1), "{}", duty());

    // Whoever may only look changes nothing, and does not see where messages go.
    let vi = Program::of(&gate, at, "Vi", "viewer");
    let part = vi.get(CONFIGURATION);
    assert!(part["masked"] == true && !part.to_string().contains("SECRET"), "{part}");
    let base = part["digest"].clone();
    assert_eq!(
        (vi.put(&after, &base).status, vi.ask("POST", &restore, Some(&json!({"base": base}))).status),
        (403, 403)
    );
    assert_ne!(written(), after);
}

#[test]
fn a_change_by_form_is_in_force_and_leaves_the_rest_as_it_was_written() {
    const WRITTEN: &str = "\n# Whose gate it is; ask Ane before you touch it.\n[organisation]\nname = \"The Party\" # ours\n\n\
                           # the desk\n[[organisation.contact]]\nname = \"Ada Lind\"\nemail = \"ada@example.net\" # by day\n";
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep));
    let (gate, at, state) = gate_with("console-form", &origin, WRITTEN);
    let written = || fs::read_to_string(gate.config()).expect("there");
    let ane = Program::of(&gate, at, "Ane", "owner");
    let before = written();
    let draft = |who: &Program, changes: Value| {
        let drafted = who.ask("POST", "/api/v1/configuration/draft", Some(&json!({ "changes": changes })));
        assert_eq!(drafted.status, 200, "{}", drafted.text());
        drafted.json()
    };
    let weigh = |text: &Value| ane.ask("POST", "/api/v1/configuration/check", Some(&json!({ "text": text }))).json();
    let keys = ane.get("/api/v1/configuration/keys");
    let platform = keys.as_array().and_then(|all| all.iter().find(|table| table["path"] == "platform"));
    assert_eq!(platform.expect("there")["keys"][1]["name"], "hosts");

    // What is wrong is said of its field, and nothing comes of the rest.
    let [main, ada, bo] = [
        json!([{"table": "platform", "name": "main"}]),
        json!([{"table": "organisation"}, {"table": "contact", "name": "Ada Lind"}]),
        json!([{"table": "organisation"}, {"table": "contact", "name": "Bo \"the\" Holm"}]),
    ];
    let set = |at: &Value, key: &str, value: Value| json!({"at": at, "act": "set", "key": key, "value": value});
    let wrong = draft(&ane, json!([set(&ada, "phone", json!("112")), set(&main, "hosts", json!([]))]));
    assert_eq!((&wrong["misfits"][0]["change"], &wrong["misfits"][0]["key"]), (&json!(1), &json!("hosts")), "{wrong}");
    assert_eq!(wrong["text"], before);

    // Three changes: in the text they are these lines and no other; weighed, and then in force.
    let changes = json!([
        set(&main, "hosts", json!([HOST, "form.example"])),
        set(&ada, "phone", json!("+45 12 34 56 78")),
        {"at": bo, "act": "add"},
        set(&bo, "role", json!("press")),
    ]);
    let after = draft(&ane, changes)["text"].as_str().expect("a text").to_owned();
    let expected =
        before.replace(&format!("hosts = [{HOST:?}]"), &format!("hosts = [{HOST:?}, \"form.example\"]")).replace(
            "\"ada@example.net\" # by day\n",
            "\"ada@example.net\" # by day\nphone = \"+45 12 34 56 78\"\n\n\
             [[organisation.contact]]\nname = 'Bo \"the\" Holm'\nrole = \"press\"\n",
        );
    assert_eq!((written(), &after), (before.clone(), &expected));
    let told = weigh(&json!(after));
    assert_eq!((&told["problems"], &told["later"]), (&json!([]), &json!([])), "{told}");
    let places: Vec<_> = told["effect"].as_array().into_iter().flatten().map(|it| it["place"].clone()).collect();
    assert_eq!(places.len(), 3, "{told}");
    assert_eq!((status_of(&gate, HOST), status_of(&gate, "form.example")), (200, 421));
    let done = ane.put(&after, &told["digest"]);
    assert_eq!((done.status, written()), (200, after.clone()), "{}", done.text());
    assert_eq!((status_of(&gate, HOST), status_of(&gate, "form.example")), (200, 200));
    let by_ane = |change: &Value| change["by"] == "Ane (wall)" && change["words"].to_string().contains("a test");
    assert!(eventually(PATIENCE, || records(&state, "change").iter().any(by_ane)), "{:?}", records(&state, "change"));

    // A whole platform comes, and goes again.
    let shop = json!([{"table": "platform", "name": "shop"}]);
    let coming = json!([
        {"at": shop, "act": "add"},
        set(&shop, "hosts", json!(["shop.example"])),
        set(&shop, "upstreams", json!([origin.url()])),
    ]);
    let with = draft(&ane, coming)["text"].clone();
    let told = weigh(&with);
    assert_eq!(told["problems"], json!([]), "{told}");
    assert_eq!(ane.put(with.as_str().expect("a text"), &told["digest"]).status, 200);
    assert_eq!((status_of(&gate, "shop.example"), status_of(&gate, HOST)), (200, 200));
    let without = draft(&ane, json!([{"at": shop, "act": "remove"}]))["text"].clone();
    let without = without.as_str().expect("a text");
    assert_eq!(without.trim_end(), after.trim_end(), "nothing of it is left");
    let told = weigh(&json!(without));
    assert_eq!(ane.put(without, &told["digest"]).status, 200);
    assert_eq!((status_of(&gate, "shop.example"), status_of(&gate, HOST)), (421, 200));

    // What takes a start is said before it is done.
    let home = gate.config().parent().expect("a directory").to_owned();
    fs::write(home.join("oidc.secret"), "a secret of the provider's\n").expect("written");
    let provider = json!([{"table": "console"}, {"table": "oidc"}]);
    let signing = draft(
        &ane,
        json!([
            set(&provider, "issuer", json!("https://login.example.org")),
            set(&provider, "client_id", json!("gate")),
            set(&provider, "secret_file", json!("oidc.secret")),
            set(&provider, "operator", json!(["gate-operators"])),
        ]),
    );
    let told = weigh(&signing["text"]);
    assert_eq!(told["problems"], json!([]), "{told}");
    assert!(told["later"].to_string().contains("[console.oidc]"), "{told}");

    // Somebody who may only look makes drafts, and puts none in force.
    let vi = Program::of(&gate, at, "Vi", "viewer");
    let seen = draft(&vi, json!([{"at": bo, "act": "remove"}]));
    assert!(!seen["text"].to_string().contains("Holm"), "{seen}");
    assert_eq!(vi.put(seen["text"].as_str().expect("a text"), &told["digest"]).status, 403);

    // And it is undone, byte for byte.
    let versions = ane.get("/api/v1/configuration/versions");
    // Newest first, and the latest three came since.
    let restore = format!("/api/v1/configuration/versions/{}/restore", versions[2]["id"].as_str().expect("a name"));
    let undone = ane.ask("POST", &restore, Some(&json!({"base": told["digest"]})));
    assert_eq!((undone.status, written()), (200, before), "{}", undone.text());
    assert_eq!((status_of(&gate, HOST), status_of(&gate, "form.example")), (200, 421));
}

#[test]
fn the_command_line_acts_through_the_api() {
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep));
    let (gate, at, state) = gate("console-cli", &origin);
    let (op, vi) = (Program::of(&gate, at, "Op", "operator"), Program::of(&gate, at, "Vi", "viewer"));

    let status = vi.command(&gate, &["status"]);
    assert!(status.success && status.stdout.contains("Node suite") && status.stdout.contains("main"), "{status:?}");
    let near = gate.command(&["rules", "list", "--config", "gate.toml", "--json"]);
    let far = vi.command(&gate, &["rules", "list", "--json"]);
    assert_eq!((far.code, &far.stdout), (near.code, &near.stdout), "{far:?}");

    let refused = vi.command(&gate, &["posture", "main", "attack"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let held = op.command(&gate, &["posture", "main", "attack"]);
    assert!(held.success, "{held:?}");
    assert!(vi.command(&gate, &["posture"]).stdout.contains("attack"));
    let acts = || records(&state, "act");
    let by_op = |act: &Value| act["what"] == "posture" && act["by"] == "Op (wall)";
    assert!(eventually(PATIENCE, || acts().iter().any(by_op)), "{:?}", acts());
    let logged = || gate.journal().records().iter().any(|record| record.to_string().contains("Op (wall)"));
    assert!(eventually(PATIENCE, logged));

    let announced = op.command(&gate, &["event", "add", "a debate/1", "--until", "+2h"]);
    assert!(announced.success, "{announced:?}");
    assert!(vi.command(&gate, &["event", "list"]).stdout.contains("a debate/1"));
    assert!(op.command(&gate, &["event", "cancel", "a debate/1"]).success);
    assert!(!vi.command(&gate, &["event", "list"]).stdout.contains("a debate/1"));
    // A rule that is not there is refused in the gate's words, here as there.
    let (near, far) = (
        gate.command(&["rules", "pin", "r-999", "--config", "gate.toml"]),
        op.command(&gate, &["rules", "pin", "r-999"]),
    );
    assert_eq!((far.code, &far.stderr), (near.code, &near.stderr));
    assert!(vi.command(&gate, &["explain", "rate-limited"]).stdout.contains("429"));
    assert!(vi.command(&gate, &["data", "report"]).stdout.contains("Leaving:"));
    let ranking = ["requests", "top", "--by", "platform", "--json"];
    assert!(
        gate.get("/").status == 200 && eventually(PATIENCE, || vi.command(&gate, &ranking).stdout.contains("\"main\""))
    );
    // What was on record is told alike.
    let refused = status_of(&gate, "nobody.example");
    let looked = || op.command(&gate, &["requests", "find", "--since", "10m", "--status", "421", "--json"]).stdout;
    assert!(refused == 421 && eventually(PATIENCE, || looked().contains("nobody.example")), "{}", looked());
    let other = op.command(&gate, &["requests", "find", "--text", "somebody.example"]);
    assert!(other.success && !other.stdout.contains("nobody.example"), "{other:?}");
    let line = || vi.command(&gate, &["requests", "history", "--since", "10m", "--step", "1s"]).stdout;
    let drawn = || Some(line()).is_some_and(|it| it.contains("p95 ms") && !it.contains("Nothing came"));
    assert!(eventually(PATIENCE, drawn), "{}", line());
    let pg = vi.command(&gate, &["pg", "show"]);
    assert!(pg.code == 1 && pg.stderr.contains("no database is guarded"), "{pg:?}");
    // The posture that was held has opened one.
    let listed = || vi.command(&gate, &["incident", "list"]).stdout;
    assert!(eventually(PATIENCE, || listed().contains("open; since")), "{}", listed());
    assert!(op.command(&gate, &["incident", "note", "last", "seen"]).success);
    let second = op.command(&gate, &["incident", "open", "--because", "somebody telephoned"]);
    assert!(second.code == 1 && second.stderr.contains("is open since"), "{second:?}");
    let form = gate.place().join("form.md");
    fs::write(&form, "a form").expect("a file");
    let form = form.display().to_string();
    let handed = ["incident", "report", "last", "uk-ico", "--to", "ICO", "--file", &form, "--receipt", "IC-1"];
    let handed = op.command(&gate, &handed);
    assert!(handed.success, "{handed:?}");
    let export = gate.place().join("export");
    let exported = op.command(&gate, &["incident", "export", "last", &export.display().to_string()]);
    assert!(exported.success && exported.stdout.contains("files in"), "{exported:?}");
    assert!(export.join("SHA256SUMS").exists() && export.join("report.pdf").exists());
    assert_eq!(op.command(&gate, &["reload"]).code, 1, "an operator puts no configuration in force");

    // A record is proved over the API and checked without a gate.
    let page = op.get("/api/v1/ledger?kind=act");
    let index = page["records"][0]["index"].as_u64().unwrap_or_else(|| panic!("{page}"));
    let proof = op.ask("GET", &format!("/api/v1/ledger/{index}/proof"), None);
    let key = vi.ask("GET", "/api/v1/ledger/key", None).text().trim().to_owned();
    let kept = gate.place().join("proof");
    fs::write(&kept, &proof.body).expect("a file");
    let kept = kept.display().to_string();
    let checked = gate.command(&["ledger", "check", &kept, "--key", &key]);
    assert!(checked.success && checked.stdout.contains("posture"), "{checked:?}");
    assert_eq!(op.ask("GET", "/api/v1/ledger/999999999/proof", None).status, 404);
    assert_eq!(vi.ask("GET", &format!("/api/v1/ledger/{index}/proof"), None).status, 403);
    assert!(vi.ask("GET", "/api/v1/ledger/checkpoint", None).text().contains("suite"));
}

/// `portcullis ARGUMENTS` beside the gate and from elsewhere say the same and end alike.
fn alike(gate: &Gate, who: &Program, arguments: &[&str]) -> Output {
    let config = gate.config().display().to_string();
    let near = gate.command(&[arguments, &["--config", &config]].concat());
    let far = who.command(gate, arguments);
    let told = |output: &Output| (output.code, output.stdout.clone(), output.stderr.clone());
    assert_eq!(told(&far), told(&near), "{arguments:?}");
    far
}

#[test]
fn the_command_line_changes_a_configuration_elsewhere_as_it_was_shown() {
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep));
    let state = place("console-cli-change-state");
    let [at, database] = [free_address(), free_address()];
    let plan = Plan::new("console-cli-change")
        .table(&format!("[defence]\nstate = {state:?}\n[console]\nlisten = \"{at}\"\n"))
        .table(&format!("[[database]]\nname = \"db\"\nlisten = \"{database}\"\nupstream = \"{}\"\n", origin.address()))
        .upstream(&[origin.url()], "[[platform.route]]\npath = \"/list/**\"\n");
    let gate = plan.start();
    let [ow, op, vi] =
        [("Ow", "owner"), ("Op", "operator"), ("Vi", "viewer")].map(|(name, role)| Program::of(&gate, at, name, role));
    let written = || fs::read_to_string(gate.config()).expect("there");
    let before = written();

    // What is looked at is told alike.
    let attack = "GET /list/1?text=the+credit%27+union+select+password+from+users--+- HTTP/1.1";
    let attack = Wire::plain(gate.http()).ask(format!("{attack}\r\nHost: {HOST}\r\nUser-Agent: x\r\n\r\n"));
    assert_eq!(attack.expect("an answer").status, 403);
    let told = || vi.command(&gate, &["waf", "report"]);
    assert!(eventually(PATIENCE, || told().stdout.contains("main/list/**: 1 refused")), "{:?}", told());
    alike(&gate, &vi, &["waf", "report"]);
    alike(&gate, &vi, &["waf", "report", "--json"]);
    let tuned = alike(&gate, &vi, &["tune"]);
    assert!(tuned.success && tuned.stdout.contains("sql ARGS_GET:text"), "{tuned:?}");
    alike(&gate, &vi, &["tune", "--json"]);
    alike(&gate, &ow, &["show", "--effective"]);
    alike(&gate, &vi, &["canary", "list"]);
    assert!(!alike(&gate, &vi, &["diff"]).success, "nothing is watched");
    let own = vi.command(&gate, &["check"]);
    assert!(own.success && own.stdout.contains("in order: "), "{own:?}");
    let wrong = gate.place().join("wrong.toml");
    fs::write(&wrong, before.replace("hosts = ", "hosst = ")).expect("written");
    let wrong = wrong.display().to_string();
    let [near, far] = [gate.command(&["check", "--config", &wrong]), vi.command(&gate, &["check", "--config", &wrong])];
    assert_eq!((far.code, &far.stdout, &far.stderr), (near.code, &near.stdout, &near.stderr));
    assert!(far.code == 1 && far.stderr.contains("hosst"), "{far:?}");
    assert_eq!(vi.command(&gate, &["version"]).stdout, gate.command(&["version"]).stdout);

    // A book is shown to whoever may look, and a role learns for whoever may act.
    assert_eq!(vi.command(&gate, &["pg", "learn", "app"]).code, 1);
    let learns = op.command(&gate, &["pg", "learn", "app"]);
    assert!(learns.success && learns.stdout.contains("role app: observe -> learn"), "{learns:?}");
    for shown in [&["pg", "show"][..], &["pg", "diff", "--json"], &["pg", "approve", "app"]] {
        let shown = alike(&gate, &op, shown);
        assert!(shown.stdout.contains("learn") || shown.stderr.contains("nothing to approve"), "{shown:?}");
    }

    // What a change would do is told alike; it is made by whoever may, as it was shown.
    for (change, part) in [
        (&["waf", "observe", "main"][..], "detection enforce -> observe"),
        (&["data", "approve", "main/list/**", "--records", "60"], "records = 60"),
    ] {
        let tried = alike(&gate, &op, &[change, &["--dry-run"]].concat());
        assert!(tried.success && tried.stdout.contains(part) && tried.stdout.contains("Nothing was"), "{tried:?}");
        let refused = op.command(&gate, change);
        assert_eq!((refused.code, written()), (1, before.clone()), "{refused:?}");
    }
    let observed = ow.command(&gate, &["waf", "observe", "main"]);
    assert!(observed.success && observed.stdout.contains("policy 2 is in force"), "{observed:?}");
    assert!(observed.stdout.contains("To take it back: portcullis waf promote main"), "{observed:?}");
    let approved = ow.command(&gate, &["data", "approve", "main/list/**", "--records", "60"]);
    assert!(approved.success && written().contains("records = 60"), "{approved:?}");
    assert!(ow.command(&gate, &["waf", "promote", "main"]).success);
    let promoted = ow.command(&gate, &["waf", "promote", "main"]);
    assert!(promoted.code == 1 && promoted.stderr.contains("nothing there is set to `observe`"), "{promoted:?}");

    // The record is shown and proved, and its key is the one that lies there.
    let evidence = state.join("evidence").display().to_string();
    let changes = || op.command(&gate, &["ledger", "show", "--kind", "change"]).stdout;
    assert!(eventually(PATIENCE, || changes().contains("Ow (wall)")), "{}", changes());
    let (near, far) = (gate.command(&["ledger", "key", &evidence]), vi.command(&gate, &["ledger", "key"]));
    assert_eq!((far.code, far.stdout), (near.code, near.stdout));
    assert!(op.command(&gate, &["ledger", "prove", "0"]).stdout.contains("c2sp.org/tlog-proof"));
    assert_eq!(vi.command(&gate, &["ledger", "show"]).code, 1, "what a record says may be about somebody");
    let link = |who: &Program| who.command(&gate, &["console", "link", "--name", "Di", "--role", "viewer"]);
    assert!(link(&ow).stdout.contains("/welcome#") && link(&op).code == 1);

    // A scenario is played there against the configuration in force.
    let scenario = gate.place().join("least.toml");
    let least = "name = \"least\"\ntitle = \"A crowd\"\nlasts = \"5s\"\n[[population]]\nname = \"people\"\nrate = 2\n\
        [[expect]]\nfigure = \"refused_protected\"\nat_most = 0\n";
    fs::write(&scenario, least).expect("written");
    let scenario = scenario.display().to_string();
    let played = alike(&gate, &op, &["rehearse", &scenario]);
    assert!(played.success && played.stdout.contains("least (seed 1): holds"), "{played:?}");
}
