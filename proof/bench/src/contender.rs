//! The contenders and the upstream behind them: configured for the same work, each as its manual advises.
//!
//! Never tuned for one side: what a peer can do to be fast on this work (keepalive to the upstream, no access log, a
//! session cache, reuse of connections) it does, because a ratio over a badly set peer proves nothing.
//!
//! All of them: one worker on the proxy core; forward `X-Forwarded-For`, `-Proto`, `-Host` and a request id; keep
//! connections for an hour; write no log for what they serve. Portcullis writes none for refusals either, since
//! haproxy does not; the cost of its log is a figure of its own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Fallible;
use crate::machine::{self, Machine, Memory};

/// The host that every request names and that the certificate carries.
pub(crate) const HOST: &str = "bench.test";
/// Refused by a rule on the request.
pub(crate) const REFUSED: &str = "/refused";
/// Refused by a rate that the first few requests exhaust.
pub(crate) const LIMITED: &str = "/limited";
/// Addresses `127.0.66.x` are refused at accept.
pub(crate) const DENIED_NET: [u8; 3] = [127, 0, 66];

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The gate.
    Portcullis,
    /// The gate, writing its decision log.
    PortcullisLogged,
    /// The gate, told to read nothing of what leaves.
    PortcullisBlind,
    /// Debian's nginx.
    Nginx,
    /// Debian's nginx with a buffered access log.
    NginxLogged,
    /// Debian's haproxy.
    Haproxy,
    /// Debian's pgbouncer in session mode.
    Pgbouncer,
    /// Our rule engine, without HTTP around it.
    Rules,
    /// Our built-in detection, without HTTP around it.
    BuiltIn,
    /// Debian's libmodsecurity, without HTTP around it.
    ModSecurityDebian,
    /// The same in the wheel `libmodsecurity`.
    ModSecurityWheel,
}

impl Kind {
    /// The name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Portcullis => "portcullis",
            Self::PortcullisLogged => "portcullis+log",
            Self::PortcullisBlind => "portcullis, reading nothing",
            Self::Nginx => "nginx",
            Self::NginxLogged => "nginx+log",
            Self::Haproxy => "haproxy",
            Self::Pgbouncer => "pgbouncer",
            Self::Rules => "rules",
            Self::BuiltIn => "built-in",
            Self::ModSecurityDebian => "libmodsecurity of Debian",
            Self::ModSecurityWheel => "libmodsecurity, the wheel",
        }
    }
}

/// A directory of its own for one figure, and the certificate in it.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
}

impl Place {
    /// A fresh directory with a P-256 certificate for [`HOST`].
    pub(crate) fn new(name: &str) -> Fallible<Self> {
        let directory = std::env::current_dir()?.join("target/bench").join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let certificate = rcgen::CertificateParams::new(vec![HOST.to_owned()])?.self_signed(&key)?;
        fs::write(directory.join("cert.pem"), certificate.pem())?;
        fs::write(directory.join("key.pem"), key.serialize_pem())?;
        // haproxy reads both from one file.
        fs::write(directory.join("both.pem"), format!("{}{}", certificate.pem(), key.serialize_pem()))?;
        Ok(Self { directory })
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> Fallible<PathBuf> {
        let path = self.directory.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

/// A running server; ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Plain HTTP.
    pub(crate) http: SocketAddr,
    /// HTTP over TLS; the same as `http` for the upstream, which has none.
    pub(crate) https: SocketAddr,
}

impl Server {
    /// Answers 200 with one kibibyte, from memory, on the load core.
    pub(crate) fn upstream(place: &Place, machine: &Machine) -> Fallible<Self> {
        let [port] = free_ports()?;
        let directory = place.path("upstream");
        fs::create_dir_all(&directory)?;
        let text = format!(
            "{}
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        default_type text/plain;
        location / {{ return 200 \"{}\"; }}
    }}
}}
",
            nginx_head(&directory, "access_log off;", machine),
            "x".repeat(1024)
        );
        let config = place.file("upstream.conf", &text)?;
        let mut command = Command::new("nginx");
        command.args(["-p", &directory, "-e", "stderr", "-c"]).arg(config);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let child = spawn(command, machine.load_core, &place.directory.join("upstream.log"))?;
        Self { child, http: address, https: address }.ready(200, "the upstream")
    }

    /// A contender in front of `upstream`, on the proxy core.
    pub(crate) fn contender(
        kind: Kind,
        gate: &Path,
        place: &Place,
        machine: &Machine,
        upstream: SocketAddr,
    ) -> Fallible<Self> {
        let [http, https, admin] = free_ports()?;
        let log = place.directory.join(format!("{}-{http}.log", kind.name()));
        let command = match kind {
            Kind::Nginx => nginx(place, machine, http, https, upstream, "access_log off;")?,
            Kind::NginxLogged => {
                let access = format!("access_log {} combined buffer=64k flush=1s;", place.path("access.log"));
                nginx(place, machine, http, https, upstream, &access)?
            }
            Kind::Haproxy => haproxy(place, machine, http, https, upstream)?,
            Kind::Portcullis => portcullis(gate, place, machine, [http, https, admin], upstream, "")?,
            Kind::PortcullisLogged => {
                let log = format!("[log]\npath = \"{}\"\nsample = 0", place.path("decisions.jsonl"));
                portcullis(gate, place, machine, [http, https, admin], upstream, &log)?
            }
            Kind::PortcullisBlind => {
                portcullis(gate, place, machine, [http, https, admin], upstream, "[data]\naction = \"off\"")?
            }
            Kind::Rules | Kind::BuiltIn | Kind::ModSecurityDebian | Kind::ModSecurityWheel | Kind::Pgbouncer => {
                return Err(format!("{} is no server of HTTP", kind.name()).into());
            }
        };
        let server = Self {
            child: spawn(command, machine.proxy_core, &log)?,
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, http)),
            https: SocketAddr::from((Ipv4Addr::LOCALHOST, https)),
        };
        server.ready(200, &format!("{} (its output: {})", kind.name(), log.display()))
    }

    /// The gate with so many platforms, all of them on `upstream`, and these lines for `[waf]`.
    pub(crate) fn inspecting(
        gate: &Path,
        place: &Place,
        machine: &Machine,
        upstream: SocketAddr,
        waf: &str,
        platforms: u32,
    ) -> Fallible<Self> {
        let [http, admin] = free_ports()?;
        let mut text = format!(
            "[server]\nworkers = 1\ncontrol = \"{}\"\ndrain = \"1s\"\n\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n\n\
             [[listener]]\nname = \"http\"\nbind = \"127.0.0.1:{http}\"\n\n[waf]\n{waf}\n",
            place.path(&format!("control-{http}.sock")),
        );
        for platform in 0..platforms {
            let host = if platform == 0 { HOST.to_owned() } else { format!("p{platform}.{HOST}") };
            text += &format!(
                "[[platform]]\nname = \"p{platform}\"\nhosts = [\"{host}\"]\nupstreams = [\"http://{upstream}\"]\n\n"
            );
        }
        let config = place.file(&format!("inspecting-{http}.toml"), &text)?;
        let mut command = Command::new(gate.canonicalize()?);
        command.args(["run", "--config"]).arg(config);
        let log = place.directory.join(format!("inspecting-{http}.log"));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, http));
        let server = Self { child: spawn(command, machine.proxy_core, &log)?, http: address, https: address };
        server.ready(200, &format!("portcullis (its output: {})", log.display()))
    }

    /// A server of its own making on a core, once it answers.
    pub(crate) fn started(
        command: Command,
        core: usize,
        log: &Path,
        address: SocketAddr,
        name: &str,
    ) -> Fallible<Self> {
        Self { child: spawn(command, core, log)?, http: address, https: address }.ready(200, name)
    }

    /// CPU time used so far.
    pub(crate) fn cpu_nanos(&self) -> u64 {
        machine::cpu_nanos(self.child.id())
    }

    /// Memory held now.
    pub(crate) fn memory(&self) -> Memory {
        machine::memory(self.child.id())
    }

    /// Waits until a request is answered with `status`.
    fn ready(mut self, status: u16, name: &str) -> Fallible<Self> {
        let began = Instant::now();
        loop {
            if let Ok(head) = get(self.http, "/") {
                if head.starts_with(&format!("HTTP/1.1 {status}")) {
                    return Ok(self);
                }
                if began.elapsed() > Duration::from_secs(10) {
                    return Err(format!("{name} answers {}", head.lines().next().unwrap_or("nothing")).into());
                }
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("{name} did not start: {status}").into());
            }
            if began.elapsed() > Duration::from_secs(15) {
                return Err(format!("{name} does not listen").into());
            }
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// By its id, politely: nginx's master takes its worker along.
pub(crate) fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// One request on a connection of its own; the head of the response.
pub(crate) fn get(address: SocketAddr, path: &str) -> Fallible<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// On one core; ended with us, whatever ends us.
pub(crate) fn spawn(command: Command, core: usize, log: &Path) -> Fallible<Child> {
    let program = command.get_program().to_owned();
    let log = File::create(log)?;
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", "TERM", "taskset", "-c", &core.to_string()]).arg(&program).args(command.get_args());
    wrapped.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    wrapped.spawn().map_err(|error| format!("{}: {error}", program.to_string_lossy()).into())
}

/// Free ports of loopback below the range from which the kernel takes source ports.
pub(crate) fn free_ports<const N: usize>() -> Fallible<[u16; N]> {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(18_100);
    let mut ports = [0; N];
    for port in &mut ports {
        *port = loop {
            let candidate = NEXT.fetch_add(1, Ordering::Relaxed);
            if candidate > 20_000 {
                return Err("no free port on 127.0.0.1 from 18100 to 20000".into());
            }
            if TcpListener::bind((Ipv4Addr::LOCALHOST, candidate)).is_ok() {
                break candidate;
            }
        };
    }
    Ok(ports)
}

pub(crate) fn nginx_head(directory: &str, log: &str, machine: &Machine) -> String {
    let (files, connections) = (machine.descriptors, machine.descriptors - 100);
    format!(
        "daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections {connections}; }}
http {{
    {log}
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    tcp_nodelay on;"
    )
}

fn nginx(
    place: &Place,
    machine: &Machine,
    http: u16,
    https: u16,
    upstream: SocketAddr,
    log: &str,
) -> Fallible<Command> {
    let directory = place.path(&format!("nginx-{http}"));
    fs::create_dir_all(&directory)?;
    let text = format!(
        "{}
    upstream platform {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; keepalive_timeout 1h; }}
    limit_req_zone $binary_remote_addr zone=limited:1m rate=1r/m;
    limit_req_status 429;
    ssl_certificate {};
    ssl_certificate_key {};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:sessions:10m;
    server {{
        listen 127.0.0.1:{http} backlog=8192;
        listen 127.0.0.1:{https} ssl http2 backlog=8192;
        server_name {HOST};
        location / {{
            proxy_pass http://platform;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Request-Id $request_id;
        }}
        location {REFUSED} {{ return 405; }}
        location {LIMITED} {{ limit_req zone=limited; proxy_pass http://platform; }}
    }}
}}
",
        nginx_head(&directory, log, machine),
        place.path("cert.pem"),
        place.path("key.pem"),
    );
    let config = place.file(&format!("nginx-{http}.conf"), &text)?;
    let mut command = Command::new("nginx");
    command.args(["-p", &directory, "-e", "stderr", "-c"]).arg(config);
    Ok(command)
}

fn haproxy(place: &Place, machine: &Machine, http: u16, https: u16, upstream: SocketAddr) -> Fallible<Command> {
    let [a, b, c] = DENIED_NET;
    // It counts two descriptors for each connection and will not start without them.
    let connections = machine.descriptors / 2 - 200;
    let text = format!(
        "global
    nbthread 1
    maxconn {connections}
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
    timeout http-request 10s
    option http-keep-alive
    http-reuse always
frontend visitors
    bind 127.0.0.1:{http} backlog 8192
    bind 127.0.0.1:{https} ssl crt {} alpn h2,http/1.1 backlog 8192
    tcp-request connection reject if {{ src {a}.{b}.{c}.0/24 }}
    stick-table type ip size 100k expire 1h store http_req_rate(1h)
    http-request track-sc0 src if {{ path {LIMITED} }}
    http-request deny deny_status 429 if {{ path {LIMITED} }} {{ sc_http_req_rate(0) gt 1 }}
    http-request deny deny_status 405 if {{ path {REFUSED} }}
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Request-Id %[uuid()]
    default_backend platform
backend platform
    server one {upstream} pool-max-conn 128 pool-purge-delay 1h
",
        place.path("both.pem"),
    );
    let config = place.file(&format!("haproxy-{http}.cfg"), &text)?;
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f"]).arg(config);
    Ok(command)
}

fn portcullis(
    gate: &Path,
    place: &Place,
    machine: &Machine,
    [http, https, admin]: [u16; 3],
    upstream: SocketAddr,
    log: &str,
) -> Fallible<Command> {
    if !gate.is_file() {
        return Err(format!("{} is not there: `make release` builds it", gate.display()).into());
    }
    let [a, b, c] = DENIED_NET;
    let connections = machine.descriptors - 300;
    let text = format!(
        "[server]
workers = 1
control = \"{}\"
drain = \"1s\"

[admin]
listen = \"127.0.0.1:{admin}\"

{log}

[[listener]]
name = \"http\"
bind = \"127.0.0.1:{http}\"

[[listener]]
name = \"https\"
bind = \"127.0.0.1:{https}\"
tls = true

[[certificate]]
cert = \"{}\"
key = \"{}\"

[limits]
connections = {connections}
connections_per_address = {connections}
upgraded_connections = 0
idle_timeout = \"3600s\"
requests_per_connection = 1000000000

[[list]]
name = \"denied\"
action = \"deny\"
prefixes = [\"{a}.{b}.{c}.0/24\"]

[[platform]]
name = \"bench\"
hosts = [\"{HOST}\"]
upstreams = [\"http://{upstream}\"]

[[platform.route]]
path = \"{REFUSED}\"
methods = [\"POST\"]

[[platform.route]]
path = \"{LIMITED}\"

[[platform.route.rate]]
key = \"address\"
rate = \"1/h\"
burst = 1
",
        place.path(&format!("control-{http}.sock")),
        place.path("cert.pem"),
        place.path("key.pem"),
    );
    let config = place.file(&format!("portcullis-{http}.toml"), &text)?;
    let mut command = Command::new(gate.canonicalize()?);
    command.args(["run", "--config"]).arg(config);
    Ok(command)
}
