//! A draft to a policy: what the values mean together and in the world outside.
//!
//! Nothing stops at the first problem. Where a value is missing, a placeholder takes its place; a policy with a
//! placeholder in it never leaves this crate, because an error was recorded for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};

use portcullis_types::{Limits, ListAction, Mode, Prefix, RateKey, RouteClass};

use crate::World;
use crate::draft::Draft;
use crate::kind::{Url, Value};
use crate::policy::{
    AddressList, Admin, Certificate, Concurrency, DecisionLog, ForwardedHeader, HealthCheck, Listener, PathPattern,
    Platform, Policy, Rate, Route, Server, TlsVersion, Transport, TrustedProxies, Upstream, UpstreamTls,
};
use crate::problem::{Problem, either, nearest};

/// Makes the policy, and records what is wrong with it.
pub(crate) fn policy(root: &Draft, dir: &Path, world: &dyn World, problems: &mut Vec<Problem>) -> Policy {
    let mut check = Check { dir, world, problems, resolved: BTreeMap::new() };
    let admin = check.admin(one(root, "admin"));
    let trusted = trusted(one(root, "trusted_proxies"));
    let certificates = check.certificates(root);
    let listeners = check.listeners(root, &admin, &trusted);
    let policy = Policy {
        server: check.server(one(root, "server")),
        admin,
        trusted,
        limits: check.limits(one(root, "limits")),
        log: check.log(one(root, "log")),
        lists: check.lists(root),
        platforms: check.platforms(root, &listeners),
        certificates,
        listeners,
    };
    check.coverage(root, &policy);
    policy
}

struct Check<'a> {
    dir: &'a Path,
    world: &'a dyn World,
    problems: &'a mut Vec<Problem>,
    /// One question per name, however many upstreams have it.
    resolved: BTreeMap<String, Result<Vec<IpAddr>, String>>,
}

/// What may be claimed once, and where it was.
struct Claims<K>(BTreeMap<K, Range<usize>>);

impl<K: Ord> Claims<K> {
    const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Where `key` was claimed before, if it was.
    fn claim(&mut self, key: K, at: &Range<usize>) -> Option<Range<usize>> {
        if let Some(first) = self.0.get(&key) {
            return Some(first.clone());
        }
        self.0.insert(key, at.clone());
        None
    }
}

impl Check<'_> {
    fn server(&self, draft: &Draft) -> Server {
        let workers = draft.number("workers").and_then(|workers| usize::try_from(workers).ok());
        Server {
            workers: workers.unwrap_or_else(|| self.world.cores().clamp(1, 1024)),
            control: self.path(draft, "control").unwrap_or_default(),
            drain: draft.duration("drain").unwrap_or_default(),
            name: text(draft, "name"),
        }
    }

    fn admin(&mut self, draft: &Draft) -> Admin {
        let listen = socket(draft, "listen");
        if !listen.ip().is_loopback() {
            self.problems.push(
                Problem::warning("admin-public", draft.at("listen"), format!("the admin listener is on {listen}"))
                    .label("not a loopback address")
                    .hint("metrics and health are for operators; keep visitors out with a firewall"),
            );
        }
        Admin { listen }
    }

    fn listeners(&mut self, root: &Draft, admin: &Admin, trusted: &TrustedProxies) -> Vec<Listener> {
        let drafts = root.tables("listener");
        if drafts.is_empty() {
            self.problems.push(
                Problem::error("no-listener", &root.span, "no listener is declared")
                    .hint("add [[listener]] with `name` and `bind`"),
            );
        }
        let (mut names, mut binds) = (Claims::new(), Claims::new());
        let certified = !root.tables("certificate").is_empty();
        let admin_at = one(root, "admin");
        drafts
            .iter()
            .map(|draft| {
                self.name_once(draft, "listener", &mut names);
                let bind = socket(draft, "bind");
                let (at, tls) = (draft.at("bind"), draft.flag("tls").unwrap_or_default());
                if bind.port() == 0 && draft.given("bind") {
                    let message = "the kernel picks a new port at each start";
                    self.problems.push(Problem::warning("port-zero", at, message).label("port 0"));
                } else if draft.given("bind") {
                    if let Some(first) = binds.claim(bind, at) {
                        let message = format!("two listeners are bound to {bind}");
                        self.problems
                            .push(Problem::error("duplicate-bind", at, message).second(&first, "first bound here"));
                    }
                    if bind.port() == admin.listen.port() && overlap(bind.ip(), admin.listen.ip()) {
                        let message = format!("the admin listener holds {} already", admin.listen);
                        let mut problem = Problem::error("admin-port-taken", at, message)
                            .hint("choose another port here, or set `listen` in [admin]");
                        if admin_at.given("listen") {
                            problem = problem.second(admin_at.at("listen"), "the admin listener");
                        }
                        self.problems.push(problem);
                    }
                }
                self.listener_flags(draft, tls, certified, trusted);
                Listener {
                    name: text(draft, "name"),
                    bind,
                    tls,
                    tls_min: if draft.text("tls_min") == Some("1.3") { TlsVersion::Tls13 } else { TlsVersion::Tls12 },
                    http2: draft.flag("http2").unwrap_or(tls),
                    proxy_protocol: draft.flag("proxy_protocol").unwrap_or_default(),
                    redirect_to_https: draft.number("redirect_to_https").and_then(|port| port.try_into().ok()),
                }
            })
            .collect()
    }

    fn listener_flags(&mut self, draft: &Draft, tls: bool, certified: bool, trusted: &TrustedProxies) {
        if tls && !certified {
            let message = "TLS needs a certificate, and none is declared";
            self.problems.push(
                Problem::error("tls-without-certificate", draft.at("tls"), message)
                    .hint("add [[certificate]] with `cert` and `key`"),
            );
        }
        if tls && draft.given("redirect_to_https") {
            let message = "a TLS listener cannot redirect to HTTPS: its visitors would go round in circles";
            self.problems.push(
                Problem::error("redirect-on-tls", draft.at("redirect_to_https"), message)
                    .second(draft.at("tls"), "TLS is spoken here"),
            );
        }
        if !tls && draft.given("tls_min") {
            let message = "`tls_min` has no effect without TLS";
            self.problems.push(
                Problem::warning("tls-min-without-tls", draft.at("tls_min"), message)
                    .hint("add tls = true, or leave it out"),
            );
        }
        if draft.flag("proxy_protocol") == Some(true) && trusted.networks.is_empty() {
            let message = "only trusted proxies may send a PROXY header, and none is declared";
            self.problems.push(
                Problem::error("proxy-protocol-without-trust", draft.at("proxy_protocol"), message)
                    .hint("name their networks in [trusted_proxies]: networks = [\"10.0.0.0/8\"]"),
            );
        }
    }

    fn certificates(&mut self, root: &Draft) -> Vec<Certificate> {
        let drafts = root.tables("certificate");
        let tls = root.tables("listener").iter().any(|listener| listener.flag("tls") == Some(true));
        if let Some(first) = drafts.first().filter(|_| !tls) {
            self.problems.push(
                Problem::warning(
                    "certificate-unused",
                    &first.span,
                    "there is a certificate, and no listener speaks TLS",
                )
                .hint("set tls = true in a [[listener]]"),
            );
        }
        drafts.iter().filter_map(|draft| self.certificate(draft)).collect()
    }

    fn certificate(&mut self, draft: &Draft) -> Option<Certificate> {
        let cert = self.file(draft, "cert", "certificate-unreadable");
        let key = self.file(draft, "key", "certificate-unreadable");
        let ((cert, cert_pem), (key, key_pem)) = (cert?, key?);
        let facts = match self.world.certificate(&cert_pem, &key_pem) {
            Ok(facts) => facts,
            Err(why) => {
                self.problems.push(
                    Problem::error("certificate-invalid", draft.at("cert"), why)
                        .second(draft.at("key"), "with this key"),
                );
                return None;
            }
        };
        if facts.expired {
            let message = format!("the certificate `{}` has expired", text(draft, "cert"));
            self.problems.push(
                Problem::warning("certificate-expired", draft.at("cert"), message)
                    .hint("visitors will be warned away; renew it, then reload"),
            );
        }
        let names = facts.names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Some(Certificate { cert, key, names, cert_pem, key_pem })
    }

    /// With TLS, every host needs a certificate; without one, its visitors would be refused or warned away.
    fn coverage(&mut self, root: &Draft, policy: &Policy) {
        let tls = policy.listeners.iter().any(|listener| listener.tls);
        let complete = policy.certificates.len() == root.tables("certificate").len() && !policy.certificates.is_empty();
        if !tls || !complete {
            return;
        }
        let names: Vec<&str> =
            policy.certificates.iter().flat_map(|certificate| certificate.names.iter().map(String::as_str)).collect();
        for platform in root.tables("platform") {
            for (at, host) in platform.list("hosts") {
                let Value::Text(host) = host else { continue };
                let address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
                if address || names.iter().any(|name| covers(name, host)) {
                    continue;
                }
                let mut near = nearest(host, names.iter().copied());
                if near.is_empty() {
                    near = names.iter().copied().take(3).collect();
                }
                let mut problem =
                    Problem::error("host-without-certificate", at, format!("no certificate covers `{host}`"));
                if !near.is_empty() {
                    problem = problem.hint(format!("the certificates have {}", either(&near).replace(" or ", " and ")));
                }
                self.problems.push(problem);
            }
        }
    }

    fn limits(&mut self, draft: &Draft) -> Limits {
        let mut limits = Limits::DEFAULT;
        for bounds in Limits::ALL {
            (bounds.set)(&mut limits, draft.number(bounds.name).unwrap_or(bounds.default));
        }
        for (name, relation) in limits.check() {
            // The operator may have set only the other side of the relation, which its words name.
            let written = std::iter::once(name).chain(relation.split('`')).find(|key| draft.given(key));
            let at = written.map_or(&draft.span, |key| draft.at(key));
            self.problems.push(Problem::error("limits-relation", at, format!("`{name}` {relation}")).hint(format!(
                "`portcullis show --effective` has the values in force; `{name}` is {}",
                Limits::ALL.iter().find(|bounds| bounds.name == name).map_or(0, |bounds| (bounds.get)(&limits)),
            )));
        }
        limits
    }

    fn log(&self, draft: &Draft) -> DecisionLog {
        DecisionLog {
            path: self.path(draft, "path"),
            file_bytes: draft.number("file_size").unwrap_or_default(),
            files: count(draft, "files"),
            sample: count(draft, "sample"),
        }
    }

    fn lists(&mut self, root: &Draft) -> Vec<AddressList> {
        let mut names = Claims::new();
        root.tables("list")
            .iter()
            .map(|draft| {
                self.name_once(draft, "list", &mut names);
                let declared = networks(draft, "prefixes");
                if declared.is_empty() && !draft.given("file") && !draft.given("prefixes") {
                    self.problems.push(
                        Problem::error("list-without-addresses", &draft.span, "the list holds no address")
                            .hint("add `file` or `prefixes`"),
                    );
                }
                let mut prefixes: BTreeSet<Prefix> = declared.iter().copied().collect();
                prefixes.extend(self.list_file(draft));
                AddressList {
                    name: text(draft, "name"),
                    action: if draft.text("action") == Some("allow") { ListAction::Allow } else { ListAction::Deny },
                    mode: mode(draft),
                    file: self.path(draft, "file"),
                    prefixes: prefixes.into_iter().collect(),
                    declared,
                }
            })
            .collect()
    }

    fn list_file(&mut self, draft: &Draft) -> Vec<Prefix> {
        const SHOWN: usize = 5;
        let Some(name) = draft.text("file") else { return Vec::new() };
        let Some((_, bytes)) = self.file(draft, "file", "list-unreadable") else { return Vec::new() };
        let (prefixes, bad) = read_list(&String::from_utf8_lossy(&bytes));
        for (line, why) in bad.iter().take(SHOWN) {
            self.problems.push(
                Problem::error("list-bad-line", draft.at("file"), format!("{name}:{line}: {why}"))
                    .label("one network or address a line; `#` begins a comment"),
            );
        }
        if bad.len() > SHOWN {
            let message = format!("{name} has {} such lines in all", bad.len());
            self.problems.push(Problem::error("list-bad-line", draft.at("file"), message));
        }
        prefixes
    }

    fn platforms(&mut self, root: &Draft, listeners: &[Listener]) -> Vec<Platform> {
        let drafts = root.tables("platform");
        if drafts.is_empty() {
            self.problems.push(
                Problem::error("no-platform", &root.span, "no platform is declared")
                    .hint("add [[platform]] with `name`, `hosts` and `upstreams`"),
            );
        }
        let (mut names, mut hosts) = (Claims::new(), Claims::new());
        drafts
            .iter()
            .map(|draft| {
                self.name_once(draft, "platform", &mut names);
                let transport = transport(one(draft, "transport"));
                let routes = self.routes(draft, &transport, one(root, "limits"));
                Platform {
                    name: text(draft, "name"),
                    hosts: self.hosts(draft, &mut hosts),
                    upstreams: self.upstreams(draft, listeners),
                    transport,
                    keep_host: draft.flag("keep_host").unwrap_or(true),
                    health: draft.tables("health").first().map(|health| self.health(health)),
                    concurrency: self.concurrency(draft, &routes),
                    routes,
                    session_cookie: draft.text("session_cookie").map(str::to_owned),
                    api_key_header: draft.text("api_key_header").map(str::to_owned),
                }
            })
            .collect()
    }

    fn hosts(&mut self, draft: &Draft, claims: &mut Claims<String>) -> Vec<String> {
        let mut hosts = Vec::new();
        for (at, host) in draft.list("hosts") {
            let Value::Text(host) = host else { continue };
            if let Some(first) = claims.claim(host.clone(), at) {
                let message = format!("the host `{host}` is claimed twice");
                self.problems.push(Problem::error("duplicate-host", at, message).second(&first, "first claimed here"));
            }
            hosts.push(host.clone());
        }
        hosts
    }

    fn upstreams(&mut self, draft: &Draft, listeners: &[Listener]) -> Vec<Upstream> {
        let transport = one(draft, "transport");
        let ca = self.file(transport, "upstream_ca", "upstream-ca-unreadable");
        if let Some((path, pem)) = &ca
            && !String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----")
        {
            let message = format!("`{}` holds no certificate in PEM", path.display());
            self.problems.push(Problem::error("upstream-ca-unreadable", transport.at("upstream_ca"), message));
        }
        let mut claims = Claims::new();
        let mut upstreams = Vec::new();
        for (at, url) in draft.list("upstreams") {
            let Value::Upstream(url) = url else { continue };
            if let Some(first) = claims.claim((url.host.clone(), url.port, url.tls, url.http2), at) {
                let message = format!("{} port {} is an upstream of this platform twice", url.host, url.port);
                self.problems
                    .push(Problem::error("duplicate-upstream", at, message).second(&first, "first named here"));
            }
            let addresses = self.resolve(url, at);
            for listener in listeners.iter().filter(|listener| listener.bind.port() == url.port) {
                let ours = |address: &IpAddr| {
                    *address == listener.bind.ip() || (listener.bind.ip().is_unspecified() && address.is_loopback())
                };
                if addresses.iter().any(ours) {
                    let message = format!("`{}` is the gate's own listener `{}`", url.text, listener.name);
                    self.problems.push(
                        Problem::error("upstream-loops", at, message).label("requests would go round in circles"),
                    );
                }
            }
            let bare = url.host.trim_start_matches('[').trim_end_matches(']');
            let tls = url.tls.then(|| UpstreamTls {
                server_name: transport.text("upstream_name").unwrap_or(bare).to_owned(),
                ca: ca.as_ref().map(|(path, _)| path.clone()),
                ca_pem: ca.as_ref().map(|(_, pem)| pem.clone()),
            });
            let Url { text, host, port, http2, .. } = url.clone();
            upstreams.push(Upstream { url: text, host, port, addresses, tls, http2 });
        }
        for key in ["upstream_ca", "upstream_name"] {
            if transport.given(key) && upstreams.iter().all(|upstream| upstream.tls.is_none()) {
                let message = format!("`{key}` has no effect: no upstream of this platform is `https` or `h2`");
                self.problems.push(Problem::warning("upstream-tls-unused", transport.at(key), message));
            }
        }
        upstreams
    }

    fn resolve(&mut self, url: &Url, at: &Range<usize>) -> Vec<IpAddr> {
        let bare = url.host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse() {
            return vec![address];
        }
        let ask = || match self.world.resolve(bare) {
            Ok(addresses) if addresses.is_empty() => Err("the name has no address".to_owned()),
            Ok(addresses) => Ok(addresses),
            Err(why) => Err(why.to_string()),
        };
        match self.resolved.entry(bare.to_owned()).or_insert_with(ask) {
            Ok(addresses) => addresses.clone(),
            Err(why) => {
                let message = format!("the upstream `{bare}` cannot be resolved: {why}");
                self.problems.push(
                    Problem::error("upstream-unresolved", at, message).hint("check the spelling, or write its address"),
                );
                Vec::new()
            }
        }
    }

    fn health(&mut self, draft: &Draft) -> HealthCheck {
        let interval = draft.duration("interval").unwrap_or_default();
        let timeout = draft.duration("timeout").unwrap_or_default();
        if timeout > interval {
            let at = if draft.given("timeout") { draft.at("timeout") } else { draft.at("interval") };
            let message = "a health check may not take longer than the time between two of them";
            self.problems
                .push(Problem::error("health-timeout", at, message).hint("set `timeout` to `interval` or less"));
        }
        HealthCheck {
            path: text(draft, "path"),
            interval,
            timeout,
            unhealthy_after: count(draft, "unhealthy_after"),
            healthy_after: count(draft, "healthy_after"),
        }
    }

    fn concurrency(&mut self, draft: &Draft, routes: &[Route]) -> Vec<Concurrency> {
        let mut claims = Claims::new();
        let drafts = draft.tables("concurrency");
        drafts
            .iter()
            .map(|draft| {
                let class = draft.text("class").and_then(RouteClass::from_name);
                let whose = class.map_or("the whole platform".to_owned(), |class| format!("the class `{class}`"));
                if let Some(first) = claims.claim(class, draft.at("class")) {
                    let message = format!("{whose} has two limits of concurrency");
                    self.problems.push(
                        Problem::error("duplicate-concurrency", draft.at("class"), message)
                            .second(&first, "first limited here"),
                    );
                }
                if class.is_some_and(|class| routes.iter().all(|route| route.class != class)) {
                    let message = format!("no route of this platform is of {whose}");
                    self.problems.push(
                        Problem::warning("class-unused", draft.at("class"), message)
                            .label("limits nothing")
                            .hint("give a [[platform.route]] this class"),
                    );
                }
                Concurrency { class, limit: count(draft, "limit"), mode: mode(draft) }
            })
            .collect()
    }

    fn routes(&mut self, draft: &Draft, transport: &Transport, limits: &Draft) -> Vec<Route> {
        let body_bytes = limits.number("body_bytes").unwrap_or(Limits::DEFAULT.body_bytes);
        let mut claims = Claims::new();
        let mut routes: Vec<Route> = Vec::new();
        for (route, pattern) in draft.tables("route").iter().filter_map(|route| match route.value("path") {
            Some(Value::Route(pattern)) => Some((route, pattern)),
            _ => None,
        }) {
            let (PathPattern::Exact(path) | PathPattern::Below(path)) = pattern;
            let below = matches!(pattern, PathPattern::Below(_));
            if let Some(first) = claims.claim((below, path.clone()), route.at("path")) {
                self.problems.push(
                    Problem::error(
                        "duplicate-route",
                        route.at("path"),
                        "this platform has a route for that path already",
                    )
                    .label("never reached")
                    .second(&first, "first declared here"),
                );
            }
            let methods = route.list("methods").iter().filter_map(|(_, method)| match method {
                Value::Text(method) => Some(method.clone()),
                _ => None,
            });
            routes.push(Route {
                path: pattern.clone(),
                methods: methods.collect(),
                class: route.text("class").and_then(RouteClass::from_name).unwrap_or_default(),
                body_bytes: route.number("body_size").unwrap_or(body_bytes),
                first_byte_timeout: route.duration("first_byte_timeout").unwrap_or(transport.first_byte_timeout),
                upgrade: route.flag("upgrade").unwrap_or_default(),
                rates: self.rates(draft, route),
            });
        }
        let everything = PathPattern::Below(String::new());
        let last = routes.iter().position(|route| route.path == everything).map(|at| routes.remove(at));
        routes.push(last.unwrap_or(Route {
            path: everything,
            methods: Vec::new(),
            class: RouteClass::default(),
            body_bytes,
            first_byte_timeout: transport.first_byte_timeout,
            upgrade: false,
            rates: Vec::new(),
        }));
        routes
    }

    fn rates(&mut self, platform: &Draft, route: &Draft) -> Vec<Rate> {
        let mut claims = Claims::new();
        let mut rates = Vec::new();
        for draft in route.tables("rate") {
            let Some(key) = RateKey::ALL.into_iter().find(|key| Some(key.name()) == draft.text("key")) else {
                continue;
            };
            let at = draft.at("key");
            if key == RateKey::Session && !platform.given("session_cookie") {
                let message = "a rate by session needs to know the session's cookie";
                self.problems.push(
                    Problem::error("rate-without-session-cookie", at, message)
                        .hint("set `session_cookie` in the [[platform]]"),
                );
            }
            if key == RateKey::ApiKey && !platform.given("api_key_header") {
                let message = "a rate by API key needs to know the key's header";
                self.problems.push(
                    Problem::error("rate-without-api-key-header", at, message)
                        .hint("set `api_key_header` in the [[platform]]"),
                );
            }
            let Some(&Value::Rate { count, seconds }) = draft.value("rate") else { continue };
            if let Some(first) = claims.claim((key.name(), seconds), at) {
                let message = format!("two rates by {} over the same time: only the smaller has an effect", key.name());
                self.problems.push(Problem::error("duplicate-rate", at, message).second(&first, "first declared here"));
            }
            let burst = draft.number("burst").unwrap_or(count).try_into().unwrap_or(u32::MAX);
            rates.push(Rate { key, per_second: per_second(count, seconds), burst, mode: mode(draft) });
        }
        rates
    }

    fn name_once(&mut self, draft: &Draft, noun: &str, claims: &mut Claims<String>) {
        let Some(name) = draft.text("name") else { return };
        if let Some(first) = claims.claim(name.to_owned(), draft.at("name")) {
            let message = format!("two {noun}s have the name `{name}`");
            self.problems
                .push(Problem::error("duplicate-name", draft.at("name"), message).second(&first, "first used here"));
        }
    }

    fn path(&self, draft: &Draft, key: &str) -> Option<PathBuf> {
        draft.text(key).map(|path| self.dir.join(path))
    }

    fn file(&mut self, draft: &Draft, key: &str, code: &'static str) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.path(draft, key)?;
        match self.world.read(&path) {
            Ok(bytes) => Some((path, bytes)),
            Err(why) => {
                let message = format!("cannot read `{}`: {why}", path.display());
                self.problems.push(Problem::error(code, draft.at(key), message).label(format!("in `{key}`")));
                None
            }
        }
    }
}

/// Reads an address list: the prefixes, and for each line that is none its number and why.
#[must_use]
pub fn read_list(text: &str) -> (Vec<Prefix>, Vec<(usize, String)>) {
    let (mut prefixes, mut bad) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or_default().trim();
        match Prefix::parse(content) {
            _ if content.is_empty() => {}
            Ok(prefix) => prefixes.push(prefix),
            Err(why) => bad.push((number + 1, why)),
        }
    }
    (prefixes, bad)
}

/// Whether a certificate's name covers a host; `*` stands for exactly one label (RFC 9525 section 6.3).
fn covers(name: &str, host: &str) -> bool {
    let under = |domain| host.split_once('.').is_some_and(|(label, rest)| label != "*" && rest == domain);
    name == host || name.strip_prefix("*.").is_some_and(under)
}

/// Whether two sockets with one port would meet. An unspecified IPv6 address may hold IPv4 as well.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let holds = |any: IpAddr, some: IpAddr| any.is_unspecified() && (any.is_ipv6() || some.is_ipv4());
    one == other || holds(one, other) || holds(other, one)
}

fn trusted(draft: &Draft) -> TrustedProxies {
    let header = match draft.text("header") {
        Some("forwarded") => ForwardedHeader::Forwarded,
        _ => ForwardedHeader::XForwardedFor,
    };
    TrustedProxies { networks: networks(draft, "networks"), header }
}

fn transport(draft: &Draft) -> Transport {
    Transport {
        connect_timeout: draft.duration("connect_timeout").unwrap_or_default(),
        first_byte_timeout: draft.duration("first_byte_timeout").unwrap_or_default(),
        idle_timeout: draft.duration("idle_timeout").unwrap_or_default(),
        retries: count(draft, "retries"),
        retry_budget_percent: count(draft, "retry_budget"),
        eject_after: count(draft, "eject_after"),
        eject_for: draft.duration("eject_for").unwrap_or_default(),
    }
}

/// Requests a second. Both numbers are small enough to be exact.
pub(crate) fn per_second(count: u64, seconds: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "both are below 2^53")]
    let (count, seconds) = (count as f64, seconds as f64);
    count / seconds
}

fn networks(draft: &Draft, key: &str) -> Vec<Prefix> {
    let network = |(_, value): &(_, Value)| if let Value::Network(prefix) = value { Some(*prefix) } else { None };
    draft.list(key).iter().filter_map(network).collect()
}

fn mode(draft: &Draft) -> Mode {
    if draft.text("mode") == Some("observe") { Mode::Observe } else { Mode::Enforce }
}

fn text(draft: &Draft, key: &str) -> String {
    draft.text(key).unwrap_or_default().to_owned()
}

fn count(draft: &Draft, key: &str) -> u32 {
    draft.number(key).and_then(|number| number.try_into().ok()).unwrap_or_default()
}

fn socket(draft: &Draft, key: &str) -> SocketAddr {
    draft.socket(key).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn one<'a>(draft: &'a Draft, name: &str) -> &'a Draft {
    draft.tables(name).first().unwrap_or(draft)
}
