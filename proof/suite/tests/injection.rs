//! sqlmap against an application that is open to injection, with nothing between them but the guard of its database.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis_suite::postgres::{PASSWORD, Postgres, programs};
use portcullis_suite::{Gate, Plan, Python, Running, Wire, eventually, figure, free_port, run};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
/// How long one run of sqlmap may take.
const RUN: Duration = Duration::from_secs(75);
/// In the members' table and nowhere else.
const MARK: &str = "@members.example.org";

struct Drill {
    server: Postgres,
    python: PathBuf,
    sqlmap: PathBuf,
}

/// The application behind one gate.
struct Site {
    gate: Gate,
    port: u16,
    log: PathBuf,
    _process: Running,
}

impl Drill {
    fn new(test: &str) -> Option<Self> {
        let programs = programs(test)?;
        let (python, sqlmap) = programs.sqlmap(test)?;
        let server = Postgres::start(&programs.servers.first()?.1, "injection", None);
        let tables = format!(
            "create role app login password '{PASSWORD}'; \
             create table members (id int primary key, name text, email text); create table news (id int, about text); \
             insert into members select n, 'smith' || n, 'm' || n || '{MARK}' from generate_series(1, 30) n; \
             insert into news select n, 'meeting ' || n from generate_series(1, 30) n; grant select on members, news to app"
        );
        server.sql(server.address().port(), "", &tables);
        Some(Self { server, python, sqlmap })
    }

    fn site(&self, name: &str, keys: &str) -> Site {
        let (listen, port) = (free_port(), free_port());
        let table = format!(
            "[[database]]\nname = \"db\"\nlisten = \"127.0.0.1:{listen}\"\nupstream = \"{}\"\n{keys}\n",
            self.server.address()
        );
        // Visitors reach the application itself: no rule of the gate's sees what they send.
        let gate = Plan::new(name).upstream(&["http://127.0.0.1:9".to_owned()], "").table(&table).start();
        let log = gate.place().join("statements.jsonl");
        fs::write(&log, "").expect("a log");
        let mut command = Command::new(&self.python);
        let wanted = format!("host=127.0.0.1 port={listen} user=app password='{PASSWORD}' dbname=postgres");
        command.arg(Python::script("vulnerable_app.py")).args([&port.to_string(), &wanted]).arg(&log);
        let process = Running::start(command, &gate.place().join("application.log"));
        assert!(eventually(PATIENCE, || process.output().contains("serving")), "{}", process.output());
        Site { gate, port, log, _process: process }
    }

    /// Lets sqlmap loose on one parameter; what it wrote down of the members' table.
    fn attack(&self, site: &Site, page: &str, parameter: &str, (techniques, level): (&str, &str)) -> String {
        let home = site.gate.place().join(format!("sqlmap-{parameter}"));
        let (url, home_text) = (format!("http://127.0.0.1:{}{page}", site.port), home.display().to_string());
        let arguments = [
            ["-u", &url],
            ["-p", parameter],
            ["--technique", techniques],
            ["--level", level],
            ["--risk", level],
            ["--dbms", "PostgreSQL"],
            ["--threads", "4"],
            ["--time-sec", "1"],
            ["--timeout", "10"],
            ["--retries", "0"],
            ["-D", "public"],
            ["-T", "members"],
            ["--output-dir", &home_text],
        ];
        let switches = ["--batch", "--flush-session", "--disable-coloring", "--dump", "--ignore-code=500"];
        let arguments = [&arguments.concat()[..], &switches].concat();
        let output = run(&self.sqlmap, &arguments, RUN);
        fs::write(site.gate.place().join(format!("sqlmap-{parameter}.log")), output.stdout).expect("a log");
        dumped(&home)
    }
}

/// All that sqlmap wrote into its tables.
fn dumped(home: &Path) -> String {
    let Ok(entries) = fs::read_dir(home) else { return String::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.map(|path| if path.is_dir() { dumped(&path) } else { table(&path) }).collect()
}

fn table(path: &Path) -> String {
    let is_table = path.extension().is_some_and(|extension| extension == "csv");
    if is_table { fs::read_to_string(path).unwrap_or_default() } else { String::new() }
}

impl Site {
    fn get(&self, path: &str) -> (u16, String) {
        let address = ([127, 0, 0, 1], self.port).into();
        let request = format!("GET {path} HTTP/1.1\r\nHost: drill.test\r\nConnection: close\r\n\r\n");
        let response = Wire::plain(address).ask(request).expect("the application answers");
        (response.status, response.text())
    }

    fn statements(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).expect("a log");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// What ordinary visitors do.
    fn visit(&self) {
        for id in [1, 7, 30] {
            let (status, page) = self.get(&format!("/member?id={id}"));
            assert!(status == 200 && page.contains(&format!("smith{id}<")), "{page}");
        }
        for word in ["smith", "smith1", "nobody", "o%27%27brien"] {
            assert_eq!(self.get(&format!("/search?q={word}")).0, 200);
        }
        assert!(self.get("/news").1.contains("meeting 1<"));
    }
}

#[test]
fn sqlmap_dumps_the_members_where_the_guard_observes_and_nothing_where_it_enforces() {
    let Some(drill) = Drill::new("sqlmap") else { return };

    let open = drill.site("injection-observed", "book = \"db.book\"");
    open.visit();
    let taken = drill.attack(&open, "/member?id=1", "id", ("U", "1"));
    assert!(taken.matches(MARK).count() == 30, "the application is open, and sqlmap can: {taken}");
    assert!(open.statements().iter().any(|line| line["attack"] == true && line["outcome"] == "ran"));
    drop(open);

    let held = drill.site("injection-enforced", "mode = \"enforce\"\nbook = \"db.book\"");
    let config = held.gate.config().display().to_string();
    let pg = |words: &[&str]| {
        let output = held.gate.command(&[&["pg"], words, &["--config", &config]].concat());
        assert!(output.success, "{words:?}: {}", output.stderr);
    };
    pg(&["learn", "app"]);
    held.visit();
    pg(&["approve", "app"]);
    pg(&["enforce", "app"]);
    let begun = Instant::now();
    let taken = [
        drill.attack(&held, "/member?id=1", "id", ("BEUSTQ", "3")),
        drill.attack(&held, "/search?q=smith", "q", ("BEUSTQ", "3")),
    ]
    .concat();
    assert!(taken.is_empty(), "{taken}");
    // Ordinary visitors notice nothing, during and after.
    held.visit();

    let statements = held.statements();
    let attacks: Vec<&Value> = statements.iter().filter(|line| line["attack"] == true).collect();
    let ran: Vec<&&Value> = attacks.iter().filter(|line| line["outcome"] != "refused").collect();
    assert!(ran.is_empty(), "{} of {} attacks were not refused: {:#?}", ran.len(), attacks.len(), ran.first());
    assert!(attacks.len() > 100, "{} attacks", attacks.len());
    let ordinary = statements.iter().filter(|line| line["attack"] == false);
    let hindered: Vec<&Value> = ordinary.filter(|line| line["outcome"] != "ran").collect();
    assert!(hindered.is_empty(), "{:#?}", hindered.first());
    figure("database.sqlmap.attacks_refused", attacks.len() as f64, "statements");
    figure("database.sqlmap.took", begun.elapsed().as_secs_f64(), "s");
    let told = held.gate.metrics().sum("portcullis_database_statements_refused_total", &[]);
    assert!(told >= attacks.len() as f64, "{told} of {}", attacks.len());
}
