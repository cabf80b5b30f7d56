//! The relay between applications and PostgreSQL, with real servers and real clients on both sides.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_suite::postgres::{PASSWORD, Postgres, Programs, programs};
use portcullis_suite::{Authority, Gate, Leaf, Plan, Python, eventually, figure, free_port, place, run};
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(120);

/// A gate in front of `upstream`, and the port that applications connect to.
fn gate(name: &str, upstream: SocketAddr, keys: &str) -> (Gate, u16) {
    let port = free_port();
    let table = format!(
        "[[database]]\nname = \"db\"\nlisten = \"127.0.0.1:{port}\"\nupstream = \"{upstream}\"\nsample = 1\n{keys}\n"
    );
    let plan = Plan::new(name).upstream(&["http://127.0.0.1:9".to_owned()], "").table(&table);
    (plan.start(), port)
}

fn certificate(leaf: &Leaf) -> String {
    format!("cert = {:?}\nkey = {:?}\n", leaf.cert, leaf.key)
}

/// Runs what psycopg is to try; `None` where it is not there.
fn psycopg(programs: &Programs, port: u16, rest: &str, what: &[&str]) -> Option<String> {
    let python = programs.python.as_ref()?;
    let script = Python::script("postgres_client.py").to_string_lossy().into_owned();
    let wanted = format!("host=127.0.0.1 port={port} user=admin password='{PASSWORD}' dbname=postgres {rest}");
    let arguments = [&[script.as_str(), &wanted], what].concat();
    let output = run(python, &arguments, PATIENCE);
    assert!(output.success, "{rest} {what:?}: {}{}", output.stdout, output.stderr);
    Some(output.stdout)
}

#[test]
fn every_client_works_through_the_relay_as_without_it() {
    let test = "PostgreSQL clients through the relay";
    let Some(programs) = programs(test) else { return };
    for (version, server) in &programs.servers {
        let server = Postgres::start(server, &format!("clients-{version}"), None);
        let (gate, port) = gate(&format!("postgres-clients-{version}"), server.address(), "");

        assert_eq!(server.sql(port, "", "select 40 + 2"), "42");
        let both = "create table copied (a int, b text); insert into copied select n, 'row ' || n from generate_series(1, 1000) n";
        server.sql(port, "", both);
        let file = gate.place().join("copied.txt");
        let file = file.to_string_lossy();
        server.sql(port, "", &format!("\\copy copied to '{file}'"));
        server.sql(port, "", &format!("\\copy copied from '{file}'"));
        assert_eq!(server.sql(port, "", "select count(*) from copied"), "2000");

        let quiet = ["-i", "-q", "-s", "1"];
        let made = server.client("pgbench", port, "", &quiet, PATIENCE);
        assert!(made.success, "{}", made.stderr);
        for mode in ["simple", "extended", "prepared"] {
            let arguments = ["-n", "-M", mode, "-c", "8", "-j", "2", "-t", "50"];
            let output = server.client("pgbench", port, "", &arguments, PATIENCE);
            assert!(output.success && output.stdout.contains("400/400"), "{mode}: {}{}", output.stdout, output.stderr);
        }
        let all = ["simple", "prepared", "binary", "pipeline", "copy", "notify", "cancel", "large", "protocol"];
        psycopg(&programs, port, "", &all);

        // What a session has not told yet is told at its end, which a server may bring after the client's.
        let counted = |name| gate.metrics().sum(name, &[("database", "db")]);
        for (name, least) in
            [("portcullis_database_statements_total", 8000.0), ("portcullis_database_rows_total", 3000.0)]
        {
            assert!(eventually(Duration::from_secs(5), || counted(name) > least), "{name}: {}", counted(name));
        }
        assert!(eventually(Duration::from_secs(5), || {
            gate.metrics().sum("portcullis_database_sessions_open", &[]) == 0.0
        }));
        let session = gate.journal().find(|record| record["event"] == "session" && record["role"] == "admin");
        let session = session.expect("a line for a session");
        assert_eq!(session["authentication"], "SCRAM-SHA-256");
        assert_eq!(session["tls"], "none");
        let status = gate.command(&["status", "--config", &gate.config().to_string_lossy()]);
        assert!(status.success, "{}", status.stderr);
    }
}

#[test]
fn two_hundred_sessions_at_once_and_no_more_than_declared() {
    let Some(programs) = programs("two hundred sessions through the relay") else { return };
    let server = Postgres::start(&programs.servers[0].1, "crowd", None);
    let (gate, port) = gate("postgres-crowd", server.address(), "sessions = 200");
    server.sql(port, "", "create table t as select generate_series(1, 100) a");
    let script = gate.place().join("crowd.sql");
    std::fs::write(&script, "select count(*) from t;\n").expect("a script");
    let script = script.to_string_lossy();
    let crowd = ["-n", "-f", &script, "-c", "200", "-j", "2", "-t", "5"];
    let output = server.client("pgbench", port, "", &crowd, PATIENCE);
    assert!(output.success && output.stdout.contains("1000/1000"), "{}{}", output.stdout, output.stderr);
    let many = ["-n", "-f", &script, "-c", "201", "-j", "1", "-t", "1"];
    let output = server.client("pgbench", port, "", &many, PATIENCE);
    assert!(!output.success && output.stderr.contains("reference"), "{}", output.stderr);
    assert_eq!(server.sql(port, "", "select 1"), "1", "a place is free again");
}

#[test]
fn passwords_stay_bound_to_the_connection_with_the_servers_own_certificate() {
    let Some(programs) = programs("TLS through the relay") else { return };
    let authority = Authority::new(&place("postgres-tls-certs"));
    let (own, other) = (authority.leaf(&["db.test", "127.0.0.1"]), authority.leaf(&["gate.test"]));
    // The wheel is built without TLS.
    for (version, server) in programs.servers.iter().filter(|(version, _)| *version != "wheel") {
        let server = Postgres::start(server, &format!("tls-{version}"), Some(&own));
        let (same, port) = gate(&format!("postgres-tls-{version}"), server.address(), &certificate(&own));
        let bound = "sslmode=require channel_binding=require";
        assert_eq!(server.sql(port, bound, "select ssl from pg_stat_ssl where pid = pg_backend_pid()"), "t");
        let session = same.journal().find(|record| record["event"] == "session").expect("a line");
        assert_eq!(session["authentication"], "SCRAM-SHA-256-PLUS");
        assert_ne!(session["tls"], "none");
        let all = ["tls", "simple", "prepared", "pipeline", "copy", "cancel", "large", "notify"];
        if psycopg(&programs, port, bound, &all).is_some() {
            psycopg(&programs, port, &format!("{bound} sslnegotiation=direct"), &["tls", "simple", "cancel"]);
            psycopg(&programs, port, "gssencmode=disable sslmode=disable", &["simple"]);
        }
        // The same server behind a certificate that is not its own: insisting on binding fails, and only that.
        let keys = format!("{}tls = \"terminate\"\nupstream_tls = false\n", certificate(&other));
        let (_gate, port) = gate(&format!("postgres-terminate-{version}"), server.address(), &keys);
        let output = server.client("psql", port, bound, &["-c", "select 1"], PATIENCE);
        assert!(!output.success, "bound to a certificate that the server does not have");
        assert_eq!(server.sql(port, "sslmode=require channel_binding=disable", "select 1"), "1");
        // A server that does not show the certificate is not the server.
        let (gate, port) = gate(&format!("postgres-impostor-{version}"), server.address(), &certificate(&other));
        let output = server.client("psql", port, "sslmode=require", &["-c", "select 1"], PATIENCE);
        assert!(!output.success && output.stderr.contains("reference"), "{}", output.stderr);
        let record = gate.journal().find(|record| record["reason"] == "upstream-connect").expect("a record");
        assert!(record["detail"].as_str().is_some_and(|detail| detail.contains("`cert`")), "{record}");
    }
}

#[test]
fn tls_can_be_required_and_wishes_are_answered() {
    let Some(programs) = programs("wishes for encryption") else { return };
    let authority = Authority::new(&place("postgres-require-certs"));
    let own = authority.leaf(&["db.test"]);
    let server = Postgres::start(&programs.servers[0].1, "require", Some(&own));
    let keys = format!("{}require_tls = true\n", certificate(&own));
    let (gate, port) = gate("postgres-require", server.address(), &keys);
    let output = server.client("psql", port, "sslmode=disable", &["-c", "select 1"], PATIENCE);
    assert!(!output.success && output.stderr.contains("TLS is required"), "{}", output.stderr);
    assert_eq!(server.sql(port, "sslmode=require", "select 1"), "1");

    let ask = |bytes: &[u8]| {
        let mut wire = TcpStream::connect(("127.0.0.1", port)).expect("the gate listens");
        wire.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        wire.write_all(bytes).expect("sent");
        let mut answer = [0; 64];
        wire.read(&mut answer).map_or(Vec::new(), |count| answer[..count].to_vec())
    };
    assert_eq!(ask(b"\0\0\0\x08\x04\xd2\x16\x30"), b"N", "no GSSAPI");
    assert_eq!(ask(b"\0\0\0\x08\x04\xd2\x16\x2f"), b"S");
    // A statement smuggled behind the wish must not be taken for one from inside (CVE-2021-23222).
    assert_eq!(ask(b"\0\0\0\x08\x04\xd2\x16\x2fQ\0\0\0\x0dselect 1\0"), b"");
    assert_eq!(ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), b"");
    assert_eq!(ask(b"\xff\xff\xff\xff\0\x03\0\0"), b"");
    assert!(gate.metrics().refused("database-protocol") >= 3.0);
    assert_eq!(server.sql(port, "sslmode=require", "select 1"), "1");
}

#[test]
fn what_carries_everything_past_the_budgets_is_refused() {
    let Some(programs) = programs("replication through the relay") else { return };
    let server = Postgres::start(&programs.servers[0].1, "replication", None);
    let (gate, port) = gate("postgres-replication", server.address(), "mode = \"enforce\"");
    for value in ["true", "database"] {
        let wanted = format!("replication={value}");
        let output = server.client("psql", port, &wanted, &["-c", "IDENTIFY_SYSTEM"], PATIENCE);
        assert!(!output.success && output.stderr.contains("reference"), "{}", output.stderr);
        let direct = server.client("psql", server.address().port(), &wanted, &["-c", "IDENTIFY_SYSTEM"], PATIENCE);
        assert!(direct.success, "the server itself would: {}", direct.stderr);
    }
    let record = gate.journal().find(|record| record["event"] == "refused").expect("a record");
    assert_eq!(record["reason"], "statement-forbidden");
    assert_eq!(server.sql(port, "", "select 1"), "1");
}

/// What passed a recorder, connection by connection, in both directions.
#[derive(Clone, Default)]
struct Recording(Arc<Mutex<Vec<[Vec<u8>; 2]>>>);

/// A plain relay of the test's own that writes down what passes.
fn recorder(to: SocketAddr) -> (SocketAddr, Recording) {
    splitter(to, 16 * 1024)
}

/// The same in pieces of so many bytes.
fn splitter(to: SocketAddr, most: usize) -> (SocketAddr, Recording) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let recording = Recording::default();
    let kept = recording.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(to).expect("what is recorded runs");
            server.set_nodelay(true).and(client.set_nodelay(true)).expect("sockets");
            let place = {
                let mut all = kept.0.lock().expect("whole");
                all.push(Default::default());
                all.len() - 1
            };
            for (way, from, into) in [(0, &client, &server), (1, &server, &client)] {
                let (mut from, mut into) = (from.try_clone().expect("a socket"), into.try_clone().expect("a socket"));
                let kept = kept.clone();
                std::thread::spawn(move || {
                    let mut piece = vec![0; most];
                    while let Ok(count @ 1..) = from.read(&mut piece) {
                        kept.0.lock().expect("whole")[place][way].extend_from_slice(&piece[..count]);
                        if into.write_all(&piece[..count]).is_err() {
                            break;
                        }
                    }
                    let _ = into.shutdown(Shutdown::Write);
                });
            }
        }
    });
    (address, recording)
}

#[test]
fn not_a_byte_is_changed_on_the_way() {
    let Some(programs) = programs("a byte-for-byte check of the relay") else { return };
    let server = Postgres::start(&programs.servers[0].1, "bytes", None);
    let (behind, inner) = recorder(server.address());
    let keys = "mode = \"enforce\"\n[[database.grant]]\nrole = \"admin\"\nkinds = [\"drop\", \"truncate\"]";
    let (_gate, port) = gate("postgres-bytes", behind, keys);
    let (before, outer) = recorder(SocketAddr::from(([127, 0, 0, 1], port)));
    let plain = "sslmode=disable gssencmode=disable";
    let script = "begin; create temporary table t (a int, b text); \
                  insert into t select n, repeat('x', n) from generate_series(1, 2000) n; \
                  prepare p as select * from t where a < $1; execute p(100); copy t to stdout; select * from t; commit; \
                  listen x; notify x";
    server.sql(before.port(), plain, script);
    let made = server.client("pgbench", before.port(), plain, &["-i", "-q"], PATIENCE);
    assert!(made.success, "{}", made.stderr);
    for mode in ["simple", "extended", "prepared"] {
        let arguments = ["-n", "-M", mode, "-c", "1", "-t", "20"];
        assert!(server.client("pgbench", before.port(), plain, &arguments, PATIENCE).success);
    }
    psycopg(&programs, before.port(), plain, &["pipeline", "copy", "binary"]);
    // Which connection came first may differ by a moment; what each of them carried may not.
    let sorted = |recording: &Recording| {
        let mut all = recording.0.lock().expect("whole").clone();
        all.sort();
        all
    };
    assert!(eventually(Duration::from_secs(5), || sorted(&inner) == sorted(&outer)), "bytes differ");
    let all = sorted(&inner);
    let sum = |way: usize| all.iter().map(|connection| connection[way].len()).sum::<usize>();
    assert!(sum(0) > 100_000 && sum(1) > 1_000_000, "{} {}", sum(0), sum(1));
}

#[test]
fn a_refused_statement_fails_like_any_other_and_the_session_goes_on() {
    let Some(programs) = programs("refusals of the relay") else { return };
    for (version, server) in &programs.servers {
        let server = Postgres::start(server, &format!("refused-{version}"), None);
        let (gate, port) = gate(&format!("postgres-refused-{version}"), server.address(), "mode = \"enforce\"");
        let output = server.client("psql", port, "", &["-c", "do $$ begin end $$"], PATIENCE);
        assert!(!output.success && output.stderr.contains("reference"), "{}", output.stderr);
        let words = output.stderr.split("reference ").nth(1).expect("a reference");
        let reference = words.get(..13).expect("thirteen characters");
        let record = gate.journal().by_reference(reference).expect("a record");
        assert_eq!((&record["event"], &record["reason"]), (&"refused".into(), &"statement-forbidden".into()));
        let explained = gate.command(&["explain", reference, "--config", &gate.config().to_string_lossy()]);
        assert!(explained.stdout.contains("role admin on database db"), "{}{}", explained.stdout, explained.stderr);
        psycopg(&programs, port, "", &["refused"]);
        // Nothing of it reached the server, and a script that stops nowhere goes on.
        let script = "begin;\ncreate table t (a int);\ndo $$ begin drop table t; end $$;\nselect 1;\nrollback;\nselect 'still here';\n";
        let file = gate_file(&server, script);
        let output = server.client("psql", port, "", &["-v", "ON_ERROR_STOP=0", "-f", &file], PATIENCE);
        assert!(output.stdout.contains("still here"), "{}{}", output.stdout, output.stderr);
        assert!(
            output.stderr.contains("current transaction is aborted"),
            "the state is the server's: {}",
            output.stderr
        );
        // What only observes tells and lets pass.
        let (observing, port) = self::gate(&format!("postgres-observed-{version}"), server.address(), "");
        server.sql(port, "", "do $$ begin end $$");
        assert!(observing.journal().find(|record| record["event"] == "observed").is_some());
    }
}

#[test]
fn no_more_leaves_than_the_budget_and_the_statement_is_given_up() {
    let Some(programs) = programs("budgets of what leaves a database") else { return };
    for (version, server) in &programs.servers {
        let server = Postgres::start(server, &format!("budget-{version}"), None);
        let keys = "mode = \"enforce\"\n[[database.budget]]\nper = \"session\"\nrows = 20000";
        let (gate, port) = gate(&format!("postgres-budget-{version}"), server.address(), keys);
        server.sql(port, "", "select generate_series(1, 19000)");
        let copy = "copy (select generate_series(1, 50000000)) to stdout";
        let output = server.client("psql", port, "", &["-c", copy], PATIENCE);
        let lines = output.stdout.lines().count();
        // At most the budget; less by at most what one look at the stream holds.
        assert!((10_000..=20_000).contains(&lines), "{lines} rows left");
        assert!(!output.success && output.stderr.contains("reference"), "{}", output.stderr);
        let left = "select count(*) from pg_stat_activity where state = 'active' and query like 'copy (select gen%'";
        let direct = server.address().port();
        assert!(eventually(Duration::from_secs(5), || server.sql(direct, "", left) == "0"), "the server goes on");
        let record = gate.journal().find(|record| record["event"] == "cut").expect("a record");
        assert_eq!(record["reason"], "egress-budget");
        // A new session has a budget of its own.
        assert_eq!(server.sql(port, "", "select 1"), "1");
    }
}

/// When something passed a relay of the test's own.
#[derive(Default)]
struct Moments {
    /// So many bytes had gone from the server to the gate.
    crossed: Option<Instant>,
    /// The gate let go of the server.
    closed: Option<Instant>,
    /// It made another connection, to cancel what the server does.
    cancelled: Option<Instant>,
}

/// A relay before the server that notes when `most` bytes had come from it, and what the gate did then.
fn stopwatch(to: SocketAddr, most: usize) -> (SocketAddr, Arc<Mutex<Moments>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let moments = Arc::new(Mutex::new(Moments::default()));
    let kept = Arc::clone(&moments);
    std::thread::spawn(move || {
        for gate in listener.incoming().map_while(Result::ok) {
            {
                let mut moments = kept.lock().expect("whole");
                if moments.crossed.is_some() {
                    moments.cancelled.get_or_insert_with(Instant::now);
                }
            }
            let server = TcpStream::connect(to).expect("the server runs");
            server.set_nodelay(true).and(gate.set_nodelay(true)).expect("sockets");
            for (back, from, into) in [(false, &gate, &server), (true, &server, &gate)] {
                let (mut from, mut into) = (from.try_clone().expect("a socket"), into.try_clone().expect("a socket"));
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    let (mut piece, mut total) = (vec![0; 16 * 1024], 0);
                    while let Ok(count @ 1..) = from.read(&mut piece) {
                        total += count;
                        // Noted before it goes on: the gate may have acted before this thread runs again.
                        if back && total >= most {
                            kept.lock().expect("whole").crossed.get_or_insert_with(Instant::now);
                        }
                        if into.write_all(&piece[..count]).is_err() {
                            break;
                        }
                    }
                    if !back && kept.lock().expect("whole").crossed.is_some() {
                        kept.lock().expect("whole").closed.get_or_insert_with(Instant::now);
                    }
                    let _ = into.shutdown(Shutdown::Both);
                });
            }
        }
    });
    (address, moments)
}

#[test]
fn what_goes_beyond_a_budget_is_little_and_soon_over() {
    let Some(programs) = programs("how soon a session is cut") else { return };
    let server = Postgres::start(&programs.servers[0].1, "cut", None);
    // Messages of 98 bytes; before the first there are some hundreds of bytes of a session's beginning.
    let (rows, message) = (20_000, 98);
    let (behind, moments) = stopwatch(server.address(), (rows + 1) * message + 1000);
    let keys = format!("mode = \"enforce\"\n[[database.budget]]\nper = \"session\"\nrows = {rows}");
    let (gate_of_rows, port) = gate("postgres-cut", behind, &keys);
    let copy = "copy (select lpad(n::text, 92, '0') from generate_series(1, 50000000) n) to stdout";
    let output = server.client("psql", port, "gssencmode=disable", &["-c", copy], PATIENCE);
    assert!(!output.success && output.stdout.lines().count() <= rows, "{}", output.stderr);
    let soon = || {
        let moments = moments.lock().expect("whole");
        moments.crossed.zip(moments.closed).zip(moments.cancelled)
    };
    assert!(eventually(Duration::from_secs(10), || soon().is_some()), "the server is let go and told to stop");
    let ((crossed, closed), cancelled) = soon().expect("it happened");
    for (what, when) in [("let_go", closed), ("cancelled", cancelled)] {
        let took = when.saturating_duration_since(crossed).as_secs_f64() * 1000.0;
        figure(&format!("database.cut.{what}"), took, "ms after the first byte beyond the budget had left the server");
    }
    drop(gate_of_rows);

    // Rows that are longer than a look at the stream go on in pieces: at most one such piece is beyond.
    let budget: usize = 1024 * 1024;
    let keys = "mode = \"enforce\"\n[[database.budget]]\nper = \"session\"\nbytes = \"1MiB\"";
    for (name, length) in [("short", 50), ("middle", 30_000), ("long", 700_000)] {
        let (_gate, port) = gate(&format!("postgres-over-{name}"), server.address(), keys);
        let (before, outer) = recorder(SocketAddr::from(([127, 0, 0, 1], port)));
        let copy = format!("copy (select repeat('x', {length}) from generate_series(1, 1000000)) to stdout");
        let plain = "sslmode=disable gssencmode=disable";
        let output = server.client("psql", before.port(), plain, &["-c", &copy], PATIENCE);
        assert!(!output.success, "{name}");
        let delivered = outer.0.lock().expect("whole").iter().map(|way| way[1].len()).max().unwrap_or(0);
        // Five bytes of framing for each row do not count, and a session's beginning has some hundreds.
        let framing = delivered / (length + 6) * 5 + 2048;
        assert!(delivered <= budget + 64 * 1024 + framing, "{name}: {delivered}");
        assert!(delivered > budget / 4, "{name}: {delivered}");
        figure(&format!("database.delivered.{name}"), delivered as f64 / budget as f64, "of the budget");
    }
}

/// Members in a table, of whom a thousand are canaries; the configuration that looks for them.
fn planted(plan: &mut Plan, server: &Postgres) -> String {
    let config = plan.write().display().to_string();
    let arguments = ["canary", "new", "--config", &config, "--count", "1000", "--domain", "post.example.org"];
    let made = run(Gate::binary(), &[&arguments[..], &["--home", "pg:backup"]].concat(), Duration::from_secs(60));
    assert!(made.success, "{}", made.stderr);
    let emails: Vec<&str> = made.stdout.lines().skip(1).filter_map(|line| line.split(',').nth(3)).collect();
    assert_eq!(emails.len(), 1000, "{}", made.stdout);
    let rows: String =
        emails.iter().enumerate().map(|(at, email)| format!("{}\tMember {at}\t{email}\n", at + 1)).collect();
    let place = plan.place().display().to_string();
    let file = format!("{place}/members.txt");
    std::fs::write(&file, rows).expect("a file");
    let direct = server.address().port();
    server.sql(direct, "", "create table members (id int, name text, email text)");
    server.sql(direct, "", &format!("\\copy members from '{file}'"));
    server.sql(direct, "", &format!("create role backup login superuser password '{PASSWORD}'"));
    format!("[data]\ncanaries = \"{place}/canaries.txt\"\ncanary_key = \"{place}/canary.key\"\n")
}

fn database(name: &str, port: u16, upstream: SocketAddr, keys: &str) -> String {
    format!("[[database]]\nname = \"{name}\"\nlisten = \"127.0.0.1:{port}\"\nupstream = \"{upstream}\"\n{keys}\n")
}

#[test]
fn every_canary_is_seen_in_every_way_that_rows_leave() {
    let Some(programs) = programs("canaries in a database") else { return };
    if programs.python.is_none() {
        return;
    }
    let server = Postgres::start(&programs.servers[0].1, "canaries", None);
    let (pieces, _) = splitter(server.address(), 7);
    let (whole, split, enforced) = (free_port(), free_port(), free_port());
    let mut plan = Plan::new("postgres-canaries").upstream(&["http://127.0.0.1:9".to_owned()], "");
    let data = planted(&mut plan, &server);
    let tables = [
        database("whole", whole, server.address(), ""),
        database("split", split, pieces, ""),
        database("enforced", enforced, server.address(), "mode = \"enforce\""),
    ];
    let gate = plan.table(&data).table(&tables.concat()).start();
    let alarms = || gate.metrics().sum("portcullis_canary_alarms_total", &[]);
    let mut expected = 0.0;
    let ways = [
        "members_text",
        "members_binary",
        "members_prepared",
        "members_copy",
        "members_copy_binary",
        "members_aggregated",
    ];
    for port in [whole, split] {
        for way in ways {
            psycopg(&programs, port, "gssencmode=disable", &[way]);
            expected += 1000.0;
            assert!((alarms() - expected).abs() < 0.5, "{way}: {} of {expected}", alarms());
        }
    }
    // At home it is no alarm; elsewhere, enforced, it does not leave.
    let backup = server.client("psql", enforced, "user=backup", &["-c", "select * from members"], PATIENCE);
    assert!(backup.success && backup.stdout.lines().count() == 1000, "{}", backup.stderr);
    assert!((alarms() - expected).abs() < 0.5);
    let stolen = server.client("psql", enforced, "", &["-c", "copy members to stdout"], PATIENCE);
    assert!(!stolen.success && stolen.stdout.is_empty() && stolen.stderr.contains("reference"), "{}", stolen.stderr);
    let record = gate.journal().find(|record| record["event"] == "cut").expect("a record");
    assert_eq!(record["reason"], "canary-seen");
    assert_eq!(server.sql(enforced, "", "select count(*) from members"), "1000");
}

#[test]
fn a_table_in_one_row_is_as_many_values_as_in_many() {
    let Some(programs) = programs("values in what leaves a database") else { return };
    let server = Postgres::start(&programs.servers[0].1, "values", None);
    let members = "create table members (id int, email text); create table news (id int, about text); \
                   insert into members select n, 'member' || n || '@example.org' from generate_series(1, 1000) n; \
                   insert into news select n, 'desk' || n || '@example.org' from generate_series(1, 1000) n";
    server.sql(server.address().port(), "", members);
    let keys = "mode = \"enforce\"\nsensitive = [\"members\"]\n[[database.budget]]\nper = \"session\"\nvalues = 100";
    let (gate, port) = gate("postgres-values", server.address(), keys);
    for (statement, passes) in [
        ("select email from members where id <= 50", true),
        ("select about from news", true),
        ("select email from members", false),
        ("select array_agg(email) from members", false),
        ("select json_agg(m) from members m", false),
        ("with m as (select email as x from members) select upper(x) from m", false),
        ("copy (select string_agg(email, ' ') from members) to stdout", false),
    ] {
        let output = server.client("psql", port, "", &["-c", statement], PATIENCE);
        assert_eq!(output.success, passes, "{statement}: {}", output.stderr);
        assert!(passes || output.stdout.is_empty(), "{statement}");
    }
    let record = gate.journal().find(|record| record["event"] == "cut").expect("a record");
    assert_eq!(record["reason"], "egress-budget");
}

#[test]
fn draining_lets_a_statement_finish_and_ends_who_rests() {
    let Some(programs) = programs("draining sessions of a database") else { return };
    let server = Postgres::start(&programs.servers[0].1, "drain", None);
    let (mut gate, port) = gate("postgres-drain", server.address(), "");
    std::thread::scope(|scope| {
        let working = scope.spawn(|| server.sql(port, "", "select pg_sleep(2), 'through'"));
        let resting = scope.spawn(|| {
            // Between two statements when the gate goes: told, not reset.
            let script = "select 1;\n\\! sleep 2\nselect 2;\n";
            let file = gate_file(&server, script);
            server.client("psql", port, "", &["-f", &file], PATIENCE)
        });
        std::thread::sleep(Duration::from_millis(800));
        gate.signal(Signal::TERM);
        assert!(working.join().expect("no panic").contains("through"));
        let resting = resting.join().expect("no panic");
        assert!(!resting.success && resting.stderr.contains("draining"), "{}", resting.stderr);
    });
    assert!(gate.wait(Duration::from_secs(10)).is_some_and(|status| status.success()));
}

fn gate_file(server: &Postgres, text: &str) -> String {
    let path = place(&format!("postgres-script-{}", server.address().port())).join("script.sql");
    std::fs::write(&path, text).expect("a script");
    path.to_string_lossy().into_owned()
}

#[test]
fn a_server_that_dies_in_the_middle_costs_its_sessions_and_nothing_else() {
    let Some(programs) = programs("a server that dies") else { return };
    let (first, second) = (Path::new(&programs.servers[0].1), Path::new(&programs.servers[0].1));
    let lives = Postgres::start(first, "lives", None);
    let dies = Postgres::start(second, "dies", None);
    let (gate_one, port) = gate("postgres-lives", lives.address(), "");
    let (gate_two, doomed) = gate("postgres-dies", dies.address(), "connect_timeout = \"500ms\"");
    let output = std::thread::scope(|scope| {
        let reading = scope.spawn(|| lives.client("psql", doomed, "", &["-c", "select pg_sleep(20)"], PATIENCE));
        std::thread::sleep(Duration::from_millis(1000));
        drop(dies);
        reading.join().expect("no panic")
    });
    assert!(!output.success, "its server is gone");
    let refused = lives.client("psql", doomed, "", &["-c", "select 1"], PATIENCE);
    assert!(!refused.success && refused.stderr.contains("reference"), "{}", refused.stderr);
    assert!(eventually(Duration::from_secs(5), || {
        gate_two.metrics().sum("portcullis_database_sessions_open", &[]) == 0.0
    }));
    assert_eq!(lives.sql(port, "", "select 1"), "1");
    drop(gate_one);
}

#[test]
fn a_statement_is_joined_to_the_request_that_it_is_for() {
    let Some(programs) = programs("statements joined to requests") else { return };
    let server = Postgres::start(&programs.servers[0].1, "joined", None);
    let (gate, port) = gate("postgres-joined", server.address(), "");
    server.sql(port, "", "select 1 /*request_id='028T5CY4TQKFF',route='%2Fdonate'*/");
    let ran = |record: &serde_json::Value| record["event"] == "statement" && record["request"] == "028T5CY4TQKFF";
    let record = gate.journal().find(ran).expect("a record");
    assert_eq!((&record["rows"], &record["failed"]), (&1.into(), &serde_json::Value::Null));
    server.sql(port, "application_name='web 1ABCDEFGHJKMN'", "select 2");
    assert!(gate.journal().find(|record| record["request"] == "1ABCDEFGHJKMN").is_some());
}
