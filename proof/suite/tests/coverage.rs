//! What reaches a database beside the gate, found in the server's own books; and what shows the rows of what, by its catalogue.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_suite::postgres::{PASSWORD, Postgres, programs};
use portcullis_suite::{Gate, Plan, eventually, figure, free_port};

const PATIENCE: Duration = Duration::from_secs(60);
/// How often the gates of these tests look.
const INTERVAL: &str = "interval = \"1s\"";

/// A server with statistics, a role that may read them, one that may not, and members.
fn server(test: &str, number: usize) -> Option<(Postgres, &'static str)> {
    let programs = programs(test)?;
    let (version, path) = programs.servers.get(number)?;
    let name = format!("{}-{version}", test.replace(' ', "-"));
    let server = Postgres::start_with(path, &name, None, &["shared_preload_libraries=pg_stat_statements"]);
    let roles = format!(
        "create extension pg_stat_statements; create role watch login password '{PASSWORD}' in role pg_monitor; \
         grant execute on function pg_hba_file_rules() to watch; grant select on pg_hba_file_rules to watch; \
         create role blind login password '{PASSWORD}'; create role app login password '{PASSWORD}'; \
         create table members (id int primary key, email text); create table news (id int primary key, about text); \
         insert into members select n, 'member' || n || '@example.org' from generate_series(1, 1000) n; \
         insert into news select n, 'desk' || n || '@example.org' from generate_series(1, 1000) n; \
         grant select on members, news to app"
    );
    server.sql(server.address().port(), "", &roles);
    // Up to version 14 a server counts a session half a second after it: this one is to be in its books before the gate looks.
    std::thread::sleep(Duration::from_secs(1));
    Some((server, version))
}

fn gate(name: &str, upstream: SocketAddr, keys: &str, reconcile: Option<&str>) -> (Gate, u16) {
    let port = free_port();
    let plan = Plan::new(name).upstream(&["http://127.0.0.1:9".to_owned()], "");
    let password = plan.place().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).expect("a file");
    let reconcile = reconcile.map_or_else(String::new, |keys| {
        // Its sensor has sessions of its own beside the relay: they are the gate's, too.
        format!(
            "[database.reconcile]\npassword_file = {password:?}\ninside = \"postgres\"\n{INTERVAL}\n{keys}\n\
             [database.schema]\nrole = \"watch\"\npassword_file = {password:?}\ninside = \"postgres\"\n{INTERVAL}\n"
        )
    });
    let table = format!(
        "[[database]]\nname = \"db\"\nlisten = \"127.0.0.1:{port}\"\nupstream = \"{upstream}\"\n{keys}\n{reconcile}\n"
    );
    (plan.table(&table).start(), port)
}

fn status(gate: &Gate) -> String {
    let output = gate.command(&["status", "--config", &gate.config().to_string_lossy()]);
    assert!(output.success, "{}", output.stderr);
    output.stdout
}

fn findings(gate: &Gate) -> f64 {
    gate.metrics().sum("portcullis_database_findings_total", &[("database", "db")])
}

/// Waits until the server's books have been read so many times more.
fn looks(gate: &Gate, count: u64) {
    let read = || gate.metrics().sum("portcullis_database_checked_seconds", &[]);
    for _ in 0..count {
        let before = read();
        assert!(eventually(PATIENCE, || read() > before), "{}", status(gate));
    }
}

const KNOWN: &str = "role = \"watch\"\nknown = [\"*@local\", \"*@::1\"]";

#[test]
fn what_reaches_the_server_beside_the_gate_is_found() {
    for number in 0..3 {
        let Some((server, version)) = server("traffic beside the gate", number) else { return };
        let (gate, port) = gate(&format!("coverage-{version}"), server.address(), "", Some(KNOWN));
        let direct = server.address().port();
        looks(&gate, 3);

        // Only what comes through the gate: nothing is found, whatever it does.
        let made = server.client("pgbench", port, "", &["-i", "-q", "-s", "1"], PATIENCE);
        assert!(made.success, "{}", made.stderr);
        for mode in ["simple", "prepared"] {
            let ran = server.client("pgbench", port, "", &["-n", "-M", mode, "-c", "8", "-C", "-t", "20"], PATIENCE);
            assert!(ran.success, "{}", ran.stderr);
        }
        server.sql(port, "", "copy (select generate_series(1, 100000)) to stdout");
        server.sql(port, "user=app", "select * from members");
        // An application that goes away leaves a session that the server ends when it likes.
        let gone = server.client("psql", port, "", &["-c", "select pg_sleep(8)"], Duration::from_millis(700));
        assert!(!gone.success);
        looks(&gate, 4);
        let shown = status(&gate);
        let books = "select r.rolname, calls, rows, left(query, 90) from pg_stat_statements s join pg_roles r on r.oid = userid \
                     where rows > 0 and toplevel order by 1, 4";
        let books = || server.sql(direct, "", books);
        assert!(findings(&gate) < 0.5 && !shown.contains("FINDING"), "{shown}{}", books());
        assert!(!shown.contains("not checked"), "{shown}");
        let metrics = gate.metrics();
        assert!(metrics.sum("portcullis_database_unchecked", &[]) < 0.5);
        assert!(metrics.sum("portcullis_database_rows_unseen_total", &[]) < 0.5, "{shown}");
        assert!(metrics.sum("portcullis_database_sessions_unseen_total", &[]) < 0.5, "{shown}");
        assert!(shown.contains("100.00 % seen"), "{shown}");

        // One beside it, as who it likes to be.
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let beside =
                scope.spawn(|| server.sql(direct, "user=app", "select pg_sleep(6), * from generate_series(1, 1)"));
            assert!(eventually(PATIENCE, || findings(&gate) > 0.5), "{}", status(&gate));
            figure(
                &format!("database.session_beside_found.{version}"),
                begun.elapsed().as_secs_f64(),
                "s, looked at each second",
            );
            let shown = status(&gate);
            assert!(shown.contains("FINDING") && shown.contains("a session of app"), "{shown}");
            beside.join().expect("no panic");
        });
        let record = gate.journal().find(|record| record["event"] == "finding").expect("a record");
        let reference = record["ref"].as_str().expect("a reference");
        let explained = gate.command(&["explain", reference, "--config", &gate.config().to_string_lossy()]);
        assert!(explained.stdout.contains("did not come through the gate"), "{}{}", explained.stdout, explained.stderr);
        assert!(eventually(PATIENCE, || !status(&gate).contains("FINDING")), "it is over: {}", status(&gate));

        // Rows that were read beside it, by a session that no look has met.
        looks(&gate, 2);
        server.sql(direct, "user=app", "select * from members");
        let unseen = || gate.metrics().sum("portcullis_database_rows_unseen_total", &[]);
        assert!(eventually(PATIENCE, || unseen() > 999.5), "{}", status(&gate));
        let told = gate.journal().find(|record| record.to_string().contains("rows that app read or changed did not"));
        assert!(told.is_some(), "{}", status(&gate));
        // A look may meet one that a slow machine keeps for long: then another is as short.
        let gone = || gate.metrics().sum("portcullis_database_sessions_unseen_total", &[]) > 1.5;
        let counted = eventually(PATIENCE, || {
            gone() || {
                server.sql(direct, "user=app", "select 1");
                looks(&gate, 1);
                gone()
            }
        });
        assert!(counted, "{}", status(&gate));
    }
}

#[test]
fn who_may_come_past_the_gate_is_told_before_anybody_does() {
    let Some((server, _)) = server("rules of access", 0) else { return };
    // The cluster as it was made lets in whoever is on its machine, over its socket file and over ::1.
    let (gate, _) = gate("coverage-access", server.address(), "", Some("role = \"watch\""));
    looks(&gate, 2);
    let shown = status(&gate);
    let lines = shown.lines().filter(|line| line.contains("FINDING") && line.contains("pg_hba.conf")).count();
    assert_eq!(lines, 4, "two for sessions, two for replication: {shown}");
    assert!(!shown.contains("127.0.0.1 255"), "where the gate comes from: {shown}");
    // Where nothing is declared, a session that was never met is a finding too.
    let gone = |record: &serde_json::Value| record.to_string().contains("began and ended");
    let told = eventually(PATIENCE, || {
        // One that a look happens to meet is told otherwise.
        looks(&gate, 1);
        server.sql(server.address().port(), "", "select 1");
        gate.journal().find(gone).is_some()
    });
    assert!(told, "{}", status(&gate));
}

#[test]
fn what_cannot_be_checked_is_said() {
    let Some((server, _)) = server("what may not be read", 0) else { return };
    let (gate, _) = gate("coverage-blind", server.address(), "", Some("role = \"blind\""));
    looks(&gate, 1);
    let shown = status(&gate);
    for part in ["no member of pg_monitor", "may not call pg_hba_file_rules()", "does not see others' statements"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(gate.metrics().sum("portcullis_database_unchecked", &[]) > 2.5);
    drop(gate);
    let (gate, _) = self::gate("coverage-nobody", server.address(), "", Some("role = \"nobody\""));
    assert!(eventually(PATIENCE, || status(&gate).contains("NOT CHECKED")), "{}", status(&gate));
    assert!(gate.metrics().sum("portcullis_database_unchecked", &[]) > 3.5);
}

#[test]
fn a_view_over_a_view_is_what_it_shows() {
    let Some((server, _)) = server("views over views", 0) else { return };
    let direct = server.address().port();
    let views = "create view people as select id, email as contact from members; \
                 create view everyone as select contact as c from people; \
                 create materialized view kept as select c from everyone; \
                 create table archive () inherits (members); \
                 create function all_of_them() returns setof text language sql as 'select email from members'; \
                 create view desks as select about from news; \
                 create function latest() returns setof text language sql as 'select about from news'; \
                 insert into archive select n, 'old' || n || '@example.org' from generate_series(1, 1000) n";
    server.sql(direct, "", views);
    let keys = "mode = \"enforce\"\nsensitive = [\"members\"]\n[[database.budget]]\nper = \"session\"\nvalues = 100";
    let (with, port) = gate("coverage-views", server.address(), keys, Some("role = \"watch\""));
    let (_without, blind) = gate("coverage-names", server.address(), keys, None);
    looks(&with, 2);
    for (statement, by_catalogue, by_name) in [
        ("select email from members", false, false),
        ("select contact from people", false, true),
        ("select c from everyone", false, true),
        ("select upper(c) from everyone", false, true),
        ("select json_agg(e) from everyone e", false, true),
        ("select c from kept", false, true),
        ("select email from archive", false, true),
        ("select * from all_of_them()", false, true),
        ("copy (select c from everyone) to stdout", false, true),
        ("select about from desks", true, true),
        ("select * from latest()", true, true),
        // Its columns are those of news alone, and the catalogue knows that.
        ("select n.about from news n join members m using (id)", true, false),
    ] {
        for (port, expected) in [(port, by_catalogue), (blind, by_name)] {
            let output = server.client("psql", port, "", &["-c", statement], PATIENCE);
            assert!(output.success || output.stderr.contains("reference"), "{statement}: {}", output.stderr);
            assert_eq!(output.success, expected, "{statement}: {}{}", output.stderr, status(&with));
        }
    }
    // A budget of the relation is one of what shows it.
    let keys =
        "mode = \"enforce\"\n[[database.budget]]\nper = \"relation\"\nrelation = \"public.members\"\nrows = 1500";
    let (relation, port) = gate("coverage-relation", server.address(), keys, Some("role = \"watch\""));
    looks(&relation, 2);
    assert_eq!(server.sql(port, "", "select c from everyone limit 1000").lines().count(), 1000);
    let rest = server.client("psql", port, "", &["-c", "select contact from people"], PATIENCE);
    assert!(!rest.success && rest.stderr.contains("reference"), "{}", rest.stderr);
}
