//! What the operator declared, compiled into what a decision needs.
//!
//! It never changes once it is made: a reload makes another one, and what was counted stays in the [`Node`].

use std::sync::Arc;

use portcullis_types::{ListAction, Mode, Prefix, RateKey, RouteClass};

use crate::admission::flow::Flow;
use crate::lists::Lists;
use crate::node::{Counter, Node};
use crate::rate::Gcra;
use crate::trust::Trust;
use crate::vouching::Vouching;

/// Everything that admission holds to, as the operator declared it.
#[derive(Debug, Clone, Default)]
pub struct Declaration {
    /// Lists of addresses.
    pub lists: Vec<List>,
    /// Platforms; [`Ask::platform`](crate::Ask::platform) is a position in here.
    pub platforms: Vec<Platform>,
    /// Those whom the operator vouches for; the first that fits counts.
    pub vouched: Vec<Vouched>,
}

/// Somebody whom the operator vouches for. Everything that is given must hold; somebody with nothing given is nobody.
#[derive(Debug, Clone, Default)]
pub struct Vouched {
    /// Name in records.
    pub name: String,
    /// [`Trust::Staff`], [`Trust::Partner`] or [`Trust::Crawler`].
    pub trust: Trust,
    /// Networks that it comes from.
    pub prefixes: Vec<Prefix>,
    /// SHA-256 of its API key.
    pub api_key_hash: Option<[u8; 32]>,
    /// What its `User-Agent` contains, in ASCII of either case.
    pub agent: Option<String>,
    /// Sustained requests a second of its own budget; 0 for no bound. What is beyond it is not vouched for.
    pub per_second: f64,
    /// At most so many at once after a pause.
    pub burst: u32,
    /// At most so many under way at once; 0 for no bound.
    pub concurrency: u32,
}

/// Addresses that are let through or refused.
#[derive(Debug, Clone)]
pub struct List {
    /// Name in records.
    pub name: String,
    /// What is done with a match.
    pub action: ListAction,
    /// Whether it acts or only counts. An allow list in observe mode does nothing.
    pub mode: Mode,
    /// The networks.
    pub prefixes: Vec<Prefix>,
}

/// A platform's measures.
#[derive(Debug, Clone)]
pub struct Platform {
    /// Unique; what is counted under this name survives a reload.
    pub name: String,
    /// Requests at once.
    pub concurrency: Vec<Concurrency>,
    /// Routes; [`Ask::route`](crate::Ask::route) is a position in here.
    pub routes: Vec<Route>,
}

/// A route's measures.
#[derive(Debug, Clone)]
pub struct Route {
    /// As declared; what is counted under this path survives a reload.
    pub path: String,
    /// What it is for.
    pub class: RouteClass,
    /// Whether a rule may challenge its navigations; otherwise they wait behind.
    pub challenge: bool,
    /// All of them must hold.
    pub rates: Vec<Rate>,
}

/// Requests at once, on this node.
#[derive(Debug, Clone)]
pub struct Concurrency {
    /// Which class it holds for; `None` for the whole platform.
    pub class: Option<RouteClass>,
    /// At most so many.
    pub limit: u32,
    /// Whether it acts or only counts.
    pub mode: Mode,
}

/// Requests over time, per key.
#[derive(Debug, Clone)]
pub struct Rate {
    /// What is counted by.
    pub key: RateKey,
    /// Sustained requests a second.
    pub per_second: f64,
    /// At most so many at once after a pause.
    pub burst: u32,
    /// Whether it acts or only counts.
    pub mode: Mode,
}

/// One immutable snapshot of the declared measures.
#[derive(Debug, Default)]
pub struct Declared {
    pub(crate) lists: Lists,
    pub(crate) vouching: Vouching,
    platforms: Vec<CompiledPlatform>,
}

impl Declared {
    /// Compiles a declaration against the node whose counts it will use.
    #[must_use]
    pub fn compile(declaration: &Declaration, node: &Node) -> Self {
        Self {
            lists: Lists::compile(&declaration.lists),
            vouching: Vouching::compile(&declaration.vouched, node),
            platforms: declaration.platforms.iter().map(|platform| CompiledPlatform::new(platform, node)).collect(),
        }
    }

    /// The rates of a route; none for a route that was not declared.
    pub(crate) fn rates(&self, platform: usize, route: usize) -> &[CompiledRate] {
        self.platforms.get(platform).and_then(|platform| platform.routes.get(route)).map_or(&[], |rates| rates)
    }

    /// What is under way, by position of the platform.
    pub(crate) fn flows(&self) -> impl Iterator<Item = &Arc<Flow>> {
        self.platforms.iter().map(|platform| &platform.flow)
    }

    /// Whether navigations of that route may be challenged.
    pub(crate) fn may_challenge(&self, platform: usize, route: usize) -> bool {
        self.platforms.get(platform).and_then(|platform| platform.challenge.get(route)).is_some_and(|may| *may)
    }

    /// How many routes there are, by position of the platform.
    pub(crate) fn routes(&self) -> Vec<usize> {
        self.platforms.iter().map(|platform| platform.routes.len()).collect()
    }

    /// What bounds requests at once: the class's ceiling, then the platform's.
    pub(crate) fn ceilings(&self, platform: usize, class: RouteClass) -> [Option<&Ceiling>; 2] {
        let Some(platform) = self.platforms.get(platform) else { return [None, None] };
        [platform.classes.get(class.index()).and_then(Option::as_ref), platform.whole.as_ref()]
    }
}

#[derive(Debug)]
struct CompiledPlatform {
    flow: Arc<Flow>,
    routes: Vec<Box<[CompiledRate]>>,
    challenge: Vec<bool>,
    classes: [Option<Ceiling>; RouteClass::ALL.len()],
    whole: Option<Ceiling>,
}

impl CompiledPlatform {
    fn new(platform: &Platform, node: &Node) -> Self {
        let routes = platform.routes.iter().map(|route| {
            let rates = route.rates.iter().enumerate();
            rates.map(|(position, rate)| CompiledRate::new(&platform.name, &route.path, position, rate, node)).collect()
        });
        Self {
            flow: node.flow(&platform.name),
            routes: routes.collect(),
            challenge: platform.routes.iter().map(|route| route.challenge).collect(),
            classes: RouteClass::ALL.map(|class| Ceiling::new(platform, Some(class), node)),
            whole: Ceiling::new(platform, None, node),
        }
    }
}

/// A rate and what it takes to keep it.
#[derive(Debug)]
pub(crate) struct CompiledRate {
    /// Stable over reloads: platform, path, key and position, not the numbers.
    pub(crate) identity: u64,
    pub(crate) key: RateKey,
    pub(crate) gcra: Gcra,
    pub(crate) mode: Mode,
    /// `rate 5/s by address on /search`.
    pub(crate) words: Arc<str>,
}

impl CompiledRate {
    fn new(platform: &str, path: &str, position: usize, rate: &Rate, node: &Node) -> Self {
        let position = position.to_le_bytes();
        Self {
            identity: node.hash(&[platform.as_bytes(), path.as_bytes(), rate.key.name().as_bytes(), &position]),
            key: rate.key,
            gcra: Gcra::new(rate.per_second, rate.burst),
            mode: rate.mode,
            words: format!("rate {} by {} on {path}", speak(rate.per_second), rate.key.name()).into(),
        }
    }
}

/// `5/s`, `300/min`, `10/h`: as the operator will have written it.
fn speak(per_second: f64) -> String {
    let units = [(1.0, "s"), (60.0, "min"), (3600.0, "h")];
    let whole = |count: f64| count >= 1.0 && (count - count.round()).abs() < 1e-6 * count;
    match units.into_iter().map(|(seconds, unit)| (per_second * seconds, unit)).find(|(count, _)| whole(*count)) {
        Some((count, unit)) => format!("{count:.0}/{unit}"),
        None => format!("{per_second:.4}/s"),
    }
}

/// How many requests at once, acted on and observed, of one class or of a whole platform.
#[derive(Debug)]
pub(crate) struct Ceiling {
    pub(crate) counter: Arc<Counter>,
    pub(crate) enforce: Option<u32>,
    pub(crate) observe: Option<u32>,
    pub(crate) enforce_words: Arc<str>,
    pub(crate) observe_words: Arc<str>,
}

impl Ceiling {
    /// Nothing where nothing is declared, so that nothing is counted either.
    fn new(platform: &Platform, class: Option<RouteClass>, node: &Node) -> Option<Self> {
        let least = |mode| {
            let mine = platform.concurrency.iter().filter(|measure| measure.class == class && measure.mode == mode);
            mine.map(|measure| measure.limit).min()
        };
        let (enforce, observe) = (least(Mode::Enforce), least(Mode::Observe));
        let place = match class {
            Some(class) => format!("{class} of {}", platform.name),
            None => platform.name.clone(),
        };
        let words = |limit: Option<u32>| format!("{} at once in {place}", limit.unwrap_or(0)).into();
        (enforce.is_some() || observe.is_some()).then(|| Self {
            counter: node.counter(&platform.name, class),
            enforce,
            observe,
            enforce_words: words(enforce),
            observe_words: words(observe),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_spoken_as_they_were_written() {
        let table = [
            (5.0, "5/s"),
            (300.0 / 60.0, "5/s"),
            (10.0 / 60.0, "10/min"),
            (90.0 / 60.0, "90/min"),
            (7.0 / 3600.0, "7/h"),
            (0.5, "30/min"),
            (1.0 / 86_400.0, "0.0000/s"),
        ];
        for (per_second, words) in table {
            assert_eq!(speak(per_second), words, "{per_second}");
        }
    }
}
