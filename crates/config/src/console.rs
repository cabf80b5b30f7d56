//! The console: where it listens, and that nobody listens along.

use std::path::Path;

use crate::check::{Check, overlap};
use crate::draft::Draft;
use crate::kind::Value;
use crate::policy::{Admin, Certificate, Console, Listener};

/// Acts that the policy may ask two people for.
pub const APPROVALS: [&str; 8] = ["undo", "pin", "posture", "event", "reload", "close", "people", "statements"];

impl Check<'_> {
    pub(crate) fn console(
        &mut self,
        root: &Draft,
        (admin, listeners): (&Admin, &[Listener]),
        certificates: &[Certificate],
        state: Option<&Path>,
    ) -> Option<Console> {
        let draft = root.table("console");
        if !draft.given("listen") {
            for key in ["tls", "url", "directory", "approvals"].into_iter().filter(|key| draft.given(key)) {
                let message = "there is no console: it does not say where it listens";
                self.problems.error("console-nowhere", draft.at(key), message).hint("add listen = \"127.0.0.1:9181\"");
            }
            if let Some(oidc) = draft.tables("oidc").first() {
                let message = "there is no console that somebody could sign in to: it does not say where it listens";
                self.problems.error("console-nowhere", &oidc.span, message).hint("add `listen` to [console]");
            }
            return None;
        }
        let (at, listen) = (draft.at("listen"), draft.socket("listen"));
        let mut taken = listeners.iter().map(|listener| listener.bind).chain([admin.listen]);
        if taken.any(|bind| bind.port() == listen.port() && listen.port() != 0 && overlap(bind.ip(), listen.ip())) {
            let message = format!("{listen} is held by another listener already");
            self.problems.error("console-port-taken", at, message).hint("choose another port");
        }
        let tls = draft.flag("tls").unwrap_or_default();
        if !tls && !listen.ip().is_loopback() {
            self.problems
                .error("console-plain", at, format!("on {listen} passwords would travel for all to read"))
                .label("not a loopback address")
                .hint("add tls = true, or listen on 127.0.0.1 and reach it through a tunnel");
        }
        if tls && certificates.is_empty() {
            self.problems
                .error("console-without-certificate", draft.at("tls"), "TLS needs a certificate, and none is declared")
                .hint("add [[certificate]] with `cert` and `key`");
        }
        let declared = draft.value("url").and_then(Value::upstream);
        if tls && declared.is_some_and(|url| !url.tls) {
            let message = "the console speaks TLS, and browsers are sent to http";
            self.problems.error("console-url", draft.at("url"), message).hint("write https://");
        }
        let scheme = if tls { "https" } else { "http" };
        // By its name: browsers have no passkeys for an address in numbers.
        let own = if listen.ip().is_loopback() { format!("localhost:{}", listen.port()) } else { listen.to_string() };
        let url = declared.map_or_else(|| format!("{scheme}://{own}"), |url| url.text.clone());
        let host = declared.map(|url| url.host.clone()).unwrap_or_default();
        let fitting = certificates.iter().position(|certificate| certificate.names.contains(&host));
        let directory = self.path(draft, "directory").or_else(|| state.map(|state| state.join("console")));
        let Some(directory) = directory else {
            self.problems
                .error("console-forgets", at, "accounts have no place to be kept")
                .hint("add `state` to [defence], or `directory` here");
            return None;
        };
        let url = url.trim_end_matches('/').to_owned();
        let approvals = draft.list("approvals", Value::text).into_iter().map(|(_, act)| act.to_owned()).collect();
        let oidc = draft.tables("oidc").first().and_then(|oidc| self.oidc(oidc, &url));
        Some(Console { listen, tls: tls.then(|| fitting.unwrap_or_default()), url, directory, approvals, oidc })
    }
}
