//! What stands behind the gate: the scenario's platforms, or the operator's own with the scenario's workers behind them.

use portcullis_config::Policy;
use portcullis_engine as engine;
use portcullis_types::{Limits, RouteClass};

use crate::scenario::{PlatformDraft, Range, RouteDraft, Span};

/// Documents below a route that holds more than one path.
const PAGES: usize = 60;

/// Everything behind the gate.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) platforms: Vec<PlatformPlan>,
    pub(crate) lists: Vec<engine::List>,
    pub(crate) limits: Limits,
}

#[derive(Debug, Clone)]
pub(crate) struct PlatformPlan {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) workers: Range,
    pub(crate) queue: usize,
    /// Nanoseconds.
    pub(crate) timeout: u64,
    pub(crate) slowness: Range,
    pub(crate) routes: Vec<RoutePlan>,
    pub(crate) concurrency: Vec<engine::Concurrency>,
}

#[derive(Debug, Clone)]
pub(crate) struct RoutePlan {
    /// As it is declared.
    pub(crate) path: String,
    pub(crate) class: RouteClass,
    /// Nanoseconds of a worker, at the median.
    pub(crate) cost: f64,
    pub(crate) spread: f64,
    pub(crate) bytes: u64,
    /// Paths that exist here.
    pub(crate) paths: Vec<String>,
    pub(crate) rates: Vec<engine::Rate>,
}

impl Site {
    pub(crate) fn new(drafts: &[PlatformDraft], policy: Option<&Policy>) -> Self {
        let ordinary = PlatformDraft {
            name: "public".to_owned(),
            workers: Range { least: 16.0, most: 16.0 },
            queue: None,
            timeout: None,
            slowness: None,
            routes: Vec::new(),
        };
        let platforms = match policy {
            None if drafts.is_empty() => vec![PlatformPlan::new(&ordinary)],
            None => drafts.iter().map(PlatformPlan::new).collect(),
            Some(policy) => {
                let draft = |name: &str| drafts.iter().find(|draft| draft.name == name).or(drafts.first());
                let plan = |platform| PlatformPlan::declared(platform, draft(&platform.name).unwrap_or(&ordinary));
                policy.platforms.iter().map(plan).collect()
            }
        };
        let list = |list: &portcullis_config::policy::AddressList| engine::List {
            name: list.name.clone(),
            action: list.action,
            mode: list.mode,
            prefixes: list.prefixes.clone(),
        };
        Self {
            platforms,
            lists: policy.map_or_else(Vec::new, |policy| policy.lists.iter().map(list).collect()),
            limits: policy.map_or(Limits::DEFAULT, |policy| policy.limits),
        }
    }

    /// What the engine holds to.
    pub(crate) fn declaration(&self, vouched: Vec<engine::Vouched>) -> engine::Declaration {
        let platform = |plan: &PlatformPlan| engine::Platform {
            name: plan.name.clone(),
            concurrency: plan.concurrency.clone(),
            routes: plan.routes.iter().map(RoutePlan::declaration).collect(),
        };
        engine::Declaration {
            lists: self.lists.clone(),
            platforms: self.platforms.iter().map(platform).collect(),
            vouched,
        }
    }

    /// What the brain is told of it.
    pub(crate) fn outline(&self) -> engine::Site {
        let route = |route: &RoutePlan| engine::SiteRoute { path: route.path.clone(), class: route.class };
        let platform = |plan: &PlatformPlan| engine::SitePlatform {
            name: plan.name.clone(),
            routes: plan.routes.iter().map(route).collect(),
        };
        engine::Site { platforms: self.platforms.iter().map(platform).collect() }
    }
}

impl PlatformPlan {
    fn new(draft: &PlatformDraft) -> Self {
        let routes = if draft.routes.is_empty() {
            ORDINARY.iter().map(|(path, class)| RoutePlan::new(path, *class, None)).collect()
        } else {
            draft.routes.iter().map(|route| RoutePlan::new(&route.path, route.class, Some(route))).collect()
        };
        Self {
            name: draft.name.clone(),
            host: format!("{}.example.org", draft.name),
            workers: draft.workers,
            queue: draft.queue.unwrap_or(1024),
            timeout: draft.timeout.map_or(30_000_000_000, |timeout| crate::scenario::whole(timeout.0.most)),
            slowness: draft.slowness.unwrap_or(Range { least: 1.0, most: 1.0 }),
            routes,
            concurrency: Vec::new(),
        }
    }

    /// The operator's platform with the scenario's workers and costs. What no declared route holds is a page, as in the gate.
    fn declared(platform: &portcullis_config::policy::Platform, draft: &PlatformDraft) -> Self {
        let drafted = |path: &str| draft.routes.iter().find(|route| route.path == path);
        let route = |route: &portcullis_config::policy::Route| {
            let path = route.path.to_string();
            let rate = |rate: &portcullis_config::policy::Rate| engine::Rate {
                key: rate.key,
                per_second: rate.per_second,
                burst: rate.burst,
                mode: rate.mode,
            };
            let rates = route.rates.iter().map(rate).collect();
            RoutePlan { rates, ..RoutePlan::new(&path, route.class, drafted(&path)) }
        };
        let mut routes: Vec<RoutePlan> = platform.routes.iter().map(route).collect();
        if routes.iter().all(|route| route.path != "/**") {
            routes.push(RoutePlan::new("/**", RouteClass::Page, drafted("/**")));
        }
        let concurrency = |measure: &portcullis_config::policy::Concurrency| engine::Concurrency {
            class: measure.class,
            limit: measure.limit,
            mode: measure.mode,
        };
        Self {
            name: platform.name.clone(),
            host: platform.hosts.first().cloned().unwrap_or_default(),
            routes,
            concurrency: platform.concurrency.iter().map(concurrency).collect(),
            ..Self::new(draft)
        }
    }

    /// A route of that class; the first that is declared.
    pub(crate) fn route(&self, class: RouteClass) -> Option<usize> {
        self.routes.iter().position(|route| route.class == class)
    }

    /// The route of a path, as the gate finds it: the most specific pattern.
    pub(crate) fn route_of(&self, path: &str) -> usize {
        let fits = |route: &RoutePlan| match route.path.strip_suffix("/**") {
            Some(above) => path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            None => route.path == path,
        };
        let found = self.routes.iter().enumerate().filter(|(_, route)| fits(route));
        found.max_by_key(|(_, route)| route.path.len()).map_or(0, |(position, _)| position)
    }
}

impl RoutePlan {
    fn new(path: &str, class: RouteClass, draft: Option<&RouteDraft>) -> Self {
        let (cost, spread, bytes) = ordinary_cost(class);
        let cost = draft.and_then(|draft| draft.cost).unwrap_or(Span::millis(cost)).0.most;
        let spread = draft.and_then(|draft| draft.spread).unwrap_or(spread);
        let bytes = draft.and_then(|draft| draft.bytes).unwrap_or(bytes);
        let paths = match path.strip_suffix("/**") {
            None => vec![path.to_owned()],
            Some(above) => (0..PAGES).map(|page| page_path(above, class, page)).collect(),
        };
        Self { path: path.to_owned(), class, cost, spread, bytes, paths, rates: Vec::new() }
    }

    fn declaration(&self) -> engine::Route {
        engine::Route { path: self.path.clone(), class: self.class, challenge: true, rates: self.rates.clone() }
    }
}

fn page_path(above: &str, class: RouteClass, page: usize) -> String {
    match (class, page) {
        (RouteClass::Asset, _) => {
            let kind = ["css", "js", "woff2", "jpg", "webp", "svg"].get(page % 6).copied().unwrap_or("js");
            format!("{above}/{:08x}.{kind}", page.wrapping_mul(0x9E37_79B1))
        }
        (RouteClass::Page | RouteClass::Payment, 0) => format!("{above}/"),
        (RouteClass::Page, _) => format!("{above}/{}/{}", ["news", "topics", "people", "dates"][page % 4], page),
        _ => format!("{above}/{page}"),
    }
}

/// The platform of a scenario that declares no routes.
const ORDINARY: &[(&str, RouteClass)] = &[
    ("/**", RouteClass::Page),
    ("/assets/**", RouteClass::Asset),
    ("/search", RouteClass::Search),
    ("/donate", RouteClass::Payment),
    ("/login", RouteClass::Login),
    ("/join", RouteClass::Form),
    ("/api/**", RouteClass::Api),
    ("/export", RouteClass::Export),
    ("/hooks/**", RouteClass::Webhook),
];

/// Median in milliseconds, skew, bytes.
const fn ordinary_cost(class: RouteClass) -> (f64, f64, u64) {
    match class {
        RouteClass::Payment => (60.0, 0.4, 9_000),
        RouteClass::Login => (70.0, 0.3, 6_000),
        RouteClass::Form => (40.0, 0.4, 8_000),
        RouteClass::Page => (22.0, 0.5, 24_000),
        RouteClass::Asset => (1.5, 0.4, 40_000),
        RouteClass::Search => (90.0, 0.6, 20_000),
        RouteClass::Api => (12.0, 0.5, 2_000),
        RouteClass::Export => (300.0, 0.5, 900_000),
        RouteClass::Webhook => (20.0, 0.4, 200),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_route_and_every_path_of_a_route_is_its_own() {
        let site = Site::new(&[], None);
        let platform = &site.platforms[0];
        for (position, route) in platform.routes.iter().enumerate() {
            for path in &route.paths {
                assert_eq!(platform.route_of(path), position, "{path}");
            }
        }
        assert_eq!(platform.route_of("/searching"), 0);
    }
}
