//! Every table and every key of the configuration, once. Reader, `show` and the reference page walk over these.
//!
//! A line reads: key, kind, what holds where nothing is said, an example. `Is` is a default written as the file would
//! have it; `Or` says in words what happens instead; `Must` has no default.

use std::sync::LazyLock;

use portcullis_types::{Limits, RateKey, RouteClass, Unit};

use crate::alerts::{ALERTS, LEVELS, SECURITY};
use crate::console::APPROVALS;
use crate::effect::NAMES;
use crate::kind::Case::{Kept, Lower, Upper};
use crate::kind::Kind::{
    self, Choice, Count, Digest, File, Flag, Host, List, Name, Network, NoteKey, Quantity, Rate, Route, Server,
    ServerName, Socket, Token, Upstream, UrlPath, Whence, Words,
};
use crate::policy::ChallengeMode;
use crate::register::{CATEGORIES, COPIES as COPY_KINDS, CUSTODY, ROLES};
use crate::units::Dimension::{Duration, Percent, Size, Throughput};
use crate::{inspection, leaving};

/// A table of the configuration.
pub(crate) struct Section {
    /// Its keys from the top, with dots; empty for the top itself.
    pub(crate) path: &'static str,
    /// Whether it is written `[[name]]`, any number of times.
    pub(crate) many: bool,
    pub(crate) doc: &'static str,
    pub(crate) keys: LazyLock<Vec<Key>>,
    pub(crate) sections: &'static [&'static Section],
}

/// A key of a table.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Fallback,
    /// A value as the file would have it.
    pub(crate) example: String,
    pub(crate) doc: &'static str,
}

/// What holds where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fallback {
    Must,
    Is(String),
    Or(&'static str),
}

use Fallback::{Must, Or};

impl Section {
    /// Its key in the table around it.
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    /// How its header is written: `[server]`, `[[platform.route]]`.
    pub(crate) fn header(&self) -> String {
        if self.many { format!("[[{}]]", self.path) } else { format!("[{}]", self.path) }
    }

    pub(crate) fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The key that tells one table from the others of its kind; none where nothing has to.
    pub(crate) fn named_by(&self) -> Option<&Key> {
        let names = NAMES.iter().filter(|_| self.many).filter_map(|name| self.key(name));
        names.into_iter().find(|key| key.default == Must && !matches!(key.kind, List(_)))
    }

    pub(crate) fn section(&self, name: &str) -> Option<&'static Section> {
        self.sections.iter().copied().find(|section| section.name() == name)
    }

    /// Headers of the tables that hold a key or a table of that name, here and below.
    pub(crate) fn homes(&self, name: &str) -> Vec<String> {
        let below = self.sections.iter().flat_map(|inner| {
            let own = (inner.name() == name).then(|| inner.header());
            own.into_iter().chain(inner.homes(name))
        });
        self.key(name).map(|_| self.header()).into_iter().chain(below).collect()
    }
}

macro_rules! section {
    ($(#[doc = $doc:literal])+ $id:ident = $path:literal, many: $many:literal, holds: [$($inner:ident)*] {
        $($(#[doc = $about:literal])+ $key:ident: $kind:expr, $default:expr, $example:literal;)*
    }) => {
        pub(crate) static $id: Section = Section {
            path: $path,
            many: $many,
            doc: concat!($($doc),+).trim_ascii_start(),
            keys: LazyLock::new(|| vec![$(Key {
                name: stringify!($key),
                kind: $kind,
                default: $default,
                example: $example.to_owned(),
                doc: concat!($($about),+).trim_ascii_start(),
            }),*]),
            sections: &[$(&$inner),*],
        };
    };
}

section! {
    /// Everything lies in one file. Quantities are strings with a unit; paths are relative to the file's directory.
    ROOT = "", many: false, holds: [SERVER ADMIN CONSOLE LISTENER CERTIFICATE TRUSTED_PROXIES LIMITS LOG DEFENCE EVIDENCE ORGANISATION COPIES ALERT STATUS GEOGRAPHY WAF DATA INTEGRITY LIST VOUCHED PLATFORM DATABASE] {}
}

section! {
    /// The process.
    SERVER = "server", many: false, holds: [] {
        /// Worker threads, each with its own listening sockets and pools.
        workers: Count(1, 1024), Or("one per core"), "4";
        /// The Unix socket on which `reload` and a new binary's take-over arrive.
        control: File, is("/run/portcullis/control.sock"), "\"/run/portcullis/control.sock\"";
        /// How long requests under way may take after SIGTERM or a take-over before they are cut.
        drain: Quantity(Duration, 0, HOUR), is("30s"), "\"30s\"";
        /// This node in `Via` and in records.
        name: Token(Kept), is("portcullis"), "\"gate-1\"";
    }
}

section! {
    /// The admin listener: `/metrics`, `/health`, `/ready`. Keep it off public addresses.
    ADMIN = "admin", many: false, holds: [] {
        /// Where it listens.
        listen: Socket, is("127.0.0.1:9180"), "\"127.0.0.1:9180\"";
    }
}

section! {
    /// The console: pages and an API for the people who look after the gate. Its first account is made by a link that is printed at the
    /// start.
    CONSOLE = "console", many: false, holds: [OIDC] {
        /// Where it listens. Beyond loopback it needs `tls`.
        listen: Socket, Or("there is no console"), "\"127.0.0.1:9181\"";
        /// Whether TLS is spoken, with the `[[certificate]]` that has the name in `url`, or else the first.
        tls: Flag, is("false"), "true";
        /// Where browsers find it. It answers to no other name but loopback's.
        url: Upstream, Or("where it listens"), "\"https://console.example.org:9181\"";
        /// Where accounts are kept.
        directory: File, Or("`console` in `defence.state`"), "\"/var/lib/portcullis/console\"";
        /// Acts that one person proposes and another approves.
        approvals: List(&Choice(&APPROVALS)), is("[]"), "[\"posture\", \"reload\", \"people\"]";
    }
}

section! {
    /// Sign-in to the console by the organisation's own provider (OpenID Connect), beside passkeys and passwords. The provider sends people
    /// back to `/oidc` of the console's `url`, which is to be declared there. Read when the gate starts.
    OIDC = "console.oidc", many: false, holds: [] {
        /// The provider, exactly as it names itself; its document is found beneath. `http` is for this machine alone.
        issuer: Words, Must, "\"https://login.example.org/realms/folk\"";
        /// Who the console is there.
        client_id: Words, Must, "\"portcullis\"";
        /// The file with the secret that the provider gave the console.
        secret_file: File, Must, "\"oidc.secret\"";
        /// What the button says.
        name: Words, Or("the issuer's host"), "\"Folk\"";
        /// What the provider is asked for.
        scopes: List(&Words), Or("`openid`, `profile` and `email`"), "[\"openid\", \"groups\"]";
        /// The claim with the name under which a new account acts.
        name_claim: Words, is("preferred_username"), "\"email\"";
        /// The claim with what gives a role; with dots it leads into objects. It stands in the ID token.
        role_claim: Words, is("groups"), "\"realm_access.roles\"";
        /// Its values that make somebody a viewer. Whoever has none of these and the next two does not get in.
        viewer: List(&Words), is("[]"), "[\"staff\"]";
        /// Its values that make somebody an operator.
        operator: List(&Words), is("[]"), "[\"gate-operators\"]";
        /// Its values that make somebody an owner.
        owner: List(&Words), is("[]"), "[\"gate-owners\"]";
        /// Domains of which somebody must have a verified address of mail (`email`, `email_verified`).
        domains: List(&ServerName), is("[]"), "[\"example.org\"]";
        /// Whose certificates are believed, in PEM.
        ca: File, Or("the system's authorities"), "\"ca.pem\"";
    }
}

section! {
    /// A socket that visitors reach. There is at least one, unless only databases are guarded.
    LISTENER = "listener", many: true, holds: [] {
        /// Unique; in records, metrics and for socket activation (`FileDescriptorName=`).
        name: Name, Must, "\"https\"";
        /// Unique.
        bind: Socket, Must, "\"0.0.0.0:443\"";
        /// Whether TLS is spoken here; needs a `[[certificate]]`.
        tls: Flag, is("false"), "true";
        /// Least version of TLS.
        tls_min: Choice(&["1.2", "1.3"]), is("1.2"), "\"1.3\"";
        /// Whether HTTP/2 is offered: by ALPN with TLS, by prior knowledge (h2c) without.
        http2: Flag, Or("`true` with TLS, `false` without"), "true";
        /// Whether a PROXY v1 or v2 header comes first. Only `trusted_proxies.networks` may connect then.
        proxy_protocol: Flag, is("false"), "true";
        /// Answer every request with a redirect to HTTPS on this port.
        redirect_to_https: Count(1, 65_535), Or("nothing is redirected"), "443";
    }
}

section! {
    /// A certificate chain with its key, in PEM; SNI chooses, the first is for clients that send none. The names come
    /// from the certificate. With a TLS listener, every host of every platform must be covered by one of them.
    CERTIFICATE = "certificate", many: true, holds: [] {
        /// The chain, leaf first.
        cert: File, Must, "\"example.org.pem\"";
        /// The private key.
        key: File, Must, "\"example.org.key\"";
    }
}

section! {
    /// Proxies in front of the gate that may say who the client is. Nobody else's word is taken.
    TRUSTED_PROXIES = "trusted_proxies", many: false, holds: [] {
        /// Their networks.
        networks: List(&Network), is("[]"), "[\"10.0.0.0/8\"]";
        /// Which header of theirs is read, from the right.
        header: Choice(&["x-forwarded-for", "forwarded"]), is("x-forwarded-for"), "\"forwarded\"";
    }
}

section! {
    /// Where decisions are written: JSON lines, in files of bounded size and number.
    LOG = "log", many: false, holds: [] {
        /// The open file; closed ones lie beside it with a number.
        path: File, Or("no decision is written"), "\"/var/log/portcullis/decisions.jsonl\"";
        /// A file is closed at this size.
        file_size: Quantity(Size, 64 * KIB, 64 * GIB), is("64MiB"), "\"64MiB\"";
        /// Files kept, the open one included. The disk holds at most `files` times `file_size`.
        files: Count(2, 1000), is("4"), "4";
        /// Refusals and failures are always written; of the served requests one in so many: 1 all, 0 none.
        sample: Count(0, 1_000_000_000), is("100"), "100";
    }
}

section! {
    /// What the gate does by itself when more comes than is normal: it learns what normal is, finds what an attack has in
    /// common, and says in the decision log and in `portcullis status` what it did and why.
    DEFENCE = "defence", many: false, holds: [] {
        /// `observe` judges and records everything and touches no visitor.
        mode: Choice(MODES), is("enforce"), "\"observe\"";
        /// Rules against what an attack has in common. Without them everything else still holds.
        rules: Flag, is("true"), "false";
        /// Whether a navigation may be asked to pass a challenge; otherwise it waits behind.
        challenges: Flag, is("true"), "false";
        /// Whether the requests at once follow what the platform can carry while it is under stress.
        admission: Flag, is("true"), "false";
        /// Whether visitors are sent to a waiting room while more come than the platform can carry.
        waiting_room: Flag, is("true"), "false";
        /// A directory for what outlives a restart: the secret of the tokens that visitors hold, and what was learned.
        state: File, Or("a restart begins anew"), "\"/var/lib/portcullis\"";
    }
}

section! {
    /// What happened, kept so that others can check it: a ledger of records, and every request. Another process must not write
    /// there. What is kept for so many days is erased by the day; the ledger shows that it was there.
    EVIDENCE = "evidence", many: false, holds: [WITNESS STAMP] {
        /// Whether it is kept.
        keep: Flag, is("true"), "false";
        /// Where.
        directory: File, Or("`evidence` in `defence.state`; without that, none is kept"), "\"/var/lib/portcullis/evidence\"";
        /// Days that figures and heartbeats are kept, which name nobody; 0 is for ever.
        figures: Count(0, 36_500), is("400"), "800";
        /// Days that acts of the gate, its sensors and its operators are kept.
        acts: Count(0, 36_500), is("800"), "400";
        /// Days that records are kept which name a person or an address.
        personal: Count(0, 36_500), is("90"), "30";
        /// Days that what an incident rests on is kept.
        incident: Count(0, 36_500), is("0"), "3650";
        /// Days that single requests are kept, with the address that asked.
        requests: Count(0, 36_500), is("30"), "7";
        /// What they take on disk at most; beyond it the oldest go first.
        requests_size: Quantity(Size, 64 << 20, 16_384 * GIB), is("16GiB"), "\"4GiB\"";
        /// Days that what the gate answered is kept second by second, for charts; minute by minute it is kept as `figures` are.
        seconds: Count(1, 400), is("3"), "7";
        /// Calm after which a wave of an incident is over; the next is another.
        calm: Quantity(Duration, 1_000 * MS, 24 * HOUR), is("15m"), "\"30m\"";
        /// How many witnesses must have cosigned before a checkpoint counts as witnessed.
        quorum: Count(0, 16), is("0"), "1";
    }
}

section! {
    /// Another host that is shown the ledger's size and root each second, and signs only what continues what it signed before
    /// (`portcullis witness`).
    WITNESS = "evidence.witness", many: true, holds: [] {
        /// Its key, as it prints it.
        key: NoteKey, Must, "\"witness-1+44faccf1+BBtPDIY+H54sslKb/rwqpwoUpeEMsv7v4VT0UJk6Xylw\"";
        /// Where it listens.
        url: Upstream, Must, "\"http://192.0.2.9:9190\"";
    }
}

section! {
    /// A time-stamping authority (RFC 3161), which says that a checkpoint of the ledger was there by then. It learns a hash and
    /// nothing else. One that does not answer costs the stamp; that it is missing is on record.
    STAMP = "evidence.stamp", many: true, holds: [] {
        /// What its stamps are filed under.
        name: Name, Must, "\"freetsa\"";
        /// Its host, over plain HTTP: what it says is signed.
        url: Upstream, Must, "\"http://stamps.example\"";
        /// Where it is asked there.
        path: UrlPath, is("/"), "\"/tsr\"";
        /// How often. Public authorities ask to be asked rarely.
        every: Quantity(Duration, 1_000 * MS, 24 * HOUR), is("1h"), "\"15m\"";
    }
}

section! {
    /// What is watched beside traffic, and who may authorise a change. What changes and nobody authorised is told; what cannot
    /// be seen is told too. A file, a page or a certificate that is not as it was signed refuses no visitor.
    INTEGRITY = "integrity", many: false, holds: [INTEGRITY_FILES INTEGRITY_OUTSIDE INTEGRITY_ORIGIN INTEGRITY_NAMES INTEGRITY_BROWSERS INTEGRITY_CANARY] {
        /// A directory for what is in force: manifests, baselines, what pages were like.
        state: File, Or("`integrity` below `defence.state`; without either, a restart begins anew"),
            "\"/var/lib/portcullis/integrity\"";
        /// A directory in which a release is announced by its signed manifest, `NAME.manifest`. It is looked at each second.
        deploys: File, Or("manifests are handed over by `portcullis manifest deploy`"), "\"/var/lib/portcullis/deploys\"";
        /// Who may sign a manifest, as `portcullis manifest key NAME` prints it.
        keys: List(&NoteKey), is("[]"), "[\"alice+fa02fe54+AZ39gzfLeSnQP/xlx2YWtXsCrP24/pXXw6sNfvf5I/Bt\"]";
        /// How many of them must sign.
        signatures: Count(1, 8), is("1"), "2";
        /// How long a deploy may take: until then the release before may still be seen.
        window: Quantity(Duration, 10_000 * MS, 24 * HOUR), is("15m"), "\"5m\"";
        /// Between two drills by schedule, in which each sensor and each path is tried.
        drill: Quantity(Duration, MINUTE, 168 * HOUR), is("12h"), "\"6h\"";
    }
}

section! {
    /// A directory that is compared with its manifest or its baseline. Where the kernel can tell, a change is found within
    /// five seconds; else by the next sweep.
    INTEGRITY_FILES = "integrity.files", many: true, holds: [] {
        /// Unique; manifests name it.
        name: Name, Must, "\"public\"";
        /// The platform that it belongs to.
        platform: Name, Or("the name"), "\"public\"";
        /// The directory.
        directory: File, Must, "\"/srv/www/public\"";
        /// What is left out: a name anywhere (`*.log`), or a path from the directory with what is below it (`cache/**`).
        ignore: List(&File), is("[]"), "[\"cache/**\", \"*.log\"]";
        /// How long after the end of a sweep the next one begins.
        sweep: Quantity(Duration, 1000 * MS, 168 * HOUR), is("1h"), "\"15m\"";
        /// How much a sweep reads.
        rate: Quantity(Throughput, 64 * KIB, 16 * GIB), is("16MiB/s"), "\"64MiB/s\"";
        /// Where in the directory a drill may plant a file, which goes again at once. The gate must be allowed to write there.
        probe: File, Or("this directory cannot be tried"), "\".portcullis\"";
    }
}

section! {
    /// Whose gate it is, as reports of an incident name them.
    ORGANISATION = "organisation", many: false, holds: [CONTACT] {
        /// Its name.
        name: Words, Or("reports say that it is not known"), "\"The Party\"";
        /// What it is.
        sector: Words, Or("nothing is said"), "\"political party\"";
        /// The language of the notice to members that comes first: English or Danish.
        language: Choice(&["en", "da"]), is("en"), "\"da\"";
        /// Where members can ask.
        page: Words, Or("the notice names the contacts"), "\"https://status.example.org/incident\"";
    }
}

section! {
    /// Somebody whom members and authorities can ask.
    CONTACT = "organisation.contact", many: true, holds: [] {
        /// Their name.
        name: Words, Must, "\"Ada Lind\"";
        /// What they do.
        role: Choice(ROLES), is("lead"), "\"data-protection-officer\"";
        /// An address on a system that is not behind this gate.
        email: Words, Or("none"), "\"ada@example.net\"";
        /// A number.
        phone: Words, Or("none"), "\"+44 20 7946 0000\"";
    }
}

section! {
    /// Somebody who is told when something is wrong, by the console. What begins together is one message; its end is another.
    ALERT = "alert", many: true, holds: [] {
        /// Unique.
        name: Name, Must, "\"ops\"";
        /// How.
        kind: Choice(ALERTS), Must, "\"email\"";
        /// Where to; ntfy has the topic at its end. Not for `email`.
        url: Words, Or("`email` has none"), "\"https://ntfy.example.org/gate\"";
        /// The mail server.
        server: Server, Or("only `email` has one"), "\"mail.example.org:587\"";
        /// How the way to the mail server is kept from others' eyes. `none` is for a server on this machine.
        security: Choice(SECURITY), is("starttls"), "\"tls\"";
        /// Who the gate is to the mail server.
        user: Words, Or("it does not ask"), "\"gate\"";
        /// The file with the secret: what a webhook is signed with, the token of ntfy, the password of the mail server.
        secret_file: File, Or("there is none; a `webhook` has one"), "\"alert.secret\"";
        /// Whose letters these are.
        from: Words, Or("only `email` has it"), "\"gate@example.org\"";
        /// Who gets them.
        to: List(&Words), is("[]"), "[\"ops@example.org\"]";
        /// From what on: `page` is an attack, an overload, a platform without a server, data that leaks, evidence that is lost.
        min: Choice(LEVELS), is("warning"), "\"page\"";
        /// A time of day in which it is left in peace, but for pages.
        quiet: Words, Or("it is never"), "\"22:00-07:00\"";
        /// How far the clock there is from UTC.
        offset: Words, is("+00:00"), "\"+02:00\"";
        /// What begins within this time is told in one message. A page waits for five seconds at most.
        group: Quantity(Duration, 0, HOUR), is("1m"), "\"5m\"";
        /// Another alert, which is told where nobody has acknowledged; it is told nothing else.
        next: Name, Or("nobody is"), "\"board\"";
        /// After how long.
        after: Quantity(Duration, MINUTE, 24 * HOUR), is("15m"), "\"10m\"";
        /// Whose certificates are believed, in PEM.
        ca: File, Or("the system's authorities"), "\"ca.pem\"";
    }
}

section! {
    /// Where the public can see how things are: a page without a script and `status.json`, written by the console at each change and each
    /// minute. Let something serve it that is not behind this gate.
    STATUS = "status", many: false, holds: [] {
        /// Where they are written.
        directory: File, Or("there is no such page"), "\"/var/lib/portcullis/status\"";
        /// A program that is run with that directory as its only argument after they were written, to bring them elsewhere.
        hook: File, Or("nothing is run"), "\"/usr/local/bin/push-status\"";
    }
}

section! {
    /// Which country addresses are in, for the console's Traffic view, `portcullis requests top --by country` and the report of an
    /// incident. The gate ships no such table, and decides nothing by one: a country is no reason to hold anybody.
    GEOGRAPHY = "geography", many: false, holds: [] {
        /// A database of countries in MaxMind's format (MMDB), such as DB-IP's lite one or GeoLite2, or a flat one with
        /// `country_code`. It is read again with the configuration.
        file: File, Or("countries are not told"), "\"/var/lib/dbip/dbip-country-lite.mmdb\"";
    }
}

section! {
    /// A copy of personal data: a platform, a database, a backup, a processor, what opens any of them. Of a copy that is not named
    /// here, nothing is claimed after an incident.
    COPIES = "copies", many: true, holds: [COPY_PATH] {
        /// Unique.
        name: Name, Must, "\"members\"";
        /// What it is.
        what: Choice(COPY_KINDS), Must, "\"database\"";
        /// Who holds it.
        holder: Words, Or("the organisation"), "\"Example Mail Ltd\"";
        /// What is in it, in the words of the ICO's form.
        categories: List(&Choice(CATEGORIES)), is("[]"), "[\"basic-identifiers\", \"political-opinions\"]";
        /// How many people it is about.
        people: Count(0, 10_000_000_000), is("0"), "500000";
    }
}

section! {
    /// A path to the copy above: each that there is, guarded or not.
    COPY_PATH = "copies.path", many: true, holds: [] {
        /// `http/` and a platform's name, `database/` and a database's, or a name of its own.
        name: Words, Must, "\"database/members\"";
        /// What it is, in a few words.
        words: Words, Or("nothing is said"), "\"the application's connections\"";
        /// `guarded`: sensors measure it. `attested`: a person states how it stood (`portcullis incident attest`). `unguarded`: nobody
        /// watches, and every sentence after an incident says so.
        custody: Choice(CUSTODY), Must, "\"guarded\"";
        /// Sensors that must all be up for it to be covered.
        sensors: List(&Words), Or("of a guarded path, the one of its own name"), "[\"database/members\", \"schema/members\"]";
    }
}

section! {
    /// A public address that is visited as a visitor would. What decides over visitors (scripts, forms' targets, frames, and what the
    /// scripts of the own origin hold) is learned, and told where it changes and no release is under way; so is its certificate.
    INTEGRITY_OUTSIDE = "integrity.outside", many: true, holds: [] {
        /// Unique.
        name: Name, Must, "\"public\"";
        /// The platform that it belongs to.
        platform: Name, Or("the name"), "\"public\"";
        /// Scheme and host, perhaps a port.
        at: Upstream, Must, "\"https://example.org\"";
        /// Where to connect instead of asking for the name's addresses.
        connect: Socket, Or("what the name resolves to"), "\"192.0.2.7:443\"";
        /// Certificate authorities in PEM that are believed.
        ca: File, Or("the system's"), "\"ca.pem\"";
        /// The pages.
        paths: List(&UrlPath), Must, "[\"/\", \"/donate\"]";
        /// How often.
        interval: Quantity(Duration, 1000 * MS, 24 * HOUR), is("5m"), "\"1m\"";
        /// What one answer may take.
        timeout: Quantity(Duration, 100 * MS, MINUTE), is("10s"), "\"5s\"";
    }
}

section! {
    /// Ways past the gate, tried from where strangers are: whether a platform's servers answer somebody who does not come through
    /// the gate. Tell `namespace` or `from`.
    INTEGRITY_ORIGIN = "integrity.origin", many: true, holds: [] {
        /// The platform.
        platform: Name, Must, "\"public\"";
        /// Where its servers might be reached.
        addresses: List(&Upstream), Or("the platform's `upstreams`"), "[\"http://203.0.113.9:80\"]";
        /// A namespace of the network from which it is tried; needs the right to enter it.
        namespace: File, Or("the gate's own"), "\"/run/netns/outside\"";
        /// An address of this host from which it is tried.
        from: Network, Or("any"), "\"192.0.2.44\"";
        /// How often.
        interval: Quantity(Duration, 1000 * MS, 24 * HOUR), is("1m"), "\"30s\"";
    }
}

section! {
    /// A canary that was planted for drills alone, and how it is fetched through the gate: each drill is a leak that must be told. It
    /// needs `[evidence]`, and says nothing where none is kept.
    INTEGRITY_CANARY = "integrity.canary", many: true, holds: [] {
        /// A platform with a page that holds a canary.
        platform: Name, Or("it is a database's"), "\"public\"";
        /// That page; fetched through the first listener that visitors reach directly.
        page: UrlPath, Or("it is a database's"), "\"/.well-known/drill\"";
        /// Or a database that is guarded.
        database: Name, Or("it is a platform's"), "\"members\"";
        /// The role that asks.
        role: Token(Kept), Or("it is a platform's"), "\"drill\"";
        /// A file with its password, and nothing else in it.
        password_file: File, Or("no password"), "\"/etc/portcullis/drill.password\"";
        /// The database inside the server.
        inside: Token(Kept), Or("it is a platform's"), "\"members\"";
        /// A query that returns the canary; COPY of what it returns is tried too.
        statement: Words, Or("it is a platform's"), "\"select email from members where id = 0\"";
    }
}

section! {
    /// What visitors' browsers report of a platform's pages is taken at `/.portcullis/reports`, in both forms that browsers have.
    /// Anybody can send a report: it is told as what browsers say, has the page visited from outside, opens no incident, and changes
    /// no sentence. A policy of the platform's own that reports there needs nothing more than this table.
    INTEGRITY_BROWSERS = "integrity.browsers", many: true, holds: [] {
        /// The platform.
        platform: Name, Must, "\"public\"";
        /// Whether its pages say where reports go (`Reporting-Endpoints`, under the name `portcullis`).
        announce: Flag, is("true"), "false";
        /// The directives of a policy that only reports, sent beside whatever the platform sends (`Content-Security-Policy-Report-Only`).
        policy: List(&Words), is("[]"), "[\"script-src 'self' https://cdn.example.net\", \"form-action 'self'\"]";
        /// Whether scripts without a hash are to be reported (`Integrity-Policy-Report-Only`).
        integrity_policy: Flag, is("false"), "true";
    }
}

section! {
    /// Names that are looked up, and told where what is said of them is another: addresses, aliases, name servers, mail servers, who may
    /// issue certificates (CAA), signatures' keys above them (DS), who may send in their name (SPF, DMARC). Name the zone itself, too.
    INTEGRITY_NAMES = "integrity.names", many: true, holds: [] {
        /// The names.
        names: List(&ServerName), Must, "[\"example.org\", \"www.example.org\"]";
        /// The resolver that is asked, over UDP and TCP.
        resolver: Socket, Or("the system's: /etc/resolv.conf, for addresses whatever the system asks"), "\"192.0.2.53:53\"";
        /// How often.
        interval: Quantity(Duration, 1000 * MS, 24 * HOUR), is("1m"), "\"5m\"";
    }
}

section! {
    /// Addresses that are let through or refused before anything else.
    LIST = "list", many: true, holds: [] {
        /// Unique; in records.
        name: Name, Must, "\"office\"";
        /// `allow` passes deny lists and rates (concurrency still holds); `deny` refuses.
        action: Choice(&["allow", "deny"]), Must, "\"allow\"";
        /// `observe` counts and records what would have happened, and does nothing else.
        mode: Choice(MODES), is("enforce"), "\"observe\"";
        /// A file with one network or address a line; `#` begins a comment.
        file: File, Or("`prefixes` alone"), "\"scanners.txt\"";
        /// Networks or addresses, beside those of the file.
        prefixes: List(&Network), is("[]"), "[\"192.0.2.0/24\"]";
    }
}

section! {
    /// Somebody whom the organisation vouches for: goes first when a platform is short, within a budget of its own.
    /// Everything that is given must hold. What is beyond the budget is treated like anybody else's request.
    VOUCHED = "vouched", many: true, holds: [] {
        /// Unique; in records.
        name: Name, Must, "\"newsroom\"";
        /// `staff` of the organisation, a `partner`, or a `crawler` of a search engine.
        kind: Choice(&["staff", "partner", "crawler"]), Must, "\"partner\"";
        /// A file with one network or address a line; `#` begins a comment.
        file: File, Or("`networks` alone"), "\"newsroom.txt\"";
        /// Networks or addresses that it comes from, beside those of the file.
        networks: List(&Network), is("[]"), "[\"192.0.2.0/24\"]";
        /// SHA-256 of its API key, which it sends in the platform's `api_key_header`.
        api_key_sha256: Digest, Or("no key is asked for"),
            "\"2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\"";
        /// What its `User-Agent` contains. Anybody can claim that, so it never stands alone.
        agent: Token(Kept), Or("any"), "\"Googlebot\"";
        /// Its budget.
        rate: Rate, is("50/s"), "\"20/s\"";
        /// At most so many at once after a pause.
        burst: Count(1, 10_000_000), Or("the number in `rate`"), "100";
        /// At most so many under way.
        concurrency: Count(1, 10_000_000), is("50"), "20";
    }
}

section! {
    /// An organisation's web platform. There is at least one, unless only databases are guarded.
    PLATFORM = "platform", many: true, holds: [TRANSPORT HEALTH CONCURRENCY PLATFORM_WAF PLATFORM_DATA ROUTE] {
        /// Unique; in records and metrics.
        name: Name, Must, "\"public\"";
        /// Hosts that visitors ask for, each on one platform only. `*.example.org` is everything below
        /// `example.org`, not that name itself; an exact host goes before it.
        hosts: List(&Host), Must, "[\"example.org\", \"www.example.org\"]";
        /// Where requests go: `http`, `https`, `h2c` (HTTP/2 without TLS) or `h2` (with), host, perhaps a port.
        upstreams: List(&Upstream), Must, "[\"http://10.0.0.5:8080\"]";
        /// Whether the platform gets the visitor's `Host`; otherwise it gets the upstream's own.
        keep_host: Flag, is("true"), "false";
        /// The cookie that names a session, for rates with `key = "session"`.
        session_cookie: Token(Kept), Or("no rate by session"), "\"session\"";
        /// The header that carries an API key, for rates with `key = "api-key"`.
        api_key_header: Token(Lower), Or("no rate by API key"), "\"x-api-key\"";
        /// The response header in which the platform says whose an answer is: an account's number or name, for budgets with
        /// `who = "account"`. It never leaves the gate, and only a hash of it is kept.
        account_header: Token(Lower), Or("no budget by account, but for API keys"), "\"x-account\"";
        /// The response header in which the platform may say what a login or a payment came to: `done`, `failed` or
        /// `code-sent`. It never leaves the gate. Without it the status speaks: 401, 402, 403 and 422 are failures.
        outcome_header: Token(Lower), is("x-portcullis-outcome"), "\"x-outcome\"";
    }
}

section! {
    /// Timeouts and retries towards the upstreams of the platform above.
    TRANSPORT = "platform.transport", many: false, holds: [] {
        /// TCP and TLS together.
        connect_timeout: Quantity(Duration, 10 * MS, MINUTE), is("2s"), "\"2s\"";
        /// From the end of the request to the first byte of the response; a route may have its own.
        first_byte_timeout: Quantity(Duration, 100 * MS, HOUR), is("30s"), "\"30s\"";
        /// Silence while the body of the response is under way.
        idle_timeout: Quantity(Duration, 100 * MS, HOUR), is("60s"), "\"60s\"";
        /// Attempts beyond the first, for requests that are safe to send again.
        retries: Count(0, 5), is("1"), "1";
        /// Retries are at most this share of requests, over ten seconds.
        retry_budget: Quantity(Percent, 0, 100), is("10%"), "\"10%\"";
        /// An upstream that fails this often in a row is ejected.
        eject_after: Count(1, 1000), is("5"), "5";
        /// For how long; doubles with each ejection up to ten times this.
        eject_for: Quantity(Duration, 100 * MS, HOUR), is("10s"), "\"10s\"";
        /// Certificate authorities in PEM, for `https` and `h2` upstreams.
        upstream_ca: File, Or("the system's"), "\"ca.pem\"";
        /// The name that the certificates of `https` and `h2` upstreams must carry.
        upstream_name: ServerName, Or("each upstream's own host"), "\"internal.example.org\"";
    }
}

section! {
    /// An active check of each upstream: a GET that must answer 2xx or 3xx. Without it, only failures of real
    /// requests count.
    HEALTH = "platform.health", many: false, holds: [] {
        /// What is asked for.
        path: UrlPath, Must, "\"/health\"";
        /// Between two checks of one upstream.
        interval: Quantity(Duration, 100 * MS, HOUR), is("5s"), "\"5s\"";
        /// One check; not longer than `interval`.
        timeout: Quantity(Duration, 10 * MS, MINUTE), is("2s"), "\"2s\"";
        /// Failures in a row until an upstream is taken out.
        unhealthy_after: Count(1, 1000), is("3"), "3";
        /// Successes in a row until it is taken back.
        healthy_after: Count(1, 1000), is("2"), "2";
    }
}

section! {
    /// Requests at once, on this node.
    CONCURRENCY = "platform.concurrency", many: true, holds: [] {
        /// For the routes of this class; each class has at most one.
        class: Choice(&CLASSES), Or("for the whole platform"), "\"search\"";
        /// At most so many under way.
        limit: Count(1, 10_000_000), Must, "20";
        /// `observe` counts and records what would have happened, and does nothing else.
        mode: Choice(MODES), is("enforce"), "\"observe\"";
    }
}

section! {
    /// A set of paths with one purpose. The longest path that matches wins. Where no route is `/**`, one of class
    /// `page` is added.
    ROUTE = "platform.route", many: true, holds: [RATE BUDGET ROUTE_WAF ROUTE_DATA] {
        /// `/donate` is that path alone, `/donate/**` that path and everything below it. Paths are compared
        /// without regard to their spelling: escapes, dot segments and repeated slashes make no difference.
        path: Route, Must, "\"/donate/**\"";
        /// What the route is for.
        class: Choice(&CLASSES), is("page"), "\"payment\"";
        /// Methods that are taken; all where the list is empty.
        methods: List(&Token(Upper)), is("[]"), "[\"GET\", \"POST\"]";
        /// Largest request body.
        body_size: Quantity(Size, 0, 1024 * GIB), Or("`limits.body_bytes`"), "\"64KiB\"";
        /// How long the platform may think here.
        first_byte_timeout: Quantity(Duration, 100 * MS, HOUR), Or("`transport.first_byte_timeout`"), "\"5s\"";
        /// Whether WebSocket and other upgrades are carried.
        upgrade: Flag, is("false"), "true";
        /// Whether a navigation must pass a challenge: `auto` where a rule asks for it, `never`, or always first an `echo`
        /// (a cookie that comes back) or a `puzzle`.
        challenge: Choice(&CHALLENGES), is("auto"), "\"never\"";
    }
}

section! {
    /// Requests over time, per key, on the route above. A request must satisfy every rate of its route.
    RATE = "platform.route.rate", many: true, holds: [] {
        /// What is counted by: the client's address, its /24 or /56, the session, the API key. Where a request has no
        /// session or API key, its address stands in.
        key: Choice(&RATE_KEYS), Must, "\"address\"";
        /// Sustained requests.
        rate: Rate, Must, "\"300/min\"";
        /// At most so many at once after a pause.
        burst: Count(1, 10_000_000), Or("the number in `rate`"), "20";
        /// `observe` counts and records what would have happened, and does nothing else.
        mode: Choice(MODES), is("enforce"), "\"observe\"";
    }
}

section! {
    /// A PostgreSQL server that applications reach through the gate: session by session, bytes as they are.
    DATABASE = "database", many: true, holds: [DATABASE_GRANT DATABASE_BUDGET DATABASE_RECONCILE DATABASE_SCHEMA] {
        /// Unique; in records and metrics.
        name: Name, Must, "\"members\"";
        /// Where applications connect. Unique.
        listen: Socket, Must, "\"127.0.0.1:6432\"";
        /// The server: host and port.
        upstream: Server, Must, "\"10.0.0.7:5432\"";
        /// `observe` tells what would be refused, `enforce` refuses it.
        mode: Choice(MODES), is("observe"), "\"enforce\"";
        /// What happens to a statement when the gate's own parts fail on it: `open` lets it pass and tells so, `closed`
        /// refuses it.
        fail: Choice(&["open", "closed"]), is("open"), "\"closed\"";
        /// A certificate chain in PEM, leaf first, for TLS towards applications.
        cert: File, Or("no TLS towards applications"), "\"members-db.pem\"";
        /// Its private key.
        key: File, Or("no TLS towards applications"), "\"members-db.key\"";
        /// `same-certificate`: `cert` is the server's own, so that passwords stay bound to the connection (SCRAM channel
        /// binding), and the server must show it; an application
        /// without TLS is carried without TLS. `terminate`: it is another one, and clients that insist on channel binding
        /// fail.
        tls: Choice(&["same-certificate", "terminate"]), is("same-certificate"), "\"terminate\"";
        /// Whether applications that ask for no TLS are refused.
        require_tls: Flag, is("false"), "true";
        /// Whether the server is spoken to over TLS.
        upstream_tls: Flag, Or("`true` with the same certificate, `upstream_ca` or `upstream_name`, else `false`"), "true";
        /// Certificate authorities in PEM that the server's certificate is verified by.
        upstream_ca: File, Or("the system's"), "\"ca.pem\"";
        /// The name that the server's certificate must carry.
        upstream_name: ServerName, Or("the host in `upstream`"), "\"db.internal.example.org\"";
        /// Sessions at once. Beyond it: refused as the server does (`53300`).
        sessions: Count(1, 1_000_000), is("500"), "200";
        /// TCP and TLS towards the server.
        connect_timeout: Quantity(Duration, 10 * MS, MINUTE), is("5s"), "\"2s\"";
        /// A session in which nothing moves for so long is closed.
        idle_timeout: Quantity(Duration, 1000 * MS, 168 * HOUR), Or("sessions may rest for as long as they like"), "\"8h\"";
        /// Whether sessions may ask for replication, which carries everything past all budgets.
        replication: Flag, is("false"), "true";
        /// Functions that may be called by their object number, as old drivers do for large objects (`FunctionCall`).
        functions: List(&Count(1, 4_294_967_295)), is("[]"), "[957, 954]";
        /// The name under which a comment behind a statement carries the request's reference (sqlcommenter). The
        /// `application_name` is looked at too.
        request_id: Token(Kept), is("request_id"), "\"traceparent\"";
        /// Of the statements that ran, one in so many is written to the decision log; those of a known request always
        /// are. 1 all, 0 none.
        sample: Count(0, 1_000_000_000), is("0"), "1000";
        /// Where the gate keeps what it has learned of this database's statements (`portcullis pg`). A text for people, written
        /// whole each time; its directory must let the gate write.
        book: File, Or("what was learned is forgotten when the gate ends"), "\"/var/lib/portcullis/members.book\"";
        /// Relations whose rows are personal: `members` in any schema, or `public.members`. Results computed from one
        /// (aggregates, JSON, views that are named here) count as its rows.
        sensitive: List(&Token(Kept)), is("[]"), "[\"public.members\", \"donations\"]";
    }
}

section! {
    /// How many different members' records may leave by the route above, as `record` in `[data]` tells them.
    BUDGET = "platform.route.budget", many: true, holds: [] {
        /// To whom: the holder of one session (one address where there is none), one account, all that look alike on the
        /// wire, one /24 or /56, everybody together.
        who: Choice(&leaving::WHO), Must, "\"session\"";
        /// Over what time; never less, and at most a quarter more.
        over: Choice(&leaving::SPANS), Must, "\"hour\"";
        /// So many at most. `portcullis data` proposes a number from what was usual.
        records: Count(1, 100_000_000), Must, "200";
        /// `observe` counts and records what would have happened, and does nothing else.
        mode: Choice(MODES), is("enforce"), "\"observe\"";
    }
}

/// What may leave; `leaving.rs` has the keys, because three tables share them.
pub(crate) static DATA: Section = Section {
    path: "data",
    many: false,
    doc: "What may leave: personal data, secrets and canaries in what the platforms answer, read as it passes.",
    keys: LazyLock::new(leaving::keys),
    sections: &[],
};

pub(crate) static PLATFORM_DATA: Section = Section {
    path: "platform.data",
    many: false,
    doc: "What is different for the platform above.",
    keys: LazyLock::new(leaving::platform_keys),
    sections: &[],
};

pub(crate) static ROUTE_DATA: Section = Section {
    path: "platform.route.data",
    many: false,
    doc: "What is different for the route above.",
    keys: LazyLock::new(leaving::route_keys),
    sections: &[],
};

section! {
    /// Statements of a kind that is always refused, allowed to a role.
    DATABASE_GRANT = "database.grant", many: true, holds: [] {
        /// The role that sessions connect as; `*` is every role.
        role: Token(Kept), Must, "\"migrator\"";
        /// The kinds.
        kinds: List(&Choice(KINDS)), Must, "[\"drop\", \"truncate\"]";
    }
}

section! {
    /// How much may leave. A session that would go beyond it is ended.
    DATABASE_BUDGET = "database.budget", many: true, holds: [] {
        /// The role that sessions connect as; `*` is each role.
        role: Token(Kept), is("*"), "\"app\"";
        /// Of what: each `session`, the `role` as a whole, each `client` network, or one `relation`.
        per: Choice(&["session", "role", "client", "relation"]), is("role"), "\"session\"";
        /// The relation, as `sensitive` or a statement names it; needed for `per = "relation"`.
        relation: Token(Kept), Or("none"), "\"public.members\"";
        /// How long: any 60 seconds, 60 minutes or 24 hours.
        within: Choice(&["minute", "hour", "day"]), is("hour"), "\"day\"";
        /// Rows of results and of COPY.
        rows: Count(1, 1_000_000_000_000), Or("not bounded"), "5000";
        /// Their bytes.
        bytes: Quantity(Size, 1024, 1 << 50), Or("not bounded"), "\"10MiB\"";
        /// Different personal values recognised in sensitive rows (e-mail, telephone, postcode, NINO, NHS number, IBAN, card,
        /// account, CPR), per session: a result that puts a table into one row has many.
        values: Count(1, 1_000_000_000_000), Or("not bounded"), "2000";
    }
}

section! {
    /// The server's own books beside the gate's: who has a session that did not come through the gate, whom `pg_hba.conf` lets in
    /// beside it, how many rows were read that the gate has not seen, and which views show what is in `sensitive`. The gate asks
    /// over a connection of its own, and only reads.
    DATABASE_RECONCILE = "database.reconcile", many: false, holds: [] {
        /// The role that the gate asks as. It needs to log in and to be a member of `pg_monitor`; to read `pg_hba.conf` it must be
        /// allowed to call `pg_hba_file_rules()`. What it may not read is told as not checked.
        role: Token(Kept), Must, "\"portcullis\"";
        /// A file with its password, and nothing else in it. Read at each look.
        password_file: File, Or("no password"), "\"/etc/portcullis/members-db.password\"";
        /// The database inside the server that it connects to: the one that the applications use, whose catalogue says what
        /// shows sensitive rows.
        inside: Token(Kept), Must, "\"members\"";
        /// How often. What is beside the gate is told within it.
        interval: Quantity(Duration, 1000 * MS, HOUR), is("1m"), "\"30s\"";
        /// Sessions that need not come through the gate, and lines of `pg_hba.conf` for them: `role@local` over the server's socket
        /// file, `role@address` or `role@network`; the role `*` is every role.
        known: List(&Whence), is("[]"), "[\"postgres@local\", \"backup@10.0.0.9\"]";
    }
}

section! {
    /// The schema of the database above, hashed object by object from the server's own catalogue: relations, functions, triggers,
    /// policies, roles, grants, extensions. What changes is told. What is there at first is taken as it is.
    DATABASE_SCHEMA = "database.schema", many: false, holds: [] {
        /// The role that the gate asks as. It needs to log in, and nothing more.
        role: Token(Kept), Must, "\"portcullis\"";
        /// A file with its password, and nothing else in it.
        password_file: File, Or("no password"), "\"/etc/portcullis/members-db.password\"";
        /// The database inside the server.
        inside: Token(Kept), Must, "\"members\"";
        /// How often.
        interval: Quantity(Duration, 1000 * MS, 24 * HOUR), is("1m"), "\"5m\"";
    }
}

/// Kinds of statements that are always refused unless granted. `portcullis_pgguard` has the same list; the gate's tests compare them.
pub const KINDS: &[&str] = &[
    "do",
    "copy-program",
    "copy-file",
    "server-file",
    "large-object",
    "dblink",
    "foreign-data",
    "text-as-sql",
    "alter-system",
    "load",
    "extension",
    "language",
    "routine",
    "set-role",
    "session-authorization",
    "rights",
    "drop",
    "truncate",
    "update-all",
    "delete-all",
    "administration",
    "lexing",
];

/// What messages are inspected for; `inspection.rs` has the keys, because three tables share them.
pub(crate) static WAF: Section = Section {
    path: "waf",
    many: false,
    doc: "What requests and responses are inspected for: the gate's own detection, which is on from the first day and needs no \
          rules, and rule sets beside it.",
    keys: LazyLock::new(inspection::keys),
    sections: &[],
};

pub(crate) static PLATFORM_WAF: Section = Section {
    path: "platform.waf",
    many: false,
    doc: "What is different for the platform above.",
    keys: LazyLock::new(inspection::platform_keys),
    sections: &[],
};

pub(crate) static ROUTE_WAF: Section = Section {
    path: "platform.route.waf",
    many: false,
    doc: "What is different for the route above.",
    keys: LazyLock::new(inspection::route_keys),
    sections: &[],
};

/// The bounds of the data plane; `portcullis-types` declares them.
pub(crate) static LIMITS: Section = Section {
    path: "limits",
    many: false,
    doc: "What an attacker can grow, and how far. Each says what happens beyond it.",
    keys: LazyLock::new(|| Limits::ALL.iter().map(limit).collect()),
    sections: &[],
};

fn limit(bounds: &portcullis_types::Bounds) -> Key {
    let kind = match bounds.unit {
        Unit::Duration => Quantity(Duration, bounds.min, bounds.max),
        Unit::Size => Quantity(Size, bounds.min, bounds.max),
        Unit::Throughput => Quantity(Throughput, bounds.min, bounds.max),
        Unit::Count => Count(bounds.min, bounds.max),
    };
    let default = match kind {
        Quantity(dimension, ..) => dimension.print(bounds.default),
        _ => bounds.default.to_string(),
    };
    let example = if matches!(kind, Count(..)) { default.clone() } else { format!("\"{default}\"") };
    Key { name: bounds.name, kind, default: Fallback::Is(default), example, doc: bounds.doc }
}

pub(crate) fn is(default: &str) -> Fallback {
    Fallback::Is(default.to_owned())
}

const MODES: &[&str] = &["enforce", "observe"];

const CHALLENGES: [&str; ChallengeMode::ALL.len()] = {
    let mut names = [""; ChallengeMode::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = ChallengeMode::ALL[at].name();
        at += 1;
    }
    names
};

const CLASSES: [&str; RouteClass::ALL.len()] = {
    let mut names = [""; RouteClass::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = RouteClass::ALL[at].name();
        at += 1;
    }
    names
};

const RATE_KEYS: [&str; RateKey::ALL.len()] = {
    let mut names = [""; RateKey::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = RateKey::ALL[at].name();
        at += 1;
    }
    names
};

const MS: u64 = 1_000_000;
const MINUTE: u64 = 60_000 * MS;
const HOUR: u64 = 60 * MINUTE;
const KIB: u64 = 1024;
pub(crate) const GIB: u64 = KIB * KIB * KIB;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Value;

    fn walk(section: &'static Section, visit: &mut impl FnMut(&Section, &Key)) {
        section.keys.iter().for_each(|key| visit(section, key));
        section.sections.iter().for_each(|inner| walk(inner, visit));
    }

    #[test]
    fn every_default_and_every_example_is_what_its_kind_takes() {
        walk(&ROOT, &mut |section, key| {
            let place = format!("{}.{}", section.path, key.name);
            assert!(key.doc.ends_with('.'), "{place}");
            if let Fallback::Is(default) = &key.default {
                let value = key.kind.parse(default).unwrap_or_else(|why| panic!("default of {place}: {why:?}"));
                if let (Count(least, most), Value::Number(number)) = (key.kind, &value) {
                    assert!((least..=most).contains(number), "default of {place}");
                }
            }
            let mut problems = crate::problem::Problems::default();
            let example = toml::de::DeValue::parse(&key.example).unwrap_or_else(|why| panic!("{place}: {why}"));
            let value = key.kind.read(key.name, &example, &mut problems);
            assert!(problems.0.is_empty() && value.is_some(), "example of {place}: {problems:?}");
        });
    }
}
