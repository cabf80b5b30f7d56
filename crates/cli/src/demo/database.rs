//! PostgreSQL behind the members' platform, where it is installed: a cluster of the demo's own, in a folder that goes with it.
//!
//! It listens on loopback only. PostgreSQL refuses to run as root: there it runs as `postgres`, or else as `nobody`.

use std::fs;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

use super::chance::secret;
use super::platforms::members::Member;

/// The role of the members' platform, which may read members and nothing else.
pub(crate) const APPLICATION: &str = "members_app";
/// The role of somebody's reports, with a tool of their own.
pub(crate) const REPORTING: &str = "reporting";
/// The role that the gate asks as, to see what came past it.
pub(crate) const WATCHER: &str = "portcullis";
/// The database inside the server.
pub(crate) const INSIDE: &str = "postgres";

const OWNER: &str = "demo_owner";
/// What making and starting a cluster may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What its end may take.
const ENDING: Duration = Duration::from_secs(3);
/// Where Debian, Red Hat, Homebrew and a source build put the programs.
const PLACES: [&str; 4] = ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/pgsql"];

/// A running cluster. It ends, and its folder is removed, when this is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Where it listens.
    pub(crate) at: SocketAddr,
    password: String,
    /// Whether the server counts what each statement came to.
    books: bool,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    server: Child,
    folder: TempDir,
}

impl Cluster {
    /// Makes a cluster with the members of the demo in it.
    ///
    /// # Errors
    /// What stood in the way, in a sentence.
    pub(crate) fn start(programs: &Path) -> Result<Self, String> {
        let password = secret().ok_or("the operating system has no randomness")?;
        let folder = tempfile::Builder::new().prefix("portcullis-demo-db-").tempdir().map_err(in_words)?;
        let user = other_user().map_err(in_words)?;
        fs::write(folder.path().join("password"), &password).map_err(in_words)?;
        if let Some((user, group)) = user {
            for path in [folder.path().to_owned(), folder.path().join("password")] {
                chown(&path, Some(user), Some(group)).map_err(in_words)?;
            }
        }
        let data = folder.path().join("data");
        let mut initdb = command(programs, "initdb", folder.path(), user);
        initdb.arg("-D").arg(&data).args(["-U", OWNER, "-A", "scram-sha-256", "--pwfile=password"]);
        initdb.args(["-E", "UTF8", "--locale=C", "--no-sync"]);
        let made = initdb.stdin(Stdio::null()).output().map_err(in_words)?;
        if !made.status.success() {
            return Err(format!("initdb: {}", last_line(&made.stderr)));
        }
        fs::write(data.join("pg_hba.conf"), "host all all 127.0.0.1/32 scram-sha-256\n").map_err(in_words)?;
        let books = programs.parent().is_some_and(|place| place.join("lib/pg_stat_statements.so").is_file());
        let (server, at) = serve(programs, folder.path(), &data, user, books)?;
        Ok(Self { at, books, password, programs: programs.to_owned(), user, server, folder })
    }

    /// Gives the cluster its roles and its members.
    ///
    /// # Errors
    /// What stood in the way, in a sentence.
    pub(crate) async fn fill(&self, members: &[Member]) -> Result<(), String> {
        let client = connect(self.at, OWNER, &self.password).await?;
        let roles = [APPLICATION, REPORTING].map(|role| {
            let password = &self.password;
            format!("create role {role} login password '{password}'; grant select on members to {role};")
        });
        let tables = "create table members (id text primary key, name text not null, email text not null, \
                      branch text not null, since text not null, status text not null, found_by text not null);";
        let watcher = format!(
            "create role {WATCHER} login password '{}' in role pg_monitor; \
             grant execute on function pg_hba_file_rules() to {WATCHER}; grant select on pg_hba_file_rules to {WATCHER};{}",
            self.password,
            if self.books { "create extension pg_stat_statements;" } else { "" }
        );
        client.batch_execute(&format!("{tables}{}{watcher}", roles.concat())).await.map_err(in_words)?;
        let column = |of: fn(&Member) -> &str| members.iter().map(of).collect::<Vec<&str>>();
        let insert = "insert into members select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], \
                      $5::text[], $6::text[], $7::text[])";
        let columns = [
            column(|it| &it.id),
            column(|it| &it.name),
            column(|it| &it.email),
            column(|it| &it.branch),
            column(|it| &it.since),
            column(|it| &it.status),
            column(|it| &it.found_by),
        ];
        let [id, name, email, branch, since, status, found_by] = &columns;
        client.execute(insert, &[id, name, email, branch, since, status, found_by]).await.map_err(in_words)?;
        client.batch_execute("analyze members").await.map_err(in_words)
    }

    /// The password of every role.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = command(&self.programs, "pg_ctl", self.folder.path(), self.user);
        stop.args(["stop", "-m", "fast", "-s", "-w", "-t"]).arg(ENDING.as_secs().to_string());
        let stopped = stop.arg("-D").arg(self.folder.path().join("data")).stderr(Stdio::null()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

/// Connects as `role`; whatever the connection says afterwards is dropped with it.
///
/// # Errors
/// What stood in the way, in a sentence.
pub(crate) async fn connect(at: SocketAddr, role: &str, password: &str) -> Result<Client, String> {
    let mut config = Config::new();
    config.host(at.ip().to_string()).port(at.port()).user(role).password(password).dbname(INSIDE);
    config.ssl_mode(SslMode::Disable).connect_timeout(Duration::from_secs(3)).application_name("demo");
    let (client, connection) = config.connect(NoTls).await.map_err(|error| words(&error))?;
    tokio::spawn(connection);
    Ok(client)
}

/// What a server, or the gate in its place, said; else what went wrong.
pub(crate) fn words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => error.to_string(),
    }
}

/// The newest PostgreSQL of this machine: the directory of its `initdb`.
pub(crate) fn find() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for place in PLACES {
        let inside = fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in inside.chain([PathBuf::from(place)]) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let version = name.rsplit(['-', '@']).next().and_then(|digits| digits.parse().ok()).unwrap_or(0);
            found.push((version, path.join("bin")));
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path).map(|directory| (0, directory)));
    found.retain(|(_, directory)| ["initdb", "postgres", "pg_ctl"].iter().all(|name| directory.join(name).is_file()));
    found.into_iter().max_by_key(|(version, _)| *version).map(|(_, directory)| directory)
}

fn serve(
    programs: &Path,
    folder: &Path,
    data: &Path,
    user: Option<(u32, u32)>,
    books: bool,
) -> Result<(Child, SocketAddr), String> {
    let mut said = String::new();
    // Between the choice of a free port and its use another program may take it.
    for _ in 0..4 {
        let at = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr()).map_err(in_words)?;
        let path = folder.join("server.log");
        let log = fs::File::create(&path).map_err(in_words)?;
        let mut server = command(programs, "postgres", folder, user);
        server.arg("-D").arg(data).args(["-h", "127.0.0.1", "-k", "", "-p", &at.port().to_string()]);
        // What is in it is made anew each time: it need not outlast a power cut.
        server.args(["-c", "fsync=off", "-c", "shared_buffers=32MB", "-c", "max_connections=64"]);
        if books {
            server.args(["-c", "shared_preload_libraries=pg_stat_statements"]);
        }
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // Ctrl-C is for the demo, which ends it when nobody asks it any more.
        let mut server = server.process_group(0).spawn().map_err(in_words)?;
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(20));
            said.clear();
            let _ = fs::File::open(&path).and_then(|mut file| file.read_to_string(&mut said));
            if said.contains("ready to accept connections") {
                return Ok((server, at));
            }
            if server.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
        }
        let _ = server.kill();
        let _ = server.wait();
        if !said.contains("in use") {
            break;
        }
    }
    Err(format!("postgres: {}", last_line(said.as_bytes())))
}

fn command(programs: &Path, name: &str, folder: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(programs.join(name));
    command.current_dir(folder).env("LC_ALL", "C");
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}

/// Whom PostgreSQL runs as: `None` for whoever runs the demo.
fn other_user() -> io::Result<Option<(u32, u32)>> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse::<u32>);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    };
    of("postgres").or_else(|| of("nobody")).map(Some).ok_or_else(|| io::Error::other("no user to run PostgreSQL as"))
}

fn last_line(said: &[u8]) -> String {
    String::from_utf8_lossy(said).lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it ended").to_owned()
}

fn in_words<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}
