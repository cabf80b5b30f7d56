//! The configuration in force, as TOML with every default filled in. Loading it gives the same policy again.
//!
//! Keys and certificates are named by their files and never printed.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use portcullis_types::{Limits, Prefix};

use crate::alerts::{shown_offset, shown_quiet};
use crate::evidence::CLASSES;
use crate::inspection::{Beyond, Inspection, shown};
use crate::integrity::Integrity;
use crate::kind::{Url, Value};
use crate::leaving::{self, Leaving};
use crate::platform::per_second;
use crate::policy::{
    BudgetPer, Certificate, Database, DatabaseTls, ForwardedHeader, Listener, Platform, Policy, Route, TlsVersion,
    Upstream,
};
use crate::schema::{self, Fallback, Section};
use crate::units::Dimension;

/// Writes `policy` as TOML, in the order of the reference; what equals a default is marked `# default`.
#[must_use]
pub fn show(policy: &Policy) -> String {
    let mut out = String::new();
    let Policy {
        server,
        admin,
        console,
        listeners,
        certificates,
        trusted,
        limits,
        log,
        defence,
        evidence,
        organisation,
        copies,
        alerts,
        status,
        geography,
        waf,
        data,
        integrity,
        lists,
        vouched,
        platforms,
        databases,
    } = policy;
    table(&mut out, &schema::SERVER, |key| match key {
        "workers" => number(server.workers),
        "control" => path(&server.control),
        "drain" => duration(server.drain),
        _ => text(&server.name),
    });
    table(&mut out, &schema::ADMIN, |_| socket(admin.listen));
    if let Some(console) = console {
        table(&mut out, &schema::CONSOLE, |key| match key {
            "listen" => socket(console.listen),
            "tls" => flag(console.tls.is_some()),
            "url" => text(&console.url),
            "approvals" => list(&console.approvals, |act| Value::Text(act.clone())),
            _ => path(&console.directory),
        });
        if let Some(oidc) = &console.oidc {
            table(&mut out, &schema::OIDC, |key| match key {
                "issuer" => text(&oidc.issuer),
                "client_id" => text(&oidc.client_id),
                "secret_file" => path(&oidc.secret_file),
                "name" => text(&oidc.name),
                "name_claim" => text(&oidc.name_claim),
                "role_claim" => text(&oidc.role_claim),
                "ca" => oidc.ca.as_deref().and_then(path),
                "scopes" => words(&oidc.scopes),
                "viewer" => words(&oidc.viewer),
                "operator" => words(&oidc.operator),
                "owner" => words(&oidc.owner),
                _ => words(&oidc.domains),
            });
        }
    }
    listeners.iter().for_each(|listener| show_listener(&mut out, listener));
    for Certificate { cert, key: private, .. } in certificates {
        table(&mut out, &schema::CERTIFICATE, |key| path(if key == "cert" { cert } else { private }));
    }
    table(&mut out, &schema::TRUSTED_PROXIES, |key| match (key, trusted.header) {
        ("networks", _) => networks(&trusted.networks),
        (_, ForwardedHeader::XForwardedFor) => text("x-forwarded-for"),
        (_, ForwardedHeader::Forwarded) => text("forwarded"),
    });
    table(&mut out, &schema::LIMITS, |key| {
        Limits::ALL.iter().find(|bounds| bounds.name == key).map(|bounds| Value::Number((bounds.get)(limits)))
    });
    table(&mut out, &schema::LOG, |key| match key {
        "path" => log.path.as_deref().and_then(path),
        "file_size" => number(log.file_bytes),
        "files" => number(log.files),
        _ => number(log.sample),
    });
    table(&mut out, &schema::DEFENCE, |key| match key {
        "mode" => text(defence.mode.name()),
        "rules" => flag(defence.rules),
        "challenges" => flag(defence.challenges),
        "admission" => flag(defence.admission),
        "waiting_room" => flag(defence.waiting_room),
        _ => defence.state.as_deref().and_then(path),
    });
    table(&mut out, &schema::EVIDENCE, |key| match key {
        "keep" => flag(evidence.directory.is_some() || !evidence.declared),
        "directory" => evidence.directory.as_deref().filter(|_| evidence.declared).and_then(path),
        "requests" => number(evidence.request_days),
        "requests_size" => number(evidence.request_bytes),
        "seconds" => number(evidence.second_days),
        "calm" => duration(evidence.calm),
        "quorum" => number(evidence.quorum),
        class => CLASSES.iter().zip(evidence.days).find(|(name, _)| **name == class).and_then(|(_, days)| number(days)),
    });
    for witness in &evidence.witnesses {
        table(&mut out, &schema::WITNESS, |key| text(if key == "key" { &witness.key } else { &witness.url }));
    }
    for stamp in &evidence.stamps {
        table(&mut out, &schema::STAMP, |key| match key {
            "name" => text(&stamp.name),
            "url" => text(&stamp.url),
            "path" => text(&stamp.path),
            _ => duration(stamp.every),
        });
    }
    let said = |words: &str| if words.is_empty() { None } else { text(words) };
    table(&mut out, &schema::ORGANISATION, |key| match key {
        "name" => said(&organisation.name),
        "sector" => said(&organisation.sector),
        "language" => text(&organisation.language),
        _ => said(&organisation.page),
    });
    for contact in &organisation.contacts {
        table(&mut out, &schema::CONTACT, |key| match key {
            "name" => text(&contact.name),
            "role" => text(&contact.role),
            "email" => said(&contact.email),
            _ => said(&contact.phone),
        });
    }
    for copy in copies {
        table(&mut out, &schema::COPIES, |key| match key {
            "name" => text(&copy.name),
            "what" => text(&copy.what),
            "holder" => said(&copy.holder),
            "categories" => list(&copy.categories, |category| Value::Text(category.clone())),
            _ => number(copy.people),
        });
        for path in &copy.paths {
            table(&mut out, &schema::COPY_PATH, |key| match key {
                "name" => text(&path.name),
                "words" => said(&path.words),
                "custody" => text(&path.custody),
                _ => list(&path.sensors, |sensor| Value::Text(sensor.clone())),
            });
        }
    }
    for alert in alerts {
        table(&mut out, &schema::ALERT, |key| match key {
            "name" => text(&alert.name),
            "kind" => text(&alert.kind),
            "url" => said(&alert.url),
            "server" if alert.server.0.is_empty() => None,
            "server" => text(&format!("{}:{}", alert.server.0, alert.server.1)),
            "security" => text(&alert.security),
            "user" => said(&alert.user),
            "secret_file" => alert.secret_file.as_deref().and_then(path),
            "from" => said(&alert.from),
            "to" => list(&alert.to, |to| Value::Text(to.clone())),
            "min" => text(&alert.min),
            "quiet" => alert.quiet.and_then(|span| text(&shown_quiet(span))),
            "offset" => text(&shown_offset(alert.offset)),
            "group" => duration(alert.group),
            "next" => alert.next.and_then(|next| alerts.get(next)).and_then(|next| text(&next.name)),
            "after" => duration(alert.after),
            _ => alert.ca.as_deref().and_then(path),
        });
    }
    if let Some(status) = status {
        table(&mut out, &schema::STATUS, |key| match key {
            "directory" => path(&status.directory),
            _ => status.hook.as_deref().and_then(path),
        });
    }
    if let Some(file) = geography {
        table(&mut out, &schema::GEOGRAPHY, |_| path(file));
    }
    table(&mut out, &schema::WAF, |key| match key {
        "rules" => list(&waf.patterns, |pattern| Value::Text(pattern.to_string_lossy().into_owned())),
        "steps" => number(waf.steps),
        "fail" => text(if waf.fail == Beyond::Refuse { "closed" } else { "open" }),
        _ => shown(key, &waf.inspection, None),
    });
    table(&mut out, &schema::DATA, |key| match (key, &data.canaries) {
        ("canaries", Some(canaries)) => path(&canaries.registry),
        ("canary_key", Some(canaries)) => path(&canaries.key),
        ("canary_action", Some(canaries)) => text(if canaries.observed { "observe" } else { "block" }),
        _ => leaving::shown(key, &data.leaving),
    });
    show_integrity(&mut out, integrity);
    show_beyond_files(&mut out, integrity);
    for list in lists {
        table(&mut out, &schema::LIST, |key| match key {
            "name" => text(&list.name),
            "action" => text(list.action.name()),
            "mode" => text(list.mode.name()),
            "file" => list.file.as_deref().and_then(path),
            _ => networks(&list.declared),
        });
    }
    for vouched in vouched {
        table(&mut out, &schema::VOUCHED, |key| match key {
            "name" => text(&vouched.name),
            "kind" => text(vouched.kind.name()),
            "file" => vouched.file.as_deref().and_then(path),
            "networks" => networks(&vouched.declared),
            "api_key_sha256" => vouched.api_key_sha256.as_ref().and_then(|digest| text(&hexadecimal(digest))),
            "agent" => vouched.agent.as_deref().and_then(text),
            "rate" => Some(over_time(vouched.per_second)),
            "burst" => number(vouched.burst),
            _ => number(vouched.concurrency),
        });
    }
    platforms.iter().for_each(|platform| show_platform(&mut out, platform, &waf.inspection, &data.leaving));
    databases.iter().for_each(|database| show_database(&mut out, database));
    out
}

fn show_integrity(out: &mut String, integrity: &Integrity) {
    let texts = |texts: &[String]| list(texts, |text| Value::Text(text.clone()));
    table(out, &schema::INTEGRITY, |key| match key {
        "state" => integrity.state.as_deref().and_then(path),
        "deploys" => integrity.deploys.as_deref().and_then(path),
        "keys" => texts(&integrity.keys),
        // More than there are keys would be an error.
        "signatures" => number(integrity.signatures).filter(|_| !integrity.keys.is_empty()),
        "window" => duration(integrity.window),
        _ => duration(integrity.drill),
    });
    for files in &integrity.files {
        table(out, &schema::INTEGRITY_FILES, |key| match key {
            "name" => text(&files.name),
            "platform" => text(&files.platform),
            "directory" => path(&files.directory),
            "ignore" => texts(&files.ignore),
            "sweep" => duration(files.sweep),
            "rate" => number(files.rate),
            _ => files.probe.as_deref().and_then(text),
        });
    }
}

fn show_beyond_files(out: &mut String, integrity: &Integrity) {
    for outside in &integrity.outside {
        table(out, &schema::INTEGRITY_OUTSIDE, |key| match key {
            "name" => text(&outside.name),
            "platform" => text(&outside.platform),
            "at" => text(&outside.text),
            "connect" => outside.connect.and_then(socket),
            "ca" => outside.ca.as_deref().and_then(path),
            "paths" => list(&outside.paths, |path| Value::Text(path.clone())),
            "interval" => duration(outside.interval),
            _ => duration(outside.timeout),
        });
    }
    for origin in &integrity.origins {
        table(out, &schema::INTEGRITY_ORIGIN, |key| match key {
            "platform" => text(&origin.platform),
            "addresses" => list(&origin.addresses, |address| Value::Text(address.text.clone())),
            "namespace" => origin.namespace.as_deref().and_then(path),
            "from" => origin.from.map(|from| Value::Network(Prefix::new(from, if from.is_ipv4() { 32 } else { 128 }))),
            _ => duration(origin.interval),
        });
    }
    for bait in &integrity.baits {
        let (kind, name) = bait.way.split_once('/').unwrap_or_default();
        table(out, &schema::INTEGRITY_CANARY, |key| match key {
            "platform" => text(name).filter(|_| kind == "http"),
            "page" => bait.page.as_deref().and_then(text),
            "database" => text(name).filter(|_| kind == "database"),
            "role" => text(&bait.role).filter(|_| kind == "database"),
            "password_file" => bait.password_file.as_deref().and_then(path),
            "inside" => text(&bait.inside).filter(|_| kind == "database"),
            _ => text(&bait.statement).filter(|_| kind == "database"),
        });
    }
    for browsers in &integrity.browsers {
        table(out, &schema::INTEGRITY_BROWSERS, |key| match key {
            "platform" => text(&browsers.platform),
            "announce" => flag(browsers.announce),
            "policy" => list(&browsers.policy, |directive| Value::Text(directive.clone())),
            _ => flag(browsers.integrity_policy),
        });
    }
    for names in &integrity.names {
        table(out, &schema::INTEGRITY_NAMES, |key| match key {
            "names" => list(&names.names, |name| Value::Text(name.clone())),
            "resolver" => names.resolver.and_then(socket),
            _ => duration(names.interval),
        });
    }
}

fn show_database(out: &mut String, database: &Database) {
    let upstream = match &database.tls {
        DatabaseTls::Same(_) => None,
        DatabaseTls::Own { upstream, .. } => upstream.as_ref(),
    };
    let host = database.upstream.host.trim_matches(['[', ']']);
    table(out, &schema::DATABASE, |key| match key {
        "name" => text(&database.name),
        "listen" => socket(database.bind),
        "upstream" => text(&database.upstream.text),
        "mode" => text(database.mode.name()),
        "fail" => text(if database.fail == Beyond::Refuse { "closed" } else { "open" }),
        "cert" => database.tls.certificate().and_then(|certificate| path(&certificate.cert)),
        "key" => database.tls.certificate().and_then(|certificate| path(&certificate.key)),
        "tls" => match &database.tls {
            DatabaseTls::Same(_) => text("same-certificate"),
            // Without a certificate it has no effect, and declaring it would be a warning.
            DatabaseTls::Own { certificate, .. } => certificate.as_ref().and_then(|_| text("terminate")),
        },
        "require_tls" => flag(database.require_tls),
        "upstream_tls" => flag(matches!(database.tls, DatabaseTls::Same(_)) || upstream.is_some()),
        "upstream_ca" => upstream.and_then(|tls| tls.ca.as_deref()).and_then(path),
        "upstream_name" => upstream.filter(|tls| tls.server_name != host).and_then(|tls| text(&tls.server_name)),
        "sessions" => number(database.sessions),
        "connect_timeout" => duration(database.connect_timeout),
        "idle_timeout" => database.idle_timeout.and_then(duration),
        "replication" => flag(database.replication),
        "functions" => list(&database.functions, |function| Value::Number(u64::from(*function))),
        "request_id" => text(&database.request_id),
        "sample" => number(database.sample),
        "book" => database.book.as_deref().and_then(path),
        _ => list(&database.sensitive, |name| Value::Text(name.clone())),
    });
    for (role, kind) in &database.grants {
        table(out, &schema::DATABASE_GRANT, |key| match key {
            "role" => text(role),
            _ => list(std::slice::from_ref(kind), |kind| Value::Text(kind.clone())),
        });
    }
    for budget in &database.budgets {
        table(out, &schema::DATABASE_BUDGET, |key| match key {
            "role" => text(&budget.role),
            "per" => text(budget.per.name()),
            "relation" => {
                if let BudgetPer::Relation(relation) = &budget.per {
                    text(relation)
                } else {
                    None
                }
            }
            "within" => text(budget.within.name()),
            "rows" => budget.rows.and_then(number),
            "bytes" => budget.bytes.and_then(number),
            _ => budget.values.and_then(number),
        });
    }
    if let Some(schema) = &database.schema {
        table(out, &schema::DATABASE_SCHEMA, |key| match key {
            "role" => text(&schema.role),
            "password_file" => schema.password_file.as_deref().and_then(path),
            "inside" => text(&schema.inside),
            _ => duration(schema.interval),
        });
    }
    if let Some(reconcile) = &database.reconcile {
        table(out, &schema::DATABASE_RECONCILE, |key| match key {
            "role" => text(&reconcile.role),
            "password_file" => reconcile.password_file.as_deref().and_then(path),
            "inside" => text(&reconcile.inside),
            "interval" => duration(reconcile.interval),
            _ => list(&reconcile.known, |known| Value::Text(known.text.clone())),
        });
    }
}

fn show_listener(out: &mut String, listener: &Listener) {
    table(out, &schema::LISTENER, |key| match key {
        "name" => text(&listener.name),
        "bind" => socket(listener.bind),
        "tls" => flag(listener.tls),
        // Without TLS it has no effect, and declaring it would be a warning.
        "tls_min" if !listener.tls => None,
        "tls_min" => text(if listener.tls_min == TlsVersion::Tls13 { "1.3" } else { "1.2" }),
        "http2" => flag(listener.http2),
        "proxy_protocol" => flag(listener.proxy_protocol),
        _ => listener.redirect_to_https.and_then(number),
    });
}

fn show_platform(out: &mut String, platform: &Platform, outer: &Inspection, most: &Leaving) {
    let Platform { transport, upstreams, .. } = platform;
    table(out, &schema::PLATFORM, |key| match key {
        "name" => text(&platform.name),
        "hosts" => list(&platform.hosts, |host| Value::Text(host.clone())),
        "upstreams" => list(upstreams, upstream),
        "keep_host" => flag(platform.keep_host),
        "session_cookie" => platform.session_cookie.as_deref().and_then(text),
        "api_key_header" => platform.api_key_header.as_deref().and_then(text),
        "account_header" => platform.account_header.as_deref().and_then(text),
        _ => text(&platform.outcome_header),
    });
    let tls = upstreams.iter().filter_map(|upstream| Some((upstream, upstream.tls.as_ref()?)));
    let named = tls.clone().find(|(upstream, tls)| tls.server_name != upstream.host.trim_matches(['[', ']']));
    table(out, &schema::TRANSPORT, |key| match key {
        "connect_timeout" => duration(transport.connect_timeout),
        "first_byte_timeout" => duration(transport.first_byte_timeout),
        "idle_timeout" => duration(transport.idle_timeout),
        "retries" => number(transport.retries),
        "retry_budget" => number(transport.retry_budget_percent),
        "eject_after" => number(transport.eject_after),
        "eject_for" => duration(transport.eject_for),
        "upstream_ca" => tls.clone().find_map(|(_, tls)| tls.ca.as_deref()).and_then(path),
        _ => named.and_then(|(_, tls)| text(&tls.server_name)),
    });
    if let Some(health) = &platform.health {
        table(out, &schema::HEALTH, |key| match key {
            "path" => text(&health.path),
            "interval" => duration(health.interval),
            "timeout" => duration(health.timeout),
            "unhealthy_after" => number(health.unhealthy_after),
            _ => number(health.healthy_after),
        });
    }
    for concurrency in &platform.concurrency {
        table(out, &schema::CONCURRENCY, |key| match key {
            "class" => concurrency.class.and_then(|class| text(class.name())),
            "limit" => number(concurrency.limit),
            _ => text(concurrency.mode.name()),
        });
    }
    show_inspection(out, &schema::PLATFORM_WAF, &platform.inspection, outer);
    show_leaving(out, &schema::PLATFORM_DATA, &platform.leaving, most);
    platform.routes.iter().for_each(|route| show_route(out, route, platform));
}

fn show_route(out: &mut String, route: &Route, platform: &Platform) {
    table(out, &schema::ROUTE, |key| match key {
        "path" => Some(Value::Route(route.path.clone())),
        "class" => text(route.class.name()),
        "methods" => list(&route.methods, |method| Value::Text(method.clone())),
        "body_size" => number(route.body_bytes),
        "first_byte_timeout" => duration(route.first_byte_timeout),
        "upgrade" => flag(route.upgrade),
        _ => text(route.challenge.name()),
    });
    for rate in &route.rates {
        table(out, &schema::RATE, |key| match key {
            "key" => text(rate.key.name()),
            "rate" => Some(over_time(rate.per_second)),
            "burst" => number(rate.burst),
            _ => text(rate.mode.name()),
        });
    }
    for budget in &route.budgets {
        table(out, &schema::BUDGET, |key| match key {
            "who" => text(budget.who.name()),
            "over" => text(budget.span.name()),
            "records" => number(budget.records),
            _ => text(budget.mode.name()),
        });
    }
    show_inspection(out, &schema::ROUTE_WAF, &route.inspection, &platform.inspection);
    show_leaving(out, &schema::ROUTE_DATA, &route.leaving, &platform.leaving);
}

fn show_leaving(out: &mut String, section: &Section, own: &Leaving, outer: &Leaving) {
    if own != outer {
        table(out, section, |key| leaving::shown(key, own));
    }
}

/// A table that says what is different from the one around it, and nothing where nothing is.
fn show_inspection(out: &mut String, section: &Section, own: &Inspection, outer: &Inspection) {
    if own != outer {
        table(out, section, |key| shown(key, own, Some(outer)));
    }
}

/// One table, its keys in the order of the schema; `None` leaves a key out.
fn table(out: &mut String, section: &Section, value: impl Fn(&str) -> Option<Value>) {
    let gap = if out.is_empty() { "" } else { "\n" };
    let _ = writeln!(out, "{gap}{}", section.header());
    for key in section.keys.iter() {
        let Some(value) = value(key.name) else { continue };
        let line = format!("{} = {}", key.name, key.kind.print(&value));
        let default = matches!(&key.default, Fallback::Is(text) if key.kind.parse(text).as_ref() == Ok(&value));
        let _ = if default { writeln!(out, "{line:<40} # default") } else { writeln!(out, "{line}") };
    }
}

/// The rate in the unit that gives a whole number again.
fn over_time(rate: f64) -> Value {
    let whole = |seconds: u64| {
        #[expect(clippy::cast_precision_loss, reason = "3600 at most")]
        let count = (rate * seconds as f64).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is compared below")]
        let count = count as u64;
        (count > 0 && per_second(count, seconds).to_bits() == rate.to_bits()).then_some((count, seconds))
    };
    let (count, seconds) = Dimension::Rate.units().iter().find_map(|(_, weight)| whole(*weight)).unwrap_or((1, 1));
    Value::Rate { count, seconds }
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

fn upstream(upstream: &Upstream) -> Value {
    let Upstream { url, host, port, http2, .. } = upstream.clone();
    Value::Upstream(Url { text: url, host, port, tls: upstream.tls.is_some(), http2 })
}

fn list<T>(items: &[T], value: impl Fn(&T) -> Value) -> Option<Value> {
    Some(Value::List(items.iter().map(|item| (0..0, value(item))).collect()))
}

fn words(all: &[String]) -> Option<Value> {
    list(all, |one| Value::Text(one.clone()))
}

fn networks(prefixes: &[Prefix]) -> Option<Value> {
    list(prefixes, |prefix| Value::Network(*prefix))
}

fn number<N: TryInto<u64>>(number: N) -> Option<Value> {
    number.try_into().ok().map(Value::Number)
}

fn duration(duration: Duration) -> Option<Value> {
    number(duration.as_nanos())
}

#[expect(clippy::unnecessary_wraps, reason = "the closures above give options")]
fn text(text: &str) -> Option<Value> {
    Some(Value::Text(text.to_owned()))
}

#[expect(clippy::unnecessary_wraps, reason = "the closures above give options")]
fn flag(flag: bool) -> Option<Value> {
    Some(Value::Flag(flag))
}

#[expect(clippy::unnecessary_wraps, reason = "the closures above give options")]
fn socket(socket: SocketAddr) -> Option<Value> {
    Some(Value::Socket(socket))
}

fn path(path: &Path) -> Option<Value> {
    text(&path.to_string_lossy())
}
