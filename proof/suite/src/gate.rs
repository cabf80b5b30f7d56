//! One `portcullis run` process, with its configuration, its admin listener and its files.
//!
//! It never looks inside: a gate is ready when `/ready` says so, and has done what its metrics and its log say.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::certs::Leaf;
use crate::client::{Broken, Response, Wire, eventually};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::place::{place, root, target};
use crate::ports::{free_address, free_port};
use crate::process::{Output, Running, run_command};

/// The host of the platform that [`Plan::upstream`] declares.
pub const HOST: &str = "gate.test";

/// How long a gate of a machine that does much else may take until it serves.
const STARTED: Duration = Duration::from_secs(60);

/// What a gate is started with: written as TOML, with ports that are free when it starts.
#[derive(Debug, Clone)]
pub struct Plan {
    name: String,
    place: PathBuf,
    server: String,
    certificates: Vec<Leaf>,
    proxied: bool,
    redirect: bool,
    limits: String,
    log: String,
    before: String,
    platforms: String,
    environment: Vec<(String, String)>,
    ports: Option<Ports>,
    bind: IpAddr,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    http: SocketAddr,
    https: SocketAddr,
    proxied: SocketAddr,
    redirect: SocketAddr,
    admin: SocketAddr,
}

impl Plan {
    /// A plan without a platform; `name` names its directory, so it must be unique.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            place: place(name),
            server: "workers = 2\ndrain = \"10s\"\n".to_owned(),
            certificates: Vec::new(),
            proxied: false,
            redirect: false,
            limits: String::new(),
            log: "sample = 1\n".to_owned(),
            before: String::new(),
            platforms: String::new(),
            environment: Vec::new(),
            ports: None,
            bind: Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// Another address than loopback for all listeners but the admin's; only inside a namespace of the test's own.
    #[must_use]
    pub fn bind(mut self, address: IpAddr) -> Self {
        self.bind = address;
        self
    }

    /// The directory of its files.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// A platform [`HOST`] on these upstreams; `rest` is TOML that follows: keys first, then sub-tables.
    #[must_use]
    pub fn upstream(self, urls: &[String], rest: &str) -> Self {
        self.platform("main", &[HOST], urls, rest)
    }

    /// A platform of any name and hosts.
    #[must_use]
    pub fn platform(mut self, name: &str, hosts: &[&str], urls: &[String], rest: &str) -> Self {
        write!(self.platforms, "\n[[platform]]\nname = \"{name}\"\nhosts = {hosts:?}\nupstreams = {urls:?}\n{rest}\n")
            .ok();
        self
    }

    /// A TLS listener with these certificates.
    #[must_use]
    pub fn tls(mut self, certificates: &[Leaf]) -> Self {
        self.certificates = certificates.to_vec();
        self
    }

    /// A third listener that wants the PROXY protocol.
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// A listener that redirects to the TLS listener.
    #[must_use]
    pub fn redirect(mut self) -> Self {
        self.redirect = true;
        self
    }

    /// Lines for `[limits]`.
    #[must_use]
    pub fn limits(mut self, lines: &str) -> Self {
        self.limits.push_str(lines);
        self.limits.push('\n');
        self
    }

    /// Lines for `[server]` instead of two workers and ten seconds of draining.
    #[must_use]
    pub fn server(mut self, lines: &str) -> Self {
        self.server = format!("{lines}\n");
        self
    }

    /// Lines for `[log]` instead of `sample = 1`.
    #[must_use]
    pub fn log(mut self, lines: &str) -> Self {
        self.log = format!("{lines}\n");
        self
    }

    /// Tables that stand before the platforms: `[trusted_proxies]`, `[[list]]`.
    #[must_use]
    pub fn table(mut self, text: &str) -> Self {
        self.before.push_str(text);
        self.before.push('\n');
        self
    }

    /// Drops every platform, to declare others for a reload.
    #[must_use]
    pub fn without_platforms(mut self) -> Self {
        self.platforms.clear();
        self
    }

    /// Drops every limit, to declare others for a reload.
    #[must_use]
    pub fn without_limits(mut self) -> Self {
        self.limits.clear();
        self
    }

    /// A variable in the environment of the process.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the gate and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready; the message holds what it said.
    #[must_use]
    pub fn start(mut self) -> Gate {
        let mut said = String::new();
        // A port that was free a moment ago can be taken by a neighbour; that is no fault of the gate.
        for _ in 0..4 {
            let ports = *self.ports.insert(Ports::free(self.bind));
            let config = self.write();
            let mut process = Running::start(self.command(&config, false), &self.place.join("gate.log"));
            if became_ready(&mut process, ports.admin) {
                self.await_console(&process);
                return Gate { plan: self, ports, config, process };
            }
            said = process.output();
            // Between finding a port and listening on it somebody else may take it.
            if !said.contains("the port is taken") {
                break;
            }
        }
        panic!("{}: the gate did not become ready; it said:\n{said}", self.name);
    }

    /// Writes the configuration and returns its path; the ports must have been chosen.
    ///
    /// # Panics
    /// When the disk does not do its part.
    pub fn write(&mut self) -> PathBuf {
        let ports = *self.ports.get_or_insert_with(|| Ports::free(self.bind));
        let config = self.place.join("gate.toml");
        fs::write(&config, self.render(ports)).expect("the configuration can be written");
        config
    }

    fn render(&self, ports: Ports) -> String {
        let Ports { http, https, proxied, redirect, admin } = ports;
        let (control, log) = (self.control(), self.place.join("decisions.jsonl"));
        let mut text = format!(
            "[server]\nname = \"suite\"\ncontrol = {control:?}\n{}\n[admin]\nlisten = \"{admin}\"\n\n\
             [[listener]]\nname = \"http\"\nbind = \"{http}\"\nhttp2 = true\n",
            self.server
        );
        if !self.certificates.is_empty() {
            write!(text, "\n[[listener]]\nname = \"https\"\nbind = \"{https}\"\ntls = true\nhttp2 = true\n").ok();
        }
        if self.proxied {
            write!(
                text,
                "\n[[listener]]\nname = \"proxied\"\nbind = \"{proxied}\"\nhttp2 = true\nproxy_protocol = true\n"
            )
            .ok();
        }
        if self.redirect {
            let to = https.port();
            write!(text, "\n[[listener]]\nname = \"redirect\"\nbind = \"{redirect}\"\nredirect_to_https = {to}\n").ok();
        }
        for Leaf { cert, key } in &self.certificates {
            write!(text, "\n[[certificate]]\ncert = {cert:?}\nkey = {key:?}\n").ok();
        }
        write!(
            text,
            "\n[limits]\n{}\n[log]\npath = {log:?}\n{}\n{}{}",
            self.limits, self.log, self.before, self.platforms
        )
        .ok();
        text
    }

    /// The control socket: beside the other files, unless that path is longer than a socket's may be (108 bytes).
    fn control(&self) -> PathBuf {
        let beside = self.place.join("control.sock");
        if beside.as_os_str().len() < 100 {
            return beside;
        }
        let id = std::process::id();
        std::env::temp_dir().join(format!("portcullis-suite-{id}-{}.sock", self.name))
    }

    /// Visitors are served before the console is there: a gate that is ready may not have it yet.
    fn await_console(&self, process: &Running) {
        let text = fs::read_to_string(self.place.join("gate.toml")).unwrap_or_default();
        let there =
            || ["the console is on", "there is no console"].iter().any(|words| process.output().contains(words));
        if text.contains("[console]") {
            assert!(eventually(STARTED, there), "{}: no console:\n{}", self.name, process.output());
            assert!(process.output().contains("the console is on"), "{}: {}", self.name, process.output());
        }
    }

    fn command(&self, config: &Path, takeover: bool) -> Command {
        let mut command = Command::new(Gate::binary());
        command.arg("run").arg("--config").arg(config).current_dir(&self.place);
        command.env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS").env_remove("LISTEN_PID");
        command.envs(self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if takeover {
            command.arg("--takeover");
        }
        command
    }
}

impl Ports {
    fn free(bind: IpAddr) -> Self {
        let visible = || SocketAddr::new(bind, free_port());
        Self { http: visible(), https: visible(), proxied: visible(), redirect: visible(), admin: free_address() }
    }
}

/// A running gate.
#[derive(Debug)]
pub struct Gate {
    plan: Plan,
    ports: Ports,
    config: PathBuf,
    process: Running,
}

impl Gate {
    /// The binary under test: `PORTCULLIS_BIN`, else the newest that cargo has built, else one that it builds now.
    ///
    /// # Panics
    /// When there is none and none can be built.
    #[must_use]
    pub fn binary() -> &'static Path {
        // Found once a process: a rebuild in the middle of a run must not mix two binaries.
        static BINARY: OnceLock<PathBuf> = OnceLock::new();
        BINARY.get_or_init(|| {
            if let Some(named) = std::env::var_os("PORTCULLIS_BIN") {
                return root().join(named);
            }
            newest().unwrap_or_else(|| {
                let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
                let mut build = Command::new(cargo);
                build.args(["build", "--bin", "portcullis"]).current_dir(root());
                let output = run_command(build, Duration::from_secs(1800));
                assert!(output.success, "the binary cannot be built:\n{}", output.stderr);
                newest().expect("cargo has built the binary")
            })
        })
    }

    /// Address of the plain listener (HTTP/1.1 and h2c).
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.ports.http
    }

    /// Address of the TLS listener.
    #[must_use]
    pub fn https(&self) -> SocketAddr {
        self.ports.https
    }

    /// Address of the listener that wants the PROXY protocol.
    #[must_use]
    pub fn proxied(&self) -> SocketAddr {
        self.ports.proxied
    }

    /// Address of the listener that redirects.
    #[must_use]
    pub fn redirecting(&self) -> SocketAddr {
        self.ports.redirect
    }

    /// Address of the admin listener.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.ports.admin
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The control socket.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.plan.control()
    }

    /// Directory of its files.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.plan.place
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it said so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.process.output()
    }

    /// A GET over a new connection.
    ///
    /// # Panics
    /// When no response comes.
    #[must_use]
    pub fn get(&self, path: &str) -> Response {
        self.try_get(path).unwrap_or_else(|broken| panic!("{}: GET {path}: {broken:?}", self.plan.name))
    }

    /// [`Gate::get`] where it may fail.
    ///
    /// # Errors
    /// [`Broken`], which says how.
    pub fn try_get(&self, path: &str) -> Result<Response, Broken> {
        let mut wire = Wire::try_plain(self.http()).map_err(|_| Broken::Reset)?;
        wire.ask(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"))
    }

    /// A GET on the admin listener.
    ///
    /// # Errors
    /// [`Broken`], which says how.
    pub fn ask_admin(&self, path: &str) -> Result<Response, Broken> {
        admin_get(self.admin(), path)
    }

    /// A reading of the metrics.
    ///
    /// # Panics
    /// When the admin listener does not answer.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let response = self.ask_admin("/metrics").unwrap_or_else(|broken| panic!("/metrics: {broken:?}"));
        Metrics::parse(&response.text())
    }

    /// Waits until `reason` has been given more than `before` times.
    #[must_use]
    pub fn refuses(&self, reason: &str, before: f64) -> bool {
        eventually(Duration::from_secs(10), || self.metrics().refused(reason) > before)
    }

    /// The decision log.
    #[must_use]
    pub fn journal(&self) -> Journal {
        Journal::new(self.plan.place.join("decisions.jsonl"))
    }

    /// Writes another configuration on the same ports; nothing is told to the gate.
    pub fn rewrite(&mut self, change: impl FnOnce(Plan) -> Plan) {
        self.plan = change(self.plan.clone());
        self.config = self.plan.write();
    }

    /// Replaces the configuration by any text.
    ///
    /// # Panics
    /// When the disk does not do its part.
    pub fn rewrite_text(&self, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(&self.config).expect("the configuration can be read");
        fs::write(&self.config, change(text)).expect("the configuration can be written");
    }

    /// `portcullis ARGUMENTS`, run to its end.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(Self::binary());
        command.args(arguments).current_dir(&self.plan.place).env("NO_COLOR", "1");
        run_command(command, Duration::from_secs(30))
    }

    /// `portcullis reload` by the configuration's control socket.
    #[must_use]
    pub fn reload(&self) -> Output {
        self.command(&["reload", "--config", &self.config.to_string_lossy()])
    }

    /// Sends SIGHUP and waits until another generation is in force.
    ///
    /// # Panics
    /// When none comes into force.
    pub fn hang_up(&self) {
        let generation = |gate: &Self| gate.metrics().sum("portcullis_config_generation", &[]);
        let before = generation(self);
        self.signal(Signal::HUP);
        let changed = eventually(Duration::from_secs(10), || generation(self) > before);
        assert!(changed, "SIGHUP did nothing; the gate said:\n{}", self.said());
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.process.wait(patience)
    }

    /// Starts a second process with `--takeover` and waits until it serves; returns the old process, which drains.
    ///
    /// # Panics
    /// When the new process does not become ready.
    pub fn takeover(&mut self) -> Running {
        let log = self.plan.place.join(format!("gate-after-{}.log", self.process.id()));
        let mut process = Running::start(self.plan.command(&self.config, true), &log);
        // Both answer on the admin address for a moment, so the sockets themselves tell who serves.
        let (old, new, port) = (self.process.id(), process.id(), self.ports.http.port());
        let over = eventually(Duration::from_secs(20), || {
            process.ended().is_some() || (listens(new, port) && !listens(old, port))
        });
        let ready = over && became_ready(&mut process, self.ports.admin);
        assert!(
            ready,
            "{}: the new process did not take over:\n{}\nthe old one said:\n{}",
            self.plan.name,
            process.output(),
            self.process.output()
        );
        std::mem::replace(&mut self.process, process)
    }

    /// Bytes of memory that it holds (`VmRSS`); 0 once it is gone.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        kib.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// Descriptors that it holds; 0 once it is gone.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).map(Iterator::count).unwrap_or(0)
    }
}

fn admin_get(address: SocketAddr, path: &str) -> Result<Response, Broken> {
    let mut wire = Wire::try_plain(address).map_err(|_| Broken::Reset)?;
    wire.patience(Duration::from_secs(5));
    wire.ask(format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n"))
}

fn became_ready(process: &mut Running, admin: SocketAddr) -> bool {
    let ready = || admin_get(admin, "/ready").is_ok_and(|response| response.status == 200);
    eventually(STARTED, || process.ended().is_some() || ready()) && process.ended().is_none()
}

/// Whether a process holds a socket that listens on this port of loopback, as the kernel tells it.
fn listens(process: u32, port: u16) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let local = format!("0100007F:{port:04X}");
    let listening: Vec<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        // Columns: number, local address, remote address, state (0A listens), …, inode as the tenth.
        .filter(|columns| columns.get(1) == Some(&local.as_str()) && columns.get(3) == Some(&"0A"))
        .filter_map(|columns| columns.get(9).map(|inode| format!("socket:[{inode}]")))
        .collect();
    let held = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    held.filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| listening.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

/// The newest binary among cargo's profiles.
fn newest() -> Option<PathBuf> {
    let built = |profile: &str| {
        let path = target().join(profile).join("portcullis");
        let when: SystemTime = fs::metadata(&path).ok()?.modified().ok()?;
        Some((when, path))
    };
    ["release", "quick", "debug"].into_iter().filter_map(built).max().map(|(_, path)| path)
}
