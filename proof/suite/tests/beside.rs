//! Sensors beside traffic against real pages, certificates, configurations, PostgreSQL and ways past the gate: what changes is told,
//! what may change is silent.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_suite::postgres::{PASSWORD, Postgres, programs};
use portcullis_suite::{
    Authority, Gate, HOST, Namespace, Next, Origin, Plan, Wire, eventually, free_port, place, respond, run,
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// What the sensors of a gate say, by their names.
fn sensors(gate: &Gate) -> BTreeMap<String, Value> {
    // The gate serves before its sensors watch.
    assert!(eventually(PATIENCE, || gate.control().with_extension("sensors").exists()));
    let said = gate.command(&["sensors", "--json", "--config", &gate.config().to_string_lossy()]);
    let all: Vec<Value> =
        serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}{}", said.stdout, said.stderr));
    all.into_iter().map(|it| (it["sensor"].as_str().unwrap_or_default().to_owned(), it)).collect()
}

fn until(gate: &Gate, sensor: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let all = sensors(gate);
        if let Some(it) = all.get(sensor).filter(|it| fits(it)) {
            return it.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{sensor} {what}: {all:#?}\n{}", gate.said());
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn up(gate: &Gate, sensor: &str) -> Value {
    until(gate, sensor, "sees", |it| it["state"] == "up")
}

/// Waits until a sensor told something of that kind and with these words.
fn told(gate: &Gate, sensor: &str, what: &str, words: &str) -> Value {
    let is = |it: &Value| it["what"] == what && it["words"].as_str().is_some_and(|said| said.contains(words));
    let it = until(gate, sensor, &format!("tells {what} {words}"), |it| {
        it["latest"].as_array().is_some_and(|all| all.iter().any(is))
    });
    it["latest"].as_array().and_then(|all| all.iter().find(|it| is(it))).cloned().expect("it was there")
}

fn findings(gate: &Gate, sensor: &str) -> u64 {
    sensors(gate)[sensor]["findings"].as_u64().expect("a number")
}

/// A plan with somewhere to keep things, and the tables that come once the ports are known.
fn reloaded(gate: &Gate, tables: &str) {
    gate.rewrite_text(|text| format!("{text}\n{tables}\n"));
    let done = gate.reload();
    assert!(done.success, "{}", done.stderr);
}

#[derive(Default)]
struct Site {
    visits: AtomicU64,
    skimmer: Mutex<String>,
    script: Mutex<String>,
}

impl Site {
    fn answer(&self, path: &str, stream: &mut TcpStream) -> io::Result<Next> {
        let visit = self.visits.fetch_add(1, Ordering::Relaxed);
        let skimmer = self.skimmer.lock().expect("no test panics with it").clone();
        let script = self.script.lock().expect("no test panics with it").clone();
        // A nonce, a token, a cache mark and a time: other ones on each visit.
        let page = format!(
            "<html><head><script nonce=\"n{visit:09}x\" src=\"/app.js?v={visit}\"></script>\
             <script>window.csrf='{visit:08}a5c7e9b1d3f{visit:08}'; start(17953884{:02})</script></head>\
             <body><form action=\"/donate\"><input name=t value=\"{visit}\"></form><p>News {visit}</p>{skimmer}</body></html>",
            visit % 100
        );
        match path {
            "/app.js" => {
                respond(stream, 200, "Content-Type: text/javascript\r\n", format!("vote();{script}").as_bytes())?
            }
            _ => respond(stream, 200, "Content-Type: text/html\r\n", page.as_bytes())?,
        }
        Ok(Next::Keep)
    }
}

#[test]
fn a_page_that_is_changed_behind_the_gate_is_told_and_its_tokens_are_not() {
    let site = Arc::new(Site::default());
    let answering = Arc::clone(&site);
    let origin = Origin::start(move |seen, stream| answering.answer(seen.path(), stream));
    let gate = Plan::new("beside-pages").upstream(&[origin.url()], "").start();
    let tables = format!(
        "[integrity]\nstate = \"integrity\"\n[[integrity.outside]]\nname = \"main\"\nat = \"http://{HOST}\"\nconnect = \"{}\"\n\
         paths = [\"/\"]\ninterval = \"1s\"",
        gate.http()
    );
    reloaded(&gate, &tables);
    up(&gate, "pages/main");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(findings(&gate, "pages/main"), 0, "what changes each time is nobody's business");
    let drilled = gate.command(&["drill", "--only", "pages", "--config", &gate.config().to_string_lossy()]);
    assert!(
        drilled.success && drilled.stdout.contains("pages/main saw the drill"),
        "{}{}",
        drilled.stdout,
        drilled.stderr
    );

    *site.skimmer.lock().expect("no test panics with it") =
        "<script src=\"https://evil.example/s.js\"></script>".to_owned();
    told(&gate, "pages/main", "script-added", "https://evil.example/s.js");
    *site.script.lock().expect("no test panics with it") = "steal()".to_owned();
    told(&gate, "pages/main", "page-changed", "/app.js holds something else");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(findings(&gate, "pages/main"), 2, "each is told once");
}

/// Carries connections to wherever it is told to.
fn forwarder(to: Arc<Mutex<SocketAddr>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let Ok(other) = TcpStream::connect(*to.lock().expect("no test panics with it")) else { continue };
            let copies = [(stream.try_clone(), other.try_clone()), (Ok(other), Ok(stream))];
            for (from, to) in copies {
                if let (Ok(mut from), Ok(mut to)) = (from, to) {
                    std::thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                }
            }
        }
    });
    at
}

#[test]
fn another_certificate_is_told_and_a_renewal_is_known_as_ours() {
    let home = place("beside-certificates");
    let (authority, elsewhere) = (Authority::new(&home), place("beside-certificates-elsewhere"));
    let ours = authority.leaf(&[HOST]);
    let origin = Origin::start(|_, stream| respond(stream, 200, "", b"<p>hello</p>").map(|()| Next::Keep));
    let gate = Plan::new("beside-certificate").tls(std::slice::from_ref(&ours)).upstream(&[origin.url()], "").start();
    // Somebody else with a certificate for the same name, which the same authority was made to give.
    let theirs = Authority::new(&elsewhere).leaf(&[HOST]);
    let impostor = Plan::new("beside-impostor").tls(&[theirs]).upstream(&[origin.url()], "").start();
    let to = Arc::new(Mutex::new(gate.https()));
    let tables = format!(
        "[integrity]\nstate = \"integrity\"\n[[integrity.outside]]\nname = \"main\"\nat = \"https://{HOST}\"\nconnect = \"{}\"\n\
         ca = \"{}\"\npaths = [\"/\"]\ninterval = \"1s\"",
        forwarder(Arc::clone(&to)),
        home.join("authority.pem").display()
    );
    reloaded(&gate, &tables);
    up(&gate, "certificate/main");
    up(&gate, "pages/main");
    assert_eq!(findings(&gate, "certificate/main"), 0);
    authority.write(&ours, &[HOST]);
    assert!(gate.reload().success);
    told(&gate, "certificate/main", "certificate-changed", "which is the gate's own");
    *to.lock().expect("no test panics with it") = impostor.https();
    told(&gate, "certificate/main", "certificate-changed", "it is not the gate's own");
    told(&gate, "certificate/main", "certificate-invalid", "nobody who is believed has issued it");
    *to.lock().expect("no test panics with it") = "127.0.0.1:1".parse().expect("an address");
    until(&gate, "certificate/main", "is blind", |it| it["state"] == "blind");
}

#[test]
fn a_configuration_that_is_changed_and_not_in_force_is_told() {
    let origin = Origin::echo();
    let gate = Plan::new("beside-configuration").upstream(&[origin.url()], "").start();
    up(&gate, "configuration");
    reloaded(&gate, "# as it should be");
    std::thread::sleep(Duration::from_secs(9));
    assert_eq!(findings(&gate, "configuration"), 0, "what was put in force is on record as that");
    gate.rewrite_text(|text| format!("{text}\n# by whom?\n"));
    told(&gate, "configuration", "configuration-changed", "is not what is in force");
    assert!(gate.reload().success);
    until(&gate, "configuration", "is as it should be", |it| {
        it["words"].as_str().is_some_and(|it| it.contains("all as they are"))
    });
}

#[test]
fn what_changes_in_a_schema_is_told_and_rows_are_not() {
    let Some(programs) = programs("schema") else { return };
    let Some((which, path)) = programs.servers.first() else { return };
    let server = Postgres::start(path, &format!("schema-{which}"), None);
    let port = server.address().port();
    let sql = |text: &str| server.sql(port, "", text);
    sql("create table members (id int primary key, email text)");
    sql(&format!("create role watcher login password '{PASSWORD}'"));
    let origin = Origin::echo();
    let home = place("beside-schema-files");
    fs::write(home.join("password"), PASSWORD).expect("a password");
    let database = format!(
        "[[database]]\nname = \"members\"\nlisten = \"127.0.0.1:0\"\nupstream = \"{}\"\n\
         [database.schema]\nrole = \"watcher\"\npassword_file = \"{}\"\ninside = \"postgres\"\ninterval = \"1s\"\n",
        server.address(),
        home.join("password").display()
    );
    let gate = Plan::new("beside-schema").upstream(&[origin.url()], "").table(&database).start();
    up(&gate, "schema/members");
    sql("insert into members values (1, 'a@example.org')");
    sql("analyze members");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(findings(&gate, "schema/members"), 0, "rows are not the schema");
    let changes = [
        ("create function f() returns int language sql as 'select 1'", "function"),
        ("create or replace function f() returns int language sql as 'select 2'", "f() is new"),
        ("alter role watcher createdb", "role watcher is another one"),
        ("alter table members add column password text", "relation public.members is another one"),
        ("create policy p on members using (true)", "policy public.members.p is new"),
        ("drop table members", "relation public.members is gone"),
    ];
    for (change, words) in changes {
        sql(change);
        told(&gate, "schema/members", "schema-changed", words);
    }
    // Blind where it cannot ask, and it says why.
    sql("alter role watcher nologin");
    until(&gate, "schema/members", "is blind", |it| {
        it["state"] == "blind" && it["why"].as_str().is_some_and(|it| it.contains("watcher"))
    });
}

#[test]
fn an_origin_that_answers_strangers_is_told() {
    let test = "origin";
    let (Some(inside), Some(outside)) = (Namespace::new("beside-in", test), Namespace::new("beside-out", test)) else {
        return;
    };
    inside.link("10.78.9.1/24", &outside, "10.78.9.2/24");
    let answer = |stream: &mut TcpStream| respond(stream, 200, "", b"hello").map(|()| Next::Keep);
    let (guarded, open, wide) = inside.inside(|| {
        let on = |at: &str| Origin::on(TcpListener::bind(at).expect("a port"), move |_, stream| answer(stream));
        (on("127.0.0.1:0"), on("10.78.9.1:0"), on("0.0.0.0:0"))
    });
    let namespace = format!("/run/netns/portcullis-{}-beside-out", std::process::id());
    let table = |address: &str| {
        format!(
            "[[integrity.origin]]\nplatform = \"main\"\nnamespace = \"{namespace}\"\naddresses = [\"http://{address}\", \
             \"https://10.78.9.1:2\", \"{}\"]\ninterval = \"1s\"\n",
            guarded.url()
        )
    };
    // Nobody listens there: strangers get nothing.
    let plan = Plan::new("beside-origin").upstream(&[guarded.url()], "").table(&table("10.78.9.1:1"));
    let gate = inside.inside(|| plan.start());
    assert!(eventually(PATIENCE, || fs::metadata(gate.control().with_extension("sensors")).is_ok()));
    up(&gate, "origin/main");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(findings(&gate, "origin/main"), 0);
    // Servers of ours that answer, listen for everybody, or do neither, by each way that is declared.
    let config = gate.config().display().to_string();
    let drill = || {
        let said = gate.command(&["drill", "--json", "--only", "origin", "--config", &config]);
        let drills: Vec<Value> =
            serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}{}", said.stdout, said.stderr));
        (said.success, drills[0].clone())
    };
    let (seen, drilled) = drill();
    assert!(seen && drilled["tried"] == 3, "without TLS, with it, and who listens: {drilled:#}\n{}", gate.said());
    let of = drilled["id"].as_str().expect("its name");
    let latest = |sensor: &Value| sensor["latest"].as_array().cloned().unwrap_or_default();
    let of_ours = latest(&sensors(&gate)["origin/main"]);
    assert!(of_ours.len() == 3 && of_ours.iter().all(|told| told["drill"] == of), "each is the drill's: {of_ours:#?}");
    // Where no server of ours can be reached, nobody knows what the sensor would see.
    outside.ip("link set lo down");
    let (seen, drilled) = drill();
    assert!(!seen && drilled["words"].as_str().is_some_and(|words| words.contains("was not found")), "{drilled:#}");
    until(&gate, "origin/main", "is blind", |it| {
        it["state"] == "blind" && it["why"].as_str().is_some_and(|why| why.contains("did not see the drill"))
    });
    outside.ip("link set lo up");
    assert!(drill().0);
    up(&gate, "origin/main");
    gate.rewrite_text(|text| text.replace(&guarded.url(), &wide.url().replace("0.0.0.0", "127.0.0.1")));
    assert!(gate.reload().success, "{}", gate.said());
    told(&gate, "origin/main", "origin-listens", "where strangers may reach it, and not on 127.0.0.1 alone");
    gate.rewrite_text(|text| text.replace("10.78.9.1:1\"", &format!("{}\"", open.address())));
    assert!(gate.reload().success);
    told(&gate, "origin/main", "origin-reachable", "answers 200 to somebody who does not come through the gate");
}

#[test]
fn a_leak_of_our_own_is_told_by_http_sql_and_copy_and_a_page_without_a_canary_is_missed() {
    let page = Arc::new(Mutex::new(String::new()));
    let shown = Arc::clone(&page);
    let origin = Origin::start(move |_, stream| {
        let text = shown.lock().expect("no test panics with it").clone();
        respond(stream, 200, "Content-Type: text/html\r\n", text.as_bytes()).map(|()| Next::Keep)
    });
    let mut plan = Plan::new("beside-drill").upstream(&[origin.url()], "");
    let config = plan.write().display().to_string();
    let arguments = ["canary", "new", "--config", &config, "--count", "1", "--domain", "post.example.org"];
    let made = run(Gate::binary(), &arguments, PATIENCE);
    let email = made.stdout.lines().nth(1).and_then(|line| line.split(',').nth(3)).expect("a canary").to_owned();
    let place = plan.place().display().to_string();
    let server = programs("drill").and_then(|programs| {
        let (which, path) = programs.servers.first()?;
        Some(Postgres::start(path, &format!("drill-{which}"), None))
    });
    let mut table = format!(
        "[defence]\nstate = \"{place}/state\"\n[data]\ncanaries = \"{place}/canaries.txt\"\ncanary_key = \"{place}/canary.key\"\n\
         [[integrity.canary]]\nplatform = \"main\"\npage = \"/drill\"\n"
    );
    if let Some(server) = &server {
        let sql = |text: &str| server.sql(server.address().port(), "", text);
        sql("create table members (id int, email text)");
        sql(&format!("insert into members values (0, '{email}')"));
        sql(&format!("create role drill login password '{PASSWORD}'; grant select on members to drill"));
        fs::write(format!("{place}/password"), PASSWORD).expect("a password");
        let door = free_port();
        table += &format!(
            "[[integrity.canary]]\ndatabase = \"members\"\nrole = \"drill\"\npassword_file = \"{place}/password\"\ninside = \"postgres\"\n\
             statement = \"select email from members where id = 0\"\n\
             [[database]]\nname = \"members\"\nlisten = \"127.0.0.1:{door}\"\nupstream = \"{}\"\nsensitive = [\"members\"]\n",
            server.address()
        );
    }
    let gate = plan.table(&table).start();
    let drill = |only: &str| gate.command(&["drill", "--only", only, "--config", &config]);
    let missed = drill("http");
    assert!(
        !missed.success && missed.stdout.contains("MISSED"),
        "nothing was planted: {}{}",
        missed.stdout,
        missed.stderr
    );
    until(&gate, "http/main", "is blind", |it| {
        it["state"] == "blind" && it["why"].as_str().is_some_and(|why| why.contains("http/main did not see the drill"))
    });
    *page.lock().expect("no test panics with it") = format!("<p>{email}</p>");
    let seen = drill("http");
    assert!(
        seen.success && seen.stdout.contains("http/main saw the drill"),
        "{}{}\n{}",
        seen.stdout,
        seen.stderr,
        gate.said()
    );
    up(&gate, "http/main");
    if server.is_some() {
        let seen = drill("database/members");
        let both = seen.stdout.contains("canary-sql  seen") && seen.stdout.contains("canary-copy  seen");
        assert!(seen.success && both, "{}{}\n{}", seen.stdout, seen.stderr, gate.said());
    }
    // Nobody takes our own leak for a theft.
    std::thread::sleep(Duration::from_secs(2));
    let incidents = gate.command(&["incident", "list", "--config", &config]);
    assert!(!incidents.stdout.contains("canary"), "{}{}", incidents.stdout, incidents.stderr);
}

#[test]
fn a_script_of_our_own_that_changes_is_told_as_a_drill_and_where_nobody_looks_the_word_drops() {
    let origin = Origin::echo();
    let evidence = place("beside-script-evidence");
    let tables = format!(
        "[evidence]\ndirectory = {evidence:?}\n[[copies]]\nname = \"site\"\nwhat = \"web\"\n\
         [[copies.path]]\nname = \"http/main\"\ncustody = \"guarded\"\nsensors = [\"http/main\"]\n"
    );
    // Where something may be done about an answer, its beginning is held back: it is whole when it leaves none the less.
    let acting = ["block", "mask", "truncate", "step-up"];
    let route =
        |action| format!("[[platform.route]]\npath = \"/{action}/**\"\n[platform.route.data]\naction = \"{action}\"\n");
    let routes = format!(
        "[[platform.route]]\npath = \"/assets/**\"\n[[platform.route]]\npath = \"/post\"\nmethods = [\"POST\"]\n{}{}\
         [platform.data]\naction = \"observe\"\n",
        route("off"),
        acting.map(route).concat()
    );
    let gate = Plan::new("beside-script").table(&tables).upstream(&[origin.url()], &routes).start();
    let config = gate.config().display().to_string();
    assert!(eventually(PATIENCE, || gate.control().with_extension("sensors").exists()));
    let drill = || {
        let said = gate.command(&["drill", "--json", "--only", "scripts", "--config", &config]);
        let drills: Vec<Value> =
            serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}{}", said.stdout, said.stderr));
        (said.success, drills[0].clone())
    };
    let events = |kind: &str| -> Vec<Value> {
        let place = evidence.display().to_string();
        let shown = run(Gate::binary(), &["ledger", "show", &place, "--json", "--kind", kind], PATIENCE);
        shown.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let (seen, told) = drill();
    assert!(seen, "{told:#}\n{}", gate.said());
    let sensor = up(&gate, "scripts/main");
    assert!(sensor["blind_to"].as_str().is_some_and(|words| words.contains("scripts within pages")), "{sensor:#}");
    assert_eq!((&sensor["seen"], &sensor["dropped"]), (&Value::from(0), &Value::from(0)), "drills are no visitors'");
    assert_eq!((told["path"].as_str(), told["what"].as_str()), (Some("scripts/main"), Some("changed-script")));
    let tried = told["tried"].as_u64().expect("a number");
    assert_eq!(tried, 84, "two kinds, two codings, three places of change, by each route that is looked at: {told:#}");
    // It came from no platform, was nobody's visit, and is no visitor's to have.
    assert!(origin.take().is_empty(), "no platform was asked");
    assert_eq!(gate.metrics().sum("portcullis_requests_total", &[]), 0.0);
    let of = told["id"].as_str().expect("its name").to_owned();
    let ask = format!(
        "GET /.portcullis/drill/{of}-0 HTTP/1.1\r\nHost: {HOST}\r\nX-Portcullis-Probe: {}-1\r\nConnection: close\r\n\r\n",
        "0".repeat(32)
    );
    assert_eq!(Wire::plain(gate.http()).ask(ask).expect("an answer").status, 404);
    // Each is on record as what it is, and nobody takes it for a change.
    let found = || -> Vec<Value> {
        let all = events("finding").into_iter().map(|record| record["event"].clone());
        all.filter(|finding| finding["what"] == "script-changed").collect()
    };
    assert!(eventually(PATIENCE, || found().len() as u64 == tried), "{:#?}", found());
    assert!(found().iter().all(|finding| finding["drill"] == of.as_str()), "{:#?}", found());
    assert!(!gate.said().contains("a script that visitors are given has changed"), "{}", gate.said());
    let incidents = gate.command(&["incident", "list", "--config", &config]);
    assert!(!incidents.stdout.contains("open"), "{}{}", incidents.stdout, incidents.stderr);

    // Once one is open, the web's integrity rests on this sensor, too.
    let opened = gate.command(&["incident", "open", "--because", "The host telephoned.", "--config", &config]);
    assert!(opened.success, "{}", opened.stderr);
    let shown = || gate.command(&["incident", "show", "last", "--no-drill", "--config", &config]).stdout;
    let unseen = "The last drill on scripts/main was not seen.";
    assert!(eventually(PATIENCE, || shown().contains("INTEGRITY")));
    assert!(!shown().contains(unseen), "{}", shown());
    let off = |text: String, action: &str| text.replace(&format!("action = \"{action}\""), "action = \"off\"");
    gate.rewrite_text(|text| acting.iter().chain(&["observe"]).fold(text, |text, action| off(text, action)));
    let reloaded = gate.reload();
    assert!(reloaded.success, "{}", reloaded.stderr);
    let (seen, told) = drill();
    assert!(!seen && told["missed"] == 1, "nothing that leaves is looked at: {told:#}");
    assert!(eventually(PATIENCE, || shown().contains(unseen)), "{}", shown());
    let blind = |why: &str| {
        events("beats").iter().rev().take(5).any(|record| {
            let beats = record["event"]["beats"].as_array().cloned().unwrap_or_default();
            let is = |beat: &Value| {
                beat["sensor"] == "scripts/main" && beat["why"].as_str().is_some_and(|said| said.contains(why))
            };
            beats.iter().any(is)
        })
    };
    // What looks again is believed when it was seen to see.
    gate.rewrite_text(|text| text.replace("action = \"off\"", "action = \"observe\""));
    assert!(gate.reload().success);
    assert!(eventually(PATIENCE, || blind("did not see the drill")), "{}", gate.said());
    until(&gate, "scripts/main", "is blind for people, too", |it| {
        it["state"] == "blind" && it["why"].as_str().is_some_and(|why| why.contains("did not see the drill"))
    });
    assert!(drill().0);
    up(&gate, "scripts/main");
    assert!(eventually(PATIENCE, || !blind("did not see the drill")), "{}", gate.said());
}

/// Carries requests to `to` and gives the marks of visits another name on the way; keeps what they were.
fn stripping(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (at, marks) = (listener.local_addr().expect("its address"), Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&marks);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                head.extend(byte);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            if let Some(mark) = head.split("x-portcullis-visit: ").nth(1).and_then(|rest| rest.split("\r\n").next()) {
                kept.lock().expect("no test panics with it").push(mark.to_owned());
            }
            let Ok(mut onward) = TcpStream::connect(to) else { continue };
            let sent = onward.write_all(head.replace("x-portcullis-visit", "x-other").as_bytes());
            let _ = sent.and_then(|()| io::copy(&mut onward, &mut stream));
        }
    });
    (at, marks)
}

#[test]
fn a_page_is_looked_at_while_strangers_are_held_and_a_mark_is_nobody_else_s() {
    let site = Arc::new(Site::default());
    let answering = Arc::clone(&site);
    let origin = Origin::start(move |seen, stream| answering.answer(seen.path(), stream));
    let evidence = place("beside-held-evidence");
    let routes = "[[platform.route]]\npath = \"/\"\nclass = \"page\"\nchallenge = \"puzzle\"\n\
                  [[platform.route]]\npath = \"/donate\"\nclass = \"page\"\nchallenge = \"puzzle\"\n\
                  [[platform.route]]\npath = \"/limited\"\n[[platform.route.rate]]\nkey = \"address\"\nrate = \"1/h\"\nburst = 2\n";
    let gate = Plan::new("beside-held")
        .table(&format!("[evidence]\ndirectory = {evidence:?}"))
        .upstream(&[origin.url()], routes)
        .start();
    let (stripped, marks) = stripping(gate.http());
    let outside = |name: &str, path: &str, connect: SocketAddr| {
        format!(
            "[[integrity.outside]]\nname = \"{name}\"\nat = \"http://{HOST}\"\nconnect = \"{connect}\"\npaths = [\"{path}\"]\n\
             interval = \"1s\"\n"
        )
    };
    let all = [("main", "/", gate.http()), ("stranger", "/", stripped), ("limited", "/limited", gate.http())];
    let all: String = all.map(|(name, path, connect)| outside(name, path, connect)).concat();
    reloaded(&gate, &format!("[integrity]\nstate = \"integrity\"\n{all}"));
    // Whoever looks at pages sees them; whose mark is lost on the way is asked to pass like anybody, and says that it is blind.
    up(&gate, "pages/main");
    until(&gate, "pages/stranger", "is blind", |it| {
        it["state"] == "blind" && it["why"].as_str().is_some_and(|why| why.contains("/ is answered 503"))
    });
    let config = gate.config().display().to_string();
    assert!(gate.command(&["posture", "main", "attack", "--config", &config]).success);
    *site.skimmer.lock().expect("no test panics with it") =
        "<script src=\"https://evil.example/s.js\"></script>".to_owned();
    told(&gate, "pages/main", "script-added", "https://evil.example/s.js");
    assert_eq!(sensors(&gate)["pages/stranger"]["state"], "blind");

    // No platform has ever seen a mark, and none of these visits was a visitor's: those that were asked to pass are all there are.
    let asked = origin.take();
    assert!(asked.len() > 5 && asked.iter().all(|seen| seen.header("x-portcullis-visit").is_none()));
    let metrics = gate.metrics();
    let visitors = metrics.sum("portcullis_requests_total", &[]);
    let held = metrics.refused("challenge");
    assert!(held > 0.0 && (visitors - held).abs() < 1.5, "{visitors} visitors, {held} of them held");

    // Somebody on the way has marks: each is good for the one page that it was drawn for, once, and never for anything else.
    let ask = |target: &str, mark: &str| {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {HOST}\r\nAccept: text/html,*/*\r\nX-Portcullis-Visit: {mark}\r\nConnection: close\r\n\r\n"
        );
        Wire::plain(gate.http()).ask(request).expect("an answer").status
    };
    let fresh = || {
        let before = marks.lock().expect("no test panics with it").len();
        assert!(eventually(PATIENCE, || marks.lock().expect("no test panics with it").len() > before));
        marks.lock().expect("no test panics with it").last().cloned().expect("a mark")
    };
    let one = fresh();
    assert_eq!(ask("/", &one), 200, "in the place of the visit that it was drawn for");
    assert_eq!(ask("/", &one), 503, "it is spent");
    let other = fresh();
    assert_eq!(ask("/donate", &other), 503, "it is for another page");
    assert_eq!(ask("/", &other), 503, "and spent by that");
    for forged in ["0".repeat(32), String::new(), "x".repeat(4096)] {
        assert_eq!(ask("/", &forged), 503);
    }
    // What the operator declared holds for these visits, too.
    until(&gate, "pages/limited", "is limited like anybody", |it| {
        it["why"].as_str().is_some_and(|why| why.contains("/limited is answered 429"))
    });
    assert!(!gate.said().contains(&one) && !gate.journal().records().iter().any(|it| it.to_string().contains(&one)));

    // That these visits are let past stands in the record, once.
    let place = evidence.display().to_string();
    let told = || run(Gate::binary(), &["ledger", "show", &place, "--json", "--kind", "act"], PATIENCE).stdout;
    assert!(eventually(PATIENCE, || told().contains("own-visits")), "{}", told());
    assert_eq!(told().matches("\"own-visits\"").count(), 1, "{}", told());
}
