//! The scenario file: what the world is made of, and what must come of it. `docs/guide/scenarios.md` explains each key.
//!
//! Numbers may be ranges, from which the seed draws: a measure that holds for one number alone does not pass.

use std::fmt;

use portcullis_config::Policy;
use portcullis_types::RouteClass;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use toml::Spanned;

use crate::figures;
use crate::random::Random;
use crate::site::Site;

/// What is wrong with a scenario file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1; 0 where it is about the whole file.
    pub line: usize,
    /// In words.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { f.write_str(&self.message) } else { write!(f, "line {}: {}", self.line, self.message) }
    }
}

/// A scenario, read and checked.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub(crate) file: File,
    pub(crate) site: Site,
}

impl Scenario {
    /// Reads a scenario file. With a policy, the platforms, their routes and measures are the operator's own.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn parse(text: &str, policy: Option<&Policy>) -> Result<Self, Vec<Problem>> {
        let line = |at: usize| 1 + text.get(..at).unwrap_or(text).matches('\n').count();
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| line(span.start));
            vec![Problem { line, message: error.message().to_owned() }]
        })?;
        let site = Site::new(&file.platforms, policy);
        let mut problems = Vec::new();
        let mut wrong = |at: usize, message: String| problems.push(Problem { line: line(at), message });
        let known = |name: &str| site.platforms.iter().any(|platform| platform.name == name);
        let named = file.populations.iter().filter_map(|population| population.platform.as_ref());
        let named = named.chain(file.attacks.iter().filter_map(|attack| attack.platform.as_ref()));
        for name in named.chain(file.troubles.iter().filter_map(|trouble| trouble.platform.as_ref())) {
            if !known(name.get_ref()) {
                wrong(name.span().start, format!("there is no platform `{}`", name.get_ref()));
            }
        }
        for off in &file.engine.off {
            if !figures::SWITCHES.contains(&off.get_ref().as_str()) {
                let known = figures::SWITCHES.join(", ");
                wrong(
                    off.span().start,
                    format!("there is no part `{}` to switch off; there are {known}", off.get_ref()),
                );
            }
        }
        for expect in &file.expectations {
            let name = expect.figure.get_ref();
            let Some(unit) = figures::unit(name) else {
                wrong(expect.figure.span().start, format!("no figure is called `{name}`"));
                continue;
            };
            let limits = [&expect.at_most, &expect.at_least, &expect.p95, &expect.median];
            let given = limits.into_iter().flatten();
            if given.clone().next().is_none() {
                wrong(expect.figure.span().start, format!("nothing is expected of `{name}`"));
            }
            for limit in given {
                if let Err(message) = figures::limit(limit.get_ref(), unit) {
                    wrong(limit.span().start, message);
                }
            }
        }
        if file.populations.is_empty() {
            problems
                .push(Problem { line: 0, message: "a world without [[population]] has nobody to protect".to_owned() });
        }
        if problems.is_empty() { Ok(Self { file, site }) } else { Err(problems) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// What it is about, in a sentence.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.file.title
    }

    /// Seconds that it lasts at most, in its own time.
    #[must_use]
    pub const fn longest(&self) -> f64 {
        self.file.lasts.0.most / 1e9
    }

    /// The same world with parts of the engine switched off: a proof that the scenario can fail.
    #[must_use]
    pub fn without(mut self, parts: &[&str]) -> Self {
        self.file.engine.off = parts.iter().map(|part| Spanned::new(0..0, (*part).to_owned())).collect();
        self
    }

    /// What is expected over many seeds, for whoever plays it often.
    #[must_use]
    pub fn wishes(&self) -> Vec<Wish> {
        let value = |limit: &Option<Spanned<toml::Value>>, unit| {
            limit.as_ref().and_then(|limit| figures::limit(limit.get_ref(), unit).ok())
        };
        let wish = |expect: &Expect| {
            let unit = figures::unit(expect.figure.get_ref())?;
            Some(Wish {
                figure: expect.figure.get_ref().clone(),
                unit,
                at_most: value(&expect.at_most, unit),
                at_least: value(&expect.at_least, unit),
                p95: value(&expect.p95, unit),
                median: value(&expect.median, unit),
            })
        };
        self.file.expectations.iter().filter_map(wish).collect()
    }
}

/// One expectation, as it is written: of a single run, and of many.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// Which figure.
    pub figure: String,
    /// Its unit; all limits are in it.
    pub unit: &'static str,
    /// No run may go beyond.
    pub at_most: Option<f64>,
    /// No run may stay below.
    pub at_least: Option<f64>,
    /// Of a hundred runs, 95 may not go beyond.
    pub p95: Option<f64>,
    /// Nor half of them beyond this.
    pub median: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) title: String,
    /// How long the world lasts.
    pub(crate) lasts: Span,
    #[serde(default)]
    pub(crate) engine: Engine,
    #[serde(default, rename = "platform")]
    pub(crate) platforms: Vec<PlatformDraft>,
    #[serde(default, rename = "population")]
    pub(crate) populations: Vec<Population>,
    #[serde(default, rename = "attack")]
    pub(crate) attacks: Vec<Attack>,
    #[serde(default, rename = "trouble")]
    pub(crate) troubles: Vec<Trouble>,
    #[serde(default, rename = "announced")]
    pub(crate) announced: Vec<Announced>,
    #[serde(default, rename = "expect")]
    pub(crate) expectations: Vec<Expect>,
}

/// What is different about the gate.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Engine {
    /// Parts that are switched off.
    #[serde(default)]
    pub(crate) off: Vec<Spanned<String>>,
    /// Workers, each with its shard.
    pub(crate) workers: Option<usize>,
    /// When the gate is started anew from what it saved.
    pub(crate) restart: Option<Span>,
}

/// A platform and what stands behind it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlatformDraft {
    pub(crate) name: String,
    /// Requests that it works on at once.
    pub(crate) workers: Range,
    /// Requests that wait for a worker before it answers 503.
    pub(crate) queue: Option<usize>,
    /// The gate's `first_byte_timeout`.
    pub(crate) timeout: Option<Span>,
    /// Costs are multiplied by this.
    pub(crate) slowness: Option<Range>,
    #[serde(default, rename = "route")]
    pub(crate) routes: Vec<RouteDraft>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteDraft {
    pub(crate) path: String,
    #[serde(deserialize_with = "class")]
    pub(crate) class: RouteClass,
    /// The median time of a worker.
    pub(crate) cost: Option<Span>,
    /// How skewed it is.
    pub(crate) spread: Option<f64>,
    pub(crate) bytes: Option<u64>,
}

/// Legitimate visitors of one kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Population {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) kind: Kind,
    pub(crate) platform: Option<Spanned<String>>,
    /// Requests a second in calm, all of them together.
    pub(crate) rate: Range,
    /// All of them share so many addresses; each has its own where this is not given.
    pub(crate) addresses: Option<u32>,
    /// The share that holds a history cookie from other days.
    pub(crate) returning: Option<f64>,
    /// The share that keeps cookies.
    pub(crate) cookies: Option<f64>,
    /// The share that runs scripts.
    pub(crate) script: Option<f64>,
    /// The share that comes by a link on another site.
    pub(crate) linked: Option<f64>,
    /// Documents in a session.
    pub(crate) pages: Option<Range>,
    /// Between two of them.
    pub(crate) think: Option<Span>,
    /// How long they wait for a page before they give up.
    pub(crate) patience: Option<Span>,
    /// What they come for, by weight.
    #[serde(default)]
    pub(crate) journeys: Journeys,
    /// From when until when they come at all.
    pub(crate) from: Option<Span>,
    pub(crate) until: Option<Span>,
    pub(crate) crowd: Option<Crowd>,
    pub(crate) day: Option<Day>,
    pub(crate) trace: Option<Trace>,
}

/// Who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// People with browsers.
    #[default]
    Supporters,
    /// The same, behind Tor's exits and with its browser.
    Tor,
    /// Browsers without scripts or pictures.
    Text,
    /// People whom a screen reader reads the page to.
    ScreenReader,
    /// The organisation's own, on its own network.
    Staff,
    /// A partner's program with its key.
    Partner,
    /// A crawler whose networks are published.
    Crawler,
    /// A payment provider that calls back.
    Webhook,
    /// The organisation's app: no pages, no referer.
    App,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Journeys {
    pub(crate) read: f64,
    pub(crate) search: f64,
    pub(crate) donate: f64,
    pub(crate) login: f64,
    pub(crate) join: f64,
    /// Ask for a code by SMS and enter it.
    pub(crate) code: f64,
}

/// Many come at once, and stay away again.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Crowd {
    pub(crate) at: Span,
    pub(crate) ramp: Span,
    pub(crate) hold: Span,
    pub(crate) decay: Span,
    /// Times the ordinary rate.
    pub(crate) times: Range,
}

/// Days with a night: the rate swings by `swing` of itself.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Day {
    pub(crate) swing: f64,
    /// The length of a day, so that a month need not last one.
    pub(crate) length: Span,
    /// How much less comes on two days of seven.
    pub(crate) weekend: f64,
}

/// A measured shape: multiples of the rate, one for each step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trace {
    pub(crate) at: Span,
    pub(crate) step: Span,
    pub(crate) times: Vec<f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attack {
    pub(crate) name: String,
    pub(crate) kind: AttackKind,
    pub(crate) platform: Option<Spanned<String>>,
    pub(crate) at: Span,
    pub(crate) lasts: Span,
    /// Requests a second as a multiple of what legitimate visitors send in calm.
    pub(crate) times: Option<Range>,
    /// Or in themselves.
    pub(crate) rate: Option<Range>,
    /// It grows to its rate in this time.
    pub(crate) ramp: Option<Span>,
    pub(crate) pulse: Option<Pulse>,
    /// Addresses.
    pub(crate) sources: Option<Range>,
    /// Networks of a /16 that they come from.
    pub(crate) networks: Option<Range>,
    /// What is asked for.
    #[serde(default, deserialize_with = "some_class")]
    pub(crate) class: Option<RouteClass>,
    /// How long it takes the attacker to notice that it does not get through, and to change what it can.
    pub(crate) adapts: Option<Span>,
    /// Whether it is like legitimate visitors in everything that a request shows.
    #[serde(default)]
    pub(crate) inseparable: bool,
    /// It is there to teach the gate wrong; the figures are about the others.
    #[serde(default)]
    pub(crate) prelude: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pulse {
    pub(crate) on: Span,
    pub(crate) off: Span,
}

/// What an attacker does. `attack.rs` has each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AttackKind {
    /// GET of pages by scripts.
    Flood,
    /// The same with a new query each time.
    CacheBuster,
    /// Costly searches by POST.
    Search,
    /// One request per address, residential, another `User-Agent` each time.
    OneShot,
    /// Another order of headers, `Accept` and language each time.
    Randomiser,
    /// The bytes of a real browser, without its behaviour.
    Twin,
    /// A real browser, driven by a program: assets, cookies, challenges.
    Mimic,
    /// Another vector each time: flood, search, cache-buster, login.
    Switcher,
    /// Credentials from elsewhere, few per address.
    Stuffing,
    /// Stolen cards tried with small donations.
    Cards,
    /// Codes sent to expensive numbers.
    Codes,
    /// Records asked for one after another.
    Enumeration,
    /// One history cookie, bought, used from everywhere.
    Cookies,
    /// Addresses, names and queries that never repeat, to fill tables.
    Exhaustion,
    /// HTTP/2 connections that open streams and reset them.
    RapidReset,
    /// HTTP/2 connections that make us reset.
    MadeYouReset,
    /// HTTP/2 header blocks that never end.
    Continuation,
    /// Connections that send a head slowly and never finish.
    SlowHead,
    /// Connections that ask and hardly read.
    SlowRead,
    /// Half-open connections from addresses that are not theirs.
    Syn,
}

/// The platform has a bad time by itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trouble {
    pub(crate) platform: Option<Spanned<String>>,
    pub(crate) at: Span,
    pub(crate) lasts: Span,
    /// Costs are multiplied.
    pub(crate) slower: Option<Range>,
    /// Share of the workers that are away.
    pub(crate) away: Option<Range>,
}

/// An event that the operator announced with `portcullis event add`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Announced {
    pub(crate) name: String,
    pub(crate) at: Span,
    pub(crate) lasts: Span,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) figure: Spanned<String>,
    pub(crate) at_most: Option<Spanned<toml::Value>>,
    pub(crate) at_least: Option<Spanned<toml::Value>>,
    pub(crate) p95: Option<Spanned<toml::Value>>,
    pub(crate) median: Option<Spanned<toml::Value>>,
}

/// A number, or `[least, most]` from which the seed draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Range {
    pub(crate) fn draw(self, random: &mut Random) -> f64 {
        random.between(self.least, self.most)
    }

    pub(crate) fn draw_whole(self, random: &mut Random) -> u64 {
        whole(self.draw(random) + 0.5)
    }
}

/// A time (`"90s"`, `"300ms"`, `"5m"`, `"2h"`), or `[least, most]`; in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span(pub(crate) Range);

impl Span {
    pub(crate) const fn millis(millis: f64) -> Self {
        Self(Range { least: millis * 1e6, most: millis * 1e6 })
    }

    pub(crate) fn draw(self, random: &mut Random) -> u64 {
        whole(self.0.draw(random))
    }
}

/// The whole number below; 0 for what is negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is wanted")]
pub(crate) const fn whole(value: f64) -> u64 {
    value as u64
}

/// Nanoseconds of `300ms`, `5s`, `2m`, `1h`, `1d`.
pub(crate) fn nanos(text: &str) -> Option<f64> {
    let split = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        "d" => 86_400e9,
        _ => return None,
    };
    number.parse::<f64>().ok().filter(|number| *number >= 0.0).map(|number| number * scale)
}

fn class<'de, D: Deserializer<'de>>(from: D) -> Result<RouteClass, D::Error> {
    let name = String::deserialize(from)?;
    let names = RouteClass::ALL.map(RouteClass::name).join(", ");
    RouteClass::from_name(&name).ok_or_else(|| de::Error::custom(format!("`{name}` is no class; there are {names}")))
}

fn some_class<'de, D: Deserializer<'de>>(from: D) -> Result<Option<RouteClass>, D::Error> {
    class(from).map(Some)
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Pair { times: false }).map(|(least, most)| Self { least, most })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Pair { times: true }).map(|(least, most)| Self(Range { least, most }))
    }
}

/// Reads one value or two, as numbers or as times.
struct Pair {
    times: bool,
}

impl<'de> Visitor<'de> for Pair {
    type Value = (f64, f64);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.times { "a time like \"90s\", or two of them" } else { "a number, or two of them" })
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers that a person wrote")]
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        let sound = !self.times && value.is_finite() && value >= 0.0;
        if sound { Ok((value, value)) } else { Err(E::invalid_value(de::Unexpected::Float(value), &self)) }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let value = if self.times { nanos(text) } else { None };
        value.map(|value| (value, value)).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        let mut next = || -> Result<Option<f64>, A::Error> {
            if self.times {
                Ok(values.next_element::<Span>()?.map(|span| span.0.least))
            } else {
                Ok(values.next_element::<Range>()?.map(|range| range.least))
            }
        };
        match (next()?, next()?, next()?) {
            (Some(least), Some(most), None) if least <= most => Ok((least, most)),
            _ => Err(de::Error::custom("a range has two values, the lesser first")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "name = \"n\"\ntitle = \"t\"\nlasts = \"1m\"\n[[population]]\nname = \"p\"\nrate = [50, 60]\n";

    #[test]
    fn the_least_scenario_is_read() {
        let scenario = Scenario::parse(LEAST, None).expect("sound");
        assert_eq!((scenario.name(), scenario.title()), ("n", "t"));
        assert_eq!(scenario.file.populations[0].rate, Range { least: 50.0, most: 60.0 });
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let table = [
            ("colour = 1\n", 7, "unknown field `colour`"),
            ("[[attack]]\nname = \"a\"\nkind = \"flod\"\n", 9, "unknown variant `flod`"),
            ("[[expect]]\nfigure = \"armd\"\nat_most = \"1s\"\n", 8, "no figure is called `armd`"),
            ("[[expect]]\nfigure = \"armed\"\nat_most = \"1%\"\n", 9, "1%"),
            ("[[expect]]\nfigure = \"armed\"\n", 8, "nothing is expected of `armed`"),
            ("platform = \"other\"\n", 7, "there is no platform `other`"),
            ("think = [\"3s\", \"2s\"]\n", 7, "the lesser first"),
            ("think = 3\n", 7, "a time like"),
            ("[engine]\noff = [\"mind\"]\n", 8, "no part `mind`"),
        ];
        for (more, line, words) in table {
            let problems = Scenario::parse(&format!("{LEAST}{more}"), None).expect_err(more);
            assert_eq!(problems[0].line, line, "{more}: {problems:?}");
            assert!(problems[0].message.contains(words), "{more}: {}", problems[0]);
        }
        let nobody = Scenario::parse("name = \"n\"\ntitle = \"t\"\nlasts = \"1m\"\n", None).expect_err("nobody");
        assert_eq!(nobody[0].to_string(), "a world without [[population]] has nobody to protect");
    }

    #[test]
    fn times_are_read() {
        let table = [("300ms", Some(3e8)), ("5s", Some(5e9)), ("1.5m", Some(9e10)), ("2h", Some(7.2e12)), ("5", None)];
        for (text, expected) in table {
            assert_eq!(nanos(text), expected, "{text}");
        }
        assert_eq!(nanos("-5s"), None);
    }
}
