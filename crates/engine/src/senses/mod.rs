//! What is seen of requests, in fixed memory.
//!
//! [`Senses`] is what the workers of one process share: who was seen doing what, and what routes cost. [`Recorder`] is
//! one worker's own, and fills what goes to the brain. Distinct visitors and frequent values are counted there, from the
//! rows, which tell of any combination; a sketch for each would only tell of those that were foreseen.
//!
//! A visitor is an address (for IPv6 its /64), a TLS stack and an HTTP/2 stack. Neither its `User-Agent`, which a flood
//! rotates, nor the order of its header fields, which differs between a document and its images, is part of it.

mod claims;
mod costs;
mod crowds;
pub(crate) mod harvest;
mod hash;
pub(crate) mod recorder;
mod shape;
pub(crate) mod sight;
mod visitors;

use std::net::IpAddr;
use std::time::Duration;

use portcullis_types::{ClientAddr, RouteClass, Tick};

use self::claims::Families;
use self::costs::Costs;
use self::crowds::{CROWDS, Crowds};
use self::hash::Keys;
use self::sight::{Attributes, Business, OVERDRAWN, Outcome, Seen};
use self::visitors::{Met, Place, VISITORS, Visit, Visitors};
use crate::shard::Ask;
use crate::trust::Trust;

/// Bytes sent that weigh as much as one microsecond of the platform: a line of 100 MB/s.
pub(crate) const BYTES_PER_US: u64 = 100;

/// What all workers know of visitors. Its memory is taken at once and never grows.
#[derive(Debug)]
pub struct Senses {
    keys: Keys,
    families: Families,
    visitors: Visitors,
    crowds: Crowds,
    costs: Costs,
}

/// What is known of one visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// What it has done that people's browsers do: 0 nothing yet, 1 one kind of thing, 2 several kinds. Who is faster
    /// than people, or fails at logins and payments again and again, has 0.
    pub evidence: u8,
    /// Since it was first seen; zero for whom nobody remembers.
    pub age: Duration,
    /// Requests, with a half-life of about a minute.
    pub requests: u32,
    /// What they cost the platform in microseconds, bytes included, with the same half-life.
    pub cost_us: u64,
    /// Logins and payments that failed; each that works halves it.
    pub failures: u8,
    /// Documents that a browser asked for, saturating.
    pub navigations: u8,
}

/// Who asks, and what is remembered of whom.
#[derive(Debug)]
pub(crate) struct Asker<'a> {
    kind: u64,
    network: u64,
    tls: u32,
    h2: u32,
    visitor: u64,
    place: Option<Place<'a>>,
}

impl Senses {
    /// Takes the memory for a million visitors. `secret` must come from the system's randomness.
    #[must_use]
    pub fn new(secret: [u64; 2]) -> Self {
        Self::with_room(secret, VISITORS)
    }

    /// The same for fewer visitors.
    #[must_use]
    pub fn with_room(secret: [u64; 2], visitors: usize) -> Self {
        let visitors = visitors.min(VISITORS);
        Self {
            keys: Keys::new(secret),
            families: Families::new(),
            visitors: Visitors::new(visitors),
            crowds: Crowds::new(visitors.min(CROWDS)),
            costs: Costs::new(),
        }
    }

    /// Memory of the tables; it never changes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.families.bytes() + self.visitors.bytes() + self.crowds.bytes() + self.costs.bytes()
    }

    /// What a request looks like. Its visitor is touched: one more request. [`Seen::trust`] is `trust`, or
    /// [`Trust::Human`] where `trust` is [`Trust::Fresh`] and the visitor did several kinds of things that browsers do.
    #[must_use]
    pub fn perceive(&self, ask: &Ask<'_>, trust: Trust, token: u64, now: Tick) -> Seen {
        self.describe(self.meet(ask), ask, trust, token, now)
    }

    /// Who asks. It comes before all else, so that memory answers while the rest is looked at.
    pub(crate) fn meet(&self, ask: &Ask<'_>) -> Asker<'_> {
        let [kind, host_bits, network] = address_bits(ask.client);
        let [tls, h2] = [ask.sight.tls, ask.sight.h2].map(|text| text.map_or(0, |text| self.keys.short(text)));
        let stack = u64::from(tls) << 32 | u64::from(h2);
        let visitor = self.keys.numbers([kind, host_bits, stack, VISITOR]);
        Asker { kind, network, tls, h2, visitor, place: self.visitors.look(visitor) }
    }

    /// What the request of that visitor looks like, as [`Senses::perceive`] says.
    pub(crate) fn describe(&self, asker: Asker<'_>, ask: &Ask<'_>, trust: Trust, token: u64, now: Tick) -> Seen {
        let (sight, keys) = (&ask.sight, &self.keys);
        let Asker { kind, network, tls, h2, visitor, place } = asker;
        let text = |text: Option<&[u8]>| text.map_or(0, |text| keys.short(text));
        let number = |number: [u64; 4]| high(keys.numbers(number)).max(1);
        let path = shape::path(keys, sight.path);
        let referer = claims::referer(sight.referer, sight.host);
        let navigation = claims::is_navigation(sight, ask.class);
        let query = sight.query.map_or(0, |query| shape::query(keys, query));
        let [agent, accept, language] = [sight.agent, sight.accept, sight.language].map(text);
        let family = sight.agent.map_or(0, |text| self.families.of(keys, text, agent));
        let (platform, route) = (narrow(ask.platform), narrow(ask.route));

        let visit = Visit {
            navigation,
            asset: ask.class == RouteClass::Asset,
            own_referer: referer == claims::REFERER_OWN,
            page: path,
        };
        let crowded = || self.crowd_behind(ask.client, now);
        let Met { evidence, opens } = place.map(|place| place.visit(visit, now, crowded)).unwrap_or_default();
        if opens && (evidence > 1 || trust == Trust::History) {
            let token = if trust == Trust::History { token } else { 0 };
            self.crowds.note(self.address(ask.client), visitor, token, now);
        }
        let vouched = match trust {
            trust if trust.is_protected() => u32::from(trust as u8),
            Trust::Suspect if token != 0 => OVERDRAWN,
            _ => 0,
        };
        let attributes = [
            Attributes::endpoint(platform, route),
            path,
            claims::method(sight.method),
            tls,
            h2,
            if sight.order == 0 { 0 } else { number([sight.order, 0, 0, ORDER]) },
            agent,
            family,
            number([kind, network, 0, NETWORK]),
            vouched,
            u32::from(evidence),
            referer,
            query,
            accept,
            language,
            u32::from(ask.session.is_some()),
        ];
        Seen {
            attributes: Attributes(attributes),
            visitor,
            token,
            platform,
            route,
            class: ask.class,
            trust: if trust == Trust::Fresh && evidence > 1 { Trust::Human } else { trust },
            client: ask.client,
            navigation,
            rule: 0,
            at: now,
        }
    }

    /// What is known of that visitor.
    #[must_use]
    pub fn known(&self, visitor: u64, now: Tick) -> Known {
        self.visitors.known(visitor, now)
    }

    /// Charges what a request cost to its visitor and route.
    pub fn finished(&self, seen: &Seen, outcome: &Outcome, now: Tick) {
        let cost_us = outcome.origin / 1000 + outcome.bytes / BYTES_PER_US;
        let worked = match outcome.business {
            Business::Done => Some(true),
            Business::Failed => Some(false),
            Business::Nothing | Business::CodeSent => None,
        };
        self.visitors.charge(seen.visitor, cost_us, worked, now);
        // What never reached the platform tells nothing about the route.
        if outcome.origin > 0 {
            self.costs.note(seen.platform, seen.route, cost_us);
        }
    }

    /// The visitor sent back a cookie that we gave it.
    pub fn cookie_came_back(&self, seen: &Seen) {
        self.visitors.cookie_came_back(seen.visitor);
    }

    /// A rule challenged or refused it instead of showing the document that it asked for. Otherwise whoever asks for one after
    /// another in vain would be taken for somebody who reads. What a full platform turns away is not meant: those are people.
    pub fn shown_nothing(&self, seen: &Seen) {
        if seen.navigation {
            self.visitors.shown_nothing(seen.visitor);
        }
    }

    /// Whether several people are behind that address: several stacks that did what browsers do, or several history
    /// tokens. Then nothing may be held against the address alone.
    #[must_use]
    pub fn crowd_behind(&self, client: ClientAddr, now: Tick) -> bool {
        self.crowds.is_crowd(self.address(client), now)
    }

    /// What a request of that route is expected to cost, in microseconds of the platform, bytes included.
    #[must_use]
    pub fn expected_cost_us(&self, platform: u16, route: u16) -> u32 {
        self.costs.expected_us(platform, route)
    }

    /// What the budget of a token is counted under.
    pub(crate) fn token(&self, id: u64) -> u64 {
        self.keys.numbers([id, 0, 0, TOKEN])
    }

    fn address(&self, client: ClientAddr) -> u64 {
        let [kind, bits, _] = address_bits(client);
        self.keys.numbers([kind, bits, 0, ADDRESS])
    }
}

/// What numbers are hashed as, so that an address and a network are never the same number.
const ADDRESS: u64 = 1;
const NETWORK: u64 = 2;
const ORDER: u64 = 3;
const TOKEN: u64 = 4;
const VISITOR: u64 = 5;

/// The kind of an address, what of it one host is given (a /64 of IPv6), and its network (/24 or /48).
fn address_bits(client: ClientAddr) -> [u64; 3] {
    match client.ip() {
        IpAddr::V4(v4) => [4, u64::from(v4.to_bits()), u64::from(v4.to_bits() >> 8)],
        IpAddr::V6(v6) => {
            let high = (v6.to_bits() >> 64) as u64;
            [6, high, high >> 16]
        }
    }
}

const fn high(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn narrow(position: usize) -> u16 {
    u16::try_from(position).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::sight::{Attribute, Sight};
    use super::*;

    const CHROME: &[u8] = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0";

    fn ask<'a>(address: &str, path: &'a str, class: RouteClass) -> Ask<'a> {
        let sight = Sight {
            method: b"GET",
            path: path.as_bytes(),
            host: b"example.org",
            agent: Some(CHROME),
            accept: Some(b"text/html,*/*"),
            tls: Some(b"t13d1516h2_8daaf6152771_02713d6af862"),
            ..Sight::default()
        };
        let client = ClientAddr::new(address.parse().expect(address));
        Ask { client, platform: 0, route: 2, class, session: None, api_key: None, sight, wall: 0 }
    }

    fn senses() -> Senses {
        Senses::with_room([1, 2], 1 << 12)
    }

    /// Opens a page as a browser does: the document, then two of its images.
    fn browse(senses: &Senses, address: &str, now: Tick) -> Seen {
        let page = ask(address, "/news", RouteClass::Page);
        let first = senses.perceive(&page, Trust::Fresh, 0, now);
        let image = ask(address, "/logo.svg", RouteClass::Asset);
        let sight = Sight { referer: Some(b"https://example.org/news"), accept: Some(b"image/*"), ..image.sight };
        for _ in 0..2 {
            let _ = senses.perceive(&Ask { sight, ..image }, Trust::Fresh, 0, now);
        }
        first
    }

    #[test]
    fn a_request_becomes_sixteen_numbers() {
        let senses = senses();
        let page = ask("203.0.113.7", "/news", RouteClass::Page);
        let seen = senses.perceive(&page, Trust::Fresh, 0, Tick::ZERO);
        let get = |attribute| seen.attributes.get(attribute);
        assert_eq!(get(Attribute::Endpoint), Attributes::endpoint(0, 2));
        assert!(seen.navigation);
        for there in [Attribute::Path, Attribute::Method, Attribute::Tls, Attribute::Agent, Attribute::Family] {
            assert_ne!(get(there), 0, "{there:?}");
        }
        for missing in [Attribute::H2, Attribute::Order, Attribute::Query, Attribute::Language, Attribute::Referer] {
            assert_eq!(get(missing), 0, "{missing:?}");
        }
        assert_eq!((get(Attribute::Token), get(Attribute::Session), get(Attribute::Evidence)), (0, 0, 0));
        // Each change changes its own numbers and no others.
        let table: &[(Ask<'_>, &[Attribute])] = &[
            (Ask { route: 3, ..page }, &[Attribute::Endpoint]),
            (Ask { session: Some(b"s"), ..page }, &[Attribute::Session]),
            (ask("203.0.113.200", "/news", RouteClass::Page), &[]),
            (ask("203.0.114.7", "/news", RouteClass::Page), &[Attribute::Network]),
            (Ask { sight: Sight { path: b"/join", ..page.sight }, ..page }, &[Attribute::Path]),
            (Ask { sight: Sight { method: b"POST", ..page.sight }, ..page }, &[Attribute::Method]),
            (Ask { sight: Sight { tls: Some(b"t12"), ..page.sight }, ..page }, &[Attribute::Tls]),
            (Ask { sight: Sight { h2: Some(b"1:65536"), ..page.sight }, ..page }, &[Attribute::H2]),
            (Ask { sight: Sight { order: 9, ..page.sight }, ..page }, &[Attribute::Order]),
            (
                Ask { sight: Sight { agent: Some(b"curl/8.5"), ..page.sight }, ..page },
                &[Attribute::Agent, Attribute::Family],
            ),
            (
                Ask { sight: Sight { referer: Some(b"https://a.example/"), ..page.sight }, ..page },
                &[Attribute::Referer],
            ),
            (Ask { sight: Sight { query: Some(b"q=1"), ..page.sight }, ..page }, &[Attribute::Query]),
            (Ask { sight: Sight { accept: Some(b"*/*"), ..page.sight }, ..page }, &[Attribute::Accept]),
            (Ask { sight: Sight { language: Some(b"de"), ..page.sight }, ..page }, &[Attribute::Language]),
        ];
        for (other, expected) in table {
            let other = senses.perceive(other, Trust::Fresh, 0, Tick::ZERO);
            let differs = |attribute: &Attribute| other.attributes.get(*attribute) != get(*attribute);
            assert_eq!(Attribute::ALL.into_iter().filter(differs).collect::<Vec<_>>(), *expected);
        }
        let vouched = senses.perceive(&page, Trust::History, 5, Tick::ZERO);
        assert_eq!(vouched.attributes.get(Attribute::Token), Trust::History as u32);
        assert_eq!((vouched.trust, vouched.token), (Trust::History, 5));
    }

    #[test]
    fn neither_a_new_agent_nor_a_new_order_is_a_new_visitor() {
        let senses = senses();
        let page = ask("2001:db8::1", "/news", RouteClass::Page);
        let visitor = |ask: &Ask<'_>| senses.perceive(ask, Trust::Fresh, 0, Tick::ZERO).visitor;
        let one = visitor(&page);
        for number in 0..50u64 {
            let agent = format!("agent-{number}");
            let sight = Sight { agent: Some(agent.as_bytes()), order: number, ..page.sight };
            assert_eq!(visitor(&Ask { sight, ..page }), one);
        }
        assert_eq!(visitor(&ask("2001:db8::ffff:1", "/news", RouteClass::Page)), one, "one household has a /64");
        assert_ne!(visitor(&ask("2001:db8:0:1::1", "/news", RouteClass::Page)), one);
        let other = Sight { tls: Some(b"t13d0000h1"), ..page.sight };
        assert_ne!(visitor(&Ask { sight: other, ..page }), one, "another device behind the address");
        assert_ne!(Senses::with_room([3, 4], 64).perceive(&page, Trust::Fresh, 0, Tick::ZERO).visitor, one);
    }

    #[test]
    fn who_browses_is_human_from_then_on_and_a_flood_is_not() {
        let senses = senses();
        let first = browse(&senses, "203.0.113.7", Tick::ZERO);
        assert_eq!((first.trust, first.attributes.get(Attribute::Evidence)), (Trust::Fresh, 0));
        let next = senses.perceive(&ask("203.0.113.7", "/join", RouteClass::Page), Trust::Fresh, 0, Tick(9));
        assert_eq!((next.trust, next.attributes.get(Attribute::Evidence)), (Trust::Human, 2));
        let suspect = senses.perceive(&ask("203.0.113.7", "/join", RouteClass::Page), Trust::Suspect, 0, Tick(9));
        assert_eq!(suspect.trust, Trust::Suspect, "evidence does not lift a suspicion");
        for number in 0..100 {
            let address = format!("198.51.100.{number}");
            let page = ask(&address, "/news", RouteClass::Page);
            // It says that it comes from our own page, at once and again.
            let sight = Sight { referer: Some(b"https://example.org/"), ..page.sight };
            for _ in 0..3 {
                let seen = senses.perceive(&Ask { sight, ..page }, Trust::Fresh, 0, Tick::ZERO);
                assert_eq!(seen.trust, Trust::Fresh);
            }
        }
    }

    #[test]
    fn a_campus_is_a_crowd_and_a_header_randomiser_is_not() {
        let senses = senses();
        let client = |address: &str| ClientAddr::new(address.parse().expect(address));
        for device in 0..6u64 {
            let print = format!("t13d{device}");
            let with =
                |ask: Ask<'static>| Ask { sight: Sight { referer: Some(b"https://example.org/"), ..ask.sight }, ..ask };
            for (path, class) in
                [("/news", RouteClass::Page), ("/logo.svg", RouteClass::Asset), ("/join", RouteClass::Page)]
            {
                let ask = with(ask("192.0.2.1", path, class));
                let sight = Sight { tls: Some(print.as_bytes()), ..ask.sight };
                let now = Tick::from_millis(70_000 * (device + u64::from(path == "/join")));
                let _ = senses.perceive(&Ask { sight, ..ask }, Trust::Fresh, 0, now);
            }
            let machine = ask("192.0.2.2", "/news", RouteClass::Page);
            let sight = Sight { tls: Some(print.as_bytes()), order: device, ..machine.sight };
            let _ = senses.perceive(&Ask { sight, ..machine }, Trust::Fresh, 0, Tick::ZERO);
        }
        let now = Tick::from_millis(500_000);
        assert!(senses.crowd_behind(client("192.0.2.1"), now));
        assert!(!senses.crowd_behind(client("192.0.2.2"), now), "nobody there did what browsers do");
        for token in 1..3 {
            let _ =
                senses.perceive(&ask("192.0.2.3", "/news", RouteClass::Page), Trust::History, token, Tick(token << 38));
        }
        assert!(senses.crowd_behind(client("192.0.2.3"), Tick(3 << 38)), "two people with a history");
    }

    #[test]
    fn costs_are_charged_to_visitor_and_route() {
        let senses = senses();
        let seen = browse(&senses, "203.0.113.7", Tick::ZERO);
        let outcome =
            Outcome { status: 200, bytes: 1_000_000, origin: 40_000_000, failed: false, business: Business::Failed };
        senses.finished(&seen, &outcome, Tick(1));
        let known = senses.known(seen.visitor, Tick(2));
        assert_eq!((known.cost_us, known.failures), (50_000, 1), "40 ms, and 1 MB for 10 ms");
        assert_eq!(senses.expected_cost_us(0, 2), 50_000);
        senses.finished(&seen, &Outcome { origin: 0, ..outcome }, Tick(3));
        assert_eq!(senses.expected_cost_us(0, 2), 50_000, "what was refused says nothing about the route");
        senses.cookie_came_back(&seen);
        assert_eq!(senses.known(seen.visitor, Tick(4)).evidence, 2);
    }

    #[test]
    fn a_cache_buster_is_one_pattern_and_its_twin_is_many() {
        let senses = senses();
        let patterns = |queries: Vec<String>| {
            let seen = |query: &String| {
                let page = ask("203.0.113.7", "/", RouteClass::Page);
                let sight = Sight { query: Some(query.as_bytes()), ..page.sight };
                senses.perceive(&Ask { sight, ..page }, Trust::Fresh, 0, Tick::ZERO).attributes.get(Attribute::Query)
            };
            let mut counts = BTreeMap::<u32, usize>::new();
            queries.iter().map(seen).for_each(|pattern| *counts.entry(pattern).or_default() += 1);
            (counts.len(), counts.into_values().max().unwrap_or(0))
        };
        let mixed = |number: u64| format!("x{:x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let attack = (1..2000).map(|number| format!("{}={}", mixed(number), mixed(number * 7))).collect();
        let (_, most) = patterns(attack);
        assert!(most > 1980, "{most} of 1999: those that are nearly all digits do not look made up");
        let names = ["q", "page", "lang", "year", "topic", "sort", "campaign", "filter"];
        let twin =
            names.iter().map(|name| format!("{name}=climate")).chain([String::from("q=climate&page=2")]).collect();
        assert_eq!(patterns(twin), (9, 1));
    }
}
