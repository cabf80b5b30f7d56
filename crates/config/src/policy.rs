//! What the operator declared, checked and complete: nothing optional is left to be guessed by whoever reads it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use portcullis_types::{Budget, Span, Who};
use portcullis_types::{Limits, Prefix, RouteClass};
pub use portcullis_types::{ListAction, Mode, RateKey};

use crate::alerts::{Alert, StatusPage};
use crate::evidence::Evidence;
use crate::inspection::{Beyond, Inspection, Waf};
use crate::integrity::{Integrity, Schema};
use crate::leaving::{Data, Leaving};
use crate::oidc::Oidc;
use crate::register::{Copy, Organisation};

/// One immutable snapshot of everything that the operator declared. A reload replaces it whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The process: workers, directories, draining.
    pub server: Server,
    /// Where metrics and health are served; never public.
    pub admin: Admin,
    /// Pages and an API for those who look after the gate.
    pub console: Option<Console>,
    /// The sockets that visitors reach.
    pub listeners: Vec<Listener>,
    /// Certificates, chosen by SNI; the first is the default.
    pub certificates: Vec<Certificate>,
    /// Who may speak for a client's address.
    pub trusted: TrustedProxies,
    /// The bounds of the data plane.
    pub limits: Limits,
    /// Where decisions are written.
    pub log: DecisionLog,
    /// What the gate does by itself.
    pub defence: Defence,
    /// What is kept of what happens.
    pub evidence: Evidence,
    /// Whose gate it is.
    pub organisation: Organisation,
    /// Every copy of personal data, and every path to it.
    pub copies: Vec<Copy>,
    /// Who is told when something is wrong.
    pub alerts: Vec<Alert>,
    /// Where the public can see how things are.
    pub status: Option<StatusPage>,
    /// The file that says which country an address is in.
    pub geography: Option<PathBuf>,
    /// What messages are inspected for.
    pub waf: Waf,
    /// What may leave.
    pub data: Data,
    /// What is watched beside traffic.
    pub integrity: Integrity,
    /// Addresses that are let through or refused before anything else.
    pub lists: Vec<AddressList>,
    /// Those whom the organisation vouches for.
    pub vouched: Vec<Vouched>,
    /// What stands behind the gate.
    pub platforms: Vec<Platform>,
    /// Databases behind the gate.
    pub databases: Vec<Database>,
}

impl Policy {
    /// Every address that is listened on for others than operators, with its name: listeners, then databases. Sockets are
    /// known by their place here.
    pub fn doors(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        let listeners = self.listeners.iter().map(|listener| (listener.name.as_str(), listener.bind));
        listeners.chain(self.databases.iter().map(|database| (database.name.as_str(), database.bind)))
    }

    /// The database behind a door; `None` for a listener's.
    #[must_use]
    pub fn database(&self, door: usize) -> Option<&Database> {
        self.databases.get(door.checked_sub(self.listeners.len())?)
    }
}

/// The process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Worker threads, each with its own listener and pools; one per core unless declared.
    pub workers: usize,
    /// The Unix socket on which `reload`, `status` and a new binary's take-over arrive.
    pub control: PathBuf,
    /// How long requests under way may take after SIGTERM or a take-over before they are cut.
    pub drain: Duration,
    /// Name of this node in `Via` and logs.
    pub name: String,
}

/// The console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// Loopback, or TLS is spoken.
    pub listen: SocketAddr,
    /// Which of the certificates, where TLS is spoken.
    pub tls: Option<usize>,
    /// Where browsers find it, without a slash at the end.
    pub url: String,
    /// Where accounts are kept.
    pub directory: PathBuf,
    /// Acts that take two people: of [`APPROVALS`](crate::APPROVALS).
    pub approvals: Vec<String>,
    /// Who else says who somebody is.
    pub oidc: Option<Oidc>,
}

/// The admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Loopback unless declared otherwise.
    pub listen: SocketAddr,
}

/// A socket that visitors reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Name in logs and metrics; unique.
    pub name: String,
    /// Address and port; unique.
    pub bind: SocketAddr,
    /// Whether TLS is spoken here.
    pub tls: bool,
    /// Least TLS version.
    pub tls_min: TlsVersion,
    /// Whether HTTP/2 is offered: by ALPN with TLS, by prior knowledge (h2c) without.
    pub http2: bool,
    /// Whether a PROXY v1/v2 header comes first. Only `trusted.networks` may send one; others are refused.
    pub proxy_protocol: bool,
    /// Answer every request with a redirect to HTTPS on this port.
    pub redirect_to_https: Option<u16>,
}

/// TLS versions that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// A certificate chain with its key, in PEM. The names come from the certificate itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Chain, leaf first.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// DNS names of the leaf, lower case, as read when the configuration was checked.
    pub names: Vec<String>,
    /// The chain as it was read, so that what was checked is what is served.
    pub cert_pem: Vec<u8>,
    /// The key as it was read.
    pub key_pem: Vec<u8>,
}

/// Proxies in front of the gate that may say who the client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Their networks; empty means that only the socket is believed.
    pub networks: Vec<Prefix>,
    /// Which header of theirs is read, from the right.
    pub header: ForwardedHeader,
}

/// The header that a trusted proxy uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The decision log: JSON lines, rotated, bounded on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionLog {
    /// `None` writes nothing.
    pub path: Option<PathBuf>,
    /// A file is closed at this size.
    pub file_bytes: u64,
    /// Files kept, the open one included; disk is bounded by `files * file_bytes`.
    pub files: u32,
    /// What is written: refusals always; of the served requests one in `sample`; 0 none, 1 all.
    pub sample: u32,
}

/// Addresses from a file, one prefix a line, `#` comments; reloaded when the file changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressList {
    /// Name in records; unique.
    pub name: String,
    /// What is done with a match.
    pub action: ListAction,
    /// Whether it acts or only counts.
    pub mode: Mode,
    /// The file, if the list has one.
    pub file: Option<PathBuf>,
    /// What file and configuration together held when it was checked; ascending, without repetition.
    pub prefixes: Vec<Prefix>,
    /// Those that the configuration itself holds.
    pub declared: Vec<Prefix>,
}

/// What the gate does by itself when more comes than is normal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defence {
    /// Whether it acts, or only judges and records.
    pub mode: Mode,
    /// Rules against what an attack has in common.
    pub rules: bool,
    /// Challenges for navigations.
    pub challenges: bool,
    /// Requests at once follow what a platform can carry.
    pub admission: bool,
    /// The waiting room.
    pub waiting_room: bool,
    /// Where the secret of tokens and what was learned outlive a restart.
    pub state: Option<PathBuf>,
}

impl Default for Defence {
    fn default() -> Self {
        Self { mode: Mode::Enforce, rules: true, challenges: true, admission: true, waiting_room: true, state: None }
    }
}

/// Somebody whom the organisation vouches for. All that is given holds; networks or a key are always given.
#[derive(Debug, Clone, PartialEq)]
pub struct Vouched {
    /// Name in records; unique.
    pub name: String,
    /// What it is to the organisation.
    pub kind: VouchedKind,
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// What file and configuration together held when it was checked; ascending, without repetition.
    pub networks: Vec<Prefix>,
    /// Those that the configuration itself holds.
    pub declared: Vec<Prefix>,
    /// SHA-256 of its API key.
    pub api_key_sha256: Option<[u8; 32]>,
    /// What its `User-Agent` contains.
    pub agent: Option<String>,
    /// Sustained requests a second.
    pub per_second: f64,
    /// At most so many at once after a pause.
    pub burst: u32,
    /// At most so many under way.
    pub concurrency: u32,
}

/// What somebody vouched for is to the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VouchedKind {
    /// Works there.
    Staff,
    /// Works with it.
    Partner,
    /// Reads it for a search engine.
    Crawler,
}

impl VouchedKind {
    /// The name used in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Partner => "partner",
            Self::Crawler => "crawler",
        }
    }
}

/// An organisation's web platform.
#[derive(Debug, Clone, PartialEq)]
pub struct Platform {
    /// Name in logs and metrics; unique.
    pub name: String,
    /// Hosts, lower case: `example.org`, or `*.example.org` for one label or more. Unique over platforms.
    pub hosts: Vec<String>,
    /// Where requests go.
    pub upstreams: Vec<Upstream>,
    /// How they get there.
    pub transport: Transport,
    /// Whether the platform gets the visitor's `Host` (true), or the upstream's own name.
    pub keep_host: bool,
    /// Active checks; `None` leaves passive health alone.
    pub health: Option<HealthCheck>,
    /// Routes in order of declaration; the longest matching path wins. The last is always the catch-all `/**`.
    pub routes: Vec<Route>,
    /// Requests at once, per class or for the whole platform.
    pub concurrency: Vec<Concurrency>,
    /// Where the session cookie lives, for rates by session.
    pub session_cookie: Option<String>,
    /// Which header carries an API key, for rates by key; lower case.
    pub api_key_header: Option<String>,
    /// Which response header says what a login or a payment came to; lower case.
    pub outcome_header: String,
    /// Which response header says whose an answer is; lower case.
    pub account_header: Option<String>,
    /// What messages are inspected for, where a route does not say otherwise.
    pub inspection: Inspection,
    /// What may leave, where a route does not say otherwise.
    pub leaving: Leaving,
}

/// One upstream server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// As declared, for logs and metrics: `http://10.0.0.5:8080`.
    pub url: String,
    /// Name or address, as in a URL: an IPv6 address keeps its brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What the name resolved to when the configuration was checked; never empty.
    pub addresses: Vec<IpAddr>,
    /// TLS to the upstream; `None` for plain.
    pub tls: Option<UpstreamTls>,
    /// HTTP/2 to the upstream: by ALPN with TLS (`h2://`), by prior knowledge without (`h2c://`).
    pub http2: bool,
}

/// A PostgreSQL server that applications reach through the gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Database {
    /// Name in records and metrics; unique.
    pub name: String,
    /// Where applications connect; unique.
    pub bind: SocketAddr,
    /// The server.
    pub upstream: DatabaseServer,
    /// TLS on both sides.
    pub tls: DatabaseTls,
    /// Whether applications without TLS are refused.
    pub require_tls: bool,
    /// Whether what is not wanted is refused, or told only.
    pub mode: Mode,
    /// What happens to a statement when the gate's own parts fail on it.
    pub fail: Beyond,
    /// Sessions at once.
    pub sessions: u32,
    /// TCP and TLS towards the server.
    pub connect_timeout: Duration,
    /// How long nothing may move in a session.
    pub idle_timeout: Option<Duration>,
    /// Whether sessions may ask for replication.
    pub replication: bool,
    /// Functions that may be called by their object.
    pub functions: Vec<u32>,
    /// The name under which a comment behind a statement carries the request's reference.
    pub request_id: String,
    /// Of the statements that ran, one in so many is recorded; 0 none.
    pub sample: u32,
    /// Where what is learned of its statements is kept.
    pub book: Option<PathBuf>,
    /// Relations whose rows are personal.
    pub sensitive: Vec<String>,
    /// Roles, `*` for every role, and the kind of statements that is allowed to them.
    pub grants: Vec<(String, String)>,
    /// How much may leave.
    pub budgets: Vec<DatabaseBudget>,
    /// How the server's own books are compared with the gate's.
    pub reconcile: Option<Reconcile>,
    /// How its schema is looked at.
    pub schema: Option<Schema>,
}

/// How a server's own books are compared with the gate's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconcile {
    /// The role that the gate asks as.
    pub role: String,
    /// Where its password is.
    pub password_file: Option<PathBuf>,
    /// The database inside the server that is asked.
    pub inside: String,
    /// How often.
    pub interval: Duration,
    /// Who need not come through the gate.
    pub known: Vec<KnownSession>,
}

/// A session that need not come through the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSession {
    /// Its role; `None` is every role.
    pub role: Option<String>,
    /// Its network; `None` is the server's own machine, over its socket file.
    pub network: Option<Prefix>,
    /// As declared.
    pub text: String,
}

/// How much may leave a database; of rows, bytes or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseBudget {
    /// The role, `*` for each role.
    pub role: String,
    /// Of what.
    pub per: BudgetPer,
    /// How long.
    pub within: Span,
    /// Rows of results and of COPY.
    pub rows: Option<u64>,
    /// Their bytes.
    pub bytes: Option<u64>,
    /// Different personal values in sensitive rows.
    pub values: Option<u64>,
}

/// What a budget of a database is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BudgetPer {
    /// Each session.
    Session,
    /// The role as a whole.
    Role,
    /// Each client's network.
    Client,
    /// One relation.
    Relation(String),
}

impl BudgetPer {
    /// As the configuration has it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Role => "role",
            Self::Client => "client",
            Self::Relation(_) => "relation",
        }
    }
}

/// The server behind a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseServer {
    /// As declared, for logs and metrics: `10.0.0.7:5432`.
    pub text: String,
    /// Name or address; an IPv6 address keeps its brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What the name resolved to when the configuration was checked; never empty.
    pub addresses: Vec<IpAddr>,
}

/// TLS between application, gate and server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseTls {
    /// The gate has the server's own certificate and shows it to applications; the server must show it to the gate.
    Same(Certificate),
    /// Each side has its own, or none.
    Own {
        /// Towards applications; `None` offers no TLS.
        certificate: Option<Certificate>,
        /// How the server's certificate is verified; `None` speaks no TLS to it.
        upstream: Option<UpstreamTls>,
    },
}

impl DatabaseTls {
    /// What applications are shown.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Same(certificate) => Some(certificate),
            Self::Own { certificate, .. } => certificate.as_ref(),
        }
    }
}

/// How the upstream's certificate is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The name that the certificate must carry; an IPv6 address stands here without brackets.
    pub server_name: String,
    /// Where the bundle was read.
    pub ca: Option<PathBuf>,
    /// A bundle of certificate authorities in PEM instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
}

/// Timeouts and retries towards a platform's upstreams.
#[derive(Debug, Clone, PartialEq)]
pub struct Transport {
    /// TCP and TLS together.
    pub connect_timeout: Duration,
    /// From the end of the request to the first byte of the response; a route may have its own.
    pub first_byte_timeout: Duration,
    /// Silence while the body of the response is under way.
    pub idle_timeout: Duration,
    /// Attempts beyond the first, for requests that are safe to send again.
    pub retries: u32,
    /// Retries may be at most this share of requests, in percent, over ten seconds.
    pub retry_budget_percent: u32,
    /// An upstream that fails this often in a row is ejected.
    pub eject_after: u32,
    /// For how long, doubling with each ejection up to ten times this.
    pub eject_for: Duration,
}

/// An active check: a GET that must answer 2xx or 3xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Path.
    pub path: String,
    /// Between two checks of one upstream.
    pub interval: Duration,
    /// One check.
    pub timeout: Duration,
    /// Failures in a row until it is taken out.
    pub unhealthy_after: u32,
    /// Successes in a row until it is taken back.
    pub healthy_after: u32,
}

/// A set of paths with one purpose.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// `/donate` exactly, or `/donate/**` for itself and everything below it; `/**` is everything.
    pub path: PathPattern,
    /// Methods that are taken, upper case; empty means all.
    pub methods: Vec<String>,
    /// What the route is for.
    pub class: RouteClass,
    /// Largest request body; `limits.body_bytes` unless declared.
    pub body_bytes: u64,
    /// `transport.first_byte_timeout` unless declared.
    pub first_byte_timeout: Duration,
    /// Whether WebSocket and other upgrades are carried.
    pub upgrade: bool,
    /// When a navigation must pass a challenge.
    pub challenge: ChallengeMode,
    /// Rates that apply here.
    pub rates: Vec<Rate>,
    /// What messages are inspected for here.
    pub inspection: Inspection,
    /// What may leave here.
    pub leaving: Leaving,
    /// How many records may, to whom.
    pub budgets: Vec<Budget>,
}

/// When a navigation must pass a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChallengeMode {
    /// Where a rule asks for it.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Always, unless its bearer is known: a cookie that comes back.
    Echo,
    /// Always, unless its bearer is known: a puzzle, or the manual way.
    Puzzle,
}

impl ChallengeMode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Never, Self::Echo, Self::Puzzle];

    /// The name used in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Never => "never",
            Self::Echo => "echo",
            Self::Puzzle => "puzzle",
        }
    }
}

/// Which paths a route holds. Paths are compared in the form of [`normal_path`](crate::normal_path), never as the client
/// spelt them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathPattern {
    /// This path alone.
    Exact(String),
    /// This path and all below it; no trailing slash; empty for everything.
    Below(String),
}

/// As it is written in the configuration.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Below(path) => write!(f, "{path}/**"),
        }
    }
}

/// Requests at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    /// Which class it holds for; `None` for the whole platform.
    pub class: Option<RouteClass>,
    /// At most so many at once, on this node.
    pub limit: u32,
    /// Whether it acts or only counts.
    pub mode: Mode,
}

/// Requests over time, per key.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// What is counted.
    pub key: RateKey,
    /// Sustained requests a second.
    pub per_second: f64,
    /// At most so many at once after a pause.
    pub burst: u32,
    /// Whether it acts or only counts.
    pub mode: Mode,
}
