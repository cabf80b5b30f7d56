//! What applications run on a guarded database, with a real server behind the gate and the real grammar in its own process.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use portcullis_suite::postgres::{Postgres, programs};
use portcullis_suite::{Gate, Plan, eventually, free_port};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(60);

fn gate(name: &str, upstream: SocketAddr, keys: &str) -> (Gate, u16) {
    let port = free_port();
    let table =
        format!("[[database]]\nname = \"db\"\nlisten = \"127.0.0.1:{port}\"\nupstream = \"{upstream}\"\n{keys}\n");
    let plan = Plan::new(name).upstream(&["http://127.0.0.1:9".to_owned()], "").table(&table);
    (plan.start(), port)
}

fn members(name: &str) -> Option<Postgres> {
    let programs = programs(name)?;
    let server = Postgres::start(&programs.servers.first()?.1, name, None);
    let table = "create table members (id int primary key, email text, name text); \
                 insert into members select n, 'm' || n || '@example.org', 'smith' || n from generate_series(1, 20000) n";
    server.sql(server.address().port(), "", table);
    Some(server)
}

/// Whether a statement is refused by the gate; anything else that fails is a fault of the test.
fn refused(server: &Postgres, port: u16, sql: &str) -> bool {
    let output = server.client("psql", port, "", &["-c", sql], PATIENCE);
    assert!(output.success || output.stderr.contains("reference"), "{sql}: {}", output.stderr);
    !output.success
}

#[test]
fn a_role_is_learned_approved_and_held_to_it() {
    let Some(server) = members("learned statements") else { return };
    let (gate, port) = gate("statements-learn", server.address(), "mode = \"enforce\"\nbook = \"db.book\"");
    let config = gate.config().display().to_string();
    let pg = |words: &[&str]| gate.command(&[&["pg"], words, &["--config", &config]].concat());

    assert!(pg(&["learn", "admin"]).success);
    let page = "select id, email from members order by id limit 20";
    assert!(!refused(&server, port, page));
    assert!(!refused(&server, port, "select name from members where id = 7"));
    let early = pg(&["enforce", "admin"]);
    assert!(!early.success && early.stderr.contains("not approved"), "{}", early.stderr);
    let waiting = pg(&["diff"]).stdout;
    assert!(waiting.contains("learned, not approved") && waiting.contains("where id = ?"), "{waiting}");
    assert!(pg(&["approve", "admin"]).success && pg(&["enforce", "admin"]).success);

    assert!(!refused(&server, port, page));
    assert!(!refused(&server, port, "SELECT name FROM members WHERE id = 4711 -- another"));
    for attack in [
        "select id, email from members order by id limit 2000000",
        "select name from members where id = 7 or 1 = 1",
        "select name from members where id in (1, 2, 3, 4)",
        "select name from members where id = 7; select email from members",
        "select query_to_xml('select * from members', true, false, '')",
        "do $$ begin perform 1; end $$",
        "delete from members",
        "select pg_read_file('/etc/passwd')",
    ] {
        assert!(refused(&server, port, attack), "{attack}");
    }
    assert_eq!(server.sql(server.address().port(), "", "select count(*) from members"), "20000");

    let told = gate.journal().find(|record| record["reason"] == "statement-unknown").expect("a refusal in the log");
    assert_eq!(told["event"], "refused");
    let written = gate.place().join("db.book");
    let book = fs::read_to_string(&written).expect("the book");
    assert!(book.contains("admin = \"enforce\"") && !book.contains("4711"), "{book}");
    let changed = gate.journal().find(|record| record.to_string().contains("role admin: learn -> enforce"));
    assert!(changed.is_some(), "the step is in the log");
}

#[test]
fn observing_tells_and_refuses_nothing() {
    let Some(server) = members("observed statements") else { return };
    let (gate, port) = gate("statements-observe", server.address(), "");
    assert!(!refused(&server, port, "do $$ begin perform 1; end $$"));
    let told = gate.journal().find(|record| record["event"] == "observed").expect("an observation in the log");
    assert_eq!(told["reason"], "statement-forbidden");
}

#[test]
fn no_more_leaves_than_the_budget() {
    let Some(server) = members("budgets of a database") else { return };
    let budget = "mode = \"enforce\"\n[[database.budget]]\nper = \"relation\"\nrelation = \"members\"\nwithin = \"hour\"\nrows = 5000";
    let (gate, port) = gate("statements-budget", server.address(), budget);
    let first = server.client("psql", port, "", &["-c", "select email from members limit 1000"], PATIENCE);
    assert_eq!(first.stdout.lines().count(), 1000, "{}", first.stderr);
    let rest = server.client("psql", port, "", &["-c", "copy members to stdout"], PATIENCE);
    assert!(!rest.success, "twenty thousand rows");
    assert!(rest.stdout.lines().count() <= 4000, "{}", rest.stdout.lines().count());
    assert!(!refused(&server, port, "select generate_series(1, 20000)"), "of another relation there is no budget");
    let cut = gate.journal().find(|record| record["event"] == "cut" && record["reason"] == "egress-budget");
    assert!(cut.is_some());
}

#[test]
fn a_parser_that_ends_costs_no_session() {
    let Some(server) = members("the parser's process") else { return };
    let (gate, port) = gate("statements-parser", server.address(), "mode = \"enforce\"\nfail = \"closed\"");
    assert!(!refused(&server, port, "select 1"));
    let parsers = parsers_of(gate.id());
    assert!(!parsers.is_empty(), "it has one");
    for parser in &parsers {
        let confined = fs::read_to_string(format!("/proc/{parser}/status")).expect("its status");
        assert!(confined.contains("NoNewPrivs:\t1") && confined.contains("Seccomp:\t2"), "{confined}");
        let pid = Pid::from_raw(i32::try_from(*parser).expect("a process id")).expect("a process");
        kill_process(pid, Signal::KILL).expect("it is the gate's");
    }
    let started = || gate.metrics().sum("portcullis_parser_started_total", &[]);
    let before = started();
    // Each worker has its own: until a session comes to the one whose parser is gone, with a text that nobody has parsed.
    let mut number = 0;
    assert!(eventually(PATIENCE, || {
        number += 1;
        assert!(!refused(&server, port, &format!("select 2 from members limit {number}")));
        started() > before
    }));
    assert_eq!(gate.metrics().sum("portcullis_parser_failed_total", &[]), 0.0, "no text was to blame");
}

/// The processes that a gate started as its parsers.
fn parsers_of(gate: u32) -> Vec<u32> {
    let processes =
        fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_parser = |id: &u32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        line.windows(16).any(|part| part == b"parse-statements") && status.contains(&format!("PPid:\t{gate}\n"))
    };
    processes.filter(is_parser).collect()
}
