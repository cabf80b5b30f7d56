//! A draft to a policy: what the values mean together and in the world outside. Platforms are in `platform.rs`.
//!
//! Nothing stops at the first problem. Where a value is missing, a placeholder takes its place; a policy with a
//! placeholder in it never leaves this crate, because an error was recorded for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use portcullis_types::{Date, Limits, ListAction, Mode, Prefix};

use crate::World;
use crate::draft::Draft;
use crate::kind::Value;
use crate::platform::per_second;
use crate::policy::{
    AddressList, Admin, Certificate, DecisionLog, Defence, ForwardedHeader, Listener, Policy, Server, TlsVersion,
    TrustedProxies, Vouched, VouchedKind,
};
use crate::problem::{Problems, either, nearest};
use crate::schema::LIMITS;

/// Makes the policy, and records what is wrong with it.
pub(crate) fn policy(root: &Draft, dir: &Path, world: &dyn World, problems: &mut Problems) -> Policy {
    let mut check = Check { dir, world, problems, resolved: BTreeMap::new() };
    let admin = check.admin(root.table("admin"));
    let trusted = trusted(root.table("trusted_proxies"));
    let certificates = check.certificates(root);
    let listeners = check.listeners(root, &admin, &trusted);
    check.coverage(root, &listeners, &certificates);
    let waf = check.waf(root);
    let databases = check.databases(root, &listeners, &admin);
    let data = check.data(root);
    let defence = check.defence(root.table("defence"));
    let platforms = check.platforms(root, &listeners, &waf.inspection, &data.leaving);
    let integrity = check.integrity(root, (&listeners, &platforms, &databases));
    let console = check.console(root, (&admin, &listeners), &certificates, defence.state.as_deref());
    Policy {
        server: check.server(root.table("server")),
        alerts: check.alerts(root, console.as_ref()),
        status: check.status(root, console.as_ref()),
        geography: check.geography(root.table("geography")),
        console,
        admin,
        trusted,
        limits: check.limits(root.table("limits")),
        log: check.log(root.table("log")),
        organisation: check.organisation(root.table("organisation")),
        copies: check.copies(root),
        evidence: check.evidence(root.table("evidence"), defence.state.as_deref()),
        defence,
        lists: check.lists(root),
        vouched: check.vouched(root),
        platforms,
        databases,
        waf,
        data,
        integrity,
        certificates,
        listeners,
    }
}

pub(crate) struct Check<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) world: &'a dyn World,
    pub(crate) problems: &'a mut Problems,
    /// One question per name, however many upstreams have it.
    pub(crate) resolved: BTreeMap<String, Result<Vec<IpAddr>, String>>,
}

/// What may be claimed once, and where it was.
pub(crate) type Claims<K> = BTreeMap<K, Range<usize>>;

impl Check<'_> {
    fn server(&mut self, draft: &Draft) -> Server {
        // What is left of `sockaddr_un.sun_path` beside its terminator.
        const SOCKET_PATH: usize = 107;
        let control = self.path(draft, "control").unwrap_or_default();
        let length = control.as_os_str().len();
        if length > SOCKET_PATH {
            let message = format!(
                "`{}` has {length} bytes, and the path of a Unix socket at most {SOCKET_PATH}",
                control.display()
            );
            self.problems.error("control-too-long", draft.at("control"), message);
        }
        let workers = draft.number("workers").and_then(|workers| usize::try_from(workers).ok());
        Server {
            workers: workers.unwrap_or_else(|| self.world.cores().clamp(1, 1024)),
            control,
            drain: draft.duration("drain").unwrap_or_default(),
            name: draft.string("name"),
        }
    }

    fn admin(&mut self, draft: &Draft) -> Admin {
        let (at, listen) = (draft.at("listen"), draft.socket("listen"));
        if !listen.ip().is_loopback() {
            self.problems
                .warning("admin-public", at, format!("the admin listener is on {listen}"))
                .label("not a loopback address")
                .hint("metrics and health are for operators; keep visitors out with a firewall");
        }
        Admin { listen }
    }

    fn listeners(&mut self, root: &Draft, admin: &Admin, trusted: &TrustedProxies) -> Vec<Listener> {
        let (mut names, mut binds, mut listeners) = (Claims::new(), Claims::new(), Vec::new());
        for draft in root.tables("listener") {
            self.name(draft, "listener", &mut names);
            let (at, bind, tls) = (draft.at("bind"), draft.socket("bind"), draft.flag("tls").unwrap_or_default());
            if !draft.given("bind") {
                // Said already.
            } else if bind.port() == 0 {
                self.problems.warning("port-zero", at, "the kernel picks a new port at each start").label("port 0");
            } else {
                let message = format!("two listeners are bound to {bind}");
                self.once("duplicate-bind", &mut binds, bind, at, message, "first bound here");
            }
            let taken = bind.port() == admin.listen.port() && overlap(bind.ip(), admin.listen.ip());
            if taken && bind.port() != 0 {
                let message = format!("the admin listener holds {} already", admin.listen);
                let problem = self.problems.error("admin-port-taken", at, message);
                problem.hint("choose another port here, or set `listen` in [admin]");
                let declared = Some(root.table("admin")).filter(|admin| admin.given("listen"));
                declared.map(|admin| problem.second(admin.at("listen"), "the admin listener"));
            }
            self.listener_flags(draft, tls, !root.tables("certificate").is_empty(), trusted);
            listeners.push(Listener {
                name: draft.string("name"),
                bind,
                tls,
                tls_min: if draft.text("tls_min") == Some("1.3") { TlsVersion::Tls13 } else { TlsVersion::Tls12 },
                http2: draft.flag("http2").unwrap_or(tls),
                proxy_protocol: draft.flag("proxy_protocol").unwrap_or_default(),
                redirect_to_https: draft.number("redirect_to_https").and_then(|port| port.try_into().ok()),
            });
        }
        if listeners.is_empty() && (root.tables("database").is_empty() || !root.tables("platform").is_empty()) {
            self.problems
                .error("no-listener", &root.span, "no listener is declared")
                .hint("add [[listener]] with `name` and `bind`");
        }
        listeners
    }

    fn listener_flags(&mut self, draft: &Draft, tls: bool, certified: bool, trusted: &TrustedProxies) {
        if tls && !certified {
            self.problems
                .error("tls-without-certificate", draft.at("tls"), "TLS needs a certificate, and none is declared")
                .hint("add [[certificate]] with `cert` and `key`");
        }
        if tls && draft.given("redirect_to_https") {
            let message = "a TLS listener cannot redirect to HTTPS: its visitors would go round in circles";
            self.problems
                .error("redirect-on-tls", draft.at("redirect_to_https"), message)
                .second(draft.at("tls"), "TLS is spoken here");
        }
        if !tls && draft.given("tls_min") {
            self.problems
                .warning("tls-min-without-tls", draft.at("tls_min"), "`tls_min` has no effect without TLS")
                .hint("add tls = true, or leave it out");
        }
        if draft.flag("proxy_protocol") == Some(true) && trusted.networks.is_empty() {
            let message = "only trusted proxies may send a PROXY header, and none is declared";
            self.problems
                .error("proxy-protocol-without-trust", draft.at("proxy_protocol"), message)
                .hint("name their networks in [trusted_proxies]: networks = [\"10.0.0.0/8\"]");
        }
    }

    fn certificates(&mut self, root: &Draft) -> Vec<Certificate> {
        let drafts = root.tables("certificate");
        let mut speakers = root.tables("listener").iter().chain([root.table("console")]);
        let tls = speakers.any(|speaker| speaker.flag("tls") == Some(true));
        if let Some(first) = drafts.first().filter(|_| !tls) {
            self.problems
                .warning("certificate-unused", &first.span, "there is a certificate, and no listener speaks TLS")
                .hint("set tls = true in a [[listener]]");
        }
        drafts.iter().filter_map(|draft| self.certificate(draft)).collect()
    }

    pub(crate) fn certificate(&mut self, draft: &Draft) -> Option<Certificate> {
        let cert = self.file(draft, "cert", "certificate-unreadable");
        let key = self.file(draft, "key", "certificate-unreadable");
        let ((cert, cert_pem), (key, key_pem)) = (cert?, key?);
        let at = draft.at("cert");
        let facts = match self.world.certificate(&cert_pem, &key_pem) {
            Ok(facts) => facts,
            Err(why) => {
                self.problems.error("certificate-invalid", at, why).second(draft.at("key"), "with this key");
                return None;
            }
        };
        if facts.expired {
            let since = facts.not_after.map(|seconds| format!(" on {}", Date::of_seconds(seconds))).unwrap_or_default();
            self.problems
                .warning("certificate-expired", at, format!("the certificate expired{since}"))
                .hint("visitors will be warned away; renew it, then reload");
        }
        let names = facts.names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Some(Certificate { cert, key, names, cert_pem, key_pem })
    }

    /// With TLS, every host needs a certificate; without one, its visitors would be refused or warned away.
    fn coverage(&mut self, root: &Draft, listeners: &[Listener], certificates: &[Certificate]) {
        let complete = !certificates.is_empty() && certificates.len() == root.tables("certificate").len();
        if !complete || !listeners.iter().any(|listener| listener.tls) {
            return;
        }
        let names: Vec<&str> =
            certificates.iter().flat_map(|certificate| &certificate.names).map(String::as_str).collect();
        for (at, host) in root.tables("platform").iter().flat_map(|platform| platform.list("hosts", Value::text)) {
            let address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
            if address || names.iter().any(|name| covers(name, host)) {
                continue;
            }
            let near = nearest(host, names.iter().copied());
            let some = if near.is_empty() { names.iter().copied().take(3).collect() } else { near };
            self.problems
                .error("host-without-certificate", at, format!("no certificate covers `{host}`"))
                .hint(format!("the certificates have {}", either(&some).replace(" or ", " and ")));
        }
    }

    fn limits(&mut self, draft: &Draft) -> Limits {
        let mut limits = Limits::DEFAULT;
        for bounds in Limits::ALL {
            (bounds.set)(&mut limits, draft.number(bounds.name).unwrap_or(bounds.default));
        }
        for (name, relation) in limits.check() {
            // The operator may have set only the other side of the relation, which its words name.
            let sides = || std::iter::once(name).chain(relation.split('`').skip(1).step_by(2));
            let at = sides().find(|key| draft.given(key)).map_or(&draft.span, |key| draft.at(key));
            let inside =
                |key: &str| Limits::ALL.iter().find(|bounds| bounds.name == key).map(|bounds| (bounds.get)(&limits));
            let values = sides().filter_map(|key| {
                let printed = LIMITS.key(key)?.kind.print(&Value::Number(inside(key)?));
                Some(format!("`{key}` is {printed}"))
            });
            let hint = values.collect::<Vec<_>>().join(", ");
            self.problems.error("limits-relation", at, format!("`{name}` {relation}")).hint(hint);
        }
        limits
    }

    fn log(&self, draft: &Draft) -> DecisionLog {
        DecisionLog {
            path: self.path(draft, "path"),
            file_bytes: draft.number("file_size").unwrap_or_default(),
            files: draft.count("files"),
            sample: draft.count("sample"),
        }
    }

    fn defence(&self, draft: &Draft) -> Defence {
        let flag = |key| draft.flag(key).unwrap_or_default();
        Defence {
            mode: mode(draft),
            rules: flag("rules"),
            challenges: flag("challenges"),
            admission: flag("admission"),
            waiting_room: flag("waiting_room"),
            state: self.path(draft, "state"),
        }
    }

    fn vouched(&mut self, root: &Draft) -> Vec<Vouched> {
        let keyed = root.tables("platform").iter().any(|platform| platform.given("api_key_header"));
        let (mut names, mut all) = (Claims::new(), Vec::new());
        for draft in root.tables("vouched") {
            self.name(draft, "vouched", &mut names);
            if !["file", "networks", "api_key_sha256"].iter().any(|key| draft.given(key)) {
                self.problems
                    .error("vouched-without-proof", &draft.span, "nothing proves that it is who it says")
                    .hint("add `networks`, `file` or `api_key_sha256`");
            }
            if draft.given("api_key_sha256") && !keyed {
                let message = "no platform says which header carries an API key";
                self.problems
                    .error("vouched-without-api-key-header", draft.at("api_key_sha256"), message)
                    .hint("set `api_key_header` in a [[platform]]");
            }
            let declared = networks(draft, "networks");
            let prefixes: BTreeSet<Prefix> = declared.iter().copied().chain(self.list_file(draft)).collect();
            let Some(&Value::Rate { count, seconds }) = draft.value("rate") else { continue };
            all.push(Vouched {
                name: draft.string("name"),
                kind: match draft.text("kind") {
                    Some("staff") => VouchedKind::Staff,
                    Some("crawler") => VouchedKind::Crawler,
                    _ => VouchedKind::Partner,
                },
                file: self.path(draft, "file"),
                networks: prefixes.into_iter().collect(),
                declared,
                api_key_sha256: draft.text("api_key_sha256").and_then(digest),
                agent: draft.text("agent").map(str::to_owned),
                per_second: per_second(count, seconds),
                burst: draft.number("burst").unwrap_or(count).try_into().unwrap_or(u32::MAX),
                concurrency: draft.count("concurrency"),
            });
        }
        all
    }

    fn lists(&mut self, root: &Draft) -> Vec<AddressList> {
        let (mut names, mut lists) = (Claims::new(), Vec::new());
        for draft in root.tables("list") {
            self.name(draft, "list", &mut names);
            if !draft.given("file") && !draft.given("prefixes") {
                self.problems
                    .error("list-without-addresses", &draft.span, "the list holds no address")
                    .hint("add `file` or `prefixes`");
            }
            let declared = networks(draft, "prefixes");
            let prefixes: BTreeSet<Prefix> = declared.iter().copied().chain(self.list_file(draft)).collect();
            lists.push(AddressList {
                name: draft.string("name"),
                action: if draft.text("action") == Some("allow") { ListAction::Allow } else { ListAction::Deny },
                mode: mode(draft),
                file: self.path(draft, "file"),
                prefixes: prefixes.into_iter().collect(),
                declared,
            });
        }
        lists
    }

    fn list_file(&mut self, draft: &Draft) -> Vec<Prefix> {
        const SHOWN: usize = 5;
        let Some((_, bytes)) = self.file(draft, "file", "list-unreadable") else { return Vec::new() };
        let (at, name) = (draft.at("file"), draft.string("file"));
        let (prefixes, bad) = read_list(&String::from_utf8_lossy(&bytes));
        for (line, why) in bad.iter().take(SHOWN) {
            self.problems
                .error("list-bad-line", at, format!("{name}:{line}: {why}"))
                .label("one network or address a line; `#` begins a comment");
        }
        if bad.len() > SHOWN {
            self.problems.error("list-bad-line", at, format!("{name} has {} such lines in all", bad.len()));
        }
        prefixes
    }

    /// Records that the name of a table was taken before.
    pub(crate) fn name(&mut self, draft: &Draft, noun: &str, claims: &mut Claims<String>) {
        if let Some(name) = draft.text("name") {
            let message = format!("two {noun}s have the name `{name}`");
            self.once("duplicate-name", claims, name.to_owned(), draft.at("name"), message, "first used here");
        }
    }

    /// Records that `key` was claimed before, if it was.
    pub(crate) fn once<K: Ord>(
        &mut self,
        code: &'static str,
        claims: &mut Claims<K>,
        key: K,
        at: &Range<usize>,
        message: String,
        first: &str,
    ) {
        if let Some(earlier) = claims.get(&key) {
            self.problems.error(code, at, message).second(earlier, first);
        } else {
            claims.insert(key, at.clone());
        }
    }

    pub(crate) fn path(&self, draft: &Draft, key: &str) -> Option<PathBuf> {
        draft.text(key).map(|path| self.dir.join(path))
    }

    pub(crate) fn file(&mut self, draft: &Draft, key: &str, code: &'static str) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.path(draft, key)?;
        match self.world.read(&path) {
            Ok(bytes) => Some((path, bytes)),
            Err(why) => {
                let message = format!("cannot read `{}`: {why}", path.display());
                self.problems.error(code, draft.at(key), message).label(format!("in `{key}`"));
                None
            }
        }
    }
}

/// The bytes of hexadecimal digits, of which there are 64.
fn digest(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Reads an address list: the prefixes, and for each line that is none its number and why.
fn read_list(text: &str) -> (Vec<Prefix>, Vec<(usize, String)>) {
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
pub(crate) fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let holds = |any: IpAddr, some: IpAddr| any.is_unspecified() && (any.is_ipv6() || some.is_ipv4());
    one == other || holds(one, other) || holds(other, one)
}

fn trusted(draft: &Draft) -> TrustedProxies {
    let forwarded = draft.text("header") == Some("forwarded");
    let header = if forwarded { ForwardedHeader::Forwarded } else { ForwardedHeader::XForwardedFor };
    TrustedProxies { networks: networks(draft, "networks"), header }
}

fn networks(draft: &Draft, key: &str) -> Vec<Prefix> {
    let network = |value: &Value| if let Value::Network(prefix) = value { Some(*prefix) } else { None };
    draft.list(key, network).into_iter().map(|(_, prefix)| prefix).collect()
}

pub(crate) fn mode(draft: &Draft) -> Mode {
    if draft.text("mode") == Some("observe") { Mode::Observe } else { Mode::Enforce }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_one_label() {
        let table = [
            ("example.org", "example.org", true),
            ("*.example.org", "www.example.org", true),
            ("*.example.org", "*.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "a.b.example.org", false),
            ("*.example.org", "*.b.example.org", false),
            ("www.example.org", "*.example.org", false),
        ];
        for (name, host, expected) in table {
            assert_eq!(covers(name, host), expected, "{name} {host}");
        }
    }

    #[test]
    fn sockets_meet_where_one_holds_the_other() {
        let table = [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0", "127.0.0.1", true),
            ("127.0.0.1", "::", true),
            ("0.0.0.0", "::1", false),
            ("::1", "127.0.0.1", false),
        ];
        for (one, other, expected) in table {
            let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
            assert_eq!(overlap(ip(one), ip(other)), expected, "{one} {other}");
            assert_eq!(overlap(ip(other), ip(one)), expected, "{other} {one}");
        }
    }
}
