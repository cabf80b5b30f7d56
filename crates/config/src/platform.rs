//! The part of `check.rs` that makes platforms: hosts, upstreams, routes, rates.
//!
//! It never connects to an upstream; it only asks for the addresses of its name.

use std::net::IpAddr;
use std::ops::Range;

use portcullis_types::{Limits, RateKey, RouteClass};

use crate::check::{Check, Claims, mode};
use crate::draft::Draft;
use crate::inspection::Inspection;
use crate::kind::{Url, Value};
use crate::leaving::Leaving;
use crate::policy::{
    ChallengeMode, Concurrency, HealthCheck, Listener, PathPattern, Platform, Rate, Route, Transport, Upstream,
    UpstreamTls,
};

impl Check<'_> {
    pub(crate) fn platforms(
        &mut self,
        root: &Draft,
        listeners: &[Listener],
        outer: &Inspection,
        most: &Leaving,
    ) -> Vec<Platform> {
        let (mut names, mut hosts, mut platforms) = (Claims::new(), Claims::new(), Vec::new());
        let body_bytes = root.table("limits").number("body_bytes").unwrap_or(Limits::DEFAULT.body_bytes);
        for draft in root.tables("platform") {
            self.name(draft, "platform", &mut names);
            let transport = transport(draft.table("transport"));
            let inspection = self.inspection(draft.table("waf"), outer);
            let leaving = self.leaving(root, draft.table("data"), most);
            let mut routes = self.routes(draft, body_bytes, &transport, &inspection);
            self.leaving_of_routes(root, draft, &leaving, &mut routes);
            platforms.push(Platform {
                name: draft.string("name"),
                hosts: self.hosts(draft, &mut hosts),
                upstreams: self.upstreams(draft, listeners),
                transport,
                keep_host: draft.flag("keep_host").unwrap_or_default(),
                health: draft.tables("health").first().map(|health| self.health(health)),
                concurrency: self.concurrency(draft, &routes),
                routes,
                session_cookie: draft.text("session_cookie").map(str::to_owned),
                api_key_header: draft.text("api_key_header").map(str::to_owned),
                outcome_header: draft.string("outcome_header"),
                account_header: draft.text("account_header").map(str::to_owned),
                inspection,
                leaving,
            });
        }
        if platforms.is_empty() && (root.tables("database").is_empty() || !listeners.is_empty()) {
            self.problems
                .error("no-platform", &root.span, "no platform is declared")
                .hint("add [[platform]] with `name`, `hosts` and `upstreams`");
        }
        platforms
    }

    fn hosts(&mut self, draft: &Draft, claims: &mut Claims<String>) -> Vec<String> {
        let hosts = draft.list("hosts", Value::text);
        for (at, host) in &hosts {
            let message = format!("the host `{host}` is claimed twice");
            self.once("duplicate-host", claims, (*host).to_owned(), at, message, "first claimed here");
        }
        hosts.into_iter().map(|(_, host)| host.to_owned()).collect()
    }

    fn upstreams(&mut self, draft: &Draft, listeners: &[Listener]) -> Vec<Upstream> {
        let transport = draft.table("transport");
        let ca = self.file(transport, "upstream_ca", "upstream-ca-unreadable");
        if let Some((path, pem)) = &ca
            && !String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----")
        {
            let message = format!("`{}` holds no certificate in PEM", path.display());
            self.problems.error("upstream-ca-unreadable", transport.at("upstream_ca"), message);
        }
        let (mut claims, mut upstreams) = (Claims::new(), Vec::new());
        for (at, url) in draft.list("upstreams", Value::upstream) {
            let Url { text, host, port, tls, http2 } = url.clone();
            let message = format!("`{text}` is an upstream of this platform already");
            let key = (host.clone(), port, tls, http2);
            self.once("duplicate-upstream", &mut claims, key, at, message, "first named here");
            let name = transport.text("upstream_name").unwrap_or_else(|| url.bare_host());
            let (ca, ca_pem) = ca.clone().unzip();
            let tls = tls.then(|| UpstreamTls { server_name: name.to_owned(), ca, ca_pem });
            upstreams.push(Upstream { url: text, host, port, addresses: self.resolve(url, listeners, at), tls, http2 });
        }
        for key in ["upstream_ca", "upstream_name"] {
            if transport.given(key) && upstreams.iter().all(|upstream| upstream.tls.is_none()) {
                let message = format!("`{key}` has no effect: no upstream of this platform is `https` or `h2`");
                self.problems.warning("upstream-tls-unused", transport.at(key), message);
            }
        }
        upstreams
    }

    fn resolve(&mut self, url: &Url, listeners: &[Listener], at: &Range<usize>) -> Vec<IpAddr> {
        let addresses = self.addresses(url, at);
        let ours = |listener: &&Listener| {
            let (ip, all) = (listener.bind.ip(), listener.bind.ip().is_unspecified());
            let meets = |address: &IpAddr| *address == ip || (all && address.is_loopback());
            listener.bind.port() == url.port && addresses.iter().any(meets)
        };
        if let Some(listener) = listeners.iter().find(ours) {
            let message = format!("`{}` is the gate's own listener `{}`", url.text, listener.name);
            self.problems.error("upstream-loops", at, message).label("requests would go round in circles");
        }
        addresses
    }

    /// The addresses of an upstream's name.
    pub(crate) fn addresses(&mut self, url: &Url, at: &Range<usize>) -> Vec<IpAddr> {
        let host = url.bare_host();
        let ask = || match self.world.resolve(host) {
            Ok(addresses) if addresses.is_empty() => Err("the name has no address".to_owned()),
            answer => answer.map_err(|why| why.to_string()),
        };
        let addresses = match host.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => self.resolved.entry(host.to_owned()).or_insert_with(ask).clone(),
        };
        addresses.unwrap_or_else(|why| {
            self.problems
                .error("upstream-unresolved", at, format!("the upstream `{host}` cannot be resolved: {why}"))
                .hint("check the spelling, or write its address");
            Vec::new()
        })
    }

    fn health(&mut self, draft: &Draft) -> HealthCheck {
        let interval = draft.duration("interval").unwrap_or_default();
        let timeout = draft.duration("timeout").unwrap_or_default();
        if timeout > interval {
            let at = draft.at(if draft.given("timeout") { "timeout" } else { "interval" });
            let message = "a health check may not take longer than the time between two of them";
            self.problems.error("health-timeout", at, message).hint("set `timeout` to `interval` or less");
        }
        HealthCheck {
            path: draft.string("path"),
            interval,
            timeout,
            unhealthy_after: draft.count("unhealthy_after"),
            healthy_after: draft.count("healthy_after"),
        }
    }

    fn concurrency(&mut self, platform: &Draft, routes: &[Route]) -> Vec<Concurrency> {
        let (mut claims, mut limits) = (Claims::new(), Vec::new());
        for draft in platform.tables("concurrency") {
            let (at, class) = (draft.at("class"), draft.text("class").and_then(RouteClass::from_name));
            let whose = class.map_or("the whole platform".to_owned(), |class| format!("the class `{class}`"));
            let message = format!("{whose} has two limits of concurrency");
            self.once("duplicate-concurrency", &mut claims, class, at, message, "first limited here");
            if class.is_some_and(|class| routes.iter().all(|route| route.class != class)) {
                self.problems
                    .warning("class-unused", at, format!("no route of this platform is of {whose}"))
                    .label("limits nothing")
                    .hint("give a [[platform.route]] this class");
            }
            limits.push(Concurrency { class, limit: draft.count("limit"), mode: mode(draft) });
        }
        limits
    }

    fn routes(
        &mut self,
        platform: &Draft,
        body_bytes: u64,
        transport: &Transport,
        inspection: &Inspection,
    ) -> Vec<Route> {
        let (mut claims, mut routes) = (Claims::new(), Vec::new());
        for draft in platform.tables("route") {
            let Some(Value::Route(path)) = draft.value("path") else { continue };
            let message = "this platform has a route for that path already".to_owned();
            self.once("duplicate-route", &mut claims, path.clone(), draft.at("path"), message, "first declared here");
            routes.push(Route {
                path: path.clone(),
                methods: draft.list("methods", Value::text).into_iter().map(|(_, method)| method.to_owned()).collect(),
                class: draft.text("class").and_then(RouteClass::from_name).unwrap_or_default(),
                body_bytes: draft.number("body_size").unwrap_or(body_bytes),
                first_byte_timeout: draft.duration("first_byte_timeout").unwrap_or(transport.first_byte_timeout),
                upgrade: draft.flag("upgrade").unwrap_or_default(),
                challenge: ChallengeMode::ALL
                    .into_iter()
                    .find(|mode| Some(mode.name()) == draft.text("challenge"))
                    .unwrap_or_default(),
                rates: self.rates(platform, draft),
                inspection: self.inspection(draft.table("waf"), inspection),
                leaving: Leaving::default(),
                budgets: Vec::new(),
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
            challenge: ChallengeMode::Auto,
            rates: Vec::new(),
            inspection: inspection.clone(),
            leaving: Leaving::default(),
            budgets: Vec::new(),
        }));
        routes
    }

    /// What may leave by each route: as it says itself, or as its platform does.
    fn leaving_of_routes(&mut self, root: &Draft, platform: &Draft, outer: &Leaving, routes: &mut [Route]) {
        routes.iter_mut().for_each(|route| route.leaving.clone_from(outer));
        for draft in platform.tables("route") {
            let Some(Value::Route(path)) = draft.value("path") else { continue };
            let leaving = self.leaving(root, draft.table("data"), outer);
            let budgets = self.budgets(platform, draft);
            if let Some(route) = routes.iter_mut().find(|route| route.path == *path) {
                (route.leaving, route.budgets) = (leaving, budgets);
            }
        }
    }

    fn rates(&mut self, platform: &Draft, route: &Draft) -> Vec<Rate> {
        let (mut claims, mut rates) = (Claims::new(), Vec::new());
        for draft in route.tables("rate") {
            let key = RateKey::ALL.into_iter().find(|key| Some(key.name()) == draft.text("key"));
            let (at, Some(key)) = (draft.at("key"), key) else { continue };
            if key == RateKey::Session && !platform.given("session_cookie") {
                self.problems
                    .error("rate-without-session-cookie", at, "a rate by session needs to know the session's cookie")
                    .hint("set `session_cookie` in the [[platform]]");
            }
            if key == RateKey::ApiKey && !platform.given("api_key_header") {
                self.problems
                    .error("rate-without-api-key-header", at, "a rate by API key needs to know the key's header")
                    .hint("set `api_key_header` in the [[platform]]");
            }
            let Some(&Value::Rate { count, seconds }) = draft.value("rate") else { continue };
            let message = format!("two rates by {} over the same time: only the smaller has an effect", key.name());
            self.once("duplicate-rate", &mut claims, (key.name(), seconds), at, message, "first declared here");
            let burst = draft.number("burst").unwrap_or(count).try_into().unwrap_or(u32::MAX);
            rates.push(Rate { key, per_second: per_second(count, seconds), burst, mode: mode(draft) });
        }
        rates
    }
}

fn transport(draft: &Draft) -> Transport {
    Transport {
        connect_timeout: draft.duration("connect_timeout").unwrap_or_default(),
        first_byte_timeout: draft.duration("first_byte_timeout").unwrap_or_default(),
        idle_timeout: draft.duration("idle_timeout").unwrap_or_default(),
        retries: draft.count("retries"),
        retry_budget_percent: draft.count("retry_budget"),
        eject_after: draft.count("eject_after"),
        eject_for: draft.duration("eject_for").unwrap_or_default(),
    }
}

/// Requests a second. Both numbers are small enough to be exact.
pub(crate) fn per_second(count: u64, seconds: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "both are below 2^53")]
    let (count, seconds) = (count as f64, seconds as f64);
    count / seconds
}
