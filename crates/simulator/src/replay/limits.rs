//! Which limits to set: what each key needed, and what twice as much would have touched.
//!
//! Memory is bounded by looking at a fair sample of the keys: those whose hash ends in enough zeros.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write as _;

use portcullis_config::Policy;
use portcullis_types::{ClientAddr, Prefix, RateKey, RouteClass};
use serde::Serialize;

use super::time::SECOND;

/// A suggested limit is this many times what nearly everybody stayed below.
pub(super) const HEADROOM: f64 = 2.0;
/// Nearly everybody: of a thousand keys, all but one.
pub(super) const QUANTILE: f64 = 0.999;
/// A route with fewer requests or keys says too little.
const LEAST_REQUESTS: u64 = 100;
const LEAST_KEYS: usize = 20;
/// A burst below this stops people who open three tabs.
const LEAST_BURST: f64 = 5.0;
/// So many at once are never too many.
const LEAST_AT_ONCE: f64 = 10.0;
/// Keys that are looked at closely, of one route and kind.
const KEYS: usize = 16_384;
/// Sustained requests a minute that are tried: as an operator would write them.
const RATES: [u32; 14] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 3_000, 6_000, 12_000];
/// Requests at once are counted up to here.
const AT_ONCE: usize = 65_536;
/// Heaviest keys that are named.
const NAMED: usize = 3;

/// What the log suggests, and why.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Suggestions {
    /// Requests over time.
    pub rates: Vec<SuggestedRate>,
    /// Requests at once.
    pub concurrency: Vec<SuggestedConcurrency>,
    /// Why there is nothing where there is nothing.
    pub silent: Vec<String>,
}

/// A rate for one route and key.
#[derive(Debug, Clone, Serialize)]
pub struct SuggestedRate {
    /// The platform.
    pub platform: String,
    /// The route as it stands in the configuration.
    pub route: String,
    /// What is counted by.
    pub key: &'static str,
    /// As in the configuration: `30/min`.
    pub rate: String,
    /// At once after a pause.
    pub burst: u32,
    /// Of a thousand keys all but one sent at most so many requests in their busiest minute.
    pub observed_per_minute: u32,
    /// Keys that were seen; beyond 16,384 an estimate.
    pub keys: u64,
    /// Of those, the ones that this would have touched.
    pub touched: u64,
    /// Of those, the ones that the gate had refused or challenged anyway.
    pub touched_refused_anyway: u64,
    /// The heaviest of those that it would have touched.
    pub heaviest: Vec<String>,
    /// Ready to paste behind the route's own lines.
    pub toml: String,
}

/// Requests at once for one class.
#[derive(Debug, Clone, Serialize)]
pub struct SuggestedConcurrency {
    /// The platform.
    pub platform: String,
    /// The class.
    pub class: &'static str,
    /// At most so many.
    pub limit: u32,
    /// Of a thousand requests all but one found fewer than this under way.
    pub observed: u32,
    /// Requests that it would have touched.
    pub touched: u64,
    /// Of so many.
    pub requests: u64,
    /// Ready to paste behind the platform's own lines.
    pub toml: String,
}

/// What is needed, learned request by request.
#[derive(Debug)]
pub(crate) struct Needs {
    routes: BTreeMap<(usize, usize), Route>,
    classes: BTreeMap<(usize, usize), AtOnce>,
}

#[derive(Debug, Default)]
struct Route {
    requests: u64,
    kinds: [Keys; 3],
}

const KINDS: [RateKey; 3] = [RateKey::Address, RateKey::Prefix, RateKey::Session];

/// One request, as far as limits are concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) platform: usize,
    pub(crate) route: usize,
    pub(crate) class: RouteClass,
    pub(crate) client: ClientAddr,
    /// The hash of its session, where it has one.
    pub(crate) session: Option<u64>,
    /// The hash of its address and of its prefix.
    pub(crate) hashes: [u64; 2],
    pub(crate) at: u64,
    /// How long the platform took, where the log says so.
    pub(crate) origin: Option<u64>,
    /// The gate would have refused or challenged it.
    pub(crate) hit: bool,
}

impl Needs {
    pub(crate) const fn new() -> Self {
        Self { routes: BTreeMap::new(), classes: BTreeMap::new() }
    }

    pub(crate) fn take(&mut self, asked: &Asked) {
        let route = self.routes.entry((asked.platform, asked.route)).or_default();
        route.requests += 1;
        let [address, prefix, session] = &mut route.kinds;
        let [by_address, by_prefix] = asked.hashes;
        address.take(by_address, || asked.client.to_string(), asked);
        prefix.take(by_prefix, || asked.client.prefix().to_string(), asked);
        if let Some(hash) = asked.session {
            session.take(hash, || "a session".to_owned(), asked);
        }
        let class = self.classes.entry((asked.platform, asked.class.index())).or_default();
        class.take(asked.at, asked.origin);
    }

    /// What follows from it. `text` is the configuration as it is written, to know which routes it names.
    pub(crate) fn suggest(&self, policy: &Policy, text: &str) -> Suggestions {
        let mut suggestions = Suggestions::default();
        for ((platform, route), needs) in &self.routes {
            let Some(platform) = policy.platforms.get(*platform) else { continue };
            let Some(declared) = platform.routes.get(*route) else { continue };
            let path = declared.path.to_string();
            if needs.requests < LEAST_REQUESTS {
                suggestions
                    .silent
                    .push(format!("{} {path}: {} requests are too few to say anything", platform.name, needs.requests));
                continue;
            }
            let mut written = is_written(text, &platform.name, &path);
            for (kind, keys) in KINDS.into_iter().zip(&needs.kinds) {
                let suggested = keys.suggest(&platform.name, &path, kind, written);
                // The route is written once, whatever else is suggested for it.
                written |= suggested.is_some();
                suggestions.rates.extend(suggested);
            }
        }
        for ((platform, class), at_once) in &self.classes {
            let Some(platform) = policy.platforms.get(*platform) else { continue };
            let Some(class) = RouteClass::ALL.get(*class) else { continue };
            match at_once.suggest(&platform.name, *class) {
                Ok(suggested) => suggestions.concurrency.push(suggested),
                Err(why) => suggestions.silent.push(format!("{} class {class}: {why}", platform.name)),
            }
        }
        suggestions
    }
}

/// Whether the file itself has that route; the catch-all is there even where it is not written.
fn is_written(text: &str, platform: &str, path: &str) -> bool {
    let Ok(table) = text.parse::<toml::Table>() else { return true };
    let platforms = table.get("platform").and_then(toml::Value::as_array);
    let mut platforms = platforms.into_iter().flatten();
    let named = |value: &toml::Value, key: &str, name: &str| value.get(key).and_then(toml::Value::as_str) == Some(name);
    let routes =
        platforms.find(|value| named(value, "name", platform)).and_then(|value| value.get("route")?.as_array());
    routes.is_some_and(|routes| routes.iter().any(|route| named(route, "path", path)))
}

/// The keys of one kind on one route.
#[derive(Debug, Default)]
struct Keys {
    /// Only keys whose hash has this many zeros at its end are looked at.
    zeros: u32,
    keys: BTreeMap<u64, Key>,
}

#[derive(Debug)]
struct Key {
    label: String,
    hit: bool,
    requests: u64,
    last: u64,
    minute: u64,
    in_minute: u32,
    most_in_minute: u32,
    /// For each rate that is tried, how full its bucket is and how full it has been at most: the burst it takes.
    levels: [f32; RATES.len()],
    bursts: [f32; RATES.len()],
}

impl Keys {
    fn take(&mut self, hash: u64, label: impl FnOnce() -> String, asked: &Asked) {
        if hash.trailing_zeros() < self.zeros {
            return;
        }
        let key = self.keys.entry(hash).or_insert_with(|| Key {
            label: label(),
            hit: false,
            requests: 0,
            last: asked.at,
            minute: 0,
            in_minute: 0,
            most_in_minute: 0,
            levels: [0.0; RATES.len()],
            bursts: [0.0; RATES.len()],
        });
        key.take(asked);
        while self.keys.len() > KEYS {
            self.zeros += 1;
            let zeros = self.zeros;
            self.keys.retain(|hash, _| hash.trailing_zeros() >= zeros);
        }
    }

    fn suggest(&self, platform: &str, route: &str, kind: RateKey, written: bool) -> Option<SuggestedRate> {
        let ordinary = || self.keys.values().filter(|key| !key.hit);
        if ordinary().count() < LEAST_KEYS {
            return None;
        }
        let busiest = quantile(ordinary().map(|key| f64::from(key.most_in_minute)));
        let position = RATES.iter().position(|rate| f64::from(*rate) >= busiest * HEADROOM)?;
        let of = |bursts: &[f32; RATES.len()]| bursts.get(position).copied().map_or(0.0, f64::from);
        let needed = quantile(ordinary().map(|key| of(&key.bursts)));
        let burst = round_up((needed * HEADROOM).max(LEAST_BURST));
        let mut touched: Vec<&Key> = self.keys.values().filter(|key| of(&key.bursts) > f64::from(burst)).collect();
        touched.sort_by_key(|key| Reverse(key.requests));
        let estimate = |count: usize| u64::try_from(count).unwrap_or(u64::MAX) << self.zeros;
        let rate = speak(*RATES.get(position)?);
        let mut toml = String::new();
        if !written {
            let _ = writeln!(toml, "[[platform.route]]\npath = \"{route}\"\n");
        }
        let _ = write!(
            toml,
            "[[platform.route.rate]]\nkey = \"{}\"\nrate = \"{rate}\"\nburst = {burst}\nmode = \"observe\"\n",
            kind.name()
        );
        Some(SuggestedRate {
            platform: platform.to_owned(),
            route: route.to_owned(),
            key: kind.name(),
            rate,
            burst,
            observed_per_minute: busiest as u32,
            keys: estimate(self.keys.len()),
            touched: estimate(touched.len()),
            touched_refused_anyway: estimate(touched.iter().filter(|key| key.hit).count()),
            heaviest: touched
                .iter()
                .take(NAMED)
                .map(|key| format!("{} ({} requests)", key.label, key.requests))
                .collect(),
            toml,
        })
    }
}

impl Key {
    fn take(&mut self, asked: &Asked) {
        let passed = asked.at.saturating_sub(self.last) as f64 / SECOND as f64;
        self.last = asked.at.max(self.last);
        self.hit |= asked.hit;
        self.requests += 1;
        let minute = asked.at / (60 * SECOND);
        if minute != self.minute {
            (self.minute, self.in_minute) = (minute, 0);
        }
        self.in_minute += 1;
        self.most_in_minute = self.most_in_minute.max(self.in_minute);
        for ((level, burst), rate) in self.levels.iter_mut().zip(&mut self.bursts).zip(RATES) {
            let leaked = passed * f64::from(rate) / 60.0;
            *level = (f64::from(*level) - leaked).max(0.0) as f32 + 1.0;
            *burst = burst.max(*level);
        }
    }
}

/// How many requests of one class were under way at once.
#[derive(Debug, Default)]
struct AtOnce {
    requests: u64,
    unknown: u64,
    /// When those that are under way end.
    ends: BinaryHeap<Reverse<u64>>,
    found: BTreeMap<u32, u64>,
}

impl AtOnce {
    fn take(&mut self, at: u64, origin: Option<u64>) {
        self.requests += 1;
        let Some(origin) = origin else {
            self.unknown += 1;
            return;
        };
        while self.ends.peek().is_some_and(|Reverse(end)| *end <= at) {
            self.ends.pop();
        }
        let now = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        *self.found.entry(now).or_default() += 1;
        if self.ends.len() < AT_ONCE {
            self.ends.push(Reverse(at.saturating_add(origin)));
        }
    }

    fn suggest(&self, platform: &str, class: RouteClass) -> Result<SuggestedConcurrency, String> {
        if self.requests < LEAST_REQUESTS {
            return Err(format!("{} requests are too few to say how many at once are usual", self.requests));
        }
        if self.unknown * 10 > self.requests {
            return Err(
                "the log does not say how long the platform took, so nothing follows for requests at once".to_owned()
            );
        }
        let all: u64 = self.found.values().sum();
        let rank = (all as f64 * QUANTILE).ceil() as u64;
        let mut below = 0;
        let observed = self.found.iter().find(|(_, count)| {
            below += **count;
            below >= rank
        });
        let observed = observed.map_or(0, |(found, _)| *found) + 1;
        let limit = round_up((f64::from(observed) * HEADROOM).max(LEAST_AT_ONCE));
        Ok(SuggestedConcurrency {
            platform: platform.to_owned(),
            class: class.name(),
            limit,
            observed,
            touched: self.found.range(limit..).map(|(_, count)| count).sum(),
            requests: all,
            toml: format!("[[platform.concurrency]]\nclass = \"{class}\"\nlimit = {limit}\nmode = \"observe\"\n"),
        })
    }
}

/// What all but one in a thousand stay at or below.
fn quantile(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * QUANTILE).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// A number that a person would have written: whole fives below fifty, then two digits.
fn round_up(value: f64) -> u32 {
    let step = if value <= 50.0 { 5.0 } else { libm::exp10(libm::log10(value).floor() - 1.0).max(5.0) };
    ((value / step).ceil() * step) as u32
}

/// As the configuration has it, per second where that is whole.
fn speak(per_minute: u32) -> String {
    if per_minute.is_multiple_of(60) { format!("{}/s", per_minute / 60) } else { format!("{per_minute}/min") }
}

/// The network and the address of a client as hashes that spread evenly.
pub(crate) fn hashes(client: ClientAddr, hash: impl Fn(&[u8]) -> u64) -> [u64; 2] {
    let bytes = |address: std::net::IpAddr| match address {
        std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
        std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let prefix: Prefix = client.prefix();
    [hash(&bytes(client.ip())), hash(&bytes(prefix.network()))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(address: [u8; 4], at: f64) -> Asked {
        let client = ClientAddr::new(address.into());
        let spread = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(7_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15))
                .rotate_left(29)
        };
        Asked {
            platform: 0,
            route: 0,
            class: RouteClass::Search,
            client,
            session: None,
            hashes: hashes(client, spread),
            at: (at * SECOND as f64) as u64,
            origin: Some(SECOND / 10),
            hit: false,
        }
    }

    fn keys(requests: impl IntoIterator<Item = Asked>) -> Keys {
        let mut keys = Keys::default();
        for asked in requests {
            keys.take(asked.hashes[0], || asked.client.to_string(), &asked);
        }
        keys
    }

    #[test]
    fn a_limit_lies_above_everybody_and_below_the_one_that_floods() {
        let people = (0..200_u8).flat_map(|person| {
            (0..6).map(move |turn| asked([192, 0, 2, person], f64::from(turn) * 10.0 + f64::from(person) / 100.0))
        });
        let mut flood: Vec<_> = (0..3_000).map(|turn| asked([203, 0, 113, 9], f64::from(turn) / 50.0)).collect();
        flood.iter_mut().for_each(|asked| asked.hit = true);
        let suggested = keys(people.chain(flood)).suggest("public", "/search", RateKey::Address, true).expect("enough");
        assert_eq!((suggested.observed_per_minute, suggested.rate.as_str(), suggested.burst), (6, "20/min", 5));
        assert_eq!((suggested.keys, suggested.touched, suggested.touched_refused_anyway), (201, 1, 1));
        assert_eq!(suggested.heaviest, ["203.0.113.9 (3000 requests)"]);
    }

    #[test]
    fn few_keys_say_nothing() {
        let few = (0..19_u8).flat_map(|person| (0..20).map(move |turn| asked([192, 0, 2, person], f64::from(turn))));
        assert!(keys(few).suggest("public", "/", RateKey::Address, true).is_none());
    }

    #[test]
    fn many_keys_are_sampled_fairly() {
        let all = (0..60_000_u32).map(|number| {
            let [_, a, b, c] = number.to_be_bytes();
            asked([10, a, b, c], f64::from(number) / 1_000.0)
        });
        let keys = keys(all);
        assert!(keys.keys.len() <= KEYS && keys.zeros > 0);
        let suggested = keys.suggest("public", "/", RateKey::Address, true).expect("enough");
        assert!((54_000..=66_000).contains(&suggested.keys), "{}", suggested.keys);
    }

    #[test]
    fn requests_at_once_are_counted_by_how_long_they_took() {
        let mut at_once = AtOnce::default();
        for turn in 0..1_000_u64 {
            at_once.take(turn * SECOND / 100, Some(SECOND / 10));
        }
        let suggested = at_once.suggest("public", RouteClass::Search).expect("known");
        assert_eq!((suggested.observed, suggested.limit, suggested.touched), (10, 20, 0));
        let mut unknown = AtOnce::default();
        (0..1_000).for_each(|turn| unknown.take(turn, None));
        assert!(unknown.suggest("public", RouteClass::Search).is_err_and(|why| why.contains("does not say")));
    }

    #[test]
    fn numbers_are_such_as_people_write() {
        for (value, rounded) in [(5.0, 5), (5.1, 10), (48.0, 50), (51.0, 55), (123.0, 130), (1_001.0, 1_100)] {
            assert_eq!(round_up(value), rounded, "{value}");
        }
        assert_eq!((speak(60), speak(30), speak(12_000)), ("1/s".to_owned(), "30/min".to_owned(), "200/s".to_owned()));
    }

    #[test]
    fn a_route_that_the_file_does_not_write_is_written_first() {
        let text = "[[platform]]\nname = \"a\"\n[[platform.route]]\npath = \"/x\"\n";
        assert!(is_written(text, "a", "/x") && !is_written(text, "a", "/**") && !is_written(text, "b", "/x"));
    }
}
