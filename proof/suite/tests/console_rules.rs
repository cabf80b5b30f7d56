//! Rules and rehearsals over the console of a gate that runs: a false positive is found, tried and released, and its hostile twin is not;
//! what is rehearsed there is what the verb says.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_suite::{Gate, HOST, Origin, Plan, Response, Wire, eventually, free_address, place};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);
const PASSWORD: &str = "heron lantern gravel soup";
const RULES: &str = "SecRule ARGS \"@rx octarine\" \\\n    \"id:1001,phase:2,deny,t:none,t:lowercase,msg:'No such colour',tag:'attack-colour'\"\n";
const SQL: &str = "the+credit%27+union+select+password+from+users--+-";

/// A gate with a console, a rule of its own and a forum, and where the console is.
fn gate(name: &str, origin: &Origin) -> (Gate, SocketAddr) {
    let state = place(&format!("{name}-state"));
    let at = free_address();
    let plan = Plan::new(name)
        .table(&format!("[defence]\nstate = {state:?}\n[console]\nlisten = \"{at}\"\n[waf]\nrules = [\"own.conf\"]\n"))
        .upstream(&[origin.url()], "[[platform.route]]\npath = \"/forum/**\"\n");
    fs::write(plan.place().join("own.conf"), RULES).expect("written");
    (plan.start(), at)
}

fn ask(gate: &Gate, target: &str) -> Response {
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: Mozilla/5.0\r\nConnection: close\r\n\r\n");
    Wire::plain(gate.http()).ask(request).unwrap_or_else(|broken| panic!("{target}: {broken:?}"))
}

/// The reference of a refusal, once it is in the log.
fn refused(gate: &Gate, target: &str) -> String {
    let answer = ask(gate, target);
    assert_eq!(answer.status, 403, "{target}: {}", answer.text());
    let reference = answer.reference().expect("a reference").to_owned();
    assert!(gate.journal().by_reference(&reference).is_some(), "{reference}");
    reference
}

/// Somebody who is signed in.
struct Person {
    at: SocketAddr,
    cookie: String,
    csrf: String,
}

impl Person {
    fn enter(gate: &Gate, at: SocketAddr, name: &str, role: &str) -> Self {
        let link = gate.command(&["console", "link", "--config", "gate.toml", "--role", role]);
        assert!(link.success, "{} {}", link.stdout, link.stderr);
        let (_, secret) = link.stdout.trim().split_once("/welcome#").expect("a link");
        let (cookie, csrf) = (String::new(), String::new());
        let nobody = Self { at, cookie, csrf };
        let sent = json!({"link": secret, "name": name, "password": PASSWORD});
        let entered = nobody.send("POST", "/api/v1/welcome", Some(&sent));
        assert_eq!(entered.status, 200, "{}", entered.text());
        let cookie = entered.header("set-cookie").and_then(|it| it.split(';').next()).expect("a cookie").to_owned();
        Self { at, cookie, csrf: entered.json()["csrf"].as_str().expect("a session has one").to_owned() }
    }

    fn send(&self, method: &str, path: &str, sent: Option<&Value>) -> Response {
        let Self { at, cookie, csrf } = self;
        let body = sent.map(ToString::to_string).unwrap_or_default();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {at}\r\nCookie: {cookie}\r\nX-Portcullis-Csrf: {csrf}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        Wire::plain(*at).ask(request).unwrap_or_else(|broken| panic!("{path}: {broken:?}"))
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

#[test]
fn a_false_positive_is_released_narrowly_and_its_hostile_twin_is_not() {
    let origin = Origin::echo();
    let (gate, at) = gate("console-rules", &origin);
    let [ow, op, vi] = [("Ow", "owner"), ("Op", "operator"), ("Vi", "viewer")]
        .map(|(name, role)| Person::enter(&gate, at, name, role));
    let (mistaken, twin, elsewhere) =
        ("/forum/new?text=octarine+please", format!("/forum/new?text={SQL}"), "/else?text=octarine");
    let reference = refused(&gate, mistaken);
    refused(&gate, &twin);
    refused(&gate, elsewhere);

    // Found, as the verb says it.
    let found = vi.get("/api/v1/rules");
    let verb = gate.command(&["waf", "report", "--config", "gate.toml", "--json"]);
    let verb: Value = serde_json::from_str(&verb.stdout).expect("JSON");
    let on = |told: &Value, route: &str| {
        let routes = told["routes"].as_array().expect("routes").clone();
        routes.into_iter().find(|it| it["route"] == route).unwrap_or_else(|| panic!("{route}: {told:#}"))
    };
    let (forum, by_verb) = (on(&found, "/forum/**"), on(&verb, "/forum/**"));
    for key in ["requests", "refused", "would_be_refused", "visitors", "audience"] {
        assert_eq!(forum[key], by_verb[key], "{key}");
    }
    assert_eq!(
        (&forum["requests"], &forum["detection"], &forum["rules"]),
        (&json!(2), &json!("enforce"), &json!("enforce"))
    );
    assert!(
        forum["by"].as_array().expect("a list").iter().any(|it| it["what"] == "1001" && it["reference"] == reference)
    );

    // How far what would release it reaches.
    let tuned = vi.get(&format!("/api/v1/rules/exclusions?reference={reference}"));
    let proposal = &tuned["proposals"][0];
    assert_eq!(
        (&proposal["exclude"], &proposal["route"]),
        (&json!(["1001 ARGS:text"]), &json!("/forum/**")),
        "{tuned:#}"
    );
    assert_eq!((&proposal["releases"]["records"], &proposal["also_releases"]["records"]), (&json!(1), &json!(0)));
    let nothing = vi.send("GET", "/api/v1/rules/exclusions?reference=5Z7Q0C2M4N8KT", None);
    assert_eq!(nothing.status, 404, "{}", nothing.text());

    // Tried before it is made, by whom it concerns.
    let change = json!({"kind": "exclude", "platform": "main", "route": "/forum/**", "exclude": proposal["exclude"]});
    let sent = json!({"change": change});
    assert_eq!(vi.send("POST", "/api/v1/rules/try", Some(&sent)).status, 403);
    let tried = op.send("POST", "/api/v1/rules/try", Some(&sent));
    assert_eq!(tried.status, 200, "{}", tried.text());
    let tried = tried.json();
    let row = &tried["routes"][0];
    assert_eq!(
        (&row["refused_now"], &row["refused_then"], &row["released"]["records"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(
        (&row["released"]["references"], &row["caught"]["records"]),
        (&json!([reference]), &json!(0)),
        "{tried:#}"
    );
    let lines = tried["diff"].as_array().expect("lines").iter().filter(|it| it["sign"] == "+");
    assert!(lines.clone().any(|it| it["text"] == "exclude = [\"1001 ARGS:text\"]"), "{tried:#}");
    assert_eq!(ask(&gate, mistaken).status, 403, "nothing was changed");

    // Made by an owner, on what it was tried on.
    let apply = |who: &Person, base: &Value| {
        let sent = json!({"change": change, "base": base, "why": "a colour that members write about"});
        who.send("POST", "/api/v1/rules/apply", Some(&sent))
    };
    assert_eq!(apply(&op, &tried["digest"]).status, 403);
    assert_eq!(apply(&ow, &json!("0".repeat(64))).status, 412);
    let made = apply(&ow, &tried["digest"]);
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(ask(&gate, mistaken).status, 200);
    assert_eq!(ask(&gate, &twin).status, 403, "its hostile twin is refused still");
    assert_eq!(ask(&gate, elsewhere).status, 403, "and so it is elsewhere");
    assert_eq!(on(&vi.get("/api/v1/rules"), "/forum/**")["exclude"], json!(["1001 ARGS:text"]));
    let again = vi.get(&format!("/api/v1/rules/exclusions?reference={reference}"));
    assert!(again["not_tried"].to_string().contains("it passes with the configuration as it is now"), "{again:#}");

    // On record, and undone.
    let versions = ow.get("/api/v1/configuration/versions");
    let why = versions[0]["why"].as_str().expect("words");
    assert!(
        why.contains("members write about") && why.contains("1001 ARGS:text is left out on main/forum/**"),
        "{why}"
    );
    assert_eq!(versions[0]["by"], "Ow");
    let back = json!({"base": ow.get("/api/v1/configuration")["digest"]});
    let id = versions[0]["id"].as_str().expect("an id");
    let restored = ow.send("POST", &format!("/api/v1/configuration/versions/{id}/restore"), Some(&back));
    assert_eq!(restored.status, 200, "{}", restored.text());
    refused(&gate, mistaken);

    // From refusing to observing, and what the way back would catch.
    let step = |kind: &str| json!({"change": {"kind": kind, "platform": "main", "route": "/forum/**"}});
    let observe = ow.send("POST", "/api/v1/rules/try", Some(&step("observe"))).json();
    let row = &observe["routes"][0];
    assert_eq!((&row["refused_then"], &row["released"]["records"]), (&json!(0), &row["refused_now"]), "{observe:#}");
    let mut sent = step("observe");
    sent["base"] = observe["digest"].clone();
    let made = ow.send("POST", "/api/v1/rules/apply", Some(&sent));
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!((ask(&gate, &twin).status, ask(&gate, mistaken).status), (200, 200), "it only observes");
    let refuse = op.send("POST", "/api/v1/rules/try", Some(&step("refuse"))).json();
    let row = &refuse["routes"][0];
    assert_eq!((&row["refused_now"], &row["caught"]["records"]), (&json!(0), &row["refused_then"]), "{refuse:#}");
    assert!(row["refused_then"].as_u64().is_some_and(|then| then >= 4), "{refuse:#}");
}

const SCENARIO: &str = "name = \"least\"\ntitle = \"A flood\"\nlasts = \"60s\"\n[[population]]\nname = \"people\"\nrate = 30\n\
    [[attack]]\nname = \"flood\"\nkind = \"flood\"\nat = \"30s\"\nlasts = \"15s\"\ntimes = 5\n\
    [[expect]]\nfigure = \"refused_protected\"\nat_most = 0\n[[expect]]\nfigure = \"connections_free\"\nat_least = \"10%\"\n";

#[test]
fn a_rehearsal_is_what_the_verb_says_and_there_is_one_at_a_time() {
    let origin = Origin::echo();
    let (gate, at) = gate("console-rehearsal", &origin);
    let [op, vi] = [("Op", "operator"), ("Vi", "viewer")].map(|(name, role)| Person::enter(&gate, at, name, role));
    let names = vi.get("/api/v1/scenarios");
    assert_eq!(names.as_array().map(Vec::len), Some(28), "{names}");
    let ended = |id: &str| {
        let path = format!("/api/v1/rehearsals/{id}");
        assert!(eventually(PATIENCE, || vi.get(&path)["line"]["ended"].is_u64()), "{}", vi.get(&path));
        vi.get(&path)
    };
    let play = |who: &Person, sent: Value| who.send("POST", "/api/v1/rehearsals", Some(&sent));
    let id = |answer: &Response| {
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["id"].as_str().expect("an id").to_owned()
    };
    let own = json!({"text": SCENARIO, "seed": 7});
    assert_eq!(play(&vi, own.clone()).status, 403);
    let told = ended(&id(&play(&op, own)));
    let file: PathBuf = place("console-rehearsal-scenario").join("least.toml");
    fs::write(&file, SCENARIO).expect("written");
    let file = file.display().to_string();
    let verb = gate.command(&["rehearse", &file, "--config", "gate.toml", "--seed", "7", "--json"]);
    let verb: Value = serde_json::from_str(&verb.stdout).unwrap_or_else(|_| panic!("{} {}", verb.stdout, verb.stderr));
    let found = &told["found"];
    for key in ["scenario", "seed", "passed", "log_hash"] {
        assert_eq!(found[key], verb[key], "{key}: {told:#}");
    }
    let expectations = verb["expectations"].as_array().expect("a list");
    assert_eq!(found["expectations"].as_array().map(Vec::len), Some(expectations.len()));
    for (own, other) in found["expectations"].as_array().into_iter().flatten().zip(expectations) {
        assert_eq!((&own["name"], &own["unit"], &own["passed"]), (&other["name"], &other["unit"], &other["passed"]));
        // Written and read once more, a number may differ in its last place.
        let value = |of: &Value| of["value"].as_f64().map(|value| (value * 1e6).round());
        assert_eq!(value(own), value(other));
    }
    let sent = found["timeline"]["attack"].as_array().expect("a line").iter().filter_map(Value::as_u64).sum::<u64>();
    assert!(sent > 0, "the attack was there: {found:#}");

    // A long one is stopped, and no other begins meanwhile; the gate serves.
    let long = id(&play(&op, json!({"name": "18-slow-poisoning"})));
    let busy = play(&op, json!({"name": "01-get-flood"}));
    assert!(busy.status == 409 && busy.text().contains("one is being played, for Op"), "{}", busy.text());
    assert_eq!(ask(&gate, "/").status, 200);
    assert_eq!(vi.send("DELETE", &format!("/api/v1/rehearsals/{long}"), None).status, 403);
    assert_eq!(op.send("DELETE", &format!("/api/v1/rehearsals/{long}"), None).status, 200);
    let line = &ended(&long)["line"];
    assert_eq!((&line["state"], &line["words"]), (&json!("stopped"), &json!("Op stopped it.")));

    // One that asks for more memory than it may have ends alone.
    let greedy = SCENARIO.replace("rate = 30", "rate = 30\naddresses = 4000000000");
    let line = ended(&id(&play(&op, json!({"text": greedy}))))["line"].clone();
    assert!(
        line["state"] == "wrong" && line["words"].as_str().is_some_and(|it| it.contains("more than it may")),
        "{line}"
    );
    let wrong = ended(&id(&play(&op, json!({"text": "name = 1"}))))["line"].clone();
    assert!(wrong["words"].as_str().is_some_and(|it| it.contains("line 1")), "{wrong}");
    for (sent, status) in [
        (json!({"name": "no such scenario"}), 404),
        (json!({}), 422),
        (json!({"name": "01-get-flood", "text": SCENARIO}), 422),
        (json!({"text": "x".repeat(64 * 1024 + 1)}), 422),
        (json!({"name": "01-get-flood", "seed": 9_007_199_254_740_992_u64}), 422),
    ] {
        let answer = play(&op, sent);
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert_eq!(ask(&gate, "/").status, 200, "the gate serves");
}
