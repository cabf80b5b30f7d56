//! The gate of the demo: a certificate made a moment ago, a configuration as an operator would write it, and the
//! folder that holds both until the demo ends.
//!
//! It takes no short cut: the configuration is read and checked like any other.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_dataguard::canary::{CanaryKey, EntryKind, Registry, Values};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use tempfile::TempDir;

use super::chance::secret;
use super::database::{INSIDE, REPORTING, WATCHER};
use super::platforms::members::Member;
use super::platforms::{forms, members};
use super::supporters::NEWSLETTER;
use crate::args::Demo;

/// Members that do not exist, planted among the others.
const CANARIES: usize = 5;
/// So much calm ends a wave of an incident.
pub(crate) const CALM: Duration = Duration::from_secs(20);
const PLANTED: &str = "2026-01-01";

/// Names that the certificate carries, and that the platforms answer to.
const HOSTS: [&str; 5] = [
    "www.campaign.localhost",
    "campaign.localhost",
    "join.campaign.localhost",
    "members.campaign.localhost",
    "localhost",
];

/// Where the three platforms listen, and the members' database where there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind {
    pub(crate) public: SocketAddr,
    pub(crate) forms: SocketAddr,
    pub(crate) members: SocketAddr,
    pub(crate) database: Option<SocketAddr>,
}

/// The folder of a demo; it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: TempDir,
    certificate: CertificateDer<'static>,
    canaries: Registry,
    canary_key: CanaryKey,
}

impl Folder {
    /// Makes the folder with a fresh certificate in it.
    pub(crate) fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("portcullis-demo-").tempdir()?;
        let (certificate, key) = certificate().map_err(io::Error::other)?;
        fs::write(folder.path().join("demo.pem"), certificate.pem())?;
        fs::write(folder.path().join("demo.key"), key.serialize_pem())?;
        let mut canaries = Registry::default();
        for _ in 0..CANARIES {
            canaries.add(EntryKind::Member { domain: members::DOMAIN.to_owned() }, Vec::new(), PLANTED);
        }
        fs::write(folder.path().join("canaries.txt"), canaries.to_string())?;
        let random = || secret().ok_or_else(|| io::Error::other("the operating system has no randomness"));
        let canary_key = random()? + &random()?;
        fs::write(folder.path().join("canary.key"), &canary_key)?;
        let canary_key = CanaryKey::parse(canary_key.as_bytes()).ok_or_else(|| io::Error::other("no key"))?;
        Ok(Self { folder, certificate: certificate.der().clone(), canaries, canary_key })
    }

    /// The members that do not exist: they have left, so that no page shows them.
    pub(crate) fn canaries(&self) -> Vec<Member> {
        let values = self.canaries.entries().iter().map(|entry| self.canary_key.values(entry));
        let planted = values.zip(1..).filter_map(|(values, number)| match values {
            Values::Member(member) => Some(members::planted(number, &member.first, &member.last, member.email)),
            Values::Id(_) | Values::Key(_) => None,
        });
        planted.collect()
    }

    /// The configuration's file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("portcullis.toml")
    }

    /// Puts the password of the database where the gate looks for it.
    pub(crate) fn entrust(&self, password: &str) -> io::Result<()> {
        let path = self.folder.path().join("database.password");
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(password.as_bytes())
    }

    /// Where the evidence is kept.
    pub(crate) fn evidence(&self) -> PathBuf {
        self.folder.path().join("evidence")
    }

    /// The decision log's file.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("decisions.jsonl")
    }

    /// What a visitor needs to believe the gate: its certificate and nothing else. With HTTP/2 offered, or without.
    pub(crate) fn believe(&self, http2: bool) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols =
            if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
        Ok(Arc::new(config))
    }
}

fn certificate() -> Result<(rcgen::Certificate, KeyPair), rcgen::Error> {
    let names = HOSTS.into_iter().chain(["127.0.0.1", "::1"]).map(str::to_owned).collect::<Vec<_>>();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Portcullis demo, made on this machine");
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?, key))
}

/// The way to the members through their desk.
const MEMBERS_PATH: &str = r#"[[copies.path]]
name = "http/members"
words = "the members' desk"
custody = "guarded"
sensors = ["http/members"]
"#;

/// The way to the members through their database.
fn guarded_path() -> String {
    let path = [
        "[[copies.path]]",
        "name = \"database/members\"",
        "words = \"sessions of the database\"",
        "custody = \"guarded\"",
    ];
    format!("{}\nsensors = [\"database/members\"]\n\n", path.join("\n"))
}

/// The configuration, as an operator would write it.
pub(crate) fn config(demo: &Demo, behind: &Behind) -> String {
    let Demo { http, https, admin, console, .. } = demo;
    let Behind { public, forms, members, database } = behind;
    let database = database.map_or_else(String::new, |upstream| guarded(demo.database, upstream));
    let (session, key_header, old_list) = (forms::SESSION, members::KEY_HEADER, members::OLD_LIST);
    let (newsletter, people) = (NEWSLETTER, members::MEMBERS);
    let paths = if database.is_empty() { String::new() } else { guarded_path() };
    let paths = format!("{paths}{MEMBERS_PATH}");
    let calm = CALM.as_secs();
    format!(
        r#"# The gate of `portcullis demo`: three platforms of a campaign, on loopback.

[server]
name = "demo"
control = "control.sock"
drain = "1s"

[admin]
listen = "{admin}"

[console]
listen = "{console}"
directory = "console"

[[listener]]
name = "http"
bind = "{http}"
http2 = true

[[listener]]
name = "https"
bind = "{https}"
tls = true

[[certificate]]
cert = "demo.pem"
key = "demo.key"

[log]
path = "decisions.jsonl"
file_size = "8MiB"
files = 2
sample = 20

# What happened is kept, and where personal data lies is known: from both an incident's report is made.
[evidence]
directory = "evidence"
# A minute apart is a day apart here.
calm = "{calm}s"

[organisation]
name = "Open Harbour, a sample campaign"
sector = "political campaign"

[[copies]]
name = "members"
what = "database"
categories = ["basic-identifiers", "political-opinions"]
people = {people}

{paths}
[[copies]]
name = "supporters"
what = "web"
categories = ["basic-identifiers"]

[[copies.path]]
name = "http/public"
words = "the public site"
custody = "guarded"
sensors = ["http/public"]

[[copies.path]]
name = "http/join"
words = "the forms to join and donate"
custody = "guarded"
sensors = ["http/join"]

# The public site: pages, their files, and a search.
[[platform]]
name = "public"
hosts = ["www.campaign.localhost", "campaign.localhost", "localhost", "127.0.0.1", "[::1]"]
upstreams = ["http://{public}"]

[platform.health]
path = "/health"

[[platform.route]]
path = "/assets/**"
class = "asset"
methods = ["GET", "HEAD"]

[[platform.route]]
path = "/search"
class = "search"

[[platform.route.rate]]
key = "address"
rate = "5/s"
burst = 20

# What may leave. Five members do not exist: whoever sees one has read where nobody should.
[data]
canaries = "canaries.txt"
canary_key = "canary.key"

[[vouched]]
name = "newsletter"
kind = "partner"
networks = ["127.0.0.0/8"]
agent = "{newsletter}"

# Whether the members' platform answers somebody who came past the gate. (Pages are not fetched from outside here: the visitor who does
# would be counted among the others.)
[[integrity.origin]]
platform = "members"
from = "127.0.0.1"
interval = "10s"

# Join, donate, sign in: what a person sends.
[[platform]]
name = "join"
hosts = ["join.campaign.localhost"]
upstreams = ["http://{forms}"]
session_cookie = "{session}"

[platform.health]
path = "/health"

[[platform.concurrency]]
class = "payment"
limit = 24

[[platform.concurrency]]
class = "login"
limit = 16

[[platform.route]]
path = "/assets/**"
class = "asset"
methods = ["GET", "HEAD"]

[[platform.route]]
path = "/join/**"
class = "form"
methods = ["GET", "HEAD", "POST"]
body_size = "64KiB"

[[platform.route.rate]]
key = "address"
rate = "2/s"
burst = 20

[[platform.route]]
path = "/donate/**"
class = "payment"
methods = ["GET", "HEAD", "POST"]
body_size = "64KiB"

[[platform.route.rate]]
key = "address"
rate = "1/s"
burst = 20

[[platform.route]]
path = "/login"
class = "login"
methods = ["GET", "HEAD", "POST"]
body_size = "16KiB"

[[platform.route.rate]]
key = "address"
rate = "30/min"
burst = 15

# The members' API: programs ask, and the desk in the browser.
[[platform]]
name = "members"
hosts = ["members.campaign.localhost"]
upstreams = ["http://{members}"]
api_key_header = "{key_header}"

[platform.health]
path = "/health"

[platform.data]
action = "block"

[[platform.concurrency]]
class = "search"
limit = 32

[[platform.concurrency]]
class = "export"
limit = 2

[[platform.route]]
path = "/assets/**"
class = "asset"
methods = ["GET", "HEAD"]

[[platform.route]]
path = "/api/**"
class = "api"

[[platform.route]]
path = "/api/login"
class = "login"
methods = ["POST"]
body_size = "16KiB"

[[platform.route.rate]]
key = "address"
rate = "30/min"
burst = 15

[[platform.route]]
path = "/api/members"
class = "search"
methods = ["GET", "HEAD"]

[[platform.route.rate]]
key = "api-key"
rate = "10/s"
burst = 30

# A program that pages through what it needs stays far below; one that takes the list does not.
[[platform.route.budget]]
who = "account"
over = "minute"
records = 1000

# It takes a branch as it comes. Until somebody rewrites it, inspection only observes here: old programs ask oddly.
[[platform.route]]
path = "{old_list}"
class = "api"
methods = ["GET", "HEAD"]

[platform.route.waf]
mode = "observe"

[[platform.route]]
path = "/api/members.csv"
class = "export"
methods = ["GET", "HEAD"]

[[platform.route.rate]]
key = "address"
rate = "6/min"
burst = 3

[[platform.route.budget]]
who = "account"
over = "day"
records = 2000

# The newsletter exports everybody: declared, counted, not stopped.
[platform.route.data]
export = ["newsletter"]
{database}"#
    )
}

/// What stands between the members' platform and its database.
fn guarded(listen: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        r#"
# The members' database. Its application runs what was learned and approved, and nothing else.
[[database]]
name = "members"
listen = "{listen}"
upstream = "{upstream}"
mode = "enforce"
sensitive = ["members"]

[[database.budget]]
role = "{REPORTING}"
within = "hour"
rows = 1000

# What came past the gate.
[database.reconcile]
role = "{WATCHER}"
password_file = "database.password"
inside = "{INSIDE}"
interval = "5s"

# How its tables, functions, roles and rights are made.
[database.schema]
role = "{WATCHER}"
password_file = "database.password"
inside = "{INSIDE}"
interval = "10s"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, Verb};
    use crate::configuration::Read;
    use clap::Parser;

    #[test]
    fn the_configuration_is_in_order_and_listens_on_loopback_only() {
        let Verb::Demo(flags) = Arguments::parse_from(["portcullis", "demo"]).verb else { panic!("the demo") };
        let folder = Folder::new().expect("a folder");
        let [public, forms, members] = [4001, 4002, 4003].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let database = Some(SocketAddr::from(([127, 0, 0, 1], 4004)));
        let text = config(&flags, &Behind { public, forms, members, database });
        let policy = Read::text("demo".into(), &folder.config(), text).settle_quietly().expect("in order");
        assert_eq!(policy.platforms.len(), 3);
        assert!(policy.listeners.iter().all(|listener| listener.bind.ip().is_loopback()));
        assert!(policy.admin.listen.ip().is_loopback());
        assert!(policy.console.is_some_and(|console| console.listen.ip().is_loopback()));
        assert!(policy.databases.iter().all(|database| database.bind.ip().is_loopback()));
        assert_eq!(policy.databases.len(), 1);
        assert!(
            policy
                .platforms
                .iter()
                .flat_map(|platform| &platform.upstreams)
                .all(|upstream| { upstream.addresses.iter().all(std::net::IpAddr::is_loopback) })
        );
    }
}
