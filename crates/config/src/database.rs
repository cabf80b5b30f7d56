//! The part of `check.rs` that makes databases: where the application connects, where the server is, TLS on both sides.
//!
//! It never connects to a server; it only asks for the addresses of its name.

use std::ops::Range;

use portcullis_types::{Mode, Prefix, Span};

use crate::check::{Check, Claims};
use crate::draft::Draft;
use crate::inspection::Beyond;
use crate::kind::{Url, Value};
use crate::policy::{
    Admin, BudgetPer, Certificate, Database, DatabaseBudget, DatabaseServer, DatabaseTls, KnownSession, Listener,
    Reconcile, UpstreamTls,
};

impl Check<'_> {
    pub(crate) fn databases(&mut self, root: &Draft, listeners: &[Listener], admin: &Admin) -> Vec<Database> {
        let (mut names, mut binds, mut databases) = (Claims::new(), Claims::new(), Vec::new());
        for draft in root.tables("database") {
            self.name(draft, "database", &mut names);
            let (at, bind) = (draft.at("listen"), draft.socket("listen"));
            if draft.given("listen") && bind.port() != 0 {
                let message = format!("two databases are reached at {bind}");
                self.once("duplicate-bind", &mut binds, bind, at, message, "first reached here");
                let taken = listeners.iter().find(|listener| listener.bind == bind).map(|listener| &listener.name);
                if let Some(name) = taken {
                    self.problems.error("duplicate-bind", at, format!("the listener `{name}` is bound to {bind}"));
                } else if bind == admin.listen {
                    self.problems.error("admin-port-taken", at, format!("the admin listener holds {bind} already"));
                }
            }
            let Some(Value::Upstream(url)) = draft.value("upstream") else { continue };
            let url = url.clone();
            let addresses = self.database_addresses(&url, bind, draft.at("upstream"));
            let certificate = self.database_certificate(draft);
            databases.push(Database {
                name: draft.string("name"),
                bind,
                tls: self.database_tls(draft, &url, certificate),
                upstream: DatabaseServer { text: url.text, host: url.host, port: url.port, addresses },
                require_tls: draft.flag("require_tls").unwrap_or_default(),
                mode: if draft.text("mode") == Some("enforce") { Mode::Enforce } else { Mode::Observe },
                fail: if draft.text("fail") == Some("closed") { Beyond::Refuse } else { Beyond::Pass },
                sessions: draft.count("sessions"),
                connect_timeout: draft.duration("connect_timeout").unwrap_or_default(),
                idle_timeout: draft.duration("idle_timeout"),
                replication: draft.flag("replication").unwrap_or_default(),
                functions: draft.list("functions", number).into_iter().map(|(_, function)| function).collect(),
                request_id: draft.string("request_id"),
                sample: draft.count("sample"),
                book: self.path(draft, "book"),
                sensitive: draft.list("sensitive", Value::text).into_iter().map(|(_, name)| name.to_owned()).collect(),
                grants: grants(draft),
                budgets: self.database_budgets(draft),
                reconcile: draft.tables("reconcile").first().map(|draft| self.reconcile(draft)),
                schema: draft.tables("schema").first().map(|draft| self.schema(draft)),
            });
        }
        databases
    }

    fn database_budgets(&mut self, database: &Draft) -> Vec<DatabaseBudget> {
        let mut budgets = Vec::new();
        for draft in database.tables("budget") {
            let (rows, bytes, values) = (draft.number("rows"), draft.number("bytes"), draft.number("values"));
            if !["rows", "bytes", "values"].iter().any(|key| draft.given(key)) {
                let message = "a budget bounds `rows`, `bytes` or `values`";
                self.problems.error("budget-of-nothing", &draft.span, message);
            }
            let per = match (draft.text("per"), draft.text("relation")) {
                (Some("relation"), Some(relation)) => BudgetPer::Relation(relation.to_owned()),
                (Some("relation"), None) => {
                    let message = "a budget of a relation needs `relation`";
                    self.problems.error("budget-without-relation", draft.at("per"), message);
                    continue;
                }
                (per, relation) => {
                    if relation.is_some() {
                        let message = "`relation` has no effect without per = \"relation\"";
                        self.problems.warning("budget-relation-unused", draft.at("relation"), message);
                    }
                    match per {
                        Some("session") => BudgetPer::Session,
                        Some("client") => BudgetPer::Client,
                        _ => BudgetPer::Role,
                    }
                }
            };
            let within = draft.text("within").and_then(Span::from_name).unwrap_or(Span::Hour);
            budgets.push(DatabaseBudget { role: draft.string("role"), per, within, rows, bytes, values });
        }
        budgets
    }

    fn reconcile(&self, draft: &Draft) -> Reconcile {
        let known = draft.list("known", Value::text);
        Reconcile {
            role: draft.string("role"),
            password_file: self.path(draft, "password_file"),
            inside: draft.string("inside"),
            interval: draft.duration("interval").unwrap_or_default(),
            known: known.into_iter().filter_map(|(_, text)| known_session(text).ok()).collect(),
        }
    }

    fn database_certificate(&mut self, draft: &Draft) -> Option<Certificate> {
        let (cert, key) = (draft.given("cert"), draft.given("key"));
        if cert != key {
            let (there, missing) = if cert { ("cert", "key") } else { ("key", "cert") };
            let message = format!("`{there}` needs `{missing}` beside it");
            self.problems.error("certificate-in-halves", draft.at(there), message);
            return None;
        }
        if !cert && draft.flag("require_tls") == Some(true) {
            let message = "TLS cannot be required: there is no certificate to speak it with";
            self.problems
                .error("tls-without-certificate", draft.at("require_tls"), message)
                .hint("add `cert` and `key`");
        }
        if cert { self.certificate(draft) } else { None }
    }

    /// TLS on both sides. With the database's own certificate the server must show that very certificate.
    fn database_tls(&mut self, draft: &Draft, url: &Url, certificate: Option<Certificate>) -> DatabaseTls {
        let ca = self.file(draft, "upstream_ca", "upstream-ca-unreadable");
        let encrypted = draft.flag("upstream_tls");
        let server_name = draft.text("upstream_name").unwrap_or_else(|| url.bare_host()).to_owned();
        match certificate {
            Some(certificate) if draft.text("tls") != Some("terminate") => {
                if encrypted == Some(false) {
                    let message = "with the database's own certificate the server is spoken to over TLS";
                    self.problems
                        .error("database-tls", draft.at("upstream_tls"), message)
                        .hint("leave it out, or set tls = \"terminate\"");
                }
                for key in ["upstream_ca", "upstream_name"].into_iter().filter(|key| draft.given(key)) {
                    let message = format!("`{key}` has no effect: the server must show the certificate in `cert`");
                    self.problems.warning("upstream-tls-unused", draft.at(key), message);
                }
                DatabaseTls::Same(certificate)
            }
            certificate => {
                if certificate.is_none() && draft.given("tls") {
                    let message = "`tls` has no effect without a certificate";
                    self.problems
                        .warning("tls-without-certificate", draft.at("tls"), message)
                        .hint("add `cert` and `key`");
                }
                let (ca, ca_pem) = ca.unzip();
                let given = encrypted.unwrap_or(ca.is_some() || draft.given("upstream_name"));
                DatabaseTls::Own { certificate, upstream: given.then_some(UpstreamTls { server_name, ca, ca_pem }) }
            }
        }
    }

    fn database_addresses(
        &mut self,
        url: &Url,
        bind: std::net::SocketAddr,
        at: &Range<usize>,
    ) -> Vec<std::net::IpAddr> {
        let addresses = self.addresses(url, at);
        let meets =
            |address: &std::net::IpAddr| *address == bind.ip() || bind.ip().is_unspecified() && address.is_loopback();
        if bind.port() == url.port && addresses.iter().any(meets) {
            let message = format!("`{}` is where the gate itself listens for this database", url.text);
            self.problems.error("upstream-loops", at, message).label("sessions would go round in circles");
        }
        addresses
    }
}

/// A session that need not come through the gate, as `backup@10.0.0.9` says it.
pub(crate) fn known_session(text: &str) -> Result<KnownSession, String> {
    let (role, from) = text.rsplit_once('@').ok_or_else(|| format!("`{text}` does not say from where"))?;
    if role.is_empty() {
        return Err(format!("`{text}` names no role"));
    }
    let network = if from == "local" { None } else { Some(Prefix::parse(from)?) };
    Ok(KnownSession { role: (role != "*").then(|| role.to_owned()), network, text: text.to_owned() })
}

fn grants(database: &Draft) -> Vec<(String, String)> {
    let of = |draft: &Draft| {
        let kinds = draft.list("kinds", Value::text);
        kinds.into_iter().map(|(_, kind)| (draft.string("role"), kind.to_owned())).collect::<Vec<_>>()
    };
    database.tables("grant").iter().flat_map(of).collect()
}

fn number(value: &Value) -> Option<u32> {
    if let Value::Number(number) = value { u32::try_from(*number).ok() } else { None }
}
