//! The figures of the relay in front of PostgreSQL, beside Debian's pgbouncer in session mode: CPU time of the relay alone.
//!
//! The server and pgbench run on the load core and are counted for nobody. Both relays carry plain connections, keep a
//! connection to the server for each of the application's, and write no line for a statement. pgbouncer asks nobody for a
//! password, which it could not carry; the gate carries the server's own exchange. Sessions are begun before the clock
//! is read only in so far as pgbench begins them: a measurement has eight, and thousands of statements.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::contender::{Kind, Place, end, free_ports, spawn};
use crate::figure::{Figure, Plan, Series, named, order};
use crate::load::Tally;
use crate::machine::{Machine, cpu_nanos};

const PASSWORD: &str = "bench";
/// Rows that one bulk measurement carries.
const ROWS: u64 = 400_000;

/// What is carried.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Carried {
    /// `pgbench --select-only` in this mode, 8 sessions.
    Queries(&'static str),
    /// Rows of `pgbench_accounts`, about 110 bytes each, as the result of one query.
    Rows,
    /// The same by `COPY … TO STDOUT`.
    Copy,
    /// As many rows of members, each with an address, a telephone number and a postcode that are looked for.
    Values,
}

impl Carried {
    /// Measures every contender of `figure`.
    pub(crate) fn measure(self, figure: &Figure, plan: &Plan) -> Fallible<Vec<Series>> {
        let place = Place::new(figure.name)?;
        let server = Server::start(&plan.machine)?;
        let (mut relays, mut series) = (Vec::new(), Vec::new());
        for kind in figure.contenders {
            let (relay, trouble) = match Relay::start(*kind, plan, &place, &server) {
                Ok(relay) => (Some(relay), None),
                Err(error) => (None, Some(error.to_string())),
            };
            relays.push(relay);
            series.push(Series { trouble, ..named(kind.name()) });
        }
        for relay in relays.iter().flatten() {
            self.load(&server, relay.port, 1)?;
        }
        for round in 0..plan.rounds {
            for turn in order(round, relays.len()) {
                let (Some(Some(relay)), Some(series)) = (relays.get(turn), series.get_mut(turn)) else { continue };
                let before = cpu_nanos(relay.child.id());
                let began = Instant::now();
                let done = self.load(&server, relay.port, plan.seconds)?;
                let spent = cpu_nanos(relay.child.id()) - before;
                // A row is told in nanoseconds, a query in microseconds.
                let spent = if matches!(self, Self::Queries(_)) { spent } else { spent * 1000 };
                let seconds = began.elapsed().as_secs_f64();
                series.take(spent, &Tally { done, seconds, ..Tally::default() });
            }
        }
        Ok(series)
    }

    /// How many queries or rows went through.
    fn load(self, server: &Server, port: u16, seconds: u32) -> Fallible<u64> {
        match self {
            Self::Queries(mode) => {
                let seconds = seconds.to_string();
                let said =
                    server.client("pgbench", port, &["-n", "-S", "-M", mode, "-c", "8", "-j", "1", "-T", &seconds])?;
                let line = said.lines().find_map(|line| line.split_once("actually processed: "));
                Ok(line.and_then(|(_, count)| count.parse().ok()).ok_or("pgbench says nothing")?)
            }
            Self::Rows | Self::Copy | Self::Values => {
                let times = ROWS / 100_000;
                let table = if matches!(self, Self::Values) { "members" } else { "pgbench_accounts" };
                let rows = format!("select a.* from {table} a, generate_series(1, {times})");
                let sql = if matches!(self, Self::Copy) { format!("copy ({rows}) to stdout") } else { rows };
                server.client("psql", port, &["-X", "-q", "-A", "-t", "-o", "/dev/null", "-c", &sql])?;
                Ok(ROWS)
            }
        }
    }
}

/// Debian's PostgreSQL with a table of 100,000 rows.
#[derive(Debug)]
struct Server {
    programs: PathBuf,
    directory: PathBuf,
    port: u16,
    child: Child,
}

impl Server {
    fn start(machine: &Machine) -> Fallible<Self> {
        let found = Command::new("scripts/postgres.sh").output()?;
        let found = String::from_utf8_lossy(&found.stdout).into_owned();
        let programs =
            found.lines().find_map(|line| line.strip_prefix("debian ")).ok_or("no PostgreSQL of Debian's")?;
        let programs = PathBuf::from(programs);
        // As root it refuses to run: a directory that `nobody` may enter, for a server that `nobody` runs.
        let directory = std::env::temp_dir().join(format!("portcullis-bench-postgres-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("password"), PASSWORD)?;
        let as_root = rustix::process::getuid().is_root();
        if as_root {
            Command::new("chown").args(["-R", "nobody"]).arg(&directory).status()?;
        }
        let command = |program: &str| {
            let program = programs.join(program);
            if as_root {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
                command
            } else {
                Command::new(program)
            }
        };
        let path = |name: &str| directory.join(name).display().to_string();
        let made = command("initdb")
            .args(["-D", &path("data"), "-U", "admin", "-A", "scram-sha-256", "--no-sync", "--locale=C"])
            .arg(format!("--pwfile={}", path("password")))
            .output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
        }
        let [port] = free_ports()?;
        let mut server = command("postgres");
        server.args(["-D", &path("data"), "-p", &port.to_string(), "-h", "127.0.0.1", "-k", &path("")]);
        server.args(["-c", "fsync=off", "-c", "max_connections=100"]);
        let child = spawn(server, machine.load_core, &directory.with_extension("log"))?;
        let server = Self { programs, directory, port, child };
        let began = Instant::now();
        while let Err(error) = server.client("psql", port, &["-c", "select 1"]) {
            if began.elapsed() > Duration::from_secs(30) {
                return Err(error);
            }
            sleep(Duration::from_millis(100));
        }
        server.client("pgbench", port, &["-i", "-q", "-s", "1"])?;
        let members = "create table members as select n as id, 'Member Number ' || n as name, \
                       'member.number' || n || '@post.example.org' as email, \
                       '07700 9' || lpad((n % 100000)::text, 5, '0') as telephone, 'SW1A ' || n % 10 || 'AA' as postcode, \
                       'branch ' || n % 600 as branch from generate_series(1, 100000) n";
        server.client("psql", port, &["-q", "-c", members])?;
        Ok(server)
    }

    /// Runs one of PostgreSQL's programs to its end; what it printed.
    fn client(&self, program: &str, port: u16, arguments: &[&str]) -> Fallible<String> {
        let mut command = Command::new(self.programs.join(program));
        let wanted =
            format!("host=127.0.0.1 port={port} user=admin dbname=postgres sslmode=disable gssencmode=disable");
        command.env("PGPASSWORD", PASSWORD).args(arguments);
        if program == "psql" {
            command.arg("-d");
        }
        let output = command.arg(wanted).output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A relay on the proxy core.
#[derive(Debug)]
struct Relay {
    child: Child,
    port: u16,
}

impl Relay {
    fn start(kind: Kind, plan: &Plan, place: &Place, server: &Server) -> Fallible<Self> {
        let [port, admin] = free_ports()?;
        let command = match kind {
            Kind::Portcullis => gate(&plan.gate, place, port, admin, server.port)?,
            Kind::Pgbouncer => pgbouncer(place, port, server.port)?,
            _ => return Err(format!("{} carries no sessions of a database", kind.name()).into()),
        };
        let log = PathBuf::from(place.path(&format!("{}.log", kind.name())));
        let mut relay = Self { child: spawn(command, plan.machine.proxy_core, &log)?, port };
        let began = Instant::now();
        while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err() {
            if relay.child.try_wait()?.is_some() || began.elapsed() > Duration::from_secs(15) {
                return Err(format!("{} does not listen (its output: {})", kind.name(), log.display()).into());
            }
            sleep(Duration::from_millis(50));
        }
        server.client("psql", port, &["-c", "select 1"])?;
        Ok(relay)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Every check on: statements judged and enforced, rows counted and charged to three budgets, values of members
/// recognised, a thousand canaries looked for.
fn gate(gate: &Path, place: &Place, port: u16, admin: u16, upstream: u16) -> Fallible<Command> {
    let text = format!(
        "[server]
workers = 1
control = \"{}\"
drain = \"1s\"

[admin]
listen = \"127.0.0.1:{admin}\"

[[database]]
name = \"bench\"
listen = \"127.0.0.1:{port}\"
upstream = \"127.0.0.1:{upstream}\"
mode = \"enforce\"
sensitive = [\"members\"]

[[database.budget]]
per = \"session\"
rows = 1000000000000
values = 1000000000000

[[database.budget]]
per = \"role\"
within = \"day\"
bytes = \"1000GiB\"
",
        place.path("control.sock"),
    );
    let config = place.file("gate.toml", &text)?;
    let gate = gate.canonicalize()?;
    // Beside the configuration, which names them from then on.
    let made = Command::new(&gate)
        .args(["canary", "new", "--count", "1000", "--domain", "post.example.org", "--config"])
        .arg(&config)
        .output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
    }
    let data = "[data]\ncanaries = \"canaries.txt\"\ncanary_key = \"canary.key\"\n";
    let config = place.file("gate.toml", &format!("{data}\n{text}"))?;
    let mut command = Command::new(gate);
    command.args(["run", "--config"]).arg(config);
    Ok(command)
}

/// As its manual has it for session pooling; it refuses to run as root.
fn pgbouncer(place: &Place, port: u16, upstream: u16) -> Fallible<Command> {
    let found = Command::new("scripts/postgres.sh").arg("pgbouncer").output()?;
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    let program = found.lines().find_map(|line| line.strip_prefix("pgbouncer ")).ok_or("no pgbouncer of Debian's")?;
    let directory = std::env::temp_dir().join(format!("portcullis-bench-pgbouncer-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let users = directory.join("users.txt");
    fs::write(&users, format!("\"admin\" \"{PASSWORD}\"\n"))?;
    let text = format!(
        "[databases]
postgres = host=127.0.0.1 port={upstream} dbname=postgres user=admin password={PASSWORD}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {}
pool_mode = session
max_client_conn = 200
default_pool_size = 90
log_connections = 0
log_disconnections = 0
log_stats = 0
",
        users.display(),
    );
    let config = directory.join("pgbouncer.ini");
    fs::write(&config, text)?;
    place.file("pgbouncer.ini", "in the directory for temporary files, because it does not run as root\n")?;
    if rustix::process::getuid().is_root() {
        Command::new("chown").args(["-R", "nobody"]).arg(&directory).status()?;
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).arg(config);
        return Ok(command);
    }
    let mut command = Command::new(program);
    command.arg(config);
    Ok(command)
}
