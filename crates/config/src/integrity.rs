//! Integrity: what is watched beside traffic, who may authorise a change, and the policy that this makes.
//!
//! It looks at no directory: what is there is the sensors' business, and may change while the gate runs.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::check::{Check, Claims};
use crate::draft::Draft;
use crate::kind::Value;
use crate::policy::{Database, Listener, Platform};

/// What `[integrity]` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Integrity {
    /// Where what is in force is kept.
    pub state: Option<PathBuf>,
    /// Where signed manifests are dropped.
    pub deploys: Option<PathBuf>,
    /// Keys that may sign one, as C2SP writes them.
    pub keys: Vec<String>,
    /// How many of them must.
    pub signatures: u32,
    /// How long the release before may be seen after a deploy.
    pub window: Duration,
    /// Between two drills by schedule; zero for none.
    pub drill: Duration,
    /// Directories.
    pub files: Vec<Files>,
    /// Public addresses, visited from outside.
    pub outside: Vec<Outside>,
    /// Ways past the gate that are tried.
    pub origins: Vec<Origin>,
    /// Names that are looked up.
    pub names: Vec<Names>,
    /// Platforms whose pages browsers report about.
    pub browsers: Vec<Browsers>,
    /// Canaries that drills fetch.
    pub baits: Vec<Bait>,
}

/// What browsers are asked to report of a platform's pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browsers {
    /// The platform.
    pub platform: String,
    /// Whether pages say where reports go.
    pub announce: bool,
    /// The directives of a policy that only reports.
    pub policy: Vec<String>,
    /// Whether scripts without a hash are reported.
    pub integrity_policy: bool,
}

/// A canary that was planted for drills, and how it is fetched: a page of a platform, or a statement on a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bait {
    /// The way that is tried: `http/public`, `database/members`.
    pub way: String,
    /// The gate's own door.
    pub door: SocketAddr,
    /// Whether TLS is spoken there.
    pub tls: bool,
    /// The host that is asked for.
    pub host: String,
    /// The page; none where it is a database.
    pub page: Option<String>,
    /// The role of a database.
    pub role: String,
    /// Where its password is.
    pub password_file: Option<PathBuf>,
    /// The database inside the server.
    pub inside: String,
    /// What fetches the canary.
    pub statement: String,
}

/// A public address that is visited as a visitor would.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outside {
    /// Unique.
    pub name: String,
    /// The platform that findings are about.
    pub platform: String,
    /// As declared: `https://example.org`.
    pub text: String,
    /// What `Host` says: `example.org`, `example.org:8443`.
    pub authority: String,
    /// The name or address alone.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Where to connect instead of asking for the name's addresses.
    pub connect: Option<SocketAddr>,
    /// Where authorities are that are believed instead of the system's.
    pub ca: Option<PathBuf>,
    /// What that file held.
    pub ca_pem: Option<Vec<u8>>,
    /// What is asked for.
    pub paths: Vec<String>,
    /// How often.
    pub interval: Duration,
    /// One answer.
    pub timeout: Duration,
}

/// A way past the gate that is tried from where strangers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The platform.
    pub platform: String,
    /// Where its servers might be reached.
    pub addresses: Vec<OriginAddress>,
    /// A namespace of the network that it is tried from.
    pub namespace: Option<PathBuf>,
    /// An address of this host that it is tried from.
    pub from: Option<IpAddr>,
    /// How often.
    pub interval: Duration,
}

/// Where a server might be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginAddress {
    /// As declared.
    pub text: String,
    /// Host without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What the name resolved to when the configuration was checked.
    pub addresses: Vec<IpAddr>,
    /// Whether TLS is spoken there.
    pub tls: bool,
    /// The host that visitors ask for.
    pub authority: String,
}

/// Names that are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The names.
    pub names: Vec<String>,
    /// Whom to ask instead of the system's resolver.
    pub resolver: Option<SocketAddr>,
    /// How often.
    pub interval: Duration,
}

/// A database whose schema is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The role that the gate asks as.
    pub role: String,
    /// Where its password is.
    pub password_file: Option<PathBuf>,
    /// The database inside the server.
    pub inside: String,
    /// How often.
    pub interval: Duration,
}

/// A directory that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// What manifests call it; unique.
    pub name: String,
    /// The platform that findings are about.
    pub platform: String,
    /// Where it is.
    pub directory: PathBuf,
    /// What is left out.
    pub ignore: Vec<String>,
    /// Between the end of one sweep and the next.
    pub sweep: Duration,
    /// Bytes a second that a sweep reads.
    pub rate: u64,
    /// Where in the directory drills may plant a file.
    pub probe: Option<String>,
}

impl Check<'_> {
    pub(crate) fn integrity(
        &mut self,
        root: &Draft,
        (listeners, platforms, databases): (&[Listener], &[Platform], &[Database]),
    ) -> Integrity {
        let draft = root.table("integrity");
        let keys: Vec<String> = draft.list("keys", Value::text).into_iter().map(|(_, key)| key.to_owned()).collect();
        let signatures = draft.count("signatures");
        if draft.given("signatures") && usize::try_from(signatures).is_ok_and(|count| count > keys.len()) {
            let message = format!("{signatures} signatures are asked for, and {} keys can sign", keys.len());
            self.problems.error("signatures-without-keys", draft.at("signatures"), message).hint("add them to `keys`");
        }
        if draft.given("deploys") && keys.is_empty() {
            let message = "no key can sign what is dropped there";
            self.problems
                .error("deploys-without-keys", draft.at("deploys"), message)
                .hint("`portcullis manifest key NAME` makes one; its public part goes into `keys`");
        }
        let state = self
            .path(draft, "state")
            .or_else(|| self.path(root.table("defence"), "state").map(|state| state.join("integrity")));
        let files = self.watched_files(draft);
        if let (Some(first), None) = (draft.tables("files").first(), &state) {
            let message = "what is in force has no place to be kept, and is forgotten when the gate ends";
            self.problems
                .warning("integrity-without-state", &first.span, message)
                .hint("set `state` in [integrity] or [defence]");
        }
        Integrity {
            state,
            deploys: self.path(draft, "deploys"),
            keys,
            signatures,
            window: draft.duration("window").unwrap_or_default(),
            drill: draft.duration("drill").unwrap_or_default(),
            files,
            outside: self.outside(draft),
            origins: self.origins(draft, platforms),
            names: draft.tables("names").iter().map(names).collect(),
            browsers: self.browsers(draft, platforms),
            baits: self.baits(root, (listeners, platforms, databases)),
        }
    }

    fn outside(&mut self, integrity: &Draft) -> Vec<Outside> {
        let (mut names, mut all) = (Claims::new(), Vec::new());
        for draft in integrity.tables("outside") {
            self.name(draft, "address", &mut names);
            let name = draft.string("name");
            let Some(Value::Upstream(url)) = draft.value("at") else { continue };
            let (ca, ca_pem) = self.file(draft, "ca", "ca-unreadable").unzip();
            if ca.is_some() && !url.tls {
                self.problems
                    .warning("ca-without-tls", draft.at("ca"), "`ca` has no effect without TLS")
                    .hint("write https://");
            }
            let usual = if url.tls { 443 } else { 80 };
            let authority = if url.port == usual { url.host.clone() } else { format!("{}:{}", url.host, url.port) };
            all.push(Outside {
                platform: draft.text("platform").map_or_else(|| name.clone(), str::to_owned),
                name,
                text: format!("{}://{authority}", if url.tls { "https" } else { "http" }),
                authority,
                host: url.bare_host().to_owned(),
                port: url.port,
                tls: url.tls,
                connect: draft.given("connect").then(|| draft.socket("connect")),
                ca,
                ca_pem,
                paths: texts(draft, "paths"),
                interval: draft.duration("interval").unwrap_or_default(),
                timeout: draft.duration("timeout").unwrap_or_default(),
            });
        }
        all
    }

    fn browsers(&mut self, integrity: &Draft, platforms: &[Platform]) -> Vec<Browsers> {
        let (mut claims, mut all) = (Claims::new(), Vec::new());
        for draft in integrity.tables("browsers") {
            let name = draft.string("platform");
            if draft.given("platform") && !platforms.iter().any(|platform| platform.name == name) {
                let message = format!("there is no platform `{name}`");
                self.problems.error("unknown-platform", draft.at("platform"), message);
            }
            let message = format!("browsers of `{name}` are asked twice");
            self.once("duplicate-name", &mut claims, name.clone(), draft.at("platform"), message, "first here");
            for (at, directive) in draft.list("policy", Value::text) {
                let called = directive.split_whitespace().next().unwrap_or_default();
                if called.eq_ignore_ascii_case("report-uri") || called.eq_ignore_ascii_case("report-to") {
                    let message = format!("the gate itself says where reports go, and `{called}` stands in its way");
                    self.problems.error("policy-with-reports", at, message).hint("leave it out");
                } else if !directive.bytes().all(|byte| matches!(byte, b' '..=b'~' if !matches!(byte, b';' | b','))) {
                    let message = "one directive is meant here, in ASCII, without `;` and `,`";
                    self.problems.error("bad-directive", at, message).hint("write one entry for each directive");
                }
            }
            all.push(Browsers {
                platform: name,
                announce: draft.flag("announce").unwrap_or(true),
                policy: texts(draft, "policy"),
                integrity_policy: draft.flag("integrity_policy").unwrap_or(false),
            });
        }
        all
    }

    fn baits(
        &mut self,
        root: &Draft,
        (listeners, platforms, databases): (&[Listener], &[Platform], &[Database]),
    ) -> Vec<Bait> {
        let mut all = Vec::new();
        for draft in root.table("integrity").tables("canary") {
            if !root.table("data").given("canaries") {
                let message = "no canaries are declared that anybody could look for";
                self.problems.error("canary-without-registry", &draft.span, message).hint("set `canaries` in [data]");
            }
            let (platform, database) = (draft.text("platform"), draft.text("database"));
            let needed: &[&str] = match (platform, database) {
                (Some(_), None) => &["page"],
                (None, Some(_)) => &["role", "inside", "statement"],
                _ => {
                    let message = "a drill fetches its canary from one `platform` or one `database`";
                    self.problems.error("canary-of-nothing", &draft.span, message);
                    continue;
                }
            };
            if let Some(missing) = needed.iter().find(|key| !draft.given(key)) {
                let message = format!("`{missing}` is missing");
                self.problems.error("canary-incomplete", &draft.span, message);
            }
            let bait = Bait {
                way: String::new(),
                door: SocketAddr::from(([127, 0, 0, 1], 0)),
                tls: false,
                host: String::new(),
                page: None,
                role: draft.string("role"),
                password_file: self.path(draft, "password_file"),
                inside: draft.string("inside"),
                statement: draft.string("statement"),
            };
            if let Some(name) = platform {
                let Some(platform) = platforms.iter().find(|platform| platform.name == name) else {
                    let message = format!("there is no platform `{name}`");
                    self.problems.error("unknown-platform", draft.at("platform"), message);
                    continue;
                };
                let visited = |it: &&Listener| it.redirect_to_https.is_none() && !it.proxy_protocol;
                let Some(listener) = listeners.iter().find(visited) else { continue };
                let host = platform.hosts.first().map_or("", String::as_str).trim_start_matches("*.").to_owned();
                let page = draft.text("page").map(str::to_owned);
                all.push(Bait {
                    way: format!("http/{name}"),
                    door: listener.bind,
                    tls: listener.tls,
                    host,
                    page,
                    ..bait
                });
            } else if let Some(name) = database {
                let Some(database) = databases.iter().find(|database| database.name == name) else {
                    let message = format!("there is no database `{name}`");
                    self.problems.error("unknown-database", draft.at("database"), message);
                    continue;
                };
                all.push(Bait { way: format!("database/{name}"), door: database.bind, ..bait });
            }
        }
        all
    }

    fn origins(&mut self, integrity: &Draft, platforms: &[Platform]) -> Vec<Origin> {
        let mut all = Vec::new();
        for draft in integrity.tables("origin") {
            let name = draft.string("platform");
            let Some(platform) = platforms.iter().find(|platform| platform.name == name) else {
                if draft.given("platform") {
                    let message = format!("there is no platform `{name}`");
                    self.problems.error("unknown-platform", draft.at("platform"), message);
                }
                continue;
            };
            if !draft.given("namespace") && !draft.given("from") {
                let message = "from where the gate is, its platform may well answer: say where strangers are";
                self.problems.error("origin-without-vantage", &draft.span, message).hint("add `namespace` or `from`");
            }
            let authority = platform.hosts.first().cloned().unwrap_or_default();
            let mut addresses = Vec::new();
            for (at, url) in draft.list("addresses", Value::upstream) {
                addresses.push(OriginAddress {
                    text: url.text.clone(),
                    host: url.bare_host().to_owned(),
                    port: url.port,
                    addresses: self.addresses(url, at),
                    tls: url.tls,
                    authority: authority.clone(),
                });
            }
            if !draft.given("addresses") {
                addresses.extend(platform.upstreams.iter().map(|upstream| OriginAddress {
                    text: upstream.url.clone(),
                    host: upstream.host.trim_matches(['[', ']']).to_owned(),
                    port: upstream.port,
                    addresses: upstream.addresses.clone(),
                    tls: upstream.tls.is_some(),
                    authority: authority.clone(),
                }));
            }
            all.push(Origin {
                platform: name,
                addresses,
                namespace: self.path(draft, "namespace"),
                from: match draft.value("from") {
                    // As it is written: an address alone, or one with its length.
                    Some(Value::Network(from)) => from.to_string().split('/').next().and_then(|from| from.parse().ok()),
                    _ => None,
                },
                interval: draft.duration("interval").unwrap_or_default(),
            });
        }
        all
    }

    pub(crate) fn schema(&self, draft: &Draft) -> Schema {
        Schema {
            role: draft.string("role"),
            password_file: self.path(draft, "password_file"),
            inside: draft.string("inside"),
            interval: draft.duration("interval").unwrap_or_default(),
        }
    }

    fn watched_files(&mut self, integrity: &Draft) -> Vec<Files> {
        let (mut names, mut files) = (Claims::new(), Vec::new());
        for draft in integrity.tables("files") {
            self.name(draft, "tree", &mut names);
            let name = draft.string("name");
            let inside =
                |text: &str| !text.starts_with('/') && !text.split('/').any(|part| matches!(part, "" | "." | ".."));
            if let Some(probe) = draft.text("probe").filter(|probe| !inside(probe)) {
                let message = format!("`{probe}` does not lead into the directory");
                self.problems
                    .error("probe-outside", draft.at("probe"), message)
                    .hint("write the path from the directory: \".portcullis\"");
            }
            files.push(Files {
                platform: draft.text("platform").map_or_else(|| name.clone(), str::to_owned),
                name,
                directory: self.path(draft, "directory").unwrap_or_default(),
                ignore: draft.list("ignore", Value::text).into_iter().map(|(_, text)| text.to_owned()).collect(),
                sweep: draft.duration("sweep").unwrap_or_default(),
                rate: draft.number("rate").unwrap_or(1).max(1),
                probe: draft.text("probe").map(str::to_owned),
            });
        }
        files
    }
}

fn texts(draft: &Draft, key: &str) -> Vec<String> {
    draft.list(key, Value::text).into_iter().map(|(_, text)| text.to_owned()).collect()
}

fn names(draft: &Draft) -> Names {
    Names {
        names: texts(draft, "names"),
        resolver: draft.given("resolver").then(|| draft.socket("resolver")),
        interval: draft.duration("interval").unwrap_or_default(),
    }
}
