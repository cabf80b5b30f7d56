//! Real PostgreSQL servers, started by the test on loopback and ended with it.
//!
//! PostgreSQL refuses to run as root: there it runs as `nobody`, in a directory of its own outside of `target`, which only
//! root may enter.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Signal;

use crate::certs::Leaf;
use crate::place::{root, target};
use crate::ports::free_port;
use crate::process::{Output, Running, run, run_command};
use crate::tools;

/// Whose password every role has that a test makes.
pub const PASSWORD: &str = "correct horse";

/// Where programs are that `scripts/postgres.sh` brought.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Directories with `initdb` and `postgres`, with the name of where they are from.
    pub servers: Vec<(&'static str, PathBuf)>,
    /// Python with psycopg.
    pub python: Option<PathBuf>,
    /// sqlmap.
    pub sqlmap: Option<PathBuf>,
}

impl Programs {
    /// Python with psycopg, and sqlmap; `None` where one of them is not here, which has been said.
    #[must_use]
    pub fn sqlmap(&self, test: &str) -> Option<(PathBuf, PathBuf)> {
        let both = self.python.clone().zip(self.sqlmap.clone());
        if both.is_none() {
            tools::missing(test, "sqlmap and psycopg", "apt-get install python3-venv, and a reachable PyPI");
        }
        both
    }
}

/// What is there; `None` where no server is, which has been said.
#[must_use]
pub fn programs(test: &str) -> Option<Programs> {
    static FOUND: OnceLock<String> = OnceLock::new();
    let said = FOUND.get_or_init(|| {
        let script = root().join("scripts/postgres.sh");
        run(script, &[], Duration::from_secs(300)).stdout
    });
    let path = |word: &str| said.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).map(PathBuf::from);
    let mut servers: Vec<_> = ["debian", "wheel"].into_iter().filter_map(|word| Some((word, path(word)?))).collect();
    // Every version takes its time, so that the suite tries two of them and `make postgres` the others.
    if std::env::var_os("SUITE_POSTGRES").is_some_and(|wanted| wanted == "versions") {
        static OTHERS: OnceLock<String> = OnceLock::new();
        let others = OTHERS
            .get_or_init(|| run(root().join("scripts/postgres.sh"), &["versions"], Duration::from_secs(300)).stdout);
        let path =
            |word: &str| others.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).map(PathBuf::from);
        // The first does without what others count: it is behind them, where a test takes the first it finds.
        servers = ["14", "16", "17", "13"].into_iter().filter_map(|word| Some((word, path(word)?))).collect();
    }
    if servers.is_empty() {
        tools::missing(test, "PostgreSQL", "scripts/postgres.sh as root, or apt-get install postgresql");
        return None;
    }
    Some(Programs { servers, python: path("python"), sqlmap: path("sqlmap") })
}

/// Java that runs a source file, and where PostgreSQL's driver for it is; `None` where one of them is not here, which has been said.
#[must_use]
pub fn jdbc(test: &str) -> Option<(PathBuf, PathBuf)> {
    let said = run(root().join("scripts/postgres.sh"), &["jdbc"], Duration::from_secs(300)).stdout;
    let path = |word: &str| said.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).map(PathBuf::from);
    let both = path("java").zip(path("jdbc"));
    if both.is_none() {
        tools::missing(test, "Java and its driver", "apt-get install default-jdk-headless libpostgresql-jdbc-java");
    }
    both
}

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    place: PathBuf,
    port: u16,
    process: Running,
}

impl Postgres {
    /// Makes a cluster with the superuser `admin` and starts it. With a certificate it speaks TLS, and passwords are checked
    /// by SCRAM over TCP either way.
    ///
    /// # Panics
    /// When it does not start; the message holds what it said.
    #[must_use]
    pub fn start(programs: &Path, name: &str, certificate: Option<&Leaf>) -> Self {
        Self::start_with(programs, name, certificate, &[])
    }

    /// The same with settings of the server's: `shared_preload_libraries=pg_stat_statements`.
    ///
    /// # Panics
    /// Likewise.
    #[must_use]
    pub fn start_with(programs: &Path, name: &str, certificate: Option<&Leaf>, settings: &[&str]) -> Self {
        let place = std::env::temp_dir().join(format!("portcullis-postgres-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).expect("a directory for the cluster");
        fs::write(place.join("password"), PASSWORD).expect("a file for the password");
        if let Some(leaf) = certificate {
            fs::copy(&leaf.cert, place.join("server.crt")).expect("the certificate");
            fs::copy(&leaf.key, place.join("server.key")).expect("the key");
        }
        let data = place.join("data");
        let as_root = rustix::process::getuid().is_root();
        if as_root {
            let owned = run("chown", &["-R", "nobody", &place.to_string_lossy()], Duration::from_secs(10));
            assert!(owned.success, "{}", owned.stderr);
        }
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.current_dir(&place).env("LC_ALL", "C");
            if as_root {
                command.uid(65_534).gid(65_534);
            }
            command
        };
        let mut initdb = command("initdb");
        initdb.args(["-D"]).arg(&data).args(["-U", "admin", "-A", "scram-sha-256", "--pwfile=password", "-E", "UTF8"]);
        initdb.args(["--no-sync", "--locale=C"]);
        let made = run_command(initdb, Duration::from_secs(120));
        assert!(made.success, "initdb: {}{}", made.stdout, made.stderr);
        if certificate.is_some() {
            let _ = fs::set_permissions(place.join("server.key"), fs::Permissions::from_mode(0o600));
        }
        for _ in 0..4 {
            let port = free_port();
            let mut server = command("postgres");
            server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1"]);
            server.args(["-k", &place.to_string_lossy(), "-c", "fsync=off", "-c", "max_connections=300"]);
            settings.iter().for_each(|setting| {
                server.args(["-c", setting]);
            });
            if certificate.is_some() {
                let file = |name: &str| place.join(name).to_string_lossy().into_owned();
                server.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={}", file("server.crt"))]);
                server.args(["-c", &format!("ssl_key_file={}", file("server.key"))]);
            }
            let log = target().join("suite");
            fs::create_dir_all(&log).expect("target/suite can be made");
            let mut process = Running::start(server, &log.join(format!("postgres-{name}.log")));
            let ready = (0..600).any(|_| {
                std::thread::sleep(Duration::from_millis(50));
                process.output().contains("ready to accept connections") || process.ended().is_some()
            });
            if ready && process.ended().is_none() {
                return Self { programs: programs.to_owned(), place, port, process };
            }
            let said = process.output();
            assert!(said.contains("in use"), "postgres does not start:\n{said}");
        }
        panic!("no port was free four times");
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Runs one of its programs against `port`: `psql`, `pgbench`. `connection` follows a `dbname=… ` of its own.
    #[must_use]
    pub fn client(&self, program: &str, port: u16, connection: &str, arguments: &[&str], patience: Duration) -> Output {
        let own = self.programs.join(program);
        // The wheel has no psql of its own; Debian's speaks to every server.
        let path = if own.is_file() { own } else { tools::find(program).unwrap_or_else(|| program.into()) };
        let mut command = Command::new(path);
        command.env("PGPASSWORD", PASSWORD).env("PGCONNECT_TIMEOUT", "20").env("LC_ALL", "C");
        if program == "psql" {
            command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        }
        command.args(arguments);
        let user = if connection.contains("user=") { "" } else { "user=admin " };
        let wanted = format!("host=127.0.0.1 port={port} {user}dbname=postgres {connection}");
        match program {
            "psql" => command.args(["-d", &wanted]),
            // pgbench takes a connection string as its database.
            _ => command.arg(wanted),
        };
        run_command(command, patience)
    }

    /// Runs SQL through `port` and returns what psql printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn sql(&self, port: u16, connection: &str, sql: &str) -> String {
        let output = self.client("psql", port, connection, &["-c", sql], Duration::from_secs(60));
        assert!(output.success, "{sql}: {}{}", output.stdout, output.stderr);
        output.stdout.trim_end().to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Fast shutdown: sessions are ended, nothing is waited for.
        self.process.signal(Signal::INT);
        let _ = self.process.wait(Duration::from_secs(10));
        let _ = fs::remove_dir_all(&self.place);
    }
}
